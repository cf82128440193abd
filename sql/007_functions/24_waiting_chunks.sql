-- Chunks and insights that nobody can claim yet: those that failed and wait, and those of other workers.

create or replace function matrice_private.leased_insights(project_ids uuid[])
returns table (in_project uuid, model text, lease_id uuid, leased_until timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select l.project_id, l.model, l.lease_id, l.leased_until from matrice_private.insight_leases l
     where (leased_insights.project_ids is null or l.project_id = any (leased_insights.project_ids))
       and not l.is_failed and l.leased_until > now();
end
$$;
comment on function matrice_private.leased_insights is
  'Returns the leases of insights that have not ended, of some projects or, if null, of all. SECURITY DEFINER: no client may '
  'read leases of insights. Checks no roles: for services and leased_insights_of_member.';

create or replace function matrice_private.leased_insights_of_member(project_id uuid)
returns table (in_project uuid, model text, lease_id uuid, leased_until timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select l.* from matrice_private.leased_insights(
      case when leased_insights_of_member.project_id is null then matrice_private.project_ids()
           else matrice_private.projects_of_member(array[leased_insights_of_member.project_id]) end) l;
end
$$;
comment on function matrice_private.leased_insights_of_member is
  'Calls leased_insights for projects of the caller. project_id: null for all of them. SECURITY DEFINER: no client may read '
  'leases of insights.';

create or replace function matrice_private.leased_insights_as_seen(project_id uuid)
returns table (in_project uuid, model text, lease_id uuid, leased_until timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if row_security_active('matrice.embedding_leases') then
    return query select l.* from matrice_private.leased_insights_of_member(leased_insights_as_seen.project_id) l;
  else
    return query
      select l.* from matrice_private.leased_insights(
        case when leased_insights_as_seen.project_id is not null then array[leased_insights_as_seen.project_id] end) l;
  end if;
end
$$;
comment on function matrice_private.leased_insights_as_seen is
  'Calls leased_insights for services, and leased_insights_of_member for members.';

create or replace function matrice_private.count_waiting(in_project uuid, of_model text) returns table (
  model text, waiting bigint, leased bigint, next_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if in_project is not null then
    perform matrice_private.require_role(in_project, 'viewer');
  end if;
  if of_model is not null then
    perform matrice_private.require_model(of_model);
  end if;
  return query
    select l.model, count(*) filter (where l.lease_id is null), count(*) filter (where l.lease_id is not null), min(l.leased_until)
      from (
        select c.project_id, c.model, c.lease_id, c.leased_until from matrice.embedding_leases c
         where (count_waiting.in_project is null or c.project_id = count_waiting.in_project)
           and not c.is_failed and c.leased_until > now()
        union all
        select i.in_project, i.model, i.lease_id, i.leased_until
          from matrice_private.leased_insights_as_seen(count_waiting.in_project) i
      ) l
      join matrice.projects p on p.id = l.project_id
     where l.model = of_model
        or of_model is null
           and l.model in (matrice_private.embedding_model(null, l.project_id), p.settings ->> 'next_embedding_model')
     group by l.model
     order by l.model;
end
$$;
comment on function matrice_private.count_waiting is
  'Does the work of waiting_chunks, which has an argument and a result column of the same name. PL/pgSQL does not allow that.';

create or replace function matrice.waiting_chunks(project_id uuid default null, model text default null) returns table (
  model text, waiting bigint, leased bigint, next_at timestamptz
)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select w.model, w.waiting, w.leased, w.next_at from matrice_private.count_waiting(project_id, model) w;
end;
comment on function matrice.waiting_chunks is
  'Counts the chunks and insights that nobody can claim yet, for each model. waiting: they failed, and wait to be tried again. '
  'leased: a worker has them. next_at: when the first of them can be claimed, unless its worker stores it. If claim_chunks '
  'returns nothing and this function returns no row, every chunk has its embedding or failed for good (failed_chunks). '
  'project_id: if null, all projects of the caller. model: if null, the models that the projects use or switch to.';
