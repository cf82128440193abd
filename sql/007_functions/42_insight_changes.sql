-- Changing which insights hold: superseding, merging, retracting.

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

create or replace function matrice_private.take_over_evidence(kept_id uuid, merged_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The first statement of a merged insight is one more statement of the one that is kept.
  insert into matrice.insight_evidence (
    project_id, insight_id, kind, is_for, evidence_key, witness, source_id, chunk_id, start_char, end_char, run_id, step_id,
    user_id, url, note, text_hash, merged_from, created_by, changed_at, deleted_at, source_name, source_key)
  select e.project_id, kept_id, e.kind, e.is_for, e.evidence_key,
         coalesce((select k.witness from matrice.insight_evidence k
                    where k.insight_id = kept_id and k.text_hash = e.text_hash order by k.created_at, k.id limit 1), e.witness),
         e.source_id, e.chunk_id, e.start_char, e.end_char, e.run_id, e.step_id, e.user_id, e.url, e.note, e.text_hash,
         merged_id, e.created_by, e.changed_at, e.deleted_at, e.source_name, e.source_key
    from matrice.insight_evidence e
   where e.insight_id = merged_id and e.ended_at is null
   order by e.created_at, e.id
  on conflict (insight_id, evidence_key, ended_at) do nothing;
end
$$;
comment on function matrice_private.take_over_evidence is
  'Adds the evidence of a merged insight to the one that is kept. SECURITY DEFINER: nobody may write insight_evidence. The '
  'function does not check membership of the project. So only services and take_over_evidence_of_member may execute it.';

create or replace function matrice_private.take_over_evidence_of_member(kept_id uuid, merged_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Only merge_insights has made one the successor of the other.
  if exists (
    select from matrice.insights i join matrice.insights m on m.project_id = i.project_id
     where i.id = kept_id and m.id = merged_id and m.superseded_by = kept_id and m.is_merged
       and i.project_id = any (matrice_private.project_ids('editor'))
  ) then
    perform matrice_private.take_over_evidence(kept_id, merged_id);
  end if;
end
$$;
comment on function matrice_private.take_over_evidence_of_member is
  'Calls take_over_evidence if the caller may edit the project and one insight was merged into the other. SECURITY DEFINER: '
  'nobody may write insight_evidence.';

create or replace function matrice_private.require_no_contradiction(kept_id uuid, merged_ids uuid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  other record;
begin
  select m.id, matrice_private.quoted(k.value) as kept, matrice_private.quoted(m.value) as merged into other
    from matrice.insights k
    join matrice.insights m on m.project_id = k.project_id and m.key_hash = k.key_hash
   where k.id = kept_id and m.id = any (merged_ids)
     and matrice_private.normal_value(m.value) <> matrice_private.normal_value(k.value)
   limit 1;
  if found then
    raise exception 'insights that contradict each other cannot be merged'
      using errcode = 'PT409',
            detail = format('Insight %s states %s, and %s states %s.', kept_id, other.kept, other.id, other.merged),
            hint = 'End the wrong one with supersede_insight or retract_insight.';
  end if;
end
$$;
comment on function matrice_private.require_no_contradiction is
  'Raises if one of the insights states another value of the same attribute than the one that is kept.';

create or replace function matrice.merge_insights(kept_id uuid, merged_ids uuid[]) returns double precision
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  owner_project uuid;
  merged        uuid;
begin
  perform matrice_private.require_given('kept_id', kept_id);
  perform matrice_private.require_given('merged_ids', merged_ids);
  if array_ndims(merged_ids) is distinct from 1 or cardinality(merged_ids) > 1000
     or array_position(merged_ids, null) is not null then
    raise exception 'merged_ids must be a plain list of 1 to 1000 ids, without null'
      using errcode = '22023', hint = 'Pass the insights that state the same as kept_id.';
  end if;
  owner_project := matrice_private.project_of_insight(kept_id, 'viewer');
  foreach merged in array merged_ids loop
    perform matrice_private.require_insight_in(merged, owner_project, kept_id);
  end loop;
  perform matrice_private.require_role(owner_project, 'editor');
  perform matrice_private.lock_insights(owner_project, merged_ids || kept_id);
  perform matrice_private.require_no_contradiction(kept_id, merged_ids);
  foreach merged in array merged_ids loop
    perform matrice_private.end_insight(merged, kept_id, true, null);
    -- It may have been superseded by it before. Then it states something else.
    continue when not (select i.is_merged from matrice.insights i where i.id = merged);
    if row_security_active('matrice.insight_evidence') then
      perform matrice_private.take_over_evidence_of_member(kept_id, merged);
    else
      perform matrice_private.take_over_evidence(kept_id, merged);
    end if;
  end loop;
  return (select j.confidence from matrice_private.judged_insights(array[kept_id]) j);
end
$$;
comment on function matrice.merge_insights is
  'Merges insights that state the same into one of them. Their evidence, the first statements included, becomes evidence of '
  'kept_id. They do not hold any more; nothing is deleted. Returns the confidence of kept_id now. Refuses insights that state '
  'different values of the same attribute. merged_ids: 1 to 1000 other insights of the same project.';

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
