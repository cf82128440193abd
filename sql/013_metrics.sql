-- Sums of runs and steps, which workflow_metrics reads.
--
-- Whoever writes runs or steps adds one small row to metric_changes, which only names them. So writing stays cheap, and writers
-- do not wait for each other. Now and then one of them adds up what is named there, unless somebody else is doing it. The sums
-- stay when the runs and steps are purged.

-- Its result has more columns now.
drop function if exists matrice.workflow_metrics(uuid, timestamptz, timestamptz, text);

create index idx_workflow_steps_project_executed on matrice.workflow_steps (project_id, executed_at);
comment on index matrice.idx_workflow_steps_project_executed is
  'The steps of a project by time, for top_steps, step_errors and purge_steps.';

create table matrice_private.metric_changes (
  project_id uuid        not null,
  id         bigint      not null generated always as identity,
  at         timestamptz,
  step_id    uuid,
  run_id     uuid,
  has_moved  boolean     not null default false,
  constraint metric_changes_pkey primary key (project_id, id)
);

comment on table matrice_private.metric_changes is
  'What is not in metrics yet. With at and step_id: a new step. With at and run_id: steps of this run were changed or '
  'deleted, so the quarter of an hour is counted again. With run_id alone: the run began, changed or was deleted. There is no '
  'foreign key: it would make a writer wait for whoever deletes the project.';
comment on column matrice_private.metric_changes.project_id is 'The project.';
comment on column matrice_private.metric_changes.id is 'Distinguishes the rows of a project.';
comment on column matrice_private.metric_changes.at is 'The quarter of an hour, in UTC, in which the step was executed.';
comment on column matrice_private.metric_changes.step_id is 'The new step.';
comment on column matrice_private.metric_changes.run_id is 'The run.';
comment on column matrice_private.metric_changes.has_moved is
  'Whether all quarters in which the run has steps are counted again: its workflow, phase or user changed.';

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
  'them. 57_metric_facts.sql says which kinds there are.';
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
comment on column matrice_private.metrics.succeeded is 'Of these, how many succeeded.';
comment on column matrice_private.metrics.failed is 'Of these, how many are failed.';
comment on column matrice_private.metrics.running is 'Of these, how many have not ended.';
comment on column matrice_private.metrics.cancelled is 'Of these, how many are cancelled.';
comment on column matrice_private.metrics.steps is 'Steps: attempts that ended.';
comment on column matrice_private.metrics.failed_steps is 'Of these, how many failed.';
comment on column matrice_private.metrics.skipped_steps is 'Of these, how many were skipped.';
comment on column matrice_private.metrics.retried_steps is 'Of these, how many are attempts after the first.';
comment on column matrice_private.metrics.priced_steps is 'Rows whose cost is known.';
comment on column matrice_private.metrics.unpriced_steps is 'Steps that cost something that nobody knows.';
comment on column matrice_private.metrics.tokens_input is 'The sum of tokens_input.';
comment on column matrice_private.metrics.tokens_output is 'The sum of tokens_output.';
comment on column matrice_private.metrics.cached_tokens is 'Input tokens that were read from a cache.';
comment on column matrice_private.metrics.cost_usd is 'The sum of the known costs.';
comment on column matrice_private.metrics.latencies is
  'A sketch of the latencies in milliseconds of steps that were not skipped.';

create table matrice_private.metric_facts (
  project_id     uuid        not null,
  id             bigint      not null generated always as identity,
  run_id         uuid,
  is_call        boolean,
  at             timestamptz not null,
  workflow_id    text,
  phase          text,
  user_id        text,
  model          text,
  step_name      text,
  status         text,
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
  constraint metric_facts_pkey primary key (project_id, at, id)
);

comment on table matrice_private.metric_facts is
  'What was counted of runs and steps before purge_steps deleted them. When a quarter of an hour is counted again, this is added '
  'to what is left. Functions that count return rows of this shape.';
comment on column matrice_private.metric_facts.project_id is 'The project.';
comment on column matrice_private.metric_facts.id is 'Distinguishes the rows of a quarter of an hour.';
comment on column matrice_private.metric_facts.run_id is 'The run that is counted; null: of several, or of steps.';
comment on column matrice_private.metric_facts.is_call is
  'Whether a run is counted for a model that it called. Null: steps are counted.';
