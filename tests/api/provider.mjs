// A real HTTP endpoint that answers as the APIs of models do, with the usage that each of them reports.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'

const text = 'Whales sing.'
/** 50 tokens that were not cached, 100,000 that were read from a cache, 1,000 that were written to it. */
const anthropic = {
  input_tokens: 50, output_tokens: 500, cache_read_input_tokens: 100_000, cache_creation_input_tokens: 1000,
  cache_creation: { ephemeral_5m_input_tokens: 400, ephemeral_1h_input_tokens: 600 }, server_tool_use: null,
  service_tier: 'standard', inference_geo: 'global',
}
const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5', content: [{ type: 'text', text }],
  stop_reason: 'end_turn', stop_sequence: null, usage: anthropic }
const chat = (model, usage, more) => ({
  id: 'chatcmpl-1', object: 'chat.completion', created: 1_760_000_000, model, ...more,
  choices: [{ index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: 'stop' }], usage,
})
const chatUsage = {
  prompt_tokens: 2006, completion_tokens: 300, total_tokens: 2306, prompt_tokens_details: { cached_tokens: 1920, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 192, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
}

/** What each path answers; `request` is the body. */
const answers = {
  '/v1/chat/completions': ({ model }) => chat(model, {
    'deepseek-chat': { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100, prompt_tokens_details: { cached_tokens: 900 },
      prompt_cache_hit_tokens: 900, prompt_cache_miss_tokens: 100 },
    // Reasoning tokens are outside of completion_tokens.
    'own-xai': { prompt_tokens: 200, completion_tokens: 100, total_tokens: 700, num_sources_used: 0,
      prompt_tokens_details: { text_tokens: 200, audio_tokens: 0, image_tokens: 0, cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 400, audio_tokens: 0 }, cost_in_usd_ticks: 12_000_000 },
    'openai/gpt-4o': { prompt_tokens: 1000, completion_tokens: 200, total_tokens: 1200, cost: 0.00315, is_byok: false,
      prompt_tokens_details: { cached_tokens: 800, audio_tokens: 0 }, cost_details: { upstream_inference_cost: null } },
    'mistral/mistral-small-latest': { prompt_tokens: 1000, completion_tokens: 200, total_tokens: 1200 },
  }[model] ?? chatUsage, { service_tier: 'default' }),
  '/v1/responses': ({ model }) => ({
    id: 'resp_1', object: 'response', created_at: 1_760_000_000, status: 'completed', model, max_output_tokens: 4096, tools: [], error: null,
    incomplete_details: null, instructions: null, metadata: {}, parallel_tool_calls: true, temperature: 1, tool_choice: 'auto', top_p: 1,
    service_tier: 'default',
    output: [{ type: 'message', id: 'msg_1', status: 'completed', role: 'assistant', content: [{ type: 'output_text', text, annotations: [] }] }],
    usage: { input_tokens: 2006, input_tokens_details: { cached_tokens: 1920, cache_write_tokens: 0 }, output_tokens: 300,
      output_tokens_details: { reasoning_tokens: 192 }, total_tokens: 2306 },
  }),
  '/v1/embeddings': ({ model }) => ({
    object: 'list', model, data: [{ object: 'embedding', index: 0, embedding: [0.5, 0.5] }], usage: { prompt_tokens: 8191, total_tokens: 8191 },
  }),
  '/v1/messages': () => message,
  '/model/claude-sonnet-4-5/converse': () => ({
    output: { message: { role: 'assistant', content: [{ text }] } }, stopReason: 'end_turn', metrics: { latencyMs: 800 },
    usage: { inputTokens: 50, outputTokens: 500, totalTokens: 101_550, cacheReadInputTokens: 100_000, cacheWriteInputTokens: 1000,
      cacheDetails: [{ ttl: '1h', inputTokens: 600 }, { ttl: '5m', inputTokens: 400 }] },
  }),
  '/v2/chat': () => ({
    id: 'c1', finish_reason: 'COMPLETE', message: { role: 'assistant', content: [{ type: 'text', text }] },
    usage: { billed_units: { input_tokens: 5, output_tokens: 418 }, tokens: { input_tokens: 71, output_tokens: 418 } },
  }),
}
const gemini = {
  candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP', index: 0 }], modelVersion: 'gemini-2.5-flash',
  usageMetadata: {
    promptTokenCount: 1500, cachedContentTokenCount: 500, candidatesTokenCount: 100, thoughtsTokenCount: 600, totalTokenCount: 2200,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: 1300 }, { modality: 'AUDIO', tokenCount: 200 }],
  },
}

async function respond(incoming, outgoing) {
  let body = ''
  for await (const piece of incoming) body += piece
  const path = decodeURIComponent(incoming.url.split('?')[0])
  const answer = path.endsWith(':generateContent') ? () => gemini : answers[path]
  outgoing.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' })
  outgoing.end(JSON.stringify(answer ? answer(JSON.parse(body)) : { error: { message: `nothing at ${path}` } }))
}

/** Returns its address, the one for HTTP/2, which Bedrock's client speaks, and how to stop it. */
export async function startProvider() {
  const servers = [createServer(respond), createHttp2Server(respond)]
  const sockets = new Set()
  for (const server of servers) {
    server.on('connection', (socket) => sockets.add(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  const [url, http2Url] = servers.map((server) => `http://127.0.0.1:${server.address().port}`)
  const stop = async () => {
    for (const socket of sockets) socket.destroy()
    for (const server of servers) server.close()
  }
  return { url, http2Url, stop }
}
