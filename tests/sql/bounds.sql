begin;
\ir helpers/setup.psql
select no_plan();

-- Every column that a client can write, found in the catalogue: what is too large, too deep or no number is refused or replaced, in an
-- update as in an insert. A column that is new and has no bound fails here by its name.

create function tests.row_of(tab text) returns text language sql as $$
  select case tab
    when 'projects' then format('id = %L', tests.id('atlas'))
    when 'user_projects' then format('project_id = %L and user_id = %L', tests.id('atlas'), tests.id('victor'))
    when 'embedding_models' then 'model = ''tiny too'''
    when 'model_prices' then 'model = ''bounded'''
    when 'model_price_windows' then 'model = ''bounded'''
    when 'model_price_multipliers' then 'model = ''bounded'''
    when 'quotas' then 'quota = ''bounded'''
    when 'workflow_runs' then format('id = %L', tests.id('run'))
    else format('project_id = %L', tests.id('atlas'))
  end
$$;

-- What makes a copy of the row another one, by table: everything that is unique in it.
create function tests.other(tab text) returns jsonb language sql as $$
  select case tab
    when 'user_projects' then jsonb_build_object('user_id', tests.id('oscar'))
    when 'project_invitations' then jsonb_build_object('email', 'other@example.org', 'token_hash', sha256('other'))
    when 'pillars' then '{"code": "P6"}'
    when 'source_chunks' then '{"chunk_index": 5}'
    when 'chunk_embeddings' then '{"model": "tiny too"}'
    when 'embedding_leases' then '{"model": "tiny too"}'
    when 'embedding_models' then '{"model": "another", "is_default": false}'
    when 'model_prices' then '{"model": "another"}'
    when 'model_price_windows' then '{"model": "another"}'
    when 'model_price_multipliers' then '{"model": "another"}'
    when 'project_prices' then '{"model": "another"}'
    when 'quotas' then '{"quota": "another"}'
    when 'conversation_turns' then '{"turn": 2}'
    when 'answers' then jsonb_build_object('run_id', tests.id('another run'))
    when 'answer_passages' then jsonb_build_object('chunk_id', gen_random_uuid())
    when 'answer_ratings' then jsonb_build_object('user_id', tests.id('alice'))
    else '{}'
  end || case when tab in ('user_projects', 'embedding_leases', 'embedding_models', 'model_prices', 'model_price_windows',
                           'model_price_multipliers', 'project_prices', 'quotas') then '{}' else jsonb_build_object('id', gen_random_uuid()) end
$$;

create temp table hostile (type regtype, value text) on commit drop;
insert into hostile values
  ('text', repeat('x ', 600000)), ('bytea', '\x' || repeat('00', 100000)), ('bytea', '\x'),
  ('jsonb', jsonb_build_object('x', repeat('x ', 300000))::text), ('jsonb', jsonb_build_array(repeat('x ', 300000))::text),
  ('jsonb', '{"x": ' || repeat('[', 66) || repeat(']', 66) || '}'), ('jsonb', repeat('[', 67) || repeat(']', 67)),
  ('jsonb', '{"x": 1e100000}'), ('jsonb', '[-1e309]'), ('jsonb', '[' || repeat('0e-16000, ', 50) || '0]'),
  ('jsonb', '{"x": [' || repeat('0e-16000, ', 50) || '0]}'),
  ('integer', '2147483647'), ('integer', '-2147483648'), ('integer', '-1'),
  ('bigint', '9223372036854775807'), ('bigint', '-9223372036854775808'), ('bigint', '-1'),
  ('numeric', 'NaN'), ('numeric', 'Infinity'), ('numeric', '-Infinity'), ('numeric', '-1'), ('numeric', '1e1000'),
  ('double precision', 'NaN'), ('double precision', 'Infinity'), ('double precision', '-Infinity'), ('double precision', '1e308'), ('double precision', '-1'),
  ('real', 'NaN'), ('real', 'Infinity'), ('real', '-Infinity'), ('real', '1e38'), ('real', '-1'),
  ('timestamptz', 'infinity'), ('timestamptz', '294276-12-31 00:00Z'), ('timestamptz', '4000-01-01 BC'),
  ('integer[]', '{2147483647}'), ('integer[]', '{}'), ('integer[]', (select array_agg(1) from generate_series(1, 10000))::text);
