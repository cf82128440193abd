// The edge function ingest under Deno, with the token of its user, against real PostgREST. Supabase's gateway is an address in
// front of it, of PostgREST and of a storage that has files and one rule: only Alice reads the bucket documents.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runWorker, startFunction } from './deno.mjs'
import { createClient } from '@supabase/supabase-js'
import { ALICE, BOB, ok } from './fixtures.mjs'
import { startGateway } from './gateway.mjs'
import { example, run } from './readme.mjs'
import { startStack } from './stack.mjs'

const VENV = fileURLToPath(new URL('../../build/venv-api/bin/python', import.meta.url))
const MAKE = fileURLToPath(new URL('make_files.py', import.meta.url))

let stack, gateway, functions, alice, project_id, folder, token
const tokens = {}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'matrice-files-'))
  execFileSync(VENV, [MAKE, folder])
  copyFileSync(join(folder, 'pages.pdf'), join(folder, 'handbook.pdf'))
  stack = await startStack()
  alice = await stack.user(ALICE)
  for (const id of [ALICE, BOB]) tokens[id] = await stack.token({ role: 'authenticated', sub: id })
  token = tokens[ALICE]
  project_id = await ok(alice.rpc('create_project', { name: 'Files' }))
  gateway = await startGateway(stack, 'ingest', () => functions.port, serveFile)
  functions = await startFunction('ingest', { SUPABASE_URL: gateway.url, SUPABASE_ANON_KEY: 'publishable-key', MATRICE_PART_SECONDS: '0.1' })
})
after(async () => {
  await functions?.stop()
  gateway?.stop()
  await stack?.stop()
  if (folder) rmSync(folder, { recursive: true })
})

function serveFile({ url, headers }, outgoing) {
  const path = '/storage/v1/object/authenticated/'
  if (!url.startsWith(path)) return false
  const [bucket, ...steps] = url.slice(path.length).split('/').map(decodeURIComponent)
  const file = join(folder, steps.join('/'))
  if (bucket !== 'documents' || headers.authorization !== `Bearer ${tokens[ALICE]}`) outgoing.writeHead(400).end('{"error": "not found"}')
  else if (!existsSync(file)) outgoing.writeHead(404).end('{"error": "not found"}')
  else outgoing.writeHead(200).end(readFileSync(file))
  return true
}

async function post(body, { query = '', type = 'application/json', as = token } = {}) {
  const answer = await fetch(`${gateway.url}/functions/v1/ingest${query}`, {
    method: 'POST', headers: { authorization: `Bearer ${as}`, 'content-type': type }, body: typeof body === 'object' && !Buffer.isBuffer(body) ? JSON.stringify(body) : body,
  })
  return { status: answer.status, body: await answer.json() }
}
const stored = (name, more) => post({ project_id, storage_path: `documents/${name}`, ...more })

test('a file of the storage becomes a source with its title and its chunks, once for each key', async () => {
  const first = await stored('guide.docx', { max_tokens: 256, overlap_tokens: 0, metadata: { kind: 'guide' } })
  assert.equal(first.status, 200, JSON.stringify(first.body) + functions.log.join(''))
  assert.deepEqual([first.body.action, first.body.title], ['added', 'Benefits guide'])
  const [source] = await ok(alice.from('context_sources').select('id, name, storage_path, source_key, raw_metadata, source_chunks(content, metadata)').eq('project_id', project_id))
  assert.equal(source.id, first.body.source_id)
  assert.deepEqual([source.name, source.storage_path, source.source_key], ['guide.docx', 'documents/guide.docx', 'documents/guide.docx'])
  assert.ok(source.source_chunks.some(({ content, metadata }) => content.includes('Country 7|') && content.includes('Country|Days|Notes|') && metadata.headings.at(-1) === 'Parental leave'))
  const again = await stored('guide.docx', { max_tokens: 256, overlap_tokens: 0, metadata: { kind: 'guide' } })
  assert.deepEqual([again.body.action, again.body.source_id, again.body.added], ['unchanged', source.id, 0])
})

