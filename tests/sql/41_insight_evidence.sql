begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas', '{"language": "english"}');
select tests.project('borea');

create function tests.record(who text, name text, arguments text) returns uuid language plpgsql as $$
declare
  new_id uuid;
begin
  perform tests.as_user(who);
  execute format('select matrice.record_insight(tests.id(''atlas''), %s)', arguments) into new_id;
  return tests.remember(name, new_id);
end
$$;
create function tests.confidence(name text) returns numeric language sql as $$
  select round(confidence::numeric, 3) from matrice_private.judged_insights(array[tests.id(name)])
$$;
create function tests.seen(name text) returns integer language sql as $$
  select seen from matrice_private.judged_insights(array[tests.id(name)])
$$;

select tests.as_user('edith');
select tests.remember('log', matrice.ingest_source(tests.id('atlas'), 'Log', repeat('The wind fell at dusk on that day. ', 30), max_tokens => 40, overlap_tokens => 0));
select tests.remember('letter', matrice.ingest_source(tests.id('atlas'), 'Letter', 'Dear John, the wind falls at dusk here.'));
select tests.remember('copy', matrice.ingest_source(tests.id('atlas'), 'Copy', 'Dear John, the wind falls at dusk here.'));
select tests.remember('letter_chunk', id) from matrice.source_chunks where source_id = tests.id('letter');
select tests.remember('copy_chunk', id) from matrice.source_chunks where source_id = tests.id('copy');
select tests.remember('log_' || chunk_index, id) from matrice.source_chunks where source_id = tests.id('log') and chunk_index < 2;
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'read', 'x'));
select tests.remember('step', matrice.record_step(tests.id('run'), 'look', 'success'));
select tests.remember('other_run', matrice.start_run(tests.id('atlas'), 'read', 'x'));
select tests.as_user('alice');
select tests.remember('foreign_source', matrice.ingest_source(tests.id('borea'), 'Map', 'Here be dragons'));
select tests.remember('foreign_chunk', id) from matrice.source_chunks where source_id = tests.id('foreign_source');
select tests.remember('foreign_run', matrice.start_run(tests.id('borea'), 'read', 'x'));
select tests.remember('foreign_insight', matrice.record_insight(tests.id('borea'), 'learning', 'Calm', 'The winds fall at dusk.'));

-- The same again ---------------------------------------------------------------------------------------------------

select tests.record('edith', 'calm', $$'learning', 'Calm', 'The winds fall at dusk.', 0.5$$);
select is(tests.record('edith', 'again', format('%L, %L, %L', type, title, content)), tests.id('calm'), 'record_insight knows it again: ' || quote_literal(replace(content, E'\n', ' ')))
  from (values ('learning', 'Calm', 'The winds fall at dusk.'), ('Learning', 'calm ', E'the winds\n  fall at dusk'), ('learning', '"Calm"', '“The winds fall at dusk!”'),
               ('learning', 'Calm', 'The ｗｉｎｄｓ fall at dusk…')) as same (type, title, content);
select isnt(tests.record('edith', 'other', format('%L, %L, %L', type, title, content)), tests.id('calm'), format('record_insight takes %s, %s, %s for another', type, title, content))
  from (values ('decision', 'Calm', 'The winds fall at dusk.'), ('learning', 'Evening', 'The winds fall at dusk.'), ('learning', 'Calm', 'The winds fall at dusk?'),
               ('learning', 'Calm', 'The 2 winds fall at dusk.')) as others (type, title, content);
select isnt(tests.id('foreign_insight'), tests.id('calm'), 'record_insight does not know the insight of another project');
select is(tests.confidence('calm'), 0.5, 'record_insight by the same person again: the confidence stays');
select is(tests.seen('calm'), 1, 'record_insight by the same person again: seen once');
select is(tests.rows_of(format('select from matrice.insight_evidence where insight_id = %L', tests.id('calm'))), 1::bigint, 'record_insight by the same person again: one piece of evidence');

-- An editor's own word ---------------------------------------------------------------------------------------------

