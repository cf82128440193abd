-- Sources: from a document to chunks.

create or replace function matrice_private.content_hash(
  content text, format text, max_tokens integer, overlap_tokens integer, spans jsonb
) returns bytea
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select sha256(
    convert_to(jsonb_build_array(format, max_tokens, overlap_tokens, spans)::text, 'UTF8') || convert_to(content, 'UTF8'));
end;
comment on function matrice_private.content_hash is
  'Returns the SHA-256 of a text and of the options that it is cut with.';

create or replace function matrice_private.cut_is_bounded(chunks bigint, max_tokens integer, metadata_bytes integer)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if chunks > 100000 then
    raise exception 'the text has too many chunks'
      using errcode = '22023',
            detail = format('It has %s chunks of at most %s tokens; a source has at most 100000.', chunks, max_tokens),
            hint = 'Raise max_tokens, or divide the text into several sources.';
  elsif chunks > 10000 and max_tokens < 16 then
    -- A row takes hundreds of bytes, however short its text is.
    raise exception 'the text has too many small chunks'
      using errcode = '22023', detail = format('It has %s chunks of at most %s tokens.', chunks, max_tokens),
            hint = 'A source of more than 10000 chunks needs a max_tokens of at least 16.';
  end if;
  perform matrice_private.require_metadata_room(chunks, metadata_bytes);
  return true;
end
$$;
comment on function matrice_private.cut_is_bounded is
  'Returns true. Raises if a text has too many chunks, or if the chunks would repeat too much metadata: a small '
  'request must not write a large amount of data.';

create or replace function matrice_private.lay_chunks(
  source_id uuid, project_id uuid, contents text[], start_chars integer[], end_chars integer[], metadata jsonb[],
  is_cut boolean, has_places boolean
) returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  new_ids uuid[];
begin
  -- A stored chunk whose text is among the new chunks keeps its row. If a text occurs more than once, the order decides.
  with laid as materialized (
    select (g.place - 1)::integer as chunk_index, g.content, g.start_char, g.end_char, g.metadata,
           row_number() over (partition by g.content order by g.place) as occurrence
      from unnest(contents, start_chars, end_chars, lay_chunks.metadata)
           with ordinality as g (content, start_char, end_char, metadata, place)
  ), stored as materialized (
    select c.id, row_number() over (partition by c.content order by c.chunk_index) as occurrence, c.content
      from matrice.source_chunks c
     where c.source_id = lay_chunks.source_id
  ), matched as materialized (
    select laid.*, stored.id from laid left join stored using (content, occurrence)
  ), gone as (
    delete from matrice.source_chunks c
     where c.source_id = lay_chunks.source_id and c.id not in (select m.id from matched m where m.id is not null)
    returning c.id
  ), moved as (
    update matrice.source_chunks c
       set chunk_index = m.chunk_index, start_char = m.start_char, end_char = m.end_char,
           metadata = matrice_private.laid_metadata(
             c.metadata, m.metadata, is_cut,
             has_places or (c.start_char, c.end_char) is distinct from (m.start_char, m.end_char))
      from matched m
     where c.id = m.id
       and ((c.chunk_index, c.start_char, c.end_char) is distinct from (m.chunk_index, m.start_char, m.end_char)
            or case when is_cut then (c.metadata -> 'headings', c.metadata -> 'header')
                                     is distinct from (m.metadata -> 'headings', m.metadata -> 'header')
                                     or has_places and not c.metadata @> m.metadata
                    else c.metadata <> m.metadata end)
  ), completed as materialized (
    select c.place, c.id, c.token_count, c.fts, c.filterable
      from (
        select array_agg(m.content order by m.chunk_index) as contents,
               array_agg(coalesce(m.metadata, '{}') order by m.chunk_index) as metadata
          from matched m where m.id is null
      ) added
     cross join lateral matrice_private.completed_chunks(lay_chunks.source_id, added.contents, added.metadata) c
  ), new as (
    insert into matrice.source_chunks (
      id, source_id, project_id, chunk_index, content, token_count, start_char, end_char, metadata, fts, filterable)
    select c.id, lay_chunks.source_id, lay_chunks.project_id, m.chunk_index, m.content, c.token_count, m.start_char, m.end_char,
           coalesce(m.metadata, '{}'), c.fts, c.filterable
      from (select m.*, row_number() over (order by m.chunk_index) as place from matched m where m.id is null) m
      join completed c using (place)
    returning id
  )
  select (select count(*) from laid), (select count(*) from new),
         (select count(*) from matched m where m.id is not null), (select count(*) from gone), array(select n.id from new n)
    into total, added, kept, removed, new_ids;
  perform matrice_private.take_embeddings(project_id, new_ids);
  return next;
