-- The index of codes: a short code of each embedding, beside the other codes of its project and model. Searches by vector read
-- it.
--
-- Codes stand in lists, and lists in pages. A page fills a page of the table. Each statement that stores embeddings adds a list
-- for each project and model, and never changes one. Small lists are merged now and then. So writers do not wait for each other,
-- and a search sees a code of each embedding of its snapshot. It may also see codes of embeddings that were deleted or changed.
-- It reads the embedding of each code that is near, so they do no harm. A merge removes them.
--
-- These tables are not in the API. Triggers write them, and searches read them, as the owner of the tables.

create table matrice_private.code_lists (
  project_id uuid        not null,
  model      text        not null,
  id         uuid        not null default gen_random_uuid(),
  built_at   timestamptz not null default clock_timestamp(),
  code_count integer     not null,
  centroid   bytea       not null,
  constraint code_lists_pkey primary key (project_id, model, id)
);
comment on table matrice_private.code_lists is 'Lists of the codes of embeddings. Each has codes of one project and model.';
comment on column matrice_private.code_lists.project_id is 'The project.';
comment on column matrice_private.code_lists.model is 'The embedding model.';
comment on column matrice_private.code_lists.id is 'Primary key, with project_id and model.';
comment on column matrice_private.code_lists.built_at is 'When the list was built.';
comment on column matrice_private.code_lists.code_count is
  'How many codes the list has, with those of embeddings that were deleted or changed.';
comment on column matrice_private.code_lists.centroid is
  'The mean of the vectors of the list. Codes describe how vectors differ from it.';

create table matrice_private.code_pages (
  project_id uuid    not null,
  model      text    not null,
  list       uuid    not null,
  page       integer not null,
  codes      bytea   not null,
  constraint code_pages_pkey primary key (project_id, model, list, page)
);
comment on table matrice_private.code_pages is 'The codes of the lists, in pages that fill a page of the table.';
comment on column matrice_private.code_pages.project_id is 'The project.';
comment on column matrice_private.code_pages.model is 'The embedding model.';
comment on column matrice_private.code_pages.list is 'The list.';
comment on column matrice_private.code_pages.page is 'The place of the page in the list, from 1.';
comment on column matrice_private.code_pages.codes is 'The codes, each with the id of its chunk.';

create table matrice_private.code_deletions (
  project_id uuid    not null,
  model      text    not null,
  id         uuid    not null default gen_random_uuid(),
  code_count integer not null,
  constraint code_deletions_pkey primary key (project_id, model, id)
);
comment on table matrice_private.code_deletions is
  'How many embeddings were deleted or changed whose codes are still in the lists. When there are many, lists are merged.';
comment on column matrice_private.code_deletions.project_id is 'The project.';
comment on column matrice_private.code_deletions.model is 'The embedding model.';
comment on column matrice_private.code_deletions.id is 'Primary key, with project_id and model.';
comment on column matrice_private.code_deletions.code_count is 'How many codes.';

-- Codes do not compress. A page of codes stays in its row, unless the name of the model is very long.
alter table matrice_private.code_lists alter column centroid set storage external;
alter table matrice_private.code_pages alter column codes set storage main;

alter table matrice_private.code_lists enable row level security;
alter table matrice_private.code_pages enable row level security;
alter table matrice_private.code_deletions enable row level security;

-- The default privileges of a database may have granted the tables to anybody.
select matrice_private.revoke_from_everybody('table', 'matrice_private.' || name)
  from unnest(array['code_lists', 'code_pages', 'code_deletions']) name;

create policy "nobody reads them" on matrice_private.code_lists for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.code_pages for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.code_deletions for select to authenticated using (false);
