// From a question to its passages: the edge function context, with the token of its user, and the command, against real PostgREST
// and an endpoint over HTTP. Supabase's gateway is an address in front of the function and of PostgREST.

import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { runWorker, startFunction } from './deno.mjs'
import { startEndpoint } from './endpoint.mjs'
import { ALICE, BOB, MODEL, embed, ok } from './fixtures.mjs'
import { startGateway } from './gateway.mjs'
import { example, run } from './readme.mjs'
import { startStack } from './stack.mjs'

const QUESTION = 'Which whale did the captain hunt?'

let stack, endpoint, gateway, functions, alice, service, project_id, environment
const tokens = {}

before(async () => {
  stack = await startStack()
  endpoint = await startEndpoint()
  alice = await stack.user(ALICE)
  service = await stack.service()
  for (const id of [ALICE, BOB]) tokens[id] = await stack.token({ role: 'authenticated', sub: id })
  const embeddings = { EMBEDDINGS_URL: endpoint.url, EMBEDDINGS_API_KEY: 'sk-secret', EMBEDDINGS_QUERY_PREFIX: 'query: ' }
  environment = { DATABASE_URL: `${stack.databaseUrl}?role=service_role`, ...embeddings }
  project_id = await ok(alice.rpc('create_project', { name: 'Whales' }))
  const content = 'The captain hunted a white whale.\n\nThe cook baked bread.'
  await ok(alice.rpc('ingest_source', { project_id, name: 'whale.txt', content, max_tokens: 16, overlap_tokens: 0 }))
  const { code, stderr } = await runWorker(['embed', '--once', '--project', project_id], environment)
  assert.equal(code, 0, stderr)
  gateway = await startGateway(stack, 'context', () => functions.port)
  functions = await startFunction('context', { SUPABASE_URL: stack.url, SUPABASE_ANON_KEY: 'publishable-key', ...embeddings })
})
after(async () => {
  await functions?.stop()
  gateway?.stop()
  await endpoint?.stop()
  await stack?.stop()
})
beforeEach(() => {
  endpoint.misbehave = () => undefined
  endpoint.requests.length = 0
})

async function post(body, as = ALICE) {
  const headers = { 'content-type': 'application/json', ...as && { authorization: `Bearer ${tokens[as]}` } }
  const answer = await fetch(`${gateway.url}/functions/v1/context`, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
  return { status: answer.status, body: await answer.json() }
}
const ask = (more, as) => post({ project_id, question: QUESTION, ...more }, as)

test('a question becomes the passages for it, with one request that has the prefix of questions', async () => {
  const { status, body } = await ask({ token_budget: 200 })
  assert.equal(status, 200, JSON.stringify(body) + functions.log.join(''))
  assert.match(body.context, /The captain hunted a white whale\./)
  const query_embedding = JSON.stringify(embed(`query: ${QUESTION}`))
  assert.deepEqual([body], await ok(alice.rpc('build_context', { project_id, query_text: QUESTION, query_embedding, token_budget: 200 })))
  assert.deepEqual(body.citations.map(({ source_name }) => source_name), ['whale.txt'])
  assert.ok(body.token_count > 0 && body.token_count <= 200)
  assert.deepEqual(endpoint.requests.map(({ model, input }) => [model, input]), [[MODEL, [`query: ${QUESTION}`]]])
})

test('the command prints the same', async () => {
  const { code, stdout, stderr } = await runWorker(['context', '--project', project_id, '--tokens', '200', QUESTION], environment)
  assert.equal(code, 0, stderr)
  assert.deepEqual(JSON.parse(stdout), (await ask({ token_budget: 200 })).body)
})

test('a conversation brings its turns', async () => {
  const conversation_id = await ok(alice.rpc('start_conversation', { project_id, title: 'Whales' }))
  await ok(alice.rpc('add_turn', { conversation_id, role: 'user', content: QUESTION }))
  const { status, body } = await ask({ conversation_id })
  assert.equal(status, 200, JSON.stringify(body))
  assert.deepEqual(body.turns.map(({ role, content }) => [role, content]), [['user', QUESTION]])
  assert.match(body.context, /white whale/)
  const other = await ok(alice.rpc('create_project', { name: 'Other' }))
  const mixed = await ask({ project_id: other, conversation_id })
  assert.deepEqual([mixed.status, mixed.body.code], [404, 'PT404'], 'not by the name of another project')
})

test('a project whose model is truncated asks for the whole one', async () => {
  await ok(service.rpc('register_model', { model: 'first 64', dimensions: 64, truncated_from: MODEL }))
  const short = await ok(alice.rpc('create_project', { name: 'Short', settings: { embedding_model: 'first 64' } }))
  await ok(alice.rpc('ingest_source', { project_id: short, name: 'whale.txt', content: 'The captain hunted a white whale.' }))
  const worker = await runWorker(['embed', '--once', '--project', short], environment)
  assert.equal(worker.code, 0, worker.stderr)
  endpoint.requests.length = 0
  const { status, body } = await ask({ project_id: short })
  assert.equal(status, 200, JSON.stringify(body))
  assert.match(body.context, /white whale/)
  assert.deepEqual(endpoint.requests.map(({ model }) => model), [MODEL])
})

test('who may not read the project costs no request', async () => {
  for (const [body, as, status, code] of [
    [{}, BOB, 404, 'PT404'], [{}, null, 401, 'unauthorized'],
    [{ project_id: '00000000-0000-4000-8000-000000000000' }, ALICE, 404, 'PT404'], [{ project_id: 'none' }, ALICE, 400, '22P02'],
  ]) {
    const answer = await ask(body, as)
    assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body))
  }
  assert.equal(endpoint.requests.length, 0)
})

