-- Who may see and change what.
--
-- Every policy is `project_id = any ((select matrice_private.project_ids(role))::uuid[])`: Postgres evaluates that once a
-- statement and turns it into an index condition. (`in (select …)` becomes a filter on every row, a function of the row
-- a call for every row.) One permissive policy per table and verb, for authenticated. anon has no grant at all;
-- service_role bypasses row-level security.

create function matrice_private.project_ids(least_role text default 'viewer') returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := matrice_private.current_user_id();
begin
  -- In the order of the primary key, so that index scans find the array sorted.
  if least_role = 'viewer' then
    return array(select m.project_id from matrice.user_projects m where m.user_id = caller);
  end if;
  return array(
    select m.project_id from matrice.user_projects m where m.user_id = caller and m.role in (least_role, 'owner')
  );
end
$$;
comment on function matrice_private.project_ids is
  'The projects in which the caller has at least this role: viewer, editor or owner. SECURITY DEFINER: the policy on user_projects calls it, and would otherwise call itself without end. PL/pgSQL, because its plans outlive the statement.';

-- What is written to the audit trail ---------------------------------------------------------------------------------

create table matrice.audit_log (
  id         uuid        not null default gen_random_uuid(),
  project_id uuid        not null,
  actor      uuid,
  actor_role text,
  action     text        not null,
  details    jsonb       not null default '{}',
  created_at timestamptz not null default now(),
  constraint audit_log_pkey primary key (id)
);
create index idx_audit_log_project on matrice.audit_log (project_id, created_at);

comment on table matrice.audit_log is
  'Who changed memberships, invited, deleted a project or a source, or restored a pillar. Append-only; read by the project''s owners. The owner of the database empties it with matrice_private.purge_audit_log().';
comment on column matrice.audit_log.id is 'Primary key.';
comment on column matrice.audit_log.project_id is 'The project. No foreign key: the entry outlives it.';
comment on column matrice.audit_log.actor is 'The user; null for a session without claims.';
comment on column matrice.audit_log.actor_role is 'The database role: authenticated, service_role, …';
comment on column matrice.audit_log.action is
  'member added, member changed, member removed, invitation made, invitation changed, invitation accepted, invitation withdrawn, project deleted, source deleted or pillar restored.';
comment on column matrice.audit_log.details is
  'What it was done to, as it was before, and for changes as it is after: the few columns that tell which one it is, texts cut to 500 characters.';
comment on column matrice.audit_log.created_at is 'When.';

-- How much may be stored ---------------------------------------------------------------------------------------------

create table matrice.quotas (
  quota             text   not null,
  allowed           bigint not null,
  allowed_anonymous bigint not null,
  comment           text   not null,
  constraint quotas_pkey primary key (quota),
  constraint quotas_allowed_check check (allowed between 0 and 1000000000000000),
  constraint quotas_allowed_anonymous_check check (allowed_anonymous between 0 and 1000000000000000),
  constraint quotas_quota_length check (octet_length(quota) <= 200),
  constraint quotas_comment_length check (octet_length(comment) <= 2000)
);

comment on table matrice.quotas is
  'How much a user may store. A service or the owner of the tables changes a row, or deletes it: then there is no such quota. Roles that bypass row-level security have none, but what they write counts.';
comment on column matrice.quotas.quota is 'Name of the quota.';
comment on column matrice.quotas.allowed is 'So much is allowed.';
comment on column matrice.quotas.allowed_anonymous is 'So much is allowed to users who signed in anonymously: their claims have "is_anonymous": true, as Supabase writes it.';
comment on column matrice.quotas.comment is 'What is counted.';

insert into matrice.quotas (quota, allowed, allowed_anonymous, comment) values
  ('projects_per_user', 100, 3, 'Projects that a user created and that still exist.'),
  ('members_per_project', 1000, 10, 'Members of a project.'),
  ('open_invitations_per_project', 200, 5, 'Invitations to a project that nobody has accepted, expired ones included.'),
  ('sources_per_project', 100000, 200, 'Sources of a project.'),
  ('bytes_per_project', 10737418240, 52428800, 'What a project stores, in bytes: the sum of its rows of project_usage.'),
  ('bytes_per_user', 53687091200, 52428800, 'What the projects that a user created store, in bytes.');

