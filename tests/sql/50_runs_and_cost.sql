begin;
\ir helpers/setup.psql
select no_plan();

-- Exact cost -------------------------------------------------------------------------------------------------------

-- Totals in exact decimals from the literal texts of LiteLLM's price map, each checked against what LiteLLM computes.
-- The model charges less off-peak where it says so: all but that vector are priced on a Wednesday at 03:00 UTC.
create temp table vectors (id text, model text, tokens_input bigint, tokens_output bigint, usage jsonb, priced_at timestamptz, usd numeric) on commit drop;
insert into vectors values
  ('plain-gpt-4o-mini', 'gpt-4o-mini', 1000, 500, '{}', '2026-11-18T03:00:00+00:00', 0.00045000),
  ('one-token-each', 'gpt-4o-mini', 1, 1, '{}', '2026-11-18T03:00:00+00:00', 0.00000075),
  ('embed-3-small-1tok', 'text-embedding-3-small', 1, 0, '{}', '2026-11-18T03:00:00+00:00', 0.00000002),
  ('embed-3-small-8191', 'text-embedding-3-small', 8191, 0, '{}', '2026-11-18T03:00:00+00:00', 0.00016382),
  ('embed-3-small-batch', 'text-embedding-3-small', 8191, 0, '{"service_tier": "batch"}', '2026-11-18T03:00:00+00:00', 0.00008191),
  ('embed-voyage-3.5', 'voyage/voyage-3.5', 32000, 0, '{}', '2026-11-18T03:00:00+00:00', 0.00192000),
  ('cached-gpt-4o', 'gpt-4o', 1000, 200, '{"cached_tokens": 800}', '2026-11-18T03:00:00+00:00', 0.00350000),
  ('cached-no-rate', 'dashscope/qwen-plus', 1000, 0, '{"cached_tokens": 400}', '2026-11-18T03:00:00+00:00', 0.0004000),
  ('anthropic-read-write-5m', 'claude-sonnet-4-5', 12000, 500, '{"cached_tokens": 8000, "cache_write_tokens": 3000}', '2026-11-18T03:00:00+00:00', 0.02415000),
  ('anthropic-write-mixed-ttl', 'claude-sonnet-4-5', 6000, 250, '{"cached_tokens": 1500, "cache_write_tokens": 4000, "cache_write_5m_tokens": 1000, "cache_write_1h_tokens": 3000}', '2026-11-18T03:00:00+00:00', 0.02745000),
  ('anthropic-us-geo', 'claude-sonnet-5', 1000, 100, '{"inference_geo": "us"}', '2026-11-18T03:00:00+00:00', 0.0033000),
  ('tier-flex-gpt-5-cached', 'gpt-5', 10000, 2000, '{"cached_tokens": 4000, "service_tier": "flex"}', '2026-11-18T03:00:00+00:00', 0.0140000000),
  ('batch-gpt-5', 'gpt-5', 10000, 2000, '{"service_tier": "batch"}', '2026-11-18T03:00:00+00:00', 0.016250000),
  ('reasoning-gemini-flash', 'gemini/gemini-2.5-flash', 1000, 900, '{"reasoning_tokens": 600}', '2026-11-18T03:00:00+00:00', 0.0025500),
  ('tier200k-one-above', 'gemini/gemini-2.5-pro', 200001, 1000, '{}', '2026-11-18T03:00:00+00:00', 0.5150025),
  ('tier200k-priority', 'gemini/gemini-2.5-pro', 250000, 1000, '{"service_tier": "priority"}', '2026-11-18T03:00:00+00:00', 1.1520000),
  ('tiered-qwen-above', 'dashscope/qwen-flash', 256001, 1000, '{}', '2026-11-18T03:00:00+00:00', 0.06600025),
  ('audio-in-gemini-flash', 'gemini/gemini-2.5-flash', 1500, 100, '{"input_audio_tokens": 1000}', '2026-11-18T03:00:00+00:00', 0.0014000),
  ('offpeak-deepseek', 'deepseek-flash', 1000, 100, '{}', '2026-11-18T05:00:00+00:00', 0.00021000);
