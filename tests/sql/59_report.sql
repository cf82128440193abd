begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.as_user('alice');
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'sail', 'tide'));
select matrice.record_step(tests.id('run'), format('step %s', n), 'success', latency_ms => 100 * n, model => format('model %s', n), cost_usd => n,
                           tokens_input => 10, usage => '{"cached_tokens": 4}', executed_at => '2026-03-28T23:30:00Z'::timestamptz + n * interval '1 hour')
  from generate_series(1, 25) n;

-- In Paris, March 29 has 23 hours, and begins at 23:00 in UTC.
create temp table told on commit drop as
select matrice_private.report_data(tests.id('atlas'), '2026-03-28T23:00Z', '2026-03-30T22:00Z', 'Europe/Paris') as data;
select is(jsonb_path_query_array(data, '$.days[*].date'), '["2026-03-29", "2026-03-30"]', 'A report has the days of its time zone') from told;
select is(jsonb_path_query_array(data, '$.days[*].input'), '[220, 30]', 'A day of 23 hours has 22 of the steps, and the next day 3') from told;
select is(data #> '{all,cached}', '100', 'Tokens from caches are summed up') from told;
select is(jsonb_array_length(data -> 'models'), 8, '25 models are seven and the rest') from told;
select is((select m from jsonb_array_elements(data -> 'models') m where m -> 'is_rest' = 'true') - 'unpriced', '{"name": null, "is_rest": true, "calls": 18, "cost": 171.000000000000, "costs": {"2026-03-29": 171.000000000000, "2026-03-30": 0.000000000000}}',
          'The rest costs 1 + 2 + … + 18, all of it on the first day') from told;
select is(jsonb_path_query_array(data, '$.steps[0 to 1].name'), '["step 25", "step 24"]', 'The steps that cost most come first') from told;
select is(jsonb_array_length(data -> 'steps'), 10, 'Ten steps are shown') from told;

-- What is counted, and what is not. Of two unknown costs, one is corrected.
select tests.remember('told', matrice.start_run(tests.id('atlas'), 'sail', 'tide', started_at => '2026-05-01T12:00Z'));
select matrice.finish_run(tests.id('told'), 'completed');
select matrice.finish_run(matrice.start_run(tests.id('atlas'), 'mend', 'inngest/function.failed', started_at => '2026-05-01T12:00Z'), 'completed');
select tests.remember('priced', matrice.record_step(tests.id('told'), 'draft', 'success', model => 'gpt-4o', executed_at => '2026-05-01T12:00Z',
  latency_ms => 100, usage => '{"prompt_tokens": 1000000, "prompt_tokens_details": {"cached_tokens": 400000}}'));
select tests.remember('corrected', matrice.record_step(tests.id('told'), 'guess', 'failed', model => 'nobody/knows', executed_at => '2026-05-01T12:00Z', tokens_input => 5));
select matrice.record_step(tests.id('told'), 'guess', 'success', model => 'nobody/either', executed_at => '2026-05-01T12:00Z', tokens_input => 5);
select matrice.record_step(tests.id('told'), 'wait', 'running', model => 'gpt-4o', executed_at => '2026-05-01T12:00Z', step_key => 'wait', latency_ms => 9000);
select matrice.correct_step(tests.id('priced'), 'half of it', usage => '{"prompt_tokens": 500000, "prompt_tokens_details": {"cached_tokens": 100000}}');
select matrice.correct_step(tests.id('corrected'), 'the bill came', cost_usd => 0.25);
create temp table counted on commit drop as
select matrice_private.report_data(tests.id('atlas'), '2026-05-01', '2026-05-02', 'UTC') as data;
select is((data -> 'all') - '{p50,p95,p99}'::text[],
          '{"completed": 1, "handled": 1, "failed": 0, "cancelled": 0, "running": 0, "input": 500010, "output": 0, "cached": 100000}',
          'Corrections add to tokens; handlers of failures do not succeed') from counted;
select cmp_ok((data #>> '{all,p95}')::float8, '<', 102::float8, 'Running steps have no latency yet') from counted;
-- 400,000 × 2.5 + 100,000 × 1.25, in millionths
select is((select jsonb_agg(jsonb_build_array(m -> 'name', m -> 'calls', m -> 'unpriced', (m ->> 'cost')::float8) order by m -> 'name') from jsonb_array_elements(data -> 'models') m),
          '[["gpt-4o", 1, 0, 1.125], ["nobody/either", 1, 1, null], ["nobody/knows", 1, 0, 0.25]]',
          'Corrections and running steps are no calls; a cost that nobody knows is null, until a correction says it') from counted;
select is((select jsonb_agg(jsonb_build_array(s -> 'name', s -> 'calls', s -> 'failed', (s ->> 'cost')::float8)) from jsonb_array_elements(data -> 'steps') s),
          '[["draft", 1, 0, 1.125], ["guess", 2, 1, 0.25]]', 'The steps that cost most are attempts that have ended') from counted;

-- Budgets, with a reservation that is open.
select matrice.set_budget(tests.id('atlas'), 10, time_zone => 'Asia/Tokyo');
select matrice.set_budget(tests.id('atlas'), 1, 'total', name => 'small', model => 'gpt-4o', hard => false);
select matrice.reserve_budget(tests.id('atlas'), 0.5);
select is((select jsonb_agg(jsonb_build_array(b -> 'name', b -> 'state', b -> 'model', b -> 'is_hard', b -> 'reserved', b -> 'ends') order by b -> 'name')
             from jsonb_array_elements(matrice_private.report_of_budgets(tests.id('atlas'), 'UTC')) b),
          jsonb_build_array(
            jsonb_build_array('default', 'ok', null, true, 0.5, to_char(date_trunc('month', now() at time zone 'Asia/Tokyo') + interval '1 month', 'YYYY-MM-DD')),
            jsonb_build_array('small', 'exhausted', 'gpt-4o', false, 0, null)),
          'A report has the budgets as budget_status says, which end by their own clocks');

-- 1,000 models are 20 and the rest.
select count(matrice.record_step(tests.id('run'), 's', 'success', model => format('m %s', n), cost_usd => n, executed_at => '2026-06-01T01:00Z'))
  from generate_series(1, 1000) n;
select is(jsonb_array_length(matrice_private.report_data(tests.id('atlas'), '2026-06-01', '2026-06-02', 'UTC') -> 'models'), 8, '1,000 models are 8 rows');
select is(jsonb_array_length(matrice_private.report_data(tests.id('atlas'), '2025-01-01T12:00Z', '2026-01-02T12:00Z', 'UTC') -> 'days'), 367, 'The longest report has 367 days');

select tests.refuses(format('select matrice.report(%s)', arguments), code, description, detail, hint)
  from (values
    ($$tests.id('atlas'), language => 'de'$$, '22023', 'report refuses another language', null, '%en, fr%'),
    ($$tests.id('atlas'), time_zone => 'Mars/Base'$$, '22023', 'report refuses an unknown time zone', null, '%Europe/Paris%'),
    ($$tests.id('atlas'), time_zone => 'EST5EDT4,x'$$, '22023', 'report refuses a rule for a time zone', null, '%'),
    ($$tests.id('atlas'), '1990-01-01', '2190-01-01'$$, '22023', 'report refuses 200 years', '%', '%'),
    ($$tests.id('atlas'), time_zone => repeat('x', 101)$$, '22023', 'report refuses a long time zone', null, '%'),
    ($$tests.id('atlas'), '2026-01-02', '2026-01-01'$$, '22023', 'report refuses until before since', '%', '%'),
    ($$tests.id('atlas'), '2024-01-01', '2026-01-01'$$, '22023', 'report refuses two years', '%', '%'),
    ($$tests.id('atlas'), '-infinity'$$, '22023', 'report refuses all time', '%', '%'),
    ($$tests.id('nowhere')$$, 'PT404', 'report of an unknown project: not found', '%', '%')
  ) as t (arguments, code, description, detail, hint);

select matches(matrice.report(tests.id('atlas'), '2026-03-28', '2026-03-31', language => 'fr'), '^<!DOCTYPE html><html lang="fr">.*</html>$',
               'report returns a page');
-- What a client can pass to the wrapper of the engine.
select matches(matrice_private.rendered_report(data, language), '^<!DOCTYPE html>', 'The engine makes a page of ' || left(data::text, 40))
  from (values ('null'::jsonb, 'en'), ('[]', 'xx'), ('{"days": [1e400, {}, null]}', 'fr'), ((repeat('[', 500) || repeat(']', 500))::jsonb, 'en')) as t (data, language);

select * from finish();
rollback;
