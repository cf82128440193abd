begin;
\ir helpers/setup.psql
select no_plan();

-- The index of a deleted project is deleted at the end of the transaction.
set constraints all immediate;

-- The reference: a plain BM25 in SQL over all chunks that the tables hold, without the word index -----------------------

-- A term of a query is a word with its stems, or a compound, which counts 0.4 times. The weights of the words in a vector say which
-- it is. A word counts 0.5 times that is only written within compounds without signs.
create function tests.terms(query text, language text) returns table (number bigint, stems text[], written text, weight double precision) language sql stable as $$
  with entries as (
    select u.lexeme, p.position, p.weight
      from unnest(matrice_private.text_vector(query, language)) u cross join lateral unnest(u.positions, u.weights) as p (position, weight)
  ), stop_words as (
    select a.position from matrice.analyze_text(query, language) a where a.kind = 'stop word'
  ), terms as (
    select min(e.position) as position, e.stems, e.written, max(e.weight) as weight
      from (
        select e.position, array_agg(e.lexeme order by e.lexeme) filter (where e.weight in ('A', 'D')) as stems,
               min(e.lexeme) filter (where e.weight in ('A', 'B')) as written,
               case when exists (
                 select from entries c
                  where c.weight = 'C' and e.position between c.position and c.position + 1
                    and strpos(lower(query), c.lexeme) > 0 and strpos(c.lexeme, min(e.lexeme) filter (where e.weight in ('A', 'B'))) > 0
               ) then 0.5 else 1 end as weight, false as is_compound
          from entries e where e.weight <> 'C' group by e.position
        union all
        select e.position, array[e.lexeme], e.lexeme, 0.4, true from entries e where e.weight = 'C'
      ) e group by e.stems, e.written, e.is_compound
  )
  select row_number() over (order by t.position, t.written), t.stems, t.written, t.weight
    from terms t
   where t.position not in (select s.position from stop_words s)
      or not exists (select from entries e where e.position not in (select s.position from stop_words s))
$$;

-- All words of all texts, as the tables hold them now. Without positions, a text has each word once, and is as long as it has words.
-- While the language of a project changes, the texts of each language are a collection of their own.
create temp table texts (id uuid, project_id uuid, collection text, language text, length double precision) on commit drop;
create temp table postings (id uuid, collection text, lexeme text, stems double precision, written double precision) on commit drop;
create index on postings (lexeme, collection);
create function tests.read_texts() returns void language sql as $$
  delete from texts; delete from postings;
  insert into texts
  select c.id, c.project_id, c.project_id || (tsvector_to_array(c.fts))[1], split_part((tsvector_to_array(c.fts))[1], ' ', 2),
         coalesce((select max(p) from unnest(c.fts) u cross join lateral unnest(u.positions) p), least(length(c.fts) - 1, 65535))
    from matrice.source_chunks c;
  insert into postings
  select t.id, t.collection, u.lexeme, coalesce(p.stems, 1), coalesce(p.written, 1)
    from texts t join matrice.source_chunks c on c.id = t.id cross join lateral unnest(c.fts) u
   cross join lateral (
     select count(*) filter (where w <> 'B') as stems, count(*) filter (where w <> 'D') as written from unnest(u.weights) w having count(*) > 0
      union all select null, null where u.weights is null) p
   where u.lexeme not like ' %';
  analyze texts; analyze postings;
$$;

