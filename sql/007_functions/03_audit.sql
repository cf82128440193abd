-- The audit trail: who changed memberships or invitations, deleted or imported a project, deleted a source, or restored a pillar.

create or replace function matrice_private.audit() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  project uuid;
  before  jsonb;
  after   jsonb;
begin
  -- Never whole rows: clients can write large and deep values into them.
  if tg_table_name = 'user_projects' then
    project := coalesce(new.project_id, old.project_id);
    before := jsonb_build_object('user_id', old.user_id, 'role', old.role, 'accepted_at', old.accepted_at);
    after := jsonb_build_object('user_id', new.user_id, 'role', new.role, 'accepted_at', new.accepted_at);
  elsif tg_table_name = 'project_invitations' then
    project := coalesce(new.project_id, old.project_id);
    before := jsonb_build_object('id', old.id, 'email', left(old.email, 500), 'role', old.role, 'invited_by', old.invited_by,
                                 'expires_at', old.expires_at, 'accepted_at', old.accepted_at, 'accepted_by', old.accepted_by);
    after := jsonb_build_object('id', new.id, 'email', left(new.email, 500), 'role', new.role, 'invited_by', new.invited_by,
                                'expires_at', new.expires_at, 'accepted_at', new.accepted_at, 'accepted_by', new.accepted_by);
  elsif tg_table_name = 'projects' then
    project := old.id;
    before := jsonb_build_object('name', left(old.name, 500), 'created_by', old.created_by, 'created_at', old.created_at);
  elsif tg_table_name = 'context_sources' then
    project := old.project_id;
    before := jsonb_build_object('id', old.id, 'type', left(old.type, 500), 'name', left(old.name, 500),
                                 'storage_path', left(old.storage_path, 500), 'created_at', old.created_at);
  elsif tg_table_name = 'project_imports' then
    project := new.project_id;
    after := jsonb_build_object('source_project_id', new.source_project_id, 'has_new_ids', new.has_new_ids);
  else
    project := new.project_id;
    after := jsonb_build_object('pillar_id', new.pillar_id, 'version', new.version, 'restored_from', new.restored_from);
  end if;
  -- Deleting a project writes one entry, not one per deleted row.
  if tg_table_name = 'projects' or tg_op = 'INSERT' or exists (select from matrice.projects p where p.id = project) then
    insert into matrice.audit_log (project_id, actor, actor_role, action, details)
    values (project, matrice_private.current_user_id(), current_setting('role', true), tg_argv[0],
            jsonb_strip_nulls(jsonb_build_object('before', case when tg_op <> 'INSERT' then before end,
                                                 'after', case when tg_op <> 'DELETE' then after end)));
  end if;
  return null;
end
$$;
comment on function matrice_private.audit is
  'Writes an entry to the audit trail. SECURITY DEFINER: the trail is append-only, so no client may write to it.';

create or replace function matrice_private.purge_audit_log(before timestamptz) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  purged bigint;
begin
  if before is null then
    raise exception 'before must not be null' using errcode = '22004', hint = 'Pass the time of the oldest entry to keep.';
  end if;
  delete from matrice.audit_log a where a.created_at < before;
  get diagnostics purged = row_count;
  return purged;
end
$$;
comment on function matrice_private.purge_audit_log is
  'Deletes the entries of the audit trail that are older than a time, of all projects. Returns the number of deleted '
  'entries. For the owner of the tables: nobody else may shorten the trail.';

create or replace trigger audit_add after insert on matrice.user_projects
for each row execute function matrice_private.audit('member added');
create or replace trigger audit_change after update on matrice.user_projects
for each row execute function matrice_private.audit('member changed');
create or replace trigger audit_remove after delete on matrice.user_projects
for each row execute function matrice_private.audit('member removed');
create or replace trigger audit_invite after insert on matrice.project_invitations
for each row execute function matrice_private.audit('invitation made');
create or replace trigger audit_reinvite after update on matrice.project_invitations
for each row when (old.token_hash <> new.token_hash) execute function matrice_private.audit('invitation made');
create or replace trigger audit_accept after update on matrice.project_invitations
for each row when (old.token_hash = new.token_hash and old.accepted_at is null and new.accepted_at is not null)
execute function matrice_private.audit('invitation accepted');
create or replace trigger audit_reword after update on matrice.project_invitations
for each row when (old.token_hash = new.token_hash and not (old.accepted_at is null and new.accepted_at is not null))
execute function matrice_private.audit('invitation changed');
create or replace trigger audit_withdraw after delete on matrice.project_invitations
for each row execute function matrice_private.audit('invitation withdrawn');
create or replace trigger audit_delete after delete on matrice.projects
for each row execute function matrice_private.audit('project deleted');
create or replace trigger audit_delete after delete on matrice.context_sources
for each row execute function matrice_private.audit('source deleted');
create or replace trigger audit_import after insert on matrice.project_imports
for each row execute function matrice_private.audit('project imported');
create or replace trigger audit_restore after insert on matrice.pillar_versions
-- An import brings the restorations of another time.
for each row when (new.restored_from is not null and new.saved_at = now())
execute function matrice_private.audit('pillar restored');
