// The loop of a worker: claim chunks, have them embedded, store the embeddings. Any number of workers may run at once.
//
// Money: an answer of the endpoint was paid for. So its vectors are stored by repeating the store, never by asking again; and
// what would be refused again is not asked again: a text that the endpoint refuses is found by halving, and becomes a dead
// letter alone.

import { type Answer, type Endpoint, EndpointError, type Vector } from './endpoint.ts'
import { type Database, DatabaseError } from './rpc.ts'

export interface WorkerSettings {
  /** Only this project; undefined: all. */
  projectId?: string
  /** Only this model; undefined: each project's own. */
  model?: string
  maxInputs: number
  maxBatchTokens: number
  maxInputTokens: number
  leaseSeconds: number
  /** How many batches are in flight at once. */
  jobs: number
  /** Ends when nothing is left to embed. */
  once: boolean
  /** With `once`: seconds to wait for chunks that nobody can claim yet. */
  waitSeconds: number
  /** Seconds to wait when nothing is left to claim. */
  idleSeconds: number
  /** Seconds after which no batch is begun, and batches in all: for edge functions. */
  endAfterSeconds?: number
  maxBatches?: number
  /** US dollars for a million tokens, where the catalogue does not know the model's price; 0 for a model of one's own. */
  usdPerMillion?: number
  log?: (message: string) => void
}

/** What a provider takes at once (OpenAI: 300,000 tokens, 2,048 inputs, 8,192 tokens each), and what a claim hands out well. */
export const DEFAULTS: WorkerSettings = {
  maxInputs: 128, maxBatchTokens: 100_000, maxInputTokens: 8_191, leaseSeconds: 300, jobs: 2, once: false, waitSeconds: 0, idleSeconds: 5,
}

/** `left`: with `once`, chunks that nobody could claim yet, because they failed and wait, or another worker has them. */
export interface Counts { stored: number; failed: number; left: number; calls: number; tokens: number }

interface Chunk {
  chunk_id: string
  project_id: string
  attempt: number
  lease_id: string
  model: string
  /** The model to ask: the whole one, where `model` is truncated from it. */
  request_model: string
  embedding_text: string
  embedding_tokens: number
}

interface Waiting { waiting: number | string; leased: number | string; next_at: string | Date }

interface Coverage { model: string; is_active: boolean; is_next: boolean }

interface Batch {
  chunks: Chunk[]
  model: string
  requestModel: string
  leaseId: string
  ends: number
  /** Those that are neither stored nor dead letters yet. */
  open: Set<Chunk>
  /** Whether the endpoint has embedded some of its texts. */
  isServed: boolean
}

/** No text is at fault, and going on would only cost: a wrong key, no model that works, a database that refuses. */
export class WorkerError extends Error {
  override name = 'WorkerError'
}

const STORES = 8
/** So long a worker that has reached the database waits for it to come back. */
const OUTAGE = 300_000
const LONGEST_PAUSE = 60_000
/** After this time, a model that the endpoint refused is asked for again. */
const REFUSED_FOR = 3_600_000
/** With --once, a worker gives up after so many failures of the endpoint in a row. */
const FAILURES = 5

export class Worker {
  readonly counts: Counts = { stored: 0, failed: 0, left: 0, calls: 0, tokens: 0 }
  readonly #database: Database
  readonly #endpoint: Endpoint
  readonly #settings: WorkerSettings
  readonly #stop = new AbortController()
  readonly #ends: number
  readonly #runs: Runs
  /** Models that the endpoint does not have, each with its answer. A project may switch to one, and others go on. */
  readonly #refused = new Map<string, { reason: string; until: number }>()
  #batches = 0
  #inFlight = 0
  #pausedUntil = 0
  #failures = 0
  #isConnected = false

  constructor(database: Database, endpoint: Endpoint, settings: Partial<WorkerSettings> = {}) {
    this.#database = database
    this.#endpoint = endpoint
    this.#settings = { ...DEFAULTS, ...settings }
    this.#ends = performance.now() + (this.#settings.endAfterSeconds ?? Infinity) * 1000
    this.#runs = new Runs(database, this.#settings)
  }