grant select on vectors to public;

select tests.as_user('victor');
select is(matrice.calculate_cost(model, tokens_input => tokens_input, tokens_output => tokens_output, usage => usage, priced_at => priced_at),
          usd, format('%s costs exactly %s', id, trim_scale(usd)))
  from vectors;
select is(count(*), 19::bigint, 'Nineteen calls are priced') from vectors;

select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T03:59:59Z'), 2 * matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T04:00:00Z'),
          'Off-peak hours begin on the second');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T06:00:00Z'), matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T03:00:00Z'),
          'Off-peak hours end on the second');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T07:00:00+03'), 0.00021, 'Off-peak hours are in UTC, whatever the caller''s clock');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-21T03:00:00Z'), 0.00021, 'Saturdays are off-peak');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, '{"service_tier": "auto"}', '2026-11-18T05:00:00Z'), 0.00021, 'An automatic tier is off-peak too');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, priced_at => '2026-11-21T05:00:00Z'), 0.00045, 'Models without off-peak rates cost the same at night');
select is(matrice.calculate_cost('gemini/gemini-2.5-pro', 200000, 0, priced_at => '2026-11-18T03:00:00Z'), 0.25, 'The lower rate holds up to the threshold');
select is(matrice.calculate_cost('gpt-4o-mini', 0), 0::numeric, 'No tokens of a known model cost nothing');
select is(matrice.calculate_cost('gpt-4o-mini', 1000000000000, 0), 150000.0, 'A trillion tokens are priced exactly');
select is(matrice.calculate_cost('openai/gpt-4o-mini', 1000, 500), 0.00045, 'A provider''s prefix does not change the price');
select is(matrice.calculate_cost('voyage-3.5', 32000), 0.00192, 'A model that is priced behind a provider''s name is found without it');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, '{"cached_tokens": null, "service_tier": null, "seats": 4}'), 0.00045, 'Nulls and unknown keys in usage are nothing');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, '{"service_tier": "no-such"}'), 0.00045, 'A tier without prices is billed as standard');
select is(matrice.calculate_cost('gpt-5', 10000, 2000, '{"service_tier": " BATCH"}'), 0.01625, 'A tier may be written in capitals');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, priced_at => '1999-01-01'), 0.00045, 'Prices of the catalogue hold for the past');

select is(matrice.calculate_cost(model, 1000, 1000), null, format('The cost of %s is unknown, not 0', coalesce(quote_literal(model), 'null')))
  from unnest(array['no-such-model', '', 'gpt-4o-mini-but-newer', 'elsewhere/gpt-4o-mini', 'GPT-4O-MINI']) model;

select tests.as_service();
insert into matrice.model_prices (model, provider, unit, usd_per_million, valid_from) values
  ('mill', 'us', 'input', 3, '-infinity'), ('mill', 'us', 'output', 7, '-infinity'), ('mill', 'us', 'input', 5, '2026-02-01T00:00:00Z'),
  ('input only', 'us', 'input', 2, '-infinity'), ('free', 'us', 'input', 0, '-infinity'), ('free', 'us', 'output', 0, '-infinity');
select tests.as_user('victor');
select is(matrice.calculate_cost('mill', 1000000, 1000000, priced_at => '2026-01-31T23:59:59Z'), 10::numeric, 'A call is priced at the rates of its time');
select is(matrice.calculate_cost('mill', 1000000, 1000000, priced_at => '2026-02-01T00:00:00Z'), 12::numeric, 'A new rate holds from its first moment');
select is(matrice.calculate_cost('input only', 1000000), 2::numeric, 'A unit that was not used needs no price');
select is(matrice.calculate_cost('input only', 1000000, 1), null, 'A used unit without a price makes the whole cost unknown');
select is(matrice.calculate_cost('free', 1000000, 1000000), 0::numeric, 'A model that is free costs 0');

