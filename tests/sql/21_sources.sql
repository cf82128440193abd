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
  $$values (tests.id('atlas'), 'Guide', 'wiki', 'atlas/guide.md', 'processing', '{"lang": "en"}'::jsonb,
            matrice.count_tokens(E'# Guide\n\nStart here.\n\n## Wind\n\nIt blows.\n'), now())$$,
  'ingest_source stores its arguments and sets status ready');
select results_eq(
  $$select chunk_index, content, token_count, start_char, end_char, metadata from matrice.source_chunks
     where source_id = tests.id('guide') order by chunk_index$$,
  $$select chunk_index, content, token_count, start_char, end_char, metadata
      from matrice.chunk_text(E'# Guide\n\nStart here.\n\n## Wind\n\nIt blows.\n', 8, 0, 'markdown')$$,
  'ingest_source stores the chunks that chunk_text returns');
select is(tests.rows_of($$select from matrice.source_chunks where source_id = tests.id('guide')$$), 2::bigint, 'ingest_source stores two chunks');
select is(matrice.ingest_source(tests.id('atlas'), 'Guide', 'The same name again') <> tests.id('guide'), true,
          'ingest_source takes a name that another source has');

-- Cutting again ----------------------------------------------------------------------------------------------------

select tests.remember('log', matrice.ingest_source(tests.id('atlas'), 'Log', E'alpha\n\nbeta\n\nalpha\n\ngamma', max_tokens => 2, overlap_tokens => 0));
select results_eq($$select content from matrice.source_chunks where source_id = tests.id('log') order by chunk_index$$,
                  $$values ('alpha'), ('beta'), ('alpha'), ('gamma')$$, 'ingest_source of four paragraphs with max_tokens 2 stores four chunks');
update matrice.source_chunks set metadata = '{"page": 7, "pages": [7, 8], "note": "n"}' where source_id = tests.id('log') and content = 'gamma';
insert into matrice.chunk_embeddings (chunk_id, embedding, model)
select id, format('[%s,1,1]', chunk_index)::vector, 'tiny' from matrice.source_chunks where source_id = tests.id('log');
create temp table before on commit drop as
select c.id, c.content, c.chunk_index, e.id as embedding_id, e.embedding::text as embedding
  from matrice.source_chunks c join matrice.chunk_embeddings e on e.chunk_id = c.id where c.source_id = tests.id('log');

select results_eq(
  $$select * from matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon', max_tokens => 2, overlap_tokens => 0)$$,
  $$values (5, 2, 3, 1)$$,
  'chunk_source returns total, added, kept and removed');
select results_eq($$select content, chunk_index from matrice.source_chunks where source_id = tests.id('log') order by chunk_index$$,
                  $$values ('gamma', 0), ('alpha', 1), ('delta', 2), ('alpha', 3), ('epsilon', 4)$$,
                  'chunk_source numbers the chunks in the order of the new text');
select results_eq(
  $$select c.content, b.chunk_index, c.chunk_index, e.embedding::text = b.embedding
      from before b join matrice.source_chunks c on c.id = b.id join matrice.chunk_embeddings e on e.id = b.embedding_id and e.chunk_id = c.id
     order by c.chunk_index$$,
  $$values ('gamma', 3, 0, true), ('alpha', 0, 1, true), ('alpha', 2, 3, true)$$,
  'chunk_source keeps ids and embeddings of unchanged chunks, and equal chunks in their order');
select is(metadata, '{"note": "n"}', 'chunk_source keeps the metadata of a moved chunk, but drops page and pages') from matrice.source_chunks
 where source_id = tests.id('log') and content = 'gamma';
