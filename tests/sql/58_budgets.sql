begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('other');
select tests.as_user('alice');
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'w', 'e', phase => 'P1'));
select tests.remember('run2', matrice.start_run(tests.id('atlas'), 'w', 'e', phase => 'P2'));

create function pg_temp.step(usd numeric, run text default 'run', model text default null, executed_at timestamptz default now()) returns uuid
language sql as $$ select matrice.record_step(tests.id(run), 's', 'success', model => model, cost_usd => usd, executed_at => executed_at) $$;
create function pg_temp.status(name text default 'default', project text default 'atlas') returns text language sql as $$
  select concat_ws(' ', s.spent_usd, s.reserved_usd, s.state) from matrice.budget_status(tests.id(project)) s where s.name = $1
$$;
grant execute on all functions in schema pg_temp to public;

-- Setting --------------------------------------------------------------------------------------------------------------

select is_empty($$select * from matrice.budget_status(tests.id('atlas'))$$, 'budget_status of a project without budgets: nothing');
select matrice.set_budget(tests.id('other'), 1, 'total');
select is(pg_temp.status('default', 'other'), '0 0 ok', 'budget_status of a budget for all time of which nothing is spent');
select matrice.remove_budget(tests.id('other'));
select isnt(matrice.reserve_budget(tests.id('atlas')), null, 'reserve_budget in a project without budgets takes a call of unknown cost');
select pg_temp.step(0.5);
select tests.remember('budget', matrice.set_budget(tests.id('atlas'), 10));
select is(pg_temp.status(), '0.5 0 ok', 'set_budget counts what was spent since the period began');
select is(matrice.set_budget(tests.id('atlas'), 1, thresholds => '{0.5,1,0.5}'), tests.id('budget'), 'set_budget of the same name changes the budget');
select results_eq('select limit_usd::text, thresholds, period, time_zone, is_hard from matrice.budgets',
                  $$values ('1.000000000000', '{0.5,1}'::numeric[], 'month', 'UTC', true)$$, 'set_budget keeps each threshold once');
select is(pg_temp.status(), '0.5 0 warning', 'budget_status warns at the lowest threshold');

select tests.refuses(format('select matrice.set_budget(tests.id(''atlas''), %s)', arguments), code, format('set_budget refuses %s', arguments), hint => '%')
  from (values ('null', '22004'), ('-1', '22023'), ('1e8', '22023'), ($$'NaN'$$, '22023'), ($$1, 'fortnight'$$, '22023'),
               ($$1, time_zone => 'Mars/Phobos'$$, '22023'), ($$1, time_zone => 'UTC+3'$$, '22023'), ($$1, time_zone => ''$$, '22023'),
               ($$1, thresholds => '{0}'$$, '22023'), ($$1, thresholds => '{NaN}'$$, '22023'), ($$1, thresholds => '{null}'$$, '22023'),
               ($$1, thresholds => array_fill(0.1, array[1000])||array(select i/1000.0 from generate_series(1, 21) i)$$, '22023'),
               ($$1, name => ' '$$, '22023'), ($$1, name => repeat('x', 201)$$, '22023'), ($$1, model => ' '$$, '22023'), ($$1, phase => 'P9'$$, '22023'),
               ($$1, user_key => ''$$, '22023'), ($$1, hard => null$$, '22004')) as wrong (arguments, code);

select tests.as_user('edith');
select tests.refuses($$select matrice.set_budget(tests.id('atlas'), 100)$$, '42501', 'set_budget refuses an editor', hint => '%owner%');
select tests.refuses($$select matrice.remove_budget(tests.id('atlas'))$$, '42501', 'remove_budget refuses an editor', hint => '%owner%');
select tests.refuses($$select matrice_private.write_budget_as_owner(jsonb_build_object('project_id', tests.id('atlas'), 'limit_usd', 100))$$, '42501',
                     'write_budget_as_owner refuses an editor');
