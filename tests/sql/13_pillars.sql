begin;
\ir helpers/setup.psql
select no_plan();

-- The answer of build_context.
create function tests.context(budget integer, codes text[], insights integer default 1)
returns table (context text, token_count integer, citations jsonb) language sql as $$
  select * from matrice.build_context('mistral', tests.vec(1536, 0.1, 0.2), tests.id('atlas'), budget, insights => insights, pillars => codes)
$$;

select tests.as_owner();
select tests.project('atlas');
select tests.project('carte', '{"language": "french", "pillars": {"P4": {"name": "flux", "template": "# Flux"}, "P5": {}}}');
select tests.as_user('edith');
select matrice.save_pillar(tests.id('atlas'), 'P1', E'# Vision\n\nA map of winds.\nFor sailors.\n');
select matrice.save_pillar(tests.id('atlas'), 'P1', E'# Vision\n\nA map of the winds and tides.\nFor sailors.\n');
select matrice.save_pillar(tests.id('atlas'), 'P2', E'# Actors\n\nSailors and pilots.\n');

-- The catalogue ------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select results_eq($$select code, name, version, updated_at from matrice.pillar_catalog(tests.id('atlas'))$$,
  $$values ('P1', 'vision', 3, now()), ('P2', 'acteurs', 2, now()), ('P3', 'donnees', null, null), ('P4', 'processes', null, null),
           ('P5', 'rules', null, null), ('P6', 'delivery', null, null)$$,
  'pillar_catalog lists the six pillars with their names and versions, also those that were never saved');
select is(count(*) filter (where purpose ~ '\S' and template ~ '^# \S.*\n\n## '), 6::bigint, 'pillar_catalog: each pillar has a purpose and a template')
  from matrice.pillar_catalog(tests.id('atlas'));
select results_eq($$select code, name, template like '# Flux%', purpose like 'Ce qui %' from matrice.pillar_catalog(tests.id('carte')) where code > 'P3'$$,
  $$values ('P4', 'flux', true, true), ('P5', 'regles', false, true), ('P6', 'realisation', false, false)$$,
  'pillar_catalog: the settings of a project come before the defaults, which are French if its language is');
select tests.as_user('edith');
update matrice.pillars set name = 'winds' where project_id = tests.id('atlas') and code = 'P2';
select is(name, 'winds', 'pillar_catalog shows a name that an editor wrote into pillars') from matrice.pillar_catalog(tests.id('atlas')) where code = 'P2';

select tests.as_user('alice');
select tests.refuses(format('update matrice.projects set settings = %L where id = tests.id(''atlas'')', settings), '22023',
                     'settings.pillars refuses ' || left(settings, 60), detail, '%P4%')
  from (values ('{"pillars": {"P7": {}}}', '%P7%'), ('{"pillars": {"P1": "x"}}', '%string%'), ('{"pillars": {"P1": {"title": "x"}}}', '%title%'),
               ('{"pillars": {"P1": {"name": " "}}}', '%name%'), ('{"pillars": {"P1": {"template": 1}}}', '%template%'),
               (format('{"pillars": {"P1": {"name": "%s"}}}', repeat('x', 201)), '%name%')) as refused (settings, detail);
select tests.refuses($$update matrice.projects set settings = '{"pillars": []}' where id = tests.id('atlas')$$, '22023', 'settings.pillars refuses an array', '%array%');

-- Differences --------------------------------------------------------------------------------------------------------

select tests.as_user('victor');
select results_eq($$select kind, old_line, new_line, content, words from matrice.diff_pillar(tests.id('atlas'), 'P1', 2, context_lines => 1)$$,
  $$values ('unchanged', 2, 2, '', null::jsonb),
           ('removed', 3, null, 'A map of winds.',
            '[{"text": "A map of winds.", "changed": false}]'),
           ('added', null, 3, 'A map of the winds and tides.',
            '[{"text": "A map of ", "changed": false}, {"text": "the ", "changed": true}, {"text": "winds", "changed": false},
              {"text": " and tides", "changed": true}, {"text": ".", "changed": false}]'),
           ('unchanged', 4, 4, 'For sailors.', null)$$,
  'diff_pillar compares with the current version, and marks the words that changed');
select is(matrice.diff_pillar_text(tests.id('atlas'), 'P1', 3, 2, 0),
          E'--- P1 version 3\n+++ P1 version 2\n@@ -3 +3 @@\n-A map of the winds and tides.\n+A map of winds.\n',
          'diff_pillar_text compares any two versions, and names them');
