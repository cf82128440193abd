-- What changes the counts of a source.
--
-- Triggers add a row to source_counts for each change. They add it up at once, unless somebody else has locked the source. Then
-- the next change or the next claim does it. Nobody waits for a source, so whoever holds chunks or leases cannot meet somebody
-- who holds the source and waits for these.

create or replace function matrice_private.count_added_chunks() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.source_counts (source_id, chunks) select a.source_id, count(*) from added a group by a.source_id;
  return null;
end
$$;
comment on function matrice_private.count_added_chunks is
  'Counts chunks that were added. SECURITY DEFINER: no client may write source_counts.';

create or replace trigger progress_added after insert on matrice.source_chunks referencing new table as added
for each statement execute function matrice_private.count_added_chunks();

create or replace function matrice_private.count_removed_chunks() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Their embeddings and failures are deleted with them, so nobody knows any more what they counted. Of a source that is deleted,
  -- nothing is counted.
  insert into matrice_private.source_counts (source_id, must_count)
  select s.id, true
    from (select distinct r.source_id from removed r) r
   cross join lateral (select s.id from matrice.context_sources s where s.id = r.source_id offset 0) s;
  return null;
end
$$;
comment on function matrice_private.count_removed_chunks is
  'Has sources counted again that lost chunks. SECURITY DEFINER: no client may write source_counts.';

create or replace trigger progress_removed after delete on matrice.source_chunks referencing old table as removed
for each statement execute function matrice_private.count_removed_chunks();

create or replace function matrice_private.count_moved_chunk() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.source_counts (source_id, must_count) values (old.source_id, true), (new.source_id, true);
  return null;
end
$$;
comment on function matrice_private.count_moved_chunk is
  'Has two sources counted again when a chunk moves from one to the other. SECURITY DEFINER: no client may write source_counts.';

create or replace trigger progress_moved after update of source_id on matrice.source_chunks
for each row when (old.source_id <> new.source_id) execute function matrice_private.count_moved_chunk();

create or replace function matrice_private.count_embeddings() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.source_counts (source_id, model, embedded)
  select c.source_id, a.model, count(*)
    from added a
   cross join lateral (select c.source_id from matrice.source_chunks c where c.id = a.chunk_id offset 0) c
   group by c.source_id, a.model;
  return null;
end
$$;
comment on function matrice_private.count_embeddings is
  'Counts embeddings that were stored. SECURITY DEFINER: no client may write source_counts.';

create or replace trigger progress_added after insert on matrice.chunk_embeddings referencing new table as added
for each statement execute function matrice_private.count_embeddings();

create or replace function matrice_private.count_lost_embedding() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.source_counts (source_id, model, embedded)
  select c.source_id, old.model, -1 from matrice.source_chunks c where c.id = old.chunk_id;
  if tg_op = 'UPDATE' then
    insert into matrice_private.source_counts (source_id, model, embedded)
    select c.source_id, new.model, 1 from matrice.source_chunks c where c.id = new.chunk_id;
  end if;
  return null;
end
$$;
comment on function matrice_private.count_lost_embedding is
  'Counts an embedding that was deleted or moved, unless its chunk is deleted, too. SECURITY DEFINER: no client may write '
  'source_counts.';

-- For each row: deleting a chunk deletes its embeddings and leases by a statement each, most of which find none.
create or replace trigger progress_removed after delete on matrice.chunk_embeddings
for each row execute function matrice_private.count_lost_embedding();
create or replace trigger progress_moved after update of chunk_id, model on matrice.chunk_embeddings
for each row when ((old.chunk_id, old.model) is distinct from (new.chunk_id, new.model))
execute function matrice_private.count_lost_embedding();

create or replace function matrice_private.count_failure() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'INSERT' and old.is_failed then
    insert into matrice_private.source_counts (source_id, model, failed)
    select c.source_id, old.model, -1 from matrice.source_chunks c where c.id = old.chunk_id;
  end if;
  if tg_op <> 'DELETE' and new.is_failed then
    insert into matrice_private.source_counts (source_id, model, failed)
    select c.source_id, new.model, 1 from matrice.source_chunks c where c.id = new.chunk_id;
  end if;
  return null;
end
$$;
comment on function matrice_private.count_failure is
  'Counts a chunk that failed for good, or may be claimed again, unless the chunk is deleted. SECURITY DEFINER: no client may '
  'write source_counts.';

create or replace trigger progress_added after insert on matrice.embedding_leases
for each row when (new.is_failed) execute function matrice_private.count_failure();
create or replace trigger progress_moved after update of is_failed, chunk_id, model on matrice.embedding_leases
for each row when (old.is_failed is distinct from new.is_failed or old.chunk_id is distinct from new.chunk_id
                   or old.model is distinct from new.model)
execute function matrice_private.count_failure();
create or replace trigger progress_removed after delete on matrice.embedding_leases
for each row when (old.is_failed) execute function matrice_private.count_failure();
