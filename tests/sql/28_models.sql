begin;
\ir helpers/setup.psql
select no_plan();

select tests.as_service();
insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);

-- register_model -------------------------------------------------------------------------------------------------------

select lives_ok($$select matrice.register_model('wide', 5)$$, 'register_model adds a model');
select lives_ok($$select matrice.register_model('wide', 5)$$, 'register_model: the same call again succeeds');
select results_eq($$select dimensions, is_default, truncated_from from matrice.embedding_models where model = 'wide'$$,
                  $$values (5, false, null::text)$$, 'register_model: the row has what was given');
select matrice.register_model('wide', 6);
select results_eq($$select dimensions from matrice.embedding_models where model = 'wide'$$, $$values (6)$$,
                  'register_model changes the dimensions of a model without embeddings');
select matrice.register_model('short', 2, truncated_from => 'tiny');
select results_eq($$select dimensions, truncated_from from matrice.embedding_models where model = 'short'$$, $$values (2, 'tiny')$$,
                  'register_model adds a truncated model');
select tests.remember_state();
select tests.refuses($$select matrice.register_model(' ', 3)$$, '22023', 'register_model refuses a blank model', hint => '%');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions) values ('', 3)$$, '23514',
                     'embedding_models refuses a blank model: the queue lists chunks for every model under it');
select tests.refuses($$select matrice.register_model(repeat('x', 201), 3)$$, '22023', 'register_model refuses a long model', '%', '%');
select tests.refuses(format('select matrice.register_model(%L, %s)', 'new', dimensions), '22023',
                     'register_model refuses dimensions ' || dimensions, hint => '%')
  from unnest(array[0, -1, 16001, 2147483647]) dimensions;
select tests.refuses($$select matrice.register_model('new', 2, truncated_from => 'none')$$, '22023',
                     'register_model refuses an unknown truncated_from', hint => '%tiny%');
select tests.refuses($$select matrice.register_model('new', 3, truncated_from => 'tiny')$$, '22023',
                     'register_model refuses a truncated model with as many dimensions as the whole one', '%3%', '%');
select tests.refuses($$select matrice.register_model('new', 1, truncated_from => 'short')$$, '22023',
                     'register_model refuses a model that is truncated from a truncated one', hint => '%tiny%');
select tests.refuses($$select matrice.register_model('tiny', 2)$$, 'PT409',
                     'register_model refuses to make a whole model as short as a truncated one', '%', '%');
select tests.refuses($$select matrice.register_model('tiny', 3, truncated_from => 'wide')$$, 'PT409',
                     'register_model refuses to truncate a model from which another is truncated', '%', '%');
select tests.unchanged('register_model: refused calls change no row');
select tests.as_user('alice');
select tests.refuses($$select matrice.register_model('mine', 3)$$, '42501', 'register_model refuses a user', '%', '%service_role%');
select tests.as_anon();
select tests.refuses($$select matrice.register_model('mine', 3)$$, '42501', 'register_model refuses anon');

-- The default ----------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('atlas', '{"embedding_model": "tiny"}');
select tests.project('plain');
select tests.project('empty');
select tests.project('full', jsonb_build_object('app', jsonb_build_object('x', repeat('x', 16360))));
insert into matrice.context_sources (id, project_id, name) values
  (tests.id('log'), tests.id('atlas'), 'Log'), (tests.id('map'), tests.id('plain'), 'Map'), (tests.id('fat'), tests.id('full'), 'Fat');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id('c' || n), tests.id('log'), n, 'Chunk ' || n from generate_series(0, 4) n;
select tests.as_service();
select matrice.register_model('wide', 6, true);
select results_eq($$select model from matrice.embedding_models where is_default$$, $$values ('wide')$$,
                  'register_model with is_default: this model alone is the default');
select results_eq(
  $$select name, settings ->> 'embedding_model' from matrice.projects where name in ('atlas', 'plain', 'empty', 'full') order by name$$,
  $$values ('atlas', 'tiny'), ('empty', null), ('full', null), ('plain', 'text-embedding-3-small')$$,
  'register_model with is_default: projects with sources keep their model, unless their settings are full');
select matrice.register_model('wide', 6);
select results_eq($$select model from matrice.embedding_models where is_default$$, $$values ('wide')$$,
                  'register_model without is_default keeps the default');
