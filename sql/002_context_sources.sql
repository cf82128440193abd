-- The documents of a project and the chunks they are cut into.

-- A row below another one belongs to that row's project. Clients may leave project_id out; a trigger fills it in from
-- the parent and refuses another, and composite foreign keys hold it true.
create function matrice_private.from_parent() returns uuid
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select null::uuid;
end;
comment on function matrice_private.from_parent() is
  'Default of project_id where a trigger takes it from the parent row. Being a default, it makes the column optional in generated client types.';

create function matrice_private.project_from_parent() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  parents_project uuid;
begin
  case tg_table_name
    when 'source_chunks' then
      select s.project_id into parents_project from matrice.context_sources s where s.id = new.source_id;
    when 'workflow_steps' then
      select r.project_id into parents_project from matrice.workflow_runs r where r.id = new.run_id;
    else
      select c.project_id into parents_project from matrice.source_chunks c where c.id = new.chunk_id;
  end case;
  if tg_op = 'INSERT' then
    if new.project_id is null then
      new.project_id := parents_project;
    elsif new.project_id is distinct from parents_project and row_security_active(tg_relid) then
      -- The policies refuse it, before any key is asked.
      new.project_id := null;
    end if;
  elsif parents_project is distinct from old.project_id then
    raise exception 'a row cannot be moved to another project'
      using errcode = '42501',
            detail = format('This row of %I belongs to project %s.', tg_table_name, old.project_id),
            hint = 'Create it in the other project and delete it here.';
  end if;
  return new;
end
$$;
comment on function matrice_private.project_from_parent() is
  'Takes a new row''s project from its parent, and keeps a row below parents of its project. It looks as the caller does: another''s parent is as one that does not exist, and both are refused before unique and foreign keys could tell them apart.';

-- context_sources ----------------------------------------------------------------------------------------------------

