-- How far the sources are: rows that are added up in context_sources.
--
-- Whoever adds or removes chunks, embeddings or failures adds a row here, so writers do not wait for each other. The rows are
-- added up in the columns chunk_count, embedded_count and failed_count by whoever finds the source unlocked.

create table matrice_private.source_counts (
  source_id  uuid    not null,
  model      text    not null default '',
  chunks     integer not null default 0,
  embedded   integer not null default 0,
  failed     integer not null default 0,
  must_count boolean not null default false,
  id         uuid    not null default gen_random_uuid(),
  constraint source_counts_pkey primary key (source_id, id)
);

comment on table matrice_private.source_counts is
  'Changes of the counts of a source that are not in its row yet. There is no foreign key: it would make a writer wait for '
  'whoever deletes the source.';
comment on column matrice_private.source_counts.source_id is 'The source.';
comment on column matrice_private.source_counts.model is 'The embedding model of embedded and failed.';
comment on column matrice_private.source_counts.chunks is 'How many chunks were added.';
comment on column matrice_private.source_counts.embedded is 'How many embeddings were added, or removed if below 0.';
comment on column matrice_private.source_counts.failed is 'How many failures for good were added, or removed if below 0.';
comment on column matrice_private.source_counts.must_count is
  'Whether the chunks of the source must be counted again: some were deleted or moved, or the model of the project changed.';
comment on column matrice_private.source_counts.id is 'Distinguishes the rows of a source.';

alter table matrice_private.source_counts enable row level security;
create policy "nobody reads them" on matrice_private.source_counts for select to authenticated using (false);
select matrice_private.revoke_from_everybody('table', 'matrice_private.source_counts');