create function tests.bm25(query text, projects uuid[]) returns table (id uuid, score double precision) language sql security definer as $$
  with collections as (
    select t.collection, min(t.language) as language, count(*)::double precision as texts, sum(t.length) / count(*) as mean_length
      from texts t where t.project_id = any (projects) group by t.collection
  ), hits as (
    select c.collection, q.number, q.weight, h.id, max(h.stems) as stems, max(h.written) as written
      from collections c cross join lateral tests.terms(query, c.language) q
     cross join lateral (
       select p.id, p.stems, 0 as written from postings p where p.collection = c.collection and p.lexeme = any (q.stems)
        union all select p.id, 0, p.written from postings p where p.collection = c.collection and p.lexeme = q.written) h
     group by c.collection, q.number, q.weight, h.id having max(h.stems) > 0
  ), scored as (
    select h.id, h.number, h.weight * ln(1 + (c.texts - h.having + 0.5) / (h.having + 0.5))
             * (h.stems * 2.2 / (h.stems + 1.2 * (0.25 + 0.75 * t.length / c.mean_length))
                + 0.2 * (h.written * 2.2 / (h.written + 1.2 * (0.25 + 0.75 * t.length / c.mean_length)))) as score
      from (select h.*, count(*) over (partition by h.collection, h.number)::double precision as having from hits h) h
      join texts t on t.id = h.id join collections c on c.collection = h.collection
  )
  select s.id, sum(s.score order by s.number) from scored s group by s.id
$$;

create temp table queries (query text) on commit drop;
insert into queries values
  ('wind'), ('the sailor sails'), ('of the'), ('How do storms of wind rise at sea?'), ('e-mail config.yaml'), ('zeppelin'), ('rare17 wind'), ('winds winds wind'),
  ('rare3 rare5 rare250 e-mail'), ('élève vent'), ('la mer'), ('寿司 wind'), ('configYaml wind'), ('windStorm winds');
grant select on queries to public;

-- The rows of search_chunks are those of the reference: min(match_count, matching) of them, best first, ties by id, with its scores.
create function tests.ranks_right(described text, project text default null, visible text[] default '{English,French,Plain,Atlas}') returns text language plpgsql as $$
declare
  asked record;
  wanted record;
  got record;
begin
  for asked in select q.query from queries q loop
    select array_agg(b.id order by b.place) as ids, array_agg(b.score order by b.place) as scores into wanted
      from (
        select b.*, row_number() over (order by round(b.score::numeric, 9) desc, b.id) as place
          from tests.bm25(asked.query, array(select tests.id(name) from unnest(case when project is null then visible else array[project] end) name)) b) b;
    for got in
      select k, array_agg(r.chunk_id order by r.place) filter (where r.place is not null) as ids, array_agg(r.rank order by r.place) as ranks
        from unnest(array[7, 10000]) k
        left join lateral (
          select s.chunk_id, s.rank, row_number() over () as place from matrice.search_chunks(asked.query, tests.id(project), k) s) r on true
       group by k
    loop
      if got.ids is distinct from wanted.ids[:got.k]
         or exists (select from unnest(got.ranks, wanted.scores[:got.k]) as both_ (rank, score) where not abs(rank - score) <= 1e-5 * greatest(score, 1)) then
        return fail(format('%s: "%s", match_count %s', described, asked.query, got.k)) || E'\n' || diag(format(
          E'have: %s rows %s %s\nwant: %s rows %s %s', cardinality(got.ids), got.ids[:3], got.ranks[:3],
          cardinality(wanted.ids), wanted.ids[:3], wanted.scores[:3]));
      end if;
    end loop;
  end loop;
  return pass(described);
end
$$;

-- The same for everybody who searches.
create function tests.everybody_ranks_right(described text) returns setof text language plpgsql as $$
begin
  perform tests.as_owner(), tests.read_texts();
  perform tests.as_user('victor');
  return next tests.ranks_right(format('%s: search_chunks of an English project by a member is the reference', described), 'English');
  return next tests.ranks_right(format('%s: search_chunks over all projects by a member is the reference', described));
  perform tests.as_service();
  return next tests.ranks_right(format('%s: search_chunks over all projects by a service is the reference', described), null, '{English,French,Plain,Atlas,Theirs}');
  perform tests.as_owner();
end
$$;

-- Texts --------------------------------------------------------------------------------------------------------------