select tests.refuses($$update matrice.budgets set limit_usd = 100$$, '42501', 'budgets refuses an update');
select tests.as_user('victor');
select is(pg_temp.status(), '0.5 0 warning', 'budget_status for a viewer');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 0.1)$$, '42501', 'reserve_budget refuses a viewer', hint => '%owner%');
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.budget_status(tests.id('atlas'))$$, 'PT404', 'budget_status refuses a stranger');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 0.1)$$, 'PT404', 'reserve_budget refuses a stranger');
select tests.refuses($$select matrice_private.admit_member(tests.id('atlas'), 0.1, null, null, null, '1 hour')$$, '42501', 'admit_member refuses a stranger');
select is_empty($$select * from matrice_private.budget_figures_of_member(tests.id('atlas'), now())$$, 'budget_figures_of_member for a stranger: nothing');
select is_empty('select * from matrice.budgets', 'budgets for a stranger: nothing');

-- Reserving ------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember('hold', matrice.reserve_budget(tests.id('atlas'), 0.3));
select is(pg_temp.status(), '0.5 0.3 warning', 'reserve_budget reserves the estimate');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 0.200001)$$, 'PT402', 'reserve_budget refuses what goes beyond the limit',
                     'The limit is $1: $0.5 are spent, $0.3 are reserved, and the call needs $0.200001. It renews at 20__-__-01T00:00:00Z %',
                     '%set_budget%', '%''default''%');
select isnt(matrice.reserve_budget(tests.id('atlas'), 0.2), null, 'reserve_budget takes what fits exactly');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'))$$, 'PT402', 'reserve_budget refuses an unknown cost under a hard budget', '%Neither%',
                     '%estimate_usd%', '%''default''%');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), model => 'no-such-model', tokens_input => 1, max_tokens_output => 1)$$, 'PT402',
                     'reserve_budget refuses a model without a price under a hard budget', '%no-such-model%', '%set_price%');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), model => 'gpt-4o', tokens_input => 1)$$, 'PT402',
                     'reserve_budget refuses a call whose output is not bounded');
select tests.as_user('mallory');
select is(matrice.release_budget(tests.id('hold')), false, 'release_budget of a stranger ends nothing');
select tests.refuses($$select matrice.settle_budget(tests.id('hold'), 0)$$, 'PT404', 'settle_budget refuses a stranger', hint => '%');
select tests.as_user('edith');
select is(matrice.release_budget(tests.id('hold')), true, 'release_budget ends a reservation');
select is(matrice.release_budget(tests.id('hold')), false, 'release_budget twice: false');
select is(pg_temp.status(), '0.5 0.2 warning', 'release_budget gives the room back');

select tests.remember('hold', matrice.reserve_budget(tests.id('atlas'), 0.1));
select matrice.record_step(tests.id('run'), 's', 'running', step_key => 'reserved', reservation_id => tests.id('hold'));
select tests.as_user('alice');
update matrice.projects set settings = '{"viewers_record_runs": true}' where id = tests.id('atlas');
select tests.as_user('victor');
select matrice.record_step(matrice.start_run(tests.id('atlas'), 'chat', 'asked'), 's', 'success', cost_usd => 0,
                           reservation_id => (select reservation_id from matrice.workflow_steps where step_key = 'reserved'));
select is(pg_temp.status(), '0.5 0.3 warning', 'Another run does not end a reservation that a running step names');
select tests.as_user('edith');
select matrice.record_step(tests.id('run'), 's', 'success', step_key => 'reserved', cost_usd => 0, reservation_id => tests.id('hold'));
select is(pg_temp.status(), '0.5 0.2 warning', 'The end of the running step does');

-- Settling by recording ------------------------------------------------------------------------------------------------

