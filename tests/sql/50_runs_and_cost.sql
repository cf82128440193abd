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
select is(sum(matrice.calculate_cost('gpt-4o-mini', 1, 1)), 0.75, 'a million calls of one token cost exactly as much as one call of a million') from generate_series(1, 1000000);
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
    ($$'gpt-4o', 10, 10, 'null'$$, 'calculate_cost refuses usage that is a JSON null', '%null%', '%')
  ) as refused (arguments, description, detail, hint);

-- Usage ------------------------------------------------------------------------------------------------------------

-- Counts that contradict each other, or that nothing prices, make the cost null. They were refused once, and then the step
-- was lost with its latency and tokens.
select is(matrice.calculate_cost('gpt-4o', 10, 10, usage), null, format('calculate_cost of 10 and 10 tokens with usage %s returns null', usage))
  from unnest(array[
    '{"cached_tokens": 11}', '{"cached_tokens": 5, "cache_write_tokens": 6}', '{"cache_write_5m_tokens": 6, "cache_write_1h_tokens": 5}',
    '{"input_audio_tokens": 11}', '{"reasoning_tokens": 11}', '{"reasoning_tokens": 6, "output_audio_tokens": 5}',
    '{"cached_tokens": -1}', '{"cached_tokens": 1.5}', '{"cached_tokens": true}', '{"cached_tokens": "five"}',
    '{"reasoning_tokens": 1e30}', '{"cache_write_5m_tokens": 9000000000000000000, "cache_write_1h_tokens": 9000000000000000000}',
    '{"service_tier": 5}', '{"prompt_tokens": 11}', '{"input_tokens": "5"}', '{"total_tokens": 21}', '{"new_tokens": 1}'
  ]::jsonb[]) usage;
select is(matrice.calculate_cost('gpt-4o', 10, 10, usage), 0.00011875, format('calculate_cost of 10 and 10 tokens with usage %s counts 5 as cached', usage))
  from unnest(array[
    '{"cached_tokens": 5}', '{"cached_tokens": "5"}', '{"cached_tokens": 5.0}', '{"prompt_tokens_details": {"cached_tokens": 5}}',
    '{"input_token_details": {"cache_read": 5}}', '{"prompt_tokens": 10, "completion_tokens": 10, "prompt_cache_hit_tokens": 5}'
  ]::jsonb[]) usage;
select is(matrice.calculate_cost('gpt-4o', tokens_input, tokens_output, usage), null, 'calculate_cost of no known tokens returns null: ' || description)
  from (values (null::bigint, null::bigint, '{}'::jsonb, 'null'), (null, 0, '{}', 'null and 0'), (null, 5, '{}', 'no input tokens'),
               (null, 0, '{"cached_tokens": 5}', 'cached tokens alone'), (null, 0, '{"seats": 5}', 'another key')
       ) as unknown (tokens_input, tokens_output, usage, description);

