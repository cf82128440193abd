-- The parts of a project that travel: what export_project writes and import_project reads.

create or replace function matrice_private.carried_witness(witness text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when witness like 'carried:%' then witness
              else 'carried:' || encode(sha256(convert_to(witness, 'UTF8')), 'hex') end;
end;
comment on function matrice_private.carried_witness is
  'Returns what a witness of an insight is called in an export. Its name has ids of users and of rows of this database. What '
  'was one witness stays one.';

create or replace function matrice_private.project_parts()
returns table (place integer, part text, tab text, key text[], options jsonb)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- A new table needs a line here: what its rows refer to comes before it. All its columns travel, but project_id. key: columns
  -- that are unique in a project, and that an index has after project_id. The options:
  --   left_out   columns that do not travel, because they name users of this database or are computed
  --   only       the only columns that travel. These rows change rows of an earlier part
  --   written    how a column is written, as SQL of the row t
  --   read       how a column is read, as SQL of what was written, t
  --   computed   how import_project computes a column that does not travel
  --   filter     which rows of the table are the part
  --   check      what must be true of an imported row, or raises an error
  --   most       how many rows a project may have
  --   replaces   the unique columns by which a row is found that a trigger has made already
  --   optional   whether the part travels only with embeddings
  --   stays      why a table does not travel
  --   home       the schema of the table, if it is not matrice
  --   rows       what its rows are read from, as SQL, if the caller may not read the table
  select p.place, p.part, p.tab, p.key::text[], p.options::jsonb from (values
    (10, 'projects', 'projects', '{id}', '{"left_out": ["id", "created_by"]}'),
    (20, 'pillars', 'pillars', '{id}', '{"check": "matrice_private.leaves_room(t.version)"}'),
    (30, 'pillar_versions', 'pillar_versions', '{pillar_id,version}', '{
       "left_out": ["saved_by"], "replaces": "pillar_id, version",
       "check": "matrice_private.has_version(t.pillar_id, t.version)"}'),
    (32, 'pillar_labels', 'pillar_labels', '{pillar_id,label,number}', '{
       "left_out": ["set_by"],
       "check": "matrice_private.leaves_room(t.number) and matrice_private.has_version(t.pillar_id, t.version)"}'),
    (34, 'phase_changes', 'phase_changes', '{number}', '{
       "left_out": ["entered_by"], "replaces": "project_id, number", "check": "matrice_private.leaves_room(t.number)"}'),
    (40, 'context_sources', 'context_sources', '{id}', '{
       "left_out": ["content_hash", "chunk_count", "embedded_count", "failed_count"],
       "written": {"status": "matrice_private.status_without_counts(t.status, t.error, t.chunk_count)",
                   "error": "case when not matrice_private.is_count_of_failures(t.error) then t.error end"}}'),
    (50, 'source_texts', 'source_texts', '{source_id,version}', '{
       "left_out": ["created_by", "characters", "token_count"], "check": "matrice_private.leaves_room(t.version)",
       "computed": {"characters": "length(t.content)", "token_count": "matrice.count_tokens(t.content)"}}'),
    (60, 'source_chunks', 'source_chunks', '{id}', '{"left_out": ["fts", "filterable"]}'),
    (70, 'chunk_embeddings', 'chunk_embeddings', '{chunk_id,model}', '{"optional": true,
       "written": {"embedding": "matrice_private.base64_of(t.embedding::real[])"},
       "read": {"embedding": "matrice_private.vector_of(t.embedding)"}}'),
    (80, 'insights', 'insights', '{id}', '{
       "left_out": ["fts", "superseded_by", "content_hash", "text_hash", "key_hash", "sketch"]}'),
    (85, 'insight_embeddings', 'insight_embeddings', '{insight_id,model}', '{"optional": true,
       "written": {"embedding": "matrice_private.base64_of(t.embedding::real[])"},
       "read": {"embedding": "matrice_private.vector_of(t.embedding)"}}'),
    (90, 'insight_successors', 'insights', '{id}', '{"only": ["superseded_by"], "filter": "t.superseded_by is not null"}'),
    (91, 'insight_versions', 'insight_versions', '{id}', '{"left_out": ["replaced_by"], "replaces": "id"}'),
    (92, 'insight_candidates', 'insight_candidates', '{insight_id,candidate_id,found_by}', '{}'),
    (100, 'workflow_runs', 'workflow_runs', '{id}', '{"left_out": ["created_by", "parent_run_id"]}'),
    (110, 'run_parents', 'workflow_runs', '{id}', '{"only": ["parent_run_id"], "filter": "t.parent_run_id is not null"}'),
    (120, 'workflow_steps', 'workflow_steps', '{run_id,id}', '{
       "left_out": ["corrects", "reason", "reservation_id"], "filter": "t.corrects is null"}'),
    (130, 'step_corrections', 'workflow_steps', '{run_id,id}', '{
       "left_out": ["reservation_id"], "filter": "t.corrects is not null",
       "check": "matrice_private.is_step_of_run(t.corrects, t.run_id)"}'),
    (132, 'purged_sums', 'metric_facts', '{at,id}', '{
       "left_out": ["run_id"], "home": "matrice_private", "rows": "matrice_private.purged_sums($1)", "most": 1000000,
       "written": {"user_id": "case when t.user_id !~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' then t.user_id end"},
       "check": "matrice_private.leaves_room(t.id::integer) and matrice_private.is_purged_sum(to_jsonb(t))"}'),
    (134, 'purged_calls', 'metric_runs', '{run_id,model}', '{
       "left_out": ["at", "workflow_id", "phase", "user_id", "status"], "home": "matrice_private",
       "rows": "matrice_private.purged_calls($1)", "replaces": "project_id, run_id, is_call, model",
       "check": "t.is_call and t.is_kept and octet_length(t.model) <= 200 and matrice_private.is_run_of_project(t.run_id, $2)"}'),
    (135, 'insight_evidence', 'insight_evidence', '{insight_id,id}', '{
       "left_out": ["user_id", "created_by"],
       "written": {"evidence_key": "matrice_private.carried_witness(t.evidence_key)",
                   "witness": "matrice_private.carried_witness(t.witness)"}}'),
    (140, 'project_prices', 'project_prices', '{model,valid_from}', '{"left_out": ["sheets"], "most": 1000,
       "computed": {"sheets": "matrice_private.prepared_sheets(t.model, t.prices)"}}'),
    (150, 'budgets', 'budgets', '{id}', '{"most": 100, "check": "matrice_private.is_budget(to_jsonb(t))"}'),
    (160, 'budget_events', 'budget_events', '{budget_id,period_start,threshold,limit_usd}', '{}'),
    (0, 'user_projects', 'user_projects', '{}', '{"stays": "Members are users of this database."}'),
    (0, 'project_invitations', 'project_invitations', '{}', '{"stays": "Invitations are for users of this database."}'),
    (0, 'audit_log', 'audit_log', '{}', '{"stays": "The audit trail says what happened in this database."}'),
    (0, 'embedding_leases', 'embedding_leases', '{}', '{"stays": "Workers of this database hold leases."}'),
    (0, 'conversations', 'conversations', '{}', '{"stays": "They may be private."}'),
    (0, 'conversation_turns', 'conversation_turns', '{}', '{"stays": "They may be private."}'),
    (0, 'answers', 'answers', '{}', '{"stays": "Without their ratings, they say nothing."}'),
    (0, 'answer_passages', 'answer_passages', '{}', '{"stays": "Without ratings, they say nothing."}'),
    (0, 'answer_ratings', 'answer_ratings', '{}', '{"stays": "Users of this database gave them."}'),
    (0, 'project_usage', 'project_usage', '{}', '{"stays": "It is counted again."}'),
    (0, 'project_imports', 'project_imports', '{}', '{"stays": "It says what was imported into this database."}')
  ) as p (place, part, tab, key, options);
end;
comment on function matrice_private.project_parts is
  'Returns the parts of a project, and for each table that does not travel the reason. place: parts are written and read in '
  'this order; 0 if the table does not travel. A test names tables of projects that have no line.';

create or replace function matrice_private.columns_of_part(part text)
returns table (name text, type text, written text, read text, is_id boolean)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select a.attname::text, case when p.options -> 'read' ? a.attname then 'text' else format_type(a.atttypid, a.atttypmod) end,
         coalesce(p.options -> 'written' ->> a.attname, format('t.%I', a.attname)),
         coalesce(p.options -> 'read' ->> a.attname, format('t.%I', a.attname)),
         a.atttypid = 'uuid'::regtype
    from matrice_private.project_parts() p
    join pg_class c on c.relname = p.tab and c.relnamespace = coalesce(p.options ->> 'home', 'matrice')::regnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
   where p.part = columns_of_part.part and a.attname <> 'project_id'
     and not coalesce(p.options -> 'left_out' ? a.attname, false)
     and (not p.options ? 'only' or p.options -> 'only' ? a.attname or a.attname = any (p.key))
   -- Not by their place in the table, which differs between databases.
   order by a.attname collate "C";
end;
comment on function matrice_private.columns_of_part is
  'Returns the columns of a part that travel: how they are written from a row t, and read again. is_id: whether it is the id '
  'of a row of the project, which an import can replace. No uuid that travels is anything else.';

create or replace function matrice_private.row_of_part(part text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select string_agg(format('%s as %I', c.written, c.name), ', ') from matrice_private.columns_of_part(part) c;
end;
comment on function matrice_private.row_of_part is 'Returns the select list that writes a row t of a part.';

create or replace function matrice_private.rows_of_part(part text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select format('%s t where t.%s = $1',
                coalesce(p.options ->> 'rows', format('%I.%I', coalesce(p.options ->> 'home', 'matrice'), p.tab)),
                case p.tab when 'projects' then 'id' else 'project_id' end)
         || coalesce(' and ' || (p.options ->> 'filter'), '')
    from matrice_private.project_parts() p where p.part = rows_of_part.part;
end;
comment on function matrice_private.rows_of_part is 'Returns SQL for the rows t of a part in the project $1.';

create or replace function matrice_private.key_of_part(part text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select string_agg(format('t.%I', k.name), ', ' order by k.place)
    from matrice_private.project_parts() p, unnest(p.key) with ordinality as k (name, place)
   where p.part = key_of_part.part;
end;
comment on function matrice_private.key_of_part is 'Returns the columns of the key of a part, as SQL of the row t.';

create or replace function matrice_private.status_without_counts(status text, error text, chunk_count integer) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select case when status = 'error' and not coalesce(matrice_private.is_count_of_failures(error), false) then status
              when chunk_count > 0 then 'processing' else status end;
end;
comment on function matrice_private.status_without_counts is
  'Returns the status of a source without what follows from its embeddings. These do not always travel, and failures never '
  'do.';

create or replace function matrice_private.line_hash(line text) returns bigint
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select ('x' || left(encode(sha256(convert_to(line, 'UTF8')), 'hex'), 15))::bit(60)::bigint;
end;
comment on function matrice_private.line_hash is
  'Returns the first 60 bits of the SHA-256 of a line. The last line of an export has the sum of those of the lines before '
  'it.';

create or replace function matrice_private.base64_of(numbers real[]) returns text
language plpgsql immutable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return replace(encode(matrice._little_endian(numbers), 'base64'), e'\n', '');
end
$$;
comment on function matrice_private.base64_of is
  'Writes a vector as base64 of little-endian 32-bit floats, as store_embeddings reads it. SECURITY DEFINER: only the owner '
  'may execute the engine''s functions. It uses nothing but its argument.';

create or replace function matrice_private.vector_of(base64 text) returns real[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select e.embedding from matrice_private.read_embeddings(jsonb_build_array(base64)) e);
end
$$;
comment on function matrice_private.vector_of is 'Reads what base64_of writes.';

create or replace function matrice_private.is_step_of_run(id uuid, run_id uuid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (select from matrice.workflow_steps s
                  where s.id = is_step_of_run.id and s.run_id = is_step_of_run.run_id and s.corrects is null);
end;
comment on function matrice_private.is_step_of_run is 'Returns whether a run has a step that can be corrected.';

create or replace function matrice_private.is_run_of_project(id uuid, project_id uuid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (select from matrice.workflow_runs r
                  where r.id = is_run_of_project.id and r.project_id = is_run_of_project.project_id);
end;
comment on function matrice_private.is_run_of_project is 'Returns whether a project has a run.';

create or replace function matrice_private.leaves_room(number integer) returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if number > 900000000 then
    raise exception 'the number % is too high: hardly any could follow', number using errcode = '22023';
  end if;
  return true;
end
$$;
comment on function matrice_private.leaves_room is
  'Raises if a number that matrice counts, such as a version, is so high that counting would soon end. A file must not be able '
  'to keep a pillar from being saved.';

create or replace function matrice_private.has_version(pillar_id uuid, version integer) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select has_version.version is null
         or exists (select from matrice.pillars p where p.id = has_version.pillar_id and p.version >= has_version.version);
end;
comment on function matrice_private.has_version is
  'Returns whether a pillar has reached a version; true if that is null. A later one would stand where a save stores its text, '
  'or label that text.';
