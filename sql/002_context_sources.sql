-- The documents of a project and the chunks that they are cut into.

-- A child row belongs to the project of its parent row. Clients may leave project_id out: a trigger copies it from the
-- parent. The trigger and composite foreign keys refuse any other project.
create function matrice_private.from_parent() returns uuid
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select null::uuid;
end;
comment on function matrice_private.from_parent is
  'Returns null. The default of project_id in tables where a trigger copies it from the parent row. A column with a '
  'default is optional in generated client types.';

-- context_sources ----------------------------------------------------------------------------------------------------

create table matrice.context_sources (
  id             uuid        not null default gen_random_uuid(),
  project_id     uuid        not null,
  type           text        not null default 'file',
  name           text        not null,
  storage_path   text,
  status         text        not null default 'pending',
  raw_metadata   jsonb       not null default '{}',
  token_count    integer,
  processed_at   timestamptz,
  created_at     timestamptz not null default now(),
  format         text,
  max_tokens     integer,
  overlap_tokens integer,
  source_key     text,
  content_hash   bytea,
  error          text,
  chunk_count    integer     not null default 0,
  embedded_count integer     not null default 0,
  failed_count   integer     not null default 0,
  constraint context_sources_pkey primary key (id),
  constraint context_sources_project_id_id_key unique (project_id, id),
  constraint context_sources_project_id_source_key_key unique (project_id, source_key),
  constraint context_sources_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint context_sources_status_pending_processing_ready_error check (status in ('pending', 'processing', 'ready', 'error')),
  constraint context_sources_raw_metadata_is_object check (jsonb_typeof(raw_metadata) = 'object'),
  constraint context_sources_raw_metadata_size check (matrice_private.json_within(raw_metadata, 16384)),
  constraint context_sources_type_length check (octet_length(type) <= 200),
  constraint context_sources_name_length check (octet_length(name) <= 2000),
  constraint context_sources_storage_path_length check (octet_length(storage_path) <= 2000),
  constraint context_sources_token_count_check check (token_count between 0 and 1000000000),
  constraint context_sources_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint context_sources_processed_at_check check (processed_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint context_sources_format_length check (octet_length(format) between 1 and 100),
  constraint context_sources_source_key_length check (octet_length(source_key) between 1 and 2000),
  constraint context_sources_content_hash_length check (octet_length(content_hash) = 32),
  constraint context_sources_error_length check (octet_length(error) <= 4000),
  constraint context_sources_max_tokens_check check (max_tokens between 1 and 1000000000),
  constraint context_sources_overlap_tokens_check check (overlap_tokens between 0 and 1000000000),
  constraint context_sources_chunk_count_check check (chunk_count between 0 and 1000000000),
  constraint context_sources_embedded_count_check check (embedded_count between 0 and 1000000000),
  constraint context_sources_failed_count_check check (failed_count between 0 and 1000000000)
);
create index idx_sources_project on matrice.context_sources (project_id);
create index idx_sources_status on matrice.context_sources (status);
-- The newest sources of a project, and of all projects; and the order in which claim_chunks visits sources.
create index idx_sources_project_created on matrice.context_sources (project_id, created_at);
create index idx_sources_created on matrice.context_sources (created_at);

comment on table matrice.context_sources is 'Source documents for context engineering.';
comment on column matrice.context_sources.id is 'Primary key.';
comment on column matrice.context_sources.project_id is 'The project.';
comment on column matrice.context_sources.type is 'Kind of source: pdf, spreadsheet, api, file, …';
comment on column matrice.context_sources.name is 'Human-readable name.';
comment on column matrice.context_sources.storage_path is
  'Path in Supabase Storage, as the client wrote it. matrice does not check that the object exists or that the client '
  'may read it. A server that delivers the file must check the policies of storage for the user who asks.';
comment on column matrice.context_sources.status is
  'pending: no chunks yet. processing: some chunks have no embedding of the project''s model yet; full-text search finds them '
  'already. ready: all chunks have one. error: the document could not be read, or chunks failed for good; error says why. As '
  'long as a source has no chunks, clients may set it.';
comment on column matrice.context_sources.raw_metadata is 'Metadata of the source. Searches filter by it.';
comment on column matrice.context_sources.token_count is
  'Tokens of the whole text in the default encoding. ingest_source and chunk_source count them. Any other value comes '
  'from a client and is not checked, because the text is not stored.';
comment on column matrice.context_sources.processed_at is 'When the source was last chunked.';
comment on column matrice.context_sources.created_at is 'When the source was added.';
comment on column matrice.context_sources.format is
  'Format that the text was cut as: text, markdown, html, csv or a programming language. chunk_source uses it again '
  'unless it is given another.';
comment on column matrice.context_sources.max_tokens is
  'The max_tokens that the text was cut with. chunk_source uses it again unless it is given another.';
comment on column matrice.context_sources.overlap_tokens is
  'The overlap_tokens that the text was cut with. chunk_source uses it again unless it is given another.';

comment on column matrice.context_sources.source_key is
  'The client''s own name for the document, such as its path or URL. sync_source finds the source by it. Unique in the project.';
comment on column matrice.context_sources.content_hash is
  'SHA-256 of the text and of the options that it was cut with. sync_source compares it.';
comment on column matrice.context_sources.error is
  'Why the source has the status error: what set_source_error was told, or the last error of chunks that failed for good. The '
  'next text clears it.';
comment on column matrice.context_sources.chunk_count is 'How many chunks the source has. Kept by triggers.';
comment on column matrice.context_sources.embedded_count is
  'How many of its chunks have an embedding of the project''s model. Kept by triggers.';
comment on column matrice.context_sources.failed_count is
  'How many of its chunks failed for good with the project''s model. failed_chunks lists them. Kept by triggers.';

-- source_chunks ------------------------------------------------------------------------------------------------------

create table matrice.source_chunks (
  id          uuid     not null default gen_random_uuid(),
  source_id   uuid     not null,
  project_id  uuid     not null default matrice_private.from_parent(),
  chunk_index integer  not null,
  content     text     not null,
  token_count integer,
  metadata    jsonb    not null default '{}',
  start_char  integer,
  end_char    integer,
  fts         tsvector,
  filterable  jsonb,
  constraint source_chunks_pkey primary key (id),
  constraint source_chunks_project_id_id_key unique (project_id, id),
  -- Deferrable, so that one statement can renumber the chunks of a source.
  constraint source_chunks_source_id_chunk_index_key unique (source_id, chunk_index) deferrable initially immediate,
  constraint source_chunks_source_fkey foreign key (project_id, source_id)
    references matrice.context_sources (project_id, id) on delete cascade,
  -- The index is unique within its source, so this also limits the number of chunks per source.
  constraint source_chunks_chunk_index_check check (chunk_index between 0 and 99999),
  constraint source_chunks_content_length check (octet_length(content) <= 1048576),
  constraint source_chunks_token_count_check check (token_count between 0 and 1048576),
  constraint source_chunks_metadata_size check (matrice_private.json_within(metadata, 16384)),
  -- Each chunk repeats the metadata of its source. This limits the copies to about 64 MB per source.
  constraint source_chunks_filterable_size check ((chunk_index + 1)::bigint * pg_column_size(filterable) <= 67108864),
  constraint source_chunks_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  constraint source_chunks_start_char_check check (start_char between 0 and 1000000000),
  constraint source_chunks_end_char_check check (end_char between 0 and 1000000000),
  constraint source_chunks_range_check check (end_char >= start_char)
);
create index idx_chunks_source on matrice.source_chunks (source_id);
create index idx_chunks_project_source on matrice.source_chunks (project_id, source_id);

-- Without fastupdate, because after a large import every search would read the whole list of pending entries.
create index idx_chunks_filterable on matrice.source_chunks using gin (filterable jsonb_path_ops) with (fastupdate = off);

comment on table matrice.source_chunks is 'Chunks of sources. Searches find them.';
comment on column matrice.source_chunks.id is
  'Primary key. If a source is chunked again, a chunk whose text is the same keeps its id.';
comment on column matrice.source_chunks.source_id is 'The source.';
comment on column matrice.source_chunks.project_id is 'The source''s project; filled in when left out.';
comment on column matrice.source_chunks.chunk_index is 'Order within the source, from 0.';
comment on column matrice.source_chunks.content is 'The chunk''s text.';
comment on column matrice.source_chunks.token_count is
  'Tokens of the content in the default encoding. A trigger counts them and ignores what the client wrote.';
comment on column matrice.source_chunks.metadata is
  'Heading path, header of the table, page, section, … Searches filter by it. "page" is a number or a short text, "pages" is '
  'an array of them. Passages and citations show both. spans sets "pages", "sheets" and "slides". All four are removed if the '
  'chunk moves to another place in the text and no spans are given.';
comment on column matrice.source_chunks.start_char is 'Offset of the first character in the source''s text, from 0.';
comment on column matrice.source_chunks.end_char is 'Offset after the last character.';
comment on column matrice.source_chunks.fts is
  'The words of the content, as analyze_text finds them in the language of the project. Each position has a weight, which says '
  'what the lexeme is there. A: a word that is its own stem. B: a word whose stem differs. C: a compound. D: a stem or another '
  'spelling. A lexeme that begins with a blank says how the content was analysed. Set by a trigger.';
comment on column matrice.source_chunks.filterable is
  'What the filter of a search is compared with: a JSON object of raw_metadata and type of the source, the metadata of the '
  'chunk, and the id of the project. Where source and chunk have the same key, the value of the chunk counts. With the id, one '
  'index lookup finds the chunks of one project. Set by a trigger.';
