begin;
\ir helpers/setup.psql
select no_plan();

-- A large project, a middling one and a small one share the table. Their vectors have the neighbourhoods of real ones:
-- each is near a few others, and none alone.

insert into matrice.embedding_models (model, dimensions) values ('wide', 512);
select tests.project('large', '{"embedding_model": "wide"}');
select tests.project('middling', '{"embedding_model": "wide"}');
select tests.project('small', '{"embedding_model": "wide"}');
insert into matrice.context_sources (id, project_id, name) select tests.id('source of ' || name), tests.id(name), name
  from unnest(array['large', 'middling', 'small']) name;

select setseed(0.5);
create temp table centres on commit drop as
select centre, array_agg(random() - 0.5) as middle from generate_series(1, 40) centre, generate_series(1, 512) group by centre;
create function tests.near(centre integer) returns vector language sql volatile as $$
  select array_agg(x + 1.2 * (random() - 0.5) order by place)::vector from centres c, unnest(c.middle) with ordinality m (x, place) where c.centre = near.centre
$$;
create temp table made on commit drop as
select n, case when n <= 3000 then 'large' when n <= 3500 then 'middling' else 'small' end as project, tests.near(1 + n % 40) as embedding
  from generate_series(1, 3520) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content, token_count, metadata)
select md5('chunk ' || n)::uuid, tests.id('source of ' || project), n, 'Chunk ' || n, 2,
       jsonb_build_object('hundredth', n % 100, 'third', n % 3) || case n when 1234 then '{"only": ["one"]}' else '{}'::jsonb end
  from made;
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n)::uuid, embedding, 'wide' from made;
create temp table questions on commit drop as select n, tests.near(1 + n % 40) as embedding from generate_series(1, 20) n;
grant select on made, questions to public;

-- The share of the true nearest that is found, and how many rows there are, over all questions.
create function tests.found(projects text[], project uuid, k integer, filter jsonb default '{}', condition text default 'true')
returns table (recall double precision, fewest bigint, most bigint) language plpgsql as $$
begin
  return query execute format($q$
    select avg(hits.right / hits.there), min(hits.rows), max(hits.rows)
      from questions q cross join lateral (
        select count(m.chunk_id) as rows, count(*) filter (where m.chunk_id = t.id)::double precision as right, max(t.there) as there
          from matrice.match_chunks(q.embedding, %L, %s, filter => %L, model => 'wide') m
          full join (select md5('chunk ' || n)::uuid as id, count(*) over () as there from (
                       select n from made where project = any (%L) and %s order by embedding <=> q.embedding limit %s) nearest) t on t.id = m.chunk_id) hits $q$,
    project, k, filter, projects, condition, k);
end
$$;

select tests.as_user('victor');
select is(f.*, row(1.0::double precision, 10::bigint, 10::bigint), 'match_chunks of a middling project, match_count 10: the true nearest in every question')
  from tests.found('{middling}', tests.id('middling'), 10) f;
select is(f.*, row(1.0::double precision, 20::bigint, 20::bigint), 'match_chunks of a project with 20 chunks, match_count 100: all 20 in every question')
  from tests.found('{small}', tests.id('small'), 100) f;
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10, format('match_chunks of a large project, match_count 10: ten rows, recall %s', f.recall))
  from tests.found('{large}', tests.id('large'), 10) f;
select ok(f.recall >= 0.99 and f.fewest = 100 and f.most = 100, format('match_chunks of a large project, match_count 100: 100 rows, recall %s', f.recall))
  from tests.found('{large}', tests.id('large'), 100) f;
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10, format('match_chunks over all projects, match_count 10: ten rows, recall %s', f.recall))
  from tests.found('{large,middling,small}', null, 10) f;
select is(f.*, row(1.0::double precision, 3520::bigint, 3520::bigint), 'match_chunks over all projects, match_count 10000: every chunk')
  from (select * from tests.found('{large,middling,small}', null, 10000)) f;
select is(f.*, row(1.0::double precision, 10::bigint, 10::bigint), 'match_chunks with a filter that one chunk in a hundred matches: the true nearest ten')
  from tests.found('{large}', tests.id('large'), 10, '{"hundredth": 7}', 'n % 100 = 7') f;