-- The first rate of a model is from -infinity on.
insert into hostile values ('timestamptz', '-infinity');
-- These have bounds of their own: a length of sixteen bytes, of a day, of 16,000 finite numbers, three ratings, and what triggers alone write.
create temp table bounded (type text) on commit drop;
insert into bounded values ('uuid'), ('boolean'), ('time without time zone'), ('vector'), ('smallint'), ('bit varying'), ('tsvector');
grant select on hostile, bounded to public;

select tests.project('atlas');
insert into matrice.embedding_models (model, dimensions) values ('tiny', 3), ('tiny too', 3);
insert into matrice.pillars (project_id, code, name) values (tests.id('atlas'), 'P1', 'vision');
insert into matrice.project_invitations (project_id, email, token_hash, invited_by) values (tests.id('atlas'), 'a@example.org', sha256('a'), tests.id('alice'));
insert into matrice.context_sources (id, project_id, name) values (tests.id('source'), tests.id('atlas'), 'source');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('chunk'), tests.id('source'), 0, 'words');
insert into matrice.chunk_embeddings (chunk_id, model, embedding) values (tests.id('chunk'), 'tiny', '[1,2,3]');
insert into matrice.embedding_leases (chunk_id, model, leased_until) values (tests.id('chunk'), 'tiny', now());
insert into matrice.insights (project_id, type, title, content) values (tests.id('atlas'), 'learning', 'words', 'words');
insert into matrice.workflow_runs (id, project_id, workflow_id) values (tests.id('run'), tests.id('atlas'), 'w');
insert into matrice.workflow_steps (run_id, step_name, status) values (tests.id('run'), 's', 'success');
insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('bounded', 'x', 'input', 1);
insert into matrice.model_price_windows values ('bounded', '{1}', '01:00', '02:00');
insert into matrice.model_price_multipliers values ('bounded', 'speed', 'x', 1);
insert into matrice.project_prices (project_id, model, valid_from, same_as) values (tests.id('atlas'), 'bounded', now(), 'gpt-4o');
insert into matrice.quotas values ('bounded', 1, 1, 'x');
insert into matrice.conversations (id, project_id, is_private, created_by) values (tests.id('conversation'), tests.id('atlas'), false, tests.id('alice'));
insert into matrice.conversation_turns (project_id, conversation_id, role, content, created_by)
values (tests.id('atlas'), tests.id('conversation'), 'user', 'words', tests.id('alice'));
insert into matrice.workflow_runs (id, project_id, workflow_id) values (tests.id('another run'), tests.id('atlas'), 'w');
insert into matrice.answers (project_id, run_id, question) values (tests.id('atlas'), tests.id('run'), 'words');
insert into matrice.answer_passages values (tests.id('atlas'), tests.id('run'), tests.id('chunk'), sha256('words'));
insert into matrice.answer_ratings (project_id, run_id, user_id, rating) values (tests.id('atlas'), tests.id('run'), tests.id('victor'), 1);

-- The hostile values of a column's type that were stored, by verb. One that a trigger replaced was not.
create function tests.taken(tab text, col text, type regtype) returns setof text language plpgsql as $$
declare
  bad     text;
  stored  boolean;
  columns text := (
    select string_agg(quote_ident(attname), ', ') from pg_attribute
     where attrelid = ('matrice.' || tab)::regclass and attnum > 0 and not attisdropped and attgenerated = '');
