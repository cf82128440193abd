// A client that knows the tables only, and of those only the columns of the original design: no RPC, no project_id on
// chunks, embeddings and steps.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, MODEL, embed, ok, refused } from './fixtures.mjs'
import { startStack } from './stack.mjs'

let stack, alice, project
const time = '2024-02-29T12:00:00+00:00'
const id = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
})
after(() => stack?.stop())

/** Inserts a row and expects to read back what was written. */
async function insert(table, row) {
  const stored = await ok(alice.from(table).insert(row).select().single())
  for (const [column, value] of Object.entries(row)) assert.deepEqual(stored[column], value, `${table}.${column}`)
  return stored
}

test('insert into projects with a name returns the row, and its owner is the caller', async () => {
  const rows = await ok(alice.from('projects').insert({ name: 'By hand' }).select())
  assert.equal(rows.length, 1)
  project = rows[0]
  assert.equal(project.name, 'By hand')
  assert.equal(project.current_phase, 'P1')
  assert.deepEqual(await ok(alice.from('user_projects').select('user_id, role').eq('project_id', project.id)),
    [{ user_id: ALICE, role: 'owner' }])
})

test('every column of projects can be written and read back', () => insert('projects', {
  id: id(1), name: 'Full', description: 'All columns', domain: 'sea', current_phase: 'P3', settings: { app: { a: 1 } }, created_at: time,
}))

test('every column of the other tables can be written and read back', async () => {
  await insert('pillars', { id: id(2), project_id: project.id, code: 'P1', name: 'vision', content: '# V', metadata: { a: 1 }, version: 1 })
  await insert('context_sources', {
    id: id(3), project_id: project.id, type: 'pdf', name: 'Report', storage_path: 'a/b.pdf', status: 'ready',
    raw_metadata: { pages: 2 }, token_count: 7, processed_at: time, created_at: time,
  })
  const chunk = await insert('source_chunks', {
    id: id(4), source_id: id(3), chunk_index: 0, content: 'Whales sing.', token_count: 4, metadata: { page: 1 },
  })
  assert.equal(chunk.project_id, project.id)
  const embedding = await ok(alice.from('chunk_embeddings')
    .insert({ id: id(5), chunk_id: id(4), embedding: embed('Whales sing.'), model: MODEL }).select().single())
  assert.equal(embedding.project_id, project.id)
  assert.deepEqual(JSON.parse(embedding.embedding), embed('Whales sing.'))
  await insert('insights', {
    id: id(6), project_id: project.id, source_id: id(3), type: 'pattern', title: 'Song', content: 'They sing.',
    confidence: 0.75, tags: ['song'], created_at: time,
  })
  await insert('workflow_runs', {
    id: id(7), project_id: project.id, workflow_id: 'listen', event_name: 'tide', phase: 'P1', status: 'completed',
    input_data: { a: 1 }, output_data: { b: 2 }, started_at: time, completed_at: time,
  })
  const step = await insert('workflow_steps', {
    id: id(8), run_id: id(7), step_name: 'hear', status: 'failed', latency_ms: 12, tokens_input: 3, tokens_output: 4,
    cost_usd: 9999.999999, error: { message: 'noise' }, executed_at: time,
  })
  assert.equal(step.project_id, project.id)
})

test('rows that a client inserts are found by searches, in pillar_history and in workflow_metrics', async () => {
  const [match] = await ok(alice.rpc('match_chunks', { query_embedding: embed('whales sing'), project_id: project.id }))
  assert.equal(match.chunk_id, id(4))
  assert.ok(Math.abs(match.similarity - 1) < 1e-6)
  assert.equal((await ok(alice.rpc('search_chunks', { query_text: 'whales' })))[0].chunk_id, id(4))
  assert.equal((await ok(alice.rpc('search_insights', { query_text: 'sing', project_id: project.id })))[0].insight_id, id(6))
  assert.deepEqual(await ok(alice.from('pillars').update({ content: '# W' }).eq('id', id(2)).select('version')), [{ version: 2 }])
  assert.equal((await ok(alice.rpc('pillar_history', { project_id: project.id, code: 'P1' }))).length, 2)
  const [row] = await ok(alice.rpc('workflow_metrics', { project_id: project.id, since: time }).select('cost_usd::text'))
  assert.equal(row.cost_usd, '9999.999999000000')
})

test('source_chunks: an update of content deletes the embedding and makes claim_chunks return the chunk', async () => {
  await ok(alice.from('source_chunks').update({ content: 'Squids hide.' }).eq('id', id(4)))
  assert.deepEqual(await ok(alice.from('chunk_embeddings').select()), [])
  const claimed = await ok(alice.rpc('claim_chunks', { project_id: project.id }))
  assert.deepEqual(claimed.filter((chunk) => chunk.source_id !== null).map((chunk) => chunk.content), ['Squids hide.'])
  assert.deepEqual((await ok(alice.rpc('search_chunks', { query_text: 'squids' }))).map((chunk) => chunk.chunk_id), [id(4)])
})

test('user_projects refuses to delete the last owner; deleting from projects deletes every row', async () => {
  const error = await refused(alice.from('user_projects').delete().eq('project_id', project.id).eq('user_id', ALICE), 409, 'PT409')
  assert.ok(error.details && error.hint)
  await ok(alice.from('projects').delete().eq('id', project.id))
  for (const table of ['pillars', 'context_sources', 'source_chunks', 'insights', 'workflow_runs', 'workflow_steps']) {
    assert.deepEqual(await ok(alice.from(table).select('id')), [], table)
  }
})
