-- Insights by the words of a query: BM25, from the same index as chunks.

create or replace function matrice_private.ranked_without_index(query_text text, project_id uuid)
returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select r.*
      from (select array_agg(i.id) as ids, array_agg(i.fts) as vectors
              from matrice.insights i where i.project_id = ranked_without_index.project_id) i
     cross join lateral matrice_private.ranked_texts(query_text, i.ids, i.vectors) r;
end
$$;
comment on function matrice_private.ranked_without_index is
  'Ranks the insights of a project that match a query as ranked_texts does, with the statistics of those that the caller can '
  'see. Reads all of them.';

create or replace function matrice_private.ranked_insights(query_text text, project_id uuid, match_count bigint default null)
returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if row_security_active('matrice.insights') and matrice_private.has_other_policies('{matrice.insights}') then
    -- The statistics are those of the insights that the caller can see.
    return query
      select r.* from matrice_private.ranked_without_index(query_text, project_id) r
       order by r.score desc, r.id limit match_count;
    return;
  end if;
  return query
    with found as materialized (
      select m.*
        from matrice_private.matching_texts(
               query_text, 'any', array[project_id], least(match_count, 2147483647)::integer, '{}', '{}', kind => 'insight') m
    ), asked as materialized (
      select f.analysis, f.phrases::tsquery as phrases from found f where f.chunk_id is null
    )
    select f.chunk_id, f.score, a.phrases from found f join asked a on a.analysis = f.analysis
     where f.chunk_id is not null
     order by f.score desc, f.chunk_id;
end
$$;
comment on function matrice_private.ranked_insights is
  'Ranks the insights of a project that match a query by BM25, best first, ties by id, as the caller may see them, with the '
  'statistics of all of these, superseded ones included. match_count: how many at most; null for all. phrases: as in '
  'ranked_texts.';

create or replace function matrice_private.best_insights(
  ids uuid[], scores double precision[], phrases tsquery[], project_id uuid, depth integer, match_count integer,
  include_superseded boolean, at timestamptz
) returns table (insight_id uuid, score double precision, confidence double precision, seen integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off
as $$
#variable_conflict use_column
begin
  return query
    with near as materialized (
      select i.id, i.content_hash, n.score, n.phrases
        from unnest(ids[:depth], scores[:depth], phrases[:depth]) n (id, score, phrases)
       cross join lateral (select i.id, i.content_hash from matrice.insights i where i.id = n.id offset 0) i
    ), wanted as (
      select n.id, n.score, n.phrases from near n
      union all
      -- Clients that insert rows themselves may have repeated a text. The copies may rank behind depth.
      select c.id, scores[c.place], phrases[c.place]
        from (
          select i.id, array_position(ids, i.id) as place
            from (select distinct n.content_hash from near n where not include_superseded and depth < cardinality(ids)) h
           cross join lateral (
             select i.id from matrice.insights i
              where i.project_id = best_insights.project_id and i.content_hash = h.content_hash offset 0) i
           where i.id not in (select n.id from near n)
        ) c
       where c.place is not null
    ), matched as materialized (
      select i.id, i.content_hash, i.created_at, w.score
        from wanted w
       cross join lateral (select i.* from matrice.insights i where i.id = w.id offset 0) i
       where (include_superseded or matrice_private.holds(i.superseded_at, i.retracted_at, i.valid_from, i.valid_until, now()))
         and (w.phrases is null or i.fts @@ w.phrases)
    ), judged as (
      select m.*, j.confidence, j.seen,
             row_number() over (partition by m.content_hash order by j.seen desc, m.created_at, m.id) as copy
        from matched m
        join matrice_private.judged_insights(array(select m.id from matched m), best_insights.at) j on j.insight_id = m.id
    )
    select j.id, j.score, j.confidence, j.seen
      from judged j
     where include_superseded or j.copy = 1
     order by j.score * j.confidence desc, j.id
     limit match_count;
end
$$;
comment on function matrice_private.best_insights is
  'Returns the insights with the highest product of rank and confidence: of the first depth insights of a ranking, and of '
  'those with the same texts. at: of which time the confidence is.';
