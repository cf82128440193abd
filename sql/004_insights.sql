-- Insights: knowledge from earlier runs that later runs can use.

create table matrice.insights (
  id            uuid             not null default gen_random_uuid(),
  project_id    uuid             not null,
  source_id     uuid,
  type          text             not null,
  title         text             not null,
  content       text             not null,
  confidence    double precision not null default 0.5,
  tags          jsonb            not null default '[]',
  created_at    timestamptz      not null default now(),
  evidence      jsonb,
  superseded_by uuid,
  superseded_at timestamptz,
  fts           tsvector,
  constraint insights_pkey primary key (id),
  constraint insights_project_id_id_key unique (project_id, id),
  constraint insights_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint insights_source_fkey foreign key (project_id, source_id)
    references matrice.context_sources (project_id, id) on delete set null (source_id),
  constraint insights_superseded_by_fkey foreign key (project_id, superseded_by)
    references matrice.insights (project_id, id) on delete set null (superseded_by),
  constraint insights_confidence_check check (confidence between 0 and 1),
  constraint insights_tags_is_array check (jsonb_typeof(tags) = 'array'),
  constraint insights_tags_size check (matrice_private.json_within(tags, 16384)),
  constraint insights_evidence_size check (matrice_private.json_within(evidence, 65536)),
  constraint insights_type_length check (octet_length(type) <= 200),
  constraint insights_title_length check (octet_length(title) <= 2000),
  constraint insights_content_length check (octet_length(content) <= 65536),
  constraint insights_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint insights_superseded_at_check check (superseded_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z'),
  constraint insights_not_superseded_by_itself check (superseded_by <> id)
);
create index idx_insights_project on matrice.insights (project_id);
create index idx_insights_project_created on matrice.insights (project_id, created_at);
create index idx_insights_source on matrice.insights (project_id, source_id);
create index idx_insights_superseded_by on matrice.insights (project_id, superseded_by);

comment on table matrice.insights is 'Insights: knowledge gained from AI queries and kept for later ones.';
comment on column matrice.insights.id is 'Primary key.';
comment on column matrice.insights.project_id is 'The project.';
comment on column matrice.insights.source_id is 'The source that the insight came from, if any.';
comment on column matrice.insights.type is 'Kind of insight: pattern, learning, decision, …';
comment on column matrice.insights.title is 'Short title.';
comment on column matrice.insights.content is 'Full text of the insight.';
comment on column matrice.insights.confidence is 'Confidence, 0 to 1.';
comment on column matrice.insights.tags is 'Tags, a JSON array.';
comment on column matrice.insights.created_at is 'When the insight was recorded.';
comment on column matrice.insights.evidence is 'What supports the insight, as the caller recorded it.';
comment on column matrice.insights.superseded_by is 'The insight that replaced this one.';
comment on column matrice.insights.superseded_at is 'When the insight was replaced.';
comment on column matrice.insights.fts is
  'The words of title and content, as in source_chunks.fts. Words of the title count twice. Set by a trigger.';
