-- Sums of runs and steps: how they are added up, counted again and kept. 57_metric_facts.sql says what changes mean for them.

create or replace function matrice_private.add_cells(cells matrice_private.metrics[]) returns void
language sql
set search_path = pg_catalog, pg_temp
-- A plan that was made when the tables were small must not scan them when they are large.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
  insert into matrice_private.metrics as m (
    project_id, kind, is_day, at, key, workflow_id, phase, user_id, model, step_name, step_status,
    runs, succeeded, failed, running, cancelled, steps, failed_steps, skipped_steps, retried_steps, priced_steps,
    unpriced_steps, tokens_input, tokens_output, cached_tokens, cost_usd, latencies)
  select c.project_id, c.kind, d.is_day, d.at,
         md5(row(c.workflow_id, c.phase, c.user_id, c.model, c.step_name, c.step_status)::text)::uuid,
         c.workflow_id, c.phase, c.user_id, c.model, c.step_name, c.step_status,
         sum(c.runs), sum(c.succeeded), sum(c.failed), sum(c.running), sum(c.cancelled), sum(c.steps), sum(c.failed_steps),
         sum(c.skipped_steps), sum(c.retried_steps), sum(c.priced_steps), sum(c.unpriced_steps), sum(c.tokens_input),
         sum(c.tokens_output), sum(c.cached_tokens), sum(c.cost_usd),
         matrice._merge_latencies(array_agg(c.latencies) filter (where c.latencies is not null))
    from unnest(cells) c
   cross join lateral (values (false, c.at), (true, date_trunc('day', c.at, 'UTC'))) d (is_day, at)
   group by c.project_id, c.kind, d.is_day, d.at, c.workflow_id, c.phase, c.user_id, c.model, c.step_name, c.step_status
  on conflict on constraint metrics_pkey do update
    set runs = m.runs + excluded.runs, succeeded = m.succeeded + excluded.succeeded, failed = m.failed + excluded.failed,
        running = m.running + excluded.running, cancelled = m.cancelled + excluded.cancelled,
        steps = m.steps + excluded.steps, failed_steps = m.failed_steps + excluded.failed_steps,
        skipped_steps = m.skipped_steps + excluded.skipped_steps, retried_steps = m.retried_steps + excluded.retried_steps,
        priced_steps = m.priced_steps + excluded.priced_steps, unpriced_steps = m.unpriced_steps + excluded.unpriced_steps,
        tokens_input = m.tokens_input + excluded.tokens_input, tokens_output = m.tokens_output + excluded.tokens_output,
        cached_tokens = m.cached_tokens + excluded.cached_tokens, cost_usd = m.cost_usd + excluded.cost_usd,
        latencies = case when m.latencies is null or excluded.latencies is null then coalesce(m.latencies, excluded.latencies)
                         else matrice._merge_latencies(array[m.latencies, excluded.latencies]) end
$$;
comment on function matrice_private.add_cells is
  'Adds sums of quarters of an hour to metrics: to the quarters, and to their days.';

create or replace function matrice_private.merge_metrics(project_id uuid, most integer default 5000) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  kinds   text[] := matrice_private.kinds_of_metrics();
  last_id bigint;
  cells   matrice_private.metrics[];
begin
  if not matrice_private.may_add_up(project_id) then
    return false;
  end if;
  select max(c.id) into last_id
    from (select c.id from matrice_private.metric_changes c
           where c.project_id = merge_metrics.project_id order by c.id limit most) c;
  if last_id is null then
    return false;
  end if;
  -- One statement, so that all its parts see the same changes: others may commit some with lower ids meanwhile.
  with facts as materialized (
    select f.* from matrice_private.fresh_facts(merge_metrics.project_id, last_id) f
  ), quarters as materialized (
    select array(select matrice_private.quarters_to_count(merge_metrics.project_id, last_id)) as again
  ), due as materialized (
    select d.id from matrice_private.due_changes(merge_metrics.project_id, last_id) d
  ), kept as (
    insert into matrice_private.metric_runs (project_id, run_id, is_call, model, at, workflow_id, phase, user_id, status)
    select f.project_id, f.run_id, f.is_call, coalesce(f.model, ''), f.at, f.workflow_id, f.phase, f.user_id, f.status
      from facts f where f.runs > 0 and f.run_id is not null
    on conflict on constraint metric_runs_pkey do update
      set at = excluded.at, workflow_id = excluded.workflow_id, phase = excluded.phase, user_id = excluded.user_id,
          status = excluded.status
  ), gone as (
    delete from matrice_private.metric_runs m
     using (select f.run_id, f.is_call, coalesce(f.model, '') as model
              from facts f where f.run_id is not null
             group by 1, 2, 3 having max(f.runs) < 0) f
     where m.project_id = merge_metrics.project_id and m.run_id = f.run_id and m.is_call = f.is_call and m.model = f.model
  ), done as (
    delete from matrice_private.metric_changes c
     using due d where c.project_id = merge_metrics.project_id and c.id = d.id
  )
  select array(select c from matrice_private.cells_of(array(select f::matrice_private.metric_facts from facts f), kinds) c
               union all
               select c from matrice_private.old_cells(merge_metrics.project_id, q.again, kinds) c)
    into cells from quarters q;
  perform matrice_private.add_cells(cells);
  return true;
end
$$;
comment on function matrice_private.merge_metrics is
  'Adds up metric_changes of a project in metrics, unless somebody else is doing it. Returns whether there were any. SECURITY '
  'DEFINER: no client may read or write these tables. Defaults: most 5000.';

