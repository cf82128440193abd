-- Who may see and change what.
--
-- Every policy is `project_id = any ((select matrice_private.project_ids(role))::uuid[])`. Postgres evaluates it once per
-- statement and uses it as an index condition. (`in (select …)` would be a filter on every row. A function of the row
-- would be called for every row.) Each table has one permissive policy per verb, for authenticated. anon has no grants.
-- service_role bypasses row-level security.

create function matrice_private.project_ids(least_role text default 'viewer') returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := matrice_private.current_user_id();
begin
  -- The primary key yields the ids in order. Index scans want a sorted array.
  if least_role = 'viewer' then
    return array(select m.project_id from matrice.user_projects m where m.user_id = caller);
  end if;
  return array(
    select m.project_id from matrice.user_projects m where m.user_id = caller and m.role in (least_role, 'owner')
  );
end
$$;
comment on function matrice_private.project_ids is
  'Returns the projects in which the caller has at least this role. least_role: viewer, editor or owner. '
  'SECURITY DEFINER: the policy on user_projects calls it. Run as the caller, it would read user_projects under that '
  'policy, which would call it again without end. It is PL/pgSQL because PL/pgSQL keeps its plans for the next '
  'statement.';

-- The audit trail ----------------------------------------------------------------------------------------------------

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
  'Audit trail: who changed memberships, made or changed invitations, deleted a project or a source, or restored a '
  'pillar. Append-only. Owners of the project can read it. The owner of the tables deletes old entries with '
  'matrice_private.purge_audit_log().';
comment on column matrice.audit_log.id is 'Primary key.';
comment on column matrice.audit_log.project_id is
  'The project. There is no foreign key, because entries outlive their project.';
comment on column matrice.audit_log.actor is 'The user who acted; null for a session without claims.';
comment on column matrice.audit_log.actor_role is 'The database role of the session: authenticated, service_role, …';
comment on column matrice.audit_log.action is
  'member added, member changed, member removed, invitation made, invitation changed, invitation accepted, invitation '
  'withdrawn, project deleted, project imported, source deleted or pillar restored.';
comment on column matrice.audit_log.details is
  'The object of the action: "before" is its state before, "after" its state after. They hold only a few columns that '
  'identify the object. Texts are cut to 500 characters.';
comment on column matrice.audit_log.created_at is 'When the action happened.';

-- Quotas and usage ---------------------------------------------------------------------------------------------------

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
  'Limits on what users may store. A service or the owner of the tables can change a row, or delete it to remove the '
  'quota. Roles that bypass row-level security have no quotas, but what they write counts as usage.';
comment on column matrice.quotas.quota is 'Name of the quota.';
comment on column matrice.quotas.allowed is 'The limit.';
comment on column matrice.quotas.allowed_anonymous is
  'The limit for users who signed in anonymously. Supabase puts "is_anonymous": true into their claims.';
comment on column matrice.quotas.comment is 'What the quota counts.';

insert into matrice.quotas (quota, allowed, allowed_anonymous, comment) values
  ('projects_per_user', 100, 3, 'Projects that a user created and that still exist.'),
  ('members_per_project', 1000, 10, 'Members of a project.'),
  ('open_invitations_per_project', 200, 5, 'Invitations to a project that nobody has accepted, expired ones included.'),
  ('sources_per_project', 100000, 200, 'Sources of a project.'),
  ('bytes_per_project', 10737418240, 52428800, 'Bytes that a project stores: the sum of its rows in project_usage.'),
  ('bytes_per_user', 53687091200, 52428800, 'Bytes that all projects created by a user store together.');

-- Several rows per project. If there were only one, all writers to a project would wait for each other.
create table matrice.project_usage (
  project_id uuid    not null,
  id         uuid    not null default gen_random_uuid(),
  bytes      bigint  not null,
  sources    integer not null,
  constraint project_usage_pkey primary key (project_id, id)
);

comment on table matrice.project_usage is
  'How much each project stores: the sum of its rows. Every statement that stores or deletes something adds a row. '
  'From time to time, the rows of a project are merged into one.';
comment on column matrice.project_usage.project_id is
  'The project. There is no foreign key, because one session that deletes a chunk and another that deletes its project '
  'would wait for each other.';
comment on column matrice.project_usage.id is 'Distinguishes the rows of a project.';
comment on column matrice.project_usage.bytes is
  'Bytes added; negative if removed. They estimate the space on disk: a fixed number per row (8192 for a chunk with '
  'its embedding and indexes) plus the length of texts and JSON values. Because of full-text search, the content of a '
  'chunk counts twice and that of an insight three times.';
