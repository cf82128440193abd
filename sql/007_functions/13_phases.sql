-- The phases of a project: their history, and what must be there before a project goes on.

create or replace function matrice_private.require_exit_criteria_settings(criteria jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  phases text[] := matrice_private.phases();
  given  record;
  part   record;
  wrong  text;
begin
  for given in select c.key as phase, c.value from jsonb_each(criteria) c order by c.key loop
    wrong := case when given.phase <> all (phases) then format('"%s" is no phase.', left(given.phase, 100))
                  when jsonb_typeof(given.value) <> 'object' then
                    format('That of %s is %s.', given.phase, jsonb_typeof(given.value)) end;
    exit when wrong is not null;
    for part in select c.key, c.value, jsonb_typeof(c.value) as type from jsonb_each(given.value) c order by c.key loop
      wrong := case
        when part.key not in ('filled', 'labelled', 'sources', 'insights') then
          format('%s has the unknown key "%s".', given.phase, left(part.key, 100))
        when part.key = 'filled' and part.type <> 'array'
          or part.key = 'filled' and exists (select from jsonb_array_elements(part.value) e where e.value #>> '{}' <> all (phases)
                                                or jsonb_typeof(e.value) <> 'string')
          or part.key = 'labelled' and part.type <> 'object'
          or part.key = 'labelled' and exists (select from jsonb_each(part.value) e where e.key <> all (phases)
                                                  or jsonb_typeof(e.value) <> 'string' or matrice_private.is_blank(e.value #>> '{}'))
          or part.key in ('sources', 'insights') and part.type <> 'number'
          or part.key in ('sources', 'insights') and (part.value::numeric not between 0 and 1000000 or part.value::numeric % 1 <> 0)
        then format('"%s" of %s is wrong.', part.key, given.phase) end;
      exit when wrong is not null;
    end loop;
    exit when wrong is not null;
  end loop;
  if wrong is not null then
    raise exception 'setting "exit_criteria" is wrong'
      using errcode = '22023', detail = wrong,
            hint = 'For example {"P1": {"filled": ["P1", "P2"], "labelled": {"P1": "approved"}, "sources": 3, "insights": 1}}. All '
                   'four may be left out. Numbers are whole, from 0 to 1000000.';
  end if;
end
$$;
comment on function matrice_private.require_exit_criteria_settings is
  'Raises unless the setting "exit_criteria" says what phases need. Null is allowed.';

create or replace function matrice_private.missing_for_exit(project_id uuid, phase text, criteria jsonb) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return array(
    select format('%s: pillar %s is empty', phase, f.code)
      from jsonb_array_elements_text(criteria -> 'filled') f (code)
     where not exists (select from matrice.pillars p
                        where p.project_id = missing_for_exit.project_id and p.code = f.code and not matrice_private.is_blank(p.content))
    union all
    select format('%s: the current version of pillar %s is not labelled "%s"', phase, l.key, left(l.value, 100))
      from jsonb_each_text(criteria -> 'labelled') l
     where not exists (select from matrice.pillars p
                        where p.project_id = missing_for_exit.project_id and p.code = l.key
                          and l.value = any (matrice_private.labels_at(p.id, p.version, null)))
    union all
    select format('%s: %s sources are needed; there are %s', phase, criteria ->> 'sources', n.found)
      from (select count(*) as found from matrice.context_sources s where s.project_id = missing_for_exit.project_id) n
     where n.found < (criteria ->> 'sources')::numeric
    union all
    select format('%s: %s insights are needed; there are %s', phase, criteria ->> 'insights', n.found)
      from (select count(*) as found from matrice.insights i
             where i.project_id = missing_for_exit.project_id
               and matrice_private.holds(i.superseded_at, i.retracted_at, i.valid_from, i.valid_until, now())) n
     where n.found < (criteria ->> 'insights')::numeric);
end
$$;
comment on function matrice_private.missing_for_exit is
  'Returns what a project still lacks before it may leave a phase, one sentence for each. criteria: those of the phase.';

create or replace function matrice_private.require_exit_criteria() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  missing text[];
begin
  select array_agg(m.text order by p.phase, m.place) into missing
    from unnest(matrice_private.phases()) p (phase)
   cross join lateral unnest(
     matrice_private.missing_for_exit(new.id, p.phase, new.settings -> 'exit_criteria' -> p.phase)) with ordinality m (text, place)
   where p.phase >= old.current_phase and p.phase < new.current_phase;
  if missing is not null then
    raise exception 'the project is not ready for phase %', new.current_phase
      using errcode = 'PT409', detail = array_to_string(missing, '. ') || '.',
            hint = 'Complete what is missing, or change the setting "exit_criteria" of the project.';
  end if;
  return new;
end
$$;
comment on function matrice_private.require_exit_criteria is
  'Refuses that a project goes on to a later phase while it lacks what the setting "exit_criteria" asks of the phases that it '
  'leaves.';

create or replace trigger require_exit_criteria before update of current_phase on matrice.projects
for each row when (new.current_phase > old.current_phase) execute function matrice_private.require_exit_criteria();

create or replace function matrice_private.keep_phase() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The update holds the project, so nobody else adds a row meanwhile.
  insert into matrice.phase_changes (project_id, number, phase, entered_at, entered_by)
  select new.id, coalesce(max(c.number), 0) + 1, new.current_phase,
         greatest(case tg_op when 'INSERT' then least(new.created_at, now()) else now() end, max(c.entered_at)),
         matrice_private.current_user_id()
    from matrice.phase_changes c where c.project_id = new.id
  on conflict do nothing;
  return null;
end
$$;
comment on function matrice_private.keep_phase is
  'Adds the phase of a project to its history. SECURITY DEFINER: the history is append-only, so no client may write it.';

create or replace trigger keep_first_phase after insert on matrice.projects
for each row execute function matrice_private.keep_phase();
create or replace trigger keep_phase after update of current_phase on matrice.projects
for each row when (old.current_phase <> new.current_phase) execute function matrice_private.keep_phase();

create or replace function matrice_private.phase_at(project_id uuid, at timestamptz) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select c.phase from matrice.phase_changes c
   where c.project_id = phase_at.project_id and c.entered_at <= phase_at.at
   order by c.number desc limit 1;
end;
comment on function matrice_private.phase_at is
  'Returns the phase that a project was in at a time; null before it existed.';

create or replace function matrice.phase_history(project_id uuid)
returns table (phase text, entered_at timestamptz, left_at timestamptz, duration interval, entered_by uuid)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select h.phase, h.entered_at, h.left_at, coalesce(h.left_at, now()) - h.entered_at, h.entered_by
      from (select c.phase, c.entered_at, lead(c.entered_at) over (order by c.number) as left_at, c.entered_by, c.number
              from matrice.phase_changes c where c.project_id = phase_history.project_id) h
     order by h.number desc;
end
$$;
comment on function matrice.phase_history is
  'Lists the phases that a project has been in, the current one first. left_at: null for the current phase. duration: from '
  'entered_at to left_at, or until now. Runs that name no phase of their own belong to the phase of the time when they started, '
  'and workflow_metrics counts them there. Needs the role viewer.';
