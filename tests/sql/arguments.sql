begin;
\ir helpers/setup.psql
select no_plan();

-- What every function of the API answers to arguments that are null or wrong: never a raw error, never nothing.
-- Functions, arguments and defaults are read from the catalogue, so a new function fails here until it has its values.

set local statement_timeout = '10min';
select tests.project('atlas');
select matrice.register_model('short', 3, truncated_from => 'text-embedding-3-small');
select tests.as_user('alice');
select tests.remember('source', matrice.ingest_source(tests.id('atlas'), 'log', 'The wind rose at dawn'));
select tests.remember('chunk', chunk_id) from matrice.claim_chunks(project_id => tests.id('atlas'));
select matrice.store_embeddings('text-embedding-3-small', array[tests.id('chunk')], jsonb_build_array(to_jsonb(array_fill(0.1, array[1536]))));
select matrice.save_pillar(tests.id('atlas'), 'P1', 'To sail');
select tests.remember('old', matrice.record_insight(tests.id('atlas'), 'learning', 'Wind', 'It rises'));
select tests.remember('new', matrice.record_insight(tests.id('atlas'), 'learning', 'Wind', 'It rises at dawn'));
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'sail', 'tide'));
select tests.remember('step', matrice.record_step(tests.id('run'), 'look', 'success'));
select tests.remember('conversation', matrice.start_conversation(tests.id('atlas')));
select matrice.record_answer(tests.id('run'), 'wind', jsonb_build_array(tests.id('chunk')));
select matrice.set_budget(tests.id('atlas'), 100);
select tests.remember('reservation', matrice.reserve_budget(tests.id('atlas'), 1));
select tests.as_owner();

-- Valid values --------------------------------------------------------------------------------------------------------

