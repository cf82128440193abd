-- What keeps tenants apart: ids, parents, memberships, invitations, the audit trail, estimates.

begin;
\ir helpers/setup.psql
select no_plan();

select tests.project('atlas');
select tests.project('borea');
insert into matrice.projects (id, name, created_by) values (tests.id('cove'), 'Cove', tests.id('mallory'));

-- What inserting a project with an id answers: the SQLSTATE and the message.
create function tests.answer(statement text) returns text language plpgsql as $$
declare
  touched bigint;
begin
  execute statement;
  get diagnostics touched = row_count;
  return touched || ' rows';
exception when others then
  return sqlstate || ' ' || sqlerrm;
end
$$;
create function tests.taking(project text) returns text[] language sql as $$
  select array_agg(tests.answer(format(statement, tests.id(project), tests.id('mallory'))) order by place) from unnest(array[
    'insert into matrice.projects (id, name) values (%L, ''x'')',
    'insert into matrice.projects (id, name) values (%L, ''x'') returning id',
    'insert into matrice.projects (id, name) values (%L, ''x'') on conflict do nothing',
    'insert into matrice.projects (id, name) values (%L, ''x'') on conflict (id) do update set name = ''y''',
    'insert into matrice.projects (id, name, created_by) values (%L, ''x'', %2$L)',
    'insert into matrice.projects (id, name, created_by) values (%L, ''x'', gen_random_uuid())',
    'select where matrice_private.is_free_project_id(%L)'
  ]) with ordinality given (statement, place)
$$;

-- Ids --------------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
insert into matrice.projects (id, name) values (tests.id('dune'), 'Secret dune');
insert into matrice.context_sources (id, project_id, name) values (tests.id('secret'), tests.id('dune'), 'secret.pdf');
delete from matrice.context_sources where id = tests.id('secret');
delete from matrice.projects where id = tests.id('dune');

select tests.as_user('mallory');
select tests.refuses($$insert into matrice.projects (id, name) values (tests.id('dune'), 'Mine now')$$, '42501',
                     'H1: projects refuses the id of a deleted project');
select is(tests.taking('dune'), tests.taking('atlas'), 'H1: projects answers a deleted project''s id as an existing one''s, in every form of insert');
select is_empty($$select * from matrice.audit_log where project_id = tests.id('dune')$$, 'H1: audit_log of a deleted project: no rows');
select tests.refuses($$update matrice.projects set id = tests.id('dune') where id = tests.id('cove')$$, '42501',
                     'H1: projects refuses an update of id', '%', '%');
select lives_ok($$insert into matrice.projects (id, name) values (tests.id('fresh'), 'Fresh')$$, 'H1: projects takes an id that was never used');
select lives_ok($$insert into matrice.projects (id, name) values (tests.id('fresh'), 'Fresh') on conflict (id) do update set name = 'Fresher'$$,
                'H1: projects: an upsert finds the caller''s own project');
select is(name, 'Fresher', 'H1: projects: an upsert changes the caller''s own project') from matrice.projects where id = tests.id('fresh');
select tests.as_service();
select tests.refuses($$insert into matrice.projects (id, name) values (tests.id('dune'), 'x')$$, '23505',
                     'H1: projects refuses a service the id of a deleted project',
                     message => 'duplicate key value violates unique constraint "projects_pkey"');
select tests.refuses($$insert into matrice.projects (id, name) values (tests.id('atlas'), 'x')$$, '23505',
                     'H1: projects refuses a service an existing id with the same message',
                     message => 'duplicate key value violates unique constraint "projects_pkey"');
select tests.refuses($$select from matrice_private.taken_project_ids$$, '42501', 'H1: taken_project_ids refuses a user a select');

-- Parents ----------------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log'), tests.id('atlas'), 'Log');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('chunk'), tests.id('log'), 0, 'Words');
insert into matrice.chunk_embeddings (id, chunk_id, embedding, model) values (tests.id('embedding'), tests.id('chunk'), tests.vec(384, 1), 'gte-small');
insert into matrice.workflow_runs (id, project_id, workflow_id) values (tests.id('run'), tests.id('atlas'), 'w');
insert into matrice.workflow_steps (id, run_id, step_name, status, step_key) values (tests.id('step'), tests.id('run'), 's', 'success', 'k');
insert into matrice.insights (id, project_id, type, title, content) values (tests.id('insight'), tests.id('atlas'), 't', 't', 'c');

