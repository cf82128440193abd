begin;
\ir helpers/setup.psql
select no_plan();

-- Three projects that share one table of embeddings: a large one, a middling one, and one of a single chunk ----------

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('large', '{"embedding_model": "tiny"}');
select tests.project('middling', '{"embedding_model": "tiny", "language": "english"}');
insert into matrice.projects (id, name, settings, created_by, created_at)
values (tests.id('small'), 'small', '{"embedding_model": "tiny"}', tests.id('mallory'), now() - interval '1 day');
delete from matrice.user_projects where project_id = tests.id('large') and user_id = tests.id('victor');

insert into matrice.context_sources (id, project_id, name, type, raw_metadata) values
  (tests.id('sea'), tests.id('large'), 'Sea', 'pdf', '{"lang": "en", "year": 1998}'),
  (tests.id('land'), tests.id('middling'), 'Land', 'file', '{"lang": "en"}'),
  (tests.id('sky'), tests.id('middling'), 'Sky', 'api', '{"lang": "fr", "tags": ["wind", "rain"]}'),
  (tests.id('alone'), tests.id('small'), 'Alone', 'file', '{}');

create temp table made on commit drop as
select n, case when n <= 400 then tests.id('sea') when n <= 430 then tests.id('land') when n <= 460 then tests.id('sky') else tests.id('alone') end as source,
       format('[%s,%s,%s]', sin(n * 12.9898), cos(n * 78.233), sin(n * 3.71) + 0.01)::vector as embedding
  from generate_series(1, 461) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
select md5('chunk ' || n)::uuid, source, n,
       format('Chunk %s tells of %s%s.', n, case when n % 3 = 0 then 'the winds' else 'the rain' end, repeat(' and storms', n % 5)),
       jsonb_build_object('page', n % 10, 'parity', case when n % 2 = 0 then 'even' else 'odd' end)
  from made;
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n)::uuid, embedding, 'tiny' from made;
-- Two of the middling project's chunks have no embedding, and others also one of another model.
delete from matrice.chunk_embeddings where chunk_id in (md5('chunk 429')::uuid, md5('chunk 430')::uuid);
insert into matrice.chunk_embeddings (chunk_id, embedding, model)
select md5('chunk ' || n)::uuid, tests.vec(1536, n - 450, 1), 'text-embedding-3-small' from made where n between 451 and 460;

-- What is true, worked out without the functions that are tested, by somebody who sees everything.
create temp table truth on commit drop as
select c.id, c.project_id, c.metadata, s.raw_metadata, s.type, c.fts, 1 - (e.embedding <=> '[0.3,-0.8,0.5]') as similarity
  from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id
  left join matrice.chunk_embeddings e on e.chunk_id = c.id and e.model = 'tiny';
grant select on truth to public;

create function tests.nearest(projects uuid[], k integer) returns table (id uuid, similarity double precision) language sql as $$
  select t.id, t.similarity from truth t where t.project_id = any (projects) and t.similarity is not null order by t.similarity desc, t.id limit k
$$;

-- match_chunks: min(match_count, visible chunks) rows, the true nearest -----------------------------------------------

create function tests.finds_the_nearest(who text, variadic projects text[]) returns setof text language plpgsql as $$
begin
  perform tests.as_user(who);
  return query
    select results_eq(
      format($q$select chunk_id, similarity from matrice.match_chunks('[0.3,-0.8,0.5]', match_count => %s, model => 'tiny')$q$, k),
      format($q$select * from tests.nearest(array(select tests.id(name) from unnest(%L::text[]) name), %s)$q$, projects, k),
      format('match_chunks by %s, match_count %s, over all projects: the true nearest of %s', who, k, array_to_string(projects, ' and ')))
      from unnest(array[1, 5, 40, 57, 58, 59, 500, 10000]) k;
end
$$;
select tests.finds_the_nearest('alice', 'large', 'middling');
select tests.finds_the_nearest('victor', 'middling');
select tests.finds_the_nearest('mallory', 'small');
select tests.as_user('victor');
select is(tests.rows_of($$select * from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('middling'), 10000)$$), 58::bigint,
          'match_chunks(match_count => 10000) of a project with 58 embedded chunks returns 58');
select results_eq(
  $$select chunk_id, similarity from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('middling'))$$,
  $$select * from tests.nearest(array[tests.id('middling')], 10)$$,
  'match_chunks of a project uses the project''s model and returns ten rows');
select tests.as_user('mallory');
select is(tests.rows_of($$select * from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('small'))$$), 1::bigint,
          'match_chunks of a project with one chunk returns it');
select tests.as_nobody();
select is(tests.rows_of($$select * from matrice.match_chunks('[0.3,-0.8,0.5]', model => 'tiny')$$), 0::bigint, 'match_chunks without claims: no rows');