select tests.as_user('edith');
select is(round(matrice.confirm_insight(tests.id('calm'))::numeric, 3), 0.5, 'confirm_insight by who recorded it changes nothing');
select is(round(matrice.confirm_insight(tests.id('calm'), url => 'https://example.org/' || n)::numeric, 3), 0.5, 'confirm_insight with an address by who recorded it changes nothing')
  from generate_series(1, 3) n;
select is(round(matrice.confirm_insight(tests.id('calm'), run_id => tests.id('run'))::numeric, 3), 0.5, 'confirm_insight with a run by who recorded it changes nothing');
select is(round(matrice.confirm_insight(tests.id('calm'), step_id => tests.id('step'))::numeric, 3), 0.5, 'confirm_insight with a step by who recorded it changes nothing');
select tests.as_user('alice');
select is(round(matrice.confirm_insight(tests.id('calm'))::numeric, 3), 0.667, 'confirm_insight by another person: (2 · 0.5 + 1) / 3');
select is(round(matrice.confirm_insight(tests.id('calm'), url => 'https://example.org/1#top')::numeric, 3), 0.667, 'confirm_insight by this person once more changes nothing');
select is(round(matrice.contradict_insight(tests.id('calm'))::numeric, 3), 0.333, 'contradict_insight by a person who confirmed it: the newest word counts');
select is(round(matrice.confirm_insight(tests.id('calm'))::numeric, 3), 0.667, 'confirm_insight by this person again: the newest word counts');
select is(tests.rows_of($$select from matrice.insight_evidence where insight_id = tests.id('calm') and kind = 'person' and user_id = tests.id('alice')$$), 3::bigint,
          'insight_evidence keeps what a person said before');

-- Documents --------------------------------------------------------------------------------------------------------

select is(round(matrice.confirm_insight(tests.id('calm'), chunk_ids => array[tests.id('log_0')])::numeric, 3), 0.75, 'confirm_insight with a chunk: (2 · 0.5 + 2) / 4');
select is(round(matrice.confirm_insight(tests.id('calm'), chunk_ids => array[tests.id('log_0'), tests.id('log_1')], run_id => tests.id('run'))::numeric, 3), 0.75,
          'confirm_insight with another chunk of the source, in a run, counts no more');
select is(round(matrice.confirm_insight(tests.id('calm'), source_id => tests.id('log'))::numeric, 3), 0.75, 'confirm_insight with the source of a chunk counts no more');
select is(round(matrice.confirm_insight(tests.id('calm'), chunk_ids => array[tests.id('letter_chunk')])::numeric, 3), 0.8, 'confirm_insight with another source: (2 · 0.5 + 3) / 5');
select is(round(matrice.confirm_insight(tests.id('calm'), chunk_ids => array[tests.id('copy_chunk')])::numeric, 3), 0.8, 'confirm_insight with a copy of that source counts no more');
select results_eq(
  $$select kind, e.source_id, e.start_char, e.end_char, run_id, created_by, text_hash = sha256(convert_to(c.content, 'UTF8')) from matrice.insight_evidence e join matrice.source_chunks c on c.id = e.chunk_id
     where insight_id = tests.id('calm') and chunk_id = tests.id('log_1')$$,
  $$select 'chunk', tests.id('log'), start_char, end_char, tests.id('run'), tests.id('alice'), true from matrice.source_chunks where id = tests.id('log_1')$$,
  'insight_evidence has the source, the span, the hash, the run and who recorded it');
select results_eq($$select seen, round(confidence::numeric, 3) from matrice.search_insights('winds dusk', tests.id('atlas')) where insight_id = tests.id('calm')$$,
                  $$select tests.seen('calm'), 0.8$$, 'search_insights returns the confidence and how often it was seen');
select ok(context like '%Insight: Calm (seen % ×)%', 'build_context says how often an insight was seen')
  from matrice.build_context('winds dusk', tests.vec(1536, 1), tests.id('atlas'), 500, insights => 10);

-- Weaker evidence ----------------------------------------------------------------------------------------------------