begin
  for bad in select h.value from hostile h where h.type = taken.type loop
    continue when tab in ('model_prices', 'project_prices') and bad = '-infinity';
    begin
      execute format('update matrice.%I set %I = $1::%s where %s returning %2$I = $1::%3$s', tab, col, type, tests.row_of(tab))
        using bad into strict stored;
      if stored then
        return next 'update to ' || left(bad, 40);
      end if;
      raise exception using errcode = 'RBACK';
    exception
      when check_violation or numeric_value_out_of_range or invalid_parameter_value or insufficient_privilege or no_data_found or sqlstate 'RBACK' then null;
      -- Another error, such as one of a unique key, is no bound.
      when others then return next format('update to %s: %s %s', left(bad, 40), sqlstate, sqlerrm);
    end;
    begin
      execute format(
        'insert into matrice.%1$I (%2$s) select %2$s from jsonb_populate_record(
           (select r from matrice.%1$I r where %3$s), $1 || jsonb_build_object(%4$L, $2)) as r returning %4$I = $3::%5$s',
        tab, columns, tests.row_of(tab), col, type)
        using tests.other(tab), case when type = 'jsonb'::regtype then bad::jsonb
                                     when type = 'integer[]'::regtype then to_jsonb(bad::integer[]) else to_jsonb(bad) end, bad into strict stored;
      if stored then
        return next 'insert of ' || left(bad, 40);
      end if;
      raise exception using errcode = 'RBACK';
    exception
      when check_violation or numeric_value_out_of_range or invalid_parameter_value or insufficient_privilege or no_data_found or sqlstate 'RBACK' then null;
      when others then return next format('insert of %s: %s %s', left(bad, 40), sqlstate, sqlerrm);
    end;
  end loop;
end
$$;

create temp table writable as
select role, c.relname::text as tab, a.attname::text as col, a.atttypid::regtype as type
  from unnest(array['authenticated', 'service_role']) role, pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
 where c.relnamespace = 'matrice'::regnamespace and c.relkind in ('r', 'p')
   and (has_column_privilege(role, c.oid, a.attnum, 'insert') or has_column_privilege(role, c.oid, a.attnum, 'update'));
grant select on writable to public;
select cmp_ok(count(*), '>=', 80::bigint, 'authenticated can write at least 80 columns') from writable where role = 'authenticated';
select is_empty($$select distinct type from writable where type::text not in (select type::text from hostile union select type from bounded)$$,
                'M8: every type of a writable column has hostile values in this test, or a bound of its own');

select is(tests.rows_of(format('select from matrice.%I where %s', tab, tests.row_of(tab))), 1::bigint, format('%s has one row for this test to write to', tab))
  from (select distinct tab from writable order by tab) w;

select tests.as_user('alice');
select is_empty(format('select tests.taken(%L, %L, %L)', tab, col, type), format('M8: %s.%s refuses a user values beyond its bounds', tab, col))
  from (select * from writable where role = 'authenticated' and type in (select type from hostile) order by tab, col) w;
select tests.as_service();
select is_empty(format('select tests.taken(%L, %L, %L)', tab, col, type), format('M8: %s.%s refuses a service values beyond its bounds', tab, col))
  from (select * from writable where role = 'service_role' and type in (select type from hostile) order by tab, col) w;

-- What a small request can make the database write --------------------------------------------------------------------

select tests.as_user('edith');
select tests.remember_state();
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('source'), 9, repeat('x', 1048577))$$, '22023',
                     'H3: source_chunks refuses content of 1,048,577 bytes', '%1048577%1048576%', '%');
select tests.refuses($$update matrice.source_chunks set content = repeat('x', 1048577)$$, '22023',
                     'H3: source_chunks refuses an update to content of 1,048,577 bytes', '%1048577%1048576%', '%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', repeat('word ', 14000000))$$, '22023', 'H3: ingest_source refuses content of 70 MB',
                     '%67108864%', '%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', repeat('x ', 10001), max_tokens => 1, overlap_tokens => 0)$$, '22023',
                     'H6: ingest_source refuses 10,001 chunks of a short text', '%10001 chunks%', '%max_tokens%');