end
$$;
comment on function matrice_private.lay_chunks is
  'Makes texts the chunks of a source, in their order. Returns what chunk_source returns. metadata: null where a chunk has '
  'none of its own. is_cut: whether matrice cut the texts, and not a client. has_places: whether the metadata say where '
  'pages, sheets and slides are. Checks neither roles nor arguments: its callers do, and lock the source.';

create or replace function matrice_private.laid_metadata(stored jsonb, given jsonb, is_cut boolean, is_moved boolean)
returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- A client's metadata describe the text and stay when it moves. Only the page would be wrong then.
  select case
    when not is_cut and given is not null then given
    when is_moved then stored - case when is_cut then '{headings,header,page,pages,sheets,slides}'
                                     else '{page,pages,sheets,slides}' end::text[]
    when is_cut then stored - '{headings,header}'::text[]
    else stored
  end || coalesce(given, '{}');
end;
comment on function matrice_private.laid_metadata is
  'Returns the metadata of a chunk that stays. stored: those that it has. given: those of the new text. is_cut: whether '
  'matrice cut it; a client''s metadata replace those that are stored. is_moved: whether its place in the text is another.';

create or replace function matrice_private.require_room(source_id uuid, metadata jsonb[], max_tokens integer) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.cut_is_bounded(
            cardinality(require_room.metadata), require_room.max_tokens,
            coalesce((select max(pg_column_size(g.metadata)) from unnest(require_room.metadata) as g (metadata)), 0)
            + pg_column_size(s.raw_metadata || jsonb_build_object('type', s.type, 'matrice.project', s.project_id)))
     from matrice.context_sources s where s.id = require_room.source_id;
end
$$;
comment on function matrice_private.require_room is
  'Raises if a source would get too many chunks, or if they would repeat too much metadata. max_tokens: null if a client cut '
  'them.';

create or replace function matrice_private.cut_source(
  source_id uuid, project_id uuid, content text, format text, max_tokens integer, overlap_tokens integer, spans jsonb
) returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cut    record;
  source record;
begin
  perform matrice_private.require_spans(spans, length(cut_source.content));
  select array_agg(p.content order by p.chunk_index) as contents, array_agg(p.start_char order by p.chunk_index) as start_chars,
         array_agg(p.end_char order by p.chunk_index) as end_chars, array_agg(p.metadata order by p.chunk_index) as metadata
    into cut
    from matrice.chunk_text(cut_source.content, cut_source.max_tokens, cut_source.overlap_tokens, cut_source.format) p;
  if cut.contents is null then
    raise exception 'content must not be empty'
      using errcode = '22023', detail = 'It has only white space.', hint = 'Pass a text, or delete the source.';
  end if;
  if spans is not null then
    cut.metadata := array(
      select g.metadata || g.place
        from unnest(cut.metadata, matrice_private.places_of(spans, cut.start_chars, cut.end_chars))
             with ordinality as g (metadata, place, number)
       order by g.number);
  end if;
  perform matrice_private.require_room(source_id, cut.metadata, max_tokens);
  select l.total, l.added, l.kept, l.removed into total, added, kept, removed
    from matrice_private.lay_chunks(
           source_id, project_id, cut.contents, cut.start_chars, cut.end_chars, cut.metadata, true, spans is not null) l;
  update matrice.context_sources s
     set status = 'processing', error = null, processed_at = now(),
         content_hash = matrice_private.content_hash(
           cut_source.content, cut_source.format, cut_source.max_tokens, cut_source.overlap_tokens, spans),
         token_count = matrice.count_tokens(cut_source.content),
         format = cut_source.format, max_tokens = least(cut_source.max_tokens, 1000000000),
         overlap_tokens = least(cut_source.overlap_tokens, 1000000000)
   where s.id = cut_source.source_id
  returning s.format, s.max_tokens, s.overlap_tokens, s.token_count into source;
  perform matrice_private.remember_text(
    source_id, content, source.format, source.max_tokens, source.overlap_tokens, source.token_count, spans);
  return next;
