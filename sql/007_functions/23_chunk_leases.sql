-- The embedding queue, first half: a worker claims chunks that have no embedding yet, under a lease.
--
-- The queue is derived: a chunk without an embedding and without a live lease is claimable. 22_embedding_queue.sql says where to
-- look.
--
-- Functions and triggers take locks in this order: a project, its sources, their chunks, their leases, their embeddings; and
-- several of a kind by their ids. Every operation that writes several chunks of a source locks the source first: chunk_source, a
-- change of the source's metadata, a change of the project's language, a deletion.
--
-- Workers run at the same time. They lock projects and sources only when they add up counts (28_source_counts.sql): last, and
-- without waiting. A worker that waits for a chunk holds no lock on another, so nobody waits for it. claim_chunks skips chunks
-- that others have locked. store_embeddings locks all of its chunks or none, in the mode of a foreign key (FOR KEY SHARE).
-- fail_chunks skips leases that others have locked.
--
-- A client's own statement over many sources or chunks locks them in the order in which it finds them.

create or replace function matrice_private.text_hash(content text) returns bytea
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select sha256(convert_to(content, 'UTF8'));
end;
comment on function matrice_private.text_hash is
  'Returns the SHA-256 of a text. Leases and evidence keep it, to find out whether the text has changed since.';

-- A foreign key refuses another project than the chunk's. Only services insert leases themselves, and they see all chunks.
create or replace trigger a_project_from_parent before insert on matrice.embedding_leases
for each row when (new.project_id is null) execute function matrice_private.project_from_parent();
create or replace trigger a_project_of_new_parent before update of chunk_id on matrice.embedding_leases
for each row when (old.chunk_id is distinct from new.chunk_id) execute function matrice_private.project_from_parent();

create or replace function matrice_private.complete_lease() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  select matrice_private.text_hash(c.content) into new.text_hash from matrice.source_chunks c where c.id = new.chunk_id;
  return new;
end
$$;
comment on function matrice_private.complete_lease is 'Sets the text_hash of a lease from its chunk.';

create or replace trigger complete_lease before insert on matrice.embedding_leases
for each row when (new.text_hash is null) execute function matrice_private.complete_lease();

-- Instead of a foreign key: its index would be one more to write for each lease, and a plan that was made without statistics
-- might read all leases of the model by it.
create or replace function matrice_private.forget_leases() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from matrice.embedding_leases l where l.model = old.model;
  return null;
end
$$;
comment on function matrice_private.forget_leases is 'Deletes the leases of a deleted or renamed model.';

create or replace trigger forget_leases after delete or update of model on matrice.embedding_models
for each row execute function matrice_private.forget_leases();

-- In the queries of the queue, OFFSET 0 makes the planner look up the embeddings and the leases of a chunk by its id. It has no
-- statistics of tables that were just filled. Then it may read all embeddings of the model for each chunk, which takes seconds.

-- The next functions are in PL/pgSQL, because each statement that calls an SQL function reads and plans its body again.
create or replace function matrice_private.headings_of(metadata jsonb) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(metadata -> 'headings') = 'array' then
    return array(select jsonb_array_elements_text(metadata -> 'headings'));
  end if;
  return array[]::text[];
end
$$;
comment on function matrice_private.headings_of is 'Returns the path of headings in the metadata of a chunk.';

create or replace function matrice_private.header_of(metadata jsonb) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return nullif(case jsonb_typeof(metadata -> 'header') when 'string' then metadata ->> 'header' end, '');
end
$$;
comment on function matrice_private.header_of is
  'Returns the header of the table in which a chunk begins, from its metadata; null if there is none.';

