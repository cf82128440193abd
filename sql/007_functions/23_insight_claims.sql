-- How a claim finds insights. They come before the chunks of their project: they are few, and what was learned last is what the
-- next question is about. What they leave of a batch is filled with chunks, so a new insight now and then does not make batches
-- small. Which project comes first is decided by chance, as for chunks.

create or replace function matrice_private.hold_claimable_insights(project_id uuid, model text, most integer)
returns table (insight_id uuid, content text, text_hash bytea, unanswered integer)
language plpgsql
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  held uuid[];
  done uuid[];
begin
  loop
    held := array(
      select l.insight_id from matrice_private.insight_leases l
       where l.project_id = hold_claimable_insights.project_id and l.model = hold_claimable_insights.model
         and l.leased_until <= now()
       order by l.leased_until, l.insight_id
       limit most for update skip locked);
    done := array(
      select h.id from unnest(held) h (id)
       where not exists (select from (select i.* from matrice.insights i where i.id = h.id offset 0) i
                          where i.superseded_at is null and i.retracted_at is null)
          or exists (select from (select e.model from matrice.insight_embeddings e where e.insight_id = h.id offset 0) e
                      where e.model = hold_claimable_insights.model));
    exit when done = '{}';
    delete from matrice_private.insight_leases l
     where l.insight_id = any (done) and l.model = hold_claimable_insights.model;
    exit when cardinality(held) < most;
  end loop;
  return query
    select h.id, t.content, t.hash,
           case when l.text_hash = t.hash then l.unanswered + (l.lease_id is not null)::integer else 0 end
      from unnest(held) with ordinality as h (id, place)
      join matrice_private.insight_leases l on l.insight_id = h.id and l.model = hold_claimable_insights.model
     cross join lateral (
       select c.content, sha256(convert_to(c.content, 'UTF8')) as hash
         from (select matrice_private.insight_text(i.title, i.content) as content
                 from matrice.insights i where i.id = h.id offset 0) c
       offset 0) t
     where h.id <> all (done)
     order by h.place;
end
$$;
comment on function matrice_private.hold_claimable_insights is
  'Locks leases of insights that can be claimed, and returns the texts, those that wait longest first. Skips leases that '
  'others have locked. Deletes those of insights that have an embedding or do not hold any more. unanswered: how many leases '
  'of the text have ended without an answer.';