create temp table valid (argument text, value text, function text) on commit drop;
-- Of one function, where it is named; else of all that take the argument.
insert into valid values
  ('project_id', $$tests.id('atlas')$$), ('source_id', $$tests.id('source')$$), ('run_id', $$tests.id('run')$$),
  ('user_id', $$tests.id('victor')$$), ('old_id', $$tests.id('old')$$), ('new_id', $$tests.id('new')$$),
  ('chunk_ids', $$array[tests.id('chunk')]$$), ('name', $$'x'$$), ('description', $$'x'$$), ('domain', $$'x'$$), ('settings', $$'{}'$$),
  ('phase', $$'P1'$$), ('code', $$'P1'$$), ('content', $$'x'$$), ('metadata', $$'{}'$$), ('expected_version', '2'), ('version', '1'),
  ('from_version', '1'), ('to_version', '2'), ('context_lines', '3'), ('at', 'now()'), ('label', $$'draft'$$), ('is_release', 'false'),
  ('only_code', $$'P1'$$), ('only_label', $$'draft'$$), ('pillars', $$'{P1}'$$),
  ('email', $$'erin@example.org'$$), ('role', $$'viewer'$$), ('valid_for', $$'7 days'$$), ('token', $$'a guess'$$),
  ('type', $$'x'$$), ('format', $$'text'$$), ('max_tokens', '512'), ('overlap_tokens', '64'), ('storage_path', $$'x'$$),
  ('model', $$'text-embedding-3-small'$$), ('batch_size', '1'), ('lease_id', 'gen_random_uuid()'), ('lease_seconds', '60'), ('error', $$'x'$$),
  ('source_key', $$'x'$$), ('source_keys', $$'{x}'$$), ('prefix', $$'x'$$), ('max_share', '1'), ('dry_run', 'true'), ('spans', $$'[{"start_char": 0, "page": 1}]'$$),
  ('chunks', $$'[{"content": "x"}]'$$), ('source_ids', $$array[tests.id('source')]$$),
  ('max_batch_tokens', '100'), ('max_inputs', '1'), ('max_input_tokens', '100'), ('permanent', 'false'),
  ('tokens', $$'{1}'$$),
  ('embeddings', $$jsonb_build_array(to_jsonb(array_fill(0.1, array[1536])))$$),
  ('query_embedding', 'array_fill(0.1, array[1536])::' || :'vector_schema' || '.vector'), ('query_text', $$'wind'$$), ('quote', $$'wind'$$), ('match_count', '10'),
  ('match_threshold', '0.5'), ('filter', $$'{}'$$), ('diversity', '0'), ('max_per_source', '1'), ('expand', '0'), ('highlight', 'true'),
  ('highlight_fragments', '1'), ('highlight_html', 'true'), ('words', $$'any'$$), ('fusion', $$'score'$$), ('min_score', '0'), ('min_similarity', '0'),
  ('language', $$'simple'$$),
  ('full_text_weight', '1'), ('semantic_weight', '1'), ('rrf_k', '50'), ('token_budget', '100'), ('target_model', $$'gpt-4o'$$),
  ('insights', '1'), ('scores', $$jsonb_build_object(tests.id('chunk'), 1)$$), ('sample', '1'), ('include_superseded', 'true'),
  ('queries', $$jsonb_build_array(jsonb_build_object('query_text', 'wind', 'relevant', jsonb_build_object(tests.id('chunk'), 1)))$$),
  ('insight_id', $$tests.id('old')$$), ('kept_id', $$tests.id('old')$$), ('merged_ids', $$array[tests.id('new')]$$),
  ('subject', 'null'), ('attribute', 'null'), ('value', 'null'), ('volatility', $$'fast'$$), ('valid_until', $$'2199-01-01'$$),
  ('url', $$'https://example.org'$$), ('note', $$'x'$$),
  ('title', $$'x'$$), ('conversation_id', $$tests.id('conversation')$$), ('question', $$'wind'$$), ('is_private', 'true'),
  ('citations', $$jsonb_build_array(tests.id('chunk'))$$), ('rating', '1'), ('comment', $$'x'$$), ('confidence', '0.5'), ('tags', $$'[]'$$), ('evidence', $$'{}'$$), ('workflow_id', $$'sail'$$), ('event_name', $$'tide'$$),
  ('run_key', $$'key'$$), ('input_data', $$'{}'$$), ('output_data', $$'{}'$$), ('step_name', $$'x'$$), ('step_key', $$'key'$$), ('status', $$'success'$$),
  ('latency_ms', '1'), ('tokens_input', '1'), ('tokens_output', '1'), ('usage', $$'{}'$$), ('response', $$'{}'$$), ('attempt', '1'), ('cost_usd', '1'),
  ('executed_at', 'now()'), ('priced_at', 'now()'), ('since', $$'2026-01-01'$$), ('until', 'now()'), ('group_by', $$'day'$$), ('dimensions', '3'), ('is_default', 'false'),
  ('truncated_from', $$'gte-small'$$),
  ('fill', 'true'), ('workflow', $$'sail'$$), ('order_by', $$'cost'$$), ('most', '10'),
  ('started_at', 'now()'), ('completed_at', 'now()'), ('parent_run_id', $$tests.id('run')$$), ('user_key', $$'x'$$), ('session_key', $$'x'$$),
  ('is_failure_handler', 'false'), ('call_key', 'null'), ('older_than', $$'1 day'$$), ('step_id', $$tests.id('step')$$), ('reason', $$'x'$$),
  ('steps', $$jsonb_build_array(jsonb_build_object('run_id', tests.id('run'), 'step_name', 'x', 'status', 'success'))$$),
  ('prices', 'null'), ('same_as', $$'gpt-4o'$$), ('factor', '1'), ('valid_from', 'now()'), ('provider', $$'openai'$$), ('catalogue', $$'{"models": {}}'$$),
  ('limit_usd', '1'), ('period', $$'day'$$), ('time_zone', $$'Europe/Paris'$$), ('hard', 'false'), ('thresholds', $$'{0.5}'$$),
  ('with_embeddings', 'false'), ('page_lines', '10'), ('insight_limit', '10'), ('first_line', '1'), ('new_ids', 'true'), ('after', 'null'),
  ('lines', $$array(select e.line from matrice.export_project(tests.id('atlas')) e)$$),
  ('estimate_usd', '0.5'), ('max_tokens_output', '1'), ('reservation_id', $$tests.id('reservation')$$);
-- With scores, build_context needs no vector.
-- A run has an id, or a key.
insert into valid select argument, 'null', function
  from unnest(array['project_id', 'workflow_id', 'run_key']) argument, unnest(array['record_step', 'finish_run']) function;
