-- Dead letters: chunks that failed for good.

create or replace function matrice.failed_chunks(project_id uuid) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, model text, attempts integer, last_error text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_role(failed_chunks.project_id, 'viewer');
  return query
    select c.id, s.id, s.name, c.chunk_index, l.model, l.attempt, l.last_error
      from matrice.embedding_leases l
     cross join lateral (select c.* from matrice.source_chunks c where c.id = l.chunk_id offset 0) c
     cross join lateral (select s.id, s.name from matrice.context_sources s where s.id = c.source_id offset 0) s
     where l.project_id = failed_chunks.project_id and l.is_failed
     order by s.name, s.id, c.chunk_index, l.model;
end
$$;
comment on function matrice.failed_chunks is
  'Returns the chunks of a project that failed for good, with the last error. They are not claimed until their text changes, or '
  'retry_failed is called.';

create or replace function matrice_private.free_failed(project_id uuid, model text) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  freed integer;
begin
  delete from matrice.embedding_leases l
   where l.project_id = free_failed.project_id and l.is_failed and (free_failed.model is null or l.model = free_failed.model);
  get diagnostics freed = row_count;
  return freed;
end
$$;
comment on function matrice_private.free_failed is
  'Forgets the failures of a project. Checks no roles: for services and free_failed_of_member.';

create or replace function matrice_private.free_failed_of_member(project_id uuid, model text) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id = any (matrice_private.project_ids('editor')) then
    return matrice_private.free_failed(project_id, model);
  end if;
  return 0;
end
$$;
comment on function matrice_private.free_failed_of_member is
  'Calls free_failed if the caller may edit the project. SECURITY DEFINER: no client may write leases.';

create or replace function matrice.retry_failed(project_id uuid, model text default null) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_role(project_id, 'editor');
  if model is not null then
    perform matrice_private.require_model(model);
  end if;
  if row_security_active('matrice.embedding_leases') then
    return matrice_private.free_failed_of_member(project_id, model);
  end if;
  return matrice_private.free_failed(project_id, model);
end
$$;
comment on function matrice.retry_failed is
  'Lets the chunks that failed_chunks lists be claimed again. Returns how many. model: only for this model; null: for all.';