create table matrice.context_sources (
  id             uuid        not null default gen_random_uuid(),
  project_id     uuid        not null,
  type           text        not null default 'file',
  name           text        not null,
  storage_path   text,
  status         text        not null default 'pending',
  raw_metadata   jsonb       not null default '{}',
  token_count    integer,
  processed_at   timestamptz,
  created_at     timestamptz not null default now(),
  format         text,
  max_tokens     integer,
  overlap_tokens integer,
  constraint context_sources_pkey primary key (id),
  constraint context_sources_project_id_id_key unique (project_id, id),
  constraint context_sources_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint context_sources_status_pending_processing_ready_error check (status in ('pending', 'processing', 'ready', 'error')),
  constraint context_sources_raw_metadata_is_object check (jsonb_typeof(raw_metadata) = 'object'),
  constraint context_sources_raw_metadata_size check (matrice_private.json_within(raw_metadata, 16384)),
  constraint context_sources_type_length check (octet_length(type) <= 200),
  constraint context_sources_name_length check (octet_length(name) <= 2000),
  constraint context_sources_storage_path_length check (octet_length(storage_path) <= 2000),
  constraint context_sources_token_count_check check (token_count between 0 and 1000000000),
  constraint context_sources_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint context_sources_processed_at_check check (processed_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint context_sources_format_length check (octet_length(format) between 1 and 100),
  constraint context_sources_max_tokens_check check (max_tokens between 1 and 1000000000),
  constraint context_sources_overlap_tokens_check check (overlap_tokens between 0 and 1000000000)
);
create index idx_sources_project on matrice.context_sources (project_id);
create index idx_sources_status on matrice.context_sources (status);

comment on table matrice.context_sources is 'Source documents for context engineering.';
comment on column matrice.context_sources.id is 'Primary key.';
comment on column matrice.context_sources.project_id is 'The project.';
comment on column matrice.context_sources.type is 'pdf, spreadsheet, api, file, …';
comment on column matrice.context_sources.name is 'Human-readable name.';
comment on column matrice.context_sources.storage_path is
  'Path in Supabase Storage, as the client wrote it: nothing here checks that the object exists or that the client may read it. Whoever serves the file must ask storage''s own policies, as the user.';
comment on column matrice.context_sources.status is
  'pending until chunked, processing while a client says so, ready once its chunks can be searched, error where a client gave up.';
comment on column matrice.context_sources.raw_metadata is 'Source-specific metadata; searches filter by it.';
comment on column matrice.context_sources.token_count is 'Tokens of the whole text in the default encoding, as chunk_source counted them; else the client''s word, since the text is not kept.';
comment on column matrice.context_sources.processed_at is 'When the source was last chunked.';
comment on column matrice.context_sources.created_at is 'Upload timestamp.';
comment on column matrice.context_sources.format is 'How the text was cut: text, markdown or a programming language. chunk_source cuts in the same way unless told otherwise.';
comment on column matrice.context_sources.max_tokens is 'The max_tokens that the text was cut with; chunk_source uses it again.';
comment on column matrice.context_sources.overlap_tokens is 'The overlap_tokens that the text was cut with; chunk_source uses it again.';

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
  filterable  jsonb,
  constraint source_chunks_pkey primary key (id),
  constraint source_chunks_project_id_id_key unique (project_id, id),
  -- Deferrable, so that one statement can renumber the chunks of a source.
  constraint source_chunks_source_id_chunk_index_key unique (source_id, chunk_index) deferrable initially immediate,
  constraint source_chunks_source_fkey foreign key (project_id, source_id)
    references matrice.context_sources (project_id, id) on delete cascade,
  -- Being unique in its source, the index bounds the number of a source's chunks, too.
  constraint source_chunks_chunk_index_check check (chunk_index between 0 and 99999),
  constraint source_chunks_content_length check (octet_length(content) <= 1048576),
  constraint source_chunks_token_count_check check (token_count between 0 and 1048576),
  constraint source_chunks_metadata_size check (matrice_private.json_within(metadata, 16384)),
  -- A source's metadata are repeated in each of its chunks: all of them together are some 64 MB at most.
  constraint source_chunks_filterable_size check ((chunk_index + 1)::bigint * pg_column_size(filterable) <= 67108864),
  constraint source_chunks_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  constraint source_chunks_start_char_check check (start_char between 0 and 1000000000),
  constraint source_chunks_end_char_check check (end_char between 0 and 1000000000),
  constraint source_chunks_range_check check (end_char >= start_char)
);
create index idx_chunks_source on matrice.source_chunks (source_id);
create index idx_chunks_project_source on matrice.source_chunks (project_id, source_id);
create index idx_chunks_fts on matrice.source_chunks using gin (fts);
-- Without the list of pending entries, which every search would read to its end after a large import.
create index idx_chunks_filterable on matrice.source_chunks using gin (filterable jsonb_path_ops) with (fastupdate = off);

comment on table matrice.source_chunks is 'Chunks of sources, for retrieval.';
comment on column matrice.source_chunks.id is 'Primary key. It survives re-chunking where the text did not change.';
comment on column matrice.source_chunks.source_id is 'The source.';
comment on column matrice.source_chunks.project_id is 'The source''s project; filled in when left out.';
comment on column matrice.source_chunks.chunk_index is 'Order within the source, from 0.';
comment on column matrice.source_chunks.content is 'The chunk''s text.';
comment on column matrice.source_chunks.token_count is 'Tokens of the content in the default encoding, counted by a trigger whatever the client says.';
comment on column matrice.source_chunks.metadata is
  'Heading path, page, section, …; searches filter by it. "page" is a number or a short text, "pages" an array of them: passages and citations say so. Both are dropped where the chunk''s place in the text changes.';
comment on column matrice.source_chunks.start_char is 'Offset of the first character in the source''s text, from 0.';
comment on column matrice.source_chunks.end_char is 'Offset behind the last character.';
comment on column matrice.source_chunks.fts is
  'The content for full-text search, in the project''s language, without accents; and a word for the project, so that one index lookup finds words in one project. Kept by a trigger.';
comment on column matrice.source_chunks.filterable is
  'What the filter of a search must be contained in: metadata over the source''s type and raw_metadata, and the project''s id, so that one index lookup finds them in one project. Kept by a trigger.';

