// What the middleware costs functions of the real Inngest SDK. Started by inngest_bench.py.
//
// usage: node inngest.mjs RUNS. Prints {mode: {without: [ms, …], with: [ms, …]}, steps} as JSON.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Executor, startCheckpoints } from '../tests/api/executor.mjs'
import { startStack } from '../tests/api/stack.mjs'

const API = new URL('../tests/api/', import.meta.url)
const inTests = (path) => fileURLToPath(new URL(path, API))
execFileSync(process.execPath, [inTests('node_modules/typescript/bin/tsc'), '-p', inTests('tsconfig.inngest.json')])
const { matrice } = await import(new URL('node_modules/.matrice/matrice-inngest.js', API))
const { Inngest } = await import(new URL('node_modules/inngest/index.js', API))
const { serve } = await import(new URL('node_modules/inngest/edge.js', API))

const runs = Number(process.argv[2])
const STEPS = 5
/** Milliseconds of a step: a quick call of a model. */
const STEP = 20
const USAGE = { model: 'gpt-5', usage: { prompt_tokens: 2006, completion_tokens: 300, prompt_tokens_details: { cached_tokens: 1920 } } }

const stack = await startStack({ database: 'bench_inngest' })
const executor = new Executor('bench')
const checkpoints = await startCheckpoints(executor.runs)
try {
  const client = await stack.user('00000000-0000-4000-8000-000000000001')
  const { data: projectId, error } = await client.rpc('create_project', { name: 'Functions' })
  if (error) throw new Error(error.message)
  const took = {}
  for (const checkpointing of [false, true]) {
    const middleware = matrice({ client, projectId, onError: (failure) => { throw failure } })
    const ways = { without: handler([], checkpointing), with: handler([middleware], checkpointing) }
    const of = took[checkpointing ? 'with checkpoints' : 'without checkpoints'] = { without: [], with: [] }
    // The first runs load what the SDK loads late.
    for (let number = -5; number < runs; number++) {
      for (const [name, handle] of Object.entries(ways)) {
        const run = await executor.run(handle, 'ask', { checkpointing })
        if (!run.isOver || run.error) throw new Error(JSON.stringify(run.error ?? run.log))
        if (number >= 0) of[name].push(run.milliseconds)
      }
    }
    await middleware.flush()
  }
  const steps = Number(stack.sql("select count(*) from matrice.workflow_steps where status = 'success' and cost_usd > 0"))
  console.log(JSON.stringify({ took, steps, expected: 2 * (runs + 5) * STEPS }))
} finally {
  await checkpoints.stop()
  await stack.stop()
}

function handler(middleware, checkpointing) {
  const logger = Object.fromEntries(['info', 'warn', 'error', 'debug'].map((level) => [level, () => {}]))
  const inngest = new Inngest({ id: 'bench', isDev: true, baseUrl: checkpoints.url, checkpointing, middleware, logger })
  const ask = inngest.createFunction({ id: 'ask', triggers: [{ event: 'test/asked' }], retries: 0 }, async ({ step }) => {
    for (let number = 0; number < STEPS; number++) {
      await step.run(`ask ${number}`, () => new Promise((resolve) => setTimeout(() => resolve(USAGE), STEP)))
    }
  })
  return serve({ client: inngest, functions: [ask] })
}