select tests.remember('hold', matrice.reserve_budget(tests.id('atlas'), 0.1));
insert into matrice.workflow_steps (run_id, step_name, status, cost_usd, reservation_id) values (tests.id('run'), 's', 'success', 0.25, tests.id('hold'));
select is(pg_temp.status(), '0.75 0.2 warning', 'An insert of a step replaces the reservation by its cost, though it is more');
insert into matrice.workflow_steps (run_id, step_name, status, cost_usd) select tests.id('run'), 's', 'success', 0.1 from generate_series(1, 10);
select is(pg_temp.status(), '1.75 0.2 exhausted', 'An insert of steps is never refused, and counts');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 0)$$, 'PT402', 'reserve_budget refuses a free call when the budget is exhausted');
select tests.as_owner();
update matrice.workflow_steps set cost_usd = 0.05 where cost_usd = 0.1;
select is(pg_temp.status(), '1.25 0.2 exhausted', 'A corrected cost counts');
delete from matrice.workflow_steps where cost_usd = 0.05;
select is(pg_temp.status(), '1.25 0.2 exhausted', 'A deleted step gives nothing back');
update matrice.workflow_steps set executed_at = '2020-01-01' where cost_usd = 0.25;
select is(pg_temp.status(), '1 0.2 exhausted', 'A step that moves to another time moves to another period');

-- Of an unknown cost, the estimate stays.
select tests.as_user('alice');
select matrice.set_budget(tests.id('other'), 1);
select tests.remember('run3', matrice.start_run(tests.id('other'), 'w', 'e'));
select tests.remember('hold', matrice.reserve_budget(tests.id('other'), 0.4));
insert into matrice.workflow_steps (run_id, step_name, status, model, tokens_input, reservation_id)
values (tests.id('run3'), 's', 'success', 'no-such-model', 5, tests.id('hold'));
select is(pg_temp.status('default', 'other'), '0 0.4 ok', 'A step without a known cost keeps what was reserved');
select is(unpriced_steps, 1::bigint, 'budget_status counts steps without a known cost') from matrice.budget_status(tests.id('other'));
select is(matrice.release_budget(tests.id('hold')), false, 'release_budget does not end what a step without a known cost has left');
select tests.as_owner();
update matrice.workflow_steps set cost_usd = 0.1 where model = 'no-such-model';
select is(pg_temp.status('default', 'other'), '0.1 0 ok', 'When the cost becomes known, it replaces what was reserved');
select is(unpriced_steps, 0::bigint, 'budget_status: no more steps without a known cost') from matrice.budget_status(tests.id('other'));
select tests.as_user('alice');
select tests.remember('hold', matrice.reserve_budget(tests.id('other'), 0.4));
insert into matrice.workflow_steps (run_id, step_name, status, model, reservation_id) values (tests.id('run3'), 's', 'failed', 'gpt-4o', tests.id('hold'));
select is(pg_temp.status('default', 'other'), '0.1 0 ok', 'A call that failed without tokens ends its reservation');
select tests.remember('hold', matrice.reserve_budget(tests.id('other'), 0.4));
insert into matrice.workflow_steps (run_id, step_name, status, cost_usd, reservation_id) values (tests.id('run'), 's', 'success', 0, tests.id('hold'));
select is(pg_temp.status('default', 'other'), '0.1 0.4 ok', 'A step of another project does not end a reservation');
select matrice.settle_budget(tests.id('hold'), 0.2);
select is(pg_temp.status('default', 'other'), '0.3 0 ok', 'settle_budget replaces the reservation by the cost');
select tests.refuses($$select matrice.settle_budget(tests.id('hold'), 0.2)$$, 'PT404', 'settle_budget refuses a second time', hint => '%');

-- Expiry.
select tests.remember('hold', matrice.reserve_budget(tests.id('other'), 0.7, valid_for => '1 second'));
select tests.refuses($$select matrice.reserve_budget(tests.id('other'), 0.1)$$, 'PT402', 'reserve_budget refuses while another reservation lives');
select pg_sleep(1.1);
select is(pg_temp.status('default', 'other'), '0.3 0 ok', 'A reservation ends by itself');
select isnt(matrice.reserve_budget(tests.id('other'), 0.1), null, 'reserve_budget takes the room of an expired reservation');
select matrice.settle_budget(tests.id('hold'), 0.8);
select is(pg_temp.status('default', 'other'), '1.1 0.1 exhausted', 'settle_budget works after the reservation has expired');
select tests.refuses(format('select matrice.reserve_budget(tests.id(''other''), 0.1, valid_for => %L)', valid_for), code, format('reserve_budget refuses valid_for %s', valid_for))
  from (values ('0', '22023'), ('-1 day', '22023'), ('2 days', '22023'), (null, '22004')) wrong (valid_for, code);

