begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas', '{"language": "english"}');
select tests.project('borea');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log'), (tests.id('map'), tests.id('borea'), 'Map');

-- Recording --------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember('calm',
                      matrice.record_insight(tests.id('atlas'), 'pattern', 'Evening calm', 'The winds fall at dusk.', 0.9, '["wind"]', tests.id('log'),
                                             '{"days": 40}'));
select results_eq(
  $$select project_id, type, title, content, confidence, tags, source_id, evidence from matrice.insights where id = tests.id('calm')$$,
  $$values (tests.id('atlas'), 'pattern', 'Evening calm', 'The winds fall at dusk.', 0.9::double precision, '["wind"]'::jsonb, tests.id('log'), '{"days": 40}'::jsonb)$$,
  'record_insight stores its eight arguments');
select tests.remember('storm', matrice.record_insight(tests.id('atlas'), 'learning', 'Storms', 'Strong winds come from the west.'));
select tests.remember('tide', matrice.record_insight(tests.id('atlas'), 'decision', 'Tides', 'We sail with the tide, not the wind.', 0.1));
select tests.remember('elsewhere', matrice.record_insight(tests.id('borea'), 'learning', 'Elsewhere', 'There is wind here too.'));
select results_eq($$select confidence, tags, source_id, evidence from matrice.insights where id = tests.id('storm')$$,
                  $$values (0.5::double precision, '[]'::jsonb, null::uuid, null::jsonb)$$,
                  'record_insight stores the defaults of arguments that are left out');

select tests.remember_state();
select tests.refuses(format('select matrice.record_insight(%s)', arguments), code, description, detail)
  from (values
    ($$tests.id('atlas'), null, 'x', 'x'$$, '22004', 'record_insight refuses type null', null),
    ($$tests.id('atlas'), '', 'x', 'x'$$, '22023', 'record_insight refuses an empty type', null),
    ($$tests.id('atlas'), 'x', ' ', 'x'$$, '22023', 'record_insight refuses a blank title', null),
    ($$tests.id('atlas'), 'x', e'\u200b\ufeff', 'x'$$, '22023', 'record_insight refuses a title of invisible characters', null),
    ($$tests.id('atlas'), 'x', 'x', e'\u00a0\u2003\u3000\u2060\u00ad\u202e\u3164\ufe0f\U000e0041\u0007'$$, '22023', 'record_insight refuses content that shows nothing', null),
    ($$tests.id('atlas'), 'x', 'x', repeat(e'\u200b', 20000)$$, '22023', 'record_insight refuses many invisible characters', null),
    ($$tests.id('atlas'), 'x', null, 'x'$$, '22004', 'record_insight refuses title null', null),
    ($$tests.id('atlas'), 'x', 'x', E'\n'$$, '22023', 'record_insight refuses content of white space', null),
    ($$tests.id('atlas'), 'x', 'x', null$$, '22004', 'record_insight refuses content null', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', 1.5$$, '22023', 'record_insight refuses confidence 1.5', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', -0.5$$, '22023', 'record_insight refuses confidence -0.5', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', 'NaN'$$, '22023', 'record_insight refuses confidence NaN', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', null$$, '22004', 'record_insight refuses confidence null', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', tags => '{}'$$, '22023', 'record_insight refuses tags that are an object', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', tags => '"wind"'$$, '22023', 'record_insight refuses tags that are a string', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', tags => null$$, '22004', 'record_insight refuses tags null', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', source_id => tests.id('nowhere')$$, 'PT404', 'record_insight of an unknown source: not found', '%'),
    ($$tests.id('atlas'), 'x', 'x', 'x', source_id => tests.id('map')$$, 'PT404', 'record_insight of another project''s source: not found', '%'),
    ($$null, 'x', 'x', 'x'$$, '22004', 'record_insight refuses project_id null', null),
    ($$tests.id('nowhere'), 'x', 'x', 'x'$$, 'PT404', 'record_insight of an unknown project: not found', '%')
  ) as refused (arguments, code, description, detail);
