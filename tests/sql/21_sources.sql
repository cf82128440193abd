begin;
\ir helpers/setup.psql
select no_plan();

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('atlas', '{"embedding_model": "tiny"}');
insert into matrice.projects (id, name, created_by) values (tests.id('cove'), 'Cove', tests.id('mallory'));

-- Ingesting --------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember('guide', matrice.ingest_source(tests.id('atlas'), 'Guide', E'# Guide\n\nStart here.\n\n## Wind\n\nIt blows.\n',
  type => 'wiki', format => 'markdown', max_tokens => 8, overlap_tokens => 0, storage_path => 'atlas/guide.md', metadata => '{"lang": "en"}'));
select results_eq(
  $$select project_id, name, type, storage_path, status, raw_metadata, token_count, processed_at
      from matrice.context_sources where id = tests.id('guide')$$,
  $$values (tests.id('atlas'), 'Guide', 'wiki', 'atlas/guide.md', 'ready', '{"lang": "en"}'::jsonb,
            matrice.count_tokens(E'# Guide\n\nStart here.\n\n## Wind\n\nIt blows.\n'), now())$$,
  'An ingested source has what the client said and is ready');
select results_eq(
  $$select chunk_index, content, token_count, start_char, end_char, metadata from matrice.source_chunks
     where source_id = tests.id('guide') order by chunk_index$$,
  $$select chunk_index, content, token_count, start_char, end_char, metadata
      from matrice.chunk_text(E'# Guide\n\nStart here.\n\n## Wind\n\nIt blows.\n', 8, 0, 'markdown')$$,
  'Its chunks are those of chunk_text');
select is(tests.rows_of($$select from matrice.source_chunks where source_id = tests.id('guide')$$), 2::bigint, 'There are two of them');
select is(matrice.ingest_source(tests.id('atlas'), 'Guide', 'The same name again') <> tests.id('guide'), true, 'Two sources may have the same name');

-- Cutting again ----------------------------------------------------------------------------------------------------

select tests.remember('log', matrice.ingest_source(tests.id('atlas'), 'Log', E'alpha\n\nbeta\n\nalpha\n\ngamma', max_tokens => 2, overlap_tokens => 0));
select results_eq($$select content from matrice.source_chunks where source_id = tests.id('log') order by chunk_index$$,
                  $$values ('alpha'), ('beta'), ('alpha'), ('gamma')$$, 'A source of four lines has four chunks');
update matrice.source_chunks set metadata = '{"page": 7, "pages": [7, 8], "note": "n"}' where source_id = tests.id('log') and content = 'gamma';
insert into matrice.chunk_embeddings (chunk_id, embedding, model)
select id, format('[%s,1,1]', chunk_index)::vector, 'tiny' from matrice.source_chunks where source_id = tests.id('log');
create temp table before on commit drop as
select c.id, c.content, c.chunk_index, e.id as embedding_id, e.embedding::text as embedding
  from matrice.source_chunks c join matrice.chunk_embeddings e on e.chunk_id = c.id where c.source_id = tests.id('log');

select results_eq(
  $$select * from matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon', max_tokens => 2, overlap_tokens => 0)$$,
  $$values (5, 2, 3, 1)$$,
  'Cutting again tells how many chunks there are, are new, were kept and are gone');
select results_eq($$select content, chunk_index from matrice.source_chunks where source_id = tests.id('log') order by chunk_index$$,
                  $$values ('gamma', 0), ('alpha', 1), ('delta', 2), ('alpha', 3), ('epsilon', 4)$$, 'The chunks stand in the order of the new text');
select results_eq(
  $$select c.content, b.chunk_index, c.chunk_index, e.embedding::text = b.embedding
      from before b join matrice.source_chunks c on c.id = b.id join matrice.chunk_embeddings e on e.id = b.embedding_id and e.chunk_id = c.id
     order by c.chunk_index$$,
  $$values ('gamma', 3, 0, true), ('alpha', 0, 1, true), ('alpha', 2, 3, true)$$,
  'Chunks whose text stands keep their ids and embeddings wherever they moved, twins in their order');
