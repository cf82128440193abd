-- Spans of a source: its pages, sheets and slides, and which of them a chunk lies in.

create or replace function matrice_private.require_spans(spans jsonb, characters integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong record;
begin
  if spans is null then
    return;
  end if;
  if jsonb_typeof(spans) <> 'array' or jsonb_array_length(spans) > 20000 then
    raise exception 'spans must be a JSON array of at most 20000 objects'
      using errcode = '22023', hint = 'Such as [{"start_char": 0, "page": 1}, {"start_char": 2130, "page": 2}].';
  end if;
  select s.span, s.place into wrong
    from jsonb_array_elements(spans) with ordinality as s (span, place)
   where jsonb_typeof(s.span) <> 'object'
      or (select count(*) from jsonb_object_keys(case jsonb_typeof(s.span) when 'object' then s.span else '{}' end)) <> 2
      or jsonb_typeof(s.span -> 'start_char') is distinct from 'number'
      or not (case jsonb_typeof(s.span -> 'start_char') when 'number' then s.span -> 'start_char' end)::numeric between 0 and characters
      or (case jsonb_typeof(s.span -> 'start_char') when 'number' then s.span -> 'start_char' end)::numeric % 1 <> 0
      or not coalesce(jsonb_typeof(coalesce(s.span -> 'page', s.span -> 'sheet', s.span -> 'slide')) in ('number', 'string'), false)
      or octet_length(coalesce(s.span ->> 'page', s.span ->> 'sheet', s.span ->> 'slide')) > 200
   order by s.place limit 1;
  if found then
    raise exception 'spans must be objects of a start_char and a page, sheet or slide'
      using errcode = '22023', detail = format('Entry %s is %s.', wrong.place, left(wrong.span::text, 100)),
            hint = format('start_char is a whole number from 0 to %s, the length of the text. The name has at most 200 bytes.', characters);
  end if;
end
$$;
comment on function matrice_private.require_spans is
  'Raises unless spans say where pages, sheets or slides begin in a text of so many characters.';

create or replace function matrice_private.names_between(starts integer[], names jsonb[], from_char integer, until_char integer)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Binary searches, because a book has thousands of pages and chunks.
  return to_jsonb(names[greatest(width_bucket(from_char, starts), 1) :
                        width_bucket(greatest(until_char - 1, from_char), starts)]);
end
$$;
comment on function matrice_private.names_between is
  'Returns the names of the pages, sheets or slides that a part of a text is on. starts: where each begins, ascending.';

create or replace function matrice_private.places_of(spans jsonb, start_chars integer[], end_chars integer[]) returns jsonb[]
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  places jsonb[] := array_fill('{}'::jsonb, array[cardinality(start_chars)]);
  kind   text;
  starts integer[];
  names  jsonb[];
begin
  foreach kind in array '{page,sheet,slide}'::text[] loop
    select array_agg((s.span ->> 'start_char')::integer order by (s.span ->> 'start_char')::integer, s.place),
           array_agg(s.span -> kind order by (s.span ->> 'start_char')::integer, s.place)
      into starts, names
      from jsonb_array_elements(spans) with ordinality as s (span, place) where s.span ? kind;
    continue when starts is null;
    places := array(
      select p.place || case p.names when '[]' then '{}' else jsonb_build_object(kind || 's', p.names) end
        from (
          select g.place, g.number, matrice_private.names_between(starts, names, g.from_char, g.until_char) as names
            from unnest(places, start_chars, end_chars) with ordinality as g (place, from_char, until_char, number)
        ) p
       order by p.number);
  end loop;
  return places;
end
$$;
comment on function matrice_private.places_of is
  'Returns for each part of a text the metadata pages, sheets and slides, by the spans of the text.';
