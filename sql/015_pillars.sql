-- Labels of pillar versions, and the history of phases.

create table matrice.pillar_labels (
  project_id uuid        not null,
  pillar_id  uuid        not null,
  label      text        not null,
  number     integer     not null,
  version    integer,
  is_release boolean     not null default false,
  set_at     timestamptz not null default now(),
  set_by     uuid,
  constraint pillar_labels_pkey primary key (pillar_id, label, number),
  constraint pillar_labels_pillar_fkey foreign key (project_id, pillar_id)
    references matrice.pillars (project_id, id) on delete cascade,
  constraint pillar_labels_label_length check (octet_length(label) between 1 and 200),
  constraint pillar_labels_number_check check (number between 1 and 1000000000),
  constraint pillar_labels_version_check check (version between 1 and 1000000000),
  constraint pillar_labels_release_has_version check (version is not null or not is_release)
);
create index idx_pillar_labels_pillar on matrice.pillar_labels (project_id, pillar_id);

comment on table matrice.pillar_labels is
  'The labels of pillar versions, such as draft and approved, with their history. The last row of a label says where it is now. '
  'Append-only: label_pillar and unlabel_pillar add rows.';
comment on column matrice.pillar_labels.project_id is 'The project.';
comment on column matrice.pillar_labels.pillar_id is 'The pillar.';
comment on column matrice.pillar_labels.label is 'The label.';
comment on column matrice.pillar_labels.number is 'Counts the changes of this label of the pillar, from 1.';
comment on column matrice.pillar_labels.version is 'The version that got the label. Null: the label was taken away.';
comment on column matrice.pillar_labels.is_release is 'Whether the label stays at this version for ever.';
comment on column matrice.pillar_labels.set_at is 'When.';
comment on column matrice.pillar_labels.set_by is 'The user who set the label; null for a session without claims.';

create table matrice.phase_changes (
  project_id uuid        not null,
  number     integer     not null,
  phase      text        not null,
  entered_at timestamptz not null,
  entered_by uuid,
  constraint phase_changes_pkey primary key (project_id, number),
  constraint phase_changes_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint phase_changes_number_check check (number between 1 and 1000000000),
  constraint phase_changes_entered_at_check check (entered_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint phase_changes_phase_p1_to_p6_check check (phase in ('P1', 'P2', 'P3', 'P4', 'P5', 'P6'))
);

comment on table matrice.phase_changes is
  'The phases that each project has entered, in order. Append-only: a trigger on projects adds a row whenever current_phase '
  'changes, whoever changes it.';
comment on column matrice.phase_changes.project_id is 'The project.';
comment on column matrice.phase_changes.number is 'Counts the phases that the project has entered, from 1.';
comment on column matrice.phase_changes.phase is 'The phase.';
comment on column matrice.phase_changes.entered_at is 'When the project entered it.';
comment on column matrice.phase_changes.entered_by is 'The user who set the phase; null for a session without claims.';

-- Nobody knows when older projects entered their phase. It was at their last change, or before.
insert into matrice.phase_changes (project_id, number, phase, entered_at, entered_by)
select p.id, 1, p.current_phase, case p.current_phase when 'P1' then p.created_at else p.updated_at end,
       case p.current_phase when 'P1' then p.created_by end
  from matrice.projects p;

-- Members read. Nobody writes directly, services included: these are histories.
select matrice_private.revoke_from_everybody('table', name)
  from unnest(array['matrice.pillar_labels', 'matrice.phase_changes']) name;
grant select on matrice.pillar_labels, matrice.phase_changes to authenticated, service_role;

alter table matrice.pillar_labels enable row level security;
alter table matrice.phase_changes enable row level security;

create policy "viewers read" on matrice.pillar_labels for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
create policy "viewers read" on matrice.phase_changes for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));

-- These have another argument now.
drop function if exists matrice_private.rendered_context(uuid[], uuid[]);
drop function if exists matrice.build_context(
  text, vector, uuid, integer, integer, jsonb, text, text, integer, jsonb, double precision);

-- Versions must come in the order of their times, so that as_of finds what stood then.
alter table matrice.pillar_versions
  add constraint pillar_versions_saved_at_check check (saved_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z');
comment on column matrice.pillar_versions.saved_at is
  'When the version was saved. Never before the version that it replaced.';

comment on column matrice.projects.settings is
  'Settings of the project: a JSON object of at most 16 kB. "embedding_model" is a row of embedding_models. '
  '"embedding_template" is the text that is embedded, with {content}. "max_attempts" is the number of failures after which a '
  'chunk is not claimed any more. "keep_source_texts": whether the texts of sources are stored; true by default. '
  '"keep_source_versions": how many texts of each source are stored; 10 by default. "language" is a text search configuration, '
  'for example "english" or "french". "pillars": {"P4": {"name": …, "purpose": …, "template": …}, …}, what pillar_catalog '
  'shows instead of its defaults. "exit_criteria": {"P1": {"filled": ["P1"], "labelled": {"P1": "approved"}, "sources": 3, '
  '"insights": 2}, …}, what a phase must have before the project goes on to a later one. "viewers_record_runs": true lets '
  'viewers record runs of their own. "app" is an object for the application; matrice does not read it. Other keys are refused.';
comment on column matrice.workflow_runs.phase is
  'Matrice phase P1 to P6. If it is left out, it is the phase that the project was in when the run started.';
