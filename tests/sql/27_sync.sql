begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');
select tests.as_user('edith');

-- The same key is the same document ------------------------------------------------------------------------------------

select results_eq($$select action, total, added, kept, removed from matrice.sync_source(tests.id('atlas'), 'a.md', E'# One\n\nred\n\n# Two\n\nblue',
                     format => 'markdown', max_tokens => 8, overlap_tokens => 0, metadata => '{"tag": "x"}')$$,
                  $$values ('added', 2, 2, 0, 0)$$, 'sync_source of a new key adds a source');
select results_eq($$select name, type, source_key, format, max_tokens, status, raw_metadata from matrice.context_sources$$,
                  $$values ('a.md', 'file', 'a.md', 'markdown', 8, 'processing', '{"tag": "x"}'::jsonb)$$, 'sync_source takes the key as the name');
create temp table before as select ctid::text as place, id from matrice.source_chunks union all select ctid::text, id from matrice.context_sources;
select results_eq($$select action, total, added, kept, removed from matrice.sync_source(tests.id('atlas'), 'a.md', E'# One\n\nred\n\n# Two\n\nblue')$$,
                  $$values ('unchanged', 2, 0, 2, 0)$$, 'sync_source of the same text: unchanged, with the options of the last time');
select set_eq($$select ctid::text as place, id from matrice.source_chunks union all select ctid::text, id from matrice.context_sources$$,
              $$table before$$, 'sync_source of the same text writes no row');
select results_eq($$select action, total, added, kept, removed from matrice.sync_source(tests.id('atlas'), 'a.md', E'# One\n\nred\n\n# Two\n\ngreen')$$,
                  $$values ('updated', 2, 1, 1, 1)$$, 'sync_source of another text keeps the chunks that did not change');
select results_eq($$select action, total from matrice.sync_source(tests.id('atlas'), 'a.md', E'# One\n\nred\n\n# Two\n\ngreen', name => 'A', metadata => '{"tag": "y"}')$$,
                  $$values ('updated', 2)$$, 'sync_source of another name and metadata: updated');
select results_eq($$select distinct s.name, c.filterable ->> 'tag' from matrice.context_sources s join matrice.source_chunks c on c.source_id = s.id$$,
                  $$values ('A', 'y')$$, 'sync_source gives the new metadata to the chunks');
select is((select action from matrice.sync_source(tests.id('atlas'), 'a.md', E'# One\n\nred\n\n# Two\n\ngreen', max_tokens => 9)), 'updated',
          'sync_source with other options cuts again');
select is((select action from matrice.sync_source(tests.id('borea'), 'a.md', 'red')), 'added', 'sync_source of the same key in another project adds a source');
select is(tests.rows_of($$select * from matrice.context_sources$$), 2::bigint, 'sync_source: one source for each project and key');

select tests.as_user('victor');
select tests.refuses($$select * from matrice.sync_source(tests.id('atlas'), 'a.md', 'x')$$, '42501', 'sync_source refuses a viewer');
select tests.refuses($$select * from matrice.sync_sources(tests.id('atlas'), '{x}')$$, '42501', 'sync_sources refuses a viewer');
select tests.refuses($$select matrice.set_source_error((select id from matrice.context_sources limit 1), 'x')$$, '42501', 'set_source_error refuses a viewer');
select tests.as_user('mallory');
select tests.refuses($$select * from matrice.sync_source(tests.id('atlas'), 'a.md', 'x')$$, 'PT404', 'sync_source of another''s project: not found');
select tests.refuses($$select * from matrice.sync_sources(tests.id('atlas'), '{x}')$$, 'PT404', 'sync_sources of another''s project: not found');
select tests.refuses($$select * from matrice.source_progress(tests.id('atlas'))$$, 'PT404', 'source_progress of another''s project: not found');
select tests.as_user('edith');
select tests.refuses(format($$select * from matrice.sync_source(tests.id('atlas'), %L, 'x')$$, key), '22023', 'sync_source refuses the key ' || left(key, 5))
  from unnest(array['', ' ', repeat('x', 2001)]) key;

-- What is gone -----------------------------------------------------------------------------------------------------------

select matrice.sync_source(tests.id('atlas'), key, 'text') from unnest(array['docs/a', 'docs/b', 'wiki/a']) key;
select matrice.ingest_source(tests.id('atlas'), 'without a key', 'text');
select tests.refuses($$select * from matrice.sync_sources(tests.id('atlas'), '{}')$$, '22023', 'sync_sources refuses an empty list', '%all sources%', '%');
select tests.refuses($$select * from matrice.sync_sources(tests.id('atlas'), '{x,null}')$$, '22023', 'sync_sources refuses null in the list');
select tests.remember_state();
select results_eq($$select source_key from matrice.sync_sources(tests.id('atlas'), '{docs/b}', 'docs/', max_share => 0.5, dry_run => true)$$, $$values ('docs/a')$$,
                  'sync_sources with dry_run returns what it would delete');
select tests.refuses($$select * from matrice.sync_sources(tests.id('atlas'), '{docs/b}', max_share => 0.5)$$, 'PT409',
                     'sync_sources refuses to delete more than max_share', '%allows 2 of them%', '%max_share%', '3 of 4 sources would be deleted');
