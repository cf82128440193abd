-- embedding_models ---------------------------------------------------------------------------------------------------

create table matrice.embedding_models (
  model          text        not null,
  dimensions     integer     not null,
  is_default     boolean     not null default false,
  created_at     timestamptz not null default now(),
  truncated_from text,
  constraint embedding_models_pkey primary key (model),
  constraint embedding_models_dimensions_check check (dimensions between 1 and 16000),
  constraint embedding_models_model_not_blank check (model ~ '\S'),
  constraint embedding_models_model_length check (octet_length(model) <= 200),
  constraint embedding_models_truncated_from_length check (octet_length(truncated_from) <= 200),
  constraint embedding_models_truncated_from_other_check check (truncated_from <> model),
  constraint embedding_models_truncated_from_fkey foreign key (truncated_from) references matrice.embedding_models (model),
  constraint embedding_models_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create unique index embedding_models_one_default on matrice.embedding_models (is_default) where is_default;
create index idx_models_truncated_from on matrice.embedding_models (truncated_from);

comment on table matrice.embedding_models is
  'The embedding models in use, with the dimensions of their vectors. register_model adds another.';
comment on column matrice.embedding_models.model is 'Name of the model.';
comment on column matrice.embedding_models.dimensions is
  'Number of dimensions of its vectors. Vectors of other dimensions are refused.';
comment on column matrice.embedding_models.is_default is
  'Whether this is the model of projects whose settings name none. At most one row is the default.';
comment on column matrice.embedding_models.created_at is 'When the model was added.';
comment on column matrice.embedding_models.truncated_from is
  'The model whose vectors are shortened to these dimensions. Its whole vectors are accepted: their first numbers are kept, '
  'and scaled to length 1. That serves only models that were trained for it (Matryoshka). Null: the vectors are whole.';

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
  'Returns null. The default of model in tables where a trigger takes it from the project. A column with a default is '
  'optional in generated client types.';

create table matrice.chunk_embeddings (
  id         uuid        not null default gen_random_uuid(),
  chunk_id   uuid        not null,
  project_id uuid        not null default matrice_private.from_parent(),
  embedding  vector      not null,
  model      text        not null default matrice_private.from_project(),
  created_at timestamptz not null default now(),
  template_hash integer,
  constraint chunk_embeddings_pkey primary key (id),
  constraint chunk_embeddings_chunk_id_model_key unique (chunk_id, model),
  constraint chunk_embeddings_chunk_fkey foreign key (project_id, chunk_id)
    references matrice.source_chunks (project_id, id) on delete cascade,
  constraint chunk_embeddings_model_fkey foreign key (model) references matrice.embedding_models (model),
  constraint chunk_embeddings_model_length check (octet_length(model) <= 200),
  constraint chunk_embeddings_template_hash_check check (template_hash between 0 and 1073741823),
  constraint chunk_embeddings_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);

-- Vectors stay in the row if they fit. Outside of the row they need as much room and take several times as long to read.
alter table matrice.chunk_embeddings alter column embedding set storage main;
create index idx_embeddings_project on matrice.chunk_embeddings (project_id, chunk_id);
create index idx_embeddings_model on matrice.chunk_embeddings (model);

-- Searches by vector read the embeddings of a small project by this index. 009_code_index.sql has the codes that they compare
-- first in a large one.
create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model, template_hash);

comment on table matrice.chunk_embeddings is 'Embeddings of chunks, one per chunk and model.';
comment on column matrice.chunk_embeddings.id is 'Primary key.';
comment on column matrice.chunk_embeddings.chunk_id is 'The chunk.';
comment on column matrice.chunk_embeddings.project_id is 'The chunk''s project; filled in when left out.';
comment on column matrice.chunk_embeddings.embedding is 'The vector, with the dimensions that its model declares.';
comment on column matrice.chunk_embeddings.model is
  'The embedding model. If left out: the model of the project, or else the default model.';
comment on column matrice.chunk_embeddings.created_at is 'When the embedding was stored.';
comment on column matrice.chunk_embeddings.template_hash is
  'Which template made the text that was embedded: a hash of the setting embedding_template at the claim. Null if a client wrote '
  'the row itself.';
