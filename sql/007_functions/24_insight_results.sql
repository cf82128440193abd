-- What a worker does with insights that it has claimed: it stores their embeddings or gives them back. store_embeddings and
-- fail_chunks call these functions with the ids that are of no chunk.

create or replace function matrice_private.own_insights(insight_ids uuid[], model text, lease_id uuid, project_ids uuid[])
returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
  held   uuid[];
  ours   uuid[];
begin
  -- Whoever holds one otherwise is deleting it or changing its text. Waiting for him could be a deadlock.
  held := array(
    select i.id from matrice.insights i
     where i.id = any (insight_ids) and (own_insights.project_ids is null or i.project_id = any (own_insights.project_ids))
     order by i.id for key share skip locked);
  perform from (select h.id from unnest(held) h (id) order by h.id) given
    cross join lateral (
      select from matrice_private.insight_leases l where l.insight_id = given.id and l.model = own_insights.model for update) l;
  -- As in own_leases: who leases an insight may store the embedding of the text that he got. If nobody leases it, every editor
  -- may.
  with judged as materialized (
    select i.id, o.is_own,
           case when o.is_own then l.text_hash = sha256(convert_to(matrice_private.insight_text(i.title, i.content), 'UTF8'))
                else own_insights.lease_id is null and (l.lease_id is not null and l.leased_until > now()) is not true end as may
      from unnest(held) h (id)
      join matrice.insights i on i.id = h.id
      left join matrice_private.insight_leases l on l.insight_id = h.id and l.model = own_insights.model
     cross join lateral (
       select coalesce(case when own_insights.lease_id is null
                            then l.lease_id is not null and l.leased_by is not distinct from caller
                            else l.lease_id = own_insights.lease_id
                                 and (own_insights.project_ids is null or l.leased_by is not distinct from caller) end,
                       false) as is_own) o
  ), freed as (
    -- The lease runs out but stays, so that the old text's embedding is not accepted if it comes a second time.
    update matrice_private.insight_leases l
       set leased_until = now()
      from judged j
     where l.insight_id = j.id and l.model = own_insights.model and j.is_own and not j.may and l.leased_until > now()
  )
  select coalesce(array_agg(j.id), '{}') into ours from judged j where j.may;
  return ours;
end
$$;
comment on function matrice_private.own_insights is
  'Locks insights and their leases. Returns the insights whose embeddings the caller may store. Ends the caller''s leases of '
  'insights whose text has changed. Skips insights that others are deleting or changing. Arguments as in own_leases.';

create or replace function matrice_private.store_insights(
  insight_ids uuid[], model text, ids uuid[], embeddings jsonb, lease_id uuid, project_ids uuid[]
) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  ours   uuid[] := matrice_private.own_insights(insight_ids, model, lease_id, project_ids);
  stored integer;
begin
  insert into matrice.insight_embeddings as e (insight_id, project_id, model, embedding)
  select i.id, i.project_id, store_insights.model, given.embedding
    from (
      select distinct on (g.id) g.id, g.place
        from unnest(ids) with ordinality as g (id, place) where g.id = any (ours) order by g.id, g.place desc
    ) last
    join matrice_private.read_embeddings(embeddings) given on given.place = last.place
    join matrice.insights i on i.id = last.id
   order by i.id
  on conflict on constraint insight_embeddings_pkey do update set embedding = excluded.embedding, created_at = now();
  get diagnostics stored = row_count;
  delete from matrice_private.insight_leases l where l.insight_id = any (ours) and l.model = store_insights.model;
  return stored;
end
$$;
comment on function matrice_private.store_insights is
  'Stores the embeddings of insights, and ends their leases. Returns how many it stored. insight_ids: those of ids that are of '
  'insights. ids, embeddings: as store_embeddings got them. project_ids: only in these projects; null: in all. SECURITY DEFINER: '
  'no client may write embeddings or leases of insights. Checks no roles: for services and store_insights_of_member.';

create or replace function matrice_private.store_insights_of_member(
  insight_ids uuid[], model text, ids uuid[], embeddings jsonb, lease_id uuid
) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.store_insights(
    insight_ids, model, ids, embeddings, lease_id, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.store_insights_of_member is
  'Calls store_insights for the projects that the caller may edit. SECURITY DEFINER: no client may write embeddings or leases of '
  'insights.';

create or replace function matrice_private.return_insights(
  insight_ids uuid[], model text, error text, lease_id uuid, is_permanent boolean, project_ids uuid[]
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
  held   uuid[];
begin
  held := array(
    select i.id from matrice.insights i
     where i.id = any (insight_ids) and (return_insights.project_ids is null or i.project_id = any (return_insights.project_ids))
     order by i.id for key share skip locked);
  with own as materialized (
    select l.insight_id
      from matrice_private.insight_leases l
     where l.insight_id = any (held) and l.model = return_insights.model
       and case when return_insights.lease_id is null then l.lease_id is not null and l.leased_by is not distinct from caller
                else l.lease_id = return_insights.lease_id
                     and (return_insights.project_ids is null or l.leased_by is not distinct from caller) end
       for update skip locked
  )
  -- A text that has changed since the claim has not failed.
  update matrice_private.insight_leases l
     set last_error = left(return_insights.error, 2000), lease_id = null, leased_by = null, is_failed = fails.is_same and fails.for_good,
         leased_until = matrice_private.claimable_after(
           case when fails.is_same then l.attempt else 1 end, fails.is_same and fails.for_good)
    from own
   cross join lateral (
     select o.text_hash = sha256(convert_to(matrice_private.insight_text(i.title, i.content), 'UTF8')) as is_same,
            o.attempt >= coalesce((p.settings ->> 'max_attempts')::numeric, 8) or is_permanent as for_good
       from matrice_private.insight_leases o
       join matrice.insights i on i.id = o.insight_id
       join matrice.projects p on p.id = o.project_id
      where o.insight_id = own.insight_id and o.model = return_insights.model offset 0
   ) fails
   where l.insight_id = own.insight_id and l.model = return_insights.model;
end
$$;
comment on function matrice_private.return_insights is
  'Gives the caller''s leases of insights back, as return_leases does for chunks. SECURITY DEFINER: no client may write leases '
  'of insights. Checks no roles: for services and return_insights_of_member.';

create or replace function matrice_private.return_insights_of_member(
  insight_ids uuid[], model text, error text, lease_id uuid, is_permanent boolean
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.return_insights(
    insight_ids, model, error, lease_id, is_permanent, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.return_insights_of_member is
  'Calls return_insights for the projects that the caller may edit. SECURITY DEFINER: no client may write leases of insights.';

-- Dead letters.

create or replace function matrice_private.failed_insights(project_id uuid)
returns table (insight_id uuid, model text, attempts integer, last_error text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  return query
    select l.insight_id, l.model, l.attempt, l.last_error
      from matrice_private.insight_leases l
     where l.project_id = failed_insights.project_id and l.is_failed;
end
$$;
comment on function matrice_private.failed_insights is
  'Returns the insights of a project that failed for good. SECURITY DEFINER: no client may read leases of insights. Checks no '
  'roles: for services and failed_insights_of_member.';

create or replace function matrice_private.failed_insights_of_member(project_id uuid)
returns table (insight_id uuid, model text, attempts integer, last_error text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select f.* from unnest(matrice_private.projects_of_member(array[project_id])) p (id)
     cross join lateral matrice_private.failed_insights(p.id) f;
end
$$;
comment on function matrice_private.failed_insights_of_member is
  'Calls failed_insights if the caller is a member of the project. SECURITY DEFINER: no client may read leases of insights.';
