-- A page about a project.

-- PostgREST returns the result of a function as what the domain that it returns is named after. A domain cannot be replaced, and
-- needs no change.
do $$
begin
  if to_regtype('matrice."text/html"') is null then
    create domain matrice."text/html" as text;
  end if;
end
$$;
comment on domain matrice."text/html" is 'An HTML page. PostgREST sends a result of this type as text/html.';

create or replace function matrice_private.rendered_report(data jsonb, language text) returns text
language plpgsql immutable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._report(data::text, language);
end
$$;
comment on function matrice_private.rendered_report is
  'Returns the page that shows what report_data has returned. SECURITY DEFINER: only the owner may execute the function of the '
  'engine. The result depends on the arguments alone.';

create or replace function matrice_private.require_report(since timestamptz, until timestamptz, time_zone text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('since', since);
  perform matrice_private.require_given('until', until);
  perform matrice_private.require_time_zone(time_zone);
  perform matrice_private.require_time('since', since);
  perform matrice_private.require_time('until', until);
  if since >= until or until - since > interval '366 days' then
    raise exception 'since must be before until, and at most 366 days before it'
      using errcode = '22023', detail = format('since is %s, and until is %s.', since, until),
            hint = 'Ask for one report for each year.';
  end if;
end
$$;
comment on function matrice_private.require_report is 'Raises an error unless a report can be made of this period.';

create or replace function matrice_private.report_of_days(
  project_id uuid, since timestamptz, until timestamptz, time_zone text, first_day date
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_object_agg(coalesce(d.day::text, 'all'), jsonb_build_object(
             'input', d.input, 'output', d.output, 'cached', d.cached,
             'p50', d.latency[1], 'p95', d.latency[2], 'p99', d.latency[3]))
      from (
        select s.day, sum(s.tokens_input) as input, sum(s.tokens_output) as output, sum(s.cached) as cached,
               percentile_cont(array[0.5, 0.95, 0.99]) within group (order by s.latency_ms)
                 filter (where s.status not in ('running', 'skipped')) as latency
          from (select (s.executed_at at time zone time_zone)::date - first_day as day, s.status, s.latency_ms,
                       s.tokens_input, s.tokens_output, s.cached_tokens as cached
                  from matrice.workflow_steps s
                 where s.project_id = report_of_days.project_id and s.executed_at >= since and s.executed_at < until) s
         group by grouping sets ((s.day), ())
      ) d);
end
$$;
comment on function matrice_private.report_of_days is
  'Returns tokens and latency of the steps of each day. The key is the number of the day; all: of all days. Corrections add to '
  'the tokens.';

create or replace function matrice_private.report_of_models(
  project_id uuid, since timestamptz, until timestamptz, time_zone text, first_day date
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with days as materialized (
      select nullif(s.model, '') as model, (s.executed_at at time zone time_zone)::date - first_day as day, sum(s.cost_usd) as cost,
             count(*) filter (where s.corrects is null and s.status not in ('running', 'skipped')) as calls,
             count(*) filter (where matrice_private.is_unpriced(s.cost_usd, s.cost_source, s.status, s.model,
                                                                s.tokens_input + s.tokens_output)
                                and not exists (select from matrice.workflow_steps c
                                                 where c.corrects = s.id and c.cost_usd is not null)) as unpriced
        from matrice.workflow_steps s
       where s.project_id = report_of_models.project_id and s.executed_at >= since and s.executed_at < until
         and (s.model <> '' or s.cost_usd is not null or s.tokens_input + s.tokens_output <> 0)
       group by 1, 2
    ), ranks as (
      select d.model, row_number() over (order by sum(d.cost) desc nulls last, sum(d.calls) desc, d.model) > 20 as is_rest
        from days d
       group by d.model
    ), shown as (
      select case when not r.is_rest then d.model end as model, r.is_rest, d.day,
             sum(d.cost) as cost, sum(d.calls) as calls, sum(d.unpriced) as unpriced
        from days d
        join ranks r on r.model is not distinct from d.model
       group by 1, 2, 3
    )
    select jsonb_agg(m.model)
      from (select jsonb_build_object(
                     'name', s.model, 'is_rest', s.is_rest, 'calls', sum(s.calls), 'unpriced', sum(s.unpriced), 'cost', sum(s.cost),
                     'costs', jsonb_agg(jsonb_build_object('day', s.day, 'cost', s.cost)) filter (where s.cost is not null)) as model
              from shown s
             group by s.model, s.is_rest) m);
end
$$;
comment on function matrice_private.report_of_models is
  'Returns the models that cost most: their calls and costs, also by the number of the day. The cost is null if none is known; '
  'unpriced: how many calls have cost something that nobody knows. Of more than 20 models the cheaper ones are one row.';

create or replace function matrice_private.report_of_steps(project_id uuid, since timestamptz, until timestamptz) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('name', t.step_name, 'calls', t.calls, 'failed', t.failed, 'cost', t.cost, 'p95', t.p95)
                     order by t.cost desc nulls last, t.calls desc, t.step_name)
      from (
        select s.step_name, sum(s.cost_usd) as cost,
               count(*) filter (where s.corrects is null and s.status <> 'running') as calls,
               count(*) filter (where s.corrects is null and s.status = 'failed') as failed,
               percentile_cont(0.95) within group (order by s.latency_ms)
                 filter (where s.status not in ('running', 'skipped')) as p95
          from matrice.workflow_steps s
         where s.project_id = report_of_steps.project_id and s.executed_at >= since and s.executed_at < until
         group by s.step_name
         order by cost desc nulls last, calls desc, s.step_name
         limit 10
      ) t);
