-- The texts of sources: stored by version, as many as the project keeps.
--
-- cut_source stores a text when it differs from the newest version. It does so by keep_text, because nobody may write the table.
-- A source whose chunks a client cut itself has no format. Its chunks do not come from a stored text.

create or replace function matrice_private.keeps_texts(settings jsonb) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce((settings ->> 'keep_source_texts')::boolean, true);
end;
comment on function matrice_private.keeps_texts is
  'Returns whether the settings of a project let matrice store the texts of sources.';

create or replace function matrice_private.kept_versions(settings jsonb) returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce((settings ->> 'keep_source_versions')::integer, 10);
end;
comment on function matrice_private.kept_versions is
  'Returns how many texts of each source the settings of a project let matrice store.';

create or replace function matrice_private.keep_text(
  source_id uuid, content text, format text, max_tokens integer, overlap_tokens integer, token_count integer, spans jsonb
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
  settings      jsonb;
  newest        record;
begin
  -- One call at a time gives a source a version. The callers have locked it already.
  select s.project_id into owner_project from matrice.context_sources s where s.id = keep_text.source_id for no key update;
  -- A change of the settings waits for this lock, so that no text is stored after it deleted the texts.
  perform pg_advisory_xact_lock_shared(hashtext('matrice.source_texts'), hashtext(owner_project::text));
  select p.settings into settings from matrice.projects p where p.id = owner_project;
  if not found or not matrice_private.keeps_texts(settings) then
    return;
  end if;
  select t.version, t.content = keep_text.content as is_same into newest
    from matrice.source_texts t where t.source_id = keep_text.source_id order by t.version desc limit 1;
  if newest.is_same then
    update matrice.source_texts t
       set format = keep_text.format, max_tokens = keep_text.max_tokens, overlap_tokens = keep_text.overlap_tokens,
           spans = coalesce(keep_text.spans, t.spans)
     where t.source_id = keep_text.source_id and t.version = newest.version
       and (t.format, t.max_tokens, t.overlap_tokens, t.spans) is distinct from
           (keep_text.format, keep_text.max_tokens, keep_text.overlap_tokens, coalesce(keep_text.spans, t.spans));
    return;
  end if;
  insert into matrice.source_texts (
    source_id, version, project_id, content, spans, characters, token_count, format, max_tokens, overlap_tokens)
  values (keep_text.source_id, coalesce(newest.version, 0) + 1, owner_project, keep_text.content, keep_text.spans,
          length(keep_text.content), keep_text.token_count, keep_text.format, keep_text.max_tokens, keep_text.overlap_tokens);
  delete from matrice.source_texts t
   where t.source_id = keep_text.source_id
     and t.version <= coalesce(newest.version, 0) + 1 - matrice_private.kept_versions(settings);
end
$$;
comment on function matrice_private.keep_text is
  'Stores the text of a source as a new version, unless the newest version has the same text: then it only takes the options '
  'that the text was cut with, and spans if they are given. Deletes versions that are too old. Does nothing if the project '
  'keeps no texts. SECURITY DEFINER: nobody may write source_texts. The function does not check membership of the project. So '
  'only services and keep_text_of_member may execute it.';

create or replace function matrice_private.keep_text_of_member(
  source_id uuid, content text, format text, max_tokens integer, overlap_tokens integer, token_count integer, spans jsonb
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from matrice.context_sources s
     where s.id = keep_text_of_member.source_id and s.project_id = any (matrice_private.project_ids('editor'))
  ) then
    perform matrice_private.keep_text(source_id, content, format, max_tokens, overlap_tokens, token_count, spans);
  end if;
end
$$;
comment on function matrice_private.keep_text_of_member is
  'Calls keep_text if the caller may edit the project of the source. SECURITY DEFINER: nobody may write source_texts.';

create or replace function matrice_private.remember_text(
  source_id uuid, content text, format text, max_tokens integer, overlap_tokens integer, token_count integer, spans jsonb
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active('matrice.source_texts') then
    perform matrice_private.keep_text_of_member(source_id, content, format, max_tokens, overlap_tokens, token_count, spans);
  else
    perform matrice_private.keep_text(source_id, content, format, max_tokens, overlap_tokens, token_count, spans);
  end if;
end
$$;
comment on function matrice_private.remember_text is 'Calls keep_text for services, and keep_text_of_member for members.';

create or replace function matrice_private.trim_texts() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Waits for those who are storing texts by the old settings.
  perform pg_advisory_xact_lock(hashtext('matrice.source_texts'), hashtext(new.id::text));
  delete from matrice.source_texts t
   where t.project_id = new.id
     and (not matrice_private.keeps_texts(new.settings)
          or t.version <= (select max(n.version) from matrice.source_texts n where n.source_id = t.source_id)
                          - matrice_private.kept_versions(new.settings));
  return null;
end
$$;
comment on function matrice_private.trim_texts is
  'Deletes the texts that the new settings of a project do not let matrice keep. SECURITY DEFINER: nobody may write '
  'source_texts.';

-- After the trigger that locks the sources, if the language changes too: a writer has locked its source before it stores a text.
create or replace trigger trim_texts after update of settings on matrice.projects
for each row when (
  (old.settings -> 'keep_source_texts', old.settings -> 'keep_source_versions')
  is distinct from (new.settings -> 'keep_source_texts', new.settings -> 'keep_source_versions'))
execute function matrice_private.trim_texts();
