-- What is spent, what is reserved, and when a budget will be used up.

create or replace function matrice_private.spending_forecast(
  limit_usd numeric, spent_usd numeric, since timestamptz, period_end timestamptz, at timestamptz,
  out forecast_usd numeric, out exhausted_at timestamptz
)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- A single call says nothing of a month: the rate is that of an hour at least.
  seconds numeric := greatest(extract(epoch from at - since), 3600);
  rate    numeric := spent_usd / seconds;
begin
  if period_end < 'infinity' then
    forecast_usd := round(spent_usd + rate * extract(epoch from period_end - at), 6);
  end if;
  if rate > 0 and spent_usd < limit_usd and (limit_usd - spent_usd) / rate < 5000000000 then
    exhausted_at := at + make_interval(secs => ((limit_usd - spent_usd) / rate)::double precision);
    if exhausted_at >= period_end then
      exhausted_at := null;
    end if;
  end if;
end
$$;
comment on function matrice_private.spending_forecast is
  'Returns what will have been spent at the end of a period, and when the limit will be reached, if spending goes on as it has '
  'since a time. forecast_usd is null if the period does not end; exhausted_at is null if the limit is not reached before.';

create or replace function matrice_private.visible_figures(project_id uuid, at timestamptz)
returns table (budget_id uuid, period_start timestamptz, period_end timestamptz, spent_usd numeric, reserved_usd numeric,
               unpriced_steps bigint, first_at timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active('matrice.budgets') then
    return query select f.* from matrice_private.budget_figures_of_member(visible_figures.project_id, at) f;
  else
    return query select f.* from matrice_private.budget_figures(visible_figures.project_id, at) f;
  end if;
end
$$;
comment on function matrice_private.visible_figures is 'Does what budget_figures does, for whoever calls it.';

create or replace function matrice.budget_status(project_id uuid) returns table (
  budget_id uuid, name text, model text, phase text, user_key text, period text, time_zone text, is_hard boolean,
  period_start timestamptz, period_end timestamptz, limit_usd numeric, spent_usd numeric, reserved_usd numeric,
  unpriced_steps bigint, fraction double precision, state text, forecast_usd numeric, exhausted_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  at timestamptz := clock_timestamp();
begin
  perform matrice_private.require_role(budget_status.project_id, 'viewer');
  return query
  select b.id, b.name, b.model, b.phase, b.user_key, b.period, b.time_zone, b.is_hard,
         nullif(f.period_start, '-infinity'), nullif(f.period_end, 'infinity'),
         trim_scale(b.limit_usd), trim_scale(f.spent_usd), trim_scale(f.reserved_usd), f.unpriced_steps,
         (f.spent_usd / nullif(b.limit_usd, 0))::double precision,
         case when f.spent_usd >= b.limit_usd then 'exhausted'
              when f.spent_usd >= b.limit_usd * (select min(t) from unnest(b.thresholds) t) then 'warning'
              else 'ok' end,
         c.forecast_usd, c.exhausted_at
    from matrice_private.visible_figures(budget_status.project_id, at) f
    join matrice.budgets b on b.id = f.budget_id
   cross join lateral matrice_private.spending_forecast(
     b.limit_usd, f.spent_usd, greatest(coalesce(f.first_at, at), f.period_start), f.period_end, at) c
   order by b.name;
end
$$;
comment on function matrice.budget_status is
  'Returns the budgets of a project in their current periods. period_start, period_end: null for all time. reserved_usd: '
  'reserved by calls that run now. unpriced_steps: how many steps have a cost that nobody knows, and that spent_usd does not '
  'have. fraction: spent_usd / limit_usd. state: ok, warning (the lowest threshold is reached) or exhausted (the limit is '
  'reached). forecast_usd: what will have been spent when the period ends, if spending goes on as it has since the first call. '
  'exhausted_at: when the limit will be reached then; null if it is not reached in this period, or is reached already.';