select tests.refuses(format('select matrice.calculate_cost(%s)', arguments), '22023', description, detail, hint)
  from (values
    ($$'gpt-4o', -1$$, 'Input tokens are not negative', null, null),
    ($$'gpt-4o', 1, -1$$, 'Output tokens are not negative', null, null),
    ($$'no-such-model', -1$$, 'Not even of an unknown model', null, null),
    ($$'gpt-4o', 10, 10, '[]'$$, 'Usage is not an array', '%array%', '%'),
    ($$'gpt-4o', 10, 10, '"cached"'$$, 'Usage is not a string', '%string%', '%'),
    ($$'gpt-4o', 10, 10, 'null'$$, 'Usage is not a JSON null', '%null%', '%'),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": 11}'$$, 'Not more tokens are cached than went in', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": 5, "cache_write_tokens": 6}'$$, 'Cached and written tokens together went in', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"cache_write_5m_tokens": 6, "cache_write_1h_tokens": 5}'$$, 'Tokens written for five minutes and for an hour went in', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"input_audio_tokens": 11}'$$, 'Audio tokens went in', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 11}'$$, 'Reasoning came out', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 6, "output_audio_tokens": 5}'$$, 'Reasoning and audio together came out', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": -1}'$$, 'Usage is not negative', '%-1%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": "5"}'$$, 'Usage is not written in strings', '%"5"%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": 1.5}'$$, 'There are no half tokens', '%1.5%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": true}'$$, 'Usage is not true', '%true%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": [5]}'$$, 'Usage is not a list', '%5%', null),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 1e30}'$$, 'Usage is not astronomical', '%', '%'),
    ($$'gpt-4o', 10, 10, '{"cache_write_5m_tokens": 9000000000000000000, "cache_write_1h_tokens": 9000000000000000000}'$$, 'Nor in sum', '%', '%'),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 1e10000}'$$, 'L8: what is refused is not echoed whole', '%', '%'),
    ($$'gpt-4o', 10, 10, '{"service_tier": 5}'$$, 'A tier is a string', '%5%', '%'),
    ($$'gpt-4o', 10, 10, '{"prompt_tokens_details": {"cached_tokens": 5}}'$$, 'OpenAI''s own format is not taken for nothing', '%prompt_tokens_details%', '%cached_tokens%'),
    ($$'gpt-4o', 10, 10, '{"cache_read_input_tokens": 5}'$$, 'Nor is Anthropic''s', '%cache_read_input_tokens%', '%cached_tokens%'),
    ($$'gpt-4o', 10, 10, '{"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}]}'$$, 'Nor is Gemini''s', '%promptTokensDetails%', '%cached_tokens%'),
    ($$'gpt-4o', 10, 10, '{"input_tokens": "5"}'$$, 'Nor a count in quotes', '%input_tokens%', '%cached_tokens%'),
    ($$'no-such-model', 10, 10, '{"cached_tokens": 11}'$$, 'Nonsense is refused for an unknown model too', '%11%10%', '%')
  ) as refused (arguments, description, detail, hint);

-- Runs -------------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('atlas');
select tests.project('borea');
select tests.as_user('edith');
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'ingest', 'file.uploaded', 'evt-1', 'P3', '{"file": "log.pdf"}'));
select results_eq(
  $$select project_id, workflow_id, event_name, run_key, phase, input_data, status, started_at from matrice.workflow_runs where id = tests.id('run')$$,
  $$values (tests.id('atlas'), 'ingest', 'file.uploaded', 'evt-1', 'P3', '{"file": "log.pdf"}'::jsonb, 'running', now())$$,
  'A run that starts is recorded as running');