select is(matrice.diff_pillar_text(tests.id('atlas'), 'P1', 1, 3),
          E'--- P1 version 1\n+++ P1 version 3\n@@ -0,0 +1,4 @@\n+# Vision\n+\n+A map of the winds and tides.\n+For sailors.\n',
          'diff_pillar_text with the empty version 1: every line is added');
select is_empty($$select matrice.diff_pillar(tests.id('atlas'), 'P1', 2, 2)$$, 'diff_pillar of a version with itself: no row');
select is(matrice.diff_pillar_text(tests.id('atlas'), 'P1', 3), '', 'diff_pillar_text of the current version with itself: empty');
select tests.refuses(format('select matrice.%s(%s)', name, arguments), code, format('%s refuses (%s)', name, arguments), null, hint)
  from unnest(array['diff_pillar', 'diff_pillar_text']) name,
       (values ($$tests.id('atlas'), 'P1', 99$$, 'PT404', '%pillar_history%'), ($$tests.id('atlas'), 'P1', 1, -1$$, 'PT404', '%'),
               ($$tests.id('atlas'), 'P6', 1$$, 'PT404', '%'), ($$tests.id('atlas'), 'p1', 1$$, '22023', '%P6%'),
               ($$tests.id('atlas'), null, 1$$, '22004', '%'), ($$tests.id('atlas'), 'P1', null$$, '22004', '%'),
               ($$tests.id('atlas'), 'P1', 1, 2, null$$, '22004', '%'), ($$tests.id('atlas'), 'P1', 1, 2, -1$$, '22023', '%'),
               ($$tests.id('atlas'), 'P1', 1, 2, 1000001$$, '22023', '%'), ($$null, 'P1', 1$$, '22004', '%'),
               ($$tests.id('nowhere'), 'P1', 1$$, 'PT404', '%')) as refused (arguments, code, hint);

-- Texts that are hard to compare. A row stands for each line; nothing fails, and nothing takes long.
select is((select count(*) from matrice_private.diff_lines(repeat(E'a\n', 200000), repeat(E'a\n', 100000), 0)), 100000::bigint,
          'diff_lines of equal lines: only those that one text has more');
select cmp_ok((select count(*) from matrice_private.diff_lines(
                 (select string_agg(chr(97 + n * n / 3 % 26), E'\n') from generate_series(1, 30000) n),
                 (select string_agg(chr(97 + n * n / 7 % 26), E'\n') from generate_series(1, 30000) n), 0)), '>', 1000::bigint,
              'diff_lines of lines of one letter each');
select is((select string_agg(kind || length(content) || (words is null)::text, ' ')
             from matrice_private.diff_lines(repeat('a', 10000000), repeat('a', 9999999) || 'b', 0)),
          'removed10000000true added10000000true', 'diff_lines of one long line: it changed as a whole');
select tests.refuses($$select matrice_private.unified_diff(repeat('x', 67108865), '', 0, 'a', 'b')$$, '22023', 'unified_diff refuses a text of more than 64 MB', '%67108865%', '%');

-- As of a time -------------------------------------------------------------------------------------------------------

select tests.as_owner();
update matrice.pillar_versions set saved_at = now() - (4 - version) * interval '1 day' where project_id = tests.id('atlas');
select tests.as_user('victor');
select results_eq($$select code, version, content, saved_by from matrice.as_of(tests.id('atlas'), now() - interval '36 hours') where code < 'P4'$$,
  $$values ('P1', 2, E'# Vision\n\nA map of winds.\nFor sailors.\n', tests.id('edith')), ('P2', 2, E'# Actors\n\nSailors and pilots.\n', tests.id('edith')),
           ('P3', null::integer, null, null)$$,
  'as_of returns the versions of that time');
select is(count(*) filter (where version is null), 6::bigint, 'as_of before the first version: six rows without a version')
  from matrice.as_of(tests.id('atlas'), now() - interval '9 days');
select tests.refuses($$select matrice.as_of(tests.id('atlas'), null)$$, '22004', 'as_of refuses at null');
select tests.refuses($$select matrice.as_of(tests.id('atlas'), 'infinity')$$, '22023', 'as_of refuses infinity', '%', '%');
select tests.as_owner();
select tests.as_service();
insert into matrice.pillars (project_id, code, name, content, version, updated_at) values (tests.id('atlas'), 'P6', 'P6', 'x', 7, '2199-01-01');
select matrice.save_pillar(tests.id('atlas'), 'P6', 'y');
select results_eq($$select version, saved_at <= clock_timestamp(), saved_at >= lag(saved_at, 1, saved_at) over (order by version)
                      from matrice.pillar_history(tests.id('atlas'), 'P6') order by version$$,
                  $$values (7, true, true), (8, true, true)$$, 'times of versions rise and are never in the future, whatever a service wrote');