  /** Begins no batch any more. run() ends when those in flight are stored. */
  stop() {
    this.#stop.abort()
  }

  /** Works until stopped; with `once` until nothing is left to embed, or what is left has to wait for too long. */
  async run(): Promise<Counts> {
    const patience = performance.now() + this.#settings.waitSeconds * 1000
    do {
      const loops = await Promise.allSettled(Array.from({ length: this.#settings.jobs }, () => this.#loop()))
      await this.#runs.finish()
      const broken = loops.find((loop) => loop.status === 'rejected')
      if (broken) throw broken.reason
    } while (this.#settings.once && !this.#isOver && await this.#waits(patience))
    return this.counts
  }

  // Whether there is something to claim again after a pause. Other workers may store or give back theirs sooner than is known.
  async #waits(patience: number): Promise<boolean> {
    const { projectId, model, idleSeconds } = this.#settings
    const rows = await this.#insist(() => this.#database.rpc('waiting_chunks', { project_id: projectId ?? null, model: model ?? null })) as Waiting[]
    const sum = (column: 'waiting' | 'leased') => rows.reduce((total, row) => total + Number(row[column]), 0)
    const [waiting, leased] = [sum('waiting'), sum('leased')]
    const wasLeft = this.counts.left > 0
    this.counts.left = waiting + leased
    if (this.counts.left === 0) return false
    const next = new Date(Math.min(...rows.map(({ next_at }) => new Date(next_at).getTime())))
    const isLate = performance.now() >= patience
    if (isLate || !wasLeft) {
      this.#log(`${this.counts.left} chunks are left: ${waiting} failed and wait to be tried again, ${leased} are with other workers; `
        + `the first can be claimed at ${next.toISOString()}${isLate ? '' : ', waiting'}`)
    }
    if (isLate) return false
    await this.#sleep(Math.min(idleSeconds * 1000, patience - performance.now(), Math.max(next.getTime() - Date.now(), 100)))
    return true
  }

  get #isOver(): boolean {
    return this.#stop.signal.aborted || performance.now() >= this.#ends || this.#batches >= (this.#settings.maxBatches ?? Infinity)
  }

  async #loop() {
    try {
      while (!this.#isOver) {
        await this.#pause()
        if (this.#isOver) return
        this.#batches++
        const batch = await this.#claim()
        if (batch) {
          this.#inFlight++
          await this.#embed(batch).finally(() => this.#inFlight--)
        } else {
          this.#batches--
          if (this.#settings.once) return
          await this.#runs.finish()
          await this.#sleep(this.#settings.idleSeconds * 1000)
        }
      }
    } catch (error) {
      this.stop()
      throw error
    }
  }

  async #claim(): Promise<Batch | undefined> {
    for (const [model, { until }] of this.#refused) if (performance.now() >= until) this.#refused.delete(model)
    if (this.#refused.size === 0) return await this.#claimOf(this.#settings.model)
    for (const model of await this.#otherModels()) {
      const batch = await this.#claimOf(model)
      if (batch) return batch
    }
    const [[model, { reason }]] = this.#refused
    // Whoever runs the worker is to know if nothing works. Another batch may yet show that something does.
    const worksNever = this.#settings.model !== undefined || this.counts.stored === 0 && this.#inFlight === 0
    if (this.#settings.once || worksNever) throw new WorkerError(`${model} cannot be embedded: ${reason}`)
    return undefined
  }

  async #claimOf(model?: string): Promise<Batch | undefined> {
    const { maxInputs, leaseSeconds, projectId, maxBatchTokens, maxInputTokens } = this.#settings
    const began = performance.now()
    const chunks = await this.#insist(() => this.#database.rpc('claim_chunks', {
      model: model ?? null, batch_size: maxInputs, lease_seconds: leaseSeconds, project_id: projectId ?? null,
      max_batch_tokens: maxBatchTokens, max_inputs: maxInputs, max_input_tokens: maxInputTokens,
    })) as Chunk[]
    if (chunks.length === 0) return undefined
    const { model: claimed, request_model: requestModel, lease_id: leaseId } = chunks[0]
    return { chunks, model: claimed, requestModel, leaseId, ends: began + leaseSeconds * 1000, open: new Set(chunks), isServed: false }
  }

