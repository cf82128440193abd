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
  ('anthropic-write-mixed-ttl', 'claude-sonnet-4-5', 6000, 250,
   '{"cached_tokens": 1500, "cache_write_tokens": 4000, "cache_write_5m_tokens": 1000, "cache_write_1h_tokens": 3000}', '2026-11-18T03:00:00+00:00',
   0.02745000),
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
          usd, format('calculate_cost of %s returns %s', id, trim_scale(usd)))
  from vectors;
select is(count(*), 19::bigint, 'calculate_cost is compared for 19 calls') from vectors;

select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T03:59:59Z'),
          2 * matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T04:00:00Z'),
          'calculate_cost at 04:00 UTC returns half of 03:59:59');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T06:00:00Z'),
          matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T03:00:00Z'),
          'calculate_cost at 06:00 UTC returns the cost of 03:00');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-18T07:00:00+03'), 0.00021,
          'calculate_cost reads off-peak hours in UTC for a priced_at with another offset');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, priced_at => '2026-11-21T03:00:00Z'), 0.00021,
          'calculate_cost on a Saturday returns the off-peak cost');
select is(matrice.calculate_cost('deepseek-flash', 1000, 100, '{"service_tier": "auto"}', '2026-11-18T05:00:00Z'), 0.00021,
          'calculate_cost with service_tier auto returns the off-peak cost');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, priced_at => '2026-11-21T05:00:00Z'), 0.00045,
          'calculate_cost of a model without off-peak rates is the same at night');
select is(matrice.calculate_cost('gemini/gemini-2.5-pro', 200000, 0, priced_at => '2026-11-18T03:00:00Z'), 0.25,
          'calculate_cost of exactly 200,000 tokens uses the lower rate');
select is(matrice.calculate_cost('gpt-4o-mini', 0), 0::numeric, 'calculate_cost of 0 tokens returns 0');
select is(matrice.calculate_cost('gpt-4o-mini', 1000000000000, 0), 150000.0, 'calculate_cost of 10^12 tokens is exact');
select is(matrice.calculate_cost('openai/gpt-4o-mini', 1000, 500), 0.00045, 'calculate_cost of openai/gpt-4o-mini returns the cost of gpt-4o-mini');
select is(matrice.calculate_cost('voyage-3.5', 32000), 0.00192, 'calculate_cost of voyage-3.5 returns the cost of voyage/voyage-3.5');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, '{"cached_tokens": null, "service_tier": null, "seats": 4}'), 0.00045,
          'calculate_cost ignores nulls and unknown keys in usage');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, '{"service_tier": "no-such"}'), 0.00045,
          'calculate_cost with service_tier no-such returns the standard cost');
select is(matrice.calculate_cost('gpt-5', 10000, 2000, '{"service_tier": " BATCH"}'), 0.01625, 'calculate_cost takes service_tier in capitals and with spaces');
select is(matrice.calculate_cost('gpt-4o-mini', 1000, 500, priced_at => '1999-01-01'), 0.00045,
          'calculate_cost(priced_at => 1999) uses the catalogue''s prices');

select is(matrice.calculate_cost(model, 1000, 1000), null, format('calculate_cost of model %s returns null', coalesce(quote_literal(model), 'null')))
  from unnest(array['no-such-model', '', 'gpt-4o-mini-but-newer', 'elsewhere/gpt-4o-mini']) model;

select tests.as_service();
insert into matrice.model_prices (model, provider, unit, usd_per_million, valid_from) values
  ('mill', 'us', 'input', 3, '-infinity'), ('mill', 'us', 'output', 7, '-infinity'), ('mill', 'us', 'input', 5, '2026-02-01T00:00:00Z'),
  ('input only', 'us', 'input', 2, '-infinity'), ('free', 'us', 'input', 0, '-infinity'), ('free', 'us', 'output', 0, '-infinity');
