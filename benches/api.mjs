// 64 clients at once through the real PostgREST: the requests of an application, by chance. Started by api_bench.py.
//
// usage: node api.mjs SECONDS CLIENTS. Prints {seconds, kinds: {name: [ms, …]}, errors} as JSON.

import { startStack } from '../tests/api/stack.mjs'

const [seconds, clients] = process.argv.slice(2).map(Number)
const PROJECTS = 20
const CHUNKS = 1000
const DIMENSIONS = 1536
const WORDS = Array.from({ length: 2000 }, (_, number) => `word${number}`)

const pick = (list) => list[Math.floor(Math.random() * list.length)]
// Some words are frequent, most are rare.
const words = (count) => Array.from({ length: count }, () => WORDS[Math.floor(WORDS.length * Math.random() ** 3)]).join(' ')
const vector = () => Array.from({ length: DIMENSIONS }, () => Math.random() - 0.5)

const stack = await startStack({ database: 'bench_api' })
try {
  const members = await Promise.all(Array.from({ length: PROJECTS }, (_, number) => member(number)))
  stack.sql('vacuum analyze')
  const took = {}
  const errors = {}
  const end = performance.now() + seconds * 1000
  const work = async (number) => {
    while (performance.now() < end) {
      const [name, call] = request()
      const { client, project } = members[number % PROJECTS]
      const began = performance.now()
      const { error } = await call(client, project)
      ;(took[name] ??= []).push(performance.now() - began)
      if (error) errors[`${name}: ${error.code} ${error.message}`] = (errors[`${name}: ${error.code} ${error.message}`] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, number) => work(number)))
  console.log(JSON.stringify({ seconds, kinds: took, errors }))
} finally {
  await stack.stop()
}

/** A user with a project of CHUNKS embedded chunks, a hundred to a source. */
async function member(number) {
  const id = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
  const client = await stack.user(id)
  const { data: project, error } = await client.rpc('create_project', { name: `Project ${number}` })
  if (error) throw new Error(error.message)
  stack.sql(`
    insert into matrice.context_sources (project_id, name) select '${project}', 'source ' || n from generate_series(1, ${CHUNKS / 100}) n;
    insert into matrice.source_chunks (source_id, chunk_index, content)
    select s.id, n, array_to_string(array(select 'word' || floor(2000 * random() ^ 3) from generate_series(1, 60) where n >= 0), ' ')
      from matrice.context_sources s, generate_series(0, 99) n where s.project_id = '${project}';
    insert into matrice.chunk_embeddings (chunk_id, model, embedding)
    select c.id, 'text-embedding-3-small', array(select random() - 0.5 from generate_series(1, ${DIMENSIONS}) where c.id is not null)::extensions.vector
      from matrice.source_chunks c where c.project_id = '${project}';`)
  return { client, project }
}

/** A request, as often as an application makes it. */
function request() {
  const kinds = [
    [35, 'hybrid_search', (client, project) => client.rpc('hybrid_search', { query_text: words(6), query_embedding: vector(), project_id: project })],
    [10, 'match_chunks', (client, project) => client.rpc('match_chunks', { query_embedding: vector(), project_id: project })],
    [10, 'search_chunks', (client, project) => client.rpc('search_chunks', { query_text: words(6), project_id: project })],
    [10, 'build_context', (client, project) => client.rpc('build_context', { query_text: words(6), query_embedding: vector(), project_id: project, token_budget: 2000 })],
    [15, 'newest sources', (client, project) => client.from('context_sources').select('id, name, source_chunks(count)')
      .eq('project_id', project).order('created_at', { ascending: false }).limit(10)],
    [10, 'chunks of a source', (client, project) => client.from('source_chunks').select('id, content').eq('project_id', project).order('chunk_index').limit(20)],
    [5, 'record_insight', (client, project) => client.rpc('record_insight', { project_id: project, type: 'learning', title: words(3), content: words(30) })],
    [5, 'ingest_source', (client, project) => client.rpc('ingest_source', { project_id: project, name: 'note', content: words(200) })],
  ]
  let number = Math.random() * kinds.reduce((sum, [share]) => sum + share, 0)
  const [, name, call] = kinds.find(([share]) => (number -= share) < 0) ?? pick(kinds)
  return [name, call]
}
