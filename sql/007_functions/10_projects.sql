-- Projects: their ids, settings and phases.

create or replace trigger touch_updated_at before insert or update on matrice.projects
for each row execute function matrice_private.touch_updated_at();
create or replace trigger keep_creation before update of created_by, created_at on matrice.projects
for each row when ((old.created_by, old.created_at) is distinct from (new.created_by, new.created_at))
execute function matrice_private.refuse_change('clients', 'created_by and created_at');

create or replace function matrice_private.take_project_id() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.taken_project_ids (id) values (new.id);
  return null;
exception when unique_violation then
  -- The same error as for a project that still exists, so that nobody learns the difference.
  raise exception 'duplicate key value violates unique constraint "projects_pkey"'
    using errcode = '23505', schema = 'matrice', table = 'projects', constraint = 'projects_pkey';
end
$$;
comment on function matrice_private.take_project_id is
  'Refuses an id that another project has or had. SECURITY DEFINER: nobody may read or write the ids in '
  'taken_project_ids. A unique key checks them, because a query could read them with an old snapshot.';

create or replace trigger take_project_id after insert on matrice.projects
for each row execute function matrice_private.take_project_id();

create or replace function matrice_private.known_settings() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['embedding_model', 'next_embedding_model', 'embedding_template', 'max_attempts', 'keep_source_texts',
               'keep_source_versions', 'language', 'pillars', 'exit_criteria', 'viewers_record_runs', 'events', 'app'];
end;
comment on function matrice_private.known_settings is 'Returns the keys that the settings of a project may have.';

