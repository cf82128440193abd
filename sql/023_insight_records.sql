-- What insights keep about where and when they were recorded.

-- recorded_at and text_hash -------------------------------------------------------------------------------------------

-- Older rows say only what created_at says.
alter table matrice.insights disable trigger user;
alter table matrice.insights
  add column recorded_at timestamptz,
  add column text_hash   bytea,
  add constraint insights_text_hash_length check (octet_length(text_hash) = 32);
update matrice.insights set recorded_at = least(created_at, now()) where recorded_at is null;
do $$
begin
  if exists (select from matrice.insights) then
    -- An older version has made the function. A new database has it later.
    execute 'update matrice.insights set text_hash = matrice_private.statement_hash(type, title, content)
              where text_hash is null';
  end if;
end
$$;
alter table matrice.insights
  alter column recorded_at set not null,
  alter column recorded_at set default clock_timestamp(),
  add constraint insights_recorded_at_check check (recorded_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z');
alter table matrice.insights enable trigger user;
comment on column matrice.insights.created_at is 'When the insight was made, as the client says; by default, when it was stored.';
comment on column matrice.insights.recorded_at is
  'When the insight was stored. Set by a trigger, whatever a client writes, so known_at can rely on it. Only the owner of the '
  'table can keep another time, as import_project does.';

comment on column matrice.insights.text_hash is
  'SHA-256 of type, title and content, as in content_hash. Insights that share it state the same, unless they state other '
  'values. Set by a trigger.';
create index idx_insights_text on matrice.insights (project_id, text_hash);

-- The names of sources -----------------------------------------------------------------------------------------------

alter table matrice.insight_evidence
  add column source_name text,
  add column source_key  text,
  add constraint insight_evidence_source_name_length check (octet_length(source_name) <= 2000),
  add constraint insight_evidence_source_key_length check (octet_length(source_key) <= 2000);
comment on column matrice.insight_evidence.source_name is
  'What the source was called when the evidence was recorded. So it is known after that is deleted.';
comment on column matrice.insight_evidence.source_key is 'The source_key that the source had then, if it had one.';
update matrice.insight_evidence e set source_name = s.name, source_key = s.source_key
  from matrice.context_sources s where s.id = e.source_id and s.project_id = e.project_id;

-- Their results changed.
drop function if exists matrice_private.weighed_insights(uuid[], timestamptz),
  matrice_private.insights_as_of(uuid, timestamptz), matrice_private.known_insight(uuid, bytea, timestamptz);