select is(f.*, row(1.0::double precision, 1::bigint, 1::bigint), 'match_chunks with a filter that one chunk matches: that chunk in every question')
  from tests.found('{large}', tests.id('large'), 10, '{"only": ["one"]}', 'n = 1234') f;
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10,
          format('match_chunks with a filter that every third chunk matches: ten rows, recall %s', f.recall))
  from tests.found('{large,middling,small}', null, 10, '{"third": 1}', 'n % 3 = 1') f;

-- The same without row-level security, for workers.
select tests.as_service();
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10, 'match_chunks by a service over all projects: ten rows, recall at least 0.99')
  from tests.found('{large,middling,small}', null, 10) f;
select is(f.*, row(1.0::double precision, 1::bigint, 1::bigint), 'match_chunks by a service with a filter that one chunk matches: that chunk')
  from tests.found('{large}', null, 10, '{"only": ["one"]}', 'n = 1234') f;

-- How much is read grows with what is asked for, also under row-level security.
select tests.as_owner();
create function tests.rows_read(tab regclass, statement text) returns bigint language plpgsql as $$
declare
  before bigint := (select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = tab);
begin
  execute statement;
  return (select seq_tup_read + idx_tup_fetch - before from pg_stat_xact_user_tables where relid = tab);
end
$$;
grant execute on function tests.rows_read to public;
select tests.as_user('victor');
select cmp_ok(tests.rows_read('matrice.chunk_embeddings', $$select from questions, matrice.match_chunks(embedding, tests.id('large'), 10, diversity => 0.5) where n = 3$$),
              '<', 20000::bigint, 'match_chunks with diversity reads embeddings by their keys');
select cmp_ok(tests.rows_read('matrice.source_chunks', format($$select from matrice.search_chunks(%L, tests.id('large'), words => %L)$$, query, words)), '<', 500::bigint,
              format('search_chunks(words => %s) of "%s" in a large project reads the chunks that it returns', words, query))
  from (values ('chunk', 'any'), ('chunk 77', 'all'), ('"chunk 77"', 'any'), ('chu* -77', 'any')) asked (query, words);
select cmp_ok(tests.rows_read('matrice.source_chunks', $$select from questions, matrice.match_chunks(embedding, tests.id('large'), 50, expand => 1) where n = 3$$),
              '<', 5000::bigint, 'match_chunks with expand reads chunks by their keys');

-- What changes is found as it is now.
select tests.as_user('edith');
delete from matrice.source_chunks where id in (select chunk_id from questions, matrice.match_chunks(embedding, tests.id('large'), 5) where n = 1);
update matrice.chunk_embeddings set embedding = (select embedding from questions where n = 2) where chunk_id = md5('chunk 77')::uuid;
select is_empty($$select chunk_id from questions, matrice.match_chunks(embedding, tests.id('large'), 50) m where n = 1
                    and not exists (select from matrice.source_chunks c where c.id = m.chunk_id)$$, 'match_chunks does not return deleted chunks');
select is(count(*), 50::bigint, 'match_chunks after a delete still returns match_count rows')
  from questions, matrice.match_chunks(embedding, tests.id('large'), 50) where n = 1;
select is(chunk_id, md5('chunk 77')::uuid, 'match_chunks returns an updated embedding at once')
  from questions, matrice.match_chunks(embedding, tests.id('large'), 1) where n = 2;

-- Helpers keep to the caller's projects ------------------------------------------------------------------------------

select tests.as_user('mallory');
select is_empty(format('select from questions, matrice_private.nearest_to_member(embedding, array[%L]::uuid[], ''wide'', 10, ''{}'')', project),
                'nearest_to_member by an outsider: no rows')
  from (values (tests.id('large')), (null)) as asked (project);
select is_empty(format('select from matrice_private.matching_of_member(''chunk'', ''any'', array[%L]::uuid[], 10, ''{}'')', project),
                'matching_of_member by an outsider: no rows')
  from (values (tests.id('large')), (null)) as asked (project);
-- Victor has searched in this transaction: what PL/pgSQL keeps of that, his right to a function among it, is no way in for others.
select tests.refuses(format($$select from questions, matrice_private.nearest_chunks(embedding, array[%L]::uuid[], 'wide', 10, '{}')$$, tests.id('large')),
                     '42501', 'nearest_chunks refuses an outsider');
