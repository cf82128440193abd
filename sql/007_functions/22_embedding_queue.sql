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
        select distinct a.project_id, a.source_id, a.chunk_index / 128 as part
          from added a join removed r on r.id = a.id
         where (a.source_id, a.chunk_index / 128) <> (r.source_id, r.chunk_index / 128)
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

create or replace function matrice_private.list_chunk() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Usually the chunk is deleted, too.
  if not exists (select from matrice.source_chunks c where c.id = old.chunk_id) then
    return null;
  end if;
  insert into matrice_private.waiting_parts (project_id, source_id, part, model, due)
  select c.project_id, c.source_id, c.chunk_index / 128, old.model, least(s.created_at, now())
    from matrice.source_chunks c
    join matrice.context_sources s on s.id = c.source_id
   where c.id = old.chunk_id
     -- OFFSET 0, so that no plan reads all embeddings of the model.
     and not exists (select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = old.chunk_id offset 0) e
                      where e.model = old.model);
  return null;
end
$$;
comment on function matrice_private.list_chunk is
  'Lists the part of a chunk that lost its embedding or its lease, unless it is deleted or has an embedding. SECURITY '
  'DEFINER: no client may write waiting_parts.';

-- For each row: deleting a chunk deletes its embeddings and leases by a statement each, most of which find none.
create or replace trigger list_removed after delete on matrice.chunk_embeddings
for each row execute function matrice_private.list_chunk();
create or replace trigger list_moved after update of chunk_id, model on matrice.chunk_embeddings
for each row when ((old.chunk_id, old.model) is distinct from (new.chunk_id, new.model))
execute function matrice_private.list_chunk();
create or replace trigger list_removed after delete on matrice.embedding_leases
for each row execute function matrice_private.list_chunk();
create or replace trigger list_shortened after update of chunk_id, model, leased_until on matrice.embedding_leases
for each row when (new.leased_until < old.leased_until or (old.chunk_id, old.model) is distinct from (new.chunk_id, new.model))
execute function matrice_private.list_chunk();

create or replace function matrice_private.forget_parts() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Nobody waits. A claim removes rows that are locked now.
  delete from matrice_private.waiting_parts w
   where w.ctid = any (array(
     select held.ctid from removed r cross join lateral (
       select one.ctid from matrice_private.waiting_parts one where one.source_id = r.id for update skip locked
     ) held));
  return null;
end
$$;
comment on function matrice_private.forget_parts is
  'Removes the parts of deleted sources. SECURITY DEFINER: no client may write waiting_parts.';

create or replace trigger forget_parts after delete on matrice.context_sources referencing old table as removed
for each statement execute function matrice_private.forget_parts();

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
  'Forgets which models have listed parts when the owner truncates embeddings or leases. SECURITY DEFINER: no client may write '
  'embedding_queues.';

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
end
$$;
comment on function matrice_private.list_project is
  'Lists all parts of a project for a model that is claimed there for the first time.';

