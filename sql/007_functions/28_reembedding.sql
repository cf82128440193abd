-- A changed template: the chunks whose embeddings another template made are embedded again.

create or replace function matrice_private.list_again() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice_private.embedding_queues q where q.project_id = new.id;
  return null;
end
$$;
comment on function matrice_private.list_again is
  'Makes the next claims list the parts of a project again, because embedded chunks may be claimable now. SECURITY DEFINER: no '
  'client may write embedding_queues.';

-- Also when the value stays the same: the template may have changed back.
create or replace trigger list_again after update of reembed_template on matrice.projects
for each row execute function matrice_private.list_again();

create or replace function matrice.reembed(project_id uuid) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  template integer;
begin
  perform matrice_private.require_role(reembed.project_id, 'owner');
  update matrice.projects p
     set reembed_template = matrice_private.template_hash(p.settings)
   where p.id = reembed.project_id
  returning p.reembed_template into template;
  return (
    select count(*) from matrice.chunk_embeddings e
     where e.project_id = reembed.project_id and e.model = matrice_private.embedding_model(null, reembed.project_id)
       and e.template_hash is distinct from template);
end
$$;
comment on function matrice.reembed is
  'Has the chunks of a project embedded again whose embeddings were made by another embedding_template than the present one. '
  'Returns how many of the project''s model there are. It changes no embedding: workers claim the chunks, and searches use the '
  'old embeddings until the new ones are stored. A further change of the template ends it. Embeddings that clients stored '
  'without claim_chunks or store_embeddings count as made by another template. For owners of the project.';
