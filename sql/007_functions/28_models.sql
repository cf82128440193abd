-- Models: how one is registered, how far a project is embedded by each, how whole vectors are truncated for another model, and
-- how those of a former model are dropped.

create or replace function matrice_private.keep_current_model() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  current text := (select m.model from matrice.embedding_models m where m.is_default);
  kept    uuid[];
begin
  kept := array(
    select p.id from matrice.projects p
     where not p.settings ? 'embedding_model' and exists (select from matrice.context_sources s where s.project_id = p.id)
     order by p.id
       for no key update);
  update matrice.projects p
     set settings = p.settings || jsonb_build_object('embedding_model', current)
   where p.id = any (kept) and current is not null and not p.settings ? 'embedding_model'
     -- The settings of a project may be as long as they can be.
     and matrice_private.json_within(p.settings || jsonb_build_object('embedding_model', current), 16384);
end
$$;
comment on function matrice_private.keep_current_model is
  'Writes the default model into the settings of the projects that have sources and name no model. So they keep it when another '
  'model becomes the default.';

create or replace function matrice.register_model(
  model text, dimensions integer, is_default boolean default false, truncated_from text default null
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_text('model', register_model.model);
  perform matrice_private.require_bytes('model', register_model.model, 200);
  perform matrice_private.require_given('dimensions', register_model.dimensions);
  perform matrice_private.require_given('is_default', register_model.is_default);
  if register_model.dimensions not between 1 and 16000 then
    raise exception 'dimensions must be between 1 and 16000, not %', register_model.dimensions
      using errcode = '22023', hint = 'It is the number of dimensions of the vectors, as the model''s documentation states it.';
  end if;
  if register_model.truncated_from is not null then
    perform matrice_private.require_model(register_model.truncated_from);
  end if;
  if row_security_active('matrice.embedding_models') then
    raise exception 'only a service can register a model'
      using errcode = '42501', detail = 'All projects share the models. Users can only read them.',
            hint = 'Call it as service_role, or as the owner of the tables.';
  end if;
  if register_model.is_default and not exists (
    select from matrice.embedding_models m where m.model = register_model.model and m.is_default
  ) then
    -- Two calls would both make their model the default.
    lock table matrice.embedding_models in share row exclusive mode;
    perform matrice_private.keep_current_model();
    update matrice.embedding_models m set is_default = false where m.is_default;
  end if;
  insert into matrice.embedding_models as m (model, dimensions, is_default, truncated_from)
  values (register_model.model, register_model.dimensions, register_model.is_default, register_model.truncated_from)
  on conflict on constraint embedding_models_pkey do update
    set dimensions = excluded.dimensions, truncated_from = excluded.truncated_from,
        is_default = m.is_default or excluded.is_default
    where (m.dimensions, m.truncated_from, m.is_default)
          is distinct from (excluded.dimensions, excluded.truncated_from, m.is_default or excluded.is_default);
end
$$;
comment on function matrice.register_model is
  'Declares an embedding model, or changes it. The same call again changes nothing. For services. dimensions: of its vectors, 1 '
  'to 16000. They cannot be changed while the model has embeddings. is_default: makes it the model of projects that name none. '
  'Projects with sources keep the model that they have: it is written into their settings. false: changes nothing about the '
  'default. truncated_from: the whole model, if this one has the first numbers of its vectors (Matryoshka). Then whole vectors '
  'are accepted: they are truncated, and scaled to length 1, when they are stored and when they are searched for. Defaults: '
  'is_default false.';

create or replace function matrice.query_model(project_id uuid) returns table (model text, request_model text, dimensions integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_role(query_model.project_id, 'viewer');
  return query
    select m.model, coalesce(m.truncated_from, m.model), m.dimensions
      from matrice.embedding_models m
     where m.model = matrice_private.embedding_model(null, query_model.project_id);
end
$$;
comment on function matrice.query_model is
  'Returns the model with which to embed a question to a project: the one that its searches use. request_model: the model to ask '
  'for the vector, another one if model is truncated. dimensions: of the vectors that searches compare; a search also takes the '
  'vector of request_model and truncates it.';

create or replace function matrice.model_coverage(project_id uuid) returns table (
  model text, is_active boolean, is_next boolean, chunks bigint, embedded bigint, failed bigint
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  active_model text;
  next_model   text;
begin
  perform matrice_private.require_role(model_coverage.project_id, 'viewer');
  active_model := matrice_private.embedding_model(null, model_coverage.project_id);
  next_model := (select p.settings ->> 'next_embedding_model' from matrice.projects p where p.id = model_coverage.project_id);
  return query
    with embedded as materialized (
      select e.model, count(*) as total from matrice.chunk_embeddings e where e.project_id = model_coverage.project_id group by 1
    ), failed as materialized (
      select l.model, count(*) as total from matrice.embedding_leases l
       where l.project_id = model_coverage.project_id and l.is_failed group by 1
    )
    select m.model, m.model = active_model, m.model is not distinct from next_model,
           (select count(*) from matrice.source_chunks c where c.project_id = model_coverage.project_id),
           coalesce(e.total, 0), coalesce(f.total, 0)
      from (
        select active_model union select next_model where next_model is not null
        union select embedded.model from embedded union select failed.model from failed
      ) m (model)
      left join embedded e on e.model = m.model
      left join failed f on f.model = m.model
     order by 2 desc, 3 desc, 1;
end
$$;
comment on function matrice.model_coverage is
  'Returns how many chunks of a project, without insights, each model has embedded: the model that searches use, the next one '
  'while a switch is under way, and every other that has vectors or failures there. failed: the chunks that failed for good, '
  'see failed_chunks. They count as missing, so a switch waits for them.';

create or replace function matrice_private.require_unused_model(project_id uuid, model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  settings jsonb := (select p.settings from matrice.projects p where p.id = require_unused_model.project_id);
  active   text := matrice_private.embedding_model(null, project_id);
begin
  if model = active then
    raise exception 'the project uses this model'
      using errcode = 'PT409', detail = format('Searches in project %s use the vectors of %s.', project_id, active),
            hint = 'Switch to another model first, with switch_embedding_model.';
  elsif model = settings ->> 'next_embedding_model' then
    raise exception 'the project is switching to this model'
      using errcode = 'PT409', detail = format('The next model of project %s is %s.', project_id, model),
            hint = 'Call cancel_model_switch first.';
  end if;
end
$$;
comment on function matrice_private.require_unused_model is
  'Raises if a model is the one that the project uses, or the next one.';

create or replace function matrice_private.forget_model(project_id uuid, model text, most integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  forgotten   integer;
  of_insights integer := 0;
begin
  -- The parts of the project are not listed for this model any more: a later claim would list them again. Nobody waits.
  if current_setting('transaction_isolation') = 'read committed'
     and pg_try_advisory_xact_lock_shared(hashtext('matrice.embedding_queues'), hashtext(project_id::text)) then
    delete from matrice_private.embedding_queues q
     where q.ctid = any (array(
       select one.ctid from matrice_private.embedding_queues one
        where one.project_id = forget_model.project_id and one.model = forget_model.model for update skip locked));
    delete from matrice_private.waiting_parts w
     where w.ctid = any (array(
       select one.ctid from matrice_private.waiting_parts one
        where one.project_id = forget_model.project_id and one.model = forget_model.model limit most for update skip locked));
    if not matrice_private.is_listed(project_id, model) then
      of_insights := matrice_private.forget_model_of_insights(project_id, model, most);
    end if;
  end if;
  with gone as (
    select l.chunk_id from matrice.embedding_leases l
     where l.project_id = forget_model.project_id and l.model = forget_model.model limit most for update skip locked
  )
  delete from matrice.embedding_leases l
   where l.model = forget_model.model and l.chunk_id in (select gone.chunk_id from gone);
  get diagnostics forgotten = row_count;
  return greatest(forgotten, of_insights);
end
$$;
comment on function matrice_private.forget_model is
  'Deletes what the queue of a project knows about a model: its leases, at most so many, and its waiting parts; and the '
  'vectors of its insights. Returns how many leases or vectors. SECURITY DEFINER: no client may write them. Checks no roles: '
  'for services and forget_model_of_owner.';

create or replace function matrice_private.forget_model_of_owner(project_id uuid, model text, most integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id = any (matrice_private.project_ids('owner')) then
    perform matrice_private.require_unused_model(project_id, model);
    return matrice_private.forget_model(project_id, model, least(most, 10000));
  end if;
  return 0;
end
$$;
comment on function matrice_private.forget_model_of_owner is
  'Calls forget_model for a model that the project does not use, if the caller owns the project. SECURITY DEFINER: no client '
  'may write leases.';

create or replace function matrice_private.require_batch_size(batch_size integer, name text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('batch_size', batch_size);
  if batch_size not between 1 and 10000 then
    raise exception 'batch_size must be between 1 and 10000, not %', batch_size
      using errcode = '22023', hint = format('Call %s again until it returns 0.', name);
  end if;
end
$$;
comment on function matrice_private.require_batch_size is 'Raises unless the size of a batch of vectors is valid.';

create or replace function matrice.truncate_embeddings(project_id uuid, model text, batch_size integer default 1000)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  whole      text;
  dimensions integer;
  held       uuid[];
  made       integer;
begin
  perform matrice_private.require_text('model', truncate_embeddings.model);
  perform matrice_private.require_batch_size(batch_size, 'truncate_embeddings');
  perform matrice_private.require_role(truncate_embeddings.project_id, 'editor');
  perform matrice_private.require_model(truncate_embeddings.model);
  select m.truncated_from, m.dimensions into whole, dimensions
    from matrice.embedding_models m where m.model = truncate_embeddings.model;
  if whole is null then
    raise exception 'the model is not truncated from another one'
      using errcode = '22023', hint = 'A service registers a truncated model with register_model, with truncated_from.';
  end if;
  -- The lock keeps the text of a chunk, so the next statement finds the vectors of this text.
  held := array(
    select c.id from matrice.source_chunks c
     where c.project_id = truncate_embeddings.project_id
       -- Of zeros alone, no vector can be made: it stays for the endpoint.
       and exists (select from matrice.chunk_embeddings e
                    where e.chunk_id = c.id and e.model = whole
                      and matrice_private.norm_of(matrice_private.truncated(e.embedding, dimensions)) > 0)
       and not exists (select from matrice.chunk_embeddings e
                        where e.chunk_id = c.id and e.model = truncate_embeddings.model)
     limit batch_size for key share skip locked);
  insert into matrice.chunk_embeddings (chunk_id, project_id, model, embedding, template_hash)
  select e.chunk_id, e.project_id, truncate_embeddings.model, e.embedding, e.template_hash
    from matrice.chunk_embeddings e
   where e.chunk_id = any (held) and e.model = whole
   order by e.chunk_id
  on conflict on constraint chunk_embeddings_chunk_id_model_key do nothing;
  get diagnostics made = row_count;
  if row_security_active('matrice.embedding_leases') then
    perform matrice_private.end_leases_of_member(held, truncate_embeddings.model);
  else
    perform matrice_private.end_leases(held, truncate_embeddings.model, null);
  end if;
  return made;
end
$$;
comment on function matrice.truncate_embeddings is
  'Makes vectors of a truncated model from the whole vectors that a project has: their first numbers, scaled to length 1. So a '
  'switch to a truncated model asks no endpoint. Makes a batch at each call, and returns how many: call it until it returns 0. '
  'model: a model with truncated_from. batch_size: 1 to 10000. Defaults: batch_size 1000.';

create or replace function matrice.drop_embeddings(project_id uuid, model text, batch_size integer default 1000) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  dropped   integer;
  forgotten integer;
begin
  perform matrice_private.require_text('model', drop_embeddings.model);
  perform matrice_private.require_batch_size(batch_size, 'drop_embeddings');
  perform matrice_private.require_role(drop_embeddings.project_id, 'owner');
  perform matrice_private.require_model(drop_embeddings.model);
  -- No switch begins or ends until this batch is dropped.
  perform from matrice.projects p where p.id = drop_embeddings.project_id for share;
  perform matrice_private.require_unused_model(drop_embeddings.project_id, drop_embeddings.model);
  if row_security_active('matrice.embedding_leases') then
    forgotten := matrice_private.forget_model_of_owner(drop_embeddings.project_id, drop_embeddings.model, batch_size);
  else
    forgotten := matrice_private.forget_model(drop_embeddings.project_id, drop_embeddings.model, batch_size);
  end if;
  -- Skips vectors that others have locked, so that nobody waits.
  with gone as (
    select e.id from matrice.chunk_embeddings e
     where e.project_id = drop_embeddings.project_id and e.model = drop_embeddings.model
     limit batch_size for update skip locked
  )
  delete from matrice.chunk_embeddings e where e.id in (select gone.id from gone);
  get diagnostics dropped = row_count;
  return greatest(dropped, forgotten);
end
$$;
comment on function matrice.drop_embeddings is
  'Deletes the vectors, claims and failures of a model that the project does not use any more, of chunks and of insights, a '
  'batch at each call. Returns how many it deleted of the kind of which it deleted most: call it until it returns 0. Refuses '
  'the model that searches use, and the next one of a switch. Without them, a switch back must embed every chunk again. Needs '
  'the role owner. batch_size: 1 to 10000. Defaults: batch_size 1000.';
