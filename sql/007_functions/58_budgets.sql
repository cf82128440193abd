-- Budgets: how they are set and removed.

create or replace function matrice_private.require_read_committed() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'budgets need the isolation level read committed'
      using errcode = '0A000', detail = 'At other levels, a transaction does not see what others have spent meanwhile.',
            hint = 'Call the function in a transaction of its own.';
  end if;
end
$$;
comment on function matrice_private.require_read_committed is
  'Raises an error at isolation levels at which a budget could be spent twice.';

create or replace function matrice_private.require_dollars(argument text, value numeric) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not value between 0 and 99999999.999999999999 then
    raise exception '% must be from 0 to below 100,000,000', argument
      using errcode = '22023', detail = format('It is %s.', left(value::text, 100)), hint = 'Pass US dollars.';
  end if;
end
$$;
comment on function matrice_private.require_dollars is
  'Raises an error unless an amount fits into its column. Null is allowed.';

create or replace function matrice_private.require_budget(budget jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  zone   text := budget ->> 'time_zone';
  shares numeric[] := array(select jsonb_array_elements_text(budget -> 'thresholds')::numeric);
begin
  perform matrice_private.require_text('name', budget ->> 'name');
  perform matrice_private.require_bytes('name', budget ->> 'name', 200);
  perform matrice_private.require_dollars('limit_usd', (budget ->> 'limit_usd')::numeric);
  perform matrice_private.require_one_of('period', budget ->> 'period', array['day', 'week', 'month', 'year', 'total']);
  perform matrice_private.require_text('time_zone', zone);
  if zone <> 'UTC' and (octet_length(zone) > 100 or not exists (select from pg_timezone_names z where z.name = zone)) then
    raise exception 'unknown time_zone: %', quote_literal(left(zone, 100))
      using errcode = '22023', hint = 'Pass a name such as Europe/Paris. pg_timezone_names lists them.';
  end if;
  if cardinality(shares) > 20 or exists (select from unnest(shares) s where coalesce(not (s > 0 and s <= 10), true)) then
    raise exception 'thresholds must be at most 20 numbers above 0, up to 10'
      using errcode = '22023', detail = format('They are %s.', left(shares::text, 100)), hint = '0.8 is 80 % of the limit.';
  end if;
  if budget ->> 'model' is not null then
    perform matrice_private.require_text('model', budget ->> 'model');
    perform matrice_private.require_bytes('model', budget ->> 'model', 200);
  end if;
  if budget ->> 'phase' is not null then
    perform matrice_private.require_phase('phase', budget ->> 'phase');
  end if;
  if budget ->> 'user_key' is not null then
    perform matrice_private.require_text('user_key', budget ->> 'user_key');
    perform matrice_private.require_bytes('user_key', budget ->> 'user_key', 200);
  end if;
end
$$;
comment on function matrice_private.require_budget is 'Raises an error unless the arguments of set_budget make a budget.';

create or replace function matrice_private.is_budget(budget jsonb) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_budget(budget);
  return true;
end
$$;
comment on function matrice_private.is_budget is 'Returns true. Raises what require_budget raises.';

create or replace function matrice_private.lock_budgets(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(hashtext('matrice.budgets'), hashtext(project_id::text));
end
$$;
comment on function matrice_private.lock_budgets is
  'Waits for those who spend in a project, and lets no others do so until the transaction ends. See hold_budgets.';

create or replace function matrice_private.write_budget(budget jsonb) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  given  matrice.budgets := jsonb_populate_record(null::matrice.budgets, budget);
  before matrice.budgets;
begin
  perform matrice_private.lock_budgets(given.project_id);
  select * into before from matrice.budgets b where b.project_id = given.project_id and b.name = given.name for update;
  given.id := coalesce(before.id, gen_random_uuid());
  if before.id is null then
    if (select count(*) from matrice.budgets b where b.project_id = given.project_id) >= 100 then
      raise exception 'this project has too many budgets'
        using errcode = 'PT402', detail = 'It has 100 budgets; 100 are allowed.', hint = 'Remove one with remove_budget.';
    end if;
    given.created_at := now();
    insert into matrice.budgets select given.*;
  else
    update matrice.budgets b
       set limit_usd = given.limit_usd, period = given.period, time_zone = given.time_zone, is_hard = given.is_hard,
           thresholds = given.thresholds, model = given.model, phase = given.phase, user_key = given.user_key
     where b.id = given.id;
  end if;
  if (given.period, given.time_zone, given.model, given.phase, given.user_key)
     is distinct from (before.period, before.time_zone, before.model, before.phase, before.user_key) then
    perform matrice_private.recount_budget(given.id);
  end if;
  perform matrice_private.reach_thresholds(
    array[given.id], array[matrice_private.period_start(given.period, given.time_zone, clock_timestamp())]);
  return given.id;
end
$$;
comment on function matrice_private.write_budget is
  'Writes a budget and counts what has been spent of it. It does not check the caller: it is for services and '
  'write_budget_as_owner. SECURITY DEFINER: no client may write budgets.';

create or replace function matrice_private.delete_budget(project_id uuid, name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.lock_budgets(project_id);
  delete from matrice.budgets b where b.project_id = delete_budget.project_id and b.name = delete_budget.name;
  if not found then
    raise exception 'budget not found'
      using errcode = 'PT404', detail = format('The project has no budget %s.', quote_literal(left(name, 100))),
            hint = 'budget_status() lists its budgets.';
  end if;
end
$$;
comment on function matrice_private.delete_budget is
  'Deletes a budget. It does not check the caller: it is for services and delete_budget_as_owner. SECURITY DEFINER: no client '
  'may write budgets.';

create or replace function matrice_private.hold_owner(project_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.user_projects m
    where m.project_id = hold_owner.project_id and m.user_id = matrice_private.current_user_id() and m.role = 'owner'
      for share;
  if not found then
    raise exception 'this needs the role owner'
      using errcode = '42501', detail = 'Only owners can set budgets.', hint = 'Ask an owner of the project.';
  end if;
end
$$;
comment on function matrice_private.hold_owner is
  'Raises an error unless the caller owns the project, and keeps it so until the transaction ends. SECURITY DEFINER: for '
  'functions that run as the owner of the tables.';

create or replace function matrice_private.write_budget_as_owner(budget jsonb) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.hold_owner((budget ->> 'project_id')::uuid);
  perform matrice_private.require_budget(budget);
  return matrice_private.write_budget(budget - '{id,created_at}'::text[]);
end
$$;
comment on function matrice_private.write_budget_as_owner is
  'Does what write_budget does, for owners of the project. SECURITY DEFINER: no client may write budgets.';

create or replace function matrice_private.delete_budget_as_owner(project_id uuid, name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.hold_owner(project_id);
  perform matrice_private.delete_budget(project_id, name);
end
$$;
comment on function matrice_private.delete_budget_as_owner is
  'Does what delete_budget does, for owners of the project. SECURITY DEFINER: no client may write budgets.';

create or replace function matrice.set_budget(
  project_id uuid, limit_usd numeric, period text default 'month', time_zone text default 'UTC', hard boolean default true,
  thresholds numeric[] default '{0.8,1}', name text default 'default', model text default null, phase text default null,
  user_key text default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  budget jsonb;
begin
  perform matrice_private.require_given('limit_usd', limit_usd);
  perform matrice_private.require_given('hard', hard);
  perform matrice_private.require_given('thresholds', thresholds);
  perform matrice_private.require_dollars('limit_usd', limit_usd);
  budget := jsonb_build_object(
    'project_id', project_id, 'name', name, 'limit_usd', round(limit_usd, 12), 'period', period, 'time_zone', time_zone,
    'is_hard', hard, 'thresholds', array(select distinct t from unnest(thresholds) t order by t), 'model', model,
    'phase', phase, 'user_key', user_key);
  perform matrice_private.require_budget(budget);
  perform matrice_private.require_role(project_id, 'owner');
  perform matrice_private.require_read_committed();
  perform matrice_private.hold_project(project_id);
  if row_security_active('matrice.budgets') then
    return matrice_private.write_budget_as_owner(budget);
  end if;
  return matrice_private.write_budget(budget);
end
$$;
comment on function matrice.set_budget is
  'Sets how many US dollars a project may spend in a period, or changes that. Returns the id of the budget. What was spent '
  'since the period began counts. Only owners of the project may call it. period: day, week, month or year of the calendar, or '
  'total for all time. time_zone: whose calendar is meant; a name such as Europe/Paris. hard: whether reserve_budget refuses '
  'what goes beyond the limit. thresholds: shares of the limit, such as 0.8. When the spending reaches one, budget_events gets '
  'a row, once a period, and NOTIFY is sent on matrice_budget. name: the budget that is set; a project can have 100. model, '
  'phase, user_key: only these calls count; null means all. The user is the user_key of the run, else the id of the user who '
  'recorded the run. Defaults: period ''month'', time_zone ''UTC'', hard true, thresholds ''{0.8,1}'', name ''default'', model '
  'null, phase null, user_key null.';

create or replace function matrice.remove_budget(project_id uuid, name text default 'default') returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_text('name', name);
  perform matrice_private.require_bytes('name', name, 200);
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.budgets') then
    perform matrice_private.delete_budget_as_owner(project_id, name);
  else
    perform matrice_private.delete_budget(project_id, name);
  end if;
end
$$;
comment on function matrice.remove_budget is
  'Removes a budget, and its events. Only owners of the project may call it. Raises PT404 if there is no such budget. '
  'Defaults: name ''default''.';
