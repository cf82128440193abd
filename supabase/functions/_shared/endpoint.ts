// An OpenAI-compatible endpoint of embeddings: one request, and what its answer means.

import { clean } from './markdown.ts'

export interface EndpointSettings {
  /** Such as https://api.openai.com/v1/embeddings. */
  url: string
  key?: string
  timeoutSeconds: number
}

/** A vector as store_embeddings takes it: base64 of 32-bit floats, or numbers. */
export type Vector = string | number[]

export interface Answer {
  vectors: Vector[]
  /** What the endpoint says it counted. */
  tokens?: number
}

/**
 * `refused`: the texts are at fault, or one of them. `misconfigured`: every request would be refused. `unserved`: every request
 * for this model would be. `busy`: later, after `waitSeconds` if the endpoint says so. `failed`: it did not answer, or not with
 * embeddings.
 */
export type Failure = 'refused' | 'misconfigured' | 'unserved' | 'busy' | 'failed'

export class EndpointError extends Error {
  override name = 'EndpointError'
  constructor(readonly failure: Failure, message: string, readonly waitSeconds?: number) {
    super(message)
  }
}

const LARGEST_ANSWER = 200_000_000
/** What a step can hold. Beyond it, the count is no count. */
const MOST_TOKENS = 2 ** 31 - 1

export class Endpoint {
  #base64 = true

  constructor(readonly settings: EndpointSettings) {}