-- What 19 APIs and libraries report, unchanged, and what the call costs. The costs were calculated from the published prices.
create temp table reports (shape text, model text, usage jsonb, usd numeric, tokens_input integer, tokens_output integer) on commit drop;
insert into reports values
  ('OpenAI Chat Completions', 'gpt-5',
   '{"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
     "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
     "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}',
   0.0033475, 2006, 300),
  ('OpenAI Responses', 'gpt-5',
   '{"input_tokens": 2006, "input_tokens_details": {"cached_tokens": 1920}, "output_tokens": 300,
     "output_tokens_details": {"reasoning_tokens": 192}, "total_tokens": 2306}', 0.0033475, 2006, 300),
  ('OpenAI cache writes', 'gpt-6-sol',
   '{"input_tokens": 20000, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 19000}, "output_tokens": 100,
     "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20100}', 0.0505, 20000, 100),
  ('OpenAI audio', 'gpt-4o-audio-preview-2024-12-17',
   '{"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500, "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 900},
     "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 400}}', 0.06925, 1000, 500),
  ('OpenAI embeddings', 'text-embedding-3-small', '{"prompt_tokens": 8191, "total_tokens": 8191}', 0.00016382, 8191, 0),
  ('Anthropic Messages', 'claude-sonnet-4-5',
   '{"input_tokens": 50, "output_tokens": 500, "cache_read_input_tokens": 100000, "cache_creation_input_tokens": 1000,
     "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600}, "service_tier": "standard",
     "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0}}', 0.04275, 101050, 500),
  ('Anthropic batches', 'claude-sonnet-4-5', '{"input_tokens": 1000, "output_tokens": 500, "cache_read_input_tokens": 0,
     "cache_creation_input_tokens": 0, "service_tier": "batch"}', 0.00525, 1000, 500),
  ('Gemini', 'gemini/gemini-2.5-flash',
   '{"promptTokenCount": 1500, "cachedContentTokenCount": 500, "candidatesTokenCount": 100, "thoughtsTokenCount": 600, "totalTokenCount": 2200,
     "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1300}, {"modality": "AUDIO", "tokenCount": 200}]}',
   -- 800 × 0.3 + 200 × 1 + 500 × 0.03 + 700 × 2.5
   0.002205, 1500, 700),
  ('Vertex AI', 'gemini/gemini-2.5-flash',
   '{"promptTokenCount": 1000, "candidatesTokenCount": 100, "thoughtsTokenCount": 600, "totalTokenCount": 1700, "trafficType": "ON_DEMAND"}',
   0.00205, 1000, 700),
  ('Bedrock Converse', 'claude-sonnet-4-5',
   '{"inputTokens": 50, "outputTokens": 500, "totalTokens": 101550, "cacheReadInputTokens": 100000, "cacheWriteInputTokens": 1000}',
   0.0414, 101050, 500),
  ('Mistral', 'mistral/mistral-small-latest', '{"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}',
   (select 0.000001 * (1000 * sum(usd_per_million) filter (where unit = 'input') + 200 * sum(usd_per_million) filter (where unit = 'output'))
      from matrice.model_prices where model = 'mistral/mistral-small-latest' and service_tier = 'standard' and above_input_tokens = 0), 1000, 200),
  ('DeepSeek', 'deepseek-chat',
   '{"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, "prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100,
     "prompt_tokens_details": {"cached_tokens": 900}}', 0.0000952, 1000, 100),
  ('Cohere', 'own-cohere', '{"billed_units": {"input_tokens": 5, "output_tokens": 418}, "tokens": {"input_tokens": 71, "output_tokens": 418}}',
   0.000841, 5, 418),
  ('xAI', 'own-xai',
   '{"prompt_tokens": 200, "completion_tokens": 100, "total_tokens": 700, "prompt_tokens_details": {"text_tokens": 200, "cached_tokens": 0},
     "completion_tokens_details": {"reasoning_tokens": 400}, "num_sources_used": 0}', 0.0012, 200, 500),
  ('Bedrock Converse over HTTP', 'claude-sonnet-4-5',
   '{"inputTokens": 30, "outputTokens": 628, "totalTokens": 1758, "cacheReadInputTokens": 1000, "cacheReadInputTokenCount": 1000,
     "cacheWriteInputTokens": 100, "cacheWriteInputTokenCount": 100}', 0.010185, 1130, 628),
  ('OpenRouter', 'gpt-4o',
   '{"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, "cost": 0.00315, "is_byok": false,
     "prompt_tokens_details": {"cached_tokens": 800}, "completion_tokens_details": {"reasoning_tokens": 0}}', 0.0035, 1000, 200),
  ('Vercel AI SDK 5', 'gpt-4o', '{"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200, "cachedInputTokens": 800, "reasoningTokens": 0}',
   0.0035, 1000, 200),
  ('Vercel AI SDK 6', 'claude-sonnet-4-5',
   '{"inputTokens": 101050, "outputTokens": 500, "totalTokens": 101550, "cachedInputTokens": 100000,
     "inputTokenDetails": {"noCacheTokens": 50, "cacheReadTokens": 100000, "cacheWriteTokens": 1000}, "outputTokenDetails": {"textTokens": 500}}',
   0.0414, 101050, 500),
  ('LangChain', 'claude-sonnet-4-5',
   '{"input_tokens": 101050, "output_tokens": 500, "total_tokens": 101550, "input_token_details": {"cache_read": 100000, "cache_creation": 1000}}',
   0.0414, 101050, 500),
  ('LiteLLM', 'claude-sonnet-4-5',
   '{"prompt_tokens": 101050, "completion_tokens": 500, "total_tokens": 101550, "cache_read_input_tokens": 100000,
     "cache_creation_input_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 100000, "cache_creation_tokens": 1000,
       "cache_creation_token_details": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600}}}', 0.04275, 101050, 500),
  ('OpenTelemetry', 'claude-sonnet-4-5',
   '{"gen_ai.usage.input_tokens": 101050, "gen_ai.usage.output_tokens": 500, "gen_ai.usage.cache_read.input_tokens": 100000,
     "gen_ai.usage.cache_creation.input_tokens": 1000}', 0.0414, 101050, 500),
  ('OpenTelemetry before', 'gpt-4o', '{"gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 500}', 0.0075, 1000, 500);
