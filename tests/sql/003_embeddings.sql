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
  'embedding_models: the default is text-embedding-3-small with 1536 dimensions');
select results_eq(
  $$select model, dimensions from matrice.embedding_models where model in ('gte-small', 'voyage-3.5', 'text-embedding-3-large', 'text-embedding-ada-002') order by model$$,
  $$values ('gte-small', 384), ('text-embedding-3-large', 3072), ('text-embedding-ada-002', 1536), ('voyage-3.5', 1024)$$,
  'embedding_models declares common models with their dimensions');
select tests.as_service();
select lives_ok($$insert into matrice.embedding_models (model, dimensions) values ('tiny', 3), ('bert', 768)$$,
                'embedding_models: a service can insert models');

-- Embeddings -------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('first'), tests.vec(1536, 1));
select results_eq(
  $$select project_id, model, vector_dims(embedding), created_at from matrice.chunk_embeddings where chunk_id = tests.id('first')$$,
  $$values (tests.id('atlas'), 'text-embedding-3-small', 1536, now())$$,
  'chunk_embeddings: an insert of chunk_id and embedding alone fills project_id and the default model');
select lives_ok(
  $$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values
      (tests.id('first'), tests.vec(384, 1), 'gte-small'), (tests.id('first'), tests.vec(768, 1), 'bert'),
      (tests.id('first'), tests.vec(1024, 1), 'voyage-3.5'), (tests.id('first'), tests.vec(3072, 1), 'text-embedding-3-large'),
      (tests.id('first'), '[1,2,3]', 'tiny'), (tests.id('second'), '[3,2,1]', 'tiny')$$,
  'chunk_embeddings takes 384, 768, 1024 and 3072 dimensions beside 1536');

select tests.remember_state();
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('second'), '[1,2,3]')$$, '22023',
                     'chunk_embeddings refuses a vector shorter than the model''s', '%1536%3%', '%embedding_models%');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('second'), tests.vec(1536, 1), 'gte-small')$$, '22023',
                     'chunk_embeddings refuses a vector longer than the model''s', '%384%1536%', '%embedding_models%');
select tests.refuses($$update matrice.chunk_embeddings set embedding = '[1,2]' where model = 'tiny'$$, '22023',
                     'chunk_embeddings refuses an update to other dimensions', '%3%2%', '%');
select tests.refuses($$update matrice.chunk_embeddings set model = 'bert' where chunk_id = tests.id('second')$$, '22023',
                     'chunk_embeddings refuses an update to a model of other dimensions', '%768%3%', '%');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('second'), tests.vec(1536, 0))$$, '22023',
                     'chunk_embeddings refuses a vector of zeros', hint => '%');
select tests.refuses(format($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('other'), %L, 'tiny')$$, vector), '22023',
                     'chunk_embeddings refuses a vector whose cosine distance overflows or underflows: ' || vector, '%norm%', '%direction%')
  from unnest(array['[1e30,1e30,1]', '[1e-30,0,0]', '[0,1e19,0]', '[1e-19,0,0]', '[1e38,1e38,1e38]', '[1e-45,0,0]']) vector;
select tests.refuses($$update matrice.chunk_embeddings set embedding = '[1e30,0,0]' where model = 'tiny'$$, '22023',
                     'chunk_embeddings refuses an update to a vector whose cosine distance overflows', '%norm%', '%direction%');
select tests.refuses($$select matrice.store_embeddings('tiny', array[tests.id('second')], '[[1e30,1,1]]')$$, '22023',
                     'store_embeddings refuses a vector whose cosine distance overflows', '%norm%', '%direction%');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('second'), '[1,2,3]', 'undeclared')$$, '23503',
                     'chunk_embeddings refuses a model that is not declared');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('second'), null)$$, '23502',
                     'chunk_embeddings refuses embedding null');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('first'), '[1,1,1]', 'tiny')$$, '23505',
                     'chunk_embeddings refuses a second embedding of the same chunk and model');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, project_id, embedding, model) values (tests.id('other'), tests.id('atlas'), '[1,1,1]', 'tiny')$$, '42501',
                     'chunk_embeddings refuses a project_id that is not the chunk''s');
select tests.refuses($$update matrice.chunk_embeddings set project_id = tests.id('borea')$$, '42501',
                     'chunk_embeddings refuses an update of project_id', '%', '%');
select tests.refuses($$update matrice.chunk_embeddings set chunk_id = tests.id('other') where model = 'bert'$$, '42501',
                     'chunk_embeddings refuses an update of chunk_id to another project''s chunk');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions) values ('mine', 3)$$, '42501', 'embedding_models refuses a user an insert', '%',
                     '%service_role%');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('other'), '[1,1,1]', 'tiny')$$, '42501',
                     'chunk_embeddings refuses a viewer an insert');
select is(tests.rows_of($$update matrice.chunk_embeddings set embedding = '[1,1,1]' where model = 'tiny'$$), 0::bigint,
          'chunk_embeddings: an update by a viewer changes no row');
select tests.as_user('mallory');
select is(tests.rows_of($$select from matrice.chunk_embeddings$$), 0::bigint, 'chunk_embeddings for an outsider: no rows');
select tests.refuses($$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (tests.id('other'), '[1,1,1]', 'tiny')$$, '42501',
                     'chunk_embeddings refuses an outsider an insert');
