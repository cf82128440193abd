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
select is(tests.claims('first', 2), 'alpha beta', 'claim_chunks hands out the first two');
select results_eq($$select distinct lease_id, leased_by, text_hash from matrice.embedding_leases where chunk_id = tests.id('alpha')$$,
                  $$values (tests.id('first'), tests.id('edith'), sha256('alpha'))$$, 'A lease knows its call, its worker and its text');
select is(count(distinct lease_id), 1::bigint, 'A call of claim_chunks makes one lease') from matrice.embedding_leases;
select tests.remember_state();
select tests.refuses($$insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('gamma'), 'tiny', now())$$, '42501', 'H2: no client adds a lease');
select tests.refuses($$update matrice.embedding_leases set attempt = 2147483647$$, '42501', 'H2: no client changes a lease');
select tests.refuses($$delete from matrice.embedding_leases$$, '42501', 'H2: no client deletes a lease');
select tests.refuses($$select matrice_private.take_leases(tests.ids('gamma'), 'tiny', 60, gen_random_uuid(), null)$$, '42501', 'H2: no client leases what it likes');
select tests.refuses($$select matrice_private.end_leases(tests.ids('alpha'), 'tiny', null, null)$$, '42501', 'H2: no client ends what it likes');
select tests.refuses($$select matrice_private.return_leases(tests.ids('alpha'), 'tiny', 'x', null, null)$$, '42501', 'H2: no client gives back what it likes');
select tests.refuses($$select matrice_private.take_leases_of_member(tests.ids('gamma'), 'tiny', 2147483647, gen_random_uuid())$$, '22023', 'H2: no client leases for ever');
select is(matrice_private.take_leases_of_member(tests.ids('alpha'), 'tiny', 60, gen_random_uuid()), 0, 'H2: no client takes a lease that is held, not even its own');
select tests.as_user('mallory');
select is(matrice_private.take_leases_of_member(tests.ids('gamma'), 'tiny', 60, gen_random_uuid()), 0, 'H2: an outsider leases nothing');
select is(matrice_private.end_leases_of_member(tests.ids('alpha', 'gamma'), 'tiny', null), '{}', 'H2: an outsider ends no lease');
select is(matrice_private.end_leases_of_member(tests.ids('alpha'), 'tiny', tests.id('first')), '{}', 'H2: not even one whose id it knows');
select lives_ok($$select matrice_private.return_leases_of_member(tests.ids('alpha'), 'tiny', 'x', tests.id('first'))$$, 'H2: an outsider gives back');
select tests.as_user('victor');
select is(matrice_private.take_leases_of_member(tests.ids('gamma'), 'tiny', 60, gen_random_uuid()), 0, 'H2: a viewer leases nothing');
select is(matrice_private.end_leases_of_member(tests.ids('alpha', 'gamma'), 'tiny', null), '{}', 'H2: a viewer ends no lease');
select lives_ok($$select matrice_private.return_leases_of_member(tests.ids('alpha'), 'tiny', 'x', tests.id('first'))$$, 'H2: a viewer gives back');
select tests.unchanged('H2: and nothing of all that changes anything');

-- No number overflows ------------------------------------------------------------------------------------------------

select tests.as_service();
select tests.refuses(format($$insert into matrice.embedding_leases (chunk_id, model, leased_until, %s) values (tests.id('gamma'), 'tiny', now(), %s)$$, field, value), '23514',
                     format('H2: a lease has no %s of %s', field, left(value, 20)))
  from (values ('attempt', '0'), ('attempt', '-1'), ('attempt', '1000001'), ('attempt', '2147483647'), ('last_error', quote_literal(repeat('x', 2001)))) bad (field, value);
select tests.refuses(format($$insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('gamma'), 'tiny', %L)$$, value), '23514', 'H2: a lease does not last until ' || value)
  from unnest(array['infinity', '-infinity']) value;
update matrice.embedding_leases set attempt = 1000000 where chunk_id = tests.id('alpha');
select tests.expire('alpha');
select tests.as_user('edith');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny', 1, project_id => tests.id('atlas'))$$, $$values ('alpha', 1000000)$$, 'H2: claim_chunks counts attempts to a million');
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha'), 'again')$$, 'H2: fail_chunks of the millionth');
select results_eq($$select leased_until from matrice.embedding_leases where chunk_id = tests.id('alpha')$$, $$values (now() + interval '1 hour')$$, 'H2: waits an hour');

