// HTML to markdown: headings, paragraphs, lists, tables, code. Links keep their text, not their address.

import { type Budget, requireCells } from './limits.ts'
import { type Markdown, oneLine } from './markdown.ts'
import { readTags } from './markup.ts'

const HIDDEN = new Set(['script', 'style', 'noscript', 'template', 'svg', 'math', 'iframe', 'object', 'nav', 'select', 'button'])
const BREAKING = new Set(['address', 'article', 'aside', 'body', 'center', 'dd', 'details', 'div', 'dl', 'dt', 'fieldset', 'figcaption',
  'figure', 'footer', 'form', 'header', 'hr', 'html', 'legend', 'main', 'p', 'section', 'summary', 'caption'])
const LARGEST_SPAN = 1000

interface Table { rows: string[][]; cells: number; row: string[]; cell?: string; width: number; filled: Map<number, { text: string; rows: number }> }

/** Writes a page. Returns its title. */
export function readHtml(source: string, markdown: Markdown, budget: Budget): string | undefined {
  const page = new Page(markdown)
  readTags(source, budget, page)
  page.end()
  return oneLine(page.title).slice(0, 300) || undefined
}

class Page {
  title = ''
  readonly #markdown: Markdown
  #text = ''
  #hidden = 0
  #inTitle = false
  #pre = 0
  #quote = 0
  #heading = 0
  readonly #lists: { ordered: boolean; number: number }[] = []
  #item = false
  readonly #tables: Table[] = []

  constructor(markdown: Markdown) {
    this.#markdown = markdown
  }

  open(name: string, attributes: Record<string, string>) {
    if (this.#hidden > 0 || isHidden(name, attributes)) {
      this.#hidden++
      return
    }
    const table = this.#tables.at(-1)
    if (name === 'title') this.#inTitle = this.title === ''
    else if (name === 'br') this.#text += '\n'
    else if (name === 'table') {
      if (!table) this.#flush()
      this.#tables.push({ rows: [], cells: 0, row: [], width: 0, filled: new Map() })
    } else if (table) this.#openInTable(table, name, attributes)
    else if (/^h[1-6]$/.test(name)) {
      this.#flush()
      this.#heading = Number(name[1])
    } else if (name === 'pre') {
      this.#flush()
      this.#pre++
    } else if (name === 'blockquote') {
      this.#flush()
      this.#quote++
    } else if (name === 'ul' || name === 'ol') {
      this.#flush()
      this.#lists.push({ ordered: name === 'ol', number: 0 })
    } else if (name === 'li') {
      this.#flush()
      this.#item = true
      const list = this.#lists.at(-1)
      if (list) list.number++
    } else if (BREAKING.has(name)) this.#flush()
  }

  text(text: string) {
    if (this.#inTitle) this.title += text
    else if (this.#hidden === 0) this.#add(text)
  }

  close(name: string) {
    if (this.#hidden > 0) {
      this.#hidden--
      return
    }
    const table = this.#tables.at(-1)
    if (name === 'title') this.#inTitle = false
    else if (table) this.#closeInTable(table, name)
    else if (/^h[1-6]$/.test(name) || name === 'li' || BREAKING.has(name)) this.#flush()
    else if (name === 'pre' && this.#pre > 0) {
      this.#flush()
      this.#pre--
    } else if (name === 'blockquote' && this.#quote > 0) {
      this.#flush()
      this.#quote--
    } else if (name === 'ul' || name === 'ol') {
      this.#flush()
      this.#lists.pop()
    }
  }

  end() {
    while (this.#tables.length > 0) this.#closeInTable(this.#tables.at(-1)!, 'table')
    this.#flush()
  }

  #add(text: string) {
    const table = this.#tables.at(-1)
    // Between the cells of a table there is only white space, or text in the wrong place.
    if (table && table.cell === undefined) {
      if (text.trim()) this.#text += text
    } else if (table) table.cell += text
    else this.#text += this.#pre > 0 ? text : text.replace(/\s+/g, ' ')
  }

  #flush() {
    const text = this.#text
    this.#text = ''
    if (text.trim() === '') return
    if (this.#heading > 0) {
      this.#markdown.heading(this.#heading, text)
      this.#heading = 0
    } else if (this.#pre > 0) this.#markdown.code(text)
    else if (this.#lists.length > 0) this.#writeItem(text)
    else if (this.#quote > 0) this.#markdown.quote(text)
    else this.#markdown.paragraph(text)
  }

  #writeItem(text: string) {
    const list = this.#lists.at(-1)!
    const depth = this.#lists.length - 1
    if (this.#item) this.#markdown.item(depth, list.ordered ? `${list.number}.` : '-', text)
    // A second paragraph of the same item.
    else this.#markdown.paragraph(text)
    this.#item = false
  }

  #openInTable(table: Table, name: string, attributes: Record<string, string>) {
    if (name === 'tr') endRow(table)
    else if (name === 'td' || name === 'th') {
      endCell(table)
      table.cell = ''
      fillFromAbove(table)
      const [columns, rows] = [span(attributes.colspan), span(attributes.rowspan)]
      table.width = columns
      if (rows > 1) for (let i = 0; i < columns; i++) table.filled.set(table.row.length + i, { text: '', rows })
    } else if (table.cell !== undefined && (BREAKING.has(name) || name === 'li')) table.cell += ' '
  }

  #closeInTable(table: Table, name: string) {
    if (name === 'td' || name === 'th') endCell(table)
    else if (name === 'tr') endRow(table)
    else if (name === 'table') {
      endRow(table)
      this.#tables.pop()
      const outer = this.#tables.at(-1)
      if (!outer) {
        this.#flush()
        this.#markdown.table(table.rows)
      } else if (outer.cell !== undefined) outer.cell += ` ${this.#markdown.flat(table.rows)}`
    } else if (table.cell !== undefined && (BREAKING.has(name) || name === 'li')) table.cell += ' '
  }
}

// Not shown, or the same on each page. Sphinx adds a link to each heading.
function isHidden(name: string, { role, hidden, class: classes = '' }: Record<string, string>): boolean {
  return HIDDEN.has(name) || role === 'navigation' || hidden !== undefined || /(^| )(headerlink|navheader|navfooter)( |$)/.test(classes)
}

function span(text: string | undefined): number {
  const number = Number.parseInt(text ?? '1', 10)
  return number >= 1 ? Math.min(number, LARGEST_SPAN) : 1
}

// A cell that spans rows or columns stands in each of them.
function endCell(table: Table) {
  if (table.cell === undefined) return
  for (let i = 0; i < table.width; i++) {
    const below = table.filled.get(table.row.length)
    if (below && below.text === '') below.text = table.cell
    table.row.push(table.cell)
  }
  table.cell = undefined
  if (table.row.length > LARGEST_SPAN) table.row.length = LARGEST_SPAN
}

function fillFromAbove(table: Table) {
  for (let above = table.filled.get(table.row.length); above?.text; above = table.filled.get(table.row.length)) {
    table.row.push(above.text)
  }
}

function endRow(table: Table) {
  endCell(table)
  if (table.row.length === 0) return
  fillFromAbove(table)
  // Cells that span rows and columns multiply.
  table.cells += table.row.length
  requireCells(table.cells, 'table')
  table.rows.push(table.row)
  table.row = []
  for (const [column, below] of table.filled) if (--below.rows <= 0) table.filled.delete(column)
}
