-- A schedule for the worker at the edge: pg_cron calls it by pg_net.

create or replace function matrice_private.is_of_extension(home text, name text, extension text) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
    select
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
      join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
      join pg_extension e on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid
     where n.nspname = home and p.proname = name and e.extname = extension);
end;
comment on function matrice_private.is_of_extension is
  'Returns whether an extension has made a function of this name. A schema named cron or net may be anybody''s.';

create or replace function matrice_private.schedule_of(every interval) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  seconds numeric;
begin
  perform matrice_private.require_given('every', every);
  seconds := extract(epoch from every);
  if seconds between 1 and 59 and seconds = trunc(seconds) then
    return seconds::integer || ' seconds';
  elsif seconds between 60 and 1800 and mod(seconds, 60) = 0 and mod(60, seconds / 60) = 0 then
    return '*/' || (seconds / 60)::integer || ' * * * *';
  end if;
  raise exception 'every cannot be scheduled: %', left(every::text, 100)
    using errcode = '22023', hint = 'Choose 1 to 59 seconds, or 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes.';
end
$$;
comment on function matrice_private.schedule_of is 'Returns an interval in the words of pg_cron.';

create or replace function matrice_private.require_scheduler() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not (matrice_private.is_of_extension('cron', 'schedule', 'pg_cron')
          and matrice_private.is_of_extension('net', 'http_post', 'pg_net')) then
    raise exception 'the extensions pg_cron and pg_net are needed to schedule the worker'
      using errcode = '0A000',
            hint = 'Create both extensions, or run matrice-worker, which needs neither.';
  end if;
end
$$;
comment on function matrice_private.require_scheduler is 'Raises an error where pg_cron or pg_net is missing.';

create or replace function matrice_private.schedule_embedding(url text, secret text, every interval default '1 minute')
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  schedule text := matrice_private.schedule_of(every);
  bearer   text;
  stored   uuid;
  -- supabase db lint would look for these schemas.
  vault    name := 'vault';
  cron     name := 'cron';
begin
  perform matrice_private.require_text('url', url);
  perform matrice_private.require_bytes('url', url, 2000);
  perform matrice_private.require_text('secret', secret);
  perform matrice_private.require_bytes('secret', secret, 1000);
  if url !~* '^https?://[^\s/]+' then
    raise exception 'url must be the address of the function embed'
      using errcode = '22023', hint = 'It is like https://<project>.supabase.co/functions/v1/embed.';
  end if;
  perform matrice_private.require_scheduler();
  if matrice_private.is_of_extension('vault', 'create_secret', 'supabase_vault') then
    execute format('select id from %s where name = $1', to_regclass('vault.secrets')) into stored using 'matrice_worker';
    if stored is null then
      execute format('select %I.create_secret($1, $2)', vault) using secret, 'matrice_worker';
    else
      execute format('select %I.update_secret($1, $2)', vault) using stored, secret;
    end if;
    bearer := '(select decrypted_secret from vault.decrypted_secrets where name = ''matrice_worker'')';
  else
    bearer := quote_literal(secret);
  end if;
  execute format('select %I.schedule($1, $2, $3)', cron) using 'matrice_embedding', schedule, format(
    'select net.http_post(url := %L, timeout_milliseconds := 150000, headers := jsonb_build_object('
    '''Content-Type'', ''application/json'', ''Authorization'', ''Bearer '' || %s))', url, bearer);
end
$$;
comment on function matrice_private.schedule_embedding is
  'Has pg_cron call the edge function embed, which embeds what waits. A second call replaces the schedule. For the owner of '
  'the database. url: the address of the function. secret: what the function has as MATRICE_WORKER_SECRET; it is stored in '
  'Supabase''s Vault where there is one, else in the job, which its owner and superusers can read. every: 1 to 59 seconds '
  '(pg_cron 1.5), or minutes that divide an hour. Defaults: every 1 minute.';

create or replace function matrice_private.unschedule_embedding() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_scheduler();
  execute format('select cron.unschedule(j.jobid) from %s j where j.jobname = $1 and j.username = current_user', to_regclass('cron.job'))
    using 'matrice_embedding';
  if matrice_private.is_of_extension('vault', 'create_secret', 'supabase_vault') then
    execute format('delete from %s where name = $1', to_regclass('vault.secrets')) using 'matrice_worker';
  end if;
end
$$;
comment on function matrice_private.unschedule_embedding is
  'Ends what schedule_embedding began, and deletes the secret that it stored. Does nothing if there is no schedule.';
