begin;
\ir helpers/setup.psql
select no_plan();

-- What travels -------------------------------------------------------------------------------------------------------------

select is((select string_agg(c.relname, ', ' order by c.relname) from pg_class c
            where c.relnamespace = 'matrice'::regnamespace and c.relkind in ('r', 'p')
              and (c.relname = 'projects' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'project_id'))
              and c.relname not in (select tab from matrice_private.project_parts())),
          null, 'Every table of projects travels, or project_parts says why it stays');
select is((select string_agg(tab, ', ') from matrice_private.project_parts() where (place = 0) <> (options ? 'stays') or to_regclass('matrice.' || tab) is null),
          null, 'Every part of project_parts has a table, and those without a place say why');
select is((select string_agg(distinct p.part || '.' || c.name, ', ') from matrice_private.project_parts() p cross join matrice_private.columns_of_part(p.part) c
            where p.place > 0 and c.type in ('uuid[]')),
          null, 'No part has lists of ids, which new_ids would not replace');
select is((select string_agg(p.part || '.' || k, ', ') from matrice_private.project_parts() p, jsonb_each(p.options) o, jsonb_array_elements_text(case when o.key in ('left_out', 'only') then o.value else '[]' end) k
            where not exists (select from pg_attribute a where a.attrelid = format('matrice.%I', p.tab)::regclass and a.attname = k)),
          null, 'project_parts names columns that exist');
select results_eq(
  $$select part, (select string_agg(name || case when is_id then '*' else '' end, ' ') from matrice_private.columns_of_part(part)) from matrice_private.exported_parts(true)$$,
  $$values
    ('projects', 'created_at current_phase description domain name settings updated_at'),
    ('pillars', 'code content id* metadata name updated_at version'),
    ('pillar_versions', 'content metadata pillar_id* restored_from saved_at version'),
    ('context_sources', 'created_at error format id* max_tokens name overlap_tokens processed_at raw_metadata source_key status storage_path token_count type'),
    ('source_texts', 'content created_at format max_tokens overlap_tokens source_id* spans version'),
    ('source_chunks', 'chunk_index content end_char id* metadata source_id* start_char token_count'),
    ('chunk_embeddings', 'chunk_id* created_at embedding id* model'),
    ('insights', 'confidence content created_at evidence id* source_id* superseded_at tags title type'),
    ('insight_successors', 'id* superseded_by*'),
    ('workflow_runs', 'attempt completed_at error event_name id* input_data is_failure_handler output_data phase pillar_versions reaped_at run_key session_key started_at status tags user_key workflow_id'),
    ('run_parents', 'id* parent_run_id*'),
    ('workflow_steps', 'attempt call_key cost_note cost_source cost_usd error executed_at id* latency_ms model provider_cost_usd run_id* status step_key step_name tokens_input tokens_output usage'),
    ('step_corrections', 'attempt call_key corrects* cost_note cost_source cost_usd error executed_at id* latency_ms model provider_cost_usd reason run_id* status step_key step_name tokens_input tokens_output usage'),
    ('project_prices', 'factor model prices same_as valid_from'),
    ('budgets', 'created_at id* is_hard limit_usd model name period phase thresholds time_zone user_key'),
    ('budget_events', 'budget_id* created_at limit_usd period_start spent_usd threshold')$$,
  'These columns travel, * with an id: a new column needs a line here, or left_out in project_parts if users or matrice set it');

-- A project with something of each part ------------------------------------------------------------------------------------

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('atlas', '{"embedding_model": "tiny", "language": "english", "app": {"é": [1.0, 1e10]}}');
select tests.project('borea', '{"embedding_model": "tiny"}');
create function tests.fill(project uuid) returns void language plpgsql as $$
declare
  source uuid; parent uuid; run uuid; step uuid; old uuid; new uuid;
