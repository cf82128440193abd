-- The documents of a project and the chunks they are cut into.

-- A row below another one belongs to that row's project. Clients may leave project_id out; a trigger fills it in from
-- the parent, and composite foreign keys hold it true.
create function matrice_private.from_parent() returns uuid
language sql immutable parallel safe
set search_path = ''
begin atomic
  select null::uuid;
end;
comment on function matrice_private.from_parent() is
  'Default of project_id where a trigger takes it from the parent row. Being a default, it makes the column optional in generated client types.';

-- context_sources ----------------------------------------------------------------------------------------------------

create table matrice.context_sources (
  id           uuid        not null default gen_random_uuid(),
  project_id   uuid        not null,
  type         text        not null default 'file',
  name         text        not null,
  storage_path text,
  status       text        not null default 'pending',
  raw_metadata jsonb       not null default '{}',
  token_count  integer,
  processed_at timestamptz,
  created_at   timestamptz not null default now(),
  constraint context_sources_pkey primary key (id),
  constraint context_sources_project_id_id_key unique (project_id, id),
  constraint context_sources_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint context_sources_status_check check (status in ('pending', 'processing', 'ready', 'error')),
  constraint context_sources_raw_metadata_is_object check (jsonb_typeof(raw_metadata) = 'object'),
  constraint context_sources_token_count_check check (token_count >= 0)
);
create index idx_sources_project on matrice.context_sources (project_id);
create index idx_sources_status on matrice.context_sources (status);

comment on table matrice.context_sources is 'Source documents for context engineering.';
comment on column matrice.context_sources.id is 'Primary key.';
comment on column matrice.context_sources.project_id is 'The project.';
comment on column matrice.context_sources.type is 'pdf, spreadsheet, api, file, …';
comment on column matrice.context_sources.name is 'Human-readable name.';
comment on column matrice.context_sources.storage_path is 'Path in Supabase Storage.';
comment on column matrice.context_sources.status is
  'pending until chunked, processing while a client says so, ready once its chunks can be searched, error where a client gave up.';
comment on column matrice.context_sources.raw_metadata is 'Source-specific metadata; searches filter by it.';
comment on column matrice.context_sources.token_count is 'Tokens of the whole text in the default encoding.';
comment on column matrice.context_sources.processed_at is 'When the source was last chunked.';
comment on column matrice.context_sources.created_at is 'Upload timestamp.';

-- source_chunks ------------------------------------------------------------------------------------------------------

create table matrice.source_chunks (
  id          uuid     not null default gen_random_uuid(),
  source_id   uuid     not null,
  project_id  uuid     not null default matrice_private.from_parent(),
  chunk_index integer  not null,
  content     text     not null,
  token_count integer,
  metadata    jsonb    not null default '{}',
  start_char  integer,
  end_char    integer,
  fts         tsvector,
  constraint source_chunks_pkey primary key (id),
  constraint source_chunks_project_id_id_key unique (project_id, id),
  -- Deferrable, so that one statement can renumber the chunks of a source.
  constraint source_chunks_source_id_chunk_index_key unique (source_id, chunk_index) deferrable initially immediate,
  constraint source_chunks_source_fkey foreign key (project_id, source_id)
    references matrice.context_sources (project_id, id) on delete cascade,
  constraint source_chunks_chunk_index_check check (chunk_index >= 0),
  constraint source_chunks_token_count_check check (token_count >= 0),
  constraint source_chunks_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  constraint source_chunks_range_check check (start_char >= 0 and end_char >= start_char)
);
create index idx_chunks_source on matrice.source_chunks (source_id);
create index idx_chunks_project_source on matrice.source_chunks (project_id, source_id);
create index idx_chunks_fts on matrice.source_chunks using gin (fts);

comment on table matrice.source_chunks is 'Chunks of sources, for retrieval.';
comment on column matrice.source_chunks.id is 'Primary key. It survives re-chunking where the text did not change.';
comment on column matrice.source_chunks.source_id is 'The source.';
comment on column matrice.source_chunks.project_id is 'The source''s project; filled in when left out.';
comment on column matrice.source_chunks.chunk_index is 'Order within the source, from 0.';
comment on column matrice.source_chunks.content is 'The chunk''s text.';
comment on column matrice.source_chunks.token_count is 'Tokens of the content in the default encoding; counted when left out.';
comment on column matrice.source_chunks.metadata is 'Heading path, page number, section, …; searches filter by it.';
comment on column matrice.source_chunks.start_char is 'Offset of the first character in the source''s text, from 0.';
comment on column matrice.source_chunks.end_char is 'Offset behind the last character.';
comment on column matrice.source_chunks.fts is 'The content for full-text search, in the project''s language. Kept by a trigger.';

create function matrice_private.text_search_config(project_id uuid) returns regconfig
language sql stable
set search_path = ''
begin atomic
  select coalesce((
    select c.oid::regconfig
      from matrice.projects p
      join pg_ts_config c on c.cfgname = p.settings ->> 'language' and c.cfgnamespace = 'pg_catalog'::regnamespace
     where p.id = text_search_config.project_id
  ), 'simple'::regconfig);
end;
comment on function matrice_private.text_search_config(uuid) is
  'The text search configuration of a project: its setting "language" where Postgres has one of that name, else simple.';

create function matrice_private.complete_chunk() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if new.project_id is null then
    select s.project_id into new.project_id from matrice.context_sources s where s.id = new.source_id;
  end if;
  if new.token_count is null or (tg_op = 'UPDATE' and new.content <> old.content and new.token_count = old.token_count) then
    new.token_count := matrice.count_tokens(new.content);
  end if;
  new.fts := to_tsvector(matrice_private.text_search_config(new.project_id), new.content);
  return new;
end
$$;
comment on function matrice_private.complete_chunk() is 'Fills in what a client may leave out of a chunk: project_id, token_count, fts.';

create trigger complete_chunk before insert or update of content, fts, token_count, project_id on matrice.source_chunks
for each row execute function matrice_private.complete_chunk();

create function matrice_private.reindex_project_text() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  update matrice.source_chunks set fts = null where project_id = new.id;
  update matrice.insights set fts = null where project_id = new.id;
  return null;
end
$$;
comment on function matrice_private.reindex_project_text() is 'Brings the full-text index of a project to its new language.';

create trigger reindex_project_text after update of settings on matrice.projects
for each row when ((old.settings -> 'language') is distinct from (new.settings -> 'language'))
execute function matrice_private.reindex_project_text();
