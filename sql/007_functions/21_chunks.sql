-- Chunks: the columns of a row that matrice computes, whoever inserts it.

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
    -- Whoever changes the source's metadata at this moment does not see the new row. hold_metadata makes one wait for the other.
    perform from matrice.context_sources s where s.id = new.source_id for key share;
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
    from matrice.context_sources s where s.id = complete_chunks.source_id for key share;
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

create or replace function matrice_private.hold_metadata() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.context_sources s where s.id = old.id for update;
  return new;
end
$$;
comment on function matrice_private.hold_metadata is
  'Makes a change of the metadata of a source wait for whoever inserts chunks, and the other way round. Other changes of a '
  'source, such as those of its counts, need not wait.';

create or replace trigger hold_metadata before update of type, raw_metadata on matrice.context_sources
for each row when ((old.type, old.raw_metadata) is distinct from (new.type, new.raw_metadata))
execute function matrice_private.hold_metadata();
create or replace trigger refilter_chunks after update of type, raw_metadata on matrice.context_sources
for each row when ((old.type, old.raw_metadata) is distinct from (new.type, new.raw_metadata))
execute function matrice_private.refilter_chunks();
