begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');
create function tests.versions(source uuid) returns text language sql as $$
  select string_agg(version || case when is_current then '*' else '' end, ' ' order by version) from matrice.source_history(source)
$$;
create function tests.chunks_of(source uuid) returns text language sql as $$
  select string_agg(content, '|' order by chunk_index) from matrice.source_chunks where source_id = source
$$;
create function tests.vectors(source text) returns text language sql as $$
  select string_agg(c.content || ' ' || coalesce(e.model || e.embedding::text, '-'), '; ' order by c.chunk_index, e.model)
    from matrice.source_chunks c left join matrice.chunk_embeddings e on e.chunk_id = c.id where c.source_id = tests.id(source)
$$;
create function tests.chunk(source text, place integer) returns uuid language sql as $$
  select id from matrice.source_chunks where source_id = tests.id(source) and chunk_index = place
$$;

select tests.as_user('edith');

-- A new text is a new version ----------------------------------------------------------------------------------------------

select tests.remember('doc', matrice.ingest_source(tests.id('atlas'), 'doc', 'One is red. Two is blue. Three is green.', max_tokens => 5, overlap_tokens => 0,
                                                   spans => '[{"start_char": 0, "page": 1}, {"start_char": 13, "page": 2}]'));
select results_eq($$select version, created_by, characters, token_count, format, max_tokens, overlap_tokens, is_current from matrice.source_history(tests.id('doc'))$$,
                  $$select 1, tests.id('edith'), 40, matrice.count_tokens('One is red. Two is blue. Three is green.'), 'text', 5, 0, true$$,
                  'source_history lists the text that ingest_source stored');
select is(matrice.source_text(tests.id('doc')), 'One is red. Two is blue. Three is green.', 'source_text returns the text');
create temp table before as select ctid::text as place from matrice.source_texts;
select matrice.chunk_source(tests.id('doc'), 'One is red. Two is blue. Three is green.');
select set_eq($$select ctid::text as place from matrice.source_texts$$, $$table before$$, 'chunk_source with the same text writes no version');
select matrice.chunk_source(tests.id('doc'), 'One is red. Two is blue. Three is green.', max_tokens => 100);
select results_eq($$select version, max_tokens, is_current from matrice.source_history(tests.id('doc'))$$, $$values (1, 100, true)$$,
                  'chunk_source with the same text and another max_tokens makes no version, but the version has the options');
select isnt((select spans from matrice.source_texts where source_id = tests.id('doc')), null, 'chunk_source with the same text and no spans keeps the spans');
select matrice.chunk_source(tests.id('doc'), 'One is red. Four is grey.', max_tokens => 5);
select is(tests.versions(tests.id('doc')), '1 2*', 'chunk_source with another text adds a version');
select is(matrice.source_text(tests.id('doc')), 'One is red. Four is grey.', 'source_text returns the newest text');
select is(matrice.source_text(tests.id('doc'), 1), 'One is red. Two is blue. Three is green.', 'source_text returns an old version');
select tests.remember('one', (select id from matrice.source_chunks where source_id = tests.id('doc') and chunk_index = 0));

-- Restoring ------------------------------------------------------------------------------------------------------------------

select results_eq($$select total, added, kept, removed from matrice.restore_source(tests.id('doc'), 1)$$, $$values (1, 1, 0, 2)$$,
                  'restore_source cuts the old text with its options');
select is(tests.versions(tests.id('doc')), '1 2 3*', 'restore_source makes a new version');
select is(matrice.source_text(tests.id('doc')), matrice.source_text(tests.id('doc'), 1), 'restore_source: the new version has the old text');
select results_eq($$select metadata from matrice.source_chunks where source_id = tests.id('doc')$$, $$values ('{"pages": [1, 2]}'::jsonb)$$,
                  'restore_source: the pages come back with the text');
select results_eq($$select total, added, kept, removed from matrice.restore_source(tests.id('doc'), 3)$$, $$values (1, 0, 1, 0)$$,
                  'restore_source of the newest version changes nothing');
select is(tests.versions(tests.id('doc')), '1 2 3*', 'restore_source of the newest version makes no version');
select tests.refuses(format('select * from matrice.restore_source(tests.id(''doc''), %s)', version), 'PT404', 'restore_source of version ' || version || ': not found', hint => '%source_history%')
    || E'\n' || tests.refuses(format('select matrice.source_text(tests.id(''doc''), %s)', version), 'PT404', 'source_text of version ' || version || ': not found', hint => '%source_history%')
  from unnest(array[0, -1, 4, 2147483647, -2147483648]) version;
