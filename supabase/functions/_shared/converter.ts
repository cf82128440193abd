// Converts files in a thread, which ends with a file that takes too much time or memory. A library that computes gives nothing
// else a turn, so a limit of its own thread would never be looked at.

import type { Converted } from './convert.ts'
import { ConversionError, LIMITS, type Limits, type Reason } from './limits.ts'

export interface Request { bytes: Uint8Array<ArrayBuffer>; name: string; contentType: string; limits: Limits }
export type Answer = { converted: Converted } | { refused: { code: Reason; message: string; hint?: string } } | { failed: string }

/** What the process may have more than before the conversion. */
const MEMORY = 1_000_000_000
const LOOKS_EVERY = 50
/** The thread itself says where it was when the time was over, if it can. */
const GRACE = 1_000

export class Converter {
  readonly #limits: Limits
  #thread: Worker | undefined

  constructor(limits: Partial<Limits> = {}) {
    this.#limits = { ...LIMITS, ...limits }
  }

  /** Converts one file at a time. Takes the bytes away from the caller. */
  async convert(bytes: Uint8Array<ArrayBuffer>, name: string, contentType = ''): Promise<Converted> {
    const answer = await this.#ask({ bytes, name, contentType, limits: this.#limits })
    if ('converted' in answer) return answer.converted
    if ('refused' in answer) throw new ConversionError(answer.refused.code, answer.refused.message, answer.refused.hint)
    throw new Error(answer.failed)
  }

  close() {
    this.#thread?.terminate()
    this.#thread = undefined
  }

  #ask(request: Request): Promise<Answer> {
    this.#thread ??= new Worker(new URL('./converter-thread.ts', import.meta.url), { type: 'module' })
    const thread = this.#thread
    const { seconds } = this.#limits
    const [ends, memory] = [performance.now() + seconds * 1000 + GRACE, Deno.memoryUsage().rss + MEMORY]
    return new Promise((resolve) => {
      const end = (answer: Answer) => {
        clearInterval(watch)
        resolve(answer)
      }
      const stop = (code: Reason, message: string) => {
        this.close()
        end({ refused: { code, message, hint: 'Split the file.' } })
      }
      const watch = setInterval(() => {
        if (performance.now() > ends) stop('too_slow', `the conversion takes more than ${seconds} seconds`)
        else if (Deno.memoryUsage().rss > memory) stop('too_large', `the conversion takes more than ${MEMORY} bytes of memory`)
      }, LOOKS_EVERY)
      thread.onmessage = ({ data }: MessageEvent<Answer>) => end(data)
      thread.onerror = (event) => {
        event.preventDefault()
        stop('damaged', `the conversion broke off: ${event.message}`)
      }
      thread.postMessage(request, [request.bytes.buffer])
    })
  }
}
