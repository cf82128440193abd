-- Merging insights that state the same. The evidence of one becomes evidence of the other.

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
