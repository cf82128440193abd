-- The word index: how chunks and insights get into it. sql/008_word_index.sql describes its tables.

create or replace function matrice_private.index_words() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- Keeps only one part of the texts in memory at a time.
set enable_hashagg = off
as $$
declare
  -- The texts of an UPDATE whose words it did not change.
  unchanged uuid[] := '{}';
  projects  uuid[] := '{}';
begin
  if tg_op = 'UPDATE' then
    unchanged := array(
      select a.id from added a join removed r on (r.id, r.project_id, r.fts) = (a.id, a.project_id, a.fts));
  end if;
  if tg_op <> 'INSERT' then
    projects := array(
      select distinct r.project_id from removed r where not exists (select from unnest(unchanged) u (id) where u.id = r.id));
    -- If the project is deleted, so is its index.
    insert into matrice_private.word_deletions (project_id, kind, texts)
    select r.project_id, tg_argv[0], string_agg(matrice._deletion(r.id, r.fts), '')
      from removed r
     where r.fts is not null and not exists (select from unnest(unchanged) u (id) where u.id = r.id)
       and exists (select from matrice.projects p where p.id = r.project_id)
     group by r.project_id;
  end if;
  if tg_op <> 'DELETE' then
    projects := array(
      select distinct a.project_id from added a where not exists (select from unnest(unchanged) u (id) where u.id = a.id));
    perform matrice_private.add_segment(g.project_id, tg_argv[0], w.analysis, w.text_count, w.texts, w.first_words, w.blocks)
       from (
         select n.project_id, array_agg(n.id) as ids, array_agg(n.fts) as vectors
           from (
             select a.id, a.project_id, a.fts, row_number() over by_project / 4096 as rows,
                    sum(pg_column_size(a.fts)) over by_project / 4194304 as bytes
               from added a
              where not exists (select from unnest(unchanged) u (id) where u.id = a.id)
             window by_project as (partition by a.project_id rows unbounded preceding)
           ) n
          group by n.project_id, n.rows, n.bytes
       ) g
      cross join lateral matrice._index_words(g.ids, g.vectors) w;
  end if;
  perform matrice_private.merge_words(p.id) from unnest(projects) p (id);
  return null;
end
$$;
comment on function matrice_private.index_words is
  'Adds the texts that a statement stored to the word index, and notes those that it deleted. Its argument says whether they are '
  'chunks or insights. SECURITY DEFINER: no client may write the index.';

create or replace function matrice_private.forget_all_words() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.forget_segments(tg_argv[0]);
  return null;
end
$$;
comment on function matrice_private.forget_all_words is
  'Empties the word index of chunks or of insights, as its argument says. SECURITY DEFINER: no client may write the index.';

do $$
declare
  indexed record;
begin
  for indexed in select * from (values ('source_chunks', 'chunk'), ('insights', 'insight')) as listed (tab, kind) loop
    execute format($triggers$
      create or replace trigger index_added after insert on matrice.%1$I referencing new table as added
      for each statement execute function matrice_private.index_words(%2$L);
      create or replace trigger index_changed after update on matrice.%1$I referencing old table as removed new table as added
      for each statement execute function matrice_private.index_words(%2$L);
      create or replace trigger index_removed after delete on matrice.%1$I referencing old table as removed
      for each statement execute function matrice_private.index_words(%2$L);
      create or replace trigger forget_all_words after truncate on matrice.%1$I
      for each statement execute function matrice_private.forget_all_words(%2$L);
    $triggers$, indexed.tab, indexed.kind);
  end loop;
end
$$;

-- Deferred to the end of the transaction. Before that, deleting the chunks may wait for somebody who changes one of them, and who
-- then adds to the index.
do $$
begin
  if not exists (select from pg_trigger t where t.tgrelid = 'matrice.projects'::regclass and t.tgname = 'forget_words') then
    create constraint trigger forget_words after delete on matrice.projects deferrable initially deferred
    for each row execute function matrice_private.forget_rows('word_blocks', 'word_segments', 'word_deletions');
  end if;
end
$$;

