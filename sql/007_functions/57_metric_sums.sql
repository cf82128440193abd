-- Sums of runs and steps: how they are written. 013_metrics.sql says why they are added up later.

create or replace function matrice_private.quarter(given timestamptz) returns timestamptz
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select date_bin('15 minutes', given, '2000-01-01 00:00Z');
end;
comment on function matrice_private.quarter is 'Returns when the quarter of an hour begins that a time is in.';

create or replace function matrice_private.cached_tokens(usage jsonb) returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select least(coalesce((c.counts ->> 'cache_read')::numeric, 0) + coalesce((c.counts ->> 'cache_read_audio')::numeric, 0),
               1000000000)::bigint
    from (select matrice._read_usage(usage, null, null) -> 'counts' as counts offset 0) c
$$;
comment on function matrice_private.cached_tokens is 'Returns how many input tokens were read from a cache, as usage says.';

create or replace function matrice_private.is_purging() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select current_setting('matrice.is_purging', true) is not distinct from 'on';
end;
comment on function matrice_private.is_purging is
  'Returns whether purge_steps deletes rows now, whose sums stay. An editor who sets this by hand keeps sums of what was '
  'recorded.';

-- What changes of steps and of runs mean for the sums. The rows of steps come with times: 1 if they are added, -1 if they are
-- taken away. cost_source is 'correction' in rows that correct the sums of a step that is counted already.
do $$
declare
  -- Some databases know the user of a run.
  user_of_run text := case when exists (
    select from pg_attribute a
     where a.attrelid = 'matrice.workflow_runs'::regclass and a.attname = 'user_id' and not a.attisdropped)
    then 'r.user_id::text' else 'null::text' end;
  -- The index is used whatever the planner thinks of the number of rows.
  insert_steps text := format($sql$
    insert into matrice_private.metric_changes (
      project_id, run_id, at, workflow_id, phase, user_id, model, step_name, step_status,
      steps, failed_steps, skipped_steps, retried_steps, priced_steps, unpriced_steps,
      tokens_input, tokens_output, cached_tokens, cost_usd, latencies, must_count)
    select s.project_id, s.run_id, matrice_private.quarter(s.executed_at), r.workflow_id, r.phase, %s, nullif(s.model, ''),
           s.step_name, s.status,
           s.times * count(*) filter (where s.is_step), s.times * count(*) filter (where s.is_step and s.status = 'failed'),
           s.times * count(*) filter (where s.is_step and s.status = 'skipped'),
           s.times * count(*) filter (where s.is_step and s.attempt > 0),
           s.times * count(*) filter (where s.is_step and s.cost_usd is not null),
           s.times * count(*) filter (where s.is_step and s.cost_usd is null and s.status <> 'skipped'
                                        and (s.model <> '' or s.tokens_input > 0 or s.tokens_output > 0)),
           s.times * sum(s.tokens_input), s.times * sum(s.tokens_output),
           s.times * coalesce(
             sum(least(s.tokens_input, matrice_private.cached_tokens(s.usage))) filter (where s.usage <> '{}'), 0),
           s.times * coalesce(sum(s.cost_usd), 0),
           matrice._sketch_latencies(
             array_agg(s.latency_ms) filter (where s.is_step and s.latency_ms is not null and s.status <> 'skipped'), s.times),
           s.times < 0
      from (select s.*, s.cost_source is distinct from 'correction' as is_step from (%%s) s) s
     cross join lateral (select r.* from matrice.workflow_runs r where r.id = s.run_id offset 0) r
     where s.status in ('success', 'failed', 'skipped')
     group by s.project_id, s.run_id, matrice_private.quarter(s.executed_at), r.workflow_id, r.phase, %s, nullif(s.model, ''),
              s.step_name, s.status, s.times
  $sql$, user_of_run, user_of_run);
  insert_runs text := format($sql$
    insert into matrice_private.metric_changes (
      project_id, run_id, at, workflow_id, phase, user_id, runs, succeeded, failed, running, cancelled)
    select r.project_id, r.id, matrice_private.quarter(r.started_at), r.workflow_id, r.phase, %s, sum(r.times),
           coalesce(sum(r.times) filter (where r.status = 'completed'), 0),
           coalesce(sum(r.times) filter (where r.status = 'failed'), 0),
           coalesce(sum(r.times) filter (where r.status = 'running'), 0),
           coalesce(sum(r.times) filter (where r.status = 'cancelled'), 0)
      from (%%s) r
     group by r.project_id, r.id, matrice_private.quarter(r.started_at), r.workflow_id, r.phase, %s
  $sql$, user_of_run, user_of_run);
  changed_steps text := $sql$
    select x.*, t.times
      from added n
      join removed o on o.id = n.id
     cross join lateral (values (1), (-1)) t (times)
     cross join lateral (select n.* where t.times = 1 union all select o.* where t.times = -1) x
     where (n.run_id, n.step_name, n.status, n.latency_ms, n.tokens_input, n.tokens_output, n.cost_usd, n.executed_at, n.model,
            n.usage, n.attempt, n.cost_source)
           is distinct from
           (o.run_id, o.step_name, o.status, o.latency_ms, o.tokens_input, o.tokens_output, o.cost_usd, o.executed_at, o.model,
            o.usage, o.attempt, o.cost_source)$sql$;
