-- Insights that compound: what is told again is known again, and confidence follows from evidence.

alter table matrice.insights
  add column subject       text,
  add column attribute     text,
  add column value         text,
  add column volatility    text        not null default 'normal',
  add column valid_from    timestamptz,
  add column valid_until   timestamptz,
  add column is_merged     boolean     not null default false,
  add column retracted_at  timestamptz,
  add column reason        text,
  add column is_recorded   boolean     not null default false,
  add column content_hash  bytea,
  add column key_hash      bytea,
  add column sketch        integer[],
  add constraint insights_subject_length check (octet_length(subject) <= 2000),
  add constraint insights_attribute_length check (octet_length(attribute) <= 2000),
  add constraint insights_value_length check (octet_length(value) <= 2000),
  add constraint insights_subject_attribute_value_together
    check ((subject is null) = (attribute is null) and (subject is null) = (value is null)),
  add constraint insights_volatility_permanent_slow_normal_fast
    check (volatility in ('permanent', 'slow', 'normal', 'fast')),
  add constraint insights_valid_from_check check (valid_from between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  add constraint insights_valid_until_check check (valid_until between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  add constraint insights_valid_until_after_valid_from check (valid_until >= valid_from),
  add constraint insights_retracted_at_check check (retracted_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  add constraint insights_reason_length check (octet_length(reason) <= 2000),
  add constraint insights_content_hash_length check (octet_length(content_hash) = 32),
  add constraint insights_key_hash_length check (octet_length(key_hash) = 32),
  add constraint insights_sketch_length check (cardinality(sketch) <= 64);

-- record_insight stores a text once among those that hold. A client that inserts rows itself may repeat them.
create unique index insights_recorded_once on matrice.insights (project_id, content_hash, coalesce(valid_from, '-infinity'))
  where is_recorded and superseded_at is null and retracted_at is null;
create index idx_insights_content on matrice.insights (project_id, content_hash);
create index idx_insights_key on matrice.insights (project_id, key_hash) where key_hash is not null;
-- Without fastupdate, because after many new insights every call would read the whole list of pending entries.
create index idx_insights_sketch on matrice.insights using gin (sketch) with (fastupdate = off);

comment on column matrice.insights.confidence is
  'Confidence of the first statement, 0 to 1. What it is now follows from it and from the evidence: search_insights returns it.';
comment on column matrice.insights.evidence is
  'What supports the insight, as the caller recorded it. What matrice counts is in insight_evidence.';
comment on column matrice.insights.superseded_by is
  'The insight that replaced this one, or that it was merged into.';
comment on column matrice.insights.superseded_at is
  'When the insight was replaced or merged. Such an insight does not hold any more, also if the other one is deleted.';
comment on column matrice.insights.subject is
  'What the insight is about, if it states a value. Insights that hold with the same subject and attribute and another value '
  'contradict each other.';
comment on column matrice.insights.attribute is 'Which attribute of the subject.';
comment on column matrice.insights.value is 'The value of the attribute.';
comment on column matrice.insights.volatility is
  'How fast the confidence falls with age: permanent: never; slow, normal, fast: by half in 1095, 365 or 30 days without new '
  'evidence.';
comment on column matrice.insights.valid_from is 'When what it states begins to hold. Null: it always did.';
comment on column matrice.insights.valid_until is 'When it ceases to hold. Null: it still does.';
comment on column matrice.insights.is_merged is 'Whether superseded_by states the same in other words.';
comment on column matrice.insights.retracted_at is 'When the insight was retracted.';
comment on column matrice.insights.reason is 'Why it was retracted or superseded.';
comment on column matrice.insights.is_recorded is
  'Whether record_insight stored the text. Of the insights that are not ended, there is one with each such text and valid_from.';
comment on column matrice.insights.content_hash is
  'SHA-256 of type, title, content, subject, attribute and value. Case, white space, and quotation marks and punctuation around '
  'them do not count. Set by a trigger.';
comment on column matrice.insights.key_hash is
  'SHA-256 of subject and attribute, likewise; null if the insight states no value. Set by a trigger.';
comment on column matrice.insights.sketch is
  'Codes of the words. Insights of a project with similar words share some. Set by a trigger.';

-- insight_evidence ---------------------------------------------------------------------------------------------------

create table matrice.insight_evidence (
  id           uuid        not null default gen_random_uuid(),
  project_id   uuid        not null,
  insight_id   uuid        not null,
  kind         text        not null,
  is_for       boolean     not null,
  is_first     boolean     not null default false,
  evidence_key text        not null,
  witness      text        not null,
  source_id    uuid,
  chunk_id     uuid,
  start_char   integer,
  end_char     integer,
  run_id       uuid,
  step_id      uuid,
  user_id      uuid,
  url          text,
  note         text,
  text_hash    bytea,
  merged_from  uuid,
  created_at   timestamptz not null default clock_timestamp(),
  created_by   uuid,
  changed_at   timestamptz,
  deleted_at   timestamptz,
  ended_at     timestamptz,
  constraint insight_evidence_pkey primary key (id),
  -- Deleted with the insight.
  constraint insight_evidence_insight_fkey foreign key (project_id, insight_id)
    references matrice.insights (project_id, id) on delete cascade,
  constraint insight_evidence_kind_chunk_source_url_step_run_person_service
    check (kind in ('chunk', 'source', 'url', 'step', 'run', 'person', 'service')),
  constraint insight_evidence_evidence_key_length check (octet_length(evidence_key) <= 100),
  constraint insight_evidence_witness_length check (octet_length(witness) <= 100),
  constraint insight_evidence_url_length check (octet_length(url) <= 2000),
  constraint insight_evidence_note_length check (octet_length(note) <= 2000),
  constraint insight_evidence_text_hash_length check (octet_length(text_hash) = 32)
);
-- What a retry tells once more is no new evidence.
create unique index insight_evidence_once on matrice.insight_evidence (insight_id, evidence_key, ended_at) nulls not distinct;
create index idx_insight_evidence_insight on matrice.insight_evidence (project_id, insight_id);
create index idx_insight_evidence_source on matrice.insight_evidence (source_id) where source_id is not null;
create index idx_insight_evidence_run on matrice.insight_evidence (run_id) where run_id is not null;

comment on table matrice.insight_evidence is
  'What speaks for and against insights. Rows are never changed but for the times at the end. record_insight, confirm_insight, '
  'contradict_insight and merge_insights write them, and triggers.';
comment on column matrice.insight_evidence.id is 'Primary key.';
comment on column matrice.insight_evidence.project_id is 'The project of the insight.';
comment on column matrice.insight_evidence.insight_id is 'The insight.';
comment on column matrice.insight_evidence.kind is
  'What it is: chunk, source, url, step or run; person or service, if somebody only said so.';
comment on column matrice.insight_evidence.is_for is 'Whether it speaks for the insight; else against it.';
comment on column matrice.insight_evidence.is_first is
  'Whether it came with the first statement, so that the confidence of that statement includes it.';
comment on column matrice.insight_evidence.evidence_key is
  'Distinguishes the evidence of an insight. The same evidence again changes nothing.';
comment on column matrice.insight_evidence.witness is
  'Whose word it is. All evidence of a witness counts once: all chunks of a source, all sources with the same text, and what a '
  'member says or gives as URL, run or step.';
comment on column matrice.insight_evidence.source_id is
  'The source. There is no foreign key here and below: it is known where an insight came from after that is deleted.';
comment on column matrice.insight_evidence.chunk_id is 'The chunk.';
comment on column matrice.insight_evidence.start_char is 'Where the chunk began in the text of its source.';
comment on column matrice.insight_evidence.end_char is 'Where it ended.';
comment on column matrice.insight_evidence.run_id is 'The run that found it.';
comment on column matrice.insight_evidence.step_id is 'The step that found it.';
comment on column matrice.insight_evidence.user_id is 'The person who said so.';
comment on column matrice.insight_evidence.url is 'The address.';
comment on column matrice.insight_evidence.note is 'What the caller said about it.';
comment on column matrice.insight_evidence.text_hash is
  'SHA-256 of the text of the chunk, or of the stored text of the source, at that time.';
comment on column matrice.insight_evidence.merged_from is 'The insight that was merged into this one and had the evidence.';
comment on column matrice.insight_evidence.created_at is 'When it was recorded.';
comment on column matrice.insight_evidence.created_by is 'The user who recorded it; null for a service.';
comment on column matrice.insight_evidence.changed_at is
  'When the text was changed. From then on the evidence counts half.';
comment on column matrice.insight_evidence.deleted_at is
  'When the source was deleted. From then on the evidence counts a quarter.';
comment on column matrice.insight_evidence.ended_at is
  'When newer evidence with the same key replaced it. From then on it does not count.';

-- insight_candidates -------------------------------------------------------------------------------------------------

create table matrice.insight_candidates (
  project_id   uuid             not null,
  insight_id   uuid             not null,
  candidate_id uuid             not null,
  found_by     text             not null,
  likeness     double precision not null,
  created_at   timestamptz      not null default now(),
  constraint insight_candidates_pkey primary key (insight_id, candidate_id, found_by),
  constraint insight_candidates_insight_fkey foreign key (project_id, insight_id)
    references matrice.insights (project_id, id) on delete cascade,
  constraint insight_candidates_candidate_fkey foreign key (project_id, candidate_id)
    references matrice.insights (project_id, id) on delete cascade,
  constraint insight_candidates_likeness_check check (likeness between 0 and 1)
);
create index idx_insight_candidates_insight on matrice.insight_candidates (project_id, insight_id);
create index idx_insight_candidates_candidate on matrice.insight_candidates (project_id, candidate_id);

comment on table matrice.insight_candidates is
  'Insights that may state the same. record_insight finds them when it stores a new insight. merge_insights merges them.';
comment on column matrice.insight_candidates.project_id is 'The project.';
comment on column matrice.insight_candidates.insight_id is 'The newer insight.';
comment on column matrice.insight_candidates.candidate_id is 'The older insight.';
comment on column matrice.insight_candidates.found_by is 'How it was found: words.';
comment on column matrice.insight_candidates.likeness is
  'How alike they are, 0 to 1. By words: the share of the stems of both that both have.';
comment on column matrice.insight_candidates.created_at is 'When it was found.';

-- insight_versions ---------------------------------------------------------------------------------------------------

create table matrice.insight_versions (
  id             uuid             not null default gen_random_uuid(),
  project_id     uuid             not null,
  insight_id     uuid             not null,
  type           text             not null,
  title          text             not null,
  content        text             not null,
  confidence     double precision not null,
  subject        text,
  attribute      text,
  value          text,
  volatility     text             not null,
  valid_from     timestamptz,
  valid_until    timestamptz,
  superseded_by  uuid,
  superseded_at  timestamptz,
  is_merged      boolean          not null,
  retracted_at   timestamptz,
  reason         text,
  replaced_at    timestamptz      not null default clock_timestamp(),
  replaced_by    uuid                      default matrice_private.current_user_id(),
  constraint insight_versions_pkey primary key (id),
  constraint insight_versions_insight_fkey foreign key (project_id, insight_id)
    references matrice.insights (project_id, id) on delete cascade
);
create index idx_insight_versions_insight on matrice.insight_versions (project_id, insight_id, replaced_at);

comment on table matrice.insight_versions is
  'What insights said before they were changed, superseded, merged or retracted. Only a trigger writes it. Deleting an insight '
  'deletes its history.';
comment on column matrice.insight_versions.id is 'Primary key.';
comment on column matrice.insight_versions.project_id is 'The project.';
comment on column matrice.insight_versions.insight_id is 'The insight.';
comment on column matrice.insight_versions.replaced_at is 'Until when the insight was so.';
comment on column matrice.insight_versions.replaced_by is 'The user who changed it then; null for a service.';
do $$
declare
  name text;
begin
  foreach name in array array['type', 'title', 'content', 'confidence', 'subject', 'attribute', 'value', 'volatility', 'valid_from',
                              'valid_until', 'superseded_by', 'superseded_at', 'is_merged', 'retracted_at', 'reason'] loop
    execute format('comment on column matrice.insight_versions.%I is %L', name, format('insights.%s until then.', name));
  end loop;
end
$$;

-- Members read. Nobody writes directly, services included: otherwise an editor could raise a confidence by making witnesses up.
select matrice_private.revoke_from_everybody('table', name)
  from unnest(array['matrice.insight_evidence', 'matrice.insight_candidates', 'matrice.insight_versions']) name;
grant select on matrice.insight_evidence, matrice.insight_candidates, matrice.insight_versions to authenticated, service_role;

alter table matrice.insight_evidence enable row level security;
alter table matrice.insight_candidates enable row level security;
alter table matrice.insight_versions enable row level security;

create policy "viewers read" on matrice.insight_evidence for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
create policy "viewers read" on matrice.insight_candidates for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
create policy "viewers read" on matrice.insight_versions for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));

-- Their arguments and results changed.
drop function if exists matrice.record_insight, matrice.supersede_insight, matrice.search_insights;