select matrice.chunk_source(tests.id('letter'), 'Dear John, there is a storm.');
select is(tests.confidence('calm'), 0.8, 'A changed text of a source whose copy says the same changes nothing');
select matrice.chunk_source(tests.id('copy'), 'Dear John, there is a storm.');
select is(tests.confidence('calm'), round(3.5 / 4.5, 3), 'A changed text counts half: (2 · 0.5 + 2.5) / 4.5');
select matrice.chunk_source(tests.id('log'), repeat('The wind fell at dusk on that day. ', 30) || 'The end.', max_tokens => 40, overlap_tokens => 0);
select is(tests.confidence('calm'), round(3.5 / 4.5, 3), 'A new text of a source, in which the chunk stays, changes nothing');
delete from matrice.context_sources where id = tests.id('copy');
delete from matrice.context_sources where id = tests.id('letter');
select is(tests.confidence('calm'), round(3.25 / 4.25, 3), 'Evidence of a deleted source counts a quarter: (2 · 0.5 + 2.25) / 4.25');
select is(tests.rows_of($$select from matrice.insight_evidence where source_id = tests.id('letter') and deleted_at is not null$$), 1::bigint,
          'insight_evidence still says where it came from');
select tests.record('alice', 'whole', $$'learning', 'Whole', 'Sources can be evidence as a whole', 0.8, source_id => tests.id('log')$$);
select tests.as_user('edith');
select matrice.rechunk(tests.id('atlas'), max_tokens => 100);
select is(tests.confidence('whole'), 0.8, 'rechunk does not weaken the evidence of a whole source');
update matrice.context_sources set name = 'Log book', raw_metadata = '{"year": 1805}' where id = tests.id('log');
select is(tests.confidence('whole'), 0.8, 'Another name of a source does not weaken its evidence');
select matrice.chunk_source(tests.id('log'), 'Nothing of interest.');
select is(tests.confidence('whole'), 0.4, 'A new text of a source weakens its evidence');
select matrice.confirm_insight(tests.id('whole'), source_id => tests.id('log'));
select is(tests.confidence('whole'), 0.8, 'confirm_insight with the new text strengthens it again');
update matrice.projects set settings = '{"keep_source_texts": false}' where id = tests.id('borea');
select tests.as_user('alice');
update matrice.projects set settings = '{"keep_source_texts": false}' where id = tests.id('borea');
select tests.remember('unkept', matrice.record_insight(tests.id('borea'), 'learning', 'Dragons', 'There are dragons', 0.8, source_id => tests.id('foreign_source')));
select matrice.chunk_source(tests.id('foreign_source'), 'Here be dragons');
select is(tests.confidence('unkept'), 0.8, 'The same text of a source whose texts are not kept changes nothing');
select matrice.chunk_source(tests.id('foreign_source'), 'Here be no dragons');
select is(tests.confidence('unkept'), 0.4, 'A new text of a source whose texts are not kept weakens its evidence');

-- Services ----------------------------------------------------------------------------------------------------------

select tests.as_service();
select tests.remember('served', matrice.record_insight(tests.id('atlas'), 'learning', 'Served', 'A service says so', run_id => tests.id('run')));
select is(matrice.record_insight(tests.id('atlas'), 'learning', 'Served', 'A service says so', run_id => tests.id('run')), tests.id('served'), 'record_insight of a service returns the known insight');
select is(tests.confidence('served'), 0.5, 'record_insight in the same run, as in a retry, changes nothing');
select is(round(matrice.confirm_insight(tests.id('served'), step_id => tests.id('step'))::numeric, 3), 0.5, 'confirm_insight with a step of the run counts no more');
select is(round(matrice.confirm_insight(tests.id('served'), run_id => tests.id('other_run'))::numeric, 3), 0.667, 'confirm_insight of a service with another_run counts');
select is(round(matrice.confirm_insight(tests.id('served'), url => ' https://example.org/a#b ')::numeric, 3), 0.75, 'confirm_insight of a service with an address counts');
select is(round(matrice.confirm_insight(tests.id('served'), url => 'https://example.org/a')::numeric, 3), 0.75, 'confirm_insight with another fragment of the address counts no more');
select is(round(matrice.confirm_insight(tests.id('served'))::numeric, 3), 0.8, 'confirm_insight of a service without evidence counts once');
select is(round(matrice.confirm_insight(tests.id('served'))::numeric, 3), 0.8, 'confirm_insight of a service without evidence counts once');
select is(round(matrice.contradict_insight(tests.id('served'), chunk_ids => array[id])::numeric, 3), round(4.0 / 6, 3), 'contradict_insight: (2 · 0.5 + 3) / (2 + 3 + 1)')
  from matrice.source_chunks where source_id = tests.id('log');

