// The whole main job, as an application does it: a user's project, a document, a worker that embeds, search, context,
// versions of a pillar, a workflow and what it cost.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { ALICE, MODEL, cosine, embed, ok, refused } from './fixtures.mjs'
import { startStack } from './stack.mjs'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const licence = readFileSync(new URL('../../LICENSE', import.meta.url), 'utf8')
const question = 'patent license granted by each contributor'
const query_embedding = embed(question)

let stack, alice, worker, project_id, chunks

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  worker = await stack.service()
})
after(() => stack?.stop())

test('create_project makes the caller owner of a project with six pillars', async () => {
  project_id = await ok(alice.rpc('create_project', {
    name: 'Licences', description: 'What we may do', domain: 'law', settings: { language: 'english' },
  }))
  const [project] = await ok(alice.from('projects').select('*, user_projects(user_id, role), pillars(code, name, version)')
    .order('code', { referencedTable: 'pillars' }))
  assert.equal(project.id, project_id)
  assert.equal(project.current_phase, 'P1')
  assert.deepEqual(project.settings, { language: 'english' })
  assert.deepEqual(project.user_projects, [{ user_id: ALICE, role: 'owner' }])
  assert.deepEqual(project.pillars.map((pillar) => `${pillar.code} ${pillar.name} ${pillar.version}`),
    ['P1 vision 1', 'P2 acteurs 1', 'P3 donnees 1', 'P4 P4 1', 'P5 P5 1', 'P6 P6 1'])

  await ok(alice.rpc('set_phase', { project_id, phase: 'P2' }))
  assert.deepEqual(await ok(alice.from('projects').select('current_phase')), [{ current_phase: 'P2' }])
})

test('ingest_source cuts documents into chunks that cover them', async () => {
  const sources = [
    { name: 'LICENSE', content: licence, format: 'text', max_tokens: 128, overlap_tokens: 16, metadata: { kind: 'legal' } },
    { name: 'README.md', content: readme, format: 'markdown', max_tokens: 200, overlap_tokens: 0, metadata: { kind: 'guide' } },
  ]
  for (const source of sources) {
    const id = await ok(alice.rpc('ingest_source', { project_id, ...source }))
    const stored = await ok(alice.from('context_sources').select('*, source_chunks(*)').eq('id', id)
      .order('chunk_index', { referencedTable: 'source_chunks' }).single())
    assert.equal(stored.name, source.name)
    assert.equal(stored.status, 'processing')
    assert.deepEqual([stored.chunk_count, stored.embedded_count], [stored.source_chunks.length, 0])
    assert.deepEqual(stored.raw_metadata, source.metadata)
    assert.equal(stored.token_count, await ok(alice.rpc('count_tokens', { content: source.content })))

    assert.ok(stored.source_chunks.length > 5)
    let covered = 0
    for (const [index, chunk] of stored.source_chunks.entries()) {
      assert.equal(chunk.chunk_index, index)
      assert.equal(chunk.project_id, project_id)
      // Offsets count characters, as Postgres does, not UTF-16 units.
      const characters = [...source.content]
      assert.equal(characters.slice(chunk.start_char, chunk.end_char).join(''), chunk.content)
      assert.equal(characters.slice(covered, chunk.start_char).join('').trim(), '', 'only white space is left out')
      covered = Math.max(covered, chunk.end_char)
      assert.ok(chunk.token_count > 0 && chunk.token_count <= source.max_tokens)
      assert.equal(chunk.token_count, await ok(alice.rpc('count_tokens', { content: chunk.content })))
    }
    assert.equal([...source.content].slice(covered).join('').trim(), '')
  }
  const headed = await ok(alice.from('source_chunks').select('content, metadata').contains('metadata', { headings: ['matrice', 'Getting started'] }))
  assert.ok(headed.some((chunk) => chunk.content.includes('create extension matrice')))
})