select tests.as_user('edith');
select results_eq($$select model from matrice.model_coverage(tests.id('empty'))$$, $$values ('wide')$$,
                  'model_coverage: a project that names no model uses the default');

-- query_model ----------------------------------------------------------------------------------------------------------

select results_eq($$select * from matrice.query_model(tests.id('atlas'))$$, $$values ('tiny', 'tiny', 3)$$,
                  'query_model: the model that the project names');
select results_eq($$select * from matrice.query_model(tests.id('empty'))$$, $$values ('wide', 'wide', 6)$$,
                  'query_model: the default, where the project names none');
select tests.as_owner();
update matrice.projects set settings = settings || '{"embedding_model": "short"}' where id = tests.id('empty');
select tests.as_user('edith');
select results_eq($$select * from matrice.query_model(tests.id('empty'))$$, $$values ('short', 'tiny', 2)$$,
                  'query_model: the whole model is asked, where vectors are truncated');
select tests.as_owner();
update matrice.projects set settings = settings - 'embedding_model' where id = tests.id('empty');
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.query_model(tests.id('atlas'))$$, 'PT404', 'query_model of another''s project: not found', '%', '%');

-- model_coverage -------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.store_embeddings('tiny', array[tests.id('c0'), tests.id('c1')], '[[1,0,0],[0,1,0]]');
select matrice.store_embeddings('wide', array[tests.id('c0')], '[[1,0,0,0,0,0]]');
select tests.remember('claimed', chunk_id) from matrice.claim_chunks('gte-small', 1, project_id => tests.id('atlas'));
select matrice.fail_chunks('gte-small', array[tests.id('claimed')], 'no', permanent => true);
select tests.as_user('victor');
select results_eq(
  $$select * from matrice.model_coverage(tests.id('atlas'))$$,
  $$values ('tiny', true, false, 5::bigint, 2::bigint, 0::bigint), ('gte-small', false, false, 5, 0, 1), ('wide', false, false, 5, 1, 0)$$,
  'model_coverage: a row per model, with its vectors and failures');
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.model_coverage(tests.id('atlas'))$$, 'PT404', 'model_coverage of another''s project: not found', '%', '%');

