-- insights_review: what is due, and the audit.

create or replace function matrice_private.insights_due(project_id uuid)
returns table (kind text, insight_id uuid, other_id uuid, detail text, confidence double precision, urgency double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
-- The planner does not know how many insights a CTE has. It would compare each with each. What is switched off makes a plan look
-- expensive, and compiling it takes longer than the rest.
set enable_nestloop = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    with mine as materialized (
      select i.id, i.content_hash, i.key_hash, i.created_at, i.superseded_by, i.superseded_at, i.retracted_at, i.valid_until,
             i.is_merged, i.confidence as stated, i.volatility, least(i.retracted_at, i.superseded_at) as ended_at,
             -- What holds() returns. For each of many insights, its call would take longer than everything else.
             (i.superseded_at is null or i.superseded_at > now()) and (i.retracted_at is null or i.retracted_at > now())
             and (i.valid_from is null or i.valid_from <= now()) and (i.valid_until is null or i.valid_until > now()) as holds,
             case when i.key_hash is not null then matrice_private.normal_value(i.value) end as normal_value,
             case when i.key_hash is not null then matrice_private.quoted(i.value) end as quoted_value,
             case when i.key_hash is null and length(i.content) < 40
                  then cardinality(regexp_split_to_array(btrim(i.content), '\s+')) end as words
        from matrice.insights i
       where i.project_id = insights_due.project_id
    ), judged as materialized (
      select m.id, m.content_hash, m.key_hash, m.created_at, m.normal_value, m.quoted_value, m.words, j.confidence, j.freshness,
             j.standing, j.witnesses_for, j.witnesses_against, j.is_weakened
        from (select array_agg(m.id) as ids, array_agg(m.stated) as stated, array_agg(m.volatility) as volatilities,
                     array_agg(m.created_at) as stated_at
                from mine m where m.holds) a
       cross join lateral matrice_private.judged_statements(a.ids, a.stated, a.volatilities, a.stated_at, clock_timestamp()) j
        join mine m on m.id = j.insight_id
    )
    select 'stale', j.id, null::uuid,
           format('Nobody has confirmed it for so long that %s %% of its confidence is left.', round(100 * j.freshness)),
           j.confidence, 1 - j.freshness
      from judged j where j.freshness <= 0.5
    union all
    select 'contradicted', j.id, null, format('Witnesses against it: %s; for it: %s.', j.witnesses_against, j.witnesses_for),
           j.confidence, j.witnesses_against
      from judged j where j.witnesses_against > 0
    union all
    -- Each insight once, against the newest one: a list of all pairs would grow with the square of their number.
    select 'contradicted', k.id, k.newest_id,
           format('%s or %s?', k.quoted_value, k.newest_quoted), k.confidence, k.confidence + k.newest_confidence
      from (
        select j.id, j.normal_value, j.quoted_value, j.confidence,
               first_value(j.id) over newest as newest_id, first_value(j.normal_value) over newest as newest_value,
               first_value(j.quoted_value) over newest as newest_quoted,
               first_value(j.confidence) over newest as newest_confidence
          from judged j where j.key_hash is not null
        window newest as (partition by j.key_hash order by j.created_at desc, j.id desc)
      ) k
     where k.normal_value <> k.newest_value
    union all
    select 'unsupported', j.id, null,
           'No witness for it stands as it did: sources were deleted or their texts changed, or the witnesses changed their minds.',
           j.confidence, j.confidence
      from judged j where j.standing = 0
    union all
    select 'source changed', j.id, null,
           'A text that it came from was changed or deleted, and nobody has confirmed it since.', j.confidence, j.confidence
      from judged j
     where j.standing > 0 and j.is_weakened
    union all
    select 'duplicate', j.id, o.id, format('Likeness by %s: %s.', c.found_by, round(c.likeness::numeric, 2)), j.confidence,
           c.likeness
      from matrice.insight_candidates c
      join judged j on j.id = c.insight_id
      join judged o on o.id = c.candidate_id
     where c.project_id = insights_due.project_id
    union all
    -- Rows that clients inserted themselves.
    select 'duplicate', c.id, c.first_id, 'The same text.', c.confidence, 1
      from (select j.id, j.confidence, first_value(j.id) over (partition by j.content_hash order by j.created_at, j.id) as first_id
              from judged j) c
     where c.id <> c.first_id
    union all
    select 'fragment', j.id, null,
           format('It has only %s.', case j.words when 1 then '1 word' else j.words || ' words' end), j.confidence,
           1.0 / (1 + j.words)
      from judged j where j.words < 3
    union all
    select 'without successor', e.id, s.id, 'The insight that superseded it does not hold any more.', null, 1
      from mine e
      join mine s on s.id = e.superseded_by
     where not e.is_merged and e.retracted_at is null and e.superseded_at <= now()
       and s.superseded_by is null and (s.retracted_at <= now() or s.valid_until <= now())
    union all
    select 'told again', e.id, null,
           format('It was %s, and told again since.', case when e.retracted_at is null then 'superseded' else 'retracted' end),
           null, 1
      from mine e
     cross join lateral (
       select from matrice.insight_evidence w
        where w.project_id = insights_due.project_id and w.insight_id = e.id and w.is_for and w.created_at > e.ended_at
        limit 1) w
     where e.ended_at is not null and not e.is_merged;
end
$$;
comment on function matrice_private.insights_due is
  'Returns everything in the insights of a project that somebody should look at. urgency: orders the entries of a kind.';

create or replace function matrice_private.doubts(
  insight_id uuid, witnesses_against integer, standing integer, is_weakened boolean
) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return array_remove(array[
    case when witnesses_against > 0 or exists (
      select from matrice.insights i
       -- OFFSET 0 makes the planner look them up in the index.
       cross join lateral (
         select o.* from matrice.insights o where o.project_id = i.project_id and o.key_hash = i.key_hash offset 0) o
       where i.id = doubts.insight_id and i.key_hash is not null
         and matrice_private.normal_value(o.value) <> matrice_private.normal_value(i.value)
         and matrice_private.holds(o.superseded_at, o.retracted_at, o.valid_from, o.valid_until, now())) then 'contradicted' end,
    case when standing = 0 then 'unsupported' when is_weakened then 'source changed' end], null);
end
$$;
comment on function matrice_private.doubts is
  'Returns what insights_review says of an insight that makes it doubtful: contradicted, unsupported, source changed. The '
  'arguments are those of judged_insights.';

create or replace function matrice_private.quoted(content text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select '"' || case when length(content) > 60 then left(content, 60) || '…' else content end || '"';
end;
comment on function matrice_private.quoted is 'Returns the beginning of a text in quotation marks.';

create or replace function matrice.insights_review(project_id uuid, match_count integer default 10) returns table (
  kind text, total bigint, insight_id uuid, title text, other_id uuid, other_title text, detail text,
  confidence double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_role(insights_review.project_id, 'viewer');
  return query
    select k.kind, coalesce(d.total, 0), d.insight_id, i.title, d.other_id, o.title, d.detail, d.confidence
      from unnest(array['contradicted', 'unsupported', 'source changed', 'stale', 'duplicate', 'fragment', 'told again',
                        'without successor'])
           with ordinality as k (kind, place)
      left join (
        select due.*, count(*) over (partition by due.kind) as total,
               row_number() over (partition by due.kind order by due.urgency desc, due.insight_id, due.other_id) as number
          from matrice_private.insights_due(insights_review.project_id) due
      ) d on d.kind = k.kind and d.number <= match_count
      left join matrice.insights i on i.id = d.insight_id
      left join matrice.insights o on o.id = d.other_id
     order by k.place, d.number;
end
$$;
comment on function matrice.insights_review is
  'Lists what is due in the insights of a project that hold, the most urgent first, with the number of all of each kind. '
  'contradicted: a witness speaks against it, or the newest insight about the same attribute, other_id, states another value.'
  ' unsupported: no witness for it stands as it did. source changed: some do, but a text that it came from was changed or '
  'deleted, and nobody has confirmed it since. stale: age has taken half of its confidence. duplicate: another insight may '
  'state the same. fragment: its content has only one or two words. told again: it was superseded or retracted, and told '
  'again since. without successor: the insight that superseded it was retracted, or its time is over. A kind without an entry'
  ' has one row, with total 0. match_count: how many of each kind. Defaults: match_count 10.';
