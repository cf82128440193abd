begin;
\ir helpers/setup.psql
select no_plan();

-- Evidence that travels: who was a witness before is known again, also when sources and steps are gone.

create function tests.confidence(insight uuid) returns numeric language sql security definer as $$
  select round(confidence::numeric, 6) from matrice_private.judged_insights(array[insight])
$$;
create function tests.lines(project uuid) returns text[] language sql as $$ select array_agg(l) from matrice.export_lines(project) l $$;
create function tests.bring_back(lines text[]) returns void language plpgsql as $$
begin
  perform tests.as_owner();
  delete from matrice.projects where id = tests.id('atlas');
  delete from matrice_private.taken_project_ids where id = tests.id('atlas');
  perform tests.as_user('alice'), matrice.import_project(lines);
end
$$;
create temp table exported (lines text[]) on commit drop;
create temp table purged (lines text[], confidence numeric) on commit drop;
grant select, insert on exported, purged to public;

select tests.project('atlas', '{"language": "english"}');
select tests.as_user('alice');
select tests.remember('log', matrice.ingest_source(tests.id('atlas'), 'Log', 'The wind fell at dusk.'));
select tests.remember('letter', matrice.ingest_source(tests.id('atlas'), 'Letter', 'In the evening there was no wind.'));
select tests.remember('log_chunk', id) from matrice.source_chunks where source_id = tests.id('log');
select tests.remember('calm', matrice.record_insight(tests.id('atlas'), 'learning', 'Calm', 'The winds fall at dusk.', 0.5, chunk_ids => array[tests.id('log_chunk')]));
select matrice.confirm_insight(tests.id('calm'), source_id => tests.id('letter'));
select matrice.confirm_insight(tests.id('calm'));
select tests.as_service();
select tests.remember('run', matrice.start_run(tests.id('atlas'), 'read', 'x', started_at => now() - interval '100 days'));
select tests.remember('step', matrice.record_step(tests.id('run'), 'look', 'success', executed_at => now() - interval '100 days'));
select matrice.finish_run(tests.id('run'), 'completed');
select matrice.confirm_insight(tests.id('calm'), step_id => tests.id('step')), matrice.confirm_insight(tests.id('calm'), url => 'https://example.org/winds');
select tests.as_user('alice');
delete from matrice.context_sources where id = tests.id('letter');

insert into exported select tests.lines(tests.id('atlas'));
select set_config('tests.before', tests.confidence(tests.id('calm'))::text, true);
select tests.bring_back(lines) from exported;
select is(tests.lines(tests.id('atlas')), lines, 'A project whose evidence lost its source comes back as the same text') from exported;
select is(tests.confidence(tests.id('calm')), current_setting('tests.before')::numeric, 'An import keeps the confidence');

-- The same witnesses once more.
select matrice.confirm_insight(tests.id('calm'));
select is(tests.confidence(tests.id('calm')), current_setting('tests.before')::numeric, 'After an import, the same person is the same witness');
select matrice.confirm_insight(tests.id('calm'), chunk_ids => array[tests.id('log_chunk')]);
select matrice.confirm_insight(tests.id('calm'), source_id => tests.id('log'));
select is(tests.confidence(tests.id('calm')), current_setting('tests.before')::numeric, 'and the same document');
select tests.as_service();
select matrice.confirm_insight(tests.id('calm'), step_id => tests.id('step')), matrice.confirm_insight(tests.id('calm'), run_id => tests.id('run'));
select is(tests.confidence(tests.id('calm')), current_setting('tests.before')::numeric, 'and the same run');
select matrice.confirm_insight(tests.id('calm'), url => 'https://example.org/winds#top');
select is(tests.confidence(tests.id('calm')), current_setting('tests.before')::numeric, 'and the same address');
select matrice.confirm_insight(tests.id('calm'));
select cmp_ok(tests.confidence(tests.id('calm')), '>', current_setting('tests.before')::numeric, 'A new witness counts');

-- With new ids.
select tests.as_user('alice');
select tests.remember('copy', (select new_project_id from exported, matrice.import_project(lines, new_ids => true)));
select tests.remember('calm_copy', id) from matrice.insights where project_id = tests.id('copy');
select is(tests.confidence(tests.id('calm_copy')), current_setting('tests.before')::numeric, 'An import with new ids keeps the confidence');
select matrice.confirm_insight(tests.id('calm_copy'), chunk_ids => array[id]) from matrice.source_chunks where project_id = tests.id('copy');
select matrice.confirm_insight(tests.id('calm_copy'), source_id => id) from matrice.context_sources where project_id = tests.id('copy');
select matrice.confirm_insight(tests.id('calm_copy'));
select tests.as_service();
select matrice.confirm_insight(tests.id('calm_copy'), run_id => id) from matrice.workflow_runs where project_id = tests.id('copy');
select matrice.confirm_insight(tests.id('calm_copy'), url => 'https://example.org/winds');
select is(tests.confidence(tests.id('calm_copy')), current_setting('tests.before')::numeric, 'After an import with new ids, the same witnesses are the same');

-- Steps that were purged.
select tests.as_user('alice');
select matrice.purge_steps(tests.id('atlas'), older_than => now() - interval '50 days');
select is_empty($$select from matrice.workflow_steps where project_id = tests.id('atlas')$$, 'The steps are purged');
insert into purged select tests.lines(tests.id('atlas')), tests.confidence(tests.id('calm'));
select tests.bring_back(lines) from purged;
select is(tests.lines(tests.id('atlas')), lines, 'A project whose steps were purged comes back as the same text') from purged;
select is(tests.confidence(tests.id('calm')), confidence, 'and with the same confidence') from purged;

select * from finish();
rollback;
