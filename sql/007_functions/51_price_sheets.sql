-- Prices of models: what they are for, and how they are prepared for 54_price_lookup.sql.

-- Units --------------------------------------------------------------------------------------------------------------

create or replace function matrice_private.fill_price_units() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The units of tokens are disjoint: a token is counted under one of them.
  insert into matrice_private.price_units (unit, counts, priced_like, in_other_tiers) values
    ('input',            'uncached tokens of text in the input',             null,          'proportional'),
    ('output',           'tokens of text in the output',                     null,          'proportional'),
    ('cache_read',       'input tokens read from a cache',                   'input',       'cheapest'),
    ('cache_write',      'input tokens written to a cache for 5 minutes',    'input',       'proportional'),
    ('cache_write_1h',   'input tokens written to a cache for an hour',      'cache_write', 'proportional'),
    ('cache_write_12h',  'input tokens written to a cache for twelve hours', 'cache_write', 'proportional'),
    ('reasoning',        'tokens of reasoning in the output',                'output',      'proportional'),
    ('input_audio',      'tokens of audio in the input',                     'input',       'proportional'),
    ('output_audio',     'tokens of audio in the output',                    'output',      'proportional'),
    ('cache_read_audio', 'tokens of audio read from a cache',                'cache_read',  'cheapest'),
    ('input_image',      'tokens of images in the input',                    'input',       'proportional'),
    ('output_image',     'tokens of images in the output',                   'output',      'proportional'),
    ('input_video',      'tokens of video in the input',                     'input',       'proportional'),
    ('image',            'images',                                           null,          'proportional'),
    ('second',           'seconds of audio or video',                        null,          'proportional'),
    ('character',        'characters',                                       null,          'proportional'),
    ('page',             'pages of documents',                               null,          'proportional'),
    ('query',            'queries of a search or reranking model',           null,          'proportional'),
    ('web_search',       'calls of the provider''s web search tool',         null,          'standard')
  on conflict (unit) do update
    set counts = excluded.counts, priced_like = excluded.priced_like, in_other_tiers = excluded.in_other_tiers;
end
$$;
comment on function matrice_private.fill_price_units is 'Fills price_units.';

select matrice_private.fill_price_units();