-- Estimates ------------------------------------------------------------------------------------------------------------

-- By hand from the price list: gpt-5.4 costs 2.5 and 15 per million, above 272,000 input tokens 5 and 22.5.
select matrice.set_budget(tests.id('other'), 1000);
create function pg_temp.estimate(model text, tokens_input bigint, max_tokens_output bigint, usage jsonb default '{}') returns numeric language plpgsql as $$
declare
  before numeric := (select reserved_usd from matrice.budget_status(tests.id('other')));
  hold uuid := matrice.reserve_budget(tests.id('other'), model => model, tokens_input => tokens_input, max_tokens_output => max_tokens_output, usage => usage);
  after numeric := (select reserved_usd from matrice.budget_status(tests.id('other')));
begin
  perform matrice.release_budget(hold);
  return after - before;
end
$$;
select is(pg_temp.estimate('gpt-4o', 1000000, 100000), 3.5, 'reserve_budget calculates the estimate');
select is(pg_temp.estimate('gpt-5', 1000000, 100000, '{"service_tier": "priority"}'), matrice.calculate_cost('gpt-5', 1000000, 100000, '{"service_tier": "priority"}'),
          'reserve_budget calculates the estimate at the rates of the tier');
select cmp_ok(pg_temp.estimate('gpt-5.4', 300000, 1000), '>', 300000 * pg_temp.estimate('gpt-5.4', 100000, 1000) / 100000,
              'reserve_budget calculates the estimate at the rates of a long request');
select matrice.set_price(tests.id('other'), 'gpt-4o', factor => 0.5);
select is(pg_temp.estimate('gpt-4o', 1000000, 100000), 1.75, 'reserve_budget calculates the estimate at the prices of the project');
select tests.refuses($$select matrice.reserve_budget(tests.id('other'), model => 'gpt-4o', tokens_input => -1, max_tokens_output => 1)$$, '22023',
                     'reserve_budget refuses tokens below 0', hint => '%');

-- Several budgets ------------------------------------------------------------------------------------------------------

select matrice.remove_budget(tests.id('atlas'));
select tests.refuses($$select matrice.remove_budget(tests.id('atlas'))$$, 'PT404', 'remove_budget refuses a budget that does not exist', hint => '%');
select is_empty('select from matrice.budget_events where budget_id = tests.id(''budget'')', 'remove_budget removes the events');
select matrice.set_budget(tests.id('atlas'), 100, name => 'all');
select matrice.set_budget(tests.id('atlas'), 1, name => 'gpt-4o a day', model => 'gpt-4o', period => 'day');
select matrice.set_budget(tests.id('atlas'), 2, name => 'P2', phase => 'P2', period => 'total');
select matrice.set_budget(tests.id('atlas'), 3, name => 'Edith', user_key => tests.id('edith')::text);
select matrice.set_budget(tests.id('atlas'), 3, name => 'customer', user_key => 'customer 7');
select tests.as_user('edith');
select tests.remember('run1', matrice.start_run(tests.id('atlas'), 'w', 'e', phase => 'P1'));
select tests.remember('run2', matrice.start_run(tests.id('atlas'), 'w', 'e', phase => 'P2'));
select pg_temp.step(0.5, 'run2', 'openai/gpt-4o');
select pg_temp.step(0.25, 'run1', 'gpt-4o-2024-08-06');
select pg_temp.step(0.5, 'run1', 'gpt-5');
select tests.remember('run5', matrice.start_run(tests.id('atlas'), 'w', 'e', phase => 'P1', user_key => 'customer 7'));
select pg_temp.step(0.125, 'run5', 'gpt-5');
select results_eq($$select name, spent_usd from matrice.budget_status(tests.id('atlas')) where name <> 'all' order by name collate "C"$$,
                  $$values ('Edith', 1.25), ('P2', 0.5), ('customer', 0.125), ('gpt-4o a day', 0.75)$$, 'A step counts for the budgets of its model, phase and user');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 0.3, 'gpt-4o', run_id => tests.id('run2'))$$, 'PT402',
                     'reserve_budget names the budget with the least room', message => '%''gpt-4o a day''%');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 1.6, 'gpt-5', run_id => tests.id('run2'))$$, 'PT402',
                     'reserve_budget takes the phase from the run', '%It does not renew.', message => '%''P2''%');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 1.8, 'gpt-5')$$, 'PT402', 'reserve_budget counts the caller as the user', message => '%''Edith''%');
