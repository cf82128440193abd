-- Putting codes in order: who does it, how much at once, and what happens if it fails. sql/027_code_pace.sql describes the table.

create or replace function matrice_private.small_list(batch integer) returns integer
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select greatest(batch / 8, least(4096, batch / 2));
end;
comment on function matrice_private.small_list is
  'Returns how many codes a list has at most that is merged with others before its codes move. Codes of longer lists have fewer '
  'bits, and a move writes a page of each cell. batch: how many codes are merged or moved at once.';

create or replace function matrice_private.code_share(project_id uuid, model text) returns double precision
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select 0.5 ^ least(count(*), 6)
      from matrice_private.code_failures f
     where f.project_id = code_share.project_id and f.model = code_share.model and f.failed_at > clock_timestamp() - interval '1 day');
end
$$;
comment on function matrice_private.code_share is
  'Returns which share of the usual work is done at once for a project: half of it for each failure on the last day.';

create or replace function matrice_private.code_batch(project_id uuid, model text, most integer default 32768) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  dimensions integer := (select m.dimensions from matrice.embedding_models m where m.model = code_batch.model);
begin
  return greatest(64, matrice_private.code_share(project_id, model) * least(most, 6.3e6 / dimensions));
end
$$;
comment on function matrice_private.code_batch is
  'Returns how many codes of a project are merged or moved at once: some tenths of a second. most: at most so many. Default: '
  'most 32768.';

create or replace function matrice_private.merge_small_lists(project_id uuid, model text, most integer) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  small  constant integer := matrice_private.small_list(most);
  size   numeric;
  chosen uuid[];
  codes  bigint;
begin
  for size in
    select floor(log(8, l.code_count))
      from matrice_private.code_lists l
     where l.project_id = merge_small_lists.project_id and l.model = merge_small_lists.model and l.code_count <= small
     group by 1
    -- Fewer than eight, if more would be too many.
    having count(*) >= 8 or sum(l.code_count) >= most
  loop
    -- Other writers may be merging some of them.
    select array_agg(n.id), max(n.upto) into chosen, codes
      from (
        select held.id, sum(held.code_count) over (order by held.built_at, held.id) as upto
          from (
            select l.id, l.code_count, l.built_at from matrice_private.code_lists l
             where l.project_id = merge_small_lists.project_id and l.model = merge_small_lists.model and l.code_count <= small
               and floor(log(8, l.code_count)) = size
             order by l.built_at
             limit 8 for update skip locked) held
      ) n
     where n.upto <= most;
    if (cardinality(chosen) = 8 or cardinality(chosen) > 1 and codes > most / 2)
       and matrice_private.merge_lists(project_id, model, chosen) then
      return true;
    end if;
  end loop;
  return false;
end
$$;
comment on function matrice_private.merge_small_lists is
  'Merges eight lists of about one size to one, if a project has eight, or fewer that have as many codes as one list may have. '
  'Returns whether it did. most: the most codes of the new list.';

