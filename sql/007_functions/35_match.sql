-- The searches by vector alone.
--
-- A plain match_chunks is mostly fixed costs: of some hundred vectors, comparing takes less time than starting the functions and
-- queries around it. Each of them takes some ten microseconds, and twice as long when other work has used the processor's caches
-- in the meantime. So the ordinary case calls few. What differs from it takes the longer way.

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
  is_plain boolean := diversity = 0 and max_per_source is null and expand = 0;
  scope    record;
  norm     double precision;
begin
  -- Without a filter, these conditions are all that the function checks.
  if (is_plain and match_count between 1 and 10000 and filter = '{}') is not true then
    perform matrice_private.require_result_options(match_count, filter, diversity, max_per_source, expand);
  end if;
  if not match_threshold between -1 and 1 then
    raise exception 'match_threshold must be between -1 and 1, not %', match_threshold
      using errcode = '22023', hint = 'It is the lowest cosine similarity of a result, such as 0.75. Leave it out for no limit.';
  end if;
  scope := matrice_private.search_scope(match_chunks.project_id, match_chunks.model);
  norm := matrice_private.norm_of_dimensions(query_embedding, scope.dimensions);
  -- A vector of the model needs no more checks.
  if (norm between 1e-18 and 1e18) is not true then
    query_embedding := matrice_private.query_vector(query_embedding, scope.embedding_model);
  end if;
  if is_plain then
    return query
      -- OFFSET 0 makes the planner look up each row by its key. It knows little about a table that was just filled.
      select c.id, c.source_id, s.name, c.chunk_index, c.content, c.token_count, c.metadata, n.similarity,
             s.type, s.storage_path, c.start_char, c.end_char
        from matrice_private.vector_candidates(query_embedding, scope.project_ids, scope.embedding_model, match_count, filter) n
       cross join lateral (select k.* from matrice.source_chunks k where k.id = n.chunk_id offset 0) c
       cross join lateral (select o.* from matrice.context_sources o where o.id = c.source_id offset 0) s
       where match_threshold is null or n.similarity >= match_threshold
       order by n.similarity desc, n.chunk_id;
  else
    return query
      with hits as materialized (
        select h.* from matrice_private.ranked_chunks(
          null, query_embedding, scope.project_ids, scope.embedding_model, match_count, filter, diversity, max_per_source,
          match_threshold) h
      )
      select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count, p.metadata, h.score,
             p.source_type, p.storage_path, p.start_char, p.end_char
        from matrice_private.passages(array(select h.chunk_id from hits h order by h.place), expand) p
        join hits h on h.chunk_id = p.chunk_id
       order by p.place;
  end if;
  if not found then
    perform matrice_private.tell_unmatched(filter, scope.project_ids);
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