select is((select count(*) from matrice.budget_status(tests.id('atlas')) where reserved_usd > 0), 2::bigint, 'What is refused reserves nothing');
select tests.refuses($$select matrice.reserve_budget(tests.id('atlas'), 1, run_id => tests.id('run3'))$$, 'PT404', 'reserve_budget refuses a run of another project');
select tests.remember('early', matrice.record_step(null, 's', 'success', cost_usd => 0.25, project_id => tests.id('atlas'), workflow_id => 'w', run_key => 'late'));
select tests.remember('late', matrice.start_run(tests.id('atlas'), 'w', 'e', 'late', phase => 'P2', user_key => 'customer 7'));
select is(pg_temp.status('P2') || ', ' || pg_temp.status('customer'), '0.75 0 ok, 0.375 0 ok', 'A run that starts after its steps takes them to the budgets of its phase and user');
select matrice.correct_step(tests.id('early'), 'the invoice', 0.125);
update matrice.workflow_runs set phase = 'P1', user_key = 'nobody' where id = tests.id('late');
select is(pg_temp.status('P2') || ', ' || pg_temp.status('customer'), '0.5 0 ok, 0.125 0 ok', 'A run that moves takes its steps and their corrections along');
select tests.remember('hold', matrice.reserve_budget(tests.id('atlas'), 0.01, user_key => 'customer 7'));
select matrice.record_step(null, 's', 'success', cost_usd => 0.01, project_id => tests.id('atlas'), workflow_id => 'w', run_key => 'reserved', reservation_id => tests.id('hold'));
select matrice.start_run(tests.id('atlas'), 'w', 'e', 'reserved', phase => 'P1', user_key => 'customer 7');
select is(pg_temp.status('customer'), '0.135 0 ok', 'What was reserved for the user of a run that starts late counts once');
select tests.remember('hold', matrice.reserve_budget(tests.id('atlas'), 0.1, 'gpt-4o'));
insert into matrice.workflow_steps (run_id, step_name, status, model, cost_usd, reservation_id)
values (tests.id('run'), 's', 'success', 'my-deployment', 0.2, tests.id('hold'));
select is(pg_temp.status('gpt-4o a day'), '0.95 0 warning', 'A step counts for the model that was reserved, too');
select tests.as_user('alice');
select matrice.set_budget(tests.id('atlas'), 0, name => 'soft', hard => false);
select isnt(matrice.reserve_budget(tests.id('atlas'), 5, 'gpt-5'), null, 'A soft budget refuses nothing');
select tests.refuses($$select matrice.set_budget(tests.id('other'), 1, name => 'budget ' || i) from generate_series(1, 100) i$$, 'PT402', 'set_budget refuses the 101st budget', hint => '%');

-- Thresholds -----------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('third');
select tests.as_user('alice');
select tests.remember('run4', matrice.start_run(tests.id('third'), 'w', 'e'));
select tests.remember('budget', matrice.set_budget(tests.id('third'), 10, thresholds => '{0.5,0.8,1}'));
select pg_temp.step(4, 'run4'), pg_temp.step(1.5, 'run4'), pg_temp.step(0.1, 'run4'), pg_temp.step(5, 'run4'), pg_temp.step(5, 'run4');
select results_eq($$select threshold, spent_usd, period_start = date_trunc('month', now(), 'UTC') from matrice.budget_events where budget_id = tests.id('budget') order by 1$$,
                  $$values (0.5, 5.5, true), (0.8, 10.6, true), (1, 10.6, true)$$, 'Each threshold is reached once a period');
