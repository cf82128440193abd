-- Access to projects: roles, and the projects that a caller may read.

create or replace function matrice_private.roles() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['owner', 'editor', 'viewer'];
end;
comment on function matrice_private.roles is 'The roles of members, the highest first.';

create or replace function matrice_private.role_rank(role text) returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select 4 - array_position(matrice_private.roles(), role);
end;
comment on function matrice_private.role_rank is 'Returns the rank of a role: viewer 1, editor 2, owner 3.';

create or replace function matrice_private.require_role(project_id uuid, least_role text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('project_id', project_id);
  if not exists (select from matrice.projects p where p.id = require_role.project_id) then
    raise exception 'project not found'
      using errcode = 'PT404',
            detail = format('There is no project %s that you are a member of.', project_id),
            hint = case when row_security_active('matrice.projects') and matrice_private.current_user_id() is null
                        then 'Sign in first: the JWT claims of the session have no sub that is a UUID.'
                        else 'Check the id, or ask an owner of the project for an invitation.' end;
  end if;
  -- Every member is a viewer, and only members see a project.
  if least_role <> 'viewer' and row_security_active('matrice.projects')
     and project_id <> all (matrice_private.project_ids(least_role)) then
    raise exception 'this needs the role %', least_role
      using errcode = '42501',
            detail = format('You are a member of project %s with a lower role.', project_id),
            hint = 'Ask an owner of the project.';
  end if;
end
$$;
comment on function matrice_private.require_role is
  'Raises an error unless the caller has at least this role in the project. Database roles that bypass row-level '
  'security have every role in every project.';

create or replace function matrice_private.hold_project_of_member(project_id uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.projects p
    where p.id = hold_project_of_member.project_id and p.id = any (matrice_private.project_ids())
      for key share;
  return found;
end
$$;
comment on function matrice_private.hold_project_of_member is
  'Locks a project in the way foreign keys do, if the caller is a member of it. Returns whether it did. '
  'SECURITY DEFINER: locking a row requires the right to change it, which editors do not have.';

create or replace function matrice_private.hold_project(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  held boolean;
begin
  if row_security_active('matrice.projects') then
    held := matrice_private.hold_project_of_member(project_id);
  else
    perform from matrice.projects p where p.id = hold_project.project_id for key share;
    held := found;
  end if;
  if not held then
    raise exception 'project not found'
      using errcode = 'PT404', detail = format('Project %s has just been deleted.', project_id);
  end if;
end
$$;
comment on function matrice_private.hold_project is
  'Keeps a project from being deleted until the transaction ends. Deleting a project locks the project before its '
  'other rows. Functions that write to a project lock in the same order, so they cannot deadlock with it.';

create or replace function matrice_private.searchable_projects(project_id uuid) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id is null then
    return array(select p.id from matrice.projects p);
  end if;
  perform matrice_private.require_role(project_id, 'viewer');
  return array[project_id];
end
$$;
comment on function matrice_private.searchable_projects is
  'Returns the projects that a search covers. project_id: the only one; if null, all that the caller can see. Raises '
  'an error if the caller may not read that project.';

create or replace function matrice_private.projects_of_member(project_ids uuid[]) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  mine uuid[] := matrice_private.project_ids();
begin
  -- Most ask for one project, and a query takes longer than this.
  if cardinality(project_ids) = 1 and project_ids[1] = any (mine) then
    return project_ids;
  end if;
  return array(select id from unnest(project_ids) id where id = any (mine));
end
$$;
comment on function matrice_private.projects_of_member is
  'Returns those of the given projects where the caller is a member. For functions that run as the owner of the '
  'tables.';
