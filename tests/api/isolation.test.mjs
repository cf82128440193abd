// Nobody reaches another one's project: every table and every function that PostgREST publishes, as another user and
// as nobody. The lists come from PostgREST itself, so a table or a function that is new here fails until it has a case.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, BOB, CAROL, MISSING, MODEL, calls, createWorld, ok, refused } from './fixtures.mjs'
import { startStack } from './stack.mjs'

// Readable by everybody signed in, writable by services.
const REFERENCE = ['embedding_models', 'model_prices', 'model_price_windows', 'model_price_multipliers', 'quotas']
// Written by triggers and functions only.
const HISTORIES = ['pillar_versions', 'pillar_labels', 'phase_changes', 'source_texts', 'audit_log', 'project_usage', 'budgets', 'budget_events', 'project_imports']
// Columns that nobody writes.
const GENERATED = { chunk_embeddings: ['code'] }
// Functions of their arguments alone, and those that make a project of the caller's own.
const OPEN = ['analyze_text', 'calculate_cost', 'chunk_text', 'count_tokens', 'create_project', 'detokenize', 'import_project',
  'refuse_planned_counts', 'tokenize',
  'truncate_tokens']
// Functions for services: what they write is of all projects.
const OF_SERVICES = ['load_prices', 'reap_runs', 'register_model']
// What the others answer to Bob who names Alice's ids: 404, except
const EMPTY = { match_documents: [], release_budget: false, rerank_chunks: [] }
// and those whose project_id is optional find nothing without it.
const WITHOUT_PROJECT = ['claim_chunks', 'waiting_chunks', 'match_chunks', 'search_chunks', 'hybrid_search', 'find_quote']

let stack, alice, bob, service, world, tables, functions

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  bob = await stack.user(BOB)
  service = await stack.service()
  world = await createWorld(alice, 'Alice\'s', await stack.user(CAROL))
  await ok(service.rpc('register_model', { model: 'short', dimensions: 512, truncated_from: MODEL }))
  const published = await openapi({ role: 'service_role' })
  tables = published.filter((path) => !path.startsWith('rpc/'))
  functions = published.filter((path) => path.startsWith('rpc/')).map((path) => path.slice('rpc/'.length))
})
after(() => stack?.stop())

async function openapi(claims, profile = 'matrice') {
  const headers = { 'Accept-Profile': profile, ...claims && { Authorization: `Bearer ${await stack.token(claims)}` } }
  const response = await fetch(`${stack.url}/rest/v1/`, { headers })
  assert.equal(response.status, 200)
  return Object.keys((await response.json()).paths).map((path) => path.slice(1)).filter(Boolean)
}

const key = (table) => table === 'projects' ? 'id' : 'project_id'
/** What Bob can try: he knows every id, but nobody has sent him the token. */
const attempts = (world) => ({ ...calls(world), accept_invite: { token: 'a guess' } })
const ofTenants = () => tables.filter((table) => !REFERENCE.includes(table))

test('OpenAPI shows users and services every table and function, and anon none', async () => {
  assert.ok(tables.length >= 15 && functions.length >= 25)
  assert.deepEqual((await openapi({ role: 'authenticated', sub: BOB })).sort(),
    [...tables, ...functions.map((name) => `rpc/${name}`)].sort())
  assert.deepEqual(await openapi(), [])
  assert.deepEqual(await openapi({ role: 'anon' }), [])
})

test('OpenAPI shows nothing in schema public, and matrice_private is not published', async () => {
  assert.deepEqual(await openapi({ role: 'service_role' }, 'public'), [])
  await refused(alice.schema('matrice_private').rpc('project_ids'), 406, 'PGRST106')
})

test('calls() in fixtures.mjs has every function', () => {
  assert.deepEqual(functions.toSorted(), Object.keys(calls(world)).sort(), 'add it to calls() in fixtures.mjs')
})

test('every table has rows of Alice, and Bob sees none of them', async () => {
  for (const table of ofTenants()) {
    const hers = await ok(alice.from(table).select().eq(key(table), world.project_id))
    assert.ok(hers.length > 0, `createWorld() in fixtures.mjs makes no row in ${table}`)
    assert.deepEqual(await ok(bob.from(table).select()), [], table)
    assert.equal((await bob.from(table).select('*', { count: 'exact', head: true })).count, 0, table)
  }
  assert.deepEqual(await ok(bob.from('projects').select('*, pillars(*), context_sources(*, source_chunks(*))')), [])
})

