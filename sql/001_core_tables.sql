-- Projects, their members and their six pillars.
--
-- Schema `matrice` holds what clients may see. PostgREST exposes it. Schema `matrice_private` holds the internals.
--
-- No object of these files depends on the functions of the extension, so DROP EXTENSION leaves every row and every object
-- in place.

comment on schema matrice is
  'Projects with their six pillars, documents as embedded chunks, insights, and workflow runs with their cost.';
comment on schema matrice_private is
  'Internals of matrice: helper functions, triggers and tables. Not to be exposed through the API.';

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
  'Returns whether matrice may use objects of this owner. It may if the owner is a superuser or the owner of the '
  'schema matrice. Other roles may be able to create schemas, even one with the name auth.';

create function matrice_private.has_trusted_identity() returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from pg_namespace n join pg_proc p on p.pronamespace = n.oid
     where n.nspname = 'auth' and p.proname = 'uid' and p.pronargs = 0 and p.prorettype = 'uuid'::regtype
       and matrice_private.is_trusted(n.nspowner)
  );
end
$$;
comment on function matrice_private.has_trusted_identity is
  'Returns whether there is a function auth.uid() that matrice may call.';

create function matrice_private.current_user_id() returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  claim  text := nullif(current_setting('request.jwt.claim.sub', true), '');
  claims text;
begin
  claims := nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub';
  -- Two settings that disagree name no user. Null matches no row.
  if claim <> claims then
    return null;
  end if;
  -- Plain Postgres has no auth.uid(). PL/pgSQL does not look for it there, because it never comes to the call.
  if to_regnamespace('auth') is not null and matrice_private.has_trusted_identity() then
    return auth.uid();
  end if;
  return coalesce(claim, claims)::uuid;
exception when data_exception then
  -- Some token issuers use subjects that are not UUIDs. Such a subject is not a user of these tables.
  return null;
end
$$;
comment on function matrice_private.current_user_id is
  'Returns the id of the caller. If the schema auth belongs to a superuser or to the owner of matrice, the id is '
  'auth.uid(). Otherwise it is the subject (sub) of the JWT claims that PostgREST sets. Returns null if there are no '
  'claims, if the subject is not a UUID, or if the settings request.jwt.claim.sub and request.jwt.claims name '
  'different subjects.';

-- Bounds -------------------------------------------------------------------------------------------------------------

-- Every value that a client can write has limits: texts in bytes, JSON values in bytes and depth, numbers and times on both
-- sides. Times lie between 1900 and 2200, so that computing with them meets neither infinity nor an overflow.

create function matrice_private.json_within(value jsonb, bytes integer) returns boolean
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    -- As jsonb, a value takes at most about four times the length of its text. A larger value is refused without writing
    -- out its text, because the text would take more memory than the value.
    when pg_column_size(value) > 4 * bytes + 100 then false
    -- Most functions of jsonb call themselves at each level. A value that one function can still read may be too deep for
    -- another.
    when jsonb_path_exists(value, '$.**{65}') then false
    -- A number of ten bytes can have 131,072 digits. Clients read such a number as infinity.
    when jsonb_path_exists(value, 'strict $.** ? (@ > 1e308 || @ < -1e308)') then false
    else octet_length(value::text) <= bytes
  end;
