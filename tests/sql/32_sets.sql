begin;
\ir helpers/setup.psql
select no_plan();

-- Two sources: a long one whose first chunks are all but the same, and a short one.
insert into matrice.embedding_models (model, dimensions) values ('flat', 2);
select tests.project('atlas', '{"embedding_model": "flat"}');
insert into matrice.context_sources (id, project_id, name)
values (tests.id('long'), tests.id('atlas'), 'Long'), (tests.id('short'), tests.id('atlas'), 'Short');
-- The long source's text is 'word0000 word0001 …'; each chunk holds three words and shares one with the next.
insert into matrice.source_chunks (id, source_id, chunk_index, content, start_char, end_char)
select tests.id('long ' || n), tests.id('long'), n,
       (select string_agg('word' || lpad(w::text, 4, '0'), ' ' order by w) from generate_series(n * 2, n * 2 + 2) w), n * 18, n * 18 + 26
  from generate_series(0, 199) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id('short ' || n), tests.id('short'), n, 'Short ' || n from generate_series(0, 2) n;
-- Angles from the query, in degrees: the long source is nearer, ten of it nearly alike.
create temp table angles on commit drop as
select tests.id('long ' || n) as id, case when n < 10 then n * 0.01 else 20 + n * 0.1 end as degrees from generate_series(0, 199) n
union all select tests.id('short ' || n), 60 + n * 10 from generate_series(0, 2) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select id, 'flat', format('[%s,%s]', cosd(degrees), sind(degrees))::vector from angles;

create function tests.chosen(arguments text) returns text[] language plpgsql as $$
declare
  chosen text[];
begin
  execute format($q$select array_agg(lower(source_name) || ' ' || chunk_index) from matrice.match_chunks('[1,0]', tests.id('atlas'), %s)$q$,
                 arguments) into chosen;
  return chosen;
end
$$;

-- Maximal marginal relevance, worked out by hand of a few chunks.
create function tests.mmr(k integer, diversity double precision) returns text[] language plpgsql as $$
declare
  taken uuid[] := '{}';
  best uuid;
begin
  for i in 1 .. k loop
    select a.id into best from (select * from angles order by degrees, id limit greatest(5 * k, 50)) a where a.id <> all (taken)
     order by (1 - diversity) * cosd(a.degrees) - diversity * coalesce((select max(cosd(a.degrees - t.degrees)) from angles t where t.id = any (taken)),
                                                                       0) desc, a.degrees limit 1;
    taken := taken || best;
  end loop;
  return array(select lower(s.name) || ' ' || c.chunk_index from unnest(taken) with ordinality t (id, place)
                 join matrice.source_chunks c using (id) join matrice.context_sources s on s.id = c.source_id order by place);
end
$$;
grant select on angles to public;

select tests.as_user('victor');
select is(tests.chosen('3'), '{long 0,long 1,long 2}', 'match_chunks(match_count => 3) returns the nearest three');
select is(tests.chosen('3, diversity => 0, max_per_source => null, expand => 0'), '{long 0,long 1,long 2}',
          'match_chunks with the default diversity, max_per_source and expand returns the nearest three');
select is(tests.chosen('3, max_per_source => 2'), '{long 0,long 1,short 0}',
          'match_chunks(max_per_source => 2) returns two of one source and the next of the other');
select is(tests.chosen('10, max_per_source => 1'), '{long 0,short 0}', 'match_chunks(max_per_source => 1) returns as many rows as there are sources');
select is(tests.chosen('10, max_per_source => 1, match_threshold => 0.9'), '{long 0}',
          'match_chunks(max_per_source => 1, match_threshold => 0.9) returns rows above the threshold');
select is((tests.chosen('2, diversity => 0.7'))[1], 'long 0', 'match_chunks(diversity => 0.7) returns the nearest chunk first');
select isnt((tests.chosen('2, diversity => 0.7'))[2], 'long 1', 'match_chunks(diversity => 0.7) returns a different chunk second');
select is(tests.chosen('3, diversity => 0.5, max_per_source => 1'), '{long 0,short 0}',
          'match_chunks(diversity => 0.5, max_per_source => 1) returns one chunk of each source');
