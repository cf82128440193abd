-- Who may see and change what.
--
-- Every policy is `project_id = any ((select matrice_private.project_ids(role))::uuid[])`: Postgres evaluates that once a
-- statement and turns it into an index condition. (`in (select …)` becomes a filter on every row, a function of the row
-- a call for every row.) One permissive policy per table and verb, for authenticated. anon has no grant at all;
-- service_role bypasses row-level security.

create function matrice_private.project_ids(least_role text default 'viewer') returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  caller uuid := matrice_private.current_user_id();
begin
  -- In the order of the primary key, so that index scans find the array sorted.
  if least_role = 'viewer' then
    return array(select m.project_id from matrice.user_projects m where m.user_id = caller);
  end if;
  return array(
    select m.project_id from matrice.user_projects m where m.user_id = caller and m.role in (least_role, 'owner')
  );
end
$$;
comment on function matrice_private.project_ids(text) is
  'The projects in which the caller has at least this role: viewer, editor or owner. SECURITY DEFINER: the policy on user_projects calls it, and would otherwise call itself without end. PL/pgSQL, because its plans outlive the statement.';

-- What is written to the audit trail ---------------------------------------------------------------------------------

create table matrice.audit_log (
  id         uuid        not null default gen_random_uuid(),
  project_id uuid        not null,
  actor      uuid,
  actor_role text,
  action     text        not null,
  details    jsonb       not null default '{}',
  created_at timestamptz not null default now(),
  constraint audit_log_pkey primary key (id)
);
create index idx_audit_log_project on matrice.audit_log (project_id, created_at);

comment on table matrice.audit_log is
  'Who changed memberships, invited, deleted a project or a source, or restored a pillar. Append-only; read by the project''s owners. The owner of the database empties it with matrice_private.purge_audit_log().';
comment on column matrice.audit_log.id is 'Primary key.';
comment on column matrice.audit_log.project_id is 'The project. No foreign key: the entry outlives it.';
comment on column matrice.audit_log.actor is 'The user; null for a session without claims.';
comment on column matrice.audit_log.actor_role is 'The database role: authenticated, service_role, …';
comment on column matrice.audit_log.action is
  'member added, member changed, member removed, invitation made, invitation changed, invitation accepted, invitation withdrawn, project deleted, source deleted or pillar restored.';
comment on column matrice.audit_log.details is
  'What it was done to, as it was before, and for changes as it is after: the few columns that tell which one it is, texts cut to 500 characters.';
comment on column matrice.audit_log.created_at is 'When.';

create function matrice_private.audit() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  project uuid;
  before  jsonb;
  after   jsonb;
begin
  -- Never whole rows: they hold what a client likes, of any size and depth.
  if tg_table_name = 'user_projects' then
    project := coalesce(new.project_id, old.project_id);
    before := jsonb_build_object('user_id', old.user_id, 'role', old.role, 'accepted_at', old.accepted_at);
    after := jsonb_build_object('user_id', new.user_id, 'role', new.role, 'accepted_at', new.accepted_at);
  elsif tg_table_name = 'project_invitations' then
    project := coalesce(new.project_id, old.project_id);
    before := jsonb_build_object('id', old.id, 'email', left(old.email, 500), 'role', old.role, 'invited_by', old.invited_by,
                                 'expires_at', old.expires_at, 'accepted_at', old.accepted_at, 'accepted_by', old.accepted_by);
    after := jsonb_build_object('id', new.id, 'email', left(new.email, 500), 'role', new.role, 'invited_by', new.invited_by,
                                'expires_at', new.expires_at, 'accepted_at', new.accepted_at, 'accepted_by', new.accepted_by);
  elsif tg_table_name = 'projects' then
    project := old.id;
    before := jsonb_build_object('name', left(old.name, 500), 'created_by', old.created_by, 'created_at', old.created_at);
  elsif tg_table_name = 'context_sources' then
    project := old.project_id;
    before := jsonb_build_object('id', old.id, 'type', left(old.type, 500), 'name', left(old.name, 500),
                                 'storage_path', left(old.storage_path, 500), 'created_at', old.created_at);
  else
    project := new.project_id;
    after := jsonb_build_object('pillar_id', new.pillar_id, 'version', new.version, 'restored_from', new.restored_from);
  end if;
  -- What a project takes with it when it is deleted is said by one entry.
  if tg_table_name = 'projects' or tg_op = 'INSERT' or exists (select from matrice.projects p where p.id = project) then
    insert into matrice.audit_log (project_id, actor, actor_role, action, details)
    values (project, matrice_private.current_user_id(), current_setting('role', true), tg_argv[0],
            jsonb_strip_nulls(jsonb_build_object('before', case when tg_op <> 'INSERT' then before end,
                                                 'after', case when tg_op <> 'DELETE' then after end)));
  end if;
  return null;