create function tests.text(n integer) returns text language sql immutable as $$
  select string_agg((array['the wind', 'winds', 'a storm', 'storms', 'sailing', 'sails', 'of the sailor', 'sea', 'la mer', 'l''élève', 'du vent', 'les vents', 'e-mail',
                           'config.yaml', 'email', '寿司', 'élèves', 'rise', 'rising', 'rare' || n % 300])[1 + (n * 7 + w * w * (n % 11 + 1)) % 20], ' ' order by w)
    from generate_series(1, 3 + n % 17) w
$$;

select tests.project('English', '{"language": "english"}');
select tests.project('French', '{"language": "french"}');
select tests.project('Plain');
insert into matrice.projects (id, name, created_by) values (tests.id('Theirs'), 'Theirs', tests.id('mallory'));
insert into matrice.context_sources (id, project_id, name)
select tests.id(name || part), tests.id(name), name || part from unnest(array['English', 'French', 'Plain', 'Theirs']) name, generate_series(1, 2) part;

select tests.everybody_ranks_right('no chunks');
-- Some statements store one chunk, some many, some chunks of several projects. Every fifth text is like another.
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5(name || n)::uuid, tests.id(name || 1 + n % 2), n, tests.text(n - n % 5 / 4)
  from (values ('English', 250), ('French', 120), ('Plain', 40), ('Theirs', 60)) p (name, many), generate_series(1, many) n where n > 20;
do $$
begin
  for n in 1 .. 20 loop
    insert into matrice.source_chunks (id, source_id, chunk_index, content)
    select md5(name || n)::uuid, tests.id(name || 1 + n % 2), n, tests.text(n) from unnest(array['English', 'French', 'Plain', 'Theirs']) name;
  end loop;
end
$$;
insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('English1'), 1000, '...');

-- The reference is right, and has enough to compare.
select tests.project('Tiny', '{"language": "english"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('tiny'), tests.id('Tiny'), 'tiny');
insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('tiny'), 1, 'winds rose'), (tests.id('tiny'), 2, 'la mer est');
select tests.read_texts();
select is(round(score::numeric, 6), round((ln(1 + (2 - 1 + 0.5) / (1 + 0.5)) * (1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2.5))))::numeric, 6),
          'The reference has the score of a stem that is worked out by hand') from tests.bm25('wind', array[tests.id('Tiny')]);
select is(round(score::numeric, 6), round((ln(1 + (2 - 1 + 0.5) / (1 + 0.5)) * (1.2 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2.5))))::numeric, 6),
          'The reference has the score of a written word that is worked out by hand') from tests.bm25('winds', array[tests.id('Tiny')]);
select is(round(score::numeric, 6), round((0.5 * ln(1 + (2 - 1 + 0.5) / (1 + 0.5)) * (1.2 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2.5))))::numeric, 6),
          'The reference has the score of a part of a name that is worked out by hand') from tests.bm25('windsLantern', array[tests.id('Tiny')]);
select cmp_ok(count(*), '>', 100::bigint, 'The reference finds many chunks') from tests.bm25('the sailor sails', array[tests.id('English')]);
delete from matrice.projects where id = tests.id('Tiny');

select tests.everybody_ranks_right('chunks stored in many statements');

-- Texts change, move and go ----------------------------------------------------------------------------------------------

update matrice.source_chunks set content = content || ' rare17 wind sails' where chunk_index % 3 = 0;
update matrice.source_chunks set content = tests.text(chunk_index + 1000) where chunk_index % 7 = 1;
update matrice.source_chunks set metadata = '{"page": 1}' where chunk_index % 2 = 0;
select tests.everybody_ranks_right('chunks updated');
update matrice.source_chunks set content = content || ' storms' where chunk_index = 5;
update matrice.source_chunks set content = left(content, -7) where chunk_index = 5;
update matrice.source_chunks set content = content || ' storms' where chunk_index = 5;
select tests.everybody_ranks_right('chunks updated to and fro');
delete from matrice.source_chunks where chunk_index % 5 = 2;
delete from matrice.context_sources where id = tests.id('French2');
select tests.everybody_ranks_right('chunks deleted');
insert into matrice.source_chunks (id, source_id, chunk_index, content) select md5('English' || n)::uuid, tests.id('English1'), n, tests.text(n + 3) from generate_series(1, 250) n
    on conflict (id) do update set content = excluded.content;
