begin;
\ir helpers/setup.psql
select no_plan();

-- Conversations: who sees them, how turns are numbered and counted, and what fits into the context of the next answer.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('atlas', '{"embedding_model": "tiny", "language": "english"}'), tests.project('borea');

create function tests.said_tokens(turns jsonb, target text) returns bigint language sql as $$
  select coalesce(sum(matrice.count_tokens(t ->> 'content', target)), 0)::bigint from jsonb_array_elements(turns) t
$$;
create function tests.day(n integer) returns uuid language sql stable security definer as $$
  select id from matrice.source_chunks where source_id = tests.id('log') and chunk_index = n
$$;

-- Who sees and who adds --------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select tests.remember('talk', matrice.start_conversation(tests.id('atlas'), 'Winds'));
select results_eq($$select title, is_private, created_by from matrice.conversations$$, $$values ('Winds', true, tests.id('victor'))$$,
                  'A viewer begins a conversation, which is private');
select is(matrice.add_turn(tests.id('talk'), 'user', 'Where does the wind come from?'), 1, 'add_turn returns 1 for the first turn');
select is(matrice.add_turn(tests.id('talk'), 'assistant', 'From the north.', citations => '[{"number": 1}]'), 2, 'add_turn returns 2 for the second turn');
select results_eq($$select turn, role, content, token_count, citations, created_by from matrice.conversation_turns order by turn$$,
                  $$select v.turn, v.role, v.content, matrice.count_tokens(v.content), v.citations, tests.id('victor')
                      from (values (1, 'user', 'Where does the wind come from?', '[]'::jsonb), (2, 'assistant', 'From the north.', '[{"number": 1}]')) v (turn, role, content, citations)$$,
                  'Turns keep their text, their exact number of tokens, their citations and who added them');
select tests.as_user('alice');
select is_empty('select from matrice.conversations', 'An owner does not see a private conversation of another member');
select is_empty('select from matrice.conversation_turns', 'nor its turns');
select tests.remember_state();
select tests.refuses($$select matrice.add_turn(tests.id('talk'), 'user', 'x')$$, 'PT404', 'add_turn to a private conversation of another: not found', '%', '%private%');
select tests.refuses($$select * from matrice.conversation_context(tests.id('talk'), 'wind', tests.vec(3, 1))$$, 'PT404', 'conversation_context of another: not found', '%');
select tests.refuses($$insert into matrice.conversation_turns (project_id, conversation_id, role, content) values (tests.id('atlas'), tests.id('talk'), 'user', 'x')$$,
                     '42501', 'A direct insert into a private conversation of another is refused');
select tests.refuses($$insert into matrice.conversation_turns (project_id, conversation_id, role, content) values (tests.id('borea'), tests.id('talk'), 'user', 'x')$$,
                     '42501', 'and one that names another project');
select tests.refuses($$insert into matrice.conversations (project_id, created_by) values (tests.id('atlas'), tests.id('victor'))$$, '42501',
                     'Nobody begins a conversation in the name of another');
select is(tests.rows_of($$update matrice.conversations set is_private = false$$), 0::bigint, 'Nobody shares a conversation of another');
select is(tests.rows_of($$delete from matrice.conversations$$), 0::bigint, 'Nobody deletes a private conversation of another');
select tests.unchanged('What is refused changes nothing');

select tests.as_user('victor');
select is(tests.rows_of($$update matrice.conversations set is_private = false$$), 1::bigint, 'Its creator shares a conversation');
select tests.refuses($$update matrice.conversations set created_by = tests.id('alice')$$, '42501', 'A conversation keeps its creator');
select tests.refuses($$update matrice.conversation_turns set content = 'x'$$, '42501', 'Turns do not change');
select tests.refuses($$delete from matrice.conversation_turns$$, '42501', 'Turns are not deleted');
select tests.as_user('edith');
select is(matrice.add_turn(tests.id('talk'), 'user', 'And at dusk?'), 3, 'An editor adds a turn to a shared conversation');
select is((select created_by from matrice.conversation_turns where turn = 3), tests.id('edith'), 'under their own name');
select tests.refuses($$insert into matrice.conversation_turns (project_id, conversation_id, role, content, created_by) values (tests.id('atlas'), tests.id('talk'), 'user', 'x', tests.id('alice'))$$,
                     '42501', 'Nobody adds a turn in the name of another');