select tests.refuses($$select * from matrice.restore_source(tests.id('doc'), null)$$, '22004', 'restore_source refuses version null');
select is(tests.versions(tests.id('doc')), '1 2 3*', 'Refused calls make no version');

-- sync_source ------------------------------------------------------------------------------------------------------------------

select tests.remember('synced', source_id) from matrice.sync_source(tests.id('atlas'), 'key', 'first text');
select matrice.sync_source(tests.id('atlas'), 'key', 'first text');
select is(tests.versions(tests.id('synced')), '1*', 'sync_source of the same text makes no version');
select matrice.sync_source(tests.id('atlas'), 'key', 'second text');
select is(tests.versions(tests.id('synced')), '1 2*', 'sync_source of another text makes a version');
select matrice.restore_source(tests.id('synced'), 1);
select is((select action from matrice.sync_source(tests.id('atlas'), 'key', 'second text')), 'updated', 'sync_source after restore_source puts the text in step again');
select is(tests.versions(tests.id('synced')), '1 2 3 4*', 'restore_source and sync_source each made a version');

-- rechunk ------------------------------------------------------------------------------------------------------------------

update matrice.source_chunks set metadata = metadata || '{"reviewed": true}' where source_id = tests.id('doc');
select set_eq($$select r.source_id, r.total from matrice.rechunk(tests.id('atlas'), max_tokens => 5, overlap_tokens => 0) r$$,
                  $$values (tests.id('doc'), 3), (tests.id('synced'), 1)$$, 'rechunk cuts all sources of a project');
select results_eq($$select content, metadata from matrice.source_chunks where source_id = tests.id('doc') order by chunk_index$$,
                  $$values ('One is red.', '{"pages": [1]}'::jsonb), ('Two is blue.', '{"pages": [1, 2]}'), ('Three is green.', '{"pages": [2]}')$$,
                  'rechunk: the chunks have the pages of the stored spans');
create temp table chunk_ids as select id from matrice.source_chunks where source_id = tests.id('doc');
update matrice.source_chunks set metadata = metadata || '{"reviewed": true}' where source_id = tests.id('doc') and chunk_index = 1;
select results_eq($$select total, added, kept, removed from matrice.rechunk(tests.id('atlas'), source_ids => array[tests.id('doc')])$$, $$values (3, 0, 3, 0)$$,
                  'rechunk with the options of the last time keeps all chunks');
select set_eq($$select id from matrice.source_chunks where source_id = tests.id('doc')$$, $$table chunk_ids$$, 'rechunk keeps the ids of chunks whose text stays');
select is((select metadata ->> 'reviewed' from matrice.source_chunks where source_id = tests.id('doc') and chunk_index = 1), 'true',
          'rechunk: a client''s metadata survive where the text does');
select is(tests.versions(tests.id('doc')), '1 2 3*', 'rechunk makes no version');
select results_eq($$select format, max_tokens from matrice.source_history(tests.id('doc')) where is_current$$, $$values ('text', 5)$$, 'rechunk: the version has the options');
select is_empty($$select * from matrice.rechunk(tests.id('atlas'), source_ids => '{}')$$, 'rechunk of no sources does nothing');
select is_empty($$select * from matrice.rechunk(tests.id('borea'))$$, 'rechunk of a project without sources returns nothing');
select tests.refuses($$select * from matrice.rechunk(tests.id('atlas'), format => 'klingon')$$, '22023', 'rechunk refuses an unknown format');
select tests.refuses($$select * from matrice.rechunk(tests.id('atlas'), max_tokens => 0)$$, '22023', 'rechunk refuses max_tokens 0');
select tests.refuses($$select * from matrice.rechunk(tests.id('atlas'), max_tokens => 10, overlap_tokens => 6)$$, '22023', 'rechunk refuses an overlap of more than half');
select tests.refuses($$select * from matrice.rechunk(tests.id('atlas'), source_ids => array[null]::uuid[])$$, '22023', 'rechunk refuses null among source_ids');
select tests.refuses($$select * from matrice.rechunk(tests.id('atlas'), source_ids => array[[tests.id('doc')]])$$, '22023', 'rechunk refuses an array of arrays');
select tests.refuses($$select * from matrice.rechunk(tests.id('borea'), source_ids => array[tests.id('doc')])$$, 'PT404', 'rechunk refuses a source of another project');
select tests.refuses($$select * from matrice.rechunk(tests.id('atlas'), source_ids => array[gen_random_uuid()])$$, 'PT404', 'rechunk refuses an unknown source');

