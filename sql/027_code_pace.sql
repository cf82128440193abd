-- Putting the codes of a project in order takes some time of whoever stores embeddings. sql/009_code_index.sql and
-- sql/022_code_cells.sql describe what is done. It is done in batches, and a batch that fails takes nothing else with it.

create table matrice_private.code_failures (
  project_id uuid        not null,
  model      text        not null,
  id         uuid        not null default gen_random_uuid(),
  failed_at  timestamptz not null default clock_timestamp(),
  code       text        not null,
  message    text        not null,
  constraint code_failures_pkey primary key (project_id, model, id),
  constraint code_failures_message_length check (char_length(message) <= 1000)
);
comment on table matrice_private.code_failures is
  'Batches of codes that were to be merged or moved, and failed. After each failure on the last day, the batches of the project '
  'are half as large, and the next one waits longer. There is only ever a row after an error or a timeout.';
comment on column matrice_private.code_failures.project_id is 'The project.';
comment on column matrice_private.code_failures.model is 'The embedding model.';
comment on column matrice_private.code_failures.id is 'Primary key, with project_id and model.';
comment on column matrice_private.code_failures.failed_at is 'When the batch failed.';
comment on column matrice_private.code_failures.code is 'The SQLSTATE of the error.';
comment on column matrice_private.code_failures.message is 'The message of the error.';

alter table matrice_private.code_failures enable row level security;
select matrice_private.revoke_from_everybody('table', 'matrice_private.code_failures');
create policy "nobody reads them" on matrice_private.code_failures for select to authenticated using (false);

comment on column matrice_private.code_clusterings.batch is
  'How many codes are moved at once, at most. Whoever stores embeddings moves fewer if they have many dimensions, or after a '
  'failure.';

-- It takes the most codes to move now.
drop function if exists matrice_private.move_codes;

-- It also forgets this table's rows now: sql/007_functions/26_code_index.sql makes it again.
drop trigger if exists forget_codes on matrice.projects;