create function matrice_private.text_vector(config regconfig, content text) returns tsvector
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Half of what a tsvector can hold: an insight has two of them.
  most  constant integer := 500000;
  words tsvector := ''::tsvector;
  piece text;
  found tsvector;
begin
  -- Piece by piece, because Postgres's parser cannot be stopped. What the engine gives it takes no long time.
  foreach piece in array matrice._pieces(content, 32768) loop
    if octet_length(piece) = length(piece) then
      found := to_tsvector(config, piece);
    else
      -- Stemmers and stop words want accents; searchers leave them out: the words stand as both would write them.
      found := (matrice._fold(to_tsvector(config, piece)::text) || ' ' || to_tsvector(config, matrice._fold(piece))::text)::tsvector;
    end if;
    exit when pg_column_size(words) + pg_column_size(found) > most;
    words := words || found;
  end loop;
  return words;
end
$$;
comment on function matrice_private.text_vector(regconfig, text) is
  'A text for full-text search, accents folded. Of a text whose different words take more than 500 kB, as far as that goes: a megabyte of prose takes less.';

create function matrice_private.project_word(project_id uuid) returns text
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
begin
  return ' ' || project_id;
end
$$;
comment on function matrice_private.project_word(uuid) is
  'The word that stands for a project in its chunks'' fts. It begins with a blank: no word that is read from a text or a query does, nor is it found by a beginning.';

create function matrice_private.folded_lexemes(config regconfig, content text) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return tsvector_to_array(matrice._fold(to_tsvector(config, content)::text)::tsvector);
end
$$;
comment on function matrice_private.folded_lexemes(regconfig, text) is 'The lexemes of a short text, accents folded.';

