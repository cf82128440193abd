begin;
\ir helpers/setup.psql
select no_plan();

-- Runs as they are: recorded by key, late, in another order, in batches, tried again, corrected.

select tests.project('atlas'), tests.project('borea');
create function tests.run(key text, workflow text default 'sail') returns matrice.workflow_runs language sql as $$
  select * from matrice.workflow_runs where project_id = tests.id('atlas') and workflow_id = workflow and run_key = key
$$;
create function tests.step(key text, more text default '', status text default 'success') returns uuid language plpgsql as $$
declare
  step uuid;
begin
  execute format('select matrice.record_step(null, %L, %L, project_id => tests.id(''atlas''), workflow_id => ''sail'', run_key => %L %s)',
                 'ask', status, key, more) into step;
  return step;
end
$$;

create function tests.deep_usage(levels integer) returns jsonb language sql
as $$ select ('{"prompt_tokens": 10, "x": ' || repeat('[', levels) || repeat(']', levels) || '}')::jsonb $$;
create function tests.batch() returns jsonb language sql as $$
  select jsonb_build_array(
    jsonb_build_object('workflow_id', 'sail', 'run_key', 'batch', 'step_name', 'ask', 'status', 'running', 'step_key', 'a'),
    jsonb_build_object('workflow_id', 'sail', 'run_key', 'batch', 'step_name', 'ask', 'status', 'success', 'step_key', 'a', 'model', 'gpt-4o', 'tokens_input', 1000),
    jsonb_build_object('workflow_id', 'sail', 'run_key', 'batch', 'step_name', 'ask', 'status', 'success', 'step_key', 'a', 'call_key', '2',
                       'response', '{"model": "gpt-4o", "usage": {"prompt_tokens": 2000, "completion_tokens": 0}}'::jsonb),
    jsonb_build_object('run_id', (tests.run('early')).id, 'step_name', 'look', 'status', 'skipped'),
    jsonb_build_object('run_id', (tests.run('early')).id, 'step_name', 'look', 'status', 'running', 'step_key', 'later'))
$$;

-- By key ---------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select isnt(tests.step('early', $$, executed_at => now() - interval '5 minutes'$$), null, 'record_step of an unknown run_key returns a step');
select results_eq($$select status, event_name, started_at from tests.run('early')$$, $$values ('running', null::text, now() - interval '5 minutes')$$,
                  'A step before its run: the run is running, since the step');
select is(matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'early', 'P2', '{"height": 2}', started_at => now() - interval '10 minutes',
                            user_key => 'u1', session_key => 's1', tags => '["beta"]'), (tests.run('early')).id,
          'start_run after the first step returns the run of the step');
select results_eq($$select status, event_name, phase, input_data, started_at, user_key, session_key, tags from tests.run('early')$$,
                  $$values ('running', 'tide', 'P2', '{"height": 2}'::jsonb, now() - interval '10 minutes', 'u1', 's1', '["beta"]'::jsonb)$$,
                  'start_run after the first step adds what it says');
select tests.remember_state();
select matrice.start_run(tests.id('atlas'), 'sail', 'other', 'early', 'P3', started_at => now() - interval '1 hour', user_key => 'u2');
select tests.unchanged('start_run a second time changes no row');

select matrice.finish_run(null, 'cancelled', error => '{"by": "user"}', project_id => tests.id('atlas'), workflow_id => 'sail', run_key => 'unseen');
select results_eq($$select status, error, completed_at, event_name from tests.run('unseen')$$, $$values ('cancelled', '{"by": "user"}'::jsonb, now(), null::text)$$,
                  'finish_run of an unknown run_key records a run that has ended');
select matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'unseen');
select results_eq($$select status, event_name from tests.run('unseen')$$, $$values ('cancelled', 'tide')$$, 'start_run after the end keeps the end');
select isnt(tests.step('unseen'), null, 'record_step takes a late step of a run that has ended');
select is((tests.run('unseen')).status, 'cancelled', 'A late step leaves the status of its run');
select tests.refuses($$select matrice.record_step(null, 'x', 'success', project_id => tests.id('atlas'), workflow_id => 'sail')$$, '22004',
                     'record_step without run_id and run_key is refused', null, '%run_key%');
select tests.refuses($$select matrice.finish_run((tests.run('early')).id, 'failed', run_key => 'unseen')$$, 'PT404',
                     'finish_run refuses a run_id and a run_key of two runs', '%', '%');
select is(matrice.record_step((tests.run('early')).id, 'x', 'success', step_key => 'k', run_key => 'early', workflow_id => 'sail'),
          matrice.record_step((tests.run('early')).id, 'x', 'success', step_key => 'k'), 'record_step takes a run_id with its own run_key');

-- Parents, handlers, pillars --------------------------------------------------------------------------------------------

select matrice.save_pillar(tests.id('atlas'), 'P1', 'To sail');
select matrice.save_pillar(tests.id('atlas'), 'P1', 'To sail far');
select matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'child', parent_run_id => (tests.run('early')).id);
select results_eq($$select parent_run_id, pillar_versions, created_by from tests.run('child')$$,
                  $$select (tests.run('early')).id, jsonb_build_object('P1', p.version), tests.id('edith') from matrice.pillars p where p.project_id = tests.id('atlas')$$,
                  'start_run keeps the parent, the versions of the pillars and who recorded the run');
select tests.remember('abroad', matrice.start_run(tests.id('borea'), 'sail', 'tide', 'early'));
select tests.refuses($$select matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'x', parent_run_id => tests.id('abroad'))$$, 'PT404',
                     'start_run refuses a parent in another project', '%', '%');
insert into matrice.workflow_runs (project_id, workflow_id, event_name, status, started_at, created_by) values
  (tests.id('borea'), 'boom', 'inngest/function.failed', 'completed', '2026-02-01T00:00:00Z', tests.id('alice')),
  (tests.id('borea'), 'boom', 'tide', 'failed', '2026-02-01T00:00:00Z', tests.id('alice'));
select results_eq($$select runs, succeeded, failed, success_rate from matrice.workflow_metrics(tests.id('borea'), '2026-02-01', '2026-02-02', 'workflow')$$,
                  $$values (2::bigint, 0::bigint, 1::bigint, 0::double precision)$$, 'A handler of failures is no success of its workflow');
select is(count(*), 0::bigint, 'workflow_runs: created_by is the user who inserts, whatever the client writes')
  from matrice.workflow_runs where created_by = tests.id('alice');

-- Running steps and several calls ---------------------------------------------------------------------------------------

select tests.remember('live', tests.step('early', $$, step_key => 's', model => 'gpt-4o', tokens_input => 1000, executed_at => now() - interval '2 seconds'$$, 'running'));
select results_eq($$select status, cost_usd, cost_source from matrice.workflow_steps where id = tests.id('live')$$, $$values ('running', null::numeric, null::text)$$,
                  'A running step has no cost yet');
select is(tests.step('early', $$, step_key => 's', usage => '{"prompt_tokens": 1000, "completion_tokens": 200}', executed_at => now()$$), tests.id('live'),
          'The end of a running step is the same row');
select results_eq($$select status, latency_ms, model, tokens_input, tokens_output, cost_usd from matrice.workflow_steps where id = tests.id('live')$$,
                  $$values ('success', 2000, 'gpt-4o', 1000, 200, 0.0045)$$, 'The end of a running step fills in what it did and what it cost');
