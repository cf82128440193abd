-- Evidence whose text comes back in the same source counts again. The weakened row ends and a new one begins, so that known_at
-- still says that it was weak meanwhile.

create or replace function matrice_private.restore_evidence(evidence_id uuid, chunk_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  weak  matrice.insight_evidence;
  chunk record;
begin
  update matrice.insight_evidence e set ended_at = clock_timestamp()
   where e.id = evidence_id and e.changed_at is not null and e.deleted_at is null and e.ended_at is null
     and exists (select from matrice.insights i where i.id = e.insight_id)
  returning * into weak;
  if not found then
    return;
  end if;
  select c.start_char, c.end_char into chunk from matrice.source_chunks c where c.id = restore_evidence.chunk_id;
  insert into matrice.insight_evidence (
    project_id, insight_id, kind, is_for, is_first, evidence_key, witness, source_id, chunk_id, start_char, end_char, run_id,
    step_id, user_id, url, note, text_hash, merged_from, created_by, source_name, source_key)
  values (weak.project_id, weak.insight_id, weak.kind, weak.is_for, weak.is_first,
          coalesce('chunk:' || restore_evidence.chunk_id, weak.evidence_key), weak.witness, weak.source_id,
          restore_evidence.chunk_id, chunk.start_char, chunk.end_char, weak.run_id, weak.step_id, weak.user_id, weak.url,
          weak.note, weak.text_hash, weak.merged_from, weak.created_by, weak.source_name, weak.source_key)
  on conflict (insight_id, evidence_key, ended_at) do nothing;
end
$$;
comment on function matrice_private.restore_evidence is
  'Ends a piece of evidence whose text was changed, and adds it again, because its text is in the source again: in this chunk, '
  'or as the whole text of the source if chunk_id is null. Only triggers call it.';

create or replace function matrice_private.is_restorable(evidence matrice.insight_evidence) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select evidence.changed_at is not null and evidence.deleted_at is null and evidence.ended_at is null
         -- Evidence for other words of the insight stays weak.
         and not exists (
           select from matrice.insights i
             join matrice.insight_versions v on v.project_id = i.project_id and v.insight_id = i.id
            where i.id = evidence.insight_id and v.replaced_at > evidence.created_at
              and (v.title <> i.title or v.content <> i.content or v.value is distinct from i.value and v.value is not null))
$$;
comment on function matrice_private.is_restorable is
  'Returns whether evidence is weak only because its text was changed.';

create or replace function matrice_private.restore_by_chunks() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- By source, because most sources are no evidence, so hashes are computed for few.
  perform matrice_private.restore_evidence(e.id, c.id)
     from matrice.insight_evidence e
    cross join lateral (
      select a.id from added a
       where a.source_id = e.source_id and a.project_id = e.project_id and matrice_private.text_hash(a.content) = e.text_hash
       order by a.chunk_index limit 1) c
    where e.source_id = any (array(select distinct a.source_id from added a)) and e.kind = 'chunk'
      and matrice_private.is_restorable(e);
  return null;
end
$$;
comment on function matrice_private.restore_by_chunks is
  'Lets evidence count again whose text is in new chunks of its source. SECURITY DEFINER: nobody may write insight_evidence.';

create or replace trigger restore_evidence after insert on matrice.source_chunks referencing new table as added
for each statement execute function matrice_private.restore_by_chunks();

create or replace function matrice_private.restore_by_chunk() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.restore_evidence(e.id, new.id)
     from matrice.insight_evidence e
    where e.source_id = new.source_id and e.project_id = new.project_id and e.kind = 'chunk'
      and e.text_hash = matrice_private.text_hash(new.content)
      and matrice_private.is_restorable(e);
  return null;
end
$$;
comment on function matrice_private.restore_by_chunk is
  'Does what restore_by_chunks does, for a chunk whose text changed. SECURITY DEFINER: nobody may write insight_evidence.';

create or replace trigger restore_evidence_of_text after update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.restore_by_chunk();

create or replace function matrice_private.restore_by_source() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.restore_evidence(e.id, null)
     from matrice.insight_evidence e
    where e.source_id = new.id and e.project_id = new.project_id and e.kind = 'source' and e.text_hash = new.content_hash
      and matrice_private.is_restorable(e);
  return null;
end
$$;
comment on function matrice_private.restore_by_source is
  'Lets evidence that a whole source gave count again when the source has its text again. SECURITY DEFINER: nobody may write '
  'insight_evidence.';

create or replace trigger restore_evidence_of_source after update of content_hash on matrice.context_sources
for each row when (old.content_hash is distinct from new.content_hash and new.content_hash is not null)
execute function matrice_private.restore_by_source();
