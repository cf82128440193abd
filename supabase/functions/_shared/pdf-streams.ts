// The streams of a PDF, inflated once before pdf.js sees the file: pdf.js inflates a whole stream into memory, however large it
// becomes. Here only sizes are kept. What a stream's dictionary says is not trusted alone: data that look deflated are inflated
// in any case.

import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { createInflateRaw } from 'node:zlib'
import { type Budget, ConversionError } from './limits.ts'

type Pieces = AsyncIterable<Uint8Array>
type Filter = (source: Pieces) => Pieces

/** Filters that make data larger, or that hide such data. The others decode images, which nobody asks pdf.js for. */
const FILTERS: Record<string, Filter> = {
  FlateDecode: inflate, Fl: inflate, LZWDecode: unpackLzw(1), LZW: unpackLzw(1), RunLengthDecode: unpackRuns, RL: unpackRuns,
  ASCIIHexDecode: readHex, AHx: readHex, ASCII85Decode: readAscii85, A85: readAscii85,
}
const MOST_FILTERS = 10
const PIECE = 65_536
/** So long a dictionary before a stream may be. */
const DICTIONARY = 4_096

/** Returns the size of the largest stream. Throws if one inflates to more than the limit. */
export async function largestStream(bytes: Uint8Array, budget: Budget): Promise<number> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let largest = 0
  for (let at = file.indexOf('stream'); at >= 0; at = file.indexOf('stream', at + 6)) {
    if (at >= 3 && file.toString('latin1', at - 3, at) === 'end') continue
    const start = nextLine(file, at + 6)
    const dictionary = dictionaryIn(file.toString('latin1', Math.max(at - DICTIONARY, 0), at))
    const filters = filtersOf(dictionary)
    // Deflated data say themselves where they end.
    const end = filters.length === 0 || filters[0] === inflate ? file.length : endOf(file, start, dictionary)
    largest = Math.max(largest, await sizeOf(file.subarray(start, end), filters, budget))
    budget.left()
  }
  return largest
}

// As pdf.js does: whatever stands behind the word belongs to its line.
function nextLine(file: Buffer, at: number): number {
  while (at < file.length && file[at] !== 10 && file[at] !== 13) at++
  return file[at] === 13 && file[at + 1] === 10 ? at + 2 : at + 1
}

function dictionaryIn(before: string): string {
  return before.slice(before.lastIndexOf(' obj') + 1)
    .replace(/#([0-9a-f]{2})/gi, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)))
}

function filtersOf(dictionary: string): Filter[] {
  const [, names = ''] = /\/(?:F|Filter)\s*(\[[^\]]*\]|\/\w+)/.exec(dictionary) ?? []
  const isLate = /\/EarlyChange\s+0/.test(dictionary)
  return [...names.matchAll(/\/(\w+)/g)].flatMap(([, name]) => isLate && name.startsWith('LZW') ? unpackLzw(0) : FILTERS[name] ?? [])
}

function endOf(file: Buffer, start: number, dictionary: string): number {
  const found = file.indexOf('endstream', start)
  const length = Number(/\/Length\s+(\d+)(?!\s+\d+\s+R)/.exec(dictionary)?.[1] ?? 0)
  return Math.max(found < 0 ? file.length : found, start + length)
}

async function sizeOf(data: Uint8Array, filters: Filter[], budget: Budget): Promise<number> {
  const most = budget.limits.inflatedBytes
  let largest = 0
  async function* counted(pieces: Pieces): Pieces {
    let size = 0
    for await (const piece of pieces) {
      size += piece.length
      if (size > most) throw new ConversionError('too_large', `a stream of the PDF inflates to more than ${most} bytes`, 'Print it to a new PDF, or split it.')
      largest = Math.max(largest, size)
      budget.left()
      yield piece
    }
  }
  let pieces = whole(data)
  for (let place = 0; place <= MOST_FILTERS; place++) {
    const [first, all] = await peek(pieces)
    const filter = filters[place] ?? (isDeflated(first) ? inflate : undefined)
    if (filter === undefined) {
      // Nothing is left to decode. Data that no filter has made larger need not be read at all.
      if (place > 0) for await (const _ of all) { /* It is counted. */ }
      return largest
    }
    pieces = counted(filter(all))
  }
  throw new ConversionError('too_large', `a stream of the PDF has more than ${MOST_FILTERS} filters`)
}

async function* whole(data: Uint8Array): Pieces {
  yield data
}

async function peek(pieces: Pieces): Promise<[Uint8Array, Pieces]> {
  const iterator = pieces[Symbol.asyncIterator]()
  const first = await iterator.next()
  async function* all(): Pieces {
    try {
      for (let piece = first; !piece.done; piece = await iterator.next()) yield piece.value
    } finally {
      await iterator.return?.()
    }
  }
  return [first.done ? new Uint8Array() : first.value, all()]
}

