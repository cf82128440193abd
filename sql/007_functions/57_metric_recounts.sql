-- Sums of runs and steps: how they are counted again, from nothing.

create or replace function matrice_private.count_part(project_id uuid, first timestamptz, last timestamptz) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set work_mem = '64MB'
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  kinds text[] := matrice_private.kinds_of_metrics();
  cells matrice_private.metrics[];
begin
  -- One statement, so that all its parts see the same rows. A step that is counted here and is noted as new, too, would count
  -- twice: its quarter is counted again instead.
  with facts as materialized (
    select f.*
      from matrice_private.sum_of_steps(count_part.project_id, '{}', array(
             select distinct matrice_private.quarter(s.executed_at) from matrice.workflow_steps s
              where s.project_id = count_part.project_id and s.executed_at >= first and s.executed_at < last)) f
    union all
    select f.* from matrice_private.metric_facts f
     where f.project_id = count_part.project_id and f.at >= first and f.at < last
    union all
    select f.*
      from matrice_private.sum_of_runs(count_part.project_id, array(
             select row(r.project_id, 0, r.started_at, null, r.id, false)::matrice_private.metric_changes
               from matrice.workflow_runs r
              where r.project_id = count_part.project_id and r.started_at >= first and r.started_at < last
                -- One that has moved here meanwhile is counted already, and its change is noted.
                and not exists (select from matrice_private.metric_runs m
                                 where m.project_id = r.project_id and m.run_id = r.id and not m.is_call and m.at is not null))) f
  ), kept as (
    insert into matrice_private.metric_runs (project_id, run_id, is_call, model, at, workflow_id, phase, user_id, status)
    select f.project_id, f.run_id, f.is_call, coalesce(f.model, ''), f.at, f.workflow_id, f.phase, f.user_id, f.status
      from facts f where f.run_id is not null
    on conflict on constraint metric_runs_pkey do update
      set at = excluded.at, workflow_id = excluded.workflow_id, phase = excluded.phase, user_id = excluded.user_id,
          status = excluded.status
  ), noted as (
    update matrice_private.metric_changes c
       set step_id = null, run_id = (select s.run_id from matrice.workflow_steps s where s.id = c.step_id)
     where c.project_id = count_part.project_id and c.at >= first and c.at < last and c.step_id is not null
  )
  select array(select c from matrice_private.cells_of(array(select f::matrice_private.metric_facts from facts f), kinds) c)
    into cells;
  perform matrice_private.add_cells(cells);
end
$$;
comment on function matrice_private.count_part is
  'Counts the runs that started, and the steps that were executed, from first on and before last. Both are quarters of an hour. '
  'None of them may be in the sums yet.';

create or replace function matrice_private.end_of_part(project_id uuid, first timestamptz, most integer) returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
  select coalesce(least(
    (select s.executed_at from matrice.workflow_steps s
      where s.project_id = end_of_part.project_id and s.executed_at >= first order by s.executed_at offset most limit 1),
    (select r.started_at from matrice.workflow_runs r
      where r.project_id = end_of_part.project_id and r.started_at >= first order by r.started_at offset most limit 1),
    (select f.at from matrice_private.metric_facts f
      where f.project_id = end_of_part.project_id and f.at >= first order by f.at offset most limit 1)), 'infinity')
$$;
comment on function matrice_private.end_of_part is
  'Returns until when there are at most so many steps, runs and facts, from first on. Infinity: these are the last.';

create or replace function matrice_private.count_again(project_id uuid, most integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  first timestamptz := timestamptz '-infinity';
  last  timestamptz;
  parts integer := 0;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'metrics can only be rebuilt at the isolation level read committed'
      using errcode = '25001', hint = 'Call this in a transaction of its own.';
  end if;
  perform pg_advisory_xact_lock(hashtext('matrice.metrics'), hashtext(project_id::text));
  delete from matrice_private.metrics m where m.project_id = count_again.project_id;
  delete from matrice_private.metric_runs m where m.project_id = count_again.project_id and not m.is_kept;
  update matrice_private.metric_runs m set at = null where m.project_id = count_again.project_id;
  -- In parts, because what is counted is in memory. Whoever commits later adds changes of their own.
  loop
    last := matrice_private.end_of_part(count_again.project_id, first, most);
    if last < 'infinity' then
      last := greatest(matrice_private.quarter(last), first + interval '15 minutes');
    end if;
    perform matrice_private.count_part(count_again.project_id, first, last);
    exit when last = 'infinity';
    first := last;
    parts := parts + 1;
    if parts % 10 = 0 then
      raise notice 'counted until %', last;
    end if;
  end loop;
  -- A run that has moved meanwhile to a part that was counted already is in no sum. It is noted with a quarter, so that the models
  -- that it called are looked for, too.
  insert into matrice_private.metric_changes (project_id, at, run_id)
  select r.project_id, matrice_private.quarter(r.started_at), r.id
    from matrice.workflow_runs r
   where r.project_id = count_again.project_id
     and not exists (select from matrice_private.metric_runs m
                      where m.project_id = r.project_id and m.run_id = r.id and not m.is_call and m.at is not null);
  while matrice_private.merge_metrics(project_id, 100000) loop
    null;
  end loop;
end
$$;
comment on function matrice_private.count_again is
  'Does what rebuild_sums does. most: of how many steps, runs and facts to count at once, unless a quarter of an hour has more. '
  'It tells its progress by notices.';

create or replace function matrice_private.rebuild_sums(project_id uuid) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select matrice_private.count_again(project_id, 20000);
end;
comment on function matrice_private.rebuild_sums is
  'Does what rebuild_metrics does. It does not check the caller: it is for services and rebuild_sums_as_owner. SECURITY '
  'DEFINER: no client may read or write the sums.';