select is(cardinality(tests.chosen('100, diversity => 1')), 100, 'match_chunks(100, diversity => 1) returns 100 rows');
select is(tests.chosen(format('%s, diversity => %s', k, d)), tests.mmr(k, d),
          format('match_chunks(%s, diversity => %s) returns the set of maximal marginal relevance', k, d))
  from (values (2, 0.3), (4, 0.5), (6, 0.7), (3, 0.9)) as wanted (k, d);

-- Neighbours.
select results_eq(
  $$select chunk_index, content, token_count, metadata from matrice.match_chunks('[1,0]', tests.id('atlas'), 1, expand => 1)$$,
  $$values (0, 'word0000 word0001 word0002 word0003 word0004', matrice.count_tokens('word0000 word0001 word0002 word0003 word0004'),
            '{"expanded": {"first_index": 0, "last_index": 1, "start_char": 0, "end_char": 44}}'::jsonb)$$,
  'match_chunks(expand => 1) joins a hit with its neighbour and writes shared text once');
select results_eq($$select chunk_index, metadata -> 'expanded' ->> 'first_index', metadata -> 'expanded' ->> 'last_index' from matrice.match_chunks('[1,0]', tests.id('atlas'), 3, expand => 2)$$,
                  $$values (0, '0', '4')$$, 'match_chunks(expand => 2) joins hits that touch');
select results_eq(
  $$select source_name, metadata -> 'expanded' ->> 'first_index', content from matrice.match_chunks('[0,1]', tests.id('atlas'), 1, expand => 1)$$,
  $$values ('Short', '1', E'Short 1\n\nShort 2')$$, 'match_chunks(expand => 1) separates chunks of unknown position by an empty line');
select is(array_agg(chunk_index order by similarity desc), '{5,100}', 'rerank_chunks(expand => 3) keeps distant hits apart')
  from matrice.rerank_chunks(jsonb_build_object(tests.id('long 5'), 2, tests.id('long 100'), 1),
                             expand => 3) r (chunk_id, source_id, source_name, chunk_index, content, token_count, metadata, similarity);
select is(array_agg(metadata -> 'expanded' ->> 'first_index' order by score desc), '{10,14}',
          'rerank_chunks(expand => 1) keeps stretches apart that do not touch')
  from matrice.rerank_chunks(jsonb_build_object(tests.id('long 11'), 2, tests.id('long 15'), 1), expand => 1);
select is(count(*), 1::bigint, 'rerank_chunks(expand => 1) joins stretches that touch')
  from matrice.rerank_chunks(jsonb_build_object(tests.id('long 11'), 2, tests.id('long 14'), 1), expand => 1);

-- The same of the other searches.
select is(array(select chunk_index from matrice.search_chunks('+word0004', tests.id('atlas')) order by 1), '{1,2}',
          'search_chunks finds a word in both chunks that share it');
select is(array(select source_name from matrice.search_chunks('+word0004', tests.id('atlas'), max_per_source => 1)), '{Long}',
          'search_chunks(max_per_source => 1) returns one chunk');
select is(array(select content from matrice.search_chunks('+word0004', tests.id('atlas'), expand => 1)),
          '{word0000 word0001 word0002 word0003 word0004 word0005 word0006 word0007 word0008}',
          'search_chunks(expand => 1) joins the hits with their neighbours');
select is(count(*), 2::bigint, 'search_chunks(diversity => 0.5) returns both chunks')
  from matrice.search_chunks('+word0004', tests.id('atlas'), diversity => 0.5);
select is(array(select lower(source_name) from matrice.hybrid_search('word0000', '[1,0]', tests.id('atlas'), 5, max_per_source => 1)), '{long,short}',
          'hybrid_search(max_per_source => 1) returns one chunk of each source');
select results_eq($$select chunk_index, semantic_rank, full_text_rank from matrice.hybrid_search('word0000', '[1,0]', tests.id('atlas'), 2, diversity => 0.01, max_per_source => 5) limit 1$$,
                  'values (0, 1, 1)', 'hybrid_search(diversity, max_per_source) returns semantic_rank and full_text_rank');

