-- How reservations end: by the cost of their call, or without one.

create or replace function matrice_private.require_reservation(reservation_id uuid, is_there boolean) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not is_there then
    raise exception 'reservation not found'
      using errcode = 'PT404', detail = format('There is no reservation %s that you can see.', reservation_id),
            hint = 'It may have been settled or released already.';
  end if;
end
$$;
comment on function matrice_private.require_reservation is 'Raises unless a reservation is there.';

create or replace function matrice_private.settle(reservation_id uuid, cost_usd numeric) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  hold    matrice_private.budget_holds;
  budgets uuid[];
  periods timestamptz[];
begin
  perform matrice_private.hold_budgets(array[h.project_id]) from matrice_private.budget_holds h where h.id = reservation_id;
  delete from matrice_private.budget_holds h where h.id = reservation_id returning * into hold;
  perform matrice_private.require_reservation(reservation_id, hold.id is not null);
  with spent as (
    insert into matrice_private.budget_spending (budget_id, period_start, spent_usd, first_at, is_of_steps)
    select b.id, matrice_private.period_start(b.period, b.time_zone, s.at), settle.cost_usd, s.at, false
      from matrice.budgets b, (select coalesce(hold.spent_at, clock_timestamp()) as at) s
     where b.project_id = hold.project_id
       and (b.phase is null or b.phase = hold.phase) and (b.user_key is null or b.user_key = hold.user_key)
       and matrice_private.is_model_of_budget(b.model, hold.model, null)
    returning budget_id, period_start
  )
  select array_agg(s.budget_id), array_agg(s.period_start) into budgets, periods from spent s;
  perform matrice_private.reach_thresholds(budgets, periods);
  perform matrice_private.merge_spending(budgets, periods);
end
$$;
comment on function matrice_private.settle is
  'Replaces a reservation by what the call has cost. It does not check the caller: it is for services and settle_member. '
  'SECURITY DEFINER: no client may read or write reservations.';

create or replace function matrice_private.release(reservation_id uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- What a step without a known cost has left stays: that money is spent.
  delete from matrice_private.budget_holds h where h.id = reservation_id and h.spent_at is null;
  return found;
end
$$;
comment on function matrice_private.release is
  'Ends a reservation. It does not check the caller: it is for services and release_member. SECURITY DEFINER: no client may '
  'read or write reservations.';

create or replace function matrice_private.is_reservation_of_member(reservation_id uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from matrice_private.budget_holds h
     where h.id = reservation_id and h.project_id = any (matrice_private.project_ids('editor')));
end
$$;
comment on function matrice_private.is_reservation_of_member is
  'Returns whether a reservation is of a project that the caller may edit. SECURITY DEFINER: no client may read reservations.';

create or replace function matrice_private.settle_member(reservation_id uuid, cost_usd numeric) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('cost_usd', cost_usd);
  perform matrice_private.require_dollars('cost_usd', cost_usd);
  -- A reservation of others is refused like one that does not exist.
  perform matrice_private.require_reservation(reservation_id, matrice_private.is_reservation_of_member(reservation_id));
  perform matrice_private.settle(reservation_id, cost_usd);
end
$$;
comment on function matrice_private.settle_member is
  'Does what settle does, for editors of the project. SECURITY DEFINER: no client may read or write reservations.';

create or replace function matrice_private.release_member(reservation_id uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.is_reservation_of_member(reservation_id) and matrice_private.release(reservation_id);
end
$$;
comment on function matrice_private.release_member is
  'Does what release does, for editors of the project. SECURITY DEFINER: no client may read or write reservations.';

create or replace function matrice.settle_budget(reservation_id uuid, cost_usd numeric) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('reservation_id', reservation_id);
  perform matrice_private.require_given('cost_usd', cost_usd);
  perform matrice_private.require_dollars('cost_usd', cost_usd);
  if row_security_active('matrice.budgets') then
    perform matrice_private.settle_member(reservation_id, cost_usd);
  else
    perform matrice_private.settle(reservation_id, cost_usd);
  end if;
end
$$;
comment on function matrice.settle_budget is
  'Replaces a reservation by what the call has cost, for calls that are not recorded as steps. A step that is recorded with '
  'the reservation_id does this by itself. Up to a day after the reservation has expired, it still works. Raises PT404 if '
  'there is no such reservation, or if it was settled.';

create or replace function matrice.release_budget(reservation_id uuid) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('reservation_id', reservation_id);
  if row_security_active('matrice.budgets') then
    return matrice_private.release_member(reservation_id);
  end if;
  return matrice_private.release(reservation_id);
end
$$;
comment on function matrice.release_budget is
  'Ends a reservation of a call that was not made. Returns false if there is none: it was settled or released already.';