select is(metadata, '{"note": "n"}', 'chunk_source: a moved chunk keeps the metadata a client gave it, but for the page, which it may have left') from matrice.source_chunks
 where source_id = tests.id('log') and content = 'gamma';
select is_empty(
  $$select * from matrice.source_chunks
     where source_id = tests.id('log') and substr(E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon', start_char + 1, end_char - start_char) <> content$$,
  'Moved chunks say where they stand now');
update matrice.source_chunks set metadata = metadata || '{"page": 1}' where source_id = tests.id('log') and content in ('gamma', 'delta');
select results_eq($$select * from matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon', max_tokens => 2, overlap_tokens => 0)$$,
                  $$values (5, 0, 5, 0)$$, 'Cutting the same text again keeps everything');
select results_eq($$select content, metadata from matrice.source_chunks where source_id = tests.id('log') and metadata <> '{}' order by chunk_index$$,
                  $$values ('gamma', '{"note": "n", "page": 1}'::jsonb), ('delta', '{"page": 1}')$$, 'chunk_source: pages stay where the text stays');
select is(tests.rows_of($$select matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha!\n\ndelta\n\nalpha\n\nepsilon')$$), 1::bigint, 'A word in the middle grows by one character');
select results_eq($$select content, metadata from matrice.source_chunks where source_id = tests.id('log') and content in ('gamma', 'delta') order by chunk_index$$,
                  $$values ('gamma', '{"note": "n", "page": 1}'::jsonb), ('delta', '{}')$$, 'chunk_source: the pages before it stay, those behind it are dropped');
insert into matrice.source_chunks (source_id, chunk_index, content, metadata) values (tests.id('log'), 99, 'zeta', '{"page": 3}');
select matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon\n\nzeta');
select is(metadata, '{}', 'chunk_source: a page of who knows where is dropped once the place is known') from matrice.source_chunks
 where source_id = tests.id('log') and content = 'zeta';
select matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon');
select results_eq(
  $$select total, kept from matrice.chunk_source(tests.id('guide'), E'# Manual\n\nStart here.\n\n## Wind\n\nIt blows.\n', 'markdown', 8, 0)$$,
  $$values (2, 1)$$, 'A chunk under a renamed heading is kept');
select is(metadata, '{"headings": ["Manual", "Wind"]}', 'It has the new path of headings') from matrice.source_chunks
 where source_id = tests.id('guide') and content ~ 'blows';

-- How a source is cut is remembered --------------------------------------------------------------------------------

select tests.remember('rules', matrice.ingest_source(tests.id('atlas'), 'Rules', E'# A\n\nalpha\n\n# B\n\nbeta', format => 'markdown', max_tokens => 4, overlap_tokens => 2));
create function pg_temp.cut(source uuid) returns text language sql as $$
  select format('%s %s %s', format, max_tokens, overlap_tokens) from matrice.context_sources where id = source
$$;
select is(pg_temp.cut(tests.id('rules')), 'markdown 4 2', 'ingest_source remembers format, max_tokens and overlap_tokens');
select results_eq($$select * from matrice.chunk_source(tests.id('rules'), E'# A\n\nalpha\n\n# B\n\nbeta\n\n# C\n\ngamma')$$, $$values (3, 1, 2, 0)$$,
                  'chunk_source cuts as ingest_source did, and keeps what did not change');
select results_eq($$select content, metadata from matrice.source_chunks where source_id = tests.id('rules') order by chunk_index$$,
                  $$select content, metadata from matrice.chunk_text(E'# A\n\nalpha\n\n# B\n\nbeta\n\n# C\n\ngamma', 4, 2, 'markdown')$$, 'Its chunks are those of chunk_text so called');
select results_eq($$select total from matrice.chunk_source(tests.id('rules'), E'# A\n\nalpha', max_tokens => 64)$$, $$values (1)$$, 'chunk_source takes another size');
select is(pg_temp.cut(tests.id('rules')), 'markdown 64 2', 'chunk_source remembers what it was told, and the rest as it was');
select results_eq($$select total from matrice.chunk_source(tests.id('rules'), E'# A\n\nalpha', null, null, null)$$, $$values (1)$$, 'chunk_source: null is as last time');
select is(pg_temp.cut(tests.id('rules')), 'markdown 64 2', 'And stays so');
select matrice.chunk_source(tests.id('rules'), 'alpha', 'text', 512, 64);
select is(pg_temp.cut(tests.id('rules')), 'text 512 64', 'chunk_source: all three anew');
insert into matrice.context_sources (id, project_id, name) values (tests.id('bare'), tests.id('atlas'), 'Bare');
select matrice.chunk_source(tests.id('bare'), '# alpha');
select is(pg_temp.cut(tests.id('bare')), 'text 512 64', 'chunk_source: a source that was never cut is cut as text, by 512 and 64');
select is(tests.rows_of($$select matrice.ingest_source(tests.id('atlas'), 'x', repeat('word ', 100), max_tokens => 50)$$), 1::bigint, 'ingest_source: the default overlap is half of a small chunk');
select is(pg_temp.cut(id), 'text 50 64', 'It is remembered as the default') from matrice.context_sources where name = 'x';
delete from matrice.context_sources where id in (tests.id('bare'), tests.id('rules')) or name = 'x';

-- Refused sources --------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), null, 'x')$$, '22004', 'A source''s name is not null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), '', 'x')$$, '22023', 'A source''s name is not empty');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), E' \n', 'x')$$, '22023', 'A source''s name is not blank');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', null)$$, '22004', 'A source''s text is not null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', '')$$, '22023', 'A source''s text is not empty');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', E' \t\r\n')$$, '22023', 'A source''s text is not blank');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', type => null)$$, '22004', 'A source''s type is not null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', type => ' ')$$, '22023', 'A source''s type is not blank');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', format => 'docx')$$, '22023', 'An unknown format is refused', hint => '%markdown%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', format => null)$$, '22004', 'A format is not null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => 64, overlap_tokens => 33)$$, '22023', 'H6: ingest_source refuses an overlap of more than half', hint => '%at most 32%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => 8000, overlap_tokens => 7999)$$, '22023', 'H6: ingest_source refuses an overlap near the size', hint => '%at most 4000%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', overlap_tokens => null)$$, '22004', 'ingest_source: an overlap is not null');
select tests.refuses(format('select matrice.ingest_source(tests.id(''atlas''), ''x'', %L)', blank), '22023', 'ingest_source refuses a text of only white space: ' || to_json(blank))
  from unnest(array[U&'\00a0', U&'\2028\3000', E'\u0085']) blank;
