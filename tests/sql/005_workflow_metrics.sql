begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');

-- Runs and steps ---------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.workflow_runs (id, project_id, workflow_id, event_name, phase, status, input_data, output_data, started_at, completed_at)
values (tests.id('run'), tests.id('atlas'), 'ingest', 'file.uploaded', 'P3', 'completed', '{"file": 1}', '{"chunks": 2}', now() - interval '1 minute', now());
insert into matrice.workflow_runs (id, project_id, workflow_id)
values (tests.id('bare'), tests.id('atlas'), 'ingest'), (tests.id('elsewhere'), tests.id('borea'), 'ingest');
select results_eq($$select status, input_data, started_at, completed_at from matrice.workflow_runs where id = tests.id('bare')$$,
                  $$values ('running', '{}'::jsonb, now(), null::timestamptz)$$,
                  'workflow_runs: an insert of project_id and workflow_id alone gets the defaults');

insert into matrice.workflow_steps (id, run_id, step_name, status, latency_ms, tokens_input, tokens_output, cost_usd, error)
values (tests.id('step'), tests.id('run'), 'embed', 'failed', 12, 1, 0, 0.00000002, '{"code": 429}');
insert into matrice.workflow_steps (id, run_id, step_name, status) values (tests.id('bare step'), tests.id('run'), 'embed', 'success');
select results_eq($$select project_id, tokens_input, tokens_output, cost_usd, attempt, executed_at from matrice.workflow_steps where id = tests.id('bare step')$$,
                  $$values (tests.id('atlas'), 0, 0, null::numeric, 0, now())$$,
                  'workflow_steps: an insert of run_id, step_name and status alone gets project_id and the defaults');
select is(cost_usd, 0.00000002, 'workflow_steps.cost_usd keeps 0.00000002') from matrice.workflow_steps where id = tests.id('step');
select tests.as_service();
update matrice.workflow_steps set cost_usd = 12345678.123456789012 where id = tests.id('step');
select is(cost_usd, 12345678.123456789012, 'workflow_steps.cost_usd keeps eight digits and twelve decimals')
  from matrice.workflow_steps where id = tests.id('step');

select tests.remember_state();
select tests.refuses($$update matrice.workflow_runs set status = 'done'$$, '23514', 'workflow_runs refuses status done',
                     message => '%running%completed%failed%cancelled%');
select tests.refuses($$update matrice.workflow_runs set phase = 'P0'$$, '23514', 'workflow_runs refuses phase P0', message => '%p1_to_p6%');
select tests.refuses($$update matrice.workflow_steps set status = 'completed'$$, '23514', 'workflow_steps refuses status completed',
                     message => '%success%failed%skipped%');
select tests.refuses($$update matrice.workflow_steps set latency_ms = -1$$, '23514', 'workflow_steps refuses latency_ms -1');
select tests.refuses($$update matrice.workflow_steps set tokens_input = -1$$, '23514', 'workflow_steps refuses tokens_input -1');
select tests.refuses($$update matrice.workflow_steps set tokens_output = -1$$, '23514', 'workflow_steps refuses tokens_output -1');
select tests.refuses($$update matrice.workflow_steps set cost_usd = -0.01$$, '23514', 'workflow_steps refuses cost_usd -0.01');
select tests.refuses($$update matrice.workflow_steps set cost_usd = 100000000$$, '22003', 'workflow_steps refuses cost_usd 100000000');
select tests.refuses($$update matrice.workflow_steps set attempt = -1$$, '23514', 'workflow_steps refuses attempt -1');
select tests.as_user('edith');
select tests.refuses($$insert into matrice.workflow_steps (run_id, project_id, step_name, status) values (tests.id('elsewhere'), tests.id('atlas'), 'x', 'success')$$, '42501',
                     'workflow_steps refuses a project_id that is not the run''s');
select tests.as_service();
select tests.refuses($$update matrice.workflow_steps set project_id = tests.id('borea')$$, '42501', 'workflow_steps refuses an update of project_id', '%', '%');
select tests.refuses($$update matrice.workflow_steps set run_id = tests.id('elsewhere')$$, '42501',
                     'workflow_steps refuses an update of run_id to another project''s run');
select tests.refuses($$update matrice.workflow_runs set project_id = tests.id('borea') where id = tests.id('bare')$$, '42501',
                     'workflow_runs refuses an update of project_id', '%', '%');
select tests.as_user('victor');
select tests.refuses($$insert into matrice.workflow_runs (project_id, workflow_id) values (tests.id('atlas'), 'x')$$, '42501',
                     'workflow_runs refuses a viewer an insert');
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status) values (tests.id('run'), 'x', 'success')$$, '42501',
                     'workflow_steps refuses a viewer an insert');