begin
  perform matrice.save_pillar(project, 'P1', e'# Vision\n\\ "quoted" \u2028 é 😀'), matrice.save_pillar(project, 'P1', 'Second', '{"a": 1.50}');
  perform matrice.restore_pillar(project, 'P1', 2);
  source := matrice.ingest_source(project, 'doc', 'One is red. Two is blue. Three is green.', max_tokens => 5, overlap_tokens => 0,
                                  spans => '[{"start_char": 0, "page": 1}, {"start_char": 13, "page": 2}]', metadata => '{"k": 0.10}');
  perform matrice.chunk_source(source, 'One is red. Two is blue. Four is grey.');
  perform matrice.ingest_chunks(project, 'cut by a client', '[{"content": "alpha", "metadata": {"page": 3}}, {"content": "beta"}]');
  perform matrice.set_source_error(matrice.ingest_chunks(project, 'broken', '[{"content": "gamma"}]'), 'The file is damaged.');
  perform matrice.store_embeddings('tiny', array_agg(c.id order by c.id), jsonb_agg(jsonb_build_array(0.1, 1e-3, c.chunk_index + 1) order by c.id))
    from matrice.source_chunks c where c.project_id = project and c.content <> 'beta';
  old := matrice.record_insight(project, 'decision', 'Old', 'We use A.', 0.123456789012345);
  new := matrice.record_insight(project, 'decision', 'New', 'We use B.', 1, '["x"]', source, '{"why": 1e-7}');
  perform matrice.supersede_insight(old, new), matrice.record_insight(project, 'pattern', 'P', 'It repeats.');
  parent := matrice.start_run(project, 'parent', 'e', started_at => '2026-01-01 00:00:00.123456Z');
  run := matrice.start_run(project, 'child', 'e', 'key', 'P2', '{"in": 1}', '2026-01-02Z', parent_run_id => parent, user_key => 'u', tags => '["t"]');
  step := matrice.record_step(run, 'priced', 'success', 12.5, 'gpt-4o', 100, 20, step_key => 'a', executed_at => '2026-01-02Z');
  perform matrice.record_step(run, 'unpriced', 'success', 3, 'unheard-of', 100, 20, executed_at => '2026-01-02Z'),
          matrice.record_step(run, 'given', 'success', 3, 'gpt-4o', 1, 2, cost_usd => 0.000123456789, executed_at => '2026-01-02Z'),
          matrice.record_step(run, 'now', 'success', 3, 'gpt-4o', 1000000, 2, cost_usd => 2.5),
          matrice.record_step(run, 'waiting', 'running', step_key => 'b', executed_at => '2026-01-02Z');
  perform matrice.correct_step(step, 'The bill says so.', 0.00001);
  perform matrice.finish_run(run, 'completed', '{"out": null}');
end
$$;
create function tests.renew(line text, project uuid) returns text language sql as $$
  select string_agg(case when part ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
                      case when part = tests.id('atlas')::text then project::text
                           else overlay(overlay(left(encode(sha256(uuid_send(project) || uuid_send(part::uuid)), 'hex'), 32) placing '8' from 13) placing 'a' from 17)::uuid::text end
                    else part end, '"' order by place)
    from unnest(string_to_array(line, '"')) with ordinality p (part, place)
$$;
create function tests.lines(project uuid, embeddings boolean default true, page integer default 1000) returns text[] language plpgsql as $$
declare
  all_lines text[] := '{}';
  page_of   record;
  cursor    text;
begin
  loop
    select array_agg(e.line order by e.ordinality) as lines, (array_agg(e.next_after order by e.ordinality desc))[1] as next_after
      into page_of from matrice.export_project(project, embeddings, cursor, page) with ordinality e;
    all_lines := all_lines || page_of.lines;
    cursor := page_of.next_after;
    exit when cursor is null;
  end loop;
  return all_lines;
end
$$;
select tests.as_user('edith');
select tests.fill(tests.id('atlas')), tests.fill(tests.id('borea'));
select tests.as_user('alice');
-- Prices and a budget that come after the steps: the import must not price them again.
select matrice.set_price(tests.id('atlas'), 'unheard-of', '{"input": 2.5, "output": 10}'), matrice.set_price(tests.id('atlas'), 'gpt-4o', same_as => 'gpt-4o', factor => 0.5, valid_from => '2025-01-01Z'),
       matrice.set_budget(tests.id('atlas'), 3, 'total', name => 'all'), matrice.set_budget(tests.id('atlas'), 100, model => 'gpt-4o', thresholds => '{0.01}', name => 'gpt');
select tests.as_user('edith');
select matrice.record_step(r.id, 'last', 'success', model => 'gpt-4o', cost_usd => 1) from matrice.workflow_runs r where r.project_id = tests.id('atlas') and r.run_key = 'key';

select tests.as_user('victor');
create temp table file as select line, number from unnest(tests.lines(tests.id('atlas'))) with ordinality l (line, number);
create temp table spent as select name, spent_usd, unpriced_steps from matrice.budget_status(tests.id('atlas')) order by 1;
create temp table foreign_file as select line, number from unnest(tests.lines(tests.id('borea'))) with ordinality l (line, number);
grant select on file, foreign_file, spent to public;
select is((select string_agg(part || ' ' || coalesce(nullif(rows, '0'), 'has no row'), ', ') from (select line::jsonb -> 'row' -> 'rows' as counts from file where number = 1) h, jsonb_each_text(counts) as c (part, rows) where rows = '0'),
          null, 'The test has rows of every part');