select tests.remember_state();
select is(matrice.start_run(tests.id('atlas'), 'ingest', 'file.uploaded', 'evt-1', 'P1', '{"other": true}'), tests.id('run'), 'A run that starts twice with a key is one run');
select tests.unchanged('The second start changes nothing');
select isnt(matrice.start_run(tests.id('atlas'), 'ingest', 'file.uploaded', 'evt-2'), tests.id('run'), 'Another key is another run');
select isnt(matrice.start_run(tests.id('borea'), 'ingest', 'file.uploaded', 'evt-1'), tests.id('run'), 'Another project''s run of the key is another run');
select isnt(matrice.start_run(tests.id('atlas'), 'ingest', 'x'), matrice.start_run(tests.id('atlas'), 'ingest', 'x'), 'Runs without a key are each their own');

-- Steps ------------------------------------------------------------------------------------------------------------

select tests.remember('step', matrice.record_step(tests.id('run'), 'embed', 'success', 120, 'text-embedding-3-small', 1, step_key => 'embed-1',
                                                  executed_at => '2026-11-18T03:00:00Z'));
select results_eq(
  $$select run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, usage, error, step_key, attempt, cost_usd, cost_source, executed_at
      from matrice.workflow_steps where id = tests.id('step')$$,
  $$values (tests.id('run'), tests.id('atlas'), 'embed', 'success', 120, 'text-embedding-3-small', 1, 0, '{}'::jsonb, null::jsonb, 'embed-1', 0,
            0.00000002, 'calculated', '2026-11-18T03:00:00Z'::timestamptz)$$,
  'A step is recorded with its exact cost');
select tests.remember_state();
select is(matrice.record_step(tests.id('run'), 'embed', 'failed', 999, 'gpt-4o', 1000, 1000, error => '{"late": true}', step_key => 'embed-1'), tests.id('step'),
          'The same step and attempt recorded again is the same row');
select tests.unchanged('Recording it again changes nothing');
select isnt(matrice.record_step(tests.id('run'), 'embed', 'success', step_key => 'embed-1', attempt => 1), tests.id('step'), 'Another attempt is another row');
select isnt(matrice.record_step(tests.id('run'), 'x', 'success'), matrice.record_step(tests.id('run'), 'x', 'success'), 'Steps without a key are each their own');

select tests.as_owner();
create function tests.cost_of_step(arguments text) returns table (cost_usd numeric, cost_source text) language plpgsql as $$
declare
  step uuid;
begin
  execute format('select matrice.record_step(tests.id(''run''), ''x'', ''success'', %s)', arguments) into step;
  return query select s.cost_usd, s.cost_source from matrice.workflow_steps s where s.id = step;
end
$$;
select tests.as_user('edith');
select results_eq(format('select * from tests.cost_of_step(%L)', arguments), format('values (%s::numeric, %s::text)', cost, source), description)
  from (values
    ($$model => 'gpt-4o', tokens_input => 1000, tokens_output => 200, usage => '{"cached_tokens": 800}'$$, '0.0035', $$'calculated'$$, 'Usage is priced'),
    ($$model => 'gpt-4o', tokens_input => 1000, cost_usd => 1.25$$, '1.25', $$'provided'$$, 'A cost that the caller knows is taken'),
    ($$model => 'gpt-4o', tokens_input => 1000, cost_usd => 0$$, '0', $$'provided'$$, 'Also where it is 0'),
    ($$model => 'no-such-model', tokens_input => 1000$$, 'null', 'null', 'The cost of an unknown model is null'),
    ($$tokens_input => 1000$$, 'null', 'null', 'The cost without a model is null'),
    ($$model => 'deepseek-flash', tokens_input => 1000, tokens_output => 100, executed_at => '2026-11-18T05:00:00Z'$$, '0.00021', $$'calculated'$$, 'A step is priced at its own time'),
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"prompt_tokens_details": {"cached_tokens": 5}}'$$, 'null', 'null', 'A step with usage in a vendor''s own format is kept; its cost is unknown, not too high'),
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"audio_tokens": 0, "total_tokens": null, "seats": 4}'$$, '0.0025', $$'calculated'$$, 'Unknown keys that count nothing, or no tokens, change no cost'),
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"total_tokens": 1200}', cost_usd => 2$$, '2', $$'provided'$$, 'Nor do they where the caller knows the cost')
  ) as steps (arguments, cost, source, description);

