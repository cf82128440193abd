// Functions of the real Inngest SDK are recorded through supabase-js and PostgREST, and never fail or wait for it.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Inngest, NonRetriableError } from 'inngest'
import { serve } from 'inngest/edge'
import OpenAI from 'openai'
import { Executor, startCheckpoints } from './executor.mjs'
import { ALICE, BOB, ok } from './fixtures.mjs'
import { startProvider } from './provider.mjs'
import { example, run as runExample } from './readme.mjs'
import { calls } from './sdks.mjs'
import { startStack } from './stack.mjs'

const APP = 'test-app'
const SECRET = 'What do whales do?'
const executor = new Executor(APP)
let stack, alice, project, provider, models, checkpoints, matrice, cancellations, report, Recorder

before(async () => {
  const here = (path) => fileURLToPath(new URL(path, import.meta.url))
  execFileSync(process.execPath, [here('node_modules/typescript/bin/tsc'), '-p', here('tsconfig.inngest.json')], { stdio: 'inherit' })
  ;({ matrice, cancellations, report } = await import('./node_modules/.matrice/matrice-inngest.js'))
  ;({ Recorder } = await import('./node_modules/.matrice/recorder.js'))
  stack = await startStack()
  alice = await stack.user(ALICE)
  project = await ok(alice.rpc('create_project', { name: 'Functions' }))
  provider = await startProvider()
  models = calls(provider)
  checkpoints = await startCheckpoints(executor.runs)
})
after(async () => {
  await checkpoints?.stop()
  await provider?.stop()
  await stack?.stop()
})

/** An app with middleware, and its functions by name: [options, handler]. */
function app(functions, { checkpointing = false, errors = [], others = [], more = () => [], ...options } = {}) {
  const middleware = matrice({ client: alice, projectId: project, onError: (error) => errors.push(error), ...options })
  const logger = Object.fromEntries(['info', 'warn', 'error', 'debug'].map((level) => [level, () => {}]))
  const inngest = new Inngest({ id: APP, isDev: true, baseUrl: checkpoints.url, checkpointing, middleware: [...others, middleware], logger })
  const list = Object.entries(functions).map(([id, [settings, handler]]) =>
    inngest.createFunction({ id, triggers: [{ event: 'test/asked' }], retries: 3, ...settings }, handler))
  const handler = serve({ client: inngest, functions: [...list, ...more(inngest)] })
  return {
    errors, handler, flush: () => middleware.flush(),
    run: async (name, given) => {
      const run = await executor.run(handler, name, { checkpointing: Boolean(checkpointing), ...given })
      await middleware.flush()
      return run
    },
  }
}

const runOf = async (key) => ok(alice.from('workflow_runs').select('id, workflow_id, event_name, status, input_data, output_data').eq('run_key', key).maybeSingle())

/** The steps of a run: name, attempt, status and cost. */
async function stepsOf(key) {
  const run = await runOf(key)
  const found = await ok(alice.from('workflow_steps').select('step_name, attempt, status, model, cost_usd::text, tokens_input, tokens_output, latency_ms, error, usage, step_key')
    .eq('run_id', run.id).order('executed_at').order('step_key').order('attempt'))
  return found
}
const short = (steps) => steps.map(({ step_name, attempt, status }) => `${step_name} ${attempt} ${status}`)

