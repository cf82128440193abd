-- Chunks that a client cut itself.
--
-- Such a source has no format, no max_tokens and no stored text. So rechunk leaves it alone, and chunk_source gives it a text.

create or replace function matrice_private.wrong_chunk(chunk jsonb) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  unknown text;
  place   text;
begin
  if jsonb_typeof(chunk) <> 'object' then
    return 'It is no object.';
  elsif jsonb_typeof(chunk -> 'content') is distinct from 'string' then
    return 'It has no "content" that is a string.';
  elsif octet_length(chunk ->> 'content') > 1048576 then
    return 'Its content has more than 1048576 bytes.';
  elsif btrim(chunk ->> 'content', E' \t\n\r\f\v') = '' then
    return 'Its content is empty or has only white space.';
  elsif coalesce(jsonb_typeof(chunk -> 'metadata'), 'null') not in ('object', 'null') then
    return 'Its metadata are no object.';
  elsif not matrice_private.json_within(chunk -> 'metadata', 16384) then
    return 'Its metadata are larger than 16384 bytes, deeper than 64 levels, or have a number beyond 1e308.';
  end if;
  foreach place in array '{start_char,end_char}'::text[] loop
    if coalesce(jsonb_typeof(chunk -> place), 'null') <> 'null' and (
         jsonb_typeof(chunk -> place) <> 'number'
         or not (chunk ->> place)::numeric between 0 and 1000000000 or (chunk ->> place)::numeric % 1 <> 0) then
      return format('Its %s is no whole number from 0 to 1000000000.', place);
    end if;
  end loop;
  if (chunk ->> 'end_char')::numeric < (chunk ->> 'start_char')::numeric then
    return 'Its end_char is before its start_char.';
  end if;
  select k.key into unknown from jsonb_object_keys(chunk) as k (key)
   where k.key not in ('content', 'start_char', 'end_char', 'metadata', 'token_count') limit 1;
  if found then
    return format('It has the unknown key "%s".', left(unknown, 100));
  end if;
  return null;
end
$$;
comment on function matrice_private.wrong_chunk is 'Returns what is wrong with a chunk that a client cut; null if it is right.';

create or replace function matrice_private.require_client_chunks(chunks jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong record;
  bytes bigint;
begin
  perform matrice_private.require_given('chunks', chunks);
  if jsonb_typeof(chunks) <> 'array' or jsonb_array_length(chunks) not between 1 and 100000 then
    raise exception 'chunks must be a JSON array of 1 to 100000 objects'
      using errcode = '22023', hint = 'Such as [{"content": "…", "start_char": 0, "end_char": 120, "metadata": {"page": 1}}].';
  end if;
  select c.place, w.reason into wrong
    from jsonb_array_elements(chunks) with ordinality as c (chunk, place)
   cross join lateral (select matrice_private.wrong_chunk(c.chunk) as reason offset 0) w
   where w.reason is not null
   order by c.place limit 1;
  if found then
    raise exception 'chunks must be objects with a content'
      using errcode = '22023', detail = format('Entry %s: %s', wrong.place, wrong.reason),
            hint = 'Besides content, a chunk may have start_char, end_char, metadata, and token_count, which is counted anew.';
  end if;
  select sum(octet_length(c.chunk ->> 'content')) into bytes from jsonb_array_elements(chunks) as c (chunk);
  if bytes > 67108864 then
    raise exception 'chunks are too long'
      using errcode = '22023', detail = format('Their texts have %s bytes; at most 67108864 are allowed.', bytes),
            hint = 'Divide the document into several sources.';
  elsif jsonb_array_length(chunks) > 10000 and bytes < 32 * jsonb_array_length(chunks)::bigint then
    -- A row takes hundreds of bytes, however short its text is.
    raise exception 'the source has too many small chunks'
      using errcode = '22023', detail = format('%s chunks have %s bytes.', jsonb_array_length(chunks), bytes),
            hint = 'If a source has more than 10000 chunks, they need 32 bytes each on average.';
  end if;
end
$$;
comment on function matrice_private.require_client_chunks is
  'Raises unless chunks are a JSON array of chunks that a client cut, and not too many or too long.';

create or replace function matrice_private.lay_client_chunks(source_id uuid, project_id uuid, chunks jsonb)
returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cut record;
begin
  select array_agg(c.chunk ->> 'content' order by c.place) as contents,
         array_agg((c.chunk ->> 'start_char')::numeric::integer order by c.place) as start_chars,
         array_agg((c.chunk ->> 'end_char')::numeric::integer order by c.place) as end_chars,
         array_agg(nullif(c.chunk -> 'metadata', 'null') order by c.place) as metadata
    into cut
    from jsonb_array_elements(lay_client_chunks.chunks) with ordinality as c (chunk, place);
  perform matrice_private.require_room(lay_client_chunks.source_id, cut.metadata, null);
  select l.total, l.added, l.kept, l.removed into total, added, kept, removed
    from matrice_private.lay_chunks(
           lay_client_chunks.source_id, lay_client_chunks.project_id, cut.contents, cut.start_chars, cut.end_chars, cut.metadata,
           false, false) l;
  update matrice.context_sources s
     set status = 'processing', error = null, processed_at = now(), content_hash = null, format = null, max_tokens = null,
         overlap_tokens = null,
         token_count = (select least(sum(c.token_count), 1000000000) from matrice.source_chunks c where c.source_id = s.id)
   where s.id = lay_client_chunks.source_id;
  return next;
end
$$;
comment on function matrice_private.lay_client_chunks is
  'Makes chunks that a client cut the chunks of a source. Returns what chunk_source returns. Checks neither roles nor arguments: '
  'its callers do, and lock the source.';

create or replace function matrice.ingest_chunks(
  project_id uuid, name text, chunks jsonb, type text default 'file', storage_path text default null, metadata jsonb default '{}'
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  new_id uuid;
begin
  new_id := matrice_private.add_source(project_id, name, type, storage_path, metadata);
  perform matrice_private.require_client_chunks(chunks);
  perform matrice_private.lay_client_chunks(new_id, project_id, chunks);
  return new_id;
end
$$;
comment on function matrice.ingest_chunks is
  'Adds a document that the client has cut into chunks itself. Returns the id of the new source. chunks: a JSON array of 1 to '
  '100,000 objects, in their order, such as [{"content": "…", "start_char": 0, "end_char": 120, "metadata": {"page": 1}}]. '
  'content: at most 1 MB, and 64 MB in all. start_char, end_char: where it is in the text of the client. metadata: searches '
  'can filter by it. token_count: ignored, because matrice counts the tokens. The text is not stored, so rechunk leaves the '
  'source alone; replace_chunks gives it other chunks. type, storage_path, metadata: as in ingest_source. Defaults: type '
  '''file'', metadata ''{}''.';

create or replace function matrice.replace_chunks(source_id uuid, chunks jsonb)
returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
begin
  owner_project := matrice_private.project_of_source(source_id, 'editor');
  perform matrice_private.require_client_chunks(chunks);
  perform matrice_private.hold_source(source_id);
  return query select * from matrice_private.lay_client_chunks(source_id, owner_project, chunks);
end
$$;
comment on function matrice.replace_chunks is
  'Replaces the chunks of a source by others that the client has cut itself. Returns the numbers of chunks: total, added, '
  'kept and removed. A chunk whose text did not change keeps its row, id and embeddings. Without metadata of its own, it '
  'keeps those that it has, but loses page, pages, sheets and slides if start_char or end_char is another. chunks: as in '
  'ingest_chunks. Texts that are stored stay in the history of the source.';
