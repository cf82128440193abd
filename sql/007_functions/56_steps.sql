-- Steps of runs: recorded one by one or in batches, ended, corrected.

create or replace trigger a_project_from_parent before insert on matrice.workflow_steps
for each row execute function matrice_private.project_from_parent();
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
         latency_ms = round(coalesce(e.latency_ms, greatest(extract(epoch from e.executed_at - s.executed_at) * 1000, 0))),
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
  usage := matrice_private.with_response(usage, response);
  call_key := coalesce(call_key, '');
  -- A trigger reads the usage, and calculates the cost if it is null.
  insert into matrice.workflow_steps as s (
    run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, usage, error, step_key,
    attempt, call_key, cost_usd, executed_at, reservation_id)
  values (
    record_step.run_id, run.project_id, record_step.step_name, record_step.status, round(record_step.latency_ms),
    record_step.model,
    coalesce(record_step.tokens_input, 0), coalesce(record_step.tokens_output, 0), record_step.usage, record_step.error,
    record_step.step_key, record_step.attempt, record_step.call_key, record_step.cost_usd, record_step.executed_at,
    record_step.reservation_id)
  on conflict on constraint workflow_steps_run_id_step_key_attempt_call_key_key do nothing
  returning s.id into step;
  if step is null then
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

create or replace function matrice_private.steps_of(steps jsonb, whose uuid) returns table (
  place bigint, run_id uuid, project_id uuid, workflow_id text, run_key text, step_name text, status text,
  latency_ms double precision, model text, tokens_input integer, tokens_output integer, usage jsonb, response jsonb, error jsonb,
  step_key text, attempt integer, call_key text, cost_usd numeric, executed_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
  select s.place, s.run_id, coalesce(s.project_id, whose), s.workflow_id, s.run_key, s.step_name, s.status,
         s.latency_ms, s.model, s.tokens_input, s.tokens_output, s.usage, s.response, s.error, s.step_key,
         coalesce(s.attempt, 0), s.call_key, s.cost_usd, coalesce(s.executed_at, now())
    from rows from (jsonb_to_recordset(steps) as (
           run_id uuid, project_id uuid, workflow_id text, run_key text, step_name text, status text,
           latency_ms double precision, model text, tokens_input integer, tokens_output integer, usage jsonb, response jsonb,
           error jsonb, step_key text, attempt integer, call_key text, cost_usd numeric, executed_at timestamptz)
         ) with ordinality as s (
           run_id, project_id, workflow_id, run_key, step_name, status, latency_ms, model, tokens_input, tokens_output, usage,
           response, error, step_key, attempt, call_key, cost_usd, executed_at, place);
exception
  when invalid_text_representation or numeric_value_out_of_range or invalid_datetime_format or datetime_field_overflow
    or invalid_parameter_value then
    raise exception 'steps has a value of the wrong type'
      using errcode = '22023', detail = left(sqlerrm, 200), hint = 'Each key takes what the argument of record_step takes.';
end
$$;
comment on function matrice_private.steps_of is
  'Returns the steps of record_steps as rows. whose: the project of those that do not name one.';

create or replace function matrice_private.require_steps(steps jsonb, project_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  wrong record;
  told  text;
  tip   text;
begin
  perform matrice_private.require_given('steps', steps), matrice_private.require_json('steps', steps, 16777216);
  if jsonb_typeof(steps) <> 'array' or jsonb_array_length(steps) > 10000 then
    raise exception 'steps must be a JSON array of at most 10000 objects'
      using errcode = '22023', hint = 'Record more steps in several calls.';
  end if;
  select e.place - 1 as place,
         case jsonb_typeof(e.step) when 'object' then e.step - matrice_private.keys_of_steps() end as more
    into wrong
    from jsonb_array_elements(steps) with ordinality as e (step, place)
   where case jsonb_typeof(e.step) when 'object' then e.step - matrice_private.keys_of_steps() <> '{}' else true end
   limit 1;
  if found then
    raise exception 'steps has something that is no step'
      using errcode = '22023',
            detail = format('Element %s (from 0) %s.', wrong.place,
              coalesce('has the unknown key ' || (select to_json(left(k, 100)) from jsonb_object_keys(wrong.more) k limit 1),
                       'is not an object')),
            hint = format('Known keys: %s.', array_to_string(matrice_private.keys_of_steps(), ', '));
  end if;
  select s.* into wrong from matrice_private.steps_of(steps, project_id) s
   where not matrice_private.is_good_step(s.step_name, s.status, s.latency_ms, s.model, s.tokens_input, s.tokens_output, s.error,
                                          s.step_key, s.attempt, s.cost_usd, s.executed_at, s.call_key)
   limit 1;
  if found then
    begin
      perform matrice_private.require_step(wrong.step_name, wrong.status, wrong.latency_ms, wrong.model, wrong.tokens_input,
        wrong.tokens_output, wrong.error, wrong.step_key, wrong.attempt, wrong.cost_usd, wrong.executed_at, wrong.call_key);
    exception when invalid_parameter_value or null_value_not_allowed then
      get stacked diagnostics told = pg_exception_detail, tip = pg_exception_hint;
      raise exception '%', sqlerrm
        using errcode = sqlstate, hint = tip, detail = format('It is element %s (from 0). %s', wrong.place - 1, told);
    end;
  end if;
end
$$;
comment on function matrice_private.require_steps is 'Raises an error unless all steps of record_steps are good ones.';

create or replace function matrice_private.keys_of_steps() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['run_id', 'project_id', 'workflow_id', 'run_key', 'step_name', 'status', 'latency_ms', 'model', 'tokens_input',
               'tokens_output', 'usage', 'response', 'error', 'step_key', 'attempt', 'call_key', 'cost_usd', 'executed_at'];
end;
comment on function matrice_private.keys_of_steps is 'Returns the keys that a step of record_steps may have.';

create or replace function matrice_private.runs_of_steps(steps jsonb, project_id uuid) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run   record;
  named uuid;
  ids   uuid[];
begin
  -- In order, so that two batches that record the same new runs do not wait for each other in a circle.
  for run in
    select s.run_id, s.project_id, s.workflow_id, s.run_key, min(s.executed_at) as executed_at, array_agg(s.place) as places
      from matrice_private.steps_of(steps, project_id) s
     group by 1, 2, 3, 4 order by 2, 3, 4, 1
  loop
    named := case when run.run_id is not null and run.workflow_id is null and run.run_key is null and
                       (run.project_id is null or run.project_id = runs_of_steps.project_id) then run.run_id
                  else matrice_private.named_run(run.run_id, run.project_id, run.workflow_id, run.run_key, run.executed_at) end;
    perform matrice_private.require_recorder_of_run(named);
    for i in 1 .. cardinality(run.places) loop
      ids[run.places[i]] := named;
    end loop;
  end loop;
  return ids;
end
$$;
comment on function matrice_private.runs_of_steps is
  'Returns the run of each step of record_steps, in their order. Runs that are not known yet are recorded as running.';

create or replace function matrice.record_steps(steps jsonb, project_id uuid default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  runs     uuid[];
  ready    jsonb;
  inserted bigint;
  taken    text;
begin
  perform matrice_private.require_steps(steps, project_id);
  runs := matrice_private.runs_of_steps(steps, project_id);
  -- Of two steps with one key, the one that has ended counts, then the first one.
  with keyed as (
    select runs[s.place] as run_id, s.step_name, s.status, s.latency_ms, s.model, s.tokens_input, s.tokens_output, s.error,
           s.step_key, s.attempt, coalesce(s.call_key, '') as call_key, s.cost_usd, s.executed_at,
           case when s.response is null then coalesce(s.usage, '{}')
                else matrice_private.with_response(s.usage, s.response) end as usage,
           case when s.step_key is null then 1
                else row_number() over (partition by runs[s.place], s.step_key, s.attempt, s.call_key
                                        order by s.status = 'running', s.place) end as turn
      from matrice_private.steps_of(steps, project_id) s
  ), added as (
    insert into matrice.workflow_steps as w (
      run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, usage, error, step_key, attempt,
      call_key, cost_usd, executed_at)
    select k.run_id, r.project_id, k.step_name, k.status, round(k.latency_ms), k.model, coalesce(k.tokens_input, 0),
           coalesce(k.tokens_output, 0), k.usage, k.error, k.step_key, k.attempt, k.call_key, k.cost_usd, k.executed_at
      from keyed k join matrice.workflow_runs r on r.id = k.run_id
     where k.turn = 1
    on conflict on constraint workflow_steps_run_id_step_key_attempt_call_key_key do nothing
    returning w.run_id, w.step_key, w.attempt, w.call_key
  )
  select (select count(*) from added),
         (select jsonb_agg(k) from keyed k
           where k.turn = 1 and k.step_key is not null
             and (select count(*) from added) < (select count(*) from keyed o where o.turn = 1)
             and not exists (select from added a where (a.run_id, a.step_key, a.attempt, a.call_key)
                                                       = (k.run_id, k.step_key, k.attempt, k.call_key)))
    into inserted, ready;
  if ready is null then
    return inserted;
  end if;
  select k ->> 'step_key' into taken from jsonb_array_elements(ready) k
   where not exists (
     select from matrice.workflow_steps s
      where s.run_id = (k ->> 'run_id')::uuid and s.step_key = k ->> 'step_key' and s.attempt = (k ->> 'attempt')::integer
        and s.call_key = k ->> 'call_key' and s.step_name = k ->> 'step_name')
   limit 1;
  if found then
    raise exception 'the step_key belongs to another step'
      using errcode = 'PT409', detail = format('It is the step_key %s.', quote_literal(left(taken, 100))),
            hint = 'Use another step_key for each step of a run.';
  end if;
  if row_security_active('matrice.workflow_steps') then
    return inserted + matrice_private.end_steps_of_member(ready);
  end if;
  return inserted + matrice_private.end_steps(ready, null, null);
end
$$;
comment on function matrice.record_steps is
  'Records many steps at once, of any runs. All are recorded or none. Returns how many are new, or were running and have ended '
  'now; the others were recorded before. steps: a JSON array of at most 10,000 objects. Their keys are the arguments of '
  'record_step: run_id, or project_id, workflow_id and run_key; step_name, status, latency_ms, model, tokens_input, '
  'tokens_output, usage, response, error, step_key, attempt, call_key, cost_usd, executed_at. project_id: of the steps that do '
  'not name one. Defaults: project_id null.';

create or replace function matrice_private.write_correction(
  step_id uuid, reason text, cost_usd numeric, tokens_input integer, tokens_output integer, usage jsonb
) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  step       record;
  before     record;
  reading    jsonb;
  correction uuid;
begin
  select s.* into step from matrice.workflow_steps s where s.id = step_id for update;
  if not found then
    raise exception 'step not found'
      using errcode = 'PT404', detail = format('The step %s was deleted at the same moment.', step_id),
            hint = 'There is nothing left to correct.';
  end if;
  if step.corrects is not null or step.status = 'running' then
    raise exception 'this row cannot be corrected'
      using errcode = 'PT409', detail = case when step.corrects is null then 'The step is still running.'
                                             else format('It is itself a correction of %s.', step.corrects) end,
            hint = case when step.corrects is null then 'Record its end with record_step.' else 'Correct that step again.' end;
  end if;
  select step.cost_usd + coalesce(sum(c.cost_usd), 0) as cost_usd,
         step.tokens_input + coalesce(sum(c.tokens_input), 0) as tokens_input,
         step.tokens_output + coalesce(sum(c.tokens_output), 0) as tokens_output,
         step.cached_tokens + coalesce(sum(c.cached_tokens), 0) as cached_tokens,
         sum(c.cost_usd) as corrected_usd
    into before from matrice.workflow_steps c where c.corrects = step_id;
  if usage is not null or tokens_input is not null or tokens_output is not null then
    reading := matrice_private.reading_of_step(
      coalesce(usage, step.usage), coalesce(tokens_input, case when usage is null then step.tokens_input end, 0),
      coalesce(tokens_output, case when usage is null then step.tokens_output end, 0), null, null, null);
    tokens_input := coalesce((reading ->> 'tokens_input')::integer, tokens_input);
    tokens_output := coalesce((reading ->> 'tokens_output')::integer, tokens_output);
    if cost_usd is null then
      select round(c.cost_usd, 12) into cost_usd
        from matrice_private.cost_of_reading(step.project_id, step.model, reading, step.executed_at) c;
    end if;
  end if;
  insert into matrice.workflow_steps (
    run_id, project_id, step_name, status, model, executed_at, attempt, corrects, reason, usage, cost_source,
    cost_usd, tokens_input, tokens_output, cached_tokens)
  values (
    step.run_id, step.project_id, step.step_name, step.status, step.model, step.executed_at, step.attempt, step_id,
    write_correction.reason, coalesce(reading -> 'usage', '{}'), 'correction',
    cost_usd - coalesce(before.cost_usd, before.corrected_usd, 0), coalesce(tokens_input - before.tokens_input, 0),
    coalesce(tokens_output - before.tokens_output, 0),
    coalesce(matrice_private.cached_tokens(reading, coalesce(tokens_input, before.tokens_input)::integer)
             - before.cached_tokens, 0))
  returning id into correction;
  return correction;
end
$$;
comment on function matrice_private.write_correction is
  'Adds the row that makes the sums of a step and its corrections right. SECURITY DEFINER: no client may write corrections, '
  'which may be negative. Checks no roles: for services and write_correction_of_member.';

create or replace function matrice_private.write_correction_of_member(
  step_id uuid, reason text, cost_usd numeric, tokens_input integer, tokens_output integer, usage jsonb
) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from matrice.workflow_steps s
                  where s.id = step_id and s.project_id = any (matrice_private.project_ids('editor'))) then
    raise exception 'step not found'
      using errcode = 'PT404', detail = format('There is no step %s that you may correct.', step_id);
  end if;
  return matrice_private.write_correction(step_id, reason, cost_usd, tokens_input, tokens_output, usage);
end
$$;
comment on function matrice_private.write_correction_of_member is
  'Calls write_correction for a step of a project that the caller may edit. SECURITY DEFINER: no client may write corrections.';

create or replace function matrice.correct_step(
  step_id uuid, reason text, cost_usd numeric default null, tokens_input integer default null,
  tokens_output integer default null, usage jsonb default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('step_id', step_id), matrice_private.require_text('reason', reason),
          matrice_private.require_bytes('reason', reason, 2000),
          matrice_private.require_step('x', 'success', null, null, tokens_input, tokens_output, null, null, 0,
                                       cost_usd, now(), null);
  if usage is not null then
    perform matrice_private.require_usage(usage);
  end if;
  if num_nonnulls(cost_usd, tokens_input, tokens_output, usage) = 0 then
    raise exception 'a correction needs the right cost, tokens or usage'
      using errcode = '22023', hint = 'Pass cost_usd, tokens_input, tokens_output or usage.';
  end if;
  select s.project_id into owner_project from matrice.workflow_steps s where s.id = step_id;
  if not found then
    raise exception 'step not found'
      using errcode = 'PT404', detail = format('There is no step %s that you can see.', step_id),
            hint = 'Pass the id that record_step returned.';
  end if;
  perform matrice_private.require_role(owner_project, 'editor');
  if row_security_active('matrice.workflow_steps') then
    return matrice_private.write_correction_of_member(step_id, reason, cost_usd, tokens_input, tokens_output, usage);
  end if;
  return matrice_private.write_correction(step_id, reason, cost_usd, tokens_input, tokens_output, usage);
end
$$;
comment on function matrice.correct_step is
  'Corrects what a step cost or used. The step itself stays as it is: a row is added whose cost and tokens, together with those '
  'of the step, give the right ones. Returns the id of that row. Needs the role editor. reason: why. cost_usd, tokens_input, '
  'tokens_output: the right values. usage: what the API really reported. If cost_usd is null and the tokens or the usage change, '
  'the cost is calculated at the prices of the time of the step. Defaults: all but step_id and reason null.';
