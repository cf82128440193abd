begin;
\ir helpers/setup.psql
select no_plan();

-- Cells of codes, which a project of very many embeddings has; here, of some thousands. The vectors are near one of 40 centres.

insert into matrice.embedding_models (model, dimensions) values ('short', 64);
select tests.project('large', '{"embedding_model": "short"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('source'), tests.id('large'), 'source');
select setseed(0.25);
create temp table centres on commit drop as
select centre, array_agg(random() - 0.5) as middle from generate_series(1, 60) centre, generate_series(1, 64) group by centre;
create function tests.near(centre integer) returns vector language sql volatile as $$
  select array_agg(x + 0.5 * (random() - 0.5) order by place)::vector from centres c, unnest(c.middle) with ordinality m (x, place) where c.centre = near.centre
$$;
create temp table made on commit drop as select n, tests.near(1 + n % 40) as embedding from generate_series(1, 4000) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content, token_count, metadata)
select md5('chunk ' || n)::uuid, tests.id('source'), n, 'Chunk ' || n, 2, jsonb_build_object('third', n % 3, 'tenth', n % 10) from made;
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n)::uuid, embedding, 'short' from made where n <= 3000;
-- Without statistics, the plan of the true answers compares each chunk with each embedding, and takes minutes.
analyze matrice.source_chunks, matrice.chunk_embeddings;
create temp table questions on commit drop as select n, tests.near(1 + n % 40) as embedding from generate_series(1, 30) n;
grant select on made, questions to public;

create function tests.recall(k integer, filter jsonb default '{}') returns double precision language sql as $$
  select avg((select count(*) from matrice.match_chunks(q.embedding, tests.id('large'), k, filter => recall.filter, model => 'short') m
               where m.chunk_id in (
                 select e.chunk_id from matrice.chunk_embeddings e join matrice.source_chunks c on c.id = e.chunk_id
                  where e.model = 'short' and c.metadata @> recall.filter order by e.embedding <=> q.embedding limit k))::double precision / k)
    from questions q
$$;
create function tests.codes(out embeddings bigint, out codes bigint, out without_code bigint, out without_embedding bigint, out lists bigint, out in_lists bigint, out in_cells bigint)
language sql stable as $$
  select v.embeddings, v.codes, v.without_code, v.without_embedding, (select count(*) from matrice_private.code_lists),
         (select coalesce(sum(l.code_count), 0) from matrice_private.code_lists l), (select coalesce(sum(c.code_count), 0) from matrice_private.code_cells c)
    from matrice_private.verify_codes(tests.id('large')) v
$$;
create function tests.pages_read() returns bigint language plpgsql as $$
declare
  before bigint := (select idx_tup_fetch from pg_stat_xact_user_tables where relid = 'matrice_private.code_pages'::regclass);
begin
  perform from questions q, matrice_private.nearest_chunks(q.embedding, array[tests.id('large')], 'short', 10, '{}') n;
  return (select idx_tup_fetch - before from pg_stat_xact_user_tables where relid = 'matrice_private.code_pages'::regclass) / 30;
end
$$;

select is(matrice_private.cluster_codes(tests.id('large'), 'short'), 0, 'cluster_codes leaves a project of 3,000 embeddings as it is');
select is(matrice_private.cluster_codes(tests.id('large'), 'short', minimum => 3001), 0, 'cluster_codes(minimum) leaves a smaller project as it is');
create temp table pages_before on commit drop as select tests.pages_read() as pages;
select is(matrice_private.cluster_codes(tests.id('large'), 'short', null, minimum => 3000, batch => 1024), 1, 'cluster_codes moves all codes of a list to cells');
select ok(c.in_lists = 0 and c.in_cells = 3000 and c.codes = 3000 and c.without_code = 0, format('cluster_codes: each embedding has one code, in a cell: %s', c)) from tests.codes() c;
select is(count(*), matrice_private.cell_count(3000, 64) + 1::bigint, 'cluster_codes makes cells, and one for what is far from all') from matrice_private.code_cells;
select ok(tests.pages_read() < 40, format('a search of 3,000 codes in cells reads some of their %s pages: %s', (select count(*) from matrice_private.code_pages), tests.pages_read()));
select ok(r.recall >= 0.99, format('match_chunks of codes in cells, match_count %s, filter %s: recall %s', k, filter, r.recall))
  from (values (1, '{}'), (10, '{}'), (100, '{}'), (10, '{"third": 1}'), (10, '{"tenth": 7}'), (100, '{"tenth": 7}')) asked (k, filter), tests.recall(k, filter::jsonb) as r (recall);

