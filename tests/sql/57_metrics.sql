begin;
\ir helpers/setup.psql
select no_plan();

-- What the rows themselves say, by day of the execution and of the start. Percentiles are compared to 1 %.
create function tests.metrics_of_rows(project_id uuid, since timestamptz, until timestamptz, time_zone text) returns table (
  bucket text, runs bigint, succeeded bigint, failed bigint, running bigint, cancelled bigint, steps bigint, failed_steps bigint,
  skipped_steps bigint, retried_steps bigint, unpriced_steps bigint, tokens_input bigint, tokens_output bigint, cost_usd numeric
)
language sql as $$
  select coalesce(r.day, s.day), coalesce(r.runs, 0), coalesce(r.succeeded, 0), coalesce(r.failed, 0), coalesce(r.running, 0),
         coalesce(r.cancelled, 0), coalesce(s.steps, 0), coalesce(s.failed, 0), coalesce(s.skipped, 0), coalesce(s.retried, 0),
         coalesce(s.unpriced, 0), coalesce(s.input, 0), coalesce(s.output, 0), s.cost
    from (
      select to_char(started_at at time zone metrics_of_rows.time_zone, 'YYYY-MM-DD') as day, count(*) as runs,
             count(*) filter (where status = 'completed' and not is_failure_handler) as succeeded, count(*) filter (where status = 'failed') as failed,
             count(*) filter (where status = 'running') as running, count(*) filter (where status = 'cancelled') as cancelled
        from matrice.workflow_runs r
       where r.project_id = metrics_of_rows.project_id and started_at >= since and started_at < until group by 1
    ) r
    full join (
      select to_char(executed_at at time zone metrics_of_rows.time_zone, 'YYYY-MM-DD') as day, count(*) filter (where corrects is null) as steps,
             count(*) filter (where status = 'failed' and corrects is null) as failed, count(*) filter (where status = 'skipped' and corrects is null) as skipped,
             count(*) filter (where attempt > 0 and corrects is null) as retried,
             count(*) filter (where corrects is null and cost_usd is null and status <> 'skipped'
                                and (status = 'success' and model <> '' or tokens_input > 0 or tokens_output > 0)
                                and not exists (select from matrice.workflow_steps o where o.corrects = s.id and o.cost_usd is not null)) as unpriced,
             sum(tokens_input) as input, sum(tokens_output) as output, sum(cost_usd) as cost
        from matrice.workflow_steps s
       where s.project_id = metrics_of_rows.project_id and s.status <> 'running' and executed_at >= since and executed_at < until group by 1
    ) s on s.day = r.day
   order by 1
$$;

create function tests.same_metrics(description text) returns setof text
language plpgsql as $$
declare
  zone text;