end
$$;
comment on function matrice_private.audit() is
  'Writes an entry of the audit trail. SECURITY DEFINER: the trail is append-only, so no client may write it.';

create function matrice_private.purge_audit_log(before timestamptz) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  purged bigint;
begin
  if before is null then
    raise exception 'before must not be null' using errcode = '22004', hint = 'Pass the time from which on entries are kept.';
  end if;
  delete from matrice.audit_log a where a.created_at < before;
  get diagnostics purged = row_count;
  return purged;
end
$$;
comment on function matrice_private.purge_audit_log(timestamptz) is
  'Deletes the entries of the audit trail that are older than a time, of all projects, and returns how many. For the owner of the tables: nobody else may shorten the trail.';

create trigger audit_add after insert on matrice.user_projects
for each row execute function matrice_private.audit('member added');
create trigger audit_change after update on matrice.user_projects
for each row execute function matrice_private.audit('member changed');
create trigger audit_remove after delete on matrice.user_projects
for each row execute function matrice_private.audit('member removed');
create trigger audit_invite after insert on matrice.project_invitations
for each row execute function matrice_private.audit('invitation made');
create trigger audit_reinvite after update on matrice.project_invitations
for each row when (old.token_hash <> new.token_hash) execute function matrice_private.audit('invitation made');
create trigger audit_accept after update on matrice.project_invitations
for each row when (old.token_hash = new.token_hash and old.accepted_at is null and new.accepted_at is not null)
execute function matrice_private.audit('invitation accepted');
create trigger audit_reword after update on matrice.project_invitations
for each row when (old.token_hash = new.token_hash and not (old.accepted_at is null and new.accepted_at is not null))
execute function matrice_private.audit('invitation changed');
create trigger audit_withdraw after delete on matrice.project_invitations
for each row execute function matrice_private.audit('invitation withdrawn');
create trigger audit_delete after delete on matrice.projects
for each row execute function matrice_private.audit('project deleted');
create trigger audit_delete after delete on matrice.context_sources
for each row execute function matrice_private.audit('source deleted');
create trigger audit_restore after insert on matrice.pillar_versions
for each row when (new.restored_from is not null) execute function matrice_private.audit('pillar restored');

-- What belongs to a project stays with it, under its id --------------------------------------------------------------

create function matrice_private.stay_in_project() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'a row cannot be moved to another project'
    using errcode = '42501',
          detail = format('This row of %I belongs to project %s.', tg_table_name, old.project_id),
          hint = 'Create it in the other project and delete it here.';
end
$$;
comment on function matrice_private.stay_in_project() is 'Refuses to move a row to another project.';

do $$
declare
  tenant record;
