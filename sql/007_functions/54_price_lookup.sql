-- The price of a call: which model a name means, which tier is billed, and what the counts of the call cost.

-- Spellings ----------------------------------------------------------------------------------------------------------

create or replace function matrice_private.fill_spellings() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- As LiteLLM, OpenTelemetry (gen_ai.provider.name), the AI SDK, OpenRouter and the providers themselves write them. A provider
  -- that is not here is spelled as in model_prices.
  delete from matrice_private.provider_spellings where true;
  insert into matrice_private.provider_spellings (provider, resells, spelling)
  select p.provider, p.resells, unnest(p.spellings)
    from (values
      ('openai', false, '{openai,openai-chat,openai-responses,openai-completion,openai-embedding,'
        'text-completion-openai}'::text[]),
      ('anthropic', false, '{anthropic,anthropic-messages}'::text[]),
      ('gemini', false, '{gemini,google,google-ai-studio,google-generative-ai,gcp-gemini,gcp-gen_ai,google-gla}'::text[]),
      ('vertex_ai', false, '{vertex_ai,vertex,vertexai,google-vertex,google-vertex-chat,google-vertex-ai,gcp-vertex_ai,'
        'vertex-anthropic,google-vertex-anthropic-messages}'::text[]),
      ('azure', false, '{azure,azure-openai,azure-ai-openai,az-ai-openai,azure-chat,azure-responses,azure-openai-chat,'
        'azure_text}'::text[]),
      ('azure_ai', false, '{azure_ai,azure-ai-inference,az-ai-inference}'::text[]),
      ('bedrock', false, '{bedrock,aws-bedrock,amazon-bedrock,amazon_bedrock,bedrock_converse,bedrock_mantle,amazon}'::text[]),
      ('amazon_nova', false, '{amazon-nova}'::text[]),
      ('mistral', false, '{mistral,mistral_ai,mistralai,mistral-chat}'::text[]),
      ('xai', false, '{xai,x-ai,x_ai,xai-chat,xai-responses}'::text[]),
      ('deepseek', false, '{deepseek,deepseek-chat}'::text[]),
      ('cohere', false, '{cohere,cohere_chat,cohere-chat}'::text[]),
      ('groq', false, '{groq,groq-chat}'::text[]),
      ('cerebras', false, '{cerebras,cerebras-chat}'::text[]),
      ('perplexity', false, '{perplexity}'::text[]),
      ('voyage', false, '{voyage,voyageai}'::text[]),
      ('together_ai', false, '{together_ai,together,togetherai,togetherai-chat}'::text[]),
      ('fireworks_ai', false, '{fireworks_ai,fireworks,fireworks-chat}'::text[]),
      ('deepinfra', false, '{deepinfra}'::text[]),
      ('dashscope', false, '{dashscope,alibaba}'::text[]),
      ('moonshot', false, '{moonshot,moonshotai}'::text[]),
      ('zai', false, '{zai,z-ai}'::text[]),
      ('minimax', false, '{minimax}'::text[]),
      ('jina_ai', false, '{jina_ai,jina}'::text[]),
      ('watsonx', false, '{watsonx,ibm-watsonx-ai}'::text[]),
      ('databricks', false, '{databricks}'::text[]),
      ('openrouter', true, '{openrouter}'::text[]),
      ('vercel_ai_gateway', true, '{vercel_ai_gateway,vercel,gateway}'::text[]),
      ('local', false, '{local,ollama,ollama_chat,llama-cpp,llamacpp,llama_cpp,llamafile,lm_studio,lmstudio,lemonade,xenova,'
        'offline}'::text[])
    ) as p (provider, resells, spellings);

  delete from matrice_private.model_name_forms where true;
  insert into matrice_private.model_name_forms (place, form, provider, name)
  select f.*
    from (values
      (1, '^models/(.+)$', 'gemini', '\1'),
      (2, '^(?:projects/[^/]+/locations/[^/]+/)?publishers/(?:google|anthropic)/models/(.+)$', 'vertex_ai', '\1'),
      (3, '^(?:projects/[^/]+/locations/[^/]+/)?publishers/([^/]+)/models/(.+)$', 'vertex_ai', '\1/\2'),
      (4, '^(?:(?:[a-z]{2}|us-gov|apac|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot'
       '|nvidia|openai|qwen|stability|twelvelabs|writer|zai)\.[a-z].*$', 'bedrock', '\&'),
      (5, '^arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:(?:foundation-model|inference-profile)/([^/]+)$', 'bedrock', '\1'),
      (6, '^bedrock/(?:converse|converse_like|invoke|mantle)/(.+)$', 'bedrock', '\1'),
      (7, '^accounts/fireworks/(?:models|routers)/[^/]+$', 'fireworks_ai', '\&'),
      (8, '^(openai|azure)/responses/(.+)$', '\1', '\2'),
      (9, '^(?:openai/)?ft:([^:/]+):[^/]*$', 'openai', 'ft:\1')
    ) as f;

  delete from matrice_private.model_makers where true;
  insert into matrice_private.model_makers (place, beginning, providers)
  select row_number() over (order by g.place, b.place), b.beginning, g.providers
    from (values
      (1, '{}'::text[], '{gpt-oss}'::text[]),
      (2, '{openai}'::text[], '{gpt-,chatgpt-,o1,o3,o4-,ft:,text-embedding-3,text-embedding-ada,whisper-,tts-}'::text[]),
      (3, '{anthropic}'::text[], '{claude-}'::text[]),
      (4, '{gemini,vertex_ai}'::text[], '{gemini-,veo-,imagen-}'::text[]),
      (5, '{xai}'::text[], '{grok-}'::text[]),
      (6, '{deepseek}'::text[], '{deepseek-}'::text[]),
      (7, '{mistral}'::text[], '{mistral-,ministral-,magistral-,codestral-,devstral-,pixtral-,voxtral-,open-mistral-,'
        'open-mixtral-}'::text[]),
      (8, '{cohere}'::text[], '{command-,embed-,rerank-v,rerank-english,rerank-multi}'::text[]),
      (9, '{voyage}'::text[], '{voyage-,rerank-}'::text[]),
      (10, '{jina_ai}'::text[], '{jina-}'::text[]),
      (11, '{perplexity}'::text[], '{sonar}'::text[]),
      (12, '{ai21}'::text[], '{jamba-}'::text[]),
      (13, '{dashscope}'::text[], '{qwen,qwq-}'::text[]),
      (14, '{moonshot}'::text[], '{kimi-,moonshot-}'::text[]),
      (15, '{zai}'::text[], '{glm-}'::text[]),
      (16, '{minimax}'::text[], '{minimax-,speech-}'::text[]),
      (17, '{elevenlabs}'::text[], '{eleven_,scribe_}'::text[]),
      (18, '{amazon_nova,deepgram}'::text[], '{nova-}'::text[])
    ) as g (place, providers, beginnings), unnest(g.beginnings) with ordinality b (beginning, place);
