begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas', '{"language": "english"}');
select tests.project('borea');
create function tests.record(name text, title text, content text, more text default '') returns uuid language plpgsql as $$
declare
  new_id uuid;
begin
  execute format('select matrice.record_insight(tests.id(''atlas''), ''learning'', %L, %L%s)', title, content, ', ' || nullif(more, '')) into new_id;
  return tests.remember(name, new_id);
end
$$;
create function tests.confidence(name text) returns numeric language sql as $$
  select round(confidence::numeric, 3) from matrice_private.judged_insights(array[tests.id(name)])
$$;
create function tests.found(words text) returns setof text language sql as $$
  select title from matrice.search_insights(words, tests.id('atlas')) order by title
$$;
create function tests.due(wanted text) returns table (title text, other_title text) language sql as $$
  select title, other_title from matrice.insights_review(tests.id('atlas')) where kind = wanted and title is not null order by 1, 2
$$;

-- Candidates -------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select is_empty($$select * from matrice.insights_review(tests.id('atlas')) where total > 0$$, 'insights_review of a project without insights lists nothing');
select is(count(*), 8::bigint, 'insights_review has a row for each kind, with total 0') from matrice.insights_review(tests.id('atlas')) where total = 0 and insight_id is null;
select tests.record('calm', 'Calm', 'The wind falls at dusk near the coast of the island.', '0.5');
select tests.record('reworded', 'Calm', 'Near the coast of the island, winds fall at dusk.', '0.5');
select tests.record('whales', 'Whales', 'Many large whales sing songs in deep water all night.');
select results_eq($$select insight_id, candidate_id, found_by, likeness > 0.6 from matrice.insight_candidates$$,
                  $$values (tests.id('reworded'), tests.id('calm'), 'words', true)$$, 'record_insight links an insight in other words as a candidate');
select isnt(tests.id('calm'), tests.id('reworded'), 'record_insight does not merge an insight in other words');
select results_eq($$select * from tests.due('duplicate')$$, $$values ('Calm', 'Calm')$$, 'insights_review lists the candidate');
select tests.record('ten', 'Limit', 'An upload to the server may have at most 10 MB of data in all.');
select isnt(tests.record('twenty', 'Limit', 'An upload to the server may have at most 20 MB of data in all.'), tests.id('ten'), 'record_insight does not merge what differs in a number');
select tests.as_user('alice');
select tests.remember('foreign', matrice.record_insight(tests.id('borea'), 'learning', 'Calm', 'Near the coast of the island, the wind falls at dusk.'));
select is_empty($$select from matrice.insight_candidates where insight_id = tests.id('foreign')$$, 'record_insight finds no candidate in another project');
select tests.record('reworded', 'Calm', 'Near the coast of the island, winds fall at dusk.');

-- Merging ----------------------------------------------------------------------------------------------------------

select is(tests.confidence('calm'), 0.5, 'before a merge: the confidence of the first statement');
select is(round(matrice.merge_insights(tests.id('calm'), array[tests.id('reworded')])::numeric, 3), 0.667, 'merge_insights: the other person who said it in other words is a witness');
select results_eq($$select superseded_by, is_merged, superseded_at from matrice.insights where id = tests.id('reworded')$$, $$values (tests.id('calm'), true, now())$$,
                  'merge_insights marks what it merged');
select set_eq($$select user_id, merged_from from matrice.insight_evidence where insight_id = tests.id('calm')$$,
              $$values (tests.id('edith'), null::uuid), (tests.id('alice'), tests.id('reworded'))$$, 'merge_insights takes over the evidence once');
select results_eq($$select content, seen from matrice.search_insights('dusk', tests.id('atlas'))$$, $$values ('The wind falls at dusk near the coast of the island.', 2)$$,
                  'search_insights shows restatements as one');
