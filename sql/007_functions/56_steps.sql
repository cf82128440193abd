-- Steps of runs: recorded one by one, and ended.

-- Who names the project and is under no policies needs no lookup: the foreign key compares.
create or replace trigger a_project_from_parent before insert on matrice.workflow_steps
for each row when (new.project_id is null or row_security_active('matrice.workflow_steps'::regclass))
execute function matrice_private.project_from_parent();
create or replace trigger a_project_of_new_parent before update of run_id on matrice.workflow_steps
for each row when (old.run_id is distinct from new.run_id) execute function matrice_private.project_from_parent();

create or replace function matrice_private.require_step(
  step_name text, status text, latency_ms double precision, model text, tokens_input integer, tokens_output integer, error jsonb,
  step_key text, attempt integer, cost_usd numeric, executed_at timestamptz, call_key text
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_text('step_name', step_name);
  perform matrice_private.require_one_of('status', status, array['running', 'success', 'failed', 'skipped']);
  perform matrice_private.require_given('attempt', attempt);
  perform matrice_private.require_given('executed_at', executed_at);
  perform matrice_private.require_key('step_key', step_key);
  perform matrice_private.require_key('call_key', call_key);
  perform matrice_private.require_bytes('step_name', step_name, 200);
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_json('error', error, 65536);
  if length(call_key) > 100 then
    raise exception 'call_key is too long'
      using errcode = '22023', detail = format('It has %s characters; at most 100 are allowed.', length(call_key)),
            hint = 'The number of the call within its step is enough.';
  end if;
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
  if call_key is not null and step_key is null or status = 'running' and step_key is null then
    raise exception 'this step needs a step_key'
      using errcode = '22023', detail = 'A running step is ended by its key, and a call belongs to the step of that key.',
            hint = 'Pass step_key.';
  end if;
end
$$;
comment on function matrice_private.require_step is 'Raises an error that says what is wrong with a step.';

create or replace function matrice_private.is_good_step(
  step_name text, status text, latency_ms double precision, model text, tokens_input integer, tokens_output integer, error jsonb,
  step_key text, attempt integer, cost_usd numeric, executed_at timestamptz, call_key text
) returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(
    octet_length(step_name) <= 200 and step_name ~ '\S' and status in ('running', 'success', 'failed', 'skipped')
    and attempt between 0 and 1000000 and executed_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'
    and coalesce(length(step_key) <= 500 and step_key ~ '\S', status <> 'running' and call_key is null)
    and coalesce(length(call_key) <= 100 and call_key ~ '\S', true)
    and coalesce(octet_length(model) <= 200, true)
    and (error is null or matrice_private.json_within(error, 65536))
    and coalesce(latency_ms between 0 and 1000000000, true)
    and coalesce(tokens_input between 0 and 1000000000, true) and coalesce(tokens_output between 0 and 1000000000, true)
    and coalesce(cost_usd between 0 and 99999999.999999999999, true), false);
end
$$;
comment on function matrice_private.is_good_step is 'Tells whether require_step would raise no error, in a tenth of its time.';

create or replace function matrice_private.end_steps(ended jsonb, project_ids uuid[], own_in uuid[]) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  changed bigint;
begin
  update matrice.workflow_steps s
     set status = e.status, executed_at = e.executed_at, error = e.error, cost_usd = e.cost_usd,
         -- The column cannot hold more than eleven days. Nobody knows whether a step took so long or its worker was lost.
         latency_ms = case when e.latency_ms is not null then round(e.latency_ms)
                           when e.executed_at - s.executed_at <= interval '1000000 seconds'
                           then round(greatest(extract(epoch from e.executed_at - s.executed_at) * 1000, 0)) end,
         model = coalesce(e.model, s.model),
         tokens_input = coalesce(e.tokens_input, s.tokens_input), tokens_output = coalesce(e.tokens_output, s.tokens_output),
         usage = case when coalesce(e.usage, '{}') = '{}' then s.usage else e.usage end
    from jsonb_to_recordset(ended) as e (
           run_id uuid, step_name text, status text, latency_ms double precision, model text, tokens_input integer,
           tokens_output integer, usage jsonb, error jsonb, step_key text, attempt integer, call_key text, cost_usd numeric,
           executed_at timestamptz)
   where s.run_id = e.run_id and s.step_key = e.step_key and s.attempt = e.attempt and s.call_key = e.call_key
     and s.step_name = e.step_name and s.status = 'running' and e.status <> 'running'
     and (end_steps.project_ids is null or s.project_id = any (end_steps.project_ids)
          or (s.project_id = any (own_in)
              and exists (select from matrice.workflow_runs r
                           where r.id = s.run_id and r.created_by = matrice_private.current_user_id())));
  get diagnostics changed = row_count;
  return changed;
end
$$;
comment on function matrice_private.end_steps is
  'Replaces running steps by what they have become, and returns how many did. Steps that have ended do not change. project_ids: '
  'only in these projects; null: in all. own_in: also in the caller''s own runs in these projects. SECURITY DEFINER: no client '
  'may change steps. Checks no roles: for services and end_steps_of_member.';

create or replace function matrice_private.end_steps_of_member(ended jsonb) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.end_steps(
    ended, matrice_private.project_ids('editor'),
    array(select p.id from matrice.projects p
           where p.id = any (matrice_private.project_ids('viewer')) and p.settings -> 'viewers_record_runs' = 'true'));
end
$$;
comment on function matrice_private.end_steps_of_member is
  'Calls end_steps for the runs that the caller may record. SECURITY DEFINER: no client may change steps. Only running ones '
  'change, and only into what the caller could have recorded at once.';

create or replace function matrice_private.with_response(usage jsonb, response jsonb) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  known jsonb;
begin
  if response is null then
    return coalesce(usage, '{}');
  end if;
  known := matrice_private.known_usage(response);
  return case when usage is null or usage = '{}' then known
              when jsonb_typeof(usage) = 'object' then usage || jsonb_build_object('response', known)
              else usage end;
end
$$;
comment on function matrice_private.with_response is 'Adds to usage what a response says of it.';

create or replace function matrice_private.recorded_step(
  run_id uuid, step_name text, status text, step_key text, attempt integer, call_key text, ended jsonb
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  recorded record;
begin
  select s.id, s.step_name, s.status into recorded from matrice.workflow_steps s
   where s.run_id = recorded_step.run_id and s.step_key = recorded_step.step_key and s.attempt = recorded_step.attempt
     and s.call_key = recorded_step.call_key;
  if recorded.step_name is distinct from recorded_step.step_name then
    raise exception 'the step_key belongs to another step'
      using errcode = 'PT409',
            detail = format('With attempt %s it belongs to a step %s.', attempt,
              coalesce('named ' || quote_literal(left(recorded.step_name, 100)), 'that is being deleted')),
            hint = 'Use another step_key for each step of a run.';
  end if;
  if recorded.status = 'running' and recorded_step.status <> 'running' then
    if row_security_active('matrice.workflow_steps') then
      perform matrice_private.end_steps_of_member(ended);
    else
      perform matrice_private.end_steps(ended, null, null);
    end if;
  end if;
  return recorded.id;
end
$$;
comment on function matrice_private.recorded_step is
  'Returns the step that has this key already. If it is running and now has ended, it is replaced by ended: an array of one.';

create or replace function matrice.record_step(
  run_id uuid, step_name text, status text, latency_ms double precision default null, model text default null,
  tokens_input integer default null, tokens_output integer default null, usage jsonb default '{}', error jsonb default null,
  step_key text default null, attempt integer default 0, cost_usd numeric default null, executed_at timestamptz default now(),
  response jsonb default null, call_key text default null, project_id uuid default null, workflow_id text default null,
  run_key text default null, reservation_id uuid default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run  record;
  step uuid;
begin
  if not matrice_private.is_good_step(step_name, status, latency_ms, model, tokens_input, tokens_output, error, step_key, attempt,
                                      cost_usd, executed_at, call_key) then
    perform matrice_private.require_step(step_name, status, latency_ms, model, tokens_input, tokens_output, error, step_key,
                                         attempt, cost_usd, executed_at, call_key);
  end if;
  if run_id is null or project_id is not null or workflow_id is not null or run_key is not null then
    run_id := matrice_private.named_run(run_id, project_id, workflow_id, run_key, executed_at);
  end if;
  select r.project_id, r.created_by into run from matrice.workflow_runs r where r.id = record_step.run_id;
  if not found then
    perform matrice_private.require_recorder_of_run(run_id);
  elsif row_security_active('matrice.workflow_steps') then
    perform matrice_private.require_recorder(run.project_id, run.created_by);
  end if;
  if response is not null then
    usage := matrice_private.with_response(usage, response);
  end if;
  -- A trigger reads the usage, and calculates the cost if it is null.
  insert into matrice.workflow_steps as s (
    run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, usage, error, step_key,
    attempt, call_key, cost_usd, executed_at, reservation_id)
  values (
    record_step.run_id, run.project_id, record_step.step_name, record_step.status, round(record_step.latency_ms),
    record_step.model,
    coalesce(record_step.tokens_input, 0), coalesce(record_step.tokens_output, 0), coalesce(record_step.usage, '{}'),
    record_step.error, record_step.step_key, record_step.attempt, coalesce(record_step.call_key, ''), record_step.cost_usd,
    record_step.executed_at, record_step.reservation_id)
  on conflict on constraint workflow_steps_run_id_step_key_attempt_call_key_key do nothing
  returning s.id into step;
  if step is null then
    call_key := coalesce(call_key, '');
    step := matrice_private.recorded_step(run_id, step_name, status, step_key, attempt, call_key, jsonb_build_array(
      jsonb_build_object('run_id', run_id, 'step_name', step_name, 'status', status, 'latency_ms', latency_ms, 'model', model,
        'tokens_input', tokens_input, 'tokens_output', tokens_output, 'usage', usage, 'error', error, 'step_key', step_key,
        'attempt', attempt, 'call_key', call_key, 'cost_usd', cost_usd, 'executed_at', executed_at)));
  end if;
  return step;
end
$$;
comment on function matrice.record_step is
  'Records a step of a run with its tokens, latency and cost. Returns the id of the step. run_id may be null if project_id, '
  'workflow_id and run_key name the run; a run that is not known yet is recorded as running. status: running, success, failed or '
  'skipped. A running step needs a step_key; its end, recorded with the same key, replaces it. usage: what the API of a '
  'model, or a library, reports, unchanged, as in calculate_cost. It is never a reason to refuse a step. response: the whole '
  'response instead; what it says of usage, model and service tier is kept in usage. model, tokens_input, tokens_output: if '
  'null, they are taken from usage. cost_usd: if null, the cost is calculated at the prices of executed_at. If the calculated '
  'cost is null, cost_note says why. step_key: identifies the step in its run. attempt: number of the attempt; each is billed. '
  'call_key: identifies one of several calls of a model within the step. A second call with the same step_key, attempt and '
  'call_key changes nothing and returns the same id. With another step_name it is refused (PT409). reservation_id: of '
  'reserve_budget; the step then counts instead of the reservation. Defaults: usage ''{}'', attempt 0, executed_at now(), the '
  'others null.';
