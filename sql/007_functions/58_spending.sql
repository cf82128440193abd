-- How the cost of steps gets into the sums of budgets: triggers on workflow_steps. 58_budget_sums.sql merges what they add.

do $$
declare
  -- What steps, of which times says how often they count, mean for the budgets. A step counts for what it is, and for what was
  -- reserved for it.
  spending text := $sql$
    insert into matrice_private.budget_spending (budget_id, period_start, spent_usd, unpriced_steps, first_at)
    select b.id, p.period_start, sum(s.times * coalesce(s.cost_usd, 0)),
           sum(s.times * u.is_unpriced),
           min(s.executed_at)
      from (%s) s
     cross join lateral (select matrice_private.is_unpriced(s.cost_usd, s.cost_source, s.status, s.model,
                                                            s.tokens_input + s.tokens_output)::integer as is_unpriced) u
     cross join lateral (select r.phase, coalesce(r.user_key, r.created_by::text) as user_key
                           from matrice.workflow_runs r where r.id = s.run_id offset 0) r
      left join lateral (select h.model, h.phase, h.user_key from matrice_private.budget_holds h
                          where h.id = s.reservation_id and h.project_id = s.project_id
                            and coalesce(h.run_id, s.run_id) = s.run_id offset 0) h on true
      join matrice.budgets b on b.project_id = s.project_id
     cross join lateral (select matrice_private.period_start(b.period, b.time_zone, s.executed_at) as period_start offset 0) p
     where (b.phase is null or b.phase in (r.phase, h.phase))
       and (b.user_key is null or b.user_key in (r.user_key, h.user_key))
       and (b.model is null or b.model = h.model
            or matrice_private.is_model_of_budget(b.model, s.model, s.usage ->> 'provider'))
       %s
     group by b.id, p.period_start
    having sum(s.times * coalesce(s.cost_usd, 0)) <> 0
        or sum(s.times * u.is_unpriced) <> 0
    returning budget_id, period_start
  $sql$;
