begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log'), (tests.id('map'), tests.id('borea'), 'Map');

select tests.as_user('edith');
insert into matrice.insights (id, project_id, source_id, type, title, content, confidence, tags)
values (tests.id('calm'), tests.id('atlas'), tests.id('log'), 'pattern', 'Calm', 'The wind falls at dusk', 0.75, '["wind"]');
insert into matrice.insights (id, project_id, type, title, content) values (tests.id('bare'), tests.id('atlas'), 'learning', 'Bare', 'Nothing more');
select results_eq(
  $$select source_id, confidence, tags, evidence, superseded_by, created_at from matrice.insights where id = tests.id('bare')$$,
  $$values (null::uuid, 0.5::double precision, '[]'::jsonb, null::jsonb, null::uuid, now())$$,
  'An insight needs a project, a type, a title and a content');
select is(fts, setweight(to_tsvector('simple', 'Calm'), 'A') || setweight(to_tsvector('simple', 'The wind falls at dusk'), 'B'),
          'An insight is indexed, its title above its content')
  from matrice.insights where id = tests.id('calm');
update matrice.insights set title = 'Storm', fts = 'forged' where id = tests.id('calm');
select is(fts, setweight(to_tsvector('simple', 'Storm'), 'A') || setweight(to_tsvector('simple', 'The wind falls at dusk'), 'B'),
          'A changed title is indexed again, whatever the client writes')
  from matrice.insights where id = tests.id('calm');
select lives_ok($$insert into matrice.insights (project_id, type, title, content, confidence)
                  values (tests.id('atlas'), 'x', 'Never', 'x', 0), (tests.id('atlas'), 'x', 'Surely', 'x', 1)$$,
                'Confidence reaches from 0 to 1');

select tests.remember_state();
select tests.refuses($$update matrice.insights set confidence = 1.01$$, '23514', 'Nothing is surer than 1');
select tests.refuses($$update matrice.insights set confidence = -0.01$$, '23514', 'Nothing is less sure than 0');
select tests.refuses($$update matrice.insights set confidence = 'NaN'$$, '23514', 'Confidence is a number');
select tests.refuses($$update matrice.insights set tags = '{"wind": true}'$$, '23514', 'Tags are an array');
select tests.refuses($$update matrice.insights set content = null$$, '23502', 'An insight has a content');
select tests.refuses($$update matrice.insights set superseded_by = id$$, '23514', 'An insight does not supersede itself');
select tests.refuses($$insert into matrice.insights (project_id, source_id, type, title, content) values (tests.id('atlas'), tests.id('map'), 'x', 'x', 'x')$$, '23503',
                     'An insight''s source is of the same project');
select tests.refuses($$update matrice.insights set project_id = tests.id('borea') where id = tests.id('bare')$$, '42501', 'An insight does not move to another project', '%', '%');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.insights (project_id, type, title, content) values (tests.id('atlas'), 'x', 'x', 'x')$$, '42501', 'A viewer adds no insight');
select is(tests.rows_of($$update matrice.insights set title = 'x'$$), 0::bigint, 'A viewer changes no insight');
select is(tests.rows_of($$select from matrice.insights$$), 4::bigint, 'A viewer reads the insights');
select tests.as_user('mallory');
select is(tests.rows_of($$delete from matrice.insights$$), 0::bigint, 'An outsider deletes no insight');
select is(tests.rows_of($$select from matrice.insights$$), 0::bigint, 'An outsider reads no insight');
select tests.unchanged('Refused insights leave no trace');

select tests.as_user('edith');
insert into matrice.insights (id, project_id, type, title, content) values (tests.id('foreign'), tests.id('borea'), 'x', 'x', 'x');
select tests.refuses($$update matrice.insights set superseded_by = tests.id('foreign') where id = tests.id('bare')$$, '23503',
                     'An insight is not superseded by another project''s');
update matrice.insights set superseded_by = tests.id('calm') where id = tests.id('bare');
delete from matrice.context_sources where id = tests.id('log');
select results_eq($$select project_id, source_id from matrice.insights where id = tests.id('calm')$$,
                  $$values (tests.id('atlas'), null::uuid)$$, 'An insight outlives its source');
delete from matrice.insights where id = tests.id('calm');
select results_eq($$select project_id, superseded_by from matrice.insights where id = tests.id('bare')$$,
                  $$values (tests.id('atlas'), null::uuid)$$, 'An insight outlives the one that superseded it');

select * from finish();
rollback;
