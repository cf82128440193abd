-- Workflow runs and their steps.

create or replace trigger a_project_from_parent before insert on matrice.workflow_steps
for each row execute function matrice_private.project_from_parent();
create or replace trigger a_project_of_new_parent before update of run_id on matrice.workflow_steps
for each row when (old.run_id is distinct from new.run_id) execute function matrice_private.project_from_parent();

create or replace function matrice.start_run(
  project_id uuid, workflow_id text, event_name text, run_key text default null, phase text default null,
  input_data jsonb default '{}'
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run uuid;
  begun text;
begin
  perform matrice_private.require_text('workflow_id', workflow_id);
  perform matrice_private.require_text('event_name', event_name);
  perform matrice_private.require_key('run_key', run_key);
  perform matrice_private.require_given('input_data', input_data);
  perform matrice_private.require_bytes('workflow_id', workflow_id, 200);
  perform matrice_private.require_bytes('event_name', event_name, 200);
  perform matrice_private.require_json('input_data', input_data, 262144);
  if phase is not null then
    perform matrice_private.require_phase('phase', phase);
  end if;
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  insert into matrice.workflow_runs as r (project_id, workflow_id, event_name, run_key, phase, input_data)
  values (start_run.project_id, start_run.workflow_id, start_run.event_name, start_run.run_key, start_run.phase,
          start_run.input_data)
  on conflict on constraint workflow_runs_project_id_run_key_key do nothing
  returning r.id into run;
  if run is null then
    select r.id, r.workflow_id into run, begun from matrice.workflow_runs r
     where r.project_id = start_run.project_id and r.run_key = start_run.run_key;
    if begun is distinct from start_run.workflow_id then
      raise exception 'the run_key belongs to another run'
        using errcode = 'PT409',
              detail = format('It belongs to a run %s.',
                coalesce('of the workflow ' || quote_literal(left(begun, 100)), 'that is being deleted')),
              hint = 'Use another run_key for each run, for example the run''s id in the workflow engine.';
    end if;
  end if;
  return run;
end
$$;
comment on function matrice.start_run is
  'Records that a workflow run began. Returns the id of the run. run_key: identifies the run in its project. A second call '
  'with the same run_key and workflow_id changes nothing and returns the same id. A run_key that belongs to a run of another '
  'workflow is refused (PT409). phase: P1 to P6, or null. Defaults: input_data ''{}''.';

create or replace function matrice.record_step(
  run_id uuid, step_name text, status text, latency_ms double precision default null, model text default null,
  tokens_input integer default null, tokens_output integer default null, usage jsonb default '{}', error jsonb default null,
  step_key text default null, attempt integer default 0, cost_usd numeric default null, executed_at timestamptz default now(),
  response jsonb default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
  step uuid;
  recorded text;
begin
  perform matrice_private.require_given('run_id', run_id);
  perform matrice_private.require_text('step_name', step_name);
  perform matrice_private.require_one_of('status', status, array['success', 'failed', 'skipped']);
  perform matrice_private.require_given('attempt', attempt);
  perform matrice_private.require_given('executed_at', executed_at);
  perform matrice_private.require_key('step_key', step_key);
  perform matrice_private.require_bytes('step_name', step_name, 200);
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_json('error', error, 65536);
  if least(latency_ms, tokens_input, tokens_output, attempt) < 0 then
    raise exception 'latency_ms, tokens and attempt must not be negative'
      using errcode = '22023', hint = 'Leave out values that you do not know.';
  end if;
  if greatest(latency_ms, tokens_input, tokens_output) > 1000000000 or attempt > 1000000 then
    raise exception 'latency_ms, tokens or attempt is too large'
      using errcode = '22023', detail = 'latency_ms and tokens are at most 1000000000, attempt is at most 1000000.',
            hint = 'Leave out values that you do not know.';
  end if;
  if not cost_usd between 0 and 99999999.999999999999 then
    raise exception 'cost_usd must be from 0 to below 100,000,000'
      using errcode = '22023', detail = format('It is %s.', left(cost_usd::text, 100)),
            hint = 'Leave it out to have it calculated.';
  end if;
  perform matrice_private.require_time('executed_at', executed_at);
  select r.project_id into owner_project from matrice.workflow_runs r where r.id = record_step.run_id;
  if not found then
    raise exception 'run not found'
      using errcode = 'PT404', detail = format('There is no run %s that you can see.', run_id);
  end if;
  perform matrice_private.require_role(owner_project, 'editor');
  if response is not null then
    response := matrice_private.known_usage(response);
    usage := case when usage is null or usage = '{}' then response
                  when jsonb_typeof(usage) = 'object' then usage || jsonb_build_object('response', response)
                  else usage end;
  end if;
  -- A trigger reads the usage, and calculates the cost if it is null.
  insert into matrice.workflow_steps as s (
    run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, usage, error, step_key,
    attempt, cost_usd, executed_at)
  values (
    record_step.run_id, owner_project, record_step.step_name, record_step.status, round(record_step.latency_ms), record_step.model,
    coalesce(record_step.tokens_input, 0), coalesce(record_step.tokens_output, 0), coalesce(record_step.usage, '{}'),
    record_step.error, record_step.step_key,
    record_step.attempt, record_step.cost_usd, record_step.executed_at)
  on conflict on constraint workflow_steps_run_id_step_key_attempt_key do nothing
  returning s.id into step;
  if step is null then
    select s.id, s.step_name into step, recorded from matrice.workflow_steps s
     where s.run_id = record_step.run_id and s.step_key = record_step.step_key and s.attempt = record_step.attempt;
    if recorded is distinct from record_step.step_name then
      raise exception 'the step_key belongs to another step'
        using errcode = 'PT409',
              detail = format('With attempt %s it belongs to a step %s.', attempt,
                coalesce('named ' || quote_literal(left(recorded, 100)), 'that is being deleted')),
              hint = 'Use another step_key for each step of a run.';
    end if;
  end if;
  return step;
end
$$;
comment on function matrice.record_step is
  'Records a step of a run with its tokens, latency and cost. Returns the id of the step. status: success, failed or '
  'skipped. usage: what the API of a model, or a library, reports, unchanged, as in calculate_cost. It is never a reason to '
  'refuse a step. response: the whole response instead; what it says of usage, model and service tier is kept in usage. '
  'model, tokens_input, tokens_output: if null, they are taken from usage. cost_usd: if null, the cost is calculated at the '
  'prices of executed_at. If the calculated cost is null, cost_note says why. step_key: identifies the step in its run. A '
  'second call with the same step_key and attempt changes nothing and returns the same id. With another step_name it is '
  'refused (PT409). Defaults: usage ''{}'', attempt 0, executed_at now().';

create or replace function matrice.finish_run(run_id uuid, status text, output_data jsonb default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run record;
begin
  perform matrice_private.require_given('run_id', run_id);
  perform matrice_private.require_one_of('status', status, array['completed', 'failed', 'cancelled']);
  perform matrice_private.require_json('output_data', output_data, 262144);
  select r.project_id, r.status into run from matrice.workflow_runs r where r.id = finish_run.run_id;
  if not found then
    raise exception 'run not found'
      using errcode = 'PT404', detail = format('There is no run %s that you can see.', run_id);
  end if;
  perform matrice_private.require_role(run.project_id, 'editor');
  select r.project_id, r.status into run from matrice.workflow_runs r where r.id = finish_run.run_id for update;
  if run.status = finish_run.status then
    return;
  elsif run.status <> 'running' then
    raise exception 'the run has already ended'
      using errcode = 'PT409', detail = format('Its status is %s.', run.status);
  end if;
  update matrice.workflow_runs r
     set status = finish_run.status, output_data = finish_run.output_data, completed_at = now()
   where r.id = finish_run.run_id;
end
$$;
comment on function matrice.finish_run is
  'Records how a run ended. status: completed, failed or cancelled. A second call with the same status changes '
  'nothing. A second call with another status is refused (PT409).';
