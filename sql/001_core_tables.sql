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
comment on function matrice_private.is_trusted is
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
comment on function matrice_private.current_user_id is
  'The caller''s id: auth.uid() where the schema auth belongs to a superuser or to the owner of matrice, else the subject of the JWT claims that PostgREST sets; null without claims, where their subject is no UUID, or where the two settings that hold them disagree.';

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
comment on function matrice_private.json_within is
  'Whether a JSON value has at most so many bytes as text, at most 64 levels, and only numbers that a double can hold.';

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

create function matrice_private.is_free_project_id(id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return not exists (select from matrice_private.taken_project_ids t where t.id = is_free_project_id.id);
end
$$;
comment on function matrice_private.is_free_project_id is
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