-- Mallory's own, of which hers are moved and to which others' are pretended to belong.
select tests.as_user('mallory');
insert into matrice.context_sources (id, project_id, name) values (tests.id('log of hers'), tests.id('cove'), 'Hers');
insert into matrice.source_chunks (id, source_id, chunk_index, content) values (tests.id('chunk of hers'), tests.id('log of hers'), 0, 'Words');
insert into matrice.chunk_embeddings (id, chunk_id, embedding, model)
values (tests.id('embedding of hers'), tests.id('chunk of hers'), tests.vec(384, 1), 'gte-small');
insert into matrice.workflow_runs (id, project_id, workflow_id) values (tests.id('run of hers'), tests.id('cove'), 'w');
insert into matrice.workflow_steps (id, run_id, step_name, status, step_key) values (tests.id('step of hers'), tests.id('run of hers'), 's', 'success', 'k');
insert into matrice.insights (id, project_id, type, title, content) values (tests.id('insight of hers'), tests.id('cove'), 't', 't', 'c');

select is(tests.answer(replace(statement, '<id>', quote_literal(tests.id(name)))),
          tests.answer(replace(statement, '<id>', quote_literal(tests.id('nowhere')))),
          format('M2: another''s %s is answered as an unknown one: %s', name, statement))
  from (values
    ('log', $$insert into matrice.source_chunks (source_id, chunk_index, content) values (<id>, 0, 'x')$$),
    ('log', $$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (<id>, tests.id('cove'), 0, 'x')$$),
    ('log', $$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (<id>, tests.id('atlas'), 0, 'x')$$),
    ('log', $$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (<id>, tests.id('cove'), 0, 'x') on conflict do nothing$$),
    ('log', $$update matrice.source_chunks set source_id = <id> where id = tests.id('chunk of hers')$$),
    ('log', $$insert into matrice.insights (project_id, source_id, type, title, content) values (tests.id('cove'), <id>, 't', 't', 'c')$$),
    ('log', $$update matrice.insights set source_id = <id> where id = tests.id('insight of hers')$$),
    ('chunk', $$insert into matrice.chunk_embeddings (chunk_id, embedding, model) values (<id>, tests.vec(384, 1), 'gte-small')$$),
    ('chunk', $$insert into matrice.chunk_embeddings (chunk_id, project_id, embedding, model) values (<id>, tests.id('cove'), tests.vec(384, 1), 'gte-small')$$),
    ('chunk', $$insert into matrice.chunk_embeddings (chunk_id, project_id, embedding, model) values (<id>, tests.id('cove'), tests.vec(384, 1), 'gte-small') on conflict do nothing$$),
    ('chunk', $$insert into matrice.chunk_embeddings (chunk_id, project_id, embedding, model) values (<id>, tests.id('atlas'), tests.vec(384, 1), 'gte-small')$$),
    ('chunk', $$update matrice.chunk_embeddings set chunk_id = <id> where id = tests.id('embedding of hers')$$),
    ('chunk', $$insert into matrice.embedding_leases (chunk_id, project_id, model, leased_until) values (<id>, tests.id('cove'), 'gte-small', now())$$),
    ('run', $$insert into matrice.workflow_steps (run_id, step_name, status, step_key) values (<id>, 's', 'success', 'k')$$),
    ('run', $$insert into matrice.workflow_steps (run_id, project_id, step_name, status, step_key) values (<id>, tests.id('cove'), 's', 'success', 'k')$$),
    ('run', $$insert into matrice.workflow_steps (run_id, project_id, step_name, status, step_key) values (<id>, tests.id('cove'), 's', 'success', 'k') on conflict do nothing$$),
    ('run', $$update matrice.workflow_steps set run_id = <id> where id = tests.id('step of hers')$$),
    ('insight', $$update matrice.insights set superseded_by = <id> where id = tests.id('insight of hers')$$),
    ('atlas', $$insert into matrice.pillars (project_id, code, name) values (<id>, 'P1', 'vision')$$),
    ('atlas', $$insert into matrice.pillars (project_id, code, name) values (<id>, 'P1', 'vision') on conflict do nothing$$),
    ('atlas', $$insert into matrice.workflow_runs (project_id, workflow_id, run_key) values (<id>, 'w', 'k')$$),
    ('atlas', $$select matrice_private.project_ids('viewer') @> array[<id>::uuid]$$)
  ) attempts (name, statement);
