// Invitations and roles, as the two who are concerned see them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, BOB, CAROL, ok, refused } from './fixtures.mjs'
import { startStack } from './stack.mjs'

let stack, alice, bob, project_id, token

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  bob = await stack.user(BOB)
  project_id = await ok(alice.rpc('create_project', { name: 'Shared' }))
})
after(() => stack?.stop())

const save = (client) => client.rpc('save_pillar', { project_id, code: 'P1', content: String(Math.random()) })
const members = async () => (await ok(alice.rpc('list_members', { project_id }))).map((row) => [row.user_id, row.role])

test('accept_invite takes a token once', async () => {
  const first = await ok(alice.rpc('invite_member', { project_id, email: 'bob@example.org' }))
  token = await ok(alice.rpc('invite_member', { project_id, email: 'bob@example.org' }))
  await refused(bob.rpc('accept_invite', { token: first }), 404, 'PT404') // the later invitation has replaced it
  assert.equal(await ok(bob.rpc('accept_invite', { token })), project_id)
  assert.deepEqual(await members(), [[ALICE, 'owner'], [BOB, 'viewer']])
  await refused((await stack.user(CAROL)).rpc('accept_invite', { token }), 404, 'PT404')
})

test('save_pillar refuses a viewer; set_phase, invite_member and remove_member refuse an editor', async () => {
  assert.equal((await ok(bob.from('pillars').select())).length, 6)
  const error = await refused(save(bob), 403, '42501')
  assert.ok(error.details && error.hint)
  await refused(bob.rpc('set_member_role', { project_id, user_id: BOB, role: 'owner' }), 403, '42501')

  await ok(alice.rpc('set_member_role', { project_id, user_id: BOB, role: 'editor' }))
  assert.equal(await ok(save(bob)), 2)
  await refused(bob.rpc('set_phase', { project_id, phase: 'P2' }), 403, '42501')
  await refused(bob.rpc('invite_member', { project_id, email: 'carol@example.org' }), 403, '42501')
  await refused(bob.rpc('remove_member', { project_id, user_id: ALICE }), 403, '42501')
  assert.deepEqual(await ok(bob.from('project_invitations').select()), [])
})

test('projects and save_pillar show a removed member nothing', async () => {
  await ok(alice.rpc('remove_member', { project_id, user_id: BOB }))
  assert.deepEqual(await ok(bob.from('projects').select()), [])
  await refused(save(bob), 404, 'PT404')
  assert.deepEqual(await members(), [[ALICE, 'owner']])
})

test('H7: user_projects refuses an owner an insert; set_member_role refuses role owner without acceptance', async () => {
  await refused(alice.from('user_projects').insert({ project_id, user_id: BOB, role: 'viewer' }), 403, '42501')
  await refused(alice.from('user_projects').upsert({ project_id, user_id: BOB, role: 'owner' }), 403, '42501')
  await ok((await stack.service()).from('user_projects').insert({ project_id, user_id: CAROL, accepted_at: null }))
  const error = await refused(alice.rpc('set_member_role', { project_id, user_id: CAROL, role: 'owner' }), 409, 'PT409')
  assert.ok(error.details && error.hint)
  await ok(alice.rpc('remove_member', { project_id, user_id: CAROL }))
})

test('remove_member takes an owner who has made another owner', async () => {
  await ok(bob.rpc('accept_invite', { token: ` ${await ok(alice.rpc('invite_member', { project_id, email: ' bob@example.org\n', role: 'owner' }))}\n` }))
  await ok(alice.rpc('remove_member', { project_id, user_id: ALICE }))
  assert.deepEqual(await ok(alice.from('projects').select()), [])
  assert.equal(await ok(save(bob)), 3)
})
