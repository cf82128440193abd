-- build_context: the best chunks and insights as one text, within a budget of tokens, with citations.

create or replace function matrice_private.context_passages(chunk_ids uuid[])
returns table (number bigint, citation jsonb, title text, content text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- Else it is planned at each call, which takes as long as running it.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
    -- Read in the order of the sources' best chunks, each source from its beginning.
    select row_number() over (order by p.best_of_source, p.source_id, p.first_index),
           jsonb_build_object('chunk_id', p.passage_ids[1], 'chunk_ids', p.passage_ids, 'source_id', p.source_id, 'source_name', s.name,
                              'start_char', p.start_char, 'end_char', p.end_char, 'metadata', first.metadata),
           matrice_private.passage_title(s.name, first.metadata), p.content
      from (
        select e.*, min(e.best) over (partition by e.source_id) as best_of_source
          from matrice_private.expanded_passages(chunk_ids, 0) e
      ) p
      join matrice.context_sources s on s.id = p.source_id
     cross join lateral (
       select matrice_private.with_pages(c.metadata, p.pages) as metadata from matrice.source_chunks c where c.id = p.passage_ids[1] offset 0) first;
end
$$;
comment on function matrice_private.context_passages is
  'Chunks, given best first, as the passages of a context, numbered in reading order. Chunks that follow each other are one passage: its metadata are those of the first chunk, with the pages of all.';

create or replace function matrice_private.rendered_context(insight_ids uuid[], chunk_ids uuid[]) returns table (context text, citations jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select coalesce(string_agg(matrice_private.passage_heading(p.number, p.title) || p.content, E'\n\n' order by p.number), ''),
           coalesce(jsonb_agg(jsonb_build_object('number', p.number) || p.citation order by p.number), '[]')
      from (
        select given.place as number, jsonb_build_object('insight_id', i.id, 'title', i.title, 'confidence', i.confidence) as citation,
               'Insight: ' || i.title as title, i.content
          from unnest(insight_ids) with ordinality as given (id, place)
          join matrice.insights i on i.id = given.id
        union all
        select cardinality(insight_ids) + c.number, c.citation, c.title, c.content from matrice_private.context_passages(chunk_ids) c
      ) p;
end
$$;
comment on function matrice_private.rendered_context is
  'Insights and chunks, given best first, as one numbered markdown text, and what its numbers cite.';

create or replace function matrice_private.context_tokens(insight_ids uuid[], chunk_ids uuid[], target_model text) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select matrice.count_tokens(w.context, target_model) from matrice_private.rendered_context(insight_ids, chunk_ids) w);
end
$$;
comment on function matrice_private.context_tokens is 'Exact tokens of rendered_context.';

create or replace function matrice_private.whole_sentences(content text, most_chars integer) returns text
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._whole_sentences(content, most_chars);
end
$$;
comment on function matrice_private.whole_sentences is
  'The beginning of a text up to a number of characters, to the end of a sentence. SECURITY DEFINER: only the owner executes the engine''s own functions. It computes from its arguments alone.';

create or replace function matrice_private.cut_at_sentence(heading text, content text, max_tokens integer, target_model text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  beginning text := matrice.truncate_tokens(heading || content, max_tokens, target_model);
  body      text := matrice_private.whole_sentences(content, greatest(length(beginning) - length(heading), 0));
begin
  -- Markdown's marks alone are no beginning.
  return case when body ~ '[^\s#>*_-]' then heading || body else '' end;
end
$$;
comment on function matrice_private.cut_at_sentence is
  'The beginning of a passage that fits, to the end of a sentence; empty where none of its text fits below the heading.';

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
  -- By place, how much less a chunk costs because the one after it is taken.
  saves  integer[] := array_fill(0, array[cardinality(chunk_ids)]);
  used   integer := case insight_ids when '{}' then 0 else matrice_private.context_tokens(insight_ids, '{}', target_model) end;
  chunk  record;
  cost   integer;
begin
  for chunk in
    select c.place, c.id, c.is_copy, c.token_count, c.heading || c.content || E'\n\n' as passage, c.before,
           -- Behind the chunk before it: neither heading nor what both share. The seam may take a token.
           case when c.before > 0 then greatest(matrice.count_tokens(c.heading || left(c.content, greatest(c.shared, 0)), target_model) - 1, 0) end as saved
      from (
        select given.place::integer, c.id, c.content, c.token_count, matrice_private.passage_heading(99, matrice_private.passage_title(s.name, c.metadata)) as heading,
               row_number() over (partition by c.content order by given.place) > 1 as is_copy,
               case when c.chunk_index = lag(c.chunk_index) over source + 1 then lag(given.place::integer) over source end as before,
               lag(c.end_char) over source - c.start_char as shared
          from unnest(chunk_ids) with ordinality as given (id, place)
          join matrice.source_chunks c on c.id = given.id
          join matrice.context_sources s on s.id = c.source_id
        window source as (partition by c.source_id order by c.chunk_index)
      ) c
     order by c.place
  loop
    -- Encodings differ, but not by half.
    continue when chunk.is_copy or used + chunk.token_count / 2 > token_budget;
    cost := matrice.count_tokens(chunk.passage, target_model) - saves[chunk.place] - case when taken[chunk.before] then chunk.saved else 0 end;
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
  'Of chunks, given best first, those that fit into a budget, none of them twice. By the sum of their tokens, less what chunks that become one passage save, from which the tokens of the whole text may differ a little.';

create or replace function matrice_private.pack_insights(query_text text, project_id uuid, how_many integer, token_budget integer, target_model text)
returns uuid[]
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
  -- A quarter at most: an insight is what was concluded, the chunks are what from.
  for insight in select i.insight_id from matrice.search_insights(query_text, project_id, how_many) i loop
    if matrice_private.context_tokens(chosen || insight, '{}', target_model) <= token_budget / 4 then
      chosen := chosen || insight;
    end if;
  end loop;
  return chosen;
end
$$;
comment on function matrice_private.pack_insights is
  'The insights that match a query best and fit into a quarter of a budget.';

create or replace function matrice.build_context(
  query_text text, query_embedding vector, project_id uuid, token_budget integer default 4000,
  match_count integer default 50, filter jsonb default '{}', model text default null, target_model text default 'gpt-4o',
  insights integer default 0, scores jsonb default null
) returns table (context text, token_count integer, citations jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  ids         uuid[];
  chosen      uuid[];
  insight_ids uuid[];
  best        record;
begin
  perform matrice_private.require_given('token_budget', token_budget);
  perform matrice_private.require_given('insights', insights);
  if token_budget < 1 then
    raise exception 'token_budget must be at least 1, not %', token_budget
      using errcode = '22023', hint = 'Pass what the target model''s window leaves for context.';
  end if;
  if insights not between 0 and 100 then
    raise exception 'insights must be between 0 and 100, not %', insights
      using errcode = '22023', hint = 'How many of the project''s insights may be told beside the chunks.';
  end if;
  perform matrice_private.require_text('target_model', target_model);
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_result_options(match_count, filter, 0, null, 0);
  perform matrice_private.require_role(project_id, 'viewer');
  if scores is null then
    ids := array(
      select h.chunk_id
        from matrice.hybrid_search(query_text, query_embedding, build_context.project_id, match_count,
                                   filter => filter, model => build_context.model) h
       order by h.score desc, h.chunk_id);
  else
    perform matrice_private.embedding_model(build_context.model, build_context.project_id);
    perform matrice_private.require_scores(scores);
    ids := array(
      select s.chunk_id from matrice_private.scored_chunks(scores, build_context.project_id) s
       order by s.score desc, s.chunk_id
       limit match_count);
  end if;

  insight_ids := matrice_private.pack_insights(query_text, build_context.project_id, insights, token_budget, target_model);
  chosen := matrice_private.pack_chunks(ids, insight_ids, token_budget, target_model);
  loop
    select w.context, w.citations into context, citations from matrice_private.rendered_context(insight_ids, chosen) w;
    token_count := matrice.count_tokens(context, target_model);
    exit when token_count <= token_budget;
    -- A text can take a token more than its parts: then without the last.
    chosen := trim_array(chosen, 1);
  end loop;
  if citations = '[]' and cardinality(ids) > 0 then
    -- Not even the best passage fits: its beginning is better than nothing.
    select p.title, p.content, p.citation into best from matrice_private.context_passages(ids[:1]) p;
    context := matrice_private.cut_at_sentence(matrice_private.passage_heading(1, best.title), best.content, token_budget, target_model);
    citations := jsonb_build_array(jsonb_build_object('number', 1) || best.citation);
    token_count := matrice.count_tokens(context, target_model);
    if context = '' then
      citations := '[]';
    end if;
  end if;
  return next;
end
$$;
comment on function matrice.build_context is
  'The best passages for a question as markdown for a model: never more than token_budget tokens of target_model, no text twice, each source in its own order, with citations by number. match_count: from how many of hybrid_search''s chunks, or of those in scores, {"<chunk_id>": score, …}. insights: so many of the project''s at most, in a quarter of the budget. Defaults: token_budget 4000, match_count 50, filter ''{}'', target_model ''gpt-4o'', insights 0.';