select is_empty(format($$select from unnest(matrice_private.chunks_having(array[%L]::uuid[], '{"only": ["one"]}'))$$, tests.id('large')),
                'chunks_having by an outsider: no rows');

-- _nearest_chunks -------------------------------------------------------------------------------------------------

select tests.as_owner();
create function tests.nearest(embedding vector, projects text[], k integer, among uuid[] default null)
returns table (chunk_id uuid, similarity double precision) language sql stable as $$
  select * from matrice._nearest_chunks(array(select tests.id(name) from unnest(projects) name), 'wide', embedding, k, among)
$$;
create function tests.truly_nearest(projects text[], k integer)
returns table (chunk_id uuid, similarity double precision) language sql stable as $$
  select e.chunk_id, 1 - (e.embedding <=> q.embedding)
    from matrice.chunk_embeddings e, questions q
   where q.n = 3 and e.model = 'wide' and e.project_id in (select tests.id(name) from unnest(projects) name)
   order by 2 desc, 1 limit k
$$;
select results_eq(
  format('select n.* from questions, tests.nearest(embedding, %L, %s) n where n = 3', projects, k),
  format('select * from tests.truly_nearest(%L, %s)', projects, k),
  format('_nearest_chunks(match_count => %s) of %s returns the first by similarity and id', k, projects))
  from (values ('{small}'::text[], 1), ('{small}', 50), ('{large,middling,small,small}', 4000), ('{}', 5)) asked (projects, k);
-- Where codes choose what is compared, an estimate may be farther off than its error says, but hardly ever.
select ok(f.rows = k and f.in_order and f.hits >= 0.98 * k, format('_nearest_chunks(match_count => %s) of %s: %s', k, projects, f))
  from (values ('{large}'::text[], 1), ('{large}', 200), ('{middling,small}', 50)) asked (projects, k)
 cross join lateral (
   select count(*) as rows, count(t.chunk_id) as hits,
          array_agg(n.chunk_id order by n.place) = array_agg(n.chunk_id order by n.similarity desc, n.chunk_id) as in_order
     from (select n.*, row_number() over () as place from questions q, tests.nearest(q.embedding, projects, k) n where q.n = 3) n
     left join tests.truly_nearest(projects, k) t on t.chunk_id = n.chunk_id and t.similarity = n.similarity
 ) f;
select set_eq(
  format('select chunk_id from tests.nearest(%L, %L, 2, %L)', embedding, '{large,small}',
         array[md5('chunk 5')::uuid, md5('chunk 3501')::uuid, md5('chunk 3101')::uuid, null]),
  array[md5('chunk 5')::uuid, md5('chunk 3501')::uuid], '_nearest_chunks(among) returns those chunks that belong to the projects')
  from questions where n = 4;
select results_eq(
  format('select chunk_id from tests.nearest(%L, %L, 10, %L)', embedding, '{large}', others.ids),
  format('select e.chunk_id from matrice.chunk_embeddings e where e.chunk_id = any (%L) order by e.embedding <=> %L, 1 limit 10', others.ids, embedding),
  format('_nearest_chunks(among) of %s chunks returns the nearest of them', cardinality(others.ids)))
  from questions, (values (2), (30)) parts (every),
       lateral (select array_agg(md5('chunk ' || n)::uuid) as ids from generate_series(80, 3000) n where n % every = 0) others where n = 4;
select is_empty(format('select from tests.nearest(%L, %L, %s)', embedding, '{large}', k), format('_nearest_chunks(match_count => %s): no rows', k))
  from questions, unnest(array[0, -1, -2147483648]) k where n = 4;
select is(count(*), 2995::bigint, '_nearest_chunks(match_count => 2147483647) returns every chunk')
  from questions, tests.nearest(embedding, '{large}', 2147483647) where n = 4;
select is_empty($$select from questions, matrice._nearest_chunks(array[null, null]::uuid[], 'wide', embedding, 5) where n = 4$$,
                '_nearest_chunks of null projects: no rows');
