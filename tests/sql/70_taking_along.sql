begin;
\ir helpers/setup.psql
select no_plan();

-- What travels -------------------------------------------------------------------------------------------------------------

select is((select string_agg(c.relname, ', ' order by c.relname) from pg_class c
            where c.relnamespace = 'matrice'::regnamespace and c.relkind in ('r', 'p')
              and (c.relname = 'projects' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'project_id'))
              and c.relname not in (select tab from matrice_private.project_parts())),
          null, 'Every table of projects travels, or project_parts says why it stays');
select is((select string_agg(tab, ', ') from matrice_private.project_parts() where (place = 0) <> (options ? 'stays') or to_regclass(concat(coalesce(options ->> 'home', 'matrice'), '.', tab)) is null),
          null, 'Every part of project_parts has a table, and those without a place say why');
select is((select string_agg(distinct p.part || '.' || c.name, ', ') from matrice_private.project_parts() p cross join matrice_private.columns_of_part(p.part) c
            where p.place > 0 and c.type in ('uuid[]')),
          null, 'No part has lists of ids, which new_ids would not replace');
select is((select string_agg(p.part || '.' || k, ', ') from matrice_private.project_parts() p, jsonb_each(p.options) o, jsonb_array_elements_text(case when o.key in ('left_out', 'only') then o.value else '[]' end) k
            where not exists (select from pg_attribute a where a.attrelid = concat(coalesce(p.options ->> 'home', 'matrice'), '.', p.tab)::regclass and a.attname = k)),
          null, 'project_parts names columns that exist');
