// Compiled, never run: an application's code against the types.

import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import type { Args, Database, ProjectSettings, Result, Stale, Tables, TablesInsert, TablesUpdate } from '../../supabase/types'

const supabase = createClient<Database, 'matrice'>('http://localhost', 'key', { db: { schema: 'matrice' } })

export const stale: never[] = [] as Stale[]

export async function ask(question: string, embedding: number[]) {
  const settings: ProjectSettings = { language: 'english', embedding_model: 'a model of our own', app: { colour: 'blue' } }
  const { data: project } = await supabase.rpc('create_project', { name: 'Handbook', settings }).throwOnError()
  const { data: source } = await supabase.rpc('ingest_source', {
    project_id: project, name: 'guide.md', content: '# Guide', format: 'markdown', spans: [{ start_char: 0, page: 'iv' }],
  }).throwOnError()
  const { data: hits } = await supabase.rpc('hybrid_search', {
    query_text: question, query_embedding: embedding, project_id: project, filter: { kind: 'guide' }, min_score: null,
  }).throwOnError()
  const best: { content: string, score: number, matched_words: string[] } = hits[0]!
  const pages: (number | string)[] = hits[0]!.metadata.pages ?? []
  const { data: cost } = await supabase.rpc('calculate_cost', { model: 'gpt-4o', tokens_input: 10 }).throwOnError()

  // Columns that the database fills in are optional. What may be null in a result is null in a column.
  const { data: [chunk] } = await supabase.from('source_chunks').insert({ source_id: source, chunk_index: 0, content: best.content })
    .select('id').throwOnError()
  await supabase.from('chunk_embeddings').insert({ chunk_id: chunk!.id, embedding }).throwOnError()
  await supabase.from('workflow_steps').insert({ run_id: source, step_name: 'ask', status: 'success', cost_usd: cost })
  const { data: chunks } = await supabase.from('source_chunks').select('content, context_sources(name, status)').throwOnError()
  const names: string[] = chunks.map((chunk) => chunk.context_sources.name)
  const failed = chunks.filter((chunk) => chunk.context_sources.status === 'error')
  const { data: projects } = await supabase.from('projects').select('*, pillars(code, version)').throwOnError()
  const first: Tables<'projects'> = projects[0]!
  const codes: ('P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6')[] = projects[0]!.pillars.map((pillar) => pillar.code)
  return { names, failed, first, pages, codes }
}

export function cite({ citations }: Result<'build_context'>) {
  return citations.map((citation) => citation.pillar !== undefined ? [citation.pillar, citation.title, citation.version]
    : citation.insight_id !== undefined ? [citation.title, citation.confidence]
      : [citation.source_name, citation.start_char ?? 0, ...citation.metadata.pages ?? []])
}

export const changes: TablesUpdate<'projects'>[] = [{ current_phase: 'P2' }, { settings: { keep_source_texts: false } }]
export const member: TablesInsert<'user_projects'> = { user_id: 'a', project_id: 'b', role: 'editor' }
export const labelled: Args<'evaluate_search'> = {
  queries: [{ query_text: 'install', relevant: { a: 1 } }, { query_embedding: [1, 2], relevant: { b: 0.5 } }],
}

// What a vendor's library returns.
interface Response { model: string, usage: { prompt_tokens: number, prompt_tokens_details?: { cached_tokens: number } } }
export async function bill(response: Response) {
  const { data: cost } = await supabase.rpc('calculate_cost', { model: response.model, tokens_input: null, usage: response.usage })
    .throwOnError()
  const step = { run_id: 'a', step_name: 'ask', status: 'success', response } as const
  const { data: id } = await supabase.rpc('record_step', step).throwOnError()
  const { data } = await supabase.from('workflow_steps').select('usage').eq('id', id).single().throwOnError()
  return [cost ?? 'unknown', data.usage.service_tier ?? 'standard', data.usage.prompt_tokens]
}

// An application with a schema of its own.
type Own = { public: { Tables: { notes: { Row: { id: number }, Insert: { id: number }, Update: { id?: number }, Relationships: [] } },
  Views: Record<never, never>, Functions: Record<never, never> } }
export async function beside(client: SupabaseClient<Own & Database>) {
  const { data: notes } = await client.from('notes').select('id').throwOnError()
  const { data: phase } = await client.schema('matrice').from('projects').select('current_phase').single().throwOnError()
  return [notes[0]!.id + 1, phase.current_phase === 'P1']
}

export async function mistakes(hit: Result<'search_chunks'>) {
  // @ts-expect-error there is no such column
  await supabase.from('projects').insert({ name: 'Handbook', colour: 'blue' })
  // @ts-expect-error name is needed
  await supabase.from('projects').insert({ description: 'no name' })
  // @ts-expect-error there is no such setting
  await supabase.from('projects').insert({ name: 'Handbook', settings: { colour: 'blue' } })
  // @ts-expect-error a setting of another type
  await supabase.rpc('create_project', { name: 'Handbook', settings: { max_attempts: 'three' } })
  // @ts-expect-error a misspelt argument
  await supabase.rpc('count_tokens', { text: 'hello' })
  // @ts-expect-error there is no such role
  await supabase.rpc('invite_member', { project_id: 'a', email: 'bob@example.com', role: 'admin' })
  // @ts-expect-error there is no such phase
  await supabase.rpc('set_phase', { project_id: 'a', phase: 'P7' })
  // @ts-expect-error a run is finished with another word
  await supabase.rpc('finish_run', { run_id: 'a', status: 'running' })
  // @ts-expect-error a vector has no numbers as texts
  await supabase.rpc('match_chunks', { query_embedding: ['1', '2'] })
  // @ts-expect-error role has a default, which is not null
  await supabase.rpc('invite_member', { project_id: 'a', email: 'bob@example.com', role: null })
  // @ts-expect-error a span has one place
  await supabase.rpc('ingest_source', { project_id: 'a', name: 'b', content: 'c', spans: [{ start_char: 0, page: 1, sheet: 'd' }] })
  // @ts-expect-error a query needs a text or a vector
  await supabase.rpc('evaluate_search', { queries: [{ relevant: { a: 1 } }] })
  // @ts-expect-error a rate has no text
  await supabase.rpc('set_price', { project_id: 'a', model: 'house', prices: { input: '1' } })
  // @ts-expect-error the engine's own function
  await supabase.rpc('_highlight', {})
  // @ts-expect-error a status that no source has
  await supabase.from('context_sources').select().eq('status', 'done')
  // @ts-expect-error null if the source has no file
  const path: string = hit.storage_path
  // @ts-expect-error null if the client gave none
  const start: number = hit.start_char
  return [path, start]
}