select tests.remember_state();
select is(tests.step('early', $$, step_key => 's'$$, 'running'), tests.id('live'), 'running after the end returns the same row');
select is(tests.step('early', $$, step_key => 's', cost_usd => 0$$, 'failed'), tests.id('live'), 'A second end returns the same row');
select tests.unchanged('running after the end, and a second end, change no row');
select tests.step('early', $$, step_key => 'old', executed_at => now() - interval '100 years'$$, 'running');
select tests.remember('old', tests.step('early', $$, step_key => 'old'$$));
select results_eq($$select status, latency_ms from matrice.workflow_steps where id = tests.id('old')$$, $$values ('success', null::integer)$$,
                  'The end of a step that ran too long for latency_ms is recorded without it');
select tests.refuses($$select tests.step('early', '', 'running')$$, '22023', 'A running step without a step_key is refused', '%', '%step_key%');
select tests.step('early', $$, step_key => 'two', model => 'gpt-4o', tokens_input => 1000, call_key => '1'$$);
select tests.step('early', $$, step_key => 'two', model => 'gpt-4o', tokens_input => 2000, call_key => '2'$$);
select tests.step('early', $$, step_key => 'two', model => 'gpt-4o', tokens_input => 2000, call_key => '2'$$);
select is(sum(cost_usd), 0.0075, 'Two calls in a step are two rows, each recorded once') from matrice.workflow_steps where step_key = 'two';
select tests.refuses($$select tests.step('early', ', call_key => ''1''')$$, '22023', 'call_key without step_key is refused', '%', '%step_key%');

-- Attempts of a run -----------------------------------------------------------------------------------------------------

select tests.remember('again', matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'again'));
select matrice.finish_run(tests.id('again'), 'failed', error => '{"message": "storm"}');
select matrice.finish_run(tests.id('again'), 'completed', attempt => 1);
select results_eq($$select status, attempt, error from tests.run('again')$$, $$values ('completed', 1, null::jsonb)$$, 'finish_run with a later attempt replaces the end');
select tests.remember_state();
select matrice.finish_run(tests.id('again'), 'failed', attempt => 0);
select tests.unchanged('finish_run of an earlier attempt changes no row');
select tests.refuses($$select matrice.finish_run(tests.id('again'), 'failed', attempt => 1)$$, 'PT409', 'finish_run refuses another end of the same attempt', '%completed%', '%attempt%');
select matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'again', attempt => 2);
select results_eq($$select status, attempt, completed_at from tests.run('again')$$, $$values ('running', 2, null::timestamptz)$$, 'start_run with a later attempt opens the run again');

-- Reaping ---------------------------------------------------------------------------------------------------------------

select tests.refuses($$select matrice.reap_runs()$$, '42501', 'reap_runs refuses members', '%', '%');
select matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'lost', started_at => now() - interval '3 days');
select matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'long', started_at => now() - interval '3 days');
select tests.step('long', ', executed_at => now() - interval ''1 hour''');
select tests.as_service();
select is(matrice.reap_runs('1 day'), 1::bigint, 'reap_runs ends the run of which nothing was recorded for a day');
select results_eq($$select status, error ->> 'name', reaped_at from tests.run('lost')$$, $$values ('cancelled', 'reaped', now())$$, 'A reaped run is cancelled and says why');
select is((tests.run('long')).status, 'running', 'reap_runs leaves a run whose steps go on');
select tests.as_user('edith');
select matrice.finish_run(null, 'completed', project_id => tests.id('atlas'), workflow_id => 'sail', run_key => 'lost');
select results_eq($$select status, error, reaped_at from tests.run('lost')$$, $$values ('completed', null::jsonb, null::timestamptz)$$, 'The real end replaces that of reap_runs');

-- Batches ---------------------------------------------------------------------------------------------------------------

select is(matrice.record_steps(tests.batch(), tests.id('atlas')), 4::bigint, 'record_steps returns how many steps are new');
select results_eq($$select status, call_key, cost_usd from matrice.workflow_steps where run_id = (tests.run('batch')).id order by call_key$$,
                  $$values ('success', '', 0.0025), ('success', '2', 0.005)$$, 'record_steps records runs by key, takes the end before the beginning, and prices');
