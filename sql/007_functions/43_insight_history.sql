-- What insights said before, and known_at: what a project knew at a time, and from where.

create or replace function matrice_private.keep_insight_version() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into matrice.insight_versions (
    project_id, insight_id, type, title, content, confidence, subject, attribute, value, volatility, valid_from, valid_until,
    superseded_by, superseded_at, is_merged, retracted_at, reason)
  select r.project_id, r.id, r.type, r.title, r.content, r.confidence, r.subject, r.attribute, r.value, r.volatility,
         r.valid_from, r.valid_until, r.superseded_by, r.superseded_at, r.is_merged, r.retracted_at, r.reason
    from removed r
    join added a on a.id = r.id
   -- superseded_at says when an insight ended. An import sets superseded_by after it.
   where (r.type, r.title, r.content, r.confidence, r.subject, r.attribute, r.value, r.volatility, r.valid_from, r.valid_until,
          r.superseded_at, r.is_merged, r.retracted_at, r.reason)
         is distinct from
         (a.type, a.title, a.content, a.confidence, a.subject, a.attribute, a.value, a.volatility, a.valid_from, a.valid_until,
          a.superseded_at, a.is_merged, a.retracted_at, a.reason)
     -- An insight can lose its successor and be deleted itself in the same statement.
     and exists (select from matrice.insights i where i.id = r.id);
  return null;
end
$$;
comment on function matrice_private.keep_insight_version is
  'Keeps what an insight said before it was changed. SECURITY DEFINER: the history is append-only, so no client may write it.';

create or replace trigger keep_insight_version after update on matrice.insights
referencing old table as removed new table as added
for each statement execute function matrice_private.keep_insight_version();

create or replace function matrice_private.insights_as_of(
  project_id uuid, at timestamptz, after_time timestamptz, after_id uuid, most integer
) returns table (
  insight_id uuid, type text, title text, content text, stated double precision, subject text, attribute text, value text,
  volatility text, valid_from timestamptz, valid_until timestamptz, recorded_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
-- The planner does not know how far a page reaches. It would sort all insights of the project for each.
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select i.id, s.type, s.title, s.content, s.confidence, s.subject, s.attribute, s.value, s.volatility, s.valid_from,
           s.valid_until, i.recorded_at
      from matrice.insights i
     cross join lateral (
       select s.*
         from (
           -- The version that was replaced first after that time was the one of that time.
           (select v.type, v.title, v.content, v.confidence, v.subject, v.attribute, v.value, v.volatility, v.valid_from,
                   v.valid_until, v.superseded_at, v.retracted_at
              from matrice.insight_versions v
             where v.project_id = insights_as_of.project_id and v.insight_id = i.id and v.replaced_at > insights_as_of.at
             order by v.replaced_at, v.id
             limit 1)
           union all
           select i.type, i.title, i.content, i.confidence, i.subject, i.attribute, i.value, i.volatility, i.valid_from,
                  i.valid_until, i.superseded_at, i.retracted_at
         ) s
        limit 1) s
     where i.project_id = insights_as_of.project_id and i.recorded_at <= insights_as_of.at
       and (i.recorded_at, i.id) > (after_time, after_id)
       -- What holds() returns. For each of many insights, its call would take longer than everything else.
       and (s.superseded_at is null or s.superseded_at > insights_as_of.at)
       and (s.retracted_at is null or s.retracted_at > insights_as_of.at)
       and (s.valid_from is null or s.valid_from <= insights_as_of.at)
       and (s.valid_until is null or s.valid_until > insights_as_of.at)
     order by i.recorded_at, i.id
     limit most;
end
$$;
comment on function matrice_private.insights_as_of is
  'Returns the insights of a project that held at a time, as they were then, in the order in which they were recorded: at most '
  'most of them, behind an insight that was recorded at after_time. An insight counts from recorded_at, which no client writes.';

create or replace function matrice_private.evidence_as_of(insight_ids uuid[], at timestamptz)
returns table (insight_id uuid, evidence jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
    select e.insight_id,
           jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
             'kind', e.kind, 'is_for', e.is_for, 'witness', e.witness, 'source_id', e.source_id, 'chunk_id', e.chunk_id,
             'start_char', e.start_char, 'end_char', e.end_char, 'text_sha256', encode(e.text_hash, 'hex'), 'run_id', e.run_id,
             'step_id', e.step_id, 'user_id', e.user_id, 'url', e.url, 'note', e.note,
             'recorded_at', to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
             'recorded_by', e.created_by,
             -- What evidence_state returns.
             'state', case when e.deleted_at <= evidence_as_of.at then 'source deleted'
                           when e.changed_at <= evidence_as_of.at then 'text changed' else 'stands' end))
             order by e.created_at, e.id)
      from matrice.insight_evidence e
     where e.insight_id = any (insight_ids) and e.created_at <= evidence_as_of.at
       and (e.ended_at is null or e.ended_at > evidence_as_of.at)
     group by e.insight_id;
end
$$;
comment on function matrice_private.evidence_as_of is 'Returns the evidence of insights that counted at a time, as JSON.';

create or replace function matrice_private.evidence_state(
  changed_at timestamptz, deleted_at timestamptz, ended_at timestamptz, at timestamptz
) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when ended_at <= at then 'replaced' when deleted_at <= at then 'source deleted'
              when changed_at <= at then 'text changed' else 'stands' end;
end;
comment on function matrice_private.evidence_state is
  'Returns what became of evidence by a time: stands, text changed, source deleted, or replaced by newer evidence with the '
  'same key.';