-- Not one row for each project: all who write to a project would wait for each other at it.
create table matrice.project_usage (
  project_id uuid    not null,
  id         uuid    not null default gen_random_uuid(),
  bytes      bigint  not null,
  sources    integer not null,
  constraint project_usage_pkey primary key (project_id, id)
);

comment on table matrice.project_usage is
  'What each project stores: the sum of its rows. Every statement that stores or deletes something adds a row; now and then they are added up into one.';
comment on column matrice.project_usage.project_id is 'The project. No foreign key: who deletes a chunk would wait for who deletes its project, and the other way round.';
comment on column matrice.project_usage.id is 'Tells the rows apart.';
comment on column matrice.project_usage.bytes is
  'Bytes more than before. They are an estimate of the room on disk: of texts and JSON values their length, that of a chunk''s text twice for its words, and 8192 for each chunk with its embedding and indexes.';
comment on column matrice.project_usage.sources is 'Sources more than before.';

-- On Supabase a membership goes with its user. (The last owner of a project cannot be deleted before the project is,
-- as there with an owner of storage objects.)
do $$
begin
  if exists (
    select from pg_namespace n
      join pg_class c on c.relnamespace = n.oid
      join pg_attribute a on a.attrelid = c.oid
     where n.nspname = 'auth' and c.relname = 'users' and c.relkind = 'r' and a.attname = 'id' and a.atttypid = 'uuid'::regtype
       and matrice_private.is_trusted(n.nspowner)
  ) then
    alter table matrice.user_projects add constraint user_projects_user_id_fkey
      foreign key (user_id) references auth.users (id) on delete cascade;
  end if;
end
$$;

-- Grants -------------------------------------------------------------------------------------------------------------

create function matrice_private.revoke_from_everybody(kind text, name text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  acl aclitem[] := case kind
    when 'schema' then (select n.nspacl from pg_namespace n where n.oid = name::regnamespace)
    when 'table' then (select c.relacl from pg_class c where c.oid = name::regclass)
    when 'function' then (select coalesce(p.proacl, acldefault('f', p.proowner)) from pg_proc p where p.oid = name::regproc)
  end;
  holder oid;
begin
  for holder in select distinct a.grantee from aclexplode(acl) a where a.grantee <> current_user::regrole loop
    execute format('revoke all on %s %s from %s cascade', kind, name,
                   case holder when 0 then 'public' else quote_ident(pg_get_userbyid(holder)) end);
  end loop;
end
$$;
comment on function matrice_private.revoke_from_everybody is
  'Takes every privilege on a schema, table or function from everybody but its owner. A database''s default privileges may have granted a new object to anybody. For the owner, before the grants that are meant.';

select matrice_private.revoke_from_everybody('schema', name) from unnest(array['matrice', 'matrice_private']) name;
select matrice_private.revoke_from_everybody('table', c.oid::regclass::text)
  from pg_class c
 where c.relnamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace) and c.relkind = 'r';

grant usage on schema matrice to authenticated, service_role;

-- Functions that run as the caller name their helpers by schema. The tables in here are not granted.
grant usage on schema matrice_private to authenticated, service_role;
grant select on matrice_private.migrations to service_role;
grant select, insert, update, delete on all tables in schema matrice to service_role;
grant select, insert, update, delete on
  matrice.projects, matrice.pillars, matrice.context_sources, matrice.source_chunks,
  matrice.chunk_embeddings, matrice.insights, matrice.workflow_runs, matrice.workflow_steps
to authenticated;

-- Nobody is made a member by somebody else: by accepting an invitation, or by a service.
grant select, update, delete on matrice.user_projects to authenticated;

-- invite_member writes them.
grant select, delete on matrice.project_invitations to authenticated;
grant select on
  matrice.pillar_versions, matrice.audit_log, matrice.embedding_leases, matrice.embedding_models,
  matrice.model_prices, matrice.model_price_windows, matrice.model_price_multipliers, matrice.quotas, matrice.project_usage
to authenticated;

revoke delete on matrice.pillars from authenticated;

-- The histories are append-only: only their triggers write them, and what projects store is counted by triggers alone.
revoke insert, update, delete on matrice.pillar_versions, matrice.audit_log, matrice.project_usage from service_role;

-- projects: members read, owners change ------------------------------------------------------------------------------

alter table matrice.projects enable row level security;