for (const checkpointing of [false, true]) {
  const mode = checkpointing ? 'with checkpointing' : 'without checkpointing'

  test(`a function is a run, and each step has its cost, ${mode}`, async () => {
    const names = ['openai chat.completions', 'openai responses', 'openai embeddings', 'anthropic', 'ai with OpenAI', 'ai with Anthropic']
    const { run, errors } = app({
      ask: [{}, async ({ step }) => {
        await step.run('load', async () => ({ prompt: SECRET }))
        for (const name of names) await step.run(name, () => models[name].call())
        await step.sleep('wait', '1s')
        return step.ai.wrap('wrapped', models['openai chat.completions'].call, {})
      }],
    }, { checkpointing })
    const { id, checkpoints: sent, isOver, error } = await run('ask')
    assert.deepEqual([errors, isOver, error], [[], true, undefined])
    assert.equal(sent.length > 0, checkpointing)
    const { id: _, ...recorded } = await runOf(id)
    assert.deepEqual(recorded, { workflow_id: 'ask', event_name: 'test/asked', status: 'completed', input_data: {}, output_data: null })
    const steps = await stepsOf(id)
    assert.deepEqual(short(steps), ['load', ...names, 'wrapped'].map((name) => `${name} 0 success`))
    assert.deepEqual(steps.map(({ model, cost_usd, tokens_input, tokens_output }) => [model, cost_usd, tokens_input, tokens_output]), [
      [null, null, 0, 0], ['gpt-5', '0.003347500000', 2006, 300], ['gpt-5', '0.003347500000', 2006, 300], ['text-embedding-3-small', '0.000163820000', 8191, 0],
      ['claude-sonnet-4-5', '0.042750000000', 101_050, 500], ['gpt-5', '0.003347500000', 2006, 300], ['claude-sonnet-4-5', '0.042750000000', 101_050, 500],
      ['gpt-5', '0.003347500000', 2006, 300],
    ])
    assert.ok(steps.every(({ latency_ms }) => latency_ms !== null && latency_ms < 10_000))
  })

  test(`each attempt of a step is a row, ${mode}`, async () => {
    let tries = 0
    const { run, errors } = app({
      flaky: [{}, async ({ step }) => {
        await step.run('before', () => 1)
        const found = await step.run('ask', () => {
          if (tries++ < 2) throw Object.assign(new TypeError(`try ${tries}`), { code: 'E_BUSY', status: 429, cause: new Error('the cause') })
          return models['openai chat.completions'].call()
        })
        await step.run('after', () => 2)
        return found.model
      }],
    }, { checkpointing })
    const { id, result } = await run('flaky')
    assert.deepEqual([result, errors, (await runOf(id)).status], ['gpt-5', [], 'completed'])
    const steps = await stepsOf(id)
    assert.deepEqual(short(steps), ['before 0 success', 'ask 0 failed', 'ask 1 failed', 'ask 2 success', 'after 0 success'])
    assert.deepEqual(steps[1].error, { name: 'TypeError', message: 'try 1', code: 'E_BUSY', status: '429', cause: { name: 'Error', message: 'the cause' } })
    assert.deepEqual(steps.map(({ cost_usd }) => cost_usd), [null, null, null, '0.003347500000', null])
  })

  test(`a run whose step fails for good is a failed run, and its failure handler is another workflow, ${mode}`, async () => {
    const { run, errors } = app({
      boom: [{
        retries: 1, onFailure: async ({ error, step }) => step.run('tell', () => error.message),
      }, async ({ step }) => {
        await step.run('ok', () => 1)
        await step.run('ask', () => { throw new Error('no model') })
      }],
    }, { checkpointing })
    const failed = await run('boom', { retries: 1 })
    assert.ok(failed.error)
    assert.deepEqual(short(await stepsOf(failed.id)), ['ok 0 success', 'ask 0 failed', 'ask 1 failed'])
    const recorded = await runOf(failed.id)
    assert.equal(recorded.status, 'failed')
    assert.match(recorded.output_data.error.message, /no model/)
    const event = { name: 'inngest/function.failed', data: { function_id: `${APP}-boom`, run_id: failed.id, error: failed.error, event: failed.event } }
    const handled = await run('boom-failure', { event })
    assert.equal(handled.result, 'no model')
    assert.deepEqual(short(await stepsOf(handled.id)), ['tell 0 success'])
    assert.equal((await runOf(handled.id)).workflow_id, 'boom/on-failure')
    const metrics = await ok(alice.rpc('workflow_metrics', { project_id: project, since: '2026-01-01', group_by: 'workflow' }))
    const rates = Object.fromEntries(metrics.map(({ bucket, success_rate }) => [bucket, success_rate]))
    // A handler of failures never counts as a success.
    assert.deepEqual([rates.boom, rates['boom/on-failure']], [0, null])
    assert.deepEqual(errors, [])
  })

  test(`errors outside of steps, and those that are not tried again, are recorded, ${mode}`, async () => {
    let tries = 0
    const { run, errors } = app({
      outside: [{}, async ({ step }) => {
        await step.run('one', () => 1)
        if (tries++ === 0) throw new Error('outside')
        await step.run('two', () => { throw new NonRetriableError('never again') })
      }],
    }, { checkpointing })
    const { id } = await run('outside')
    assert.equal((await runOf(id)).status, 'failed')
    const steps = await stepsOf(id)
    assert.equal(steps.filter(({ step_name }) => step_name === 'one').length, 1)
    assert.equal(steps.filter(({ step_name, status }) => step_name === '(function)' && status === 'failed').length, 1)
    assert.deepEqual(steps.find(({ step_name }) => step_name === 'two').error, { name: 'NonRetriableError', message: 'never again' })
    assert.deepEqual(errors, [])
  })

  test(`parallel steps, and steps of one name, are rows of their own, ${mode}`, async () => {
    const { run, errors } = app({
      wide: [{}, async ({ step }) => {
        const all = await Promise.all(Array.from({ length: 8 }, (_, i) => step.run(`part ${i}`, () => i)))
        await step.run('same', () => 1)
        await step.run('same', () => 2)
        return all
      }],
    }, { checkpointing })
    const { id, result } = await run('wide')
    assert.deepEqual([result, errors], [[0, 1, 2, 3, 4, 5, 6, 7], []])
    const steps = short(await stepsOf(id)).sort()
    assert.deepEqual(steps, [...Array.from({ length: 8 }, (_, i) => `part ${i} 0 success`), 'same 0 success', 'same 0 success'])
  })

  test(`requests whose response is lost count once, ${mode}`, async () => {
    const { run, errors } = app({
      lost: [{}, async ({ step }) => {
        await step.run('a', () => models['openai chat.completions'].call())
        await step.run('b', () => models.anthropic.call())
        return 'done'
      }],
    }, { checkpointing })
    const { id, result } = await run('lost', { lose: () => true })
    assert.deepEqual([result, errors], ['done', []])
    assert.deepEqual(short(await stepsOf(id)), ['a 0 success', 'b 0 success'])
    assert.equal((await runOf(id)).status, 'completed')
  })

  test(`a cancelled run is known by the function for cancellations, ${mode}`, async () => {
    const { run, errors } = app({
      long: [{}, async ({ step }) => {
        await step.run('a', () => 1)
        await step.sleep('wait', '1h')
        await step.run('b', () => 2)
      }],
    }, { checkpointing, more: (inngest) => [cancellations(inngest, { client: alice, projectId: project })] })
    const cancelled = await run('long', { cancelAfter: checkpointing ? 1 : 2 })
    assert.equal((await runOf(cancelled.id)).status, 'running')
    const tell = (run_id) => run('matrice-cancellations', { event: { name: 'inngest/function.cancelled', data: { run_id, function_id: `${APP}-long` } } })
    const { error, id } = await tell(cancelled.id)
    assert.equal(error, undefined)
    assert.equal((await runOf(cancelled.id)).status, 'cancelled')
    assert.equal(await runOf(id), null)
    // A run that nothing is known of, and one that has ended
    const before = await ok(alice.from('workflow_runs').select('id'))
    await tell('01K00000000000000000000000')
    const { id: ended } = await run('long')
    await tell(ended)
    assert.equal((await runOf(ended)).status, 'completed')
    assert.equal((await ok(alice.from('workflow_runs').select('id'))).length, before.length + 1)
    assert.deepEqual(errors, [])
  })

  test(`the result of step.ai.infer is a step, once, ${mode}`, async () => {
    const { run, errors } = app({
      infer: [{}, async ({ step }) => {
        const answer = await step.ai.infer('ask', { model: { url: 'https://example.com', format: 'openai-chat', options: { model: 'gpt-5' }, headers: {} }, body: { messages: [] } })
        await step.run('x', () => 1)
        await step.run('y', () => 2)
        return answer.model
      }],
    }, { checkpointing })
    const data = await models['openai chat.completions'].call()
    const { id, result } = await run('infer', { infer: () => ({ data }) })
    assert.deepEqual([result, errors], ['gpt-5', []])
    const steps = await stepsOf(id)
    assert.deepEqual(short(steps).sort(), ['ask 0 success', 'x 0 success', 'y 0 success'])
    assert.equal(steps.find(({ step_name }) => step_name === 'ask').cost_usd, '0.003347500000')
  })

  test(`a function that returns before its steps is completed when they are, ${mode}`, async () => {
    const seen = []
    const { run, errors } = app({
      early: [{}, async ({ step, runId }) => {
        step.run('later', async () => { seen.push((await runOf(runId))?.status) })
        await step.run('first', () => 1)
        return 'early'
      }],
    }, { checkpointing })
    const { id, result } = await run('early')
    assert.deepEqual([result, errors], ['early', []])
    assert.deepEqual([(await runOf(id)).status, short(await stepsOf(id)).sort()], ['completed', ['first 0 success', 'later 0 success']])
    assert.notEqual(seen[0], 'completed')
  })

  test(`a database that does not answer costs a function nothing, ${mode}`, async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const client = { rpc: () => fetch(`http://127.0.0.1:${silent.address().port}`, { signal: AbortSignal.timeout(1000) }) }
    const work = { ten: [{}, async ({ step }) => { for (let i = 0; i < 10; i++) await step.run(`s${i}`, () => i) }] }
    const { run, errors } = app(work, { checkpointing, client, seconds: 1 })
    const { isOver, milliseconds } = await run('ten')
    assert.ok(isOver && milliseconds < 900, `${milliseconds} ms`)
    assert.ok(errors.length > 0)
    silent.close()
  })
}