select tests.refuses($$update matrice.workflow_steps set cost_usd = 0$$, '42501', 'workflow_steps refuses a viewer an update');
select is(tests.rows_of($$select from matrice.workflow_steps$$), 2::bigint, 'workflow_steps for a viewer: every step');
select tests.as_user('mallory');
select tests.refuses($$insert into matrice.workflow_steps (run_id, step_name, status) values (tests.id('run'), 'x', 'success')$$, '42501',
                     'workflow_steps refuses an outsider an insert');
select is(tests.rows_of($$select from matrice.workflow_runs$$), 0::bigint, 'workflow_runs for an outsider: no rows');
select tests.refuses($$delete from matrice.workflow_runs$$, '42501', 'workflow_runs refuses an outsider a delete');
select tests.unchanged('workflow_runs and workflow_steps: refused statements change no row');

select tests.as_user('edith');
update matrice.workflow_runs set run_key = 'k' where id = tests.id('run');
select tests.refuses($$update matrice.workflow_runs set run_key = 'k' where id = tests.id('bare')$$, '23505',
                     'workflow_runs refuses a run_key that the workflow has already');
select lives_ok($$update matrice.workflow_runs set run_key = 'k' where id = tests.id('elsewhere')$$, 'workflow_runs takes a run_key that another project has');
select tests.as_service();
update matrice.workflow_steps set step_key = 'k' where id = tests.id('step');
select tests.refuses($$update matrice.workflow_steps set step_key = 'k' where id = tests.id('bare step')$$, '23505',
                     'workflow_steps refuses a step_key, attempt and call_key that the run has already');
select lives_ok($$update matrice.workflow_steps set step_key = 'k', attempt = 1 where id = tests.id('bare step')$$,
                'workflow_steps takes the same step_key with another attempt');
-- Each bound by its name, as if it were a constraint of its own. The triggers would replace some of the values.
select tests.as_owner();
create function tests.nested(levels integer) returns jsonb language sql as $$ select (repeat('[', levels) || '1' || repeat(']', levels))::jsonb $$;
create function tests.violated(change text) returns text language plpgsql as $$
declare
  told text;
begin
  execute 'update matrice.workflow_steps set ' || change || ' where id = tests.id(''step'')';
  return 'nothing';
exception when check_violation then
  get stacked diagnostics told = constraint_name;
  if sqlerrm = format('new row for relation "workflow_steps" violates check constraint "%s"', told) then
    return told;
  end if;
  return sqlerrm;
end
$$;
set local session_replication_role = replica;
select is(tests.violated(change), 'workflow_steps_' || violated, format('workflow_steps: %s violates %s', left(change, 60), violated))
  from (values
    ('step_name = repeat(''x'', 201)', 'step_name_length'), ('latency_ms = -1', 'latency_ms_check'),
    ('latency_ms = 1000000001', 'latency_ms_check'), ('status = ''x''', 'status_running_success_failed_skipped'),
    ('tokens_input = -1', 'tokens_input_check'), ('tokens_input = 1000000001', 'tokens_input_check'),
    ('tokens_output = -1', 'tokens_output_check'), ('tokens_output = 1000000001', 'tokens_output_check'),
    ('cached_tokens = -1', 'cached_tokens_check'), ('cached_tokens = 1000000001', 'cached_tokens_check'),
    ('cost_usd = -0.01', 'cost_usd_check'), ('cost_usd = ''NaN''', 'cost_usd_check'),
    ('provider_cost_usd = -0.01', 'provider_cost_usd_check'), ('provider_cost_usd = ''NaN''', 'provider_cost_usd_check'),
    ('cost_note = repeat(''x'', 4001)', 'cost_note_length'), ('error = tests.nested(65)', 'error_size'),
    ('error = to_jsonb(repeat(''x'', 65535))', 'error_size'), ('executed_at = ''infinity''', 'executed_at_check'),
    ('executed_at = ''1899-12-31Z''', 'executed_at_check'), ('model = repeat(''x'', 201)', 'model_length'),
    ('usage = ''[]''', 'usage_is_object'), ('usage = jsonb_build_object(''a'', tests.nested(64))', 'usage_size'),
    ('usage = ''{"a": 1e309}''', 'usage_size'), ('usage = jsonb_build_object(''a'', repeat(''x'', 16384))', 'usage_size'),
    ('step_key = ''''', 'step_key_1_to_500_characters'), ('step_key = repeat(''x'', 501)', 'step_key_1_to_500_characters'),
    ('attempt = -1', 'attempt_check'), ('attempt = 1000001', 'attempt_check'), ('call_key = repeat(''x'', 101)', 'call_key_100_characters'),
    ('reason = repeat(''x'', 2001)', 'reason_length'), ('reason = ''x''', 'correction_has_reason'),
    ('corrects = id', 'correction_has_reason'), ('corrects = id, reason = ''x''', 'correction_has_reason'),
    ('cost_source = ''correction''', 'correction_has_reason'), ('cost_source = ''x''', 'cost_source_provided_calculated_correction'),
    ('corrects = id, reason = ''x'', cost_source = ''correction'', tokens_input = -1000000001', 'tokens_input_check'),
    ('corrects = id, reason = ''x'', cost_source = ''correction'', tokens_output = -1000000001', 'tokens_output_check'),
    ('corrects = id, reason = ''x'', cost_source = ''correction'', cached_tokens = -1000000001', 'cached_tokens_check')
  ) cases (change, violated);
