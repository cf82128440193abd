-- The queue of insights: which wait for an embedding, and of which model.
--
-- insight_leases has a row for each insight and model that is to be embedded, also while a worker works on it. Chunks are listed
-- by parts, but an insight is listed by itself, because claims of single rows need no other look. So no row may be missing:
--
-- - Whoever makes an insight claimable adds a row to waiting_insights: an insert, a new text, or an end that is taken back. A row
--   is only added, never looked up first.
-- - A claim settles these rows: it replaces them by rows of insight_leases for each model that is claimed in the project. The
--   first claim of a model lists all insights of the project (list_project). Both hold an advisory lock, as for waiting_parts.
-- - store_embeddings deletes the row of an insight, in the transaction that stores its embedding.
-- - Too many rows change nothing: a claim deletes those of insights that have an embedding, or do not hold any more.
--
-- Locks are taken in this order: insights, their leases. Claims lock leases only, and skip those that others have locked.

create or replace function matrice_private.insight_text(title text, content text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select title || E'\n' || content;
end;
comment on function matrice_private.insight_text is 'Returns the text of an insight that is embedded.';

create or replace function matrice_private.list_insights() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into matrice_private.waiting_insights (project_id, insight_id)
    select a.project_id, a.id from added a where a.superseded_at is null and a.retracted_at is null;
    return null;
  end if;
  -- hold_insight_text has locked them, so no embedding of the former text is stored after this.
  delete from matrice.insight_embeddings e
   where e.insight_id in (
     select a.id from added a join removed r on r.id = a.id where (r.title, r.content) is distinct from (a.title, a.content));
  insert into matrice_private.waiting_insights (project_id, insight_id)
  select a.project_id, a.id
    from added a join removed r on r.id = a.id
   where a.superseded_at is null and a.retracted_at is null
     and ((r.title, r.content) is distinct from (a.title, a.content)
          or r.superseded_at is not null or r.retracted_at is not null);
  return null;
end
$$;
comment on function matrice_private.list_insights is
  'Lists insights that are new, that hold again, or whose text changed. The embeddings of the former text are deleted. SECURITY '
  'DEFINER: no client may write embeddings of insights, or what is waiting.';

create or replace trigger list_added after insert on matrice.insights referencing new table as added
for each statement execute function matrice_private.list_insights();
create or replace trigger list_changed after update on matrice.insights referencing old table as removed new table as added
for each statement execute function matrice_private.list_insights();

create or replace function matrice_private.hold_insight_text() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from matrice.insights i where i.id = old.id for update;
  return new;
end
$$;
comment on function matrice_private.hold_insight_text is
  'Locks an insight FOR UPDATE when its text changes, as hold_text does for chunks.';

create or replace trigger hold_insight_text before update of title, content on matrice.insights
for each row when (old.title <> new.title or old.content <> new.content) execute function matrice_private.hold_insight_text();

create or replace function matrice_private.unlist_insights() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Nobody waits. A claim deletes rows that are locked now.
  delete from matrice_private.insight_leases l
   where l.ctid = any (array(
     select held.ctid from removed r cross join lateral (
       select one.ctid from matrice_private.insight_leases one where one.insight_id = r.id for update skip locked
     ) held));
  return null;
end
$$;
comment on function matrice_private.unlist_insights is
  'Deletes the leases of deleted insights. SECURITY DEFINER: no client may write them.';

create or replace trigger unlist_removed after delete on matrice.insights referencing old table as removed
for each statement execute function matrice_private.unlist_insights();
create or replace trigger forget_insight_queue after truncate on matrice.insights
for each statement execute function matrice_private.forget_rows('waiting_insights', 'insight_leases');
create or replace trigger forget_insight_queue after delete on matrice.projects
for each row execute function matrice_private.forget_rows('waiting_insights', 'insight_leases');
create or replace trigger forget_queues after truncate on matrice.insight_embeddings
for each statement execute function matrice_private.forget_queues();
create or replace trigger check_embedding before insert or update of embedding, model on matrice.insight_embeddings
for each row execute function matrice_private.check_embedding();

create or replace function matrice_private.forget_leases_of_insights() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice_private.insight_leases l where l.model = old.model;
  return null;
end
$$;
comment on function matrice_private.forget_leases_of_insights is
  'Deletes the leases of insights for a deleted or renamed model. SECURITY DEFINER: no client may write them.';

create or replace trigger forget_leases_of_insights after delete or update of model on matrice.embedding_models
for each row execute function matrice_private.forget_leases_of_insights();

create or replace function matrice_private.list_insights_of_project(project_id uuid, model text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice_private.insight_leases (insight_id, model, project_id, leased_until)
  select i.id, list_insights_of_project.model, i.project_id, least(i.created_at, now())
    from matrice.insights i
   where i.project_id = list_insights_of_project.project_id and i.superseded_at is null and i.retracted_at is null
     and not exists (select from matrice.insight_embeddings e
                      where e.insight_id = i.id and e.model = list_insights_of_project.model)
   order by i.id
  on conflict do nothing;
end
$$;
comment on function matrice_private.list_insights_of_project is
  'Lists all insights of a project that have no embedding of a model. list_project calls it, and holds its lock.';

create or replace function matrice_private.settle_insights(project_id uuid, most integer) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  held    tid[];
  settled uuid[];
begin
  -- Usually nothing is new. Then this is the only look.
  if not exists (select from matrice_private.waiting_insights w where w.project_id = settle_insights.project_id)
     or current_setting('transaction_isolation') <> 'read committed'
     or not pg_try_advisory_xact_lock_shared(hashtext('matrice.embedding_queues'), hashtext(project_id::text)) then
    return false;
  end if;
  held := array(
    select w.ctid from matrice_private.waiting_insights w
     where w.project_id = settle_insights.project_id order by w.id limit most for update skip locked);
  -- The next statements have a new snapshot. So they see the insights as they were when the rows were locked, or newer.
  with gone as (
    delete from matrice_private.waiting_insights w where w.ctid = any (held) returning w.insight_id
  )
  select array_agg(distinct g.insight_id) into settled from gone g;
  -- Not now(), which is later than the now() of claims that have begun before.
  insert into matrice_private.insight_leases (insight_id, model, project_id, leased_until)
  select i.id, q.model, i.project_id, least(i.created_at, now())
    from unnest(settled) s (id)
   cross join lateral (select i.* from matrice.insights i where i.id = s.id offset 0) i
    join matrice_private.embedding_queues q on q.project_id = settle_insights.project_id
    join matrice.embedding_models m on m.model = q.model
   where i.project_id = settle_insights.project_id and i.superseded_at is null and i.retracted_at is null
     and not exists (
       select from (select e.model from matrice.insight_embeddings e where e.insight_id = i.id offset 0) e
        where e.model = q.model)
   order by i.id, q.model
  on conflict do nothing;
  -- The failures of a former text are forgotten. A lease that a worker holds stays: its answer is refused.
  update matrice_private.insight_leases l
     set attempt = 0, leased_until = now(), last_error = null, text_hash = null, is_failed = false, unanswered = 0
   where l.ctid = any (array(
     select one.ctid
       from unnest(settled) s (id)
       join matrice.insights i on i.id = s.id
      cross join lateral (
        select n.ctid from matrice_private.insight_leases n
         where n.insight_id = s.id and n.lease_id is null
           and n.text_hash <> sha256(convert_to(matrice_private.insight_text(i.title, i.content), 'UTF8'))
           for update skip locked) one));
  return cardinality(held) > 0;
end
$$;
comment on function matrice_private.settle_insights is
  'Turns rows of waiting_insights into leases that nobody holds yet, the oldest first, at most so many. Returns whether it found '
  'any. Skips rows that another claim is settling.';

create or replace function matrice_private.forget_model_of_insights(project_id uuid, model text, most integer) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  leases  integer;
  vectors integer;
begin
  with gone as (
    select l.ctid as place from matrice_private.insight_leases l
     where l.project_id = forget_model_of_insights.project_id and l.model = forget_model_of_insights.model
     limit most for update skip locked
  )
  delete from matrice_private.insight_leases l where l.ctid = any (array(select gone.place from gone));
  get diagnostics leases = row_count;
  with gone as (
    select e.ctid as place from matrice.insight_embeddings e
     where e.project_id = forget_model_of_insights.project_id and e.model = forget_model_of_insights.model
     limit most for update skip locked
  )
  delete from matrice.insight_embeddings e where e.ctid = any (array(select gone.place from gone));
  get diagnostics vectors = row_count;
  return greatest(leases, vectors);
end
$$;
comment on function matrice_private.forget_model_of_insights is
  'Deletes leases and vectors of the insights of a project for a model that is not listed there, at most so many of each. '
  'Returns how many. The next claim of the model lists the insights again.';
