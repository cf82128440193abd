// Word: headings and lists by their styles, tables, footnotes. Deleted text of tracked changes is left out.

import { type Budget, requireCells } from './limits.ts'
import type { Markdown } from './markdown.ts'
import { firstText, readXml, relationships, value } from './markup.ts'
import type { Archive } from './zip.ts'

interface Style { heading?: number; list?: string; level?: number; base?: string }
interface Paragraph { text: string; style?: string; heading?: number; list?: string; level?: number }
interface Cell { text: string; width: number; continues: boolean }
interface Table { rows: Cell[][]; cells: number }

const DOCUMENT = 'word/document.xml'
const LARGEST_SPAN = 64

/** Writes a document. Returns its title. */
export function readDocx(archive: Archive, markdown: Markdown, budget: Budget): string | undefined {
  const source = archive.required(DOCUMENT)
  const styles = readStyles(archive.text('word/styles.xml') ?? '', budget)
  const ordered = readNumbering(archive.text('word/numbering.xml') ?? '', budget)
  readBody(source, budget, markdown, (paragraph) => writeParagraph(markdown, paragraph, styles, ordered))
  const notes = relationships(archive, DOCUMENT, budget).filter(({ type }) => type === 'footnotes' || type === 'endnotes')
  for (const part of new Set(notes.map(({ target }) => target))) {
    readNotes(archive.text(part) ?? '', budget, (id, text) => markdown.paragraph(`[^${id}]: ${text}`))
  }
  return firstText(archive.text('docProps/core.xml'), 'title', budget)
}

function readBody(source: string, budget: Budget, markdown: Markdown, write: (paragraph: Paragraph) => void) {
  const paragraphs: Paragraph[] = []
  const tables: Table[] = []
  let inText = false
  let inProperties = 0
  let skipped = 0
  const add = (text: string) => { if (paragraphs.length > 0) paragraphs.at(-1)!.text += text }
  readXml(source, budget, {
    open(name, attributes) {
      // A drawing stands there twice: once for programs that do not know it.
      if (name === 'Fallback' || name === 'del' || name === 'moveFrom') skipped++
      if (skipped > 0) return
      const paragraph = paragraphs.at(-1)
      const cells = tables.at(-1)?.rows.at(-1)
      if (name === 'p') paragraphs.push({ text: '' })
      else if (name === 'pPr') inProperties++
      else if (name === 't') inText = true
      else if (name === 'tab' && inProperties === 0) add('\t')
      else if (name === 'br' || name === 'cr') add('\n')
      else if (name === 'noBreakHyphen') add('-')
      else if (name === 'footnoteReference' || name === 'endnoteReference') add(`[^${value(attributes, 'id')}]`)
      else if (name === 'tbl') tables.push({ rows: [], cells: 0 })
      else if (name === 'tr') tables.at(-1)?.rows.push([])
      else if (name === 'tc' && cells) {
        cells.push({ text: '', width: 1, continues: false })
        count(tables.at(-1)!, 1)
      } else if (name === 'gridSpan' && cells?.length) {
        cells.at(-1)!.width = Math.min(Number(value(attributes, 'val')) || 1, LARGEST_SPAN)
        count(tables.at(-1)!, cells.at(-1)!.width)
      }
      else if (name === 'vMerge' && cells?.length) cells.at(-1)!.continues = value(attributes, 'val') !== 'restart'
      else if (paragraph && inProperties > 0) readProperty(paragraph, name, value(attributes, 'val'))
    },
    text: (text) => { if (inText && skipped === 0) add(text) },
    close(name) {
      if (skipped > 0) {
        if (name === 'Fallback' || name === 'del' || name === 'moveFrom') skipped--
        return
      }
      if (name === 't') inText = false
      else if (name === 'pPr') inProperties--
      else if (name === 'p') {
        const paragraph = paragraphs.pop()
        const cell = tables.at(-1)?.rows.at(-1)?.at(-1)
        if (paragraph && cell) cell.text += `${cell.text && paragraph.text ? ' ' : ''}${paragraph.text}`
        else if (paragraph) write(paragraph)
      } else if (name === 'tbl') {
        const rows = filledRows(tables.pop()?.rows ?? [])
        const cell = tables.at(-1)?.rows.at(-1)?.at(-1)
        if (cell) cell.text += ` ${markdown.flat(rows)}`
        else markdown.table(rows)
      }
    },
  })
}

