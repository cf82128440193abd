// The worker as an edge function. A schedule calls it (matrice_private.schedule_embedding). Each call works until its time is
// over, or nothing is left to claim.
//
// Secrets: EMBEDDINGS_API_KEY or OPENAI_API_KEY, and MATRICE_WORKER_SECRET, which callers send as bearer token.

import { answering, bearer, HttpError } from '../_shared/http.ts'
import { overHttp } from '../_shared/rpc.ts'
import { endpoint, variable, workerSettings } from '../_shared/settings.ts'
import { Worker, WorkerError } from '../_shared/worker.ts'

// An edge function has two seconds of a processor and 150 seconds in all. A batch takes some milliseconds of the first.
const SECONDS = 80
const BATCHES = 60

async function isSecret(given: string): Promise<boolean> {
  const digest = async (text: string) => new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  const [a, b] = await Promise.all([digest(given), digest(variable('MATRICE_WORKER_SECRET'))])
  return a.every((byte, i) => byte === b[i])
}

Deno.serve((request) => answering(request, async () => {
  if (!await isSecret(bearer(request))) throw new HttpError(401, 'unauthorized', 'the secret is wrong', 'Send MATRICE_WORKER_SECRET as bearer token.')
  const database = overHttp(variable('SUPABASE_URL'), variable('SUPABASE_SERVICE_ROLE_KEY'))
  const worker = new Worker(database, endpoint(), {
    ...workerSettings(), once: true, jobs: 4, endAfterSeconds: SECONDS, maxBatches: BATCHES, log: (line) => console.warn(line),
  })
  try {
    return await worker.run()
  } catch (error) {
    if (error instanceof WorkerError) throw new HttpError(502, 'worker', error.message)
    throw error
  }
}))