test('what is wrong with a request is said before it costs anything', async () => {
  for (const body of [
    '', 'x', '[]', 'null', {}, { project_id }, { project_id, question: 7 }, { project_id, question: ' ' }, { project_id, question: 'x'.repeat(10_001) },
    { project_id, question: QUESTION, conversation_id: 7 }, { project_id, question: QUESTION, query_embedding: [1] }, { project_id, question: QUESTION, budget: 7 },
    { project_id, question: QUESTION, conversation_id: project_id, pillars: ['P1'] },
  ]) {
    const answer = await post(body)
    assert.equal(answer.status, 400, JSON.stringify([body, answer.body]).slice(0, 500))
    assert.ok(answer.body.message, JSON.stringify(answer.body))
  }
  assert.equal((await post({ project_id, question: 'x'.repeat(200_000) })).status, 413)
  assert.equal(endpoint.requests.length, 0)
})

test('the database says what is wrong with an option', async () => {
  for (const options of [{ token_budget: 0 }, { token_budget: 'x' }, { filter: 7 }, { pillars: ['P9'] }, { insights: -1 }, { target_model: 'none' }]) {
    const { status, body } = await ask(options)
    assert.equal(status, 400, JSON.stringify([options, body]))
    assert.match(body.code, /^22/)
  }
  const { status, body } = await ask({ conversation_id: project_id })
  assert.deepEqual([status, body.code], [404, 'PT404'])
})

test('what the endpoint says stays in the log, unless it is about the question', async () => {
  const said = { error: { message: 'Incorrect API key provided: sk-secret' } }
  for (const [odd, status, code] of [
    [{ status: 401, body: said }, 502, 'endpoint'], [{ status: 500, body: said }, 502, 'endpoint'], [{ status: 404, body: said }, 502, 'endpoint'],
    [{ status: 200, body: 'garbage sk-secret' }, 502, 'endpoint'], [{ status: 302, headers: { location: 'http://sk-secret/' }, body: {} }, 502, 'endpoint'],
    [{ status: 429, body: said }, 503, 'busy'],
  ]) {
    endpoint.misbehave = () => odd
    const answer = await ask()
    assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body))
    assert.doesNotMatch(JSON.stringify(answer.body), /sk-secret/)
  }
  assert.match(functions.log.join(''), /Incorrect API key/)
  endpoint.misbehave = () => undefined
  const refused = await ask({ question: 'POISON' })
  assert.equal(refused.status, 400)
  assert.match(refused.body.message, /violates the policy/)
  endpoint.misbehave = ({ encoding_format }) => encoding_format && { status: 400, body: { error: { message: 'unknown parameter encoding_format' } } }
  assert.equal((await ask()).status, 200, 'an endpoint that knows no base64')
})

test('a vector of the wrong length is the mistake of who runs the function', async () => {
  endpoint.misbehave = () => ({ change: (answer) => ({ ...answer, data: [{ index: 0, embedding: [1, 2] }] }) })
  const { status, body } = await ask()
  assert.equal(status, 400)
  assert.match(body.message, /dimensions/)
})

test("README's example asks a question", async () => {
  const supabase = createClient(gateway.url, 'publishable-key', { accessToken: async () => tokens[ALICE], realtime: { transport: class {} } })
  const { asked } = await run(await example('js', 'data: asked'), { supabase, project: project_id }, 'asked')
  assert.match(asked.context, /whale|bread/)
})
