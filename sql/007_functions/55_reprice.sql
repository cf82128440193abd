-- Pricing again: what had no price when it was recorded, and what would cost something else today.

create or replace function matrice_private.reprice_steps(project_id uuid, since timestamptz)
returns table (
  step_id uuid, run_id uuid, executed_at timestamptz, model text, cost_before numeric, cost_now numeric, is_filled boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  has_own boolean := exists (select from matrice.project_prices p where p.project_id = reprice_steps.project_id);
begin
  -- A cost that was recorded is never changed: it has been reported, and perhaps billed.
  return query
  with priced as materialized (
    select s.id, s.run_id, s.executed_at, s.model, s.cost_usd as before,
           -- In the list of columns: a function in FROM writes a table for every step.
           coalesce(
             case when not has_own then
                    (matrice_private.plain_price(s.model, s.usage, nullif(s.tokens_input, 0), nullif(s.tokens_output, 0),
                                                 s.executed_at))[1] end,
             (matrice_private.cost_of_reading(
                s.project_id, s.model,
                matrice_private.reading_of_step(s.usage, s.tokens_input, s.tokens_output, null, null, null),
                s.executed_at)).cost_usd) as cost
      from matrice.workflow_steps s
     where s.project_id = reprice_steps.project_id and s.executed_at >= since and s.model is not null
       and s.status <> 'running' and s.corrects is null and (s.cost_usd is null or s.cost_source = 'calculated')
       -- Somebody has said what it cost.
       and not exists (select from matrice.workflow_steps o where o.corrects = s.id)
  ), steps as materialized (
    select p.*, matrice_private.cost_of_column(p.cost) as now from priced p
  ), filled as (
    update matrice.workflow_steps s
       set cost_usd = c.now, cost_source = 'calculated'
      from steps c
     where s.id = c.id and s.project_id = reprice_steps.project_id and s.cost_usd is null and c.before is null
       and c.now is not null
    returning s.id
  )
  -- IN, and no join: the planner expects few steps, and would compare each with each.
  select c.id, c.run_id, c.executed_at, c.model, c.before, c.now, c.id in (select f.id from filled f)
    from steps c
   where c.now is distinct from c.before
   order by c.executed_at, c.id;
end
$$;
comment on function matrice_private.reprice_steps is
  'Does what reprice does. Checks no roles: for services and reprice_of_member.';

create or replace function matrice_private.reprice_of_member(project_id uuid, since timestamptz)
returns table (
  step_id uuid, run_id uuid, executed_at timestamptz, model text, cost_before numeric, cost_now numeric, is_filled boolean
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id = any (matrice_private.project_ids('editor')) then
    return query select * from matrice_private.reprice_steps(project_id, since);
  end if;
end
$$;
comment on function matrice_private.reprice_of_member is
  'Calls reprice_steps for a project that the caller may edit. SECURITY DEFINER: no client may change steps. Only unknown costs '
  'change, and only into the calculated ones.';

create or replace function matrice.reprice(project_id uuid, since timestamptz)
returns table (
  step_id uuid, run_id uuid, executed_at timestamptz, model text, cost_before numeric, cost_now numeric, is_filled boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('since', since);
  perform matrice_private.require_time('since', since);
  perform matrice_private.require_role(project_id, 'editor');
  if row_security_active('matrice.workflow_steps') then
    return query select * from matrice_private.reprice_of_member(project_id, since);
  else
    return query select * from matrice_private.reprice_steps(project_id, since);
  end if;
  -- Whoever has just set a price would wonder: it holds from now on, unless it says otherwise.
  if exists (
    select from matrice.workflow_steps s
     where s.project_id = reprice.project_id and s.executed_at >= since and s.cost_usd is null and s.model is not null
       and s.status <> 'running' and s.corrects is null
  ) then
    raise notice 'some of these steps have no cost still'
      using detail = 'Their cost_note says why.',
            hint = 'A price counts for steps after its valid_from. Pass it to set_price if it held before.';
  end if;
end
$$;
comment on function matrice.reprice is
  'Prices the steps of a project again, with the prices of the time at which they were executed. A step that had no cost '
  'gets the one that is known now. A calculated cost that would be another now is returned, but not changed. Returns these '
  'two kinds of steps: cost_before and cost_now, and in is_filled whether the step got its cost now. Costs that the caller '
  'provided are left alone. since: the steps that were executed from this time on. Needs the role editor. A notice says if some '
  'steps have no cost still.';