  // The models to claim for but those that the endpoint refused: of the project its own and the next one, else all.
  async #otherModels(): Promise<string[]> {
    const { projectId, model } = this.#settings
    if (model !== undefined) return []
    const models = projectId === undefined
      ? await this.#insist(() => this.#database.column('embedding_models', 'model'))
      : (await this.#insist(() => this.#database.rpc('model_coverage', { project_id: projectId })) as Coverage[])
        .filter((row) => row.is_active || row.is_next).map((row) => row.model)
    return models.filter((each) => !this.#refused.has(each)).sort(() => Math.random() - 0.5)
  }

  // One batch, from the endpoint to the store. Whatever happens, its chunks are stored, or given back with the reason.
  async #embed(batch: Batch) {
    try {
      await this.#settle(batch, batch.chunks)
      this.#failures = 0
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error
      await this.#giveBack(batch, [...batch.open], error.message, false)
      if (error.failure === 'misconfigured') throw new WorkerError(`the endpoint refuses every request: ${error.message}`)
      if (error.failure === 'unserved') {
        this.#log(`${batch.model} cannot be embedded: ${error.message}`)
        this.#refused.set(batch.model, { reason: error.message, until: performance.now() + REFUSED_FOR })
        return
      }
      this.#failures++
      this.#log(`${error.message} (failure ${this.#failures} in a row)`)
      if (this.#settings.once && this.#failures >= FAILURES) throw new WorkerError(`the endpoint failed ${FAILURES} times: ${error.message}`)
      this.#pauseFor(1000 * 2 ** Math.min(this.#failures, 6))
    }
  }

  // Sends chunks until each is stored or a dead letter.
  async #settle(batch: Batch, chunks: Chunk[]) {
    while (chunks.length > 0) {
      const refusal = await this.#send(batch, chunks)
      if (refusal === undefined) return
      chunks = await this.#isolate(batch, chunks, refusal)
    }
  }

