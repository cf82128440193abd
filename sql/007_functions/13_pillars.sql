-- The six pillars P1 to P6 of a project and their versions.

create or replace function matrice_private.number_pillar_version() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    -- A service may insert a pillar with an earlier time and a higher version.
    if row_security_active(tg_relid) then
      new.version := 1;
      new.updated_at := now();
    end if;
    new.updated_at := least(new.updated_at, clock_timestamp());
  elsif (new.content, new.metadata) is distinct from (old.content, old.metadata) then
    new.version := old.version + 1;
    -- A transaction that began earlier may save later. Times rise with versions all the same.
    new.updated_at := greatest(now(), old.updated_at);
  else
    new.version := old.version;
    new.updated_at := old.updated_at;
  end if;
  return new;
end
$$;
comment on function matrice_private.number_pillar_version is
  'Sets the version and updated_at of a pillar and ignores what the client wrote.';

create or replace trigger number_pillar_version before insert or update on matrice.pillars
for each row execute function matrice_private.number_pillar_version();
create or replace trigger keep_code before update of code on matrice.pillars
for each row when (old.code is distinct from new.code) execute function matrice_private.refuse_change('anybody', 'code');

create or replace function matrice_private.keep_pillar_version() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- restore_pillar sets this for its own save. Anybody can set it, to anything, so the contents are compared.
  restored integer := substring(current_setting('matrice.restored_version', true) from '^\d{1,9}$');
begin
  if restored is not null then
    select v.version into restored
      from matrice.pillar_versions v
     where v.pillar_id = new.id and v.version = restored and (v.content, v.metadata) = (new.content, new.metadata);
  end if;
  insert into matrice.pillar_versions (pillar_id, version, project_id, content, metadata, saved_at, saved_by, restored_from)
  values (new.id, new.version, new.project_id, new.content, new.metadata, new.updated_at, matrice_private.current_user_id(),
          restored)
  on conflict do nothing;
  return null;
end
$$;
comment on function matrice_private.keep_pillar_version is
  'Adds the new version of a pillar to its history. SECURITY DEFINER: the history is append-only, so no client may '
  'write it.';

create or replace trigger keep_first_pillar_version after insert on matrice.pillars
for each row execute function matrice_private.keep_pillar_version();
create or replace trigger keep_pillar_version after update on matrice.pillars
for each row when (old.version <> new.version) execute function matrice_private.keep_pillar_version();