select is(matrice.record_steps(tests.batch(), tests.id('atlas')), 1::bigint, 'record_steps again adds only the step without a key');
select is(matrice.record_steps(jsonb_build_array(jsonb_build_object('run_id', (tests.run('early')).id, 'step_name', 'look', 'status', 'failed', 'step_key', 'later'))), 1::bigint,
          'record_steps ends a running step');
select is(matrice.record_steps('[]'), 0::bigint, 'record_steps of nothing returns 0');
select lives_ok($$select matrice.record_step((tests.run('early')).id, 'deep', 'success', model => 'gpt-4o', usage => tests.deep_usage(levels), step_key => 'one ' || levels)
                    from (values (10), (70), (3000)) l (levels)$$, 'record_step takes usage of any depth');
select is(matrice.record_steps(jsonb_agg(jsonb_build_object('run_id', (tests.run('early')).id, 'step_name', 'deep', 'status', 'success', 'model', 'gpt-4o',
                                                            'usage', tests.deep_usage(levels), 'step_key', 'many ' || levels))), 3::bigint,
          'record_steps takes usage of any depth')
  from (values (10), (70), (3000)) l (levels);
select results_eq($$select usage, cost_usd, cost_note from matrice.workflow_steps where step_key like 'many %' order by length(step_key), step_key$$,
                  $$select usage, cost_usd, cost_note from matrice.workflow_steps where step_key like 'one %' order by length(step_key), step_key$$,
                  'record_steps records deep usage as record_step does');
select tests.remember_state();
select tests.refuses(format('select matrice.record_steps(%L, tests.id(''atlas''))', steps), code, 'record_steps refuses ' || description, detail, '%')
  from (values
    ('{}', '22023', 'an object', null), ('[1]', '22023', 'a number for a step', '%lement 0%'), ('[[]]', '22023', 'an array for a step', '%lement 0%'),
    ('[{"run_key": "k", "workflow_id": "w", "step_name": "x", "status": "success"}, {"tokens": 1}]', '22023', 'an unknown key', '%lement 1%tokens%'),
    ('[{"run_key": "k", "workflow_id": "w", "step_name": "x", "status": "done"}]', '22023', 'an unknown status', '%element 0%'),
    ('[{"run_key": "k", "workflow_id": "w", "step_name": "x", "status": "success", "tokens_input": -1}]', '22023', 'negative tokens', '%element 0%'),
    ('[{"run_key": "k", "workflow_id": "w", "step_name": "x", "status": "success", "tokens_input": 1.5}]', '22023', 'a fraction of a token', '%'),
    ('[{"run_key": "k", "workflow_id": "w", "step_name": "x", "status": "success", "tokens_input": 1e400}]', '22023', 'a number that is too large', '%'),
    ('[{"run_key": "k", "workflow_id": "w", "step_name": "x", "status": "success", "executed_at": "soon"}]', '22023', 'a time that is none', '%'),
    ('[{"run_key": "k", "workflow_id": "w", "step_name": "x", "status": "success", "executed_at": "infinity"}]', '22023', 'infinity', '%'),
    ('[{"run_id": "k", "step_name": "x", "status": "success"}]', '22023', 'a run_id that is no uuid', '%'),
    ('[{"step_name": "x", "status": "success"}]', '22004', 'a step without a run', null),
    ('[{"run_key": "k", "workflow_id": "w", "status": "success"}]', '22004', 'a step without a name', '%element 0%'),
    (format('[{"run_id": "%s", "step_name": "x", "status": "success"}]', tests.id('nowhere')), 'PT404', 'an unknown run', null),
    ('[{"run_key": "batch", "workflow_id": "sail", "step_name": "other", "status": "success", "step_key": "a"}]', 'PT409', 'the step_key of another step', '%')
  ) as wrong (steps, code, description, detail);
