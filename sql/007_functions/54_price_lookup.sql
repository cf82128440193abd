-- The price of a call: which tier is billed, and what the counts of the call cost.

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
  -- Another speed costs several times as much. A region without a surcharge costs what the others do.
  if lower(btrim(options ->> 'speed')) not in ('', 'standard') and not exists (
    select from matrice.model_price_multipliers m
     where m.model = surcharge.model and m.kind = 'speed' and m.value = lower(btrim(options ->> 'speed'))) then
    return null;
  end if;
  return product;
end
$$;
comment on function matrice_private.surcharge is
  'Returns the product of the surcharges that apply to a call. Null if nobody knows what the model costs at that speed.';

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
  found    text[];
  resolved boolean := false;
  cheaper  boolean := false;
  rates    jsonb;
  units    jsonb := jsonb_path_query_array(counts, '$.keyvalue().key');
  unit     text;
  rate     numeric;
  unpriced text;
begin
  -- This runs for every step that is recorded: one lookup, and no query for the sum. What is rare is done elsewhere.
  if options ?| '{service_tier,provider}' then
    provider := nullif(btrim(options ->> 'provider'), '');
    tier := matrice_private.billed_tier(options ->> 'service_tier');
    if provider is not null and sheets is null then
      found := matrice._find_model(model, provider, true);
      priced := found[1];
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
    found := matrice._find_model(model, null, false);
    priced := found[1];
    resolved := true;
  end loop;
  if rates is null and sheets is null then
    note := matrice_private.unpriced_note(model, provider);
    return;
  end if;
  if tier <> 'standard' or cheaper or sheets is not null then
    if sheets is null then
      select r.billed, r.rates into billed, rates
        from matrice_private.rates_of_tier(priced, tier, cheaper, tokens_input, priced_at) r;
    else
      select r.billed, r.rates into billed, rates from matrice_private.rates_of_sheets(sheets, tier, tokens_input) r;
    end if;
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
    rate := (rates ->> unit)::numeric;
    if rate is not null then
      cost_usd := cost_usd + rate * (counts ->> unit)::numeric;
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
  if found[2] is not null then
    note := concat_ws(' ', note, format('This %s has no price of its own: that of %s is used.', found[2], priced));
  end if;
  if counts -> 'web_search' is null and matrice._has_request_fee(priced) then
    note := concat_ws(' ', note, format('%s also has a fee for each request, which is not in the cost.', priced));
  end if;
  if options ?| '{inference_geo,data_residency,speed}' and sheets is null then
    cost_usd := trim_scale(cost_usd * matrice_private.surcharge(priced, options));
    if cost_usd is null then
      note := concat_ws(' ', note, format('%s has no price for the speed %s.', priced, to_json(left(options ->> 'speed', 100))));
    end if;
  end if;
end
$$;
comment on function matrice_private.cost_of_counts is
  'Returns the exact cost of a call in US dollars, and a note. The cost is null, and the note says why, if the model or a '
  'unit that was used has no price. The note also says if another price was used than the call asked for. model: the name of '
  'the model, as people have it. counts: how many of each price unit were used; each token is counted once. tokens_input: all '
  'tokens of the input, which thresholds are compared with. options: service_tier, inference_geo, data_residency, speed and '
  'provider, if the call has them. sheets: the rates of a project''s own price, instead of those of the model. SECURITY '
  'DEFINER: no client may read the prepared prices, which are those of model_prices.';

create or replace function matrice_private.plain_price(
  model text, usage jsonb, tokens_input bigint, tokens_output bigint, priced_at timestamptz
) returns numeric[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._plain_price(null, model, usage, tokens_input, tokens_output, priced_at);
end
$$;
comment on function matrice_private.plain_price is
  'Prices what nearly all calls are, in the engine: known tokens, and nothing to say about them or the price, in the standard '
  'tier. Returns the cost, the input tokens, the output tokens and the cached '
  'tokens; null for all other calls, which cost_of_reading prices. Where both have an answer, it is the same. SECURITY DEFINER: '
  'only the owner may execute the function of the engine, and no client may read the prepared prices.';
