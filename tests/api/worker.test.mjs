// matrice-worker and the edge function embed against a real database, real PostgREST and an endpoint over HTTP.

import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { runWorker, startFunction, startWorker } from './deno.mjs'
import { startEndpoint } from './endpoint.mjs'
import { ALICE, MODEL, embed, ok } from './fixtures.mjs'
import { startStack } from './stack.mjs'

const KILLS = Number(process.env.WORKER_KILLS ?? 20)
const BACKEND_KILLS = Number(process.env.BACKEND_KILLS ?? 10)

let stack, alice, service, endpoint, environment, number = 0

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  service = await stack.service()
  endpoint = await startEndpoint()
  environment = {
    DATABASE_URL: `${stack.databaseUrl}?role=service_role`,
    EMBEDDINGS_URL: endpoint.url, EMBEDDINGS_API_KEY: 'a-key', EMBEDDINGS_TIMEOUT: '2',
  }
})
after(async () => {
  await endpoint?.stop()
  await stack?.stop()
})
beforeEach(() => {
  endpoint.misbehave = () => undefined
  endpoint.requests.length = 0
  endpoint.refusals.length = 0
  endpoint.embedded.clear()
})

/** A project with one source that has this many chunks, each a line of its own words. */
async function projectOf(lines, settings = {}) {
  const name = `Project ${++number}`
  const project_id = await ok(alice.rpc('create_project', { name, settings }))
  const content = lines.map((line, i) => line ?? `p${number}line${i} apple banana cherry`).join('\n\n')
  await ok(alice.rpc('ingest_source', { project_id, name: 'lines.txt', content, max_tokens: 16, overlap_tokens: 0 }))
  return project_id
}

const count = (length) => Array.from({ length }, () => null)
const embedOnce = (project_id, args = [], env = {}) => runWorker(['embed', '--once', '--project', project_id, ...args], { ...environment, ...env })

/** Each chunk of the project has exactly one vector: that of its own text. Returns how many. */
async function assertEmbedded(project_id, exceptions = 0) {
  const chunks = await ok(service.from('source_chunks').select('id, content, chunk_embeddings(embedding)').eq('project_id', project_id).limit(10000))
  const without = chunks.filter((chunk) => chunk.chunk_embeddings.length === 0)
  assert.equal(without.length, exceptions, `${without.length} of ${chunks.length} chunks have no vector`)
  for (const { content, chunk_embeddings } of chunks) {
    assert.ok(chunk_embeddings.length <= 1)
    for (const { embedding } of chunk_embeddings) assert.deepEqual(JSON.parse(embedding), embed(content))
  }
  return chunks.length
}

test('matrice-worker --once embeds every chunk once, in base64, and records the cost of each call', async () => {
  const project_id = await projectOf(count(150))
  const { code, stdout, stderr } = await embedOnce(project_id)
  assert.equal(code, 0, stderr)
  const chunks = await assertEmbedded(project_id)
  assert.equal(JSON.parse(stdout).stored, chunks)
  assert.ok(endpoint.requests.every((request) => request.encoding_format === 'base64' && request.authorization === 'Bearer a-key' && request.model === MODEL))
  assert.ok([...endpoint.embedded.values()].every((times) => times === 1))

  const [run] = await ok(alice.from('workflow_runs').select('status, workflow_steps(step_name, status, model, tokens_input, cost_usd)').eq('project_id', project_id))
  assert.equal(run.status, 'completed')
  assert.equal(run.workflow_steps.length, endpoint.requests.length)
  assert.ok(run.workflow_steps.every((step) => step.step_name === 'embed' && step.status === 'success' && step.model === MODEL && step.tokens_input > 0 && step.cost_usd > 0))
})

test('a text that several chunks of a project have is embedded once', async () => {
  const chunks = ['the same words', 'other words', 'the same words'].map((content) => ({ content }))
  for (const name of ['first', 'second']) {
    const project_id = await ok(alice.rpc('create_project', { name }))
    for (const source of ['a', 'b']) await ok(alice.rpc('ingest_chunks', { project_id, name: source, chunks }))
    endpoint.embedded.clear()
    const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
    assert.equal(code, 0, stderr)
    assert.deepEqual(Object.fromEntries(endpoint.embedded), { 'the same words': 1, 'other words': 1 }, 'another project does not count')
    endpoint.requests.length = 0
    await ok(alice.rpc('ingest_chunks', { project_id, name: 'c', chunks }))
    await embedOnce(project_id)
    assert.equal(endpoint.requests.length, 0, 'an equal text that comes later is not sent')
    assert.equal(await assertEmbedded(project_id), 9)
  }
})

