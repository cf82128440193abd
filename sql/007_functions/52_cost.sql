-- The cost of a call, calculated from its tokens and from the usage that its API or a library reports.

create or replace function matrice_private.read_usage(usage jsonb, tokens_input bigint, tokens_output bigint) returns jsonb
language plpgsql immutable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._read_usage(usage, tokens_input, tokens_output);
end
$$;
comment on function matrice_private.read_usage is
  'Reads usage in any shape that is known. Returns tokens_input, tokens_output, counts by the unit of a price, options, '
  'provider_cost_usd, notes, and conflict: whether the counts cannot be priced. docs/usage.md lists the shapes. '
  'SECURITY DEFINER: only the owner may execute the function of the engine.';

create or replace function matrice_private.known_usage(given jsonb) returns jsonb
language plpgsql immutable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._known_usage(given);
end
$$;
comment on function matrice_private.known_usage is
  'Returns those values of usage, or of a response, that read_usage reads. SECURITY DEFINER: only the owner may execute the '
  'function of the engine.';

create or replace function matrice_private.require_usage(usage jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_object('usage', usage);
  perform matrice_private.require_json('usage', usage, 16384);
end
$$;
comment on function matrice_private.require_usage is
  'Raises unless usage is a JSON object of an acceptable size and depth.';

create or replace function matrice_private.cost_of_reading(
  project_id uuid, model text, reading jsonb, priced_at timestamptz, out cost_usd numeric, out note text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  notes  text;
  priced record;
begin
  if reading -> 'notes' <> '[]' then
    notes := (select string_agg(n, ' ') from jsonb_array_elements_text(reading -> 'notes') n);
  end if;
  if (reading -> 'conflict')::boolean or model is null then
    null;
  elsif reading ->> 'tokens_input' is null and reading -> 'counts' = '{}' then
    note := 'No tokens are known.';
  else
    -- Assigned, not selected: a query for each step costs more than the price.
    if project_id is null
       or not exists (select from matrice.project_prices p where p.project_id = cost_of_reading.project_id) then
      priced := matrice_private.cost_of_counts(
        model, reading -> 'counts', (reading ->> 'tokens_input')::bigint, reading, priced_at, null);
    else
      priced := matrice_private.cost_in_project(
        project_id, model, reading -> 'counts', (reading ->> 'tokens_input')::bigint, reading, priced_at);
    end if;
    cost_usd := priced.cost_usd;
    note := priced.note;
  end if;
  if notes is not null or note is not null then
    note := nullif(left(concat_ws(' ', notes, nullif(note, '')), 1000), '');
  end if;
end
$$;
comment on function matrice_private.cost_of_reading is
  'Returns the cost of what read_usage has read, and what is to be said of it. The cost is null if sources disagree, if no '
  'tokens are known, or if a price is missing. project_id: whose own prices come first; null: of no project.';

create or replace function matrice_private.cost_of_column(cost_usd numeric) returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when round(cost_usd, 12) between 0 and 99999999.999999999999 then round(cost_usd, 12) end;
end
$$;
comment on function matrice_private.cost_of_column is
  'Returns a calculated cost as the column cost_usd holds it; null if it cannot.';

create or replace function matrice.calculate_cost(
  model text, tokens_input bigint, tokens_output bigint default 0, usage jsonb default '{}', priced_at timestamptz default now()
) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  plain  numeric[] := matrice_private.plain_price(model, usage, tokens_input, tokens_output, priced_at);
  priced record;
begin
  if plain is not null then
    return plain[1];
  end if;
  -- The checks that say what is wrong take longer than the calculation.
  if model is null or priced_at is null
     or not coalesce(usage = '{}' or jsonb_typeof(usage) = 'object' and matrice_private.json_within(usage, 16384), false) then
    perform matrice_private.require_given('model', model);
    perform matrice_private.require_usage(usage);
    perform matrice_private.require_given('priced_at', priced_at);
  end if;
  if tokens_input < 0 or tokens_output < 0 then
    raise exception 'tokens must not be negative'
      using errcode = '22023', detail = format('tokens_input is %s, tokens_output is %s.', tokens_input, tokens_output),
            hint = 'Pass null if you do not know them.';
  end if;
  -- Counts above this are not exact.
  if greatest(tokens_input, tokens_output) > 1000000000000000 then
    raise exception 'tokens must be at most 10^15'
      using errcode = '22023', detail = format('tokens_input is %s, tokens_output is %s.', tokens_input, tokens_output),
            hint = 'Add up the costs of several calls.';
  end if;
  priced := matrice_private.cost_of_reading(
    null, model, matrice_private.read_usage(usage, tokens_input, tokens_output), priced_at);
  return priced.cost_usd;
end
$$;
comment on function matrice.calculate_cost is
  'Calculates the exact cost of a call in US dollars. Returns null if the model, or a unit that the call used, has no '
  'price, if no tokens are known, or if two sources disagree about them. usage: what the API of a model, or a library, '
  'reports, unchanged: OpenAI, Anthropic, Gemini, Bedrock, Mistral, DeepSeek, xAI, Cohere, OpenRouter, the Vercel AI SDK, '
  'LangChain, LiteLLM, OpenTelemetry. Or matrice''s own keys: cached_tokens, cache_write_tokens, cache_write_5m_tokens, '
  'cache_write_1h_tokens, cache_write_12h_tokens, input_audio_tokens, input_image_tokens, reasoning_tokens, '
  'output_audio_tokens, output_image_tokens, service_tier, inference_geo, data_residency, speed, provider. Tokens under keys '
  'that are not known make the cost null. tokens_input, tokens_output: if null or 0, they are taken from usage. tokens_input '
  'includes cached, cache-written and audio tokens; tokens_output includes reasoning and audio tokens. cache_write_tokens '
  'includes the tokens cached for 5 minutes, 1 hour and 12 hours. priced_at: the prices of this time are used. Defaults: '
  'tokens_output 0, usage ''{}'', priced_at now().';
