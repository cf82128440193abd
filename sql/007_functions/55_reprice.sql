-- Pricing again: what had no price when it was recorded, and what would cost something else today.

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
  -- A cost that was recorded is never changed: it has been reported, and perhaps billed.
  return query
  with steps as (
    select s.id, s.cost_usd as before, round(c.cost_usd, 12) as now
      from matrice.workflow_steps s
     cross join lateral matrice_private.cost_of_reading(
             s.project_id, s.model,
             matrice_private.reading_of_step(s.usage, s.tokens_input, s.tokens_output, null, null, null), s.executed_at) c
     where s.project_id = reprice.project_id and s.executed_at >= since and s.model is not null
       and (s.cost_usd is null or s.cost_source = 'calculated')
  ), filled as (
    update matrice.workflow_steps s
       set cost_usd = c.now, cost_source = 'calculated'
      from steps c
     where s.id = c.id and s.project_id = reprice.project_id and c.before is null and c.now is not null
    returning s.id
  )
  select s.id, s.run_id, s.executed_at, s.model, c.before, c.now, f.id is not null
    from steps c
    join matrice.workflow_steps s on s.id = c.id
    left join filled f on f.id = c.id
   where c.now is distinct from c.before
   order by s.executed_at, s.id;
end
$$;
comment on function matrice.reprice is
  'Prices the steps of a project again, with the prices of the time at which they were executed. A step that had no cost '
  'gets the one that is known now. A calculated cost that would be another now is returned, but not changed. Returns these '
  'two kinds of steps: cost_before and cost_now, and in is_filled whether the step got its cost now. Costs that the caller '
  'provided are left alone. since: the steps that were executed from this time on. Needs the role editor.';