-- A text that comes back --------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember('diary', matrice.ingest_source(tests.id('atlas'), 'Diary', 'On Monday the sea was calm and grey.'));
select tests.remember('diary_chunk', id) from matrice.source_chunks where source_id = tests.id('diary');
select tests.record('edith', 'grey', $$'learning', 'Grey', 'The sea was grey on Monday', 0.8, chunk_ids => array[tests.id('diary_chunk')]$$);
select tests.record('edith', 'calm_sea', $$'learning', 'Sea', 'The sea was calm on Monday', 0.8, source_id => tests.id('diary')$$);
select tests.record('edith', 'reworded', $$'learning', 'Monday', 'Nothing else was on Monday', 0.8, chunk_ids => array[tests.id('diary_chunk')]$$);
update matrice.insights set content = 'Much else was on Monday' where id = tests.id('reworded');
select matrice.chunk_source(tests.id('diary'), 'On Monday there was a storm.');
select set_config('tests.meanwhile', clock_timestamp()::text, true);
select is(tests.confidence(name), 0.4, name || ': a text that changed weakens its evidence') from unnest(array['grey', 'calm_sea', 'reworded']) name;
select matrice.chunk_source(tests.id('diary'), 'On Monday the sea was calm and grey.');
select is(tests.confidence(name), 0.8, name || ': a text that comes back strengthens it again') from unnest(array['grey', 'calm_sea']) name;
select is(tests.confidence('reworded'), 0.4, 'but not evidence for other words of the insight');
select is(e.chunk_id, c.id, 'The evidence names the chunk that has the text now') from matrice.insight_evidence e join matrice.source_chunks c on c.source_id = e.source_id
 where insight_id = tests.id('grey') and ended_at is null;
select is(round(confidence::numeric, 3), 0.4, 'known_at: the evidence was weak meanwhile') from matrice.known_at(tests.id('atlas'), current_setting('tests.meanwhile')::timestamptz) where title = 'Grey';
update matrice.source_chunks set content = 'A storm.' where source_id = tests.id('diary');
select is(tests.confidence('grey'), 0.4, 'A changed chunk weakens its evidence');
update matrice.source_chunks set content = 'On Monday the sea was calm and grey.' where source_id = tests.id('diary');
select is(tests.confidence('grey'), 0.8, 'A chunk that says it again strengthens it');

-- Age ----------------------------------------------------------------------------------------------------------------

select tests.as_owner();
update matrice.insights set created_at = now() - interval '400 days', is_recorded = is_recorded where id = tests.id('served');
update matrice.insight_evidence set created_at = created_at - interval '365 days' where insight_id = tests.id('served');
select tests.as_service();
select is(tests.confidence('served'), round(4.0 / 12, 3), 'A confidence falls by half in the half-life');
select is(round(matrice.confirm_insight(tests.id('served'), run_id => tests.id('run'))::numeric, 3), round(4.0 / 6, 3), 'confirm_insight with old evidence makes an insight fresh, and counts no more');
select is(tests.seen('served'), 4, 'seen counts the witnesses for it: pieces of evidence of one witness, and what it replaced, are not more');

-- Nobody writes evidence ---------------------------------------------------------------------------------------------

select tests.as_user('alice');
select tests.remember_state();
select tests.refuses(statement, '42501', 'Refused: ' || statement)
  from (values ($$insert into matrice.insight_evidence (project_id, insight_id, kind, is_for, evidence_key, witness) values (tests.id('atlas'), tests.id('calm'), 'person', true, 'x', 'x')$$),
               ('update matrice.insight_evidence set witness = gen_random_uuid()'), ('delete from matrice.insight_evidence'),
               ('insert into matrice.insight_candidates values (null)'), ('delete from matrice.insight_candidates'),
               ($$select matrice_private.add_evidence(tests.id('calm'), true, false, null, null, null, null, null, null)$$),
               ($$select matrice_private.take_over_evidence(tests.id('calm'), tests.id('served'))$$)) s (statement);
