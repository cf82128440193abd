-- A chunk whose text changes: its embeddings and failures are deleted, and who stores an embedding holds the text. And which
-- chunks a worker may answer about.

create or replace function matrice_private.hold_text() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.source_chunks c where c.id = old.id for update;
  return new;
end
$$;
comment on function matrice_private.hold_text is
  'Locks a chunk FOR UPDATE when its text changes, as if its key changed. store_embeddings locks chunks FOR KEY '
  'SHARE, so it waits for the new text, or the new text waits for it and then deletes its embedding.';

create or replace trigger hold_text before update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.hold_text();

create or replace function matrice_private.forget_embeddings() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice.chunk_embeddings where chunk_id = new.id;
  return null;
end
$$;
comment on function matrice_private.forget_embeddings is
  'Deletes the embeddings of a chunk whose text changed, so that it can be claimed again.';

create or replace trigger forget_embeddings after update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.forget_embeddings();

create or replace function matrice_private.forget_failures() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A lease that a worker holds stays: nobody else gets the chunk while this worker may still answer.
  delete from matrice.embedding_leases where chunk_id = new.id and lease_id is null;
  return null;
end
$$;
comment on function matrice_private.forget_failures is
  'Deletes the failures of a chunk''s former text, so that the new text can be claimed at once. SECURITY DEFINER: no '
  'client may write leases. It deletes leases of the changed chunk only.';

create or replace trigger forget_failures after update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.forget_failures();

create or replace function matrice_private.hold_chunks(chunk_ids uuid[]) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off
as $$
declare
  wanted  uuid[] := chunk_ids;
  awaited uuid;
  held    uuid[];
begin
  loop
    begin
      if awaited is not null then
        -- No other chunk is locked while this waits.
        perform from matrice.source_chunks c where c.id = awaited for key share;
        if not found then
          wanted := array_remove(wanted, awaited);
        end if;
      end if;
      held := array(select c.id from matrice.source_chunks c where c.id = any (wanted) for key share skip locked);
      -- Usually nobody has locked one.
      exit when cardinality(held) = cardinality(wanted);
      select c.id into awaited
        from matrice.source_chunks c
       where c.id = any (wanted) and not exists (select from unnest(held) as h (id) where h.id = c.id)
       order by c.id limit 1;
      exit when not found;
      raise exception using errcode = 'MT001', message = 'not all chunks could be locked';
    exception when sqlstate 'MT001' then
      -- Releases the locks.
    end;
  end loop;
  return held;
end
$$;
comment on function matrice_private.hold_chunks is
  'Locks those of the chunks that exist, so that nobody deletes them or changes their text. Returns them. Locks all '
  'or none: while it waits for one, it holds no other.';

create or replace function matrice_private.not_chunks(ids uuid[]) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
  return array(
    select g.id from unnest(ids) as g (id)
     where not exists (select from (select c.id from matrice.source_chunks c where c.id = g.id offset 0) c));
end
$$;
comment on function matrice_private.not_chunks is
  'Returns those of the ids that are of no chunk that the caller can see: they may be of insights.';

create or replace function matrice_private.require_chunks(chunk_ids uuid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  project  uuid;
  projects uuid[];
  found    integer;
  others   uuid[] := array[]::uuid[];
begin
  if array_ndims(chunk_ids) > 1 then
    raise exception 'chunk_ids must be a plain list'
      using errcode = '22023', detail = format('It has %s dimensions.', array_ndims(chunk_ids)),
            hint = 'Pass the chunk_id values that claim_chunks returned.';
  end if;
  if chunk_ids is null or array_position(chunk_ids, null) is not null then
    raise exception 'chunk_ids must not be null and must not contain null'
      using errcode = '22004', hint = 'Pass the chunk_id values that claim_chunks returned.';
  end if;
  select array_agg(distinct c.project_id), count(*) into projects, found
    from matrice.source_chunks c where c.id = any (chunk_ids);
  -- Usually all are chunks.
  if found < cardinality(chunk_ids) then
    others := matrice_private.not_chunks(chunk_ids);
  end if;
  if cardinality(chunk_ids) > 0 and cardinality(others) = cardinality(chunk_ids)
     and not exists (select from matrice.insights i where i.id = any (others)) then
    raise exception 'chunks not found'
      using errcode = 'PT404',
            detail = format('You can see none of the %s chunks.', cardinality(chunk_ids)),
            hint = 'Their source may have been cut again since you claimed them. Claim again.';
  end if;
  if others <> '{}' then
    projects := projects || array(select i.project_id from matrice.insights i where i.id = any (others));
  end if;
  for project in select distinct p.id from unnest(projects) as p (id) loop
    perform matrice_private.require_role(project, 'editor');
  end loop;
end
$$;
comment on function matrice_private.require_chunks is
  'Raises unless the caller is an editor of the projects of the chunks and insights. Ignores those that no longer exist, but '
  'raises if none exists.';
