// What the edge functions read and answer with.

import { ConversionError } from './limits.ts'
import { DatabaseError } from './rpc.ts'
import { SettingsError } from './settings.ts'

export const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, x-client-info, apikey, content-type',
  'access-control-allow-methods': 'POST, OPTIONS',
}

export class HttpError extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly hint?: string) {
    super(message)
  }
}

export function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status, headers: { ...CORS, 'content-type': 'application/json' } })
}

/** Errors in the form in which PostgREST gives them. */
export async function answering(request: Request, answer: () => Promise<unknown>): Promise<Response> {
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: CORS })
  try {
    if (request.method !== 'POST') throw new HttpError(405, 'method', 'use POST')
    return json(200, await answer())
  } catch (error) {
    const { code = 'internal', message, hint } = error as { code?: string; message: string; hint?: string }
    // The message of a DatabaseError has the hint in it.
    const known = error instanceof HttpError || error instanceof ConversionError || error instanceof DatabaseError || error instanceof SettingsError
    if (!known) console.error(error)
    return json(statusOf(error), { code, message: known ? message : 'the function failed; its log says why', ...hint && !(error instanceof DatabaseError) && { hint } })
  }
}

function statusOf(error: unknown): number {
  if (error instanceof HttpError) return error.status
  if (error instanceof ConversionError) return error.code === 'too_large' ? 413 : 422
  if (!(error instanceof DatabaseError)) return 500
  if (/^PT\d{3}$/.test(error.code)) return Number(error.code.slice(2))
  if (/^[45]\d\d$/.test(error.code)) return Number(error.code)
  if (error.code === '42501') return 403
  if (/^PGRST30/.test(error.code)) return 401
  // PGRST1: PostgREST could not read the request, such as half of a surrogate.
  return /^(22|23|PGRST1)/.test(error.code) ? 400 : 502
}

export function bearer(request: Request): string {
  const token = /^Bearer (.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  if (!token) throw new HttpError(401, 'unauthorized', 'the header Authorization is missing')
  return token
}

/** The JSON object of a request. */
export async function readObject(request: Request): Promise<Record<string, unknown>> {
  const text = new TextDecoder().decode(await readBytes(request.body, 'the request', 100_000))
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw new HttpError(400, 'invalid', 'the request is no JSON')
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new HttpError(400, 'invalid', 'the request is no JSON object')
  return given as Record<string, unknown>
}

export async function readBytes(body: ReadableStream<Uint8Array<ArrayBuffer>> | null, what: string, most: number, hint?: string): Promise<Uint8Array> {
  const pieces: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  for await (const piece of body ?? []) {
    size += piece.length
    if (size > most) throw new HttpError(413, 'too_large', `${what} has more than ${most} bytes`, hint)
    pieces.push(piece)
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer())
}