end
$$;
comment on function matrice_private.cut_source is
  'Cuts a text into chunks, makes them the chunks of the source, records the options in the source, and stores the text if it is '
  'another. Returns what chunk_source returns. Checks neither roles nor null arguments: its callers do, and lock the source.';

create or replace function matrice_private.add_source(
  project_id uuid, name text, type text, storage_path text, metadata jsonb
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  new_id uuid;
begin
  perform matrice_private.require_text('name', name);
  perform matrice_private.require_text('type', type);
  perform matrice_private.require_object('metadata', metadata);
  perform matrice_private.require_bytes('name', name, 2000);
  perform matrice_private.require_bytes('type', type, 200);
  perform matrice_private.require_bytes('storage_path', storage_path, 2000);
  perform matrice_private.require_json('metadata', metadata, 16384);
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  insert into matrice.context_sources as s (project_id, type, name, storage_path, raw_metadata)
  values (add_source.project_id, add_source.type, add_source.name, add_source.storage_path, add_source.metadata)
  returning s.id into new_id;
  return new_id;
end
$$;
comment on function matrice_private.add_source is 'Adds a source that has no chunks yet. Returns its id.';

create or replace function matrice.ingest_source(
  project_id uuid, name text, content text, type text default 'file', format text default 'text',
  max_tokens integer default 512, overlap_tokens integer default 64,
  storage_path text default null, metadata jsonb default '{}', spans jsonb default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  new_id uuid;
begin
  perform matrice_private.require_given('format', format);
  perform matrice_private.require_given('max_tokens', max_tokens);
  perform matrice_private.require_given('overlap_tokens', overlap_tokens);
  new_id := matrice_private.add_source(project_id, name, type, storage_path, metadata);
  perform matrice_private.require_given('content', content);
  perform matrice_private.require_bytes('content', content, 67108864);
  perform matrice_private.cut_source(new_id, project_id, content, format, max_tokens, overlap_tokens, spans);
  return new_id;
end
$$;
comment on function matrice.ingest_source is
  'Adds a document to a project and cuts it into chunks. Returns the id of the new source. Its chunks can be found by '
  'full-text search at once, and claim_chunks can claim them. content: at most 64 MB. type: a word of the client''s choice, '
  'such as file; searches can filter by it. format, max_tokens, overlap_tokens: as in chunk_text; the source keeps them for '
  'chunk_source. overlap_tokens: at most half of max_tokens; the default, 64, is lowered to that if necessary. storage_path: '
  'is only stored. metadata: a JSON object; searches can filter by it. spans: where pages, sheets or slides begin in the '
  'text, such as [{"start_char": 0, "page": 1}]. Chunks get the metadata pages, sheets and slides from it, and citations '
  'name them. Defaults: type ''file'', format ''text'', max_tokens 512, overlap_tokens 64, metadata ''{}''.';

create or replace function matrice.chunk_source(
  source_id uuid, content text, format text default null, max_tokens integer default null, overlap_tokens integer default null,
  spans jsonb default null
) returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('content', content);
  perform matrice_private.require_bytes('content', content, 67108864);
  owner_project := matrice_private.project_of_source(source_id, 'editor');
  perform matrice_private.hold_source(source_id);
  select coalesce(chunk_source.format, s.format, 'text'), coalesce(chunk_source.max_tokens, s.max_tokens, 512),
         coalesce(chunk_source.overlap_tokens, s.overlap_tokens, 64)
    into format, max_tokens, overlap_tokens
    from matrice.context_sources s
   where s.id = chunk_source.source_id;
  return query select *
                 from matrice_private.cut_source(source_id, owner_project, content, format, max_tokens, overlap_tokens, spans);
end
$$;
comment on function matrice.chunk_source is
  'Replaces the text of a source and cuts it into chunks again. Stores it as a new version, if it is another text and the '
  'project keeps texts. Returns the numbers of chunks: total, added, kept and removed. A chunk whose text did not change '
  'keeps its row, id, embeddings and metadata, even if it moved. Without spans, a chunk that moved loses page, pages, sheets '
  'and slides. content: at most 64 MB. format, max_tokens, overlap_tokens: if null, as last time; if there was no last time, '
  'text, 512 and 64. overlap_tokens: at most half of max_tokens; 64 is lowered to that if necessary. spans: as in '
  'ingest_source.';
