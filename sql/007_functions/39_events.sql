-- What changes, told to members: by NOTIFY and, where it is, by Supabase Realtime. Events carry ids, versions and counts, so
-- whoever hears one reads the rows under its own rights.

create or replace function matrice_private.tells_events(project_id uuid) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A project that is being deleted has no row any more, so its events are not sent.
  return lower(coalesce(current_setting('matrice.events', true), '')) <> 'off'
         and exists (select from matrice.projects p
                      where p.id = tells_events.project_id and p.settings -> 'events' is distinct from 'false'::jsonb);
end
$$;
comment on function matrice_private.tells_events is
  'Returns whether changes of a project are told: not with the project''s setting "events" false, or matrice.events = off.';

create or replace function matrice_private.can_notify() returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return current_setting('max_prepared_transactions') = '0' and pg_notification_queue_usage() < 0.5;
end
$$;
comment on function matrice_private.can_notify is
  'Returns whether NOTIFY is sure not to fail a transaction. With a full queue, every COMMIT fails that has notified. PREPARE '
  'TRANSACTION always does.';

create or replace function matrice_private.realtime_sender() returns regprocedure
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regnamespace('realtime') is null then
    return null;
  end if;
  -- Anybody who may create schemas could create one with this name, and its function would run as the owner of the tables.
  if not coalesce((select matrice_private.is_trusted(n.nspowner) from pg_namespace n where n.nspname = 'realtime'), false) then
    return null;
  end if;
  return to_regprocedure('realtime.send(jsonb,text,text,boolean)');
end
$$;
comment on function matrice_private.realtime_sender is
  'Returns the function that sends by Supabase Realtime, or null where there is none. It is looked up at run time, because a '
  'plain PostgreSQL does not have it.';

create or replace function matrice_private.send_event(project_id uuid, event jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- A write does not wait long for somebody who has locked the table of messages.
set lock_timeout = '100ms'
as $$
declare
  channel text := 'matrice:' || project_id;
  sender  regprocedure;
begin
  if not matrice_private.tells_events(project_id) then
    return;
  end if;
  if matrice_private.can_notify() then
    perform pg_notify(channel, event::text);
  end if;
  sender := matrice_private.realtime_sender();
  if sender is not null then
    execute format('select %s($1, $2, $3, true)', sender::oid::regproc)
      using event, event ->> 'event', channel;
  end if;
-- "others" has no failed ASSERT.
exception when others or assert_failure then
  raise warning 'an event was not sent: %', sqlerrm
    using errcode = sqlstate, detail = format('The event %s of project %s.', event ->> 'event', project_id),
          hint = 'What it tells is stored nevertheless. matrice_private.realtime_health() says what is missing.';
end
$$;
comment on function matrice_private.send_event is
  'Tells an event to the channel matrice:<project_id>, by NOTIFY and by Supabase Realtime. It never fails the statement that '
  'changed something: an error becomes a warning.';

create or replace function matrice_private.told_rows(
  project_id uuid, event text, change text, thing text, how_many bigint, rows jsonb
) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- NOTIFY takes less than 8000 bytes.
  return jsonb_strip_nulls(jsonb_build_object(
    'event', event, 'project_id', project_id, 'change', change, thing || '_count', how_many, thing || 's', coalesce(rows, '[]')));
end
$$;
comment on function matrice_private.told_rows is
  'Returns an event. Of more than 30 rows it tells only how many they are; then rows is null.';

-- Which changes of each table are told, and what of its rows. One event for each statement and project.
do $$
declare
  told record;
begin
  for told in
    select * from (values
      ('context_sources', 'source', $row$'id', c.id$row$, 'delete'),
      ('pillars', 'pillar', $row$'id', c.id, 'code', c.code, 'version', c.version$row$, 'update'),
      ('insights', 'insight', $row$'id', c.id$row$, 'insert update delete'),
      ('workflow_runs', 'run', $row$'id', c.id, 'status', c.status$row$, 'insert update delete')
    ) as listed (tab, thing, shown, changes)
  loop
    execute format($function$
      create or replace function matrice_private.tell_%1$s() returns trigger
      language plpgsql security definer
      set search_path = pg_catalog, pg_temp
      -- The plan is made for the first statement of a session. If that changes one row, it is slow for many.
      set enable_nestloop = off
      as $body$
      begin
        if tg_op = 'INSERT' then
          perform matrice_private.send_event(g.project_id, matrice_private.told_rows(
                    g.project_id, '%2$s_change', 'added', '%2$s', g.how_many, case when g.how_many <= 30 then (
                      select jsonb_agg(jsonb_build_object(%3$s) order by c.id) from added c where c.project_id = g.project_id) end))
             from (select a.project_id, count(*) as how_many from added a group by a.project_id) g;
        elsif tg_op = 'DELETE' then
          perform matrice_private.send_event(g.project_id, matrice_private.told_rows(
                    g.project_id, '%2$s_change', 'removed', '%2$s', g.how_many, case when g.how_many <= 30 then (
                      select jsonb_agg(jsonb_build_object('id', c.id) order by c.id) from removed c
                       where c.project_id = g.project_id) end))
             from (select r.project_id, count(*) as how_many from removed r group by r.project_id) g;
        else
          -- The operator compares the rows as they are stored.
          perform matrice_private.send_event(g.project_id, matrice_private.told_rows(
                    g.project_id, '%2$s_change', 'changed', '%2$s', g.how_many, case when g.how_many <= 30 then (
                      select jsonb_agg(jsonb_build_object(%3$s) order by c.id)
                        from added c join removed r on r.id = c.id
                       where c.project_id = g.project_id and c *<> r) end))
             from (select a.project_id, count(*) as how_many from added a join removed r on r.id = a.id
                    where a *<> r group by a.project_id) g;
        end if;
        return null;
      end
      $body$
      $function$, told.tab, told.thing, told.shown);
    execute format('comment on function matrice_private.tell_%s() is %L', told.tab, format(
      'Tells members which rows of %s a statement changed. SECURITY DEFINER: clients may not execute realtime.send.', told.tab));
    if told.changes ~ 'insert' then
      execute format('create or replace trigger tell_added after insert on matrice.%I referencing new table as added
                        for each statement execute function matrice_private.tell_%1$s()', told.tab);
    end if;
    if told.changes ~ 'update' then
      execute format('create or replace trigger tell_changed after update on matrice.%I
                        referencing old table as removed new table as added
                        for each statement execute function matrice_private.tell_%1$s()', told.tab);
    end if;
    if told.changes ~ 'delete' then
      execute format('create or replace trigger tell_removed after delete on matrice.%I referencing old table as removed
                        for each statement execute function matrice_private.tell_%1$s()', told.tab);
    end if;
  end loop;
end
$$;
