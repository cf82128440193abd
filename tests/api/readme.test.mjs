// README's JavaScript and TypeScript run as they stand there. (What README shows of other clients: clients.test.mjs.)

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { transpile } from './compile.mjs'
import { ALICE, embed, ok } from './fixtures.mjs'
import { example, run } from './readme.mjs'
import { startStack } from './stack.mjs'

let stack

before(async () => { stack = await startStack() })
after(() => stack.stop())

const world = async () => {
  const token = await stack.token({ role: 'authenticated', sub: ALICE })
  return {
    // Node 20 has no WebSocket, which supabase-js would look for.
    createClient: (url, key, options) => createClient(url, key, { ...options, realtime: { transport: class {} } }),
    url: stack.url,
    key: 'publishable-key',
    accessToken: async () => token,
    embed: async (texts) => texts.map((text) => embed(text)),
  }
}

test("README's supabase-js example finds what it ingested", async () => {
  const { chunks, hits, sources } = await run(await example('js', 'createClient'), await world(), 'chunks', 'hits', 'sources')
  assert.equal(chunks.length, 1)
  assert.equal(hits[0].content, '# Guide\n\nRun the installer.')
  assert.deepEqual([hits[0].semantic_rank, hits[0].full_text_rank], [1, 1])
  assert.deepEqual(sources, [{ name: 'guide.md', token_count: sources[0].token_count, source_chunks: [{ count: 1 }] }])
})

test("README's TypeScript adds a chunk and cites what a context was built from", async () => {
  const alice = await stack.user(ALICE)
  const project = await ok(alice.rpc('create_project', { name: 'Typed', settings: { language: 'english' } }))
  const source = await ok(alice.rpc('ingest_source', { project_id: project, name: 'guide.md', content: 'Run the installer.' }))
  const insight = { project_id: project, type: 'learning', title: 'Installer', content: 'To install it takes a minute.' }
  await ok(alice.rpc('record_insight', insight))
  const lines = []
  const console = { log: (...words) => lines.push(words) }
  const names = { ...await world(), project, source, query_embedding: embed('install'), console }
  await run(transpile(await example('ts', 'TablesInsert')), names)
  assert.deepEqual(lines, [[1, 'Installer'], [2, 'guide.md']])
  assert.deepEqual(await ok(alice.from('source_chunks').select('content').eq('chunk_index', 7)), [{ content: 'Ask anything.' }])
})

test("README's example of progress joins the private channel of the project, and hears its events", async () => {
  // Stands for Realtime, which is no part of this stack: it lets in whoever joins, and sends one event.
  const sent = [], payload = { event: 'source_progress', sources: [{ status: 'ready' }] }
  class Realtime {
    readyState = 0
    constructor() { setTimeout(() => { this.readyState = 1; this.onopen() }) }
    send(message) {
      const [join, ref, topic, event, body] = JSON.parse(message)
      sent.push({ topic, event, body })
      const answer = (...words) => setTimeout(() => this.onmessage({ data: JSON.stringify(words) }))
      answer(join, ref, topic, 'phx_reply', { status: 'ok', response: {} })
      if (event === 'phx_join') answer(join, null, topic, 'broadcast', { type: 'broadcast', event: 'source_progress', payload })
    }
    close() { this.readyState = 3; this.onclose?.({ code: 1000 }) }
  }
  const block = await example('js', 'realtime.setAuth')
  const accessToken = async () => 'the token of a member'
  const supabase = createClient('http://localhost', 'publishable-key', { accessToken, realtime: { transport: Realtime } })
  const heard = new Promise((resolve) => {
    run(block, { supabase, project: 'a', console: { log: resolve } }).catch(resolve)
  })
  assert.deepEqual(await heard, payload.sources)
  const { topic, body } = sent.find(({ event }) => event === 'phx_join')
  assert.deepEqual([topic, body.config.private, body.access_token], ['realtime:matrice:a', true, 'the token of a member'])
  await supabase.realtime.disconnect()
})

test('OpenAPI states every default, and which arguments are required', async () => {
  const headers = { 'Accept-Profile': 'matrice', Authorization: `Bearer ${await stack.token({ role: 'service_role' })}` }
  const { paths } = await (await fetch(`${stack.url}/rest/v1/`, { headers })).json()
  // Relationships, whose argument has no name, are no functions to call.
  const args = JSON.parse(stack.sql(`
    select json_agg(a order by a.function, a.place) from (
      select p.proname as function, place, p.proargnames[place] as argument, place > p.pronargs - p.pronargdefaults as has_default,
             regexp_replace(pg_get_function_arg_default(p.oid, place), '::[a-z. ]+(\\[\\])?$', '') as default
        from pg_proc p, generate_series(1, p.pronargs) place
       where p.pronamespace = 'matrice'::regnamespace and has_function_privilege('service_role', p.oid, 'execute')
         and p.proargnames is not null) a`))
  assert.ok(args.length > 100)
  for (const { function: name, argument, has_default, default: value } of args) {
    const { post } = paths[`/rpc/${name}`]
    const { schema } = post.parameters.find((parameter) => parameter.in === 'body')
    assert.equal((schema.required ?? []).includes(argument), !has_default, `${name}.${argument}`)
    if (!has_default || value === 'NULL') continue
    const stated = (post.summary + (post.description ?? '')).split('Defaults: ')[1] ?? ''
    assert.ok(` ${stated}`.includes(` ${argument} ${value}`), `${name}.${argument} has the default ${value}: ${stated}`)
  }
  assert.doesNotMatch(JSON.stringify(paths['/rpc/set_phase'].post), /Defaults/)
  assert.deepEqual(Object.keys(paths).filter((path) => path.startsWith('/rpc/_')), [], "the engine's own functions are not offered")
})