test('a large PDF is read in several calls, and no page is lost', async () => {
  gateway.calls = 0
  const { status, body } = await post(readFileSync(join(folder, 'pages.pdf')), { query: `?project_id=${project_id}&name=pages.pdf`, type: 'application/pdf' })
  assert.equal(status, 200, JSON.stringify(body) + functions.log.join(''))
  assert.ok(gateway.calls > 2, `${gateway.calls} calls`)
  const chunks = await ok(alice.from('source_chunks').select('content').eq('source_id', body.source_id).limit(10000))
  const text = chunks.map(({ content }) => content).join('\n')
  for (let page = 1; page <= 300; page++) if (page !== 2) assert.ok(text.includes(`Page ${page} line 17:`), `page ${page}`)
})

test("README's example ingests a file of the storage", async () => {
  const supabase = createClient(gateway.url, 'publishable-key', { accessToken: async () => token, realtime: { transport: class {} } })
  const { ingested } = await run(await example('js', 'functions.invoke'), { supabase, project: project_id }, 'ingested')
  assert.deepEqual([ingested.action, ingested.title], ['added', 'Numbered pages'])
})

test('what is wrong with a file stands on its source, and goes when the file is right', async () => {
  const scan = readFileSync(join(folder, 'scan.pdf'))
  const options = { query: `?project_id=${project_id}&name=scan.pdf&source_key=report`, type: 'application/pdf' }
  const refused = await post(scan, options)
  assert.deepEqual([refused.status, refused.body.code], [422, 'no_text'])
  const status = () => ok(alice.from('context_sources').select('status, error').eq('source_key', 'report').eq('project_id', project_id).single())
  const { status: state, error } = await status()
  assert.equal(state, 'error')
  assert.match(error, /no_text: the PDF has pages but no text/)
  const mended = await post(readFileSync(join(folder, 'deck.pptx')), { ...options, query: `?project_id=${project_id}&name=report.pptx&source_key=report` })
  assert.equal(mended.status, 200, JSON.stringify(mended.body))
  assert.equal((await status()).error, null)
})

test('another user reads neither the file nor the project', async () => {
  const other = await post({ project_id, storage_path: 'documents/guide.docx' }, { as: tokens[BOB] })
  assert.deepEqual([other.status, other.body.code], [404, 'PT404'])
  const bob = await stack.user(BOB)
  const own = await ok(bob.rpc('create_project', { name: 'Own' }))
  const stolen = await post({ project_id: own, storage_path: 'documents/guide.docx' }, { as: tokens[BOB] })
  assert.deepEqual([stolen.status, stolen.body.code], [404, 'storage'])
  assert.deepEqual(await ok(bob.from('context_sources').select()), [])
})

test('bad requests are refused with a reason', async () => {
  const before = stack.snapshot()
  for (const [body, options, status] of [
    ['{', {}, 400], [{}, {}, 400], [{ project_id: 'x', storage_path: 'a/b' }, {}, 400], [{ project_id, storage_path: '../x' }, {}, 400], [{ project_id, storage_path: 'a/../../../rest/v1/projects' }, {}, 400], [{ project_id, storage_path: 'a/b' }, {}, 404], [{ project_id }, {}, 400],
    [Buffer.from('x'), { query: `?project_id=${project_id}`, type: 'text/plain' }, 400], [{ project_id, storage_path: 'a/b' }, { as: 'no token' }, 401],
  ]) {
    const answer = await post(body, options)
    assert.equal(answer.status, status, JSON.stringify([body, answer]))
    assert.match(answer.body.message, /\w/)
  }
  assert.equal(stack.snapshot(), before)
})

