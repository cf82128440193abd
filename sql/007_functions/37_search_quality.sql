-- How good searches are: measured with labelled queries, and compared with an exact search.

create or replace function matrice_private.require_labelled_queries(queries jsonb) returns void
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
    raise exception 'queries has too many elements, or is too large'
      using errcode = '54000',
            detail = format('It has %s queries in %s bytes.', jsonb_array_length(queries), pg_column_size(queries)),
            hint = 'Pass at most 1,000 queries and 64 MB. Evaluate more queries in several calls.';
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
            hint = 'A labelled query has query_text or query_embedding, and relevant: '
                   '{"<chunk_id or source_id>": grade from 0.000001 to 1000}.';
  end if;
end
$$;
comment on function matrice_private.require_labelled_queries is
  'Raises an error unless queries is an array of labelled queries that is not too large for one call.';

create or replace function matrice_private.grades_of(found uuid[], relevant jsonb) returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- A relevant source counts once: the first of its chunks that is found has the grade.
  select array_agg(case when f.nth = 1 then coalesce((relevant ->> f.label)::double precision, 0) else 0 end order by f.place)
    from (
      select given.place, l.label, row_number() over (partition by l.label order by given.place) as nth
        from unnest(found) with ordinality as given (id, place)
        left join matrice.source_chunks c on c.id = given.id
       cross join lateral (select case when relevant ? given.id::text then given.id else c.source_id end::text as label) l
    ) f;
end;
comment on function matrice_private.grades_of is
  'Returns the grades of the chunks that were found, in their order; 0 for a chunk that is not relevant.';

create or replace function matrice_private.quality_of(grades double precision[], relevant jsonb, match_count integer)
returns table (recall double precision, reciprocal_rank double precision, ndcg double precision)
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select count(*) filter (where g.grade > 0)::double precision
           / least(match_count, (select count(*) from jsonb_object_keys(relevant))),
         coalesce(1.0 / min(g.place) filter (where g.grade > 0), 0)::double precision,
         coalesce(sum(g.grade / ln(g.place + 1)), 0) / (
           select sum(i.grade / ln(i.place + 1))
             from (select r.value::double precision as grade, row_number() over (order by r.value::double precision desc) as place
                     from jsonb_each_text(relevant) r) i
            where i.place <= match_count)
    from unnest(grades) with ordinality as g (grade, place);
end;
comment on function matrice_private.quality_of is
  'Returns the recall, the reciprocal rank and the normalised discounted cumulative gain of the results of one query.';

create or replace function matrice_private.labelled_queries(queries jsonb)
returns table (query_text text, query_embedding vector, relevant jsonb)
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select q.value ->> 'query_text', (q.value ->> 'query_embedding')::vector, q.value -> 'relevant'
    from jsonb_array_elements(queries) q;
end;
comment on function matrice_private.labelled_queries is 'Returns labelled queries as rows.';

