begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('French', '{"language": "french"}');
select tests.project('English', '{"language": "english"}');
select tests.project('German', '{"language": "german"}');
select tests.project('Plain');
insert into matrice.context_sources (id, project_id, name) select tests.id('source of ' || name), tests.id(name), name
  from unnest(array['French', 'English', 'German', 'Plain']) name;
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select tests.id(project || ' ' || n), tests.id('source of ' || project), n, content
  from (values
    ('French', 1, 'Les élèves régulièrement inscrits développent une idée générale du cœur de l''été.'),
    ('French', 2, 'Une plage à la mer.'), ('French', 3, 'Garçons et forêts, où l''on naît.'),
    ('French', 4, 'La liberté.'), ('French', 5, E'Un ba\u0302timent ferme\u0301.'), ('French', 6, 'ELEVES EN ETE.'), ('French', 7, 'Ces installations-là.'),
    ('English', 1, 'She was running through the naïve café, running again.'), ('English', 2, 'A full embedding of stories.'),
    ('English', 3, 'Running once, and much later something else about stories of embedding.'),
    ('English', 4, 'An installation guide: organizations and education, not a part of any care.'),
    ('Plain', 1, 'Łódź und Straße, Ørsted.'), ('Plain', 2, 'Running as it is written.')) as texts (project, n, content);

create function tests.finds(query text, project text, numbers integer[], words text default 'any') returns text language sql as $$
  select is(array(select chunk_index from matrice.search_chunks(query, tests.id(project), 100, words => words) order by chunk_index), numbers,
            format('search_chunks(words => %L) of "%s" in %s finds %s', words, query, project, numbers))
$$;

