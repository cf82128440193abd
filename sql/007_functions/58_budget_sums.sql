-- What is spent and reserved of budgets. 014_budgets.sql says why it is added up later.

create or replace function matrice_private.period_start(period text, time_zone text, at timestamptz) returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select case when period = 'total' then '-infinity' else date_trunc(period, at, time_zone) end;
end;
comment on function matrice_private.period_start is
  'Returns when the period of a budget begins that a time is in. -infinity for the total of all time.';

create or replace function matrice_private.period_end(period text, time_zone text, begins timestamptz) returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- By the clock on the wall: a day may have 23 or 25 hours, and it may begin at 01:00.
  select case when period = 'total' then 'infinity'
              else (date_trunc(period, begins at time zone time_zone) + ('1 ' || period)::interval) at time zone time_zone end;
end;
comment on function matrice_private.period_end is
  'Returns when the next period of a budget begins. infinity for the total of all time.';

create or replace function matrice_private.is_model_of_budget(budget_model text, model text, provider text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  wanted text;
  called text;
begin
  if budget_model is null or budget_model = model then
    return true;
  end if;
  wanted := matrice_private.priced_model(budget_model);
  called := matrice_private.priced_model(model, nullif(btrim(provider), ''));
  -- An API often answers with the date of the snapshot.
  return coalesce(wanted in (called, matrice_private.undated_name(called))
                  or matrice_private.undated_name(model) = budget_model, false);
end
$$;
comment on function matrice_private.is_model_of_budget is
  'Returns whether a call counts for the model of a budget: by its name, by the model that the name means, or as a dated '
  'snapshot of it.';

create or replace function matrice_private.hold_budgets(project_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- An expression: PERFORM would start a query for it.
  if cardinality(project_ids) = 1
     and pg_advisory_xact_lock_shared(hashtext('matrice.budgets'), hashtext(project_ids[1]::text)) is not null then
    return;
  else
    perform pg_advisory_xact_lock_shared(hashtext('matrice.budgets'), hashtext(id::text))
       from (select distinct given as id from unnest(project_ids) given order by 1) given;
  end if;
end
$$;
comment on function matrice_private.hold_budgets is
  'Keeps budgets of these projects from being set until the transaction ends. Whoever spends holds them. So a new budget '
  'counts each step once: it waits for those that do not know it, and later ones do. They do not wait for each other.';

create or replace function matrice_private.reach_thresholds(budget_ids uuid[], period_starts timestamptz[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  reached record;
begin
  -- At other levels, writers of the same moment would fail for what they read here. The next writer finds the threshold.
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  for reached in
    insert into matrice.budget_events (project_id, budget_id, period_start, threshold, limit_usd, spent_usd)
    select b.project_id, b.id, x.period_start, t.threshold, b.limit_usd, s.spent_usd
      from (select distinct * from unnest(budget_ids, period_starts) given (budget_id, period_start)) x
      join matrice.budgets b on b.id = x.budget_id
     cross join lateral (select sum(s.spent_usd) as spent_usd from matrice_private.budget_spending s
                          where s.budget_id = b.id and s.period_start = x.period_start) s
     cross join lateral unnest(b.thresholds) t (threshold)
     where s.spent_usd > 0 and s.spent_usd >= t.threshold * b.limit_usd
       and not exists (select from matrice.budget_events e
                        where e.budget_id = b.id and e.period_start = x.period_start and e.threshold = t.threshold
                          and e.limit_usd = b.limit_usd)
    on conflict on constraint budget_events_pkey do nothing
    returning *
  loop
    -- Ids only: whoever is connected to the database can listen.
    perform pg_notify('matrice_budget', json_build_object('project_id', reached.project_id, 'budget_id', reached.budget_id,
                                                          'threshold', reached.threshold)::text);
  end loop;
end
$$;
comment on function matrice_private.reach_thresholds is
  'Adds rows to budget_events for thresholds that were reached, and notifies. Writers of the same moment do not see each '
  'other: what they reach together, the next one finds.';

create or replace function matrice_private.merge_spending(budget_ids uuid[], period_starts timestamptz[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  given record;
begin
  -- Only in read committed: at other isolation levels, a row that another transaction has merged meanwhile is an error. A UUID
  -- decides, because a session can seed random().
  if current_setting('transaction_isolation') <> 'read committed' or hashtext(gen_random_uuid()::text) & 15 <> 0 then
    return;
  end if;
  for given in select distinct g.budget_id, g.period_start from unnest(budget_ids, period_starts) g (budget_id, period_start) loop
    with merged as (
      delete from matrice_private.budget_spending s
       where s.id in (select one.id from matrice_private.budget_spending one
                       where one.budget_id = given.budget_id and one.period_start = given.period_start
                       limit 1000 for update skip locked)
      returning s.*
    )
    insert into matrice_private.budget_spending (budget_id, period_start, spent_usd, unpriced_steps, first_at, is_of_steps)
    select m.budget_id, m.period_start, sum(m.spent_usd), sum(m.unpriced_steps), min(m.first_at), m.is_of_steps
      from merged m group by m.budget_id, m.period_start, m.is_of_steps;
  end loop;
end
$$;
comment on function matrice_private.merge_spending is
  'Adds up the rows of some budgets and periods, once in sixteen calls. It waits for nobody.';

create or replace function matrice_private.forget_budget() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice_private.budget_spending s where s.budget_id = old.id;
  return null;
end
$$;
comment on function matrice_private.forget_budget is
  'Deletes what was spent of a budget that is deleted. SECURITY DEFINER: no client may write budget_spending.';

create or replace trigger forget_budget after delete on matrice.budgets
for each row execute function matrice_private.forget_budget();
create or replace trigger forget_holds after delete on matrice.projects
for each row execute function matrice_private.forget_rows('budget_holds');

create or replace function matrice_private.budget_figures(project_id uuid, at timestamptz)
returns table (budget_id uuid, period_start timestamptz, period_end timestamptz, spent_usd numeric, reserved_usd numeric,
               unpriced_steps bigint, first_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  -- One statement, so one snapshot: a reservation that is settled meanwhile counts as one or the other.
  return query
  select b.id, p.period_start, matrice_private.period_end(b.period, b.time_zone, p.period_start), s.spent_usd, h.reserved_usd,
         s.unpriced_steps, s.first_at
    from matrice.budgets b
   cross join lateral (select matrice_private.period_start(b.period, b.time_zone, at) as period_start offset 0) p
   cross join lateral (
     select coalesce(sum(s.spent_usd), 0) as spent_usd, coalesce(sum(s.unpriced_steps), 0)::bigint as unpriced_steps,
            min(s.first_at) as first_at
       from matrice_private.budget_spending s where s.budget_id = b.id and s.period_start = p.period_start) s
   cross join lateral (
     select coalesce(sum(h.estimate_usd), 0) as reserved_usd
       from matrice_private.budget_holds h
      where h.project_id = b.project_id
        and case when h.spent_at is null then h.expires_at > at
                 else matrice_private.period_start(b.period, b.time_zone, h.spent_at) = p.period_start end
        and (b.phase is null or b.phase = h.phase) and (b.user_key is null or b.user_key = h.user_key)
        and matrice_private.is_model_of_budget(b.model, h.model, null)) h
   where b.project_id = budget_figures.project_id;
end
$$;
comment on function matrice_private.budget_figures is
  'Returns what is spent and reserved of the budgets of a project in the period of a time. It does not check the caller: it is '
  'for services. SECURITY DEFINER: no client may read these tables.';

create or replace function matrice_private.budget_figures_of_member(project_id uuid, at timestamptz)
returns table (budget_id uuid, period_start timestamptz, period_end timestamptz, spent_usd numeric, reserved_usd numeric,
               unpriced_steps bigint, first_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if project_id = any (matrice_private.project_ids()) then
    return query select f.* from matrice_private.budget_figures(project_id, at) f;
  end if;
end
$$;
comment on function matrice_private.budget_figures_of_member is
  'Does what budget_figures does, in projects of the caller. SECURITY DEFINER: no client may read these tables.';

create or replace function matrice_private.recount_budgets() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  lock table matrice_private.budget_spending in share row exclusive mode;
  -- All rows, because writers can leave some for a budget that is deleted at the same time.
  delete from matrice_private.budget_spending s where not exists (select from matrice.budgets b where b.id = s.budget_id);
  perform matrice_private.recount_budget(b.id) from matrice.budgets b;
end
$$;
comment on function matrice_private.recount_budgets is
  'Counts again what was spent of every budget. For the owner of the tables, after loading rows in a way that the triggers do '
  'not count or count twice: data-only restores and replication.';