test('matrice-worker never exceeds what the endpoint takes at once', async () => {
  // 900 chunks of about 500 tokens: 450,000 tokens.
  const words = Array.from({ length: 480 }, (_, i) => `w${i}`).join(' ')
  const project_id = await ok(alice.rpc('create_project', { name: 'Large' }))
  for (let i = 0; i < 3; i++) {
    const content = Array.from({ length: 300 }, (_, j) => `s${i}l${j} ${words.slice(0, 900)}`).join('\n\n')
    await ok(alice.rpc('ingest_source', { project_id, name: `${i}.txt`, content, max_tokens: 512, overlap_tokens: 0 }))
  }
  const { code, stderr } = await embedOnce(project_id, [], { EMBEDDINGS_MAX_INPUTS: '2048', EMBEDDINGS_MAX_BATCH_TOKENS: '300000' })
  assert.equal(code, 0, stderr)
  assert.ok(endpoint.requests.length >= 2)
  assert.deepEqual(endpoint.refusals, [])
  await assertEmbedded(project_id)
})

test('matrice-worker over PostgREST does the same', async () => {
  const project_id = await projectOf(count(30))
  const { code, stderr } = await embedOnce(project_id, [],
    { DATABASE_URL: '', SUPABASE_URL: stack.url, SUPABASE_SERVICE_ROLE_KEY: await stack.token({ role: 'service_role' }) })
  assert.equal(code, 0, stderr)
  await assertEmbedded(project_id)
})

test('matrice-worker embeds insights beside chunks, and search_insights finds one by its meaning alone', async () => {
  const project_id = await projectOf(count(5))
  const insights = ['The wind falls at dusk.', 'Ropes break when wet.', 'The cook leaves in May.']
  for (const content of insights) await ok(alice.rpc('record_insight', { project_id, type: 'pattern', title: 'Log', content }))
  const { code, stdout, stderr } = await embedOnce(project_id)
  assert.equal(code, 0, stderr)
  assert.equal(JSON.parse(stdout).stored, await assertEmbedded(project_id) + insights.length)
  const rows = await ok(alice.from('insight_embeddings').select('embedding, model, insights(title, content)').eq('project_id', project_id))
  assert.equal(rows.length, insights.length)
  for (const { embedding, model, insights: { title, content } } of rows) {
    assert.equal(model, MODEL)
    assert.deepEqual(JSON.parse(embedding), embed(`${title}\n${content}`))
  }

  // No insight has a word of the query; its vector is near to that of one.
  const query = { query_text: 'calm evening', project_id }
  assert.deepEqual(await ok(alice.rpc('search_insights', query)), [])
  const [found] = await ok(alice.rpc('search_insights', { ...query, match_count: 1, query_embedding: embed('wind dusk falls') }))
  assert.equal(found.content, insights[0])
  const [{ context, citations }] = await ok(alice.rpc('build_context', { ...query, query_embedding: embed('wind dusk falls'), insights: 1 }))
  assert.match(context, /The wind falls at dusk/)
  assert.equal(citations[0].insight_id, found.insight_id)
  assert.deepEqual(citations[0].evidence.map(({ kind, is_for, state }) => ({ kind, is_for, state })), [{ kind: 'person', is_for: true, state: 'stands' }])

  await ok(alice.from('insights').update({ content: 'The wind rises at noon.' }).eq('id', found.insight_id))
  assert.equal(JSON.parse((await embedOnce(project_id)).stdout).stored, 1, 'a new text is embedded again')
})

/** A project with one source, whose chunks have these texts. */
async function projectOfChunks(texts, settings = {}) {
  const project_id = await ok(alice.rpc('create_project', { name: `Project ${++number}`, settings }))
  await ok(alice.rpc('ingest_chunks', { project_id, name: 'chunks', chunks: texts.map((content) => ({ content })) }))
  return project_id
}

const words = (length, poisoned = []) => Array.from({ length }, (_, i) => `chunk ${i} apple${poisoned.includes(i) ? ' POISON' : ''}`)

