begin;
\ir helpers/setup.psql
select no_plan();

-- The owner of a database may alter, drop and make again what the engine reads by itself. Whatever stands there, _nearest_chunks
-- gives the right rows or refuses: a server that falls takes all databases of the cluster with it.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 12);
select tests.project('one', '{"embedding_model": "tiny"}');
select tests.project('two', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name) select tests.id('source of ' || name), tests.id(name), name from unnest(array['one', 'two']) name;
-- So many that the codes of project one are read, and all vectors of project two.
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5('chunk ' || n)::uuid, tests.id('source of ' || case when n <= 600 then 'one' else 'two' end), n, 'Chunk ' || n from generate_series(1, 620) n;
insert into matrice.chunk_embeddings (chunk_id, model, embedding)
select md5('chunk ' || n)::uuid, 'tiny', (select array_agg(sin(n * i * 12.9898)) from generate_series(1, 12) i)::vector from generate_series(1, 620) n;

create function tests.found() returns uuid[] language sql as $$
  select coalesce(array_agg(n.chunk_id order by n.similarity desc, n.chunk_id), '{}')
    from matrice._nearest_chunks(array[tests.id('one'), tests.id('two')], 'tiny',
                                 (select array_agg(cos(i * 3.7)) from generate_series(1, 12) i)::vector, 15) n
$$;
create temp table right_rows on commit drop as select tests.found() as ids;
select is(ids, array(select e.chunk_id from matrice.chunk_embeddings e where e.model = 'tiny'
                      order by e.embedding <=> (select array_agg(cos(i * 3.7)) from generate_series(1, 12) i)::vector, 1 limit 15),
          '_nearest_chunks of two projects returns the nearest 15') from right_rows;

-- What the statements make of the tables and indexes, and what then becomes of a search; all of it undone.
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
    return is(outcome, coalesce(code, 'the right rows'), format('H8: _nearest_chunks with %s: %s', description, coalesce(code, 'the right rows')));
  end;
end
$$;

-- Indexes --------------------------------------------------------------------------------------------------------------

