begin;
\ir helpers/setup.psql
select no_plan();

-- Who holds a lease, of which text, and which chunks a claim hands out. What happens to several sessions at the same
-- moment: tests/security/test_queue_races.py.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('atlas', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id(word), tests.id('log'), place, word from unnest(array['alpha', 'beta', 'gamma', 'delta']) with ordinality as w (word, place);

create function tests.ids(variadic names text[]) returns uuid[] language sql as $$ select array_agg(tests.id(name)) from unnest(names) name $$;
create function tests.rows_at(variadic names text[]) returns tid[] language sql security definer as $$
  select array_agg(c.ctid) from matrice.source_chunks c where c.id = any (tests.ids(variadic names))
$$;
create function tests.vectors(how_many integer) returns jsonb language sql as $$ select jsonb_agg('[1,1,1]'::jsonb) from generate_series(1, how_many) $$;
create function tests.stored() returns text language sql security definer as $$
  select coalesce(string_agg(c.content, ' ' order by c.content), '') from matrice.chunk_embeddings e join matrice.source_chunks c on c.id = e.chunk_id
$$;
-- Claims, remembers the lease by a name, and tells the texts.
create function tests.claims(name text, batch_size integer) returns text language plpgsql as $$
declare
  lease uuid;
  texts text;
begin
  select (array_agg(c.lease_id))[1], string_agg(c.content, ' ' order by c.content) into lease, texts
    from matrice.claim_chunks('tiny', batch_size, project_id => tests.id('atlas')) c;
  perform tests.remember(name, lease);
  return texts;
end
$$;
create function tests.expire(variadic names text[]) returns void language sql security definer as $$
  update matrice.embedding_leases set leased_until = now() - interval '1 second' where chunk_id = any (tests.ids(variadic names))
$$;

-- Leases are written by the functions of the queue -------------------------------------------------------------------

select tests.as_user('edith');
select is(tests.claims('first', 2), 'alpha beta', 'claim_chunks with batch_size 2 returns the first two chunks');
select results_eq($$select distinct lease_id, leased_by, text_hash from matrice.embedding_leases where chunk_id = tests.id('alpha')$$,
                  $$values (tests.id('first'), tests.id('edith'), sha256('alpha'))$$,
                  'claim_chunks stores lease_id, leased_by and text_hash in embedding_leases');
select is(count(distinct lease_id), 1::bigint, 'claim_chunks gives all chunks of one call the same lease_id') from matrice.embedding_leases;
select tests.remember_state();
select tests.refuses($$insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('gamma'), 'tiny', now())$$, '42501',
                     'H2: embedding_leases refuses a client an insert');
select tests.refuses($$update matrice.embedding_leases set attempt = 2147483647$$, '42501', 'H2: embedding_leases refuses a client an update');
select tests.refuses($$delete from matrice.embedding_leases$$, '42501', 'H2: embedding_leases refuses a client a delete');
select tests.refuses($$select matrice_private.take_leases(tests.rows_at('gamma'), 'tiny', 60, gen_random_uuid(), null)$$, '42501',
                     'H2: take_leases refuses a client');
select tests.refuses($$select matrice_private.own_leases(tests.ids('alpha'), 'tiny', null, null)$$, '42501', 'H2: own_leases refuses a client');
select tests.refuses($$select matrice_private.return_leases(tests.ids('alpha'), 'tiny', 'x', null, false, null)$$, '42501', 'H2: return_leases refuses a client');
select tests.refuses($$select matrice_private.take_leases_of_member(tests.rows_at('gamma'), 'tiny', 2147483647, gen_random_uuid())$$, '22023',
                     'H2: take_leases_of_member refuses lease_seconds 2147483647');
select is(matrice_private.take_leases_of_member(tests.rows_at('alpha'), 'tiny', 60, gen_random_uuid()), 0,
          'H2: take_leases_of_member of the caller''s own live lease returns 0');