-- drop_embeddings ------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.store_embeddings('wide', array[tests.id('c1'), tests.id('c2')], '[[1,1,0,0,0,0],[1,1,1,0,0,0]]');
select tests.as_owner();
select tests.remember_state();
select tests.as_user('edith');
select tests.refuses($$select matrice.drop_embeddings(tests.id('atlas'), 'wide')$$, '42501', 'drop_embeddings refuses an editor', '%', '%owner%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.drop_embeddings(tests.id('atlas'), 'wide')$$, 'PT404', 'drop_embeddings of another''s project: not found', '%', '%');
select tests.refuses($$select matrice_private.forget_model(tests.id('atlas'), 'wide', 1)$$, '42501', 'forget_model refuses a user');
select is(matrice_private.forget_model_of_owner(tests.id('atlas'), 'wide', 1), 0, 'forget_model_of_owner does nothing for a stranger');
select tests.as_user('alice');
select tests.refuses($$select matrice.drop_embeddings(tests.id('atlas'), 'tiny')$$, 'PT409', 'drop_embeddings refuses the model of the project',
                     '%', '%switch_embedding_model%');
select tests.refuses($$select matrice_private.forget_model_of_owner(tests.id('atlas'), 'tiny', 1)$$, 'PT409',
                     'forget_model_of_owner refuses the model of the project');
select tests.refuses($$select matrice.drop_embeddings(tests.id('plain'), 'text-embedding-3-small')$$, 'PT409',
                     'drop_embeddings refuses the default model in a project that kept it');
select tests.refuses($$select matrice.drop_embeddings(tests.id('atlas'), 'none')$$, '22023', 'drop_embeddings refuses an unknown model', hint => '%');
select tests.refuses(format($$select matrice.drop_embeddings(tests.id('atlas'), 'wide', %s)$$, size), '22023',
                     'drop_embeddings refuses batch_size ' || size, hint => '%')
  from unnest(array[0, -1, 10001]) size;
select tests.unchanged('drop_embeddings: refused calls change no row');
select is(matrice.drop_embeddings(tests.id('atlas'), 'wide', 2), 2, 'drop_embeddings deletes a batch');
select is(matrice.drop_embeddings(tests.id('atlas'), 'wide', 2), 1, 'drop_embeddings deletes the rest');
select is(matrice.drop_embeddings(tests.id('atlas'), 'wide', 2), 0, 'drop_embeddings returns 0 when nothing is left');
select is(matrice.drop_embeddings(tests.id('atlas'), 'gte-small'), 1, 'drop_embeddings deletes failures');
select results_eq($$select model, embedded from matrice.model_coverage(tests.id('atlas'))$$, $$values ('tiny', 2::bigint)$$,
                  'drop_embeddings keeps the vectors of other models');
select tests.as_owner();
select is_empty($$select from matrice_private.waiting_parts where model in ('wide', 'gte-small')$$, 'drop_embeddings leaves no waiting part of the model');
select is_empty($$select from matrice_private.embedding_queues where model = 'gte-small'$$, 'drop_embeddings leaves no queue of the model');
select tests.as_user('edith');
select is((select count(*) from matrice.claim_chunks('wide', project_id => tests.id('atlas'))), 5::bigint,
          'claim_chunks finds all chunks again whose vectors were dropped');

-- switch_embedding_model -----------------------------------------------------------------------------------------------

select tests.as_owner();
-- What the settings say of the models, and what a search finds.
create function tests.models() returns text language sql as $$
  select concat(p.settings ->> 'embedding_model', ' → ' || (p.settings ->> 'next_embedding_model')) from matrice.projects p where p.id = tests.id('sea')
$$;
create function tests.claims(model text default null) returns text language sql as $$
  select string_agg(distinct c.model, ' ') || ' ' || count(*) from matrice.claim_chunks(model, project_id => tests.id('sea')) c
$$;

select tests.project('sea', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('waves'), tests.id('sea'), 'Waves');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id('w' || n), tests.id('waves'), n, 'Wave ' || n from generate_series(0, 2) n;
select tests.as_user('edith');
select matrice.store_embeddings('tiny', array[tests.id('w0'), tests.id('w1'), tests.id('w2')], '[[1,0,0],[0,1,0],[0,0,1]]');

select tests.as_owner();
select tests.remember_state();
select tests.as_user('edith');
select tests.refuses($$select matrice.switch_embedding_model(tests.id('sea'), 'wide')$$, '42501', 'switch_embedding_model refuses an editor', '%', '%owner%');
select tests.refuses($$select matrice.cancel_model_switch(tests.id('sea'))$$, '42501', 'cancel_model_switch refuses an editor', '%', '%owner%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.switch_embedding_model(tests.id('sea'), 'wide')$$, 'PT404', 'switch_embedding_model of another''s project: not found');
select tests.refuses($$select matrice.cancel_model_switch(tests.id('sea'))$$, 'PT404', 'cancel_model_switch of another''s project: not found');
select tests.as_user('alice');
select tests.refuses($$select matrice.switch_embedding_model(tests.id('sea'), 'none')$$, '22023', 'switch_embedding_model refuses an unknown model', hint => '%tiny%');
select tests.refuses($$update matrice.projects set settings = settings || '{"next_embedding_model": "none"}' where id = tests.id('sea')$$, '22023',
                     'settings refuse an unknown next_embedding_model', hint => '%tiny%');
select is(matrice.switch_embedding_model(tests.id('sea'), 'tiny'), true, 'switch_embedding_model to the model of the project: it is used already');
select is(matrice.cancel_model_switch(tests.id('sea')), false, 'cancel_model_switch without a switch: false');
select tests.unchanged('switch_embedding_model: refused calls change no row');

select is(matrice.switch_embedding_model(tests.id('sea'), 'wide'), false, 'switch_embedding_model: searches do not use the model yet');
select is(matrice.switch_embedding_model(tests.id('sea'), 'wide'), false, 'switch_embedding_model: the same call again succeeds');
select is(tests.models(), 'tiny → wide', 'switch_embedding_model writes the next model into the settings');
select tests.refuses($$select matrice.switch_embedding_model(tests.id('sea'), 'gte-small')$$, 'PT409',
                     'switch_embedding_model refuses a second switch', '%wide%', '%cancel_model_switch%');
select tests.refuses($$select matrice.switch_embedding_model(tests.id('sea'), 'tiny')$$, 'PT409',
                     'switch_embedding_model refuses a switch back while one is under way', '%wide%', '%cancel_model_switch%');
select tests.refuses($$select matrice.drop_embeddings(tests.id('sea'), 'wide')$$, 'PT409', 'drop_embeddings refuses the next model', '%', '%cancel_model_switch%');
select results_eq($$select model, is_active, is_next, embedded from matrice.model_coverage(tests.id('sea'))$$,
                  $$values ('tiny', true, false, 3::bigint), ('wide', false, true, 0)$$, 'model_coverage shows the next model');

select tests.as_user('edith');
select is(tests.claims(), 'wide 3', 'claim_chunks serves the next model of the project');
select tests.as_service();
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('w3'), tests.id('waves'), 3, 'Wave 3');
select tests.as_user('edith');
select is(tests.claims(), 'tiny 1', 'claim_chunks serves the model of the project first');
select is(tests.claims(), 'wide 1', 'claim_chunks serves the next model after it');
select is(tests.claims(), null, 'claim_chunks finds nothing when all is leased');
select matrice.store_embeddings('tiny', array[tests.id('w3')], '[[1,1,1]]');
select matrice.store_embeddings('wide', array[tests.id('w0'), tests.id('w1'), tests.id('w3')], '[[1,0,0,0,0,0],[0,1,0,0,0,0],[0,0,1,0,0,0]]');
select is(tests.claims(), null, 'claim_chunks finds nothing while the last chunk is leased');
select is(tests.models(), 'tiny → wide', 'a claim does not flip the model while a chunk is leased');
select matrice.fail_chunks('wide', array[tests.id('w2')], 'no', permanent => true);
select is(tests.claims(), null, 'claim_chunks does not hand out a dead letter');
select is(tests.models(), 'tiny → wide', 'a claim does not flip the model while a chunk has failed for good');
select results_eq($$select model, chunks, embedded, failed from matrice.model_coverage(tests.id('sea'))$$,
                  $$values ('tiny', 4::bigint, 4::bigint, 0::bigint), ('wide', 4, 3, 1)$$, 'model_coverage shows the chunk that failed');
select is((select count(*) from matrice.match_chunks('[1,1,1]', tests.id('sea'))), 4::bigint, 'match_chunks finds all chunks by the old model meanwhile');
select matrice.retry_failed(tests.id('sea'), 'wide');
select is(tests.claims(), 'wide 1', 'claim_chunks hands the chunk out again');
select matrice.store_embeddings('wide', array[tests.id('w2')], '[[0,0,0,1,0,0]]');
select is(tests.models(), 'tiny → wide', 'store_embeddings does not flip: it holds chunks, and a claim may hold the project');
select is(tests.claims(), null, 'claim_chunks finds nothing when every chunk is embedded');
select is(tests.models(), 'wide', 'the claim of an editor flips the model when the next one is whole');
select is((select count(*) from matrice.match_chunks('[1,1,1,1,0,0]', tests.id('sea'))), 4::bigint, 'match_chunks finds all chunks by the new model');
select is((select count(*) from matrice.match_chunks('[1,1,1]', tests.id('sea'), model => 'tiny')), 4::bigint, 'match_chunks finds them by the old one, if named');

-- Back, and away again ---------------------------------------------------------------------------------------------------

select tests.as_user('alice');
select is(matrice.switch_embedding_model(tests.id('sea'), 'tiny'), true, 'switch_embedding_model back: done at once, because the vectors are there');
select is(tests.models(), 'tiny', 'switch_embedding_model back: the settings name the old model');
delete from matrice.chunk_embeddings where chunk_id = tests.id('w0') and model = 'wide';
select is(matrice.switch_embedding_model(tests.id('sea'), 'wide'), false, 'switch_embedding_model to a model that lacks a vector: not done');
select is(matrice.cancel_model_switch(tests.id('sea')), true, 'cancel_model_switch ends the switch');
select is(tests.models(), 'tiny', 'cancel_model_switch keeps the model');
select is(tests.claims(), null, 'claim_chunks serves the former next model no more');
select is(tests.models(), 'tiny', 'a claim flips nothing after cancel_model_switch');
select is(matrice.drop_embeddings(tests.id('sea'), 'wide'), 3, 'drop_embeddings deletes the vectors of the cancelled model');

-- By a service, in all projects -----------------------------------------------------------------------------------------

select matrice.switch_embedding_model(tests.id('sea'), 'wide');
select tests.as_user('edith');
select matrice.store_embeddings('wide', array[tests.id('w0'), tests.id('w1'), tests.id('w2'), tests.id('w3')],
                                '[[1,0,0,0,0,0],[0,1,0,0,0,0],[0,0,1,0,0,0],[1,1,1,1,1,1]]');
select tests.as_user('alice');
select is(matrice.switch_embedding_model(tests.id('sea'), 'wide'), true, 'switch_embedding_model again, when every chunk is embedded: done without a claim');
select matrice.switch_embedding_model(tests.id('sea'), 'tiny');
select is(matrice.drop_embeddings(tests.id('sea'), 'wide'), 4, 'drop_embeddings deletes the former vectors again');
select matrice.switch_embedding_model(tests.id('sea'), 'wide');

select tests.as_service();
select set_eq(
  $$select distinct model from matrice.claim_chunks('wide', 100) where project_id = tests.id('sea')$$, $$values ('wide')$$,
  'claim_chunks without project_id serves the next model of a project');
select matrice.store_embeddings('wide', array[tests.id('w0'), tests.id('w1'), tests.id('w2'), tests.id('w3')],
                                '[[1,0,0,0,0,0],[0,1,0,0,0,0],[0,0,1,0,0,0],[1,1,1,1,1,1]]');
select is(tests.models(), 'tiny → wide', 'not flipped yet');
select count(*) from matrice.claim_chunks('wide', 100);
select is(tests.models(), 'wide', 'the claim of a service flips the models of all projects');

-- An empty project ------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
select is(matrice.switch_embedding_model(tests.id('empty'), 'tiny'), true, 'switch_embedding_model in a project without chunks: done at once');
select results_eq($$select settings from matrice.projects where id = tests.id('empty')$$, $$values ('{"embedding_model": "tiny"}'::jsonb)$$,
                  'switch_embedding_model in a project without chunks: the settings name the model');

-- Truncated models (Matryoshka) --------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('dolls', '{"embedding_model": "short"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('doll'), tests.id('dolls'), 'Doll');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id('d' || n), tests.id('doll'), n, 'Doll ' || n from generate_series(0, 4) n;
-- What pgvector says of the first two numbers of a vector.
create function tests.of_chunk(name text) returns real[] language sql as $$
  select e.embedding::real[] from matrice.chunk_embeddings e where e.chunk_id = tests.id(name) and e.model = 'short'
$$;
select tests.as_user('edith');
select results_eq($$select distinct model, request_model from matrice.claim_chunks(project_id => tests.id('dolls'))$$, $$values ('short', 'tiny')$$,
                  'claim_chunks of a truncated model: request_model is the whole one');
select is(matrice.store_embeddings('short', array[tests.id('d0'), tests.id('d1'), tests.id('d2')], '[[3,4,12],[30,-40],[1e-15,0,5]]'), 3,
          'store_embeddings of a truncated model takes whole vectors and truncated ones');
select is(tests.of_chunk('d0'), '{0.6,0.8}'::real[], 'store_embeddings of a truncated model keeps the first numbers of a whole vector, scaled to length 1');
select is(tests.of_chunk('d1'), '{30,-40}'::real[], 'store_embeddings of a truncated model keeps a truncated vector as it is');
select is(tests.of_chunk('d2'), '{1,0}'::real[], 'store_embeddings of a truncated model scales very small numbers exactly');
select lives_ok($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('d3'), '[0,-2,7]')$$,
                'chunk_embeddings of a truncated model takes a whole vector');
select is(tests.of_chunk('d3'), '{0,-1}'::real[], 'chunk_embeddings of a truncated model keeps its first numbers, scaled to length 1');
select tests.remember_state();
select tests.refuses($$select matrice.store_embeddings('short', array[tests.id('d4')], '[[0,0,5]]')$$, '22023',
                     'store_embeddings of a truncated model refuses a vector whose first numbers are zeros', hint => '%');
select tests.refuses(format($$select matrice.store_embeddings('short', array[tests.id('d4')], %L)$$, vectors), '22023',
                     'store_embeddings of a truncated model refuses other dimensions: ' || vectors, '%2%3%', '%')
  from unnest(array['[[1]]', '[[1,2,3,4]]']) vectors;
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('d4')], '[[1,2]]')$$, '22023',
                     'store_embeddings of a whole model refuses truncated vectors', '%3%2%', '%');