select pg_temp.step(5, 'run4', executed_at => now() - interval '40 days');
select is((select count(*) from matrice.budget_events where budget_id = tests.id('budget') and period_start < date_trunc('month', now(), 'UTC')), 1::bigint,
          'Each period has thresholds of its own');
select matrice.set_budget(tests.id('third'), 30, thresholds => '{0.5,0.8,1}');
select is((select string_agg(threshold::text, ' ') from matrice.budget_events where budget_id = tests.id('budget') and limit_usd = 30), '0.5',
          'Another limit has thresholds of its own, which set_budget looks at');

-- Periods --------------------------------------------------------------------------------------------------------------

select tests.as_owner();
select is(matrice_private.period_start(period, zone, at::timestamptz), begins::timestamptz, format('The %s of %s in %s begins at %s', period, at, zone, begins))
  from (values
    ('day', 'UTC', '2026-11-28T23:59:59Z', '2026-11-28T00:00Z'), ('week', 'UTC', '2026-11-29T12:00Z', '2026-11-23T00:00Z'),
    ('month', 'Europe/Paris', '2026-06-30T22:30Z', '2026-06-30T22:00Z'), ('month', 'UTC', '2026-06-30T22:30Z', '2026-06-01T00:00Z'),
    ('year', 'Asia/Kolkata', '2026-12-31T18:30Z', '2026-12-31T18:30Z'), ('total', 'Asia/Kolkata', '2026-12-31T18:30Z', '-infinity'),
    -- The day on which the clock is changed.
    ('day', 'Europe/Paris', '2026-03-29T21:59Z', '2026-03-28T23:00Z'), ('day', 'Europe/Paris', '2026-10-25T22:59Z', '2026-10-24T22:00Z'),
    -- A day that begins at 01:00.
    ('day', 'America/Sao_Paulo', '2018-11-04T12:00Z', '2018-11-04T03:00Z')
  ) times (period, zone, at, begins);
select is(matrice_private.period_end(period, zone, matrice_private.period_start(period, zone, at::timestamptz)), ends::timestamptz,
          format('The %s of %s in %s ends at %s', period, at, zone, ends))
  from (values
    ('day', 'Europe/Paris', '2026-03-29T12:00Z', '2026-03-29T22:00Z'), ('day', 'Europe/Paris', '2026-10-25T12:00Z', '2026-10-25T23:00Z'),
    ('month', 'Europe/Paris', '2026-03-10T12:00Z', '2026-03-31T22:00Z'), ('month', 'UTC', '2024-02-10T12:00Z', '2024-03-01T00:00Z'),
    ('day', 'America/Sao_Paulo', '2018-11-03T12:00Z', '2018-11-04T03:00Z'), ('day', 'America/Sao_Paulo', '2018-11-04T12:00Z', '2018-11-05T02:00Z'),
    ('week', 'America/New_York', '2026-03-08T12:00Z', '2026-03-09T04:00Z'), ('total', 'UTC', '2026-03-08T12:00Z', 'infinity')
  ) times (period, zone, at, ends);
-- A day that begins twice.
select is(matrice_private.period_start('day', 'America/Havana', '2024-11-03T04:30Z'), matrice_private.period_start('day', 'America/Havana', '2024-11-03T05:30Z'),
          'Both hours after a midnight that comes twice are in the same day');

select tests.as_user('alice');
select matrice.set_budget(tests.id('third'), 100, name => 'Paris', period => 'day', time_zone => 'Europe/Paris');
select pg_temp.step(3, 'run4', executed_at => date_trunc('day', now(), 'Europe/Paris') - interval '1 second');
select is(pg_temp.status('Paris', 'third'), (select trim_scale(sum(cost_usd)) || ' 0 ok' from matrice.workflow_steps
                                     where run_id = tests.id('run4') and executed_at >= date_trunc('day', now(), 'Europe/Paris')),
          'A step that is recorded late counts in the period in which it was executed');
