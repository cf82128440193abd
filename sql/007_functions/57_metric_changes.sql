-- Sums of runs and steps: how writers note what they have changed. 013_metrics.sql says why it is added up later.

create or replace function matrice_private.quarter(given timestamptz) returns timestamptz
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select date_bin('15 minutes', given, '2000-01-01 00:00Z');
end;
comment on function matrice_private.quarter is 'Returns when the quarter of an hour begins that a time is in.';

create or replace function matrice_private.is_purging() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select current_setting('matrice.is_purging', true) is not distinct from 'on';
end;
comment on function matrice_private.is_purging is
  'Returns whether purge_steps deletes rows now, whose sums stay. An editor who sets this by hand keeps sums of what was '
  'recorded.';

create or replace function matrice_private.merge_now(changes bigint) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
begin atomic
  select hashtext(gen_random_uuid()::text) & 255 < changes;
end;
comment on function matrice_private.merge_now is
  'Decides whether a statement looks if there is something to add up: one of 256, more of those that changed much. A UUID '
  'decides, because a session can seed random().';

create or replace function matrice_private.note_steps() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  noted bigint;
begin
  -- A correction may make a step known that had no cost, so its quarter is counted again. Steps that run do not count.
  with noted as (
    insert into matrice_private.metric_changes (project_id, at, step_ids, run_ids, changes)
    select a.project_id, date_bin('15 minutes', a.executed_at, '2000-01-01 00:00Z'),
           array_agg(a.id) filter (where a.cost_source is distinct from 'correction'),
           array_agg(distinct a.run_id) filter (where a.cost_source = 'correction'), count(*)
      from added a
     where a.status <> 'running'
     group by 1, 2, a.cost_source is distinct from 'correction'
    returning changes
  )
  select sum(n.changes) into noted from noted n;
  if matrice_private.merge_now(noted) then
    perform matrice_private.merge_waiting(array(select distinct a.project_id from added a));
  end if;
  return null;
end
$$;
comment on function matrice_private.note_steps is
  'Adds the steps that a statement recorded to metric_changes. SECURITY DEFINER: no client may write it.';

create or replace function matrice_private.note_changed_steps() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  noted bigint;
begin
  -- A running step that ends counts as a new one.
  with changed as materialized (
    select n.project_id, n.id, n.run_id, n.executed_at, o.run_id as old_run, o.executed_at as old_at,
           o.status = 'running' as ran
      from added n
      join removed o on o.id = n.id
     where (n.status <> 'running' or o.status <> 'running')
       and (n.run_id, n.step_name, n.status, n.latency_ms, n.tokens_input, n.tokens_output, n.cached_tokens,
            n.cost_usd, n.executed_at, n.model, n.attempt, n.cost_source)
           is distinct from
           (o.run_id, o.step_name, o.status, o.latency_ms, o.tokens_input, o.tokens_output, o.cached_tokens,
            o.cost_usd, o.executed_at, o.model, o.attempt, o.cost_source)
  ), noted as (
    insert into matrice_private.metric_changes (project_id, at, step_ids, run_ids, changes)
    select c.project_id, matrice_private.quarter(c.executed_at), array_agg(c.id), null, count(*)
      from changed c where c.ran group by 1, 2
    union all
    select c.project_id, matrice_private.quarter(x.at), null, array_agg(distinct x.run_id), count(*)
      from changed c cross join lateral (values (c.run_id, c.executed_at), (c.old_run, c.old_at)) x (run_id, at)
     where not c.ran
     group by 1, 2
    returning changes
  )
  select sum(n.changes) into noted from noted n;
  if matrice_private.merge_now(noted) then
    perform matrice_private.merge_waiting(array(select distinct a.project_id from added a));
  end if;
  return null;
end
$$;
comment on function matrice_private.note_changed_steps is
  'Adds the steps that a statement changed to metric_changes. SECURITY DEFINER: no client may write it.';

create or replace function matrice_private.note_removed_steps() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not matrice_private.is_purging() then
    insert into matrice_private.metric_changes (project_id, at, run_ids, changes)
    select r.project_id, matrice_private.quarter(r.executed_at), array_agg(distinct r.run_id), count(*)
      from removed r
     where r.status <> 'running' and exists (select from matrice.projects p where p.id = r.project_id)
     group by 1, 2;
  end if;
  return null;
end
$$;
comment on function matrice_private.note_removed_steps is
  'Adds the steps that a statement deleted to metric_changes. Of a project that is deleted, all sums are deleted. SECURITY '
  'DEFINER: no client may write it.';

create or replace function matrice_private.note_runs() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into matrice_private.metric_changes (project_id, run_ids, changes)
    select a.project_id, array_agg(a.id), count(*) from added a group by a.project_id;
  elsif tg_op = 'UPDATE' then
    insert into matrice_private.metric_changes (project_id, run_ids, has_moved, changes)
    select n.project_id, array_agg(n.id), x.has_moved, count(*)
      from added n
      join removed o on o.id = n.id
     cross join lateral (
       select (n.workflow_id, n.phase, n.user_key, n.created_by) is distinct from (o.workflow_id, o.phase, o.user_key, o.created_by)
              as has_moved) x
     where x.has_moved
        or (n.status, n.started_at, n.is_failure_handler) is distinct from (o.status, o.started_at, o.is_failure_handler)
     group by n.project_id, x.has_moved;
  elsif not matrice_private.is_purging() then
    insert into matrice_private.metric_changes (project_id, run_ids, changes)
    select r.project_id, array_agg(r.id), count(*) from removed r
     where exists (select from matrice.projects p where p.id = r.project_id) group by r.project_id;
  end if;
  return null;
end
$$;
comment on function matrice_private.note_runs is
  'Adds the runs that a statement wrote, changed or deleted to metric_changes. SECURITY DEFINER: no client may write it.';

create or replace trigger note_added after insert on matrice.workflow_steps referencing new table as added
for each statement execute function matrice_private.note_steps();
create or replace trigger note_changed after update on matrice.workflow_steps referencing old table as removed new table as added
for each statement execute function matrice_private.note_changed_steps();
create or replace trigger note_removed after delete on matrice.workflow_steps referencing old table as removed
for each statement execute function matrice_private.note_removed_steps();
create or replace trigger note_added after insert on matrice.workflow_runs referencing new table as added
for each statement execute function matrice_private.note_runs();
create or replace trigger note_changed after update on matrice.workflow_runs referencing old table as removed new table as added
for each statement execute function matrice_private.note_runs();
create or replace trigger note_removed after delete on matrice.workflow_runs referencing old table as removed
for each statement execute function matrice_private.note_runs();
create or replace trigger forget_metrics after delete on matrice.projects
for each row execute function matrice_private.forget_rows('metric_changes', 'metrics', 'metric_facts', 'metric_runs');
