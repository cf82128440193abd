// PowerPoint: the title of each slide as a heading, then its texts, tables and notes.

import type { Budget } from './limits.ts'
import type { Markdown } from './markdown.ts'
import { firstText, readXml, relationships, value } from './markup.ts'
import type { Archive } from './zip.ts'

const PRESENTATION = 'ppt/presentation.xml'

/** Writes all slides. Returns the title. */
export function readPptx(archive: Archive, markdown: Markdown, budget: Budget): string | undefined {
  const related = new Map(relationships(archive, PRESENTATION, budget).map(({ id, target }) => [id, target]))
  const slides: string[] = []
  readXml(archive.required(PRESENTATION), budget, {
    open(tag, attributes) {
      const target = tag === 'sldId' ? related.get(attributes['r:id'] ?? '') : undefined
      if (target) slides.push(target)
    },
  })
  slides.forEach((part, index) => {
    markdown.begin({ slide: index + 1 })
    readSlide(archive.text(part) ?? '', markdown, budget)
    const notes = relationships(archive, part, budget).find(({ type }) => type === 'notesSlide')
    if (notes) writeNotes(archive.text(notes.target) ?? '', markdown, budget)
  })
  return firstText(archive.text('docProps/core.xml'), 'title', budget)
}

interface Shape { placeholder?: string; paragraphs: { text: string; level: number }[] }

// Calls back for each shape that has text, and for each table.
function readShapes(source: string, budget: Budget, write: (shape: Shape) => void, writeTable: (rows: string[][]) => void) {
  let shape: Shape | undefined
  let rows: string[][] | undefined
  let [text, level, inText] = ['', 0, false]
  readXml(source, budget, {
    open(tag, attributes) {
      if (tag === 'sp') shape = { paragraphs: [] }
      else if (tag === 'ph' && shape) shape.placeholder = attributes.type ?? 'body'
      else if (tag === 'tbl') rows = []
      else if (tag === 'tr') rows?.push([])
      else if (tag === 'tc') rows?.at(-1)?.push('')
      else if (tag === 'p') [text, level] = ['', 0]
      else if (tag === 'pPr') level = Number(value(attributes, 'lvl')) || 0
      else if (tag === 'br') text += '\n'
      else if (tag === 't') inText = true
    },
    text: (piece) => { if (inText) text += piece },
    close(tag) {
      if (tag === 't') inText = false
      else if (tag === 'p') {
        const row = rows?.at(-1)
        if (row?.length) row[row.length - 1] += ` ${text}`
        else shape?.paragraphs.push({ text, level })
      } else if (tag === 'tbl' && rows) {
        writeTable(rows)
        rows = undefined
      } else if (tag === 'sp' && shape) {
        write(shape)
        shape = undefined
      }
    },
  })
}

function readSlide(source: string, markdown: Markdown, budget: Budget) {
  readShapes(source, budget, ({ placeholder, paragraphs }) => {
    if (placeholder === 'title' || placeholder === 'ctrTitle') return markdown.heading(2, paragraphs.map(({ text }) => text).join(' '))
    // The date, the footer and the number of the slide are on each of them.
    if (placeholder && ['dt', 'ftr', 'sldNum'].includes(placeholder)) return
    for (const { text, level } of paragraphs) {
      if (placeholder === 'body') markdown.item(level, '-', text)
      else markdown.paragraph(text)
    }
  }, (rows) => markdown.table(rows))
}

function writeNotes(source: string, markdown: Markdown, budget: Budget) {
  readShapes(source, budget, ({ placeholder, paragraphs }) => {
    if (placeholder === 'body') markdown.quote(paragraphs.map(({ text }) => text).join('\n'))
  }, () => {})
}
