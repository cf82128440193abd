-- How a claim reads the waiting parts of a project, and settles those that it has looked through.

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
set plan_cache_mode = force_generic_plan
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
          select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
           where e.model = settle_parts.model
             and e.template_hash is not distinct from coalesce((
               select matrice_private.wanted_template(p.settings, p.reembed_template) from matrice.projects p
                where p.id = settle_parts.project_id), e.template_hash))
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

create or replace function matrice_private.next_with_insights(after_project uuid) returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return least(
    (select w.project_id from matrice_private.waiting_insights w
      where w.project_id > coalesce(after_project, '00000000-0000-0000-0000-000000000000') order by w.project_id limit 1),
    (select l.project_id from matrice_private.insight_leases l
      where l.project_id > coalesce(after_project, '00000000-0000-0000-0000-000000000000')
      order by l.project_id, l.model, l.leased_until, l.insight_id limit 1));
end
$$;
comment on function matrice_private.next_with_insights is
  'Returns the next project by its id that has insights to embed. after_project: null for the first.';

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
         and (exists (select from matrice.context_sources s where s.project_id = p.id)
              or exists (select from matrice.insights i where i.project_id = p.id)));
  end if;
  return array(
    -- One look into the index for each project.
    with recursive listed (id) as (
      (select w.project_id from matrice_private.waiting_parts w
        where waiting_projects.project_ids is null order by w.project_id limit 1)
      union all
      select (select w.project_id from matrice_private.waiting_parts w where w.project_id > l.id order by w.project_id limit 1)
        from listed l where l.id is not null
    ), with_insights (id) as (
      (select matrice_private.next_with_insights(null) where waiting_projects.project_ids is null)
      union all
      select matrice_private.next_with_insights(l.id) from with_insights l where l.id is not null
    ), considered as (
      select l.id from listed l where l.id is not null
      union
      select l.id from with_insights l where l.id is not null
      union
      select p.id from unnest(waiting_projects.project_ids) as p (id)
    )
    select c.id from considered c
     where exists (select from matrice_private.waiting_parts w
                    where w.project_id = c.id and w.model = waiting_projects.model and w.due <= now())
        or exists (select from matrice_private.waiting_parts w where w.project_id = c.id and w.model = '' and w.due <= now())
        -- With EXISTS, the planner reads all rows of the model at once.
        or (select true from matrice_private.insight_leases l
             where l.project_id = c.id and l.model = waiting_projects.model and l.leased_until <= now() limit 1)
        or (select true from matrice_private.waiting_insights w where w.project_id = c.id limit 1));
end
$$;
comment on function matrice_private.waiting_projects is
  'Returns projects that may have chunks or insights waiting for a model. are_listed: those where some are due; else those '
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