create or replace function matrice_private.rebuild_word_index(project_id uuid default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_hashagg = off
as $$
declare
  project uuid;
begin
  -- Texts that are stored meanwhile would be in the index twice, or not at all.
  lock table matrice.source_chunks, matrice.insights in share row exclusive mode;
  perform matrice_private.forget_segments(kind, rebuild_word_index.project_id) from unnest(array['chunk', 'insight']) kind;
  for project in
    select p.id from matrice.projects p where rebuild_word_index.project_id is null or p.id = rebuild_word_index.project_id
  loop
    perform matrice_private.add_segment(project, g.kind, w.analysis, w.text_count, w.texts, w.first_words, w.blocks)
       from (
         select n.kind, array_agg(n.id) as ids, array_agg(n.fts) as vectors
           from (
             select t.kind, t.id, t.fts, row_number() over of_kind / 4096 as rows,
                    sum(pg_column_size(t.fts)) over of_kind / 4194304 as bytes
               from (
                 select 'chunk' as kind, c.id, c.fts from matrice.source_chunks c where c.project_id = project
                 union all
                 select 'insight', i.id, i.fts from matrice.insights i where i.project_id = project
               ) t
             window of_kind as (partition by t.kind rows unbounded preceding)
           ) n
          group by n.kind, n.rows, n.bytes
       ) g
      cross join lateral matrice._index_words(g.ids, g.vectors) w;
    perform matrice_private.merge_words(project);
  end loop;
end
$$;
comment on function matrice_private.rebuild_word_index is
  'Builds the word index of a project again; without project_id, of all projects. For the owner of the tables, after '
  'loading rows without triggers: data-only restores and replication.';

-- A project's language changes at once for new texts. Its old chunks are found as before, in the language in which they were
-- analysed, until reindex_text has analysed them again.

create or replace function matrice_private.outdated_chunks(project_id uuid, most integer) returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._live_texts(
    array(select s.texts from matrice_private.word_segments s
           where s.project_id = outdated_chunks.project_id and s.kind = 'chunk'
             and s.analysis <> matrice._analysis(matrice_private.text_language(outdated_chunks.project_id))),
    array(select d.texts from matrice_private.word_deletions d
           where d.project_id = outdated_chunks.project_id and d.kind = 'chunk'), most);
end
$$;
comment on function matrice_private.outdated_chunks is
  'Returns chunks of a project that were analysed in another language, or by another version of the analyser, than new ones are. '
  'SECURITY DEFINER: the word index is read as the owner of the tables. The function does not check membership of the project. '
  'So only services, which see all rows, and outdated_of_member may execute it.';

create or replace function matrice_private.outdated_of_member(project_id uuid, most integer) returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if project_id <> all (matrice_private.project_ids('editor')) then
    return '{}'::uuid[];
  end if;
  return matrice_private.outdated_chunks(project_id, most);
end
$$;
comment on function matrice_private.outdated_of_member is
  'Calls outdated_chunks if the caller may edit the project. SECURITY DEFINER: the word index is read as the owner of the '
  'tables.';

create or replace function matrice_private.reindex_some(project_id uuid, most integer) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
-- The planner does not know how few chunks there are to look up.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  outdated uuid[];
  analysis text := matrice_private.analysis(matrice_private.text_language(project_id));
  changed  bigint;
  changed_insights bigint;
begin
  if row_security_active('matrice.source_chunks') then
    outdated := matrice_private.outdated_of_member(project_id, most);
  else
    outdated := matrice_private.outdated_chunks(project_id, most);
  end if;
  -- Locks sources before chunks, in the order of their ids, as every function does.
  perform from matrice.context_sources s
    where s.id in (select c.source_id from unnest(outdated) as o (id) join matrice.source_chunks c on c.id = o.id)
    order by s.id for no key update;
  update matrice.source_chunks c set fts = null where c.id = any (outdated);
  get diagnostics changed = row_count;
  with due as materialized (
    select i.id from matrice.insights i
     where i.project_id = reindex_some.project_id and (tsvector_to_array(i.fts))[1] <> ' ' || analysis
     order by i.id limit most - changed
       for no key update
  )
  update matrice.insights i set fts = null from due where i.id = due.id;
  get diagnostics changed_insights = row_count;
  return changed + changed_insights;
end
$$;
comment on function matrice_private.reindex_some is
  'Analyses chunks and insights of a project again, at most most of them, if they were analysed otherwise than new ones are.';

create or replace function matrice.reindex_text(project_id uuid, batch_size integer default 1000) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('batch_size', batch_size);
  if batch_size not between 1 and 100000 then
    raise exception 'batch_size must be between 1 and 100000, not %', batch_size
      using errcode = '22023', hint = 'Choose so many that a call takes less than the timeout of your API.';
  end if;
  perform matrice_private.require_role(project_id, 'editor');
  return matrice_private.reindex_some(project_id, batch_size);
end
$$;
comment on function matrice.reindex_text is
  'Analyses the words of a project again after its language has changed, or after an upgrade of the analyser. Returns how many '
  'chunks and insights it has analysed. Call it again until it returns 0: then all are done. Searches find everything '
  'meanwhile. A change of the language analyses the first 1,000 by itself. batch_size: how many to analyse at most, 1 to '
  '100000. Defaults: batch_size 1000.';

create or replace function matrice_private.reindex_project_text() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.reindex_some(new.id, 1000);
  return null;
end
$$;
comment on function matrice_private.reindex_project_text is
  'Begins to analyse the words of a project again when its language changes. reindex_text does the rest.';

create or replace trigger reindex_project_text after update of settings on matrice.projects
for each row when ((old.settings -> 'language') is distinct from (new.settings -> 'language'))
execute function matrice_private.reindex_project_text();
