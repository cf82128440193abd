-- Embeddings of insights, and the queue of insights that wait for one.

create table matrice.insight_embeddings (
  insight_id uuid        not null,
  project_id uuid        not null,
  model      text        not null,
  embedding  vector      not null,
  created_at timestamptz not null default now(),
  constraint insight_embeddings_pkey primary key (insight_id, model),
  constraint insight_embeddings_insight_fkey foreign key (project_id, insight_id)
    references matrice.insights (project_id, id) on delete cascade,
  constraint insight_embeddings_model_fkey foreign key (model) references matrice.embedding_models (model),
  constraint insight_embeddings_model_length check (octet_length(model) <= 200),
  constraint insight_embeddings_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
-- As in chunk_embeddings: vectors stay in the row if they fit.
alter table matrice.insight_embeddings alter column embedding set storage main;
create index idx_insight_embeddings_insight on matrice.insight_embeddings (project_id, insight_id);
create index idx_insight_embeddings_vector on matrice.insight_embeddings (project_id, model);
create index idx_insight_embeddings_model on matrice.insight_embeddings (model);

comment on table matrice.insight_embeddings is
  'Embeddings of insights, one per insight and model. Only store_embeddings and import_project write them. A new title or '
  'content deletes them, and the insight is embedded again.';
comment on column matrice.insight_embeddings.insight_id is 'The insight.';
comment on column matrice.insight_embeddings.project_id is 'The project.';
comment on column matrice.insight_embeddings.model is 'The embedding model.';
comment on column matrice.insight_embeddings.embedding is 'The vector, with the dimensions that its model declares.';
comment on column matrice.insight_embeddings.created_at is 'When the embedding was stored.';
comment on index matrice.idx_insight_embeddings_vector is 'Searches of insights by vector use it.';

-- Members read. Nobody writes directly: then no embedding is of another text than the insight has.
select matrice_private.revoke_from_everybody('table', 'matrice.insight_embeddings');
grant select on matrice.insight_embeddings to authenticated, service_role;
alter table matrice.insight_embeddings enable row level security;
create policy "viewers read" on matrice.insight_embeddings for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));

-- The queue ----------------------------------------------------------------------------------------------------------

-- sql/007_functions/22_insight_queue.sql describes who writes these tables.
create table matrice_private.waiting_insights (
  project_id uuid   not null,
  id         bigint not null generated always as identity,
  insight_id uuid   not null,
  constraint waiting_insights_pkey primary key (project_id, id)
);
comment on table matrice_private.waiting_insights is
  'Insights that are new, or whose text changed, or that hold again. Writers only add rows, so they do not wait for each other. '
  'A claim turns the rows into rows of insight_leases, one for each model that is claimed in the project.';
comment on column matrice_private.waiting_insights.project_id is 'The project.';
comment on column matrice_private.waiting_insights.id is 'Distinguishes the rows of a project. The lowest is the oldest.';
comment on column matrice_private.waiting_insights.insight_id is 'The insight.';

-- No foreign key to insights: a claim that adds rows would wait for somebody who changes the text, and he for the claim.
create table matrice_private.insight_leases (
  insight_id   uuid        not null,
  model        text        not null,
  project_id   uuid        not null,
  attempt      integer     not null default 0,
  leased_until timestamptz not null default now(),
  last_error   text,
  lease_id     uuid,
  leased_by    uuid,
  text_hash    bytea,
  is_failed    boolean     not null default false,
  unanswered   integer     not null default 0,
  constraint insight_leases_pkey primary key (insight_id, model),
  constraint insight_leases_attempt_check check (attempt between 0 and 1000000),
  constraint insight_leases_unanswered_check check (unanswered between 0 and 1000000)
);
-- The order in which claim_chunks hands insights out.
create index idx_insight_leases_order on matrice_private.insight_leases (project_id, model, leased_until, insight_id);
create index idx_insight_leases_failed on matrice_private.insight_leases (project_id) where is_failed;

comment on table matrice_private.insight_leases is
  'Insights that wait for an embedding, that a worker has claimed, or that failed for good. An insight with an embedding has no '
  'row. The columns mean the same as those of embedding_leases.';
comment on column matrice_private.insight_leases.insight_id is 'The insight.';
comment on column matrice_private.insight_leases.model is 'The embedding model.';
comment on column matrice_private.insight_leases.project_id is 'The project.';
comment on column matrice_private.insight_leases.attempt is 'How many times this text has been claimed. 0: never.';
comment on column matrice_private.insight_leases.leased_until is 'Until this time, nobody can claim the insight.';
comment on column matrice_private.insight_leases.last_error is 'The last error, or that the worker did not answer.';
comment on column matrice_private.insight_leases.lease_id is
  'The call of claim_chunks that made the lease. Null: nobody has claimed the insight.';
comment on column matrice_private.insight_leases.leased_by is 'The user who claimed the insight; null for a service.';
comment on column matrice_private.insight_leases.text_hash is
  'SHA-256 of the text that the worker got. An embedding is stored only if the insight still has this text.';
comment on column matrice_private.insight_leases.is_failed is
  'Whether the insight is not claimed any more, because it failed for good.';
comment on column matrice_private.insight_leases.unanswered is
  'How many former leases of this text have ended without an answer of the worker.';

select matrice_private.revoke_from_everybody('table', name)
  from unnest(array['matrice_private.waiting_insights', 'matrice_private.insight_leases']) name;
select matrice_private.revoke_from_everybody('sequence', 'matrice_private.waiting_insights_id_seq');
alter table matrice_private.waiting_insights enable row level security;
alter table matrice_private.insight_leases enable row level security;
create policy "nobody reads them" on matrice_private.waiting_insights for select to authenticated using (false);
create policy "nobody reads them" on matrice_private.insight_leases for select to authenticated using (false);

-- Their arguments or results changed, or nothing calls them any more.
drop function if exists matrice.search_insights, matrice_private.fill_batch, matrice_private.has_other_policies(),
  matrice_private.may_hide_insights(), matrice_private.pack_insights(text, uuid, integer, integer, text);
