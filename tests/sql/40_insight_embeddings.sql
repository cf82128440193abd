begin;
\ir helpers/setup.psql
select no_plan();

-- Insights in the queue of chunks, and insights that are found by meaning. Several sessions at the same moment:
-- tests/security/test_insight_races.py.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3), ('other', 2);
select tests.project('atlas', '{"embedding_model": "tiny", "language": "english"}');
select tests.project('borea', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log');

create function tests.ids(variadic names text[]) returns uuid[] language sql as $$ select array_agg(tests.id(name)) from unnest(names) name $$;
create function tests.told(name text, title text, content text, project text default 'atlas') returns uuid language sql as $$
  select tests.remember(name, matrice.record_insight(tests.id(project), 'pattern', title, content, 0.8))
$$;
-- Claims, remembers the lease by a name, and tells the texts.
create function tests.claims(name text, batch_size integer default 64, max_batch_tokens integer default null) returns text language plpgsql as $$
declare
  lease uuid;
  texts text;
begin
  select (array_agg(c.lease_id))[1], string_agg(replace(c.embedding_text, chr(10), ': '), ' | ' order by c.place) into lease, texts
    from matrice.claim_chunks('tiny', batch_size, project_id => tests.id('atlas'), max_batch_tokens => claims.max_batch_tokens)
         with ordinality as c (chunk_id, project_id, content, token_count, attempt, lease_id, model, source_id, source_name, headings,
                               embedding_text, embedding_tokens, request_model, header, place);
  perform tests.remember(name, coalesce(lease, tests.id('nobody')));
  return texts;
end
$$;
create function tests.expire(variadic names text[]) returns void language sql security definer as $$
  update matrice_private.insight_leases set leased_until = now() - interval '1 second' where insight_id = any (tests.ids(variadic names))
$$;
create function tests.queue() returns table (insight_id uuid, model text, attempt integer, is_failed boolean, is_held boolean) language sql security definer as $$
  select l.insight_id, l.model, l.attempt, l.is_failed, l.lease_id is not null from matrice_private.insight_leases l
$$;
create function tests.embedded() returns text language sql security definer as $$
  select coalesce(string_agg(i.title || ' ' || e.model, ', ' order by i.title, e.model), '')
    from matrice.insight_embeddings e join matrice.insights i on i.id = e.insight_id
$$;

-- Claims -----------------------------------------------------------------------------------------------------------

create function tests.waiting() returns text language sql as $$
  select string_agg(format('%s waiting, %s leased', waiting, leased), '; ') from matrice.waiting_chunks(tests.id('atlas'))
$$;

select tests.as_user('edith');
select tests.told('calm', 'Calm', 'The winds fall at dusk.');
select results_eq(
  $$select chunk_id, project_id, content, token_count, attempt, lease_id is not null, model, source_id, source_name, headings, embedding_text,
           embedding_tokens, request_model, header from matrice.claim_chunks(project_id => tests.id('atlas'))$$,
  $$select tests.id('calm'), tests.id('atlas'), t.text, matrice.count_tokens(t.text), 1, true, 'tiny', null::uuid, null::text, '{}'::text[], t.text,
           matrice.count_tokens(t.text), 'tiny', null::text from (values (E'Calm\nThe winds fall at dusk.')) t (text)$$,
  'claim_chunks returns an insight with its title and content as the text, and no source');
select is(tests.claims('none'), null, 'claim_chunks does not hand out a leased insight');
select tests.told('tide', 'Tide', 'We sail with the tide.');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id(word), tests.id('log'), place, word from unnest(array['alpha', 'beta']) with ordinality as w (word, place);
select is(tests.claims('mixed'), 'Tide: We sail with the tide. | alpha | beta', 'claim_chunks hands out insights, then chunks in the room that they leave');
select tests.told('fog', 'Fog', 'Fog comes in spring.');
select tests.told('ice', 'Ice', 'Ice blocks the north.');
select is(tests.claims('one', 1), 'Fog: Fog comes in spring.', 'claim_chunks(batch_size => 1) hands out the insight that waits longest');
select is(tests.claims('two', 1), 'Ice: Ice blocks the north.', 'claim_chunks goes on with the next insight');
select tests.told('short', 'Short', 'A b c d.');
select tests.told('long', 'Long', repeat('word ', 50));
select is(tests.claims('small', 64, 20), 'Short: A b c d.', 'claim_chunks(max_batch_tokens => 20) takes the insights that fit');
select is(count(*), 0::bigint, 'claim_chunks(max_input_tokens => 20) does not hand out an insight that is too long')
  from matrice.claim_chunks('tiny', project_id => tests.id('atlas'), max_input_tokens => 20);
select results_eq($$select chunk_id, source_id, source_name, chunk_index, model, attempts, last_error from matrice.failed_chunks(tests.id('atlas'))$$,
                  $$values (tests.id('long'), null::uuid, null::text, null::integer, 'tiny', 1, 'The text has more than the 20 tokens that the model takes.')$$,
                  'failed_chunks lists an insight that is too long');

-- Storing ----------------------------------------------------------------------------------------------------------

select is(matrice.store_embeddings('tiny', tests.ids('tide', 'alpha', 'beta'), '[[0,1,0],[1,0,0],[1,0,0]]', tests.id('mixed')), 3,
          'store_embeddings stores the vectors of insights and chunks of one lease');
select is(tests.embedded(), 'Tide tiny', 'store_embeddings stores the vector of the insight');
select is(count(*), 2::bigint, 'store_embeddings stores the vectors of the chunks') from matrice.chunk_embeddings;
select is(matrice.store_embeddings('tiny', tests.ids('fog'), '[[0,0,1]]', tests.id('mixed')), 0, 'store_embeddings of another lease stores no insight');
select tests.remember_state();
select tests.refuses($$select matrice.store_embeddings('tiny', tests.ids('fog'), '[[0,1]]', tests.id('one'))$$, '22023',
                     'store_embeddings refuses an insight''s vector of other dimensions', 'Expected 3 dimensions, got 2.', '%');
select tests.refuses($$select matrice.store_embeddings('tiny', tests.ids('fog'), '[[0,0,0]]', tests.id('one'))$$, '22023', 'store_embeddings refuses an insight''s vector of zeros');
select tests.refuses($$select matrice.store_embeddings('tiny', tests.ids('fog'), '[["x"]]', tests.id('one'))$$, '22023', 'store_embeddings refuses an insight''s vector of words');
select tests.refuses($$select matrice.store_embeddings('tiny', tests.ids('nowhere'), '[[0,0,1]]')$$, 'PT404', 'store_embeddings of an unknown id: not found', '%', '%');
select tests.unchanged('store_embeddings: refused calls change no row');
select is(matrice.store_embeddings('tiny', tests.ids('fog', 'nowhere'), '[[0,0,1],[0,0,1]]', tests.id('one')), 1, 'store_embeddings skips an insight that does not exist');
select is(matrice.store_embeddings('tiny', tests.ids('ice', 'ice'), '[[0,0,1],[0,1,1]]', tests.id('two')), 1, 'store_embeddings of the same insight twice stores the last vector');
select is(embedding::text, '[0,1,1]', 'The last vector counts') from matrice.insight_embeddings where insight_id = tests.id('ice');
select is(matrice.store_embeddings('tiny', tests.ids('fog'), '[[0,0,1]]', tests.id('one')), 0, 'store_embeddings of a lease that has ended returns 0');
select is(matrice.store_embeddings('tiny', tests.ids('fog'), '[[0,0,1]]'), 1, 'store_embeddings without lease_id stores the vector of an insight that nobody leases');
select is_empty($$select from tests.queue() where insight_id = any (tests.ids('tide', 'fog', 'ice'))$$, 'An insight with an embedding is not in the queue');

-- Failing ----------------------------------------------------------------------------------------------------------

select matrice.fail_chunks('tiny', tests.ids('short'), 'busy', tests.id('mixed'));
select is(is_held, true, 'fail_chunks with another lease gives back nothing') from tests.queue() where insight_id = tests.id('short');
select matrice.fail_chunks('tiny', tests.ids('short'), 'busy', tests.id('small'));
select is(tests.claims('again'), 'Short: A b c d.', 'After the first failure an insight can be claimed at once');
select matrice.fail_chunks('tiny', tests.ids('short'), 'busy', tests.id('again'));
select is(tests.claims('none'), null, 'After the second failure an insight waits');
select is(tests.waiting(), '1 waiting, 1 leased', 'waiting_chunks counts it, and those that a worker has');
select tests.as_user('victor');
select is(tests.waiting(), '1 waiting, 1 leased', 'waiting_chunks counts them for a viewer');
select tests.as_user('mallory');
select is_empty($$select from matrice_private.leased_insights_of_member(null)$$, 'leased_insights_of_member tells outsiders nothing');
select is_empty($$select from matrice_private.leased_insights_of_member(tests.id('atlas'))$$, 'leased_insights_of_member tells them nothing of a project');
select tests.as_service();
select is(tests.waiting(), '1 waiting, 1 leased', 'waiting_chunks counts them for a service');
select tests.as_user('edith');
select tests.expire('short');
select is(attempt, 3, 'claim_chunks counts the attempts of an insight') from matrice.claim_chunks('tiny', project_id => tests.id('atlas'));
select matrice.fail_chunks('tiny', tests.ids('short'), 'It is no text.', permanent => true);
select is(array_agg(last_error order by last_error), array['It is no text.', 'The text has more than the 20 tokens that the model takes.'],
          'fail_chunks(permanent => true) makes an insight a dead letter') from matrice.failed_chunks(tests.id('atlas'));
select tests.as_user('victor');
select is(count(*), 2::bigint, 'failed_chunks shows viewers the insights') from matrice.failed_chunks(tests.id('atlas'));
select tests.refuses($$select matrice.retry_failed(tests.id('atlas'))$$, '42501', 'retry_failed refuses a viewer', '%', '%');
select tests.as_user('edith');
select is(matrice.retry_failed(tests.id('atlas'), 'other'), 0, 'retry_failed of another model frees no insight');
select is(matrice.retry_failed(tests.id('atlas')), 2, 'retry_failed frees the insights');
select is((tests.claims('retried') like '%Short: A b c d.%'), true, 'After retry_failed, insights are claimed again');
select is(matrice.store_embeddings('tiny', tests.ids('short', 'long'), '[[1,1,1],[1,1,0]]', tests.id('retried')), 2, 'Their vectors are stored');
select tests.as_owner();
update matrice.projects set settings = settings || '{"max_attempts": 2}' where id = tests.id('atlas');
select tests.as_service();
select tests.told('deadly', 'Deadly', 'It stops each worker.');
select is(tests.claims('first'), 'Deadly: It stops each worker.', 'A service claims insights, too');
select tests.expire('deadly');
select is(attempt, 2, 'The second attempt') from matrice.claim_chunks('tiny', project_id => tests.id('atlas'));
select tests.expire('deadly');
select is(attempt, 3, 'The first two leases without an answer decide nothing') from matrice.claim_chunks('tiny', project_id => tests.id('atlas'));
select tests.expire('deadly');
select is(tests.claims('none'), null, 'After max_attempts leases without an answer, an insight is not claimed any more');
select is(last_error, 'the worker did not answer before the lease ended', 'It is a dead letter') from matrice.failed_chunks(tests.id('atlas'));

-- Texts that change, and insights that end -------------------------------------------------------------------------

select tests.as_user('edith');
update matrice.insights set content = 'It is harmless now.' where id = tests.id('deadly');
select is(tests.claims('before'), 'Deadly: It is harmless now.', 'A dead letter with a new text can be claimed');
update matrice.insights set title = 'Harmless' where id = tests.id('deadly');
select is(tests.claims('none'), null, 'While a worker has the old text, nobody else gets the new one');
select is(matrice.store_embeddings('tiny', tests.ids('deadly'), '[[1,2,3]]', tests.id('before')), 0, 'store_embeddings refuses the vector of a former text');
select is(tests.claims('after'), 'Harmless: It is harmless now.', 'Then the new text can be claimed');
select is(matrice.store_embeddings('tiny', tests.ids('deadly'), '[[1,2,3]]', tests.id('after')), 1, 'Its vector is stored');
update matrice.insights set content = 'The tide decides.' where id = tests.id('tide');
select is(tests.embedded() like '%Tide%', false, 'A new content deletes the embedding');
select is(tests.claims('of_tide'), 'Tide: The tide decides.', 'and the insight is embedded again');
select matrice.fail_chunks('tiny', tests.ids('tide'), 'busy', tests.id('of_tide'));
update matrice.insights set tags = '["x"]' where id = tests.id('fog');
select is(tests.embedded() like '%Fog%', true, 'New tags keep the embedding');
select matrice.retract_insight(tests.id('tide'), 'It was wrong.');
select is(tests.claims('none'), null, 'A retracted insight is not handed out');
select is_empty($$select from tests.queue() where insight_id = tests.id('tide')$$, 'The claim has forgotten it');
update matrice.insights set retracted_at = null, superseded_at = null where id = tests.id('tide');
select is(tests.claims('of_tide'), 'Tide: The tide decides.', 'An insight that holds again is handed out');
select is(matrice.store_embeddings('tiny', tests.ids('tide'), '[[0,1,0]]', tests.id('of_tide')), 1, 'and its vector stored');
select tests.told('gone', 'Gone', 'Deleted at once.');
select is(tests.claims('of_gone'), 'Gone: Deleted at once.', 'A claim of an insight');
delete from matrice.insights where id = tests.id('gone');
select tests.refuses($$select matrice.store_embeddings('tiny', tests.ids('gone'), '[[0,1,0]]', tests.id('of_gone'))$$, 'PT404', 'store_embeddings of a deleted insight: not found');
select is_empty($$select from tests.queue() where insight_id = tests.id('gone')$$, 'A deleted insight is not in the queue');

-- Models -----------------------------------------------------------------------------------------------------------

select is(count(*), 0::bigint, 'Nothing waits for the project''s model') from matrice.claim_chunks(project_id => tests.id('atlas'));
select tests.as_user('alice');
select is(matrice.switch_embedding_model(tests.id('atlas'), 'other'), false, 'A switch to another model begins');
select tests.as_user('edith');
select tests.told('late', 'Late', 'Told during the switch.');
select is(count(*) filter (where source_id is null), 1::bigint, 'A claim without a model hands out the new insight for the project''s model')
  from matrice.claim_chunks(project_id => tests.id('atlas')) where model = 'tiny';
select results_eq($$select array_agg(c.chunk_id order by c.chunk_id) filter (where c.source_id is null) from matrice.claim_chunks(project_id => tests.id('atlas')) c where c.model = 'other'$$,
                  $$select array_agg(i.id order by i.id) from matrice.insights i where i.project_id = tests.id('atlas')$$,
                  'and then all insights for the next model');
select matrice.store_embeddings('other', array_agg(id), jsonb_agg('[1,0]'::jsonb)) from matrice.source_chunks where project_id = tests.id('atlas');
select matrice.store_embeddings('other', array_agg(id), jsonb_agg('[1,0]'::jsonb)) from matrice.insights where project_id = tests.id('atlas');
select matrice.claim_chunks(project_id => tests.id('atlas'));
select is(settings ->> 'embedding_model', 'other', 'The switch is done') from matrice.projects where id = tests.id('atlas');
select tests.as_user('alice');
select cmp_ok(matrice.drop_embeddings(tests.id('atlas'), 'tiny'), '>', 0, 'drop_embeddings returns how many it deleted');
select is(count(*), 0::bigint, 'drop_embeddings drops the vectors of insights') from matrice.insight_embeddings where model = 'tiny';
select is(matrice.drop_embeddings(tests.id('atlas'), 'tiny'), 0, 'Then it returns 0');
select is_empty($$select from tests.queue() where model = 'tiny'$$, 'drop_embeddings forgets what waits for the model');
select is(matrice.switch_embedding_model(tests.id('atlas'), 'tiny'), false, 'A switch back begins');
select tests.as_user('edith');
select is(count(*), (select count(*) from matrice.insights where project_id = tests.id('atlas')), 'A switch back embeds all insights again')
  from matrice.claim_chunks('tiny', project_id => tests.id('atlas')) where source_id is null;
select matrice.store_embeddings('tiny', array_agg(id), jsonb_agg('[1,1,1]'::jsonb)) from matrice.insights where project_id = tests.id('atlas');
select tests.as_owner();
select tests.refuses($$update matrice.embedding_models set dimensions = 4 where model = 'tiny'$$, 'PT409', 'The dimensions of a model that insights use cannot change', '%', '%');

-- Who may -----------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.refuses($$insert into matrice.insight_embeddings (insight_id, project_id, model, embedding) values (tests.id('fog'), tests.id('atlas'), 'tiny', '[1,1,1]')$$,
                     '42501', 'Editors do not write vectors of insights themselves');
select tests.refuses($$delete from matrice.insight_embeddings$$, '42501', 'Editors do not delete vectors of insights');
select tests.refuses($$select from matrice_private.insight_leases$$, '42501', 'Nobody reads the leases of insights');
select tests.refuses($$select matrice_private.lease_insights(tests.id('atlas'), 'tiny', 1, null, 1, 60, gen_random_uuid(), 1, 1, '{}')$$, '42501', 'lease_insights refuses a client');
select tests.refuses($$select matrice_private.store_insights(tests.ids('fog'), 'tiny', tests.ids('fog'), '[[1,1,1]]', null, null)$$, '42501', 'store_insights refuses a client');
select tests.refuses($$select matrice_private.return_insights(tests.ids('fog'), 'tiny', 'x', null, true, null)$$, '42501', 'return_insights refuses a client');
select tests.refuses($$select matrice_private.lease_insights_of_member(tests.id('atlas'), 'tiny', 1, null, 1, 2147483647, gen_random_uuid(), 1, 1, '{}')$$, '22023',
                     'lease_insights_of_member refuses lease_seconds 2147483647');
select tests.as_user('victor');
select isnt_empty($$select from matrice.insight_embeddings$$, 'Viewers see the vectors');
select tests.refuses($$select matrice.store_embeddings('tiny', tests.ids('fog'), '[[1,1,1]]')$$, '42501', 'store_embeddings refuses a viewer an insight', '%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', tests.ids('fog'), 'x')$$, '42501', 'fail_chunks refuses a viewer an insight', '%', '%');
select tests.as_user('mallory');
select is_empty($$select from matrice.insight_embeddings$$, 'Outsiders see no vectors');
select tests.refuses($$select matrice.store_embeddings('tiny', tests.ids('fog'), '[[1,1,1]]')$$, 'PT404', 'store_embeddings of another tenant''s insight: not found', '%', '%');
select tests.refuses($$select matrice.fail_chunks('tiny', tests.ids('fog'), 'x')$$, 'PT404', 'fail_chunks of another tenant''s insight: not found', '%', '%');
select is(count(*), 0::bigint, 'claim_chunks gives outsiders no insights') from matrice.claim_chunks('tiny');
select is(matrice_private.store_insights_of_member(tests.ids('fog'), 'tiny', tests.ids('fog'), '[[1,1,1]]', null), 0, 'store_insights_of_member by an outsider stores nothing');
select is_empty($$select from matrice_private.failed_insights_of_member(tests.id('atlas'))$$, 'failed_insights_of_member tells outsiders nothing');
select is(l.claimed, null, 'lease_insights_of_member leases outsiders nothing')
  from matrice_private.lease_insights_of_member(tests.id('atlas'), 'tiny', 10, 1000, 10, 60, gen_random_uuid(), 1000, 1000, '{}') l;

