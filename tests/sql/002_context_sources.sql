begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');
insert into matrice.projects (id, name, created_by) values (tests.id('cove'), 'Cove', tests.id('mallory'));

-- The words of a chunk, without its project.
create function tests.words(fts tsvector) returns tsvector language sql as $$ select ts_delete(fts, matrice_private.project_word(tests.id('atlas'))) $$;

-- What a client may leave out --------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.context_sources (id, project_id, type, name, storage_path, status, raw_metadata, token_count, processed_at)
values (tests.id('log'), tests.id('atlas'), 'pdf', 'Log', 'atlas/log.pdf', 'processing', '{"pages": 3}', 12, now());
insert into matrice.context_sources (id, project_id, name) values (tests.id('note'), tests.id('atlas'), 'Note'), (tests.id('map'), tests.id('borea'), 'Map');
select results_eq(
  $$select type, status, raw_metadata, token_count, storage_path, processed_at, created_at
      from matrice.context_sources where id = tests.id('note')$$,
  $$values ('file', 'pending', '{}'::jsonb, null::integer, null::text, null::timestamptz, now())$$,
  'A source needs a project and a name; it is a pending file otherwise');

insert into matrice.source_chunks (id, source_id, chunk_index, content) values
  (tests.id('first'), tests.id('log'), 0, 'The wind rose at dawn'),
  (tests.id('second'), tests.id('log'), 1, 'Les vents se levaient');
select results_eq(
  $$select project_id, token_count, metadata, tests.words(fts) from matrice.source_chunks where id = tests.id('first')$$,
  $$values (tests.id('atlas'), matrice.count_tokens('The wind rose at dawn'), '{}'::jsonb,
            to_tsvector('simple', 'The wind rose at dawn'))$$,
  'A chunk takes its project from its source; its tokens are counted and its words indexed');
insert into matrice.source_chunks (id, source_id, chunk_index, content, token_count) values (tests.id('counted'), tests.id('log'), 2, 'Counted elsewhere', 41);
select is(token_count, matrice.count_tokens(content), 'L4: source_chunks.token_count is counted, whatever the client says') from matrice.source_chunks where id = tests.id('counted');

update matrice.source_chunks set content = 'The wind fell at dusk, and nobody wrote down why' where id = tests.id('first');
select results_eq(
  $$select token_count, tests.words(fts) from matrice.source_chunks where id = tests.id('first')$$,
  $$values (matrice.count_tokens('The wind fell at dusk, and nobody wrote down why'),
            to_tsvector('simple', 'The wind fell at dusk, and nobody wrote down why'))$$,
  'A changed text is counted and indexed again');
update matrice.source_chunks set token_count = 0 where id = tests.id('first');
select is(token_count, matrice.count_tokens(content), 'L4: an update does not change the count either') from matrice.source_chunks where id = tests.id('first');
update matrice.source_chunks set fts = 'forged' where id = tests.id('first');
select is(tests.words(fts), to_tsvector('simple', content), 'A client does not write the full-text index') from matrice.source_chunks where id = tests.id('first');
select lives_ok($$update matrice.source_chunks set chunk_index = 2 - chunk_index where source_id = tests.id('log')$$,
                'One statement may renumber the chunks of a source');

-- The project's language -------------------------------------------------------------------------------------------

insert into matrice.insights (id, project_id, type, title, content) values (tests.id('insight'), tests.id('atlas'), 'pattern', 'Vents', 'Les vents se levaient');
select tests.as_user('alice');
update matrice.projects set settings = '{"language": "french"}' where id = tests.id('atlas');
select is(tests.words(fts), to_tsvector('french', content), 'A project''s new language indexes its chunks again')
  from matrice.source_chunks where id = tests.id('second');
select is(fts, setweight(to_tsvector('french', 'Vents'), 'A') || setweight(to_tsvector('french', 'Les vents se levaient'), 'B'),
          'A project''s new language indexes its insights again')
  from matrice.insights where id = tests.id('insight');
select tests.refuses($$update matrice.projects set settings = '{"language": "klingon"}' where id = tests.id('atlas')$$, '22023',
                     'A language that Postgres does not know is refused', hint => '%french%');
select tests.refuses($$update matrice.projects set settings = '{"language": {"of": "all"}}' where id = tests.id('atlas')$$, '22023',
                     'So is a language that is no name', hint => '%');
select tests.refuses($$select matrice.create_project('x', settings => '{"embedding_model": "no-such"}')$$, '22023',
                     'So is an embedding model that is not declared', hint => '%text-embedding-3-small%embedding_models%');
update matrice.projects set settings = '{}' where id = tests.id('atlas');
select is(tests.words(fts), to_tsvector('simple', content), 'Without a language a chunk is indexed as it is written')
  from matrice.source_chunks where id = tests.id('second');