select tests.as_user('alice');
select results_eq(
  $$select source_id, source_name, chunk_index, content, token_count, metadata, round(similarity::numeric, 6)
      from matrice.match_chunks((select embedding from matrice.chunk_embeddings where chunk_id = md5('chunk 7')::uuid and model = 'tiny'), tests.id('large'), 1)$$,
  $$values (tests.id('sea'), 'Sea', 7, 'Chunk 7 tells of the rain and storms and storms.', matrice.count_tokens('Chunk 7 tells of the rain and storms and storms.'),
            '{"page": 7, "parity": "odd"}'::jsonb, 1.000000)$$,
  'match_chunks of a chunk''s own vector returns the chunk with similarity 1');
select results_eq(
  $$select chunk_id from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('large'), 50, match_threshold => 0.9)$$,
  $$select id from tests.nearest(array[tests.id('large')], 50) where similarity >= 0.9$$,
  'match_chunks(match_threshold => 0.9) returns the chunks of at least that similarity');
select isnt_empty($$select * from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('large'), 50, match_threshold => 0.9)$$,
                  'match_chunks(match_threshold => 0.9) returns rows');
select results_eq(
  format($$select * from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('large'), 50, 0.1, %L)$$, filter),
  format($$select * from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('large'), 50, 0.1, %L, max_per_source => 50)$$, filter),
  'match_chunks returns the same rows with a max_per_source that leaves none out, filter ' || filter)
  from unnest(array['{}', '{"parity": "odd"}']) filter;
select tests.refuses(format($$select * from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('large'), match_threshold => %L)$$, threshold), '22023',
                     'match_chunks refuses match_threshold ' || threshold, hint => '%0.75%')
  from unnest(array['1.1', '75', 'NaN', '-Infinity']) threshold;
select results_eq(
  format($$select chunk_id from matrice.match_chunks('[0.3,-0.8,0.5]', null, 20, filter => %L, model => 'tiny')$$, filter),
  format($$select id from truth where similarity is not null and project_id <> tests.id('small') and %s order by similarity desc, id limit 20$$, condition),
  'match_chunks with a filter by ' || what || ': the nearest that match')
  from (values ('the chunk''s metadata', '{"page": 3}', $$metadata ->> 'page' = '3'$$),
               ('the source''s metadata', '{"lang": "fr"}', $$raw_metadata ->> 'lang' = 'fr'$$),
               ('the source''s type', '{"type": "pdf"}', $$type = 'pdf'$$),
               ('an element of an array', '{"tags": ["rain"]}', $$raw_metadata -> 'tags' ? 'rain'$$),
               ('several of them', '{"type": "api", "lang": "fr", "parity": "even"}', $$type = 'api' and metadata ->> 'parity' = 'even'$$),
               ('what nothing has', '{"lang": "tlh"}', 'false')) as filters (what, filter, condition);