begin
  execute format($function$
    create or replace function matrice_private.sum_steps() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
      -- One statement in 64 adds up. A UUID decides which, because a session can seed random().
      if tg_op = 'INSERT' then
        %s;
        if hashtext(gen_random_uuid()::text) & 63 = 0 then
          perform matrice_private.merge_waiting(array(select distinct a.project_id from added a));
        end if;
      elsif tg_op = 'UPDATE' then
        %s;
        if hashtext(gen_random_uuid()::text) & 63 = 0 then
          perform matrice_private.merge_waiting(array(select distinct a.project_id from added a));
        end if;
      elsif not matrice_private.is_purging() then
        %s;
        if hashtext(gen_random_uuid()::text) & 63 = 0 then
          perform matrice_private.merge_waiting(array(select distinct d.project_id from removed d));
        end if;
      end if;
      return null;
    end
    $body$
    $function$,
    format(insert_steps, 'select a.*, 1 as times from added a'), format(insert_steps, changed_steps),
    format(insert_steps, 'select d.*, -1 as times from removed d'));
  execute format($function$
    create or replace function matrice_private.sum_runs() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
      if tg_op = 'INSERT' then
        %s;
      elsif tg_op = 'UPDATE' then
        %s;
      elsif not matrice_private.is_purging() then
        %s;
      end if;
      return null;
    end
    $body$
    $function$,
    format(insert_runs, 'select a.*, 1 as times from added a'),
    format(insert_runs, $sql$
      select x.*, t.times
        from added n
        join removed o on o.id = n.id
       cross join lateral (values (1), (-1)) t (times)
       cross join lateral (select n.* where t.times = 1 union all select o.* where t.times = -1) x
       where (n.workflow_id, n.phase, n.status, n.started_at)
             is distinct from (o.workflow_id, o.phase, o.status, o.started_at)$sql$),
    format(insert_runs, $sql$
      select d.*, -1 as times from removed d where exists (select from matrice.projects p where p.id = d.project_id)$sql$));
  execute format($function$
    create or replace function matrice_private.take_away_run() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
      if not matrice_private.is_purging() and exists (select from matrice.projects p where p.id = old.project_id) then
        %s;
      end if;
      return old;
    end
    $body$
    $function$,
    format(insert_steps, 'select s.*, -1 as times from matrice.workflow_steps s '
                         'where s.project_id = old.project_id and s.run_id = old.id'));
  execute format($function$
    create or replace function matrice_private.move_run() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
      %s;
      %s;
      return null;
    end
    $body$
    $function$,
    replace(
      format(insert_steps, 'select s.*, -1 as times from matrice.workflow_steps s '
                         'where s.project_id = old.project_id and s.run_id = old.id'),
      '(select r.* from matrice.workflow_runs r where r.id = s.run_id offset 0) r', '(select old.*) r'),
    format(insert_steps, 'select s.*, 1 as times from matrice.workflow_steps s '
                         'where s.project_id = new.project_id and s.run_id = new.id'));
  execute format($function$
    create or replace function matrice_private.sum_again(project_id uuid, since timestamptz) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
      -- One snapshot for all: whoever commits later has added changes that this does not see.
      with gone as (
        delete from matrice_private.metric_changes c where c.project_id = sum_again.project_id and c.at >= since
      ), runs as (
        %s
      )
      %s;
    end
    $body$
    $function$,
    format(insert_runs, $sql$
      select r.*, 1 as times from matrice.workflow_runs r
       where r.project_id = sum_again.project_id and r.started_at >= since$sql$),
    format(insert_steps, $sql$
      select s.*, 1 as times from matrice.workflow_steps s
       where s.project_id = sum_again.project_id and s.executed_at >= since$sql$));
