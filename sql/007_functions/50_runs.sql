-- Workflow runs: how they start and end. Events of a run may come late, twice or in another order.

create or replace function matrice_private.pillars_at(project_id uuid, seen_at timestamptz) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_object_agg(p.code, v.version)
      from matrice.pillars p
     cross join lateral (select max(v.version) as version from matrice.pillar_versions v
                          where v.project_id = p.project_id and v.pillar_id = p.id and v.saved_at <= seen_at) v
     where p.project_id = pillars_at.project_id and v.version is not null);
end
$$;
comment on function matrice_private.pillars_at is
  'Returns the versions that the pillars of a project had at a time, by their codes; null if there were none.';

create or replace function matrice_private.complete_run() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    if row_security_active(tg_relid) then
      new.created_by := matrice_private.current_user_id();
    end if;
    -- An import stores runs as they were, also those of which nobody knows the phase.
    if (new.phase is null or new.pillar_versions is null) and (row_security_active(tg_relid) or not exists (
          select from matrice.project_imports i where i.project_id = new.project_id and i.finished_at is null)) then
      new.phase := coalesce(new.phase, matrice_private.phase_at(new.project_id, new.started_at));
      new.pillar_versions := coalesce(new.pillar_versions, matrice_private.pillars_at(new.project_id, new.started_at));
    end if;
  end if;
  -- Inngest runs the handler of a failure under the id of the workflow that failed.
  new.is_failure_handler := new.is_failure_handler or coalesce(new.event_name = 'inngest/function.failed', false);
  return new;
end
$$;
comment on function matrice_private.complete_run is
  'Sets who recorded a run, its phase if none is given, the pillars that it saw, and whether it handles a failure.';

create or replace trigger complete_run before insert or update of event_name, is_failure_handler on matrice.workflow_runs
for each row execute function matrice_private.complete_run();
create or replace trigger keep_created_by before update of created_by on matrice.workflow_runs
for each row when (old.created_by is distinct from new.created_by)
execute function matrice_private.refuse_change('clients', 'created_by');

