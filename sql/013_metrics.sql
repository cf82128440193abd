-- Sums of runs and steps, which workflow_metrics reads.
--
-- Whoever writes runs or steps adds rows to metric_changes, so writers do not wait for each other. Now and then one of them adds
-- these up in metrics, unless somebody else is doing it. The sums stay when the runs and steps are purged.

-- Its result has more columns now.
drop function if exists matrice.workflow_metrics(uuid, timestamptz, timestamptz, text);

create index idx_workflow_steps_project_executed on matrice.workflow_steps (project_id, executed_at);
comment on index matrice.idx_workflow_steps_project_executed is
  'The steps of a project by time, for top_steps, step_errors and purge_steps.';

create table matrice_private.metric_changes (
  project_id     uuid        not null,
  id             bigint      not null generated always as identity,
  run_id         uuid        not null,
  at             timestamptz not null,
  workflow_id    text,
  phase          text,
  user_id        text,
  model          text,
  step_name      text,
  step_status    text,
  runs           bigint      not null default 0,
  succeeded      bigint      not null default 0,
  failed         bigint      not null default 0,
  running        bigint      not null default 0,
  cancelled      bigint      not null default 0,
  steps          bigint      not null default 0,
  failed_steps   bigint      not null default 0,
  skipped_steps  bigint      not null default 0,
  retried_steps  bigint      not null default 0,
  priced_steps   bigint      not null default 0,
  unpriced_steps bigint      not null default 0,
  tokens_input   numeric     not null default 0,
  tokens_output  numeric     not null default 0,
  cached_tokens  numeric     not null default 0,
  cost_usd       numeric     not null default 0,
  latencies      bytea,
  must_count     boolean     not null default false,
  constraint metric_changes_pkey primary key (project_id, id)
);

comment on table matrice_private.metric_changes is
  'Changes that are not in metrics yet: rows of runs, whose step_status is null, and rows of steps. There is no foreign key: it '
  'would make a writer wait for whoever deletes the project.';
comment on column matrice_private.metric_changes.id is 'Distinguishes the rows of a project.';
comment on column matrice_private.metric_changes.run_id is 'The run.';
comment on column matrice_private.metric_changes.project_id is 'The project.';
comment on column matrice_private.metric_changes.at is
  'The quarter of an hour, in UTC, in which the run started or the step was executed.';
comment on column matrice_private.metric_changes.workflow_id is 'The workflow of the run.';
comment on column matrice_private.metric_changes.phase is 'The phase of the run.';
comment on column matrice_private.metric_changes.user_id is 'The user of the run.';
comment on column matrice_private.metric_changes.model is 'The model that the step called.';
comment on column matrice_private.metric_changes.step_name is 'The name of the step.';
comment on column matrice_private.metric_changes.step_status is 'The status of the step.';
comment on column matrice_private.metric_changes.runs is 'Runs that started; below 0: taken away.';
comment on column matrice_private.metric_changes.succeeded is 'Of these, how many are completed; below 0: taken away.';
comment on column matrice_private.metric_changes.failed is 'Of these, how many are failed; below 0: taken away.';
comment on column matrice_private.metric_changes.running is 'Of these, how many have not ended; below 0: taken away.';
comment on column matrice_private.metric_changes.cancelled is 'Of these, how many are cancelled; below 0: taken away.';
comment on column matrice_private.metric_changes.steps is 'Steps: attempts that ended; below 0: taken away.';
comment on column matrice_private.metric_changes.failed_steps is 'Of these, how many failed; below 0: taken away.';
comment on column matrice_private.metric_changes.skipped_steps is 'Of these, how many were skipped; below 0: taken away.';
comment on column matrice_private.metric_changes.retried_steps is
  'Of these, how many are attempts after the first; below 0: taken away.';
comment on column matrice_private.metric_changes.priced_steps is 'Of these, how many have a known cost; below 0: taken away.';
comment on column matrice_private.metric_changes.unpriced_steps is
  'Of these, how many have a model or tokens, and no known cost; below 0: taken away.';
comment on column matrice_private.metric_changes.tokens_input is 'The sum of tokens_input; below 0: taken away.';
comment on column matrice_private.metric_changes.tokens_output is 'The sum of tokens_output; below 0: taken away.';
comment on column matrice_private.metric_changes.cached_tokens is
  'Input tokens that were read from a cache; below 0: taken away.';
comment on column matrice_private.metric_changes.cost_usd is 'The sum of the known costs; below 0: taken away.';
comment on column matrice_private.metric_changes.latencies is
  'A sketch of the latencies in milliseconds of steps that were not skipped.';
comment on column matrice_private.metric_changes.must_count is
  'Whether steps were taken away, so that the run may not have called the model any more.';

