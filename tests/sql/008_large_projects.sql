begin;
\ir helpers/setup.psql
select no_plan();

-- A large project, a middling one and a small one share the table. Their vectors have the neighbourhoods of real ones:
-- each is near a few others, and none alone.

insert into matrice.embedding_models (model, dimensions) values ('wide', 512);
select tests.project('large', '{"embedding_model": "wide"}');
select tests.project('middling', '{"embedding_model": "wide"}');
select tests.project('small', '{"embedding_model": "wide"}');
insert into matrice.context_sources (id, project_id, name) select tests.id('source of ' || name), tests.id(name), name from unnest(array['large', 'middling', 'small']) name;

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
select is(f.*, row(1.0::double precision, 10::bigint, 10::bigint), 'Ten of a middling project are the true ten') from tests.found('{middling}', tests.id('middling'), 10) f;
select is(f.*, row(1.0::double precision, 20::bigint, 20::bigint), 'A hundred of a small project of twenty are all of it, in every question') from tests.found('{small}', tests.id('small'), 100) f;
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10, format('Ten of a large project: recall %s', f.recall)) from tests.found('{large}', tests.id('large'), 10) f;
select ok(f.recall >= 0.99 and f.fewest = 100 and f.most = 100, format('A hundred of a large project: recall %s', f.recall)) from tests.found('{large}', tests.id('large'), 100) f;
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10, format('Ten of all the caller''s projects: recall %s', f.recall)) from tests.found('{large,middling,small}', null, 10) f;
select is(f.*, row(1.0::double precision, 3520::bigint, 3520::bigint), 'All of all projects are all') from (select * from tests.found('{large,middling,small}', null, 10000)) f;
select is(f.*, row(1.0::double precision, 10::bigint, 10::bigint), 'A filter that one in a hundred matches: the true ten')
  from tests.found('{large}', tests.id('large'), 10, '{"hundredth": 7}', 'n % 100 = 7') f;
select is(f.*, row(1.0::double precision, 1::bigint, 1::bigint), 'A filter that one chunk matches: that one, in every question')
  from tests.found('{large}', tests.id('large'), 10, '{"only": ["one"]}', 'n = 1234') f;
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10, format('A filter that every third matches: recall %s', f.recall))
  from tests.found('{large,middling,small}', null, 10, '{"third": 1}', 'n % 3 = 1') f;

-- The same without row-level security, for workers.
select tests.as_service();
select ok(f.recall >= 0.99 and f.fewest = 10 and f.most = 10, 'A service finds the same') from tests.found('{large,middling,small}', null, 10) f;
select is(f.*, row(1.0::double precision, 1::bigint, 1::bigint), 'And filters the same') from tests.found('{large}', null, 10, '{"only": ["one"]}', 'n = 1234') f;

-- What changes is found as it is now.
select tests.as_user('edith');
delete from matrice.source_chunks where id in (select chunk_id from questions, matrice.match_chunks(embedding, tests.id('large'), 5) where n = 1);
update matrice.chunk_embeddings set embedding = (select embedding from questions where n = 2) where chunk_id = md5('chunk 77')::uuid;
select is_empty($$select chunk_id from questions, matrice.match_chunks(embedding, tests.id('large'), 50) m where n = 1
                    and not exists (select from matrice.source_chunks c where c.id = m.chunk_id)$$, 'Deleted chunks are not found');
select is(count(*), 50::bigint, 'Others are in their place') from questions, matrice.match_chunks(embedding, tests.id('large'), 50) where n = 1;
select is(chunk_id, md5('chunk 77')::uuid, 'A new embedding counts at once') from questions, matrice.match_chunks(embedding, tests.id('large'), 1) where n = 2;

-- Helpers keep to the caller's projects ------------------------------------------------------------------------------

select tests.as_user('mallory');
select is_empty(format('select from questions, matrice_private.nearest_to_member(embedding, %L, ''wide'', 10, ''{}'')', project), 'Whoever is no member has nothing compared')
  from (values (tests.id('large')), (null)) as asked (project);
select is_empty(format('select from matrice_private.matching_of_member(''chunk'', %L, 10, ''{}'')', project), 'Nor matched')
  from (values (tests.id('large')), (null)) as asked (project);
-- Victor has searched in this transaction: what PL/pgSQL keeps of that, his right to a function among it, is no way in for others.
select tests.refuses(format($$select from questions, matrice_private.nearest_chunks(embedding, array[%L]::uuid[], 'wide', 10, '{}')$$, tests.id('large')),
                     '42501', 'Nor by the helper that services have');