create or replace function matrice_private.known_cursor(at timestamptz, after text, out place bigint, out recorded_at timestamptz,
  out insight_id uuid, out chain text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  place := 0;
  recorded_at := '-infinity';
  insight_id := '00000000-0000-0000-0000-000000000000';
  chain := '';
  if after is null then
    return;
  end if;
  perform matrice_private.require_bytes('after', after, 10000);
  begin
    select c.place, c.recorded_at, c.insight_id, c.chain into strict place, recorded_at, insight_id, chain
      from jsonb_to_record(after::jsonb) as c (
             at timestamptz, place bigint, recorded_at timestamptz, insight_id uuid, chain text)
     where c.at = known_cursor.at and c.place between 1 and 1000000000000 and c.recorded_at <= known_cursor.at
       and c.insight_id is not null and c.chain ~ '^[0-9a-f]{64}$';
  exception when data_exception or no_data_found then
    raise exception 'after is not the next_after of known_at for this time'
      using errcode = '22023', detail = format('It is %s.', quote_literal(left(after, 200))),
            hint = 'Pass the next_after of the last row of the page before, and the same at.';
  end;
end
$$;
comment on function matrice_private.known_cursor is
  'Reads where a page of known_at ended: its last insight, and the place and the chain of that. Without a cursor: the beginning.';

create or replace function matrice_private.known_page(
  project_id uuid, at timestamptz, after_time timestamptz, after_id uuid, most integer
) returns table (
  insight_id uuid, type text, title text, content text, confidence double precision, seen integer, evidence jsonb, record text,
  recorded_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set extra_float_digits = 1 set jit = off
as $$
#variable_conflict use_column
declare
  -- The same in every session.
  utc constant text := 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
begin
  return query
    with then_so as materialized (
      select i.* from matrice_private.insights_as_of(project_id, known_page.at, after_time, after_id, most) i
    ), arrays as materialized (
      select array_agg(i.insight_id) as ids, array_agg(i.stated) as stated, array_agg(i.volatility) as volatilities,
             array_agg(i.recorded_at) as recorded_at
        from then_so i
    )
    select i.insight_id, i.type, i.title, i.content, j.confidence, j.seen, coalesce(e.evidence, '[]'),
           (jsonb_strip_nulls(jsonb_build_object(
              'project_id', known_page.project_id, 'insight_id', i.insight_id, 'type', i.type, 'title', i.title,
              'content', i.content, 'subject', i.subject, 'attribute', i.attribute, 'value', i.value,
              'volatility', i.volatility, 'stated', i.stated, 'confidence', j.confidence, 'seen', j.seen,
              'valid_from', to_char(i.valid_from at time zone 'UTC', utc),
              'valid_until', to_char(i.valid_until at time zone 'UTC', utc),
              'recorded_at', to_char(i.recorded_at at time zone 'UTC', utc)))
            || jsonb_build_object('evidence', coalesce(e.evidence, '[]')))::text,
           i.recorded_at
      from then_so i
      join (
        select s.* from arrays a
         cross join lateral matrice_private.judged_statements(a.ids, a.stated, a.volatilities, a.recorded_at, known_page.at) s
      ) j on j.insight_id = i.insight_id
      left join (
        select s.* from arrays a cross join lateral matrice_private.evidence_as_of(a.ids, known_page.at) s
      ) e on e.insight_id = i.insight_id
     order by i.recorded_at, i.insight_id;
end
$$;
comment on function matrice_private.known_page is
  'Returns a page of known_at without places and hashes. Arguments: as in insights_as_of.';

create or replace function matrice.known_at(
  project_id uuid, at timestamptz default now(), after text default null, match_count integer default null
) returns table (
  place bigint, insight_id uuid, type text, title text, content text, confidence double precision, seen integer,
  evidence jsonb, record text, record_sha256 text, chain_sha256 text, next_after text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  page  constant integer := 1000;
  -- The row before, and how many are still asked for.
  last_ record;
  room  integer := match_count;
  most  integer;
  count integer;
begin
  perform matrice_private.require_given('at', known_at.at);
  perform matrice_private.require_time('at', known_at.at);
  if match_count is not null then
    perform matrice_private.require_match_count(match_count);
  end if;
  perform matrice_private.require_role(known_at.project_id, 'viewer');
  last_ := matrice_private.known_cursor(known_at.at, known_at.after);
  place := last_.place;
  chain_sha256 := last_.chain;
  loop
    most := least(page, room);
    count := 0;
    for insight_id, type, title, content, confidence, seen, evidence, record, last_.recorded_at in
      select k.* from matrice_private.known_page(known_at.project_id, known_at.at, last_.recorded_at, last_.insight_id, most) k
    loop
      count := count + 1;
      place := place + 1;
      last_.insight_id := insight_id;
      record_sha256 := encode(sha256(convert_to(record, 'UTF8')), 'hex');
      chain_sha256 := encode(sha256(convert_to(chain_sha256 || record_sha256, 'UTF8')), 'hex');
      if count = room then
        next_after := jsonb_build_object('at', known_at.at, 'place', place, 'recorded_at', last_.recorded_at,
                                         'insight_id', insight_id, 'chain', chain_sha256);
      end if;
      return next;
    end loop;
    room := room - count;
    exit when count < most or room = 0;
  end loop;
end
$$;
comment on function matrice.known_at is
  'Returns what a project knew at a time: the insights that held then, as they were, with the confidence and the evidence of '
  'then, in the order in which they were recorded. record: all of a row as JSON text. record_sha256: the SHA-256 of that text, '
  'in hexadecimal. chain_sha256: the SHA-256 of the chain_sha256 of the row before it and of record_sha256, so that the last '
  'one stands for all rows. text_sha256 in evidence is the SHA-256 of the text of a chunk. Anybody can check these without the '
  'database. match_count: how many rows, 1 to 10000; without it, all. next_after: in the last row of a page of match_count rows, '
  'where the next page begins; pass it as after, with the same at. The chain goes on from page to page. Defaults: at now().';