select tests.refuses(format('select matrice._nearest_chunks(%s)', arguments), code, 'H8: _nearest_chunks refuses ' || what)
  from (values
    ($$null, 'wide', array_fill(1, array[512])::vector, 1$$, '22004', 'project_ids null'),
    ($$array[tests.id('large')], null, array_fill(1, array[512])::vector, 1$$, '22004', 'model null'),
    ($$array[tests.id('large')], 'wide', null::vector, 1$$, '22004', 'query null'),
    ($$array[tests.id('large')], 'wide', array_fill(1, array[512])::vector, null$$, '22004', 'match_count null'),
    ($$array[tests.id('large')], 'wide', array_fill(0, array[512])::vector, 1$$, '22023', 'a query of zeros'),
    ($$array[tests.id('large')], 'wide', array_fill(1, array[511])::vector, 1$$, '22023', 'a query that is one number short'),
    ($$array[tests.id('small')], 'wide', array_fill(1, array[513])::vector, 1$$, '22023', 'a query that is one number long'),
    ($$array[tests.id('large')], 'wide', array_fill(1, array[512])::real[], 1$$, '22023', 'a query that is an array'),
    ($$array[tests.id('large')], 'wide', 'a text'::text, 1$$, '22023', 'a query that is a text')) refused (arguments, code, what);

-- What others have not committed, or was rolled back, has codes and is not found.
savepoint before;
update matrice.chunk_embeddings set embedding = (select embedding from questions where n = 5) where chunk_id = md5('chunk 78')::uuid;
select is(c.chunk_id, md5('chunk 78')::uuid, '_nearest_chunks finds an update of the same transaction')
  from questions, tests.nearest(embedding, '{large}', 1) c where n = 5;
rollback to before;
select isnt(c.chunk_id, md5('chunk 78')::uuid, '_nearest_chunks does not find an update that was rolled back')
  from questions, tests.nearest(embedding, '{large}', 1) c where n = 5;

grant execute on function matrice._nearest_chunks(uuid[], text, anyelement, integer, uuid[]) to authenticated;
select tests.as_user('victor');
select tests.refuses(format($$select matrice._nearest_chunks(array[%L]::uuid[], 'wide', array_fill(1, array[512])::vector, 1)$$, tests.id('large')),
                     '42501', '_nearest_chunks refuses a caller under row-level security, even for their own project', hint => '%match_chunks%');

-- The index of codes -------------------------------------------------------------------------------------------------

select tests.as_owner();
create function tests.codes(name text, out embeddings bigint, out codes bigint, out without_code bigint, out without_embedding bigint, out lists bigint)
language sql stable as $$
  select max(v.embeddings), max(v.codes), max(v.without_code), max(v.without_embedding),
         (select count(*) from matrice_private.code_lists l where l.project_id = tests.id(name))
    from matrice_private.verify_codes(tests.id(name)) v
$$;
select ok(c.without_code = 0 and c.embeddings = 2995 and c.lists between 1 and 3, format('verify_codes of a large project: every embedding has a code, %s', c))
  from tests.codes('large') c;
savepoint before;
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n)::uuid, embedding, 'wide' from made where n between 3001 and 3100
  on conflict (chunk_id, model) do update set embedding = excluded.embedding;
select ok(c.without_code = 0 and c.embeddings = 500 and c.codes = 600, format('embeddings that are stored again have two codes until a merge: %s', c)) from tests.codes('middling') c;
delete from matrice.chunk_embeddings where chunk_id in (select md5('chunk ' || n)::uuid from generate_series(3001, 3300) n);
select ok(c.without_code = 0 and c.embeddings = 200 and c.codes < 300, format('when a fifth of the codes are superfluous, a merge removes them: %s', c)) from tests.codes('middling') c;
rollback to before;
savepoint before;
do $$
begin
  delete from matrice.chunk_embeddings where chunk_id in (select md5('chunk ' || n)::uuid from generate_series(3501, 3520) n);
  for number in 3501..3520 loop
    insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || m.n)::uuid, m.embedding, 'wide' from made m where m.n = number;
  end loop;