test('one text that the endpoint refuses becomes a dead letter alone', async () => {
  const project_id = await projectOfChunks(words(64, [37]))
  const { code, stdout } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 1)
  const chunks = await assertEmbedded(project_id, 1)
  const counts = JSON.parse(stdout)
  assert.deepEqual([counts.stored, counts.failed], [chunks - 1, 1])
  const dead = await ok(alice.rpc('failed_chunks', { project_id }))
  assert.deepEqual(dead.map(({ chunk_index }) => chunk_index), [37])
  assert.match(dead[0].last_error, /violates the policy/)

  endpoint.requests.length = 0
  await embedOnce(project_id)
  assert.equal(endpoint.requests.length, 0, 'a dead letter is not sent again')
})

test('wherever a text of 64 is refused, it costs at most 7 more calls, and no text is paid for twice', async () => {
  const project_id = await ok(alice.rpc('create_project', { name: 'Poison at every place' }))
  for (let place = 0; place < 64; place++) {
    const chunks = words(64, [place]).map((content) => ({ content: `source${place} ${content}` }))
    await ok(alice.rpc('ingest_chunks', { project_id, name: `source ${place}`, chunks }))
  }
  const { stdout } = await embedOnce(project_id, ['--jobs', '1'], { EMBEDDINGS_MAX_INPUTS: '64' })
  const { stored, failed } = JSON.parse(stdout)
  assert.deepEqual([stored, failed], [64 * 63, 64])
  for (let place = 0; place < 64; place++) {
    const requests = endpoint.requests.filter(({ input }) => input[0].startsWith(`source${place} `))
    assert.equal(requests[0].input.length, 64)
    assert.ok(requests.length <= 8, `at ${place}: ${requests.length - 1} more calls`)
  }
  assert.ok([...endpoint.embedded.values()].every((times) => times === 1))
})

for (const [size, places] of [[64, [0, 1]], [64, [5, 6, 40, 63]], [3, [0, 2]], [2, [1]], [1, []], [7, [0, 1, 2, 3, 4, 5]], [100, [99]]]) {
  test(`of ${size} texts, those at ${places.join(', ') || 'no place'} are refused: they alone become dead letters`, async () => {
    const project_id = await projectOfChunks(words(size, places))
    await embedOnce(project_id, ['--jobs', '1'])
    assert.deepEqual((await ok(alice.rpc('failed_chunks', { project_id }))).map(({ chunk_index }) => chunk_index), places)
    await assertEmbedded(project_id, places.length)
    assert.ok([...endpoint.embedded].every(([text, times]) => times === 1 || text === 'text'), 'no text was paid for twice')
  })
}

test('an endpoint that takes fewer texts at once than it is given makes no dead letters', async () => {
  const project_id = await projectOfChunks(words(64))
  endpoint.misbehave = ({ input }) => input.length > 9 ? { status: 400, body: { error: { message: 'too many inputs' } } } : undefined
  const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 0, stderr)
  await assertEmbedded(project_id)
})

test('an endpoint that refuses every text makes no dead letters', async () => {
  const project_id = await projectOf(count(10))
  endpoint.misbehave = () => ({ status: 400, body: { detail: 'model not loaded' } })
  const { code, stderr } = await embedOnce(project_id)
  assert.equal(code, 1)
  assert.match(stderr, /model not loaded/)
  assert.deepEqual(await ok(alice.rpc('failed_chunks', { project_id })), [])
})

test('a wrong key stops the worker at once', async () => {
  const project_id = await projectOf(count(10))
  endpoint.misbehave = () => ({ status: 401, body: { error: { message: 'Incorrect API key' } } })
  const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 1)
  assert.match(stderr, /Incorrect API key/)
  assert.equal(endpoint.requests.length, 1)
})

const NEXT = 'text-embedding-ada-002'
const coverage = async (project_id) => Object.fromEntries((await ok(alice.rpc('model_coverage', { project_id })))
  .map(({ model, ...row }) => [model, row]))

test('during a switch, matrice-worker embeds with both models, and its last claim ends the switch', async () => {
  const project_id = await projectOf(count(20))
  assert.equal((await embedOnce(project_id)).code, 0)
  assert.equal(await ok(alice.rpc('switch_embedding_model', { project_id, model: NEXT })), false)
  await ok(alice.rpc('ingest_source', { project_id, name: 'new', content: 'Something new, meanwhile' }))
  endpoint.requests.length = 0
  const { code, stderr } = await embedOnce(project_id)
  assert.equal(code, 0, stderr)
  assert.deepEqual(new Set(endpoint.requests.map((request) => request.model)), new Set([MODEL, NEXT]))
  const { [MODEL]: before, [NEXT]: after } = await coverage(project_id)
  assert.deepEqual(after, { is_active: true, is_next: false, chunks: before.chunks, embedded: before.chunks, failed: 0 })
  assert.equal(before.embedded, before.chunks)
})

