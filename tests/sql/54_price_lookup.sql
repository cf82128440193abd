begin;
\ir helpers/setup.psql
select no_plan();

-- Names ------------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select is(matrice_private.priced_model(name, provider), model, format('priced_model of %s%s is %s', quote_literal(name), ' at ' || provider, coalesce(model, 'null')))
  from (values
    -- As they are, in capitals, with dots, with a date.
    ('gpt-4o', null, 'gpt-4o'), ('GPT-4o', null, 'gpt-4o'), (' gpt-4o ', null, 'gpt-4o'), ('claude-sonnet-4.5', null, 'claude-sonnet-4-5'),
    ('gpt-4o-2024-08-06', null, 'gpt-4o-2024-08-06'), ('claude-sonnet-4-5-20250929', null, 'claude-sonnet-4-5-20250929'),
    ('gpt-4o-2099-01-02', null, 'gpt-4o'), ('gpt-4o-2099-13-02', null, null), ('gpt-4o-2099', null, null),
    ('claude-3-5-sonnet-20241022', null, 'claude-3-5-sonnet-20241022'), ('gpt-4-32k', null, 'gpt-4-32k'),
    ('gpt-realtime', null, 'gpt-realtime'), ('gpt-4o-transcribe', null, 'gpt-4o-transcribe'), ('gpt-4o-mini-tts', null, 'gpt-4o-mini-tts'),
    ('gpt-image-1', null, 'gpt-image-1'), ('rerank-v3.5', null, 'rerank-v3.5'), ('rerank-2.5', null, 'voyage/rerank-2.5'),
    -- Behind their provider.
    ('openai/gpt-4o', null, 'gpt-4o'), ('openai/responses/gpt-5', null, 'gpt-5'), ('azure/gpt-4o', null, 'azure/gpt-4o'),
    ('anthropic/claude-sonnet-4.5', null, 'claude-sonnet-4-5'), ('google/gemini-2.5-pro', null, 'gemini/gemini-2.5-pro'),
    ('gemini/gemini-2.5-pro', null, 'gemini/gemini-2.5-pro'), ('x-ai/grok-4', null, 'xai/grok-4'), ('voyage/rerank-2.5', null, 'voyage/rerank-2.5'),
    ('openrouter/anthropic/claude-sonnet-4.5', null, 'claude-sonnet-4-5'), ('together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo', null,
     'together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo'), ('groq/llama-3.3-70b-versatile', null, 'groq/llama-3.3-70b-versatile'),
    -- As the SDKs of clouds write them.
    ('models/gemini-2.5-pro', null, 'gemini/gemini-2.5-pro'),
    ('projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro', null, 'gemini-2.5-pro'),
    ('vertex_ai/claude-sonnet-4-5@20250929', null, 'vertex_ai/claude-sonnet-4-5@20250929'),
    ('us.anthropic.claude-sonnet-4-5-20250929-v1:0', null, 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'),
    ('ca.anthropic.claude-sonnet-4-5-20250929-v1:0', null, 'anthropic.claude-sonnet-4-5-20250929-v1:0'),
    ('zz.anthropic.claude-sonnet-4-5-20250929-v1:0', null, null), ('bedrock/zz.amazon.nova-pro-v1:0', null, null),
    ('bedrock/us-east-1/anthropic.claude-sonnet-4-5-20250929-v1:0', null, 'anthropic.claude-sonnet-4-5-20250929-v1:0'),
    ('arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0', null,
     'us.anthropic.claude-sonnet-4-5-20250929-v1:0'),
    ('amazon.nova-pro-v1:0', null, 'amazon.nova-pro-v1:0'),
    ('accounts/fireworks/models/deepseek-v3p1', null, 'fireworks_ai/accounts/fireworks/models/deepseek-v3p1'),
    ('ft:gpt-4o-2024-08-06:acme::AbC123', null, 'ft:gpt-4o-2024-08-06'), ('ft:gpt-4o-2024-08-06:acme:name:AbC123', null, 'ft:gpt-4o-2024-08-06'),
    ('ft:gpt-9:acme::AbC123', null, null),
    -- usage.provider decides.
    ('gpt-4o', 'azure', 'azure/gpt-4o'), ('gpt-4o', 'openai.chat', 'gpt-4o'), ('openai/gpt-4o', 'azure', 'azure/gpt-4o'),
    ('gemini-2.5-pro', 'google.generative-ai', 'gemini/gemini-2.5-pro'), ('gemini-2.5-pro', 'gcp.vertex_ai', 'gemini-2.5-pro'),
    ('claude-sonnet-4-5', 'anthropic.messages', 'claude-sonnet-4-5'), ('anthropic/claude-sonnet-4.5', 'openrouter', 'claude-sonnet-4-5'),
    ('anthropic.claude-sonnet-4-5-20250929-v1:0', 'aws.bedrock', 'anthropic.claude-sonnet-4-5-20250929-v1:0'),
    ('gemma-3-27b-it', 'gemini', 'gemini/gemma-3-27b-it'), ('gpt-4o', 'acme', null), ('my-deployment', 'azure', null), ('gpt-4o', 'groq', null),
    -- A bare name means the maker's model, if the maker sells it.
    ('gemini-2.5-pro', null, 'gemini-2.5-pro'), ('deepseek-chat', null, 'deepseek/deepseek-chat'), ('kimi-k2.7-code', null, 'moonshot/kimi-k2.7-code'),
    ('glm-5.2', null, 'zai/glm-5.2'), ('voyage-3.5', null, 'voyage/voyage-3.5'), ('sonar', null, 'perplexity/sonar'), ('grok-4', null, 'xai/grok-4'),
    ('deepseek-v4-1-flash-1017', null, null), ('gemma-3-27b-it', null, null), ('gpt-oss-120b', null, null), ('llama-3.3-70b-versatile', null, null),
    ('meta-llama/llama-3.3-70b-instruct', null, null),
    -- On the caller's own machine.
    ('ollama/llama3.1', null, 'ollama/llama3.1'), ('ollama/of-my-own', null, 'local'), ('nomic-embed-text', 'ollama', 'local'),
    ('Xenova/all-MiniLM-L6-v2', null, 'local'), ('offline/words', null, 'local'), ('local', null, 'local'), ('llama.cpp/qwen', null, 'local'), ('wordllama-l2-supercat-256', null, 'wordllama-l2-supercat-256'),
    ('ollama/gpt-oss:120b-cloud', null, null),
    -- Guesses.
    ('qwen', null, null), ('openai/gpt-4o/whatever', null, null), ('gemini-exp-1206', null, null), ('elsewhere/gpt-4o-mini', null, null),
    ('gpt-4o-mini-but-newer', null, null), ('', null, null), ('/', null, null), ('openai/', null, null), ('//gpt-4o', null, null), (null, null, null),
    (repeat('x/', 5000), null, null), (repeat('models/', 500), null, null), ('gpt-4o%', null, null), ('gpt_4o', null, null)
  ) as names (name, provider, model);

select is(c.note, 'No price is known for the model "gemma-3-27b-it". Name the provider, in usage.provider or before the model. These sell one of that name: gemini.',
          'cost_of_counts says who sells a model whose maker does not')
  from matrice_private.cost_of_counts('gemma-3-27b-it', '{"input": 1}', 1, '{}', now()) c;

-- Costs ------------------------------------------------------------------------------------------------------------

-- Worked out by hand from the price list of LiteLLM 1.110.2. A Wednesday at 03:00 UTC, but where another time stands.
create function pg_temp.cost(model text, counts jsonb, options jsonb default '{}', priced_at timestamptz default '2026-11-18T03:00Z') returns text
language sql as $$
  select concat_ws(': ', coalesce(trim_scale(c.cost_usd)::text, 'null'), c.note)
    from matrice_private.cost_of_counts(
           model, counts,
           (select coalesce(sum(value::bigint), 0)::bigint from jsonb_each_text(counts)
             where key in ('input', 'cache_read', 'cache_write', 'cache_write_1h', 'cache_write_12h', 'input_audio', 'input_image', 'cache_read_audio')),
           options, priced_at) c
$$;
select is(pg_temp.cost(model, counts::jsonb, options::jsonb), usd, format('%s, %s, %s costs %s', model, counts, options, usd))
  from (values
    ('gpt-4o', '{"input": 200, "cache_read": 800, "output": 200}', '{}', '0.0035'),
    ('gpt-4o', '{}', '{}', '0'),
    ('text-embedding-3-small', '{"input": 1}', '{}', '0.00000002'),
    -- A tier of its own, whatever its name, in capitals or not.
    ('gpt-6-astra', '{"input": 100000}', '{"service_tier": "ultrafast"}', '6'),
    ('gpt-5', '{"input": 1000}', '{"service_tier": "Flex"}', '0.000625'),
    ('gpt-5', '{"input": 1000}', '{"service_tier": "ON_DEMAND_FLEX"}', '0.000625'),
    ('gpt-5', '{"input": 1000}', '{"service_tier": "default"}', '0.00125'),
    ('gpt-5', '{"input": 1000}', '{"service_tier": "ultrafast"}', '0.00125: gpt-5 has no prices for the tier ultrafast: those of standard are used.'),
    -- A cache that lasts longer; and in a batch, without a rate of its own, half of it.
    ('gpt-6-sol', '{"cache_write_12h": 100000}', '{}', '0.5'),
    ('claude-sonnet-4-5', '{"cache_write_1h": 1000000}', '{}', '6'),
    ('claude-sonnet-4-5', '{"cache_write_1h": 1000000}', '{"service_tier": "batch"}', '3'),
    -- Above a threshold, the tier keeps its proportion.
    ('gemini/gemini-2.5-pro', '{"input": 200000}', '{"service_tier": "flex"}', '0.125'),
    ('gemini/gemini-2.5-pro', '{"input": 200001}', '{"service_tier": "flex"}', '0.25000125'),
    ('gemini/gemini-2.5-pro', '{"input": 200001}', '{}', '0.5000025'),
    ('gemini/gemini-2.5-pro', '{"input": 250000}', '{"service_tier": "priority"}', '1.125'),
    ('us.anthropic.claude-sonnet-4-5-20250929-v1:0', '{"input": 200000}', '{"service_tier": "batch"}', '0.33'),
    ('us.anthropic.claude-sonnet-4-5-20250929-v1:0', '{"input": 200001}', '{"service_tier": "batch"}', '0.6600033'),
    -- xAI's thresholds begin at their number.
    ('xai/grok-4.20', '{"input": 199999}', '{}', '0.24999875'), ('xai/grok-4.20', '{"input": 200000}', '{}', '0.5'),
    -- Units of their own.
    ('gemini/gemini-embedding-2', '{"input_image": 1000000}', '{}', '0.45'),
    ('gemini/gemini-3.5-flash', '{"input_audio": 1000000}', '{"service_tier": "batch"}', '0.75'),
    ('claude-sonnet-4-5', '{"input": 1000, "web_search": 2}', '{}', '0.023'),
    ('claude-sonnet-4-5', '{"web_search": 2}', '{"service_tier": "batch"}', '0.02'),
    ('whisper-1', '{"second": 60}', '{}', '0.006'),
    ('rerank-v3.5', '{"query": 3}', '{}', '0.006'),
    ('gpt-4o', '{"input": 1000, "page": 3}', '{}', 'null: gpt-4o has no price for page in the tier standard.'),
    ('gpt-4o', '{"input": 1000, "page": 0}', '{}', '0.0025'),
    -- A batch without rates: half or all, nobody says.
    ('deepseek-flash', '{"input": 1000}', '{"service_tier": "batch"}', 'null: deepseek-flash has no prices for the tier batch.'),
    ('ollama/of-my-own', '{"input": 1000, "output": 5}', '{"service_tier": "batch"}', '0'),
    -- In a batch, a cached token costs the lesser of two discounts.
    ('amazon.nova-pro-v1:0', '{"cache_read": 1000000}', '{"service_tier": "batch"}', '0.2'),
    -- Surcharges.
    ('gpt-6-sol', '{"input": 1000}', '{"data_residency": "EU"}', '0.0022'),
    ('gpt-4o', '{"input": 1000}', '{"data_residency": "fedramp"}', '0.00275'),
    ('claude-sonnet-5', '{"input": 1000, "output": 100}', '{"inference_geo": "us"}', '0.0033'),
    ('ca.amazon.nova-pro-v1:0', '{"input": 1000}', '{}', '0.0008: This region has no price of its own: that of amazon.nova-pro-v1:0 is used.'),
    ('zz.amazon.nova-pro-v1:0', '{"input": 1000}', '{}', 'null: No price is known for the model "zz.amazon.nova-pro-v1:0".'),
    -- What each request costs, no response says.
    ('gpt-4o-search-preview', '{"input": 1000}', '{}', '0.0025: gpt-4o-search-preview also has a fee for each request, which is not in the cost.'),
    ('sonar', '{"input": 1000}', '{}', '0.001: perplexity/sonar also has a fee for each request, which is not in the cost.'),
    ('sonar-deep-research', '{"input": 1000, "web_search": 2}', '{}', '0.012'),
    ('gpt-4o-2099-01-01', '{"input": 1000}', '{}', '0.0025: This snapshot has no price of its own: that of gpt-4o is used.'),
    ('no-such-model', '{"input": 1000}', '{}', 'null: No price is known for the model "no-such-model".')
  ) as costs (model, counts, options, usd);
select is(pg_temp.cost('deepseek-flash', '{"input": 1000000}', options::jsonb, at), usd, format('deepseek-flash at %s with %s costs %s', at, options, usd))
  from (values
    ('2026-11-18T03:00Z'::timestamptz, '{}', '0.3'), ('2026-11-18T05:00Z', '{}', '0.15'), ('2026-11-21T03:00Z', '{}', '0.15'),
    ('2026-11-18T03:00Z', '{"service_tier": "off_peak"}', '0.15'),
    ('2026-11-21T03:00Z', '{"service_tier": "priority"}', '0.15: deepseek-flash has no prices for the tier priority: those of off_peak are used.')
  ) as costs (at, options, usd);

-- A tier without a rate above a threshold, where the standard rate rises from 0 or is not known.
select tests.as_service();
insert into matrice.model_prices (model, provider, unit, service_tier, above_input_tokens, usd_per_million) values
  ('steps', 'x', 'input', 'standard', 0, 0), ('steps', 'x', 'input', 'standard', 100, 4), ('steps', 'x', 'input', 'flex', 0, 1),
  ('steps', 'x', 'output', 'standard', 0, 8), ('steps', 'x', 'output', 'standard', 200, 9), ('steps', 'x', 'output', 'flex', 0, 2);
select is(pg_temp.cost('steps', counts::jsonb, '{"service_tier": "flex"}'), usd, format('steps, %s: %s', counts, usd))
  from (values ('{"input": 100}', '0.0001'), ('{"input": 101}', '0.000404'), ('{"input": 100, "output": 10}', '0.00012'),
               ('{"input": 201, "output": 8}', '0.000822')) as costs (counts, usd);

-- Loading ----------------------------------------------------------------------------------------------------------

select is(matrice.load_prices('{"models": {"mill": ["x", {"input": 3, "output": 7, "input:flex": 1, "input>1000": 6}], "gone": ["x", {"input": 1}]}}'), 5,
          'load_prices returns the number of new rates');
select is(matrice.load_prices('{"models": {"mill": ["x", {"input": 3, "output": 7, "input:flex": 1, "input>1000": 6}]}}'), 0,
          'load_prices of the same rates changes none');
select is(matrice.load_prices('{"models": {"mill": ["x", {"input": 5, "output": 7, "input>1000": 10}]}}', '2026-02-01T00:00Z'), 3,
          'load_prices returns the number of rates that changed or ended');
select is(pg_temp.cost('mill', counts::jsonb, options::jsonb, at), usd, format('mill at %s, %s, %s costs %s', at, counts, options, usd))
  from (values
    ('2026-01-31T23:59Z'::timestamptz, '{"input": 100, "output": 100}', '{}', '0.001'), ('2026-02-01T00:00Z', '{"input": 100, "output": 100}', '{}', '0.0012'),
    ('2026-01-31T23:59Z', '{"input": 1001}', '{}', '0.006006'), ('2026-02-01T00:00Z', '{"input": 1001}', '{}', '0.01001'),
    ('2026-01-31T23:59Z', '{"input": 100}', '{"service_tier": "flex"}', '0.0001'),
    ('2026-02-01T00:00Z', '{"input": 100}', '{"service_tier": "flex"}', '0.0005: mill has no prices for the tier flex: those of standard are used.')
  ) as costs (at, counts, options, usd);
select is(pg_temp.cost('gone', '{"input": 1000000}'), '1', 'A model that a later catalogue does not have keeps its price');
select lives_ok($$select matrice.load_prices('{"models": {"mill": ["x", {"input": 5, "output": 7, "input>1000": 10}]}, "windows": [["mill", [3], "01:00", "02:00"]],
                                                  "multipliers": [["mill", "speed", "fast", 2]]}')$$, 'load_prices takes hours and surcharges');
select lives_ok($$select matrice.load_prices('{"models": {"mill": ["x", {"input": 5, "output": 7, "input>1000": 10}]}, "windows": [["mill", [3], "01:00", "03:00"]],
                                                  "multipliers": [["mill", "speed", "fast", 3]]}')$$, 'load_prices takes other hours and surcharges');
select is(pg_temp.cost('mill', '{"input": 1000}', '{"speed": "FAST"}'), '0.015', 'load_prices replaces surcharges');
select is(pg_temp.cost('mill', '{"input": 1000}', '{"speed": "standard"}'), '0.005', 'the standard speed has no surcharge');
select is((select note from matrice_private.cost_of_counts('gpt-4o', '{"input": 1000}', 1000, '{"speed": "fast"}', now()) where cost_usd is null),
          'gpt-4o has no price for the speed "fast".', 'a speed that has no price is not billed as the standard one');
select results_eq($$select until_utc from matrice.model_price_windows where model = 'mill'$$, $$values ('03:00'::time)$$, 'load_prices replaces off-peak hours');
delete from matrice.model_prices where model = 'gone';
select is(pg_temp.cost('gone', '{"input": 1}'), 'null: No price is known for the model "gone".', 'A model whose rows are deleted has no price');
select tests.refuses(format('select matrice.load_prices(%L)', catalogue), '22023', 'load_prices refuses ' || left(catalogue, 60), '%', '%models%')
  from unnest(array['{}', '[]', '{"models": []}', '{"models": {"x": 1}}', '{"models": {"x": ["y"]}}', '{"models": {"x": ["y", {"input": -1}]}}',
                    '{"models": {"x": ["y", {"input": "1"}]}}', '{"models": {"x": ["y", {"input": 1e10}]}}', '{"models": {"x": ["y", {"input>0": 1}]}}',
                    '{"models": {"x": ["y", {"in put": 1}]}}', '{"models": {"x": ["y", {"input:": 1}]}}']) catalogue;
select tests.refuses($$select matrice.load_prices('{"models": {"x": ["y", {"inputs": 1}]}}')$$, '23514', 'load_prices refuses an unknown unit', null, '%input%');
select tests.as_user('alice');
select tests.refuses($$select matrice.load_prices('{"models": {}}')$$, '42501', 'load_prices refuses a user', '%', '%service_role%');

-- Prices of a project ----------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('atlas');
select tests.project('borea');
create function pg_temp.own_cost(project text, model text, counts jsonb, options jsonb default '{}', priced_at timestamptz default now()) returns text
language sql as $$
  select concat_ws(': ', coalesce(trim_scale(c.cost_usd)::text, 'null'), c.note)
    from matrice_private.cost_in_project(tests.id(project), model, counts, coalesce((counts ->> 'input')::bigint, 0), options, priced_at) c
$$;
select tests.as_user('alice');
select is(pg_temp.own_cost('atlas', 'gpt-4o', '{"input": 1000}'), '0.0025', 'cost_in_project without a price of its own is that of all projects');
select matrice.set_price(tests.id('atlas'), 'gpt-4o', factor => 0.8);
select matrice.set_price(tests.id('atlas'), 'my-deployment', same_as => 'azure/gpt-4o');
select matrice.set_price(tests.id('atlas'), 'house', '{"input": 2, "output": 4, "input:batch": 1, "input>1000": 3}', valid_from => '2026-01-01');
select matrice.set_price(tests.id('atlas'), 'house', '{}', valid_from => '2026-06-01');
select is(pg_temp.own_cost(project, model, counts::jsonb, options::jsonb, at), usd, format('%s in %s at %s, %s, %s costs %s', model, project, at, counts, options, usd))
  from (values
    ('atlas', 'gpt-4o', '{"input": 1000}', '{}', now(), '0.002'), ('atlas', 'openai/gpt-4o', '{"input": 1000}', '{}', now(), '0.002'),
    ('atlas', 'gpt-4o', '{"input": 1000}', '{"service_tier": "batch"}', now(), '0.001'),
    ('atlas', 'gpt-4o', '{"input": 1000}', '{}', now() - interval '1 second', '0.0025'),
    ('atlas', 'my-deployment', '{"input": 1000}', '{"provider": "azure"}', now(), '0.0025'),
    ('borea', 'gpt-4o', '{"input": 1000}', '{}', now(), '0.0025'),
    ('borea', 'my-deployment', '{"input": 1000}', '{}', now(), 'null: No price is known for the model "my-deployment".'),
    ('atlas', 'house', '{"input": 1000, "output": 10}', '{}', '2026-02-01', '0.00204'), ('atlas', 'house', '{"input": 1001}', '{}', '2026-02-01', '0.003003'),
    ('atlas', 'house', '{"input": 1000}', '{"service_tier": "batch"}', '2026-02-01', '0.001'),
    ('atlas', 'house', '{"input": 1000}', '{"service_tier": "flex"}', '2026-02-01',
     '0.002: house has no prices for the tier flex: those of standard are used.'),
    ('atlas', 'house', '{"image": 1}', '{}', '2026-02-01', 'null: house has no price for image in the tier standard.'),
    ('atlas', 'house', '{"input": 1000}', '{}', '2025-12-31', 'null: No price is known for the model "house".'),
    ('atlas', 'house', '{"input": 1000}', '{}', '2026-07-01', 'null: house has no prices at this time.')
  ) as costs (project, model, counts, options, at, usd);
select results_eq(
  $$select source, model_priced, service_tier, above_input_tokens, usd_per_million, is_listed from matrice.price_of('openai/gpt-4o', project_id => tests.id('atlas'))
     where unit = 'input'$$,
  $$values ('project', 'gpt-4o', 'batch', 0, 1.0, true), ('project', 'gpt-4o', 'priority', 0, 3.4, true), ('project', 'gpt-4o', 'standard', 0, 2.0, true)$$,
  'price_of in a project returns its price');
select results_eq(
  $$select source, model_priced, service_tier, above_input_tokens, unit, usd_per_million, is_listed, valid_from
      from matrice.price_of('gemini/gemini-2.5-pro') where unit in ('input', 'reasoning') and service_tier in ('standard', 'flex')$$,
  $$values ('catalogue', 'gemini/gemini-2.5-pro', 'flex', 0, 'input', 0.625, true, null::timestamptz),
           ('catalogue', 'gemini/gemini-2.5-pro', 'flex', 0, 'reasoning', 5, false, null),
           ('catalogue', 'gemini/gemini-2.5-pro', 'flex', 200000, 'input', 1.25, true, null),
           ('catalogue', 'gemini/gemini-2.5-pro', 'flex', 200000, 'reasoning', 7.5, false, null),
           ('catalogue', 'gemini/gemini-2.5-pro', 'standard', 0, 'input', 1.25, true, null),
           ('catalogue', 'gemini/gemini-2.5-pro', 'standard', 0, 'reasoning', 10, false, null),
           ('catalogue', 'gemini/gemini-2.5-pro', 'standard', 200000, 'input', 2.5, true, null),
           ('catalogue', 'gemini/gemini-2.5-pro', 'standard', 200000, 'reasoning', 15, false, null)$$,
  'price_of returns all rates, and which of them the price list has');
select results_eq($$select service_tier, above_input_tokens, unit, usd_per_million, is_listed from matrice.price_of('mill', '2026-03-01') where unit in ('input', 'cache_read')$$,
                  $$values ('standard', 0, 'cache_read', 5::numeric, false), ('standard', 0, 'input', 5, true), ('standard', 1000, 'cache_read', 10, false), ('standard', 1000, 'input', 10, true)$$,
                  'price_of after a tier ended does not return its rates');
select is_empty($$select * from matrice.price_of('no-such-model')$$, 'price_of an unknown model: no rows');
select results_eq($$select distinct model_priced from matrice.price_of('gpt-4o', provider => 'azure')$$, $$values ('azure/gpt-4o')$$,
                  'price_of with a provider returns the rates of its model');

select tests.refuses(format('select matrice.set_price(tests.id(''atlas''), %s)', arguments), code, description, detail, hint)
  from (values
    ($$'x'$$, '22023', 'set_price of an unknown model without prices is refused', '%"x"%', '%same_as%'),
    ($$'x', same_as => 'y'$$, '22023', 'set_price refuses an unknown same_as', '%"y"%', '%same_as%'),
    ($$'x', '{"input": 1}', 'gpt-4o'$$, '22023', 'set_price refuses prices together with same_as', null, '%'),
    ($$'x', '{"input": -1}'$$, '22023', 'set_price refuses a price below 0', '%input%', '%'),
    ($$'x', '{"input": "1"}'$$, '22023', 'set_price refuses a price in quotes', '%input%', '%'),
    ($$'x', '[]'$$, '22023', 'set_price refuses prices that are an array', '%', '%'),
    ($$'x', '{"inputs": 1}'$$, '23514', 'set_price refuses an unknown unit', null, '%input%'),
    ($$'gpt-4o', factor => -1$$, '22023', 'set_price refuses factor -1', '%-1%', '%'),
    ($$'gpt-4o', factor => 'NaN'$$, '22023', 'set_price refuses factor NaN', '%NaN%', '%'),
    ($$'', '{"input": 1}'$$, '22023', 'set_price refuses an empty model', null, null),
    ($$null, '{"input": 1}'$$, '22004', 'set_price refuses model null', null, null)
  ) as refused (arguments, code, description, detail, hint);
select tests.as_user('edith');
select tests.refuses($$select matrice.set_price(tests.id('atlas'), 'gpt-4o', factor => 0)$$, '42501', 'set_price refuses an editor', '%', '%owner%');
select tests.refuses($$select matrice_private.write_price_as_owner(tests.id('atlas'), 'gpt-4o', 'gpt-4o', null, 0, now())$$, '42501',
                     'write_price_as_owner refuses an editor', '%', '%owner%');
select tests.refuses($$select matrice_private.write_price(tests.id('atlas'), 'gpt-4o', 'gpt-4o', null, 0, now())$$, '42501', 'write_price refuses a user');
select tests.refuses($$update matrice.project_prices set factor = 0$$, '42501', 'project_prices refuses an editor an update');
select tests.as_user('mallory');
select tests.refuses($$select matrice.set_price(tests.id('atlas'), 'gpt-4o', factor => 0)$$, 'PT404', 'set_price of another''s project: not found', '%', '%');
select tests.refuses($$select * from matrice.price_of('gpt-4o', project_id => tests.id('atlas'))$$, 'PT404', 'price_of in another''s project: not found', '%', '%');
select is(pg_temp.own_cost('atlas', 'gpt-4o', '{"input": 1000}'), '0.0025', 'An outsider does not see the prices of a project');
select is(tests.rows_of('select from matrice.project_prices'), 0::bigint, 'project_prices for an outsider: no rows');
select tests.as_service();
select lives_ok($$select matrice.set_price(tests.id('borea'), 'gpt-4o', factor => 0.5)$$, 'set_price takes a price from a service');
select tests.as_owner();

-- Pricing again ----------------------------------------------------------------------------------------------------

select tests.as_owner();
insert into matrice.workflow_runs (id, project_id, workflow_id) values (tests.id('run'), tests.id('atlas'), 'w'), (tests.id('other run'), tests.id('borea'), 'w');
insert into matrice.workflow_steps (id, run_id, step_name, status, model, tokens_input, executed_at, cost_usd) values
  (tests.id('unknown'), tests.id('run'), 's', 'success', 'late', 1000, '2026-03-01', null), (tests.id('still unknown'), tests.id('run'), 's', 'success', 'never', 1000, '2026-03-01', null),
  (tests.id('before'), tests.id('run'), 's', 'success', 'late', 1000, '2026-01-01', null), (tests.id('given'), tests.id('run'), 's', 'success', 'late', 1000, '2026-03-02', 7),
  (tests.id('calculated'), tests.id('run'), 's', 'success', 'gpt-4o', 1000, '2026-03-03', null), (tests.id('elsewhere'), tests.id('other run'), 's', 'success', 'late', 1000, '2026-03-01', null);
insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('late', 'x', 'input', 2);
update matrice.model_prices set usd_per_million = 5 where model = 'gpt-4o' and unit = 'input' and service_tier = 'standard';
select tests.as_user('victor');
select tests.refuses($$select * from matrice.reprice(tests.id('atlas'), '2026-02-01')$$, '42501', 'reprice refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.reprice(tests.id('atlas'), '2026-02-01')$$, 'PT404', 'reprice of another''s project: not found', '%', '%');
select tests.as_user('edith');
select results_eq($$select step_id, run_id, executed_at, model, trim_scale(cost_before), trim_scale(cost_now), is_filled from matrice.reprice(tests.id('atlas'), '2026-02-01')$$,
  $$values (tests.id('unknown'), tests.id('run'), '2026-03-01'::timestamptz, 'late', null, 0.002, true),
           (tests.id('calculated'), tests.id('run'), '2026-03-03', 'gpt-4o', 0.0025, 0.005, false)$$,
  'reprice returns the steps that it filled, and those that would have another cost');
select tests.as_owner();
select results_eq($$select trim_scale(cost_usd), cost_source from matrice.workflow_steps where id in
                      (select tests.id(name) from unnest('{unknown,still unknown,before,given,calculated,elsewhere}'::text[]) name) order by executed_at, id = tests.id('unknown') desc, project_id = tests.id('atlas') desc$$,
  $$values (null::numeric, null), (0.002, 'calculated'), (null, null), (null, null), (7, 'provided'), (0.0025, 'calculated')$$,
  'reprice changes only steps without a cost, since a time, in one project');
select is_empty($$select from matrice.reprice(tests.id('atlas'), '2026-02-01') where is_filled$$, 'reprice fills nothing a second time');
insert into matrice.workflow_steps (id, run_id, step_name, status, model, tokens_input, executed_at)
values (tests.id('dear'), tests.id('run'), 's', 'success', 'dear', 1000000000, '2026-03-04');
select matrice.set_price(tests.id('atlas'), 'dear', '{"input": 1000000}', valid_from => '2026-01-01Z');
select is_empty($$select from matrice.reprice(tests.id('atlas'), '2026-02-01') where is_filled$$, 'reprice leaves a cost out that the column cannot hold');
select matrice.correct_step(tests.id('dear'), 'one less', tokens_input => 999999999);
select results_eq($$select cost_usd, tokens_input from matrice.workflow_steps where corrects = tests.id('dear')$$, $$values (null::numeric, -1)$$,
                  'correct_step leaves a cost out that the column cannot hold');

-- Preparation ------------------------------------------------------------------------------------------------------

select results_eq($$select model, service_tier, valid_from, above_input_tokens, rates from matrice_private.price_sheets where model in ('mill', 'steps') order by 1, 2, 3, 4$$,
                  $$select m.model, s.service_tier, s.valid_from, s.above_input_tokens, s.rates
                      from (select model, array_agg(p) as prices from matrice.model_prices p where model in ('mill', 'steps') group by model) m,
                           matrice_private.sheets_of(m.prices) s order by 1, 2, 3, 4$$,
                  'price_sheets are in step with model_prices');
update matrice.model_prices set model = 'new mill' where model = 'mill';
select is(pg_temp.cost('mill', '{"input": 1}'), 'null: No price is known for the model "mill".', 'A renamed model has no price under its old name');
select is(pg_temp.cost('new mill', '{"input": 1000000, "output": 1}', priced_at => '2026-01-01'), '6.000007', 'A renamed model has its prices under its new name');

select * from finish();
rollback;