grant select on reports to public;
select tests.as_service();
insert into matrice.model_prices (model, provider, unit, usd_per_million) values
  ('own-cohere', 'us', 'input', 1), ('own-cohere', 'us', 'output', 2), ('own-xai', 'us', 'input', 1), ('own-xai', 'us', 'output', 2);
select tests.as_user('victor');
select is(matrice.calculate_cost(model, null, usage => usage, priced_at => '2026-11-18T03:00Z'), usd, format('calculate_cost of usage of %s is exact', shape))
  from reports;
select is(matrice.calculate_cost(model, tokens_input, tokens_output, usage, '2026-11-18T03:00Z'), usd,
          format('calculate_cost of usage of %s with the same tokens is exact', shape))
  from reports;
select is(matrice.calculate_cost(model, tokens_input + 1, tokens_output, usage), null,
          format('calculate_cost of usage of %s with another number of tokens returns null', shape))
  from reports;

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
select isnt(matrice.start_run(tests.id('atlas'), 'answer', 'file.uploaded', 'evt-1'), tests.id('run'),
            'start_run with another workflow''s run_key returns another run: one event starts several workflows');
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
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"prompt_tokens_details": {"cached_tokens": 800}}'$$, '0.0015', $$'calculated'$$,
     'record_step with usage in OpenAI''s format calculates the cost'),
    ($$model => 'gpt-4o', tokens_input => 1000, usage => '{"new_tokens": 5}'$$, 'null', 'null',
     'record_step with tokens under an unknown key stores cost_usd null'),
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
    ($$start_run(tests.id('atlas'), 'x', 'x', '')$$, '22023', 'start_run refuses an empty run_key', '%', '%'),
    ($$start_run(tests.id('atlas'), 'x', 'x', repeat('k', 501))$$, '22023', 'start_run refuses a run_key of 501 bytes', '%501%', '%'),
    ($$record_step(tests.id('run'), 'chunk', 'success', step_key => 'embed-1')$$, 'PT409', 'record_step refuses the step_key of a step with another name',
     '%embed%', '%'),
    ($$record_step(tests.id('run'), 'x', 'success', step_key => ' ')$$, '22023', 'record_step refuses a blank step_key', '%', '%'),
    ($$start_run(null, 'x', 'x')$$, '22004', 'start_run refuses project_id null', null, null),
    ($$start_run(tests.id('nowhere'), 'x', 'x')$$, 'PT404', 'start_run of an unknown project: not found', '%', '%'),
    ($$record_step(tests.id('run'), null, 'success')$$, '22004', 'record_step refuses step_name null', null, null),
    ($$record_step(tests.id('run'), '', 'success')$$, '22023', 'record_step refuses an empty step_name', null, null),
    ($$record_step(tests.id('run'), 'x', 'completed')$$, '22023', 'record_step refuses status completed', null, '%running, success, failed, skipped%'),
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
    ($$record_step(tests.id('run'), 'x', 'success', 'NaN')$$, '22023', 'record_step refuses latency_ms NaN', null, null),
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
-- Members may not change steps. Services may.
select tests.refuses($$update matrice.workflow_steps set cost_usd = 0$$, '42501', 'workflow_steps refuses an update by an editor');
select tests.refuses($$delete from matrice.workflow_steps$$, '42501', 'workflow_steps refuses a delete by an editor');
select tests.as_service();
update matrice.workflow_steps set cost_source = 'provided' where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0.0025 calculated', 'L4: workflow_steps: an update of cost_source has no effect');
update matrice.workflow_steps set tokens_input = 2000 where id in (tests.id('by hand'), tests.id('dearer'));
select is(tests.cost_of('by hand'), '0.005 calculated', 'L4: workflow_steps: an update of tokens_input updates a calculated cost_usd');
select is(tests.cost_of('dearer'), '7 provided', 'L4: workflow_steps: an update of tokens_input keeps a provided cost_usd');
update matrice.workflow_steps set cost_usd = 0, cost_source = 'calculated' where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0 provided', 'L4: workflow_steps: an update of cost_usd sets cost_source to provided');
update matrice.workflow_steps set cost_usd = null where id = tests.id('by hand');
select is(tests.cost_of('by hand'), '0.005 calculated', 'L4: workflow_steps: an update of cost_usd to null calculates it again');
-- What a step keeps of its usage -----------------------------------------------------------------------------------