create or replace function matrice_private.forget_pillar_versions(
  keep_last integer default 100, keep_newer_than interval default '1 year'
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  forgotten bigint;
begin
  if keep_last is null or keep_newer_than is null then
    raise exception 'keep_last and keep_newer_than must not be null'
      using errcode = '22004', hint = 'Leave them out to use 100 versions and 1 year.';
  elsif keep_last < 1 then
    raise exception 'keep_last must be at least 1, not %', keep_last
      using errcode = '22023', hint = 'The current version of a pillar is always kept.';
  elsif not keep_newer_than between interval '0' and interval '100 years' then
    raise exception 'keep_newer_than must be between 0 and 100 years, not %', keep_newer_than
      using errcode = '22023', hint = 'Versions younger than this are kept.';
  end if;
  delete from matrice.pillar_versions v
   using (
     select n.pillar_id, n.version, row_number() over (partition by n.pillar_id order by n.version desc) as place
       from matrice.pillar_versions n
   ) numbered
   where v.pillar_id = numbered.pillar_id and v.version = numbered.version
     and numbered.place > keep_last and v.saved_at < now() - keep_newer_than
     and matrice_private.labels_at(v.pillar_id, v.version, null) = '{}';
  get diagnostics forgotten = row_count;
  return forgotten;
end
$$;
comment on function matrice_private.forget_pillar_versions is
  'Deletes old versions of all pillars. Returns the number of deleted versions. keep_last: keeps this many of the newest '
  'versions of each pillar. keep_newer_than: keeps all versions younger than this. Versions that have a label are kept too. '
  'For the owner of the tables, on a schedule. For everybody else the history is append-only. Defaults: keep_last 100, '
  'keep_newer_than ''1 year''.';

create or replace function matrice_private.pillar_name(code text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case code when 'P1' then 'vision' when 'P2' then 'acteurs' when 'P3' then 'donnees' else code end;
end;
comment on function matrice_private.pillar_name is
  'Returns the name of a pillar. P4 to P6 have no names yet, so their name is their code.';

create or replace function matrice_private.require_pillar_at(project_id uuid, code text, expected_version integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  stored integer;
begin
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  -- A project that was not made by create_project has no pillars yet.
  insert into matrice.pillars (project_id, code, name)
  values (require_pillar_at.project_id, require_pillar_at.code, matrice_private.pillar_name(require_pillar_at.code))
  on conflict on constraint pillars_project_id_code_key do nothing;
  select p.version into stored from matrice.pillars p
   where p.project_id = require_pillar_at.project_id and p.code = require_pillar_at.code;
  if expected_version <> stored then
    raise exception 'the pillar has changed since version %', expected_version
      using errcode = 'PT409',
            detail = format('Pillar %s is at version %s.', code, stored),
            hint = 'Read the pillar again, merge, and save with its version.';
  end if;
end
$$;
comment on function matrice_private.require_pillar_at is
  'Says why a pillar cannot be saved: the caller is no editor, or it has another version than the expected one. null expects '
  'any. Makes a pillar that is missing, empty and with version 1.';

create or replace function matrice.save_pillar(
  project_id uuid, code text, content text, metadata jsonb default null, expected_version integer default null
) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  stored integer;
begin
  perform matrice_private.require_phase('code', code);
  perform matrice_private.require_given('content', content);
  if metadata is not null then
    perform matrice_private.require_object('metadata', metadata);
    perform matrice_private.require_json('metadata', metadata, 65536);
  end if;
  perform matrice_private.require_bytes('content', content, 1048576);
  -- Again, if the pillar was missing, or was saved meanwhile.
  for attempt in 1 .. 3 loop
    -- Mostly this one statement is enough: its policy asks for the role. It waits for whoever saves the pillar or deletes the
    -- project, and then looks again. It locks no other row of the project, so it cannot deadlock with them.
    update matrice.pillars p
       set content = save_pillar.content, metadata = coalesce(save_pillar.metadata, p.metadata)
     where p.project_id = save_pillar.project_id and p.code = save_pillar.code
       and (expected_version is null or p.version = expected_version)
    returning p.version into stored;
    if found then
      return stored;
    end if;
    perform matrice_private.require_pillar_at(project_id, code, expected_version);
  end loop;
  raise exception 'you cannot change this pillar'
    using errcode = '42501', detail = format('A policy of matrice.pillars refuses pillar %s.', code),
          hint = 'Ask the owner of the database.';
end
$$;
comment on function matrice.save_pillar is
  'Saves the content of a pillar. Returns the number of the current version. The number grows only if something changed. '
  'code: P1 to P6. metadata: if null, the metadata stay as they are. expected_version: the version that the caller has read. '
  'If the pillar has another version by now, nothing is saved and PT409 is raised. Needs the role editor.';

create or replace function matrice_private.pillar_version(project_id uuid, code text, wanted_version integer)
returns table (version integer, content text, metadata jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select v.version, v.content, v.metadata
      from matrice.pillars p
      join matrice.pillar_versions v on v.pillar_id = p.id and v.version = coalesce(wanted_version, p.version)
     where p.project_id = pillar_version.project_id and p.code = pillar_version.code;
  if not found then
    raise exception 'pillar % has no version %', code, wanted_version
      using errcode = 'PT404', hint = 'pillar_history() lists the versions.';
  end if;
end
$$;
comment on function matrice_private.pillar_version is
  'Returns a version of a pillar; the current one if wanted_version is null. Raises PT404 if there is none.';

create or replace function matrice.restore_pillar(project_id uuid, code text, version integer) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  old_content text;
  old_metadata jsonb;
  saved integer;
begin
  perform matrice_private.require_phase('code', code);
  perform matrice_private.require_given('version', version);
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  select v.content, v.metadata into old_content, old_metadata
    from matrice_private.pillar_version(project_id, code, version) v;
  perform set_config('matrice.restored_version', version::text, true);
  saved := matrice.save_pillar(project_id, code, old_content, old_metadata);
  perform set_config('matrice.restored_version', '', true);
  return saved;
end
$$;
comment on function matrice.restore_pillar is
  'Saves an old version of a pillar again, as a new version. Returns the number of the current version. The number grows only '
  'if something changed. The history keeps all versions. code: P1 to P6. Raises PT404 if the pillar has no such version. '
  'Needs the role editor.';

create or replace function matrice.pillar_history(project_id uuid, code text)
returns table (version integer, content text, metadata jsonb, saved_at timestamptz, saved_by uuid)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_phase('code', code);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select v.version, v.content, v.metadata, v.saved_at, v.saved_by
      from matrice.pillar_versions v
      join matrice.pillars p on p.id = v.pillar_id
     where p.project_id = pillar_history.project_id and p.code = pillar_history.code
     order by v.version desc;
end
$$;
comment on function matrice.pillar_history is
  'Lists all versions of a pillar, newest first. code: P1 to P6. Needs the role viewer.';
