begin;
\ir helpers/setup.psql
select no_plan();

-- The owner of a database may alter, drop and make again what the engine reads by itself. Whatever stands there, _nearest_codes
-- gives the right rows or refuses: a server that falls takes all databases of the cluster with it.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 12);
select tests.project('one', '{"embedding_model": "tiny"}');
select tests.project('two', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) select tests.id('source of ' || name), tests.id(name), name from unnest(array['one', 'two']) name;
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5('chunk ' || n)::uuid, tests.id('source of ' || case when n <= 40 then 'one' else 'two' end), n, 'Chunk ' || n from generate_series(1, 60) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select md5('chunk ' || n)::uuid, 'tiny', (select array_agg(sin(n * i * 12.9898)) from generate_series(1, 12) i)::vector from generate_series(1, 60) n;

create function tests.found() returns uuid[] language sql as $$
  select coalesce(array_agg(n.chunk_id order by n.project_id, n.place), '{}')
    from matrice._nearest_codes(array[tests.id('one'), tests.id('two')], 'tiny',
                               (select array_agg(cos(i * 3.7)) from generate_series(1, 12) i)::real[], 15) n
$$;
create temp table right_rows on commit drop as select tests.found() as ids;
select is(cardinality(ids), 30, '_nearest_codes returns 15 rows of each of two projects') from right_rows;

-- What the statements make of the tables and of the index, and what then becomes of a search; all of it undone.
create function tests.with(statements text, code text, description text) returns text language plpgsql as $$
declare
  outcome text := 'the right rows';
  ids     uuid[];
begin
  begin
    execute statements;
    begin
      ids := tests.found();
      if ids is distinct from (select r.ids from right_rows r) then
        outcome := format('other rows: %s', ids);
      end if;
    exception when others then
      outcome := sqlstate || case when sqlstate not in ('55000', '22023', '42501') then ': ' || sqlerrm else '' end;
    end;
    raise exception 'undo' using errcode = 'XXUND';
  exception when sqlstate 'XXUND' then
    return is(outcome, coalesce(code, 'the right rows'), format('H8: _nearest_codes with %s: %s', description, coalesce(code, 'the right rows')));
  end;
end
$$;

