-- Corrections of steps: rows of their own.

create or replace function matrice_private.write_correction(
  step_id uuid, reason text, cost_usd numeric, tokens_input integer, tokens_output integer, usage jsonb
) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  step       record;
  before     record;
  reading    jsonb;
  correction uuid;
begin
  select s.* into step from matrice.workflow_steps s where s.id = step_id for update;
  if not found then
    raise exception 'step not found'
      using errcode = 'PT404', detail = format('The step %s was deleted at the same moment.', step_id),
            hint = 'There is nothing left to correct.';
  end if;
  if step.corrects is not null or step.status = 'running' then
    raise exception 'this row cannot be corrected'
      using errcode = 'PT409', detail = case when step.corrects is null then 'The step is still running.'
                                             else format('It is itself a correction of %s.', step.corrects) end,
            hint = case when step.corrects is null then 'Record its end with record_step.' else 'Correct that step again.' end;
  end if;
  select step.cost_usd + coalesce(sum(c.cost_usd), 0) as cost_usd,
         step.tokens_input + coalesce(sum(c.tokens_input), 0) as tokens_input,
         step.tokens_output + coalesce(sum(c.tokens_output), 0) as tokens_output,
         step.cached_tokens + coalesce(sum(c.cached_tokens), 0) as cached_tokens,
         sum(c.cost_usd) as corrected_usd
    into before from matrice.workflow_steps c where c.corrects = step_id;
  if usage is not null or tokens_input is not null or tokens_output is not null then
    reading := matrice_private.reading_of_step(
      coalesce(usage, step.usage), coalesce(tokens_input, case when usage is null then step.tokens_input end, 0),
      coalesce(tokens_output, case when usage is null then step.tokens_output end, 0), null, null, null);
    tokens_input := coalesce((reading ->> 'tokens_input')::integer, tokens_input);
    tokens_output := coalesce((reading ->> 'tokens_output')::integer, tokens_output);
    if cost_usd is null then
      select matrice_private.cost_of_column(c.cost_usd) into cost_usd
        from matrice_private.cost_of_reading(step.project_id, step.model, reading, step.executed_at) c;
    end if;
  end if;
  insert into matrice.workflow_steps (
    run_id, project_id, step_name, status, model, executed_at, attempt, corrects, reason, usage, cost_source,
    cost_usd, tokens_input, tokens_output, cached_tokens)
  values (
    step.run_id, step.project_id, step.step_name, step.status, step.model, step.executed_at, step.attempt, step_id,
    write_correction.reason, coalesce(reading -> 'usage', '{}'), 'correction',
    cost_usd - coalesce(before.cost_usd, before.corrected_usd, 0), coalesce(tokens_input - before.tokens_input, 0),
    coalesce(tokens_output - before.tokens_output, 0),
    coalesce(matrice_private.cached_tokens(reading, coalesce(tokens_input, before.tokens_input)::integer)
             - before.cached_tokens, 0))
  returning id into correction;
  return correction;
end
$$;
comment on function matrice_private.write_correction is
  'Adds the row that makes the sums of a step and its corrections right. SECURITY DEFINER: no client may write corrections, '
  'which may be negative. Checks no roles: for services and write_correction_of_member.';

create or replace function matrice_private.write_correction_of_member(
  step_id uuid, reason text, cost_usd numeric, tokens_input integer, tokens_output integer, usage jsonb
) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from matrice.workflow_steps s
                  where s.id = step_id and s.project_id = any (matrice_private.project_ids('editor'))) then
    raise exception 'step not found'
      using errcode = 'PT404', detail = format('There is no step %s that you may correct.', step_id);
  end if;
  return matrice_private.write_correction(step_id, reason, cost_usd, tokens_input, tokens_output, usage);
end
$$;
comment on function matrice_private.write_correction_of_member is
  'Calls write_correction for a step of a project that the caller may edit. SECURITY DEFINER: no client may write corrections.';

create or replace function matrice.correct_step(
  step_id uuid, reason text, cost_usd numeric default null, tokens_input integer default null,
  tokens_output integer default null, usage jsonb default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('step_id', step_id), matrice_private.require_text('reason', reason),
          matrice_private.require_bytes('reason', reason, 2000),
          matrice_private.require_step('x', 'success', null, null, tokens_input, tokens_output, null, null, 0,
                                       cost_usd, now(), null);
  if usage is not null then
    perform matrice_private.require_usage(usage);
  end if;
  if num_nonnulls(cost_usd, tokens_input, tokens_output, usage) = 0 then
    raise exception 'a correction needs the right cost, tokens or usage'
      using errcode = '22023', hint = 'Pass cost_usd, tokens_input, tokens_output or usage.';
  end if;
  select s.project_id into owner_project from matrice.workflow_steps s where s.id = step_id;
  if not found then
    raise exception 'step not found'
      using errcode = 'PT404', detail = format('There is no step %s that you can see.', step_id),
            hint = 'Pass the id that record_step returned.';
  end if;
  perform matrice_private.require_role(owner_project, 'editor');
  if row_security_active('matrice.workflow_steps') then
    return matrice_private.write_correction_of_member(step_id, reason, cost_usd, tokens_input, tokens_output, usage);
  end if;
  return matrice_private.write_correction(step_id, reason, cost_usd, tokens_input, tokens_output, usage);
end
$$;
comment on function matrice.correct_step is
  'Corrects what a step cost or used. The step itself stays as it is: a row is added whose cost and tokens, together with those '
  'of the step, give the right ones. Returns the id of that row. Needs the role editor. reason: why. cost_usd, tokens_input, '
  'tokens_output: the right values. usage: what the API really reported. If cost_usd is null and the tokens or the usage change, '
  'the cost is calculated at the prices of the time of the step. Defaults: all but step_id and reason null.';

create or replace function matrice_private.move_corrections() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update matrice.workflow_steps s set executed_at = new.executed_at where s.corrects = new.id;
  return null;
end
$$;
comment on function matrice_private.move_corrections is
  'Moves the corrections of a step with it: together they are one call, in metrics, in budgets and when steps are purged.';

-- A running step, whose end moves it, has no corrections.
create or replace trigger move_corrections after update of executed_at on matrice.workflow_steps
for each row when (old.executed_at <> new.executed_at and old.status <> 'running' and new.corrects is null)
execute function matrice_private.move_corrections();