select tests.refuses($$select matrice_private.end_leases(tests.ids('alpha'), 'tiny', null)$$, '42501', 'H2: end_leases refuses a client');
select lives_ok($$select matrice_private.end_leases_of_member(tests.ids('alpha'), 'tiny')$$, 'H2: end_leases_of_member of a chunk without an embedding is no error');
select tests.as_user('mallory');
select is(matrice_private.take_leases_of_member(tests.rows_at('gamma'), 'tiny', 60, gen_random_uuid()), 0, 'H2: take_leases_of_member by an outsider returns 0');
select is(matrice_private.own_leases_of_member(tests.ids('alpha', 'gamma'), 'tiny', null), '{}', 'H2: own_leases_of_member by an outsider ends no lease');
select is(matrice_private.own_leases_of_member(tests.ids('alpha'), 'tiny', tests.id('first')), '{}',
          'H2: own_leases_of_member by an outsider with the right lease_id ends no lease');
select lives_ok($$select matrice_private.return_leases_of_member(tests.ids('alpha'), 'tiny', 'x', tests.id('first'), true)$$,
                'H2: return_leases_of_member by an outsider is no error');
select tests.as_user('victor');
select is(matrice_private.take_leases_of_member(tests.rows_at('gamma'), 'tiny', 60, gen_random_uuid()), 0, 'H2: take_leases_of_member by a viewer returns 0');
select is(matrice_private.own_leases_of_member(tests.ids('alpha', 'gamma'), 'tiny', null), '{}', 'H2: own_leases_of_member by a viewer ends no lease');
select lives_ok($$select matrice_private.return_leases_of_member(tests.ids('alpha'), 'tiny', 'x', tests.id('first'), true)$$,
                'H2: return_leases_of_member by a viewer is no error');
select tests.unchanged('H2: these calls by clients, outsiders and viewers change no row');

-- No number overflows ------------------------------------------------------------------------------------------------

select tests.as_service();
select tests.refuses(format($$insert into matrice.embedding_leases (chunk_id, model, leased_until, %s) values (tests.id('gamma'), 'tiny', now(), %s)$$, field,
                            value), '23514',
                     format('H2: embedding_leases refuses %s %s', field, left(value, 20)))
  from (values ('attempt', '0'), ('attempt', '-1'), ('attempt', '1000001'), ('attempt', '2147483647'),
        ('last_error', quote_literal(repeat('x', 2001)))) bad (field, value);
select tests.refuses(format($$insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('gamma'), 'tiny', %L)$$, value), '23514',
                     'H2: embedding_leases refuses leased_until ' || value)
  from unnest(array['infinity', '-infinity']) value;
update matrice.embedding_leases set attempt = 1000000 where chunk_id = tests.id('alpha');
select tests.expire('alpha');
select tests.as_user('edith');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny', 1, project_id => tests.id('atlas'))$$, $$values ('alpha', 1000000)$$,
                  'H2: claim_chunks counts attempt to 1,000,000 at most');
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha'), 'again')$$, 'H2: fail_chunks takes a chunk at attempt 1,000,000');
select results_eq($$select is_failed from matrice.embedding_leases where chunk_id = tests.id('alpha')$$, $$values (true)$$,
                  'H2: fail_chunks at attempt 1,000,000 is for good');

-- A worker that does not answer --------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases;
insert into matrice.context_sources (id, project_id, name) values (tests.id('ended'), tests.id('atlas'), 'Ended');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id('ended' || i), tests.id('ended'), i, 'text ' || i from generate_series(0, 29) i;
update matrice.projects set settings = settings || '{"max_attempts": 4}' where id = tests.id('atlas');
create function tests.end_leases(text_like text) returns void language sql security definer as $$
  update matrice.embedding_leases l set leased_until = now() - interval '1 second'
    from matrice.source_chunks c where c.id = l.chunk_id and c.content like text_like and l.lease_id is not null
$$;
create function tests.batches(text_like text, most_tokens integer default null) returns text language plpgsql as $$
declare
  sizes text[] := '{}';
  size integer;
begin
  loop
    select count(*) into size from matrice.claim_chunks('tiny', 64, project_id => tests.id('atlas'), max_batch_tokens => most_tokens) c;
    exit when size = 0;
    sizes := sizes || size::text;
  end loop;
  return array_to_string(sizes, ' ');
