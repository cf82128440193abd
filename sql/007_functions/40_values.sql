-- Values that insights state: when two of them are the same.

create or replace function matrice_private.normal_value(value text) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  words  text := matrice_private.normal_text(value);
  -- docs/insights.md states this rule.
  amount text[] := regexp_match(
    words, '^(€|\$|£|¥|eur|usd|gbp|jpy|chf)?\s*([-+]?\d+)(?:[.,](\d{1,2}))?\s*(€|\$|£|¥|eur|usd|gbp|jpy|chf)?$');
  sign   text := coalesce(amount[1], amount[4]);
begin
  if num_nonnulls(amount[1], amount[4]) <> 1 then
    return words;
  end if;
  return ltrim(amount[2], '+') || coalesce('.' || nullif(rtrim(amount[3], '0'), ''), '') || ' '
         || case sign when '€' then 'eur' when '$' then 'usd' when '£' then 'gbp' when '¥' then 'jpy' else sign end;
end
$$;
comment on function matrice_private.normal_value is
  'Returns what the ways to write a value have in common: as normal_text, and of an amount of money, the number without zeros '
  'behind its comma, and the ISO code of its currency.';
