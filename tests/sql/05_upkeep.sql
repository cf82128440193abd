begin;
\ir helpers/setup.psql
select no_plan();

-- Upkeep and timeouts: a writer who has little time stores, and leaves the rest to others.

-- How much time there is ----------------------------------------------------------------------------------------------

create function tests.answers(usual interval) returns bigint language sql as $$
  select count(*) filter (where matrice_private.has_time(usual)) from generate_series(1, 200)
$$;
select is(matrice_private.time_left(), null, 'time_left without a timeout is null');
select is(tests.answers('10 years'), 200::bigint, 'has_time without a timeout: always');
set local statement_timeout = '1h';
select ok(matrice_private.time_left() between '30 minutes' and '1 hour', 'time_left is less than statement_timeout');
select is(tests.answers('1 minute'), 200::bigint, 'has_time for a fortieth of the time left: always');
select is(tests.answers('16 minutes'), 0::bigint, 'has_time for more than a fourth of the time left: never');
select ok(tests.answers('10 minutes') between 1 and 199, 'has_time for a sixth of the time left: sometimes');
set local statement_timeout = '2147483647ms';
select ok(matrice_private.time_left() > '24 days', 'time_left with the longest statement_timeout');
set local statement_timeout = 0;
-- From PostgreSQL 17 on.
select set_config('transaction_timeout', '1h', true) where current_setting('transaction_timeout', true) is not null;
select is(matrice_private.time_left() between '30 minutes' and '1 hour',
          case when current_setting('transaction_timeout', true) is not null then true end, 'time_left is less than transaction_timeout');
set local statement_timeout = '50min';
select ok(matrice_private.time_left() < '50 minutes', 'time_left is less than the shorter timeout');
set local statement_timeout = 0;
select set_config('transaction_timeout', '0', true) where current_setting('transaction_timeout', true) is not null;

-- Codes ---------------------------------------------------------------------------------------------------------------

insert into matrice.embedding_models (model, dimensions) select 'of ' || d, d from unnest(array[1, 64, 1536, 3072, 4000, 16000]) d;
select ok(matrice_private.time_to_code(model, matrice_private.code_batch(model)) <= '1.501 s' and matrice_private.code_batch(model) > 1000,
          format('code_batch of %s dimensions: a client with a timeout of 8 seconds has four times as long as it takes', dimensions))
  from matrice.embedding_models where model ^@ 'of ';
select ok(4 * matrice_private.time_to_train() < '8 s', 'a client with a timeout of 8 seconds has four times as long as making cells takes');

-- Of so many dimensions that a thousand codes are worth a look at the clock.
select tests.project('wide', '{"embedding_model": "of 4000"}');
insert into matrice.context_sources (id, project_id, name) values (tests.id('source'), tests.id('wide'), 'source');
insert into matrice.source_chunks (id, source_id, chunk_index, content)
select md5('chunk ' || n)::uuid, tests.id('source'), n, 'Chunk ' || n from generate_series(1, 5000) n;
create function tests.wide(n integer) returns vector language sql as $$
  select format('[%s%s]', repeat(sin(n) || ',', 2000), rtrim(repeat(cos(n) || ',', 2000), ','))::vector
$$;
create function tests.store(first integer, last integer) returns void language plpgsql as $$
begin
  perform tests.as_user('edith');
  insert into matrice.chunk_embeddings (chunk_id, embedding, model)
  select md5('chunk ' || n)::uuid, tests.wide(n), 'of 4000' from generate_series(first, last) n;
  perform tests.as_owner();
end
$$;
create function tests.codes() returns text language sql as $$
  select format('%s codes, %s missing: %s in %s lists, %s in cells', v.codes, v.without_code,
                (select sum(l.code_count) from matrice_private.code_lists l), (select count(*) from matrice_private.code_lists l),
                (select sum(c.code_count) from matrice_private.code_cells c))
    from matrice_private.verify_codes(tests.id('wide')) v
$$;

create function tests.found() returns uuid language sql as $$
  select chunk_id from matrice.match_chunks(tests.wide(1234), tests.id('wide'), 1, model => 'of 4000')
$$;
create function tests.nearest() returns uuid language sql as $$
  select e.chunk_id from matrice.chunk_embeddings e where e.model = 'of 4000' order by e.embedding <=> tests.wide(1234), 1 limit 1
$$;

do $$ begin for number in 0..6 loop perform tests.store(1 + 500 * number, 500 * (number + 1)); end loop; end $$;
set local statement_timeout = '2900ms';
select tests.store(3501, 3564);
set local statement_timeout = 0;
select is(tests.codes(), '3564 codes, 0 missing: 3564 in 8 lists,  in cells', 'who has 2.9 seconds for a merge of 0.7 stores, and leaves eight lists');
select tests.store(3565, 3565);
select is(tests.codes(), '3565 codes, 0 missing: 3565 in 2 lists,  in cells', 'the next one, who has time, merges them');

