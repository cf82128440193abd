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
comment on function matrice_private.project_ids(text) is
  'The projects in which the caller has at least this role: viewer, editor or owner. SECURITY DEFINER: the policy on user_projects calls it, and would otherwise call itself without end. PL/pgSQL, because its plans outlive the statement.';

create function matrice_private.has_members(project_id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from matrice.user_projects m where m.project_id = has_members.project_id);
end
$$;
comment on function matrice_private.has_members(uuid) is
  'Whether a project has any member yet. SECURITY DEFINER: the policy on projects asks it about a project whose members the caller may not see.';

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
  'Who changed memberships, invited, deleted a project or a source, or restored a pillar. Append-only; read by the project''s owners.';
comment on column matrice.audit_log.id is 'Primary key.';
comment on column matrice.audit_log.project_id is 'The project. No foreign key: the entry outlives it.';
comment on column matrice.audit_log.actor is 'The user; null for a session without claims.';
comment on column matrice.audit_log.actor_role is 'The database role: authenticated, service_role, …';
comment on column matrice.audit_log.action is
  'member added, member changed, member removed, invitation made, invitation withdrawn, project deleted, source deleted or pillar restored.';
comment on column matrice.audit_log.details is 'What it was done to, as it was before, and for changes as it is after.';
comment on column matrice.audit_log.created_at is 'When.';

create function matrice_private.audit() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  before  jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - 'token_hash' end;
  after   jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - 'token_hash' end;
  project uuid  := coalesce(after, before) ->> case tg_table_name when 'projects' then 'id' else 'project_id' end;
begin
  -- What a project takes with it when it is deleted is said by one entry.
  if tg_table_name = 'projects' or tg_op = 'INSERT' or exists (select from matrice.projects p where p.id = project) then
    insert into matrice.audit_log (project_id, actor, actor_role, action, details)
    values (project, matrice_private.current_user_id(), current_setting('role', true), tg_argv[0],
            jsonb_strip_nulls(jsonb_build_object('before', before, 'after', after)));
  end if;
  return null;
end
$$;
comment on function matrice_private.audit() is
  'Writes an entry of the audit trail. SECURITY DEFINER: the trail is append-only, so no client may write it.';

create trigger audit_add after insert on matrice.user_projects
for each row execute function matrice_private.audit('member added');
create trigger audit_change after update on matrice.user_projects
for each row execute function matrice_private.audit('member changed');
create trigger audit_remove after delete on matrice.user_projects
for each row execute function matrice_private.audit('member removed');
create trigger audit_invite after insert on matrice.project_invitations
for each row execute function matrice_private.audit('invitation made');
create trigger audit_reinvite after update on matrice.project_invitations
for each row when (old.token_hash is distinct from new.token_hash) execute function matrice_private.audit('invitation made');
create trigger audit_withdraw after delete on matrice.project_invitations
for each row execute function matrice_private.audit('invitation withdrawn');
create trigger audit_delete after delete on matrice.projects
for each row execute function matrice_private.audit('project deleted');
create trigger audit_delete after delete on matrice.context_sources
for each row execute function matrice_private.audit('source deleted');
create trigger audit_restore after insert on matrice.pillar_versions
for each row when (new.restored_from is not null) execute function matrice_private.audit('pillar restored');

-- What belongs to a project stays with it ----------------------------------------------------------------------------

create function matrice_private.stay_in_project() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'a row cannot be moved to another project'
    using errcode = '42501',
          detail = format('This row of %I belongs to project %s.', tg_table_name, old.project_id),
          hint = 'Create it in the other project and delete it here.';
end
$$;
comment on function matrice_private.stay_in_project() is 'Refuses to move a row to another project.';

do $$
declare
  tenant_table name;
