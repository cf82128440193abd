-- The word index of chunks: which chunks of a project have which words. 028_insight_segments.sql adds insights.
--
-- It consists of segments, in the manner of Lucene. Each statement that stores chunks adds a segment for each project, and never
-- changes one. Each statement that deletes chunks, or changes their words, adds a row of deletions. Small segments are merged
-- now and then. So writers do not wait for each other, and a search sees exactly the chunks of its snapshot.
--
-- These tables are not in the API. Triggers write them, and searches read them, as the owner of the tables.

create table matrice_private.word_segments (
  project_id uuid        not null,
  id         uuid        not null default gen_random_uuid(),
  built_at   timestamptz not null default clock_timestamp(),
  analysis   text        not null,
  text_count integer     not null,
  texts      bytea       not null,
  constraint word_segments_pkey primary key (project_id, id)
);
comment on table matrice_private.word_segments is 'Segments of the word index. Each has the words of some chunks of a project.';
comment on column matrice_private.word_segments.project_id is 'The project.';
comment on column matrice_private.word_segments.id is 'Primary key, with project_id.';
comment on column matrice_private.word_segments.built_at is 'When the segment was built.';
comment on column matrice_private.word_segments.analysis is
  'How the chunks were analysed: the language and the version of the analyser.';
comment on column matrice_private.word_segments.text_count is 'How many chunks the segment has, with those that are deleted.';
comment on column matrice_private.word_segments.texts is
  'The chunks in their order: of each the id, a hash of its words, and how many words it has.';

create table matrice_private.word_blocks (
  project_id uuid  not null,
  segment    uuid  not null,
  first_word text  not null collate "C",
  words      bytea not null,
  constraint word_blocks_pkey primary key (project_id, segment, first_word)
);
comment on table matrice_private.word_blocks is 'The words of the segments, in blocks of about two kilobytes.';
comment on column matrice_private.word_blocks.project_id is 'The project.';
comment on column matrice_private.word_blocks.segment is 'The segment.';
comment on column matrice_private.word_blocks.first_word is 'The first word of the block.';
comment on column matrice_private.word_blocks.words is
  'The words of the block in byte order, each with the chunks that have it, and how often.';

create table matrice_private.word_deletions (
  project_id uuid  not null,
  id         uuid  not null default gen_random_uuid(),
  texts      bytea not null,
  constraint word_deletions_pkey primary key (project_id, id)
);
comment on table matrice_private.word_deletions is
  'Chunks in segments that were deleted, or whose words changed. A merge of their segments removes them.';
comment on column matrice_private.word_deletions.project_id is 'The project.';
comment on column matrice_private.word_deletions.id is 'Primary key, with project_id.';
comment on column matrice_private.word_deletions.texts is 'The chunks: of each the id and the hash of its words.';

-- They are compressed already.
alter table matrice_private.word_segments alter column texts set storage external;
alter table matrice_private.word_blocks alter column words set storage external;
alter table matrice_private.word_deletions alter column texts set storage external;

alter table matrice_private.word_segments enable row level security;
alter table matrice_private.word_blocks enable row level security;
alter table matrice_private.word_deletions enable row level security;

-- The default privileges of a database may have granted the tables to anybody.
select matrice_private.revoke_from_everybody('table', 'matrice_private.' || name)
  from unnest(array['word_segments', 'word_blocks', 'word_deletions']) name;

create policy "nobody reads them" on matrice_private.word_segments for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.word_blocks for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.word_deletions for select to authenticated using (false);
