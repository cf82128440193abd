-- Sources and their chunks: from a document to rows.

create or replace function matrice_private.require_metadata_room(chunks bigint, bytes integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if chunks * bytes > 67108864 then
    raise exception 'the metadata of the source are too large for its chunks'
      using errcode = '22023',
            detail = format('Each of %s chunks would repeat %s bytes; at most 67108864 bytes are allowed in all.', chunks, bytes),
            hint = 'Keep only what searches filter by in the metadata, make larger chunks, or divide the source.';
  end if;
end
$$;
comment on function matrice_private.require_metadata_room is
  'Raises if the metadata of a source would take more than 64 MB in all of its chunks. Each chunk repeats them, '
  'because searches filter by them.';

create or replace function matrice_private.complete_chunk() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  source record;
begin
  -- PostgreSQL checks constraints after this trigger, which would already have read a value that is too large.
  perform matrice_private.require_bytes('the content of a chunk', new.content, 1048576);
  perform matrice_private.require_json('the metadata of a chunk', new.metadata, 16384);
  if tg_op = 'INSERT' then
    -- Whoever changes the source's metadata at this moment does not see the new row.
    perform from matrice.context_sources s where s.id = new.source_id for share;
  end if;
  if tg_op = 'INSERT' or (new.content, new.token_count) is distinct from (old.content, old.token_count) then
    new.token_count := matrice.count_tokens(new.content);
  end if;
  if tg_op = 'INSERT' or (new.content, new.fts) is distinct from (old.content, old.fts) then
    new.fts := matrice_private.text_vector(new.content, matrice_private.text_language(new.project_id));
  end if;
  select s.type, s.raw_metadata into source from matrice.context_sources s where s.id = new.source_id;
  new.filterable := source.raw_metadata || jsonb_build_object('type', source.type) || new.metadata
                    || jsonb_build_object('matrice.project', new.project_id);
  return new;
end
$$;
comment on function matrice_private.complete_chunk is
  'Computes token_count, fts and filterable of a chunk. Replaces what a client writes there.';

create or replace function matrice_private.chunk_is_bounded(content text, metadata jsonb) returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_bytes('the content of a chunk', content, 1048576);
  if metadata <> '{}' then
    perform matrice_private.require_json('the metadata of a chunk', metadata, 16384);
  end if;
  return true;
end
$$;
comment on function matrice_private.chunk_is_bounded is
  'Returns true. Raises if the content or the metadata of a chunk are too large.';

create or replace function matrice_private.complete_chunks(source_id uuid, contents text[], metadata jsonb[])
returns table (place bigint, id uuid, token_count integer, fts tsvector, filterable jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  source   record;
  language text;
  base     jsonb;
begin
  select s.project_id, s.type, s.raw_metadata into source
    from matrice.context_sources s where s.id = complete_chunks.source_id for share;
  language := matrice_private.text_language(source.project_id);
  -- The metadata that all chunks have; those of a chunk override them, but not the project.
  base := source.raw_metadata || jsonb_build_object('type', source.type);
  return query
    select c.place,
           matrice._seal(
             complete_chunks.source_id, source.project_id, c.content, c.token_count, c.metadata, c.fts, c.filterable),
           c.token_count, c.fts, c.filterable
      from (
        select g.place, g.content, g.metadata, matrice.count_tokens(g.content) as token_count,
               matrice._text_vector(g.content, language) as fts,
               base || g.metadata || jsonb_build_object('matrice.project', source.project_id) as filterable
          from unnest(contents, metadata) with ordinality as g (content, metadata, place)
         where matrice_private.chunk_is_bounded(g.content, g.metadata)
        offset 0
      ) c;
end
$$;
comment on function matrice_private.complete_chunks is
  'Computes for new chunks of a source what complete_chunk computes for one, with a single look at the source, which it '
  'locks. id: stands for these columns. If the chunk is stored with it in the same statement, is_sealed returns true, and '
  'complete_chunk does not compute them again. SECURITY DEFINER: only the owner may execute the engine''s functions. The '
  'function does not check membership of the project. So only services and complete_chunks_of_member may execute it.';

create or replace function matrice_private.complete_chunks_of_member(source_id uuid, contents text[], metadata jsonb[])
returns table (place bigint, id uuid, token_count integer, fts tsvector, filterable jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if exists (
    select from matrice.context_sources s
     where s.id = complete_chunks_of_member.source_id and s.project_id = any (matrice_private.project_ids('editor'))
  ) then
    return query select c.place, c.id, c.token_count, c.fts, c.filterable
                   from matrice_private.complete_chunks(source_id, contents, metadata) c;
  end if;
end
$$;
comment on function matrice_private.complete_chunks_of_member is
  'Calls complete_chunks if the caller may edit the project of the source. SECURITY DEFINER: only the owner may execute the '
  'engine''s functions.';

create or replace function matrice_private.completed_chunks(source_id uuid, contents text[], metadata jsonb[])
returns table (place bigint, id uuid, token_count integer, fts tsvector, filterable jsonb)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if row_security_active('matrice.source_chunks') then
    return query select c.place, c.id, c.token_count, c.fts, c.filterable
                   from matrice_private.complete_chunks_of_member(source_id, contents, metadata) c;
  else
    return query select c.place, c.id, c.token_count, c.fts, c.filterable
                   from matrice_private.complete_chunks(source_id, contents, metadata) c;
  end if;
end
$$;
comment on function matrice_private.completed_chunks is
  'Calls complete_chunks for services, and complete_chunks_of_member for members.';

create or replace function matrice_private.is_sealed(chunk matrice.source_chunks) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(matrice._is_sealed(
    chunk.id, chunk.source_id, chunk.project_id, chunk.content, chunk.token_count, chunk.metadata, chunk.fts,
    chunk.filterable), false);
end
$$;
comment on function matrice_private.is_sealed is
  'Returns whether complete_chunks computed the columns of a chunk in this statement. SECURITY DEFINER: only the owner may '
  'execute the engine''s functions. The result depends on the argument, and on a key that the session keeps secret.';

-- Triggers fire in the order of their names. The triggers that set project_id must fire first.
create or replace trigger a_project_from_parent before insert on matrice.source_chunks
for each row when (
  new.project_id is null or row_security_active('matrice.source_chunks'::regclass) and not matrice_private.is_sealed(new))
execute function matrice_private.project_from_parent();
create or replace trigger a_project_of_new_parent before update of source_id on matrice.source_chunks
for each row when (old.source_id is distinct from new.source_id) execute function matrice_private.project_from_parent();
create or replace trigger complete_chunk before insert on matrice.source_chunks
for each row when (not matrice_private.is_sealed(new)) execute function matrice_private.complete_chunk();
create or replace trigger complete_changed_chunk
before update of content, metadata, fts, filterable, token_count, source_id, project_id on matrice.source_chunks
for each row execute function matrice_private.complete_chunk();

create or replace function matrice_private.refilter_chunks() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_metadata_room(
    (select max(c.chunk_index) + 1 from matrice.source_chunks c where c.source_id = new.id),
    pg_column_size(new.raw_metadata || jsonb_build_object('type', new.type, 'matrice.project', new.project_id)));
  update matrice.source_chunks set filterable = null where source_id = new.id;
  return null;
end
$$;
comment on function matrice_private.refilter_chunks is
  'Computes filterable again in all chunks of a source whose type or metadata changed.';

create or replace trigger refilter_chunks after update of type, raw_metadata on matrice.context_sources
for each row when ((old.type, old.raw_metadata) is distinct from (new.type, new.raw_metadata))
execute function matrice_private.refilter_chunks();

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
                           then c.metadata - '{headings,header,page,pages,sheets,slides}'::text[]
                           else c.metadata - '{headings,header}'::text[] end || m.metadata
      from matched m
     where c.id = m.id
       and ((c.chunk_index, c.start_char, c.end_char, c.metadata -> 'headings', c.metadata -> 'header')
              is distinct from (m.chunk_index, m.start_char, m.end_char, m.metadata -> 'headings', m.metadata -> 'header')
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
     set status = 'ready', error = null, processed_at = now(),
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