begin
  for tenant_table in
    select c.table_name from information_schema.columns c
      join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = 'matrice' and c.column_name = 'project_id' and t.table_type = 'BASE TABLE'
  loop
    execute format(
      'create trigger stay_in_project before update of project_id on matrice.%I
         for each row when (old.project_id is distinct from new.project_id)
         execute function matrice_private.stay_in_project()', tenant_table);
  end loop;
end
$$;

-- On Supabase a membership goes with its user. (The last owner of a project cannot be deleted before the project is,
-- as there with an owner of storage objects.)
do $$
begin
  if to_regclass('auth.users') is not null then
    alter table matrice.user_projects add constraint user_projects_user_id_fkey
      foreign key (user_id) references auth.users (id) on delete cascade;
  end if;
end
$$;

-- Grants -------------------------------------------------------------------------------------------------------------

grant usage on schema matrice to authenticated, service_role;
-- Functions that run as the caller name their helpers by schema. The tables in here are not granted.
grant usage on schema matrice_private to authenticated, service_role;

revoke all on all tables in schema matrice from public, anon, authenticated, service_role;
grant select, insert, update, delete on all tables in schema matrice to service_role;
grant select, insert, update, delete on
  matrice.projects, matrice.user_projects, matrice.pillars, matrice.context_sources, matrice.source_chunks,
  matrice.chunk_embeddings, matrice.insights, matrice.workflow_runs, matrice.workflow_steps
to authenticated;
grant select, insert, update, delete on matrice.project_invitations to authenticated;
grant select on
  matrice.pillar_versions, matrice.audit_log, matrice.embedding_leases, matrice.embedding_models,
  matrice.model_prices, matrice.model_price_windows, matrice.model_price_multipliers
to authenticated;
revoke delete on matrice.pillars from authenticated;
-- The histories are append-only: only their triggers write them.
revoke insert, update, delete on matrice.pillar_versions, matrice.audit_log from service_role;

-- projects: members read, owners change ------------------------------------------------------------------------------

alter table matrice.projects enable row level security;

create policy "members read their projects" on matrice.projects for select to authenticated
using (
  id = any ((select matrice_private.project_ids())::uuid[])
  -- INSERT … RETURNING asks this before the trigger has made the creator a member. From then on the project has one.
  or (created_by = (select matrice_private.current_user_id()) and not matrice_private.has_members(id))
);
create policy "users create projects as themselves" on matrice.projects for insert to authenticated
with check (created_by = (select matrice_private.current_user_id()));
create policy "owners change their projects" on matrice.projects for update to authenticated
using (id = any ((select matrice_private.project_ids('owner'))::uuid[]))
with check (id = any ((select matrice_private.project_ids('owner'))::uuid[]));
create policy "owners delete their projects" on matrice.projects for delete to authenticated
using (id = any ((select matrice_private.project_ids('owner'))::uuid[]));

-- user_projects: members read, owners change, everybody may leave ----------------------------------------------------

alter table matrice.user_projects enable row level security;

create policy "members read the members" on matrice.user_projects for select to authenticated
using (project_id = any ((select matrice_private.project_ids())::uuid[]));
create policy "owners add members" on matrice.user_projects for insert to authenticated
with check (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));
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
create policy "owners invite as themselves" on matrice.project_invitations for insert to authenticated
with check (
  project_id = any ((select matrice_private.project_ids('owner'))::uuid[])
  and invited_by = (select matrice_private.current_user_id()) and accepted_at is null
);
create policy "owners renew invitations as themselves" on matrice.project_invitations for update to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]) and accepted_at is null)
with check (
  project_id = any ((select matrice_private.project_ids('owner'))::uuid[])
  and invited_by = (select matrice_private.current_user_id()) and accepted_at is null
);
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

-- Reference data: everybody signed in reads, service_role writes -----------------------------------------------------

do $$
declare
  reference_table text;
begin
  foreach reference_table in array array[
    'embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers'
  ] loop
    execute format('alter table matrice.%I enable row level security', reference_table);
    execute format('create policy "users read" on matrice.%I for select to authenticated using (true)', reference_table);
  end loop;
end
$$;
