-- The index of codes: how embeddings get into it, and how its lists are merged. sql/009_code_index.sql describes its tables.

create or replace function matrice_private.time_to_code(model text, codes numeric default 1) returns interval
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select codes * (1e-5 + 5e-8 * m.dimensions) * interval '1 second'
      from matrice.embedding_models m where m.model = time_to_code.model);
end
$$;
comment on function matrice_private.time_to_code is
  'Returns how long it takes on a usual machine to make so many codes again, for a list or for cells. Defaults: codes 1.';

create or replace function matrice_private.code_batch(model text) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return least(32768, 1.5 / extract(epoch from matrice_private.time_to_code(model, 1000)) * 1000);
end
$$;
comment on function matrice_private.code_batch is
  'Returns how many codes of a model are made again at once: as many as a client with a timeout of 8 seconds has the time for.';

create or replace function matrice_private.add_codes(project_id uuid, model text, chunk_ids uuid[]) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  built record;
  added uuid;
begin
  select b.* into built from matrice._build_codes(project_id, model, chunk_ids) b;
  if not found then
    return 0;
  end if;
  insert into matrice_private.code_lists as l (project_id, model, code_count, centroid)
  values (add_codes.project_id, add_codes.model, built.code_count, built.centroid)
  returning l.id into added;
  insert into matrice_private.code_pages (project_id, model, list, page, codes)
  select add_codes.project_id, add_codes.model, added, p.page, p.codes
    from unnest(built.pages) with ordinality as p (codes, page);
  return built.code_count;
end
$$;
comment on function matrice_private.add_codes is
  'Stores a list with the codes of embeddings of a project. Skips chunks that have no embedding there. Returns the number of '
  'codes.';

