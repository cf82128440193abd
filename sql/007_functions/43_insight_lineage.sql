-- Lineage: from an insight to sources, chunks and runs, and back.

create or replace function matrice.insight_lineage(insight_id uuid) returns table (
  relation text, related_id uuid, related_title text, evidence_id uuid, kind text, is_for boolean, state text, source_id uuid,
  source_name text, chunk_id uuid, start_char integer, end_char integer, text_hash bytea, run_id uuid, workflow_id text,
  step_id uuid, step_name text, user_id uuid, url text, note text, recorded_at timestamptz, recorded_by uuid
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  owner_project uuid;
begin
  perform matrice_private.require_given('insight_id', insight_id);
  owner_project := matrice_private.project_of_insight(insight_lineage.insight_id, 'viewer');
  return query
    with recursive earlier as (
      select i.id, i.is_merged, 0 as depth from matrice.insights i where i.id = insight_lineage.insight_id
      union all
      -- No circle can close, so this ends.
      select i.id, i.is_merged, e.depth + 1
        from earlier e
       -- OFFSET 0 makes the planner look them up in the index. It would read all insights of the project.
       cross join lateral (
         select i.id, i.is_merged from matrice.insights i
          where i.project_id = owner_project and i.superseded_by = e.id offset 0) i
    ), later as (
      select i.id, i.superseded_by, i.is_merged from matrice.insights i where i.id = insight_lineage.insight_id
      union all
      select i.id, i.superseded_by, i.is_merged from later l join matrice.insights i on i.id = l.superseded_by
    ), related as (
      select e.id, e.depth,
             case when e.depth = 0 then 'itself' when e.is_merged then 'merged' else 'superseded' end as relation
        from earlier e
      union all
      select l.superseded_by, -1, case when l.is_merged then 'merged into' else 'superseded by' end
        from later l where l.superseded_by is not null
    )
    select r.relation, i.id, i.title, e.id, e.kind, e.is_for,
           matrice_private.evidence_state(e.changed_at, e.deleted_at, e.ended_at, clock_timestamp()),
           coalesce(e.source_id, case when e.id is null then i.source_id end), coalesce(s.name, e.source_name),
           e.chunk_id, e.start_char, e.end_char, e.text_hash, e.run_id, w.workflow_id, e.step_id, t.step_name, e.user_id, e.url,
           e.note, e.created_at, e.created_by
      from related r
      join matrice.insights i on i.id = r.id
      left join matrice.insight_evidence e
        on e.project_id = owner_project and e.insight_id = i.id and not (r.depth = 0 and e.merged_from is not null)
      left join matrice.context_sources s
        on s.project_id = owner_project and s.id = coalesce(e.source_id, case when e.id is null then i.source_id end)
      left join matrice.workflow_runs w on w.project_id = owner_project and w.id = e.run_id
      left join matrice.workflow_steps t on t.project_id = owner_project and t.id = e.step_id
     order by abs(r.depth), r.depth desc, i.created_at, i.id, e.created_at, e.id;
end
$$;
comment on function matrice.insight_lineage is
  'Returns where an insight comes from: a row for each piece of evidence, of the insight itself and of those that it is related '
  'to. relation: itself; merged or superseded, of an insight that ended in it; merged into or superseded by, of one that it '
  'ended in. state: what became of the evidence: stands, text changed, source deleted, or replaced. source_name: the '
  'name that the source has, or had when the evidence was recorded, if it is deleted. workflow_id and step_name are null if '
  'their rows are gone.';

create or replace function matrice_private.with_evidence(citations jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not citations @? '$[*].insight_id' then
    return citations;
  end if;
  return (
    select jsonb_agg(
             case when given.citation ? 'insight_id' then given.citation || jsonb_build_object('evidence', (
               -- The latest are enough to check it. insight_lineage returns all.
               select coalesce(jsonb_agg(e.piece order by e.is_for desc, e.created_at desc, e.id), '[]')
                 from (
                   select e.is_for, e.created_at, e.id, jsonb_strip_nulls(jsonb_build_object(
                            'kind', e.kind, 'is_for', e.is_for, 'source_id', e.source_id, 'chunk_id', e.chunk_id,
                            'start_char', e.start_char, 'end_char', e.end_char, 'run_id', e.run_id, 'step_id', e.step_id,
                            'url', e.url,
                            'state', matrice_private.evidence_state(e.changed_at, e.deleted_at, e.ended_at, now()))) as piece
                     from matrice.insight_evidence e
                    where e.insight_id = (given.citation ->> 'insight_id')::uuid and e.ended_at is null
                    order by e.is_for desc, e.created_at desc, e.id
                    limit 5
                 ) e))
             else given.citation end order by given.place)
      from jsonb_array_elements(citations) with ordinality as given (citation, place));
end
$$;
comment on function matrice_private.with_evidence is
  'Adds to the citations of insights the latest pieces of evidence, at most five, those for it first.';

-- Computed relationships of PostgREST, such as /insight_evidence?select=*,evidence_source(name). They must return the type of a
-- table. PL/pgSQL returns the columns that it has, also those that a user added.

create or replace function matrice.evidence_source(matrice.insight_evidence) returns setof matrice.context_sources
language plpgsql stable rows 1
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select s.* from matrice.context_sources s where s.id = $1.source_id and s.project_id = $1.project_id;
end
$$;
comment on function matrice.evidence_source is 'Returns the source of a piece of evidence, as a relationship of PostgREST.';

create or replace function matrice.evidence_chunk(matrice.insight_evidence) returns setof matrice.source_chunks
language plpgsql stable rows 1
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select c.* from matrice.source_chunks c where c.id = $1.chunk_id and c.project_id = $1.project_id;
end
$$;
comment on function matrice.evidence_chunk is 'Returns the chunk of a piece of evidence, as a relationship of PostgREST.';

create or replace function matrice.evidence_run(matrice.insight_evidence) returns setof matrice.workflow_runs
language plpgsql stable rows 1
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select r.* from matrice.workflow_runs r where r.id = $1.run_id and r.project_id = $1.project_id;
end
$$;
comment on function matrice.evidence_run is 'Returns the run that found a piece of evidence, as a relationship of PostgREST.';

create or replace function matrice.evidence_step(matrice.insight_evidence) returns setof matrice.workflow_steps
language plpgsql stable rows 1
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select s.* from matrice.workflow_steps s where s.id = $1.step_id and s.project_id = $1.project_id;
end
$$;
comment on function matrice.evidence_step is 'Returns the step that found a piece of evidence, as a relationship of PostgREST.';

create or replace function matrice.source_insights(matrice.context_sources) returns setof matrice.insights
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select i.* from matrice.insights i
     where i.project_id = $1.project_id
       and (i.source_id = $1.id
            or i.id in (select e.insight_id from matrice.insight_evidence e
                         where e.source_id = $1.id and e.project_id = $1.project_id));
end
$$;
comment on function matrice.source_insights is
  'Returns the insights that a source or one of its chunks is evidence for or against, as a relationship of PostgREST.';

create or replace function matrice.chunk_insights(matrice.source_chunks) returns setof matrice.insights
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select i.* from matrice.insights i
     where i.project_id = $1.project_id
       and i.id in (select e.insight_id from matrice.insight_evidence e
                     where e.source_id = $1.source_id and e.chunk_id = $1.id and e.project_id = $1.project_id);
end
$$;
comment on function matrice.chunk_insights is
  'Returns the insights that a chunk is evidence for or against, as a relationship of PostgREST.';

create or replace function matrice.run_insights(matrice.workflow_runs) returns setof matrice.insights
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select i.* from matrice.insights i
     where i.project_id = $1.project_id
       and i.id in (select e.insight_id from matrice.insight_evidence e where e.run_id = $1.id and e.project_id = $1.project_id);
end
$$;
comment on function matrice.run_insights is
  'Returns the insights that a run found or has evidence about, as a relationship of PostgREST.';