end
$$;
select tests.as_user('edith');
select is(tests.batches('%'), '34', 'claim_chunks of new chunks: one batch');
select tests.end_leases('text%');
select is(tests.batches('%'), '8 8 8 6', 'after one lease without an answer, claim_chunks returns at most 8 chunks');
select tests.end_leases('text 1%');
select is(tests.batches('%'), '1 1 1 1 1 1 1 1 1 1 1', 'after two leases without an answer, claim_chunks returns each chunk alone');
select results_eq($$select distinct attempt, unanswered, last_error from matrice.embedding_leases where chunk_id = tests.id('ended1')$$,
                  $$values (3, 2, 'the worker did not answer before the lease ended')$$,
                  'claim_chunks counts leases without an answer, and says so in last_error');
select tests.end_leases('text 0');
select matrice.fail_chunks('tiny', tests.ids('ended1'), 'HTTP 503');
select is(tests.batches('%', 2000), '1', 'a chunk that was given back after its leases ended waits');
select tests.end_leases('text 1%');
select is(tests.batches('%'), '1 1 1 1 1 1 1 1 1 1', 'attempts 4: alone');
select tests.end_leases('text 1%');
select is(tests.batches('%'), '', 'after max_attempts leases, claim_chunks returns the chunks no more');
select results_eq($$select source_name, chunk_index, attempts, last_error from matrice.failed_chunks(tests.id('atlas'))$$,
                  $$select 'Ended', i, 4, 'the worker did not answer before the lease ended' from generate_series(10, 19) i$$,
                  'failed_chunks lists them, with their attempts');
select is((select failed_count from matrice.context_sources where id = tests.id('ended')), 10, 'failed_count of the source counts them');
select is(matrice.retry_failed(tests.id('atlas')), 10, 'retry_failed frees them');
select is(tests.batches('%'), '10', 'retry_failed forgets their leases');
-- With one attempt.
select tests.as_owner();
delete from matrice.embedding_leases;
update matrice.projects set settings = settings || '{"max_attempts": 1}' where id = tests.id('atlas');
select tests.as_user('edith');
select is(tests.batches('%'), '34', 'max_attempts 1: one batch');
select tests.end_leases('text%');
select is(tests.batches('%', 2000), '8 8 8 6', 'max_attempts 1: no chunk that had others beside it becomes a dead letter; by max_batch_tokens, too');
select tests.end_leases('text 7');
select is(tests.batches('%'), '1', 'max_attempts 1: alone');
select tests.end_leases('text 7');
select is(tests.batches('%'), '', 'max_attempts 1: then a dead letter');
select tests.as_owner();
update matrice.source_chunks set content = 'another text' where id = tests.id('ended7');
select tests.as_user('edith');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny', 64, project_id => tests.id('atlas'))$$, $$values ('another text', 1)$$,
                  'a new text can be claimed again');
select tests.as_owner();
update matrice.projects set settings = settings - 'max_attempts' where id = tests.id('atlas');
delete from matrice.context_sources where id = tests.id('ended');

-- A lease has an owner -----------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases;
select tests.as_user('edith');
select is(tests.claims('of_edith', 2), 'alpha beta', 'claim_chunks by Edith returns two chunks');
select tests.as_user('alice');
select is(tests.claims('of_alice', 2), 'delta gamma', 'claim_chunks by Alice returns the other two chunks');
select tests.remember_state();
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta'), 'x')$$, 'fail_chunks of another user''s leases is no error');
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta'), 'x', tests.id('of_edith'))$$,
                'fail_chunks of another user''s leases with their lease_id is no error');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2)), 0, 'store_embeddings of another user''s leases returns 0');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2), tests.id('of_edith')), 0,
          'store_embeddings of another user''s leases with their lease_id returns 0');
select is(matrice.store_embeddings('tiny', tests.ids('gamma'), tests.vectors(1), tests.id('of_edith')), 0,
          'store_embeddings with a lease_id that does not cover the chunk returns 0');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'claim_chunks when other users lease every chunk: no rows');
select tests.as_service();
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta'), 'x')$$, 'fail_chunks of a user''s leases by a service is no error');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2)), 0, 'store_embeddings of a user''s leases by a service returns 0');
select tests.unchanged('fail_chunks and store_embeddings of another''s leases change no row');
select is(matrice.store_embeddings('tiny', tests.ids('gamma', 'delta'), tests.vectors(2), tests.id('of_alice')), 2,
          'store_embeddings by a service with the right lease_id returns 2');
