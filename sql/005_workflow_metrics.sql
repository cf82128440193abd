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
  attempt      integer     not null default 0,
  error        jsonb,
  reaped_at    timestamptz,
  parent_run_id uuid,
  user_key     text,
  session_key  text,
  tags         jsonb       not null default '[]',
  pillar_versions jsonb,
  is_failure_handler boolean not null default false,
  created_by   uuid                 default matrice_private.current_user_id(),
  constraint workflow_runs_pkey primary key (id),
  constraint workflow_runs_project_id_id_key unique (project_id, id),
  constraint workflow_runs_project_id_workflow_id_run_key_key unique (project_id, workflow_id, run_key),
  constraint workflow_runs_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint workflow_runs_parent_fkey foreign key (project_id, parent_run_id)
    references matrice.workflow_runs (project_id, id) on delete set null (parent_run_id),
  constraint workflow_runs_phase_p1_to_p6_check check (phase in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint workflow_runs_status_running_completed_failed_cancelled
    check (status in ('running', 'completed', 'failed', 'cancelled')),
  constraint workflow_runs_workflow_id_length check (octet_length(workflow_id) <= 200),
  constraint workflow_runs_event_name_length check (octet_length(event_name) <= 200),
  -- Longer keys would not fit into the index.
  constraint workflow_runs_run_key_1_to_500_characters check (length(run_key) between 1 and 500),
  constraint workflow_runs_input_data_size check (matrice_private.json_within(input_data, 262144)),
  constraint workflow_runs_output_data_size check (matrice_private.json_within(output_data, 262144)),
  constraint workflow_runs_error_size check (matrice_private.json_within(error, 65536)),
  constraint workflow_runs_attempt_check check (attempt between 0 and 1000000),
  constraint workflow_runs_parent_is_another_run check (parent_run_id <> id),
  constraint workflow_runs_user_key_length check (octet_length(user_key) <= 200),
  constraint workflow_runs_session_key_length check (octet_length(session_key) <= 200),
  constraint workflow_runs_tags_is_array check (jsonb_typeof(tags) = 'array'),
  constraint workflow_runs_tags_size check (matrice_private.json_within(tags, 16384)),
  constraint workflow_runs_pillar_versions_is_object check (jsonb_typeof(pillar_versions) = 'object'),
  constraint workflow_runs_pillar_versions_size check (matrice_private.json_within(pillar_versions, 1000)),
  constraint workflow_runs_reaped_at_check check (reaped_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint workflow_runs_started_at_check check (started_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint workflow_runs_completed_at_check check (completed_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_workflow_runs_project on matrice.workflow_runs (project_id);
create index idx_workflow_runs_status on matrice.workflow_runs (status);
-- The newest runs of a project, and of all projects.
create index idx_workflow_runs_project_started on matrice.workflow_runs (project_id, started_at);
create index idx_workflow_runs_started on matrice.workflow_runs (started_at);
create index idx_workflow_runs_parent on matrice.workflow_runs (project_id, parent_run_id);

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
  'The caller''s own key for the run, for example the Inngest run id. Of each workflow, a project has one run with a key.';
comment on column matrice.workflow_runs.attempt is
  'Number of the attempt that runs or has ended, from 0. A higher one opens an ended run again.';
comment on column matrice.workflow_runs.error is 'Why the run failed or was cancelled.';
comment on column matrice.workflow_runs.reaped_at is
  'When reap_runs cancelled the run, because nobody said how it ended. Null again if somebody says it later.';
comment on column matrice.workflow_runs.parent_run_id is 'The run that started this one.';
comment on column matrice.workflow_runs.user_key is 'The caller''s own key for the user for whom the run works.';
comment on column matrice.workflow_runs.session_key is 'The caller''s own key for the session or conversation.';
comment on column matrice.workflow_runs.tags is 'Tags, a JSON array.';
comment on column matrice.workflow_runs.pillar_versions is
  'The versions of the pillars when the run started, by their codes. A trigger fills it in when it is left out.';
comment on column matrice.workflow_runs.is_failure_handler is
  'Whether the run handles the failure of another run. Its success is none of the workflow. A trigger sets it for the event '
  'inngest/function.failed.';
comment on column matrice.workflow_runs.created_by is
  'The user who recorded the run; null for a service. A trigger sets it and ignores what a client wrote.';

-- workflow_steps -----------------------------------------------------------------------------------------------------

-- 029_step_bounds.sql adds the bounds of its values.
create table matrice.workflow_steps (
  id            uuid           not null default gen_random_uuid(),
  run_id        uuid           not null,
  project_id    uuid           not null default matrice_private.from_parent(),
  step_name     text           not null,
  status        text           not null,
  latency_ms    integer,
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
  cached_tokens integer        not null default 0,
  call_key      text           not null default '',
  corrects      uuid,
  reason        text,
  constraint workflow_steps_pkey primary key (id),
  constraint workflow_steps_run_id_step_key_attempt_call_key_key unique (run_id, step_key, attempt, call_key),
  constraint workflow_steps_run_fkey foreign key (project_id, run_id)
    references matrice.workflow_runs (project_id, id) on delete cascade,
  constraint workflow_steps_status_running_success_failed_skipped
    check (status in ('running', 'success', 'failed', 'skipped')),
  constraint workflow_steps_cost_source_provided_calculated_correction
    check (cost_source in ('provided', 'calculated', 'correction'))
);
create index idx_workflow_steps_run on matrice.workflow_steps (project_id, run_id);
create index idx_workflow_steps_corrects on matrice.workflow_steps (corrects) where corrects is not null;

comment on table matrice.workflow_steps is
  'Steps of runs with their metrics: one row for each attempt, and for each call of a model within it. Members can add rows but '
  'not change them. A correction is a row, too.';
comment on column matrice.workflow_steps.id is 'Primary key.';
comment on column matrice.workflow_steps.run_id is 'The run.';
comment on column matrice.workflow_steps.project_id is 'The run''s project; filled in when left out.';
comment on column matrice.workflow_steps.step_name is 'Name of the step.';
comment on column matrice.workflow_steps.status is 'running, success, failed or skipped.';
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
  'provided: the caller passed the cost. calculated: the cost comes from model_prices. correction: the row corrects '
  'another one. Null: the cost is not known. A trigger sets this column and ignores what the client wrote.';
comment on column matrice.workflow_steps.cost_note is
  'Why the cost is not known, or what is in doubt: two sources that disagree, tokens under unknown keys, a missing price. A '
  'trigger sets this column and ignores what the client wrote.';
comment on column matrice.workflow_steps.provider_cost_usd is
  'What the provider says that the call cost, in US dollars, if usage has it.';
comment on column matrice.workflow_steps.step_key is
  'The caller''s own key for the step, for example the Inngest hashed id. A step that is recorded again with the same '
  'key, attempt and call_key is the same row.';
comment on column matrice.workflow_steps.call_key is
  'The caller''s own key for one of several calls within a step. Empty: the step has one call.';
comment on column matrice.workflow_steps.cached_tokens is
  'Those of tokens_input that were read from a cache, as usage says. A trigger writes it.';
comment on column matrice.workflow_steps.corrects is
  'The step that this row corrects. Its tokens and its cost are what must be added to those of that step. '
  'correct_step writes it.';
comment on column matrice.workflow_steps.reason is 'Why the step is corrected.';
comment on column matrice.workflow_steps.attempt is
  'Number of the attempt, from 0. The cost of a run includes failed attempts, because they are billed too.';

-- Prices -------------------------------------------------------------------------------------------------------------

create table matrice_private.price_units (
  unit           text not null,
  counts         text not null,
  priced_like    text,
  in_other_tiers text not null,
  constraint price_units_pkey primary key (unit),
  constraint price_units_in_other_tiers_proportional_cheapest_standard
    check (in_other_tiers in ('proportional', 'cheapest', 'standard')),
  constraint price_units_priced_like_fkey foreign key (priced_like) references matrice_private.price_units (unit)
);
create index idx_price_units_priced_like on matrice_private.price_units (priced_like);

comment on table matrice_private.price_units is 'What a price can be for. 51_price_sheets.sql fills it.';
comment on column matrice_private.price_units.unit is 'Name of the unit. It is also its key in the counts of a call.';
comment on column matrice_private.price_units.counts is 'What the unit counts.';
comment on column matrice_private.price_units.priced_like is
  'A model without a price for this unit bills it at the price of this other unit. Null: then it has no price.';
comment on column matrice_private.price_units.in_other_tiers is
  'What the unit costs in a tier without a rate of its own for it. proportional: the standard rate, raised or lowered like '
  'that of priced_like. cheapest: the standard rate, or the tier''s rate of priced_like if that is less, because two '
  'discounts are not granted together. standard: the standard rate.';

create table matrice.model_prices (
  model              text        not null,
  provider           text        not null,
  unit               text        not null,
  service_tier       text        not null default 'standard',
  above_input_tokens integer     not null default 0,
  valid_from         timestamptz not null default '-infinity',
  usd_per_million    numeric,
  constraint model_prices_pkey primary key (model, unit, service_tier, above_input_tokens, valid_from),
  constraint model_prices_unit_length check (octet_length(unit) <= 200),
  constraint model_prices_above_input_tokens_check check (above_input_tokens between 0 and 1000000000),
  constraint model_prices_usd_per_million_check check (usd_per_million between 0 and 1000000000),
  constraint model_prices_model_length check (octet_length(model) <= 200),
  constraint model_prices_provider_length check (octet_length(provider) <= 200),
  constraint model_prices_service_tier_length check (octet_length(service_tier) <= 200),
  -- The first rate of a model has no beginning: -infinity.
  constraint model_prices_valid_from_check
    check (valid_from = '-infinity' or valid_from between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);

comment on table matrice.model_prices is
  'Prices of models, one rate per row. A new price is a new row with its own valid_from, so the cost of earlier '
  'requests does not change.';
comment on column matrice.model_prices.model is 'Name of the model, spelled as in LiteLLM''s price map.';
comment on column matrice.model_prices.provider is 'The provider that bills the model.';
comment on column matrice.model_prices.unit is
  'What the price is for. Tokens: input, output, cache_read, cache_write (cached for 5 minutes), cache_write_1h, '
  'cache_write_12h, reasoning, input_audio, output_audio, cache_read_audio, input_image, output_image, input_video. '
  'Others: image, second, character, page, query, web_search.';
comment on column matrice.model_prices.service_tier is
  'standard, batch, flex, priority, off_peak or any other name that the provider gives to a tier.';
comment on column matrice.model_prices.above_input_tokens is
  'The rate applies to requests with more input tokens than this, and then to all of their tokens.';
comment on column matrice.model_prices.valid_from is
  'The rate applies from this time until the valid_from of the next row for the same rate.';
comment on column matrice.model_prices.usd_per_million is 
  'US dollars per million of the unit, such as a million tokens or a million images. Null: the model no longer has this '
  'rate.';

create table matrice_private.price_sheets (
  model              text        not null,
  service_tier       text        not null,
  valid_from         timestamptz not null,
  above_input_tokens integer     not null,
  has_off_peak       boolean     not null,
  rates              jsonb       not null,
  constraint price_sheets_pkey primary key (model, service_tier, valid_from, above_input_tokens)
);

comment on table matrice_private.price_sheets is
  'All rates of a request, prepared from model_prices for each model, tier, time and threshold. A trigger on model_prices '
  'writes it.';
comment on column matrice_private.price_sheets.model is 'The model.';
comment on column matrice_private.price_sheets.service_tier is 'The tier.';
comment on column matrice_private.price_sheets.valid_from is
  'The rates apply from this time until the valid_from of the next sheet.';
comment on column matrice_private.price_sheets.above_input_tokens is
  'The rates apply to requests with more input tokens than this.';
comment on column matrice_private.price_sheets.has_off_peak is 'Whether the model has off_peak rates at that time.';
comment on column matrice_private.price_sheets.rates is
  'US dollars per million, by unit. Units without a rate of their own have the rate that they are billed at.';

create table matrice_private.priced_names (
  name     text not null,
  provider text not null,
  model    text not null,
  constraint priced_names_pkey primary key (name, provider, model)
);
create index idx_priced_names_model on matrice_private.priced_names (model);
create index idx_priced_names_provider on matrice_private.priced_names (provider);

comment on table matrice_private.priced_names is
  'The models of model_prices by their names without the provider. A trigger on model_prices writes it.';
comment on column matrice_private.priced_names.name is 'The name, as comparable_name spells it.';
comment on column matrice_private.priced_names.provider is 'The provider that sells a model of that name.';
comment on column matrice_private.priced_names.model is 'The model in model_prices.';

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

-- Prices of a project ------------------------------------------------------------------------------------------------

create table matrice.project_prices (
  project_id uuid        not null,
  model      text        not null,
  valid_from timestamptz not null,
  same_as    text,
  prices     jsonb,
  factor     numeric     not null default 1,
  sheets     jsonb,
  constraint project_prices_pkey primary key (project_id, model, valid_from),
  constraint project_prices_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint project_prices_model_length check (octet_length(model) <= 200),
  constraint project_prices_same_as_length check (octet_length(same_as) <= 200),
  constraint project_prices_factor_check check (factor between 0 and 1000),
  constraint project_prices_prices_size check (matrice_private.json_within(prices, 16384)),
  constraint project_prices_sheets_size check (matrice_private.json_within(sheets, 1048576)),
  constraint project_prices_same_as_or_prices check (num_nonnulls(same_as, prices) = 1),
  constraint project_prices_sheets_of_prices check ((prices is null) = (sheets is null)),
  constraint project_prices_valid_from_check
    check (valid_from = '-infinity' or valid_from between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);

comment on table matrice.project_prices is
  'Prices that hold in one project: of its own deployments, by its contracts. They come before those of model_prices. '
  'set_price writes them.';
comment on column matrice.project_prices.project_id is 'The project.';
comment on column matrice.project_prices.model is 'The model, as calls of the project name it.';
comment on column matrice.project_prices.valid_from is
  'The price applies from this time until the valid_from of the next row for the same model.';
comment on column matrice.project_prices.same_as is 'The model of model_prices that it costs the same as, before the factor.';
comment on column matrice.project_prices.prices is
  'US dollars per million of each unit. A key is a unit, or unit>threshold, unit:tier, unit>threshold:tier. {}: no price is '
  'known from this time on.';
comment on column matrice.project_prices.factor is 'The cost is multiplied by this: 0.8 is a discount of 20 %.';
comment on column matrice.project_prices.sheets is 'The rates, prepared from prices by set_price.';

-- Only functions that run as the owner of the tables read these.
alter table matrice_private.price_units enable row level security;
alter table matrice_private.price_sheets enable row level security;
alter table matrice_private.priced_names enable row level security;

create policy "nobody reads them" on matrice_private.price_units for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.price_sheets for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.priced_names for select to authenticated using (false);