// The checks of pdf.js: the method, the check bits, no dictionary.
function isDeflated([method, flags]: Uint8Array): boolean {
  return (method & 15) === 8 && (method * 256 + flags) % 31 === 0 && (flags & 32) === 0
}

// Ends where the deflated data end, or are damaged: pdf.js keeps what it has until then.
async function* inflate(source: Pieces): Pieces {
  const inflater = createInflateRaw({ chunkSize: PIECE })
  const input = Readable.from(withoutHeader(source))
  input.on('error', (error) => inflater.destroy(error))
  try {
    for await (const piece of input.pipe(inflater)) yield piece
  } catch (error) {
    if (error instanceof ConversionError) throw error
  } finally {
    input.destroy()
    inflater.destroy()
  }
}

async function* withoutHeader(source: Pieces): Pieces {
  let left = 2
  for await (const piece of source) {
    if (piece.length > left) yield piece.subarray(left)
    left = Math.max(left - piece.length, 0)
  }
}

// Codes of 9 to 12 bits. Each stands for a byte, or for the text of an earlier code and one byte more.
function unpackLzw(early: number): Filter {
  return (source) => unpackCodes(source, early)
}

async function* unpackCodes(source: Pieces, early: number): Pieces {
  const [prefix, last, length] = [new Uint16Array(4097), new Uint8Array(4097), new Uint16Array(4097).fill(1, 0, 256)]
  for (let byte = 0; byte < 256; byte++) last[byte] = byte
  let [bits, count, width, next, previous] = [0, 0, 9, 258, -1]
  for await (const piece of source) {
    const out: Uint8Array[] = []
    for (const byte of piece) {
      bits = bits << 8 | byte
      count += 8
      if (count < width) continue
      count -= width
      const code = bits >> count
      bits &= (1 << count) - 1
      if (code === 256) [width, next, previous] = [9, 258, -1]
      else if (code === 257 || code > next || code === next && previous < 0) return yield* joined(out)
      else {
        const known = code < next ? code : previous
        const text = new Uint8Array(length[known] + (known === code ? 0 : 1))
        for (let at = length[known] - 1, from = known; at >= 0; at--, from = prefix[from]) text[at] = last[from]
        if (known !== code) text[text.length - 1] = text[0]
        out.push(text)
        if (previous >= 0 && next < 4096) {
          [prefix[next], last[next], length[next]] = [previous, text[0], length[previous] + 1]
          next++
        }
        previous = code
        if (next + early >= 1 << width && width < 12) width++
      }
      if (out.length === 1024) yield* joined(out.splice(0))
    }
    yield* joined(out)
  }
}

function* joined(pieces: Uint8Array[]) {
  if (pieces.length > 0) yield Buffer.concat(pieces)
}

// A length below 128: so many bytes more, as they are. Above: the next byte, 257 minus the length times.
async function* unpackRuns(source: Pieces): Pieces {
  let [plain, repeated] = [0, 0]
  for await (const piece of source) {
    const out: Uint8Array[] = []
    for (const byte of piece) {
      if (plain > 0) {
        out.push(Uint8Array.of(byte))
        plain--
      } else if (repeated > 0) {
        out.push(new Uint8Array(repeated).fill(byte))
        repeated = 0
      } else if (byte === 128) return yield* joined(out)
      else if (byte < 128) plain = byte + 1
      else repeated = 257 - byte
    }
    yield* joined(out)
  }
}

async function* readHex(source: Pieces): Pieces {
  let rest = ''
  for await (const piece of source) {
    const text = Buffer.from(piece).toString('latin1')
    const end = text.indexOf('>')
    const digits = rest + (end < 0 ? text : text.slice(0, end)).replace(/[^0-9a-f]/gi, '')
    const even = digits.length & ~1
    rest = digits.slice(even)
    yield Buffer.from(digits.slice(0, even), 'hex')
    if (end >= 0) return
  }
}

// Five characters are four bytes; z is four zeros.
async function* readAscii85(source: Pieces): Pieces {
  let group: number[] = []
  for await (const piece of source) {
    const out: number[] = []
    for (const byte of piece) {
      if (byte === 0x7e) return yield Uint8Array.from(out)
      if (byte === 0x7a && group.length === 0) out.push(0, 0, 0, 0)
      else if (byte >= 33 && byte <= 117) group.push(byte - 33)
      if (group.length < 5) continue
      const number = group.reduce((sum, digit) => sum * 85 + digit, 0)
      out.push(number >>> 24 & 255, number >>> 16 & 255, number >>> 8 & 255, number & 255)
      group = []
    }
    yield Uint8Array.from(out)
  }
}
