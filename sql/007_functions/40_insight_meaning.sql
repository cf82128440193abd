-- Insights by meaning: the vectors of a project's insights, compared with that of a query, and both searches as one.

create or replace function matrice_private.insight_similarities(query_embedding vector, project_id uuid, model text)
returns table (insight_id uuid, similarity double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select e.insight_id, 1 - (e.embedding <=> query_embedding)
    from matrice.insight_embeddings e
   where e.project_id = insight_similarities.project_id and e.model = insight_similarities.model;
end;
comment on function matrice_private.insight_similarities is
  'Returns the cosine similarity of a vector to each insight of a project that has an embedding of a model and that the caller '
  'can see. Compares every vector: a project has few insights, compared with its chunks.';

create or replace function matrice_private.fused_insights(
  query_text text, query_embedding vector, project_id uuid, model text
) returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with found as materialized (
      select coalesce(s.insight_id, r.id) as id, s.similarity, r.score, r.phrases
        from matrice_private.insight_similarities(query_embedding, project_id, fused_insights.model) s
        full join matrice_private.ranked_insights(query_text, project_id) r on r.id = s.insight_id
    ), spread as (
      select avg(f.similarity) as near, stddev_pop(f.similarity) as near_deviation,
             avg(coalesce(f.score, 0)) as rank, stddev_pop(coalesce(f.score, 0)) as rank_deviation
        from found f
    )
    -- As in fused_candidates. An insight that waits for its embedding counts as one of mean similarity.
    select f.id,
           coalesce(0.7 * (f.similarity - s.near) / nullif(s.near_deviation, 0), 0)
           + coalesce((coalesce(f.score, 0) - s.rank) / nullif(s.rank_deviation, 0), 0),
           f.phrases
      from found f cross join spread s;
end
$$;
comment on function matrice_private.fused_insights is
  'Ranks insights of a project by meaning and by words, as fused_candidates does chunks: those that have an embedding, and those '
  'that have words of the query. phrases: as in ranked_texts; null for insights without a word of the query.';

create or replace function matrice_private.positive(score double precision) returns double precision
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when score > 30 then score else ln(1 + exp(score)) end;
end;
comment on function matrice_private.positive is
  'Returns a number above 0 that grows with a standardised score, and is nearly the score itself if that is large. So scores '
  'below 0 can be multiplied by a confidence.';