select tests.refuses($$select matrice.chunk_source(tests.id('source'), repeat('x ', 10001), max_tokens => 1, overlap_tokens => 0)$$, '22023',
                     'H6: chunk_source refuses 10,001 chunks of a short text', '%10001 chunks%', '%max_tokens%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', repeat('x ', 1700000), max_tokens => 16, overlap_tokens => 0)$$, '22023',
                     'H6: ingest_source refuses more than 100,000 chunks', '%at most 100000%', '%');
select tests.refuses($$insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('source'), 100000, 'x')$$, '23514',
                     'H6: source_chunks refuses chunk_index 100000', message => '%source_chunks_chunk_index_check%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'x', metadata => jsonb_build_object('a', repeat('x', 16384)))$$, '22023',
                     'H6: ingest_source refuses metadata above 16 kB', '%16384%', '%', '%metadata%');
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', repeat('x ', 9999), max_tokens => 2, overlap_tokens => 0,
                                                    metadata => jsonb_build_object('a', repeat('x', 16000)))$$, '22023',
                     'H6: ingest_source refuses metadata that make more than 64 MB in all chunks', '%67108864%', '%metadata%');
select tests.unchanged('H6: ingest_source, chunk_source and source_chunks: what is refused changes no row');
select lives_ok($$select matrice.ingest_source(tests.id('atlas'), 'x', repeat('x ', 1000), max_tokens => 2, overlap_tokens => 0,
                                               metadata => jsonb_build_object('a', repeat('x', 16000)))$$,
                'H6: ingest_source takes metadata of 16 kB for a thousand chunks');
delete from matrice.context_sources where name = 'x';
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('last'), tests.id('source'), 99999, 'x');
select tests.refuses($$update matrice.context_sources set raw_metadata = jsonb_build_object('a', repeat('x', 1000)) where id = tests.id('source')$$, '22023',
                     'H6: context_sources refuses raw_metadata that make more than 64 MB in all chunks', '%100000 chunks%67108864%', '%metadata%');
select tests.refuses($$update matrice.source_chunks set metadata = jsonb_build_object('a', repeat('x', 1000)) where id = tests.id('last')$$, '23514',
                     'H6: source_chunks refuses metadata of a chunk that make more than 64 MB for so many chunks',
                     message => '%source_chunks_filterable_size%');
delete from matrice.source_chunks where id = tests.id('last');

-- Every jsonb argument of the API that is stored: its size, its depth, its numbers.
select tests.refuses(format('select matrice.%s', replace(call, '?', value)), '22023', format('M6: %s refuses %s', replace(call, '?', '…'), what),
                     '%levels%', '%')
  from (values ($$ingest_source(tests.id('atlas'), 'x', 'x', metadata => ?)$$),
               ($$ingest_chunks(tests.id('atlas'), 'x', '[{"content": "x"}]', metadata => ?)$$),
               ($$ingest_chunks(tests.id('atlas'), 'x', jsonb_build_array(jsonb_build_object('content', 'x', 'metadata', ?)))$$),
               ($$save_pillar(tests.id('atlas'), 'P1', 'x', ?)$$),
               ($$create_project('x', settings => ?)$$), ($$record_insight(tests.id('atlas'), 't', 't', 'c', tags => jsonb_build_array(?))$$),
               ($$record_insight(tests.id('atlas'), 't', 't', 'c', evidence => ?)$$), ($$start_run(tests.id('atlas'), 'w', 'e', input_data => ?)$$),
               ($$add_turn(tests.id('conversation'), 'user', 'x', citations => jsonb_build_array(?))$$),
               ($$finish_run(tests.id('run'), 'completed', ?)$$), ($$record_step(tests.id('run'), 's', 'success', error => ?)$$),
               ($$start_run(tests.id('atlas'), 'w', 'e', tags => jsonb_build_array(?))$$), ($$finish_run(tests.id('run'), 'failed', error => ?)$$),
               ($$record_steps(jsonb_build_array(jsonb_build_object('run_id', tests.id('run'), 'step_name', 's', 'status', 'success', 'error', ?)))$$),
               ($$calculate_cost('gpt-4o', 1, usage => ?)$$), ($$set_price(tests.id('atlas'), 'm', ?)$$)) calls (call),
       (values ('a value of 10,000 levels', $$(repeat('{"a":', 10000) || '1' || repeat('}', 10000))::jsonb$$),
               ('a megabyte', $$jsonb_build_object('a', repeat('x', 1000000))$$),
               ('a number of 100,000 digits', $$'{"a": 1e100000}'::jsonb$$)) bad (what, value);
