begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');

-- What a source says, against a count of its rows.
create function tests.true_counts(model text) returns table (name text, chunks bigint, embedded bigint, failed bigint)
language sql security definer as $$
  select s.name, count(c.id),
         count(*) filter (where exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id and e.model = true_counts.model)),
         count(*) filter (where exists (select from matrice.embedding_leases l
                                         where l.chunk_id = c.id and l.model = true_counts.model and l.is_failed))
    from matrice.context_sources s left join matrice.source_chunks c on c.source_id = s.id group by s.id, s.name
$$;
create function tests.counts_hold(why text, model text default 'text-embedding-3-small') returns text language sql as $$
  select set_eq('select name, chunk_count::bigint, embedded_count::bigint, failed_count::bigint from matrice.context_sources',
                format('select * from tests.true_counts(%L)', model), why)
$$;
create function tests.store_some(most integer, model text default 'text-embedding-3-small', dimensions integer default 1536)
returns integer language sql as $$
  select matrice.store_embeddings(store_some.model, array_agg(c.chunk_id), jsonb_agg(array_fill(1, array[dimensions])))
    from matrice.claim_chunks(project_id => tests.id('atlas'), batch_size => most, model => store_some.model) c
$$;
create function tests.says(source text) returns text language sql as $$
  select concat_ws(' ', status, chunk_count, embedded_count, failed_count, error) from matrice.context_sources where name = source
$$;

-- From a text to ready ------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.ingest_source(tests.id('atlas'), 'a.txt', 'One is red. Two is blue. Three is green. Four is grey.', max_tokens => 5, overlap_tokens => 0);
select is(tests.says('a.txt'), 'processing 4 0 0', 'A source with chunks but no embeddings is processing');
select is(tests.store_some(3), 3, 'Three chunks are embedded');
select is(tests.says('a.txt'), 'processing 4 3 0', 'A source some chunks of which have no embedding is processing');
select is(tests.store_some(3), 1, 'The last chunk is embedded');
select is(tests.says('a.txt'), 'ready 4 4 0', 'A source all chunks of which have an embedding is ready');
select tests.counts_hold('The counts are right after claims');

select matrice.chunk_source(id, 'One is red. Two is blue. Three is green. Five is pink.') from matrice.context_sources;
select is(tests.says('a.txt'), 'processing 4 3 0', 'chunk_source makes a source with a new text processing');
select tests.store_some(9);
select is(tests.says('a.txt'), 'ready 4 4 0', 'The embedding of the new text makes it ready again');
update matrice.source_chunks set content = 'Two is violet.' where content like 'Two%';
select is(tests.says('a.txt'), 'processing 4 3 0', 'A changed chunk loses its embedding');
delete from matrice.source_chunks where content = 'Two is violet.';
select is(tests.says('a.txt'), 'ready 3 3 0', 'A deleted chunk does not count');
delete from matrice.chunk_embeddings where chunk_id = (select id from matrice.source_chunks order by chunk_index limit 1);
select is(tests.says('a.txt'), 'processing 3 2 0', 'A deleted embedding does not count');
insert into matrice.chunk_embeddings (chunk_id, embedding)
select id, tests.vec(1536, 1) from matrice.source_chunks order by chunk_index limit 1;
select is(tests.says('a.txt'), 'ready 3 3 0', 'An embedding that a client inserts counts');
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select id, tests.vec(384, 1), 'gte-small' from matrice.source_chunks;
select is(tests.says('a.txt'), 'ready 3 3 0', 'An embedding of another model does not count');
update matrice.chunk_embeddings e set model = 'voyage-3.5', embedding = tests.vec(1024, 1)
 where model = 'text-embedding-3-small' and chunk_id = (select id from matrice.source_chunks order by chunk_index limit 1);
select is(tests.says('a.txt'), 'processing 3 2 0', 'An embedding whose model changes does not count');

insert into matrice.context_sources (project_id, name, type) values (tests.id('atlas'), 'b.txt', 'file');
select is(tests.says('b.txt'), 'pending 0 0 0', 'A source without chunks is pending');
update matrice.source_chunks set source_id = (select id from matrice.context_sources where name = 'b.txt'), chunk_index = 7
 where content like 'Three%';
select tests.counts_hold('The counts are right after a chunk moved to another source');
select is(tests.says('b.txt'), 'ready 1 1 0', 'A chunk that moves takes its embedding with it');
delete from matrice.source_chunks where chunk_index = 7;
select is(tests.says('b.txt'), 'pending 0 0 0', 'A source that lost its last chunk is pending');
insert into matrice.source_chunks (source_id, chunk_index, content)
select id, n, 'Plain ' || n from matrice.context_sources, generate_series(1, 3) n where name = 'b.txt';
select is(tests.says('b.txt'), 'processing 3 0 0', 'Chunks that a client inserts count');

-- Failures ---------------------------------------------------------------------------------------------------------------

select tests.store_some(1);
select lives_ok($$select matrice.fail_chunks('text-embedding-3-small', array_agg(chunk_id), 'too odd', permanent => true)
                    from matrice.claim_chunks(project_id => tests.id('atlas'), batch_size => 1)$$, 'A chunk fails for good');
