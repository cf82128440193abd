// PDF: the text layer of each page, by pdf.js. It has no headings and no tables, but pages.

import { getDocumentProxy } from 'unpdf'
import type { Converted } from './convert.ts'
import { type Budget, ConversionError } from './limits.ts'
import { clean, Markdown } from './markdown.ts'
import { largestStream } from './pdf-streams.ts'

// pdf.js waits between its steps: several pages at once fill these times.
const AT_ONCE = 8
/** After so many pages, pdf.js is told to forget their fonts. */
const KEPT = 300
/** No letter has more than 30 marks (UAX #15). To put millions of them in order would take hours. */
const MARKS = /(\p{M}{30})\p{M}+/gu

// Of a damaged file, pdf.js rejects promises that nobody waits for, which would end the process. The damage itself is thrown.
let reading = 0
addEventListener('unhandledrejection', (event) => { if (reading > 0) event.preventDefault() })

type Document = Awaited<ReturnType<typeof getDocumentProxy>>

/** Reads all pages, or from the first of `part` on as long as its seconds last. */
export async function readPdf(bytes: Uint8Array, budget: Budget, part?: { first: number; seconds: number }): Promise<Converted> {
  reading++
  try {
    return await readPages(bytes, budget, part)
  } finally {
    // What pdf.js began may still fail.
    setTimeout(() => reading--, 1000)
  }
}

async function readPages(bytes: Uint8Array, budget: Budget, part?: { first: number; seconds: number }): Promise<Converted> {
  const stops = performance.now() + (part ? part.seconds * 1000 : Infinity)
  // Pages that are read at once are inflated at once.
  const atOnce = Math.min(AT_ONCE, Math.max(Math.floor(budget.limits.inflatedBytes / await largestStream(bytes, budget)), 1))
  const document = await within(budget, open(bytes))
  let isRead = false
  try {
    const { numPages } = document
    if (numPages > budget.limits.pages) {
      throw new ConversionError('too_large', `the PDF has ${numPages} pages, more than ${budget.limits.pages}`, 'Split it.')
    }
    const markdown = new Markdown(budget)
    let page = part?.first ?? 1
    let cleaned = page
    while (page <= numPages) {
      const numbers = Array.from({ length: Math.min(atOnce, numPages - page + 1) }, (_, i) => page + i)
      const texts = await within(budget, Promise.all(numbers.map((number) => textOf(document, number, budget))))
      for (const text of texts) {
        markdown.begin({ page: page++ })
        markdown.raw(text)
      }
      if (page - cleaned > KEPT) {
        await document.cleanup()
        cleaned = page
      }
      if (performance.now() > stops) break
    }
    const title = await titleOf(document)
    isRead = true
    return {
      text: markdown.text(), format: 'text', spans: markdown.spans, ...title && { title }, warnings: [],
      ...page <= numPages && { next_page: page },
    }
  } finally {
    // With pages that are read to their half, pdf.js never ends this.
    const end = document.loadingTask.destroy()
    if (isRead) await end
    else end.catch(() => {})
  }
}

async function open(bytes: Uint8Array): Promise<Document> {
  try {
    // pdf.js takes the array away from its owner.
    return await getDocumentProxy(bytes.slice(), { verbosity: 0, disableFontFace: true, useSystemFonts: false })
  } catch (error) {
    const { name, message } = error as Error
    if (name === 'PasswordException') throw new ConversionError('encrypted', 'the PDF is encrypted', 'Save it without a password.')
    throw new ConversionError('damaged', `the PDF is damaged: ${message}`)
  }
}

async function textOf(document: Document, number: number, budget: Budget): Promise<string> {
  try {
    const page = await document.getPage(number)
    const reader = page.streamTextContent().getReader()
    let text = ''
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      for (const item of piece.value.items) if ('str' in item) text += item.str + (item.hasEOL ? '\n' : '')
      if (text.length > budget.limits.characters) {
        throw new ConversionError('too_large', `page ${number} of the PDF has more than ${budget.limits.characters} characters`)
      }
      budget.left()
    }
    page.cleanup()
    return clean(text).replaceAll('\uf0b7', '•').replace(MARKS, '$1').normalize('NFC')
  } catch (error) {
    if (error instanceof ConversionError) throw error
    throw new ConversionError('damaged', `page ${number} of the PDF is damaged: ${(error as Error).message}`)
  }
}

async function titleOf(document: Document): Promise<string | undefined> {
  const { info } = await document.getMetadata().catch(() => ({ info: {} }))
  const { Title } = info as { Title?: unknown }
  return typeof Title === 'string' && clean(Title).trim() ? clean(Title).trim().slice(0, 300) : undefined
}

// pdf.js gives way now and then, so a timer can end its work.
async function within<T>(budget: Budget, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      try { budget.left() } catch (error) { reject(error) }
    }, budget.left() + 1)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