select tests.as_user('victor');
select tests.refuses($$select matrice.record_insight(tests.id('atlas'), 'x', 'x', 'x')$$, '42501', 'record_insight refuses a viewer', '%', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('calm'), tests.id('storm'))$$, '42501', 'supersede_insight refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.record_insight(tests.id('atlas'), 'x', 'x', 'x')$$, 'PT404', 'record_insight of another''s project: not found', '%', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('calm'), tests.id('storm'))$$, 'PT404',
                     'supersede_insight of another''s insight: not found', '%');
select tests.unchanged('record_insight and supersede_insight: refused calls change no row');

-- Searching --------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
-- All three insights have the stem "wind" once: idf = ln(1 + 0.5 / 3.5). Their lengths are 9, 8 and 10 words, because a title counts twice.
-- In the last, the word is written as in the query.
select results_eq(
  $$select insight_id, round(rank::numeric, 5) from matrice.search_insights('wind', tests.id('atlas'))$$,
  $$select id, round((ln(1 + 0.5 / 3.5) * factor * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / ((9 + 8 + 10) / 3.0))))::numeric, 5)
      from (values (tests.id('calm'), 9, 1, 0.9), (tests.id('storm'), 8, 1, 0.5), (tests.id('tide'), 10, 1.2, 0.1)) as i (id, length, factor, confidence)
     order by confidence desc$$,
  'search_insights stems in the project''s language, ranks by BM25 and orders by rank times confidence');
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'))$$, $$values ('Evening calm'), ('Storms'), ('Tides')$$,
                  'search_insights orders like ranks by confidence');
select results_eq($$select title from matrice.search_insights('dusk storms', tests.id('atlas'))$$, $$values ('Evening calm'), ('Storms')$$,
                  'search_insights finds any of the words');
select results_eq($$select title from matrice.search_insights('+wind -storm', tests.id('atlas'))$$, $$values ('Evening calm'), ('Tides')$$,
                  'search_insights requires words behind + and excludes words behind -');
select results_eq($$select title from matrice.search_insights('"winds fall"', tests.id('atlas'))$$, $$values ('Evening calm')$$,
                  'search_insights of a phrase in quotes finds the insight with the phrase');
select ok(with_title.rank > without.rank, 'search_insights counts the title twice')
  from matrice.search_insights('tides', tests.id('atlas')) with_title, matrice.search_insights('sail', tests.id('atlas')) without;
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'), 1)$$, $$values ('Evening calm')$$,
                  'search_insights(match_count => 1) returns one row');
select results_eq(
  $$select insight_id, source_id, type, title, content, confidence, tags, superseded_by from matrice.search_insights('dusk', tests.id('atlas'))$$,
  $$values (tests.id('calm'), tests.id('log'), 'pattern', 'Evening calm', 'The winds fall at dusk.', 0.9::double precision, '["wind"]'::jsonb, null::uuid)$$,
  'search_insights returns every column of an insight');
select is_empty($$select * from matrice.search_insights('zeppelin', tests.id('atlas'))$$, 'search_insights of a word that no insight has: no rows');
select is(tests.rows_of($$select * from matrice.search_insights('the', tests.id('atlas'))$$), 3::bigint, 'search_insights of nothing but stop words finds them');
select is_empty($$select * from matrice.search_insights('the zeppelin', tests.id('atlas'))$$, 'search_insights ignores stop words beside other words');

select tests.refuses(format('select * from matrice.search_insights(%s)', arguments), code, description)
  from (values
    ($$null, tests.id('atlas')$$, '22004', 'search_insights refuses query_text null'),
    ($$' ', tests.id('atlas')$$, '22023', 'search_insights refuses a blank query_text'),
    ($$'wind', tests.id('atlas'), 0$$, '22023', 'search_insights refuses match_count 0'),
    ($$'wind', tests.id('atlas'), -1$$, '22023', 'search_insights refuses match_count -1'),
    ($$'wind', tests.id('atlas'), null$$, '22004', 'search_insights refuses match_count null'),
    ($$'wind', tests.id('atlas'), 10000000$$, '22023', 'search_insights refuses match_count 10000000'),
    ($$'wind', null$$, '22004', 'search_insights refuses project_id null'),
    ($$'wind', tests.id('nowhere')$$, 'PT404', 'search_insights of an unknown project: not found')
  ) as refused (arguments, code, description);
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.search_insights('wind', tests.id('atlas'))$$, 'PT404',
                     'search_insights of another''s project: not found', '%', '%');

