// The page about a project, as a browser and a program ask for it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, BOB, MISSING, ok } from './fixtures.mjs'
import { startStack } from './stack.mjs'

const HOSTILE = '<script>alert("1")</script>\u202e&'
let stack, alice, project_id

before(async () => {
  stack = await startStack()
  alice = await stack.user(ALICE)
  project_id = await ok(alice.rpc('create_project', { name: HOSTILE }))
  const run_id = await ok(alice.rpc('start_run', { project_id, workflow_id: 'answer', event_name: 'question/asked' }))
  const step = (more) => ok(alice.rpc('record_step', { run_id, step_name: HOSTILE, status: 'success', latency_ms: 1500, ...more }))
  await step({ model: 'gpt-4o', usage: { prompt_tokens: 1_000_000, prompt_tokens_details: { cached_tokens: 500_000 } } })
  await step({ model: HOSTILE, tokens_input: 1_000_000, status: 'failed' })
  await step({ executed_at: '2026-01-01T23:30:00Z', cost_usd: 2.5, model: 'winter' })
  await ok(alice.rpc('finish_run', { run_id, status: 'completed' }))
})
after(() => stack?.stop())

/** GET, as a browser does it. */
async function get(parameters, { sub = ALICE, accept = 'text/html,application/xhtml+xml,*/*;q=0.8' } = {}) {
  const response = await fetch(`${stack.url}/rest/v1/rpc/report?${new URLSearchParams(parameters)}`, {
    headers: { Accept: accept, 'Accept-Profile': 'matrice', Authorization: `Bearer ${await stack.token({ role: 'authenticated', sub })}` },
  })
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}

test('the page comes as HTML, complete and without a script', async () => {
  const { status, type, text } = await get({ project_id })
  assert.equal(status, 200, text)
  assert.match(type, /^text\/html\b/)
  assert.match(text, /^<!DOCTYPE html><html lang="en">/)
  assert.match(text, /<\/body><\/html>$/)
  assert.doesNotMatch(text, /<script|:\/\/|url\(|<link|<img|<iframe| on\w+=|\u202e/i)
  assert.ok(text.includes('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\ufffd&amp;'))
})

test('its figures are those that were recorded', async () => {
  const { text } = await get({ project_id })
  const figures = text.replace(/<style>.*<\/style>/s, '').replace(/<[^>]*>/g, '|').replace(/\|+/g, '|')
  // 500,000 × 2.5 + 500,000 × 1.25, in millionths
  assert.match(figures, /\|Cost\|\$1\.88\|calls without a known price: 1\|/)
  assert.match(figures, /\|Runs\|1\|0 failed\|Success\|100%\|/)
  assert.match(figures, /\|Latency, p95\|1\.5\u00a0s\|/)
  assert.match(figures, /\|Tokens\|2\.0M\|0 of output\|From caches\|25%\|/)
  assert.match(figures, /\|gpt-4o\|1\|–\|\$1\.88\|100%\|/)
})

test('in French, with the days of a time zone', async () => {
  const period = { project_id, since: '2026-01-01T12:00:00Z', until: '2026-01-02T12:00:00Z', language: 'fr' }
  const paris = await get({ ...period, time_zone: 'Europe/Paris' })
  assert.match(paris.text, /<html lang="fr">/)
  assert.match(paris.text, /1 janv\. 2026 – 2 janv\. 2026/)
  assert.match(paris.text, /2,50\u00a0\$/)
  // The step is of January 2 in Paris, and of January 1 in UTC: its bar stands on the right, or on the left.
  const left = ({ text }) => Number(text.match(/<rect x="(\d+)"[^>]*fill="#0B6FB3"/)[1])
  assert.ok(left(paris) > left(await get(period)) + 300)
})

test('a project without anything has a page', async () => {
  const { status, text } = await get({ project_id: await ok(alice.rpc('create_project', { name: 'Empty' })) })
  assert.equal(status, 200)
  assert.match(text, /Nothing in this period/)
})

test('a stranger and wrong arguments get an error', async () => {
  for (const [parameters, status, code, options] of [
    [{ project_id }, 404, 'PT404', { sub: BOB }],
    [{ project_id: MISSING }, 404, 'PT404'],
    [{ project_id, language: 'de' }, 400, '22023'],
    [{ project_id, time_zone: 'Mars/Base' }, 400, '22023'],
    [{ project_id, since: '2026-01-02', until: '2026-01-01' }, 400, '22023'],
    [{ project_id, since: '2020-01-01', until: '2026-01-01' }, 400, '22023'],
  ]) {
    const answer = await get(parameters, options)
    assert.equal(answer.status, status, `${JSON.stringify(parameters)}: ${answer.text}`)
    assert.equal(JSON.parse(answer.text).code, code)
  }
})

test('supabase-js gets the page as text', async () => {
  assert.match(await ok(alice.rpc('report', { project_id })), /^<!DOCTYPE html>.*<\/html>$/s)
})