create or replace function matrice_private.require_labelled_query(place bigint, query jsonb, model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  refusal text;
  reason  text;
  remedy  text;
begin
  perform case when q.query_text is not null then matrice_private.require_query(q.query_text) end,
          case when q.query_embedding is not null then matrice_private.query_vector(q.query_embedding, model) end
    from matrice_private.labelled_queries(jsonb_build_array(query)) q;
exception when data_exception or program_limit_exceeded then
  get stacked diagnostics refusal = message_text, reason = pg_exception_detail, remedy = pg_exception_hint;
  refusal := left(refusal, 200);
  raise exception 'query %: %', place, refusal
    using errcode = '22023',
          detail = coalesce(nullif(reason, ''), format('It is %s.', left(query::text, 200))),
          hint = coalesce(nullif(remedy, ''), 'query_embedding is a JSON array of finite numbers.');
end
$$;
comment on function matrice_private.require_labelled_query is
  'Raises an error unless a labelled query is valid for a search. The error says which query it is.';

create or replace function matrice.evaluate_search(
  queries jsonb, project_id uuid default null, match_count integer default 10, filter jsonb default '{}', model text default null
) returns table (search text, query_count bigint, recall double precision, mrr double precision, ndcg double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  projects     uuid[];
  chosen_model text;
begin
  perform matrice_private.require_labelled_queries(queries);
  perform matrice_private.require_result_options(match_count, filter, 0, null, 0);
  if match_count::bigint * jsonb_array_length(queries) > 200000 then
    raise exception 'evaluate_search would look at too many results'
      using errcode = '54000', detail = format('%s queries for %s results each.', jsonb_array_length(queries), match_count),
            hint = format('For this number of queries, pass a match_count of at most %s.', 200000 / jsonb_array_length(queries));
  end if;
  projects := matrice_private.searchable_projects(evaluate_search.project_id);
  chosen_model := matrice_private.embedding_model(evaluate_search.model, evaluate_search.project_id);
  perform matrice_private.require_labelled_query(q.place, q.value, chosen_model)
     from jsonb_array_elements(queries) with ordinality q (value, place);
  return query
    select s.search, count(*), avg(m.recall), avg(m.reciprocal_rank), avg(m.ndcg)
      from matrice_private.labelled_queries(queries) q
     cross join lateral (
       select case when q.query_embedding is not null
                   then matrice_private.query_vector(q.query_embedding, chosen_model) end as embedding) given
     cross join lateral (values
       ('semantic', null, given.embedding), ('full_text', q.query_text, null), ('hybrid', q.query_text, given.embedding)
     ) s (search, words, embedding)
     cross join lateral (
       select array(
         select c.chunk_id
           from matrice_private.candidates(s.words, s.embedding, projects, chosen_model, match_count, filter, '{}') c
          order by c.score desc, c.chunk_id) as ids) found
     cross join lateral matrice_private.quality_of(matrice_private.grades_of(found.ids, q.relevant), q.relevant, match_count) m
     where (s.search = 'full_text' or s.embedding is not null) and (s.search = 'semantic' or s.words is not null)
     group by s.search
     order by s.search desc;
end
$$;
comment on function matrice.evaluate_search is
  'Measures how good the searches are for labelled queries. Returns a row for each kind of search: semantic over the queries '
  'that have query_embedding, full_text over those that have query_text, and hybrid over those that have both. A row has the '
  'number of queries, the mean recall among match_count results, the mean reciprocal rank of the first relevant result (mrr), '
  'and the mean nDCG. queries: [{"query_text": …, "query_embedding": …, "relevant": {"<chunk_id or source_id>": grade}}, …]. A '
  'query has query_text, query_embedding or both. A relevant source counts once, at the first of its chunks that is found. '
  'project_id, filter, model: as in match_chunks. Limits: 1,000 queries, 64 MB, and 200,000 results in all. Defaults: '
  'match_count 10, filter ''{}''.';

create or replace function matrice_private.recall_of(
  query_embedding vector, project_id uuid, model text, match_count integer, left_out uuid
) returns double precision
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Compare similarities, not ids: among equally near chunks, any will do.
  select least(
           1,
           count(n.similarity) filter (where n.similarity >= exact.least_similarity - 1e-12)::double precision
             / nullif(exact.count, 0))
    from (
      select min(e.similarity) as least_similarity, count(*) as count
        from (
          select v.similarity
            from matrice_private.nearest_visible(
                   query_embedding, array[recall_of.project_id], recall_of.model,
                   match_count + case when left_out is null then 0 else 1 end, '{}') v
           where v.chunk_id is distinct from left_out
           order by v.similarity desc
           limit match_count
        ) e
    ) exact
    left join (
      select n.similarity
        from matrice_private.vector_candidates(
               query_embedding, array[recall_of.project_id], recall_of.model,
               match_count + case when left_out is null then 0 else 1 end, '{}') n
       where n.chunk_id is distinct from left_out
       order by n.similarity desc
       limit match_count
    ) n on true
   group by exact.least_similarity, exact.count;
end;
comment on function matrice_private.recall_of is
  'Returns the share of the true nearest chunks that a search finds. The true nearest are found by comparing every vector. '
  'left_out: a chunk that counts on neither side; null for none.';

create or replace function matrice_private.sampled_recall(project_id uuid, model text, sample integer, match_count integer)
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
                 -- The sum of vectors that cancel each other out has no direction.
                 coalesce(v.number % 4 <> 1 and vector_norm(v.mixed) > 0.001, false) as is_mixed
            from (
              select e.chunk_id, e.embedding, row_number() over by_id as number,
                     e.direction + lag(e.direction) over by_id
                       + lag(e.direction, 2) over by_id + lag(e.direction, 3) over by_id as mixed
                from (
                  -- A random sample that is the same each time. It is not the first ids: equal codes are ordered by id, so a
                  -- search finds the first ids more easily.
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
comment on function matrice_private.sampled_recall is
  'Returns the mean and the lowest recall_of over queries that are made from a sample of a project''s vectors.';

create or replace function matrice_private.require_recall_work(project_id uuid, model text, sample integer) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  vectors    bigint := (
    select count(*) from matrice.chunk_embeddings e
     where e.project_id = require_recall_work.project_id and e.model = require_recall_work.model);
  dimensions bigint := (select m.dimensions from matrice.embedding_models m where m.model = require_recall_work.model);
  -- The limit allows some minutes of work.
  most       bigint := 20000000000 / greatest(vectors * dimensions, 1);
begin
  if least(sample, vectors) > most then
    raise exception 'search_recall would compare too many vectors'
      using errcode = '54000',
            detail = format('%s queries with %s vectors of %s dimensions.', least(sample, vectors), vectors, dimensions),
            hint = format('Pass a sample of at most %s.', most);
  end if;
end
$$;
comment on function matrice_private.require_recall_work is
  'Raises an error if comparing the sample with all vectors of the project would take too long.';

create or replace function matrice.search_recall(
  project_id uuid, sample integer default 20, match_count integer default 10, model text default null
) returns table (query_count bigint, recall double precision, least_recall double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen_model text;
begin
  perform matrice_private.require_given('sample', sample);
  if sample not between 1 and 1000 then
    raise exception 'sample must be between 1 and 1000, not %', sample
      using errcode = '22023', hint = 'It is the number of queries. Each query is compared with every vector of the project.';
  end if;
  perform matrice_private.require_match_count(match_count);
  if match_count > 1000 then
    raise exception 'match_count of search_recall must be between 1 and 1000, not %', match_count
      using errcode = '22023', hint = 'Pass the match_count that your searches use.';
  end if;
  perform matrice_private.require_role(project_id, 'viewer');
  chosen_model := matrice_private.embedding_model(search_recall.model, search_recall.project_id);
  perform matrice_private.require_recall_work(search_recall.project_id, chosen_model, sample);
  return query select * from matrice_private.sampled_recall(search_recall.project_id, chosen_model, sample, match_count);
end
$$;
comment on function matrice.search_recall is
  'Measures what share of the true nearest chunks match_chunks finds. Returns the number of queries, and the mean and the '
  'lowest recall among match_count results. For operators: each query is compared with every vector of the project. The '
  'queries are made from a sample of the project''s vectors. One query in four is a vector of the sample. Its own chunk does '
  'not count, because any search finds it. Each of the other queries is the sum of four vectors, each of them scaled to length '
  '1. Like a question, such a sum is near several chunks and equal to none. So it shows better what real questions find: where '
  'their recall was 0.83, that of the sums was 0.86, and that of the vectors 0.96. sample: the number of queries, at most '
  '1,000. match_count: at most 1,000. model: as in match_chunks. Limits: queries × vectors × dimensions is at most '
  '20,000,000,000. Defaults: sample 20, match_count 10.';
