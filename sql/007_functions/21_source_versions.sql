-- The versions of a source's text: read, restored, and cut again. 21_source_texts.sql stores them.

create or replace function matrice_private.project_of_source(source_id uuid, least_role text) returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('source_id', source_id);
  select s.project_id into owner_project from matrice.context_sources s where s.id = project_of_source.source_id;
  if not found then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('There is no source %s that you can see.', source_id);
  end if;
  perform matrice_private.require_role(owner_project, least_role);
  return owner_project;
end
$$;
comment on function matrice_private.project_of_source is
  'Returns the project of a source. Raises unless the caller can see the source and has at least this role in its project.';

create or replace function matrice_private.hold_source(source_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- One call at a time cuts the source, and it is locked before its chunks.
  perform from matrice.context_sources s where s.id = hold_source.source_id for no key update;
  if not found then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('Source %s has just been deleted.', source_id);
  end if;
  -- Locks all chunks before the first is changed. Otherwise another transaction could lock a chunk that this one needs, and wait
  -- for a chunk_index that this one has just given to another chunk.
  perform from matrice.source_chunks c where c.source_id = hold_source.source_id order by c.id for update;
end
$$;
comment on function matrice_private.hold_source is
  'Locks a source and its chunks, before they are changed. Raises if the source has just been deleted.';

create or replace function matrice_private.current_version(source_id uuid) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select max(t.version)
            from matrice.context_sources s join matrice.source_texts t on t.source_id = s.id
           where s.id = current_version.source_id and s.format is not null);
end
$$;
comment on function matrice_private.current_version is
  'Returns the version of the text that the chunks of a source come from; null if that text is not stored.';

create or replace function matrice_private.require_version(source_id uuid, version integer) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if require_version.version is null then
    raise exception 'no text of the source is stored'
      using errcode = 'PT404',
            detail = format('A client cut source %s itself, or its project did not keep texts when it was cut.', source_id),
            hint = 'Pass the text to chunk_source. To keep it, the setting "keep_source_texts" of the project must not be false.';
  elsif not exists (
    select from matrice.source_texts t where t.source_id = require_version.source_id and t.version = require_version.version
  ) then
    raise exception 'the source has no version %', require_version.version
      using errcode = 'PT404', detail = format('No such text of source %s is stored.', source_id),
            hint = 'source_history() lists the versions that are stored.';
  end if;
end
$$;
comment on function matrice_private.require_version is 'Raises unless a version of the text of a source is stored.';

create or replace function matrice.source_text(source_id uuid, version integer default null) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  chosen integer;
begin
  perform matrice_private.project_of_source(source_id, 'viewer');
  chosen := coalesce(source_text.version, matrice_private.current_version(source_id));
  perform matrice_private.require_version(source_id, chosen);
  return (select t.content from matrice.source_texts t where t.source_id = source_text.source_id and t.version = chosen);
end
$$;
comment on function matrice.source_text is
  'Returns the text of a source. version: as source_history lists them; if null, the text that its chunks come from. Raises '
  'PT404 if that text is not stored.';