select tests.counts_hold('The counts are right after a failure');
select tests.store_some(9);
select results_eq($$select status, error from matrice.context_sources where failed_count = 1$$,
                  $$values ('error', 'Chunks failed for good: 1 of ' || (select chunk_count from matrice.context_sources where failed_count = 1)
                                     || '. The last error: too odd')$$,
                  'A source is in error when nothing is left but failed chunks, and says why');
select is(matrice.retry_failed(tests.id('atlas')), 1, 'retry_failed frees the chunk');
select results_eq($$select status, error from matrice.context_sources where embedded_count < chunk_count$$, $$values ('processing', null::text)$$,
                  'retry_failed makes the source processing, without an error');
select matrice.fail_chunks('text-embedding-3-small', array_agg(chunk_id), 'again', permanent => true)
  from matrice.claim_chunks(project_id => tests.id('atlas'), batch_size => 1);
update matrice.source_chunks c set content = 'A better text' where id in (select chunk_id from matrice.failed_chunks(tests.id('atlas')));
select results_eq($$select failed_count, error from matrice.context_sources group by 1, 2$$, $$values (0, null::text)$$,
                  'A new text of a failed chunk forgets the failure');
select tests.store_some(9);
select results_eq($$select distinct status from matrice.context_sources$$, $$values ('ready')$$, 'Its embedding makes the source ready');
select tests.counts_hold('The counts are right at the end');

-- A document that cannot be read ------------------------------------------------------------------------------------------

select matrice.set_source_error(id, 'no_text: it is a scan') from matrice.context_sources where name = 'a.txt';
select is(tests.says('a.txt'), 'error 2 2 0 no_text: it is a scan', 'set_source_error sets the status and the reason');
select matrice.chunk_source(id, 'One is red. Six is white.') from matrice.context_sources where name = 'a.txt';
select matches(tests.says('a.txt'), '^processing 2 \d 0$', 'The next text clears the error');
update matrice.context_sources set status = 'error', error = 'mine' where name = 'b.txt';
select matches(tests.says('b.txt'), '^error 3 3 0 mine$', 'A client may set an error itself');
delete from matrice.source_chunks where chunk_index = 3;
select matches(tests.says('b.txt'), '^error 2 2 0 mine$', 'It stays when chunks change');
update matrice.context_sources set status = 'pending' where name = 'b.txt';
select matches(tests.says('b.txt'), '^ready 2 2 0$', 'Another status clears the error; with chunks, the counts decide');

-- Clients cannot write the counts -------------------------------------------------------------------------------------------

update matrice.context_sources set chunk_count = 90, embedded_count = 90, failed_count = 9, status = 'ready' where name = 'a.txt';
select tests.counts_hold('A client''s update of the counts has no effect');
select matches(tests.says('a.txt'), '^processing', 'A client cannot make a source ready');
insert into matrice.context_sources (project_id, name, type, chunk_count, embedded_count, failed_count) values (tests.id('atlas'), 'c', 'file', 9, 9, 9);
select is(tests.says('c'), 'pending 0 0 0', 'Counts of a new source are 0');
select is(tests.says('a.txt'), (select concat_ws(' ', status, chunk_count, embedded_count, failed_count)
                                  from matrice.source_progress(tests.id('atlas')) where name = 'a.txt'), 'source_progress says the same');
select throws_ok('select * from matrice_private.source_counts', '42501', null, 'Clients cannot read source_counts');
select throws_ok('select matrice_private.add_up(array[]::uuid[])', '42501', null, 'Clients cannot call add_up');

-- Another model ----------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
update matrice.projects set settings = '{"embedding_model": "gte-small"}' where id = tests.id('atlas');
select tests.counts_hold('Another model of the project: its embeddings count', 'gte-small');
select tests.store_some(99, 'gte-small', 384);
select results_eq($$select distinct status from matrice.context_sources where chunk_count > 0$$, $$values ('ready')$$, 'Its embeddings make sources ready');
update matrice.projects set settings = '{}' where id = tests.id('atlas');
select tests.counts_hold('Back again: the embeddings of the first model count');
select tests.as_owner();
update matrice.embedding_models set is_default = false where is_default;
update matrice.embedding_models set is_default = true where model = 'gte-small';
select tests.counts_hold('Another default model: its embeddings count', 'gte-small');

-- The owner's own means ------------------------------------------------------------------------------------------------------

update matrice.context_sources set chunk_count = 77, embedded_count = 7, failed_count = 7 where name = 'a.txt';
select matrice_private.rebuild_progress(tests.id('borea'));
select matches(tests.says('a.txt'), ' 77 7 7', 'rebuild_progress of another project leaves the source');
select matrice_private.rebuild_progress();
select tests.counts_hold('rebuild_progress counts again', 'gte-small');
truncate matrice.chunk_embeddings;
select tests.counts_hold('TRUNCATE of embeddings is counted', 'gte-small');
insert into matrice_private.source_counts (source_id, chunks) values (gen_random_uuid(), 1);
select tests.as_user('edith');
select count(*) from matrice.claim_chunks(project_id => tests.id('atlas'));
select tests.as_owner();
select is_empty('select * from matrice_private.source_counts', 'A claim removes the counts of sources that are gone');
delete from matrice.projects where id = tests.id('atlas');
select is_empty('select * from matrice_private.source_counts', 'A deleted project leaves no counts');

select * from finish();
rollback;