select results_eq(
  $$select part, (select string_agg(name || case when is_id then '*' else '' end, ' ') from matrice_private.columns_of_part(part)) from matrice_private.exported_parts(true)$$,
  $$values
    ('projects', 'created_at current_phase description domain name reembed_template settings updated_at'),
    ('pillars', 'code content id* metadata name updated_at version'),
    ('pillar_versions', 'content metadata pillar_id* restored_from saved_at version'),
    ('pillar_labels', 'is_release label number pillar_id* set_at version'),
    ('phase_changes', 'entered_at number phase'),
    ('context_sources', 'created_at error format id* max_tokens name overlap_tokens processed_at raw_metadata source_key status storage_path token_count type'),
    ('source_texts', 'content created_at format max_tokens overlap_tokens source_id* spans version'),
    ('source_chunks', 'chunk_index content end_char id* metadata source_id* start_char token_count'),
    ('chunk_embeddings', 'chunk_id* created_at embedding id* model template_hash'),
    ('insights', 'attribute confidence content created_at evidence id* is_merged is_recorded reason recorded_at retracted_at source_id* subject superseded_at tags title type valid_from valid_until value volatility'),
    ('insight_embeddings', 'created_at embedding insight_id* model'),
    ('insight_successors', 'id* superseded_by*'),
    ('insight_versions', 'attribute confidence content id* insight_id* is_merged reason replaced_at retracted_at subject superseded_at superseded_by* title type valid_from valid_until value volatility'),
    ('insight_candidates', 'candidate_id* created_at found_by insight_id* likeness'),
    ('workflow_runs', 'attempt completed_at error event_name id* input_data is_failure_handler output_data phase pillar_versions reaped_at run_key session_key started_at status tags user_key workflow_id'),
    ('run_parents', 'id* parent_run_id*'),
    ('workflow_steps', 'attempt cached_tokens call_key cost_note cost_source cost_usd error executed_at id* latency_ms model provider_cost_usd run_id* status step_key step_name tokens_input tokens_output usage'),
    ('step_corrections', 'attempt cached_tokens call_key corrects* cost_note cost_source cost_usd error executed_at id* latency_ms model provider_cost_usd reason run_id* status step_key step_name tokens_input tokens_output usage'),
    ('purged_sums', 'at cached_tokens cancelled cost_usd failed failed_steps id is_call latencies model phase priced_steps retried_steps running runs skipped_steps status step_name steps succeeded tokens_input tokens_output unpriced_steps user_id workflow_id'),
    ('purged_calls', 'is_call is_kept model run_id*'),
    ('insight_evidence', 'changed_at chunk_id* created_at deleted_at end_char ended_at evidence_key id* insight_id* is_first is_for kind merged_from* note run_id* source_id* source_key source_name start_char step_id* text_hash url witness'),
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
  perform matrice.restore_pillar(project, 'P1', 2), matrice.label_pillar(project, 'P1', 1, 'approved');
  source := matrice.ingest_source(project, 'doc', 'One is red. Two is blue. Three is green.', max_tokens => 5, overlap_tokens => 0,
                                  spans => '[{"start_char": 0, "page": 1}, {"start_char": 13, "page": 2}]', metadata => '{"k": 0.10}');
  perform matrice.chunk_source(source, 'One is red. Two is blue. Four is grey.');
  perform matrice.ingest_chunks(project, 'cut by a client', '[{"content": "alpha", "metadata": {"page": 3}}, {"content": "beta"}]');
  perform matrice.set_source_error(matrice.ingest_chunks(project, 'broken', '[{"content": "gamma"}]'), 'The file is damaged.');
  perform matrice.store_embeddings('tiny', array_agg(c.id order by c.id), jsonb_agg(jsonb_build_array(0.1, 1e-3, c.chunk_index + 1) order by c.id))
    from matrice.source_chunks c where c.project_id = project and c.content <> 'beta';
  old := matrice.record_insight(project, 'decision', 'Old', 'We use A.', 0.123456789012345);
  new := matrice.record_insight(project, 'decision', 'New', 'We use B.', 1, '["x"]', source, '{"why": 1e-7}');
  perform matrice.supersede_insight(old, new), matrice.record_insight(project, 'pattern', 'P', 'It repeats each morning at the same hour.');
  perform matrice.record_insight(project, 'pattern', 'P', 'It repeats each morning at the same hour again.');
  perform matrice.store_embeddings('tiny', array[old, new], '[[0.1, 1e-3, 1], [1, 2, 3]]');
  parent := matrice.start_run(project, 'parent', 'e', started_at => '2026-01-01 00:00:00.123456Z');
  run := matrice.start_run(project, 'child', 'e', 'key', 'P2', '{"in": 1}', '2026-01-02Z', parent_run_id => parent, user_key => 'u', tags => '["t"]');
  step := matrice.record_step(run, 'priced', 'success', 12.5, 'gpt-4o', 100, 20, step_key => 'a', executed_at => '2026-01-02Z');
  perform matrice.record_step(run, 'unpriced', 'success', 3, 'unheard-of', 100, 20, executed_at => '2026-01-02Z'),
          matrice.record_step(run, 'given', 'success', 3, 'gpt-4o', 1, 2, cost_usd => 0.000123456789, executed_at => '2026-01-02Z'),
          matrice.record_step(run, 'now', 'success', 3, 'gpt-4o', 1000000, 2, cost_usd => 2.5),
          matrice.record_step(run, 'waiting', 'running', step_key => 'b', executed_at => '2026-01-02Z');
  perform matrice.correct_step(step, 'The bill says so.', 0.00001);
  perform matrice.finish_run(run, 'completed', '{"out": null}');
  run := matrice.start_run(project, 'of unknown phase', 'e');
  update matrice.workflow_runs r set phase = null, pillar_versions = null where r.id = run;
end
$$;
create function tests.renew(line text, project uuid) returns text language sql as $$
  select string_agg(case when part ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
                      case when part = tests.id('atlas')::text then project::text
                           else overlay(overlay(left(encode(sha256(uuid_send(project) || uuid_send(part::uuid)), 'hex'), 32) placing '8' from 13) placing 'a' from 17)::uuid::text end
                    else part end, '"' order by place)
    from unnest(string_to_array(line, '"')) with ordinality p (part, place)
$$;
select tests.remember('slow', 'dddddddd-0000-4000-8000-000000000000');
create function tests.batch(first bigint, last bigint, new_ids boolean default true) returns text language plpgsql as $$
begin
  return (select next_line || case when is_finished then ' finished' else '' end
            from matrice.import_project(array(select line from file where number between first and last order by number), tests.id('slow'), first, new_ids));
end
$$;
-- How an import of the file goes with one line changed, and without the last line, whose hash refuses every file that was changed.
create function tests.try(at bigint, changed text) returns text language plpgsql as $$
begin
  perform matrice.import_project(array(select case number when at then changed else line end from file
                                        where number < (select max(number) from file) or number = at order by number), new_ids => true);
  raise exception 'imported' using errcode = 'PT299';
exception when others then
  return case when sqlstate in ('22023', 'PT409', 'PT402', 'PT299') then sqlstate else format('%s %s: %s', sqlstate, sqlerrm, left(changed, 200)) end;
end
$$;
-- How an import of the file, with its ids, goes with an id of another project in one row.
create function tests.swap(part text, name text, foreign_part text, foreign_name text) returns text language plpgsql as $$
declare
  theirs text := (select line::jsonb -> 'row' ->> foreign_name from foreign_file where line::jsonb ->> 'part' = foreign_part order by number limit 1);
  ours   text := (select line from file where line::jsonb ->> 'part' = part and line::jsonb -> 'row' ->> name is not null order by number limit 1);
begin
  perform matrice.import_project(array(
    select case when line = ours then jsonb_set(line::jsonb, array['row', name], to_jsonb(theirs))::text else line end
      from file where number < (select max(number) from file) order by number));
  return 'imported';
exception when others then
  return sqlstate;
end
$$;
-- The file with the first row of a part changed, without the last line.
create function tests.with_row(part text, changed jsonb) returns text[] language plpgsql as $$
begin
  return array(select case when number = (select min(number) from file where line::jsonb ->> 'part' = part)
                           then jsonb_set(line::jsonb, '{row}', line::jsonb -> 'row' || changed)::text else line end
                 from file where number < (select max(number) from file) order by number);
end
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
-- Steps that were purged, of a run that is gone and of one that is not.
select tests.remember('purged', matrice.start_run(tests.id('atlas'), 'old', 'x', started_at => '2024-01-01 00:05Z', user_key => 'anna')),
       tests.remember('thinned', matrice.start_run(tests.id('atlas'), 'old', 'x', started_at => '2024-01-01 00:05Z'));
select matrice.record_step(tests.id(run), 'ask', 'success', 900, 'gpt-4o', 1000, 100, cost_usd => 0.25, executed_at => at)
  from (values ('purged', timestamptz '2024-01-01 00:10Z'), ('thinned', '2024-01-01 00:10Z'), ('thinned', '2024-01-03Z')) s (run, at);
select matrice.finish_run(tests.id('purged'), 'completed');
select is(matrice.purge_steps(tests.id('atlas'), '2024-01-02Z'), 3::bigint, 'Two steps and a run are purged');
create temp table measured as select * from matrice.workflow_metrics(tests.id('atlas'), '2023-12-01Z', '2024-02-01Z');
grant select on measured to public;
select is((select sum(cost_usd) from measured), 0.75, 'What purged steps have cost is counted');
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
select results_eq($$select * from matrice.workflow_metrics(tests.id('copy'), '2023-12-01Z', '2024-02-01Z')$$, $$table measured$$,
                  'import_project: steps that were purged are still counted');
select results_eq($$select bucket, runs, cost_usd from matrice.workflow_metrics(tests.id('copy'), '2023-12-01Z', '2024-02-01Z', 'model')$$, $$values ('gpt-4o', 2::bigint, 0.75)$$,
                  'import_project: runs are counted for models that they called in purged steps');
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

-- In batches ------------------------------------------------------------------------------------------------------------------

select is(tests.batch(1, 2), '3', 'import_project: the first two lines make the project');
select is(tests.batch(1, 2), '3', 'import_project: the first batch sent again changes nothing');
select is(tests.batch(1, 12), '13', 'import_project: of a batch that overlaps, only the new lines are imported');
select tests.remember_state();
select tests.refuses($$select tests.batch(14, 20)$$, 'PT409', 'import_project refuses a gap', detail => '%is 13, not 14%');
select tests.refuses($$select tests.batch(14, 13)$$, '22023', 'import_project refuses an empty batch');
select is(tests.batch(5, 12), '13', 'import_project: an old batch changes nothing');
select tests.as_owner();
select tests.refuses($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('slow'), tests.id('edith'), 'editor')$$, 'PT409', 'A project that is imported has no other members, whose rows the import could change', detail => '%no other members%');
select tests.as_user('edith');
select tests.refuses($$select tests.batch(13, 14)$$, 'PT404', 'import_project: nobody else can go on with an import');
select tests.refuses($$select tests.batch(1, 14)$$, 'PT409', 'import_project: an id that is in use is refused');
select tests.as_service();
select tests.refuses($$select tests.batch(13, 14)$$, '42501', 'import_project: a service without a user is refused', hint => '%request.jwt.claims%');
select tests.as_user('mallory');
select tests.unchanged('Refused and old batches change nothing');
select is((select string_agg(tests.batch(number, number), ' ' order by number) from file where number > 12),
          (select string_agg(case when number = (select max(number) from file) then number + 1 || ' finished' else (number + 1)::text end, ' ' order by number) from file where number > 12),
          'import_project: line by line');
