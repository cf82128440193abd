-- How a project switches to another embedding model, without a gap in its searches.
--
-- switch_embedding_model writes the setting next_embedding_model. From then on, claims without a model hand out the chunks that
-- lack a vector of either model. Searches go on with the old one. When every chunk has a vector of the next model, the setting
-- flips: the next model becomes the project's own, in the transaction of a claim. The old vectors stay until drop_embeddings
-- deletes them.
--
-- A claim flips at its end. It looks into the parts that waiting_parts lists, because every part with a waiting chunk is listed
-- there. Only if no chunk of them lacks a vector, it locks the project and looks at every chunk. It waits for nobody: if somebody
-- has locked the project, one of the next claims flips. A chunk that is added and embedded by the old model between this look and
-- the end of the claim is found again when the next model has embedded it, too.

create or replace function matrice_private.is_covered(project_id uuid, model text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return not exists (
    select from matrice.source_chunks c
     where c.project_id = is_covered.project_id
       and not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id and e.model = is_covered.model));
end
$$;
comment on function matrice_private.is_covered is 'Returns whether every chunk of a project has an embedding of a model.';

create or replace function matrice_private.flip_model(project_id uuid) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  next_model text;
begin
  select p.settings ->> 'next_embedding_model' into next_model
    from matrice.projects p
   where p.id = flip_model.project_id and p.settings ? 'next_embedding_model'
     for no key update skip locked;
  if not found or not matrice_private.is_covered(project_id, next_model) then
    return false;
  end if;
  update matrice.projects p
     set settings = p.settings - 'next_embedding_model' || jsonb_build_object('embedding_model', next_model)
   where p.id = flip_model.project_id;
  return true;
end
$$;
comment on function matrice_private.flip_model is
  'Makes the next model of a project its own if every chunk has a vector of it. Returns whether it did. Does nothing if somebody '
  'else has locked the project.';

create or replace function matrice_private.seems_covered(project_id uuid, model text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  if not matrice_private.is_listed(project_id, model) then
    return not exists (select from matrice.source_chunks c where c.project_id = seems_covered.project_id);
  end if;
  -- A part stays listed for some time after its last chunk was embedded. So many of them mean that much is waiting.
  return not exists (
      select from matrice_private.waiting_parts w
       where w.project_id = seems_covered.project_id and w.model in ('', seems_covered.model) offset 1000)
    and not exists (
      select from matrice_private.waiting_parts w
        join matrice.source_chunks c
          on c.source_id = w.source_id and c.chunk_index between w.part * 128 and w.part * 128 + 127
       where w.project_id = seems_covered.project_id and w.model in ('', seems_covered.model)
         and not exists (
           select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
            where e.model = seems_covered.model));
end
$$;
comment on function matrice_private.seems_covered is
  'Returns whether no listed part of a project has a chunk without an embedding of a model. False if the parts are not listed '
  'for it, or if very many are. SECURITY DEFINER: no client may read waiting_parts. Checks no roles: for flip_models.';

create or replace function matrice_private.flip_models(project_ids uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  switching uuid[];
begin
  -- At other isolation levels, a project that has changed meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  switching := array(
    select p.id from matrice.projects p
     where p.settings ? 'next_embedding_model' and (flip_models.project_ids is null or p.id = any (flip_models.project_ids)));
  perform matrice_private.flip_model(p.id)
     from unnest(switching) as s (id) join matrice.projects p on p.id = s.id
    where matrice_private.seems_covered(p.id, p.settings ->> 'next_embedding_model');
end
$$;
comment on function matrice_private.flip_models is
  'Flips the models of those of the projects where every chunk has a vector of the next model. project_ids: null for all '
  'projects. SECURITY DEFINER: no client may read waiting_parts, and a worker may not change the settings of a project. It '
  'changes them only as their owner has asked. Checks no roles: for services and flip_models_of_member.';

create or replace function matrice_private.flip_models_of_member(project_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  mine uuid[] := matrice_private.project_ids('editor');
begin
  if project_id is null then
    perform matrice_private.flip_models(mine);
  elsif project_id = any (mine) then
    perform matrice_private.flip_models(array[project_id]);
  end if;
end
$$;
comment on function matrice_private.flip_models_of_member is
  'Calls flip_models for a project that the caller may edit; null: for all of them. SECURITY DEFINER: no client may read '
  'waiting_parts, and editors may not change the settings of a project.';

create or replace function matrice_private.flip_whole(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active('matrice.projects') then
    perform matrice_private.flip_models_of_member(project_id);
  else
    perform matrice_private.flip_models(case when project_id is not null then array[project_id] end);
  end if;
end
$$;
comment on function matrice_private.flip_whole is 'Calls flip_models for services, and flip_models_of_member for members.';

create or replace function matrice_private.held_settings(project_id uuid) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  held jsonb;
begin
  select p.settings into held from matrice.projects p where p.id = held_settings.project_id for no key update;
  if not found then
    raise exception 'project not found'
      using errcode = 'PT404', detail = format('Project %s has just been deleted.', project_id);
  end if;
  return held;
end
$$;
comment on function matrice_private.held_settings is 'Locks a project that the caller owns, and returns its settings.';

create or replace function matrice.switch_embedding_model(project_id uuid, model text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  settings   jsonb;
  next_model text;
begin
  perform matrice_private.require_text('model', switch_embedding_model.model);
  perform matrice_private.require_role(switch_embedding_model.project_id, 'owner');
  perform matrice_private.require_model(switch_embedding_model.model);
  settings := matrice_private.held_settings(switch_embedding_model.project_id);
  next_model := settings ->> 'next_embedding_model';
  if next_model <> switch_embedding_model.model then
    raise exception 'the project is switching to another model'
      using errcode = 'PT409', detail = format('The next model of project %s is %s.', project_id, next_model),
            hint = 'Wait until it is done, or call cancel_model_switch first.';
  end if;
  if next_model is null then
    if switch_embedding_model.model = matrice_private.embedding_model(null, switch_embedding_model.project_id) then
      return true;
    end if;
    update matrice.projects p
       set settings = p.settings || jsonb_build_object('next_embedding_model', switch_embedding_model.model)
     where p.id = switch_embedding_model.project_id;
  end if;
  return matrice_private.flip_model(switch_embedding_model.project_id);
end
$$;
comment on function matrice.switch_embedding_model is
  'Begins to switch a project to another embedding model. Searches go on with the old one. Claims without a model hand out the '
  'chunks that lack a vector of the next model, and new chunks for both. When every chunk of the project has one, the next claim '
  'makes the next model the project''s own, in its settings. Returns whether searches use the model already: so it is when all '
  'of its vectors are there, for example when you switch back before drop_embeddings deleted them. model_coverage shows how far '
  'it is, and the same call again looks whether it is done. A chunk that failed for good keeps the switch waiting: failed_chunks '
  'lists it. After the switch, embed the queries with the new model, too. Needs the role owner.';

create or replace function matrice.cancel_model_switch(project_id uuid) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  settings jsonb;
begin
  perform matrice_private.require_role(cancel_model_switch.project_id, 'owner');
  settings := matrice_private.held_settings(cancel_model_switch.project_id);
  if not settings ? 'next_embedding_model' then
    return false;
  end if;
  update matrice.projects p set settings = p.settings - 'next_embedding_model' where p.id = cancel_model_switch.project_id;
  return true;
end
$$;
comment on function matrice.cancel_model_switch is
  'Ends a switch to another embedding model that is under way: the project keeps its model. Returns whether there was one; false '
  'after the switch is done. The vectors of the next model stay until drop_embeddings deletes them. Needs the role owner.';
