-- Who holds leases of chunks, and how they end. 24_embedding_results.sql calls these functions.

create or replace function matrice_private.own_leases(chunk_ids uuid[], model text, lease_id uuid, project_ids uuid[])
returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
  ours   uuid[];
begin
  perform from (select g.id from unnest(own_leases.chunk_ids) as g (id) order by g.id) given
    cross join lateral (
      select from matrice.embedding_leases l
       where l.chunk_id = given.id and l.model = own_leases.model
         and (own_leases.project_ids is null or l.project_id = any (own_leases.project_ids))
         for update
    ) l;
  with lease as materialized (
    select c.id, c.content, l.text_hash, l.lease_id is not null and l.leased_until > now() as live,
           coalesce(case when own_leases.lease_id is null then l.lease_id is not null and l.leased_by is not distinct from caller
                         else l.lease_id = own_leases.lease_id
                              and (own_leases.project_ids is null or l.leased_by is not distinct from caller) end, false) as own
      from matrice.source_chunks c
      left join lateral (
        select l.* from matrice.embedding_leases l where l.chunk_id = c.id offset 0
      ) l on l.model = own_leases.model
     where c.id = any (own_leases.chunk_ids)
       and (own_leases.project_ids is null or c.project_id = any (own_leases.project_ids))
  ), judged as materialized (
    select id, own,
           -- If the caller leases a chunk, it must still have the text that was claimed. If nobody leases it, every editor may
           -- store its embedding; but not with a lease_id, because that lease has ended.
           case when own then text_hash = sha256(convert_to(content, 'UTF8'))
                else own_leases.lease_id is null and not live end as may
      from lease
  ), freed as (
    -- The lease runs out but stays. Without it, the old text's embedding would be accepted if it came a second time.
    update matrice.embedding_leases l
       set leased_until = now()
      from judged j
     where l.chunk_id = j.id and l.model = own_leases.model and j.own and not j.may and l.leased_until > now()
  )
  select coalesce(array_agg(id), '{}') into ours from judged where may;
  return ours;
end
$$;
comment on function matrice_private.own_leases is
  'Locks the leases of chunks, which the caller has locked. Returns the chunks whose embeddings the caller may store: the '
  'chunks that it leases and whose text has not changed; and, if lease_id is null, the chunks that nobody leases. Ends the '
  'caller''s leases of chunks whose text has changed. lease_id: only this lease; null: every lease that the caller holds. '
  'project_ids: only in these projects; null: in all projects. Checks no roles: for services and own_leases_of_member.';

