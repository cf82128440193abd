-- Sums of steps and runs that were purged: they travel, so that an imported project has cost what the exported one has.

create or replace function matrice_private.purged_sums(project_id uuid) returns setof matrice_private.metric_facts
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select f.* from matrice_private.metric_facts f
     where f.project_id = purged_sums.project_id
       and (purged_sums.project_id = any (matrice_private.project_ids('viewer')) or matrice_private.has_no_quota());
end
$$;
comment on function matrice_private.purged_sums is
  'Returns what was counted of purged steps and runs of a project that the caller can see. SECURITY DEFINER: no client may read '
  'the table.';

create or replace function matrice_private.purged_calls(project_id uuid) returns setof matrice_private.metric_runs
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select m.* from matrice_private.metric_runs m
     where m.project_id = purged_calls.project_id and m.is_kept
       -- Of a run that was deleted, it stays until the sums are added up.
       and exists (select from matrice.workflow_runs r where r.id = m.run_id and r.project_id = m.project_id)
       and (purged_calls.project_id = any (matrice_private.project_ids('viewer')) or matrice_private.has_no_quota());
end
$$;
comment on function matrice_private.purged_calls is
  'Returns which runs of a project that the caller can see called models in steps that were purged. SECURITY DEFINER: no client '
  'may read the table.';

create or replace function matrice_private.is_purged_sum(given jsonb) returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  f matrice_private.metric_facts := jsonb_populate_record(null::matrice_private.metric_facts, given);
begin
  return f.at = matrice_private.quarter(f.at) and f.at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z' and f.id > 0
         and octet_length(concat(f.workflow_id, f.phase, f.user_id, f.model, f.step_name, f.status)) <= 1500
         and least(f.runs, f.succeeded, f.failed, f.running, f.cancelled, f.steps, f.failed_steps, f.skipped_steps,
                   f.retried_steps, f.priced_steps, f.unpriced_steps) >= 0
         and greatest(f.runs, f.succeeded, f.failed, f.running, f.cancelled, f.steps, f.failed_steps, f.skipped_steps,
                      f.retried_steps, f.priced_steps, f.unpriced_steps) <= 1000000000000
         -- A correction can take away what another quarter of an hour has.
         and least(f.tokens_input, f.tokens_output, f.cached_tokens, f.cost_usd) >= -1000000000000000
         and greatest(f.tokens_input, f.tokens_output, f.cached_tokens, f.cost_usd) <= 1000000000000000
         and greatest(scale(f.tokens_input), scale(f.tokens_output), scale(f.cached_tokens), scale(f.cost_usd)) <= 100
         and (f.latencies is null or octet_length(f.latencies) <= 65536
              -- What it does not write itself is damaged.
              and matrice._merge_latencies(array[f.latencies]) = f.latencies);
end
$$;
comment on function matrice_private.is_purged_sum is
  'Returns whether a row of an import can be a sum of steps or runs that were purged.';

create or replace function matrice_private.count_purged_sums(project_id uuid, rows jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  kinds text[] := matrice_private.kinds_of_metrics();
begin
  -- Here and not by counting everything again at the end: the last batch of a large project would take too long.
  perform matrice_private.add_cells(array(
    select c
      from matrice_private.cells_of(array(
             select f from jsonb_to_recordset(rows) r (at timestamptz, id bigint)
               join matrice_private.metric_facts f
                 on f.project_id = count_purged_sums.project_id and f.at = r.at and f.id = r.id), kinds) c));
end
$$;
comment on function matrice_private.count_purged_sums is
  'Adds sums of purged steps and runs, which an import has just stored, to those that workflow_metrics reads.';

create or replace function matrice_private.note_purged_calls(project_id uuid, rows jsonb, has_new_ids boolean) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The run may have been counted already, without these models.
  insert into matrice_private.metric_changes (project_id, run_id)
  select distinct note_purged_calls.project_id,
         case when has_new_ids then matrice_private.renewed_id(note_purged_calls.project_id, r.run_id) else r.run_id end
    from jsonb_to_recordset(rows) r (run_id uuid);
end
$$;
comment on function matrice_private.note_purged_calls is
  'Lets runs be counted for models that they called in purged steps, which an import has just stored.';
