// The converter on files that other programs wrote, and on files that are wrong.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runWorker } from './deno.mjs'

const VENV = fileURLToPath(new URL('../../build/venv-api/bin/python', import.meta.url))
const MAKE = fileURLToPath(new URL('make_files.py', import.meta.url))
const WRONG = {
  'empty.txt': 'empty', 'spaces.md': 'no_text', 'binary.txt': 'not_text', 'text.pdf': 'damaged', 'text.docx': 'damaged',
  'old.doc': 'unknown_format', 'other.zip': 'unknown_format', 'locked.xlsx': 'encrypted', 'locked.epub': 'encrypted', 'locked.pdf': 'encrypted', 'scan.pdf': 'no_text',
  'large.txt': 'too_large', 'long.txt': 'too_large', 'bomb.docx': 'too_large', 'parts.docx': 'too_large', 'deep.docx': 'damaged', 'deep.html': 'damaged', 'wide.xlsx': 'too_large',
  'shared.xlsx': 'too_large', 'columns.html': 'too_large', 'wide.html': 'too_large', 'rows.html': 'too_large',
  'bomb.pdf': 'too_large', 'bomb-referred.pdf': 'too_large', 'bomb-hidden.pdf': 'too_large', 'bomb-cut.pdf': 'too_large',
  'bomb-twice.pdf': 'too_large', 'bomb-hex.pdf': 'too_large', 'bomb-ascii85.pdf': 'too_large', 'bomb-runs.pdf': 'too_large',
  'merges.xlsx': 'too_large', 'spans.docx': 'too_large', 'nested.docx': 'too_large', 'nested.html': 'too_large', 'long-string.pdf': 'too_large',
  'bomb-lzw.pdf': 'too_large', 'bomb-many.pdf': 'too_large', 'long-page.pdf': 'too_large',
  'cut-guide.docx': 'damaged', 'cut-budget.xlsx': 'damaged', 'cut-deck.pptx': 'damaged', 'cut-book.epub': 'damaged',
}

let folder
const converted = {}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'matrice-files-'))
  execFileSync(VENV, [MAKE, folder, '--wrong'])
  writeFileSync(join(folder, 'latin.html'), Buffer.from('<meta charset="iso-8859-1"><title>Été</title><h2>\xe9t\xe9</h2><script>no()</script><p>a<br>b</p>', 'latin1'))
  writeFileSync(join(folder, 'table.html'), '<table><tr><th>a<th>b<tr><td rowspan=2>1<td>2<tr><td>3</table><pre>x\n  y</pre><ul><li>one<ul><li>two</ul></ul>')
  writeFileSync(join(folder, 'long.txt'), 'word '.repeat(13_500_000))
  writeFileSync(join(folder, 'large.txt'), 'text')
  truncateSync(join(folder, 'large.txt'), 100_000_001)
  Object.assign(converted, await convert(readdirSync(folder).filter((name) => name !== 'endless.pdf')))
})
after(() => folder && rmSync(folder, { recursive: true }))

async function convert(names, env) {
  const { stdout } = await runWorker(['convert', ...names.map((name) => join(folder, name))], env)
  return Object.fromEntries(stdout.trim().split('\n').map((line) => {
    const { file, ...result } = JSON.parse(line)
    return [file.slice(folder.length + 1), result]
  }))
}

const get = (name) => {
  assert.equal(converted[name]?.error, undefined)
  return converted[name]
}
/** The text of each span, by offsets that count characters as PostgreSQL does. */
function parts({ text, spans }) {
  const characters = [...text]
  return spans.map(({ start_char }, i) => characters.slice(start_char, spans[i + 1]?.start_char).join('').trim())
}

test('DOCX: headings and lists by style, tables whose parts repeat the header, merged cells filled', () => {
  const { text, format, title } = get('guide.docx')
  assert.equal(format, 'markdown')
  assert.equal(title, 'Benefits guide')
  assert.ok(text.startsWith('# Benefits guide\n\n# Leave\n\nEmployees have 25 days of leave – “each year” 🌴.\n\n## Parental leave\n\n- Ask early\n1. Sign the form\n\n'))
  assert.match(text, /Country 0\|both\|a \\\| b, with some more words\|\nCountry 1\|both\|/)
  const tables = text.split('\n\n').filter((block) => block.includes('|'))
  assert.ok(tables.length > 1 && tables.every((table) => table.startsWith('Country|Days|Notes|\n|-|-|-|\n') && table.length <= 1100))
  assert.equal(tables.join('\n').match(/^Country \d+\|/gm).length, 60)
})

test('XLSX: sheets as headings and spans, dates, exact numbers, merged cells', () => {
  const found = get('budget.xlsx')
  assert.deepEqual(found.spans.map(({ sheet }) => sheet), ['Budget', 'Zürich'])
  assert.deepEqual(parts(found), [
    '## Budget\n\nItem|Amount|Date|\n|-|-|-|\nItem 0|0|2026-01-31|\nItem 1|1.1|2026-02-01|\nItem 2|2.2|2026-02-02|\nItem 3|3.3|2026-02-03|\nItem 4|4.4|2026-02-04|',
    '## Zürich\n\nRegion|Amount|\n|-|-|\nNorth|1|\nNorth|2|\nNorth|TRUE|',
  ])
})