test('a key that is refused after it has worked stops the worker', async () => {
  const project_id = await projectOf(count(40))
  endpoint.misbehave = ({ number }) => number > 1 ? { status: 401, body: { error: { message: 'This key was revoked' } } } : undefined
  const { code, stderr } = await runWorker(['embed', '--project', project_id, '--jobs', '1'], { ...environment, EMBEDDINGS_MAX_INPUTS: '10' })
  assert.equal(code, 1)
  assert.match(stderr, /This key was revoked/)
  assert.equal(endpoint.requests.length, 2)
})

for (const [way, env] of [['a connection', {}], ['PostgREST', { DATABASE_URL: '' }]]) {
  test(`a next model that the endpoint does not have stops no other one, over ${way}`, async () => {
    if (env.DATABASE_URL === '') Object.assign(env, { SUPABASE_URL: stack.url, SUPABASE_SERVICE_ROLE_KEY: await stack.token({ role: 'service_role' }) })
    const project_id = await projectOf(count(20))
    assert.equal((await embedOnce(project_id)).code, 0)
    await ok(alice.rpc('switch_embedding_model', { project_id, model: NEXT }))
    await ok(alice.rpc('ingest_source', { project_id, name: 'new', content: 'Something new, meanwhile' }))
    endpoint.misbehave = ({ model }) => model === NEXT ? { status: 404, body: { error: { message: 'no such model here' } } } : undefined
    // In whatever order the models come, of all projects.
    for (const args of [['--project', project_id], []]) {
      endpoint.requests.length = 0
      const { code, stderr } = await runWorker(['embed', '--once', '--jobs', '1', ...args], { ...environment, ...env })
      assert.equal(code, 1)
      assert.match(stderr, /text-embedding-ada-002 cannot be embedded: .*no such model here/)
      assert.equal(endpoint.requests.filter(({ model }) => model === NEXT).length, 1)
      await ok(alice.rpc('ingest_source', { project_id, name: 'new', content: `Something newer, meanwhile: ${args.length}` }))
    }
    const { [MODEL]: active, [NEXT]: next } = await coverage(project_id)
    assert.deepEqual(active, { is_active: true, is_next: false, chunks: active.chunks, embedded: active.chunks - 1, failed: 0 })
    assert.deepEqual([next.is_next, next.embedded, next.failed], [true, 0, 0])
    await ok(alice.rpc('cancel_model_switch', { project_id }))
    endpoint.misbehave = () => undefined
    assert.equal((await embedOnce(project_id)).code, 0)
    await assertEmbedded(project_id)
  })
}

test('for a truncated model, the endpoint is asked for the whole one', async () => {
  await ok(service.rpc('register_model', { model: 'small, first 512', dimensions: 512, truncated_from: MODEL }))
  const project_id = await projectOf(count(10), { embedding_model: 'small, first 512' })
  const { code, stderr } = await embedOnce(project_id)
  assert.equal(code, 0, stderr)
  assert.ok(endpoint.requests.length > 0 && endpoint.requests.every((request) => request.model === MODEL))
  const chunks = await ok(service.from('source_chunks').select('content, chunk_embeddings(embedding, model)').eq('project_id', project_id))
  for (const { content, chunk_embeddings: [{ embedding, model }] } of chunks) {
    assert.equal(model, 'small, first 512')
    const first = embed(content).slice(0, 512)
    const length = Math.hypot(...first)
    for (const [i, number] of JSON.parse(embedding).entries()) assert.ok(Math.abs(number - first[i] / length) < 1e-6)
  }
})

test('429 with Retry-After is waited for, and is no failure', async () => {
  const project_id = await projectOf(count(20))
  const times = []
  endpoint.misbehave = ({ number }) => {
    times.push(performance.now())
    return number <= 2 ? { status: 429, headers: { 'retry-after': '1' }, body: { error: { message: 'slow down' } } } : undefined
  }
  const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 0, stderr)
  assert.ok(times[1] - times[0] >= 1000 && times[2] - times[1] >= 1000)
  await assertEmbedded(project_id)
})

