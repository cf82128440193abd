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
  select coalesce(current_setting('matrice.is_purging', true), '') = 'on';
end;
comment on function matrice_private.is_purging is
  'Returns whether purge_steps deletes rows now, whose sums stay. An editor who sets this by hand keeps sums of what was '
  'recorded.';

create or replace function matrice_private.note_changed_steps() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- The plan is made for the first statement of a session. If that changes one row, it is slow for many. What is switched off
-- makes a plan look expensive, and compiling it takes longer than the rest.
set enable_nestloop = off set jit = off
as $$
declare
  noted bigint;
begin
  -- A running step that ends counts as a new one.
  insert into matrice_private.metric_changes (project_id, at, step_id, run_id)
  select distinct n.project_id, date_bin('15 minutes', x.executed_at, '2000-01-01 00:00Z'), x.step_id, x.run_id
    from added n
    join removed o on o.id = n.id
   cross join lateral (
     select n.id as step_id, null::uuid as run_id, n.executed_at where o.status = 'running'
     union all
     select null, n.run_id, n.executed_at where o.status <> 'running'
     union all
     select null, o.run_id, o.executed_at where o.status <> 'running') x
   where (n.status <> 'running' or o.status <> 'running')
     and (n.run_id, n.step_name, n.status, n.latency_ms, n.tokens_input, n.tokens_output, n.cached_tokens, n.cost_usd,
          n.executed_at, n.model, n.attempt, n.cost_source)
         is distinct from
         (o.run_id, o.step_name, o.status, o.latency_ms, o.tokens_input, o.tokens_output, o.cached_tokens, o.cost_usd,
          o.executed_at, o.model, o.attempt, o.cost_source);
  get diagnostics noted = row_count;
  if hashtext(gen_random_uuid()::text) & 255 < noted then
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
    insert into matrice_private.metric_changes (project_id, at, run_id)
    select distinct r.project_id, date_bin('15 minutes', r.executed_at, '2000-01-01 00:00Z'), r.run_id
      from removed r
     where r.status <> 'running' and exists (select from matrice.projects p where p.id = r.project_id);
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
-- The plan is made for the first statement of a session. If that changes one row, it is slow for many. What is switched off
-- makes a plan look expensive, and compiling it takes longer than the rest.
set enable_nestloop = off set jit = off
as $$
begin
  if tg_op = 'INSERT' then
    insert into matrice_private.metric_changes (project_id, run_id) select a.project_id, a.id from added a;
  elsif tg_op = 'UPDATE' then
    insert into matrice_private.metric_changes (project_id, run_id, has_moved)
    select n.project_id, n.id,
           (n.workflow_id, n.phase, n.user_key, n.created_by) is distinct from (o.workflow_id, o.phase, o.user_key, o.created_by)
      from added n
      join removed o on o.id = n.id
     where (n.workflow_id, n.phase, n.user_key, n.created_by, n.status, n.started_at, n.is_failure_handler)
           is distinct from
           (o.workflow_id, o.phase, o.user_key, o.created_by, o.status, o.started_at, o.is_failure_handler);
  elsif not matrice_private.is_purging() then
    insert into matrice_private.metric_changes (project_id, run_id)
    select r.project_id, r.id from removed r where exists (select from matrice.projects p where p.id = r.project_id);
  end if;
  return null;
end
$$;
comment on function matrice_private.note_runs is
  'Adds the runs that a statement wrote, changed or deleted to metric_changes. SECURITY DEFINER: no client may write it.';

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
