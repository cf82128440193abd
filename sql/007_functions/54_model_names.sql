-- Names of models: which row of the prices a name means. The rules are in the engine (crates/core/src/names.rs).

create or replace function matrice_private.undated_name(name text) returns text
language plpgsql immutable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._undated_name(name);
end
$$;
comment on function matrice_private.undated_name is
  'Returns the name of a model without the date of its snapshot; null if the name has no date at its end. SECURITY DEFINER: '
  'only the owner may execute the function of the engine.';

create or replace function matrice_private.resolve_model(model text, provider text) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (matrice._find_model(model, provider, false))[1];
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
  return (matrice._find_model(model, provider, true))[1];
end
$$;
comment on function matrice_private.priced_model is
  'Returns the name under which the prices of a model are stored, or null: the name itself, else as resolve_model says. '
  'SECURITY DEFINER: no client may read the prepared prices, which are those of model_prices.';
