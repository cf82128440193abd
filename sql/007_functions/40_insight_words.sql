-- Insights by the words of a query: BM25 over those that have one of the words.

create or replace function matrice_private.texts_without_ids(texts bigint, words bigint) returns bytea
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- Of each text 26 bytes, as in words_in. Lengths differ by one word at most.
  select string_agg(
           decode(repeat(repeat('00', 24) || lpad(to_hex(n.length % 256), 2, '0') || lpad(to_hex(n.length / 256), 2, '0'),
                         n.texts::integer), 'hex'), '')
    from (values (words / texts, texts - words % texts), (words / texts + 1, words % texts)) as n (length, texts);
end;
comment on function matrice_private.texts_without_ids is
  'Returns the texts of a segment of words: so many texts, with so many words together. Their ids are zero.';

create or replace function matrice_private.any_word(query_text text, analyses text[]) returns tsquery
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  words text[] := array(
    select distinct '''' || replace(replace(w.word, chr(92), repeat(chr(92), 2)), '''', '''''') || ''''
                    || case when w.is_prefix then ':*' else '' end
      from unnest(analyses) a (analysis)
     cross join lateral matrice._query_words(query_text, 'any', a.analysis) w);
begin
  -- PostgreSQL compares each text with each word of a tsquery, and reads a long one by recursion.
  return case when cardinality(words) between 1 and 100 then array_to_string(words, ' | ')::tsquery end;
end
$$;
comment on function matrice_private.any_word is
  'Returns a tsquery that every text matches that has one of the words of a query, in one of its forms. Null if it has no '
  'words, or more than a hundred.';

create or replace function matrice_private.ranked_without_index(query_text text, project_id uuid)
returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select r.*
      from (select array_agg(i.id) as ids, array_agg(i.fts) as vectors
              from matrice.insights i where i.project_id = ranked_without_index.project_id) i
     cross join lateral matrice_private.ranked_texts(query_text, i.ids, i.vectors) r;
end
$$;
comment on function matrice_private.ranked_without_index is
  'Ranks the insights of a project that match a query as ranked_texts does, with the statistics of those that the caller can '
  'see. Reads all of them.';

create or replace function matrice_private.matching_insights(query_text text, project_id uuid)
returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
-- How many insights have a word is known when the query is.
set enable_seqscan = off set jit = off set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  no_id    constant uuid := cast('00000000-0000-0000-0000-000000000000' as uuid);
  totals   jsonb;
  asked    tsquery;
  matched  record;
  segments record;
  ranked   record;
begin
  select jsonb_object_agg(t.analysis, jsonb_build_array(t.insights, t.words)) into totals
    from (select t.analysis, sum(t.insights) as insights, sum(t.words) as words
            from matrice_private.insight_totals t where t.project_id = matching_insights.project_id group by t.analysis) t;
  asked := matrice_private.any_word(query_text, array(select jsonb_object_keys(totals)));
  if asked is null then
    return query select r.* from matrice_private.ranked_without_index(query_text, project_id) r;
    return;
  end if;
  select coalesce(array_agg(i.id), '{}') as ids, coalesce(array_agg(i.fts), '{}') as vectors into matched
    from matrice.insights i where i.project_id = matching_insights.project_id and i.fts @@ asked;
  -- The others count with their number and their lengths.
  with found as materialized (
    select w.analysis, w.texts, w.blocks, w.text_count, matrice_private.words_in(w.texts) as words
      from matrice._index_words(matched.ids, matched.vectors) w
  ), others as (
    select t.analysis, (t.total ->> 0)::bigint - coalesce(f.text_count, 0) as insights,
           (t.total ->> 1)::bigint - coalesce(f.words, 0) as words
      from jsonb_each(totals) t (analysis, total) left join found f on f.analysis = t.analysis
  ), both_ as (
    select f.analysis, f.texts, f.blocks from found f
    union all
    select o.analysis, matrice_private.texts_without_ids(o.insights, o.words), '{}' from others o where o.insights > 0
  ), numbered as materialized (
    select b.*, row_number() over (order by cardinality(b.blocks) desc, b.analysis)::integer as place from both_ b
  )
  select array_agg(n.analysis order by n.place) as analyses, array_agg(n.texts order by n.place) as texts,
         array(select n.place from numbered n cross join lateral unnest(n.blocks) b (words)) as places,
         array(select b.words from numbered n cross join lateral unnest(n.blocks) b (words)) as blocks,
         -- Rows were loaded without triggers.
         exists (select from others o where o.insights < 0 or o.words < 0 or o.insights = 0 and o.words <> 0)
         or exists (select from found f where not totals ? f.analysis) as is_wrong
    into segments from numbered n;
  if segments.analyses is null then
    return;
  end if;
  select array_agg(r.id) filter (where r.id is not null) as ids, array_agg(r.score) filter (where r.id is not null) as scores,
         array_agg(r.analysis) filter (where r.id is not null) as analyses,
         jsonb_object_agg(r.analysis, r.phrases) filter (where r.id is null) as phrases
    into ranked
    from matrice._rank_words(query_text, 'any', segments.analyses, segments.texts, segments.places, segments.blocks,
                             '{}', null, null, 2147483647) r;
  if segments.is_wrong or no_id = any (ranked.ids) then
    -- Insights match that have none of the words: the query only excludes.
    return query select r.* from matrice_private.ranked_without_index(query_text, project_id) r;
    return;
  end if;
  return query
    select r.id, r.score, (ranked.phrases ->> r.analysis)::tsquery
      from unnest(ranked.ids, ranked.scores, ranked.analyses) r (id, score, analysis);
