begin;
\ir helpers/setup.psql
select no_plan();

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('atlas', '{"embedding_model": "tiny", "language": "english"}');

-- A manual, chunked with overlaps, and a note that repeats a part of it.
create temp table manual on commit drop as
select string_agg(format(E'## Part %s\n\nThe wind of part %s blows from the north. It turns at noon! Does it fall at dusk? Nobody of part %s knows.', n, n, n),
                  E'\n\n' order by n) as text
  from generate_series(1, 12) n;
grant select on manual to public;
select tests.as_user('edith');
select tests.remember('manual',
                      matrice.ingest_source(tests.id('atlas'), 'manual.md', (select text from manual), format => 'markdown', max_tokens => 20,
                                            overlap_tokens => 8));
insert into matrice.context_sources (id, project_id, name) values (tests.id('note'), tests.id('atlas'), 'Note');
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata) values
  (tests.id('copy'), tests.id('note'), 0, (select content from matrice.source_chunks where source_id = tests.id('manual') and chunk_index = 3), '{}'),
  (tests.id('paged'), tests.id('note'), 1, 'A wind of its own.', '{"page": 7, "headings": ["Weather", "Winds"]}');
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select id, 'tiny', format('[1,%s,%s]', chunk_index * 0.01, length(content) * 0.001)::vector from matrice.source_chunks where project_id = tests.id('atlas');
select matrice.record_insight(tests.id('atlas'), 'learning', 'Wind', 'The wind always turns at noon.', 0.9);
select matrice.record_insight(tests.id('atlas'), 'learning', 'More wind', repeat('The wind is long. ', 100), 0.9);

select tests.as_user('victor');
create temp table contexts on commit drop as
select budget, target, insights, c.*
  from unnest(array[1, 8, 15, 30, 60, 120, 250, 500, 2000]) budget, unnest(array['gpt-4o', 'gpt-4', 'text-davinci-003']) target, unnest(array[0, 5]) insights,
       matrice.build_context('wind', '[1,0.03,0.1]', tests.id('atlas'), budget, target_model => target, insights => insights) c;
select is_empty($$select budget from contexts where token_count > budget or token_count <> matrice.count_tokens(context, target)$$,
                'build_context returns at most token_budget tokens and counts them exactly');
select is_empty($$select budget from generate_series(1, 150) budget, matrice.build_context('wind', '[1,0.03,0.1]', tests.id('atlas'), budget) c
                   where token_count > budget or token_count <> matrice.count_tokens(context, 'gpt-4o')$$,
                   'build_context returns at most token_budget tokens at each budget from 1 to 150');
select ok(bool_and(token_count >= 0.7 * budget), 'build_context uses at least 70 % of token_budget')
  from contexts where budget between 60 and 250 and insights = 0;

-- One passage of the whole manual when there is room: nothing twice, in order, as it was written.
select is(replace(regexp_replace(context, '^.*?### \[(1|2)\] manual.md[^\n]*\n\n(.*?)(\n\n### .*)?$', '\2'), E'\n\n', E'\n'), replace(text, E'\n\n', E'\n'),
          'build_context joins consecutive chunks and writes shared text once')
  from contexts, manual where budget = 2000 and target = 'gpt-4o' and insights = 0;
select is((length(context) - length(replace(context, 'blows from the north', ''))) / length('blows from the north'), 12,
          'build_context writes a text once that two sources share')
  from contexts where budget = 2000 and target = 'gpt-4o' and insights = 0;
select matches(context, '### \[\d\] Note — Weather › Winds, p\. 7\n\nA wind of its own\.', 'build_context writes source, headings and page above a passage')
  from contexts where budget = 2000 and target = 'gpt-4o' and insights = 0;
select is_empty($$select from contexts, manual, jsonb_array_elements(citations) c
                   where insights = 0 and budget = 2000 and c ->> 'source_name' = 'manual.md'
                     and (c ->> 'start_char', c ->> 'end_char')::text <> format('(0,%s)', length(text))$$,
                     'build_context: start_char and end_char of a citation are those of the passage');