-- Who may ------------------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select is(matrice.source_text(tests.id('doc'), 2), 'One is red. Four is grey.', 'source_text serves a viewer');
select is(tests.versions(tests.id('doc')), '1 2 3*', 'source_history serves a viewer');
select tests.refuses(call, '42501', 'A viewer is refused: ' || call) from unnest(array[
  $$select * from matrice.restore_source(tests.id('doc'), 1)$$, $$select * from matrice.rechunk(tests.id('atlas'))$$,
  $$select matrice.ingest_chunks(tests.id('atlas'), 'x', '[{"content": "x"}]')$$, $$select * from matrice.replace_chunks(tests.id('doc'), '[{"content": "x"}]')$$]) call;
select matrice_private.keep_text_of_member(tests.id('doc'), 'forged', 'text', 5, 0, 1, null);
select is(tests.versions(tests.id('doc')), '1 2 3*', 'keep_text_of_member does nothing for a viewer');
select tests.as_user('mallory');
select tests.refuses(call, 'PT404', 'A stranger finds nothing: ' || call) from unnest(array[
  $$select matrice.source_text(tests.id('doc'))$$, $$select * from matrice.source_history(tests.id('doc'))$$,
  $$select * from matrice.restore_source(tests.id('doc'), 1)$$, $$select * from matrice.rechunk(tests.id('atlas'))$$,
  $$select matrice.ingest_chunks(tests.id('atlas'), 'x', '[{"content": "x"}]')$$, $$select * from matrice.replace_chunks(tests.id('doc'), '[{"content": "x"}]')$$]) call;
select is_empty($$select from matrice.source_texts$$, 'source_texts: a stranger reads none');
select matrice_private.keep_text_of_member(tests.id('doc'), 'forged', 'text', 5, 0, 1, null);
select tests.refuses(format('select %s', call), '42501', 'A user is refused: ' || call) from unnest(array[
  $$matrice_private.keep_text(tests.id('doc'), 'forged', 'text', 5, 0, 1, null)$$, $$matrice_private.embedded_twins('{}', null)$$,
  $$matrice_private.waiting_twins('{}', 'x', null)$$]) call;
select tests.as_user('alice');
select is(tests.versions(tests.id('doc')), '1 2 3*', 'keep_text_of_member does nothing for a stranger');
select tests.refuses(statement, '42501', 'An owner is refused: ' || left(statement, 40)) from unnest(array[
  $$insert into matrice.source_texts (source_id, version, project_id, content, characters, format, max_tokens, overlap_tokens)
    values (tests.id('doc'), 9, tests.id('atlas'), 'x', 1, 'text', 5, 0)$$,
  $$update matrice.source_texts set content = 'never said'$$, $$delete from matrice.source_texts where version = 1$$]) statement;
select tests.as_service();
select tests.refuses(statement, '42501', 'A service is refused: ' || left(statement, 40)) from unnest(array[
  $$update matrice.source_texts set content = 'never said'$$, $$delete from matrice.source_texts where version = 1$$]) statement;
select lives_ok($$select * from matrice.chunk_source(tests.id('synced'), 'third text')$$, 'chunk_source by a service');
select results_eq($$select version, created_by from matrice.source_history(tests.id('synced')) where is_current$$, $$values (5, null::uuid)$$,
                  'chunk_source by a service stores a version by nobody');
select tests.as_owner();
select tests.refuses($$update matrice.source_texts set project_id = tests.id('borea')$$, '42501', 'source_texts: a row stays in its project');

-- Settings ------------------------------------------------------------------------------------------------------------------

select tests.refuses(format('update matrice.projects set settings = %L where id = tests.id(''atlas'')', settings), '22023', 'Settings are refused: ' || settings)
  from unnest(array['{"keep_source_texts": "false"}', '{"keep_source_texts": 0}', '{"keep_source_texts": null}', '{"keep_source_versions": 0}',
                    '{"keep_source_versions": 1001}', '{"keep_source_versions": 1.5}', '{"keep_source_versions": "1"}', '{"keep_source_versions": 1e400}']) settings;