comment on index matrice.idx_embeddings_vector is
  'Finds the embeddings of a project and model. Searches by vector use it.';

-- The original specification has an ivfflat index of all embeddings. Searches here do not read one: they compare the codes of a
-- project. Such an index makes storing embeddings several times as slow, so it is built only when somebody asks for it.
create function matrice_private.build_embedding_index(method text default 'hnsw') returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  home  text := (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
                  where e.extname = 'vector');
  model record;
begin
  if method is null or method not in ('hnsw', 'ivfflat') then
    raise exception 'unknown index method: "%"', method
      using errcode = '22023', hint = 'Use hnsw or ivfflat.';
  end if;
  -- Indexes of vector take at most 2000 dimensions, those of halfvec 4000.
  select m.model as name, m.dimensions, case when m.dimensions > 2000 then 'halfvec' else 'vector' end as type
    into model from matrice.embedding_models m where m.is_default;
  if not found then
    raise exception 'no embedding model is the default'
      using errcode = '22023', hint = 'Set is_default in one row of matrice.embedding_models.';
  end if;
  if model.dimensions > 4000 then
    raise exception 'an index of pgvector takes at most 4000 dimensions'
      using errcode = '22023', detail = format('The default model %s has %s.', model.name, model.dimensions),
            hint = 'Searches of matrice need no such index.';
  end if;
  drop index if exists matrice.idx_embeddings_approximate;
  execute format(
    'create index idx_embeddings_approximate on matrice.chunk_embeddings using %s
       ((embedding::%s.%s(%s)) %s.%s_cosine_ops) %s where (model = %L)',
    method, home, model.type, model.dimensions, home, model.type,
    case method when 'ivfflat' then 'with (lists = 100)' else '' end, model.name);
  alter index matrice.idx_embeddings_approximate alter column 1 set statistics 0;
  comment on index matrice.idx_embeddings_approximate is
    'Approximate nearest neighbours among all embeddings of the default model. For queries that clients write '
    'themselves. match_chunks does not use it: it compares the codes of a project.';
