-- Invitations: how users become members.

create or replace function matrice_private.accept_invitation(token text) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller     uuid := matrice_private.current_user_id();
  invitation record;
begin
  if caller is null then
    raise exception 'only a signed-in user can accept an invitation'
      using errcode = '42501', hint = 'Sign in first; the invitation stays open.';
  end if;
  -- Locks the project before its other rows, as deleting it does, so that the two cannot deadlock.
  perform from matrice.projects p
    where p.id = (select i.project_id from matrice.project_invitations i where i.token_hash = sha256(convert_to(token, 'UTF8')))
      for key share;
  -- If two users accept at the same moment, the second finds no open invitation.
  update matrice.project_invitations i
     set accepted_at = now(), accepted_by = caller
   where i.token_hash = sha256(convert_to(token, 'UTF8'))
     and i.accepted_at is null
     and i.expires_at > now()
     -- The inviter must still be an owner. Otherwise an owner could invite a second account of their own, be removed, and
     -- come back.
     and (i.invited_by is null or exists (
       select from matrice.user_projects m
        where m.project_id = i.project_id and m.user_id = i.invited_by and m.role = 'owner'
     ))
  returning i.project_id, i.role into invitation;
  if not found then
    raise exception 'invitation not found'
      using errcode = 'PT404',
            detail = 'The token is unknown, used, expired, or from somebody who is no longer an owner.',
            hint = 'Ask an owner of the project to invite you again.';
  end if;
  insert into matrice.user_projects as m (user_id, project_id, role)
  values (caller, invitation.project_id, invitation.role)
  on conflict on constraint user_projects_pkey do update
    set role = case when matrice_private.role_rank(excluded.role) > matrice_private.role_rank(m.role)
                    then excluded.role else m.role end,
        accepted_at = coalesce(m.accepted_at, excluded.accepted_at)
    where matrice_private.role_rank(excluded.role) > matrice_private.role_rank(m.role) or m.accepted_at is null;
  return invitation.project_id;
end
$$;
comment on function matrice_private.accept_invitation is
  'Makes the caller a member of a project by a token. Returns the id of the project. SECURITY DEFINER: the caller is '
  'not a member yet and may see neither the invitation nor the memberships.';

create or replace function matrice_private.void_invitations() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice.project_invitations i
   where i.project_id = old.project_id and i.invited_by = old.user_id and i.accepted_at is null;
  return null;
end
$$;
comment on function matrice_private.void_invitations is
  'Deletes the open invitations of a user who is no longer an owner. They do not come back with the role. '
  'SECURITY DEFINER: a user who is no longer an owner may not write to invitations.';

create or replace trigger void_invitations after delete on matrice.user_projects
for each row when (old.role = 'owner') execute function matrice_private.void_invitations();
create or replace trigger void_invitations_of_former after update of role, user_id, project_id on matrice.user_projects
for each row when (old.role = 'owner'
  and (new.role <> 'owner' or old.user_id is distinct from new.user_id or old.project_id is distinct from new.project_id))
execute function matrice_private.void_invitations();

create or replace function matrice_private.trimmed(value text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select btrim(value, E' \t\n\r\f\u000b\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005'
                      '\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff');
end;
comment on function matrice_private.trimmed is
  'Returns a text without the white space and invisible characters around it, which people often copy along.';

create or replace function matrice_private.make_invitation(
  project_id uuid, email text, role text, valid_for interval, invited_by uuid
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- 244 random bits. Only the hash is stored.
  token   text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
  address text;
begin
  perform matrice_private.require_text('email', left(email, 1000));
  -- The same rule as the check of the table. A longer text is not even normalized.
  if octet_length(email) <= 4000 then
    address := normalize(matrice_private.trimmed(email), nfc);
  end if;
  if address is null or length(address) > 254
     or address !~ '^[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+'
                   '@[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+$' then
    raise exception 'not an e-mail address: %', quote_literal(left(email, 100))
      using errcode = '22023', hint = 'Pass name@domain with at most 254 characters and no white space.';
  end if;
  perform matrice_private.require_one_of('role', role, matrice_private.roles());
  perform matrice_private.require_given('valid_for', valid_for);
  if not valid_for between interval '1 minute' and interval '365 days' then
    raise exception 'valid_for must be between a minute and a year'
      using errcode = '22023', detail = format('It is %s.', valid_for), hint = 'Leave it out to use 7 days.';
  end if;
  insert into matrice.project_invitations (project_id, email, role, token_hash, expires_at, invited_by)
  values (make_invitation.project_id, address, make_invitation.role, sha256(convert_to(token, 'UTF8')), now() + valid_for,
          make_invitation.invited_by)
  on conflict (project_id, lower(email)) where accepted_at is null do update
    set role = excluded.role, token_hash = excluded.token_hash, expires_at = excluded.expires_at,
        invited_by = excluded.invited_by, created_at = now();
  return token;
end
$$;
comment on function matrice_private.make_invitation is
  'Stores an invitation and returns its token. Replaces an open invitation for the same address. Runs as its caller, '
  'so users cannot call it directly: it is for services and invite_as_owner.';

create or replace function matrice_private.invite_as_owner(
  project_id uuid, email text, role text, valid_for interval
) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := matrice_private.current_user_id();
begin
  -- Waits for a transaction that removes the caller, because it deletes only invitations that it can see.
  perform from matrice.user_projects m
    where m.project_id = invite_as_owner.project_id and m.user_id = caller and m.role = 'owner' for share;
  if not found then
    raise exception 'this needs the role owner'
      using errcode = '42501', detail = 'Only owners can invite.', hint = 'Ask an owner of the project.';
  end if;
  return matrice_private.make_invitation(project_id, email, role, valid_for, caller);
end
$$;
comment on function matrice_private.invite_as_owner is
  'Invites somebody in the name of the caller. SECURITY DEFINER: clients may not write invitations, so that they '
  'cannot choose the token, the inviter or the expiry. Raises 42501 unless the caller is an owner of the project.';

create or replace function matrice.invite_member(
  project_id uuid, email text, role text default 'viewer', valid_for interval default '7 days'
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.project_invitations') then
    return matrice_private.invite_as_owner(project_id, email, role, valid_for);
  end if;
  return matrice_private.make_invitation(project_id, email, role, valid_for, matrice_private.current_user_id());
end
$$;
comment on function matrice.invite_member is
  'Invites somebody to a project. Returns the token of the invitation. Send it to the invited person: it works once and '
  'cannot be read again. If the same address is invited again, the earlier token is no longer valid. email: white space '
  'around it is ignored. role: owner, editor or viewer. valid_for: between 1 minute and 365 days. Needs the role owner. '
  'Defaults: role ''viewer'', valid_for ''7 days''.';

create or replace function matrice.accept_invite(token text) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_text('token', left(token, 1000));
  return matrice_private.accept_invitation(matrice_private.trimmed(left(token, 1000)));
end
$$;
comment on function matrice.accept_invite is
  'Accepts an invitation: the caller becomes a member of the project. Returns the id of the project. token: what '
  'invite_member returned. It works once; white space around it is ignored. A member who has a higher role keeps it. Raises '
  'PT404 if the token is not valid.';
