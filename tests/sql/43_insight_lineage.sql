begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas', '{"language": "english"}');
select tests.project('borea');
select tests.as_user('edith');
select tests.remember('log', matrice.ingest_source(tests.id('atlas'), 'Log', 'The wind fell at dusk on that day.'));
select tests.remember('letter', matrice.ingest_source(tests.id('atlas'), 'Letter', 'Dear John, we have no wind in the evening.'));
select tests.remember('log_chunk', id) from matrice.source_chunks where source_id = tests.id('log');
select tests.remember('letter_chunk', id) from matrice.source_chunks where source_id = tests.id('letter');
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'read', 'x'));
select tests.remember('step', matrice.record_step(tests.id('run'), 'look', 'success'));
select tests.remember('calm', matrice.record_insight(tests.id('atlas'), 'learning', 'Calm', 'The winds fall at dusk.', 0.8, chunk_ids => array[tests.id('log_chunk')],
                                                     step_id => tests.id('step')));
-- The others are recorded later than this transaction began.
select tests.as_owner();
create function tests.later(name text) returns void language sql as $$ update matrice.insights set created_at = clock_timestamp(), recorded_at = clock_timestamp() where id = tests.id(name) $$;
select set_config('tests.first', clock_timestamp()::text, true);

select tests.as_user('alice');
select tests.remember('evening', matrice.record_insight(tests.id('atlas'), 'learning', 'Evening', 'In the evening there is no wind.', chunk_ids => array[tests.id('letter_chunk')]));
select tests.remember('early', matrice.record_insight(tests.id('atlas'), 'learning', 'Early', 'The winds never fall.', note => 'so they say'));
select tests.as_owner(), tests.later('evening'), tests.later('early');
select tests.as_user('alice');
select set_config('tests.second', clock_timestamp()::text, true);
select matrice.merge_insights(tests.id('calm'), array[tests.id('evening')]);
select matrice.supersede_insight(tests.id('early'), tests.id('calm'));

-- Lineage ----------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select results_eq(
  $$select relation, related_title, kind, is_for, state, source_name, chunk_id, start_char, end_char, workflow_id, step_name, recorded_by from matrice.insight_lineage(tests.id('calm'))$$,
  $$values ('itself', 'Calm', 'chunk', true, 'stands', 'Log', tests.id('log_chunk'), 0, 34, 'read', 'look', tests.id('edith')),
           ('merged', 'Evening', 'chunk', true, 'stands', 'Letter', tests.id('letter_chunk'), 0, 42, null, null, tests.id('alice')),
           ('superseded', 'Early', 'person', true, 'stands', null, null, null, null, null, null, tests.id('alice'))$$,
  'insight_lineage leads to sources, chunks with their spans, runs, steps and people, also of what ended in the insight');
select is(text_hash, sha256('The wind fell at dusk on that day.'), 'insight_lineage has the hash of the text') from matrice.insight_lineage(tests.id('calm')) where relation = 'itself';
select is_empty($$select from matrice.insight_lineage(tests.id('evening')) where relation not in ('itself', 'merged into')$$, 'insight_lineage of a merged insight leads to the one it was merged into');
select ok(bool_or(relation = 'superseded by' and related_id = tests.id('calm')), 'insight_lineage of a superseded insight leads to its successor') from matrice.insight_lineage(tests.id('early'));
select results_eq(format('select i.title from %s as row, matrice.%I(row) i where row.%I = tests.id(%L) order by 1', tab, function, 'id', name), titles, format('%s leads from %s back', function, name))
  from (values ('matrice.context_sources', 'source_insights', 'log', $$values ('Calm')$$), ('matrice.context_sources', 'source_insights', 'letter', $$values ('Calm'), ('Evening')$$),
               ('matrice.source_chunks', 'chunk_insights', 'letter_chunk', $$values ('Calm'), ('Evening')$$),
               ('matrice.workflow_runs', 'run_insights', 'run', $$values ('Calm')$$)) back (tab, function, name, titles);
select results_eq($$select (matrice.evidence_source(e)).id, (matrice.evidence_chunk(e)).id, (matrice.evidence_run(e)).id, (matrice.evidence_step(e)).id
                      from matrice.insight_evidence e where insight_id = tests.id('calm') and merged_from is null$$,
                  $$values (tests.id('log'), tests.id('log_chunk'), tests.id('run'), tests.id('step'))$$, 'evidence_source, evidence_chunk, evidence_run, evidence_step lead from evidence to its origin');