select tests.as_user('alice');
update matrice.projects set settings = '{"keep_source_versions": 2}' where id = tests.id('atlas');
select is(tests.versions(tests.id('doc')) || ', ' || tests.versions(tests.id('synced')), '2 3*, 4 5*', 'keep_source_versions deletes older versions');
select tests.as_user('edith');
select matrice.chunk_source(tests.id('doc'), 'Five is white.');
select is(tests.versions(tests.id('doc')), '3 4*', 'keep_source_versions: a new version pushes the oldest one out');
select tests.as_user('alice');
update matrice.projects set settings = '{"keep_source_texts": false}' where id = tests.id('atlas');
select is_empty($$select from matrice.source_texts where project_id = tests.id('atlas')$$, 'keep_source_texts false deletes the texts');
select tests.as_user('edith');
select matrice.chunk_source(tests.id('doc'), 'Six is black.');
select is_empty($$select * from matrice.source_history(tests.id('doc'))$$, 'keep_source_texts false: chunk_source stores no text');
select tests.refuses($$select matrice.source_text(tests.id('doc'))$$, 'PT404', 'source_text of a text that is not stored: not found', '%', '%keep_source_texts%');
select set_eq($$select r.source_id, r.total, r.added from matrice.rechunk(tests.id('atlas')) r$$,
                  $$values (tests.id('doc'), null::integer, null::integer), (tests.id('synced'), null, null)$$, 'rechunk names sources whose text is not stored');
select is(tests.chunks_of(tests.id('doc')), 'Six is black.', 'rechunk leaves them as they are');
select tests.as_user('alice');
update matrice.projects set settings = '{}' where id = tests.id('atlas');
select tests.as_user('edith');
select is((select action from matrice.sync_source(tests.id('atlas'), 'key', 'third text')), 'unchanged', 'sync_source of the same text, when texts are kept again');
select is(tests.versions(tests.id('synced')), '1*', 'sync_source stores a text again when texts are kept again');

-- Chunks of a client ------------------------------------------------------------------------------------------------------

select tests.remember('own', matrice.ingest_chunks(tests.id('borea'), 'own',
  '[{"content": "red words", "start_char": 0, "end_char": 9, "metadata": {"page": 1, "tag": "a"}, "token_count": 999}, {"content": "blue words"}]',
  'api', 'path', '{"origin": "x"}'));
select results_eq($$select chunk_index, content, token_count, start_char, end_char, metadata, filterable ->> 'origin', fts is not null
                      from matrice.source_chunks where source_id = tests.id('own') order by 1$$,
                  $$values (0, 'red words', 2, 0, 9, '{"tag": "a", "page": 1}'::jsonb, 'x', true), (1, 'blue words', 2, null, null, '{}', 'x', true)$$,
                  'ingest_chunks stores chunks, and counts their tokens itself');
select results_eq($$select name, type, storage_path, status, token_count, format, max_tokens, raw_metadata, processed_at is not null from matrice.context_sources where id = tests.id('own')$$,
                  $$values ('own', 'api', 'path', 'processing', 4, null::text, null::integer, '{"origin": "x"}'::jsonb, true)$$, 'ingest_chunks adds a source');
select is_empty($$select * from matrice.source_history(tests.id('own'))$$, 'ingest_chunks stores no text');
select tests.refuses($$select matrice.source_text(tests.id('own'))$$, 'PT404', 'source_text of a source that a client cut: not found');
select results_eq($$select r.source_id, r.total from matrice.rechunk(tests.id('borea'), max_tokens => 1, overlap_tokens => 0) r$$, $$values (tests.id('own'), null::integer)$$,
                  'rechunk names a source that a client cut, with total null');
select is(tests.chunks_of(tests.id('own')), 'red words|blue words', 'rechunk leaves its chunks as they are');
create temp table own as select id, content from matrice.source_chunks where source_id = tests.id('own');
select results_eq($$select * from matrice.replace_chunks(tests.id('own'),
                      '[{"content": "new"}, {"content": "red words", "start_char": 5, "end_char": 14}, {"content": "blue words", "metadata": {"tag": "b"}}]')$$,
                  $$values (3, 1, 2, 0)$$, 'replace_chunks keeps chunks with the same text');