test('Bob can neither add, change nor delete rows of Alice\'s', async () => {
  const before = stack.snapshot()
  for (const table of ofTenants()) {
    const [{ id, ...row }] = await ok(alice.from(table).select().eq(key(table), world.project_id))
    for (const column of GENERATED[table] ?? []) delete row[column]
    await refused(bob.from(table).insert(row), 403, '42501')
    await refused(bob.from(table).upsert({ id, ...row }), 403, '42501')
    for (const write of [(t) => t.update({ [key(table)]: world.project_id }), (t) => t.delete()]) {
      // Without the grant it is an error, without the policy there is no row to write.
      const result = await write(bob.from(table)).eq(key(table), world.project_id).select()
      if (result.error) await refused(result, 403, '42501')
      else assert.deepEqual(result.data, [], table)
    }
  }
  await refused(bob.from('user_projects').insert({ user_id: BOB, project_id: world.project_id, role: 'owner' }), 403, '42501')
  assert.equal(stack.snapshot(), before)
})

test('Bob cannot move his rows into Alice\'s project', async () => {
  await createWorld(bob, 'Bob\'s', await stack.user(CAROL))
  const before = stack.snapshot()
  for (const table of ofTenants().filter((name) => !['projects', ...HISTORIES].includes(name))) {
    assert.ok((await ok(bob.from(table).select('project_id'))).length > 0)
    await refused(bob.from(table).update({ project_id: world.project_id }).neq('project_id', world.project_id), 403, '42501')
  }
  assert.equal(stack.snapshot(), before)
  await ok(bob.from('projects').delete().eq('name', 'Bob\'s'))
})

test('reference tables can be read by a user, who cannot write them', async () => {
  const before = stack.snapshot()
  for (const table of REFERENCE) {
    const [row] = await ok(bob.from(table).select().limit(1))
    await refused(bob.from(table).insert(row), 403, '42501')
    const key = 'model' in row ? 'model' : 'quota'
    await refused(bob.from(table).update(row).eq(key, row[key]), 403, '42501')
    await refused(bob.from(table).delete().eq(key, row[key]), 403, '42501')
  }
  assert.equal(stack.snapshot(), before)
})

test('every function with Alice\'s ids answers Bob not found or nothing, and changes no row', async () => {
  const before = stack.snapshot()
  for (const [name, args] of Object.entries(attempts(world))) {
    if ([...OPEN, ...OF_SERVICES].includes(name)) continue
    if (name in EMPTY) {
      assert.deepEqual(await ok(bob.rpc(name, args)), EMPTY[name], name)
    } else {
      const error = await refused(bob.rpc(name, args), 404, 'PT404')
      assert.ok(error.details || error.hint, `${name}: ${JSON.stringify(error)}`)
    }
  }
  for (const name of WITHOUT_PROJECT) {
    const { project_id, ...args } = calls(world)[name]
    assert.deepEqual(await ok(bob.rpc(name, args)), [], name)
  }
  assert.equal(stack.snapshot(), before)
})

test('every function answers an unknown id and another\'s id alike', async () => {
  const nowhere = Object.fromEntries(Object.keys(world).map((id) => [id, MISSING]))
  const hidden = (error) => JSON.parse(JSON.stringify(error).replaceAll(/[0-9a-f-]{36}/g, '…'))
  for (const [name, args] of Object.entries(attempts(world))) {
    if ([...OPEN, ...OF_SERVICES].includes(name) || name in EMPTY) continue
    const there = await refused(bob.rpc(name, args), 404, 'PT404')
    const notThere = await refused(bob.rpc(name, attempts(nowhere)[name]), 404, 'PT404')
    assert.deepEqual(hidden(there), hidden(notThere), name)
  }
})

test('every table and every function refuses anon', async () => {
  const before = stack.snapshot()
  for (const nobody of [stack.anon(), stack.client(await stack.token({ role: 'anon' }))]) {
    for (const table of tables) {
      const [row] = await ok(service.from(table).select().limit(1))
      const column = Object.keys(row)[0]
      await refused(nobody.from(table).select(), 401, '42501')
      await refused(nobody.from(table).insert(row), 401, '42501')
      await refused(nobody.from(table).update(row).eq(column, row[column]), 401, '42501')
      await refused(nobody.from(table).delete().eq(column, row[column]), 401, '42501')
    }
    for (const name of functions) await refused(nobody.rpc(name, calls(world)[name]), 401, '42501')
  }
  assert.equal(stack.snapshot(), before)
})

test('migrate refuses a user and a service', async () => {
  for (const client of [alice, service]) await refused(client.rpc('migrate'), 403, '42501')
})

test('a function for services refuses a user, with a hint', async () => {
  const before = stack.snapshot()
  for (const name of OF_SERVICES) assert.match((await refused(alice.rpc(name, calls(world)[name]), 403, '42501')).hint, /service_role/, name)
  assert.equal(stack.snapshot(), before)
  for (const name of OF_SERVICES) await ok(service.rpc(name, calls(world)[name]))
})

// The proof that the refusals above were not for bad arguments.
test('every function with Alice\'s ids succeeds for Alice', async () => {
  for (const [name, args] of Object.entries(calls(world))) {
    if (OF_SERVICES.includes(name)) continue
    const data = await ok(alice.rpc(name, args))
    if (EMPTY[name] != null) assert.notDeepEqual(data, EMPTY[name], name)
  }
})