create or replace function matrice.source_history(source_id uuid) returns table (
  version integer, created_at timestamptz, created_by uuid, characters integer, token_count integer, format text,
  max_tokens integer, overlap_tokens integer, is_current boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  current integer;
begin
  perform matrice_private.project_of_source(source_id, 'viewer');
  current := matrice_private.current_version(source_id);
  return query
    select t.version, t.created_at, t.created_by, t.characters, t.token_count, t.format, t.max_tokens, t.overlap_tokens,
           t.version is not distinct from current
      from matrice.source_texts t
     where t.source_id = source_history.source_id
     order by t.version desc;
end
$$;
comment on function matrice.source_history is
  'Returns the versions of the text of a source that are stored, the newest first, with the options that each was last cut with. '
  'is_current: whether the chunks of the source come from this version.';

create or replace function matrice.restore_source(source_id uuid, version integer)
returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
  old           record;
begin
  perform matrice_private.require_given('version', version);
  owner_project := matrice_private.project_of_source(source_id, 'editor');
  perform matrice_private.hold_source(source_id);
  perform matrice_private.require_version(source_id, version);
  select t.* into old from matrice.source_texts t
   where t.source_id = restore_source.source_id and t.version = restore_source.version;
  return query
    select * from matrice_private.cut_source(
      source_id, owner_project, old.content, old.format, old.max_tokens, old.overlap_tokens, old.spans);
end
$$;
comment on function matrice.restore_source is
  'Makes an old version of the text of a source its text again, as a new version, and cuts it with the options of that version. '
  'Returns the numbers of chunks, as chunk_source does. The newest version is only cut again. Raises PT404 if there is no such '
  'version. Needs the role editor.';

create or replace function matrice_private.require_sources(project_id uuid, source_ids uuid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  unknown uuid;
begin
  if array_ndims(source_ids) > 1 or cardinality(source_ids) > 100000 or array_position(source_ids, null) is not null then
    raise exception 'source_ids must be a plain list of at most 100000 ids, without null'
      using errcode = '22023', hint = 'Leave it out for all sources of the project.';
  end if;
  select g.id into unknown from unnest(source_ids) as g (id)
   where not exists (select from matrice.context_sources s where s.id = g.id and s.project_id = require_sources.project_id)
   limit 1;
  if found then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('The project has no source %s that you can see.', unknown);
  end if;
end
$$;
comment on function matrice_private.require_sources is
  'Raises unless ids are sources of a project. Null is allowed: it means all sources.';

create or replace function matrice.rechunk(
  project_id uuid, format text default null, max_tokens integer default null, overlap_tokens integer default null,
  source_ids uuid[] default null
) returns table (source_id uuid, total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  source record;
  stored record;
  held   uuid[];
begin
  perform matrice_private.require_role(rechunk.project_id, 'editor');
  perform matrice_private.hold_project(rechunk.project_id);
  perform matrice_private.require_sources(rechunk.project_id, rechunk.source_ids);
  -- All sources before the first chunk, and in the order of their ids: see 23_chunk_leases.sql.
  held := array(
    select s.id from matrice.context_sources s
     where s.project_id = rechunk.project_id and (rechunk.source_ids is null or s.id = any (rechunk.source_ids))
     order by s.id
       for no key update);
  for source in
    select s.id, s.format, s.max_tokens, s.overlap_tokens
      from matrice.context_sources s where s.id = any (held) order by s.created_at, s.id
  loop
    select t.content, t.spans, t.max_tokens, t.overlap_tokens into stored from matrice.source_texts t
     where t.source_id = source.id and t.version = matrice_private.current_version(source.id);
    source_id := source.id;
    total := null; added := null; kept := null; removed := null;
    if found then
      perform matrice_private.hold_source(source.id);
      select c.total, c.added, c.kept, c.removed into total, added, kept, removed
        from matrice_private.cut_source(
               source.id, rechunk.project_id, stored.content, coalesce(rechunk.format, source.format),
               coalesce(rechunk.max_tokens, source.max_tokens, stored.max_tokens),
               coalesce(rechunk.overlap_tokens, source.overlap_tokens, stored.overlap_tokens), stored.spans) c;
    end if;
    return next;
  end loop;
end
$$;
comment on function matrice.rechunk is
  'Cuts the stored texts of a project into chunks again: with other options, or by a newer version of matrice. Returns for each '
  'source the numbers of chunks, as chunk_source does. total is null if the text is not stored, or if a client cut the chunks '
  'itself: then they stay as they are. A chunk whose text did not change keeps its row, id, embeddings and metadata. format, '
  'max_tokens, overlap_tokens: if null, those of each source. source_ids: only these sources; null: all of the project. A large '
  'project takes minutes; pass source_ids to divide the work.';