select results_eq($$select c.content, c.chunk_index, c.metadata, c.filterable ->> 'tag' from matrice.source_chunks c join own using (id, content) order by 2$$,
                  $$values ('red words', 1, '{"tag": "a"}'::jsonb, 'a'), ('blue words', 2, '{"tag": "b"}', 'b')$$,
                  'replace_chunks keeps ids; metadata stay where none are given, without the page of a chunk that moved');
select results_eq($$select * from matrice.replace_chunks(tests.id('own'), '[{"content": "blue words"}]')$$, $$values (1, 0, 1, 2)$$, 'replace_chunks removes what is gone');
select matrice.chunk_source(tests.id('own'), 'red words');
select is(tests.versions(tests.id('own')), '1*', 'chunk_source gives a source that a client cut a text');
select matrice.replace_chunks(tests.id('own'), '[{"content": "other"}]');
select is(tests.versions(tests.id('own')), '1', 'replace_chunks: the text is in the history, but is not current');
select tests.refuses($$select matrice.source_text(tests.id('own'))$$, 'PT404', 'source_text: the chunks come from no stored text');
select results_eq($$select * from matrice.restore_source(tests.id('own'), 1)$$, $$values (1, 1, 0, 1)$$, 'restore_source brings a text back');
select is(tests.versions(tests.id('own')), '1*', 'restore_source of the newest text makes it current again');
select results_eq($$select * from matrice.replace_chunks(tests.id('own'), '[{"content": "twice"}, {"content": "twice"}, {"content": "once"}]')$$, $$values (3, 3, 0, 1)$$,
                  'replace_chunks takes a text twice');
select results_eq($$select * from matrice.replace_chunks(tests.id('own'), '[{"content": "once", "metadata": null, "start_char": null}, {"content": "twice"}]')$$, $$values (2, 0, 2, 1)$$,
                  'replace_chunks takes null for what a chunk has not');

create temp table wrong (chunks jsonb);
insert into wrong values
  ('{}'), ('null'), ('1'), ('[]'), ('[1]'), ('[null]'), ('["text"]'), ('[[]]'), ('[{}]'), ('[{"content": null}]'), ('[{"content": 1}]'), ('[{"content": ""}]'),
  ('[{"content": " \n\t"}]'), ('[{"content": "x"}, {"page_content": "y"}]'), ('[{"content": "x", "extra": 1}]'), ('[{"content": "x", "start_char": -1}]'),
  ('[{"content": "x", "start_char": 1.5}]'), ('[{"content": "x", "start_char": "1"}]'), ('[{"content": "x", "end_char": 1e400}]'), ('[{"content": "x", "end_char": 1000000001}]'),
  ('[{"content": "x", "start_char": 5, "end_char": 4}]'), ('[{"content": "x", "start_char": []}]'), ('[{"content": "x", "metadata": []}]'), ('[{"content": "x", "metadata": "y"}]'),
  ('[{"content": "x", "metadata": {"n": 1e400}}]'), (('[{"content": "x", "metadata": {"x": ' || repeat('[', 66) || repeat(']', 66) || '}}]')::jsonb),
  (jsonb_build_array(jsonb_build_object('content', 'x', 'metadata', jsonb_build_object('x', repeat('x', 17000))))),
  (jsonb_build_array(jsonb_build_object('content', repeat('x', 1048577)))), (jsonb_build_array(jsonb_build_object('content', 'x', repeat('y', 100000), 1))),
  ((select jsonb_agg('{"content": "x"}'::jsonb) from generate_series(1, 100001))), ((select jsonb_agg('{"content": "x"}'::jsonb) from generate_series(1, 10001))),
  ((select jsonb_agg(jsonb_build_object('content', repeat('x', 1048576))) from generate_series(1, 65))),
  (('[{"content": ' || repeat('[', 5000) || repeat(']', 5000) || '}]')::jsonb);
select tests.refuses(format('select matrice.ingest_chunks(tests.id(''borea''), ''x'', (select chunks from wrong where ctid = %L))', ctid), '22023',
                     'ingest_chunks refuses ' || left(chunks::text, 60), hint => '%') from wrong;
select tests.refuses(format('select matrice.replace_chunks(tests.id(''own''), (select chunks from wrong where ctid = %L))', ctid), '22023',
                     'replace_chunks refuses ' || left(chunks::text, 60), hint => '%') from wrong;
