// What is sent of what libraries return: usage and the name of the model, unchanged, and never a prompt or an answer.

/** Objects that are usage. All their numbers are kept, and the texts of NAMES. */
const USAGE = [
  'usage', 'usageMetadata', 'usage_metadata', 'totalUsage', 'total_usage', 'token_usage', 'tokenUsage', 'billed_units', 'billedUnits',
  'amazon-bedrock-invocationMetrics', 'gen_ai',
]
/** Objects that may have usage in them. */
const AROUND = [
  'meta', 'response', 'body', 'message', 'metadata', 'kwargs', 'raw', 'x_groq', 'response_metadata', 'llm_output', 'llmOutput', 'providerMetadata', 'provider_metadata',
  'anthropic', 'openai', 'google', 'gateway', 'openrouter',
]
/** Names, and what else a price may depend on. */
const NAMES = [
  'model', 'modelVersion', 'model_version', 'modelId', 'model_id', 'model_name', 'model_provider', 'provider', 'service_tier', 'serviceTier', 'traffic_type',
  'trafficType', 'type', 'ttl', 'modality', 'inference_geo', 'data_residency', 'speed', 'cost', 'estimated_cost', 'total_cost_usd', 'cost_in_usd_ticks',
]
/** Keys of usage that was returned by itself. A limit is none. */
const TOKENS = /^(?!max).*(input|output|prompt|completion|candidates|thoughts|total|cached?).*tokens?(_?count|_?details)?$/i
const BESIDE_TOKENS = /^(cache_creation|server_tool_use|cost.*)$/i
const NUMBER = /^-?[\d.]{1,20}$/

const MOST_VALUES = 500

interface Left { values: number }

/** The usage in what a library returned, and the model if it says which. */
export function usageOf(result: unknown): { usage?: Record<string, unknown>; model?: string } {
  try {
    return typeof result !== 'object' || result === null || isUnread(result) ? {} : usageIn(result)
  } catch {
    // Whoever made the object made its getters and traps.
    return {}
  }
}

function usageIn(result: object): { usage?: Record<string, unknown>; model?: string } {
  const left = { values: MOST_VALUES }
  const found = pick(result, 0, left)
  if (!found.isUsage) return {}
  const model = [found.kept.model, get(get(result, 'response'), 'modelId')].find((each) => typeof each === 'string')
  return { usage: found.kept, ...typeof model === 'string' && { model } }
}

function pick(from: object, depth: number, left: Left): { kept: Record<string, unknown>; isUsage: boolean } {
  const kept: Record<string, unknown> = {}
  let isUsage = false
  for (const key of NAMES) {
    const value = copy(get(from, key), 4, left, key)
    if (value !== undefined) kept[key] = value
  }
  for (const key of USAGE) {
    const value = get(from, key)
    const copied = typeof value === 'object' ? copy(value, 0, left) : undefined
    if (copied === undefined) continue
    kept[key] = copied
    isUsage = true
  }
  for (const key of depth < 3 ? AROUND : []) {
    const value = get(from, key)
    if (typeof value !== 'object' || value === null || isUnread(value)) continue
    const inner = pick(value, depth + 1, left)
    if (Object.keys(inner.kept).length > 0) kept[key] = inner.kept
    isUsage ||= inner.isUsage
  }
  if (depth === 0 && !isUsage && copyTokens(from, kept, left)) isUsage = true
  const searches = isUsage ? searchesIn(get(from, 'output')) : []
  return { kept: searches.length > 0 ? { ...kept, output: searches } : kept, isUsage }
}

/** Usage that stands by itself. Whether there was some. */
function copyTokens(from: object, kept: Record<string, unknown>, left: Left): boolean {
  const keys = keysOf(from)
  if (!keys.some((key) => TOKENS.test(key) && typeof get(from, key) === 'number')) return false
  for (const key of keys) {
    const value = TOKENS.test(key) || BESIDE_TOKENS.test(key) ? copy(get(from, key), 0, left, key) : undefined
    if (value !== undefined) kept[key] = value
  }
  return true
}

/** Searches of the web are billed by their number, and only the output of OpenAI's Responses API says it. */
function searchesIn(output: unknown): { type: string }[] {
  if (!Array.isArray(output)) return []
  return output.slice(0, 1000).filter((item) => get(item, 'type') === 'web_search_call').map(() => ({ type: 'web_search_call' }))
}

/** The numbers of usage, and its names. Promises and streams are not waited for. */
function copy(value: unknown, depth: number, left: Left, name?: string): unknown {
  if (value === null || left.values-- <= 0) return undefined
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (typeof value === 'boolean') return value
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return value.length <= 100 && (NUMBER.test(value) || NAMES.includes(name!)) ? cleanText(value, 200) : undefined
  if (typeof value !== 'object' || depth > 6 || isUnread(value)) return undefined
  if (Array.isArray(value)) return value.slice(0, 100).map((each) => copy(each, depth + 1, left) ?? null)
  const entries = keysOf(value).map((key) => [cleanText(key, 200), copy(get(value, key), depth + 1, left, key)] as const)
  return Object.fromEntries(entries.filter(([, each]) => each !== undefined))
}

/** Own keys, and getters of a class. */
function keysOf(value: object): string[] {
  const prototype = Object.getPrototypeOf(value)
  const getters = prototype === null || prototype === Object.prototype ? [] : Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .filter(([key, { get }]) => get && key !== '__proto__').map(([key]) => key)
  return [...new Set([...Object.keys(value), ...getters])].slice(0, 100)
}

/** Reading a property of the Vercel AI SDK's streams starts them, and a promise has no properties yet. */
const isUnread = (value: object) => ['textStream', 'fullStream', 'then', 'getReader'].some((key) => key in value)

/** A property. One that throws is none. */
export function get(from: unknown, key: string): unknown {
  try {
    return typeof from === 'object' && from !== null ? (from as Record<string, unknown>)[key] : undefined
  } catch {
    return undefined
  }
}

/** A text that PostgreSQL takes: valid Unicode without zero characters, of so many bytes at most. */
export function cleanText(value: unknown, most: number): string {
  const text = (typeof value === 'string' ? value : textOf(value)).slice(0, most)
  const bytes = new TextEncoder().encode(text.replaceAll('\0', ''))
  return bytes.length <= most ? new TextDecoder().decode(bytes) : new TextDecoder().decode(bytes.subarray(0, most)).replace(/\uFFFD+$/, '')
}

function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return ''
  }
}

/** A JSON value of so many bytes at most, or nothing. */
export function jsonWithin(value: unknown, most: number): unknown {
  if (value === undefined || value === null) return undefined
  try {
    const clean = (_: string, each: unknown) => typeof each === 'string' ? cleanText(each, most) : typeof each === 'bigint' ? String(each) : each
    const text = JSON.stringify(value, clean)
    if (text === undefined) return undefined
    return text.length <= most / 4 || new TextEncoder().encode(text).length <= most * 0.9 ? JSON.parse(text) : { left_out: 'It was too large.' }
  } catch {
    return { left_out: 'It was not JSON.' }
  }
}
