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
              'L9: quotas has rows for projects, members, invitations, sources and bytes');
select is_empty($$select quota from matrice.quotas where not (allowed_anonymous > 0 and allowed > allowed_anonymous)$$,
                'L9: quotas.allowed_anonymous is below allowed in every row');
select cmp_ok((select allowed_anonymous from matrice.quotas where quota = 'bytes_per_user'), '<=', 100000000::bigint,
              'L9: quotas allows an anonymous user 100 MB at most');
select tests.as_user('alice');
select is(count(*), 6::bigint, 'L9: quotas for a user: every row') from matrice.quotas;
select tests.refuses($$update matrice.quotas set allowed = 1000000$$, '42501', 'L9: quotas refuses a user an update');
select tests.refuses($$insert into matrice.project_usage (project_id, bytes, sources) values (tests.id('atlas'), -1000000, 0)$$, '42501',
                     'L9: project_usage refuses a user an insert');
select tests.refuses($$delete from matrice.project_usage$$, '42501', 'L9: project_usage refuses a user a delete');
select tests.refuses($$select matrice_private.recount_usage()$$, '42501', 'L9: recount_usage refuses a user');
select tests.as_service();
select tests.refuses($$delete from matrice.project_usage$$, '42501', 'L9: project_usage refuses a service a delete');
select lives_ok($$update matrice.quotas set allowed = allowed where quota = 'bytes_per_user'$$, 'L9: quotas takes an update by a service');
select tests.refuses($$update matrice.quotas set allowed = -1 where quota = 'bytes_per_user'$$, '23514', 'L9: quotas refuses allowed -1');

-- Projects --------------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.allow('projects_per_user', 3, 1);
select tests.as_user('mallory');
select lives_ok($$select matrice.create_project('one'), matrice.create_project('two')$$, 'L9: create_project below projects_per_user succeeds');
select tests.remember_state();
select tests.refuses($$insert into matrice.projects (name) values ('three'), ('four')$$, 'PT402',
                     'L9: projects refuses one insert of more rows than projects_per_user', '%would have 4; 3 are allowed%', '%matrice.quotas%',
                     '%projects_per_user%');
select tests.unchanged('L9: projects: an insert over projects_per_user changes no row');
select lives_ok($$select matrice.create_project('three')$$, 'L9: create_project up to projects_per_user succeeds');
select tests.refuses($$select matrice.create_project('four')$$, 'PT402', 'L9: create_project refuses a project over projects_per_user', '%4; 3 are%',
                     '%matrice.quotas%');
select lives_ok($$delete from matrice.projects where name = 'one'$$, 'L9: projects takes a delete over projects_per_user');
select lives_ok($$select matrice.create_project('four')$$, 'L9: create_project after a delete succeeds');
select tests.as_user('oscar');
select lives_ok($$select matrice.create_project('his own')$$, 'L9: create_project does not count the projects of another user');
select tests.as_anonymous('ann');
select lives_ok($$select matrice.create_project('hers')$$, 'L9: create_project by an anonymous user succeeds');
select tests.refuses($$select matrice.create_project('hers too')$$, 'PT402', 'L9: create_project refuses an anonymous user over allowed_anonymous',
                     '%2; 1 are%', '%');
select tests.as_service();
select lives_ok($$insert into matrice.projects (name, created_by) select 'p', tests.id('mallory') from generate_series(1, 5)$$,
                'L9: projects takes inserts of a service over projects_per_user');
select tests.as_owner();
delete from matrice.quotas where quota = 'projects_per_user';
select tests.as_user('mallory');
select lives_ok($$select matrice.create_project('many')$$, 'L9: create_project without a row in quotas succeeds');

-- Members and invitations -----------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.allow('members_per_project', 4);
select tests.allow('open_invitations_per_project', 3);
select tests.as_user('alice');
create temp table tokens as select n, matrice.invite_member(tests.id('atlas'), n || '@example.org') as token from generate_series(1, 3) n;
grant select, update on tokens to public;
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), '4@example.org')$$, 'PT402',
                     'L9: invite_member refuses an invitation over open_invitations_per_project',
                     '%4; 3 are%', '%');
select lives_ok($$update tokens set token = matrice.invite_member(tests.id('atlas'), '3@example.org') where n = 3$$,
                'L9: invite_member at the quota renews an open invitation');
select tests.as_user('oscar');
select lives_ok(format('select matrice.accept_invite(%L)', token), 'L9: accept_invite up to members_per_project succeeds') from tokens where n = 1;
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', token), 'PT402', 'L9: accept_invite refuses a member over members_per_project', '%5; 4 are%',
                     '%') from tokens where n = 2;
select tests.as_user('alice');
select lives_ok($$select matrice.invite_member(tests.id('atlas'), '4@example.org')$$, 'L9: invite_member after an invitation was accepted succeeds');

-- What is stored --------------------------------------------------------------------------------------------------------

select tests.as_owner();
select tests.allow('sources_per_project', 3, 1);
select tests.as_user('edith');
select lives_ok($$insert into matrice.context_sources (project_id, name) select tests.id('atlas'), 's' || n from generate_series(1, 3) n$$,
                'L9: context_sources takes inserts up to sources_per_project');
select tests.remember_state();
select tests.refuses($$select matrice.ingest_source(tests.id('atlas'), 'x', 'words')$$, 'PT402', 'L9: ingest_source refuses a source over sources_per_project',
                     '%4; 3 are%', '%', '%sources_per_project%');
select tests.unchanged('L9: ingest_source over sources_per_project changes no row');
select lives_ok($$delete from matrice.context_sources where name = 's1' and project_id = tests.id('atlas')$$,
                'L9: context_sources takes a delete at sources_per_project');