select tests.unchanged('store_embeddings of a truncated model: refused calls change no row');
select results_eq(
  $$select chunk_id, round(similarity::numeric, 6) from matrice.match_chunks('[4,3,-9]', tests.id('dolls'))$$,
  $$values (tests.id('d0'), 0.96), (tests.id('d2'), 0.8), (tests.id('d1'), 0), (tests.id('d3'), -0.6)$$,
  'match_chunks of a truncated model compares the first numbers of a whole vector');
select results_eq(
  $$select chunk_id, similarity::numeric(9, 6) from matrice.match_chunks('[4,3,-9]', tests.id('dolls'))$$,
  $$select chunk_id, similarity::numeric(9, 6) from matrice.match_chunks('[4,3]', tests.id('dolls'))$$,
  'match_chunks of a truncated model: a whole vector finds what a truncated one finds');
select results_eq(
  $$select chunk_id, similarity::numeric(9, 6) from matrice.hybrid_search('doll', '[4,3,-9]', tests.id('dolls'))$$,
  $$select chunk_id, similarity::numeric(9, 6) from matrice.hybrid_search('doll', '[4,3]', tests.id('dolls'))$$,
  'hybrid_search of a truncated model: a whole vector finds what a truncated one finds');
select results_eq(
  format($$select recall, mrr from matrice.evaluate_search('[{"query_embedding": [4,3,-9], "relevant": {"%s": 1}}]', tests.id('dolls'))$$, tests.id('d0')),
  $$values (1::double precision, 1::double precision)$$, 'evaluate_search of a truncated model takes a whole vector');
