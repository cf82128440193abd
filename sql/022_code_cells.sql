-- Cells of codes: in a project of very many embeddings, codes of vectors that are near each other stand together, so that a
-- search need not read all of them. sql/009_code_index.sql describes the lists of smaller projects.
--
-- New codes still come in lists. When a list is full, its codes move to the cells, as pages that are added to theirs. One
-- writer at a time moves codes of a project; the others go on. When a project has grown manifold, it gets new cells, and the
-- codes of the old ones move, too. A search sees each code in its old place or its new one, as its snapshot has it.

create table matrice_private.code_clusterings (
  project_id    uuid        not null,
  model         text        not null,
  generation    integer     not null default 1,
  trained_count integer     not null,
  batch         integer     not null,
  bound         bytea       not null,
  built_at      timestamptz not null default clock_timestamp(),
  constraint code_clusterings_pkey primary key (project_id, model)
);
comment on table matrice_private.code_clusterings is
  'Projects whose codes are in cells. Whoever moves codes of a project to its cells locks its row.';
comment on column matrice_private.code_clusterings.project_id is 'The project.';
comment on column matrice_private.code_clusterings.model is 'The embedding model.';
comment on column matrice_private.code_clusterings.generation is
  'How many times cells have been made. Codes move to the cells of this generation.';
comment on column matrice_private.code_clusterings.trained_count is 'How many codes the project had when these cells were made.';
comment on column matrice_private.code_clusterings.batch is 'How many codes are moved at once.';
comment on column matrice_private.code_clusterings.bound is
  'Which vectors belong to no cell, and which cells a search may leave out.';
comment on column matrice_private.code_clusterings.built_at is 'When these cells were made.';

create table matrice_private.code_cells (
  project_id uuid        not null,
  model      text        not null,
  id         uuid        not null default gen_random_uuid(),
  generation integer     not null,
  place      integer     not null,
  built_at   timestamptz not null default clock_timestamp(),
  code_count integer     not null default 0,
  centroid   bytea       not null,
  bound      bytea,
  constraint code_cells_pkey primary key (project_id, model, id)
);
comment on table matrice_private.code_cells is 'Cells of codes. Their pages are in code_pages, as those of lists.';
comment on column matrice_private.code_cells.project_id is 'The project.';
comment on column matrice_private.code_cells.model is 'The embedding model.';
comment on column matrice_private.code_cells.id is 'Primary key, with project_id and model. In code_pages it is the list.';
comment on column matrice_private.code_cells.generation is 'The generation of the project''s cells.';
comment on column matrice_private.code_cells.place is 'The place of the cell in its generation, from 1.';
comment on column matrice_private.code_cells.built_at is
  'When the cell was made, or last freed from codes of deleted embeddings.';
comment on column matrice_private.code_cells.code_count is
  'How many codes the cell has, with those of embeddings that were deleted or changed.';
comment on column matrice_private.code_cells.centroid is
  'The mean of the vectors of the cell. Codes describe how vectors differ from it.';
comment on column matrice_private.code_cells.bound is
  'When a search may leave the cell out. Null: never. So it is of the cell for vectors that are far from all others.';

create index idx_code_cells_generation on matrice_private.code_cells (project_id, model, generation, place);

alter table matrice_private.code_cells alter column centroid set storage external;

alter table matrice_private.code_clusterings enable row level security;
alter table matrice_private.code_cells enable row level security;
select matrice_private.revoke_from_everybody('table', 'matrice_private.' || name)
  from unnest(array['code_clusterings', 'code_cells']) name;
create policy "nobody reads them" on matrice_private.code_clusterings for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.code_cells for select to authenticated using (false);

-- It also forgets these tables' rows now: sql/007_functions/26_code_index.sql makes it again.
drop trigger if exists forget_codes on matrice.projects;
