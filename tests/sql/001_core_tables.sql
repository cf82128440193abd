begin;
\ir helpers/setup.psql
select no_plan();

-- Creating a project -----------------------------------------------------------------------------------------------

select tests.as_user('alice');
select tests.remember('atlas', matrice.create_project('Atlas', 'Maps of everything', 'geography', '{"language": "french"}'));

select results_eq(
  $$select name, description, domain, current_phase, settings, created_by from matrice.projects where id = tests.id('atlas')$$,
  $$values ('Atlas', 'Maps of everything', 'geography', 'P1', '{"language": "french"}'::jsonb, tests.id('alice'))$$,
  'A new project has what its creator said and begins in P1');
select results_eq(
  $$select user_id, role from matrice.user_projects where project_id = tests.id('atlas')$$,
  $$values (tests.id('alice'), 'owner')$$,
  'The creator is the only member, as owner');
select results_eq(
  $$select code, name, content, metadata, version from matrice.pillars where project_id = tests.id('atlas') order by code$$,
  $$values ('P1', 'vision', '', '{}'::jsonb, 1), ('P2', 'acteurs', '', '{}', 1), ('P3', 'donnees', '', '{}', 1),
           ('P4', 'P4', '', '{}', 1), ('P5', 'P5', '', '{}', 1), ('P6', 'P6', '', '{}', 1)$$,
  'A new project has its six pillars at version 1');
select is(matrice.create_project('Atlas') <> tests.id('atlas'), true, 'Two projects may have the same name');

select results_eq(
  $$insert into matrice.projects (name) values ('Bare') returning name, current_phase, settings, created_by$$,
  $$values ('Bare', 'P1', '{}'::jsonb, tests.id('alice'))$$,
  'A client that inserts a name alone creates a project of its own and reads it back');
select is(tests.rows_of($$select from matrice.user_projects m join matrice.projects p on p.id = m.project_id
                           where p.name = 'Bare' and m.user_id = tests.id('alice') and m.role = 'owner'$$),
          1::bigint, 'Inserting a project makes its creator the owner');
select results_eq(
  $$insert into matrice.projects (name, created_at) values ('Imported', now() - interval '1 year') returning created_at$$,
  $$values (now() - interval '1 year')$$,
  'A project that is imported with its date is read back too');

select lives_ok($$update matrice.projects set settings = '{"language": "french", "app": {"colour": "blue", "nested": [{"a": null}]}}' where id = tests.id('atlas')$$,
                'What an application keeps with a project goes into app');
select tests.remember('nested', matrice.create_project('Nested', settings => jsonb_build_object('app', jsonb_build_object('a', (repeat('[', 60) || repeat(']', 60))::jsonb))));
select lives_ok($$delete from matrice.projects where id = tests.id('nested')$$, 'A project whose settings are nested as deep as fits can be deleted');

