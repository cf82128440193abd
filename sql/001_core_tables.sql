-- Projects, their members and their six pillars.
--
-- `matrice` holds what a client may see and is exposed to PostgREST; `matrice_private` holds what it may not.
-- Triggers, defaults and functions are written so that nothing stored depends on the extension's own functions:
-- DROP EXTENSION leaves every row and every object of these files in place.

comment on schema matrice is 'Projects with their six pillars, documents as embedded chunks, insights, and workflow runs with their cost.';
comment on schema matrice_private is 'Internals of matrice: policy helpers and triggers. Not to be exposed through the API.';

-- Who calls ----------------------------------------------------------------------------------------------------------

create function matrice_private.is_trusted(owner oid) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from pg_roles r
     where r.oid = owner and (r.rolsuper or r.oid = (select n.nspowner from pg_namespace n where n.nspname = 'matrice'))
  );
end
$$;
comment on function matrice_private.is_trusted(oid) is
  'Whether what a role has made may be used here: a superuser''s and the owner''s of matrice. Whoever may create schemas could make one called auth.';

create function matrice_private.current_user_id() returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  claim    text := nullif(current_setting('request.jwt.claim.sub', true), '');
  claims   text;
  identity regprocedure;
  caller   uuid;
begin
  claims := nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub';
  -- A session without claims is nobody, and so is one that claims to be two: null matches no row.
  if claim <> claims then
    return null;
  end if;
  select p.oid into identity
    from pg_namespace n join pg_proc p on p.pronamespace = n.oid
   where n.nspname = 'auth' and p.proname = 'uid' and p.pronargs = 0 and p.prorettype = 'uuid'::regtype
     and matrice_private.is_trusted(n.nspowner);
  if identity is null then
    return coalesce(claim, claims)::uuid;
  end if;
  -- Dynamic, because elsewhere there is no such function to name.
  execute format('select %s', identity) into caller;
  return caller;
exception when data_exception then
  -- Other issuers of tokens have subjects that are no UUIDs. Whoever they are, they are no user of these tables.
  return null;
end
$$;
comment on function matrice_private.current_user_id() is
  'The caller''s id: auth.uid() where the schema auth belongs to a superuser or to the owner of matrice, else the subject of the JWT claims that PostgREST sets; null without claims, where their subject is no UUID, or where the two settings that hold them disagree.';

create function matrice_private.touch_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A service may bring a row with its past.
  if tg_op = 'UPDATE' or row_security_active(tg_relid) then
    new.updated_at := now();
  end if;
  return new;
end
$$;
comment on function matrice_private.touch_updated_at() is 'Sets updated_at on every update, and on what a client inserts.';

create function matrice_private.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_argv[0] = 'clients' and not row_security_active(tg_relid) then
    return new;
  end if;
  raise exception '% of % cannot be changed', tg_argv[1], tg_table_name
    using errcode = '42501', detail = 'It is set when the row is made, and stays.', hint = 'Leave it out of the update.';
end
$$;
comment on function matrice_private.refuse_change() is
  'Refuses a change of the columns that its trigger names, to anybody, or to clients alone. A trigger rather than missing privileges: an upsert writes every column, the unchanged ones too.';

-- Bounds -------------------------------------------------------------------------------------------------------------

-- Everything that a client can write has a bound: a text by its bytes, a JSON value by its bytes and depth, a number and a time on
-- both sides. Times lie between 1900 and 2200: what computes with them meets neither infinity nor an overflow.

create function matrice_private.json_within(value jsonb, bytes integer) returns boolean
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    -- A JSON text takes at most some four times its length as jsonb. To write a larger one out would take more memory than to store it.
    when pg_column_size(value) > 4 * bytes + 100 then false
    -- Most functions of jsonb call themselves at each level. A value that one of them can still read may be too deep for the next.
    when jsonb_path_exists(value, '$.**{65}') then false
    -- A number of ten bytes can have 131,072 digits, and clients read it as infinity.
    when jsonb_path_exists(value, 'strict $.** ? (@ > 1e308 || @ < -1e308)') then false
    else octet_length(value::text) <= bytes
  end;
end
$$;
comment on function matrice_private.json_within(jsonb, integer) is
  'Whether a JSON value has at most so many bytes as text, at most 64 levels, and only numbers that a double can hold.';