-- Found by meaning --------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.told('flat', 'Flat sea', 'After sunset the sea is flat.', 'borea');
select tests.told('rope', 'Ropes', 'Ropes break when they are wet.', 'borea');
select tests.told('cook', 'Cook', 'The cook leaves in May.', 'borea');
select matrice.store_embeddings('tiny', tests.ids('flat', 'rope', 'cook'), '[[1,0,0],[0,1,0],[0,0,1]]');
select tests.as_user('victor');
select is_empty($$select from matrice.search_insights('calm evening', tests.id('borea'))$$, 'By words alone, a paraphrase finds nothing');
select is(array_agg(title), array['Flat sea'], 'search_insights with query_embedding finds it by meaning')
  from matrice.search_insights('calm evening', tests.id('borea'), 1, query_embedding => '[1,0.1,0]');
select results_eq(
  $$select insight_id, round(rank::numeric, 4) from matrice.search_insights('calm evening', tests.id('borea'), query_embedding => '[1,0,0]') limit 1$$,
  -- Similarities 1, 0 and 0: the first is (1 - 1/3) / sqrt(2/9) deviations above the mean.
  $$select tests.id('flat'), round((0.7 * (1 - 1 / 3.0) / sqrt(2 / 9.0))::numeric, 4)$$,
  'rank is 0.7 times the standardised similarity if no word is found');