select is(tests.batch(20, 30), (select max(number) + 1 || ' finished' from file), 'import_project: after the end, an old batch changes nothing');
select tests.refuses(format('select matrice.import_project(%L, tests.id(''slow''), %s)', array[line], number + 1), '22023', 'import_project refuses lines after the last one') from file order by number desc limit 1;
select tests.refuses($$select matrice.import_project(array(select line from file order by number) || (select line from file order by number desc limit 1), new_ids => true)$$, '22023', 'import_project refuses two last lines');
select tests.as_owner();
select lives_ok($$insert into matrice.user_projects (project_id, user_id, role) values (tests.id('slow'), tests.id('victor'), 'viewer')$$, 'A project whose import has ended can have other members');
select tests.as_user('mallory');
select set_eq($$select line from unnest(tests.lines(tests.id('slow'))) line where line !~ '^.{0,10}"end"'$$,
              $$select tests.renew(line, tests.id('slow')) from file where line !~ '^.{0,10}"end"'$$, 'import_project in batches: the same text');

-- Nothing is trusted ------------------------------------------------------------------------------------------------------------

select tests.remember_state();
create temp table attempts as
  with picked as (
    select distinct on (line::jsonb ->> 'part') line, number, line::jsonb as content from file order by line::jsonb ->> 'part', number desc
  ), hostile (number, is_column, changed) as (
    -- Each column of one row of each part: another type, other numbers, a long, deep or impossible text.
    select s.number, true, format('{"part":"%s","row":{%s}}', s.content ->> 'part',
             (select string_agg(to_json(o.key) || ':' || case when o.key = c.key then v.value else o.value::text end, ',') from jsonb_each(s.content -> 'row') o))
      from picked s cross join lateral jsonb_object_keys(s.content -> 'row') c (key)
     cross join (values ('1e400'), ('-1'), ('"\u0000"'), ('"x"'), ('["x"]'), ('{"x": {}}'), ('"NaN"'), ('"infinity"'), ('"2999-01-01"'), ('true'), ('99999999999'),
                        (repeat('[', 200) || repeat(']', 200)), (to_json(repeat('a', 70000))::text), (to_json(tests.id('borea'))::text)) v (value)
     where v.value <> (s.content -> 'row' -> c.key)::text
    union all
    -- Columns that are left out, or that nobody exports.
    select s.number, false, jsonb_build_object('part', s.content -> 'part', 'row', (s.content -> 'row') - c.key)::text from picked s cross join lateral jsonb_object_keys(s.content -> 'row') c (key)
    union all
    select s.number, false, jsonb_build_object('part', s.content -> 'part', 'row', (s.content -> 'row') || jsonb_build_object(c.name, '1'))::text
      from picked s cross join unnest('{project_id,created_by,saved_by,fts,content_hash,embedded_count,sheets,reservation_id,role,nothing}'::text[]) c (name)
     where s.content ->> 'part' <> 'header'
    union all
    -- Lines that are no rows, that come twice or that belong elsewhere.
    select s.number, false, v.value from picked s cross join (values (''), ('null'), ('{}'), ('[]'), ('{"part":"pillars"}'), ('{"part":"pillars","row":[]}'), ('{"part":"audit_log","row":{}}'),
      ('{"part":"user_projects","row":{"role":"owner"}}'), ('{"part":null,"row":{}}'), ('{"part":"end","row":{}}'), (repeat('{"row":', 100000)), ('{"part":"x","row":{},"y":1}')) v (value)
    union all
    select s.number, false, o.line from picked s cross join picked o where o.number <> s.number
  )
  -- Some of them, the same ones each time.
  select number, is_column, changed, tests.try(number, changed) as went from hostile where abs(hashtext(number || changed)) % case when is_column then 11 else 7 end = 0;