create function matrice_private.require_bytes(argument text, value text, most integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if octet_length(value) > most then
    raise exception '% is too long', argument
      using errcode = '22023', detail = format('It has %s bytes; at most %s are allowed.', octet_length(value), most),
            hint = 'Shorten it, or divide it.';
  end if;
end
$$;
comment on function matrice_private.require_bytes(text, text, integer) is 'Raises where a text argument has more bytes than are allowed.';

create function matrice_private.require_json(argument text, value jsonb, most integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not matrice_private.json_within(value, most) then
    raise exception '% is too large', argument
      using errcode = '22023',
            detail = format('A JSON value here has at most %s bytes and 64 levels, and numbers between -1e308 and 1e308.', most),
            hint = 'Store files and large values elsewhere, and their address here.';
  end if;
end
$$;
comment on function matrice_private.require_json(text, jsonb, integer) is
  'Raises where a JSON argument is larger or deeper than is allowed. Deeper values break functions of jsonb, which call themselves at each level.';

create function matrice_private.require_time(argument text, value timestamptz) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if value not between '1900-01-01 00:00Z' and '2200-01-01 00:00Z' then
    raise exception '% must be between the years 1900 and 2200', argument
      using errcode = '22023', detail = format('It is %s.', value), hint = 'Leave it out for now.';
  end if;
end
$$;
comment on function matrice_private.require_time(text, timestamptz) is 'Raises unless a time can be computed with.';

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
  constraint projects_current_phase_p1_to_p6_check check (current_phase in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint projects_settings_is_object check (jsonb_typeof(settings) = 'object'),
  constraint projects_settings_size check (matrice_private.json_within(settings, 16384)),
  constraint projects_name_length check (octet_length(name) <= 2000),
  constraint projects_description_length check (octet_length(description) <= 16384),
  constraint projects_domain_length check (octet_length(domain) <= 2000),
  constraint projects_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint projects_updated_at_check check (updated_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_projects_created_by on matrice.projects (created_by);

comment on table matrice.projects is 'A project: the tenant that everything else belongs to.';
comment on column matrice.projects.id is 'Primary key.';
comment on column matrice.projects.name is 'Project name; not blank.';
comment on column matrice.projects.description is 'What the project is about.';
comment on column matrice.projects.domain is 'Business domain.';
comment on column matrice.projects.current_phase is 'Current Matrice phase, P1 to P6.';
comment on column matrice.projects.settings is
  'Project-specific settings, at most 16 kB: "embedding_model" (a row of embedding_models), "language" (a text search configuration such as "english" or "french"), and "app", an object of the application''s own, which matrice does not read. Other keys are refused.';
comment on column matrice.projects.created_at is 'Creation timestamp.';
comment on column matrice.projects.updated_at is 'Last update.';
comment on column matrice.projects.created_by is 'The user who created the project and became its first owner.';

create trigger touch_updated_at before insert or update on matrice.projects
for each row execute function matrice_private.touch_updated_at();

create trigger keep_creation before update of created_by, created_at on matrice.projects
for each row when ((old.created_by, old.created_at) is distinct from (new.created_by, new.created_at))
execute function matrice_private.refuse_change('clients', 'created_by and created_at');

-- What a project's id stands for outlives the project: its entries in the audit trail, files in a bucket, rows elsewhere.
create table matrice_private.taken_project_ids (
  id uuid not null,
  constraint taken_project_ids_pkey primary key (id)
);
alter table matrice_private.taken_project_ids enable row level security;
create policy "nobody reads them" on matrice_private.taken_project_ids for select to authenticated using (false);

comment on table matrice_private.taken_project_ids is
  'Every id that ever was a project''s. Clients may choose ids, and whoever could take a deleted project''s would read what is left of it.';
comment on column matrice_private.taken_project_ids.id is 'The id.';

create function matrice_private.take_project_id() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.taken_project_ids (id) values (new.id);
  return null;
exception when unique_violation then
  -- In the words of a project that is there: nobody is to learn the difference.
  raise exception 'duplicate key value violates unique constraint "projects_pkey"'
    using errcode = '23505', schema = 'matrice', table = 'projects', constraint = 'projects_pkey';
end
$$;
comment on function matrice_private.take_project_id() is
  'Refuses an id that another project had. SECURITY DEFINER: nobody may read or write which ids are taken. A unique key rather than a look: no snapshot is too old for it.';

create trigger take_project_id after insert on matrice.projects
for each row execute function matrice_private.take_project_id();

create function matrice_private.is_free_project_id(id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return not exists (select from matrice_private.taken_project_ids t where t.id = is_free_project_id.id);
end
$$;
comment on function matrice_private.is_free_project_id(uuid) is
  'Whether no project has or had this id. SECURITY DEFINER: policies ask it as the caller. It says no more than inserting a project would, and not whether the other is still there.';

-- user_projects ------------------------------------------------------------------------------------------------------

create table matrice.user_projects (
  user_id     uuid        not null,
  project_id  uuid        not null,
  role        text        not null default 'viewer',
  created_at  timestamptz not null default now(),
  accepted_at timestamptz          default now(),
  constraint user_projects_pkey primary key (user_id, project_id) include (role),
  constraint user_projects_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint user_projects_role_owner_editor_viewer check (role in ('owner', 'editor', 'viewer')),
  constraint user_projects_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint user_projects_accepted_at_check check (accepted_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_user_projects_project on matrice.user_projects (project_id);

comment on table matrice.user_projects is 'Who is a member of which project, and as what: owner > editor > viewer.';
comment on column matrice.user_projects.user_id is 'The member; auth.users.id on Supabase.';
comment on column matrice.user_projects.project_id is 'The project.';
comment on column matrice.user_projects.role is
  'viewer reads everything of the project; editor also writes its content; owner also manages members, settings and deletion.';
comment on column matrice.user_projects.created_at is 'When the user became a member.';
comment on column matrice.user_projects.accepted_at is
  'When the user agreed: by creating the project or accepting an invitation, or because a service says so. Null: a service added somebody who was not asked; no owner can make them an owner.';

create trigger keep_membership before update of user_id, created_at, accepted_at on matrice.user_projects
for each row when (old.user_id is distinct from new.user_id or old.created_at is distinct from new.created_at
  or old.accepted_at is distinct from new.accepted_at)
execute function matrice_private.refuse_change('clients', 'user_id, created_at and accepted_at');

create function matrice_private.require_acceptance() returns trigger
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
comment on function matrice_private.require_acceptance() is
  'Refuses to make an owner of somebody who never agreed to be a member: an owner answers for the project, and the last one cannot leave.';

create trigger require_acceptance before update of role on matrice.user_projects
for each row when (new.role = 'owner' and old.role <> 'owner' and new.accepted_at is null)
execute function matrice_private.require_acceptance();

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
  constraint project_invitations_role_owner_editor_viewer check (role in ('owner', 'editor', 'viewer')),
  constraint project_invitations_email_check check (
    email ~ '^[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+@[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+$'
    and length(email) <= 254
  ),
  constraint project_invitations_acceptance_check check ((accepted_at is null) = (accepted_by is null)),
  constraint project_invitations_token_hash_length check (octet_length(token_hash) = 32),
  constraint project_invitations_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint project_invitations_expires_at_check check (expires_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint project_invitations_accepted_at_check check (accepted_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_project_invitations_project on matrice.project_invitations (project_id);
create unique index project_invitations_one_open on matrice.project_invitations (project_id, lower(email)) where accepted_at is null;

comment on table matrice.project_invitations is
  'Who was invited to a project. Only invite_member and accept_invite write it; owners see and withdraw them. Those of an owner go when they are no owner any more.';
comment on column matrice.project_invitations.id is 'Primary key.';
comment on column matrice.project_invitations.project_id is 'The project.';
comment on column matrice.project_invitations.email is 'Whom the token was made for. Whoever holds it can accept: it is sent to this address.';
comment on column matrice.project_invitations.role is 'What the invited user becomes.';
comment on column matrice.project_invitations.token_hash is 'SHA-256 of the token. The token itself is stored nowhere.';
comment on column matrice.project_invitations.invited_by is 'The owner who invited. Null: a service did.';
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
    set role = case when matrice_private.role_rank(excluded.role) > matrice_private.role_rank(m.role) then excluded.role else m.role end,
        accepted_at = coalesce(m.accepted_at, excluded.accepted_at)
    where matrice_private.role_rank(excluded.role) > matrice_private.role_rank(m.role) or m.accepted_at is null;
  return invitation.project_id;
end
$$;
comment on function matrice_private.accept_invitation(text) is
  'Makes the caller a member by a token. SECURITY DEFINER: the caller is no member yet and may see neither the invitation nor the memberships.';

create function matrice_private.void_invitations() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice.project_invitations i
   where i.project_id = old.project_id and i.invited_by = old.user_id and i.accepted_at is null;
  return null;
end
$$;
comment on function matrice_private.void_invitations() is
  'Withdraws the open invitations of an owner who is none any more; they do not come back with the role. SECURITY DEFINER: whoever leaves may not write to invitations any more.';

create trigger void_invitations after delete on matrice.user_projects
for each row when (old.role = 'owner') execute function matrice_private.void_invitations();
create trigger void_invitations_of_former after update of role, user_id, project_id on matrice.user_projects
for each row when (old.role = 'owner'
  and (new.role <> 'owner' or old.user_id is distinct from new.user_id or old.project_id is distinct from new.project_id))
execute function matrice_private.void_invitations();

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
  constraint pillars_code_p1_to_p6_check check (code in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint pillars_version_check check (version between 1 and 1000000000),
  constraint pillars_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  constraint pillars_metadata_size check (matrice_private.json_within(metadata, 65536)),
  constraint pillars_name_length check (octet_length(name) <= 2000),
  constraint pillars_content_length check (octet_length(content) <= 1048576),
  constraint pillars_updated_at_check check (updated_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
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
  constraint pillar_versions_version_check check (version between 1 and 1000000000),
  constraint pillar_versions_restored_from_check check (restored_from between 1 and version),
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
  if tg_op = 'INSERT' then
    -- A service may bring a pillar with its past.
    if row_security_active(tg_relid) then
      new.version := 1;
      new.updated_at := now();
    end if;
  elsif (new.content, new.metadata) is distinct from (old.content, old.metadata) then
    new.version := old.version + 1;
    new.updated_at := now();
  else
    new.version := old.version;
    new.updated_at := old.updated_at;
  end if;
  return new;
end
$$;
comment on function matrice_private.number_pillar_version() is 'Counts a pillar''s versions and dates them, whatever the client wrote.';

create trigger number_pillar_version before insert or update on matrice.pillars
for each row execute function matrice_private.number_pillar_version();

create trigger keep_code before update of code on matrice.pillars
for each row when (old.code is distinct from new.code) execute function matrice_private.refuse_change('anybody', 'code');

create function matrice_private.keep_pillar_version() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice.pillar_versions (pillar_id, version, project_id, content, metadata, saved_by, restored_from)
  values (new.id, new.version, new.project_id, new.content, new.metadata, matrice_private.current_user_id(),
          -- restore_pillar says so, for its own save alone; anybody else may say so, too.
          (select v.version from matrice.pillar_versions v
            where v.pillar_id = new.id and v.version::text = current_setting('matrice.restored_version', true)
              and (v.content, v.metadata) = (new.content, new.metadata)))
  on conflict do nothing;
  return null;
end
$$;
comment on function matrice_private.keep_pillar_version() is
  'Appends a pillar''s new version to its history. SECURITY DEFINER: the history is append-only, so no client may write it.';

create trigger keep_pillar_version after insert or update on matrice.pillars
for each row execute function matrice_private.keep_pillar_version();

create function matrice_private.forget_pillar_versions(keep_last integer default 100, keep_newer_than interval default '1 year')
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  forgotten bigint;
begin
  if keep_last is null or keep_newer_than is null then
    raise exception 'keep_last and keep_newer_than must not be null' using errcode = '22004', hint = 'Leave them out for 100 and a year.';
  elsif keep_last < 1 then
    raise exception 'keep_last must be at least 1, not %', keep_last
      using errcode = '22023', hint = 'The current version of a pillar is always kept.';
  elsif not keep_newer_than between interval '0' and interval '100 years' then
    raise exception 'keep_newer_than must be between 0 and 100 years, not %', keep_newer_than
      using errcode = '22023', hint = 'Versions that are younger than this are kept.';
  end if;
  delete from matrice.pillar_versions v
   using (
     select n.pillar_id, n.version, row_number() over (partition by n.pillar_id order by n.version desc) as place
       from matrice.pillar_versions n
   ) numbered
   where v.pillar_id = numbered.pillar_id and v.version = numbered.version
     and numbered.place > keep_last and v.saved_at < now() - keep_newer_than;
  get diagnostics forgotten = row_count;
  return forgotten;
end
$$;
comment on function matrice_private.forget_pillar_versions(integer, interval) is
  'Deletes the versions of all pillars but the last keep_last of each and those younger than keep_newer_than, and returns how many. For the owner of the tables, on a schedule: to everybody else the history is append-only.';