test('a worker claims chunks, embeds them and stores the vectors', async () => {
  const total = await ok(alice.from('source_chunks').select('*', { count: 'exact', head: true }).then((r) => ({ ...r, data: r.count })))
  const first = await ok(worker.rpc('claim_chunks', { batch_size: 3 }))
  assert.deepEqual(first.map((chunk) => [chunk.project_id, chunk.attempt]), Array(3).fill([project_id, 1]))
  const rest = await ok(worker.rpc('claim_chunks', { batch_size: 1000 }))
  assert.equal(first.length + rest.length, total)
  assert.equal(new Set([...first, ...rest].map((chunk) => chunk.chunk_id)).size, total, 'no chunk twice')
  assert.deepEqual(await ok(worker.rpc('claim_chunks')), [], 'all are leased')

  // The embedding API was down for the first batch: it is handed out again.
  await ok(worker.rpc('fail_chunks', { model: MODEL, chunk_ids: first.map((chunk) => chunk.chunk_id), error: '503' }))
  const again = await ok(worker.rpc('claim_chunks'))
  assert.deepEqual(again.map((chunk) => chunk.chunk_id).sort(), first.map((chunk) => chunk.chunk_id).sort())
  assert.deepEqual(again.map((chunk) => chunk.attempt), [2, 2, 2])

  for (const batch of [again, rest]) {
    assert.equal(await ok(worker.rpc('store_embeddings', {
      model: MODEL,
      chunk_ids: batch.map((chunk) => chunk.chunk_id),
      embeddings: batch.map((chunk) => embed(chunk.content)),
    })), batch.length)
  }
  assert.deepEqual(await ok(worker.rpc('claim_chunks')), [], 'all have their embedding')
  assert.deepEqual(await ok(alice.from('embedding_leases').select()), [])
  chunks = await ok(alice.from('source_chunks').select('*, context_sources(name, raw_metadata)'))
})

// What every search is held to: cosine similarity to each chunk, computed here.
const nearest = (candidates = chunks) =>
  candidates.map((chunk) => ({ id: chunk.id, similarity: cosine(embed(chunk.content), query_embedding) }))
    .sort((a, b) => b.similarity - a.similarity)

function assertNearest(found, expected) {
  const own = new Map(expected.map(({ id, similarity }) => [id, similarity]))
  assert.equal(new Set(found.map((row) => row.chunk_id ?? row.id)).size, found.length)
  for (const [i, row] of found.entries()) {
    assert.ok(Math.abs(row.similarity - expected[i].similarity) < 1e-6, `row ${i} has the similarity of the ${i}-nearest`)
    assert.ok(Math.abs(row.similarity - own.get(row.chunk_id ?? row.id)) < 1e-6, `row ${i} has its own similarity`)
  }
}

test('match_chunks returns the true nearest chunks, for a vector as array and as string', async () => {
  const found = await ok(alice.rpc('match_chunks', { query_embedding, project_id, match_count: 7 }))
  assert.equal(found.length, 7)
  assertNearest(found, nearest())
  assert.equal(found[0].source_name, 'LICENSE')
  assert.match(found[0].content, /patent/i)
  assert.deepEqual(await ok(alice.rpc('match_chunks', { query_embedding: JSON.stringify(query_embedding), project_id, match_count: 7 })), found)
  assert.deepEqual(await ok(alice.rpc('match_chunks', { query_embedding, match_count: 7 })), found, 'all of her projects')
  assert.equal((await ok(alice.rpc('match_chunks', { query_embedding, match_count: 10000 }))).length, chunks.length)
})

test('match_chunks filters by metadata and by threshold', async () => {
  const guide = chunks.filter((chunk) => chunk.context_sources.raw_metadata.kind === 'guide')
  const found = await ok(alice.rpc('match_chunks', { query_embedding, project_id, filter: { kind: 'guide' }, match_count: 5 }))
  assert.equal(found.length, 5)
  assertNearest(found, nearest(guide))

  const above = nearest().filter(({ similarity }) => similarity >= 0.3)
  assert.ok(above.length > 0 && above.length < chunks.length)
  assertNearest(await ok(alice.rpc('match_chunks', { query_embedding, match_count: 1000, match_threshold: 0.3 })), above)
})

test('search_chunks finds words, phrases, alternatives and exclusions', async () => {
  const contents = async (query_text, words) =>
    (await ok(alice.rpc('search_chunks', { query_text, project_id, match_count: 1000, words }))).map((row) => row.content)
  const having = (pattern) => chunks.filter((chunk) => pattern.test(chunk.content)).length
  const trademarks = await contents('trademarks')
  assert.ok(trademarks.length > 0)
  assert.equal(trademarks.length, having(/\btrademarks?\b/i), 'in English, singular and plural are one')
  const phrase = await contents('"patent license"')
  assert.ok(phrase.length > 0 && phrase.every((text) => /patent\s+license/i.test(text)))
  assert.ok((await contents('patent or trademarks')).length > trademarks.length)
  const others = await contents('license -patent')
  assert.ok(others.length > 0 && others.every((text) => !/\bpatents?\b/i.test(text)))
  assert.deepEqual(await contents('xylophone'), [])
  assert.deepEqual((await contents('xylophone trademarks')).sort(), trademarks.toSorted(), 'any of the words')
  assert.deepEqual(await contents('xylophone trademarks', 'all'), [])
})