select tests.as_service();
select tests.refuses($$insert into matrice.source_chunks (source_id, project_id, chunk_index, content) values (tests.id('nowhere'), tests.id('atlas'), 0, 'x')$$, '23503',
                     'M2: source_chunks tells a service that the source is unknown');

-- What only the server writes --------------------------------------------------------------------------------------

select tests.as_user('alice');
select tests.refuses($$update matrice.projects set created_by = tests.id('edith') where id = tests.id('atlas')$$, '42501',
                     'L3: projects refuses an update of created_by', '%', '%');
select tests.refuses($$update matrice.projects set created_at = '2000-01-01' where id = tests.id('atlas')$$, '42501',
                     'L3: projects refuses an update of created_at', '%', '%');
select lives_ok($$update matrice.projects set id = id, created_by = created_by, created_at = created_at, name = 'Atlas' where id = tests.id('atlas')$$,
                'L3: projects takes an update that writes the same id, created_by and created_at');
select results_eq($$insert into matrice.projects (name, updated_at) values ('x', '2000-01-01') returning updated_at$$, $$values (now())$$,
                  'L3: projects: an insert sets updated_at to now');
select results_eq($$insert into matrice.pillars (project_id, code, name, version, updated_at) values (tests.id('atlas'), 'P3', 'x', 2147483647, '2000-01-01') returning version, updated_at$$,
                  $$values (1, now())$$, 'L3: pillars: an insert sets version to 1 and updated_at to now');
select results_eq($$update matrice.pillars set name = 'y', updated_at = '2000-01-01' where project_id = tests.id('atlas') and code = 'P3' returning updated_at$$,
                  $$values (now())$$, 'L3: pillars: an update sets updated_at to now');
select tests.refuses($$update matrice.pillars set code = 'P4' where project_id = tests.id('atlas')$$, '42501',
                     'L3: pillars refuses an update of code', '%', '%');
select tests.refuses(format($$update matrice.%I set id = gen_random_uuid() where true$$, name), '42501',
                     format('L3: %s refuses an update of id', name), case when name <> 'workflow_steps' then '%' end,
                     case when name <> 'workflow_steps' then '%' end)
  from unnest(array['projects', 'pillars', 'context_sources', 'source_chunks', 'chunk_embeddings', 'insights', 'workflow_runs', 'workflow_steps']) name;
select tests.refuses(format($$update matrice.user_projects set %s where project_id = tests.id('atlas') and user_id = tests.id('edith')$$, change), '42501',
                     'L3: user_projects refuses an owner an update of another column than role: ' || change, '%', '%')
  from unnest(array['user_id = tests.id(''zoe'')', 'created_at = ''2000-01-01''', 'accepted_at = null']) change;
select matrice.save_pillar(tests.id('atlas'), 'P3', 'one'), matrice.save_pillar(tests.id('atlas'), 'P3', 'two');
set local matrice.restored_version = '1';
select matrice.save_pillar(tests.id('atlas'), 'P3', 'never said before');
set local matrice.restored_version = 'none';
select lives_ok($$select matrice.save_pillar(tests.id('atlas'), 'P3', 'nor this')$$, 'L3: save_pillar ignores matrice.restored_version that is no number');
set local matrice.restored_version = '';
select is_empty($$select from matrice.pillar_versions where restored_from is not null$$, 'L3: save_pillar of new content leaves restored_from null');

-- Membership -------------------------------------------------------------------------------------------------------

select tests.refuses($$insert into matrice.user_projects (user_id, project_id, role) values (tests.id('zoe'), tests.id('atlas'), 'viewer')$$, '42501',
                     'H7: user_projects refuses an owner an insert');
select tests.refuses($$insert into matrice.user_projects (user_id, project_id, role) values (tests.id('edith'), tests.id('atlas'), 'owner') on conflict (user_id, project_id) do update set role = 'owner'$$, '42501',
                     'H7: user_projects refuses an owner an upsert');
select tests.as_service();
insert into matrice.user_projects (user_id, project_id, role, accepted_at) values (tests.id('zoe'), tests.id('atlas'), 'editor', null);
select tests.as_user('alice');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('zoe'), 'owner')$$, 'PT409',
                     'H7: set_member_role refuses role owner for a member who never accepted', '%', '%invite_member%');
select tests.refuses($$update matrice.user_projects set role = 'owner' where user_id = tests.id('zoe')$$, 'PT409',
                     'H7: user_projects refuses role owner for a member who never accepted', '%', '%');