select tests.with('drop index matrice.idx_embeddings_vector;' || statements, code, 'idx_embeddings_vector ' || description)
  from (values
    -- The same index, and those that find the same.
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model)', null, 'made again'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model, chunk_id)', null, 'of three columns'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model) include (created_at)', null, 'that includes a column'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id desc, model desc nulls last)', null, 'in descending order'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model) with (fillfactor = 50)', null, 'with fillfactor 50'),
    ('create index elsewhere on matrice.chunk_embeddings (project_id, model); alter index matrice.elsewhere rename to idx_embeddings_vector', null,
     'that was renamed'),
    -- Other columns.
    ('select', '55000', 'that is not there'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id) include (model)', '55000', 'of one key column'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (model, project_id)', '55000', 'with the columns exchanged'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (chunk_id, model)', '55000', 'with chunk_id for project_id'),
    -- Other kinds.
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model) where project_id is not null', '55000', 'that is partial'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, lower(model))', '55000', 'on an expression'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings ((project_id), (model || ''''))', '55000', 'on an expression with the same values'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model collate "C")', '55000', 'in collation "C"'),
    ('create collation tests.loose (provider = icu, locale = ''und-u-ks-level1'', deterministic = false); create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model collate tests.loose)',
     '55000', 'in a nondeterministic collation'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model text_pattern_ops)', '55000', 'with text_pattern_ops'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings using hash (project_id)', '55000', 'that is a hash index'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings using brin (project_id, model)', '55000', 'that is a BRIN index'),
    ('create index idx_embeddings_vector on matrice.source_chunks (project_id, content)', '55000', 'of another table'),
    ('create table matrice.idx_embeddings_vector as select project_id, model from matrice.chunk_embeddings', '55000', 'that is a table'),
    ('create view matrice.idx_embeddings_vector as select project_id, model from matrice.chunk_embeddings', '55000', 'that is a view'),
    ('create sequence matrice.idx_embeddings_vector', '55000', 'that is a sequence'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model); update pg_index set indisvalid = false where indexrelid = ''matrice.idx_embeddings_vector''::regclass',
     '55000', 'that is not valid'),
    ('create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model); update pg_index set indisready = false where indexrelid = ''matrice.idx_embeddings_vector''::regclass',
     '55000', 'that is not ready')
  ) shapes (statements, code, description)
 -- A server that is built without ICU has no collation in which different texts are equal.
 where statements !~ 'provider = icu' or exists (select from pg_collation where collname like '%-x-icu');

select tests.with(statements, code, description)
  from (values
    ('alter table matrice.chunk_embeddings drop constraint chunk_embeddings_chunk_id_model_key', '55000', 'chunk_embeddings without its key'),
    ('alter table matrice.chunk_embeddings drop constraint chunk_embeddings_chunk_id_model_key; create index chunk_embeddings_chunk_id_model_key on matrice.chunk_embeddings (chunk_id, model)',
     null, 'an index for the key of chunk_embeddings'),
    ('alter table matrice.chunk_embeddings drop constraint chunk_embeddings_chunk_id_model_key; create index chunk_embeddings_chunk_id_model_key on matrice.chunk_embeddings (model, chunk_id)',
     '55000', 'the key of chunk_embeddings exchanged'),
    ('alter table matrice_private.code_lists drop constraint code_lists_pkey', '55000', 'code_lists without its key'),
    ('alter table matrice_private.code_cells drop constraint code_cells_pkey', '55000', 'code_cells without its key'),
    ('alter table matrice_private.code_pages drop constraint code_pages_pkey; create index code_pages_pkey on matrice_private.code_pages (project_id, model)', '55000',
     'code_pages with a shorter key'),
    ('alter table matrice_private.code_pages drop constraint code_pages_pkey; create index code_pages_pkey on matrice_private.code_pages (project_id, model, list)', null,
     'code_pages with an index of the columns that are read')
  ) shapes (statements, code, description);

-- Tables ---------------------------------------------------------------------------------------------------------------

-- Another table under the name, with the same rows.
select tests.with(
  'alter table matrice.chunk_embeddings rename to real_ones; drop index matrice.idx_embeddings_vector; alter table matrice.real_ones drop constraint chunk_embeddings_chunk_id_model_key;'
  || made
  || case when fills then 'insert into matrice.chunk_embeddings (project_id, model, embedding, chunk_id) select project_id, model, embedding, chunk_id from matrice.real_ones;' else '' end
  || 'create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model); create index chunk_embeddings_chunk_id_model_key on matrice.chunk_embeddings (chunk_id, model)',
  code, description)
  from (values
    ('create table matrice.chunk_embeddings (project_id uuid, model text, embedding vector, chunk_id uuid);', true, null, 'another chunk_embeddings of the same columns'),
    ('create table matrice.chunk_embeddings (a int, chunk_id uuid, project_id uuid, b int, embedding vector, model text); alter table matrice.chunk_embeddings drop a, drop b;',
     true, null, 'another chunk_embeddings with dropped columns'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text, chunk_id uuid); alter table matrice.chunk_embeddings add embedding vector;', true, null,
     'another chunk_embeddings with an added column'),
    ('create unlogged table matrice.chunk_embeddings (project_id uuid, model text, embedding vector, chunk_id uuid);', true, '55000', 'an unlogged chunk_embeddings'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text, embedding vector, chunk_id uuid) partition by hash (project_id); create table matrice.part partition of matrice.chunk_embeddings for values with (modulus 1, remainder 0);',
     true, '55000', 'a partitioned chunk_embeddings'),
    ('create materialized view matrice.chunk_embeddings as select project_id, model, embedding, chunk_id from matrice.real_ones;', false, '55000',
     'a materialized view named chunk_embeddings'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text, embedding text, chunk_id uuid);', true, '55000', 'chunk_embeddings.embedding of type text'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text, embedding halfvec, chunk_id uuid);', true, '22023', 'chunk_embeddings.embedding of type halfvec'),
    ('create domain tests.vectors as vector; create table matrice.chunk_embeddings (project_id uuid, model text, embedding tests.vectors, chunk_id uuid);', true, '55000',
     'chunk_embeddings.embedding of a domain over vector'),
    ('create table matrice.chunk_embeddings (project_id uuid, model varchar, embedding vector, chunk_id uuid);', true, '55000', 'chunk_embeddings.model of type varchar'),
    ('create domain tests.ids as uuid; create table matrice.chunk_embeddings (project_id uuid, model text, embedding vector, chunk_id tests.ids);', true,
     '55000', 'chunk_embeddings.chunk_id of a domain over uuid'),
    ('create table matrice.chunk_embeddings (project_id uuid, model text collate "C", embedding vector, chunk_id uuid);', true, '55000',
     'chunk_embeddings.model in collation "C"')
  ) shapes (made, fills, code, description);
select tests.with(statements, code, description)
  from (values
    ('alter table matrice_private.code_pages rename to elsewhere', '55000', 'no code_pages'),
    ('alter table matrice_private.code_pages alter codes type text using codes::text', '55000', 'code_pages.codes of type text'),
    ('alter table matrice_private.code_pages rename codes to bytes', '55000', 'code_pages without codes'),
    ('alter table matrice_private.code_lists alter code_count type bigint', '55000', 'code_lists.code_count of type bigint'),
    ('alter table matrice_private.code_cells alter bound type text using bound::text', '55000', 'code_cells.bound of type text'),
    ('alter table matrice_private.code_lists set unlogged', '55000', 'an unlogged code_lists'),
    ('alter schema matrice_private rename to elsewhere', '55000', 'schema matrice_private renamed away'),
    ('alter schema matrice rename to elsewhere; create schema matrice; alter function elsewhere._nearest_chunks set schema matrice', '55000',
     'schema matrice renamed away')
  ) shapes (statements, code, description);

-- Values ---------------------------------------------------------------------------------------------------------------

select tests.with(
  'alter table matrice.chunk_embeddings rename to real_ones; drop index matrice.idx_embeddings_vector; alter table matrice.real_ones drop constraint chunk_embeddings_chunk_id_model_key;
   create table matrice.chunk_embeddings (project_id uuid, model text, embedding vector, chunk_id uuid);
   create index idx_embeddings_vector on matrice.chunk_embeddings (project_id, model); create index chunk_embeddings_chunk_id_model_key on matrice.chunk_embeddings (chunk_id, model);
   insert into matrice.chunk_embeddings select project_id, model, embedding, chunk_id from matrice.real_ones;' || statements, code, description)
  from (values
    ('insert into matrice.chunk_embeddings select null, model, embedding, chunk_id from matrice.real_ones where chunk_id not in (select unnest(ids) from right_rows)', null,
     'project_id null in additional rows'),
    ('insert into matrice.chunk_embeddings select project_id, null, null, null from matrice.real_ones', null, 'model null in additional rows'),
    ('update matrice.chunk_embeddings set embedding = subvector(embedding, 1, 11)', '22023', 'vectors that are one number short'),
    ('update matrice.chunk_embeddings set embedding = array_fill(1, array[16000])::vector', '22023', 'vectors of 16,000 numbers'),
    ('delete from matrice.chunk_embeddings where chunk_id is not null; insert into matrice.chunk_embeddings select project_id, model, embedding, chunk_id from matrice.real_ones',
     null, 'rows that were deleted and inserted again')
  ) values_ (statements, code, description);

create function tests.survives(statements text, description text) returns text language plpgsql as $$
declare
  outcome text := 'survived';
begin
  begin
    execute statements;
    begin
      perform tests.found();
    exception when sqlstate '22023' or sqlstate '55000' then
      null;
    end;
    perform * from matrice_private.verify_codes();
    raise exception 'undo' using errcode = 'XXUND';
  exception when sqlstate 'XXUND' then
    return is(outcome, 'survived', 'H8: _nearest_chunks and verify_codes survive ' || description);
  end;
end
$$;
select tests.survives('update matrice_private.code_pages set codes = ' || codes, 'codes ' || codes)
  from (values ($$''$$), ($$'\x00'$$), ($$substring(codes for 7)$$), ($$substring(codes for 100)$$), ($$codes || '\x00'$$), ($$substring(codes from 2)$$),
               ($$decode(repeat('ff', 5000), 'hex')$$), ($$decode(repeat('00', 5000), 'hex')$$), ($$set_byte(codes, 0, 255)$$), ($$set_byte(codes, 1, 0)$$), ($$set_byte(codes, 1, 255)$$),
               ($$set_byte(codes, 2, 255)$$), ($$set_byte(codes, 3, 255)$$), ($$set_byte(codes, 4, 255)$$), ($$set_byte(codes, 5, 255)$$), ($$set_byte(codes, 4, 0)$$),
               ($$decode(repeat(md5(page::text), 200), 'hex')$$), ($$overlay(codes placing decode(repeat('ff', length(codes) - 8), 'hex') from 9)$$),
               ($$overlay(codes placing decode(repeat('7f', length(codes) - 8), 'hex') from 9)$$), ($$decode(repeat('ab', 3000000), 'hex')$$)) wrong (codes);
select tests.survives('update matrice_private.code_lists set centroid = ' || centroid, 'centroid ' || centroid)
  from (values ($$''$$), ($$'\x01'$$), ($$substring(centroid for 30)$$), ($$centroid || '\x00'$$), ($$set_byte(centroid, 0, 255)$$), ($$set_byte(centroid, 2, 255)$$),
               ($$decode(repeat('ff', 5000), 'hex')$$), ($$overlay(centroid placing decode(repeat('ff', length(centroid) - 4), 'hex') from 5)$$),
               ($$overlay(centroid placing decode(repeat('7f', length(centroid) - 4), 'hex') from 5)$$), ($$decode(repeat('cd', 3000000), 'hex')$$)) wrong (centroid);
select tests.survives('update matrice_private.code_lists set code_count = ' || code_count, 'code_count ' || code_count)
  from unnest(array[0, -1, 2147483647, -2147483648]) code_count;

select tests.survives('select matrice_private.cluster_codes(tests.id(''one''), ''tiny'', null, 300, 64); update matrice_private.code_cells set ' || change, 'cells with ' || change)
  from (values ($$centroid = ''$$), ($$centroid = substring(centroid for 30)$$), ($$centroid = set_byte(centroid, 0, 255)$$), ($$centroid = set_byte(centroid, 2, 255)$$),
               ($$centroid = overlay(centroid placing decode(repeat('ff', length(centroid) - 4), 'hex') from 5)$$), ($$centroid = decode(repeat('cd', 3000000), 'hex')$$),
               ($$bound = ''$$), ($$bound = '\x01'$$), ($$bound = set_byte(bound, 0, 255)$$), ($$bound = decode(repeat('ff', 13), 'hex')$$),
               ($$bound = '\x01' || decode(repeat('7f', 12), 'hex')$$), ($$bound = '\x01' || decode(repeat('ff', 12), 'hex')$$),
               ($$code_count = 0$$), ($$code_count = -1$$), ($$code_count = 2147483647$$)) wrong (change);
-- Who moves codes reads the cells, too.
select tests.survives(format($$select matrice_private.cluster_codes(tests.id('one'), 'tiny', null, 300, 64); update matrice_private.code_cells set centroid = %s;
                        do $do$ begin perform matrice_private.move_codes(tests.id('one'), 'tiny', array(select id from matrice_private.code_cells));
                                exception when sqlstate '22023' then null; end $do$ $$, centroid), 'a move to cells with centroid ' || centroid)
  from (values ($$''$$), ($$set_byte(centroid, 1, 4)$$), ($$set_byte(centroid, 2, 255)$$), ($$overlay(centroid placing decode(repeat('7f', length(centroid) - 4), 'hex') from 5)$$)) wrong (centroid);

-- A compressed vector is read: 3,000 numbers that are all alike.
insert into matrice.embedding_models (model, dimensions) values ('broad', 3000);
insert into matrice.chunk_embeddings (chunk_id, model, embedding) select md5('chunk ' || n)::uuid, 'broad',
  array_fill(case n when 7 then 1 else -1 end, array[3000])::vector from generate_series(1, 400) n;
select is(n.chunk_id, md5('chunk 7')::uuid, '_nearest_chunks reads a compressed vector of 3,000 numbers')
  from matrice._nearest_chunks(array[tests.id('one')], 'broad', array_fill(1, array[3000])::vector, 1) n;

select is(tests.found(), ids, '_nearest_chunks finds the same rows after all of it was undone') from right_rows;

select * from finish();
rollback;
