// Wrong input is the client's error: a 4xx with a code and a message, details or a hint with those that are matrice's
// own, and nothing changed.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ALICE, CAROL, MISSING, calls, createWorld, embed, ok, refused } from './fixtures.mjs'
import { startStack } from './stack.mjs'

let stack, alice, world, snapshot

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  world = await createWorld(alice, 'Alice\'s', await stack.user(CAROL))
  snapshot = stack.snapshot()
})
after(() => stack?.stop())

// The codes that matrice raises itself; others are PostgreSQL's, pgvector's or PostgREST's own words.
const OURS = ['22023', '22004', 'PT404', 'PT409']

/** A test for each [label, request, status, code], and one for the database. */
function refusals(cases) {
  for (const [label, request, status, code] of cases) {
    test(label, async () => {
      const error = await refused(request(), status, code)
      if (OURS.includes(code)) assert.ok(error.details || error.hint, `neither details nor hint: ${JSON.stringify(error)}`)
    })
  }
  test('refused requests change no row', () => assert.equal(stack.snapshot(), snapshot))
}
const asked = new Set()
/** A valid call of a function, with something wrong in it. */
const rpc = (name, wrong) => {
  asked.add(name)
  return () => alice.rpc(name, { ...calls(world)[name], ...wrong })
}
const show = (value) => value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 40)
const each = (values, name, argument, code) =>
  values.map((value) => [`${name}: ${argument} ${show(value)}`, rpc(name, { [argument]: value }), 400, code])

describe('functions refuse unknown names', () => refusals([
  ...['count_tokens', 'tokenize', 'detokenize', 'truncate_tokens', 'chunk_text', 'claim_chunks', 'waiting_chunks', 'store_embeddings', 'fail_chunks', 'match_chunks',
    'hybrid_search', 'build_context', 'conversation_context', 'record_answer', 'evaluation_set'].flatMap((name) => each(['gpt-none', ''], name, 'model', '22023')),
  ...each(['gpt-none', ''], 'build_context', 'target_model', '22023'),
  ...['chunk_text', 'ingest_source', 'chunk_source'].flatMap((name) => each(['wordperfect', ''], name, 'format', '22023')),
  ...each(['P0', 'P7', 'p1', ''], 'set_phase', 'phase', '22023'),
  ...each(['P9', 'vision'], 'start_run', 'phase', '22023'),
  ...['save_pillar', 'restore_pillar', 'pillar_history', 'label_pillar', 'unlabel_pillar', 'diff_pillar', 'diff_pillar_text'].flatMap((name) => each(['P0', 'vision', 'P1 '], name, 'code', '22023')),
  ...['invite_member', 'set_member_role'].flatMap((name) => each(['admin', '', 'Owner'], name, 'role', '22023')),
  ...each(['done', '', 'Success'], 'record_step', 'status', '22023'),
  ...each(['running', ''], 'finish_run', 'status', '22023'),
  ...each(['admin', ''], 'add_turn', 'role', '22023'),
  ...each(['decade', ''], 'workflow_metrics', 'group_by', '22023'),
  ...each(['Paris', '', 'EST5'], 'workflow_metrics', 'time_zone', '22023'), ...each(['P7', ''], 'workflow_metrics', 'phase', '22023'),
  ...each(['odd', ''], 'workflow_metrics', 'status', '22023'),
  ...['top_runs', 'top_steps'].flatMap((name) => each(['price', ''], name, 'order_by', '22023')),
  ...each(['de', '', 'EN'], 'report', 'language', '22023'), ...each(['Mars/Base', ''], 'report', 'time_zone', '22023'),
  ...['search_chunks', 'hybrid_search'].flatMap((name) => each(['some', '', 'Any'], name, 'words', '22023')),
  ...each(['rrf', '', 'Rank'], 'hybrid_search', 'fusion', '22023'),
  ...each(['klingon', '', 'English', 'pg_catalog.english'], 'analyze_text', 'language', '22023'),
  ['match_chunks: an argument that does not exist', rpc('match_chunks', { matchcount: 1 }), 404, 'PGRST202'],
  ['a function that does not exist', () => alice.rpc('drop_everything'), 404, 'PGRST202'],
  ['a table that does not exist', () => alice.from('secrets').select(), 404, '42P01'],
  ['projects: current_phase P9', () => alice.from('projects').update({ current_phase: 'P9' }).eq('id', world.project_id), 400, '23514'],
  ['projects: settings with an unknown key', () => alice.from('projects').update({ settings: { lang: 'english' } }).eq('id', world.project_id), 400, '22023'],
  ['chunk_embeddings: an unknown model', () => alice.from('chunk_embeddings').insert({ chunk_id: world.chunk_id, embedding: [1, 2], model: 'none' }), 409, '23503'],
]))

