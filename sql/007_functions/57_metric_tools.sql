-- Counting the sums of runs and steps again, and purging what they were made of: for owners.

create or replace function matrice_private.require_owner(project_id uuid) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from matrice.user_projects m
     where m.project_id = require_owner.project_id and m.user_id = matrice_private.current_user_id() and m.role = 'owner') then
    raise exception 'this needs the role owner'
      using errcode = '42501', detail = 'Only owners can rebuild sums and purge steps.', hint = 'Ask an owner of the project.';
  end if;
end
$$;
comment on function matrice_private.require_owner is
  'Raises an error unless the user of the session owns the project. SECURITY DEFINER: for functions that run as the owner of '
  'the tables, where row-level security does not tell.';

create or replace function matrice_private.rebuild_sums_as_owner(project_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_owner(project_id);
  perform matrice_private.rebuild_sums(project_id);
end
$$;
comment on function matrice_private.rebuild_sums_as_owner is
  'Counts the sums of a project again, for its owners. SECURITY DEFINER: clients may not write sums.';

create or replace function matrice_private.purge_as_owner(project_id uuid, older_than timestamptz, most integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_owner(project_id);
  return matrice_private.purge_some(project_id, older_than, most);
end
$$;
comment on function matrice_private.purge_as_owner is
  'Purges steps of a project, for its owners. SECURITY DEFINER: only so are their sums kept.';

create or replace function matrice.rebuild_metrics(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.workflow_steps') then
    perform matrice_private.rebuild_sums_as_owner(project_id);
  else
    perform matrice_private.rebuild_sums(project_id);
  end if;
end
$$;
comment on function matrice.rebuild_metrics is
  'Counts again what workflow_metrics reads, from the runs and steps of a project. It is needed only after rows were loaded '
  'without their triggers, or twice. What was counted of purged steps stays. Nobody who records steps waits. Needs the role '
  'owner.';

create or replace function matrice.purge_steps(project_id uuid, older_than timestamptz, most integer default 10000)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('older_than', older_than);
  perform matrice_private.require_time('older_than', older_than);
  perform matrice_private.require_given('most', most);
  if most not between 1 and 1000000 then
    raise exception 'most must be between 1 and 1000000, not %', most
      using errcode = '22023', hint = 'Call it again until it returns 0.';
  end if;
  if older_than > now() then
    raise exception 'older_than must not be in the future'
      using errcode = '22023', detail = format('It is %s.', older_than), hint = 'Pass the time of the oldest step to keep.';
  end if;
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.workflow_steps') then
    return matrice_private.purge_as_owner(project_id, older_than, most);
  end if;
  return matrice_private.purge_some(project_id, older_than, most);
end
$$;
comment on function matrice.purge_steps is
  'Deletes steps of a project that were executed before older_than and do not run any more, and runs of that time that have '
  'ended and have no step left. workflow_metrics still counts them. Returns how many rows it deleted. Call it again until it '
  'returns 0. most: how many steps, and how many runs, to delete at once. Needs the role owner. Defaults: most 10000.';