select tests.as_owner();
create function tests.deep(levels integer) returns jsonb language sql as $$ select (repeat('{"a":', levels) || '1' || repeat('}', levels))::jsonb $$;
create function tests.step_of(arguments text) returns matrice.workflow_steps language plpgsql as $$
declare
  step uuid;
  found matrice.workflow_steps;
begin
  execute format('select matrice.record_step(tests.id(''run''), ''x'', ''success'', executed_at => ''2026-11-18T03:00Z'', %s)', arguments) into step;
  select * into found from matrice.workflow_steps s where s.id = step;
  return found;
end
$$;
select tests.as_user('edith');
select results_eq(
  format('select tokens_input, tokens_output, cost_usd, cost_source, usage, cost_note from tests.step_of(%L)',
         format('model => %L, usage => %L', model, usage)),
  format('values (%L::integer, %L::integer, %L::numeric, %L::text, %L::jsonb, null::text)',
         tokens_input, tokens_output, usd, 'calculated', usage),
  format('record_step takes tokens and cost from usage of %s', shape))
  from reports;
insert into matrice.workflow_steps (id, run_id, step_name, status, model, usage, executed_at)
select tests.id(shape), tests.id('run'), 'x', 'success', model, usage, '2026-11-18T03:00Z' from reports;
select is((select row(s.tokens_input, s.tokens_output, s.cost_usd)::text from matrice.workflow_steps s where s.id = tests.id(shape)),
          row(tokens_input, tokens_output, round(usd, 12))::text, format('workflow_steps takes tokens and cost from usage of %s', shape))
  from reports;

-- The whole response instead of its usage.
create temp table answers (description text, response jsonb, expected text) on commit drop;
insert into answers values
  ('OpenAI Responses',
   '{"id": "resp_1", "object": "response", "model": "gpt-5", "service_tier": "default", "max_output_tokens": 4096,
     "output": [{"type": "message", "content": [{"type": "output_text", "text": "5 tokens"}]}],
     "usage": {"input_tokens": 2006, "input_tokens_details": {"cached_tokens": 1920}, "output_tokens": 300, "output_tokens_details": {"reasoning_tokens": 0},
               "total_tokens": 2306}}', 'gpt-5 2006 300 0.0033475'),
  ('Anthropic',
   '{"type": "message", "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "x"}],
     "usage": {"input_tokens": 50, "output_tokens": 500, "cache_read_input_tokens": 100000, "cache_creation_input_tokens": 1000}}',
   'claude-sonnet-4-5 101050 500 0.0414'),
  ('Gemini', '{"modelVersion": "gemini-2.5-flash", "candidates": [], "usageMetadata": {"promptTokenCount": 1000, "totalTokenCount": 1000}}',
   'gemini-2.5-flash 1000 0 0.0003'),
  ('Vercel AI SDK', '{"text": "x", "usage": {"inputTokens": 10, "outputTokens": 5}, "totalUsage": {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200},
     "response": {"modelId": "gpt-4o"}}', 'gpt-4o 1000 200 0.0045'),
  ('Gemini with Google Search', '{"modelVersion": "gemini-2.5-flash", "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
     "candidates": [{"content": {"parts": [{"text": "x"}]}, "groundingMetadata": {"webSearchQueries": ["a", "b"], "groundingChunks": [{"web": {"uri": "u"}}]}}]}',
   'gemini-2.5-flash 1000 100 0.03555'),
  ('an OpenAI batch', '{"id": "batch_req_1", "custom_id": "request-1", "error": null, "response": {"status_code": 200, "request_id": "r", "body":
     {"model": "gpt-4o-2024-08-06", "service_tier": "default", "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}}}',
   'gpt-4o-2024-08-06 1000 100 0.00175'),
  ('Perplexity Sonar Deep Research', '{"model": "sonar-deep-research", "usage": {"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196,
     "citation_tokens": 20016, "num_search_queries": 21, "reasoning_tokens": 73994, "cost": {"total_cost": 0.424}}}',
   'sonar-deep-research 20049 81157 0.424384');
