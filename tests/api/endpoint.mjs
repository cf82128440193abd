// A real HTTP endpoint of embeddings, as strict as OpenAI's: 300,000 tokens and 2,048 inputs a request, 8,192 tokens an input.
// It counts tokens exactly, remembers what it was asked, and misbehaves on command.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { embed } from './fixtures.mjs'

const [REQUEST_TOKENS, INPUT_TOKENS, INPUTS] = [300_000, 8_192, 2_048]

/**
 * `count(text)` counts tokens. `misbehave(request)` returns nothing, or what to answer instead: {status, headers, body, delay}.
 * `poison` is a word that it refuses.
 */
export async function startEndpoint({ count = (text) => Math.ceil(text.length / 4), misbehave = () => undefined, poison = 'POISON', dimensions = 1536 } = {}) {
  const endpoint = { requests: [], refusals: [], embedded: new Map(), misbehave, poison, inFlight: 0, mostInFlight: 0 }
  const server = createServer(async (incoming, outgoing) => {
    let body = ''
    for await (const piece of incoming) body += piece
    const request = { ...JSON.parse(body), number: endpoint.requests.length + 1, authorization: incoming.headers.authorization }
    endpoint.requests.push(request)
    endpoint.mostInFlight = Math.max(endpoint.mostInFlight, ++endpoint.inFlight)
    const odd = endpoint.misbehave(request)
    if (odd?.delay) await new Promise((resolve) => setTimeout(resolve, odd.delay))
    endpoint.inFlight--
    const { status, headers, answer } = odd?.status ? { ...odd, answer: odd.body } : respond(request)
    outgoing.writeHead(status, { 'content-type': 'application/json', ...headers })
    outgoing.end(typeof answer === 'string' ? answer : JSON.stringify(odd?.change ? odd.change(answer) : answer))
  })

  function respond({ input, encoding_format }) {
    const tokens = input.map(count)
    const total = tokens.reduce((a, b) => a + b, 0)
    const refuse = (message) => {
      endpoint.refusals.push(message)
      return { status: 400, answer: { error: { message, type: 'invalid_request_error' } } }
    }
    if (input.length > INPUTS) return refuse(`${input.length} inputs, more than ${INPUTS}`)
    if (tokens.some((each) => each > INPUT_TOKENS)) return refuse(`an input has more than ${INPUT_TOKENS} tokens`)
    if (total > REQUEST_TOKENS) return refuse(`${total} tokens, more than ${REQUEST_TOKENS}`)
    if (input.some((text) => text.includes(endpoint.poison))) return refuse('an input violates the policy')
    for (const text of input) endpoint.embedded.set(text, (endpoint.embedded.get(text) ?? 0) + 1)
    const data = input.map((text, index) => {
      const vector = embed(text, dimensions)
      return { object: 'embedding', index, embedding: encoding_format === 'base64' ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector }
    })
    return { status: 200, answer: { object: 'list', data, usage: { prompt_tokens: total, total_tokens: total } } }
  }

  // Where clients keep connections open, a restarting test must not meet a closing one.
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  endpoint.url = `http://127.0.0.1:${server.address().port}/v1/embeddings`
  endpoint.stop = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return endpoint
}
