-- The searches that clients call.
--
-- The queries of a search are short: planning them at each call would take as long as running them. So the plans are generic
-- (plan_cache_mode), also those of the functions that these call, and a session plans each query once.

create or replace function matrice.search_chunks(
  query_text text, project_id uuid default null, match_count integer default 10, filter jsonb default '{}',
  diversity double precision default 0, max_per_source integer default null, expand integer default 0,
  highlight boolean default false, words text default 'any', min_score double precision default null,
  highlight_fragments integer default 1, highlight_html boolean default false
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, rank real,
  source_type text, storage_path text, start_char integer, end_char integer, matched_words text[]
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  scope record;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_result_options(match_count, filter, diversity, max_per_source, expand);
  perform matrice_private.require_words(words);
  perform matrice_private.require_least('min_score', min_score);
  perform matrice_private.require_highlight(highlight, highlight_fragments, highlight_html);
  scope := matrice_private.search_scope(search_chunks.project_id, null);
  return query
    with hits as materialized (
      select h.* from matrice_private.ranked_chunks(
        query_text, null, scope.project_ids, scope.embedding_model, match_count, filter, diversity, max_per_source, min_score,
        jsonb_build_object('words', words)) h
    )
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count,
           case when highlight
                then p.metadata || jsonb_build_object('highlight', (
                  select matrice_private.highlighted(
                           p.content, query_text, matrice_private.text_language(s.project_id),
                           highlight_fragments, highlight_html)
                    from matrice.context_sources s where s.id = p.source_id))
                else p.metadata end,
           h.score::real, p.source_type, p.storage_path, p.start_char, p.end_char,
           array(select jsonb_array_elements_text(h.details -> 'matched_words'))
      from matrice_private.passages(array(select h.chunk_id from hits h order by h.place), expand) p
      join hits h on h.chunk_id = p.chunk_id
     order by p.place;
  if not found then
    perform matrice_private.tell_unmatched(filter, scope.project_ids);
  end if;
end
$$;
comment on function matrice.search_chunks is
  'Finds chunks by words, best first, ties by id. Words are read in the language of each project. A word is found in all of '
  'its forms, with and without accents, and as a part of compounds such as e-mail, config.yaml or searchChunks. rank: the '
  'BM25 score, computed with the statistics of the project. It is higher if the words of the query are rarer in the project, '
  'and if the chunk has them more often. A word that is written as in the query counts a little more. query_text: the query '
  'as people type it. A chunk matches if it has any of the words. "a phrase" and +word are required, -word excludes, begin* '
  'is the beginning of a word, and one of the words around "or" is enough. Stop words are ignored, unless the query has no '
  'other words. words: ''any'', or ''all'' to require every word. min_score: leaves out chunks with a lower rank. highlight: '
  'puts an excerpt into metadata.highlight, with the words that were found between <b> and </b>. highlight_fragments: the '
  'greatest number of excerpts. They are joined by " … ". highlight_html: escapes the rest of the text for HTML. '
  'matched_words: the words of the query that the chunk has. project_id, match_count, filter, diversity, max_per_source, '
  'expand: as in match_chunks. Defaults: match_count 10, filter ''{}'', diversity 0, expand 0, highlight false, words '
  '''any'', highlight_fragments 1, highlight_html false.';

create or replace function matrice.hybrid_search(
  query_text text, query_embedding vector, project_id uuid default null, match_count integer default 10,
  full_text_weight double precision default 1, semantic_weight double precision default 1, rrf_k integer default 50,
  filter jsonb default '{}', model text default null,
  diversity double precision default 0, max_per_source integer default null, expand integer default 0,
  words text default 'any', fusion text default 'score', min_similarity double precision default null,
  min_score double precision default null
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, score double precision, semantic_rank integer, full_text_rank integer,
  source_type text, storage_path text, start_char integer, end_char integer,
  similarity double precision, rank real, matched_words text[]
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  scope record;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_result_options(match_count, filter, diversity, max_per_source, expand);
  perform matrice_private.require_words(words);
  perform matrice_private.require_fusion(full_text_weight, semantic_weight, rrf_k, fusion);
  perform matrice_private.require_least('min_similarity', min_similarity);
  perform matrice_private.require_least('min_score', min_score);
  scope := matrice_private.search_scope(hybrid_search.project_id, hybrid_search.model);
  query_embedding := matrice_private.query_vector(query_embedding, scope.embedding_model);
  return query
    with hits as materialized (
      select h.* from matrice_private.ranked_chunks(
        query_text, query_embedding, scope.project_ids, scope.embedding_model, match_count, filter, diversity, max_per_source, min_score,
        jsonb_build_object('full_text_weight', full_text_weight, 'semantic_weight', semantic_weight, 'rrf_k', rrf_k,
                           'words', words, 'fusion', fusion, 'min_similarity', min_similarity)) h
    )
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count, p.metadata,
           h.score, (h.details ->> 'semantic_rank')::integer, (h.details ->> 'full_text_rank')::integer,
           p.source_type, p.storage_path, p.start_char, p.end_char,
           (h.details ->> 'similarity')::double precision, (h.details ->> 'rank')::real,
           array(select jsonb_array_elements_text(nullif(h.details -> 'matched_words', 'null')))
      from matrice_private.passages(array(select h.chunk_id from hits h order by h.place), expand) p
      join hits h on h.chunk_id = p.chunk_id
     order by p.place;
  if not found then
    perform matrice_private.tell_unmatched(filter, scope.project_ids);
  end if;
end
$$;
comment on function matrice.hybrid_search is
  'Finds chunks by meaning and by words: combines match_chunks and search_chunks, best first, ties by id. score: the sum of '
  'rank and 0.7 times similarity. Before, each is standardised: it becomes the number of standard deviations above the mean '
  'of the project''s chunks. A chunk with a score around 0 is no better than any chunk. full_text_weight, semantic_weight: '
  'weigh rank and similarity in the sum; 0 leaves one out. fusion: ''score'', or ''rank'' for reciprocal rank fusion, where '
  'the score is Σ weight / (rrf_k + rank). rrf_k: a smaller value favours the first ranks more. min_similarity, min_score: '
  'leave out chunks that are less similar, or have a lower score. With them, a question about which nothing is known has an '
  'empty result. semantic_rank, full_text_rank: the places of a chunk in the two searches. A place is null if the chunk is '
  'not among the first 100 results of that search, or the first 5 × match_count if that is more. similarity: the cosine '
  'similarity. rank, matched_words, query_text, words: as in search_chunks. The other arguments: as in match_chunks. '
  'Defaults: match_count 10, full_text_weight 1, semantic_weight 1, rrf_k 50, filter ''{}'', diversity 0, expand 0, words '
  '''any'', fusion ''score''.';

create or replace function matrice_private.scored_chunks(scores jsonb, project_id uuid)
returns table (chunk_id uuid, score double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    -- A double cannot hold a number so close to 0: the cast would fail.
    select c.id, max(case when abs(s.value::numeric) < 1e-300 then 0 else s.value::text::double precision end)
      from jsonb_each(scores) s
      join matrice.source_chunks c on c.id = s.key::uuid
     where scored_chunks.project_id is null or c.project_id = scored_chunks.project_id
     -- The keys may name a chunk twice, in upper and in lower case.
     group by c.id
     order by 2 desc, 1;
end
$$;
comment on function matrice_private.scored_chunks is
  'Returns the scored chunks that the caller can see, best first. project_id: only chunks of this project; null for all.';

create or replace function matrice.rerank_chunks(
  scores jsonb, match_count integer default 10, diversity double precision default 0, max_per_source integer default null,
  expand integer default 0, model text default null
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, score double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  chosen_model text := matrice_private.embedding_model(rerank_chunks.model, null);
  ids          uuid[];
  values_      double precision[];
begin
  perform matrice_private.require_result_options(match_count, '{}', diversity, max_per_source, expand);
  perform matrice_private.require_scores(scores);
  select array_agg(s.chunk_id order by s.score desc, s.chunk_id), array_agg(s.score order by s.score desc, s.chunk_id)
    into ids, values_ from matrice_private.scored_chunks(scores, null) s;
  return query
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count, p.metadata,
           values_[array_position(ids, p.chunk_id)]
      from matrice_private.passages(
        matrice_private.select_chunks(
          ids, values_, are_similarities => false, match_count => match_count,
          diversity => diversity, max_per_source => max_per_source, model => chosen_model), expand) p
     order by p.place;
end
$$;
comment on function matrice.rerank_chunks is
  'Ranks chunks by scores of your own, for example from a cross-encoder, from votes or from clicks. Returns those with the '
  'highest scores. Leaves out chunks that the caller cannot see. scores: {"<chunk_id>": score, …}. model: diversity compares '
  'the chunks by their embeddings of this model. match_count, diversity, max_per_source, expand: as in match_chunks. '
  'Defaults: match_count 10, diversity 0, expand 0.';
