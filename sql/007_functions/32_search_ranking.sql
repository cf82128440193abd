-- From candidates to ranked chunks: fusion of both searches, diversity, and a limit per source.

create or replace function matrice_private.fused_candidates(
  query_text text, query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb,
  full_text_weight double precision, semantic_weight double precision, rrf_k integer
) returns table (chunk_id uuid, score double precision, semantic_rank integer, full_text_rank integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- Deep enough that a chunk with a middling rank in both lists can win.
  depth integer := least(greatest(match_count * 5, 100), 10000);
begin
  return query
    with semantic as materialized (
      select n.chunk_id, row_number() over (order by n.similarity desc, n.chunk_id)::integer as rank
        from matrice_private.vector_candidates(query_embedding, project_ids, fused_candidates.model, depth, filter) n
    ), full_text as materialized (
      select m.chunk_id, row_number() over (order by m.rank desc, m.chunk_id)::integer as rank
        from matrice_private.word_candidates(query_text, project_ids, depth, filter) m
    )
    select coalesce(v.chunk_id, t.chunk_id),
           coalesce(semantic_weight / (rrf_k + v.rank), 0) + coalesce(full_text_weight / (rrf_k + t.rank), 0),
           v.rank, t.rank
      from semantic v full join full_text t on t.chunk_id = v.chunk_id
     order by 2 desc, 1
     limit match_count;
end
$$;
comment on function matrice_private.fused_candidates is
  'Finds the best chunks by reciprocal rank fusion of vector_candidates and word_candidates, ties by id.';

create or replace function matrice_private.candidates(
  query_text text, query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb,
  full_text_weight double precision default 1, semantic_weight double precision default 1, rrf_k integer default 50
) returns table (chunk_id uuid, score double precision, semantic_rank integer, full_text_rank integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if query_text is null then
    return query select n.chunk_id, n.similarity, null::integer, null::integer
                   from matrice_private.vector_candidates(query_embedding, project_ids, model, match_count, filter) n;
  elsif query_embedding is null then
    return query select m.chunk_id, m.rank::double precision, null::integer, null::integer
                   from matrice_private.word_candidates(query_text, project_ids, match_count, filter) m;
  else
    return query select * from matrice_private.fused_candidates(
      query_text, query_embedding, project_ids, model, match_count, filter, full_text_weight, semantic_weight, rrf_k);
  end if;
end
$$;
comment on function matrice_private.candidates is
  'Finds the candidates of a search, best first: by vector if query_text is null, by words if query_embedding is null, else by '
  'both.';

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
  diversity double precision, max_per_source integer, match_threshold double precision default null,
  full_text_weight double precision default 1, semantic_weight double precision default 1, rrf_k integer default 50
) returns table (place bigint, chunk_id uuid, score double precision, semantic_rank integer, full_text_rank integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  plain  boolean := diversity = 0 and max_per_source is null;
  depth  integer := case when plain then match_count else least(greatest(match_count * 5, 50), 10000) end;
  ids    uuid[];
  scores double precision[];
  ranks  integer[][];
  chosen uuid[];
begin
  if plain then
    return query
      select row_number() over (), c.*
        from matrice_private.candidates(query_text, query_embedding, project_ids, ranked_chunks.model, depth, filter,
                                        full_text_weight, semantic_weight, rrf_k) c
       where match_threshold is null or c.score >= match_threshold;
    return;
  end if;
  -- Go deeper until enough chunks are selected: the best candidates may all belong to one source.
  loop
    select array_agg(c.chunk_id order by c.score desc, c.chunk_id), array_agg(c.score order by c.score desc, c.chunk_id),
           array_agg(array[c.semantic_rank, c.full_text_rank] order by c.score desc, c.chunk_id)
      into ids, scores, ranks
      from matrice_private.candidates(query_text, query_embedding, project_ids, ranked_chunks.model, depth, filter,
                                      full_text_weight, semantic_weight, rrf_k) c;
    chosen := matrice_private.select_chunks(
      ids, scores, are_similarities => query_text is null, match_count => match_count,
      diversity => diversity, max_per_source => max_per_source, model => ranked_chunks.model);
    exit when cardinality(chosen) >= match_count or cardinality(ids) < depth or ids is null or depth = 10000;
    depth := least(depth * 4, 10000);
  end loop;
  return query
    select c.place, c.id, scores[array_position(ids, c.id)],
           ranks[array_position(ids, c.id)][1], ranks[array_position(ids, c.id)][2]
      from unnest(chosen) with ordinality c (id, place)
     where match_threshold is null or scores[array_position(ids, c.id)] >= match_threshold;
end
$$;
comment on function matrice_private.ranked_chunks is
  'Finds the chunks that a search returns, in order. These are the best candidates, or what diversity and max_per_source select '
  'from the candidates.';
