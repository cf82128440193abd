-- Checks of arguments. A function named require_… raises an error or does nothing.
--
-- Error codes of the API:
--   22023  an argument is wrong                      HTTP 400
--   22004  an argument is null                       HTTP 400
--   42501  the caller's role is too low              HTTP 403
--   PT402  a quota is exceeded, or a budget          HTTP 402
--   PT404  a row does not exist or is not visible    HTTP 404
--   PT409  a conflict with stored rows               HTTP 409
--
-- Every function of matrice runs as its caller, under row-level security. It returns columns and not the row type of a
-- table, because a user may add columns to the table. Functions that use vectors have bodies that are bound at creation
-- (BEGIN ATOMIC), because their search_path does not find the operators of pgvector. Functions that call the engine have
-- string bodies, so that no object depends on the engine and DROP EXTENSION succeeds.

create or replace function matrice_private.require_bytes(argument text, value text, most integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if octet_length(value) > most then
    raise exception '% is too long', argument
      using errcode = '22023', detail = format('It has %s bytes; at most %s are allowed.', octet_length(value), most),
            hint = 'Shorten it, or split it.';
  end if;
end
$$;
comment on function matrice_private.require_bytes is 'Raises an error if a text argument has more bytes than allowed.';

create or replace function matrice_private.require_json(argument text, value jsonb, most integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not matrice_private.json_within(value, most) then
    raise exception '% is too large', argument
      using errcode = '22023',
            detail = format('It may have at most %s bytes, 64 levels, and numbers between -1e308 and 1e308.', most),
            hint = 'Store files and large values elsewhere, and their address here.';
  end if;
end
$$;
comment on function matrice_private.require_json is
  'Raises an error if a JSON argument is larger or deeper than allowed, or has a number that a double cannot hold. '
  'Deep values break functions of jsonb, which call themselves at each level.';

create or replace function matrice_private.require_time(argument text, value timestamptz) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if value not between '1900-01-01 00:00Z' and '2200-01-01 00:00Z' then
    raise exception '% must be between the years 1900 and 2200', argument
      using errcode = '22023', detail = format('It is %s.', value), hint = 'Leave it out to use the current time.';
  end if;
end
$$;
comment on function matrice_private.require_time is
  'Raises an error unless a time lies between the years 1900 and 2200. A null time is allowed.';

create or replace function matrice_private.require_given(argument text, value anyelement) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if value is null then
    raise exception '% must not be null', argument
      using errcode = '22004', hint = 'Pass a value. An argument that has a default can be left out instead.';
  end if;
end
$$;
comment on function matrice_private.require_given is
  'Raises an error if an argument is null. Called for each argument whose default is not null.';

create or replace function matrice_private.is_blank(value text) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Spaces of Unicode, which depend on the locale elsewhere, and what is drawn as nothing: control characters, zero-width and
  -- filling characters, marks of direction, variation selectors and tags.
  -- A regular expression needs four times the memory of its text. For a large text, Postgres does not allocate that much.
  return left(value, 10000) !~ ('[^\s\x01-\x20\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f'
                                '\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb'
                                '\U000e0000-\U000e0fff]')
         and (length(value) <= 10000
              or btrim(value, e' \t\n\r\f\v\u200b\u200c\u200d\u2060\ufeff\u00a0\u00ad\u200e\u200f\u2800\u3000\u3164') = '');
end
$$;
comment on function matrice_private.is_blank is
  'Returns whether a text shows nothing: it is empty, or has only white space or invisible characters. Null for null.';

create or replace function matrice_private.require_text(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  if matrice_private.is_blank(value) then
    raise exception '% must not be empty', argument
      using errcode = '22023', detail = 'It is empty, or has only white space or invisible characters.', hint = 'Pass a text.';
  end if;
end
$$;
comment on function matrice_private.require_text is
  'Raises an error if a text argument is null, or shows nothing, as is_blank says.';

create or replace function matrice_private.require_query(query_text text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  words integer;
begin
  perform matrice_private.require_text('query_text', query_text);
  if length(query_text) > 10000 then
    raise exception 'query_text is too long'
      using errcode = '22023', detail = format('It has %s characters.', length(query_text)),
            hint = 'At most 10,000 characters are allowed. Search for the most important words.';
  end if;
  words := cardinality(regexp_split_to_array(btrim(query_text), '\s+'));
  -- Ranking takes memory in proportion to the number of words.
  if words > 500 then
    raise exception 'query_text has too many words'
      using errcode = '22023', detail = format('It has about %s words.', words),
            hint = 'At most 500 words are allowed. Search for the most important ones.';
  end if;
end
$$;
comment on function matrice_private.require_query is
  'Raises an error unless a full-text query is a text of at most 10,000 characters and 500 words.';

create or replace function matrice_private.require_object(argument text, value jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  if jsonb_typeof(value) <> 'object' then
    raise exception '% must be a JSON object', argument
      using errcode = '22023',
            detail = format('It is %s.', jsonb_typeof(value)),
            hint = 'Pass the object itself, not a string that holds JSON.';
  end if;
end
$$;
comment on function matrice_private.require_object is 'Raises an error unless a jsonb argument is an object.';

create or replace function matrice_private.require_filter(filter jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  parts integer;
begin
  perform matrice_private.require_object('filter', filter);
  if filter = '{}' then
    return;
  end if;
  -- Containment compares each part of the filter with each part of the metadata. It cannot be cancelled while it does.
  if pg_column_size(filter) > 16384 then
    raise exception 'filter is too large'
      using errcode = '22023', detail = format('It takes %s bytes.', pg_column_size(filter)),
            hint = 'At most 16,384 bytes are allowed.';
  end if;
  -- Each part takes at least two characters.
  if octet_length(filter::text) > 400 then
    parts := (select count(*) from jsonb_path_query(filter, 'strict $.**'));
  end if;
  if parts > 200 then
    raise exception 'filter has too many parts'
      using errcode = '22023', detail = format('It has %s objects, arrays and values.', parts), hint = 'At most 200 are allowed.';
  end if;
  if jsonb_typeof(filter -> 'type') <> 'string' then
    raise exception 'type in a filter must be a string'
      using errcode = '22023',
            detail = format('It is %s. A source has one type, so this would find nothing.', jsonb_typeof(filter -> 'type')),
            hint = 'An array matches only values that have all of its elements. Search once for each type.';
  end if;
end
$$;
comment on function matrice_private.require_filter is
  'Raises an error unless a filter is an object of limited size that can match something.';

create or replace function matrice_private.require_one_of(argument text, value text, allowed text[]) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  if value <> all (allowed) then
    raise exception 'unknown %: %', argument, quote_literal(left(value, 100))
      using errcode = '22023', hint = format('It must be one of %s.', array_to_string(allowed, ', '));
  end if;
end
$$;
comment on function matrice_private.require_one_of is
  'Raises an error unless an argument is one of the allowed values.';

create or replace function matrice_private.require_match_count(match_count integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('match_count', match_count);
  if match_count not between 1 and 10000 then
    raise exception 'match_count must be between 1 and 10000, not %', match_count
      using errcode = '22023', hint = 'Ask for as many results as you will use.';
  end if;
end
$$;
comment on function matrice_private.require_match_count is 'Raises an error unless match_count is between 1 and 10000.';

create or replace function matrice_private.require_key(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if matrice_private.is_blank(value) then
    raise exception '% must not be empty', argument
      using errcode = '22023', detail = 'All rows with an empty key would count as the same row.',
            hint = 'Leave it out if there is no key.';
  elsif length(value) > 500 then
    raise exception '% is too long', argument
      using errcode = '22023', detail = format('It has %s characters; at most 500 are allowed.', length(value)),
            hint = 'Use a hash of it.';
  end if;
end
$$;
comment on function matrice_private.require_key is
  'Raises an error if a caller''s key is empty or has more than 500 characters. Null is allowed: it means no key.';