select is_empty(format($$select from unnest(matrice_private.chunks_having(array[%L]::uuid[], '{"only": ["one"]}'))$$, tests.id('large')), 'Nor filtered');

-- nearest_codes --------------------------------------------------------------------------------------------------

select tests.as_owner();
create function tests.codes(embedding vector, projects text[], k integer, among uuid[] default null) returns uuid[] language sql stable as $$
  select matrice.nearest_codes('matrice.idx_embeddings_codes'::regclass, array(select tests.id(name) from unnest(projects) name), 'wide', embedding::real[], k, among)
$$;
select is(tests.codes(q.embedding, projects, k),
          array(select e.chunk_id from matrice.chunk_embeddings e
                 where e.model = 'wide' and e.project_id in (select tests.id(name) from unnest(projects) name)
                 order by e.code <~> binary_quantize(q.embedding), e.chunk_id limit k),
          format('The %s nearest codes of %s are those that come first by distance and id', k, projects))
  from questions q, (values ('{large}'::text[], 1), ('{large}', 200), ('{middling,small}', 50), ('{large,middling,small}', 4000), ('{}', 5)) asked (projects, k)
 where q.n = 3;
select is(tests.codes(q.embedding, '{large,small}', 2, among => array[md5('chunk 5')::uuid, md5('chunk 3501')::uuid, md5('chunk 3101')::uuid, null]),
          array(select e.chunk_id from matrice.chunk_embeddings e where e.chunk_id in (md5('chunk 5')::uuid, md5('chunk 3501')::uuid)
                 order by e.code <~> binary_quantize(q.embedding), e.chunk_id), 'Among some chunks, those of the projects')
  from questions q where n = 4;
select is(tests.codes(embedding, '{large}', 0), '{}', 'None of none') from questions where n = 4;

-- What others have not committed, or was rolled back, is in the index and is not found.
savepoint before;
update matrice.chunk_embeddings set embedding = (select embedding from questions where n = 5) where chunk_id = md5('chunk 78')::uuid;
select is(tests.codes(embedding, '{large}', 1), array[md5('chunk 78')::uuid], 'One''s own change is found') from questions where n = 5;
rollback to before;
select isnt((tests.codes(embedding, '{large}', 1))[1], md5('chunk 78')::uuid, 'What was rolled back is not') from questions where n = 5;

select tests.refuses(format($$select matrice.nearest_codes(%s, '{}', 'wide', '{1}', 1)$$, index), '42809', description, hint => '%idx_embeddings_codes%')
  from (values ($$'matrice.chunk_embeddings'::regclass$$, 'A table is no index of codes'), ('0', 'Nor is nothing'),
               ($$'matrice.idx_embeddings_project'::regclass$$, 'Nor is an index of something else')) refused (index, description);
select tests.as_owner();
grant execute on function matrice.nearest_codes(oid, uuid[], text, real[], integer, uuid[]) to authenticated;
select tests.as_user('victor');
select tests.refuses(format($$select matrice.nearest_codes('matrice.idx_embeddings_codes'::regclass, array[%L]::uuid[], 'wide', array_fill(1, array[512])::real[], 1)$$, tests.id('large')),
                     '42501', 'Whoever reads the table under row-level security is refused, even of a project of theirs', hint => '%match_chunks%');

-- search_recall --------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select is(r.*, row(20::bigint, 1.0::double precision, 1.0::double precision), 'search_recall of a small project is 1') from matrice.search_recall(tests.id('small'), 50) r;
select ok(r.query_count = 30 and r.recall >= 0.99, 'search_recall of a large project') from matrice.search_recall(tests.id('large'), 30) r;
select is(r.*, row(0::bigint, null::double precision, null::double precision), 'Without embeddings there is nothing to measure') from matrice.search_recall(tests.id('large'), model => 'gte-small') r;
select tests.refuses(format('select * from matrice.search_recall(%s)', arguments), code, description, hint => hint)
  from (values
    ($$tests.id('large'), 0$$, '22023', 'A sample is at least one', '%'),
    ($$tests.id('large'), 10, 0$$, '22023', 'search_recall compares at least one', '%'), ($$tests.id('large'), model => 'none'$$, '22023', 'search_recall knows the model', '%'),
    ($$null$$, '22004', 'search_recall is of one project', '%'), ($$tests.id('nowhere')$$, 'PT404', 'search_recall is of a project that is there', '%')) as refused (arguments, code, description, hint);
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.search_recall(tests.id('large'))$$, 'PT404', 'Nobody measures somebody else''s project');

select * from finish();
rollback;
