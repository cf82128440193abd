// Writes markdown block by block, and notes where in it pages, sheets and slides begin.

import { type Budget, ConversionError } from './limits.ts'

/** Where a page, a sheet or a slide begins. start_char counts characters as PostgreSQL does, not UTF-16 units. */
export interface Span {
  start_char: number
  page?: number
  sheet?: string
  slide?: number
}

// A long table is written as several tables with the same header, so that each chunk has the header. Such a table stays
// below the usual size of a chunk, 512 tokens, where rows are full of numbers. Without
// spaces and first bars, which cost tokens.
const TABLE_CHARACTERS = 1000
const LONGEST_REPEATED_HEADER = 300

export class Markdown {
  readonly spans: Span[] = []
  #parts: string[] = []
  #units = 0
  #characters = 0
  #pending: Omit<Span, 'start_char'> | undefined
  #inList = false

  constructor(readonly budget: Budget) {}

  text(): string {
    return this.#parts.join('')
  }

  /** What follows belongs to this page, sheet or slide. One without text gets no span. */
  begin(place: Omit<Span, 'start_char'>) {
    this.#pending = place
  }

  heading(level: number, text: string) {
    const line = oneLine(text)
    if (line) this.#block(`${'#'.repeat(Math.min(Math.max(level, 1), 6))} ${line}`)
  }

  paragraph(text: string) {
    const lines = text.split('\n').map((line) => escaped(clean(line).trim())).filter((line) => line)
    if (lines.length > 0) this.#block(lines.join('\n'))
  }

  item(depth: number, marker: string, text: string) {
    const line = oneLine(text)
    if (line) this.#block(`${'  '.repeat(Math.min(Math.max(depth, 0), 20))}${marker} ${line}`, this.#inList ? '\n' : '\n\n', true)
  }

  quote(text: string) {
    const lines = text.split('\n').map((line) => clean(line).trim()).filter((line) => line)
    if (lines.length > 0) this.#block(lines.map((line) => `> ${line}`).join('\n'))
  }

  code(text: string) {
    const content = clean(text).replace(/^\n+/, '').trimEnd()
    if (!content) return
    let longest = 2
    for (const [run] of content.matchAll(/`+/g)) longest = Math.max(longest, run.length)
    const fence = '`'.repeat(longest + 1)
    this.#block(`${fence}\n${content}\n${fence}`)
  }

  /** As it is, as one block. */
  raw(text: string) {
    if (text.trim()) this.#block(clean(text).trimEnd())
  }

  /** The first row is the header. */
  table(rows: string[][]) {
    const kept = rows.filter((row) => row.some((text) => text.trim()))
    const width = kept.reduce((most, row) => Math.max(most, row.length), 0)
    this.#requireRoom(kept, width)
    const filled = kept.map((row) => row.map(cell)).filter((row) => row.some((text) => text))
    if (filled.length === 0) return
    if (width === 1) {
      for (const [text] of filled) this.paragraph(text)
      return
    }
    const line = (row: string[]) => {
      const text = `${Array.from({ length: width }, (_, i) => row[i] ?? '').join('|')}|`
      // The first bar may be left out, unless the line could be something else without it.
      return /^[\p{L}\p{N}](?!\d*[.)] )/u.test(text) ? text : `|${text}`
    }
    const [header, ...body] = filled
    const head = `${line(header)}\n|${'-|'.repeat(width)}`
    const repeat = head.length <= LONGEST_REPEATED_HEADER
    let lines = [head]
    let size = head.length
    for (const row of body) {
      const text = line(row)
      if (repeat && lines.length > 1 && size + text.length > TABLE_CHARACTERS) {
        this.#block(lines.join('\n'))
        lines = [head]
        size = head.length
      }
      lines.push(text)
      size += text.length + 1
    }
    this.#block(lines.join('\n'))
  }

  /** The text of a table in a cell of another one. */
  flat(rows: string[][]): string {
    this.#requireRoom(rows, 1)
    return rows.map((row) => row.join(' ')).join(' ')
  }

  // A small file can make a large table: a cell that spans a thousand columns stands in each of them, and one row that is wide
  // makes all others wide. So the table is measured before it is written.
  #requireRoom(rows: string[][], width: number) {
    let size = rows.length * width
    for (const row of rows) for (const text of row) size += text.length
    // White space in cells may shrink.
    if (this.#units + size > 2 * this.budget.limits.characters) throw this.#tooLong()
    this.budget.left()
  }

  #tooLong(): ConversionError {
    return new ConversionError('too_large', `the file has more than ${this.budget.limits.characters} characters of text`, 'Split it.')
  }

  #block(text: string, separator = '\n\n', inList = false) {
    if (this.#parts.length > 0) this.#append(separator)
    if (this.#pending) {
      this.spans.push({ start_char: this.#characters, ...this.#pending })
      this.#pending = undefined
    }
    this.#append(text)
    this.#inList = inList
  }

  #append(text: string) {
    this.#units += text.length
    if (this.#units > this.budget.limits.characters) throw this.#tooLong()
    this.#characters += countCharacters(text)
    this.#parts.push(text)
  }
}

/** Characters as PostgreSQL counts them: code points. */
export function countCharacters(text: string): number {
  let count = text.length
  for (let i = 0; i < text.length - 1; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      count--
      i++
    }
  }
  return count
}

/** What PostgreSQL stores: no NUL, no half of a surrogate pair. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it removes
  return text.toWellFormed().replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g, '').replaceAll('\u00a0', ' ')
}

export function oneLine(text: string): string {
  return clean(text).replace(/\s+/g, ' ').trim()
}

function cell(text: string): string {
  return oneLine(text).replaceAll('|', '\\|')
}

// A line of a paragraph that markdown would take for something else.
function escaped(line: string): string {
  return /^(#{1,6}(\s|$)|```|~~~|(=+|-+)$)/.test(line) ? `\\${line}` : line
}