select results_eq(
  $$select insight_id, round(rank::numeric, 4) from matrice.search_insights('ropes', tests.id('borea'), query_embedding => '[0,1,0]') limit 1$$,
  $$select tests.id('rope'), round((1.7 * (1 - 1 / 3.0) / sqrt(2 / 9.0))::numeric, 4)$$,
  'and words add their standardised rank');
select is(count(*), 3::bigint, 'With a vector, every insight is a result') from matrice.search_insights('calm evening', tests.id('borea'), query_embedding => '[1,0,0]');
select is((array_agg(title))[1], 'Cook', 'Words outweigh meaning where they fit better')
  from matrice.search_insights('cook May', tests.id('borea'), query_embedding => '[1,0,0]');
select tests.as_user('edith');
select tests.told('wait', 'Waiting', 'A lantern helps.', 'borea');
select is((array_agg(title))[1], 'Waiting', 'An insight that waits for its vector is found by words')
  from matrice.search_insights('lantern', tests.id('borea'), query_embedding => '[0.5,0.5,0.5]');
select is(array_agg(title) @> array['Waiting'], false, 'and not by meaning') from matrice.search_insights('calm', tests.id('borea'), query_embedding => '[1,0,0]');
select tests.refuses($$select * from matrice.search_insights('x', tests.id('borea'), query_embedding => '[1,0]')$$, '22023',
                     'search_insights refuses a vector of other dimensions', 'Expected 3 dimensions, got 2.', '%');
