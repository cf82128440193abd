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
declare
  mine uuid[] := matrice_private.projects_of_member(project_ids);
begin
  -- The ordinary search of a member. nearest_chunks checks and does the rest.
  if filter = '{}' and match_count between 1 and 10000 then
    return query select * from matrice._nearest_chunks(mine, model, query_embedding, match_count);
    if found then
      return;
    end if;
  end if;
  return query select * from matrice_private.nearest_chunks(query_embedding, mine, model, match_count, filter);
end
$$;
comment on function matrice_private.nearest_to_member is
  'Finds what nearest_chunks finds in those of the projects that the caller is a member of. SECURITY DEFINER: policies would '
  'keep filters from using their index, and would check the project of each row.';

create or replace function matrice_private.has_other_policies(tables regclass[]) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from pg_policy p
     where p.polrelid = any (tables) and p.polcmd in ('r', '*') and p.polname <> 'viewers read'
       and exists (select from unnest(p.polroles) as r (id) where r.id = 0 or pg_has_role(r.id, 'usage')));
end
$$;
comment on function matrice_private.has_other_policies is
  'Returns whether somebody has added policies to tables that may hide rows of a project from the caller, who is a member.';

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
  elsif not matrice_private.has_other_policies('{matrice.chunk_embeddings,matrice.source_chunks,matrice.context_sources}') then
    return query select * from matrice_private.nearest_to_member(
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

create or replace function matrice_private.matching_chunks(
  query_text text, words text, project_ids uuid[], match_count integer, filter jsonb, also uuid[] default '{}',
  kind text default 'chunk'
) returns table (
  chunk_id uuid, project_id uuid, score double precision, mean double precision, deviation double precision, matched text[],
  analysis text, phrases text
)
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
-- The planner does not know how many segments there are, and would read whole tables. Planning at each call would take as long
-- as running.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  among uuid[] := case when filter <> '{}' then matrice_private.chunks_having(project_ids, filter) end;
begin
  return query
    with segments as materialized (
      select s.project_id, s.id, s.analysis, s.texts,
             row_number() over (partition by s.project_id order by s.id)::integer as place
        from matrice_private.word_segments s
       where s.project_id = any (project_ids) and s.kind = matching_chunks.kind
    ), lookups as materialized (
      select a.analysis, w.word, w.is_prefix
        from (select distinct s.analysis from segments s) a
       cross join lateral matrice._query_words(query_text, matching_chunks.words, a.analysis) w
    ), blocks as materialized (
      select distinct on (s.project_id, s.place, b.first_word) s.project_id, s.place, b.words
        from segments s
        join lookups l on l.analysis = s.analysis
       cross join lateral (
         -- The last block that begins before the word, and those that begin with the prefix.
         (select b.first_word, b.words from matrice_private.word_blocks b
           where b.project_id = s.project_id and b.segment = s.id and b.first_word <= l.word collate "C"
           order by b.first_word desc limit 1)
         union all
         (select b.first_word, b.words from matrice_private.word_blocks b
           where l.is_prefix and b.project_id = s.project_id and b.segment = s.id
             and b.first_word > l.word collate "C" and b.first_word < (l.word || chr(1114111)) collate "C")
       ) b
    ), projects as materialized (
      select s.project_id, array_agg(s.texts order by s.place) as texts, array_agg(s.analysis order by s.place) as analyses
        from segments s group by s.project_id
    ), found_blocks as materialized (
      select b.project_id, array_agg(b.place) as places, array_agg(b.words) as words from blocks b group by b.project_id
    ), ranked as (
      select r.*, p.project_id, row_number() over (partition by r.id is null order by r.score desc, r.id) as number
        from projects p
        left join found_blocks b on b.project_id = p.project_id
       cross join lateral matrice._rank_words(
         query_text, matching_chunks.words, p.analyses, p.texts,
         coalesce(b.places, '{}'), coalesce(b.words, '{}'),
         array(select d.texts from matrice_private.word_deletions d
                where d.project_id = p.project_id and d.kind = matching_chunks.kind),
         among, also, match_count) r
    )
    select r.id, r.project_id, r.score, r.mean, r.deviation, r.matched, r.analysis, r.phrases
      from ranked r
     where r.id is null or r.number <= match_count or r.id = any (also)
     order by r.number;
end
$$;
comment on function matrice_private.matching_chunks is
  'Finds the chunks in the projects that match a query best by BM25, ties by id. Each project is ranked by its own statistics. '
  'mean and deviation: of the scores of all chunks of the project. They also come in a row of their own, without a chunk_id, for '
  'each project. matched: the words of the query that the chunk has. Does not look at the order of words in phrases. Only the '
  'row without a chunk_id has phrases: what the words of a chunk that was analysed in this way must match because of them; null '
  'if the query has none. also: chunks that are returned too, if they match. kind: chunk; or insight, for insights in place of '
  'chunks. SECURITY DEFINER: the word index is read as the owner of the tables. The function does not check membership of the '
  'projects. So only services, which see all rows, and matching_of_member may execute it.';

create or replace function matrice_private.matching_of_member(
  query_text text, words text, project_ids uuid[], match_count integer, filter jsonb, also uuid[] default '{}',
  kind text default 'chunk'
) returns table (
  chunk_id uuid, project_id uuid, score double precision, mean double precision, deviation double precision, matched text[],
  analysis text, phrases text
)
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice_private.matching_chunks(
    query_text, words, matrice_private.projects_of_member(project_ids), match_count, filter, also, kind);
end
$$;
comment on function matrice_private.matching_of_member is
  'Calls matching_chunks for those of the projects that the caller is a member of. SECURITY DEFINER: the word index is read as '
  'the owner of the tables.';

create or replace function matrice_private.shown_places(chunk_ids uuid[], phrases tsquery) returns integer[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- Planning at each call would take as long as running.
set plan_cache_mode = force_generic_plan
as $$
begin
  if phrases is null and not (
    row_security_active('matrice.source_chunks')
    and matrice_private.has_other_policies('{matrice.chunk_embeddings,matrice.source_chunks,matrice.context_sources}')
  ) then
    return array(select generate_series(1, cardinality(chunk_ids)));
  end if;
  return (
    select coalesce(array_agg(given.place::integer order by given.place), '{}')
      from unnest(chunk_ids) with ordinality as given (id, place)
     -- OFFSET 0 makes the planner look up each row by its key.
     cross join lateral (select c.source_id, c.fts from matrice.source_chunks c where c.id = given.id offset 0) c
     cross join lateral (select from matrice.context_sources s where s.id = c.source_id offset 0) s
     where phrases is null or c.fts @@ phrases
  );
end
$$;
comment on function matrice_private.shown_places is
  'Returns the places of those chunks that the caller can see, with their sources, and that match a tsquery.';

create or replace function matrice_private.matching_texts(
  query_text text, words text, project_ids uuid[], match_count integer, filter jsonb, also uuid[], kind text default 'chunk'
) returns table (
  chunk_id uuid, project_id uuid, score double precision, mean double precision, deviation double precision, matched text[],
  analysis text, phrases text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active('matrice.source_chunks') then
    return query select * from matrice_private.matching_of_member(
      query_text, words, project_ids, match_count, filter, also, kind);
  else
    return query select * from matrice_private.matching_chunks(query_text, words, project_ids, match_count, filter, also, kind);
  end if;
end
$$;
comment on function matrice_private.matching_texts is
  'Calls matching_chunks as the caller may: a service for all of the projects, others for those that they are members of.';

create or replace function matrice_private.word_candidates(
  query_text text, words text, project_ids uuid[], match_count integer, filter jsonb, also uuid[] default '{}'
) returns table (
  chunk_id uuid, project_id uuid, score double precision, mean double precision, deviation double precision, matched jsonb
)
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  found  record;
  places integer[];
  depth  integer := match_count;
begin
  loop
    select array_agg(m.chunk_id) filter (where m.chunk_id is not null) as ids,
           array_agg(m.score) filter (where m.chunk_id is not null) as scores,
           array_agg(to_jsonb(m.matched)) filter (where m.chunk_id is not null) as matched,
           array_agg(m.project_id) filter (where m.chunk_id is null) as projects,
           array_agg(m.mean) filter (where m.chunk_id is null) as means,
           array_agg(m.deviation) filter (where m.chunk_id is null) as deviations,
           -- The lexeme that begins with a blank says how a chunk was analysed. Long phrases take long to read.
           case when count(m.phrases) > 0 and count(m.chunk_id) > 0
                then string_agg(distinct concat_ws(' & ', quote_literal(' ' || m.analysis), '(' || m.phrases || ')'), ' | ')
                     filter (where m.chunk_id is null) end as phrases
      into found
      from matrice_private.matching_texts(query_text, word_candidates.words, project_ids, depth, filter, also) m;
    places := matrice_private.shown_places(found.ids, found.phrases::tsquery);
    -- Chunks that policies hide, or that have the words of a phrase elsewhere, do not count towards match_count. Those behind
    -- depth are there because of also.
    exit when (select count(*) from unnest(places) p where p <= depth) >= match_count
           or coalesce(cardinality(found.ids), 0) < depth;
    depth := least(depth::bigint * 8, 2000000000);
  end loop;
  return query
    select found.ids[p], null::uuid, found.scores[p], null::double precision, null::double precision, found.matched[p]
      from unnest(places) with ordinality as shown (p, number)
     where number <= match_count or found.ids[p] = any (also)
     order by number;
  return query
    select null::uuid, s.project_id, null::double precision, s.mean, s.deviation, null::jsonb
      from unnest(found.projects, found.means, found.deviations) s (project_id, mean, deviation);
end
$$;
comment on function matrice_private.word_candidates is
  'Finds the chunks in the projects that match a query best by BM25 and that the caller can see, best first, ties by id. After '
  'them comes a row for each project, without a chunk_id, with the mean and the standard deviation of the scores of all its '
  'chunks. also: chunks that are returned too, if they match.';
