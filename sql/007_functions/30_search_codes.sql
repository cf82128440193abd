-- The nearest chunks in some projects, whoever asks.
--
-- A search finds neighbours in two steps. First the engine compares the query with the bit codes of all chunks in the
-- searched projects. Then the query is compared with the full vectors of the chunks whose codes are nearest. These exact
-- similarities also show whether the codes are reliable.
-- A search always covers whole projects. So the smallest tenant finds its only chunk, a growing project needs no tuning, and
-- a chunk is found as soon as it is committed.
--
-- The functions that compare vectors are SQL functions. Their operators are bound at creation, because the schema of pgvector
-- is not in the search path. The other functions are PL/pgSQL, which plans a query once per session. An SQL function is
-- planned at each call, which takes longer than most of these queries run.

-- When codes are reliable
--
-- A code holds the signs of a vector's numbers. Codes are much alike if the vectors of a model share a large mean (E5, BGE,
-- ada-002 and many others), have only one sign, or are copies of each other. Then the nearest codes do not belong to the
-- nearest vectors: of the ten true nearest among 3,763 passages with E5, a share of 0.59 was among the 600 nearest codes. So a
-- search checks the codes against the vectors, for each query and in each project separately, because projects differ.
--
-- In each project, the search compares the vectors of the rerank_depth nearest codes and looks where the codes of the best
-- vectors stand among these codes:
-- - If the codes are reliable, the codes of the best vectors come first.
-- - If the codes say nothing, the codes of the best vectors can be anywhere. The chance that all of the twenty best
--   are in the first third is then 3^-20.
-- - In between, the best become rarer towards the end. Let `middling` be their number between the first ninth and the first
--   third of the codes, and `late` their number after the first third. If the numbers go on in proportion, late² / middling
--   of the best stand after the last compared code, and are missed.
--
-- If the search misses more than one in 200 of the best by this estimate, it compares three times as many vectors. If the
-- estimate is still too high, it compares all vectors of the project. It also compares all vectors if the project has only a
-- few times as many vectors as it would compare, because this is as quick.
-- The estimate uses at least twenty best vectors. With only the ten nearest, unreliable codes would pass by chance now and
-- then (recall 0.989 on sparse vectors).
--
-- The method was measured outside the database, with 200 queries each for the 1, 10, 100 and 1,000 nearest. Recall was 0.9998
-- or more on the vectors of E5 as they are, shifted, one-signed, sparse, and with their mean removed; on clusters of 20 to
-- 5,000 near copies; on projects with two kinds of vectors, half each; and on the benchmark's 50,000 vectors. Of the queries on
-- the benchmark's vectors, none for 1, 10 or 1,000 needed all vectors, and nine in ten for 10 needed only the first 190 codes.
-- benches/README.md has the recall of match_chunks itself.

create or replace function matrice_private.best_count(match_count integer) returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select greatest(match_count, 20);
end;
comment on function matrice_private.best_count is
  'Returns how many of the best vectors are used to check whether the codes are reliable.';

create or replace function matrice_private.rerank_depth(match_count integer, model text) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A shorter code says less, so more vectors are compared. The vectors are shorter as well, so this takes no longer.
  return (
    select ceil((110 + 4.0 * matrice_private.best_count(match_count)) * greatest(1, 1536.0 / m.dimensions))
      from matrice.embedding_models m where m.model = rerank_depth.model
  );
end
$$;
comment on function matrice_private.rerank_depth is
  'Returns for how many of the nearest codes of a project the vectors are compared at first.';

create or replace function matrice_private.numbers_of(embedding vector) returns real[]
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select embedding::real[];
end;
comment on function matrice_private.numbers_of is
  'Returns the numbers of a vector as an array, which the engine''s functions accept.';

create or replace function matrice_private.similarities_to(query_embedding vector, chunk_ids uuid[], model text)
returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select array_agg(1 - (e.embedding <=> query_embedding) order by near.place)
    from unnest(chunk_ids) with ordinality as near (id, place)
    -- OFFSET 0: each embedding is looked up by its chunk. Under row-level security the planner may read the whole project.
    left join lateral (select e.model, e.embedding from matrice.chunk_embeddings e where e.chunk_id = near.id offset 0) e
      on e.model = similarities_to.model;
end;
comment on function matrice_private.similarities_to is
  'Returns the cosine similarity of each chunk to a vector; null for a chunk without an embedding.';

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
  'Finds the nearest of the given chunks by cosine similarity, ties by id. Compares the vector of each of them.';

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
  'Finds the nearest chunks in the projects by cosine similarity, ties by id. Compares every vector.';

