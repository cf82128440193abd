-- The API but for search: what clients call over PostgREST RPC, psql and edge functions.
--
-- Every function runs as its caller, under row-level security, and returns columns rather than a table's row type
-- (a column that a user adds would break that). Functions that touch vectors have bodies bound at creation (BEGIN
-- ATOMIC), because the search_path of all of them finds no operator of pgvector; functions that call the engine have string
-- bodies, so that DROP EXTENSION depends on nothing here.
--
-- Errors: 22023 an argument is wrong (HTTP 400), 22004 it is null (400), 42501 the role does not suffice (403),
-- PT404 not there or not visible (404), PT409 a conflict with what is stored (409).

-- Checks that the functions share ------------------------------------------------------------------------------------

create function matrice_private.require_given(argument text, value anyelement) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if value is null then
    raise exception '% must not be null', argument
      using errcode = '22004', hint = 'Pass a value. An argument that has a default can be left out instead.';
  end if;
end
$$;
comment on function matrice_private.require_given(text, anyelement) is
  'Raises where an argument is null. Called for each argument but those whose default is null.';

create function matrice_private.require_role(project_id uuid, least_role text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('project_id', project_id);
  if not exists (select from matrice.projects p where p.id = require_role.project_id) then
    raise exception 'project not found'
      using errcode = 'PT404',
            detail = format('There is no project %s that you are a member of.', project_id),
            hint = case when row_security_active('matrice.projects') and matrice_private.current_user_id() is null
                        then 'Nobody is signed in: the session''s JWT claims have no sub that is a UUID.'
                        else 'Check the id, or ask an owner of the project for an invitation.' end;
  end if;
  if row_security_active('matrice.projects')
     and project_id <> all (matrice_private.project_ids(least_role)) then
    raise exception 'this needs the role %', least_role
      using errcode = '42501',
            detail = format('You are a member of project %s with a lesser role.', project_id),
            hint = 'Ask an owner of the project.';
  end if;
end
$$;
comment on function matrice_private.require_role(uuid, text) is
  'Raises unless the caller has at least this role in the project. Roles that bypass row-level security have every role.';

create function matrice_private.hold_project_of_member(project_id uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.projects p
    where p.id = hold_project_of_member.project_id and p.id = any (matrice_private.project_ids())
      for key share;
  return found;
end
$$;
comment on function matrice_private.hold_project_of_member(uuid) is
  'Locks a project of the caller as foreign keys do. SECURITY DEFINER: a lock needs the right to change the row, which editors have not.';

create function matrice_private.hold_project(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  held boolean;
begin
  if row_security_active('matrice.projects') then
    held := matrice_private.hold_project_of_member(project_id);
  else
    perform from matrice.projects p where p.id = hold_project.project_id for key share;
    held := found;
  end if;
  if not held then
    raise exception 'project not found'
      using errcode = 'PT404', detail = format('Project %s has just been deleted.', project_id);
  end if;
end
$$;
comment on function matrice_private.hold_project(uuid) is
  'Keeps a project from being deleted until the transaction ends. A project is locked before what belongs to it, as its deletion does: whoever is second waits, and neither for the other.';

create function matrice_private.require_text(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  -- A regular expression takes four times the text, which of a large one is more than Postgres gives.
  if left(value, 10000) !~ '\S' and (length(value) <= 10000 or btrim(value, E' \t\n\r\f\v') = '') then
    raise exception '% must not be empty', argument
      using errcode = '22023', detail = 'It has nothing but white space.', hint = 'Pass a text.';
  end if;
end
$$;
comment on function matrice_private.require_text(text, text) is 'Raises unless a text argument has something in it.';

create function matrice_private.require_query(query_text text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
-- Nobody needs to be told that a query is only stop words.
set client_min_messages = warning
as $$
declare
  words integer;
begin
  perform matrice_private.require_text('query_text', query_text);
  if length(query_text) > 10000 then
    raise exception 'query_text is too long'
      using errcode = '22023', detail = format('It has %s characters.', length(query_text)),
            hint = 'At most 10,000 characters: search for what matters in it.';
  end if;
  -- Of an operator between any two words, and the words.
  words := (select (numnode(websearch_to_tsquery('pg_catalog.simple', q.words)) + 1) / 2 from matrice._read_query(query_text) q);
  -- Ranking takes memory by the number of words.
  if words > 500 then
    raise exception 'query_text has too many words'
      using errcode = '22023', detail = format('It has some %s words.', words),
            hint = 'At most 500 words: search for what matters in it.';
  end if;
end
$$;
comment on function matrice_private.require_query(text) is 'Raises unless a full-text query is a text of reasonable length.';

create function matrice_private.require_object(argument text, value jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  if jsonb_typeof(value) <> 'object' then
    raise exception '% must be a JSON object', argument
      using errcode = '22023',
            detail = format('It is %s.', jsonb_typeof(value)),
            hint = 'A string that holds JSON is a string: pass the object itself.';
  end if;
end
$$;
comment on function matrice_private.require_object(text, jsonb) is 'Raises unless a jsonb argument is an object.';

create function matrice_private.require_filter(filter jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  parts integer;
begin
  perform matrice_private.require_object('filter', filter);
  -- Containment compares each part with each of the metadata, and cannot be stopped meanwhile.
  if pg_column_size(filter) > 16384 then
    raise exception 'filter is too large'
      using errcode = '22023', detail = format('It takes %s bytes.', pg_column_size(filter)), hint = 'At most 16,384 bytes.';
  end if;
  parts := (select count(*) from jsonb_path_query(filter, 'strict $.**'));
  if parts > 200 then
    raise exception 'filter has too many parts'
      using errcode = '22023', detail = format('It has %s objects, arrays and values.', parts), hint = 'At most 200.';
  end if;
  if jsonb_typeof(filter -> 'type') <> 'string' then
    raise exception 'type in a filter must be a string'
      using errcode = '22023',
            detail = format('It is %s: a source has one type, so this would find nothing.', jsonb_typeof(filter -> 'type')),
            hint = 'An array asks for all of its elements, not for any of them: search once for each type.';
  end if;
end
$$;
comment on function matrice_private.require_filter(jsonb) is 'Raises unless a filter is an object of reasonable size that something can match.';

create function matrice_private.require_one_of(argument text, value text, allowed text[]) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, value);
  if value <> all (allowed) then
    raise exception 'unknown %: %', argument, quote_literal(left(value, 100))
      using errcode = '22023', hint = format('It is one of %s.', array_to_string(allowed, ', '));
  end if;
end
$$;
comment on function matrice_private.require_one_of(text, text, text[]) is 'Raises unless an argument is one of the allowed values.';

create function matrice_private.require_match_count(match_count integer) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('match_count', match_count);
  if match_count not between 1 and 10000 then
    raise exception 'match_count must be between 1 and 10000, not %', match_count
      using errcode = '22023', hint = 'Ask for as many as you will read.';
  end if;
end
$$;
comment on function matrice_private.require_match_count(integer) is 'Raises unless a number of results is reasonable.';

create function matrice_private.embedding_model(model text, project_id uuid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen text := coalesce(
    model,
    (select p.settings ->> 'embedding_model' from matrice.projects p where p.id = embedding_model.project_id),
    (select m.model from matrice.embedding_models m where m.is_default)
  );
begin
  perform matrice_private.require_model(chosen);
  return chosen;
end
$$;
comment on function matrice_private.embedding_model(text, uuid) is
  'The embedding model meant: the one named, else the project''s setting "embedding_model", else the default one.';

create function matrice_private.searchable_projects(project_id uuid) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id is null then
    return array(select p.id from matrice.projects p);
  end if;
  perform matrice_private.require_role(project_id, 'viewer');
  return array[project_id];
end
$$;
comment on function matrice_private.searchable_projects(uuid) is 'The one project that is named, or all that the caller can see.';

-- Projects and pillars -----------------------------------------------------------------------------------------------

create function matrice.create_project(
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
  -- As editor of the new project; its membership was made by the insert above.
  insert into matrice.pillars (project_id, code, name)
  select new_id, pillar.code, matrice_private.pillar_name(pillar.code)
    from unnest(array['P1', 'P2', 'P3', 'P4', 'P5', 'P6']) as pillar (code);
  return new_id;
end
$$;
comment on function matrice.create_project(text, text, text, jsonb) is
  'Creates a project with its six pillars; the caller becomes its owner. Returns its id.';

create function matrice_private.pillar_name(code text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case code when 'P1' then 'vision' when 'P2' then 'acteurs' when 'P3' then 'donnees' else code end;
end;
comment on function matrice_private.pillar_name(text) is 'Name of a pillar; P4 to P6 carry their code until they are named.';

create function matrice_private.require_phase(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_one_of(argument, value, array['P1', 'P2', 'P3', 'P4', 'P5', 'P6']);
end
$$;
comment on function matrice_private.require_phase(text, text) is 'Raises unless an argument is P1 to P6.';

create function matrice.set_phase(project_id uuid, phase text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_phase('phase', phase);
  perform matrice_private.require_role(project_id, 'owner');
  update matrice.projects p set current_phase = set_phase.phase where p.id = set_phase.project_id;
end
$$;
comment on function matrice.set_phase(uuid, text) is 'Sets the current phase of a project, P1 to P6. For owners.';

create function matrice.save_pillar(
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
  end if;
  perform matrice_private.require_bytes('content', content, 1048576);
  perform matrice_private.require_json('metadata', metadata, 65536);
  perform matrice_private.require_role(project_id, 'editor');
  -- A project that a client inserted by itself has no pillars yet.
  insert into matrice.pillars (project_id, code, name)
  values (save_pillar.project_id, save_pillar.code, matrice_private.pillar_name(save_pillar.code))
  on conflict on constraint pillars_project_id_code_key do nothing;
  select p.version into stored
    from matrice.pillars p
   where p.project_id = save_pillar.project_id and p.code = save_pillar.code
     for update;
  if expected_version <> stored then
    raise exception 'the pillar has changed since version %', expected_version
      using errcode = 'PT409',
            detail = format('Pillar %s is at version %s.', code, stored),
            hint = 'Read the pillar again, merge, and save with its version.';
  end if;
  update matrice.pillars p
     set content = save_pillar.content, metadata = coalesce(save_pillar.metadata, p.metadata)
   where p.project_id = save_pillar.project_id and p.code = save_pillar.code
  returning p.version into stored;
  return stored;
end
$$;
comment on function matrice.save_pillar(uuid, text, text, jsonb, integer) is
  'Saves a pillar and returns its version, a new one where something changed. With expected_version, a pillar that somebody else changed meanwhile is left alone (PT409).';

create function matrice.restore_pillar(project_id uuid, code text, version integer) returns integer
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
  select v.content, v.metadata into old_content, old_metadata
    from matrice.pillar_versions v
    join matrice.pillars p on p.id = v.pillar_id
   where p.project_id = restore_pillar.project_id and p.code = restore_pillar.code and v.version = restore_pillar.version;
  if not found then
    raise exception 'pillar % has no version %', code, version
      using errcode = 'PT404', hint = 'pillar_history() lists the versions.';
  end if;
  perform set_config('matrice.restored_version', version::text, true);
  saved := matrice.save_pillar(project_id, code, old_content, old_metadata);
  perform set_config('matrice.restored_version', '', true);
  return saved;
end
$$;
comment on function matrice.restore_pillar(uuid, text, integer) is
  'Saves an old version of a pillar again, as a new version, and returns its number. Nothing of the history is lost.';

create function matrice.pillar_history(project_id uuid, code text)
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
comment on function matrice.pillar_history(uuid, text) is 'All versions of a pillar, newest first.';

-- Members ------------------------------------------------------------------------------------------------------------

create function matrice_private.trimmed(value text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select btrim(value, E' \t\n\r\f\u000b\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff');
end;
comment on function matrice_private.trimmed(text) is 'A text without white space, or marks that nobody sees, around it: people paste them along.';

create function matrice_private.make_invitation(project_id uuid, email text, role text, valid_for interval, invited_by uuid) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- 244 random bits; only their hash is stored.
  token   text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
  address text;
begin
  perform matrice_private.require_text('email', left(email, 1000));
  -- As the table's check has it; what is too long is not even looked at.
  if octet_length(email) <= 4000 then
    address := normalize(matrice_private.trimmed(email), nfc);
  end if;
  if address is null or length(address) > 254
     or address !~ '^[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+@[^[:space:][:cntrl:]\u00a0\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+$' then
    raise exception 'not an e-mail address: %', quote_literal(left(email, 100))
      using errcode = '22023', hint = 'The token is to be sent there: name@domain, at most 254 characters, none of them white space.';
  end if;
  perform matrice_private.require_one_of('role', role, array['owner', 'editor', 'viewer']);
  perform matrice_private.require_given('valid_for', valid_for);
  if not valid_for between interval '1 minute' and interval '365 days' then
    raise exception 'valid_for must be between a minute and a year'
      using errcode = '22023', hint = 'Leave it out for 7 days.';
  end if;
  insert into matrice.project_invitations (project_id, email, role, token_hash, expires_at, invited_by)
  values (make_invitation.project_id, address, make_invitation.role, sha256(convert_to(token, 'UTF8')), now() + valid_for,
          make_invitation.invited_by)
  on conflict (project_id, lower(email)) where accepted_at is null do update
    set role = excluded.role, token_hash = excluded.token_hash, expires_at = excluded.expires_at,
        invited_by = excluded.invited_by, created_at = now();
  return token;
end
$$;
comment on function matrice_private.make_invitation(uuid, text, text, interval, uuid) is
  'Stores an invitation, in place of an open one for the same address, and returns its token. As its caller: for services.';

create function matrice_private.invite_as_owner(project_id uuid, email text, role text, valid_for interval) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := matrice_private.current_user_id();
begin
  -- Waits for whoever is removing the caller: that withdraws the invitations it finds.
  perform from matrice.user_projects m
    where m.project_id = invite_as_owner.project_id and m.user_id = caller and m.role = 'owner' for share;
  if not found then
    raise exception 'this needs the role owner'
      using errcode = '42501', detail = 'Only owners invite.', hint = 'Ask an owner of the project.';
  end if;
  return matrice_private.make_invitation(project_id, email, role, valid_for, caller);
end
$$;
comment on function matrice_private.invite_as_owner(uuid, text, text, interval) is
  'Invites somebody in the caller''s name. SECURITY DEFINER: no client writes invitations, so that token, inviter and end are not theirs to choose. Refused unless the caller is an owner of the project.';

create function matrice.invite_member(
  project_id uuid, email text, role text default 'viewer', valid_for interval default '7 days'
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_role(project_id, 'owner');
  if row_security_active('matrice.project_invitations') then
    return matrice_private.invite_as_owner(project_id, email, role, valid_for);
  end if;
  return matrice_private.make_invitation(project_id, email, role, valid_for, matrice_private.current_user_id());
end
$$;
comment on function matrice.invite_member(uuid, text, text, interval) is
  'Invites somebody to a project and returns the one-time token to send them; it cannot be read again. Inviting the same address again makes the earlier token void. White space around the address is no part of it. For owners.';

create function matrice.accept_invite(token text) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_text('token', left(token, 1000));
  return matrice_private.accept_invitation(matrice_private.trimmed(left(token, 1000)));
end
$$;
comment on function matrice.accept_invite(text) is
  'Makes the caller a member by the token of an invitation, once, and returns the project''s id. A member who has a higher role keeps it. White space around the token is no part of it.';

create function matrice.list_members(project_id uuid)
returns table (user_id uuid, role text, member_since timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select m.user_id, m.role, m.created_at
      from matrice.user_projects m
     where m.project_id = list_members.project_id
     order by matrice_private.role_rank(m.role) desc, m.created_at, m.user_id;
end
$$;
comment on function matrice.list_members(uuid) is 'The members of a project, owners first.';

create function matrice_private.require_member(project_id uuid, user_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('user_id', user_id);
  if not exists (
    select from matrice.user_projects m where m.project_id = require_member.project_id and m.user_id = require_member.user_id
  ) then
    raise exception 'member not found'
      using errcode = 'PT404', detail = format('User %s is no member of project %s.', user_id, project_id),
            hint = 'list_members() lists them.';
  end if;
end
$$;
comment on function matrice_private.require_member(uuid, uuid) is 'Raises unless a user is a member of a project.';

create function matrice.set_member_role(project_id uuid, user_id uuid, role text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_one_of('role', role, array['owner', 'editor', 'viewer']);
  perform matrice_private.require_role(project_id, 'owner');
  perform matrice_private.hold_project(project_id);
  perform matrice_private.require_member(project_id, user_id);
  update matrice.user_projects m
     set role = set_member_role.role
   where m.project_id = set_member_role.project_id and m.user_id = set_member_role.user_id
     and m.role <> set_member_role.role;
end
$$;
comment on function matrice.set_member_role(uuid, uuid, text) is
  'Changes the role of a member: owner, editor or viewer. The last owner stays one (PT409), and only who agreed to be a member can become one (PT409). For owners.';

create function matrice.remove_member(project_id uuid, user_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Leaving needs no role.
  perform matrice_private.require_role(
    project_id, case when user_id = matrice_private.current_user_id() then 'viewer' else 'owner' end);
  perform matrice_private.hold_project(project_id);
  perform matrice_private.require_member(project_id, user_id);
  delete from matrice.user_projects m
   where m.project_id = remove_member.project_id and m.user_id = remove_member.user_id;
end
$$;
comment on function matrice.remove_member(uuid, uuid) is
  'Removes a member: owners anybody, everybody themselves. The last owner stays (PT409).';

-- Requests -----------------------------------------------------------------------------------------------------------

create function matrice.refuse_planned_counts() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- As PostgREST tells it: {"prefer": "return=representation, count=planned", …}. As json, which keeps a key that comes twice.
  if exists (
    select from json_each_text(nullif(current_setting('request.headers', true), '')::json) header
     where lower(header.key) = 'prefer' and header.value ~* 'count\s*=\s*"?(planned|estimated)'
  ) then
    raise exception 'planned and estimated counts are not answered'
      using errcode = '22023',
            detail = 'They come from the planner, which counts the rows of everybody.',
            hint = 'Ask for count=exact, which counts the rows that you see.';
  end if;
end
$$;
comment on function matrice.refuse_planned_counts() is
  'Refuses requests with Prefer: count=planned or count=estimated. For PostgREST''s db-pre-request.';

-- Ingestion ----------------------------------------------------------------------------------------------------------

create function matrice.ingest_source(
  project_id uuid, name text, content text, type text default 'file', format text default 'text',
  max_tokens integer default 512, overlap_tokens integer default 64,
  storage_path text default null, metadata jsonb default '{}'
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  new_id uuid;
begin
  perform matrice_private.require_text('name', name);
  perform matrice_private.require_text('type', type);
  perform matrice_private.require_object('metadata', metadata);
  perform matrice_private.require_given('format', format);
  perform matrice_private.require_given('max_tokens', max_tokens);
  perform matrice_private.require_given('overlap_tokens', overlap_tokens);
  perform matrice_private.require_bytes('name', name, 2000);
  perform matrice_private.require_bytes('type', type, 200);
  perform matrice_private.require_bytes('storage_path', storage_path, 2000);
  perform matrice_private.require_json('metadata', metadata, 16384);
  perform matrice_private.require_role(project_id, 'editor');
  perform matrice_private.hold_project(project_id);
  insert into matrice.context_sources as s (project_id, type, name, storage_path, raw_metadata)
  values (ingest_source.project_id, ingest_source.type, ingest_source.name, ingest_source.storage_path, ingest_source.metadata)
  returning s.id into new_id;
  perform matrice.chunk_source(new_id, content, format, max_tokens, overlap_tokens);
  return new_id;
end
$$;
comment on function matrice.ingest_source(uuid, text, text, text, text, integer, integer, text, jsonb) is
  'Adds a document to a project and cuts it into chunks, ready for full-text search and for claim_chunks. Returns the source''s id. How it is cut is remembered for chunk_source. overlap_tokens: at most half of max_tokens; the default, 64, is as much of that as may be.';

create function matrice_private.cut_is_bounded(chunks bigint, max_tokens integer, metadata_bytes integer) returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if chunks > 100000 then
    raise exception 'the text has too many chunks'
      using errcode = '22023', detail = format('It has %s chunks of at most %s tokens; a source has at most 100000.', chunks, max_tokens),
            hint = 'Raise max_tokens, or divide the text into several sources.';
  elsif chunks > 10000 and max_tokens < 16 then
    -- A row takes some thousand bytes, however short its text is.
    raise exception 'the text has too many chunks for so small ones'
      using errcode = '22023', detail = format('It has %s chunks of at most %s tokens.', chunks, max_tokens),
            hint = 'A source of more than 10000 chunks needs a max_tokens of at least 16.';
  end if;
  perform matrice_private.require_metadata_room(chunks, metadata_bytes);
  return true;
end
$$;
comment on function matrice_private.cut_is_bounded(bigint, integer, integer) is
  'Raises unless the chunks of a text, and the metadata that each repeats, are of a bounded number and size: a small request must not write much.';

create function matrice.chunk_source(
  source_id uuid, content text, format text default null, max_tokens integer default null, overlap_tokens integer default null
) returns table (total integer, added integer, kept integer, removed integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('content', content);
  perform matrice_private.require_bytes('content', content, 67108864);
  perform matrice_private.require_given('source_id', source_id);
  select s.project_id into owner_project from matrice.context_sources s where s.id = chunk_source.source_id;
  if not found then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('There is no source %s that you can see.', source_id);
  end if;
  perform matrice_private.require_role(owner_project, 'editor');
  -- One at a time for each source, and before its chunks.
  select coalesce(chunk_source.format, s.format, 'text'), coalesce(chunk_source.max_tokens, s.max_tokens, 512),
         coalesce(chunk_source.overlap_tokens, s.overlap_tokens, 64)
    into format, max_tokens, overlap_tokens
    from matrice.context_sources s
   where s.id = chunk_source.source_id
     for no key update;
  if not found then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('Source %s has just been deleted.', source_id);
  end if;
  -- All before the first changes: whoever changes one of them waits for its index to be free, which another may be moving to.
  perform from matrice.source_chunks c where c.source_id = chunk_source.source_id order by c.id for update;

  -- A stored chunk whose text is among the new ones keeps its row, in order where a text occurs more than once.
  with cut as materialized (
    select c.*, row_number() over (partition by c.content order by c.chunk_index) as occurrence
      from matrice.chunk_text(chunk_source.content, chunk_source.max_tokens, chunk_source.overlap_tokens, chunk_source.format) c
  ), bounded as materialized (
    select matrice_private.cut_is_bounded(
             count(*), chunk_source.max_tokens,
             coalesce(max(pg_column_size(cut.metadata)), 0) + (
               select pg_column_size(s.raw_metadata || jsonb_build_object('type', s.type, 'matrice.project', s.project_id))
                 from matrice.context_sources s where s.id = chunk_source.source_id)) as holds
      from cut
  ), stored as materialized (
    select c.id, row_number() over (partition by c.content order by c.chunk_index) as occurrence, c.content
      from matrice.source_chunks c
     where c.source_id = chunk_source.source_id
  ), matched as materialized (
    select cut.*, stored.id from cut left join stored using (content, occurrence) where (select b.holds from bounded b)
  ), gone as (
    delete from matrice.source_chunks c
     where c.source_id = chunk_source.source_id and c.id not in (select m.id from matched m where m.id is not null)
    returning c.id
  ), moved as (
    update matrice.source_chunks c
       set chunk_index = m.chunk_index, start_char = m.start_char, end_char = m.end_char,
           -- What a client says of a text is true wherever that stands, but for the page.
           metadata = case when (c.start_char, c.end_char) is distinct from (m.start_char, m.end_char)
                           then c.metadata - '{headings,page,pages}'::text[] else c.metadata - 'headings' end || m.metadata
      from matched m
     where c.id = m.id
       and (c.chunk_index, c.start_char, c.end_char, c.metadata -> 'headings')
           is distinct from (m.chunk_index, m.start_char, m.end_char, m.metadata -> 'headings')
  ), new as (
    insert into matrice.source_chunks (source_id, project_id, chunk_index, content, token_count, start_char, end_char, metadata)
    select chunk_source.source_id, owner_project, m.chunk_index, m.content, m.token_count, m.start_char, m.end_char, m.metadata
      from matched m
     where m.id is null
    returning id
  )
  select (select count(*) from cut), (select count(*) from new),
         (select count(*) from matched m where m.id is not null), (select count(*) from gone)
    into total, added, kept, removed;

  if total = 0 then
    raise exception 'content must not be empty'
      using errcode = '22023', detail = 'It has nothing but white space.', hint = 'Pass a text, or delete the source.';
  end if;
  update matrice.context_sources s
     set status = 'ready', processed_at = now(), token_count = matrice.count_tokens(chunk_source.content),
         format = chunk_source.format, max_tokens = least(chunk_source.max_tokens, 1000000000),
         overlap_tokens = least(chunk_source.overlap_tokens, 1000000000)
   where s.id = chunk_source.source_id;
  return next;
end
$$;
comment on function matrice.chunk_source(uuid, text, text, integer, integer) is
  'Cuts a source''s text again. Chunks whose text did not change keep their row, id, embeddings and metadata, wherever they moved; but a page or pages only where they stand as before. Without format, max_tokens or overlap_tokens: as last time, else text, 512 and 64. overlap_tokens: at most half of max_tokens; 64 is as much of that as may be.';

-- The queue ----------------------------------------------------------------------------------------------------------
--
-- It is derived: a chunk without an embedding and without a live lease is claimable.
--
-- Everybody locks in this order: a project, then its sources, then their chunks, then leases, then embeddings; several of
-- a kind by their ids. What writes chunks of a source locks the source first (chunk_source, a change of its metadata, of the
-- project's language, a deletion). Workers are among them all and lock neither projects nor sources: a worker that waits for a
-- chunk holds no other, so that nobody waits for it. Claims pass over what others have locked. store_embeddings locks its
-- chunks all or none, as foreign keys do. fail_chunks passes over leases that others have locked.
-- (A client's own statement over many sources or chunks locks them as it finds them.)

create function matrice_private.hold_claimable(project_ids uuid[], model text, most integer)
returns table (chunk_id uuid, bytes integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  project uuid;
  source  uuid;
  found_here integer;
begin
  -- A source at a time: the planner would rather sort the whole backlog for each batch.
  foreach project in array project_ids loop
    for source in select s.id from matrice.context_sources s where s.project_id = project order by s.created_at, s.id loop
      return query
        select c.id, octet_length(c.content)
          from matrice.source_chunks c
         where c.source_id = source
           and not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id and e.model = hold_claimable.model)
           and not exists (
             select from matrice.embedding_leases l
              where l.chunk_id = c.id and l.model = hold_claimable.model and l.leased_until > now()
           )
         order by c.chunk_index
         limit most
           for no key update of c skip locked;
      get diagnostics found_here = row_count;
      most := most - found_here;
      if most = 0 then
        return;
      end if;
    end loop;
  end loop;
end
$$;
comment on function matrice_private.hold_claimable(uuid[], text, integer) is
  'Locks claimable chunks that nobody else has locked: project by project as they are given, in each the oldest sources first.';

create function matrice_private.take_leases(chunk_ids uuid[], model text, lease_seconds integer, lease_id uuid, project_ids uuid[])
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
  taken  integer;
begin
  with ended as materialized (
    select l.chunk_id
      from matrice.embedding_leases l
     where l.chunk_id = any (take_leases.chunk_ids) and l.model = take_leases.model and l.leased_until <= now()
       for update skip locked
  )
  insert into matrice.embedding_leases as l (chunk_id, model, project_id, leased_until, lease_id, leased_by, text_hash)
  select c.id, take_leases.model, c.project_id, now() + make_interval(secs => lease_seconds), take_leases.lease_id,
         caller, matrice_private.text_hash(c.content)
    from matrice.source_chunks c
   where c.id = any (take_leases.chunk_ids)
     and (take_leases.project_ids is null or c.project_id = any (take_leases.project_ids))
     and not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id and e.model = take_leases.model)
     and (c.id in (select ended.chunk_id from ended) or not exists (
       select from matrice.embedding_leases l where l.chunk_id = c.id and l.model = take_leases.model
     ))
   order by c.id
  on conflict on constraint embedding_leases_pkey do update
    set leased_until = excluded.leased_until, lease_id = excluded.lease_id, leased_by = excluded.leased_by,
        text_hash = excluded.text_hash,
        -- A new text has not failed yet.
        attempt = case when l.text_hash = excluded.text_hash then least(l.attempt + 1, 1000000) else 1 end,
        last_error = case when l.text_hash = excluded.text_hash then l.last_error end
    where l.leased_until <= now();
  get diagnostics taken = row_count;
  return taken;
end
$$;
comment on function matrice_private.take_leases(uuid[], text, integer, uuid, uuid[]) is
  'Leases those of the chunks that are still claimable, and returns how many, in these projects or, where they are null, in all. The caller has locked the chunks, so that nobody takes them meanwhile. It asks nobody about the projects: for services and take_leases_of_member.';

create function matrice_private.take_leases_of_member(chunk_ids uuid[], model text, lease_seconds integer, lease_id uuid) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if lease_seconds is null or lease_seconds not between 1 and 86400 or lease_id is null then
    raise exception 'no such lease' using errcode = '22023', hint = 'claim_chunks makes leases.';
  end if;
  return matrice_private.take_leases(
    chunk_ids, model, lease_seconds, lease_id, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.take_leases_of_member(uuid[], text, integer, uuid) is
  'take_leases in the projects that the caller edits. SECURITY DEFINER: no client may write leases. It leases to the caller alone, and nothing that is leased.';

create function matrice_private.lease_chunks(model text, batch_size integer, lease_seconds integer, in_project uuid)
returns table (chunk_id uuid, project_id uuid, content text, token_count integer, attempt integer, lease_id uuid)
language plpgsql
set search_path = pg_catalog, pg_temp
-- A session keeps its plans. Those that read whole tables, made when there were few chunks, would do it for each of many.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  wanted   text;
  standard text;
  projects uuid[];
  lease    uuid := gen_random_uuid();
  offered  uuid[] := array[]::uuid[];
  claimed  integer := 0;
  asked    integer;
  held     integer;
  taken    integer;
  fitting  uuid[];
  room     bigint := 8000000;
  began    timestamptz := clock_timestamp();
  pause    double precision := 0.005;
begin
  perform matrice_private.require_given('batch_size', batch_size);
  perform matrice_private.require_given('lease_seconds', lease_seconds);
  if batch_size not between 1 and 10000 then
    raise exception 'batch_size must be between 1 and 10000, not %', batch_size
      using errcode = '22023', hint = 'Claim as many as one call of the embedding model takes.';
  end if;
  if lease_seconds not between 1 and 86400 then
    raise exception 'lease_seconds must be between 1 and 86400, not %', lease_seconds
      using errcode = '22023', hint = 'A little longer than one call of the embedding model takes.';
  end if;
  wanted := matrice_private.embedding_model(lease_chunks.model, in_project);
  if in_project is not null then
    perform matrice_private.require_role(in_project, 'editor');
    projects := array[in_project];
  else
    standard := (select m.model from matrice.embedding_models m where m.is_default);
    -- Each time in another order, so that one project's backlog does not keep the others waiting. Their settings are read
    -- here, once a claim.
    projects := array(
      select p.id
        from matrice.projects p
       where (not row_security_active('matrice.projects') or p.id = any ((select matrice_private.project_ids('editor'))::uuid[]))
         and coalesce(p.settings ->> 'embedding_model', standard) = wanted
       order by random());
  end if;

  <<waiting>>
  loop
    -- In the order of ids, which are random: found soon where there is much, and cheaper than the search below where there
    -- is nothing.
    exit waiting when not exists (
      select from matrice.source_chunks c
       where c.project_id = any (projects)
         and not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id and e.model = wanted)
         and not exists (select from matrice.embedding_leases l where l.chunk_id = c.id and l.model = wanted and l.leased_until > now()));
    begin
      loop
        asked := batch_size - claimed;
        -- As many as fit, but at least one: the first.
        select count(*), coalesce(array_agg(h.chunk_id order by h.place) filter (where h.total <= room or h.place = 1 and claimed = 0), '{}')
          into held, fitting
          from (
            select h.chunk_id, h.place, sum(h.bytes) over (order by h.place) as total
              from matrice_private.hold_claimable(projects, wanted, asked) with ordinality as h (chunk_id, bytes, place)
          ) h;
        if row_security_active('matrice.embedding_leases') then
          taken := matrice_private.take_leases_of_member(fitting, wanted, lease_seconds, lease);
        else
          taken := matrice_private.take_leases(fitting, wanted, lease_seconds, lease, null);
        end if;
        offered := offered || fitting;
        claimed := claimed + taken;
        -- Of a full measure some may have been taken by others since its statement began: there are more behind them.
        exit when held < asked or cardinality(fitting) < held or taken = asked;
        room := room - (
          select coalesce(sum(octet_length(c.content)), 0)
            from matrice.source_chunks c
            join matrice.embedding_leases l on l.chunk_id = c.id and l.model = wanted
           where c.id = any (fitting) and l.lease_id = lease);
      end loop;
      exit waiting when claimed > 0;
      raise exception using errcode = 'MT001', message = 'nothing was claimed';
    exception when sqlstate 'MT001' then
      -- Gives back what was locked and turned out to be taken.
      offered := '{}';
    end;
    exit waiting when clock_timestamp() > began + interval '5 seconds';
    -- What is left is in the hands of transactions that have not ended yet: they may take it, change it or let it go.
    perform pg_sleep(pause);
    pause := least(pause * 2, 0.5);
  end loop;

  return query
    select c.id, c.project_id, c.content, c.token_count, l.attempt, l.lease_id
      from unnest(offered) with ordinality as given (id, place)
      join matrice.embedding_leases l on l.chunk_id = given.id and l.model = wanted and l.lease_id = lease
      join matrice.source_chunks c on c.id = given.id
     order by given.place;
end
$$;
comment on function matrice_private.lease_chunks(text, integer, integer, uuid) is
  'claim_chunks, whose project_id goes in and comes out: PL/pgSQL cannot have both under one name.';

create function matrice_private.require_chunks(chunk_ids uuid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  project uuid;
begin
  if array_ndims(chunk_ids) > 1 then
    raise exception 'chunk_ids must be a plain list'
      using errcode = '22023', detail = format('It has %s dimensions.', array_ndims(chunk_ids)),
            hint = 'Pass the chunk_id values that claim_chunks gave.';
  end if;
  if chunk_ids is null or array_position(chunk_ids, null) is not null then
    raise exception 'chunk_ids must not be null, nor hold a null'
      using errcode = '22004', hint = 'Pass the chunk_id values that claim_chunks gave.';
  end if;
  if cardinality(chunk_ids) > 0 and not exists (select from matrice.source_chunks c where c.id = any (chunk_ids)) then
    raise exception 'chunks not found'
      using errcode = 'PT404',
            detail = format('None of the %s chunks is there for you to see.', cardinality(chunk_ids)),
            hint = 'They may have been cut anew since they were claimed: claim again.';
  end if;
  for project in select distinct c.project_id from matrice.source_chunks c where c.id = any (chunk_ids) loop
    perform matrice_private.require_role(project, 'editor');
  end loop;
end
$$;
comment on function matrice_private.require_chunks(uuid[]) is
  'Raises unless the caller may write to the chunks, of which some may be gone but not all.';

create function matrice.claim_chunks(
  model text default null, batch_size integer default 64, lease_seconds integer default 300, project_id uuid default null
) returns table (chunk_id uuid, project_id uuid, content text, token_count integer, attempt integer, lease_id uuid)
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select l.chunk_id, l.project_id, l.content, l.token_count, l.attempt, l.lease_id
    from matrice_private.lease_chunks(model, batch_size, lease_seconds, project_id) l;
end;
comment on function matrice.claim_chunks(text, integer, integer, uuid) is
  'Gives a worker chunks to embed, and nobody else the same ones until the lease ends: as many as batch_size, of 8 MB of text at most but at least one, the oldest sources first. Without a model: the project''s; without a project either: the default model. Without a project: of the projects that use the model, in turns. Nothing comes when nothing is claimable.';

create function matrice_private.hold_chunks(chunk_ids uuid[]) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- As claim_chunks.
set enable_seqscan = off
as $$
declare
  wanted  uuid[] := chunk_ids;
  awaited uuid;
  held    uuid[];
begin
  loop
    begin
      if awaited is not null then
        -- Nothing else is held while this waits.
        perform from matrice.source_chunks c where c.id = awaited for key share;
        if not found then
          wanted := array_remove(wanted, awaited);
        end if;
      end if;
      held := array(select c.id from matrice.source_chunks c where c.id = any (wanted) for key share skip locked);
      select c.id into awaited
        from matrice.source_chunks c
       where c.id = any (wanted) and not exists (select from unnest(held) as h (id) where h.id = c.id)
       order by c.id limit 1;
      exit when not found;
      raise exception using errcode = 'MT001', message = 'not all chunks could be locked';
    exception when sqlstate 'MT001' then
      -- Gives back what was locked.
    end;
  end loop;
  return held;
end
$$;
comment on function matrice_private.hold_chunks(uuid[]) is
  'Locks those of the chunks that exist against deletion and a new text, all or, while it waits for one, none. Returns them.';

create function matrice_private.end_leases(chunk_ids uuid[], model text, lease_id uuid, project_ids uuid[]) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- As claim_chunks.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
  ours   uuid[];
begin
  perform from matrice.embedding_leases l
    where l.chunk_id = any (end_leases.chunk_ids) and l.model = end_leases.model
      and (end_leases.project_ids is null or l.project_id = any (end_leases.project_ids))
    order by l.chunk_id
      for update;
  with lease as materialized (
    select c.id, c.content, l.text_hash, l.lease_id is not null and l.leased_until > now() as live,
           coalesce(case when end_leases.lease_id is null then l.lease_id is not null and l.leased_by is not distinct from caller
                         else l.lease_id = end_leases.lease_id
                              and (end_leases.project_ids is null or l.leased_by is not distinct from caller) end, false) as own
      from matrice.source_chunks c
      left join matrice.embedding_leases l on l.chunk_id = c.id and l.model = end_leases.model
     where c.id = any (end_leases.chunk_ids)
       and (end_leases.project_ids is null or c.project_id = any (end_leases.project_ids))
  ), judged as materialized (
    select id, own,
           -- What the caller leased must be the text that it was given. What nobody leases may be stored by anybody who
           -- read it, but not under the name of a lease that there is no more.
           case when own then text_hash = matrice_private.text_hash(content)
                else end_leases.lease_id is null and not live end as may
      from lease
  ), ended as (
    delete from matrice.embedding_leases l
     using judged j
     where l.chunk_id = j.id and l.model = end_leases.model and j.may
  ), freed as (
    -- The lease is kept, or the old text's embedding would be taken if it came a second time.
    update matrice.embedding_leases l
       set leased_until = now()
      from judged j
     where l.chunk_id = j.id and l.model = end_leases.model and j.own and not j.may and l.leased_until > now()
  )
  select coalesce(array_agg(id), '{}') into ours from judged where may;
  return ours;
end
$$;
comment on function matrice_private.end_leases(uuid[], text, uuid, uuid[]) is
  'Ends the caller''s leases of chunks, which it has locked, in these projects or, where they are null, in all. Returns the chunks whose embeddings it may store: leased by it and of the same text still, or leased by nobody. It asks nobody about the projects: for services and end_leases_of_member.';

create function matrice_private.end_leases_of_member(chunk_ids uuid[], model text, lease_id uuid) returns uuid[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.end_leases(chunk_ids, model, lease_id, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.end_leases_of_member(uuid[], text, uuid) is
  'end_leases in the projects that the caller edits. SECURITY DEFINER: no client may write leases. It ends the caller''s own, and such as have ended.';

create function matrice_private.return_leases(chunk_ids uuid[], model text, error text, lease_id uuid, project_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- As claim_chunks.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
begin
  with own as materialized (
    select l.chunk_id
      from matrice.embedding_leases l
     where l.chunk_id = any (return_leases.chunk_ids) and l.model = return_leases.model
       and (return_leases.project_ids is null or l.project_id = any (return_leases.project_ids))
       and case when return_leases.lease_id is null then l.lease_id is not null and l.leased_by is not distinct from caller
                else l.lease_id = return_leases.lease_id
                     and (return_leases.project_ids is null or l.leased_by is not distinct from caller) end
       for update skip locked
  )
  -- The first failure is mostly a blip: again at once. Each further one waits four times longer, up to an hour.
  update matrice.embedding_leases l
     set last_error = left(return_leases.error, 2000), lease_id = null, leased_by = null,
         leased_until = now() + case when l.attempt = 1 then interval '0'
                                     else least(interval '1 hour', interval '10 seconds' * 4 ^ least(l.attempt - 2, 10)) end
    from own
   where l.chunk_id = own.chunk_id and l.model = return_leases.model;
end
$$;
comment on function matrice_private.return_leases(uuid[], text, text, uuid, uuid[]) is
  'Gives the caller''s leases of chunks back, in these projects or, where they are null, in all. It asks nobody about the projects: for services and return_leases_of_member.';

create function matrice_private.return_leases_of_member(chunk_ids uuid[], model text, error text, lease_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.return_leases(chunk_ids, model, error, lease_id, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.return_leases_of_member(uuid[], text, text, uuid) is
  'return_leases in the projects that the caller edits. SECURITY DEFINER: no client may write leases. It gives the caller''s own back.';

create function matrice.store_embeddings(model text, chunk_ids uuid[], embeddings jsonb, lease_id uuid default null) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- As claim_chunks.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  wanted text;
  ours uuid[];
  stored integer;
  refusal text;
begin
  perform matrice_private.require_text('model', model);
  wanted := matrice_private.embedding_model(model, null);
  perform matrice_private.require_chunks(chunk_ids);
  perform matrice_private.require_given('embeddings', embeddings);
  if jsonb_typeof(embeddings) is distinct from 'array' or jsonb_array_length(embeddings) <> cardinality(chunk_ids) then
    raise exception 'embeddings must be an array with one vector for each of chunk_ids'
      using errcode = '22023',
            detail = format('%s chunk_ids, %s.', cardinality(chunk_ids),
              case when jsonb_typeof(embeddings) = 'array' then jsonb_array_length(embeddings) || ' embeddings'
                   else 'embeddings is ' || coalesce(jsonb_typeof(embeddings), 'null') end),
            hint = 'embeddings is a JSON array of arrays of numbers.';
  end if;
  -- A chunk that was re-cut away since it was claimed needs no embedding any more, so it is passed over; and so is one
  -- whose embedding would be another text's.
  ours := matrice_private.hold_chunks(chunk_ids);
  if row_security_active('matrice.embedding_leases') then
    ours := matrice_private.end_leases_of_member(ours, wanted, store_embeddings.lease_id);
  else
    ours := matrice_private.end_leases(ours, wanted, store_embeddings.lease_id, null);
  end if;
  begin
    insert into matrice.chunk_embeddings as e (chunk_id, project_id, model, embedding)
    select distinct on (c.id) c.id, c.project_id, wanted, matrice_private.to_vector(given.embedding #>> '{}')
      from unnest(chunk_ids) with ordinality as given_id (id, position)
      join lateral (select embeddings -> (given_id.position - 1)::integer as embedding) given on true
      join matrice.source_chunks c on c.id = given_id.id
     where c.id = any (ours)
     order by c.id, given_id.position desc
    on conflict on constraint chunk_embeddings_chunk_id_model_key do update
      set embedding = excluded.embedding, created_at = now();
    get diagnostics stored = row_count;
  exception when data_exception or not_null_violation or program_limit_exceeded then
    if sqlstate = '22023' then
      raise;
    end if;
    get stacked diagnostics refusal = message_text;
    refusal := left(refusal, 200);
    raise exception 'an embedding is not a vector of numbers'
      using errcode = '22023', detail = refusal, hint = 'embeddings is a JSON array of arrays of finite numbers.';
  end;
  return stored;
end
$$;
comment on function matrice.store_embeddings(text, uuid[], jsonb, uuid) is
  'Stores the embeddings of claimed chunks, an array of arrays in the order of chunk_ids, and ends their leases. Returns how many were stored; on an error, none. Passed over are chunks that no longer exist, whose text changed since they were claimed (they can be claimed again), or that somebody else leases. With lease_id, as claim_chunks gave it, also those that are not of that lease any more.';

create function matrice.fail_chunks(model text, chunk_ids uuid[], error text, lease_id uuid default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  wanted text;
begin
  perform matrice_private.require_text('model', model);
  perform matrice_private.require_given('error', error);
  wanted := matrice_private.embedding_model(model, null);
  perform matrice_private.require_chunks(chunk_ids);
  if row_security_active('matrice.embedding_leases') then
    perform matrice_private.return_leases_of_member(chunk_ids, wanted, error, lease_id);
  else
    perform matrice_private.return_leases(chunk_ids, wanted, error, lease_id, null);
  end if;
end
$$;
comment on function matrice.fail_chunks(text, uuid[], text, uuid) is
  'Gives chunks back that the caller leases, with an error. They can be claimed again: at once after the first failure, later after more of them, an hour at most. With lease_id: those of that lease alone.';

-- Insights -----------------------------------------------------------------------------------------------------------

create function matrice.record_insight(
  project_id uuid, type text, title text, content text, confidence double precision default 0.5,
  tags jsonb default '[]', source_id uuid default null, evidence jsonb default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  new_id uuid;
begin
  perform matrice_private.require_text('type', type);
  perform matrice_private.require_text('title', title);
  perform matrice_private.require_text('content', content);
  perform matrice_private.require_given('confidence', confidence);
  if not confidence between 0 and 1 then
    raise exception 'confidence must be between 0 and 1, not %', confidence
      using errcode = '22023', hint = 'Leave it out for 0.5.';
  end if;
  perform matrice_private.require_bytes('type', type, 200);
  perform matrice_private.require_bytes('title', title, 2000);
  perform matrice_private.require_bytes('content', content, 65536);
  perform matrice_private.require_given('tags', tags);
  perform matrice_private.require_json('tags', tags, 16384);
  perform matrice_private.require_json('evidence', evidence, 65536);
  if jsonb_typeof(tags) <> 'array' then
    raise exception 'tags must be a JSON array'
      using errcode = '22023', detail = format('It is %s.', jsonb_typeof(tags)),
            hint = 'A string that holds JSON is a string: pass the array itself.';
  end if;
  perform matrice_private.require_role(project_id, 'editor');
  if source_id is not null and not exists (
    select from matrice.context_sources s where s.id = record_insight.source_id and s.project_id = record_insight.project_id
  ) then
    raise exception 'source not found'
      using errcode = 'PT404', detail = format('Project %s has no source %s.', project_id, source_id);
  end if;
  insert into matrice.insights as i (project_id, source_id, type, title, content, confidence, tags, evidence)
  values (record_insight.project_id, record_insight.source_id, record_insight.type, record_insight.title,
          record_insight.content, record_insight.confidence, record_insight.tags, record_insight.evidence)
  returning i.id into new_id;
  return new_id;
end
$$;
comment on function matrice.record_insight(uuid, text, text, text, double precision, jsonb, uuid, jsonb) is
  'Records an insight and returns its id.';

create function matrice.supersede_insight(old_id uuid, new_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  old_insight record;
  new_project uuid;
begin
  perform matrice_private.require_given('old_id', old_id);
  perform matrice_private.require_given('new_id', new_id);
  select i.project_id, i.superseded_by into old_insight from matrice.insights i where i.id = old_id;
  if not found then
    raise exception 'insight not found' using errcode = 'PT404', detail = format('There is no insight %s that you can see.', old_id);
  end if;
  select i.project_id into new_project from matrice.insights i where i.id = new_id;
  if not found or new_project <> old_insight.project_id then
    raise exception 'insight not found'
      using errcode = 'PT404', detail = format('The project of %s has no insight %s.', old_id, new_id);
  end if;
  perform matrice_private.require_role(old_insight.project_id, 'editor');
  -- One supersession at a time in a project, or two could close a circle.
  perform from matrice.insights i
    where i.project_id = old_insight.project_id and i.id in (old_id, new_id) order by i.id for update;
  if old_insight.superseded_by is not null and old_insight.superseded_by <> new_id then
    raise exception 'the insight is superseded already'
      using errcode = 'PT409', detail = format('Insight %s supersedes it.', old_insight.superseded_by);
  end if;
  if exists (
    with recursive successors as (
      select i.id, i.superseded_by from matrice.insights i where i.id = new_id
      union
      select i.id, i.superseded_by from matrice.insights i join successors s on i.id = s.superseded_by
    )
    select from successors s where s.id = old_id
  ) then
    raise exception 'an insight cannot supersede itself, directly or by others'
      using errcode = '22023', detail = format('Insight %s is, or is superseded by way of, %s.', new_id, old_id);
  end if;
  update matrice.insights i set superseded_by = new_id, superseded_at = coalesce(i.superseded_at, now()) where i.id = old_id;
end
$$;
comment on function matrice.supersede_insight(uuid, uuid) is
  'Marks an insight as replaced by a newer one of the same project. search_insights then leaves it out; nothing is deleted.';

create function matrice.search_insights(
  query_text text, project_id uuid, match_count integer default 10, include_superseded boolean default false
) returns table (
  insight_id uuid, source_id uuid, type text, title text, content text, confidence double precision, tags jsonb,
  created_at timestamptz, superseded_by uuid, rank real
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  query tsquery;
begin
  perform matrice_private.require_query(query_text);
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_given('include_superseded', include_superseded);
  perform matrice_private.require_role(project_id, 'viewer');
  query := matrice_private.text_query(matrice_private.text_search_config(project_id), query_text);
  return query
    select i.id, i.source_id, i.type, i.title, i.content, i.confidence, i.tags, i.created_at, i.superseded_by, r.rank
      from matrice.insights i
     -- As matching_chunks ranks.
     cross join lateral (
       select case when numnode(query) <= 100 then ts_rank_cd(i.fts, query) else ts_rank(i.fts, query || query) end as rank offset 0) r
     where i.project_id = search_insights.project_id
       and i.fts @@ query
       and (include_superseded or i.superseded_by is null)
     order by r.rank * i.confidence desc, i.id
     limit match_count;
end
$$;
comment on function matrice.search_insights(text, uuid, integer, boolean) is
  'Full-text search in a project''s insights, best first by rank times confidence; superseded ones only on request.';

-- Workflows and cost -------------------------------------------------------------------------------------------------

create function matrice_private.require_key(argument text, value text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if value !~ '\S' then
    raise exception '% must not be empty', argument
      using errcode = '22023', detail = 'An empty key would make one of all that have it.', hint = 'Leave it out where there is none.';
  elsif length(value) > 500 then
    raise exception '% is too long', argument
      using errcode = '22023', detail = format('It has %s characters; at most 500 are allowed.', length(value)), hint = 'Hash what is longer.';
  end if;
end
$$;
comment on function matrice_private.require_key(text, text) is 'Raises where a key of the caller''s is empty or too long; null is none.';

create function matrice.start_run(
  project_id uuid, workflow_id text, event_name text, run_key text default null, phase text default null,
  input_data jsonb default '{}'
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run uuid;
  begun text;
begin
  perform matrice_private.require_text('workflow_id', workflow_id);
  perform matrice_private.require_text('event_name', event_name);
  perform matrice_private.require_key('run_key', run_key);
  perform matrice_private.require_given('input_data', input_data);
  perform matrice_private.require_bytes('workflow_id', workflow_id, 200);
  perform matrice_private.require_bytes('event_name', event_name, 200);
  perform matrice_private.require_json('input_data', input_data, 262144);
  if phase is not null then
    perform matrice_private.require_phase('phase', phase);
  end if;
  perform matrice_private.require_role(project_id, 'editor');
  insert into matrice.workflow_runs as r (project_id, workflow_id, event_name, run_key, phase, input_data)
  values (start_run.project_id, start_run.workflow_id, start_run.event_name, start_run.run_key, start_run.phase,
          start_run.input_data)
  on conflict on constraint workflow_runs_project_id_run_key_key do nothing
  returning r.id into run;
  if run is null then
    select r.id, r.workflow_id into run, begun from matrice.workflow_runs r
     where r.project_id = start_run.project_id and r.run_key = start_run.run_key;
    if begun is distinct from start_run.workflow_id then
      raise exception 'the run_key is another run''s'
        using errcode = 'PT409',
              detail = format('It is of a run of the workflow %s.', coalesce(quote_literal(left(begun, 100)), 'that is being deleted')),
              hint = 'A run_key stands for one run: use the id that the workflow engine gives it.';
    end if;
  end if;
  return run;
end
$$;
comment on function matrice.start_run(uuid, text, text, text, text, jsonb) is
  'Records that a workflow run began and returns its id. The same run_key and workflow_id in the same project are the same run, which stays as it is; the run_key of another workflow''s run is refused (PT409).';

create function matrice.record_step(
  run_id uuid, step_name text, status text, latency_ms integer default null, model text default null,
  tokens_input integer default 0, tokens_output integer default 0, usage jsonb default '{}', error jsonb default null,
  step_key text default null, attempt integer default 0, cost_usd numeric default null, executed_at timestamptz default now()
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
  step uuid;
  recorded text;
begin
  perform matrice_private.require_given('run_id', run_id);
  perform matrice_private.require_text('step_name', step_name);
  perform matrice_private.require_one_of('status', status, array['success', 'failed', 'skipped']);
  perform matrice_private.require_given('tokens_input', tokens_input);
  perform matrice_private.require_given('tokens_output', tokens_output);
  perform matrice_private.require_given('attempt', attempt);
  perform matrice_private.require_given('executed_at', executed_at);
  perform matrice_private.require_usage(usage);
  perform matrice_private.require_key('step_key', step_key);
  perform matrice_private.require_bytes('step_name', step_name, 200);
  perform matrice_private.require_bytes('model', model, 200);
  perform matrice_private.require_json('error', error, 65536);
  if least(latency_ms, tokens_input, tokens_output, attempt) < 0 then
    raise exception 'latency_ms, tokens and attempt must not be negative'
      using errcode = '22023', hint = 'Leave out what is not known.';
  end if;
  if greatest(latency_ms, tokens_input, tokens_output) > 1000000000 or attempt > 1000000 then
    raise exception 'latency_ms, tokens or attempt is too large'
      using errcode = '22023', detail = 'latency_ms and tokens are at most 1000000000, attempt is at most 1000000.',
            hint = 'Leave out what is not known.';
  end if;
  if not cost_usd between 0 and 99999999.999999999999 then
    raise exception 'cost_usd must be from 0 to below 100,000,000'
      using errcode = '22023', detail = format('It is %s.', left(cost_usd::text, 100)), hint = 'Leave it out to have it calculated.';
  end if;
  perform matrice_private.require_time('executed_at', executed_at);
  select r.project_id into owner_project from matrice.workflow_runs r where r.id = record_step.run_id;
  if not found then
    raise exception 'run not found'
      using errcode = 'PT404', detail = format('There is no run %s that you can see.', run_id);
  end if;
  perform matrice_private.require_role(owner_project, 'editor');
  -- A trigger calculates the cost that is left out.
  insert into matrice.workflow_steps as s (
    run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output, usage, error, step_key,
    attempt, cost_usd, executed_at)
  values (
    record_step.run_id, owner_project, record_step.step_name, record_step.status, record_step.latency_ms, record_step.model,
    record_step.tokens_input, record_step.tokens_output, record_step.usage, record_step.error, record_step.step_key,
    record_step.attempt, record_step.cost_usd, record_step.executed_at)
  on conflict on constraint workflow_steps_run_id_step_key_attempt_key do nothing
  returning s.id into step;
  if step is null then
    select s.id, s.step_name into step, recorded from matrice.workflow_steps s
     where s.run_id = record_step.run_id and s.step_key = record_step.step_key and s.attempt = record_step.attempt;
    if recorded is distinct from record_step.step_name then
      raise exception 'the step_key is another step''s'
        using errcode = 'PT409',
              detail = format('Its attempt %s is of the step %s.', attempt, coalesce(quote_literal(left(recorded, 100)), 'that is being deleted')),
              hint = 'A step_key stands for one step of a run.';
    end if;
  end if;
  return step;
end
$$;
comment on function matrice.record_step(uuid, text, text, integer, text, integer, integer, jsonb, jsonb, text, integer, numeric, timestamptz) is
  'Records a step of a run with its tokens, latency and cost, and returns its id. Without cost_usd the cost is calculated, and null where it cannot be: for an unknown model, and for usage with token counts under other keys than those of calculate_cost. The same step_key and attempt recorded again changes nothing; under another step_name it is refused (PT409).';

create function matrice.finish_run(run_id uuid, status text, output_data jsonb default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  run record;
begin
  perform matrice_private.require_given('run_id', run_id);
  perform matrice_private.require_one_of('status', status, array['completed', 'failed', 'cancelled']);
  perform matrice_private.require_json('output_data', output_data, 262144);
  select r.project_id, r.status into run from matrice.workflow_runs r where r.id = finish_run.run_id;
  if not found then
    raise exception 'run not found'
      using errcode = 'PT404', detail = format('There is no run %s that you can see.', run_id);
  end if;
  perform matrice_private.require_role(run.project_id, 'editor');
  select r.project_id, r.status into run from matrice.workflow_runs r where r.id = finish_run.run_id for update;
  if run.status = finish_run.status then
    return;
  elsif run.status <> 'running' then
    raise exception 'the run has ended already'
      using errcode = 'PT409', detail = format('Its status is %s.', run.status);
  end if;
  update matrice.workflow_runs r
     set status = finish_run.status, output_data = finish_run.output_data, completed_at = now()
   where r.id = finish_run.run_id;
end
$$;
comment on function matrice.finish_run(uuid, text, jsonb) is
  'Records how a run ended: completed, failed or cancelled. Saying the same again changes nothing; another ending is refused (PT409).';

create function matrice_private.priced_model(model text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- The name as it stands; else without the provider it begins with; else the one model of that name behind a provider.
  select coalesce(
    (select p.model from matrice.model_prices p where p.model = priced_model.model limit 1),
    (select p.model from matrice.model_prices p
      where p.model = split_part(priced_model.model, '/', 2) and p.provider = split_part(priced_model.model, '/', 1) limit 1),
    (select min(p.model) from matrice.model_prices p
      where split_part(p.model, '/', 2) = priced_model.model and priced_model.model <> ''
     having count(distinct p.model) = 1)
  );
end;
comment on function matrice_private.priced_model(text) is 'The name under which a model''s prices are stored, or null. Never a guess by likeness.';

create function matrice_private.usage_keys() returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array['cached_tokens', 'cache_write_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens', 'input_audio_tokens',
               'reasoning_tokens', 'output_audio_tokens', 'service_tier', 'inference_geo', 'data_residency', 'speed'];
end;
comment on function matrice_private.usage_keys() is 'The keys in usage that a cost depends on.';

create function matrice_private.require_usage(usage jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_object('usage', usage);
  perform matrice_private.require_json('usage', usage, 16384);
end
$$;
comment on function matrice_private.require_usage(jsonb) is 'Raises unless usage is an object of reasonable size.';

create function matrice_private.unknown_usage(usage jsonb) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if usage = '{}' then
    return null;
  end if;
  return (
    select left(string_agg(u.key, ', ' order by u.key), 200)
      from jsonb_each(usage) u
     where u.key <> all (matrice_private.usage_keys())
       and jsonb_path_exists(jsonb_build_object(u.key, u.value),
             '$.**{0 to 4} ? (@.type() == "object").keyvalue() ? (@.key like_regex "token" flag "i"
                && (@.value.type() == "string" || @.value.type() == "number" && @.value != 0))')
  );
end
$$;
comment on function matrice_private.unknown_usage(jsonb) is
  'The keys in usage that count tokens of which nobody knows what they cost, as those of vendors'' own formats do; null if there are none.';

create function matrice_private.usage_tokens(usage jsonb, key text) returns bigint
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  tokens numeric;
begin
  if usage -> key is null or usage -> key = 'null' then
    return 0;
  end if;
  tokens := case jsonb_typeof(usage -> key) when 'number' then (usage ->> key)::numeric end;
  -- So that sums of them are numbers, too.
  if tokens is null or not tokens between 0 and 1e15 or tokens % 1 <> 0 then
    raise exception 'usage.% must be a number of tokens', key
      using errcode = '22023', detail = format('It is %s.', left((usage -> key)::text, 100)),
            hint = 'A whole number from 0 to 1e15, not in quotes.';
  end if;
  return tokens::bigint;
end
$$;
comment on function matrice_private.usage_tokens(jsonb, text) is 'A count of tokens in usage; 0 where it is left out.';

create function matrice_private.usage_choice(usage jsonb, key text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(jsonb_typeof(usage -> key), 'null') not in ('string', 'null') then
    raise exception 'usage.% must be a JSON string', key
      using errcode = '22023', detail = format('It is %s.', left((usage -> key)::text, 100)), hint = 'Leave it out where there is none.';
  end if;
  return lower(btrim(usage ->> key));
end
$$;
comment on function matrice_private.usage_choice(jsonb, text) is 'A tier, place or speed in usage, in lower case; null where it is left out.';

create function matrice_private.service_tier(model text, usage jsonb, priced_at timestamptz) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  asked text := coalesce(nullif(matrice_private.usage_choice(usage, 'service_tier'), ''), 'standard');
  tier text := case asked when 'fast' then 'priority' when 'batches' then 'batch' else asked end;
  utc timestamp := priced_at at time zone 'UTC';
begin
  if tier in ('default', 'auto', 'standard') and exists (
    select from matrice.model_price_windows w
     where w.model = service_tier.model
       and extract(isodow from utc)::integer = any (w.iso_weekdays)
       and utc::time >= w.from_utc and utc::time < w.until_utc
  ) then
    return 'off_peak';
  end if;
  -- A tier that the model has no prices for is billed as standard.
  if exists (select from matrice.model_prices p where p.model = service_tier.model and p.service_tier = tier) then
    return tier;
  end if;
  return 'standard';
end
$$;
comment on function matrice_private.service_tier(text, jsonb, timestamptz) is 'The tier that a request is billed at.';

create function matrice_private.rates(model text, tier text, tokens_input bigint, priced_at timestamptz)
returns table (unit text, service_tier text, usd_per_million numeric)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Of each unit the rate of the highest threshold that the request is above, there the tier's own before the
  -- standard one, and of that the latest.
  select distinct on (p.unit) p.unit, p.service_tier, p.usd_per_million
    from matrice.model_prices p
   where p.model = rates.model
     and p.service_tier in (tier, 'standard')
     and (p.above_input_tokens = 0 or p.above_input_tokens < tokens_input)
     and p.valid_from <= priced_at
   order by p.unit, p.above_input_tokens desc, (p.service_tier = tier) desc, p.valid_from desc;
end;
comment on function matrice_private.rates(text, text, bigint, timestamptz) is 'The rates that a request is billed at, one a unit.';

create function matrice.calculate_cost(
  model text, tokens_input bigint, tokens_output bigint default 0, usage jsonb default '{}', priced_at timestamptz default now()
) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  cached     bigint;
  written_1h bigint;
  written    bigint;
  heard      bigint;
  reasoned   bigint;
  spoken     bigint;
  priced     text;
  tier       text;
  rate       record;
  factor     numeric := 1;
  surcharge  numeric;
begin
  perform matrice_private.require_given('model', model);
  perform matrice_private.require_given('tokens_input', tokens_input);
  perform matrice_private.require_given('tokens_output', tokens_output);
  perform matrice_private.require_usage(usage);
  perform matrice_private.require_given('priced_at', priced_at);
  if matrice_private.unknown_usage(usage) is not null then
    raise exception 'usage counts tokens under unknown keys'
      using errcode = '22023', detail = format('Unknown: %s.', matrice_private.unknown_usage(usage)),
            hint = format('Known: %s.', array_to_string(matrice_private.usage_keys(), ', '));
  end if;
  cached     := matrice_private.usage_tokens(usage, 'cached_tokens');
  written_1h := matrice_private.usage_tokens(usage, 'cache_write_1h_tokens');
  written    := greatest(matrice_private.usage_tokens(usage, 'cache_write_tokens'),
                         matrice_private.usage_tokens(usage, 'cache_write_5m_tokens') + written_1h);
  heard      := matrice_private.usage_tokens(usage, 'input_audio_tokens');
  reasoned   := matrice_private.usage_tokens(usage, 'reasoning_tokens');
  spoken     := matrice_private.usage_tokens(usage, 'output_audio_tokens');
  if tokens_input < 0 or tokens_output < 0 then
    raise exception 'tokens must not be negative'
      using errcode = '22023', detail = format('Input %s, output %s.', tokens_input, tokens_output), hint = 'Pass 0 where there are none.';
  end if;
  if cached::numeric + written + heard > tokens_input or reasoned::numeric + spoken > tokens_output then
    raise exception 'usage has more tokens than tokens_input or tokens_output'
      using errcode = '22023',
            detail = format('Input %s of %s, output %s of %s.', cached::numeric + written + heard, tokens_input,
                            reasoned::numeric + spoken, tokens_output),
            hint = 'tokens_input includes cached, cache-written and audio tokens, tokens_output includes reasoning. Anthropic''s input_tokens leaves the cached ones out: add them.';
  end if;

  priced := matrice_private.priced_model(model);
  if priced is null then
    return null;
  end if;
  tier := matrice_private.service_tier(priced, usage, priced_at);
  select max(r.usd_per_million) filter (where r.unit = 'input')          as input,
         max(r.usd_per_million) filter (where r.unit = 'output')         as output,
         -- A batch has its own cache rates or none: then its input rate.
         max(r.usd_per_million) filter (where r.unit = 'cache_read'  and (tier <> 'batch' or r.service_tier = tier)) as cache_read,
         max(r.usd_per_million) filter (where r.unit = 'cache_write' and (tier <> 'batch' or r.service_tier = tier)) as cache_write,
         max(r.usd_per_million) filter (where r.unit = 'cache_write_1h' and (tier <> 'batch' or r.service_tier = tier)) as cache_write_1h,
         max(r.usd_per_million) filter (where r.unit = 'input_audio')    as input_audio,
         max(r.usd_per_million) filter (where r.unit = 'output_audio')   as output_audio,
         -- Reasoning at the tier's own rate; else as the tier's output; else at the standard rate of reasoning.
         coalesce(max(r.usd_per_million) filter (where r.unit = 'reasoning' and r.service_tier = tier),
                  max(r.usd_per_million) filter (where r.unit = 'output' and r.service_tier = tier and tier <> 'standard'),
                  max(r.usd_per_million) filter (where r.unit = 'reasoning')) as reasoning
    into rate
    from matrice_private.rates(priced, tier, tokens_input, priced_at) r;

  for surcharge in
    select m.factor from matrice.model_price_multipliers m where m.model = priced and m.value = matrice_private.usage_choice(usage, m.kind)
  loop
    factor := factor * surcharge;
  end loop;

  -- An unpriced unit that was used makes the cost unknown: null, not 0. Multiplying by a millionth is exact, dividing is not.
  return trim_scale(0.000001 * factor * (
      case when tokens_input = cached + written + heard then 0 else (tokens_input - cached - written - heard) * rate.input end
    + case when cached = 0 then 0 else cached * coalesce(rate.cache_read, rate.input) end
    + case when written = written_1h then 0 else (written - written_1h) * coalesce(rate.cache_write, rate.input) end
    + case when written_1h = 0 then 0 else written_1h * coalesce(rate.cache_write_1h, rate.cache_write, rate.input) end
    + case when heard = 0 then 0 else heard * coalesce(rate.input_audio, rate.input) end
    + case when tokens_output = reasoned + spoken then 0 else (tokens_output - reasoned - spoken) * rate.output end
    + case when reasoned = 0 then 0 else reasoned * coalesce(rate.reasoning, rate.output) end
    + case when spoken = 0 then 0 else spoken * coalesce(rate.output_audio, rate.output) end));
end
$$;
comment on function matrice.calculate_cost(text, bigint, bigint, jsonb, timestamptz) is
  'Exact cost of a call in US dollars at the prices of priced_at; null for a model or unit without a price. tokens_input includes cached, cache-written and audio tokens; tokens_output includes reasoning. usage: cached_tokens, cache_write_tokens (of which cache_write_1h_tokens), input_audio_tokens, reasoning_tokens, output_audio_tokens, service_tier, inference_geo, data_residency, speed. A count of tokens under another key is refused.';

create function matrice_private.cost_if_known(
  model text, tokens_input integer, tokens_output integer, usage jsonb, priced_at timestamptz
) returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  cost numeric;
begin
  perform matrice_private.require_usage(usage);
  -- The step is kept, and its usage with it: it can be priced once somebody knows how.
  if matrice_private.unknown_usage(usage) is null then
    cost := round(matrice.calculate_cost(model, tokens_input, tokens_output, usage, priced_at), 12);
  end if;
  return case when cost between 0 and 99999999.999999999999 then cost end;
end
$$;
comment on function matrice_private.cost_if_known(text, integer, integer, jsonb, timestamptz) is
  'calculate_cost of a step; null also where usage counts tokens under unknown keys, or where the column cannot hold it.';

create function matrice.workflow_metrics(
  project_id uuid, since timestamptz, until timestamptz default now(), group_by text default 'day'
) returns table (
  bucket text, runs bigint, succeeded bigint, failed bigint, success_rate double precision, steps bigint,
  tokens_input bigint, tokens_output bigint, cost_usd numeric, p50_ms double precision, p95_ms double precision, p99_ms double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_one_of('group_by', group_by, array['hour', 'day', 'week', 'month', 'workflow', 'phase', 'model']);
  perform matrice_private.require_given('since', since);
  perform matrice_private.require_given('until', until);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    with selected as (
      select r.id, r.status, r.started_at, r.workflow_id, r.phase
        from matrice.workflow_runs r
       where r.project_id = workflow_metrics.project_id and r.started_at >= since and r.started_at < until
    ), rows as (
      select case group_by
               when 'workflow' then r.workflow_id
               when 'phase' then r.phase
               when 'model' then s.model
               else to_char(date_trunc(group_by, r.started_at at time zone 'UTC'),
                            case group_by when 'hour' then 'YYYY-MM-DD"T"HH24:00"Z"' when 'month' then 'YYYY-MM' else 'YYYY-MM-DD' end)
             end as bucket,
             r.id as run_id, r.status, s.id as step_id, s.tokens_input, s.tokens_output, s.cost_usd,
             s.latency_ms, s.status as step_status
        from selected r
        left join matrice.workflow_steps s on s.project_id = workflow_metrics.project_id and s.run_id = r.id
    )
    select g.bucket, g.runs, g.succeeded, g.failed, g.succeeded::double precision / nullif(g.succeeded + g.failed, 0),
           g.steps, g.tokens_input, g.tokens_output, g.cost_usd, g.latency[1], g.latency[2], g.latency[3]
      from (
        select x.bucket,
               count(distinct x.run_id) as runs,
               count(distinct x.run_id) filter (where x.status = 'completed') as succeeded,
               count(distinct x.run_id) filter (where x.status = 'failed') as failed,
               count(x.step_id) as steps,
               coalesce(sum(x.tokens_input), 0)::bigint as tokens_input,
               coalesce(sum(x.tokens_output), 0)::bigint as tokens_output,
               sum(x.cost_usd) as cost_usd,
               percentile_cont(array[0.5, 0.95, 0.99]) within group (order by x.latency_ms)
                 filter (where x.step_status <> 'skipped') as latency
          from rows x
         group by x.bucket
      ) g
     order by g.bucket;
end
$$;
comment on function matrice.workflow_metrics(uuid, timestamptz, timestamptz, text) is
  'Runs that started in [since, until), by hour, day, week, month (in UTC), workflow, phase or model. success_rate = succeeded / (succeeded + failed); cost_usd sums every attempt with a known cost; percentiles are of step latency, skipped steps left out.';
