begin;
\ir helpers/setup.psql
select no_plan();

-- Creating a project -----------------------------------------------------------------------------------------------

select tests.as_user('alice');
select tests.remember('atlas', matrice.create_project('Atlas', 'Maps of everything', 'geography', '{"language": "french"}'));

select results_eq(
  $$select name, description, domain, current_phase, settings, created_by from matrice.projects where id = tests.id('atlas')$$,
  $$values ('Atlas', 'Maps of everything', 'geography', 'P1', '{"language": "french"}'::jsonb, tests.id('alice'))$$,
  'create_project stores its four arguments, the creator and phase P1');
select results_eq(
  $$select user_id, role from matrice.user_projects where project_id = tests.id('atlas')$$,
  $$values (tests.id('alice'), 'owner')$$,
  'create_project makes the creator the only member, as owner');
select results_eq(
  $$select code, name, content, metadata, version from matrice.pillars where project_id = tests.id('atlas') order by code$$,
  $$values ('P1', 'vision', '', '{}'::jsonb, 1), ('P2', 'acteurs', '', '{}', 1), ('P3', 'donnees', '', '{}', 1),
           ('P4', 'P4', '', '{}', 1), ('P5', 'P5', '', '{}', 1), ('P6', 'P6', '', '{}', 1)$$,
  'create_project makes six pillars at version 1');
select is(matrice.create_project('Atlas') <> tests.id('atlas'), true, 'create_project takes a name that another project has');

select results_eq(
  $$insert into matrice.projects (name) values ('Bare') returning name, current_phase, settings, created_by$$,
  $$values ('Bare', 'P1', '{}'::jsonb, tests.id('alice'))$$,
  'projects: an insert of a name alone returns the row with defaults and created_by');
select is(tests.rows_of($$select from matrice.user_projects m join matrice.projects p on p.id = m.project_id
                           where p.name = 'Bare' and m.user_id = tests.id('alice') and m.role = 'owner'$$),
          1::bigint, 'projects: an insert makes the creator the owner');
select results_eq(
  $$insert into matrice.projects (name, created_at) values ('Imported', now() - interval '1 year') returning created_at$$,
  $$values (now() - interval '1 year')$$,
  'projects: an insert with created_at in the past returns the row');

select lives_ok($$update matrice.projects set settings = '{"language": "french", "app": {"colour": "blue", "nested": [{"a": null}]}}' where id = tests.id('atlas')$$,
                'projects.settings takes any value under app');
select tests.remember('nested',
                      matrice.create_project('Nested',
                                             settings => jsonb_build_object('app', jsonb_build_object('a', (repeat('[', 60) || repeat(']', 60))::jsonb))));
select lives_ok($$delete from matrice.projects where id = tests.id('nested')$$, 'projects: a row whose settings are nested 60 deep can be deleted');

-- Refused projects -------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.create_project(null)$$, '22004', 'create_project refuses name null');
select tests.refuses($$select matrice.create_project('')$$, '22023', 'create_project refuses an empty name');
select tests.refuses($$select matrice.create_project(E' \t\n')$$, '22023', 'create_project refuses a name of spaces, tabs and newlines');
select tests.refuses($$select matrice.create_project('x', settings => '[]')$$, '22023', 'create_project refuses settings that are an array', '%array%', '%');
select tests.refuses($$select matrice.create_project('x', settings => '"{}"')$$, '22023', 'create_project refuses settings that are a string of JSON',
                     '%string%', '%');
select tests.refuses($$select matrice.create_project('x', settings => 'null')$$, '22023', 'create_project refuses settings that are a JSON null',
                     '%null%', '%');
