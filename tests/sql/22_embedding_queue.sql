begin;
\ir helpers/setup.psql
select no_plan();

-- The index of waiting chunks: whatever makes a chunk claimable, a claim finds it; and what is done leaves the index. What happens to
-- several sessions at the same moment: tests/security/test_queue_races.py.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3), ('other', 2);
select tests.project('atlas', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log');
create function tests.add(first integer, last integer) returns void language sql as $$
  insert into matrice.source_chunks (id, source_id, chunk_index, content)
  select tests.id('chunk ' || n), tests.id('log'), n, 'chunk ' || n from generate_series(first, last) n
$$;
-- The numbers of the chunks that a claim returns.
create function tests.claimed(model text default 'tiny', most integer default 10000) returns integer[] language sql as $$
  select coalesce(array_agg(substr(c.content, 7)::integer order by substr(c.content, 7)::integer), '{}')
    from matrice.claim_chunks(model, most, project_id => tests.id('atlas')) c
$$;
create function tests.numbers(first integer, last integer) returns integer[] language sql as $$ select array_agg(n) from generate_series(first, last) n $$;
create function tests.embed(first integer, last integer, model text default 'tiny', vector text default '[1,2,3]') returns integer language sql as $$
  select matrice.store_embeddings(model, array_agg(tests.id('chunk ' || n)), jsonb_agg(vector::jsonb)) from generate_series(first, last) n
$$;
create function tests.parts() returns bigint language sql security definer as $$ select count(*) from matrice_private.waiting_parts $$;

-- From the first chunk to the last embedding ------------------------------------------------------------------------------

select tests.add(0, 299);
select tests.as_user('edith');
select is(tests.claimed(most => 100), tests.numbers(0, 99), 'claim_chunks returns the first chunks of a source of three parts');
select is(tests.claimed(most => 100), tests.numbers(100, 199), 'claim_chunks returns the next chunks, of two parts');
select is(tests.claimed(most => 5000), tests.numbers(200, 299), 'claim_chunks returns the rest');
select is(tests.claimed(), '{}', 'claim_chunks returns nothing when every chunk is leased');
select is(tests.embed(0, 298), 299, 'store_embeddings stores all but one');
select is(tests.parts(), 1::bigint, 'The part of the last chunk is still listed');
select is(tests.embed(299, 299), 1, 'store_embeddings stores the last one');
select is(tests.parts(), 0::bigint, 'No part is listed when every chunk is embedded');
select is(tests.claimed(), '{}', 'claim_chunks returns nothing when every chunk is embedded');

-- What makes a chunk claimable ------------------------------------------------------------------------------------------

select tests.add(300, 400);
select is(tests.claimed(), tests.numbers(300, 400), 'claim_chunks returns chunks that were added to a part that was done');
select tests.embed(300, 400);
delete from matrice.chunk_embeddings where chunk_id in (tests.id('chunk 5'), tests.id('chunk 290'));
select is(tests.claimed(), '{5,290}', 'claim_chunks returns chunks whose embeddings a client deleted');
select tests.embed(5, 5), tests.embed(290, 290);
update matrice.source_chunks set content = content || ' ' where id = tests.id('chunk 7');
select is(tests.claimed(), '{7}', 'claim_chunks returns a chunk whose text changed');
select tests.embed(7, 7);
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('chunk 9999'), tests.id('log'), 9999, 'chunk 9999');
update matrice.chunk_embeddings set chunk_id = tests.id('chunk 9999') where chunk_id = tests.id('chunk 8');
select is(tests.claimed(), '{8}', 'claim_chunks returns a chunk whose embedding a client gave to another chunk');
update matrice.chunk_embeddings set chunk_id = tests.id('chunk 8') where chunk_id = tests.id('chunk 9999');
select is(tests.claimed(), '{9999}', 'claim_chunks returns the other chunk when it lost the embedding again');
select matrice.fail_chunks('tiny', array[tests.id('chunk 9999')], 'x');
select is(tests.claimed(), '{9999}', 'claim_chunks returns a chunk that failed once');
select tests.as_service();
delete from matrice.embedding_leases where chunk_id = tests.id('chunk 9999');
select is(tests.claimed(), '{9999}', 'claim_chunks returns a chunk whose lease a service deleted');
update matrice.embedding_leases set leased_until = now() where chunk_id = tests.id('chunk 9999');
select is(tests.claimed(), '{9999}', 'claim_chunks returns a chunk whose lease a service ended');
update matrice.embedding_leases set chunk_id = tests.id('chunk 4'), leased_until = now() + interval '1 hour' where chunk_id = tests.id('chunk 9999');
select is(tests.claimed(), '{9999}', 'claim_chunks returns a chunk whose lease a service gave to another chunk');
delete from matrice.embedding_leases;
select is(tests.embed(9999, 9999), 1, 'store_embeddings stores for a chunk that was claimed without end');
select is(tests.claimed(), '{}', 'claim_chunks returns nothing afterwards');
select tests.as_user('edith');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('chunk 500'), tests.id('log'), 500, 'chunk 500');
select is(tests.claimed(most => 1), '{500}', 'claim_chunks returns a new chunk');
update matrice.source_chunks set chunk_index = 50000 where id = tests.id('chunk 500');
select matrice.fail_chunks('tiny', array[tests.id('chunk 500')], 'x');
select is(tests.claimed(), '{500}', 'claim_chunks returns a chunk that moved far while it was leased');
select tests.embed(500, 500);
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('chunk 501'), tests.id('log'), 501, 'chunk 501');
update matrice.source_chunks set chunk_index = 70000 where id = tests.id('chunk 501');
select is(tests.claimed(), '{501}', 'claim_chunks returns a new chunk that moved far before its first claim');
select tests.embed(501, 501);
select is(tests.claimed(), '{}', 'claim_chunks returns nothing afterwards');