select is_empty($$select * from tests.due('duplicate') where title = 'Calm'$$, 'insights_review does not list what was merged');
select tests.remember_state();
select is(round(matrice.merge_insights(tests.id('calm'), array[tests.id('reworded')])::numeric, 3), 0.667, 'merge_insights again succeeds');
select tests.unchanged('merge_insights again changes nothing');
select tests.as_service();
select is(tests.record('repeat', 'Calm', 'Near the coast of the island, winds fall at dusk'), tests.id('calm'), 'record_insight of what was merged counts for the insight that was kept');
select is(tests.confidence('calm'), 0.75, 'record_insight of what was merged by another witness: (2 · 0.5 + 2) / 4');
select is(round(matrice.confirm_insight(tests.id('reworded'), url => 'https://example.org/dusk')::numeric, 3), 0.8, 'confirm_insight of what was merged returns the confidence of the insight that was kept');
select is(tests.confidence('calm'), 0.8, 'confirm_insight of what was merged counts for the insight that was kept: (2 · 0.5 + 3) / 5');
select is(round(matrice.contradict_insight(tests.id('reworded'), url => 'https://example.org/dusk')::numeric, 3), 0.6, 'contradict_insight of what was merged counts against it: (2 · 0.5 + 2) / 5');
select is(round(matrice.confirm_insight(tests.id('reworded'), url => 'https://example.org/dusk')::numeric, 3), 0.8, 'confirm_insight of what was merged: a witness can change its mind again');
select tests.refuses($$select matrice.retract_insight(tests.id('reworded'))$$, 'PT409', 'retract_insight refuses what was merged, and names the insight that was kept', detail => '%' || tests.id('calm') || '%');
select tests.record('rain', 'Rain', 'It rains at noon on the north side.'), tests.record('wet', 'Rain', 'The north side is wet in the middle of the day.');
select matrice.merge_insights(tests.id('wet'), array[tests.id('rain')]);
delete from matrice.insights where id = tests.id('wet');
select isnt(tests.record('again', 'Rain', 'It rains at noon on the north side.'), tests.id('rain'), 'record_insight of what was merged into an insight that is deleted stores it again');
select is(tests.record('thrice', 'Rain', 'It rains at noon on the north side.'), tests.id('again'), 'record_insight of it once more knows it');
select set_eq($$select content from matrice.search_insights('noon', tests.id('atlas'))$$, array['It rains at noon on the north side.'], 'search_insights finds it');
delete from matrice.insights where id in (tests.id('rain'), tests.id('again'));
select tests.as_user('edith');
select tests.remember_state();
select tests.refuses(format('select matrice.merge_insights(%s)', arguments), code, 'merge_insights refuses ' || arguments, detail)
  from (values ($$tests.id('calm'), array[tests.id('calm')]$$, '22023', '%'), ($$tests.id('reworded'), array[tests.id('calm')]$$, '22023', '%'),
               ($$tests.id('calm'), array[tests.id('foreign')]$$, 'PT404', '%'), ($$tests.id('calm'), array[tests.id('nowhere')]$$, 'PT404', '%'),
               ($$tests.id('foreign'), array[tests.id('calm')]$$, 'PT404', '%'), ($$tests.id('whales'), array[tests.id('ten'), tests.id('reworded')]$$, 'PT409', '%'),
               ($$tests.id('calm'), '{}'$$, '22023', null), ($$tests.id('calm'), array[null]::uuid[]$$, '22023', null), ($$tests.id('calm'), null$$, '22004', null),
               ($$tests.id('calm'), array_fill(tests.id('ten'), array[1001])$$, '22023', null)) r (arguments, code, detail);
select tests.unchanged('merge_insights: refused calls change nothing');

-- Superseding and retracting ---------------------------------------------------------------------------------------

select tests.record('old', 'Lead', 'Maria leads the project since the spring.', $$valid_from => '2026-01-01'$$);
select tests.record('new', 'Lead', 'Now Paul is in charge of everything here.', format('valid_from => %L', now() - interval '3 days'));
select matrice.supersede_insight(tests.id('old'), tests.id('new'), 'Maria left');
select results_eq($$select valid_until, superseded_at, is_merged, reason from matrice.insights where id = tests.id('old')$$,
                  $$values (now() - interval '3 days', now(), false, 'Maria left')$$, 'supersede_insight ends the old one when the new one begins, and keeps the reason');
select is_empty($$select * from tests.found('maria')$$, 'search_insights does not find what was superseded');
select is(tests.record('repeat', 'Lead', 'Maria leads the project since the spring.', $$valid_from => '2026-01-01'$$), tests.id('old'), 'record_insight of what was superseded returns it');
select is_empty($$select * from tests.found('maria')$$, 'search_insights does not find what was superseded and told again');
select tests.as_user('alice');
select tests.record('repeat', 'Lead', 'Maria leads the project since the spring.');
select results_eq($$select * from tests.due('told again')$$, $$values ('Lead', null::text)$$, 'insights_review lists what was told again');
select isnt(tests.record('back', 'Lead', 'Maria leads the project since the spring.', format('valid_from => %L', now() - interval '1 day')), tests.id('old'),
            'record_insight of what was superseded, about a later time, is a new insight');
