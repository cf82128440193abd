begin;
\ir helpers/setup.psql
select no_plan();

select tests.as_owner();
select tests.project('atlas');
select tests.as_user('alice');
select matrice.set_phase(tests.id('atlas'), 'P2');
select matrice.set_phase(tests.id('atlas'), 'P2');
update matrice.projects set current_phase = 'P1' where id = tests.id('atlas');
select tests.as_owner();
update matrice.phase_changes set entered_at = now() - (array[10, 4, 1])[number] * interval '1 day' where project_id = tests.id('atlas');
select tests.as_user('victor');
select results_eq($$select phase, left_at, duration, entered_by from matrice.phase_history(tests.id('atlas'))$$,
  $$values ('P1', null, interval '1 day', tests.id('alice')), ('P2', now() - interval '1 day', interval '3 days', tests.id('alice')),
           ('P1', now() - interval '4 days', interval '6 days', null)$$,
  'phase_history lists every phase with its duration, whichever way it was set; the same phase again adds nothing');

-- Runs belong to the phase of their start.
select tests.as_user('edith');
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'w', 'e', started_at => now() - days * interval '1 day', phase => own))
  from (values (20, null), (9, null), (5, null), (3, null), (2, 'P6'), (0, null)) as runs (days, own);
select results_eq($$select m.bucket, m.runs from matrice.workflow_metrics(tests.id('atlas'), now() - interval '30 days', now() + interval '1 s', 'phase') m$$,
                  $$values ('P1', 3::bigint), ('P2', 1), ('P6', 1), (null, 1)$$, 'workflow_metrics by phase agrees with the history of phases');
select is((select count(*) from matrice.workflow_runs r join matrice.phase_history(tests.id('atlas')) h
             on r.started_at >= h.entered_at and (r.started_at < h.left_at or h.left_at is null)
            where r.project_id = tests.id('atlas') and r.phase = h.phase), 4::bigint, 'workflow_runs without a phase of their own have that of phase_history');

-- Exit criteria ------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
update matrice.projects set settings = '{"exit_criteria": {"P1": {"filled": ["P1", "P2"], "labelled": {"P1": "approved"}, "sources": 1},
                                                            "P2": {"insights": 1}, "P3": {"filled": ["P6"]}}}' where id = tests.id('atlas');
select tests.remember_state();
select tests.refuses($$select matrice.set_phase(tests.id('atlas'), 'P2')$$, 'PT409', 'set_phase says everything that is missing',
  'P1: pillar P1 is empty. P1: pillar P2 is empty. P1: the current version of pillar P1 is not labelled "approved". P1: 1 sources are needed; there are 0.', '%exit_criteria%');
select tests.refuses($$update matrice.projects set current_phase = 'P3' where id = tests.id('atlas')$$, 'PT409',
                     'projects: an update to a later phase is refused like set_phase, for all phases that it skips', '%pillar P1 is empty%P2: 1 insights are needed; there are 0.');
select tests.unchanged('set_phase: refused calls change no row');
select matrice.save_pillar(tests.id('atlas'), 'P1', 'To sail'), matrice.save_pillar(tests.id('atlas'), 'P2', 'Sailors');
select matrice.label_pillar(tests.id('atlas'), 'P1', 2, 'approved');
select matrice.ingest_source(tests.id('atlas'), 'x', 'x');
select lives_ok($$select matrice.set_phase(tests.id('atlas'), 'P2')$$, 'set_phase succeeds when nothing is missing');
select matrice.save_pillar(tests.id('atlas'), 'P1', 'To sail far');
select lives_ok($$select matrice.set_phase(tests.id('atlas'), 'P1')$$, 'set_phase to an earlier phase asks for nothing');
select tests.refuses($$select matrice.set_phase(tests.id('atlas'), 'P2')$$, 'PT409', 'set_phase: the label must be at the current version',
                     'P1: the current version of pillar P1 is not labelled "approved".', '%');
select matrice.label_pillar(tests.id('atlas'), 'P1', 3, 'approved'), matrice.record_insight(tests.id('atlas'), 'a', 'b', 'c');
select lives_ok($$select matrice.set_phase(tests.id('atlas'), 'P3')$$, 'set_phase skips phases whose criteria are met');

select tests.refuses(format('update matrice.projects set settings = jsonb_build_object(''exit_criteria'', %L::jsonb) where id = tests.id(''atlas'')', criteria), '22023',
                     'settings.exit_criteria refuses ' || criteria, '%', '%')
  from unnest(array['[]', '{"P7": {}}', '{"P1": []}', '{"P1": {"filed": []}}', '{"P1": {"filled": "P1"}}', '{"P1": {"filled": ["P9"]}}', '{"P1": {"filled": [1]}}',
                    '{"P1": {"filled": [null]}}', '{"P1": {"labelled": ["P1"]}}', '{"P1": {"labelled": {"P9": "x"}}}', '{"P1": {"labelled": {"P1": 1}}}',
                    '{"P1": {"labelled": {"P1": ""}}}', '{"P1": {"sources": -1}}', '{"P1": {"sources": 1.5}}', '{"P1": {"sources": "1"}}',
                    '{"P1": {"insights": 1e300}}', '{"P1": {"insights": null}}']) criteria;

select tests.as_user('alice');
update matrice.projects set current_phase = 'P1', settings = '{}' where id = tests.id('atlas');
select tests.remember('told', matrice.record_insight(tests.id('atlas'), 'learning', 'Told', 'And taken back.'));
update matrice.projects set settings = jsonb_build_object('exit_criteria', jsonb_build_object('P1', jsonb_build_object('insights', (
  select count(*) from matrice.insights i where i.project_id = tests.id('atlas'))))) where id = tests.id('atlas');
select matrice.retract_insight(tests.id('told'));
select tests.refuses($$select matrice.set_phase(tests.id('atlas'), 'P2')$$, 'PT409', 'exit_criteria do not count what was retracted', '%', '%');

-- Access -------------------------------------------------------------------------------------------------------------

select tests.as_user('mallory');
select tests.refuses($$select matrice.phase_history(tests.id('atlas'))$$, 'PT404', 'phase_history of another''s project: not found', '%', '%');
select is(tests.rows_of('select from matrice.phase_changes'), 0::bigint, 'phase_changes of others: no rows');
select tests.as_service();
select tests.refuses($$insert into matrice.phase_changes (project_id, number, phase, entered_at) values (tests.id('atlas'), 99, 'P6', now())$$, '42501',
                     'phase_changes refuses a service an insert');
select tests.refuses($$update matrice.phase_changes set phase = 'P6' where true$$, '42501', 'phase_changes refuses a service an update');

select * from finish();
rollback;
