-- Upkeep: what a writer does for those who come later, such as merging what many statements have stored. Nothing is wrong
-- without it. A statement that a timeout cancels stores nothing, and the next one would fail in the same place. So a writer
-- begins a step only if it has the time. Otherwise it leaves the step to one that has more, or to catch_up.

create or replace function matrice_private.time_left() returns interval
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  of_statement   constant interval := nullif(current_setting('statement_timeout'), '0')::interval;
  -- From PostgreSQL 17 on.
  of_transaction constant interval := nullif(current_setting('transaction_timeout', true), '0')::interval;
begin
  return least(of_statement - (clock_timestamp() - statement_timestamp()),
               of_transaction - (clock_timestamp() - transaction_timestamp()));
end
$$;
comment on function matrice_private.time_left is
  'Returns how long it takes until a timeout cancels the statement. Null: none will.';

create or replace function matrice_private.has_time(usual interval) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  time_left constant interval := matrice_private.time_left();
begin
  return case
    when time_left is null or time_left >= 40 * usual then true
    when time_left < 4 * usual then false
    -- A machine may be much slower than usual. There three stores of four are still sure to succeed. A UUID decides, because
    -- a session can seed random().
    else hashtext(gen_random_uuid()::text) & 3 = 0
  end;
end
$$;
comment on function matrice_private.has_time is
  'Returns whether a writer may begin a step of upkeep. usual: how long the step takes on a usual machine. With a timeout, there '
  'must be four times as long left; and with less than forty times, one call in four returns true.';

create or replace function matrice_private.catch_up(project_id uuid default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  project uuid;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'upkeep is only done at the isolation level read committed'
      using errcode = '25001', hint = 'Call this in a transaction of its own.';
  end if;
  -- As writers hold them: rebuilding an index, and deleting a project, must not meet a merge.
  lock table matrice.source_chunks, matrice.insights, matrice.chunk_embeddings in row exclusive mode;
  for project in
    select p.id from matrice.projects p where catch_up.project_id is null or p.id = catch_up.project_id
     order by p.id for key share skip locked
  loop
    perform matrice_private.merge_words(project);
    perform matrice_private.merge_codes(project, l.model), matrice_private.cluster_codes(project, l.model, steps => null)
       from (select distinct one.model from matrice_private.code_lists one where one.project_id = project) l;
    while matrice_private.has_time('3 seconds') and matrice_private.merge_metrics(project, 50000) loop
    end loop;
  end loop;
end
$$;
comment on function matrice_private.catch_up is
  'Does the upkeep of a project that writers have left, because they had no time: merges the indexes of words and of codes, and '
  'adds up metrics; without project_id, of all projects. For the owner of the tables, where all clients have short timeouts. '
  'Readers and writers do not wait for it; who deletes a project or rebuilds an index does.';
