// Does for functions of Inngest what its server does: sends requests to the real SDK's handler until a run has ended, keeps the
// results of steps, retries, plans parallel steps, and takes the SDK's checkpoints. Inngest's own server is not on npm.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const ulid = () => '01K' + [...randomBytes(23)].map((byte) => ALPHABET[byte % 32]).join('')

/** The API that the SDK sends checkpoints to. `runs` has the state of each run by its id. */
export async function startCheckpoints(runs) {
  const server = createServer(async (incoming, outgoing) => {
    let body = ''
    for await (const part of incoming) body += part
    const [, id] = incoming.url.match(/^\/v1\/checkpoint\/(\w+)\/async/) ?? []
    const run = runs.get(id)
    run?.checkpoints.push(JSON.parse(body).steps.length)
    for (const op of run ? JSON.parse(body).steps : []) run.take(op)
    outgoing.writeHead(run ? 200 : 404, { 'content-type': 'application/json' }).end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => { server.close(); server.closeAllConnections() } }
}

export class Executor {
  runs = new Map()

  /** `handler` is what serve() of inngest/edge returns. */
  constructor(app) {
    this.app = app
  }

  /**
   * Executes a function. Returns its state, with `result` or `error`. `infer` answers step.ai.infer. `lose` says of a request whether its
   * response is lost. `cancelAfter` is a number of requests.
   */
  async run(handler, name, { event = {}, retries = 3, checkpointing = false, infer, lose = () => false, cancelAfter = Infinity, id = ulid() } = {}) {
    const run = new Run(id, { name: 'test/asked', data: {}, ...event })
    this.runs.set(run.id, run)
    let jobs = [{ step: 'step', attempt: 0 }]
    while (jobs.length > 0 && !run.isOver) {
      if (run.requests.length > 500) throw new Error(`the run does not end: ${JSON.stringify(run.log.slice(-3))}`)
      if (run.requests.length >= cancelAfter) {
        run.isCancelled = true
        break
      }
      const next = await Promise.all(jobs.map((job) => this.#request(handler, name, run, job, { retries, checkpointing, infer, lose })))
      // Results of parallel steps come one after another. One request finds out what is next.
      jobs = next.flat()
      const found = jobs.filter(({ step }) => step === 'step')
      jobs = [...jobs.filter(({ step }) => step !== 'step'), ...found.slice(0, 1)]
    }
    return run
  }

  async #request(handler, name, run, job, options) {
    const body = JSON.stringify({
      version: 2, event: run.event, events: [run.event], steps: run.steps,
      ctx: {
        run_id: run.id, attempt: job.attempt, max_attempts: options.retries + 1, stack: { stack: run.stack, current: run.stack.length },
        disable_immediate_execution: run.isParallel, use_api: false, ...options.checkpointing && { fn_id: '0a0b0c0d-0000-4000-8000-000000000001', qi_id: `${run.id}-${run.requests.length}` },
      },
    })
    const url = `http://app.test/api/inngest?fnId=${this.app}-${name}&stepId=${job.step}`
    const send = () => handler(new Request(url, { method: 'POST', body, headers: { host: 'app.test', 'content-type': 'application/json', 'x-inngest-server-kind': 'dev' } }))
    run.requests.push(job)
    if (options.lose(job)) await (await send()).text()
    const start = performance.now()
    const response = await send()
    const text = await response.text()
    run.milliseconds += performance.now() - start
    run.log.push(text.slice(0, 500))
    const isFinal = response.headers.get('x-inngest-no-retry') === 'true'
    if (response.status === 206) return run.takeAll(JSON.parse(text), job, options.infer)
    if (response.status === 200) run.end({ result: JSON.parse(text) })
    else if (isFinal || job.attempt >= options.retries) run.end({ error: JSON.parse(text) })
    else return [{ ...job, attempt: job.attempt + 1 }]
    return []
  }
}

class Run {
  steps = {}
  stack = []
  requests = []
  checkpoints = []
  log = []
  milliseconds = 0
  isParallel = false
  isOver = false

  constructor(id, event) {
    Object.assign(this, { id, event })
  }

  end(outcome) {
    Object.assign(this, outcome)
    this.isOver = true
  }

  /** What is to be done after a response with steps. */
  takeAll(ops, job, infer) {
    const list = [ops].flat()
    const planned = list.filter(({ op }) => op === 'StepPlanned')
    if (planned.length > 1) this.isParallel = true
    return list.flatMap((op) => {
      if (op.op === 'StepPlanned') return [{ step: op.id, attempt: 0 }]
      if (op.op === 'StepError') return [{ step: job.step, attempt: job.attempt + 1 }]
      if (op.op === 'AIGateway') this.#keep(op.id, infer(op))
      this.take(op)
      return this.isOver ? [] : [{ step: 'step', attempt: 0 }]
    })
  }

  take(op) {
    if (op.op === 'RunComplete') this.end({ result: op.data })
    else if (op.op === 'StepFailed') this.#keep(op.id, { error: op.error })
    else if (op.op === 'StepRun' || op.op === 'Step') this.#keep(op.id, { data: op.data ?? null })
    else if (op.op === 'Sleep' || op.op === 'WaitForEvent') this.#keep(op.id, { data: null })
  }

  #keep(id, { data, error }) {
    if (this.steps[id]) return
    this.steps[id] = error === undefined ? { type: 'data', data } : { type: 'error', error }
    this.stack.push(id)
  }
}
