-- The nearest chunks in some projects, whoever asks.
--
-- The engine finds them in two steps. It compares the query with the codes of all embeddings of a project. A code gives an
-- estimate of the similarity, and a bound of its error. Then it compares the query with the vectors themselves, the most
-- promising first, until no other code can belong to a vector that is nearer. Of a few hundred embeddings, it compares all
-- vectors.
-- A search always covers whole projects. So the smallest tenant finds its only chunk, a growing project needs no tuning, and
-- a chunk is found as soon as it is committed.

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

create or replace function matrice_private.chunks_having(project_ids uuid[], filter jsonb) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- The planner assumes that any filter matches one row in a hundred, and would read whole tables.
set enable_seqscan = off
as $$
begin
  return (
    select coalesce(array_agg(c.id), '{}')
      -- OFFSET 0: the filter of a project is made once, not for each row.
      from (select given.id, filter || jsonb_build_object('matrice.project', given.id) as filter
              from unnest(project_ids) as given (id) offset 0) p
      join matrice.source_chunks c
        on c.filterable @> p.filter
       -- The condition on the index does not prove which project a row belongs to, so check the column.
       -- IS TRUE keeps the planner from also reading an index on project_id.
       and (c.project_id = p.id) is true
  );
end
$$;
comment on function matrice_private.chunks_having is 'Returns the ids of the chunks in the projects that match a filter.';

create or replace function matrice_private.nearest_chunks(
  query_embedding vector, project_ids uuid[], model text, match_count integer, filter jsonb
) returns table (chunk_id uuid, similarity double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (match_count between 1 and 10000 and jsonb_typeof(filter) = 'object') is not true then
    perform matrice_private.require_match_count(match_count);
    perform matrice_private.require_object('filter', filter);
  end if;
  return query select * from matrice._nearest_chunks(
    project_ids, model, query_embedding, match_count,
    case when filter <> '{}' then matrice_private.chunks_having(project_ids, filter) end);
  -- Only now, because this query would be planned at each call: searches ask it as their caller, too, and a plan is for one role.
  if not found then
    perform matrice_private.require_model(model);
  end if;
end
$$;
comment on function matrice_private.nearest_chunks is
  'Finds the nearest chunks in the projects that match a filter, by cosine similarity, ties by id. SECURITY DEFINER: codes are '
  'read as the owner of the tables. The function does not check membership of the projects. So only services, which see all '
  'rows, and nearest_to_member may execute it.';
