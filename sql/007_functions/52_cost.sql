-- The cost of a call, calculated from its tokens and its usage object.

create or replace function matrice_private.price_step() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  calculated numeric;
begin
  if tg_op = 'UPDATE' and (new.cost_usd, new.model, new.tokens_input, new.tokens_output, new.usage, new.executed_at)
     is not distinct from (old.cost_usd, old.model, old.tokens_input, old.tokens_output, old.usage, old.executed_at) then
    new.cost_source := old.cost_source;
    return new;
  end if;
  -- A restore inserts steps with their cost_source. A cost stays "calculated" if the same cost is calculated again.
  if new.model is not null and (new.cost_usd is null or new.cost_source = 'calculated') then
    calculated := matrice_private.cost_if_known(new.model, new.tokens_input, new.tokens_output, new.usage, new.executed_at);
  end if;
  -- A calculated cost is calculated again when a value changes that it depends on.
  if new.cost_usd is null or (tg_op = 'UPDATE' and old.cost_source = 'calculated' and new.cost_usd = old.cost_usd) then
    new.cost_usd := calculated;
  end if;
  new.cost_source := case when new.cost_usd = calculated then 'calculated' when new.cost_usd is not null then 'provided' end;
  return new;
end
$$;
comment on function matrice_private.price_step is
  'Calculates the cost of a step if the client gives none. Sets cost_source to calculated or provided.';

create or replace trigger price_step
before insert or update of cost_usd, cost_source, model, tokens_input, tokens_output, usage, executed_at on matrice.workflow_steps
for each row execute function matrice_private.price_step();

create or replace function matrice_private.usage_keys() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['cached_tokens', 'cache_write_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens', 'input_audio_tokens',
               'reasoning_tokens', 'output_audio_tokens', 'service_tier', 'inference_geo', 'data_residency', 'speed'];
end;
comment on function matrice_private.usage_keys is 'Returns the keys of usage that the cost of a call depends on.';

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

create or replace function matrice_private.unknown_usage(usage jsonb) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if usage = '{}' then
    return null;
  end if;
  return (
    select left(string_agg(u.key, ', ' order by u.key), 200)
      from jsonb_each(usage) u
     where u.key <> all (matrice_private.usage_keys())
       and jsonb_path_exists(jsonb_build_object(u.key, u.value),
             '$.**{0 to 4} ? (@.type() == "object").keyvalue() ? (@.key like_regex "token" flag "i"
                && (@.value.type() == "string" || @.value.type() == "number" && @.value != 0))')
  );
end
$$;
comment on function matrice_private.unknown_usage is
  'Returns the keys of usage that count tokens but have no known price, such as the keys of a vendor''s own format. '
  'Returns null if there are none.';

create or replace function matrice_private.usage_tokens(usage jsonb, key text) returns bigint
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  tokens numeric;
begin
  if usage -> key is null or usage -> key = 'null' then
    return 0;
  end if;
  tokens := case jsonb_typeof(usage -> key) when 'number' then (usage ->> key)::numeric end;
  -- The limit keeps sums of these numbers within bigint.
  if tokens is null or not tokens between 0 and 1e15 or tokens % 1 <> 0 then
    raise exception 'usage.% must be a number of tokens', key
      using errcode = '22023', detail = format('It is %s.', left((usage -> key)::text, 100)),
            hint = 'Pass a whole number from 0 to 1e15, without quotes.';
  end if;
  return tokens::bigint;
end
$$;
comment on function matrice_private.usage_tokens is 'Returns a number of tokens from usage; 0 if the key is missing.';

