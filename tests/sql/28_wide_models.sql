-- 3,072 dimensions, from ingestion to recall; and the first 1,024 of them.
begin;
\ir helpers/setup.psql
select no_plan();

-- The vector of a text by its number. Half of each is what eight subjects have in common.
create function tests.numbers(n integer) returns jsonb language sql immutable as $$
  select jsonb_agg(round((sin(i * (n % 8 + 1)) + sin(i * sqrt(n + 2)))::numeric, 4) order by i) from generate_series(1, 3072) i
$$;
create temporary table numbered on commit drop as
  select 'Sentence ' || n as content, tests.numbers(n)::text::vector as vector from generate_series(1, 400) n;
grant select on numbered to public;

-- Embeds what a claim returns.
create function tests.embed() returns integer language sql as $$
  select matrice.store_embeddings(
           min(c.model), array_agg(c.chunk_id), jsonb_agg(tests.numbers(substring(c.content from '\d+')::integer)), min(c.lease_id::text)::uuid)
    from matrice.claim_chunks(batch_size => 500, project_id => tests.id('books')) c having count(*) > 0
$$;

-- What share of the ten nearest match_chunks finds: pgvector tells which they are.
create function tests.share_of_nearest(of_model text, dimensions integer) returns numeric language sql as $$
  with query as materialized (
    select n, tests.numbers(n + 1000)::text::vector as whole from generate_series(3, 400, 40) n
  ), nearest as materialized (
    select q.n, c.content
      from query q
     cross join lateral (
       select t.content from numbered t order by subvector(q.whole, 1, dimensions) <=> subvector(t.vector, 1, dimensions) limit 10) c
  )
  select count(*)::numeric / (select count(*) from nearest)
    from query q
   cross join lateral matrice.match_chunks(q.whole, tests.id('books'), 10, model => of_model) m
    join nearest on (nearest.n, nearest.content) = (q.n, m.content)
$$;

select tests.as_service();
select matrice.register_model('large, first 1024', 1024, truncated_from => 'text-embedding-3-large');
select tests.as_user('alice');
select tests.remember('books', matrice.create_project('Books', settings => '{"embedding_model": "text-embedding-3-large"}'));
select matrice.ingest_source(tests.id('books'), 'Book', string_agg('Sentence ' || n, E'\n\n'), max_tokens => 4, overlap_tokens => 0)
  from generate_series(1, 400) n;

-- More chunks than a search compares in full.
select is((select count(*) from matrice.source_chunks c where c.project_id = tests.id('books')), 400::bigint, '3,072 dimensions: ingest_source makes 400 chunks');
select is(tests.embed(), 400, '3,072 dimensions: store_embeddings stores all of them');
select cmp_ok(tests.share_of_nearest('text-embedding-3-large', 3072), '>=', 0.95, '3,072 dimensions: match_chunks finds the true nearest');
select cmp_ok((select recall from matrice.search_recall(tests.id('books'))), '>=', 0.95::double precision, '3,072 dimensions: search_recall');
select matrice.switch_embedding_model(tests.id('books'), 'large, first 1024');
select is(tests.embed(), 400, '1,024 of 3,072 dimensions: a switch stores all of them');
select is(tests.embed(), null, '1,024 of 3,072 dimensions: the claim after it finds nothing');
select results_eq($$select model, is_active, embedded from matrice.model_coverage(tests.id('books'))$$,
                  $$values ('large, first 1024', true, 400::bigint), ('text-embedding-3-large', false, 400)$$,
                  '1,024 of 3,072 dimensions: that claim ends the switch');
select results_eq(
  $$select distinct vector_dims(e.embedding), vector_norm(e.embedding)::numeric(9, 5) from matrice.chunk_embeddings e where e.model = 'large, first 1024'$$,
  $$values (1024, 1.00000)$$, '1,024 of 3,072 dimensions: the vectors have length 1');
select cmp_ok(tests.share_of_nearest('large, first 1024', 1024), '>=', 0.95,
              '1,024 of 3,072 dimensions: match_chunks finds the true nearest of whole queries');
select cmp_ok(tests.share_of_nearest('text-embedding-3-large', 3072), '>=', 0.95, '3,072 dimensions: the old vectors are still there');
select is(matrice.drop_embeddings(tests.id('books'), 'text-embedding-3-large', 10000), 400, 'drop_embeddings deletes 400 vectors of 3,072 dimensions');
select is(tests.share_of_nearest('text-embedding-3-large', 3072), 0::numeric, 'match_chunks finds nothing by vectors that were dropped');
select tests.as_owner();
select results_eq($$select v.model, v.embeddings, v.without_code from matrice_private.verify_codes(tests.id('books')) v where v.embeddings > 0$$,
                  $$values ('large, first 1024', 400::bigint, 0::bigint)$$, 'drop_embeddings keeps the codes of the other model');

-- The index of pgvector ------------------------------------------------------------------------------------------------------

select tests.as_service();
select matrice.register_model('text-embedding-3-large', 3072, true);
select tests.as_owner();
select lives_ok($$select matrice_private.build_embedding_index()$$, 'build_embedding_index takes 3,072 dimensions');
select matches(pg_get_indexdef('matrice.idx_embeddings_approximate'::regclass), 'halfvec', 'build_embedding_index: an index of 3,072 dimensions is of halfvec');
select tests.as_service();
select matrice.register_model('widest', 4001, true);
select tests.as_owner();
select tests.refuses('select matrice_private.build_embedding_index()', '22023', 'build_embedding_index refuses 4,001 dimensions', '%4001%', '%');

select * from finish();
rollback;