select tests.as_user('mallory');
select tests.refuses($$select matrice.insight_lineage(tests.id('calm'))$$, 'PT404', 'insight_lineage of another''s insight: not found', '%');
select tests.refuses($$select matrice.known_at(tests.id('atlas'))$$, 'PT404', 'known_at of another''s project: not found', '%');
select is_empty($$select from matrice.evidence_source(jsonb_populate_record(null::matrice.insight_evidence, jsonb_build_object('source_id', tests.id('log'), 'project_id', tests.id('atlas'))))$$,
                'evidence_source shows a stranger no source');
select is_empty($$select from matrice.source_insights(jsonb_populate_record(null::matrice.context_sources, jsonb_build_object('id', tests.id('log'), 'project_id', tests.id('atlas'))))$$,
                'source_insights shows a stranger no insight');
select is_empty('select from matrice.insight_versions', 'A stranger sees no versions of insights');
select tests.as_user('victor');
select tests.refuses($$select matrice.insight_lineage(tests.id('nowhere'))$$, 'PT404', 'insight_lineage of an unknown insight: not found', '%');
select tests.refuses($$select matrice.insight_lineage(null)$$, '22004', 'insight_lineage refuses null', hint => '%');

-- What was known -----------------------------------------------------------------------------------------------------

select is(array_agg(title order by place), '{Calm}', 'known_at: what was known at first')
  from matrice.known_at(tests.id('atlas'), current_setting('tests.first')::timestamptz);
select is(array_agg(title order by place), '{Calm}', 'known_at: what is known now') from matrice.known_at(tests.id('atlas'), clock_timestamp());
select set_eq($$select title from matrice.known_at(tests.id('atlas'), current_setting('tests.second')::timestamptz)$$, $$values ('Calm'), ('Evening'), ('Early')$$,
              'known_at: what was known before others were merged and superseded');
select results_eq($$select round(confidence::numeric, 3), seen, jsonb_array_length(evidence) from matrice.known_at(tests.id('atlas'), current_setting('tests.second')::timestamptz) where title = 'Calm'$$,
                  $$values (0.8, 1, 1)$$, 'known_at: the confidence and the evidence of then');
select results_eq($$select round(confidence::numeric, 3), seen, jsonb_array_length(evidence) from matrice.known_at(tests.id('atlas'), clock_timestamp())$$,
                  $$values (0.867, 2, 2)$$, 'known_at: the confidence and the evidence of now');
select tests.remember_state();
create temp table before as select * from matrice.known_at(tests.id('atlas'), current_setting('tests.second')::timestamptz);
select tests.as_user('edith');
update matrice.insights set title = 'Storm', content = 'Quite another thing', confidence = 0.1 where id = tests.id('calm');
select matrice.contradict_insight(tests.id('calm'));
select matrice.chunk_source(tests.id('log'), 'Nothing.');
delete from matrice.context_sources where id = tests.id('letter');
select matrice.retract_insight(tests.id('calm'), 'wrong');
select tests.as_user('victor');
select results_eq($$select source_name, state from matrice.insight_lineage(tests.id('calm')) where relation = 'merged'$$, $$values ('Letter', 'source deleted')$$,
                  'insight_lineage says what a deleted source was called');
set local timezone = 'Asia/Tokyo';
set local extra_float_digits = 0;
set local datestyle = 'German';
select results_eq($$select * from matrice.known_at(tests.id('atlas'), current_setting('tests.second')::timestamptz)$$, 'select * from before',
                  'known_at of a time in the past stays the same, to the last hash, whatever happens later and wherever it is read');
reset extra_float_digits;
select is_empty($$select from matrice.known_at(tests.id('atlas'), clock_timestamp())$$, 'known_at now: what was retracted is not known any more');
select is_empty($$select from matrice.known_at(tests.id('atlas'), '2000-01-01')$$, 'known_at before the project: nothing');
select is(record_sha256, encode(sha256(convert_to(record, 'UTF8')), 'hex'), 'known_at: record_sha256 is the hash of record') from before;
select tests.as_owner();
create function tests.known_by_pages(size integer) returns setof before language plpgsql as $$
declare
  cursor text;
  one    before;
begin
  loop
    for one in select * from matrice.known_at(tests.id('atlas'), current_setting('tests.second')::timestamptz, cursor, size) k loop
      cursor := one.next_after;
      one.next_after := null;
      return next one;
    end loop;
    -- A full page that is the last one has a next_after, too.
    exit when not found or cursor is null;
  end loop;
end
$$;
select tests.as_user('victor');
select results_eq(format('select * from tests.known_by_pages(%s)', size), 'select * from before',
                  format('known_at by pages of %s is what it is at once, to the last hash', size)) from unnest(array[1, 2, 3, 1000]) size;
select is(chain_sha256, encode(sha256(convert_to(coalesce((select p.chain_sha256 from before p where p.place = b.place - 1), '') || record_sha256, 'UTF8')), 'hex'),
          'known_at: chain_sha256 is the hash of the chain before and of the record') from before b;
