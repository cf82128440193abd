-- Making cells of codes: how many, of which sample, and when. sql/022_code_cells.sql describes their tables.

create or replace function matrice_private.cell_count(codes bigint, dimensions integer) returns integer
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  -- To look at a cell costs what some hundred codes cost, and more with long vectors. The last term bounds the time to make
  -- cells.
  select greatest(8, least(8192, 2 * sqrt(codes) * least(1, sqrt(256.0 / dimensions)), (33e6 / dimensions) ^ (2 / 3.0)))::integer;
end;
comment on function matrice_private.cell_count is 'Returns how many cells a project with so many codes gets.';

create or replace function matrice_private.sample_of_codes(project_id uuid, model text, total bigint, wanted integer)
returns uuid[]
language sql
set search_path = pg_catalog, pg_temp
as $$
  -- A quarter of the codes of some pages: to read all pages would take long.
  select array(
    select c.id
      from matrice_private.code_pages p
     cross join lateral unnest(matrice._coded_chunks(p.codes)) as c (id)
     where p.project_id = sample_of_codes.project_id and p.model = sample_of_codes.model
       and random() < 4.0 * wanted / total and random() < greatest(0.25, wanted::double precision / total)
     order by random()
     limit wanted)
$$;
comment on function matrice_private.sample_of_codes is
  'Returns about so many chunks of those that have a code in the project, in a random order. total: how many have.';

create or replace function matrice_private.train_cells(project_id uuid, model text, total bigint, batch integer) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  dimensions constant integer := (select m.dimensions from matrice.embedding_models m where m.model = train_cells.model);
  cells      constant integer := matrice_private.cell_count(total, dimensions);
  -- A writer does it: with so many, it takes a second or two.
  wanted     constant integer := greatest(4 * cells, least(24 * cells, 1.3e8 / (dimensions * sqrt(cells))));
  trained    record;
  made       integer;
begin
  select t.* into trained
    from matrice._train_cells(
      train_cells.project_id, train_cells.model,
      matrice_private.sample_of_codes(train_cells.project_id, train_cells.model, total, wanted),
      cells, least(total, 2147483647)::integer) t;
  if not found then
    return false;
  end if;
  insert into matrice_private.code_clusterings as c (project_id, model, trained_count, batch, bound)
  values (train_cells.project_id, train_cells.model, least(total, 2147483647), train_cells.batch, trained.bound)
  on conflict on constraint code_clusterings_pkey do update
     set generation = c.generation + 1, trained_count = excluded.trained_count, bound = excluded.bound,
         built_at = excluded.built_at
  returning c.generation into made;
  insert into matrice_private.code_cells (project_id, model, generation, place, centroid, bound)
  select train_cells.project_id, train_cells.model, made, t.place, t.centroid,
         case when t.place < cardinality(trained.centroids) then trained.bound end
    from unnest(trained.centroids) with ordinality as t (centroid, place);
  return true;
end
$$;
comment on function matrice_private.train_cells is
  'Makes cells for a project. Its codes stay where they are, and move to the cells in batches. Returns whether it did: it does '
  'nothing if there are too few embeddings. The caller keeps others from making cells at the same moment.';

create or replace function matrice_private.time_to_train() returns interval
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select interval '1.5 seconds';
end;
comment on function matrice_private.time_to_train is 'Returns how long train_cells takes on a usual machine.';

create or replace function matrice_private.begin_cells(project_id uuid, model text, minimum bigint, batch integer) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  total bigint := (select sum(l.code_count) from matrice_private.code_lists l
                    where l.project_id = begin_cells.project_id and l.model = begin_cells.model);
  full_lists uuid[];
begin
  if total is null or total < greatest(minimum, 300) or not matrice_private.has_time(matrice_private.time_to_train()) then
    return false;
  end if;
  batch := coalesce(batch, matrice_private.code_batch(model));
  full_lists := array(
    select l.id from matrice_private.code_lists l
     where l.project_id = begin_cells.project_id and l.model = begin_cells.model and l.code_count > batch / 8);
  -- One writer alone can have locked all of them.
  return cardinality(full_lists) > 0
    and (
      select count(*)
        from (select from matrice_private.code_lists l
               where l.project_id = begin_cells.project_id and l.model = begin_cells.model and l.id = any (full_lists)
               order by l.id for update skip locked) held) = cardinality(full_lists)
    and not exists (select from matrice_private.code_clusterings c
                     where c.project_id = begin_cells.project_id and c.model = begin_cells.model)
    and matrice_private.train_cells(begin_cells.project_id, begin_cells.model, total, batch);
end
$$;
comment on function matrice_private.begin_cells is
  'Makes the first cells of a project that has so many codes. Returns whether it did: it does nothing if another transaction is '
  'at it, or if a timeout might cancel it. minimum: from how many codes on; at least 300. batch: null is code_batch.';

create or replace function matrice_private.renew_cells(project_id uuid, model text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  clustering matrice_private.code_clusterings;
  total      bigint := matrice_private.code_total(project_id, model);
  far        bigint := (select sum(c.code_count) from matrice_private.code_cells c
                         where c.project_id = renew_cells.project_id and c.model = renew_cells.model and c.bound is null);
begin
  select * into clustering from matrice_private.code_clusterings c
   where c.project_id = renew_cells.project_id and c.model = renew_cells.model for update skip locked;
  -- Documents of a new kind are far from all cells, and each search reads them.
  return found
    and (total > 4 * clustering.trained_count::bigint
         or far > total / 10 and total > clustering.trained_count * 1.25)
    and matrice_private.has_time(matrice_private.time_to_train())
    and matrice_private.train_cells(renew_cells.project_id, renew_cells.model, total, clustering.batch);
end
$$;
comment on function matrice_private.renew_cells is
  'Makes new cells for a project that has grown fourfold, or whose new vectors are far from its cells. Returns whether it did: '
  'it does nothing if a timeout might cancel it.';
