-- Segments of the word index: how they are added and merged.

create or replace function matrice_private.add_segment(
  project_id uuid, kind text, analysis text, text_count integer, texts bytea, first_words text[], blocks bytea[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  added uuid;
begin
  if text_count = 0 then
    return;
  end if;
  insert into matrice_private.word_segments as s (project_id, kind, analysis, text_count, texts)
  values (add_segment.project_id, add_segment.kind, add_segment.analysis, add_segment.text_count, add_segment.texts)
  returning s.id into added;
  insert into matrice_private.word_blocks (project_id, segment, first_word, words)
  select add_segment.project_id, added, b.first_word, b.words from unnest(first_words, blocks) as b (first_word, words);
end
$$;
comment on function matrice_private.add_segment is 'Stores a segment that the engine has built, unless it has no texts.';

create or replace function matrice_private.forget_segments(kind text, project_id uuid default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A writer of texts of the other kind may be merging these: it must not bring them back.
  lock table matrice_private.word_segments in share row exclusive mode;
  with forgotten as (
    delete from matrice_private.word_segments s
     where s.kind = forget_segments.kind and (forget_segments.project_id is null or s.project_id = forget_segments.project_id)
    returning s.project_id, s.id
  )
  delete from matrice_private.word_blocks b using forgotten f where b.project_id = f.project_id and b.segment = f.id;
  delete from matrice_private.word_deletions d
   where d.kind = forget_segments.kind and (forget_segments.project_id is null or d.project_id = forget_segments.project_id);
end
$$;
comment on function matrice_private.forget_segments is
  'Deletes the segments of chunks or of insights, and the list of those that were deleted; without project_id, of all projects.';

create or replace function matrice_private.merge_some(project_id uuid, segments uuid[]) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  held   uuid[];
  stored record;
  gone   bytea[];
  merged record;
begin
  -- Nobody waits: another writer may merge the same segments.
  held := array(
    select s.id from matrice_private.word_segments s
     where s.project_id = merge_some.project_id and s.id = any (segments)
     order by s.id for update skip locked);
  if cardinality(held) < cardinality(segments) then
    return false;
  end if;
  select min(s.kind) as kind, min(s.analysis) as analysis, array_agg(s.texts order by s.id) as texts into stored
    from matrice_private.word_segments s where s.project_id = merge_some.project_id and s.id = any (held);
  with taken as (
    delete from matrice_private.word_deletions d
     where d.project_id = merge_some.project_id and d.id in (
       select one.id from matrice_private.word_deletions one
        where one.project_id = merge_some.project_id and one.kind = stored.kind for update skip locked)
    returning d.texts
  )
  select coalesce(array_agg(t.texts), '{}') into gone from taken t;
  select m.* into merged
    from (
      select coalesce(array_agg(array_position(held, b.segment)), '{}') as segments, coalesce(array_agg(b.words), '{}') as blocks
        from matrice_private.word_blocks b where b.project_id = merge_some.project_id and b.segment = any (held)
    ) b
   cross join lateral matrice._merge_words(stored.texts, b.segments, b.blocks, gone) m;
  delete from matrice_private.word_blocks b where b.project_id = merge_some.project_id and b.segment = any (held);
  delete from matrice_private.word_segments s where s.project_id = merge_some.project_id and s.id = any (held);
  perform matrice_private.add_segment(
    project_id, stored.kind, stored.analysis, merged.text_count, merged.texts, merged.first_words, merged.blocks);
  insert into matrice_private.word_deletions (project_id, kind, texts)
  select merge_some.project_id, stored.kind, merged.deletions where merged.deletions <> '';
  return true;
end
$$;
comment on function matrice_private.merge_some is
  'Merges segments of a project, all of chunks or all of insights, to one, and removes their deleted texts. Returns whether it '
  'did: it does nothing if another transaction has locked one of them.';

create or replace function matrice_private.time_to_merge(project_id uuid, segment uuid, total numeric) returns interval
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return (
    select 2e-4 * total * count(b.segment) / s.text_count * interval '1 second'
      from matrice_private.word_segments s
      left join matrice_private.word_blocks b on b.project_id = s.project_id and b.segment = s.id
     where s.project_id = time_to_merge.project_id and s.id = time_to_merge.segment
     group by s.text_count);
end
$$;
comment on function matrice_private.time_to_merge is
  'Returns how long it takes on a usual machine to merge segments with a total of so many texts, by the number of blocks of one '
  'of them: a text may have a word or thousands.';

create or replace function matrice_private.merge_small(project_id uuid, most integer) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  size   record;
  chosen uuid[];
begin
  for size in
    select s.kind, s.analysis, floor(log(8, s.text_count)) as class, 8 * avg(s.text_count) as texts, (array_agg(s.id))[1] as one
      from matrice_private.word_segments s
     where s.project_id = merge_small.project_id and s.text_count <= most / 8
     group by 1, 2, 3
    having count(*) >= 8
  loop
    continue when not matrice_private.has_time(matrice_private.time_to_merge(project_id, size.one, size.texts));
    -- Other writers may be merging some of them.
    chosen := array(
      select s.id from matrice_private.word_segments s
       where s.project_id = merge_small.project_id and s.text_count <= most / 8
         and s.kind = size.kind and s.analysis = size.analysis and floor(log(8, s.text_count)) = size.class
       order by s.built_at
       limit 8 for update skip locked);
    if cardinality(chosen) = 8 and matrice_private.merge_some(project_id, chosen) then
      return true;
    end if;
  end loop;
  return false;
end
$$;
comment on function matrice_private.merge_small is
  'Merges eight segments of about one size to one, if a project has eight, and the time to merge them. Returns whether it did. '
  'most: the most texts of the new segment.';

create or replace function matrice_private.merge_words(project_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- A merge of this many ordinary chunks takes about a second.
  most constant integer := 50000;
  worn   text;
  chosen record;
begin
  -- At other isolation levels, a row that another transaction has merged meanwhile is an error.
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  -- Eight segments become one, so a text is rewritten once for each eightfold growth of its project.
  while matrice_private.merge_small(project_id, most) loop
  end loop;
  -- When a fifth of the chunks or insights are deleted ones, merge the oldest segments. Each search reads the list of deletions.
  for worn in
    select d.kind
      from matrice_private.word_deletions d
     where d.project_id = merge_words.project_id
     group by d.kind
    having sum(octet_length(d.texts)) / 24 > greatest(64, (
             select sum(s.text_count) / 5 from matrice_private.word_segments s
              where s.project_id = merge_words.project_id and s.kind = d.kind))
  loop
    select array_agg(s.id order by s.text_count desc) as ids, sum(s.text_count) as texts into chosen
      from (
        select s.id, s.analysis, s.built_at, s.text_count,
               sum(s.text_count) over (partition by s.analysis order by s.built_at, s.id) - s.text_count as before
          from matrice_private.word_segments s where s.project_id = merge_words.project_id and s.kind = worn
      ) s
     where s.before < most
     group by s.analysis
     order by min(s.built_at)
     limit 1;
    if chosen.ids is not null
       and matrice_private.has_time(matrice_private.time_to_merge(project_id, chosen.ids[1], chosen.texts)) then
      perform matrice_private.merge_some(project_id, chosen.ids);
    end if;
  end loop;
end
$$;
comment on function matrice_private.merge_words is
  'Merges segments of a project if it has many small ones, or many deleted texts, and as far as there is time.';
