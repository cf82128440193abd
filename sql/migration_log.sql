-- Which of the numbered files this database has had. Made by migrate() before the first of them.

create schema if not exists matrice_private;

create table matrice_private.migrations (
  name       text        not null,
  version    text        not null,
  applied_at timestamptz not null default now(),
  constraint migrations_pkey primary key (name)
);
comment on table matrice_private.migrations is 'The migrations that migrate() has applied.';
comment on column matrice_private.migrations.name is 'File name under sql/, without its ending.';
comment on column matrice_private.migrations.version is 'Version of the extension that applied it.';
comment on column matrice_private.migrations.applied_at is 'When.';

alter table matrice_private.migrations enable row level security;
create policy "service_role reads the log" on matrice_private.migrations for select to service_role using (true);