-- A lease has an owner -----------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases;
select tests.as_user('edith');
select is(tests.claims('of_edith', 2), 'alpha beta', 'Edith claims two');
select tests.as_user('alice');
select is(tests.claims('of_alice', 2), 'delta gamma', 'Alice claims the others');
select tests.remember_state();
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta'), 'x')$$, 'fail_chunks of somebody else''s leases is no error');
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta'), 'x', tests.id('of_edith'))$$, 'Nor by the id of the lease');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2)), 0, 'store_embeddings of somebody else''s leases stores nothing');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2), tests.id('of_edith')), 0, 'Nor by the id of the lease');
select is(matrice.store_embeddings('tiny', tests.ids('gamma'), tests.vectors(1), tests.id('of_edith')), 0, 'Nor does a lease hold for chunks that it is not of');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'What somebody leases is not given to anybody');
select tests.as_service();
select lives_ok($$select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta'), 'x')$$, 'Not even a service frees it');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2)), 0, 'Or stores for it');
select tests.unchanged('All of that changes nothing');
select is(matrice.store_embeddings('tiny', tests.ids('gamma', 'delta'), tests.vectors(2), tests.id('of_alice')), 2, 'A service that has the id of a lease stores for it');
select tests.as_user('edith');
select matrice.fail_chunks('tiny', tests.ids('alpha', 'beta', 'gamma'), 'x', tests.id('of_edith'));
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('alpha', 2), ('beta', 2)$$, 'fail_chunks gives back what its lease is of');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('of_edith')), 0, 'A lease that was given back stores nothing');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1)), 1, 'Without lease_id it is the caller''s present lease that counts');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('of_edith')), 0, 'A lease that has ended stores nothing again');

-- An ended lease ------------------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases; delete from matrice.chunk_embeddings;
select tests.as_user('edith');
select is(tests.claims('early', 2), 'alpha beta', 'Edith claims two again');
select tests.expire('alpha', 'beta');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('early')), 1, 'A worker that is late stores what nobody else was given');
select tests.as_user('alice');
select is(tests.claims('late', 1), 'beta', 'Alice claims the other, whose lease has ended');
select tests.as_user('edith');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1), tests.id('early')), 0, 'A lease that passed to somebody else stores nothing');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1)), 0, 'Nor without its id');
select matrice.fail_chunks('tiny', tests.ids('beta'), 'too late', tests.id('early'));
select matrice.fail_chunks('tiny', tests.ids('beta'), 'too late');
select tests.as_user('alice');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1), tests.id('late')), 1, 'And cannot free it: Alice stores');
select is(matrice.store_embeddings('tiny', tests.ids('gamma'), tests.vectors(1)), 1, 'What nobody leases may be stored by who read it itself');
select is(matrice.store_embeddings('tiny', tests.ids('delta'), tests.vectors(1), gen_random_uuid()), 0, 'But not under a lease that there never was');

-- A lease is of a text -----------------------------------------------------------------------------------------------

select tests.as_owner();
delete from matrice.embedding_leases; delete from matrice.chunk_embeddings;
select tests.as_user('edith');
select is(tests.claims('old', 3), 'alpha beta gamma', 'Edith claims three');
select tests.as_user('alice');
update matrice.source_chunks set content = 'ALPHA' where id = tests.id('alpha');
update matrice.source_chunks set content = 'BETA' where id = tests.id('beta');
update matrice.source_chunks set content = 'GAMMA' where id = tests.id('gamma');
update matrice.source_chunks set content = 'gamma' where id = tests.id('gamma');
select results_eq($$select content from matrice.claim_chunks('tiny')$$, $$values ('delta')$$, 'A new text is not handed out while its chunk is leased');
select tests.as_user('edith');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'gamma'), tests.vectors(2), tests.id('old')), 1,
          'store_embeddings stores nothing for a text that changed since the claim, and stores the others');
select is(tests.stored(), 'gamma', 'A text that changed and changed back is the same');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1), tests.id('old')), 0, 'It does not when it is called again');
select is(matrice.store_embeddings('tiny', tests.ids('alpha'), tests.vectors(1)), 0, 'Nor without lease_id');
select is(matrice.store_embeddings('tiny', tests.ids('beta'), tests.vectors(1)), 0, 'Nor where lease_id was never given');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('ALPHA', 1), ('BETA', 1)$$, 'The new texts can be claimed at once, on their first attempt');
select is(matrice.store_embeddings('tiny', tests.ids('alpha', 'beta'), tests.vectors(2)), 2, 'And stored');