begin
  foreach zone in array array['UTC', 'Europe/Paris', 'Asia/Kolkata', 'Asia/Kathmandu', 'America/New_York'] loop
    return next results_eq(
      format($q$select bucket, runs, succeeded, failed, running, cancelled, steps, failed_steps, skipped_steps, retried_steps, unpriced_steps,
                       tokens_input, tokens_output, cost_usd
                  from matrice.workflow_metrics(tests.id('borea'), '2026-03-27Z', '2026-04-02Z', time_zone => %L)$q$, zone),
      format($q$select * from tests.metrics_of_rows(tests.id('borea'), '2026-03-27Z', '2026-04-02Z', %L)$q$, zone),
      description || ': days of ' || zone);
  end loop;
  return next results_eq(
    $q$select bucket, runs, succeeded, failed, steps, cost_usd
         from matrice.workflow_metrics(tests.id('borea'), '2026-03-27Z', '2026-04-02Z', 'model')$q$,
    $q$select coalesce(m.model, s.model), coalesce(m.runs, 0), coalesce(m.succeeded, 0), coalesce(m.failed, 0), coalesce(s.steps, 0), s.cost
         from (select s.model, count(distinct r.id) as runs, count(distinct r.id) filter (where r.status = 'completed' and not r.is_failure_handler) as succeeded,
                      count(distinct r.id) filter (where r.status = 'failed') as failed
                 from matrice.workflow_runs r join matrice.workflow_steps s on s.run_id = r.id and s.status <> 'running'
                where r.project_id = tests.id('borea') and r.started_at >= '2026-03-27Z' and r.started_at < '2026-04-02Z' group by 1) m
         full join (select model, count(*) filter (where corrects is null) as steps, sum(cost_usd) as cost from matrice.workflow_steps
                     where status <> 'running' and project_id = tests.id('borea') and executed_at >= '2026-03-27Z' and executed_at < '2026-04-02Z' group by 1) s
           on coalesce(s.model, '') = coalesce(m.model, '')
        order by 1$q$, description || ': by model');
  return next ok(
    (select bool_and(abs(found.p95_ms / exact.p95 - 1) <= 0.01) from
       matrice.workflow_metrics(tests.id('borea'), '2026-03-27Z', '2026-04-02Z', 'workflow') found
       join (select r.workflow_id, percentile_cont(0.95) within group (order by s.latency_ms) as p95
               from matrice.workflow_runs r join matrice.workflow_steps s on s.run_id = r.id
              where r.project_id = tests.id('borea') and s.status <> 'skipped'
                and s.executed_at >= '2026-03-27Z' and s.executed_at < '2026-04-02Z' group by 1) exact on exact.workflow_id = found.bucket),
    description || ': percentiles by workflow are within 1 %');
end
$$;

select tests.project('borea');

-- The clock changes in Paris on March 29th.
select tests.as_owner();
select setseed(0.5);
insert into matrice.workflow_runs (id, project_id, workflow_id, event_name, phase, status, started_at)
select tests.id('run ' || i), tests.id('borea'), 'w' || i % 3, 'e', (array['P1', 'P2', null])[1 + i % 3],
       (array['running', 'completed', 'failed', 'cancelled'])[1 + i % 4], timestamptz '2026-03-26 00:00Z' + i * interval '33 minutes'
  from generate_series(1, 300) i;
insert into matrice.workflow_steps (run_id, step_name, status, latency_ms, model, tokens_input, tokens_output, cost_usd, attempt, executed_at)
select tests.id('run ' || i), 's' || j, (array['success', 'failed', 'skipped'])[1 + (i + j) % 3], exp(random() * 12),
       (array['gpt-4o', 'no-such', null])[1 + j % 3], j * 100, i, case when j % 4 = 0 then i * 0.000000000001 end, j % 2,
       timestamptz '2026-03-26 00:00Z' + i * interval '33 minutes' + j * interval '47 minutes'
  from generate_series(1, 300) i cross join generate_series(1, 5) j;
select tests.same_metrics('before they are added up');
select is((select count(*) from matrice_private.metric_changes where project_id = tests.id('borea') and at is not null), 0::bigint,
          'many steps of one statement are added up at once');

select matrice_private.merge_metrics(tests.id('borea'), 1000);
select tests.same_metrics('when some are added up');
select matrice_private.merge_metrics(tests.id('borea'), 1000000);
select is_empty($$select from matrice_private.metric_changes where project_id = tests.id('borea')$$, 'all changes are added up');
select tests.same_metrics('when all are added up');