select tests.remember_state();
select tests.refuses(format('select matrice.%s', call), code, description, detail, hint)
  from (values
    ($$start_run(tests.id('atlas'), null, 'x')$$, '22004', 'A workflow is not null', null, null),
    ($$start_run(tests.id('atlas'), ' ', 'x')$$, '22023', 'A workflow is not blank', null, null),
    ($$start_run(tests.id('atlas'), 'x', 'x', phase => 'P7')$$, '22023', 'A phase is one of six', null, '%P6%'),
    ($$start_run(tests.id('atlas'), 'answer', 'file.uploaded', 'evt-1')$$, 'PT409', 'The key of another workflow''s run is refused', '%ingest%', '%'),
    ($$start_run(tests.id('atlas'), 'x', 'x', '')$$, '22023', 'An empty run_key would be the same for all', '%', '%'),
    ($$start_run(tests.id('atlas'), 'x', 'x', repeat('k', 501))$$, '22023', 'A run_key fits into an index', '%501%', '%'),
    ($$record_step(tests.id('run'), 'chunk', 'success', step_key => 'embed-1')$$, 'PT409', 'The key of another step is refused', '%embed%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', step_key => ' ')$$, '22023', 'A step_key is not blank', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', usage => jsonb_build_object('x', repeat('x', 17000)))$$, '22023', 'Usage has 16 kB', '%', '%'),
    ($$start_run(null, 'x', 'x')$$, '22004', 'A run has a project', null, null),
    ($$start_run(tests.id('nowhere'), 'x', 'x')$$, 'PT404', 'A project that does not exist runs nothing', '%', '%'),
    ($$record_step(tests.id('run'), null, 'success')$$, '22004', 'A step''s name is not null', null, null),
    ($$record_step(tests.id('run'), '', 'success')$$, '22023', 'A step''s name is not empty', null, null),
    ($$record_step(tests.id('run'), 'x', 'completed')$$, '22023', 'A step succeeds, fails or is skipped', null, '%success, failed, skipped%'),
    ($$record_step(tests.id('run'), 'x', null)$$, '22004', 'A step has a status', null, '%'),
    ($$record_step(tests.id('run'), 'x', 'success', -1)$$, '22023', 'A latency is not negative', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', tokens_input => -1)$$, '22023', 'Input tokens are not negative', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', tokens_output => -1)$$, '22023', 'Output tokens are not negative', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', attempt => -1)$$, '22023', 'An attempt is not negative', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => -0.01)$$, '22023', 'A cost is not negative', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => 'NaN')$$, '22023', 'A cost is a number', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => 'Infinity')$$, '22023', 'A cost is finite', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => 100000000)$$, '22023', 'A cost fits its column', '%100000000%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', latency_ms => 2147483647)$$, '22023', 'M8: a latency is bounded', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', tokens_output => 2147483647)$$, '22023', 'M8: tokens are bounded', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', attempt => 2147483647)$$, '22023', 'M8: an attempt is bounded', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', executed_at => 'infinity')$$, '22023', 'M8: a step is at a time', '%infinity%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', error => to_jsonb(repeat('x', 70000)))$$, '22023', 'M8: an error is bounded', '%65536%', '%'),
    ($$record_step(tests.id('run'), repeat('x', 201), 'success')$$, '22023', 'M8: a name of a step is bounded', '%201%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', usage => '[]')$$, '22023', 'Usage is an object', '%array%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', usage => '[]', cost_usd => 1)$$, '22023', 'Usage is an object also beside a known cost', '%array%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', model => 'gpt-4o', tokens_input => 5, usage => '{"cached_tokens": 6}')$$, '22023', 'Not more tokens are cached than went in', '%6%5%', '%'),
    ($$record_step(tests.id('nowhere'), 'x', 'success')$$, 'PT404', 'A run that does not exist has no steps', '%', null),
    ($$record_step(null, 'x', 'success')$$, '22004', 'A null run has no steps', null, '%'),
    ($$finish_run(tests.id('run'), 'done')$$, '22023', 'A run ends as completed, failed or cancelled', null, '%completed, failed, cancelled%'),
    ($$finish_run(tests.id('run'), 'running')$$, '22023', 'A run does not end as running', null, '%completed%'),
    ($$finish_run(tests.id('run'), null)$$, '22004', 'A run ends somehow', null, '%'),
    ($$finish_run(tests.id('nowhere'), 'completed')$$, 'PT404', 'A run that does not exist does not end', '%', null),
    ($$finish_run(null, 'completed')$$, '22004', 'A null run does not end', null, '%')
  ) as refused (call, code, description, detail, hint);