test('embedding_models and model_prices name service_role in the hint, workflow_runs the values of status', async () => {
  assert.match((await refused(alice.from('embedding_models').insert({ model: 'mine', dimensions: 3 }), 403, '42501')).hint, /service_role/)
  assert.match((await refused(alice.from('model_prices').update({ usd_per_million: 0 }).eq('model', 'gpt-4o'), 403, '42501')).hint, /service_role/)
  assert.match((await refused(alice.from('workflow_runs').update({ status: 'done' }).eq('id', world.run_id), 400, '23514')).message,
    /running_completed_failed_cancelled/)
})

describe('functions refuse numbers out of range', () => refusals([
  ...['match_chunks', 'search_chunks', 'hybrid_search', 'rerank_chunks', 'build_context', 'search_insights', 'insights_review', 'match_documents',
    'evaluate_search', 'search_recall'].flatMap((name) => each([0, -1, 1e7], name, 'match_count', '22023')),
  ...['match_chunks', 'search_chunks', 'hybrid_search', 'rerank_chunks'].flatMap((name) => [
    ...each([-0.1, 1.1, 'NaN'], name, 'diversity', '22023'), ...each([0, -1], name, 'max_per_source', '22023'),
    ...each([-1, 101], name, 'expand', '22023'),
  ]),
  ...each([0, -1, 1e7], 'search_recall', 'sample', '22023'),
  ...each([-1, 101], 'build_context', 'insights', '22023'),
  ...each([2.5, 'ten'], 'match_chunks', 'match_count', '22P02'),
  ...each([1e12], 'match_chunks', 'match_count', '22003'),
  ...['chunk_text', 'ingest_source', 'chunk_source'].flatMap((name) => [
    ...each([0, -5], name, 'max_tokens', '22023'),
    ...each([-1], name, 'overlap_tokens', '22023'),
    [`${name}: overlap_tokens 33 for max_tokens 64`, rpc(name, { max_tokens: 64, overlap_tokens: 33 }), 400, '22023'],
    [`${name}: overlap_tokens 65 for max_tokens 64`, rpc(name, { max_tokens: 64, overlap_tokens: 65 }), 400, '22023'],
  ]),
  ...each([-1], 'truncate_tokens', 'max_tokens', '22023'),
  ...each([[-1], [999999999], [15339, null]], 'detokenize', 'tokens', '22023'),
  ...each([0, -1, 1e7], 'claim_chunks', 'batch_size', '22023'),
  ...each([0, -1, 1e7], 'claim_chunks', 'lease_seconds', '22023'),
  ...each(['0 seconds', '-1 day', '1000 years', '7'], 'invite_member', 'valid_for', '22023'),
  ...each([0, -1], 'build_context', 'token_budget', '22023'), ...each([0, 1, -1], 'conversation_context', 'token_budget', '22023'),
  ...each([2, -2], 'rate_answer', 'rating', '22023'), ...each([0, 1001], 'evaluation_set', 'match_count', '22023'),
  ...each([-1, 'NaN', 'Infinity'], 'hybrid_search', 'semantic_weight', '22023'),
  ...each([-1, 'NaN', 'Infinity'], 'hybrid_search', 'full_text_weight', '22023'),
  ...each([0, -1], 'hybrid_search', 'rrf_k', '22023'),
  ...each(['NaN', 'Infinity', '-Infinity'], 'search_chunks', 'min_score', '22023'),
  ...each(['NaN', 'Infinity', '-Infinity'], 'build_context', 'min_score', '22023'),
  ...['min_score', 'min_similarity'].flatMap((argument) => each(['NaN', 'Infinity', '-Infinity'], 'hybrid_search', argument, '22023')),
  ...each([0, -1, 11], 'search_chunks', 'highlight_fragments', '22023'),
  ...each([0, -1, 1e7], 'reindex_text', 'batch_size', '22023'),
  ...each([-0.1, 1.1, 'NaN'], 'record_insight', 'confidence', '22023'),
  ...each(['often', '', ' '], 'record_insight', 'volatility', '22023'),
  ...each(['infinity', '4000-01-01 BC'], 'record_insight', 'valid_from', '22023'),
  ...['latency_ms', 'tokens_input', 'tokens_output', 'attempt'].flatMap((argument) => each([-1], 'record_step', argument, '22023')),
  ...each([-1, 'NaN'], 'record_step', 'cost_usd', '22023'),
  ...each([1e9, 'Infinity'], 'record_step', 'cost_usd', '22023'),
  ...each([1.1, 75, 'NaN'], 'match_chunks', 'match_threshold', '22023'),
  ...each([-1, 1001, 'NaN'], 'set_price', 'factor', '22023'),
  ...each([-1], 'calculate_cost', 'tokens_input', '22023'),
  ...each([-1], 'calculate_cost', 'tokens_output', '22023'),
  ...each([[-1], ['P9'], ['P1', 'vision']], 'build_context', 'pillars', '22023'),
  ...['diff_pillar', 'diff_pillar_text'].flatMap((name) => each([-1, 1e6 + 1], name, 'context_lines', '22023')),
  ...['diff_pillar', 'diff_pillar_text'].flatMap((name) => each([-1, 99], name, 'from_version', 'PT404')).map(([label, request]) => [label, request, 404, 'PT404']),
  ...['label_pillar', 'restore_pillar', 'restore_source', 'source_text'].flatMap((name) => each([-1, 99], name, 'version', 'PT404')).map(([label, request]) => [label, request, 404, 'PT404']),
]))

