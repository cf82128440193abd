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
