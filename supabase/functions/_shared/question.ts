// From a question to what a model is to read: the question is embedded by the model that the project's searches use, and
// build_context or conversation_context packs the passages.

import { type Endpoint, EndpointError } from './endpoint.ts'
import { type Database, DatabaseError } from './rpc.ts'

/** `conversation_id`: also the latest turns of this conversation of the project. The others are arguments of build_context. */
export interface Question {
  project_id: string
  question: string
  conversation_id?: string
  options?: Record<string, unknown>
}

export interface Context {
  context: string
  token_count: number
  citations: unknown[]
  /** Of a conversation. */
  turns?: unknown[]
}

/** What is wrong with the question itself. */
export class QuestionError extends Error {
  override name = 'QuestionError'
}

/** What searches take, in characters as PostgreSQL counts them. */
const LONGEST = 10_000

/** `prefix`: what the model wants before a question, such as "query: " for E5. */
export async function contextFor(database: Database, endpoint: Endpoint, asked: Question, prefix = ''): Promise<Context> {
  const { project_id, question, conversation_id, options } = asked
  // Whoever may not read the project, and what no search takes, costs no request.
  const [model] = await database.rpc('query_model', { project_id }) as { request_model: string }[]
  if (conversation_id !== undefined && !await database.find('conversations', { id: conversation_id, project_id })) {
    throw new DatabaseError('PT404', 'conversation not found in this project')
  }
  if (!question.trim()) throw new QuestionError('the question is empty')
  if ([...question].length > LONGEST) throw new QuestionError(`the question has more than ${LONGEST} characters`)
  const query_embedding = await embedded(endpoint, model.request_model, prefix + question)
  const [context] = await (conversation_id === undefined
    ? database.rpc('build_context', { ...options, project_id, query_text: question, query_embedding })
    : database.rpc('conversation_context', { ...options, conversation_id, question, query_embedding })) as Context[]
  return context
}

async function embedded(endpoint: Endpoint, model: string, text: string): Promise<string> {
  try {
    return vectorText((await endpoint.embed(model, [text])).vectors[0])
  } catch (error) {
    if (error instanceof EndpointError && error.failure === 'refused') throw new QuestionError(`the endpoint refuses the question: ${error.message}`)
    throw error
  }
}

/** As pgvector reads it. */
function vectorText(vector: string | number[]): string {
  if (typeof vector !== 'string') return `[${vector}]`
  const bytes = Uint8Array.from(atob(vector), (character) => character.charCodeAt(0))
  const view = new DataView(bytes.buffer)
  return `[${Array.from({ length: bytes.length >> 2 }, (_, i) => view.getFloat32(4 * i, true))}]`
}