select tests.refuses(format('select matrice.chunk_source(tests.id(''log''), %L)', blank), '22023', 'chunk_source: white space does not empty a source: ' || to_json(blank))
  from unnest(array[U&'\00a0', U&'\2028\3000', E'\u0085']) blank;
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', (select string_agg('w' || i, ' ') from generate_series(1, 300000) i), max_tokens => 2147483647)$$, '22023',
                     'H3: ingest_source refuses a chunk of more than 1 MB', '%1048576%', '%', '%too long%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => 0, overlap_tokens => 0)$$, '22023', 'Chunks have at least one token');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => null)$$, '22004', 'A size is not null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', overlap_tokens => -1)$$, '22023', 'An overlap is not negative');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', metadata => '[1]')$$, '22023', 'Metadata are an object', '%array%', '%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', metadata => null)$$, '22004', 'Metadata are not null', hint => '%');
select tests.refuses($$select matrice.ingest_source(null, 'x', 'x')$$, '22004', 'A source''s project is not null');
select tests.refuses($$select matrice.ingest_source(tests.id('nowhere'), 'x', 'x')$$, 'PT404', 'A project that does not exist takes no source', '%', '%');
select tests.refuses($$select matrice.ingest_source(tests.id('cove'), 'x', 'x')$$, 'PT404', 'Somebody else''s project takes no source', '%', '%');
select tests.refuses($$select matrice.chunk_source(tests.id('nowhere'), 'x')$$, 'PT404', 'A source that does not exist is not cut', '%' || tests.id('nowhere') || '%');
select tests.refuses($$select matrice.chunk_source(null, 'x')$$, '22004', 'A null source is not cut', hint => '%');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), null)$$, '22004', 'A null text is not cut');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), ' ')$$, '22023', 'A blank text does not empty a source');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x', 'docx')$$, '22023', 'A source is not cut in an unknown format', hint => '%markdown%');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x', 'text', 5, 3)$$, '22023', 'H6: chunk_source refuses an overlap of more than half', hint => '%at most 2%');
select tests.as_user('victor');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x')$$, '42501', 'A viewer adds no source', '%', '%');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x')$$, '42501', 'A viewer cuts no source', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x')$$, 'PT404', 'Somebody else''s source is not found', '%');
select tests.unchanged('Refused sources leave no trace');

