// What the tests share: users, a stand-in for an embedding API, one of everything, and a valid call of every function.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'

export const ALICE = 'a11ce000-0000-4000-8000-000000000001'
export const BOB = 'b0b00000-0000-4000-8000-000000000002'
export const CAROL = 'ca401000-0000-4000-8000-000000000003'
export const MISSING = '00000000-0000-4000-8000-00000000dead'
export const MODEL = 'text-embedding-3-small'

/**
 * Stands in for an embedding API: a bag of words, each word counted in the dimension that its hash names. Texts that
 * share words are near each other, deterministically and offline. It knows nothing of meaning.
 */
export function embed(text, dimensions = 1536) {
  const vector = new Array(dimensions).fill(0)
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    vector[createHash('sha256').update(word).digest().readUInt32BE() % dimensions] += 1
  }
  return vector
}

/** How similar two vectors are: what the searches are held to. */
export function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

/** The data of a supabase-js result that must have succeeded. */
export async function ok(call) {
  const { data, error, status } = await call
  assert.equal(error, null, `${status}: ${JSON.stringify(error)}`)
  return data
}

/** A request that must have been refused by a 4xx, in the form PostgREST gives errors; returns the error. */
export async function refused(call, status, code) {
  const result = await call
  assert.ok(result.error, `succeeded with ${result.status}: ${JSON.stringify(result.data)}`)
  const { error } = result
  assert.ok(result.status >= 400 && result.status < 500, `${result.status}: ${JSON.stringify(error)}`)
  assert.deepEqual({ status: result.status, code: error.code }, { status, code }, JSON.stringify(error))
  assert.match(error.message, /\w/)
  return error
}

/** A project with one of everything in it, Carol among its members; returns the ids. */
export async function createWorld(user, name, carol) {
  // A copy of a project, so that an import is on record.
  const original = await ok(user.rpc('create_project', { name }))
  const lines = (await ok(user.rpc('export_project', { project_id: original }))).map(({ line }) => line)
  const [{ new_project_id: project_id }] = await ok(user.rpc('import_project', { lines, new_ids: true }))
  await ok(user.from('projects').delete().eq('id', original))
  const source_id = await ok(user.rpc('ingest_source', {
    project_id, name: 'notes.md', format: 'markdown', max_tokens: 16, overlap_tokens: 0, metadata: { topic: 'whales' },
    content: '# Whales\n\nThe blue whale is the largest animal.\n\n# Squids\n\nThe giant squid is rarely seen by anybody.',
  }))
  const chunks = await ok(user.rpc('claim_chunks', { project_id }))
  assert.ok(chunks.length >= 2)
  // The first chunk gets its embedding, the others stay leased.
  const [{ chunk_id, content }] = chunks
  await ok(user.rpc('store_embeddings', { model: MODEL, chunk_ids: [chunk_id], embeddings: [embed(content)] }))
  await ok(user.rpc('save_pillar', { project_id, code: 'P1', content: 'To see a whale.' }))
  await ok(user.rpc('label_pillar', { project_id, code: 'P1', version: 2, label: 'draft' }))
  const insight = { project_id, type: 'learning', title: 'Whales', content: 'They are large.', source_id }
  const old_id = await ok(user.rpc('record_insight', insight))
  const new_id = await ok(user.rpc('record_insight', { ...insight, content: 'They are very large.' }))
  await ok(user.from('insights').update({ title: 'Blue whales' }).eq('id', new_id))
  await ok(user.rpc('store_embeddings', { model: MODEL, chunk_ids: [new_id], embeddings: [embed('Blue whales\nThey are very large.')] }))
  const run_id = await ok(user.rpc('start_run', { project_id, workflow_id: 'watch', event_name: 'tide', run_key: 'watch-1' }))
  const conversation_id = await ok(user.rpc('start_conversation', { project_id }))
  await ok(user.rpc('record_answer', { run_id, question: 'blue whale', citations: [chunk_id] }))
  await ok(user.rpc('add_turn', { conversation_id, role: 'user', content: 'How blue is a whale?' }))
  await ok(user.rpc('rate_answer', { run_id, rating: 1 }))
  await ok(user.rpc('set_price', { project_id, model: 'house', prices: { input: 1 } }))
  const step_id = await ok(user.rpc('record_step', { run_id, step_name: 'look', status: 'success', model: 'gpt-4o', tokens_input: 10, step_key: 'look-1' }))
  await ok(user.rpc('set_budget', { project_id, limit_usd: 100, thresholds: [0.0000001] }))
  const reservation_id = await ok(user.rpc('reserve_budget', { project_id, estimate_usd: 1 }))
  const unused_id = await ok(user.rpc('reserve_budget', { project_id, estimate_usd: 1 }))
  await ok(carol.rpc('accept_invite', { token: await ok(user.rpc('invite_member', { project_id, email: 'carol@example.org' })) }))
  const token = await ok(user.rpc('invite_member', { project_id, email: 'dave@example.org' }))
  const exported = (await ok(user.rpc('export_project', { project_id }))).map(({ line }) => line)
  return { project_id, source_id, chunk_id, old_id, new_id, run_id, conversation_id, step_id, reservation_id, unused_id, user_id: CAROL, token, exported }
}