-- Scores that the caller brings.
select results_eq(
  format('select chunk_id, score from matrice.rerank_chunks(%L, 2)',
         jsonb_build_object(tests.id('long 7'), -1.5, tests.id('short 1'), 3, tests.id('long 9'), 0.25, tests.id('nowhere'), 9)),
  $$values (tests.id('short 1'), 3::double precision), (tests.id('long 9'), 0.25)$$,
  'rerank_chunks returns the best by the caller''s scores and skips unknown chunks');
select is_empty($$select * from matrice.rerank_chunks('{}')$$, 'rerank_chunks of no scores: no rows');
select is(array_agg(source_name), '{Short,Long}', 'rerank_chunks(max_per_source => 1) returns one chunk of each source')
  from matrice.rerank_chunks(jsonb_build_object(tests.id('long 7'), 1, tests.id('short 1'), 3, tests.id('long 9'), 2), max_per_source => 1);
select is((array_agg(chunk_index))[1:2], '{0,2}', 'rerank_chunks(diversity => 0.6) uses the embeddings of the model')
  from matrice.rerank_chunks(jsonb_build_object(tests.id('long 0'), 1, tests.id('long 1'), 0.99, tests.id('short 2'), 0.5), diversity => 0.6, model => 'flat');
select tests.as_user('mallory');
select is_empty(format('select * from matrice.rerank_chunks(%L)', jsonb_build_object(tests.id('long 7'), 1)), 'rerank_chunks of another''s chunk: no rows');

select tests.as_user('victor');
select tests.refuses(format('select * from matrice.%s', call), '22023', description, hint => '%')
  from (values
    ($$match_chunks('[1,0]', tests.id('atlas'), diversity => -0.1)$$, 'match_chunks refuses diversity -0.1'),
    ($$match_chunks('[1,0]', tests.id('atlas'), diversity => 1.1)$$, 'match_chunks refuses diversity 1.1'),
    ($$match_chunks('[1,0]', tests.id('atlas'), diversity => 'NaN')$$, 'match_chunks refuses diversity NaN'),
    ($$match_chunks('[1,0]', tests.id('atlas'), 101, diversity => 0.5)$$, 'match_chunks refuses match_count 101 with diversity'),
    ($$match_chunks('[1,0]', tests.id('atlas'), max_per_source => 0)$$, 'match_chunks refuses max_per_source 0'),
    ($$match_chunks('[1,0]', tests.id('atlas'), expand => -1)$$, 'match_chunks refuses expand -1'),
    ($$match_chunks('[1,0]', tests.id('atlas'), expand => 101)$$, 'match_chunks refuses expand 101'),
    ($$search_chunks('x', tests.id('atlas'), diversity => 2)$$, 'search_chunks refuses diversity 2'),
    ($$hybrid_search('x', '[1,0]', tests.id('atlas'), expand => -1)$$, 'hybrid_search refuses expand -1'),
    ($$rerank_chunks('[]')$$, 'rerank_chunks refuses scores that are an array'),
    ($$rerank_chunks('{"x": 1}')$$, 'rerank_chunks refuses a score whose key is no id'),
    ($$rerank_chunks(jsonb_build_object(tests.id('long 0'), 'high'))$$, 'rerank_chunks refuses a score that is a string'),
    ($$rerank_chunks(jsonb_build_object(tests.id('long 0'), null))$$, 'rerank_chunks refuses a score null'),
    ($$rerank_chunks(jsonb_build_object(tests.id('long 0'), 1e400))$$, 'rerank_chunks refuses a score of 1e400'),
    ($$rerank_chunks('{}', 0)$$, 'rerank_chunks refuses match_count 0'),
    ($$rerank_chunks('{}', model => 'none')$$, 'rerank_chunks refuses model none'),
    ($$rerank_chunks((select jsonb_object_agg(gen_random_uuid(), 1) from generate_series(1, 10001)))$$,
     'rerank_chunks refuses 10,001 scores')) as refused (call, description);

select * from finish();
rollback;