create or replace function matrice_private.merge_codes(project_id uuid, model text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  batch   constant integer := (select c.batch from matrice_private.code_clusterings c
                                where c.project_id = merge_codes.project_id and c.model = merge_codes.model);
  most    constant integer := matrice_private.code_batch(project_id, model, coalesce(batch, 32768));
  deleted constant bigint := (select sum(d.code_count) from matrice_private.code_deletions d
                               where d.project_id = merge_codes.project_id and d.model = merge_codes.model);
  chosen  uuid[];
begin
  -- At other isolation levels, a row that another transaction has merged meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  -- Eight lists become one, so a code is made again once for each eightfold growth of its project.
  while matrice_private.merge_small_lists(project_id, model, most) loop
  end loop;
  -- When a fifth of the codes are deleted ones, make the oldest lists again. Searches compare those codes too.
  if deleted > 64 and deleted > matrice_private.code_total(project_id, model) / 5 then
    chosen := matrice_private.oldest_lists(project_id, model, most);
    if batch is null then
      perform matrice_private.merge_lists(project_id, model, chosen);
    else
      perform matrice_private.move_codes(project_id, model, chosen, most);
    end if;
  end if;
end
$$;
comment on function matrice_private.merge_codes is
  'Merges lists of codes of a project if it has many small ones, or many codes of embeddings that were deleted or changed.';

create or replace function matrice_private.has_time() returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(
    clock_timestamp() < statement_timestamp() + nullif(current_setting('statement_timeout')::interval, '0') / 2, true);
end;
comment on function matrice_private.has_time is 'Returns whether half of the time that the statement may take is left.';

create or replace function matrice_private.is_timeout(code text, message text) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
begin atomic
  -- The message may be in another language. And the time may have begun before that of the statement: while it was parsed.
  select code = '57014' and (message = 'canceling statement due to statement timeout' or not matrice_private.has_time());
end;
comment on function matrice_private.is_timeout is
  'Returns whether an error says that the statement has taken the time that it may take. If not, somebody else may have '
  'cancelled it.';

create or replace function matrice_private.note_failure(project_id uuid, model text, code text, message text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice_private.code_failures f
   where f.id in (
     select one.id from matrice_private.code_failures one
      where one.project_id = note_failure.project_id and one.model = note_failure.model
        and one.failed_at <= clock_timestamp() - interval '1 day'
        for update skip locked);
  insert into matrice_private.code_failures (project_id, model, code, message)
  values (note_failure.project_id, note_failure.model, note_failure.code, left(note_failure.message, 1000));
end
$$;
comment on function matrice_private.note_failure is
  'Records that a batch of codes failed. Forgets failures that are older than a day.';

create or replace function matrice_private.is_paused(project_id uuid, model text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(max(f.failed_at) + interval '5 seconds' * 2 ^ least(count(*), 10) > clock_timestamp(), false)
      from matrice_private.code_failures f
     where f.project_id = is_paused.project_id and f.model = is_paused.model and f.failed_at > clock_timestamp() - interval '1 day');
end
$$;
comment on function matrice_private.is_paused is
  'Returns whether the next batch of a project is to wait, because one failed a short time ago: 10 seconds, and twice as long '
  'after each further failure on the last day.';

create or replace function matrice_private.try_batch(project_id uuid, model text, what text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if what = 'move' then
    return matrice_private.cluster_codes(project_id, model) > 0;
  elsif what = 'renew' then
    return matrice_private.renew_if_done(project_id, model);
  end if;
  perform matrice_private.merge_codes(project_id, model);
  return true;
-- OTHERS has no cancellation.
exception when others or query_canceled then
  if sqlstate = '57014' and not matrice_private.is_timeout(sqlstate, sqlerrm) then
    raise;
  end if;
  perform matrice_private.note_failure(project_id, model, sqlstate, sqlerrm);
  return false;
end
$$;
comment on function matrice_private.try_batch is
  'Does some work on the codes of a project: merge, move or renew. Returns whether it did. If it fails, or the statement has '
  'taken too long, the work is undone, but not the statement; it is then no longer bounded by statement_timeout.';

create or replace function matrice_private.tend_codes(project_id uuid, model text, stored bigint default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  steps integer := 1 + 2 * stored / matrice_private.code_batch(project_id, model);
begin
  -- At other isolation levels, a row that another transaction has moved meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed' or matrice_private.is_paused(project_id, model)
     or not matrice_private.has_time() or not matrice_private.try_batch(project_id, model, 'merge') then
    return;
  end if;
  while steps > 0 and matrice_private.has_time() and matrice_private.try_batch(project_id, model, 'move') loop
    steps := steps - 1;
    if not matrice_private.has_time() or matrice_private.try_batch(project_id, model, 'renew') then
      return;
    end if;
  end loop;
end
$$;
comment on function matrice_private.tend_codes is
  'Puts the codes of a project in order, a little at a time: whoever stores or deletes embeddings calls it. stored: how many '
  'were stored; with more, it moves more. Null: it moves none. It never fails because of the codes, and begins nothing when the '
  'statement has taken half of its time. Default: stored null.';
