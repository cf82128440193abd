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

create or replace function matrice_private.cut_source(
  source_id uuid, project_id uuid, content text, format text, max_tokens integer, overlap_tokens integer, spans jsonb
) returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_spans(spans, length(cut_source.content));
  -- A stored chunk whose text is among the new chunks keeps its row. If a text occurs more than once, the order decides.
  with pieces as materialized (
    select * from matrice.chunk_text(cut_source.content, cut_source.max_tokens, cut_source.overlap_tokens, cut_source.format)
  ), placed as materialized (
    select matrice_private.places_of(
             spans, array_agg(p.start_char order by p.chunk_index), array_agg(p.end_char order by p.chunk_index)) as places
      from pieces p where spans is not null
  ), cut as materialized (
    select p.chunk_index, p.content, p.start_char, p.end_char,
           p.metadata || coalesce(placed.places[p.chunk_index + 1], '{}') as metadata,
           row_number() over (partition by p.content order by p.chunk_index) as occurrence
      from pieces p cross join placed
  ), bounded as materialized (
    select matrice_private.cut_is_bounded(
             count(*), cut_source.max_tokens,
             coalesce(max(pg_column_size(cut.metadata)), 0) + (
               select pg_column_size(s.raw_metadata || jsonb_build_object('type', s.type, 'matrice.project', s.project_id))
                 from matrice.context_sources s where s.id = cut_source.source_id)) as holds
      from cut
  ), stored as materialized (
    select c.id, row_number() over (partition by c.content order by c.chunk_index) as occurrence, c.content
      from matrice.source_chunks c
     where c.source_id = cut_source.source_id
  ), matched as materialized (
    select cut.*, stored.id from cut left join stored using (content, occurrence) where (select b.holds from bounded b)
  ), gone as (
    delete from matrice.source_chunks c
     where c.source_id = cut_source.source_id and c.id not in (select m.id from matched m where m.id is not null)
    returning c.id
  ), moved as (
    update matrice.source_chunks c
       set chunk_index = m.chunk_index, start_char = m.start_char, end_char = m.end_char,
           -- A client's metadata describe the text and stay when it moves. Only the page would be wrong then.
           metadata = case when spans is not null or (c.start_char, c.end_char) is distinct from (m.start_char, m.end_char)
                           then c.metadata - '{headings,page,pages,sheets,slides}'::text[]
                           else c.metadata - 'headings' end || m.metadata
      from matched m
     where c.id = m.id
       and ((c.chunk_index, c.start_char, c.end_char, c.metadata -> 'headings')
              is distinct from (m.chunk_index, m.start_char, m.end_char, m.metadata -> 'headings')
            or spans is not null and not c.metadata @> m.metadata)
  ), completed as materialized (
    select c.place, c.id, c.token_count, c.fts, c.filterable
      from (
        select array_agg(m.content order by m.chunk_index) as contents, array_agg(m.metadata order by m.chunk_index) as metadata
          from matched m where m.id is null
      ) added
     cross join lateral matrice_private.completed_chunks(cut_source.source_id, added.contents, added.metadata) c
  ), new as (
    insert into matrice.source_chunks (
      id, source_id, project_id, chunk_index, content, token_count, start_char, end_char, metadata, fts, filterable)
    select c.id, cut_source.source_id, cut_source.project_id, m.chunk_index, m.content, c.token_count, m.start_char, m.end_char,
           m.metadata, c.fts, c.filterable
      from (select m.*, row_number() over (order by m.chunk_index) as place from matched m where m.id is null) m
      join completed c using (place)
    returning id
  )
  select (select count(*) from cut), (select count(*) from new),
         (select count(*) from matched m where m.id is not null), (select count(*) from gone)
    into total, added, kept, removed;

  if total = 0 then
    raise exception 'content must not be empty'
      using errcode = '22023', detail = 'It has only white space.', hint = 'Pass a text, or delete the source.';
  end if;
  update matrice.context_sources s
     set status = 'processing', error = null, processed_at = now(),
         content_hash = matrice_private.content_hash(
           cut_source.content, cut_source.format, cut_source.max_tokens, cut_source.overlap_tokens, spans),
         token_count = matrice.count_tokens(cut_source.content),
         format = cut_source.format, max_tokens = least(cut_source.max_tokens, 1000000000),
         overlap_tokens = least(cut_source.overlap_tokens, 1000000000)
   where s.id = cut_source.source_id;
  return next;
end
$$;
comment on function matrice_private.cut_source is
  'Cuts a text into chunks, makes them the chunks of the source, and records the options in the source. Returns what '
  'chunk_source returns. Checks neither roles nor null arguments: its callers do, and lock the source.';

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
  perform matrice_private.require_text('name', name);
  perform matrice_private.require_text('type', type);
  perform matrice_private.require_object('metadata', metadata);
  perform matrice_private.require_given('format', format);
  perform matrice_private.require_given('max_tokens', max_tokens);
  perform matrice_private.require_given('overlap_tokens', overlap_tokens);
  perform matrice_private.require_bytes('name', name, 2000);
  perform matrice_private.require_bytes('type', type, 200);
  perform matrice_private.require_bytes('storage_path', storage_path, 2000);
  perform matrice_private.require_json('metadata', metadata, 16384);
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  perform matrice_private.require_given('content', content);
  perform matrice_private.require_bytes('content', content, 67108864);
  insert into matrice.context_sources as s (project_id, type, name, storage_path, raw_metadata)
  values (ingest_source.project_id, ingest_source.type, ingest_source.name, ingest_source.storage_path, ingest_source.metadata)
  returning s.id into new_id;
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
  perform matrice_private.require_given('source_id', source_id);
  select s.project_id into owner_project from matrice.context_sources s where s.id = chunk_source.source_id;
  if not found then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('There is no source %s that you can see.', source_id);
  end if;
  perform matrice_private.require_role(owner_project, 'editor');
  -- Locks the source: one call at a time cuts it, and it is locked before its chunks.
  select coalesce(chunk_source.format, s.format, 'text'), coalesce(chunk_source.max_tokens, s.max_tokens, 512),
         coalesce(chunk_source.overlap_tokens, s.overlap_tokens, 64)
    into format, max_tokens, overlap_tokens
    from matrice.context_sources s
   where s.id = chunk_source.source_id
     for no key update;
  if not found then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('Source %s has just been deleted.', source_id);
  end if;
  -- Locks all chunks before it changes the first. Otherwise another transaction could lock a chunk that this one needs, and wait
  -- for a chunk_index that this one has just given to another chunk.
  perform from matrice.source_chunks c where c.source_id = chunk_source.source_id order by c.id for update;

  return query select *
                 from matrice_private.cut_source(source_id, owner_project, content, format, max_tokens, overlap_tokens, spans);
end
$$;
comment on function matrice.chunk_source is
  'Replaces the text of a source and cuts it into chunks again. Returns the numbers of chunks: total, added, kept and '
  'removed. A chunk whose text did not change keeps its row, id, embeddings and metadata, even if it moved. Without spans, a '
  'chunk that moved loses page, pages, sheets and slides. content: at most 64 MB. format, max_tokens, overlap_tokens: if '
  'null, as last time; if there was no last time, text, 512 and 64. overlap_tokens: at most half of max_tokens; 64 is '
  'lowered to that if necessary. spans: as in ingest_source.';