select tests.refuses(format('select * from matrice.%s', call), code, description, detail, hint)
  from (values
    ($$match_chunks('[1,1,1]', tests.id('large'), 0)$$, '22023', 'match_chunks refuses match_count 0', null, null),
    ($$match_chunks('[1,1,1]', tests.id('large'), -1)$$, '22023', 'match_chunks refuses match_count -1', null, null),
    ($$match_chunks('[1,1,1]', tests.id('large'), null)$$, '22004', 'match_chunks refuses match_count null', null, null),
    ($$match_chunks('[1,1,1]', tests.id('large'), 10000000)$$, '22023', 'match_chunks refuses match_count 10000000', null, null),
    ($$match_chunks(null, tests.id('large'))$$, '22004', 'match_chunks refuses query_embedding null', null, null),
    ($$match_chunks('[1,1]', tests.id('large'))$$, '22023', 'match_chunks refuses a query_embedding of other dimensions than the project''s model',
     '%3%2%', '%'),
    ($$match_chunks('[1,1,1]')$$, '22023', 'match_chunks over all projects refuses a query_embedding of other dimensions than the default model',
     '%1536%3%', '%model%'),
    ($$match_chunks('[1,1,1]', tests.id('large'), model => 'gte-small')$$, '22023',
     'match_chunks refuses a query_embedding of other dimensions than the named model', '%384%3%', '%'),
    ($$match_chunks('[0,0,0]', tests.id('large'))$$, '22023', 'match_chunks refuses a query_embedding of zeros', null, null),
    ($$match_chunks('[1e30,1,1]', tests.id('large'))$$, '22023', 'match_chunks refuses a query_embedding whose distances overflow', '%norm%', '%direction%'),
    ($$match_chunks('[1e-30,0,0]', tests.id('large'))$$, '22023', 'match_chunks refuses a query_embedding whose distances underflow', '%norm%', '%direction%'),
    ($$hybrid_search('rain', '[1e-30,0,0]', tests.id('large'))$$, '22023', 'hybrid_search refuses a query_embedding whose distances underflow', '%norm%',
     '%direction%'),
    ($$match_chunks('[1,1,1]', tests.id('large'), model => 'no-such')$$, '22023', 'match_chunks refuses model no-such', null, '%text-embedding-3-small%'),
    ($$match_chunks('[1,1,1]', tests.id('large'), filter => '[]')$$, '22023', 'match_chunks refuses a filter that is an array', '%array%', '%'),
    ($$match_chunks('[1,1,1]', tests.id('large'), filter => '"{}"')$$, '22023', 'match_chunks refuses a filter that is a string', '%string%', '%'),
    ($$match_chunks('[1,1,1]', tests.id('large'), filter => 'null')$$, '22023', 'match_chunks refuses a filter that is a JSON null', '%null%', '%'),
    ($$match_chunks('[1,1,1]', tests.id('large'), filter => null)$$, '22004', 'match_chunks refuses filter null', null, '%'),
    ($$match_chunks('[1,1,1]', tests.id('nowhere'))$$, 'PT404', 'match_chunks of an unknown project: not found', '%', '%'),
    ($$match_chunks('[1,1,1]', tests.id('small'))$$, 'PT404', 'match_chunks of another''s project: not found', '%', '%'),
    ($$search_chunks('rain', match_count => 0)$$, '22023', 'search_chunks refuses match_count 0', null, null),
    ($$search_chunks('rain', match_count => null)$$, '22004', 'search_chunks refuses match_count null', null, null),
    ($$search_chunks('rain', match_count => 10000000)$$, '22023', 'search_chunks refuses match_count 10000000', null, null),
    ($$search_chunks(null)$$, '22004', 'search_chunks refuses query_text null', null, null),
    ($$search_chunks('')$$, '22023', 'search_chunks refuses an empty query_text', null, null),
    ($$search_chunks(E' \t\n')$$, '22023', 'search_chunks refuses a query_text of white space', null, null),
    ($$search_chunks('rain', filter => '1')$$, '22023', 'search_chunks refuses a filter that is a number', '%number%', '%'),
    ($$search_chunks('rain', tests.id('small'))$$, 'PT404', 'search_chunks of another''s project: not found', '%', '%'),
    ($$hybrid_search('rain', '[1,1]', tests.id('large'))$$, '22023', 'hybrid_search refuses a query_embedding of other dimensions', '%3%2%', '%'),
    ($$hybrid_search('rain', '[0,0,0]', tests.id('large'))$$, '22023', 'hybrid_search refuses a query_embedding of zeros', null, null),
    ($$hybrid_search('rain', null, tests.id('large'))$$, '22004', 'hybrid_search refuses query_embedding null', null, null),
    ($$hybrid_search(' ', '[1,1,1]', tests.id('large'))$$, '22023', 'hybrid_search refuses a blank query_text', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), -1)$$, '22023', 'hybrid_search refuses match_count -1', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), rrf_k => 0)$$, '22023', 'hybrid_search refuses rrf_k 0', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), rrf_k => null)$$, '22004', 'hybrid_search refuses rrf_k null', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), full_text_weight => -1)$$, '22023', 'hybrid_search refuses full_text_weight -1', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), semantic_weight => 'NaN')$$, '22023', 'hybrid_search refuses semantic_weight NaN', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), semantic_weight => 'Infinity')$$, '22023', 'hybrid_search refuses semantic_weight Infinity',
     null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), semantic_weight => null)$$, '22004', 'hybrid_search refuses semantic_weight null', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), filter => '[]')$$, '22023', 'hybrid_search refuses a filter that is an array', '%array%', '%'),
    ($$search_chunks('rain', words => 'x')$$, '22023', 'search_chunks refuses words x', null, '%any%all%'),
    ($$search_chunks('rain', words => 'ANY')$$, '22023', 'search_chunks refuses words ANY', null, '%any%all%'),
    ($$search_chunks('rain', words => null)$$, '22004', 'search_chunks refuses words null', null, null),
    ($$search_chunks('rain', min_score => 'NaN')$$, '22023', 'search_chunks refuses min_score NaN', null, '%'),
    ($$search_chunks('rain', min_score => '-Infinity')$$, '22023', 'search_chunks refuses min_score -Infinity', null, '%'),
    ($$search_chunks('rain', highlight => null)$$, '22004', 'search_chunks refuses highlight null', null, null),
    ($$search_chunks('rain', highlight_fragments => 0)$$, '22023', 'search_chunks refuses highlight_fragments 0', null, '%'),
    ($$search_chunks('rain', highlight_fragments => 11)$$, '22023', 'search_chunks refuses highlight_fragments 11', null, '%'),
    ($$search_chunks('rain', highlight_fragments => null)$$, '22004', 'search_chunks refuses highlight_fragments null', null, null),
    ($$search_chunks('rain', highlight_html => null)$$, '22004', 'search_chunks refuses highlight_html null', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), words => 'x')$$, '22023', 'hybrid_search refuses words x', null, '%any%all%'),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), words => null)$$, '22004', 'hybrid_search refuses words null', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), fusion => 'rrf')$$, '22023', 'hybrid_search refuses fusion rrf', null, '%score%rank%'),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), fusion => null)$$, '22004', 'hybrid_search refuses fusion null', null, null),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), min_score => 'NaN')$$, '22023', 'hybrid_search refuses min_score NaN', null, '%'),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('large'), min_similarity => 'Infinity')$$, '22023', 'hybrid_search refuses min_similarity Infinity', null, '%'),
    ($$hybrid_search('rain', '[1,1,1]', tests.id('small'))$$, 'PT404', 'hybrid_search of another''s project: not found', '%', '%'),
    ($$build_context('rain', '[1,1,1]', tests.id('large'), 0)$$, '22023', 'build_context refuses token_budget 0', null, null),
    ($$build_context('rain', '[1,1,1]', tests.id('large'), -1)$$, '22023', 'build_context refuses token_budget -1', null, null),
    ($$build_context('rain', '[1,1,1]', tests.id('large'), null)$$, '22004', 'build_context refuses token_budget null', null, null),
    ($$build_context('rain', '[1,1,1]', null)$$, '22004', 'build_context refuses project_id null', null, null),
    ($$build_context('rain', '[1,1]', tests.id('large'))$$, '22023', 'build_context refuses a query_embedding of other dimensions', '%3%2%', '%'),
    ($$build_context('', '[1,1,1]', tests.id('large'))$$, '22023', 'build_context refuses an empty query_text', null, null),
    ($$build_context('rain', '[1,1,1]', tests.id('large'), target_model => 'no-such')$$, '22023', 'build_context refuses target_model no-such', null,
     '%cl100k_base%'),
    ($$build_context('rain', '[1,1,1]', tests.id('small'))$$, 'PT404', 'build_context of another''s project: not found', '%', '%'),
    ($$match_documents('[1,1,1]')$$, '22023', 'match_documents refuses a query_embedding of other dimensions than the default model', '%1536%3%', '%'),
    ($$match_documents(tests.vec(1536, 0))$$, '22023', 'match_documents refuses a query_embedding of zeros', null, null),
    ($$match_documents(tests.vec(1536, 1), 0)$$, '22023', 'match_documents refuses match_count 0', null, null),
    ($$match_documents(tests.vec(1536, 1), 10000000)$$, '22023', 'match_documents refuses match_count 10000000', null, null),
    ($$match_documents(tests.vec(1536, 1), filter => '[]')$$, '22023', 'match_documents refuses a filter that is an array', '%array%', '%')
  ) as refused (call, code, description, detail, hint);