test('XLSX: a sheet of 10,000 rows keeps them all, with the header in each part', () => {
  const { text } = get('customers.xlsx')
  const expected = readFileSync(join(folder, 'customers.csv'), 'utf8').trim().split('\n').slice(1).map((line) => `${line.replaceAll(',', '|')}|`)
  const tables = text.split('\n\n').slice(1)
  assert.ok(tables.every((table) => table.startsWith('id|name|city|amount|paid|\n|-|-|-|-|-|\n') && table.length <= 1100))
  assert.deepEqual(tables.flatMap((table) => table.split('\n').slice(2)), expected)
})

test('PPTX: slides as headings and spans, nested points, tables, notes', () => {
  const found = get('deck.pptx')
  assert.deepEqual(found.spans.map(({ slide }) => slide), [1, 2, 3, 4, 5])
  assert.equal(parts(found)[2], '## Slide title 3 🌴\n\n- Point one\n  - Point below\n\nQuarter|Sales|\n|-|-|\nQ1|1200|\n\n> Say it slowly')
  assert.equal(parts(found)[4], '## Slide title 5 🌴\n\n- Point one\n  - Point below')
})

test('EPUB: its chapters in order, without the table of contents', () => {
  const { text, title } = get('book.epub')
  assert.equal(title, 'A small book')
  assert.equal(text, [1, 2, 3].map((i) => `# Chapter ${i}\n\nIt & she said <${i}>.\n\n1. one\n  - below`).join('\n\n'))
})

test('EPUB: a chapter whose name has a bare % is found', () => {
  assert.equal(get('percent.epub').text, 'All of it')
})

test('PDF: the text of each page, with a span for each that has text', () => {
  const found = get('pages.pdf')
  assert.equal(found.title, 'Numbered pages')
  assert.deepEqual(found.spans.map(({ page }) => page), [1, ...Array.from({ length: 298 }, (_, i) => i + 3)])
  parts(found).forEach((text, i) => {
    const { page } = found.spans[i]
    assert.equal(text, Array.from({ length: 30 }, (_, line) => `Page ${page} line ${line}: the quick brown fox jumps over the lazy dog.`).join('\n'))
  })
})

test('PDF: every filter of a content stream is read', () => {
  for (const name of ['deflated', 'referred', 'hex', 'ascii85', 'lzw', 'runs']) assert.equal(get(`${name}.pdf`).text, 'Hello you', name)
})

test('HTML: its own charset, no scripts, tables with spanning cells, code, nested lists', () => {
  assert.deepEqual([get('latin.html').text, get('latin.html').title], ['## été\n\na\nb', 'Été'])
  assert.equal(get('table.html').text, 'a|b|\n|-|-|\n1|2|\n1|3|\n\n```\nx\n  y\n```\n\n- one\n  - two')
})

test('CSV and text keep their text, and say how to cut it', () => {
  assert.equal(get('customers.csv').format, 'csv')
  assert.equal(get('customers.csv').text, readFileSync(join(folder, 'customers.csv'), 'utf8'))
})

for (const [name, code] of Object.entries(WRONG)) {
  test(`${name} is refused: ${code}`, () => {
    assert.equal(converted[name].error?.code, code, JSON.stringify(converted[name]).slice(0, 300))
    assert.match(converted[name].error.message, /\w{3}/)
  })
}

test('files that are hard to read plainly are read', () => {
  assert.equal(get('far.xlsx').text, '## S\n\n1||\n|-|-|\n||9|')
  assert.equal(get('format.xlsx').text, '## S\n\n1')
  assert.equal(get('entities.docx').text, '&j; text')
  assert.equal(get('fonts.epub').text, 'One\n\nTwo')
  assert.equal(get('spaces.html').text, `\`\`\`\na${' '.repeat(2_000_000)}b\n\`\`\``)
  assert.equal(get('ticks.html').text, `\`\`\`\n${'` x'.repeat(1_000_000)}\n\`\`\``)
  assert.equal(get('marks.pdf').text, '\u0327'.repeat(15) + '\u0301'.repeat(15))
})

test('a file that keeps a library busy for ever ends with its time, and the next one is read', async () => {
  const found = await convert(['endless.pdf', 'table.html'], { MATRICE_CONVERSION_SECONDS: '5' })
  assert.equal(found['endless.pdf'].error?.code, 'too_slow')
  assert.equal(found['table.html'].text, get('table.html').text)
})

test('a file with changed bytes is converted, or refused with a reason', () => {
  for (const [name, { error, text }] of Object.entries(converted)) {
    if (/^(changed|cut)-|^lying|^open/.test(name)) assert.ok(error?.code || text, `${name}: ${JSON.stringify(error)}`)
  }
})