insert into valid values ('status', $$'completed'$$, 'finish_run'), ('role', $$'user'$$, 'add_turn'), ('error', $$'{}'$$, 'record_step'), ('error', $$'{}'$$, 'finish_run'), ('scores', 'null', 'build_context'),
  ('phase', $$'P1'$$, 'workflow_metrics'), ('older_than', $$'2026-01-01'$$, 'purge_steps'),
  ('name', $$'default'$$, 'remove_budget'), ('valid_for', $$'1 hour'$$, 'reserve_budget'), ('project_id', 'gen_random_uuid()', 'import_project'),
  ('language', $$'en'$$, 'report'), ('since', $$now() - interval '1 day'$$, 'report'),
  ('model', $$'gte-small'$$, 'drop_embeddings'), ('model', $$'short'$$, 'truncate_embeddings');
grant select on valid to public;

create temp table arguments on commit drop as
select p.proname::text as function, p.prolang = (select oid from pg_language where lanname = 'c') as is_engine, a.place, a.name,
       format_type(a.type, null) as type,
       -- Required arguments come first. A default of null is one that means something, or nothing.
       a.place > p.pronargs - p.pronargdefaults and pg_get_function_arg_default(p.oid, a.place::integer) like 'NULL%'
         -- What APIs of models report may have none of these.
         or (p.proname, a.name) in (('calculate_cost', 'tokens_input'), ('calculate_cost', 'tokens_output'), ('record_step', 'usage')) as may_be_null,
       coalesce((select v.value from valid v where v.argument = a.name and v.function = p.proname),
                (select v.value from valid v where v.argument = a.name and v.function is null)) as value
  from pg_proc p cross join unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) with ordinality as a (name, type, place)
 where p.pronamespace = 'matrice'::regnamespace and not starts_with(p.proname, '_')
   -- Relationships of PostgREST cannot be called themselves.
   and (p.proargnames is not null or p.pronargs = 0);
grant select on arguments to public;

-- Calls a function with valid arguments but for one, undoes what it did, and tells the error; a null code is none.
create function tests.answer(function text, argument text default null, wrong text default null, out code text, out message text, out detail text,
                             out hint text)
language plpgsql as $$
begin
  begin
    execute format('select * from matrice.%I(%s)', function, (
      select string_agg(format('%I => %s', a.name, case a.name when argument then '(' || coalesce(wrong, 'null') || ')::' || a.type else a.value end), ', ')
        from arguments a where a.function = $1));
    raise exception using errcode = 'TS000';
  exception when others then
    get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail, hint = pg_exception_hint;
    code := nullif(code, 'TS000');
  end;
end
$$;

select is_empty('select function, name from arguments where value is null', 'Every argument of every function has a valid value here');

select tests.as_user('alice');
-- Users may not register models, load prices or reap runs.
select is(a.code, case when function = 'accept_invite' then 'PT404' when function in ('load_prices', 'register_model', 'reap_runs') then '42501' end, function || ' takes its valid arguments')
  from (select distinct function from arguments) f cross join tests.answer(function) a
 order by function;

-- Nulls ---------------------------------------------------------------------------------------------------------------

select is(a.code, '22004', format('%s refuses %s null', function, name))
  from arguments cross join tests.answer(function, name) a where not is_engine and not may_be_null;
select ok(a.message = name || ' must not be null' or name = 'chunk_ids',
          format('%s of %s null has a message that names the argument: %s', function, name, a.message))
  from arguments cross join tests.answer(function, name) a where not is_engine and not may_be_null;
select ok(a.hint <> '', format('%s of %s null gives a hint', function, name))
  from arguments cross join tests.answer(function, name) a where not is_engine and not may_be_null;
select is(a.code, case when function in ('register_model', 'reap_runs') then '42501' end, format('%s takes %s null as left out', function, name))
  from arguments cross join tests.answer(function, name) a where not is_engine and may_be_null;

-- Wrong values --------------------------------------------------------------------------------------------------------

