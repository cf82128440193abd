-- Membership: invitations, roles, leaving; and what the audit trail says of it.

begin;
\ir helpers/setup.psql
select * from no_plan();

select tests.project('atlas');
select tests.remember('stan', gen_random_uuid());

-- Inviting ---------------------------------------------------------------------------------------------------------

select tests.as_user('alice');
select matrice.invite_member(tests.id('atlas'), 'stan@example.org', 'editor') as token \gset
select ok(length(:'token') = 64, 'A token is long');
select is(token_hash, sha256(convert_to(:'token', 'UTF8')), 'Only the hash of a token is stored') from matrice.project_invitations;
select is(count(*), 0::bigint, 'The token itself stands nowhere')
  from matrice.project_invitations i where to_jsonb(i)::text like '%' || :'token' || '%';
select is(invited_by, tests.id('alice'), 'An invitation says who invited') from matrice.project_invitations;
select ok(expires_at between now() + interval '6 days' and now() + interval '8 days', 'An invitation lasts a week') from matrice.project_invitations;

select tests.as_user('edith');
select is_empty('select * from matrice.project_invitations', 'An editor sees no invitations');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', 'owner')$$, '42501', 'An editor cannot invite an owner', '%', '%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', 'viewer')$$, '42501', 'An editor cannot invite anybody', '%', '%');
select tests.as_user('mallory');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z')$$, 'PT404', 'An outsider cannot invite', '%', '%');

select tests.as_user('alice');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', 'admin')$$, '22023', 'A role is owner, editor or viewer', hint => '%owner, editor, viewer%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'nobody')$$, '22023', 'An e-mail address has an @', hint => '%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), null)$$, '22004', 'An e-mail address is not null', hint => '%');
select tests.refuses($$select matrice.invite_member(null, 'x@y.z')$$, '22004', 'A project is not null', hint => '%');
select tests.refuses($$select matrice.invite_member(tests.id('atlas'), 'x@y.z', valid_for => '-1 day')$$, '22023', 'An invitation lasts', hint => '%');

-- Accepting --------------------------------------------------------------------------------------------------------

select tests.as_nobody();
select tests.refuses(format('select matrice.accept_invite(%L)', :'token'), '42501', 'Nobody accepts without signing in', hint => '%');
select tests.as_user('stan');
select tests.refuses($$select matrice.accept_invite('wrong')$$, 'PT404', 'A wrong token is not found', '%', '%');
select tests.refuses($$select matrice.accept_invite(null)$$, '22004', 'A token is not null', hint => '%');
select is(matrice.accept_invite(:'token'), tests.id('atlas'), 'A token opens its project');
select is(role, 'editor', 'The invited has the role that was offered') from matrice.user_projects where user_id = tests.id('stan');
select lives_ok($$select matrice.save_pillar(tests.id('atlas'), 'P1', 'Stan was here')$$, 'And can use it');
select tests.refuses(format('select matrice.accept_invite(%L)', :'token'), 'PT404', 'A token works once', '%', '%');
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', :'token'), 'PT404', 'And for nobody else', '%', '%');

select tests.as_user('alice');
select matrice.invite_member(tests.id('atlas'), 'victor@example.org', 'editor') as first \gset
select matrice.invite_member(tests.id('atlas'), 'Victor@example.org', 'viewer') as second \gset
select matrice.invite_member(tests.id('atlas'), 'late@example.org') as late \gset
select is(count(*), 1::bigint, 'An address has one open invitation') from matrice.project_invitations where lower(email) like 'victor@%';
select tests.as_owner();
update matrice.project_invitations set expires_at = now() where email = 'late@example.org';
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', :'first'), 'PT404', 'A token that was renewed is void', '%', '%');
select tests.refuses(format('select matrice.accept_invite(%L)', :'late'), 'PT404', 'A token that has expired is void', '%expired%', '%');
select tests.as_user('edith');
select is(matrice.accept_invite(:'second'), tests.id('atlas'), 'A member can accept');
select is(role, 'editor', 'And keeps a higher role') from matrice.user_projects where user_id = tests.id('edith');

-- An owner who is removed cannot come back by an invitation of their own.
select tests.as_user('alice');
select matrice.set_member_role(tests.id('atlas'), tests.id('stan'), 'owner');
select tests.as_user('stan');
select matrice.invite_member(tests.id('atlas'), 'second.self@example.org', 'owner') as backdoor \gset
select tests.as_user('alice');
select matrice.remove_member(tests.id('atlas'), tests.id('stan'));
select tests.as_user('mallory');
select tests.refuses(format('select matrice.accept_invite(%L)', :'backdoor'), 'PT404', 'The invitations of an owner who was removed are void', '%no longer an owner%', '%');

-- Roles ------------------------------------------------------------------------------------------------------------