create or replace function matrice_private.has_waiting_insights(project_id uuid, model text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
begin
  return exists (
      select from matrice_private.insight_leases l
       where l.project_id = has_waiting_insights.project_id and l.model = has_waiting_insights.model and l.leased_until <= now())
    -- With an older snapshot, no claim settles them.
    or current_setting('transaction_isolation') = 'read committed'
       and exists (select from matrice_private.waiting_insights w where w.project_id = has_waiting_insights.project_id);
end
$$;
comment on function matrice_private.has_waiting_insights is
  'Returns whether insights of a project can be claimed for a model, or might be, locked or not.';

create or replace function matrice_private.lease_insights(
  project_id uuid, model text, most integer, most_tokens integer, eighth integer, lease_seconds integer, lease_id uuid,
  inout room bigint, inout token_room bigint, inout offered uuid[], out claimed integer, out seen boolean, out is_full boolean,
  out is_busy boolean
) returns record
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  got record;
begin
  if not matrice_private.is_listed(project_id, model) then
    perform matrice_private.list_project(project_id, model);
  -- Usually no insight waits, and the claim goes on with the chunks.
  elsif not matrice_private.has_waiting_insights(project_id, model) then
    return;
  end if;
  -- No more than this claim can take: others do not see them before it commits.
  while matrice_private.settle_insights(project_id, most) loop
    -- Usually once. Insights that have ended already make no leases.
    exit when exists (
      select from matrice_private.insight_leases l
       where l.project_id = lease_insights.project_id and l.model = lease_insights.model and l.leased_until <= now());
  end loop;
  -- As in lease_of_parts: takes as many as fit, but at least the first of a claim. A text that is too long for the model counts
  -- no tokens. One whose worker did not answer takes the room of an eighth of a batch, then that of a whole one.
  select count(*) > 0 as seen, coalesce(array_agg(h.insight_id order by h.place) filter (where h.fits), '{}') as ids,
         coalesce(array_agg(h.text_hash order by h.place) filter (where h.fits), '{}') as hashes,
         coalesce(sum(h.bytes) filter (where h.fits), 0) as bytes, coalesce(sum(h.tokens) filter (where h.fits), 0) as tokens,
         bool_or(not h.fits) as is_full
    into got
    from (
      select w.*, sum(w.bytes) over by_place <= room and sum(w.tokens) over by_place <= token_room
                  or w.place = 1 and cardinality(offered) = 0 as fits
        from (
          select h.insight_id, h.text_hash, h.place, octet_length(h.content) as bytes,
                 case when c.tokens > most_tokens then 0
                      when h.unanswered >= 2 then 2147483647
                      when h.unanswered = 1 then greatest(c.tokens, eighth)
                      else c.tokens end as tokens
            from matrice_private.hold_claimable_insights(project_id, model, most)
                 with ordinality as h (insight_id, content, text_hash, unanswered, place)
           cross join lateral (select matrice.count_tokens(h.content) as tokens offset 0) c
        ) w
      window by_place as (order by w.place)
    ) h;
  perform matrice_private.take_insight_leases(got.ids, got.hashes, model, lease_seconds, lease_id);
  claimed := cardinality(got.ids);
  seen := got.seen;
  is_full := coalesce(got.is_full, false) or claimed = most;
  offered := offered || got.ids;
  room := room - got.bytes;
  token_room := token_room - got.tokens;
  -- Others have locked what is due, or are listing it.
  is_busy := claimed = 0 and (
    matrice_private.has_waiting_insights(project_id, model)
    or not matrice_private.is_listed(project_id, model)
       and exists (select from matrice.insights i
                    where i.project_id = lease_insights.project_id and i.superseded_at is null and i.retracted_at is null
                      and not exists (select from matrice.insight_embeddings e
                                       where e.insight_id = i.id and e.model = lease_insights.model)));
end
$$;
comment on function matrice_private.lease_insights is
  'Leases claimable insights of a project, those that wait longest first. Its results are those of lease_of_parts. is_busy: '
  'whether it leased none though some wait, because others work on them. SECURITY DEFINER: no client may read or write leases of '
  'insights. Checks no roles: for services and lease_insights_of_member.';

create or replace function matrice_private.take_insight_leases(
  insight_ids uuid[], text_hashes bytea[], model text, lease_seconds integer, lease_id uuid
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
begin
  update matrice_private.insight_leases l
     set (leased_until, lease_id, leased_by, text_hash, attempt, last_error, unanswered, is_failed) = (
       -- As in take_leases: attempts are counted per text, and a last attempt without an answer makes a dead letter.
       select case when last.is_spent then '2199-12-31 00:00Z' else now() + make_interval(secs => lease_seconds) end,
              case when not last.is_spent then take_insight_leases.lease_id end, case when not last.is_spent then caller end,
              g.text_hash,
              case when last.is_spent then l.attempt when same.text then least(l.attempt + 1, 1000000) else 1 end,
              case when same.text and l.lease_id is not null then 'the worker did not answer before the lease ended'
                   when same.text then l.last_error end,
              case when same.text then least(l.unanswered + (l.lease_id is not null)::integer, 1000000) else 0 end,
              last.is_spent
         from (select coalesce(l.text_hash = g.text_hash, false) as text offset 0) same
        cross join lateral (
          select same.text and l.lease_id is not null
                 and matrice_private.is_last_attempt(l.project_id, l.attempt, l.unanswered) as is_spent offset 0
        ) last)
    from unnest(insight_ids, text_hashes) as g (id, text_hash)
   where l.insight_id = g.id and l.model = take_insight_leases.model;
end
$$;
comment on function matrice_private.take_insight_leases is
  'Writes the leases of insights that lease_insights has locked.';

create or replace function matrice_private.lease_insights_of_member(
  project_id uuid, model text, most integer, most_tokens integer, eighth integer, lease_seconds integer, lease_id uuid,
  inout room bigint, inout token_room bigint, inout offered uuid[], out claimed integer, out seen boolean, out is_full boolean,
  out is_busy boolean
) returns record
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if lease_seconds is null or lease_seconds not between 1 and 86400 or lease_id is null or most is null
     or most not between 1 and 10000 then
    raise exception 'invalid lease_seconds, lease_id or most'
      using errcode = '22023', hint = 'Call claim_chunks, which makes leases.';
  end if;
  if project_id = any (matrice_private.project_ids('editor')) then
    select l.room, l.token_room, l.offered, l.claimed, l.seen, l.is_full, l.is_busy
      into room, token_room, offered, claimed, seen, is_full, is_busy
      from matrice_private.lease_insights(
             project_id, model, most, most_tokens, eighth, lease_seconds, lease_id, room, token_room, offered) l;
  end if;
end
$$;
comment on function matrice_private.lease_insights_of_member is
  'Calls lease_insights if the caller may edit the project. SECURITY DEFINER: no client may write leases of insights.';

create or replace function matrice_private.insights_for_batch(
  project_id uuid, model text, most integer, most_tokens integer, eighth integer, lease_seconds integer, lease_id uuid,
  inout room bigint, inout token_room bigint, inout offered uuid[], out claimed integer, out seen boolean, out is_full boolean,
  out is_busy boolean
) returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if not row_security_active('matrice.insights') then
    select l.room, l.token_room, l.offered, l.claimed, l.seen, l.is_full, l.is_busy
      into room, token_room, offered, claimed, seen, is_full, is_busy
      from matrice_private.lease_insights(
             project_id, model, most, most_tokens, eighth, lease_seconds, lease_id, room, token_room, offered) l;
  -- Policies that somebody has added may hide insights from members. Then services embed them.
  elsif not matrice_private.has_other_policies('{matrice.insights}') then
    select l.room, l.token_room, l.offered, l.claimed, l.seen, l.is_full, l.is_busy
      into room, token_room, offered, claimed, seen, is_full, is_busy
      from matrice_private.lease_insights_of_member(
             project_id, model, most, most_tokens, eighth, lease_seconds, lease_id, room, token_room, offered) l;
  end if;
  claimed := coalesce(claimed, 0);
  seen := coalesce(seen, false);
  is_full := coalesce(is_full, false);
  is_busy := coalesce(is_busy, false);
end
$$;
comment on function matrice_private.insights_for_batch is
  'Calls lease_insights for services, and lease_insights_of_member for members.';

create or replace function matrice_private.claimed_insights(insight_ids uuid[], model text, lease_id uuid)
returns table (place bigint, insight_id uuid, attempt integer)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select given.place, l.insight_id, l.attempt
      from unnest(insight_ids) with ordinality as given (id, place)
      join matrice_private.insight_leases l on l.insight_id = given.id
     where l.model = claimed_insights.model and l.lease_id = claimed_insights.lease_id
       and l.leased_by is not distinct from matrice_private.current_user_id();
end
$$;
comment on function matrice_private.claimed_insights is
  'Returns those of the insights that are of a lease that the caller holds. place: in insight_ids. SECURITY DEFINER: no client '
  'may read leases of insights.';