-- Refused projects -------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.create_project(null)$$, '22004', 'A project needs a name');
select tests.refuses($$select matrice.create_project('')$$, '22023', 'A project''s name is not empty');
select tests.refuses($$select matrice.create_project(E' \t\n')$$, '22023', 'A project''s name is not blank');
select tests.refuses($$select matrice.create_project('x', settings => '[]')$$, '22023', 'Settings are not an array', '%array%', '%');
select tests.refuses($$select matrice.create_project('x', settings => '"{}"')$$, '22023', 'Settings are not a string that holds JSON', '%string%', '%');
select tests.refuses($$select matrice.create_project('x', settings => 'null')$$, '22023', 'Settings are not a JSON null', '%null%', '%');
select tests.refuses($$select matrice.create_project('x', settings => null)$$, '22004', 'Settings are not null', hint => '%');
select tests.refuses($$insert into matrice.projects (name) values (null)$$, '23502', 'The table refuses a project without a name');
select tests.refuses($$insert into matrice.projects (name) values ('  ')$$, '23514', 'The table refuses a name of spaces');
select tests.refuses($$insert into matrice.projects (name) values (E'\t\n')$$, '23514', 'The table refuses a name of tabs and newlines');
select tests.refuses($$insert into matrice.projects (name, current_phase) values ('x', 'P7')$$, '23514', 'The table refuses an unknown phase');
select tests.refuses($$insert into matrice.projects (name, settings) values ('x', '[]')$$, '23514', 'The table refuses settings that are no object');
select tests.refuses(format('select matrice.create_project(%L, settings => %s)', 'x', settings), code, 'create_project refuses settings ' || left(settings, 50), detail, hint)
    || E'\n' || tests.refuses(format('insert into matrice.projects (name, settings) values (%L, %s)', 'x', settings), code, 'So does an insert', detail, hint)
    || E'\n' || tests.refuses(format('update matrice.projects set settings = %s where id = tests.id(%L)', settings, 'atlas'), code, 'So does an update', detail, hint)
  from (values
    ($$'{"embeding_model": "gte-small"}'$$, '22023', '%', '%embedding_model, language, app%'), ($$'{"Language": "french"}'$$, '22023', '%', '%language%'),
    ($$'{"": 1}'$$, '22023', '%', '%language%'), ($$'{"language": ["french"]}'$$, '22023', '%array%', '%'), ($$'{"language": null}'$$, '22023', '%null%', '%'),
    ($$'{"language": "FRENCH"}'$$, '22023', null, '%french%'), ($$'{"language": "pg_catalog.french"}'$$, '22023', null, '%french%'),
    ($$'{"embedding_model": {"name": "gte-small"}}'$$, '22023', '%object%', '%'), ($$'{"embedding_model": "gte-small "}'$$, '22023', null, '%gte-small%'),
    ($$'{"app": "mine"}'$$, '22023', '%string%', '%'), ($$jsonb_build_object('app', jsonb_build_object('x', repeat('x', 17000)))$$, '22023', '%16384%', '%'),
    ($$jsonb_build_object(repeat('x', 10000), 1)$$, '22023', '%', '%language%')
  ) as refused (settings, code, detail, hint);
select tests.refuses($$insert into matrice.projects (name, created_by) values ('x', tests.id('edith'))$$, '42501',
                     'Nobody creates a project in somebody else''s name');
select tests.as_nobody();
select tests.refuses($$select matrice.create_project('x')$$, '42501', 'A session without claims creates no project', '%claims%', '%created_by%');
select tests.refuses($$insert into matrice.projects (name) values ('x')$$, '42501', 'A session without claims inserts no project');
select is(tests.rows_of($$select from matrice.projects$$), 0::bigint, 'A session without claims sees no project');
select tests.as_anon();
select tests.refuses($$select matrice.create_project('x')$$, '42501', 'Anonymous visitors create no project');
select tests.refuses($$select from matrice.projects$$, '42501', 'Anonymous visitors read no project');
select tests.unchanged('Refused projects leave no trace');

-- Phases -----------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('borea');
select tests.as_user('alice');
select lives_ok($$select matrice.set_phase(tests.id('borea'), 'P4')$$, 'The owner sets the phase');
select is(current_phase, 'P4', 'The phase is set') from matrice.projects where id = tests.id('borea');

select tests.remember_state();
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P7')$$, '22023', 'P7 is not a phase', hint => '%P6%');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'p1')$$, '22023', 'Phases are written in capitals', hint => '%P1%');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), '')$$, '22023', 'An empty phase is unknown', hint => '%');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), null)$$, '22004', 'A phase is not null', hint => '%');
select tests.refuses($$select matrice.set_phase(null, 'P1')$$, '22004', 'The project of a phase is not null');
select tests.refuses($$select matrice.set_phase(tests.id('nowhere'), 'P1')$$, 'PT404', 'A project that does not exist is not found', '%' || tests.id('nowhere') || '%', '%');
select tests.as_user('edith');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P1')$$, '42501', 'An editor does not set the phase', '%', '%');
select is(tests.rows_of($$update matrice.projects set current_phase = 'P1' where id = tests.id('borea')$$), 0::bigint,
          'An editor''s direct update of a project touches nothing');
