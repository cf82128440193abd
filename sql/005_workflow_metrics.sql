-- Workflow runs: what they did and what they cost.

-- workflow_runs ------------------------------------------------------------------------------------------------------

create table matrice.workflow_runs (
  id           uuid        not null default gen_random_uuid(),
  project_id   uuid        not null,
  workflow_id  text        not null,
  event_name   text,
  phase        text,
  status       text        not null default 'running',
  input_data   jsonb       not null default '{}',
  output_data  jsonb,
  started_at   timestamptz not null default now(),
  completed_at timestamptz,
  run_key      text,
  constraint workflow_runs_pkey primary key (id),
  constraint workflow_runs_project_id_id_key unique (project_id, id),
  constraint workflow_runs_project_id_run_key_key unique (project_id, run_key),
  constraint workflow_runs_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint workflow_runs_phase_p1_to_p6_check check (phase in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint workflow_runs_status_running_completed_failed_cancelled
    check (status in ('running', 'completed', 'failed', 'cancelled')),
  constraint workflow_runs_workflow_id_length check (octet_length(workflow_id) <= 200),
  constraint workflow_runs_event_name_length check (octet_length(event_name) <= 200),
  -- Longer keys would not fit into the index.
  constraint workflow_runs_run_key_1_to_500_characters check (length(run_key) between 1 and 500),
  constraint workflow_runs_input_data_size check (matrice_private.json_within(input_data, 262144)),
  constraint workflow_runs_output_data_size check (matrice_private.json_within(output_data, 262144)),
  constraint workflow_runs_started_at_check check (started_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint workflow_runs_completed_at_check check (completed_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_workflow_runs_project on matrice.workflow_runs (project_id);
create index idx_workflow_runs_status on matrice.workflow_runs (status);
-- The newest runs of a project, and of all projects.
create index idx_workflow_runs_project_started on matrice.workflow_runs (project_id, started_at);
create index idx_workflow_runs_started on matrice.workflow_runs (started_at);

comment on table matrice.workflow_runs is 'Runs of workflows (Inngest functions).';
comment on column matrice.workflow_runs.id is 'Primary key.';
comment on column matrice.workflow_runs.project_id is 'The project.';
comment on column matrice.workflow_runs.workflow_id is 'The workflow: the Inngest function id.';
comment on column matrice.workflow_runs.event_name is 'Name of the event that triggered the run.';
comment on column matrice.workflow_runs.phase is 'Matrice phase P1 to P6, if the run belongs to one.';
comment on column matrice.workflow_runs.status is 'running, completed, failed or cancelled.';
comment on column matrice.workflow_runs.input_data is 'Input: the payload of the event.';
comment on column matrice.workflow_runs.output_data is 'Output: the result of the run.';
comment on column matrice.workflow_runs.started_at is 'Start time.';
comment on column matrice.workflow_runs.completed_at is 'End time.';
comment on column matrice.workflow_runs.run_key is
  'The caller''s own key for the run, for example the Inngest run id. If start_run is called again with the same key '
  'and workflow, it returns this run.';

-- workflow_steps -----------------------------------------------------------------------------------------------------

create table matrice.workflow_steps (
  id            uuid           not null default gen_random_uuid(),
  run_id        uuid           not null,
  project_id    uuid           not null default matrice_private.from_parent(),
  step_name     text           not null,
  status        text           not null,
  latency_ms    double precision,
  tokens_input  integer        not null default 0,
  tokens_output integer        not null default 0,
  cost_usd      numeric(20,12),
  error         jsonb,
  executed_at   timestamptz    not null default now(),
  model         text,
  usage         jsonb          not null default '{}',
  cost_source   text,
  step_key      text,
  attempt       integer        not null default 0,
  cost_note     text,
  provider_cost_usd numeric(20,12),
  constraint workflow_steps_pkey primary key (id),
  constraint workflow_steps_run_id_step_key_attempt_key unique (run_id, step_key, attempt),
  constraint workflow_steps_run_fkey foreign key (project_id, run_id)
    references matrice.workflow_runs (project_id, id) on delete cascade,
  constraint workflow_steps_status_success_failed_skipped check (status in ('success', 'failed', 'skipped')),
  constraint workflow_steps_latency_ms_check check (latency_ms between 0 and 1000000000),
  constraint workflow_steps_tokens_input_check check (tokens_input between 0 and 1000000000),
  constraint workflow_steps_tokens_output_check check (tokens_output between 0 and 1000000000),
  -- The upper bound also refuses NaN, which is greater than every number.
  constraint workflow_steps_cost_usd_check check (cost_usd >= 0 and cost_usd < 100000000),
  constraint workflow_steps_provider_cost_usd_check check (provider_cost_usd >= 0 and provider_cost_usd < 100000000),
  constraint workflow_steps_cost_note_length check (octet_length(cost_note) <= 4000),
  constraint workflow_steps_attempt_check check (attempt between 0 and 1000000),
  constraint workflow_steps_step_name_length check (octet_length(step_name) <= 200),
  constraint workflow_steps_model_length check (octet_length(model) <= 200),
  constraint workflow_steps_error_size check (matrice_private.json_within(error, 65536)),
  constraint workflow_steps_usage_size check (matrice_private.json_within(usage, 16384)),
  constraint workflow_steps_executed_at_check check (executed_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint workflow_steps_usage_is_object check (jsonb_typeof(usage) = 'object'),
  constraint workflow_steps_step_key_1_to_500_characters check (length(step_key) between 1 and 500),
  constraint workflow_steps_cost_source_provided_calculated check (cost_source in ('provided', 'calculated'))
);
create index idx_workflow_steps_run on matrice.workflow_steps (project_id, run_id);

comment on table matrice.workflow_steps is 'Steps of runs with their metrics, one row per attempt.';
comment on column matrice.workflow_steps.id is 'Primary key.';
comment on column matrice.workflow_steps.run_id is 'The run.';
comment on column matrice.workflow_steps.project_id is 'The run''s project; filled in when left out.';
comment on column matrice.workflow_steps.step_name is 'Name of the step.';
comment on column matrice.workflow_steps.status is 'success, failed or skipped.';
comment on column matrice.workflow_steps.latency_ms is 'Duration in milliseconds.';
comment on column matrice.workflow_steps.tokens_input is
  'Input tokens, including those read from or written to a cache. Taken from usage if left out; 0 if nothing says how many.';
comment on column matrice.workflow_steps.tokens_output is
  'Output tokens, including reasoning tokens. Taken from usage if left out; 0 if nothing says how many.';
comment on column matrice.workflow_steps.cost_usd is
  'Cost in US dollars. If left out, it is calculated from model, tokens and usage. Null if the price is not known; an '
  'unknown cost is never stored as 0.';
comment on column matrice.workflow_steps.error is 'Error details if the step failed.';
comment on column matrice.workflow_steps.executed_at is 'When the step was executed.';
comment on column matrice.workflow_steps.model is 'The model that was called.';
comment on column matrice.workflow_steps.usage is
  'What the API of the model, or a library, reported; or matrice''s own keys, which calculate_cost lists. Of what is too large, '
  'only what is known is kept.';
comment on column matrice.workflow_steps.cost_source is
  'provided: the caller passed the cost. calculated: the cost comes from model_prices. Null: the cost is not known. A '
  'trigger sets this column and ignores what the client wrote.';
comment on column matrice.workflow_steps.cost_note is
  'Why the cost is not known, or what is in doubt: two sources that disagree, tokens under unknown keys, a missing price. A '
  'trigger sets this column and ignores what the client wrote.';
comment on column matrice.workflow_steps.provider_cost_usd is
  'What the provider says that the call cost, in US dollars, if usage has it.';
comment on column matrice.workflow_steps.step_key is
  'The caller''s own key for the step, for example the Inngest hashed id. A step that is recorded again with the same '
  'key and attempt is the same row.';
comment on column matrice.workflow_steps.attempt is
  'Number of the attempt, from 0. The cost of a run includes failed attempts, because they are billed too.';

-- Prices -------------------------------------------------------------------------------------------------------------

create function matrice_private.price_units() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['input', 'output', 'cache_read', 'cache_write', 'cache_write_1h', 'reasoning', 'input_audio', 'output_audio'];
end;
comment on function matrice_private.price_units is 'Returns the units that a price can be for.';

create table matrice.model_prices (
  model              text        not null,
  provider           text        not null,
  unit               text        not null,
  service_tier       text        not null default 'standard',
  above_input_tokens integer     not null default 0,
  valid_from         timestamptz not null default '-infinity',
  usd_per_million    numeric     not null,
  constraint model_prices_pkey primary key (model, unit, service_tier, above_input_tokens, valid_from),
  constraint model_prices_unit_is_known check (unit = any (matrice_private.price_units())),
  constraint model_prices_above_input_tokens_check check (above_input_tokens between 0 and 1000000000),
  constraint model_prices_usd_per_million_check check (usd_per_million between 0 and 1000000),
  constraint model_prices_model_length check (octet_length(model) <= 200),
  constraint model_prices_provider_length check (octet_length(provider) <= 200),
  constraint model_prices_service_tier_length check (octet_length(service_tier) <= 200),
  -- The first rate of a model has no beginning: -infinity.
  constraint model_prices_valid_from_check
    check (valid_from = '-infinity' or valid_from between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_model_prices_name on matrice.model_prices (split_part(model, '/', 2));

comment on table matrice.model_prices is
  'Prices of models, one rate per row. A new price is a new row with its own valid_from, so the cost of earlier '
  'requests does not change.';
comment on column matrice.model_prices.model is 'Name of the model, spelled as in LiteLLM''s price map.';
comment on column matrice.model_prices.provider is 'The provider that bills the model.';
comment on column matrice.model_prices.unit is
  'Kind of tokens that the price is for: input, output, cache_read, cache_write (cached for 5 minutes), '
  'cache_write_1h, reasoning, input_audio or output_audio.';
comment on column matrice.model_prices.service_tier is 'standard, batch, flex, priority or off_peak.';
comment on column matrice.model_prices.above_input_tokens is
  'The rate applies to requests with more input tokens than this, and then to all of their tokens.';
comment on column matrice.model_prices.valid_from is
  'The rate applies from this time until the valid_from of the next row for the same rate.';
comment on column matrice.model_prices.usd_per_million is 'US dollars per million tokens.';

create table matrice.model_price_windows (
  model        text      not null,
  iso_weekdays integer[] not null,
  from_utc     time      not null,
  until_utc    time      not null,
  constraint model_price_windows_pkey primary key (model, iso_weekdays, from_utc),
  constraint model_price_windows_order_check check (from_utc < until_utc),
  constraint model_price_windows_iso_weekdays_check check (iso_weekdays <@ '{1,2,3,4,5,6,7}'),
  constraint model_price_windows_iso_weekdays_length check (cardinality(iso_weekdays) between 1 and 7),
  constraint model_price_windows_model_length check (octet_length(model) <= 200)
);

comment on table matrice.model_price_windows is 'The times at which the off_peak rates of a model apply, in UTC.';
comment on column matrice.model_price_windows.model is 'The model.';
comment on column matrice.model_price_windows.iso_weekdays is 'Days of the week in UTC. Monday is 1.';
comment on column matrice.model_price_windows.from_utc is 'Start of the window, a time of day in UTC.';
comment on column matrice.model_price_windows.until_utc is 'End of the window. This time itself is not included.';

create table matrice.model_price_multipliers (
  model  text    not null,
  kind   text    not null,
  value  text    not null,
  factor numeric not null,
  constraint model_price_multipliers_pkey primary key (model, kind, value),
  constraint model_price_multipliers_kind_inference_geo_data_residency_speed
    check (kind in ('inference_geo', 'data_residency', 'speed')),
  constraint model_price_multipliers_factor_check check (factor > 0 and factor <= 1000),
  constraint model_price_multipliers_model_length check (octet_length(model) <= 200),
  constraint model_price_multipliers_value_length check (octet_length(value) <= 200)
);

comment on table matrice.model_price_multipliers is
  'Surcharges on a whole request. They depend on where or how fast the request is processed.';
comment on column matrice.model_price_multipliers.model is 'The model.';
comment on column matrice.model_price_multipliers.kind is 'The key in usage: inference_geo, data_residency or speed.';
comment on column matrice.model_price_multipliers.value is 'The value of that key for which the surcharge applies.';
comment on column matrice.model_price_multipliers.factor is 'The cost is multiplied by this.';
