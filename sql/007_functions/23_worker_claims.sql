-- The batch that a worker gets: within its limits, with the texts to embed.

create or replace function matrice_private.fill_batch(
  model text, in_project uuid, most integer, most_tokens integer, batch_tokens integer, lease_seconds integer, lease_id uuid,
  out offered uuid[], out rows_at tid[], out claimed integer, out seen boolean, out is_busy boolean
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
  rows_at := array[]::tid[];
  claimed := 0;
  seen := false;
  is_busy := false;
  -- Projects where the model was never claimed come last: finding them takes longer.
  for are_listed in reverse 1 .. 0 loop
    exit when in_project is not null and are_listed = 0;
    projects := case when in_project is not null then array[in_project]
                     else matrice_private.projects_to_claim(model, are_listed = 1) end;
    foreach project in array projects loop
      got := matrice_private.insights_for_batch(
        project, model, most - claimed, most_tokens, coalesce(batch_tokens, 2147483647) / 8, lease_seconds, lease_id, room,
        token_room, offered);
      room := got.room;
      token_room := got.token_room;
      rows_at := rows_at || array_fill(null::tid, array[cardinality(got.offered) - cardinality(offered)]);
      offered := got.offered;
      claimed := claimed + got.claimed;
      seen := seen or got.seen;
      is_busy := is_busy or got.is_busy;
      if got.is_full then
        return;
      end if;
      foreach are_free in array '{true,false}'::boolean[] loop
        select * into got
          from matrice_private.lease_of_project(
                 project, model, are_free, most - claimed, most_tokens, coalesce(batch_tokens, 2147483647) / 8, lease_seconds,
                 lease_id, room, token_room, offered, rows_at);
        room := got.room;
        token_room := got.token_room;
        offered := got.offered;
        rows_at := got.rows_at;
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
  'Leases claimable insights and chunks for a model, of one project or of all. offered: those that it tried to lease. rows_at: '
  'where the rows of the chunks among them are, null for an insight. claimed: how many it leased. seen: whether it locked any. '
  'is_busy: whether insights wait that others have locked.';

create or replace function matrice_private.batch_of(offered uuid[], rows_at tid[], of_model text, of_lease uuid)
returns table (
  chunk_id uuid, project_id uuid, content text, token_count integer, attempt integer, lease_id uuid, model text,
  source_id uuid, source_name text, headings text[], embedding_text text, embedding_tokens integer, request_model text,
  header text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with chunks as (
      select t.place, t.id, t.project_id, t.content, t.token_count, t.attempt, t.source_id, t.source_name,
             matrice_private.headings_of(t.metadata) as headings, coalesce(t.embedding_text, t.content) as embedding_text,
             case when t.embedding_text is null then t.token_count
                  else matrice.count_tokens(t.embedding_text) end as embedding_tokens,
             matrice_private.header_of(t.metadata) as header
        from (
          select given.place, c.id, c.project_id, c.content, c.token_count, c.metadata, l.attempt, s.id as source_id,
                 s.name as source_name,
                 case when p.settings ->> 'embedding_template' is not null then matrice_private.embedding_text(
                   p.settings ->> 'embedding_template', s.name, c.metadata, c.content) end as embedding_text
            from unnest(offered, rows_at) with ordinality as given (id, row_at, place)
           cross join lateral (select l.* from matrice.embedding_leases l where l.chunk_id = given.id offset 0) l
           cross join lateral (select c.* from matrice.source_chunks c where c.ctid = given.row_at offset 0) c
           cross join lateral (select s.id, s.name from matrice.context_sources s where s.id = c.source_id offset 0) s
           cross join lateral (select p.settings from matrice.projects p where p.id = c.project_id offset 0) p
           where l.model = of_model and l.lease_id = of_lease
          offset 0
        ) t
    ), insights as (
      select l.place, i.id, i.project_id, t.content, t.tokens, l.attempt, null::uuid, null, '{}'::text[], t.content, t.tokens,
             null
        from matrice_private.claimed_insights(offered, of_model, of_lease) l
       cross join lateral (select i.* from matrice.insights i where i.id = l.insight_id offset 0) i
       cross join lateral (select matrice_private.insight_text(i.title, i.content) as content) c
       cross join lateral (select c.content, matrice.count_tokens(c.content) as tokens offset 0) t
    )
    select b.id, b.project_id, b.content, b.token_count, b.attempt, of_lease, of_model, b.source_id, b.source_name, b.headings,
           b.embedding_text, b.embedding_tokens,
           coalesce((select m.truncated_from from matrice.embedding_models m where m.model = of_model), of_model), b.header
      from (select * from chunks union all select * from insights) b
     order by b.place;
end
$$;
comment on function matrice_private.batch_of is
  'Returns the chunks and insights of a lease, as claim_chunks does. offered, rows_at: of fill_batch. The rows are locked, so '
  'they are still there.';

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
  source_id uuid, source_name text, headings text[], embedding_text text, embedding_tokens integer, request_model text,
  header text
)
language plpgsql
set search_path = pg_catalog, pg_temp
-- A session keeps its plans, and makes each once. A plan that was made for few chunks would read whole tables, even when there
-- are many chunks.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  models      text[] := matrice_private.models_to_claim(in_model, in_project);
  most_tokens integer := least(batch_tokens, input_tokens, 2147483647);
  chosen      text;
  lease       uuid := gen_random_uuid();
  got         record;
  seen        boolean;
  is_busy     boolean;
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
      is_busy := false;
      select 0 as claimed into got;
      foreach chosen in array models loop
        got := matrice_private.fill_batch(chosen, in_project, batch_size, most_tokens, batch_tokens, lease_seconds, lease);
        seen := seen or got.seen;
        is_busy := is_busy or got.is_busy;
        exit when got.claimed > 0;
      end loop;
      if got.claimed = 0 and seen then
        raise exception using errcode = 'MT001', message = 'nothing was claimed';
      end if;
    exception when sqlstate 'MT001' then
      -- Releases the locked chunks, which others have taken.
    end;
    if got.claimed > 0 then
      return query
        select * from matrice_private.batch_of(got.offered, got.rows_at, chosen, lease) b where b.embedding_tokens <= most_tokens;
      get diagnostics fitting = row_count;
      exit when fitting = got.claimed;
      perform matrice_private.give_back(
        array(select b.chunk_id from matrice_private.batch_of(got.offered, got.rows_at, chosen, lease) b
               where b.embedding_tokens > most_tokens),
        chosen, format('The text has more than the %s tokens that the model takes.', most_tokens), lease, true);
      exit when fitting > 0;
      -- All of them were too long, or dead letters now. There may be others.
      continue;
    end if;
    exit when clock_timestamp() > began + interval '5 seconds' or not is_busy and not exists (
      select from unnest(models) as m (model)
       where matrice_private.has_claimable(
               case when in_project is not null then array[in_project]
                    else matrice_private.projects_to_claim(m.model, true) || matrice_private.projects_to_claim(m.model, false) end,
               m.model));
    -- Transactions that have not ended have locked the remaining chunks. They may take, change or release them.
    perform pg_sleep(pause);
    pause := least(pause * 2, 0.5);
  end loop;
  perform matrice_private.flip_whole(in_project);
  -- Last, because it locks sources, and a claim may pause.
  perform matrice_private.add_up_due();
end
$$;
comment on function matrice_private.lease_chunks is
  'Does the work of claim_chunks. claim_chunks has arguments and result columns of the same names, which PL/pgSQL does not '
  'allow.';

create or replace function matrice_private.require_claim(
  batch_size integer, lease_seconds integer, max_batch_tokens integer, max_inputs integer, max_input_tokens integer
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('batch_size', batch_size);
  perform matrice_private.require_given('lease_seconds', lease_seconds);
  perform matrice_private.require_limit('batch_size', batch_size, 1, 10000);
  perform matrice_private.require_limit('lease_seconds', lease_seconds, 1, 86400);
  perform matrice_private.require_limit('max_batch_tokens', max_batch_tokens, 1, 1000000000);
  perform matrice_private.require_limit('max_inputs', max_inputs, 1, 10000);
  perform matrice_private.require_limit('max_input_tokens', max_input_tokens, 1, 1000000000);
end
$$;
comment on function matrice_private.require_claim is 'Raises unless the numbers of a claim are within their bounds.';

create or replace function matrice.claim_chunks(
  model text default null, batch_size integer default 64, lease_seconds integer default 300, project_id uuid default null,
  max_batch_tokens integer default null, max_inputs integer default null, max_input_tokens integer default null
) returns table (
  chunk_id uuid, project_id uuid, content text, token_count integer, attempt integer, lease_id uuid, model text,
  source_id uuid, source_name text, headings text[], embedding_text text, embedding_tokens integer, request_model text,
  header text
)
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  -- Each call reads this body again, so it is short.
  select matrice_private.require_claim(batch_size, lease_seconds, max_batch_tokens, max_inputs, max_input_tokens);
  select l.chunk_id, l.project_id, l.content, l.token_count, l.attempt, l.lease_id, l.model, l.source_id, l.source_name,
         l.headings, l.embedding_text, l.embedding_tokens, l.request_model, l.header
    from matrice_private.lease_chunks(
           model, coalesce(max_inputs, batch_size), lease_seconds, project_id, max_batch_tokens, max_input_tokens) l;
end;
comment on function matrice.claim_chunks is
  'Gives a worker chunks and insights to embed. Nobody else gets them until the lease ends. Returns the insights of a project, '
  'then its chunks, oldest sources first. All are of one model. Of an insight, chunk_id is the id, source_id is null, and the '
  'text is its title and its content. embedding_text: the text to embed, by the setting embedding_template of the project; '
  'without it, the content. embedding_tokens: its tokens in the default encoding. request_model: the model to ask for vectors, '
  'which is the whole one if model is a truncated one. header: of the table in which the chunk begins. attempt: how often this '
  'text has been claimed. lease_id: for store_embeddings and fail_chunks. Returns nothing if no chunk is claimable, or if '
  'other transactions kept all claimable chunks locked for five seconds. model: if null, the model of the project, and then '
  'the one that it switches to; without project_id, those of each project. batch_size: the most chunks per claim, 1 to 10000; '
  'a claim also has at most 8 MB of text. lease_seconds: 1 to 86400. project_id: if null, all projects of the caller that use '
  'the model or switch to it, in random order. max_batch_tokens: the most tokens of a batch. max_inputs: replaces batch_size. '
  'max_input_tokens: the most tokens of one text. A longer text fails for good, and failed_chunks lists it. Chunks whose lease '
  'ended without an answer come in batches of at most eight, and after the second time alone. After max_attempts such ends '
  'they become dead letters. Defaults: batch_size 64, lease_seconds 300.';