create function matrice_private.prefix_term(config regconfig, word text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  beginning text   := matrice._fold(word);
  endings   text[] := string_to_array('ation ations ing ings ement ements edness ity ities able ally ive izer ies ité ités ique euses ung ungen keit lichen ación aciones dad mente azione ação', ' ');
  -- The stored words are stems, of which "running" is no prefix but "run" is; and "installat" begins a word whose stem
  -- is "instal". So the word is looked for as it is, and completed in the ways that stemmers undo.
  stems     text[] := matrice_private.folded_lexemes(config, word);
  whole     text[] := (
    select matrice_private.folded_lexemes(config, string_agg(distinct word || substr(ending, first), ' '))
      from unnest(endings) ending, generate_series(1, length(ending)) first
     -- What is longer is no word of a language.
     where word ~ '^[[:alnum:]]{1,40}$');
begin
  return (
    select '( ' || string_agg('''' || replace(replace(term, '\', '\\'), '''', '''''') || '''' || suffix, ' | ') || ' )'
      from (
        select term, ':*' as suffix from unnest(array[beginning] || stems) term
        union
        select term, '' from unnest(whole) term where not starts_with(term, beginning)
      ) terms
  );
end
$$;
comment on function matrice_private.prefix_term(regconfig, text) is 'What finds words that begin like this one, as text of a tsquery.';

create function matrice_private.text_query(config regconfig, query_text text) returns tsquery
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- Nobody needs to be told that a query is only stop words: it finds nothing.
set client_min_messages = warning
as $$
declare
  query  record;
  found  text;
  folded text;
begin
  -- websearch_to_tsquery knows no beginnings: a number that no dictionary changes stands in for each.
  select q.words, q.marks, q.beginnings into query from matrice._read_query(query_text) q;
  found := matrice._fold(websearch_to_tsquery(config, query.words)::text);
  -- Without its accents a stop word may be another word: "été" is also "ete", and finds what that finds.
  folded := websearch_to_tsquery(config, matrice._fold(query.words))::text;
  if folded <> found then
    found := (found::tsquery || folded::tsquery)::text;
  end if;
  for i in 1 .. cardinality(query.marks) loop
    found := replace(found, quote_literal(query.marks[i]), matrice_private.prefix_term(config, query.beginnings[i]));
  end loop;
  return found::tsquery;
end
$$;
comment on function matrice_private.text_query(regconfig, text) is
  'A query as people type it, "a phrase", or, -not, begin*, accents folded, for what text_vector made. Twenty beginnings at most; a star beyond is none.';

create function matrice_private.text_search_config(project_id uuid) returns regconfig
language sql stable
set search_path = pg_catalog, pg_temp
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

create function matrice_private.require_metadata_room(chunks bigint, bytes integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if chunks * bytes > 67108864 then
    raise exception 'the metadata of the source are too large for its chunks'
      using errcode = '22023',
            detail = format('Each of %s chunks would repeat %s bytes; at most 67108864 bytes are allowed in all.', chunks, bytes),
            hint = 'Keep in the metadata what searches filter by, make larger chunks, or divide the source.';
  end if;
end
$$;
comment on function matrice_private.require_metadata_room(bigint, integer) is
  'Raises where the metadata of a source, which are repeated in each of its chunks for searches to filter by, would amount to too much.';

create function matrice_private.complete_chunk() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  source record;
begin
  -- Before anything reads them: constraints are asked only afterwards.
  perform matrice_private.require_bytes('the content of a chunk', new.content, 1048576);
  perform matrice_private.require_json('the metadata of a chunk', new.metadata, 16384);
  select s.type, s.raw_metadata into source from matrice.context_sources s where s.id = new.source_id;
  if tg_op = 'INSERT' or (new.content, new.token_count) is distinct from (old.content, old.token_count) then
    new.token_count := matrice.count_tokens(new.content);
  end if;
  if tg_op = 'INSERT' or (new.content, new.fts) is distinct from (old.content, old.fts) then
    new.fts := matrice_private.text_vector(matrice_private.text_search_config(new.project_id), new.content)
               || array_to_tsvector(array_remove(array[matrice_private.project_word(new.project_id)], null));
  end if;
  new.filterable := source.raw_metadata || jsonb_build_object('type', source.type) || new.metadata
                    || jsonb_build_object('matrice.project', new.project_id);
  return new;
end
$$;
comment on function matrice_private.complete_chunk() is 'Fills in a chunk''s token_count, fts and filterable, whatever a client writes.';

-- Triggers fire in the order of their names: the project comes first.
create trigger a_project_from_parent before insert on matrice.source_chunks
for each row execute function matrice_private.project_from_parent();
create trigger a_project_of_new_parent before update of source_id on matrice.source_chunks
for each row when (old.source_id is distinct from new.source_id) execute function matrice_private.project_from_parent();

create trigger complete_chunk before insert or update of content, metadata, fts, filterable, token_count, source_id, project_id on matrice.source_chunks
for each row execute function matrice_private.complete_chunk();

create function matrice_private.refilter_chunks() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_metadata_room(
    (select max(c.chunk_index) + 1 from matrice.source_chunks c where c.source_id = new.id),
    pg_column_size(new.raw_metadata || jsonb_build_object('type', new.type, 'matrice.project', new.project_id)));
  update matrice.source_chunks set filterable = null where source_id = new.id;
  return null;
end
$$;
comment on function matrice_private.refilter_chunks() is 'Brings what a source''s chunks are filtered by to its new type and metadata.';

create trigger refilter_chunks after update of type, raw_metadata on matrice.context_sources
for each row when ((old.type, old.raw_metadata) is distinct from (new.type, new.raw_metadata))
execute function matrice_private.refilter_chunks();

create function matrice_private.reindex_project_text() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Whoever writes several chunks of a source locks the source first, and several sources are locked in the order of
  -- their ids: nobody waits for the other, and no source is cut in the old language meanwhile.
  perform from matrice.context_sources s where s.project_id = new.id order by s.id for no key update;
  update matrice.source_chunks set fts = null where project_id = new.id;
  update matrice.insights set fts = null where project_id = new.id;
  return null;
end
$$;
comment on function matrice_private.reindex_project_text() is 'Brings the full-text index of a project to its new language.';

create trigger reindex_project_text after update of settings on matrice.projects
for each row when ((old.settings -> 'language') is distinct from (new.settings -> 'language'))
execute function matrice_private.reindex_project_text();