create or replace function matrice_private.embedding_text(template text, title text, metadata jsonb, content text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  headings text := array_to_string(matrice_private.headings_of(metadata), ' › ');
  header   text := coalesce(matrice_private.header_of(metadata), '');
begin
  -- Without headings, their line would be empty, and so would the header's.
  if headings = '' then
    template := regexp_replace(template, '\n?[^\n{}]*\{headings\}[^\n{}]*', '');
  end if;
  if header = '' then
    template := regexp_replace(template, '^\{header\}\n|\n?[^\n{}]*\{header\}[^\n{}]*', '');
  end if;
  -- In one pass, because a title may spell a placeholder.
  return (
    select string_agg(
             case part.found[1] when '{title}' then title when '{headings}' then headings when '{header}' then header
                  when '{content}' then content else part.found[1] end, '' order by part.place)
      from regexp_matches(template, '\{title\}|\{headings\}|\{header\}|\{content\}|[^{]+|\{', 'g')
             with ordinality as part (found, place));
end
$$;
comment on function matrice_private.embedding_text is
  'Returns the text of a chunk that is embedded, by the template of its project.';

create or replace function matrice_private.template_hash(settings jsonb) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return ('x' || left(md5(coalesce(settings ->> 'embedding_template', '{content}')), 8))::bit(30)::integer;
end
$$;
comment on function matrice_private.template_hash is 'Returns a number for the template of a project, which embeddings keep.';

create or replace function matrice_private.wanted_template(settings jsonb, reembed_template integer) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when reembed_template is not null and reembed_template = matrice_private.template_hash(settings)
              then reembed_template end;
end
$$;
comment on function matrice_private.wanted_template is
  'Returns the template by which all embeddings of a project are to be made; null if those of former ones are good, too. A call '
  'of reembed holds until the template changes again. Otherwise chunks would be embedded without end.';

create or replace function matrice_private.hold_claimable(
  source_ids uuid[], parts integer[], model text, most integer, refused uuid[], template text
) returns table (
  chunk_id uuid, bytes integer, tokens integer, unanswered integer, part_place bigint, ends_part boolean, row_at tid
)
language plpgsql
set search_path = pg_catalog, pg_temp
-- Then a plan reads the chunks of a part by the index that has their order. With another one it may read the whole source, under
-- row-level security.
set enable_sort = off
as $$
#variable_conflict use_column
begin
  return query
    select found.id, found.bytes, found.tokens, found.unanswered, given.place, found.ends_part, found.ctid
      from (
        -- Multiplied here: a condition that may raise an error comes after row-level security, and uses no index.
        select g.source_id, g.part * 128 as first_index, g.part * 128 + 127 as last_index, min(g.place) as place
          from unnest(source_ids, parts) with ordinality as g (source_id, part, place) group by 1, 2, 3 order by 4
      ) given
     -- One part after the other, so that nothing is read or locked beyond the last chunk that is asked for.
     cross join lateral (
       select c.id, c.ctid, octet_length(c.content) as bytes,
              case when template is null then c.token_count
                   else matrice.count_tokens(matrice_private.embedding_text(
                     template, (select s.name from matrice.context_sources s where s.id = c.source_id), c.metadata, c.content))
              end as tokens,
              case when ended.text_hash is null or ended.text_hash <> sha256(convert_to(c.content, 'UTF8')) then 0
                   else ended.unanswered + (ended.lease_id is not null)::integer end as unanswered,
              c.chunk_index % 128 = 127 as ends_part
         from matrice.source_chunks c
         left join lateral (select l.* from matrice.embedding_leases l where l.chunk_id = c.id offset 0) ended
           on ended.model = hold_claimable.model
        where c.source_id = given.source_id and c.chunk_index between given.first_index and given.last_index
          and ended.leased_until > now() is not true
          and c.id <> all (refused)
          and not exists (
            select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
             where e.model = hold_claimable.model
               and e.template_hash is not distinct from coalesce((
                 select matrice_private.wanted_template(p.settings, p.reembed_template) from matrice.projects p
                  where p.id = c.project_id), e.template_hash))
        order by c.chunk_index
          for no key update of c skip locked
     ) found
     order by given.place
     limit most;
end
$$;
comment on function matrice_private.hold_claimable is
  'Locks claimable chunks of some parts and returns them, in the order of the parts. Skips chunks that others have locked, and '
  'those of refused. most: the largest number of chunks. tokens: of the text that is embedded. template: of the project, or null '
  'if the content is embedded. unanswered: how many leases of the text have ended without an answer. part_place: of its part in '
  'parts. ends_part: whether no chunk of the part comes after it. row_at: where its row is, until the lock ends.';

create or replace function matrice_private.is_last_attempt(project_id uuid, attempt integer, unanswered integer) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select unanswered >= 2 and attempt >= coalesce((
    select (p.settings ->> 'max_attempts')::numeric from matrice.projects p where p.id = is_last_attempt.project_id), 8);
end;
comment on function matrice_private.is_last_attempt is
  'Returns whether a text becomes a dead letter if its worker does not answer. The first two leases without an answer count as '
  'attempts, but decide nothing: the worker had other texts, too, and one of these may have stopped it.';

create or replace function matrice_private.take_leases(
  rows_at tid[], model text, lease_seconds integer, lease_id uuid, project_ids uuid[]
) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
  taken  integer;
begin
  with chunks as materialized (
    -- text_hash, without the time of a call.
    select c.id, c.project_id, sha256(convert_to(c.content, 'UTF8')) as text_hash, l.leased_until
      from matrice.source_chunks c
      left join lateral (
        select l.model, l.leased_until from matrice.embedding_leases l where l.chunk_id = c.id offset 0
      ) l on l.model = take_leases.model
     where c.ctid = any (take_leases.rows_at)
       and (take_leases.project_ids is null or c.project_id = any (take_leases.project_ids))
  ), ended as materialized (
    select l.chunk_id
      from (select c.id from chunks c where c.leased_until <= now() offset 0) c
     cross join lateral (
       select l.chunk_id from matrice.embedding_leases l
        where l.chunk_id = c.id and l.model = take_leases.model and l.leased_until <= now()
          for update skip locked
     ) l
  ), templates as materialized (
    select p.id as project_id, matrice_private.template_hash(p.settings) as template_hash
      from matrice.projects p where p.id in (select c.project_id from chunks c)
  )
  insert into matrice.embedding_leases as l (
    chunk_id, model, project_id, leased_until, lease_id, leased_by, text_hash, template_hash)
  select c.id, take_leases.model, c.project_id, now() + make_interval(secs => lease_seconds), take_leases.lease_id,
         caller, c.text_hash,
         (select t.template_hash from templates t where t.project_id = c.project_id)
    from chunks c
   where not exists (
       select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
        where e.model = take_leases.model
          and e.template_hash is not distinct from coalesce((
            select matrice_private.wanted_template(p.settings, p.reembed_template) from matrice.projects p
             where p.id = c.project_id), e.template_hash))
     and (c.leased_until is null or c.id in (select ended.chunk_id from ended))
   order by c.id
  on conflict on constraint embedding_leases_pkey do update
    set (leased_until, lease_id, leased_by, text_hash, template_hash, attempt, last_error, unanswered, is_failed) = (
      -- Attempts are counted per text.
      select case when last.is_spent then '2199-12-31 00:00Z' else excluded.leased_until end,
             case when not last.is_spent then excluded.lease_id end, case when not last.is_spent then excluded.leased_by end,
             excluded.text_hash, excluded.template_hash,
             case when last.is_spent then l.attempt when same.text then least(l.attempt + 1, 1000000) else 1 end,
             case when same.text and l.lease_id is not null then 'the worker did not answer before the lease ended'
                  when same.text then l.last_error end,
             case when same.text then least(l.unanswered + (l.lease_id is not null)::integer, 1000000) else 0 end,
             last.is_spent
        from (select l.text_hash = excluded.text_hash as text offset 0) same
       cross join lateral (
         select same.text and l.lease_id is not null
                and matrice_private.is_last_attempt(l.project_id, l.attempt, l.unanswered) as is_spent offset 0
       ) last)
    where l.leased_until <= now();
  get diagnostics taken = row_count;
  return taken;
end
$$;
comment on function matrice_private.take_leases is
  'Leases those of the chunks that are still claimable. Returns their number. Among them are texts whose last attempt ended '
  'without an answer: they become dead letters instead. rows_at: where the rows of the chunks are. project_ids: only chunks of '
  'these projects; null: of all projects. The caller has locked the chunks, so that nobody else takes them, or moves their rows, '
  'meanwhile. Checks no roles: for services and take_leases_of_member.';

create or replace function matrice_private.take_leases_of_member(
  rows_at tid[], model text, lease_seconds integer, lease_id uuid
) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if lease_seconds is null or lease_seconds not between 1 and 86400 or lease_id is null then
    raise exception 'invalid lease_seconds or lease_id' using errcode = '22023', hint = 'Call claim_chunks, which makes leases.';
  end if;
  return matrice_private.take_leases(
    rows_at, model, lease_seconds, lease_id, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.take_leases_of_member is
  'Calls take_leases for the projects that the caller may edit. SECURITY DEFINER: no client may write leases. It '
  'makes leases for the caller only, and skips chunks that are leased.';