select tests.refuses(format('select matrice.%s', call), '22023', format('M8: %s is refused: the text is too long', call), '%at most%', '%')
  from (values ($$create_project(repeat('x', 2001))$$), ($$create_project('x', repeat('x', 20000))$$), ($$create_project('x', domain => repeat('x', 2001))$$),
               ($$save_pillar(tests.id('atlas'), 'P1', repeat('x', 1048577))$$), ($$ingest_source(tests.id('atlas'), repeat('x', 2001), 'x')$$),
               ($$ingest_source(tests.id('atlas'), 'x', 'x', storage_path => repeat('x', 2001))$$),
               ($$ingest_source(tests.id('atlas'), 'x', 'x', repeat('x', 201))$$),
               ($$ingest_chunks(tests.id('atlas'), repeat('x', 2001), '[{"content": "x"}]')$$),
               ($$ingest_chunks(tests.id('atlas'), 'x', '[{"content": "x"}]', repeat('x', 201))$$),
               ($$ingest_chunks(tests.id('atlas'), 'x', '[{"content": "x"}]', storage_path => repeat('x', 2001))$$),
               ($$record_insight(tests.id('atlas'), repeat('x', 201), 't', 'c')$$), ($$record_insight(tests.id('atlas'), 't', repeat('x', 2001), 'c')$$),
               ($$record_insight(tests.id('atlas'), 't', 't', repeat('x', 1300000))$$),
               ($$record_insight(tests.id('atlas'), 't', 't', 'c', subject => repeat('x', 2001), attribute => 'x', value => 'x')$$),
               ($$record_insight(tests.id('atlas'), 't', 't', 'c', subject => 'x', attribute => repeat('x', 2001), value => 'x')$$),
               ($$record_insight(tests.id('atlas'), 't', 't', 'c', subject => 'x', attribute => 'x', value => repeat('x', 2001))$$),
               ($$record_insight(tests.id('atlas'), 't', 't', 'c', note => repeat('x', 2001))$$),
               ($$confirm_insight(tests.id('atlas'), url => 'https://' || repeat('x', 2001))$$),
               ($$contradict_insight(tests.id('atlas'), note => repeat('x', 2001))$$),
               ($$supersede_insight(tests.id('atlas'), tests.id('atlas'), repeat('x', 2001))$$), ($$retract_insight(tests.id('atlas'), repeat('x', 2001))$$),
               ($$start_run(tests.id('atlas'), repeat('x', 201), 'e')$$),
               ($$start_run(tests.id('atlas'), 'w', repeat('x', 201))$$), ($$start_run(tests.id('atlas'), 'w', 'e', repeat('x', 501))$$),
               ($$record_step(tests.id('run'), 's', 'success', model => repeat('x', 201))$$),
               ($$record_step(tests.id('run'), 's', 'success', step_key => repeat('x', 501))$$),
               ($$record_step(tests.id('run'), 's', 'success', step_key => 'x', call_key => repeat('x', 101))$$),
               ($$record_step(null, 's', 'success', project_id => tests.id('atlas'), workflow_id => repeat('x', 201), run_key => 'x')$$),
               ($$record_step(null, 's', 'success', project_id => tests.id('atlas'), workflow_id => 'x', run_key => repeat('x', 501))$$),
               ($$record_steps(jsonb_build_array(jsonb_build_object('run_id', tests.id('run'), 'step_name', repeat('x', 201), 'status', 'success')))$$),
               ($$start_run(tests.id('atlas'), 'w', 'e', user_key => repeat('x', 201))$$), ($$start_run(tests.id('atlas'), 'w', 'e', session_key => repeat('x', 201))$$),
               ($$correct_step(gen_random_uuid(), repeat('x', 2001), 1)$$),
               ($$find_quote(repeat('x', 100001), tests.id('atlas'))$$),
               ($$start_conversation(tests.id('atlas'), repeat('x', 2001))$$), ($$add_turn(tests.id('conversation'), 'user', repeat('x', 1048577))$$),
               ($$record_answer(tests.id('run'), repeat('x', 65537), '[]')$$), ($$rate_answer(tests.id('run'), 1, repeat('x', 65537))$$),
               ($$set_price(tests.id('atlas'), repeat('x', 201), '{}')$$), ($$set_price(tests.id('atlas'), 'x', same_as => repeat('x', 201))$$),
               ($$price_of(repeat('x', 201))$$), ($$price_of('gpt-4o', provider => repeat('x', 201))$$),
               ($$set_budget(tests.id('atlas'), 1, name => repeat('x', 201))$$), ($$set_budget(tests.id('atlas'), 1, model => repeat('x', 201))$$),
               ($$set_budget(tests.id('atlas'), 1, user_key => repeat('x', 201))$$), ($$remove_budget(tests.id('atlas'), repeat('x', 201))$$),
               ($$export_project(tests.id('atlas'), after => repeat('x', 10001))$$), ($$import_project(array[repeat('x', 536870913)])$$),
               ($$import_project(array[repeat('x', 67108864), 'x'])$$),
               ($$reserve_budget(tests.id('atlas'), 1, repeat('x', 201))$$), ($$reserve_budget(tests.id('atlas'), 1, user_key => repeat('x', 201))$$)) calls (call);

