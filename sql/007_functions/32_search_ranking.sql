-- From candidates to ranked chunks: fusion of both searches, diversity, and a limit per source.

create or replace function matrice_private.similarity_spread(query_embedding vector, project_ids uuid[], model text)
returns table (project_id uuid, mean double precision, deviation double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  with sample as materialized (
    select p.id, 1 - (e.embedding <=> query_embedding) as similarity
      from unnest(project_ids) as p (id)
     cross join lateral (
       -- Ids are random, so the first ones are a sample.
       select e.embedding, e.model from matrice.chunk_embeddings e where e.project_id = p.id order by e.chunk_id limit 400
     ) e
     where e.model = similarity_spread.model
  )

  select s.id, avg(s.similarity), stddev_pop(s.similarity) from sample s group by s.id;
end;
comment on function matrice_private.similarity_spread is
  'Returns the mean and the standard deviation of the similarities of a vector to the chunks of each project. Looks at up to 400 '
  'embeddings of a project.';

create or replace function matrice_private.fused_candidates(
  query_text text, query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb, options jsonb
) returns table (chunk_id uuid, score double precision, details jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- Deep enough that a chunk with a middling rank in both lists can win.
  depth            integer := least(greatest(match_count * 5, 100), 10000);
  full_text_weight double precision := coalesce((options ->> 'full_text_weight')::double precision, 1);
  semantic_weight  double precision := coalesce((options ->> 'semantic_weight')::double precision, 1);
  rrf_k            integer := coalesce((options ->> 'rrf_k')::integer, 50);
  by_rank          boolean := coalesce(options ->> 'fusion', 'score') = 'rank';
  near             uuid[];
  similarities     double precision[];
  are_all          boolean;
begin
  select coalesce(array_agg(n.chunk_id), '{}'), array_agg(n.similarity) into near, similarities
    from matrice_private.vector_candidates(query_embedding, project_ids, fused_candidates.model, depth, filter) n;
  -- Of a small project, the similarities of all chunks are known now.
  are_all := cardinality(near) < depth and cardinality(project_ids) = 1 and filter = '{}';
  return query
    with semantic as materialized (
      select n.id, n.similarity, row_number() over (order by n.similarity desc, n.id) as rank
        from unnest(near, similarities) n (id, similarity)
    ), words as materialized (
      select m.* from matrice_private.word_candidates(
        query_text, coalesce(options ->> 'words', 'any'), project_ids, depth, filter, also => near) m
    ), full_text as materialized (
      select w.*, row_number() over (order by w.score desc, w.chunk_id) as rank from words w where w.chunk_id is not null
    ), united as materialized (
      select coalesce(v.id, t.chunk_id) as id, v.similarity, v.rank as semantic_rank, t.score, t.matched,
             case when t.rank <= depth then t.rank end as full_text_rank
        from semantic v full join full_text t on t.chunk_id = v.id
    ), missing as materialized (
      select array_agg(u.id) as ids from united u where u.similarity is null having count(*) > 0
    ), looked_up as materialized (
      select s.id, s.similarity
        from missing m,
             unnest(m.ids, matrice_private.similarities_to(query_embedding, m.ids, fused_candidates.model)) s (id, similarity)
    ), similarity_spread as materialized (
      select project_ids[1] as project_id, avg(s.similarity) as mean, stddev_pop(s.similarity) as deviation
        from semantic s having are_all
      union all
      select s.* from matrice_private.similarity_spread(query_embedding, project_ids, fused_candidates.model) s where not are_all
    ), word_spread as materialized (
      -- While the language of a project changes, it has a row for each language.
      select m.project_id, avg(m.mean) as mean, avg(m.deviation) as deviation
        from words m
       where m.chunk_id is null
       group by m.project_id
    ), scored as materialized (
      select u.*, coalesce(u.similarity, l.similarity) as any_similarity,
             case when by_rank
                  then coalesce(semantic_weight / (rrf_k + u.semantic_rank), 0)
                       + coalesce(full_text_weight / (rrf_k + u.full_text_rank), 0)
                  -- 0.7 was better than 1 on the sets of benches/quality_bench.py.
                  else coalesce(0.7 * semantic_weight * (coalesce(u.similarity, l.similarity) - s.mean) / nullif(s.deviation, 0), 0)
                       + coalesce(full_text_weight * (coalesce(u.score, 0) - w.mean) / nullif(w.deviation, 0), 0) end as fused
        from united u
        -- All are of the only project, if there is only one.
       cross join lateral (
         select case when cardinality(project_ids) = 1 then project_ids[1]
                     else (select c.project_id from matrice.source_chunks c where c.id = u.id) end as project_id offset 0) c
        left join looked_up l on l.id = u.id
        left join similarity_spread s on s.project_id = c.project_id
        left join word_spread w on w.project_id = c.project_id
       where options ->> 'min_similarity' is null
          or coalesce(u.similarity, l.similarity) >= (options ->> 'min_similarity')::double precision
       order by fused desc, u.id
       limit match_count
    )
    select s.id, s.fused, jsonb_build_object(
             'semantic_rank', s.semantic_rank, 'full_text_rank', s.full_text_rank,
             'similarity', s.any_similarity, 'rank', s.score, 'matched_words', s.matched)
      from scored s
     order by s.fused desc, s.id;
end
$$;
comment on function matrice_private.fused_candidates is
  'Finds the best chunks by vector and by words, ties by id. options: full_text_weight, semantic_weight, words, min_similarity, '
  'fusion and rrf_k, as in hybrid_search.';

create or replace function matrice_private.candidates(
  query_text text, query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb, options jsonb
) returns table (chunk_id uuid, score double precision, details jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if query_text is null then
    return query select n.chunk_id, n.similarity, null::jsonb
                   from matrice_private.vector_candidates(query_embedding, project_ids, model, match_count, filter) n;
  elsif query_embedding is null then
    return query select m.chunk_id, m.score, jsonb_build_object('matched_words', m.matched)
                   from matrice_private.word_candidates(
                          query_text, coalesce(options ->> 'words', 'any'), project_ids, match_count, filter) m
                  where m.chunk_id is not null;
  else
    return query select * from matrice_private.fused_candidates(
      query_text, query_embedding, project_ids, model, match_count, filter, options);
  end if;
end
$$;
comment on function matrice_private.candidates is
  'Finds the candidates of a search, best first: by vector if query_text is null, by words if query_embedding is null, else by '
  'both. options: as in fused_candidates.';

create or replace function matrice_private.similarities(chunk_ids uuid[], chunk_id uuid, model text) returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select array_agg(coalesce(1 - (e.embedding <=> (
           select one.embedding
             from (
               select o.model, o.embedding from matrice.chunk_embeddings o where o.chunk_id = similarities.chunk_id offset 0) one
            where one.model = similarities.model)), 0) order by given.place)
    from unnest(chunk_ids) with ordinality as given (id, place)
    -- OFFSET 0, so that each embedding is looked up by its chunk. Under row-level security and with the model in the
    -- condition, the planner may read the whole project for each: it has no statistics, and thinks that is one row.
    left join lateral (
      select e.model, e.embedding from matrice.chunk_embeddings e where e.chunk_id = given.id offset 0
    ) e on e.model = similarities.model;
end;
comment on function matrice_private.similarities is
  'Returns the cosine similarity of each of the chunks to one chunk; 0 if either has no embedding.';

create or replace function matrice_private.on_one_scale(scores double precision[]) returns double precision[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array_agg(case when ends.high > ends.low then (s.score - ends.low) / (ends.high - ends.low) else 1 end order by s.place)
    from unnest(scores) with ordinality as s (score, place),
         (select min(score) as low, max(score) as high from unnest(scores) score) ends;
end;
comment on function matrice_private.on_one_scale is
  'Stretches scores to the range from 0 to 1, so that they can be compared with similarities. Equal scores become 1.';

create or replace function matrice_private.diverse_chunks(
  chunk_ids uuid[], relevance double precision[], match_count integer,
  diversity double precision, max_per_source integer, model text
) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  sources  uuid[] := array(select c.source_id from unnest(chunk_ids) with ordinality given (id, place)
                             left join matrice.source_chunks c on c.id = given.id order by given.place);
  likeness double precision[] := array_fill(0, array[cardinality(chunk_ids)]);
  chosen   integer[] := array[]::integer[];
  best     integer;
begin
  while cardinality(chosen) < match_count loop
    select candidate.place::integer into best
      from unnest(sources, relevance, likeness) with ordinality candidate (source, relevance, likeness, place)
     where candidate.place <> all (chosen)
       and (max_per_source is null or max_per_source > (
         select count(*) from unnest(chosen) taken where sources[taken] = candidate.source))
     order by (1 - diversity) * candidate.relevance - diversity * candidate.likeness desc, candidate.place
     limit 1;
    exit when not found;
    chosen := chosen || best;
    likeness := array(
      select greatest(already, now)
        from unnest(likeness, matrice_private.similarities(chunk_ids, chunk_ids[best], model))
             with ordinality both_ (already, now, place)
       order by place);
  end loop;
  return array(select chunk_ids[taken] from unnest(chosen) with ordinality c (taken, place) order by place);
end
$$;
comment on function matrice_private.diverse_chunks is
  'Selects chunks by maximal marginal relevance, at most max_per_source per source. Each step selects the chunk with the '
  'highest (1 - diversity) · relevance - diversity · similarity to the most similar chunk selected before.';

create or replace function matrice_private.select_chunks(
  chunk_ids uuid[], scores double precision[], are_similarities boolean, match_count integer,
  diversity double precision, max_per_source integer, model text
) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if diversity > 0 and cardinality(chunk_ids) > 0 then
    return matrice_private.diverse_chunks(
      chunk_ids, case when are_similarities then scores else matrice_private.on_one_scale(scores) end,
      match_count, diversity, max_per_source, model);
  end if;
  return array(
    select numbered.id
      from (
        select given.id, given.place, row_number() over (partition by c.source_id order by given.place) as in_source
          from unnest(chunk_ids) with ordinality given (id, place)
          join matrice.source_chunks c on c.id = given.id
      ) numbered
     where max_per_source is null or numbered.in_source <= max_per_source
     order by numbered.place
     limit match_count);
end
$$;
comment on function matrice_private.select_chunks is
  'Selects match_count of the ranked chunks: at most max_per_source per source, and by diverse_chunks if diversity is above 0.';

create or replace function matrice_private.ranked_chunks(
  query_text text, query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb,
  diversity double precision, max_per_source integer, least_score double precision, options jsonb default '{}'
) returns table (place bigint, chunk_id uuid, score double precision, details jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  plain   boolean := diversity = 0 and max_per_source is null;
  depth   integer := case when plain then match_count else least(greatest(match_count * 5, 50), 10000) end;
  ids     uuid[];
  scores  double precision[];
  found   jsonb[];
  chosen  uuid[];
begin
  if plain then
    return query
      select row_number() over (order by c.score desc, c.chunk_id), c.*
        from matrice_private.candidates(query_text, query_embedding, project_ids, ranked_chunks.model, depth, filter, options) c
       where least_score is null or c.score >= least_score;
    return;
  end if;
  -- Go deeper until enough chunks are selected: the best candidates may all belong to one source.
  loop
    select array_agg(c.chunk_id order by c.score desc, c.chunk_id), array_agg(c.score order by c.score desc, c.chunk_id),
           array_agg(c.details order by c.score desc, c.chunk_id)
      into ids, scores, found
      from matrice_private.candidates(query_text, query_embedding, project_ids, ranked_chunks.model, depth, filter, options) c;
    chosen := matrice_private.select_chunks(
      ids, scores, are_similarities => query_text is null, match_count => match_count,
      diversity => diversity, max_per_source => max_per_source, model => ranked_chunks.model);
    exit when cardinality(chosen) >= match_count or cardinality(ids) < depth or ids is null or depth = 10000;
    depth := least(depth * 4, 10000);
  end loop;
  return query
    select c.place, c.id, scores[array_position(ids, c.id)], found[array_position(ids, c.id)]
      from unnest(chosen) with ordinality c (id, place)
     where least_score is null or scores[array_position(ids, c.id)] >= least_score;
end
$$;
comment on function matrice_private.ranked_chunks is
  'Finds the chunks that a search returns, in order. These are the best candidates, or what diversity and max_per_source select '
  'from the candidates. least_score: leaves out chunks with a lower score; null for none. options: as in fused_candidates.';