select is_empty(
  $$select * from matrice.source_chunks
     where source_id = tests.id('log') and substr(E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon', start_char + 1, end_char - start_char) <> content$$,
  'chunk_source updates start_char and end_char of moved chunks');
update matrice.source_chunks set metadata = metadata || '{"page": 1}' where source_id = tests.id('log') and content in ('gamma', 'delta');
select results_eq($$select * from matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon', max_tokens => 2, overlap_tokens => 0)$$,
                  $$values (5, 0, 5, 0)$$, 'chunk_source of the same text keeps every chunk');
select results_eq($$select content, metadata from matrice.source_chunks where source_id = tests.id('log') and metadata <> '{}' order by chunk_index$$,
                  $$values ('gamma', '{"note": "n", "page": 1}'::jsonb), ('delta', '{"page": 1}')$$, 'chunk_source keeps page where the text did not move');
select is(tests.rows_of($$select matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha!\n\ndelta\n\nalpha\n\nepsilon')$$), 1::bigint,
          'chunk_source takes a text with one more character in the middle');
select results_eq($$select content, metadata from matrice.source_chunks where source_id = tests.id('log') and content in ('gamma', 'delta') order by chunk_index$$,
                  $$values ('gamma', '{"note": "n", "page": 1}'::jsonb), ('delta', '{}')$$, 'chunk_source keeps page before a change and drops it behind');
insert into matrice.source_chunks (source_id, chunk_index, content, metadata) values (tests.id('log'), 99, 'zeta', '{"page": 3}');
select matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon\n\nzeta');
select is(metadata, '{}', 'chunk_source drops page of a chunk whose position was unknown') from matrice.source_chunks
 where source_id = tests.id('log') and content = 'zeta';
select matrice.chunk_source(tests.id('log'), E'gamma\n\nalpha\n\ndelta\n\nalpha\n\nepsilon');
select results_eq(
  $$select total, kept from matrice.chunk_source(tests.id('guide'), E'# Manual\n\nStart here.\n\n## Wind\n\nIt blows.\n', 'markdown', 8, 0)$$,
  $$values (2, 1)$$, 'chunk_source keeps a chunk under a renamed heading');
select is(metadata, '{"headings": ["Manual", "Wind"]}', 'chunk_source updates metadata.headings of a kept chunk') from matrice.source_chunks
 where source_id = tests.id('guide') and content ~ 'blows';

select tests.remember('prices', matrice.ingest_source(tests.id('atlas'), 'Prices', E'id,name\n1,salt\n2,rope\n3,tar\n', format => 'csv',
                                                      max_tokens => 12, overlap_tokens => 0));
select is(metadata, '{"header": "id,name"}', 'ingest_source stores metadata.header of a chunk of csv') from matrice.source_chunks
 where source_id = tests.id('prices') and content ~ 'tar';
select kept from matrice.chunk_source(tests.id('prices'), E'no,name\n1,salt\n2,rope\n3,tar\n');
select is(metadata, '{"header": "no,name"}', 'chunk_source updates metadata.header of a kept chunk') from matrice.source_chunks
 where source_id = tests.id('prices') and content ~ 'tar';

-- How a source is cut is remembered --------------------------------------------------------------------------------

select tests.remember('rules',
                      matrice.ingest_source(tests.id('atlas'), 'Rules', E'# A\n\nalpha\n\n# B\n\nbeta', format => 'markdown', max_tokens => 4,
                                            overlap_tokens => 2));
create function pg_temp.cut(source uuid) returns text language sql as $$
  select format('%s %s %s', format, max_tokens, overlap_tokens) from matrice.context_sources where id = source
$$;
select is(pg_temp.cut(tests.id('rules')), 'markdown 4 2', 'ingest_source remembers format, max_tokens and overlap_tokens');
select results_eq($$select * from matrice.chunk_source(tests.id('rules'), E'# A\n\nalpha\n\n# B\n\nbeta\n\n# C\n\ngamma')$$, $$values (3, 1, 2, 0)$$,
                  'chunk_source without format and sizes cuts as ingest_source did');
select results_eq($$select content, metadata from matrice.source_chunks where source_id = tests.id('rules') order by chunk_index$$,
                  $$select content, metadata from matrice.chunk_text(E'# A\n\nalpha\n\n# B\n\nbeta\n\n# C\n\ngamma', 4, 2, 'markdown')$$,
                  'chunk_source stores the chunks that chunk_text returns for the remembered values');
select results_eq($$select total from matrice.chunk_source(tests.id('rules'), E'# A\n\nalpha', max_tokens => 64)$$, $$values (1)$$,
                  'chunk_source takes another max_tokens');
select is(pg_temp.cut(tests.id('rules')), 'markdown 64 2', 'chunk_source remembers the new max_tokens and keeps format and overlap_tokens');
select results_eq($$select total from matrice.chunk_source(tests.id('rules'), E'# A\n\nalpha', null, null, null)$$, $$values (1)$$,
                  'chunk_source with nulls cuts as the last time');
select is(pg_temp.cut(tests.id('rules')), 'markdown 64 2', 'chunk_source with nulls keeps the remembered values');
select matrice.chunk_source(tests.id('rules'), 'alpha', 'text', 512, 64);
select is(pg_temp.cut(tests.id('rules')), 'text 512 64', 'chunk_source remembers all three new values');
insert into matrice.context_sources (id, project_id, name) values (tests.id('bare'), tests.id('atlas'), 'Bare');
select matrice.chunk_source(tests.id('bare'), '# alpha');
select is(pg_temp.cut(tests.id('bare')), 'text 512 64', 'chunk_source of a source that was never cut uses text, 512 and 64');
select is(tests.rows_of($$select matrice.ingest_source(tests.id('atlas'), 'x', repeat('word ', 100), max_tokens => 50)$$), 1::bigint,
          'ingest_source with max_tokens 50 uses an overlap of half a chunk by default');
select is(pg_temp.cut(id), 'text 50 64', 'ingest_source with max_tokens 50 remembers the default overlap_tokens') from matrice.context_sources where name = 'x';
delete from matrice.context_sources where id in (tests.id('bare'), tests.id('rules')) or name = 'x';

-- Chunks that the schema computed are not computed again; those of clients are -------------------------------------------

select tests.as_owner();
set local track_functions = 'all';
create function tests.calls() returns bigint language sql security definer as $$
  select coalesce(sum(calls), 0)::bigint from pg_stat_xact_user_functions where funcname = 'complete_chunk'
$$;
select tests.remember('sealed', gen_random_uuid());
insert into matrice.context_sources (id, project_id, name, type, raw_metadata) values (tests.id('sealed'), tests.id('atlas'), 'Sealed', 'wiki', '{"lang": "en"}');
select tests.as_user('edith');
create temp table calls_before as select tests.calls() as calls;
select matrice.chunk_source(tests.id('sealed'), E'one word\n\ntwo words', 'text', 2, 0);
select is(tests.calls() - calls, 0::bigint, 'chunk_source by a member stores new chunks without a call of complete_chunk') from calls_before;
select results_eq(
  $$select content, token_count, fts from matrice.source_chunks where source_id = tests.id('sealed') order by chunk_index$$,
  $$values ('one word', 2, matrice_private.text_vector('one word', 'simple')), ('two words', 2, matrice_private.text_vector('two words', 'simple'))$$,
  'chunk_source stores token_count and fts');
select tests.as_owner();
select is(filterable, jsonb_build_object('lang', 'en', 'type', 'wiki', 'matrice.project', tests.id('atlas')), 'chunk_source stores filterable')
  from matrice.source_chunks where source_id = tests.id('sealed') and chunk_index = 0;
create function tests.honest(index integer) returns boolean language sql security definer as $$
  select token_count = matrice.count_tokens(content) and fts = matrice_private.text_vector(content, 'simple')
         and filterable = jsonb_build_object('lang', 'en', 'type', 'wiki', 'matrice.project', project_id)
    from matrice.source_chunks where source_id = tests.id('sealed') and chunk_index = index
$$;
select tests.as_user('edith');
select is(tests.rows_of($$insert into matrice.source_chunks (id, source_id, project_id, chunk_index, content, token_count, fts, filterable)
                          select id, tests.id('sealed'), tests.id('atlas'), 10, 'three words here', token_count, 'forged', filterable
                            from matrice_private.complete_chunks_of_member(tests.id('sealed'), '{three words here}', '{"{}"}')$$), 1::bigint, 'source_chunks takes a sealed id');
select is(tests.honest(10), true, 'source_chunks computes fts again if it is not what was sealed');
insert into matrice.source_chunks (id, source_id, project_id, chunk_index, content, token_count, fts, filterable)
select id, tests.id('sealed'), tests.id('atlas'), 11, 'another text', token_count, fts, filterable
  from matrice_private.complete_chunks_of_member(tests.id('sealed'), '{three words here}', '{"{}"}');
select is(tests.honest(11), true, 'source_chunks computes everything again if the content is not what was sealed');
create temp table kept as select * from matrice_private.complete_chunks_of_member(tests.id('sealed'), '{four}', '{"{}"}');
update matrice.context_sources set raw_metadata = '{"lang": "fr"}' where id = tests.id('sealed');
update matrice.context_sources set raw_metadata = '{"lang": "en"}' where id = tests.id('sealed');
truncate calls_before;
insert into calls_before select tests.calls();
insert into matrice.source_chunks (id, source_id, project_id, chunk_index, content, token_count, fts, filterable)
select id, tests.id('sealed'), tests.id('atlas'), 12, 'four', token_count, fts, filterable from kept;
select is(tests.calls() - calls, 1::bigint, 'source_chunks computes again what was sealed in an earlier statement') from calls_before;
select tests.refuses($$insert into matrice.source_chunks (id, source_id, project_id, chunk_index, content, token_count, fts, filterable)
                       select id, tests.id('sealed'), tests.id('cove'), 13, 'x', token_count, fts, filterable
                         from matrice_private.complete_chunks_of_member(tests.id('sealed'), '{x}', '{"{}"}')$$, '42501',
                     'source_chunks refuses a sealed chunk in another project');
select tests.refuses($$select matrice_private.complete_chunks(tests.id('sealed'), '{x}', '{"{}"}')$$, '42501', 'complete_chunks refuses a user');
select tests.as_user('victor');
select is_empty($$select * from matrice_private.complete_chunks_of_member(tests.id('sealed'), '{x}', '{"{}"}')$$, 'complete_chunks_of_member by a viewer: no rows');
select tests.as_user('mallory');
select is_empty($$select * from matrice_private.complete_chunks_of_member(tests.id('sealed'), '{x}', '{"{}"}')$$, 'complete_chunks_of_member by an outsider: no rows');
select tests.as_user('edith');
delete from matrice.context_sources where id = tests.id('sealed');

-- Refused sources --------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), null, 'x')$$, '22004', 'ingest_source refuses name null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), '', 'x')$$, '22023', 'ingest_source refuses an empty name');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), E' \n', 'x')$$, '22023', 'ingest_source refuses a name of white space');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', null)$$, '22004', 'ingest_source refuses content null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', '')$$, '22023', 'ingest_source refuses empty content');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', E' \t\r\n')$$, '22023', 'ingest_source refuses content of white space');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', type => null)$$, '22004', 'ingest_source refuses type null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', type => ' ')$$, '22023', 'ingest_source refuses a blank type');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', format => 'docx')$$, '22023', 'ingest_source refuses format docx',
                     hint => '%markdown%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', format => null)$$, '22004', 'ingest_source refuses format null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => 64, overlap_tokens => 33)$$, '22023',
                     'H6: ingest_source refuses overlap_tokens 33 for max_tokens 64', hint => '%at most 32%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => 8000, overlap_tokens => 7999)$$, '22023',
                     'H6: ingest_source refuses overlap_tokens 7999 for max_tokens 8000', hint => '%at most 4000%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', overlap_tokens => null)$$, '22004',
                     'ingest_source refuses overlap_tokens null');