/** Arguments for every function of the API, all text and JSON ones included. Kept complete by isolation.test.mjs. */
export function calls({ project_id, source_id, chunk_id, old_id, new_id, run_id, conversation_id, step_id, reservation_id, unused_id, user_id, token, exported }) {
  const query_text = 'blue whale'
  const query_embedding = embed(query_text)
  return {
    // Tokens and chunking
    count_tokens: { content: 'hello world', model: MODEL },
    tokenize: { content: 'hello world', model: MODEL },
    detokenize: { tokens: [15339, 1917], model: MODEL },
    truncate_tokens: { content: 'hello world', max_tokens: 1, model: MODEL },
    chunk_text: { content: 'hello world', format: 'text', model: MODEL },
    // Projects and pillars
    create_project: { name: 'Another', description: 'One more', domain: 'sea', settings: { language: 'english' } },
    set_phase: { project_id, phase: 'P2' },
    save_pillar: { project_id, code: 'P1', content: 'To see two whales.', metadata: { mood: 'hopeful' } },
    restore_pillar: { project_id, code: 'P1', version: 1 },
    pillar_history: { project_id, code: 'P1' },
    pillar_catalog: { project_id },
    diff_pillar: { project_id, code: 'P1', from_version: 1 },
    diff_pillar_text: { project_id, code: 'P1', from_version: 1 },
    as_of: { project_id, at: '2030-01-01T00:00:00Z' },
    label_pillar: { project_id, code: 'P1', version: 2, label: 'approved' },
    unlabel_pillar: { project_id, code: 'P1', label: 'approved' },
    label_history: { project_id, only_code: 'P1', only_label: 'draft' },
    phase_history: { project_id },
    // Members
    invite_member: { project_id, email: 'erin@example.org', role: 'editor' },
    accept_invite: { token },
    list_members: { project_id },
    set_member_role: { project_id, user_id, role: 'editor' },
    remove_member: { project_id, user_id },
    // Search
    match_chunks: { query_embedding, project_id, filter: { topic: 'whales' }, model: MODEL },
    search_chunks: { query_text, project_id, filter: { topic: 'whales' }, words: 'any' },
    hybrid_search: { query_text, query_embedding, project_id, filter: { topic: 'whales' }, model: MODEL, words: 'any', fusion: 'score' },
    build_context: { query_text, query_embedding, project_id, filter: { topic: 'whales' }, model: MODEL, target_model: 'gpt-4o', scores: null, pillars: ['P1'] },
    find_quote: { quote: 'blue whale', project_id },
    rerank_chunks: { scores: { [chunk_id]: 1 }, model: MODEL },
    evaluate_search: { queries: [{ query_text, query_embedding, relevant: { [chunk_id]: 1 } }], project_id, filter: { topic: 'whales' }, model: MODEL },
    search_recall: { project_id, model: MODEL },
    match_documents: { query_embedding, filter: { topic: 'whales' } },
    // Conversations and answers
    start_conversation: { project_id, title: 'Whales' },
    add_turn: { conversation_id, role: 'user', content: 'How blue is a whale?', run_id, citations: [{ chunk_id }] },
    conversation_context: {
      conversation_id, question: query_text, query_embedding, filter: { topic: 'whales' }, model: MODEL, target_model: 'gpt-4o',
    },
    record_answer: { run_id, question: query_text, citations: [{ chunk_ids: [chunk_id] }], query_embedding, model: MODEL },
    rate_answer: { run_id, rating: 1, comment: 'It is right.' },
    evaluation_set: { project_id, model: MODEL },
    // Words
    analyze_text: { content: 'blue whales', language: 'english' },
    reindex_text: { project_id },
    // Insights
    record_insight: {
      project_id, type: 'learning', title: 'Squids', content: 'They hide.', tags: ['squid'], source_id, evidence: { seen: 0 },
      subject: 'squids', attribute: 'place', value: 'the deep', volatility: 'slow', url: 'https://example.org/squids', note: 'seen by night',
    },
    confirm_insight: { insight_id: new_id, source_id, url: 'https://example.org/whales', note: 'measured' },
    contradict_insight: { insight_id: new_id, run_id, url: 'https://example.org/minnows', note: 'measured' },
    merge_insights: { kept_id: new_id, merged_ids: [old_id] },
    retract_insight: { insight_id: new_id, reason: 'not so' },
    insights_review: { project_id },
    insight_lineage: { insight_id: new_id },
    known_at: { project_id, after: null, match_count: null },
    search_insights: { query_text: 'large', project_id, query_embedding, model: MODEL },
    supersede_insight: { old_id, new_id, reason: 'measured again' },
    // Workflows and cost
    start_run: {
      project_id, workflow_id: 'watch', event_name: 'tide', run_key: 'run-1', phase: 'P1', input_data: { height: 2 },
      user_key: 'ahab', session_key: 'voyage', tags: ['night'],
    },
    record_step: {
      run_id, step_name: 'look', status: 'success', model: 'gpt-4o', tokens_input: 10,
      usage: { cached_tokens: 5, service_tier: 'standard' }, error: { message: 'none' }, step_key: 'step-1',
      response: { model: 'gpt-4o', usage: { prompt_tokens: 10, prompt_tokens_details: { cached_tokens: 5 } } },
      call_key: '1', workflow_id: 'watch', run_key: 'watch-1',
    },
    workflow_metrics: { project_id, since: '2020-01-01', group_by: 'day', time_zone: 'Europe/Paris', fill: false, model: 'gpt-4o', workflow: 'w', phase: 'P1', status: 'success' },
    rebuild_metrics: { project_id },
    purge_steps: { project_id, older_than: '2020-01-01' },
    top_runs: { project_id, since: '2020-01-01', order_by: 'cost' },
    top_steps: { project_id, since: '2020-01-01', order_by: 'cost' },
    step_errors: { project_id, since: '2020-01-01' },
    record_steps: { steps: [{ run_id, step_name: 'look', status: 'success', usage: { prompt_tokens: 10 } }] },
    finish_run: { run_id, status: 'completed', output_data: { seen: 1 }, error: { message: 'none' }, workflow_id: 'watch', run_key: 'watch-1' },
    correct_step: { step_id, reason: 'the invoice', cost_usd: 1, usage: { prompt_tokens: 20 } },
    reap_runs: {},
    report: { project_id, since: '2026-01-01', until: '2026-02-01', time_zone: 'Europe/Paris', language: 'fr' },
    calculate_cost: { model: 'gpt-4o', tokens_input: 10, usage: { cached_tokens: 5, service_tier: 'standard' } },
    reprice: { project_id, since: '2020-01-01' },
    price_of: { model: 'gpt-4o', project_id, provider: 'openai' },
    set_price: { project_id, model: 'house', prices: { input: 2 }, same_as: null },
    load_prices: { catalogue: { models: { house: ['us', { input: 2 }] } } },
    // Budgets
    set_budget: {
      project_id, limit_usd: 100, period: 'day', time_zone: 'Europe/Paris', name: 'daily', model: 'gpt-4o', phase: 'P1', user_key: 'x',
    },
    remove_budget: { project_id, name: 'default' },
    reserve_budget: {
      project_id, model: 'gpt-4o', tokens_input: 10, max_tokens_output: 10, usage: { service_tier: 'standard' }, run_id, phase: 'P1', user_key: 'x',
    },
    settle_budget: { reservation_id, cost_usd: 1 },
    release_budget: { reservation_id: unused_id },
    budget_status: { project_id },
    // Taking a project along
    export_project: { project_id, after: null },
    export_lines: { project_id },
    import_project: { lines: exported, project_id: null, new_ids: true },
    export_markdown: { project_id, insight_limit: 10 },
    // Requests
    refuse_planned_counts: {},
    // Ingestion
    store_embeddings: { model: MODEL, chunk_ids: [chunk_id], embeddings: [query_embedding] },
    fail_chunks: { model: MODEL, chunk_ids: [chunk_id], error: 'out of breath' },
    ingest_source: {
      project_id, name: 'more.md', content: '# More\n\nwhales', type: 'file', format: 'markdown', storage_path: 'a/more.md',
      metadata: { topic: 'whales' }, spans: [{ start_char: 0, page: 1 }],
    },
    sync_source: {
      project_id, source_key: 'a/more.md', content: '# More\n\nwhales', name: 'more.md', type: 'file', format: 'markdown',
      storage_path: 'a/more.md', metadata: { topic: 'whales' }, spans: [{ start_char: 0, page: 1 }],
    },
    sync_sources: { project_id, source_keys: ['a/more.md'], prefix: 'a/', max_share: 1, dry_run: false },
    set_source_error: { source_id, error: 'no text' },
    source_progress: { project_id },
    source_text: { source_id, version: 1 },
    source_history: { source_id },
    restore_source: { source_id, version: 1 },
    rechunk: { project_id, format: 'markdown', max_tokens: 16, overlap_tokens: 0, source_ids: [source_id] },
    ingest_chunks: {
      project_id, name: 'cut.md', chunks: [{ content: 'whales', start_char: 0, end_char: 6, metadata: { topic: 'whales' } }], type: 'file',
      storage_path: 'a/cut.md', metadata: { topic: 'whales' },
    },
    replace_chunks: { source_id, chunks: [{ content: 'whales', metadata: { topic: 'whales' } }] },
    failed_chunks: { project_id },
    waiting_chunks: { project_id, model: MODEL },
    retry_failed: { project_id, model: MODEL },
    // Models
    register_model: { model: 'mine', dimensions: 3, truncated_from: MODEL },
    query_model: { project_id },
    model_coverage: { project_id },
    switch_embedding_model: { project_id, model: MODEL },
    cancel_model_switch: { project_id },
    truncate_embeddings: { project_id, model: 'short' },
    drop_embeddings: { project_id, model: 'voyage-3.5' },
    reembed: { project_id },
    claim_chunks: { model: MODEL, project_id },
    chunk_source: { source_id, content: '# Whales\n\nNone today.', format: 'markdown', spans: [{ start_char: 0, page: 1 }] },
  }
}