select tests.as_user('victor');
select tests.refuses($$select matrice.start_run(tests.id('atlas'), 'x', 'x')$$, '42501', 'A viewer starts no run', '%', '%');
select tests.refuses($$select matrice.record_step(tests.id('run'), 'x', 'success')$$, '42501', 'A viewer records no step', '%', '%');
select tests.refuses($$select matrice.finish_run(tests.id('run'), 'completed')$$, '42501', 'A viewer ends no run', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.start_run(tests.id('atlas'), 'x', 'x')$$, 'PT404', 'An outsider starts no run', '%', '%');
select tests.refuses($$select matrice.record_step(tests.id('run'), 'x', 'success')$$, 'PT404', 'An outsider records no step', '%');
select tests.refuses($$select matrice.finish_run(tests.id('run'), 'completed')$$, 'PT404', 'An outsider ends no run', '%');
select tests.unchanged('Refused runs and steps leave no trace');

-- Who says what a step cost ----------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.workflow_steps (id, run_id, step_name, status, model, tokens_input, cost_usd, cost_source) values
  (tests.id('by hand'), tests.id('run'), 'x', 'success', 'gpt-4o', 1000, null, 'provided'),
  (tests.id('dearer'), tests.id('run'), 'x', 'success', 'gpt-4o', 1000, 7, 'calculated'),
  (tests.id('restored'), tests.id('run'), 'x', 'success', 'gpt-4o', 1000, 0.0025, 'calculated'),
  (tests.id('unpriced'), tests.id('run'), 'x', 'success', 'no-such', 1000, null, 'calculated'),
  (tests.id('modelless'), tests.id('run'), 'x', 'success', null, 1000, null, 'calculated'),
  (tests.id('own price'), tests.id('run'), 'x', 'success', 'no-such', 1000, 0, null);
select tests.as_owner();
create function tests.cost_of(step text) returns text language sql as $$
  select concat_ws(' ', trim_scale(cost_usd), cost_source) from matrice.workflow_steps where id = tests.id(step)
$$;
select tests.as_user('edith');
select is(tests.cost_of('by hand'), '0.0025 calculated', 'L4: a row without a cost is calculated, and says so');
select is(tests.cost_of('dearer'), '7 provided', 'L4: a client does not say that its own cost was calculated');
select is(tests.cost_of('restored'), '0.0025 calculated', 'L4: a row that comes back from a dump is what it was');
select is(tests.cost_of('unpriced'), '', 'L4: what has no price has no cost, and no source of it');
select is(tests.cost_of('modelless'), '', 'L4: nor what has no model');
select is(tests.cost_of('own price'), '0 provided', 'L4: a cost that the client gives is provided');
update matrice.workflow_steps set cost_source = 'provided' where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0.0025 calculated', 'L4: an update does not change who said it');
update matrice.workflow_steps set tokens_input = 2000 where id in (tests.id('by hand'), tests.id('dearer'));
select is(tests.cost_of('by hand'), '0.005 calculated', 'L4: a calculated cost follows what it was calculated from');
select is(tests.cost_of('dearer'), '7 provided', 'L4: a provided one does not');
update matrice.workflow_steps set cost_usd = 0, cost_source = 'calculated' where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0 provided', 'L4: a changed cost is provided');
update matrice.workflow_steps set cost_usd = null where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0.005 calculated', 'L4: a cost that is taken away is calculated again');
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status, model, usage) values (tests.id('run'), 'x', 'success', 'gpt-4o', '{"cached_tokens": 1e10000}')$$,
                     '22023', 'L8: usage in a row is checked as in a call, and not echoed whole', '%', '%');

