-- Full-text search of chunks and insights: how a text becomes lexemes, and a query becomes a tsquery.

-- The engine's own functions, for those below. Clients may not execute them in the schema of the API, or PostgREST would offer
-- them.

create or replace function matrice_private.fold(content text) returns text
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._fold(content);
end
$$;
comment on function matrice_private.fold is
  'A text in lower case without accents. SECURITY DEFINER: only the owner executes the engine''s own functions. It computes from its argument alone.';

create or replace function matrice_private.pieces(content text, most_bytes integer) returns text[]
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._pieces(content, most_bytes);
end
$$;
comment on function matrice_private.pieces is
  'A text in pieces that Postgres''s parser reads in linear time. SECURITY DEFINER: only the owner executes the engine''s own functions. It computes from its arguments alone.';

create or replace function matrice_private.read_query(query_text text)
returns table (words text, marks text[], beginnings text[])
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice._read_query(query_text);
end
$$;
comment on function matrice_private.read_query is
  'The words of a query and its beginnings, as in begin*, with the marks that stand in for them. SECURITY DEFINER: only the owner executes the engine''s own functions. It computes from its argument alone.';

create or replace function matrice_private.text_vector(config regconfig, content text) returns tsvector
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
  foreach piece in array matrice_private.pieces(content, 32768) loop
    if octet_length(piece) = length(piece) then
      found := to_tsvector(config, piece);
    else
      -- Stemmers and stop words want accents; searchers leave them out: the words stand as both would write them.
      found := (matrice_private.fold(to_tsvector(config, piece)::text) || ' ' || to_tsvector(config, matrice_private.fold(piece))::text)::tsvector;
    end if;
    exit when pg_column_size(words) + pg_column_size(found) > most;
    words := words || found;
  end loop;
  return words;
end
$$;
comment on function matrice_private.text_vector is
  'A text for full-text search, accents folded. Of a text whose different words take more than 500 kB, as far as that goes: a megabyte of prose takes less.';

create or replace function matrice_private.project_word(project_id uuid) returns text
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
begin
  return ' ' || project_id;
end
$$;
comment on function matrice_private.project_word is
  'The word that stands for a project in its chunks'' fts. It begins with a blank: no word that is read from a text or a query does, nor is it found by a beginning.';

create or replace function matrice_private.folded_lexemes(config regconfig, content text) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return tsvector_to_array(matrice_private.fold(to_tsvector(config, content)::text)::tsvector);
end
$$;
comment on function matrice_private.folded_lexemes is 'The lexemes of a short text, accents folded.';

create or replace function matrice_private.prefix_term(config regconfig, word text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  beginning text   := matrice_private.fold(word);
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
comment on function matrice_private.prefix_term is 'What finds words that begin like this one, as text of a tsquery.';

create or replace function matrice_private.text_query(config regconfig, query_text text) returns tsquery
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
  select q.words, q.marks, q.beginnings into query from matrice_private.read_query(query_text) q;
  found := matrice_private.fold(websearch_to_tsquery(config, query.words)::text);
  -- Without its accents a stop word may be another word: "été" is also "ete", and finds what that finds.
  folded := websearch_to_tsquery(config, matrice_private.fold(query.words))::text;
  if folded <> found then
    found := (found::tsquery || folded::tsquery)::text;
  end if;
  for i in 1 .. cardinality(query.marks) loop
    found := replace(found, quote_literal(query.marks[i]), matrice_private.prefix_term(config, query.beginnings[i]));
  end loop;
  return found::tsquery;
end
$$;
comment on function matrice_private.text_query is
  'A query as people type it, "a phrase", or, -not, begin*, accents folded, for what text_vector made. Twenty beginnings at most; a star beyond is none.';

create or replace function matrice_private.text_search_config(project_id uuid) returns regconfig
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
comment on function matrice_private.text_search_config is
  'The text search configuration of a project: its setting "language" where Postgres has one of that name, else simple.';

create or replace function matrice_private.reindex_project_text() returns trigger
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
comment on function matrice_private.reindex_project_text is 'Brings the full-text index of a project to its new language.';

create or replace trigger reindex_project_text after update of settings on matrice.projects
for each row when ((old.settings -> 'language') is distinct from (new.settings -> 'language'))
execute function matrice_private.reindex_project_text();
