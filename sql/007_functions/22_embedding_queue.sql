-- Where the waiting chunks are: the parts of sources that a claim looks into.
--
-- The queue is derived: a chunk without an embedding and without a live lease is claimable. waiting_parts is an index of it, by
-- parts of 128 chunks. It may name too many parts, never too few:
--
-- - Whoever makes a chunk claimable adds a row for its part: an insert or move of chunks, the loss of an embedding, the end of a
--   lease. A row is only added, never looked up first, so nobody waits and no row can disappear in between.
-- - A claim that has looked through a part settles it. It locks the rows of the part. Then it looks again, with a new snapshot,
--   and replaces them: by none if all chunks are embedded, else by one that is due when the first lease ends. A row that is added
--   meanwhile stays.
-- - A model that nobody has claimed in a project has no rows there: its first claim lists all parts. drop_embeddings makes a
--   model such a one again.
-- - New chunks are listed for no model in particular, because their writer may not see a model that is just being claimed for the
--   first time. Settling lists them for each model of the project. The first claim of a model in a project lists all parts of it.
--   Both hold an advisory lock of the project, which nobody waits for.
--
-- Rows that are loaded without triggers are found after rebuild_embedding_queue.

create or replace function matrice_private.list_parts() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into matrice_private.waiting_parts (project_id, source_id, part, due)
    select a.project_id, a.source_id, a.part, least(s.created_at, now())
      from (select distinct project_id, source_id, chunk_index / 128 as part from added) a
      join matrice.context_sources s on s.id = a.source_id;
  else
    insert into matrice_private.waiting_parts (project_id, source_id, part, due)
    select a.project_id, a.source_id, a.part, least(s.created_at, now())
      from (
        -- No join: the plan that the first statement of a session gets is slow for many rows.
        select distinct m.project_id, m.source_id, m.part
          from (select a.id, a.project_id, a.source_id, a.chunk_index / 128 as part from added a
                except
                select r.id, r.project_id, r.source_id, r.chunk_index / 128 from removed r) m
      ) a
      join matrice.context_sources s on s.id = a.source_id;
  end if;
  return null;
end
$$;
comment on function matrice_private.list_parts is
  'Lists the parts that chunks were added to, or moved to. SECURITY DEFINER: no client may write waiting_parts.';

create or replace trigger list_added after insert on matrice.source_chunks referencing new table as added
for each statement execute function matrice_private.list_parts();
create or replace trigger list_moved after update on matrice.source_chunks referencing old table as removed new table as added
for each statement execute function matrice_private.list_parts();

create or replace function matrice_private.is_listed(project_id uuid, model text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from matrice_private.embedding_queues q where q.project_id = is_listed.project_id and q.model = is_listed.model);
end
$$;
comment on function matrice_private.is_listed is 'Returns whether the parts of a project are listed for a model.';

create or replace function matrice_private.is_claimed(project_id uuid, model text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if matrice_private.is_listed(project_id, model) or current_setting('transaction_isolation') <> 'read committed'
    or not pg_try_advisory_xact_lock_shared(hashtext('matrice.embedding_queues'), hashtext(project_id::text)) then
    return true;
  end if;
  -- This look is newer than the lock.
  return matrice_private.is_listed(project_id, model);
end
$$;
comment on function matrice_private.is_claimed is
  'Returns whether parts must be listed for a model in a project. If nobody claims it there, its first claim will list them. '
  'A lock keeps that from happening meanwhile.';

create or replace function matrice_private.list_chunk() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Usually the chunk is deleted, too.
  if not exists (select from matrice.source_chunks c where c.id = old.chunk_id) then
    return null;
  end if;
  if not matrice_private.is_claimed(old.project_id, old.model) then
    return null;
  end if;
  insert into matrice_private.waiting_parts (project_id, source_id, part, model, due)
  select c.project_id, c.source_id, c.chunk_index / 128, old.model, least(s.created_at, now())
    from matrice.source_chunks c
    join matrice.context_sources s on s.id = c.source_id
   where c.id = old.chunk_id
     -- OFFSET 0, so that no plan reads all embeddings of the model.
     and not exists (
       select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = old.chunk_id offset 0) e
        where e.model = old.model
          and e.template_hash is not distinct from coalesce((
            select matrice_private.wanted_template(p.settings, p.reembed_template) from matrice.projects p
             where p.id = old.project_id), e.template_hash));
  return null;
end
$$;
comment on function matrice_private.list_chunk is
  'Lists the part of a chunk that lost its embedding, or whose lease was shortened, unless it is deleted or has an embedding, '
  'or nobody claims the model in the project. SECURITY DEFINER: no client may write waiting_parts.';

