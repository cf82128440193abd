-- The embedding queue, first half: a worker claims chunks that have no embedding yet, under a lease.
--
-- The queue is derived: a chunk without an embedding and without a live lease is claimable. 22_embedding_queue.sql says where to
-- look.
--
-- Functions and triggers take locks in this order: a project, its sources, their chunks, their leases, their embeddings; and
-- several of a kind by their ids. Every operation that writes several chunks of a source locks the source first: chunk_source, a
-- change of the source's metadata, a change of the project's language, a deletion.
--
-- Workers run at the same time and lock neither projects nor sources. A worker that waits for a chunk holds no lock on another,
-- so nobody waits for it. claim_chunks skips chunks that others have locked. store_embeddings locks all of its chunks or none,
-- in the mode of a foreign key (FOR KEY SHARE). fail_chunks skips leases that others have locked.
--
-- A client's own statement over many sources or chunks locks them in the order in which it finds them.

create or replace function matrice_private.text_hash(content text) returns bytea
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select sha256(convert_to(content, 'UTF8'));
end;
comment on function matrice_private.text_hash is
  'Returns the SHA-256 of a text. A lease keeps it, to find out whether the text has changed since the claim.';

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

-- In the queries below, OFFSET 0 makes the planner look up the embeddings and the leases of a chunk by its id. It has no
-- statistics of tables that were just filled. Then it may read all embeddings of the model for each chunk, which takes seconds.

create or replace function matrice_private.headings_of(metadata jsonb) returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array(select jsonb_array_elements_text(
    case jsonb_typeof(metadata -> 'headings') when 'array' then metadata -> 'headings' else '[]' end));
end;
comment on function matrice_private.headings_of is 'Returns the path of headings in the metadata of a chunk.';