select tests.as_user('victor');
select is(matrice.calculate_cost('mill', 1000000, 1000000, priced_at => '2026-01-31T23:59:59Z'), 10::numeric,
          'calculate_cost before a new rate uses the old rate');
select is(matrice.calculate_cost('mill', 1000000, 1000000, priced_at => '2026-02-01T00:00:00Z'), 12::numeric, 'calculate_cost at valid_from uses the new rate');
select is(matrice.calculate_cost('input only', 1000000), 2::numeric, 'calculate_cost needs no price for a unit without tokens');
select is(matrice.calculate_cost('input only', 1000000, 1), null, 'calculate_cost of a used unit without a price returns null');
select is(matrice.calculate_cost('free', 1000000, 1000000), 0::numeric, 'calculate_cost of a model with price 0 returns 0');

select tests.refuses(format('select matrice.calculate_cost(%s)', arguments), '22023', description, detail, hint)
  from (values
    ($$'gpt-4o', -1$$, 'calculate_cost refuses tokens_input -1', null, null),
    ($$'gpt-4o', 1, -1$$, 'calculate_cost refuses tokens_output -1', null, null),
    ($$'no-such-model', -1$$, 'calculate_cost of an unknown model refuses tokens_input -1', null, null),
    ($$'gpt-4o', 10, 10, '[]'$$, 'calculate_cost refuses usage that is an array', '%array%', '%'),
    ($$'gpt-4o', 10, 10, '"cached"'$$, 'calculate_cost refuses usage that is a string', '%string%', '%'),
    ($$'gpt-4o', 10, 10, 'null'$$, 'calculate_cost refuses usage that is a JSON null', '%null%', '%'),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": 11}'$$, 'calculate_cost refuses cached_tokens above tokens_input', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": 5, "cache_write_tokens": 6}'$$, 'calculate_cost refuses cached_tokens and cache_write_tokens above tokens_input',
     '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"cache_write_5m_tokens": 6, "cache_write_1h_tokens": 5}'$$,
     'calculate_cost refuses cache_write_5m_tokens and cache_write_1h_tokens above tokens_input', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"input_audio_tokens": 11}'$$, 'calculate_cost refuses input_audio_tokens above tokens_input', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 11}'$$, 'calculate_cost refuses reasoning_tokens above tokens_output', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 6, "output_audio_tokens": 5}'$$,
     'calculate_cost refuses reasoning_tokens and output_audio_tokens above tokens_output', '%11%10%', '%'),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": -1}'$$, 'calculate_cost refuses cached_tokens -1', '%-1%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": "5"}'$$, 'calculate_cost refuses cached_tokens "5"', '%"5"%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": 1.5}'$$, 'calculate_cost refuses cached_tokens 1.5', '%1.5%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": true}'$$, 'calculate_cost refuses cached_tokens true', '%true%', null),
    ($$'gpt-4o', 10, 10, '{"cached_tokens": [5]}'$$, 'calculate_cost refuses cached_tokens [5]', '%5%', null),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 1e30}'$$, 'calculate_cost refuses reasoning_tokens 1e30', '%', '%'),
    ($$'gpt-4o', 10, 10, '{"cache_write_5m_tokens": 9000000000000000000, "cache_write_1h_tokens": 9000000000000000000}'$$,
     'calculate_cost refuses cache writes whose sum overflows', '%', '%'),
    ($$'gpt-4o', 10, 10, '{"reasoning_tokens": 1e10000}'$$, 'L8: calculate_cost refuses reasoning_tokens 1e10000', '%', '%'),
    ($$'gpt-4o', 10, 10, '{"service_tier": 5}'$$, 'calculate_cost refuses service_tier 5', '%5%', '%'),
    ($$'gpt-4o', 10, 10, '{"prompt_tokens_details": {"cached_tokens": 5}}'$$, 'calculate_cost refuses usage in OpenAI''s format', '%prompt_tokens_details%',
     '%cached_tokens%'),
    ($$'gpt-4o', 10, 10, '{"cache_read_input_tokens": 5}'$$, 'calculate_cost refuses usage in Anthropic''s format', '%cache_read_input_tokens%',
     '%cached_tokens%'),
    ($$'gpt-4o', 10, 10, '{"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}]}'$$, 'calculate_cost refuses usage in Gemini''s format',
     '%promptTokensDetails%', '%cached_tokens%'),
    ($$'gpt-4o', 10, 10, '{"input_tokens": "5"}'$$, 'calculate_cost refuses input_tokens "5"', '%input_tokens%', '%cached_tokens%'),
    ($$'no-such-model', 10, 10, '{"cached_tokens": 11}'$$, 'calculate_cost of an unknown model refuses cached_tokens above tokens_input', '%11%10%', '%')
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
  'start_run stores its arguments and status running');