update matrice.workflow_runs set status = 'completed' where project_id = tests.id('borea') and status = 'running' and workflow_id = 'w1';
update matrice.workflow_runs set workflow_id = 'w9', phase = 'P6', started_at = started_at + interval '1 day' where id = tests.id('run 50');
update matrice.workflow_steps set model = 'gpt-4o', cost_usd = 1 where run_id in (tests.id('run 60'), tests.id('run 61'));
update matrice.workflow_steps set executed_at = executed_at + interval '2 days', latency_ms = 5 where run_id = tests.id('run 70');
delete from matrice.workflow_steps where run_id in (tests.id('run 80'), tests.id('run 81')) and model = 'gpt-4o';
delete from matrice.workflow_runs where id in (tests.id('run 90'), tests.id('run 91'));
insert into matrice.workflow_steps (run_id, step_name, status, step_key, model, executed_at)
select tests.id('run 100'), 's' || i, 'running', 'k' || i, 'gpt-4o', '2026-03-28 10:00Z' from generate_series(1, 3) i;
select matrice.record_step(tests.id('run 100'), 's1', 'success', model => 'gpt-4o', step_key => 'k1', executed_at => '2026-03-28 11:00Z', latency_ms => 77,
  usage => '{"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}');
select is((select sum(cached_tokens) from matrice.workflow_metrics(tests.id('borea'), '2026-03-01Z', '2026-05-01Z')), 400::numeric, 'cached tokens are counted');
select matrice.correct_step(s.id, 'the invoice', cost_usd => 0.5) from matrice.workflow_steps s where s.run_id = tests.id('run 101') and s.status <> 'running';
select matrice.correct_step(s.id, 'really', usage => '{"prompt_tokens": 800, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 100}}')
  from matrice.workflow_steps s where s.run_id = tests.id('run 100') and s.step_key = 'k1';
select is((select sum(cached_tokens) from matrice.workflow_metrics(tests.id('borea'), '2026-03-01Z', '2026-05-01Z')), 100::numeric, 'a correction corrects cached tokens');
update matrice.workflow_runs set is_failure_handler = true where id = tests.id('run 101');
update matrice.workflow_runs set user_key = 'ann', attempt = 1, status = 'running' where id = tests.id('run 102');
select matrice.set_price(tests.id('borea'), 'no-such', '{"input": 1, "output": 1}', valid_from => '2020-01-01Z');
select ok((select count(*) from matrice.reprice(tests.id('borea'), '2026-03-29Z') where is_filled) > 0, 'reprice fills costs');
select ok(matrice.reap_runs(project_id => tests.id('borea')) > 0, 'runs are reaped');
select tests.same_metrics('after changes');
select matrice_private.merge_metrics(tests.id('borea'), 1000000);
select tests.same_metrics('after changes that are added up');
-- A step moves into a quarter that is counted again before the step itself is added up.
insert into matrice.workflow_steps (run_id, step_name, status, tokens_input, executed_at)
select tests.id('run 100'), 'there', 'success', 5, '2026-03-29 10:00Z';
select matrice_private.merge_metrics(tests.id('borea'), 1000000);
update matrice.workflow_steps set tokens_input = 6 where step_name = 'there';
insert into matrice.workflow_steps (run_id, step_name, status, tokens_input, executed_at)
select tests.id('run 100'), 'moves there', 'success', 7, '2026-03-28 09:00Z';
update matrice.workflow_steps set executed_at = '2026-03-29 10:01Z' where step_name = 'moves there';
select matrice_private.merge_metrics(tests.id('borea'), 1) from generate_series(1, 10);
select tests.same_metrics('a step that moved is counted once');
delete from matrice.workflow_steps where step_name in ('there', 'moves there');
select matrice_private.merge_metrics(tests.id('borea'), 1000000);

create temp table kept on commit drop as
  select k.*, m.* from (values ('day'), ('model'), ('step'), ('workflow'), ('phase'), ('provider'), ('user')) k (grouped)
   cross join lateral matrice.workflow_metrics(tests.id('borea'), '2026-03-01Z', '2026-05-01Z', k.grouped) m;
grant select on kept to public;
create function tests.metrics_are_kept(description text) returns text language sql as $$
  select results_eq(
    $q$select k.*, m.* from (values ('day'), ('model'), ('step'), ('workflow'), ('phase'), ('provider'), ('user')) k (grouped)
        cross join lateral matrice.workflow_metrics(tests.id('borea'), '2026-03-01Z', '2026-05-01Z', k.grouped) m order by 1, 2$q$,
    'select * from kept order by 1, 2', description)