select lives_ok($$select matrice.ingest_source(tests.id('atlas'), 'x', 'words')$$, 'L9: ingest_source after a delete succeeds');
select tests.as_service();
select lives_ok($$select matrice.ingest_source(tests.id('atlas'), 'y', 'words')$$, 'L9: ingest_source by a service over sources_per_project succeeds');
select tests.as_owner();
select tests.allow('sources_per_project', 1000, 1000);

-- One row of everything that is counted, in another project than the first two.
select tests.project('counted');
select is(tests.used('counted'), 0::bigint, 'L9: project_usage of a new project is 0');
select tests.as_user('edith');
select tests.remember('source',
                      matrice.ingest_source(tests.id('counted'), 'x', repeat('Some words. ', 100), max_tokens => 20, overlap_tokens => 0,
                                            metadata => '{"a": "b"}'));
select cmp_ok(tests.used('counted'), '>', 8192 * 12::bigint, 'L9: project_usage counts each chunk with its row');
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
create temp table counted as select project_id, sum(bytes) as bytes, sum(sources) as sources
  from matrice.project_usage group by 1 having sum(bytes) <> 0 or sum(sources) <> 0;
select lives_ok($$select matrice_private.recount_usage()$$, 'L9: recount_usage by the owner succeeds');
select results_eq($$select project_id, sum(bytes), sum(sources) from matrice.project_usage group by 1 order by 1$$,
                  $$select project_id, bytes, sources from counted order by 1$$,
                  'L9: project_usage after inserts, updates and deletes is what recount_usage finds');
select tests.as_user('edith');
delete from matrice.context_sources where project_id = tests.id('counted');
delete from matrice.insights where project_id = tests.id('counted');
select tests.as_service();
delete from matrice.workflow_runs where project_id = tests.id('counted');
select tests.as_user('edith');
select is(tests.used('counted'),
          (select sum(500 + octet_length(content) + octet_length(metadata::text)) from matrice.pillar_versions where project_id = tests.id('counted')),
          'L9: project_usage falls by what is deleted, with the rows below it');
select tests.as_user('mallory');
select is_empty($$select from matrice.project_usage where project_id = tests.id('atlas')$$, 'L9: project_usage for an outsider: no rows');
select tests.as_user('victor');
select isnt_empty($$select from matrice.project_usage where project_id = tests.id('atlas')$$, 'L9: project_usage for a viewer: the rows');
select tests.as_user('alice');
delete from matrice.projects where id = tests.id('counted');
select tests.as_owner();
select is_empty($$select from matrice.project_usage where project_id = tests.id('counted')$$, 'L9: projects: a delete deletes its project_usage');

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
select cmp_ok(count(*), '<=', 40::bigint, 'L9: project_usage of 500 inserts has 40 rows at most')
  from matrice.project_usage where project_id = tests.id('busy');
select is(tests.used('busy'), 500 * (1000 + 3 * 3000 + 2)::bigint, 'L9: project_usage keeps the sum when rows are added up');

select tests.allow('bytes_per_project', tests.used('busy') + 50000, 50000);
select tests.as_user('edith');
select tests.remember_state();
select tests.refuses($$select matrice.ingest_source(tests.id('busy'), 'x', repeat('Some words. ', 500), max_tokens => 64, overlap_tokens => 0)$$, 'PT402',
                     'L9: ingest_source refuses a text over bytes_per_project', '%are allowed%', '%matrice.quotas%', '%bytes_per_project%');
select tests.refuses($$update matrice.insights set content = repeat('x', 10000) where project_id = tests.id('busy')$$, 'PT402',
                     'L9: insights refuses an update over bytes_per_project', '%are allowed%', '%', '%bytes_per_project%');
select tests.refuses($$select matrice.save_pillar(tests.id('busy'), 'P1', repeat('x', 60000))$$, 'PT402',
                     'L9: save_pillar refuses content over bytes_per_project');
select tests.unchanged('L9: texts over bytes_per_project change no row');
select isnt(tests.until_refused($$select matrice.start_run(tests.id('busy'), 'w', 'e')$$, 'PT402', 1000), null,
            'L9: start_run is refused at some time when it is called again and again');
select tests.refuses($$select matrice.start_run(tests.id('busy'), 'w', 'e')$$, 'PT402',
                     format('L9: start_run over bytes_per_project is refused each time: %s', n)) from generate_series(1, 20) n;
select lives_ok($$delete from matrice.insights where project_id = tests.id('busy')$$, 'L9: insights takes a delete over bytes_per_project');
select tests.as_anonymous('edith');
select tests.refuses($$select matrice.ingest_source(tests.id('busy'), 'x', repeat('Some words. ', 1000), max_tokens => 64, overlap_tokens => 0)$$, 'PT402',
                     'L9: ingest_source refuses an anonymous user over allowed_anonymous', '%50000 are allowed%', '%', '%bytes_per_project%');
select tests.as_owner();
select tests.allow('bytes_per_project', 1000000000000, 1000000000000);
select tests.allow('bytes_per_user',
                   (select sum(bytes)::bigint + 50000
                    from matrice.project_usage u join matrice.projects p on p.id = u.project_id where p.created_by = tests.id('alice')));
select tests.as_user('edith');
select lives_ok($$select matrice.record_insight(tests.id('busy'), 't', 't', repeat('x', 8000))$$, 'L9: record_insight below bytes_per_user succeeds');
select tests.refuses($$select matrice.record_insight(tests.id('atlas'), 't', 't', repeat('x', 10000))$$, 'PT402',
                     'L9: record_insight refuses content over bytes_per_user of all the creator''s projects', '%', '%', '%bytes_per_user%');

select * from finish();
rollback;