create or replace function matrice_private.list_freed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Each deleted chunk deletes its leases by a statement, most of which find none.
  if not exists (select from removed) then
    return null;
  end if;
  -- Usually all of them have an embedding now.
  with waiting as materialized (
    -- OFFSET 0, so that no plan reads all embeddings of the model, or all chunks.
    select r.chunk_id, r.project_id, r.model
      from removed r
     where not exists (
       select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = r.chunk_id offset 0) e
        where e.model = r.model
          and e.template_hash is not distinct from coalesce((
            select matrice_private.wanted_template(p.settings, p.reembed_template) from matrice.projects p
             where p.id = r.project_id), e.template_hash))
  ), claimed as materialized (
    select d.project_id, d.model from (select distinct w.project_id, w.model from waiting w) d
     where matrice_private.is_claimed(d.project_id, d.model)
  )
  insert into matrice_private.waiting_parts (project_id, source_id, part, model, due)
  select f.project_id, f.source_id, f.part, f.model, least(s.created_at, now())
    from (
      select distinct c.project_id, c.source_id, c.chunk_index / 128 as part, w.model
        from waiting w
       cross join lateral (select c.* from matrice.source_chunks c where c.id = w.chunk_id offset 0) c
       where (c.project_id, w.model) in (select d.project_id, d.model from claimed d)
    ) f
    join matrice.context_sources s on s.id = f.source_id;
  return null;
end
$$;
comment on function matrice_private.list_freed is
  'Lists the parts of chunks that lost their lease, unless they are deleted or have an embedding, or nobody claims the '
  'model in the project. SECURITY DEFINER: no client may write waiting_parts.';

-- For each row: deleting a chunk deletes its embeddings by a statement, most of which find none.
create or replace trigger list_removed after delete on matrice.chunk_embeddings
for each row execute function matrice_private.list_chunk();
create or replace trigger list_moved after update of chunk_id, model on matrice.chunk_embeddings
for each row when ((old.chunk_id, old.model) is distinct from (new.chunk_id, new.model))
execute function matrice_private.list_chunk();
-- For each statement: a worker's batch ends many leases at once.
create or replace trigger list_removed after delete on matrice.embedding_leases referencing old table as removed
for each statement execute function matrice_private.list_freed();
create or replace trigger list_shortened after update of chunk_id, model, leased_until on matrice.embedding_leases
for each row when (new.leased_until < old.leased_until or (old.chunk_id, old.model) is distinct from (new.chunk_id, new.model))
execute function matrice_private.list_chunk();

create or replace trigger forget_parts after delete on matrice.context_sources referencing old table as removed
for each statement execute function matrice_private.forget_rows_of_sources('waiting_parts');

create or replace trigger forget_queues after delete on matrice.projects
for each row execute function matrice_private.forget_rows('embedding_queues');

create or replace function matrice_private.forget_queues() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- TRUNCATE would wait for claims, which wait for the table that is being truncated.
  delete from matrice_private.embedding_queues where true;
  return null;
end
$$;
comment on function matrice_private.forget_queues is
  'Forgets which models have listed parts when the owner truncates embeddings or leases. SECURITY DEFINER: no client may '
  'write embedding_queues.';

create or replace trigger forget_queues after truncate on matrice.chunk_embeddings
for each statement execute function matrice_private.forget_queues();
create or replace trigger forget_queues after truncate on matrice.embedding_leases
for each statement execute function matrice_private.forget_queues();

create or replace function matrice_private.rebuild_embedding_queue(project_id uuid default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice_private.embedding_queues q
   where rebuild_embedding_queue.project_id is null or q.project_id = rebuild_embedding_queue.project_id;
  delete from matrice_private.waiting_parts w where not exists (select from matrice.projects p where p.id = w.project_id);
end
$$;
comment on function matrice_private.rebuild_embedding_queue is
  'Makes the next claims list the parts of a project again; without project_id, of all projects. For the owner of the tables, '
  'after chunks were loaded, or embeddings or leases deleted, without triggers.';

-- What a claim does with parts. The functions check no roles: for services, and for those of members below.

create or replace function matrice_private.list_project(project_id uuid, model text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
begin
  -- With an older snapshot, it could miss parts. If another claim is listing or settling parts, one of the next claims does it.
  if current_setting('transaction_isolation') <> 'read committed'
     or not pg_try_advisory_xact_lock(hashtext('matrice.embedding_queues'), hashtext(project_id::text)) then
    return;
  end if;
  insert into matrice_private.embedding_queues (project_id, model) values (list_project.project_id, list_project.model)
  on conflict do nothing;
  if not found then
    return;
  end if;
  with gone as (
    delete from matrice_private.waiting_parts w
     where w.ctid = any (array(
       select one.ctid from matrice_private.waiting_parts one
        where one.project_id = list_project.project_id and one.model in ('', list_project.model)
          for update skip locked))
    returning w.source_id, w.part, w.model, w.due
  )
  insert into matrice_private.waiting_parts (project_id, source_id, part, model, due)
  select distinct q.project_id, g.source_id, g.part, q.model, g.due
    from gone g
    join matrice_private.embedding_queues q on q.project_id = list_project.project_id and q.model <> list_project.model
   where g.model = ''
  union all
  select s.project_id, s.id, p.part, list_project.model, least(s.created_at, now())
    from matrice.context_sources s
   cross join lateral (
     select c.chunk_index / 128 as part from matrice.source_chunks c where c.source_id = s.id order by c.chunk_index desc limit 1
   ) last
   cross join lateral generate_series(0, last.part) as p (part)
   where s.project_id = list_project.project_id;
  perform matrice_private.list_insights_of_project(project_id, model);
end
$$;
comment on function matrice_private.list_project is
  'Lists all parts and insights of a project for a model that is claimed there for the first time.';
