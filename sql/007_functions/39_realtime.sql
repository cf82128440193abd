-- Supabase Realtime: what it needs to send the events of matrice, and what is missing.

create or replace function matrice_private.can_deliver() returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  arrived boolean := false;
  -- supabase db lint would look for this table.
  messages regclass := to_regclass('realtime.messages');
begin
  begin
    execute format('select %s($1, $2, $3, true)', matrice_private.realtime_sender()::oid::regproc)
      using jsonb_build_object('event', 'trial'), 'trial', 'matrice:trial';
    execute format('select exists (select from %s m where m.topic = $1)', messages) into arrived using 'matrice:trial';
    raise exception 'undo' using errcode = 'PT499';
  exception when sqlstate 'PT499' then
    return arrived;
  end;
end
$$;
comment on function matrice_private.can_deliver is
  'Returns whether an event that is sent becomes a message of Supabase Realtime. It sends one and takes it back.';

create or replace function matrice_private.realtime_health() returns table (part text, is_ready boolean, detail text, hint text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  sender regprocedure := matrice_private.realtime_sender();
begin
  return query
    select 'events', lower(coalesce(current_setting('matrice.events', true), '')) <> 'off',
           (select format('%s of %s projects tell their changes.',
                          count(*) filter (where p.settings -> 'events' is distinct from 'false'::jsonb), count(*))
              from matrice.projects p),
           'alter database … reset matrice.events switches events on. A project''s setting "events" is for that project.'
    union all
    select 'notify', matrice_private.can_notify(),
           format('max_prepared_transactions is %s. The queue of NOTIFY is %s %% full.',
                  current_setting('max_prepared_transactions'), round(100 * pg_notification_queue_usage())),
           'NOTIFY needs max_prepared_transactions = 0, and listeners that do not stay in a transaction.'
    union all
    select 'realtime.send', sender is not null,
           case when sender is not null then 'It is there.'
                when to_regnamespace('realtime') is null then 'There is no schema realtime.'
                else 'The schema realtime has no such function, or belongs neither to a superuser nor to the owner of matrice.' end,
           'Events are told by NOTIFY alone where Supabase Realtime is not.';
  if sender is null then
    return;
  end if;
  return query
    select 'policy',
           exists (select from pg_policy p
                    where p.polrelid = to_regclass('realtime.messages') and p.polname = 'members listen to their projects of matrice'),
           'The policy says who may join the private channel of a project.',
           'select matrice_private.enable_realtime() creates it.'
    union all
    select 'row-level security',
           coalesce((select c.relrowsecurity from pg_class c where c.oid = to_regclass('realtime.messages')), false),
           'Realtime asks the policies of realtime.messages.',
           'alter table realtime.messages enable row level security.';
  begin
    return query
      select 'delivery', matrice_private.can_deliver(), 'A trial was sent, and taken back.',
             'See the warnings of this call. Realtime makes the partition of the day when it runs.';
  exception when others or assert_failure then
    return query
      select 'delivery', false, format('A trial failed: %s', sqlerrm), 'The owner of matrice must be able to send and to read messages.';
  end;
end
$$;
comment on function matrice_private.realtime_health is
  'Says what is missing for members to hear of changes: a row for each part, whether it is ready, and what to do if it is not. '
  'For the owner of the database.';

create or replace function matrice_private.enable_realtime()
returns table (part text, is_ready boolean, detail text, hint text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if matrice_private.realtime_sender() is null then
    raise exception 'Supabase Realtime is needed to broadcast events'
      using errcode = '0A000',
            detail = 'There is no function realtime.send(jsonb, text, text, boolean) in a schema of a superuser or of the owner of matrice.',
            hint = 'NOTIFY needs nothing: clients of the database listen to the channel matrice:<project_id>.';
  elsif (select count(*) from pg_attribute a
          where a.attrelid = to_regclass('realtime.messages') and a.attname in ('topic', 'extension') and not a.attisdropped) < 2
        or to_regprocedure('realtime.topic()') is null then
    raise exception 'this Supabase Realtime cannot broadcast events'
      using errcode = '0A000',
            detail = 'It lacks the table realtime.messages with the columns topic and extension, or the function realtime.topic().',
            hint = 'Start Realtime once, so that it creates them, or upgrade it. Until then, events are told by NOTIFY.';
  end if;
  if not exists (select from pg_policy p where p.polrelid = to_regclass('realtime.messages')
                    and p.polname = 'members listen to their projects of matrice') then
    execute format($policy$
      create policy "members listen to their projects of matrice" on %s for select to authenticated
      using (extension = 'broadcast' and (select realtime.topic()) in (select 'matrice:' || p.id from matrice.projects p))
    $policy$, to_regclass('realtime.messages'));
  end if;
  return query select * from matrice_private.realtime_health();
end
$$;
comment on function matrice_private.enable_realtime is
  'Lets members of a project join its private channel matrice:<project_id> of Supabase Realtime: it creates the policy that '
  'Realtime asks. Returns what realtime_health returns. A second call changes nothing. For the owner of the database.';
