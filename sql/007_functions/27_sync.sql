-- Keeping sources in step with documents elsewhere: by a key of the client's own.

create or replace function matrice_private.keyed_source(
  project_id uuid, source_key text, name text, type text, storage_path text, metadata jsonb,
  out source_id uuid, out is_new boolean
) returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  loop
    insert into matrice.context_sources as s (project_id, source_key, name, type, storage_path, raw_metadata)
    values (keyed_source.project_id, keyed_source.source_key, coalesce(keyed_source.name, keyed_source.source_key),
            coalesce(keyed_source.type, 'file'), keyed_source.storage_path, coalesce(keyed_source.metadata, '{}'))
    on conflict on constraint context_sources_project_id_source_key_key do nothing
    returning s.id into source_id;
    is_new := found;
    exit when is_new;
    -- One call at a time works on the source. Whoever waits sees what the other one stored.
    select s.id into source_id from matrice.context_sources s
     where s.project_id = keyed_source.project_id and s.source_key = keyed_source.source_key
       for no key update;
    -- Else it has just been deleted.
    exit when found;
  end loop;
end
$$;
comment on function matrice_private.keyed_source is
  'Finds the source of a project that has a key, and locks it; or adds it. Checks neither roles nor arguments: its callers do.';

create or replace function matrice.sync_source(
  project_id uuid, source_key text, content text, name text default null, type text default null, format text default null,
  max_tokens integer default null, overlap_tokens integer default null, storage_path text default null,
  metadata jsonb default null, spans jsonb default null
) returns table (source_id uuid, action text, total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  known  record;
  stored record;
begin
  perform matrice_private.require_text('source_key', source_key);
  perform matrice_private.require_bytes('source_key', source_key, 2000);
  perform matrice_private.require_bytes('name', name, 2000);
  perform matrice_private.require_bytes('type', type, 200);
  perform matrice_private.require_bytes('storage_path', storage_path, 2000);
  if metadata is not null then
    perform matrice_private.require_object('metadata', metadata);
    perform matrice_private.require_json('metadata', metadata, 16384);
  end if;
  perform matrice_private.require_role(sync_source.project_id, 'editor');
  perform matrice_private.hold_project(sync_source.project_id);
  perform matrice_private.require_given('content', content);
  perform matrice_private.require_bytes('content', content, 67108864);
  known := matrice_private.keyed_source(
    sync_source.project_id, sync_source.source_key, sync_source.name, sync_source.type, sync_source.storage_path, sync_source.metadata);
  source_id := known.source_id;
  select s.* into stored from matrice.context_sources s where s.id = known.source_id;
  format := coalesce(sync_source.format, stored.format, 'text');
  max_tokens := coalesce(sync_source.max_tokens, stored.max_tokens, 512);
  overlap_tokens := coalesce(sync_source.overlap_tokens, stored.overlap_tokens, 64);
  if not known.is_new then
    update matrice.context_sources s
       set name = coalesce(sync_source.name, s.name), type = coalesce(sync_source.type, s.type),
           storage_path = coalesce(sync_source.storage_path, s.storage_path),
           raw_metadata = coalesce(sync_source.metadata, s.raw_metadata)
     where s.id = known.source_id
       and (s.name, s.type, s.storage_path, s.raw_metadata)
           is distinct from (coalesce(sync_source.name, s.name), coalesce(sync_source.type, s.type),
                             coalesce(sync_source.storage_path, s.storage_path), coalesce(sync_source.metadata, s.raw_metadata));
    action := case when found then 'updated' else 'unchanged' end;
    if stored.content_hash = matrice_private.content_hash(content, format, max_tokens, overlap_tokens, spans)
       and stored.status <> 'error' then
      if matrice_private.current_version(known.source_id) is null then
        -- It came before texts were kept.
        perform matrice_private.remember_text(
          known.source_id, content, format, least(max_tokens, 1000000000), least(overlap_tokens, 1000000000), stored.token_count,
          spans);
      end if;
      select count(*), 0, count(*), 0 into total, added, kept, removed
        from matrice.source_chunks c where c.source_id = known.source_id;
      return next;
      return;
    end if;
    -- Locks all chunks before it changes the first, as chunk_source does.
    perform from matrice.source_chunks c where c.source_id = known.source_id order by c.id for update;
  end if;
  action := case when known.is_new then 'added' else 'updated' end;
  return query
    select known.source_id, sync_source.action, c.*
      from matrice_private.cut_source(
             known.source_id, sync_source.project_id, sync_source.content, sync_source.format, sync_source.max_tokens,
             sync_source.overlap_tokens, spans) c;
end
$$;
comment on function matrice.sync_source is
  'Makes a text the content of the source that has a key, and adds the source if there is none. Returns the source, what it '
  'did (added, updated or unchanged), and the numbers of chunks. The same text with the same options changes nothing, and a '
  'chunk whose text did not change keeps its row, id, embeddings and metadata. source_key: the client''s own name for the '
  'document, such as its path or URL. name: if null, it stays, and a new source gets the key as its name. type, '
  'storage_path, metadata: if null, they stay. content, format, max_tokens, overlap_tokens, spans: as in chunk_source.';

create or replace function matrice.sync_sources(
  project_id uuid, source_keys text[], prefix text default null, max_share double precision default 1,
  dry_run boolean default false
) returns table (source_id uuid, source_key text, name text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  known bigint;
  gone  uuid[];
begin
  perform matrice_private.require_given('source_keys', source_keys);
  perform matrice_private.require_given('max_share', max_share);
  perform matrice_private.require_given('dry_run', dry_run);
  perform matrice_private.require_bytes('prefix', prefix, 2000);
  if array_ndims(source_keys) > 1 or cardinality(source_keys) > 100000 or array_position(source_keys, null) is not null then
    raise exception 'source_keys must be a plain list of at most 100000 keys, without null'
      using errcode = '22023', hint = 'Pass the keys of all documents that still exist. With prefix, a call can cover a part of them.';
  end if;
  if cardinality(source_keys) = 0 then
    raise exception 'source_keys must not be empty'
      using errcode = '22023', detail = 'It would delete all sources that have a key.',
            hint = 'To delete them, delete rows of matrice.context_sources.';
  end if;
  if max_share not between 0 and 1 then
    raise exception 'max_share must be from 0 to 1, not %', max_share
      using errcode = '22023', hint = 'At 0.5, at most half of the sources may be deleted.';
  end if;
  perform matrice_private.require_role(sync_sources.project_id, 'editor');
  perform matrice_private.hold_project(sync_sources.project_id);
  gone := array(
    select s.id from matrice.context_sources s
     where s.project_id = sync_sources.project_id and s.source_key is not null
       and starts_with(s.source_key, coalesce(prefix, ''))
       and s.source_key not in (select k.key from unnest(source_keys) as k (key))
     order by s.id
       for update);
  known := (
    select count(*) from matrice.context_sources s
     where s.project_id = sync_sources.project_id and s.source_key is not null
       and starts_with(s.source_key, coalesce(prefix, '')));
  if cardinality(gone) > max_share * known then
    raise exception '% of % sources would be deleted', cardinality(gone), known
      using errcode = 'PT409', detail = format('max_share allows %s of them.', floor(max_share * known)),
            hint = 'Check that source_keys has all documents that still exist. If it has, pass a larger max_share '
                   '(matrice-worker sync --allow-removals).';
  end if;
  if dry_run then
    return query select s.id, s.source_key, s.name from matrice.context_sources s where s.id = any (gone);
    return;
  end if;
  return query
    delete from matrice.context_sources s where s.id = any (gone) returning s.id, s.source_key, s.name;
end
$$;
comment on function matrice.sync_sources is
  'Deletes the sources of a project whose documents are gone: those that have a key which is not among source_keys. Sources '
  'without a key stay. Returns what it deleted. source_keys: of all documents that still exist; an empty list is refused. '
  'prefix: only keys that begin so. max_share: if more than this part of the sources with the prefix would be deleted, none '
  'is, and the call fails (PT409). dry_run: returns what would be deleted, and deletes nothing. Defaults: max_share 1, '
  'dry_run false.';
