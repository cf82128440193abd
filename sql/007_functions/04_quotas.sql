-- Quotas: how much each project uses, and how much users may store. The limits are in matrice.quotas.

create or replace function matrice_private.has_no_quota() returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Triggers run as the owner of the tables, so current_user is not the writer. The setting role is.
  writer name := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  return exists (select from pg_roles r where r.rolname = writer and (r.rolsuper or r.rolbypassrls))
      or pg_has_role(writer, (select c.relowner from pg_class c where c.oid = 'matrice.projects'::regclass), 'usage');
end
$$;
comment on function matrice_private.has_no_quota is
  'Returns whether the role of the session is exempt from quotas: superusers, roles that bypass row-level security, '
  'and the owner of the tables.';

create or replace function matrice_private.require_quota(quota text, used bigint, whose text) returns void
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
            hint = 'Delete what you no longer need. A service or the owner of the tables can raise the quota in matrice.quotas.';
  end if;
end
$$;
comment on function matrice_private.require_quota is
  'Raises PT402 if more is used than the quota allows the caller. whose: the project or user, as the error names it.';

create or replace function matrice_private.add_usage(project_id uuid, bytes bigint, sources bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- Rows that were merged stay in the index until a vacuum. An index scan marks them, and does not read them again. A bitmap scan
-- reads all of them, each time.
set enable_bitmapscan = off set enable_seqscan = off
as $$
declare
  creator  uuid;
  used     record;
  -- Of the statements that store little, only one in sixteen merges rows and looks at the user's other projects. A UUID decides,
  -- because a session can seed random().
  is_large boolean := bytes >= 8192 or sources > 0 or hashtext(gen_random_uuid()::text) & 15 = 0;
begin
  if bytes = 0 and sources = 0 then
    return;
  end if;
  -- If the project was deleted, its usage was deleted too.
  insert into matrice.project_usage (project_id, bytes, sources)
  select p.id, add_usage.bytes, add_usage.sources from matrice.projects p where p.id = add_usage.project_id;
  if not found or bytes <= 0 and sources <= 0 and not is_large then
    return;
  end if;
  -- Below the lower limit, it does not matter who the caller is.
  select sum(u.bytes)::bigint as bytes, sum(u.sources) as sources, count(*) as rows,
         (select least(q.allowed, q.allowed_anonymous) from matrice.quotas q where q.quota = 'bytes_per_project') as allowed
    into used from matrice.project_usage u where u.project_id = add_usage.project_id;
  -- Merges rows. SKIP LOCKED, so that nobody waits. Only in read committed: at other isolation levels, a row that another
  -- transaction has merged meanwhile is an error.
  if is_large and used.rows > 32 and current_setting('transaction_isolation') = 'read committed' then
    with added as (
      delete from matrice.project_usage u
       where u.project_id = add_usage.project_id and u.id in (
         select one.id from matrice.project_usage one where one.project_id = add_usage.project_id
          limit 1000 for update skip locked)
      returning u.bytes, u.sources
    )
    insert into matrice.project_usage (project_id, bytes, sources)
    select add_usage.project_id, sum(a.bytes), sum(a.sources) from added a having count(*) > 0;
  end if;
  if sources > 0 then
    perform matrice_private.require_quota('sources_per_project', used.sources, format('Project %s', add_usage.project_id));
  end if;
  if bytes > 0 and used.bytes > used.allowed then
    perform matrice_private.require_quota('bytes_per_project', used.bytes, format('Project %s', add_usage.project_id));
  end if;
  if bytes > 0 then
    if is_large then
      select p.created_by into creator from matrice.projects p where p.id = add_usage.project_id;
    end if;
    if creator is not null then
      perform matrice_private.require_quota(
        'bytes_per_user',
        (select sum(u.bytes)::bigint from matrice.projects p join matrice.project_usage u on u.project_id = p.id
          where p.created_by = creator),
        format('All projects of user %s', creator));
    end if;
  end if;
end
$$;
comment on function matrice_private.add_usage is
  'Adds what a statement stored or deleted to the usage of a project, and raises PT402 if that exceeds a quota. '
  'Statements at the same moment do not see each other. Together they can exceed a quota by what each of them stores.';

-- How many bytes and sources a row of each table counts as.
do $$
declare
  counted  record;
  all_rows text;
begin
  for counted in
    select * from (values
      ('context_sources',
       '1000 + octet_length(name) + coalesce(octet_length(storage_path), 0) + octet_length(raw_metadata::text)', 1),
      ('source_texts', '500 + octet_length(content) + coalesce(octet_length(spans::text), 0)', 0),
      ('source_chunks',
       '8192 + 2 * octet_length(content) + octet_length(metadata::text) + coalesce(octet_length(filterable::text), 0)', 0),
      ('insights',
       '1000 + 3 * octet_length(content) + octet_length(tags::text) + coalesce(octet_length(evidence::text), 0)', 0),
      ('insight_versions', '500 + octet_length(content)', 0),
      ('insight_evidence', '500 + coalesce(octet_length(url), 0) + coalesce(octet_length(note), 0)', 0),
      ('workflow_runs',
       '500 + octet_length(input_data::text) + coalesce(octet_length(output_data::text), 0) + octet_length(tags::text) '
       '+ coalesce(octet_length(error::text), 0)', 0),
      ('workflow_steps',
       '500 + octet_length(usage::text) + coalesce(octet_length(error::text), 0) + coalesce(octet_length(reason), 0)', 0),
      ('pillar_versions', '500 + octet_length(content) + octet_length(metadata::text)', 0),
      ('pillar_labels', '500', 0),
      -- The first phase of a project comes with the project.
      ('phase_changes', 'case when number > 1 then 200 else 0 end', 0),
      ('project_invitations', '500', 0),
      ('conversations', '500 + octet_length(title)', 0),
      ('conversation_turns', '500 + octet_length(content) + octet_length(citations::text)', 0),
      ('answers', '500 + octet_length(question) + coalesce(pg_column_size(query_embedding), 0)', 0),
      ('answer_passages', '200', 0),
      ('answer_ratings', '200 + coalesce(octet_length(comment), 0)', 0)
    ) as listed (tab, bytes, sources)
  loop
    all_rows := concat_ws(' union all ', all_rows,
      format('select project_id, %s as bytes, %s as sources from matrice.%I', counted.bytes, counted.sources, counted.tab));
    execute format($function$
      create or replace function matrice_private.count_%1$s() returns trigger
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
      'Counts how much rows of %s take up. SECURITY DEFINER: no client may write project_usage.', counted.tab));
    execute format('create or replace trigger count_added after insert on matrice.%I referencing new table as added
                      for each statement execute function matrice_private.count_%1$s()', counted.tab);
    execute format('create or replace trigger count_changed after update on matrice.%I
                      referencing old table as removed new table as added
                      for each statement execute function matrice_private.count_%1$s()', counted.tab);
    execute format('create or replace trigger count_removed after delete on matrice.%I referencing old table as removed
                      for each statement execute function matrice_private.count_%1$s()', counted.tab);
  end loop;
  execute format($function$
    create or replace function matrice_private.recount_usage() returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
      -- Without the lock, rows that are stored meanwhile could be counted twice or not at all.
      lock table matrice.project_usage in share row exclusive mode;
      -- All rows, because writers can leave some for a project that is deleted at the same time.
      delete from matrice.project_usage where true;
      insert into matrice.project_usage (project_id, bytes, sources)
      select r.project_id, sum(r.bytes), sum(r.sources) from (%s) r group by 1 having sum(r.bytes) <> 0;
    end
    $body$
    $function$, all_rows);
end
$$;
comment on function matrice_private.recount_usage is
  'Counts again how much every project stores. For the owner of the tables, after loading rows in a way that the '
  'triggers do not count or count twice: data-only restores and replication.';

create or replace function matrice_private.forget_usage() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice.project_usage u where u.project_id = old.id;
  return null;
end
$$;
comment on function matrice_private.forget_usage is
  'Deletes the usage of a deleted project. SECURITY DEFINER: no client may write project_usage.';

create or replace trigger forget_usage after delete on matrice.projects
for each row execute function matrice_private.forget_usage();

create or replace function matrice_private.limit_projects() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  creator uuid;
begin
  for creator in select distinct a.created_by from added a where a.created_by is not null order by 1 loop
    -- One transaction at a time per user. Otherwise projects that are created at the same moment would not be counted.
    perform pg_advisory_xact_lock(hashtext('matrice.projects'), hashtext(creator::text));
    perform matrice_private.require_quota(
      'projects_per_user', (select count(*) from matrice.projects p where p.created_by = creator), format('User %s', creator));
  end loop;
  return null;
end
$$;
comment on function matrice_private.limit_projects is
  'Enforces the quota of projects per user. SECURITY DEFINER: it must also count projects that the user created and '
  'left.';

create or replace trigger limit_projects after insert on matrice.projects referencing new table as added
for each statement execute function matrice_private.limit_projects();

create or replace function matrice_private.limit_members() returns trigger
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
comment on function matrice_private.limit_members is
  'Enforces the quota of members per project. SECURITY DEFINER: it must count all members, whoever adds one.';

create or replace trigger limit_members after insert on matrice.user_projects referencing new table as added
for each statement execute function matrice_private.limit_members();

create or replace function matrice_private.limit_invitations() returns trigger
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
comment on function matrice_private.limit_invitations is
  'Enforces the quota of open invitations per project. SECURITY DEFINER: it must count all invitations, whoever makes '
  'one.';

create or replace trigger limit_invitations after insert on matrice.project_invitations referencing new table as added
for each statement execute function matrice_private.limit_invitations();