begin
  execute format($function$
    create or replace function matrice_private.spend_on_budgets() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $body$
    declare
      projects    uuid[];
      budgets     uuid[];
      periods     timestamptz[];
      is_reserved boolean;
      is_told     boolean;
    begin
      select array_agg(distinct a.project_id), bool_or(a.reservation_id is not null),
             bool_or(a.cost_source = 'correction' and a.cost_usd is not null)
        into projects, is_reserved, is_told from added a;
      if projects is null then
        return null;
      end if;
      -- The foreign key holds the runs of new steps. See move_spending.
      if tg_op = 'UPDATE' then
        -- Apart, because PL/pgSQL starts a query for a condition with a subquery.
        if exists (select from matrice.budgets b
                    where b.project_id = any (projects) and num_nonnulls(b.phase, b.user_key) > 0) then
          perform from matrice.workflow_runs r where r.id in (select a.run_id from added a) order by r.id for key share;
        end if;
      end if;
      -- An expression: PERFORM would start a query for it.
      if matrice_private.hold_budgets(projects) is null then
        null;
      end if;
      if exists (select from matrice.budgets b where b.project_id = any (projects)) then
        if tg_op = 'INSERT' then
          with spent as (%s)
          select array_agg(s.budget_id), array_agg(s.period_start) into budgets, periods from spent s;
        else
          with spent as (%s)
          select array_agg(s.budget_id), array_agg(s.period_start) into budgets, periods from spent s;
        end if;
      end if;
      if is_reserved then
        update matrice_private.budget_holds h
           set run_id = a.run_id
          from added a
         where h.id = a.reservation_id and h.project_id = a.project_id and h.run_id is null;
        update matrice_private.budget_holds h
           set spent_at = a.executed_at
          from added a
         where h.id = a.reservation_id and h.project_id = a.project_id and h.run_id = a.run_id
           and matrice_private.is_unpriced(a.cost_usd, a.cost_source, a.status, a.model, a.tokens_input + a.tokens_output);
        delete from matrice_private.budget_holds h
         using added a
         where h.id = a.reservation_id and h.project_id = a.project_id and h.run_id = a.run_id and a.status <> 'running'
           and not matrice_private.is_unpriced(a.cost_usd, a.cost_source, a.status, a.model, a.tokens_input + a.tokens_output);
      end if;
      if is_told then
        delete from matrice_private.budget_holds h
         using added a, matrice.workflow_steps s
         where a.cost_source = 'correction' and a.cost_usd is not null and s.id = (to_jsonb(a) ->> 'corrects')::uuid
           and h.id = s.reservation_id and h.project_id = s.project_id and h.run_id = s.run_id;
      end if;
      if budgets <> '{}' then
        perform matrice_private.reach_thresholds(budgets, periods);
        perform matrice_private.merge_spending(budgets, periods);
      end if;
      return null;
    end
    $body$
    $function$,
    format(spending, 'select a.*, 1 as times from added a', ''),
    -- No join of added and removed: the plan that the first statement of a session gets is slow for many rows.
    format(spending, $sql$
      select x.*
        from (
          select b.*, count(*) over (partition by b.id, b.cost_usd, b.executed_at, b.model, b.status, b.run_id, b.tokens_input,
                                                  b.tokens_output) = 1 as is_changed
            from (select a.*, 1 as times from added a union all select r.*, -1 from removed r) b
        ) x
       where x.is_changed$sql$, ''));
  execute format($function$
    create or replace function matrice_private.move_spending() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $body$
    declare
      -- No join of added and removed here either, nor below.
      projects uuid[] := array(
        select distinct n.project_id
          from (select a.id, a.project_id, a.phase, a.user_key, a.created_by from added a
                except
                select r.id, r.project_id, r.phase, r.user_key, r.created_by from removed r) n
         where exists (select from matrice.budgets b
                        where b.project_id = n.project_id and num_nonnulls(b.phase, b.user_key) > 0));
      budgets  uuid[];
      periods  timestamptz[];
    begin
      if projects = '{}' then
        return null;
      end if;
      -- Waits for those who write steps of these runs now, and lets others wait: who counted a step by the run of before has
      -- committed when it is moved.
      perform from matrice.workflow_runs r
        where r.id in (select n.id from added n where n.project_id = any (projects)) order by r.id for update;
      perform matrice_private.hold_budgets(projects);
      with moved as (
        select x.*, bool_or(x.times = -1 and x.event_name is null) over (partition by x.id) as is_late_start,
               count(*) over (partition by x.id, x.phase, x.user_key, x.created_by) = 1 as is_moved
          from (select a.id, a.project_id, a.phase, a.user_key, a.created_by, a.event_name, 1 as times from added a
                union all
                select r.id, r.project_id, r.phase, r.user_key, r.created_by, r.event_name, -1 from removed r) x
         where x.project_id = any (projects)
      ), spent as (%s)
      select array_agg(s.budget_id), array_agg(s.period_start) into budgets, periods from spent s;
      if budgets <> '{}' then
        perform matrice_private.reach_thresholds(budgets, periods);
        perform matrice_private.merge_spending(budgets, periods);
      end if;
      return null;
    end
    $body$
    $function$,
    -- When a run starts late, what was reserved for its steps has said whose they are.
    format(replace(spending, 'from matrice.workflow_runs r where r.id = s.run_id',
                   'from (select s.run_phase as phase, s.run_user as user_key, s.run_creator as created_by) r'), $sql$
      select s.*, m.times, m.phase as run_phase, m.user_key as run_user, m.created_by as run_creator
        from moved m join matrice.workflow_steps s on s.project_id = m.project_id and s.run_id = m.id
       where m.is_moved
         and (not m.is_late_start
              or not exists (select from matrice.workflow_steps o
                              where o.id = coalesce(s.corrects, s.id) and o.reservation_id is not null))$sql$, ''));
  execute format($function$
    create or replace function matrice_private.recount_budget(given uuid) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $body$
    declare
      project uuid;
      since   timestamptz;
    begin
      select b.project_id, greatest(matrice_private.period_start(b.period, b.time_zone, now()), '1900-01-01 00:00Z')
        into project, since from matrice.budgets b where b.id = given;
      delete from matrice_private.budget_spending s where s.budget_id = given and s.is_of_steps;
      update matrice_private.budget_spending s
         set period_start = matrice_private.period_start(b.period, b.time_zone, s.first_at)
        from matrice.budgets b
       where s.budget_id = given and b.id = s.budget_id;
      -- What purge_steps deleted is spent, too. One statement, so that a purge of the same moment is seen as a whole.
      with purged as (
        insert into matrice_private.budget_spending (budget_id, period_start, spent_usd, unpriced_steps, first_at)
        select b.id, p.period_start, sum(f.cost_usd), sum(f.unpriced_steps), min(f.at)
          from matrice.budgets b
          join matrice_private.metric_facts f on f.project_id = b.project_id and f.at >= since and f.is_call is null
         cross join lateral (select matrice_private.period_start(b.period, b.time_zone, f.at) as period_start offset 0) p
         where b.id = given and (b.phase is null or b.phase = f.phase) and (b.user_key is null or b.user_key = f.user_id)
           and matrice_private.is_model_of_budget(b.model, f.model, null)
         group by b.id, p.period_start
        having sum(f.cost_usd) <> 0 or sum(f.unpriced_steps) <> 0
      )
      %s;
    end
    $body$
    $function$,
    replace(format(spending, $sql$
      select s.*, 1 as times from matrice.workflow_steps s where s.project_id = project and s.executed_at >= since$sql$,
      'and b.id = given'), 'returning budget_id, period_start', ''));
end
$$;
comment on function matrice_private.spend_on_budgets is
  'Adds what steps cost, or what they cost more or less than before, to the budgets of the time when they were executed. Ends '
  'the reservations of steps that have ended; without a known cost, what was reserved stays. It never refuses a step. Deleting '
  'a step gives nothing back: the money is spent. SECURITY DEFINER: no client may write these tables.';
comment on function matrice_private.move_spending is
  'Moves what the steps of a run cost to other budgets when its phase or its user changes: a run can start after its steps were '
  'recorded. SECURITY DEFINER: no client may write these tables.';
comment on function matrice_private.recount_budget is
  'Counts again what was spent of a budget since its current period began. For whoever has locked the budgets of the project.';

create or replace trigger spend_added after insert on matrice.workflow_steps referencing new table as added
for each statement execute function matrice_private.spend_on_budgets();
create or replace trigger spend_changed after update on matrice.workflow_steps referencing old table as removed new table as added
for each statement execute function matrice_private.spend_on_budgets();
create or replace trigger move_spending after update on matrice.workflow_runs
referencing old table as removed new table as added
for each statement execute function matrice_private.move_spending();