select tests.remember_state();
select is(matrice.start_run(tests.id('atlas'), 'ingest', 'file.uploaded', 'evt-1', 'P1', '{"other": true}'), tests.id('run'),
          'start_run with a run_key that exists returns the same run');
select tests.unchanged('start_run with a run_key that exists changes no row');
select isnt(matrice.start_run(tests.id('atlas'), 'ingest', 'file.uploaded', 'evt-2'), tests.id('run'), 'start_run with another run_key returns another run');
select isnt(matrice.start_run(tests.id('borea'), 'ingest', 'file.uploaded', 'evt-1'), tests.id('run'),
            'start_run with another project''s run_key returns another run');
select isnt(matrice.start_run(tests.id('atlas'), 'ingest', 'x'), matrice.start_run(tests.id('atlas'), 'ingest', 'x'),
            'start_run without run_key returns another run each time');

-- Steps ------------------------------------------------------------------------------------------------------------

select tests.remember('step', matrice.record_step(tests.id('run'), 'embed', 'success', 120, 'text-embedding-3-small', 1, step_key => 'embed-1',
                                                  executed_at => '2026-11-18T03:00:00Z'));
select results_eq(
  $$select run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, usage, error, step_key, attempt, cost_usd, cost_source, executed_at
      from matrice.workflow_steps where id = tests.id('step')$$,
  $$values (tests.id('run'), tests.id('atlas'), 'embed', 'success', 120, 'text-embedding-3-small', 1, 0, '{}'::jsonb, null::jsonb, 'embed-1', 0,
            0.00000002, 'calculated', '2026-11-18T03:00:00Z'::timestamptz)$$,
  'record_step stores its arguments and the exact cost');
select tests.remember_state();
select is(matrice.record_step(tests.id('run'), 'embed', 'failed', 999, 'gpt-4o', 1000, 1000, error => '{"late": true}', step_key => 'embed-1'),
          tests.id('step'),
          'record_step with a step_key and attempt that exist returns the same step');
select tests.unchanged('record_step with a step_key and attempt that exist changes no row');
select isnt(matrice.record_step(tests.id('run'), 'embed', 'success', step_key => 'embed-1', attempt => 1), tests.id('step'),
            'record_step with another attempt returns another step');
