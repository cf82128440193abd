begin;
\ir helpers/setup.psql
select no_plan();

-- What the seed asks for, under its own names ------------------------------------------------------------------------

create temp table seed (tab text, col text, type text) on commit drop;
insert into seed values
  ('projects', 'id', 'uuid'), ('projects', 'name', 'text'), ('projects', 'description', 'text'), ('projects', 'domain', 'text'),
  ('projects', 'current_phase', 'text'), ('projects', 'settings', 'jsonb'),
  ('projects', 'created_at', 'timestamp with time zone'), ('projects', 'updated_at', 'timestamp with time zone'),
  ('pillars', 'id', 'uuid'), ('pillars', 'project_id', 'uuid'), ('pillars', 'code', 'text'), ('pillars', 'name', 'text'),
  ('pillars', 'content', 'text'), ('pillars', 'metadata', 'jsonb'), ('pillars', 'version', 'integer'),
  ('pillars', 'updated_at', 'timestamp with time zone'),
  ('context_sources', 'id', 'uuid'), ('context_sources', 'project_id', 'uuid'), ('context_sources', 'type', 'text'),
  ('context_sources', 'name', 'text'), ('context_sources', 'storage_path', 'text'), ('context_sources', 'status', 'text'),
  ('context_sources', 'raw_metadata', 'jsonb'), ('context_sources', 'token_count', 'integer'),
  ('context_sources', 'processed_at', 'timestamp with time zone'), ('context_sources', 'created_at', 'timestamp with time zone'),
  ('source_chunks', 'id', 'uuid'), ('source_chunks', 'source_id', 'uuid'), ('source_chunks', 'chunk_index', 'integer'),
  ('source_chunks', 'content', 'text'), ('source_chunks', 'token_count', 'integer'), ('source_chunks', 'metadata', 'jsonb'),
  ('chunk_embeddings', 'id', 'uuid'), ('chunk_embeddings', 'chunk_id', 'uuid'), ('chunk_embeddings', 'embedding', 'vector'),
  ('chunk_embeddings', 'model', 'text'),
  ('insights', 'id', 'uuid'), ('insights', 'project_id', 'uuid'), ('insights', 'source_id', 'uuid'), ('insights', 'type', 'text'),
  ('insights', 'title', 'text'), ('insights', 'content', 'text'), ('insights', 'confidence', 'double precision'), ('insights', 'tags', 'jsonb'),
  ('insights', 'created_at', 'timestamp with time zone'),
  ('workflow_runs', 'id', 'uuid'), ('workflow_runs', 'project_id', 'uuid'), ('workflow_runs', 'workflow_id', 'text'),
  ('workflow_runs', 'event_name', 'text'), ('workflow_runs', 'phase', 'text'), ('workflow_runs', 'status', 'text'),
  ('workflow_runs', 'input_data', 'jsonb'), ('workflow_runs', 'output_data', 'jsonb'),
  ('workflow_runs', 'started_at', 'timestamp with time zone'), ('workflow_runs', 'completed_at', 'timestamp with time zone'),
  ('workflow_steps', 'id', 'uuid'), ('workflow_steps', 'run_id', 'uuid'), ('workflow_steps', 'step_name', 'text'),
  ('workflow_steps', 'status', 'text'), ('workflow_steps', 'latency_ms', 'integer'), ('workflow_steps', 'tokens_input', 'integer'),
  ('workflow_steps', 'tokens_output', 'integer'), ('workflow_steps', 'cost_usd', 'numeric(20,12)'), ('workflow_steps', 'error', 'jsonb'),
  ('workflow_steps', 'executed_at', 'timestamp with time zone'),
  ('user_projects', 'user_id', 'uuid'), ('user_projects', 'project_id', 'uuid');

select is(
  (select format_type(a.atttypid, a.atttypmod) from pg_attribute a
    where a.attrelid = to_regclass('matrice.' || tab) and a.attname = col and not a.attisdropped),
  type, format('%s.%s is %s', tab, col, type))
  from seed;
select col_is_pk('matrice', tab, 'id', format('%s: the primary key is id', tab)) from seed where col = 'id';
select is_empty(
  $$select tab, col from seed join pg_attribute a on a.attrelid = to_regclass('matrice.' || tab) and a.attname = col
     where col in ('id', 'created_at', 'updated_at', 'started_at', 'executed_at') and not (a.attnotnull and a.atthasdef)$$,
  'Every id and every time of creation or change is not null and has a default');

select has_index('matrice', tab, index, columns, format('%s is on %s (%s)', index, tab, array_to_string(columns, ', ')))
  from (values ('pillars', 'idx_pillars_project', '{project_id}'::name[]), ('context_sources', 'idx_sources_project', '{project_id}'),
               ('context_sources', 'idx_sources_status', '{status}'), ('source_chunks', 'idx_chunks_source', '{source_id}'),
               ('insights', 'idx_insights_project', '{project_id}'), ('workflow_runs', 'idx_workflow_runs_project', '{project_id}'),
               ('workflow_runs', 'idx_workflow_runs_status', '{status}')) as wanted (tab, index, columns);
-- The seed's ivfflat index would be read by no search: the name is that of the index that searches by vector read.
select has_index('matrice', 'chunk_embeddings', 'idx_embeddings_vector', '{project_id,model,template_hash}'::name[], 'idx_embeddings_vector finds the embeddings of a project');

select fk_ok('matrice', child, columns, 'matrice', parent, keys, format('%s has a foreign key to %s', child, parent))
  from (values ('user_projects', '{project_id}'::name[], 'projects', '{id}'::name[]), ('pillars', '{project_id}', 'projects', '{id}'),
               ('context_sources', '{project_id}', 'projects', '{id}'), ('insights', '{project_id}', 'projects', '{id}'),
               ('workflow_runs', '{project_id}', 'projects', '{id}'),
               ('source_chunks', '{project_id,source_id}', 'context_sources', '{project_id,id}'),
               ('chunk_embeddings', '{project_id,chunk_id}', 'source_chunks', '{project_id,id}'),
               ('insights', '{project_id,source_id}', 'context_sources', '{project_id,id}'),
               ('workflow_steps', '{project_id,run_id}', 'workflow_runs', '{project_id,id}')) as wanted (child, columns, parent, keys);

select is_empty(
  $$select name from unnest(array['001_core_tables', '002_context_sources', '003_embeddings', '004_insights', '005_workflow_metrics',
                                  '006_rls_policies', '007_functions']) name
    except select split_part(name, '/', 1) from matrice_private.migrations$$,
  'matrice_private.migrations has the seven files of the seed');

select * from finish();
rollback;