create or replace function matrice_private.own_leases_of_member(chunk_ids uuid[], model text, lease_id uuid) returns uuid[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.own_leases(chunk_ids, model, lease_id, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.own_leases_of_member is
  'Calls own_leases for the projects that the caller may edit. SECURITY DEFINER: no client may write leases. It ends the '
  'caller''s own leases only.';

create or replace function matrice_private.end_leases(chunk_ids uuid[], model text, project_ids uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  done record;
begin
  delete from matrice.embedding_leases l
   where (l.chunk_id, l.model) in (select g.id, end_leases.model from unnest(end_leases.chunk_ids) as g (id))
     and (end_leases.project_ids is null or l.project_id = any (end_leases.project_ids))
     and exists (
       select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = l.chunk_id offset 0) e
        where e.model = end_leases.model
          and e.template_hash is not distinct from coalesce((
            select matrice_private.wanted_template(p.settings, p.reembed_template) from matrice.projects p
             where p.id = l.project_id), e.template_hash));
  -- The last chunks of a part are embedded last.
  for done in
    select p.project_id, array_agg(p.source_id) as source_ids, array_agg(p.part) as parts
      from (
        select distinct c.project_id, c.source_id, c.chunk_index / 128 as part
          from matrice.source_chunks c
         where c.id = any (end_leases.chunk_ids)
           and (end_leases.project_ids is null or c.project_id = any (end_leases.project_ids))
      ) p
     where not exists (
       select from (
         select c.id from matrice.source_chunks c
          where c.source_id = p.source_id and c.chunk_index between p.part * 128 and p.part * 128 + 127
          order by c.chunk_index desc
         offset 0
       ) c
        where not exists (
          select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
           where e.model = end_leases.model
             and e.template_hash is not distinct from coalesce((
               select matrice_private.wanted_template(j.settings, j.reembed_template) from matrice.projects j
                where j.id = p.project_id), e.template_hash)))
     group by p.project_id
  loop
    perform matrice_private.settle_parts(done.project_id, model, done.source_ids, done.parts);
  end loop;
end
$$;
comment on function matrice_private.end_leases is
  'Ends the leases of chunks that have an embedding, whoever holds them, and settles parts that are done. project_ids: only '
  'in these projects; null: in all projects. SECURITY DEFINER: no client may write waiting_parts. Checks no roles: for '
  'services and end_leases_of_member.';

create or replace function matrice_private.end_leases_of_member(chunk_ids uuid[], model text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.end_leases(chunk_ids, model, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.end_leases_of_member is
  'Calls end_leases for the projects that the caller may edit. SECURITY DEFINER: no client may write leases. A chunk with an '
  'embedding needs no lease.';

create or replace function matrice_private.claimable_after(attempt integer, for_good boolean) returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- The first failure is usually a passing one.
  select case when for_good then '2199-12-31 00:00Z' when attempt = 1 then now()
              else now() + least(interval '1 hour', interval '10 seconds' * 4 ^ least(attempt - 2, 10)) end;
end;
comment on function matrice_private.claimable_after is
  'Returns when a text that failed can be claimed again: at once after the first attempt, 10 seconds after the second, and after '
  'each further one four times as long, up to an hour. A text that failed for good is leased to nobody, for ever.';

create or replace function matrice_private.return_leases(
  chunk_ids uuid[], model text, error text, lease_id uuid, is_permanent boolean, project_ids uuid[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
begin
  with own as materialized (
    select l.chunk_id
      from matrice.embedding_leases l
     where l.chunk_id = any (return_leases.chunk_ids) and l.model = return_leases.model
       and (return_leases.project_ids is null or l.project_id = any (return_leases.project_ids))
       and case when return_leases.lease_id is null then l.lease_id is not null and l.leased_by is not distinct from caller
                else l.lease_id = return_leases.lease_id
                     and (return_leases.project_ids is null or l.leased_by is not distinct from caller) end
       for update skip locked
  )
  update matrice.embedding_leases l
     set last_error = left(return_leases.error, 2000), lease_id = null, leased_by = null, is_failed = fails.for_good,
         leased_until = matrice_private.claimable_after(l.attempt, fails.for_good)
    from own
   cross join lateral (
     select o.attempt >= coalesce((p.settings ->> 'max_attempts')::numeric, 8) or is_permanent as for_good
       from matrice.embedding_leases o
       join matrice.projects p on p.id = o.project_id
      where o.chunk_id = own.chunk_id and o.model = return_leases.model offset 0
   ) fails
   where l.chunk_id = own.chunk_id and l.model = return_leases.model;
end
$$;
comment on function matrice_private.return_leases is
  'Gives the caller''s leases of chunks back, with an error. Skips leases that others have locked. lease_id: only this '
  'lease; null: every lease that the caller holds. project_ids: only in these projects; null: in all projects. Checks '
  'no roles: for services and return_leases_of_member.';

create or replace function matrice_private.return_leases_of_member(
  chunk_ids uuid[], model text, error text, lease_id uuid, is_permanent boolean
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.return_leases(chunk_ids, model, error, lease_id, is_permanent, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.return_leases_of_member is
  'Calls return_leases for the projects that the caller may edit. SECURITY DEFINER: no client may write leases. It '
  'gives back the caller''s own leases only.';

create or replace function matrice_private.give_back(
  chunk_ids uuid[], model text, error text, lease_id uuid, is_permanent boolean
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  others uuid[] := matrice_private.not_chunks(chunk_ids);
begin
  if row_security_active('matrice.embedding_leases') then
    perform matrice_private.return_leases_of_member(chunk_ids, model, error, lease_id, is_permanent);
    perform matrice_private.return_insights_of_member(others, model, error, lease_id, is_permanent) where others <> '{}';
  else
    perform matrice_private.return_leases(chunk_ids, model, error, lease_id, is_permanent, null);
    perform matrice_private.return_insights(others, model, error, lease_id, is_permanent, null) where others <> '{}';
  end if;
end
$$;
comment on function matrice_private.give_back is
  'Gives leases of chunks and insights back: calls return_leases and return_insights for services, and those of members for '
  'members.';