  async embed(model: string, texts: string[]): Promise<Answer> {
    try {
      return await this.#request(model, texts)
    } catch (error) {
      // Some endpoints do not know this parameter. They have not computed anything then.
      if (!this.#base64 || !(error instanceof EndpointError && error.failure === 'refused' && /encoding_format|base64/i.test(error.message))) throw error
      this.#base64 = false
      return await this.#request(model, texts)
    }
  }

  async #request(model: string, texts: string[]): Promise<Answer> {
    const { url, key, timeoutSeconds } = this.settings
    let answer: Response
    let body: string
    try {
      answer = await fetch(url, {
        method: 'POST',
        // A followed 302 becomes a GET, and the key must not go to another address.
        redirect: 'manual',
        headers: { 'content-type': 'application/json', ...key && { authorization: `Bearer ${key}` } },
        body: JSON.stringify({ model, input: texts, ...this.#base64 && { encoding_format: 'base64' } }),
        signal: AbortSignal.timeout(timeoutSeconds * 1000),
      })
      body = await readBody(answer)
    } catch (error) {
      if (error instanceof EndpointError) throw error
      const late = (error as Error).name === 'TimeoutError'
      throw new EndpointError('failed', late ? `the endpoint did not answer within ${timeoutSeconds} seconds` : `the endpoint cannot be reached: ${(error as Error).message}`)
    }
    if (!answer.ok) throw failureOf(answer, body)
    return readAnswer(body, texts.length)
  }
}

async function readBody(answer: Response): Promise<string> {
  const decoder = new TextDecoder()
  let [body, size] = ['', 0]
  for await (const piece of answer.body ?? []) {
    size += piece.length
    if (size > LARGEST_ANSWER) throw new EndpointError('failed', `the endpoint answered with more than ${LARGEST_ANSWER} bytes`)
    body += decoder.decode(piece, { stream: true })
  }
  return body + decoder.decode()
}

function failureOf(answer: Response, body: string): EndpointError {
  const { status } = answer
  if (status >= 300 && status < 400) {
    const location = clean(answer.headers.get('location') ?? 'nowhere').slice(0, 500)
    return new EndpointError('misconfigured', `HTTP ${status}: it redirects to ${location}. Set EMBEDDINGS_URL to the address that answers.`)
  }
  const message = `HTTP ${status}: ${messageOf(body)}`
  if (status === 429) {
    // Waiting does not fill an account. Mere mentions of billing say nothing: limits of a minute name it too, as what lifts them.
    if (isAccountEmpty(body)) return new EndpointError('misconfigured', message)
    return new EndpointError('busy', message, waitOf(answer.headers))
  }
  if (status === 503 && answer.headers.has('retry-after')) return new EndpointError('busy', message, waitOf(answer.headers))
  if (status >= 500 || status === 408) return new EndpointError('failed', message)
  if ([401, 402, 405].includes(status)) return new EndpointError('misconfigured', message)
  // 403: the account may not use this model. 404, 410: there is none, or not any more.
  if ([403, 404, 410].includes(status)) return new EndpointError('unserved', message)
  return new EndpointError('refused', message)
}

function isAccountEmpty(body: string): boolean {
  try {
    const { error } = JSON.parse(body)
    return [error?.code, error?.type].includes('insufficient_quota')
  } catch {
    return false
  }
}

// OpenAI: {"error": {"message": …}}; others: {"error": "…"}, {"detail": "…"}, {"detail": [{"msg": …}]}, {"message": "…"}.
// The database keeps the reason, so it has only what PostgreSQL stores.
function messageOf(body: string): string {
  return clean(saidIn(body).slice(0, 500)).trim() || 'no reason was given'
}

function saidIn(body: string): string {
  try {
    const { error, detail, message } = JSON.parse(body)
    const said = error?.message ?? error ?? detail ?? message
    if (said) return typeof said === 'string' ? said : JSON.stringify(said)
  } catch { /* It is no JSON. */ }
  return body.trim()
}

function waitOf(headers: Headers): number | undefined {
  const milliseconds = Number(headers.get('retry-after-ms') ?? Number.NaN)
  if (milliseconds >= 0) return milliseconds / 1000
  const stated = headers.get('retry-after')
  if (!stated) return undefined
  const seconds = /^\d+(\.\d+)?$/.test(stated.trim()) ? Number(stated) : (Date.parse(stated) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(seconds, 0) : undefined
}

// An answer is used as a whole or not at all: a vector of the wrong text is worse than none.
function readAnswer(body: string, count: number): Answer {
  let answer: { data?: unknown; error?: unknown; detail?: unknown; usage?: { total_tokens?: unknown; prompt_tokens?: unknown } }
  try {
    answer = JSON.parse(body)
  } catch {
    throw new EndpointError('failed', `the endpoint answered with something else than JSON: ${clean(body.slice(0, 100))}`)
  }
  if (!Array.isArray(answer?.data)) {
    throw new EndpointError('failed', `the endpoint answered without embeddings: ${messageOf(body)}`)
  }
  const { data } = answer
  if (data.length !== count) throw new EndpointError('failed', `the endpoint answered with ${data.length} vectors for ${count} texts`)
  const vectors: Vector[] = new Array(count)
  for (const [place, item] of data.entries()) {
    const index = item?.index ?? place
    if (!Number.isInteger(index) || index < 0 || index >= count || vectors[index] !== undefined) {
      throw new EndpointError('failed', `the endpoint answered with the index ${JSON.stringify(index)} twice, or out of range`)
    }
    vectors[index] = requireVector(item?.embedding)
  }
  const lengths = new Set(vectors.map(lengthOf))
  if (lengths.size > 1) throw new EndpointError('failed', `the endpoint answered with vectors of different lengths: ${[...lengths].slice(0, 5).join(', ')}`)
  const tokens = Number(answer.usage?.prompt_tokens ?? answer.usage?.total_tokens)
  return { vectors, ...Number.isInteger(tokens) && tokens > 0 && tokens <= MOST_TOKENS && { tokens } }
}

function requireVector(vector: unknown): Vector {
  if (typeof vector === 'string' && vector.length > 0 && isBase64(vector)) return vector
  if (Array.isArray(vector) && vector.length > 0 && vector.every((number) => typeof number === 'number')) return vector
  throw new EndpointError('failed', 'the endpoint answered with an embedding that is no vector')
}

// A regular expression takes thirty times as long, half of what a batch costs the worker.
function isBase64(text: string): boolean {
  try {
    atob(text)
    return true
  } catch {
    return false
  }
}

function lengthOf(vector: Vector): number {
  if (typeof vector !== 'string') return vector.length
  const padding = vector.endsWith('==') ? 2 : vector.endsWith('=') ? 1 : 0
  return Math.floor((vector.length - padding) * 3 / 16)
}