create or replace function matrice_private.usage_choice(usage jsonb, key text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(jsonb_typeof(usage -> key), 'null') not in ('string', 'null') then
    raise exception 'usage.% must be a JSON string', key
      using errcode = '22023', detail = format('It is %s.', left((usage -> key)::text, 100)),
            hint = 'Leave the key out if it has no value.';
  end if;
  return lower(btrim(usage ->> key));
end
$$;
comment on function matrice_private.usage_choice is
  'Returns a tier, place or speed from usage in lower case; null if the key is missing.';

create or replace function matrice.calculate_cost(
  model text, tokens_input bigint, tokens_output bigint default 0, usage jsonb default '{}', priced_at timestamptz default now()
) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  cached     bigint;
  written_1h bigint;
  written    bigint;
  heard      bigint;
  reasoned   bigint;
  spoken     bigint;
begin
  perform matrice_private.require_given('model', model);
  perform matrice_private.require_given('tokens_input', tokens_input);
  perform matrice_private.require_given('tokens_output', tokens_output);
  perform matrice_private.require_usage(usage);
  perform matrice_private.require_given('priced_at', priced_at);
  if matrice_private.unknown_usage(usage) is not null then
    raise exception 'usage counts tokens under unknown keys'
      using errcode = '22023', detail = format('Unknown keys: %s.', matrice_private.unknown_usage(usage)),
            hint = format('Known keys: %s.', array_to_string(matrice_private.usage_keys(), ', '));
  end if;
  cached     := matrice_private.usage_tokens(usage, 'cached_tokens');
  written_1h := matrice_private.usage_tokens(usage, 'cache_write_1h_tokens');
  written    := greatest(matrice_private.usage_tokens(usage, 'cache_write_tokens'),
                         matrice_private.usage_tokens(usage, 'cache_write_5m_tokens') + written_1h);
  heard      := matrice_private.usage_tokens(usage, 'input_audio_tokens');
  reasoned   := matrice_private.usage_tokens(usage, 'reasoning_tokens');
  spoken     := matrice_private.usage_tokens(usage, 'output_audio_tokens');
  if tokens_input < 0 or tokens_output < 0 then
    raise exception 'tokens must not be negative'
      using errcode = '22023', detail = format('tokens_input is %s, tokens_output is %s.', tokens_input, tokens_output),
            hint = 'Pass 0 if there are none.';
  end if;
  if cached::numeric + written + heard > tokens_input or reasoned::numeric + spoken > tokens_output then
    raise exception 'usage has more tokens than tokens_input or tokens_output'
      using errcode = '22023',
            detail = format('usage has %s input tokens, tokens_input is %s; usage has %s output tokens, tokens_output is %s.',
                            cached::numeric + written + heard, tokens_input, reasoned::numeric + spoken, tokens_output),
            hint = 'tokens_input includes cached, cache-written and audio tokens; '
                   'tokens_output includes reasoning and audio tokens. '
                   'Anthropic''s input_tokens does not include cached and cache-written tokens: add them.';
  end if;

  perform matrice_private.usage_choice(usage, key)
     from unnest('{service_tier,inference_geo,data_residency,speed}'::text[]) key;
  return (
    select c.cost_usd
      from matrice_private.cost_of_counts(
             model,
             jsonb_build_object('input', tokens_input - cached - written - heard, 'cache_read', cached, 'cache_write', written - written_1h,
                                'cache_write_1h', written_1h, 'input_audio', heard, 'output', tokens_output - reasoned - spoken,
                                'reasoning', reasoned, 'output_audio', spoken),
             tokens_input, usage, priced_at) c);
end
$$;
comment on function matrice.calculate_cost is
  'Calculates the exact cost of a call in US dollars. Returns null if the model, or a unit that the call used, has no '
  'price. tokens_input: includes cached, cache-written and audio tokens. tokens_output: includes reasoning and audio '
  'tokens. usage: a JSON object with the keys cached_tokens, cache_write_tokens, cache_write_5m_tokens, '
  'cache_write_1h_tokens, input_audio_tokens, reasoning_tokens, output_audio_tokens, service_tier, inference_geo, '
  'data_residency and speed. cache_write_tokens includes the tokens of cache_write_5m_tokens and '
  'cache_write_1h_tokens. Numbers of tokens under other keys are refused. priced_at: the prices of this time are '
  'used. Defaults: tokens_output 0, usage ''{}'', priced_at now().';

create or replace function matrice_private.cost_if_known(
  model text, tokens_input integer, tokens_output integer, usage jsonb, priced_at timestamptz
) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  cost numeric;
begin
  perform matrice_private.require_usage(usage);
  -- The step keeps its usage, so that its cost can be calculated when the keys are known.
  if matrice_private.unknown_usage(usage) is null then
    cost := round(matrice.calculate_cost(model, tokens_input, tokens_output, usage, priced_at), 12);
  end if;
  return case when cost between 0 and 99999999.999999999999 then cost end;
end
$$;
comment on function matrice_private.cost_if_known is
  'Calls calculate_cost for a step. Returns null also if usage counts tokens under unknown keys, or if the column '
  'cannot hold the cost.';