end
$$;
select ok(c.without_code = 0 and c.embeddings = 20 and c.lists < 12, format('lists of single codes are merged: %s', c)) from tests.codes('small') c;
rollback to before;
savepoint before;
truncate matrice.chunk_embeddings;
select is(count(*), 0::bigint, 'truncate of the embeddings empties the index of codes') from matrice_private.code_pages;
rollback to before;
savepoint before;
alter table matrice.chunk_embeddings disable trigger index_added;
insert into matrice.source_chunks (id, source_id, chunk_index, content) select md5('chunk ' || n)::uuid, tests.id('source of large'), n, 'Late' from generate_series(4001, 4003) n;
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n + 4000)::uuid, embedding, 'wide' from questions where n <= 3;
select is(c.without_code, 3::bigint, 'verify_codes counts embeddings that were loaded without triggers') from tests.codes('large') c;
select lives_ok(format('select matrice_private.rebuild_code_index(%L)', tests.id('large')), 'rebuild_code_index of a project');
select ok(c.without_code = 0 and c.codes = c.embeddings and c.embeddings = 2998, format('rebuild_code_index: every embedding has one code, %s', c)) from tests.codes('large') c;
select is(c.embeddings, c.codes, 'rebuild_code_index of a project leaves the others') from tests.codes('middling') c;
select is(n.chunk_id, md5('chunk ' || 4000 + q.n)::uuid, 'after rebuild_code_index, _nearest_chunks finds embeddings that were loaded without triggers')
  from questions q, tests.nearest(q.embedding, '{large}', 1) n where q.n <= 3;
delete from matrice_private.code_pages where true;
delete from matrice_private.code_lists where true;
select results_eq($$select n.chunk_id from questions q, tests.nearest(q.embedding, '{large}', 20) n where q.n = 7$$,
                  $$select e.chunk_id from matrice.chunk_embeddings e, questions q where q.n = 7 and e.project_id = tests.id('large') order by e.embedding <=> q.embedding, 1 limit 20$$,
                  'without any codes, _nearest_chunks compares all vectors');
rollback to before;

-- Arguments that no search passes: nobody else's mistake, and no error of the server -------------------------------------

select tests.as_service();
select tests.refuses(format('select * from matrice_private.nearest_chunks(%s)', arguments), code, 'L8: nearest_chunks refuses ' || what)
  from (values
    ($$null, array[tests.id('large')], 'wide', 10, '{}'$$, '22004', 'query_embedding null'),
    ($$array_fill(1, array[512])::vector, null, 'wide', 10, '{}'$$, '22004', 'project_ids null'),
    ($$array_fill(1, array[512])::vector, array[tests.id('large')], null, 10, '{}'$$, '22004', 'model null'),
    ($$array_fill(1, array[512])::vector, array[tests.id('large')], 'none', 10, '{}'$$, '22023', 'an unknown model'),
    ($$array_fill(1, array[511])::vector, array[tests.id('large')], 'wide', 10, '{}'$$, '22023', 'a query_embedding of other dimensions'),
    ($$array_fill(1, array[512])::vector, array[tests.id('large')], 'wide', -1, '{}'$$, '22023', 'match_count -1'),
    ($$array_fill(1, array[512])::vector, array[tests.id('large')], 'wide', 2147483647, '{}'$$, '22023', 'match_count 2147483647'),
    ($$array_fill(1, array[512])::vector, array[tests.id('large')], 'wide', 10, '[]'$$, '22023', 'a filter that is an array')) refused (arguments, code, what);
select tests.as_user('victor');
select tests.refuses(format('select * from matrice_private.%s', call), code, 'L8: null or wrong arguments are refused: ' || call)
  from (values
    ($$nearest_to_member(null, null, 'wide', 10, '{}')$$, '22004'),
    ($$nearest_to_member(array_fill(1, array[512])::vector, null, null, 10, '{}')$$, '22004'),
    ($$vector_candidates(null, null, 'wide', 10, '{}')$$, '22004'), ($$vector_candidates(array_fill(1, array[512])::vector, null, null, 10, '{}')$$, '22004'),
    ($$recall_of(null, tests.id('large'), 'wide', 10, null)$$, '22004'), ($$document_rows(null, 'wide', 10, '{}')$$, '22004')) refused (call, code);

-- search_recall --------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select is(r.*, row(20::bigint, 1.0::double precision, 1.0::double precision), 'search_recall of a small project returns 1 for recall')
  from matrice.search_recall(tests.id('small'), 50) r;
select ok(r.query_count = 30 and r.recall >= 0.99, 'search_recall of a large project, sample 30, returns a recall of at least 0.99')
  from matrice.search_recall(tests.id('large'), 30) r;
select is(r.*, row(0::bigint, null::double precision, null::double precision), 'search_recall of a model without embeddings returns no queries')
  from matrice.search_recall(tests.id('large'), model => 'gte-small') r;