select tests.refuses($$update matrice.user_projects set role = 'owner', accepted_at = now() where user_id = tests.id('zoe')$$, '42501',
                     'H7: user_projects refuses an owner an update of accepted_at', '%', '%');
select lives_ok($$select matrice.set_member_role(tests.id('atlas'), tests.id('zoe'), 'viewer')$$,
                'H7: set_member_role takes role viewer for a member who never accepted');
select matrice.invite_member(tests.id('atlas'), 'zoe@example.org') as token \gset
select tests.as_user('zoe');
select matrice.accept_invite(:'token');
select isnt(accepted_at, null, 'H7: accept_invite sets accepted_at of an existing member') from matrice.user_projects where user_id = tests.id('zoe');
select tests.as_user('alice');
select lives_ok($$select matrice.set_member_role(tests.id('atlas'), tests.id('zoe'), 'owner')$$,
                'H7: set_member_role takes role owner for a member who accepted');

-- Invitations ------------------------------------------------------------------------------------------------------

select tests.refuses($$insert into matrice.project_invitations (project_id, email, token_hash) values (tests.id('atlas'), 'a@b.c', '\x00')$$, '42501',
                     'L1: project_invitations refuses an owner an insert');
select tests.refuses($$update matrice.project_invitations set accepted_at = null, accepted_by = null, expires_at = 'infinity' where true$$, '42501',
                     'L1: project_invitations refuses an owner an update of accepted_at and expires_at');
select tests.refuses($$select matrice_private.invite_as_owner(tests.id('cove'), 'a@b.c', 'owner', '7 days')$$, '42501',
                     'L1: invite_as_owner refuses another''s project', '%', '%');
select tests.refuses($$select matrice_private.invite_as_owner(tests.id('nowhere'), 'a@b.c', 'owner', '7 days')$$, '42501',
                     'M2: invite_as_owner refuses an unknown project with the same code', '%', '%');
select tests.refuses($$select matrice_private.make_invitation(tests.id('atlas'), 'a@b.c', 'owner', '7 days', tests.id('edith'))$$, '42501',
                     'L1: make_invitation refuses a user, who could name another inviter');
select tests.refuses($$select matrice_private.invite_as_owner(tests.id('atlas'), 'a@b.c', 'owner', '100 years')$$, '22023',
                     'L1: invite_as_owner refuses valid_for of 100 years', hint => '%');
select matrice.invite_member(tests.id('atlas'), 'open@example.org') as token \gset
select tests.as_service();
update matrice.project_invitations set role = 'owner', expires_at = expires_at + interval '1 day' where email = 'open@example.org';
select results_eq(
  $$select details #>> '{before,role}', details #>> '{after,role}', details #>> '{after,email}', actor_role from matrice.audit_log where action = 'invitation changed'$$,
  $$values ('viewer', 'owner', 'open@example.org', 'service_role')$$, 'L1: audit_log records the change of an open invitation');

-- An owner who is removed, and comes back.
select tests.as_user('zoe');
select matrice.invite_member(tests.id('atlas'), 'self@example.org', 'owner') as removed \gset
select tests.as_user('alice');
select matrice.invite_member(tests.id('atlas'), 'other@example.org', 'editor') as others \gset
select matrice.remove_member(tests.id('atlas'), tests.id('zoe'));
select matrice.invite_member(tests.id('atlas'), 'zoe@example.org', 'owner') as token \gset
select tests.as_user('zoe');
select matrice.accept_invite(:'token');
select matrice.invite_member(tests.id('atlas'), 'self2@example.org', 'owner') as demoted \gset
select tests.as_user('alice');
select matrice.set_member_role(tests.id('atlas'), tests.id('zoe'), 'editor');
select matrice.set_member_role(tests.id('atlas'), tests.id('zoe'), 'owner');
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', :'removed'), 'PT404',
                     'L2: accept_invite refuses an invitation whose owner was removed and came back', '%', '%');
select tests.refuses(format('select matrice.accept_invite(%L)', :'demoted'), 'PT404',
                     'L2: accept_invite refuses an invitation whose owner was an editor for a moment', '%', '%');
select is(matrice.accept_invite(:'others'), tests.id('atlas'), 'L2: accept_invite takes an invitation of another owner');
select matrice.remove_member(tests.id('atlas'), tests.id('mallory'));

