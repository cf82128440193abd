-- Sums of runs and steps: what changes mean for them. Every function here reads, and is called in the statement that uses what it
-- returns, so that all of them see the same rows.

create or replace function matrice_private.quarters_to_count(project_id uuid, last_id bigint) returns setof timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off
as $$
  select c.at from matrice_private.metric_changes c
   where c.project_id = quarters_to_count.project_id and c.id <= last_id and c.at is not null and c.step_id is null
  union
  select matrice_private.quarter(s.executed_at)
    from matrice_private.metric_changes c
   cross join lateral (
     select s.executed_at from matrice.workflow_steps s
      where s.project_id = quarters_to_count.project_id and s.run_id = c.run_id offset 0) s
   where c.project_id = quarters_to_count.project_id and c.id <= last_id and c.has_moved
$$;
comment on function matrice_private.quarters_to_count is
  'Returns the quarters of an hour whose steps must be counted again, because some of them changed.';

create or replace function matrice_private.due_changes(project_id uuid, last_id bigint)
returns setof matrice_private.metric_changes
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off
as $$
  with again as materialized (
    select matrice_private.quarters_to_count(due_changes.project_id, last_id) as at
  )
  select c.* from matrice_private.metric_changes c
   where c.project_id = due_changes.project_id and (c.id <= last_id or c.at in (select a.at from again a))
$$;
comment on function matrice_private.due_changes is
  'Returns metric_changes of a project up to last_id, and later ones of quarters that are counted again: what they say is '
  'counted with it.';

create or replace function matrice_private.runs_to_count(project_id uuid, changes matrice_private.metric_changes[])
returns table (run_id uuid, is_call boolean, model text, must_look boolean)
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off
as $$
  with given as materialized (
    select c.run_id, bool_or(c.at is not null) as must_look
      from unnest(changes) c where c.run_id is not null group by c.run_id
  ), called as (
    select s.run_id, coalesce(s.model, '') as model
      from unnest(changes) c
     cross join lateral (select s.run_id, s.model, s.status from matrice.workflow_steps s where s.id = c.step_id offset 0) s
     where s.status <> 'running'
    union
    select g.run_id, coalesce(s.model, '')
      from given g
     cross join lateral (
       select s.model, s.status from matrice.workflow_steps s
        where s.project_id = runs_to_count.project_id and s.run_id = g.run_id offset 0) s
     where g.must_look and s.status <> 'running'
    union
    select g.run_id, m.model
      from given g
     cross join lateral (
       select m.model, m.is_call from matrice_private.metric_runs m
        where m.project_id = runs_to_count.project_id and m.run_id = g.run_id offset 0) m
     where m.is_call
  )
  select g.run_id, false, '', false from given g
  union all
  select c.run_id, true, c.model, coalesce(g.must_look, false) from called c left join given g on g.run_id = c.run_id
$$;
comment on function matrice_private.runs_to_count is
  'Returns which runs changes concern, and which calls of models by runs. must_look: the run may not call the model any more.';

create or replace function matrice_private.sum_of_runs(project_id uuid, changes matrice_private.metric_changes[])
returns setof matrice_private.metric_facts
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off
as $$
  select sum_of_runs.project_id, null::bigint, t.run_id, t.is_call, x.at, x.workflow_id, x.phase, x.user_id,
         nullif(t.model, ''), null::text, x.status,
         x.times::bigint, x.times::bigint * (x.status = 'completed')::integer, x.times::bigint * (x.status = 'failed')::integer,
         x.times::bigint * (x.status = 'running')::integer, x.times::bigint * (x.status = 'cancelled')::integer,
         0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
         0::numeric, 0::numeric, 0::numeric, 0::numeric, null::bytea
    from matrice_private.runs_to_count(sum_of_runs.project_id, changes) t
    left join lateral (
      select m.* from matrice_private.metric_runs m
       where m.project_id = sum_of_runs.project_id and m.run_id = t.run_id and m.is_call = t.is_call and m.model = t.model
      offset 0) o on true
    left join lateral (
      select date_bin('15 minutes', r.started_at, '2000-01-01 00:00Z') as at, r.workflow_id, r.phase,
             coalesce(r.user_key, r.created_by::text) as user_id,
             case when r.is_failure_handler and r.status = 'completed' then 'handled' else r.status end as status
        from matrice.workflow_runs r where r.id = t.run_id offset 0
    ) r on not t.must_look or o.is_kept or exists (
      select from (
        select s.model, s.status from matrice.workflow_steps s
         where s.project_id = sum_of_runs.project_id and s.run_id = t.run_id offset 0) s
       where coalesce(s.model, '') = t.model and s.status <> 'running')
   cross join lateral (values
           (1, r.at, r.workflow_id, r.phase, r.user_id, r.status), (-1, o.at, o.workflow_id, o.phase, o.user_id, o.status)
         ) x (times, at, workflow_id, phase, user_id, status)
   where x.at is not null
     and (r.at, r.workflow_id, r.phase, r.user_id, r.status)
         is distinct from (o.at, o.workflow_id, o.phase, o.user_id, o.status)
$$;
comment on function matrice_private.sum_of_runs is
  'Returns how runs, and calls of models by runs, must be counted now, and with -1 how they are counted in metric_runs, where '
  'these differ.';