create or replace function matrice_private.chunks_having(project_ids uuid[], filter jsonb) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- The planner assumes that any filter matches one row in a hundred, and would read whole tables.
set enable_seqscan = off
as $$
begin
  return (
    select coalesce(array_agg(c.id), '{}')
      from unnest(project_ids) as p (id)
      join matrice.source_chunks c
        on c.filterable @> (filter || jsonb_build_object('matrice.project', p.id))
       -- The condition on the index does not prove which project a row belongs to, so check the column.
       -- IS TRUE keeps the planner from also reading an index on project_id.
       and (c.project_id = p.id) is true
  );
end
$$;
comment on function matrice_private.chunks_having is 'Returns the ids of the chunks in the projects that match a filter.';

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
     -- If a project has fewer codes than depth, all of its vectors were compared.
     where best.rank <= best_count and best.last_place = depth
     group by best.project_id
    having count(*) filter (where best.place > depth / 3) ^ 2
           > 0.005 * best_count * count(*) filter (where best.place between depth / 9 + 1 and depth / 3));
end
$$;
comment on function matrice_private.doubtful_projects is
  'Returns the projects whose codes are not reliable: too many of their best vectors have late places among the compared '
  'codes. The arrays have one element per compared code. depth: how many codes were compared per project. best_count: how '
  'many of the best vectors to look at.';

create or replace function matrice_private.require_nearest_arguments(
  query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb
) returns void
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
comment on function matrice_private.require_nearest_arguments is
  'Raises an error unless the arguments of nearest_chunks are valid.';

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
  -- The nearest codes of each project, in order, and the number of all codes of the project.
  codes_of uuid[];
  codes    uuid[];
  places   integer[];
  totals   bigint[];
  -- The codes whose vectors are compared in this round.
  near_of      uuid[];
  near         uuid[];
  near_places  integer[];
  similarities double precision[];
  doubtful     uuid[];
  -- The projects in which all vectors are compared.
  whole        uuid[] := array[]::uuid[];
  -- The candidates so far.
  found              uuid[] := array[]::uuid[];
  found_similarities double precision[] := array[]::double precision[];
begin
  perform matrice_private.require_nearest_arguments(
    query_embedding, nearest_chunks.project_ids, nearest_chunks.model, match_count, filter);
  if filter <> '{}' then
    matching := matrice_private.chunks_having(nearest_chunks.project_ids, filter);
    -- Reading 2,000 vectors takes as long as comparing the codes of some ten thousand chunks.
    if cardinality(matching) <= 2000 then
      return query select * from matrice_private.nearest_of(query_embedding, matching, nearest_chunks.model, match_count);
      return;
    end if;
  end if;
  depth := matrice_private.rerank_depth(match_count, nearest_chunks.model);
  select array_agg(n.project_id), array_agg(n.chunk_id), array_agg(n.place), array_agg(n.of_codes)
    into codes_of, codes, places, totals
    from matrice._nearest_codes(
      nearest_chunks.project_ids, nearest_chunks.model, matrice_private.numbers_of(query_embedding), 3 * depth, matching) n;
  for round in 1..2 loop
    -- Reading all vectors of a project takes as long as looking up a fifth of them.
    whole := whole || array(
      select distinct c.project_id from unnest(codes_of, totals) c (project_id, total)
       where c.total <= 5 * depth and matching is null and (round = 1 or c.project_id in (select unnest(doubtful))));
    select array_agg(c.project_id), array_agg(c.chunk_id), array_agg(c.place) into near_of, near, near_places
      from unnest(codes_of, codes, places) c (project_id, chunk_id, place)
     where c.place <= depth and c.project_id not in (select unnest(whole))
       and (round = 1 or c.project_id in (select unnest(doubtful)));
    similarities := matrice_private.similarities_to(query_embedding, near, nearest_chunks.model);
    doubtful := matrice_private.doubtful_projects(
      near_of, near, near_places, similarities, depth, matrice_private.best_count(match_count));
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
  'Finds the nearest chunks in the projects that match a filter, by cosine similarity, ties by id. Uses the codes of a project '
  'if they are reliable; else compares every vector. SECURITY DEFINER: codes are read as the owner of the tables. The function '
  'does not check membership of the projects. So only services, which see all rows, and nearest_to_member may execute it.';