select tests.as_user('victor');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P1')$$, '42501', 'A viewer does not set the phase', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.set_phase(tests.id('borea'), 'P1')$$, 'PT404', 'Somebody else''s project is not found', '%', '%');
select tests.unchanged('A refused phase changes nothing');

select tests.as_owner();
alter table matrice.projects disable trigger touch_updated_at;
update matrice.projects set updated_at = now() - interval '1 day' where id = tests.id('borea');
alter table matrice.projects enable trigger touch_updated_at;
select tests.as_user('alice');
update matrice.projects set description = 'Winds' where id = tests.id('borea');
select is(updated_at, now(), 'An update is dated') from matrice.projects where id = tests.id('borea');

-- Pillars and their versions ---------------------------------------------------------------------------------------

select tests.as_user('edith');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind comes from', '{"mood": "calm"}'), 2,
          'Saving a pillar that a project does not have yet makes it and returns the new version');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind comes from'), 2,
          'Saving the same again is no new version');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind goes'), 3, 'A changed content is a new version');
select is(metadata, '{"mood": "calm"}', 'Saving without metadata keeps the metadata')
  from matrice.pillars where project_id = tests.id('borea') and code = 'P1';
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind goes', '{"mood": "wild"}'), 4,
          'Changed metadata alone are a new version');
select tests.as_user('alice');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'Where the wind stays', expected_version => 4), 5,
          'Saving over the expected version succeeds');
select is(matrice.save_pillar(tests.id('borea'), 'P1', ''), 6, 'A pillar may be emptied');
select is(matrice.save_pillar(tests.id('borea'), 'P2', 'Sailors', expected_version => 1), 2, 'Pillars count their versions apart');

select results_eq(
  $$select version, content, metadata ->> 'mood', saved_at, saved_by from matrice.pillar_history(tests.id('borea'), 'P1')$$,
  $$values (6, '', 'wild', now(), tests.id('alice')),
           (5, 'Where the wind stays', 'wild', now(), tests.id('alice')),
           (4, 'Where the wind goes', 'wild', now(), tests.id('edith')),
           (3, 'Where the wind goes', 'calm', now(), tests.id('edith')),
           (2, 'Where the wind comes from', 'calm', now(), tests.id('edith')),
           (1, '', null, now(), tests.id('edith'))$$,
  'The history has every version, newest first, with who saved it');

select is(matrice.restore_pillar(tests.id('borea'), 'P1', 2), 7, 'Restoring a version is a new version');
select results_eq(
  $$select content, metadata, version from matrice.pillars where project_id = tests.id('borea') and code = 'P1'$$,
  $$values ('Where the wind comes from', '{"mood": "calm"}'::jsonb, 7)$$,
  'A restored pillar has the old content and metadata');
select is(tests.rows_of($$select matrice.pillar_history(tests.id('borea'), 'P1')$$), 7::bigint, 'Restoring loses nothing of the history');
select is(matrice.restore_pillar(tests.id('borea'), 'P1', 7), 7, 'Restoring the current version is no new version');

select results_eq(
  $$update matrice.pillars set content = 'Direct', version = 99 where project_id = tests.id('borea') and code = 'P1' returning version$$,
  $$values (8)$$,
  'A direct update is numbered as the next version, whatever number the client writes');
select results_eq(
  $$select version, content, saved_by from matrice.pillar_history(tests.id('borea'), 'P1') limit 1$$,
  $$values (8, 'Direct', tests.id('alice'))$$,
  'A direct update is in the history');
select results_eq(
  $$update matrice.pillars set name = 'vision!', version = 3 where project_id = tests.id('borea') and code = 'P1' returning version$$,
  $$values (8)$$,
  'A direct update that changes neither content nor metadata is no new version');
select is(tests.rows_of($$select matrice.pillar_history(tests.id('borea'), 'P1')$$), 8::bigint, 'A new name is not in the history');

