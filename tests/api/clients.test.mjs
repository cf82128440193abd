// LangChain's and LlamaIndex's own packages search with match_documents, from README's examples: the true nearest chunks
// that the caller may see, whichever client asks.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SupabaseVectorStore as LangChainStore } from '@langchain/community/vectorstores/supabase'
import { Embeddings } from '@langchain/core/embeddings'
import { BaseEmbedding } from '@llamaindex/core/embeddings'
import { TextNode } from '@llamaindex/core/schema'
import { VectorStoreQueryMode } from '@llamaindex/core/vector-store'
import { SupabaseVectorStore as LlamaIndexStore } from '@llamaindex/supabase'
import { ALICE, BOB, CAROL, MODEL, cosine, embed, ok } from './fixtures.mjs'
import { example, run } from './readme.mjs'
import { startStack } from './stack.mjs'

const PYTHON = fileURLToPath(new URL('../../build/venv-api/bin/python', import.meta.url))
const CLIENT = fileURLToPath(new URL('langchain_client.py', import.meta.url))
const QUESTION = 'patent license granted by each contributor'
// The question of README's examples.
const INSTALL = 'how do I install it?'

class Words extends Embeddings {
  constructor(dimensions = 1536) {
    super({})
    this.dimensions = dimensions
  }
  async embedQuery(text) { return embed(text, this.dimensions) }
  async embedDocuments(texts) { return texts.map((text) => embed(text, this.dimensions)) }
}

let stack, alice, chunks, examples

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  const licence = readFileSync(new URL('../../LICENSE', import.meta.url), 'utf8')
  const [grants, conditions] = licence.split(/(?=^ *4\. Redistribution)/m)
  await ingest(alice, { name: 'grants', content: grants, metadata: { tag: 'help' } })
  await ingest(alice, { name: 'conditions', content: conditions, metadata: { tag: 'law' } })
  await ingest(await stack.user(BOB), { name: 'patents', content: QUESTION, metadata: { tag: 'help' } })
  chunks = await ok(alice.from('source_chunks').select('*, source:context_sources(name, raw_metadata)'))
  assert.ok(chunks.length > 120, `${chunks.length} chunks`)
  examples = {
    langchain: await example('js', '@langchain/community'),
    llamaindex: await example('js', '@llamaindex/supabase'),
    python: await example('python', 'langchain_community'),
  }
})
after(() => stack?.stop())

/** A document in a project of its own, and its embeddings. */
async function ingest(user, source, { model = MODEL, dimensions } = {}) {
  const project_id = await ok(user.rpc('create_project', { name: source.name }))
  await ok(user.rpc('ingest_source', { project_id, max_tokens: 24, overlap_tokens: 6, ...source }))
  const claimed = await ok(user.rpc('claim_chunks', { project_id, model, batch_size: 1000 }))
  await ok(user.rpc('store_embeddings', {
    model, chunk_ids: claimed.map((chunk) => chunk.chunk_id), embeddings: claimed.map((chunk) => embed(chunk.content, dimensions)),
  }))
}

// What is true ---------------------------------------------------------------------------------------------------------

const similarity = (text, question = QUESTION) => cosine(embed(text), embed(question))
const tagged = (tag) => chunks.filter((chunk) => chunk.source.raw_metadata.tag === tag)
const close = (a, b, message) => assert.ok(Math.abs(a - b) < 1e-5, `${message}: ${a}, ${b}`)

/** These are the count nearest of the candidates, each as it was ingested, in order; equally near ones are equal. */
function assertNearest(documents, count, candidates = chunks, question = QUESTION) {
  const nearest = candidates.map((chunk) => similarity(chunk.content, question)).sort((a, b) => b - a).slice(0, count)
  assert.equal(documents.length, nearest.length)
  for (const [i, document] of documents.entries()) close(similarity(document.pageContent, question), nearest[i], `document ${i}`)
  assertGenuine(documents, candidates)
}

function assertGenuine(documents, candidates = chunks) {
  const place = (source_id, chunk_index) => `${source_id} ${chunk_index}`
  const genuine = new Map(candidates.map((chunk) => [place(chunk.source_id, chunk.chunk_index), chunk]))
  for (const { pageContent, metadata } of documents) {
    const chunk = genuine.get(place(metadata.source_id, metadata.chunk_index))
    assert.equal(pageContent, chunk?.content)
    assert.deepEqual([metadata.tag, metadata.source_name], [chunk.source.raw_metadata.tag, chunk.source.name])
  }
  assert.equal(new Set(documents.map(({ metadata }) => place(metadata.source_id, metadata.chunk_index))).size, documents.length)
}

