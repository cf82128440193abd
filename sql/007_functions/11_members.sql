-- Members of projects: owner > editor > viewer.

create or replace trigger keep_membership before update of user_id, created_at, accepted_at on matrice.user_projects
for each row when (old.user_id is distinct from new.user_id or old.created_at is distinct from new.created_at
  or old.accepted_at is distinct from new.accepted_at)
execute function matrice_private.refuse_change('clients', 'user_id, created_at and accepted_at');

create or replace function matrice_private.require_acceptance() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active(tg_relid) then
    raise exception 'the user has not agreed to be a member'
      using errcode = 'PT409',
            detail = format('A service added user %s to project %s.', new.user_id, new.project_id),
            hint = 'Invite the user with invite_member() and the role owner.';
  end if;
  return new;
end
$$;
comment on function matrice_private.require_acceptance is
  'Refuses to make a user an owner who never agreed to be a member. An owner is responsible for the project, and the '
  'last owner cannot leave.';

create or replace trigger require_acceptance before update of role on matrice.user_projects
for each row when (new.role = 'owner' and old.role <> 'owner' and new.accepted_at is null)
execute function matrice_private.require_acceptance();

create or replace function matrice_private.add_first_owner() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice.user_projects (user_id, project_id, role)
  values (new.created_by, new.id, 'owner')
  on conflict do nothing;
  return null;
end
$$;
comment on function matrice_private.add_first_owner is
  'Makes the creator of a project its owner. SECURITY DEFINER: nobody may make themselves a member, and the project '
  'has no owner yet who could add one.';

create or replace trigger add_first_owner after insert on matrice.projects
for each row when (new.created_by is not null) execute function matrice_private.add_first_owner();

create or replace function matrice_private.keep_an_owner() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Because both update the project's row, two owners who leave at the same moment wait for each other (or fail, if
  -- serializable). If there is no row, the project itself is being deleted.
  update matrice.projects set updated_at = now() where id = old.project_id;
  if found and not exists (
    select from matrice.user_projects m where m.project_id = old.project_id and m.role = 'owner'
  ) then
    raise exception 'a project must keep an owner'
      using errcode = 'PT409',
            detail = format('User %s is the last owner of project %s.', old.user_id, old.project_id),
            hint = 'Make another member an owner first, or delete the project.';
  end if;
  return null;
end
$$;
comment on function matrice_private.keep_an_owner is
  'Refuses to remove or demote the last owner of a project. SECURITY DEFINER: it must see all owners and lock the '
  'project, whoever leaves.';

create or replace trigger keep_an_owner after delete or update on matrice.user_projects
for each row when (old.role = 'owner') execute function matrice_private.keep_an_owner();

create or replace function matrice.list_members(project_id uuid)
returns table (user_id uuid, role text, member_since timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select m.user_id, m.role, m.created_at
      from matrice.user_projects m
     where m.project_id = list_members.project_id
     order by matrice_private.role_rank(m.role) desc, m.created_at, m.user_id;
end
$$;
comment on function matrice.list_members is
  'Lists the members of a project, owners first. member_since is the time when the user became a member. Needs the '
  'role viewer.';

create or replace function matrice_private.require_member(project_id uuid, user_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('user_id', user_id);
  if not exists (
    select from matrice.user_projects m where m.project_id = require_member.project_id and m.user_id = require_member.user_id
  ) then
    raise exception 'member not found'
      using errcode = 'PT404', detail = format('User %s is not a member of project %s.', user_id, project_id),
            hint = 'list_members() lists them.';
  end if;
end
$$;
comment on function matrice_private.require_member is 'Raises an error unless the user is a member of the project.';

create or replace function matrice.set_member_role(project_id uuid, user_id uuid, role text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_one_of('role', role, matrice_private.roles());
  perform matrice_private.require_role(project_id, 'owner');
  perform matrice_private.hold_project(project_id);
  perform matrice_private.require_member(project_id, user_id);
  update matrice.user_projects m
     set role = set_member_role.role
   where m.project_id = set_member_role.project_id and m.user_id = set_member_role.user_id
     and m.role <> set_member_role.role;
end
$$;
comment on function matrice.set_member_role is
  'Changes the role of a member. role: owner, editor or viewer. Raises PT409 if the member is the last owner, or if '
  'the new role is owner and the member never agreed to be a member. Needs the role owner.';

create or replace function matrice.remove_member(project_id uuid, user_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Every member may leave.
  perform matrice_private.require_role(
    project_id, case when user_id = matrice_private.current_user_id() then 'viewer' else 'owner' end);
  perform matrice_private.hold_project(project_id);
  perform matrice_private.require_member(project_id, user_id);
  delete from matrice.user_projects m
   where m.project_id = remove_member.project_id and m.user_id = remove_member.user_id;
end
$$;
comment on function matrice.remove_member is
  'Removes a member from a project. Every member can remove themselves; owners can remove anybody. Raises PT409 if the '
  'member is the last owner.';