$$;
select matrice.rebuild_metrics(tests.id('borea'));
select tests.metrics_are_kept('rebuild_metrics counts the same');
select matrice_private.count_again(tests.id('borea'), 7);
select tests.metrics_are_kept('it counts the same in parts');
select is_empty($$select from matrice_private.metric_changes where project_id = tests.id('borea')$$, 'it leaves nothing to add up');
insert into matrice.workflow_steps (run_id, step_name, status, step_key, executed_at)
select tests.id('run 100'), 'noted', 'success', 'noted ' || i, '2026-03-28 12:00Z' from generate_series(1, 9) i;
select matrice_private.count_again(tests.id('borea'), 7);
select is((select steps from matrice.workflow_metrics(tests.id('borea'), '2026-03-01Z', group_by => 'step') where bucket = 'noted'), 9::bigint,
          'what was noted when it began is counted once');
delete from matrice.workflow_steps where step_name = 'noted';
select matrice_private.merge_metrics(tests.id('borea'), 1000000);
select tests.metrics_are_kept('and can be deleted');
select ok((select sum(steps) from kept where grouped = 'step') = (select sum(steps) from kept where grouped = 'day'), 'steps by step are all steps');
select is((select string_agg(distinct bucket, ',') from kept where grouped = 'provider'), 'openai', 'group_by provider names the seller of a model');
select ok((select bool_and(runs is null) from kept where grouped in ('step', 'provider')), 'runs by step and provider are null');

-- Days, weeks and months that end within a day in UTC, also where the clock changes in between.
select tests.project('clocks');
select tests.as_owner();
insert into matrice.workflow_runs (id, project_id, workflow_id, event_name, started_at)
select tests.id('run of clocks'), tests.id('clocks'), 'w', 'e', '2025-09-28 12:00Z';
insert into matrice.workflow_steps (run_id, step_name, status, latency_ms, tokens_input, cost_usd, executed_at)
select tests.id('run of clocks'), 's' || i % 2, 'success', i % 97 + extract(day from at)::integer * 100, i, i * 0.000000000001, at
  from generate_series(1, 2500) i cross join lateral (select timestamptz '2025-09-28 12:01Z' + i * interval '22 minutes' as at) a;
select matrice_private.merge_metrics(tests.id('clocks'), 1000000);
select results_eq(
  format($$select bucket, steps, tokens_input, cost_usd, true from matrice.workflow_metrics(tests.id('clocks'), %1$L, %2$L, %3$L, time_zone => %4$L)
            where steps > 0$$, since, until, unit, zone),
  format($$select b.bucket, count(*), sum(s.tokens_input)::bigint, sum(s.cost_usd),
                  bool_and(b.steps = 1 or abs(b.p50_ms / p.p50 - 1) <= 0.01 and abs(b.p99_ms / p.p99 - 1) <= 0.01)
             from matrice.workflow_steps s
             join (select date_trunc(%3$L, s.executed_at, %4$L) as begins, percentile_cont(0.5) within group (order by s.latency_ms) as p50,
                          percentile_cont(0.99) within group (order by s.latency_ms) as p99
                     from matrice.workflow_steps s where s.project_id = tests.id('clocks') and s.executed_at >= %1$L and s.executed_at < %2$L group by 1) p
               on p.begins = date_trunc(%3$L, s.executed_at, %4$L)
             join matrice.workflow_metrics(tests.id('clocks'), %1$L, %2$L, %3$L, time_zone => %4$L) b
               on b.bucket = matrice_private.metric_label(%3$L, p.begins, %4$L)
            where s.project_id = tests.id('clocks') and s.executed_at >= %1$L and s.executed_at < %2$L
            group by b.bucket, p.begins order by p.begins$$, since, until, unit, zone),
  format('by %s in %s since %s', unit, zone, since))
  from unnest(array['hour', 'day', 'week', 'month']) unit
 cross join unnest(array['UTC', 'Europe/Paris', 'Australia/Lord_Howe', 'America/New_York', 'Atlantic/Azores', 'Asia/Kathmandu',
                         'Pacific/Kiritimati', 'Pacific/Marquesas']) zone
 cross join (values ('2025-09-01Z', '2025-12-01Z'), ('2025-10-04 22:15Z', '2025-11-03 05:45Z')) w (since, until)
 -- Of hours, there are many.
 where unit <> 'hour' or zone = 'Australia/Lord_Howe' and since > '2025-10';