select tests.refuses(format('select matrice.ingest_source(tests.id(''atlas''), ''x'', %L)', blank), '22023',
                     'ingest_source refuses content of Unicode white space: ' || to_json(blank))
  from unnest(array[U&'\00a0', U&'\2028\3000', E'\u0085']) blank;
select tests.refuses(format('select matrice.chunk_source(tests.id(''log''), %L)', blank), '22023',
                     'chunk_source refuses content of Unicode white space: ' || to_json(blank))
  from unnest(array[U&'\00a0', U&'\2028\3000', E'\u0085']) blank;
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', (select string_agg('w' || i, ' ') from generate_series(1, 300000) i), max_tokens => 2147483647)$$, '22023',
                     'H3: ingest_source refuses a chunk of more than 1 MB', '%1048576%', '%', '%too long%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => 0, overlap_tokens => 0)$$, '22023',
                     'ingest_source refuses max_tokens 0');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', max_tokens => null)$$, '22004', 'ingest_source refuses max_tokens null');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', overlap_tokens => -1)$$, '22023', 'ingest_source refuses overlap_tokens -1');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', metadata => '[1]')$$, '22023',
                     'ingest_source refuses metadata that is an array', '%array%', '%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', metadata => null)$$, '22004', 'ingest_source refuses metadata null',
                     hint => '%');