// tests/sql/arguments.sql asks every function about every argument. What a client sends as null is one.
describe('functions refuse null', () => refusals([
  ...each([null], 'match_chunks', 'match_count', '22004'), ...each([null], 'match_chunks', 'filter', '22004'),
  ...each([null], 'create_project', 'settings', '22004'), ...each([null], 'calculate_cost', 'usage', '22004'),
  ...each([null], 'set_member_role', 'role', '22004'), ['finish_run: run_id null without a run_key', rpc('finish_run', { run_id: null, run_key: null }), 400, '22004'],
  ...each([null], 'rerank_chunks', 'scores', '22004'), ...each([null], 'start_run', 'input_data', '22004'),
]))

describe('functions refuse empty and blank texts', () => refusals([
  ...each(['', '  \n'], 'create_project', 'name', '22023'),
  ...each([null], 'create_project', 'name', '22004'),
  ...['name', 'content', 'type'].flatMap((argument) => [
    ...each(['', ' \t'], 'ingest_source', argument, '22023'), ...each([null], 'ingest_source', argument, '22004'),
  ]),
  ...each(['', ' '], 'chunk_source', 'content', '22023'),
  ...['source_key', 'content'].flatMap((argument) => [
    ...each(['', ' \t'], 'sync_source', argument, '22023'), ...each([null], 'sync_source', argument, '22004'),
  ]),
  ...each(['', ' '], 'set_source_error', 'error', '22023'),
  ...['name', 'type'].flatMap((argument) => [
    ...each(['', ' \t'], 'ingest_chunks', argument, '22023'), ...each([null], 'ingest_chunks', argument, '22004'),
  ]),
  ...['ingest_chunks', 'replace_chunks'].flatMap((name) => [
    ...each([[], {}, [{}], [{ content: '' }], [{ content: 'x', text: 'y' }], 'whales'], name, 'chunks', '22023'), ...each([null], name, 'chunks', '22004'),
  ]),
  ...each([null], 'set_source_error', 'error', '22004'),
  ...each([null], 'chunk_source', 'content', '22004'),
  ...['format', 'max_tokens', 'overlap_tokens'].flatMap((argument) => each([null], 'ingest_source', argument, '22004')),
  ...['format', 'max_tokens', 'overlap_tokens', 'model'].flatMap((argument) => each([null], 'chunk_text', argument, '22004')),
  ...each([null], 'save_pillar', 'content', '22004'),
  ...['label_pillar', 'unlabel_pillar'].flatMap((name) => [...each(['', ' '], name, 'label', '22023'), ...each([null], name, 'label', '22004')]),
  ...each([null], 'as_of', 'at', '22004'),
  ...['type', 'title', 'content'].flatMap((argument) => [
    ...each([''], 'record_insight', argument, '22023'), ...each([null], 'record_insight', argument, '22004'),
  ]),
  ...['subject', 'attribute', 'value', 'url'].flatMap((argument) => each(['', ' '], 'record_insight', argument, '22023')),
  ...['confirm_insight', 'contradict_insight'].flatMap((name) => [
    ...each(['', ' ', 'whales', 'javascript:alert(1)'], name, 'url', '22023'), ...each([null], name, 'insight_id', '22004'),
  ]),
  ...each([null], 'retract_insight', 'insight_id', '22004'), ...each([null], 'insight_lineage', 'insight_id', '22004'),
  ...each(['infinity'], 'known_at', 'at', '22023'), ...each([null], 'known_at', 'at', '22004'),
  ...each([null], 'merge_insights', 'kept_id', '22004'), ...each([null], 'merge_insights', 'merged_ids', '22004'), ...each([[]], 'merge_insights', 'merged_ids', '22023'),
  ...['search_chunks', 'hybrid_search', 'build_context', 'search_insights'].flatMap((name) => [
    ...each(['', ' '], name, 'query_text', '22023'), ...each([null], name, 'query_text', '22004'),
  ]),
  ...each(['', ' ', '\u00ad'], 'find_quote', 'quote', '22023'), ...each([null], 'find_quote', 'quote', '22004'),
  ...['conversation_context', 'record_answer'].flatMap((name) => [
    ...each(['', ' '], name, 'question', '22023'), ...each([null], name, 'question', '22004'),
  ]),
  ...['add_turn', 'conversation_context'].flatMap((name) => each([null], name, 'conversation_id', '22004')),
  ...['record_answer', 'rate_answer'].flatMap((name) => each([null], name, 'run_id', '22004')),
  ...each([{}, 'x'], 'add_turn', 'citations', '22023'), ...each([{}, 'x', [1], ['x']], 'record_answer', 'citations', '22023'),
  ...['invite_member', 'accept_invite'].flatMap((name, i) => [
    ...each(['', ' '], name, ['email', 'token'][i], '22023'), ...each([null], name, ['email', 'token'][i], '22004'),
  ]),
  ...['workflow_id', 'event_name', 'run_key'].flatMap((argument) => each(['', ' '], 'start_run', argument, '22023')),
  ...['step_name', 'step_key', 'call_key'].flatMap((argument) => each(['', ' '], 'record_step', argument, '22023')),
  ...['user_key', 'session_key'].flatMap((argument) => each(['', ' '], 'start_run', argument, '22023')),
  ...each(['', ' '], 'correct_step', 'reason', '22023'), ...each([null], 'correct_step', 'reason', '22004'), ...each([null], 'correct_step', 'step_id', '22004'),
  ...each([{}, [{}, 1], [{ tokens: 1 }], 'whales'], 'record_steps', 'steps', '22023'), ...each([null], 'record_steps', 'steps', '22004'),
  ...each(['0', '-1 day'], 'reap_runs', 'older_than', '22023'), ...each([null], 'reap_runs', 'older_than', '22004'),
  ...['set_price', 'price_of'].flatMap((name) => [...each(['', ' '], name, 'model', '22023'), ...each([null], name, 'model', '22004')]),
  ...each([null], 'load_prices', 'catalogue', '22004'),
  ...['workflow_metrics', 'top_runs', 'top_steps', 'step_errors'].flatMap((name) => each([null], name, 'since', '22004')),
  ...each([null], 'purge_steps', 'older_than', '22004'),
  ...each(['', ' '], 'set_budget', 'name', '22023'), ...each([null], 'set_budget', 'name', '22004'),
  ...each(['', 'Mars/Phobos'], 'set_budget', 'time_zone', '22023'), ...each([null], 'set_budget', 'limit_usd', '22004'),
  ...each([[0], [null], ['NaN']], 'set_budget', 'thresholds', '22023'),
  ...each(['', ' '], 'remove_budget', 'name', '22023'), ...each([null], 'remove_budget', 'name', '22004'),
  ...each(['', ' '], 'reserve_budget', 'model', '22023'), ...each([-1, 'NaN'], 'reserve_budget', 'estimate_usd', '22023'),
  ...['settle_budget', 'release_budget'].flatMap((name) => each([null], name, 'reservation_id', '22004')),
  ...each([null], 'settle_budget', 'cost_usd', '22004'),
  ...each([null], 'import_project', 'lines', '22004'), ...each([[], [''], ['{}'], ['null'], ['[]', 'x']], 'import_project', 'lines', '22023'),
  ...['export_project', 'known_at'].flatMap((name) => each(['', ' ', '{}'], name, 'after', '22023')),
  ...['since', 'until', 'time_zone', 'language'].flatMap((argument) => each([null], 'report', argument, '22004')),
  ...['register_model', 'switch_embedding_model', 'truncate_embeddings', 'drop_embeddings'].flatMap((name) => [
    ...each(['', ' '], name, 'model', '22023'), ...each([null], name, 'model', '22004'),
  ]),
  ...each([null], 'store_embeddings', 'chunk_ids', '22004'),
  ...each([-0.1, 1.1, 'NaN'], 'sync_sources', 'max_share', '22023'), ...each([null], 'sync_sources', 'max_share', '22004'),
  ...each([null], 'analyze_text', 'language', '22004'),
  ...['set_phase', 'phase_history', 'save_pillar', 'pillar_catalog', 'diff_pillar', 'diff_pillar_text', 'as_of', 'label_pillar', 'unlabel_pillar', 'label_history', 'ingest_source', 'build_context', 'search_insights', 'insights_review', 'known_at', 'start_run', 'workflow_metrics', 'reindex_text',
    'sync_source', 'sync_sources', 'source_progress', 'failed_chunks', 'retry_failed', 'rechunk', 'ingest_chunks',
    'query_model', 'model_coverage', 'switch_embedding_model', 'cancel_model_switch', 'truncate_embeddings', 'drop_embeddings', 'reembed', 'set_price', 'reprice',
    'rebuild_metrics', 'purge_steps', 'top_runs', 'top_steps', 'step_errors',
    'set_budget', 'remove_budget', 'reserve_budget', 'budget_status',
    'export_project', 'export_lines', 'export_markdown', 'report', 'start_conversation', 'evaluation_set']
    .flatMap((name) => each([null], name, 'project_id', '22004')),
  ...['source_text', 'source_history', 'restore_source', 'replace_chunks'].flatMap((name) => each([null], name, 'source_id', '22004')),
]))

