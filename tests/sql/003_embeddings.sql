begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log'), (tests.id('map'), tests.id('borea'), 'Map');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values
  (tests.id('first'), tests.id('log'), 0, 'First'), (tests.id('second'), tests.id('log'), 1, 'Second'), (tests.id('other'), tests.id('map'), 0, 'Other');

-- Models -----------------------------------------------------------------------------------------------------------

select results_eq(
  $$select model from matrice.embedding_models where is_default and dimensions = 1536$$,
  $$values ('text-embedding-3-small')$$,
  'The default model is text-embedding-3-small with 1536 dimensions');
select results_eq(
  $$select model, dimensions from matrice.embedding_models where model in ('gte-small', 'voyage-3.5', 'text-embedding-3-large', 'text-embedding-ada-002') order by model$$,
  $$values ('gte-small', 384), ('text-embedding-3-large', 3072), ('text-embedding-ada-002', 1536), ('voyage-3.5', 1024)$$,
  'Common models are declared with their dimensions');
select tests.as_service();
select lives_ok($$insert into matrice.embedding_models (model, dimensions) values ('tiny', 3), ('bert', 768)$$, 'A service declares further models');

-- Embeddings -------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('first'), tests.vec(1536, 1));
select results_eq(
  $$select project_id, model, vector_dims(embedding), created_at from matrice.chunk_embeddings where chunk_id = tests.id('first')$$,
  $$values (tests.id('atlas'), 'text-embedding-3-small', 1536, now())$$,
  'An embedding needs a chunk and a vector; its project comes from the chunk, its model is the default');
select lives_ok(
  $$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values
      (tests.id('first'), tests.vec(384, 1), 'gte-small'), (tests.id('first'), tests.vec(768, 1), 'bert'),
      (tests.id('first'), tests.vec(1024, 1), 'voyage-3.5'), (tests.id('first'), tests.vec(3072, 1), 'text-embedding-3-large'),
      (tests.id('first'), '[1,2,3]', 'tiny'), (tests.id('second'), '[3,2,1]', 'tiny')$$,
  'Embeddings of 384, 768, 1024 and 3072 dimensions stand beside one of 1536');

select tests.remember_state();
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('second'), '[1,2,3]')$$, '22023',
                     'A vector shorter than the model''s is refused', '%1536%3%', '%embedding_models%');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('second'), tests.vec(1536, 1), 'gte-small')$$, '22023',
                     'A vector longer than the model''s is refused', '%384%1536%', '%embedding_models%');
select tests.refuses($$update matrice.chunk_embeddings set embedding = '[1,2]' where model = 'tiny'$$, '22023',
                     'An update does not change the dimensions', '%3%2%', '%');
select tests.refuses($$update matrice.chunk_embeddings set model = 'bert' where chunk_id = tests.id('second')$$, '22023',
                     'A model of other dimensions does not fit', '%768%3%', '%');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('second'), tests.vec(1536, 0))$$, '22023',
                     'A vector of zeros has no direction and is refused', hint => '%');
select tests.refuses(format($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('other'), %L, 'tiny')$$, vector), '22023',
                     'A vector whose cosine distances overflow or underflow is refused: ' || vector, '%norm%', '%direction%')
  from unnest(array['[1e30,1e30,1]', '[1e-30,0,0]', '[0,1e19,0]', '[1e-19,0,0]', '[1e38,1e38,1e38]', '[1e-45,0,0]']) vector;
select tests.refuses($$update matrice.chunk_embeddings set embedding = '[1e30,0,0]' where model = 'tiny'$$, '22023', 'Nor does an update make one', '%norm%', '%direction%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('second')], '[[1e30,1,1]]')$$, '22023', 'Nor a worker', '%norm%', '%direction%');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('second'), '[1,2,3]', 'undeclared')$$, '23503',
                     'A model that is not declared is refused');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('second'), null)$$, '23502', 'An embedding needs a vector');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('first'), '[1,1,1]', 'tiny')$$, '23505',
                     'A chunk has one embedding for each model');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, project_id, embedding, model) values (tests.id('other'), tests.id('atlas'), '[1,1,1]', 'tiny')$$, '42501',
                     'An embedding cannot name another project than its chunk''s');
