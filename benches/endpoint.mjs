// An OpenAI-compatible endpoint that answers at once: what a worker costs by itself.
// usage: endpoint.mjs DIMENSIONS      prints its address

import { createServer } from 'node:http'

const dimensions = Number(process.argv[2])
const vectors = Array.from({ length: 64 }, (_, seed) => {
  const numbers = Float32Array.from({ length: dimensions }, (_, i) => Math.sin(seed * dimensions + i + 1))
  return JSON.stringify(Buffer.from(numbers.buffer).toString('base64'))
})

const server = createServer(async (request, response) => {
  const pieces = []
  for await (const piece of request) pieces.push(piece)
  const { input } = JSON.parse(Buffer.concat(pieces))
  const data = input.map((_, index) => `{"object":"embedding","index":${index},"embedding":${vectors[index % vectors.length]}}`)
  response.setHeader('content-type', 'application/json')
  response.end(`{"object":"list","data":[${data}],"usage":{"prompt_tokens":${input.length},"total_tokens":${input.length}}}`)
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/v1/embeddings`))
