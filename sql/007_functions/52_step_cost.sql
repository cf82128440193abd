-- The cost of a step: a trigger reads its usage, and prices it.

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

create or replace function matrice_private.price_given_step() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.corrects is not null then
    raise exception 'corrections are made by correct_step'
      using errcode = '42501', detail = 'A row with corrects takes something away from another one.',
            hint = 'Call matrice.correct_step.';
  end if;
  new.cost_source := null;
  new.cost_note := null;
  return new;
end
$$;
comment on function matrice_private.price_given_step is
  'Lets only services write corrections, and say where the cost of a step comes from: for them it is not called, because who '
  'imports or restores steps knows more than the prices of this database. It runs before price_step.';

create or replace function matrice_private.price_step() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  plain      numeric[];
  reading    jsonb;
  priced     record;
  calculated numeric;
begin
  -- Nearly every step. In a transaction of its own, each expression of this function is prepared anew, so there are few.
  if tg_op = 'INSERT' and new.cost_usd is null and new.status <> 'running' then
    plain := matrice._plain_price(new.project_id, new.model, new.usage, nullif(new.tokens_input, 0), nullif(new.tokens_output, 0),
                                  new.executed_at);
    if plain[1] < 99999999 then
      new.cost_usd := plain[1];
      new.tokens_input := plain[2];
      new.tokens_output := plain[3];
      new.cached_tokens := plain[4];
      new.cost_source := 'calculated';
      return new;
    end if;
  end if;
  -- Corrections are not priced.
  if new.corrects is not null then
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
  'refuses a step for its usage. A step that still runs has no cost. SECURITY DEFINER: only the owner may execute the function '
  'of the engine, and no client may read the prepared prices.';

create or replace trigger price_given_step before insert or update of corrects on matrice.workflow_steps
for each row when (num_nonnulls(new.corrects, new.cost_source, new.cost_note) > 0
                   and row_security_active('matrice.workflow_steps'::regclass))
execute function matrice_private.price_given_step();

-- What price_given_step has left in these columns comes from somebody who may say it: it is kept, and takes no time. record_steps
-- prices whole batches so, for services.
create or replace trigger price_step before insert on matrice.workflow_steps
for each row when (num_nonnulls(new.corrects, new.cost_source, new.cost_note) = 0)
execute function matrice_private.price_step();
create or replace trigger price_step_again
before update of cost_usd, cost_source, cost_note, model, tokens_input, tokens_output, cached_tokens, usage, executed_at, status,
  corrects
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