select tests.refuses($$select * from matrice.sync_sources(tests.id('atlas'), '{docs/b}', max_share => 0.5, dry_run => true)$$, 'PT409',
                     'sync_sources with dry_run refuses what it would refuse without', '%', '%');
select tests.refuses($$select * from matrice.sync_sources(tests.id('atlas'), '{docs/x}', 'docs/', 0.5)$$, 'PT409',
                     'sync_sources counts the sources of the prefix alone', '%allows 1 of them%', '%', '2 of 2 sources would be deleted');
select tests.refuses(format($$select * from matrice.sync_sources(tests.id('atlas'), '{docs/b}', max_share => %L)$$, share), '22023',
                     'sync_sources refuses max_share ' || share, hint => '%half%') from unnest(array['-0.1', '1.1', 'NaN']) share;
select tests.unchanged('sync_sources: a dry run and what is refused change no row');
select results_eq($$select source_key from matrice.sync_sources(tests.id('atlas'), '{docs/b}', 'docs/', 0.5)$$, $$values ('docs/a')$$,
                  'sync_sources with a prefix deletes only keys that begin so');
select set_eq($$select source_key from matrice.sync_sources(tests.id('atlas'), '{docs/b}')$$, $$values ('a.md'), ('wiki/a')$$,
              'sync_sources deletes the sources whose keys are not listed');
select set_eq($$select name from matrice.context_sources where project_id = tests.id('atlas')$$, $$values ('docs/b'), ('without a key')$$,
              'sync_sources keeps listed keys, and sources without a key');
select is(tests.rows_of($$select * from matrice.context_sources where project_id = tests.id('borea')$$), 1::bigint, 'sync_sources keeps other projects');

-- Pages ------------------------------------------------------------------------------------------------------------------

select matrice.sync_source(tests.id('borea'), 'book', 'One is red. Two is blue. Three is green.', max_tokens => 5, overlap_tokens => 0,
  spans => '[{"start_char": 0, "page": 27}, {"start_char": 8, "page": 28}, {"start_char": 24, "page": "xx"}, {"start_char": 12, "sheet": "Tints"}]');
select results_eq($$select c.content, c.metadata from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id
                     where s.source_key = 'book' order by c.chunk_index$$,
                  $$values ('One is red.', '{"pages": [27, 28]}'::jsonb), ('Two is blue.', '{"pages": [28], "sheets": ["Tints"]}'),
                           ('Three is green.', '{"pages": ["xx"], "sheets": ["Tints"]}')$$,
                  'sync_source: chunks have the pages and sheets that they are on, one over a break has both');
create temp table kept as select c.id, c.content from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id where s.source_key = 'book';
select is((select action from matrice.sync_source(tests.id('borea'), 'book', 'Zero is new. One is red. Two is blue. Three is green.',
  spans => '[{"start_char": 0, "page": 1}, {"start_char": 25, "page": 2}]')), 'updated', 'sync_source of a text with other pages: updated');
select results_eq($$select c.content, c.metadata from matrice.source_chunks c join kept k using (id, content) order by c.chunk_index$$,
                  $$values ('One is red.', '{"pages": [1]}'::jsonb), ('Two is blue.', '{"pages": [2]}'), ('Three is green.', '{"pages": [2]}')$$,
                  'sync_source: pages move with the text, and the chunks keep their ids');
select is((select action from matrice.sync_source(tests.id('borea'), 'book', 'Zero is new. One is red. Two is blue. Three is green.',
  spans => '[{"start_char": 0, "page": 5}]')), 'updated', 'sync_source of the same text on other pages: updated');
select results_eq($$select distinct c.metadata from matrice.source_chunks c join kept k using (id)$$, $$values ('{"pages": [5]}'::jsonb)$$,
                  'sync_source: the same chunks get the other pages');
select results_eq($$select distinct c.filterable -> 'pages' from matrice.source_chunks c join kept k using (id)$$, $$values ('[5]'::jsonb)$$,
                  'sync_source: searches can filter by the other pages');
select tests.refuses(format($$select * from matrice.sync_source(tests.id('borea'), 'book', 'text', spans => %L)$$, spans), '22023',
                     'sync_source refuses spans ' || left(spans, 50))
  from unnest(array['{}', '1', '[1]', '[{}]', '[{"start_char": 0}]', '[{"start_char": 5, "page": 1}]', '[{"start_char": -1, "page": 1}]',
                    '[{"start_char": 0.5, "page": 1}]', '[{"start_char": "0", "page": 1}]', '[{"start_char": 1e400, "page": 1}]',
                    '[{"start_char": 0, "page": null}]', '[{"start_char": 0, "page": [1]}]', '[{"start_char": 0, "page": 1, "sheet": "x"}]',
                    '[{"start_char": 0, "chapter": 1}]', jsonb_build_array(jsonb_build_object('start_char', 0, 'page', repeat('x', 201)))::text,
                    (select jsonb_agg('{"start_char": 0, "page": 1}'::jsonb) from generate_series(1, 20001))::text]) spans;

select * from finish();
rollback;
