-- Which of the numbered files this database has had, and with which text. Made by migrate() before the first of them.

create schema if not exists matrice_private;

create table matrice_private.migrations (
  name       text        not null,
  version    text        not null,
  hash       text        not null,
  applied_at timestamptz not null default now(),
  constraint migrations_pkey primary key (name)
);
comment on table matrice_private.migrations is 'The files of the schema that migrate() has applied.';
comment on column matrice_private.migrations.name is 'File name under sql/, without its ending. Files of 007_functions are applied again when their text changes.';
comment on column matrice_private.migrations.version is 'Version of the extension that applied it last.';
comment on column matrice_private.migrations.hash is 'SHA-256 of the text that was applied.';
comment on column matrice_private.migrations.applied_at is 'When it was applied last.';

alter table matrice_private.migrations enable row level security;
create policy "service_role reads the log" on matrice_private.migrations for select to service_role using (true);