select tests.as_owner();
create temp table wrong (type text, value text) on commit drop;
insert into wrong values
  ('text', $$''$$), ('text', $$' '$$), ('text', $$'P1 '$$), ('text', $$'Owner'$$), ('text', $$' SUCCESS'$$), ('text', $$'{}'$$), ('text', $$E'\x01'$$),
  ('text', $$'🐋'$$),
  ('text', $$'a@b.c, d@e.f'$$), ('text', $$repeat('x', 100000)$$), ('text', $$repeat('"', 3000)$$), ('text', $$repeat('x ', 3000)$$),
  ('text', $$'%s % \ '' " $1 {0}'$$),
  ('integer', '-1'), ('integer', '0'), ('integer', '2147483647'), ('integer', '(-2147483648)'),
  ('bigint', '-1'), ('bigint', '9223372036854775807'), ('bigint', '(-9223372036854775808)'),
  ('double precision', $$'NaN'$$), ('double precision', $$'Infinity'$$), ('double precision', $$'-Infinity'$$), ('double precision', '1e308'),
  ('double precision', '5e-324'), ('double precision', '-1'),
  ('numeric', $$'NaN'$$), ('numeric', $$'Infinity'$$), ('numeric', '-1'), ('numeric', '1e8'), ('numeric', '1e10000'), ('numeric', '1e-10000'),
  ('jsonb', $$'null'$$), ('jsonb', $$'{}'$$), ('jsonb', $$'[]'$$), ('jsonb', $$'""'$$), ('jsonb', $$'"{}"'$$), ('jsonb', '$$"[]"$$'), ('jsonb', '$$0$$'),
  ('jsonb', '$$true$$'),
  ('jsonb', $$'[null]'$$), ('jsonb', $$'[[]]'$$), ('jsonb', $$'[{}]'$$), ('jsonb', $$'[[1e10000]]'$$), ('jsonb', $$'[["x"]]'$$), ('jsonb', $$'{"": null}'$$),
  ('jsonb', $$'{"x": "y"}'$$), ('jsonb', $$'{"language": "English "}'$$), ('jsonb', $$'{"language": 1}'$$), ('jsonb', $$'{"embedding_model": null}'$$),
  ('jsonb', $$'{"app": []}'$$),
  ('jsonb', $$'{"cached_tokens": "1"}'$$), ('jsonb', $$'{"cached_tokens": 1e10000}'$$), ('jsonb', $$'{"cached_tokens": 1e-10000}'$$),
  ('jsonb', $$'{"service_tier": {}}'$$), ('jsonb', $$'{"speed": 1}'$$),
  ('jsonb', $$'{"total_tokens": 1}'$$), ('jsonb', $$'{"total_tokens": 1e10000}'$$), ('jsonb', $$jsonb_build_object(repeat('x', 100000), 1)$$),
  ('jsonb', $$jsonb_build_object('x', repeat('x', 100000))$$), ('jsonb', $$(repeat('[', 3000) || repeat(']', 3000))$$),
  ('jsonb', $$(repeat('{"x":', 3000) || '1' || repeat('}', 3000))$$),
  ('jsonb', $$jsonb_build_object(tests.id('chunk'), '1e-400'::numeric)$$), ('jsonb', $$jsonb_build_object(tests.id('chunk'), '1e400'::numeric)$$),
  ('jsonb', $$jsonb_build_object(upper(tests.id('chunk')::text), 1)$$),
  ('jsonb', $$jsonb_build_array(jsonb_build_object('query_text', 'x', 'relevant', jsonb_build_object(tests.id('chunk'), '1e-400'::numeric)))$$),
  ('jsonb', $$jsonb_build_array(jsonb_build_object('query_text', 'x', 'relevant', jsonb_build_object(upper(tests.id('chunk')::text), 1)))$$),
  ('jsonb', $$jsonb_build_array(jsonb_build_object('query_embedding', array['1e-400'::numeric], 'relevant', jsonb_build_object(tests.id('chunk'), 1)))$$),
  ('uuid', $$tests.id('nowhere')$$), ('uuid', $$'00000000-0000-0000-0000-000000000000'$$),
  ('uuid[]', $$'{}'$$), ('uuid[]', $$array[null]$$), ('uuid[]', $$array[tests.id('nowhere')]$$),
  ('uuid[]', $$array[[tests.id('chunk')], [tests.id('chunk')]]$$),
  ('integer[]', $$'{}'$$), ('integer[]', $$'{null}'$$), ('integer[]', $$'{-1}'$$), ('integer[]', $$'{2147483647}'$$), ('integer[]', $$'{{1,2},{3,4}}'$$),
  ('timestamp with time zone', $$'infinity'$$), ('timestamp with time zone', $$'-infinity'$$), ('timestamp with time zone', $$'4714-11-24 BC'$$),
  ('timestamp with time zone', $$'294276-12-31'$$),
  ('interval', $$'0'$$), ('interval', $$'-1 day'$$), ('interval', $$'178000000 years'$$), ('interval', $$'-178000000 years'$$), ('interval', $$'7'$$),
  ('vector', $$'[1]'$$), ('vector', $$array_fill(0, array[1536])$$), ('vector', $$array_fill(1e38, array[1536])$$),
  ('vector', $$array_fill(1e-38, array[1536])$$);