test('paths and names that are made to deceive are refused, or kept as text', async () => {
  const before = stack.snapshot()
  for (const [more, status] of [
    [{ storage_path: 'documents/a\u0000b.md' }, 404], [{ storage_path: `documents/${'x'.repeat(4096)}.md` }, 404],
    [{ storage_path: 'documents/..%2fsecret.md' }, 404], [{ storage_path: 'documents//guide.docx' }, 400], [{ storage_path: 'documents/./guide.docx' }, 400],
    [{ storage_path: 'documents/guide.docx', name: 'n'.repeat(1_000_000) }, 413], [{ storage_path: 'documents/guide.docx', name: 'n'.repeat(4096) }, 400],
    [{ storage_path: 'documents/guide.docx', source_key: 'k'.repeat(4096) }, 400], [{ storage_path: 'documents/guide.docx', name: 'a\u0000b' }, 400],
    [{ storage_path: 'documents/guide.docx', source_key: 7 }, 400], [{ storage_path: 'documents/guide.docx', max_tokens: 'many' }, 400], [{ storage_path: 'documents/guide.docx', source_key: '\ud800' }, 400],
  ]) {
    const answer = await post({ project_id, ...more })
    assert.equal(answer.status, status, JSON.stringify([more, answer]).slice(0, 300))
    assert.match(answer.body.message, /\w/)
  }
  assert.equal(stack.snapshot(), before)
  const reversed = '\u202etxt.exe\u202c.docx'
  const { body } = await post({ project_id, storage_path: 'documents/guide.docx', source_key: reversed, name: reversed })
  const [source] = await ok(alice.from('context_sources').select('name').eq('id', body.source_id))
  assert.equal(source.name, reversed)
})

test('a body that is cut in the middle makes no source', async () => {
  const bytes = readFileSync(join(folder, 'pages.pdf'))
  const request = httpRequest(`http://127.0.0.1:${functions.port}/?project_id=${project_id}&name=cut.pdf`, {
    method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/pdf', 'content-length': bytes.length },
  })
  request.on('error', () => {})
  request.write(bytes.subarray(0, bytes.length / 2), () => request.destroy())
  await new Promise((closed) => { request.on('close', closed) })
  assert.equal((await stored('guide.docx', { source_key: 'after the cut' })).status, 200)
  await alice.from('context_sources').delete().eq('source_key', 'after the cut')
  assert.deepEqual(await ok(alice.from('context_sources').select('id').eq('name', 'cut.pdf')), [])
})

test('two calls for the same key at once make one source', async () => {
  const answers = await Promise.all(Array.from({ length: 4 }, (_, i) => stored(i % 2 ? 'guide.docx' : 'deck.pptx', { source_key: 'twice' })))
  for (const { status, body } of answers) assert.ok(status === 200 || status === 409, JSON.stringify(body))
  const sources = await ok(alice.from('context_sources').select('id, source_chunks(content)').eq('source_key', 'twice'))
  assert.equal(sources.length, 1)
  const text = sources[0].source_chunks.map(({ content }) => content).join('')
  assert.notEqual(text.includes('Slide title'), text.includes('Benefits guide'), 'the text of one of the two')
})

test('matrice-worker ingest does the same for files', async () => {
  const env = { DATABASE_URL: `${stack.databaseUrl}?role=service_role` }
  const files = ['budget.xlsx', 'book.epub', 'locked.pdf'].map((name) => join(folder, name))
  const { code, stdout } = await runWorker(['ingest', '--project', project_id, '--prefix', 'disk:', ...files], env)
  assert.equal(code, 1)
  const lines = stdout.trim().split('\n').map((line) => JSON.parse(line))
  assert.deepEqual(lines.map(({ action, error }) => action ?? error.code), ['added', 'added', 'encrypted'])
  const sources = await ok(alice.from('context_sources').select('source_key, status, error').eq('project_id', project_id).like('source_key', 'disk:%').order('source_key'))
  assert.deepEqual(sources.map(({ source_key }) => source_key), files.map((file) => `disk:${file}`).sort())
  assert.match(sources.at(-1).error, /encrypted/)
})