select tests.refuses($$select matrice.ingest_chunks(tests.id('borea'), 'x', null)$$, '22004', 'ingest_chunks refuses null');
select tests.refuses($$select matrice.ingest_chunks(tests.id('borea'), 'x', (select jsonb_agg(jsonb_build_object('content', 'word ' || i)) from generate_series(1, 5000) i),
                         metadata => jsonb_build_object('a', repeat('x', 16000)))$$, '22023', 'ingest_chunks refuses metadata that make more than 64 MB in all chunks', '%5000%', '%');
select is(tests.chunks_of(tests.id('own')), 'once|twice', 'Refused calls change no chunk');
select is(tests.rows_of($$select from matrice.context_sources where project_id = tests.id('borea')$$), 1::bigint, 'Refused calls add no source');

-- Equal texts share their embeddings ----------------------------------------------------------------------------------------

select tests.as_owner();
insert into matrice.embedding_models (model, dimensions) values ('tiny', 3), ('wide', 4);
update matrice.projects set settings = '{"embedding_model": "tiny"}' where id in (tests.id('atlas'), tests.id('borea'));
delete from matrice.context_sources where true;
select tests.as_user('edith');
select tests.remember(name, matrice.ingest_chunks(tests.id(project), name, '[{"content": "same"}, {"content": "same"}, {"content": "other"}]'))
  from (values ('a', 'atlas'), ('b', 'atlas'), ('c', 'borea')) as given (name, project);
select is(matrice.store_embeddings('tiny', array[tests.chunk('a', 0)], '[[1,2,3]]'), 1, 'store_embeddings counts what it was given');
select is(tests.vectors('a') || '; ' || tests.vectors('b'), 'same tiny[1,2,3]; same tiny[1,2,3]; other -; same tiny[1,2,3]; same tiny[1,2,3]; other -',
          'store_embeddings: equal chunks of the project get the embedding, too');
select is(tests.vectors('c'), 'same -; same -; other -', 'store_embeddings gives other projects nothing');
select set_eq($$select content, source_id from matrice.claim_chunks(project_id => tests.id('atlas'))$$, $$values ('other', tests.id('a')), ('other', tests.id('b'))$$,
              'claim_chunks does not offer them any more');
select tests.remember('d', matrice.ingest_chunks(tests.id('atlas'), 'd', '[{"content": "new"}, {"content": "same"}]'));
select is(tests.vectors('d'), 'new -; same tiny[1,2,3]', 'ingest_chunks: a new chunk takes the embedding of an equal one');
select tests.remember('e', matrice.ingest_source(tests.id('atlas'), 'e', 'same'));
select is(tests.vectors('e'), 'same tiny[1,2,3]', 'ingest_source: so does a text that matrice cuts');
select tests.remember('f', matrice.ingest_source(tests.id('borea'), 'f', 'same'));
select is(tests.vectors('f'), 'same -', 'ingest_source: not from another project');
select is(matrice.store_embeddings('tiny', array[tests.chunk('a', 2)], '[[3,2,1]]'), 1, 'store_embeddings of a claimed chunk');
select is(tests.vectors('b'), 'same tiny[1,2,3]; same tiny[1,2,3]; other -', 'store_embeddings leaves an equal chunk alone that is leased');
select is(matrice.store_embeddings('tiny', array[tests.chunk('b', 2)], '[[3,2,2]]'), 1, 'store_embeddings: its worker stores its own');
select matrice.store_embeddings('tiny', array[tests.chunk('a', 2)], '[[3,3,3]]');
select is(tests.vectors('b'), 'same tiny[1,2,3]; same tiny[1,2,3]; other tiny[3,2,2]', 'store_embeddings replaces no embedding of another chunk');
update matrice.source_chunks set content = 'new' where id = tests.chunk('b', 2);
select is(tests.vectors('b'), 'same tiny[1,2,3]; same tiny[1,2,3]; new -', 'A chunk with another text loses the embedding that it shared');
select matrice.fail_chunks('tiny', array_agg(chunk_id), 'bad', permanent => true) from matrice.claim_chunks(project_id => tests.id('atlas')) where source_id = tests.id('b');
select matrice.store_embeddings('tiny', array[tests.chunk('d', 0)], '[[0,0,1]]');
select is(tests.vectors('b'), 'same tiny[1,2,3]; same tiny[1,2,3]; new tiny[0,0,1]', 'store_embeddings heals an equal chunk that had failed');
select is_empty($$select * from matrice.failed_chunks(tests.id('atlas'))$$, 'failed_chunks does not list it any more');
insert into matrice.chunk_embeddings (chunk_id, model, embedding) values (tests.chunk('d', 1), 'wide', '[1,2,3,4]');
select tests.remember('g', matrice.ingest_source(tests.id('atlas'), 'g', 'same'));
select alike(tests.vectors('g'), 'same tiny[1,2,3]%', 'A new chunk takes embeddings of each model');
select tests.as_user('alice');
update matrice.projects set settings = settings || '{"embedding_template": "{title}: {headings} {content}"}' where id = tests.id('borea');
select tests.as_user('edith');
select matrice.store_embeddings('tiny', array[tests.chunk('f', 0)], '[[1,1,1]]');
select is(tests.vectors('c'), 'same -; same -; other -', 'With a template: a chunk of another title is not equal');
select tests.remember('h', matrice.ingest_source(tests.id('borea'), 'f', 'same'));
select is(tests.vectors('h'), 'same tiny[1,1,1]', 'With a template: a chunk of the same title is equal');
select tests.remember('i', matrice.ingest_chunks(tests.id('borea'), 'f', '[{"content": "same", "metadata": {"headings": ["One"]}}, {"content": "same"}]'));
select is(tests.vectors('i'), 'same -; same tiny[1,1,1]', 'With a template: a chunk under another heading is not equal');
select tests.remember('j', matrice.ingest_source(tests.id('borea'), 'other title', 'same'));
select is(tests.vectors('j'), 'same -', 'With a template: a new chunk of another title takes nothing');

