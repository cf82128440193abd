-- Embeddings: pgvector holds them, embedding_models declares their dimensions, embedding_leases who is computing them.

create function matrice_private.dimensions_of(embedding vector) returns integer
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select vector_dims(embedding);
end;
comment on function matrice_private.dimensions_of(vector) is
  'Dimensions of a vector. Bound to pgvector''s function at creation, so that PL/pgSQL, whose search_path has no schema of pgvector, can call it.';

create function matrice_private.norm_of(embedding vector) returns double precision
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select vector_norm(embedding);
end;
comment on function matrice_private.norm_of(vector) is 'Euclidean norm of a vector. Bound at creation, as dimensions_of is.';

create function matrice_private.to_vector(embedding text) returns vector
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select embedding::vector;
end;
comment on function matrice_private.to_vector(text) is 'Reads a vector from its text form, "[1, 2.5, 3]".';

-- embedding_models ---------------------------------------------------------------------------------------------------

create table matrice.embedding_models (
  model      text        not null,
  dimensions integer     not null,
  is_default boolean     not null default false,
  created_at timestamptz not null default now(),
  constraint embedding_models_pkey primary key (model),
  constraint embedding_models_dimensions_check check (dimensions between 1 and 16000),
  constraint embedding_models_model_length check (octet_length(model) <= 200),
  constraint embedding_models_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create unique index embedding_models_one_default on matrice.embedding_models (is_default) where is_default;

comment on table matrice.embedding_models is 'The embedding models in use, with the dimensions of their vectors. Add a row to use another model.';
comment on column matrice.embedding_models.model is 'Name of the model.';
comment on column matrice.embedding_models.dimensions is 'Length of its vectors; others are refused.';
comment on column matrice.embedding_models.is_default is 'The model of projects whose settings name none.';
comment on column matrice.embedding_models.created_at is 'When the model was declared.';

insert into matrice.embedding_models (model, dimensions, is_default) values
  ('text-embedding-3-small', 1536, true),
  ('text-embedding-3-large', 3072, false),
  ('text-embedding-ada-002', 1536, false),
  ('gte-small', 384, false),
  ('voyage-3.5', 1024, false),
  ('gemini-embedding-001', 3072, false);

create function matrice_private.require_model(model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from matrice.embedding_models m where m.model = require_model.model) then
    raise exception 'unknown embedding model: "%"', left(model, 100)
      using errcode = '22023', hint = format('Known: %s. Declare others in matrice.embedding_models.',
        (select string_agg(m.model, ', ' order by m.model) from matrice.embedding_models m));
  end if;
end
$$;
comment on function matrice_private.require_model(text) is 'Raises unless an embedding model is declared.';

create function matrice_private.require_comparable(embedding vector, model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declared integer;
  norm     double precision := matrice_private.norm_of(embedding);
begin
  select m.dimensions into declared from matrice.embedding_models m where m.model = require_comparable.model;
  if matrice_private.dimensions_of(embedding) <> declared then
    raise exception 'wrong number of dimensions for model "%"', left(model, 100)
      using errcode = '22023',
            detail = format('Expected %s dimensions, got %s.', declared, matrice_private.dimensions_of(embedding)),
            hint = 'Name the model that the embedding was made with; declare new models in matrice.embedding_models.';
  end if;
  if norm = 0 then
    raise exception 'an embedding of only zeros has no direction'
      using errcode = '22023', hint = 'Embed the text again: the model returned nothing.';
  end if;
  -- pgvector adds up squares in single precision, which holds them from 1e-38 to 1e38.
  if norm not between 1e-18 and 1e18 then
    raise exception 'an embedding is too % to be compared', case when norm > 1 then 'long' else 'short' end
      using errcode = '22023',
            detail = format('Its norm is %s; cosine similarity is exact between 1e-18 and 1e18.', norm),
            hint = 'Scale it, to a norm of 1 for instance: only its direction counts.';
  end if;
end
$$;
comment on function matrice_private.require_comparable(vector, text) is
  'Raises unless a vector has the dimensions that its model declares, and a cosine distance to others.';

create function matrice_private.known_settings() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['embedding_model', 'language', 'app'];
end;
comment on function matrice_private.known_settings() is 'The keys that settings of a project may have.';

create function matrice_private.check_settings() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong    record;
  language text := new.settings ->> 'language';
begin
  if jsonb_typeof(new.settings) is distinct from 'object' then
    -- The table's own constraints refuse it.
    return new;
  end if;
  perform matrice_private.require_json('settings', new.settings, 16384);
  select s.key, jsonb_typeof(s.value) as type into wrong from jsonb_each(new.settings) s
   where s.key <> all (matrice_private.known_settings())
   order by s.key limit 1;
  if found then
    raise exception 'unknown setting: "%"', left(wrong.key, 100)
      using errcode = '22023',
            detail = 'A setting that matrice does not know would do nothing.',
            hint = format('Known: %s. What your application keeps with a project goes into "app", an object.',
                          array_to_string(matrice_private.known_settings(), ', '));
  end if;
  select s.key, jsonb_typeof(s.value) as type into wrong from jsonb_each(new.settings) s
   where jsonb_typeof(s.value) <> case s.key when 'app' then 'object' else 'string' end
   order by s.key limit 1;
  if found then
    raise exception 'setting "%" must be a JSON %', wrong.key, case wrong.key when 'app' then 'object' else 'string' end
      using errcode = '22023', detail = format('It is %s.', wrong.type), hint = 'Leave it out where there is nothing to say.';
  end if;
  if new.settings ? 'embedding_model' then
    perform matrice_private.require_model(new.settings ->> 'embedding_model');
  end if;
  if language is not null and not exists (
    select from pg_ts_config c where c.cfgname = language and c.cfgnamespace = 'pg_catalog'::regnamespace
  ) then
    raise exception 'unknown language: "%"', left(language, 100)
      using errcode = '22023', hint = format('Known: %s.',
        (select string_agg(c.cfgname, ', ' order by c.cfgname) from pg_ts_config c where c.cfgnamespace = 'pg_catalog'::regnamespace));
  end if;
  return new;
end
$$;
comment on function matrice_private.check_settings() is
  'Refuses settings of a project with an unknown key, a value of another type, an unknown embedding model or language, or more than 16 kB.';

create trigger check_settings before insert or update of settings on matrice.projects
for each row execute function matrice_private.check_settings();

create function matrice_private.keep_dimensions() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from matrice.chunk_embeddings e where e.model = old.model) then
    raise exception 'the model has embeddings of % dimensions', old.dimensions
      using errcode = 'PT409',
            detail = format('There are embeddings of %s in matrice.chunk_embeddings.', quote_literal(old.model)),
            hint = 'Declare the model with other dimensions under another name, and embed with that.';
  end if;
  return new;
end
$$;
comment on function matrice_private.keep_dimensions() is 'Refuses to change the dimensions of a model while there are embeddings of it.';

create trigger keep_dimensions before update of dimensions on matrice.embedding_models
for each row when (old.dimensions <> new.dimensions) execute function matrice_private.keep_dimensions();

-- chunk_embeddings ---------------------------------------------------------------------------------------------------

create function matrice_private.from_project() returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select null::text;
end;
comment on function matrice_private.from_project() is
  'Default of a model that a trigger takes from the project. Being a default, it makes the column optional in generated client types.';

create table matrice.chunk_embeddings (
  id         uuid        not null default gen_random_uuid(),
  chunk_id   uuid        not null,
  project_id uuid        not null default matrice_private.from_parent(),
  embedding  vector      not null,
  model      text        not null default matrice_private.from_project(),
  created_at timestamptz not null default now(),
  code       bit varying generated always as (binary_quantize(embedding)) stored,
  constraint chunk_embeddings_pkey primary key (id),
  constraint chunk_embeddings_chunk_id_model_key unique (chunk_id, model),
  constraint chunk_embeddings_chunk_fkey foreign key (project_id, chunk_id)
    references matrice.source_chunks (project_id, id) on delete cascade,
  constraint chunk_embeddings_model_fkey foreign key (model) references matrice.embedding_models (model),
  constraint chunk_embeddings_model_length check (octet_length(model) <= 200),
  constraint chunk_embeddings_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
-- In the row where it fits: beside it, reading a vector takes several times as long, and as much room.
alter table matrice.chunk_embeddings alter column embedding set storage main;
create index idx_embeddings_project on matrice.chunk_embeddings (project_id, chunk_id);
create index idx_embeddings_model on matrice.chunk_embeddings (model);
-- Holds all that the first half of a search reads, each project's codes side by side.
create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id);

comment on table matrice.chunk_embeddings is 'Embeddings of chunks, one per chunk and model.';
comment on column matrice.chunk_embeddings.id is 'Primary key.';
comment on column matrice.chunk_embeddings.chunk_id is 'The chunk.';
comment on column matrice.chunk_embeddings.project_id is 'The chunk''s project; filled in when left out.';
comment on column matrice.chunk_embeddings.embedding is 'The vector, of the dimensions that the model declares.';
comment on column matrice.chunk_embeddings.model is 'The embedding model; the project''s when left out, else the default one.';
comment on column matrice.chunk_embeddings.created_at is 'When the embedding was stored.';
comment on column matrice.chunk_embeddings.code is
  'The signs of the vector''s numbers, a bit each. Searches compare these first, then the vectors of those that come near.';

create function matrice_private.check_embedding() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.model is null then
    new.model := matrice_private.embedding_model(null, new.project_id);
  end if;
  perform matrice_private.require_comparable(new.embedding, new.model);
  return new;
end
$$;
comment on function matrice_private.check_embedding() is 'Fills in an embedding''s model, and refuses what cannot be compared with the model''s other embeddings.';

create trigger a_project_from_parent before insert on matrice.chunk_embeddings
for each row execute function matrice_private.project_from_parent();
create trigger a_project_of_new_parent before update of chunk_id on matrice.chunk_embeddings
for each row when (old.chunk_id is distinct from new.chunk_id) execute function matrice_private.project_from_parent();

create trigger check_embedding before insert or update of embedding, model on matrice.chunk_embeddings
for each row execute function matrice_private.check_embedding();

-- The seed asks for ivfflat. An ivfflat index takes its centroids from the rows it is built on: built on an empty
-- table it has none, and finds nothing useful. HNSW has no such need, so it is the default. Whoever wants ivfflat
-- sets matrice.embedding_index_method = 'ivfflat' and calls the function once there are rows.
create function matrice_private.build_embedding_index(method text default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  home   text := (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector');
  chosen text := coalesce(method, nullif(current_setting('matrice.embedding_index_method', true), ''), 'hnsw');
begin
  if chosen not in ('hnsw', 'ivfflat') then
    raise exception 'unknown index method: "%"', chosen
      using errcode = '22023', hint = 'matrice.embedding_index_method is hnsw or ivfflat.';
  end if;
  drop index if exists matrice.idx_embeddings_vector;
  execute format(
    'create index idx_embeddings_vector on matrice.chunk_embeddings using %s
       ((embedding::%s.vector(1536)) %s.vector_cosine_ops) %s where (model = ''text-embedding-3-small'')',
    chosen, home, home, case chosen when 'ivfflat' then 'with (lists = 100)' else '' end);
  alter index matrice.idx_embeddings_vector alter column 1 set statistics 0;
  comment on index matrice.idx_embeddings_vector is
    'Approximate neighbours among all embeddings of the default model. Clients'' own queries may use it; match_chunks compares a project''s codes and does not.';
end
$$;
comment on function matrice_private.build_embedding_index(text) is
  'Builds idx_embeddings_vector by hnsw or ivfflat: the argument, else matrice.embedding_index_method, else hnsw. For the owner of the tables.';

select matrice_private.build_embedding_index();

-- A new text needs a new embedding.
create function matrice_private.hold_text() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.source_chunks c where c.id = old.id for update;
  return new;
end
$$;
comment on function matrice_private.hold_text() is
  'Locks a chunk whose text changes as if its key changed: store_embeddings holds chunks as foreign keys do, and so either waits for the new text or is waited for and then forgotten.';

create trigger hold_text before update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.hold_text();

create function matrice_private.forget_embeddings() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice.chunk_embeddings where chunk_id = new.id;
  return null;
end
$$;
comment on function matrice_private.forget_embeddings() is 'Drops the embeddings of a chunk whose text changed, so that it is claimed again.';

create trigger forget_embeddings after update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.forget_embeddings();

-- embedding_leases ---------------------------------------------------------------------------------------------------

create table matrice.embedding_leases (
  chunk_id     uuid        not null,
  model        text        not null,
  project_id   uuid        not null default matrice_private.from_parent(),
  attempt      integer     not null default 1,
  leased_until timestamptz not null,
  last_error   text,
  lease_id     uuid                 default gen_random_uuid(),
  leased_by    uuid                 default matrice_private.current_user_id(),
  text_hash    bytea,
  constraint embedding_leases_pkey primary key (chunk_id, model),
  constraint embedding_leases_chunk_fkey foreign key (project_id, chunk_id)
    references matrice.source_chunks (project_id, id) on delete cascade,
  constraint embedding_leases_model_fkey foreign key (model) references matrice.embedding_models (model),
  constraint embedding_leases_model_length check (octet_length(model) <= 200),
  constraint embedding_leases_attempt_check check (attempt between 1 and 1000000),
  constraint embedding_leases_last_error_length check (length(last_error) <= 2000),
  constraint embedding_leases_text_hash_length check (octet_length(text_hash) = 32),
  constraint embedding_leases_leased_until_check check (leased_until between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_leases_project on matrice.embedding_leases (project_id, chunk_id);
create index idx_leases_model on matrice.embedding_leases (model);

comment on table matrice.embedding_leases is
  'Chunks that a worker has claimed and not yet embedded, or has given back. Written by claim_chunks, store_embeddings and fail_chunks alone. The queue itself is derived: a chunk without an embedding and without a live lease is claimable.';
comment on column matrice.embedding_leases.chunk_id is 'The chunk.';
comment on column matrice.embedding_leases.model is 'The embedding model.';
comment on column matrice.embedding_leases.project_id is 'The chunk''s project.';
comment on column matrice.embedding_leases.attempt is 'How often this text of the chunk has been claimed for this model.';
comment on column matrice.embedding_leases.leased_until is 'Nobody else is given the chunk before this time.';
comment on column matrice.embedding_leases.last_error is 'What fail_chunks last said.';
comment on column matrice.embedding_leases.lease_id is 'The call of claim_chunks that it comes from. Null: it was given back, and waits until leased_until.';
comment on column matrice.embedding_leases.leased_by is 'The user who claimed it; null for a service.';
comment on column matrice.embedding_leases.text_hash is 'SHA-256 of the text that was handed out: no embedding of another text is stored for it.';

create function matrice_private.text_hash(content text) returns bytea
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select sha256(convert_to(content, 'UTF8'));
end;
comment on function matrice_private.text_hash(text) is 'What a lease knows a text by.';

create trigger a_project_from_parent before insert on matrice.embedding_leases
for each row execute function matrice_private.project_from_parent();
create trigger a_project_of_new_parent before update of chunk_id on matrice.embedding_leases
for each row when (old.chunk_id is distinct from new.chunk_id) execute function matrice_private.project_from_parent();

create function matrice_private.complete_lease() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  select matrice_private.text_hash(c.content) into new.text_hash from matrice.source_chunks c where c.id = new.chunk_id;
  return new;
end
$$;
comment on function matrice_private.complete_lease() is 'Fills in a lease''s text from its chunk.';

create trigger complete_lease before insert on matrice.embedding_leases
for each row when (new.text_hash is null) execute function matrice_private.complete_lease();

create function matrice_private.forget_failures() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A lease that somebody holds stays: the text is not given to the next worker while the first may still answer.
  delete from matrice.embedding_leases where chunk_id = new.id and lease_id is null;
  return null;
end
$$;
comment on function matrice_private.forget_failures() is
  'Forgets that a chunk''s former text could not be embedded, so that the new one does not wait. SECURITY DEFINER: no client may write leases; it touches those of the changed chunk alone.';

create trigger forget_failures after update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.forget_failures();
