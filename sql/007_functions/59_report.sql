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
  perform matrice_private.require_text('time_zone', time_zone);
  perform matrice_private.require_bytes('time_zone', time_zone, 100);
  perform matrice_private.require_time('since', since);
  perform matrice_private.require_time('until', until);
  if since >= until or until - since > interval '366 days' then
    raise exception 'since must be before until, and at most 366 days before it'
      using errcode = '22023', detail = format('since is %s, and until is %s.', since, until),
            hint = 'Ask for one report for each year.';
  end if;
  begin
    perform since at time zone time_zone;
  exception when invalid_parameter_value then
    raise exception 'unknown time zone: %', quote_literal(left(time_zone, 100))
      using errcode = '22023', hint = 'Use a name such as UTC or Europe/Paris.';
  end;
end
$$;
comment on function matrice_private.require_report is 'Raises an error unless a report can be made of this period.';

create or replace function matrice_private.report_of_steps(
  project_id uuid, since timestamptz, until timestamptz, time_zone text, first_day date
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with steps as materialized (
      select (s.executed_at at time zone time_zone)::date - first_day as day, s.model, s.step_name, s.status, s.latency_ms,
             s.tokens_input, s.tokens_output, s.cost_usd,
             s.model is not null or s.cost_usd is not null or s.tokens_input + s.tokens_output::bigint > 0 as is_call,
             case when s.usage <> '{}'
                  then matrice_private.read_usage(s.usage, s.tokens_input, s.tokens_output) -> 'counts' end as counts
        from matrice.workflow_steps s
       where s.project_id = report_of_steps.project_id and s.executed_at >= since and s.executed_at < until
    ), days as (
      select s.day, sum(s.tokens_input) as input, sum(s.tokens_output) as output,
             sum(coalesce((s.counts ->> 'cache_read')::numeric, 0)
                 + coalesce((s.counts ->> 'cache_read_audio')::numeric, 0)) as cached,
             percentile_cont(array[0.5, 0.95, 0.99]) within group (order by s.latency_ms)
               filter (where s.status <> 'skipped') as latency
        from steps s
       group by grouping sets ((s.day), ())
    ), models as (
      select s.model, count(*) as calls, count(*) filter (where s.cost_usd is null) as unpriced,
             coalesce(sum(s.cost_usd), 0) as cost,
             row_number() over (order by coalesce(sum(s.cost_usd), 0) desc, count(*) desc, s.model) > 20 as is_rest
        from steps s
       where s.is_call
       group by s.model
    ), shown_models as (
      select case when not m.is_rest then m.model end as model, m.is_rest,
             sum(m.calls) as calls, sum(m.unpriced) as unpriced, sum(m.cost) as cost
        from models m
       group by 1, 2
    ), costs as (
      select case when not m.is_rest then m.model end as model, m.is_rest, s.day, sum(s.cost_usd) as cost
        from steps s
        join models m on m.model is not distinct from s.model
       where s.cost_usd is not null
       group by 1, 2, 3
    ), top_steps as (
      select s.step_name, count(*) as calls, count(*) filter (where s.status = 'failed') as failed, sum(s.cost_usd) as cost,
             percentile_cont(0.95) within group (order by s.latency_ms) filter (where s.status <> 'skipped') as p95
        from steps s
       group by s.step_name
       order by sum(s.cost_usd) desc nulls last, count(*) desc, s.step_name
       limit 10
    )
    select jsonb_build_object(
      'days', (select jsonb_object_agg(coalesce(d.day::text, 'all'), jsonb_build_object(
                 'input', d.input, 'output', d.output, 'cached', d.cached,
                 'p50', d.latency[1], 'p95', d.latency[2], 'p99', d.latency[3])) from days d),
      'models', (select jsonb_agg(jsonb_build_object(
                   'name', m.model, 'is_rest', m.is_rest, 'calls', m.calls, 'unpriced', m.unpriced, 'cost', m.cost,
                   'costs', (select jsonb_agg(jsonb_build_object('day', c.day, 'cost', c.cost)) from costs c
                              where c.model is not distinct from m.model and c.is_rest = m.is_rest)))
                   from shown_models m),
      'steps', (select jsonb_agg(jsonb_build_object(
                  'name', t.step_name, 'calls', t.calls, 'failed', t.failed, 'cost', t.cost, 'p95', t.p95)
                  order by t.cost desc nulls last, t.calls desc, t.step_name) from top_steps t)));
