-- The price of a call: which model a name means, which tier is billed, and what the counts of the call cost.

-- Spellings. Each list is read from top to bottom: the first row that fits counts. ---------------------------------------

create or replace function matrice_private.provider_spellings() returns table (spelling text, provider text, resells boolean)
language sql immutable parallel safe rows 100
set search_path = pg_catalog, pg_temp
as $$
  -- Providers as LiteLLM, OpenTelemetry (gen_ai.provider.name), the AI SDK, OpenRouter and the providers themselves write them.
  -- resells: sells the models of others at the price of their makers.
  values
    ('openai', 'openai', false), ('openai-chat', 'openai', false), ('openai-responses', 'openai', false),
    ('openai-completion', 'openai', false), ('openai-embedding', 'openai', false), ('text-completion-openai', 'openai', false),
    ('anthropic', 'anthropic', false), ('anthropic-messages', 'anthropic', false),
    ('gemini', 'gemini', false), ('google', 'gemini', false), ('google-ai-studio', 'gemini', false), ('google-generative-ai', 'gemini', false),
    ('gcp-gemini', 'gemini', false), ('gcp-gen_ai', 'gemini', false), ('google-gla', 'gemini', false),
    ('vertex_ai', 'vertex_ai', false), ('vertex', 'vertex_ai', false), ('vertexai', 'vertex_ai', false), ('google-vertex', 'vertex_ai', false),
    ('google-vertex-chat', 'vertex_ai', false), ('google-vertex-ai', 'vertex_ai', false), ('gcp-vertex_ai', 'vertex_ai', false),
    ('vertex-anthropic', 'vertex_ai', false), ('google-vertex-anthropic-messages', 'vertex_ai', false),
    ('azure', 'azure', false), ('azure-openai', 'azure', false), ('azure-ai-openai', 'azure', false), ('az-ai-openai', 'azure', false),
    ('azure-chat', 'azure', false), ('azure-responses', 'azure', false), ('azure-openai-chat', 'azure', false), ('azure_text', 'azure', false),
    ('azure_ai', 'azure_ai', false), ('azure-ai-inference', 'azure_ai', false), ('az-ai-inference', 'azure_ai', false),
    ('bedrock', 'bedrock', false), ('aws-bedrock', 'bedrock', false), ('amazon-bedrock', 'bedrock', false),
    ('amazon_bedrock', 'bedrock', false), ('bedrock_converse', 'bedrock', false), ('bedrock_mantle', 'bedrock', false),
    ('amazon-nova', 'amazon_nova', false), ('amazon', 'bedrock', false),
    ('mistral', 'mistral', false), ('mistral_ai', 'mistral', false), ('mistralai', 'mistral', false), ('mistral-chat', 'mistral', false),
    ('xai', 'xai', false), ('x-ai', 'xai', false), ('x_ai', 'xai', false), ('xai-chat', 'xai', false), ('xai-responses', 'xai', false),
    ('deepseek', 'deepseek', false), ('deepseek-chat', 'deepseek', false),
    ('cohere', 'cohere', false), ('cohere_chat', 'cohere', false), ('cohere-chat', 'cohere', false),
    ('groq', 'groq', false), ('groq-chat', 'groq', false), ('cerebras', 'cerebras', false), ('cerebras-chat', 'cerebras', false),
    ('perplexity', 'perplexity', false), ('voyage', 'voyage', false), ('voyageai', 'voyage', false),
    ('together_ai', 'together_ai', false), ('together', 'together_ai', false), ('togetherai', 'together_ai', false),
    ('togetherai-chat', 'together_ai', false), ('fireworks_ai', 'fireworks_ai', false), ('fireworks', 'fireworks_ai', false),
    ('fireworks-chat', 'fireworks_ai', false), ('deepinfra', 'deepinfra', false), ('dashscope', 'dashscope', false),
    ('alibaba', 'dashscope', false), ('moonshot', 'moonshot', false), ('moonshotai', 'moonshot', false),
    ('zai', 'zai', false), ('z-ai', 'zai', false), ('minimax', 'minimax', false), ('jina_ai', 'jina_ai', false), ('jina', 'jina_ai', false),
    ('watsonx', 'watsonx', false), ('ibm-watsonx-ai', 'watsonx', false), ('databricks', 'databricks', false),
    ('openrouter', 'openrouter', true), ('vercel_ai_gateway', 'vercel_ai_gateway', true), ('vercel', 'vercel_ai_gateway', true),
    ('gateway', 'vercel_ai_gateway', true),
    -- Programs on the caller's own machine.
    ('local', 'local', false), ('ollama', 'local', false), ('ollama_chat', 'local', false), ('llama-cpp', 'local', false),
    ('llamacpp', 'local', false), ('llama_cpp', 'local', false), ('llamafile', 'local', false), ('lm_studio', 'local', false),
    ('lmstudio', 'local', false), ('lemonade', 'local', false), ('xenova', 'local', false), ('offline', 'local', false);
