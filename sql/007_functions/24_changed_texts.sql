-- A chunk whose text changes: its embeddings and failures are deleted, and who stores an embedding holds the text.

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