-- search_chunks ----------------------------------------------------------------------------------------------------

select tests.as_user('victor');
-- BM25 of every chunk of the middling project; tests/sql/25_word_index.sql compares it with a reference.
create temp table ranked on commit drop as
select chunk_id as id, rank, row_number() over (order by rank desc, chunk_id)::integer as place from matrice.search_chunks('wind storms', tests.id('middling'), 10000);
select results_eq($$select chunk_id, rank from matrice.search_chunks('wind storms', tests.id('middling'), 15)$$, 'select id, rank from ranked order by place limit 15',
                  'search_chunks returns the best first, ties by id');
select set_eq('select id from ranked', $$select id from truth where project_id = tests.id('middling') and fts @@ 'wind | storm'$$,
              'search_chunks stems in the project''s language and finds any of the words');
select set_eq($$select chunk_id from matrice.search_chunks('wind storms', tests.id('middling'), 10000, words => 'all')$$,
              $$select id from truth where project_id = tests.id('middling') and fts @@ 'wind & storm'$$, 'search_chunks(words => all) finds all of the words');
select is((select min(rank) from ranked r join truth t using (id) where t.fts @@ 'wind & storm') > (select max(rank) from ranked r join truth t using (id) where not t.fts @@ 'wind'), true,
          'search_chunks ranks chunks with both words above chunks with the frequent one');
select isnt_empty($$select * from matrice.search_chunks('wind storms', tests.id('middling'))$$, 'search_chunks of two words returns rows');
select results_eq($$select source_id, source_name, chunk_index, content, metadata from matrice.search_chunks('"chunk 405 tells"')$$,
                  $$values (tests.id('land'), 'Land', 405, 'Chunk 405 tells of the winds.', '{"page": 5, "parity": "odd"}'::jsonb)$$,
                  'search_chunks of a phrase in quotes returns the chunk with the phrase');
select is_empty($$select * from matrice.search_chunks('wind -winds', tests.id('middling'))$$, 'search_chunks of a word and its exclusion: no rows');
select is(tests.rows_of($$select * from matrice.search_chunks('rain or wind', tests.id('middling'), 10000)$$), 60::bigint,
          'search_chunks of two words joined by "or" returns chunks with either');