select tests.refuses($$select matrice.create_project('x', settings => null)$$, '22004', 'create_project refuses settings null', hint => '%');
select tests.refuses($$insert into matrice.projects (name) values (null)$$, '23502', 'projects refuses name null');
select tests.refuses($$insert into matrice.projects (name) values ('  ')$$, '23514', 'projects refuses a name of spaces');
select tests.refuses($$insert into matrice.projects (name) values (E'\t\n')$$, '23514', 'projects refuses a name of tabs and newlines');
select tests.refuses($$insert into matrice.projects (name, current_phase) values ('x', 'P7')$$, '23514', 'projects refuses current_phase P7');
select tests.refuses($$insert into matrice.projects (name, settings) values ('x', '[]')$$, '23514', 'projects refuses settings that are an array');
select tests.refuses(format('select matrice.create_project(%L, settings => %s)', 'x', settings), code, 'create_project refuses settings ' || left(settings, 50),
                     detail, hint)
    || E'\n' || tests.refuses(format('insert into matrice.projects (name, settings) values (%L, %s)', 'x', settings), code,
                              'projects: an insert with these settings is refused', detail, hint)
    || E'\n' || tests.refuses(format('update matrice.projects set settings = %s where id = tests.id(%L)', settings, 'atlas'), code,
                              'projects: an update to these settings is refused', detail, hint)
  from (values
    ($$'{"embeding_model": "gte-small"}'$$, '22023', '%', '%embedding_model, next_embedding_model, embedding_template, max_attempts, keep_source_texts, keep_source_versions, language, pillars, exit_criteria, viewers_record_runs, events, app%'), ($$'{"Language": "french"}'$$, '22023', '%', '%language%'),
    ($$'{"": 1}'$$, '22023', '%', '%language%'), ($$'{"language": ["french"]}'$$, '22023', '%array%', '%'), ($$'{"language": null}'$$, '22023', '%null%', '%'),
    ($$'{"language": "FRENCH"}'$$, '22023', null, '%french%'), ($$'{"language": "pg_catalog.french"}'$$, '22023', null, '%french%'),
    ($$'{"embedding_model": {"name": "gte-small"}}'$$, '22023', '%object%', '%'), ($$'{"embedding_model": "gte-small "}'$$, '22023', null, '%gte-small%'),
    ($$'{"app": "mine"}'$$, '22023', '%string%', '%'), ($$jsonb_build_object('app', jsonb_build_object('x', repeat('x', 17000)))$$, '22023', '%16384%', '%'),
    ($$jsonb_build_object(repeat('x', 10000), 1)$$, '22023', '%', '%language%')
  ) as refused (settings, code, detail, hint);
select tests.refuses($$insert into matrice.projects (name, created_by) values ('x', tests.id('edith'))$$, '42501',
                     'projects refuses created_by of another user');
select tests.as_nobody();
select tests.refuses($$select matrice.create_project('x')$$, '42501', 'create_project refuses a session without claims', '%claims%', '%created_by%');
select tests.refuses($$insert into matrice.projects (name) values ('x')$$, '42501', 'projects refuses an insert in a session without claims');
select is(tests.rows_of($$select from matrice.projects$$), 0::bigint, 'projects without claims: no rows');
select tests.as_anon();
select tests.refuses($$select matrice.create_project('x')$$, '42501', 'create_project refuses anon');
select tests.refuses($$select from matrice.projects$$, '42501', 'projects refuses anon a select');
select tests.unchanged('create_project and projects: refused calls change no row');

-- Phases -----------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('borea');
select tests.as_user('alice');
select lives_ok($$select matrice.set_phase(tests.id('borea'), 'P4')$$, 'set_phase by an owner succeeds');
select is(current_phase, 'P4', 'set_phase stores phase P4') from matrice.projects where id = tests.id('borea');

select tests.remember_state();
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P7')$$, '22023', 'set_phase refuses phase P7', hint => '%P6%');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'p1')$$, '22023', 'set_phase refuses phase p1 in lower case', hint => '%P1%');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), '')$$, '22023', 'set_phase refuses an empty phase', hint => '%');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), null)$$, '22004', 'set_phase refuses phase null', hint => '%');
select tests.refuses($$select matrice.set_phase(null, 'P1')$$, '22004', 'set_phase refuses project_id null');
select tests.refuses($$select matrice.set_phase(tests.id('nowhere'), 'P1')$$, 'PT404', 'set_phase of an unknown project: not found',
                     '%' || tests.id('nowhere') || '%', '%');
select tests.as_user('edith');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P1')$$, '42501', 'set_phase refuses an editor', '%', '%');
select is(tests.rows_of($$update matrice.projects set current_phase = 'P1' where id = tests.id('borea')$$), 0::bigint,
          'projects: an update by an editor changes no row');
