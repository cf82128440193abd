begin;
\ir helpers/setup.psql
select no_plan();

-- Rows that a policy of somebody's own hides take no places in searches by meaning: min(match_count, visible) rows, the nearest.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('first', '{"embedding_model": "tiny"}');
select tests.project('second', '{"embedding_model": "tiny"}');
insert into matrice.context_sources (id, project_id, name, raw_metadata)
select tests.id(name || kind), tests.id(name), kind, jsonb_build_object('kind', kind)
  from unnest(array['first', 'second']) name, unnest(array['open', 'secret']) kind;
create temp table made on commit drop as
select n, case when n <= 100 then 'first' else 'second' end as project, case n % 4 when 0 then 'open' else 'secret' end as kind,
       array[1, n / 100.0, (n % 7) / 70.0]::real[]::vector as embedding
  from generate_series(1, 140) n;
insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata)
select md5('chunk ' || n)::uuid, tests.id(project || kind), n, 'Chunk ' || n || ' of the rain.',
  jsonb_build_object('even', n % 2 = 0, 'secret', kind = 'secret') from made;
insert into matrice.chunk_embeddings (chunk_id, model, embedding) select md5('chunk ' || n)::uuid, 'tiny', embedding from made;
insert into matrice.chunk_embeddings (chunk_id, model, embedding) select md5('chunk ' || n)::uuid, 'text-embedding-3-small', tests.vec(1536, 1, n / 100.0)
  from made where project = 'first';
create temp table truth on commit drop as
select md5('chunk ' || n)::uuid as id, tests.id(project) as project_id, kind = 'open' as is_open, n % 2 = 0 as is_even,
  1 - (embedding <=> '[1,0,0.02]') as similarity from made;
grant select on truth to public;

-- The nearest rows of chunks are hidden by a policy on each of the tables that a search reads.
create function tests.hides(policy text, description text) returns setof text language plpgsql as $$
declare
  k integer;
begin
  perform tests.as_owner();
  execute policy;
  perform tests.as_user('victor');
  foreach k in array array[1, 3, 24, 25, 26, 200] loop
    return next results_eq(
      format($q$select chunk_id, similarity from matrice.match_chunks('[1,0,0.02]', tests.id('first'), %s)$q$, k),
      format($q$select id, similarity from truth where is_open and project_id = tests.id('first') order by similarity desc, id limit %s$q$, k),
      format('match_chunks under a restrictive policy on %s returns the nearest %s of the visible chunks', description, least(k, 25)));
  end loop;
  return next results_eq(
    $q$select chunk_id, similarity from matrice.match_chunks('[1,0,0.02]', null, 30, model => 'tiny')$q$,
    $q$select id, similarity from truth where is_open order by similarity desc, id limit 30$q$,
    format('match_chunks over all projects under a restrictive policy on %s returns the nearest visible chunks', description));
  return next results_eq(
    $q$select chunk_id, similarity from matrice.match_chunks('[1,0,0.02]', null, 30, filter => '{"even": true}', model => 'tiny')$q$,
    $q$select id, similarity from truth where is_open and is_even order by similarity desc, id limit 30$q$,
    format('match_chunks with filter under a restrictive policy on %s returns the nearest visible chunks', description));
  return next is_empty(
    $q$select from matrice.match_chunks('[1,0,0.02]', tests.id('first'), 3, filter => '{"secret": true}')$q$,
    format('match_chunks under a restrictive policy on %s with a filter that only hidden chunks match: no rows', description));
  return next is(tests.rows_of($q$select from matrice.match_documents(tests.vec(1536, 1), 3)$q$), 3::bigint,
    format('match_documents under a restrictive policy on %s returns three rows', description));
  return next is(tests.rows_of($q$select from matrice.hybrid_search('zeppelin', '[1,0,0.02]', tests.id('first'), 3)$q$), 3::bigint,
    format('hybrid_search under a restrictive policy on %s returns three rows', description));
  return next is(
    (select jsonb_array_length(jsonb_path_query_array(citations, '$[*].chunk_ids[*]'))
     from matrice.build_context('zeppelin', '[1,0,0.02]', tests.id('first'), 4000, 3)), 3,
    format('build_context under a restrictive policy on %s cites three chunks', description));
  return next is(r.*, row(12::bigint, 1.0::double precision, 1.0::double precision),
                 format('search_recall under a restrictive policy on %s measures the visible chunks', description))
    from matrice.search_recall(tests.id('first'), 12) r;
  return next is(tests.rows_of($q$select from matrice.match_chunks('[1,0,0.02]', tests.id('first'), 3, diversity => 0.5)$q$), 3::bigint,
    format('match_chunks with diversity under a restrictive policy on %s returns three rows', description));
end
$$;
savepoint before;
select tests.hides($$create policy hidden on matrice.source_chunks as restrictive for select to authenticated using (metadata @> '{"secret": false}')$$, 'chunks');
rollback to before;
select tests.hides($$create policy hidden on matrice.context_sources as restrictive for select to authenticated using (name = 'open')$$, 'sources');
rollback to before;
select tests.hides($$create policy hidden on matrice.chunk_embeddings as restrictive for select to authenticated using (chunk_id in (select id from pg_temp.truth where is_open))$$,
                   'embeddings');
rollback to before;
-- Nothing visible at all, and policies that hide nothing.
create policy hidden on matrice.source_chunks as restrictive for select to authenticated using (false);
select tests.as_user('victor');
select is_empty($$select from matrice.match_chunks('[1,0,0.02]', tests.id('first'))$$,
                'match_chunks under a restrictive policy that hides every chunk: no rows');
rollback to before;
create policy hidden on matrice.source_chunks as restrictive for select to authenticated using (true);
select tests.as_user('victor');
select results_eq($$select chunk_id from matrice.match_chunks('[1,0,0.02]', tests.id('first'), 7)$$,
                  $$select id from truth where project_id = tests.id('first') order by similarity desc, id limit 7$$,
                  'match_chunks under a restrictive policy that hides nothing returns the nearest seven');
rollback to before;
create policy hidden on matrice.projects as restrictive for select to authenticated using (name <> 'first');
select tests.as_user('victor');
select tests.refuses($$select from matrice.match_chunks('[1,0,0.02]', tests.id('first'))$$, 'PT404',
                     'match_chunks of a project that a restrictive policy hides: not found', '%', '%');
rollback to before;
create policy hidden on matrice.embedding_models as restrictive for select to authenticated using (model <> 'tiny');
select tests.as_user('victor');
select tests.refuses($$select from matrice.match_chunks('[1,0,0.02]', tests.id('first'))$$, '22023',
                     'match_chunks with a model that a restrictive policy hides: unknown', hint => '%');
-- What searches as the caller is no way into other projects.
rollback to before;
select tests.as_user('mallory');
select is_empty($$select from matrice_private.nearest_visible('[1,0,0.02]', array[tests.id('first')], 'tiny', 10, '{}')$$,
                'nearest_visible of another''s project: no rows');
select is(matrice_private.are_visible(array[md5('chunk 1')::uuid], 'tiny'), false, 'are_visible by an outsider returns false');

select * from finish();
rollback;