-- Models ------------------------------------------------------------------------------------------------------------------

select is(cardinality(tests.claimed('other')), 404, 'claim_chunks of another model returns every chunk');
select tests.as_service();
delete from matrice.embedding_leases;
select tests.as_user('edith');
select tests.add(600, 610);
select is(tests.claimed(), tests.numbers(600, 610), 'claim_chunks returns new chunks for the first of two models');
select is(tests.claimed('other') @> tests.numbers(600, 610), true, 'claim_chunks returns new chunks for the second of two models, too');
select tests.embed(600, 610);
delete from matrice.source_chunks where chunk_index >= 600;
select tests.as_user('alice');
update matrice.projects set settings = '{"embedding_model": "other"}' where id = tests.id('atlas');
select tests.as_service();
delete from matrice.embedding_leases;
select is(tests.rows_of($$select * from matrice.claim_chunks('tiny', 10000)$$), 0::bigint, 'claim_chunks of the former model, without a project: no rows');
select is(tests.rows_of($$select * from matrice.claim_chunks('other', 10000)$$), 401::bigint, 'claim_chunks of the new model returns every chunk');
update matrice.projects set settings = '{}' where id = tests.id('atlas');
update matrice.embedding_models set is_default = false where is_default;
update matrice.embedding_models set is_default = true where model = 'gte-small';
select is(tests.rows_of($$select * from matrice.claim_chunks(batch_size => 10000)$$), 401::bigint,
          'claim_chunks of a new default model returns every chunk of projects that name none');

-- What loads or deletes rows past the triggers ---------------------------------------------------------------------------

update matrice.projects set settings = '{"embedding_model": "tiny"}' where id = tests.id('atlas');
select is(tests.claimed(), '{}', 'claim_chunks of the former model after a change back: nothing, because all is embedded');
select tests.as_owner();
truncate matrice.chunk_embeddings;
select is(cardinality(tests.claimed()), 401, 'claim_chunks returns every chunk after a TRUNCATE of embeddings');
truncate matrice.embedding_leases;
select is(cardinality(tests.claimed()), 401, 'claim_chunks returns every chunk after a TRUNCATE of leases');
set local session_replication_role = replica;
delete from matrice.embedding_leases;
set local session_replication_role = origin;
select is(tests.claimed(), '{}', 'claim_chunks does not find what was changed without triggers');
select lives_ok('select matrice_private.rebuild_embedding_queue(tests.id(''atlas''))', 'rebuild_embedding_queue of a project succeeds');
select is(cardinality(tests.claimed()), 401, 'claim_chunks finds it after rebuild_embedding_queue');
delete from matrice.embedding_leases;
select lives_ok('select matrice_private.rebuild_embedding_queue()', 'rebuild_embedding_queue of all projects succeeds');
select is(cardinality(tests.claimed()), 401, 'claim_chunks finds every chunk after rebuild_embedding_queue of all projects');
delete from matrice.embedding_leases;
-- Rows too many change nothing.
insert into matrice_private.waiting_parts (project_id, source_id, part, model, due)
select tests.id('atlas'), source, part, model, now() - n * interval '1 hour'
  from unnest(array[tests.id('log'), tests.id('nowhere')]) source, unnest('{-1,0,1,7,2147483}'::integer[]) part, unnest('{tiny,"",none}'::text[]) model,
       generate_series(0, 2) n;
