-- Candidates of a search by vector.
--
-- Neighbours are found in two steps. The engine compares the bit codes of all chunks of the searched projects with the
-- query. Then the best of them are compared by their full vectors, which also tell whether the codes are to be believed.
-- A search always covers whole projects: the smallest tenant finds its one chunk, a growing project needs no tuning, and a
-- chunk is found as soon as it is committed.
--
-- Under row-level security neither distance nor @@ nor @> may use an index, because their functions are not leakproof.
-- So there are two functions for each kind of candidates: one finds them, and one runs it as the owner of the tables in
-- those projects that the caller is a member of. The rows themselves are read as the caller.
--
-- What compares vectors is SQL that is bound at creation. The rest is PL/pgSQL, which plans a query once per session, where
-- an SQL function is planned at each call: that takes longer than most of these queries do.

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

create or replace function matrice_private.best_count(match_count integer) returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select greatest(match_count, 20);
end;
comment on function matrice_private.best_count is 'Of how many of the best vectors is asked where their codes stand, before the codes are believed.';

create or replace function matrice_private.rerank_depth(match_count integer, model text) returns integer
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
comment on function matrice_private.rerank_depth is 'How many of the nearest codes of a project have their vectors compared at first.';

create or replace function matrice_private.numbers_of(embedding vector) returns real[]
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select embedding::real[];
end;
comment on function matrice_private.numbers_of is 'A vector as an array, which the engine''s functions take.';

create or replace function matrice_private.similarities_to(query_embedding vector, chunk_ids uuid[], model text) returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select array_agg(1 - (e.embedding <=> query_embedding) order by near.place)
    from unnest(chunk_ids) with ordinality as near (id, place)
    left join matrice.chunk_embeddings e on e.chunk_id = near.id and e.model = similarities_to.model;
end;
comment on function matrice_private.similarities_to is 'How similar each of some chunks is to a vector; null where it has no embedding.';

create or replace function matrice_private.nearest_of(query_embedding vector, chunk_ids uuid[], model text, match_count integer)
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
comment on function matrice_private.nearest_of is
  'The nearest of some chunks by cosine similarity, ties by id, by comparing the vectors of all of them.';

create or replace function matrice_private.nearest_in(query_embedding vector, project_ids uuid[], model text, match_count integer)
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
comment on function matrice_private.nearest_in is
  'The nearest chunks of some projects by cosine similarity, ties by id, by comparing every vector.';

create or replace function matrice_private.chunks_having(project_ids uuid[], filter jsonb) returns uuid[]
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
comment on function matrice_private.chunks_having is 'The chunks of the projects that a filter is contained in.';

create or replace function matrice_private.doubtful_projects(
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
comment on function matrice_private.doubtful_projects is
  'The projects whose codes are not to be believed, by where the codes of their best vectors stand among the nearest codes, of which depth were compared.';

create or replace function matrice_private.require_nearest_arguments(query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if model is null or project_ids is null then
    raise exception '% must not be null', case when model is null then 'model' else 'project_ids' end
      using errcode = '22004', hint = 'match_chunks finds the model and the projects itself.';
  end if;
  perform matrice_private.require_model(model);
  perform matrice_private.require_embedding(query_embedding, model);
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_object('filter', filter);
end
$$;
comment on function matrice_private.require_nearest_arguments is 'Raises unless nearest_chunks can do with its arguments.';

create or replace function matrice_private.nearest_chunks(
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
  perform matrice_private.require_nearest_arguments(query_embedding, nearest_chunks.project_ids, nearest_chunks.model, match_count, filter);
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
    from matrice._nearest_codes(nearest_chunks.project_ids, nearest_chunks.model, matrice_private.numbers_of(query_embedding), 3 * depth, matching) n;
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
comment on function matrice_private.nearest_chunks is
  'The nearest chunks in the projects that match a filter, by cosine similarity, ties by id: by codes where the vectors bear them out, else by every vector. SECURITY DEFINER: codes are read as the tables'' owner. It asks nobody about the projects, so only services, which see all rows, and nearest_to_member may execute it.';

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
  'nearest_chunks in those projects that the caller is a member of. SECURITY DEFINER: policies keep filters from their index and ask about the project at each row.';

create or replace function matrice_private.are_visible(chunk_ids uuid[], model text) returns boolean
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
comment on function matrice_private.are_visible is 'Whether the caller sees all of some embedded chunks, with their sources.';

create or replace function matrice_private.nearest_visible(query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb)
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
comment on function matrice_private.nearest_visible is
  'The nearest of those chunks that the caller sees, by comparing every vector: what policies hide takes no place.';

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
    -- Policies that somebody has added hide some of them.
    return query select * from matrice_private.nearest_visible(
      query_embedding, project_ids, vector_candidates.model, match_count, filter);
  end if;
end
$$;
comment on function matrice_private.vector_candidates is
  'The nearest chunks in some projects that the caller sees.';