for (const [way, env] of [['a connection', {}], ['PostgREST', { DATABASE_URL: '' }]]) {
  test(`matrice-worker sync makes a folder the sources of a prefix, over ${way}`, async () => {
    if (env.DATABASE_URL === '') Object.assign(env, { SUPABASE_URL: stack.url, SUPABASE_SERVICE_ROLE_KEY: await stack.token({ role: 'service_role' }) })
    const project = await ok(alice.rpc('create_project', { name: way }))
    const home = join(folder, `home ${way}`)
    mkdirSync(join(home, 'deep'), { recursive: true })
    const odd = 'deep/"a", {b}\\.md'
    for (const [name, text] of [['one.md', '# One'], [odd, '# Two'], ['gone.txt', 'three'], ['.hidden', 'no'], ['empty.md', '']]) writeFileSync(join(home, name), text)
    const sync = async (...args) => {
      const { code, stdout, stderr } = await runWorker(['sync', '--project', project, ...args, home], { DATABASE_URL: `${stack.databaseUrl}?role=service_role`, ...env })
      const lines = stdout.trim().split('\n').map((line) => JSON.parse(line))
      return { code, stderr, actions: Object.fromEntries(lines.map(({ file, action, error }) => [file, action ?? error.code])) }
    }
    await ok(alice.rpc('sync_source', { project_id: project, source_key: 'elsewhere/one.md', content: 'stays' }))
    const first = await sync()
    assert.deepEqual([first.code, first.actions], [1, { 'one.md': 'added', [odd]: 'added', 'gone.txt': 'added', 'empty.md': 'empty' }], first.stderr)
    rmSync(join(home, 'gone.txt'))
    writeFileSync(join(home, 'empty.md'), 'Not empty any more')
    const second = await sync()
    assert.deepEqual([second.code, second.actions], [0, { 'one.md': 'unchanged', [odd]: 'unchanged', 'empty.md': 'updated', 'gone.txt': 'removed' }], second.stderr)
    const sources = await ok(alice.from('context_sources').select('source_key, error').eq('project_id', project).order('source_key'))
    const keys = ['elsewhere/one.md', ...['one.md', odd, 'empty.md'].map((name) => `home ${way}/${name}`)]
    assert.deepEqual(sources.map(({ source_key }) => source_key).sort(), keys.sort())
    assert.ok(sources.every(({ error }) => error === null))
  })
}

test('matrice-worker sync of a folder that is empty by mistake deletes nothing', async () => {
  const project = await ok(alice.rpc('create_project', { name: 'Mistakes' }))
  const home = join(folder, 'mistaken')
  const names = ['one.md', 'two.md', 'three.md', 'four.md']
  const fill = () => { for (const name of names) writeFileSync(join(home, name), `# ${name}`) }
  const empty = () => { for (const name of readdirSync(home)) rmSync(join(home, name), { recursive: true }) }
  const sync = (...args) => runWorker(['sync', '--project', project, '--prefix', 'home/', ...args], { DATABASE_URL: `${stack.databaseUrl}?role=service_role` })
  const refused = async (message, ...args) => {
    const before = stack.snapshot()
    const { code, stdout, stderr } = await sync(...args)
    assert.deepEqual([code, stdout], [1, ''], stderr)
    assert.match(stderr, message)
    assert.equal(stderr.trim().split('\n').length, 1, stderr)
    assert.equal(stack.snapshot(), before)
  }
  mkdirSync(home)
  fill()
  assert.equal((await sync(home)).code, 0)
  empty()
  await refused(/mistaken has no files\. Nothing was changed\./, home)
  await refused(/mistaken has no files/, '--allow-removals', home)
  await refused(/no such place cannot be read\. Nothing was changed\./, join(folder, 'no such place'))
  // What stands on the disk under a folder that is not mounted.
  writeFileSync(join(home, 'NOT MOUNTED.txt'), 'Mount the disk here.')
  await refused(/4 of 4 sources would be deleted\. max_share allows 2 of them\. .*--allow-removals/, home)
  // Names are the same, but nothing can be converted: sources say so, and keep their texts.
  empty()
  for (const name of names) writeFileSync(join(home, name), '')
  assert.equal((await sync(home)).code, 1)
  const chunks = () => ok(alice.from('source_chunks').select('content').eq('project_id', project).order('content'))
  assert.deepEqual((await chunks()).map(({ content }) => content), names.map((name) => `# ${name}`).sort())
  // Half of them may go, and all if that is wanted.
  fill()
  for (const name of ['one.md', 'two.md']) rmSync(join(home, name))
  assert.equal((await sync(home)).code, 0)
  assert.deepEqual((await chunks()).map(({ content }) => content), ['# four.md', '# three.md'])
  empty()
  writeFileSync(join(home, 'new.md'), '# new')
  assert.equal((await sync('--allow-removals', home)).code, 0)
  assert.deepEqual((await chunks()).map(({ content }) => content), ['# new'])
})