select tests.as_service();
select tests.refuses($$insert into matrice.embedding_leases (chunk_id, project_id, model, leased_until) values (tests.id('other'), tests.id('atlas'), 'tiny', now())$$, '23503',
                     'embedding_leases refuses a project_id that is not the chunk''s');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions) values ('none', 0)$$, '23514', 'embedding_models refuses dimensions 0');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions) values ('huge', 16001)$$, '23514', 'embedding_models refuses dimensions 16001');
select tests.refuses($$insert into matrice.embedding_models (model, dimensions, is_default) values ('second', 3, true)$$, '23505',
                     'embedding_models refuses a second default model');
select tests.unchanged('chunk_embeddings and embedding_models: refused statements change no row');

-- A new text -------------------------------------------------------------------------------------------------------

select tests.as_service();
insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('first'), 'text-embedding-ada-002', now() + interval '1 hour');
select results_eq($$select project_id, text_hash, leased_by from matrice.embedding_leases$$, $$values (tests.id('atlas'), sha256('First'), null::uuid)$$,
                  'embedding_leases: an insert takes project_id and text_hash from the chunk');
insert into matrice.embedding_leases (chunk_id, model, leased_until, lease_id) values (tests.id('first'), 'voyage-3.5', now() + interval '1 hour', null);
select tests.as_user('edith');
update matrice.source_chunks set metadata = '{"page": 1}', chunk_index = 5 where id = tests.id('first');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('first')$$), 6::bigint,
          'source_chunks: an update of metadata and chunk_index keeps the embeddings');
update matrice.source_chunks set content = content where id = tests.id('first');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('first')$$), 6::bigint,
          'source_chunks: an update to the same content keeps the embeddings');
update matrice.source_chunks set content = 'Rewritten' where id = tests.id('first');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('first')$$), 0::bigint,
          'source_chunks: an update to new content deletes the embeddings');
select results_eq($$select model from matrice.embedding_leases where chunk_id = tests.id('first')$$, $$values ('text-embedding-ada-002')$$,
                  'source_chunks: an update to new content deletes failed leases and keeps the ones that a worker holds');
select is(tests.rows_of($$select from matrice.chunk_embeddings where chunk_id = tests.id('second')$$), 1::bigint,
          'source_chunks: an update of content keeps the embeddings of other chunks');
delete from matrice.source_chunks where id = tests.id('second');
select is(tests.rows_of($$select from matrice.chunk_embeddings$$), 0::bigint, 'source_chunks: a delete deletes the embeddings');

-- A deleted model ----------------------------------------------------------------------------------------------------

select tests.as_service();
insert into matrice.embedding_models (model, dimensions) values ('passing', 3);
insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('first'), 'passing', now() + interval '1 hour');
delete from matrice.embedding_models where model = 'passing';
select results_eq($$select model from matrice.embedding_leases where chunk_id = tests.id('first')$$, $$values ('text-embedding-ada-002')$$,
                  'embedding_models: deleting a model deletes its leases');

-- The model ----------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('own', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('its'), tests.id('own'), 'Its');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('its chunk'), tests.id('its'), 0, 'Its');
select tests.as_user('edith');
select lives_ok($$insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('its chunk'), '[1,2,3]')$$,
                'chunk_embeddings: an insert without model succeeds');
select results_eq($$select model from matrice.chunk_embeddings where chunk_id = tests.id('its chunk')$$, $$values ('tiny')$$,
                  'chunk_embeddings without model: the project''s embedding_model');
select tests.as_service();
update matrice.embedding_models set is_default = false where is_default;
update matrice.embedding_models set is_default = true where model = 'bert';
select tests.as_user('edith');
insert into matrice.chunk_embeddings (chunk_id, embedding) values (tests.id('first'), tests.vec(768, 1));
select results_eq($$select model from matrice.chunk_embeddings where chunk_id = tests.id('first')$$, $$values ('bert')$$,
                  'chunk_embeddings without model or embedding_model: the default model');
select is(column_default is not null, true, 'chunk_embeddings.model has a default, so it is optional in generated types') from information_schema.columns
 where table_schema = 'matrice' and table_name = 'chunk_embeddings' and column_name = 'model';

-- The index --------------------------------------------------------------------------------------------------------

select tests.refuses($$select matrice_private.build_embedding_index('ivfflat')$$, '42501', 'build_embedding_index refuses a user');
select tests.as_owner();
select hasnt_index('matrice', 'chunk_embeddings', 'idx_embeddings_approximate', 'a fresh schema has no index of pgvector: it would make writes slow');
select matrice_private.build_embedding_index();
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_approximate', 'hnsw', 'build_embedding_index() makes an index HNSW');
select isnt(obj_description('matrice.idx_embeddings_approximate'::regclass), null, 'build_embedding_index gives the index a comment');
select matrice_private.build_embedding_index('ivfflat');
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_approximate', 'ivfflat', 'build_embedding_index(''ivfflat'') makes the index IVFFlat');
select tests.refuses('select matrice_private.build_embedding_index(null)', '22023', 'build_embedding_index refuses method null', hint => '%hnsw%ivfflat%');
select tests.refuses($$select matrice_private.build_embedding_index('btree')$$, '22023', 'build_embedding_index refuses method btree',
                     hint => '%hnsw%ivfflat%');
select tests.refuses($$select matrice_private.build_embedding_index('hnsw (embedding); drop table matrice.projects; --')$$, '22023',
                     'build_embedding_index refuses a method that contains SQL', hint => '%hnsw%');
select index_is_type('matrice', 'chunk_embeddings', 'idx_embeddings_approximate', 'ivfflat', 'build_embedding_index: refused calls keep the index');

select * from finish();
rollback;