describe('functions refuse wrong vectors', () => {
  const vector = embed('whale')
  const broken = [
    ['text for a number', ['NaN', ...vector.slice(1)], '22P02'],
    ['null for a number', [null, ...vector.slice(1)], '22P02'],
    ['NaN in a string', `[NaN,${vector.slice(1)}]`, '22000'],
    ['an object', { a: 1 }, '22P02'],
    ['an array in an array', [vector], '22P02'],
    ['words', 'blue whale', '22P02'],
    ['no number', [], '22000'],
  ]
  const own = [
    ['three dimensions', [1, 2, 3]],
    ['one dimension too many', [...vector, 1]],
    ['only zeros', vector.map(() => 0)],
  ]
  refusals([
    ...['match_chunks', 'hybrid_search', 'build_context', 'match_documents'].flatMap((name) => [
      ...broken.map(([label, query_embedding, code]) => [`${name}: ${label}`, rpc(name, { query_embedding }), 400, code]),
      ...own.map(([label, query_embedding]) => [`${name}: ${label}`, rpc(name, { query_embedding }), 400, '22023']),
      [`${name}: query_embedding null`, rpc(name, { query_embedding: null }), 400, '22004'],
      [`${name}: query_embedding of another model`, rpc(name, { query_embedding: embed('whale', 384) }), 400, '22023'],
    ]),
    ...[...broken, ...own].map(([label, embedding]) => [`store_embeddings: ${label}`, rpc('store_embeddings', { embeddings: [embedding] }), 400, '22023']),
    ...each([[], [embed('a'), embed('b')], {}, 'whale'], 'store_embeddings', 'embeddings', '22023'),
    ...own.map(([label, embedding]) => [`chunk_embeddings: ${label}`,
      () => alice.from('chunk_embeddings').update({ embedding }).eq('chunk_id', world.chunk_id), 400, '22023']),
  ])
})

