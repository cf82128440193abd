-- Evidence whose source is deleted or whose text changes weakens: triggers note when. They lock nothing but the evidence. Where
-- the project is being deleted, the insight may be gone already, and its evidence is next.
-- Evidence that somebody imported can name a source of another project. What happens there must not reach it.

create or replace function matrice_private.weaken_by_chunks() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- By source, because a statement deletes many chunks of few sources, and most sources are no evidence.
  update matrice.insight_evidence e set changed_at = clock_timestamp()
   where e.source_id = any (array(select distinct r.source_id from removed r))
     and (e.project_id, e.chunk_id) in (select r.project_id, r.id from removed r) and e.changed_at is null
     and exists (select from matrice.insights i where i.id = e.insight_id);
  return null;
end
$$;
comment on function matrice_private.weaken_by_chunks is
  'Notes in the evidence that chunks gave that they are gone. SECURITY DEFINER: nobody may write insight_evidence.';

create or replace trigger weaken_evidence after delete on matrice.source_chunks referencing old table as removed
for each statement execute function matrice_private.weaken_by_chunks();

create or replace function matrice_private.weaken_by_chunk() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update matrice.insight_evidence e set changed_at = clock_timestamp()
   where e.source_id = old.source_id and e.project_id = old.project_id and e.chunk_id = old.id and e.changed_at is null
     -- restore_by_chunk may have come first.
     and e.text_hash is distinct from matrice_private.text_hash(new.content)
     and exists (select from matrice.insights i where i.id = e.insight_id);
  return null;
end
$$;
comment on function matrice_private.weaken_by_chunk is
  'Notes in the evidence that a chunk gave that its text changed. SECURITY DEFINER: nobody may write insight_evidence.';

create or replace trigger weaken_evidence_of_text after update of content on matrice.source_chunks
for each row when (old.content is distinct from new.content) execute function matrice_private.weaken_by_chunk();

create or replace function matrice_private.weaken_by_sources() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update matrice.insight_evidence e set deleted_at = clock_timestamp()
   where e.source_id = any (array(select r.id from removed r)) and e.deleted_at is null
     and (e.project_id, e.source_id) in (select r.project_id, r.id from removed r)
     and exists (select from matrice.insights i where i.id = e.insight_id);
  return null;
end
$$;
comment on function matrice_private.weaken_by_sources is
  'Notes in the evidence that sources gave that they are deleted. SECURITY DEFINER: nobody may write insight_evidence.';

create or replace trigger weaken_evidence after delete on matrice.context_sources referencing old table as removed
for each statement execute function matrice_private.weaken_by_sources();

create or replace function matrice_private.weaken_by_texts() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update matrice.insight_evidence e set changed_at = clock_timestamp()
   where e.source_id = any (array(select a.source_id from added a where a.version > 1))
     and (e.project_id, e.source_id) in (select a.project_id, a.source_id from added a)
     and e.kind = 'source' and e.changed_at is null
     -- cut_source sets the hash before it stores the text, so this is the hash of the text that comes back.
     and not exists (select from matrice.context_sources s where s.id = e.source_id and s.content_hash = e.text_hash)
     and exists (select from matrice.insights i where i.id = e.insight_id);
  return null;
end
$$;
comment on function matrice_private.weaken_by_texts is
  'Notes in the evidence that whole sources gave that they have a new text. SECURITY DEFINER: nobody may write '
  'insight_evidence.';

create or replace trigger weaken_evidence after insert on matrice.source_texts referencing new table as added
for each statement execute function matrice_private.weaken_by_texts();

create or replace function matrice_private.weaken_by_source() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- If texts are kept, a new version says more exactly whether the text is another: the hash is also one of the options.
  if new.format is null or not exists (select from matrice.source_texts t where t.source_id = new.id) then
    update matrice.insight_evidence e set changed_at = clock_timestamp()
     where e.source_id = new.id and e.project_id = new.project_id and e.kind = 'source' and e.changed_at is null
       and exists (select from matrice.insights i where i.id = e.insight_id);
  end if;
  return null;
end
$$;
comment on function matrice_private.weaken_by_source is
  'Does what weaken_by_texts does, for a source whose texts are not kept. SECURITY DEFINER: nobody may write insight_evidence.';

create or replace trigger weaken_evidence_of_text after update of content_hash on matrice.context_sources
for each row when (old.content_hash is not null and old.content_hash is distinct from new.content_hash)
execute function matrice_private.weaken_by_source();

create or replace function matrice_private.weaken_by_words() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update matrice.insight_evidence e set changed_at = clock_timestamp() where e.insight_id = new.id and e.changed_at is null;
  return null;
end
$$;
comment on function matrice_private.weaken_by_words is
  'Notes in the evidence of an insight that it was for other words. SECURITY DEFINER: nobody may write insight_evidence.';

-- Whoever changes what an insight states does not keep those who have confirmed it. A first subject changes nothing of it.
create or replace trigger weaken_evidence_of_words after update of title, content, subject, attribute, value on matrice.insights
for each row when (old.text_hash is distinct from new.text_hash
                   or old.key_hash is not null and old.content_hash is distinct from new.content_hash)
execute function matrice_private.weaken_by_words();
