// supabase/database.types.ts is what the Supabase CLI generates from the schema today, and an application compiles with it.
// `make types` rewrites it.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TYPES, generateTypes } from './types.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))

test('database.types.ts is up to date', async () => {
  const generated = await generateTypes()
  assert.match(generated, /"match_chunks"/)
  if (process.env.UPDATE) writeFileSync(TYPES, generated)
  assert.ok(readFileSync(TYPES, 'utf8') === generated, 'the schema has changed: run `make types`')
})

test('client.ts compiles with database.types.ts', () => {
  const { status, stdout, stderr } = spawnSync('node_modules/.bin/tsc', ['--project', 'tsconfig.json'], { cwd: here, encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
})
