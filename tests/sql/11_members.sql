-- Membership: invitations, roles, leaving; and what the audit trail says of it.

begin;
\ir helpers/setup.psql
select * from no_plan();

select tests.project('atlas');
select tests.remember('stan', gen_random_uuid());

-- Inviting ---------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
select matrice.invite_member(tests.id('atlas'), 'stan@example.org', 'editor') as token \gset
select ok(length(:'token') = 64, 'invite_member returns a token of 64 characters');
select is(token_hash, sha256(convert_to(:'token', 'UTF8')), 'invite_member stores the hash of the token') from matrice.project_invitations;
select is(count(*), 0::bigint, 'invite_member does not store the token')
  from matrice.project_invitations i where to_jsonb(i)::text like '%' || :'token' || '%';
select is(invited_by, tests.id('alice'), 'invite_member stores invited_by') from matrice.project_invitations;
select ok(expires_at between now() + interval '6 days' and now() + interval '8 days', 'invite_member by default expires after a week')
  from matrice.project_invitations;

select tests.as_user('edith');
select is_empty('select * from matrice.project_invitations', 'project_invitations for an editor: no rows');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', 'owner')$$, '42501', 'invite_member refuses an editor, role owner', '%', '%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', 'viewer')$$, '42501', 'invite_member refuses an editor, role viewer', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z')$$, 'PT404', 'invite_member of another''s project: not found', '%', '%');

select tests.as_user('alice');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', 'admin')$$, '22023', 'invite_member refuses role admin',
                     hint => '%owner, editor, viewer%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'nobody')$$, '22023', 'invite_member refuses an email without @', hint => '%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), null)$$, '22004', 'invite_member refuses email null', hint => '%');
select tests.refuses($$select matrice.invite_member(null, 'x@y.z')$$, '22004', 'invite_member refuses project_id null', hint => '%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', valid_for => '-1 day')$$, '22023', 'invite_member refuses valid_for of -1 day',
                     hint => '%');

-- Accepting --------------------------------------------------------------------------------------------------------

select tests.as_nobody();
select tests.refuses(format('select matrice.accept_invite(%L)', :'token'), '42501', 'accept_invite refuses a session without claims', hint => '%');
select tests.as_user('stan');
select tests.refuses($$select matrice.accept_invite('wrong')$$, 'PT404', 'accept_invite of an unknown token: not found', '%', '%');
select tests.refuses($$select matrice.accept_invite(null)$$, '22004', 'accept_invite refuses token null', hint => '%');
select is(matrice.accept_invite(:'token'), tests.id('atlas'), 'accept_invite returns the project''s id');
select is(role, 'editor', 'accept_invite gives the role of the invitation') from matrice.user_projects where user_id = tests.id('stan');
select lives_ok($$select matrice.save_pillar(tests.id('atlas'), 'P1', 'Stan was here')$$, 'save_pillar by an editor who accepted an invitation succeeds');
select tests.refuses(format('select matrice.accept_invite(%L)', :'token'), 'PT404', 'accept_invite of a used token by the same user: not found', '%', '%');
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', :'token'), 'PT404', 'accept_invite of a used token by another user: not found', '%', '%');

select tests.as_user('alice');
select matrice.invite_member(tests.id('atlas'), 'victor@example.org', 'editor') as first \gset
select matrice.invite_member(tests.id('atlas'), 'Victor@example.org', 'viewer') as second \gset
select matrice.invite_member(tests.id('atlas'), 'late@example.org') as late \gset
select is(count(*), 1::bigint, 'invite_member of the same address keeps one open invitation')
  from matrice.project_invitations where lower(email) like 'victor@%';
select tests.as_owner();
update matrice.project_invitations set expires_at = now() where email = 'late@example.org';
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', :'first'), 'PT404', 'accept_invite of a token that was renewed: not found', '%', '%');
select tests.refuses(format('select matrice.accept_invite(%L)', :'late'), 'PT404', 'accept_invite of an expired token: not found', '%expired%', '%');
select tests.as_user('edith');
select is(matrice.accept_invite(:'second'), tests.id('atlas'), 'accept_invite by a member returns the project''s id');
select is(role, 'editor', 'accept_invite by a member with a higher role keeps that role') from matrice.user_projects where user_id = tests.id('edith');

-- An owner who is removed cannot come back by an invitation of their own.
select tests.as_user('alice');
select matrice.set_member_role(tests.id('atlas'), tests.id('stan'), 'owner');
select tests.as_user('stan');
select matrice.invite_member(tests.id('atlas'), 'second.self@example.org', 'owner') as backdoor \gset
select tests.as_user('alice');
select matrice.remove_member(tests.id('atlas'), tests.id('stan'));
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', :'backdoor'), 'PT404', 'accept_invite of an invitation whose owner was removed: not found',
                     '%no longer an owner%', '%');

-- Roles ------------------------------------------------------------------------------------------------------------

select tests.as_user('stan');
select tests.refuses($$select matrice.list_members(tests.id('atlas'))$$, 'PT404', 'list_members by a removed member: not found', '%', '%');
select is_empty('select * from matrice.pillars', 'pillars for a removed member: no rows');
select tests.as_user('victor');
select results_eq($$select role from matrice.list_members(tests.id('atlas'))$$, $$values ('owner'), ('editor'), ('viewer')$$,
                  'list_members by a viewer: every member, owners first');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('victor'), 'owner')$$, '42501',
                     'set_member_role refuses a viewer, role owner for themselves', '%', '%');
select is_empty($$update matrice.user_projects set role = 'owner' where user_id = tests.id('victor') returning 1$$,
                'user_projects: a viewer''s update of their own role changes no row');