select isnt(matrice.record_step(tests.id('run'), 'x', 'success'), matrice.record_step(tests.id('run'), 'x', 'success'),
            'record_step without step_key returns another step each time');

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
    ($$model => 'gpt-4o', tokens_input => 1000, tokens_output => 200, usage => '{"cached_tokens": 800}'$$, '0.0035', $$'calculated'$$,
     'record_step calculates the cost from usage'),
    ($$model => 'gpt-4o', tokens_input => 1000, cost_usd => 1.25$$, '1.25', $$'provided'$$, 'record_step stores cost_usd of the caller'),
    ($$model => 'gpt-4o', tokens_input => 1000, cost_usd => 0$$, '0', $$'provided'$$, 'record_step stores cost_usd 0 of the caller'),
    ($$model => 'no-such-model', tokens_input => 1000$$, 'null', 'null', 'record_step of an unknown model stores cost_usd null'),
    ($$tokens_input => 1000$$, 'null', 'null', 'record_step without model stores cost_usd null'),
    ($$model => 'deepseek-flash', tokens_input => 1000, tokens_output => 100, executed_at => '2026-11-18T05:00:00Z'$$, '0.00021', $$'calculated'$$,
     'record_step calculates the cost at executed_at'),
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"prompt_tokens_details": {"cached_tokens": 5}}'$$, 'null', 'null',
     'record_step with usage in OpenAI''s format stores cost_usd null'),
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"audio_tokens": 0, "total_tokens": null, "seats": 4}'$$, '0.0025', $$'calculated'$$,
     'record_step ignores unknown keys that count no tokens'),
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"total_tokens": 1200}', cost_usd => 2$$, '2', $$'provided'$$,
     'record_step with cost_usd takes unknown keys in usage')
  ) as steps (arguments, cost, source, description);

select tests.remember_state();
select tests.refuses(format('select matrice.%s', call), code, description, detail, hint)
  from (values
    ($$start_run(tests.id('atlas'), null, 'x')$$, '22004', 'start_run refuses workflow_id null', null, null),
    ($$start_run(tests.id('atlas'), ' ', 'x')$$, '22023', 'start_run refuses a blank workflow_id', null, null),
    ($$start_run(tests.id('atlas'), 'x', 'x', phase => 'P7')$$, '22023', 'start_run refuses phase P7', null, '%P6%'),
    ($$start_run(tests.id('atlas'), 'answer', 'file.uploaded', 'evt-1')$$, 'PT409', 'start_run refuses the run_key of another workflow''s run',
     '%ingest%', '%'),
    ($$start_run(tests.id('atlas'), 'x', 'x', '')$$, '22023', 'start_run refuses an empty run_key', '%', '%'),
    ($$start_run(tests.id('atlas'), 'x', 'x', repeat('k', 501))$$, '22023', 'start_run refuses a run_key of 501 bytes', '%501%', '%'),
    ($$record_step(tests.id('run'), 'chunk', 'success', step_key => 'embed-1')$$, 'PT409', 'record_step refuses the step_key of a step with another name',
     '%embed%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', step_key => ' ')$$, '22023', 'record_step refuses a blank step_key', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', usage => jsonb_build_object('x', repeat('x', 17000)))$$, '22023',
     'record_step refuses usage above 16 kB', '%', '%'),
    ($$start_run(null, 'x', 'x')$$, '22004', 'start_run refuses project_id null', null, null),
    ($$start_run(tests.id('nowhere'), 'x', 'x')$$, 'PT404', 'start_run of an unknown project: not found', '%', '%'),
    ($$record_step(tests.id('run'), null, 'success')$$, '22004', 'record_step refuses step_name null', null, null),
    ($$record_step(tests.id('run'), '', 'success')$$, '22023', 'record_step refuses an empty step_name', null, null),
    ($$record_step(tests.id('run'), 'x', 'completed')$$, '22023', 'record_step refuses status completed', null, '%success, failed, skipped%'),
    ($$record_step(tests.id('run'), 'x', null)$$, '22004', 'record_step refuses status null', null, '%'),
    ($$record_step(tests.id('run'), 'x', 'success', -1)$$, '22023', 'record_step refuses latency_ms -1', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', tokens_input => -1)$$, '22023', 'record_step refuses tokens_input -1', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', tokens_output => -1)$$, '22023', 'record_step refuses tokens_output -1', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', attempt => -1)$$, '22023', 'record_step refuses attempt -1', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => -0.01)$$, '22023', 'record_step refuses cost_usd -0.01', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => 'NaN')$$, '22023', 'record_step refuses cost_usd NaN', null, null),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => 'Infinity')$$, '22023', 'record_step refuses cost_usd Infinity', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', cost_usd => 100000000)$$, '22023', 'record_step refuses cost_usd 100000000', '%100000000%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', latency_ms => 2147483647)$$, '22023', 'M8: record_step refuses latency_ms 2147483647', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', tokens_output => 2147483647)$$, '22023', 'M8: record_step refuses tokens_output 2147483647', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', attempt => 2147483647)$$, '22023', 'M8: record_step refuses attempt 2147483647', '%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', executed_at => 'infinity')$$, '22023', 'M8: record_step refuses executed_at infinity', '%infinity%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', error => to_jsonb(repeat('x', 70000)))$$, '22023', 'M8: record_step refuses an error of 70,000 bytes',
     '%65536%', '%'),
    ($$record_step(tests.id('run'), repeat('x', 201), 'success')$$, '22023', 'M8: record_step refuses a step_name of 201 bytes', '%201%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', usage => '[]')$$, '22023', 'record_step refuses usage that is an array', '%array%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', usage => '[]', cost_usd => 1)$$, '22023', 'record_step with cost_usd refuses usage that is an array',
     '%array%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', model => 'gpt-4o', tokens_input => 5, usage => '{"cached_tokens": 6}')$$, '22023',
     'record_step refuses cached_tokens above tokens_input', '%6%5%', '%'),
    ($$record_step(tests.id('nowhere'), 'x', 'success')$$, 'PT404', 'record_step of an unknown run: not found', '%', null),
    ($$record_step(null, 'x', 'success')$$, '22004', 'record_step refuses run_id null', null, '%'),
    ($$finish_run(tests.id('run'), 'done')$$, '22023', 'finish_run refuses status done', null, '%completed, failed, cancelled%'),
    ($$finish_run(tests.id('run'), 'running')$$, '22023', 'finish_run refuses status running', null, '%completed%'),
    ($$finish_run(tests.id('run'), null)$$, '22004', 'finish_run refuses status null', null, '%'),
    ($$finish_run(tests.id('nowhere'), 'completed')$$, 'PT404', 'finish_run of an unknown run: not found', '%', null),
    ($$finish_run(null, 'completed')$$, '22004', 'finish_run refuses run_id null', null, '%')
  ) as refused (call, code, description, detail, hint);
