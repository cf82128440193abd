// supabase/types.ts says what the database does: which words it takes, where null is allowed, what it returns. Each fact is
// asked of the database, written as TypeScript and compiled.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { compile } from './compile.mjs'
import { ALICE, CAROL, calls, createWorld, embed, ok } from './fixtures.mjs'
import { startStack } from './stack.mjs'

// check() names what it checks, so that the compiler's error says it.
const HEADER = `import type { Args, AuditAction, Database, EmbeddingModel, Encoding, Format, Language, OwnUsage, Phase, PriceUnit,
  ProjectSettings, Role, ServiceTier, Stale, TablesInsert, Tables } from 'TYPES'
type Functions = Database['matrice']['Functions']
type Equal<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false
type Takes<A, B> = B extends A ? true : false
type Known<T> = T extends string ? string extends T ? never : T : never
declare function check<Is extends true>(name: string): Is
`

let stack

before(async () => { stack = await startStack() })
after(() => stack?.stop())

const rows = (query) => JSON.parse(stack.sql(`select coalesce(json_agg(r), '[]') from (${query}) r`))
const union = (words) => words.map((word) => JSON.stringify(word)).join(' | ')
const check = (name, type) => `check<${type}>(${JSON.stringify(name)})`

/** matrice's own keys of a usage, which only the comment lists. */
const ownUsage = () => stack.sql(`select obj_description('matrice.calculate_cost'::regproc, 'pg_proc')`)
  .match(/own keys: ([^.]+)\./)[1].split(', ')

function assertCompiles(lines) {
  assert.ok(lines.length > 0)
  assert.equal(compile({ 'facts.ts': HEADER + lines.join('\n') }), '')
}

test('columns have the words that their constraints allow', () => {
  const constraints = rows(`
    select conrelid::regclass::text as table, a.attname as column,
           array(select m[1] from regexp_matches(pg_get_constraintdef(c.oid), '''([^'']+)''::text', 'g') m) as words
      from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
     where connamespace = 'matrice'::regnamespace and contype = 'c' and cardinality(conkey) = 1
       and pg_get_constraintdef(c.oid) like '%= ANY (ARRAY[%'`)
  assertCompiles(constraints.map(({ table, column, words }) =>
    check(`${table}.${column}`, `Equal<NonNullable<Tables<'${table.replace('matrice.', '')}'>['${column}']>, ${union(words)}>`)))
})

test('arguments have the words that their functions allow', () => {
  // The function itself checks them, or else one that it calls.
  const checks = rows(`
    with recursive called as (
      select p.oid as function, p.oid as callee, p.prosrc from pg_proc p where p.pronamespace = 'matrice'::regnamespace
      union
      select c.function, p.oid, p.prosrc
        from called c
        join pg_proc p on p.pronamespace = 'matrice_private'::regnamespace
         and strpos(c.prosrc, format('matrice_private.%s(', p.proname)) > 0
    )
    select distinct f.proname as function, m[1] as argument,
           array(select w[1] from regexp_matches(m[2], '''([^'']+)''', 'g') w) as words
      from called c join pg_proc f on f.oid = c.function,
           regexp_matches(c.prosrc, 'require_one_of\\(\\s*''(\\w+)'',\\s*\\w+,\\s*array\\[([^]]*)\\]', 'g') m
     where m[1] = any (f.proargnames[:f.pronargs])
       and (c.callee = f.oid or f.prosrc !~ format('require_one_of\\(\\s*''%s''', m[1]))`)
  assertCompiles(checks.filter(({ function: name }) => !name.startsWith('_')).map(({ function: name, argument, words }) =>
    check(`${name}.${argument}`, `Equal<NonNullable<Args<'${name}'>['${argument}']>, ${union(words)}>`)))
})

