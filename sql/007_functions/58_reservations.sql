-- Reservations: room in the budgets before a call. 58_settlements.sql ends them.

create or replace function matrice_private.say_dollars(usd numeric) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select '$' || trim_scale(usd);
end;
comment on function matrice_private.say_dollars is 'Returns an amount as messages write it.';

create or replace function matrice_private.say_renewal(period_end timestamptz, time_zone text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select case when period_end = 'infinity' then 'It does not renew.'
              else format('It renews at %s (%s in %s).', to_char(period_end at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                          to_char(period_end at time zone time_zone, 'YYYY-MM-DD HH24:MI'), time_zone) end;
end;
comment on function matrice_private.say_renewal is 'Says when a budget renews, for error messages.';

create or replace function matrice_private.require_budget_room(
  project_id uuid, hold matrice_private.budget_holds, at timestamptz
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  least record;
begin
  -- The budget with the least room decides.
  select b.name, b.limit_usd, b.time_zone, f.spent_usd, f.reserved_usd, f.period_end into least
    from matrice_private.budget_figures(require_budget_room.project_id, at) f
    join matrice.budgets b on b.id = f.budget_id
   where b.is_hard
     and (b.phase is null or b.phase = hold.phase) and (b.user_key is null or b.user_key = hold.user_key)
     and matrice_private.is_model_of_budget(b.model, hold.model, null)
   order by b.limit_usd - f.spent_usd - f.reserved_usd, b.name
   limit 1;
  if least.name is null then
    return;
  elsif hold.estimate_usd is null then
    raise exception 'the budget % needs an estimate of the cost', quote_literal(least.name)
      using errcode = 'PT402',
            detail = concat(case when hold.model is null then 'Neither estimate_usd nor model is given.'
                                 else matrice_private.unpriced_note(hold.model, null) end),
            hint = 'Pass estimate_usd, or set the price of the model with set_price. '
                   'With valid_from in the past, reprice finds it, too.';
  elsif least.spent_usd + least.reserved_usd + hold.estimate_usd > least.limit_usd
        or least.spent_usd >= least.limit_usd and hold.estimate_usd = 0 then
    raise exception 'the budget % has no room', quote_literal(least.name)
      using errcode = 'PT402',
            detail = format('The limit is %s: %s are spent, %s are reserved, and the call needs %s. %s',
              matrice_private.say_dollars(least.limit_usd), matrice_private.say_dollars(least.spent_usd),
              matrice_private.say_dollars(least.reserved_usd), matrice_private.say_dollars(hold.estimate_usd),
              matrice_private.say_renewal(least.period_end, least.time_zone)),
            hint = 'Wait until it renews, or ask an owner of the project to raise it with set_budget.';
  end if;
end
$$;
comment on function matrice_private.require_budget_room is
  'Raises PT402 if a call has no room in a hard budget that it counts for, or if nobody knows what it costs.';

create or replace function matrice_private.admit(
  project_id uuid, estimate_usd numeric, model text, phase text, user_key text, valid_for interval
) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  at   timestamptz;
  hold matrice_private.budget_holds;
begin
  perform matrice_private.hold_budgets(array[admit.project_id]);
  -- One admission at a time in a project. Later statements see what the earlier ones have reserved.
  perform from matrice.budgets b where b.project_id = admit.project_id order by b.id for no key update;
  at := clock_timestamp();
  -- A day later than they end, so that a call that took too long can still be settled.
  delete from matrice_private.budget_holds h
   where h.id in (select e.id from matrice_private.budget_holds e
                   where e.project_id = admit.project_id and e.expires_at < at - interval '1 day'
                     and (e.spent_at is null or e.spent_at < at - interval '400 days')
                   limit 100 for update skip locked);
  if (select count(*) from (select from matrice_private.budget_holds h
                             where h.project_id = admit.project_id and h.expires_at > at limit 10000) h) = 10000 then
    raise exception 'this project has too many reservations'
      using errcode = 'PT402', detail = 'It has 10,000 that have not been settled; 10,000 are allowed.',
            hint = 'Pass the reservation_id when the step is recorded, or call release_budget.';
  end if;
  hold := (gen_random_uuid(), admit.project_id, admit.estimate_usd, admit.model, admit.phase, admit.user_key, at + valid_for,
           null, null);
  perform matrice_private.require_budget_room(admit.project_id, hold, at);
  hold.estimate_usd := coalesce(hold.estimate_usd, 0);
  insert into matrice_private.budget_holds select hold.*;
  return hold.id;
end
$$;
comment on function matrice_private.admit is
  'Reserves room in all budgets that a call counts for, or in none. It does not check the caller: it is for services and '
  'admit_member. SECURITY DEFINER: no client may read or write reservations.';

create or replace function matrice_private.admit_member(
  project_id uuid, estimate_usd numeric, model text, phase text, user_key text, valid_for interval
) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_dollars('estimate_usd', estimate_usd);
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_bytes('user_key', user_key, 200);
  perform matrice_private.require_validity(valid_for);
  perform matrice_private.require_read_committed();
  if coalesce(project_id <> all (matrice_private.project_ids('editor')), true) then
    raise exception 'this needs the role editor' using errcode = '42501', hint = 'Ask an owner of the project.';
  end if;
  return matrice_private.admit(project_id, estimate_usd, model, phase, user_key, valid_for);
end
$$;
comment on function matrice_private.admit_member is
  'Does what admit does, for editors of the project. SECURITY DEFINER: no client may read or write reservations.';

create or replace function matrice_private.require_validity(valid_for interval) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('valid_for', valid_for);
  if not valid_for between interval '1 second' and interval '1 day' then
    raise exception 'valid_for must be from 1 second to 1 day'
      using errcode = '22023', detail = format('It is %s.', left(valid_for::text, 100)),
            hint = 'Choose a time that is longer than the call can take.';
  end if;
end
$$;
comment on function matrice_private.require_validity is 'Raises an error unless a reservation can be valid for this time.';

create or replace function matrice_private.estimated_cost(
  project_id uuid, model text, tokens_input bigint, tokens_output bigint, usage jsonb
) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if least(tokens_input, tokens_output) < 0 or greatest(tokens_input, tokens_output) > 1000000000 then
    raise exception 'tokens must be from 0 to 1000000000'
      using errcode = '22023', detail = format('tokens_input is %s, max_tokens_output is %s.', tokens_input, tokens_output),
            hint = 'Pass the tokens of one call.';
  end if;
  if model is null or tokens_input is null or tokens_output is null and usage = '{}' then
    return null;
  end if;
  return (
    select c.cost_usd
      from matrice_private.cost_of_reading(
             project_id, model, matrice_private.read_usage(usage, tokens_input, tokens_output), clock_timestamp()) c);
end
$$;
comment on function matrice_private.estimated_cost is
  'Returns what a call will cost at most, at the rates of its tier and of its length; null if nobody knows.';

create or replace function matrice.reserve_budget(
  project_id uuid, estimate_usd numeric default null, model text default null, tokens_input bigint default null,
  max_tokens_output bigint default null, usage jsonb default '{}', run_id uuid default null, phase text default null,
  user_key text default null, valid_for interval default '15 minutes'
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  run      jsonb;
  estimate numeric := estimate_usd;
begin
  perform matrice_private.require_dollars('estimate_usd', estimate_usd);
  perform matrice_private.require_key('model', model);
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_usage(usage);
  perform matrice_private.require_key('user_key', user_key);
  perform matrice_private.require_bytes('user_key', user_key, 200);
  if phase is not null then
    perform matrice_private.require_phase('phase', phase);
  end if;
  perform matrice_private.require_validity(valid_for);
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.require_read_committed();
  if run_id is not null then
    select to_jsonb(r) - '{input_data,output_data}'::text[] into run
      from matrice.workflow_runs r where r.id = reserve_budget.run_id and r.project_id = reserve_budget.project_id;
    if run is null then
      raise exception 'run not found'
        using errcode = 'PT404', detail = format('The project has no run %s that you can see.', run_id);
    end if;
  end if;
  phase := coalesce(phase, run ->> 'phase');
  user_key := coalesce(user_key, run ->> 'user_key', run ->> 'created_by', matrice_private.current_user_id()::text);
  -- Usage in which a cost stands is of a call that has ended. Here, only what was asked for matters.
  estimate := coalesce(estimate, matrice_private.estimated_cost(project_id, model, tokens_input, max_tokens_output, usage));
  perform matrice_private.require_dollars('the estimated cost', estimate);
  if row_security_active('matrice.budgets') then
    return matrice_private.admit_member(project_id, estimate, model, phase, user_key, valid_for);
  end if;
  return matrice_private.admit(project_id, estimate, model, phase, user_key, valid_for);
end
$$;
comment on function matrice.reserve_budget is
  'Reserves room in the budgets of a project before a call, and returns the id of the reservation. Raises PT402 if what is '
  'spent, what is reserved and the estimate exceed the limit of a hard budget, or if nobody knows what the call costs; the '
  'error names the budget and when it renews. Pass the id to record_step as reservation_id; the step then counts instead of '
  'the estimate. estimate_usd: what the call will cost at most. Left out, it is calculated from model, tokens_input, '
  'max_tokens_output and usage, which can have service_tier and the other keys of calculate_cost. run_id: phase and user_key '
  'are taken from this run. user_key: if nothing says who it is, it is the caller. valid_for: the reservation ends by itself '
  'after this time, from 1 second to 1 day; choose more than the call can take. Defaults: usage ''{}'', valid_for '
  '''00:15:00''.';