select tests.refuses($$select matrice.ingest_source(null, 'x', 'x')$$, '22004', 'ingest_source refuses project_id null');
select tests.refuses($$select matrice.ingest_source(tests.id('nowhere'), 'x', 'x')$$, 'PT404', 'ingest_source of an unknown project: not found', '%', '%');
select tests.refuses($$select matrice.ingest_source(tests.id('cove'), 'x', 'x')$$, 'PT404', 'ingest_source of another''s project: not found', '%', '%');
select tests.refuses($$select matrice.chunk_source(tests.id('nowhere'), 'x')$$, 'PT404', 'chunk_source of an unknown source: not found',
                     '%' || tests.id('nowhere') || '%');
select tests.refuses($$select matrice.chunk_source(null, 'x')$$, '22004', 'chunk_source refuses source_id null', hint => '%');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), null)$$, '22004', 'chunk_source refuses content null');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), ' ')$$, '22023', 'chunk_source refuses blank content');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x', 'docx')$$, '22023', 'chunk_source refuses format docx', hint => '%markdown%');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x', 'text', 5, 3)$$, '22023', 'H6: chunk_source refuses overlap_tokens 3 for max_tokens 5',
                     hint => '%at most 2%');
select tests.as_user('victor');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x')$$, '42501', 'ingest_source refuses a viewer', '%', '%');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x')$$, '42501', 'chunk_source refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.chunk_source(tests.id('log'), 'x')$$, 'PT404', 'chunk_source of another''s source: not found', '%');
select tests.unchanged('ingest_source and chunk_source: refused calls change no row');

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
  'claim_chunks returns the first chunks of the caller''s projects, attempt 1');