-- A step is recorded whatever its usage says: only what is known of it is kept.
select tests.as_owner();
create function tests.step_with(usage jsonb) returns matrice.workflow_steps language plpgsql as $$
declare
  step uuid := matrice.record_step(tests.id('run'), 's', 'success', usage => usage);
  found matrice.workflow_steps;
begin
  select * into found from matrice.workflow_steps s where s.id = step;
  return found;
end
$$;
select tests.as_user('edith');
select ok((select octet_length(s.usage::text) <= 16384 and s.cost_note like 'usage was cut to what is known of it.%' from tests.step_with(bad.value) s),
          format('record_step keeps of usage with %s what is known', what))
  from (values ('a value of 10,000 levels', (repeat('{"a":', 10000) || '1' || repeat('}', 10000))::jsonb),
               ('a megabyte', jsonb_build_object('a', repeat('x', 1000000))), ('a number of 100,000 digits', '{"a": 1e100000}'::jsonb),
               ('10,000 counts', (select jsonb_object_agg('tokens ' || n, n) from generate_series(1, 10000) n)),
               ('200 long keys', (select jsonb_object_agg(repeat('x', 1000) || 'tokens' || n, n) from generate_series(1, 200) n))) bad (what, value);

-- The deepest values that are taken, everywhere: what reads them all still can.
select tests.as_owner();
create function tests.deep(levels integer) returns jsonb language sql as $$ select (repeat('{"a":', levels) || '1' || repeat('}', levels))::jsonb $$;
select tests.as_user('edith');
select tests.refuses($$update matrice.context_sources set raw_metadata = tests.deep(10000)$$, '23514',
                     'M6: context_sources refuses raw_metadata of 10,000 levels',
                     message => '%context_sources_raw_metadata_size%');