create or replace function matrice_private.begin_run(
  run_id uuid, event_name text, phase text, input_data jsonb, attempt integer, started_at timestamptz, parent_run_id uuid,
  user_key text, session_key text, tags jsonb, is_failure_handler boolean
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update matrice.workflow_runs r
     set event_name = begin_run.event_name, input_data = begin_run.input_data, phase = coalesce(begin_run.phase, r.phase),
         started_at = least(r.started_at, begin_run.started_at),
         parent_run_id = coalesce(begin_run.parent_run_id, r.parent_run_id),
         user_key = coalesce(begin_run.user_key, r.user_key), session_key = coalesce(begin_run.session_key, r.session_key),
         tags = case when begin_run.tags = '[]' then r.tags else begin_run.tags end,
         is_failure_handler = r.is_failure_handler or begin_run.is_failure_handler
   where r.id = begin_run.run_id and r.event_name is null;
  update matrice.workflow_runs r
     set status = 'running', attempt = begin_run.attempt, completed_at = null, output_data = null, error = null, reaped_at = null
   where r.id = begin_run.run_id and r.attempt < begin_run.attempt;
end
$$;
comment on function matrice_private.begin_run is
  'Adds to a run what its start says, if a step or its end was recorded first. Opens it again if the attempt is a later one.';

create or replace function matrice.start_run(
  project_id uuid, workflow_id text, event_name text, run_key text default null, phase text default null,
  input_data jsonb default '{}', started_at timestamptz default now(), attempt integer default 0, parent_run_id uuid default null,
  user_key text default null, session_key text default null, tags jsonb default '[]', is_failure_handler boolean default false
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run uuid;
begin
  perform matrice_private.require_text('workflow_id', workflow_id),
          matrice_private.require_bytes('workflow_id', workflow_id, 200),
          matrice_private.require_text('event_name', event_name), matrice_private.require_bytes('event_name', event_name, 200),
          matrice_private.require_key('run_key', run_key),
          matrice_private.require_given('input_data', input_data), matrice_private.require_json('input_data', input_data, 262144),
          matrice_private.require_given('started_at', started_at), matrice_private.require_time('started_at', started_at),
          matrice_private.require_given('attempt', attempt), matrice_private.require_given('tags', tags),
          matrice_private.require_given('is_failure_handler', is_failure_handler),
          matrice_private.require_run_arguments(attempt, null, user_key, session_key, tags);
  if phase is not null then
    perform matrice_private.require_phase('phase', phase);
  end if;
  perform matrice_private.require_recorder(project_id, matrice_private.current_user_id());
  perform matrice_private.require_parent_run(project_id, parent_run_id);
  perform matrice_private.hold_project(project_id);
  insert into matrice.workflow_runs as r (
    project_id, workflow_id, event_name, run_key, phase, input_data, started_at, attempt, parent_run_id, user_key, session_key,
    tags, is_failure_handler)
  values (
    start_run.project_id, start_run.workflow_id, start_run.event_name, start_run.run_key, start_run.phase, start_run.input_data,
    start_run.started_at, start_run.attempt, start_run.parent_run_id, start_run.user_key, start_run.session_key, start_run.tags,
    start_run.is_failure_handler)
  on conflict on constraint workflow_runs_project_id_workflow_id_run_key_key do nothing
  returning r.id into run;
  if run is null then
    run := matrice_private.run_of_key(project_id, workflow_id, run_key, started_at);
    perform matrice_private.require_recorder_of_run(run);
    perform matrice_private.begin_run(run, event_name, phase, input_data, attempt, started_at, parent_run_id, user_key,
                                      session_key, tags, is_failure_handler);
  end if;
  return run;
end
$$;
comment on function matrice.start_run is
  'Records that a workflow run began. Returns the id of the run. run_key: identifies the run among those of its workflow in '
  'the project. A second call with the same project, workflow_id and run_key returns the same id and changes nothing. But if '
  'a step or the end of the run was recorded first, the call adds what is not known yet; and a higher attempt opens a run '
  'again that had ended. phase: P1 to P6; null for the phase that the project was in at that time. started_at: when it began. '
  'attempt: number of the attempt of the whole run, from 0. parent_run_id: the run that started this one. user_key, '
  'session_key: your own keys for the user and the session. tags: a JSON array. is_failure_handler: the run handles the '
  'failure of another one; it counts as no success. Always true for the event inngest/function.failed. Defaults: run_key, '
  'phase, parent_run_id, user_key and session_key null, input_data ''{}'', started_at now(), attempt 0, tags ''[]'', '
  'is_failure_handler false.';

create or replace function matrice.finish_run(
  run_id uuid, status text, output_data jsonb default null, error jsonb default null, attempt integer default null,
  completed_at timestamptz default now(), project_id uuid default null, workflow_id text default null, run_key text default null
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run record;
begin
  perform matrice_private.require_one_of('status', status, array['completed', 'failed', 'cancelled']),
          matrice_private.require_json('output_data', output_data, 262144),
          matrice_private.require_run_arguments(attempt, error, null, null, null),
          matrice_private.require_given('completed_at', completed_at), matrice_private.require_time('completed_at', completed_at);
  run_id := matrice_private.named_run(run_id, project_id, workflow_id, run_key, completed_at);
  perform matrice_private.require_recorder_of_run(run_id);
  select r.status, r.attempt, r.reaped_at into run from matrice.workflow_runs r where r.id = finish_run.run_id for update;
  attempt := coalesce(attempt, run.attempt);
  -- What is known of a later attempt stays, and what is known already.
  if attempt < run.attempt or (attempt = run.attempt and run.status = finish_run.status and run.reaped_at is null) then
    return;
  elsif attempt = run.attempt and run.status <> 'running' and run.reaped_at is null then
    raise exception 'the run has already ended'
      using errcode = 'PT409', detail = format('Its status is %s.', run.status),
            hint = 'If it was tried again, pass the number of the new attempt.';
  end if;
  update matrice.workflow_runs r
     set status = finish_run.status, output_data = finish_run.output_data, error = finish_run.error,
         attempt = finish_run.attempt, completed_at = finish_run.completed_at, reaped_at = null
   where r.id = finish_run.run_id;
end
$$;
comment on function matrice.finish_run is
  'Records how a run ended. status: completed, failed or cancelled. error: why it failed or was cancelled. A second call with '
  'the same status changes nothing. A second call with another status is refused (PT409), unless attempt is higher than '
  'before: then the run was tried again, and this is its new end. attempt: if null, that of the run. An end that reap_runs '
  'assumed gives way to the real one. completed_at: when it ended. run_id may be null if project_id, workflow_id and run_key '
  'name the run; a run that is not known yet is recorded with its end. Defaults: output_data, error, attempt, project_id, '
  'workflow_id and run_key null, completed_at now().';

create or replace function matrice.reap_runs(older_than interval default '1 day', project_id uuid default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  reaped bigint;
begin
  perform matrice_private.require_given('older_than', older_than);
  if not older_than between interval '1 minute' and interval '100 years' then
    raise exception 'older_than must be between 1 minute and 100 years'
      using errcode = '22023', detail = format('It is %s.', older_than),
            hint = 'Take a time in which every run that still works records a step.';
  end if;
  if row_security_active('matrice.workflow_runs') then
    raise exception 'only services may reap runs'
      using errcode = '42501', detail = 'It ends runs of everybody.',
            hint = 'Call it as service_role. Members end a run with finish_run.';
  end if;
  with silent as (
    select r.id from matrice.workflow_runs r
     where r.status = 'running' and r.started_at < now() - older_than
       and (reap_runs.project_id is null or r.project_id = reap_runs.project_id)
       and not exists (select from matrice.workflow_steps s
                        where s.project_id = r.project_id and s.run_id = r.id and s.executed_at >= now() - older_than)
     limit 10000
       for update skip locked
  )
  update matrice.workflow_runs r
     set status = 'cancelled', completed_at = now(), reaped_at = now(),
         error = jsonb_build_object('name', 'reaped', 'message', format('Nothing was recorded for %s.', older_than))
    from silent
   where r.id = silent.id;
  get diagnostics reaped = row_count;
  return reaped;
end
$$;
comment on function matrice.reap_runs is
  'Cancels runs that started long ago, that nobody has ended, and of which no step was recorded since. Returns how many. '
  'Their error says so, and reaped_at when. If their real end is recorded later, it replaces this one. At most 10,000 runs '
  'are cancelled by a call. Only services may call it. older_than: how long nothing was recorded. project_id: only in this '
  'project; null: in all. Defaults: older_than ''1 day'', project_id null.';
