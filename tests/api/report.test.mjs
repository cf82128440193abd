// The page about a project, as a browser and a program ask for it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch } from 'puppeteer-core'
import { ALICE, BOB, MISSING, ok } from './fixtures.mjs'
import { example, run } from './readme.mjs'
import { startStack } from './stack.mjs'

const HOSTILE = '<script>alert("1")</script>\u202e&'
let stack, alice, project_id, browser

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
  await ok(alice.rpc('set_budget', { project_id, limit_usd: 3, name: HOSTILE, model: 'gpt-4o' }))
  // The sandbox of Chromium does not start as root.
  browser = await launch({ executablePath: '/usr/bin/chromium', args: process.getuid() === 0 ? ['--no-sandbox'] : [] })
})
after(async () => {
  await browser?.close()
  await stack?.stop()
})

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

test("README's supabase-js example gets the page as text, and an address for it", async () => {
  const { page, address } = await run(await example('js', 'createObjectURL'), { supabase: alice, project: project_id }, 'page', 'address')
  assert.match(page, /^<!DOCTYPE html>.*<\/html>$/s)
  assert.match(address, /^blob:/)
  URL.revokeObjectURL(address)
})

// In a browser ---------------------------------------------------------------------------------------------------------

/** Opens a page as a file, and tells what it shows and does. */
async function shown(text, { width, scheme }) {
  const page = await browser.newPage()
  const [requests, dialogs] = [[], []]
  page.on('request', (request) => requests.push(request.url()))
  page.on('dialog', (dialog) => {
    dialogs.push(dialog.message())
    return dialog.dismiss()
  })
  await page.setViewport({ width, height: 800, isMobile: width < 600 })
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
  await page.setContent(text)
  const facts = await page.evaluate(() => {
    const box = (element) => element.getBoundingClientRect()
    const lightness = (color) => color.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3
    return {
      elements: [...document.querySelectorAll('*')].map((element) => element.localName),
      scrolls: document.documentElement.scrollWidth - window.innerWidth,
      tables: [...document.querySelectorAll('.wide')].map((table) => table.scrollWidth - table.clientWidth),
      background: lightness(getComputedStyle(document.body).backgroundColor),
      ink: [...document.querySelectorAll('svg text')].map((label) => lightness(getComputedStyle(label).fill)),
      charts: [...document.querySelectorAll('svg')].map((svg) => ({
        frame: box(svg).toJSON(), labels: [...svg.querySelectorAll('text')].filter((label) => label.textContent.trim()).map((label) => box(label).toJSON()),
      })),
      names: [...document.querySelectorAll('bdi')].map((name) => name.textContent),
    }
  })
  await page.close()
  return { ...facts, requests, dialogs }
}

const overlap = (one, other) =>
  one.left < other.right && other.left < one.right && one.top + 1 < other.bottom && other.top + 1 < one.bottom

for (const language of ['en', 'fr']) {
  for (const [width, scheme] of [[375, 'light'], [375, 'dark'], [1200, 'light'], [1200, 'dark']]) {
    test(`in a browser: ${language}, ${width} pixels, ${scheme}`, async () => {
      const { text } = await get({ project_id, language })
      const facts = await shown(text, { width, scheme })
      // The parser found each tag where it was written: it added none, and dropped none.
      assert.deepEqual(facts.elements, [...text.matchAll(/<([a-z][a-z0-9]*)/g)].map(([, name]) => name))
      assert.deepEqual([facts.requests, facts.dialogs], [[], []])
      assert.ok(facts.scrolls <= 0 && facts.tables.every((hidden) => hidden <= 0), `${facts.scrolls}, ${facts.tables}`)
      assert.equal(facts.background > 128, scheme === 'light')
      assert.ok(facts.ink.length > 20 && facts.ink.every((ink) => Math.abs(ink - facts.background) > 90), `${facts.ink} on ${facts.background}`)
      // The project, a step, a model and a budget have this name.
      assert.equal(facts.names.filter((name) => name === '<script>alert("1")</script>\ufffd&').length, 4)
      assert.equal(facts.charts.length, 4)
      for (const { frame, labels } of facts.charts) {
        assert.ok(labels.length >= 5)
        for (const [place, label] of labels.entries()) {
          assert.ok(label.height >= 10 && label.left >= frame.left && label.right <= frame.right && label.bottom <= frame.bottom + 1)
          assert.ok(!labels.slice(place + 1).some((other) => overlap(label, other)))
        }
      }
    })
  }
}