$$;
comment on function matrice_private.provider_spellings is
  'Returns how providers are spelled, as comparable_name writes it. Other providers are spelled as in model_prices.';

create or replace function matrice_private.name_forms() returns table (form text, provider text, name text)
language sql immutable parallel safe rows 10
set search_path = pg_catalog, pg_temp
as $$
  -- Names that say their provider in another way than by a first segment.
  values
    ('^models/(.+)$', 'gemini', '\1'),
    ('^(?:projects/[^/]+/locations/[^/]+/)?publishers/(?:google|anthropic)/models/(.+)$', 'vertex_ai', '\1'),
    ('^(?:projects/[^/]+/locations/[^/]+/)?publishers/([^/]+)/models/(.+)$', 'vertex_ai', '\1/\2'),
    ('^(?:(?:[a-z]{2}|us-gov|apac|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot|nvidia|openai'
     '|qwen|stability|twelvelabs|writer|zai)\.[a-z]', 'bedrock', '\&'),
    ('^arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:(?:foundation-model|inference-profile)/([^/]+)$', 'bedrock', '\1'),
    ('^bedrock/(?:converse|converse_like|invoke|mantle)/(.+)$', 'bedrock', '\1'),
    ('^accounts/fireworks/(?:models|routers)/[^/]+$', 'fireworks_ai', '\&'),
    ('^(openai|azure)/responses/(.+)$', '\1', '\2'),
    ('^(?:openai/)?ft:([^:/]+):[^/]*$', 'openai', 'ft:\1');
$$;
comment on function matrice_private.name_forms is
  'Returns regular expressions of names, and the provider and the name that each of them means.';

create or replace function matrice_private.makers() returns table (beginning text, providers text[])
language sql immutable parallel safe rows 40
set search_path = pg_catalog, pg_temp
as $$
  -- Who makes the models whose names begin so, and sells them under this name. Open models that their makers do not sell have
  -- no provider.
  values
    ('gpt-oss', '{}'::text[]), ('gpt-', '{openai}'), ('chatgpt-', '{openai}'), ('o1', '{openai}'), ('o3', '{openai}'), ('o4-', '{openai}'),
    ('ft:', '{openai}'), ('text-embedding-3', '{openai}'), ('text-embedding-ada', '{openai}'), ('whisper-', '{openai}'), ('tts-', '{openai}'),
    ('claude-', '{anthropic}'), ('gemini-', '{gemini,vertex_ai}'), ('veo-', '{gemini,vertex_ai}'), ('imagen-', '{gemini,vertex_ai}'),
    ('grok-', '{xai}'), ('deepseek-', '{deepseek}'),
    ('mistral-', '{mistral}'), ('ministral-', '{mistral}'), ('magistral-', '{mistral}'), ('codestral-', '{mistral}'),
    ('devstral-', '{mistral}'), ('pixtral-', '{mistral}'), ('voxtral-', '{mistral}'), ('open-mistral-', '{mistral}'), ('open-mixtral-', '{mistral}'),
    ('command-', '{cohere}'), ('embed-', '{cohere}'), ('rerank-v', '{cohere}'), ('rerank-english', '{cohere}'), ('rerank-multi', '{cohere}'),
    ('voyage-', '{voyage}'), ('rerank-', '{voyage}'), ('jina-', '{jina_ai}'), ('sonar', '{perplexity}'), ('jamba-', '{ai21}'),
    ('qwen', '{dashscope}'), ('qwq-', '{dashscope}'), ('kimi-', '{moonshot}'), ('moonshot-', '{moonshot}'), ('glm-', '{zai}'),
    ('minimax-', '{minimax}'), ('speech-', '{minimax}'), ('eleven_', '{elevenlabs}'), ('scribe_', '{elevenlabs}'), ('nova-', '{amazon_nova,deepgram}');