select tests.as_user('alice');
select matrice.store_embeddings('tiny', tests.ids('delta'), tests.vectors(1));
update matrice.source_chunks set content = 'poison' where id = tests.id('delta');
select matrice.fail_chunks('tiny', array(select chunk_id from matrice.claim_chunks('tiny')), 'poison');
select matrice.fail_chunks('tiny', array(select chunk_id from matrice.claim_chunks('tiny')), 'poison');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'What failed twice waits');
update matrice.source_chunks set content = 'wine' where id = tests.id('delta');
select results_eq($$select content, attempt from matrice.claim_chunks('tiny')$$, $$values ('wine', 1)$$, 'A new text does not wait for what failed with the old one');

-- A project's own model ------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('borea');
select tests.as_user('edith');
select matrice.ingest_source(tests.id('borea'), 'Boreal', 'north wind');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'claim_chunks(model) gives no chunks of projects that use another model');
select is_empty($$select * from matrice.claim_chunks('gte-small')$$, 'Nor is anything claimed for a model that no project uses');
select results_eq($$select content from matrice.claim_chunks('gte-small', project_id => tests.id('borea'))$$, $$values ('north wind')$$,
                  'Unless the project is named, too');
select results_eq($$select content from matrice.claim_chunks('text-embedding-3-small')$$, $$values ('north wind')$$, 'The default model is for projects that name none');
select tests.as_service();
delete from matrice.embedding_leases;
select is_empty($$select * from matrice.claim_chunks('gte-small')$$, 'So it is for services');
select results_eq($$select content from matrice.claim_chunks()$$, $$values ('north wind')$$, 'Which claim for projects that use the default model');

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
select is(count(distinct project_id), 4::bigint, 'H4: every project that has some is served, whatever ids another has chosen') from served;
-- Of 60 turns between four, 45 to one have a probability of 1e-14.
select is(max(times) < 45, true, 'H4: in turns') from (select count(*) as times from served group by project_id) s;
select is(tests.rows_of($$select * from matrice.claim_chunks('tiny', 2000)$$), 2000::bigint, 'H4: a batch is filled from as many projects as it takes');

select tests.as_owner();
delete from matrice.projects;
select tests.project('ages', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name, created_at) values
  ('ffffffff-0000-0000-0000-000000000000', tests.id('ages'), 'old', '2020-01-01'), ('00000000-0000-0000-0000-000000000000', tests.id('ages'), 'new', '2021-01-01');
insert into matrice.source_chunks (source_id, chunk_index, content)
select s.id, n, s.name || ' ' || n from matrice.context_sources s, generate_series(0, 2) n order by random();
select tests.as_user('edith');
select results_eq($$select content from matrice.claim_chunks('tiny')$$, $$values ('old 0'), ('old 1'), ('old 2'), ('new 0'), ('new 1'), ('new 2')$$,
                  'H4: claim_chunks hands out the oldest sources first, from their beginning');

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
select tests.as_user('edith');
select results_eq($$select length(content) from matrice.claim_chunks('tiny')$$, $$values (3000000), (3000000)$$, 'H3: claim_chunks hands out 8 MB of text at most');
select results_eq($$select length(content) from matrice.claim_chunks('tiny')$$, $$values (3000000)$$, 'H3: as bytes, not characters');
select results_eq($$select octet_length(content) from matrice.claim_chunks('tiny')$$, $$values (6000000)$$, 'H3: the rest comes with the next claims');
select is(tests.rows_of($$select * from matrice.claim_chunks('tiny')$$), 2::bigint, 'H3: until there is none');
select is_empty($$select * from matrice.claim_chunks('tiny')$$, 'H3: then nothing comes');
select tests.as_owner();
delete from matrice.source_chunks;
set local session_replication_role = replica;
insert into matrice.source_chunks (source_id, project_id, chunk_index, content, token_count)
select tests.id('long'), tests.id('ages'), n, repeat('e', 9000000), 1 from generate_series(0, 1) n;
set local session_replication_role = origin;
select tests.as_user('edith');
select results_eq($$select length(content) from matrice.claim_chunks('tiny')$$, $$values (9000000)$$, 'H3: a claim hands out one chunk at least');

-- Bad input ------------------------------------------------------------------------------------------------------------

select tests.refuses($$select matrice.store_embeddings('tiny', array[array[gen_random_uuid()]], '[[1,1,1]]')$$, '22023', 'store_embeddings: chunk_ids is a plain list', '%2%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', array[array[gen_random_uuid()]], 'x')$$, '22023', 'fail_chunks: chunk_ids is a plain list', '%2%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', array[array[null]]::uuid[], 'x')$$, '22023', 'fail_chunks: also one of nulls', '%2%', '%');

select * from finish();
rollback;