// As OpenAI and Voyage word their limits for accounts that have not paid yet.
for (const [provider, body] of Object.entries({
  OpenAI: { error: { type: 'requests', code: 'rate_limit_exceeded', message: 'Rate limit reached on requests per min. Limit: 3 / min. Visit https://platform.openai.com/account/billing to add a payment method.' } },
  Voyage: { detail: 'You have not yet added your payment method in the billing page and will have reduced rate limits of 3 RPM and 10K TPM.' },
})) {
  test(`a limit of a minute that names billing is waited for (${provider})`, async () => {
    const project_id = await projectOf(count(3))
    endpoint.misbehave = ({ number }) => number === 1 ? { status: 429, headers: { 'retry-after': '1' }, body } : undefined
    const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
    assert.equal(code, 0, stderr)
    await assertEmbedded(project_id)
  })
}

for (const status of [301, 302, 307]) {
  test(`a redirect (${status}) is not followed, and its address is told`, async () => {
    const project_id = await projectOf(count(3))
    endpoint.misbehave = () => ({ status, headers: { location: '/v2/embeddings' }, body: '' })
    const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
    assert.equal(code, 1)
    assert.match(stderr, new RegExp(`HTTP ${status}: it redirects to /v2/embeddings. Set EMBEDDINGS_URL`))
    assert.equal(endpoint.requests.length, 1)
  })
}

test('an empty account stops the worker at once', async () => {
  const project_id = await projectOf(count(3))
  endpoint.misbehave = () => ({ status: 429, body: { error: { type: 'insufficient_quota', code: 'insufficient_quota', message: 'You exceeded your current quota' } } })
  const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 1)
  assert.match(stderr, /You exceeded your current quota/)
  assert.equal(endpoint.requests.length, 1)
})

for (const [way, env] of [['a connection', {}], ['PostgREST', { DATABASE_URL: '' }]]) {
  test(`reasons that PostgreSQL cannot store as they are stop no worker, over ${way}`, async () => {
    if (env.DATABASE_URL === '') Object.assign(env, { SUPABASE_URL: stack.url, SUPABASE_SERVICE_ROLE_KEY: await stack.token({ role: 'service_role' }) })
    // Cut after 500 units, the second is half of a character at both ends.
    for (const message of ['bad\u0000text', '🌴'.repeat(600).slice(1)]) {
      const project_id = await projectOf(count(3))
      const first = endpoint.requests.length + 1
      endpoint.misbehave = ({ number }) => number === first ? { status: 500, body: { error: { message } } } : undefined
      const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'], env)
      assert.equal(code, 0, stderr)
      assert.match(stderr, /failure 1 in a row/)
      assert.doesNotMatch(stderr, /not recorded/)
      await assertEmbedded(project_id)
    }
  })
}

const change = (edit) => ({ change: (answer) => { edit(answer); return answer } })
const ODD = {
  '500': { status: 500, body: { error: 'internal' } },
  'no JSON': { status: 200, body: '<html>gateway</html>' },
  '`detail` with 200': { status: 200, body: { detail: 'overloaded' } },
  'one vector fewer': change((answer) => answer.data.pop()),
  'an index twice': change((answer) => { answer.data[1].index = 0 }),
  'an embedding that is no vector': change((answer) => { answer.data[0].embedding = null }),
  'vectors of different lengths': change((answer) => { answer.data[0].embedding = 'AAAAAA==' }),
  'no answer in time': { delay: 2500 },
}
for (const [name, odd] of Object.entries(ODD)) {
  test(`an answer with ${name} stores nothing, and the next one everything`, async () => {
    const project_id = await projectOf(count(5))
    endpoint.misbehave = ({ number }) => number === 1 ? odd : undefined
    const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
    assert.equal(code, 0, stderr)
    assert.match(stderr, /failure 1 in a row/)
    assert.equal(endpoint.requests.length, 2)
    await assertEmbedded(project_id)
  })
}

test('--once waits for chunks that failed twice, and embeds them', async () => {
  const project_id = await projectOf(count(5))
  endpoint.misbehave = ({ number }) => number <= 2 ? { status: 500, body: { error: 'internal' } } : undefined
  const { code, stdout, stderr } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 0, stderr)
  assert.match(stderr, /^(\d+) chunks are left: \1 failed and wait to be tried again, 0 are with other workers; .*, waiting$/m)
  assert.deepEqual([JSON.parse(stdout).left, endpoint.requests.length], [0, 3])
  await assertEmbedded(project_id)
})