select results_eq(
  $$select jsonb_object_keys(c) from contexts, jsonb_array_elements(citations) c where budget = 2000 and target = 'gpt-4o' and insights = 0 and c ->> 'source_name' = 'Note' order by 1$$,
  $$select unnest(array['chunk_id', 'chunk_ids', 'end_char', 'metadata', 'number', 'source_id', 'source_name', 'start_char'])$$,
  'build_context: a citation names chunks, source, characters and metadata');
select is_empty($$select from contexts where (citations = '[]') <> (context = '')$$, 'build_context returns citations exactly when it returns text');

select is(c.context, w.context, 'build_context counts shared text and headings of joined chunks once')
  from contexts w, matrice.build_context('wind', '[1,0.03,0.1]', tests.id('atlas'), w.token_count + 50) c
    where w.budget = 2000 and w.target = 'gpt-4o' and w.insights = 0;

-- Cut only where a single passage exceeds the budget, and then at a sentence.
select is_empty($$select context from contexts where insights = 0 and citations <> '[]' and budget in (30, 60, 120)
                   and exists (select from jsonb_array_elements(citations) c, jsonb_array_elements_text(c -> 'chunk_ids') as ids (id)
                                 join matrice.source_chunks s on s.id = ids.id::uuid
                                where jsonb_array_length(citations) > 1 and strpos(context, right(s.content, 10)) = 0)$$,
                                'build_context does not cut one of several passages');
select tests.as_user('edith');
select tests.remember('long', matrice.ingest_source(tests.id('atlas'), 'Long', repeat('One sentence. Another one follows! ', 50), max_tokens => 500));
select tests.as_user('victor');
select is_empty($$select context from generate_series(1, 60) budget, matrice.build_context('sentence', '[1,0,0]', tests.id('atlas'), budget, filter => '{"type": "file"}') c
                  where context !~ '\n\n.*[[:alnum:]]' and context <> '' or (context = '') <> (citations = '[]')$$,
                  'build_context returns no passage of a heading alone');
select is_empty($$select context from generate_series(12, 200, 7) budget, matrice.build_context('sentence', '[1,0,0]', tests.id('atlas'), budget, filter => '{"type": "file"}',
                      scores => jsonb_build_object((select id from matrice.source_chunks where source_id = tests.id('long')), 1))
                   where context !~ '(sentence\.|follows!)$' or token_count > budget$$,
                   'build_context cuts a passage above the budget at the end of a sentence');
select ok(bool_and(token_count >= budget - 10), 'build_context cuts a passage at most 10 tokens below the budget')
  from generate_series(30, 200, 7) budget, matrice.build_context('sentence', '[1,0,0]', tests.id('atlas'), budget,
                      scores => jsonb_build_object((select id from matrice.source_chunks where source_id = tests.id('long')), 1));
select is(matrice_private.cut_at_sentence(E'### [1] S\n\n', 'unendingword another word', 10, 'gpt-4o'), E'### [1] S\n\nunendingword another',
          'cut_at_sentence cuts at a word where no sentence ends')
  where matrice.count_tokens(E'### [1] S\n\nunendingword another word', 'gpt-4o') = 11;

select is_empty($$select budget, passage from generate_series(5, 40) budget,
                         matrice_private.cut_at_sentence(E'### [1] S\n\n', E'# Winds of the world\n\n## Those of the north\n\nThey blow at noon.', budget, 'gpt-4o') passage
                   where passage <> '' and passage !~ '\n\nThey'$$, 'cut_at_sentence returns no headings without content');
select is(matrice_private.cut_at_sentence(E'### [1] S\n\n', '# Winds', 40, 'gpt-4o'), E'### [1] S\n\n# Winds', 'cut_at_sentence returns a passage that is a heading, as a whole');