select is(tests.violated(change), 'nothing', format('workflow_steps takes %s', left(change, 60)))
  from (values
    ('step_name = repeat(''x'', 200), latency_ms = 1000000000, attempt = 1000000, model = repeat(''x'', 200)'),
    ('latency_ms = null, error = null, model = null, cost_usd = null, cost_source = null, step_key = null'),
    ('usage = jsonb_build_object(''a'', tests.nested(63)), error = tests.nested(64)'),
    ('corrects = id, reason = ''x'', cost_source = ''correction'', tokens_input = -1000000000, cached_tokens = -5, cost_usd = -99999999')
  ) cases (change);
select results_eq($$select matrice_private.refuse_row('workflow_steps', null)$$, 'values (null::boolean)', 'refuse_row(null) refuses nothing');
set local session_replication_role = origin;
select tests.as_service();
delete from matrice.workflow_runs where id = tests.id('run');
select is(tests.rows_of($$select from matrice.workflow_steps$$), 0::bigint, 'workflow_runs: a delete deletes the steps');
select tests.as_user('edith');

-- Prices -----------------------------------------------------------------------------------------------------------

select isnt_empty($$select from matrice.model_prices where model = 'gpt-4o-mini' and unit = 'input'$$, 'model_prices for a user: the rows');
select tests.remember_state();
select tests.refuses($$update matrice.model_prices set usd_per_million = 0$$, '42501', 'model_prices refuses a user an update', '%', '%service_role%');
select tests.refuses($$insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('x', 'x', 'input', 0)$$, '42501',
                     'model_prices refuses a user an insert', '%', '%service_role%');
select tests.refuses($$delete from matrice.model_price_multipliers$$, '42501', 'model_price_multipliers refuses a user a delete');
select tests.refuses($$delete from matrice.model_price_windows$$, '42501', 'model_price_windows refuses a user a delete');
select tests.refuses(format(statement, reference), '42501', format('A user is refused, with a hint that names service_role: ' || statement, reference), '%',
                     '%service_role%')
  from unnest(array['embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers']) reference,
       unnest(array['insert into matrice.%I default values', 'update matrice.%1$I set model = model', 'update matrice.%1$I set model = null where false',
                    'insert into matrice.%1$I select * from matrice.%1$I on conflict do nothing',
                    'merge into matrice.%1$I t using (select) s on false when not matched then insert default values']) statement;
select tests.refuses(format(statement, reference), '42501', format('A user is refused: ' || statement, reference))
  from unnest(array['embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers']) reference,
       unnest(array['lock table matrice.%I in access exclusive mode', 'lock table matrice.%I in row exclusive mode', 'delete from matrice.%I',
                    'truncate matrice.%I']) statement;
select is(tests.rows_of(format('select from matrice.%I for update', reference)), 0::bigint, 'A user locks no row of ' || reference)
  from unnest(array['embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers']) reference;
select tests.refuses($$select matrice_private.load_price_catalogue()$$, '42501', 'load_price_catalogue refuses a user');
select tests.as_service();
select tests.refuses($$insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('x', 'x', 'imput', 1)$$, '23514',
                     'model_prices refuses an unknown unit', hint => '%cache_write_1h%input%output_audio%');
select tests.refuses($$insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('x', 'x', 'input', -1)$$, '23514',
                     'model_prices refuses usd_per_million -1');
select tests.refuses($$insert into matrice.model_price_multipliers values ('x', 'inference_geo', 'us', 0)$$, '23514',
                     'model_price_multipliers refuses factor 0');
select tests.refuses($$insert into matrice.model_price_multipliers values ('x', 'weather', 'rain', 2)$$, '23514',
                     'model_price_multipliers refuses kind weather', message => '%inference_geo%data_residency%speed%');
select tests.refuses($$insert into matrice.model_price_windows values ('x', '{1}', '12:00', '11:00')$$, '23514',
                     'model_price_windows refuses until_utc before from_utc');
select tests.as_owner();
select matrice_private.load_price_catalogue();
select tests.unchanged('load_price_catalogue: a second call changes no row');

update matrice.model_prices set usd_per_million = 99 where model = 'gpt-4o-mini' and unit = 'input' and service_tier = 'standard';
select matrice_private.load_price_catalogue();
select results_eq(
  $$select usd_per_million, valid_from from matrice.model_prices
     where model = 'gpt-4o-mini' and unit = 'input' and service_tier = 'standard' order by valid_from$$,
  $$values (99::numeric, '-infinity'::timestamptz), (0.15, now())$$,
  'load_price_catalogue ends a rate that differs from the catalogue and keeps it for the past');

select * from finish();
rollback;