end
$$;
comment on function matrice_private.matching_insights is
  'Ranks the insights of a project that match a query by BM25, best first, as ranked_texts does, with the statistics of all '
  'insights, superseded ones included. It reads only those that have one of the words. phrases: as in ranked_texts. It does '
  'not check the caller: it is for services and matching_insights_of_member. SECURITY DEFINER: policies would keep the words '
  'from using their index.';

create or replace function matrice_private.matching_insights_of_member(query_text text, project_id uuid)
returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select m.* from unnest(matrice_private.projects_of_member(array[project_id])) p (id)
     cross join lateral matrice_private.matching_insights(query_text, p.id) m;
end
$$;
comment on function matrice_private.matching_insights_of_member is
  'Calls matching_insights if the caller is a member of the project. SECURITY DEFINER: policies would keep the words from '
  'using their index.';

create or replace function matrice_private.ranked_insights(query_text text, project_id uuid)
returns table (id uuid, score double precision, phrases tsquery)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if not row_security_active('matrice.insights') then
    return query select m.* from matrice_private.matching_insights(query_text, project_id) m;
  elsif not matrice_private.has_other_policies('{matrice.insights}') then
    return query select m.* from matrice_private.matching_insights_of_member(query_text, project_id) m;
  else
    -- The statistics are those of the insights that the caller can see.
    return query select r.* from matrice_private.ranked_without_index(query_text, project_id) r;
  end if;
end
$$;
comment on function matrice_private.ranked_insights is
  'Ranks the insights of a project that match a query by BM25, best first, as the caller may see them. phrases: as in '
  'ranked_texts.';

create or replace function matrice_private.best_insights(
  ids uuid[], scores double precision[], phrases tsquery[], project_id uuid, depth integer, match_count integer,
  include_superseded boolean, at timestamptz
) returns table (insight_id uuid, score double precision, confidence double precision, seen integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off
as $$
#variable_conflict use_column
begin
  return query
    with near as materialized (
      select i.id, i.content_hash, n.score, n.phrases
        from unnest(ids[:depth], scores[:depth], phrases[:depth]) n (id, score, phrases)
       cross join lateral (select i.id, i.content_hash from matrice.insights i where i.id = n.id offset 0) i
    ), wanted as (
      select n.id, n.score, n.phrases from near n
      union all
      -- Clients that insert rows themselves may have repeated a text. The copies may rank behind depth.
      select c.id, scores[c.place], phrases[c.place]
        from (
          select i.id, array_position(ids, i.id) as place
            from (select distinct n.content_hash from near n where not include_superseded and depth < cardinality(ids)) h
           cross join lateral (
             select i.id from matrice.insights i
              where i.project_id = best_insights.project_id and i.content_hash = h.content_hash offset 0) i
           where i.id not in (select n.id from near n)
        ) c
       where c.place is not null
    ), matched as materialized (
      select i.id, i.content_hash, i.created_at, w.score
        from wanted w
       cross join lateral (select i.* from matrice.insights i where i.id = w.id offset 0) i
       where (include_superseded or matrice_private.holds(i.superseded_at, i.retracted_at, i.valid_from, i.valid_until, now()))
         and (w.phrases is null or i.fts @@ w.phrases)
    ), judged as (
      select m.*, j.confidence, j.seen,
             row_number() over (partition by m.content_hash order by j.seen desc, m.created_at, m.id) as copy
        from matched m
        join matrice_private.judged_insights(array(select m.id from matched m), best_insights.at) j on j.insight_id = m.id
    )
    select j.id, j.score, j.confidence, j.seen
      from judged j
     where include_superseded or j.copy = 1
     order by j.score * j.confidence desc, j.id
     limit match_count;
end
$$;
comment on function matrice_private.best_insights is
  'Returns the insights with the highest product of rank and confidence: of the first depth insights of a ranking, and of '
  'those with the same texts. at: of which time the confidence is.';