select results_eq($$select chunk_id, model, leased_until from matrice.embedding_leases order by chunk_id$$,
                  $$select id, 'tiny', now() + interval '300 seconds' from unnest(array[tests.id('alpha'), tests.id('beta')]) id order by id$$,
                  'claim_chunks by default leases for 300 seconds');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny', 1)$$, $$values ('gamma', 1)$$, 'claim_chunks does not return a leased chunk');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'claim_chunks when every chunk is leased: no rows');
select is(tests.rows_of($$select * from matrice.claim_chunks('gte-small', project_id => tests.id('atlas'))$$), 3::bigint,
          'claim_chunks of another model returns every chunk');
select is_empty($$select * from matrice.claim_chunks(project_id => tests.id('atlas'))$$, 'claim_chunks(project_id) uses the project''s model');
select is_empty($$select * from matrice.claim_chunks()$$, 'claim_chunks() returns no chunk of a project with its own model');
select tests.as_user('mallory');
select results_eq($$select content from matrice.claim_chunks()$$, $$values ('omega')$$, 'claim_chunks() returns chunks of projects that use the default model');
select results_eq($$select chunk_id from matrice.embedding_leases where model = 'text-embedding-3-small'$$, $$values (tests.id('omega'))$$,
                  'claim_chunks() leases for the default model');

select tests.as_owner();
update matrice.embedding_leases set leased_until = now() - interval '1 second' where chunk_id = tests.id('gamma') and model = 'tiny';
select tests.as_user('alice');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny', lease_seconds => 60)$$, $$values ('gamma', 2)$$,
                  'claim_chunks returns a chunk whose lease expired, attempt 2');
select is(leased_until, now() + interval '60 seconds', 'claim_chunks with lease_seconds 60 leases for 60 seconds') from matrice.embedding_leases
 where chunk_id = tests.id('gamma') and model = 'tiny';