begin
  for tenant in
    select c.relname as name,
           exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'project_id') as has_project,
           exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'id') as has_id
      from pg_class c
     where c.relnamespace = 'matrice'::regnamespace and c.relkind = 'r'
  loop
    if tenant.has_project then
      execute format(
        'create trigger stay_in_project before update of project_id on matrice.%I
           for each row when (old.project_id is distinct from new.project_id)
           execute function matrice_private.stay_in_project()', tenant.name);
    end if;
    if tenant.has_id then
      execute format(
        'create trigger keep_id before update of id on matrice.%I
           for each row when (old.id is distinct from new.id)
           execute function matrice_private.refuse_change(''anybody'', ''id'')', tenant.name);
    end if;
  end loop;
end
$$;

-- How much may be stored ---------------------------------------------------------------------------------------------

create table matrice.quotas (
  quota             text   not null,
  allowed           bigint not null,
  allowed_anonymous bigint not null,
  comment           text   not null,
  constraint quotas_pkey primary key (quota),
  constraint quotas_allowed_check check (allowed between 0 and 1000000000000000),
  constraint quotas_allowed_anonymous_check check (allowed_anonymous between 0 and 1000000000000000),
  constraint quotas_quota_length check (octet_length(quota) <= 200),
  constraint quotas_comment_length check (octet_length(comment) <= 2000)
);
comment on table matrice.quotas is
  'How much a user may store. A service or the owner of the tables changes a row, or deletes it: then there is no such quota. Roles that bypass row-level security have none, but what they write counts.';
comment on column matrice.quotas.quota is 'Name of the quota.';
comment on column matrice.quotas.allowed is 'So much is allowed.';
comment on column matrice.quotas.allowed_anonymous is 'So much is allowed to users who signed in anonymously: their claims have "is_anonymous": true, as Supabase writes it.';
comment on column matrice.quotas.comment is 'What is counted.';

insert into matrice.quotas (quota, allowed, allowed_anonymous, comment) values
  ('projects_per_user', 100, 3, 'Projects that a user created and that still exist.'),
  ('members_per_project', 1000, 10, 'Members of a project.'),
  ('open_invitations_per_project', 200, 5, 'Invitations to a project that nobody has accepted, expired ones included.'),
  ('sources_per_project', 100000, 200, 'Sources of a project.'),
  ('bytes_per_project', 10737418240, 52428800, 'What a project stores, in bytes: the sum of its rows of project_usage.'),
  ('bytes_per_user', 53687091200, 52428800, 'What the projects that a user created store, in bytes.');

-- Not one row for each project: all who write to a project would wait for each other at it.
create table matrice.project_usage (
  project_id uuid    not null,
  id         uuid    not null default gen_random_uuid(),
  bytes      bigint  not null,
  sources    integer not null,
  constraint project_usage_pkey primary key (project_id, id)
);
comment on table matrice.project_usage is
  'What each project stores: the sum of its rows. Every statement that stores or deletes something adds a row; now and then they are added up into one.';
comment on column matrice.project_usage.project_id is 'The project. No foreign key: who deletes a chunk would wait for who deletes its project, and the other way round.';
comment on column matrice.project_usage.id is 'Tells the rows apart.';
comment on column matrice.project_usage.bytes is
  'Bytes more than before. They are an estimate of the room on disk: of texts and JSON values their length, that of a chunk''s text twice for its words, and 8192 for each chunk with its embedding and indexes.';
comment on column matrice.project_usage.sources is 'Sources more than before.';

create function matrice_private.has_no_quota() returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Triggers run as the owner of the tables. Who wrote is who the session became.
  writer name := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  return exists (select from pg_roles r where r.rolname = writer and (r.rolsuper or r.rolbypassrls))
      or pg_has_role(writer, (select c.relowner from pg_class c where c.oid = 'matrice.projects'::regclass), 'usage');
end
$$;
comment on function matrice_private.has_no_quota() is
  'Whether the session''s role is exempt from quotas: superusers, roles that bypass row-level security, owners of the tables.';

create function matrice_private.require_quota(quota text, used bigint, whose text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  allowed bigint;
begin
  select case when nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'is_anonymous' = 'true'
              then q.allowed_anonymous else q.allowed end
    into allowed from matrice.quotas q where q.quota = require_quota.quota;
  if used > allowed and not matrice_private.has_no_quota() then
    raise exception 'over the quota %', quota
      using errcode = 'PT402',
            detail = format('%s would have %s; %s are allowed.', whose, used, allowed),
            hint = 'Delete what is not needed any more. A service or the owner of the database can raise the quota in matrice.quotas.';
  end if;
end
$$;
comment on function matrice_private.require_quota(text, bigint, text) is 'Raises PT402 where more is used than the quota allows the caller.';

create function matrice_private.add_usage(project_id uuid, bytes bigint, sources bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  creator uuid;
  used    record;
begin
  -- A deleted project takes its usage with it.
  select p.created_by into creator from matrice.projects p where p.id = add_usage.project_id;
  if not found or (bytes = 0 and sources = 0) then
    return;
  end if;
  insert into matrice.project_usage (project_id, bytes, sources) values (add_usage.project_id, add_usage.bytes, add_usage.sources);
  -- Of statements that store little, one in sixteen is enough to ask. By a uuid: a session can seed random().
  if bytes < 8192 and sources <= 0 and hashtext(gen_random_uuid()::text) & 15 <> 0 then
    return;
  end if;
  select sum(u.bytes)::bigint as bytes, sum(u.sources) as sources, count(*) as rows into used
    from matrice.project_usage u where u.project_id = add_usage.project_id;
  -- Nobody waits for this, nor in it. Elsewhere than in read committed, rows that another has added up meanwhile are an error.
  if used.rows > 32 and current_setting('transaction_isolation') = 'read committed' then
    with added as (
      delete from matrice.project_usage u
       where u.project_id = add_usage.project_id and u.id in (
         select one.id from matrice.project_usage one where one.project_id = add_usage.project_id limit 1000 for update skip locked)
      returning u.bytes, u.sources
    )
    insert into matrice.project_usage (project_id, bytes, sources)
    select add_usage.project_id, sum(a.bytes), sum(a.sources) from added a having count(*) > 0;
  end if;
  if sources > 0 then
    perform matrice_private.require_quota('sources_per_project', used.sources, format('Project %s', add_usage.project_id));
  end if;
  if bytes > 0 then
    perform matrice_private.require_quota('bytes_per_project', used.bytes, format('Project %s', add_usage.project_id));
    if creator is not null then
      perform matrice_private.require_quota(
        'bytes_per_user',
        (select sum(u.bytes)::bigint from matrice.projects p join matrice.project_usage u on u.project_id = p.id where p.created_by = creator),
        format('All projects of user %s', creator));
    end if;
  end if;
end
$$;
comment on function matrice_private.add_usage(uuid, bigint, bigint) is
  'Counts what a statement stored or deleted, and raises PT402 over a quota. Statements at the same moment do not see each other: together they can exceed a quota by what each of them stores.';

-- What a row of each table counts as.
do $$
declare
  counted  record;
  all_rows text;
begin
  for counted in
    select * from (values
      ('context_sources', '1000 + octet_length(name) + coalesce(octet_length(storage_path), 0) + octet_length(raw_metadata::text)', 1),
      ('source_chunks',   '8192 + 2 * octet_length(content) + octet_length(metadata::text) + coalesce(octet_length(filterable::text), 0)', 0),
      ('insights',        '1000 + 3 * octet_length(content) + octet_length(tags::text) + coalesce(octet_length(evidence::text), 0)', 0),
      ('workflow_runs',   '500 + octet_length(input_data::text) + coalesce(octet_length(output_data::text), 0)', 0),
      ('workflow_steps',  '500 + octet_length(usage::text) + coalesce(octet_length(error::text), 0)', 0),
      ('pillar_versions', '500 + octet_length(content) + octet_length(metadata::text)', 0),
      ('project_invitations', '500', 0)
    ) as listed (tab, bytes, sources)
  loop
    all_rows := concat_ws(' union all ', all_rows,
      format('select project_id, %s as bytes, %s as sources from matrice.%I', counted.bytes, counted.sources, counted.tab));
    execute format($function$
      create function matrice_private.count_%1$s() returns trigger
      language plpgsql security definer
      set search_path = pg_catalog, pg_temp
      as $body$
      begin
        if tg_op = 'INSERT' then
          perform matrice_private.add_usage(r.project_id, r.bytes, r.sources)
             from (select project_id, sum(%2$s) as bytes, sum(%3$s) as sources from added group by 1) r;
        elsif tg_op = 'DELETE' then
          perform matrice_private.add_usage(r.project_id, -r.bytes, -r.sources)
             from (select project_id, sum(%2$s) as bytes, sum(%3$s) as sources from removed group by 1) r;
        else
          perform matrice_private.add_usage(r.project_id, r.bytes, 0)
             from (select project_id, sum(bytes) as bytes
                     from (select project_id, %2$s as bytes from added union all select project_id, - (%2$s) from removed) changed
                    group by 1) r;
        end if;
        return null;
      end
      $body$
      $function$, counted.tab, counted.bytes, counted.sources);
    execute format('comment on function matrice_private.count_%s() is %L', counted.tab, format(
      'Counts what rows of %s store. SECURITY DEFINER: no client may write project_usage.', counted.tab));
    execute format('create trigger count_added after insert on matrice.%I referencing new table as added
                      for each statement execute function matrice_private.count_%1$s()', counted.tab);
    execute format('create trigger count_changed after update on matrice.%I referencing old table as removed new table as added
                      for each statement execute function matrice_private.count_%1$s()', counted.tab);
    execute format('create trigger count_removed after delete on matrice.%I referencing old table as removed
                      for each statement execute function matrice_private.count_%1$s()', counted.tab);
  end loop;
  execute format($function$
    create function matrice_private.recount_usage() returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
      -- What is stored meanwhile would be counted twice, or not.
      lock table matrice.project_usage in share row exclusive mode;
      -- Those also that were left behind by who wrote to a project while it was deleted.
      delete from matrice.project_usage where true;
      insert into matrice.project_usage (project_id, bytes, sources)
      select r.project_id, sum(r.bytes), sum(r.sources) from (%s) r group by 1;
    end
    $body$
    $function$, all_rows);
end
$$;
comment on function matrice_private.recount_usage() is
  'Counts anew what all projects store. For the owner of the tables, after rows were loaded in a way that triggers do not count or count twice: data-only restores, replication.';

create function matrice_private.forget_usage() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice.project_usage u where u.project_id = old.id;
  return null;
end
$$;
comment on function matrice_private.forget_usage() is 'Deletes the usage of a deleted project. SECURITY DEFINER: no client may write project_usage.';

create trigger forget_usage after delete on matrice.projects
for each row execute function matrice_private.forget_usage();

create function matrice_private.limit_projects() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  creator uuid;
begin
  for creator in select distinct a.created_by from added a where a.created_by is not null order by 1 loop
    -- One at a time for each user: who creates many projects at the same moment sees those of the others.
    perform pg_advisory_xact_lock(hashtext('matrice.projects'), hashtext(creator::text));
    perform matrice_private.require_quota(
      'projects_per_user', (select count(*) from matrice.projects p where p.created_by = creator), format('User %s', creator));
  end loop;
  return null;
end
$$;
comment on function matrice_private.limit_projects() is
  'Holds users to their quota of projects. SECURITY DEFINER: it must count also the projects that a user created and left.';

create trigger limit_projects after insert on matrice.projects referencing new table as added
for each statement execute function matrice_private.limit_projects();

create function matrice_private.limit_members() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_quota(
            'members_per_project', (select count(*) from matrice.user_projects m where m.project_id = a.project_id),
            format('Project %s', a.project_id))
     from (select distinct project_id from added) a;
  return null;
end
$$;
comment on function matrice_private.limit_members() is
  'Holds projects to their quota of members. SECURITY DEFINER: it must count all members whoever adds one.';

create trigger limit_members after insert on matrice.user_projects referencing new table as added
for each statement execute function matrice_private.limit_members();

create function matrice_private.limit_invitations() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_quota(
            'open_invitations_per_project',
            (select count(*) from matrice.project_invitations i where i.project_id = a.project_id and i.accepted_at is null),
            format('Project %s', a.project_id))
     from (select distinct project_id from added) a;
  return null;
end
$$;
comment on function matrice_private.limit_invitations() is
  'Holds projects to their quota of open invitations. SECURITY DEFINER: it must count all invitations whoever makes one.';

create trigger limit_invitations after insert on matrice.project_invitations referencing new table as added
for each statement execute function matrice_private.limit_invitations();

-- On Supabase a membership goes with its user. (The last owner of a project cannot be deleted before the project is,
-- as there with an owner of storage objects.)
do $$
begin
  if exists (
    select from pg_namespace n
      join pg_class c on c.relnamespace = n.oid
      join pg_attribute a on a.attrelid = c.oid
     where n.nspname = 'auth' and c.relname = 'users' and c.relkind = 'r' and a.attname = 'id' and a.atttypid = 'uuid'::regtype
       and matrice_private.is_trusted(n.nspowner)
  ) then
    alter table matrice.user_projects add constraint user_projects_user_id_fkey
      foreign key (user_id) references auth.users (id) on delete cascade;
  end if;
end
$$;

-- What the planner may know ------------------------------------------------------------------------------------------

create function matrice_private.keep_no_statistics() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  command text;
begin
  for command in
    select format('alter table %s alter column %I set statistics 0', c.oid::regclass, a.attname)
      from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'matrice'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
       and c.relname not in ('embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers')
    union all
    select format('alter index %s alter column %s set statistics 0', i.indexrelid::regclass, a.attnum)
      from pg_class c join pg_index i on i.indrelid = c.oid join pg_attribute a on a.attrelid = i.indexrelid
     where c.relnamespace = 'matrice'::regnamespace and c.relkind in ('r', 'p') and i.indkey[a.attnum - 1] = 0
       and c.relname not in ('embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers')
  loop
    execute command;
  end loop;
end
$$;
comment on function matrice_private.keep_no_statistics() is
  'Has ANALYZE keep no statistics of values in the tables of tenants, nor of what their indexes compute. Estimates are told to everybody, by EXPLAIN and by PostgREST''s count=planned: with statistics they give away which values are common in the rows of others. For the owner of the tables: after columns or indexes were added.';

-- Grants -------------------------------------------------------------------------------------------------------------

create function matrice_private.revoke_from_everybody(kind text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  command text;
begin
  for command in
    select format('revoke all on %s %s from %s cascade', o.kind, o.name, case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end)
      from (
        select 'schema' as kind, n.oid, quote_ident(n.nspname) as name, n.nspname as schema, n.nspowner as owner, n.nspacl as acl from pg_namespace n
        union all
        select 'table', c.oid, c.oid::regclass::text, n.nspname, c.relowner, c.relacl
          from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        union all
        select 'routine', p.oid, p.oid::regprocedure::text, n.nspname, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      ) o
     cross join lateral aclexplode(o.acl) a
     where o.kind = revoke_from_everybody.kind and o.schema in ('matrice', 'matrice_private')
       and o.owner = current_user::regrole and a.grantee <> o.owner
       -- Not the engine's, which the extension's script grants.
       and not exists (select from pg_depend d where d.objid = o.oid and d.deptype = 'e')
     group by o.kind, o.name, a.grantee
  loop
    execute command;
  end loop;
end
$$;
comment on function matrice_private.revoke_from_everybody(text) is
  'Takes every privilege on our schemas, tables or routines from everybody but their owner: a database''s default privileges grant what is made to whom they like. For the owner, before what is meant to be granted is.';

select matrice_private.revoke_from_everybody('schema'), matrice_private.revoke_from_everybody('table');

grant usage on schema matrice to authenticated, service_role;
-- Functions that run as the caller name their helpers by schema. The tables in here are not granted.
grant usage on schema matrice_private to authenticated, service_role;
grant select on matrice_private.migrations to service_role;

grant select, insert, update, delete on all tables in schema matrice to service_role;
grant select, insert, update, delete on
  matrice.projects, matrice.pillars, matrice.context_sources, matrice.source_chunks,
  matrice.chunk_embeddings, matrice.insights, matrice.workflow_runs, matrice.workflow_steps
to authenticated;
-- Nobody is made a member by somebody else: by accepting an invitation, or by a service.
grant select, update, delete on matrice.user_projects to authenticated;
-- invite_member writes them.
grant select, delete on matrice.project_invitations to authenticated;
grant select on
  matrice.pillar_versions, matrice.audit_log, matrice.embedding_leases, matrice.embedding_models,
  matrice.model_prices, matrice.model_price_windows, matrice.model_price_multipliers, matrice.quotas, matrice.project_usage
to authenticated;
revoke delete on matrice.pillars from authenticated;
-- The histories are append-only: only their triggers write them, and what projects store is counted by triggers alone.
revoke insert, update, delete on matrice.pillar_versions, matrice.audit_log, matrice.project_usage from service_role;

-- projects: members read, owners change ------------------------------------------------------------------------------

alter table matrice.projects enable row level security;

create policy "members read their projects" on matrice.projects for select to authenticated
using (
  id = any ((select matrice_private.project_ids())::uuid[])
  -- INSERT … RETURNING asks this before the triggers have taken the id and made the creator a member.
  or (created_by = (select matrice_private.current_user_id()) and matrice_private.is_free_project_id(id))
);
create policy "users create projects as themselves" on matrice.projects for insert to authenticated
with check (
  created_by = (select matrice_private.current_user_id())
  -- Another's project and one that was deleted are refused alike, before a key is asked; an upsert finds the caller's own.
  and (matrice_private.is_free_project_id(id) or id = any ((select matrice_private.project_ids('owner'))::uuid[]))
);
create policy "owners change their projects" on matrice.projects for update to authenticated
using (id = any ((select matrice_private.project_ids('owner'))::uuid[]))
with check (id = any ((select matrice_private.project_ids('owner'))::uuid[]));
create policy "owners delete their projects" on matrice.projects for delete to authenticated
using (id = any ((select matrice_private.project_ids('owner'))::uuid[]));

-- user_projects: members read, owners change roles and remove, everybody may leave -----------------------------------

alter table matrice.user_projects enable row level security;

create policy "members read the members" on matrice.user_projects for select to authenticated
using (project_id = any ((select matrice_private.project_ids())::uuid[]));
create policy "owners change roles" on matrice.user_projects for update to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]))
with check (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));
create policy "owners remove members and members leave" on matrice.user_projects for delete to authenticated
using (
  project_id = any ((select matrice_private.project_ids('owner'))::uuid[])
  or user_id = (select matrice_private.current_user_id())
);

-- Owners' own ---------------------------------------------------------------------------------------------------------

alter table matrice.project_invitations enable row level security;

create policy "owners read invitations" on matrice.project_invitations for select to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));
create policy "owners withdraw invitations" on matrice.project_invitations for delete to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));

