begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');
insert into matrice.projects (id, name, created_by) values (tests.id('cove'), 'Cove', tests.id('mallory'));

-- What a client may leave out --------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.context_sources (id, project_id, type, name, storage_path, status, raw_metadata, token_count, processed_at)
values (tests.id('log'), tests.id('atlas'), 'pdf', 'Log', 'atlas/log.pdf', 'processing', '{"pages": 3}', 12, now());
insert into matrice.context_sources (id, project_id, name) values (tests.id('note'), tests.id('atlas'), 'Note'), (tests.id('map'), tests.id('borea'), 'Map');
select results_eq(
  $$select type, status, raw_metadata, token_count, storage_path, processed_at, created_at
      from matrice.context_sources where id = tests.id('note')$$,
  $$values ('file', 'pending', '{}'::jsonb, null::integer, null::text, null::timestamptz, now())$$,
  'context_sources: an insert of project_id and name alone gets the defaults');

insert into matrice.source_chunks (id, source_id, chunk_index, content) values
  (tests.id('first'), tests.id('log'), 0, 'The wind rose at dawn'),
  (tests.id('second'), tests.id('log'), 1, 'Les vents se levaient');
select results_eq(
  $$select project_id, token_count, metadata, fts from matrice.source_chunks where id = tests.id('first')$$,
  $$values (tests.id('atlas'), matrice.count_tokens('The wind rose at dawn'), '{}'::jsonb,
            matrice_private.text_vector('The wind rose at dawn', 'simple'))$$,
  'source_chunks: an insert fills project_id, token_count and fts');
insert into matrice.source_chunks (id, source_id, chunk_index, content, token_count) values (tests.id('counted'), tests.id('log'), 2, 'Counted elsewhere', 41);
select is(token_count, matrice.count_tokens(content), 'L4: source_chunks.token_count is counted, whatever the client says')
  from matrice.source_chunks where id = tests.id('counted');

update matrice.source_chunks set content = 'The wind fell at dusk, and nobody wrote down why' where id = tests.id('first');
select results_eq(
  $$select token_count, fts from matrice.source_chunks where id = tests.id('first')$$,
  $$values (matrice.count_tokens('The wind fell at dusk, and nobody wrote down why'),
            matrice_private.text_vector('The wind fell at dusk, and nobody wrote down why', 'simple'))$$,
  'source_chunks: an update of content counts and indexes it again');
update matrice.source_chunks set token_count = 0 where id = tests.id('first');
select is(token_count, matrice.count_tokens(content), 'L4: source_chunks: an update of token_count keeps the counted value')
  from matrice.source_chunks where id = tests.id('first');
update matrice.source_chunks set fts = 'forged' where id = tests.id('first');
select is(fts, matrice_private.text_vector(content, 'simple'), 'source_chunks: an update of fts by a client has no effect')
  from matrice.source_chunks where id = tests.id('first');
select lives_ok($$update matrice.source_chunks set chunk_index = 2 - chunk_index where source_id = tests.id('log')$$,
                'source_chunks: one update can renumber every chunk_index of a source');

-- The project's language -------------------------------------------------------------------------------------------

insert into matrice.insights (id, project_id, type, title, content)
values (tests.id('insight'), tests.id('atlas'), 'pattern', 'Vents', 'Les vents se levaient');
select tests.as_user('alice');
update matrice.projects set settings = '{"language": "french"}' where id = tests.id('atlas');
select is(fts, matrice_private.text_vector(content, 'french'), 'projects: an update of language indexes the chunks again')
  from matrice.source_chunks where id = tests.id('second');
select is(fts, matrice_private.text_vector(E'Vents\n\nVents\n\nLes vents se levaient', 'french'),
          'projects: an update of language indexes the insights again')
  from matrice.insights where id = tests.id('insight');
select tests.refuses($$update matrice.projects set settings = '{"language": "klingon"}' where id = tests.id('atlas')$$, '22023',
                     'projects refuses language klingon', hint => '%french%');
select tests.refuses($$update matrice.projects set settings = '{"language": {"of": "all"}}' where id = tests.id('atlas')$$, '22023',
                     'projects refuses a language that is an object', hint => '%');
select tests.refuses($$select matrice.create_project('x', settings => '{"embedding_model": "no-such"}')$$, '22023',
                     'create_project refuses an embedding_model that is not declared', hint => '%text-embedding-3-small%embedding_models%');
update matrice.projects set settings = '{}' where id = tests.id('atlas');
select is(fts, matrice_private.text_vector(content, 'simple'), 'source_chunks without a project language: fts uses simple')
  from matrice.source_chunks where id = tests.id('second');

-- What a chunk is filtered by -------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
values (tests.id('tagged'), tests.id('log'), 50, 'Tagged', '{"pages": 4, "tag": "a"}');
select tests.as_owner();
create function tests.filterable() returns jsonb language sql as $$ select filterable from matrice.source_chunks where id = tests.id('tagged') $$;
select tests.as_user('edith');
select is(tests.filterable(), jsonb_build_object('type', 'pdf', 'pages', 4, 'tag', 'a', 'matrice.project', tests.id('atlas')),
          'source_chunks.filterable joins type, raw_metadata and metadata; metadata wins');