select tests.with('drop index matrice.idx_embeddings_codes;' || statements, code, description)
  from (values
    -- The same index, and those that hold the same.
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id)', null, 'idx_embeddings_codes made again'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id desc, model desc nulls last) include (code, chunk_id)', null,
     'idx_embeddings_codes in descending order'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id) with (fillfactor = 50)', null,
     'idx_embeddings_codes with fillfactor 50'),
    ('create index elsewhere on matrice.chunk_embeddings (project_id, model) include (code, chunk_id); alter index matrice.elsewhere rename to idx_embeddings_codes',
     null, 'idx_embeddings_codes that was renamed'),
    -- Other columns.
    ('select', '55000', 'no idx_embeddings_codes'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id) include (model, code, chunk_id)', '55000',
     'idx_embeddings_codes of one key column'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model, code) include (chunk_id)', '55000',
     'idx_embeddings_codes of three key columns'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model, code, chunk_id)', '55000', 'idx_embeddings_codes of four key columns'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model)', '55000', 'idx_embeddings_codes that includes no column'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code)', '55000', 'idx_embeddings_codes without chunk_id'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id, id)', '55000',
     'idx_embeddings_codes that includes one column more'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (model, project_id) include (code, chunk_id)', '55000',
     'idx_embeddings_codes with the key columns exchanged'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (chunk_id, code)', '55000',
     'idx_embeddings_codes with the included columns exchanged'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, id)', '55000',
     'idx_embeddings_codes that includes id for chunk_id'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (chunk_id, model) include (code, project_id)', '55000',
     'idx_embeddings_codes with chunk_id for project_id'),
    -- Other kinds.
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id) where project_id is not null', '55000',
     'idx_embeddings_codes that is partial'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, lower(model)) include (code, chunk_id)', '55000',
     'idx_embeddings_codes on an expression'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings ((project_id), (model || '''')) include (code, chunk_id)', '55000',
     'idx_embeddings_codes on an expression with the same values'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model collate "C") include (code, chunk_id)', '55000',
     'idx_embeddings_codes in collation "C"'),
    ('create collation tests.loose (provider = icu, locale = ''und-u-ks-level1'', deterministic = false); create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model collate tests.loose) include (code, chunk_id)',
     '55000', 'idx_embeddings_codes in a nondeterministic collation'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model text_pattern_ops) include (code, chunk_id)', '55000',
     'idx_embeddings_codes with text_pattern_ops'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings using hash (project_id)', '55000', 'idx_embeddings_codes that is a hash index'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings using brin (project_id, model, code, chunk_id)', '55000',
     'idx_embeddings_codes that is a BRIN index of the same columns'),
    ('create index idx_embeddings_codes on matrice.source_chunks (project_id, content) include (id, source_id)', '55000',
     'idx_embeddings_codes of another table'),
    ('create table matrice.idx_embeddings_codes as select project_id, model, code, chunk_id from matrice.chunk_embeddings', '55000',
     'a table named idx_embeddings_codes'),
    ('create view matrice.idx_embeddings_codes as select project_id, model, code, chunk_id from matrice.chunk_embeddings', '55000',
     'a view named idx_embeddings_codes'),
    ('create sequence matrice.idx_embeddings_codes', '55000', 'a sequence named idx_embeddings_codes'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id); update pg_index set indisvalid = false where indexrelid = ''matrice.idx_embeddings_codes''::regclass',
     '55000', 'idx_embeddings_codes that is not valid'),
    ('create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id); update pg_index set indisready = false where indexrelid = ''matrice.idx_embeddings_codes''::regclass',
     '55000', 'idx_embeddings_codes that is not ready')
  ) shapes (statements, code, description)
 -- A server that is built without ICU has no collation in which different texts are equal.
 where statements !~ 'provider = icu' or exists (select from pg_collation where collname like '%-x-icu');

-- Another table under the name, with the same rows.
select tests.with(
  'alter table matrice.chunk_embeddings rename to real_ones; drop index matrice.idx_embeddings_codes;' || made
  || case when fills then 'insert into matrice.chunk_embeddings (project_id, model, code, chunk_id) select project_id, model, code, chunk_id from matrice.real_ones;' else '' end
  || 'create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id)', code, description)
  from (values
    ('create table matrice.chunk_embeddings (project_id uuid, model text, code bit varying, chunk_id uuid);', true, null,
     'another chunk_embeddings of the same columns'),
    ('create table matrice.chunk_embeddings (a int, chunk_id uuid, project_id uuid, b int, code bit varying, model text); alter table matrice.chunk_embeddings drop a, drop b;',
     true, null, 'another chunk_embeddings with dropped columns'),
    ('create unlogged table matrice.chunk_embeddings (project_id uuid, model text, code bit varying, chunk_id uuid);', true, '55000',
     'an unlogged chunk_embeddings'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text, code bit varying, chunk_id uuid) partition by hash (project_id); create table matrice.part partition of matrice.chunk_embeddings for values with (modulus 1, remainder 0);',
     true, '55000', 'a partitioned chunk_embeddings'),
    ('create materialized view matrice.chunk_embeddings as select project_id, model, code, chunk_id from matrice.real_ones;', false, '55000',
     'a materialized view named chunk_embeddings'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text, code text, chunk_id uuid);', true, '55000', 'chunk_embeddings.code of type text'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text, code bit(12), chunk_id uuid);', true, '55000',
     'chunk_embeddings.code of type bit(12)'),
    ('create table matrice.chunk_embeddings (project_id uuid, model varchar, code bit varying, chunk_id uuid);', true, '55000',
     'chunk_embeddings.model of type varchar'),
    ('create domain tests.ids as uuid; create table matrice.chunk_embeddings (project_id uuid, model text, code bit varying, chunk_id tests.ids);', true,
     '55000', 'chunk_embeddings.chunk_id of a domain over uuid'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text collate "C", code bit varying, chunk_id uuid);', true, '55000',
     'chunk_embeddings.model in collation "C"')
  ) shapes (made, fills, code, description);

-- Values that no code has.
select tests.with(
  'alter table matrice.chunk_embeddings rename to real_ones; drop index matrice.idx_embeddings_codes;
   create table matrice.chunk_embeddings (project_id uuid, model text, code bit varying, chunk_id uuid);
   create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id);
   insert into matrice.chunk_embeddings select project_id, model, code, chunk_id from matrice.real_ones;' || statements, code, description)
  from (values
    ('update matrice.chunk_embeddings set code = null', '22023', 'code null in every row'),
    ('update matrice.chunk_embeddings set code = null where chunk_id = md5(''chunk 7'')::uuid', '22023', 'code null in one row'),
    ('update matrice.chunk_embeddings set chunk_id = null', '22023', 'chunk_id null in every row'),
    ('insert into matrice.chunk_embeddings select null, model, code, chunk_id from matrice.chunk_embeddings', null, 'project_id null in additional rows'),
    ('insert into matrice.chunk_embeddings select project_id, null, null, null from matrice.chunk_embeddings', null, 'model null in additional rows'),
    ('update matrice.chunk_embeddings set code = B''''', '22023', 'codes of no bits'),
    ('update matrice.chunk_embeddings set code = substring(code for 11)', '22023', 'codes that are one bit short'),
    ('update matrice.chunk_embeddings set code = code || B''1''', '22023', 'codes that are one bit long'),
    ('update matrice.chunk_embeddings set code = repeat(''0'', 16000)::bit varying', '22023', 'codes of 16,000 bits'),
    ('update matrice.chunk_embeddings set code = repeat(''01'', 200000)::bit varying', '22023', 'codes of 400,000 bits, compressed'),
    ('delete from matrice.chunk_embeddings where chunk_id is not null; insert into matrice.chunk_embeddings select project_id, model, code, chunk_id from matrice.real_ones',
     null, 'rows that were deleted and inserted again')
  ) values_ (statements, code, description);
