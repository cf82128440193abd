// Excel: a heading and a table for each sheet. Formulas have the value that was saved with them.

import { type Budget, requireCells } from './limits.ts'
import type { Markdown } from './markdown.ts'
import { firstText, readXml, relationships, value } from './markup.ts'
import type { Archive } from './zip.ts'

type Row = Map<number, string>
interface Book { strings: string[]; dates: boolean[]; from1904: boolean }

const WORKBOOK = 'xl/workbook.xml'
const COLUMNS = 16_384
/** As in Excel. */
const LONGEST_FORMAT = 255

/** Writes all sheets. Returns the title. */
export function readXlsx(archive: Archive, markdown: Markdown, budget: Budget): string | undefined {
  const { sheets, from1904 } = readWorkbook(archive.required(WORKBOOK), budget)
  const related = relationships(archive, WORKBOOK, budget)
  const targets = new Map(related.map(({ id, target }) => [id, target]))
  const part = (type: string) => archive.text(related.find((other) => other.type === type)?.target ?? '') ?? ''
  const book = { strings: readStrings(part('sharedStrings'), budget), dates: readDates(part('styles'), budget), from1904 }
  for (const { name, id } of sheets) {
    const source = archive.text(targets.get(id) ?? '')
    const rows = source === undefined ? [] : readSheet(source, book, budget)
    if (rows.length === 0) continue
    markdown.begin({ sheet: name })
    markdown.heading(2, name)
    markdown.table(rows)
  }
  return firstText(archive.text('docProps/core.xml'), 'title', budget)
}

function readWorkbook(source: string, budget: Budget) {
  const sheets: { name: string; id: string }[] = []
  let from1904 = false
  readXml(source, budget, {
    open(tag, attributes) {
      if (tag === 'sheet') sheets.push({ name: (attributes.name ?? '').slice(0, 200), id: value(attributes, 'id') ?? '' })
      else if (tag === 'workbookPr') from1904 = attributes.date1904 === '1' || attributes.date1904 === 'true'
    },
  })
  return { sheets, from1904 }
}

function readStrings(source: string, budget: Budget): string[] {
  const strings: string[] = []
  let [text, inText, phonetic] = ['', false, false]
  readXml(source, budget, {
    open(tag) {
      if (tag === 'si') text = ''
      else if (tag === 't') inText = !phonetic
      else if (tag === 'rPh') phonetic = true
    },
    text: (piece) => { if (inText) text += piece },
    close(tag) {
      if (tag === 'si') strings.push(text)
      else if (tag === 't') inText = false
      else if (tag === 'rPh') phonetic = false
    },
  })
  return strings
}

// Which formats of cells are dates: a cell has a number, and only its format says that it is a date.
function readDates(source: string, budget: Budget): boolean[] {
  const own = new Map<number, boolean>()
  const dates: boolean[] = []
  let inCells = false
  readXml(source, budget, {
    open(tag, attributes) {
      if (tag === 'numFmt') {
        const format = (attributes.formatCode ?? '').slice(0, LONGEST_FORMAT).replace(/"[^"]*"|\\.|\[(?!h|m|s)[^\]]*\]/gi, '')
        own.set(Number(attributes.numFmtId), /[dmyhs]/i.test(format))
      } else if (tag === 'cellXfs') inCells = true
      else if (tag === 'xf' && inCells) {
        const id = Number(attributes.numFmtId)
        dates.push(own.get(id) ?? ((id >= 14 && id <= 22) || (id >= 27 && id <= 36) || (id >= 45 && id <= 58)))
      }
    },
    close: (tag) => { if (tag === 'cellXfs') inCells = false },
  })
  return dates
}

function readSheet(source: string, book: Book, budget: Budget): string[][] {
  const rows = new Map<number, Row>()
  const merged: string[] = []
  let [row, column, type, style, content, inValue, at] = [0, 0, '', 0, '', false, 0]
  let cells = 0
  readXml(source, budget, {
    open(tag, attributes) {
      if (tag === 'row') {
        at = Number(attributes.r) || at + 1
        row = at
        column = -1
      } else if (tag === 'c') {
        column = attributes.r ? columnOf(attributes.r) : column + 1
        ;[type, style, content] = [attributes.t ?? 'n', Number(attributes.s ?? 0), '']
      } else if (tag === 'v' || tag === 't') inValue = true
      else if (tag === 'mergeCell' && attributes.ref) merged.push(attributes.ref)
    },
    text: (text) => { if (inValue) content += text },
    close(tag) {
      if (tag === 'v' || tag === 't') inValue = false
      if (tag !== 'c' || content === '' || column < 0 || column >= COLUMNS) return
      requireCells(++cells, 'sheet')
      if (!rows.has(row)) rows.set(row, new Map())
      rows.get(row)!.set(column, shown(content, type, book.dates[style] ?? false, book))
    },
  })
  fillMerged(rows, merged)
  return asTable(rows)
}

function columnOf(reference: string): number {
  let number = 0
  for (const letter of reference.toUpperCase()) {
    const digit = letter.charCodeAt(0) - 64
    if (digit < 1 || digit > 26) break
    number = number * 26 + digit
  }
  return number - 1
}

function shown(content: string, type: string, isDate: boolean, book: Book): string {
  if (type === 's') return book.strings[Number(content)] ?? ''
  if (type === 'b') return content === '1' ? 'TRUE' : 'FALSE'
  if (type !== 'n') return content
  const number = Number(content)
  if (!Number.isFinite(number)) return content
  if (isDate) return dateOf(number, book.from1904) ?? content
  // Without the digits that a double cannot hold: 0.1, not 0.10000000000000001.
  return String(Number(number.toPrecision(15)))
}

function dateOf(days: number, from1904: boolean): string | undefined {
  if (days < 0 || days > 2_958_466) return undefined
  const serial = from1904 ? days + 1462 : days
  if (serial < 1) return new Date(Math.round(serial * 86400) * 1000).toISOString().slice(11, 19)
  // Excel believes that 1900 was a leap year.
  const since1970 = serial - (serial < 60 ? 25568 : 25569)
  const text = new Date(Math.round(since1970 * 86400) * 1000).toISOString()
  return text.slice(11, 19) === '00:00:00' ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 19)}`
}

// A merged cell stands in each row and column that it covers, where the sheet has rows.
function fillMerged(rows: Map<number, Row>, references: string[]) {
  let filled = 0
  for (const reference of references) {
    const [from, to] = reference.split(':')
    if (!to) continue
    const [first, last] = [from, to].map((corner) => ({ row: Number(/\d+$/.exec(corner)?.[0]), column: columnOf(corner) }))
    const text = rows.get(first.row)?.get(first.column)
    if (!text || !(last.row - first.row <= 100_000)) continue
    for (let row = first.row; row <= last.row; row++) {
      requireCells(++filled, 'sheet')
      const cells = rows.get(row)
      for (let column = first.column; cells && column <= Math.min(last.column, COLUMNS); column++) {
        requireCells(++filled, 'sheet')
        if (!cells.has(column)) cells.set(column, text)
      }
    }
  }
}

// Without the columns that are empty everywhere.
function asTable(rows: Map<number, Row>): string[][] {
  const used = [...new Set([...rows.values()].flatMap((row) => [...row.keys()]))].sort((a, b) => a - b)
  requireCells(used.length * rows.size, 'sheet')
  return [...rows.keys()].sort((a, b) => a - b).map((number) => used.map((column) => rows.get(number)!.get(column) ?? ''))
}