select tests.as_user('edith');
select matrice.fail_chunks('tiny', array[tests.id('alpha')], 'the network was down');
select is(last_error, 'the network was down', 'fail_chunks stores last_error')
  from matrice.embedding_leases where chunk_id = tests.id('alpha') and model = 'tiny';
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('alpha', 2)$$,
                  'claim_chunks returns a chunk that failed once at once, attempt 2');
select matrice.fail_chunks('tiny', array[tests.id('alpha')], repeat('x', 5000));
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'claim_chunks does not return a chunk that failed twice');
select results_eq($$select leased_until > now(), leased_until <= now() + interval '1 hour', length(last_error) from matrice.embedding_leases
                     where chunk_id = tests.id('alpha') and model = 'tiny'$$,
                  $$values (true, true, 2000)$$, 'fail_chunks a second time delays at most an hour and truncates last_error to 2,000 characters');

select tests.remember_state();
select tests.refuses($$select matrice.claim_chunks('no-such')$$, '22023', 'claim_chunks refuses model no-such', hint => '%text-embedding-3-small%');
select tests.refuses($$select matrice.claim_chunks(batch_size => 0)$$, '22023', 'claim_chunks refuses batch_size 0');
select tests.refuses($$select matrice.claim_chunks(batch_size => -1)$$, '22023', 'claim_chunks refuses batch_size -1');
select tests.refuses($$select matrice.claim_chunks(batch_size => null)$$, '22004', 'claim_chunks refuses batch_size null');
select tests.refuses($$select matrice.claim_chunks(batch_size => 10000000)$$, '22023', 'claim_chunks refuses batch_size 10000000');
select tests.refuses($$select matrice.claim_chunks(lease_seconds => 0)$$, '22023', 'claim_chunks refuses lease_seconds 0');
select tests.refuses($$select matrice.claim_chunks(lease_seconds => null)$$, '22004', 'claim_chunks refuses lease_seconds null');
select tests.refuses($$select matrice.claim_chunks(lease_seconds => 2147483647)$$, '22023', 'claim_chunks refuses lease_seconds 2147483647');
select tests.refuses($$select matrice.claim_chunks(project_id => tests.id('nowhere'))$$, 'PT404', 'claim_chunks of an unknown project: not found', '%', '%');
select tests.refuses($$select matrice.claim_chunks(project_id => tests.id('cove'))$$, 'PT404', 'claim_chunks of another''s project: not found', '%', '%');
select tests.refuses($$select matrice.fail_chunks('no-such', '{}', 'x')$$, '22023', 'fail_chunks refuses model no-such', hint => '%');
select tests.refuses($$select matrice.fail_chunks(null, '{}', 'x')$$, '22004', 'fail_chunks refuses model null');
select tests.refuses($$select matrice.fail_chunks('tiny', null, 'x')$$, '22004', 'fail_chunks refuses chunk_ids null');
select tests.as_user('victor');
select is_empty($$select * from matrice.claim_chunks('voyage-3.5')$$, 'claim_chunks by a viewer: no rows');
select tests.refuses($$select matrice.claim_chunks('tiny', project_id => tests.id('atlas'))$$, '42501', 'claim_chunks(project_id) refuses a viewer', '%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '[[1,2,3]]')$$, '42501', 'store_embeddings refuses a viewer');
select tests.as_user('mallory');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '[[1,2,3]]')$$, 'PT404',
                     'store_embeddings of another''s chunk: not found', '%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', array[tests.id('beta')], 'sabotage')$$, 'PT404',
                     'fail_chunks of another''s chunk: not found', '%', '%');
select tests.unchanged('claim_chunks, fail_chunks and store_embeddings: refused calls change no row');
select results_eq($$select content from matrice.claim_chunks('voyage-3.5', project_id => tests.id('cove'))$$, $$values ('omega')$$,
                  'claim_chunks returns chunks of the caller''s projects only');

-- Storing ----------------------------------------------------------------------------------------------------------