-- Addresses and tokens.
select tests.as_user('alice');
select matrice.invite_member(tests.id('borea'), 'plain@example.org') as first \gset
select is(count(*), 1::bigint, 'L5: invite_member trims white space around email ' || to_json(e.email))
  from (select email, matrice.invite_member(tests.id('borea'), email) from unnest(array[
    E' plain@example.org', E'plain@example.org\r\n', E'\tPLAIN@example.org \n', E'\u00a0plain@example.org\u200b', E'\ufeffplain@example.org']) email) e,
       matrice.project_invitations i
 where i.project_id = tests.id('borea') group by e.email;
select is(email, 'plain@example.org', 'L5: invite_member stores email without white space')
  from matrice.project_invitations where project_id = tests.id('borea');
select tests.refuses(format('select matrice.invite_member(tests.id(''borea''), %L)', email), '22023',
                     'L5: invite_member refuses email ' || left(to_json(email)::text, 60), hint => '%')
  from unnest(array[E'a@b.c\r\nBcc: x@y.z', 'a b@c.d', 'a@b c', '@b.c', 'a@', E'a@b.c\u0001', E'a\u200bb@c.d', repeat('a', 251) || '@b.c',
                    repeat('a', 100000) || '@b.c', repeat(' ', 1000000) || 'a@b.c', repeat(E'e\u0301', 50000) || '@b.c']) email;
select tests.as_service();
select tests.refuses($$update matrice.project_invitations set email = E'a@b.c\r\n' where true$$, '23514',
                     'L5: project_invitations refuses an email with a line break');
select tests.as_user('alice');
select matrice.invite_member(tests.id('borea'), 'plain@example.org') as token \gset
select tests.as_user('zoe');
select is(matrice.accept_invite(E' \r\n' || :'token' || E'\n'), tests.id('borea'), 'L5: accept_invite trims white space around the token');
select tests.refuses($$select matrice.accept_invite(repeat('x', 10000000))$$, 'PT404', 'L5: accept_invite of a token of 10 MB: not found', '%', '%');
select tests.refuses($$select matrice.accept_invite(repeat(' ', 10000000))$$, '22023', 'L5: accept_invite refuses a token of blanks', hint => '%');

-- The audit trail --------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.context_sources (id, project_id, name, type, storage_path, raw_metadata)
values (tests.id('deep'), tests.id('atlas'), repeat('n', 2000), 'pdf', repeat('p', 2000),
        ('{"a":' || repeat('[', 60) || repeat(']', 60) || '}')::jsonb || jsonb_build_object('big', repeat('x', 16000)));
select lives_ok($$delete from matrice.context_sources where id = tests.id('deep')$$, 'M6: context_sources: a row with deep raw_metadata can be deleted');
insert into matrice.context_sources (project_id, name, raw_metadata)
values (tests.id('borea'), 'deep', ('{"a":' || repeat('[', 60) || repeat(']', 60) || '}')::jsonb);
select tests.as_user('alice');
select lives_ok($$delete from matrice.projects where id = tests.id('borea')$$, 'M6: projects: a project with deep raw_metadata in a source can be deleted');
select tests.as_owner();
select ok(max(octet_length(details::text)) < 4000, 'M7: audit_log.details is below 4,000 bytes in every entry') from matrice.audit_log;
select results_eq(
  $$select array(select jsonb_object_keys(details -> 'before') order by 1) from matrice.audit_log where action = 'source deleted' and details #>> '{before,id}' = tests.id('deep')::text$$,
  $$values ('{created_at,id,name,storage_path,type}'::text[])$$, 'M7: audit_log keeps id, name, type, storage_path and created_at of a deleted source');

select tests.as_service();
select tests.refuses($$select matrice_private.purge_audit_log(now())$$, '42501', 'M7: purge_audit_log refuses a service');
select tests.as_owner();
update matrice.audit_log set created_at = now() - interval '2 years' where action = 'source deleted';
select is(matrice_private.purge_audit_log(now() - interval '1 year'), 2::bigint, 'M7: purge_audit_log by the owner deletes the two older entries');
select isnt_empty('select * from matrice.audit_log', 'M7: purge_audit_log keeps the newer entries');
select tests.refuses('select matrice_private.purge_audit_log(null)', '22004', 'M7: purge_audit_log refuses null', hint => '%');
select tests.as_user('mallory');
select tests.refuses($$insert into matrice.projects (id, name) values (tests.id('dune'), 'x')$$, '42501',
                     'H1: projects refuses the id of a deleted project after its audit trail was purged');
