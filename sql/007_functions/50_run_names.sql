-- Which run is meant, and who may record it.

create or replace function matrice_private.require_recorder(project_id uuid, created_by uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('project_id', project_id);
  if row_security_active('matrice.projects')
     and (project_id = any (matrice_private.project_ids('editor'))
          or (project_id = any (matrice_private.projects_recorded_by_viewers())
              and created_by = matrice_private.current_user_id())) then
    return;
  end if;
  perform matrice_private.require_role(project_id, 'editor');
end
$$;
comment on function matrice_private.require_recorder is
  'Raises an error unless the caller may record a run: an editor any run of the project, a viewer those that created_by '
  'names, if the project says so.';

create or replace function matrice_private.require_run_arguments(
  attempt integer, error jsonb, user_key text, session_key text, tags jsonb
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not attempt between 0 and 1000000 then
    raise exception 'attempt must be between 0 and 1000000'
      using errcode = '22023', detail = format('It is %s.', attempt), hint = 'The first attempt is 0.';
  end if;
  perform matrice_private.require_json('error', error, 65536);
  perform matrice_private.require_key('user_key', user_key);
  perform matrice_private.require_bytes('user_key', user_key, 200);
  perform matrice_private.require_key('session_key', session_key);
  perform matrice_private.require_bytes('session_key', session_key, 200);
  if jsonb_typeof(tags) <> 'array' then
    raise exception 'tags must be a JSON array'
      using errcode = '22023', detail = format('It is %s.', jsonb_typeof(tags)), hint = 'For example ["beta"].';
  end if;
  perform matrice_private.require_json('tags', tags, 16384);
end
$$;
comment on function matrice_private.require_run_arguments is 'Raises an error if an argument about a run is wrong.';

create or replace function matrice_private.require_run_key(project_id uuid, workflow_id text, run_key text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if num_nulls(project_id, workflow_id, run_key) > 0 then
    raise exception 'run_id must not be null'
      using errcode = '22004', hint = 'Pass run_id; or project_id, workflow_id and run_key, which name the run together.';
  end if;
  perform matrice_private.require_text('workflow_id', workflow_id);
  perform matrice_private.require_bytes('workflow_id', workflow_id, 200);
  perform matrice_private.require_key('run_key', run_key);
end
$$;
comment on function matrice_private.require_run_key is
  'Raises an error unless the three arguments are given that name a run without its id.';

create or replace function matrice_private.run_of_key(
  project_id uuid, workflow_id text, run_key text, started_at timestamptz
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run uuid;
begin
  select r.id into run from matrice.workflow_runs r
   where r.project_id = run_of_key.project_id and r.workflow_id = run_of_key.workflow_id and r.run_key = run_of_key.run_key;
  if run is not null then
    return run;
  end if;
  perform matrice_private.require_recorder(project_id, matrice_private.current_user_id());
  perform matrice_private.hold_project(project_id);
  insert into matrice.workflow_runs as r (project_id, workflow_id, run_key, started_at)
  values (run_of_key.project_id, run_of_key.workflow_id, run_of_key.run_key, least(run_of_key.started_at, now()))
  on conflict on constraint workflow_runs_project_id_workflow_id_run_key_key do nothing
  returning r.id into run;
  if run is null then
    select r.id into run from matrice.workflow_runs r
     where r.project_id = run_of_key.project_id and r.workflow_id = run_of_key.workflow_id and r.run_key = run_of_key.run_key;
  end if;
  if run is null then
    raise exception 'the run is being deleted'
      using errcode = 'PT409', detail = 'Another transaction deletes the run with this run_key.', hint = 'Try again.';
  end if;
  return run;
end
$$;
comment on function matrice_private.run_of_key is
  'Returns the id of a run. If it is not known yet, it is recorded as running, since started_at at the latest.';

create or replace function matrice_private.require_recorder_of_run(run_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  run record;
begin
  select r.project_id, r.created_by into run from matrice.workflow_runs r where r.id = run_id;
  if not found then
    raise exception 'run not found'
      using errcode = 'PT404', detail = format('There is no run %s that you can see.', run_id),
            hint = 'Pass the id that start_run returned; or project_id, workflow_id and run_key.';
  end if;
  perform matrice_private.require_recorder(run.project_id, run.created_by);
end
$$;
comment on function matrice_private.require_recorder_of_run is
  'Raises an error unless a run exists that the caller may record.';

create or replace function matrice_private.require_parent_run(project_id uuid, parent_run_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if parent_run_id is not null and not exists (
    select from matrice.workflow_runs r
     where r.id = require_parent_run.parent_run_id and r.project_id = require_parent_run.project_id
  ) then
    raise exception 'the parent run was not found'
      using errcode = 'PT404', detail = format('There is no run %s in this project.', parent_run_id),
            hint = 'Pass the id that start_run returned for it.';
  end if;
end
$$;
comment on function matrice_private.require_parent_run is
  'Raises an error unless a parent run, if one is given, is in the project.';

create or replace function matrice_private.named_run(
  run_id uuid, project_id uuid, workflow_id text, run_key text, started_at timestamptz
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if run_id is null then
    perform matrice_private.require_run_key(project_id, workflow_id, run_key);
    return matrice_private.run_of_key(project_id, workflow_id, run_key, started_at);
  elsif num_nonnulls(project_id, workflow_id, run_key) > 0 and not exists (
    select from matrice.workflow_runs r
     where r.id = run_id and r.project_id = coalesce(named_run.project_id, r.project_id)
       and r.workflow_id = coalesce(named_run.workflow_id, r.workflow_id)
       and r.run_key is not distinct from coalesce(named_run.run_key, r.run_key)
  ) then
    raise exception 'run not found'
      using errcode = 'PT404', detail = 'You see no run that has this run_id and this project_id, workflow_id and run_key.',
            hint = 'Pass run_id alone; or leave it null and pass the other three.';
  end if;
  return run_id;
end
$$;
comment on function matrice_private.named_run is
  'Returns the id of the run that the arguments name. If it has no id, and is not known yet, it is recorded as running.';