comment on column matrice.project_usage.sources is 'Sources added; negative if removed.';

-- On Supabase, deleting a user deletes their memberships. (The last owner of a project cannot be deleted before the
-- project. In the same way, Supabase does not delete a user who owns storage objects.)
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
    when 'sequence' then (select c.relacl from pg_class c where c.oid = name::regclass)
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
  'Revokes every privilege on a schema, table, sequence or function from everybody but its owner. kind: schema, table, '
  'sequence or function. The default privileges of a database may have granted a new object to anybody. For the owner of the '
  'tables, before the intended grants.';

select matrice_private.revoke_from_everybody('schema', name) from unnest(array['matrice', 'matrice_private']) name;
select matrice_private.revoke_from_everybody('table', c.oid::regclass::text)
  from pg_class c
 where c.relnamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace) and c.relkind = 'r';

grant usage on schema matrice to authenticated, service_role;

-- Functions that run as the caller call helpers of this schema. Its tables are not granted to authenticated.
grant usage on schema matrice_private to authenticated, service_role;
grant select on matrice_private.migrations to service_role;
grant select, insert, update, delete on all tables in schema matrice to service_role;
grant select, insert, update, delete on
  matrice.projects, matrice.pillars, matrice.context_sources, matrice.source_chunks,
  matrice.chunk_embeddings, matrice.insights
to authenticated;

-- What was spent stays on record: members can only add steps, and deleting a run would delete its steps.
grant select, insert, update on matrice.workflow_runs to authenticated;
grant select, insert on matrice.workflow_steps to authenticated;

-- No INSERT: users become members by accepting an invitation, or a service adds them.
grant select, update, delete on matrice.user_projects to authenticated;

-- No INSERT or UPDATE: invite_member writes invitations.
grant select, delete on matrice.project_invitations to authenticated;
grant select on
  matrice.pillar_versions, matrice.audit_log, matrice.embedding_leases, matrice.embedding_models,
  matrice.model_prices, matrice.model_price_windows, matrice.model_price_multipliers, matrice.quotas, matrice.project_usage,
  matrice.project_prices
to authenticated;

revoke delete on matrice.pillars from authenticated;

-- The histories are append-only. Only triggers write these tables, also for services.
revoke insert, update, delete on matrice.pillar_versions, matrice.audit_log, matrice.project_usage from service_role;

-- projects: members read, owners change ------------------------------------------------------------------------------

alter table matrice.projects enable row level security;

create policy "members read their projects" on matrice.projects for select to authenticated
using (
  id = any ((select matrice_private.project_ids())::uuid[])
  -- INSERT … RETURNING checks this before the triggers have recorded the id and made the creator a member.
  or (created_by = (select matrice_private.current_user_id()) and matrice_private.is_free_project_id(id))
);

create policy "users create projects as themselves" on matrice.projects for insert to authenticated
with check (
  created_by = (select matrice_private.current_user_id())
  -- The id of somebody else's project and that of a deleted project are refused alike, before the primary key is checked.
  -- An upsert may name a project that the caller owns.
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

-- Invitations and the audit trail: owners read ------------------------------------------------------------------------

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
    -- Only the functions of the embedding queue write leases.
    continue when content_table = 'embedding_leases';
    -- 012_runs.sql says who records runs.
    continue when content_table in ('workflow_runs', 'workflow_steps');
    execute format(
      'create policy "editors insert" on matrice.%I for insert to authenticated
         with check (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
    execute format(
      'create policy "editors update" on matrice.%I for update to authenticated
         using (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))
         with check (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
    -- Deleting a pillar would delete its history, which is append-only. A pillar is deleted only with its project.
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

-- No INSERT: set_price writes prices.
alter table matrice.project_prices enable row level security;

create policy "viewers read" on matrice.project_prices for select to authenticated
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
    -- No policy allows writes, so row-level security refuses them. With the privilege, a statement reaches the trigger
    -- refuse_clients, whose error says who may write. (By column, because a privilege on the table would let users lock it.)
    execute (
      select format('grant insert (%s), update (%s) on matrice.%I to authenticated', c.names, c.names, reference_table)
        from (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) as names
                from pg_attribute a
               where a.attrelid = format('matrice.%I', reference_table)::regclass and a.attnum > 0 and not a.attisdropped) c);
  end loop;
end
$$;