grant select on answers to public;
select is((select concat_ws(' ', s.model, s.tokens_input, s.tokens_output, trim_scale(s.cost_usd))
             from tests.step_of(format('response => %L', response)) s), expected,
          format('record_step takes model, tokens and cost from a response of %s', description)) from answers;
select is((select s.usage from tests.step_of(format('response => %L', response)) s),
          '{"model": "gpt-5", "usage": {"input_tokens": 2006, "total_tokens": 2306, "output_tokens": 300, "input_tokens_details": {"cached_tokens": 1920},
            "output_tokens_details": {"reasoning_tokens": 0}}, "service_tier": "default"}'::jsonb,
          'record_step keeps of a response what a cost depends on') from answers where description = 'OpenAI Responses';
select is((select concat_ws(' ', trim_scale(s.cost_usd), trim_scale(s.provider_cost_usd), s.cost_note) from tests.step_of(format('response => %L', response)) s), expected,
          'record_step notes a fee that is not in the cost')
  from (values
    ('{"model": "sonar", "usage": {"prompt_tokens": 14, "completion_tokens": 213, "total_tokens": 227, "search_context_size": "low",
       "cost": {"input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "request_cost": 0.005, "total_cost": 0.005}}}',
     '0.000227 0.005 perplexity/sonar also has a fee for each request, which is not in the cost.'),
    ('{"model": "gpt-4o-search-preview", "usage": {"prompt_tokens": 1000, "completion_tokens": 0}}',
     '0.0025 gpt-4o-search-preview also has a fee for each request, which is not in the cost.'),
    ('{"modelVersion": "gemini-2.5-flash", "usageMetadata": {"promptTokenCount": 1000, "toolUsePromptTokenCount": 10}}',
     '0.000303 Tools were used. What a search costs beside tokens is not in the cost.')) v (response, expected);
-- What is kept of a response reads like it, also where nobody would write it like that. A row of before has dots and brackets in its keys.
select is(matrice_private.read_usage(matrice_private.known_usage(response), null, null), matrice_private.read_usage(response, null, null),
          'What is kept of ' || left(response::text, 60) || ' reads like it')
  from (select a.response from answers a
        union all values ('{"a....tokens": 5}'::jsonb), ('{"": {"..": {"x_tokens": 5}}, "prompt_tokens": 5}'), (jsonb_build_object(repeat('a.', 20) || 'tokens', 5)),
                         (jsonb_build_object('promptTokenCount', 5, 'promptTokensDetails', jsonb_build_array(
                            jsonb_build_object('modality', repeat('x', 150), 'tokenCount', 3), jsonb_build_object('modality', 'AUDIO', 'tokenCount', 2)))),
                         ('{"output_tokens": {"x": 5}, "output_tokens.x": 6}'), ('{"iterations": [{"type": "a", "x_tokens": 1}, {"type": "a", "x_tokens": {"y_tokens": 2}}]}')) r;
select is(matrice_private.read_usage(old, null, null) -> 'counts', counts::jsonb, 'A row of before is read')
  from (values ('{"usageMetadata": {"promptTokenCount": 10, "promptTokensDetails[AUDIO]": 4}}'::jsonb, '{"input": 6, "input_audio": 4}'),
               ('{"usage": {"input_tokens": 10, "output_tokens": 5}, "output[web_search_call]": 2}', '{"input": 10, "output": 5, "web_search": 2}')) v (old, counts);
select results_eq($$select usage, cost_usd, cost_note from tests.step_of($q$model => 'gpt-4o', usage => '{"prompt_tokens": 1000}', response => '{"usage": {"prompt_tokens": 1000}}'$q$)$$,
                  $$values ('{"prompt_tokens": 1000, "response": {"usage": {"prompt_tokens": 1000}}}'::jsonb, 0.0025, null::text)$$,
                  'record_step takes a usage and a response that agree');
select results_eq($$select cost_usd, cost_note from tests.step_of($q$model => 'gpt-4o', usage => '{"prompt_tokens": 1000}', response => '{"usage": {"prompt_tokens": 1001}}'$q$)$$,
                  $$values (null::numeric, 'One part of usage says 1000 input tokens, another says 1001.')$$,
                  'record_step notes a usage and a response that disagree');

-- A step is recorded whatever its usage says.
select is((select concat_ws(' ', trim_scale(s.cost_usd), s.cost_note) from tests.step_of('model => ''gpt-4o'', ' || arguments) s), expected,
          format('record_step with %s: %s', left(arguments, 60), left(expected, 60)))
  from (values
    ($$usage => '{}'$$, 'No tokens are known.'),
    ($$usage => null$$, 'No tokens are known.'),
    ($$usage => '[]'$$, 'usage was cut to what is known of it. No tokens are known.'),
    ($$usage => 'null'$$, 'usage was cut to what is known of it. No tokens are known.'),
    ($$usage => '"{}"', tokens_input => 1000$$, '0.0025 usage was cut to what is known of it.'),
    ($$tokens_input => 5, usage => '{"cached_tokens": 6}'$$, 'usage has 6 cached tokens, but 5 input tokens.'),
    ($$tokens_input => 5, usage => '{"prompt_tokens": 6}'$$, 'tokens_input is 5, but usage says 6.'),
    ($$usage => '{"prompt_tokens": -5}'$$, 'prompt_tokens is not a number of tokens or units.'),
    ($$usage => '{"prompt_tokens": 1e10000}'$$, 'usage was cut to what is known of it. prompt_tokens is not a number of tokens or units.'),
    ($$usage => '{"prompt_tokens": 2000000000}'$$, 'usage says more than 1000000000 tokens.'),
    ($$usage => '{"prompt_tokens": 5, "citation_tokens": 6}'$$, 'Tokens under these keys have no known price: citation_tokens.'),
    ($$usage => '{"prompt_tokens": 5, "num_sources_used": 2}'$$, 'gpt-4o has no price for web_search in the tier standard.'),
    ($$usage => '{"prompt_tokens": 1000, "prompt_tokens_details": {"new_tokens": 6}}'$$,
     '0.0025 Parts of a count are not known, and have its price: prompt_tokens_details.new_tokens.'),
    ($$usage => jsonb_build_object('prompt_tokens', 1000, 'x', repeat('x', 17000))$$, '0.0025 usage was cut to what is known of it.'),
    ($$usage => jsonb_build_object('prompt_tokens', 1000, 'x', tests.deep(70))$$, '0.0025 usage was cut to what is known of it.'),
    ($$usage => jsonb_build_object('prompt_tokens', 1000, 'x', tests.deep(1000))$$, '0.0025 usage was cut to what is known of it.'),
    ($$usage => '{"prompt_tokens": 5, "server_tool_use": {"web_search_requests": 2}}'$$, 'gpt-4o has no price for web_search in the tier standard.'),
    ($$tokens_input => 1000, usage => '{"service_tier": 5}'$$, 'service_tier is not a text.'),
    ($$response => '[]'$$, 'No tokens are known.'),
    ($$response => '5', tokens_input => 1000$$, '0.0025'),
    ($$response => jsonb_build_object('usage', '{"prompt_tokens": 1000}'::jsonb, 'data',
         (select jsonb_agg(jsonb_build_object('embedding', array_fill(0.5, array[1536]), 'index', n)) from generate_series(1, 200) n))$$, '0.0025'),
    ($$response => (select jsonb_object_agg('k' || n, n) from generate_series(1, 150000) n) || '{"usage": {"prompt_tokens": 1000}}'$$,
     'Tokens under these keys have no known price: tokens_left_out.'),
    ($$response => jsonb_build_object('usage', '{"prompt_tokens": 1000}'::jsonb, 'x', tests.deep(1000), 'y', repeat('x', 1000000))$$, '0.0025')
  ) as odd (arguments, expected);
select is((select s.cost_usd is null and s.cost_note like 'usage was cut to what is known of it. %1000_tokens, %' and length(s.cost_note) < 1000
             from tests.step_of($$model => 'gpt-4o', usage => (select jsonb_object_agg(n || '_tokens', n) from generate_series(1, 1000) n)$$) s), true,
          'record_step with 1000 unknown keys: they are named as far as there is room');
select is((select concat_ws(' ', trim_scale(s.cost_usd), s.cost_source, s.cost_note)
             from tests.step_of($$model => 'no-such', tokens_input => 5, cost_usd => 2$$) s), $$2 provided No price is known for the model "no-such".$$,
          'record_step with cost_usd keeps it, and notes that the model has no price');
select is((select concat_ws(' ', trim_scale(s.cost_usd), s.cost_note) from tests.step_of($$tokens_input => 5$$) s), '',
          'record_step without model writes no note');
select is((select trim_scale(s.provider_cost_usd) || ' ' || trim_scale(s.cost_usd) from tests.step_of(format('model => %L, usage => %L', model, usage)) s),
          '0.00315 0.0035', 'record_step keeps the provider''s own cost beside the calculated one') from reports where shape = 'OpenRouter';
select is((select s.latency_ms from tests.step_of('latency_ms => 12.75') s), 13, 'record_step rounds latency_ms');

-- Updates.
insert into matrice.workflow_steps (id, run_id, step_name, status, model, usage, cost_note) values
  (tests.id('corrected'), tests.id('run'), 'x', 'success', 'gpt-4o', '{"prompt_tokens": 1000}', 'my own note');
select is((select cost_note from matrice.workflow_steps where id = tests.id('corrected')), null, 'workflow_steps: cost_note of a client is ignored');
select tests.as_service();
update matrice.workflow_steps set usage = '{"prompt_tokens": 2000}' where id = tests.id('corrected');
select is((select tokens_input || ' ' || trim_scale(cost_usd) from matrice.workflow_steps where id = tests.id('corrected')), '2000 0.005',
          'workflow_steps: an update of usage takes its tokens, and calculates the cost again');
update matrice.workflow_steps set tokens_input = 3000 where id = tests.id('corrected');
select is((select concat_ws(' ', cost_usd, cost_note) from matrice.workflow_steps where id = tests.id('corrected')),
          'tokens_input is 3000, but usage says 2000.', 'workflow_steps: an update of tokens_input that contradicts usage makes the cost null');
update matrice.workflow_steps set cost_note = 'my own note' where id = tests.id('corrected');
select is((select cost_note from matrice.workflow_steps where id = tests.id('corrected')), 'tokens_input is 3000, but usage says 2000.',
          'workflow_steps: an update of cost_note has no effect');

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
insert into matrice.workflow_steps (run_id, step_name, status, latency_ms, model, tokens_input, tokens_output, cost_usd, executed_at)
select s.run, s.step_name, s.status, s.latency_ms, s.model, s.tokens_input, s.tokens_output, s.cost_usd, r.started_at
  from (values
    (tests.id('r1'), 'embed', 'success', 100, 'small', 10, 0, 0.000000000001), (tests.id('r1'), 'ask', 'success', 200, 'large', 20, 5, 0.5),
    (tests.id('r2'), 'embed', 'failed', 300, 'small', 30, 0, 0.25), (tests.id('r2'), 'embed', 'success', 400, 'small', 30, 0, 0.25),
    (tests.id('r3'), 'ask', 'skipped', 9999, null, 0, 0, null),
    (tests.id('r4'), 'ask', 'failed', 50, 'unpriced', 7, 3, null),
    (tests.id('r6'), 'ask', 'success', 1, 'large', 1, 1, 1), (tests.id('r7'), 'embed', 'success', 1, 'small', 1, 1, 1)
  ) s (run, step_name, status, latency_ms, model, tokens_input, tokens_output, cost_usd)
  join matrice.workflow_runs r on r.id = s.run;

select tests.as_user('victor');
select results_eq(
  $$select bucket, runs, succeeded, failed, success_rate, steps, tokens_input, tokens_output, cost_usd,
           abs(p50_ms / x.p50 - 1) < 0.01 and abs(p95_ms / x.p95 - 1) < 0.01 and abs(p99_ms / x.p99 - 1) < 0.01
      from matrice.workflow_metrics(tests.id('borea'), '2026-01-01T00:00:00Z', '2026-01-04T00:00:00Z')
      left join (values ('2026-01-01', 250, 385, 397), ('2026-01-02', 50, 50, 50)) x (day, p50, p95, p99) on x.day = bucket$$,
  $$values ('2026-01-01', 3::bigint, 2::bigint, 1::bigint, 2 / 3.0::double precision, 5::bigint, 90::bigint, 5::bigint, 1.000000000001, true),
           ('2026-01-02', 1, 0, 1, 0, 1, 7, 3, null, true),
           ('2026-01-03', 1, 0, 0, null, 0, 0, 0, null, null)$$,
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
    ('model', $$values ('large', 1::bigint, 1::bigint, 0::bigint, 1::bigint, 0.5), ('small', 2, 2, 0, 3, 0.500000000001), ('unpriced', 1, 0, 1, 1, null), (null, 1, 0, 1, 1, null)$$)
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