-- The queue --------------------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.context_sources;
select tests.as_user('edith');
select tests.remember('log', matrice.ingest_source(tests.id('atlas'), 'Log', E'alpha\n\nbeta\n\ngamma', max_tokens => 2, overlap_tokens => 0));
select tests.remember('alpha', id) from matrice.source_chunks where content = 'alpha';
select tests.remember('beta', id) from matrice.source_chunks where content = 'beta';
select tests.remember('gamma', id) from matrice.source_chunks where content = 'gamma';
select tests.as_user('mallory');
select tests.remember('theirs', matrice.ingest_source(tests.id('cove'), 'Theirs', 'omega'));
select tests.remember('omega', id) from matrice.source_chunks where content = 'omega';

select tests.as_user('edith');
select results_eq(
  $$select chunk_id, project_id, content, token_count, attempt from matrice.claim_chunks('tiny', 2)$$,
  $$select id, tests.id('atlas'), content, token_count, 1 from matrice.source_chunks where content in ('alpha', 'beta') order by chunk_index$$,
  'A worker is given the first chunks of the projects it edits, on their first attempt');
select results_eq($$select chunk_id, model, leased_until from matrice.embedding_leases order by chunk_id$$,
                  $$select id, 'tiny', now() + interval '300 seconds' from unnest(array[tests.id('alpha'), tests.id('beta')]) id order by id$$,
                  'A claim is a lease of five minutes');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny', 1)$$, $$values ('gamma', 1)$$, 'A claimed chunk is not given twice, nor does it take another''s place');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'When all are claimed there is nothing to claim');
select is(tests.rows_of($$select * from matrice.claim_chunks('gte-small', project_id => tests.id('atlas'))$$), 3::bigint, 'Another model has its own queue');
select is_empty($$select * from matrice.claim_chunks(project_id => tests.id('atlas'))$$, 'A claim in a project is for the project''s model');
select is_empty($$select * from matrice.claim_chunks()$$, 'A claim that names neither gives no chunk of a project that has a model of its own');
select tests.as_user('mallory');
select results_eq($$select content from matrice.claim_chunks()$$, $$values ('omega')$$, 'It is for the projects that use the default model');
select results_eq($$select chunk_id from matrice.embedding_leases where model = 'text-embedding-3-small'$$, $$values (tests.id('omega'))$$, 'Its leases say so');

select tests.as_owner();
update matrice.embedding_leases set leased_until = now() - interval '1 second' where chunk_id = tests.id('gamma') and model = 'tiny';
select tests.as_user('alice');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny', lease_seconds => 60)$$, $$values ('gamma', 2)$$,
                  'An expired lease goes to the next worker, on the second attempt');
select is(leased_until, now() + interval '60 seconds', 'A worker chooses how long it needs') from matrice.embedding_leases
 where chunk_id = tests.id('gamma') and model = 'tiny';

select tests.as_user('edith');
select matrice.fail_chunks('tiny', array[tests.id('alpha')], 'the network was down');
select is(last_error, 'the network was down', 'A failure says why') from matrice.embedding_leases where chunk_id = tests.id('alpha') and model = 'tiny';
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('alpha', 2)$$,
                  'A failed chunk can be claimed again at once, on its second attempt');
select matrice.fail_chunks('tiny', array[tests.id('alpha')], repeat('x', 5000));
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'After a second failure it waits');
select results_eq($$select leased_until > now(), leased_until <= now() + interval '1 hour', length(last_error) from matrice.embedding_leases
                     where chunk_id = tests.id('alpha') and model = 'tiny'$$,
                  $$values (true, true, 2000)$$, 'It waits an hour at most, and a long error is shortened');