describe('functions refuse JSON of another kind', () => refusals([
  ...['match_chunks', 'search_chunks', 'hybrid_search', 'build_context', 'match_documents']
    .flatMap((name) => each(['{"topic": "whales"}', ['whales'], 1], name, 'filter', '22023')),
  ...each(['{}', [], 1, { whale: 1 }, { [MISSING]: 'high' }], 'rerank_chunks', 'scores', '22023'),
  ...each(['{}', [], { whale: 1 }], 'build_context', 'scores', '22023'),
  ...each(['[]', {}, [], [1], [{ query_text: 'whale' }]], 'evaluate_search', 'queries', '22023'),
  ...each(['{}', [], { lang: 'english' }, { language: 'English' }, { language: null }, { app: 'mine' }], 'create_project', 'settings', '22023'),
  ...each([{ app: { notes: 'x'.repeat(17000) } }], 'create_project', 'settings', '22023'),
  ...each(['{}', []], 'ingest_source', 'metadata', '22023'),
  ...each(['squid', { a: 1 }, '[]'], 'record_insight', 'tags', '22023'),
  ...each(['{}', [1], { input: '1' }, { input: -1 }, { 'in put': 1 }], 'set_price', 'prices', '22023'),
  ...each(['{}', [1], {}, { models: { x: 1 } }], 'load_prices', 'catalogue', '22023'),
  ...each(['{}', [1]], 'calculate_cost', 'usage', '22023'),
  ...each(['soon'], 'workflow_metrics', 'since', '22007'), ...each(['soon'], 'reprice', 'since', '22007'),
  ...each(['soon'], 'report', 'until', '22007'),
  ['create_project: half a character in name', rpc('create_project', { name: '\ud800' }), 400, 'PGRST102'],
  ['create_project: a zero byte in name', rpc('create_project', { name: 'a\u0000b' }), 400, '22P05'],
]))