select tests.as_user('victor');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P1')$$, '42501', 'set_phase refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P1')$$, 'PT404', 'set_phase of another''s project: not found', '%', '%');
select tests.unchanged('set_phase: refused calls change no row');

select tests.as_owner();
-- PostgreSQL alters no table that a deferred trigger waits for.
set constraints all immediate;
alter table matrice.projects disable trigger touch_updated_at;
update matrice.projects set updated_at = now() - interval '1 day' where id = tests.id('borea');
alter table matrice.projects enable trigger touch_updated_at;
select tests.as_user('alice');
update matrice.projects set description = 'Winds' where id = tests.id('borea');
select is(updated_at, now(), 'projects: an update sets updated_at to now') from matrice.projects where id = tests.id('borea');

-- Pillars and their versions ---------------------------------------------------------------------------------------

select tests.as_user('edith');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind comes from', '{"mood": "calm"}'), 2,
          'save_pillar of a pillar without a row makes it and returns version 2');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind comes from'), 2,
          'save_pillar with unchanged content and metadata keeps the version');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind goes'), 3, 'save_pillar with new content returns the next version');
select is(metadata, '{"mood": "calm"}', 'save_pillar without metadata keeps the metadata')
  from matrice.pillars where project_id = tests.id('borea') and code = 'P1';
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind goes', '{"mood": "wild"}'), 4,
          'save_pillar with new metadata alone returns the next version');
select tests.as_user('alice');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind stays', expected_version => 4), 5,
          'save_pillar with the current expected_version succeeds');
select is(matrice.save_pillar(tests.id('borea'), 'P1', ''), 6, 'save_pillar takes empty content');
select is(matrice.save_pillar(tests.id('borea'), 'P2', 'Sailors', expected_version => 1), 2, 'save_pillar numbers the versions of each pillar separately');

select results_eq(
  $$select version, content, metadata ->> 'mood', saved_at, saved_by from matrice.pillar_history(tests.id('borea'), 'P1')$$,
  $$values (6, '', 'wild', now(), tests.id('alice')),
           (5, 'Where the wind stays', 'wild', now(), tests.id('alice')),
           (4, 'Where the wind goes', 'wild', now(), tests.id('edith')),
           (3, 'Where the wind goes', 'calm', now(), tests.id('edith')),
           (2, 'Where the wind comes from', 'calm', now(), tests.id('edith')),
           (1, '', null, now(), tests.id('edith'))$$,
  'pillar_history returns every version, newest first, with saved_at and saved_by');

select is(matrice.restore_pillar(tests.id('borea'), 'P1', 2), 7, 'restore_pillar of an old version returns a new version');
select results_eq(
  $$select content, metadata, version from matrice.pillars where project_id = tests.id('borea') and code = 'P1'$$,
  $$values ('Where the wind comes from', '{"mood": "calm"}'::jsonb, 7)$$,
  'restore_pillar restores content and metadata');
select is(tests.rows_of($$select matrice.pillar_history(tests.id('borea'), 'P1')$$), 7::bigint, 'restore_pillar keeps every version in pillar_history');
select is(matrice.restore_pillar(tests.id('borea'), 'P1', 7), 7, 'restore_pillar of the current version keeps the version');

select results_eq(
  $$update matrice.pillars set content = 'Direct', version = 99 where project_id = tests.id('borea') and code = 'P1' returning version$$,
  $$values (8)$$,
  'pillars: an update gets the next version, not the one that the client writes');
select results_eq(
  $$select version, content, saved_by from matrice.pillar_history(tests.id('borea'), 'P1') limit 1$$,
  $$values (8, 'Direct', tests.id('alice'))$$,
  'pillars: an update appears in pillar_history');
select results_eq(
  $$update matrice.pillars set name = 'vision!', version = 3 where project_id = tests.id('borea') and code = 'P1' returning version$$,
  $$values (8)$$,
  'pillars: an update of the name alone keeps the version');
