-- Projects, their members and their six pillars.
--
-- `matrice` holds what a client may see and is exposed to PostgREST; `matrice_private` holds what it may not.
-- Triggers, defaults and functions are written so that nothing stored depends on the extension's own functions:
-- DROP EXTENSION leaves every row and every object of these files in place.

comment on schema matrice is 'Projects with their six pillars, documents as embedded chunks, insights, and workflow runs with their cost.';
comment on schema matrice_private is 'Internals of matrice: policy helpers and triggers. Not to be exposed through the API.';

-- Who calls ----------------------------------------------------------------------------------------------------------

create function matrice_private.current_user_id() returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  claim  text := nullif(current_setting('request.jwt.claim.sub', true), '');
  claims text := nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub';
  caller uuid;
begin
  -- A session without claims is nobody, and so is one that claims to be two: null matches no row.
  if claim <> claims then
    return null;
  end if;
  if to_regprocedure('auth.uid()') is null then
    return coalesce(claim, claims)::uuid;
  end if;
  -- Dynamic, because elsewhere there is no such function to name.
  execute format('select %s', to_regprocedure('auth.uid()')) into caller;
  return caller;
end
$$;
comment on function matrice_private.current_user_id() is
  'The caller''s id: auth.uid() where it exists, else the subject of the JWT claims that PostgREST sets; null without claims, or where the two settings that hold them disagree.';

create function matrice_private.touch_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function matrice_private.touch_updated_at() is 'Sets updated_at on every update.';

-- projects -----------------------------------------------------------------------------------------------------------