set local statement_timeout = '5900ms';
select is(matrice_private.cluster_codes(tests.id('wide'), 'of 4000', minimum => 3000), 0, 'cluster_codes with 5.9 seconds to make cells');
set local statement_timeout = 0;
select is(count(*), 0::bigint, 'cluster_codes makes no cells without the time') from matrice_private.code_clusterings;
select is(matrice_private.cluster_codes(tests.id('wide'), 'of 4000', minimum => 3000), 0, 'cluster_codes makes cells');
select is(count(*), 1::bigint, 'cluster_codes makes cells with the time') from matrice_private.code_clusterings;
set local statement_timeout = '5900ms';
select tests.store(3566, 3566);
set local statement_timeout = 0;
select is(tests.codes(), '3566 codes, 0 missing: 3566 in 3 lists, 0 in cells', 'who has 5.9 seconds to move codes for 1.5 stores, and moves none');
select tests.store(3567, 3567);
select is(tests.codes(), '3567 codes, 0 missing: 3 in 3 lists, 3564 in cells', 'the next one, who has time, moves them');

delete from matrice.chunk_embeddings where chunk_id in (select md5('chunk ' || n)::uuid from generate_series(1, 700) n);
set local statement_timeout = '2500ms';
delete from matrice.chunk_embeddings where chunk_id in (select md5('chunk ' || n)::uuid from generate_series(701, 720) n);
set local statement_timeout = 0;
select is(tests.codes(), '3567 codes, 0 missing: 3 in 3 lists, 3564 in cells', 'who has 2.5 seconds to make the oldest codes again deletes, and leaves the codes');
select is(tests.found(), tests.nearest(), 'match_chunks finds the nearest before upkeep is done');
select matrice_private.catch_up(tests.id('wide'));
select is(tests.codes(), '2847 codes, 0 missing:  in 0 lists, 2847 in cells', 'catch_up removes codes of deleted embeddings');
select is(tests.found(), tests.nearest(), 'match_chunks finds the nearest after catch_up');

-- Words ---------------------------------------------------------------------------------------------------------------

-- A text of some thousand different words has many blocks.
select tests.project('wordy');
insert into matrice.context_sources (id, project_id, name) values (tests.id('long texts'), tests.id('wordy'), 'long texts');
create function tests.write(number integer, texts integer) returns void language plpgsql as $$
begin
  perform tests.as_user('edith');
  insert into matrice.source_chunks (source_id, chunk_index, content)
  select tests.id('long texts'), number * 500 + n,
         (select string_agg(md5(format('%s %s %s', number, n, word)), ' ') from generate_series(1, 100) word)
    from generate_series(1, texts) n;
  perform tests.as_owner();
end
$$;
create function tests.segments() returns bigint language sql as $$
  select count(*) from matrice_private.word_segments s where s.project_id = tests.id('wordy')
$$;
do $$ begin for number in 0..6 loop perform tests.write(number, 400); end loop; end $$;
set local statement_timeout = '3s';
select tests.write(7, 64);
set local statement_timeout = 0;
select is(tests.segments(), 8::bigint, 'who has 3 seconds to merge words for 1 stores, and leaves eight segments');
select matrice_private.catch_up();
select is(tests.segments(), 1::bigint, 'catch_up merges the segments of words of all projects');
select is(count(*), 1::bigint, 'search_chunks finds words after catch_up')
  from matrice.search_chunks(md5('7 64 100'), tests.id('wordy'));

-- Metrics -------------------------------------------------------------------------------------------------------------

insert into matrice.workflow_runs (project_id, workflow_id) select tests.id('wordy'), 'work' from generate_series(1, 6200);
create function tests.waiting() returns bigint language sql as $$
  select count(*) from matrice_private.metric_changes c where c.project_id = tests.id('wordy')
$$;
select is(tests.waiting(), 6200::bigint, 'runs wait to be added up');
set local statement_timeout = '390ms';
select matrice_private.merge_waiting(array[tests.id('wordy')]);
select is(tests.waiting(), 6200::bigint, 'merge_waiting with 0.4 seconds for what takes 0.1 adds up nothing');
set local statement_timeout = '9s';
select matrice_private.merge_waiting(array[tests.id('wordy')]);
set local statement_timeout = 0;
select is(tests.waiting(), 4200::bigint, 'merge_waiting with 9 seconds adds up a part');
select matrice_private.merge_waiting(array[tests.id('wordy')]);
select is(tests.waiting(), 0::bigint, 'merge_waiting without a timeout adds up all');
insert into matrice.workflow_runs (project_id, workflow_id) select tests.id('wordy'), 'work' from generate_series(1, 10);
select matrice_private.catch_up(tests.id('wordy'));
select is(tests.waiting(), 0::bigint, 'catch_up adds up what waits');
select is(sum(runs)::bigint, 6210::bigint, 'then each run is counted once')
  from matrice.workflow_metrics(tests.id('wordy'), now() - interval '1 hour', now() + interval '1 hour');

select * from finish();
rollback;