select results_eq($$select line::jsonb ->> 'part', count(*)::text from file where number > 1 and line !~ '^.{0,10}"end"' group by 1 order by 1$$,
                  $$select key, value from file, jsonb_each_text(line::jsonb -> 'row' -> 'rows') where number = 1 order by 1$$, 'The header has the number of rows of each part');
select is(tests.lines(tests.id('atlas'), true, page), (select array_agg(line order by number) from file), format('export_project in pages of %s gives the same lines', page)) from unnest(array[1, 2, 7]) page;
select is(array(select matrice.export_lines(tests.id('atlas'), true)), (select array_agg(line order by number) from file), 'export_lines gives the lines of export_project');
select is((select line from file order by number desc limit 1)::jsonb -> 'row',
          (select jsonb_build_object('lines', count(*), 'hash', sum(('x' || left(encode(sha256(convert_to(line, 'UTF8')), 'hex'), 15))::bit(60)::bigint)::text) from file where number < (select max(number) from file)),
          'The last line has the number of lines and the sum of their hashes');
select set_config('timezone', 'Asia/Kathmandu', true), set_config('extra_float_digits', '-10', true), set_config('bytea_output', 'escape', true), set_config('datestyle', 'German', true);
select is(tests.lines(tests.id('atlas')), (select array_agg(line order by number) from file), 'An export does not depend on settings of the session');
select set_config('timezone', 'UTC', true), set_config('extra_float_digits', '1', true), set_config('datestyle', 'ISO', true);
select is((select count(*) from file where line ~ any (array[tests.id('alice')::text, tests.id('edith')::text])), 0::bigint, 'An export names no user');
select is((select count(*) from unnest(tests.lines(tests.id('atlas'), false)) line where line ~ '^.{0,10}"chunk_embeddings"'), 0::bigint, 'export_project leaves embeddings out by default');

-- The round trip ------------------------------------------------------------------------------------------------------------

select tests.as_user('mallory');
select tests.remember('copy', (select new_project_id from matrice.import_project(array(select line from file order by number), new_ids => true)));
select set_eq(format('select line from unnest(tests.lines(%L)) line where line !~ ''^.{0,10}"end"''', tests.id('copy')),
              $$select tests.renew(line, tests.id('copy')) from file where line !~ '^.{0,10}"end"'$$, 'import_project with new ids: the copy exports as the same text, with other ids');
select is((select role from matrice.user_projects where project_id = tests.id('copy')), 'owner', 'import_project: the caller owns the new project');
select results_eq($$select name, spent_usd, unpriced_steps from matrice.budget_status(tests.id('copy')) order by 1$$, $$table spent$$,
                  'import_project: the budgets know what the imported steps have cost');
select results_eq($$select action, actor from matrice.audit_log where project_id = tests.id('copy') order by 1$$, $$values ('member added', tests.id('mallory')), ('project imported', tests.id('mallory'))$$, 'import_project: the audit trail tells of the import, and of nothing that happened elsewhere');
select isnt((select finished_at from matrice.project_imports where project_id = tests.id('copy')), null, 'project_imports: the import has ended');
select ok((select count(*) = 1 from matrice.search_chunks('grey', tests.id('copy'))), 'import_project: chunks are found by their words');
select ok((select count(*) > 0 from matrice.match_chunks('[0.1, 0.001, 1]', project_id => tests.id('copy'))), 'import_project: chunks are found by their embeddings');

-- Into another database: as if the project had never been here.
select tests.as_owner();
delete from matrice.projects where id = tests.id('atlas');
delete from matrice_private.taken_project_ids where id = tests.id('atlas');
select tests.as_user('mallory');
select results_eq($$select new_project_id, next_line, is_finished from matrice.import_project(array(select line from file order by number))$$,
                  $$select tests.id('atlas'), count(*) + 1, true from file$$, 'import_project: the whole file at once');
select is(tests.lines(tests.id('atlas')), (select array_agg(line order by number) from file), 'export, import, export: the same text');
select is(array(select matrice.export_lines(tests.id('atlas'), false)) , tests.lines(tests.id('atlas'), false), 'export_lines without embeddings gives the lines of export_project');
