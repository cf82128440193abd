-- Cells of codes, in projects of very many embeddings: how codes move there. sql/022_code_cells.sql describes their tables.

create or replace function matrice_private.code_places(project_id uuid, model text)
returns table (id uuid, code_count integer, built_at timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select l.id, l.code_count, l.built_at from matrice_private.code_lists l
     where l.project_id = code_places.project_id and l.model = code_places.model
    union all
    select c.id, c.code_count, c.built_at from matrice_private.code_cells c
     where c.project_id = code_places.project_id and c.model = code_places.model;
end
$$;
comment on function matrice_private.code_places is
  'Returns where the codes of a project are: its lists and cells. A project has up to some thousand cells, so no statement that '
  'stores few embeddings calls it.';

create or replace function matrice_private.code_total(project_id uuid, model text) returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(sum(p.code_count), 0) from matrice_private.code_places(project_id, model) p);
end
$$;
comment on function matrice_private.code_total is
  'Returns how many codes a project has of a model, with those of embeddings that were deleted or changed.';

create or replace function matrice_private.oldest_lists(project_id uuid, model text, most integer) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select array_agg(n.id)
      from (
        select p.id, sum(p.code_count) over (order by p.built_at, p.id) - p.code_count as before
          from matrice_private.code_places(project_id, model) p
         where p.code_count > 0
      ) n
     where n.before < most);
end
$$;
comment on function matrice_private.oldest_lists is
  'Returns the lists and cells of a project that were made longest ago, with so many codes.';

create or replace function matrice_private.next_batch(project_id uuid, model text, generation integer, batch integer)
returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(array_agg(n.id), '{}')
      from (
        select one.id, one.code_count, sum(one.code_count) over (order by one.built_at, one.id) as upto
          from (
            -- Smaller lists are merged first.
            select l.id, l.code_count, l.built_at
              from matrice_private.code_lists l
             where l.project_id = next_batch.project_id and l.model = next_batch.model and l.code_count > batch / 8
            union all
            select c.id, c.code_count, c.built_at
              from matrice_private.code_cells c
             where c.project_id = next_batch.project_id and c.model = next_batch.model and c.generation < next_batch.generation
          ) one
      ) n
     where n.upto <= batch or n.upto = n.code_count);
end
$$;
comment on function matrice_private.next_batch is
  'Returns the lists whose codes move to cells next: full ones, and cells of former generations.';

create or replace function matrice_private.move_codes(project_id uuid, model text, lists uuid[]) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  clustering matrice_private.code_clusterings;
  held    uuid[];
  cells   uuid[];
  chunks  uuid[];
  stored  integer;
  moved   integer;
begin
  -- Nobody waits: another writer may be moving codes, or merging the same lists.
  select * into clustering from matrice_private.code_clusterings c
   where c.project_id = move_codes.project_id and c.model = move_codes.model for update skip locked;
  if not found then
    return false;
  end if;
  held := array(
    select l.id from matrice_private.code_lists l
     where l.project_id = move_codes.project_id and l.model = move_codes.model and l.id = any (lists)
     order by l.id for update skip locked);
  cells := array(
    select c.id from matrice_private.code_cells c
     where c.project_id = move_codes.project_id and c.model = move_codes.model
       and (c.generation = clustering.generation or c.id = any (lists))
     order by c.id for update skip locked);
  if cardinality(lists) = 0 or not lists <@ (held || cells) then
    return false;
  end if;
  stored := (
    select sum(p.code_count) from matrice_private.code_places(move_codes.project_id, move_codes.model) p where p.id = any (lists));
  with removed as (
    delete from matrice_private.code_pages p
     where p.project_id = move_codes.project_id and p.model = move_codes.model and p.list = any (lists)
    returning p.codes
  )
  select array_agg(distinct c.id) into chunks
    from removed r cross join lateral unnest(matrice._coded_chunks(r.codes)) as c (id);
  delete from matrice_private.code_lists l
   where l.project_id = move_codes.project_id and l.model = move_codes.model and l.id = any (held);
  delete from matrice_private.code_cells c
   where c.project_id = move_codes.project_id and c.model = move_codes.model and c.id = any (lists)
     and c.generation < clustering.generation;
  update matrice_private.code_cells c set code_count = 0, built_at = clock_timestamp()
   where c.project_id = move_codes.project_id and c.model = move_codes.model and c.id = any (lists);
  moved := matrice_private.fill_cells(clustering, chunks);
  perform matrice_private.discount_deletions(move_codes.project_id, move_codes.model, stored - moved);
  return true;
