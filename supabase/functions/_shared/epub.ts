// EPUB: its chapters are pages of HTML, in the order of its spine.

import { type Budget, ConversionError } from './limits.ts'
import { readHtml } from './html.ts'
import type { Markdown } from './markdown.ts'
import { firstText, readXml } from './markup.ts'
import { type Archive, resolve } from './zip.ts'

/** Writes all chapters. Returns the title. */
export function readEpub(archive: Archive, markdown: Markdown, budget: Budget): string | undefined {
  let root = ''
  readXml(archive.required('META-INF/container.xml'), budget, {
    open: (tag, attributes) => { if (tag === 'rootfile') root ||= attributes['full-path'] ?? '' },
  })
  const book = archive.required(root)
  const parts = new Map<string, string>()
  const chapters: string[] = []
  readXml(book, budget, {
    open(tag, attributes) {
      // The table of contents repeats the headings.
      if (tag === 'item' && /html/.test(attributes['media-type'] ?? '') && !/(^| )nav( |$)/.test(attributes.properties ?? '')) {
        parts.set(attributes.id ?? '', decoded(attributes.href ?? ''))
      } else if (tag === 'itemref') chapters.push(attributes.idref ?? '')
    },
  })
  const encrypted = new Set<string>()
  readXml(archive.text('META-INF/encryption.xml') ?? '', budget, {
    open: (tag, attributes) => { if (tag === 'CipherReference') encrypted.add(decoded(attributes.URI ?? '')) },
  })
  for (const id of new Set(chapters)) {
    const href = parts.get(id)
    if (href === undefined) continue
    const part = resolve(root, href)
    if (encrypted.has(part)) throw new ConversionError('encrypted', 'the book is encrypted', 'Convert a copy without protection.')
    readHtml(archive.text(part) ?? '', markdown, budget)
  }
  return firstText(book, 'title', budget)
}

// A name with a bare % in it is written as it is by some programs.
function decoded(href: string): string {
  try {
    return decodeURIComponent(href)
  } catch {
    return href
  }
}