select is(tests.record('repeat', 'Lead', 'Maria leads the project since the spring.', format('valid_from => %L', now() - interval '1 day')), tests.id('back'),
          'record_insight of the new insight again returns it');
select results_eq($$select * from tests.found('maria')$$, $$values ('Lead')$$, 'search_insights finds what is so again');
select tests.record('wrong', 'Moon', 'The moon is made of green cheese and nothing else.');
select matrice.retract_insight(tests.id('wrong'), 'We looked');
select results_eq($$select retracted_at, reason from matrice.insights where id = tests.id('wrong')$$, $$values (now(), 'We looked')$$, 'retract_insight stores the time and the reason');
select matrice.retract_insight(tests.id('wrong'), 'Again');
select is(reason, 'We looked', 'retract_insight again changes nothing') from matrice.insights where id = tests.id('wrong');
select is_empty($$select * from tests.found('cheese')$$, 'search_insights does not find what was retracted');
select is(tests.record('repeat', 'Moon', 'The moon is made of green cheese and nothing else.'), tests.id('wrong'), 'record_insight of what was retracted returns it');
select is_empty($$select * from tests.found('cheese')$$, 'search_insights does not find what was retracted and told again');
select results_eq($$select insight_id, retracted_at from matrice.search_insights('cheese', tests.id('atlas'), include_superseded => true)$$,
                  $$values (tests.id('wrong'), now())$$, 'search_insights(include_superseded => true) finds what was retracted, and says so');
select unalike(matrice.export_markdown(tests.id('atlas')), '%green cheese%', 'export_markdown leaves out what was retracted');

-- Doubts -----------------------------------------------------------------------------------------------------------

select tests.record('early', 'Courier', 'The courier comes at five each day.', $$subject => 'courier', attribute => 'time', value => '17:00'$$);
select is((select array_agg(c -> 'doubts') from matrice_private.rendered_context(array[tests.id('early')], '{}') r, jsonb_array_elements(r.citations) c), array['[]'::jsonb],
          'A citation of an insight without doubts has none');
select tests.record('late', 'Courier', 'The courier comes at six each day.', $$subject => 'Courier', attribute => 'time', value => '18:00'$$);
select ok(context like '%[1] Insight: Courier (contradicted)%' and citations -> 0 -> 'doubts' = '["contradicted"]', 'A context says that another insight states another value')
  from matrice_private.rendered_context(array[tests.id('early')], '{}');
select alike(matrice.export_markdown(tests.id('atlas')), '%The courier comes at six each day.%confidence 0.50 · contradicted · %', 'export_markdown says it, too');
select tests.record('rumour', 'Rumour', 'The courier will come no more.', '0.2');
select alike(context, '%[1] Insight: Rumour (confidence 0.20)' || chr(10) || '%', 'A context says that hardly anything speaks for an insight')
  from matrice_private.rendered_context(array[tests.id('rumour')], '{}');
select matrice.retract_insight(tests.id('rumour'));
select matrice.retract_insight(tests.id('late'));
select alike(context, '%[1] Insight: Courier' || chr(10) || '%', 'A retracted insight contradicts nothing') from matrice_private.rendered_context(array[tests.id('early')], '{}');
select matrice.retract_insight(tests.id('early'));
delete from matrice.insights where id = tests.id('new');
select is_empty($$select from matrice.search_insights('maria spring', tests.id('atlas')) where insight_id = tests.id('old')$$, 'What was superseded does not hold again when its successor is deleted');
select tests.refuses($$select matrice.retract_insight(tests.id('nowhere'))$$, 'PT404', 'retract_insight of an unknown insight: not found', '%');
select tests.refuses($$select matrice.retract_insight(tests.id('calm'), repeat('x', 3000))$$, '22023', 'retract_insight refuses a long reason', '%');
select lives_ok($$insert into matrice.insights (project_id, type, title, content) select tests.id('atlas'), 'learning', 'Moon', 'It is round' from generate_series(1, 3)$$,
                'A client may insert a text several times');
select is(tests.rows_of($$select * from tests.found('round')$$), 1::bigint, 'search_insights shows a text once that a client inserted several times');
select lives_ok($$update matrice.insights set content = 'Many large whales sing songs in deep water all night', title = 'Whales' where id = tests.id('ten')$$,
                'A client may give an insight the text of another');
