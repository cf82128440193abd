-- Prices of a project, and what a model costs.

create or replace function matrice_private.own_price(
  project_id uuid, model text, options jsonb, priced_at timestamptz,
  out same_as text, out factor numeric, out prices jsonb, out sheets jsonb, out valid_from timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  named text := model;
begin
  if not exists (select from matrice.project_prices p where p.project_id = own_price.project_id) then
    return;
  end if;
  -- The name as the call has it, then the model that it means: a discount for gpt-4o holds for openai/gpt-4o, too.
  for turn in 1 .. 2 loop
    select p.same_as, p.factor, p.prices, p.sheets, p.valid_from
      into same_as, factor, prices, sheets, valid_from
      from matrice.project_prices p
     where p.project_id = own_price.project_id and p.model = named and p.valid_from <= priced_at
     order by p.valid_from desc
     limit 1;
    exit when found or turn = 2;
    named := matrice_private.priced_model(model, nullif(btrim(options ->> 'provider'), ''));
    exit when named is null or named = model;
  end loop;
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
  own    record;
  priced record;
begin
  own := matrice_private.own_price(project_id, model, options, priced_at);
  priced := matrice_private.cost_of_counts(
    coalesce(own.same_as, model), counts, tokens_input, case when own.same_as is null then options else options - 'provider' end,
    priced_at, case when own.same_as is null then own.sheets end);
  cost_usd := trim_scale(priced.cost_usd * coalesce(own.factor, 1));
  note := priced.note;
end
$$;
comment on function matrice_private.cost_in_project is
  'Does what cost_of_counts does, with the project''s own price if it has set one for the model. project_id: null for none.';

create or replace function matrice_private.prepared_sheets(model text, prices jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  listed matrice.model_prices[];
begin
  if prices is null then
    return null;
  end if;
  perform matrice_private.require_rates('prices', prices);
  select array_agg(jsonb_populate_record(null::matrice.model_prices, to_jsonb(r) || '{"valid_from": "-infinity"}'))
    into listed
    from matrice_private.rates_of_catalogue(
           jsonb_build_object('models', jsonb_build_object(model, jsonb_build_array('', prices)))) r;
  perform matrice_private.require_units(array(select l.unit from unnest(listed) l));
  return coalesce((select jsonb_agg(jsonb_build_object('service_tier', s.service_tier, 'rates', s.rates,
                                                       'above_input_tokens', s.above_input_tokens))
                     from matrice_private.sheets_of(listed) s), '[]');
end
$$;
comment on function matrice_private.prepared_sheets is
  'Returns the sheets of a price of a project; null for one that names another model. Raises if the prices are wrong. For the '
  'owner of the tables, who may read price_units.';

create or replace function matrice_private.write_price(
  project_id uuid, model text, same_as text, prices jsonb, factor numeric, valid_from timestamptz
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  ready jsonb := matrice_private.prepared_sheets(model, prices);
begin
  insert into matrice.project_prices (project_id, model, same_as, prices, factor, sheets, valid_from)
  values (write_price.project_id, write_price.model, write_price.same_as, write_price.prices, write_price.factor, ready,
          write_price.valid_from)
  on conflict on constraint project_prices_pkey do update
    set same_as = excluded.same_as, prices = excluded.prices, factor = excluded.factor, sheets = excluded.sheets;
end
$$;
comment on function matrice_private.write_price is
  'Writes a price of a project and prepares its sheets. It does not check the caller, so users cannot call it directly: it is '
  'for services and write_price_as_owner. SECURITY DEFINER: no client may read price_units.';

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
  'first rates of a model. priced_at: the rates of this time. project_id: a project whose own prices come first. provider: '
  'who sells the model, if the name does not say. Defaults: priced_at now(), project_id null, provider null.';