select is(record::jsonb #>> '{evidence,0,text_sha256}', encode(sha256('The wind fell at dusk on that day.'), 'hex'), 'known_at: text_sha256 is the hash of the text of the chunk')
  from before where title = 'Calm';
select is(array[record::jsonb ->> 'content', record::jsonb ->> 'title', record::jsonb ->> 'insight_id'], array[content, title, insight_id::text], 'known_at: record has what the columns have') from before;
select results_eq($$select title, confidence, replaced_by from matrice.insight_versions where insight_id = tests.id('calm') order by replaced_at limit 1$$,
                  $$values ('Calm', 0.8::double precision, tests.id('edith'))$$, 'insight_versions keeps what was changed, and by whom');
-- A past that a client thinks up.
select tests.as_user('alice');
select tests.remember('forged', gen_random_uuid());
insert into matrice.insights (id, project_id, type, title, content, created_at, recorded_at)
values (tests.id('forged'), tests.id('atlas'), 'learning', 'Forged', 'We always knew it.', '2020-01-01 00:00Z', '2020-01-01 00:00Z');
update matrice.insights set recorded_at = '2020-01-01 00:00Z', created_at = '2019-01-01 00:00Z' where id = tests.id('forged');
select results_eq($$select created_at, recorded_at between now() and clock_timestamp() from matrice.insights where id = tests.id('forged')$$,
                  $$values (timestamptz '2019-01-01 00:00Z', true)$$, 'A client may write created_at, but not recorded_at');
select is_empty($$select from matrice.known_at(tests.id('atlas'), '2021-01-01')$$, 'known_at: no client can insert what was known in the past');
select ok(bool_or(title = 'Forged'), 'known_at: it is known from when it was stored') from matrice.known_at(tests.id('atlas'), clock_timestamp());
select tests.as_service();
update matrice.insights set recorded_at = '2020-01-01 00:00Z' where id = tests.id('forged');
select ok(recorded_at > '2021-01-01', 'A service cannot write recorded_at either') from matrice.insights where id = tests.id('forged');
delete from matrice.insights where id = tests.id('forged');
select tests.as_user('victor');
select tests.refuses(format('select * from matrice.known_at(%s)', arguments), code, 'known_at refuses ' || arguments)
  from (values ('null', '22004'), ($$tests.id('atlas'), null$$, '22004'), ($$tests.id('atlas'), 'infinity'$$, '22023'), ($$tests.id('nowhere')$$, 'PT404'),
               ($$tests.id('atlas'), match_count => 0$$, '22023'), ($$tests.id('atlas'), match_count => 10001$$, '22023'),
               ($$tests.id('atlas'), after => ''$$, '22023'), ($$tests.id('atlas'), after => 'null'$$, '22023'), ($$tests.id('atlas'), after => '[]'$$, '22023'),
               ($$tests.id('atlas'), after => '{"at": "infinity", "place": 1e400}'$$, '22023'),
               ($$tests.id('atlas'), after => repeat('[', 20000)$$, '22023'), ($$tests.id('atlas'), after => repeat('[', 9000)$$, '22023')) r (arguments, code);
select tests.refuses(format($q$select * from matrice.known_at(tests.id('atlas'), '2199-01-01 00:00Z', %L)$q$, k.next_after), '22023',
                     'known_at refuses the next_after of another time', '%next_after%', '%same at%')
  from matrice.known_at(tests.id('atlas'), '2198-01-01 00:00Z', match_count => 1) k;
select tests.refuses(format($q$select * from matrice.known_at(tests.id('atlas'), '2198-01-01 00:00Z', %L)$q$, k.next_after::jsonb || changed), '22023',
                     'known_at refuses a next_after with ' || changed::text)
  from matrice.known_at(tests.id('atlas'), '2198-01-01 00:00Z', match_count => 1) k,
       unnest(array['{"place": 0}', '{"place": -1}', '{"chain": "x"}', '{"insight_id": null}', '{"recorded_at": "infinity"}', '{"place": "many"}']::jsonb[]) changed;
select tests.as_user('alice');
select tests.refuses(statement, '42501', 'Refused: ' || statement)
  from unnest(array['update matrice.insight_versions set title = ''x''', 'delete from matrice.insight_versions']) statement;
select tests.as_service();
update matrice.insights set fts = null, tags = '["x"]' where id = tests.id('calm');
select is(count(*), 2::bigint, 'insight_versions has no version of a change that says nothing else') from matrice.insight_versions where insight_id = tests.id('calm');
select tests.as_user('alice');
select lives_ok($$delete from matrice.projects where id = tests.id('atlas')$$, 'A project with a history of insights can be deleted');

select * from finish();
rollback;