select is(tests.rows_of($$select * from matrice.search_chunks('the of and', tests.id('middling'), 10000)$$), 60::bigint, 'search_chunks of nothing but stop words finds them');
select is(tests.rows_of($$select * from matrice.search_chunks('the of and zeppelin', tests.id('middling'), 10000)$$), 0::bigint,
          'search_chunks ignores stop words beside other words');
select is_empty($$select * from matrice.search_chunks('!!! & | ( " <->', tests.id('middling'))$$, 'search_chunks of punctuation: no rows');
select is(tests.rows_of($$select * from matrice.search_chunks('rain', filter => '{"type": "api"}', match_count => 10000)$$), 20::bigint,
          'search_chunks with filter {"type": "api"} returns chunks of that type');
select is_empty($$select * from matrice.search_chunks('400')$$, 'search_chunks of a word of another''s project: no rows');
select tests.as_user('alice');
select is(tests.rows_of($$select * from matrice.search_chunks('winds', match_count => 10000)$$),
          (select count(*) from truth where project_id <> tests.id('small') and (fts @@ 'winds' or fts @@ 'wind')),
          'search_chunks over all projects uses each project''s language');

-- hybrid_search ----------------------------------------------------------------------------------------------------

-- A search returns its first 100 results to the fusion, and more if match_count is above 20. The middling project has 60 chunks.
select results_eq(
  format($$select chunk_id, semantic_rank, full_text_rank, round(score::numeric, 12)
             from matrice.hybrid_search('wind storms', '[0.3,-0.8,0.5]', tests.id('middling'), %s, %s, %s, %s, fusion => 'rank')$$,
         k, text_weight, vector_weight, rrf_k),
  format($$with v as (select id, row_number() over (order by similarity desc, id)::integer as rank from truth
                       where project_id = tests.id('middling') and similarity is not null),
                t as (select id, place as rank from ranked)
           select id, v.rank, t.rank, round((coalesce(%3$s / (%4$s + v.rank), 0) + coalesce(%2$s / (%4$s + t.rank), 0))::numeric, 12)
             from v full join t using (id)
            order by coalesce(%3$s / (%4$s + v.rank), 0) + coalesce(%2$s / (%4$s + t.rank), 0) desc, id limit %1$s$$,
         k, text_weight || '::double precision', vector_weight || '::double precision', rrf_k),
  format('hybrid_search(fusion => rank) scores by weight / (rrf_k + rank): match_count %s, weights %s and %s, rrf_k %s', k, text_weight, vector_weight, rrf_k))
  from (values (10, 1, 1, 50), (10, 2, 0.5, 10), (60, 1, 1, 1), (5, 0, 1, 50), (5, 1, 0, 50)) as settings (k, text_weight, vector_weight, rrf_k);

-- The standardised sum: how many deviations each score is above the mean of its project. Of similarities, up to 400 embeddings of a project
-- in the order of their ids are looked at; of BM25, all chunks, those without the words with 0. The similarity counts 0.7 times.
select tests.as_owner();
create function tests.summed(query text, names text[], text_weight double precision, vector_weight double precision)
returns table (id uuid, similarity double precision, rank double precision, score double precision) language sql as $$
  with projects as (
    select tests.id(name) as project_id from unnest(names) name
  ), spread as (
    select p.project_id, avg(s.similarity) as mean, stddev_pop(s.similarity) as deviation
      from projects p cross join lateral (
        select t.similarity from truth t where t.project_id = p.project_id and t.similarity is not null order by t.id limit 400) s
     group by p.project_id
  ), words as (
    select t.id, t.project_id, t.similarity, r.rank::double precision as rank
      from truth t join projects p using (project_id)
      left join (select r.chunk_id, r.rank from projects p cross join lateral matrice.search_chunks(query, p.project_id, 10000) r) r on r.chunk_id = t.id
  ), word_spread as (
    select project_id, avg(coalesce(rank, 0)) as mean, stddev_pop(coalesce(rank, 0)) as deviation from words group by project_id
  )
  select w.id, w.similarity, w.rank,
         coalesce(0.7 * vector_weight * (w.similarity - s.mean) / nullif(s.deviation, 0), 0)
         + coalesce(text_weight * (coalesce(w.rank, 0) - o.mean) / nullif(o.deviation, 0), 0)
    from words w join spread s using (project_id) join word_spread o using (project_id)
