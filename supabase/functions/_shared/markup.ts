// Reads XML and HTML as a stream of tags and texts: no tree is built, and no entity is expanded but the usual ones.

import { Parser } from 'htmlparser2'
import { type Budget, ConversionError } from './limits.ts'
import { type Archive, resolve } from './zip.ts'

export type Attributes = Record<string, string>

export interface Handler {
  open?(name: string, attributes: Attributes): void
  text?(text: string): void
  close?(name: string): void
}

const SLICE = 65536
const DEEPEST = 500

function read(source: string, budget: Budget, xmlMode: boolean, handler: Handler) {
  let depth = 0
  const local = xmlMode ? (name: string) => name.slice(name.indexOf(':') + 1) : (name: string) => name
  const parser = new Parser({
    onopentag(name, attributes) {
      if (++depth > DEEPEST) throw new ConversionError('damaged', `the file nests elements more than ${DEEPEST} deep`)
      handler.open?.(local(name), attributes)
    },
    ontext: (text) => handler.text?.(text),
    onclosetag(name) {
      depth--
      handler.close?.(local(name))
    },
  }, { xmlMode, decodeEntities: true, lowerCaseTags: !xmlMode, lowerCaseAttributeNames: !xmlMode })
  for (let at = 0; at < source.length; at += SLICE) {
    budget.left()
    parser.write(source.slice(at, at + SLICE))
  }
  parser.end()
}

/** Names come without their prefix: 'p' for 'w:p'. */
export function readXml(source: string, budget: Budget, handler: Handler) {
  read(source, budget, true, handler)
}

export function readTags(source: string, budget: Budget, handler: Handler) {
  read(source, budget, false, handler)
}

/** The value of an attribute, whatever its prefix. */
export function value(attributes: Attributes, name: string): string | undefined {
  if (name in attributes) return attributes[name]
  const suffix = `:${name}`
  for (const key in attributes) if (key.endsWith(suffix)) return attributes[key]
}

/** What a part of an Office file refers to: its id in this part, its type and the other part's name. */
export function relationships(archive: Archive, part: string, budget: Budget): { id: string; type: string; target: string }[] {
  const [folder, name] = [part.slice(0, part.lastIndexOf('/') + 1), part.slice(part.lastIndexOf('/') + 1)]
  const found: { id: string; type: string; target: string }[] = []
  readXml(archive.text(`${folder}_rels/${name}.rels`) ?? '', budget, {
    open(tag, a) {
      if (tag !== 'Relationship' || a.TargetMode === 'External' || !a.Target) return
      found.push({ id: a.Id ?? '', type: (a.Type ?? '').split('/').pop() ?? '', target: resolve(part, a.Target) })
    },
  })
  return found
}

/** The text of the first element of this name, such as the title in docProps/core.xml. */
export function firstText(source: string | undefined, element: string, budget: Budget): string | undefined {
  let inside = false
  let done = false
  let found = ''
  readXml(source ?? '', budget, {
    open: (name) => { if (name === element && !done) inside = true },
    text: (text) => { if (inside && found.length < 2000) found += text },
    close: (name) => { if (name === element && inside) { inside = false; done = true } },
  })
  return found.trim() || undefined
}
