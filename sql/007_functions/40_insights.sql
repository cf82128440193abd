-- Insights: recording, superseding and searching them.

create or replace function matrice_private.complete_insight() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- PostgreSQL checks constraints after this trigger, which would already have read a value that is too large.
  perform matrice_private.require_bytes('title', new.title, 2000);
  perform matrice_private.require_bytes('content', new.content, 65536);
  -- The words of the title count twice.
  new.fts := matrice_private.text_vector(
    concat_ws(E'\n\n', new.title, new.title, new.content), matrice_private.text_language(new.project_id));
  return new;
end
$$;
comment on function matrice_private.complete_insight is
  'Computes the full-text index (fts) of an insight. The title weighs more than the content.';

create or replace trigger complete_insight before insert or update of title, content, fts, project_id on matrice.insights
for each row execute function matrice_private.complete_insight();

create or replace function matrice.record_insight(
  project_id uuid, type text, title text, content text, confidence double precision default 0.5,
  tags jsonb default '[]', source_id uuid default null, evidence jsonb default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  new_id uuid;
begin
  perform matrice_private.require_text('type', type);
  perform matrice_private.require_text('title', title);
  perform matrice_private.require_text('content', content);
  perform matrice_private.require_given('confidence', confidence);
  if not confidence between 0 and 1 then
    raise exception 'confidence must be between 0 and 1, not %', confidence
      using errcode = '22023', hint = 'Leave it out to use 0.5.';
  end if;
  perform matrice_private.require_bytes('type', type, 200);
  perform matrice_private.require_bytes('title', title, 2000);
  perform matrice_private.require_bytes('content', content, 65536);
  perform matrice_private.require_given('tags', tags);
  perform matrice_private.require_json('tags', tags, 16384);
  perform matrice_private.require_json('evidence', evidence, 65536);
  if jsonb_typeof(tags) <> 'array' then
    raise exception 'tags must be a JSON array'
      using errcode = '22023', detail = format('It is a JSON %s.', jsonb_typeof(tags)),
            hint = 'Pass the array itself, not a string that contains it.';
  end if;
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  if source_id is not null and not exists (
    select from matrice.context_sources s where s.id = record_insight.source_id and s.project_id = record_insight.project_id
  ) then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('Project %s has no source %s.', project_id, source_id);
  end if;
  insert into matrice.insights as i (project_id, source_id, type, title, content, confidence, tags, evidence)
  values (record_insight.project_id, record_insight.source_id, record_insight.type, record_insight.title,
          record_insight.content, record_insight.confidence, record_insight.tags, record_insight.evidence)
  returning i.id into new_id;
  return new_id;
end
$$;
comment on function matrice.record_insight is
  'Records an insight and returns its id. type: a word of the client''s choice, such as pattern, learning or decision. '
  'confidence: 0 to 1. tags: a JSON array. source_id: the source that the insight came from; it must be in the same '
  'project. evidence: any JSON. Defaults: confidence 0.5, tags ''[]''.';

create or replace function matrice_private.require_no_circle(old_id uuid, new_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    with recursive successors as (
      select i.id, i.superseded_by from matrice.insights i where i.id = new_id
      union
      select i.id, i.superseded_by from matrice.insights i join successors s on i.id = s.superseded_by
    )
    select from successors s where s.id = old_id
  ) then
    raise exception 'an insight cannot supersede itself, directly or through others'
      using errcode = '22023',
            detail = format('Insight %s is %s itself, or is superseded by it directly or through others.', new_id, old_id);
  end if;
end
$$;
comment on function matrice_private.require_no_circle is
  'Raises if an insight would supersede itself, directly or through others.';

create or replace function matrice_private.refuse_circle() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_no_circle(new.id, new.superseded_by);
  return new;
end
$$;
comment on function matrice_private.refuse_circle is
  'Refuses a direct change of superseded_by that would close a circle, in which no insight would be found any more.';

create or replace trigger refuse_circle before update of superseded_by on matrice.insights
for each row when (old.superseded_by is distinct from new.superseded_by and new.superseded_by <> new.id)
execute function matrice_private.refuse_circle();

create or replace function matrice.supersede_insight(old_id uuid, new_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  old_insight record;
  new_project uuid;
begin
  perform matrice_private.require_given('old_id', old_id);
  perform matrice_private.require_given('new_id', new_id);
  select i.project_id, i.superseded_by into old_insight from matrice.insights i where i.id = old_id;
  if not found then
    raise exception 'insight not found'
      using errcode = 'PT404', detail = format('There is no insight %s that you can see.', old_id);
  end if;
  select i.project_id into new_project from matrice.insights i where i.id = new_id;
  if not found or new_project <> old_insight.project_id then
    raise exception 'insight not found'
      using errcode = 'PT404', detail = format('The project of insight %s has no insight %s.', old_id, new_id);
  end if;
  perform matrice_private.require_role(old_insight.project_id, 'editor');
  -- Locks all insights of the project: two calls at the same time could otherwise close a circle together.
  perform from matrice.insights i where i.project_id = old_insight.project_id order by i.id for no key update;
  select i.superseded_by into old_insight.superseded_by from matrice.insights i where i.id = old_id;
  if old_insight.superseded_by is not null and old_insight.superseded_by <> new_id then
    raise exception 'the insight is already superseded'
      using errcode = 'PT409', detail = format('Insight %s supersedes it.', old_insight.superseded_by);
  end if;
  perform matrice_private.require_no_circle(old_id, new_id);
  update matrice.insights i set superseded_by = new_id, superseded_at = coalesce(i.superseded_at, now()) where i.id = old_id;
end
$$;
comment on function matrice.supersede_insight is
  'Marks an insight as superseded by another insight of the same project. search_insights then leaves the old one '
  'out, unless include_superseded is true. Nothing is deleted.';

create or replace function matrice.search_insights(
  query_text text, project_id uuid, match_count integer default 10, include_superseded boolean default false
) returns table (
  insight_id uuid, source_id uuid, type text, title text, content text, confidence double precision, tags jsonb,
  created_at timestamptz, superseded_by uuid, rank real
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  found record;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_given('include_superseded', include_superseded);
  perform matrice_private.require_role(project_id, 'viewer');
  -- The statistics are those of all insights that the caller can see, superseded ones included.
  select array_agg(i.id) as ids, array_agg(i.fts) as vectors into found
    from matrice.insights i where i.project_id = search_insights.project_id;
  return query
    select i.id, i.source_id, i.type, i.title, i.content, i.confidence, i.tags, i.created_at, i.superseded_by, r.score::real
      from matrice_private.ranked_texts(query_text, found.ids, found.vectors) r
     cross join lateral (select i.* from matrice.insights i where i.id = r.id offset 0) i
     where (include_superseded or i.superseded_by is null)
       and (r.phrases is null or i.fts @@ r.phrases)
     order by r.score * i.confidence desc, i.id
     limit match_count;
end
$$;
comment on function matrice.search_insights is
  'Searches the insights of a project by the words of a query. Returns the best first, by rank times confidence. '
  'query_text: as in search_chunks. match_count: 1 to 10000. include_superseded: if true, '
  'superseded insights are found too. Defaults: match_count 10, include_superseded false.';
