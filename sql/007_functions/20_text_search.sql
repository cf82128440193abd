-- Full-text search: how a text becomes words, and in which language.

-- The first functions call the engine, which is written in Rust. Its functions are in the schema of the API. Clients may not
-- execute them there, or PostgREST would offer them.

create or replace function matrice_private.text_vector(content text, language text) returns tsvector
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._text_vector(content, language);
end
$$;
comment on function matrice_private.text_vector is
  'Returns the words of a text, as the column fts holds them. language: a text search configuration of pg_catalog. SECURITY '
  'DEFINER: only the owner may execute the engine''s functions. The result depends on the arguments alone.';

create or replace function matrice_private.analysis(language text) returns text
language plpgsql immutable strict security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._analysis(language);
end
$$;
comment on function matrice_private.analysis is
  'Returns how texts of a language are analysed: the language and the version of the analyser. SECURITY DEFINER: only the owner '
  'may execute the engine''s functions. The result depends on the argument alone.';

create or replace function matrice_private.highlighted(
  content text, query_text text, language text, fragments integer, html boolean
) returns text
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._highlight(content, query_text, language, fragments, html);
end
$$;
comment on function matrice_private.highlighted is
  'Returns an excerpt of a text in which the words of a query are marked. SECURITY DEFINER: only the owner may execute the '
  'engine''s functions. The result depends on the arguments alone.';

-- PL/pgSQL plans this for each role. The plan of an SQL function, with the policies of one role, would serve the next one, too.
create or replace function matrice_private.text_language(project_id uuid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce((
    select c.cfgname::text
      from matrice.projects p
      join pg_ts_config c on c.cfgname = p.settings ->> 'language' and c.cfgnamespace = 'pg_catalog'::regnamespace
     where p.id = text_language.project_id
  ), 'simple');
end
$$;
comment on function matrice_private.text_language is
  'Returns the language in which the texts of a project are analysed: its setting "language". Returns simple if there is no '
  'such setting, or no text search configuration of that name in pg_catalog.';

create or replace function matrice_private.ranked_texts(query_text text, ids uuid[], vectors tsvector[])
returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with segments as materialized (
      select row_number() over ()::integer as place, w.* from matrice._index_words(ids, vectors) w
    ), blocks as (
      select s.place, b.words from segments s cross join lateral unnest(s.blocks) as b (words)
    ), ranked as materialized (
      select r.*
        from matrice._rank_words(
               query_text, 'any', array(select s.analysis from segments s order by s.place),
               array(select s.texts from segments s order by s.place),
               array(select b.place from blocks b), array(select b.words from blocks b),
               '{}', null, null, 2147483647) r
    ), asked as materialized (
      select r.analysis, r.phrases::tsquery as phrases from ranked r where r.id is null
    )
    select r.id, r.score, a.phrases from ranked r join asked a on a.analysis = r.analysis where r.id is not null;
end
$$;
comment on function matrice_private.ranked_texts is
  'Ranks texts that are given with their words by BM25, without an index. phrases: what the words of the text must match because '
  'of the phrases in the query; null if it has none. SECURITY DEFINER: only the owner may execute the engine''s functions. The '
  'result depends on the arguments alone.';