select tests.as_owner();
-- Alice's lease of gamma has ended.
update matrice.embedding_leases set leased_until = now() where chunk_id = tests.id('gamma') and model = 'tiny';
select tests.as_user('edith');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1, 2.5, -3e-1], [0, 0, 1]]'), 2,
          'store_embeddings of two chunks returns 2');
select results_eq(
  $$select chunk_id, project_id, embedding::text from matrice.chunk_embeddings where model = 'tiny' order by embedding$$,
  $$values (tests.id('beta'), tests.id('atlas'), '[0,0,1]'), (tests.id('alpha'), tests.id('atlas'), '[1,2.5,-0.3]')$$,
  'store_embeddings stores each chunk''s own vector');
select is(tests.rows_of($$select from matrice.embedding_leases where model = 'tiny' and chunk_id <> tests.id('gamma')$$), 0::bigint,
          'store_embeddings ends the leases of the model');
select is(tests.rows_of($$select from matrice.embedding_leases where model = 'gte-small'$$), 3::bigint, 'store_embeddings keeps the leases of other models');
select tests.remember_state();
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1, 2.5, -3e-1], [0, 0, 1]]'), 2,
          'store_embeddings of the same vectors again returns 2');
select tests.unchanged('store_embeddings of the same vectors again changes no row');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha')], '[[3, 2, 1]]'), 1, 'store_embeddings of a new vector returns 1');
select results_eq($$select embedding::text from matrice.chunk_embeddings where chunk_id = tests.id('alpha')$$, $$values ('[3,2,1]')$$,
                  'store_embeddings of a new vector replaces the old one');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('alpha')], '[[1,1,1], [2,2,2]]'), 1,
          'store_embeddings of a chunk named twice returns 1');
select results_eq($$select embedding::text from matrice.chunk_embeddings where chunk_id = tests.id('alpha')$$, $$values ('[2,2,2]')$$,
                  'store_embeddings of a chunk named twice stores the last vector');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha')], '["[3,2,1]"]'), 1, 'store_embeddings takes a vector as a string');
-- Base64 of little-endian floats, as embedding APIs return it: 1, 2.5 and -0.3; 0, 0 and 1.
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '["AACAPwAAIECamZm+", "AAAAAAAAAAAAAIA/"]'), 2,
          'store_embeddings takes base64');
select results_eq(
  $$select chunk_id, embedding::text from matrice.chunk_embeddings where model = 'tiny' order by embedding$$,
  $$values (tests.id('beta'), '[0,0,1]'), (tests.id('alpha'), '[1,2.5,-0.3]')$$,
  'store_embeddings of base64 stores the vectors that the same numbers make');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta'), tests.id('alpha')], '[" [ 1e0,\t+2 , .5 ] ", [1,1,1], "AACAPwAAIECamZm+"]'), 2,
          'store_embeddings takes vectors of several forms at once');
select is(matrice.store_embeddings('tiny', array[tests.id('alpha')], '[[0.1, 1e-44, -123456789.123456789123456789]]'), 1, 'store_embeddings takes numbers with many digits');
select is(embedding, '[0.1, 1e-44, -123456789.123456789123456789]', 'store_embeddings stores the nearest float of each number, as pgvector does')
  from matrice.chunk_embeddings where chunk_id = tests.id('alpha') and model = 'tiny';
select matrice.store_embeddings('tiny', array[tests.id('alpha')], '["[3,2,1]"]');
select is(matrice.store_embeddings('tiny', array[tests.id('nowhere'), tests.id('gamma')], '[[1,1,1], [0,1,0]]'), 1,
          'store_embeddings skips a chunk that does not exist and stores the others');
select results_eq($$select embedding::text from matrice.chunk_embeddings where chunk_id = tests.id('gamma')$$, $$values ('[0,1,0]')$$,
                  'store_embeddings beside a skipped chunk stores the right vector');
select is(matrice.store_embeddings('tiny', '{}', '[]'), 0, 'store_embeddings of empty lists returns 0');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'claim_chunks when every chunk is embedded: no rows');

-- Refused embeddings -----------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.store_embeddings('no-such', array[tests.id('beta')], '[[1,2,3]]')$$, '22023', 'store_embeddings refuses model no-such',
                     hint => '%embedding_models%');