end
$$;
comment on function matrice_private.fill_spellings is 'Fills provider_spellings, model_name_forms and model_makers.';

select matrice_private.fill_spellings();

-- Which model a name means -------------------------------------------------------------------------------------------

create or replace function matrice_private.model_at(seller text, name text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  compared text := matrice_private.comparable_name(name);
  sold     text;
begin
  -- Of two models of the same name, the one that names its provider.
  select n.model
    into sold
    from matrice_private.priced_names n
   where n.name = compared and n.provider = seller
   order by length(n.model) desc, n.model
   limit 1;
  return sold;
end
$$;
comment on function matrice_private.model_at is 'Returns the model that a provider sells under a name, or null.';

create or replace function matrice_private.undated_name(name text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return substring(name from '^(.*[^-@])[-@]20[2-9][0-9](-?)(?:0[1-9]|1[0-2])\2(?:0[1-9]|[12][0-9]|3[01])$');
end
$$;
comment on function matrice_private.undated_name is
  'Returns the name of a model without the date of its snapshot; null if the name has no date at its end.';

create or replace function matrice_private.sold_model(seller text, name text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  sold text;
begin
  if seller is null or name is null or name = '' then
    return null;
  end if;
  sold := matrice_private.model_at(seller, name);
  if sold is null and seller = 'local' and name !~* '[:-]cloud$' then
    -- Whatever runs on the caller's own machine. A tag with "cloud" in it runs on Ollama's.
    sold := 'local';
  end if;
  if sold is null and seller = 'bedrock' then
    -- An inference profile or a region that has no price of its own costs what the model costs.
    sold := matrice_private.model_at(
      seller, regexp_replace(name, '^(?:[a-z]{2}(?:-[a-z]+)+-[0-9]/)?(?:(?:[a-z]{2}|us-gov|apac|global)\.)?', ''));
  end if;
  if sold is null then
    sold := matrice_private.model_at(seller, matrice_private.undated_name(name));
  end if;
  return sold;
end
$$;
comment on function matrice_private.sold_model is
  'Returns the model that a provider sells under a name, or null. A dated snapshot without a price of its own is the model '
  'without the date; a model in a region of Bedrock without a price of its own is the model without the region.';

create or replace function matrice_private.provider_named(spelling text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  compared text := matrice_private.comparable_name(spelling);
  provider text;
begin
  select s.provider into provider from matrice_private.provider_spellings s where s.spelling = compared;
  if not found then
    select n.provider
      into provider
      from matrice_private.priced_names n
     where n.provider = lower(btrim(provider_named.spelling))
     limit 1;
  end if;
  return provider;
end
$$;
comment on function matrice_private.provider_named is 'Returns the provider that a spelling means, as in model_prices, or null.';

create or replace function matrice_private.model_of_maker(name text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  sellers text[];
  seller  text;
  sold    text;
begin
  select m.providers
    into sellers
    from matrice_private.model_makers m
   where starts_with(matrice_private.comparable_name(name), m.beginning)
   order by m.place
   limit 1;
  foreach seller in array coalesce(sellers, '{}') loop
    sold := coalesce(sold, matrice_private.sold_model(seller, name));
  end loop;
  return sold;
end
$$;
comment on function matrice_private.model_of_maker is
  'Returns the model that the maker of a model sells under its name, or null.';

create or replace function matrice_private.model_of_reseller(name text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  maker text := matrice_private.provider_named(split_part(name, '/', 1));
begin
  if strpos(name, '/') = 0 then
    return matrice_private.model_of_maker(name);
  end if;
  return case when exists (select from matrice_private.model_makers m where maker = any (m.providers))
              then matrice_private.sold_model(maker, substr(name, strpos(name, '/') + 1)) end;
end
$$;
comment on function matrice_private.model_of_reseller is
  'Returns the model that maker/model means at a reseller that takes the maker''s price, or null.';

create or replace function matrice_private.resolve_model(model text, provider text) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  asked  text := btrim(model);
  slash  integer := strpos(asked, '/');
  given  text := nullif(btrim(provider), '');
  first  text;
  seller text;
  named  text;
  sold   text;
begin
  if asked is null or octet_length(asked) > 300 then
    return null;
  end if;
  -- The most frequent form first: provider/model.
  if slash > 0 then
    first := matrice_private.provider_named(left(asked, slash - 1));
    if given is null then
      sold := matrice_private.sold_model(first, substr(asked, slash + 1));
    end if;
    if sold is not null then
      return sold;
    end if;
  end if;
  select regexp_replace(asked, f.form, f.provider, 'i'), regexp_replace(asked, f.form, f.name, 'i')
    into seller, named
    from matrice_private.model_name_forms f
   where asked ~* f.form
   order by f.place
   limit 1;
  if not found then
    seller := first;
    named := case when slash > 0 then substr(asked, slash + 1) end;
  end if;
  if given is not null then
    named := case when seller is not null then named end;
    seller := matrice_private.provider_named(given);
    sold := coalesce(matrice_private.sold_model(seller, asked), matrice_private.sold_model(seller, named));
    named := asked;
  elsif named is not null then
    sold := matrice_private.sold_model(seller, named);
  else
    return coalesce(matrice_private.model_of_maker(asked),
                    (select n.model from matrice_private.priced_names n where n.model = asked limit 1));
  end if;
  if sold is null and exists (select from matrice_private.provider_spellings s where s.provider = seller and s.resells) then
    sold := matrice_private.model_of_reseller(named);
  end if;
  return sold;
end
$$;
comment on function matrice_private.resolve_model is
  'Returns the model of model_prices that a name means, or null. The argument provider or the name''s beginning says who sells '
  'it. If neither does, its maker sells it. A name that is only similar is not accepted. '
  'SECURITY DEFINER: no client may read the prepared prices, which are those of model_prices.';

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
  'Returns the name under which the prices of a model are stored, or null: the name itself, else as resolve_model says. '
  'SECURITY DEFINER: no client may read the prepared prices, which are those of model_prices.';

-- What the counts of a call cost -------------------------------------------------------------------------------------

create or replace function matrice_private.billed_tier(service_tier text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  tier text := lower(btrim(service_tier));
begin
  return case when tier in ('default', 'auto', 'standard_only', 'on_demand', '') then 'standard'
              when tier in ('fast', 'on_demand_priority') then 'priority'
              when tier = 'on_demand_flex' then 'flex'
              when tier = 'batches' then 'batch'
              else coalesce(tier, 'standard') end;
end
$$;
comment on function matrice_private.billed_tier is 'Returns the tier of model_prices that a service_tier of a call means.';

create or replace function matrice_private.is_off_peak(model text, priced_at timestamptz) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  utc timestamp := priced_at at time zone 'UTC';
begin
  return exists (
    select from matrice.model_price_windows w
     where w.model = is_off_peak.model and extract(isodow from utc)::integer = any (w.iso_weekdays)
       and utc::time >= w.from_utc and utc::time < w.until_utc);
end
$$;
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
    select m.factor
      from matrice.model_price_multipliers m
     where m.model = surcharge.model and m.value = lower(btrim(options ->> m.kind))
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
  select nullif(string_agg(n.provider, ', ' order by n.provider), '')
    into sellers
    from (select distinct n.provider from matrice_private.priced_names n
           where n.name = matrice_private.comparable_name(unpriced_note.model)
           order by 1 limit 5) n;
  return concat('No price is known for the model ' || to_json(left(model, 100)), ' of ' || to_json(left(provider, 100)), '.',
                ' Name the provider, in usage.provider or before the model. These sell one of that name: ' || sellers || '.');
end
$$;
comment on function matrice_private.unpriced_note is 'Says that a model has no price, and who sells a model of that name. '
  'SECURITY DEFINER: no client may read the prepared prices, which are those of model_prices.';

create or replace function matrice_private.rates_of_tier(
  model text, tier text, has_off_peak boolean, tokens_input bigint, priced_at timestamptz, out billed text, out rates jsonb
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A tier that the model has no rates for is billed as standard, and that at the model's off-peak rates in its off-peak hours.
  -- Only a batch is not: a provider that has no price for it may bill half or all of the standard one.
  foreach billed in array
    case when tier = 'batch' then '{batch}' else array[nullif(tier, 'standard'), 'off_peak', 'standard'] end
  loop
    continue when billed is null
               or billed = 'off_peak' and tier <> 'off_peak'
                  and not (has_off_peak and matrice_private.is_off_peak(model, priced_at));
    select s.rates
      into rates
      from matrice_private.price_sheets s
     where s.model = rates_of_tier.model and s.service_tier = billed and s.valid_from <= priced_at
       and s.above_input_tokens < greatest(tokens_input, 1)
     order by s.valid_from desc, s.above_input_tokens desc
     limit 1;
    if rates <> '{}' then
      return;
    end if;
  end loop;
  -- Half of nothing is nothing.
  select tier, s.rates
    into billed, rates
    from matrice_private.price_sheets s
   where s.model = rates_of_tier.model and s.service_tier = 'standard' and s.valid_from <= priced_at
     and not exists (select from jsonb_each(s.rates) r where r.value <> '0')
   order by s.valid_from desc
   limit 1;
end
$$;
comment on function matrice_private.rates_of_tier is
  'Returns the tier at which a call is billed, and its rates. The tier is null if nobody knows the price of a batch.';

create or replace function matrice_private.rates_of_sheets(
  sheets jsonb, tier text, tokens_input bigint, out billed text, out rates jsonb
)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  select s.service_tier, s.rates
    into billed, rates
    from jsonb_to_recordset(sheets) s (service_tier text, above_input_tokens integer, rates jsonb)
   where (s.service_tier = tier or tier <> 'batch' and s.service_tier = 'standard')
     and s.above_input_tokens < greatest(tokens_input, 1)
   order by (s.service_tier = tier) desc, s.above_input_tokens desc
   limit 1;
end
$$;
comment on function matrice_private.rates_of_sheets is
  'Does for the sheets of a project''s price what rates_of_tier does for a model.';

create or replace function matrice_private.cost_of_counts(
  model text, counts jsonb, tokens_input bigint, options jsonb, priced_at timestamptz, sheets jsonb default null,
  out cost_usd numeric, out note text
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  provider text;
  tier     text := 'standard';
  billed   text := 'standard';
  priced   text := model;
  resolved boolean := false;
  cheaper  boolean := false;
  rates    jsonb;
  found    record;
  units    jsonb := jsonb_path_query_array(counts, '$.keyvalue().key');
  unit     text;
  unpriced text;
begin
  -- This runs for every step that is recorded: one lookup, and no query for the sum. What is rare is done elsewhere.
  if options ?| '{service_tier,provider}' then
    provider := nullif(btrim(options ->> 'provider'), '');
    tier := matrice_private.billed_tier(options ->> 'service_tier');
    if provider is not null and sheets is null then
      priced := matrice_private.priced_model(model, provider);
      resolved := true;
    end if;
  end if;
  while sheets is null loop
    select s.rates, s.has_off_peak
      into rates, cheaper
      from matrice_private.price_sheets s
     where s.model = priced and s.service_tier = 'standard' and s.valid_from <= priced_at
       and s.above_input_tokens < greatest(tokens_input, 1)
     order by s.valid_from desc, s.above_input_tokens desc
     limit 1;
    exit when rates is not null or resolved;
    priced := matrice_private.resolve_model(model, null);
    resolved := true;
  end loop;
  if rates is null and sheets is null then
    note := matrice_private.unpriced_note(model, provider);
    return;
  end if;
  if tier <> 'standard' or cheaper or sheets is not null then
    found := case when sheets is null then matrice_private.rates_of_tier(priced, tier, cheaper, tokens_input, priced_at)
                  else matrice_private.rates_of_sheets(sheets, tier, tokens_input) end;
    billed := found.billed;
    rates := found.rates;
    if tier <> 'standard' and billed is distinct from tier then
      note := format('%s has no prices for the tier %s%s', priced, tier, coalesce(': those of ' || billed || ' are used.', '.'));
    end if;
    if billed is null then
      note := coalesce(note, format('%s has no prices at this time.', priced));
      return;
    end if;
  end if;

  cost_usd := 0;
  for i in 0 .. jsonb_array_length(units) - 1 loop
    unit := units ->> i;
    if rates ? unit then
      cost_usd := cost_usd + (rates ->> unit)::numeric * (counts ->> unit)::numeric;
    elsif counts -> unit <> '0' then
      unpriced := concat_ws(', ', unpriced, unit);
    end if;
  end loop;
  if unpriced is not null then
    cost_usd := null;
    note := concat_ws(' ', note, format('%s has no price for %s in the tier %s.', priced, unpriced, billed));
    return;
  end if;
  -- Multiplying by a millionth is exact, dividing is not.
  cost_usd := trim_scale(cost_usd * 0.000001);
  if resolved and matrice_private.undated_name(model) is not null and matrice_private.undated_name(priced) is null then
    note := concat_ws(' ', note, format('This snapshot has no price of its own: that of %s is used.', priced));
  end if;
  if options ?| '{inference_geo,data_residency,speed}' and sheets is null then
    cost_usd := trim_scale(cost_usd * matrice_private.surcharge(priced, options));
  end if;
end
$$;
comment on function matrice_private.cost_of_counts is
  'Returns the exact cost of a call in US dollars, and a note. The cost is null, and the note says why, if the model or a '
  'unit that was used has no price. The note also says if another price was used than the call asked for. model: the name '
  'of the model, as people have it. counts: how many of each price unit were used; each token is counted once. '
  'tokens_input: all tokens of the input, which thresholds are compared with. options: service_tier, inference_geo, '
  'data_residency, speed and provider, if the call has them. sheets: the rates of a project''s own price, instead of those of '
  'the model. '
  'SECURITY DEFINER: no client may read the prepared prices, which are those of model_prices.';

-- Prices of a project ------------------------------------------------------------------------------------------------

create or replace function matrice_private.own_price(
  project_id uuid, model text, options jsonb, priced_at timestamptz,
  out same_as text, out factor numeric, out prices jsonb, out sheets jsonb, out valid_from timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from matrice.project_prices p where p.project_id = own_price.project_id) then
    return;
  end if;
  -- The name as the call has it, then the model that it means: a discount for gpt-4o holds for openai/gpt-4o, too.
  select p.same_as, p.factor, p.prices, p.sheets, p.valid_from
    into same_as, factor, prices, sheets, valid_from
    from (select own_price.model as name, 1 as place union all
          select matrice_private.priced_model(own_price.model, nullif(btrim(options ->> 'provider'), '')), 2) n
    join matrice.project_prices p on p.project_id = own_price.project_id and p.model = n.name and p.valid_from <= priced_at
   order by n.place, p.valid_from desc
   limit 1;
end
$$;
comment on function matrice_private.own_price is
  'Returns the price that a project has set for a model; nulls if it has set none.';

create or replace function matrice_private.cost_in_project(
  project_id uuid, model text, counts jsonb, tokens_input bigint, options jsonb, priced_at timestamptz,
  out cost_usd numeric, out note text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  own  record := matrice_private.own_price(project_id, model, options, priced_at);
  cost record;
begin
  cost := case when own.factor is null then matrice_private.cost_of_counts(model, counts, tokens_input, options, priced_at)
               when own.same_as is null
               then matrice_private.cost_of_counts(model, counts, tokens_input, options, priced_at, own.sheets)
               else matrice_private.cost_of_counts(own.same_as, counts, tokens_input, options - 'provider', priced_at) end;
  cost_usd := trim_scale(cost.cost_usd * coalesce(own.factor, 1));
  note := cost.note;
end
$$;
comment on function matrice_private.cost_in_project is
  'Does what cost_of_counts does, with the project''s own price if it has set one for the model.';

create or replace function matrice_private.write_price(
  project_id uuid, model text, same_as text, prices jsonb, factor numeric, valid_from timestamptz
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  listed matrice.model_prices[];
  ready  jsonb;
begin
  if prices is not null then
    select array_agg(jsonb_populate_record(null::matrice.model_prices, to_jsonb(r) || '{"valid_from": "-infinity"}'))
      into listed
      from matrice_private.rates_of_catalogue(
             jsonb_build_object('models', jsonb_build_object(model, jsonb_build_array('', prices)))) r;
    perform matrice_private.require_units(array(select l.unit from unnest(listed) l));
    ready := coalesce((select jsonb_agg(jsonb_build_object('service_tier', s.service_tier, 'rates', s.rates,
                                                           'above_input_tokens', s.above_input_tokens))
                         from matrice_private.sheets_of(listed) s), '[]');
  end if;
  insert into matrice.project_prices (project_id, model, same_as, prices, factor, sheets, valid_from)
  values (write_price.project_id, write_price.model, write_price.same_as, write_price.prices, write_price.factor, ready,
          write_price.valid_from)
  on conflict on constraint project_prices_pkey do update
    set same_as = excluded.same_as, prices = excluded.prices, factor = excluded.factor, sheets = excluded.sheets;
end
$$;
comment on function matrice_private.write_price is
  'Writes a price of a project and prepares its sheets. It does not check the caller, so users cannot call it directly: it is '
  'for services and write_price_as_owner. '
  'SECURITY DEFINER: no client may read price_units.';

create or replace function matrice_private.write_price_as_owner(
  project_id uuid, model text, same_as text, prices jsonb, factor numeric, valid_from timestamptz
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.user_projects m
    where m.project_id = write_price_as_owner.project_id and m.user_id = matrice_private.current_user_id() and m.role = 'owner'
      for share;
  if not found then
    raise exception 'this needs the role owner'
      using errcode = '42501', detail = 'Only owners can set prices.', hint = 'Ask an owner of the project.';
  end if;
  -- Each price is kept for the calls of its time.
  if (select count(*) from matrice.project_prices p where p.project_id = write_price_as_owner.project_id) >= 1000 then
    raise exception 'this project has too many prices'
      using errcode = 'PT402', detail = 'It has 1000 rows in project_prices; 1000 are allowed.',
            hint = 'Ask whoever runs the service to delete prices of models that are no longer used.';
  end if;
  perform matrice_private.write_price(project_id, model, same_as, prices, factor, valid_from);
end
$$;
comment on function matrice_private.write_price_as_owner is 'Writes a price of a project, for its owners. '
  'SECURITY DEFINER: clients may not write sheets.';

create or replace function matrice.set_price(
  project_id uuid, model text, prices jsonb default null, same_as text default null, factor numeric default 1,
  valid_from timestamptz default now()
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  like_model text;
begin
  perform matrice_private.require_text('model', model);
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_bytes('same_as', same_as, 200);
  perform matrice_private.require_given('factor', factor);
  perform matrice_private.require_given('valid_from', valid_from);
  perform matrice_private.require_time('valid_from', valid_from);
  if not factor between 0 and 1000 then
    raise exception 'factor must be between 0 and 1000'
      using errcode = '22023', detail = format('It is %s.', left(factor::text, 100)), hint = '0.8 is a discount of 20 %.';
  end if;
  if prices is not null and same_as is not null then
    raise exception 'prices and same_as exclude each other'
      using errcode = '22023', hint = 'Pass prices for rates of your own, or same_as for the rates of another model.';
  end if;
  if prices is not null then
    perform matrice_private.require_json('prices', prices, 16384);
    perform matrice_private.require_rates('prices', prices);
  else
    like_model := matrice_private.priced_model(coalesce(same_as, set_price.model));
    if like_model is null then
      raise exception 'no price is known for the model that it should cost the same as'
        using errcode = '22023', detail = matrice_private.unpriced_note(coalesce(same_as, set_price.model), null),
              hint = 'Pass a model that price_of knows as same_as, or pass prices.';
    end if;
  end if;
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.project_prices') then
    perform matrice_private.write_price_as_owner(project_id, set_price.model, like_model, prices, factor, valid_from);
  else
    perform matrice_private.write_price(project_id, set_price.model, like_model, prices, factor, valid_from);
  end if;
end
$$;
comment on function matrice.set_price is
  'Sets what a model costs in a project, for a deployment of its own or a contract. It comes before the prices that all '
  'projects share. Earlier calls keep their cost. Only owners of the project may call it. model: the name of the model, as '
  'the project''s calls have it. prices: US dollars per million of each unit, such as {"input": 2.5, "output": 10}; '
  '"input>200000" is the rate above 200,000 input tokens, "input:batch" the rate in a batch; {} means that no price is known '
  'from then on. same_as: the model whose prices hold instead; left out with prices, it is the model itself. factor: the cost '
  'is multiplied by it; 0.8 is a discount of 20 %. valid_from: the price holds for calls from then on. Defaults: prices null, '
  'same_as null, factor 1, valid_from now().';

create or replace function matrice_private.catalogue_rates(model text, priced_at timestamptz)
returns table (service_tier text, above_input_tokens integer, unit text, usd_per_million numeric, valid_from timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select s.service_tier, s.above_input_tokens, r.key, r.value::numeric, s.valid_from
    from matrice_private.price_sheets s, jsonb_each_text(s.rates) r
   where s.model = catalogue_rates.model
     and s.valid_from = (select max(t.valid_from) from matrice_private.price_sheets t
                          where t.model = catalogue_rates.model and t.valid_from <= priced_at);
end
$$;
comment on function matrice_private.catalogue_rates is 'Returns the rates of a model of model_prices at a time. '
  'SECURITY DEFINER: no client may read the prepared prices, which are those of model_prices.';

create or replace function matrice.price_of(
  model text, priced_at timestamptz default now(), project_id uuid default null, provider text default null
) returns table (
  source text, model_priced text, service_tier text, above_input_tokens integer, unit text, usd_per_million numeric,
  is_listed boolean, valid_from timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  own record;
begin
  perform matrice_private.require_text('model', model);
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_bytes('provider', provider, 200);
  perform matrice_private.require_given('priced_at', priced_at);
  perform matrice_private.require_time('priced_at', priced_at);
  if project_id is not null then
    perform matrice_private.require_role(project_id, 'viewer');
  end if;
  own := matrice_private.own_price(project_id, model, jsonb_build_object('provider', provider), priced_at);
  if own.sheets is not null then
    return query
    select 'project', price_of.model, s.service_tier, s.above_input_tokens, r.key, trim_scale(r.value::numeric * own.factor),
           own.prices ? concat(r.key, '>' || nullif(s.above_input_tokens, 0), ':' || nullif(s.service_tier, 'standard')),
           own.valid_from
      from jsonb_to_recordset(own.sheets) s (service_tier text, above_input_tokens integer, rates jsonb),
           jsonb_each_text(s.rates) r
     order by 3, 4, 5;
    return;
  end if;
  source := case when own.factor is null then 'catalogue' else 'project' end;
  model_priced := coalesce(own.same_as, matrice_private.priced_model(model, nullif(btrim(provider), '')));
  return query
  select price_of.source, price_of.model_priced, c.service_tier, c.above_input_tokens, c.unit,
         trim_scale(c.usd_per_million * coalesce(own.factor, 1)),
         (select p.usd_per_million
            from matrice.model_prices p
           where p.model = price_of.model_priced and p.unit = c.unit and p.service_tier = c.service_tier
             and p.above_input_tokens = c.above_input_tokens and p.valid_from <= priced_at
           order by p.valid_from desc
           limit 1) is not null,
         nullif(greatest(c.valid_from, own.valid_from), '-infinity')
    from matrice_private.catalogue_rates(price_of.model_priced, priced_at) c
   order by 3, 4, 5;
end
$$;
comment on function matrice.price_of is
  'Returns the rates at which calls of a model are billed, and where they come from; no rows if no price is known. source: '
  'project for a price of set_price, else catalogue. model_priced: the model in model_prices that the name means. is_listed: '
  'false for a rate that the price list does not have, and that is derived from its other rates. valid_from: null for the '
  'first rates of a model. priced_at: the rates of '
  'this time. project_id: a project whose own prices come first. provider: who sells the model, if the name does not say. '
  'Defaults: priced_at now(), project_id null, provider null.';
