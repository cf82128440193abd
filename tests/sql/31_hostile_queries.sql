begin;
\ir helpers/setup.psql
select no_plan();
-- What is tested here ends in moments; it did not end, or ended the server.
set local statement_timeout = '60s';

select tests.project('ours', '{"language": "english"}');
insert into matrice.projects (id, name, settings, created_by) values (tests.id('theirs'), 'theirs', '{"language": "english"}', tests.id('mallory'));
insert into matrice.context_sources (id, project_id, name) select tests.id('source of ' || name), tests.id(name), name
  from unnest(array['ours', 'theirs']) name;
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
select tests.id('ours ' || n), tests.id('source of ours'), n, 'Our refund policy, part ' || n, '{"kind": "terms"}' from generate_series(1, 3) n;

create function tests.finds_ours(who text) returns setof text language plpgsql as $$
begin
  return next is(array(select chunk_id from matrice.search_chunks('refund policy', tests.id('ours')) order by chunk_index),
                 array(select tests.id('ours ' || n) from generate_series(1, 3) n), 'C1: search_chunks of a project returns its own chunks to ' || who);
  return next is(array(select chunk_id from matrice.search_chunks('refund policy', tests.id('ours'), filter => '{"kind": "terms"}') order by chunk_index),
                 array(select tests.id('ours ' || n) from generate_series(1, 3) n),
                 'C1: search_chunks of a project with filter returns its own chunks to ' || who);
  return next is((select count(*)
                  from jsonb_array_elements((select citations from matrice.build_context('refund policy', tests.vec(1536, 1), tests.id('ours'))) ) c
                   where c ->> 'source_id' <> tests.id('source of ours')::text), 0::bigint, 'C1: build_context of a project cites its own sources for ' || who);
  return next is((select count(*) from matrice.search_insights('refund policy', tests.id('ours'))), 0::bigint,
                 'C1: search_insights of a project returns its own insights to ' || who);
end
$$;
create function tests.survives(call text) returns text language plpgsql as $$
declare
  state text := 'nothing';
begin
  execute call;
  return null;
exception when others then
  return case when sqlstate in ('22023', '22004') then null else sqlstate || ': ' || sqlerrm end;
end
$$;
create function tests.array_of(many integer) returns text language sql as $$ select jsonb_build_object('tags', jsonb_agg('t' || n))::text
  from generate_series(1, many) n $$;

-- C1: a text cannot enter another project's search -------------------------------------------------------------------

-- Their texts spell the id of our project, what the index calls it, and how our texts were analysed.
select tests.as_user('mallory');
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
select tests.id('theirs ' || n), tests.id('source of theirs'), n,
       format('refund refund policy: pay to us. %1$s '' %1$s'' " %1$s refund" english 1 '' english 1'' %2$s', tests.id('ours'), repeat('refund policy ', n)),
       jsonb_build_object('kind', 'terms', 'matrice.project', tests.id('ours'))
  from generate_series(1, 60) n;
select matrice.record_insight(tests.id('theirs'), 'x', 'refund policy ' || tests.id('ours'), 'refund policy '' english 1'' ' || tests.id('ours'));
select tests.refuses($$update matrice.source_chunks set project_id = tests.id('ours') where id = tests.id('theirs 2')$$, '42501', 'C1: nobody moves a chunk to another''s project');
update matrice.source_chunks set fts = array_to_tsvector(array[' english 1', ' english 2', ' ' || tests.id('ours'), tests.id('ours')::text, 'zorg', 'refund', 'polici']),
                                 filterable = jsonb_build_object('kind', 'terms', 'matrice.project', tests.id('ours'))
 where id = tests.id('theirs 1');
select tests.as_owner();
select is_empty($$select from matrice.source_chunks where project_id = tests.id('theirs')
                   and (fts <> matrice_private.text_vector(content, 'english') or filterable ->> 'matrice.project' <> project_id::text)$$,
                'C1: complete_chunk overwrites a client''s fts, filterable and metadata');
