-- Figures of a project's runs and steps. Most are read from sums, which 57_metric_sums.sql writes; what is new is added.

create or replace function matrice_private.metric_buckets(group_by text, at timestamptz, time_zone text) returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select case when group_by in ('hour', 'day', 'week', 'month') then date_trunc(group_by, at, time_zone) end;
end;
comment on function matrice_private.metric_buckets is
  'Returns when the hour, day, week or month begins that a time is in. Null for groups that are no times.';

create or replace function matrice_private.metric_label(group_by text, begins timestamptz, time_zone text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  local_time   timestamp := begins at time zone time_zone;
  minutes_east integer := extract(epoch from local_time - begins at time zone 'UTC') / 60;
begin
  return case group_by
    when 'month' then to_char(local_time, 'YYYY-MM')
    -- With the offset, because in autumn an hour comes twice.
    when 'hour' then to_char(local_time, 'YYYY-MM-DD"T"HH24:MI') || case
      when time_zone = 'UTC' then 'Z'
      else to_char(minutes_east / 60, 'SG00') || to_char(abs(minutes_east) % 60, 'FM":"00') end
    else to_char(local_time, 'YYYY-MM-DD') end;
end
$$;
comment on function matrice_private.metric_label is 'Returns how workflow_metrics writes an hour, day, week or month.';

create or replace function matrice_private.parts_of_days(
  days timestamptz[], since timestamptz, until timestamptz, group_by text, time_zone text
) returns table (day timestamptz, rest_at timestamptz, first timestamptz, last timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with trimmed as (
    select d.day, d.day + interval '24 hours' as ends, d.day >= since and d.day + interval '24 hours' <= until as is_inside,
           group_by in ('hour', 'day', 'week', 'month') as is_cut
      from unnest(days) d (day)
  ), cut as (
    -- The first quarter of the last bucket of the day.
    select t.*, date_bin('15 minutes', b.at - interval '1 microsecond', '2000-01-01 00:00Z') + interval '15 minutes' as next
      from trimmed t
     cross join lateral (
       select case when t.is_cut then date_trunc(group_by, t.ends - interval '15 minutes', time_zone) end as at) b
  ), ways as (
    -- one: the day is in one bucket. Of two buckets, first or last is the shorter part. quarters: the sums of the day say nothing.
    select c.*,
           case when not c.is_inside then 'quarters'
                when not c.is_cut or c.next <= c.day then 'one'
                when date_trunc(group_by, c.day, time_zone) <> date_trunc(group_by, c.next - interval '15 minutes', time_zone)
                then 'quarters'
                when c.next - c.day <= interval '12 hours' then 'first'
                else 'last' end as way
      from cut c
  )
  select w.day,
         case w.way when 'one' then w.day when 'first' then w.next when 'last' then w.day end,
         case w.way when 'one' then null when 'first' then w.day when 'last' then w.next else greatest(w.day, since) end,
         case w.way when 'one' then null when 'first' then w.next else least(w.ends, until) end
    from ways w
$$;
comment on function matrice_private.parts_of_days is
  'Returns how the sums of days in UTC are read with few rows. rest_at: where the sums of the whole day count; null: they are '
  'not read. first, last: from when until when the quarters of an hour are read; null: they are not. If both are given, a bucket '
  'ends within the day: what the shorter part holds counts there, and is taken away at rest_at.';

create or replace function matrice_private.metric_cells(
  project_id uuid, since timestamptz, until timestamptz, kinds text[], group_by text, time_zone text, filters jsonb
) returns setof matrice_private.metrics
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  days timestamptz[];
begin
  days := array(
    select distinct m.at from matrice_private.metrics m
     where m.project_id = metric_cells.project_id and m.kind = any (kinds) and m.is_day
       and m.at >= date_trunc('day', since, 'UTC') and m.at < until);
  return query
    with parts as materialized (
      select p.* from matrice_private.parts_of_days(days, since, until, group_by, time_zone) p
    )
    select m.project_id, m.kind, m.is_day, p.rest_at, m.key, m.workflow_id, m.phase, m.user_id, m.model, m.step_name,
           m.step_status, m.runs, m.succeeded, m.failed, m.running, m.cancelled, m.steps, m.failed_steps, m.skipped_steps,
           m.retried_steps, m.priced_steps, m.unpriced_steps, m.tokens_input, m.tokens_output, m.cached_tokens, m.cost_usd, m.latencies
      from unnest(kinds) k (kind)
     cross join parts p
     cross join lateral (
       select m.* from matrice_private.metrics m
        where m.project_id = metric_cells.project_id and m.kind = k.kind and m.is_day and m.at = p.day
          and (filters ->> 'model' is null or m.model = filters ->> 'model') offset 0) m
     where p.rest_at is not null
    union all
    select metric_cells.project_id, s.kind, false, t.at, null::uuid, s.workflow_id, s.phase, s.user_id, s.model, s.step_name,
           s.step_status, t.times * s.runs, t.times * s.succeeded, t.times * s.failed, t.times * s.running, t.times * s.cancelled,
           t.times * s.steps, t.times * s.failed_steps, t.times * s.skipped_steps, t.times * s.retried_steps,
           t.times * s.priced_steps, t.times * s.unpriced_steps, t.times * s.tokens_input, t.times * s.tokens_output,
           t.times * s.cached_tokens, t.times * s.cost_usd,
           case when t.times = 1 then s.latencies else matrice._negate_latencies(s.latencies) end
      from (
        -- Added up at once, because each row that is passed on costs more than its sums.
        select m.kind, p.rest_at, min(m.at) as at, m.workflow_id, m.phase, m.user_id, m.model, m.step_name, m.step_status,
               sum(m.runs)::bigint as runs, sum(m.succeeded)::bigint as succeeded, sum(m.failed)::bigint as failed,
               sum(m.running)::bigint as running, sum(m.cancelled)::bigint as cancelled, sum(m.steps)::bigint as steps,
               sum(m.failed_steps)::bigint as failed_steps, sum(m.skipped_steps)::bigint as skipped_steps,
               sum(m.retried_steps)::bigint as retried_steps, sum(m.priced_steps)::bigint as priced_steps,
               sum(m.unpriced_steps)::bigint as unpriced_steps, sum(m.tokens_input) as tokens_input,
               sum(m.tokens_output) as tokens_output, sum(m.cached_tokens) as cached_tokens, sum(m.cost_usd) as cost_usd,
               matrice._merge_latencies(array_agg(m.latencies) filter (where m.latencies is not null)) as latencies
          from unnest(kinds) k (kind)
         cross join parts p
         cross join lateral (
           select m.* from matrice_private.metrics m
            where m.project_id = metric_cells.project_id and m.kind = k.kind and not m.is_day
              and m.at >= p.first and m.at < p.last
              and (filters ->> 'model' is null or m.model = filters ->> 'model') offset 0) m
         where p.first is not null
         group by m.kind, p.rest_at, m.workflow_id, m.phase, m.user_id, m.model, m.step_name, m.step_status,
                  case when group_by in ('hour', 'day', 'week', 'month') then date_trunc(group_by, m.at, time_zone) end
      ) s
     cross join lateral (values (1, s.at), (-1, s.rest_at)) t (times, at)
     where t.at is not null;
end
$$;
comment on function matrice_private.metric_cells is
  'Returns the sums of a project from since until until, as few rows as can be: of days where they do, else of quarters of an '
  'hour, added up by hour, day, week or month. A row may have to be taken away: then its figures are negative.';

create or replace function matrice_private.metrics_of(
  project_id uuid, since timestamptz, until timestamptz, group_by text, time_zone text, filters jsonb
) returns table (
  at timestamptz, bucket text, runs numeric, succeeded numeric, failed numeric, running numeric, cancelled numeric, steps numeric,
  failed_steps numeric, skipped_steps numeric, retried_steps numeric, priced_steps numeric, unpriced_steps numeric,
  tokens_input numeric, tokens_output numeric, cached_tokens numeric, cost_usd numeric, latency double precision[]
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  is_time boolean := group_by in ('hour', 'day', 'week', 'month');
  -- What the sums must be divided by: the group, and what is filtered by. A provider is that of the model.
  needed  text[] := array(
    select case k when 'provider' then 'model' else k end from jsonb_object_keys(filters) k
    union
    select case group_by when 'provider' then 'model' else group_by end where not is_time);
  of_steps text := case when needed = '{}' then 'total' when cardinality(needed) = 1 and needed <> '{status}' then needed[1]
                        else 'all' end;
  -- The status is that of steps. Of runs by step, nothing is known.
  of_runs text := case when 'step' = any (needed) then 'step'
                       when array_remove(needed, 'status') = '{}' then 'total'
                       when cardinality(array_remove(needed, 'status')) = 1 then (array_remove(needed, 'status'))[1]
                       when 'model' = any (needed) then 'calls'
                       else 'runs' end;
  kinds   text[] := array(select distinct k from unnest(array[of_steps, of_runs]) k);
  first   timestamptz := matrice_private.quarter(greatest(since, '1900-01-01 00:00Z'));
  last    timestamptz := least(until, '2200-01-02 00:00Z');
begin
  return query
  with cells as materialized (
    select m.kind, m.at, m.workflow_id, m.phase, m.user_id, m.model, m.step_name, m.step_status,
           m.runs::numeric, m.succeeded::numeric, m.failed::numeric, m.running::numeric, m.cancelled::numeric, m.steps::numeric,
           m.failed_steps::numeric, m.skipped_steps::numeric, m.retried_steps::numeric, m.priced_steps::numeric,
           m.unpriced_steps::numeric, m.tokens_input, m.tokens_output, m.cached_tokens, m.cost_usd, m.latencies
      from matrice_private.metric_cells(metrics_of.project_id, first, last, kinds, group_by, time_zone, filters) m
    union all
    select f.kind, f.at, f.workflow_id, f.phase, f.user_id, f.model, f.step_name, f.step_status,
           f.runs, f.succeeded, f.failed, f.running, f.cancelled, f.steps, f.failed_steps, f.skipped_steps, f.retried_steps,
           f.priced_steps, f.unpriced_steps, f.tokens_input, f.tokens_output, f.cached_tokens, f.cost_usd, f.latencies
      from matrice_private.fresh_cells(metrics_of.project_id, kinds) f
     where f.at >= first and f.at < last
  ), fitting as (
    select case when is_time then date_trunc(group_by, c.at, time_zone) end as begins,
           case group_by when 'workflow' then c.workflow_id when 'phase' then c.phase when 'user' then c.user_id
                         when 'model' then c.model when 'provider' then c.model when 'step' then c.step_name end as named,
           c.kind = of_runs as is_of_runs, c.kind = of_steps as is_of_steps, c.*
      from cells c
     where (not filters ? 'model' or c.model = filters ->> 'model')
       and (not filters ? 'workflow' or c.workflow_id = filters ->> 'workflow')
       and (not filters ? 'phase' or c.phase = filters ->> 'phase')
       and (not filters ? 'status' or c.kind <> of_steps or c.step_status = filters ->> 'status')
  ), named as materialized (
    select n.model, p.provider
      from (select distinct f.named as model from fitting f where group_by = 'provider') n
      left join lateral (
        select min(p.provider) as provider from matrice.model_prices p
         where p.model = matrice_private.resolve_model(n.model, null)) p on true
  ), summed as (
    select f.begins, case group_by when 'provider' then n.provider else f.named end as named,
           sum(f.runs) filter (where is_of_runs) as runs, sum(f.succeeded) filter (where is_of_runs) as succeeded,
           sum(f.failed) filter (where is_of_runs) as failed, sum(f.running) filter (where is_of_runs) as running,
           sum(f.cancelled) filter (where is_of_runs) as cancelled,
           coalesce(sum(f.steps) filter (where is_of_steps), 0) as steps,
           coalesce(sum(f.failed_steps) filter (where is_of_steps), 0) as failed_steps,
           coalesce(sum(f.skipped_steps) filter (where is_of_steps), 0) as skipped_steps,
           coalesce(sum(f.retried_steps) filter (where is_of_steps), 0) as retried_steps,
           coalesce(sum(f.priced_steps) filter (where is_of_steps), 0) as priced_steps,
           coalesce(sum(f.unpriced_steps) filter (where is_of_steps), 0) as unpriced_steps,
           coalesce(sum(f.tokens_input) filter (where is_of_steps), 0) as tokens_input,
           coalesce(sum(f.tokens_output) filter (where is_of_steps), 0) as tokens_output,
           coalesce(sum(f.cached_tokens) filter (where is_of_steps), 0) as cached_tokens,
           coalesce(sum(f.cost_usd) filter (where is_of_steps), 0) as cost_usd,
           array_agg(f.latencies) filter (where is_of_steps and f.latencies is not null) as latencies
      from fitting f left join named n on group_by = 'provider' and n.model is not distinct from f.named
     group by 1, 2
  )
  select s.begins, case when is_time then matrice_private.metric_label(group_by, s.begins, time_zone) else s.named end,
         case when of_runs <> 'step' and group_by <> 'provider' then coalesce(s.runs, 0) end,
         case when of_runs <> 'step' and group_by <> 'provider' then coalesce(s.succeeded, 0) end,
         case when of_runs <> 'step' and group_by <> 'provider' then coalesce(s.failed, 0) end,
         case when of_runs <> 'step' and group_by <> 'provider' then coalesce(s.running, 0) end,
         case when of_runs <> 'step' and group_by <> 'provider' then coalesce(s.cancelled, 0) end,
         s.steps, s.failed_steps, s.skipped_steps, s.retried_steps, s.priced_steps, s.unpriced_steps,
         s.tokens_input, s.tokens_output, s.cached_tokens, s.cost_usd,
         matrice._latency_percentiles(coalesce(s.latencies, '{}'), array[0.5, 0.95, 0.99])
    from summed s
   where s.steps <> 0 or s.runs <> 0 or s.cost_usd <> 0 or s.tokens_input <> 0 or s.tokens_output <> 0;
end
$$;
comment on function matrice_private.metrics_of is
  'Returns what workflow_metrics needs. filters: model, workflow, phase, status. It does not check the caller: it is for '
  'services and metrics_of_member. SECURITY DEFINER: no client may read the sums.';

create or replace function matrice_private.metrics_of_member(
  project_id uuid, since timestamptz, until timestamptz, group_by text, time_zone text, filters jsonb
) returns table (
  at timestamptz, bucket text, runs numeric, succeeded numeric, failed numeric, running numeric, cancelled numeric, steps numeric,
  failed_steps numeric, skipped_steps numeric, retried_steps numeric, priced_steps numeric, unpriced_steps numeric,
  tokens_input numeric, tokens_output numeric, cached_tokens numeric, cost_usd numeric, latency double precision[]
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select m.* -- noqa: AM04
    from unnest(matrice_private.projects_of_member(array[project_id])) p (id)
   cross join lateral matrice_private.metrics_of(p.id, since, until, group_by, time_zone, filters) m;
end;
comment on function matrice_private.metrics_of_member is
  'Returns what metrics_of does, and nothing of projects where the caller is not a member. SECURITY DEFINER: no client may '
  'read the sums.';

create or replace function matrice_private.is_time_zone(name text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Only names: PostgreSQL reads abbreviations and texts like EST5 in its own way. A name with a slash and no digit is neither.
  -- pg_timezone_names reads all files of the database of time zones, which takes longer than the figures.
  if name = 'UTC' then
    return true;
  elsif octet_length(name) > 100 then
    return false;
  elsif name ~ '^[A-Za-z_]+(/[A-Za-z_]+(-[A-Za-z_]+)*)+$' then
    return timestamp '2000-01-01' at time zone name is not null;
  end if;
  return exists (select from pg_timezone_names z where z.name = is_time_zone.name);
exception when invalid_parameter_value then
  return false;
end
$$;
comment on function matrice_private.is_time_zone is 'Returns whether a text is a name of the IANA time zone database.';

create or replace function matrice_private.require_time_zone(time_zone text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_text('time_zone', time_zone);
  if not matrice_private.is_time_zone(time_zone) then
    raise exception 'unknown time zone: %', quote_literal(left(time_zone, 100))
      using errcode = '22023', hint = 'Pass a name of the IANA time zone database, such as Europe/Paris or UTC.';
  end if;
end
$$;
comment on function matrice_private.require_time_zone is
  'Raises an error unless a time zone is a name of the IANA time zone database.';

create or replace function matrice_private.metric_filters(model text, workflow text, phase text, status text, group_by text)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_bytes('workflow', workflow, 200);
  if phase is not null then
    perform matrice_private.require_phase('phase', phase);
  end if;
  if status is not null then
    perform matrice_private.require_one_of('status', status, array['success', 'failed', 'skipped']);
  end if;
  if group_by = 'user' and num_nonnulls(model, workflow, phase, status) > 0 then
    raise exception 'group_by user cannot be combined with model, workflow, phase or status'
      using errcode = '22023', detail = 'The sums of users are not divided further.', hint = 'Leave these arguments out.';
  end if;
  return jsonb_strip_nulls(jsonb_build_object('model', model, 'workflow', workflow, 'phase', phase, 'status', status));
end
$$;
comment on function matrice_private.metric_filters is
  'Returns the filters of workflow_metrics as an object, without those that are null. Raises an error if one is wrong.';

create or replace function matrice_private.empty_buckets(since timestamptz, until timestamptz, group_by text, time_zone text)
returns table (at timestamptz, bucket text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  step interval := ('1 ' || group_by)::interval;
begin
  if until <= since then
    return;
  end if;
  -- Infinite times cannot be subtracted.
  if extract(epoch from least(until, '2300-01-01 00:00Z') - greatest(since, '1800-01-01 00:00Z'))
     / extract(epoch from step) > 10000 or since < '1900-01-01 00:00Z' or until > '2200-01-01 00:00Z' then
    raise exception 'too many buckets to fill'
      using errcode = '22023', detail = format('From %s until %s by %s; at most 10000 are allowed.', since, until, group_by),
            hint = 'Choose a shorter time, or a longer bucket.';
  end if;
  return query
    select distinct on (b.at) b.at, matrice_private.metric_label(group_by, b.at, time_zone)
      from (
        select h as at
          from generate_series(date_trunc('hour', since, time_zone), until, step) h where group_by = 'hour'
        union all
        -- By the calendar, because not every day has 24 hours.
        select d at time zone time_zone
          from generate_series(date_trunc(group_by, since at time zone time_zone), until at time zone time_zone, step) d
         where group_by <> 'hour'
      ) b
     where b.at < until
       -- A day that a time zone has skipped.
       and matrice_private.metric_buckets(group_by, b.at, time_zone) = b.at
     order by b.at;
end
$$;
comment on function matrice_private.empty_buckets is 'Returns all hours, days, weeks or months from since until until.';

create or replace function matrice.workflow_metrics(
  project_id uuid, since timestamptz, until timestamptz default now(), group_by text default 'day',
  time_zone text default 'UTC', fill boolean default false,
  model text default null, workflow text default null, phase text default null, status text default null
) returns table (
  bucket text, runs bigint, succeeded bigint, failed bigint, success_rate double precision, steps bigint,
  tokens_input bigint, tokens_output bigint, cost_usd numeric,
  p50_ms double precision, p95_ms double precision, p99_ms double precision,
  running bigint, cancelled bigint, failed_steps bigint, skipped_steps bigint, retried_steps bigint, unpriced_steps bigint,
  cached_tokens bigint, cache_share double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  is_time   boolean := group_by in ('hour', 'day', 'week', 'month');
  is_member boolean;
  filters   jsonb;
begin
  perform matrice_private.require_one_of('group_by', group_by, array[
    'hour', 'day', 'week', 'month', 'workflow', 'phase', 'model', 'provider', 'step', 'user']);
  perform matrice_private.require_given('since', since);
  perform matrice_private.require_given('until', until);
  perform matrice_private.require_given('fill', fill);
  perform matrice_private.require_time_zone(time_zone);
  filters := matrice_private.metric_filters(
    workflow_metrics.model, workflow_metrics.workflow, workflow_metrics.phase, workflow_metrics.status, group_by);
  perform matrice_private.require_role(project_id, 'viewer');
  is_member := row_security_active('matrice.workflow_steps');
  return query
    with counted as (
      select m.* from matrice_private.metrics_of_member(
               workflow_metrics.project_id, since, until, group_by, time_zone, filters) m where is_member
      union all
      select m.* from matrice_private.metrics_of(
               workflow_metrics.project_id, since, until, group_by, time_zone, filters) m where not is_member
    ), filled as (
      select c.* from counted c
      union all
      select e.at, e.bucket, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, array[null, null, null]::double precision[]
        from matrice_private.empty_buckets(since, until, group_by, time_zone) e
       where fill and is_time and e.at not in (select c.at from counted c)
    )
    select f.bucket, f.runs::bigint, f.succeeded::bigint, f.failed::bigint,
           (f.succeeded / nullif(f.succeeded + f.failed, 0))::double precision,
           f.steps::bigint, f.tokens_input::bigint, f.tokens_output::bigint,
           case when f.priced_steps > 0 or f.cost_usd <> 0 then f.cost_usd end,
           f.latency[1], f.latency[2], f.latency[3],
           f.running::bigint, f.cancelled::bigint, f.failed_steps::bigint, f.skipped_steps::bigint, f.retried_steps::bigint,
           f.unpriced_steps::bigint, f.cached_tokens::bigint,
           (f.cached_tokens / nullif(f.tokens_input, 0))::double precision
      from filled f
     order by f.at, f.bucket;
end
$$;
comment on function matrice.workflow_metrics is
  'Returns figures of a project''s workflow runs: one row for each hour, day, week, month, workflow, phase, model, provider, '
  'step or user. bucket: which of them the row is for. since, until: counts the runs that started, and the steps that were '
  'executed, from the quarter of an hour of since, and before until. group_by: hour, day, week or month, workflow, phase, '
  'model, provider, step or user. time_zone: whose hours, days, weeks and months are meant; a name such as Europe/Paris. '
  'Weeks begin on Monday. fill: whether hours, days, weeks and months without runs have a row, too. model, workflow, phase, '
  'status: counts only steps of this model, workflow, phase and status (success, failed or skipped); and runs of this '
  'workflow and phase that called this model. success_rate: succeeded / (succeeded + failed); handlers of failures never '
  'succeed. runs by model are those that called it; runs are null by step and provider. cost_usd: the sum over all attempts '
  'whose cost is known; null if none is known. unpriced_steps: how many have cost something that nobody knows. retried_steps: '
  'attempts after the first. cache_share: cached_tokens / tokens_input. p50_ms, p95_ms, p99_ms: percentiles of the latency of '
  'steps, without skipped steps, within 1 %. All other figures are exact. What purge_steps deleted is still counted. '
  'Defaults: until now(), group_by ''day'', time_zone ''UTC'', fill false, model, workflow, phase and status null.';