-- Labels -------------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.label_pillar(tests.id('atlas'), 'P1', 2, 'draft');
select matrice.label_pillar(tests.id('atlas'), 'P1', 2, 'draft');
select matrice.label_pillar(tests.id('atlas'), 'P1', 3, 'draft');
select matrice.label_pillar(tests.id('atlas'), 'P1', 2, 'v1', is_release => true);
select matrice.label_pillar(tests.id('atlas'), 'P1', 2, 'v1', true), matrice.label_pillar(tests.id('atlas'), 'P1', 2, 'v1');
select matrice.label_pillar(tests.id('atlas'), 'P2', 2, 'v1');
select matrice.unlabel_pillar(tests.id('atlas'), 'P2', label) from unnest(array['v1', 'v1', 'never']) label;
select tests.as_user('victor');
select results_eq($$select code, label, version, is_release, set_by, is_current from matrice.label_history(tests.id('atlas'))$$,
  $$values ('P1', 'draft', 3, false, tests.id('edith'), true), ('P1', 'draft', 2, false, tests.id('edith'), false),
           ('P1', 'v1', 2, true, tests.id('edith'), true),
           ('P2', 'v1', null, false, tests.id('edith'), false), ('P2', 'v1', 2, false, tests.id('edith'), false)$$,
  'label_pillar: a label moves, and its history stays; the same call again changes nothing');
select is((select count(*) from matrice.label_history(tests.id('atlas'), 'P1', 'draft')), 2::bigint, 'label_history of one pillar and label');
select results_eq($$select code, labels from matrice.pillar_catalog(tests.id('atlas')) where code < 'P3'$$, $$values ('P1', '{draft}'::text[]), ('P2', '{}')$$,
                  'pillar_catalog shows the labels of the current versions');
select results_eq($$select (a).labels from (select matrice.as_of(tests.id('atlas'), at) a from unnest(array[now(), now() - interval '1 hour']) at) x
                     where (a).code = 'P1' order by 1$$, $$values ('{}'::text[]), ('{draft}')$$, 'as_of shows the labels of that time');

select tests.remember_state();
select tests.as_user('edith');
select tests.refuses($$select matrice.label_pillar(tests.id('atlas'), 'P1', 3, 'v1')$$, 'PT409', 'label_pillar refuses to move a release label', '%version 2%', '%');
select tests.refuses($$select matrice.unlabel_pillar(tests.id('atlas'), 'P1', 'v1')$$, 'PT409', 'unlabel_pillar refuses to take a release label away', '%version 2%', '%');
select tests.refuses(format('select matrice.label_pillar(%s)', arguments), code, format('label_pillar refuses (%s)', arguments), null, '%')
  from (values ($$tests.id('atlas'), 'P1', 99, 'x'$$, 'PT404'), ($$tests.id('atlas'), 'P5', 1, 'x'$$, 'PT404'), ($$tests.id('atlas'), 'P7', 1, 'x'$$, '22023'),
               ($$tests.id('atlas'), 'P1', 1, ''$$, '22023'), ($$tests.id('atlas'), 'P1', 1, null$$, '22004'), ($$tests.id('atlas'), 'P1', 1, repeat('x', 201)$$, '22023'),
               ($$tests.id('atlas'), 'P1', null, 'x'$$, '22004'), ($$tests.id('atlas'), 'P1', 1, 'x', null$$, '22004'),
               ($$tests.id('nowhere'), 'P1', 1, 'x'$$, 'PT404'), ($$null, 'P1', 1, 'x'$$, '22004')) as refused (arguments, code);