-- Filters.
select results_eq(
  $$select bucket, steps, runs from matrice.workflow_metrics(tests.id('borea'), '2026-03-27Z', '2026-04-02Z', model => 'gpt-4o', workflow => 'w1', status => 'failed')$$,
  $$select to_char(d, 'YYYY-MM-DD'),
           (select count(*) from matrice.workflow_steps s join matrice.workflow_runs r on r.id = s.run_id
             where r.project_id = tests.id('borea') and s.model = 'gpt-4o' and r.workflow_id = 'w1' and s.status = 'failed'
               and s.corrects is null and s.executed_at >= d and s.executed_at < d + interval '1 day'),
           (select count(*) from matrice.workflow_runs r
             where r.project_id = tests.id('borea') and r.workflow_id = 'w1' and r.started_at >= d and r.started_at < d + interval '1 day'
               and exists (select from matrice.workflow_steps s where s.run_id = r.id and s.model = 'gpt-4o'))
      from generate_series(timestamp '2026-03-27', '2026-04-01', '1 day') g (t) cross join lateral (values (t at time zone 'UTC')) x (d)$$,
  'workflow_metrics filters by model, workflow and status');

-- Time.
select results_eq(
  $$select bucket, runs, p50_ms from matrice.workflow_metrics(tests.id('borea'), '2030-01-01Z', '2030-01-04Z', fill => true)$$,
  $$values ('2030-01-01', 0::bigint, null::double precision), ('2030-01-02', 0, null), ('2030-01-03', 0, null)$$, 'fill returns empty days');
select is((select count(*) from matrice.workflow_metrics(tests.id('borea'), '2026-03-28T23:00Z', '2026-03-29T22:00Z', 'hour', 'Europe/Paris', true)),
          23::bigint, 'fill by hour: a day when the clock goes forward has 23 hours');
select results_eq(
  $$select bucket from matrice.workflow_metrics(tests.id('borea'), '2026-10-24T23:00Z', '2026-10-25T03:00Z', 'hour', 'Europe/Paris', true)$$,
  $$values ('2026-10-25T01:00+02:00'), ('2026-10-25T02:00+02:00'), ('2026-10-25T02:00+01:00'), ('2026-10-25T03:00+01:00')$$,
  'an hour that comes twice is two buckets');
select is((select string_agg(bucket, ' ') from matrice.workflow_metrics(tests.id('borea'), '2011-12-28T10:00Z', '2012-01-01T10:00Z', time_zone => 'Pacific/Apia', fill => true)),
          '2011-12-28 2011-12-29 2011-12-31 2012-01-01', 'fill leaves out a day that a time zone has skipped');
select tests.refuses(format('select * from matrice.workflow_metrics(tests.id(''borea''), %s)', arguments), '22023', 'workflow_metrics refuses ' || arguments, detail, '%')
  from (values
    ($$'2026-01-01', time_zone => 'Paris'$$, null), ($$'2026-01-01', time_zone => 'EST5'$$, null),
    ($$'2026-01-01', time_zone => 'Europe/Nowhere'$$, null), ($$'2026-01-01', time_zone => repeat('x', 1000)$$, null), ($$'2026-01-01', status => 'odd'$$, null), ($$'2026-01-01', phase => 'P7'$$, null),
    ($$'2026-01-01', group_by => 'user', model => 'x'$$, '%'), ($$'-infinity', fill => true$$, '%'), ($$'1900-01-01', group_by => 'hour', fill => true$$, '%')
  ) refused (arguments, detail);

