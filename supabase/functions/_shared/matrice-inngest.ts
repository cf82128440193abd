// Middleware for Inngest that records functions in matrice: runs, steps, attempts, errors, and what calls of models cost.
//
//   new Inngest({ id: 'app', middleware: [matrice({ client: supabase, projectId })] })
//
// A run is recorded with its id as run_key, a step with the SDK's hash of its id as step_key. The SDK says what ran here. What ran
// in Inngest's servers (sleep, waitForEvent, invoke) is not recorded; step.ai.infer is, when its result comes.

import { type Inngest, type InngestFunction, Middleware } from 'inngest'
import { type Client, errorOf, Recorder, type RecorderOptions, type Run, RecorderError } from './recorder.ts'
import { cleanText } from './reported.ts'

export { report } from './recorder.ts'

type Context = Middleware.OnRunStartArgs['ctx']
type Fn = Middleware.OnRunStartArgs['fn']
type StepInfo = Middleware.WrapStepArgs['stepInfo']

export interface Options extends Omit<RecorderOptions, 'client'> {
  client: Client
  /** The project of a run. A run without one is not recorded. */
  projectId: string | ((ctx: Context) => string | undefined)
  phase?: string | ((ctx: Context) => string | undefined)
  /** What is kept as the run's input and output. By default nothing: events and results may be large, and private. */
  input?: (ctx: Context) => unknown
  output?: (result: unknown, ctx: Context) => unknown
  /** So many milliseconds at most a response waits for what it recorded. 0, by default: not at all. */
  responseWaits?: number
}

const CANCELLATIONS = 'matrice-cancellations'
const FAILED = 'inngest/function.failed'
const CANCELLED = 'inngest/function.cancelled'

/** The middleware, and `flush`, which waits for what was recorded, for example before a process ends. */
export function matrice(options: Options): Middleware.Class & { flush(): Promise<void> } {
  const recorder = new Recorder(options)
  return class MatriceMiddleware extends Middleware.BaseMiddleware {
    static readonly flush = () => recorder.flush()
    readonly id = 'matrice'
    #isRequest = false
    #ending?: () => void

    override onRunStart({ ctx, fn }: Middleware.OnRunStartArgs) {
      this.#run(ctx, fn)
    }

    // It is called once for each attempt of a step, with checkpointing too; wrapStep is not.
    override wrapStepHandler({ ctx, fn, next, stepInfo }: Middleware.WrapStepHandlerArgs) {
      const run = this.#run(ctx, fn)
      return run ? run.watch({ ...named(stepInfo), attempt: ctx.attempt }, next) : next()
    }

    // Inngest's servers call the model. The result is seen with each later request.
    override wrapStep({ ctx, fn, next, stepInfo }: Middleware.WrapStepArgs) {
      const result = next()
      if (stepInfo.stepType === 'ai.infer') {
        const record = (step: { status: 'success'; results: { result: unknown }[] } | { status: 'failed'; error: unknown }) =>
          this.#safely(() => this.#run(ctx, fn)?.recordOnce({ ...named(stepInfo), ...step }))
        result.then((found) => record({ status: 'success', results: [{ result: found }] }), (error) => record({ status: 'failed', error }))
      }
      return result
    }

    override onRunComplete({ ctx, fn, output }: Middleware.OnRunCompleteArgs) {
      const run = this.#run(ctx, fn)
      this.#ending = run && (() => run.finish('completed', () => options.output?.(output, ctx)))
      if (!this.#isRequest) this.#end()
    }

    override onRunError({ ctx, fn, error, isFinalAttempt }: Middleware.OnRunErrorArgs) {
      this.#safely(() => {
        const run = this.#run(ctx, fn)
        // An error of a step is recorded there.
        if (!('stepId' in error)) run?.record({ key: '(function)', name: '(function)', status: 'failed', attempt: ctx.attempt, error })
        if (isFinalAttempt) run?.finish('failed', { error: errorOf(error) })
      })
    }

    override async wrapRequest({ next }: Middleware.WrapRequestArgs) {
      this.#isRequest = true
      const response = await next()
      // A function that did not await a step returns before its steps have run.
      if (isLast(response)) this.#end()
      if (options.responseWaits) await Promise.race([recorder.flush(), new Promise((resolve) => setTimeout(resolve, options.responseWaits))])
      return response
    }

    #end() {
      this.#safely(() => this.#ending?.())
      this.#ending = undefined
    }

    #run(ctx: Context, fn: Fn): Run | undefined {
      return this.#safely(() => {
        if (fn.id() === CANCELLATIONS) return undefined
        const projectId = typeof options.projectId === 'function' ? options.projectId(ctx) : options.projectId
        if (!projectId || !ctx.runId) return undefined
        const phase = typeof options.phase === 'function' ? options.phase(ctx) : options.phase
        return recorder.run({ projectId, phase, workflow: workflowOf(ctx, fn), event: ctx.event?.name, key: ctx.runId, input: () => options.input?.(ctx) })
      })
    }

    #safely<T>(work: () => T): T | undefined {
      try {
        return work()
      } catch (error) {
        recorder.gaveUp(error)
        return undefined
      }
    }
  }
}