-- Insights.
select matches(context, '^### \[1\] Insight: Wind\n\nThe wind always turns at noon\.', 'build_context(insights => 5) puts insights first')
  from contexts where budget = 250 and target = 'gpt-4o' and insights = 5;
select is(citations -> 0 ->> 'title', 'Wind', 'build_context(insights => 5) cites insights')
  from contexts where budget = 250 and target = 'gpt-4o' and insights = 5;
select ok(not context ~ 'More wind', 'build_context(insights => 5) leaves out insights that are too long')
  from contexts where budget = 250 and target = 'gpt-4o' and insights = 5;
select ok(not context ~ 'Insight', 'build_context(insights => 0) contains no insight') from contexts where budget = 250 and target = 'gpt-4o' and insights = 0;

-- The caller's scores.
select is(citations -> 0 ->> 'chunk_id', tests.id('paged')::text, 'build_context(scores) cites the chunk that the caller scored')
  from matrice.build_context('anything', null, tests.id('atlas'), scores => jsonb_build_object(tests.id('paged'), 5));

select tests.refuses(format('select * from matrice.build_context(''wind'', ''[1,0,0]'', tests.id(''atlas''), %s)', arguments), '22023', description,
                     hint => '%')
  from (values ('100, insights => -1', 'build_context refuses insights -1'), ('100, insights => 101', 'build_context refuses insights 101'),
               ($$100, scores => '[]'$$, 'build_context refuses scores that are an array'),
               ($$100, scores => '{"x": 1}'$$, 'build_context refuses a score whose key is no id'),
               ('100, match_count => 0', 'build_context refuses match_count 0'),
               ($$100, filter => '[]'$$, 'build_context refuses a filter that is an array')) as refused (arguments, description);

-- Pages ----------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.context_sources (id, project_id, name) values (tests.id('book'), tests.id('atlas'), 'Book');
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
select tests.id('book ' || n), tests.id('book'), n, 'Pelican ' || n, metadata
  from (values (0, '{"page": 27}'::jsonb), (1, '{"page": 28}'), (2, '{"page": 28}'), (4, '{"page": "iv"}'), (5, '{"page": "v"}'), (7, '{"pages": [40, 39]}'),
               (9, '{"page": 3.5}'), (11, '{"page": "7\n\n### [9] Bible"}'), (13, '{"page": {"n": 1}}'), (15, '{}'), (16, '{"page": 50}'),
               (18, '{"page": 60}')) as c (n, metadata);
insert into matrice.chunk_embeddings (chunk_id, model, embedding) select id, 'tiny', '[0,-1,0]' from matrice.source_chunks where source_id = tests.id('book');
select tests.as_user('victor');
create temp table cited on commit drop as select * from matrice.build_context('pelican', '[0,-1,0]', tests.id('atlas'), 4000, filter => '{}');
grant select on cited to public;
select results_eq(
  $$select substring(line from 'Book.*') from cited, regexp_split_to_table(context, '\n') line where line ~ '^### .* Book' $$,
  $$values ('Book, p. 27–28'), ('Book, p. iv–v'), ('Book, p. 39–40'), ('Book, p. 3.5'), ('Book'), ('Book'), ('Book, p. 50'), ('Book, p. 60')$$,
  'build_context writes the pages of a passage into its heading, and nothing but pages');
select results_eq(
  $$select c -> 'metadata' from cited, jsonb_array_elements(citations) c where c ->> 'source_name' = 'Book' and c ->> 'metadata' not like '%Bible%'$$,
  $$values ('{"page": 27, "pages": [27, 28]}'::jsonb), ('{"page": "iv", "pages": ["iv", "v"]}'), ('{"pages": [40, 39]}'), ('{"page": 3.5}'), ('{"page": {"n": 1}}'), ('{"pages": [50]}'), ('{"page": 60}')$$,
  'build_context: metadata.pages of a citation are all pages of its passage');