test('several calls within one step are rows, and each has its cost', async () => {
  const { run, errors } = app({
    calls: [{}, async ({ step }) => {
      await step.run('two', async () => {
        report(await models['openai chat.completions'].call())
        report(await models.anthropic.call(), { milliseconds: 12 })
        return 'text only'
      })
      await step.run('list', () => Promise.all([models['openai chat.completions'].call(), models['openai responses'].call()]))
      await step.run('once', async () => report(await models.anthropic.call()))
      await step.run('embed', async () => report(await models['ai embed'].call(), { model: 'text-embedding-3-small' }))
      report(await models.anthropic.call())
    }],
  })
  const { id } = await run('calls')
  assert.deepEqual(errors, [])
  assert.deepEqual((await stepsOf(id)).map(({ step_name, cost_usd }) => [step_name, cost_usd]), [
    ['two', '0.003347500000'], ['two', '0.042750000000'], ['list', '0.003347500000'], ['list', '0.003347500000'], ['once', '0.042750000000'],
    ['embed', '0.000163820000'],
  ])
})

test('a call that was billed before its step failed has its cost', async () => {
  const { run } = app({
    billed: [{ retries: 0 }, async ({ step }) => {
      await step.run('ask', async () => {
        report(await models['openai chat.completions'].call())
        throw new Error('cannot be parsed')
      }).catch(() => {})
      const { usage, model } = await models['openai chat.completions'].call()
      await step.run('object', () => { throw Object.assign(new Error('no object'), { usage, response: { modelId: model } }) }).catch(() => {})
    }],
  })
  const { id } = await run('billed', { retries: 0 })
  assert.deepEqual((await stepsOf(id)).map(({ status, cost_usd }) => [status, cost_usd]), [['failed', '0.003347500000'], ['failed', '0.003347500000']])
})