-- What changes is found as it is now; what moves is found once.
select tests.as_user('edith');
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n)::uuid, embedding, 'short' from made where n between 3001 and 3100;
select tests.as_owner();
select ok(c.lists = 1 and c.in_lists = 100 and c.in_cells = 3000, format('codes of few new embeddings stand in a list: %s', c)) from tests.codes() c;
select ok(tests.recall(10) >= 0.99, 'new embeddings are found beside cells');
select tests.as_user('edith');
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n)::uuid, embedding, 'short' from made where n > 3100;
select tests.as_owner();
select ok(c.in_lists = 100 and c.in_cells = 3900 and c.without_code = 0 and c.codes = 4000, format('who stores many moves them to the cells: %s', c)) from tests.codes() c;
select ok(tests.recall(10) >= 0.99 and tests.recall(100, '{"tenth": 3}') >= 0.99, 'after a move, match_chunks finds the true nearest');
savepoint before;
update matrice.chunk_embeddings set embedding = (select embedding from questions where n = 2) where chunk_id = md5('chunk 77')::uuid;
select is(chunk_id, md5('chunk 77')::uuid, 'match_chunks returns an updated embedding at once, whose old code is in a cell')
  from questions, matrice.match_chunks(embedding, tests.id('large'), 1, model => 'short') where n = 2;
delete from matrice.chunk_embeddings where chunk_id in (select md5('chunk ' || n)::uuid from made where n % 10 < 4);
do $$ begin for number in 1..4 loop perform matrice_private.merge_codes(tests.id('large'), 'short'); end loop; end $$;
select ok(c.embeddings = 2400 and c.without_code = 0 and c.codes < 1.25 * 2400 + 64 and c.in_cells + c.in_lists = c.codes, format('codes of deleted embeddings leave the cells: %s', c)) from tests.codes() c;
select ok(tests.recall(10) >= 0.99, 'after many deletions, match_chunks finds the true nearest');
rollback to before;

-- Documents of another kind are far from all cells, until the project has new ones.
savepoint before;
insert into made select n, tests.near(41 + n % 20) from generate_series(4001, 6000) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content, token_count, metadata)
select md5('chunk ' || n)::uuid, tests.id('source'), n, 'Chunk ' || n, 2, '{"kind": "other"}' from made where n > 4000;
update questions set embedding = tests.near(41 + n % 20) where n > 15;
alter table matrice.chunk_embeddings disable trigger index_added;
insert into matrice.chunk_embeddings (chunk_id, embedding, model) select md5('chunk ' || n)::uuid, embedding, 'short' from made where n > 4000;
alter table matrice.chunk_embeddings enable trigger index_added;
select matrice_private.add_codes(tests.id('large'), 'short', array(select md5('chunk ' || n)::uuid from made where n > 4000));
select matrice_private.move_codes(tests.id('large'), 'short', array(select l.id from matrice_private.code_lists l));
select ok(sum(c.code_count) > 500, format('vectors that are far from all cells go to the rest: %s', sum(c.code_count))) from matrice_private.code_cells c where c.bound is null;
select ok(tests.recall(10) >= 0.99 and tests.recall(10, '{"kind": "other"}') >= 0.99, 'vectors that are far from all cells are found');
select ok(matrice_private.renew_cells(tests.id('large'), 'short'), 'renew_cells makes new cells, because many vectors are far from the old ones');
select cmp_ok(matrice_private.cluster_codes(tests.id('large'), 'short', steps => null), '>=', 4, 'cluster_codes moves codes from the old cells to the new ones');
select ok(count(distinct c.generation) = 1 and min(c.generation) = 2 and sum(c.code_count) = 6000 and sum(c.code_count) filter (where c.bound is null) < 600,
          format('then the old cells are gone, and the rest is small: %s', sum(c.code_count) filter (where c.bound is null))) from matrice_private.code_cells c;
select ok(tests.recall(10) >= 0.99 and tests.recall(10, '{"kind": "other"}') >= 0.99, 'match_chunks finds the true nearest in new cells');
select ok(not matrice_private.renew_cells(tests.id('large'), 'short'), 'renew_cells leaves new cells as they are');
rollback to before;

-- The rest of the index's life.
select matrice_private.rebuild_code_index(tests.id('large'));
select ok(c.in_cells = 0 and c.in_lists = 4000 and c.without_code = 0, format('rebuild_code_index makes lists of a project with few embeddings: %s', c)) from tests.codes() c;
select is(matrice_private.cluster_codes(tests.id('large'), 'short', null, minimum => 3000, batch => 1024), 1, 'cluster_codes after rebuild_code_index');
savepoint before;
truncate matrice.chunk_embeddings;
select is(count(*), 0::bigint, 'truncate of the embeddings empties the cells') from matrice_private.code_cells;
rollback to before;
delete from matrice.projects where id = tests.id('large');
set constraints all immediate;
select is((select count(*) from matrice_private.code_cells) + (select count(*) from matrice_private.code_clusterings) + (select count(*) from matrice_private.code_pages), 0::bigint,
          'a deleted project has no cells');

select is(matrice_private.cell_count(codes, dimensions), cells, format('cell_count of %s codes of %s dimensions', codes, dimensions))
  from (values (0::bigint, 64, 8), (1000000, 64, 2000), (1000000, 1024, 1000), (1000000000, 64, 6430), (1000000000, 1, 8192), (1000000000, 16000, 162)) asked (codes, dimensions, cells);

select * from finish();
rollback;