describe('functions refuse unknown and malformed ids', () => {
  const argument = { project_id: 'project', user_id: 'member', source_id: 'source', run_id: 'run', step_id: 'step', old_id: 'insight', new_id: 'insight', insight_id: 'insight', kept_id: 'insight' }
  // Every function that takes one of these ids.
  const takes = Object.entries(calls({}))
    .flatMap(([name, args]) => Object.keys(args).filter((key) => key in argument).map((key) => [name, key]))
  refusals([
    // The first lines of an import make the project.
    ...takes.map(([name, key]) => [`${name}: no such ${argument[key]}`,
      rpc(name, { [key]: MISSING, ...name === 'import_project' && { first_line: 2 } }), 404, 'PT404']),
    ...takes.map(([name, key]) => [`${name}: malformed ${key}`, rpc(name, { [key]: 'not-a-uuid' }), 400, '22P02']),
    ...each([['not-a-uuid']], 'store_embeddings', 'chunk_ids', '22P02'),
    ['accept_invite: an unknown token', rpc('accept_invite', { token: 'a guess' }), 404, 'PT404'],
    ['remove_member: the last owner', rpc('remove_member', { user_id: ALICE }), 409, 'PT409'],
    ['set_member_role: the last owner', rpc('set_member_role', { user_id: ALICE }), 409, 'PT409'],
    ['supersede_insight: the same old_id and new_id', () => alice.rpc('supersede_insight', { old_id: world.old_id, new_id: world.old_id }), 400, '22023'],
    ['record_step: the step_key of another step', () => alice.rpc('record_step', { run_id: world.run_id, step_name: 'hear', status: 'success', step_key: 'look-1' }), 409, 'PT409'],
    ['source_chunks: an unknown source_id', () => alice.from('source_chunks').insert({ source_id: MISSING, chunk_index: 0, content: 'x' }), 403, '42501'],
  ])
})