end
$$;
comment on function matrice_private.move_codes is
  'Moves the codes of lists, and of former cells, to the cells of the project, without the codes of embeddings that were '
  'deleted. Those of its present cells are made again. Returns whether it did: it does nothing if another '
  'transaction is at it, or has locked one of them.';

create or replace function matrice_private.fill_cells(clustering matrice_private.code_clusterings, chunks uuid[]) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  ids        uuid[];
  centroids  bytea[];
  begun      bytea[];
  last_pages integer[];
  total      integer;
begin
  -- The last page of a cell may have room: it is written again.
  select array_agg(c.id order by c.place), array_agg(c.centroid order by c.place),
         array_agg(last.codes order by c.place), array_agg(coalesce(last.page, 1) order by c.place)
    into ids, centroids, begun, last_pages
    from matrice_private.code_cells c
    left join lateral (
      select p.page, p.codes from matrice_private.code_pages p
       where p.project_id = c.project_id and p.model = c.model and p.list = c.id
       order by p.page desc limit 1) last on true
   where c.project_id = clustering.project_id and c.model = clustering.model and c.generation = clustering.generation;
  with added as materialized (
    select a.*
      from matrice._cell_codes(
        clustering.project_id, clustering.model, coalesce(chunks, '{}'), centroids, clustering.bound, begun) a
  ), written as (
    insert into matrice_private.code_pages (project_id, model, list, page, codes)
    select clustering.project_id, clustering.model, ids[a.cell], last_pages[a.cell] + p.number::integer - 1, p.codes
      from added a cross join lateral unnest(a.pages) with ordinality as p (codes, number)
        on conflict on constraint code_pages_pkey do update set codes = excluded.codes
  ), counted as (
    update matrice_private.code_cells c set code_count = c.code_count + a.code_count
      from added a
     where c.project_id = clustering.project_id and c.model = clustering.model and c.id = ids[a.cell]
    returning a.code_count
  )
  select coalesce(sum(c.code_count), 0) into total from counted c;
  return total;
end
$$;
comment on function matrice_private.fill_cells is
  'Adds the codes of embeddings to the cells of a project. Skips chunks that have no embedding there. Returns the number of '
  'codes. The caller has locked the cells.';

create or replace function matrice_private.cluster_codes(
  project_id uuid, model text, steps integer default 1, minimum bigint default 200000, batch integer default null
) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  clustering matrice_private.code_clusterings;
  chosen uuid[];
  done   integer := 0;
begin
  -- At other isolation levels, a row that another transaction has moved meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed' then
    return 0;
  end if;
  while steps is null or done < steps loop
    select * into clustering from matrice_private.code_clusterings c
     where c.project_id = cluster_codes.project_id and c.model = cluster_codes.model;
    if not found then
      -- Making cells takes a writer the time of several batches, so the next one moves the first codes.
      exit when not matrice_private.begin_cells(project_id, model, minimum, cluster_codes.batch) or steps is not null;
      continue;
    end if;
    chosen := matrice_private.next_batch(project_id, model, clustering.generation, clustering.batch);
    exit when chosen = '{}'
      or not matrice_private.has_time(matrice_private.time_to_code(model, clustering.batch))
      or not matrice_private.move_codes(project_id, model, chosen);
    done := done + 1;
    if matrice_private.next_batch(project_id, model, clustering.generation, clustering.batch) = '{}' then
      perform matrice_private.renew_cells(project_id, model);
    end if;
  end loop;
  return done;
end
$$;
comment on function matrice_private.cluster_codes is
  'Makes cells for a project that has very many codes, and moves codes from its full lists to its cells. Returns how many '
  'batches it moved. steps: at most so many, and none in a call that makes the first cells; null: all. minimum: from how many '
  'codes on a project gets cells. batch: how many codes move at once; a project keeps the size that its first cells were made '
  'with. A step that a timeout might cancel is not begun. Defaults: steps 1, minimum 200000, batch code_batch of the model.';
