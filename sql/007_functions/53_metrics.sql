-- Figures of a project's workflow runs.

create or replace function matrice.workflow_metrics(
  project_id uuid, since timestamptz, until timestamptz default now(), group_by text default 'day'
) returns table (
  bucket text, runs bigint, succeeded bigint, failed bigint, success_rate double precision, steps bigint,
  tokens_input bigint, tokens_output bigint, cost_usd numeric,
  p50_ms double precision, p95_ms double precision, p99_ms double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_one_of(
    'group_by', group_by, array['hour', 'day', 'week', 'month', 'workflow', 'phase', 'model']);
  perform matrice_private.require_given('since', since);
  perform matrice_private.require_given('until', until);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    with selected as (
      select r.id, r.is_failure_handler, r.status, r.started_at, r.workflow_id, r.phase
        from matrice.workflow_runs r
       where r.project_id = workflow_metrics.project_id and r.started_at >= since and r.started_at < until
    ), rows as (
      select case group_by
               when 'workflow' then r.workflow_id
               when 'phase' then r.phase
               when 'model' then s.model
               else to_char(date_trunc(group_by, r.started_at at time zone 'UTC'),
                            case group_by
                              when 'hour' then 'YYYY-MM-DD"T"HH24:00"Z"' when 'month' then 'YYYY-MM' else 'YYYY-MM-DD'
                            end)
             end as bucket,
             r.id as run_id, r.is_failure_handler, r.status, s.id as step_id, s.corrects,
             s.tokens_input, s.tokens_output, s.cost_usd,
             s.latency_ms, s.status as step_status
        from selected r
        left join matrice.workflow_steps s on s.project_id = workflow_metrics.project_id and s.run_id = r.id
    )
    select g.bucket, g.runs, g.succeeded, g.failed, g.succeeded::double precision / nullif(g.succeeded + g.failed, 0),
           g.steps, g.tokens_input, g.tokens_output, g.cost_usd, g.latency[1], g.latency[2], g.latency[3]
      from (
        select x.bucket,
               count(distinct x.run_id) as runs,
               count(distinct x.run_id) filter (where x.status = 'completed' and not x.is_failure_handler) as succeeded,
               count(distinct x.run_id) filter (where x.status = 'failed') as failed,
               count(x.step_id) filter (where x.corrects is null) as steps,
               coalesce(sum(x.tokens_input), 0)::bigint as tokens_input,
               coalesce(sum(x.tokens_output), 0)::bigint as tokens_output,
               sum(x.cost_usd) as cost_usd,
               percentile_cont(array[0.5, 0.95, 0.99]) within group (order by x.latency_ms)
                 filter (where x.step_status <> 'skipped') as latency
          from rows x
         group by x.bucket
      ) g
     order by g.bucket;
end
$$;
comment on function matrice.workflow_metrics is
  'Returns figures of a project''s workflow runs: one row for each hour, day, week, month, workflow, phase or model. bucket: '
  'which of them the row is for. since, until: counts the runs that started at or after since, and before until. group_by: '
  'hour, day, week or month (in UTC), workflow, phase or model. success_rate: succeeded / (succeeded + failed); handlers of '
  'failures never succeed. cost_usd: the sum over all attempts whose cost is known. p50_ms, p95_ms, p99_ms: percentiles '
  'of the latency of steps, without skipped steps. Defaults: until now(), group_by ''day''.';
