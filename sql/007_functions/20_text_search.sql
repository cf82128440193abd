-- Full-text search of chunks and insights: how a text becomes lexemes, and a query becomes a tsquery.

-- The first three functions call the engine, which is written in Rust. Its functions are in the schema of the API. Clients may
-- not execute them there, or PostgREST would offer them.

create or replace function matrice_private.fold(content text) returns text
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._fold(content);
end
$$;
comment on function matrice_private.fold is
  'Returns a text in lower case and without accents. SECURITY DEFINER: only the owner may execute the engine''s '
  'functions. The result depends on the argument alone.';

create or replace function matrice_private.pieces(content text, most_bytes integer) returns text[]
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._pieces(content, most_bytes);
end
$$;
comment on function matrice_private.pieces is
  'Splits a text into pieces of little more than most_bytes bytes, which PostgreSQL''s parser reads in linear time. '
  'SECURITY DEFINER: only the owner may execute the engine''s functions. The result depends on the arguments alone.';

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
  'Reads a query that a person typed. words: the query, with a number in place of each prefix (begin*). marks: these '
  'numbers. beginnings: the prefixes. SECURITY DEFINER: only the owner may execute the engine''s functions. The result '
  'depends on the argument alone.';

create or replace function matrice_private.text_vector(config regconfig, content text) returns tsvector
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Half of what a tsvector can hold, because an insight joins two.
  most  constant integer := 500000;
  words tsvector := ''::tsvector;
  piece text;
  found tsvector;
begin
  -- PostgreSQL's parser cannot be interrupted, so it is given pieces that it reads in a short time.
  foreach piece in array matrice_private.pieces(content, 32768) loop
    if octet_length(piece) = length(piece) then
      found := to_tsvector(config, piece);
    else
      -- Stemmers and stop words need accents, but people search without them. So accents are removed after stemming and before
      -- it, and both results are stored.
      found := (matrice_private.fold(to_tsvector(config, piece)::text) || ' '
                || to_tsvector(config, matrice_private.fold(piece))::text)::tsvector;
    end if;
    exit when pg_column_size(words) + pg_column_size(found) > most;
    words := words || found;
  end loop;
  return words;
end
$$;
comment on function matrice_private.text_vector is
  'Converts a text to a tsvector without accents. If the tsvector would take more than 500 kB, only the beginning of '
  'the text is indexed. A megabyte of prose takes less.';

create or replace function matrice_private.project_word(project_id uuid) returns text
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
begin
  return ' ' || project_id;
end
$$;
comment on function matrice_private.project_word is
  'Returns the word that stands for a project in the fts of its chunks. It begins with a blank. Words of texts and '
  'queries never begin with a blank, so no query, not even a prefix, finds it.';

create or replace function matrice_private.folded_lexemes(config regconfig, content text) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return tsvector_to_array(matrice_private.fold(to_tsvector(config, content)::text)::tsvector);
end
$$;
comment on function matrice_private.folded_lexemes is 'Returns the lexemes of a short text, without accents.';

create or replace function matrice_private.prefix_term(config regconfig, word text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  beginning text   := matrice_private.fold(word);
  endings   text[] := string_to_array(
    'ation ations ing ings ement ements edness ity ities able ally ive izer ies '
    'ité ités ique euses ung ungen keit lichen ación aciones dad mente azione ação', ' ');
  -- The stored words are stems. The prefix "running" does not match the stem "run", and the prefix "installat" does not match
  -- "instal", the stem of "installation". So the query looks for the prefix, for its stem, and for the stems of the words that
  -- common endings make of it.
  stems     text[] := matrice_private.folded_lexemes(config, word);
  whole     text[] := (
    select matrice_private.folded_lexemes(config, string_agg(distinct word || substr(ending, first), ' '))
      from unnest(endings) ending, generate_series(1, length(ending)) first
     -- Words of languages are not longer.
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
comment on function matrice_private.prefix_term is
  'Returns the part of a tsquery, as text, that finds words with this prefix.';

create or replace function matrice_private.text_query(config regconfig, query_text text) returns tsquery
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- Hides PostgreSQL's notice that a query has only stop words.
set client_min_messages = warning
as $$
declare
  query  record;
  found  text;
  folded text;
begin
  -- websearch_to_tsquery cannot read prefixes. A number, which no dictionary changes, stands in for each.
  select q.words, q.marks, q.beginnings into query from matrice_private.read_query(query_text) q;
  found := matrice_private.fold(websearch_to_tsquery(config, query.words)::text);
  -- A stop word without its accents may be an ordinary word: "été" is a stop word, "ete" is not. The query looks for both.
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
  'Converts a query that a person typed to a tsquery that matches the output of text_vector. It may contain "a '
  'phrase", or, -not and begin*. Accents are removed. At most twenty prefixes (begin*) are searched for; the star of '
  'a further one is ignored.';

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
  'Returns the text search configuration that the project''s setting "language" names. Returns simple if there is no '
  'such setting, or no configuration of that name in pg_catalog.';

create or replace function matrice_private.reindex_project_text() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Every function that writes several chunks of a source locks the source first, and locks several sources in the order of
  -- their ids. So there is no deadlock here, and no source is cut in the old language meanwhile.
  perform from matrice.context_sources s where s.project_id = new.id order by s.id for no key update;
  update matrice.source_chunks set fts = null where project_id = new.id;
  update matrice.insights set fts = null where project_id = new.id;
  return null;
end
$$;
comment on function matrice_private.reindex_project_text is
  'Rebuilds the full-text index of a project whose language changed.';

create or replace trigger reindex_project_text after update of settings on matrice.projects
for each row when ((old.settings -> 'language') is distinct from (new.settings -> 'language'))
execute function matrice_private.reindex_project_text();