select tests.refuses($$update matrice.source_chunks set metadata = tests.deep(10000)$$, '22023', 'M6: source_chunks refuses metadata of 10,000 levels',
                     '%64 levels%', '%');
update matrice.context_sources set raw_metadata = tests.deep(64);
update matrice.source_chunks set metadata = tests.deep(64);
update matrice.pillars set metadata = tests.deep(64);
update matrice.insights set evidence = tests.deep(64);
update matrice.workflow_runs set input_data = tests.deep(64), output_data = tests.deep(64);
select tests.as_service();
update matrice.workflow_steps set error = tests.deep(64), usage = tests.deep(64) where true;
select tests.as_user('edith');
select isnt_empty(format('select matrice.restore_pillar(%L, ''P1'', 1)', tests.id('atlas')), 'M6: restore_pillar takes metadata of 64 levels');
select lives_ok($$delete from matrice.context_sources where id = tests.id('source')$$, 'M6: context_sources: a row with metadata of 64 levels can be deleted');
select tests.as_user('alice');
select lives_ok($$delete from matrice.projects where id = tests.id('atlas')$$,
                'M6: projects: a project with values of 64 levels in every table can be deleted');

-- The history of pillars ------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.project('borea');
select tests.as_user('edith');
insert into matrice.pillars (project_id, code, name, version) values (tests.id('borea'), 'P2', 'acteurs', 1000000000);
select is(matrice.save_pillar(tests.id('borea'), 'P2', 'x'), 2, 'M8: save_pillar of a pillar that a client inserted with version 1000000000 returns 2');
select matrice.save_pillar(tests.id('borea'), 'P1', 'text ' || n) from generate_series(2, 6) n;
select tests.refuses($$select matrice_private.forget_pillar_versions(1, '0')$$, '42501', 'M7: forget_pillar_versions refuses a user');
select tests.as_service();
select tests.refuses($$select matrice_private.forget_pillar_versions(1, '0')$$, '42501', 'M7: forget_pillar_versions refuses a service');
select tests.as_owner();
update matrice.pillar_versions set saved_at = now() - interval '2 years' where version <= 4 and project_id = tests.id('borea');
select is(matrice_private.forget_pillar_versions(), 0::bigint, 'M7: forget_pillar_versions() keeps the last hundred versions of each pillar');
select is(matrice_private.forget_pillar_versions(3), 3::bigint,
          'M7: forget_pillar_versions(3) deletes versions that are neither among the last three nor young');
select results_eq($$select version from matrice.pillar_versions where project_id = tests.id('borea') order by pillar_id, version$$,
                  $$select v from (values (1, 4), (1, 5), (1, 6), (2, 1), (2, 2)) kept (p, v)
                     order by (select id from matrice.pillars where project_id = tests.id('borea') and code = 'P' || p), v$$,
                     'M7: forget_pillar_versions(3) keeps the other versions');
select is(matrice_private.forget_pillar_versions(1, '0'), 2::bigint, 'M7: forget_pillar_versions(1, ''0'') keeps the versions of this moment');
select tests.refuses(format('select matrice_private.forget_pillar_versions(%s)', arguments), code, format('M7: forget_pillar_versions refuses (%s)', arguments),
                     hint => '%')
  from (values ('0', '22023'), ('null', '22004'), ('1, null', '22004'), ('1, ''-1 day''', '22023'), ('1, ''1000000 years''', '22023')) calls (arguments, code);
select tests.as_user('edith');
select is(matrice.save_pillar(tests.id('borea'), 'P1', 'after'), 7, 'M7: save_pillar counts on after forget_pillar_versions');
select tests.refuses($$select matrice.restore_pillar(tests.id('borea'), 'P1', 2)$$, 'PT404', 'M7: restore_pillar of a forgotten version: not found',
                     hint => '%');

select * from finish();
rollback;