select results_eq($$select * from tests.due('unsupported')$$, $$values ('Whales', null)$$, 'Who changes the words of an insight does not keep its witnesses');
select lives_ok($$update matrice.insights set retracted_at = null where id = tests.id('wrong')$$, 'A client may let an insight hold again');
select throws_ok($$insert into matrice.insights (id, project_id, type, title, content, superseded_by)
  values (uuid '00000000-0000-0000-0000-00000000c1c1', tests.id('atlas'), 'learning', 'a', 'a', uuid '00000000-0000-0000-0000-00000000c2c2'),
         (uuid '00000000-0000-0000-0000-00000000c2c2', tests.id('atlas'), 'learning', 'b', 'b', uuid '00000000-0000-0000-0000-00000000c1c1')$$,
  '22023', null, 'New insights cannot supersede each other');

-- Validity ---------------------------------------------------------------------------------------------------------

select tests.record('later', 'Summer', 'The office moves to Marseille next year', format('valid_from => %L', now() + interval '1 day'));
select tests.record('past', 'Winter', 'The office was in Marseille once', format('valid_until => %L', now() - interval '1 day'));
select tests.record('present', 'Spring', 'The office is in Marseille', format('valid_from => %L, valid_until => %L', now() - interval '1 day', now() + interval '1 day'));
select tests.record('ten_euros', 'Cats', 'Feeding the cats costs ten euros');
select tests.record('twenty_euros', 'Cats', 'Feeding the cats costs twenty euros', format('valid_from => %L', now() + interval '1 day'));
select matrice.supersede_insight(tests.id('ten_euros'), tests.id('twenty_euros'));
select results_eq($$select content, superseded_by from matrice.search_insights('cats', tests.id('atlas'))$$, $$values ('Feeding the cats costs ten euros', tests.id('twenty_euros'))$$,
                  'supersede_insight: what was superseded holds until its successor begins to');
select results_eq($$select insight_id from matrice.known_at(tests.id('atlas'), now() + interval '2 days') where title = 'Cats'$$, $$values (tests.id('twenty_euros'))$$,
                  'supersede_insight: then the successor holds alone');
select results_eq($$select * from tests.found('marseille')$$, $$values ('Spring')$$, 'search_insights finds what holds now');

-- The review -------------------------------------------------------------------------------------------------------

select tests.record('thirty', 'Term', 'Invoices are paid within thirty days', $$subject => 'Invoices', attribute => 'payment term', value => '30 days'$$);
select tests.record('same', 'Term again', 'It is a month until we must pay', $$subject => 'invoices', attribute => 'Payment  term', value => '30 Days.'$$);
select tests.record('expired', 'Before', 'Once it was half of a year', format($$subject => 'invoices', attribute => 'payment term', value => '180 days', valid_until => %L$$, now() - interval '1 day'));
select is_empty($$select * from tests.due('contradicted')$$, 'insights_review: the same value, or another one at another time, is no contradiction');
select tests.record('sixty', 'Longer', 'Big customers get two months', $$subject => 'invoices', attribute => 'payment term', value => '60 days'$$);
-- The others are as old as this transaction.
update matrice.insights set created_at = clock_timestamp() where id = tests.id('sixty');
select set_eq($$select least(title, other_title), greatest(title, other_title) from tests.due('contradicted')$$, $$values ('Longer', 'Term'), ('Longer', 'Term again')$$, 'insights_review lists another value of the same attribute');
select matches(detail, '^"(60 days" or "30|30 days" or "60|60 days" or "30 Days|30 Days)', 'insights_review names both values') from matrice.insights_review(tests.id('atlas')) where kind = 'contradicted' limit 1;
select isnt(tests.record('value', 'Term', 'Invoices are paid within thirty days', $$subject => 'Invoices', attribute => 'payment term', value => '31 days'$$), tests.id('thirty'),
            'record_insight of the same text with another value is another insight');
select matrice.contradict_insight(tests.id('whales'));
select results_eq($$select title from tests.due('contradicted') where other_title is null$$, $$values ('Whales')$$, 'insights_review lists what a witness contradicts');
select tests.refuses($$select matrice.merge_insights(tests.id('thirty'), array[tests.id('same'), tests.id('sixty')])$$, 'PT409',
                     'merge_insights refuses other values of the same attribute', '%"30 days"%"60 days"%', '%');
