begin;
\ir helpers/setup.psql
select no_plan();

-- find_quote: the characters, chunks and pages of a quote.

select tests.project('atlas');
select tests.project('borea', '{"keep_source_texts": false}');
create temp table report (text, spans) on commit drop as
select string_agg(page, E'\n\n' order by n), jsonb_agg(jsonb_build_object('start_char', n * 60, 'page', n + 1) order by n)
  from (select n, rpad(case n when 2 then 'The “net proﬁt” rose by' when 3 then '7 % in the nor­thern regions.' else format('Page %s says .* (nothing', n) end,
                       58, format(' %s%s', md5(n::text), md5(n::text || 'more'))) as page
          from generate_series(0, 9) n) pages;
grant select on report to public;
select tests.as_user('edith');
select tests.remember('kept', matrice.ingest_source(tests.id('atlas'), 'Kept', text, max_tokens => 16, overlap_tokens => 4, spans => spans)) from report;
select tests.remember('cut', matrice.ingest_source(tests.id('borea'), 'Cut', text, max_tokens => 16, overlap_tokens => 4, spans => spans)) from report;
-- As a client cut it: only an order, and pages of its own.
select tests.remember('own', matrice.ingest_chunks(tests.id('borea'), 'Own', '[{"content": "One sentence begins", "metadata": {"page": "iv"}},
                                                   {"content": "and ends  here. Fin", "metadata": {"page": "v"}}]'));
select tests.as_owner();
create function tests.found(quote text, project text, source text default null) returns text language sql as $$
  select string_agg(format('%s %s-%s %s', f.source_name, f.start_char, f.end_char, f.places), '; ')
    from matrice.find_quote(quote, case when source is null then tests.id(project) end, tests.id(source)) f
$$;

select tests.as_user('victor');
select is(tests.found(quote, 'atlas'), 'Kept ' || place, format('find_quote "%s" in the stored text: %s', quote, place))
  from (values ('"NET PROFIT"', '124-135 {"pages": [3]}'), (E'rose\nby', '136-143 {"pages": [3]}'), ('page 1 SAYS .* (nothing', '60-83 {"pages": [2]}'),
               ('northern  regions', '191-208 {"pages": [4]}')) as cases (quote, place);
select is(tests.found(quote, 'borea'), 'Cut ' || place, format('find_quote "%s" in chunks: %s', quote, place))
  from (values ('"NET PROFIT"', '124-135 {"pages": [3]}'), ('page 1 SAYS .* (nothing', '60-83 {"pages": [2]}')) as cases (quote, place);
select ok(bool_and(f.end_char - f.start_char between 60 and 120 and cardinality(f.chunk_ids) > 1 and f.places = '{"pages": [3, 4]}') and count(*) = 2,
          'find_quote over the border of two chunks and pages, in the stored text and in chunks')
  from report, unnest(array['atlas', 'borea']) project,
       matrice.find_quote(substr(text, 125, 80), tests.id(project)) f;
select is_empty($$
  select from report, unnest(array['kept', 'cut']) source, generate_series(0, 500, 37) first, generate_series(1, 90, 11) size,
              lateral (select btrim(substr(text, first + 1, size)) as quote) q
   where length(q.quote) > 3 and not exists (
     select from matrice.find_quote(q.quote, source_id => tests.id(source), match_count => 10000) f
      where f.start_char between first and first + 2 and f.end_char <= first + size
        and (select min(c.start_char) <= f.start_char and max(c.end_char) >= f.end_char from matrice.source_chunks c where c.id = any (f.chunk_ids)))$$,
  'find_quote finds every part of a text in place, and chunks that cover it');
select is(tests.found('begins and ENDS here', 'borea'), 'Own - {"pages": ["iv", "v"]}',
          'find_quote of chunks without places: the chunks and their pages');
select results_eq($$select chunk_ids from matrice.find_quote('begins and', source_id => tests.id('own'))$$,
                  $$select array_agg(id order by chunk_index) from matrice.source_chunks where source_id = tests.id('own')$$,
                  'find_quote names the chunks in their order');
select is(tests.found('northern', null, 'cut'), 'Cut 191-200 {"pages": [4]}', 'find_quote in one source');
select is(tests.found('net loss', 'atlas'), null, 'find_quote of what nobody wrote: no rows');
select is((select count(*) from matrice.find_quote('a', tests.id('atlas'))), 10::bigint, 'find_quote returns 10 places at most by default');
select is((select count(*) from matrice.find_quote('a', tests.id('atlas'), match_count => 3)), 3::bigint, 'find_quote returns match_count places at most');

-- A large text, and hostile quotes.
select tests.as_user('edith');
select tests.remember('large', matrice.ingest_source(tests.id('atlas'), 'Large', string_agg(format('Line %s of a long report.', n), E'\n'), max_tokens => 512))
  from generate_series(1, 180000) n;
create temp table timing on commit drop as select clock_timestamp() as began;
select is(tests.found('line 179999 of a', null, 'large') ~ '^Large \d+-\d+ {}$', true, 'find_quote finds a quote at the end of 5 MB');
select is(tests.found(repeat('a', 99999) || 'b', null, 'large'), null, 'find_quote of a quote of 100,000 bytes');
select cmp_ok(extract(epoch from clock_timestamp() - began), '<', 5::numeric, 'find_quote in 5 MB takes less than 5 seconds') from timing;
select tests.refuses(format($$select * from matrice.find_quote(%L, tests.id('atlas'))$$, quote), '22023', 'find_quote refuses ' || name, '%')
  from (values ('', 'an empty quote'), (E' \n', 'white space'), (U&'\00AD\200B', 'a quote without letters'), (repeat('a', 100001), 'a long quote')) as q (quote, name);
select tests.refuses($$select * from matrice.find_quote(repeat('quote ', 8738133), tests.id('atlas'))$$, '22023', 'find_quote refuses a quote of 50 MB');
select tests.refuses($$select * from matrice.find_quote(null, tests.id('atlas'))$$, '22004', 'find_quote refuses null');
select tests.refuses(format($$select * from matrice.find_quote('x', tests.id('atlas'), match_count => %s)$$, most), '22023', 'find_quote refuses match_count ' || most)
  from unnest(array[0, -1, 10001]) most;
select tests.refuses($$select * from matrice.find_quote('x', tests.id('borea'), tests.id('kept'))$$, 'PT404', 'find_quote refuses a source of another project', '%', '%');
select is((select count(distinct source_name) from matrice.find_quote('page 1 says')), 2::bigint, 'find_quote without a project: in all that the caller can see');
select tests.as_user('mallory');
select is_empty($$select * from matrice.find_quote('page 1 says')$$, 'find_quote of an outsider without a project: no rows');
select tests.refuses($$select * from matrice.find_quote('x', tests.id('atlas'))$$, 'PT404', 'find_quote refuses an outsider');
select tests.refuses($$select * from matrice.find_quote('x', source_id => tests.id('kept'))$$, 'PT404', 'find_quote refuses an outsider a source');

select * from finish();
rollback;
