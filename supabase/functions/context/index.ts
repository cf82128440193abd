// A question becomes the passages that a model is to read, as the user who calls: their token searches, so the policies hold.
//
//   POST {"project_id": …, "question": …, "token_budget"?, "insights"?, "pillars"?, "conversation_id"?, …}
//
// Secrets: EMBEDDINGS_API_KEY or OPENAI_API_KEY.

import { type Endpoint, EndpointError } from '../_shared/endpoint.ts'
import { answering, bearer, HttpError, readObject } from '../_shared/http.ts'
import { contextFor, type Question, QuestionError } from '../_shared/question.ts'
import { overHttp } from '../_shared/rpc.ts'
import { endpoint, queryPrefix, variable } from '../_shared/settings.ts'

const OPTIONS = ['token_budget', 'match_count', 'filter', 'target_model', 'insights', 'min_score']

// It remembers what its endpoint can do.
let embedder: Endpoint | undefined

Deno.serve((request) => answering(request, async () => {
  const database = overHttp(variable('SUPABASE_URL'), variable('SUPABASE_ANON_KEY'), bearer(request))
  const asked = read(await readObject(request))
  embedder ??= endpoint()
  try {
    return await contextFor(database, embedder, asked, queryPrefix())
  } catch (error) {
    if (error instanceof QuestionError) throw new HttpError(400, 'invalid', error.message)
    if (!(error instanceof EndpointError)) throw error
    // Its words are for who runs the function: providers repeat parts of a wrong key.
    console.error(error.message)
    if (error.failure === 'busy') throw new HttpError(503, 'busy', 'the embedding model is busy', 'Ask again later.')
    throw new HttpError(502, 'endpoint', 'the question could not be embedded; the log of the function says why')
  }
}))

function read(given: Record<string, unknown>): Question {
  const { project_id, question, conversation_id, ...options } = given
  if (typeof project_id !== 'string') throw new HttpError(400, 'invalid', 'project_id is missing')
  if (typeof question !== 'string') throw new HttpError(400, 'invalid', 'question is missing')
  if (conversation_id !== undefined && typeof conversation_id !== 'string') throw new HttpError(400, 'invalid', 'conversation_id must be a text')
  const known = conversation_id === undefined ? [...OPTIONS, 'pillars'] : OPTIONS
  const unknown = Object.keys(options).find((key) => !known.includes(key))
  if (unknown) throw new HttpError(400, 'invalid', `there is no option ${unknown}`, `The options are ${known.join(', ')}.`)
  return { project_id, question, conversation_id, options }
}
