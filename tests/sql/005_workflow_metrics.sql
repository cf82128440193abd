begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');

-- Runs and steps ---------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.workflow_runs (id, project_id, workflow_id, event_name, phase, status, input_data, output_data, started_at, completed_at)
values (tests.id('run'), tests.id('atlas'), 'ingest', 'file.uploaded', 'P3', 'completed', '{"file": 1}', '{"chunks": 2}', now() - interval '1 minute', now());
insert into matrice.workflow_runs (id, project_id, workflow_id) values (tests.id('bare'), tests.id('atlas'), 'ingest'), (tests.id('elsewhere'), tests.id('borea'), 'ingest');
select results_eq($$select status, input_data, started_at, completed_at from matrice.workflow_runs where id = tests.id('bare')$$,
                  $$values ('running', '{}'::jsonb, now(), null::timestamptz)$$, 'A run needs a project and a workflow, and is running');

insert into matrice.workflow_steps (id, run_id, step_name, status, latency_ms, tokens_input, tokens_output, cost_usd, error)
values (tests.id('step'), tests.id('run'), 'embed', 'failed', 12, 1, 0, 0.00000002, '{"code": 429}');
insert into matrice.workflow_steps (id, run_id, step_name, status) values (tests.id('bare step'), tests.id('run'), 'embed', 'success');
select results_eq($$select project_id, tokens_input, tokens_output, cost_usd, attempt, executed_at from matrice.workflow_steps where id = tests.id('bare step')$$,
                  $$values (tests.id('atlas'), 0, 0, null::numeric, 0, now())$$,
                  'A step needs a run, a name and a status; its project is the run''s and its cost is unknown');
select is(cost_usd, 0.00000002, 'The cost of a single embedded token is kept') from matrice.workflow_steps where id = tests.id('step');
update matrice.workflow_steps set cost_usd = 12345678.123456789012 where id = tests.id('step');
select is(cost_usd, 12345678.123456789012, 'Costs of eight digits are kept to the last decimal') from matrice.workflow_steps where id = tests.id('step');

select tests.remember_state();
select tests.refuses($$update matrice.workflow_runs set status = 'done'$$, '23514', 'An unknown status of a run is refused', message => '%running%completed%failed%cancelled%');
select tests.refuses($$update matrice.workflow_runs set phase = 'P0'$$, '23514', 'An unknown phase is refused', message => '%p1_to_p6%');
select tests.refuses($$update matrice.workflow_steps set status = 'completed'$$, '23514', 'An unknown status of a step is refused', message => '%success%failed%skipped%');
select tests.refuses($$update matrice.workflow_steps set latency_ms = -1$$, '23514', 'No step takes less than no time');
select tests.refuses($$update matrice.workflow_steps set tokens_input = -1$$, '23514', 'Input tokens are not negative');
select tests.refuses($$update matrice.workflow_steps set tokens_output = -1$$, '23514', 'Output tokens are not negative');
select tests.refuses($$update matrice.workflow_steps set cost_usd = -0.01$$, '23514', 'A cost is not negative');
select tests.refuses($$update matrice.workflow_steps set cost_usd = 100000000$$, '22003', 'A cost that does not fit is refused, not cut');
select tests.refuses($$update matrice.workflow_steps set attempt = -1$$, '23514', 'There is no attempt before the first');
select tests.refuses($$insert into matrice.workflow_steps (run_id, project_id, step_name, status) values (tests.id('elsewhere'), tests.id('atlas'), 'x', 'success')$$, '42501',
                     'A step cannot name another project than its run''s');
select tests.refuses($$update matrice.workflow_steps set project_id = tests.id('borea')$$, '42501', 'A step cannot move to another project', '%', '%');
select tests.refuses($$update matrice.workflow_steps set run_id = tests.id('elsewhere')$$, '42501', 'A step cannot move to another project''s run');
select tests.refuses($$update matrice.workflow_runs set project_id = tests.id('borea') where id = tests.id('bare')$$, '42501', 'A run cannot move to another project', '%', '%');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.workflow_runs (project_id, workflow_id) values (tests.id('atlas'), 'x')$$, '42501', 'A viewer adds no run');
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status) values (tests.id('run'), 'x', 'success')$$, '42501', 'A viewer adds no step');
select is(tests.rows_of($$update matrice.workflow_steps set cost_usd = 0$$), 0::bigint, 'A viewer changes no cost');
select is(tests.rows_of($$select from matrice.workflow_steps$$), 2::bigint, 'A viewer reads the steps');
select tests.as_user('mallory');
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status) values (tests.id('run'), 'x', 'success')$$, '42501', 'An outsider adds no step');
select is(tests.rows_of($$select from matrice.workflow_runs$$), 0::bigint, 'An outsider sees no run');
select is(tests.rows_of($$delete from matrice.workflow_runs$$), 0::bigint, 'An outsider deletes no run');
select tests.unchanged('Refused runs and steps leave no trace');

