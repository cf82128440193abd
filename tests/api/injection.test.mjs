// Hostile text in every text and JSON argument that PostgREST publishes, in filters of the URL and in rows: never a
// 5xx, never an effect beyond being stored as it is.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, BOB, CAROL, calls, createWorld, ok } from './fixtures.mjs'
import { startStack } from './stack.mjs'

const PAYLOADS = [
  `'; drop table matrice.projects cascade; --`,
  `x'); update matrice.projects set name = 'pwned'; --`,
  `" or 1=1 --`,
  `' union select rolpassword from pg_authid --`,
  `$$; set role postgres; $$`,
  `$1 || (select current_setting('request.jwt.claims'))`,
  `\\'; copy matrice.projects to program 'id' --`,
  `%s %1$s %I %L %n %%`,
  `{"a": {"$ne": null}}`,
  `*) or (name.neq.x`,
  `a & | ! ( ) <-> :* "unclosed`,
  `-- or - "" not <|endoftext|>`,
  `../../../etc/passwd`,
  `<script>alert(1)</script>`,
  'line\r\nSet-Cookie: a=b\r\n\r\n',
  '\u202e\u0301\ufeff 👩‍👩‍👧‍👦 ﷽ İ',
  '('.repeat(2000) + '*'.repeat(2000),
  'whale '.repeat(20000),
]

let stack, alice, bob, hers, his, parameters

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  bob = await stack.user(BOB)
  hers = await createWorld(alice, 'Alice\'s secret', await stack.user(CAROL))
  his = await createWorld(bob, 'Bob\'s', await stack.user(CAROL))
  const headers = { 'Accept-Profile': 'matrice', Authorization: `Bearer ${await stack.token({ role: 'service_role' })}` }
  const { paths } = await (await fetch(`${stack.url}/rest/v1/`, { headers })).json()
  // [function, argument, format] of everything that takes text or JSON
  parameters = Object.entries(paths).filter(([path]) => path.startsWith('/rpc/')).flatMap(([path, { post }]) =>
    Object.entries(post.parameters.find((parameter) => parameter.in === 'body').schema.properties ?? {})
      .map(([argument, { format }]) => [path.slice('/rpc/'.length), argument, format])
      .filter(([, , format]) => ['text', 'jsonb'].includes(format)))
})
after(() => stack?.stop())

/** All that belongs to Alice, and all objects and roles there are. */
const untouched = () => stack.sql(`
  select p::text from matrice.projects p where id = '${hers.project_id}' union all
  select c::text from matrice.source_chunks c where project_id = '${hers.project_id}' union all
  select v::text from matrice.pillar_versions v where project_id = '${hers.project_id}' union all
  select u::text from matrice.user_projects u where user_id = '${ALICE}' union all
  select oid || relname || coalesce(relacl::text, '') from pg_class where relnamespace::regnamespace::text like 'matrice%' union all
  select oid || proname || coalesce(proacl::text, '') from pg_proc where pronamespace::regnamespace::text like 'matrice%' union all
  select rolname || rolsuper || rolbypassrls from pg_roles order by 1`)

async function harmless(request, label) {
  const { data, error, status } = await request
  label = label.slice(0, 100)
  assert.ok(status >= 200 && status < 500, `${label}: ${status} ${JSON.stringify(error)}`)
  assert.ok(!JSON.stringify([data, error]).includes('Alice\'s secret'), label)
}

test('SQL in a text or JSON argument of every function does no harm', async () => {
  assert.ok(parameters.length > 50)
  const before = untouched()
  for (const [name, argument, format] of parameters) {
    const args = calls(his)[name]
    assert.ok(argument in args, `calls() in fixtures.mjs gives ${name} no ${argument}`)
    for (const payload of PAYLOADS) {
      const values = format === 'jsonb' ? [payload, { [payload]: [payload], topic: payload }] : [payload]
      for (const value of values) await harmless(bob.rpc(name, { ...args, [argument]: value }), `${name} ${argument} ${payload}`)
    }
  }
  assert.equal(untouched(), before)
})

test('create_project, save_pillar and ingest_source store SQL as text', async () => {
  const before = untouched()
  for (const payload of PAYLOADS) {
    // What fits into a name.
    const name = [...payload].slice(0, 400).join('')
    const project_id = await ok(bob.rpc('create_project', { name, description: name, settings: { app: { note: name } } }))
    const [row] = await ok(bob.from('projects').select('name, description, settings').eq('id', project_id))
    assert.deepEqual(row, { name, description: name, settings: { app: { note: name } } })
    await ok(bob.rpc('save_pillar', { project_id, code: 'P1', content: payload, metadata: { note: name } }))
    const [saved] = await ok(bob.rpc('pillar_history', { project_id, code: 'P1' }))
    assert.deepEqual([saved.content, saved.metadata], [payload, { note: name }])
    const source = await ok(bob.rpc('ingest_source', { project_id, name, content: payload, metadata: { note: name } }))
    const found = await ok(bob.from('context_sources').select('name, raw_metadata').eq('id', source))
    assert.deepEqual(found, [{ name, raw_metadata: { note: name } }])
  }
  assert.equal(untouched(), before)
})

test('SQL in the filters of a request does no harm', async () => {
  const before = untouched()
  for (const payload of PAYLOADS.filter((text) => text.length < 10000)) { // what fits into a URL
    const table = () => bob.from('projects').select()
    await harmless(table().eq('name', payload), `eq ${payload}`)
    await harmless(table().ilike('name', payload), `ilike ${payload}`)
    await harmless(table().in('name', [payload]), `in ${payload}`)
    await harmless(table().or(payload), `or ${payload}`)
    await harmless(table().order(payload), `order ${payload}`)
    await harmless(table().contains('settings', { [payload]: payload }), `contains ${payload}`)
    await harmless(table().eq(`settings->>${payload}`, payload), `json path ${payload}`)
    await harmless(bob.from('projects').select(payload), `select ${payload}`)
    await harmless(bob.from('source_chunks').select().textSearch('fts', payload), `tsquery ${payload}`)
    await harmless(bob.from('source_chunks').select().textSearch('fts', payload, { type: 'websearch' }), `websearch ${payload}`)
    await harmless(bob.rpc('search_chunks', { query_text: 'whale' }).eq('content', payload), `rpc ${payload}`)
  }
  assert.equal(untouched(), before)
})