grant select on wrong to public;
create temp table answers on commit drop as
select a.function, a.name, w.value, null::text as code, null::text as message, null::text as detail, null::text as hint
  from arguments a join wrong w on a.type in (w.type, :'vector_schema' || '.' || w.type) limit 0;
grant select, insert on answers to public;

select tests.as_user('alice');
insert into answers
select a.function, a.name, w.value, r.*
  from arguments a join wrong w on a.type in (w.type, :'vector_schema' || '.' || w.type)
 cross join tests.answer(a.function, a.name, w.value) r;
select cmp_ok(count(*), '>', 1500::bigint, 'More than 1,500 calls with a wrong argument were made') from answers;
-- Other codes of PostgreSQL's own would be raw errors.
select is_empty(
  $$select function, name, left(value, 60), code, left(message, 100) from answers where code not in ('22023', '22004', '42501', '54000', 'PT404', 'PT409', 'PT402')$$,
  'No function of the API answers a wrong argument with an SQLSTATE of PostgreSQL''s own');
select is_empty($$select function, name, left(value, 60), code, left(message, 100) from answers where code is not null and detail = '' and hint = ''$$,
                'Every error for a wrong argument has a detail or a hint');
select is_empty($$select function, name, left(value, 60), length(message), length(detail), length(hint) from answers
                   where length(message) > 250 or length(detail) > 300 or length(hint) > 1000$$,
                'L8: no message is above 250 characters, no detail above 300, no hint above 1,000');

-- Long texts are refused unless they are of a kind that is long: documents, or errors, of which the beginning is kept. A step's
-- model, usage and response are cut to what is known of them.
select set_eq($$select function, name from answers
                 where code is null and value in ('repeat(''x'', 100000)', 'jsonb_build_object(''x'', repeat(''x'', 100000))')$$,
              $$values ('add_turn', 'content'), ('analyze_text', 'content'), ('chunk_source', 'content'), ('chunk_text', 'content'),
                       ('count_tokens', 'content'), ('ingest_source', 'content'), ('save_pillar', 'content'), ('sync_source', 'content'),
                       ('tokenize', 'content'), ('truncate_tokens', 'content'), ('find_quote', 'quote'), ('fail_chunks', 'error'),
                       ('set_source_error', 'error'), ('calculate_cost', 'model'), ('record_step', 'usage'), ('record_step', 'response'),
                       ('start_run', 'input_data'), ('finish_run', 'output_data')$$,
              'Only these arguments take 100,000 characters');

-- Wrong values that are not to be taken for others ----------------------------------------------------------------------