$$;
select tests.as_user('alice');
select is_empty(
  format($$select chunk_id, id, h.score, s.score, h.similarity, s.similarity, h.rank, s.rank
             from matrice.hybrid_search(%L, '[0.3,-0.8,0.5]', tests.id(%L), %s, %s, %s, model => 'tiny') h
             full join (select * from tests.summed(%1$L, %6$L, %4$s, %5$s) where similarity is not null or rank is not null order by score desc, id limit %3$s) s on id = chunk_id
            where (abs(h.score - s.score) <= 1e-5 * greatest(abs(s.score), 1) and abs(coalesce(h.similarity, -2) - coalesce(s.similarity, -2)) <= 1e-9
                   and coalesce(h.rank, -1) = coalesce(s.rank, -1)) is not true$$,
         query, project, k, text_weight, vector_weight, coalesce('{' || project || '}', '{large,middling}')),
  format('hybrid_search of "%s" scores by the standardised sum: %s, match_count %s, weights %s and %s', query, coalesce(project, 'all projects'), k, text_weight,
         vector_weight))
  from (values ('wind storms', 'middling', 10, 1, 1), ('wind storms', 'middling', 60, 2, 0.5), ('rain', 'middling', 3, 0, 1), ('rain', 'middling', 3, 1, 0),
               ('winds', 'large', 10, 1, 1), ('chunk 77 rain', 'large', 400, 1, 1), ('404', null, 20, 1, 1), ('zeppelin', 'middling', 58, 1, 1),
               ('chunk', 'middling', 60, 1, 1)) as settings (query, project, k, text_weight, vector_weight);
select is(array(select score from matrice.hybrid_search('wind storms', '[0.3,-0.8,0.5]', tests.id('middling'), 60)),
          array(select score from matrice.hybrid_search('wind storms', '[0.3,-0.8,0.5]', tests.id('middling'), 60) order by score desc, chunk_id),
          'hybrid_search returns the best first');
select results_eq(
  format($$select chunk_id, rank, matched_words, source_type, storage_path, start_char, end_char
             from matrice.hybrid_search('wind storms', '[0.3,-0.8,0.5]', tests.id('middling'), 60%s) where rank is not null order by 1$$, fusion),
  $$select chunk_id, rank, matched_words, source_type, storage_path, start_char, end_char from matrice.search_chunks('wind storms', tests.id('middling'), 60) order by 1$$,
  'hybrid_search has the rank and words of search_chunks' || fusion) from unnest(array['', $$, fusion => 'rank'$$]) fusion;
select results_eq(
  $$select chunk_id, source_type, storage_path, start_char, end_char from matrice.match_chunks('[0.3,-0.8,0.5]', tests.id('middling'), 60) order by 1$$,
  $$select t.id, t.type, s.storage_path, c.start_char, c.end_char from truth t join matrice.source_chunks c on c.id = t.id join matrice.context_sources s on s.id = c.source_id
     where t.project_id = tests.id('middling') and t.similarity is not null order by 1$$,
  'match_chunks returns the type and path of the source and the place of the chunk');
select set_eq(
  $$select chunk_id from matrice.hybrid_search('wind storms', '[0.3,-0.8,0.5]', tests.id('middling'), 60, words => 'all') where full_text_rank is not null$$,
  $$select chunk_id from matrice.search_chunks('wind storms', tests.id('middling'), 60, words => 'all')$$, 'hybrid_search(words => all) ranks chunks that have all of the words');

-- "Nothing is known about that" is an answer.
select set_eq(
  format($$select chunk_id from matrice.hybrid_search('rain', '[0.3,-0.8,0.5]', tests.id('middling'), 60, min_similarity => 0.5%s)$$, fusion),
  $$select id from truth where project_id = tests.id('middling') and similarity >= 0.5$$,
  'hybrid_search(min_similarity => 0.5) leaves out chunks that are less similar' || fusion) from unnest(array['', $$, fusion => 'rank'$$]) fusion;
select isnt_empty($$select from truth where project_id = tests.id('middling') and similarity between 0.3 and 0.5$$, 'Some chunks are less similar than that');
select set_eq(
  $$select chunk_id from matrice.hybrid_search('rain', '[0.3,-0.8,0.5]', tests.id('middling'), 60, min_score => 0.7)$$,
  $$select chunk_id from matrice.hybrid_search('rain', '[0.3,-0.8,0.5]', tests.id('middling'), 60) where score >= 0.7$$,
  'hybrid_search(min_score => 0.7) leaves out chunks with a lower score');
select is_empty($$select from matrice.hybrid_search('zeppelin', '[0.3,-0.8,0.5]', tests.id('middling'), min_score => 100)$$, 'hybrid_search(min_score => 100): no rows');
select is_empty($$select from matrice.hybrid_search('zeppelin', '[0.3,-0.8,0.5]', tests.id('middling'), min_similarity => 1)$$, 'hybrid_search(min_similarity => 1): no rows');

-- One chunk has no deviation, nor have chunks of one vector.
select tests.as_user('mallory');
select results_eq($$select score, similarity > -1, full_text_rank from matrice.hybrid_search('chunk', '[0.3,-0.8,0.5]', tests.id('small'))$$,
                  'values (0::double precision, true, 1)', 'hybrid_search of a project with one chunk returns it with score 0');