select tests.as_owner();

-- Estimates --------------------------------------------------------------------------------------------------------

select is_empty(
  $$select c.oid::regclass, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'matrice'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and coalesce(a.attstattarget, -1) <> 0
       and c.relname not in ('embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers')$$,
  'M1: no column of a tenant''s table keeps values for ANALYZE');
select is_empty(
  $$select i.indexrelid::regclass from pg_index i join pg_class c on c.oid = i.indrelid join pg_attribute a on a.attrelid = i.indexrelid
     where c.relnamespace = 'matrice'::regnamespace and i.indkey[a.attnum - 1] = 0 and coalesce(a.attstattarget, -1) <> 0
       and c.relname not in ('embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers')$$,
  'M1: no expression of a tenant''s index keeps values for ANALYZE');

create function tests.estimate(statement text) returns numeric language plpgsql as $$
declare
  plan json;
begin
  execute 'explain (format json) ' || statement into plan;
  return plan #>> '{0,Plan,Plan Rows}';
end
$$;
-- A thousand rows of one tenant that have a value in common, and the same number that have not.
insert into matrice.context_sources (project_id, name, storage_path, type, created_at)
  select tests.id('atlas'), 'common', 'common', 'common', '2001-01-01' from generate_series(1, 1000);
insert into matrice.project_invitations (project_id, email, token_hash, accepted_at, accepted_by)
  select tests.id('atlas'), 'common@example.org', sha256(n::text::bytea), now(), tests.id('alice') from generate_series(1, 1000) n;
insert into matrice.insights (project_id, type, title, content) select tests.id('atlas'), 'common', 'common', 'common' from generate_series(1, 1000);
analyze;
select tests.as_user('mallory');
select is(tests.estimate(format('select from matrice.%I where %I %s %L', tab, col, op, common)),
          tests.estimate(format('select from matrice.%I where %I %s %L', tab, col, op, rare)),
          format('M1: the estimate for an outsider does not depend on others'' values in %s.%s (%s)', tab, col, op))
  from (values
    ('context_sources', 'name', 'common', 'rare'), ('context_sources', 'storage_path', 'common', 'rare'), ('context_sources', 'type', 'common', 'rare'),
    ('context_sources', 'created_at', '2001-01-01', '2011-01-01'),
    ('context_sources', 'project_id', tests.id('atlas')::text, tests.id('nowhere')::text),
    ('project_invitations', 'email', 'common@example.org', 'rare@example.org'),
    ('insights', 'project_id', tests.id('atlas')::text, tests.id('nowhere')::text), ('insights', 'title', 'common', 'rare')
  ) given (tab, col, common, rare), unnest(array['=', '<', '>']) op;
select is(tests.estimate($$select from matrice.project_invitations where lower(email) = 'common@example.org'$$),
          tests.estimate($$select from matrice.project_invitations where lower(email) = 'rare@example.org'$$),
          'M1: the estimate for an outsider does not depend on others'' values of lower(project_invitations.email)');

select tests.refuses(format('select matrice.refuse_planned_counts() from set_config(''request.headers'', %L, true)', headers), '22023',
                     'M1: refuse_planned_counts refuses ' || headers, '%', '%exact%')
  from unnest(array['{"prefer": "count=planned"}', '{"host": "x", "prefer":"return=minimal, count=estimated"}', '{"prefer": "a=\"b\", count=planned"}',
                    '{"Prefer": "COUNT=planned"}',
                    '{"prefer": "count=planned", "prefer": "return=minimal"}', '{"prefer": "return=minimal", "prefer": "count=planned"}']) headers;
select tests.refuses(format('select matrice.refuse_planned_counts() from set_config(''request.headers'', %L, true)', headers), '22023',
                     'M1: refuse_planned_counts refuses ' || headers, '%', '%db-plan-enabled%')
  from unnest(array['{"accept": "application/vnd.pgrst.plan"}', '{"Accept": "application/json, application/vnd.pgrst.plan+text; options=analyze"}']) headers;
select lives_ok(format('select matrice.refuse_planned_counts() from set_config(''request.headers'', %L, true)', headers),
                'M1: refuse_planned_counts takes ' || headers)
  from unnest(array['{"prefer": "count=exact"}', '{"prefer": "return=representation"}', '{"host": "count=planned"}', '{}', '']) headers;

select * from finish();
rollback;