-- Some of the other values of a column are good ones.
select is((select string_agg(went || ' ' || left(changed, 200), e'\n') from attempts where went not in ('22023', 'PT409', 'PT402') and not (is_column and went = 'PT299')),
          null, 'import_project refuses what an export does not write: ' || count(*) || ' changed lines') from attempts;
select cmp_ok((select count(*) from attempts where is_column and went <> 'PT299'), '>', 100::bigint, 'So many other values of columns were refused');
select cmp_ok((select count(*) from attempts), '>', 250::bigint, 'So many changed lines were tried');
select tests.unchanged('Refused imports change nothing');

-- Rows of somebody else's project, with the ids of the file.
select tests.as_owner();
delete from matrice.projects where id = tests.id('atlas');
delete from matrice_private.taken_project_ids where id = tests.id('atlas');
select tests.remember_state();
select tests.as_user('mallory');
select ok(tests.swap(part, name, foreign_part, foreign_name) in ('22023', 'PT409'), format('import_project refuses a %s.%s of another project', part, name))
  from (values ('pillars', 'id', 'pillars', 'id'), ('pillar_versions', 'pillar_id', 'pillars', 'id'), ('context_sources', 'id', 'context_sources', 'id'),
               ('source_texts', 'source_id', 'context_sources', 'id'), ('source_chunks', 'id', 'source_chunks', 'id'), ('source_chunks', 'source_id', 'context_sources', 'id'),
               ('chunk_embeddings', 'id', 'chunk_embeddings', 'id'), ('chunk_embeddings', 'chunk_id', 'source_chunks', 'id'), ('insights', 'source_id', 'context_sources', 'id'),
               ('insights', 'id', 'insights', 'id'), ('insight_successors', 'id', 'insights', 'id'), ('insight_successors', 'superseded_by', 'insights', 'id'),
               ('workflow_runs', 'id', 'workflow_runs', 'id'), ('run_parents', 'id', 'workflow_runs', 'id'), ('run_parents', 'parent_run_id', 'workflow_runs', 'id'),
               ('workflow_steps', 'run_id', 'workflow_runs', 'id'), ('workflow_steps', 'id', 'workflow_steps', 'id'), ('step_corrections', 'corrects', 'workflow_steps', 'id'),
               ('step_corrections', 'run_id', 'workflow_runs', 'id'), ('budget_events', 'budget_id', 'workflow_runs', 'id')) x (part, name, foreign_part, foreign_name);