select tests.remember_state();
select tests.refuses($$select matrice.claim_chunks('no-such')$$, '22023', 'An unknown model has no queue', hint => '%text-embedding-3-small%');
select tests.refuses($$select matrice.claim_chunks(batch_size => 0)$$, '22023', 'A batch is not empty');
select tests.refuses($$select matrice.claim_chunks(batch_size => -1)$$, '22023', 'A batch is not negative');
select tests.refuses($$select matrice.claim_chunks(batch_size => null)$$, '22004', 'A batch is not null');
select tests.refuses($$select matrice.claim_chunks(batch_size => 10000000)$$, '22023', 'A batch is not endless');
select tests.refuses($$select matrice.claim_chunks(lease_seconds => 0)$$, '22023', 'A lease lasts');
select tests.refuses($$select matrice.claim_chunks(lease_seconds => null)$$, '22004', 'A lease is not null');
select tests.refuses($$select matrice.claim_chunks(lease_seconds => 2147483647)$$, '22023', 'A lease ends');
select tests.refuses($$select matrice.claim_chunks(project_id => tests.id('nowhere'))$$, 'PT404', 'A project that does not exist has no queue', '%', '%');
select tests.refuses($$select matrice.claim_chunks(project_id => tests.id('cove'))$$, 'PT404', 'Somebody else''s queue is not found', '%', '%');
select tests.refuses($$select matrice.fail_chunks('no-such', '{}', 'x')$$, '22023', 'Nothing fails for an unknown model', hint => '%');
select tests.refuses($$select matrice.fail_chunks(null, '{}', 'x')$$, '22004', 'A failure names its model');
select tests.refuses($$select matrice.fail_chunks('tiny', null, 'x')$$, '22004', 'A failure names its chunks');
select tests.as_user('victor');
select is_empty($$select * from matrice.claim_chunks('voyage-3.5')$$, 'A viewer is given no chunks');
select tests.refuses($$select matrice.claim_chunks('tiny', project_id => tests.id('atlas'))$$, '42501', 'A viewer claims nothing in a project', '%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '[[1,2,3]]')$$, '42501', 'A viewer stores no embedding');
select tests.as_user('mallory');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '[[1,2,3]]')$$, 'PT404', 'An outsider stores nothing for somebody else''s chunk', '%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', array[tests.id('beta')], 'sabotage')$$, 'PT404', 'An outsider''s report of a failure is not heard', '%', '%');
select tests.unchanged('And neither changes anything');
select results_eq($$select content from matrice.claim_chunks('voyage-3.5', project_id => tests.id('cove'))$$, $$values ('omega')$$, 'A worker is given the chunks of its own projects only');

-- Storing ----------------------------------------------------------------------------------------------------------

select tests.as_owner();
-- Alice's lease of gamma has ended.
update matrice.embedding_leases set leased_until = now() where chunk_id = tests.id('gamma') and model = 'tiny';
select tests.as_user('edith');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1, 2.5, -3e-1], [0, 0, 1]]'), 2, 'Two embeddings are stored');
select results_eq(
  $$select chunk_id, project_id, embedding::text from matrice.chunk_embeddings where model = 'tiny' order by embedding$$,
  $$values (tests.id('beta'), tests.id('atlas'), '[0,0,1]'), (tests.id('alpha'), tests.id('atlas'), '[1,2.5,-0.3]')$$,
  'Each chunk has its own vector');