select lives_ok($$select matrice_private.add_evidence_of_member(tests.id('calm'), true, false, null, null, null, null, null, null)$$, 'add_evidence_of_member takes the caller''s own word');
select lives_ok($$select matrice_private.take_over_evidence_of_member(tests.id('calm'), tests.id('served'))$$, 'take_over_evidence_of_member does nothing with what was not merged');
select tests.as_user('victor');
select tests.refuses(format('select matrice.%s', call), '42501', format('A viewer: %s is refused', call))
  from unnest(array[$$confirm_insight(tests.id('calm'))$$, $$contradict_insight(tests.id('calm'))$$, $$retract_insight(tests.id('calm'))$$,
                    $$merge_insights(tests.id('calm'), array[tests.id('served')])$$]) call;
select matrice_private.add_evidence_of_member(tests.id('calm'), false, false, null, null, null, null, null, null), matrice_private.link_candidates_of_member(tests.id('calm'));
select ok(count(*) > 5, 'A viewer reads the evidence') from matrice.insight_evidence;
select tests.as_user('mallory');
select tests.refuses(format('select matrice.%s', call), 'PT404', format('A stranger: %s is not found', call), '%')
  from unnest(array[$$confirm_insight(tests.id('calm'))$$, $$contradict_insight(tests.id('calm'))$$, $$retract_insight(tests.id('calm'))$$,
                    $$merge_insights(tests.id('calm'), array[tests.id('served')])$$, $$insights_review(tests.id('atlas'))$$]) call;
select matrice_private.add_evidence_of_member(tests.id('calm'), false, false, null, null, null, null, null, null);
select is_empty('select from matrice.insight_evidence', 'A stranger sees no evidence');
select is_empty('select from matrice.insight_candidates', 'A stranger sees no candidates');
select tests.as_user('alice');
select tests.unchanged('Refused calls change nothing');

-- Bad input ----------------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses(format('select matrice.%s(%s, %s)', function, first, arguments), code, format('%s refuses %s', function, arguments), detail)
  from (values ('confirm_insight', $$tests.id('calm')$$), ('contradict_insight', $$tests.id('calm')$$),
               ('record_insight', $$tests.id('atlas'), 'learning', 'Bad', 'Bad'$$)) f (function, first),
       (values ($$source_id => tests.id('foreign_source')$$, 'PT404', '%'), ($$chunk_ids => array[tests.id('foreign_chunk')]$$, 'PT404', '%'),
               ($$run_id => tests.id('foreign_run')$$, 'PT404', '%'), ($$step_id => tests.id('run')$$, 'PT404', '%'), ($$run_id => tests.id('other_run'), step_id => tests.id('step')$$, 'PT404', '%'),
               ($$source_id => tests.id('nowhere')$$, 'PT404', '%'), ($$source_id => tests.id('letter'), chunk_ids => array[tests.id('log_0')]$$, 'PT404', '%'),
               ($$chunk_ids => array[null]::uuid[]$$, '22023', null), ($$chunk_ids => array_fill(tests.id('log_0'), array[101])$$, '22023', null),
               ($$url => 'javascript:alert(1)'$$, '22023', null), ($$url => ''$$, '22023', null), ($$url => 'https://x.org/' || repeat('x', 3000)$$, '22023', '%'),
               ($$note => repeat('x', 3000)$$, '22023', '%')) a (arguments, code, detail);
select tests.refuses(format('select matrice.record_insight(tests.id(''atlas''), ''x'', ''Bad'', ''Bad'', %s)', arguments), '22023', 'record_insight refuses ' || arguments)
  from unnest(array['subject => ''x''', 'subject => ''x'', attribute => ''x''', 'subject => '' '', attribute => ''x'', value => ''x''',
                    'subject => ''x'', attribute => ''x'', value => repeat(''x'', 3000)', 'volatility => ''often''', 'valid_from => ''infinity''',
                    'valid_from => ''2026-02-01'', valid_until => ''2026-01-01''', 'confidence => ''NaN''', 'confidence => 1.0001']) arguments;
select tests.refuses($$select matrice.record_insight(tests.id('atlas'), 'x', 'Bad', repeat('x', 50000000))$$, '22023', 'record_insight refuses 50 MB', '%');
select tests.unchanged('Refused arguments change nothing');

select * from finish();
rollback;