for (const [way, env] of [['a connection', {}], ['PostgREST', { DATABASE_URL: '' }]]) {
  test(`--once that may not wait so long ends with 1, and says how many chunks are left, over ${way}`, async () => {
    if (env.DATABASE_URL === '') Object.assign(env, { SUPABASE_URL: stack.url, SUPABASE_SERVICE_ROLE_KEY: await stack.token({ role: 'service_role' }) })
    const project_id = await projectOf(count(5))
    endpoint.misbehave = () => ({ status: 500, body: { error: 'internal' } })
    // The second run finds nothing to claim.
    for (const requests of [2, 2]) {
      const { code, stdout, stderr } = await embedOnce(project_id, ['--jobs', '1', '--wait', '1'], env)
      assert.equal(code, 1, stderr)
      const { stored, failed, left } = JSON.parse(stdout)
      assert.deepEqual([stored, failed, left, endpoint.requests.length], [0, 0, Number(stack.sql(`select count(*) from matrice.source_chunks where project_id = '${project_id}'`)), requests])
    }
  })
}

test('--once waits for what a worker that was killed had', async () => {
  const project_id = await projectOf(count(20))
  endpoint.misbehave = () => ({ delay: 500 })
  const { child, result } = startWorker(['embed', '--project', project_id, '--jobs', '1'], { ...environment, MATRICE_LEASE_SECONDS: '3' })
  while (endpoint.requests.length === 0) await sleep(20)
  child.kill('SIGKILL')
  await result
  const { code, stderr } = await embedOnce(project_id)
  assert.equal(code, 0, stderr)
  assert.match(stderr, /0 failed and wait to be tried again, \d+ are with other workers/)
  await assertEmbedded(project_id)
})

test('vectors in another order go to their texts by index', async () => {
  const project_id = await projectOf(count(5))
  endpoint.misbehave = () => change((answer) => answer.data.reverse())
  const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 0, stderr)
  await assertEmbedded(project_id)
})

test('where the endpoint counts tokens absurdly, the own count is recorded', async () => {
  const project_id = await projectOf(count(3))
  endpoint.misbehave = () => change((answer) => { answer.usage = { prompt_tokens: 9e15 } })
  const { code, stdout, stderr } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 0, stderr)
  const [{ workflow_steps: [step] }] = await ok(alice.from('workflow_runs').select('workflow_steps(tokens_input)').eq('project_id', project_id))
  assert.equal(step.tokens_input, JSON.parse(stdout).tokens)
})

test('vectors of the wrong length stop the worker before it pays for more', async () => {
  const project_id = await projectOf(count(40))
  endpoint.misbehave = () => change((answer) => { for (const item of answer.data) item.embedding = Buffer.from(Float32Array.from([1, 2, 3]).buffer).toString('base64') })
  const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'], { EMBEDDINGS_MAX_INPUTS: '10' })
  assert.equal(code, 1)
  assert.match(stderr, /refuses every vector/)
  assert.equal(endpoint.requests.length, 1)
  assert.deepEqual(await ok(alice.rpc('failed_chunks', { project_id })), [])
})

test('a vector of zeros is a dead letter alone', async () => {
  const project_id = await projectOf(count(8))
  endpoint.misbehave = ({ number }) => number === 1 ? change((answer) => { answer.data[3].embedding = Buffer.alloc(1536 * 4).toString('base64') }) : undefined
  const { code, stdout } = await embedOnce(project_id, ['--jobs', '1'])
  assert.equal(code, 1)
  const chunks = await assertEmbedded(project_id, 1)
  assert.equal(JSON.parse(stdout).stored, chunks - 1)
  assert.equal(endpoint.requests.length, 1)
})

test('an endpoint that does not know encoding_format is asked without it', async () => {
  const project_id = await projectOf(count(5))
  endpoint.misbehave = ({ encoding_format }) => encoding_format ? { status: 400, body: { message: 'unknown field encoding_format' } } : undefined
  const { code, stderr } = await embedOnce(project_id)
  assert.equal(code, 0, stderr)
  await assertEmbedded(project_id)
})

test('a source that is deleted while it is embedded stops no worker', async () => {
  for (const status of [200, 500, 400]) {
    const project_id = await projectOfChunks(words(10))
    endpoint.misbehave = () => {
      stack.sql(`delete from matrice.context_sources where project_id = '${project_id}'`)
      return status === 200 ? undefined : { status, body: { error: { message: 'no' } } }
    }
    const { code, stderr } = await embedOnce(project_id, ['--jobs', '1'])
    assert.equal(code, status === 400 ? 1 : 0, stderr)
    assert.doesNotMatch(stderr, /chunks not found/)
  }
})