create or replace function matrice_private.merge_waiting(project_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- On a usual machine.
  usual   constant interval := interval '50 microseconds';
  given   uuid;
  waiting bigint;
begin
  foreach given in array project_ids loop
    select count(*) into waiting
      from (select from matrice_private.metric_changes c where c.project_id = given limit 2001) c;
    if waiting > 2000 and matrice_private.has_time(50000 * usual) then
      perform matrice_private.merge_metrics(given, 50000);
    elsif waiting > 2000 and matrice_private.has_time(2000 * usual) then
      perform matrice_private.merge_metrics(given, 2000);
    end if;
  end loop;
end
$$;
comment on function matrice_private.merge_waiting is
  'Adds up what many statements have left in metric_changes, as far as there is time. One statement in 256 does it for the '
  'others.';

-- Purging -----------------------------------------------------------------------------------------------------------

create or replace function matrice_private.last_fact(project_id uuid, at timestamptz) returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
as $$
  select coalesce(max(f.id), 0) from matrice_private.metric_facts f
   where f.project_id = last_fact.project_id and f.at = last_fact.at
$$;
comment on function matrice_private.last_fact is
  'Returns the highest id of the facts of a quarter of an hour. One transaction at a time purges steps of a project.';

create or replace function matrice_private.keep_facts(project_id uuid, step_ids uuid[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  insert into matrice_private.metric_facts (
    project_id, id, at, workflow_id, phase, user_id, model, step_name, status, steps, failed_steps, skipped_steps, retried_steps,
    priced_steps, unpriced_steps, tokens_input, tokens_output, cached_tokens, cost_usd, latencies)
  select f.project_id, matrice_private.last_fact(f.project_id, f.at) + row_number() over (partition by f.at), f.at,
         f.workflow_id, f.phase, f.user_id, f.model, f.step_name, f.status, f.steps, f.failed_steps,
         f.skipped_steps, f.retried_steps, f.priced_steps, f.unpriced_steps, f.tokens_input, f.tokens_output, f.cached_tokens,
         f.cost_usd, f.latencies
    from matrice_private.sum_of_steps(keep_facts.project_id, step_ids, '{}') f;
  update matrice_private.metric_runs m
     set is_kept = true
    from (select distinct s.run_id, coalesce(s.model, '') as model from matrice.workflow_steps s where s.id = any (step_ids)) s
   where m.project_id = keep_facts.project_id and m.run_id = s.run_id and m.is_call and m.model = s.model and not m.is_kept;
$$;
comment on function matrice_private.keep_facts is
  'Keeps the sums of steps that are going to be purged, and which models their runs called.';

create or replace function matrice_private.keep_runs(project_id uuid, run_ids uuid[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from matrice_private.metric_runs m
     where m.project_id = keep_runs.project_id and m.run_id = any (run_ids) and m.at is not null
    returning m.*
  )
  insert into matrice_private.metric_facts (
    project_id, id, is_call, at, workflow_id, phase, user_id, model, status, runs, succeeded, failed, running, cancelled)
  select g.project_id, matrice_private.last_fact(g.project_id, g.at) + row_number() over (partition by g.at), g.is_call, g.at,
         g.workflow_id, g.phase, g.user_id, nullif(g.model, ''), g.status, count(*),
         count(*) filter (where g.status = 'completed'), count(*) filter (where g.status = 'failed'),
         count(*) filter (where g.status = 'running'), count(*) filter (where g.status = 'cancelled')
    from gone g group by g.project_id, g.is_call, g.at, g.workflow_id, g.phase, g.user_id, g.model, g.status;
$$;
comment on function matrice_private.keep_runs is 'Keeps the counts of runs that are going to be purged.';

create or replace function matrice_private.purge_some(project_id uuid, older_than timestamptz, most integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  purged bigint;
  steps  uuid[];
  ended  uuid[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'steps can only be purged at the isolation level read committed'
      using errcode = '25001', hint = 'Call this in a transaction of its own.';
  end if;
  perform pg_advisory_xact_lock(hashtext('matrice.metrics'), hashtext(project_id::text));
  steps := array(
    select s.id from matrice.workflow_steps s
     where s.project_id = purge_some.project_id and s.executed_at < older_than and s.status <> 'running'
     -- A correction goes after its step: with it, the step is not counted as one without a cost.
     order by s.executed_at, s.corrects nulls first limit most for update skip locked);
  ended := array(
    select r.id from matrice.workflow_runs r
     where r.project_id = purge_some.project_id and r.started_at < older_than and r.status <> 'running'
       and not exists (select from matrice.workflow_steps s
                        where s.project_id = r.project_id and s.run_id = r.id and s.id <> all (steps))
     order by r.started_at limit most for update skip locked);
  -- After they are locked: now nothing that concerns them is left out.
  while matrice_private.merge_metrics(project_id, 100000) loop
    null;
  end loop;
  perform matrice_private.keep_facts(project_id, steps);
  perform matrice_private.keep_runs(project_id, ended);
  perform set_config('matrice.is_purging', 'on', true);
  delete from matrice.workflow_steps s where s.id = any (steps);
  get diagnostics purged = row_count;
  delete from matrice.workflow_runs r where r.id = any (ended);
  perform set_config('matrice.is_purging', '', true);
  return purged + cardinality(ended);
end
$$;
comment on function matrice_private.purge_some is
  'Does what purge_steps does. It does not check the caller: it is for services and purge_as_owner. SECURITY DEFINER: members '
  'may delete steps, but only this keeps their sums.';

-- What was recorded before there were sums.
do $$
declare
  project_id uuid;
begin
  for project_id in
    select p.id from matrice.projects p
     where exists (select from matrice.workflow_runs r where r.project_id = p.id)
       and not exists (select from matrice_private.metrics m where m.project_id = p.id)
       and not exists (select from matrice_private.metric_changes c where c.project_id = p.id)
  loop
    perform matrice_private.rebuild_sums(project_id);
  end loop;
end
$$;
