begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');

create function tests.allow(quota text, allowed bigint, anonymous bigint default 0) returns void language sql as $$
  update matrice.quotas q set allowed = allow.allowed, allowed_anonymous = allow.anonymous where q.quota = allow.quota
$$;
create function tests.used(name text) returns bigint language sql security definer as $$
  select coalesce(sum(bytes), 0)::bigint from matrice.project_usage where project_id = tests.id(name)
$$;
create function tests.as_anonymous(name text) returns void language sql as $$
  select tests.speak('authenticated', json_build_object('sub', tests.id(name), 'role', 'authenticated', 'is_anonymous', true)::text)
$$;
-- How many times a statement is run before it is refused.
create function tests.until_refused(statement text, code text, most integer) returns integer language plpgsql as $$
begin
  for i in 1 .. most loop
    begin
      execute statement;
    exception when others then
      if sqlstate = code then
        return i;
      end if;
      raise;
    end;
  end loop;
  return null;
end
$$;

-- Every quota has a value for everybody who signs in ------------------------------------------------------------------

select set_eq($$select quota from matrice.quotas$$,
              '{projects_per_user,members_per_project,open_invitations_per_project,sources_per_project,bytes_per_project,bytes_per_user}'::text[],
              'L9: there are quotas of projects, members, invitations, sources and bytes');
select is_empty($$select quota from matrice.quotas where not (allowed_anonymous > 0 and allowed > allowed_anonymous)$$,
                'L9: who signed in anonymously may store less than others');
select cmp_ok((select allowed_anonymous from matrice.quotas where quota = 'bytes_per_user'), '<=', 100000000::bigint,
              'L9: an anonymous user stores 100 MB at most');
select tests.as_user('alice');
select is(count(*), 6::bigint, 'L9: everybody signed in reads the quotas') from matrice.quotas;
select tests.refuses($$update matrice.quotas set allowed = 1000000$$, '42501', 'L9: no user changes a quota');
select tests.refuses($$insert into matrice.project_usage (project_id, bytes, sources) values (tests.id('atlas'), -1000000, 0)$$, '42501',
                     'L9: no user writes what a project uses');
select tests.refuses($$delete from matrice.project_usage$$, '42501', 'L9: no user deletes what a project uses');
select tests.refuses($$select matrice_private.recount_usage()$$, '42501', 'L9: no user counts all projects');
select tests.as_service();
select tests.refuses($$delete from matrice.project_usage$$, '42501', 'L9: nor does a service');
select lives_ok($$update matrice.quotas set allowed = allowed where quota = 'bytes_per_user'$$, 'L9: a service changes quotas');
select tests.refuses($$update matrice.quotas set allowed = -1 where quota = 'bytes_per_user'$$, '23514', 'L9: a quota is not negative');

-- Projects --------------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.allow('projects_per_user', 3, 1);
select tests.as_user('mallory');
select lives_ok($$select matrice.create_project('one'), matrice.create_project('two')$$, 'L9: projects below the quota are made');
select tests.remember_state();
select tests.refuses($$insert into matrice.projects (name) values ('three'), ('four')$$, 'PT402',
                     'L9: one statement cannot make more projects than are allowed', '%would have 4; 3 are allowed%', '%matrice.quotas%', '%projects_per_user%');
select tests.unchanged('L9: of a statement over a quota nothing stays');
select lives_ok($$select matrice.create_project('three')$$, 'L9: a project at the quota is made');
select tests.refuses($$select matrice.create_project('four')$$, 'PT402', 'L9: create_project refuses a project over the quota', '%4; 3 are%', '%matrice.quotas%');
select lives_ok($$delete from matrice.projects where name = 'one'$$, 'L9: a project is deleted over no quota');
select lives_ok($$select matrice.create_project('four')$$, 'L9: a deleted project makes room for another');
select tests.as_user('oscar');
select lives_ok($$select matrice.create_project('his own')$$, 'L9: another user''s projects do not count');
select tests.as_anonymous('ann');
select lives_ok($$select matrice.create_project('hers')$$, 'L9: an anonymous user makes a project');
select tests.refuses($$select matrice.create_project('hers too')$$, 'PT402', 'L9: an anonymous user has the quota of anonymous users', '%2; 1 are%', '%');
select tests.as_service();
select lives_ok($$insert into matrice.projects (name, created_by) select 'p', tests.id('mallory') from generate_series(1, 5)$$,
                'L9: a service has no quota');
