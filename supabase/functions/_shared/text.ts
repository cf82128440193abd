// Bytes to text, and the format of a text by the name of its file.

import { ConversionError } from './limits.ts'
import { clean } from './markdown.ts'

const FORMATS: Record<string, string> = {
  md: 'markdown', markdown: 'markdown', mdx: 'markdown', csv: 'csv', tsv: 'csv', rs: 'rust', py: 'python', go: 'go', sql: 'sql',
  js: 'javascript', mjs: 'javascript', cjs: 'javascript', jsx: 'javascript', ts: 'typescript', mts: 'typescript', tsx: 'tsx',
}

export function formatOfName(name: string, contentType = ''): string {
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1].toLowerCase() ?? ''
  return FORMATS[ending] ?? (/markdown/i.test(contentType) ? 'markdown' : /csv|tab-separated/i.test(contentType) ? 'csv' : 'text')
}

/** Decodes by the byte order mark, the charset that is stated, UTF-8, or else as western European text. */
export function decode(bytes: Uint8Array, contentType = '', isHtml = false): { text: string; warnings: string[] } {
  const stated = charsetOf(bytes, contentType, isHtml)
  const encoding = stated ?? 'utf-8'
  try {
    return { text: requireText(new TextDecoder(encoding, { fatal: true }).decode(bytes)), warnings: [] }
  } catch (error) {
    if (error instanceof ConversionError) throw error
  }
  const text = requireText(new TextDecoder('windows-1252').decode(bytes))
  return { text, warnings: [`The file is no ${encoding.toUpperCase()}. It was read as Windows-1252.`] }
}

function charsetOf(bytes: Uint8Array, contentType: string, isHtml: boolean): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8'
  const head = isHtml ? new TextDecoder('latin1').decode(bytes.subarray(0, 2048)) : ''
  const label = /charset\s*=\s*["']?([\w-]+)/i.exec(contentType)?.[1] ?? /charset\s*=\s*["']?([\w-]+)/i.exec(head)?.[1]
  try {
    return label && new TextDecoder(label).encoding
  } catch {
    return undefined
  }
}

// Text has no control characters but those of white space. Binary files have many.
function requireText(text: string): string {
  const sample = text.length > 200_000 ? text.slice(0, 100_000) + text.slice(-100_000) : text
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it counts
  const strange = sample.match(/[\0-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]/g)?.length ?? 0
  if (text.includes('\0') || strange > sample.length / 200) {
    throw new ConversionError('not_text', 'the file is binary, and of no kind that can be converted',
      'Convert PDF, DOCX, XLSX, PPTX, EPUB, HTML, CSV, markdown or text.')
  }
  return clean(text).replaceAll('\r\n', '\n')
}