select tests.as_user('edith');
select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta', 'gamma'), 'x', tests.id('of_edith'));
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('alpha', 2), ('beta', 2)$$,
                  'fail_chunks with lease_id frees the chunks of that lease alone');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('of_edith')), 0,
          'store_embeddings with a lease_id that was given back returns 0');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1)), 1, 'store_embeddings without lease_id uses the caller''s current lease');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('of_edith')), 0,
          'store_embeddings with a lease_id that has ended returns 0');

-- An ended lease ------------------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases; delete from matrice.chunk_embeddings;
select tests.as_user('edith');
select is(tests.claims('early', 2), 'alpha beta', 'claim_chunks by Edith returns two chunks again');
select tests.expire('alpha', 'beta');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('early')), 1,
          'store_embeddings with an expired lease stores a chunk that nobody claimed since');
select tests.as_user('alice');
select is(tests.claims('late', 1), 'beta', 'claim_chunks by Alice returns the chunk whose lease expired');
select tests.as_user('edith');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1), tests.id('early')), 0,
          'store_embeddings with a lease_id that passed to another user returns 0');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1)), 0,
          'store_embeddings without lease_id of a chunk that passed to another user returns 0');
select matrice.fail_chunks('tiny', tests.ids('beta'), 'too late', tests.id('early'));
select matrice.fail_chunks('tiny', tests.ids('beta'), 'too late');
select tests.as_user('alice');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1), tests.id('late')), 1,
          'store_embeddings by the new lease holder returns 1 after fail_chunks by the old one');
select is(matrice.store_embeddings('tiny', tests.ids('gamma'), tests.vectors(1)), 1, 'store_embeddings of a chunk that nobody leases returns 1');
select is(matrice.store_embeddings('tiny', tests.ids('delta'), tests.vectors(1), gen_random_uuid()), 0, 'store_embeddings with an unknown lease_id returns 0');

-- A lease is of a text -----------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases; delete from matrice.chunk_embeddings;
select tests.as_user('edith');
select is(tests.claims('old', 3), 'alpha beta gamma', 'claim_chunks by Edith returns three chunks');
select tests.as_user('alice');
update matrice.source_chunks set content = 'ALPHA' where id = tests.id('alpha');
update matrice.source_chunks set content = 'BETA' where id = tests.id('beta');
update matrice.source_chunks set content = 'GAMMA' where id = tests.id('gamma');
update matrice.source_chunks set content = 'gamma' where id = tests.id('gamma');
select results_eq($$select content from matrice.claim_chunks('tiny')$$, $$values ('delta')$$,
                  'claim_chunks does not return a changed text while its chunk is leased');
select tests.as_user('edith');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'gamma'), tests.vectors(2), tests.id('old')), 1,
          'store_embeddings stores nothing for a text that changed since the claim, and stores the others');
select is(tests.stored(), 'gamma', 'store_embeddings stores for a text that changed and changed back');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('old')), 0,
          'store_embeddings with lease_id of a changed text returns 0 again');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1)), 0, 'store_embeddings without lease_id of a changed text returns 0');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1)), 0, 'store_embeddings of a changed text without ever a lease_id returns 0');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('ALPHA', 1), ('BETA', 1)$$,
                  'claim_chunks returns the changed texts afterwards, attempt 1');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2)), 2, 'store_embeddings of the changed texts returns 2');

select tests.as_user('alice');
select matrice.store_embeddings('tiny', tests.ids('delta'), tests.vectors(1));
update matrice.source_chunks set content = 'poison' where id = tests.id('delta');
select matrice.fail_chunks('tiny', array(select chunk_id from matrice.claim_chunks('tiny')), 'poison');
select matrice.fail_chunks('tiny', array(select chunk_id from matrice.claim_chunks('tiny')), 'poison');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'claim_chunks does not return a text that failed twice');
select results_eq($$select model, waiting, leased, next_at = now() + interval '10 seconds' from matrice.waiting_chunks(tests.id('atlas'))$$,
                  $$values ('tiny', 1::bigint, 0::bigint, true)$$, 'waiting_chunks counts a text that failed twice, and says until when it waits');