select tests.as_owner();
delete from matrice.quotas where quota = 'projects_per_user';
select tests.as_user('mallory');
select lives_ok($$select matrice.create_project('many')$$, 'L9: a quota without a row is none');

-- Members and invitations -----------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.allow('members_per_project', 4);
select tests.allow('open_invitations_per_project', 3);
select tests.as_user('alice');
create temp table tokens as select n, matrice.invite_member(tests.id('atlas'), n || '@example.org') as token from generate_series(1, 3) n;
grant select, update on tokens to public;
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), '4@example.org')$$, 'PT402', 'L9: invite_member refuses an invitation over the quota',
                     '%4; 3 are%', '%');
select lives_ok($$update tokens set token = matrice.invite_member(tests.id('atlas'), '3@example.org') where n = 3$$, 'L9: an open invitation is renewed at the quota');
select tests.as_user('oscar');
select lives_ok(format('select matrice.accept_invite(%L)', token), 'L9: a member at the quota is added') from tokens where n = 1;
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', token), 'PT402', 'L9: accept_invite refuses a member over the quota', '%5; 4 are%', '%') from tokens where n = 2;
select tests.as_user('alice');
select lives_ok($$select matrice.invite_member(tests.id('atlas'), '4@example.org')$$, 'L9: an accepted invitation makes room for another');

-- What is stored --------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.allow('sources_per_project', 3, 1);
select tests.as_user('edith');
select lives_ok($$insert into matrice.context_sources (project_id, name) select tests.id('atlas'), 's' || n from generate_series(1, 3) n$$, 'L9: sources below the quota are added');
select tests.remember_state();
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'words')$$, 'PT402', 'L9: ingest_source refuses a source over the quota',
                     '%4; 3 are%', '%', '%sources_per_project%');
select tests.unchanged('L9: of a source over the quota nothing stays');
select lives_ok($$delete from matrice.context_sources where name = 's1' and project_id = tests.id('atlas')$$, 'L9: a source is deleted at the quota');
select lives_ok($$select matrice.ingest_source(tests.id('atlas'), 'x', 'words')$$, 'L9: a deleted source makes room for another');
select tests.as_service();
select lives_ok($$select matrice.ingest_source(tests.id('atlas'), 'y', 'words')$$, 'L9: a service adds sources over the quota');
select tests.as_owner();
select tests.allow('sources_per_project', 1000, 1000);

-- One row of everything that is counted, in another project than the first two.
select tests.project('counted');
select is(tests.used('counted'), 0::bigint, 'L9: a new project uses nothing');
select tests.as_user('edith');
select tests.remember('source', matrice.ingest_source(tests.id('counted'), 'x', repeat('Some words. ', 100), max_tokens => 20, overlap_tokens => 0, metadata => '{"a": "b"}'));
select cmp_ok(tests.used('counted'), '>', 2048 * 12::bigint, 'L9: each chunk counts with its row');
select matrice.chunk_source(tests.id('source'), repeat('Other words. ', 50) || 'Some words.', max_tokens => 20, overlap_tokens => 0);
update matrice.context_sources set raw_metadata = '{"a": "something longer"}' where id = tests.id('source');
update matrice.source_chunks set content = content || ' more' where source_id = tests.id('source') and chunk_index = 0;
select matrice.save_pillar(tests.id('counted'), 'P1', repeat('vision ', n)) from generate_series(1, 3) n;
select tests.remember('insight', matrice.record_insight(tests.id('counted'), 't', 't', 'long', evidence => '{"a": 1}'));
update matrice.insights set content = 'longer than before' where id = tests.id('insight');
select tests.remember('run', matrice.start_run(tests.id('counted'), 'w', 'e'));
select matrice.record_step(tests.id('run'), 's', 'success', usage => '{"cached_tokens": 0}') from generate_series(1, 3);
select matrice.finish_run(tests.id('run'), 'completed', '{"a": "result"}');
select tests.as_owner();
create temp table counted as select project_id, sum(bytes) as bytes, sum(sources) as sources from matrice.project_usage group by 1 having sum(bytes) <> 0 or sum(sources) <> 0;
select lives_ok($$select matrice_private.recount_usage()$$, 'L9: the owner counts all projects anew');
select results_eq($$select project_id, sum(bytes), sum(sources) from matrice.project_usage group by 1 order by 1$$,
                  $$select project_id, bytes, sources from counted order by 1$$,
                  'L9: what inserts, updates and deletions counted is what counting anew finds');