test('prompts and answers are not sent unless they are asked for', async () => {
  const sent = []
  const client = { schema: () => ({ rpc: (name, args) => { sent.push(JSON.stringify(args)); return alice.rpc(name, args) } }) }
  const work = {
    ask: [{}, async ({ step }) => {
      for (const { call } of Object.values(models)) await step.run(`call`, call)
      return SECRET
    }],
  }
  const { run, errors } = app(work, { client })
  await run('ask', { event: { data: { prompt: SECRET } } })
  assert.deepEqual(errors, [])
  assert.ok(sent.length > 15)
  assert.ok(!/whale/i.test(sent.join()), sent.find((each) => /whale/i.test(each)))
  const { run: runOpen } = app(work, { input: ({ event }) => event.data, output: (result) => ({ result }), phase: 'P2' })
  const { id } = await runOpen('ask', { event: { data: { prompt: SECRET } } })
  const { input_data, output_data } = await runOf(id)
  assert.deepEqual([input_data, output_data], [{ prompt: SECRET }, { result: SECRET }])
})

test('each library has the same cost as its response has', async () => {
  const { run } = app({ all: [{}, async ({ step }) => { for (const [name, { call }] of Object.entries(models)) await step.run(name, call) }] })
  const { id } = await run('all')
  const run_id = await ok(alice.rpc('start_run', { project_id: project, workflow_id: 'direct', event_name: 'direct' }))
  for (const { step_name, tokens_input, tokens_output, model, cost_usd } of await stepsOf(id)) {
    const step = await ok(alice.rpc('record_step', { run_id, step_name, status: 'success', model, response: await models[step_name].call() }))
    const direct = await ok(alice.from('workflow_steps').select('tokens_input, tokens_output, model, cost_usd::text').eq('id', step).single())
    assert.deepEqual({ tokens_input, tokens_output, model, cost_usd }, direct, step_name)
  }
})

