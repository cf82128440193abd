// Supabase's own linters over the schema, exposed as a project would expose it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startStack } from './stack.mjs'

const SUPABASE = fileURLToPath(new URL('node_modules/@supabase/cli-linux-x64/bin/supabase', import.meta.url))
const LINTER = 'matrice_linter'
// Its supabase/config.toml says which schemas are exposed.
const WORKDIR = fileURLToPath(new URL('../..', import.meta.url))

// An INFO that stays, and why.
const EXPECTED = {
  unused_index: 'a database that is seconds old has used no index yet',
}

let stack, url

// Every Supabase project has it.
const AUTH = `create schema auth;
  grant usage on schema auth to authenticated, service_role;
  create function auth.uid() returns uuid language sql stable as
    $$ select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$`

before(async () => {
  stack = await startStack({ setup: AUTH })
  url = new URL(stack.databaseUrl)
  stack.sql(`create extension plpgsql_check schema extensions;
    drop role if exists ${LINTER};
    create role ${LINTER} login superuser password '${url.password}';
    alter role ${LINTER} set search_path = public, extensions`)
  url.username = LINTER
  url.search = 'sslmode=disable'
})

after(async () => {
  stack.sql(`drop role if exists ${LINTER}`)
  await stack.stop()
})

const supabase = (...args) => promisify(execFile)(SUPABASE, [...args, `--remote=${url}`, '--workdir', WORKDIR], { env: { ...process.env, DO_NOT_TRACK: '1' } })

async function advisors() {
  const { stdout } = await supabase('db', 'advisors', '--level', 'info', '--output-format', 'json')
  return JSON.parse(stdout).results
}

test('supabase db advisors reports nothing unexpected', async () => {
  const found = (await advisors()).filter(({ level, name }) => level !== 'INFO' || !(name in EXPECTED))
  assert.deepEqual(found.map(({ level, detail }) => `${level}: ${detail}`), [])
})

test('supabase db advisors reports a mistake of each kind', async () => {
  stack.sql(`create table matrice.open_to_all (id uuid primary key);
    grant select on matrice.open_to_all to anon, authenticated;
    create view matrice.too_much as select * from matrice.projects;
    grant select on matrice.too_much to authenticated;
    create function matrice.anything() returns int language sql security definer as 'select 1'`)
  const names = new Set((await advisors()).map(({ name }) => name))
  for (const name of ['rls_disabled_in_public', 'security_definer_view', 'function_search_path_mutable']) assert.ok(names.has(name), `${name} in ${[...names]}`)
  stack.sql('drop view matrice.too_much; drop table matrice.open_to_all; drop function matrice.anything()')
})

test('supabase db lint finds no error and no warning', async () => {
  const { stdout, stderr } = await supabase('db', 'lint', '--schema', 'matrice,matrice_private', '--level', 'warning', '--fail-on', 'warning')
  assert.match(stdout + stderr, /Linting schema: matrice_private/)
  assert.doesNotMatch(stdout, /"level"/)
})
