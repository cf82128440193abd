// What the environment says, for the command and for the edge functions.

import { Endpoint } from './endpoint.ts'
import { DEFAULTS, type WorkerSettings } from './worker.ts'

export class SettingsError extends Error {
  override name = 'SettingsError'
}

export function variable(name: string): string {
  const found = Deno.env.get(name)
  if (!found) throw new SettingsError(`set ${name} in the environment`)
  return found
}

/** A number of the environment that is not negative. */
export function number(name: string): number | undefined {
  const text = Deno.env.get(name)
  if (!text) return undefined
  const found = Number(text)
  if (!Number.isFinite(found) || found < 0) throw new SettingsError(`${name} must be a number, not ${text}`)
  return found
}

/** EMBEDDINGS_URL, by default OpenAI's; EMBEDDINGS_API_KEY or OPENAI_API_KEY. */
export function endpoint(): Endpoint {
  const url = Deno.env.get('EMBEDDINGS_URL') ?? 'https://api.openai.com/v1/embeddings'
  const key = Deno.env.get('EMBEDDINGS_API_KEY') ?? Deno.env.get('OPENAI_API_KEY')
  if (!key && url.startsWith('https://api.openai.com/')) throw new SettingsError('set OPENAI_API_KEY, or EMBEDDINGS_URL for another endpoint')
  return new Endpoint({ url, key, timeoutSeconds: number('EMBEDDINGS_TIMEOUT') ?? 60 })
}

/** What the model wants before a question, such as "query: " for E5. */
export function queryPrefix(): string {
  return Deno.env.get('EMBEDDINGS_QUERY_PREFIX') ?? ''
}

/** What the endpoint takes at once, and what it costs. */
export function workerSettings(): Partial<WorkerSettings> {
  return {
    maxInputs: number('EMBEDDINGS_MAX_INPUTS') ?? DEFAULTS.maxInputs,
    maxBatchTokens: number('EMBEDDINGS_MAX_BATCH_TOKENS') ?? DEFAULTS.maxBatchTokens,
    maxInputTokens: number('EMBEDDINGS_MAX_INPUT_TOKENS') ?? DEFAULTS.maxInputTokens,
    leaseSeconds: number('MATRICE_LEASE_SECONDS') ?? DEFAULTS.leaseSeconds,
    usdPerMillion: number('EMBEDDINGS_USD_PER_MILLION'),
  }
}