select tests.unchanged('Rows of another project are not changed');
select tests.refuses(format('select matrice.import_project(%L)', array(select line from foreign_file order by number)), 'PT409', 'import_project refuses the id of a project that is there', hint => '%new_ids%');
select tests.refuses($$select matrice.import_project(array(select line from file where number <> 20 order by number))$$, '22023', 'import_project refuses a file that lacks a line');
select tests.refuses($$select matrice.import_project(array(select line from file order by number desc))$$, '22023', 'import_project refuses a file that is upside down', hint => '%"header"%');
select tests.refuses($$select matrice.import_project(array(select line from file order by line !~ '"source_chunks"', number))$$, '22023', 'import_project refuses chunks before the header');
select tests.refuses($$select matrice.import_project(array(select line from file where number < 3 or line ~ '^.{0,10}"workflow_steps"' order by number))$$, '22023', 'import_project refuses a part without the parts before it', detail => '%promises%');
select tests.refuses(format('select matrice.import_project(%L)', v.lines), '22023', 'import_project refuses ' || v.what)
  from (values ('no lines', '{}'::text[]), ('a line that is null', array[null::text]), ('a table of lines', array[array['{}'], array['{}']]), ('10001 lines', array_fill('{}'::text, array[10001])),
               ('a header without the project', (select array_agg(line) from file where number = 1)), ('another format', (select array_agg(replace(line, '"format": 1', '"format": 2') order by number) from file where number < 3)),
               ('a header with rows such as 6.0', (select array_agg(regexp_replace(line, '"pillars": (\d)', '"pillars": \1.0') order by number) from file where number < 4)),
               ('a header with an unknown part', (select array_agg(replace(line, '"pillars": ', '"secrets": 1, "pillars": ') order by number) from file where number < 3))) v (what, lines);