select tests.refuses($$select * from matrice.search_insights('x', tests.id('borea'), query_embedding => '[0,0,0]')$$, '22023', 'search_insights refuses a vector of zeros');
select tests.refuses($$select * from matrice.search_insights('x', tests.id('borea'), query_embedding => '[1,0,0]', model => 'none')$$, '22023', 'search_insights refuses an unknown model');
select is((array_agg(title))[1], 'Late', 'A project that switches is searched by its present model')
  from matrice.search_insights('late', tests.id('atlas'), 1, query_embedding => '[1,0]');
select tests.refuses($$select * from matrice.search_insights('x', tests.id('atlas'), query_embedding => '[1,0,0]')$$, '22023', 'and not by the next one');
select matrice.supersede_insight(tests.id('flat'), tests.id('cook'));
select is(array_agg(title) @> array['Flat sea'], false, 'A superseded insight is not found by meaning') from matrice.search_insights('calm', tests.id('borea'), query_embedding => '[1,0,0]');
select is((array_agg(title))[1], 'Flat sea', 'unless include_superseded is true')
  from matrice.search_insights('calm', tests.id('borea'), include_superseded => true, query_embedding => '[1,0,0]');
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.search_insights('calm', tests.id('borea'), query_embedding => '[1,0,0]')$$, 'PT404', 'search_insights of another tenant''s project: not found', '%', '%');