create table matrice_private.metrics (
  project_id     uuid        not null,
  kind           text        not null,
  is_day         boolean     not null,
  at             timestamptz not null,
  key            uuid        not null,
  workflow_id    text,
  phase          text,
  user_id        text,
  model          text,
  step_name      text,
  step_status    text,
  runs           bigint      not null,
  succeeded      bigint      not null,
  failed         bigint      not null,
  running        bigint      not null,
  cancelled      bigint      not null,
  steps          bigint      not null,
  failed_steps   bigint      not null,
  skipped_steps  bigint      not null,
  retried_steps  bigint      not null,
  priced_steps   bigint      not null,
  unpriced_steps bigint      not null,
  tokens_input   numeric     not null,
  tokens_output  numeric     not null,
  cached_tokens  numeric     not null,
  cost_usd       numeric     not null,
  latencies      bytea,
  constraint metrics_pkey primary key (project_id, kind, is_day, at, key)
) with (fillfactor = 80);

comment on table matrice_private.metrics is
  'Sums of runs and steps by quarter of an hour and by day, in UTC. Quarters, because the days of every time zone consist of '
  'them. 53_metrics.sql says which kinds there are.';
comment on column matrice_private.metrics.kind is
  'What the sums are divided by. Columns that they are not divided by are null.';
comment on column matrice_private.metrics.is_day is 'Whether the row is for a day in UTC, or for a quarter of an hour.';
comment on column matrice_private.metrics.key is 'A hash of the columns that the sums are divided by.';
comment on column matrice_private.metrics.project_id is 'The project.';
comment on column matrice_private.metrics.at is 'When the day or the quarter of an hour begins.';
comment on column matrice_private.metrics.workflow_id is 'The workflow of the run.';
comment on column matrice_private.metrics.phase is 'The phase of the run.';
comment on column matrice_private.metrics.user_id is 'The user of the run.';
comment on column matrice_private.metrics.model is 'The model that the step called.';
comment on column matrice_private.metrics.step_name is 'The name of the step.';
comment on column matrice_private.metrics.step_status is 'The status of the step.';
comment on column matrice_private.metrics.runs is 'Runs that started.';
comment on column matrice_private.metrics.succeeded is 'Of these, how many are completed.';
comment on column matrice_private.metrics.failed is 'Of these, how many are failed.';
comment on column matrice_private.metrics.running is 'Of these, how many have not ended.';
comment on column matrice_private.metrics.cancelled is 'Of these, how many are cancelled.';
comment on column matrice_private.metrics.steps is 'Steps: attempts that ended.';
comment on column matrice_private.metrics.failed_steps is 'Of these, how many failed.';
comment on column matrice_private.metrics.skipped_steps is 'Of these, how many were skipped.';
comment on column matrice_private.metrics.retried_steps is 'Of these, how many are attempts after the first.';
comment on column matrice_private.metrics.priced_steps is 'Of these, how many have a known cost.';
comment on column matrice_private.metrics.unpriced_steps is 'Of these, how many have a model or tokens, and no known cost.';
comment on column matrice_private.metrics.tokens_input is 'The sum of tokens_input.';
comment on column matrice_private.metrics.tokens_output is 'The sum of tokens_output.';
comment on column matrice_private.metrics.cached_tokens is 'Input tokens that were read from a cache.';
comment on column matrice_private.metrics.cost_usd is 'The sum of the known costs.';
comment on column matrice_private.metrics.latencies is
  'A sketch of the latencies in milliseconds of steps that were not skipped.';

create table matrice_private.metric_run_models (
  project_id  uuid        not null,
  run_id      uuid        not null,
  model       text        not null,
  at          timestamptz not null,
  workflow_id text,
  phase       text,
  status      text        not null,
  constraint metric_run_models_pkey primary key (project_id, run_id, model)
);

comment on table matrice_private.metric_run_models is
  'Which models the steps of a run called, as it is counted in metrics. So a run that calls a model twice is counted once.';
comment on column matrice_private.metric_run_models.project_id is 'The project.';
comment on column matrice_private.metric_run_models.run_id is 'The run.';
comment on column matrice_private.metric_run_models.model is 'The model; empty for steps without one.';
comment on column matrice_private.metric_run_models.at is 'The quarter of an hour in which the run is counted.';
comment on column matrice_private.metric_run_models.workflow_id is 'The workflow under which the run is counted.';
comment on column matrice_private.metric_run_models.phase is 'The phase under which the run is counted.';
comment on column matrice_private.metric_run_models.status is 'The status as which the run is counted.';

create table matrice_private.metric_purges (
  project_id uuid        not null,
  purged_to  timestamptz not null,
  constraint metric_purges_pkey primary key (project_id)
);

comment on table matrice_private.metric_purges is
  'Until when the steps of a project were purged. rebuild_metrics leaves the sums of that time alone.';
comment on column matrice_private.metric_purges.project_id is 'The project.';
comment on column matrice_private.metric_purges.purged_to is 'The steps before this time were purged.';

do $$
declare
  name text;
begin
  foreach name in array array['metric_changes', 'metrics', 'metric_run_models', 'metric_purges'] loop
    execute format('alter table matrice_private.%I enable row level security', name);
    execute format('create policy "nobody reads them" on matrice_private.%I for select to authenticated using (false)', name);
    perform matrice_private.revoke_from_everybody('table', 'matrice_private.' || name);
  end loop;
end
$$;