-- Superseding ------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.supersede_insight(tests.id('calm'), tests.id('storm'));
select results_eq($$select superseded_by, superseded_at from matrice.insights where id = tests.id('calm')$$,
                  $$values (tests.id('storm'), now())$$, 'supersede_insight stores superseded_by and superseded_at');
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'))$$, $$values ('Storms'), ('Tides')$$,
                  'search_insights does not return a superseded insight');
select results_eq($$select title, superseded_by from matrice.search_insights('wind', tests.id('atlas'), include_superseded => true)$$,
                  $$values ('Evening calm', tests.id('storm')), ('Storms', null), ('Tides', null)$$,
                  'search_insights(include_superseded => true) returns a superseded insight');
select tests.remember_state();
select lives_ok($$select matrice.supersede_insight(tests.id('calm'), tests.id('storm'))$$, 'supersede_insight with the same arguments again succeeds');
select tests.unchanged('supersede_insight with the same arguments again changes no row');
select tests.refuses($$select matrice.supersede_insight(tests.id('calm'), tests.id('tide'))$$, 'PT409',
                     'supersede_insight refuses an old_id that another insight superseded', '%' || tests.id('storm') || '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('tide'))$$, '22023', 'supersede_insight refuses the same old_id and new_id');
select tests.refuses($$select matrice.supersede_insight(tests.id('storm'), tests.id('calm'))$$, '22023', 'supersede_insight refuses a circle of two insights');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('elsewhere'))$$, 'PT404',
                     'supersede_insight of a new_id of another project: not found', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('nowhere'), tests.id('tide'))$$, 'PT404',
                     'supersede_insight of an unknown old_id: not found', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('nowhere'))$$, 'PT404',
                     'supersede_insight of an unknown new_id: not found', '%');
select tests.refuses($$select matrice.supersede_insight(null, tests.id('tide'))$$, '22004', 'supersede_insight refuses old_id null', hint => '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), null)$$, '22004', 'supersede_insight refuses new_id null', hint => '%');
select tests.unchanged('supersede_insight: refused calls change no row');
select matrice.supersede_insight(tests.id('storm'), tests.id('tide'));
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('calm'))$$, '22023', 'supersede_insight refuses a circle of three insights');
select tests.refuses($$update matrice.insights set superseded_by = tests.id('calm') where id = tests.id('tide')$$, '22023',
                     'An update of insights.superseded_by refuses a circle of three insights');
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'))$$, $$values ('Tides')$$,
                  'search_insights returns the last insight of a chain');

-- The index of words ------------------------------------------------------------------------------------------------

select tests.as_owner();
-- It must find what ranking all texts one by one finds, with the same scores, after everything that changes insights.
create function tests.ranks_alike(description text) returns setof text language plpgsql as $$
begin
  return next results_eq(
    $q$select q, r.id, r.score, r.phrases::text from tests.queries cross join lateral matrice_private.ranked_insights(q, tests.id('atlas')) r
        order by 1, 3 desc, 2$q$,
    $q$select q, r.id, r.score, r.phrases::text from tests.queries cross join lateral matrice_private.ranked_without_index(q, tests.id('atlas')) r
        order by 1, 3 desc, 2$q$, description);
end
$$;
create table tests.queries as select q from unnest(array[
  'wind', 'winds storms dusk', 'the', '"fall at dusk"', '-wind', '-"strong winds"', '+wind -tide', 'ti*', '+storm wi* or tide', 'zzz', '-zzz', 'back\slash',
  'don''t', '"the wind" or calm', '北京',
  -- PostgreSQL would read a tsquery of so many words by recursion, until the stack is full.
  (select 'tide,' || string_agg(chr(19968 + i), '') from generate_series(1, 9900) i)]) q;
insert into matrice.insights (project_id, type, title, content, confidence)
select tests.id('atlas'), 'pattern', (array['Wind', 'Tide', 'back\slash', '北京大学'])[1 + i % 4], repeat('the wind ', i % 5) || 'number ' || i, i % 11 / 10.0
  from generate_series(1, 150) i;