select tests.everybody_ranks_right('chunks stored and updated by one statement');
update matrice.source_chunks set source_id = tests.id('English2'), chunk_index = chunk_index + 5000 where source_id = tests.id('English1') and chunk_index % 2 = 0;
select tests.everybody_ranks_right('chunks moved to another source');
select tests.as_user('edith');
select tests.remember('cut', matrice.ingest_source(tests.id('English'), 'cut', (select string_agg(tests.text(n), E'.\n\n') from generate_series(1, 200) n), max_tokens => 40, overlap_tokens => 0));
select tests.everybody_ranks_right('a source ingested');
select tests.as_user('edith');
select ok(added > 0 and kept > 0 and removed > 0, 'chunk_source keeps some chunks of a source that is cut again')
  from matrice.chunk_source(tests.id('cut'), (select string_agg(tests.text(n), E'.\n\n') from generate_series(100, 300) n), max_tokens => 40, overlap_tokens => 0);
select tests.everybody_ranks_right('a source cut again');

-- What was rolled back is not found.
savepoint before;
insert into matrice.source_chunks (source_id, chunk_index, content) select tests.id('English2'), 2000 + n, 'rare17 zeppelin ' || tests.text(n) from generate_series(1, 30) n;
delete from matrice.source_chunks where chunk_index < 40;
update matrice.source_chunks set content = 'wind' where chunk_index between 50 and 60;
select tests.everybody_ranks_right('changes in a savepoint');
rollback to before;
select tests.everybody_ranks_right('changes rolled back');

-- Merges -------------------------------------------------------------------------------------------------------------

create function tests.segments(project text) returns bigint language sql as $$
  select count(*) from matrice_private.word_segments s where s.project_id = tests.id(project)
$$;
do $$
begin
  for n in 1 .. 100 loop
    update matrice.source_chunks set content = content || ' rising' where id = md5('English' || n)::uuid;
  end loop;
end
$$;
select cmp_ok(tests.segments('English'), '<', 40::bigint, 'Many statements leave few segments, because small ones are merged');
select tests.everybody_ranks_right('many updates');
select lives_ok(format('select matrice_private.merge_some(%L, %L)', project_id, array_agg(id)), 'merge_some merges all segments of a project')
  from matrice_private.word_segments group by project_id, analysis;
select is(array(select tests.segments(name) from unnest(array['English', 'French', 'Plain', 'Theirs']) name), '{1,1,1,1}', 'merge_some leaves one segment for a language');
select is((select sum(text_count) from matrice_private.word_segments), (select count(*) from matrice.source_chunks),
          'merge_some of all segments leaves out deleted chunks');
select is_empty('select from matrice_private.word_deletions', 'merge_some of all segments leaves no deletions');
select tests.everybody_ranks_right('all segments merged');
select matrice_private.merge_words(tests.id(name)) from unnest(array['English', 'French', 'Plain', 'Theirs']) name;
select tests.everybody_ranks_right('merge_words');
delete from matrice.source_chunks where source_id = tests.id('English1') and chunk_index % 2 = 1;
select tests.everybody_ranks_right('half of a merged segment deleted');
select is_empty(
  $$select from matrice_private.word_deletions d where d.project_id = tests.id('English') group by d.project_id
    having sum(octet_length(d.texts)) / 24 > greatest(64, (select sum(s.text_count) / 5 from matrice_private.word_segments s where s.project_id = tests.id('English')))$$,
  'When a fifth of the chunks of a project are deleted ones, a merge leaves them out');

