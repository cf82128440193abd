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
select is(jsonb_array_length(data -> 'models'), 21, '25 models are 20 models and the rest') from told;
select is((select m -> 'cost' from jsonb_array_elements(data -> 'models') m where m -> 'is_rest' = 'true'), '15.000000000000',
          'The rest costs 1 + 2 + 3 + 4 + 5') from told;
select is(jsonb_path_query_array(data, '$.steps[0 to 1].name'), '["step 25", "step 24"]', 'The steps that cost most come first') from told;
select is(jsonb_array_length(data -> 'steps'), 10, 'Ten steps are shown') from told;

select tests.refuses(format('select matrice.report(%s)', arguments), code, description, detail, hint)
  from (values
    ($$tests.id('atlas'), language => 'de'$$, '22023', 'report refuses another language', null, '%en, fr%'),
    ($$tests.id('atlas'), time_zone => 'Mars/Base'$$, '22023', 'report refuses an unknown time zone', null, '%Europe/Paris%'),
    ($$tests.id('atlas'), time_zone => repeat('x', 101)$$, '22023', 'report refuses a long time zone', '%', '%'),
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
