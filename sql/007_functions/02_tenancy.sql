-- Rules for all tables of a project: a row keeps its id and its project, a child row takes the project of its parent, an index
-- loses the rows of a deleted project, and ANALYZE keeps no statistics.

create or replace function matrice_private.touch_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A service may insert a row with an earlier time.
  if tg_op = 'UPDATE' or row_security_active(tg_relid) then
    new.updated_at := now();
  end if;
  return new;
end
$$;
comment on function matrice_private.touch_updated_at is 'Sets updated_at on every update, and on inserts by clients.';

create or replace function matrice_private.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_argv[0] = 'clients' and not row_security_active(tg_relid) then
    return new;
  end if;
  raise exception '% of % cannot be changed', tg_argv[1], tg_table_name
    using errcode = '42501', detail = 'It is set when the row is created.', hint = 'Leave it out of the update.';
end
$$;
comment on function matrice_private.refuse_change is
  'Refuses changes of the columns that its trigger names. The first argument of the trigger says for whom: anybody, or '
  'clients (roles under row-level security). A missing privilege would not do: an upsert needs it for every column, '
  'even if the value stays the same.';

create or replace function matrice_private.project_from_parent() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  parents_project uuid;
begin
  -- Who names the project and is under no policies needs no lookup: the foreign key compares.
  if tg_op = 'INSERT' and new.project_id is not null and not row_security_active(tg_relid) then
    return new;
  end if;
  case tg_table_name
    when 'source_chunks' then
      select s.project_id into parents_project from matrice.context_sources s where s.id = new.source_id;
    when 'workflow_steps' then
      select r.project_id into parents_project from matrice.workflow_runs r where r.id = new.run_id;
    else
      select c.project_id into parents_project from matrice.source_chunks c where c.id = new.chunk_id;
  end case;
  if tg_op = 'INSERT' then
    if new.project_id is null then
      new.project_id := parents_project;
    elsif new.project_id is distinct from parents_project and row_security_active(tg_relid) then
      -- The policies refuse a null project before unique and foreign keys are checked.
      new.project_id := null;
    end if;
  elsif parents_project is distinct from old.project_id then
    raise exception 'a row cannot be moved to another project'
      using errcode = '42501',
            detail = format('This row of %I belongs to project %s.', tg_table_name, old.project_id),
            hint = 'Create a row in the other project and delete this one.';
  end if;
  return new;
end
$$;
comment on function matrice_private.project_from_parent is
  'Copies the project of a new row from its parent, and refuses a parent in another project. It reads the parent as '
  'the caller, so a parent that the caller may not see is treated like one that does not exist. Both are refused '
  'before unique and foreign keys are checked, whose errors could tell them apart.';

create or replace function matrice_private.stay_in_project() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'a row cannot be moved to another project'
    using errcode = '42501',
          detail = format('This row of %I belongs to project %s.', tg_table_name, old.project_id),
          hint = 'Create a row in the other project and delete this one.';
end
$$;
comment on function matrice_private.stay_in_project is 'Refuses to move a row to another project.';

do $$
declare
  tenant text;
begin
  foreach tenant in array array[
    'user_projects', 'project_invitations', 'pillars', 'pillar_versions', 'pillar_labels', 'phase_changes', 'context_sources',
    'source_texts', 'source_chunks',
    'chunk_embeddings', 'embedding_leases', 'insights', 'insight_evidence', 'insight_candidates', 'insight_versions',
    'insight_embeddings',
    'workflow_runs', 'workflow_steps', 'audit_log', 'project_prices', 'budgets', 'budget_events', 'project_imports',
    'conversations', 'conversation_turns', 'answers', 'answer_passages', 'answer_ratings'
  ] loop
    execute format(
      'create or replace trigger stay_in_project before update of project_id on matrice.%I
         for each row when (old.project_id is distinct from new.project_id)
         execute function matrice_private.stay_in_project()', tenant);
  end loop;
  foreach tenant in array array[
    'projects', 'project_invitations', 'pillars', 'context_sources', 'source_chunks', 'chunk_embeddings', 'insights',
    'workflow_runs', 'workflow_steps', 'audit_log', 'conversations'
  ] loop
    execute format(
      'create or replace trigger keep_id before update of id on matrice.%I
         for each row when (old.id is distinct from new.id)
         execute function matrice_private.refuse_change(''anybody'', ''id'')', tenant);
  end loop;
end
$$;

create or replace function matrice_private.forget_rows() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  name text;
begin
  if tg_op = 'TRUNCATE' then
    execute (select 'truncate ' || string_agg(format('matrice_private.%I', given), ', ') from unnest(tg_argv) given);
  else
    foreach name in array tg_argv loop
      execute format('delete from matrice_private.%I t where t.project_id = $1', name) using old.id;
    end loop;
  end if;
  return null;
end
$$;
comment on function matrice_private.forget_rows is
  'Deletes the rows of a deleted project from the tables of matrice_private that its trigger names. After a truncate it empties '
  'them. SECURITY DEFINER: no client may write these tables.';

create or replace function matrice_private.forget_rows_of_sources() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  name text;
begin
  -- Nobody waits. A claim removes rows that are locked now.
  foreach name in array tg_argv loop
    execute format('delete from matrice_private.%1$I t where t.ctid = any (array(
                      select held.ctid from removed r cross join lateral (
                        select one.ctid from matrice_private.%1$I one where one.source_id = r.id for update skip locked
                      ) held))', name);
  end loop;
  return null;
end
$$;
comment on function matrice_private.forget_rows_of_sources is
  'Deletes the rows of deleted sources from the tables of matrice_private that its trigger names. SECURITY DEFINER: no client '
  'may write these tables.';

create or replace function matrice_private.refuse_clients() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_security_active(tg_relid) then
    raise exception 'permission denied for table %', tg_table_name
      using errcode = '42501', detail = 'All projects share this table. Users can only read it.',
            hint = 'service_role and the owner of the tables can write it.';
  end if;
  return null;
end
$$;
comment on function matrice_private.refuse_clients is
  'Refuses writes by roles under row-level security. The error says who may write.';

do $$
declare
  reference_table text;
begin
  foreach reference_table in array array[
    'embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers', 'quotas'
  ] loop
    execute format(
      'create or replace trigger refuse_clients before insert or update on matrice.%I
         for each statement execute function matrice_private.refuse_clients()', reference_table);
  end loop;
end
$$;

create or replace function matrice_private.keep_no_statistics() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  command text;
begin
  for command in
    select format('alter table %s alter column %I set statistics 0', c.oid::regclass, a.attname)
      from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'matrice'::regnamespace and c.relowner = current_user::regrole and c.relkind in ('r', 'p')
       and a.attnum > 0 and not a.attisdropped
       and c.relname not in ('embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers')
    union all
    select format('alter index %s alter column %s set statistics 0', i.indexrelid::regclass, a.attnum)
      from pg_class c join pg_index i on i.indrelid = c.oid join pg_attribute a on a.attrelid = i.indexrelid
     where c.relnamespace = 'matrice'::regnamespace and c.relowner = current_user::regrole and c.relkind in ('r', 'p')
       and i.indkey[a.attnum - 1] = 0
       and c.relname not in ('embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers')
  loop
    execute command;
  end loop;
end
$$;
comment on function matrice_private.keep_no_statistics is
  'Makes ANALYZE keep no statistics on the columns and index expressions of the tenants'' tables. EXPLAIN and '
  'PostgREST''s count=planned show estimates to everybody. With statistics, estimates would reveal which values are '
  'common in the rows of other tenants. For the owner of the tables, after adding columns or indexes.';

select matrice_private.keep_no_statistics();