end
$$;
comment on function matrice_private.sum_steps is
  'Adds the steps that a statement wrote, changed or deleted to metric_changes. SECURITY DEFINER: no client may write it.';
comment on function matrice_private.sum_runs is
  'Adds the runs that a statement wrote, changed or deleted to metric_changes. SECURITY DEFINER: no client may write it.';
comment on function matrice_private.take_away_run is
  'Takes the steps of a run away from the sums before the run is deleted: afterwards nobody knows its workflow. Of a project '
  'that is deleted, all sums are deleted. SECURITY DEFINER: no client may write metric_changes.';
comment on function matrice_private.move_run is
  'Moves the steps of a run in the sums when its workflow or phase changes. SECURITY DEFINER: no client may write '
  'metric_changes.';
comment on function matrice_private.sum_again is
  'Replaces metric_changes of a project from a time on by the sums of its runs and steps. For rebuild_sums.';

create or replace trigger sum_added after insert on matrice.workflow_steps referencing new table as added
for each statement execute function matrice_private.sum_steps();
create or replace trigger sum_changed after update on matrice.workflow_steps referencing old table as removed new table as added
for each statement execute function matrice_private.sum_steps();
create or replace trigger sum_removed after delete on matrice.workflow_steps referencing old table as removed
for each statement execute function matrice_private.sum_steps();
create or replace trigger sum_added after insert on matrice.workflow_runs referencing new table as added
for each statement execute function matrice_private.sum_runs();
create or replace trigger sum_changed after update on matrice.workflow_runs referencing old table as removed new table as added
for each statement execute function matrice_private.sum_runs();
create or replace trigger sum_removed after delete on matrice.workflow_runs referencing old table as removed
for each statement execute function matrice_private.sum_runs();
create or replace trigger take_away_run before delete on matrice.workflow_runs
for each row execute function matrice_private.take_away_run();
create or replace trigger move_run after update of workflow_id, phase on matrice.workflow_runs
for each row when ((old.workflow_id, old.phase) is distinct from (new.workflow_id, new.phase))
execute function matrice_private.move_run();
create or replace trigger forget_metrics after delete on matrice.projects
for each row execute function matrice_private.forget_rows('metric_changes', 'metrics', 'metric_run_models', 'metric_purges');

-- Adding up ---------------------------------------------------------------------------------------------------------

create or replace function matrice_private.model_states(project_id uuid, last_id bigint) returns table (
  run_id uuid, model text, old_at timestamptz, old_workflow text, old_phase text, old_status text,
  at timestamptz, workflow_id text, phase text, status text
)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Every step looks rows up by an index: the planner does not know how many changes there are.
  with due as materialized (
    select c.run_id, coalesce(c.model, '') as model, c.step_status is not null and c.steps > 0 as is_call,
           bool_or(c.must_count) over (partition by c.run_id) as must_count
      from matrice_private.metric_changes c
     where c.project_id = model_states.project_id and c.id <= last_id
  ), pairs as materialized (
    select d.run_id, d.model, d.must_count from due d where d.is_call
    union
    select t.run_id, m.model, t.must_count
      from (select distinct d.run_id, d.must_count from due d) t
     cross join lateral (
       select m.run_id, m.model from matrice_private.metric_run_models m
        where m.project_id = model_states.project_id and m.run_id = t.run_id offset 0) m
  )
  select p.run_id, p.model, o.at, o.workflow_id, o.phase, o.status, r.at, r.workflow_id, r.phase, r.status
    from pairs p
    left join lateral (
      select m.* from matrice_private.metric_run_models m
       where m.project_id = model_states.project_id and m.run_id = p.run_id and m.model = p.model offset 0) o on true
    left join lateral (
      select matrice_private.quarter(r.started_at) as at, r.workflow_id, r.phase, r.status
        from matrice.workflow_runs r where r.id = p.run_id offset 0
    ) r on not p.must_count or exists (
      select from (
        select s.model, s.status from matrice.workflow_steps s
         where s.project_id = model_states.project_id and s.run_id = p.run_id offset 0) s
       where coalesce(s.model, '') = p.model and s.status in ('success', 'failed', 'skipped'));