-- What is read from the word index is what ranking the insights one by one finds; a policy that somebody adds still hides.
select tests.as_owner();
create table tests.questions as
select q, v::vector from unnest(array['calm evening', 'the', 'ropes "cook in May"', '-calm', '+lantern dusk', 'zzz', 'wa*']) q, unnest(array['[1,0,0]', '[0.5,0.5,0.5]']) v;
select cmp_ok(count(*), '>=', 40::bigint, 'There is something to compare') from tests.questions, matrice_private.fused_insights(q, v, tests.id('borea'), 'tiny', null);
select results_eq(
  $$select q, v::text, r.id, round(r.score::numeric, 9), r.phrases::text from tests.questions, (values (null), (2)) m (most), matrice_private.fused_insights(q, v, tests.id('borea'), 'tiny', most) r order by 1, 2, m.most, 4 desc, 3$$,
  $$select q, v::text, r.id, round(r.score::numeric, 9), r.phrases::text from tests.questions, (values (null), (2)) m (most), matrice_private.fused_without_index(q, v, tests.id('borea'), 'tiny', most) r order by 1, 2, m.most, 4 desc, 3$$,
  'By words and meaning, the index finds what comparing all insights finds');
create policy "no dusk" on matrice.insights as restrictive for select to authenticated using (title !~* 'dusk' and content !~* 'dusk');
select tests.as_user('victor');
select is_empty($$select from matrice.search_insights('dusk', tests.id('borea'), 100, query_embedding => '[1,0,0]') where content ~* 'dusk'$$,
                'search_insights by meaning shows nothing that a policy hides');