create or replace function matrice_private.require_units(units text[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  unknown text;
begin
  select u
    into unknown
    from unnest(units) u
   where not exists (select from matrice_private.price_units p where p.unit = u)
   limit 1;
  if found then
    raise exception 'unknown unit: %', quote_literal(left(unknown, 100))
      using errcode = '23514',
            hint = (select format('Use one of %s.', string_agg(p.unit, ', ' order by p.unit)) from matrice_private.price_units p);
  end if;
end
$$;
comment on function matrice_private.require_units is
  'Raises an error if a unit is unknown. A foreign key would look each row up, and its error would not list the units.';

-- Names --------------------------------------------------------------------------------------------------------------

create or replace function matrice_private.comparable_name(name text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return translate(lower(btrim(name) collate "C") collate "default", '.@', '--');
comment on function matrice_private.comparable_name is
  'Returns a name as it is compared: in small letters, with a hyphen for a dot and for @. So claude-sonnet-4.5 is '
  'claude-sonnet-4-5, and …@20250929 is …-20250929. The engine does the same, whatever the locale.';

create or replace function matrice_private.name_at_provider(model text, provider text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return matrice_private.comparable_name(
  case when starts_with(model, provider || '/') then substr(model, length(provider) + 2)
       when provider in ('amazon_nova', 'bedrock') then regexp_replace(model, '^(amazon-nova|bedrock_mantle)/', '')
       else model end);
comment on function matrice_private.name_at_provider is
  'Returns the name of a model of model_prices without its provider, as comparable_name spells it.';

-- Sheets -------------------------------------------------------------------------------------------------------------

create or replace function matrice_private.standard_rates(own jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_object_agg(u.unit, r.rate) filter (where r.rate is not null), '{}')
      from matrice_private.price_units u
      left join matrice_private.price_units l on l.unit = u.priced_like,
           lateral (select coalesce(own -> u.unit, own -> u.priced_like, own -> l.priced_like) as rate) r);
end
$$;
comment on function matrice_private.standard_rates is
  'Returns the standard rates of all units that have one. A unit without a price costs what the unit costs that it is '
  'priced like.';

create or replace function matrice_private.tier_rates(tier text, own jsonb, standard jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_object_agg(u.unit, r.rate) filter (where r.rate is not null), '{}')
      from matrice_private.price_units u
      left join matrice_private.price_units l on l.unit = u.priced_like,
           -- The unit that it is priced like, or the next one, for which the tier has a rate.
           lateral (select case when own ? u.priced_like then u.priced_like
                                when own ? l.priced_like then l.priced_like end as unit) o,
           lateral (select (standard ->> u.unit)::numeric as usual, (standard ->> o.unit)::numeric as usual_like,
                           (own ->> o.unit)::numeric as rate_like) s,
           lateral (select case when own ? u.unit then (own ->> u.unit)::numeric
                                when u.in_other_tiers = 'standard' or s.usual = 0 then s.usual
                                when s.usual = s.usual_like then s.rate_like
                                when o.unit is not null and u.in_other_tiers = 'cheapest' then least(s.usual, s.rate_like)
                                when s.usual_like > 0 then trim_scale(round(s.usual * s.rate_like / s.usual_like, 12))
                                -- A batch that the provider has no price for may be half price or full price.
                                when tier <> 'batch' then s.usual end as rate) r);
end
$$;
comment on function matrice_private.tier_rates is
  'Returns the rates of a tier for all units that have one. A rate that the tier lacks is derived as price_units says. '
  'A batch has no rates that cannot be derived; other tiers then have the standard rate.';

create or replace function matrice_private.rates_in_proportion(own jsonb, standard_below jsonb, standard jsonb) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_object_agg(o.key, r.rate) filter (where r.rate is not null), '{}')
      from jsonb_each_text(own) o,
           lateral (select o.value::numeric as rate, (standard_below ->> o.key)::numeric as below,
                           (standard ->> o.key)::numeric as here) s,
           lateral (select case when s.here is not distinct from s.below then s.rate
                                when s.below > 0 then trim_scale(round(s.rate * s.here / s.below, 12)) end as rate) r);
end
$$;
comment on function matrice_private.rates_in_proportion is
  'Returns the rates of a tier above a threshold, from those below it: they rise like the standard rates. A rate is left '
  'out if the standard one rises from 0.';

