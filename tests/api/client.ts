// Compiled, never run: an application's code against the generated types.

import { createClient } from '@supabase/supabase-js'
import type { Database, Stale, Tables } from '../../supabase/types'

const supabase = createClient<Database, 'matrice'>('http://localhost', 'key', { db: { schema: 'matrice' } })

export async function ask(question: string, embedding: number[]) {
  const { data: project } = await supabase.rpc('create_project', { name: 'Handbook', settings: { language: 'english' } }).throwOnError()
  const { data: source } = await supabase.rpc('ingest_source', { project_id: project, name: 'guide.md', content: '# Guide' }).throwOnError()
  const { data: hits } = await supabase.rpc('hybrid_search', {
    query_text: question, query_embedding: JSON.stringify(embedding), project_id: project, filter: { kind: 'guide' },
  }).throwOnError()
  const best: { content: string, score: number, matched_words: string[] } = hits[0]!
  const { data: cost } = await supabase.rpc('calculate_cost', { model: 'gpt-4o', tokens_input: 10 }).throwOnError()

  // Columns that the database fills in are optional.
  await supabase.from('source_chunks').insert({ source_id: source, chunk_index: 0, content: best.content })
  await supabase.from('workflow_steps').insert({ run_id: source, step_name: 'ask', status: 'success', cost_usd: cost })
  const { data: chunks } = await supabase.from('source_chunks').select('content, context_sources(name)').throwOnError()
  const names: string[] = chunks.map((chunk) => chunk.context_sources.name)
  const { data: projects } = await supabase.from('projects').select('*, pillars(code, version)').throwOnError()
  const first: Tables<'projects'> = projects[0]!

  // @ts-expect-error there is no such column
  await supabase.from('projects').insert({ name: 'Handbook', colour: 'blue' })
  // @ts-expect-error name is needed
  await supabase.from('projects').insert({ description: 'no name' })
  // @ts-expect-error a misspelt argument
  await supabase.rpc('count_tokens', { text: 'hello' })
  return { names, first }
}
export const stale: never[] = [] as Stale[]