comment on column matrice_private.metric_facts.at is
  'The quarter of an hour, in UTC, in which the run started or the steps were executed.';
comment on column matrice_private.metric_facts.workflow_id is 'The workflow of the run.';
comment on column matrice_private.metric_facts.phase is 'The phase of the run.';
comment on column matrice_private.metric_facts.user_id is 'The user of the run.';
comment on column matrice_private.metric_facts.model is 'The model that was called.';
comment on column matrice_private.metric_facts.step_name is 'The name of the steps.';
comment on column matrice_private.metric_facts.status is
  'The status of the steps, or of the run: handled, if it only handled a failure and completed.';
comment on column matrice_private.metric_facts.runs is 'Runs that started; below 0: taken away.';
comment on column matrice_private.metric_facts.succeeded is 'Of these, how many succeeded.';
comment on column matrice_private.metric_facts.failed is 'Of these, how many are failed.';
comment on column matrice_private.metric_facts.running is 'Of these, how many have not ended.';
comment on column matrice_private.metric_facts.cancelled is 'Of these, how many are cancelled.';
comment on column matrice_private.metric_facts.steps is 'Steps: attempts that ended.';
comment on column matrice_private.metric_facts.failed_steps is 'Of these, how many failed.';
comment on column matrice_private.metric_facts.skipped_steps is 'Of these, how many were skipped.';
comment on column matrice_private.metric_facts.retried_steps is 'Of these, how many are attempts after the first.';
comment on column matrice_private.metric_facts.priced_steps is 'Rows whose cost is known.';
comment on column matrice_private.metric_facts.unpriced_steps is 'Steps that cost something that nobody knows.';
comment on column matrice_private.metric_facts.tokens_input is 'The sum of tokens_input.';
comment on column matrice_private.metric_facts.tokens_output is 'The sum of tokens_output.';
comment on column matrice_private.metric_facts.cached_tokens is 'Input tokens that were read from a cache.';
comment on column matrice_private.metric_facts.cost_usd is 'The sum of the known costs.';
comment on column matrice_private.metric_facts.latencies is
  'A sketch of the latencies in milliseconds of steps that were not skipped.';

create table matrice_private.metric_runs (
  project_id  uuid        not null,
  run_id      uuid        not null,
  is_call     boolean     not null,
  model       text        not null,
  at          timestamptz,
  workflow_id text,
  phase       text,
  user_id     text,
  status      text,
  is_kept     boolean     not null default false,
  constraint metric_runs_pkey primary key (project_id, run_id, is_call, model)
);

comment on table matrice_private.metric_runs is
  'How each run is counted in metrics: once as a run, and once for each model that its steps called. What has changed since is '
  'the difference to this.';
comment on column matrice_private.metric_runs.project_id is 'The project.';
comment on column matrice_private.metric_runs.run_id is 'The run.';
comment on column matrice_private.metric_runs.is_call is 'Whether the run is counted for a model that it called.';
comment on column matrice_private.metric_runs.model is 'That model; empty for steps without one, and for the run itself.';
comment on column matrice_private.metric_runs.at is 'The quarter of an hour in which the run is counted. Null: it is not yet.';
comment on column matrice_private.metric_runs.workflow_id is 'The workflow under which the run is counted.';
comment on column matrice_private.metric_runs.phase is 'The phase under which the run is counted.';
comment on column matrice_private.metric_runs.user_id is 'The user under whom the run is counted.';
comment on column matrice_private.metric_runs.status is
  'The status as which the run is counted: handled, if it only handled a failure and completed.';
comment on column matrice_private.metric_runs.is_kept is
  'Whether steps that called the model were purged, so that nobody looks whether there are some.';

do $$
declare
  name text;
begin
  foreach name in array array['metric_changes', 'metrics', 'metric_facts', 'metric_runs'] loop
    execute format('alter table matrice_private.%I enable row level security', name);
    execute format('create policy "nobody reads them" on matrice_private.%I for select to authenticated using (false)', name);
    perform matrice_private.revoke_from_everybody('table', 'matrice_private.' || name);
  end loop;
end
$$;
select matrice_private.revoke_from_everybody('sequence', 'matrice_private.' || name)
  from unnest(array['metric_changes_id_seq', 'metric_facts_id_seq']) name;