select tests.record('fragment', 'Tide', 'High.');
select results_eq($$select title from tests.due('fragment')$$, $$values ('Tide')$$, 'insights_review lists fragments');
select tests.remember('doc', matrice.ingest_source(tests.id('atlas'), 'Doc', 'Sugar is sweet and salt is salty'));
select tests.record('sweet', 'Sugar', 'Sugar is always sweet, they say in the document', $$source_id => tests.id('doc')$$);
select is_empty($$select title from tests.due('unsupported') where title <> 'Whales'$$, 'insights_review: what a source supports is supported');
select tests.record('salty', 'Salt', 'Salt is always salty, they say in the document', $$source_id => tests.id('doc')$$);
select tests.as_user('alice');
select matrice.confirm_insight(tests.id('salty'));
select is_empty($$select title from tests.due('source changed')$$, 'insights_review: what two support is supported');
delete from matrice.context_sources where id = tests.id('doc');
select results_eq($$select title from tests.due('unsupported')$$, $$values ('Sugar'), ('Whales')$$, 'insights_review lists what lost its source');
select results_eq($$select title from tests.due('source changed')$$, $$values ('Salt')$$, 'insights_review lists what lost its source, though somebody had confirmed it');
select ok(context like '%Insight: Salt (seen 2 ×, source changed)%', 'A context says it, too') from matrice_private.rendered_context(array[tests.id('salty')], '{}');
select tests.as_service();
select matrice.confirm_insight(tests.id('salty'));
select tests.as_user('edith');
select is_empty($$select title from tests.due('source changed')$$, 'insights_review: who confirms it afterwards knows the change');
select tests.record('first_plan', 'Plan', 'We meet in the large room');
select tests.record('second_plan', 'Plan', 'We meet in the small room');
select matrice.supersede_insight(tests.id('first_plan'), tests.id('second_plan'));
select is_empty($$select title from tests.due('without successor')$$, 'insights_review: the successor holds');
select matrice.retract_insight(tests.id('second_plan'));
select results_eq($$select * from tests.due('without successor')$$, $$values ('Plan', 'Plan')$$, 'insights_review lists what was superseded by what does not hold any more');
select tests.as_owner();
update matrice.insights set created_at = now() - interval '366 days' where id = tests.id('present');
update matrice.insight_evidence set created_at = now() - interval '366 days' where insight_id = tests.id('present');
select tests.as_user('victor');
select results_eq($$select title from tests.due('stale')$$, $$values ('Spring')$$, 'insights_review lists what is old');
select is(tests.rows_of($$select * from matrice.insights_review(tests.id('atlas'), 1)$$), 8::bigint, 'insights_review(match_count => 1) returns one row of each kind');
select is(total, 4::bigint, 'insights_review counts all of a kind') from matrice.insights_review(tests.id('atlas'), 1) where kind = 'contradicted';
select tests.refuses(format('select matrice.insights_review(%s)', arguments), code, 'insights_review refuses ' || arguments)
  from (values ($$tests.id('atlas'), 0$$, '22023'), ($$tests.id('atlas'), null$$, '22004'), ('null', '22004'), ($$tests.id('nowhere')$$, 'PT404')) r (arguments, code);

-- What does not hold now -------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember('gone', matrice.record_insight(tests.id('atlas'), 'decision', 'Taken back', 'We wrongly chose zinc.'));
select matrice.retract_insight(tests.id('gone'));
select ok(strpos(matrice.export_markdown(tests.id('atlas')), title) = 0, 'export_markdown leaves out what does not hold: ' || title)
  from (values ('Taken back'), ('Summer'), ('Winter')) t (title);
select ok(strpos(matrice.export_markdown(tests.id('atlas')), 'Spring') > 0, 'export_markdown writes what holds');

-- The smallest confidence --------------------------------------------------------------------------------------------

select tests.remember('ages', gen_random_uuid());
insert into matrice.insights (id, project_id, type, title, content, volatility, created_at, confidence)
values (tests.id('ages'), tests.id('atlas'), 'learning', 'Ages', 'Obsidian was sharp', 'fast', '1900-01-01 00:00Z', 5e-324);
select results_eq(format($$select confidence between 0 and 1e-100 from matrice.%s$$, call), array[true], call || ': the oldest insight has a confidence')
  from (values ('search_insights(''obsidian'', tests.id(''atlas''))'), ('contradict_insight(tests.id(''ages'')) c (confidence)')) t (call);
select lives_ok($$select * from matrice.insights_review(tests.id('atlas'))$$, 'insights_review of the oldest insight');
select lives_ok($$select * from matrice.known_at(tests.id('atlas'), '2199-12-31 00:00Z')$$, 'known_at of the last year');

