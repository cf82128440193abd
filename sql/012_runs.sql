-- Who records runs: editors and, where the project says so, viewers, who then record their own.

create function matrice_private.projects_recorded_by_viewers() returns uuid[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select array(select p.id from matrice.projects p where p.settings -> 'viewers_record_runs' = 'true'::jsonb);
end;
comment on function matrice_private.projects_recorded_by_viewers is
  'Returns those of the caller''s projects in which viewers record runs of their own.';

create policy "editors insert, viewers their own" on matrice.workflow_runs for insert to authenticated
with check (
  project_id = any ((select matrice_private.project_ids('editor'))::uuid[])
  or (created_by = (select matrice_private.current_user_id())
      and project_id = any ((select matrice_private.projects_recorded_by_viewers())::uuid[]))
);

create policy "editors update, viewers their own" on matrice.workflow_runs for update to authenticated
using (
  project_id = any ((select matrice_private.project_ids('editor'))::uuid[])
  or (created_by = (select matrice_private.current_user_id())
      and project_id = any ((select matrice_private.projects_recorded_by_viewers())::uuid[]))
)
with check (
  project_id = any ((select matrice_private.project_ids('editor'))::uuid[])
  or (created_by = (select matrice_private.current_user_id())
      and project_id = any ((select matrice_private.projects_recorded_by_viewers())::uuid[]))
);

create policy "editors insert, viewers in their own runs" on matrice.workflow_steps for insert to authenticated
with check (
  project_id = any ((select matrice_private.project_ids('editor'))::uuid[])
  or (project_id = any ((select matrice_private.projects_recorded_by_viewers())::uuid[])
      and exists (select from matrice.workflow_runs r
                   where r.id = run_id and r.created_by = (select matrice_private.current_user_id())))
);