insert into matrice.conversation_turns (project_id, conversation_id, turn, role, content, token_count) values (tests.id('atlas'), tests.id('talk'), 99, 'tool', 'So so.', 0);
select results_eq($$select turn, token_count from matrice.conversation_turns where role = 'tool'$$, $$values (4, matrice.count_tokens('So so.'))$$,
                  'A direct insert cannot choose its number or its count of tokens');
select tests.remember('shared', matrice.start_conversation(tests.id('atlas'), is_private => false));
select tests.as_user('victor');
select is(tests.rows_of($$select from matrice.conversations$$), 2::bigint, 'A viewer sees what another member shares');
select tests.refuses($$select matrice.add_turn(tests.id('shared'), 'user', 'x')$$, '42501', 'but adds nothing to it');
select tests.as_user('mallory');
select is_empty('select from matrice.conversations', 'A stranger sees no conversation');
select tests.refuses($$select matrice.start_conversation(tests.id('atlas'))$$, 'PT404', 'A stranger begins none', '%');
select tests.refuses($$select matrice.add_turn(tests.id('shared'), 'user', 'x')$$, 'PT404', 'A stranger adds no turn', '%', '%');

-- Bad input --------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.ingest_source(tests.id('borea'), 'Map', 'Here be dragons');
select tests.remember('elsewhere', id) from matrice.source_chunks where project_id = tests.id('borea');
select tests.remember('foreign', matrice.start_run(tests.id('borea'), 'w', 'e')), tests.remember('run', matrice.start_run(tests.id('atlas'), 'w', 'e'));
select tests.remember_state();
select tests.refuses($$select matrice.add_turn(tests.id('talk'), 'user', 'x', tests.id('foreign'))$$, 'PT404', 'add_turn refuses a run of another project', '%', '%');
select tests.refuses($$select matrice.add_turn(tests.id('talk'), 'user', 'x', tests.id('missing'))$$, 'PT404', 'and one that is not there', '%', '%');
select tests.refuses($$insert into matrice.conversation_turns (project_id, conversation_id, role, content, run_id) values (tests.id('atlas'), tests.id('talk'), 'user', 'x', tests.id('foreign'))$$,
                     '23503', 'A direct insert with a run of another project is refused');
select tests.refuses($$select matrice.add_turn(tests.id('talk'), 'admin', 'x')$$, '22023', 'add_turn refuses an unknown role', null, '%assistant%');
select tests.refuses($$select matrice.add_turn(tests.id('talk'), 'user', repeat('x', 50000000))$$, '22023', 'add_turn refuses 50 MB', '%1048576%', '%');
select tests.refuses($$insert into matrice.conversation_turns (project_id, conversation_id, role, content) values (tests.id('atlas'), tests.id('talk'), 'user', repeat('x', 50000000))$$,
                     '22023', 'A direct insert of 50 MB is refused before it is counted', '%1048576%', '%');
select tests.refuses($$select matrice.add_turn(tests.id('talk'), 'user', 'x', citations => '{}')$$, '22023', 'add_turn refuses citations that are no array', '%', '%');
select tests.refuses(format($$select matrice.add_turn(tests.id('talk'), 'assistant', 'x', citations => %L)$$, bad), '22023', 'add_turn refuses citations like ' || bad, '%', '%')
  from unnest(array['[1]', '["x"]', '[{"chunk_id": "x"}]', '[null]']) bad;
select tests.refuses(format($$select matrice.add_turn(tests.id('talk'), 'assistant', 'x', citations => %L)$$, jsonb_build_array(jsonb_build_object('chunk_id', tests.id(whose)))),
                     'PT404', 'add_turn refuses to cite a chunk that is ' || whose, '%', '%')
  from unnest(array['missing', 'elsewhere']) whose;
select tests.refuses(format($$select matrice.add_turn(tests.id('talk'), 'user', %L)$$, blank), '22023', 'add_turn refuses a blank question', hint => '%')
  from unnest(array['', e' \n\t', e'\u200b\u2063']) blank;
select tests.refuses($$select * from matrice.conversation_context(tests.id('talk'), 'wind', tests.vec(3, 1), 1)$$, '22023', 'conversation_context refuses a budget of one token', null, '%');
select tests.unchanged('What is refused changes nothing');
select is(matrice.add_turn(tests.id('talk'), 'assistant', '', tests.id('run')), 5, 'A turn may be empty, as one that only calls tools');
delete from matrice.conversations where id = tests.id('shared');
select tests.as_owner();
delete from matrice.workflow_runs where id = tests.id('run');
select results_eq($$select run_id, project_id from matrice.conversation_turns where turn = 5$$, $$values (null::uuid, tests.id('atlas'))$$,
                  'A turn outlives its run');

