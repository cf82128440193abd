-- The bounds of the values of a step.
--
-- Most steps are recorded one by one. For each statement, PostgreSQL reads the expression of every check anew, which takes longer
-- than to check one row. So one function checks all bounds. Its error names the constraint that each would be.

create function matrice_private.refuse_row(of_table text, violated text) returns boolean
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'new row for relation "%" violates check constraint "%"', of_table, violated
    using errcode = 'check_violation', schema = 'matrice', table = of_table, constraint = violated,
          detail = 'A value of the row is beyond its bounds. The name of the constraint says which one.';
end
$$;
comment on function matrice_private.refuse_row is
  'Raises the error of a check constraint that is violated. Null if none is: PostgreSQL does not call the function then.';

create function matrice_private.is_bounded_step(
  step_name text, latency_ms integer, tokens_input integer, tokens_output integer, cached_tokens integer, cost_usd numeric,
  provider_cost_usd numeric, cost_source text, cost_note text, error jsonb, executed_at timestamptz, model text, usage jsonb,
  step_key text, attempt integer, call_key text, corrects uuid, reason text
) returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.refuse_row('workflow_steps', case
    when octet_length(step_name) > 200 then 'workflow_steps_step_name_length'
    when latency_ms not between 0 and 1000000000 then 'workflow_steps_latency_ms_check'
    -- Only a correction may take something away.
    when tokens_input > 1000000000 or tokens_input < 0 and (corrects is null or tokens_input < -1000000000)
    then 'workflow_steps_tokens_input_check'
    when tokens_output > 1000000000 or tokens_output < 0 and (corrects is null or tokens_output < -1000000000)
    then 'workflow_steps_tokens_output_check'
    when cached_tokens > 1000000000 or cached_tokens < 0 and (corrects is null or cached_tokens < -1000000000)
    then 'workflow_steps_cached_tokens_check'
    -- The upper bound also refuses NaN, which is greater than every number.
    when cost_usd >= 100000000 or cost_usd < 0 and (corrects is null or cost_usd <= -100000000)
    then 'workflow_steps_cost_usd_check'
    when provider_cost_usd < 0 or provider_cost_usd >= 100000000 then 'workflow_steps_provider_cost_usd_check'
    when octet_length(cost_note) > 4000 then 'workflow_steps_cost_note_length'
    when error is not null and not matrice_private.json_within(error, 65536) then 'workflow_steps_error_size'
    when executed_at not between '1900-01-01 00:00Z' and '2200-01-01 00:00Z' then 'workflow_steps_executed_at_check'
    when octet_length(model) > 200 then 'workflow_steps_model_length'
    when jsonb_typeof(usage) <> 'object' then 'workflow_steps_usage_is_object'
    -- So short a text has no room for 65 levels, nor for the 309 digits of a number that is too large.
    when octet_length(usage::text) > 130 and not matrice_private.json_within(usage, 16384) then 'workflow_steps_usage_size'
    when length(step_key) not between 1 and 500 then 'workflow_steps_step_key_1_to_500_characters'
    when attempt not between 0 and 1000000 then 'workflow_steps_attempt_check'
    -- Together with the other columns of the key it must fit into the index.
    when length(call_key) > 100 then 'workflow_steps_call_key_100_characters'
    when octet_length(reason) > 2000 then 'workflow_steps_reason_length'
    when (corrects is null) <> (reason is null) or (corrects is null) <> (cost_source is distinct from 'correction')
    then 'workflow_steps_correction_has_reason'
  end);
end
$$;
comment on function matrice_private.is_bounded_step is
  'Raises the error of a check constraint if a value of a step is beyond its bounds, else returns null. As a constraint takes '
  'null for true, a value that is null violates nothing.';

-- Before, each was a constraint. The statement does nothing in a new database.
alter table matrice.workflow_steps
  drop constraint if exists workflow_steps_latency_ms_check,
  drop constraint if exists workflow_steps_tokens_input_check,
  drop constraint if exists workflow_steps_tokens_output_check,
  drop constraint if exists workflow_steps_cached_tokens_check,
  drop constraint if exists workflow_steps_cost_usd_check,
  drop constraint if exists workflow_steps_provider_cost_usd_check,
  drop constraint if exists workflow_steps_cost_note_length,
  drop constraint if exists workflow_steps_attempt_check,
  drop constraint if exists workflow_steps_step_name_length,
  drop constraint if exists workflow_steps_model_length,
  drop constraint if exists workflow_steps_error_size,
  drop constraint if exists workflow_steps_usage_size,
  drop constraint if exists workflow_steps_executed_at_check,
  drop constraint if exists workflow_steps_usage_is_object,
  drop constraint if exists workflow_steps_step_key_1_to_500_characters,
  drop constraint if exists workflow_steps_call_key_100_characters,
  drop constraint if exists workflow_steps_reason_length,
  drop constraint if exists workflow_steps_correction_has_reason;
alter table matrice.workflow_steps
  add constraint workflow_steps_bounds_check check (matrice_private.is_bounded_step(
    step_name, latency_ms, tokens_input, tokens_output, cached_tokens, cost_usd, provider_cost_usd, cost_source, cost_note, error,
    executed_at, model, usage, step_key, attempt, call_key, corrects, reason));
