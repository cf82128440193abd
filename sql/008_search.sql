-- Search: nearest chunks, full text, both fused; better sets of them; contexts for a model; and how good they are.
--
-- Neighbours are found in two steps. The engine compares the bit codes of the searched projects with the query, all of
-- them; then those that come near are compared by their full vectors, which also tell whether the codes are to be believed. What is
-- searched is always whole projects, so that the smallest tenant finds its one chunk, a project needs nothing when it grows, and a
-- chunk is found as soon as it is committed.
--
-- Under row-level security neither distance nor @@ nor @> may use an index, because their functions are not leakproof.
-- So what finds candidates comes twice: a function that does it, and one that runs it as the tables' owner in those
-- projects that the caller is a member of. The rows themselves are read as the caller.
--
-- What compares vectors is SQL that is bound at creation. The rest is PL/pgSQL, which plans a query once a session, where
-- an SQL function is planned at each call: that takes longer than most of these queries do.

-- Checks -------------------------------------------------------------------------------------------------------------

create function matrice_private.require_searchable(project_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id is not null then
    perform matrice_private.require_role(project_id, 'viewer');
  end if;
end
$$;
comment on function matrice_private.require_searchable(uuid) is 'Raises unless the caller may search the project; null is all that they may.';

create function matrice_private.check_query(query_embedding vector, model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('query_embedding', query_embedding);
  perform matrice_private.require_comparable(query_embedding, model);
end
$$;
comment on function matrice_private.check_query(vector, text) is 'Raises unless a query vector can be compared with embeddings of the model.';

create function matrice_private.check_set(match_count integer, filter jsonb, diversity double precision, max_per_source integer, expand integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_filter(filter);
  perform matrice_private.require_given('diversity', diversity);
  perform matrice_private.require_given('expand', expand);
  if not diversity between 0 and 1 then
    raise exception 'diversity must be between 0 and 1, not %', diversity
      using errcode = '22023', hint = '0 takes the best, 1 the most different from each other.';
  end if;
  if diversity > 0 and match_count > 100 then
    raise exception 'diversity is for a match_count of at most 100, not %', match_count
      using errcode = '22023', hint = 'Each result is compared with all candidates for the next.';
  end if;
  if max_per_source < 1 then
    raise exception 'max_per_source must be at least 1, not %', max_per_source
      using errcode = '22023', hint = 'Leave it out for no limit.';
  end if;
  if expand not between 0 and 100 then
    raise exception 'expand must be between 0 and 100, not %', expand
      using errcode = '22023', hint = 'How many chunks before and after each hit are to come with it.';
  end if;
end
$$;
comment on function matrice_private.check_set(integer, jsonb, double precision, integer, integer) is
  'Raises unless the arguments that say which set of chunks is wanted are reasonable.';

create function matrice_private.check_fusion(full_text_weight double precision, semantic_weight double precision, rrf_k integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('full_text_weight', full_text_weight);
  perform matrice_private.require_given('semantic_weight', semantic_weight);
  perform matrice_private.require_given('rrf_k', rrf_k);
  if not (full_text_weight between 0 and 1e6 and semantic_weight between 0 and 1e6)
     or full_text_weight > 0 and full_text_weight < 1e-6 or semantic_weight > 0 and semantic_weight < 1e-6 then
    raise exception 'weights must be numbers between 0 and 1000000'
      using errcode = '22023', hint = 'The default of both is 1; 0 leaves a search out of the score. Smaller ones than 0.000001 are refused.';
  end if;
  if rrf_k not between 1 and 1000000 then
    raise exception 'rrf_k must be between 1 and 1000000, not %', rrf_k
      using errcode = '22023', hint = 'The default is 50; less favours the first ranks more.';
  end if;
end
$$;
comment on function matrice_private.check_fusion(double precision, double precision, integer) is
  'Raises unless the arguments of reciprocal rank fusion are reasonable.';

-- Candidates by meaning ----------------------------------------------------------------------------------------------
--
-- Codes are signs against zero. Where the vectors of a model share a large mean (E5, BGE, ada-002 and many others), have one
-- sign, or are copies of each other, all codes are much alike, and the nearest codes are not the nearest vectors: of E5's true
-- ten nearest among 3,763 passages, 0.59 were among the 600 nearest codes. So codes are believed only where the vectors bear
-- them out, for each query and in each project by itself, because projects differ.
--
-- Of each project, the vectors of rerank_depth codes are compared, nearest codes first. Where codes tell, the best of these
-- vectors stand among the first codes. Where codes tell nothing, the best stand anywhere: of twenty, the chance that none is
-- behind the first third is 3^-20. Between the two, the best thin out from third to third, and those that are missed behind the
-- last code are estimated to go on so: with `middling` in the third behind the first ninth, and `late` behind the first
-- third, some late² / middling. Above one in 200 of the best, three times as many codes are tried; then all vectors of the project.
-- So are those of a project that has but a few times as many, which is as quick.
-- There are always at least twenty best: the ten nearest alone would be believed by chance now and then (recall 0.989 where the
-- vectors are sparse).
--
-- Measured outside, 200 queries each, for 1, 10, 100 and 1,000 nearest: recall 0.9998 or more on E5's vectors as they are,
-- shifted, one-signed, sparse and with their mean removed; on clusters of 20 to 5,000 near copies; on halves of two kinds in one
-- project; and on the benchmark's 50,000 vectors, of which none had to be read in full for 1, 10 or 1,000, and for
-- 10 nine in ten queries were content with the first 190. benches/README.md has what match_chunks itself finds.

create function matrice_private.best_count(match_count integer) returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select greatest(match_count, 20);
end;
comment on function matrice_private.best_count(integer) is 'Of how many of the best vectors is asked where their codes stand, before the codes are believed.';

create function matrice_private.rerank_depth(match_count integer, model text) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Shorter codes tell less, and the vectors are as much quicker to read.
  return (
    select ceil((110 + 4.0 * matrice_private.best_count(match_count)) * greatest(1, 1536.0 / m.dimensions))
      from matrice.embedding_models m where m.model = rerank_depth.model
  );
end
$$;
comment on function matrice_private.rerank_depth(integer, text) is 'How many of the nearest codes of a project have their vectors compared at first.';

create function matrice_private.numbers_of(embedding vector) returns real[]
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select embedding::real[];
end;
comment on function matrice_private.numbers_of(vector) is 'A vector as an array, which the engine''s functions take.';

create function matrice_private.similarities_to(query_embedding vector, chunk_ids uuid[], model text) returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select array_agg(1 - (e.embedding <=> query_embedding) order by near.place)
    from unnest(chunk_ids) with ordinality as near (id, place)
    left join matrice.chunk_embeddings e on e.chunk_id = near.id and e.model = similarities_to.model;
end;
comment on function matrice_private.similarities_to(vector, uuid[], text) is 'How similar each of some chunks is to a vector; null where it has no embedding.';

create function matrice_private.nearest_of(query_embedding vector, chunk_ids uuid[], model text, match_count integer)
returns table (chunk_id uuid, similarity double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select e.chunk_id, 1 - (e.embedding <=> query_embedding)
    from unnest(chunk_ids) as near (id)
    join matrice.chunk_embeddings e on e.chunk_id = near.id and e.model = nearest_of.model
   order by 2 desc, 1
   limit match_count;
end;
comment on function matrice_private.nearest_of(vector, uuid[], text, integer) is
  'The nearest of some chunks by cosine similarity, ties by id, by comparing the vectors of all of them.';

create function matrice_private.nearest_in(query_embedding vector, project_ids uuid[], model text, match_count integer)
returns table (chunk_id uuid, similarity double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select e.chunk_id, 1 - (e.embedding <=> query_embedding)
    from matrice.chunk_embeddings e
   where e.project_id = any (project_ids) and e.model = nearest_in.model
   order by 2 desc, 1
   limit match_count;
end;
comment on function matrice_private.nearest_in(vector, uuid[], text, integer) is
  'The nearest chunks of some projects by cosine similarity, ties by id, by comparing every vector.';

create function matrice_private.chunks_having(project_ids uuid[], filter jsonb) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- The planner takes every filter to match one row in a hundred, and would read whole tables for it.
set enable_seqscan = off
as $$
begin
  return (
    select coalesce(array_agg(c.id), '{}')
      from unnest(project_ids) as p (id)
      join matrice.source_chunks c
        on c.filterable @> (filter || jsonb_build_object('matrice.project', p.id))
       -- What finds the rows is no proof of whose they are. (IS TRUE: not by reading the projects' own index as well.)
       and (c.project_id = p.id) is true
  );
end
$$;
comment on function matrice_private.chunks_having(uuid[], jsonb) is 'The chunks of the projects that a filter is contained in.';

create function matrice_private.doubtful_projects(
  project_ids uuid[], chunk_ids uuid[], places integer[], similarities double precision[], depth integer, best_count integer
) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return array(
    select best.project_id
      from (
        select near.project_id, near.place, max(near.place) over (partition by near.project_id) as last_place,
               row_number() over (partition by near.project_id order by near.similarity desc nulls last, near.chunk_id) as rank
          from unnest(project_ids, chunk_ids, places, similarities) near (project_id, chunk_id, place, similarity)
      ) best
     -- A project with fewer codes has been compared in full.
     where best.rank <= best_count and best.last_place = depth
     group by best.project_id
    having count(*) filter (where best.place > depth / 3) ^ 2
           > 0.005 * best_count * count(*) filter (where best.place between depth / 9 + 1 and depth / 3));
end
$$;
comment on function matrice_private.doubtful_projects(uuid[], uuid[], integer[], double precision[], integer, integer) is
  'The projects whose codes are not to be believed, by where the codes of their best vectors stand among the nearest codes, of which depth were compared.';

create function matrice_private.check_nearest(query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if model is null or project_ids is null then
    raise exception '% must not be null', case when model is null then 'model' else 'project_ids' end
      using errcode = '22004', hint = 'match_chunks finds the model and the projects itself.';
  end if;
  perform matrice_private.require_model(model);
  perform matrice_private.check_query(query_embedding, model);
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_object('filter', filter);
end
$$;
comment on function matrice_private.check_nearest(vector, uuid[], text, integer, jsonb) is 'Raises unless nearest_chunks can do with its arguments.';

create function matrice_private.nearest_chunks(
  query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb
) returns table (chunk_id uuid, similarity double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  matching uuid[];
  depth    integer;
  -- The nearest codes of each project, in order, and of how many they are the nearest.
  codes_of uuid[];
  codes    uuid[];
  places   integer[];
  totals   bigint[];
  -- Those of them whose vectors are compared in this round.
  near_of      uuid[];
  near         uuid[];
  near_places  integer[];
  similarities double precision[];
  doubtful     uuid[];
  -- The projects all of whose vectors are compared.
  whole        uuid[] := array[]::uuid[];
  -- What is true of the others.
  found              uuid[] := array[]::uuid[];
  found_similarities double precision[] := array[]::double precision[];
begin
  perform matrice_private.check_nearest(query_embedding, nearest_chunks.project_ids, nearest_chunks.model, match_count, filter);
  if filter <> '{}' then
    matching := matrice_private.chunks_having(nearest_chunks.project_ids, filter);
    -- So many vectors are read in the time that the codes of some ten thousand chunks take.
    if cardinality(matching) <= 2000 then
      return query select * from matrice_private.nearest_of(query_embedding, matching, nearest_chunks.model, match_count);
      return;
    end if;
  end if;
  depth := matrice_private.rerank_depth(match_count, nearest_chunks.model);
  select array_agg(n.project_id), array_agg(n.chunk_id), array_agg(n.place), array_agg(n.of_codes) into codes_of, codes, places, totals
    from matrice.nearest_codes(nearest_chunks.project_ids, nearest_chunks.model, matrice_private.numbers_of(query_embedding), 3 * depth, matching) n;
  for round in 1..2 loop
    -- All vectors of a project are read in the time in which a fifth of them is looked up.
    whole := whole || array(
      select distinct c.project_id from unnest(codes_of, totals) c (project_id, total)
       where c.total <= 5 * depth and matching is null and (round = 1 or c.project_id in (select unnest(doubtful))));
    select array_agg(c.project_id), array_agg(c.chunk_id), array_agg(c.place) into near_of, near, near_places
      from unnest(codes_of, codes, places) c (project_id, chunk_id, place)
     where c.place <= depth and c.project_id not in (select unnest(whole)) and (round = 1 or c.project_id in (select unnest(doubtful)));
    similarities := matrice_private.similarities_to(query_embedding, near, nearest_chunks.model);
    doubtful := matrice_private.doubtful_projects(near_of, near, near_places, similarities, depth, matrice_private.best_count(match_count));
    select found || array_agg(n.chunk_id), found_similarities || array_agg(n.similarity) into found, found_similarities
      from unnest(near_of, near, similarities) n (project_id, chunk_id, similarity)
     where n.similarity is not null and n.project_id not in (select unnest(doubtful));
    exit when doubtful = '{}';
    depth := 3 * depth;
  end loop;
  if doubtful <> '{}' and matching is not null then
    return query select * from matrice_private.nearest_of(query_embedding, matching, nearest_chunks.model, match_count);
    return;
  end if;
  whole := whole || doubtful;
  if whole <> '{}' then
    select found || array_agg(n.chunk_id), found_similarities || array_agg(n.similarity) into found, found_similarities
      from matrice_private.nearest_in(query_embedding, whole, nearest_chunks.model, match_count) n;
  end if;
  return query
    select f.chunk_id, f.similarity from unnest(found, found_similarities) f (chunk_id, similarity)
     order by f.similarity desc, f.chunk_id
     limit match_count;
end
$$;
comment on function matrice_private.nearest_chunks(vector, uuid[], text, integer, jsonb) is
  'The nearest chunks in the projects that match a filter, by cosine similarity, ties by id: by codes where the vectors bear them out, else by every vector. SECURITY DEFINER: codes are read as the tables'' owner. It asks nobody about the projects, so only services, which see all rows, and nearest_to_member may execute it.';

create function matrice_private.projects_of_member(project_id uuid) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  mine uuid[] := matrice_private.project_ids();
begin
  return case when project_id is null then mine when project_id = any (mine) then array[project_id] else '{}' end;
end
$$;
comment on function matrice_private.projects_of_member(uuid) is
  'The project if the caller is a member of it, or all that the caller is a member of; never another.';

create function matrice_private.nearest_to_member(
  query_embedding vector, project_id uuid, model text, match_count integer, filter jsonb
) returns table (chunk_id uuid, similarity double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice_private.nearest_chunks(
    query_embedding, matrice_private.projects_of_member(project_id), model, match_count, filter);
end
$$;
comment on function matrice_private.nearest_to_member(vector, uuid, text, integer, jsonb) is
  'nearest_chunks in the caller''s projects. SECURITY DEFINER: policies keep filters from their index and ask about the project at each row. It searches no project that the caller is not a member of.';

create function matrice_private.are_visible(chunk_ids uuid[], model text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    -- OFFSET 0 has each looked up by its key.
    select count(*)
      from unnest(chunk_ids) given (id)
     cross join lateral (select from matrice.chunk_embeddings e where e.chunk_id = given.id and e.model = are_visible.model offset 0) e
     cross join lateral (select c.source_id from matrice.source_chunks c where c.id = given.id offset 0) c
     cross join lateral (select from matrice.context_sources s where s.id = c.source_id offset 0) s
  ) = cardinality(chunk_ids);
end
$$;
comment on function matrice_private.are_visible(uuid[], text) is 'Whether the caller sees all of some embedded chunks, with their sources.';

create function matrice_private.nearest_visible(query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb)
returns table (chunk_id uuid, similarity double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select e.chunk_id, 1 - (e.embedding <=> query_embedding)
    from matrice.chunk_embeddings e
   -- OFFSET 0 has each looked up by its key: of tables that were just filled the planner knows little, and would go through the
   -- whole project for each.
   cross join lateral (
     select c.source_id from matrice.source_chunks c
      where c.id = e.chunk_id and (filter = '{}' or c.filterable @> filter) offset 0) c
   cross join lateral (select from matrice.context_sources s where s.id = c.source_id offset 0) s
   where e.project_id = any (project_ids) and e.model = nearest_visible.model
   order by 2 desc, 1
   limit match_count;
end;
comment on function matrice_private.nearest_visible(vector, uuid[], text, integer, jsonb) is
  'The nearest of those chunks that the caller sees, by comparing every vector: what policies hide takes no place.';

create function matrice_private.nearest(query_embedding vector, project_id uuid, model text, match_count integer, filter jsonb)
returns table (chunk_id uuid, similarity double precision)
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
      query_embedding, matrice_private.searchable_projects(nearest.project_id), nearest.model, match_count, filter);
    return;
  end if;
  select array_agg(n.chunk_id), array_agg(n.similarity) into ids, similarities
    from matrice_private.nearest_to_member(query_embedding, nearest.project_id, nearest.model, match_count, filter) n;
  if matrice_private.are_visible(ids, nearest.model) then
    return query select * from unnest(ids, similarities);
  elsif ids is not null then
    -- Policies that somebody has added hide some of them.
    return query select * from matrice_private.nearest_visible(
      query_embedding, matrice_private.projects_of_member(nearest.project_id), nearest.model, match_count, filter);
  end if;
end
$$;
comment on function matrice_private.nearest(vector, uuid, text, integer, jsonb) is
  'The nearest chunks in one project, or all, that the caller may search and sees.';

-- Candidates by words ------------------------------------------------------------------------------------------------

create function matrice_private.matching_chunks(query_text text, project_ids uuid[], match_count integer, filter jsonb)
returns table (chunk_id uuid, rank real)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- The planner cannot know the words, and would read whole tables for them.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  -- A chunk of a source that a policy hides has no place in what is found.
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
    -- Cover density takes the words of the query times those of the chunk, and more: seconds for hundreds in a large one.
    select c.id, case when numnode(q.words) <= 100 then ts_rank_cd(c.fts, q.words) else ts_rank(c.fts, q.words || q.words) end
      from projects p
      join queries q using (config)
      join matrice.source_chunks c
        -- One lookup of the words for many projects: each beginning is looked up in all of the index.
        on c.fts @@ (q.words && p.any_project)
       -- What finds the rows is no proof of whose they are. (IS TRUE: not by reading the projects' own index as well.)
       and (c.project_id = any (p.ids)) is true
     where numnode(q.words) > 0
       and (filter = '{}' or c.filterable @> (filter || jsonb_build_object('matrice.project', c.project_id)))
       and (not restricted or exists (select from matrice.context_sources s where s.id = c.source_id))
     order by 2 desc, c.id
     limit match_count;
end
$$;
comment on function matrice_private.matching_chunks(text, uuid[], integer, jsonb) is
  'The chunks that match a full-text query best, each project in its own language, by cover density, or if it has more than some fifty words by how often they stand; ties by id.';

create function matrice_private.matching_of_member(query_text text, project_id uuid, match_count integer, filter jsonb)
returns table (chunk_id uuid, rank real)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice_private.matching_chunks(
    query_text, matrice_private.projects_of_member(project_id), match_count, filter);
end
$$;
comment on function matrice_private.matching_of_member(text, uuid, integer, jsonb) is
  'matching_chunks in the caller''s projects. SECURITY DEFINER: policies keep full-text search from its index. It searches no project that the caller is not a member of.';

create function matrice_private.matching(query_text text, project_id uuid, match_count integer, filter jsonb)
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
      into ids, ranks from matrice_private.matching_of_member(query_text, matching.project_id, match_count, filter) m;
    -- Where a policy of the user's own hides some of them, others take their places.
    if not exists (
      select from unnest(ids) f (id)
       where not exists (select from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id where c.id = f.id)
    ) then
      return query select f.id, f.rank from unnest(ids, ranks) f (id, rank);
      return;
    end if;
  end if;
  return query select * from matrice_private.matching_chunks(
    query_text, matrice_private.searchable_projects(matching.project_id), match_count, filter);
end
$$;
comment on function matrice_private.matching(text, uuid, integer, jsonb) is 'matching_chunks in one project, or all, that the caller may search.';

-- Hits: what the searches rank ---------------------------------------------------------------------------------------

create function matrice_private.fused(
  query_text text, query_embedding vector, project_id uuid, match_count integer,
  full_text_weight double precision, semantic_weight double precision, rrf_k integer, filter jsonb, model text
) returns table (chunk_id uuid, score double precision, semantic_rank integer, full_text_rank integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- Deep enough for a chunk that is middling in both lists to win.
  depth integer := least(greatest(match_count * 5, 100), 10000);
begin
  return query
    with semantic as materialized (
      select n.chunk_id, row_number() over (order by n.similarity desc, n.chunk_id)::integer as rank
        from matrice_private.nearest(query_embedding, fused.project_id, fused.model, depth, filter) n
    ), full_text as materialized (
      select m.chunk_id, row_number() over (order by m.rank desc, m.chunk_id)::integer as rank
        from matrice_private.matching(query_text, fused.project_id, depth, filter) m
    )
    select coalesce(v.chunk_id, t.chunk_id),
           coalesce(semantic_weight / (rrf_k + v.rank), 0) + coalesce(full_text_weight / (rrf_k + t.rank), 0),
           v.rank, t.rank
      from semantic v full join full_text t on t.chunk_id = v.chunk_id
     order by 2 desc, 1
     limit match_count;
end
$$;
comment on function matrice_private.fused(text, vector, uuid, integer, double precision, double precision, integer, jsonb, text) is
  'Chunks by reciprocal rank fusion of nearest and matching, ties by id.';

create function matrice_private.hits(
  query_text text, query_embedding vector, project_id uuid, match_count integer,
  full_text_weight double precision, semantic_weight double precision, rrf_k integer, filter jsonb, model text
) returns table (chunk_id uuid, score double precision, semantic_rank integer, full_text_rank integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if query_text is null then
    return query select n.chunk_id, n.similarity, null::integer, null::integer
                   from matrice_private.nearest(query_embedding, project_id, model, match_count, filter) n;
  elsif query_embedding is null then
    return query select m.chunk_id, m.rank::double precision, null::integer, null::integer
                   from matrice_private.matching(query_text, project_id, match_count, filter) m;
  else
    return query select * from matrice_private.fused(
      query_text, query_embedding, project_id, match_count, full_text_weight, semantic_weight, rrf_k, filter, model);
  end if;
end
$$;
comment on function matrice_private.hits(text, vector, uuid, integer, double precision, double precision, integer, jsonb, text) is
  'What a search finds, best first: by meaning without a text, by words without a vector, else by both.';

-- Better sets --------------------------------------------------------------------------------------------------------

create function matrice_private.similarities(chunk_ids uuid[], chunk_id uuid, model text) returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select array_agg(coalesce(1 - (e.embedding <=> (
           select one.embedding from matrice.chunk_embeddings one
            where one.chunk_id = similarities.chunk_id and one.model = similarities.model)), 0) order by given.place)
    from unnest(chunk_ids) with ordinality as given (id, place)
    left join matrice.chunk_embeddings e on e.chunk_id = given.id and e.model = similarities.model;
end;
comment on function matrice_private.similarities(uuid[], uuid, text) is
  'How similar each of some chunks is to one; 0 where either has no embedding.';

create function matrice_private.on_one_scale(scores double precision[]) returns double precision[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array_agg(case when ends.high > ends.low then (s.score - ends.low) / (ends.high - ends.low) else 1 end order by s.place)
    from unnest(scores) with ordinality as s (score, place),
         (select min(score) as low, max(score) as high from unnest(scores) score) ends;
end;
comment on function matrice_private.on_one_scale(double precision[]) is 'Scores stretched to between 0 and 1, so that they compare with similarities.';

create function matrice_private.most_diverse(
  chunk_ids uuid[], relevance double precision[], match_count integer, diversity double precision, max_per_source integer, model text
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
        from unnest(likeness, matrice_private.similarities(chunk_ids, chunk_ids[best], model)) with ordinality both_ (already, now, place)
       order by place);
  end loop;
  return array(select chunk_ids[taken] from unnest(chosen) with ordinality c (taken, place) order by place);
end
$$;
comment on function matrice_private.most_diverse(uuid[], double precision[], integer, double precision, integer, text) is
  'Maximal marginal relevance: one after the other the chunk with the highest (1 - diversity) · relevance - diversity · similarity to the most similar one chosen before.';

create function matrice_private.choose(
  chunk_ids uuid[], scores double precision[], are_similarities boolean, match_count integer,
  diversity double precision, max_per_source integer, model text
) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if diversity > 0 and cardinality(chunk_ids) > 0 then
    return matrice_private.most_diverse(
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
comment on function matrice_private.choose(uuid[], double precision[], boolean, integer, double precision, integer, text) is
  'Of chunks, given best first, the set that is wanted.';

create function matrice_private.best_hits(
  query_text text, query_embedding vector, project_id uuid, match_count integer, match_threshold double precision,
  full_text_weight double precision, semantic_weight double precision, rrf_k integer, filter jsonb, model text,
  diversity double precision, max_per_source integer
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
      select row_number() over (), h.*
        from matrice_private.hits(query_text, query_embedding, best_hits.project_id, depth, full_text_weight, semantic_weight,
                                  rrf_k, filter, best_hits.model) h
       where match_threshold is null or h.score >= match_threshold;
    return;
  end if;
  -- Until there are enough of them: all near ones may be of one source.
  loop
    select array_agg(h.chunk_id order by h.score desc, h.chunk_id), array_agg(h.score order by h.score desc, h.chunk_id),
           array_agg(array[h.semantic_rank, h.full_text_rank] order by h.score desc, h.chunk_id)
      into ids, scores, ranks
      from matrice_private.hits(query_text, query_embedding, best_hits.project_id, depth, full_text_weight, semantic_weight,
                                rrf_k, filter, best_hits.model) h;
    chosen := matrice_private.choose(ids, scores, query_text is null, match_count, diversity, max_per_source, best_hits.model);
    exit when cardinality(chosen) >= match_count or cardinality(ids) < depth or ids is null or depth = 10000;
    depth := least(depth * 4, 10000);
  end loop;
  return query
    select c.place, c.id, scores[array_position(ids, c.id)], ranks[array_position(ids, c.id)][1], ranks[array_position(ids, c.id)][2]
      from unnest(chosen) with ordinality c (id, place)
     where match_threshold is null or scores[array_position(ids, c.id)] >= match_threshold;
end
$$;
comment on function matrice_private.best_hits(text, vector, uuid, integer, double precision, double precision, double precision, integer, jsonb, text, double precision, integer) is
  'The hits of a search that are wanted, in order.';

create function matrice_private.runs(chunk_ids uuid[], expand integer)
returns table (best bigint, source_id uuid, first_index integer, last_index integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select min(r.place), r.source_id, greatest(min(r.chunk_index) - expand, 0), max(r.chunk_index) + expand
      from (
        select g.*, count(*) filter (where g.starts) over (partition by g.source_id order by g.chunk_index) as run
          from (
            select given.place, c.source_id, c.chunk_index,
                   coalesce(c.chunk_index - lag(c.chunk_index) over (partition by c.source_id order by c.chunk_index) > 2 * expand + 1, true) as starts
              from unnest(chunk_ids) with ordinality as given (id, place)
              join matrice.source_chunks c on c.id = given.id
          ) g
      ) r
     group by r.source_id, r.run;
end
$$;
comment on function matrice_private.runs(uuid[], integer) is
  'The stretches of their sources that chunks, given best first, and their neighbours cover: merged where they touch, with the place of the best.';

create function matrice_private.continuation(content text, start_char integer, told_until integer) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when told_until is null or start_char is null or start_char > told_until + 1 then E'\n\n' || content
    -- Between two chunks nothing but white space is lost.
    when start_char > told_until then E'\n' || content
    else substr(content, told_until - start_char + 1)
  end;
end
$$;
comment on function matrice_private.continuation(text, integer, integer) is
  'What a chunk adds to a text that has told its source up to a character.';

create function matrice_private.pages_of(chunks_metadata jsonb[]) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Mostly there are none.
  if not exists (select from unnest(chunks_metadata) metadata where metadata ?| '{page,pages}') then
    return jsonb_build_array();
  end if;
  return (
    select coalesce(jsonb_agg(p.page order by
                      case when p.all_numbers then (case when jsonb_typeof(p.page) = 'number' then p.page end)::numeric end, p.place), '[]')
      from (
        select page, min(chunk * 1000 + nth) as place, bool_and(bool_and(jsonb_typeof(page) = 'number')) over () as all_numbers
          from unnest(chunks_metadata) with ordinality as given (metadata, chunk),
               jsonb_array_elements(case
                 when metadata @? '$.pages[0]' and jsonb_typeof(metadata -> 'pages') = 'array' then metadata -> 'pages'
                 when metadata ? 'page' then jsonb_build_array(metadata -> 'page')
                 else '[]' end) with ordinality as said (page, nth)
         -- What a client wrote there may be anything. A page is a number, or something like "iv" or "A-3".
         where nth <= 1000 and jsonb_typeof(page) in ('number', 'string')
           and length(page #>> '{}') between 1 and 20 and page #>> '{}' !~ '[[:cntrl:]]' and page #>> '{}' ~ '\S'
         group by page
      ) p
  );
end
$$;
comment on function matrice_private.pages_of(jsonb[]) is
  'The pages that chunks, given in their order, stand on by their metadata, each once: numbers ascending, others as they come.';

create function matrice_private.with_pages(metadata jsonb, pages jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when pages = matrice_private.pages_of(array[metadata]) then metadata else metadata || jsonb_build_object('pages', pages) end;
end
$$;
comment on function matrice_private.with_pages(jsonb, jsonb) is
  'A chunk''s metadata with the pages of a passage that begins with it, or is around it, where those are others.';

create function matrice_private.stretches(chunk_ids uuid[], expand integer)
returns table (best bigint, source_id uuid, first_index integer, last_index integer, stretch_ids uuid[], start_char integer, end_char integer, content text,
               pages jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select c.best, c.source_id, c.first_index, c.last_index, array_agg(c.id order by c.chunk_index), min(c.start_char), max(c.end_char),
           string_agg(case when c.is_first then c.content else matrice_private.continuation(c.content, c.start_char, c.told_until) end, ''
                      order by c.chunk_index),
           matrice_private.pages_of(array_agg(c.metadata order by c.chunk_index))
      from (
        select r.*, c.id, c.chunk_index, c.content, c.metadata, c.start_char, c.end_char, row_number() over by_index = 1 as is_first,
               max(c.end_char) over (by_index rows between unbounded preceding and 1 preceding) as told_until
          from matrice_private.runs(chunk_ids, expand) r
         -- OFFSET 0 has each run looked up by itself: the planner takes its length to be a share of the table.
         cross join lateral (
           select n.* from matrice.source_chunks n
            where n.source_id = r.source_id and n.chunk_index between r.first_index and r.last_index offset 0) c
        window by_index as (partition by r.best order by c.chunk_index)
      ) c
     group by c.best, c.source_id, c.first_index, c.last_index;
end
$$;
comment on function matrice_private.stretches(uuid[], integer) is
  'The runs of chunks, given best first, and their neighbours, each as one text that tells what chunks share once.';

create function matrice_private.passages(chunk_ids uuid[], expand integer)
returns table (place bigint, chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer, metadata jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if expand = 0 then
    return query
      -- OFFSET 0 has each looked up by its key: of a table that was just filled the planner knows little.
      select given.place, c.id, c.source_id, s.name, c.chunk_index, c.content, c.token_count, c.metadata
        from unnest(chunk_ids) with ordinality as given (id, place)
       cross join lateral (select n.* from matrice.source_chunks n where n.id = given.id offset 0) c
       cross join lateral (select o.* from matrice.context_sources o where o.id = c.source_id offset 0) s
       order by given.place;
    return;
  end if;
  return query
    select t.best, c.id, c.source_id, s.name, c.chunk_index, t.content, matrice.count_tokens(t.content),
           matrice_private.with_pages(c.metadata, t.pages) || jsonb_build_object('expanded', jsonb_build_object(
             'first_index', t.first_index, 'last_index', t.last_index, 'start_char', t.start_char, 'end_char', t.end_char))
      from matrice_private.stretches(chunk_ids, expand) t
     cross join lateral (select n.* from matrice.source_chunks n where n.id = chunk_ids[t.best] offset 0) c
     cross join lateral (select o.* from matrice.context_sources o where o.id = c.source_id offset 0) s
     order by t.best;
end
$$;
comment on function matrice_private.passages(uuid[], integer) is
  'The rows of chunks, given best first; with expand, each with its neighbours, one row for those that touch.';

-- The searches -------------------------------------------------------------------------------------------------------

create function matrice_private.has_chunks(project_ids uuid[], filter jsonb) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
  return exists (
    select from unnest(project_ids) as p (id)
      join matrice.source_chunks c
        on c.filterable @> (filter || jsonb_build_object('matrice.project', p.id)) and (c.project_id = p.id) is true
  );
end
$$;
comment on function matrice_private.has_chunks(uuid[], jsonb) is 'Whether a filter is contained in any chunk of the projects.';

create function matrice_private.member_has_chunks(project_id uuid, filter jsonb) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.has_chunks(matrice_private.projects_of_member(project_id), filter);
end
$$;
comment on function matrice_private.member_has_chunks(uuid, jsonb) is
  'has_chunks in the caller''s projects. SECURITY DEFINER: policies keep filters from their index. It looks into no project that the caller is not a member of.';

create function matrice_private.unmatched(filter jsonb, project_id uuid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  asked   record;
  matched boolean;
  none    text[] := array[]::text[];
begin
  -- By itself, of each that it asks for.
  for asked in
    select filter as part, true as is_all
    union all
    select part, false from (select jsonb_build_object(e.key, e.value) as part from jsonb_each(filter) e order by e.key limit 10) parts
  loop
    if row_security_active('matrice.source_chunks') then
      matched := matrice_private.member_has_chunks(project_id, asked.part);
    else
      matched := matrice_private.has_chunks(matrice_private.searchable_projects(project_id), asked.part);
    end if;
    if matched and asked.is_all then
      return null;
    elsif not matched and not asked.is_all then
      none := none || left(asked.part::text, 200);
    end if;
  end loop;
  return case when none = '{}' then 'Some have each of what it asks for, and none has all.'
              else format('None has %s.', array_to_string(none, ', nor ')) end;
end
$$;
comment on function matrice_private.unmatched(jsonb, uuid) is
  'What of a filter no chunk has; null where some chunk has all of it.';

create function matrice_private.tell_unmatched(filter jsonb, project_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  reason text;
begin
  if filter <> '{}' then
    reason := matrice_private.unmatched(filter, project_id);
    if reason is not null then
      raise notice 'no chunk has what filter asks for'
        using detail = reason,
              hint = 'A filter is contained in the metadata of the chunk, or of its source, or is its type. An array asks for all of its elements. Ids and names of sources are no metadata.';
    end if;
  end if;
end
$$;
comment on function matrice_private.tell_unmatched(jsonb, uuid) is
  'Tells by a notice that a search found nothing because of its filter.';

create function matrice.match_chunks(
  query_embedding vector, project_id uuid default null, match_count integer default 10,
  match_threshold double precision default null, filter jsonb default '{}', model text default null,
  diversity double precision default 0, max_per_source integer default null, expand integer default 0
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, similarity double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wanted text;
begin
  perform matrice_private.check_set(match_count, filter, diversity, max_per_source, expand);
  if not match_threshold between -1 and 1 then
    raise exception 'match_threshold must be between -1 and 1, not %', match_threshold
      using errcode = '22023', hint = 'It is the least cosine similarity: 0.75 rather than 75. Leave it out for no limit.';
  end if;
  perform matrice_private.require_searchable(match_chunks.project_id);
  wanted := matrice_private.embedding_model(match_chunks.model, match_chunks.project_id);
  perform matrice_private.check_query(query_embedding, wanted);
  return query
    with hits as materialized (
      select h.* from matrice_private.best_hits(null, query_embedding, match_chunks.project_id, match_count, match_threshold,
                                                null, null, null, filter, wanted, diversity, max_per_source) h
    )
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count, p.metadata, h.score
      from matrice_private.passages(array(select h.chunk_id from hits h order by h.place), expand) p
      join hits h on h.chunk_id = p.chunk_id
     order by p.place;
  if not found then
    perform matrice_private.tell_unmatched(filter, match_chunks.project_id);
  end if;
end
$$;
comment on function matrice.match_chunks(vector, uuid, integer, double precision, jsonb, text, double precision, integer, integer) is
  'The chunks nearest to a vector, by cosine similarity: min(match_count, visible matching chunks) rows. Without project_id: in all projects of the caller. match_threshold: at least this similarity. filter: metadata of chunk and source, by containment. diversity: 0 the nearest, towards 1 those that differ from each other (maximal marginal relevance among five times as many). max_per_source: no more of one source. expand: with so many chunks before and after each, as one row where they touch; metadata.expanded tells which, metadata.pages all their pages.';

create function matrice_private.highlighted(config regconfig, content text, query tsquery) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
  -- Of its words: for a phrase of ten words ts_headline takes minutes, or all memory.
  terms     text[]  := array(select distinct term[1] from regexp_matches(query::text, $r$('(?:[^']|'')*'(?::\*)?)$r$, 'g') term limit 50);
  any_word  tsquery := array_to_string(terms, ' | ')::tsquery;
  all_words tsquery := case when cardinality(terms) <= 10 then array_to_string(terms, ' & ')::tsquery end;
  accented  tsquery;
  piece     text;
  best      text;
  found     tsvector;
begin
  -- The excerpt is of one piece of the text: the first that matches the query, else the first that has any word.
  foreach piece in array matrice._pieces(content, 8192) loop
    found := matrice_private.text_vector(config, piece);
    if found @@ query or best is null and found @@ any_word then
      best := piece;
    end if;
    exit when found @@ query;
  end loop;
  best := coalesce(best, left(content, 200));
  -- The excerpt keeps its accents and the query has none: so by the words of the text that it finds.
  select string_agg(quote_literal(lexeme), ' | ')::tsquery into accented
    from (select distinct token from ts_parse('default', best) where octet_length(token) > length(token)) word,
         unnest(tsvector_to_array(to_tsvector(config, token))) lexeme
   where matrice_private.text_vector(config, token) @@ any_word;
  return translate(
    ts_headline(config, best, case when to_tsvector(config, best) @@ all_words then all_words else any_word end || coalesce(accented, '')),
    -- As it was written: _pieces put these two into it.
    chr(26) || chr(31), '<');
end
$$;
comment on function matrice_private.highlighted(regconfig, text, tsquery) is 'An excerpt of a text with the words of a query marked.';

create function matrice.search_chunks(
  query_text text, project_id uuid default null, match_count integer default 10, filter jsonb default '{}',
  diversity double precision default 0, max_per_source integer default null, expand integer default 0, highlight boolean default false
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, rank real
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wanted text;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.check_set(match_count, filter, diversity, max_per_source, expand);
  perform matrice_private.require_given('highlight', highlight);
  perform matrice_private.require_searchable(search_chunks.project_id);
  wanted := matrice_private.embedding_model(null, search_chunks.project_id);
  return query
    with hits as materialized (
      select h.* from matrice_private.best_hits(query_text, null, search_chunks.project_id, match_count, null,
                                                null, null, null, filter, wanted, diversity, max_per_source) h
    ), passages as materialized (
      select p.*, h.score, case when highlight then matrice_private.text_search_config(s.project_id) end as config
        from matrice_private.passages(array(select h.chunk_id from hits h order by h.place), expand) p
        join hits h on h.chunk_id = p.chunk_id
        join matrice.context_sources s on s.id = p.source_id
    ), queries as materialized (
      select c.config, matrice_private.text_query(c.config, query_text) as words
        from (select distinct p.config from passages p where p.config is not null) c
    )
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count,
           case when highlight then p.metadata || jsonb_build_object('highlight', matrice_private.highlighted(p.config, p.content, q.words))
                else p.metadata end,
           p.score::real
      from passages p
      left join queries q on q.config = p.config
     order by p.place;
  if not found then
    perform matrice_private.tell_unmatched(filter, search_chunks.project_id);
  end if;
end
$$;
comment on function matrice.search_chunks(text, uuid, integer, jsonb, double precision, integer, integer, boolean) is
  'Full-text search as people type it: "a phrase", or, -not, begin* of a word or its stem; words in the project''s language, accents folded. Ranked by cover density (ts_rank_cd): how often, and how near to each other, the words stand; a query of more than some fifty words by how often alone. A query of only stop words matches nothing; one whose accents make it a stop word, as in été, is searched without them. highlight puts an excerpt into metadata.highlight, with the words that were found between <b> and </b>; other text is not escaped for HTML. The others as in match_chunks.';

create function matrice.hybrid_search(
  query_text text, query_embedding vector, project_id uuid default null, match_count integer default 10,
  full_text_weight double precision default 1, semantic_weight double precision default 1, rrf_k integer default 50,
  filter jsonb default '{}', model text default null,
  diversity double precision default 0, max_per_source integer default null, expand integer default 0
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, score double precision, semantic_rank integer, full_text_rank integer
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wanted text;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.check_set(match_count, filter, diversity, max_per_source, expand);
  perform matrice_private.check_fusion(full_text_weight, semantic_weight, rrf_k);
  perform matrice_private.require_searchable(hybrid_search.project_id);
  wanted := matrice_private.embedding_model(hybrid_search.model, hybrid_search.project_id);
  perform matrice_private.check_query(query_embedding, wanted);
  return query
    with hits as materialized (
      select h.* from matrice_private.best_hits(query_text, query_embedding, hybrid_search.project_id, match_count, null,
                                                full_text_weight, semantic_weight, rrf_k, filter, wanted, diversity, max_per_source) h
    )
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count, p.metadata,
           h.score, h.semantic_rank, h.full_text_rank
      from matrice_private.passages(array(select h.chunk_id from hits h order by h.place), expand) p
      join hits h on h.chunk_id = p.chunk_id
     order by p.place;
  if not found then
    perform matrice_private.tell_unmatched(filter, hybrid_search.project_id);
  end if;
end
$$;
comment on function matrice.hybrid_search(text, vector, uuid, integer, double precision, double precision, integer, jsonb, text, double precision, integer, integer) is
  'match_chunks and search_chunks in one list, by reciprocal rank fusion: score = Σ weight / (rrf_k + rank), ties by id. The ranks show what each search thought; null where it did not find the chunk among its first 100, or five times match_count. The others as in match_chunks.';

create function matrice_private.check_scores(scores jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong record;
begin
  perform matrice_private.require_object('scores', scores);
  select s.key, s.value into wrong from jsonb_each(scores) s
   where jsonb_typeof(s.value) <> 'number' or abs((case jsonb_typeof(s.value) when 'number' then s.value end)::numeric) > 1e300
      or s.key !~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
   limit 1;
  if found then
    raise exception 'scores must be numbers by chunk_id'
      using errcode = '22023', detail = format('There is %s: %s.', to_json(left(wrong.key, 100)), left(wrong.value::text, 100)),
            hint = 'Pass {"<chunk_id>": score, …}.';
  end if;
  if (select count(*) from jsonb_object_keys(scores)) > 10000 then
    raise exception 'scores must be at most 10000' using errcode = '22023', hint = 'Score the best that a search found.';
  end if;
end
$$;
comment on function matrice_private.check_scores(jsonb) is 'Raises unless an argument holds scores by chunk.';

create function matrice_private.scored(scores jsonb, project_id uuid) returns table (chunk_id uuid, score double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    -- What is nearer to 0 than a double can be is 0.
    select c.id, max(case when abs(s.value::numeric) < 1e-300 then 0 else s.value::text::double precision end)
      from jsonb_each(scores) s
      join matrice.source_chunks c on c.id = s.key::uuid
     where scored.project_id is null or c.project_id = scored.project_id
     -- An id can be written in two ways.
     group by c.id
     order by 2 desc, 1;
end
$$;
comment on function matrice_private.scored(jsonb, uuid) is 'The chunks that the caller can see among those that they scored, best first.';

create function matrice.rerank_chunks(
  scores jsonb, match_count integer default 10, diversity double precision default 0, max_per_source integer default null,
  expand integer default 0, model text default null
) returns table (
  chunk_id uuid, source_id uuid, source_name text, chunk_index integer, content text, token_count integer,
  metadata jsonb, score double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wanted text := matrice_private.embedding_model(rerank_chunks.model, null);
  ids    uuid[];
  values_ double precision[];
begin
  perform matrice_private.check_set(match_count, '{}', diversity, max_per_source, expand);
  perform matrice_private.check_scores(scores);
  select array_agg(s.chunk_id order by s.score desc, s.chunk_id), array_agg(s.score order by s.score desc, s.chunk_id)
    into ids, values_ from matrice_private.scored(scores, null) s;
  return query
    select p.chunk_id, p.source_id, p.source_name, p.chunk_index, p.content, p.token_count, p.metadata,
           values_[array_position(ids, p.chunk_id)]
      from matrice_private.passages(
        matrice_private.choose(ids, values_, false, match_count, diversity, max_per_source, wanted), expand) p
     order by p.place;
end
$$;
comment on function matrice.rerank_chunks(jsonb, integer, double precision, integer, integer, text) is
  'Chunks by the scores that the caller brings, {"<chunk_id>": score, …}: those of a cross-encoder, of a vote, of clicks. The set is chosen as in match_chunks; with diversity, model says by which embeddings. Chunks that the caller cannot see are left out.';

-- Contexts -----------------------------------------------------------------------------------------------------------

create function matrice_private.headed(title text, metadata jsonb) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  pages jsonb := matrice_private.pages_of(array[metadata]);
begin
  -- In one line, or a name could pretend to be a passage.
  return regexp_replace(
    title
    || coalesce(' — ' || nullif(array_to_string(array(
         select jsonb_array_elements_text(case jsonb_typeof(metadata -> 'headings') when 'array' then metadata -> 'headings' else '[]' end)),
         ' › '), ''), '')
    || coalesce(', p. ' || (pages ->> 0), '') || case when jsonb_array_length(pages) > 1 then '–' || (pages ->> -1) else '' end,
    '\s+', ' ', 'g');
end
$$;
comment on function matrice_private.headed(text, jsonb) is 'Where a passage is from, as a person would say: source, heading path, page or pages.';

create function matrice_private.context_passages(chunk_ids uuid[])
returns table (number bigint, citation jsonb, heading text, content text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- Else it is planned at each call, which takes as long as running it.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
    -- Read in the order of the sources' best chunks, each source from its beginning.
    select row_number() over (order by p.best_of_source, p.source_id, p.passage),
           jsonb_build_object('chunk_id', p.ids[1], 'chunk_ids', p.ids, 'source_id', p.source_id, 'source_name', p.source_name,
                              'start_char', p.start_char, 'end_char', p.end_char, 'metadata', p.metadata),
           matrice_private.headed(p.source_name, p.metadata), p.content
      from (
        select n.best_of_source, n.source_id, n.source_name, n.passage, array_agg(n.id order by n.chunk_index) as ids,
               min(n.start_char) as start_char, max(n.end_char) as end_char,
               matrice_private.with_pages((array_agg(n.metadata order by n.chunk_index))[1],
                                          matrice_private.pages_of(array_agg(n.metadata order by n.chunk_index))) as metadata,
               string_agg(case when n.starts then n.content else matrice_private.continuation(n.content, n.start_char, n.told_until) end, ''
                          order by n.chunk_index) as content
          from (
            select c.*, count(*) filter (where c.starts) over (partition by c.source_id order by c.chunk_index) as passage
              from (
                select c.id, c.source_id, s.name as source_name, c.chunk_index, c.start_char, c.end_char, c.metadata, c.content,
                       min(given.place) over (partition by c.source_id) as best_of_source,
                       c.chunk_index is distinct from lag(c.chunk_index) over source + 1 as starts,
                       max(c.end_char) over (source rows between unbounded preceding and 1 preceding) as told_until
                  from unnest(chunk_ids) with ordinality as given (id, place)
                  join matrice.source_chunks c on c.id = given.id
                  join matrice.context_sources s on s.id = c.source_id
                window source as (partition by c.source_id order by c.chunk_index)
              ) c
          ) n
         group by n.best_of_source, n.source_id, n.source_name, n.passage
      ) p;
end
$$;
comment on function matrice_private.context_passages(uuid[]) is
  'Chunks, given best first, as the passages of a context: numbered for reading, those that follow each other in one. Its metadata are those of the first, with all their pages.';

create function matrice_private.written_context(insight_ids uuid[], chunk_ids uuid[]) returns table (context text, citations jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select coalesce(string_agg(format('### [%s] %s%s%s', p.number, p.heading, E'\n\n', p.content), E'\n\n' order by p.number), ''),
           coalesce(jsonb_agg(jsonb_build_object('number', p.number) || p.citation order by p.number), '[]')
      from (
        select given.place as number, jsonb_build_object('insight_id', i.id, 'title', i.title, 'confidence', i.confidence) as citation,
               'Insight: ' || i.title as heading, i.content
          from unnest(insight_ids) with ordinality as given (id, place)
          join matrice.insights i on i.id = given.id
        union all
        select cardinality(insight_ids) + c.number, c.citation, c.heading, c.content from matrice_private.context_passages(chunk_ids) c
      ) p;
end
$$;
comment on function matrice_private.written_context(uuid[], uuid[]) is
  'Insights and chunks, given best first, as one numbered markdown text, and what its numbers stand for.';

create function matrice_private.context_tokens(insight_ids uuid[], chunk_ids uuid[], target_model text) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select matrice.count_tokens(w.context, target_model) from matrice_private.written_context(insight_ids, chunk_ids) w);
end
$$;
comment on function matrice_private.context_tokens(uuid[], uuid[], text) is 'Tokens of written_context, exactly.';

create function matrice_private.cut_at_sentence(passage text, max_tokens integer, target_model text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  heading   text := substring(passage from '^.*?\n\n');
  beginning text := matrice.truncate_tokens(passage, max_tokens, target_model);
  body      text;
begin
  if beginning = passage then
    return passage;
  elsif length(beginning) <= length(heading) then
    return '';
  end if;
  -- With the character behind it, which tells whether the last sentence or word is whole.
  body := substr(passage, length(heading) + 1, length(beginning) - length(heading) + 1);
  -- The last end of a sentence or line; where a first sentence is longer than all of it, the last whole word.
  body := coalesce(substring(body from '^.*(?:[.!?…][])"»”’]*(?=\s)|[。！？](?=.)|\S(?=\n))'), substring(body from '^.*\S(?=\s)'),
                   substr(beginning, length(heading) + 1));
  return case when body ~ '[^\s#>*_-]' then heading || rtrim(body, E' \t\n') else '' end;
end
$$;
comment on function matrice_private.cut_at_sentence(text, integer, text) is
  'The beginning of a rendered passage that fits, to the end of a sentence; empty where not even some of it fits below the heading.';

create function matrice_private.pack_chunks(
  chunk_ids uuid[], insight_ids uuid[], token_budget integer, target_model text
) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  chosen uuid[] := array[]::uuid[];
  taken  boolean[] := array_fill(false, array[cardinality(chunk_ids)]);
  -- By place, how much less a chunk costs because the one after it is taken.
  saves  integer[] := array_fill(0, array[cardinality(chunk_ids)]);
  used   integer := case insight_ids when '{}' then 0 else matrice_private.context_tokens(insight_ids, '{}', target_model) end;
  chunk  record;
  cost   integer;
begin
  for chunk in
    select c.place, c.id, c.is_copy, c.token_count, c.heading || c.content || E'\n\n' as passage, c.before,
           -- Behind the chunk before it: neither heading nor what both share. The seam may take a token.
           case when c.before > 0 then greatest(matrice.count_tokens(c.heading || left(c.content, greatest(c.shared, 0)), target_model) - 1, 0) end as saved
      from (
        select given.place::integer, c.id, c.content, c.token_count, '### [99] ' || matrice_private.headed(s.name, c.metadata) || E'\n\n' as heading,
               row_number() over (partition by c.content order by given.place) > 1 as is_copy,
               case when c.chunk_index = lag(c.chunk_index) over source + 1 then lag(given.place::integer) over source end as before,
               lag(c.end_char) over source - c.start_char as shared
          from unnest(chunk_ids) with ordinality as given (id, place)
          join matrice.source_chunks c on c.id = given.id
          join matrice.context_sources s on s.id = c.source_id
        window source as (partition by c.source_id order by c.chunk_index)
      ) c
     order by c.place
  loop
    -- Encodings differ, but not by half.
    continue when chunk.is_copy or used + chunk.token_count / 2 > token_budget;
    cost := matrice.count_tokens(chunk.passage, target_model) - saves[chunk.place] - case when taken[chunk.before] then chunk.saved else 0 end;
    continue when used + cost > token_budget;
    chosen := chosen || chunk.id;
    used := used + cost;
    taken[chunk.place] := true;
    if chunk.before is not null then
      saves[chunk.before] := chunk.saved;
    end if;
  end loop;
  return chosen;
end
$$;
comment on function matrice_private.pack_chunks(uuid[], uuid[], integer, text) is
  'Of chunks, given best first, those that fit into a budget, none of them twice. By the sum of their tokens, less what chunks that become one passage save, from which the tokens of the whole text may differ a little.';

create function matrice_private.pack_insights(query_text text, project_id uuid, how_many integer, token_budget integer, target_model text)
returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen  uuid[] := array[]::uuid[];
  insight uuid;
begin
  if how_many = 0 then
    return chosen;
  end if;
  -- A quarter at most: an insight is what was concluded, the chunks are what from.
  for insight in select i.insight_id from matrice.search_insights(query_text, project_id, how_many) i loop
    if matrice_private.context_tokens(chosen || insight, '{}', target_model) <= token_budget / 4 then
      chosen := chosen || insight;
    end if;
  end loop;
  return chosen;
end
$$;
comment on function matrice_private.pack_insights(text, uuid, integer, integer, text) is
  'The insights that match a query best and fit into a quarter of a budget.';

create function matrice.build_context(
  query_text text, query_embedding vector, project_id uuid, token_budget integer default 4000,
  match_count integer default 50, filter jsonb default '{}', model text default null, target_model text default 'gpt-4o',
  insights integer default 0, scores jsonb default null
) returns table (context text, token_count integer, citations jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wanted   text;
  ids      uuid[];
  chosen   uuid[];
  insight_ids uuid[];
begin
  perform matrice_private.require_given('token_budget', token_budget);
  perform matrice_private.require_given('insights', insights);
  if token_budget < 1 then
    raise exception 'token_budget must be at least 1, not %', token_budget
      using errcode = '22023', hint = 'Pass what the target model''s window leaves for context.';
  end if;
  if insights not between 0 and 100 then
    raise exception 'insights must be between 0 and 100, not %', insights
      using errcode = '22023', hint = 'How many of the project''s insights may be told beside the chunks.';
  end if;
  perform matrice_private.require_text('target_model', target_model);
  perform matrice_private.require_query(query_text);
  perform matrice_private.check_set(match_count, filter, 0, null, 0);
  perform matrice_private.require_role(project_id, 'viewer');
  wanted := matrice_private.embedding_model(build_context.model, build_context.project_id);
  if scores is null then
    perform matrice_private.check_query(query_embedding, wanted);
    ids := array(select f.chunk_id from matrice_private.fused(query_text, query_embedding, build_context.project_id, match_count, 1, 1, 50,
                                                              filter, wanted) f order by f.score desc, f.chunk_id);
    if ids = '{}' then
      perform matrice_private.tell_unmatched(filter, build_context.project_id);
    end if;
  else
    perform matrice_private.check_scores(scores);
    ids := array(select s.chunk_id from matrice_private.scored(scores, build_context.project_id) s order by s.score desc, s.chunk_id limit match_count);
  end if;

  insight_ids := matrice_private.pack_insights(query_text, build_context.project_id, insights, token_budget, target_model);
  chosen := matrice_private.pack_chunks(ids, insight_ids, token_budget, target_model);
  loop
    select w.context, w.citations into context, citations from matrice_private.written_context(insight_ids, chosen) w;
    token_count := matrice.count_tokens(context, target_model);
    exit when token_count <= token_budget;
    -- A text can take a token more than its parts: then without the last.
    chosen := trim_array(chosen, 1);
  end loop;
  if citations = '[]' and cardinality(ids) > 0 then
    -- Not even the best passage fits: its beginning is better than nothing.
    select w.context, w.citations into context, citations from matrice_private.written_context('{}', ids[:1]) w;
    context := matrice_private.cut_at_sentence(context, token_budget, target_model);
    token_count := matrice.count_tokens(context, target_model);
    citations := case context when '' then '[]' else citations end;
  end if;
  return next;
end
$$;
comment on function matrice.build_context(text, vector, uuid, integer, integer, jsonb, text, text, integer, jsonb) is
  'The best passages for a question as markdown for a model: never more than token_budget tokens of target_model, no text twice, each source in its own order, with citations by number. match_count: from how many of hybrid_search''s chunks, or of those in scores, {"<chunk_id>": score, …}. insights: so many of the project''s at most, in a quarter of the budget.';

-- Documents ----------------------------------------------------------------------------------------------------------

create function matrice_private.document_rows(query_embedding vector, model text, match_count integer, filter jsonb)
returns table (id uuid, content text, metadata jsonb, embedding vector, similarity double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select c.id, c.content,
         -- All that a filter is contained in, so that a client's own conditions see the same.
         s.raw_metadata || jsonb_build_object('type', s.type) || c.metadata
           || jsonb_build_object('source_id', c.source_id, 'source_name', s.name, 'chunk_index', c.chunk_index),
         e.embedding, n.similarity
    from matrice_private.nearest(query_embedding, null, document_rows.model, match_count, filter) n
    join matrice.source_chunks c on c.id = n.chunk_id
    join matrice.context_sources s on s.id = c.source_id
    join matrice.chunk_embeddings e on e.chunk_id = c.id and e.model = document_rows.model
   order by n.similarity desc, c.id;
end;
comment on function matrice_private.document_rows(vector, text, integer, jsonb) is 'Nearest chunks in the shape of match_documents.';

create function matrice.match_documents(query_embedding vector, match_count integer default null, filter jsonb default '{}')
returns table (id uuid, content text, metadata jsonb, embedding vector, similarity double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wanted text := matrice_private.embedding_model(null, null);
begin
  if match_count is not null then
    perform matrice_private.require_match_count(match_count);
  end if;
  perform matrice_private.require_filter(filter);
  perform matrice_private.check_query(query_embedding, wanted);
  return query
    select d.id, d.content, d.metadata, d.embedding, d.similarity
      -- LangChain for Python, and for JavaScript with a function as filter, names no count and limits the result itself:
      -- to no more than the 1,000 rows that Supabase lets through by default.
      from matrice_private.document_rows(query_embedding, wanted, coalesce(match_count, 1000), filter) d;
  if not found then
    perform matrice_private.tell_unmatched(filter, null);
  end if;
end
$$;
comment on function matrice.match_documents(vector, integer, jsonb) is
  'match_chunks over all projects of the caller, in the shape that LangChain''s and LlamaIndex''s Supabase vector stores call. Without match_count: the 1,000 nearest.';

-- How good the searches are ------------------------------------------------------------------------------------------

create function matrice_private.check_labelled(queries jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong record;
begin
  perform matrice_private.require_given('queries', queries);
  if jsonb_typeof(queries) is distinct from 'array' or jsonb_array_length(queries) = 0 then
    raise exception 'queries must be a JSON array of labelled queries'
      using errcode = '22023',
            hint = 'Pass [{"query_text": "…", "query_embedding": […], "relevant": {"<chunk_id or source_id>": grade}}, …].';
  end if;
  if jsonb_array_length(queries) > 1000 or pg_column_size(queries) > 64000000 then
    raise exception 'queries are too many, or too large'
      using errcode = '54000', detail = format('There are %s of them, %s bytes.', jsonb_array_length(queries), pg_column_size(queries)),
            hint = 'At most 1,000 queries and 64 MB: evaluate them in parts.';
  end if;
  select q.value, q.place into wrong from jsonb_array_elements(queries) with ordinality q (value, place)
   where jsonb_typeof(q.value) <> 'object'
      or jsonb_typeof(q.value -> 'relevant') is distinct from 'object'
      or q.value -> 'relevant' = '{}'
      or coalesce(jsonb_typeof(q.value -> 'query_text'), 'null') not in ('string', 'null')
      or coalesce(jsonb_typeof(q.value -> 'query_embedding'), 'null') not in ('array', 'string', 'null')
      or coalesce(q.value ->> 'query_text', q.value ->> 'query_embedding') is null
      or q.value @? '$.relevant.keyvalue() ? (!(@.key like_regex "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))'
      or q.value @? '$.relevant.* ? (@.type() != "number" || @ < 1e-6 || @ > 1000)'
   limit 1;
  if found then
    raise exception 'query % is not a labelled query', wrong.place
      using errcode = '22023', detail = format('It is %s.', left(wrong.value::text, 200)),
            hint = 'It has query_text or query_embedding, and relevant: {"<chunk_id or source_id>": grade from 0.000001 to 1000}.';
  end if;
end
$$;
comment on function matrice_private.check_labelled(jsonb) is 'Raises unless an argument is an array of labelled queries, and no more than are evaluated at once.';

create function matrice_private.graded(found uuid[], relevant jsonb) returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- A source that is relevant counts once, by the first of its chunks.
  select array_agg(case when f.nth = 1 then coalesce((relevant ->> f.label)::double precision, 0) else 0 end order by f.place)
    from (
      select given.place, l.label, row_number() over (partition by l.label order by given.place) as nth
        from unnest(found) with ordinality as given (id, place)
        left join matrice.source_chunks c on c.id = given.id
       cross join lateral (select case when relevant ? given.id::text then given.id else c.source_id end::text as label) l
    ) f;
end;
comment on function matrice_private.graded(uuid[], jsonb) is 'The grades of chunks that were found, in their order; 0 where they are not relevant.';

create function matrice_private.measures(grades double precision[], relevant jsonb, match_count integer)
returns table (recall double precision, reciprocal_rank double precision, ndcg double precision)
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select count(*) filter (where g.grade > 0)::double precision / least(match_count, (select count(*) from jsonb_object_keys(relevant))),
         coalesce(1.0 / min(g.place) filter (where g.grade > 0), 0)::double precision,
         coalesce(sum(g.grade / ln(g.place + 1)), 0) / (
           select sum(i.grade / ln(i.place + 1))
             from (select r.value::double precision as grade, row_number() over (order by r.value::double precision desc) as place
                     from jsonb_each_text(relevant) r) i
            where i.place <= match_count)
    from unnest(grades) with ordinality as g (grade, place);
end;
comment on function matrice_private.measures(double precision[], jsonb, integer) is
  'Recall, reciprocal rank and normalised discounted cumulative gain of one result.';

create function matrice_private.labelled(queries jsonb) returns table (query_text text, query_embedding vector, relevant jsonb)
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select q.value ->> 'query_text', (q.value ->> 'query_embedding')::vector, q.value -> 'relevant'
    from jsonb_array_elements(queries) q;
end;
comment on function matrice_private.labelled(jsonb) is 'Labelled queries as rows.';

create function matrice_private.check_labelled_query(place bigint, query jsonb, model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  refusal text;
  reason  text;
  remedy  text;
begin
  perform case when q.query_text is not null then matrice_private.require_query(q.query_text) end,
          case when q.query_embedding is not null then matrice_private.check_query(q.query_embedding, model) end
    from matrice_private.labelled(jsonb_build_array(query)) q;
exception when data_exception or program_limit_exceeded then
  get stacked diagnostics refusal = message_text, reason = pg_exception_detail, remedy = pg_exception_hint;
  refusal := left(refusal, 200);
  raise exception 'query %: %', place, refusal
    using errcode = '22023',
          detail = coalesce(nullif(reason, ''), format('It is %s.', left(query::text, 200))),
          hint = coalesce(nullif(remedy, ''), 'query_embedding is a JSON array of finite numbers.');
end
$$;
comment on function matrice_private.check_labelled_query(bigint, jsonb, text) is
  'Raises, and tells which query it is, unless a labelled query can be searched for.';

create function matrice.evaluate_search(
  queries jsonb, project_id uuid default null, match_count integer default 10, filter jsonb default '{}', model text default null
) returns table (search text, query_count bigint, recall double precision, mrr double precision, ndcg double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wanted text;
begin
  perform matrice_private.check_labelled(queries);
  perform matrice_private.check_set(match_count, filter, 0, null, 0);
  if match_count::bigint * jsonb_array_length(queries) > 200000 then
    raise exception 'evaluate_search would look at too many results'
      using errcode = '54000', detail = format('%s queries for %s results each.', jsonb_array_length(queries), match_count),
            hint = format('With so many queries, a match_count of at most %s.', 200000 / jsonb_array_length(queries));
  end if;
  perform matrice_private.require_searchable(evaluate_search.project_id);
  wanted := matrice_private.embedding_model(evaluate_search.model, evaluate_search.project_id);
  perform matrice_private.check_labelled_query(q.place, q.value, wanted) from jsonb_array_elements(queries) with ordinality q (value, place);
  return query
    select s.search, count(*), avg(m.recall), avg(m.reciprocal_rank), avg(m.ndcg)
      from matrice_private.labelled(queries) q
     cross join lateral (values
       ('semantic', null, q.query_embedding), ('full_text', q.query_text, null), ('hybrid', q.query_text, q.query_embedding)
     ) s (search, words, embedding)
     cross join lateral (
       select array(select h.chunk_id from matrice_private.hits(s.words, s.embedding, evaluate_search.project_id, match_count, 1, 1, 50, filter, wanted) h
                     order by h.score desc, h.chunk_id) as ids) found
     cross join lateral matrice_private.measures(matrice_private.graded(found.ids, q.relevant), q.relevant, match_count) m
     where (s.search = 'full_text' or s.embedding is not null) and (s.search = 'semantic' or s.words is not null)
     group by s.search
     order by s.search desc;
end
$$;
comment on function matrice.evaluate_search(jsonb, uuid, integer, jsonb, text) is
  'How good the searches are for labelled queries, [{"query_text", "query_embedding", "relevant": {"<chunk_id or source_id>": grade}}, …]: of each search that they can be put to, semantic, full_text and hybrid, the recall among match_count, the mean reciprocal rank of the first relevant result, and nDCG. A relevant source counts once, by the first of its chunks that is found. At most 1,000 queries, 64 MB of them, and 200,000 results in all.';

create function matrice_private.recall_of(
  query_embedding vector, project_id uuid, model text, match_count integer, left_out uuid
) returns double precision
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- By similarity rather than by id, so that of several equally near chunks any will do.
  select least(1, count(n.similarity) filter (where n.similarity >= exact.least_similarity - 1e-12)::double precision / nullif(exact.count, 0))
    from (
      select min(e.similarity) as least_similarity, count(*) as count
        from (
          select v.similarity
            from matrice_private.nearest_visible(
                   query_embedding, array[recall_of.project_id], recall_of.model, match_count + case when left_out is null then 0 else 1 end, '{}') v
           where v.chunk_id is distinct from left_out
           order by v.similarity desc
           limit match_count
        ) e
    ) exact
    left join (
      select n.similarity
        from matrice_private.nearest(
               query_embedding, recall_of.project_id, recall_of.model, match_count + case when left_out is null then 0 else 1 end, '{}') n
       where n.chunk_id is distinct from left_out
       order by n.similarity desc
       limit match_count
    ) n on true
   group by exact.least_similarity, exact.count;
end;
comment on function matrice_private.recall_of(vector, uuid, text, integer, uuid) is
  'The share of the true nearest chunks, found by comparing every vector, that a search finds; one chunk may be left out on both sides.';

create function matrice_private.sampled_recall(project_id uuid, model text, sample integer, match_count integer)
returns table (query_count bigint, recall double precision, least_recall double precision)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select count(q.recall), avg(q.recall), min(q.recall)
    from (
      select matrice_private.recall_of(case when s.is_mixed then s.mixed else s.embedding end,
                                       sampled_recall.project_id, sampled_recall.model, match_count,
                                       case when not s.is_mixed then s.chunk_id end) as recall
        from (
          select v.chunk_id, v.embedding, v.mixed,
                 -- Those that point against each other have no sum that points anywhere.
                 coalesce(v.number % 4 <> 1 and vector_norm(v.mixed) > 0.001, false) as is_mixed
            from (
              select e.chunk_id, e.embedding, row_number() over by_id as number,
                     e.direction + lag(e.direction) over by_id + lag(e.direction, 2) over by_id + lag(e.direction, 3) over by_id as mixed
                from (
                  -- A random sample, the same each time. Not the first ids: among codes that are alike these are the nearest.
                  select e.chunk_id, e.embedding, l2_normalize(e.embedding) as direction
                    from matrice.chunk_embeddings e
                   where e.project_id = sampled_recall.project_id and e.model = sampled_recall.model
                   order by uuid_hash(e.chunk_id), e.chunk_id
                   limit sample
                ) e
              window by_id as (order by uuid_hash(e.chunk_id), e.chunk_id)
            ) v
        ) s
    ) q;
end;
comment on function matrice_private.sampled_recall(uuid, text, integer, integer) is 'recall_of for queries made of a sample of a project''s own vectors.';

create function matrice_private.check_recall_work(project_id uuid, model text, sample integer) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  vectors    bigint := (select count(*) from matrice.chunk_embeddings e where e.project_id = check_recall_work.project_id and e.model = check_recall_work.model);
  dimensions bigint := (select m.dimensions from matrice.embedding_models m where m.model = check_recall_work.model);
  -- Some minutes of work.
  most       bigint := 20000000000 / greatest(vectors * dimensions, 1);
begin
  if least(sample, vectors) > most then
    raise exception 'search_recall would compare too many vectors'
      using errcode = '54000', detail = format('%s queries with %s vectors of %s dimensions.', least(sample, vectors), vectors, dimensions),
            hint = format('Pass a sample of at most %s.', most);
  end if;
end
$$;
comment on function matrice_private.check_recall_work(uuid, text, integer) is 'Raises where a sample of a project''s vectors would take too long to compare with all of them.';

create function matrice.search_recall(project_id uuid, sample integer default 20, match_count integer default 10, model text default null)
returns table (query_count bigint, recall double precision, least_recall double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  wanted text;
begin
  perform matrice_private.require_given('sample', sample);
  if sample not between 1 and 1000 then
    raise exception 'sample must be between 1 and 1000, not %', sample
      using errcode = '22023', hint = 'Each is compared with every vector of the project.';
  end if;
  perform matrice_private.require_match_count(match_count);
  if match_count > 1000 then
    raise exception 'match_count must be between 1 and 1000 here, not %', match_count
      using errcode = '22023', hint = 'Measure as many as are asked for in practice.';
  end if;
  perform matrice_private.require_role(project_id, 'viewer');
  wanted := matrice_private.embedding_model(search_recall.model, search_recall.project_id);
  perform matrice_private.check_recall_work(search_recall.project_id, wanted, sample);
  return query select * from matrice_private.sampled_recall(search_recall.project_id, wanted, sample, match_count);
end
$$;
comment on function matrice.search_recall(uuid, integer, integer, text) is
  'How many of the true nearest chunks match_chunks finds, among match_count: the mean and the least over queries that are made of a sample of the project''s vectors. One in four is a vector that is itself left out on both sides; the others are the sum of four vectors, which lies where questions do: near to several, on none. (A vector as a query for itself is found by any search. Of codes that found 0.83 for real questions, left out vectors alone say 0.96, sums 0.86.) For operators: it compares every vector of the project with each query, at most 20 thousand million numbers.';

-- Defaults -----------------------------------------------------------------------------------------------------------

-- Comments become the descriptions in PostgREST's OpenAPI document, which has no other place for the defaults.
do $$
declare
  function record;
begin
  for function in
    select p.oid::regprocedure as signature, obj_description(p.oid, 'pg_proc') as description,
           string_agg(format('%s %s', a.name, regexp_replace(a.value, '::[a-z ]+$', '')), ', ' order by a.place) as defaults
      from pg_proc p
     cross join lateral (
       select p.proargnames[place] as name, pg_get_function_arg_default(p.oid, place) as value, place
         from generate_series(p.pronargs - p.pronargdefaults + 1, p.pronargs) place) a
     where p.pronamespace = 'matrice'::regnamespace and p.proowner = current_user::regrole and a.value !~ '^NULL'
       and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
     group by p.oid
  loop
    execute format('comment on function %s is %L', function.signature, format('%s Defaults: %s.', function.description, function.defaults));
  end loop;
end
$$;

-- Grants -------------------------------------------------------------------------------------------------------------

-- Of all functions. They are born executable by everybody. Here: the API by users and services, helpers by who runs into them
-- (policies, triggers, defaults and the API all run as the caller), the owner's tools by the owner, and what searches
-- whatever projects it is told by services.
select matrice_private.revoke_from_everybody('routine');
do $$
declare
  function record;
begin
  for function in
    select p.oid::regprocedure as signature, p.prorettype = 'trigger'::regtype as is_trigger,
           p.proname in ('build_embedding_index', 'load_price_catalogue', 'forget_pillar_versions', 'recount_usage', 'purge_audit_log',
                         'keep_no_statistics', 'revoke_from_everybody') as is_owners_tool,
           p.proname in ('nearest_chunks', 'take_leases', 'end_leases', 'return_leases') as is_for_services
      from pg_proc p
     where p.pronamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace)
       and p.proowner = current_user::regrole
       and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
  loop
    continue when function.is_trigger or function.is_owners_tool;
    execute format('grant execute on function %s to service_role', function.signature);
    continue when function.is_for_services;
    execute format('grant execute on function %s to authenticated', function.signature);
  end loop;
end
$$;

-- Of what came after 006.
select matrice_private.keep_no_statistics();