select tests.as_user('edith');
select is(cardinality(tests.claimed()), 401, 'claim_chunks returns each chunk once, however often its part is listed');
select is(cardinality(tests.claimed()), 0, 'claim_chunks finds nothing afterwards');
select tests.as_owner();
select is_empty($$select source_id, part from matrice_private.waiting_parts where model = 'tiny' group by 1, 2 having count(*) > 1 or min(due) <= now()$$,
                'claim_chunks leaves one row for each part, due when its leases end');
delete from matrice.context_sources where id = tests.id('log');
select is_empty($$select * from matrice_private.waiting_parts where source_id = tests.id('log')$$, 'context_sources: a delete removes its parts');
delete from matrice.projects where id = tests.id('atlas');
select is_empty($$select * from matrice_private.embedding_queues where project_id = tests.id('atlas')$$, 'projects: a delete removes its queues');

-- Access ------------------------------------------------------------------------------------------------------------------

select tests.project('borea');
insert into matrice.context_sources (id, project_id, name) values (tests.id('map'), tests.id('borea'), 'Map');
insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('map'), 0, 'chunk 0');
select tests.as_user('alice');
select tests.refuses(format('select * from matrice_private.%s', name), '42501', format('%s refuses a user', name)) from unnest(array['waiting_parts', 'embedding_queues']) name;
select tests.refuses(format('select matrice_private.%s', call), '42501', format('%s refuses a user', call))
  from unnest(array['next_parts(tests.id(''borea''), ''tiny'', true, 1)', 'settle_parts(tests.id(''borea''), ''tiny'', ''{}'', ''{}'')',
                    'waiting_projects(''tiny'', true, null)', 'list_project(tests.id(''borea''), ''tiny'')', 'rebuild_embedding_queue()',
                    'end_leases(''{}'', ''tiny'', null)', 'own_leases(''{}'', ''tiny'', null, null)']) call;
select is(tests.rows_of($$select * from matrice_private.next_parts_of_member(tests.id('borea'), 'tiny', false, 9)$$), 1::bigint, 'next_parts_of_member by an editor');
select is(matrice_private.waiting_projects_of_member('tiny', true), array[tests.id('borea')], 'waiting_projects_of_member of a listed project');
select is(matrice_private.waiting_projects_of_member('gte-small', false), array[tests.id('borea')], 'waiting_projects_of_member of a project that is not listed');
select tests.as_owner();
create temp table listed as select * from matrice_private.waiting_parts;
select tests.as_user('victor');
select is(tests.rows_of($$select * from matrice_private.next_parts_of_member(tests.id('borea'), 'tiny', false, 9)$$), 0::bigint, 'next_parts_of_member by a viewer: no rows');
select is(matrice_private.waiting_projects_of_member('tiny', true), '{}', 'waiting_projects_of_member by a viewer: none');
select lives_ok($$select matrice_private.settle_parts_of_member(tests.id('borea'), 'tiny', array[tests.id('map')], '{0}')$$, 'settle_parts_of_member by a viewer is no error');
select tests.as_user('mallory');
select is(tests.rows_of($$select * from matrice_private.next_parts_of_member(tests.id('borea'), 'tiny', false, 9)$$), 0::bigint, 'next_parts_of_member by an outsider: no rows');
select is(matrice_private.waiting_projects_of_member('gte-small', false), '{}', 'waiting_projects_of_member by an outsider: none');
select lives_ok($$select matrice_private.settle_parts_of_member(tests.id('borea'), 'tiny', array[tests.id('map')], '{0}')$$, 'settle_parts_of_member by an outsider is no error');
select lives_ok($$select matrice_private.end_leases_of_member(array(select id from matrice.source_chunks), 'tiny')$$, 'end_leases_of_member by an outsider is no error');
select tests.as_owner();
select results_eq('select * from matrice_private.waiting_parts', 'select * from listed', 'Calls by viewers and outsiders change no listed part');

select * from finish();
rollback;
