// supabase/database.types.ts is what the Supabase CLI generates from the schema today; `make types` rewrites it. With types.ts,
// which corrects it, an application and README's examples compile.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { compile, compileProject } from './compile.mjs'
import { examples } from './readme.mjs'
import { TYPES, generateTypes } from './types.mjs'

test('database.types.ts is up to date', async () => {
  const generated = await generateTypes()
  assert.match(generated, /"match_chunks"/)
  if (process.env.UPDATE) writeFileSync(TYPES, generated)
  assert.ok(readFileSync(TYPES, 'utf8') === generated, 'the schema has changed: run `make types`')
})

test('client.ts compiles with types.ts, and what it must not do does not', () => {
  assert.equal(compileProject('tsconfig.json'), '')
})

test("README's JavaScript and TypeScript compile with types.ts", async () => {
  // inngest.test.mjs compiles the files that these examples copy, and runs the examples.
  const blocks = (await examples('js', 'ts')).filter(({ code }) => !/from '\.\/(matrice-inngest|recorder)\.ts'/.test(code))
  assert.ok(blocks.length >= 6)
  const files = blocks.map(({ code, line }) => [`README_${line}.ts`, `export {}\n${typed(code)}`])
  // README is JavaScript, which does not say the types of arguments.
  assert.equal(compile({ 'names.d.ts': NAMES, ...Object.fromEntries(files) }, { noImplicitAny: false }), '')
})

/** An example as an application writes it that has types.ts. */
const typed = (code) => code.replace('"./types"', `'TYPES'`)
  .replace('createClient(', `createClient<import('TYPES').Database, 'matrice'>(`)
  .replace('client: supabase', 'client: supabase as never')

/** What README's examples take from their surroundings. */
const NAMES = `
declare const url: string, key: string, project: string, source: string, query_embedding: number[]
declare const accessToken: () => Promise<string>
declare const embed: (texts: string[]) => Promise<number[][]>
declare const supabase: import('@supabase/supabase-js').SupabaseClient<import('TYPES').Database, 'matrice'>
declare const embeddings: import('@langchain/core/embeddings').Embeddings
declare const embedModel: import('@llamaindex/core/embeddings').BaseEmbedding
`
