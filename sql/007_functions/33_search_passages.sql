-- From hits to passages: a hit and its neighbours in the source, as one text.

create or replace function matrice_private.chunk_ranges(chunk_ids uuid[], expand integer)
returns table (best bigint, source_id uuid, first_index integer, last_index integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select min(r.place), r.source_id, greatest(min(r.chunk_index) - expand, 0), max(r.chunk_index) + expand
      from (
        select g.*, count(*) filter (where g.starts) over (partition by g.source_id order by g.chunk_index) as range
          from (
            select given.place, c.source_id, c.chunk_index,
                   coalesce(
                     c.chunk_index - lag(c.chunk_index) over (partition by c.source_id order by c.chunk_index) > 2 * expand + 1,
                     true) as starts
              from unnest(chunk_ids) with ordinality as given (id, place)
             cross join lateral (select n.* from matrice.source_chunks n where n.id = given.id offset 0) c
          ) g
      ) r
     group by r.source_id, r.range;
end
$$;
comment on function matrice_private.chunk_ranges is
  'Returns the ranges of chunk_index that the given chunks and their neighbours cover. Ranges that touch become one. '
  'chunk_ids: best first. expand: the number of neighbours on each side of a chunk. best: the place in chunk_ids of the best '
  'chunk of the range.';

create or replace function matrice_private.continuation(content text, start_char integer, covered_until integer) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when covered_until is null or start_char is null or start_char > covered_until + 1 then E'\n\n' || content
    -- Between two chunks the source has only white space, which a line break replaces.
    when start_char > covered_until then E'\n' || content
    else substr(content, covered_until - start_char + 1)
  end;
end
$$;
comment on function matrice_private.continuation is
  'Returns what a chunk adds to a text that already has its source up to the character covered_until. Leaves out the part that '
  'overlapping chunks repeat.';

create or replace function matrice_private.pages_of(chunks_metadata jsonb[]) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Most chunks have no pages.
  if not exists (select from unnest(chunks_metadata) metadata where metadata ?| '{page,pages}') then
    return jsonb_build_array();
  end if;
  return (
    select coalesce(
             jsonb_agg(p.page order by
               case when p.all_numbers then (case when jsonb_typeof(p.page) = 'number' then p.page end)::numeric end, p.place),
             '[]')
      from (
        select page, min(chunk * 1000 + nth) as place, bool_and(bool_and(jsonb_typeof(page) = 'number')) over () as all_numbers
          from unnest(chunks_metadata) with ordinality as given (metadata, chunk),
               jsonb_array_elements(case
                 when metadata @? '$.pages[0]' and jsonb_typeof(metadata -> 'pages') = 'array' then metadata -> 'pages'
                 when metadata ? 'page' then jsonb_build_array(metadata -> 'page')
                 else '[]' end) with ordinality as said (page, nth)
         -- Clients may write anything there. A page is a number, or a short text such as "iv" or "A-3".
         where nth <= 1000 and jsonb_typeof(page) in ('number', 'string')
           and length(page #>> '{}') between 1 and 20 and page #>> '{}' !~ '[[:cntrl:]]' and page #>> '{}' ~ '\S'
         group by page
      ) p
  );
end
$$;
comment on function matrice_private.pages_of is
  'Returns the pages that the metadata of chunks name, each once. The order is ascending if all pages are numbers, else that of '
  'the chunks.';

create or replace function matrice_private.with_pages(metadata jsonb, pages jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when pages = matrice_private.pages_of(array[metadata]) then metadata
    else metadata || jsonb_build_object('pages', pages)
  end;
end
$$;
comment on function matrice_private.with_pages is
  'Returns the metadata of a chunk, with the pages of its passage if these differ from the chunk''s own.';

create or replace function matrice_private.expanded_passages(chunk_ids uuid[], expand integer)
returns table (
  best bigint, source_id uuid, first_index integer, last_index integer, passage_ids uuid[],
  start_char integer, end_char integer, content text, pages jsonb
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select c.best, c.source_id, c.first_index, c.last_index, array_agg(c.id order by c.chunk_index),
           min(c.start_char), max(c.end_char),
           string_agg(
             case when c.is_first then c.content
                  else matrice_private.continuation(c.content, c.start_char, c.covered_until) end,
             '' order by c.chunk_index),
           matrice_private.pages_of(array_agg(c.metadata order by c.chunk_index))
      from (
        select r.*, c.id, c.chunk_index, c.content, c.metadata, c.start_char, c.end_char,
               row_number() over by_index = 1 as is_first,
               max(c.end_char) over (by_index rows between unbounded preceding and 1 preceding) as covered_until
          from matrice_private.chunk_ranges(chunk_ids, expand) r
         -- OFFSET 0 makes the planner look up each range by itself. It would assume that a range is a fixed share of the table.
         cross join lateral (
           select n.* from matrice.source_chunks n
            where n.source_id = r.source_id and n.chunk_index between r.first_index and r.last_index
            order by n.chunk_index offset 0) c
        window by_index as (partition by r.best order by c.chunk_index)
      ) c
     group by c.best, c.source_id, c.first_index, c.last_index;
end
$$;
comment on function matrice_private.expanded_passages is
  'Returns the passage of each range of chunk_ranges. Its content leaves out what overlapping chunks repeat.';

create or replace function matrice_private.passages(chunk_ids uuid[], expand integer)
returns table (
  place bigint, chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, source_type text, storage_path text, start_char integer, end_char integer
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if expand = 0 then
    return query
      -- OFFSET 0 makes the planner look up each row by its key. It knows little about a table that was just filled.
      select given.place, c.id, c.source_id, s.name, c.chunk_index, c.content, c.token_count, c.metadata,
             s.type, s.storage_path, c.start_char, c.end_char
        from unnest(chunk_ids) with ordinality as given (id, place)
       cross join lateral (select n.* from matrice.source_chunks n where n.id = given.id offset 0) c
       cross join lateral (select o.* from matrice.context_sources o where o.id = c.source_id offset 0) s
       order by given.place;
    return;
  end if;
  return query
    select t.best, c.id, c.source_id, s.name, c.chunk_index, t.content, matrice.count_tokens(t.content),
           matrice_private.with_pages(c.metadata, t.pages) || jsonb_build_object('expanded', jsonb_build_object(
             'first_index', t.first_index, 'last_index', t.last_index, 'start_char', t.start_char, 'end_char', t.end_char)),
           s.type, s.storage_path, t.start_char, t.end_char
      from matrice_private.expanded_passages(chunk_ids, expand) t
      -- Not chunk_ids[t.best] below: the cast in it is not leakproof, and keeps the policy's query from the key.
      join unnest(chunk_ids) with ordinality as given (id, place) on given.place = t.best
     cross join lateral (select n.* from matrice.source_chunks n where n.id = given.id offset 0) c
     cross join lateral (select o.* from matrice.context_sources o where o.id = c.source_id offset 0) s
     order by t.best;
end
$$;
comment on function matrice_private.passages is
  'Returns one row per chunk, in the order of chunk_ids. chunk_ids: best first. expand: the number of neighbours to add on each '
  'side of a chunk; passages that touch become one row.';

create or replace function matrice_private.passage_title(title text, metadata jsonb) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  pages jsonb := matrice_private.pages_of(array[metadata]);
begin
  -- Keep the title on one line. With a line break, a name could imitate the heading of another passage.
  return regexp_replace(
    title
    || coalesce(' — ' || nullif(array_to_string(array(
         select jsonb_array_elements_text(
           case jsonb_typeof(metadata -> 'headings') when 'array' then metadata -> 'headings' else '[]' end)),
         ' › '), ''), '')
    || coalesce(', p. ' || (pages ->> 0), '') || case when jsonb_array_length(pages) > 1 then '–' || (pages ->> -1) else '' end,
    '\s+', ' ', 'g');
end
$$;
comment on function matrice_private.passage_title is
  'Returns where a passage comes from, for people: source, path of headings, page or pages.';

create or replace function matrice_private.passage_heading(number bigint, title text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return format('### [%s] %s', number, title) || E'\n\n';
end
$$;
comment on function matrice_private.passage_heading is 'Returns the heading of a numbered passage in a context.';