select is(a.code, '22023', format('%1$s refuses %3$s %2$s', function, value, name))
  from (values
    ('set_phase', 'phase', $$'P1 '$$), ('set_phase', 'phase', $$'p1'$$), ('set_member_role', 'role', $$'Owner'$$), ('invite_member', 'role', $$' viewer'$$),
    ('record_step', 'status', $$'SUCCESS'$$), ('finish_run', 'status', $$'completed '$$), ('workflow_metrics', 'group_by', $$'Day'$$),
    ('workflow_metrics', 'time_zone', $$'CEST'$$), ('workflow_metrics', 'time_zone', $$'Europe/Paris '$$), ('top_runs', 'order_by', $$'Cost'$$),
    ('purge_steps', 'most', '0'), ('purge_steps', 'older_than', $$'infinity'$$),
    ('create_project', 'settings', $$'"{}"'$$), ('create_project', 'settings', $$'[]'$$), ('create_project', 'settings', $$'{"language": "English"}'$$),
    ('create_project', 'settings', $$'{"lang": "english"}'$$), ('create_project', 'settings', $$'{"language": null}'$$),
    ('create_project', 'settings', $$'{"app": "x"}'$$),
    ('ingest_source', 'metadata', $$'[]'$$), ('ingest_source', 'format', $$'Markdown'$$), ('save_pillar', 'metadata', $$'"{}"'$$),
    ('record_insight', 'tags', $$'{}'$$), ('record_insight', 'tags', $$'"[]"'$$), ('match_chunks', 'filter', $$'"{}"'$$),
    ('match_chunks', 'match_threshold', '75'), ('search_chunks', 'words', $$'All'$$), ('search_chunks', 'words', $$''$$), ('hybrid_search', 'words', $$'x'$$),
    ('hybrid_search', 'fusion', $$'RRF'$$), ('search_chunks', 'highlight_fragments', '11'), ('search_chunks', 'min_score', $$'NaN'$$),
    ('hybrid_search', 'min_similarity', $$'NaN'$$), ('analyze_text', 'language', $$'English'$$), ('analyze_text', 'language', $$''$$),
    ('reindex_text', 'batch_size', '0'),
    ('match_chunks', 'model', $$' text-embedding-3-small'$$), ('match_chunks', 'model', $$''$$), ('start_run', 'run_key', $$''$$),
    ('record_step', 'step_key', $$''$$),
    ('start_run', 'event_name', $$' '$$), ('calculate_cost', 'usage', $$'[]'$$),
    ('store_embeddings', 'embeddings', $$'"[]"'$$),
    ('rerank_chunks', 'scores', $$'[]'$$), ('set_price', 'factor', $$'NaN'$$), ('load_prices', 'catalogue', $$'{}'$$), ('rerank_chunks', 'scores', $$'{"x": 1}'$$), ('evaluate_search', 'queries', $$'{}'$$)
  ) as calls (function, name, value) cross join tests.answer(function, name, value) a;

select results_eq($$select score from matrice.rerank_chunks(jsonb_build_object(tests.id('chunk'), '1e-400'::numeric))$$, $$values (0::double precision)$$,
                  'L8: rerank_chunks takes score 1e-400 as 0');
select results_eq($$select score from matrice.rerank_chunks(jsonb_build_object(tests.id('chunk'), 1, upper(tests.id('chunk')::text), 2))$$,
                  $$values (2::double precision)$$,
                  'rerank_chunks returns a chunk once whose id comes in two spellings');

-- Internals, which SQL reaches as well ---------------------------------------------------------------------------------

select tests.as_owner();
create temp table internals on commit drop as
select p.oid::regprocedure::text as function, p.prorettype = 'void'::regtype as is_void,
       format('select * from %I.%I(%s)', 'matrice_private', p.proname,
              (select string_agg('null::' || case t.typname when 'anyelement' then 'text' else format_type(t.oid, null) end, ', ' order by a.place)
                 from unnest(p.proargtypes::oid[]) with ordinality a (type, place) join pg_type t on t.oid = a.type)) as call
  from pg_proc p
 where p.pronamespace = 'matrice_private'::regnamespace and p.prorettype <> 'trigger'::regtype and has_function_privilege('authenticated', p.oid, 'execute');
grant select on internals to public;
create function tests.code_of(statement text) returns text language plpgsql as $$
begin
  begin
    execute statement;
    raise exception using errcode = 'TS000';
  exception when others then
    return nullif(sqlstate, 'TS000');
  end;
end
$$;
select tests.as_user('alice');
select unalike(coalesce(tests.code_of(call), 'none'), 'XX%', 'L8: ' || function || ' answers nulls without an internal error') from internals;
select tests.refuses($$select * from matrice_private.nearest_to_member((select embedding from matrice.chunk_embeddings limit 1), null, 'no-such-model', 10, '{}')$$,
                     '22023', 'L8: nearest_to_member refuses model no-such-model', hint => '%');

select * from finish();
rollback;