select tests.as_user('victor');
select is(tests.rows_of($$select matrice.pillar_history(tests.id('borea'), 'P1')$$), 8::bigint, 'A viewer reads the history');

-- Refused pillars --------------------------------------------------------------------------------------------------

select tests.remember_state();
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'x')$$, '42501', 'A viewer saves no pillar', '%', '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', 1)$$, '42501', 'A viewer restores no pillar', '%', '%');
select is(tests.rows_of($$update matrice.pillars set content = 'x' where project_id = tests.id('borea')$$), 0::bigint,
          'A viewer''s direct update of a pillar touches nothing');
select tests.as_user('mallory');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'x')$$, 'PT404', 'Somebody else''s pillar is not found', '%', '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', 1)$$, 'PT404', 'Somebody else''s pillar cannot be restored', '%', '%');
select tests.refuses($$select matrice.pillar_history(tests.id('borea'), 'P1')$$, 'PT404', 'Somebody else''s history is not found', '%', '%');
select tests.as_user('alice');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'Mine', expected_version => 7)$$, 'PT409',
                     'A version that somebody else has replaced is a conflict', '%8%', '%');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', 'Mine', expected_version => 9)$$, 'PT409',
                     'A version that does not exist yet is a conflict', '%8%', '%');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P1', null)$$, '22004', 'A pillar''s content is not null');
select tests.refuses($$select matrice.save_pillar(null, 'P1', 'x')$$, '22004', 'A pillar''s project is not null');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), 'P7', 'x')$$, '22023', 'There is no seventh pillar', hint => '%P6%');
select tests.refuses($$select matrice.save_pillar(tests.id('borea'), null, 'x')$$, '22004', 'A pillar''s code is not null', hint => '%');
select tests.refuses($$select matrice.save_pillar(tests.id('nowhere'), 'P1', 'x')$$, 'PT404', 'A project that does not exist has no pillars', '%', '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', 99)$$, 'PT404', 'A version that does not exist cannot be restored', hint => '%pillar_history%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', null)$$, '22004', 'A null version cannot be restored', hint => '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P6', 1)$$, 'PT404', 'A pillar that was never saved has no version', hint => '%');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P0', 1)$$, '22023', 'An unknown pillar cannot be restored', hint => '%P6%');
select tests.refuses($$select matrice.pillar_history(tests.id('borea'), 'vision')$$, '22023', 'Pillars are named by their code', hint => '%P1%');
select tests.refuses($$insert into matrice.pillars (project_id, code, name) values (tests.id('borea'), 'P1', 'vision')$$, '23505',
                     'A project has each pillar once');
select tests.refuses($$insert into matrice.pillars (project_id, code, name) values (tests.id('borea'), 'P9', 'x')$$, '23514',
                     'The table refuses an unknown pillar');
select tests.refuses($$update matrice.pillars set project_id = tests.id('atlas') where project_id = tests.id('borea') and code = 'P2'$$, '42501',
                     'A pillar does not move to another project', '%', '%');
select tests.refuses($$update matrice.pillar_versions set content = 'never said'$$, '42501', 'Not even an owner rewrites the history');
select tests.refuses($$delete from matrice.pillar_versions where version = 1$$, '42501', 'Not even an owner deletes from the history');
select tests.refuses($$insert into matrice.pillar_versions (pillar_id, version, project_id, content, metadata)
                       select id, 50, project_id, 'x', '{}' from matrice.pillars limit 1$$, '42501', 'Not even an owner invents history');
select tests.as_service();
select tests.refuses($$update matrice.pillar_versions set content = 'never said'$$, '42501', 'No service rewrites the history');
select tests.refuses($$delete from matrice.pillar_versions where version = 1$$, '42501', 'No service deletes from the history');
select tests.unchanged('Refused pillars leave no trace');