test('SIGTERM ends the worker after what is in flight', async () => {
  const project_id = await projectOf(count(120))
  endpoint.misbehave = () => ({ delay: 300 })
  const { child, result } = startWorker(['embed', '--project', project_id], { ...environment, EMBEDDINGS_MAX_INPUTS: '10' })
  while (endpoint.requests.length < 3) await sleep(20)
  child.kill('SIGTERM')
  const { code, stdout } = await result
  assert.equal(code, 0)
  const { stored } = JSON.parse(stdout)
  assert.equal(stored, endpoint.requests.reduce((sum, { input }) => sum + input.length, 0), 'what was paid for is stored')
  assert.ok(stored < 120)
  assert.deepEqual(await ok(service.from('embedding_leases').select().eq('project_id', project_id)), [])
})

test('backends that end under the worker cost no second embedding', async () => {
  const project_id = await projectOf(count(300))
  endpoint.misbehave = () => ({ delay: 30 })
  const { child, result } = startWorker(['embed', '--once', '--project', project_id, '--jobs', '4'], { ...environment, EMBEDDINGS_MAX_INPUTS: '5' })
  let ended = 0
  for (let round = 0; round < 8 && child.exitCode === null; round++) {
    await sleep(150 + Math.random() * 200)
    ended += Number(stack.sql(`select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'matrice-worker'`))
  }
  const { code, stderr } = await result
  assert.equal(code, 0, stderr)
  assert.ok(ended > 0)
  await assertEmbedded(project_id)
  assert.ok([...endpoint.embedded.values()].every((times) => times === 1), 'no text was paid for twice')
})

test(`killed at ${KILLS} random points, workers embed every chunk exactly once`, async () => {
  const project_id = await projectOf(count(40 * KILLS))
  endpoint.misbehave = () => ({ delay: 5 + Math.random() * 20 })
  const env = { ...environment, EMBEDDINGS_MAX_INPUTS: '4', MATRICE_LEASE_SECONDS: '2' }
  const start = () => startWorker(['embed', '--project', project_id, '--jobs', '4'], env)
  for (let kill = 0; kill < KILLS;) {
    const workers = Array.from({ length: Math.min(4, KILLS - kill) }, start)
    await Promise.all(workers.map(async ({ child, result }) => {
      await sleep(400 + Math.random() * 400)
      child.kill('SIGKILL')
      assert.equal((await result).signal, 'SIGKILL')
    }))
    kill += workers.length
  }
  const { child, result } = start()
  for (let left = 1; left > 0;) {
    await sleep(300)
    left = Number(stack.sql(`select count(*) from matrice.source_chunks c where project_id = '${project_id}'
      and not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id)`))
  }
  child.kill('SIGTERM')
  assert.equal((await result).code, 0)
  await assertEmbedded(project_id)
})

test('of eight workers one is killed: each chunk is embedded once, and only what that one had is paid for again', async () => {
  const project_id = await projectOf(count(1200))
  const inFlight = 2 * 10
  endpoint.misbehave = () => ({ delay: 20 + Math.random() * 30 })
  const env = { ...environment, EMBEDDINGS_MAX_INPUTS: '10', MATRICE_LEASE_SECONDS: '10' }
  const workers = Array.from({ length: 8 }, () => startWorker(['embed', '--once', '--project', project_id], env))
  while (endpoint.requests.length < 30) await sleep(10)
  workers[3].child.kill('SIGKILL')
  const results = await Promise.all(workers.map(({ result }) => result))
  for (const [place, { code, signal, stderr }] of results.entries()) {
    if (place === 3) assert.equal(signal, 'SIGKILL')
    else assert.equal(code, 0, stderr)
  }
  await assertEmbedded(project_id)
  const again = [...endpoint.embedded.values()].filter((times) => times > 1)
  assert.ok(again.length <= inFlight && again.every((times) => times === 2), `${again.length} texts were paid for again`)
})