select tests.refuses($$update matrice.chunk_embeddings set project_id = tests.id('borea')$$, '42501', 'An embedding cannot move to another project', '%', '%');
select tests.refuses($$update matrice.chunk_embeddings set chunk_id = tests.id('other') where model = 'bert'$$, '42501', 'An embedding cannot move to another project''s chunk');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions) values ('mine', 3)$$, '42501', 'A user declares no model', '%', '%service_role%');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('other'), '[1,1,1]', 'tiny')$$, '42501', 'A viewer adds no embedding');
select is(tests.rows_of($$update matrice.chunk_embeddings set embedding = '[1,1,1]' where model = 'tiny'$$), 0::bigint, 'A viewer changes no embedding');
select tests.as_user('mallory');
select is(tests.rows_of($$select from matrice.chunk_embeddings$$), 0::bigint, 'An outsider sees no embedding');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('other'), '[1,1,1]', 'tiny')$$, '42501', 'An outsider adds no embedding');
select tests.as_service();
select tests.refuses($$insert into matrice.embedding_leases (chunk_id, project_id, model, leased_until) values (tests.id('other'), tests.id('atlas'), 'tiny', now())$$, '23503',
                     'A lease cannot name another project than its chunk''s');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions) values ('none', 0)$$, '23514', 'A model has at least one dimension');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions) values ('huge', 16001)$$, '23514', 'A model has no more dimensions than pgvector stores');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions, is_default) values ('second', 3, true)$$, '23505', 'There is one default model');
select tests.unchanged('Refused embeddings leave no trace');

-- A new text -------------------------------------------------------------------------------------------------------

select tests.as_service();
insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('first'), 'text-embedding-ada-002', now() + interval '1 hour');
select results_eq($$select project_id, text_hash, leased_by from matrice.embedding_leases$$, $$values (tests.id('atlas'), sha256('First'), null::uuid)$$,
                  'A lease takes its project and its text from its chunk');
insert into matrice.embedding_leases (chunk_id, model, leased_until, lease_id) values (tests.id('first'), 'voyage-3.5', now() + interval '1 hour', null);
select tests.as_user('edith');
update matrice.source_chunks set metadata = '{"page": 1}', chunk_index = 5 where id = tests.id('first');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('first')$$), 6::bigint, 'A chunk that moves keeps its embeddings');
update matrice.source_chunks set content = content where id = tests.id('first');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('first')$$), 6::bigint, 'A text that is written again keeps its embeddings');
update matrice.source_chunks set content = 'Rewritten' where id = tests.id('first');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('first')$$), 0::bigint, 'A new text loses the embeddings of the old one');
select results_eq($$select model from matrice.embedding_leases where chunk_id = tests.id('first')$$, $$values ('text-embedding-ada-002')$$,
                  'A new text does not wait for what failed with the old one; a lease that a worker holds stays, for the old text');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('second')$$), 1::bigint, 'Other chunks keep theirs');
delete from matrice.source_chunks where id = tests.id('second');
select is(tests.rows_of($$select from matrice.chunk_embeddings$$), 0::bigint, 'A deleted chunk takes its embeddings along');

-- The model ----------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('own', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('its'), tests.id('own'), 'Its');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('its chunk'), tests.id('its'), 0, 'Its');
select tests.as_user('edith');
select lives_ok($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('its chunk'), '[1,2,3]')$$, 'chunk_embeddings: the model may be left out');
select results_eq($$select model from matrice.chunk_embeddings where chunk_id = tests.id('its chunk')$$, $$values ('tiny')$$, 'It is the project''s own');
select tests.as_service();
update matrice.embedding_models set is_default = false where is_default;
update matrice.embedding_models set is_default = true where model = 'bert';
select tests.as_user('edith');
insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('first'), tests.vec(768, 1));
select results_eq($$select model from matrice.chunk_embeddings where chunk_id = tests.id('first')$$, $$values ('bert')$$, 'Else the default one, whichever that is');
select is(column_default is not null, true, 'And optional in generated types') from information_schema.columns
 where table_schema = 'matrice' and table_name = 'chunk_embeddings' and column_name = 'model';

-- The index --------------------------------------------------------------------------------------------------------

select tests.refuses($$select matrice_private.build_embedding_index('ivfflat')$$, '42501', 'A user does not rebuild the index');
select tests.as_owner();
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_vector', 'hnsw', 'The vector index is HNSW');
select matrice_private.build_embedding_index('ivfflat');
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_vector', 'ivfflat', 'The owner may have it as IVFFlat');
select isnt(obj_description('matrice.idx_embeddings_vector'::regclass), null, 'A rebuilt index says what it is for');
select matrice_private.build_embedding_index();
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_vector', 'hnsw', 'HNSW is the default method');
set local matrice.embedding_index_method = 'ivfflat';
select matrice_private.build_embedding_index();
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_vector', 'ivfflat', 'A setting chooses the method');
select tests.refuses($$select matrice_private.build_embedding_index('btree')$$, '22023', 'No other method is known', hint => '%hnsw%ivfflat%');
select tests.refuses($$select matrice_private.build_embedding_index('hnsw (embedding); drop table matrice.projects; --')$$, '22023', 'A method is a name and nothing else', hint => '%hnsw%');
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_vector', 'ivfflat', 'An unknown method leaves the index alone');

select * from finish();
rollback;