select tests.as_user('edith');
delete from matrice.context_sources where project_id = tests.id('counted');
delete from matrice.insights where project_id = tests.id('counted');
delete from matrice.workflow_runs where project_id = tests.id('counted');
select is(tests.used('counted'), (select sum(500 + octet_length(content) + octet_length(metadata::text)) from matrice.pillar_versions where project_id = tests.id('counted')),
          'L9: what is deleted is used no more, with all that was below it');
select tests.as_user('mallory');
select is_empty($$select from matrice.project_usage where project_id = tests.id('atlas')$$, 'L9: only members see what a project uses');
select tests.as_user('victor');
select isnt_empty($$select from matrice.project_usage where project_id = tests.id('atlas')$$, 'L9: a viewer sees what a project uses');
select tests.as_user('alice');
delete from matrice.projects where id = tests.id('counted');
select tests.as_owner();
select is_empty($$select from matrice.project_usage where project_id = tests.id('counted')$$, 'L9: a deleted project takes its usage with it');

select tests.project('busy');
select tests.as_user('edith');
do $$
begin
  for n in 1 .. 500 loop
    insert into matrice.insights (project_id, type, title, content) values (tests.id('busy'), 't', 't', repeat('x', 3000));
  end loop;
end
$$;
select tests.as_owner();
select cmp_ok(count(*), '<=', 40::bigint, 'L9: the rows of a project''s usage are added up now and then') from matrice.project_usage where project_id = tests.id('busy');
select is(tests.used('busy'), 500 * (1000 + 3 * 3000 + 2)::bigint, 'L9: adding up loses nothing');

select tests.allow('bytes_per_project', tests.used('busy') + 50000, 50000);
select tests.as_user('edith');
select tests.remember_state();
select tests.refuses($$select matrice.ingest_source(tests.id('busy'), 'x', repeat('Some words. ', 500), max_tokens => 64, overlap_tokens => 0)$$, 'PT402',
                     'L9: ingest_source refuses a text over the quota of bytes', '%are allowed%', '%matrice.quotas%', '%bytes_per_project%');
select tests.refuses($$update matrice.insights set content = repeat('x', 10000) where project_id = tests.id('busy')$$, 'PT402',
                     'L9: an update cannot store more than is allowed', '%are allowed%', '%', '%bytes_per_project%');
select tests.refuses($$select matrice.save_pillar(tests.id('busy'), 'P1', repeat('x', 60000))$$, 'PT402', 'L9: nor can save_pillar');
select tests.unchanged('L9: of a text over the quota nothing stays');
select isnt(tests.until_refused($$select matrice.start_run(tests.id('busy'), 'w', 'e')$$, 'PT402', 1000), null,
            'L9: rows of some bytes are refused too, when there are enough of them');
select lives_ok($$delete from matrice.insights where project_id = tests.id('busy')$$, 'L9: what is over a quota can be deleted');
select tests.as_anonymous('edith');
select tests.refuses($$select matrice.ingest_source(tests.id('busy'), 'x', repeat('Some words. ', 1000), max_tokens => 64, overlap_tokens => 0)$$, 'PT402',
                     'L9: anonymous users store less', '%50000 are allowed%', '%', '%bytes_per_project%');
select tests.as_owner();
select tests.allow('bytes_per_project', 1000000000000, 1000000000000);
select tests.allow('bytes_per_user', (select sum(bytes)::bigint + 50000 from matrice.project_usage u join matrice.projects p on p.id = u.project_id where p.created_by = tests.id('alice')));
select tests.as_user('edith');
select lives_ok($$select matrice.record_insight(tests.id('busy'), 't', 't', repeat('x', 8000))$$, 'L9: a user''s projects may store what is allowed together');
select tests.refuses($$select matrice.record_insight(tests.id('atlas'), 't', 't', repeat('x', 10000))$$, 'PT402',
                     'L9: all projects that a user created are one quota', '%', '%', '%bytes_per_user%');

select * from finish();
rollback;
