-- The log of the files that this database has had, and of their text. migrate() makes it before it applies the first file.

create schema if not exists matrice_private;

create table matrice_private.migrations (
  name       text        not null,
  version    text        not null,
  hash       text        not null,
  applied_at timestamptz not null default now(),
  constraint migrations_pkey primary key (name)
);
comment on table matrice_private.migrations is 'The files of the schema that migrate() has applied.';
comment on column matrice_private.migrations.name is
  'File name under sql/, without its extension. Files of 007_functions are applied again when their text changes.';
comment on column matrice_private.migrations.version is 'Version of the extension that last applied the file.';
comment on column matrice_private.migrations.hash is 'SHA-256 of the text that was last applied.';
comment on column matrice_private.migrations.applied_at is 'When the file was last applied.';

alter table matrice_private.migrations enable row level security;
create policy "service_role reads the log" on matrice_private.migrations for select to service_role using (true);
