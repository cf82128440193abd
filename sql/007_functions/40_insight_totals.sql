-- How many insights a project has, and how many words these have: what BM25 needs of those that have no word of a query.

create or replace function matrice_private.words_in(texts bytea) returns bigint
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- Of each text 26 bytes: its id, a hash, and how many words it has, the lower byte first.
  select coalesce(sum(get_byte(texts, t.last - 1) + 256 * get_byte(texts, t.last)), 0)::bigint
    from generate_series(25, octet_length(texts) - 1, 26) as t (last);
end;
comment on function matrice_private.words_in is 'Returns how many words the texts of a segment of words have together.';

create or replace function matrice_private.add_insight_totals(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- One at a time for each project; nobody waits. At other isolation levels, a row that another transaction has added up
  -- meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed'
     or not pg_try_advisory_xact_lock(hashtext('matrice.insight_totals'), hashtext(project_id::text)) then
    return;
  end if;
  with added_up as (
    delete from matrice_private.insight_totals t where t.project_id = add_insight_totals.project_id
    returning t.analysis, t.insights, t.words
  )
  insert into matrice_private.insight_totals (project_id, analysis, insights, words)
  select add_insight_totals.project_id, a.analysis, sum(a.insights), sum(a.words)
    from added_up a group by a.analysis
  having sum(a.insights) <> 0 or sum(a.words) <> 0;
end
$$;
comment on function matrice_private.add_insight_totals is
  'Adds up the rows of a project in insight_totals, unless somebody else is doing it.';

create or replace function matrice_private.count_insight_words() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- The insights of an UPDATE whose words it did not change.
  unchanged uuid[] := '{}';
  counted   record;
begin
  if tg_op = 'UPDATE' then
    unchanged := array(
      select a.id from added a join removed r on (r.id, r.project_id, r.fts) = (a.id, a.project_id, a.fts));
  end if;
  if tg_op <> 'DELETE' then
    for counted in
      select a.project_id, array_agg(a.id) as ids, array_agg(a.fts) as vectors from added a
       where a.fts is not null and not exists (select from unnest(unchanged) u (id) where u.id = a.id) group by a.project_id
    loop
      perform matrice_private.note_insight_words(counted.project_id, 1, counted.ids, counted.vectors);
    end loop;
  end if;
  if tg_op <> 'INSERT' then
    for counted in
      select r.project_id, array_agg(r.id) as ids, array_agg(r.fts) as vectors from removed r
       where r.fts is not null and not exists (select from unnest(unchanged) u (id) where u.id = r.id) group by r.project_id
    loop
      perform matrice_private.note_insight_words(counted.project_id, -1, counted.ids, counted.vectors);
    end loop;
  end if;
  return null;
end
$$;
comment on function matrice_private.count_insight_words is
  'Notes in insight_totals how many insights and words a statement stored and deleted. SECURITY DEFINER: no client may write '
  'the totals.';

create or replace function matrice_private.note_insight_words(project_id uuid, sign integer, ids uuid[], vectors tsvector[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  is_turn boolean;
begin
  with noted as (
    insert into matrice_private.insight_totals as t (project_id, analysis, insights, words)
    select note_insight_words.project_id, w.analysis, sign * w.text_count, sign * matrice_private.words_in(w.texts)
      from matrice._index_words(ids, vectors) w
     -- If the project is deleted, so are its totals.
     where exists (select from matrice.projects p where p.id = note_insight_words.project_id)
    returning t.id
  )
  select bool_or(n.id % 64 = 0) into is_turn from noted n;
  if is_turn then
    perform matrice_private.add_insight_totals(project_id);
  end if;
end
$$;
comment on function matrice_private.note_insight_words is
  'Adds insights of a project to insight_totals; with sign -1, takes them away. One call in 64 adds up what the others left.';

create or replace trigger count_words_added after insert on matrice.insights referencing new table as added
for each statement execute function matrice_private.count_insight_words();
create or replace trigger count_words_changed after update on matrice.insights
referencing old table as removed new table as added
for each statement execute function matrice_private.count_insight_words();
create or replace trigger count_words_removed after delete on matrice.insights referencing old table as removed
for each statement execute function matrice_private.count_insight_words();
create or replace trigger forget_insight_totals after truncate on matrice.insights
for each statement execute function matrice_private.forget_rows('insight_totals');

-- Deferred, as forget_words is.
do $$
begin
  if not exists (
    select from pg_trigger t where t.tgrelid = 'matrice.projects'::regclass and t.tgname = 'forget_insight_totals') then
    create constraint trigger forget_insight_totals after delete on matrice.projects deferrable initially deferred
    for each row execute function matrice_private.forget_rows('insight_totals');
  end if;
end
$$;

create or replace function matrice_private.count_insights_again(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  project uuid;
  ids     uuid[];
  vectors tsvector[];
begin
  -- Insights that are stored meanwhile would be counted twice, or not at all.
  lock table matrice.insights in share row exclusive mode;
  delete from matrice_private.insight_totals t
   where count_insights_again.project_id is null or t.project_id = count_insights_again.project_id;
  for project in
    select p.id from matrice.projects p where count_insights_again.project_id is null or p.id = count_insights_again.project_id
  loop
    select array_agg(i.id), array_agg(i.fts) into ids, vectors
      from matrice.insights i where i.project_id = project and i.fts is not null;
    perform matrice_private.note_insight_words(project, 1, ids, vectors) where ids is not null;
  end loop;
end
$$;
comment on function matrice_private.count_insights_again is
  'Counts insights and their words again; without project_id, those of all projects. rebuild_word_index calls it.';