end
$$;
comment on function matrice_private.report_of_steps is
  'Returns the ten steps that cost most. Their cost is null if none is known.';

create or replace function matrice_private.report_of_runs(
  project_id uuid, since timestamptz, until timestamptz, time_zone text, first_day date
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_object_agg(coalesce(d.day::text, 'all'), jsonb_build_object(
             'completed', d.completed, 'handled', d.handled, 'failed', d.failed, 'cancelled', d.cancelled, 'running', d.running))
      from (
        select r.day,
               count(*) filter (where r.status = 'completed' and not r.is_failure_handler) as completed,
               count(*) filter (where r.status = 'completed' and r.is_failure_handler) as handled,
               count(*) filter (where r.status = 'failed') as failed,
               count(*) filter (where r.status = 'cancelled') as cancelled,
               count(*) filter (where r.status = 'running') as running
          from (select (r.started_at at time zone time_zone)::date - first_day as day, r.status, r.is_failure_handler
                  from matrice.workflow_runs r
                 where r.project_id = report_of_runs.project_id and r.started_at >= since and r.started_at < until) r
         group by grouping sets ((r.day), ())
      ) d);
end
$$;
comment on function matrice_private.report_of_runs is
  'Returns how many runs of each status started on each day. The key is the number of the day; all: of all days. handled: '
  'completed handlers of failures, whose success is none of the workflow.';

create or replace function matrice_private.report_of_budgets(project_id uuid, time_zone text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_agg(jsonb_build_object(
             'name', b.name, 'model', b.model, 'phase', b.phase, 'user', b.user_key, 'period', b.period, 'is_hard', b.is_hard,
             'state', b.state, 'limit', b.limit_usd, 'spent', b.spent_usd, 'reserved', b.reserved_usd,
             'unpriced', b.unpriced_steps, 'forecast', b.forecast_usd,
             'ends', to_char(b.period_end at time zone b.time_zone, 'YYYY-MM-DD'),
             'exhausted', to_char(b.exhausted_at at time zone report_of_budgets.time_zone, 'YYYY-MM-DD'))
             order by b.fraction desc nulls first, b.name)
      from (select s.* from matrice.budget_status(report_of_budgets.project_id) s
             order by s.fraction desc nulls first, s.name limit 50) b);
end
$$;
comment on function matrice_private.report_of_budgets is
  'Returns the 50 budgets of a project that are used up most, in their current periods.';

create or replace function matrice_private.report_data(
  project_id uuid, since timestamptz, until timestamptz, time_zone text
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  first_day date := (since at time zone time_zone)::date;
  last_day  date := ((until - interval '1 microsecond') at time zone time_zone)::date;
  of_days   jsonb := matrice_private.report_of_days(project_id, since, until, time_zone, first_day);
  of_runs   jsonb := matrice_private.report_of_runs(project_id, since, until, time_zone, first_day);
begin
  return jsonb_build_object(
    'project', (select p.name from matrice.projects p where p.id = report_data.project_id),
    'time_zone', time_zone,
    'made', to_char(now() at time zone time_zone, 'YYYY-MM-DD HH24:MI'),
    'all', coalesce(of_days -> 'all', '{}') || coalesce(of_runs -> 'all', '{}'),
    'days', (select jsonb_agg(jsonb_build_object('date', to_char(first_day + d, 'YYYY-MM-DD'))
                              || coalesce(of_days -> d::text, '{}') || coalesce(of_runs -> d::text, '{}') order by d)
               from generate_series(0, last_day - first_day) d),
    'models', matrice_private.report_of_models(project_id, since, until, time_zone, first_day),
    'steps', matrice_private.report_of_steps(project_id, since, until),
    'budgets', matrice_private.report_of_budgets(project_id, time_zone),
    'budget_count', (select count(*) from matrice.budgets b where b.project_id = report_data.project_id),
    'sources', (select jsonb_build_object('sources', count(*), 'chunks', sum(s.chunk_count), 'embedded', sum(s.embedded_count),
                                          'failed', sum(s.failed_count))
                  from matrice.context_sources s where s.project_id = report_data.project_id));
end
$$;
comment on function matrice_private.report_data is
  'Returns what a report shows, for the engine: all days of the period, also those on which nothing happened.';

create or replace function matrice.report(
  project_id uuid, since timestamptz default now() - interval '30 days', until timestamptz default now(),
  time_zone text default 'UTC', language text default 'en'
) returns matrice."text/html"
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_report(since, until, time_zone);
  perform matrice_private.require_one_of('language', language, array['en', 'fr']);
  perform matrice_private.require_role(project_id, 'viewer');
  return matrice_private.rendered_report(matrice_private.report_data(project_id, since, until, time_zone), language);
end
$$;
comment on function matrice.report is
  'Returns an HTML page about a project: cost per day by model, latency, runs, tokens, the steps that cost most, budgets and '
  'embeddings. The page is one file: it has no script and loads nothing. Over PostgREST, ask for it with the header '
  'Accept: text/html. since, until: counts runs by their start, and steps by executed_at; at most 366 days. time_zone: whose '
  'days are shown; a name such as Europe/Paris. language: en or fr. Defaults: since (now() - ''30 days''::interval), until now(), '
  'time_zone ''UTC'', language ''en''.';