function assertScores(scored, question = QUESTION) {
  for (const [document, score] of scored) close(score, similarity(document.pageContent, question), 'score')
}

/** Each of these is, of the candidates that were left, the best by maximal marginal relevance. */
function assertVaried(documents, count, lambda, candidates = chunks) {
  assert.equal(documents.length, count)
  assertGenuine(documents, candidates)
  const chosen = []
  const marginal = (text) =>
    lambda * similarity(text) - (1 - lambda) * Math.max(0, ...chosen.map((other) => similarity(text, other)))
  const left = candidates.map((chunk) => chunk.content)
  for (const { pageContent } of documents) {
    close(marginal(pageContent), Math.max(...left.map(marginal)), 'marginal relevance')
    chosen.push(pageContent)
    left.splice(left.indexOf(pageContent), 1)
  }
}

// LangChain for JavaScript ---------------------------------------------------------------------------------------------

/** What README's example makes, for this user. */
const langchain = (supabase, embeddings = new Words()) =>
  run(examples.langchain, { SupabaseVectorStore: LangChainStore, supabase, embeddings }, 'store', 'filter', 'found', 'varied')

test('LangChain finds the nearest documents, with their scores and metadata', async () => {
  const { store, found } = await langchain(alice)
  assertNearest(found.map(([document]) => document), 4, tagged('help'), INSTALL)
  assertScores(found, INSTALL)

  assertNearest(await store.similaritySearch(QUESTION, 7), 7)
  assertNearest(await store.asRetriever(7).invoke(QUESTION), 7)
  const scored = await store.similaritySearchWithScore(QUESTION, chunks.length + 50)
  assertNearest(scored.map(([document]) => document), chunks.length)
  assertScores(scored)
})

test('LangChain filters by an object, for one search or for all', async () => {
  const { store } = await langchain(alice)
  assertNearest(await store.similaritySearch(QUESTION, 9, { tag: 'law' }), 9, tagged('law'))
  assert.deepEqual(await store.similaritySearch(QUESTION, 9, { tag: 'poetry' }), [])
  const laws = new LangChainStore(new Words(), { client: alice, queryName: 'match_documents', filter: { tag: 'law' } })
  assertNearest(await laws.similaritySearch(QUESTION, 1000), 1000, tagged('law'))
})

test('LangChain filters by a function', async () => {
  const { store } = await langchain(alice)
  const late = (rpc) => rpc.eq('metadata->>tag', 'law').gte('metadata->chunk_index', 20)
  const candidates = tagged('law').filter((chunk) => chunk.chunk_index >= 20)
  for (const k of [3, 1000]) assertNearest(await store.similaritySearch(QUESTION, k, late), k, candidates)
  assertNearest(await store.similaritySearch(QUESTION, 110, (rpc) => rpc), 110)
})

test('LangChain searches by maximal marginal relevance', async () => {
  const { store, filter, varied } = await langchain(alice)
  assert.equal(varied.length, 4)
  assertGenuine(varied)
  for (const lambda of [0.5, 0.9]) {
    assertVaried(await store.maxMarginalRelevanceSearch(QUESTION, { k: 6, fetchK: 1000, lambda, filter }), 6, lambda)
  }
  const laws = (rpc) => filter(rpc).eq('metadata->>tag', 'law')
  assertVaried(await store.maxMarginalRelevanceSearch(QUESTION, { k: 6, fetchK: 1000, lambda: 0.5, filter: laws }), 6, 0.5, tagged('law'))
})

test('LangChain searches with another default model', async () => {
  const choose = (model) => stack.sql(`
    update matrice.embedding_models set is_default = false;
    update matrice.embedding_models set is_default = true where model = '${model}'`)
  const carol = await stack.user(CAROL)
  choose('gte-small')
  try {
    await ingest(carol, { name: 'small', content: QUESTION }, { model: 'gte-small', dimensions: 384 })
    const { store } = await langchain(carol, new Words(384))
    assert.deepEqual((await store.similaritySearch(QUESTION)).map((document) => document.pageContent), [QUESTION])
  } finally {
    choose(MODEL)
    await ok(carol.from('projects').delete().eq('name', 'small'))
  }
})

// LlamaIndex -----------------------------------------------------------------------------------------------------------

class WordsModel extends BaseEmbedding {
  async getTextEmbedding(text) { return embed(text) }
}

const llamaindex = (supabase) => run(
  examples.llamaindex, { SupabaseVectorStore: LlamaIndexStore, VectorStoreQueryMode, supabase, embedModel: new WordsModel() },
  'store', 'nodes', 'similarities')
