-- What others say about an insight: confirm_insight, contradict_insight.

create or replace function matrice_private.judge(
  insight_id uuid, is_for boolean, source_id uuid, chunk_ids uuid[], run_id uuid, step_id uuid, url text, note text
) returns double precision
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('insight_id', insight_id);
  perform matrice_private.require_evidence(chunk_ids, url, note);
  owner_project := matrice_private.project_of_insight(insight_id, 'editor');
  perform matrice_private.hold_project(owner_project);
  perform matrice_private.require_origin(owner_project, source_id, run_id, step_id);
  perform matrice_private.remember_evidence(insight_id, is_for, false, source_id, chunk_ids, run_id, step_id, url, note);
  return (select j.confidence from matrice_private.judged_insights(array[matrice_private.kept_insight(judge.insight_id)]) j);
end
$$;
comment on function matrice_private.judge is 'Does what confirm_insight and contradict_insight do.';

create or replace function matrice.confirm_insight(
  insight_id uuid, source_id uuid default null, chunk_ids uuid[] default null, run_id uuid default null,
  step_id uuid default null, url text default null, note text default null
) returns double precision
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.judge(insight_id, true, source_id, chunk_ids, run_id, step_id, url, note);
end
$$;
comment on function matrice.confirm_insight is
  'Adds evidence for an insight, or for the one that it was merged into. Returns the confidence of that now. Evidence that it '
  'has already changes nothing; after a day it makes the insight fresh again. A witness counts once, whatever he repeats. '
  'source_id, chunk_ids, run_id, step_id, url: the evidence, as in record_insight; without any, the caller''s own word.';

create or replace function matrice.contradict_insight(
  insight_id uuid, source_id uuid default null, chunk_ids uuid[] default null, run_id uuid default null,
  step_id uuid default null, url text default null, note text default null
) returns double precision
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.judge(insight_id, false, source_id, chunk_ids, run_id, step_id, url, note);
end
$$;
comment on function matrice.contradict_insight is
  'Adds evidence against an insight, or against the one that it was merged into. Returns the confidence of that now. The '
  'insight still holds; insights_review lists it. A witness who has said the opposite has changed his mind. Arguments: as in '
  'confirm_insight.';