test('errors of the recorder, and hostile values, do not reach the function', async () => {
  const bob = await stack.user(BOB)
  const throws = () => { throw new Error('from an option') }
  const hostile = {
    hostile: [{ retries: 0 }, async ({ step }) => {
      await step.run('zero \0 and half \ud800', () => 'a\0b')
      await step.run('é'.repeat(500), () => ({ usage: 'none', model: 5 }))
      await step.run('numbers', () => ({ usage: { input_tokens: -5, output_tokens: 'many', deep: JSON.parse('[' .repeat(500) + ']'.repeat(500)) } }))
      await step.run('large', () => ({ usage: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`tokens_${i}`, i])) }))
      await step.run('trap', async () => report(new Proxy({}, { get: throws, has: throws, ownKeys: throws })) && 1)
      for (const error of ['text \0', null, undefined, { a: 1n }, Object.defineProperty(new Error('getter'), 'code', { get: throws })]) {
        await step.run('error', () => { throw error }).catch(() => {})
      }
      return 'done'
    }],
  }
  const good = app(hostile)
  const { id, result, error } = await good.run('hostile', { retries: 0 })
  assert.equal(result, 'done', JSON.stringify(error))
  const steps = await stepsOf(id)
  assert.deepEqual([good.errors, steps.length], [[], 10])
  assert.equal(steps[2].cost_usd, null)
  for (const options of [{ client: bob }, { projectId: throws }, { projectId: 'none' }, { phase: 'P9' }, { onError: throws, client: { rpc: throws } },
    { client: { rpc: () => null } }, { input: throws }, { output: throws }, { waitUntil: throws }]) {
    const { run } = app(hostile, { seconds: 1, ...options })
    assert.equal((await run('hostile', { retries: 0 })).result, 'done', Object.keys(options).join())
  }
  const deep = JSON.parse('['.repeat(100) + ']'.repeat(100))
  for (const data of [throws, () => deep, () => ({ a: 'é'.repeat(1_000_000) }), () => 1n, () => ({ a: '\0\ud800' })]) {
    const { run, errors } = app(hostile, { input: data, output: data })
    const { status } = await runOf((await run('hostile', { retries: 0 })).id)
    assert.deepEqual([status, errors.length <= 2], ['completed', true], String(data))
  }
  const { run } = app(hostile, { projectId: ({ event }) => event.data.project })
  assert.equal(await runOf((await run('hostile', { retries: 0 })).id), null)
})

test('what may pass is tried again, and counts once', async () => {
  let calls = 0
  // Every second answer is lost on its way.
  const rpc = async (name, args) => {
    const answer = await alice.rpc(name, args)
    return calls++ % 2 === 0 ? { data: null, error: { message: 'fetch failed', code: '' }, status: 0 } : answer
  }
  const { run, errors } = app({ lossy: [{}, async ({ step }) => { for (const i of [1, 2, 3]) await step.run(`s${i}`, () => i) }] }, { client: { rpc } })
  const { id } = await run('lossy')
  assert.deepEqual([errors, short(await stepsOf(id)), (await runOf(id)).status], [[], ['s1 0 success', 's2 0 success', 's3 0 success'], 'completed'])
})

test('a hundred runs at once are recorded whole', async () => {
  const { run, errors } = app({ many: [{}, async ({ step }) => { for (const i of [1, 2, 3]) await step.run(`s${i}`, () => i) }] }, { checkpointing: true })
  const runs = await Promise.all(Array.from({ length: 100 }, () => run('many', { checkpointing: true })))
  assert.deepEqual(errors, [])
  const found = await ok(alice.from('workflow_runs').select('status, workflow_steps(step_key)').eq('workflow_id', 'many'))
  assert.equal(found.length, runs.length)
  assert.ok(found.every(({ status, workflow_steps }) => status === 'completed' && workflow_steps.length === 3))
})

