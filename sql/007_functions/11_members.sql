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
    raise exception 'the member has not agreed to be one'
      using errcode = 'PT409',
            detail = format('A service added user %s to project %s.', new.user_id, new.project_id),
            hint = 'Invite them as an owner: invite_member().';
  end if;
  return new;
end
$$;
comment on function matrice_private.require_acceptance is
  'Refuses to make an owner of somebody who never agreed to be a member: an owner answers for the project, and the last one cannot leave.';

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
  'Makes the creator of a project its owner. SECURITY DEFINER: nobody may grant themselves a membership, and there is no owner yet who could.';

create or replace trigger add_first_owner after insert on matrice.projects
for each row when (new.created_by is not null) execute function matrice_private.add_first_owner();

create or replace function matrice_private.keep_an_owner() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Writing the project's row makes concurrent departures wait for each other (or fail, if serializable).
  -- No row: the project itself is being deleted.
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
  'Refuses the departure or demotion of a project''s last owner. SECURITY DEFINER: it must see every owner and lock the project whoever leaves.';

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
comment on function matrice.list_members is 'The members of a project, owners first.';

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
      using errcode = 'PT404', detail = format('User %s is no member of project %s.', user_id, project_id),
            hint = 'list_members() lists them.';
  end if;
end
$$;
comment on function matrice_private.require_member is 'Raises unless a user is a member of a project.';

create or replace function matrice.set_member_role(project_id uuid, user_id uuid, role text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_one_of('role', role, array['owner', 'editor', 'viewer']);
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
  'Changes the role of a member: owner, editor or viewer. The last owner stays one (PT409), and only who agreed to be a member can become one (PT409). For owners.';

create or replace function matrice.remove_member(project_id uuid, user_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Leaving needs no role.
  perform matrice_private.require_role(
    project_id, case when user_id = matrice_private.current_user_id() then 'viewer' else 'owner' end);
  perform matrice_private.hold_project(project_id);
  perform matrice_private.require_member(project_id, user_id);
  delete from matrice.user_projects m
   where m.project_id = remove_member.project_id and m.user_id = remove_member.user_id;
end
$$;
comment on function matrice.remove_member is
  'Removes a member: owners anybody, everybody themselves. The last owner stays (PT409).';