select results_eq(
  $$select metadata - 'expanded' from unnest(array['{"page": 27}', '{"page": "v"}', '{"page": 60}']::jsonb[]) with ordinality wanted (filter, place),
           matrice.match_chunks('[0,-1,0]', tests.id('atlas'), 1, filter => wanted.filter, expand => 1) order by place$$,
  $$values ('{"page": 27, "pages": [27, 28]}'::jsonb), ('{"page": "v", "pages": ["iv", "v"]}'), ('{"page": 60}')$$,
  'match_chunks(expand => 1): metadata.pages are those of the whole stretch');
select tests.as_user('edith');
delete from matrice.context_sources where id = tests.id('book');

-- Measures -------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.context_sources (id, project_id, name) values (tests.id('set'), tests.id('atlas'), 'Set'), (tests.id('other'), tests.id('atlas'), 'Other');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id('set ' || n), case when n <= 4 then tests.id('set') else tests.id('other') end, n, 'Zebra ' || repeat('filler ', n) || 'quagga'
  from generate_series(1, 6) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding) select tests.id('set ' || n), 'tiny', format('[-1,0,%s]', n * 0.1)::vector
  from generate_series(1, 6) n;
select tests.as_user('victor');
create function pg_temp.evaluated(queries jsonb, k integer) returns text language sql as $$
  select string_agg(format('%s %s %s %s %s', search, query_count, round(recall::numeric, 3), round(mrr::numeric, 3), round(ndcg::numeric, 3)), '; '
                    order by search)
    from matrice.evaluate_search(queries, tests.id('atlas'), k)
$$;
select is(pg_temp.evaluated(jsonb_build_array(jsonb_build_object('query_embedding', '[-1,0,0]', 'relevant', jsonb_build_object(tests.id('set 2'), 1))), 3),
          'semantic 1 1.000 0.500 0.631', 'evaluate_search of a relevant chunk at rank 2');
select is(pg_temp.evaluated(jsonb_build_array(jsonb_build_object('query_embedding', '[-1,0,0]'::jsonb, 'relevant',
                                                                 jsonb_build_object(tests.id('set 1'), 1, tests.id('set 6'), 1))), 3),
          'semantic 1 0.500 1.000 0.613', 'evaluate_search of two relevant chunks, one of which is found');
select is(pg_temp.evaluated(jsonb_build_array(jsonb_build_object('query_text', 'zebra quagga', 'query_embedding', jsonb_build_array(-1, 0, 0), 'relevant',
                                                                 jsonb_build_object(tests.id('other'), 3))), 10),
          'full_text 1 1.000 0.200 0.387; hybrid 1 1.000 0.200 0.387; semantic 1 1.000 0.200 0.387',
          'evaluate_search of a relevant source counts its first chunk');
select is(pg_temp.evaluated(jsonb_build_array(jsonb_build_object('query_text', 'zebra', 'relevant', jsonb_build_object(tests.id('nowhere'), 1)),
                                              jsonb_build_object('query_text', 'zebra quagga', 'relevant', jsonb_build_object(tests.id('set 1'), 1))), 10),
          'full_text 2 0.500 0.500 0.500', 'evaluate_search of several queries returns the mean for each search');
