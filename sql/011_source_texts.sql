-- The texts of sources, by version, and the index that finds chunks of equal text.

create table matrice.source_texts (
  source_id      uuid        not null,
  version        integer     not null,
  project_id     uuid        not null,
  content        text        not null,
  spans          jsonb,
  characters     integer     not null,
  token_count    integer,
  format         text        not null,
  max_tokens     integer     not null,
  overlap_tokens integer     not null,
  created_at     timestamptz not null default now(),
  created_by     uuid                 default matrice_private.current_user_id(),
  constraint source_texts_pkey primary key (source_id, version),
  constraint source_texts_source_fkey foreign key (project_id, source_id)
    references matrice.context_sources (project_id, id) on delete cascade,
  constraint source_texts_version_check check (version >= 1),
  constraint source_texts_content_length check (octet_length(content) <= 67108864),
  -- 20,000 spans, whose names have at most 200 bytes. As JSON, a byte may be written as six.
  constraint source_texts_spans_size check (matrice_private.json_within(spans, 33554432)),
  constraint source_texts_spans_is_array check (jsonb_typeof(spans) = 'array'),
  constraint source_texts_characters_check check (characters between 0 and 67108864),
  constraint source_texts_token_count_check check (token_count between 0 and 1000000000),
  constraint source_texts_format_length check (octet_length(format) between 1 and 100),
  constraint source_texts_max_tokens_check check (max_tokens between 1 and 1000000000),
  constraint source_texts_overlap_tokens_check check (overlap_tokens between 0 and 1000000000),
  constraint source_texts_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_source_texts_project on matrice.source_texts (project_id, source_id);

comment on table matrice.source_texts is
  'The texts of sources, by version. Every new text of a source adds a version. Only ingest_source, chunk_source, sync_source '
  'and restore_source write it. Projects whose setting "keep_source_texts" is false have no rows.';
comment on column matrice.source_texts.source_id is 'The source.';
comment on column matrice.source_texts.version is 'Number of the version, from 1.';
comment on column matrice.source_texts.project_id is 'The source''s project.';
comment on column matrice.source_texts.content is 'The text. Compressed on disk.';
comment on column matrice.source_texts.spans is
  'Where pages, sheets or slides begin in the text, as ingest_source was told; null if it was not told.';
comment on column matrice.source_texts.characters is
  'Length of the text. So its history can be listed without reading the texts.';
comment on column matrice.source_texts.token_count is 'Tokens of the text in the default encoding.';
comment on column matrice.source_texts.format is 'Format that the text was last cut as.';
comment on column matrice.source_texts.max_tokens is 'The max_tokens that the text was last cut with.';
comment on column matrice.source_texts.overlap_tokens is 'The overlap_tokens that the text was last cut with.';
comment on column matrice.source_texts.created_at is 'When the version was stored.';
comment on column matrice.source_texts.created_by is 'The user who stored it; null for a service.';

-- Members read. Nobody writes directly, services included: a version that somebody changed would not be the text that the chunks
-- were cut from. The functions of 21_source_texts.sql write as the owner of the tables.
select matrice_private.revoke_from_everybody('table', 'matrice.source_texts');
grant select on matrice.source_texts to authenticated, service_role;

alter table matrice.source_texts enable row level security;

create policy "viewers read" on matrice.source_texts for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));

-- Equal texts of a project. The hash, because a text may be too long for an index, and a longer hash would cost more room.
create index idx_chunks_text on matrice.source_chunks (project_id, hashtextextended(content, 0));
comment on index matrice.idx_chunks_text is 'Finds the chunks of a project with the same text, which share their embeddings.';

comment on column matrice.projects.settings is
  'Settings of the project: a JSON object of at most 16 kB. "embedding_model" is a row of embedding_models. '
  '"embedding_template" is the text that is embedded, with {content}. "max_attempts" is the number of failures after which a '
  'chunk is not claimed any more. "keep_source_texts": whether the texts of sources are stored; true by default. '
  '"keep_source_versions": how many texts of each source are stored; 10 by default. "language" is a text search configuration, '
  'for example "english" or "french". "app" is an object for the application; matrice does not read it. Other keys are refused.';
comment on column matrice.context_sources.format is
  'Format that the text was cut as: text, markdown or a programming language. chunk_source and rechunk use it again unless they '
  'are given another. Null if a client cut the chunks itself.';
comment on column matrice.context_sources.max_tokens is
  'The max_tokens that the text was cut with. chunk_source and rechunk use it again unless they are given another.';
comment on column matrice.context_sources.overlap_tokens is
  'The overlap_tokens that the text was cut with. chunk_source and rechunk use it again unless they are given another.';
comment on column matrice.context_sources.token_count is
  'Tokens of the whole text in the default encoding; of a source that a client cut itself, the sum of those of its chunks. Any '
  'value that a client writes here is not checked.';