-- Ends -------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.finish_run(tests.id('run'), 'completed', '{"chunks": 4}');
select results_eq($$select status, output_data, completed_at from matrice.workflow_runs where id = tests.id('run')$$,
                  $$values ('completed', '{"chunks": 4}'::jsonb, now())$$, 'A run ends with its result');
select tests.remember_state();
select lives_ok($$select matrice.finish_run(tests.id('run'), 'completed', '{"chunks": 5}')$$, 'Saying again how it ended is no error');
select tests.refuses($$select matrice.finish_run(tests.id('run'), 'failed')$$, 'PT409', 'A run that has ended does not end otherwise', '%completed%');
select tests.unchanged('An ended run stays as it ended');

-- Metrics ----------------------------------------------------------------------------------------------------------

-- Three days in January, worked out by hand. Latencies of steps that ran:
--   January 1st: 100, 200, 300, 400 (p50 250, p95 385, p99 397); January 2nd: 50; January 3rd: none.
select tests.as_owner();
insert into matrice.workflow_runs (id, project_id, workflow_id, phase, status, started_at) values
  (tests.id('r1'), tests.id('borea'), 'ingest', 'P1', 'completed', '2026-01-01T00:00:00Z'),
  (tests.id('r2'), tests.id('borea'), 'ingest', 'P1', 'completed', '2026-01-01T09:30:00Z'),
  (tests.id('r3'), tests.id('borea'), 'answer', 'P2', 'failed',    '2026-01-01T23:59:59Z'),
  (tests.id('r4'), tests.id('borea'), 'answer', null, 'failed',    '2026-01-02T12:00:00Z'),
  (tests.id('r5'), tests.id('borea'), 'answer', 'P2', 'running',   '2026-01-03T12:00:00Z'),
  (tests.id('r6'), tests.id('borea'), 'answer', 'P2', 'completed', '2026-01-04T00:00:00Z'),
  (tests.id('r7'), tests.id('atlas'), 'ingest', 'P1', 'failed',    '2026-01-01T00:00:00Z');
insert into matrice.workflow_steps (run_id, step_name, status, latency_ms, model, tokens_input, tokens_output, cost_usd) values
  (tests.id('r1'), 'embed', 'success', 100, 'small', 10, 0, 0.000000000001), (tests.id('r1'), 'ask', 'success', 200, 'large', 20, 5, 0.5),
  (tests.id('r2'), 'embed', 'failed', 300, 'small', 30, 0, 0.25), (tests.id('r2'), 'embed', 'success', 400, 'small', 30, 0, 0.25),
  (tests.id('r3'), 'ask', 'skipped', 9999, null, 0, 0, null),
  (tests.id('r4'), 'ask', 'failed', 50, 'unpriced', 7, 3, null),
  (tests.id('r6'), 'ask', 'success', 1, 'large', 1, 1, 1), (tests.id('r7'), 'embed', 'success', 1, 'small', 1, 1, 1);

select tests.as_user('victor');
select results_eq(
  $$select bucket, runs, succeeded, failed, success_rate, steps, tokens_input, tokens_output, cost_usd, p50_ms, p95_ms, round(p99_ms::numeric, 6)
      from matrice.workflow_metrics(tests.id('borea'), '2026-01-01T00:00:00Z', '2026-01-04T00:00:00Z')$$,
  $$values ('2026-01-01', 3::bigint, 2::bigint, 1::bigint, 2 / 3.0::double precision, 5::bigint, 90::bigint, 5::bigint, 1.000000000001, 250::double precision, 385::double precision, 397.000000),
           ('2026-01-02', 1, 0, 1, 0, 1, 7, 3, null, 50, 50, 50),
           ('2026-01-03', 1, 0, 0, null, 0, 0, 0, null, null, null, null)$$,
  'A day''s runs, steps, tokens, cost and latencies are those worked out by hand');