create or replace function matrice_private.type_of_setting(key text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when key in ('app', 'pillars', 'exit_criteria') then 'object'
              when key in ('max_attempts', 'keep_source_versions') then 'number'
              when key in ('keep_source_texts', 'viewers_record_runs', 'events') then 'boolean' else 'string' end;
end;
comment on function matrice_private.type_of_setting is 'Returns the JSON type of a setting of a project.';

create or replace function matrice_private.require_template(template text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if template is not null and (octet_length(template) > 2000 or template !~ '\{content\}') then
    raise exception 'setting "embedding_template" must contain {content}, and have at most 2000 bytes'
      using errcode = '22023', detail = format('It has %s bytes.', octet_length(template)),
            hint = 'For example: "{title}\n{headings}\n\n{header}\n{content}".';
  end if;
end
$$;
comment on function matrice_private.require_template is 'Raises unless a template for embedded texts is valid, or null.';

create or replace function matrice_private.check_settings() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong    record;
  language text := new.settings ->> 'language';
begin
  if jsonb_typeof(new.settings) is distinct from 'object' then
    -- A constraint of the table refuses it.
    return new;
  end if;
  perform matrice_private.require_json('settings', new.settings, 16384);
  select s.key, jsonb_typeof(s.value) as type into wrong from jsonb_each(new.settings) s
   where s.key <> all (matrice_private.known_settings())
   order by s.key limit 1;
  if found then
    raise exception 'unknown setting: "%"', left(wrong.key, 100)
      using errcode = '22023',
            detail = 'matrice does not know this setting, so it would have no effect.',
            hint = format('Known settings: %s. Settings of your application belong in the object "app".',
                          array_to_string(matrice_private.known_settings(), ', '));
  end if;
  select s.key, jsonb_typeof(s.value) as type into wrong from jsonb_each(new.settings) s
   where jsonb_typeof(s.value) <> matrice_private.type_of_setting(s.key)
   order by s.key limit 1;
  if found then
    raise exception 'setting "%" must be a JSON %', wrong.key, matrice_private.type_of_setting(wrong.key)
      using errcode = '22023', detail = format('It is %s.', wrong.type), hint = 'Leave it out if you do not need it.';
  end if;
  if new.settings ? 'embedding_model' then
    perform matrice_private.require_model(new.settings ->> 'embedding_model');
  end if;
  if new.settings ? 'next_embedding_model' then
    perform matrice_private.require_model(new.settings ->> 'next_embedding_model');
  end if;
  perform matrice_private.require_template(new.settings ->> 'embedding_template');
  perform matrice_private.require_pillar_settings(new.settings -> 'pillars');
  perform matrice_private.require_exit_criteria_settings(new.settings -> 'exit_criteria');
  if not (new.settings ->> 'max_attempts')::numeric between 1 and 100 or (new.settings ->> 'max_attempts')::numeric % 1 <> 0 then
    raise exception 'setting "max_attempts" must be a whole number from 1 to 100'
      using errcode = '22023', detail = format('It is %s.', left(new.settings ->> 'max_attempts', 100));
  end if;
  if not (new.settings ->> 'keep_source_versions')::numeric between 1 and 1000
     or (new.settings ->> 'keep_source_versions')::numeric % 1 <> 0 then
    raise exception 'setting "keep_source_versions" must be a whole number from 1 to 1000'
      using errcode = '22023', detail = format('It is %s.', left(new.settings ->> 'keep_source_versions', 100)),
            hint = 'To keep no texts at all, set "keep_source_texts" to false.';
  end if;
  if language is not null and not exists (
    select from pg_ts_config c where c.cfgname = language and c.cfgnamespace = 'pg_catalog'::regnamespace
  ) then
    raise exception 'unknown language: "%"', left(language, 100)
      using errcode = '22023', hint = format('Known languages: %s.',
        (select string_agg(c.cfgname, ', ' order by c.cfgname) from pg_ts_config c
          where c.cfgnamespace = 'pg_catalog'::regnamespace));
  end if;
  return new;
end
$$;
comment on function matrice_private.check_settings is
  'Refuses settings of a project that have an unknown key, a value of the wrong type, an unknown embedding model or '
  'language, or more than 16 kB.';

create or replace trigger check_settings before insert or update of settings on matrice.projects
for each row execute function matrice_private.check_settings();

create or replace function matrice_private.phases() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['P1', 'P2', 'P3', 'P4', 'P5', 'P6'];
end;
comment on function matrice_private.phases is 'The phases of a project, which are also the codes of its pillars.';

create or replace function matrice.create_project(
  name text, description text default null, domain text default null, settings jsonb default '{}'
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  new_id uuid;
begin
  perform matrice_private.require_text('name', name);
  perform matrice_private.require_bytes('name', name, 2000);
  perform matrice_private.require_bytes('description', description, 16384);
  perform matrice_private.require_bytes('domain', domain, 2000);
  perform matrice_private.require_object('settings', settings);
  perform matrice_private.require_json('settings', settings, 16384);
  if matrice_private.current_user_id() is null then
    raise exception 'only a signed-in user can create a project'
      using errcode = '42501',
            detail = 'The session''s JWT claims have no sub that is a UUID, so the project would have no owner.',
            hint = 'A service can insert into matrice.projects with created_by set to the owner''s id.';
  end if;
  insert into matrice.projects as p (name, description, domain, settings)
  values (create_project.name, create_project.description, create_project.domain, create_project.settings)
  returning p.id into new_id;
  -- Row-level security allows this, because a trigger of the insert above made the caller an owner.
  insert into matrice.pillars (project_id, code, name)
  select new_id, pillar.code, matrice_private.pillar_name(pillar.code)
    from unnest(matrice_private.phases()) as pillar (code);
  return new_id;
end
$$;
comment on function matrice.create_project is
  'Creates a project with its six pillars and makes the caller its owner. Returns the id of the project. settings: a JSON '
  'object, see projects.settings. Defaults: settings ''{}''.';

create or replace function matrice_private.require_phase(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_one_of(argument, value, matrice_private.phases());
end
$$;
comment on function matrice_private.require_phase is 'Raises an error unless an argument is one of P1 to P6.';

create or replace function matrice.set_phase(project_id uuid, phase text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_phase('phase', phase);
  perform matrice_private.require_role(project_id, 'owner');
  update matrice.projects p set current_phase = set_phase.phase where p.id = set_phase.project_id;
end
$$;
comment on function matrice.set_phase is
  'Sets the current phase of a project. phase_history keeps when. phase: P1 to P6. A later phase raises PT409 if the setting '
  '"exit_criteria" asks something of the current phase, or of those between, that the project does not have; the detail names '
  'all that is missing. Needs the role owner.';