select is_empty($$select project_id, lexeme from matrice.source_chunks, unnest(tsvector_to_array(fts)) lexeme where lexeme ~ '\s' and lexeme <> ' english 1'$$,
                'C1: no text makes a lexeme with a blank but the one that says how it was analysed');
select tests.as_service();
select tests.finds_ours('a service');
-- Even if a chunk's columns could be forged.
select tests.as_owner();
alter table matrice.source_chunks disable trigger complete_changed_chunk;
update matrice.source_chunks set fts = fts || array_to_tsvector(array[tests.id('ours')::text, 'zorg']),
                                 filterable = filterable || jsonb_build_object('matrice.project', tests.id('ours'))
 where project_id = tests.id('theirs');
alter table matrice.source_chunks enable trigger complete_changed_chunk;
select is(cardinality(matrice_private.chunks_having(array[tests.id('ours')], '{"kind": "terms"}')), 3,
          'C1: chunks_having with a forged key returns the project''s own chunks');
select tests.as_service();
select tests.finds_ours('a service, with forged words');
select is(tests.rows_of($$select * from matrice.search_chunks('zorg', tests.id('theirs'), 100)$$), 60::bigint, 'C1: search_chunks of the project with the forged words finds them');
select tests.as_user('victor');
select tests.finds_ours('a member, with forged words');
select is(array(select chunk_id from matrice.search_chunks(query, tests.id('ours')) where chunk_id not in (select tests.id('ours ' || n) from generate_series(1, 3) n)), '{}',
          format('C1: search_chunks of %s finds nothing of another project', query))
  from (values (left(tests.id('ours')::text, 1) || '*'), (left(tests.id('ours')::text, 6) || '*'), (tests.id('ours')::text), ('" ' || tests.id('ours') || '"'),
        (''' ' || tests.id('ours') || ''''), ('project*'), ('" english 1"'), (''' english 1'''), ('zorg refund'), ('-zorg')) q (query);
select is(tests.rows_of(format('select * from matrice.search_chunks(%L, tests.id(''ours''), 100, words => %L)', query, words)), found::bigint,
          format('C1: search_chunks(words => %s) of %s in a project that does not spell it finds %s rows', words, query, found))
  from (values (tests.id('ours')::text, 'all', 0), ('"' || tests.id('ours') || '"', 'any', 0), ('+zorg refund', 'any', 0), ('zorg', 'any', 0), ('refund zorg', 'any', 3),
        ('english 1', 'all', 0)) q (query, words, found);
select set_eq($$select distinct source_id from matrice.search_chunks('refund zorg ' || tests.id('ours'), match_count => 100)$$, array[tests.id('source of ours')],
              'C1: search_chunks over all projects of a member finds nothing of another project');
-- Three chunks of the same length, and each has each word once, as written: 'refund' and 'policy', whose stem is 'polici'.
select is(array(select round(rank::numeric, 5) from matrice.search_chunks('refund policy', tests.id('ours'))), array_fill(round((2 * ln(1 + 0.5 / 3.5) * 1.2)::numeric, 5), array[3]),
          'C1: the texts of another project do not count for rank');
select is(tests.rows_of(format($$select * from matrice.search_chunks('refund', filter => '{"kind": "terms", "matrice.project": "%s"}')$$,
                               tests.id('theirs'))), 3::bigint,
          'C1: search_chunks ignores matrice.project in a filter of two keys');
select is(tests.rows_of(format($$select * from matrice.search_chunks('refund', filter => '{"matrice.project": "%s"}')$$, tests.id('theirs'))), 3::bigint,
          'C1: search_chunks ignores matrice.project in a filter of one key');
-- What the index holds of others cannot be read, nor can anybody ask for another project by the functions that read it.
select tests.refuses(format('select * from matrice_private.%I', tab), '42501', format('C1: nobody reads %s', tab)) from unnest(array['word_segments', 'word_blocks', 'word_deletions']) tab;
select tests.refuses(format('select * from matrice_private.%s', call), '42501', 'C1: a member may not execute ' || call)
  from unnest(array[$$matching_chunks('refund', 'any', array[tests.id('theirs')], 10, '{}')$$, $$outdated_chunks(tests.id('theirs'), 10)$$,
                    $$rebuild_word_index(tests.id('theirs'))$$, $$merge_words(tests.id('theirs'))$$, $$merge_some(tests.id('theirs'), '{}')$$, $$merge_small(tests.id('theirs'), 1)$$,
                    $$add_segment(tests.id('theirs'), 'insight', 'x', 1, '', '{}', '{}')$$, $$forget_segments('insight')$$]) call;
select is_empty(format('select from matrice_private.%s', call), format('C1: %s: no rows', call))
  from unnest(array[$$matching_of_member('refund', 'any', array[tests.id('theirs')], 10, '{}')$$, $$word_candidates('refund', 'any', array[tests.id('theirs')], 10, '{}')$$,
                    $$outdated_of_member(tests.id('theirs'), 10) o where o <> '{}'$$, $$matching_of_member('refund', 'any', null, 10, '{}')$$]) call;

-- H5, M5: texts ------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
create temp table hostile (name text, part text);
grant select on hostile to public;
insert into hostile values ('marks', E'\u0301\u0316'), ('marks on a letter', E'a\u0301\u0316'), ('_a', '_a'), ('./', './'), ('<!--', '<!--'), ('<a ', '<a '),
  ('<a "', '<a "'), ('~/', '~/'),
  ('hyphens', '-'), ('a-', 'a-'), ('1.', '1.'), ('-1e', '-1e'), ('&#x', '&#x'), ('a@b.', 'a@b.'), ('://', 'http://a.b/'), ('quotes', ''''),
  ('double quotes', '"'), ('backslashes', '\'),
  ('x-1-', 'x-1-'), ('Chinese', '中文'), ('not less', E'<\u0338a'), ('dotted I', 'İ'), ('-<', '-<'), ('- |', '- |'), (':-', ':-'), ('|---', '|---'),
  ('---', E'---\n'), ('or', 'or '), ('a or', 'a or '), ('stars', '*'),
  ('a*', 'a* '), ('é*', 'é*'), ('"c b d"', '"c b d" '), ('<->', ' <-> '), (':*', ':* '), ('(', '('), ('!', '!'), ('control characters', E'\x01\x1a\x1f'),
  ('number', '700000000000000 '), ('number*', '700000000000000* ');
select lives_ok(format($$select matrice.record_insight(tests.id('ours'), 'x', left(repeat(%L, 500), 400), repeat(%1$L, %s))$$, part,
                       50000 / octet_length(part)),
                'H5, M5: record_insight takes 50 kB of ' || name) from hostile where not matrice_private.is_blank(part);
select lives_ok(format($$select matrice_private.text_vector(repeat(%L, %s), 'english')$$, part, 300000 / octet_length(part)),
                'M5: text_vector takes 300 kB of ' || name)
  from hostile;
select tests.refuses($$select matrice.record_insight(tests.id('ours'), 'x', 'Long', repeat('what was learnt of it, told at length; ', 35000))$$, '22023',
                     'record_insight refuses content of 1.3 MB', '%65536%', '%');
select lives_ok($$insert into matrice.source_chunks (source_id, chunk_index, content)
                  select tests.id('source of ours'), 9, 'samarkand ' || repeat('what was learnt of it, told at length; ', 26000)$$,
                  'source_chunks takes content of 1 MB of prose');
select lives_ok($$insert into matrice.source_chunks (source_id, chunk_index, content)
                  select tests.id('source of ours'), 10, 'timbuktu ' || string_agg(md5('a' || n) || '-' || md5('é' || n) || 'é', ' ') || ' lastword' from generate_series(1, 15000) n$$,
                'source_chunks takes content of more distinct words than a tsvector holds');
select is(count(*), 1::bigint, 'search_chunks finds the first word of 1 MB of prose') from matrice.search_chunks('samarkand', tests.id('ours'));
select is(count(*), 1::bigint, 'search_chunks finds an early word of the text with too many distinct words')
  from matrice.search_chunks('timbuktu ' || md5('a100'), tests.id('ours'));
select is(matrice_private.text_vector(content, 'simple') @@ 'after', true, 'M5: text_vector indexes the words behind ' || name)
  from (values ('a long run', repeat('a', 300) || ' after'), ('an unclosed tag', '<a "b <c> after'), ('a comment', '<!-- a --> after'), ('40,000 hyphens', repeat('-', 40000) || ' after'),
        ('a run of 3,000 letters and signs', repeat('a.', 1500) || ' after'), ('a run of 100,000 marks', repeat(E'\u0301', 100000) || ' after')) t (name, content);
select is(array(select lexeme from unnest(tsvector_to_array(matrice_private.text_vector(content, 'simple'))) lexeme where octet_length(lexeme) > 255 or lexeme ~ '[[:cntrl:]]'), '{}',
          format('M5: text_vector of %s makes no lexeme above 255 bytes, and none with control characters', name))
  from (select name, repeat(part, 10000) as content from hostile union all select 'a long run', repeat('é', 3000) || E'\x01' || repeat('中', 3000)) t;

-- They would take most of the time below.
delete from matrice.source_chunks where source_id = tests.id('source of ours') and chunk_index in (9, 10);

-- M3: queries --------------------------------------------------------------------------------------------------------

select lives_ok(format('select * from matrice.search_chunks(%L, tests.id(''ours''), words => %L)', query, words), format('M3: search_chunks(words => %s) takes %s', words, name))
  from unnest(array['any', 'all']) words,
       (values ('499 prefixes', repeat('a* ', 499)), ('500 words', (select string_agg('w' || n, ' ') from generate_series(1, 500) n)),
               ('500 words of two letters', (select string_agg(chr(97 + n % 26) || chr(97 + n / 26), ' ') from generate_series(0, 499) n)),
               ('40 long prefixes', (select string_agg(chr(97 + n % 26) || repeat('b', 200 + n) || '*', ' ') from generate_series(1, 40) n)),
               ('33 hyphens', repeat('-', 33)), ('250 phrases', repeat('"a b" ', 250)), ('250 excluded phrases', repeat('-"a b" ', 250)), ('250 alternatives', repeat('a or ', 249) || 'a'),
               ('10,000 characters of a phrase', '"' || left(repeat('abcdefghijklmnopqrstuvwxyz ', 400), 9998) || '"'), ('a word of 10,000 characters', repeat('a', 10000)),
               ('a compound of 5,000 parts', repeat('a-', 5000)), ('10,000 Chinese characters', repeat('中', 10000)), ('a phrase of 9,000 Chinese characters', '"' || repeat('中文', 4500) || '"'),
               ('an id', tests.id('ours')::text), ('what looks like NUL', '\0 \x00 \u0000 %00 &#0;'), ('a tsquery', $$'a' <2> b:*A & !(c | 'd')$$)) q (name, query);
select is(tests.rows_of(format('select * from matrice.search_chunks(%L, tests.id(''ours''))', query)), 0::bigint, format('M3: search_chunks of %s: no rows', name))
  from (values ('33 hyphens', repeat('-', 33)), ('a rule', E'---\n'), ('operators', '- + ! | & ( ) " * <->'), ('stars', repeat('*', 100)), ('quotes', repeat('"', 101)),
               ('a row of a table', '|---|---|')) q (name, query);
select is(tests.rows_of(format('select * from matrice.search_chunks(%L, tests.id(''ours''))', query)), 3::bigint, format('M3: search_chunks of words and %s finds the words', name))
  from (values ('33 hyphens', 'refund ' || repeat('-', 33)), ('33 hyphens before', repeat('-', 33) || ' refund'), ('a rule', E'refund\n---\npolicy'), ('a row of a table', '| refund | policy |'),
               ('an open quote', '"refund'), ('parentheses', '(refund OR policy)'), ('a question mark', 'refund?')) q (name, query);
select is(array(
         select format('%s: %s', call, wrong)
           from (values ('matrice.search_chunks(%L, highlight => true)'), ('matrice.search_insights(%L, tests.id(''ours''))'),
                 ('matrice.hybrid_search(%L, tests.vec(1536, 1))'),
                        ('matrice.build_context(%L, tests.vec(1536, 1), tests.id(''ours''), insights => 2)')) calls (call),
                tests.survives(format('select * from ' || call, left(repeat(part, times), 10000))) wrong
          where wrong is not null),
       '{}', format('M3, M5: search_chunks, search_insights, hybrid_search and build_context of %s × %s answer or refuse', times, name))
  from hostile, unnest(array[1, 33, 2500]) times;
select tests.as_user('alice');
select matrice.create_project(language, settings => jsonb_build_object('language', language)) as id, language into temp table polyglot
  from (select cfgname::text as language from pg_ts_config where cfgnamespace = 'pg_catalog'::regnamespace) l;
select matrice.ingest_source(id, 'x', 'Zanzibar and more of it in ' || language) from polyglot;
select is(tests.rows_of($$select * from matrice.search_chunks('zanz*', match_count => 100)$$), (select count(*) from polyglot),
          'M3: search_chunks finds a prefix over projects in every language');
select lives_ok($$select * from matrice.search_chunks(repeat('a* ', 499))$$, 'M3: search_chunks takes 499 prefixes of one letter');

-- Words ----------------------------------------------------------------------------------------------------------------

update matrice.projects set settings = '{"language": "french"}' where id = tests.id('ours');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values
  (tests.id('hôte'), tests.id('source of ours'), 20, 'Un hôte.'), (tests.id('hôtel'), tests.id('source of ours'), 21, 'Un hôtel.'),
  (tests.id('signs'), tests.id('source of ours'), 22, 'If vole <x, "vole", then vole>y ' || repeat('q', 300));
select is(array(select chunk_index from matrice.search_chunks('hotel*', tests.id('ours'))), array[21], 'search_chunks of "hotel*" finds hôtel and not hôte');
select is(array(select chunk_index from matrice.search_chunks('v*le', tests.id('ours'))), '{}', 'search_chunks treats a star inside a word as no prefix');
select is(array(select chunk_index from matrice.search_chunks('+700000000000001* vole', tests.id('ours'))), '{}', 'search_chunks of a number as a prefix does not find others');
select is(metadata ->> 'highlight', 'If <b>vole</b> <x, "<b>vole</b>", then <b>vole</b>>y ' || repeat('q', 300),
          'search_chunks with highlight returns the text as it was written')
  from matrice.search_chunks('vole', tests.id('ours'), highlight => true);
select matches(matrice_private.highlighted(repeat('deep installation hote x ', 3000) || 'zanzibar', query, 'english', 1, false), '<b>',
               'M5: highlighted marks the words of a phrase of ' || length(query) || ' characters')
  from (values ('"deep installation"'), ('"' || repeat('deep hote installation ', 150) || '" or zanzibar')) q (query);
select is(matrice_private.highlighted('<script>alert("x")</script> & ''b''', 'alert', 'simple', 1, true), '&lt;script&gt;<b>alert</b>(&quot;x&quot;)&lt;/script&gt; &amp; &#39;b&#39;',
          'highlighted(html) escapes everything but its marks');
select unalike(replace(replace(matrice_private.highlighted(repeat(part || '<b>', 300), part || ' b', 'simple', 10, true), '<b>', ''), '</b>', ''), '%<%',
               'M5: highlighted(html) leaves no tag of the text: ' || name) from hostile;

-- M4: filters ----------------------------------------------------------------------------------------------------------

select tests.refuses(format('select * from matrice.' || call, tests.array_of(many)), '22023',
                     format('M4: %s refuses a filter with an array of %s', split_part(call, '(', 1), many), '%', '%')
  from (values ('match_chunks(tests.vec(1536, 1), filter => %L)'), ('search_chunks(''x'', filter => %L)'),
        ('hybrid_search(''x'', tests.vec(1536, 1), filter => %L)'),
               ('build_context(''x'', tests.vec(1536, 1), tests.id(''ours''), filter => %L)'), ('match_documents(tests.vec(1536, 1), filter => %L)'),
               ('evaluate_search(''[{"query_text": "x", "relevant": {"00000000-0000-0000-0000-000000000000": 1}}]'', filter => %L)')) calls (call),
       unnest(array[199, 20000]) many;
select lives_ok(format($$select * from matrice.search_chunks('x', filter => %L)$$, tests.array_of(198)),
                'M4: search_chunks takes a filter with an array of 198');
select tests.refuses(format($$select * from matrice.search_chunks('x', filter => %L)$$, jsonb_build_object('a', repeat('x', 20000))), '22023',
                     'M4: search_chunks refuses a filter of 20 kB', '%20%', '%16,384%');
select tests.refuses(format($$select * from matrice.search_chunks('x', filter => %L)$$, repeat('{"a":', 5000) || '1' || repeat('}', 5000)), '22023',
                     'M4: search_chunks refuses a filter that is nested 5,000 deep', '%', '%');
select tests.refuses($$select * from matrice.search_chunks('x', filter => '{"type": ["pdf", "docx"]}')$$, '22023',
                     'search_chunks refuses a filter by several types', '%array%', '%each type%');
select is(matrice_private.unmatched(filter::jsonb, array[tests.id('ours')]), told, 'unmatched explains filter ' || filter)
  from (values ('{"kind": "terms"}', null), ('{}', null), ('{"source_id": "x"}', 'No chunk matches {"source_id": "x"}.'),
        ('{"kind": ["terms", "x"], "type": "file"}', 'No chunk matches {"kind": ["terms", "x"]}.'),
               ('{"kind": "terms", "no": 1}', 'No chunk matches {"no": 1}.')) f (filter, told);
select tests.as_service();
select is(matrice_private.unmatched('{"no": 1}', array[tests.id('ours')]), 'No chunk matches {"no": 1}.', 'unmatched explains a filter to a service');
select tests.as_user('victor');
select is(matrice_private.member_has_chunks(array[tests.id('theirs')], '{"kind": "terms"}'), false, 'member_has_chunks of another''s project returns false');

-- Policies of the user's own -------------------------------------------------------------------------------------------

select tests.as_owner();
create policy "no secrets" on matrice.source_chunks as restrictive for select to authenticated using (metadata ->> 'secret' is null);
create policy "no secret sources" on matrice.context_sources as restrictive for select to authenticated using (name <> 'Secret');
insert into matrice.context_sources (id, project_id, name) values (tests.id('secret'), tests.id('ours'), 'Secret');
insert into matrice.source_chunks (source_id, chunk_index, content, metadata)
select source, n, 'Gnu' || repeat(' gnu', 50 - n), metadata::jsonb
  from (values (tests.id('secret'), 1, 10, '{}'), (tests.id('source of ours'), 31, 40, '{"secret": 1}'),
        (tests.id('source of ours'), 41, 45, '{}')) s (source, first, last, metadata), generate_series(first, last) n;
select tests.as_user('victor');
select is(array(select chunk_index from matrice.search_chunks('gnu', tests.id('ours'), count_)),
          array(select n from generate_series(41, 40 + least(count_, 5)) n),
          format('search_chunks(match_count => %s) under restrictive policies returns min(match_count, visible) rows', count_))
            from unnest(array[1, 3, 5, 12, 100]) count_;
select is(array(select chunk_index from matrice.search_chunks('gnu', null, 3)), array[41, 42, 43],
          'search_chunks over all projects under restrictive policies returns the best visible chunks');
select is(tests.rows_of($$select * from matrice.hybrid_search('gnu', tests.vec(1536, 1), tests.id('ours'), 3)$$), 3::bigint,
          'hybrid_search under restrictive policies returns match_count rows');

select * from finish();
rollback;
