-- Recording insights, and searching them.

create or replace function matrice.record_insight(
  project_id uuid, type text, title text, content text, confidence double precision default 0.5,
  tags jsonb default '[]', source_id uuid default null, evidence jsonb default null,
  subject text default null, attribute text default null, value text default null, volatility text default null,
  valid_from timestamptz default null, valid_until timestamptz default null, chunk_ids uuid[] default null,
  run_id uuid default null, step_id uuid default null, url text default null, note text default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  hash   bytea;
  stored uuid;
  is_new boolean := false;
begin
  perform matrice_private.require_statement(type, title, content, confidence, tags, evidence);
  perform matrice_private.require_fact(subject, attribute, value, volatility, valid_from, valid_until);
  perform matrice_private.require_evidence(chunk_ids, url, note);
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  perform matrice_private.require_origin(project_id, source_id, run_id, step_id);
  hash := matrice_private.statement_hash(type, title, content, subject, attribute, value);
  stored := matrice_private.known_insight(
    project_id, matrice_private.statement_hash(type, title, content),
    case when subject is not null then matrice_private.statement_hash(subject, attribute) end, value, valid_from);
  -- It was told without its subject before.
  update matrice.insights i
     set subject = record_insight.subject, attribute = record_insight.attribute, value = record_insight.value
   where i.id = stored and i.key_hash is null and record_insight.subject is not null
     and i.superseded_at is null and i.retracted_at is null;
  while stored is null loop
    insert into matrice.insights as i (
      project_id, source_id, type, title, content, confidence, tags, evidence, subject, attribute, value, volatility,
      valid_from, valid_until, is_recorded)
    values (
      record_insight.project_id, record_insight.source_id, record_insight.type, record_insight.title, record_insight.content,
      record_insight.confidence, record_insight.tags, record_insight.evidence, record_insight.subject,
      record_insight.attribute, record_insight.value, coalesce(record_insight.volatility, 'normal'),
      record_insight.valid_from, record_insight.valid_until, true)
    -- Somebody else records it at this moment.
    on conflict (project_id, content_hash, coalesce(valid_from, '-infinity'))
      where is_recorded and superseded_at is null and retracted_at is null do nothing
    returning i.id into stored;
    is_new := found;
    if not is_new then
      select i.id into stored from matrice.insights i
       where i.project_id = record_insight.project_id and i.content_hash = hash and i.is_recorded
         and coalesce(i.valid_from, '-infinity') = coalesce(record_insight.valid_from, '-infinity')
         and i.superseded_at is null and i.retracted_at is null;
    end if;
  end loop;
  perform matrice_private.remember_evidence(stored, true, is_new, source_id, chunk_ids, run_id, step_id, url, note);
  if is_new and row_security_active('matrice.insight_candidates') then
    perform matrice_private.link_candidates_of_member(stored);
  elsif is_new then
    perform matrice_private.link_candidates(stored);
  end if;
  return stored;
end
$$;
comment on function matrice.record_insight is
  'Records an insight and returns its id. If the project knows it already, in the same words and of the same type, it returns'
  ' that insight, and the statement becomes evidence for it; the other arguments are then ignored, but for a subject that it '
  'lacks. Case, white space, and quotation marks and punctuation around the texts do not count. Insights with similar words '
  'become candidates for merge_insights. A statement that was superseded or retracted stays so, unless valid_from is after '
  'its end. type: a word of the client''s choice, such as pattern, learning or decision. confidence: 0 to 1, of the first '
  'statement. tags: a JSON array. source_id, chunk_ids, run_id, step_id, url: where it comes from, in the same project. note:'
  ' a remark about that. evidence: any JSON. subject, attribute, value: what it states as a value, if it does; another value '
  'of the same attribute is a contradiction. volatility: how fast it ages: permanent, slow, normal or fast; if null, normal. '
  'valid_from, valid_until: when it holds. Defaults: confidence 0.5, tags ''[]''.';

create or replace function matrice_private.holds(
  superseded_at timestamptz, retracted_at timestamptz, valid_from timestamptz, valid_until timestamptz, at timestamptz
) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select (superseded_at is null or superseded_at > at) and (retracted_at is null or retracted_at > at)
         and (valid_from is null or valid_from <= at) and (valid_until is null or valid_until > at);
end;
comment on function matrice_private.holds is
  'Returns whether an insight holds at a time: it has not been superseded, merged or retracted by then, and it is valid then.';

create or replace function matrice.search_insights(
  query_text text, project_id uuid, match_count integer default 10, include_superseded boolean default false,
  query_embedding vector default null, model text default null
) returns table (
  insight_id uuid, source_id uuid, type text, title text, content text, confidence double precision, tags jsonb,
  created_at timestamptz, superseded_by uuid, rank real, seen integer, valid_from timestamptz, valid_until timestamptz,
  retracted_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  chosen_model text;
  ranked       record;
  best         record;
  is_settled   boolean;
  -- To keep and to judge all insights of a large project would take longer than to rank them.
  most         bigint := greatest(match_count::bigint * 64, 1000);
  depth        bigint := match_count::bigint * 8;
  at           timestamptz := clock_timestamp();
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_given('include_superseded', include_superseded);
  perform matrice_private.require_role(project_id, 'viewer');
  if query_embedding is not null then
    chosen_model := matrice_private.embedding_model(search_insights.model, search_insights.project_id);
    query_embedding := matrice_private.query_vector(query_embedding, chosen_model);
  end if;
  loop
    if query_embedding is null then
      select array_agg(r.id) as ids, array_agg(r.score) as shown, array_agg(r.score) as scores, array_agg(r.phrases) as phrases,
             count(*) as count into ranked
        from matrice_private.ranked_insights(query_text, search_insights.project_id, most) r;
    else
      select array_agg(r.id) as ids, array_agg(r.score) as shown, array_agg(r.weight) as scores, array_agg(r.phrases) as phrases,
             count(*) as count into ranked
        from (select r.*, matrice_private.positive(r.score) as weight
                from matrice_private.fused_insights(
                       query_text, query_embedding, search_insights.project_id, chosen_model, most) r
               order by weight desc, r.id) r;
    end if;
    loop
      select array_agg(b.insight_id order by b.score * b.confidence desc, b.insight_id) as ids,
             array_agg(b.confidence order by b.score * b.confidence desc, b.insight_id) as confidences,
             array_agg(b.seen order by b.score * b.confidence desc, b.insight_id) as seen,
             min(b.score * b.confidence) as lowest, count(*) as count into best
        from matrice_private.best_insights(
               ranked.ids, ranked.scores, ranked.phrases, search_insights.project_id, least(depth, ranked.count)::integer,
               match_count, include_superseded, at) b;
      -- No confidence is above 1, so nothing that ranks behind depth can come before these. Of like ones, the lower id comes first.
      depth := least(depth, ranked.count);
      is_settled := best.count = match_count
                    and (best.lowest, ranked.ids[depth]) >= (ranked.scores[depth], best.ids[match_count]);
      exit when is_settled or depth = ranked.count;
      depth := depth * 8;
    end loop;
    exit when is_settled or ranked.count < most;
    most := most * 8;
    depth := depth * 8;
  end loop;
  return query
    select i.id, i.source_id, i.type, i.title, i.content, b.confidence, i.tags, i.created_at, i.superseded_by,
           (ranked.shown[array_position(ranked.ids, b.id)])::real, b.seen, i.valid_from, i.valid_until, i.retracted_at
      from unnest(best.ids, best.confidences, best.seen) with ordinality as b (id, confidence, seen, place)
      join matrice.insights i on i.id = b.id
     order by b.place;
end
$$;
comment on function matrice.search_insights is
  'Searches the insights of a project by the words of a query; with query_embedding, by meaning, too. Returns the best first,'
  ' by rank times confidence. Leaves out what does not hold now: what was superseded, merged or retracted, and what holds at '
  'another time. confidence: what follows from the first statement, the evidence and the age. seen: how many witnesses speak '
  'for it; all chunks of a source are one. query_text: as in search_chunks. match_count: 1 to 10000. include_superseded: if '
  'true, insights that do not hold are found too. query_embedding: the vector of the query. Then rank is a score like that of'
  ' hybrid_search: around 0, an insight is no better than any of the project. It orders them by ln(1 + e^rank) times '
  'confidence, since a rank may be below 0. model: as in match_chunks. Defaults: match_count 10, include_superseded false.';
