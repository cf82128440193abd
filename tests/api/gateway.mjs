// Supabase's gateway: one address in front of PostgREST and of an edge function.

import { once } from 'node:events'
import { createServer } from 'node:http'

/**
 * `name` is the function's, and `port` says where it is. `serve(incoming, outgoing)` answers what it returns true for. `calls` counts the
 * calls of the function.
 */
export async function startGateway(stack, name, port, serve = () => false) {
  const path = `/functions/v1/${name}`
  const gateway = { calls: 0 }
  const server = createServer(async (incoming, outgoing) => {
    const pieces = []
    for await (const piece of incoming) pieces.push(piece)
    if (serve(incoming, outgoing)) return
    const isFunction = incoming.url.startsWith(path)
    if (isFunction) gateway.calls++
    const target = isFunction ? `http://127.0.0.1:${port()}${incoming.url.slice(path.length) || '/'}` : stack.url + incoming.url
    const { host, connection, 'content-length': _, ...headers } = incoming.headers
    const answer = await fetch(target, { method: incoming.method, headers, ...pieces.length > 0 && { body: Buffer.concat(pieces) } })
    outgoing.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
    outgoing.end(Buffer.from(await answer.arrayBuffer()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  gateway.url = `http://127.0.0.1:${server.address().port}`
  gateway.stop = () => {
    server.closeAllConnections()
    server.close()
  }
  return gateway
}