function readProperty(paragraph: Paragraph, name: string, value?: string) {
  if (name === 'pStyle') paragraph.style = value
  else if (name === 'outlineLvl') paragraph.heading = headingOfOutline(value)
  else if (name === 'ilvl') paragraph.level = Number(value) || 0
  else if (name === 'numId') paragraph.list = value
}

function headingOfOutline(value?: string): number | undefined {
  const level = Number(value)
  return level >= 0 && level < 9 ? level + 1 : undefined
}

function count(table: Table, cells: number) {
  table.cells += cells
  requireCells(table.cells, 'table')
}

// Merged cells stand in each row and column that they cover.
function filledRows(rows: Cell[][]): string[][] {
  let above: string[] = []
  return rows.map((cells) => {
    const row: string[] = []
    for (const cell of cells) {
      const text = cell.continues ? above[row.length] ?? '' : cell.text
      for (let i = 0; i < cell.width; i++) row.push(text)
    }
    above = row
    return row
  })
}

function writeParagraph(markdown: Markdown, paragraph: Paragraph, styles: Map<string, Style>, ordered: Map<string, boolean>) {
  const style = resolved(paragraph.style, styles)
  const heading = paragraph.heading ?? style.heading
  const list = paragraph.list ?? style.list
  const level = paragraph.level ?? style.level ?? 0
  if (heading) markdown.heading(heading, paragraph.text)
  else if (list && list !== '0') markdown.item(level, ordered.get(`${list} ${level}`) ? '1.' : '-', paragraph.text)
  else markdown.paragraph(paragraph.text)
}

// A style has what its base has, unless it says otherwise.
function resolved(id: string | undefined, styles: Map<string, Style>): Style {
  const found: Style = {}
  for (let depth = 0; id && depth < 20; depth++) {
    const style: Style | undefined = styles.get(id)
    found.heading ??= style?.heading
    found.list ??= style?.list
    found.level ??= style?.level
    id = style?.base
  }
  return found
}

function readStyles(source: string, budget: Budget): Map<string, Style> {
  const styles = new Map<string, Style>()
  let style: Style = {}
  readXml(source, budget, {
    open(name, attributes) {
      const given = value(attributes, 'val')
      if (name === 'style') {
        style = {}
        styles.set(value(attributes, 'styleId') ?? '', style)
      } else if (name === 'name') {
        // Word keeps these names in every language.
        const heading = /^heading ([1-9])$/i.exec(given ?? '')
        if (heading) style.heading = Number(heading[1])
        else if (/^title$/i.test(given ?? '')) style.heading = 1
      } else if (name === 'basedOn') style.base = given
      else if (name === 'outlineLvl') style.heading ??= headingOfOutline(given)
      else if (name === 'numId') style.list = given
      else if (name === 'ilvl') style.level = Number(given) || 0
    },
  })
  return styles
}

// Which levels of which lists are numbered: 'list level' → true.
function readNumbering(source: string, budget: Budget): Map<string, boolean> {
  const kinds = new Map<string, boolean>()
  const ordered = new Map<string, boolean>()
  let [kind, level, list] = ['', '', '']
  readXml(source, budget, {
    open(name, attributes) {
      const given = value(attributes, 'val') ?? ''
      if (name === 'abstractNum') kind = value(attributes, 'abstractNumId') ?? ''
      else if (name === 'lvl') level = value(attributes, 'ilvl') ?? ''
      else if (name === 'numFmt') kinds.set(`${kind} ${level}`, given !== 'bullet' && given !== 'none')
      else if (name === 'num') list = value(attributes, 'numId') ?? ''
      else if (name === 'abstractNumId') {
        for (let i = 0; i < 9; i++) ordered.set(`${list} ${i}`, kinds.get(`${given} ${i}`) ?? false)
      }
    },
  })
  return ordered
}

function readNotes(source: string, budget: Budget, write: (id: string, text: string) => void) {
  let [id, text, inText] = ['', '', false]
  readXml(source, budget, {
    open(name, attributes) {
      if (name === 'footnote' || name === 'endnote') [id, text] = [value(attributes, 'id') ?? '', '']
      else if (name === 't') inText = true
    },
    text: (piece) => { if (inText) text += piece },
    close(name) {
      if (name === 't') inText = false
      else if (name === 'p') text += ' '
      else if ((name === 'footnote' || name === 'endnote') && text.trim()) write(id, text.trim().replace(/\s+/g, ' '))
    },
  })
}
