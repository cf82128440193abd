-- Prices of models: the rate for a model, unit, service tier and time.

-- Other check constraints list the allowed values in their names. There are too many units for that, so a trigger lists them.
create or replace function matrice_private.refuse_unit() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'unknown unit: %', quote_literal(left(new.unit, 100))
    using errcode = '23514', hint = format('Use one of %s.', array_to_string(matrice_private.price_units(), ', '));
end
$$;
comment on function matrice_private.refuse_unit is
  'Refuses a price for an unknown unit. The error lists the known units.';

create or replace trigger refuse_unit before insert or update of unit on matrice.model_prices
for each row when (new.unit <> all (matrice_private.price_units())) execute function matrice_private.refuse_unit();

create or replace function matrice_private.load_price_catalogue() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  catalogue jsonb := matrice._price_catalogue()::jsonb;
begin
  insert into matrice.model_price_windows (model, iso_weekdays, from_utc, until_utc)
  select w ->> 0, array(select jsonb_array_elements_text(w -> 1)::integer), (w ->> 2)::time, (w ->> 3)::time
    from jsonb_array_elements(catalogue -> 'windows') w
  on conflict do nothing;

  insert into matrice.model_price_multipliers (model, kind, value, factor)
  select m ->> 0, m ->> 1, m ->> 2, (m ->> 3)::numeric
    from jsonb_array_elements(catalogue -> 'multipliers') m
  on conflict do nothing;

  -- A rate that changed since it was loaded becomes a new row, valid from now on.
  insert into matrice.model_prices (model, provider, unit, service_tier, above_input_tokens, usd_per_million, valid_from)
  select r ->> 0, r ->> 1, r ->> 2, r ->> 3, (r ->> 4)::integer, (r ->> 5)::numeric,
         case when last.usd_per_million is null then '-infinity' else now() end
    from jsonb_array_elements(catalogue -> 'rates') r
    left join lateral (
      select p.usd_per_million
        from matrice.model_prices p
       where (p.model, p.unit, p.service_tier, p.above_input_tokens) = (r ->> 0, r ->> 2, r ->> 3, (r ->> 4)::integer)
       order by p.valid_from desc
       limit 1
    ) last on true
   where last.usd_per_million is distinct from (r ->> 5)::numeric
  on conflict do nothing;
end
$$;
comment on function matrice_private.load_price_catalogue is
  'Loads the price catalogue of the installed version into model_prices, model_price_windows and '
  'model_price_multipliers. A changed rate is added as a new row that is valid from now on. Earlier rates stay.';

-- Only if there are no prices yet. After an upgrade, the owner decides when to load the prices of the new version.
do $$
begin
  if not exists (select from matrice.model_prices) then
    perform matrice_private.load_price_catalogue();
  end if;
end
$$;

create or replace function matrice_private.priced_model(model text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Looks for the name itself; then for the name without its provider; then for the only model of that name with a provider.
  select coalesce(
    (select p.model from matrice.model_prices p where p.model = priced_model.model limit 1),
    (select p.model from matrice.model_prices p
      where p.model = split_part(priced_model.model, '/', 2) and p.provider = split_part(priced_model.model, '/', 1) limit 1),
    (select min(p.model) from matrice.model_prices p
      where split_part(p.model, '/', 2) = priced_model.model and priced_model.model <> ''
     having count(distinct p.model) = 1)
  );
end;
comment on function matrice_private.priced_model is
  'Returns the name under which the prices of a model are stored, or null. A name that is only similar is not '
  'accepted.';

create or replace function matrice_private.service_tier(model text, usage jsonb, priced_at timestamptz) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  asked text := coalesce(nullif(matrice_private.usage_choice(usage, 'service_tier'), ''), 'standard');
  tier text := case asked when 'fast' then 'priority' when 'batches' then 'batch' else asked end;
  utc timestamp := priced_at at time zone 'UTC';
begin
  if tier in ('default', 'auto', 'standard') and exists (
    select from matrice.model_price_windows w
     where w.model = service_tier.model
       and extract(isodow from utc)::integer = any (w.iso_weekdays)
       and utc::time >= w.from_utc and utc::time < w.until_utc
  ) then
    return 'off_peak';
  end if;
  -- If the model has no price for the tier, the request is billed as standard.
  if exists (select from matrice.model_prices p where p.model = service_tier.model and p.service_tier = tier) then
    return tier;
  end if;
  return 'standard';
end
$$;
comment on function matrice_private.service_tier is
  'Returns the service tier at which a request is billed: the tier that usage asks for, if the model has prices for '
  'it; else standard. A request that asks for no special tier is billed as off_peak in the model''s off-peak hours.';

create or replace function matrice_private.rates(model text, tier text, tokens_input bigint, priced_at timestamptz)
returns table (unit text, service_tier text, usd_per_million numeric)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Chooses per unit, in this order: the highest threshold that the request exceeds; the tier's own rate rather than the standard
  -- one; the latest rate.
  select distinct on (p.unit) p.unit, p.service_tier, p.usd_per_million
    from matrice.model_prices p
   where p.model = rates.model
     and p.service_tier in (tier, 'standard')
     and (p.above_input_tokens = 0 or p.above_input_tokens < tokens_input)
     and p.valid_from <= priced_at
   order by p.unit, p.above_input_tokens desc, (p.service_tier = tier) desc, p.valid_from desc;
end;
comment on function matrice_private.rates is 'Returns the rates at which a request is billed, one per unit.';
