-- Checks of arguments. A function that is named require_… raises an error, or does nothing.
--
-- Error codes of the API: 22023 an argument is wrong (HTTP 400), 22004 an argument is null (400), 42501 the caller's role
-- does not suffice (403), PT402 a quota is used up (402), PT404 a row does not exist or is not visible (404), PT409 a
-- conflict with what is stored (409).
--
-- Every function of matrice runs as its caller, under row-level security, and returns columns rather than a table's row
-- type, because a user may add columns to a table. Functions that touch vectors have bodies that are bound at creation
-- (BEGIN ATOMIC), because their search_path finds no operator of pgvector. Functions that call the engine have string
-- bodies, so that DROP EXTENSION depends on nothing here.

create or replace function matrice_private.require_bytes(argument text, value text, most integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if octet_length(value) > most then
    raise exception '% is too long', argument
      using errcode = '22023', detail = format('It has %s bytes; at most %s are allowed.', octet_length(value), most),
            hint = 'Shorten it, or divide it.';
  end if;
end
$$;
comment on function matrice_private.require_bytes is 'Raises where a text argument has more bytes than are allowed.';

create or replace function matrice_private.require_json(argument text, value jsonb, most integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not matrice_private.json_within(value, most) then
    raise exception '% is too large', argument
      using errcode = '22023',
            detail = format('A JSON value here has at most %s bytes and 64 levels, and numbers between -1e308 and 1e308.', most),
            hint = 'Store files and large values elsewhere, and their address here.';
  end if;
end
$$;
comment on function matrice_private.require_json is
  'Raises where a JSON argument is larger or deeper than is allowed. Deeper values break functions of jsonb, which call themselves at each level.';

create or replace function matrice_private.require_time(argument text, value timestamptz) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if value not between '1900-01-01 00:00Z' and '2200-01-01 00:00Z' then
    raise exception '% must be between the years 1900 and 2200', argument
      using errcode = '22023', detail = format('It is %s.', value), hint = 'Leave it out for now.';
  end if;
end
$$;
comment on function matrice_private.require_time is 'Raises unless a time can be computed with.';

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
  'Raises where an argument is null. Called for each argument but those whose default is null.';

create or replace function matrice_private.require_text(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  -- A regular expression takes four times the text, which of a large one is more than Postgres gives.
  if left(value, 10000) !~ '\S' and (length(value) <= 10000 or btrim(value, E' \t\n\r\f\v') = '') then
    raise exception '% must not be empty', argument
      using errcode = '22023', detail = 'It has nothing but white space.', hint = 'Pass a text.';
  end if;
end
$$;
comment on function matrice_private.require_text is 'Raises unless a text argument has something in it.';

create or replace function matrice_private.require_query(query_text text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
-- Nobody needs to be told that a query is only stop words.
set client_min_messages = warning
as $$
declare
  words integer;
begin
  perform matrice_private.require_text('query_text', query_text);
  if length(query_text) > 10000 then
    raise exception 'query_text is too long'
      using errcode = '22023', detail = format('It has %s characters.', length(query_text)),
            hint = 'At most 10,000 characters: search for what matters in it.';
  end if;
  -- Of an operator between any two words, and the words.
  words := (select (numnode(websearch_to_tsquery('pg_catalog.simple', q.words)) + 1) / 2 from matrice_private.read_query(query_text) q);
  -- Ranking takes memory by the number of words.
  if words > 500 then
    raise exception 'query_text has too many words'
      using errcode = '22023', detail = format('It has some %s words.', words),
            hint = 'At most 500 words: search for what matters in it.';
  end if;
end
$$;
comment on function matrice_private.require_query is 'Raises unless a full-text query is a text of reasonable length.';

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
            hint = 'A string that holds JSON is a string: pass the object itself.';
  end if;
end
$$;
comment on function matrice_private.require_object is 'Raises unless a jsonb argument is an object.';

create or replace function matrice_private.require_filter(filter jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  parts integer;
begin
  perform matrice_private.require_object('filter', filter);
  -- Containment compares each part with each of the metadata, and cannot be stopped meanwhile.
  if pg_column_size(filter) > 16384 then
    raise exception 'filter is too large'
      using errcode = '22023', detail = format('It takes %s bytes.', pg_column_size(filter)), hint = 'At most 16,384 bytes.';
  end if;
  parts := (select count(*) from jsonb_path_query(filter, 'strict $.**'));
  if parts > 200 then
    raise exception 'filter has too many parts'
      using errcode = '22023', detail = format('It has %s objects, arrays and values.', parts), hint = 'At most 200.';
  end if;
  if jsonb_typeof(filter -> 'type') <> 'string' then
    raise exception 'type in a filter must be a string'
      using errcode = '22023',
            detail = format('It is %s: a source has one type, so this would find nothing.', jsonb_typeof(filter -> 'type')),
            hint = 'An array asks for all of its elements, not for any of them: search once for each type.';
  end if;
end
$$;
comment on function matrice_private.require_filter is 'Raises unless a filter is an object of reasonable size that something can match.';

create or replace function matrice_private.require_one_of(argument text, value text, allowed text[]) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  if value <> all (allowed) then
    raise exception 'unknown %: %', argument, quote_literal(left(value, 100))
      using errcode = '22023', hint = format('It is one of %s.', array_to_string(allowed, ', '));
  end if;
end
$$;
comment on function matrice_private.require_one_of is 'Raises unless an argument is one of the allowed values.';

create or replace function matrice_private.require_match_count(match_count integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('match_count', match_count);
  if match_count not between 1 and 10000 then
    raise exception 'match_count must be between 1 and 10000, not %', match_count
      using errcode = '22023', hint = 'Ask for as many as you will read.';
  end if;
end
$$;
comment on function matrice_private.require_match_count is 'Raises unless a number of results is reasonable.';

create or replace function matrice_private.require_key(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if value !~ '\S' then
    raise exception '% must not be empty', argument
      using errcode = '22023', detail = 'An empty key would make one of all that have it.', hint = 'Leave it out where there is none.';
  elsif length(value) > 500 then
    raise exception '% is too long', argument
      using errcode = '22023', detail = format('It has %s characters; at most 500 are allowed.', length(value)), hint = 'Hash what is longer.';
  end if;
end
$$;
comment on function matrice_private.require_key is 'Raises where a key of the caller''s is empty or too long; null is none.';
