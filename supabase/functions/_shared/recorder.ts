// Records runs and steps of a workflow in matrice: what they took, how they ended, and what calls of models in them cost.
//
// It never fails or delays the work. What it sends goes out in the background, is tried again for a while, and is given up with a
// word to `onError`. Each row has a key, so that a row counts once however often it is sent.

import { AsyncLocalStorage } from 'node:async_hooks'
import { cleanText, get, jsonWithin, usageOf } from './reported.ts'

/** What is needed of a client of supabase-js, with the schema matrice or another one as its default. */
export interface Client {
  rpc(name: never, args?: never): unknown
  from(table: never): unknown
  schema?(name: never): { rpc(name: never, args?: never): unknown; from(table: never): unknown }
}

export interface RecorderOptions {
  client: Client
  /** Told of what was given up. By default console.warn, at most once in ten seconds. */
  onError?: (error: Error) => void
  /** What may wait at once. What comes then is given up. */
  mostWaiting?: number
  /** How long a row is tried to be sent. */
  seconds?: number
  /** Keeps a serverless function alive until a promise has settled. By default that of Supabase's edge functions. */
  waitUntil?: (promise: Promise<unknown>) => void
}

export interface RunOptions {
  projectId: string
  workflow: string
  event?: string
  /** Identifies the run in its project. A run without a key is recorded as another one each time. */
  key?: string
  phase?: string
  /** A value, or a function that gives it when it is sent. */
  input?: unknown
  /** Which try of the whole run it is, from 0, where a queue tries a run again with the same key. */
  attempt?: number
}

export interface Step {
  key: string
  name: string
  status: 'success' | 'failed' | 'skipped'
  attempt?: number
  milliseconds?: number
  startedAt?: Date
  error?: unknown
  /** What calls of models returned, as their libraries returned it. */
  results?: readonly Result[]
}

export interface Result {
  result: unknown
  model?: string
  milliseconds?: number
}

export type Ending = 'completed' | 'failed' | 'cancelled'

const MOST_RUNS = 1000
const CALL_MILLISECONDS = 10_000
const MOST_JSON = 262_144
// PostgREST without a connection, and errors of PostgreSQL that may pass: connections, locks, resources.
const PASSING = /^(|08...|40...|53...|55...|57...|58...|XX...|PGRST00.)$/

interface Answer { data: unknown; error: { message: string; code?: string; details?: string } | null; status?: number }
interface Rpc {
  rpc(name: string, args: Record<string, unknown>): PromiseLike<Answer> & { abortSignal?(signal: AbortSignal): PromiseLike<Answer> }
}

export class RecorderError extends Error {
  override name = 'RecorderError'
  constructor(message: string, readonly code?: string) {
    super(message)
  }
}

