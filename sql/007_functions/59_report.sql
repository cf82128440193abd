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

create or replace function matrice_private.report_of_days(project_id uuid, since timestamptz, until timestamptz, time_zone text)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_object_agg(m.bucket, jsonb_build_object(
             'input', m.tokens_input, 'output', m.tokens_output, 'cached', m.cached_tokens, 'cost', m.cost_usd,
             'p50', m.p50_ms, 'p95', m.p95_ms, 'p99', m.p99_ms,
             'completed', m.succeeded, 'failed', m.failed, 'cancelled', m.cancelled, 'running', m.running,
             'handled', m.runs - m.succeeded - m.failed - m.cancelled - m.running))
      from matrice.workflow_metrics(report_of_days.project_id, since, until, 'day', time_zone) m);
end
$$;
comment on function matrice_private.report_of_days is
  'Returns tokens, cost, latency and runs of each day, by its date. handled: completed handlers of failures, whose success is '
  'none of the workflow.';

create or replace function matrice_private.report_of_all(project_id uuid, since timestamptz, until timestamptz) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Percentiles of days cannot be added up. Divided by nothing, the sums are one row.
  is_member boolean := row_security_active('matrice.workflow_steps');
begin
  return (
    select jsonb_build_object(
             'input', m.tokens_input, 'output', m.tokens_output, 'cached', m.cached_tokens,
             'p50', m.latency[1], 'p95', m.latency[2], 'p99', m.latency[3],
             'completed', m.succeeded, 'failed', m.failed, 'cancelled', m.cancelled, 'running', m.running,
             'handled', m.runs - m.succeeded - m.failed - m.cancelled - m.running)
      from (
        select m.* from matrice_private.metrics_of_member(
                 report_of_all.project_id, since, until, 'total', 'UTC', '{}') m where is_member
        union all
        select m.* from matrice_private.metrics_of(
                 report_of_all.project_id, since, until, 'total', 'UTC', '{}') m where not is_member
      ) m);
end
$$;
comment on function matrice_private.report_of_all is 'Returns what report_of_days does, for the whole period.';

create or replace function matrice_private.report_of_models(
  project_id uuid, since timestamptz, until timestamptz, time_zone text, days jsonb
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with models as materialized (
      select m.bucket as model, m.steps - m.skipped_steps as calls, m.unpriced_steps as unpriced, m.cost_usd as cost,
             row_number() over (order by m.cost_usd desc nulls last, m.steps desc, m.bucket) > 7 as is_rest
        from matrice.workflow_metrics(report_of_models.project_id, since, until, 'model', time_zone) m
       where m.bucket is not null or m.cost_usd is not null or m.tokens_input + m.tokens_output <> 0
    ), costs as materialized (
      select m.model, d.bucket as date, d.cost_usd as cost
        from models m
       cross join lateral matrice.workflow_metrics(
               report_of_models.project_id, since, until, 'day', time_zone, model => m.model) d
       where m.model is not null and not m.is_rest and d.cost_usd is not null
    ), others as (
      -- No filter finds the steps without a model. They cost what remains, as do the models that are not shown.
      select d.key as date, (d.value ->> 'cost')::numeric - coalesce(sum(c.cost), 0) as cost
        from jsonb_each(days) d
        left join costs c on c.date = d.key
       where d.value ->> 'cost' is not null
       group by d.key, d.value
    ), shown as (
      select case when not m.is_rest then m.model end as model, m.is_rest,
             sum(m.calls) as calls, sum(m.unpriced) as unpriced, sum(m.cost) as cost
        from models m
       group by 1, 2
    )
    select jsonb_agg(jsonb_build_object(
             'name', s.model, 'is_rest', s.is_rest, 'calls', s.calls, 'unpriced', s.unpriced, 'cost', s.cost,
             'costs', case when s.model is not null
                           then (select jsonb_object_agg(c.date, c.cost) from costs c where c.model = s.model)
                           when s.is_rest or not exists (select from shown r where r.is_rest)
                           then (select jsonb_object_agg(o.date, o.cost) from others o) end))
      from shown s);
end
$$;
comment on function matrice_private.report_of_models is
  'Returns the seven models that cost most, and the others as one row: attempts, costs, and costs by date. days: what '
  'report_of_days has returned. The cost is null if none is known; unpriced: how many have cost something that nobody knows.';

create or replace function matrice_private.report_of_steps(project_id uuid, since timestamptz, until timestamptz) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_agg(jsonb_build_object('name', t.bucket, 'calls', t.calls, 'failed', t.failed_steps,
                                        'cost', t.cost_usd, 'p95', t.p95_ms)
                     order by t.cost_usd desc nulls last, t.calls desc, t.bucket)
      from (
        select m.*, m.steps - m.skipped_steps as calls
          from matrice.workflow_metrics(report_of_steps.project_id, since, until, 'step') m
         order by m.cost_usd desc nulls last, calls desc, m.bucket
         limit 10
      ) t);
end
$$;
comment on function matrice_private.report_of_steps is
  'Returns the ten steps that cost most, by their names. Their cost is null if none is known.';

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
  first_day date  := (since at time zone time_zone)::date;
  last_day  date  := ((until - interval '1 microsecond') at time zone time_zone)::date;
  days      jsonb := coalesce(matrice_private.report_of_days(project_id, since, until, time_zone), '{}');
begin
  return jsonb_build_object(
    'project', (select p.name from matrice.projects p where p.id = report_data.project_id),
    'time_zone', time_zone,
    'made', to_char(now() at time zone time_zone, 'YYYY-MM-DD HH24:MI'),
    'all', coalesce(matrice_private.report_of_all(project_id, since, until), '{}'),
    'days', (select jsonb_agg(jsonb_build_object('date', d.date) || coalesce(days -> d.date, '{}') order by d.date)
               from (select to_char(first_day + n, 'YYYY-MM-DD') as date from generate_series(0, last_day - first_day) n) d),
    'models', matrice_private.report_of_models(project_id, since, until, time_zone, days),
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
-- Compiling its queries would take longer than running them.
set jit = off
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
  'Accept: text/html. since, until: counts what workflow_metrics counts; at most 366 days. time_zone: whose days are shown; '
  'a name such as Europe/Paris. language: en or fr. Defaults: since (now() - ''30 days''::interval), until now(), '
  'time_zone ''UTC'', language ''en''.';
