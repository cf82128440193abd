-- find_quote: where a quote stands in the sources, to the character and the page.

create or replace function matrice_private.quote_places(contents text[], starts integer[], quote text, most integer)
returns table (start_char integer, end_char integer)
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select q.start_char, q.end_char from matrice._find_quote(contents, starts, quote, most) q;
end
$$;
comment on function matrice_private.quote_places is
  'Returns where a quote stands in a text, at most most times. contents: parts of the text in their order. starts: the first '
  'character of each. SECURITY DEFINER: only the owner may execute the engine''s own functions. The function computes from '
  'its arguments alone.';

create or replace function matrice_private.placed_chunks(source_id uuid)
returns table (chunk_id uuid, chunk_index integer, from_char bigint, until_char bigint, is_placed boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select c.id, c.chunk_index,
           case when c.is_placed then c.start_char else c.until_char - c.length end,
           case when c.is_placed then c.end_char else c.until_char end, c.is_placed
      from (
        select c.id, c.chunk_index, c.start_char, c.end_char, c.length,
               -- Between two chunks is white space.
               sum(c.length + 1) over (order by c.chunk_index) - 1 as until_char,
               bool_and(coalesce(c.end_char - c.start_char = c.length, false)) over () as is_placed
          from (
            select c.id, c.chunk_index, c.start_char, c.end_char, length(c.content) as length
              from matrice.source_chunks c where c.source_id = placed_chunks.source_id
          ) c
      ) c;
end
$$;
comment on function matrice_private.placed_chunks is
  'Returns where the chunks of a source begin and end in its text. is_placed: whether the chunks say so themselves; else they '
  'follow each other.';

create or replace function matrice_private.pieces_of(
  source_id uuid, out contents text[], out starts integer[], out spans jsonb, out is_placed boolean
) returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  select array[t.content], array[0], t.spans, true into contents, starts, spans, is_placed
    from matrice.source_texts t
   where t.source_id = pieces_of.source_id and t.version = matrice_private.current_version(pieces_of.source_id);
  if not found then
    select array_agg(c.content order by p.from_char, p.chunk_index), array_agg(p.from_char order by p.from_char, p.chunk_index),
           bool_and(p.is_placed)
      into contents, starts, is_placed
      from matrice_private.placed_chunks(pieces_of.source_id) p
     cross join lateral (select c.content from matrice.source_chunks c where c.id = p.chunk_id offset 0) c;
  end if;
end
$$;
comment on function matrice_private.pieces_of is
  'Returns the text of a source: the one that is stored, else its chunks. Nothing if it has neither. starts: the first '
  'character of each part. spans: of the stored text. is_placed: whether the characters are those of the text.';

create or replace function matrice_private.names_in(chunks_metadata jsonb[], kind text) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(jsonb_agg(n.name order by n.place), '[]')
    from (
      select said.name, min(given.place * 1000 + said.place) as place
        from unnest(chunks_metadata) with ordinality as given (metadata, place)
       cross join lateral jsonb_array_elements(
         case jsonb_typeof(given.metadata -> kind) when 'array' then given.metadata -> kind else '[]' end)
         with ordinality as said (name, place)
       where said.place <= 1000 and jsonb_typeof(said.name) in ('number', 'string')
       group by said.name
    ) n;
end;
comment on function matrice_private.names_in is
  'Returns the names in an array of the metadata of chunks, such as sheets, each once.';

create or replace function matrice_private.places_in_chunks(chunks_metadata jsonb[]) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(jsonb_object_agg(k.kind, k.names), '{}')
    from (values ('pages', matrice_private.pages_of(chunks_metadata)),
                 ('sheets', matrice_private.names_in(chunks_metadata, 'sheets')),
                 ('slides', matrice_private.names_in(chunks_metadata, 'slides'))) as k (kind, names)
   where k.names <> '[]';
end;
comment on function matrice_private.places_in_chunks is 'Returns the pages, sheets and slides that the metadata of chunks name.';

create or replace function matrice_private.chunks_of_quotes(source_id uuid, starts bigint[], ends bigint[])
returns table (number integer, chunk_ids uuid[], places jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- The planner thinks that there are a thousand rows of everything.
set jit = off set enable_nestloop = off
as $$
#variable_conflict use_column
declare
  -- Ascending, whatever the ends are: how far the quotes reach that begin before.
  reaches bigint[] := array(
    select max(e.until_char) over (order by e.number rows unbounded preceding)
      from unnest(ends) with ordinality as e (until_char, number) order by e.number);
begin
  return query
    with chunks as (
      select p.chunk_id, p.chunk_index, n.number
        from matrice_private.placed_chunks(source_id) p
       -- From the first quote that may reach into the chunk until the last one that begins before its end.
       cross join lateral generate_series(
         width_bucket(p.from_char, reaches) + 1, width_bucket(p.until_char - 1, starts)) n (number)
       where ends[n.number] > p.from_char
    ), sets as materialized (
      select c.number, array_agg(c.chunk_id order by c.chunk_index) as ids from chunks c group by c.number
    ), told as materialized (
      select m.id, m.metadata from matrice.source_chunks m
       where m.source_id = chunks_of_quotes.source_id and m.metadata ?| '{page,pages,sheets,slides}'
    ), named as (
      -- Many quotes stand in the same chunks.
      select d.ids, matrice_private.places_in_chunks(array_agg(t.metadata order by i.place)) as places
        from (select distinct s.ids from sets s) d
       cross join lateral unnest(d.ids) with ordinality as i (id, place)
        join told t on t.id = i.id
       group by d.ids
    )
    select s.number, s.ids, coalesce(n.places, '{}') from sets s left join named n on n.ids = s.ids;
end
$$;
comment on function matrice_private.chunks_of_quotes is
  'Returns the chunks that have quotes in a source, or parts of them, and the pages, sheets and slides that these chunks name. '
  'starts, ends: where each quote begins, ascending, and ends. A quote that is in no chunk has no row.';

create or replace function matrice_private.quotes_in_source(source_id uuid, quote text, most integer)
returns table (start_char integer, end_char integer, chunk_ids uuid[], places jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp set jit = off
as $$
#variable_conflict use_column
declare
  source       record;
  found_starts integer[];
  found_ends   integer[];
begin
  select p.* into source from matrice_private.pieces_of(source_id) p;
  select array_agg(q.start_char order by q.start_char), array_agg(q.end_char order by q.start_char)
    into found_starts, found_ends
    from matrice_private.quote_places(source.contents, source.starts, quote, most) q;
  if found_starts is null then
    return;
  end if;
  return query
    select case when source.is_placed then f.from_char end, case when source.is_placed then f.until_char end, c.chunk_ids,
           case when s.place <> '{}' then s.place else coalesce(c.places, '{}') end
      from unnest(found_starts, found_ends) with ordinality as f (from_char, until_char, number)
      left join unnest(matrice_private.places_of(source.spans, found_starts, found_ends))
                with ordinality as s (place, number) using (number)
      left join matrice_private.chunks_of_quotes(quotes_in_source.source_id, found_starts, found_ends) c using (number)
     order by f.number;
end
$$;
comment on function matrice_private.quotes_in_source is
  'Returns where a quote stands in a source, as find_quote does. Checks no roles.';

create or replace function matrice_private.quotes(of_quote text, in_project uuid, in_source uuid, most integer)
returns table (source_id uuid, source_name text, start_char integer, end_char integer, chunk_ids uuid[], places jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  projects uuid[];
  source   record;
  room     bigint := 268435456;
  wanted   integer := most;
  found    integer;
begin
  perform matrice_private.require_text('quote', of_quote);
  perform matrice_private.require_bytes('quote', of_quote, 100000);
  perform matrice_private.require_match_count(most);
  projects := matrice_private.searchable_projects(in_project);
  if in_source is not null and matrice_private.project_of_source(in_source, 'viewer') <> all (projects) then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('Source %s is in another project.', in_source), hint = 'Leave project_id out.';
  end if;
  for source in
    select s.id, s.name,
           coalesce((select octet_length(t.content) from matrice.source_texts t
                      where t.source_id = s.id and t.version = matrice_private.current_version(s.id)),
                    (select sum(octet_length(c.content)) from matrice.source_chunks c where c.source_id = s.id), 0) as bytes
      from matrice.context_sources s
     where s.project_id = any (projects) and (in_source is null or s.id = in_source)
     order by s.created_at, s.id
  loop
    room := room - source.bytes;
    if room < 0 then
      raise exception 'the sources have too much text to look for a quote in all of them'
        using errcode = '54000', detail = 'One call reads at most 256 MB.',
              hint = 'Pass source_id. search_chunks and hybrid_search find sources.';
    end if;
    return query
      select source.id, source.name, q.start_char, q.end_char, q.chunk_ids, q.places
        from matrice_private.quotes_in_source(source.id, of_quote, wanted) q;
    get diagnostics found = row_count;
    wanted := wanted - found;
    exit when wanted = 0;
  end loop;
end
$$;
comment on function matrice_private.quotes is
  'Does the work of find_quote, which has arguments and result columns of the same names. PL/pgSQL does not allow that.';

create or replace function matrice.find_quote(
  quote text, project_id uuid default null, source_id uuid default null, match_count integer default 10
) returns table (
  source_id uuid, source_name text, start_char integer, end_char integer, chunk_ids uuid[], places jsonb
)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select q.source_id, q.source_name, q.start_char, q.end_char, q.chunk_ids, q.places
    from matrice_private.quotes(quote, project_id, source_id, match_count) q;
end;
comment on function matrice.find_quote is
  'Finds where a quote stands, word for word, in the sources of a project, or in one source. Returns each place, the oldest '
  'sources first. White space, case, quotation marks, dashes, ligatures, soft hyphens and the spelling of accented letters in '
  'Unicode may differ, nothing else. start_char, end_char: in the text of the source; null if its chunks do not say where '
  'they stand there. chunk_ids: the chunks that have the quote, or a part of it. places: the pages, sheets or slides that it '
  'stands on, such as {"pages": [27, 28]}; if spans of the text are not stored, those of the chunks. quote: at most 100,000 '
  'bytes. project_id: only this project; null: all that the caller can see. source_id: only this source. match_count: the '
  'most places, 1 to 10000. One call reads at most 256 MB of text. Defaults: match_count 10.';