test('lists of words are those of the database', async () => {
  const words = (expression, from = '') => rows(`select ${expression} as word ${from}`).map(({ word }) => word)
  const hinted = async (name, args) => {
    const { error } = await (await stack.user(ALICE)).rpc(name, args)
    return error.hint.split(', and ')[0].match(/\w+(?=,|\.?$)/g)
  }
  const lists = {
    Role: words('unnest(matrice_private.roles())'),
    Phase: words('unnest(matrice_private.phases())'),
    'Known<PriceUnit>': words('unit', 'from matrice_private.price_units'),
    'keyof OwnUsage': ownUsage(),
    'keyof ProjectSettings': words('unnest(matrice_private.known_settings())'),
    'Known<EmbeddingModel>': words('model', 'from matrice.embedding_models'),
    'Known<AuditAction>': words(`distinct split_part(encode(tgargs, 'escape'), '\\000', 1)`,
      `from pg_trigger where tgfoid = 'matrice_private.audit'::regproc`),
    'Known<Format>': await hinted('chunk_text', { content: 'a', format: 'unknown' }),
    Encoding: await hinted('count_tokens', { content: 'a', model: 'unknown' }),
  }
  // Of these, the types propose some.
  const longer = {
    'Known<ServiceTier>': words('distinct service_tier', 'from matrice.model_prices'),
    'Known<Language>': words('cfgname', `from pg_ts_config where cfgnamespace = 'pg_catalog'::regnamespace`),
  }
  assertCompiles([
    ...Object.entries(lists).map(([type, known]) => check(type, `Equal<${type}, ${union(known)}>`)),
    ...Object.entries(longer).map(([type, known]) => check(type, `Takes<${union(known)}, ${type}>`)),
  ])
})

test('an argument may be null if its default is null', () => {
  // A relationship's argument has no name.
  const args = rows(`
    select p.proname as function, p.proargnames[place] as argument,
           coalesce(pg_get_function_arg_default(p.oid, place) ~ '^NULL', false) as is_null
      from pg_proc p, generate_series(1, p.pronargs) place
     where p.pronamespace = 'matrice'::regnamespace and not starts_with(p.proname, '_') and p.proargnames is not null`)
  // Null says that nobody counted them, or that the run is named by its key.
  const others = ['calculate_cost.tokens_input', 'calculate_cost.tokens_output', 'record_step.run_id', 'finish_run.run_id']
  assertCompiles(args.map(({ function: name, argument, is_null }) => {
    const which = `${name}.${argument}`
    return check(which, `Equal<Takes<Args<'${name}'>['${argument}'], null>, ${is_null || others.includes(which)}>`)
  }))
})

test('every vector that goes in may be an array of numbers', () => {
  const args = rows(`
    select p.proname as function, p.proargnames[place] as argument from pg_proc p, generate_series(1, p.pronargs) place
     where p.pronamespace = 'matrice'::regnamespace and not starts_with(p.proname, '_')
       and p.proargtypes[place - 1] = 'extensions.vector'::regtype`)
  const columns = rows(`
    select attrelid::regclass::text as table, attname as column from pg_attribute
     where attrelid in (select oid from pg_class where relnamespace = 'matrice'::regnamespace and relkind = 'r')
       and atttypid = 'extensions.vector'::regtype`)
  assertCompiles([
    ...args.map(({ function: name, argument }) => check(`${name}.${argument}`, `Takes<Args<'${name}'>['${argument}'], number[]>`)),
    ...columns.map(({ table, column }) =>
      check(`${table}.${column}`, `Takes<TablesInsert<'${table.replace('matrice.', '')}'>['${column}'], number[]>`)),
  ])
})