$$;
comment on function matrice_private.makers is
  'Returns which providers sell the models of their own whose names begin in a certain way, as comparable_name spells it.';

-- Which model a name means -------------------------------------------------------------------------------------------

create or replace function matrice_private.model_at(seller text, name text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  -- Of two models of the same name, the one that names its provider.
  select n.model
    from matrice_private.priced_names n
   where n.name = matrice_private.comparable_name(model_at.name) and n.provider = seller
   order by length(n.model) desc, n.model
   limit 1
$$;
comment on function matrice_private.model_at is 'Returns the model that a provider sells under a name, or null.';

create or replace function matrice_private.undated_name(name text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return substring(name from '^(.*[^-@])[-@](?:20[2-9][0-9]-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])|20[2-9][0-9](?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))$');
comment on function matrice_private.undated_name is
  'Returns the name of a model without the date of its snapshot; null if the name has no date at its end.';

create or replace function matrice_private.sold_model(seller text, name text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found text;
begin
  if seller = 'local' then
    -- A tag with "cloud" in it runs on Ollama's servers.
    return case when name !~* '[:-]cloud$' and name <> '' then 'local' end;
  end if;
  found := matrice_private.model_at(seller, name);
  if found is null and seller = 'bedrock' then
    -- An inference profile or a region that has no price of its own costs what the model costs.
    found := matrice_private.model_at(seller, regexp_replace(name, '^(?:[a-z]{2}(?:-[a-z]+)+-[0-9]/)?(?:(?:[a-z]{2}|us-gov|apac|global)\.)?', ''));
  end if;
  if found is null then
    found := matrice_private.model_at(seller, matrice_private.undated_name(name));
  end if;
  return found;
end
$$;
comment on function matrice_private.sold_model is
  'Returns the model that a provider sells under a name, or null. A dated snapshot without a price of its own is the model '
  'without the date; a model in a region of Bedrock without a price of its own is the model without the region.';

create or replace function matrice_private.provider_named(spelling text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select s.provider from matrice_private.provider_spellings() s where s.spelling = matrice_private.comparable_name(provider_named.spelling)),
    (select n.provider from matrice_private.priced_names n
      where n.provider = lower(btrim(provider_named.spelling)) limit 1))
$$;
comment on function matrice_private.provider_named is 'Returns the provider that a spelling means, as in model_prices, or null.';

create or replace function matrice_private.resolve_model(model text, provider text) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  asked  text := btrim(model);
  seller text;
  first  text;
  rest   text;
  form   record;
  found  text;
begin
  if asked is null or asked = '' or octet_length(asked) > 300 then
    return null;
  end if;
  for form in select * from matrice_private.name_forms() loop
    if asked ~* form.form and (form.provider <> 'bedrock' or coalesce(matrice_private.provider_named(provider), 'bedrock') = 'bedrock') then
      return matrice_private.sold_model(regexp_replace(asked, form.form, form.provider, 'i'), regexp_replace(asked, form.form, form.name, 'i'));
    end if;
  end loop;
  first := split_part(asked, '/', 1);
  rest := substr(asked, length(first) + 2);
  if nullif(btrim(provider), '') is not null then
    seller := matrice_private.provider_named(provider);
    found := coalesce(matrice_private.sold_model(seller, asked),
                      case when rest <> '' and matrice_private.provider_named(first) is not null then matrice_private.sold_model(seller, rest) end);
    if found is not null or not exists (select from matrice_private.provider_spellings() s where s.provider = seller and s.resells) then
      return found;
    end if;
  elsif rest <> '' then
    seller := matrice_private.provider_named(first);
    found := matrice_private.sold_model(seller, rest);
    if found is not null or not exists (select from matrice_private.provider_spellings() s where s.provider = seller and s.resells) then
      return found;
    end if;
    asked := rest;
    first := split_part(asked, '/', 1);
    rest := substr(asked, length(first) + 2);
  end if;
  -- A reseller's name is `maker/model`.
  if rest <> '' then
    return case when exists (select from matrice_private.makers() m where matrice_private.provider_named(first) = any (m.providers))
                then matrice_private.sold_model(matrice_private.provider_named(first), rest) end;
  end if;
  -- Nobody is named: the maker of the model, or the only model with exactly this name.
  for form in
    select m.providers from matrice_private.makers() m where starts_with(matrice_private.comparable_name(asked), m.beginning) limit 1
  loop
    foreach seller in array form.providers loop
      found := coalesce(found, matrice_private.sold_model(seller, asked));
    end loop;
  end loop;
  return coalesce(found, (select n.model from matrice_private.priced_names n where n.model = asked limit 1));
end
$$;
comment on function matrice_private.resolve_model is
  'Returns the model of model_prices that a name means, or null. The name''s beginning or the argument provider says who sells '
  'it. If neither does, its maker sells it. A name that is only similar is not accepted.';

create or replace function matrice_private.priced_model(model text, provider text default null) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce((select n.model from matrice_private.priced_names n where n.model = priced_model.model
                      and (priced_model.provider is null or n.provider = lower(priced_model.provider)) limit 1),
                  matrice_private.resolve_model(model, provider));
end
$$;
comment on function matrice_private.priced_model is
  'Returns the name under which the prices of a model are stored, or null: the name itself, else as resolve_model says.';

-- What the counts of a call cost -------------------------------------------------------------------------------------

create or replace function matrice_private.billed_tier(service_tier text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return case lower(btrim(service_tier))
  when '' then 'standard' when 'default' then 'standard' when 'auto' then 'standard' when 'standard_only' then 'standard'
  when 'on_demand' then 'standard' when 'fast' then 'priority' when 'on_demand_priority' then 'priority' when 'on_demand_flex' then 'flex'
  when 'batches' then 'batch' else coalesce(lower(btrim(service_tier)), 'standard') end;
comment on function matrice_private.billed_tier is 'Returns the tier of model_prices that a service_tier of a call means.';

create or replace function matrice_private.is_off_peak(model text, priced_at timestamptz) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
    select from matrice.model_price_windows w
     where w.model = is_off_peak.model
       and extract(isodow from priced_at at time zone 'UTC')::integer = any (w.iso_weekdays)
       and (priced_at at time zone 'UTC')::time >= w.from_utc and (priced_at at time zone 'UTC')::time < w.until_utc);
end;
comment on function matrice_private.is_off_peak is 'Returns whether a time is among the off-peak hours of a model.';

create or replace function matrice_private.surcharge(model text, options jsonb) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  product numeric := 1;
  factor  numeric;
begin
  for factor in
    select m.factor from matrice.model_price_multipliers m where m.model = surcharge.model and m.value = lower(btrim(options ->> m.kind))
  loop
    product := product * factor;
  end loop;
  return product;
end
$$;
comment on function matrice_private.surcharge is 'Returns the product of the surcharges that apply to a call.';

create or replace function matrice_private.unpriced_note(model text, provider text) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  sellers text;
begin
  select string_agg(n.provider, ', ' order by n.provider)
    into sellers
    from (select distinct n.provider from matrice_private.priced_names n
           where n.name = matrice_private.comparable_name(unpriced_note.model)
           order by 1 limit 5) n;
  return format('No price is known for the model %s%s.', to_json(left(model, 100)), ' of ' || to_json(left(provider, 100))::text)
         || coalesce(format(' These sell a model of that name: %s. Say which: usage.provider, or provider/model.', sellers), '');
end
$$;
comment on function matrice_private.unpriced_note is 'Says that a model has no price, and who sells a model of that name.';

create or replace function matrice_private.cost_by_rates(rates jsonb, counts jsonb, out cost_usd numeric, out unpriced text)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Multiplying by a millionth is exact, dividing is not.
  select 0.000001 * coalesce(sum(c.value::numeric * (rates ->> c.key)::numeric), 0),
         string_agg(c.key, ', ') filter (where rates ->> c.key is null and c.value::numeric <> 0)
    into cost_usd, unpriced
    from jsonb_each_text(counts) c;
  if unpriced is not null then
    cost_usd := null;
  end if;
end
$$;
comment on function matrice_private.cost_by_rates is
  'Returns the exact cost of counts; null, and the units without a price, if a unit was used that has none.';

create or replace function matrice_private.catalogue_cost(
  model text, counts jsonb, tokens_input bigint, options jsonb, priced_at timestamptz, out cost_usd numeric, out note text
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  provider text := nullif(btrim(options ->> 'provider'), '');
  tier     text := matrice_private.billed_tier(options ->> 'service_tier');
  priced   text := model;
  resolved boolean := provider is not null;
  cheaper  boolean;
  rates    jsonb;
  unpriced text;
begin
  if resolved then
    priced := matrice_private.priced_model(model, provider);
  end if;
  loop
    select s.rates, s.has_off_peak
      into rates, cheaper
      from matrice_private.price_sheets s
     where s.model = priced and s.service_tier = 'standard' and s.valid_from <= priced_at and s.above_input_tokens < greatest(tokens_input, 1)
     order by s.valid_from desc, s.above_input_tokens desc
     limit 1;
    exit when rates is not null or resolved;
    priced := matrice_private.priced_model(model, null);
    resolved := true;
  end loop;
  if rates is null then
    note := matrice_private.unpriced_note(model, provider);
    return;
  end if;

  -- A tier that the model has no rates for is billed as standard; so is the standard tier, in the model's off-peak hours at their
  -- rates. Only a batch is not: providers that give no price for it may bill half or all of the standard one.
  if tier <> 'standard' or cheaper then
    select s.rates, s.service_tier
      into rates, tier
      from (select tier as name, 1 as place union all
            select 'off_peak', 2 where cheaper and tier <> 'batch' and matrice_private.is_off_peak(priced, priced_at) union all
            select 'standard', 3 where tier <> 'batch') t
      join matrice_private.price_sheets s
        on s.model = priced and s.service_tier = t.name and s.valid_from <= priced_at and s.above_input_tokens < greatest(tokens_input, 1)
     where not (t.name = 'standard' and t.place = 1)
     order by t.place, s.valid_from desc, s.above_input_tokens desc
     limit 1;
    if tier is distinct from matrice_private.billed_tier(options ->> 'service_tier') and (tier is null or tier <> 'off_peak') then
      note := format('%s has no prices for the tier %s', priced, to_json(left(options ->> 'service_tier', 100)))
              || case when rates is null then '.' else ': the standard price is used.' end;
    end if;
  end if;

  select c.cost_usd, c.unpriced into cost_usd, unpriced from matrice_private.cost_by_rates(rates, counts) c;
  if unpriced is not null then
    note := format('%s has no price for %s%s.', priced, unpriced, case when tier = 'batch' then ' in a batch' else '' end);
  elsif options ?| '{inference_geo,data_residency,speed}' then
    cost_usd := cost_usd * matrice_private.surcharge(priced, options);
  end if;
  if matrice_private.undated_name(model) is not null and matrice_private.undated_name(priced) is null then
    note := concat_ws(' ', note, format('The price is that of %s, because this snapshot has none of its own.', priced));
  end if;
  cost_usd := trim_scale(cost_usd);
end
$$;
comment on function matrice_private.catalogue_cost is
  'Returns the cost of a call by the prices of model_prices. cost_of_counts says the rest.';

create or replace function matrice_private.cost_of_counts(
  model text, counts jsonb, tokens_input bigint, options jsonb, priced_at timestamptz, project_id uuid default null,
  out cost_usd numeric, out note text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  own record;
begin
  if project_id is not null and exists (select from matrice.project_prices p where p.project_id = cost_of_counts.project_id) then
    own := matrice_private.own_price(project_id, model, options, priced_at);
  end if;
  if own is null then
    select c.cost_usd, c.note into cost_usd, note
      from matrice_private.catalogue_cost(model, counts, tokens_input, options, priced_at) c;
  elsif own.same_as is not null then
    select trim_scale(c.cost_usd * own.factor), concat_ws(' ', format('The project''s price: %s × %s.', own.same_as, own.factor), c.note)
      into cost_usd, note
      from matrice_private.catalogue_cost(own.same_as, counts, tokens_input, options - 'provider', priced_at) c;
  else
    select trim_scale(c.cost_usd * own.factor), c.note
      into cost_usd, note
      from matrice_private.cost_by_sheets(own.sheets, counts, tokens_input, options) c;
  end if;
end
$$;
comment on function matrice_private.cost_of_counts is
  'Returns the exact cost of a call in US dollars, and a note. The cost is null, and the note says why, if the model or a '
  'unit that was used has no price. The note also says if another price was used than the call asked for. model: the name '
  'of the model, as people have it. counts: how many of each price unit were used; each token is counted once. '
  'tokens_input: all tokens of the input, which thresholds are compared with. options: service_tier, inference_geo, '
  'data_residency, speed and provider, if the call has them. project_id: the project whose own prices come first.';
