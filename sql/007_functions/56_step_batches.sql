-- Steps in batches.

create or replace function matrice_private.steps_of(steps jsonb, whose uuid, is_read boolean, is_priced boolean) returns table (
  place bigint, run_id uuid, project_id uuid, workflow_id text, run_key text, step_name text, status text,
  latency_ms double precision, model text, tokens_input integer, tokens_output integer, usage jsonb, error jsonb,
  step_key text, attempt integer, call_key text, cost_usd numeric, executed_at timestamptz, plain numeric[]
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
  select s.place, s.run_id, coalesce(s.project_id, whose), s.workflow_id, s.run_key, s.step_name, s.status,
         s.latency_ms, s.model, s.tokens_input, s.tokens_output, u.usage, s.error, s.step_key,
         coalesce(s.attempt, 0), s.call_key, s.cost_usd, coalesce(s.executed_at, now()),
         case when is_priced and s.cost_usd is null and s.status <> 'running'
              then matrice._plain_price(null, s.model, u.usage, nullif(s.tokens_input, 0), nullif(s.tokens_output, 0),
                                        coalesce(s.executed_at, now())) end
    from rows from (jsonb_to_recordset(steps) as (
           run_id uuid, project_id uuid, workflow_id text, run_key text, step_name text, status text,
           latency_ms double precision, model text, tokens_input integer, tokens_output integer, usage jsonb, response jsonb,
           error jsonb, step_key text, attempt integer, call_key text, cost_usd numeric, executed_at timestamptz)
         ) with ordinality as s (
           run_id, project_id, workflow_id, run_key, step_name, status, latency_ms, model, tokens_input, tokens_output, usage,
           response, error, step_key, attempt, call_key, cost_usd, executed_at, place)
   cross join lateral (
     select case when not is_read then s.usage
                 when s.response is null then coalesce(s.usage, '{}')
                 else matrice_private.with_response(s.usage, s.response) end as usage
     offset 0) u;
exception
  when invalid_text_representation or numeric_value_out_of_range or invalid_datetime_format or datetime_field_overflow
    or invalid_parameter_value then
    raise exception 'steps has a value of the wrong type'
      using errcode = '22023', detail = left(sqlerrm, 200), hint = 'Each key takes what the argument of record_step takes.';
end
$$;
comment on function matrice_private.steps_of is
  'Returns the steps of record_steps as rows. whose: the project of those that do not name one. is_read: whether usage also has '
  'what the response says of it. is_priced: whether plain is what plain_price returns, for steps that have ended and name no '
  'cost; the prices of projects are not looked at. SECURITY DEFINER: only the owner may execute the function of the engine.';

create or replace function matrice_private.require_steps(steps jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong record;
begin
  perform matrice_private.require_given('steps', steps);
  -- No depth: usage and response may have any, as in record_step. All other values are read as what they must be, and error is
  -- checked with its step.
  if pg_column_size(steps) > 4 * 16777216 or octet_length(steps::text) > 16777216 then
    raise exception 'steps is too large'
      using errcode = '22023', detail = 'It may have at most 16777216 bytes.', hint = 'Record more steps in several calls.';
  end if;
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
end
$$;
comment on function matrice_private.require_steps is
  'Raises an error unless steps of record_steps are an array of objects with known keys.';

create or replace function matrice_private.keys_of_steps() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['run_id', 'project_id', 'workflow_id', 'run_key', 'step_name', 'status', 'latency_ms', 'model', 'tokens_input',
               'tokens_output', 'usage', 'response', 'error', 'step_key', 'attempt', 'call_key', 'cost_usd', 'executed_at'];
end;
comment on function matrice_private.keys_of_steps is 'Returns the keys that a step of record_steps may have.';

create or replace function matrice_private.refuse_step_of(steps jsonb, project_id uuid, wrong bigint) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  step record;
  told text;
  tip  text;
begin
  select s.* into step from matrice_private.steps_of(steps, project_id, false, false) s where s.place = wrong;
  perform matrice_private.require_step(step.step_name, step.status, step.latency_ms, step.model, step.tokens_input,
    step.tokens_output, step.error, step.step_key, step.attempt, step.cost_usd, step.executed_at, step.call_key);
exception
  when invalid_parameter_value or null_value_not_allowed then
    get stacked diagnostics told = pg_exception_detail, tip = pg_exception_hint;
    raise exception '%', sqlerrm
      using errcode = sqlstate, hint = tip, detail = format('It is element %s (from 0). %s', wrong - 1, told);
end
$$;
comment on function matrice_private.refuse_step_of is
  'Raises an error that says what is wrong with a step of record_steps, and which one it is. wrong: its place, from 1.';

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
    select s.run_id, s.project_id, s.workflow_id, s.run_key, min(s.executed_at) as executed_at, array_agg(s.place) as places,
           min(min(s.place) filter (
             where not matrice_private.is_good_step(s.step_name, s.status, s.latency_ms, s.model, s.tokens_input, s.tokens_output,
                                                    s.error, s.step_key, s.attempt, s.cost_usd, s.executed_at, s.call_key))
           ) over () as wrong
      from matrice_private.steps_of(steps, project_id, false, false) s
     group by 1, 2, 3, 4 order by 2, 3, 4, 1
  loop
    if run.wrong is not null then
      perform matrice_private.refuse_step_of(steps, project_id, run.wrong);
    end if;
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
  'Returns the run of each step of record_steps, in their order. Runs that are not known yet are recorded as running. Raises an '
  'error unless all steps are good ones. In one function, because reading the steps takes most of its time.';

create or replace function matrice.record_steps(steps jsonb, project_id uuid default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  runs      uuid[];
  is_priced boolean;
  ready     jsonb;
  inserted  bigint;
  taken     text;
begin
  perform matrice_private.require_steps(steps);
  runs := matrice_private.runs_of_steps(steps, project_id);
  -- Who is under no policies may say what a step costs. The triggers price what other callers record, and what has no plain
  -- price.
  is_priced := not row_security_active('matrice.workflow_steps')
               and not exists (select from matrice.workflow_runs r join matrice.project_prices p on p.project_id = r.project_id
                                where r.id = any (runs));
  -- Of two steps with one key, the one that has ended counts, then the first one.
  with given as materialized (
    select runs[s.place] as run_id, s.place, s.step_name, s.status, s.latency_ms, s.model, s.tokens_input, s.tokens_output,
           s.error, s.step_key, s.attempt, coalesce(s.call_key, '') as call_key, s.cost_usd, s.executed_at, s.usage,
           case when s.plain[1] < 99999999 then s.plain end as plain
      from matrice_private.steps_of(steps, project_id, true, is_priced) s
  ), added as (
    insert into matrice.workflow_steps as w (
      run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, cached_tokens, usage, error,
      step_key, attempt, call_key, cost_usd, cost_source, executed_at)
    select g.run_id, r.project_id, g.step_name, g.status, round(g.latency_ms), g.model,
           coalesce(g.plain[2]::integer, g.tokens_input, 0), coalesce(g.plain[3]::integer, g.tokens_output, 0),
           coalesce(g.plain[4]::integer, 0), g.usage, g.error, g.step_key, g.attempt, g.call_key,
           coalesce(g.cost_usd, g.plain[1]), case when g.plain is not null then 'calculated' end, g.executed_at
      from given g join matrice.workflow_runs r on r.id = g.run_id
     order by g.status = 'running', g.place
    on conflict on constraint workflow_steps_run_id_step_key_attempt_call_key_key do nothing
    returning w.run_id, w.step_key, w.attempt, w.call_key
  ), keyed as (
    select g.*, row_number() over (partition by g.run_id, g.step_key, g.attempt, g.call_key
                                   order by g.status = 'running', g.place) as turn
      from given g
     where g.step_key is not null and (select count(*) from added) < jsonb_array_length(steps)
  )
  select (select count(*) from added),
         (select jsonb_agg(k) from keyed k
           where k.turn = 1
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