select tests.as_user('stan');
select tests.refuses($$select matrice.list_members(tests.id('atlas'))$$, 'PT404', 'Who was removed sees nothing', '%', '%');
select is_empty('select * from matrice.pillars', 'Not even the pillars');
select tests.as_user('victor');
select results_eq($$select role from matrice.list_members(tests.id('atlas'))$$, $$values ('owner'), ('editor'), ('viewer')$$, 'Members see the members, owners first');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('victor'), 'owner')$$, '42501', 'A viewer cannot raise themselves', '%', '%');
select is_empty($$update matrice.user_projects set role = 'owner' where user_id = tests.id('victor') returning 1$$, 'Nor in the table');
select throws_ok($$insert into matrice.user_projects values (gen_random_uuid(), tests.id('atlas'), 'owner')$$, '42501', null, 'Nor another self');
select tests.as_user('edith');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('edith'), 'owner')$$, '42501', 'Nor can an editor', '%', '%');
select tests.refuses($$select matrice.remove_member(tests.id('atlas'), tests.id('victor'))$$, '42501', 'An editor removes nobody', '%', '%');
select tests.as_user('alice');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('mallory'), 'viewer')$$, 'PT404', 'Only a member has a role', '%');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('victor'), 'king')$$, '22023', 'A role is one of three', hint => '%');
select tests.refuses($$select matrice.set_member_role(tests.id('atlas'), tests.id('alice'), 'editor')$$, 'PT409', 'The last owner stays one', '%', '%');
select tests.refuses($$select matrice.remove_member(tests.id('atlas'), tests.id('alice'))$$, 'PT409', 'The last owner stays', '%', '%');
select tests.refuses($$select matrice.remove_member(tests.id('atlas'), null)$$, '22004', 'A null user is no member', hint => '%');
select lives_ok($$select matrice.set_member_role(tests.id('atlas'), tests.id('edith'), 'owner')$$, 'An owner makes an owner');
select lives_ok($$select matrice.remove_member(tests.id('atlas'), tests.id('alice'))$$, 'Then the first may leave');
select tests.as_user('victor');
select lives_ok($$select matrice.remove_member(tests.id('atlas'), tests.id('victor'))$$, 'Everybody may leave');

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
  'The audit trail has every change of membership, the invitations, the source and the restored pillar');
select is(actor, tests.id('victor'), 'It says who') from matrice.audit_log where action = 'member removed' and details #>> '{before,user_id}' = tests.id('victor')::text;
select is(actor_role, 'authenticated', 'And as what') from matrice.audit_log where action = 'source deleted';
select is(details #>> '{before,name}', 'paper', 'And what it was') from matrice.audit_log where action = 'source deleted';
select is(count(*), 0::bigint, 'Without the hashes of tokens') from matrice.audit_log where details::text like '%token_hash%';
select is(restored_from, 1, 'A restored pillar says from which version') from matrice.pillar_versions where content = '' and version = 3;
select tests.as_user('mallory');
select is_empty('select * from matrice.audit_log', 'An outsider sees none of it');
select tests.as_service();
select throws_ok('delete from matrice.audit_log where true', '42501', null, 'Not even a service can shorten it');
select throws_ok('truncate matrice.audit_log', '42501', null, 'Nor empty it');
select tests.as_user('edith');
delete from matrice.projects where id = tests.id('atlas');
select tests.as_service();
select is(count(*), 1::bigint, 'The deletion of a project is one entry, which stays')
  from matrice.audit_log where project_id = tests.id('atlas') and action = 'project deleted' and actor = tests.id('edith');
select is(count(*), 21::bigint, 'With all that came before it, and without what it took along') from matrice.audit_log where project_id = tests.id('atlas') and action <> 'project deleted';

-- Whose claims -----------------------------------------------------------------------------------------------------

select tests.project('borealis');
select tests.speak('authenticated', 'not json');
select is_empty('select * from matrice.projects', 'Claims that are no JSON are nobody''s');
select tests.speak('authenticated', '"alice"');
select is_empty('select * from matrice.projects', 'Claims that are no object are nobody''s');
select tests.speak('authenticated', '{"sub": null}');
select is_empty('select * from matrice.projects', 'A subject that is null is nobody');
select tests.speak('authenticated', '{"sub": "alice"}');
select is_empty('select * from matrice.projects', 'A subject that is no UUID is nobody');
select tests.refuses($$select matrice.create_project('x')$$, '42501', 'create_project tells them', '%UUID%', '%');
select tests.refuses(format('select matrice.list_members(%L)', tests.id('borealis')), 'PT404', 'And so do the others', '%', '%UUID%');
select tests.speak('authenticated', json_build_object('sub', tests.id('alice'))::text);
select isnt_empty('select * from matrice.projects', 'A subject is a user');
select set_config('request.jwt.claim.sub', tests.id('mallory')::text, true);
select is_empty('select * from matrice.projects', 'Two settings that disagree are nobody');
select set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', tests.id('alice')::text, true);
select isnt_empty('select * from matrice.projects', 'The older setting alone is as good');

select * from finish();
rollback;