-- Members ----------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
select tests.remember_state();
select tests.refuses($$delete from matrice.user_projects where project_id = tests.id('borea') and user_id = tests.id('alice')$$, 'PT409',
                     'The last owner cannot leave', '%' || tests.id('alice') || '%', '%');
select tests.refuses($$update matrice.user_projects set role = 'editor' where project_id = tests.id('borea') and user_id = tests.id('alice')$$, 'PT409',
                     'The last owner cannot be demoted', '%' || tests.id('alice') || '%', '%');
select tests.refuses($$update matrice.user_projects set project_id = tests.id('atlas'), user_id = tests.id('zoe')
                        where project_id = tests.id('borea') and user_id = tests.id('alice')$$, '42501',
                     'A membership cannot move to another project', '%', '%');
select tests.refuses($$update matrice.user_projects set user_id = tests.id('zoe'), role = 'viewer'
                        where project_id = tests.id('borea') and user_id = tests.id('alice')$$, '42501',
                     'L3: a membership cannot become somebody else''s', '%', '%');
select tests.as_service();
select tests.refuses($$update matrice.user_projects set user_id = tests.id('zoe'), role = 'viewer'
                        where project_id = tests.id('borea') and user_id = tests.id('alice')$$, 'PT409',
                     'The last ownership cannot become somebody else''s membership, not even by a service', '%', '%');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('borea'), tests.id('zoe'), 'king')$$, '23514',
                     'There are no other roles than owner, editor and viewer');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('borea'), tests.id('edith'), 'viewer')$$, '23505',
                     'Nobody is a member twice');
select tests.refuses($$delete from matrice.user_projects where project_id = tests.id('borea')$$, 'PT409',
                     'Not even a service removes all members together', '%', '%');
select tests.as_user('edith');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id) values (tests.id('borea'), tests.id('zoe'))$$, '42501',
                     'An editor adds no member');
select is(tests.rows_of($$update matrice.user_projects set role = 'owner' where user_id = tests.id('edith')$$), 0::bigint, 'An editor does not promote herself');
select is(tests.rows_of($$delete from matrice.user_projects where user_id = tests.id('victor')$$), 0::bigint, 'An editor removes no member');
select is(tests.rows_of($$delete from matrice.projects where id = tests.id('borea')$$), 0::bigint, 'An editor does not delete the project');
select tests.as_user('mallory');
select tests.refuses($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('borea'), tests.id('mallory'), 'owner')$$, '42501',
                     'Nobody makes themselves a member');
select is(tests.rows_of($$select from matrice.user_projects$$), 0::bigint, 'Outsiders see no members');
select tests.unchanged('Refused memberships leave no trace');

select tests.as_user('victor');
select is(tests.rows_of($$select from matrice.user_projects where project_id = tests.id('borea')$$), 3::bigint, 'Members see each other');
select is(tests.rows_of($$delete from matrice.user_projects where project_id = tests.id('borea') and user_id = tests.id('victor')$$), 1::bigint,
          'A viewer may leave');
select is(tests.rows_of($$select from matrice.projects where id = tests.id('borea')$$), 0::bigint, 'Who has left sees the project no more');
select tests.as_user('alice');
select lives_ok($$update matrice.user_projects set role = 'owner' where project_id = tests.id('borea') and user_id = tests.id('edith')$$,
                'An owner makes an editor an owner');
select is(tests.rows_of($$delete from matrice.user_projects where project_id = tests.id('borea') and user_id = tests.id('alice')$$), 1::bigint,
          'An owner who is not the last may leave');
select tests.as_user('edith');
select is(tests.rows_of($$delete from matrice.projects where id = tests.id('borea')$$), 1::bigint, 'The last owner may delete the project');
select tests.as_owner();
select is_empty(
  $$select project_id from matrice.user_projects where project_id = tests.id('borea') union all
    select project_id from matrice.pillars where project_id = tests.id('borea') union all
    select project_id from matrice.pillar_versions where project_id = tests.id('borea')$$,
  'A deleted project leaves no members, pillars or versions behind');

select * from finish();
rollback;