select tests.as_user('victor');
select tests.refuses($$select matrice.start_run(tests.id('atlas'), 'x', 'x')$$, '42501', 'start_run refuses a viewer', '%', '%');
select tests.refuses($$select matrice.record_step(tests.id('run'), 'x', 'success')$$, '42501', 'record_step refuses a viewer', '%', '%');
select tests.refuses($$select matrice.finish_run(tests.id('run'), 'completed')$$, '42501', 'finish_run refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.start_run(tests.id('atlas'), 'x', 'x')$$, 'PT404', 'start_run of another''s project: not found', '%', '%');
select tests.refuses($$select matrice.record_step(tests.id('run'), 'x', 'success')$$, 'PT404', 'record_step of another''s run: not found', '%');
select tests.refuses($$select matrice.finish_run(tests.id('run'), 'completed')$$, 'PT404', 'finish_run of another''s run: not found', '%');
select tests.unchanged('start_run, record_step and finish_run: refused calls change no row');

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
select is(tests.cost_of('by hand'), '0.0025 calculated', 'L4: workflow_steps without cost_usd: cost_source is calculated');
select is(tests.cost_of('dearer'), '7 provided', 'L4: workflow_steps with another cost_usd than the calculated: cost_source is provided');
select is(tests.cost_of('restored'), '0.0025 calculated', 'L4: workflow_steps with the calculated cost_usd: cost_source stays calculated');
select is(tests.cost_of('unpriced'), '', 'L4: workflow_steps of an unknown model: cost_usd and cost_source are null');
select is(tests.cost_of('modelless'), '', 'L4: workflow_steps without model: cost_usd and cost_source are null');
select is(tests.cost_of('own price'), '0 provided', 'L4: workflow_steps with cost_usd 0 of an unknown model: cost_source is provided');
update matrice.workflow_steps set cost_source = 'provided' where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0.0025 calculated', 'L4: workflow_steps: an update of cost_source has no effect');
update matrice.workflow_steps set tokens_input = 2000 where id in (tests.id('by hand'), tests.id('dearer'));
select is(tests.cost_of('by hand'), '0.005 calculated', 'L4: workflow_steps: an update of tokens_input updates a calculated cost_usd');
select is(tests.cost_of('dearer'), '7 provided', 'L4: workflow_steps: an update of tokens_input keeps a provided cost_usd');
update matrice.workflow_steps set cost_usd = 0, cost_source = 'calculated' where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0 provided', 'L4: workflow_steps: an update of cost_usd sets cost_source to provided');
update matrice.workflow_steps set cost_usd = null where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0.005 calculated', 'L4: workflow_steps: an update of cost_usd to null calculates it again');
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status, model, usage) values (tests.id('run'), 'x', 'success', 'gpt-4o', '{"cached_tokens": 1e10000}')$$,
                     '22023', 'L8: workflow_steps refuses cached_tokens 1e10000 in usage', '%', '%');

