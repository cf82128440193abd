// A file becomes text: markdown where the file has headings and tables. Pages, sheets and slides become spans, which say
// where in the text each of them begins.

import { Buffer } from 'node:buffer'
import { readDocx } from './docx.ts'
import { readEpub } from './epub.ts'
import { readHtml } from './html.ts'
import { Budget, ConversionError, LIMITS, type Limits } from './limits.ts'
import { Markdown, type Span } from './markdown.ts'
import { readPdf } from './pdf.ts'
import { readPptx } from './pptx.ts'
import { decode, formatOfName } from './text.ts'
import { readXlsx } from './xlsx.ts'
import { Archive } from './zip.ts'

export { ConversionError, LIMITS, type Limits } from './limits.ts'
export type { Span } from './markdown.ts'

export interface Converted {
  text: string
  /** The format to cut the text by, as ingest_source takes it. */
  format: string
  spans: Span[]
  title?: string
  warnings: string[]
  /** The page to go on with, where `pages` asked for a part of a PDF and time was short. */
  next_page?: number
}

export interface Options {
  limits?: Partial<Limits>
  /** Of a PDF: the first page to read, and for how long to go on. The part may be without text. */
  pages?: { first: number; seconds: number }
}

/** In UTF-8, as sync_source takes it. What is converted is shorter by the limit of characters. */
const LONGEST_TEXT = 67_108_864

type Kind = 'pdf' | 'docx' | 'xlsx' | 'pptx' | 'epub' | 'html' | 'text'

/** Converts a file. Throws a ConversionError, which says what is wrong with the file. */
export async function convert(bytes: Uint8Array, name: string, contentType = '', options: Options = {}): Promise<Converted> {
  const limits = { ...LIMITS, ...options.limits }
  if (bytes.length === 0) throw new ConversionError('empty', 'the file is empty')
  if (bytes.length > limits.bytes) {
    throw new ConversionError('too_large', `the file has ${bytes.length} bytes, more than ${limits.bytes}`, 'Split it.')
  }
  const budget = new Budget(limits)
  const archive = isZip(bytes) ? new Archive(bytes, budget) : undefined
  const kind = kindOf(bytes, name, contentType, archive)
  const converted = kind === 'pdf' ? await readPdf(bytes, budget, options.pages)
    : bounded(() => read(kind, bytes, name, contentType, archive, budget))
  // A part of a PDF may be without text where the whole is not.
  if (converted.text.trim() === '' && !(kind === 'pdf' && options.pages)) {
    throw kind === 'pdf' ? noTextLayer() : new ConversionError('no_text', 'the file has no text')
  }
  return converted
}

// A string, a list or a stack that would be larger than JavaScript allows.
function bounded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof RangeError) throw new ConversionError('too_large', `the file takes more memory than there may be: ${error.message}`, 'Split it.')
    throw error
  }
}

function read(kind: Kind, bytes: Uint8Array, name: string, contentType: string, archive: Archive | undefined, budget: Budget): Converted {
  if (kind === 'text') {
    const { text, warnings } = decode(bytes, contentType)
    if (Buffer.byteLength(text) > LONGEST_TEXT) throw new ConversionError('too_large', `the text has more than ${LONGEST_TEXT} bytes`, 'Split it.')
    return { text, format: formatOfName(name, contentType), spans: [], warnings }
  }
  const markdown = new Markdown(budget)
  let title: string | undefined
  const warnings: string[] = []
  if (kind === 'html') {
    const decoded = decode(bytes, contentType, true)
    warnings.push(...decoded.warnings)
    title = readHtml(decoded.text, markdown, budget)
  } else {
    const readers = { docx: readDocx, xlsx: readXlsx, pptx: readPptx, epub: readEpub }
    title = readers[kind as keyof typeof readers](archive!, markdown, budget)
  }
  return { text: markdown.text(), format: 'markdown', spans: markdown.spans, ...title && { title }, warnings }
}

function kindOf(bytes: Uint8Array, name: string, contentType: string, archive?: Archive): Kind {
  if (startsWith(bytes, '%PDF-', 1024)) return 'pdf'
  if (archive) {
    if (archive.has('word/document.xml')) return 'docx'
    if (archive.has('xl/workbook.xml')) return 'xlsx'
    if (archive.has('ppt/presentation.xml')) return 'pptx'
    if (archive.has('META-INF/container.xml')) return 'epub'
    throw unknown('it is a zip archive, but no DOCX, XLSX, PPTX or EPUB')
  }
  // The container of old binary Office files, and of encrypted new ones.
  if (bytes[0] === 0xd0 && bytes[1] === 0xcf && bytes[2] === 0x11 && bytes[3] === 0xe0) {
    if (/\.(docx|xlsx|pptx)$/i.test(name)) throw new ConversionError('encrypted', 'the file is encrypted', 'Save it without a password.')
    throw unknown('it is an old binary Office file')
  }
  const claimed = /\.(pdf|docx|xlsx|pptx|epub)$/i.exec(name)
  if (claimed) throw new ConversionError('damaged', `the file is no ${claimed[1].toUpperCase()}, whatever its name says`)
  if (/\.x?html?$/i.test(name) || /^(text\/html|application\/xhtml)/i.test(contentType) || startsWith(bytes, '<!doctype html', 1024)) return 'html'
  return 'text'
}

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5)
}

function startsWith(bytes: Uint8Array, mark: string, within: number): boolean {
  return new TextDecoder('latin1').decode(bytes.subarray(0, within)).toLowerCase().includes(mark.toLowerCase())
}

function unknown(what: string): ConversionError {
  return new ConversionError('unknown_format', `the file cannot be converted: ${what}`,
    'Convert PDF, DOCX, XLSX, PPTX, EPUB, HTML, CSV, markdown or text.')
}

export function noTextLayer(): ConversionError {
  return new ConversionError('no_text', 'the PDF has pages but no text: it is probably a scan', 'Run text recognition (OCR) on it first.')
}
