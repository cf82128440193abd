-- How a claim finds chunks: in the waiting parts of a project, and among the projects of the caller.

create or replace function matrice_private.lease_of_parts(
  source_ids uuid[], parts integer[], model text, template text, most integer, most_tokens integer, eighth integer,
  lease_seconds integer, lease_id uuid, inout room bigint, inout token_room bigint, inout offered uuid[],
  inout rows_at tid[], out claimed integer, out seen boolean, out is_full boolean, out passed integer
) returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  asked   integer;
  held    integer;
  fitting uuid[];
  fit_at  tid[];
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
    -- counts no tokens: lease_chunks gives it back as failed. A text may have stopped its worker. After one lease without an
    -- answer, it takes the room of an eighth of a batch; after more, that of a whole one. So no other text is there when it
    -- happens again.
    select count(*), coalesce(array_agg(h.chunk_id order by h.place) filter (where h.fits), '{}'),
           coalesce(array_agg(h.row_at order by h.place) filter (where h.fits), '{}'),
           sum(h.bytes) filter (where h.fits), sum(h.tokens) filter (where h.fits),
           max(h.part_place) - 1 + bool_or(h.ends_part and h.place = asked)::integer
      into held, fitting, fit_at, bytes, tokens, passed
      from (
        select h.chunk_id, h.bytes, h.tokens, h.place, h.part_place, h.ends_part, h.row_at,
               sum(h.bytes) over by_place <= room and sum(h.tokens) over by_place <= token_room
               or h.place = 1 and cardinality(offered) = 0 as fits
          from (
            select h.chunk_id, h.bytes, h.place, h.part_place, h.ends_part, h.row_at,
                   case when h.tokens > most_tokens then 0
                        when h.unanswered >= 2 then 2147483647
                        when h.unanswered = 1 then greatest(h.tokens, eighth)
                        else h.tokens end as tokens
              from matrice_private.hold_claimable(source_ids, parts, model, asked, refused, template)
                   with ordinality as h (chunk_id, bytes, tokens, unanswered, part_place, ends_part, row_at, place)
          ) h
        window by_place as (order by h.place)
      ) h;
    seen := seen or held > 0;
    if held < asked then
      passed := cardinality(parts);
    end if;
    if row_security_active('matrice.embedding_leases') then
      taken := matrice_private.take_leases_of_member(fit_at, model, lease_seconds, lease_id);
    else
      taken := matrice_private.take_leases(fit_at, model, lease_seconds, lease_id, null);
    end if;
    if taken < cardinality(fitting) then
      select sum(octet_length(c.content)) filter (where l.is_ours),
             refused || coalesce(array_agg(given.id) filter (where l.is_ours is not true), '{}')
        into bytes, refused
        from unnest(fitting, fit_at) as given (id, row_at)
        left join lateral (select c.content from matrice.source_chunks c where c.ctid = given.row_at offset 0) c on true
        left join lateral (
          select l.model, l.lease_id = lease_of_parts.lease_id as is_ours
            from matrice.embedding_leases l where l.chunk_id = given.id offset 0
        ) l on l.model = lease_of_parts.model;
    end if;
    offered := offered || fitting;
    rows_at := rows_at || fit_at;
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
  'Leases claimable chunks of some parts. Adds to offered the chunks that it tried to lease, and to rows_at where their '
  'rows are. Takes the bytes of those that it '
  'leased from room, and their tokens from token_room. most_tokens: longer texts count no tokens. eighth: of the tokens of a '
  'batch. claimed: how many it leased. seen: whether it locked any. is_full: whether the claim can take no more. passed: '
  'how many of the parts, from the first on, it has looked through.';

create or replace function matrice_private.lease_of_project(
  project_id uuid, model text, are_free boolean, most integer, most_tokens integer, eighth integer, lease_seconds integer,
  lease_id uuid,
  inout room bigint, inout token_room bigint, inout offered uuid[], inout rows_at tid[], out claimed integer, out seen boolean,
  out is_full boolean
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
             sources, parts, model, template, most - claimed, most_tokens, eighth, lease_seconds, lease_id, room, token_room,
             offered, rows_at);
    room := got.room;
    token_room := got.token_room;
    offered := got.offered;
    rows_at := got.rows_at;
    claimed := claimed + got.claimed;
    seen := seen or got.seen;
    is_full := got.is_full;
    if got.passed > 0 then
      if is_member then
        perform matrice_private.settle_parts_of_member(project_id, model, sources[:got.passed], parts[:got.passed]);
      else
        perform matrice_private.settle_parts(project_id, model, sources[:got.passed], parts[:got.passed]);
      end if;
    end if;
    exit when is_full;
    count := least(count * 4, 1000);
  end loop;
end
$$;
comment on function matrice_private.lease_of_project is
  'Leases claimable chunks of a project, those of the oldest sources first. are_free: as in next_parts. Its results are those '
  'of lease_of_parts.';

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
       and projects_to_claim.model in (
         coalesce(p.settings ->> 'embedding_model', (select m.model from matrice.embedding_models m where m.is_default)),
         p.settings ->> 'next_embedding_model')
     order by random());
end
$$;
comment on function matrice_private.projects_to_claim is
  'Returns the projects that use a model, or switch to it, and may have chunks waiting for it, in random order. are_listed: '
  'as in waiting_projects.';

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
      -- As in hold_claimable. OFFSET 0 keeps the multiplication out of the join.
      select from (select g.source_id, g.part * 128 as first_index, g.part * 128 + 127 as last_index
                     from unnest(sources, parts) as g (source_id, part) offset 0) given
        join matrice.source_chunks c
          on c.source_id = given.source_id and c.chunk_index between given.first_index and given.last_index
       where not exists (
           select from (select e.model, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = c.id offset 0) e
            where e.model = has_claimable.model
              and e.template_hash is not distinct from coalesce((
                select matrice_private.wanted_template(p.settings, p.reembed_template) from matrice.projects p
                 where p.id = c.project_id), e.template_hash))
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
    -- A model that no project uses would cost a look at all projects.
    return array(
      select m.model from matrice.embedding_models m
       where m.is_default or m.model in (
         select unnest(array[p.settings ->> 'embedding_model', p.settings ->> 'next_embedding_model']) from matrice.projects p)
       order by random());
  end if;
  return array[matrice_private.embedding_model(model, in_project)] || array(
    select m.model
      from matrice.projects p join matrice.embedding_models m on m.model = p.settings ->> 'next_embedding_model'
     where models_to_claim.model is null and p.id = in_project);
end
$$;
comment on function matrice_private.models_to_claim is
  'Returns the models that a claim serves: the given one; else that of the project, and then the one that it switches to; '
  'without a project those that some project uses or switches to, in random order.';
