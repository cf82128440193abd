-- The counts of sources: how changes get into their rows. 28_source_changes.sql notes the changes.

create or replace function matrice_private.counts_of(
  source_id uuid, model text, out chunks integer, out embedded integer, out failed integer
) returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- OFFSET 0 for the reason that 23_chunk_leases.sql gives.
  select count(*), count(*) filter (where e.found), count(*) filter (where l.found) into chunks, embedded, failed
    from matrice.source_chunks c
   cross join lateral (
     select exists (select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
                     where e.model = counts_of.model) as found offset 0
   ) e
   cross join lateral (
     select exists (select from (select l.model, l.is_failed from matrice.embedding_leases l where l.chunk_id = c.id offset 0) l
                     where l.model = counts_of.model and l.is_failed) as found offset 0
   ) l
   where c.source_id = counts_of.source_id;
end
$$;
comment on function matrice_private.counts_of is
  'Counts the chunks of a source, those that have an embedding of a model, and those that failed for good with it.';

create or replace function matrice_private.why_failed(source_id uuid, model text, failed integer, chunks integer) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select format('Chunks failed for good: %s of %s. The last error: %s', failed, chunks, left(f.last_error, 500))
    from (
      select l.last_error
        from matrice.source_chunks c
       cross join lateral (select l.* from matrice.embedding_leases l where l.chunk_id = c.id offset 0) l
       where c.source_id = why_failed.source_id and l.model = why_failed.model and l.is_failed
       limit 1
    ) f;
end;
comment on function matrice_private.why_failed is 'Returns the error of a source some chunks of which failed for good.';

create or replace function matrice_private.is_count_of_failures(error text) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select starts_with(error, 'Chunks failed for good: ');
end;
comment on function matrice_private.is_count_of_failures is
  'Returns whether the error of a source is one of why_failed, and not what a client wrote.';