-- What a chunk is filtered by -------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata) values (tests.id('tagged'), tests.id('log'), 50, 'Tagged', '{"pages": 4, "tag": "a"}');
select tests.as_owner();
create function tests.filterable() returns jsonb language sql as $$ select filterable from matrice.source_chunks where id = tests.id('tagged') $$;
select tests.as_user('edith');
select is(tests.filterable(), jsonb_build_object('type', 'pdf', 'pages', 4, 'tag', 'a', 'matrice.project', tests.id('atlas')),
          'A chunk is filtered by its metadata over its source''s');
update matrice.source_chunks set metadata = '{"tag": "b"}' where id = tests.id('tagged');
select is(tests.filterable(), jsonb_build_object('type', 'pdf', 'pages', 3, 'tag', 'b', 'matrice.project', tests.id('atlas')), 'By its new metadata');
update matrice.context_sources set raw_metadata = '{"lang": "fr"}', type = 'api' where id = tests.id('log');
select is(tests.filterable(), jsonb_build_object('type', 'api', 'lang', 'fr', 'tag', 'b', 'matrice.project', tests.id('atlas')), 'And by its source''s new metadata');
update matrice.source_chunks set filterable = '{"tag": "forged"}' where id = tests.id('tagged');
select is(tests.filterable() ->> 'tag', 'b', 'A client does not write what it is filtered by');
delete from matrice.source_chunks where id = tests.id('tagged');

-- Refused rows -----------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$insert into matrice.context_sources (project_id, name, status) values (tests.id('atlas'), 'x', 'done')$$, '23514', 'An unknown status is refused');
select tests.refuses($$insert into matrice.context_sources (project_id, name) values (tests.id('atlas'), null)$$, '23502', 'A source needs a name');
select tests.refuses($$insert into matrice.context_sources (name) values ('x')$$, '42501', 'A source needs a project');
select tests.refuses($$insert into matrice.context_sources (project_id, name, raw_metadata) values (tests.id('atlas'), 'x', '[]')$$, '23514', 'A source''s metadata are an object');
select tests.refuses($$insert into matrice.context_sources (project_id, name, token_count) values (tests.id('atlas'), 'x', -1)$$, '23514', 'A source has no negative number of tokens');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 1, 'x')$$, '23505', 'A source has one chunk at each index');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), -1, 'x')$$, '23514', 'No chunk stands before the first');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 9, null)$$, '23502', 'A chunk needs a text');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content, metadata) values (tests.id('log'), 9, 'x', '"page 1"')$$, '23514', 'A chunk''s metadata are an object');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content, start_char, end_char) values (tests.id('log'), 9, 'x', 5, 4)$$, '23514', 'A chunk does not end before it starts');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content, start_char, end_char) values (tests.id('log'), 9, 'x', -1, 4)$$, '23514', 'A chunk does not start before the text');

select tests.refuses($$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (tests.id('log'), tests.id('borea'), 9, 'x')$$, '42501',
                     'A chunk cannot name another project than its source''s, even to a member of both');
select tests.refuses($$update matrice.source_chunks set project_id = tests.id('borea') where id = tests.id('first')$$, '42501', 'A chunk cannot move to another project', '%', '%');
select tests.refuses($$update matrice.source_chunks set source_id = tests.id('map') where id = tests.id('first')$$, '42501', 'A chunk cannot move to another project''s source');
select tests.refuses($$update matrice.context_sources set project_id = tests.id('borea') where id = tests.id('note')$$, '42501', 'A source cannot move to another project, not even without chunks', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 9, 'x')$$, '42501', 'Nobody adds chunks to somebody else''s source');
select tests.refuses($$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (tests.id('log'), tests.id('cove'), 9, 'x')$$, '42501',
                     'Somebody else''s source cannot be claimed for one''s own project');
select tests.refuses($$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (tests.id('log'), tests.id('atlas'), 9, 'x')$$, '42501', 'Naming somebody else''s project does not help');
select is(tests.rows_of($$update matrice.context_sources set project_id = tests.id('cove')$$), 0::bigint, 'Somebody else''s sources cannot be moved to one''s own project');
select is(tests.rows_of($$delete from matrice.source_chunks$$), 0::bigint, 'Somebody else''s chunks cannot be deleted');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.context_sources (project_id, name) values (tests.id('atlas'), 'x')$$, '42501', 'A viewer adds no source');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('log'), 9, 'x')$$, '42501', 'A viewer adds no chunk');
select is(tests.rows_of($$update matrice.source_chunks set content = 'x'$$), 0::bigint, 'A viewer changes no chunk');
select is(tests.rows_of($$delete from matrice.context_sources$$), 0::bigint, 'A viewer deletes no source');
select is(tests.rows_of($$select from matrice.source_chunks$$), 3::bigint, 'A viewer reads every chunk');
select tests.unchanged('Refused sources and chunks leave no trace');

select tests.as_user('edith');
delete from matrice.context_sources where id = tests.id('log');
select tests.as_owner();
select is_empty($$select from matrice.source_chunks where source_id = tests.id('log')$$, 'A deleted source takes its chunks along');

select * from finish();
rollback;
