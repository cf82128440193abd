-- Imports: which projects came from a file, how far an import is, and what its header promised.

create table matrice.project_imports (
  project_id        uuid        not null,
  source_project_id uuid        not null,
  has_new_ids       boolean     not null,
  header            jsonb       not null,
  next_line         bigint      not null,
  place             integer     not null default 0,
  taken             jsonb       not null default '{}',
  hash              numeric     not null,
  imported_by       uuid        not null,
  started_at        timestamptz not null default now(),
  finished_at       timestamptz,
  constraint project_imports_pkey primary key (project_id),
  constraint project_imports_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint project_imports_header_size check (matrice_private.json_within(header, 16384)),
  constraint project_imports_taken_size check (matrice_private.json_within(taken, 16384)),
  constraint project_imports_next_line_check check (next_line between 1 and 1000000000000),
  constraint project_imports_place_check check (place between 0 and 1000000),
  constraint project_imports_hash_check check (hash between 0 and 1e36),
  constraint project_imports_started_at_check check (started_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint project_imports_finished_at_check check (finished_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);

comment on table matrice.project_imports is
  'Projects that import_project made. What such a project says of its past is what the file said: who made a file can write '
  'anything. Only import_project writes this table.';
comment on column matrice.project_imports.project_id is 'The project that the import made.';
comment on column matrice.project_imports.source_project_id is 'The id of the project that was exported.';
comment on column matrice.project_imports.has_new_ids is 'Whether the rows got new ids.';
comment on column matrice.project_imports.header is
  'What the header of the export says: versions, and how many rows each part has.';
comment on column matrice.project_imports.next_line is 'The first line that has not been imported.';
comment on column matrice.project_imports.place is
  'The place of the part that the import has come to. Parts come in their order.';
comment on column matrice.project_imports.taken is 'How many rows of each part have been imported.';
comment on column matrice.project_imports.hash is
  'The sum of the hashes of the imported lines, as the last line of an export has it.';
comment on column matrice.project_imports.imported_by is 'The user who imports. Only this user can go on.';
comment on column matrice.project_imports.started_at is 'When the first lines were imported.';
comment on column matrice.project_imports.finished_at is 'When the last line was imported; null if the import has not ended.';

select matrice_private.revoke_from_everybody('table', 'matrice.project_imports');
grant select on matrice.project_imports to authenticated, service_role;

alter table matrice.project_imports enable row level security;

create policy "viewers read" on matrice.project_imports for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