export class Recorder {
  readonly #options: RecorderOptions
  readonly #runs = new Map<string, Run>()
  readonly #waiting = new Set<Promise<unknown>>()
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  /** A run, which is recorded as running from now on. The same key gives the same run. */
  run(options: RunOptions): Run {
    const name = options.key === undefined ? undefined : JSON.stringify([options.projectId, options.key, options.workflow, options.attempt ?? 0])
    const known = name === undefined ? undefined : this.#runs.get(name)
    if (known) return known
    const run = new Run(this, options)
    if (name !== undefined) {
      if (this.#runs.size >= MOST_RUNS) this.#runs.delete(this.#runs.keys().next().value!)
      this.#runs.set(name, run)
    }
    return run
  }

  /** Runs some work as a run, and records how it ended. Its errors are thrown on. */
  async record<T>(options: RunOptions, work: (run: Run) => Promise<T>): Promise<T> {
    const run = this.run(options)
    try {
      const result = await work(run)
      run.finish('completed')
      return result
    } catch (error) {
      run.finish('failed', { error: errorOf(error) })
      throw error
    }
  }

  /** Waits until all that was recorded has been sent, or given up. It does not fail. */
  async flush(): Promise<void> {
    while (this.#waiting.size > 0) await Promise.all(this.#waiting)
  }

  /** Does some work in the background. It is for Run. */
  inBackground(work: (until: number) => Promise<void>): void {
    if (this.#waiting.size >= (this.#options.mostWaiting ?? 10_000)) {
      this.gaveUp(new RecorderError('too much is waiting to be recorded'))
      return
    }
    const until = Date.now() + (this.#options.seconds ?? 30) * 1000
    const done: Promise<unknown> = work(until).catch((error) => this.gaveUp(error)).finally(() => this.#waiting.delete(done))
    this.#waiting.add(done)
    try {
      const runtime = (globalThis as { EdgeRuntime?: { waitUntil?(promise: Promise<unknown>): void } }).EdgeRuntime
      if (this.#options.waitUntil) this.#options.waitUntil(done)
      else runtime?.waitUntil?.(done)
    } catch (error) {
      this.gaveUp(error)
    }
  }

  gaveUp(error: unknown): void {
    const found = error instanceof Error ? error : new Error(String(error))
    try {
      if (this.#options.onError) this.#options.onError(found)
      else if (performance.now() - this.#warnedAt > 10_000) {
        this.#warnedAt = performance.now()
        console.warn(`matrice: not recorded: ${found.message}`)
      }
    } catch { /* An error in telling of an error is not the workflow's. */ }
  }

  /** Calls a function of matrice, again while an error may pass and there is time. */
  async call(name: string, args: Record<string, unknown>, until: number): Promise<unknown> {
    for (let attempt = 0;; attempt++) {
      const { data, error, status } = await this.#once(name, args, Math.min(CALL_MILLISECONDS, until - Date.now()))
      if (!error) return data
      const pause = 100 * 3 ** attempt * (0.5 + Math.random())
      const isPassing = PASSING.test(error.code ?? '') || status === 429 || status! >= 500
      if (!isPassing || Date.now() + pause >= until) throw new RecorderError(`${name}: ${error.message} ${error.details ?? ''}`.trim(), error.code)
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }

  async #once(name: string, args: Record<string, unknown>, milliseconds: number): Promise<Answer> {
    if (milliseconds <= 0) return { data: null, error: { message: 'there was no time left', code: 'late' } }
    try {
      const client = this.#options.client as unknown as Rpc & { schema?(name: string): Rpc }
      const call = (client.schema ? client.schema('matrice') : client).rpc(name, args)
      return await (call.abortSignal ? call.abortSignal(AbortSignal.timeout(milliseconds)) : call)
    } catch (error) {
      return { data: null, error: { message: String(error), code: '' } }
    }
  }
}

/** A run. None of its methods but `step` waits for anything. */
export class Run {
  readonly #recorder: Recorder
  readonly #options: RunOptions
  readonly #key: string
  readonly #names = new Map<string, number>()
  #id?: string
  #last: Promise<void> = Promise.resolve()
  #isTold = new Set<string>()

  constructor(recorder: Recorder, options: RunOptions) {
    this.#recorder = recorder
    this.#options = { ...options }
    this.#key = cleanText(options.key ?? crypto.randomUUID(), 500)
    this.#next(async () => {})
  }

  /** Does some work as a step. Its result, or its error, is passed on. */
  async step<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    const short = cleanText(name, 150)
    const number = this.#names.get(short) ?? 0
    this.#names.set(short, number + 1)
    return this.watch({ key: number === 0 ? short : `${short}:${number}`, name, attempt: this.#options.attempt }, async () => await work())
  }

  /** Does some work as a step that has a key. Middleware calls it. */
  async watch<T>(step: { key: string; name: string; attempt?: number }, work: () => Promise<T>): Promise<T> {
    const startedAt = new Date()
    const start = performance.now()
    const open = new OpenStep()
    const ended = (status: 'success' | 'failed', found: unknown) => this.#safely(() => this.record({
      ...step, status, startedAt, milliseconds: performance.now() - start,
      results: open.close((later) => this.#record(step, later)) ?? resultsIn(found), ...status === 'failed' && { error: found },
    }))
    let result: T
    try {
      result = await openSteps.run(open, work)
    } catch (error) {
      ended('failed', error)
      throw error
    }
    ended('success', result)
    return result
  }

  /** Records a step that is over. A key that was recorded with the same attempt changes nothing. */
  record(step: Step): void {
    const [first, ...more] = step.results ?? []
    this.#send(step, step.key, first)
    // A row has one usage. Each further call has a row of its own.
    for (const [i, result] of more.entries()) {
      this.#send({ ...step, status: 'success', milliseconds: undefined, error: undefined }, `${step.key}/${i + 1}`, result)
    }
  }

  /** Records a step unless this process has recorded it. */
  recordOnce(step: Step): void {
    if (this.#isTold.has(step.key)) return
    this.#isTold.add(step.key)
    this.record(step)
  }

  /** `output` is a value, or a function that gives it. */
  finish(status: Ending, output?: unknown): void {
    const output_data = this.#data(output)
    this.#next(async (run_id, until) => {
      await this.#withData('finish_run', { run_id, status }, output_data === undefined ? {} : { output_data }, until)
    })
  }

  #record(step: { key: string; name: string; attempt?: number }, { number, ...result }: Result & { number: number }): void {
    this.#send({ ...step, status: 'success' }, number === 0 ? `${step.key}/late` : `${step.key}/${number}`, result)
  }

  #send(step: Step, key: string, call?: Result): void {
    const { usage, model } = call ? usageOf(call.result) : {}
    const milliseconds = call?.milliseconds ?? step.milliseconds
    const args = {
      step_key: cleanText(key, 500), step_name: cleanText(step.name, 200) || cleanText(step.key, 200), status: step.status, attempt: step.attempt ?? 0,
      executed_at: (step.startedAt ?? new Date()).toISOString(),
      ...milliseconds !== undefined && { latency_ms: Math.max(0, Math.min(milliseconds, 1e9)) },
      ...(call?.model ?? model) !== undefined && { model: cleanText(call?.model ?? model, 200) },
      ...usage && { response: usage },
      ...step.error !== undefined && { error: errorOf(step.error) },
    }
    this.#next(async (run_id, until) => {
      await this.#recorder.call('record_step', { run_id, ...args }, until)
    })
  }

