// README's JavaScript runs as it stands there. (What it shows of other clients: clients.test.mjs.)

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { ALICE, embed } from './fixtures.mjs'
import { example, run } from './readme.mjs'
import { startStack } from './stack.mjs'

let stack

before(async () => { stack = await startStack() })
after(() => stack.stop())

test("README's supabase-js example finds what it ingested", async () => {
  const token = await stack.token({ role: 'authenticated', sub: ALICE })
  const world = {
    // Node 20 has no WebSocket, which supabase-js would look for.
    createClient: (url, key, options) => createClient(url, key, { ...options, realtime: { transport: class {} } }),
    url: stack.url,
    key: 'publishable-key',
    accessToken: async () => token,
    embed: async (texts) => texts.map((text) => embed(text)),
  }
  const { chunks, hits, sources } = await run(await example('js', 'createClient'), world, 'chunks', 'hits', 'sources')
  assert.equal(chunks.length, 1)
  assert.equal(hits[0].content, '# Guide\n\nRun the installer.')
  assert.deepEqual([hits[0].semantic_rank, hits[0].full_text_rank], [1, 1])
  assert.deepEqual(sources, [{ name: 'guide.md', token_count: sources[0].token_count, source_chunks: [{ count: 1 }] }])
})

test('OpenAPI states the defaults of match_chunks and chunk_text', async () => {
  const headers = { 'Accept-Profile': 'matrice', Authorization: `Bearer ${await stack.token({ role: 'service_role' })}` }
  const { paths } = await (await fetch(`${stack.url}/rest/v1/`, { headers })).json()
  const shown = (name) => JSON.stringify(paths[`/rpc/${name}`].post)
  assert.match(shown('match_chunks'), /Defaults: match_count 10, filter '\{\}', diversity 0, expand 0\./)
  assert.match(shown('chunk_text'), /Defaults: max_tokens 512/)
  assert.doesNotMatch(shown('set_phase'), /Defaults/)
  assert.deepEqual(Object.keys(paths).filter((path) => path.startsWith('/rpc/_')), [], "the engine's own functions are not offered")
})