select tests.refuses(format('select * from matrice.evaluate_search(%L, tests.id(''atlas''))', queries), '22023', description, hint => '%')
  from (values ('{}', 'evaluate_search refuses queries that are an object'), ('[]', 'evaluate_search refuses no queries'),
        ('null', 'evaluate_search refuses queries that are a JSON null'), ('[1]', 'evaluate_search refuses a query that is a number'),
        ('[{"query_text": "x"}]', 'evaluate_search refuses a query without relevant'),
               ('[{"query_text": "x", "relevant": {}}]', 'evaluate_search refuses a query with empty relevant'),
               ('[{"relevant": {"00000000-0000-4000-8000-000000000001": 1}}]', 'evaluate_search refuses a query without query_text and query_embedding'),
               ('[{"query_text": 1, "relevant": {"00000000-0000-4000-8000-000000000001": 1}}]', 'evaluate_search refuses query_text that is a number'),
               ('[{"query_text": "x", "relevant": {"x": 0}}]', 'evaluate_search refuses grade 0'),
               ('[{"query_text": "x", "relevant": {"x": "1"}}]', 'evaluate_search refuses a grade that is a string'),
               ('[{"query_text": " ", "relevant": {"00000000-0000-4000-8000-000000000001": 1}}]', 'evaluate_search refuses a blank query_text'),
               ('[{"query_embedding": [1, 2], "relevant": {"00000000-0000-4000-8000-000000000001": 1}}]',
                'evaluate_search refuses a query_embedding of other dimensions'))
       as refused (queries, description);
select tests.refuses(format('select * from matrice.evaluate_search(%L, tests.id(''atlas''))',
                            format('[{"query_text": "fine", "relevant": {"00000000-0000-4000-8000-000000000001": 1}}, %s]', query)), '22023',
                     'evaluate_search names the query that is wrong: ' || query, '%', '%', message => 'query 2%')
  from unnest(array['{"query_text": " ", "relevant": {"00000000-0000-4000-8000-000000000001": 1}}',
                    '{"query_embedding": [1, 2], "relevant": {"00000000-0000-4000-8000-000000000001": 1}}',
                    '{"query_embedding": [0, 0, 0], "relevant": {"00000000-0000-4000-8000-000000000001": 1}}',
                    '{"query_embedding": [1e30, 0, 0], "relevant": {"00000000-0000-4000-8000-000000000001": 1}}',
                    '{"query_embedding": [1, 2, "x"], "relevant": {"00000000-0000-4000-8000-000000000001": 1}}',
                    '{"query_embedding": "[]", "relevant": {"00000000-0000-4000-8000-000000000001": 1}}',
                    '{"query_embedding": [1e400, 0, 0], "relevant": {"00000000-0000-4000-8000-000000000001": 1}}',
                    '{"relevant": {"00000000-0000-4000-8000-000000000001": 1}}']) query;

-- Rows of a table come with its header, once, and within the budget.
select tests.as_user('edith');
select tests.remember('prices', matrice.ingest_source(tests.id('atlas'), 'prices.csv', E'article;price in euro\n' || string_agg(format('zyzzyva %s;%s', n, n * 7), E'\n' order by n),
                                                      format => 'csv', max_tokens => 40, overlap_tokens => 0)) from generate_series(1, 30) n;
select tests.as_owner();
create function tests.table_context(places integer[], budget integer) returns setof record language sql as $$
  select context, token_count from matrice.build_context('zyzzyva', null, tests.id('atlas'), budget, scores => (
    select jsonb_object_agg(id, 10 - place) from unnest(places) with ordinality as p (index, place)
      join matrice.source_chunks c on c.source_id = tests.id('prices') and c.chunk_index = p.index))
$$;
select tests.as_user('edith');
select matches(context, '### \[1\] prices.csv\n\narticle;price in euro\nzyzzyva', 'build_context writes the header of a table above its later rows')
  from tests.table_context(array[3], 1000) as c (context text, token_count integer);
select is(cardinality(regexp_split_to_array(context, 'article;price')) - 1, times, format('build_context with chunks %s of a table: its header %s times', places, times))
  from (values (array[0, 1, 2], 1), (array[2, 3, 4], 1), (array[1, 3], 2), (array[0], 1)) as cases (places, times),
       tests.table_context(places, 1000) as c (context text, token_count integer);
select ok(bool_and(token_count <= budget and token_count = matrice.count_tokens(context, 'gpt-4o')), 'build_context with headers keeps to token_budget')
  from generate_series(1, 200, 7) budget, tests.table_context(array[4, 2, 3, 1], budget) as c (context text, token_count integer);

select * from finish();
rollback;