select tests.as_owner();
drop policy "no dusk" on matrice.insights;

-- Contexts ----------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.told('dusk', 'Dusk', 'At dusk the wind drops.', 'borea');
select matrice.confirm_insight(tests.id('dusk'), url => 'https://example.org/log');
select matrice.store_embeddings('tiny', tests.ids('dusk'), '[[1,0,0]]');
select tests.as_user('victor');
select is(citations -> 0 ->> 'insight_id', tests.id('dusk')::text, 'build_context packs an insight that only its meaning finds')
  from matrice.build_context('calm evening', '[1,0,0]', tests.id('borea'), insights => 1);
select results_eq(
  $$select e ->> 'kind', e ->> 'url', e ->> 'state' from matrice.build_context('calm evening', '[1,0,0]', tests.id('borea'), insights => 1) b,
           jsonb_array_elements(b.citations -> 0 -> 'evidence') e$$,
  $$values ('url', 'https://example.org/log', 'stands'), ('person', null, 'stands')$$,
  'and cites it with its evidence, the latest first');
select is(context like '%At dusk the wind drops.%', true, 'and its text is in the context')
  from matrice.build_context('calm evening', '[1,0,0]', tests.id('borea'), insights => 1);
select is(jsonb_array_length(citations), 1, 'min_score leaves out insights that are no better than any')
  from matrice.build_context('calm evening', '[1,0,0]', tests.id('borea'), insights => 10, min_score => 0.5);


select * from finish();
rollback;