update matrice.source_chunks set metadata = '{"tag": "b"}' where id = tests.id('tagged');
select is(tests.filterable(), jsonb_build_object('type', 'pdf', 'pages', 3, 'tag', 'b', 'matrice.project', tests.id('atlas')),
          'source_chunks.filterable follows an update of metadata');
update matrice.context_sources set raw_metadata = '{"lang": "fr"}', type = 'api' where id = tests.id('log');
select is(tests.filterable(), jsonb_build_object('type', 'api', 'lang', 'fr', 'tag', 'b', 'matrice.project', tests.id('atlas')),
          'source_chunks.filterable follows an update of the source''s type and raw_metadata');
update matrice.source_chunks set filterable = '{"tag": "forged"}' where id = tests.id('tagged');
select is(tests.filterable() ->> 'tag', 'b', 'source_chunks: an update of filterable by a client has no effect');
delete from matrice.source_chunks where id = tests.id('tagged');

-- Refused rows -----------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$insert into matrice.context_sources (project_id, name, status) values (tests.id('atlas'), 'x', 'done')$$, '23514',
                     'context_sources refuses status done');
select tests.refuses($$insert into matrice.context_sources (project_id, name) values (tests.id('atlas'), null)$$, '23502', 'context_sources refuses name null');
select tests.refuses($$insert into matrice.context_sources (name) values ('x')$$, '42501', 'context_sources refuses project_id null');
select tests.refuses($$insert into matrice.context_sources (project_id, name, raw_metadata) values (tests.id('atlas'), 'x', '[]')$$, '23514',
                     'context_sources refuses raw_metadata that is an array');
select tests.refuses($$insert into matrice.context_sources (project_id, name, token_count) values (tests.id('atlas'), 'x', -1)$$, '23514',
                     'context_sources refuses token_count -1');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 1, 'x')$$, '23505',
                     'source_chunks refuses a chunk_index that the source has already');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), -1, 'x')$$, '23514',
                     'source_chunks refuses chunk_index -1');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 9, null)$$, '23502',
                     'source_chunks refuses content null');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content, metadata) values (tests.id('log'), 9, 'x', '"page 1"')$$, '23514',
                     'source_chunks refuses metadata that is a string');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content, start_char, end_char) values (tests.id('log'), 9, 'x', 5, 4)$$,
                     '23514', 'source_chunks refuses end_char below start_char');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content, start_char, end_char) values (tests.id('log'), 9, 'x', -1, 4)$$,
                     '23514', 'source_chunks refuses start_char -1');

select tests.refuses($$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (tests.id('log'), tests.id('borea'), 9, 'x')$$, '42501',
                     'source_chunks refuses a project_id that is not the source''s, even from a member of both');
select tests.refuses($$update matrice.source_chunks set project_id = tests.id('borea') where id = tests.id('first')$$, '42501',
                     'source_chunks refuses an update of project_id', '%', '%');
select tests.refuses($$update matrice.source_chunks set source_id = tests.id('map') where id = tests.id('first')$$, '42501',
                     'source_chunks refuses an update of source_id to another project''s source');
select tests.refuses($$update matrice.context_sources set project_id = tests.id('borea') where id = tests.id('note')$$, '42501',
                     'context_sources refuses an update of project_id, even without chunks', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 9, 'x')$$, '42501',
                     'source_chunks refuses an outsider an insert into another''s source');
select tests.refuses($$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (tests.id('log'), tests.id('cove'), 9, 'x')$$, '42501',
                     'source_chunks refuses an insert with another''s source and one''s own project');
select tests.refuses($$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (tests.id('log'), tests.id('atlas'), 9, 'x')$$,
                     '42501', 'source_chunks refuses an insert with another''s source and its project');
select is(tests.rows_of($$update matrice.context_sources set project_id = tests.id('cove')$$), 0::bigint,
          'context_sources: an outsider''s update of project_id changes no row');
select is(tests.rows_of($$delete from matrice.source_chunks$$), 0::bigint, 'source_chunks: a delete by an outsider deletes no row');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.context_sources (project_id, name) values (tests.id('atlas'), 'x')$$, '42501',
                     'context_sources refuses a viewer an insert');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 9, 'x')$$, '42501',
                     'source_chunks refuses a viewer an insert');
select is(tests.rows_of($$update matrice.source_chunks set content = 'x'$$), 0::bigint, 'source_chunks: an update by a viewer changes no row');
select is(tests.rows_of($$delete from matrice.context_sources$$), 0::bigint, 'context_sources: a delete by a viewer deletes no row');
select is(tests.rows_of($$select from matrice.source_chunks$$), 3::bigint, 'source_chunks for a viewer: every chunk');
select tests.unchanged('context_sources and source_chunks: refused statements change no row');

select tests.as_user('edith');
delete from matrice.context_sources where id = tests.id('log');
select tests.as_owner();
select is_empty($$select from matrice.source_chunks where source_id = tests.id('log')$$, 'context_sources: a delete deletes the chunks');

select * from finish();
rollback;