create policy "members read their projects" on matrice.projects for select to authenticated
using (
  id = any ((select matrice_private.project_ids())::uuid[])
  -- INSERT … RETURNING asks this before the triggers have taken the id and made the creator a member.
  or (created_by = (select matrice_private.current_user_id()) and matrice_private.is_free_project_id(id))
);

create policy "users create projects as themselves" on matrice.projects for insert to authenticated
with check (
  created_by = (select matrice_private.current_user_id())
  -- Another's project and one that was deleted are refused alike, before a key is asked; an upsert finds the caller's own.
  and (matrice_private.is_free_project_id(id) or id = any ((select matrice_private.project_ids('owner'))::uuid[]))
);

create policy "owners change their projects" on matrice.projects for update to authenticated
using (id = any ((select matrice_private.project_ids('owner'))::uuid[]))
with check (id = any ((select matrice_private.project_ids('owner'))::uuid[]));

create policy "owners delete their projects" on matrice.projects for delete to authenticated
using (id = any ((select matrice_private.project_ids('owner'))::uuid[]));

-- user_projects: members read, owners change roles and remove, everybody may leave -----------------------------------

alter table matrice.user_projects enable row level security;

create policy "members read the members" on matrice.user_projects for select to authenticated
using (project_id = any ((select matrice_private.project_ids())::uuid[]));

create policy "owners change roles" on matrice.user_projects for update to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]))
with check (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));

create policy "owners remove members and members leave" on matrice.user_projects for delete to authenticated
using (
  project_id = any ((select matrice_private.project_ids('owner'))::uuid[])
  or user_id = (select matrice_private.current_user_id())
);

-- Owners' own ---------------------------------------------------------------------------------------------------------

alter table matrice.project_invitations enable row level security;

create policy "owners read invitations" on matrice.project_invitations for select to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));

create policy "owners withdraw invitations" on matrice.project_invitations for delete to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));

alter table matrice.audit_log enable row level security;

create policy "owners read the audit trail" on matrice.audit_log for select to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));

-- A project's content: viewers read, editors write -------------------------------------------------------------------

do $$
declare
  content_table text;
begin
  foreach content_table in array array[
    'pillars', 'context_sources', 'source_chunks', 'chunk_embeddings', 'embedding_leases', 'insights',
    'workflow_runs', 'workflow_steps'
  ] loop
    execute format('alter table matrice.%I enable row level security', content_table);
    execute format(
      'create policy "viewers read" on matrice.%I for select to authenticated
         using (project_id = any ((select matrice_private.project_ids(''viewer''))::uuid[]))', content_table);
    -- Leases are written by the functions of the queue alone.
    continue when content_table = 'embedding_leases';
    execute format(
      'create policy "editors insert" on matrice.%I for insert to authenticated
         with check (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
    execute format(
      'create policy "editors update" on matrice.%I for update to authenticated
         using (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))
         with check (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
    -- A pillar takes its history with it, which is append-only: it goes with its project alone.
    continue when content_table = 'pillars';
    execute format(
      'create policy "editors delete" on matrice.%I for delete to authenticated
         using (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
  end loop;
end
$$;

alter table matrice.pillar_versions enable row level security;

create policy "viewers read" on matrice.pillar_versions for select to authenticated
using (project_id = any ((select matrice_private.project_ids())::uuid[]));

alter table matrice.project_usage enable row level security;

create policy "viewers read" on matrice.project_usage for select to authenticated
using (project_id = any ((select matrice_private.project_ids())::uuid[]));

-- Reference data: everybody signed in reads, service_role writes -----------------------------------------------------

do $$
declare
  reference_table text;
begin
  foreach reference_table in array array[
    'embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers', 'quotas'
  ] loop
    execute format('alter table matrice.%I enable row level security', reference_table);
    execute format('create policy "users read" on matrice.%I for select to authenticated using (true)', reference_table);
    -- There is no policy to write by, so row-level security refuses. The privilege only lets the statement come as far
    -- as the trigger, which says who may. (By column, because a privilege on the table would let users lock it.)
    execute (
      select format('grant insert (%s), update (%s) on matrice.%I to authenticated', c.names, c.names, reference_table)
        from (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) as names
                from pg_attribute a
               where a.attrelid = format('matrice.%I', reference_table)::regclass and a.attnum > 0 and not a.attisdropped) c);
  end loop;
end
$$;
