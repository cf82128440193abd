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

create or replace function matrice_private.insights_as_of(project_id uuid, at timestamptz) returns table (
  insight_id uuid, type text, title text, content text, stated double precision, subject text, attribute text, value text,
  volatility text, valid_from timestamptz, valid_until timestamptz, recorded_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
    with then_so as (
      -- The version that was replaced first after that time was the one of that time.
      select distinct on (v.insight_id) v.*
        from matrice.insight_versions v
       where v.project_id = insights_as_of.project_id and v.replaced_at > insights_as_of.at
       order by v.insight_id, v.replaced_at, v.id
    ), states as (
      select v.insight_id as id, v.type, v.title, v.content, v.confidence, v.subject, v.attribute, v.value, v.volatility,
             v.valid_from, v.valid_until, v.superseded_at, v.retracted_at, i.recorded_at
        from then_so v
        join matrice.insights i on i.id = v.insight_id
      union all
      select i.id, i.type, i.title, i.content, i.confidence, i.subject, i.attribute, i.value, i.volatility, i.valid_from,
             i.valid_until, i.superseded_at, i.retracted_at, i.recorded_at
        from matrice.insights i
       where i.project_id = insights_as_of.project_id and not exists (select from then_so v where v.insight_id = i.id)
    )
    select s.id, s.type, s.title, s.content, s.confidence, s.subject, s.attribute, s.value, s.volatility, s.valid_from,
           s.valid_until, s.recorded_at
      from states s
     where s.recorded_at <= insights_as_of.at
       -- What holds() returns. For each of many insights, its call would take longer than everything else.
       and (s.superseded_at is null or s.superseded_at > insights_as_of.at)
       and (s.retracted_at is null or s.retracted_at > insights_as_of.at)
       and (s.valid_from is null or s.valid_from <= insights_as_of.at)
       and (s.valid_until is null or s.valid_until > insights_as_of.at);
end
$$;
comment on function matrice_private.insights_as_of is
  'Returns the insights of a project that held at a time, as they were then. An insight counts from recorded_at, which no client '
  'writes.';

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

create or replace function matrice.known_at(project_id uuid, at timestamptz default now()) returns table (
  place bigint, insight_id uuid, type text, title text, content text, confidence double precision, seen integer,
  evidence jsonb, record text, record_sha256 text, chain_sha256 text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set extra_float_digits = 1
as $$
#variable_conflict use_column
declare
  -- The same in every session.
  utc   constant text := 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
  chain text := '';
  one   record;
begin
  perform matrice_private.require_given('at', known_at.at);
  perform matrice_private.require_time('at', known_at.at);
  perform matrice_private.require_role(known_at.project_id, 'viewer');
  for one in
    with then_so as materialized (
      select i.* from matrice_private.insights_as_of(known_at.project_id, known_at.at) i
    ), arrays as materialized (
      select array_agg(i.insight_id) as ids, array_agg(i.stated) as stated, array_agg(i.volatility) as volatilities,
             array_agg(i.recorded_at) as recorded_at
        from then_so i
    )
    select row_number() over (order by i.recorded_at, i.insight_id) as place, i.insight_id, i.type, i.title, i.content,
           j.confidence, j.seen, e.evidence,
           (jsonb_strip_nulls(jsonb_build_object(
              'project_id', known_at.project_id, 'insight_id', i.insight_id, 'type', i.type, 'title', i.title,
              'content', i.content, 'subject', i.subject, 'attribute', i.attribute, 'value', i.value,
              'volatility', i.volatility, 'stated', i.stated, 'confidence', j.confidence, 'seen', j.seen,
              'valid_from', to_char(i.valid_from at time zone 'UTC', utc),
              'valid_until', to_char(i.valid_until at time zone 'UTC', utc),
              'recorded_at', to_char(i.recorded_at at time zone 'UTC', utc)))
            || jsonb_build_object('evidence', coalesce(e.evidence, '[]')))::text as record
      from then_so i
      join (
        select s.* from arrays a
         cross join lateral matrice_private.judged_statements(a.ids, a.stated, a.volatilities, a.recorded_at, known_at.at) s
      ) j on j.insight_id = i.insight_id
      left join (
        select s.* from arrays a cross join lateral matrice_private.evidence_as_of(a.ids, known_at.at) s
      ) e on e.insight_id = i.insight_id
     order by 1
  loop
    place := one.place;
    insight_id := one.insight_id;
    type := one.type;
    title := one.title;
    content := one.content;
    confidence := one.confidence;
    seen := one.seen;
    evidence := coalesce(one.evidence, '[]');
    record := one.record;
    record_sha256 := encode(sha256(convert_to(record, 'UTF8')), 'hex');
    chain := encode(sha256(convert_to(chain || record_sha256, 'UTF8')), 'hex');
    chain_sha256 := chain;
    return next;
  end loop;
end
$$;
comment on function matrice.known_at is
  'Returns what a project knew at a time: the insights that held then, as they were, with the confidence and the evidence of '
  'then. record: all of a row as JSON text. record_sha256: the SHA-256 of that text, in hexadecimal. chain_sha256: the '
  'SHA-256 of the chain_sha256 of the row before it and of record_sha256, so that the last one stands for all rows. '
  'text_sha256 in evidence is the SHA-256 of the text of a chunk. Anybody can check these without the database. Defaults: at '
  'now().';
