begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('French', '{"language": "french"}');
select tests.project('English', '{"language": "english"}');
select tests.project('Plain');
insert into matrice.context_sources (id, project_id, name) select tests.id('source of ' || name), tests.id(name), name
  from unnest(array['French', 'English', 'Plain']) name;
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

create function tests.finds(query text, project text, numbers integer[]) returns text language sql as $$
  select is(array(select chunk_index from matrice.search_chunks(query, tests.id(project)) order by chunk_index), numbers,
            format('search_chunks of "%2$s" in %1$s finds %3$s', project, query, numbers))
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
-- Phrases, alternatives, exclusions, beginnings.
  ('"full embedding"', 'English', '{2}'), ('"embedding full"', 'English', '{}'), ('café or stories', 'English', '{1,2,3}'), ('stories -full', 'English', '{3}'),
  ('emb*', 'English', '{2,3}'), ('"full emb*"', 'English', '{2}'), ('stor* -run*', 'English', '{2}'), ('running*', 'English', '{1,3}'),
  ('zzz* or caf*', 'English', '{1}'),
  ('élè*', 'French', '{1,6}'), ('installat*', 'French', '{7}'), ('INSTALLATI*', 'French', '{7}'), ('développem* or plag*', 'French', '{1,2}'),
  ('installat*', 'English', '{4}'), ('Installatio*', 'English', '{4}'), ('organizat* educat*', 'English', '{4}'), ('particip*', 'English', '{}'),
  ('caress*', 'English', '{}'),
  ('runni*', 'English', '{1,3}'), ('"installat* guide"', 'English', '{4}'), ('installat*', 'Plain', '{}'),
  ('for*', 'French', '{3}'), ('strass*', 'Plain', '{1}'), ('runn*', 'Plain', '{2}'), ('-running', 'Plain', '{1}'),
  ('e* em* emb*', 'English', '{2,3}'),
-- Nothing to look for, or nothing that could break out of a query.
  ('the of and', 'English', '{}'), ('le la', 'French', '{}'), ('*', 'English', '{}'), ('** -* "*"', 'English', '{}'), ('''*', 'English', '{}'),
  ('a''b*', 'English', '{}'), ('\*', 'English', '{}'), ('x\''*', 'English', '{}'), (':*', 'English', '{}'), ('emb:* | (', 'English', '{}'),
  (E'\u0301\u0301*', 'English', '{}'),
  ('70000000000000100', 'English', '{}'), ('<-> & ! "', 'English', '{}')) as searched (query, project, numbers);
select results_eq($$select chunk_index from matrice.search_chunks('running')$$, $$values (1), (2), (3)$$,
                  'search_chunks over all projects uses each project''s language and ranks two occurrences above one');
select is(array(select chunk_id from matrice.search_chunks(tests.id('English')::text)), '{}', 'search_chunks of a project''s id: no rows');
select tests.refuses($$select * from matrice.search_chunks(repeat('word ', 200000))$$, '22023', 'search_chunks refuses query_text of 1 MB', '%', '%');
select tests.refuses($$select * from matrice.search_chunks(repeat('word ', 2001))$$, '22023',
                     'search_chunks refuses query_text of 10,005 characters and names the number', '%10005 characters%', '%10,000 characters%');
select tests.refuses($$select * from matrice.search_chunks(repeat('word ', 600))$$, '22023',
                     'search_chunks refuses query_text of 600 words and names the number', '%600 words%', '%500 words%');
select lives_ok($$select * from matrice.search_chunks(repeat('word ', 500))$$, 'search_chunks takes query_text of 500 words');
select lives_ok($$select * from matrice.search_chunks(repeat('w* ', 100))$$, 'search_chunks takes query_text of 100 prefixes');

-- Highlights: on request, in metadata.
select is(metadata, '{}', 'search_chunks without highlight: metadata is empty') from matrice.search_chunks('plage', tests.id('French'));
select is(metadata ->> 'highlight', 'Une <b>plage</b> à la mer.', 'search_chunks with highlight marks the word')
  from matrice.search_chunks('plage', tests.id('French'), highlight => true);
select matches(metadata ->> 'highlight', '<b>élèves</b>|<b>ELEVES</b>', 'search_chunks with highlight keeps accents')
  from matrice.search_chunks('élève', tests.id('French'), highlight => true);
select matches(metadata ->> 'highlight', marked, format('search_chunks with highlight: "%s" marks %s', query, marked))
  from (values ('eleve', '<b>élèves</b>'), ('ELEVES', '<b>élèves</b>'), ('regulierement inscrit', '<b>régulièrement</b> <b>inscrits</b>'),
        ('developp*', '<b>développent</b>'),
               ('coeur or idee', '<b>idée</b> .* <b>cœur</b>'), ('générale', '<b>générale</b>')) as marks (query, marked),
       matrice.search_chunks(query, tests.id('French'), 1, highlight => true);
select matches(metadata ->> 'highlight', '<b>naïve</b> <b>café</b>', 'search_chunks with highlight marks words in English')
  from matrice.search_chunks('naive caf*', tests.id('English'), highlight => true);
select matches(metadata ->> 'highlight', '<b>running</b>', 'search_chunks with highlight marks other forms of a word')
  from matrice.search_chunks('runs', tests.id('English'), 1, highlight => true);
select matches(metadata ->> 'highlight', '<b>bâtiment</b> <b>fermé</b>', 'search_chunks with highlight marks decomposed letters')
  from matrice.search_chunks('batiment ferme', tests.id('French'), highlight => true);
select matches(metadata ->> 'highlight', '<b>embedding</b>', 'search_chunks with highlight marks words by prefix')
  from matrice.search_chunks('embedd*', tests.id('English'), 1, highlight => true);

-- Filters, and insights the same way.
select tests.as_user('edith');
update matrice.source_chunks set metadata = '{"page": 2}' where id = tests.id('English 2');
select results_eq($$select chunk_index from matrice.search_chunks('stories', tests.id('English'), filter => '{"page": 2}')$$, 'values (2)',
                  'search_chunks with filter {"page": 2}: the chunk of page 2');
select matrice.record_insight(tests.id('French'), 'learning', 'Élèves', 'Ils développent.');
select is(count(*), 1::bigint, 'search_insights finds words with accents by words without') from matrice.search_insights('eleve developp*', tests.id('French'));

-- A language that is chosen later.
update matrice.projects set settings = '{"language": "english"}' where id = tests.id('Plain');
select tests.as_user('alice');
update matrice.projects set settings = '{"language": "english"}' where id = tests.id('Plain');
select tests.finds('runs', 'Plain', '{2}');

select * from finish();
rollback;