create or replace function matrice_private.next_parts(
  project_id uuid, model text, are_free boolean, most integer, after_due timestamptz default '-infinity',
  after_source uuid default '00000000-0000-0000-0000-000000000000', after_part integer default -1
) returns table (due timestamptz, source_id uuid, part integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
begin
  if not matrice_private.is_listed(project_id, model) then
    perform matrice_private.list_project(project_id, model);
  end if;
  if not matrice_private.is_listed(project_id, model) then
    return query
      select s.created_at, s.id, p.part
        from matrice.context_sources s
       cross join lateral (
         select c.chunk_index / 128 as part from matrice.source_chunks c where c.source_id = s.id order by c.chunk_index desc limit 1
       ) last
       cross join lateral generate_series(0, last.part) as p (part)
       where not are_free and s.project_id = next_parts.project_id and s.created_at >= after_due
         and (s.created_at, s.id, p.part) > (after_due, after_source, after_part)
       order by s.created_at, s.id, p.part
       limit most;
  elsif not are_free then
    return query
      (select w.due, w.source_id, w.part from matrice_private.waiting_parts w
        where w.model = next_parts.model and w.project_id = next_parts.project_id and w.due <= now()
          and (w.due, w.source_id, w.part) > (after_due, after_source, after_part)
        order by w.due, w.source_id, w.part limit most)
      union
      (select w.due, w.source_id, w.part from matrice_private.waiting_parts w
        where w.model = '' and w.project_id = next_parts.project_id and w.due <= now()
          and (w.due, w.source_id, w.part) > (after_due, after_source, after_part)
        order by w.due, w.source_id, w.part limit most)
      order by due, source_id, part
      limit most;
  elsif current_setting('transaction_isolation') = 'read committed' then
    return query
      with listed as (
        select w.due, w.source_id, w.part from matrice_private.waiting_parts w
         where w.model = next_parts.model and w.project_id = next_parts.project_id and w.due <= now()
           and (w.due, w.source_id, w.part) > (after_due, after_source, after_part)
         order by w.due, w.source_id, w.part limit most for update skip locked
      ), new as (
        select w.due, w.source_id, w.part from matrice_private.waiting_parts w
         where w.model = '' and w.project_id = next_parts.project_id and w.due <= now()
           and (w.due, w.source_id, w.part) > (after_due, after_source, after_part)
         order by w.due, w.source_id, w.part limit most for update skip locked
      )
      select l.due, l.source_id, l.part from listed l
      union
      select n.due, n.source_id, n.part from new n
      order by due, source_id, part
      limit most;
  end if;
end
$$;
comment on function matrice_private.next_parts is
  'Returns the parts of a project that a claim is to look into, the oldest sources first, from a place on. are_free: locks '
  'them, and skips those that another claim has locked, so that claims look into different parts. Lists the parts if the '
  'model is claimed for the first time there. If that is not possible just now, all parts of the project are returned, as '
  'not free. SECURITY DEFINER: no client may read or write waiting_parts. The function does not check membership of the '
  'project. So only services and next_parts_of_member may execute it.';

create or replace function matrice_private.settle_parts(project_id uuid, model text, source_ids uuid[], parts integer[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  held tid[];
begin
  if current_setting('transaction_isolation') <> 'read committed'
     or not pg_try_advisory_xact_lock_shared(hashtext('matrice.embedding_queues'), hashtext(project_id::text))
     or not matrice_private.is_listed(project_id, model) then
    return;
  end if;
  held := array(
    select w.ctid from matrice_private.waiting_parts w
     where w.ctid = any (array(
       select listed.ctid
         from unnest(source_ids, parts) as given (source_id, part)
        cross join lateral (
          -- OFFSET 0, so that no other condition decides which index is used.
          select one.ctid, one.project_id, one.model from matrice_private.waiting_parts one
           where one.source_id = given.source_id and one.part = given.part
          offset 0
        ) listed
        where listed.project_id = settle_parts.project_id and listed.model in ('', settle_parts.model)))
       for update skip locked);
  -- This statement has a new snapshot. So it sees all that was waiting when the rows were locked.
  with gone as (
    delete from matrice_private.waiting_parts w where w.ctid = any (held)
    returning w.source_id, w.part, w.model, w.due
  ), listed as materialized (
    select g.source_id, g.part, min(g.due) as due, bool_or(g.model = '') as of_every_model from gone g group by 1, 2
  )
  insert into matrice_private.waiting_parts (project_id, source_id, part, model, due)
  select settle_parts.project_id, l.source_id, l.part, settle_parts.model,
         case when first.due > now() then first.due else l.due end
    from listed l
   cross join lateral (
     select min(coalesce(lease.leased_until, '-infinity')) as due
       from matrice.source_chunks c
       left join lateral (
         select l.model, l.leased_until from matrice.embedding_leases l where l.chunk_id = c.id offset 0
       ) lease on lease.model = settle_parts.model
      where c.source_id = l.source_id and c.chunk_index between l.part * 128 and l.part * 128 + 127
        and not exists (
          select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
           where e.model = settle_parts.model)
   ) first
   where first.due is not null
  union all
  select settle_parts.project_id, l.source_id, l.part, q.model, l.due
    from listed l
    join matrice_private.embedding_queues q on q.project_id = settle_parts.project_id and q.model <> settle_parts.model
   where l.of_every_model;
end
$$;
comment on function matrice_private.settle_parts is
  'Finds out from when on parts can have waiting chunks again, and forgets parts whose chunks are all embedded. Skips parts '
  'that another transaction is settling. SECURITY DEFINER: no client may write waiting_parts. The function does not check '
  'membership of the project. So only services and settle_parts_of_member may execute it.';

create or replace function matrice_private.waiting_projects(model text, are_listed boolean, project_ids uuid[]) returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
begin
  if not are_listed then
    return array(
      select p.id from matrice.projects p
       where (waiting_projects.project_ids is null or p.id = any (waiting_projects.project_ids))
         and not exists (
           select from matrice_private.embedding_queues q where q.project_id = p.id and q.model = waiting_projects.model)
         and exists (select from matrice.context_sources s where s.project_id = p.id));
  end if;
  return array(
    -- One look into the index for each project.
    with recursive listed (id) as (
      (select w.project_id from matrice_private.waiting_parts w
        where waiting_projects.project_ids is null order by w.project_id limit 1)
      union all
      select (select w.project_id from matrice_private.waiting_parts w where w.project_id > l.id order by w.project_id limit 1)
        from listed l where l.id is not null
    ), considered as (
      select l.id from listed l where l.id is not null
      union all
      select p.id from unnest(waiting_projects.project_ids) as p (id)
    )
    select c.id from considered c
     where exists (select from matrice_private.waiting_parts w
                    where w.project_id = c.id and w.model = waiting_projects.model and w.due <= now())
        or exists (select from matrice_private.waiting_parts w where w.project_id = c.id and w.model = '' and w.due <= now()));
end
$$;
comment on function matrice_private.waiting_projects is
  'Returns projects that may have chunks waiting for a model. are_listed: those with listed parts that are due; else those '
  'where the model was never claimed. project_ids: only these projects; null: all projects. SECURITY DEFINER: no client may '
  'read waiting_parts. The function does not check membership of the projects. So only services and '
  'waiting_projects_of_member may execute it.';

create or replace function matrice_private.next_parts_of_member(
  project_id uuid, model text, are_free boolean, most integer, after_due timestamptz default '-infinity',
  after_source uuid default '00000000-0000-0000-0000-000000000000', after_part integer default -1
) returns table (due timestamptz, source_id uuid, part integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if project_id = any (matrice_private.project_ids('editor')) then
    return query select n.due, n.source_id, n.part
                   from matrice_private.next_parts(project_id, model, are_free, most, after_due, after_source, after_part) n;
  end if;
end
$$;
comment on function matrice_private.next_parts_of_member is
  'Calls next_parts if the caller may edit the project. SECURITY DEFINER: no client may read or write waiting_parts.';

create or replace function matrice_private.settle_parts_of_member(project_id uuid, model text, source_ids uuid[], parts integer[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id = any (matrice_private.project_ids('editor')) then
    perform matrice_private.settle_parts(project_id, model, source_ids, parts);
  end if;
end
$$;
comment on function matrice_private.settle_parts_of_member is
  'Calls settle_parts if the caller may edit the project. SECURITY DEFINER: no client may write waiting_parts. Whatever '
  'parts it is given, it changes nothing about what is waiting.';

create or replace function matrice_private.waiting_projects_of_member(model text, are_listed boolean) returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.waiting_projects(model, are_listed, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.waiting_projects_of_member is
  'Calls waiting_projects for the projects that the caller may edit. SECURITY DEFINER: no client may read waiting_parts.';