-- The context ------------------------------------------------------------------------------------------------------------

insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'log');
insert into matrice.source_chunks (source_id, chunk_index, content)
select tests.id('log'), n, format('The wind of day %s blows from the north, and it turns at noon of day %s.', n, n) from generate_series(0, 40) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select id, 'tiny', format('[1,%s,0]', chunk_index * 0.01)::vector from matrice.source_chunks where project_id = tests.id('atlas');
select tests.as_user('victor');
select tests.remember('long', matrice.start_conversation(tests.id('atlas')));
select count(matrice.add_turn(tests.id('long'), (array['user', 'assistant'])[1 + n % 2], format('Turn %s of a long talk about the winds.', n))) from generate_series(1, 40) n;

create temp table contexts on commit drop as
select budget, target, insights, c.*
  from unnest(array[2, 9, 40, 100, 333, 1000, 4000]) budget, unnest(array['gpt-4o', 'gpt-4', 'text-davinci-003']) target, unnest(array[0, 5]) insights,
       matrice.conversation_context(tests.id('long'), 'wind at noon', tests.vec(3, 1), budget, target_model => target, insights => insights) c;
select is_empty('select budget, target, token_count from contexts where token_count > budget', 'The turns and the passages never exceed the budget');
select is_empty('select budget, target from contexts where token_count <> matrice.count_tokens(context, target) + tests.said_tokens(turns, target)',
                'token_count is exact, in every encoding');
select is_empty('select budget from contexts where tests.said_tokens(turns, target) > budget / 2', 'Turns take at most half of the budget');
select is_empty($$select budget from contexts
                   where turns <> (select coalesce(jsonb_agg(jsonb_build_object('turn', t.turn, 'role', t.role, 'content', t.content) order by t.turn), '[]')
                                     from matrice.conversation_turns t
                                    where t.conversation_id = tests.id('long') and t.turn > 40 - jsonb_array_length(turns))$$,
                'Turns are the latest, in their order, without a gap');
select ok(bool_and(jsonb_array_length(turns) = 40 and jsonb_array_length(citations) > 0), 'A large budget holds all turns, and passages') from contexts where budget = 4000;
select ok(bool_and(jsonb_array_length(turns) between 1 and 39 and citations <> '[]'), 'A budget of 333 tokens holds some of both') from contexts where budget = 333;
-- What the turns leave is for passages.
select results_eq($$select context, citations from matrice.conversation_context(tests.id('talk'), 'wind at noon', tests.vec(3, 1), 400)$$,
                  $$select b.context, b.citations
                      from matrice.build_context('wind at noon', tests.vec(3, 1), tests.id('atlas'),
                             400 - (select sum(t.token_count)::integer from matrice.conversation_turns t where t.conversation_id = tests.id('talk'))) b$$,
                  'The passages are those of build_context with what the turns leave');
select tests.as_user('edith');
select matrice.add_turn(tests.id('talk'), 'user', repeat('A very long turn. ', 5000));
select matrice.add_turn(tests.id('talk'), 'assistant', 'Short.');
select results_eq($$select jsonb_path_query_array(turns, '$[*].content') from matrice.conversation_context(tests.id('talk'), 'wind', tests.vec(3, 1), 1000)$$,
                  $$values ('["Short."]'::jsonb)$$, 'A turn that does not fit ends the turns');

-- From an answer back to the search --------------------------------------------------------------------------------------

select tests.remember('good', matrice.start_run(tests.id('atlas'), 'ask', 'asked')), tests.remember('bad', matrice.start_run(tests.id('atlas'), 'ask', 'asked')),
       tests.remember('again', matrice.start_run(tests.id('atlas'), 'ask', 'asked')), tests.remember('unrated', matrice.start_run(tests.id('atlas'), 'ask', 'asked'));