select is((select count(*) > 0 from matrice.build_context('doll', '[4,3,-9]', tests.id('dolls'))), true,
          'build_context of a truncated model takes a whole vector');
select tests.refuses($$select * from matrice.match_chunks('[4,3,-9,1]', tests.id('dolls'))$$, '22023',
                     'match_chunks of a truncated model refuses other dimensions', '%2%3%4%', '%');
select tests.refuses($$select * from matrice.match_chunks('[0,0,-9]', tests.id('dolls'))$$, '22023',
                     'match_chunks of a truncated model refuses a vector whose first numbers are zeros', hint => '%');
-- truncate_embeddings ----------------------------------------------------------------------------------------------------

select tests.as_user('alice');
select is(matrice.truncate_embeddings(tests.id('sea'), 'short', 2), 2, 'truncate_embeddings makes a batch');
select is(matrice.truncate_embeddings(tests.id('sea'), 'short', 2), 1, 'truncate_embeddings makes the rest');
select is(matrice.truncate_embeddings(tests.id('sea'), 'short', 2), 0, 'truncate_embeddings leaves a vector out whose first numbers are zeros');
update matrice.chunk_embeddings set embedding = '[0,2,1]' where model = 'tiny' and chunk_id = tests.id('w2');
select is(matrice.truncate_embeddings(tests.id('sea'), 'short', 2), 1, 'truncate_embeddings makes it when it has a direction');
select results_eq(
  $$select e.embedding::real[] from matrice.chunk_embeddings e where e.model = 'short' and e.chunk_id in (tests.id('w0'), tests.id('w3')) order by 1$$,
  $$values ('{0.70710677,0.70710677}'::real[]), ('{1,0}')$$, 'truncate_embeddings keeps the first numbers, scaled to length 1');
select is(matrice.switch_embedding_model(tests.id('sea'), 'short'), true, 'switch_embedding_model after truncate_embeddings: done at once');
select tests.as_owner();
select tests.remember_state();
select tests.as_user('victor');
select tests.refuses($$select matrice.truncate_embeddings(tests.id('sea'), 'short')$$, '42501', 'truncate_embeddings refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.truncate_embeddings(tests.id('sea'), 'short')$$, 'PT404', 'truncate_embeddings of another''s project: not found');
select tests.as_user('alice');
select tests.refuses($$select matrice.truncate_embeddings(tests.id('sea'), 'tiny')$$, '22023', 'truncate_embeddings refuses a whole model', hint => '%truncated_from%');
select tests.refuses($$select matrice.truncate_embeddings(tests.id('sea'), 'short', 0)$$, '22023', 'truncate_embeddings refuses batch_size 0', hint => '%');
select tests.unchanged('truncate_embeddings: refused calls change no row');

select tests.as_service();
select tests.refuses($$select matrice.register_model('short', 2)$$, 'PT409', 'register_model refuses to make a truncated model with embeddings a whole one',
                     '%short%', '%');

select * from finish();
rollback;