select tests.as_user('victor');
select tests.refuses($$select matrice.label_pillar(tests.id('atlas'), 'P1', 1, 'x')$$, '42501', 'label_pillar refuses a viewer', '%', '%');
select tests.refuses($$select matrice.unlabel_pillar(tests.id('atlas'), 'P1', 'draft')$$, '42501', 'unlabel_pillar refuses a viewer', '%', '%');
select tests.refuses($$select matrice_private.write_label_as_editor(tests.id('atlas'), 'P1', 1, 'x', false)$$, '42501', 'write_label_as_editor refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses(format('select matrice.%s', call), 'PT404', format('%s of another''s project: not found', call), '%', '%')
  from unnest(array[$$label_pillar(tests.id('atlas'), 'P1', 1, 'x')$$, $$label_history(tests.id('atlas'))$$, $$unlabel_pillar(tests.id('atlas'), 'P1', 'draft')$$, $$pillar_catalog(tests.id('atlas'))$$,
                    $$as_of(tests.id('atlas'), now())$$, $$diff_pillar(tests.id('atlas'), 'P1', 1)$$, $$diff_pillar_text(tests.id('atlas'), 'P1', 1)$$]) call;
select is(tests.rows_of('select from matrice.pillar_labels'), 0::bigint, 'pillar_labels of others: no rows');
select tests.as_service();
select tests.refuses($$insert into matrice.pillar_labels (project_id, pillar_id, label, number) select project_id, id, 'x', 1 from matrice.pillars limit 1$$,
                     '42501', 'pillar_labels refuses a service an insert');
select tests.refuses($$delete from matrice.pillar_labels where true$$, '42501', 'pillar_labels refuses a service a delete');
select tests.unchanged('labels: refused calls change no row');
select lives_ok($$select matrice.label_pillar(tests.id('atlas'), 'P1', 3, 'approved')$$, 'label_pillar by a service succeeds');

select tests.as_owner();
select matrice.label_pillar(tests.id('atlas'), 'P1', 3, 'approved');
select is(matrice_private.forget_pillar_versions(1, '0'), 2::bigint, 'forget_pillar_versions keeps versions that have a label');
select results_eq($$select version from matrice.pillar_history(tests.id('atlas'), 'P1')$$, 'values (3), (2)',
                  'forget_pillar_versions: version 1, which has no label, is gone');

-- In a context -------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
select matrice.ingest_source(tests.id('atlas'), 'Winds', 'The mistral blows from the north. It is cold.');
select matrice.record_insight(tests.id('atlas'), 'fact', 'Mistral', 'The mistral is strong in winter.');
select matches(context, '1\][^#]*P2: winds.*Sailors and pilots.*2\][^#]*P1: vision.*tides.*3\].*Mistral.*4\].*mistral blows',
               'build_context: pillars come first, in the order that was asked for') from tests.context(1000, '{P2,P1,P3}');
select is(citations -> 0, '{"number": 1, "pillar": "P2", "title": "winds", "version": 2, "is_cut": false}', 'build_context cites the version of a pillar')
  from tests.context(1000, '{P2,P1,P3}');
select results_eq($$select jsonb_array_length(citations), citations -> 2 ->> 'number', citations -> 3 ->> 'number' from tests.context(1000, '{P2,P1,P2}')$$,
                  $$values (4, '3', '4')$$, 'build_context numbers what follows the pillars on, and a pillar that is named twice comes once');
select is_empty($$select * from generate_series(1, 120) b, tests.context(b, '{P1,P2}') c where c.token_count > b$$, 'build_context with pillars never exceeds the budget');
select results_eq($$select distinct citations -> 0 ->> 'pillar', jsonb_array_length(citations), context ~ 'tides\.\s*$'
                      from generate_series(1, 60) b, tests.context(b, '{P1,P2}') c where c.citations -> 0 -> 'is_cut' = 'true'$$,
                  $$values ('P1', 1, true)$$, 'build_context cuts the pillar that does not fit');
select is((select c.context from tests.context(1000, '{}') c), regexp_replace(
            (select c.context from tests.context(1000, '{P3}') c), '^', ''), 'build_context with an empty pillar is the same as without');
select tests.refuses(format('select tests.context(100, %s)', codes), code, 'build_context refuses pillars ' || codes, null, '%')
  from (values ($$'{P7}'$$, '22023'), ($$'{vision}'$$, '22023'), ($$'{null}'$$, '22004'), ('null', '22004'), ($$array_fill('P1'::text, array[7])$$, '22023')) as refused (codes, code);

-- A policy that somebody has added --------------------------------------------------------------------------------------

reset role;
create policy frozen on matrice.pillars as restrictive for update to authenticated using (code <> 'P2');
select tests.as_user('edith');
select tests.refuses($$select matrice.save_pillar(tests.id('atlas'), 'P2', 'late')$$, '42501', 'save_pillar says that a policy refuses a pillar', '%P2%', '%');
select lives_ok($$select matrice.save_pillar(tests.id('atlas'), 'P1', 'still')$$, 'save_pillar: other pillars can be saved');
reset role;
drop policy frozen on matrice.pillars;

-- What a save costs ---------------------------------------------------------------------------------------------------

reset role;
set local track_functions = 'pl';
select tests.as_user('edith');
select matrice.save_pillar(tests.id('atlas'), 'P3', 'first');
create temporary table asked as select pg_stat_get_xact_function_calls('matrice_private.project_ids(text)'::regprocedure) as before;
select matrice.save_pillar(tests.id('atlas'), 'P3', 'second');
select cmp_ok(pg_stat_get_xact_function_calls('matrice_private.project_ids(text)'::regprocedure) - before, '<=', 4::bigint,
              'save_pillar asks for the memberships of its caller only in the policies of its UPDATE') from asked;

select * from finish();
rollback;
