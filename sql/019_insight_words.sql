-- Words of insights, for search_insights: an index of them, and how many insights and words a project has.
--
-- BM25 needs the number of the texts and their mean length. Whoever stores or deletes insights adds one small row, so that
-- writers do not wait for each other. Now and then one of them adds these rows up. A search sees those of its snapshot.

-- Without fastupdate, because after many new insights every call would read the whole list of pending entries.
create index idx_insights_fts on matrice.insights using gin (fts) with (fastupdate = off);

create table matrice_private.insight_totals (
  project_id uuid   not null,
  id         bigint not null generated always as identity,
  analysis   text   not null,
  insights   bigint not null,
  words      bigint not null,
  constraint insight_totals_pkey primary key (project_id, id)
);
comment on table matrice_private.insight_totals is
  'How many insights a project has, and how many words these have together: the sum of the rows. Each row is what a statement '
  'added, or took away.';
comment on column matrice_private.insight_totals.project_id is 'The project.';
comment on column matrice_private.insight_totals.id is 'Distinguishes the rows of a project.';
comment on column matrice_private.insight_totals.analysis is
  'How the insights were analysed: the language and the version of the analyser.';
comment on column matrice_private.insight_totals.insights is 'Insights; below 0: taken away.';
comment on column matrice_private.insight_totals.words is 'Their words together, as BM25 counts them.';

alter table matrice_private.insight_totals enable row level security;
select matrice_private.revoke_from_everybody('table', 'matrice_private.insight_totals');
select matrice_private.revoke_from_everybody('sequence', 'matrice_private.insight_totals_id_seq');
create policy "nobody reads them" on matrice_private.insight_totals for select to authenticated using (false);
