-- Names of models: which row of the prices a name means, as people and SDKs write it.

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
  'Returns the model of model_prices that a name means, or null. The argument provider or the name''s beginning says who '
  'sells it. If neither does, its maker sells it. A name that is only similar is not accepted. SECURITY DEFINER: no client '
  'may read the prepared prices, which are those of model_prices.';

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
