-- How sure an insight is: from its first statement, its evidence, and its age. docs/insights.md states the formula.

create or replace function matrice_private.confidence_of(
  stated double precision, first_weight double precision, weight_for double precision, weight_against double precision
) returns double precision
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- The mean of a Beta distribution. The first statement counts as two pieces of evidence.
  -- PostgreSQL raises an error where a product is too small for a double.
  select (2 * case when stated < 1e-100 then 0 else stated end * first_weight + weight_for) / (2 + weight_for + weight_against);
end;
comment on function matrice_private.confidence_of is
  'Returns the confidence that follows from the first statement and from the evidence after it, before it ages. stated: the '
  'confidence of the first statement. first_weight: how much of its evidence still stands, 0 to 1. weight_for, weight_against: '
  'the weights of all later witnesses.';

create or replace function matrice_private.half_life(volatility text) returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case volatility when 'slow' then 1095 when 'normal' then 365 when 'fast' then 30 end;
end;
comment on function matrice_private.half_life is
  'Returns the days in which the confidence of an insight falls by half if nobody confirms it; null if it never falls.';

create or replace function matrice_private.freshness(volatility text, told_at timestamptz, at timestamptz)
returns double precision
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- Whole days of 24 hours, so that a confidence stays the same for a day.
  select coalesce(
    -- After 500 half-lives it stays as it is: PostgreSQL raises an error where a power is too small for a double.
    0.5::double precision ^ (least(floor(greatest(extract(epoch from at - told_at), 0) / 86400)::double precision,
                                   500 * matrice_private.half_life(volatility)) / matrice_private.half_life(volatility)), 1);
end;
comment on function matrice_private.freshness is
  'Returns how much of a confidence is left because of its age, 0 to 1. told_at: when the newest evidence for it was recorded.';

create or replace function matrice_private.evidence_weight(changed_at timestamptz, deleted_at timestamptz, at timestamptz)
returns double precision
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when deleted_at <= at then 0.25 when changed_at <= at then 0.5 else 1 end;
end;
comment on function matrice_private.evidence_weight is
  'Returns how much evidence counts: 1; half, if the text that it came from was changed; a quarter, if its source was deleted.';

create or replace function matrice_private.weighed_insights(insight_ids uuid[], at timestamptz) returns table (
  insight_id uuid, first_weight double precision, weight_for double precision, weight_against double precision,
  witnesses_for integer, witnesses_against integer, standing integer, told_at timestamptz
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
      select e.insight_id, e.witness, e.is_for, e.is_first, e.created_at, e.id, e.changed_at, e.deleted_at, e.evidence_key,
             (e.ended_at is null or e.ended_at > weighed_insights.at) as counts,
             matrice_private.evidence_weight(e.changed_at, e.deleted_at, weighed_insights.at) as weight
        from matrice.insight_evidence e
       where e.insight_id = any (insight_ids) and e.created_at <= weighed_insights.at
    ), witnesses as (
      -- Of what a witness says for and against, the newest counts.
      select p.insight_id, p.witness, bool_or(p.is_first) as is_first,
             (array_agg(p.is_for order by p.created_at desc, p.id desc) filter (where p.counts))[1] as is_for,
             max(p.weight) filter (where p.counts and p.is_for) as weight_for,
             max(p.weight) filter (where p.counts and not p.is_for) as weight_against,
             max(p.created_at) filter (where p.counts and p.is_for) as told_at
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
           max(w.told_at)
      from witnesses w
     group by w.insight_id;
end
$$;
comment on function matrice_private.weighed_insights is
  'Weighs the evidence of insights as it stood at a time. Each witness counts once. An insight without evidence has no row. '
  'standing: how many witnesses for it still stand unchanged. told_at: when the newest evidence for it was recorded.';

create or replace function matrice_private.judged_insights(
  insight_ids uuid[], at timestamptz default clock_timestamp()
) returns table (
  insight_id uuid, confidence double precision, settled double precision, freshness double precision, witnesses_for integer,
  witnesses_against integer, standing integer, seen integer, told_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
    select j.id, j.settled * j.freshness, j.settled, j.freshness, coalesce(j.witnesses_for, 1),
           coalesce(j.witnesses_against, 0), coalesce(j.standing, 1), greatest(j.witnesses_for, 1), j.told_at
      from (
        select i.id, w.witnesses_for, w.witnesses_against, w.standing, greatest(i.created_at, w.told_at) as told_at,
               matrice_private.confidence_of(
                 i.confidence, coalesce(w.first_weight, 1), coalesce(w.weight_for, 0), coalesce(w.weight_against, 0)) as settled,
               matrice_private.freshness(i.volatility, greatest(i.created_at, w.told_at), judged_insights.at) as freshness
          from matrice.insights i
          left join matrice_private.weighed_insights(insight_ids, judged_insights.at) w on w.insight_id = i.id
         where i.id = any (insight_ids)
      ) j;
end
$$;
comment on function matrice_private.judged_insights is
  'Returns the confidence of insights at a time, and what it follows from. settled: the confidence before it ages. freshness: '
  'what is left of it because of its age. seen: how many witnesses speak for it, who first stated it included.';