select tests.refuses($$select matrice.record_steps((select jsonb_agg('{}'::jsonb) from generate_series(1, 10001)))$$, '22023', 'record_steps refuses 10,001 steps');
select tests.unchanged('record_steps: refused calls change no row');

-- Plain inserts ---------------------------------------------------------------------------------------------------------

insert into matrice.workflow_steps (run_id, step_name, status, model, tokens_input, step_key) values ((tests.run('again')).id, 'ask', 'success', 'gpt-4o', 1000, 'plain');
select is(cost_usd, 0.0025, 'An INSERT of a step gets its cost') from matrice.workflow_steps where step_key = 'plain';
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status, corrects, reason, cost_source, cost_usd)
                       select run_id, 'x', 'success', id, 'because', 'correction', -1 from matrice.workflow_steps where step_key = 'plain'$$, '42501',
                     'An INSERT of a correction is refused', '%', '%correct_step%');

-- Corrections -----------------------------------------------------------------------------------------------------------

select tests.remember('plain', id) from matrice.workflow_steps where step_key = 'plain';
select tests.remember_state();
select tests.refuses(format('select matrice.correct_step(%s)', call), code, 'correct_step refuses ' || description, null, '%')
  from (values
    ($$tests.id('plain'), ' ', 1$$, '22023', 'a blank reason'), ($$tests.id('plain'), 'because'$$, '22023', 'nothing to correct'),
    ($$tests.id('plain'), 'because', -1$$, '22023', 'a negative cost'), ($$tests.id('plain'), null, 1$$, '22004', 'no reason'),
    ($$null, 'because', 1$$, '22004', 'no step'), ($$tests.id('plain'), 'because', usage => '[]'$$, '22023', 'usage that is no object'),
    ($$tests.id('plain'), 'because', tokens_input => 2000000000$$, '22023', 'too many tokens')) as wrong (call, code, description);
select tests.unchanged('correct_step: refused calls change no row');
select tests.remember('first', matrice.correct_step(tests.id('plain'), 'the invoice says so', 0.002));
select results_eq($$select cost_usd, cost_source, corrects, reason, tokens_input, run_id, executed_at from matrice.workflow_steps where id = tests.id('first')$$,
                  $$select -0.0005, 'correction', tests.id('plain'), 'the invoice says so', 0, s.run_id, s.executed_at from matrice.workflow_steps s where s.id = tests.id('plain')$$,
                  'correct_step adds a row that makes the sum right, with its reason');
select tests.as_owner();
update matrice.workflow_steps set executed_at = executed_at - interval '1 hour' where id = tests.id('plain');
select is((select c.executed_at from matrice.workflow_steps c where c.id = tests.id('first')), (select s.executed_at from matrice.workflow_steps s where s.id = tests.id('plain')),
          'A correction moves with its step');
update matrice.workflow_steps set executed_at = executed_at + interval '1 hour' where id = tests.id('plain');
select tests.as_user('edith');
select matrice.correct_step(tests.id('plain'), 'late usage', usage => '{"prompt_tokens": 3000, "completion_tokens": 100}');
select results_eq($$select sum(cost_usd), sum(tokens_input), sum(tokens_output) from matrice.workflow_steps where tests.id('plain') in (id, corrects)$$,
                  $$values (0.0085, 3000::bigint, 100::bigint)$$, 'correct_step with usage prices it: step and corrections give the right sums');
select is(sum(m.steps), (select count(*) from matrice.workflow_steps s where s.project_id = tests.id('atlas') and s.corrects is null)::numeric,
          'workflow_metrics counts no correction as a step')
  from matrice.workflow_metrics(tests.id('atlas'), now() - interval '1 year', now() + interval '1 day') m;
