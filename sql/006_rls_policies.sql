-- Who may see and change what.
--
-- Every policy is `project_id = any (array(select matrice_private.project_ids(role)))`: of the forms tried the only
-- one that Postgres evaluates once a statement and turns into an index condition. One permissive policy per table
-- and verb, for authenticated. anon has no grant at all; service_role bypasses row-level security.

create function matrice_private.project_ids(least_role text default 'viewer') returns setof uuid
language sql stable security definer
set search_path = ''
begin atomic
  select m.project_id
    from matrice.user_projects m
   where m.user_id = (select matrice_private.current_user_id())
     and array_position(array['viewer', 'editor', 'owner'], m.role)
         >= array_position(array['viewer', 'editor', 'owner'], least_role);
end;
comment on function matrice_private.project_ids(text) is
  'The projects in which the caller has at least this role. SECURITY DEFINER: the policy on user_projects calls it, and would otherwise call itself without end.';

-- Grants -------------------------------------------------------------------------------------------------------------

grant usage on schema matrice to authenticated, service_role;
-- Functions that run as the caller name their helpers by schema. The tables in here are not granted.
grant usage on schema matrice_private to authenticated, service_role;

revoke all on all tables in schema matrice from public, anon, authenticated, service_role;
grant select, insert, update, delete on all tables in schema matrice to service_role;
grant select, insert, update, delete on
  matrice.projects, matrice.user_projects, matrice.pillars, matrice.context_sources, matrice.source_chunks,
  matrice.chunk_embeddings, matrice.embedding_leases, matrice.insights, matrice.workflow_runs, matrice.workflow_steps
to authenticated;
grant select on
  matrice.pillar_versions, matrice.embedding_models,
  matrice.model_prices, matrice.model_price_windows, matrice.model_price_multipliers
to authenticated;
-- The history is append-only: only its trigger writes it.
revoke insert, update, delete on matrice.pillar_versions from service_role;

-- projects: members read, owners change ------------------------------------------------------------------------------

alter table matrice.projects enable row level security;

create policy "members read their projects" on matrice.projects for select to authenticated
using (
  id = any (array(select matrice_private.project_ids()))
  -- INSERT … RETURNING asks this before the trigger has made the creator a member.
  or (created_by = (select matrice_private.current_user_id()) and created_at = now())
);
create policy "users create projects as themselves" on matrice.projects for insert to authenticated
with check (created_by = (select matrice_private.current_user_id()));
create policy "owners change their projects" on matrice.projects for update to authenticated
using (id = any (array(select matrice_private.project_ids('owner'))))
with check (id = any (array(select matrice_private.project_ids('owner'))));
create policy "owners delete their projects" on matrice.projects for delete to authenticated
using (id = any (array(select matrice_private.project_ids('owner'))));

-- user_projects: members read, owners change, everybody may leave ----------------------------------------------------

alter table matrice.user_projects enable row level security;

create policy "members read the members" on matrice.user_projects for select to authenticated
using (project_id = any (array(select matrice_private.project_ids())));
create policy "owners add members" on matrice.user_projects for insert to authenticated
with check (project_id = any (array(select matrice_private.project_ids('owner'))));
create policy "owners change roles" on matrice.user_projects for update to authenticated
using (project_id = any (array(select matrice_private.project_ids('owner'))))
with check (project_id = any (array(select matrice_private.project_ids('owner'))));
create policy "owners remove members and members leave" on matrice.user_projects for delete to authenticated
using (
  project_id = any (array(select matrice_private.project_ids('owner')))
  or user_id = (select matrice_private.current_user_id())
);

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
         using (project_id = any (array(select matrice_private.project_ids(''viewer''))))', content_table);
    execute format(
      'create policy "editors insert" on matrice.%I for insert to authenticated
         with check (project_id = any (array(select matrice_private.project_ids(''editor''))))', content_table);
    execute format(
      'create policy "editors update" on matrice.%I for update to authenticated
         using (project_id = any (array(select matrice_private.project_ids(''editor''))))
         with check (project_id = any (array(select matrice_private.project_ids(''editor''))))', content_table);
    execute format(
      'create policy "editors delete" on matrice.%I for delete to authenticated
         using (project_id = any (array(select matrice_private.project_ids(''editor''))))', content_table);
  end loop;
end
$$;

alter table matrice.pillar_versions enable row level security;
create policy "viewers read" on matrice.pillar_versions for select to authenticated
using (project_id = any (array(select matrice_private.project_ids())));

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
