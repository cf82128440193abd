-- How sure an insight is: from its first statement, its evidence, and its age. docs/insights.md states the formula.

create or replace function matrice_private.weighed_insights(insight_ids uuid[], at timestamptz) returns table (
  insight_id uuid, first_weight double precision, weight_for double precision, weight_against double precision,
  witnesses_for integer, witnesses_against integer, standing integer, told_at timestamptz, is_weakened boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
-- The planner has no statistics. It would read the whole table for a few insights.
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  return query
    with pieces as (
      select e.insight_id, e.witness, e.is_for, e.is_first, e.created_at, e.id, least(e.changed_at, e.deleted_at) as weakened_at,
             (e.ended_at is null or e.ended_at > weighed_insights.at) as counts,
             case when e.deleted_at <= weighed_insights.at then 0.25::double precision
                  when e.changed_at <= weighed_insights.at then 0.5 else 1 end as weight
        from matrice.insight_evidence e
       where e.insight_id = any (insight_ids) and e.created_at <= weighed_insights.at
    ), witnesses as (
      -- Of what a witness says for and against, the newest counts.
      select p.insight_id, p.witness, bool_or(p.is_first) as is_first,
             (array_agg(p.is_for order by p.created_at desc, p.id desc) filter (where p.counts))[1] as is_for,
             max(p.weight) filter (where p.counts and p.is_for) as weight_for,
             max(p.weight) filter (where p.counts and not p.is_for) as weight_against,
             max(p.created_at) filter (where p.counts and p.is_for) as told_at,
             max(p.created_at) filter (where p.counts and p.is_for and p.weight = 1) as stood_at,
             max(p.weakened_at) filter (where p.counts and p.is_for and p.weight < 1) as weakened_at
        from pieces p
       group by p.insight_id, p.witness
    )
    select w.insight_id,
           coalesce(avg(w.weight_for) filter (where w.is_first), 1),
           coalesce(sum(w.weight_for) filter (where w.is_for and not w.is_first), 0),
           coalesce(sum(w.weight_against) filter (where not w.is_for), 0),
           (count(*) filter (where w.is_for))::integer,
           (count(*) filter (where not w.is_for))::integer,
           (count(*) filter (where w.is_for and w.weight_for = 1))::integer,
           max(w.told_at),
           coalesce(max(w.weakened_at) >= coalesce(max(w.stood_at), '-infinity'), false)
      from witnesses w
     group by w.insight_id;
end
$$;
comment on function matrice_private.weighed_insights is
  'Weighs the evidence of insights as it stood at a time: 1; half, if the text that it came from was changed; a quarter, if its '
  'source was deleted. Each witness counts once. An insight without evidence has no row. standing: how many witnesses for it '
  'still stand unchanged. told_at: when the newest evidence for it was recorded. is_weakened: whether a text that spoke for it '
  'was changed or deleted, and nobody has confirmed it since.';

create or replace function matrice_private.judged_statements(
  insight_ids uuid[], stated double precision[], volatilities text[], stated_at timestamptz[], at timestamptz
) returns table (
  insight_id uuid, confidence double precision, settled double precision, freshness double precision, witnesses_for integer,
  witnesses_against integer, standing integer, seen integer, told_at timestamptz, is_weakened boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  -- The formula stands here and not in functions of its own, which would take most of the time if there are many insights.
  return query
    with weighed as (
      select s.id, w.witnesses_for, w.witnesses_against, w.standing, w.is_weakened, greatest(s.stated_at, w.told_at) as told_at,
             -- The mean of a Beta distribution. The first statement counts as two pieces of evidence.
             -- PostgreSQL raises an error where a product is too small for a double.
             (2 * case when s.stated < 1e-100 then 0 else s.stated end * coalesce(w.first_weight, 1) + coalesce(w.weight_for, 0))
             / (2 + coalesce(w.weight_for, 0) + coalesce(w.weight_against, 0)) as settled,
             -- The days in which a confidence falls by half if nobody confirms it.
             case s.volatility when 'slow' then 1095 when 'normal' then 365 when 'fast' then 30 end as half_life
        from unnest(insight_ids, stated, volatilities, stated_at) s (id, stated, volatility, stated_at)
        left join matrice_private.weighed_insights(insight_ids, judged_statements.at) w on w.insight_id = s.id
    ), aged as (
      select w.*,
             -- Whole days of 24 hours, so that a confidence stays the same for a day. After 500 half-lives it stays as it is:
             -- PostgreSQL raises an error where a power is too small for a double.
             coalesce(0.5::double precision ^ (
               least(floor(greatest(extract(epoch from judged_statements.at - w.told_at), 0) / 86400)::double precision,
                     500 * w.half_life) / w.half_life), 1) as freshness
        from weighed w
    )
    select a.id, a.settled * a.freshness, a.settled, a.freshness, coalesce(a.witnesses_for, 1),
           coalesce(a.witnesses_against, 0), coalesce(a.standing, 1), greatest(a.witnesses_for, 1), a.told_at,
           coalesce(a.is_weakened, false)
      from aged a;
end
$$;
comment on function matrice_private.judged_statements is
  'Returns the confidence of insights at a time, and what it follows from. stated: the confidence of the first statement, made '
  'at stated_at. settled: the confidence before it ages. freshness: what is left of it because of its age. seen: how many '
  'witnesses speak for it, who first stated it included. told_at: when somebody last spoke for it. is_weakened: as in '
  'weighed_insights.';

create or replace function matrice_private.judged_insights(
  insight_ids uuid[], at timestamptz default clock_timestamp()
) returns table (
  insight_id uuid, confidence double precision, settled double precision, freshness double precision, witnesses_for integer,
  witnesses_against integer, standing integer, seen integer, told_at timestamptz, is_weakened boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  found_ones record;
begin
  select array_agg(i.id) as ids, array_agg(i.confidence) as stated, array_agg(i.volatility) as volatilities,
         array_agg(i.created_at) as stated_at
    into found_ones
    from matrice.insights i where i.id = any (insight_ids);
  return query
    select j.* from matrice_private.judged_statements(
      found_ones.ids, found_ones.stated, found_ones.volatilities, found_ones.stated_at, judged_insights.at) j;
end
$$;
comment on function matrice_private.judged_insights is
  'Calls judged_statements for insights as they are stored.';