select results_eq($$select waiting from matrice.waiting_chunks(model => 'tiny')$$, array[1::bigint], 'waiting_chunks counts those of all projects');
select is_empty($$select * from matrice.waiting_chunks(tests.id('atlas'), 'gte-small')$$, 'waiting_chunks of another model counts nothing');
select tests.refuses($$select * from matrice.waiting_chunks(model => 'no-such-model')$$, '22023', 'waiting_chunks refuses an unknown model', hint => '%');
select tests.as_user('mallory');
select is_empty($$select * from matrice.waiting_chunks()$$, 'waiting_chunks tells outsiders nothing');
select tests.refuses($$select * from matrice.waiting_chunks(tests.id('atlas'))$$, 'PT404', 'waiting_chunks of another''s project: not found');
select tests.as_user('alice');
update matrice.source_chunks set content = 'wine' where id = tests.id('delta');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('wine', 1)$$,
                  'claim_chunks returns a new text of a chunk that failed twice, attempt 1');

-- A project's own model ------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('borea');
select tests.as_user('edith');
select matrice.ingest_source(tests.id('borea'), 'Boreal', 'north wind');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'claim_chunks(model) returns no chunks of projects that use another model');
select is_empty($$select * from matrice.claim_chunks('gte-small')$$, 'claim_chunks of a model that no project uses: no rows');
select results_eq($$select content from matrice.claim_chunks('gte-small', project_id => tests.id('borea'))$$, $$values ('north wind')$$,
                  'claim_chunks(model, project_id) returns chunks of a project that uses another model');
select results_eq($$select content from matrice.claim_chunks('text-embedding-3-small')$$, $$values ('north wind')$$,
                  'claim_chunks of the default model returns chunks of projects that name none');
select tests.as_service();
delete from matrice.embedding_leases;
select is_empty($$select * from matrice.claim_chunks('gte-small')$$, 'claim_chunks by a service of a model that no project uses: no rows');
select results_eq($$select model, content from (select * from matrice.claim_chunks() union all select * from matrice.claim_chunks()) c order by 2$$,
                  $$values ('text-embedding-3-small', 'north wind'), ('tiny', 'wine')$$,
                  'claim_chunks() by a service returns chunks of every project, by its own model');

-- Chunks that failed for good -------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases;
delete from matrice.projects;
select tests.project('cargo', '{"embedding_model": "tiny", "max_attempts": 2}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('bill'), tests.id('cargo'), 'Bill');
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
select tests.id(word), tests.id('bill'), place, word, '{"headings": ["Hold", "Aft"]}'
  from unnest(array['salt', 'rope', 'tar']) with ordinality as w (word, place);
select tests.as_user('edith');
select matrice.fail_chunks('tiny', tests.ids('salt'), 'bad text', lease_id, permanent => true) from matrice.claim_chunks('tiny', 1);
select results_eq($$select chunk_id, source_name, chunk_index, model, attempts, last_error from matrice.failed_chunks(tests.id('cargo'))$$,
                  $$values (tests.id('salt'), 'Bill', 1, 'tiny', 1, 'bad text')$$, 'failed_chunks returns a chunk that failed permanently, with the error');
select results_eq($$select content from matrice.claim_chunks('tiny', 1)$$, $$values ('rope')$$, 'claim_chunks does not return it');
select matrice.fail_chunks('tiny', tests.ids('rope'), 'once');
select is_empty($$select * from matrice.failed_chunks(tests.id('cargo')) where chunk_id = tests.id('rope')$$, 'fail_chunks once is not for good');
select is((select attempt from matrice.claim_chunks('tiny', 1) where content = 'rope'), 2, 'claim_chunks returns a chunk that failed once');
select results_eq($$select model, waiting, leased, next_at > now() from matrice.waiting_chunks(tests.id('cargo'))$$, $$values ('tiny', 0::bigint, 1::bigint, true)$$,
                  'waiting_chunks counts what a worker has, and no dead letters');
select matrice.fail_chunks('tiny', tests.ids('rope'), 'twice');
select results_eq($$select chunk_id, attempts, last_error from matrice.failed_chunks(tests.id('cargo')) where chunk_id = tests.id('rope')$$,
                  $$values (tests.id('rope'), 2, 'twice')$$, 'fail_chunks for the max_attempts-th time is for good');
select tests.as_user('victor');
select is(tests.rows_of($$select * from matrice.failed_chunks(tests.id('cargo'))$$), 2::bigint, 'failed_chunks answers a viewer');
select tests.refuses($$select matrice.retry_failed(tests.id('cargo'))$$, '42501', 'retry_failed refuses a viewer');
select is(matrice_private.free_failed_of_member(tests.id('cargo'), null), 0, 'free_failed_of_member by a viewer frees nothing');
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.failed_chunks(tests.id('cargo'))$$, 'PT404', 'failed_chunks of another''s project: not found');
select tests.refuses($$select matrice.retry_failed(tests.id('cargo'))$$, 'PT404', 'retry_failed of another''s project: not found');
select is(matrice_private.free_failed_of_member(tests.id('cargo'), null), 0, 'free_failed_of_member by an outsider frees nothing');
select tests.as_user('edith');
update matrice.source_chunks set content = 'fine salt' where id = tests.id('salt');
select is(tests.rows_of($$select * from matrice.failed_chunks(tests.id('cargo'))$$), 1::bigint, 'A new text is not failed');
select is(matrice.retry_failed(tests.id('cargo'), 'gte-small'), 0, 'retry_failed of another model frees nothing');
select is(matrice.retry_failed(tests.id('cargo')), 1, 'retry_failed returns how many chunks it freed');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('fine salt', 1), ('rope', 1), ('tar', 1)$$,
                  'claim_chunks returns them again, attempt 1');

