begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas', '{"language": "english"}');
select tests.project('borea');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log'), (tests.id('map'), tests.id('borea'), 'Map');

-- Recording --------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember('calm', matrice.record_insight(tests.id('atlas'), 'pattern', 'Evening calm', 'The winds fall at dusk.', 0.9, '["wind"]', tests.id('log'), '{"days": 40}'));
select results_eq(
  $$select project_id, type, title, content, confidence, tags, source_id, evidence from matrice.insights where id = tests.id('calm')$$,
  $$values (tests.id('atlas'), 'pattern', 'Evening calm', 'The winds fall at dusk.', 0.9::double precision, '["wind"]'::jsonb, tests.id('log'), '{"days": 40}'::jsonb)$$,
  'An insight is recorded as it was said');
select tests.remember('storm', matrice.record_insight(tests.id('atlas'), 'learning', 'Storms', 'Strong winds come from the west.'));
select tests.remember('tide', matrice.record_insight(tests.id('atlas'), 'decision', 'Tides', 'We sail with the tide, not the wind.', 0.1));
select tests.remember('elsewhere', matrice.record_insight(tests.id('borea'), 'learning', 'Elsewhere', 'There is wind here too.'));
select results_eq($$select confidence, tags, source_id, evidence from matrice.insights where id = tests.id('storm')$$,
                  $$values (0.5::double precision, '[]'::jsonb, null::uuid, null::jsonb)$$, 'What is left out has its default');

select tests.remember_state();
select tests.refuses(format('select matrice.record_insight(%s)', arguments), code, description, detail)
  from (values
    ($$tests.id('atlas'), null, 'x', 'x'$$, '22004', 'A type is not null', null),
    ($$tests.id('atlas'), '', 'x', 'x'$$, '22023', 'A type is not empty', null),
    ($$tests.id('atlas'), 'x', ' ', 'x'$$, '22023', 'A title is not blank', null),
    ($$tests.id('atlas'), 'x', null, 'x'$$, '22004', 'A title is not null', null),
    ($$tests.id('atlas'), 'x', 'x', E'\n'$$, '22023', 'A content is not blank', null),
    ($$tests.id('atlas'), 'x', 'x', null$$, '22004', 'A content is not null', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', 1.5$$, '22023', 'Nothing is surer than 1', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', -0.5$$, '22023', 'Nothing is less sure than 0', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', 'NaN'$$, '22023', 'Confidence is a number', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', null$$, '22004', 'Confidence is not null', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', tags => '{}'$$, '22023', 'Tags are not an object', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', tags => '"wind"'$$, '22023', 'Tags are not a string', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', tags => null$$, '22004', 'Tags are not null', null),
    ($$tests.id('atlas'), 'x', 'x', 'x', source_id => tests.id('nowhere')$$, 'PT404', 'A source that does not exist is not found', '%'),
    ($$tests.id('atlas'), 'x', 'x', 'x', source_id => tests.id('map')$$, 'PT404', 'A source of another project is not found', '%'),
    ($$null, 'x', 'x', 'x'$$, '22004', 'An insight''s project is not null', null),
    ($$tests.id('nowhere'), 'x', 'x', 'x'$$, 'PT404', 'A project that does not exist is not found', '%')
  ) as refused (arguments, code, description, detail);
select tests.as_user('victor');
select tests.refuses($$select matrice.record_insight(tests.id('atlas'), 'x', 'x', 'x')$$, '42501', 'A viewer records no insight', '%', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('calm'), tests.id('storm'))$$, '42501', 'A viewer supersedes no insight', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.record_insight(tests.id('atlas'), 'x', 'x', 'x')$$, 'PT404', 'Somebody else''s project takes no insight', '%', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('calm'), tests.id('storm'))$$, 'PT404', 'Somebody else''s insight is not found', '%');
select tests.unchanged('Refused insights leave no trace');

