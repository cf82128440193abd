-- The searches that clients call.
--
-- The queries of a search are short: planning them at each call would take as long as running them. So the plans are generic
-- (plan_cache_mode), also those of the functions that these call, and a session plans each query once.

create or replace function matrice.match_chunks(
  query_embedding vector, project_id uuid default null, match_count integer default 10,
  match_threshold double precision default null, filter jsonb default '{}', model text default null,
  diversity double precision default 0, max_per_source integer default null, expand integer default 0
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, similarity double precision,
  source_type text, storage_path text, start_char integer, end_char integer
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  projects     uuid[];
  chosen_model text;
begin
  perform matrice_private.require_result_options(match_count, filter, diversity, max_per_source, expand);
  if not match_threshold between -1 and 1 then
    raise exception 'match_threshold must be between -1 and 1, not %', match_threshold
      using errcode = '22023', hint = 'It is the lowest cosine similarity of a result, such as 0.75. Leave it out for no limit.';
  end if;
  projects := matrice_private.searchable_projects(match_chunks.project_id);
  chosen_model := matrice_private.embedding_model(match_chunks.model, match_chunks.project_id);
  query_embedding := matrice_private.query_vector(query_embedding, chosen_model);
  return query
    with hits as materialized (
      select h.* from matrice_private.ranked_chunks(
        null, query_embedding, projects, chosen_model, match_count, filter, diversity, max_per_source, match_threshold) h
    )
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count, p.metadata, h.score,
           p.source_type, p.storage_path, p.start_char, p.end_char
      from matrice_private.passages(array(select h.chunk_id from hits h order by h.place), expand) p
      join hits h on h.chunk_id = p.chunk_id
     order by p.place;
  if not found then
    perform matrice_private.tell_unmatched(filter, projects);
  end if;
end
$$;
comment on function matrice.match_chunks is
  'Finds the chunks nearest to a vector, by cosine similarity, best first. Returns match_count rows, or all chunks that match '
  'and that the caller can see, if these are fewer. There may be still fewer rows because match_threshold or max_per_source '
  'leave some out, or expand merges some. project_id: the project to search; without it, all projects of the caller. '
  'match_threshold: leaves out chunks that are less similar than this. filter: a JSON object. A chunk matches if its metadata '
  'contain this object. The metadata and the type of its source count, too. model: the embedding model; without it, the model '
  'of the project, or the default model. A truncated model takes vectors of the whole one, too. diversity: 0 returns the '
  'nearest chunks. Towards 1, the results differ more from each other: they are chosen from five times as many candidates by '
  'maximal marginal relevance. max_per_source: returns no more chunks of one source than this. expand: adds this many chunks '
  'before and after each hit. Hits that then touch become one row. Its metadata.expanded says what the row covers, and its '
  'metadata.pages lists all of its pages. Defaults: match_count 10, filter ''{}'', diversity 0, expand 0.';

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
  projects     uuid[];
  chosen_model text;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_result_options(match_count, filter, diversity, max_per_source, expand);
  perform matrice_private.require_words(words);
  perform matrice_private.require_least('min_score', min_score);
  perform matrice_private.require_highlight(highlight, highlight_fragments, highlight_html);
  projects := matrice_private.searchable_projects(search_chunks.project_id);
  chosen_model := matrice_private.embedding_model(null, search_chunks.project_id);
  return query
    with hits as materialized (
      select h.* from matrice_private.ranked_chunks(
        query_text, null, projects, chosen_model, match_count, filter, diversity, max_per_source, min_score,
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
    perform matrice_private.tell_unmatched(filter, projects);
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
  projects     uuid[];
  chosen_model text;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_result_options(match_count, filter, diversity, max_per_source, expand);
  perform matrice_private.require_words(words);
  perform matrice_private.require_fusion(full_text_weight, semantic_weight, rrf_k, fusion);
  perform matrice_private.require_least('min_similarity', min_similarity);
  perform matrice_private.require_least('min_score', min_score);
  projects := matrice_private.searchable_projects(hybrid_search.project_id);
  chosen_model := matrice_private.embedding_model(hybrid_search.model, hybrid_search.project_id);
  query_embedding := matrice_private.query_vector(query_embedding, chosen_model);
  return query
    with hits as materialized (
      select h.* from matrice_private.ranked_chunks(
        query_text, query_embedding, projects, chosen_model, match_count, filter, diversity, max_per_source, min_score,
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
    perform matrice_private.tell_unmatched(filter, projects);
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

create or replace function matrice_private.document_rows(query_embedding vector, model text, match_count integer, filter jsonb)
returns table (id uuid, content text, metadata jsonb, embedding vector, similarity double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select c.id, c.content,
         -- Everything that filter is compared with, so that a client's own conditions can use it too.
         s.raw_metadata || jsonb_build_object('type', s.type) || c.metadata
           || jsonb_build_object('source_id', c.source_id, 'source_name', s.name, 'chunk_index', c.chunk_index),
         e.embedding, n.similarity
    from matrice_private.vector_candidates(
           query_embedding, matrice_private.searchable_projects(null), document_rows.model, match_count, filter) n
    join matrice.source_chunks c on c.id = n.chunk_id
    join matrice.context_sources s on s.id = c.source_id
    join matrice.chunk_embeddings e on e.chunk_id = c.id and e.model = document_rows.model
   order by n.similarity desc, c.id;
end;
comment on function matrice_private.document_rows is
  'Finds the nearest chunks and returns them with the columns of match_documents.';

create or replace function matrice.match_documents(
  query_embedding vector, match_count integer default null, filter jsonb default '{}'
) returns table (id uuid, content text, metadata jsonb, embedding vector, similarity double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  chosen_model text := matrice_private.embedding_model(null, null);
begin
  if match_count is not null then
    perform matrice_private.require_match_count(match_count);
  end if;
  perform matrice_private.require_filter(filter);
  query_embedding := matrice_private.query_vector(query_embedding, chosen_model);
  return query
    select d.id, d.content, d.metadata, d.embedding, d.similarity
      -- LangChain passes no match_count, in Python always and in JavaScript if the filter is a function. It limits the result
      -- itself. By default Supabase returns at most 1,000 rows.
      from matrice_private.document_rows(query_embedding, chosen_model, coalesce(match_count, 1000), filter) d;
  if not found then
    perform matrice_private.tell_unmatched(filter, matrice_private.searchable_projects(null));
  end if;
end
$$;
comment on function matrice.match_documents is
  'Finds the chunks nearest to a vector in all projects of the caller, by cosine similarity. The Supabase vector stores of '
  'LangChain and LlamaIndex call it: names and columns are as they expect. match_count: without it, the 1,000 nearest. '
  'filter: as in match_chunks. Defaults: filter ''{}''.';
