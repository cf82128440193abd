-- Which runs and steps cost most or took longest, and which errors occur. These read the rows themselves.

create or replace function matrice_private.require_top(since timestamptz, until timestamptz, match_count integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('since', since);
  perform matrice_private.require_given('until', until);
  perform matrice_private.require_match_count(match_count);
end
$$;
comment on function matrice_private.require_top is 'Checks the arguments of top_runs, top_steps and step_errors.';

create or replace function matrice.top_runs(
  project_id uuid, since timestamptz, until timestamptz default now(), order_by text default 'cost',
  match_count integer default 10
) returns table (
  run_id uuid, workflow_id text, phase text, status text, started_at timestamptz, completed_at timestamptz, steps bigint,
  tokens_input bigint, tokens_output bigint, cost_usd numeric, unpriced_steps bigint, latency_ms double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_top(since, until, match_count);
  perform matrice_private.require_one_of('order_by', order_by, array['cost', 'tokens', 'latency']);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    with summed as (
      select s.run_id, count(*) filter (where s.corrects is null and s.status <> 'running') as steps,
             sum(s.tokens_input)::bigint as tokens_input, sum(s.tokens_output)::bigint as tokens_output,
             sum(s.cost_usd) as cost_usd, sum(s.latency_ms)::double precision as latency_ms,
             count(*) filter (where matrice_private.is_unpriced(s.cost_usd, s.cost_source, s.status, s.model,
                                                                s.tokens_input + s.tokens_output)
                                and not exists (select from matrice.workflow_steps o
                                                 where o.corrects = s.id and o.cost_usd is not null)) as unpriced_steps
        from matrice.workflow_steps s
       where s.project_id = top_runs.project_id and s.executed_at >= since and s.executed_at < until
       group by s.run_id
    ), ranked as (
      select m.*, case order_by when 'cost' then m.cost_usd
                                when 'tokens' then m.tokens_input + m.tokens_output else m.latency_ms::numeric end as rank
        from summed m
       order by rank desc nulls last, m.run_id
       limit match_count
    )
    select r.id, r.workflow_id, r.phase, r.status, r.started_at, r.completed_at, k.steps, k.tokens_input, k.tokens_output,
           k.cost_usd, k.unpriced_steps, k.latency_ms
      from ranked k
     cross join lateral (
       select r.* from matrice.workflow_runs r where r.project_id = top_runs.project_id and r.id = k.run_id) r
     order by k.rank desc nulls last, r.id;
end
$$;
comment on function matrice.top_runs is
  'Returns the runs of a project whose steps cost most, had most tokens or took longest. since, until: counts the steps that '
  'were executed from since on, and before until. order_by: cost, tokens or latency. latency_ms: the sum over the steps. '
  'cost_usd: the sum of the costs that are known. It reads all steps of that time, but not those that were purged. Defaults: '
  'until now(), order_by ''cost'', match_count 10.';

create or replace function matrice.top_steps(
  project_id uuid, since timestamptz, until timestamptz default now(), order_by text default 'cost',
  match_count integer default 10
) returns table (
  step_id uuid, run_id uuid, step_name text, status text, attempt integer, model text, executed_at timestamptz,
  tokens_input integer, tokens_output integer, cost_usd numeric, latency_ms double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_top(since, until, match_count);
  perform matrice_private.require_one_of('order_by', order_by, array['cost', 'tokens', 'latency']);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select s.id, s.run_id, s.step_name, s.status, s.attempt, s.model, s.executed_at, s.tokens_input, s.tokens_output,
           s.cost_usd::numeric, s.latency_ms::double precision
      from matrice.workflow_steps s
     where s.project_id = top_steps.project_id and s.executed_at >= since and s.executed_at < until and s.corrects is null
     order by case order_by when 'cost' then s.cost_usd
                            when 'tokens' then s.tokens_input::numeric + s.tokens_output
                            else s.latency_ms::numeric end desc nulls last,
              s.id
     limit match_count;
end
$$;
comment on function matrice.top_steps is
  'Returns the steps of a project that cost most, had most tokens or took longest. since, until: of the steps that were '
  'executed from since on, and before until. order_by: cost, tokens or latency. It reads all steps of that time, but not those '
  'that were purged. Defaults: until now(), order_by ''cost'', match_count 10.';

create or replace function matrice.step_errors(
  project_id uuid, since timestamptz, until timestamptz default now(), match_count integer default 10
) returns table (
  error_class text, steps bigint, runs bigint, cost_usd numeric, first_at timestamptz, last_at timestamptz, last_step_id uuid,
  step_names text[]
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_top(since, until, match_count);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select f.error_class, count(*), count(distinct f.run_id), sum(f.cost_usd), min(f.executed_at), max(f.executed_at),
           (array_agg(f.id order by f.executed_at desc, f.id))[1], (array_agg(distinct f.step_name))[1:20]
      from (
        select s.id, s.run_id, s.step_name, s.cost_usd, s.executed_at, matrice_private.error_class(s.error) as error_class
          from matrice.workflow_steps s
         where s.project_id = step_errors.project_id and s.executed_at >= since and s.executed_at < until
           and s.status = 'failed' and s.corrects is null
      ) f
     group by f.error_class
     order by count(*) desc, f.error_class
     limit match_count;
end
$$;
comment on function matrice.step_errors is
  'Returns the errors of a project''s failed steps by class, the most frequent first. error_class: what the error calls '
  'itself: its name, code, type or status; null if it has none. cost_usd: what these attempts cost, as far as known. '
  'step_names: at most 20. since, until: of the steps that were executed from since on, and before until. It reads the steps '
  'of that time, but not those that were purged. Defaults: until now(), match_count 10.';

create or replace function matrice_private.error_class(error jsonb) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- Errors come as {"name", "message"}, and those of APIs as {"error": {"code" or "type", "message"}}. A name that every error
  -- has says least.
  select left(coalesce(
    nullif(nullif(case when jsonb_typeof(error -> 'name') in ('string', 'number') then error ->> 'name' end, ''), 'Error'),
    nullif(case when jsonb_typeof(error -> 'code') in ('string', 'number') then error ->> 'code' end, ''),
    nullif(case when jsonb_typeof(error -> 'type') in ('string', 'number') then error ->> 'type' end, ''),
    nullif(case when jsonb_typeof(error -> 'status') in ('string', 'number') then error ->> 'status' end, ''),
    nullif(case when jsonb_typeof(error #> '{error,code}') in ('string', 'number') then error #>> '{error,code}' end, ''),
    nullif(case when jsonb_typeof(error #> '{error,type}') in ('string', 'number') then error #>> '{error,type}' end, ''),
    nullif(case when jsonb_typeof(error -> 'name') = 'string' then error ->> 'name' end, '')), 200);
end;
comment on function matrice_private.error_class is
  'Returns what an error calls itself; null if it has no name, code, type or status.';
