-- Sums of runs and steps: how steps are added up, and how writers note those that they have recorded. Many are added up at once.

create or replace function matrice_private.kinds_of_metrics() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['total', 'workflow', 'phase', 'user', 'model', 'step', 'all', 'runs', 'calls'];
end;
comment on function matrice_private.kinds_of_metrics is 'Returns what sums are kept of. cells_of says what the words mean.';

create or replace function matrice_private.may_add_up(project_id uuid) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- One at a time for each project. Nobody waits: whoever comes meanwhile leaves it to the next one. At other isolation levels, a
  -- row that another transaction has written meanwhile is an error.
  return current_setting('transaction_isolation') = 'read committed'
     and pg_try_advisory_xact_lock(hashtext('matrice.metrics'), hashtext(project_id::text));
end
$$;
comment on function matrice_private.may_add_up is
  'Returns whether this transaction may change the sums of a project. If so, no other one may until it ends.';

do $$
declare
  -- What steps mean for the metrics.
  facts text := $sql$
    select s.project_id, null::bigint, null::uuid, null::boolean, s.at, r.workflow_id, r.phase,
           coalesce(r.user_key, r.created_by::text), nullif(s.model, ''), s.step_name, s.status,
           0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
           count(*) filter (where s.corrects is null),
           count(*) filter (where s.corrects is null and s.status = 'failed'),
           count(*) filter (where s.corrects is null and s.status = 'skipped'),
           count(*) filter (where s.corrects is null and s.attempt > 0),
           count(s.cost_usd),
           count(*) filter (where case when s.cost_usd is null
                                       then matrice_private.is_unpriced(s.cost_usd, s.cost_source, s.status, s.model,
                                                                        s.tokens_input + s.tokens_output) end
                              and not exists (select from matrice.workflow_steps o
                                               where o.corrects = s.id and o.cost_usd is not null)),
           sum(s.tokens_input), sum(s.tokens_output), sum(s.cached_tokens), coalesce(sum(s.cost_usd), 0),
           matrice._sketch_latencies(array_agg(s.latency_ms::double precision) filter (where s.latency_ms is not null
                                                                                        and s.status <> 'skipped'))
      from (%s) s
     %s
     where s.status <> 'running'
     group by s.project_id, s.at, r.workflow_id, r.phase, coalesce(r.user_key, r.created_by::text), nullif(s.model, ''),
              s.step_name, s.status
  $sql$;
begin
  execute format($function$
    create or replace function matrice_private.sum_of_steps(project_id uuid, step_ids uuid[], quarters timestamptz[])
    returns setof matrice_private.metric_facts
    language sql stable
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off set enable_bitmapscan = off set jit = off
    as $body$
      %s
    $body$
    $function$,
    format(facts, $sql$
      select s.*, date_bin('15 minutes', s.executed_at, '2000-01-01 00:00Z') as at
        from unnest(step_ids) i (id)
       cross join lateral (select s.* from matrice.workflow_steps s where s.id = i.id offset 0) s
       -- A step may have moved into one of the quarters since it was noted.
       where date_bin('15 minutes', s.executed_at, '2000-01-01 00:00Z') <> all (quarters)
      union all
      select s.*, q.at
        from unnest(quarters) q (at)
       cross join lateral (
         select s.* from matrice.workflow_steps s
          where s.project_id = sum_of_steps.project_id and s.executed_at >= q.at and s.executed_at < q.at + interval '15 minutes'
         offset 0) s
      $sql$, $sql$
      cross join lateral (
        select r.workflow_id, r.phase, r.user_key, r.created_by from matrice.workflow_runs r where r.id = s.run_id offset 0) r
      $sql$));
  execute format($function$
    create or replace function matrice_private.note_steps() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp set jit = off
    as $body$
    declare
      -- From here on, it is faster to add up the steps at once than to note each of them.
      many     constant bigint := 500;
      -- All that they mean must fit into an array.
      most     constant bigint := 50000;
      noted    bigint;
      is_many  boolean;
      given    uuid;
      is_added boolean;
    begin
      -- Steps that run do not count. A correction may tell the cost of a step that had none, so its quarter is counted again.
      insert into matrice_private.metric_changes (project_id, at, step_id, run_id)
      select a.project_id, date_bin('15 minutes', a.executed_at, '2000-01-01 00:00Z'),
             case when a.cost_source = 'correction' then null else a.id end,
             case when a.cost_source = 'correction' then a.run_id end
        from added a
       where a.status <> 'running' and (select count(*) from added) not between many and most;
      get diagnostics noted = row_count;
      -- Apart, because PL/pgSQL starts a query for a condition with a subquery.
      if noted = 0 then
        is_many := (select count(*) from added) between many and most;
      end if;
      if is_many then
        noted := many;
        for given in select distinct a.project_id from added a order by 1 loop
          -- Before the runs are read: if one of them changes meanwhile, whoever counts it again must wait for this transaction.
          is_added := matrice_private.may_add_up(given);
          if is_added then
            perform matrice_private.add_cells(array(
              select c from matrice_private.cells_of(array(
                select f::matrice_private.metric_facts from (%s) f), matrice_private.kinds_of_metrics()) c));
            -- One step of each run and model says that the run called the model.
            insert into matrice_private.metric_changes (project_id, step_id)
            select given, (array_agg(a.id))[1]
              from added a
             where a.project_id = given and a.status <> 'running' and a.cost_source is distinct from 'correction'
             group by a.run_id, a.model;
          end if;
          insert into matrice_private.metric_changes (project_id, at, step_id, run_id)
          select given, date_bin('15 minutes', a.executed_at, '2000-01-01 00:00Z'),
                 case when a.cost_source = 'correction' then null else a.id end,
                 case when a.cost_source = 'correction' then a.run_id end
            from added a
           where a.project_id = given and a.status <> 'running' and (a.cost_source = 'correction' or not is_added);
        end loop;
      end if;
      -- One statement in 256 adds up, more of those that write much. A UUID decides, because a session can seed random().
      if hashtext(gen_random_uuid()::text) & 255 < noted then
        perform matrice_private.merge_waiting(array(select distinct a.project_id from added a));
      end if;
      return null;
    end
    $body$
    $function$,
    format(facts, $sql$
      select a.id, a.project_id, a.run_id, a.model, a.step_name, a.status, a.attempt, a.cost_usd, a.cost_source, a.latency_ms,
             a.tokens_input, a.tokens_output, a.cached_tokens, null::uuid as corrects,
             date_bin('15 minutes', a.executed_at, '2000-01-01 00:00Z') as at
        from added a
       where a.project_id = given and a.cost_source is distinct from 'correction'
      $sql$, $sql$
      join (
        select r.*
          from (select distinct a.run_id as id from added a where a.project_id = given) i
         cross join lateral (
           select r.id, r.workflow_id, r.phase, r.user_key, r.created_by
             from matrice.workflow_runs r where r.id = i.id offset 0) r
      ) r on r.id = s.run_id
      $sql$));
end
$$;
comment on function matrice_private.sum_of_steps is
  'Returns the sums of some steps, and of all steps of some quarters of an hour.';
comment on function matrice_private.note_steps is
  'Adds the steps that a statement recorded to metric_changes; many steps to metrics, at once. SECURITY DEFINER: no client may '
  'write these tables.';

create or replace trigger note_added after insert on matrice.workflow_steps referencing new table as added
for each statement execute function matrice_private.note_steps();
