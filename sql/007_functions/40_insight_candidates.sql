-- Candidates: insights that may state the same as a new one.

create or replace function matrice_private.near_insights(project_id uuid, insight_id uuid, how_many integer)
returns table (candidate_id uuid, found_by text, likeness double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
-- The planner has no statistics about the codes. A text that thousands repeat with another number must not make this slow.
set enable_seqscan = off set gin_fuzzy_search_limit = 1000
as $$
#variable_conflict use_column
declare
  new record;
begin
  select i.fts, i.sketch into new
    from matrice.insights i where i.id = near_insights.insight_id and i.project_id = near_insights.project_id;
  return query
    select n.id, 'words', n.likeness
      from (
        select i.id, matrice._likeness(i.fts, new.fts) as likeness
          from (
            -- The codes are those of one project.
            select i.id, i.fts, i.project_id, i.superseded_at, i.retracted_at
              from matrice.insights i where i.sketch && new.sketch limit 200
          ) i
         where i.project_id = near_insights.project_id and i.id <> near_insights.insight_id
           and i.superseded_at is null and i.retracted_at is null
        offset 0
      ) n
     where n.likeness >= 0.5
     order by n.likeness desc, n.id
     limit how_many;
end
$$;
comment on function matrice_private.near_insights is
  'Finds the insights that may state the same as a given one, the most alike first. Each way to find them is a query here, with '
  'its name in found_by. SECURITY DEFINER: under row-level security, the index of codes cannot be used, and only the owner may '
  'execute the engine''s functions. The function does not check membership of the project. So only link_candidates executes it.';

create or replace function matrice_private.link_candidates(insight_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  with near as materialized (
    select i.project_id, i.id, n.candidate_id, n.found_by, n.likeness
      from matrice.insights i
     cross join lateral matrice_private.near_insights(i.project_id, i.id, 5) n
     where i.id = link_candidates.insight_id
  ), held as materialized (
    -- Without those that somebody deletes at this moment.
    select c.id from matrice.insights c
     where c.id = any (array(select n.candidate_id from near n)) for key share skip locked
  )
  insert into matrice.insight_candidates (project_id, insight_id, candidate_id, found_by, likeness)
  select n.project_id, n.id, n.candidate_id, n.found_by, n.likeness
    from near n join held h on h.id = n.candidate_id
  on conflict on constraint insight_candidates_pkey do nothing;
end
$$;
comment on function matrice_private.link_candidates is
  'Links an insight with those that may state the same. SECURITY DEFINER: nobody may write insight_candidates. Services and '
  'link_candidates_of_member execute it.';

create or replace function matrice_private.link_candidates_of_member(insight_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from matrice.insights i
     where i.id = link_candidates_of_member.insight_id and i.project_id = any (matrice_private.project_ids('editor'))
  ) then
    perform matrice_private.link_candidates(insight_id);
  end if;
end
$$;
comment on function matrice_private.link_candidates_of_member is
  'Calls link_candidates if the caller may edit the project of the insight. SECURITY DEFINER: nobody may write '
  'insight_candidates.';