-- With and without a subject ----------------------------------------------------------------------------------------

select tests.record('bare', 'Harbour', 'The harbour closes at nine in winter');
select tests.as_user('alice');
select matrice.confirm_insight(tests.id('bare'));
select tests.as_user('edith');
select is(tests.record('keyed', 'harbour', 'The harbour closes at nine in winter.', $$subject => 'harbour', attribute => 'closes', value => '9 pm'$$), tests.id('bare'),
          'record_insight of a known text with a subject is the same insight');
select results_eq($$select subject, attribute, value from matrice.insights where id = tests.id('bare')$$, $$values ('harbour', 'closes', '9 pm')$$, 'which keeps the subject');
select is_empty($$select from matrice.insight_evidence where insight_id = tests.id('bare') and changed_at is not null$$, 'and its witnesses');
select is(tests.record('again', 'Harbour', 'The harbour closes at nine in winter'), tests.id('bare'), 'record_insight of its text without a subject is it, too');
select isnt(tests.record('other', 'Harbour', 'The harbour closes at nine in winter', $$subject => 'harbour', attribute => 'closes', value => '10 pm'$$), tests.id('bare'),
            'record_insight of its text with another value is another insight');
select is(tests.record('fees', 'Port', 'The port takes a fee', $$subject => 'port', attribute => 'fee', value => '60 €'$$),
          tests.record('fees_again', 'Port', 'The port takes a fee', $$subject => 'port', attribute => 'fee', value => '60,00 EUR'$$), 'record_insight knows an amount in another spelling');
select tests.record('untrue', 'Pier', 'The pier is made of glass and gold');
select matrice.retract_insight(tests.id('untrue'));
select is(tests.record('untrue_again', 'Pier', 'The pier is made of glass and gold', $$subject => 'pier', attribute => 'made of', value => 'glass'$$), tests.id('untrue'),
          'record_insight of what was retracted returns it, also with a subject');
select is(subject, null, 'What was retracted gets no subject') from matrice.insights where id = tests.id('untrue');

-- Ways to write an amount --------------------------------------------------------------------------------------------

select is(matrice_private.normal_value(way), same, format('normal_value: %s is %s', way, same))
  from (values ('60 €', '60 eur'), ('60 EUR', '60 eur'), ('60 $', '60 usd'), ('60 £', '60 gbp'), ('60 ¥', '60 jpy'), ('60 chf', '60 chf'),
               ('€60', '60 eur'), ('EUR 60', '60 eur'), ('60€', '60 eur'), (E'60\u00a0€', '60 eur'), ('60,50 €', '60.5 eur'), ('60.50 €', '60.5 eur'),
               ('60,00 €', '60 eur'), ('60,5 €', '60.5 eur'), ('-60 €', '-60 eur'), ('+60 €', '60 eur'),
               -- No amounts.
               ('3.10', '3.10'), ('60', '60'), ('1.000 €', '1.000 €'), ('60 € net', '60 € net'), ('€ 60 EUR', '€ 60 eur'), ('€', '€'), ('30 Days.', '30 days')) v (way, same);
select tests.record('fee', 'Fee', 'The fee is sixty euros a month', $$subject => 'membership', attribute => 'fee', value => '60 €'$$);
select tests.record('same_fee', 'Fee of members', 'Members pay sixty euros each month', $$subject => 'membership', attribute => 'fee', value => 'EUR 60.00'$$);
select is_empty($$select from matrice.insights_review(tests.id('atlas'), 10000) where kind = 'contradicted' and title like 'Fee%'$$, 'insights_review: an amount in another spelling is no contradiction');
select lives_ok($$select matrice.merge_insights(tests.id('fee'), array[tests.id('same_fee')])$$, 'merge_insights merges insights whose amounts are the same');

-- Many values ----------------------------------------------------------------------------------------------------

insert into matrice.insights (project_id, type, title, content, subject, attribute, value)
select tests.id('atlas'), 'learning', 'Gauge', 'The gauge showed ' || n, 'gauge', 'level', n || ' m' from generate_series(1, 2000) n;
select results_eq($$select count(*), count(distinct insight_id), count(distinct other_id) from matrice.insights_review(tests.id('atlas'), 10000) where kind = 'contradicted' and title = 'Gauge'$$,
                  $$values (1999::bigint, 1999::bigint, 1::bigint)$$, 'insights_review lists each of many values once, beside the newest');

select * from finish();
rollback;