select tests.as_user('alice');
select is(tests.rows_of($$select * from matrice.hybrid_search('wind', '[0.3,-0.8,0.5]', tests.id('middling'), 10000) where semantic_rank is null$$), 1::bigint,
          'hybrid_search finds a chunk without an embedding by its words');
select is(tests.rows_of($$select * from matrice.hybrid_search('zeppelin', '[0.3,-0.8,0.5]', tests.id('middling'), 10000) where full_text_rank is null$$), 58::bigint,
          'hybrid_search finds chunks without the words by their meaning');
select is_empty($$select * from matrice.hybrid_search('rain', '[0.3,-0.8,0.5]', tests.id('middling'), 50, filter => '{"type": "api"}') where source_name <> 'Sky'$$,
                'hybrid_search applies filter to both lists');

-- What is found of a project does not depend on the other list, nor on other projects ---------------------------------------

select tests.as_owner();
select tests.project('phrases', '{"embedding_model": "tiny"}');
select tests.project('windy', '{"embedding_model": "tiny"}');
select tests.project('gusts', '{"embedding_model": "tiny"}');
delete from matrice.user_projects where project_id = tests.id('phrases') and user_id = tests.id('victor');
update matrice.user_projects set user_id = tests.id('erin') where project_id in (tests.id('windy'), tests.id('gusts')) and user_id = tests.id('victor');
insert into matrice.context_sources (id, project_id, name) values (tests.id('phrases 1'), tests.id('phrases'), 'Phrases'), (tests.id('windy 1'), tests.id('windy'), 'Windy'),
  (tests.id('gusts 1'), tests.id('gusts'), 'Gusts');
-- The 300 best by their words do not have the phrase, the next 100 have it, and the last 100 have it and are nearest.
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5('phrase ' || n)::uuid, tests.id('phrases 1'), n, case when n <= 300 then 'rose wind' when n <= 400 then 'wind rose and more' else 'wind rose and more and more' end
  from generate_series(1, 500) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select md5('phrase ' || n)::uuid, 'tiny', format('[%s,%s,0]', case when n <= 400 then -1 else 1 end, n / 100.0)::vector from generate_series(1, 500) n;
-- Of 260 chunks 50 have the word, and are farther than 200 others. In another project 150 chunks have it more often.
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5('windy ' || n)::uuid, tests.id('windy 1'), n, case when n <= 50 then 'much about many other things and one wind' else 'near ' || n end from generate_series(1, 260) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select md5('windy ' || n)::uuid, 'tiny', format('[%s,%s,0]', case when n <= 50 then -1 else 1 end, n / 100.0)::vector from generate_series(1, 260) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5('gust ' || n)::uuid, tests.id('gusts 1'), n, case when n <= 150 then 'wind wind wind' else 'calm ' || n end from generate_series(1, 400) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select md5('gust ' || n)::uuid, 'tiny', format('[-1,%s,0]', n / 100.0)::vector from generate_series(1, 400) n;
select tests.as_user('alice');
select is(array(select chunk_index from matrice.search_chunks('"wind rose"', tests.id('phrases'), 100) order by 1), array(select generate_series(301, 400)),
          'search_chunks of a phrase that the best by their words do not have finds the best of those that have it');
select is_empty(
  $$select chunk_index, full_text_rank from matrice.hybrid_search('"wind rose"', '[1,0,0]', tests.id('phrases'), 20, fusion => 'rank')
     where full_text_rank is not null and chunk_index not between 301 and 400$$,
  'hybrid_search of a phrase: full_text_rank is the place in search_chunks, also of the nearest chunks');
select tests.as_user('erin');
select results_eq(
  $$select round(score::numeric, 9) from matrice.hybrid_search('wind', '[1,0,0]', null, 20, semantic_weight => 3, model => 'tiny') where chunk_id = md5('windy 51')::uuid$$,
  $$select round(score::numeric, 9) from matrice.hybrid_search('wind', '[1,0,0]', tests.id('windy'), 1000, semantic_weight => 3) where chunk_id = md5('windy 51')::uuid$$,
  'hybrid_search over all projects has the score that a chunk has in its project');
select tests.as_owner();
delete from matrice.projects where id in (tests.id('phrases'), tests.id('windy'), tests.id('gusts'));

-- build_context ----------------------------------------------------------------------------------------------------

select tests.as_user('victor');
create temp table contexts on commit drop as
select budget, question, target, c.*
  from unnest(array[1, 2, 5, 20, 100, 300, 10000]) budget, unnest(array['wind storms', 'zeppelin']) question, unnest(array['gpt-4o', 'cl100k_base']) target,
       matrice.build_context(question, '[0.3,-0.8,0.5]', tests.id('middling'), budget, target_model => target) c;