-- What is embedded, and how much at once ----------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases;
select tests.as_user('edith');
select results_eq($$select model, source_id, source_name, headings, embedding_text, embedding_tokens = token_count from matrice.claim_chunks('tiny', 1)$$,
                  $$values ('tiny', tests.id('bill'), 'Bill', array['Hold', 'Aft'], 'fine salt', true)$$,
                  'claim_chunks returns model, source and headings; without a template, the content is embedded');
select tests.as_user('alice');
update matrice.projects set settings = settings || '{"embedding_template": "{title}\n{headings}\n\n{content} {x}"}' where id = tests.id('cargo');
update matrice.context_sources set name = '{content}' where id = tests.id('bill');
update matrice.source_chunks set metadata = '{}' where id = tests.id('tar');
select results_eq($$select embedding_text, embedding_tokens from matrice.claim_chunks('tiny')$$,
                  $$select t, matrice.count_tokens(t) from unnest(array[E'{content}\nHold › Aft\n\nrope {x}', E'{content}\n\ntar {x}']) t$$,
                  'claim_chunks fills the template once, without an empty line where there are no headings, and counts its tokens');
select is(matrice_private.embedding_text(template, 'T', metadata::jsonb, 'x'), expected, format('embedding_text: %s of %s', to_json(template), metadata))
  from (values (E'{title}\n{headings}\n\n{header}\n{content}', '{"header": "a;{content}", "headings": ["H"]}', E'T\nH\n\na;{content}\nx'),
               (E'{title}\n{headings}\n\n{header}\n{content}', '{}', E'T\n\nx'),
               (E'{header}\n{content}', '{"header": "a;b"}', E'a;b\nx'),
               (E'{header}\n{content}', '{"header": ["a"]}', 'x'),
               ('{content} ({header})', '{"header": ""}', 'x')) as cases (template, metadata, expected);
select tests.as_owner();
delete from matrice.embedding_leases;
update matrice.source_chunks set metadata = '{"header": "a;b"}' where id = tests.id('tar');
select tests.as_user('edith');
select results_eq($$select content, header from matrice.claim_chunks('tiny') order by content$$, $$values ('fine salt', null), ('rope', null), ('tar', 'a;b')$$,
                  'claim_chunks returns the header of the table in which a chunk begins');
select tests.as_user('alice');
select tests.refuses(format($$update matrice.projects set settings = %L where id = tests.id('cargo')$$, settings), '22023',
                     'projects: settings ' || left(settings, 60) || ' are refused')
  from unnest(array['{"embedding_template": "no placeholder"}', '{"embedding_template": "{content}' || repeat('x', 2000) || '"}',
                    '{"max_attempts": 0}', '{"max_attempts": 1.5}', '{"max_attempts": 1e400}', '{"max_attempts": "2"}']) settings;