select tests.refuses($$select matrice.import_project('{x}', first_line => 2)$$, '22004', 'import_project refuses later lines without a project');
select tests.refuses(format('select matrice.import_project(''{x}'', tests.id(''atlas''), %s)', line), '22023', format('import_project refuses first_line %s', line)) from unnest('{0,-1,9223372036854775807}'::bigint[]) line;
select tests.refuses(format('select matrice_private.import_as_owner(%s)', a.arguments), a.code, 'import_as_owner refuses ' || a.arguments)
  from (values ('null, null, 1, true', '22004'), ('array[null::text], tests.id(''slow''), 3, true', '22023'), ('array[array[''{}''], array[''{}'']], null, 1, true', '22023'),
               ('array_fill(''{}''::text, array[10001]), null, 1, true', '22023'), ('''{x}'', tests.id(''slow''), -9223372036854775807, true', '22023'), ('''{x}'', null, null, true', '22004')) a (arguments, code);
select tests.refuses(format('select matrice.import_project(%L, new_ids => true)', tests.with_row(w.part, w.changed)), '22023', format('import_project refuses %s with %s', w.part, w.changed), detail => w.detail)
  from (values ('pillars', '{"version": 1000000000}'::jsonb, '%too high%'), ('phase_changes', '{"number": 1000000000}', '%too high%'), ('pillar_labels', '{"number": 1000000000}', '%too high%'),
               ('source_texts', '{"version": 1000000000}', '%too high%'), ('pillar_versions', '{"version": 900}', '%refers to%'), ('pillar_labels', '{"version": 900}', '%refers to%'),
               ('phase_changes', '{"entered_at": "infinity"}', '%entered_at_check%'), ('phase_changes', '{"entered_at": "4713-01-01T00:00:00+00:00 BC"}', '%entered_at_check%')) w (part, changed, detail);
select tests.as_nobody();
select tests.refuses($$select matrice.import_project(array(select line from file order by number))$$, '42501', 'import_project refuses a caller without an id');
select tests.unchanged('All of these change nothing');

-- Evidence keeps the ids of what was deleted, so a file can name any source and chunk. What happens there must not reach it.
select tests.as_owner();
create temp table theirs as
  select row_number() over () as place, jsonb_build_object('kind', t.kind, 'source_id', t.source_id, 'chunk_id', t.chunk_id) as named
    from (select 'chunk' as kind, c.source_id, c.id as chunk_id from matrice.source_chunks c where c.project_id = tests.id('borea') and c.content in ('alpha', 'beta')
          union all
          select 'source', s.id, null from matrice.context_sources s where s.project_id = tests.id('borea') and s.name in ('doc', 'broken')) t;
create temp table spying as
  select case when l.is_evidence then jsonb_set(l.line::jsonb, '{row}', l.line::jsonb -> 'row' || coalesce(t.named, '{}'))::text else l.line end as line, l.number, l.is_evidence
    from (select *, line ~ '^.{0,10}"insight_evidence"' as is_evidence, row_number() over (partition by line ~ '^.{0,10}"insight_evidence"' order by number) as place from file) l
    left join theirs t on t.place = l.place
   where l.number < (select max(number) from file);
grant select on spying to public;
select cmp_ok(count(*), '>=', 4::bigint, 'The file has evidence for each of these') from spying where is_evidence;
savepoint before_spying;
select tests.as_user('mallory');
select matrice.import_project(array(select line from spying order by number));
create temp view spied as select count(*) from matrice.insight_evidence where project_id = tests.id('atlas') and (changed_at is not null or deleted_at is not null);
create temp table spied_before as table spied;
select tests.as_user('edith');
update matrice.source_chunks set content = 'ALPHA' where project_id = tests.id('borea') and content = 'alpha';
delete from matrice.source_chunks where project_id = tests.id('borea') and content = 'beta';
select matrice.chunk_source(id, 'Another text.') from matrice.context_sources where project_id = tests.id('borea') and name = 'doc';
delete from matrice.context_sources where project_id = tests.id('borea') and name = 'broken';
select tests.as_user('mallory');
select results_eq('table spied', 'table spied_before', 'What changes in another project does not reach evidence that was imported');
rollback to before_spying;
select tests.as_owner();
update matrice.quotas set allowed = 2 where quota = 'sources_per_project';
select tests.as_user('mallory');
select tests.refuses($$select matrice.import_project(array(select line from file order by number))$$, 'PT402', 'import_project respects quotas');

-- Who may export, and what a cursor may be ----------------------------------------------------------------------------------------

select tests.refuses(call, 'PT404', call || ' by a stranger: not found')
  from unnest(array['select matrice.export_project(tests.id(''borea''))', 'select matrice.export_lines(tests.id(''borea''))', 'select matrice.export_markdown(tests.id(''borea''))']) call;
select tests.as_user('victor');
select tests.refuses(format('select matrice.export_project(tests.id(''borea''), after => %L)', cursor), '22023', 'export_project refuses after ' || left(cursor, 80))
  from unnest(array['', 'x', 'null', '[]', '{}', repeat('[', 9000), repeat('x', 20000), '{"part": "pillars", "key": [], "lines": 5, "hash": "5", "with_embeddings": false}',
                    '{"part": "user_projects", "key": [1], "lines": 5, "hash": "5", "with_embeddings": false}', '{"part": "pillars", "key": ["x"], "lines": -5, "hash": "5", "with_embeddings": false}',
                    '{"part": "pillars", "key": ["x"], "lines": 5, "hash": "1e400", "with_embeddings": false}', '{"part": "pillars", "key": ["x"], "lines": 5, "hash": "5", "with_embeddings": true}',
                    '{"part": "pillars", "key": ["x'') or true --"], "lines": 5, "hash": "5", "with_embeddings": false}']) cursor;
select tests.refuses(format('select matrice.export_project(tests.id(''borea''), page_lines => %s)', lines), '22023', 'export_project refuses page_lines ' || lines) from unnest('{0,-1,10001}'::int[]) lines;

-- One document for people -----------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.save_pillar(tests.id('borea'), 'P2', e'# Who\n\n```sh\n# no heading\n```\n## Team\n~~~\nopen');
select matrice.save_pillar(tests.id('borea'), 'P3', repeat('`', 101) || e'\n# no heading'), matrice.save_pillar(tests.id('borea'), 'P4', e'~~~ `x`\n# no heading\n~~~~\n# One');
select matrice.record_insight(tests.id('borea'), 'decision', e'Two\nlines', 'Body', 0.756, '["a", "b"]');
select alike(regexp_replace(matrice.export_markdown(tests.id('borea')), '\d{4}-\d\d-\d\d', 'DAY', 'g'), e'# borea\n\n*phase P1*\n\n## Pillars\n\n### P1 vision\n\n*Version 4, DAY*\n\n%', 'export_markdown begins with the project');
select alike(regexp_replace(matrice.export_markdown(tests.id('borea')), '\d{4}-\d\d-\d\d', 'DAY', 'g'), e'%### P2 acteurs\n\n*Version 2, DAY*\n\n#### Who\n\n```sh\n# no heading\n```\n##### Team\n~~~\nopen\n~~~\n%', 'export_markdown: headings of a pillar are below its own, and its code ends');
select alike(matrice.export_markdown(tests.id('borea')), format(e'%%\n%1$s\n# no heading\n%1$s\n\n### P4%%\n~~~ `x`\n# no heading\n~~~~\n#### One\n%%', repeat('`', 101)), 'export_markdown: fences may be long, and those of tildes be named in backticks');
select is(matrice_private.under_heading(h.given, 3), h.shown, 'export_markdown: a line below a paragraph makes a heading below its own: ' || h.given)
  from (values (e'One\n=====\ntext', e'#### One\ntext'), (e'Two\n-----', e'##### Two'), (e'a\n\nOne  \n   =  \n', e'a\n\n#### One\n'), (e'One\r\n===', e'#### One'),
               -- Rules, lists, quotes, tables and code are none.
               (e'One\n\n---', e'One\n\n---'), (e'- One\n---', e'- One\n---'), (e'> One\n---', e'> One\n---'), (e'a | b\n--- | ---', e'a | b\n--- | ---'),
               (e'# One\n---', e'#### One\n---'), (e'```\nOne\n===\n```', e'```\nOne\n===\n```'), (e'<!--\nOne\n===\n-->', e'<!--\nOne\n===\n-->'),
               (e'===\n===', e'#### ==='), (e'***\n===', e'***\n==='), (e'---', '---'), (e'    code\n---', e'    code\n---')) h (given, shown);
select is(matrice_private.under_heading(h.given, 3), h.shown, 'export_markdown: HTML that does not end ends with its text: ' || h.given)
  from (values (e'<!-- open\n\n# no heading', e'<!-- open\n\n# no heading\n-->'), (e'<!-- closed -->\n# One', e'<!-- closed -->\n#### One'), (e'<!--\n```\n-->\n# One', e'<!--\n```\n-->\n#### One'),
               (e' <SCRIPT>\nx', e' <SCRIPT>\nx\n</script>'), (e'<pre\n# x\n</PRE>\n# One', e'<pre\n# x\n</PRE>\n#### One'), (e'<?php\n# x', e'<?php\n# x\n?>'),
               (e'<![CDATA[\n>', e'<![CDATA[\n>\n]]>'), (e'<!X', e'<!X\n>'), (e'<div>\n# One', e'<div>\n#### One'), (e'<prefix>\n# One', e'<prefix>\n#### One'),
               (e'a < b\n    <!-- code\n# One', e'a < b\n    <!-- code\n#### One'), (e'```\n<!-- code\n```\n# One', e'```\n<!-- code\n```\n#### One')) h (given, shown);
select unnest(array[ok(position(e'\n### Two lines\n\nBody\n\n*decision · confidence 0.76 · ' in doc) between position(e'\n## Decisions\n' in doc) and position(e'\n## Insights\n' in doc), 'export_markdown: decisions come before other insights')
    , ok(doc like '%We use B.%· from doc · x*%', 'export_markdown: an insight names its source and tags')
    , ok(doc like e'%\n## Insights\n\n### P\n\nIt repeats each morning at the same hour%', 'export_markdown: the other insights follow')
    , ok(doc not like '%We use A.%', 'export_markdown leaves out what was superseded')])
  from matrice.export_markdown(tests.id('borea')) doc;
select unalike(matrice.export_markdown(tests.id('borea'), 0), '%We use B.%', 'export_markdown: insight_limit 0 leaves insights out');
select tests.refuses(format('select matrice.export_markdown(tests.id(''borea''), %s)', most), '22023', 'export_markdown refuses insight_limit ' || most) from unnest('{-1,2001}'::int[]) most;

select * from finish();
rollback;