select is(count(*), 28::bigint, 'build_context returns one row per call') from contexts;
select is_empty($$select * from contexts where matrice.count_tokens(context, target) > budget$$, 'build_context returns at most token_budget tokens');
select is_empty($$select budget from generate_series(40, 80) budget, matrice.build_context('wind storms', '[0.3,-0.8,0.5]', tests.id('middling'), budget)
                   where matrice.count_tokens(context, 'gpt-4o') > budget$$, 'build_context returns at most token_budget tokens at each budget from 40 to 80');
select is_empty($$select * from contexts where matrice.count_tokens(context, target) <> token_count$$, 'build_context.token_count is exact');
select is_empty($$select * from contexts where (context = '') <> (citations = '[]')$$, 'build_context returns citations exactly when it returns text');
select is_empty($$select * from contexts where budget >= 20 and context = ''$$, 'build_context(token_budget => 20) returns the beginning of the best passage');
select is_empty($$select * from contexts where budget < 5 and context <> ''$$, 'build_context(token_budget => 2) returns an empty context');
select isnt_empty($$select * from contexts where budget = 300 and token_count > 270 and jsonb_array_length(jsonb_path_query_array(citations, '$[*].chunk_ids[*]')) > 10$$,
                  'build_context(token_budget => 300) uses most of the budget');
select is_empty(
  $$select * from contexts, jsonb_array_elements(citations) cited
      join matrice.source_chunks c on c.id = (cited ->> 'chunk_id')::uuid join matrice.context_sources s on s.id = c.source_id
     where budget >= 100 and (position(format('[%s] %s', cited ->> 'number', s.name) in context) = 0 or position(c.content in context) = 0
                              or cited ->> 'source_id' <> s.id::text or cited ->> 'source_name' <> s.name)$$,
  'build_context: number, source and text of each citation are in the context');
select is_empty(
  $$select from contexts, lateral (select array_agg((cited ->> 'number')::integer) as numbers from jsonb_array_elements(citations) cited) c
     where numbers <> array(select generate_series(1, cardinality(numbers)))$$,
  'build_context numbers citations from 1');
select is_empty(
  $$select * from contexts where budget >= 100 and not exists (
      select from matrice.hybrid_search(question, '[0.3,-0.8,0.5]', tests.id('middling'), 1) best
       where position(best.content in context) > 0)$$,
  'build_context contains the best passage if it fits');
select tests.as_owner();
update matrice.source_chunks set content = 'Said twice.' where id in (md5('chunk 401')::uuid, md5('chunk 402')::uuid);
insert into matrice.chunk_embeddings (chunk_id, embedding, model)
values (md5('chunk 401')::uuid, '[1,0,0]', 'tiny'), (md5('chunk 402')::uuid, '[1,0,0]', 'tiny');
select tests.as_user('victor');
select is((length(context) - length(replace(context, 'Said twice.', ''))) / length('Said twice.'), 1, 'build_context contains equal texts once')
  from matrice.build_context('twice', '[1,0,0]', tests.id('middling'), 500);
select results_eq($$select context, token_count, citations from matrice.build_context('x', '[1,0,0]', tests.id('middling'), filter => '{"lang": "tlh"}')$$,
                  $$values ('', 0, '[]'::jsonb)$$, 'build_context without matching chunks returns an empty context');

-- match_documents --------------------------------------------------------------------------------------------------

select results_eq(
  $$select id, content, metadata, md5(embedding::text), round(similarity::numeric, 6) from matrice.match_documents(tests.vec(1536, 10, 1), 2)$$,
  $$select md5('chunk ' || n)::uuid, c.content,
           '{"lang": "fr", "tags": ["wind", "rain"], "type": "api"}' || c.metadata
             || jsonb_build_object('source_id', c.source_id, 'source_name', 'Sky', 'chunk_index', n),
           md5(tests.vec(1536, n - 450, 1)::text), round((((n - 450) * 10 + 1) / (sqrt(101) * sqrt((n - 450) ^ 2 + 1)))::numeric, 6)
      from (values (460), (459)) as best (n) join matrice.source_chunks c on c.id = md5('chunk ' || n)::uuid order by n desc$$,
  'match_documents returns rows in the format of LangChain and LlamaIndex');
select is(tests.rows_of($$select * from matrice.match_documents(tests.vec(1536, 1))$$), 10::bigint, 'match_documents without match_count returns every chunk');
select is(tests.rows_of($$select * from matrice.match_documents(tests.vec(1536, 1), filter => '{"parity": "even"}')$$), 5::bigint,
          'match_documents with filter {"parity": "even"} returns matching chunks');
select tests.as_user('mallory');
select is_empty($$select * from matrice.match_documents(tests.vec(1536, 1))$$, 'match_documents by an outsider: no rows');

select * from finish();
rollback;