describe('tables and functions refuse wrong access tokens', () => {
  const as = async (claims, options) => stack.client(await stack.token({ role: 'authenticated', ...claims }, options))
  const create = { name: 'Mine' }
  const projects = async (claims, options) => (await as(claims, options)).from('projects').select()
  refusals([
    ['a subject that is no uuid: create_project', async () => (await as({ sub: 'alice' })).rpc('create_project', create), 403, '42501'],
    ['a subject that is no uuid: save_pillar', async () => (await as({ sub: 'alice' })).rpc('save_pillar', calls(world).save_pillar), 404, 'PT404'],
    ['an expired token: projects', () => projects({ sub: ALICE }, { expires: '-1h' }), 401, 'PGRST301'],
    ['a forged token: projects', () => projects({ sub: ALICE }, { key: 'x'.repeat(64) }), 401, 'PGRST301'],
    ['an unsigned token: projects', () => stack.client(unsigned({ role: 'authenticated', sub: ALICE })).from('projects').select(), 401, 'PGRST301'],
    ['no token at all: projects', () => stack.client('nonsense').from('projects').select(), 401, 'PGRST301'],
    ['role postgres: projects', () => projects({ role: 'postgres', sub: ALICE }), 403, '42501'],
    ['claims without a subject: create_project', async () => (await as({})).rpc('create_project', create), 403, '42501'],
    ['claims without a subject: insert into projects', async () => (await as({})).from('projects').insert(create), 403, '42501'],
    ['claims without a subject: save_pillar', async () => (await as({})).rpc('save_pillar', calls(world).save_pillar), 404, 'PT404'],
    ['service_role: create_project', async () => (await stack.service()).rpc('create_project', create), 403, '42501'],
  ])

  test('claims without a subject: no rows of projects', async () => {
    assert.deepEqual(await ok(projects({})), [])
  })
  test('a subject that is no uuid: no rows of projects', async () => {
    assert.deepEqual(await ok(projects({ sub: 'alice' })), [])
  })
  test('a subject that is no uuid: list_members gives a hint', async () => {
    const { hint } = await refused((await as({ sub: 'alice' })).rpc('list_members', { project_id: world.project_id }), 404, 'PT404')
    assert.match(hint, /UUID/)
  })
})

function unsigned(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`
}

test('every function that takes arguments is asked here about a wrong one', () => {
  const functions = stack.sql(`
    select proname from pg_proc
     where pronamespace = 'matrice'::regnamespace and pronargs > 0 and proargnames is not null and has_function_privilege('authenticated', oid, 'execute')`).trim().split('\n')
  assert.ok(functions.length > 50, `${functions.length} functions`)
  assert.deepEqual(functions.filter((name) => !asked.has(name)), [])
})
