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

create or replace function matrice_private.fused_without_index(
  query_text text, query_embedding vector, project_id uuid, model text, match_count integer
) returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with found as materialized (
      select coalesce(s.insight_id, r.id) as id, s.similarity, r.score, r.phrases
        from matrice_private.insight_similarities(query_embedding, project_id, fused_without_index.model) s
        full join matrice_private.ranked_insights(query_text, project_id) r on r.id = s.insight_id
    ), spread as (
      select avg(f.similarity) as near, stddev_pop(f.similarity) as near_deviation,
             avg(coalesce(f.score, 0)) as rank, stddev_pop(coalesce(f.score, 0)) as rank_deviation
        from found f
    )
    -- As in fused_candidates. An insight that waits for its embedding counts as one of mean similarity.
    select f.id,
           coalesce(0.7 * (f.similarity - s.near) / nullif(s.near_deviation, 0), 0)
           + coalesce((coalesce(f.score, 0) - s.rank) / nullif(s.rank_deviation, 0), 0) as score,
           f.phrases
      from found f cross join spread s
     order by score desc, f.id
     limit match_count;
end
$$;
comment on function matrice_private.fused_without_index is
  'Ranks the insights of a project as fused_insights does, with the statistics of those that the caller can see.';

create or replace function matrice_private.fuse_insights(
  query_text text, query_embedding vector, project_id uuid, model text, match_count integer
) returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
-- As in matching_chunks, which looks words up in the same way. The planner does not know how many insights there are: compiling
-- the query would take longer than running it, and a nested loop for ever.
set enable_seqscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
    with segments as materialized (
      select s.id, s.analysis, s.texts, row_number() over (order by s.id)::integer as place
        from matrice_private.word_segments s
       where s.project_id = fuse_insights.project_id and s.kind = 'insight'
    ), lookups as materialized (
      select a.analysis, w.word, w.is_prefix
        from (select distinct s.analysis from segments s) a
       cross join lateral matrice._query_words(query_text, 'any', a.analysis) w
    ), blocks as materialized (
      select distinct on (s.place, b.first_word) s.place, b.words
        from segments s
        join lookups l on l.analysis = s.analysis
       cross join lateral (
         (select b.first_word, b.words from matrice_private.word_blocks b
           where b.project_id = fuse_insights.project_id and b.segment = s.id and b.first_word <= l.word collate "C"
           order by b.first_word desc limit 1)
         union all
         (select b.first_word, b.words from matrice_private.word_blocks b
           where l.is_prefix and b.project_id = fuse_insights.project_id and b.segment = s.id
             and b.first_word > l.word collate "C" and b.first_word < (l.word || chr(1114111)) collate "C")
       ) b
    ), words as materialized (
      select r.id, r.score, r.analysis, r.phrases
        from (select coalesce(array_agg(s.analysis order by s.place), '{}') as analyses,
                     coalesce(array_agg(s.texts order by s.place), '{}') as texts from segments s) s
       cross join (select coalesce(array_agg(b.place), '{}') as places, coalesce(array_agg(b.words), '{}') as words from blocks b) b
       cross join lateral matrice._rank_words(
         query_text, 'any', s.analyses, s.texts, b.places, b.words,
         array(select d.texts from matrice_private.word_deletions d
                where d.project_id = fuse_insights.project_id and d.kind = 'insight'),
         null, null, 2147483647) r
    ), found as materialized (
      select coalesce(n.insight_id, w.id) as id, n.similarity, w.score, w.analysis
        from matrice_private.insight_similarities(query_embedding, fuse_insights.project_id, fuse_insights.model) n
        full join (select w.* from words w where w.id is not null) w on w.id = n.insight_id
    ), spread as materialized (
      select avg(f.similarity) as near, nullif(stddev_pop(f.similarity), 0) as near_deviation,
             avg(coalesce(f.score, 0)) as rank, nullif(stddev_pop(coalesce(f.score, 0)), 0) as rank_deviation
        from found f
    ), best as (
      -- As in fused_candidates. An insight that waits for its embedding counts as one of mean similarity.
      select f.id, f.analysis,
             coalesce(0.7 * (f.similarity - s.near) / s.near_deviation, 0)
             + coalesce((coalesce(f.score, 0) - s.rank) / s.rank_deviation, 0) as score
        from found f cross join spread s
       order by score desc, f.id
       limit match_count
    )
    select b.id, b.score, w.phrases::tsquery
      from best b left join words w on w.id is null and w.analysis = b.analysis
     order by b.score desc, b.id;
end
$$;
comment on function matrice_private.fuse_insights is
  'Ranks the insights of a project as fused_insights does. It does not check the caller: it is for services and '
  'fuse_insights_of_member. SECURITY DEFINER: the word index and the embeddings are read as the owner of the tables.';

create or replace function matrice_private.fuse_insights_of_member(
  query_text text, query_embedding vector, project_id uuid, model text, match_count integer
) returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select f.* from unnest(matrice_private.projects_of_member(array[project_id])) p (id)
     cross join lateral matrice_private.fuse_insights(query_text, query_embedding, p.id, model, match_count) f;
end
$$;
comment on function matrice_private.fuse_insights_of_member is
  'Calls fuse_insights if the caller is a member of the project. SECURITY DEFINER: the word index and the embeddings are read as '
  'the owner of the tables.';

create or replace function matrice_private.fused_insights(
  query_text text, query_embedding vector, project_id uuid, model text, match_count bigint
) returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  most integer := least(match_count, 2147483647);
begin
  if not row_security_active('matrice.insights') then
    return query select f.* from matrice_private.fuse_insights(query_text, query_embedding, project_id, model, most) f;
  elsif not matrice_private.has_other_policies('{matrice.insights,matrice.insight_embeddings}') then
    return query select f.* from matrice_private.fuse_insights_of_member(query_text, query_embedding, project_id, model, most) f;
  else
    return query select f.* from matrice_private.fused_without_index(query_text, query_embedding, project_id, model, most) f;
  end if;
end
$$;
comment on function matrice_private.fused_insights is
  'Ranks insights of a project by meaning and by words, as fused_candidates does chunks: those that have an embedding, and those '
  'that have words of the query. Returns the best match_count, ties by id. phrases: as in ranked_texts; null for insights that '
  'have no word of the query.';

create or replace function matrice_private.positive(score double precision) returns double precision
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when score > 30 then score else ln(1 + exp(score)) end;
end;
comment on function matrice_private.positive is
  'Returns a number above 0 that grows with a standardised score, and is nearly the score itself if that is large. So scores '
  'below 0 can be multiplied by a confidence.';