end;
comment on function matrice_private.model_states is
  'Returns under what the calls of models by runs are counted, and under what they must be, where changes concern them. Null: '
  'not at all. last_id: the last of metric_changes to look at. In one statement it sees the same as fresh_cells.';

create or replace function matrice_private.fresh_cells(project_id uuid, last_id bigint, kinds text[]) returns table (
  kind text, at timestamptz, workflow_id text, phase text, user_id text, model text, step_name text, step_status text,
  runs numeric, succeeded numeric, failed numeric, running numeric, cancelled numeric,
  steps numeric, failed_steps numeric, skipped_steps numeric, retried_steps numeric, priced_steps numeric,
  unpriced_steps numeric, tokens_input numeric, tokens_output numeric, cached_tokens numeric, cost_usd numeric, latencies bytea
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with facts as materialized (
    select case when c.step_status is null then 'run' else 'step' end as fact,
           c.at, c.workflow_id, c.phase, c.user_id, c.model, c.step_name, c.step_status,
           c.runs, c.succeeded, c.failed, c.running, c.cancelled, c.steps, c.failed_steps, c.skipped_steps, c.retried_steps,
           c.priced_steps, c.unpriced_steps, c.tokens_input, c.tokens_output, c.cached_tokens, c.cost_usd, c.latencies
      from matrice_private.metric_changes c
     where c.project_id = fresh_cells.project_id and c.id <= last_id
    union all
    select 'call', s.at, s.workflow_id, s.phase, null, nullif(m.model, ''), null, null,
           s.times, s.times * (s.status = 'completed')::integer, s.times * (s.status = 'failed')::integer,
           s.times * (s.status = 'running')::integer, s.times * (s.status = 'cancelled')::integer,
           0, 0, 0, 0, 0, 0, 0, 0, 0, 0, null
      from matrice_private.model_states(fresh_cells.project_id, last_id) m
     cross join lateral (values
             (1, m.at, m.workflow_id, m.phase, m.status), (-1, m.old_at, m.old_workflow, m.old_phase, m.old_status)
           ) s (times, at, workflow_id, phase, status)
     where s.at is not null
  ), kept as (
    select k.kind, f.at,
           case when k.kind in ('workflow', 'all', 'runs', 'calls') then f.workflow_id end as workflow_id,
           case when k.kind in ('phase', 'all', 'runs', 'calls') then f.phase end as phase,
           case when k.kind = 'user' then f.user_id end as user_id,
           case when k.kind in ('model', 'all', 'calls') then f.model end as model,
           case when k.kind in ('step', 'all') then f.step_name end as step_name,
           case when k.kind = 'all' then f.step_status end as step_status,
           f.runs, f.succeeded, f.failed, f.running, f.cancelled, f.steps, f.failed_steps, f.skipped_steps, f.retried_steps,
           f.priced_steps, f.unpriced_steps, f.tokens_input, f.tokens_output, f.cached_tokens, f.cost_usd, f.latencies
      from facts f
      join (values
        ('run', 'total'), ('run', 'workflow'), ('run', 'phase'), ('run', 'user'), ('run', 'runs'),
        ('call', 'model'), ('call', 'calls'),
        ('step', 'total'), ('step', 'workflow'), ('step', 'phase'), ('step', 'user'), ('step', 'model'), ('step', 'step'),
        ('step', 'all')
      ) k (fact, kind) on k.fact = f.fact and k.kind = any (kinds)
  )
  select k.kind, k.at, k.workflow_id, k.phase, k.user_id, k.model, k.step_name, k.step_status,
         sum(k.runs), sum(k.succeeded), sum(k.failed), sum(k.running), sum(k.cancelled), sum(k.steps), sum(k.failed_steps),
         sum(k.skipped_steps), sum(k.retried_steps), sum(k.priced_steps), sum(k.unpriced_steps), sum(k.tokens_input),
         sum(k.tokens_output), sum(k.cached_tokens), sum(k.cost_usd), matrice._merge_latencies(array_agg(k.latencies))
    from kept k
   group by k.kind, k.at, k.workflow_id, k.phase, k.user_id, k.model, k.step_name, k.step_status
$$;
comment on function matrice_private.fresh_cells is
  'Adds up metric_changes of a project, for each quarter of an hour. last_id: the last of them. kinds: what the sums are '
  'divided by. total: nothing. workflow, phase, user, model, step: only this. all: all of them but user, and the status of '
  'steps. runs: runs by workflow and phase. calls: runs by workflow, phase and the models that they called.';

create or replace function matrice_private.merge_metrics(project_id uuid, most integer default 5000) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- A plan that was made when the tables were small must not scan them when they are large.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  last_id bigint;
begin
  -- One at a time for each project. Nobody waits: whoever comes meanwhile leaves it to the next one. At other isolation levels, a
  -- row that another transaction has written meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed'
     or not pg_try_advisory_xact_lock(hashtext('matrice.metrics'), hashtext(project_id::text)) then
    return;
  end if;
  last_id := (
    select max(c.id)
      from (select c.id from matrice_private.metric_changes c
             where c.project_id = merge_metrics.project_id order by c.id limit most) c);
  if last_id is null then
    return;
  end if;
  -- One statement, so that all its parts see the same changes: others may commit some with lower ids meanwhile.
  with states as materialized (
    select m.* from matrice_private.model_states(merge_metrics.project_id, last_id) m
  ), kept as (
    insert into matrice_private.metric_run_models (project_id, run_id, model, at, workflow_id, phase, status)
    select merge_metrics.project_id, s.run_id, s.model, s.at, s.workflow_id, s.phase, s.status
      from states s
     where s.at is not null
       and (s.at, s.workflow_id, s.phase, s.status) is distinct from (s.old_at, s.old_workflow, s.old_phase, s.old_status)
    on conflict on constraint metric_run_models_pkey do update
      set at = excluded.at, workflow_id = excluded.workflow_id, phase = excluded.phase, status = excluded.status
  ), gone as (
    delete from matrice_private.metric_run_models m
     using states s
     where m.project_id = merge_metrics.project_id and m.run_id = s.run_id and m.model = s.model and s.at is null
  ), done as (
    delete from matrice_private.metric_changes c where c.project_id = merge_metrics.project_id and c.id <= last_id
  ), cells as materialized (
    select f.* from matrice_private.fresh_cells(
             merge_metrics.project_id, last_id,
             array['total', 'workflow', 'phase', 'user', 'model', 'step', 'all', 'runs', 'calls']) f
  )
  insert into matrice_private.metrics as m (
    project_id, kind, is_day, at, key, workflow_id, phase, user_id, model, step_name, step_status,
    runs, succeeded, failed, running, cancelled, steps, failed_steps, skipped_steps, retried_steps, priced_steps,
    unpriced_steps, tokens_input, tokens_output, cached_tokens, cost_usd, latencies)
  select merge_metrics.project_id, c.kind, d.is_day, d.at,
         md5(row(c.workflow_id, c.phase, c.user_id, c.model, c.step_name, c.step_status)::text)::uuid,
         c.workflow_id, c.phase, c.user_id, c.model, c.step_name, c.step_status,
         sum(c.runs), sum(c.succeeded), sum(c.failed), sum(c.running), sum(c.cancelled), sum(c.steps), sum(c.failed_steps),
         sum(c.skipped_steps), sum(c.retried_steps), sum(c.priced_steps), sum(c.unpriced_steps), sum(c.tokens_input),
         sum(c.tokens_output), sum(c.cached_tokens), sum(c.cost_usd), matrice._merge_latencies(array_agg(c.latencies))
    from cells c
   cross join lateral (values (false, c.at), (true, date_trunc('day', c.at, 'UTC'))) d (is_day, at)
   group by c.kind, d.is_day, d.at, c.workflow_id, c.phase, c.user_id, c.model, c.step_name, c.step_status
  on conflict on constraint metrics_pkey do update
    set runs = m.runs + excluded.runs, succeeded = m.succeeded + excluded.succeeded, failed = m.failed + excluded.failed,
        running = m.running + excluded.running, cancelled = m.cancelled + excluded.cancelled,
        steps = m.steps + excluded.steps, failed_steps = m.failed_steps + excluded.failed_steps,
        skipped_steps = m.skipped_steps + excluded.skipped_steps, retried_steps = m.retried_steps + excluded.retried_steps,
        priced_steps = m.priced_steps + excluded.priced_steps, unpriced_steps = m.unpriced_steps + excluded.unpriced_steps,
        tokens_input = m.tokens_input + excluded.tokens_input, tokens_output = m.tokens_output + excluded.tokens_output,
        cached_tokens = m.cached_tokens + excluded.cached_tokens, cost_usd = m.cost_usd + excluded.cost_usd,
        latencies = matrice._merge_latencies(array[m.latencies, excluded.latencies]);
end
$$;
comment on function matrice_private.merge_metrics is
  'Adds up metric_changes of a project in metrics, unless somebody else is doing it. SECURITY DEFINER: no client may read or '
  'write these tables. Defaults: most 5000.';

create or replace function matrice_private.merge_waiting(project_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  given   uuid;
  waiting bigint;
begin
  foreach given in array project_ids loop
    select count(*) into waiting
      from (select from matrice_private.metric_changes c where c.project_id = given limit 20000) c;
    if waiting > 500 then
      perform matrice_private.merge_metrics(given, 20000);
    end if;
  end loop;
end
$$;
comment on function matrice_private.merge_waiting is
  'Adds up what many statements have left in metric_changes. One statement in 64 does it for all.';

-- Counting again, and purging ---------------------------------------------------------------------------------------

create or replace function matrice_private.rebuild_sums(project_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  since timestamptz := coalesce(
    (select p.purged_to from matrice_private.metric_purges p where p.project_id = rebuild_sums.project_id), '-infinity');
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'metrics can only be rebuilt at the isolation level read committed'
      using errcode = '25001', hint = 'Call this in a transaction of its own.';
  end if;
  perform pg_advisory_xact_lock(hashtext('matrice.metrics'), hashtext(project_id::text));
  perform matrice_private.sum_again(project_id, since);
  delete from matrice_private.metrics m where m.project_id = rebuild_sums.project_id and m.at >= since;
  delete from matrice_private.metric_run_models m where m.project_id = rebuild_sums.project_id and m.at >= since;
  while exists (select from matrice_private.metric_changes c where c.project_id = rebuild_sums.project_id) loop
    perform matrice_private.merge_metrics(project_id, 100000);
  end loop;
end
$$;
comment on function matrice_private.rebuild_sums is
  'Does what rebuild_metrics does. It does not check the caller: it is for services and rebuild_sums_as_owner. SECURITY '
  'DEFINER: no client may read or write the sums.';

create or replace function matrice_private.purge_some(project_id uuid, older_than timestamptz, most integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  -- A whole day, so that rebuild_metrics can leave the days before it alone.
  until  timestamptz := date_trunc('day', older_than, 'UTC');
  steps  uuid[] := array(
    select s.id from matrice.workflow_steps s
     where s.project_id = purge_some.project_id and s.executed_at < until
     order by s.executed_at limit most for update skip locked);
  ended  uuid[];
  purged bigint;
begin
  insert into matrice_private.metric_purges as p (project_id, purged_to) values (purge_some.project_id, until)
  on conflict on constraint metric_purges_pkey do update set purged_to = greatest(p.purged_to, excluded.purged_to);
  perform set_config('matrice.is_purging', 'on', true);
  delete from matrice.workflow_steps s where s.id = any (steps);
  get diagnostics purged = row_count;
  ended := array(
    select r.id from matrice.workflow_runs r
     where r.project_id = purge_some.project_id and r.started_at < until and r.status <> 'running'
       and not exists (select from matrice.workflow_steps s where s.project_id = r.project_id and s.run_id = r.id)
     order by r.started_at limit most for update skip locked);
  delete from matrice_private.metric_run_models m where m.project_id = purge_some.project_id and m.run_id = any (ended);
  delete from matrice.workflow_runs r where r.id = any (ended);
  perform set_config('matrice.is_purging', '', true);
  return purged + cardinality(ended);
end
$$;
comment on function matrice_private.purge_some is
  'Does what purge_steps does. It does not check the caller: it is for services and purge_as_owner. SECURITY DEFINER: members '
  'may delete steps, but only this keeps their sums.';

create or replace function matrice_private.require_owner(project_id uuid) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from matrice.user_projects m
     where m.project_id = require_owner.project_id and m.user_id = matrice_private.current_user_id() and m.role = 'owner') then
    raise exception 'this needs the role owner'
      using errcode = '42501', detail = 'Only owners can rebuild sums and purge steps.', hint = 'Ask an owner of the project.';
  end if;
end
$$;
comment on function matrice_private.require_owner is
  'Raises an error unless the user of the session owns the project. SECURITY DEFINER: for functions that run as the owner of '
  'the tables, where row-level security does not tell.';

create or replace function matrice_private.rebuild_sums_as_owner(project_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_owner(project_id);
  perform matrice_private.rebuild_sums(project_id);
end
$$;
comment on function matrice_private.rebuild_sums_as_owner is
  'Counts the sums of a project again, for its owners. SECURITY DEFINER: clients may not write sums.';

create or replace function matrice_private.purge_as_owner(project_id uuid, older_than timestamptz, most integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_owner(project_id);
  return matrice_private.purge_some(project_id, older_than, most);
end
$$;
comment on function matrice_private.purge_as_owner is
  'Purges steps of a project, for its owners. SECURITY DEFINER: only so are their sums kept.';

create or replace function matrice.rebuild_metrics(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.workflow_steps') then
    perform matrice_private.rebuild_sums_as_owner(project_id);
  else
    perform matrice_private.rebuild_sums(project_id);
  end if;
end
$$;
comment on function matrice.rebuild_metrics is
  'Counts again what workflow_metrics reads, from the runs and steps of a project. It is needed only after rows were loaded '
  'without their triggers. What was counted before the steps were purged stays. Nobody who records steps waits. Needs the role '
  'owner.';

create or replace function matrice.purge_steps(project_id uuid, older_than timestamptz, most integer default 10000)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('older_than', older_than);
  perform matrice_private.require_time('older_than', older_than);
  perform matrice_private.require_given('most', most);
  if most not between 1 and 1000000 then
    raise exception 'most must be between 1 and 1000000, not %', most
      using errcode = '22023', hint = 'Call it again until it returns 0.';
  end if;
  if older_than > now() then
    raise exception 'older_than must not be in the future'
      using errcode = '22023', detail = format('It is %s.', older_than), hint = 'Pass the time of the oldest step to keep.';
  end if;
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.workflow_steps') then
    return matrice_private.purge_as_owner(project_id, older_than, most);
  end if;
  return matrice_private.purge_some(project_id, older_than, most);
end
$$;
comment on function matrice.purge_steps is
  'Deletes steps of a project that were executed before the day of older_than (in UTC), and the runs of that time that have '
  'ended and have no step any more. workflow_metrics still counts them. Returns how many rows it deleted. Call it again until '
  'it returns 0. most: how many steps, and how many runs, to delete at once. Needs the role owner. Defaults: most 10000.';

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
