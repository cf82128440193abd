// What libraries say of the usage of a call goes to record_step unchanged, and the step has its tokens and its exact cost.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, ok } from './fixtures.mjs'
import { startProvider } from './provider.mjs'
import { calls } from './sdks.mjs'
import { startStack } from './stack.mjs'

/** Tokens and cost of each call, from the usage in provider.mjs and the published prices for a million tokens. */
const EXPECTED = {
  // 86 × 1.25 + 1920 × 0.125 + 300 × 10
  'openai chat.completions': [2006, 300, '0.003347500000'],
  'openai responses': [2006, 300, '0.003347500000'],
  'openai embeddings': [8191, 0, '0.000163820000'],
  // 100 × 0.28 + 900 × 0.028 + 100 × 0.42
  'openai with DeepSeek': [1000, 100, '0.000095200000'],
  // 200 × 1 + (100 + 400) × 2, its own prices; the provider says 12,000,000 ticks
  'openai with xAI': [200, 500, '0.001200000000', '0.001200000000'],
  // 200 × 2.5 + 800 × 1.25 + 200 × 10; the provider charges less
  'openai with OpenRouter': [1000, 200, '0.003500000000', '0.003150000000'],
  // 50 × 3 + 100000 × 0.3 + 400 × 3.75 + 600 × 6 + 500 × 15
  anthropic: [101_050, 500, '0.042750000000'],
  bedrock: [101_050, 500, '0.042750000000'],
  // 800 × 0.3 + 200 × 1 + 500 × 0.03 + (100 + 600) × 2.5
  gemini: [1500, 700, '0.002205000000'],
  // 5 × 1 + 418 × 2, its own prices
  cohere: [5, 418, '0.000841000000'],
  'ai with OpenAI': [2006, 300, '0.003347500000'],
  'ai with OpenAI chat': [2006, 300, '0.003347500000'],
  'ai with Anthropic': [101_050, 500, '0.042750000000'],
  'ai with Google': [1500, 700, '0.002205000000'],
  'ai embed': [8191, 0, '0.000163820000'],
  'langchain with OpenAI': [2006, 300, '0.003347500000'],
  // LangChain does not say for how long tokens are cached: 50 × 3 + 100000 × 0.3 + 1000 × 3.75 + 500 × 15
  'langchain with Anthropic': [101_050, 500, '0.041400000000'],
}
/** Only the whole message has what LangChain leaves out of usage_metadata. */
const EXPECTED_OF_RESPONSE = { ...EXPECTED, 'langchain with Anthropic': [101_050, 500, '0.042750000000'] }

let stack, alice, run_id, provider, results
const columns = 'tokens_input, tokens_output, cost_usd::text, provider_cost_usd::text, cost_source, cost_note, model, latency_ms'

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  const worker = await stack.service()
  await ok(worker.from('model_prices').insert(['own-xai', 'own-cohere'].flatMap((model) => [
    { model, provider: 'test', unit: 'input', usd_per_million: 1 }, { model, provider: 'test', unit: 'output', usd_per_million: 2 },
  ])))
  await ok(worker.from('model_prices').insert([
    { model: 'mistral-test', provider: 'test', unit: 'input', usd_per_million: 1 },
    { model: 'mistral-test', provider: 'test', unit: 'output', usd_per_million: 2 },
  ]))
  const project_id = await ok(alice.rpc('create_project', { name: 'Calls' }))
  run_id = await ok(alice.rpc('start_run', { project_id, workflow_id: 'answer', event_name: 'question/asked' }))
  provider = await startProvider()
  results = {}
  for (const [name, { call, ...more }] of Object.entries(calls(provider))) results[name] = { ...more, result: await call() }
})
after(async () => {
  await provider?.stop()
  await stack?.stop()
})

async function recorded(step) {
  // Not in DeepSeek's off-peak hours.
  const fixed = { run_id, step_name: 'ask', status: 'success', executed_at: '2026-11-18T03:00:00Z' }
  const id = await ok(alice.rpc('record_step', { ...fixed, ...step }))
  return ok(alice.from('workflow_steps').select(columns).eq('id', id).single())
}

function check(name, model, step, [tokens_input, tokens_output, cost_usd, provider_cost_usd = null]) {
  assert.deepEqual(step, {
    tokens_input, tokens_output, cost_usd, provider_cost_usd, cost_source: 'calculated', cost_note: null, model, latency_ms: null,
  }, name)
}

test('record_step takes the usage of each library unchanged', async () => {
  assert.deepEqual(Object.keys(results).sort(), [...Object.keys(EXPECTED), 'mistral'].sort())
  for (const [name, expected] of Object.entries(EXPECTED)) {
    const { model, result, usage } = results[name]
    check(name, model, await recorded({ model, usage: usage(result) }), expected)
  }
})

test('record_step takes the response of each library unchanged', async () => {
  for (const [name, expected] of Object.entries(EXPECTED_OF_RESPONSE)) {
    const { model, result } = results[name]
    check(name, model, await recorded({ model, response: result }), expected)
  }
})

test('record_step takes the model from the response where it says it', async () => {
  for (const name of ['openai chat.completions', 'openai responses', 'anthropic', 'langchain with OpenAI', 'langchain with Anthropic']) {
    const { model, result } = results[name]
    check(name, model, await recorded({ response: result }), EXPECTED_OF_RESPONSE[name])
  }
})

test('record_step takes usage of Mistral', async () => {
  const { result, usage } = results.mistral
  // 1000 × 1 + 200 × 2, its own prices
  check('mistral', 'mistral-test', await recorded({ model: 'mistral-test', usage: usage(result) }), [1000, 200, '0.001400000000'])
})

test('workflow_steps takes usage of a library in an insert of many rows', async () => {
  const names = Object.keys(EXPECTED)
  const rows = names.map((name) => ({
    run_id, step_name: name, status: 'success', model: results[name].model, usage: results[name].usage(results[name].result), latency_ms: 12,
    executed_at: '2026-11-18T03:00:00Z',
  }))
  const steps = await ok(alice.from('workflow_steps').insert(rows).select(`step_name, ${columns}`))
  assert.equal(steps.length, names.length)
  for (const { step_name, latency_ms, ...step } of steps) {
    assert.equal(latency_ms, 12)
    check(step_name, results[step_name].model, { ...step, latency_ms: null }, EXPECTED[step_name])
  }
})

test('record_step records a step whose sources disagree, without a cost', async () => {
  const { model, result } = results['openai chat.completions']
  const step = await recorded({ model, tokens_input: 86, response: result, latency_ms: performance.now() })
  assert.equal(step.cost_usd, null)
  assert.match(step.cost_note, /tokens_input is 86, but usage says 2006/)
  assert.ok(step.latency_ms > 0 && step.latency_ms % 1 === 0, 'rounded')
})