create or replace function matrice_private.embedding_text(template text, title text, metadata jsonb, content text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  headings text := array_to_string(matrice_private.headings_of(metadata), ' › ');
  header   text := case jsonb_typeof(metadata -> 'header') when 'string' then metadata ->> 'header' else '' end;
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

create or replace function matrice_private.hold_claimable(
  source_ids uuid[], parts integer[], model text, most integer, refused uuid[], template text
) returns table (chunk_id uuid, bytes integer, tokens integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select c.id, octet_length(c.content),
           case when template is null then c.token_count
                else matrice.count_tokens(matrice_private.embedding_text(
                  template, (select s.name from matrice.context_sources s where s.id = c.source_id), c.metadata, c.content)) end
      from (
        select g.source_id, g.part, min(g.place) as place
          from unnest(source_ids, parts) with ordinality as g (source_id, part, place) group by 1, 2
      ) given
      join matrice.source_chunks c
        on c.source_id = given.source_id and c.chunk_index between given.part * 128 and given.part * 128 + 127
     where not exists (
         select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
          where e.model = hold_claimable.model)
       and not exists (
         select from (select l.model, l.leased_until from matrice.embedding_leases l where l.chunk_id = c.id offset 0) l
          where l.model = hold_claimable.model and l.leased_until > now())
       and c.id <> all (refused)
     order by given.place, c.chunk_index
     limit most
       for no key update of c skip locked;
end
$$;
comment on function matrice_private.hold_claimable is
  'Locks claimable chunks of some parts and returns them, in the order of the parts. Skips chunks that others have locked, and '
  'those of refused. most: the largest number of chunks. tokens: of the text that is embedded. template: of the project, or null '
  'if the content is embedded.';

create or replace function matrice_private.take_leases(
  chunk_ids uuid[], model text, lease_seconds integer, lease_id uuid, project_ids uuid[]
) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  caller uuid := matrice_private.current_user_id();
  taken  integer;
begin
  with ended as materialized (
    select l.chunk_id
      from unnest(take_leases.chunk_ids) as given (id)
     cross join lateral (
       select l.chunk_id from matrice.embedding_leases l
        where l.chunk_id = given.id and l.model = take_leases.model and l.leased_until <= now()
          for update skip locked
     ) l
  )
  insert into matrice.embedding_leases as l (chunk_id, model, project_id, leased_until, lease_id, leased_by, text_hash)
  select c.id, take_leases.model, c.project_id, now() + make_interval(secs => lease_seconds), take_leases.lease_id,
         -- text_hash, without the time of a call.
         caller, sha256(convert_to(c.content, 'UTF8'))
    from matrice.source_chunks c
   where c.id = any (take_leases.chunk_ids)
     and (take_leases.project_ids is null or c.project_id = any (take_leases.project_ids))
     and not exists (
       select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
        where e.model = take_leases.model)
     and (c.id in (select ended.chunk_id from ended) or not exists (
       select from (select l.model from matrice.embedding_leases l where l.chunk_id = c.id offset 0) l
        where l.model = take_leases.model
     ))
   order by c.id
  on conflict on constraint embedding_leases_pkey do update
    set leased_until = excluded.leased_until, lease_id = excluded.lease_id, leased_by = excluded.leased_by,
        text_hash = excluded.text_hash,
        -- Attempts are counted per text.
        attempt = case when l.text_hash = excluded.text_hash then least(l.attempt + 1, 1000000) else 1 end,
        last_error = case when l.text_hash = excluded.text_hash then l.last_error end
    where l.leased_until <= now();
  get diagnostics taken = row_count;
  return taken;
end
$$;
comment on function matrice_private.take_leases is
  'Leases those of the chunks that are still claimable. Returns the number of leases. project_ids: only chunks of '
  'these projects; null: of all projects. The caller has locked the chunks, so that nobody else takes them meanwhile. '
  'Checks no roles: for services and take_leases_of_member.';

create or replace function matrice_private.take_leases_of_member(
  chunk_ids uuid[], model text, lease_seconds integer, lease_id uuid
) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if lease_seconds is null or lease_seconds not between 1 and 86400 or lease_id is null then
    raise exception 'invalid lease_seconds or lease_id' using errcode = '22023', hint = 'Call claim_chunks, which makes leases.';
  end if;
  return matrice_private.take_leases(
    chunk_ids, model, lease_seconds, lease_id, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.take_leases_of_member is
  'Calls take_leases for the projects that the caller may edit. SECURITY DEFINER: no client may write leases. It '
  'makes leases for the caller only, and skips chunks that are leased.';

create or replace function matrice_private.lease_of_parts(
  source_ids uuid[], parts integer[], model text, template text, most integer, most_tokens integer, lease_seconds integer,
  lease_id uuid, inout room bigint, inout token_room bigint, inout offered uuid[],
  out claimed integer, out seen boolean, out is_full boolean
) returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  asked   integer;
  held    integer;
  fitting uuid[];
  bytes   bigint;
  tokens  bigint;
  taken   integer;
  -- Chunks whose lease has ended, but is locked by its holder.
  refused uuid[] := array[]::uuid[];
begin
  claimed := 0;
  seen := false;
  loop
    asked := most - claimed;
    -- Takes as many chunks as fit, but at least the first of a claim. A chunk that is too long for the model is taken, too, and
    -- counts no tokens: lease_chunks gives it back as failed.
    select count(*), coalesce(array_agg(h.chunk_id order by h.place) filter (where h.fits), '{}'),
           sum(h.bytes) filter (where h.fits), sum(h.tokens) filter (where h.fits)
      into held, fitting, bytes, tokens
      from (
        select h.chunk_id, h.bytes, h.tokens, h.place,
               sum(h.bytes) over by_place <= room and sum(h.tokens) over by_place <= token_room
               or h.place = 1 and cardinality(offered) = 0 as fits
          from (
            select h.chunk_id, h.bytes, case when h.tokens > most_tokens then 0 else h.tokens end as tokens, h.place
              from matrice_private.hold_claimable(source_ids, parts, model, asked, refused, template)
                   with ordinality as h (chunk_id, bytes, tokens, place)
          ) h
        window by_place as (order by h.place)
      ) h;
    seen := seen or held > 0;
    if row_security_active('matrice.embedding_leases') then
      taken := matrice_private.take_leases_of_member(fitting, model, lease_seconds, lease_id);
    else
      taken := matrice_private.take_leases(fitting, model, lease_seconds, lease_id, null);
    end if;
    if taken < cardinality(fitting) then
      select sum(octet_length(c.content)) filter (where l.is_ours),
             refused || coalesce(array_agg(given.id) filter (where l.is_ours is not true), '{}')
        into bytes, refused
        from unnest(fitting) as given (id)
       cross join lateral (select c.content from matrice.source_chunks c where c.id = given.id offset 0) c
        left join lateral (
          select l.model, l.lease_id = lease_of_parts.lease_id as is_ours
            from matrice.embedding_leases l where l.chunk_id = given.id offset 0
        ) l on l.model = lease_of_parts.model;
    end if;
    offered := offered || fitting;
    claimed := claimed + taken;
    room := room - coalesce(bytes, 0);
    -- Of chunks that others have taken meanwhile, the tokens count too: the batch is a little smaller then.
    token_room := token_room - coalesce(tokens, 0);
    is_full := claimed = most or cardinality(fitting) < held;
    -- Others may have taken some of these chunks after the statement began. If it found as many as it asked for, there may be
    -- more. It does not try a chunk twice: the holder of its ended lease may be waiting for a lease that was taken here.
    exit when is_full or held < asked;
  end loop;
end
$$;
comment on function matrice_private.lease_of_parts is
  'Leases claimable chunks of some parts. Adds to offered the chunks that it tried to lease, takes the bytes of those that '
  'it leased from room, and their tokens from token_room. most_tokens: longer texts count no tokens. claimed: how many it '
  'leased. seen: whether it locked any. is_full: whether the claim can take no more.';

create or replace function matrice_private.lease_of_project(
  project_id uuid, model text, are_free boolean, most integer, most_tokens integer, lease_seconds integer, lease_id uuid,
  inout room bigint, inout token_room bigint, inout offered uuid[], out claimed integer, out seen boolean, out is_full boolean
) returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  is_member boolean := row_security_active('matrice.embedding_leases');
  due       timestamptz[] := array['-infinity'::timestamptz];
  sources   uuid[] := array['00000000-0000-0000-0000-000000000000'::uuid];
  parts     integer[] := array[-1];
  template  text := (select p.settings ->> 'embedding_template' from matrice.projects p where p.id = lease_of_project.project_id);
  -- Sources of one chunk need many parts, large ones a single part.
  count     integer := 1;
  got       record;
begin
  claimed := 0;
  seen := false;
  is_full := false;
  loop
    if is_member then
      select array_agg(n.due), array_agg(n.source_id), array_agg(n.part) into due, sources, parts
        from matrice_private.next_parts_of_member(
               project_id, model, are_free, count,
               due[cardinality(due)], sources[cardinality(sources)], parts[cardinality(parts)]) n;
    else
      select array_agg(n.due), array_agg(n.source_id), array_agg(n.part) into due, sources, parts
        from matrice_private.next_parts(
               project_id, model, are_free, count,
               due[cardinality(due)], sources[cardinality(sources)], parts[cardinality(parts)]) n;
    end if;
    exit when sources is null;
    select * into got
      from matrice_private.lease_of_parts(
             sources, parts, model, template, most - claimed, most_tokens, lease_seconds, lease_id, room, token_room, offered);
    room := got.room;
    token_room := got.token_room;
    offered := got.offered;
    claimed := claimed + got.claimed;
    seen := seen or got.seen;
    is_full := got.is_full;
    if not is_full or count > 1 then
      if is_member then
        perform matrice_private.settle_parts_of_member(project_id, model, sources, parts);
      else
        perform matrice_private.settle_parts(project_id, model, sources, parts);
      end if;
    end if;
    exit when is_full;
    count := least(count * 4, 1000);
  end loop;
end
$$;
comment on function matrice_private.lease_of_project is
  'Leases claimable chunks of a project, those of the oldest sources first. are_free: as in next_parts. Its results are those of '
  'lease_of_parts.';

create or replace function matrice_private.projects_to_claim(model text, are_listed boolean) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  waiting uuid[];
begin
  if row_security_active('matrice.projects') then
    waiting := matrice_private.waiting_projects_of_member(model, are_listed);
  else
    waiting := matrice_private.waiting_projects(model, are_listed, null);
  end if;
  -- In random order, so that one project's backlog does not keep the others waiting.
  return array(
    select p.id
      from matrice.projects p
     where p.id = any (waiting)
       and coalesce(p.settings ->> 'embedding_model', (select m.model from matrice.embedding_models m where m.is_default))
           = projects_to_claim.model
     order by random());
end
$$;
comment on function matrice_private.projects_to_claim is
  'Returns the projects that use a model and may have chunks waiting for it, in random order. are_listed: as in '
  'waiting_projects.';

create or replace function matrice_private.has_claimable(project_ids uuid[], model text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  project   uuid;
  is_member boolean := row_security_active('matrice.embedding_leases');
  sources   uuid[];
  parts     integer[];
begin
  foreach project in array project_ids loop
    if is_member then
      select array_agg(n.source_id), array_agg(n.part) into sources, parts
        from matrice_private.next_parts_of_member(project, model, false, 2147483647) n;
    else
      select array_agg(n.source_id), array_agg(n.part) into sources, parts
        from matrice_private.next_parts(project, model, false, 2147483647) n;
    end if;
    if exists (
      select from unnest(sources, parts) as given (source_id, part)
        join matrice.source_chunks c
          on c.source_id = given.source_id and c.chunk_index between given.part * 128 and given.part * 128 + 127
       where not exists (
           select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
            where e.model = has_claimable.model)
         and not exists (
           select from (select l.model, l.leased_until from matrice.embedding_leases l where l.chunk_id = c.id offset 0) l
            where l.model = has_claimable.model and l.leased_until > now())
    ) then
      return true;
    end if;
  end loop;
  return false;
end
$$;
comment on function matrice_private.has_claimable is
  'Returns whether any of the projects has a claimable chunk, locked or not.';

create or replace function matrice_private.models_to_claim(model text, in_project uuid) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if model is null and in_project is null then
    return array(select m.model from matrice.embedding_models m order by random());
  end if;
  return array[matrice_private.embedding_model(model, in_project)];
end
$$;
comment on function matrice_private.models_to_claim is
  'Returns the models that a claim serves, in random order: the given one, else that of the project, else all.';

create or replace function matrice_private.fill_batch(
  model text, in_project uuid, most integer, most_tokens integer, batch_tokens integer, lease_seconds integer, lease_id uuid,
  out offered uuid[], out claimed integer, out seen boolean
) returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  projects   uuid[];
  project    uuid;
  are_free   boolean;
  room       bigint := 8000000;
  token_room bigint := coalesce(batch_tokens, 2147483647);
  got        record;
begin
  offered := '{}';
  claimed := 0;
  seen := false;
  -- Projects where the model was never claimed come last: finding them takes longer.
  for are_listed in reverse 1 .. 0 loop
    exit when in_project is not null and are_listed = 0;
    projects := case when in_project is not null then array[in_project]
                     else matrice_private.projects_to_claim(model, are_listed = 1) end;
    foreach project in array projects loop
      foreach are_free in array '{true,false}'::boolean[] loop
        select * into got
          from matrice_private.lease_of_project(
                 project, model, are_free, most - claimed, most_tokens, lease_seconds, lease_id, room, token_room, offered);
        room := got.room;
        token_room := got.token_room;
        offered := got.offered;
        claimed := claimed + got.claimed;
        seen := seen or got.seen;
        if got.is_full then
          return;
        end if;
      end loop;
    end loop;
  end loop;
end
$$;
comment on function matrice_private.fill_batch is
  'Leases claimable chunks for a model, of one project or of all. offered: the chunks that it tried to lease. claimed: how many '
  'it leased. seen: whether it locked any.';

create or replace function matrice_private.batch_of(offered uuid[], of_model text, of_lease uuid)
returns table (
  chunk_id uuid, project_id uuid, content text, token_count integer, attempt integer, lease_id uuid, model text,
  source_id uuid, source_name text, headings text[], embedding_text text, embedding_tokens integer
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select c.id, c.project_id, c.content, c.token_count, l.attempt, l.lease_id, l.model, s.id, s.name,
           matrice_private.headings_of(c.metadata), coalesce(e.embedding_text, c.content),
           case when e.embedding_text is null then c.token_count else matrice.count_tokens(e.embedding_text) end
      from unnest(offered) with ordinality as given (id, place)
     cross join lateral (select l.* from matrice.embedding_leases l where l.chunk_id = given.id offset 0) l
     cross join lateral (select c.* from matrice.source_chunks c where c.id = given.id offset 0) c
     cross join lateral (select s.id, s.name from matrice.context_sources s where s.id = c.source_id offset 0) s
     cross join lateral (select p.settings from matrice.projects p where p.id = c.project_id offset 0) p
     cross join lateral (
       select case when p.settings ->> 'embedding_template' is not null then matrice_private.embedding_text(
         p.settings ->> 'embedding_template', s.name, c.metadata, c.content) end as embedding_text offset 0) e
     where l.model = of_model and l.lease_id = of_lease
     order by given.place;
end
$$;
comment on function matrice_private.batch_of is 'Returns the chunks of a lease, as claim_chunks does.';

create or replace function matrice_private.require_limit(argument text, given integer, least_value integer, most integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not given between least_value and most then
    raise exception '% must be between % and %, not %', argument, least_value, most, given
      using errcode = '22023', hint = 'Claim what one call of the embedding model takes.';
  end if;
end
$$;
comment on function matrice_private.require_limit is 'Raises unless a number is within its bounds, or null.';

create or replace function matrice_private.lease_chunks(
  in_model text, batch_size integer, lease_seconds integer, in_project uuid, batch_tokens integer, input_tokens integer
) returns table (
  chunk_id uuid, project_id uuid, content text, token_count integer, attempt integer, lease_id uuid, model text,
  source_id uuid, source_name text, headings text[], embedding_text text, embedding_tokens integer
)
language plpgsql
set search_path = pg_catalog, pg_temp
-- A session keeps its plans. A plan that was made for few chunks would read whole tables, even when there are many chunks.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  models      text[] := matrice_private.models_to_claim(in_model, in_project);
  most_tokens integer := least(batch_tokens, input_tokens, 2147483647);
  chosen      text;
  lease       uuid := gen_random_uuid();
  got         record;
  seen        boolean;
  fitting     integer;
  began       timestamptz := clock_timestamp();
  pause       double precision := 0.005;
begin
  if in_project is not null then
    perform matrice_private.require_role(in_project, 'editor');
  end if;
  loop
    begin
      seen := false;
      select 0 as claimed into got;
      foreach chosen in array models loop
        got := matrice_private.fill_batch(chosen, in_project, batch_size, most_tokens, batch_tokens, lease_seconds, lease);
        seen := seen or got.seen;
        exit when got.claimed > 0;
      end loop;
      if got.claimed = 0 and seen then
        raise exception using errcode = 'MT001', message = 'nothing was claimed';
      end if;
    exception when sqlstate 'MT001' then
      -- Releases the locked chunks, which others have taken.
    end;
    if got.claimed > 0 then
      return query select * from matrice_private.batch_of(got.offered, chosen, lease) b where b.embedding_tokens <= most_tokens;
      get diagnostics fitting = row_count;
      exit when fitting = got.claimed;
      perform matrice_private.give_back(
        array(select b.chunk_id from matrice_private.batch_of(got.offered, chosen, lease) b where b.embedding_tokens > most_tokens),
        chosen, format('The text has more than the %s tokens that the model takes.', most_tokens), lease, true);
      exit when fitting > 0;
      -- All of them were too long. There may be others.
      continue;
    end if;
    exit when clock_timestamp() > began + interval '5 seconds' or not exists (
      select from unnest(models) as m (model)
       where matrice_private.has_claimable(
               case when in_project is not null then array[in_project]
                    else matrice_private.projects_to_claim(m.model, true) || matrice_private.projects_to_claim(m.model, false) end,
               m.model));
    -- Transactions that have not ended have locked the remaining chunks. They may take, change or release them.
    perform pg_sleep(pause);
    pause := least(pause * 2, 0.5);
  end loop;
end
$$;
comment on function matrice_private.lease_chunks is
  'Does the work of claim_chunks. claim_chunks has arguments and result columns of the same names, which PL/pgSQL does not '
  'allow.';

create or replace function matrice_private.require_chunks(chunk_ids uuid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  project uuid;
begin
  if array_ndims(chunk_ids) > 1 then
    raise exception 'chunk_ids must be a plain list'
      using errcode = '22023', detail = format('It has %s dimensions.', array_ndims(chunk_ids)),
            hint = 'Pass the chunk_id values that claim_chunks returned.';
  end if;
  if chunk_ids is null or array_position(chunk_ids, null) is not null then
    raise exception 'chunk_ids must not be null and must not contain null'
      using errcode = '22004', hint = 'Pass the chunk_id values that claim_chunks returned.';
  end if;
  if cardinality(chunk_ids) > 0 and not exists (select from matrice.source_chunks c where c.id = any (chunk_ids)) then
    raise exception 'chunks not found'
      using errcode = 'PT404',
            detail = format('You can see none of the %s chunks.', cardinality(chunk_ids)),
            hint = 'Their source may have been cut again since you claimed them. Claim again.';
  end if;
  for project in select distinct c.project_id from matrice.source_chunks c where c.id = any (chunk_ids) loop
    perform matrice_private.require_role(project, 'editor');
  end loop;
end
$$;
comment on function matrice_private.require_chunks is
  'Raises unless the caller is an editor of the chunks'' projects. Ignores chunks that no longer exist, but raises if '
  'none exists.';

create or replace function matrice.claim_chunks(
  model text default null, batch_size integer default 64, lease_seconds integer default 300, project_id uuid default null,
  max_batch_tokens integer default null, max_inputs integer default null, max_input_tokens integer default null
) returns table (
  chunk_id uuid, project_id uuid, content text, token_count integer, attempt integer, lease_id uuid, model text,
  source_id uuid, source_name text, headings text[], embedding_text text, embedding_tokens integer
)
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select matrice_private.require_given('batch_size', batch_size), matrice_private.require_given('lease_seconds', lease_seconds),
         matrice_private.require_limit('batch_size', batch_size, 1, 10000),
         matrice_private.require_limit('lease_seconds', lease_seconds, 1, 86400),
         matrice_private.require_limit('max_batch_tokens', max_batch_tokens, 1, 1000000000),
         matrice_private.require_limit('max_inputs', max_inputs, 1, 10000),
         matrice_private.require_limit('max_input_tokens', max_input_tokens, 1, 1000000000);
  select l.chunk_id, l.project_id, l.content, l.token_count, l.attempt, l.lease_id, l.model, l.source_id, l.source_name,
         l.headings, l.embedding_text, l.embedding_tokens
    from matrice_private.lease_chunks(
           model, coalesce(max_inputs, batch_size), lease_seconds, project_id, max_batch_tokens, max_input_tokens) l;
end;
comment on function matrice.claim_chunks is
  'Gives a worker chunks to embed. Nobody else gets them until the lease ends. Returns the chunks, oldest sources first. All '
  'are of one model. embedding_text: the text to embed, by the setting embedding_template of the project; without it, the '
  'content. embedding_tokens: its tokens in the default encoding. attempt: how often this text has been claimed. lease_id: '
  'for store_embeddings and fail_chunks. Returns nothing if no chunk is claimable, or if other transactions kept all '
  'claimable chunks locked for five seconds. model: if null, the model of the project; without project_id, each project''s '
  'own model. batch_size: the most chunks per claim, 1 to 10000; a claim also has at most 8 MB of text. lease_seconds: 1 to '
  '86400. project_id: if null, all projects of the caller that use the model, in random order. max_batch_tokens: the most '
  'tokens of a batch. max_inputs: replaces batch_size. max_input_tokens: the most tokens of one text. A longer text fails '
  'for good, and failed_chunks lists it. Defaults: batch_size 64, lease_seconds 300.';