select tests.refuses($$select matrice.store_embeddings(null, array[tests.id('beta')], '[[1,2,3]]')$$, '22004', 'store_embeddings refuses model null');
select tests.refuses($$select matrice.store_embeddings('tiny', null, '[[1,2,3]]')$$, '22004', 'store_embeddings refuses chunk_ids null');
select tests.refuses($$select matrice.store_embeddings('tiny', array[null::uuid], '[[1,2,3]]')$$, '22004', 'store_embeddings refuses a null in chunk_ids');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], null)$$, '22004', 'store_embeddings refuses embeddings null',
                     hint => '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '{}')$$, '22023',
                     'store_embeddings refuses embeddings that are an object', '%object%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '"[[1,2,3]]"')$$, '22023',
                     'store_embeddings refuses embeddings that are a string', '%string%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('beta')], '[[1,2,3],[1,2,3]]')$$, '22023',
                     'store_embeddings refuses more embeddings than chunk_ids', '%1%2%', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1,2,3]]')$$, '22023',
                     'store_embeddings refuses fewer embeddings than chunk_ids', '%2%1%', '%');
select tests.refuses(format($$select matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1,1,1], %s]')$$, bad), '22023',
                     'store_embeddings refuses every embedding when one is wrong: ' || what, '%', '%')
  from (values ('too short', '[1,2]'), ('too long', '[1,2,3,4]'), ('empty', '[]'),
        ('longer than pgvector can', (select jsonb_agg(1) from generate_series(1, 16001))::text),
               ('a number', '1'), ('null', 'null'), ('an object', '{"0": 1}'), ('a boolean', 'true'),
               ('of strings', '["1","2","3"]'), ('with NaN', '["NaN",1,2]'), ('with Infinity', '["Infinity",1,2]'), ('with null', '[null,1,2]'),
               ('nested', '[[1,2,3]]'), ('with a nested array', '[1,[2],3]'), ('beyond a float', '[1e39,1,1]'), ('a string of words', '"one, two, three"'),
               ('a string with NaN', '"[NaN,1,2]"'), ('a string without its end', '"[1,2,3"'), ('an empty string', '""'),
               ('base64 of two numbers', '"AACAPwAAIEA="'), ('base64 of half a number', '"AACAPwAAIECamZm+AAA="'), ('base64 without padding', '"AACAPwAAIEA"'),
               ('base64 with a blank', '"AACAPwAAIEC mZm+"'), ('base64 with NaN', '"AADAfwAAIECamZm+"'), ('base64 with Infinity', '"AACAfwAAIECamZm+"'),
               ('base64 of other digits', '"AACAPwAAIECamZm-"'),
               ('base64 that is too long', to_json(repeat('AACAPwAAIECamZm+', 20000))::text)) as bad (what, bad);
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1,1,1], ["x"]]')$$, '22023',
                     'store_embeddings says which embedding is not a vector', '%2%not a number%', '%finite numbers%base64%', 'an embedding is not a vector of numbers');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('alpha'), tests.id('beta')], '[[1,1,1], [0,0,0]]')$$, '22023',
                     'store_embeddings refuses all when one embedding is zeros', hint => '%');
select tests.refuses($$select matrice.store_embeddings('gte-small', array[tests.id('beta')], '[[1,2,3]]')$$, '22023',
                     'store_embeddings refuses the dimensions of another model', '%384%3%', '%');
select tests.unchanged('store_embeddings: refused calls change no row');

-- Services ---------------------------------------------------------------------------------------------------------

select tests.as_service();
update matrice.projects set settings = settings || '{"embedding_model": "text-embedding-ada-002"}' where id in (tests.id('atlas'), tests.id('cove'));
select is(tests.rows_of($$select * from matrice.claim_chunks('text-embedding-ada-002')$$), 4::bigint,
          'claim_chunks by a service returns chunks of every project');
select is(matrice.store_embeddings('tiny', array[tests.id('omega'), tests.id('beta')], '[[1,1,1],[0,0,1]]'), 2,
          'store_embeddings by a service stores for every project');

select * from finish();
rollback;