select tests.refuses(format('select * from matrice.search_recall(%s)', arguments), code, description, hint => hint)
  from (values
    ($$tests.id('large'), 0$$, '22023', 'search_recall refuses sample 0', '%'),
    ($$tests.id('large'), 10, 0$$, '22023', 'search_recall refuses match_count 0', '%'),
    ($$tests.id('large'), model => 'none'$$, '22023', 'search_recall refuses model none', '%'),
    ($$null$$, '22004', 'search_recall refuses project_id null', '%'),
    ($$tests.id('nowhere')$$, 'PT404', 'search_recall of an unknown project: not found', '%')) as refused (arguments, code, description, hint);
select tests.refuses(format('select * from matrice.search_recall(%s)', arguments), code, 'L6: search_recall refuses ' || what, hint => '%')
  from (values ($$tests.id('large'), 1001$$, '22023', 'sample 1001'),
        ($$tests.id('large'), 5, 1001$$, '22023', 'match_count 1001')) refused (arguments, code, what);
-- A model's dimensions cannot change under its embeddings; here they do, because vectors of 16,000 numbers would take long to make.
select tests.as_owner();
alter table matrice.embedding_models disable trigger keep_dimensions;
update matrice.embedding_models set dimensions = 16000 where model = 'wide';
select tests.as_user('victor');
select tests.refuses($$select * from matrice.search_recall(tests.id('large'), 1000)$$, '54000', 'L6: search_recall refuses sample 1000 at 16,000 dimensions',
                     '%16000%', '%at most 4%');
select lives_ok($$select matrice_private.require_recall_work(tests.id('large'), 'wide', 400)$$, 'L6: require_recall_work takes sample 400');
select tests.as_owner();
update matrice.embedding_models set dimensions = 512 where model = 'wide';
alter table matrice.embedding_models enable trigger keep_dimensions;
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.search_recall(tests.id('large'))$$, 'PT404', 'search_recall of another''s project: not found');

-- evaluate_search --------------------------------------------------------------------------------------------------

select tests.as_owner();
create function tests.labelled(queries integer, words text default 'rain', grade text default '1') returns jsonb language sql as $$
  select jsonb_agg(jsonb_build_object('query_text', words, 'relevant', jsonb_build_object(tests.id('x'), grade::numeric))) from generate_series(1, queries)
$$;
create function tests.is_cancelled(statement text, description text) returns text language plpgsql as $$
begin
  execute statement;
  return fail(description || ': it ended by itself');
exception when query_canceled then
  return pass(description);
end
$$;
select tests.as_user('victor');
select tests.refuses(format('select * from matrice.evaluate_search(%s)', arguments), code, 'L6: evaluate_search refuses ' || what, hint => '%')
  from (values
    ('null', '22004', 'queries null'),
    ($$tests.labelled(1001), tests.id('small')$$, '54000', '1,001 queries'),
    ($$tests.labelled(21), tests.id('small'), 10000$$, '54000', 'more than 200,000 results'),
    ($$tests.labelled(1000, (select string_agg(md5(n::text), ' ') from generate_series(1, 2500) n)), tests.id('small')$$, '54000',
     'queries of more than 64 MB'),
    ($$tests.labelled(1, grade => '1e-400'), tests.id('small')$$, '22023', 'grade 1e-400'),
    ($$tests.labelled(1, grade => '1001'), tests.id('small')$$, '22023', 'grade 1001'),
    ($$tests.labelled(1, grade => '0'), tests.id('small')$$, '22023', 'grade 0')) refused (arguments, code, what);
select is(e.*, row('full_text'::text, 1000::bigint, 0::double precision, 0::double precision, 0::double precision), 'L6: evaluate_search takes 1,000 queries')
  from matrice.evaluate_search(tests.labelled(1000), tests.id('small')) e;
-- Work that takes long ends when it is told to. (A statement's timeout is that of the client's statement.)
set local statement_timeout = '500ms';
select tests.is_cancelled($$select * from matrice.search_recall(tests.id('large'), 1000, 1000)$$, 'L6: search_recall can be cancelled');
select tests.is_cancelled($$select * from matrice.evaluate_search(tests.labelled(1000, 'chunk'), tests.id('large'), 200)$$,
                          'L6: evaluate_search can be cancelled');
set local statement_timeout = 0;

select * from finish();
rollback;