-- Top rows and errors.
update matrice.workflow_steps set error = case when attempt = 0 then '{"name": "RateLimitError"}'::jsonb else '{"error": {"code": 529}}' end
 where status = 'failed' and project_id = tests.id('borea');
select tests.as_user('victor');
select is((select max(cost_usd) from matrice.workflow_steps where project_id = tests.id('borea') and corrects is null),
          (select cost_usd from matrice.top_steps(tests.id('borea'), '2026-03-01Z', match_count => 1)), 'top_steps returns the step that cost most');
select results_eq($$select run_id, cost_usd from matrice.top_runs(tests.id('borea'), '2026-03-01Z', match_count => 3)$$,
                  $$select run_id, sum(cost_usd) from matrice.workflow_steps where project_id = tests.id('borea') group by 1 order by 2 desc nulls last, 1 limit 3$$,
                  'top_runs returns the runs that cost most');
select is((select sum(steps) from matrice.step_errors(tests.id('borea'), '2026-03-01Z')),
          (select count(*)::numeric from matrice.workflow_steps where project_id = tests.id('borea') and status = 'failed' and corrects is null), 'step_errors counts all errors');
select is((select array_agg(error_class order by error_class) from matrice.step_errors(tests.id('borea'), '2026-03-01Z')), '{529,RateLimitError}',
          'step_errors returns names and codes');

-- Purging.
select tests.as_user('edith');
select tests.refuses($$select matrice.purge_steps(tests.id('borea'), '2026-03-30Z')$$, '42501', 'purge_steps refuses editors', '%', '%');
select tests.refuses($$select matrice.rebuild_metrics(tests.id('borea'))$$, '42501', 'rebuild_metrics refuses editors', '%', '%');
select tests.as_owner();
select ok(matrice.purge_steps(tests.id('borea'), '2026-03-30T12:00Z', 100) > 0, 'purge_steps deletes some');
select ok(matrice.purge_steps(tests.id('borea'), '2026-03-30T12:00Z', 1000000) > 0, 'purge_steps deletes the others');
select is(matrice.purge_steps(tests.id('borea'), '2026-03-30T12:00Z'), 0::bigint, 'purge_steps returns 0 when nothing is left');
select is((select count(*) from matrice.workflow_steps where project_id = tests.id('borea') and executed_at < '2026-03-30T12:00Z' and status <> 'running'), 0::bigint, 'the steps are gone');
select tests.metrics_are_kept('the metrics of purged steps stay');
select matrice.rebuild_metrics(tests.id('borea'));
select tests.metrics_are_kept('rebuild_metrics keeps what was purged');
select matrice_private.count_again(tests.id('borea'), 7);
select tests.metrics_are_kept('it keeps it in parts');
-- A late step in a quarter that was purged, which is then changed.
insert into matrice.workflow_steps (run_id, step_name, status, latency_ms, model, tokens_input, executed_at)
select tests.id('run 250'), 'late', 'success', 5, 'gpt-4o', 7, '2026-03-28 10:00Z';
update matrice.workflow_steps set tokens_input = 9 where step_name = 'late';
delete from matrice.workflow_steps where step_name = 'late';
select matrice_private.merge_metrics(tests.id('borea'), 1000000);
select tests.metrics_are_kept('a late step that is deleted takes nothing of what was purged with it');
delete from matrice.projects where id = tests.id('borea');
select is((select count(*) from matrice_private.metrics where project_id = tests.id('borea'))
          + (select count(*) from matrice_private.metric_changes where project_id = tests.id('borea'))
          + (select count(*) from matrice_private.metric_runs where project_id = tests.id('borea'))
          + (select count(*) from matrice_private.metric_facts where project_id = tests.id('borea')), 0::bigint, 'a deleted project leaves no sums');

select * from finish();
rollback;