create or replace function matrice_private.discount_deletions(project_id uuid, model text, removed integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  deleted integer;
begin
  -- Others may be adding deletions. What has been removed need not be counted any more.
  with counted as (
    delete from matrice_private.code_deletions d
     where d.project_id = discount_deletions.project_id and d.model = discount_deletions.model and d.id in (
       select one.id from matrice_private.code_deletions one
        where one.project_id = discount_deletions.project_id and one.model = discount_deletions.model for update skip locked)
    returning d.code_count
  )
  select sum(c.code_count) into deleted from counted c;
  insert into matrice_private.code_deletions (project_id, model, code_count)
  select discount_deletions.project_id, discount_deletions.model, deleted - removed where deleted > removed;
end
$$;
comment on function matrice_private.discount_deletions is
  'Counts so many deleted embeddings less, because their codes are gone.';

create or replace function matrice_private.merge_lists(project_id uuid, model text, lists uuid[]) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  held   uuid[];
  stored integer;
  merged integer;
begin
  -- Nobody waits: another writer may merge the same lists.
  held := array(
    select l.id from matrice_private.code_lists l
     where l.project_id = merge_lists.project_id and l.model = merge_lists.model and l.id = any (lists)
     order by l.id for update skip locked);
  if cardinality(held) < cardinality(lists) then
    return false;
  end if;
  select sum(l.code_count) into stored
    from matrice_private.code_lists l
   where l.project_id = merge_lists.project_id and l.model = merge_lists.model and l.id = any (held);
  merged := matrice_private.add_codes(
    merge_lists.project_id, merge_lists.model,
    array(
      select distinct c.id
        from matrice_private.code_pages p
       cross join lateral unnest(matrice._coded_chunks(p.codes)) as c (id)
       where p.project_id = merge_lists.project_id and p.model = merge_lists.model and p.list = any (held)));
  delete from matrice_private.code_pages p
   where p.project_id = merge_lists.project_id and p.model = merge_lists.model and p.list = any (held);
  delete from matrice_private.code_lists l
   where l.project_id = merge_lists.project_id and l.model = merge_lists.model and l.id = any (held);
  perform matrice_private.discount_deletions(merge_lists.project_id, merge_lists.model, stored - merged);
  return true;
end
$$;
comment on function matrice_private.merge_lists is
  'Merges lists of codes to one, without the codes of embeddings that were deleted or changed. Returns whether it did: it does '
  'nothing if another transaction has locked one of them.';

create or replace function matrice_private.merge_small_lists(project_id uuid, model text, most integer) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  size   record;
  chosen uuid[];
begin
  for size in
    select floor(log(8, l.code_count)) as class, 8 * avg(l.code_count) as codes
      from matrice_private.code_lists l
     where l.project_id = merge_small_lists.project_id and l.model = merge_small_lists.model and l.code_count <= most / 8
     group by 1
    having count(*) >= 8
     order by 1
  loop
    exit when not matrice_private.has_time(matrice_private.time_to_code(model, size.codes));
    -- Other writers may be merging some of them.
    chosen := array(
      select l.id from matrice_private.code_lists l
       where l.project_id = merge_small_lists.project_id and l.model = merge_small_lists.model and l.code_count <= most / 8
         and floor(log(8, l.code_count)) = size.class
       order by l.built_at
       limit 8 for update skip locked);
    if cardinality(chosen) = 8 and matrice_private.merge_lists(project_id, model, chosen) then
      return true;
    end if;
  end loop;
  return false;
end
$$;
comment on function matrice_private.merge_small_lists is
  'Merges eight lists of about one size to one, if a project has eight, and the time to merge them. Returns whether it did. '
  'most: the most codes of the new list.';

create or replace function matrice_private.merge_codes(project_id uuid, model text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  batch   constant integer := (select c.batch from matrice_private.code_clusterings c
                                where c.project_id = merge_codes.project_id and c.model = merge_codes.model);
  most    constant integer := coalesce(batch, matrice_private.code_batch(model));
  deleted constant bigint := (select sum(d.code_count) from matrice_private.code_deletions d
                               where d.project_id = merge_codes.project_id and d.model = merge_codes.model);
  total   bigint;
  chosen  uuid[];
begin
  -- At other isolation levels, a row that another transaction has merged meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  -- Eight lists become one, so a code is made again once for each eightfold growth of its project.
  while matrice_private.merge_small_lists(project_id, model, most) loop
  end loop;
  -- When a fifth of the codes are deleted ones, make the oldest lists again. Searches compare those codes too.
  if deleted > 64 then
    total := matrice_private.code_total(project_id, model);
  end if;
  if deleted > 64 and deleted > total / 5
     and matrice_private.has_time(matrice_private.time_to_code(model, least(total, most))) then
    chosen := matrice_private.oldest_lists(project_id, model, most);
    if batch is null then
      perform matrice_private.merge_lists(project_id, model, chosen);
    else
      perform matrice_private.move_codes(project_id, model, chosen);
    end if;
  end if;
end
$$;
comment on function matrice_private.merge_codes is
  'Merges lists of codes of a project if it has many small ones, or many codes of embeddings that were deleted or changed, and '
  'as far as there is time.';

create or replace function matrice_private.index_codes() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  most    integer;
  touched record;
begin
  if tg_op <> 'INSERT' then
    -- If the project is deleted, so is its index.
    insert into matrice_private.code_deletions (project_id, model, code_count)
    select r.project_id, r.model, count(*)
      from removed r
     where exists (select from matrice.projects p where p.id = r.project_id)
     group by 1, 2;
  end if;
  if tg_op <> 'DELETE' then
    most := (select min(matrice_private.code_batch(m.model)) from (select distinct a.model from added a) m);
    perform matrice_private.add_codes(a.project_id, a.model, a.chunk_ids)
       from (
         -- Keeps a list small enough to be moved.
         select n.project_id, n.model, array_agg(n.chunk_id) as chunk_ids
           from (
             select one.project_id, one.model, one.chunk_id,
                    row_number() over (partition by one.project_id, one.model) / most as part
               from added one
           ) n
          group by n.project_id, n.model, n.part
       ) a;
    for touched in select a.project_id, a.model, count(*) as codes from added a group by 1, 2 loop
      perform matrice_private.merge_codes(touched.project_id, touched.model);
      perform matrice_private.cluster_codes(touched.project_id, touched.model, steps => 1 + touched.codes::integer / (most / 2));
    end loop;
  else
    for touched in select distinct r.project_id, r.model from removed r loop
      perform matrice_private.merge_codes(touched.project_id, touched.model);
    end loop;
  end if;
  return null;
end
$$;
comment on function matrice_private.index_codes is
  'Adds the codes of the embeddings that a statement stored to their index, and counts those that it deleted. SECURITY DEFINER: '
  'no client may write the index.';

create or replace trigger index_added after insert on matrice.chunk_embeddings referencing new table as added
for each statement execute function matrice_private.index_codes();
create or replace trigger index_changed after update on matrice.chunk_embeddings
referencing old table as removed new table as added
for each statement execute function matrice_private.index_codes();
create or replace trigger index_removed after delete on matrice.chunk_embeddings referencing old table as removed
for each statement execute function matrice_private.index_codes();

-- Deferred to the end of the transaction, like forget_words.
do $$
begin
  if not exists (select from pg_trigger t where t.tgrelid = 'matrice.projects'::regclass and t.tgname = 'forget_codes') then
    create constraint trigger forget_codes after delete on matrice.projects deferrable initially deferred
    for each row execute function matrice_private.forget_rows(
      'code_pages', 'code_lists', 'code_cells', 'code_clusterings', 'code_deletions');
  end if;
end
$$;

create or replace trigger forget_all_codes after truncate on matrice.chunk_embeddings
for each statement execute function matrice_private.forget_rows(
  'code_pages', 'code_lists', 'code_cells', 'code_clusterings', 'code_deletions');

create or replace function matrice_private.rebuild_code_index(project_id uuid default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  part record;
begin
  -- Embeddings that are stored meanwhile would have two codes, or none.
  lock table matrice.chunk_embeddings in share row exclusive mode;
  delete from matrice_private.code_pages p where rebuild_code_index.project_id is null or p.project_id = rebuild_code_index.project_id;
  delete from matrice_private.code_lists l where rebuild_code_index.project_id is null or l.project_id = rebuild_code_index.project_id;
  delete from matrice_private.code_cells c
   where rebuild_code_index.project_id is null or c.project_id = rebuild_code_index.project_id;
  delete from matrice_private.code_clusterings c
   where rebuild_code_index.project_id is null or c.project_id = rebuild_code_index.project_id;
  delete from matrice_private.code_deletions d
   where rebuild_code_index.project_id is null or d.project_id = rebuild_code_index.project_id;
  for part in
    select n.project_id, n.model, array_agg(n.chunk_id) as chunk_ids
      from (
        select e.project_id, e.model, e.chunk_id, row_number() over (partition by e.project_id, e.model) / m.most as part
          -- OFFSET 0: it is computed once for each model.
          from (select one.model, matrice_private.code_batch(one.model) as most from matrice.embedding_models one offset 0) m
          join matrice.chunk_embeddings e on e.model = m.model
         where rebuild_code_index.project_id is null or e.project_id = rebuild_code_index.project_id
      ) n
     group by n.project_id, n.model, n.part
  loop
    perform matrice_private.add_codes(part.project_id, part.model, part.chunk_ids);
  end loop;
  perform matrice_private.cluster_codes(l.project_id, l.model, steps => null)
     from (select distinct one.project_id, one.model from matrice_private.code_lists one
            where rebuild_code_index.project_id is null or one.project_id = rebuild_code_index.project_id) l;
end
$$;
comment on function matrice_private.rebuild_code_index is
  'Builds the index of codes of a project again; without project_id, of all projects. For the owner of the tables, after loading '
  'rows without triggers: data-only restores and replication.';

create or replace function matrice_private.verify_codes(project_id uuid default null)
returns table (project uuid, model text, embeddings bigint, codes bigint, without_code bigint, without_embedding bigint)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with stored as materialized (
      select p.project_id, p.model, c.id as chunk_id
        from matrice_private.code_pages p
       cross join lateral unnest(matrice._coded_chunks(p.codes)) as c (id)
       where verify_codes.project_id is null or p.project_id = verify_codes.project_id
    ), coded as materialized (
      select s.project_id, s.model, s.chunk_id, count(*) as codes from stored s group by 1, 2, 3
    )
    select coalesce(e.project_id, c.project_id), coalesce(e.model, c.model), count(e.chunk_id), coalesce(sum(c.codes), 0)::bigint,
           count(*) filter (where c.chunk_id is null), count(*) filter (where e.chunk_id is null)
      from (
        select one.project_id, one.model, one.chunk_id from matrice.chunk_embeddings one
         where verify_codes.project_id is null or one.project_id = verify_codes.project_id
      ) e
      full join coded c on c.project_id = e.project_id and c.model = e.model and c.chunk_id = e.chunk_id
     group by 1, 2
     order by 1, 2;
end
$$;
comment on function matrice_private.verify_codes is
  'Compares the index of codes with the embeddings. Returns a row per project and model: how many embeddings and how many codes '
  'there are. without_code: embeddings that searches may miss; it must be 0, and rebuild_code_index mends it. without_embedding: '
  'chunks whose embeddings were deleted; searches skip them, and a merge removes them. For the owner of the tables.';