select is(matrice.evaluation_set(tests.id('atlas')), '[]', 'Without answers, the evaluation set is empty');
select tests.refuses($$select matrice.rate_answer(tests.id('good'), 1)$$, 'PT404', 'rate_answer refuses a run without a recorded answer', '%', '%record_answer%');
select matrice.record_answer(tests.id('good'), 'wind of day 7', jsonb_build_array(tests.day(7), tests.day(8)), tests.vec(3, 1, 0.07));
-- The citations of build_context, as they are.
select matrice.record_answer(tests.id('bad'), 'wind at dusk', c.citations) from matrice.build_context('wind', tests.vec(3, 1), tests.id('atlas'), insights => 3) c;
select ok(count(*) > 10, 'record_answer takes the citations of build_context') from matrice.answer_passages where run_id = tests.id('bad');
select matrice.record_answer(tests.id('again'), 'wind of day 7', jsonb_build_array(jsonb_build_object('chunk_id', tests.day(7))));
select matrice.record_answer(tests.id('unrated'), 'wind of day 9', jsonb_build_array(tests.day(9)));
select is(matrice.evaluation_set(tests.id('atlas')), '[]', 'Answers that nobody rated are no labels');
select tests.as_user('victor');
select matrice.rate_answer(tests.id('good'), -1, 'too short'), matrice.rate_answer(tests.id('good'), 1, 'right'), matrice.rate_answer(tests.id('bad'), -1),
       matrice.rate_answer(tests.id('again'), 1);
select results_eq($$select user_id, rating::integer, comment from matrice.answer_ratings where run_id = tests.id('good')$$, $$values (tests.id('victor'), 1, 'right')$$,
                  'A member has one rating for an answer: the second replaces the first');
select is(matrice.evaluation_set(tests.id('atlas')),
          jsonb_build_array(jsonb_build_object('query_text', 'wind of day 7', 'query_embedding', tests.vec(3, 1, 0.07)::text,
                                               'relevant', jsonb_build_object(tests.day(7), 2, tests.day(8), 1))),
          'The same question asked twice is one query. A passage''s grade is how many good answers used it');
select is(matrice.evaluation_set(tests.id('atlas'), 'text-embedding-3-small') #> '{0,query_embedding}', null,
          'An embedding of another model is left out');
select tests.as_user('edith');
select matrice.rate_answer(tests.id('again'), -1);
select results_eq($$select search, query_count, recall > 0 from matrice.evaluate_search(matrice.evaluation_set(tests.id('atlas')), tests.id('atlas')) order by search$$,
                  $$values ('full_text', 1::bigint, true), ('hybrid', 1, true), ('semantic', 1, true)$$,
                  'An answer that as many found bad as good does not count; the embedding of the question measures semantic search');
select matrice.rate_answer(tests.id('bad'), 1);
select is(jsonb_array_length(matrice.evaluation_set(tests.id('atlas'))), 1, 'One good and one bad rating are none');
select matrice.rate_answer(tests.id('unrated'), 1);
select is(jsonb_path_query_array(matrice.evaluation_set(tests.id('atlas'), match_count => n), '$[*].query_text'), questions, 'match_count ' || n || ': the newest questions, then by their words')
  from (values (1, '["wind of day 7"]'::jsonb), (2, '["wind of day 7", "wind of day 9"]')) v (n, questions);
-- Chunks that change or go.
update matrice.source_chunks set content = 'Another wind.' where id = tests.day(7);
select is(matrice.evaluation_set(tests.id('atlas')) @> jsonb_build_array(jsonb_build_object('query_text', 'wind of day 7', 'relevant', jsonb_build_object(tests.day(8), 1))), true,
          'What stays of an answer counts');
select is(matrice.evaluation_set(tests.id('atlas')) @? format('$[*].relevant.%s', to_json(tests.day(7)::text))::jsonpath, false, 'A changed chunk leaves the set');
delete from matrice.source_chunks where id = tests.day(9);
select is(jsonb_path_query_array(matrice.evaluation_set(tests.id('atlas')), '$[*].query_text'), '["wind of day 7"]', 'A question without a passage that is left leaves the set');

select tests.remember_state();
select tests.refuses($$select matrice.rate_answer(tests.id('good'), 2)$$, '22023', 'rate_answer refuses 2', null, '%');
select tests.refuses($$select matrice.rate_answer(tests.id('foreign'), 1)$$, 'PT404', 'rate_answer refuses a run without an answer', '%', '%');
select tests.refuses($$select matrice.record_answer(tests.id('missing'), 'x', '[]')$$, 'PT404', 'record_answer refuses a run that is not there', '%');
select tests.refuses(format('select matrice.record_answer(tests.id(''good''), ''x'', %L)', bad), '22023', 'record_answer refuses citations like ' || left(bad, 30), '%', '%')
  from unnest(array['{}', '"x"', '[1]', '["x"]', '[{"chunk_ids": ["x"]}]', '[{"chunk_ids": [[]]}]', (select jsonb_agg(gen_random_uuid()) from generate_series(1, 10001))::text]) bad;