-- A policy that somebody has added hides the embedding of a chunk, or the chunk.
select tests.remember('k', matrice.ingest_chunks(tests.id('atlas'), 'k', '[{"content": "hidden"}, {"content": "secret"}]'));
select matrice.store_embeddings('tiny', array[tests.chunk('k', 0), tests.chunk('k', 1)], '[[1,0,1], [1,0,1]]');
select tests.remember('hidden_chunk', tests.chunk('k', 0)), tests.remember('secret_chunk', tests.chunk('k', 1));
select tests.as_owner();
create policy "hidden" on matrice.chunk_embeddings as restrictive for select to authenticated using (chunk_id <> tests.id('hidden_chunk'));
create policy "secret" on matrice.source_chunks as restrictive for select to authenticated using (id <> tests.id('secret_chunk'));
select tests.as_user('edith');
select tests.remember('l', matrice.ingest_chunks(tests.id('atlas'), 'l', '[{"content": "hidden"}, {"content": "secret"}, {"content": "same"}]'));
select is(tests.vectors('l'), 'hidden -; secret -; same tiny[1,2,3]; same wide[1,2,3,4]', 'A new chunk takes nothing from chunks or embeddings that the caller cannot see');
select tests.as_owner();
drop policy "hidden" on matrice.chunk_embeddings;
drop policy "secret" on matrice.source_chunks;

-- Quotas ------------------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('counted');
create temp table used as select sum(bytes) as bytes from matrice.project_usage where project_id = tests.id('counted');
select tests.as_user('edith');
select tests.remember('large', matrice.ingest_source(tests.id('counted'), 'large', repeat('Some words. ', 1000)));
select is((select sum(bytes)::bigint from matrice.project_usage where project_id = tests.id('counted')),
          (select sum(500 + octet_length(content))::bigint from matrice.source_texts where project_id = tests.id('counted'))
          + (select sum(8192 + 2 * octet_length(content) + octet_length(metadata::text) + octet_length(filterable::text))::bigint from matrice.source_chunks where project_id = tests.id('counted'))
          + (select sum(1000 + octet_length(name) + octet_length(raw_metadata::text))::bigint from matrice.context_sources where project_id = tests.id('counted')),
          'project_usage counts the texts');
select tests.as_owner();
create temp table counted as select sum(bytes) as bytes from matrice.project_usage where project_id = tests.id('counted');
select matrice_private.recount_usage();
select is((select sum(bytes) from matrice.project_usage where project_id = tests.id('counted')), (select bytes from counted), 'recount_usage counts them alike');
delete from matrice.context_sources where id = tests.id('large');
select is_empty($$select from matrice.source_texts where project_id = tests.id('counted')$$, 'The texts of a deleted source are deleted');
select is((select sum(bytes)::bigint from matrice.project_usage where project_id = tests.id('counted')), 0::bigint, 'project_usage counts them no more');

select * from finish();
rollback;