select is(tests.rows_of($$select from matrice.embedding_leases where model = 'tiny' and chunk_id <> tests.id('gamma')$$), 0::bigint, 'Their leases have ended');
select is(tests.rows_of($$select from matrice.embedding_leases where model = 'gte-small'$$), 3::bigint, 'Other models'' leases go on');
select tests.remember_state();
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1, 2.5, -3e-1], [0, 0, 1]]'), 2, 'Storing them again is no error');
select tests.unchanged('Storing the same again changes nothing');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha')], '[[3, 2, 1]]'), 1, 'A later embedding replaces the earlier one');
select results_eq($$select embedding::text from matrice.chunk_embeddings where chunk_id = tests.id('alpha')$$, $$values ('[3,2,1]')$$, 'There is one embedding for the chunk and model');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('alpha')], '[[1,1,1], [2,2,2]]'), 1, 'A chunk that is named twice is stored once');
select results_eq($$select embedding::text from matrice.chunk_embeddings where chunk_id = tests.id('alpha')$$, $$values ('[2,2,2]')$$, 'Its last vector counts');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha')], '["[3,2,1]"]'), 1, 'A vector may come as a string');
select is(matrice.store_embeddings('tiny', array[tests.id('nowhere'), tests.id('gamma')], '[[1,1,1], [0,1,0]]'), 1, 'A chunk that is gone is passed over, the others are stored');
select results_eq($$select embedding::text from matrice.chunk_embeddings where chunk_id = tests.id('gamma')$$, $$values ('[0,1,0]')$$, 'And have their own vectors');
select is(matrice.store_embeddings('tiny', '{}', '[]'), 0, 'Nothing is stored of nothing');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'What is embedded is not claimed again');

-- Refused embeddings -----------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.store_embeddings('no-such', array[tests.id('beta')], '[[1,2,3]]')$$, '22023', 'An unknown model stores nothing', hint => '%embedding_models%');
select tests.refuses($$select matrice.store_embeddings(null, array[tests.id('beta')], '[[1,2,3]]')$$, '22004', 'The model is not null');
select tests.refuses($$select matrice.store_embeddings('tiny', null, '[[1,2,3]]')$$, '22004', 'The chunks are not null');
select tests.refuses($$select matrice.store_embeddings('tiny', array[null::uuid], '[[1,2,3]]')$$, '22004', 'No chunk is null');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], null)$$, '22004', 'The embeddings are not null', hint => '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '{}')$$, '22023', 'The embeddings are not an object', '%object%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '"[[1,2,3]]"')$$, '22023', 'The embeddings are not one string', '%string%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '[[1,2,3],[1,2,3]]')$$, '22023', 'There are not more embeddings than chunks', '%1%2%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1,2,3]]')$$, '22023', 'There are not fewer embeddings than chunks', '%2%1%', '%');
select tests.refuses(format($$select matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1,1,1], %s]')$$, bad), '22023',
                     'An embedding that is ' || what || ' is refused, and all with it', '%', '%')
  from (values ('too short', '[1,2]'), ('too long', '[1,2,3,4]'), ('empty', '[]'), ('longer than pgvector can', (select jsonb_agg(1) from generate_series(1, 16001))::text),
               ('a number', '1'), ('null', 'null'), ('an object', '{"0": 1}'), ('a boolean', 'true'),
               ('of strings', '["1","2","3"]'), ('with NaN', '["NaN",1,2]'), ('with Infinity', '["Infinity",1,2]'), ('with null', '[null,1,2]'),
               ('nested', '[[1,2,3]]'), ('with a nested array', '[1,[2],3]'), ('beyond a float', '[1e39,1,1]'), ('a string of words', '"one, two, three"'),
               ('a string with NaN', '"[NaN,1,2]"')) as bad (what, bad);
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1,1,1], [0,0,0]]')$$, '22023',
                     'An embedding of zeros is refused, and all with it', hint => '%');
select tests.refuses($$select matrice.store_embeddings('gte-small', array[tests.id('beta')], '[[1,2,3]]')$$, '22023', 'Another model''s dimensions are refused', '%384%3%', '%');
select tests.unchanged('Refused embeddings leave no trace');

-- Services ---------------------------------------------------------------------------------------------------------

select tests.as_service();
update matrice.projects set settings = settings || '{"embedding_model": "text-embedding-ada-002"}' where id in (tests.id('atlas'), tests.id('cove'));
select is(tests.rows_of($$select * from matrice.claim_chunks('text-embedding-ada-002')$$), 4::bigint, 'A service is given the chunks of every project');
select is(matrice.store_embeddings('tiny', array[tests.id('omega'), tests.id('beta')], '[[1,1,1],[0,0,1]]'), 2, 'A service stores embeddings for every project');

select * from finish();
rollback;
