-- The evidence of insights: rows that nobody writes directly.

create or replace function matrice_private.url_without_fragment(url text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select regexp_replace(btrim(url), '#.*$', '');
end;
comment on function matrice_private.url_without_fragment is 'Returns an address without its fragment.';

create or replace function matrice_private.require_evidence(chunk_ids uuid[], url text, note text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if array_ndims(chunk_ids) > 1 or cardinality(chunk_ids) > 100 or array_position(chunk_ids, null) is not null then
    raise exception 'chunk_ids must be a plain list of at most 100 ids, without null'
      using errcode = '22023', hint = 'Pass the chunks that say it. Leave it out if there is none.';
  end if;
  perform matrice_private.require_bytes('url', url, 2000);
  if url !~* '^\s*https?://[^\s/?#]+' then
    raise exception 'url must be the address of a page'
      using errcode = '22023', hint = 'It begins with https:// or http://.';
  end if;
  perform matrice_private.require_bytes('note', note, 2000);
end
$$;
comment on function matrice_private.require_evidence is 'Raises unless the arguments can be evidence. Null is allowed.';

create or replace function matrice_private.pieces_of_evidence(
  project_id uuid, named_source uuid, named_chunks uuid[], run_id uuid, step_id uuid, url text, user_id uuid
) returns table (
  kind text, evidence_key text, source_id uuid, chunk_id uuid, start_char integer, end_char integer, text_hash bytea
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  missing uuid;
begin
  if cardinality(named_chunks) > 0 then
    -- Whoever deletes one of these chunks waits, and then finds the evidence.
    perform from matrice.source_chunks c
      where c.id = any (named_chunks) and c.project_id = pieces_of_evidence.project_id order by c.id for key share;
    select g.id into missing from unnest(named_chunks) as g (id)
     where not exists (
       select from matrice.source_chunks c
        where c.id = g.id and c.project_id = pieces_of_evidence.project_id
          and (named_source is null or c.source_id = named_source));
    if found then
      raise exception 'chunk not found'
        using errcode = 'PT404',
              detail = case when named_source is null then format('Project %s has no chunk %s.', project_id, missing)
                            else format('Source %s has no chunk %s.', named_source, missing) end;
    end if;
    return query
      select distinct 'chunk', 'chunk:' || c.id, c.source_id, c.id, c.start_char, c.end_char,
             matrice_private.text_hash(c.content)
        from matrice.source_chunks c where c.id = any (named_chunks);
  elsif named_source is not null then
    return query
      select 'source', 'source:' || s.id, s.id, null::uuid, null::integer, null::integer, s.content_hash
        from matrice.context_sources s where s.id = named_source;
  elsif url is not null then
    return query
      select 'url', 'url:' || encode(sha256(convert_to(matrice_private.url_without_fragment(url), 'UTF8')), 'hex'),
             null::uuid, null::uuid, null::integer, null::integer, null::bytea;
  else
    return query
      select v.kind, concat_ws(':', v.kind, v.id), null::uuid, null::uuid, null::integer, null::integer, null::bytea
        from (values ('step', step_id), ('run', run_id), ('person', user_id), ('service', null)) as v (kind, id)
       where v.id is not null or v.kind = 'service' limit 1;
  end if;
end
$$;
comment on function matrice_private.pieces_of_evidence is
  'Returns the evidence that arguments name: the chunks; else the source, the address, the step, the run, the person, or a '
  'service, whichever comes first. Locks the chunks. Raises if a chunk is not in the project, or not of the source.';

create or replace function matrice_private.require_origin(project_id uuid, source_id uuid, run_id uuid, step_id uuid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  missing text;
begin
  if source_id is not null then
    perform from matrice.context_sources s
      where s.id = require_origin.source_id and s.project_id = require_origin.project_id for key share;
    missing := case when not found then 'source' end;
  end if;
  if run_id is not null and not exists (
    select from matrice.workflow_runs r where r.id = require_origin.run_id and r.project_id = require_origin.project_id) then
    missing := 'run';
  end if;
  if step_id is not null and not exists (
    select from matrice.workflow_steps s
     where s.id = require_origin.step_id and s.project_id = require_origin.project_id
       and (require_origin.run_id is null or s.run_id = require_origin.run_id)) then
    missing := 'step';
  end if;
  if missing is not null then
    raise exception '% not found', missing
      using errcode = 'PT404',
            detail = format('Project %s has no %s %s.', project_id, missing,
                            case missing when 'source' then source_id when 'run' then run_id else step_id end);
  end if;
end
$$;
comment on function matrice_private.require_origin is
  'Raises unless a source, a run and a step are in a project, and the step in the run. Null is allowed. Keeps the source from '
  'being deleted until the transaction ends.';

create or replace function matrice_private.is_carried(
  evidence matrice.insight_evidence, name text, stored text, source_id uuid, run_id uuid
) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Users and addresses keep their names in an import, so the hash is the same. Rows of the project may have new ids.
  return stored like 'carried:%'
         and (stored = matrice_private.carried_witness(name)
              or evidence.source_id = is_carried.source_id
              or evidence.kind in ('run', 'step') and evidence.run_id = is_carried.run_id);
end
$$;
comment on function matrice_private.is_carried is
  'Returns whether the name of a witness or the key of evidence (stored) is what an import made of a name. source_id, run_id: '
  'what the name has the id of; null if it has none.';

create or replace function matrice_private.add_evidence(
  insight_id uuid, is_for boolean, is_first boolean, source_id uuid, chunk_ids uuid[], run_id uuid, step_id uuid, url text,
  note text, is_member boolean default false
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  caller        uuid := matrice_private.current_user_id();
  owner_project uuid;
  found_by      uuid;
  piece         record;
  known         record;
  origin        record;
  whose         text;
  kept          uuid;
begin
  -- Of an insight that was merged, the evidence is for the one that was kept. Whoever merges it now waits, and takes this over.
  loop
    kept := matrice_private.kept_insight(insight_id);
    perform from matrice.insights i where i.id = kept for share;
    exit when kept is not distinct from matrice_private.kept_insight(insight_id);
  end loop;
  if kept is null then
    raise exception 'insight not found'
      using errcode = 'PT404', detail = format('Insight %s has just been deleted.', insight_id);
  end if;
  insight_id := kept;
  select i.project_id into owner_project from matrice.insights i where i.id = add_evidence.insight_id;
  perform matrice_private.require_origin(owner_project, source_id, run_id, step_id);
  found_by := coalesce(run_id, (select s.run_id from matrice.workflow_steps s where s.id = add_evidence.step_id));
  for piece in
    select p.* from matrice_private.pieces_of_evidence(owner_project, source_id, chunk_ids, run_id, step_id, url, caller) p
     order by p.evidence_key
  loop
    whose := case
      -- A copy of a text is the same witness.
      when piece.source_id is not null then coalesce(
        (select e.witness from matrice.insight_evidence e
          where e.insight_id = add_evidence.insight_id and e.text_hash = piece.text_hash
          order by e.created_at, e.id limit 1), 'source:' || piece.source_id)
      -- Anybody can think up an address or start a run. So of a member, they are that member's own word.
      when is_member then 'person:' || caller
      when piece.kind = 'step' then 'run:' || found_by
      else piece.evidence_key
    end;
    -- An import has given it another name.
    whose := coalesce(
      (select e.witness from matrice.insight_evidence e
        where e.insight_id = add_evidence.insight_id
          and matrice_private.is_carried(e, whose, e.witness, piece.source_id, case when whose like 'run:%' then found_by end)
        order by e.created_at, e.id limit 1), whose);
    select s.name, s.source_key into origin from matrice.context_sources s where s.id = piece.source_id;
    select e.id, e.is_for, e.changed_at, e.deleted_at, e.created_at into known
      from matrice.insight_evidence e
     where e.insight_id = add_evidence.insight_id and e.ended_at is null
       and (e.evidence_key = piece.evidence_key
            or e.kind = piece.kind and e.chunk_id is not distinct from piece.chunk_id
               and e.step_id is not distinct from case when piece.kind = 'step' then add_evidence.step_id else e.step_id end
               and matrice_private.is_carried(
                     e, piece.evidence_key, e.evidence_key, piece.source_id,
                     case when piece.kind in ('run', 'step') then found_by end))
     order by e.created_at desc
     limit 1
       for update;
    if found then
      -- A retry changes nothing. After a day the same evidence says that the insight still holds.
      continue when known.is_for = add_evidence.is_for and known.changed_at is null and known.deleted_at is null
                    and known.created_at > now() - interval '1 day';
      update matrice.insight_evidence e set ended_at = clock_timestamp() where e.id = known.id;
    end if;
    insert into matrice.insight_evidence (
      project_id, insight_id, kind, is_for, is_first, evidence_key, witness, source_id, chunk_id, start_char, end_char, run_id,
      step_id, user_id, url, note, text_hash, created_by, source_name, source_key)
    values (owner_project, add_evidence.insight_id, piece.kind, add_evidence.is_for, add_evidence.is_first, piece.evidence_key,
            whose, piece.source_id, piece.chunk_id, piece.start_char, piece.end_char, found_by, add_evidence.step_id,
            case when piece.kind = 'person' then caller end, matrice_private.url_without_fragment(url), add_evidence.note,
            piece.text_hash, caller, origin.name, origin.source_key)
    on conflict (insight_id, evidence_key, ended_at) do nothing;
  end loop;
end
$$;
comment on function matrice_private.add_evidence is
  'Adds evidence for or against an insight, or the one that it was merged into. Evidence that it has already '
  'changes nothing, unless it says the opposite now, its text has changed, or it is older than a day: then the new row replaces '
  'the old one. SECURITY DEFINER: nobody may write insight_evidence. The function does not check membership of the project. So '
  'only services and add_evidence_of_member may execute it.';

create or replace function matrice_private.add_evidence_of_member(
  insight_id uuid, is_for boolean, is_first boolean, source_id uuid, chunk_ids uuid[], run_id uuid, step_id uuid, url text,
  note text
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from matrice.insights i
     where i.id = add_evidence_of_member.insight_id and i.project_id = any (matrice_private.project_ids('editor'))
  ) then
    perform matrice_private.require_evidence(chunk_ids, url, note);
    perform matrice_private.add_evidence(
      insight_id, is_for, is_first, source_id, chunk_ids, run_id, step_id, url, note, true);
  end if;
end
$$;
comment on function matrice_private.add_evidence_of_member is
  'Calls add_evidence if the caller may edit the project of the insight. SECURITY DEFINER: nobody may write insight_evidence.';

create or replace function matrice_private.remember_evidence(
  insight_id uuid, is_for boolean, is_first boolean, source_id uuid, chunk_ids uuid[], run_id uuid, step_id uuid, url text,
  note text
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active('matrice.insight_evidence') then
    perform matrice_private.add_evidence_of_member(
      insight_id, is_for, is_first, source_id, chunk_ids, run_id, step_id, url, note);
  else
    perform matrice_private.add_evidence(insight_id, is_for, is_first, source_id, chunk_ids, run_id, step_id, url, note);
  end if;
end
$$;
comment on function matrice_private.remember_evidence is
  'Calls add_evidence for services, and add_evidence_of_member for members.';
