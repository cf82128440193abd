-- Dead letters: chunks and insights that failed for good.

create or replace function matrice_private.failed_insights_as_seen(project_id uuid)
returns table (insight_id uuid, model text, attempts integer, last_error text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active('matrice.embedding_leases') then
    return query select f.* from matrice_private.failed_insights_of_member(project_id) f;
  else
    return query select f.* from matrice_private.failed_insights(project_id) f;
  end if;
end
$$;
comment on function matrice_private.failed_insights_as_seen is
  'Calls failed_insights for services, and failed_insights_of_member for members.';

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
    union all
    select i.id, null, null, null, f.model, f.attempts, f.last_error
      from matrice_private.failed_insights_as_seen(failed_chunks.project_id) f
      join matrice.insights i on i.id = f.insight_id
     order by 3, 2, 4, 5, 1;
end
$$;
comment on function matrice.failed_chunks is
  'Returns the chunks and insights of a project that failed for good, with the last error. They are not claimed until their text '
  'changes, or retry_failed is called. Of an insight, chunk_id is the id, and source_id, source_name and chunk_index are null.';

create or replace function matrice_private.free_failed(project_id uuid, model text) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  freed    integer;
  insights integer;
begin
  delete from matrice.embedding_leases l
   where l.project_id = free_failed.project_id and l.is_failed and (free_failed.model is null or l.model = free_failed.model);
  get diagnostics freed = row_count;
  update matrice_private.insight_leases l
     set attempt = 0, leased_until = now(), last_error = null, text_hash = null, is_failed = false, unanswered = 0
   where l.project_id = free_failed.project_id and l.is_failed and (free_failed.model is null or l.model = free_failed.model);
  get diagnostics insights = row_count;
  return freed + insights;
end
$$;
comment on function matrice_private.free_failed is
  'Forgets the failures of a project. SECURITY DEFINER: no client may write leases of insights. Checks no roles: for services '
  'and free_failed_of_member.';

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
  'Lets the chunks and insights that failed_chunks lists be claimed again. Returns how many. model: only for this model; null: '
  'for all.';
