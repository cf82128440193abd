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
  'insights: an insert without the optional columns gets the defaults');
select is(fts, matrice_private.text_vector(E'Calm\n\nCalm\n\nThe wind falls at dusk', 'simple'),
          'insights.fts has the words of the title twice, and those of the content')
  from matrice.insights where id = tests.id('calm');
update matrice.insights set title = 'Storm', fts = 'forged' where id = tests.id('calm');
select is(fts, matrice_private.text_vector(E'Storm\n\nStorm\n\nThe wind falls at dusk', 'simple'),
          'insights.fts follows an update of title and ignores what the client writes')
  from matrice.insights where id = tests.id('calm');
select lives_ok($$insert into matrice.insights (project_id, type, title, content, confidence)
                  values (tests.id('atlas'), 'x', 'Never', 'x', 0), (tests.id('atlas'), 'x', 'Surely', 'x', 1)$$,
                'insights takes confidence 0 and 1');

select tests.remember_state();
select tests.refuses($$update matrice.insights set confidence = 1.01$$, '23514', 'insights refuses confidence 1.01');
select tests.refuses($$update matrice.insights set confidence = -0.01$$, '23514', 'insights refuses confidence -0.01');
select tests.refuses($$update matrice.insights set confidence = 'NaN'$$, '23514', 'insights refuses confidence NaN');
select tests.refuses($$update matrice.insights set tags = '{"wind": true}'$$, '23514', 'insights refuses tags that are an object');
select tests.refuses($$update matrice.insights set content = null$$, '23502', 'insights refuses content null');
select tests.refuses($$update matrice.insights set superseded_by = id$$, '23514', 'insights refuses superseded_by its own id');
select tests.refuses($$insert into matrice.insights (project_id, source_id, type, title, content) values (tests.id('atlas'), tests.id('map'), 'x', 'x', 'x')$$, '23503',
                     'insights refuses source_id of another project');
select tests.refuses($$update matrice.insights set project_id = tests.id('borea') where id = tests.id('bare')$$, '42501',
                     'insights refuses an update of project_id', '%', '%');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.insights (project_id, type, title, content) values (tests.id('atlas'), 'x', 'x', 'x')$$, '42501',
                     'insights refuses a viewer an insert');
select is(tests.rows_of($$update matrice.insights set title = 'x'$$), 0::bigint, 'insights: an update by a viewer changes no row');
select is(tests.rows_of($$select from matrice.insights$$), 4::bigint, 'insights for a viewer: every insight');
select tests.as_user('mallory');
select is(tests.rows_of($$delete from matrice.insights$$), 0::bigint, 'insights: a delete by an outsider deletes no row');
select is(tests.rows_of($$select from matrice.insights$$), 0::bigint, 'insights for an outsider: no rows');
select tests.unchanged('insights: refused statements change no row');

select tests.as_user('edith');
insert into matrice.insights (id, project_id, type, title, content) values (tests.id('foreign'), tests.id('borea'), 'x', 'x', 'x');
select tests.refuses($$update matrice.insights set superseded_by = tests.id('foreign') where id = tests.id('bare')$$, '23503',
                     'insights refuses superseded_by of another project');
update matrice.insights set superseded_by = tests.id('calm') where id = tests.id('bare');
delete from matrice.context_sources where id = tests.id('log');
select results_eq($$select project_id, source_id from matrice.insights where id = tests.id('calm')$$,
                  $$values (tests.id('atlas'), null::uuid)$$, 'insights: deleting the source sets source_id to null');
delete from matrice.insights where id = tests.id('calm');
select results_eq($$select project_id, superseded_by from matrice.insights where id = tests.id('bare')$$,
                  $$values (tests.id('atlas'), null::uuid)$$, 'insights: deleting the superseding insight sets superseded_by to null');

select * from finish();
rollback;