select tests.as_user('victor');
-- Each project in its language; accents do not matter, in either direction.
select tests.finds(query, project, numbers) from (values
  ('élève', 'French', '{1,6}'::integer[]), ('eleves', 'French', '{1,6}'), ('ÉLÈVES', 'French', '{1,6}'), ('eleve', 'French', '{1,6}'),
  ('ELEVE', 'French', '{1,6}'),
  ('été', 'French', '{1,6}'), ('ete', 'French', '{1,6}'), ('Été', 'French', '{1,6}'), ('ETE', 'French', '{1,6}'), (E'e\u0301te\u0301', 'French', '{1,6}'),
  ('élèves été', 'French', '{1,6}'), ('regulierement', 'French', '{1}'),
  ('régulièrement', 'French', '{1}'), ('developpent', 'French', '{1}'), ('idées générales', 'French', '{1}'), ('coeur', 'French', '{1}'),
  ('cœur', 'French', '{1}'),
  ('à la plage', 'French', '{2}'), ('à', 'French', '{2}'), ('a', 'French', '{2}'), ('garcon', 'French', '{3}'), ('foret', 'French', '{3}'),
  (E'e\u0301le\u0300ve', 'French', '{1,6}'),
  (E'liberte\u0301', 'French', '{4}'), ('liberte', 'French', '{4}'), ('fermé', 'French', '{5}'), ('batiment', 'French', '{5}'),
  ('naive cafe', 'English', '{1}'), ('naïve', 'English', '{1}'), ('ran', 'English', '{}'), ('runs', 'English', '{1,3}'), ('story', 'English', '{2,3}'),
  ('lodz', 'Plain', '{1}'), ('strasse orsted', 'Plain', '{1}'), ('run', 'Plain', '{}'), ('running', 'Plain', '{2}'),
-- Any word is enough, unless + or a phrase requires it.
  ('plage liberté', 'French', '{2,4}'), ('running guide', 'English', '{1,3,4}'), ('+running stories', 'English', '{1,3}'), ('+running +stories', 'English', '{3}'),
  ('"naïve café" guide', 'English', '{1}'), ('+zebra running', 'English', '{}'), ('zebra running', 'English', '{1,3}'),
  ('what is an installation?', 'English', '{4}'), ('+the guide', 'English', '{1}'), ('+an guide', 'English', '{4}'),
-- Phrases, alternatives, exclusions, beginnings.
  ('"full embedding"', 'English', '{2}'), ('"embedding full"', 'English', '{}'), ('"stories of embedding"', 'English', '{3}'),
  ('"stories embedding"', 'English', '{}'), ('"full embedding" or "naïve café"', 'English', '{1,2}'), ('running -"naïve café"', 'English', '{3}'),
  ('café or stories', 'English', '{1,2,3}'), ('stories -full', 'English', '{3}'), ('stories !full', 'English', '{3}'),
  ('+café or +guide', 'English', '{1,4}'), ('or', 'English', '{}'), ('café or', 'English', '{1}'), ('or café', 'English', '{1}'), ('"or" guide', 'English', '{}'),
  ('emb*', 'English', '{2,3}'), ('"full emb*"', 'English', '{2}'), ('stor* -run*', 'English', '{2}'), ('running*', 'English', '{1,3}'),
  ('zzz* or caf*', 'English', '{1}'), ('+stor* +emb* -full', 'English', '{3}'),
  ('élè*', 'French', '{1,6}'), ('installat*', 'French', '{7}'), ('INSTALLATI*', 'French', '{7}'), ('développe* or plag*', 'French', '{1,2}'),
  ('développem*', 'French', '{}'),
  ('installat*', 'English', '{4}'), ('Installatio*', 'English', '{4}'), ('organizat* educat*', 'English', '{4}'), ('particip*', 'English', '{}'),
  ('caress*', 'English', '{}'),
  ('runni*', 'English', '{1,3}'), ('"installat* guide"', 'English', '{4}'), ('installat*', 'Plain', '{}'),
  ('for*', 'French', '{3}'), ('strass*', 'Plain', '{1}'), ('runn*', 'Plain', '{2}'), ('-running', 'Plain', '{1}'), ('-running -café', 'English', '{2,4}'),
  ('-the', 'English', '{2,3,4}'), ('-"full embedding"', 'English', '{1,3,4}'), ('-run*', 'English', '{2,4}'),
  ('e* em* emb*', 'English', '{2,3,4}'),
-- Stop words are ignored, unless there are no others.
  ('the of and', 'English', '{1,2,3,4}'), ('through', 'English', '{1}'), ('the stories', 'English', '{2,3}'), ('le la', 'French', '{1,2,4,7}'),
  ('"of stories"', 'English', '{2}'), ('to be or not to be', 'English', '{4}'),
-- Nothing to look for, or nothing that could break out of a query.
  ('*', 'English', '{}'), ('** -* "*"', 'English', '{}'), ('''*', 'English', '{}'),
  ('a''b*', 'English', '{}'), ('\*', 'English', '{}'), ('x\''*', 'English', '{}'), (':*', 'English', '{}'), ('emb:* | (', 'English', '{2,3}'),
  (E'\u0301\u0301*', 'English', '{}'), ('-', 'English', '{}'), ('+', 'English', '{}'), ('""', 'English', '{}'), ('-""', 'English', '{}'), ('"', 'English', '{}'),
  ('"stories', 'English', '{2,3}'), ('stories"full"', 'English', '{2}'),
  ('70000000000000100', 'English', '{}'), ('<-> & ! "', 'English', '{}')) as searched (query, project, numbers);
select tests.finds(query, project, numbers, 'all') from (values
  ('plage liberté', 'French', '{}'::integer[]), ('élèves été', 'French', '{1,6}'), ('à la plage', 'French', '{2}'), ('naive cafe', 'English', '{1}'),
  ('running guide', 'English', '{}'), ('running stories', 'English', '{3}'), ('running the stories', 'English', '{3}'), ('running zebra', 'English', '{}'),
  ('café or stories', 'English', '{1,2,3}'), ('running café or stories', 'English', '{1,3}'), ('stories -full', 'English', '{3}'),
  ('e* em* emb*', 'English', '{2,3}'), ('organizat* educat*', 'English', '{4}'), ('"full embedding" stories', 'English', '{2}'), ('the of and', 'English', '{}'),
  ('of and', 'English', '{3,4}'), ('-running', 'English', '{2,4}'), ('* running', 'English', '{1,3}')) as searched (query, project, numbers);
select set_eq($$select source_name, chunk_index from matrice.search_chunks('running')$$, $$values ('English', 1), ('English', 3), ('Plain', 2)$$,
              'search_chunks over all projects reads the query in each project''s language');
select results_eq($$select chunk_index from matrice.search_chunks('running', tests.id('English'))$$, $$values (1), (3)$$,
                  'search_chunks ranks two occurrences above one');
select is(array(select chunk_id from matrice.search_chunks('"' || tests.id('English') || '"')), '{}', 'search_chunks of a project''s id as a phrase: no rows');
select is(array(select chunk_id from matrice.search_chunks(tests.id('English')::text, words => 'all')), '{}',
          'search_chunks(words => all) of a project''s id: no rows');
select tests.refuses($$select * from matrice.search_chunks(repeat('word ', 200000))$$, '22023', 'search_chunks refuses query_text of 1 MB', '%', '%');
select tests.refuses($$select * from matrice.search_chunks(repeat('word ', 2001))$$, '22023',
                     'search_chunks refuses query_text of 10,005 characters and names the number', '%10005 characters%', '%10,000 characters%');
select tests.refuses($$select * from matrice.search_chunks(repeat('word ', 600))$$, '22023',
                     'search_chunks refuses query_text of 600 words and names the number', '%600 words%', '%500 words%');
select lives_ok($$select * from matrice.search_chunks(repeat('word ', 500))$$, 'search_chunks takes query_text of 500 words');
select lives_ok($$select * from matrice.search_chunks(repeat('w* ', 100))$$, 'search_chunks takes query_text of 100 prefixes');

-- What is between words, and what stands for them. Each text and its query is one case; `found` are the places of the texts.
select tests.as_owner();
create temp table cases (number integer generated always as identity, project text, texts text[], query text, found integer[]) on commit drop;
grant select on cases to public;
insert into cases (project, texts, query, found) values
  ('English', '{We follow ISO-9001.,COVID-19 rules,phone 555-1234,on 2026-11-26}', '9001', '{1}'),
  ('English', '{We follow ISO-9001.,COVID-19 rules,phone 555-1234,on 2026-11-26}', 'covid 19', '{2}'),
  ('English', '{We follow ISO-9001.,COVID-19 rules,phone 555-1234,on 2026-11-26}', '1234', '{3}'),
  ('English', '{We follow ISO-9001.,COVID-19 rules,phone 555-1234,on 2026-11-26}', '11', '{4}'),
  ('English', '{We follow ISO-9001.,COVID-19 rules,phone 555-1234,on 2026-11-26}', '"covid-19"', '{2}'),
  ('English', '{We follow ISO-9001.,COVID-19 rules,phone 555-1234,on 2026-11-26}', '2026-11-26', '{4}'),
  ('Plain', '{UTF 8,UTF-16,utf-8}', '"utf-8"', '{1,3}'), ('English', '{UTF 8,nothing}', 'utf-8', '{1}'), ('English', '{utf-8,nothing}', 'UTF 8', '{1}'),
  ('English', '{utf8,nothing}', 'utf-8', '{1}'), ('English', '{utf_8,nothing}', '+utf8', '{1}'),
  ('English', '{North/South wind,TCP/IP}', 'South', '{1}'), ('English', '{North/South wind,TCP/IP}', 'TCP', '{2}'),
  ('English', '{end of line.Next begins,other}', 'Next', '{1}'),
  ('English', '{edit config.yaml,release v1.2.3}', 'config', '{1}'), ('English', '{edit config.yaml,release v1.2.3}', '1.2.3', '{2}'),
  ('English', '{edit config.yaml,release v1.2.3}', '+v1.2.3', '{2}'), ('English', '{edit config.yaml,release v1.2.3}', 'yaml', '{1}'),
  ('English', '{see https://example.org/guides/sailing for it,other}', 'https://example.org/guides/sailing', '{1}'),
  ('English', '{see https://example.org/guides/sailing for it,other}', 'sailing', '{1}'),
  ('English', '{see https://example.org/guides/sailing for it,other}', '"https://example.org/guides/sailing"', '{1}'),
  ('English', '{write to john.doe@example.org,other}', 'doe', '{1}'), ('English', '{write to john.doe@example.org,other}', '+john.doe@example.org', '{1}'),
  ('English', '{runs on node.js,other}', 'node', '{1}'), ('English', '{runs on node.js,other}', '+node.js', '{1}'),
  ('English', '{call searchChunks first,other}', 'search', '{1}'), ('English', '{call search_chunks first,other}', 'chunks', '{1}'),
  ('English', '{call searchChunks first,other}', '+search_chunks', '{1}'),
  ('English', array['fn f(x: Option<Widget>) {} // #include <stdio.h>', 'other'], 'Widget', '{1}'),
  ('English', array['fn f(x: Option<Widget>) {} // #include <stdio.h>', 'other'], 'stdio', '{1}'),
  ('English', array['fn f(x: Option<Widget>) {} // #include <stdio.h>', 'other'], 'Option<Widget>', '{1}'),
  ('English', '{a C++ class,a C# class,the .NET runtime,a net}', 'C#', '{1,2}'),
  ('English', '{a C++ class,a C# class,the .NET runtime,a net}', '.NET', '{3,4}'),
  ('French', '{Le langage C++ est vieux.,autre}', 'C++', '{1}'),
  ('English', '{it fell to -5 degrees,other}', '5', '{1}'), ('English', '{it fell to -5 degrees,other}', '+5', '{1}'),
  ('English', '{send e-mail today,every elephant eats,guitar lessons}', 'e-mai*', '{1}'),
  ('English', '{send e-mail today,every elephant eats,guitar lessons}', 'email', '{1}'),
  ('English', '{send email today,every elephant eats,guitar lessons}', 'e-mail', '{1}'),
  ('French', '{Le chat dort en été.,Le chat dort en hiver.}', 'chat -été', '{2}'),
  ('French', '{Le chat dort en été.,Le chat dort en hiver.}', 'chat', '{1,2}'),
  ('French', '{Un hôte.,Un hôtel.,Des hôtels.}', 'hotel*', '{2,3}'), ('French', '{Un hôte.,Un hôtel.,Des hôtels.}', 'hôtel', '{2,3}'),
  -- What is also a whole word is found in its other forms, too.
  ('English', '{study well,studies,studio}', 'studies*', '{1,2}'),
  ('French', array['Cœur/âme, corps/œuvre : le chat noir dort.'], '"noir chat"', '{}'),
  ('French', array['Cœur/âme, corps/œuvre : le chat noir dort.'], '"chat noir"', '{1}'),
  ('French', array['Cœur/âme, corps/œuvre : le chat noir dort.'], 'ame', '{1}'), ('French', array['Cœur/âme, corps/œuvre : le chat noir dort.'], 'oeuvre', '{1}'),
  ('French', array['C''est l''été d''Anna, aujourd''hui.', 'autre'], 'Anna', '{1}'), ('French', array['C''est l’été d’Anna, aujourd’hui.', 'autre'], 'aujourd''hui', '{1}'),
  ('English', array['I don''t know', 'other'], 'don’t', '{1}'), ('English', array['the sailor’s boat', 'other'], 'sailor', '{1}'),
  ('English', array[E'The \ufb01nal o\ufb00er'], 'final', '{1}'), ('English', array[E'The \ufb01nal o\ufb00er'], 'offer', '{1}'),
  ('English', array[E'\uff38\uff39\uff3a'], 'XYZ', '{1}'), ('German', array[E'Zei\u00adtung'], 'Zeitung', '{1}'), ('English', array[E'Zei\u200btung'], 'Zei', '{1}'),
  ('English', array[E'long\u2011term'], 'long-term', '{1}'), ('English', array[E'long\u2011term'], '"long term"', '{1}'), ('English', array['m²'], 'm2', '{1}'),
  ('German', array['über den Fluss', 'ueber den Fluss', 'uber den Fluss'], 'über', '{1,2,3}'), ('German', array['Müller', 'Mueller', 'Muller'], 'Müller', '{1,2,3}'),
  ('German', array['Müller', 'Mueller', 'Zeitung'], 'Mueller', '{1,2}'), ('German', array['Müller', 'Muller', 'Zeitung'], 'Muller', '{1,2}'), ('German', array['die Straße', 'die Strasse'], 'STRASSE', '{1,2}'),
  ('Plain', '{我每天喝绿茶。東京で寿司を食べる。อากาศวันนี้ดี,別}', '绿茶', '{1}'), ('Plain', '{我每天喝绿茶。東京で寿司を食べる。อากาศวันนี้ดี,別}', '寿司', '{1}'),
  ('Plain', '{我每天喝绿茶。東京で寿司を食べる。อากาศวันนี้ดี,別}', 'วันนี้', '{1}'), ('English', '{我每天喝绿茶。東京で寿司を食べる。อากาศวันนี้ดี,別}', '绿茶', '{1}'),
  ('English', '{我每天喝绿茶。東京で寿司を食べる。อากาศวันนี้ดี,別}', '"喝绿茶"', '{1}'),
  ('English', array['To renew your passport, visit the office.', 'How do I do it quickly?'], '+passport How do I renew my passport quickly?', '{1}'),
  ('English', array['To renew your passport, visit the office.', 'Nothing of the kind.'], 'How do I renew my passport quickly?', '{1}'),
  ('Plain', array['To renew your passport, visit the office.'], 'How do I renew my passport quickly?', '{1}'),
  -- Rules, tables and dashes are no operators.
  ('English', '{the wind rose,other}', repeat('-', 33) || ' wind', '{1}'), ('English', '{the wind rose,other}', repeat('-', 33), '{}'),
  ('English', '{the wind rose,other}', '| wind | rain |' || E'\n' || '|------|------|', '{1}'), ('English', '{the wind rose,other}', E'---\nwind\n---', '{1}'),
  ('English', '{the wind rose,other}', 'wind -- rose', '{1}'), ('English', '{the wind rose,other}', 'wind – rose', '{1}'), ('English', '{the wind rose,other}', '--wind', '{1}');
select tests.as_service();
insert into matrice.source_chunks (source_id, chunk_index, content, metadata)
select tests.id('source of ' || c.project), 1000 * c.number + t.place, t.content, jsonb_build_object('case', c.number)
  from cases c, unnest(c.texts) with ordinality t (content, place);
select tests.as_user('victor');
select is(array(select chunk_index % 1000 from matrice.search_chunks(query, tests.id(project), filter => jsonb_build_object('case', number)) order by 1), found,
          format('search_chunks of "%s" in %s among %s finds %s', replace(query, E'\n', ' '), project, texts, found))
  from cases order by number;

select is(content, wanted, format('search_chunks of "%s" ranks "%s" first', query, wanted))
  from (values ('C++', 'a C++ class'), ('C#', 'a C# class'), ('.NET', 'the .NET runtime')) as named (query, wanted)
 cross join lateral (
   select content from matrice.search_chunks(query, tests.id('English'), 1, (select jsonb_build_object('case', max(number)) from cases where query = '.NET'))) c;
select tests.as_service();
delete from matrice.source_chunks where chunk_index >= 1000;

-- What a result says.
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
select tests.id(form), tests.id('source of English'), 20 + length(form), 'One day of ' || form, jsonb_build_object('kind', 'form', 'form', form)
  from unnest(array['sailing', 'sails']) form;
select tests.as_user('victor');
select results_eq(
  format('select chunk_index, matched_words from matrice.search_chunks(%L, tests.id(%L)) order by 1', query, project), expected,
  format('search_chunks of "%s" in %s returns matched_words', query, project))
  from (values ('Running the STORIES zebra', 'English', $$values (1, '{running}'::text[]), (2, '{stories}'), (3, '{running,stories}')$$),
               ('élève emb*', 'French', $$values (1, '{eleve}'::text[]), (6, '{eleve}')$$), ('emb*', 'English', $$values (2, '{emb*}'::text[]), (3, '{emb*}')$$),
               ('-running', 'English', $$values (2, '{}'::text[]), (4, '{}'), (25, '{}'), (27, '{}')$$)) as matched (query, project, expected);
select results_eq($$select chunk_index, rank from matrice.search_chunks('-running', tests.id('English')) order by 1$$,
                  'values (2, 0::real), (4, 0), (25, 0), (27, 0)', 'search_chunks of nothing but exclusions returns rank 0');
select is(array(select c.rank from matrice.search_chunks('runs') c order by c.rank desc),
          array(select c.rank from matrice.search_chunks('runs', tests.id('English')) c order by c.rank desc),
          'search_chunks over all projects ranks by the statistics of each project');
select results_eq($$select metadata ->> 'form' from matrice.search_chunks('sailing', tests.id('English'), filter => '{"kind": "form"}')$$,
                  $$values ('sailing'), ('sails')$$, 'search_chunks ranks the word as it is written above its other forms');
select results_eq($$select metadata ->> 'form' from matrice.search_chunks('sails', tests.id('English'), filter => '{"kind": "form"}')$$,
                  $$values ('sails'), ('sailing')$$, 'search_chunks ranks the word as it is written above its other forms, the other way round');
select results_eq(
  $$select source_type, storage_path, start_char, end_char from matrice.search_chunks('plage', tests.id('French'))$$,
  $$select s.type, s.storage_path, c.start_char, c.end_char from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id
     where c.id = tests.id('French 2')$$, 'search_chunks returns the type and path of the source and the place of the chunk');

-- Highlights: on request, in metadata.
select is(metadata, '{}', 'search_chunks without highlight: metadata is empty') from matrice.search_chunks('plage', tests.id('French'));
select is(metadata ->> 'highlight', marked, format('search_chunks with highlight: "%s" in %s marks %s', query, project, marked))
  from (values ('plage', 'French', 2, 'Une <b>plage</b> à la mer.'),
        ('eleve', 'French', 1, 'Les <b>élèves</b> régulièrement inscrits développent une idée générale du cœur de l''été.'),
        ('ELEVES', 'French', 6, '<b>ELEVES</b> EN ETE.'), ('élève', 'French', 6, '<b>ELEVES</b> EN ETE.'),
        ('regulierement inscrit', 'French', 1, 'Les élèves <b>régulièrement</b> <b>inscrits</b> développent une idée générale du cœur de l''été.'),
        ('developp*', 'French', 1, 'Les élèves régulièrement inscrits <b>développent</b> une idée générale du cœur de l''été.'),
        ('coeur or idee', 'French', 1, 'Les élèves régulièrement inscrits développent une <b>idée</b> générale du <b>cœur</b> de l''été.'),
        ('ete', 'French', 1, 'Les élèves régulièrement inscrits développent une idée générale du cœur de l''<b>été</b>.'),
        ('naive caf*', 'English', 1, 'She was running through the <b>naïve</b> <b>café</b>, running again.'),
        ('runs', 'English', 1, 'She was <b>running</b> through the naïve café, <b>running</b> again.'),
        ('the runs', 'English', 1, 'She was <b>running</b> through the naïve café, <b>running</b> again.'),
        ('"naïve café"', 'English', 1, 'She was running through the <b>naïve</b> <b>café</b>, running again.'),
        ('batiment ferme', 'French', 5, E'Un <b>ba\u0302timent</b> <b>ferme\u0301</b>.'),
        ('embedd*', 'English', 2, 'A full <b>embedding</b> of stories.'), ('-running', 'English', 2, 'A full embedding of stories.')
       ) as marks (query, project, n, marked),
       matrice.search_chunks(query, tests.id(project), highlight => true) where chunk_index = n;
select tests.as_service();
insert into matrice.source_chunks (id, source_id, chunk_index, content) values
  (tests.id('marked'), tests.id('source of English'), 10, 'Send <e-mail> & "config.yaml" to O''Neill'),
  (tests.id('scattered'), tests.id('source of English'), 11, 'zinnia ' || repeat('filler ', 100) || 'zinnia ' || repeat('filler ', 100) || 'zinnia');
select tests.as_user('victor');
select is(metadata ->> 'highlight', 'Send <<b>e</b>-<b>mail</b>> & "<b>config</b>.yaml" to O''Neill', 'search_chunks with highlight marks the parts of a compound')
  from matrice.search_chunks('email config', tests.id('English'), highlight => true);
select is(metadata ->> 'highlight', 'Send &lt;<b>e</b>-<b>mail</b>&gt; &amp; &quot;<b>config</b>.yaml&quot; to O&#39;Neill',
          'search_chunks(highlight_html => true) escapes the text but for the marks')
  from matrice.search_chunks('email config', tests.id('English'), highlight => true, highlight_html => true);
select is((length(excerpt) - length(replace(excerpt, '<b>zinnia</b>', ''))) / length('<b>zinnia</b>'), least(fragments, 3),
          format('search_chunks(highlight_fragments => %s) returns %s excerpts of three', fragments, least(fragments, 3)))
  from unnest(array[1, 2, 3, 10]) fragments,
       lateral (select metadata ->> 'highlight' as excerpt from matrice.search_chunks('zinnia', tests.id('English'), highlight => true, highlight_fragments => fragments)) h;
select is(cardinality(string_to_array(metadata ->> 'highlight', ' … ')), 3, 'search_chunks(highlight_fragments => 3) joins excerpts by an ellipsis')
  from matrice.search_chunks('zinnia', tests.id('English'), highlight => true, highlight_fragments => 3);

-- A lowest score.
create temp table ranks on commit drop as select chunk_index, rank from matrice.search_chunks('running café stories', tests.id('English'));
select cmp_ok(count(distinct rank), '>=', 3::bigint, 'search_chunks of several words returns different ranks') from ranks;
select is(array(select chunk_index from matrice.search_chunks('running café stories', tests.id('English'), min_score => least)), wanted,
          format('search_chunks(min_score => %s) leaves out lower ranks', least))
  from (select r.rank - 1e-4 as least, array(select o.chunk_index from ranks o where o.rank >= r.rank order by o.rank desc) as wanted from ranks r) l;
select is_empty($$select from matrice.search_chunks('running', tests.id('English'), min_score => 1000)$$, 'search_chunks(min_score => 1000): no rows');

-- Filters, and insights the same way.
select tests.as_user('edith');
update matrice.source_chunks set metadata = '{"page": 2}' where id = tests.id('English 2');
select results_eq($$select chunk_index from matrice.search_chunks('stories', tests.id('English'), filter => '{"page": 2}')$$, 'values (2)',
                  'search_chunks with filter {"page": 2}: the chunk of page 2');
select results_eq($$select rank from matrice.search_chunks('stories', tests.id('English'), filter => '{"page": 2}')$$,
                  $$select rank from matrice.search_chunks('stories', tests.id('English')) where chunk_index = 2$$,
                  'search_chunks with a filter ranks by the statistics of the whole project');
select matrice.record_insight(tests.id('French'), 'learning', 'Élèves', 'Ils développent.');
select matrice.record_insight(tests.id('French'), 'learning', 'Plages', 'Elles ferment en été.');
select is(array(select title from matrice.search_insights(query, tests.id('French'), 100) order by title), titles,
          format('search_insights of "%s" finds %s', query, titles))
  from (values ('eleve developp*', '{Élèves}'::text[]), ('eleve plage', '{Plages,Élèves}'), ('"ferment en"', '{Plages}'), ('"en ferment"', '{}'), ('-plage', '{Élèves}'),
               ('+plage élève', '{Plages}'), ('ferm*', '{Plages}'), ('ils', '{Élèves}'), (repeat('-', 40), '{}')) as searched (query, titles);

-- A language that is chosen later.
select tests.as_user('alice');
update matrice.projects set settings = '{"language": "english"}' where id = tests.id('Plain');
select tests.finds('runs', 'Plain', '{2}');

select * from finish();
rollback;