select results_eq(
  format($$select bucket, runs, succeeded, failed, steps, cost_usd from matrice.workflow_metrics(tests.id('borea'), '2026-01-01T00:00:00Z', '2026-01-04T00:00:00Z', %L)$$, grouped),
  expected, 'Runs are grouped by ' || grouped)
  from (values
    ('hour', $$values ('2026-01-01T00:00Z', 1::bigint, 1::bigint, 0::bigint, 2::bigint, 0.500000000001), ('2026-01-01T09:00Z', 1, 1, 0, 2, 0.5),
                      ('2026-01-01T23:00Z', 1, 0, 1, 1, null), ('2026-01-02T12:00Z', 1, 0, 1, 1, null), ('2026-01-03T12:00Z', 1, 0, 0, 0, null)$$),
    ('week', $$values ('2025-12-29', 5::bigint, 2::bigint, 2::bigint, 6::bigint, 1.000000000001)$$),
    ('month', $$values ('2026-01', 5::bigint, 2::bigint, 2::bigint, 6::bigint, 1.000000000001)$$),
    ('workflow', $$values ('answer', 3::bigint, 0::bigint, 2::bigint, 2::bigint, null::numeric), ('ingest', 2, 2, 0, 4, 1.000000000001)$$),
    ('phase', $$values ('P1', 2::bigint, 2::bigint, 0::bigint, 4::bigint, 1.000000000001), ('P2', 2, 0, 1, 1, null), (null, 1, 0, 1, 1, null)$$),
    ('model', $$values ('large', 1::bigint, 1::bigint, 0::bigint, 1::bigint, 0.5), ('small', 2, 2, 0, 3, 0.500000000001), ('unpriced', 1, 0, 1, 1, null), (null, 2, 0, 1, 1, null)$$)
  ) as groups (grouped, expected);
set local timezone = 'Pacific/Auckland';
select results_eq($$select bucket, runs from matrice.workflow_metrics(tests.id('borea'), '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z')$$,
                  $$values ('2026-01-01', 3::bigint)$$, 'Days are in UTC, whatever the session''s time zone');
reset timezone;
select is_empty($$select * from matrice.workflow_metrics(tests.id('borea'), '2030-01-01', '2030-01-02')$$, 'A time without runs has no metrics');
select is_empty($$select * from matrice.workflow_metrics(tests.id('borea'), '2026-01-04', '2026-01-01')$$, 'A time that ends before it begins has none either');

select tests.refuses(format('select * from matrice.workflow_metrics(%s)', arguments), code, description, detail, hint)
  from (values
    ($$tests.id('borea'), '2026-01-01', group_by => 'colour'$$, '22023', 'Runs are not grouped by what is unknown', null, '%month%'),
    ($$tests.id('borea'), '2026-01-01', group_by => null$$, '22004', 'Runs are grouped by something', null, '%'),
    ($$tests.id('borea'), null$$, '22004', 'A time begins', null, null),
    ($$tests.id('borea'), '2026-01-01', null$$, '22004', 'A time ends', null, null),
    ($$null, '2026-01-01'$$, '22004', 'Metrics are of a project', null, null),
    ($$tests.id('nowhere'), '2026-01-01'$$, 'PT404', 'A project that does not exist has no metrics', '%', '%')
  ) as refused (arguments, code, description, detail, hint);
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.workflow_metrics(tests.id('borea'), '2026-01-01')$$, 'PT404', 'Somebody else''s metrics are not found', '%', '%');

select * from finish();
rollback;