test('a text that kills its worker becomes a dead letter, and no other text does', async () => {
  const project_id = await projectOfChunks(words(64, [20]), { max_attempts: 4 })
  const env = { ...environment, EMBEDDINGS_MAX_INPUTS: '64', MATRICE_LEASE_SECONDS: '1' }
  const batches = []
  let dead = []
  while (dead.length === 0) {
    assert.ok(batches.length <= 4, 'it is not handed out a fifth time')
    const { child, result } = startWorker(['embed', '--once', '--project', project_id, '--jobs', '1'], env)
    endpoint.misbehave = ({ input }) => {
      if (!input.some((text) => text.includes('POISON'))) return undefined
      batches.push(input.length)
      child.kill('SIGKILL')
      return { delay: 50 }
    }
    await result
    await sleep(1000)
    dead = await ok(alice.rpc('failed_chunks', { project_id }))
  }
  assert.deepEqual(batches.slice(0, 1), [64])
  assert.ok(batches[1] <= 8)
  assert.deepEqual(batches.slice(2), [1, 1])
  assert.deepEqual(dead.map(({ chunk_index, attempts, last_error }) => [chunk_index, attempts, last_error]),
    [[20, 4, 'the worker did not answer before the lease ended']])
  endpoint.misbehave = () => undefined
  await embedOnce(project_id)
  await assertEmbedded(project_id, 1)
})

// PostgreSQL restarts after each, because such a backend may have left broken memory behind.
test(`with ${BACKEND_KILLS} backends killed under it, a worker embeds every chunk exactly once`, async () => {
  const project_id = await projectOf(count(100 * BACKEND_KILLS))
  endpoint.misbehave = () => ({ delay: 5 + Math.random() * 30 })
  // Longer than any store waits here, and than a busy machine takes to answer. While a worker holds an answer, nobody else may
  // pay for the same texts.
  const { child, result } = startWorker(['embed', '--project', project_id, '--jobs', '4'],
    { ...environment, EMBEDDINGS_MAX_INPUTS: '3', MATRICE_LEASE_SECONDS: '3600', EMBEDDINGS_TIMEOUT: '60' })
  const ask = (text) => {
    try {
      return stack.sql(text)
    } catch {
      return ''
    }
  }
  const backends = `select string_agg(pid::text, ' ') from pg_stat_activity where application_name = 'matrice-worker'`
  const embedded = `select count(*) from matrice.chunk_embeddings where project_id = '${project_id}'`
  let [kills, storedBefore] = [0, 0]
  const requireWorker = async () => {
    if (child.exitCode !== null) assert.fail(`the worker ended after ${kills} kills: ${(await result).stderr.slice(-2000)}`)
  }
  while (kills < BACKEND_KILLS) {
    await requireWorker()
    // Each at another point of the work, so it goes on in between.
    const stored = Number(ask(embedded))
    if (!(stored > storedBefore)) {
      await sleep(50)
      continue
    }
    await sleep(Math.random() * 500)
    const pids = ask(backends).split(' ').filter(Boolean)
    if (pids.length === 0) continue
    try {
      process.kill(Number(pids[Math.floor(Math.random() * pids.length)]), 'SIGKILL')
      kills++
      storedBefore = stored
    } catch (error) {
      assert.equal(error.code, 'ESRCH')
    }
  }
  // It stores what it has paid for before it ends. What is left then are claims whose answer was lost: their leases end.
  child.kill('SIGTERM')
  const { code, stderr } = await result
  assert.equal(code, 0, stderr)
  while (ask(embedded) === '') await sleep(100)
  stack.sql('update matrice.embedding_leases set leased_until = now() where leased_until > now()')
  assert.equal((await embedOnce(project_id)).code, 0)
  assert.equal(stack.sql(embedded), stack.sql(`select count(*) from matrice.source_chunks where project_id = '${project_id}'`))
  assert.equal(endpoint.embedded.size, Number(stack.sql(`select count(distinct content) from matrice.source_chunks where project_id = '${project_id}'`)))
  assert.deepEqual([...endpoint.embedded].filter(([, times]) => times > 1), [], 'no text was paid for twice')
})

test('the edge function embed works until nothing is left, for those who know the secret', async () => {
  const project_id = await projectOf(count(50))
  const functions = await startFunction('embed', {
    ...environment, DATABASE_URL: '', SUPABASE_URL: stack.url, SUPABASE_SERVICE_ROLE_KEY: await stack.token({ role: 'service_role' }), MATRICE_WORKER_SECRET: 'a secret',
  })
  try {
    const call = (secret) => fetch(`http://127.0.0.1:${functions.port}/`, { method: 'POST', headers: { authorization: `Bearer ${secret}` } })
    assert.equal((await call('another secret')).status, 401)
    const answer = await call('a secret')
    assert.equal(answer.status, 200, functions.log.join(''))
    assert.equal((await answer.json()).stored >= await assertEmbedded(project_id), true)
  } finally {
    await functions.stop()
  }
})
