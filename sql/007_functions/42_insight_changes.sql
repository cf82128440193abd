-- Changing which insights hold: superseding and retracting.

create or replace function matrice_private.hold_insights(project_id uuid) returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select pg_advisory_xact_lock(hashtext('matrice.insights'), hashtext(project_id::text));
end;
comment on function matrice_private.hold_insights is
  'Lets one transaction at a time replace insights of a project. Two at the same time could otherwise close a circle together.';

create or replace function matrice_private.project_of_insight(insight_id uuid, least_role text) returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  owner_project uuid;
begin
  select i.project_id into owner_project from matrice.insights i where i.id = project_of_insight.insight_id;
  if not found then
    raise exception 'insight not found'
      using errcode = 'PT404', detail = format('There is no insight %s that you can see.', insight_id);
  end if;
  perform matrice_private.require_role(owner_project, least_role);
  return owner_project;
end
$$;
comment on function matrice_private.project_of_insight is
  'Returns the project of an insight. Raises unless the caller can see the insight and has at least this role in its project.';

create or replace function matrice_private.require_insight_in(insight_id uuid, project_id uuid, other_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from matrice.insights i where i.id = require_insight_in.insight_id and i.project_id = require_insight_in.project_id
  ) then
    raise exception 'insight not found'
      using errcode = 'PT404', detail = format('The project of insight %s has no insight %s.', other_id, insight_id);
  end if;
end
$$;
comment on function matrice_private.require_insight_in is 'Raises unless an insight is in the project of another one.';

create or replace function matrice_private.lock_insights(project_id uuid, insight_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  locked uuid[];
begin
  loop
    begin
      perform matrice_private.hold_insights(project_id);
      locked := array(
        select i.id from matrice.insights i
         where i.project_id = lock_insights.project_id and i.id = any (insight_ids) order by i.id for no key update nowait);
      exit;
    exception when lock_not_available then
      -- Somebody who changes one of them directly may wait for the insights of the project now. This has given them back.
      locked := null;
    end;
    begin
      perform from matrice.insights i
        where i.project_id = lock_insights.project_id and i.id = any (insight_ids) order by i.id for no key update;
      raise exception using errcode = 'MT001', message = 'the insights are free';
    exception when sqlstate 'MT001' then
      -- They are free. They are not kept: whoever keeps them while he waits for the project could wait for ever.
      locked := null;
    end;
  end loop;
  if exists (select from unnest(insight_ids) as g (id) where g.id <> all (locked)) then
    raise exception 'insight not found'
      using errcode = 'PT404', detail = 'One of the insights has just been deleted.';
  end if;
end
$$;
comment on function matrice_private.lock_insights is
  'Lets one transaction at a time replace insights of a project, and keeps these from being deleted until it ends. They are '
  'locked in the order of their ids. A direct change of superseded_by locks its insight first, so nobody waits for one here '
  'while he keeps others waiting for the project. Raises PT404 if one is gone.';

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
            detail = case when old_id = new_id then format('Both are insight %s.', old_id)
                          else format('Insight %s is superseded by %s, directly or through others.', new_id, old_id) end,
            hint = 'Pass the insight that is right now as new_id.';
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
  perform matrice_private.hold_insights(new.project_id);
  perform matrice_private.require_no_circle(new.id, new.superseded_by);
  return new;
end
$$;
comment on function matrice_private.refuse_circle is
  'Refuses a direct change of superseded_by that would close a circle, in which no insight would be found any more.';

create or replace trigger refuse_circle before update of superseded_by on matrice.insights
for each row when (old.superseded_by is distinct from new.superseded_by and new.superseded_by <> new.id)
execute function matrice_private.refuse_circle();
-- Two new rows of one statement can name each other: foreign keys are checked at its end.
create or replace trigger refuse_new_circle after insert on matrice.insights
for each row when (new.superseded_by <> new.id) execute function matrice_private.refuse_circle();

create or replace function matrice_private.end_insight(old_id uuid, new_id uuid, is_merged boolean, reason text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  old_insight record;
  begins      timestamptz;
begin
  select i.superseded_by, i.retracted_at into old_insight from matrice.insights i where i.id = old_id for no key update;
  if old_insight.superseded_by = new_id then
    return;
  end if;
  if old_insight.superseded_by is not null then
    raise exception 'the insight is already superseded'
      using errcode = 'PT409', detail = format('Insight %s supersedes it.', old_insight.superseded_by);
  end if;
  perform matrice_private.require_no_circle(old_id, new_id);
  select coalesce(i.valid_from, now()) into begins from matrice.insights i where i.id = new_id;
  update matrice.insights i
     set superseded_by = new_id, is_merged = end_insight.is_merged,
         -- It holds until the other begins to.
         superseded_at = coalesce(i.superseded_at, case when end_insight.is_merged then now() else greatest(now(), begins) end),
         reason = coalesce(end_insight.reason, i.reason),
         -- What is merged was not wrong and has not ended.
         valid_until = case when end_insight.is_merged then i.valid_until
                            else greatest(least(i.valid_until, begins), i.valid_from) end
   where i.id = old_id;
end
$$;
comment on function matrice_private.end_insight is
  'Marks an insight as replaced by another one, or as merged into it. Raises if a third one replaced it already, or if a circle '
  'would close. Checks neither roles nor arguments: its callers do, and hold the insights of the project.';

create or replace function matrice.supersede_insight(old_id uuid, new_id uuid, reason text default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('old_id', old_id);
  perform matrice_private.require_given('new_id', new_id);
  perform matrice_private.require_bytes('reason', reason, 2000);
  owner_project := matrice_private.project_of_insight(old_id, 'viewer');
  perform matrice_private.require_insight_in(new_id, owner_project, old_id);
  perform matrice_private.require_role(owner_project, 'editor');
  perform matrice_private.lock_insights(owner_project, array[old_id, new_id]);
  perform matrice_private.end_insight(old_id, new_id, false, reason);
end
$$;
comment on function matrice.supersede_insight is
  'Marks an insight as superseded by another insight of the same project. It ceases to hold when the other begins to: '
  'search_insights then leaves the old one out, unless include_superseded is true. Nothing is deleted. reason: is stored with '
  'the old one.';

create or replace function matrice.retract_insight(insight_id uuid, reason text default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  kept uuid;
begin
  perform matrice_private.require_given('insight_id', insight_id);
  perform matrice_private.require_bytes('reason', reason, 2000);
  perform matrice_private.project_of_insight(insight_id, 'editor');
  kept := matrice_private.kept_insight(insight_id);
  if kept <> insight_id then
    raise exception 'the insight was merged into another one'
      using errcode = 'PT409', detail = format('Insight %s states the same.', kept), hint = 'Retract that one.';
  end if;
  update matrice.insights i set retracted_at = now(), reason = retract_insight.reason
   where i.id = retract_insight.insight_id and i.retracted_at is null;
end
$$;
comment on function matrice.retract_insight is
  'Marks an insight as wrong: it does not hold any more, and nothing takes its place. Nothing is deleted. Retracting it again '
  'changes nothing. Raises PT409 if it was merged into another one, which states the same. reason: is stored with it.';