  // Finds a text at fault among n that were refused together, in at most ⌈log2 n⌉ + 1 calls, and returns those that no call has
  // tried yet. What the endpoint takes is stored at once; only the part that it refused is divided again. The other halves
  // wait, and go with the last two suspects.
  async #isolate(batch: Batch, suspects: Chunk[], reason: string): Promise<Chunk[]> {
    const waiting: Chunk[] = []
    while (suspects.length > 2) {
      const half = suspects.length >> 1
      const [first, second] = [suspects.slice(0, half), suspects.slice(half)]
      const refusal = await this.#send(batch, first)
      suspects = refusal === undefined ? second : first
      if (refusal !== undefined) {
        reason = refusal
        waiting.push(...second)
      }
    }
    if (suspects.length === 1) {
      await this.#bury(batch, suspects[0], reason)
      return waiting
    }
    const [shorter, longer] = suspects.sort((a, b) => a.embedding_tokens - b.embedding_tokens)
    if (waiting.length > 0) {
      const refusal = await this.#send(batch, [...waiting, shorter])
      if (refusal === undefined) {
        await this.#tryAlone(batch, longer)
        return []
      }
      // As many texts, and no fewer tokens: no limit of the request explains that the shorter one is refused.
      if (await this.#send(batch, [...waiting, longer]) === undefined) {
        await this.#bury(batch, shorter, refusal)
        return []
      }
    }
    // Several texts are at fault, or only their number.
    await this.#tryAlone(batch, shorter)
    await this.#tryAlone(batch, longer)
    return waiting
  }

  async #tryAlone(batch: Batch, chunk: Chunk) {
    const refusal = await this.#send(batch, [chunk])
    if (refusal !== undefined) await this.#bury(batch, chunk, refusal)
  }

  // Returns why the endpoint refuses these texts. If it does not, their vectors are stored.
  async #send(batch: Batch, chunks: Chunk[]): Promise<string | undefined> {
    let vectors: Vector[]
    try {
      vectors = await this.#request(batch, chunks)
    } catch (error) {
      if (error instanceof EndpointError && error.failure === 'refused') return error.message
      throw error
    }
    batch.isServed = true
    await this.#store(batch, chunks, vectors)
    for (const chunk of chunks) batch.open.delete(chunk)
  }

  // Before a text becomes a dead letter: does the endpoint take any text at all?
  async #bury(batch: Batch, chunk: Chunk, reason: string) {
    if (!batch.isServed) {
      try {
        await this.#endpoint.embed(batch.requestModel, ['text'])
        batch.isServed = true
      } catch (error) {
        throw error instanceof EndpointError && error.failure === 'refused' ? new EndpointError('unserved', reason) : error
      }
    }
    await this.#giveBack(batch, [chunk], reason, true)
    batch.open.delete(chunk)
  }

  // One request, repeated while the endpoint is busy and the lease lasts. Records it as a step. A text that several chunks of a
  // project have is sent once; not of several projects, whose costs would tell that another one has the text.
  async #request(batch: Batch, all: Chunk[]): Promise<Vector[]> {
    const places = new Map<string, number>()
    const chunks = all.filter((chunk) => !places.has(keyOf(chunk)) && places.set(keyOf(chunk), places.size))
    for (let attempt = 1; ; attempt++) {
      const began = performance.now()
      try {
        this.counts.calls++
        const answer = await this.#endpoint.embed(batch.requestModel, chunks.map((chunk) => chunk.embedding_text))
        this.counts.tokens += tokensOf(chunks)
        await this.#runs.record(batch.requestModel, chunks, performance.now() - began, answer)
        return all.map((chunk) => answer.vectors[places.get(keyOf(chunk))!])
      } catch (error) {
        if (!(error instanceof EndpointError)) throw error
        if (error.failure !== 'busy') {
          await this.#runs.record(batch.requestModel, chunks, performance.now() - began, error)
          throw error
        }
        const wait = error.waitSeconds === undefined ? 500 * 2 ** Math.min(attempt, 7) : error.waitSeconds * 1000
        this.#pauseFor(wait)
        // The lease must outlast the wait, the next request and the store.
        const latest = Math.min(batch.ends - this.#endpoint.settings.timeoutSeconds * 1000, this.#ends)
        if (this.#pausedUntil > latest || this.#stop.signal.aborted) throw error
        await this.#pause()
      }
    }
  }

  // Everybody waits, and not for the same time.
  #pauseFor(milliseconds: number) {
    const wait = Math.min(milliseconds, 10 * LONGEST_PAUSE) * (1 + Math.random() / 4)
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + wait)
  }

  async #pause() {
    for (let left = this.#pausedUntil - performance.now(); left > 0 && !this.#stop.signal.aborted; left = this.#pausedUntil - performance.now()) {
      await this.#sleep(Math.min(left, Math.max(this.#ends - performance.now(), 0)))
      if (performance.now() >= this.#ends) return
    }
  }

  async #store(batch: Batch, chunks: Chunk[], vectors: Vector[]) {
    const refused = await this.#storeSome(batch, chunks, vectors)
    if (refused.length === 0) return
    if (refused.length === chunks.length && chunks.length > 1) {
      throw new EndpointError('unserved', `the database refuses every vector of ${batch.model}: ${refused[0].reason}`)
    }
    for (const { chunk, reason } of refused) await this.#giveBack(batch, [chunk], reason, true)
  }

  // Vectors that the database refuses are found by bisecting too. That costs no money.
  async #storeSome(batch: Batch, chunks: Chunk[], vectors: Vector[]): Promise<{ chunk: Chunk; reason: string }[]> {
    try {
      const stored = await this.#insist(() => this.#database.rpc('store_embeddings', {
        model: batch.model, chunk_ids: chunks.map((chunk) => chunk.chunk_id), embeddings: vectors, lease_id: batch.leaseId,
      }))
      this.counts.stored += Number(stored)
      return []
    } catch (error) {
      if (isGone(error)) return []
      if (!(error instanceof DatabaseError) || error.code !== '22023') throw error
      if (chunks.length === 1) return [{ chunk: chunks[0], reason: error.message }]
    }
    const half = chunks.length >> 1
    return [
      ...await this.#storeSome(batch, chunks.slice(0, half), vectors.slice(0, half)),
      ...await this.#storeSome(batch, chunks.slice(half), vectors.slice(half)),
    ]
  }

  async #giveBack(batch: Batch, chunks: Chunk[], reason: string, permanent: boolean) {
    if (permanent) {
      this.counts.failed += chunks.length
      this.#log(`chunk ${chunks[0].chunk_id} cannot be embedded: ${reason}`)
    }
    try {
      await this.#insist(() => this.#database.rpc('fail_chunks', {
        model: batch.model, chunk_ids: chunks.map((chunk) => chunk.chunk_id), error: reason, lease_id: batch.leaseId, permanent,
      }))
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  // The database may be restarting. What is repeated here may be done twice: a store of the same vectors changes nothing. A
  // worker that has never reached it has a wrong address, and an edge function has little time: they give up sooner.
  async #insist<T>(call: () => Promise<T>): Promise<T> {
    const began = performance.now()
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await call()
        this.#isConnected = true
        return result
      } catch (error) {
        const isPassing = error instanceof DatabaseError ? error.isPassing : true
        const isPatient = this.#isConnected && this.#settings.endAfterSeconds === undefined
        if (!isPassing || attempt >= STORES && !(isPatient && performance.now() - began < OUTAGE)) throw error
        this.#log(`${(error as Error).message} (attempt ${attempt})`)
        await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** Math.min(attempt, 5) * (1 + Math.random() / 4)))
      }
    }
  }

  /** Ends early when the worker is stopped. */
  #sleep(milliseconds: number): Promise<void> {
    const { signal } = this.#stop
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const done = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, milliseconds)
      signal.addEventListener('abort', done)
    })
  }

  #log(message: string) {
    this.#settings.log?.(message)
  }
}