test('search_chunks says what matched and where it is, and marks it for HTML', async () => {
  const [hit] = await ok(alice.rpc('search_chunks', {
    query_text: 'trademark xylophone', project_id, match_count: 1, filter: { kind: 'legal' },
    highlight: true, highlight_fragments: 2, highlight_html: true,
  }))
  assert.deepEqual(hit.matched_words, ['trademark'])
  assert.match(hit.metadata.highlight, /<b>trademarks?<\/b>/i)
  assert.doesNotMatch(hit.metadata.highlight.replaceAll(/<\/?b>/g, ''), /[<>]|&(?!\w+;|#)/, 'the rest is escaped')
  assert.deepEqual([hit.source_name, hit.source_type, hit.storage_path], ['LICENSE', 'file', null])
  assert.equal([...licence].slice(hit.start_char, hit.end_char).join(''), hit.content)
})

/** Patent licences by both searches, as hybrid_search with these arguments and as search_chunks finds them. */
async function both(args) {
  const asked = { query_text: 'patent license', project_id, match_count: 1000 }
  const found = await ok(alice.rpc('hybrid_search', { ...asked, query_embedding, ...args }))
  assert.deepEqual(found.map((row) => row.score), found.map((row) => row.score).sort((a, b) => b - a))
  return { found, words: await ok(alice.rpc('search_chunks', asked)) }
}

test('hybrid_search sums both scores in standard deviations above the mean', async () => {
  const { found, words } = await both({ full_text_weight: 2 })
  assert.equal(found.length, chunks.length, 'the semantic half ranks every chunk')
  const ranks = new Map(words.map((row) => [row.chunk_id, row.rank]))
  const similarities = new Map(chunks.map((chunk) => [chunk.id, cosine(query_embedding, embed(chunk.content))]))
  const standardised = (values) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
    return (value) => (value - mean) / deviation
  }
  const near = standardised([...similarities.values()])
  const full = standardised(chunks.map((chunk) => ranks.get(chunk.id) ?? 0))
  for (const row of found) {
    assert.equal(row.rank, ranks.get(row.chunk_id) ?? null)
    assert.ok(Math.abs(row.similarity - similarities.get(row.chunk_id)) < 1e-6)
    const expected = 0.7 * near(row.similarity) + 2 * full(row.rank ?? 0)
    assert.ok(Math.abs(row.score - expected) < 1e-4, `${row.score} is not ${expected}`)
  }
})

test('hybrid_search with fusion rank fuses both rankings', async () => {
  const { found, words } = await both({ fusion: 'rank' })
  const textRank = new Map(words.map((row, i) => [row.chunk_id, i + 1]))
  for (const row of found) {
    assert.equal(row.full_text_rank, textRank.get(row.chunk_id) ?? null)
    const expected = 1 / (50 + row.semantic_rank) + (row.full_text_rank ? 1 / (50 + row.full_text_rank) : 0)
    assert.ok(Math.abs(row.score - expected) < 1e-12)
  }
  assert.deepEqual(found.map((row) => row.semantic_rank).sort((a, b) => a - b), chunks.map((_, i) => i + 1))
})

test('hybrid_search with min_similarity and min_score leaves out what is not about the question', async () => {
  const { found } = await both({ min_similarity: 0.3, min_score: 1 })
  const { found: all } = await both({})
  const above = all.filter((row) => row.similarity >= 0.3 && row.score >= 1)
  assert.ok(above.length > 0 && above.length < all.length)
  assert.deepEqual(found.map((row) => row.chunk_id), above.map((row) => row.chunk_id))
  const unknown = { query_text: 'xylophone', query_embedding: embed('xylophone'), project_id }
  assert.deepEqual(await ok(alice.rpc('hybrid_search', { ...unknown, min_similarity: 0.3 })), [])
})

test('build_context stays within its budget and cites what it used', async () => {
  for (const token_budget of [20, 300, 2000]) {
    const [{ context, token_count, citations }] = await ok(alice.rpc('build_context', {
      query_text: 'patent license', query_embedding, project_id, token_budget,
    }))
    assert.ok(token_count > 0 && token_count <= token_budget)
    assert.equal(token_count, await ok(alice.rpc('count_tokens', { content: context, model: 'gpt-4o' })))
    assert.deepEqual(citations.map((citation) => citation.number), citations.map((_, i) => i + 1))
    const cited = citations.map((citation) => chunks.find((chunk) => chunk.id === citation.chunk_id))
    assert.ok(cited.length > 0 && cited.every(Boolean))
    if (token_budget >= 300) assert.ok(cited.every((chunk) => context.includes(chunk.content)))
  }
})

test('build_context with min_score uses no chunk with a lower score', async () => {
  const build = async (min_score) => {
    const asked = { query_text: 'patent license', query_embedding, project_id, token_budget: 100000, match_count: 1000, min_score }
    return (await ok(alice.rpc('build_context', asked)))[0]
  }
  const { found } = await both({})
  const [above, below] = [found.filter((row) => row.score >= 2), found.filter((row) => row.score < 2)]
  assert.ok(above.length > 0 && below.length > 0)
  const { context } = await build(2)
  assert.ok(above.every((row) => context.includes(row.content.slice(-40))))
  assert.ok(!below.some((row) => context.includes(row.content)))
  assert.deepEqual(await build(1000), { context: '', token_count: 0, citations: [] })
})

test('match_documents has the shape of the LangChain and LlamaIndex vector stores', async () => {
  const found = await ok(alice.rpc('match_documents', { query_embedding, match_count: 4, filter: { kind: 'legal' } }))
  assert.equal(found.length, 4)
  assertNearest(found, nearest(chunks.filter((chunk) => chunk.context_sources.name === 'LICENSE')))
  for (const row of found) {
    assert.deepEqual(Object.keys(row).sort(), ['content', 'embedding', 'id', 'metadata', 'similarity'])
    assert.equal(row.metadata.source_name, 'LICENSE')
    assert.deepEqual(JSON.parse(row.embedding), embed(row.content))
  }
  // LangChain for Python names only the vector and filters the result itself.
  assertNearest(await ok(alice.rpc('match_documents', { query_embedding }).limit(3)), nearest())
})

test('chunk_source keeps the chunks whose text did not change, with their embeddings', async () => {
  const [{ id }] = await ok(alice.from('context_sources').select('id').eq('name', 'LICENSE'))
  const before = await ok(alice.from('source_chunks').select('id, content').eq('source_id', id))
  const again = { source_id: id, content: licence, max_tokens: 128, overlap_tokens: 16 }
  assert.deepEqual(await ok(alice.rpc('chunk_source', again)),
    [{ total: before.length, added: 0, kept: before.length, removed: 0 }])
  const [{ added, kept, removed, total }] = await ok(alice.rpc('chunk_source', { ...again, content: `${licence}\n\nOne line more.` }))
  assert.ok(added > 0 && removed <= added && kept > 0 && total === kept + added && removed === before.length - kept)
  const after = await ok(alice.from('source_chunks').select('id, content, chunk_embeddings(model)').eq('source_id', id))
  const survivors = after.filter((chunk) => before.some((old) => old.id === chunk.id && old.content === chunk.content))
  assert.equal(survivors.length, kept)
  assert.ok(survivors.every((chunk) => chunk.chunk_embeddings.length === 1))
  assert.equal((await ok(worker.rpc('claim_chunks'))).length, added)
})

test('save_pillar counts versions, and a stale one is a 409 that changes nothing', async () => {
  const save = (content, expected_version) => alice.rpc('save_pillar', { project_id, code: 'P1', content, expected_version })
  assert.equal(await ok(save('# Vision\n\nFirst.', 1)), 2)
  assert.equal(await ok(save('# Vision\n\nSecond.', 2)), 3)
  const before = stack.snapshot()
  const error = await refused(save('# Vision\n\nToo late.', 2), 409, 'PT409')
  assert.match(error.details, /version 3/)
  assert.ok(error.hint)
  assert.equal(stack.snapshot(), before)

  assert.equal(await ok(alice.rpc('restore_pillar', { project_id, code: 'P1', version: 2 })), 4)
  const history = await ok(alice.rpc('pillar_history', { project_id, code: 'P1' }))
  assert.deepEqual(history.map((row) => [row.version, row.content, row.saved_by]), [
    [4, '# Vision\n\nFirst.', ALICE], [3, '# Vision\n\nSecond.', ALICE], [2, '# Vision\n\nFirst.', ALICE], [1, '', ALICE],
  ])
})

test('search_insights returns superseded insights only on request', async () => {
  const record = (content, confidence) => alice.rpc('record_insight', {
    project_id, type: 'learning', title: 'Patents', content, confidence, tags: ['law'], evidence: { section: 3 },
  })
  const old_id = await ok(record('Patent grants may end.', 0.6))
  const new_id = await ok(record('Patent grants end with litigation.', 0.9))
  const found = async (include_superseded) => (await ok(alice.rpc('search_insights', { query_text: 'patent grant', project_id, include_superseded })))
    .map((row) => row.insight_id)
  assert.deepEqual(await found(false), [new_id, old_id])
  await ok(alice.rpc('supersede_insight', { old_id, new_id }))
  assert.deepEqual(await found(false), [new_id])
  assert.deepEqual(await found(true), [new_id, old_id])
})

test('start_run and record_step store a run once, with its exact cost', async () => {
  await ok(worker.from('model_prices').insert([
    { model: 'exact-1', provider: 'test', unit: 'input', usd_per_million: 0.1 },
    { model: 'exact-1', provider: 'test', unit: 'output', usd_per_million: 0.7 },
    { model: 'exact-1', provider: 'test', unit: 'cache_read', usd_per_million: 0.025 },
  ]))
  const run = { project_id, workflow_id: 'answer', event_name: 'question/asked', run_key: 'run-1', phase: 'P2', input_data: { question } }
  const run_id = await ok(alice.rpc('start_run', run))
  assert.equal(await ok(alice.rpc('start_run', run)), run_id, 'the same run_key is the same run')

  const step = (step_key, more) => ok(alice.rpc('record_step', { run_id, step_name: step_key, step_key, status: 'success', ...more }))
  const first = await step('embed', { model: 'exact-1', tokens_input: 1, latency_ms: 10 })
  assert.equal(await step('embed', { model: 'exact-1', tokens_input: 1, latency_ms: 10 }), first, 'recorded twice is once')
  await step('answer', { model: 'exact-1', tokens_input: 1003, tokens_output: 207, usage: { cached_tokens: 901 }, latency_ms: 20 })
  await step('rate', { model: 'no-such-model', tokens_input: 5, latency_ms: 30 })
  await step('store', { cost_usd: '12345.000000000001', latency_ms: 40 })
  await ok(alice.rpc('finish_run', { run_id, status: 'completed', output_data: { answer: 42 } }))
  await ok(alice.rpc('finish_run', { run_id, status: 'completed' }))
  await refused(alice.rpc('finish_run', { run_id, status: 'failed' }), 409, 'PT409')

  // As text: a JSON number would pass through a double.
  const steps = await ok(alice.from('workflow_steps').select('step_name, cost_usd::text, cost_source').order('latency_ms'))
  assert.deepEqual(steps, [
    { step_name: 'embed', cost_usd: '0.000000100000', cost_source: 'calculated' },
    // 102 × 0.1 + 901 × 0.025 + 207 × 0.7 = 177.625 millionths
    { step_name: 'answer', cost_usd: '0.000177625000', cost_source: 'calculated' },
    { step_name: 'rate', cost_usd: null, cost_source: null },
    { step_name: 'store', cost_usd: '12345.000000000001', cost_source: 'provided' },
  ])
  const metrics = (group_by) => ok(alice.rpc('workflow_metrics', { project_id, since: '2020-01-01', until: '2999-01-01', group_by })
    .select('bucket, runs, succeeded, failed, success_rate, steps, tokens_input, tokens_output, cost_usd::text, p50_ms'))
  const [{ p50_ms, ...row }, ...others] = await metrics('workflow')
  assert.deepEqual([row, ...others], [{
    bucket: 'answer', runs: 1, succeeded: 1, failed: 0, success_rate: 1, steps: 4,
    tokens_input: 1009, tokens_output: 207, cost_usd: '12345.000177725001',
  }])
  // Percentiles are exact to 1 %.
  assert.ok(Math.abs(p50_ms - 25) <= 0.25, `${p50_ms}`)
  assert.deepEqual((await metrics('model')).map((row) => [row.bucket, row.cost_usd]), [
    ['exact-1', '0.000177725000'], ['no-such-model', null], [null, '12345.000000000001'],
  ])
})

test('calculate_cost returns published prices, and null for an unknown model', async () => {
  const cost = (args) => ok(alice.rpc('calculate_cost', args))
  // gpt-4o: 2.50 in, 1.25 cached, 10 out for a million: 200 × 2.5 + 800 × 1.25 + 200 × 10
  assert.equal(await cost({ model: 'gpt-4o', tokens_input: 1000, tokens_output: 200, usage: { cached_tokens: 800 } }), 0.0035)
  assert.equal(await cost({ model: MODEL, tokens_input: 1 }), 0.00000002)
  assert.equal(await cost({ model: 'gpt-4o', tokens_input: 0 }), 0)
  assert.equal(await cost({ model: 'no-such-model', tokens_input: 1000 }), null)
})