create or replace function matrice_private.add_up(source_ids uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  -- The project is held, too. Otherwise a second update of a source in one transaction would make the foreign key wait for somebody
  -- who deletes the project, and waits for the source.
  held uuid[] := array(
    select s.id
      from matrice.context_sources s
      join matrice.projects p on p.id = s.project_id
     where s.id = any (source_ids)
     order by s.id
       for no key update of s skip locked
       for key share of p skip locked);
begin
  if cardinality(held) = 0 then
    return;
  end if;
  -- This statement has a later snapshot than the lock. What the last holder of the lock has added up is gone from source_counts.
  with due as materialized (
    delete from matrice_private.source_counts d where d.source_id = any (held) returning d.*
  ), active as materialized (
    select s.id, s.chunk_count, s.embedded_count, s.failed_count, s.error,
           coalesce(p.settings ->> 'embedding_model', (select m.model from matrice.embedding_models m where m.is_default)) as model
      from unnest(held) as h (id)
     cross join lateral (select s.* from matrice.context_sources s where s.id = h.id offset 0) s
     cross join lateral (select p.settings from matrice.projects p where p.id = s.project_id offset 0) p
  ), summed as materialized (
    select a.id, a.model, a.error,
           a.chunk_count + sum(d.chunks) as chunks,
           a.embedded_count + coalesce(sum(d.embedded) filter (where d.model = a.model), 0) as embedded,
           a.failed_count + coalesce(sum(d.failed) filter (where d.model = a.model), 0) as failed,
           bool_or(d.must_count) as must_count
      from active a join due d on d.source_id = a.id
     group by a.id, a.model, a.error, a.chunk_count, a.embedded_count, a.failed_count
  ), counted as materialized (
    select t.id, t.model, t.error, coalesce(c.chunks, t.chunks) as chunks, coalesce(c.embedded, t.embedded) as embedded,
           coalesce(c.failed, t.failed) as failed
      from summed t
      -- A function in FROM is called even if the condition of its join is false. OFFSET 0 keeps the condition before the call.
      left join lateral (select c.* from matrice_private.counts_of(t.id, t.model) c where t.must_count offset 0) c on true
  )
  update matrice.context_sources s
     set chunk_count = c.chunks, embedded_count = c.embedded, failed_count = c.failed,
         error = case when c.error is not null and not matrice_private.is_count_of_failures(c.error) then c.error
                      when c.failed > 0 then matrice_private.why_failed(c.id, c.model, c.failed::integer, c.chunks::integer) end,
         -- keep_progress makes it ready or error.
         status = case when matrice_private.is_count_of_failures(c.error) then 'processing' else s.status end
    from counted c
   where s.id = c.id
     and (s.chunk_count, s.embedded_count, s.failed_count) is distinct from (c.chunks, c.embedded, c.failed);
end
$$;
comment on function matrice_private.add_up is
  'Adds what source_counts has of some sources to their rows. Skips sources that others have locked. SECURITY DEFINER: no '
  'client may read or write source_counts, and it counts for everybody who changed chunks.';

create or replace function matrice_private.add_up_added() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.add_up(d.sources) from (select array_agg(distinct a.source_id) as sources from added a) d
    where d.sources is not null;
  return null;
end
$$;
comment on function matrice_private.add_up_added is
  'Adds up the sources that a statement changed. SECURITY DEFINER: only it and claims call add_up.';

create or replace trigger add_up_added after insert on matrice_private.source_counts referencing new table as added
for each statement execute function matrice_private.add_up_added();

create or replace function matrice_private.add_up_due() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
declare
  due uuid[] := array(select distinct d.source_id from (select d.source_id from matrice_private.source_counts d limit 1000) d);
begin
  if cardinality(due) = 0 then
    return;
  end if;
  delete from matrice_private.source_counts d
   where d.ctid = any (array(
     select held.ctid from unnest(due) as given (id)
      cross join lateral (
        select one.ctid from matrice_private.source_counts one where one.source_id = given.id for update skip locked
      ) held
      where not exists (select from matrice.context_sources s where s.id = given.id)));
  perform matrice_private.add_up(due);
end
$$;
comment on function matrice_private.add_up_due is
  'Adds up what other transactions could not, because the source was locked, and removes the counts of deleted sources. '
  'SECURITY DEFINER: no client may read or write source_counts.';

create or replace trigger forget_counts after delete on matrice.context_sources referencing old table as removed
for each statement execute function matrice_private.forget_rows_of_sources('source_counts');

create or replace function matrice_private.rebuild_progress(project_id uuid default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.source_counts (source_id, must_count)
  select s.id, true from matrice.context_sources s
   where rebuild_progress.project_id is null or s.project_id = rebuild_progress.project_id;
end
$$;
comment on function matrice_private.rebuild_progress is
  'Counts the chunks of all sources of a project again; without project_id, of all projects. For the owner of the tables, after '
  'rows were loaded or deleted without triggers.';

create or replace function matrice_private.recount_sources() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.rebuild_progress(new.id);
  return null;
end
$$;
comment on function matrice_private.recount_sources is
  'Counts the sources of a project again when its model changes. SECURITY DEFINER: no client may write source_counts.';

create or replace trigger recount_sources after update of settings on matrice.projects
for each row when (old.settings ->> 'embedding_model' is distinct from new.settings ->> 'embedding_model')
execute function matrice_private.recount_sources();

create or replace function matrice_private.recount_all() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.rebuild_progress();
  return null;
end
$$;
comment on function matrice_private.recount_all is
  'Counts all sources again, when another model becomes the default or a table is truncated. SECURITY DEFINER: no client may '
  'write source_counts.';

create or replace trigger recount_removed after truncate on matrice.source_chunks
for each statement execute function matrice_private.recount_all();
create or replace trigger recount_removed after truncate on matrice.chunk_embeddings
for each statement execute function matrice_private.recount_all();
create or replace trigger recount_removed after truncate on matrice.embedding_leases
for each statement execute function matrice_private.recount_all();
create or replace trigger recount_removed after delete on matrice.embedding_models
for each row when (old.is_default) execute function matrice_private.recount_all();
create or replace trigger recount_added after insert on matrice.embedding_models
for each row when (new.is_default) execute function matrice_private.recount_all();
create or replace trigger recount_changed after update of is_default, model on matrice.embedding_models
for each row when (old.is_default and not new.is_default or new.is_default and (not old.is_default or old.model <> new.model))
execute function matrice_private.recount_all();