select tests.as_user('edith');
update matrice.workflow_runs set run_key = 'k' where id = tests.id('run');
select tests.refuses($$update matrice.workflow_runs set run_key = 'k' where id = tests.id('bare')$$, '23505', 'A project has one run of a key');
select lives_ok($$update matrice.workflow_runs set run_key = 'k' where id = tests.id('elsewhere')$$, 'Another project may use the key too');
update matrice.workflow_steps set step_key = 'k' where id = tests.id('step');
select tests.refuses($$update matrice.workflow_steps set step_key = 'k' where id = tests.id('bare step')$$, '23505', 'A run has one step of a key and attempt');
select lives_ok($$update matrice.workflow_steps set step_key = 'k', attempt = 1 where id = tests.id('bare step')$$, 'Another attempt of the step is another row');
delete from matrice.workflow_runs where id = tests.id('run');
select is(tests.rows_of($$select from matrice.workflow_steps$$), 0::bigint, 'A deleted run takes its steps along');

-- Prices -----------------------------------------------------------------------------------------------------------

select isnt_empty($$select from matrice.model_prices where model = 'gpt-4o-mini' and unit = 'input'$$, 'Users read the prices');
select tests.remember_state();
select tests.refuses($$update matrice.model_prices set usd_per_million = 0$$, '42501', 'Users change no price', '%', '%service_role%');
select tests.refuses($$insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('x', 'x', 'input', 0)$$, '42501', 'Users add no price', '%', '%service_role%');
select tests.refuses($$delete from matrice.model_price_multipliers$$, '42501', 'Users delete no surcharge');
select tests.refuses($$delete from matrice.model_price_windows$$, '42501', 'Users delete no off-peak hours');
select tests.refuses(format(statement, reference), '42501', format('Users are told who may: ' || statement, reference), '%', '%service_role%')
  from unnest(array['embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers']) reference,
       unnest(array['insert into matrice.%I default values', 'update matrice.%1$I set model = model', 'update matrice.%1$I set model = null where false',
                    'insert into matrice.%1$I select * from matrice.%1$I on conflict do nothing',
                    'merge into matrice.%1$I t using (select) s on false when not matched then insert default values']) statement;
select tests.refuses(format(statement, reference), '42501', format('Users have no right to: ' || statement, reference))
  from unnest(array['embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers']) reference,
       unnest(array['lock table matrice.%I in access exclusive mode', 'lock table matrice.%I in row exclusive mode', 'delete from matrice.%I', 'truncate matrice.%I']) statement;
select is(tests.rows_of(format('select from matrice.%I for update', reference)), 0::bigint, 'Users lock no row of ' || reference)
  from unnest(array['embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers']) reference;
select tests.refuses($$select matrice_private.load_price_catalogue()$$, '42501', 'Users do not load prices');
select tests.as_service();
select tests.refuses($$insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('x', 'x', 'imput', 1)$$, '23514', 'An unknown unit has no price', hint => '%input%cache_write_1h%output_audio%');
select tests.refuses($$insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('x', 'x', 'input', -1)$$, '23514', 'A price is not negative');
select tests.refuses($$insert into matrice.model_price_multipliers values ('x', 'inference_geo', 'us', 0)$$, '23514', 'A surcharge does not make a call free');
select tests.refuses($$insert into matrice.model_price_multipliers values ('x', 'weather', 'rain', 2)$$, '23514', 'Surcharges are for place and speed', message => '%inference_geo%data_residency%speed%');
select tests.refuses($$insert into matrice.model_price_windows values ('x', '{1}', '12:00', '11:00')$$, '23514', 'Off-peak hours end after they begin');
select tests.as_owner();
select matrice_private.load_price_catalogue();
select tests.unchanged('Loading the catalogue again changes nothing');

update matrice.model_prices set usd_per_million = 99 where model = 'gpt-4o-mini' and unit = 'input' and service_tier = 'standard';
select matrice_private.load_price_catalogue();
select results_eq(
  $$select usd_per_million, valid_from from matrice.model_prices
     where model = 'gpt-4o-mini' and unit = 'input' and service_tier = 'standard' order by valid_from$$,
  $$values (99::numeric, '-infinity'::timestamptz), (0.15, now())$$,
  'A rate that differs from the catalogue is followed by the catalogue''s from now on, and stays for the past');

select * from finish();
rollback;