select is(tests.rows_of($$select matrice.pillar_history(tests.id('borea'), 'P1')$$), 8::bigint,
          'pillars: an update of the name alone adds nothing to pillar_history');

select tests.as_user('victor');
select is(tests.rows_of($$select matrice.pillar_history(tests.id('borea'), 'P1')$$), 8::bigint, 'pillar_history by a viewer: every version');

-- Refused pillars --------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'x')$$, '42501', 'save_pillar refuses a viewer', '%', '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', 1)$$, '42501', 'restore_pillar refuses a viewer', '%', '%');
select is(tests.rows_of($$update matrice.pillars set content = 'x' where project_id = tests.id('borea')$$), 0::bigint,
          'pillars: an update by a viewer changes no row');
select tests.as_user('mallory');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'x')$$, 'PT404', 'save_pillar of another''s project: not found', '%', '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', 1)$$, 'PT404', 'restore_pillar of another''s project: not found', '%', '%');
select tests.refuses($$select matrice.pillar_history(tests.id('borea'), 'P1')$$, 'PT404', 'pillar_history of another''s project: not found', '%', '%');
select tests.as_user('alice');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'Mine', expected_version => 7)$$, 'PT409',
                     'save_pillar refuses an expected_version that was replaced', '%8%', '%');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'Mine', expected_version => 9)$$, 'PT409',
                     'save_pillar refuses an expected_version that does not exist yet', '%8%', '%');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', null)$$, '22004', 'save_pillar refuses content null');
select tests.refuses($$select matrice.save_pillar(null, 'P1', 'x')$$, '22004', 'save_pillar refuses project_id null');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P7', 'x')$$, '22023', 'save_pillar refuses code P7', hint => '%P6%');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), null, 'x')$$, '22004', 'save_pillar refuses code null', hint => '%');
select tests.refuses($$select matrice.save_pillar(tests.id('nowhere'), 'P1', 'x')$$, 'PT404', 'save_pillar of an unknown project: not found', '%', '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', 99)$$, 'PT404', 'restore_pillar of an unknown version: not found',
                     hint => '%pillar_history%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', null)$$, '22004', 'restore_pillar refuses version null', hint => '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P6', 1)$$, 'PT404', 'restore_pillar of a pillar that was never saved: not found',
                     hint => '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P0', 1)$$, '22023', 'restore_pillar refuses code P0', hint => '%P6%');
select tests.refuses($$select matrice.pillar_history(tests.id('borea'), 'vision')$$, '22023', 'pillar_history refuses a pillar''s name as code',
                     hint => '%P1%');
select tests.refuses($$insert into matrice.pillars (project_id, code, name) values (tests.id('borea'), 'P1', 'vision')$$, '23505',
                     'pillars refuses a second row of the same project and code');
select tests.refuses($$insert into matrice.pillars (project_id, code, name) values (tests.id('borea'), 'P9', 'x')$$, '23514',
                     'pillars refuses code P9');
select tests.refuses($$update matrice.pillars set project_id = tests.id('atlas') where project_id = tests.id('borea') and code = 'P2'$$, '42501',
                     'pillars refuses an update of project_id', '%', '%');
select tests.refuses($$update matrice.pillar_versions set content = 'never said'$$, '42501', 'pillar_versions refuses an owner an update');
select tests.refuses($$delete from matrice.pillar_versions where version = 1$$, '42501', 'pillar_versions refuses an owner a delete');
select tests.refuses($$insert into matrice.pillar_versions (pillar_id, version, project_id, content, metadata)
                       select id, 50, project_id, 'x', '{}' from matrice.pillars limit 1$$, '42501', 'pillar_versions refuses an owner an insert');
select tests.as_service();
select tests.refuses($$update matrice.pillar_versions set content = 'never said'$$, '42501', 'pillar_versions refuses a service an update');
select tests.refuses($$delete from matrice.pillar_versions where version = 1$$, '42501', 'pillar_versions refuses a service a delete');
select tests.unchanged('pillars and pillar_versions: refused calls change no row');

-- Members ----------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
select tests.remember_state();
select tests.refuses($$delete from matrice.user_projects where project_id = tests.id('borea') and user_id = tests.id('alice')$$, 'PT409',
                     'user_projects refuses to delete the last owner', '%' || tests.id('alice') || '%', '%');