create table matrice.projects (
  id            uuid        not null default gen_random_uuid(),
  name          text        not null,
  description   text,
  domain        text,
  current_phase text        not null default 'P1',
  settings      jsonb       not null default '{}',
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  created_by    uuid                 default matrice_private.current_user_id(),
  constraint projects_pkey primary key (id),
  constraint projects_name_not_blank check (name ~ '\S'),
  constraint projects_current_phase_check check (current_phase in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint projects_settings_is_object check (jsonb_typeof(settings) = 'object')
);
create index idx_projects_created_by on matrice.projects (created_by);

comment on table matrice.projects is 'A project: the tenant that everything else belongs to.';
comment on column matrice.projects.id is 'Primary key.';
comment on column matrice.projects.name is 'Project name; not blank.';
comment on column matrice.projects.description is 'What the project is about.';
comment on column matrice.projects.domain is 'Business domain.';
comment on column matrice.projects.current_phase is 'Current Matrice phase, P1 to P6.';
comment on column matrice.projects.settings is
  'Project-specific settings. matrice reads "embedding_model" (a row of embedding_models) and "language" (a text search configuration such as "english" or "french").';
comment on column matrice.projects.created_at is 'Creation timestamp.';
comment on column matrice.projects.updated_at is 'Last update.';
comment on column matrice.projects.created_by is 'The user who created the project and became its first owner.';

create trigger touch_updated_at before update on matrice.projects
for each row execute function matrice_private.touch_updated_at();

-- user_projects ------------------------------------------------------------------------------------------------------

create table matrice.user_projects (
  user_id    uuid        not null,
  project_id uuid        not null,
  role       text        not null default 'viewer',
  created_at timestamptz not null default now(),
  constraint user_projects_pkey primary key (user_id, project_id) include (role),
  constraint user_projects_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint user_projects_role_check check (role in ('owner', 'editor', 'viewer'))
);
create index idx_user_projects_project on matrice.user_projects (project_id);

comment on table matrice.user_projects is 'Who is a member of which project, and as what: owner > editor > viewer.';
comment on column matrice.user_projects.user_id is 'The member; auth.users.id on Supabase.';
comment on column matrice.user_projects.project_id is 'The project.';
comment on column matrice.user_projects.role is
  'viewer reads everything of the project; editor also writes its content; owner also manages members, settings and deletion.';
comment on column matrice.user_projects.created_at is 'When the user became a member.';

create function matrice_private.add_first_owner() returns trigger
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
comment on function matrice_private.add_first_owner() is
  'Makes the creator of a project its owner. SECURITY DEFINER: nobody may grant themselves a membership, and there is no owner yet who could.';

create trigger add_first_owner after insert on matrice.projects
for each row when (new.created_by is not null) execute function matrice_private.add_first_owner();

create function matrice_private.keep_an_owner() returns trigger
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
comment on function matrice_private.keep_an_owner() is
  'Refuses the departure or demotion of a project''s last owner. SECURITY DEFINER: it must see every owner and lock the project whoever leaves.';

create trigger keep_an_owner after delete or update on matrice.user_projects
for each row when (old.role = 'owner') execute function matrice_private.keep_an_owner();

-- project_invitations ------------------------------------------------------------------------------------------------

create table matrice.project_invitations (
  id          uuid        not null default gen_random_uuid(),
  project_id  uuid        not null,
  email       text        not null,
  role        text        not null default 'viewer',
  token_hash  bytea       not null,
  invited_by  uuid                 default matrice_private.current_user_id(),
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null default now() + interval '7 days',
  accepted_at timestamptz,
  accepted_by uuid,
  constraint project_invitations_pkey primary key (id),
  constraint project_invitations_token_hash_key unique (token_hash),
  constraint project_invitations_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint project_invitations_role_check check (role in ('owner', 'editor', 'viewer')),
  constraint project_invitations_email_check check (email like '%_@_%'),
  constraint project_invitations_acceptance_check check ((accepted_at is null) = (accepted_by is null))
);
create index idx_project_invitations_project on matrice.project_invitations (project_id);
create unique index project_invitations_one_open on matrice.project_invitations (project_id, lower(email)) where accepted_at is null;

comment on table matrice.project_invitations is 'Who was invited to a project. Made by invite_member, used up by accept_invite; owners see and withdraw them.';
comment on column matrice.project_invitations.id is 'Primary key.';
comment on column matrice.project_invitations.project_id is 'The project.';
comment on column matrice.project_invitations.email is 'Whom the token was made for. Whoever holds it can accept: it is sent to this address.';
comment on column matrice.project_invitations.role is 'What the invited user becomes.';
comment on column matrice.project_invitations.token_hash is 'SHA-256 of the token. The token itself is stored nowhere.';
comment on column matrice.project_invitations.invited_by is 'The owner who invited; void once they are no owner any more. Null: a service did.';
comment on column matrice.project_invitations.created_at is 'When.';
comment on column matrice.project_invitations.expires_at is 'The token is void from this time on.';
comment on column matrice.project_invitations.accepted_at is 'When it was accepted.';
comment on column matrice.project_invitations.accepted_by is 'Who accepted it.';

create function matrice_private.role_rank(role text) returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array_position(array['viewer', 'editor', 'owner'], role);
end;
comment on function matrice_private.role_rank(text) is 'viewer 1, editor 2, owner 3.';

create function matrice_private.accept_invitation(token text) returns uuid
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
  -- A project is locked before what belongs to it, as its deletion does.
  perform from matrice.projects p
    where p.id = (select i.project_id from matrice.project_invitations i where i.token_hash = sha256(convert_to(token, 'UTF8')))
      for key share;
  -- Of two who accept at the same moment, the second finds it accepted.
  update matrice.project_invitations i
     set accepted_at = now(), accepted_by = caller
   where i.token_hash = sha256(convert_to(token, 'UTF8'))
     and i.accepted_at is null
     and i.expires_at > now()
     -- Or an owner could invite a second self, be removed, and come back.
     and (i.invited_by is null or exists (
       select from matrice.user_projects m
        where m.project_id = i.project_id and m.user_id = i.invited_by and m.role = 'owner'
     ))
  returning i.project_id, i.role into invitation;
  if not found then
    raise exception 'invitation not found'
      using errcode = 'PT404',
            detail = 'The token is unknown, used up, expired, or from somebody who is no owner any more.',
            hint = 'Ask an owner of the project to invite you again.';
  end if;
  insert into matrice.user_projects as m (user_id, project_id, role)
  values (caller, invitation.project_id, invitation.role)
  on conflict on constraint user_projects_pkey do update
    set role = excluded.role
    where matrice_private.role_rank(excluded.role) > matrice_private.role_rank(m.role);
  return invitation.project_id;
end
$$;
comment on function matrice_private.accept_invitation(text) is
  'Makes the caller a member by a token. SECURITY DEFINER: the caller is no member yet and may see neither the invitation nor the memberships.';

-- pillars ------------------------------------------------------------------------------------------------------------

create table matrice.pillars (
  id         uuid        not null default gen_random_uuid(),
  project_id uuid        not null,
  code       text        not null,
  name       text        not null,
  content    text        not null default '',
  metadata   jsonb       not null default '{}',
  version    integer     not null default 1,
  updated_at timestamptz not null default now(),
  constraint pillars_pkey primary key (id),
  constraint pillars_project_id_code_key unique (project_id, code),
  constraint pillars_project_id_id_key unique (project_id, id),
  constraint pillars_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint pillars_code_check check (code in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint pillars_version_check check (version > 0),
  constraint pillars_metadata_is_object check (jsonb_typeof(metadata) = 'object')
);
create index idx_pillars_project on matrice.pillars (project_id);

comment on table matrice.pillars is 'The six pillars P1–P6 of each project. Every change is kept in pillar_versions.';
comment on column matrice.pillars.id is 'Primary key.';
comment on column matrice.pillars.project_id is 'The project.';
comment on column matrice.pillars.code is 'P1, P2, P3, P4, P5 or P6.';
comment on column matrice.pillars.name is 'vision (P1), acteurs (P2), donnees (P3), …';
comment on column matrice.pillars.content is 'Markdown content.';
comment on column matrice.pillars.metadata is 'Additional structured data.';
comment on column matrice.pillars.version is 'Number of the current version; grows by one with every change of content or metadata.';
comment on column matrice.pillars.updated_at is 'Last change of content or metadata.';

create table matrice.pillar_versions (
  pillar_id     uuid        not null,
  version       integer     not null,
  project_id    uuid        not null,
  content       text        not null,
  metadata      jsonb       not null,
  saved_at      timestamptz not null default now(),
  saved_by      uuid,
  restored_from integer,
  constraint pillar_versions_pkey primary key (pillar_id, version),
  constraint pillar_versions_pillar_fkey foreign key (project_id, pillar_id)
    references matrice.pillars (project_id, id) on delete cascade
);
create index idx_pillar_versions_pillar on matrice.pillar_versions (project_id, pillar_id);

comment on table matrice.pillar_versions is 'Every version of every pillar; append-only.';
comment on column matrice.pillar_versions.pillar_id is 'The pillar.';
comment on column matrice.pillar_versions.version is 'Number of the version, from 1.';
comment on column matrice.pillar_versions.project_id is 'The pillar''s project.';
comment on column matrice.pillar_versions.content is 'The pillar''s content in this version.';
comment on column matrice.pillar_versions.metadata is 'The pillar''s metadata in this version.';
comment on column matrice.pillar_versions.saved_at is 'When the version was saved.';
comment on column matrice.pillar_versions.saved_by is 'Who saved it; null for a session without claims.';
comment on column matrice.pillar_versions.restored_from is 'The older version that restore_pillar saved again as this one.';

create function matrice_private.number_pillar_version() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if (new.content, new.metadata) is distinct from (old.content, old.metadata) then
    new.version := old.version + 1;
    new.updated_at := now();
  else
    new.version := old.version;
  end if;
  return new;
end
$$;
comment on function matrice_private.number_pillar_version() is 'Counts a pillar''s versions, whatever number the client wrote.';

create trigger number_pillar_version before update on matrice.pillars
for each row execute function matrice_private.number_pillar_version();

create function matrice_private.keep_pillar_version() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice.pillar_versions (pillar_id, version, project_id, content, metadata, saved_by, restored_from)
  values (new.id, new.version, new.project_id, new.content, new.metadata, matrice_private.current_user_id(),
          -- restore_pillar says so, for its own save alone.
          nullif(current_setting('matrice.restored_version', true), '')::integer)
  on conflict do nothing;
  return null;
end
$$;
comment on function matrice_private.keep_pillar_version() is
  'Appends a pillar''s new version to its history. SECURITY DEFINER: the history is append-only, so no client may write it.';

create trigger keep_pillar_version after insert or update on matrice.pillars
for each row execute function matrice_private.keep_pillar_version();
