-- Labels of pillar versions. A label moves from version to version; a release label never moves.

create or replace function matrice_private.labels_at(pillar_id uuid, version integer, at timestamptz) returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(array_agg(l.label order by l.label), '{}')
    from (
      select distinct on (h.label) h.label, h.version
        from matrice.pillar_labels h
       where h.pillar_id = labels_at.pillar_id and (labels_at.at is null or h.set_at <= labels_at.at)
       order by h.label, h.number desc
    ) l
   where l.version = labels_at.version;
end;
comment on function matrice_private.labels_at is
  'Returns the labels that a version of a pillar had at a time. at: null for now.';

create or replace function matrice_private.write_label(
  project_id uuid, code text, version integer, label text, is_release boolean
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  pillar uuid;
  last   record;
begin
  -- Everybody who labels a version of this pillar waits here.
  select p.id into pillar from matrice.pillars p
   where p.project_id = write_label.project_id and p.code = write_label.code
     for no key update;
  perform from matrice.pillar_versions v where v.pillar_id = pillar and v.version = write_label.version for key share;
  if not found and version is not null then
    raise exception 'pillar % has no version %', code, version
      using errcode = 'PT404', hint = 'pillar_history() lists the versions.';
  end if;
  select l.number, l.version, l.is_release, l.set_at into last
    from matrice.pillar_labels l
   where l.pillar_id = pillar and l.label = write_label.label
   order by l.number desc limit 1;
  if last.is_release and version is distinct from last.version then
    raise exception 'a release label does not move'
      using errcode = 'PT409', detail = format('The label "%s" of pillar %s stays at version %s.', label, code, last.version),
            hint = 'Use another label.';
  elsif last.version is not distinct from version and (last.is_release or not is_release) then
    -- It is there already, or away already.
    return;
  end if;
  insert into matrice.pillar_labels (project_id, pillar_id, label, number, version, is_release, set_at, set_by)
  values (write_label.project_id, pillar, write_label.label, coalesce(last.number, 0) + 1, write_label.version,
          write_label.is_release, greatest(now(), last.set_at), matrice_private.current_user_id());
end
$$;
comment on function matrice_private.write_label is
  'Gives a label to a version of a pillar, or takes it away. It does not check the caller, so users cannot call it directly: '
  'it is for services and write_label_as_editor. SECURITY DEFINER: the history of labels is append-only, so no client may '
  'write it.';

create or replace function matrice_private.write_label_as_editor(
  project_id uuid, code text, version integer, label text, is_release boolean
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.user_projects m
    where m.project_id = write_label_as_editor.project_id and m.user_id = matrice_private.current_user_id()
      and m.role in ('editor', 'owner')
      for share;
  if not found then
    raise exception 'this needs the role editor'
      using errcode = '42501', detail = 'Only editors and owners label pillars.', hint = 'Ask an owner of the project.';
  end if;
  perform matrice_private.require_label(label);
  perform matrice_private.write_label(project_id, code, version, label, is_release);
end
$$;
comment on function matrice_private.write_label_as_editor is
  'Gives a label to a version of a pillar, or takes it away, for editors of the project. SECURITY DEFINER: the history of '
  'labels is append-only, so no client may write it.';

create or replace function matrice_private.require_label(label text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_text('label', label);
  perform matrice_private.require_bytes('label', label, 200);
end
$$;
comment on function matrice_private.require_label is 'Raises an error unless a label is a text of 1 to 200 bytes.';

create or replace function matrice_private.set_label(
  project_id uuid, code text, version integer, label text, is_release boolean
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  if row_security_active('matrice.pillar_labels') then
    perform matrice_private.write_label_as_editor(project_id, code, version, label, is_release);
  else
    perform matrice_private.write_label(project_id, code, version, label, is_release);
  end if;
end
$$;
comment on function matrice_private.set_label is
  'Gives a label to a version of a pillar, or takes it away, for a caller who may do so. version: null takes it away.';

create or replace function matrice.label_pillar(
  project_id uuid, code text, version integer, label text, is_release boolean default false
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_phase('code', code);
  perform matrice_private.require_given('version', version);
  perform matrice_private.require_label(label);
  perform matrice_private.require_given('is_release', is_release);
  perform matrice_private.set_label(project_id, code, version, label, is_release);
end
$$;
comment on function matrice.label_pillar is
  'Gives a label to a version of a pillar, such as draft or approved. If another version of the pillar has the label, it moves '
  'from there. is_release: the label stays at this version for ever; moving it or taking it away then raises PT409. Versions '
  'that have a label are not deleted by forget_pillar_versions. label_history lists what was done. code: P1 to P6. label: 1 to '
  '200 bytes. Raises PT404 if there is no such version. Needs the role editor. Defaults: is_release false.';

create or replace function matrice.unlabel_pillar(project_id uuid, code text, label text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_phase('code', code);
  perform matrice_private.require_label(label);
  perform matrice_private.set_label(project_id, code, null, label, false);
end
$$;
comment on function matrice.unlabel_pillar is
  'Takes a label away from the version of a pillar that has it. Its history stays. Does nothing if no version has it. A release '
  'label raises PT409. code: P1 to P6. label: 1 to 200 bytes. Needs the role editor.';

create or replace function matrice.label_history(project_id uuid, only_code text default null, only_label text default null)
returns table (
  code text, label text, version integer, is_release boolean, set_at timestamptz, set_by uuid, is_current boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if only_code is not null then
    perform matrice_private.require_phase('only_code', only_code);
  end if;
  perform matrice_private.require_bytes('only_label', only_label, 200);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select p.code, l.label, l.version, l.is_release, l.set_at, l.set_by,
           l.version is not null and l.number = max(l.number) over (partition by l.pillar_id, l.label)
      from matrice.pillars p
      join matrice.pillar_labels l on l.project_id = p.project_id and l.pillar_id = p.id
     where p.project_id = label_history.project_id
       and (only_code is null or p.code = only_code)
       and (only_label is null or l.label = only_label)
     order by p.code, l.label, l.number desc;
end
$$;
comment on function matrice.label_history is
  'Lists which versions of a project''s pillars got which labels, who set them and when; of each label the newest first. '
  'version: null where the label was taken away. is_current: the label is at this version now. only_code, only_label: only '
  'these; null means all. Needs the role viewer. Defaults: only_code null, only_label null.';