-- Rows that nobody sees do no harm.
savepoint before;
alter table matrice.chunk_embeddings rename to real_ones;
drop index matrice.idx_embeddings_codes;
create table matrice.chunk_embeddings (project_id uuid, model text, code bit varying, chunk_id uuid);
create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id);
insert into matrice.chunk_embeddings select project_id, model, null, chunk_id from matrice.real_ones;
insert into matrice.chunk_embeddings select project_id, model, B'1', chunk_id from matrice.real_ones;
delete from matrice.chunk_embeddings where project_id is not null;
insert into matrice.chunk_embeddings select project_id, model, code, chunk_id from matrice.real_ones;
select is(tests.found(), ids, 'H8: _nearest_codes ignores wrong codes that were deleted') from right_rows;
rollback to before;

-- A compressed code of the right length is read: 3,000 bits that are all alike.
insert into matrice.embedding_models (model, dimensions) values ('broad', 3000);
insert into matrice.chunk_embeddings (chunk_id, model, embedding) select md5('chunk ' || n)::uuid, 'broad',
  array_fill(case n when 7 then 1 else -1 end, array[3000])::vector from generate_series(1, 9) n;
select is(n.chunk_id, md5('chunk 7')::uuid, '_nearest_codes reads a compressed code of 3,000 bits')
  from matrice._nearest_codes(array[tests.id('one')], 'broad', array_fill(1, array[3000])::real[], 1) n;

-- The schema gone.
select tests.with('alter schema matrice rename to elsewhere; create schema matrice; alter function elsewhere._nearest_codes set schema matrice', '55000',
                  'schema matrice renamed away');
select is(tests.found(), ids, '_nearest_codes finds the same rows after all of it was undone') from right_rows;

select * from finish();
rollback;