select tests.ranks_alike('The index finds what ranking all insights finds');
update matrice.insights set content = content || ' and tides' where project_id = tests.id('atlas') and confidence < 0.3;
update matrice.insights set confidence = 0.7 where project_id = tests.id('atlas') and confidence < 0.2;
delete from matrice.insights where project_id = tests.id('atlas') and confidence = 0.5;
update matrice.projects set settings = '{"language": "german"}' where id = tests.id('atlas');
insert into matrice.insights (project_id, type, title, content) values (tests.id('atlas'), 'pattern', 'Winde', 'Die Winde kommen.');
select tests.ranks_alike('… after changes, deletions and another language');
do $$ begin for i in 1..70 loop
  insert into matrice.insights (project_id, type, title, content) values (tests.id('atlas'), 'pattern', 'Flut ' || i, repeat('Tide ', i));
end loop; end $$;
select cmp_ok((select count(*) from matrice_private.word_segments s where s.project_id = tests.id('atlas')), '<', 30::bigint,
              'Many statements leave few segments of insights, because small ones are merged');
select tests.ranks_alike('… after that');
delete from matrice.insights where project_id = tests.id('atlas') and title ~ '^Flut [1-6]';
select tests.ranks_alike('… after a merge without those that were deleted');
select is_empty($$select from matrice_private.word_segments s where s.project_id = tests.id('atlas') and s.kind <> 'insight'$$,
                'A project without chunks has segments of insights only');

-- How many insights are read, not how long it takes.
insert into matrice.insights (project_id, type, title, content) select tests.id('atlas'), 'pattern', 'Note ' || i, 'The sea.' from generate_series(1, 3000) i;
create function tests.read_by(query text) returns bigint language plpgsql security definer as $$
declare
  before bigint := pg_stat_get_xact_tuples_fetched('matrice.insights'::regclass) + pg_stat_get_xact_tuples_returned('matrice.insights'::regclass);
begin
  perform from matrice.search_insights(query, tests.id('atlas'));
  return pg_stat_get_xact_tuples_fetched('matrice.insights'::regclass) + pg_stat_get_xact_tuples_returned('matrice.insights'::regclass) - before;
end
$$;
select cmp_ok(tests.read_by('wind'), '<', 1500::bigint, 'search_insights reads few of the insights that have a word');
select cmp_ok(tests.read_by('-wind'), '<', 1500::bigint, 'search_insights reads few of the insights if the query only excludes');
select tests.as_user('edith');
select results_eq($$select insight_id from matrice.search_insights('-wind', tests.id('atlas'), 20)$$,
                  $$select id from matrice.insights where project_id = tests.id('atlas') and superseded_at is null and not fts @@ 'wind' order by id limit 20$$,
                  'search_insights of a query that only excludes returns the first that do not have the word, as search_chunks does');
select set_eq($$select insight_id, rank from matrice.search_insights('wind tide', tests.id('atlas'), 3)$$,
              $$select insight_id, rank from matrice.search_insights('wind tide', tests.id('atlas'), 10000) limit 3$$,
              'search_insights returns the first of all, however few it is asked for');
select tests.as_owner();
create policy "no tides" on matrice.insights as restrictive for select to authenticated using (title !~ 'Tide');
select tests.as_user('edith');
select is_empty($$select from matrice.search_insights('tide', tests.id('atlas'), 10000) where title ~ 'Tide'$$,
                'search_insights shows nothing that a policy hides');
select tests.as_owner();
drop policy "no tides" on matrice.insights;
alter table matrice.insights disable trigger user;
delete from matrice.insights where project_id = tests.id('atlas') and title = 'Wind' and confidence > 0.6;
alter table matrice.insights enable trigger user;
select matrice_private.rebuild_word_index(tests.id('atlas'));
select tests.ranks_alike('rebuild_word_index indexes the insights of a project again');
truncate matrice.source_chunks cascade;
select tests.ranks_alike('To truncate chunks leaves the words of insights');
delete from matrice.projects where id = tests.id('atlas');
set constraints all immediate;
select is_empty($$select from matrice_private.word_segments where project_id = tests.id('atlas')$$, 'A deleted project leaves no segments');
truncate matrice.insights cascade;
select is_empty($$select from matrice_private.word_segments where kind = 'insight' union all select from matrice_private.word_deletions where kind = 'insight'$$,
                'To truncate insights empties their index');

select * from finish();
rollback;