/** A function that onFailure made has the id of the function that failed. Its runs are not runs of that. */
function workflowOf(ctx: Context, fn: Fn): string {
  const isFailureHandler = ctx.event?.name === FAILED && 'error' in ctx
  return isFailureHandler ? `${cleanText(fn.id(), 180)}/on-failure` : fn.id()
}

function named({ hashedId, options: { id, name } }: StepInfo): { key: string; name: string } {
  return { key: hashedId, name: id || name || hashedId }
}

/** Whether nothing of a run comes after a response. 206 lists steps; with checkpointing the last one is RunComplete. */
function isLast({ status, body }: Middleware.Response): boolean {
  if (status !== 206) return true
  try {
    const steps = [JSON.parse(body)].flat()
    return steps.some(({ op }) => op === 'RunComplete')
  } catch {
    return true
  }
}

/**
 * A function that records cancelled runs, which no middleware is told of. Serve it beside the others. `projectId` is called with the
 * event that had started the run.
 */
export function cancellations(inngest: Inngest.Any, options: { client: Client; projectId?: string }): InngestFunction.Any {
  return inngest.createFunction({ id: CANCELLATIONS, triggers: [{ event: CANCELLED }] }, async ({ event }) => {
    const run_key = String((event.data as { run_id?: unknown }).run_id)
    await recordCancelled(options, run_key)
  })
}

interface Found { data: { id: string; status: string }[] | null; error: { message: string; code?: string } | null }
interface Query extends PromiseLike<Found> { eq(column: string, value: string): Query }
interface Matrice {
  from(table: string): { select(columns: string): Query }
  rpc(name: string, args: Record<string, unknown>): PromiseLike<{ error: { message: string; code?: string } | null }>
}

/** Only runs that are known are cancelled. Errors are thrown, so that Inngest tries again. */
async function recordCancelled({ client, projectId }: { client: Client; projectId?: string }, run_key: string): Promise<void> {
  const given = client as unknown as Matrice & { schema?(name: string): Matrice }
  const database = given.schema ? given.schema('matrice') : given
  const query = database.from('workflow_runs').select('id, status').eq('run_key', run_key).eq('status', 'running')
  const { data, error } = await (projectId ? query.eq('project_id', projectId) : query)
  if (error) throw new RecorderError(error.message, error.code)
  for (const { id } of data ?? []) {
    const { error } = await database.rpc('finish_run', { run_id: id, status: 'cancelled' })
    // It may have ended meanwhile.
    if (error && error.code !== 'PT409') throw new RecorderError(error.message, error.code)
  }
}
