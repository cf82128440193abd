-- The words of insights are in the word index, beside those of chunks. Each segment has either.

alter table matrice_private.word_segments
  add column kind text not null default 'chunk',
  add constraint word_segments_kind_chunk_insight check (kind in ('chunk', 'insight')),
  drop constraint word_segments_pkey,
  add constraint word_segments_pkey primary key (project_id, kind, id);
alter table matrice_private.word_deletions
  add column kind text not null default 'chunk',
  add constraint word_deletions_kind_chunk_insight check (kind in ('chunk', 'insight')),
  drop constraint word_deletions_pkey,
  add constraint word_deletions_pkey primary key (project_id, kind, id);
alter table matrice_private.word_segments alter column kind drop default;
alter table matrice_private.word_deletions alter column kind drop default;
comment on column matrice_private.word_segments.kind is 'Whether the texts are chunks or insights.';
comment on column matrice_private.word_deletions.kind is 'Whether the texts were chunks or insights.';

-- Before, insights had an index of their own. The statements do nothing in a new database.
drop trigger if exists count_words_added on matrice.insights;
drop trigger if exists count_words_changed on matrice.insights;
drop trigger if exists count_words_removed on matrice.insights;
drop trigger if exists forget_insight_totals on matrice.insights;
drop trigger if exists forget_insight_totals on matrice.projects;
drop table if exists matrice_private.insight_totals;
drop index if exists matrice.idx_insights_fts;
with built as (
  select i.project_id, gen_random_uuid() as id, w.*
    from (
      -- In parts, as matrice_private.index_words adds them.
      select n.project_id, array_agg(n.id) as ids, array_agg(n.fts) as vectors
        from (
          select o.project_id, o.id, o.fts, row_number() over by_project / 4096 as rows,
                 sum(pg_column_size(o.fts)) over by_project / 4194304 as bytes
            from matrice.insights o
           where o.fts is not null
          window by_project as (partition by o.project_id rows unbounded preceding)
        ) n
       group by n.project_id, n.rows, n.bytes
    ) i
   cross join lateral matrice._index_words(i.ids, i.vectors) w
),

added as (
  insert into matrice_private.word_segments (project_id, kind, id, analysis, text_count, texts)
  select b.project_id, 'insight', b.id, b.analysis, b.text_count, b.texts from built b
)

insert into matrice_private.word_blocks (project_id, segment, first_word, words)
select b.project_id, b.id, w.first_word, w.words
  from built b cross join lateral unnest(b.first_words, b.blocks) as w (first_word, words);

-- known_at -----------------------------------------------------------------------------------------------------------

-- The order of its pages.
create index idx_insights_recorded on matrice.insights (project_id, recorded_at, id);

-- Their arguments or results changed, or nothing calls them any more.
drop function if exists matrice_private.add_segment, matrice_private.matching_chunks, matrice_private.matching_of_member,
  matrice_private.matching_texts, matrice_private.ranked_insights, matrice_private.matching_insights,
  matrice_private.matching_insights_of_member, matrice_private.any_word, matrice_private.texts_without_ids,
  matrice_private.words_in, matrice_private.add_insight_totals, matrice_private.count_insight_words,
  matrice_private.note_insight_words, matrice_private.count_insights_again, matrice_private.insights_as_of, matrice.known_at,
  matrice_private.fused_insights;