-- Ends -------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.finish_run(tests.id('run'), 'completed', '{"chunks": 4}');
select results_eq($$select status, output_data, completed_at from matrice.workflow_runs where id = tests.id('run')$$,
                  $$values ('completed', '{"chunks": 4}'::jsonb, now())$$, 'finish_run stores status, output_data and completed_at');
select tests.remember_state();
select lives_ok($$select matrice.finish_run(tests.id('run'), 'completed', '{"chunks": 5}')$$, 'finish_run with the same status again succeeds');
select tests.refuses($$select matrice.finish_run(tests.id('run'), 'failed')$$, 'PT409', 'finish_run refuses another status for a run that ended',
                     '%completed%');
select tests.unchanged('finish_run of a run that ended changes no row');

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
  'workflow_metrics by day returns what was calculated by hand');
select results_eq(
  format($$select bucket, runs, succeeded, failed, steps, cost_usd from matrice.workflow_metrics(tests.id('borea'), '2026-01-01T00:00:00Z', '2026-01-04T00:00:00Z', %L)$$, grouped),
  expected, 'workflow_metrics groups by ' || grouped)
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
                  $$values ('2026-01-01', 3::bigint)$$, 'workflow_metrics groups days in UTC in another time zone');
reset timezone;
select is_empty($$select * from matrice.workflow_metrics(tests.id('borea'), '2030-01-01', '2030-01-02')$$, 'workflow_metrics of a time without runs: no rows');
select is_empty($$select * from matrice.workflow_metrics(tests.id('borea'), '2026-01-04', '2026-01-01')$$, 'workflow_metrics with until before since: no rows');

select tests.refuses(format('select * from matrice.workflow_metrics(%s)', arguments), code, description, detail, hint)
  from (values
    ($$tests.id('borea'), '2026-01-01', group_by => 'colour'$$, '22023', 'workflow_metrics refuses group_by colour', null, '%month%'),
    ($$tests.id('borea'), '2026-01-01', group_by => null$$, '22004', 'workflow_metrics refuses group_by null', null, '%'),
    ($$tests.id('borea'), null$$, '22004', 'workflow_metrics refuses since null', null, null),
    ($$tests.id('borea'), '2026-01-01', null$$, '22004', 'workflow_metrics refuses until null', null, null),
    ($$null, '2026-01-01'$$, '22004', 'workflow_metrics refuses project_id null', null, null),
    ($$tests.id('nowhere'), '2026-01-01'$$, 'PT404', 'workflow_metrics of an unknown project: not found', '%', '%')
  ) as refused (arguments, code, description, detail, hint);
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.workflow_metrics(tests.id('borea'), '2026-01-01')$$, 'PT404',
                     'workflow_metrics of another''s project: not found', '%', '%');

select * from finish();
rollback;
