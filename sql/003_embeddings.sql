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

-- chunk_embeddings ---------------------------------------------------------------------------------------------------

create function matrice_private.from_project() returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select null::text;
end;
comment on function matrice_private.from_project is
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
comment on function matrice_private.build_embedding_index is
  'Builds idx_embeddings_vector by hnsw or ivfflat: the argument, else matrice.embedding_index_method, else hnsw. For the owner of the tables.';

select matrice_private.build_embedding_index();

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