test('a function does not wait for what is recorded', async () => {
  let release
  const released = new Promise((resolve) => { release = resolve })
  let sent = 0
  const rpc = async (name, args) => {
    sent++
    await released
    return alice.rpc(name, args)
  }
  const held = app({ held: [{}, async ({ step }) => { for (let i = 0; i < 100; i++) await step.run(`s${i}`, () => i) }] }, { client: { rpc }, checkpointing: true })
  // It ends although the database has answered nothing.
  const { id } = await executor.run(held.handler, 'held', { checkpointing: true })
  assert.ok(sent > 0)
  assert.equal(await runOf(id), null)
  release()
  await held.flush()
  assert.deepEqual(held.errors, [])
  assert.equal((await stepsOf(id)).length, 100)
})

test('a response can wait for what it recorded', async () => {
  const client = { rpc: async (name, args) => { await sleep(30); return alice.rpc(name, args) } }
  const work = { waits: [{}, async ({ step }) => step.run('a', () => 1)] }
  const waits = app(work, { client, responseWaits: 5000 })
  const { id } = await executor.run(waits.handler, 'waits')
  assert.equal((await runOf(id)).status, 'completed')
})

test('code without Inngest is recorded by the same recorder', async () => {
  const errors = []
  const recorder = new Recorder({ client: alice, onError: (error) => errors.push(error) })
  const work = async (run) => {
    const { model } = await run.step('ask', models['openai chat.completions'].call)
    await run.step('ask', models.anthropic.call)
    await run.step('both', async () => { report(await models.anthropic.call()); report(await models['openai responses'].call()) })
    return model
  }
  const options = { projectId: project, workflow: 'script', event: 'cron', key: 'script-1', input: { a: 1 } }
  assert.equal(await recorder.record(options, work), 'gpt-5')
  await recorder.flush()
  // The same work again, in another process
  const other = new Recorder({ client: alice, onError: (error) => errors.push(error) })
  await other.record(options, work)
  await other.flush()
  await assert.rejects(recorder.record({ ...options, key: 'script-2' }, (run) => run.step('fails', () => { throw new RangeError('no') })), RangeError)
  // The SDK itself cannot take such an error.
  const circular = new Error('circular')
  circular.cause = circular
  await assert.rejects(recorder.record({ ...options, key: 'script-3' }, () => { throw circular }), circular)
  await recorder.flush()
  assert.deepEqual(errors, [])
  assert.deepEqual((await stepsOf('script-1')).map(({ step_key, cost_usd }) => [step_key, cost_usd]), [
    ['ask', '0.003347500000'], ['ask:1', '0.042750000000'], ['both', '0.042750000000'], ['both/1', '0.003347500000']])
  const [first, second] = [await runOf('script-1'), await runOf('script-2')]
  assert.deepEqual([first.status, first.event_name, first.input_data, second.status], ['completed', 'cron', { a: 1 }, 'failed'])
  assert.deepEqual(second.output_data, { error: { name: 'RangeError', message: 'no' } })
})

test('the examples of the README record what they say', async () => {
  const openai = new OpenAI({ apiKey: 'none', baseURL: `${provider.url}/v1` })
  const world = { supabase: alice, project, openai, Inngest, matrice, cancellations, report, Recorder }
  const { inngest, functions } = await runExample(await example('js', 'cancellations(inngest'), world, 'inngest', 'functions')
  const handler = serve({ client: inngest.setEnvVars({ INNGEST_DEV: '1' }), functions })
  const run = await new Executor('app').run(handler, 'answer', { event: { name: 'question/asked', data: { messages: [{ role: 'user', content: SECRET }] } } })
  assert.equal(run.result, 'Whales sing.')
  for (let tries = 0; (await runOf(run.id))?.status !== 'completed' && tries < 50; tries++) await sleep(50)
  assert.deepEqual((await stepsOf(run.id)).map(({ step_name, cost_usd }) => [step_name, cost_usd]), [['ask', '0.003347500000'], ['improve', '0.003347500000']])
  const { text } = await runExample(await example('js', 'new Recorder'), world, 'text')
  assert.equal(text, 'Whales sing.')
  assert.deepEqual((await stepsOf('nightly-2026-11-28')).map(({ cost_usd }) => cost_usd), ['0.003347500000'])
})
