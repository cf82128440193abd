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

create or replace function matrice_private.bounded_usage(usage jsonb) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  known jsonb;
begin
  if jsonb_typeof(usage) = 'object' and matrice_private.json_within(usage, 16384) then
    return usage;
  end if;
  known := matrice_private.known_usage(usage);
  return case when matrice_private.json_within(known, 16384) then known else '{"tokens_left_out": 1}' end;
end
$$;
comment on function matrice_private.bounded_usage is
  'Returns usage if it is an object that fits into its column, else what is known of it.';

create or replace function matrice_private.reading_of_step(
  usage jsonb, tokens_input integer, tokens_output integer, old_usage jsonb, old_input integer, old_output integer
) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  known   jsonb := matrice_private.bounded_usage(coalesce(usage, '{}'));
  before  jsonb;
  reading jsonb;
begin
  -- Tokens that were taken from the old usage give way to those of the new one.
  if old_usage <> usage then
    before := matrice_private.read_usage(old_usage, null, null);
    if tokens_input = old_input and old_input = (before ->> 'tokens_input')::numeric then
      tokens_input := null;
    end if;
    if tokens_output = old_output and old_output = (before ->> 'tokens_output')::numeric then
      tokens_output := null;
    end if;
  end if;
  reading := matrice_private.read_usage(known, nullif(tokens_input, 0), nullif(tokens_output, 0));
  if known <> usage then
    reading := jsonb_insert(reading, '{notes,0}', to_jsonb(text 'usage was cut to what is known of it.'));
  end if;
  -- The column cannot hold more.
  if greatest((reading ->> 'tokens_input')::numeric, (reading ->> 'tokens_output')::numeric) > 1000000000 then
    reading := jsonb_insert(reading || '{"conflict": true, "tokens_input": null, "tokens_output": null}', '{notes,0}',
                            to_jsonb(text 'usage says more than 1000000000 tokens.'));
  end if;
  return reading || jsonb_build_object('usage', known);
end
$$;
comment on function matrice_private.reading_of_step is
  'Reads the usage of a step, as read_usage does. A 0 is a number of tokens that the client does not know. old_usage, '
  'old_input, old_output: of the row before an update; else null. Returns usage, too, as far as the column can hold it.';

create or replace function matrice_private.cached_tokens(reading jsonb, tokens_input integer) returns integer
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return least(coalesce((reading #>> '{counts,cache_read}')::numeric, 0)
               + coalesce((reading #>> '{counts,cache_read_audio}')::numeric, 0), tokens_input);
end
$$;
comment on function matrice_private.cached_tokens is
  'Returns how many of the input tokens were read from a cache, as read_usage has read it.';

create or replace function matrice_private.price_step() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  reading    jsonb;
  priced     record;
  calculated numeric;
begin
  if new.corrects is not null then
    if row_security_active(tg_relid) then
      raise exception 'corrections are made by correct_step'
        using errcode = '42501', detail = 'A row with corrects takes something away from another one.',
              hint = 'Call matrice.correct_step.';
    end if;
    return new;
  end if;
  -- What a step has cost is history. Who imports or restores it knows more than the prices of this database.
  if tg_op = 'INSERT' and num_nonnulls(new.cost_source, new.cost_note) > 0 and not row_security_active(tg_relid) then
    return new;
  end if;
  if tg_op = 'UPDATE'
     and (new.cost_usd, new.model, new.tokens_input, new.tokens_output, new.usage, new.executed_at, new.status = 'running')
     is not distinct from (old.cost_usd, old.model, old.tokens_input, old.tokens_output, old.usage, old.executed_at,
                           old.status = 'running') then
    new.cost_source := old.cost_source;
    new.cost_note := old.cost_note;
    new.cached_tokens := old.cached_tokens;
    return new;
  end if;
  reading := matrice_private.reading_of_step(new.usage, new.tokens_input, new.tokens_output,
                                             case tg_op when 'UPDATE' then old.usage end,
                                             case tg_op when 'UPDATE' then old.tokens_input end,
                                             case tg_op when 'UPDATE' then old.tokens_output end);
  new.usage := reading -> 'usage';
  new.tokens_input := coalesce((reading ->> 'tokens_input')::integer, new.tokens_input, 0);
  new.tokens_output := coalesce((reading ->> 'tokens_output')::integer, new.tokens_output, 0);
  new.cached_tokens := case when reading -> 'counts' ?| '{cache_read,cache_read_audio}'
                            then matrice_private.cached_tokens(reading, new.tokens_input) else 0 end;
  if new.model is null and octet_length(reading ->> 'model') <= 200 then
    new.model := reading ->> 'model';
  end if;
  if (reading ->> 'provider_cost_usd')::numeric < 100000000 then
    new.provider_cost_usd := round((reading ->> 'provider_cost_usd')::numeric, 12);
  end if;
  priced := matrice_private.cost_of_reading(new.project_id, new.model, reading, new.executed_at);
  calculated := matrice_private.cost_of_column(priced.cost_usd);
  new.cost_note := priced.note;
  -- A calculated cost is calculated again when a value changes that it depends on. A restore inserts steps with their
  -- cost_source: a cost stays "calculated" if the same cost is calculated again.
  if new.cost_usd is null or (tg_op = 'UPDATE' and old.cost_source = 'calculated' and new.cost_usd = old.cost_usd) then
    new.cost_usd := calculated;
  end if;
  -- A step that still runs has no end to pay for.
  if new.status = 'running' then
    new.cost_usd := null;
  end if;
  new.cost_source := case when new.cost_usd = calculated then 'calculated' when new.cost_usd is not null then 'provided' end;
  return new;
end
$$;
comment on function matrice_private.price_step is
  'Takes the tokens of a step, and the model, from its usage where the client gives none. Calculates the cost if the client '
  'gives none. Sets cached_tokens, cost_source to calculated or provided, and cost_note to why the cost is not known. It never '
  'refuses a step for its usage. A step that still runs has no cost. Only correct_step writes corrections.';

create or replace trigger price_step
before insert or update of cost_usd, cost_source, cost_note, model, tokens_input, tokens_output, cached_tokens, usage,
  executed_at, status, corrects
on matrice.workflow_steps
for each row execute function matrice_private.price_step();

create or replace function matrice_private.is_unpriced(
  cost_usd numeric, cost_source text, status text, model text, tokens integer
) returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select cost_usd is null and status not in ('skipped', 'running') and coalesce(cost_source, '') <> 'correction'
     and (tokens > 0 or coalesce(model <> '' and status = 'success', false));
end;
comment on function matrice_private.is_unpriced is
  'Returns whether a step has cost something that nobody knows. A call that failed before it used tokens has not.';

create or replace function matrice.calculate_cost(
  model text, tokens_input bigint, tokens_output bigint default 0, usage jsonb default '{}', priced_at timestamptz default now()
) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  priced record;
begin
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
