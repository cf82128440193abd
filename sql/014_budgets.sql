-- Budgets: how much the calls of a project may cost in a period, what they have cost, and what is reserved for calls that run.
--
-- Whoever records a step adds a row of what it cost, so writers do not wait for each other. Only reserve_budget locks the
-- budgets of a project, because two calls must not be admitted for the same dollar.

create table matrice.budgets (
  id         uuid           not null default gen_random_uuid(),
  project_id uuid           not null,
  name       text           not null,
  limit_usd  numeric(20,12) not null,
  period     text           not null,
  time_zone  text           not null,
  is_hard    boolean        not null,
  thresholds numeric[]      not null,
  model      text,
  phase      text,
  user_key    text,
  created_at timestamptz    not null default now(),
  constraint budgets_pkey primary key (id),
  constraint budgets_project_id_name_key unique (project_id, name),
  constraint budgets_project_id_id_key unique (project_id, id),
  constraint budgets_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint budgets_name_length check (octet_length(name) between 1 and 200),
  -- The upper bound also refuses NaN, which is greater than every number.
  constraint budgets_limit_usd_check check (limit_usd >= 0 and limit_usd < 100000000),
  constraint budgets_period_day_week_month_year_total check (period in ('day', 'week', 'month', 'year', 'total')),
  constraint budgets_time_zone_length check (octet_length(time_zone) <= 100),
  constraint budgets_thresholds_length check (cardinality(thresholds) <= 20),
  constraint budgets_model_length check (octet_length(model) between 1 and 200),
  constraint budgets_phase_p1_to_p6_check check (phase in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6')),
  constraint budgets_user_key_length check (octet_length(user_key) between 1 and 200)
);

comment on table matrice.budgets is
  'How much the calls of a project may cost in a period: all of them, or those of a model, a phase or a user. set_budget and '
  'remove_budget write it.';
comment on column matrice.budgets.id is 'Primary key.';
comment on column matrice.budgets.project_id is 'The project.';
comment on column matrice.budgets.name is 'Name of the budget in its project. Errors name it.';
comment on column matrice.budgets.limit_usd is 'How many US dollars may be spent in a period.';
comment on column matrice.budgets.period is 'day, week, month or year of the calendar; or total: all time.';
comment on column matrice.budgets.time_zone is 'Whose calendar is meant, such as Europe/Paris.';
comment on column matrice.budgets.is_hard is 'Whether reserve_budget refuses what goes beyond the limit.';
comment on column matrice.budgets.thresholds is
  'Shares of the limit. When the spending reaches one, budget_events has a row of it.';
comment on column matrice.budgets.model is 'Only calls of this model count. Null: of all models.';
comment on column matrice.budgets.phase is 'Only steps of runs of this phase count. Null: of all phases.';
comment on column matrice.budgets.user_key is 'Only calls of this user count. Null: of all users.';
comment on column matrice.budgets.created_at is 'When the budget was set for the first time.';

create table matrice.budget_events (
  project_id   uuid           not null,
  budget_id    uuid           not null,
  period_start timestamptz    not null,
  threshold    numeric        not null,
  limit_usd    numeric(20,12) not null,
  spent_usd    numeric        not null,
  created_at   timestamptz    not null default now(),
  constraint budget_events_pkey primary key (budget_id, period_start, threshold, limit_usd),
  constraint budget_events_budget_fkey foreign key (project_id, budget_id)
    references matrice.budgets (project_id, id) on delete cascade
);
create index idx_budget_events_budget on matrice.budget_events (project_id, budget_id);

comment on table matrice.budget_events is
  'Thresholds that the spending of a budget has reached, once a period. The same transaction sends a NOTIFY on matrice_budget. '
  'Only triggers and functions write it.';
comment on column matrice.budget_events.project_id is 'The project.';
comment on column matrice.budget_events.budget_id is 'The budget.';
comment on column matrice.budget_events.period_start is 'When the period began. -infinity if the budget is for all time.';
comment on column matrice.budget_events.threshold is 'The share of the limit that was reached.';
comment on column matrice.budget_events.limit_usd is
  'The limit at that time. After another limit is set, thresholds can be reached again.';
comment on column matrice.budget_events.spent_usd is 'What was spent then.';
comment on column matrice.budget_events.created_at is 'When the threshold was reached.';

create table matrice_private.budget_spending (
  id             bigint      not null generated always as identity,
  budget_id      uuid        not null,
  period_start   timestamptz not null,
  spent_usd      numeric     not null,
  unpriced_steps bigint      not null default 0,
  first_at       timestamptz not null,
  is_of_steps    boolean     not null default true,
  constraint budget_spending_pkey primary key (id)
);
create index idx_budget_spending_period on matrice_private.budget_spending (budget_id, period_start);

comment on table matrice_private.budget_spending is
  'What was spent of a budget in a period: the sum of its rows. Each statement that writes steps adds a row; rows are added up '
  'now and then. There is no foreign key: it would make a writer wait for whoever changes the budget.';
comment on column matrice_private.budget_spending.id is 'Primary key.';
comment on column matrice_private.budget_spending.budget_id is 'The budget.';
comment on column matrice_private.budget_spending.period_start is
  'When the period began. -infinity if the budget is for all time.';
comment on column matrice_private.budget_spending.spent_usd is 'US dollars. Below 0 if a step turned out to be cheaper.';
comment on column matrice_private.budget_spending.unpriced_steps is 'How many steps had a cost that nobody knows.';
comment on column matrice_private.budget_spending.first_at is 'When the first of these calls was executed.';
comment on column matrice_private.budget_spending.is_of_steps is 'false: settle_budget added it, and there is no step.';

create table matrice_private.budget_holds (
  id           uuid        not null default gen_random_uuid(),
  project_id   uuid        not null,
  estimate_usd numeric     not null,
  model        text,
  phase        text,
  user_key      text,
  expires_at   timestamptz not null,
  spent_at     timestamptz,
  run_id       uuid,
  constraint budget_holds_pkey primary key (id)
);
create index idx_budget_holds_project on matrice_private.budget_holds (project_id, expires_at);

comment on table matrice_private.budget_holds is
  'What is reserved for calls that run now. There is no foreign key: it would make a writer wait for whoever deletes the '
  'project.';
comment on column matrice_private.budget_holds.id is 'The reservation.';
comment on column matrice_private.budget_holds.project_id is 'The project.';
comment on column matrice_private.budget_holds.estimate_usd is 'What the call will cost at most, in US dollars.';
comment on column matrice_private.budget_holds.model is 'The model that will be called.';
comment on column matrice_private.budget_holds.phase is 'The phase of the run.';
comment on column matrice_private.budget_holds.user_key is 'The user of the run.';
comment on column matrice_private.budget_holds.expires_at is 'The reservation ends by itself at this time.';
comment on column matrice_private.budget_holds.spent_at is
  'When the call was executed, if its step has no known cost. The estimate then counts in the period of this time until a '
  'price is known. Null: the call has not been recorded.';
comment on column matrice_private.budget_holds.run_id is
  'The run of the first step that names the reservation. Members can read it there, and no other run may end it.';

-- There is no foreign key: a reservation is gone when its step has been recorded.
alter table matrice.workflow_steps add column reservation_id uuid;
comment on column matrice.workflow_steps.reservation_id is
  'What reserve_budget returned for the call. The step ends this reservation.';

-- Members read. Nobody writes directly, services included: the sums must follow from what was recorded.
select matrice_private.revoke_from_everybody('table', name)
  from unnest(array['matrice.budgets', 'matrice.budget_events', 'matrice_private.budget_spending',
                    'matrice_private.budget_holds']) name;
select matrice_private.revoke_from_everybody('sequence', 'matrice_private.budget_spending_id_seq');
grant select on matrice.budgets, matrice.budget_events to authenticated, service_role;

alter table matrice.budgets enable row level security;
alter table matrice.budget_events enable row level security;
alter table matrice_private.budget_spending enable row level security;
alter table matrice_private.budget_holds enable row level security;

create policy "viewers read" on matrice.budgets for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
create policy "viewers read" on matrice.budget_events for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
create policy "nobody reads them" on matrice_private.budget_spending for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.budget_holds for select to authenticated using (false);