const documents = (nodes) => nodes.map((node) => ({ pageContent: node.getContent(), metadata: node.metadata }))

test('LlamaIndex finds the nearest nodes, with their ids and similarities', async () => {
  const { store, nodes, similarities } = await llamaindex(alice)
  assertNearest(documents(nodes), 4, tagged('help'), INSTALL)
  assertScores(documents(nodes).map((document, i) => [document, similarities[i]]), INSTALL)

  for (const similarityTopK of [5, 1000]) {
    const all = await store.query({ queryEmbedding: embed(QUESTION), similarityTopK, mode: 'default' })
    assertNearest(documents(all.nodes), similarityTopK)
    assert.deepEqual(all.ids.map((id) => chunks.find((chunk) => chunk.id === id)?.content), all.nodes.map((node) => node.text))
  }
})

// LangChain for Python -------------------------------------------------------------------------------------------------

/** What these expressions are after README's example has run for this user. */
async function python(user, ...expressions) {
  const access_token = await stack.token({ role: 'authenticated', sub: user })
  const names = { url: stack.url, key: 'publishable-key', access_token, question: QUESTION }
  const env = { ...process.env, MATRICE_CLIENT: JSON.stringify(names) }
  const running = promisify(execFile)(PYTHON, [CLIENT], { env, maxBuffer: 1e8 })
  running.child.stdin.end(`${examples.python}\nfound = [${expressions.join(', ')}]`)
  return JSON.parse((await running).stdout)
}

test('LangChain for Python finds the nearest documents, with their scores and metadata', async () => {
  const [found, few, many, retrieved, laws, none] = await python(ALICE,
    'found',
    'store.similarity_search(question, k=7)',
    `store.similarity_search_with_relevance_scores(question, k=${chunks.length + 50})`,
    'store.as_retriever(search_kwargs={"k": 7}).invoke(question)',
    'store.similarity_search(question, k=9, filter={"tag": "law"})',
    'store.similarity_search(question, k=9, filter={"tag": "poetry"})')
  assertNearest(found.map(([document]) => document), 4, tagged('help'), INSTALL)
  assertScores(found, INSTALL)
  assertNearest(few, 7)
  assertNearest(many.map(([document]) => document), chunks.length)
  assertScores(many)
  assertNearest(retrieved, 7)
  assertNearest(laws, 9, tagged('law'))
  assert.deepEqual(none, [])
})

test('LangChain for Python searches by maximal marginal relevance', async () => {
  const [varied, half, most] = await python(ALICE, 'varied', ...[0.5, 0.9].map((lambda) =>
    `store.max_marginal_relevance_search(question, k=6, fetch_k=1000, lambda_mult=${lambda})`))
  assert.equal(varied.length, 4)
  assertGenuine(varied)
  assertVaried(half, 6, 0.5)
  assertVaried(most, 6, 0.9)
})

// All of them ----------------------------------------------------------------------------------------------------------

test('LangChain and LlamaIndex find for another user their own documents, for an outsider nothing', async () => {
  for (const [user, visible] of [[BOB, [QUESTION]], [CAROL, []]]) {
    const client = await stack.user(user)
    const { store, filter } = await langchain(client)
    const nodes = await (await llamaindex(client)).store.query({ queryEmbedding: embed(QUESTION), similarityTopK: 4, mode: 'default' })
    for (const documents of [
      await store.similaritySearch(QUESTION, 4),
      await store.similaritySearch(QUESTION, 4, filter),
      await store.maxMarginalRelevanceSearch(QUESTION, { k: 4, filter }),
      nodes.nodes.map((node) => ({ pageContent: node.text })),
      ...await python(user, 'store.similarity_search(question)', 'store.max_marginal_relevance_search(question)'),
    ]) assert.deepEqual(documents.map(({ pageContent }) => pageContent), visible)
  }
})

test('LangChain and LlamaIndex refuse to add documents, and no row changes', async () => {
  const before = stack.snapshot()
  const document = { pageContent: 'A whale.', metadata: { tag: 'sea' } }
  for (const table of ['documents', 'source_chunks']) {
    const store = new LangChainStore(new Words(), { client: alice, tableName: table })
    await assert.rejects(store.addDocuments([document]), /Error inserting/)
    const node = new TextNode({ text: document.pageContent, embedding: embed(document.pageContent) })
    await assert.rejects(new LlamaIndexStore({ client: alice, table, embedModel: new WordsModel() }).add([node]), /Error inserting/)
  }
  await assert.rejects(python(ALICE, 'SupabaseVectorStore(store._client, embeddings, "source_chunks").add_texts(["A whale."])'), /APIError/)
  assert.equal(stack.snapshot(), before)
})