end
$$;
comment on function matrice_private.report_of_steps is
  'Returns what a report says of steps: by day (the key is the number of the day; all: of all days), by model, and the steps '
  'that cost most. Of more than 20 models the cheaper ones are one row. It reads each step once.';

create or replace function matrice_private.report_of_runs(
  project_id uuid, since timestamptz, until timestamptz, time_zone text, first_day date
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_object_agg(coalesce(d.day::text, 'all'), jsonb_build_object(
             'completed', d.completed, 'failed', d.failed, 'cancelled', d.cancelled, 'running', d.running))
      from (
        select r.day,
               count(*) filter (where r.status = 'completed') as completed, count(*) filter (where r.status = 'failed') as failed,
               count(*) filter (where r.status = 'cancelled') as cancelled,
               count(*) filter (where r.status = 'running') as running
          from (select (r.started_at at time zone time_zone)::date - first_day as day, r.status
                  from matrice.workflow_runs r
                 where r.project_id = report_of_runs.project_id and r.started_at >= since and r.started_at < until) r
         group by grouping sets ((r.day), ())
      ) d);
end
$$;
comment on function matrice_private.report_of_runs is
  'Returns how many runs of each status started on each day. The key is the number of the day; all: of all days.';

create or replace function matrice_private.report_of_budgets(project_id uuid, time_zone text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  budgets jsonb;
begin
  -- Looked up at run time: a schema whose owner has left out budgets has reports, too.
  if to_regprocedure('matrice.budget_status(uuid)') is not null then
    execute $query$
      select jsonb_agg(jsonb_build_object(
               'name', b.name, 'limit', b.limit_usd, 'spent', b.spent_usd, 'reserved', b.reserved_usd, 'forecast', b.forecast_usd,
               'ends', to_char(b.period_end at time zone $2, 'YYYY-MM-DD'),
               'exhausted', to_char(b.exhausted_at at time zone $2, 'YYYY-MM-DD')) order by b.name)
        from (select b.* from matrice.budget_status($1) b order by b.name limit 50) b
    $query$ into budgets using project_id, time_zone;
  end if;
  return coalesce(budgets, '[]');
end
$$;
comment on function matrice_private.report_of_budgets is
  'Returns the first 50 budgets of a project with their forecasts, and when they end in a time zone.';

create or replace function matrice_private.report_data(
  project_id uuid, since timestamptz, until timestamptz, time_zone text
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  first_day date := (since at time zone time_zone)::date;
  last_day  date := ((until - interval '1 microsecond') at time zone time_zone)::date;
  of_steps  jsonb := matrice_private.report_of_steps(project_id, since, until, time_zone, first_day);
  of_runs   jsonb := matrice_private.report_of_runs(project_id, since, until, time_zone, first_day);
begin
  return of_steps || jsonb_build_object(
    'project', (select p.name from matrice.projects p where p.id = report_data.project_id),
    'time_zone', time_zone,
    'made', to_char(now() at time zone time_zone, 'YYYY-MM-DD HH24:MI'),
    'all', coalesce(of_steps -> 'days' -> 'all', '{}') || coalesce(of_runs -> 'all', '{}'),
    'days', (select jsonb_agg(jsonb_build_object('date', to_char(first_day + d, 'YYYY-MM-DD'))
                              || coalesce(of_steps -> 'days' -> d::text, '{}') || coalesce(of_runs -> d::text, '{}') order by d)
               from generate_series(0, last_day - first_day) d),
    'budgets', matrice_private.report_of_budgets(project_id, time_zone),
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
