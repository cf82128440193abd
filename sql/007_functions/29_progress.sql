-- The status of a source, what clients learn of it, and how they say that a document could not be read.

create or replace function matrice_private.keep_progress() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    -- Chunks are counted when they are added, also in a restore.
    new.chunk_count := 0;
    new.embedded_count := 0;
    new.failed_count := 0;
    new.status := case when new.error is null then new.status else 'error' end;
    return new;
  end if;
  if not pg_has_role((select c.relowner from pg_class c where c.oid = tg_relid), 'USAGE') then
    new.chunk_count := old.chunk_count;
    new.embedded_count := old.embedded_count;
    new.failed_count := old.failed_count;
  end if;
  if new.status <> 'error' and new.error is not distinct from old.error and old.status = 'error' then
    new.error := null;
  end if;
  new.status := case
    when new.error is not null and not matrice_private.is_count_of_failures(new.error) then 'error'
    when new.status = 'error' then 'error'
    when new.chunk_count = 0 then case when old.chunk_count > 0 then 'pending' else new.status end
    when new.embedded_count >= new.chunk_count then 'ready'
    when new.embedded_count + new.failed_count >= new.chunk_count then 'error'
    else 'processing'
  end;
  return new;
end
$$;
comment on function matrice_private.keep_progress is
  'Sets the status of a source that has chunks by its counts, and keeps clients from changing these.';

create or replace trigger keep_progress
before insert or update of status, error, chunk_count, embedded_count, failed_count on matrice.context_sources
for each row execute function matrice_private.keep_progress();

create or replace function matrice_private.tell_progress() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- The plan is made for the first statement of a session. If that changes one row, it is slow for many.
set enable_nestloop = off
as $$
begin
  -- Embeddings come in many small batches, so they are told at each twentieth of the chunks.
  perform matrice_private.send_event(c.project_id, matrice_private.told_rows(
            c.project_id, 'source_progress', null, 'source', c.how_many, case when c.how_many <= 30 then c.sources end))
     from (
       select a.project_id, count(*) as how_many,
              jsonb_agg(jsonb_build_object(
                'id', a.id, 'status', a.status, 'chunk_count', a.chunk_count, 'embedded_count', a.embedded_count,
                'failed_count', a.failed_count) order by a.id) as sources
         from added a
         join removed r on r.id = a.id
        where (a.status, a.error, a.chunk_count, a.failed_count, 20::bigint * a.embedded_count / nullif(a.chunk_count, 0))
              is distinct from (r.status, r.error, r.chunk_count, r.failed_count, 20::bigint * r.embedded_count / nullif(r.chunk_count, 0))
        group by a.project_id
     ) c;
  return null;
end
$$;
comment on function matrice_private.tell_progress is
  'Tells members which sources of a project a statement changed: one event for each project. SECURITY DEFINER: clients may '
  'not execute realtime.send.';

create or replace trigger tell_progress after update on matrice.context_sources
referencing old table as removed new table as added
for each statement execute function matrice_private.tell_progress();

create or replace function matrice.set_source_error(source_id uuid, error text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_given('source_id', source_id);
  perform matrice_private.require_text('error', error);
  perform matrice_private.project_of_source(source_id, 'editor');
  update matrice.context_sources s set status = 'error', error = left(set_source_error.error, 1000)
   where s.id = set_source_error.source_id;
end
$$;
comment on function matrice.set_source_error is
  'Says that a document could not be read: its source gets the status error and the reason. The chunks that it has stay. The '
  'next text clears the error. error: its first 1000 characters are kept.';

create or replace function matrice.source_progress(project_id uuid) returns table (
  source_id uuid, name text, status text, error text, chunk_count integer, embedded_count integer, failed_count integer
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_role(source_progress.project_id, 'viewer');
  return query
    select s.id, s.name, s.status, s.error, s.chunk_count, s.embedded_count, s.failed_count
      from matrice.context_sources s
     where s.project_id = source_progress.project_id
     order by s.created_at, s.id;
end
$$;
comment on function matrice.source_progress is
  'Returns how far the sources of a project are: their chunks, those that have an embedding of the project''s model, and '
  'those that failed for good. Clients can listen for changes: the channel matrice:<project_id> of LISTEN, or of Supabase '
  'Realtime, gets an event for each statement that changes them. Embeddings are told at each twentieth of the chunks of a '
  'source.';
