// Tokens and chunking over RPC, on nothing but their arguments.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, ok } from './fixtures.mjs'
import { startStack } from './stack.mjs'

let stack, alice
const rpc = (name, args) => ok(alice.rpc(name, args))

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
})
after(() => stack?.stop())

test('tokenize gives the ids that OpenAI publishes, by model or encoding', async () => {
  assert.deepEqual(await rpc('tokenize', { content: 'hello world' }), [15339, 1917])
  assert.deepEqual(await rpc('tokenize', { content: 'hello world', model: 'cl100k_base' }), [15339, 1917])
  assert.deepEqual(await rpc('tokenize', { content: 'hello world', model: 'gpt-4o' }), [24912, 2375])
  assert.deepEqual(await rpc('tokenize', { content: '' }), [])
})

test('tokenize of <|endoftext|> returns the tokens of its characters', async () => {
  assert.deepEqual(await rpc('tokenize', { content: '<|endoftext|>' }), [27, 91, 8862, 728, 428, 91, 29])
})

test('count_tokens, tokenize, detokenize and truncate_tokens agree on any language', async () => {
  for (const content of ['Les piliers de la méthode', '日本語のテキスト', '👩‍👩‍👧‍👦 family', 'a\n\tb  c', 'i̇ ﬁ ß']) {
    for (const model of ['o200k_base', 'cl100k_base', 'p50k_base', 'r50k_base']) {
      const tokens = await rpc('tokenize', { content, model })
      assert.equal(await rpc('count_tokens', { content, model }), tokens.length)
      assert.equal(await rpc('detokenize', { tokens, model }), content)
      const truncated = await rpc('truncate_tokens', { content, max_tokens: tokens.length - 1, model })
      assert.ok(content.startsWith(truncated) && truncated.length < content.length)
      assert.ok(await rpc('count_tokens', { content: truncated, model }) < tokens.length)
      assert.equal(await rpc('truncate_tokens', { content, max_tokens: tokens.length, model }), content)
    }
  }
})

test('chunk_text keeps to max_tokens, overlaps, and knows its headings', async () => {
  const content = '# One\n\n' + 'Whales sing. '.repeat(40) + '\n\n## Two\n\n' + 'Squids écoutent 🦑. '.repeat(40)
  const chunks = await rpc('chunk_text', { content, max_tokens: 50, overlap_tokens: 10, format: 'markdown' })
  assert.ok(chunks.length > 4)
  for (const [index, chunk] of chunks.entries()) {
    assert.equal(chunk.chunk_index, index)
    assert.equal([...content].slice(chunk.start_char, chunk.end_char).join(''), chunk.content)
    assert.equal(chunk.token_count, await rpc('count_tokens', { content: chunk.content }))
    assert.ok(chunk.token_count <= 50)
  }
  assert.ok(chunks.some((chunk, i) => i > 0 && chunk.start_char < chunks[i - 1].end_char), 'some overlap')
  assert.deepEqual(chunks[0].metadata, { headings: ['One'] })
  assert.deepEqual(chunks.at(-1).metadata, { headings: ['One', 'Two'] })
  assert.deepEqual(await rpc('chunk_text', { content: '' }), [])
})