end
$$;
comment on function matrice_private.json_within is
  'Returns whether a JSON value has at most this many bytes as text, at most 64 levels, and only numbers that a double '
  'can hold.';

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
  reembed_template integer,
  constraint projects_pkey primary key (id),
  constraint projects_name_not_blank check (name ~ '\S'),
  constraint projects_current_phase_p1_to_p6_check check (current_phase in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint projects_settings_is_object check (jsonb_typeof(settings) = 'object'),
  constraint projects_settings_size check (matrice_private.json_within(settings, 16384)),
  constraint projects_name_length check (octet_length(name) <= 2000),
  constraint projects_description_length check (octet_length(description) <= 16384),
  constraint projects_domain_length check (octet_length(domain) <= 2000),
  constraint projects_reembed_template_check check (reembed_template between 0 and 1073741823),
  constraint projects_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint projects_updated_at_check check (updated_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_projects_created_by on matrice.projects (created_by);
-- Claims look for projects that switch to another embedding model.
create index idx_projects_switching on matrice.projects (id) where settings ? 'next_embedding_model';

comment on table matrice.projects is
  'Projects. A project is a tenant: documents, pillars, insights and runs each belong to one project.';
comment on column matrice.projects.id is 'Primary key.';
comment on column matrice.projects.name is 'Name of the project; must not be blank.';
comment on column matrice.projects.description is 'What the project is about.';
comment on column matrice.projects.domain is 'Business domain.';
comment on column matrice.projects.current_phase is 'Current Matrice phase, P1 to P6.';
comment on column matrice.projects.settings is
  'Settings of the project: a JSON object of at most 16 kB. "embedding_model" is a row of embedding_models. '
  '"next_embedding_model" is there while the project switches to another one, see switch_embedding_model. "language" is a '
  'text search configuration, for example "english" or "french". "viewers_record_runs": true lets viewers record runs of '
  'their own. "events": false tells changes of the project to nobody. "app" is an object for the application; matrice does '
  'not read it. Other keys are refused.';
comment on column matrice.projects.created_at is 'When the project was created.';
comment on column matrice.projects.updated_at is 'When the project last changed.';
comment on column matrice.projects.created_by is 'The user who created the project and became its first owner.';
comment on column matrice.projects.reembed_template is
  'The template with which reembed was called last, as a hash. While it is that of the setting, chunks whose embeddings were '
  'made by another template are embedded again. Null: never.';

-- A deleted project can leave things under its id: entries of the audit trail, files in a bucket, rows of other tables.
create table matrice_private.taken_project_ids (
  id uuid not null,
  constraint taken_project_ids_pkey primary key (id)
);

alter table matrice_private.taken_project_ids enable row level security;

create policy "nobody reads them" on matrice_private.taken_project_ids for select to authenticated using (false);

comment on table matrice_private.taken_project_ids is
  'The id of every project that exists or existed. Clients may choose ids. Without this table, a client could take the '
  'id of a deleted project and read what that project left behind.';
comment on column matrice_private.taken_project_ids.id is 'Id of a project that exists or existed.';

create function matrice_private.is_free_project_id(id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return not exists (select from matrice_private.taken_project_ids t where t.id = is_free_project_id.id);
end
$$;
comment on function matrice_private.is_free_project_id is
  'Returns whether no project has or had this id. SECURITY DEFINER: policies call it as the caller, who may not read '
  'the ids. It reveals no more than an attempt to insert a project does, and not whether the other project still '
  'exists.';

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

comment on table matrice.user_projects is 'Members of projects with their roles: owner > editor > viewer.';
comment on column matrice.user_projects.user_id is 'The member. On Supabase: auth.users.id.';
comment on column matrice.user_projects.project_id is 'The project.';
comment on column matrice.user_projects.role is
  'viewer reads everything in the project. editor also writes its content. owner also manages members and settings, '
  'and can delete the project.';
comment on column matrice.user_projects.created_at is 'When the user became a member.';
comment on column matrice.user_projects.accepted_at is
  'When the user agreed to be a member: by creating the project, by accepting an invitation, or because a service set '
  'this column. Null: a service added the user without asking. Owners cannot make such a member an owner.';

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
    email ~ '^[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+'
            '@[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+$'
    and length(email) <= 254
  ),
  constraint project_invitations_acceptance_check check ((accepted_at is null) = (accepted_by is null)),
  constraint project_invitations_token_hash_length check (octet_length(token_hash) = 32),
  constraint project_invitations_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint project_invitations_expires_at_check check (expires_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint project_invitations_accepted_at_check check (accepted_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_project_invitations_project on matrice.project_invitations (project_id);
create unique index project_invitations_one_open on matrice.project_invitations (project_id, lower(email))
  where accepted_at is null;

comment on table matrice.project_invitations is
  'Invitations to projects. Users write them only through invite_member and accept_invite. Owners can read and delete '
  'them. If an owner leaves or loses the role, the open invitations of that owner are deleted.';
comment on column matrice.project_invitations.id is 'Primary key.';
comment on column matrice.project_invitations.project_id is 'The project.';
comment on column matrice.project_invitations.email is
  'The address that the invitation is for. Anybody who holds the token can accept it, so send the token only to this '
  'address.';
comment on column matrice.project_invitations.role is 'The role that the invited user gets.';
comment on column matrice.project_invitations.token_hash is 'SHA-256 of the token. The token itself is not stored.';
comment on column matrice.project_invitations.invited_by is
  'The owner who made the invitation; null if a service made it.';
comment on column matrice.project_invitations.created_at is
  'When the invitation was made, or made again for the same address.';
comment on column matrice.project_invitations.expires_at is 'From this time on, the token is not valid.';
comment on column matrice.project_invitations.accepted_at is 'When the invitation was accepted; null while it is open.';
comment on column matrice.project_invitations.accepted_by is 'The user who accepted the invitation.';

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

comment on table matrice.pillars is
  'The six pillars P1 to P6 of each project. Every version is kept in pillar_versions.';
comment on column matrice.pillars.id is 'Primary key.';
comment on column matrice.pillars.project_id is 'The project.';
comment on column matrice.pillars.code is 'P1, P2, P3, P4, P5 or P6.';
comment on column matrice.pillars.name is 'Name of the pillar: vision (P1), acteurs (P2), donnees (P3), …';
comment on column matrice.pillars.content is 'Content in Markdown.';
comment on column matrice.pillars.metadata is 'Additional structured data.';
comment on column matrice.pillars.version is
  'Number of the current version. Every change of content or metadata adds 1.';
comment on column matrice.pillars.updated_at is 'When content or metadata last changed.';

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

comment on table matrice.pillar_versions is 'Every version of every pillar. Append-only.';
comment on column matrice.pillar_versions.pillar_id is 'The pillar.';
comment on column matrice.pillar_versions.version is 'Number of the version, from 1.';
comment on column matrice.pillar_versions.project_id is 'The pillar''s project.';
comment on column matrice.pillar_versions.content is 'The pillar''s content in this version.';
comment on column matrice.pillar_versions.metadata is 'The pillar''s metadata in this version.';
comment on column matrice.pillar_versions.saved_at is 'When the version was saved.';
comment on column matrice.pillar_versions.saved_by is
  'The user who saved the version; null for a session without claims.';
comment on column matrice.pillar_versions.restored_from is
  'The older version that restore_pillar saved again as this one; null for other saves.';