select tests.as_owner();
delete from matrice.embedding_leases;
update matrice.projects set settings = '{"embedding_model": "tiny"}' where id = tests.id('cargo');
delete from matrice.context_sources;
insert into matrice.context_sources (id, project_id, name) values (tests.id('bill'), tests.id('cargo'), 'Bill');
insert into matrice.source_chunks (source_id, chunk_index, content)
select tests.id('bill'), n, case n when 3 then repeat('word ', 100) else repeat('word ', 10) end from generate_series(0, 9) n;
select tests.as_user('edith');
select results_eq($$select count(*), sum(embedding_tokens) <= 35 from matrice.claim_chunks('tiny', max_batch_tokens => 35)$$, $$values (3::bigint, true)$$,
                  'claim_chunks with max_batch_tokens returns what fits');
select results_eq($$select count(*), max(embedding_tokens) <= 35 from matrice.claim_chunks('tiny', max_batch_tokens => 35)$$, $$values (3::bigint, true)$$,
                  'claim_chunks with max_batch_tokens passes over a text that is too long');
select results_eq($$select chunk_index, last_error from matrice.failed_chunks(tests.id('cargo'))$$,
                  $$values (3, 'The text has more than the 35 tokens that the model takes.')$$, 'claim_chunks fails a text that is too long for good');
select results_eq($$select count(*) from matrice.claim_chunks('tiny', 64, max_inputs => 2)$$, $$values (2::bigint)$$, 'claim_chunks: max_inputs replaces batch_size');
select is_empty($$select * from matrice.claim_chunks('tiny', max_input_tokens => 5)$$, 'claim_chunks with max_input_tokens below all texts: no rows');
select is(tests.rows_of($$select * from matrice.failed_chunks(tests.id('cargo'))$$), 2::bigint, 'claim_chunks with max_input_tokens fails longer texts');
select tests.refuses(format($$select * from matrice.claim_chunks('tiny', %s => %s)$$, name, value), '22023', format('claim_chunks refuses %s %s', name, value))
  from unnest(array['max_batch_tokens', 'max_inputs', 'max_input_tokens']) name, unnest(array[0, -1, 2147483647]) value;

-- Fair, and oldest first -----------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.projects;
insert into matrice.projects (id, name, settings, created_by)
select md5('project ' || n)::uuid, 'p' || n, '{"embedding_model": "tiny"}', tests.id('alice') from generate_series(1, 3) n;
-- One with ids below all others, and much more to do.
insert into matrice.projects (id, name, settings, created_by)
values ('00000000-0000-0000-0000-000000000001', 'greedy', '{"embedding_model": "tiny"}', tests.id('mallory'));
insert into matrice.context_sources (id, project_id, name, created_at)
select case when p.name = 'greedy' then ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid else gen_random_uuid() end,
       p.id, p.name || ' ' || n, case when p.name = 'greedy' then '1970-01-01'::timestamptz else now() end
  from matrice.projects p, generate_series(1, case when p.name = 'greedy' then 40 else 1 end) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select case when s.name ~ 'greedy' then overlay(s.id::text placing lpad(n::text, 4, '0') from 20)::uuid else gen_random_uuid() end, s.id, n, s.name || ' ' || n
  from matrice.context_sources s, generate_series(0, 49) n;
select tests.as_service();
create temp table served as
select c.project_id, turn from generate_series(1, 60) turn, lateral matrice.claim_chunks('tiny', least(turn, 1)) c;
select is(count(distinct project_id), 4::bigint, 'H4: claim_chunks serves every project that has chunks, whatever ids another has chosen') from served;
-- Of 60 turns between four, 45 to one have a probability of 1e-14.
select is(max(times) < 45, true, 'H4: claim_chunks serves the projects in turns') from (select count(*) as times from served group by project_id) s;
select is(tests.rows_of($$select * from matrice.claim_chunks('tiny', 2000)$$), 2000::bigint,
          'H4: claim_chunks with batch_size 2000 fills the batch from several projects');