select lives_ok('select matrice_private.rebuild_word_index(tests.id(''English''))', 'rebuild_word_index builds the index of a project');
select is((select sum(text_count) from matrice_private.word_segments where project_id = tests.id('English')),
          (select count(*) from matrice.source_chunks where project_id = tests.id('English')), 'rebuild_word_index of a project has each chunk once');
select tests.everybody_ranks_right('index of a project rebuilt');
alter table matrice.source_chunks disable trigger user;
delete from matrice.source_chunks where chunk_index % 3 = 1;
update matrice.source_chunks set fts = matrice_private.text_vector(content || ' zeppelin', 'simple') where chunk_index = 6;
alter table matrice.source_chunks enable trigger user;
select tests.as_user('victor');
select is_empty($$select from matrice.search_chunks('zeppelin')$$, 'search_chunks does not find what was stored without triggers');
select tests.as_owner();
select lives_ok('select matrice_private.rebuild_word_index()', 'rebuild_word_index builds the index of all projects');
select tests.everybody_ranks_right('index rebuilt after changes without triggers');
select results_eq($$select project_id, sum(text_count)::bigint from matrice_private.word_segments group by 1 order by 1$$,
                  $$select project_id, count(*) from matrice.source_chunks group by 1 order by 1$$, 'rebuild_word_index has each chunk once');

-- The index follows the chunks, whoever stores them, and goes with the project.
delete from matrice.projects where id = tests.id('Plain');
select is(array(select tab::text from unnest(array['word_segments', 'word_blocks', 'word_deletions']) tab
                 where tests.rows_of(format('select from matrice_private.%I where project_id = %L', tab, tests.id('Plain'))) > 0), '{}',
          'The index of a deleted project is deleted');
select tests.everybody_ranks_right('a project deleted');

-- A language changes -------------------------------------------------------------------------------------------------

-- Half of the chunks of a project are analysed again: 3 at a time after the first 1,000. So a project has more.
select tests.project('Atlas');
insert into matrice.context_sources (id, project_id, name) values (tests.id('atlas'), tests.id('Atlas'), 'atlas');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5('atlas' || n)::uuid, tests.id('atlas'), n, 'Page ' || n || case when n % 50 = 0 then ' of sailing winds' when n % 50 = 1 then ' of sails' else ' at sea' end
  from generate_series(1, 1020) n;