test('calls and what they return have their types', async () => {
  const alice = await stack.user(ALICE)
  const world = await createWorld(alice, 'Whales', await stack.user(CAROL))
  stack.sql(`select set_config('search_path', 'pg_catalog, extensions', false);
    select matrice.register_model('short', 3, truncated_from => 'text-embedding-3-small')`)
  const { project_id, source_id } = world
  const found = { query_text: 'blue whale', query_embedding: embed('blue whale'), project_id }
  const chunks = [{ content: 'An orca is a whale.', start_char: null, end_char: null, metadata: null, token_count: null }]
  const lines = [check('stale', 'Equal<Stale, never>')]
  const record = async (name, args, client = alice) => {
    const result = await ok(client.rpc(name, args))
    const shown = JSON.stringify(args, (key, value) => key.includes('embedding') && Array.isArray(value) ? value.slice(0, 2) : value)
    lines.push(`void (${shown} satisfies Args<'${name}'>)`)
    lines.push(`void (${JSON.stringify(result)} satisfies Functions['${name}']['Returns'])`)
    return result
  }
  // First what takes or returns null somewhere.
  const service = await stack.service()
  await record('save_pillar', { project_id, code: 'P2', content: 'Whales.', metadata: null, expected_version: null }, service)
  await record('pillar_history', { project_id, code: 'P2' })
  await record('label_pillar', { project_id, code: 'P2', version: 2, label: 'draft' }, service)
  await record('unlabel_pillar', { project_id, code: 'P2', label: 'draft' })
  await record('label_history', { project_id, only_code: null })
  await record('pillar_catalog', { project_id })
  await record('as_of', { project_id, at: '2000-01-01' })
  await record('diff_pillar', { project_id, code: 'P1', from_version: 1, to_version: null })
  await record('phase_history', { project_id })
  await record('build_context', { ...found, pillars: ['P2'] })
  await record('source_history', { source_id: await record('ingest_source', { project_id, name: 'b', content: 'Belugas.' }, service) })
  await record('replace_chunks', { source_id: await record('ingest_chunks', { project_id, name: 'orca', chunks }), chunks })
  await record('rechunk', { project_id })
  await record('source_progress', { project_id })
  await record('record_insight', { project_id, type: 'learning', title: 'Orcas', content: 'They are large, too.', evidence: null })
  await record('search_insights', { query_text: 'large', project_id, include_superseded: true })
  await record('hybrid_search', found)
  await record('hybrid_search', { ...found, query_text: 'orca', expand: 1 })
  await record('search_chunks', { query_text: 'orca', project_id, highlight: true, expand: 1 })
  await record('match_chunks', { query_embedding: found.query_embedding, project_id, expand: 1 })
  const [context] = await record('build_context', { ...found, query_text: 'a large whale', insights: 2 })
  assert.ok(context.citations.some((citation) => citation.insight_id) && context.citations.some((citation) => citation.chunk_id))
  await record('evaluate_search', { queries: [{ query_text: 'whale', query_embedding: null, relevant: { [source_id]: 1 } }] })
  const usage = Object.fromEntries(ownUsage().map((key) => [key, null]))
  lines.push(`void (${JSON.stringify(usage)} satisfies OwnUsage)`)
  await record('calculate_cost', { model: 'unpriced', tokens_input: null, tokens_output: null, usage })
  const step = { run_id: world.run_id, step_name: 'swim', status: 'success', latency_ms: 1.5, tokens_input: null, tokens_output: null }
  await record('record_step', { ...step, model: 'unpriced', usage: { promptTokens: 5, completionTokens: 2 }, response: null })
  await record('set_price', { project_id, model: 'unpriced', prices: { input: 1, 'input:batch': 0.5, output: 2 }, valid_from: '2020-01-01' })
  await record('price_of', { model: 'unpriced', project_id, provider: null })
  await record('reprice', { project_id, since: '2020-01-01' })
  await record('set_price', { project_id, model: 'unpriced', prices: {}, valid_from: '2020-01-01' })
  await record('reprice', { project_id, since: '2020-01-01' })
  await record('start_run', { project_id, workflow_id: 'idle', event_name: 'tide' })
  for (const group_by of ['day', 'phase', 'model']) await record('workflow_metrics', { project_id, since: '2020-01-01', group_by })
  await record('search_recall', { project_id, model: 'gte-small' })
  // Then a call of every function: in this order, since some of them delete what others need.
  const last = ['accept_invite', 'remove_member', 'drop_embeddings']
  const services = ['register_model', 'refuse_planned_counts', 'load_prices', 'reap_runs']
  const all = Object.entries(calls(world)).sort(([a], [b]) => last.indexOf(a) - last.indexOf(b))
  for (const [name, args] of all) await record(name, args, services.includes(name) ? service : alice)
  await record('source_history', { source_id })
  assertCompiles(lines)
})

test('a correction of what the schema does not have any more is noticed', () => {
  const file = (name) => readFileSync(new URL(`../../supabase/${name}`, import.meta.url), 'utf8')
  const older = file('database.types.ts').replaceAll('"storage_path"', '"storage"').replaceAll('"rerank_chunks"', '"rerank"')
  const errors = compile({
    'database.types.ts': older, 'types.ts': file('types.ts'),
    'facts.ts': `import type { Stale } from './types.ts'\nexport const stale: Stale[] = ['rerank_chunks', 'hybrid_search.storage_path', 'none']`,
  })
  assert.match(errors, /^\S*facts\.ts\(2,\d+\): error TS2322: Type '"none"' is not assignable/)
  assert.equal(errors.match(/error/g).length, 1)
})