select tests.as_owner();
delete from matrice.projects;
select tests.project('ages', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name, created_at) values
  ('ffffffff-0000-0000-0000-000000000000', tests.id('ages'), 'old', '2020-01-01'),
  ('00000000-0000-0000-0000-000000000000', tests.id('ages'), 'new', '2021-01-01');
insert into matrice.source_chunks (source_id, chunk_index, content)
select s.id, n, s.name || ' ' || n from matrice.context_sources s, generate_series(0, 2) n order by random();
select tests.as_user('edith');
select results_eq($$select content from matrice.claim_chunks('tiny')$$, $$values ('old 0'), ('old 1'), ('old 2'), ('new 0'), ('new 1'), ('new 2')$$,
                  'H4: claim_chunks returns the oldest sources first, each from its beginning');

-- By bytes -------------------------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.context_sources;
insert into matrice.context_sources (id, project_id, name) values (tests.id('long'), tests.id('ages'), 'long');
-- Texts of a size that the table refuses show the bound of a claim with few of them.
alter table matrice.source_chunks drop constraint source_chunks_content_length;
set local session_replication_role = replica;
insert into matrice.source_chunks (source_id, project_id, chunk_index, content, token_count)
select tests.id('long'), tests.id('ages'), n, repeat(case n when 3 then 'é' else 'e' end, 3000000), 1 from generate_series(0, 5) n;
set local session_replication_role = origin;
select matrice_private.rebuild_embedding_queue(tests.id('ages'));
select tests.as_user('edith');
select results_eq($$select length(content) from matrice.claim_chunks('tiny')$$, $$values (3000000), (3000000)$$,
                  'H3: claim_chunks returns at most 8 MB of text');
select results_eq($$select length(content) from matrice.claim_chunks('tiny')$$, $$values (3000000)$$, 'H3: claim_chunks counts bytes, not characters');
select results_eq($$select octet_length(content) from matrice.claim_chunks('tiny')$$, $$values (6000000)$$,
                  'H3: claim_chunks returns the next chunk of 6 MB with the next call');
select is(tests.rows_of($$select * from matrice.claim_chunks('tiny')$$), 2::bigint, 'H3: claim_chunks returns the last chunks');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'H3: claim_chunks after the last chunk: no rows');
select tests.as_owner();
delete from matrice.source_chunks;
set local session_replication_role = replica;
insert into matrice.source_chunks (source_id, project_id, chunk_index, content, token_count)
select tests.id('long'), tests.id('ages'), n, repeat('e', 9000000), 1 from generate_series(0, 1) n;
set local session_replication_role = origin;
select matrice_private.rebuild_embedding_queue(tests.id('ages'));
select tests.as_user('edith');
select results_eq($$select length(content) from matrice.claim_chunks('tiny')$$, $$values (9000000)$$, 'H3: claim_chunks returns one chunk of 9 MB');

-- Sources without chunks -----------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.source_chunks;
insert into matrice.context_sources (project_id, name) select tests.id('ages'), 'empty ' || n from generate_series(1, 2000) n;
create temp table read_before as select seq_tup_read + idx_tup_fetch as sources from pg_stat_xact_user_tables where relid = 'matrice.context_sources'::regclass;
select tests.as_service();
select is_empty($$select * from matrice.claim_chunks('tiny', project_id => tests.id('ages'))$$, 'claim_chunks of a project with nothing to claim: no rows');
select tests.as_owner();
select cmp_ok(seq_tup_read + idx_tup_fetch - sources, '<', 100::bigint, 'claim_chunks visits no source of a project with nothing to claim')
  from read_before, pg_stat_xact_user_tables where relid = 'matrice.context_sources'::regclass;

-- Bad input ------------------------------------------------------------------------------------------------------------

select tests.refuses($$select matrice.store_embeddings('tiny', array[array[gen_random_uuid()]], '[[1,1,1]]')$$, '22023',
                     'store_embeddings refuses a two-dimensional chunk_ids', '%2%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', array[array[gen_random_uuid()]], 'x')$$, '22023', 'fail_chunks refuses a two-dimensional chunk_ids',
                     '%2%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', array[array[null]]::uuid[], 'x')$$, '22023',
                     'fail_chunks refuses a two-dimensional chunk_ids of nulls', '%2%', '%');

select * from finish();
rollback;