select tests.as_user('edith');
select matrice.record_insight(tests.id('Atlas'), 'x', 'Winds ' || n, 'Sailing') from generate_series(1, 10) n;
select tests.as_user('victor');
select tests.refuses('select matrice.reindex_text(tests.id(''Atlas''))', '42501', 'reindex_text refuses a viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses('select matrice.reindex_text(tests.id(''Atlas''))', 'PT404', 'reindex_text of another''s project: not found', '%');
select tests.as_user('edith');
select tests.refuses(format('select matrice.reindex_text(%s)', arguments), code, 'reindex_text refuses ' || what, hint => '%')
  from (values ($$tests.id('Atlas'), 0$$, '22023', 'batch_size 0'), ($$tests.id('Atlas'), -1$$, '22023', 'batch_size -1'),
               ($$tests.id('Atlas'), 100001$$, '22023', 'batch_size 100001'), ($$tests.id('Atlas'), null$$, '22004', 'batch_size null'),
               ($$null$$, '22004', 'project_id null')) refused (arguments, code, what);
select is(matrice.reindex_text(tests.id('Atlas')), 0::bigint, 'reindex_text of a project whose language has not changed returns 0');

select tests.as_owner();
create temp table places on commit drop as select id, ctid as place from matrice.source_chunks where project_id = tests.id('Atlas');
create temp table index_rows on commit drop as select project_id, id, texts from matrice_private.word_segments;
select tests.as_user('alice');
update matrice.projects set settings = '{"embedding_model": "text-embedding-3-small"}' where id = tests.id('Atlas');
update matrice.projects set settings = '{"app": {"x": 1}}', name = 'Atlas of winds' where id = tests.id('Atlas');
select tests.as_owner();
select is_empty('select from places p join matrice.source_chunks c using (id) where c.ctid <> p.place',
                'An update of settings that leaves language out rewrites no chunk');
select is_empty('(table index_rows except select project_id, id, texts from matrice_private.word_segments)',
                'An update of settings that leaves language out changes no segment');

select tests.as_user('alice');
update matrice.projects set settings = '{"language": "english"}' where id = tests.id('Atlas');
select tests.as_owner();
select results_eq($$select (tsvector_to_array(fts))[1], count(*) from matrice.source_chunks where project_id = tests.id('Atlas') group by 1 order by 1$$,
                  $$values (' english 1', 1000::bigint), (' simple 1', 20)$$, 'A change of language analyses the first 1,000 chunks again');
select tests.read_texts();
select tests.as_user('victor');
select tests.ranks_right('a language half changed: search_chunks of the project is the reference for the texts of each language', 'Atlas');
select tests.ranks_right('a language half changed: search_chunks over all projects is the reference for the texts of each language');
-- A word as it is written is found in the texts of both languages, its other forms in those that are done.
select is(count(*), 41::bigint, 'search_chunks while the language changes finds the word as it is written in all texts') from matrice.search_chunks('sailing sails', tests.id('Atlas'), 10000);
select is(count(*), 20::bigint, 'search_chunks while the language changes finds a required word in all texts') from matrice.search_chunks('+sailing +winds -sea', tests.id('Atlas'), 10000);
select is(count(*), 20::bigint, 'search_chunks while the language changes finds a phrase in all texts') from matrice.search_chunks('"sailing winds"', tests.id('Atlas'), 10000);
select is(count(*), 10::bigint, 'search_insights while the language changes finds the word as it is written') from matrice.search_insights('winds', tests.id('Atlas'), 100);

select tests.as_user('edith');
create temp table done (n integer, count bigint) on commit drop;
insert into done select n, matrice.reindex_text(tests.id('Atlas'), 3) from generate_series(1, 4) n;
select is(array(select count from done order by n), '{3,3,3,3}', 'reindex_text(batch_size => 3) returns 3 while there are more');
select tests.as_owner();
select is(count(*), 8::bigint, 'reindex_text(batch_size => 3) four times leaves 8 of 20 chunks')
  from matrice.source_chunks where project_id = tests.id('Atlas') and (tsvector_to_array(fts))[1] = ' simple 1';
select tests.read_texts();
select tests.as_user('victor');
select tests.ranks_right('reindex_text half done: search_chunks of the project is the reference for the texts of each language', 'Atlas');
select is(count(*), 41::bigint, 'search_chunks with reindex_text half done finds the word as it is written in all texts')
  from matrice.search_chunks('sailing sails', tests.id('Atlas'), 10000);
select tests.as_user('edith');
insert into done select n, matrice.reindex_text(tests.id('Atlas'), 3) from generate_series(11, 18) n;
select is(array(select count from done where n > 10 order by n), '{3,3,3,3,3,3,0,0}', 'reindex_text analyses chunks, then insights, and returns 0 when all are done');
select tests.as_owner();
select is_empty($$select from matrice.source_chunks where project_id = tests.id('Atlas') and (tsvector_to_array(fts))[1] <> ' english 1'
                   union all select from matrice.insights where project_id = tests.id('Atlas') and (tsvector_to_array(fts))[1] <> ' english 1'$$,
                'reindex_text has analysed every chunk and insight when it returns 0');
select is_empty($$select from matrice_private.word_segments s where s.project_id = tests.id('Atlas') and s.analysis <> 'english 1'
                    and matrice_private.outdated_chunks(s.project_id, 10) <> '{}'$$, 'outdated_chunks is empty when reindex_text returns 0');
select tests.read_texts();
select tests.as_user('victor');
select tests.ranks_right('reindex_text done: search_chunks of the project is the reference', 'Atlas');
select is(count(*), 41::bigint, 'search_chunks after reindex_text finds a word in all its forms') from matrice.search_chunks('sail', tests.id('Atlas'), 10000);
select is(count(*), 10::bigint, 'search_insights after reindex_text finds a word in all its forms') from matrice.search_insights('wind', tests.id('Atlas'), 100);
select tests.as_service();
select is(matrice.reindex_text(tests.id('Atlas')), 0::bigint, 'reindex_text by a service returns 0 when all are done');
update matrice.projects set settings = '{"language": "french"}' where id = tests.id('Atlas');
select is(matrice.reindex_text(tests.id('Atlas')), 30::bigint, 'reindex_text by a service analyses the rest');
update matrice.projects set settings = '{}' where id = tests.id('Atlas');
select is(matrice.reindex_text(tests.id('Atlas'), 100000), 30::bigint, 'reindex_text after the language is left out analyses as simple');
select tests.as_owner();
select is((select array_agg(distinct (tsvector_to_array(fts))[1]) from matrice.source_chunks where project_id = tests.id('Atlas')), '{" simple 1"}',
          'A project whose language is left out has texts as simple');
select tests.everybody_ranks_right('languages changed');
update matrice.projects set settings = '{"language": "german"}' where id in (tests.id('English'), tests.id('French'));
select tests.everybody_ranks_right('languages of two projects changed by one statement');

-- Who speaks can change within a transaction ------------------------------------------------------------------------------

select tests.project('Turns', '{"language": "english"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('turns'), tests.id('Turns'), 'turns');
select tests.as_user('edith');
insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('turns'), 1, 'winds');
select is(count(*), 1::bigint, 'search_chunks by a member finds a chunk') from matrice.search_chunks('wind', tests.id('Turns'));
select tests.as_service();
insert into matrice.source_chunks (source_id, chunk_index, content) values (tests.id('turns'), 2, 'winds');
select is((tsvector_to_array(fts))[1], ' english 1', 'A chunk that a service stores after a member, in one transaction, is analysed in the language of the project')
  from matrice.source_chunks where source_id = tests.id('turns') and chunk_index = 2;
select is(count(*), 2::bigint, 'search_chunks by a service after a member, in one transaction, finds the chunks') from matrice.search_chunks('wind', tests.id('Turns'));
select tests.as_owner();

-- Texts of any size ----------------------------------------------------------------------------------------------------

select tests.project('Long', '{"language": "english"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('long'), tests.id('Long'), 'long');
insert into matrice.source_chunks (source_id, chunk_index, content) values
  (tests.id('long'), 1, 'wind ' || repeat('filler ', 20000) || 'sailing'),
  (tests.id('long'), 2, (select string_agg('sails ' || md5(n || 'a') || ' ' || md5(n || 'b'), ' ') || ' storms' from generate_series(1, 13000) n)),
  (tests.id('long'), 3, repeat('wind ', 300)), (tests.id('long'), 4, 'wind'), (tests.id('long'), 5, 'sails and winds');
select is(array(select chunk_index from matrice.source_chunks c where project_id = tests.id('Long') and exists (select from unnest(c.fts) u where u.lexeme = 'sail' and u.positions is null)), '{2}',
          'A text of more words than a vector holds has no positions');
select tests.read_texts();
select tests.as_user('victor');
select tests.ranks_right('texts of many words, with and without positions: search_chunks is the reference', 'Long');
select isnt_empty($$select from matrice.search_chunks('sailing', tests.id('Long')) where chunk_index = 1$$, 'search_chunks finds a word behind the last position');

select * from finish();
rollback;