-- Searching --------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select results_eq(
  $$select insight_id, rank from matrice.search_insights('wind', tests.id('atlas'))$$,
  $$select id, ts_rank_cd(fts, to_tsquery('english', 'wind')) from matrice.insights where project_id = tests.id('atlas')
     order by ts_rank_cd(fts, to_tsquery('english', 'wind')) * confidence desc$$,
  'Insights are found in the project''s language, by rank times confidence');
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'))$$, $$values ('Evening calm'), ('Storms'), ('Tides')$$,
                  'Of equal words the surer comes first');
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'), 1)$$, $$values ('Evening calm')$$, 'As many are given as are asked for');
select results_eq(
  $$select insight_id, source_id, type, title, content, confidence, tags, superseded_by from matrice.search_insights('dusk', tests.id('atlas'))$$,
  $$values (tests.id('calm'), tests.id('log'), 'pattern', 'Evening calm', 'The winds fall at dusk.', 0.9::double precision, '["wind"]'::jsonb, null::uuid)$$,
  'An insight that is found is whole');
select is_empty($$select * from matrice.search_insights('zeppelin', tests.id('atlas'))$$, 'What nobody has learnt is not found');
select is_empty($$select * from matrice.search_insights('the', tests.id('atlas'))$$, 'A query of stop words finds nothing');

select tests.refuses(format('select * from matrice.search_insights(%s)', arguments), code, description)
  from (values
    ($$null, tests.id('atlas')$$, '22004', 'A search needs words'),
    ($$' ', tests.id('atlas')$$, '22023', 'A search needs words that are not blank'),
    ($$'wind', tests.id('atlas'), 0$$, '22023', 'match_count is not 0'),
    ($$'wind', tests.id('atlas'), -1$$, '22023', 'match_count is not negative'),
    ($$'wind', tests.id('atlas'), null$$, '22004', 'match_count is not null'),
    ($$'wind', tests.id('atlas'), 10000000$$, '22023', 'match_count is not ten million'),
    ($$'wind', null$$, '22004', 'A search is in a project'),
    ($$'wind', tests.id('nowhere')$$, 'PT404', 'A project that does not exist is not searched')
  ) as refused (arguments, code, description);
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.search_insights('wind', tests.id('atlas'))$$, 'PT404', 'Somebody else''s project is not searched', '%', '%');

-- Superseding ------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.supersede_insight(tests.id('calm'), tests.id('storm'));
select results_eq($$select superseded_by, superseded_at from matrice.insights where id = tests.id('calm')$$,
                  $$values (tests.id('storm'), now())$$, 'An insight is superseded by another, from now on');
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'))$$, $$values ('Storms'), ('Tides')$$, 'A superseded insight is not found');
select results_eq($$select title, superseded_by from matrice.search_insights('wind', tests.id('atlas'), include_superseded => true)$$,
                  $$values ('Evening calm', tests.id('storm')), ('Storms', null), ('Tides', null)$$, 'Unless it is asked for');
select tests.remember_state();
select lives_ok($$select matrice.supersede_insight(tests.id('calm'), tests.id('storm'))$$, 'Superseding it by the same again is no error');
select tests.unchanged('And changes nothing');
select tests.refuses($$select matrice.supersede_insight(tests.id('calm'), tests.id('tide'))$$, 'PT409', 'An insight is superseded once', '%' || tests.id('storm') || '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('tide'))$$, '22023', 'An insight does not supersede itself');
select tests.refuses($$select matrice.supersede_insight(tests.id('storm'), tests.id('calm'))$$, '22023', 'Two insights do not supersede each other');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('elsewhere'))$$, 'PT404', 'Another project''s insight supersedes nothing', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('nowhere'), tests.id('tide'))$$, 'PT404', 'An insight that does not exist is not superseded', '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('nowhere'))$$, 'PT404', 'An insight that does not exist supersedes nothing', '%');
select tests.refuses($$select matrice.supersede_insight(null, tests.id('tide'))$$, '22004', 'Null is not superseded', hint => '%');
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), null)$$, '22004', 'Null supersedes nothing', hint => '%');
select tests.unchanged('Refused supersessions leave no trace');
select matrice.supersede_insight(tests.id('storm'), tests.id('tide'));
select tests.refuses($$select matrice.supersede_insight(tests.id('tide'), tests.id('calm'))$$, '22023', 'Three insights do not supersede each other in a circle');
select tests.refuses($$update matrice.insights set superseded_by = tests.id('calm') where id = tests.id('tide')$$, '22023',
                     'An update of superseded_by refuses a circle');
select results_eq($$select title from matrice.search_insights('wind', tests.id('atlas'))$$, $$values ('Tides')$$, 'Of a chain the last is found');

select * from finish();
rollback;