  /** Calls of a run are sent in their order, and after the run has its id. */
  #next(work: (id: string, until: number) => Promise<void>): void {
    this.#recorder.inBackground((until) => {
      const before = this.#last
      const now = before.then(async () => {
        this.#id ??= await this.#start(until)
        await work(this.#id, until)
      })
      this.#last = now.catch(() => {})
      return now
    })
  }

  async #start(until: number): Promise<string> {
    const { projectId, workflow, event, phase, input } = this.#options
    const input_data = this.#data(input)
    const id = await this.#withData('start_run', {
      project_id: projectId, workflow_id: cleanText(workflow, 200), event_name: cleanText(event ?? workflow, 200), run_key: this.#key,
      ...phase !== undefined && { phase },
    }, input_data === undefined ? {} : { input_data }, until)
    // It may hold on to a large event.
    this.#options.input = undefined
    return id as string
  }

  /** Calls without the data if the data is refused. */
  async #withData(name: string, args: Record<string, unknown>, data: Record<string, unknown>, until: number): Promise<unknown> {
    try {
      return await this.#recorder.call(name, { ...args, ...data }, until)
    } catch (error) {
      if ((error as RecorderError).code !== '22023' || Object.keys(data).length === 0) throw error
      this.#recorder.gaveUp(error)
      return await this.#recorder.call(name, args, until)
    }
  }

  #data(given: unknown): unknown {
    try {
      return jsonWithin(typeof given === 'function' ? given() : given, MOST_JSON)
    } catch (error) {
      this.#recorder.gaveUp(error)
      return undefined
    }
  }

  #safely(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#recorder.gaveUp(error)
    }
  }
}

// What a step reports while it runs ------------------------------------------------------------------------------------

class OpenStep {
  readonly #results: Result[] = []
  #later?: (result: Result & { number: number }) => void
  #count = 0

  add(result: Result): void {
    const number = this.#count++
    if (this.#later) this.#later({ ...result, number })
    else this.#results.push(result)
  }

  /** What was reported, if anything was. What is reported later goes to `later`. */
  close(later: (result: Result & { number: number }) => void): Result[] | undefined {
    this.#later = later
    return this.#results.length > 0 ? this.#results : undefined
  }
}

const openSteps = new AsyncLocalStorage<OpenStep>()

/**
 * Says within a step what a call of a model returned. It is needed where the step itself does not return it, and where a step calls
 * models several times. Returns the same result. Outside of a step it does nothing.
 */
export function report<T>(result: T, more: { model?: string; milliseconds?: number } = {}): T {
  openSteps.getStore()?.add({ result, ...more })
  return result
}

/** The calls of models in what a step returned or threw: one, or an array of them. */
function resultsIn(found: unknown): Result[] {
  const list = Array.isArray(found) ? found.slice(0, 100) : [found]
  return list.filter((each) => usageOf(each).usage).map((result) => ({ result }))
}

/** What is kept of an error. */
export function errorOf(error: unknown, depth = 0): Record<string, unknown> {
  if (typeof error !== 'object' || error === null) return { name: 'Error', message: cleanText(error, 4000) }
  const [code, status, cause] = [get(error, 'code'), get(error, 'status') ?? get(error, 'statusCode'), get(error, 'cause')]
  const message = get(error, 'message') ?? JSON.stringify(jsonWithin(error, 4000))
  const isShort = (value: unknown) => typeof value === 'string' || Number.isFinite(value)
  return {
    name: cleanText(get(error, 'name') ?? 'Error', 200), message: cleanText(message ?? '', 4000),
    ...isShort(code) && { code: cleanText(code, 200) },
    ...isShort(status) && { status: cleanText(status, 200) },
    ...cause !== undefined && cause !== null && depth < 3 && { cause: errorOf(cause, depth + 1) },
  }
}