// A run for each project, from the first batch until nothing is left to claim. A failure to record it stops no embedding.
class Runs {
  #open = new Map<string, Promise<string>>()
  #steps = 0

  constructor(readonly database: Database, readonly settings: WorkerSettings) {}

  async record(model: string, chunks: Chunk[], milliseconds: number, outcome: Answer | EndpointError) {
    const total = tokensOf(chunks)
    for (const [project, own] of Map.groupBy(chunks, (chunk) => chunk.project_id)) {
      const counted = tokensOf(own)
      // The endpoint's own count, where it gives one: it is what costs.
      const tokens = outcome instanceof EndpointError ? 0 : Math.round((outcome.tokens ?? total) * (total > 0 ? counted / total : 0))
      const { usdPerMillion } = this.settings
      await this.#try(async () => this.database.rpc('record_step', {
        run_id: await this.#run(project), step_name: 'embed', status: outcome instanceof EndpointError ? 'failed' : 'success',
        latency_ms: Math.round(milliseconds), model, tokens_input: tokens, step_key: `embed:${++this.#steps}`,
        error: outcome instanceof EndpointError ? { message: outcome.message } : null,
        cost_usd: usdPerMillion === undefined ? null : tokens * usdPerMillion / 1_000_000,
      }))
    }
  }

  async finish() {
    const runs = [...this.#open.values()]
    this.#open = new Map()
    for (const run of runs) await this.#try(async () => this.database.rpc('finish_run', { run_id: await run, status: 'completed' }))
  }

  #run(project: string): Promise<string> {
    const open = this.#open.get(project)
    if (open) return open
    const run = this.database.rpc('start_run', { project_id: project, workflow_id: 'embed', event_name: 'worker/claimed' }) as Promise<string>
    this.#open.set(project, run)
    run.catch(() => this.#open.delete(project))
    return run
  }

  async #try(call: () => Promise<unknown>) {
    try {
      await call()
    } catch (error) {
      this.settings.log?.(`a step was not recorded: ${(error as Error).message}`)
    }
  }
}

/** All of the chunks were deleted meanwhile. Their source is gone, or was cut again. */
function isGone(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === 'PT404'
}

function keyOf(chunk: Chunk): string {
  return `${chunk.project_id} ${chunk.embedding_text}`
}

function tokensOf(chunks: Chunk[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.embedding_tokens, 0)
}