end
$$;
comment on function matrice_private.build_embedding_index is
  'Builds the index idx_embeddings_approximate of pgvector, for the default model, or builds it again. Queries that clients '
  'write themselves can use it; no function of matrice does. It takes about as much room as the vectors, and makes storing '
  'embeddings several times as slow. Above 2000 dimensions it compares embedding::halfvec. To remove it, drop the index. '
  'method: hnsw, or ivfflat, which takes its centroids from the rows that there are. For the owner of the tables. Defaults: '
  'method ''hnsw''.';

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
  template_hash integer,
  is_failed    boolean     not null default false,
  unanswered   integer     not null default 0,
  -- A chunk has one project. With it, the key also finds the rows that the foreign key asks for.
  constraint embedding_leases_pkey primary key (chunk_id, project_id, model),
  constraint embedding_leases_chunk_fkey foreign key (chunk_id, project_id)
    references matrice.source_chunks (id, project_id) on delete cascade,
  constraint embedding_leases_model_length check (octet_length(model) <= 200),
  constraint embedding_leases_attempt_check check (attempt between 1 and 1000000),
  constraint embedding_leases_unanswered_check check (unanswered between 0 and 1000000),
  constraint embedding_leases_template_hash_check check (template_hash between 0 and 1073741823),
  constraint embedding_leases_last_error_length check (length(last_error) <= 2000),
  constraint embedding_leases_text_hash_length check (octet_length(text_hash) = 32),
  constraint embedding_leases_leased_until_check check (leased_until between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
-- Leases come and go, and after a VACUUM of none PostgreSQL takes every index to be empty. It would then look chunks up in any
-- index that has their id, and read all of it for each. So no index of all leases begins with project_id.
create index idx_leases_failed on matrice.embedding_leases (project_id) where is_failed;

comment on table matrice.embedding_leases is
  'Chunks that a worker has claimed but not embedded yet, or has given back. Only claim_chunks, store_embeddings and '
  'fail_chunks write it. It is not the queue: a chunk can be claimed if it has neither an embedding nor a lease that '
  'still runs.';
comment on column matrice.embedding_leases.chunk_id is 'The chunk.';
comment on column matrice.embedding_leases.model is 'The embedding model.';
comment on column matrice.embedding_leases.project_id is 'The chunk''s project.';
comment on column matrice.embedding_leases.attempt is
  'How many times this text of the chunk has been claimed for this model.';
comment on column matrice.embedding_leases.leased_until is 'Until this time, nobody else can claim the chunk.';
comment on column matrice.embedding_leases.last_error is
  'The error that fail_chunks last recorded, or that the worker did not answer.';
comment on column matrice.embedding_leases.lease_id is
  'The call of claim_chunks that made the lease. Null: the chunk was given back and waits until leased_until.';
comment on column matrice.embedding_leases.leased_by is 'The user who claimed the chunk; null for a service.';
comment on column matrice.embedding_leases.text_hash is
  'SHA-256 of the text that the worker got. An embedding is stored only if the chunk still has this text.';
comment on column matrice.embedding_leases.template_hash is
  'Which template made the text that the worker got. The embedding keeps it.';
comment on column matrice.embedding_leases.is_failed is
  'Whether the chunk is not claimed any more, because it failed for good. A new text or retry_failed makes it claimable.';
comment on column matrice.embedding_leases.unanswered is
  'How many former leases of this text have ended without an answer of the worker. After one, a claim hands the chunk out with '
  'at most seven like it; after more, alone.';

-- Where to look for waiting chunks ----------------------------------------------------------------------------------------

-- The queue is derived: which chunks are waiting follows from chunks, embeddings and leases. Deriving it from all chunks of a
-- project at each claim would take a time that grows with the project. So these tables say which parts of which sources may have
-- waiting chunks. A part is 128 consecutive chunks of a source. Too many rows cost time and change nothing. sql/007_functions/
-- 22_embedding_queue.sql describes who writes them.
create table matrice_private.embedding_queues (
  project_id uuid not null,
  model      text not null,
  constraint embedding_queues_pkey primary key (project_id, model)
);
comment on table matrice_private.embedding_queues is
  'For which models the parts of a project are listed in waiting_parts. The first claim of a model in a project lists them.';
comment on column matrice_private.embedding_queues.project_id is 'The project.';
comment on column matrice_private.embedding_queues.model is 'The embedding model.';

create table matrice_private.waiting_parts (
  project_id uuid        not null,
  source_id  uuid        not null,
  part       integer     not null,
  id         uuid        not null default gen_random_uuid(),
  model      text        not null default '',
  due        timestamptz not null,
  constraint waiting_parts_pkey primary key (source_id, part, id)
);
-- The order in which claim_chunks looks into parts.
create index idx_waiting_parts_order on matrice_private.waiting_parts (project_id, model, due, source_id, part);

comment on table matrice_private.waiting_parts is
  'Parts of sources that may have chunks to embed. Every part with a waiting chunk has a row. A part may have several rows, or '
  'none of its chunks may be waiting any more. Writers only add rows, so they do not wait for each other. claim_chunks removes '
  'them when it finds nothing to do.';
comment on column matrice_private.waiting_parts.project_id is 'The project.';
comment on column matrice_private.waiting_parts.source_id is 'The source.';
comment on column matrice_private.waiting_parts.part is 'The chunk_index of the chunks of the part, divided by 128.';
comment on column matrice_private.waiting_parts.id is 'Distinguishes the rows of a part.';
comment on column matrice_private.waiting_parts.model is
  'The model that the chunks may wait for. Empty: every model of the project.';
comment on column matrice_private.waiting_parts.due is
  'Before this time, a claim need not look into the part: its chunks are leased. A new part has the time of its source.';

alter table matrice_private.embedding_queues enable row level security;
alter table matrice_private.waiting_parts enable row level security;

create policy "nobody reads them" on matrice_private.embedding_queues for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.waiting_parts for select to authenticated using (false);