create or replace function matrice_private.fresh_facts(project_id uuid, last_id bigint)
returns setof matrice_private.metric_facts
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off
as $$
  with due as materialized (
    select c.* from matrice_private.due_changes(fresh_facts.project_id, last_id) c
  ), again as materialized (
    select array(select matrice_private.quarters_to_count(fresh_facts.project_id, last_id)) as quarters
  )
  select f.*
    from again a
   cross join lateral matrice_private.sum_of_steps(
           fresh_facts.project_id,
           -- A step that has moved is counted with the quarter that it is in now, which is noted, or was counted again since.
           array(select d.step_id
                   from due d
                  cross join lateral (select s.executed_at from matrice.workflow_steps s where s.id = d.step_id offset 0) s
                  where d.at <> all (a.quarters) and d.at = date_bin('15 minutes', s.executed_at, '2000-01-01 00:00Z')),
           a.quarters) f
  union all
  select f.*
    from again a
   cross join unnest(a.quarters) q (at)
   cross join lateral (
     select f.* from matrice_private.metric_facts f where f.project_id = fresh_facts.project_id and f.at = q.at offset 0) f
   where f.is_call is null
  union all
  select f.*
    from matrice_private.sum_of_runs(
           fresh_facts.project_id, array(select d::matrice_private.metric_changes from due d)) f
$$;
comment on function matrice_private.fresh_facts is
  'Returns what is to be added to the sums of a project for metric_changes up to last_id. Of quarters that are counted again, '
  'it is all that they hold; old_cells has what is to be taken away.';

create or replace function matrice_private.cells_of(facts matrice_private.metric_facts[], kinds text[])
returns setof matrice_private.metrics
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select f.project_id, k.kind, false, f.at, null::uuid,
         case when k.kind in ('workflow', 'all', 'runs', 'calls') then f.workflow_id end,
         case when k.kind in ('phase', 'all', 'runs', 'calls') then f.phase end,
         case when k.kind = 'user' then f.user_id end,
         case when k.kind in ('model', 'all', 'calls') then f.model end,
         case when k.kind in ('step', 'all') then f.step_name end,
         case when k.kind = 'all' then f.status end,
         sum(f.runs)::bigint, sum(f.succeeded)::bigint, sum(f.failed)::bigint, sum(f.running)::bigint, sum(f.cancelled)::bigint,
         sum(f.steps)::bigint, sum(f.failed_steps)::bigint, sum(f.skipped_steps)::bigint, sum(f.retried_steps)::bigint,
         sum(f.priced_steps)::bigint, sum(f.unpriced_steps)::bigint, sum(f.tokens_input), sum(f.tokens_output),
         sum(f.cached_tokens), sum(f.cost_usd),
         matrice._merge_latencies(array_agg(f.latencies) filter (where f.latencies is not null))
    from unnest(facts) f
    join (values
      (false, 'total'), (false, 'workflow'), (false, 'phase'), (false, 'user'), (false, 'runs'),
      (true, 'model'), (true, 'calls'),
      (null, 'total'), (null, 'workflow'), (null, 'phase'), (null, 'user'), (null, 'model'), (null, 'step'), (null, 'all')
    ) k (is_call, kind) on k.is_call is not distinct from f.is_call and k.kind = any (kinds)
   group by 1, 2, 4, 6, 7, 8, 9, 10, 11
$$;
comment on function matrice_private.cells_of is
  'Adds up facts for each quarter of an hour. kinds: what the sums are divided by. total: nothing. workflow, phase, user, model, '
  'step: only this. all: all of them but user, and the status of steps. runs: runs by workflow and phase. calls: runs by '
  'workflow, phase and the models that they called.';

create or replace function matrice_private.old_cells(project_id uuid, quarters timestamptz[], kinds text[])
returns setof matrice_private.metrics
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off
as $$
  select m.project_id, m.kind, m.is_day, m.at, m.key, m.workflow_id, m.phase, m.user_id, m.model, m.step_name, m.step_status,
         0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, -m.steps, -m.failed_steps, -m.skipped_steps, -m.retried_steps,
         -m.priced_steps, -m.unpriced_steps, -m.tokens_input, -m.tokens_output, -m.cached_tokens, -m.cost_usd,
         matrice._negate_latencies(m.latencies)
    from unnest(quarters) q (at)
   cross join unnest(kinds) k (kind)
   cross join lateral (
     select m.* from matrice_private.metrics m
      where m.project_id = old_cells.project_id and m.kind = k.kind and not m.is_day and m.at = q.at offset 0) m
   where k.kind not in ('runs', 'calls')
$$;
comment on function matrice_private.old_cells is
  'Returns what must be added to the sums of quarters of an hour so that none of their steps are in them.';

create or replace function matrice_private.fresh_cells(project_id uuid, kinds text[]) returns setof matrice_private.metrics
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select c.*
    from matrice_private.cells_of(
           array(select f from matrice_private.fresh_facts(fresh_cells.project_id, 9223372036854775807) f), kinds) c
  union all
  select c.*
    from matrice_private.old_cells(
           fresh_cells.project_id,
           array(select matrice_private.quarters_to_count(fresh_cells.project_id, 9223372036854775807)), kinds) c
$$;
comment on function matrice_private.fresh_cells is
  'Returns what must be added to the sums of a project, so that they have all that is in metric_changes.';