create or replace function matrice_private.sheets_of(prices matrice.model_prices[])
returns table (service_tier text, valid_from timestamptz, above_input_tokens integer, has_off_peak boolean, rates jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  known    jsonb;
  tiers    text[];
  ladder   integer[];
  usual    jsonb;
  below    jsonb;
  own      jsonb;
  at_level jsonb;
begin
  for valid_from in select distinct p.valid_from from unnest(prices) p loop
    -- The rates at this time, by tier and threshold.
    select coalesce(jsonb_object_agg(g.tier, g.levels), '{}')
      into known
      from (select l.tier, jsonb_object_agg(l.above, l.rates) as levels
              from (select v.service_tier as tier, v.above_input_tokens as above,
                           jsonb_object_agg(v.unit, v.usd_per_million) as rates
                      from (select distinct on (p.unit, p.service_tier, p.above_input_tokens) p.*
                              from unnest(prices) p
                             where p.valid_from <= sheets_of.valid_from
                             order by p.unit, p.service_tier, p.above_input_tokens, p.valid_from desc) v
                     where v.usd_per_million is not null
                     group by 1, 2) l
             group by 1) g;
    tiers := array(select distinct p.service_tier from unnest(prices) p where p.valid_from <= sheets_of.valid_from);
    select array_agg(distinct a.above order by a.above)
      into ladder
      from (select 0 as above union all
            select k.key::integer from jsonb_each(known) t, jsonb_each(t.value) k) a;
    has_off_peak := known ? 'off_peak';
    foreach service_tier in array array['standard'] || array_remove(tiers, 'standard') loop
      usual := '{}';
      own := '{}';
      foreach above_input_tokens in array ladder loop
        at_level := coalesce(known -> service_tier -> above_input_tokens::text, '{}');
        below := usual;
        usual := usual || coalesce(known -> 'standard' -> above_input_tokens::text, '{}');
        own := case when service_tier = 'standard' then usual
                    else matrice_private.rates_in_proportion(own, below, usual) || at_level end;
        rates := matrice_private.standard_rates(usual);
        if service_tier <> 'standard' then
          -- A tier that has ended is empty.
          rates := case when known ? service_tier then matrice_private.tier_rates(service_tier, own, rates) else '{}' end;
        end if;
        return next;
      end loop;
    end loop;
  end loop;
end
$$;
comment on function matrice_private.sheets_of is
  'Returns the sheets of a model: all its rates for each tier, time and threshold. prices: the rows of the model.';

create or replace function matrice_private.prepare_prices(models text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Of two transactions that change the prices of one model, the second must see the rows of the first.
  lock table matrice_private.price_sheets in share row exclusive mode;
  delete from matrice_private.price_sheets s where s.model = any (models);
  delete from matrice_private.priced_names n where n.model = any (models);
  insert into matrice_private.price_sheets (model, service_tier, valid_from, above_input_tokens, has_off_peak, rates)
  select p.model, s.service_tier, s.valid_from, s.above_input_tokens, s.has_off_peak, s.rates
    from (select r.model, array_agg(r) as prices from matrice.model_prices r where r.model = any (models) group by r.model) p,
         matrice_private.sheets_of(p.prices) s;
  insert into matrice_private.priced_names (name, provider, model)
  select matrice_private.name_at_provider(p.model, p.provider), p.provider, p.model
    from (select distinct p.model, p.provider from matrice.model_prices p where p.model = any (models)) p;
end
$$;
comment on function matrice_private.prepare_prices is
  'Writes the sheets and the names of some models anew.';

create or replace function matrice_private.prices_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op in ('INSERT', 'UPDATE') then
    perform matrice_private.require_units(array(select distinct c.unit from added c));
  end if;
  if tg_op = 'INSERT' then
    perform matrice_private.prepare_prices(array(select distinct c.model from added c));
  elsif tg_op = 'DELETE' then
    perform matrice_private.prepare_prices(array(select distinct c.model from removed c));
  elsif tg_op = 'UPDATE' then
    perform matrice_private.prepare_prices(array(select c.model from added c union select c.model from removed c));
  else
    perform matrice_private.prepare_prices(array(select distinct s.model from matrice_private.price_sheets s));
  end if;
  return null;
end
$$;
comment on function matrice_private.prices_changed is
  'Keeps price_sheets and priced_names in step with model_prices. Refuses unknown units. SECURITY DEFINER: no client may '
  'write these tables.';

create or replace trigger prepare_added after insert on matrice.model_prices
referencing new table as added for each statement execute function matrice_private.prices_changed();
create or replace trigger prepare_removed after delete on matrice.model_prices
referencing old table as removed for each statement execute function matrice_private.prices_changed();
create or replace trigger prepare_changed after update on matrice.model_prices
referencing old table as removed new table as added for each statement execute function matrice_private.prices_changed();
create or replace trigger prepare_emptied after truncate on matrice.model_prices
for each statement execute function matrice_private.prices_changed();

create or replace function matrice_private.rebuild_prices() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.fill_price_units();
  perform matrice_private.prepare_prices(array(select p.model from matrice.model_prices p
                                               union select s.model from matrice_private.price_sheets s
                                               union select n.model from matrice_private.priced_names n));
end
$$;
comment on function matrice_private.rebuild_prices is
  'Prepares the prices of all models anew: on a subscriber of schema matrice alone, or after a change of price_units.';