select tests.as_owner();
select is(sum(spent_usd), 3::numeric, 'budget_spending has what was spent on the day before')
  from matrice_private.budget_spending s join matrice.budgets b on b.id = s.budget_id
 where b.name = 'Paris' and s.period_start < date_trunc('day', now(), 'Europe/Paris');
select is(pg_temp.status('Paris', 'third'), (matrice_private.recount_budgets()::text || pg_temp.status('Paris', 'third')), 'recount_budgets finds the same');
select tests.project('purged');
select tests.as_user('alice');
select tests.remember('run6', matrice.start_run(tests.id('purged'), 'w', 'e', phase => 'P1'));
select matrice.set_budget(tests.id('purged'), 9), matrice.set_budget(tests.id('purged'), 9, name => 'P1', phase => 'P2');
select pg_temp.step(3, 'run6', 'gpt-4o', now() - interval '1 second'), pg_temp.step(2, 'run6');
select is(matrice.purge_steps(tests.id('purged'), now()), 1::bigint, 'purge_steps purges a step that counted for a budget');
select matrice.set_budget(tests.id('purged'), 9, 'total'), matrice.set_budget(tests.id('purged'), 9, 'total', name => 'P1', phase => 'P1', model => 'gpt-4o'),
       matrice.set_budget(tests.id('purged'), 9, 'total', name => 'P2', phase => 'P2');
select is(concat_ws(', ', pg_temp.status('default', 'purged'), pg_temp.status('P1', 'purged'), pg_temp.status('P2', 'purged')), '5 0 ok, 3 0 ok, 0 0 ok',
          'set_budget counts what was spent by steps that are purged');
select tests.as_owner();

-- Forecasts ------------------------------------------------------------------------------------------------------------

select results_eq(
  $$select round(f.forecast_usd, 2), f.exhausted_at::date
      from (values (10, 5, '2026-11-01Z', '2026-12-01Z', '2026-11-11Z'), (20, 5, '2026-11-01Z', '2026-12-01Z', '2026-11-11Z'), (10, 0, '2026-11-01Z', '2026-12-01Z', '2026-11-11Z'),
                   (10, 11, '2026-11-01Z', '2026-12-01Z', '2026-11-11Z'), (10, 5, '2026-11-01Z', 'infinity', '2026-11-11Z'), (10, 1e-9, '1900-01-01Z', 'infinity', '2026-11-11Z')
           ) v (limit_usd, spent, since, ends, at),
           matrice_private.spending_forecast(limit_usd, spent, since::timestamptz, ends::timestamptz, at::timestamptz) f$$,
  $$values (15.00, '2026-11-21'::date), (15.00, null), (0.00, null), (33.00, null), (null, '2026-11-21'), (null, null)$$, 'spending_forecast goes on as before');

-- Isolation ------------------------------------------------------------------------------------------------------------

select ok(not has_table_privilege('service_role', 'matrice.budgets', 'update'), 'Services may not write budgets either');
select tests.as_service();
select isnt(matrice.reserve_budget(tests.id('third'), 0.1), null, 'reserve_budget for a service');
select isnt(matrice.set_budget(tests.id('third'), 7, name => 'of a service'), null, 'set_budget for a service');
select lives_ok($$select matrice.remove_budget(tests.id('third'), 'of a service')$$, 'remove_budget for a service');
select is((select count(*) from matrice.budget_status(tests.id('third'))), 2::bigint, 'budget_status for a service');
select tests.as_owner();
delete from matrice.projects where id = tests.id('third');
select is_empty($$select from matrice_private.budget_holds where project_id = tests.id('third')$$, 'A deleted project leaves no reservations');
select is_empty($$select from matrice_private.budget_spending s where not exists (select from matrice.budgets b where b.id = s.budget_id)$$,
                'A deleted project leaves nothing that was spent');

select * from finish();
rollback;