select tests.refuses($$select matrice.correct_step(tests.id('first'), 'because', 1)$$, 'PT409', 'correct_step refuses to correct a correction', '%', '%');
select tests.remember('unknown', matrice.record_step(tests.id('again'), 'ask', 'success', model => 'no-such-model', tokens_input => 5));
select matrice.correct_step(tests.id('unknown'), 'the invoice', 0.5);
select matrice.correct_step(tests.id('unknown'), 'another invoice', 0.25);
select is(sum(cost_usd), 0.25, 'correct_step of a step without a cost: the corrections are its cost')
  from matrice.workflow_steps where tests.id('unknown') in (id, corrects);
select tests.refuses($$delete from matrice.workflow_runs$$, '42501', 'Members cannot delete runs, and their steps with them');
select tests.refuses($$update matrice.workflow_runs set created_by = tests.id('alice')$$, '42501', 'workflow_runs refuses a client an update of created_by', '%', '%');

-- Viewers ---------------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select tests.refuses($$select matrice.start_run(tests.id('atlas'), 'chat', 'asked', 'v')$$, '42501', 'A viewer may not record runs', '%', '%');
select tests.refuses($$select matrice.correct_step(tests.id('plain'), 'because', 0)$$, '42501', 'A viewer may not correct a step', '%', '%');
select tests.as_user('alice');
update matrice.projects set settings = '{"viewers_record_runs": true}' where id = tests.id('atlas');
select tests.as_user('victor');
select tests.remember('chat', matrice.start_run(tests.id('atlas'), 'chat', 'asked', 'v'));
select tests.remember('line', matrice.record_step(tests.id('chat'), 'answer', 'running', step_key => 'a'));
select is(matrice.record_step(tests.id('chat'), 'answer', 'success', step_key => 'a', model => 'gpt-4o', tokens_input => 1000), tests.id('line'),
          'A viewer records the steps of an own run, where the project says so');
select is((select status || ' ' || trim_scale(cost_usd) from matrice.workflow_steps where id = tests.id('line')), 'success 0.0025', 'A viewer ends an own running step');
select is(matrice.record_steps(jsonb_build_array(jsonb_build_object('run_key', 'v2', 'workflow_id', 'chat', 'step_name', 'x', 'status', 'success')), tests.id('atlas')),
          1::bigint, 'A viewer records steps of an own run by key');
select lives_ok($$select matrice.finish_run(tests.id('chat'), 'completed')$$, 'A viewer ends an own run');
insert into matrice.workflow_steps (run_id, step_name, status) values (tests.id('chat'), 'plain', 'success');
select tests.remember_state();
select tests.refuses($$select matrice.record_step((tests.run('early')).id, 'x', 'success')$$, '42501', 'A viewer may not record steps of other runs', '%', '%');
select tests.refuses($$select matrice.finish_run((tests.run('early')).id, 'failed')$$, '42501', 'A viewer may not end other runs', '%', '%');
select tests.refuses($$select matrice.start_run(tests.id('atlas'), 'sail', 'tide', 'early', attempt => 9)$$, '42501', 'A viewer may not open other runs again', '%', '%');
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status) values ((tests.run('early')).id, 'x', 'success')$$, '42501',
                     'workflow_steps refuses a viewer a step of another''s run');
select is(matrice_private.end_steps_of_member('[]'), 0::bigint, 'end_steps_of_member of nothing ends nothing');
select tests.refuses($$select matrice.correct_step(tests.id('line'), 'because', 0)$$, '42501', 'A viewer may not correct even an own step', '%', '%');
select tests.unchanged('viewers: refused calls change no row');
select tests.as_user('mallory');
select tests.refuses($$select matrice.record_step(null, 'x', 'success', project_id => tests.id('atlas'), workflow_id => 'sail', run_key => 'early')$$, 'PT404',
                     'record_step by key of another''s project: not found', '%', '%');
select tests.refuses($$select matrice.correct_step(tests.id('plain'), 'because', 0)$$, 'PT404', 'correct_step of another''s step: not found', '%', '%');

select * from finish();
rollback;