select tests.refuses($$select matrice.record_answer(tests.id('good'), 'x', '[]', tests.vec(2, 1))$$, '22023', 'record_answer refuses a vector of other dimensions', '%', '%');
select tests.refuses($$select matrice.evaluation_set(tests.id('atlas'), match_count => 1001)$$, '22023', 'evaluation_set refuses more than 1,000 questions', null, '%');
select tests.refuses($$insert into matrice.answer_ratings (project_id, run_id, user_id, rating) values (tests.id('atlas'), tests.id('unrated'), tests.id('alice'), 1)$$, '42501',
                     'Nobody rates in the name of another');
select tests.refuses($$insert into matrice.answer_ratings (project_id, run_id, user_id, rating) values (tests.id('borea'), tests.id('good'), tests.id('edith'), 1)$$, '23503',
                     'Nobody rates an answer of a project under another');
select tests.refuses($$insert into matrice.answers (project_id, run_id, question) values (tests.id('borea'), tests.id('good'), 'x')$$, '23503',
                     'A run of one project has no answer in another');
select tests.unchanged('What is refused changes nothing');
select matrice.record_answer(tests.id('good'), 'wind of day 8', jsonb_build_array(tests.day(8), tests.id('missing')));
select results_eq($$select question, (select array_agg(chunk_id) from matrice.answer_passages p where p.run_id = a.run_id) from matrice.answers a where run_id = tests.id('good')$$,
                  $$values ('wind of day 8', array[tests.day(8)])$$, 'A second record_answer replaces the first, and leaves out chunks that are not there');
select tests.as_user('victor');
select tests.refuses($$select matrice.record_answer(tests.id('good'), 'x', '[]')$$, '42501', 'A viewer does not record answers of others', '%');
select is(tests.rows_of($$update matrice.answer_ratings set rating = 0 where user_id = tests.id('edith')$$), 0::bigint, 'Nobody changes a rating of another');
select tests.as_service();
select tests.refuses($$select matrice.rate_answer(tests.id('good'), 1)$$, '22023', 'rate_answer needs a person', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.rate_answer(tests.id('good'), 1)$$, 'PT404', 'A stranger rates nothing', '%', '%');
select tests.refuses($$select matrice.evaluation_set(tests.id('atlas'))$$, 'PT404', 'A stranger reads no evaluation set', '%');

-- Many turns -------------------------------------------------------------------------------------------------------------

select tests.as_service();
select tests.remember('endless', matrice.start_conversation(tests.id('atlas')));
insert into matrice.conversation_turns (project_id, conversation_id, turn, role, content, token_count)
select tests.id('atlas'), tests.id('endless'), n, 'user', 'x', 1 from generate_series(1, 100000) n;
select is(matrice.add_turn(tests.id('endless'), 'user', 'x'), 100001, 'The turn after 100,000 turns is numbered by the index');
select is((select jsonb_array_length(turns) from matrice.conversation_context(tests.id('endless'), 'wind', tests.vec(3, 1), 100000)), 1000,
          'Of 100,000 turns, a context has at most 1,000');

-- Long conversations -----------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember('long', matrice.start_conversation(tests.id('atlas'), 'Long'));
select tests.as_owner();
insert into matrice.conversation_turns (project_id, conversation_id, turn, role, content, token_count)
select tests.id('atlas'), tests.id('long'), n, 'user', 'x', 1 from generate_series(1, 2000) n;
select tests.as_user('edith');
select pg_stat_get_xact_tuples_fetched('matrice.conversations_pkey'::regclass) as policy_asked \gset
select is(matrice.add_turn(tests.id('long'), 'user', 'y'), 2001, 'add_turn to a long conversation');
select is(jsonb_array_length(turns), 5, 'conversation_context of a long conversation has the latest turns')
  from matrice.conversation_context(tests.id('long'), 'wind', '[1,2,3]', 10);
select cmp_ok(pg_stat_get_xact_tuples_fetched('matrice.conversations_pkey'::regclass) - :policy_asked, '<', 50::bigint,
              'Neither asks the policy for each of 2,000 turns');

select * from finish();
rollback;
