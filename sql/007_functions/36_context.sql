-- build_context: the best chunks and insights as one text, within a budget of tokens, with citations.

create or replace function matrice_private.lead_of(metadata jsonb, content text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when h.header is null or starts_with(content, h.header) then '' else h.header || E'\n' end
    from (select matrice_private.header_of(metadata) as header) h;
end;
comment on function matrice_private.lead_of is
  'Returns what stands before a chunk in a context: the header of its table, if it begins with other rows; else nothing.';

create or replace function matrice_private.context_passages(chunk_ids uuid[])
returns table (number bigint, citation jsonb, title text, content text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- Otherwise the query is planned at each call, which takes as long as running it.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
    -- Sources come in the order of their best chunks. The passages of a source come in its own order.
    select row_number() over (order by p.best_of_source, p.source_id, p.first_index),
           jsonb_build_object(
             'chunk_id', p.passage_ids[1], 'chunk_ids', p.passage_ids, 'source_id', p.source_id, 'source_name', s.name,
             'start_char', p.start_char, 'end_char', p.end_char, 'metadata', first.metadata),
           matrice_private.passage_title(s.name, first.metadata),
           matrice_private.lead_of(first.metadata, p.content) || p.content
      from (
        select e.*, min(e.best) over (partition by e.source_id) as best_of_source
          from matrice_private.expanded_passages(chunk_ids, 0) e
      ) p
      join matrice.context_sources s on s.id = p.source_id
     cross join lateral (
       select matrice_private.with_pages(c.metadata, p.pages) as metadata
         from matrice.source_chunks c
        where c.id = p.passage_ids[1] offset 0) first;
end
$$;
comment on function matrice_private.context_passages is
  'Returns chunks as the passages of a context, numbered in reading order. Consecutive chunks of a source become one passage, '
  'with the metadata of the first chunk and the pages of all. If it begins within a table, the header of the table precedes it. '
  'chunk_ids: best first.';

create or replace function matrice_private.rendered_context(insight_ids uuid[], chunk_ids uuid[], before integer default 0)
returns table (context text, citations jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select coalesce(string_agg(matrice_private.passage_heading(before + p.number, p.title) || p.content,
                               E'\n\n' order by p.number), ''),
           coalesce(jsonb_agg(jsonb_build_object('number', before + p.number) || p.citation order by p.number), '[]')
      from (
        select given.place as number,
               jsonb_build_object('insight_id', i.id, 'title', i.title, 'confidence', j.confidence, 'seen', j.seen,
                                  'doubts', to_jsonb(d.doubts)) as citation,
               -- Restatements are one passage. What is doubtful is no fact for the model.
               'Insight: ' || i.title || coalesce(' (' || nullif(concat_ws(', ',
                 case when j.confidence < 0.3 then format('confidence %s', round(j.confidence::numeric, 2)) end,
                 case when j.seen > 1 then format('seen %s ×', j.seen) end, nullif(array_to_string(d.doubts, ', '), '')), '') || ')', '') as title,
               i.content
          from unnest(insight_ids) with ordinality as given (id, place)
          join matrice.insights i on i.id = given.id
          join matrice_private.judged_insights(insight_ids) j on j.insight_id = i.id
         cross join lateral (select matrice_private.doubts(i.id, j.witnesses_against, j.standing, j.is_weakened) as doubts) d
        union all
        select cardinality(insight_ids) + c.number, c.citation, c.title, c.content
          from matrice_private.context_passages(chunk_ids) c
      ) p;
end
$$;
comment on function matrice_private.rendered_context is
  'Returns insights and chunks as one markdown text with numbered passages, and the citation of each number. insight_ids, '
  'chunk_ids: best first. before: how many passages stand before these.';

create or replace function matrice_private.context_tokens(insight_ids uuid[], chunk_ids uuid[], target_model text) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select matrice.count_tokens(w.context, target_model) from matrice_private.rendered_context(insight_ids, chunk_ids) w);
end
$$;
comment on function matrice_private.context_tokens is 'Counts the tokens of rendered_context.';

create or replace function matrice_private.whole_sentences(content text, most_chars integer) returns text
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._whole_sentences(content, most_chars);
end
$$;
comment on function matrice_private.whole_sentences is
  'Returns the beginning of a text, at most most_chars characters. It ends with a sentence. If no sentence fits, it ends with a '
  'word, and if no word fits, anywhere. SECURITY DEFINER: only the owner may execute the engine''s own functions. The function '
  'computes from its arguments alone.';

create or replace function matrice_private.cut_at_sentence(
  heading text, content text, max_tokens integer, target_model text
) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  beginning text := matrice.truncate_tokens(heading || content, max_tokens, target_model);
  body      text := matrice_private.whole_sentences(content, greatest(length(beginning) - length(heading), 0));
begin
  -- A beginning that has only markdown marks, or headings of what is cut off, is useless.
  return case when body = content and body ~ '[^\s#>*_-]'
                or regexp_replace(body, '^\s*#.*$', '', 'gn') ~ '[^\s#>*_-]' then heading || body else '' end;
end
$$;
comment on function matrice_private.cut_at_sentence is
  'Returns the heading and the beginning of a passage, cut by whole_sentences to fit into max_tokens. Returns the empty text if '
  'none of the content fits below the heading, or only headings of its own do.';

create or replace function matrice_private.pack_chunks(
  chunk_ids uuid[], insight_ids uuid[], token_budget integer, target_model text
) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  chosen uuid[] := array[]::uuid[];
  taken  boolean[] := array_fill(false, array[cardinality(chunk_ids)]);
  -- Per place: the tokens that a chunk saves because the next chunk of its source is taken.
  saves  integer[] := array_fill(0, array[cardinality(chunk_ids)]);
  used   integer := case insight_ids when '{}' then 0 else matrice_private.context_tokens(insight_ids, '{}', target_model) end;
  chunk  record;
  cost   integer;
begin
  for chunk in
    select c.place, c.id, c.is_copy, c.token_count, c.heading || c.content || E'\n\n' as passage, c.before,
           -- If the chunk before it is taken, the heading and the text that both share are saved. The joint may cost one token.
           case when c.before > 0 then
             greatest(
               matrice.count_tokens(c.heading || left(c.content, greatest(c.shared, 0)), target_model) - 1,
               0)
           end as saved
      from (
        select given.place::integer, c.id, c.content, c.token_count,
               matrice_private.passage_heading(99, matrice_private.passage_title(s.name, c.metadata))
                 || matrice_private.lead_of(c.metadata, c.content) as heading,
               row_number() over (partition by c.content order by given.place) > 1 as is_copy,
               case when c.chunk_index = lag(c.chunk_index) over source + 1
                    then lag(given.place::integer) over source end as before,
               lag(c.end_char) over source - c.start_char as shared
          from unnest(chunk_ids) with ordinality as given (id, place)
          join matrice.source_chunks c on c.id = given.id
          join matrice.context_sources s on s.id = c.source_id
        window source as (partition by c.source_id order by c.chunk_index)
      ) c
     order by c.place
  loop
    -- Skip chunks that are surely too large. token_count may be of another encoding, but encodings differ by less than half.
    continue when chunk.is_copy or used + chunk.token_count / 2 > token_budget;
    cost := matrice.count_tokens(chunk.passage, target_model) - saves[chunk.place]
            - case when taken[chunk.before] then chunk.saved else 0 end;
    continue when used + cost > token_budget;
    chosen := chosen || chunk.id;
    used := used + cost;
    taken[chunk.place] := true;
    if chunk.before is not null then
      saves[chunk.before] := chunk.saved;
    end if;
  end loop;
  return chosen;
end
$$;
comment on function matrice_private.pack_chunks is
  'Selects the chunks that fit into a budget, and skips chunks with the same content as another. Adds up the tokens of the '
  'chunks, and subtracts the tokens that are saved where chunks become one passage. The tokens of the whole text may differ a '
  'little from this sum. chunk_ids: best first.';

create or replace function matrice_private.pack_insights(
  query_text text, query_embedding vector, model text, project_id uuid, how_many integer, min_score double precision,
  token_budget integer, target_model text
) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen  uuid[] := array[]::uuid[];
  insight uuid;
begin
  if how_many = 0 then
    return chosen;
  end if;
  -- At most a quarter of the budget: insights are conclusions, and the chunks are their evidence.
  for insight in
    select i.insight_id
      from matrice.search_insights(
             query_text, project_id, how_many, query_embedding => pack_insights.query_embedding, model => pack_insights.model) i
     where query_embedding is null or min_score is null or i.rank >= min_score
  loop
    if matrice_private.context_tokens(chosen || insight, '{}', target_model) <= token_budget / 4 then
      chosen := chosen || insight;
    end if;
  end loop;
  return chosen;
end
$$;
comment on function matrice_private.pack_insights is
  'Selects the insights that match a query best and fit into a quarter of a budget. With query_embedding, min_score leaves out '
  'those with a lower score.';

create or replace function matrice.build_context(
  query_text text, query_embedding vector, project_id uuid, token_budget integer default 4000,
  match_count integer default 50, filter jsonb default '{}', model text default null, target_model text default 'gpt-4o',
  insights integer default 0, scores jsonb default null, min_score double precision default null, pillars text[] default '{}'
) returns table (context text, token_count integer, citations jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  ids         uuid[];
  chosen      uuid[];
  insight_ids uuid[];
  opening     record;
  best        record;
begin
  perform matrice_private.require_given('token_budget', token_budget);
  perform matrice_private.require_given('insights', insights);
  if token_budget < 1 then
    raise exception 'token_budget must be at least 1, not %', token_budget
      using errcode = '22023', hint = 'Pass the number of tokens that the target model has left for the context.';
  end if;
  if insights not between 0 and 100 then
    raise exception 'insights must be between 0 and 100, not %', insights
      using errcode = '22023', hint = 'It is the largest number of the project''s insights to add.';
  end if;
  perform matrice_private.require_text('target_model', target_model);
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_result_options(match_count, filter, 0, null, 0);
  perform matrice_private.require_least('min_score', min_score);
  perform matrice_private.require_codes('pillars', pillars);
  perform matrice_private.require_role(project_id, 'viewer');
  if scores is null then
    ids := array(
      select h.chunk_id
        from matrice.hybrid_search(query_text, query_embedding, build_context.project_id, match_count,
                                   filter => filter, model => build_context.model, min_score => build_context.min_score) h
       order by h.score desc, h.chunk_id);
  else
    perform matrice_private.embedding_model(build_context.model, build_context.project_id);
    perform matrice_private.require_scores(scores);
    ids := array(
      select s.chunk_id from matrice_private.scored_chunks(scores, build_context.project_id) s
       where build_context.min_score is null or s.score >= build_context.min_score
       order by s.score desc, s.chunk_id
       limit match_count);
  end if;

  select p.context, p.citations, p.tokens_left into opening
    from matrice_private.pack_pillars(build_context.project_id, pillars, token_budget, target_model) p;
  insight_ids := matrice_private.pack_insights(
    query_text, query_embedding, build_context.model, build_context.project_id, insights,
    case when scores is null then min_score end, opening.tokens_left, target_model);
  chosen := matrice_private.pack_chunks(ids, insight_ids, opening.tokens_left, target_model);
  loop
    select concat_ws(E'\n\n', nullif(opening.context, ''), nullif(w.context, '')), w.citations into context, citations
      from matrice_private.rendered_context(insight_ids, chosen, jsonb_array_length(opening.citations)) w;
    token_count := matrice.count_tokens(context, target_model);
    exit when token_count <= token_budget;
    -- The whole text can take a token more than its parts. Then leave out the last chunk, or the last insight.
    if cardinality(chosen) > 0 then
      chosen := trim_array(chosen, 1);
    else
      insight_ids := trim_array(insight_ids, 1);
    end if;
  end loop;
  if citations = '[]' and opening.citations = '[]' and cardinality(ids) > 0 then
    -- Not even the best passage fits. Its beginning is better than nothing.
    select p.title, p.content, p.citation into best from matrice_private.context_passages(ids[:1]) p;
    context := matrice_private.cut_at_sentence(
      matrice_private.passage_heading(1, best.title), best.content, token_budget, target_model);
    citations := jsonb_build_array(jsonb_build_object('number', 1) || best.citation);
    token_count := matrice.count_tokens(context, target_model);
    if context = '' then
      citations := '[]';
    end if;
  end if;
  citations := opening.citations || matrice_private.with_evidence(citations);
  return next;
end
$$;
comment on function matrice.build_context is
  'Packs the best passages for a question into one markdown text for a model. Returns the text, its number of tokens, and its '
  'citations by number. Rows of a table come with its header. The text repeats nothing, and the passages of a source keep '
  'their order. token_budget: the text never has more tokens of target_model than this. match_count: how many chunks to choose '
  'from. They are the best of hybrid_search, or those with the highest scores. filter, model: as in match_chunks. scores: '
  '{"<chunk_id>": score, …}. These scores rank the chunks instead of a search; query_embedding and filter then have no effect. '
  'insights: the largest number of the project''s insights to add, the best by search_insights. They take at most a quarter of '
  'the budget. min_score: leaves out chunks and insights with a lower score. With it, a question about which nothing is known '
  'gets no passages. pillars: codes of pillars, which come first, in this order, as far as they fit; the last one may be cut '
  'after a sentence. Defaults: token_budget 4000, match_count 50, filter ''{}'', target_model ''gpt-4o'', insights 0, pillars '
  '''{}''.';
