-- The price catalogue, and how newer prices are loaded.

create or replace function matrice_private.rates_of_catalogue(catalogue jsonb)
returns table (model text, provider text, unit text, service_tier text, above_input_tokens integer, usd_per_million numeric)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A rate's key is unit, unit>threshold, unit:tier or unit>threshold:tier.
  return query
  select m.key, m.value ->> 0, split_part(split_part(r.key, ':', 1), '>', 1),
         coalesce(nullif(split_part(r.key, ':', 2), ''), 'standard'),
         coalesce(nullif(split_part(split_part(r.key, ':', 1), '>', 2), ''), '0')::integer, r.value::numeric
    from jsonb_each(catalogue -> 'models') m, jsonb_each_text(m.value -> 1) r;
end
$$;
comment on function matrice_private.rates_of_catalogue is 'Returns the rates of a price catalogue as rows.';

create or replace function matrice_private.wrong_rate(rates jsonb) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select to_json(left(r.key, 100)) || ': ' || left(r.value::text, 100)
      from jsonb_each(rates) r
     where r.key !~ '^[a-z_0-9]{1,50}(>[1-9][0-9]{0,8})?(:[a-z_0-9-]{1,50})?$'
        or case jsonb_typeof(r.value) when 'number' then not r.value::numeric between 0 and 1e9 else true end
     limit 1);
end
$$;
comment on function matrice_private.wrong_rate is 'Returns the first of some rates that is none; null if all are good.';

create or replace function matrice_private.require_rates(argument text, rates jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong text;
begin
  perform matrice_private.require_object(argument, rates);
  wrong := matrice_private.wrong_rate(rates);
  if wrong is not null then
    raise exception '% has something that is no rate', argument
      using errcode = '22023', detail = format('It has %s.', wrong),
            hint = 'A key is unit, unit>threshold, unit:tier or unit>threshold:tier. A value is a number from 0 to 1e9: dollars per '
                   'million.';
  end if;
end
$$;
comment on function matrice_private.require_rates is 'Raises an error unless an argument is an object of rates.';

create or replace function matrice_private.require_catalogue(catalogue jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong text;
begin
  perform matrice_private.require_given('catalogue', catalogue);
  perform matrice_private.require_json('catalogue', catalogue, 16777216);
  if coalesce(jsonb_typeof(catalogue -> 'models') <> 'object', true) then
    wrong := 'It has no object "models".';
  else
    select format('The model is %s. %s', to_json(left(m.key, 100)), w.wrong)
      into wrong
      from jsonb_each(catalogue -> 'models') m,
           lateral (select case when coalesce(jsonb_typeof(m.value -> 0) <> 'string' or jsonb_typeof(m.value -> 1) <> 'object', true)
                                then 'It is not [provider, rates].'
                                else 'It has ' || matrice_private.wrong_rate(m.value -> 1) || '.' end as wrong) w
     where w.wrong is not null
     limit 1;
  end if;
  if wrong is not null then
    raise exception 'catalogue is not a price catalogue'
      using errcode = '22023', detail = wrong,
            hint = 'Pass what scripts/update-prices.py writes: '
                   '{"models": {"name": ["provider", {"input": 2.5, "input>200000:batch": 2.5}]}}.';
  end if;
end
$$;
comment on function matrice_private.require_catalogue is 'Raises an error unless a document is a price catalogue.';

create or replace function matrice_private.load_catalogue(catalogue jsonb, valid_from timestamptz) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  changed integer;
begin
  -- Hours and surcharges have no history.
  if catalogue ? 'windows' then
    delete from matrice.model_price_windows w where catalogue -> 'models' ? w.model;
    insert into matrice.model_price_windows (model, iso_weekdays, from_utc, until_utc)
    select w ->> 0, array(select jsonb_array_elements_text(w -> 1)::integer), (w ->> 2)::time, (w ->> 3)::time
      from jsonb_array_elements(catalogue -> 'windows') w
    on conflict do nothing;
  end if;
  if catalogue ? 'multipliers' then
    delete from matrice.model_price_multipliers m where catalogue -> 'models' ? m.model;
    insert into matrice.model_price_multipliers (model, kind, value, factor)
    select m ->> 0, m ->> 1, m ->> 2, (m ->> 3)::numeric
      from jsonb_array_elements(catalogue -> 'multipliers') m
    on conflict do nothing;
  end if;

  -- A rate that changed becomes a new row. One that a model of the catalogue no longer has ends by a row without a price. A model
  -- that the catalogue does not have keeps its prices.
  with listed as (
    select * from matrice_private.rates_of_catalogue(catalogue)
  ), latest as (
    select distinct on (p.model, p.unit, p.service_tier, p.above_input_tokens) p.*
      from matrice.model_prices p
     where p.model in (select l.model from listed l)
     order by p.model, p.unit, p.service_tier, p.above_input_tokens, p.valid_from desc
  )
  insert into matrice.model_prices (model, provider, unit, service_tier, above_input_tokens, usd_per_million, valid_from)
  select model, coalesce(l.provider, t.provider), unit, service_tier, above_input_tokens, l.usd_per_million,
         case when t.valid_from is null then '-infinity' else load_catalogue.valid_from end
    from listed l
    full join latest t using (model, unit, service_tier, above_input_tokens)
   where l.usd_per_million is distinct from t.usd_per_million or t.valid_from is null
  on conflict on constraint model_prices_pkey do update set usd_per_million = excluded.usd_per_million;
  get diagnostics changed = row_count;
  return changed;
end
$$;
comment on function matrice_private.load_catalogue is 'Does what load_prices does, without checks.';

create or replace function matrice.load_prices(catalogue jsonb, valid_from timestamptz default now()) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_catalogue(catalogue);
  perform matrice_private.require_given('valid_from', valid_from);
  perform matrice_private.require_time('valid_from', valid_from);
  if row_security_active('matrice.model_prices') then
    raise exception 'only services may load prices'
      using errcode = '42501', detail = 'All projects share these prices.',
            hint = 'Call it as service_role. set_price sets the prices of one project.';
  end if;
  return matrice_private.load_catalogue(catalogue, valid_from);
end
$$;
comment on function matrice.load_prices is
  'Loads a price catalogue and returns how many rates are new or have changed. The earlier rates keep their time, so '
  'the cost of earlier calls does not change; models that the catalogue no longer has keep their prices. Off-peak hours '
  'and surcharges are replaced. Only services may call it. catalogue: what scripts/update-prices.py makes from '
  'LiteLLM''s price map. valid_from: changed rates apply from then on. Defaults: valid_from now().';

create or replace function matrice_private.load_price_catalogue() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.load_catalogue(matrice._price_catalogue()::jsonb, now());
end
$$;
comment on function matrice_private.load_price_catalogue is
  'Loads the price catalogue of the installed version, as load_prices does.';

-- Only if there are no prices yet. After an upgrade, the owner decides when to load the prices of the new version.
do $$
begin
  if not exists (select from matrice.model_prices) then
    perform matrice_private.load_price_catalogue();
  end if;
end
$$;