select tests.refuses($$update matrice.user_projects set role = 'editor' where project_id = tests.id('borea') and user_id = tests.id('alice')$$, 'PT409',
                     'user_projects refuses to demote the last owner', '%' || tests.id('alice') || '%', '%');
select tests.refuses($$update matrice.user_projects set project_id = tests.id('atlas'), user_id = tests.id('zoe')
                        where project_id = tests.id('borea') and user_id = tests.id('alice')$$, '42501',
                     'user_projects refuses an update of project_id', '%', '%');
select tests.refuses($$update matrice.user_projects set user_id = tests.id('zoe'), role = 'viewer'
                        where project_id = tests.id('borea') and user_id = tests.id('alice')$$, '42501',
                     'L3: user_projects refuses an owner an update of user_id', '%', '%');
select tests.as_service();
select tests.refuses($$update matrice.user_projects set user_id = tests.id('zoe'), role = 'viewer'
                        where project_id = tests.id('borea') and user_id = tests.id('alice')$$, 'PT409',
                     'user_projects refuses a service an update that gives the last owner''s row to a viewer', '%', '%');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('borea'), tests.id('zoe'), 'king')$$, '23514',
                     'user_projects refuses role king');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('borea'), tests.id('edith'), 'viewer')$$, '23505',
                     'user_projects refuses a second row of the same member');
select tests.refuses($$delete from matrice.user_projects where project_id = tests.id('borea')$$, 'PT409',
                     'user_projects refuses a service the delete of all members at once', '%', '%');
select tests.as_user('edith');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id) values (tests.id('borea'), tests.id('zoe'))$$, '42501',
                     'user_projects refuses an editor an insert');
select is(tests.rows_of($$update matrice.user_projects set role = 'owner' where user_id = tests.id('edith')$$), 0::bigint,
          'user_projects: an editor''s update of their own role changes no row');
select is(tests.rows_of($$delete from matrice.user_projects where user_id = tests.id('victor')$$), 0::bigint,
          'user_projects: an editor''s delete of another member deletes no row');
select is(tests.rows_of($$delete from matrice.projects where id = tests.id('borea')$$), 0::bigint, 'projects: a delete by an editor deletes no row');
select tests.as_user('mallory');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('borea'), tests.id('mallory'), 'owner')$$, '42501',
                     'user_projects refuses an outsider an insert of themselves');
select is(tests.rows_of($$select from matrice.user_projects$$), 0::bigint, 'user_projects for an outsider: no rows');
select tests.unchanged('user_projects: refused statements change no row');

select tests.as_user('victor');
select is(tests.rows_of($$select from matrice.user_projects where project_id = tests.id('borea')$$), 3::bigint,
          'user_projects for a member: every member of the project');
select is(tests.rows_of($$delete from matrice.user_projects where project_id = tests.id('borea') and user_id = tests.id('victor')$$), 1::bigint,
          'user_projects: a viewer can delete their own row');
select is(tests.rows_of($$select from matrice.projects where id = tests.id('borea')$$), 0::bigint, 'projects for a former member: no rows');
select tests.as_user('alice');
select lives_ok($$update matrice.user_projects set role = 'owner' where project_id = tests.id('borea') and user_id = tests.id('edith')$$,
                'user_projects: an owner can make an editor an owner');
select is(tests.rows_of($$delete from matrice.user_projects where project_id = tests.id('borea') and user_id = tests.id('alice')$$), 1::bigint,
          'user_projects: an owner who is not the last can delete their own row');
select tests.as_user('edith');
select is(tests.rows_of($$delete from matrice.projects where id = tests.id('borea')$$), 1::bigint, 'projects: the last owner can delete the project');
select tests.as_owner();
select is_empty(
  $$select project_id from matrice.user_projects where project_id = tests.id('borea') union all
    select project_id from matrice.pillars where project_id = tests.id('borea') union all
    select project_id from matrice.pillar_versions where project_id = tests.id('borea')$$,
  'projects: a delete deletes its members, pillars and versions');

select * from finish();
rollback;