select throws_ok($$insert into matrice.user_projects values (gen_random_uuid(), tests.id('atlas'), 'owner')$$, '42501', null,
                 'user_projects refuses a viewer an insert');
select tests.as_user('edith');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('edith'), 'owner')$$, '42501',
                     'set_member_role refuses an editor, role owner for themselves', '%', '%');
select tests.refuses($$select matrice.remove_member(tests.id('atlas'), tests.id('victor'))$$, '42501',
                     'remove_member refuses an editor, user_id of another member', '%', '%');
select tests.as_user('alice');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('mallory'), 'viewer')$$, 'PT404',
                     'set_member_role of a user who is no member: not found', '%');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('victor'), 'king')$$, '22023', 'set_member_role refuses role king',
                     hint => '%');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('alice'), 'editor')$$, 'PT409',
                     'set_member_role refuses to demote the last owner', '%', '%');
select tests.refuses($$select matrice.remove_member(tests.id('atlas'), tests.id('alice'))$$, 'PT409',
                     'remove_member refuses to remove the last owner', '%', '%');
select tests.refuses($$select matrice.remove_member(tests.id('atlas'), null)$$, '22004', 'remove_member refuses user_id null', hint => '%');
select lives_ok($$select matrice.set_member_role(tests.id('atlas'), tests.id('edith'), 'owner')$$, 'set_member_role by an owner takes role owner');
select lives_ok($$select matrice.remove_member(tests.id('atlas'), tests.id('alice'))$$, 'remove_member by an owner who is not the last removes themselves');
select tests.as_user('victor');
select lives_ok($$select matrice.remove_member(tests.id('atlas'), tests.id('victor'))$$, 'remove_member by a viewer removes themselves');

-- The audit trail --------------------------------------------------------------------------------------------------

select tests.as_user('edith');
insert into matrice.context_sources (id, project_id, name) values (tests.id('paper'), tests.id('atlas'), 'paper');
delete from matrice.context_sources where id = tests.id('paper');
select matrice.save_pillar(tests.id('atlas'), 'P2', 'one');
select matrice.restore_pillar(tests.id('atlas'), 'P2', 1);
select matrice.save_pillar(tests.id('atlas'), 'P2', 'two');
select results_eq(
  $$select action, count(*)::int from matrice.audit_log where project_id = tests.id('atlas') group by action order by action collate "C"$$,
  $$values ('invitation accepted', 2), ('invitation changed', 1), ('invitation made', 5), ('invitation withdrawn', 2), ('member added', 4), ('member changed', 2), ('member removed', 3),
           ('pillar restored', 1), ('source deleted', 1)$$,
  'audit_log records changes of members and invitations, the deleted source and the restored pillar');
select is(actor, tests.id('victor'), 'audit_log.actor is the user who acted')
  from matrice.audit_log where action = 'member removed' and details #>> '{before,user_id}' = tests.id('victor')::text;
select is(actor_role, 'authenticated', 'audit_log.actor_role is the role that acted') from matrice.audit_log where action = 'source deleted';
select is(details #>> '{before,name}', 'paper', 'audit_log.details has the deleted source''s name') from matrice.audit_log where action = 'source deleted';
select is(count(*), 0::bigint, 'audit_log.details has no token_hash') from matrice.audit_log where details::text like '%token_hash%';
select is(restored_from, 1, 'restore_pillar stores restored_from') from matrice.pillar_versions where content = '' and version = 3;
select tests.as_user('mallory');
select is_empty('select * from matrice.audit_log', 'audit_log for an outsider: no rows');
select tests.as_service();
select throws_ok('delete from matrice.audit_log where true', '42501', null, 'audit_log refuses a service a delete');
select throws_ok('truncate matrice.audit_log', '42501', null, 'audit_log refuses a service a truncate');
select tests.as_user('edith');
delete from matrice.projects where id = tests.id('atlas');
select tests.as_service();
select is(count(*), 1::bigint, 'audit_log keeps one entry for the deletion of a project')
  from matrice.audit_log where project_id = tests.id('atlas') and action = 'project deleted' and actor = tests.id('edith');
select is(count(*), 21::bigint, 'audit_log keeps the earlier entries of a deleted project and adds none for its rows')
  from matrice.audit_log where project_id = tests.id('atlas') and action <> 'project deleted';

-- Whose claims -----------------------------------------------------------------------------------------------------

select tests.project('borealis');
select tests.speak('authenticated', 'not json');
select is_empty('select * from matrice.projects', 'projects with claims that are not JSON: no rows');
select tests.speak('authenticated', '"alice"');
select is_empty('select * from matrice.projects', 'projects with claims that are not an object: no rows');
select tests.speak('authenticated', '{"sub": null}');
select is_empty('select * from matrice.projects', 'projects with sub null: no rows');
select tests.speak('authenticated', '{"sub": "alice"}');
select is_empty('select * from matrice.projects', 'projects with a sub that is not a UUID: no rows');
select tests.refuses($$select matrice.create_project('x')$$, '42501', 'create_project refuses a sub that is not a UUID', '%UUID%', '%');
select tests.refuses(format('select matrice.list_members(%L)', tests.id('borealis')), 'PT404',
                     'list_members with a sub that is not a UUID: not found, with a hint', '%', '%UUID%');
select tests.speak('authenticated', json_build_object('sub', tests.id('alice'))::text);
select isnt_empty('select * from matrice.projects', 'projects with the sub of a member: the rows');
select set_config('request.jwt.claim.sub', tests.id('mallory')::text, true);
select is_empty('select * from matrice.projects', 'projects with request.jwt.claims and request.jwt.claim.sub that differ: no rows');
select set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', tests.id('alice')::text, true);
select isnt_empty('select * from matrice.projects', 'projects with request.jwt.claim.sub alone: the rows');

select * from finish();
rollback;
