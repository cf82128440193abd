-- Candidates of a search, by vector and by words: what the caller may see of them.
--
-- Under row-level security the operators <=>, @@ and @> cannot use an index, because their functions are not leakproof.
-- So each kind of candidates has two functions. One finds the candidates. The other calls it as the owner of the tables, for
-- those projects that the caller is a member of. The rows themselves are read as the caller.

create or replace function matrice_private.nearest_to_member(
  query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb
) returns table (chunk_id uuid, similarity double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice_private.nearest_chunks(
    query_embedding, matrice_private.projects_of_member(project_ids), model, match_count, filter);
end
$$;
comment on function matrice_private.nearest_to_member is
  'Calls nearest_chunks for those of the projects that the caller is a member of. SECURITY DEFINER: policies would keep '
  'filters from using their index, and would check the project of each row.';

create or replace function matrice_private.are_visible(chunk_ids uuid[], model text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    -- OFFSET 0 makes the planner look up each row by its key. The model stands outside: see similarities.
    select count(*)
      from unnest(chunk_ids) given (id)
      join lateral (select e.model from matrice.chunk_embeddings e where e.chunk_id = given.id offset 0) e
        on e.model = are_visible.model
     cross join lateral (select c.source_id from matrice.source_chunks c where c.id = given.id offset 0) c
     cross join lateral (select from matrice.context_sources s where s.id = c.source_id offset 0) s
  ) = cardinality(chunk_ids);
end
$$;
comment on function matrice_private.are_visible is
  'Returns whether the caller can see all of the given chunks, with their embeddings and sources.';

create or replace function matrice_private.nearest_visible(
  query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb
) returns table (chunk_id uuid, similarity double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select e.chunk_id, 1 - (e.embedding <=> query_embedding)
    from matrice.chunk_embeddings e
   -- OFFSET 0 makes the planner look up each row by its key. It knows little about tables that were just filled, and would read
   -- the whole project for each row.
   cross join lateral (
     select c.source_id from matrice.source_chunks c
      where c.id = e.chunk_id and (filter = '{}' or c.filterable @> filter) offset 0) c
   cross join lateral (select from matrice.context_sources s where s.id = c.source_id offset 0) s
   where e.project_id = any (project_ids) and e.model = nearest_visible.model
   order by 2 desc, 1
   limit match_count;
end;
comment on function matrice_private.nearest_visible is
  'Finds the nearest of the chunks that the caller can see. Compares every vector. Chunks that policies hide do not count '
  'towards match_count.';

create or replace function matrice_private.vector_candidates(
  query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb
) returns table (chunk_id uuid, similarity double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  ids          uuid[];
  similarities double precision[];
begin
  if not row_security_active('matrice.source_chunks') then
    return query select * from matrice_private.nearest_chunks(
      query_embedding, project_ids, vector_candidates.model, match_count, filter);
    return;
  end if;
  select array_agg(n.chunk_id), array_agg(n.similarity) into ids, similarities
    from matrice_private.nearest_to_member(query_embedding, project_ids, vector_candidates.model, match_count, filter) n;
  if matrice_private.are_visible(ids, vector_candidates.model) then
    return query select * from unnest(ids, similarities);
  elsif ids is not null then
    -- Policies that somebody has added hide some of the nearest chunks.
    return query select * from matrice_private.nearest_visible(
      query_embedding, project_ids, vector_candidates.model, match_count, filter);
  end if;
end
$$;
comment on function matrice_private.vector_candidates is
  'Finds the nearest of the chunks in the projects that the caller can see.';

create or replace function matrice_private.matching_chunks(query_text text, project_ids uuid[], match_count integer, filter jsonb)
returns table (chunk_id uuid, rank real)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- The planner does not know the words in advance, and would read whole tables.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  -- If policies hide a source, its chunks must not count towards match_count.
  restricted boolean := row_security_active('matrice.context_sources');
begin
  return query
    with projects as materialized (
      select p.config, array_agg(p.id) as ids,
             string_agg(quote_literal(matrice_private.project_word(p.id)), ' | ')::tsquery as any_project
        from (
          select p.id, p.config, row_number() over (partition by p.config) / 100 as hundred
            from (select id, matrice_private.text_search_config(id) as config from unnest(project_ids) id) p
        ) p
       group by p.config, p.hundred
    ), queries as materialized (
      select config, matrice_private.text_query(config, query_text) as words from (select distinct config from projects) configs
    )
    -- The time of cover density grows with the words of the query times the words of the chunk, or faster. With a query of
    -- hundreds of words, a large chunk takes seconds.
    select c.id, case when numnode(q.words) <= 100 then ts_rank_cd(c.fts, q.words) else ts_rank(c.fts, q.words || q.words) end
      from projects p
      join queries q using (config)
      join matrice.source_chunks c
        -- One lookup of the words serves up to a hundred projects, because the beginnings in a query (begin*) are looked up in
        -- the index of all projects.
        on c.fts @@ (q.words && p.any_project)
       -- The condition on the index does not prove which project a row belongs to, so check the column.
       -- IS TRUE keeps the planner from also reading an index on project_id.
       and (c.project_id = any (p.ids)) is true
     where numnode(q.words) > 0
       and (filter = '{}' or c.filterable @> (filter || jsonb_build_object('matrice.project', c.project_id)))
       and (not restricted or exists (select from matrice.context_sources s where s.id = c.source_id))
     order by 2 desc, c.id
     limit match_count;
end
$$;
comment on function matrice_private.matching_chunks is
  'Finds the chunks that match a full-text query best, ties by id. The words are read in the language of each project. Ranks by '
  'cover density; a query of more than about fifty words is ranked by how often its words occur.';

create or replace function matrice_private.matching_of_member(
  query_text text, project_ids uuid[], match_count integer, filter jsonb
) returns table (chunk_id uuid, rank real)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice_private.matching_chunks(
    query_text, matrice_private.projects_of_member(project_ids), match_count, filter);
end
$$;
comment on function matrice_private.matching_of_member is
  'Calls matching_chunks for those of the projects that the caller is a member of. SECURITY DEFINER: policies would keep '
  'full-text search from using its index.';

create or replace function matrice_private.word_candidates(query_text text, project_ids uuid[], match_count integer, filter jsonb)
returns table (chunk_id uuid, rank real)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  ids   uuid[];
  ranks real[];
begin
  if row_security_active('matrice.source_chunks') then
    select array_agg(m.chunk_id order by m.rank desc, m.chunk_id), array_agg(m.rank order by m.rank desc, m.chunk_id)
      into ids, ranks from matrice_private.matching_of_member(query_text, project_ids, match_count, filter) m;
    -- If policies that somebody has added hide some of these chunks, search as the caller instead: other chunks take their place.
    if not exists (
      select from unnest(ids) f (id)
       where not exists (
         select from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id where c.id = f.id)
    ) then
      return query select f.id, f.rank from unnest(ids, ranks) f (id, rank);
      return;
    end if;
  end if;
  return query select * from matrice_private.matching_chunks(query_text, project_ids, match_count, filter);
end
$$;
comment on function matrice_private.word_candidates is
  'Finds the chunks in the projects that match a full-text query best and that the caller can see.';

create or replace function matrice_private.highlighted(config regconfig, content text, query tsquery) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
  -- Mark single words, not phrases: for a phrase of ten words ts_headline takes minutes, or all memory.
  terms     text[]  := array(
    select distinct term[1] from regexp_matches(query::text, $r$('(?:[^']|'')*'(?::\*)?)$r$, 'g') term limit 50);
  any_word  tsquery := array_to_string(terms, ' | ')::tsquery;
  all_words tsquery := case when cardinality(terms) <= 10 then array_to_string(terms, ' & ')::tsquery end;
  accented  tsquery;
  piece     text;
  best      text;
  found     tsvector;
begin
  -- The excerpt comes from one piece of the text: the first that matches the query, else the first that has any of its words.
  foreach piece in array matrice_private.pieces(content, 8192) loop
    found := matrice_private.text_vector(config, piece);
    if found @@ query or best is null and found @@ any_word then
      best := piece;
    end if;
    exit when found @@ query;
  end loop;
  best := coalesce(best, left(content, 200));
  -- The excerpt keeps its accents, and the query has none. So also mark the words with accents that match the query.
  select string_agg(quote_literal(lexeme), ' | ')::tsquery into accented
    from (select distinct token from ts_parse('default', best) where octet_length(token) > length(token)) word,
         unnest(tsvector_to_array(to_tsvector(config, token))) lexeme
   where matrice_private.text_vector(config, token) @@ any_word;
  return translate(
    ts_headline(
      config, best,
      case when to_tsvector(config, best) @@ all_words then all_words else any_word end || coalesce(accented, '')),
    -- Undo what _pieces changed: it replaced < by chr(26) and put chr(31) into long words.
    chr(26) || chr(31), '<');
end
$$;
comment on function matrice_private.highlighted is 'Returns an excerpt of a text in which the words of a query are marked.';