alter table matrice.audit_log enable row level security;
create policy "owners read the audit trail" on matrice.audit_log for select to authenticated
using (project_id = any ((select matrice_private.project_ids('owner'))::uuid[]));

-- A project's content: viewers read, editors write -------------------------------------------------------------------

do $$
declare
  content_table text;
begin
  foreach content_table in array array[
    'pillars', 'context_sources', 'source_chunks', 'chunk_embeddings', 'embedding_leases', 'insights',
    'workflow_runs', 'workflow_steps'
  ] loop
    execute format('alter table matrice.%I enable row level security', content_table);
    execute format(
      'create policy "viewers read" on matrice.%I for select to authenticated
         using (project_id = any ((select matrice_private.project_ids(''viewer''))::uuid[]))', content_table);
    -- Leases are written by the functions of the queue alone.
    continue when content_table = 'embedding_leases';
    execute format(
      'create policy "editors insert" on matrice.%I for insert to authenticated
         with check (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
    execute format(
      'create policy "editors update" on matrice.%I for update to authenticated
         using (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))
         with check (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
    -- A pillar takes its history with it, which is append-only: it goes with its project alone.
    continue when content_table = 'pillars';
    execute format(
      'create policy "editors delete" on matrice.%I for delete to authenticated
         using (project_id = any ((select matrice_private.project_ids(''editor''))::uuid[]))', content_table);
  end loop;
end
$$;

alter table matrice.pillar_versions enable row level security;
create policy "viewers read" on matrice.pillar_versions for select to authenticated
using (project_id = any ((select matrice_private.project_ids())::uuid[]));

alter table matrice.project_usage enable row level security;
create policy "viewers read" on matrice.project_usage for select to authenticated
using (project_id = any ((select matrice_private.project_ids())::uuid[]));

-- Reference data: everybody signed in reads, service_role writes -----------------------------------------------------

create function matrice_private.refuse_clients() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active(tg_relid) then
    raise exception 'permission denied for table %', tg_table_name
      using errcode = '42501', detail = 'It is the same for all projects: users read it.',
            hint = 'service_role and the owner of the tables write it.';
  end if;
  return null;
end
$$;
comment on function matrice_private.refuse_clients() is 'Refuses whoever is under row-level security, and says who may.';

do $$
declare
  reference_table text;
begin
  foreach reference_table in array array[
    'embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers', 'quotas'
  ] loop
    execute format('alter table matrice.%I enable row level security', reference_table);
    execute format('create policy "users read" on matrice.%I for select to authenticated using (true)', reference_table);
    -- There is no policy to write by, so row-level security refuses. The privilege only lets the statement come as far
    -- as the trigger, which says who may. (By column, because a privilege on the table would let users lock it.)
    execute (
      select format('grant insert (%s), update (%s) on matrice.%I to authenticated', c.names, c.names, reference_table)
        from (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) as names
                from pg_attribute a
               where a.attrelid = format('matrice.%I', reference_table)::regclass and a.attnum > 0 and not a.attisdropped) c);
    execute format('create trigger refuse_clients before insert or update on matrice.%I
                      for each statement execute function matrice_private.refuse_clients()', reference_table);
  end loop;
end
$$;

select matrice_private.keep_no_statistics();
