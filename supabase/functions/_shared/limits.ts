// What a file may cost. A file is somebody else's: it may be broken, or made to use up memory and time.

export interface Limits {
  /** Of the file. */
  bytes: number
  /** Of a zip archive's parts, inflated. */
  inflatedBytes: number
  parts: number
  /** Of a PDF. */
  pages: number
  /** Of the resulting text, in UTF-16 units; ingest_source takes 64 MB. */
  characters: number
  seconds: number
}

export const LIMITS: Limits = {
  bytes: 100_000_000, inflatedBytes: 256_000_000, parts: 10_000, pages: 5_000, characters: 20_000_000, seconds: 300,
}

/** For edge functions, which have 256 MB and two seconds of a processor. */
export const EDGE_LIMITS: Limits = {
  bytes: 50_000_000, inflatedBytes: 48_000_000, parts: 5_000, pages: 5_000, characters: 8_000_000, seconds: 100,
}

export type Reason = 'empty' | 'too_large' | 'too_slow' | 'encrypted' | 'damaged' | 'no_text' | 'not_text' | 'unknown_format'

/** Why a file could not be converted, for whoever chose the file. */
export class ConversionError extends Error {
  override name = 'ConversionError'
  constructor(readonly code: Reason, message: string, readonly hint?: string) {
    super(message)
  }
}

const MOST_CELLS = 4_000_000

/** Cells count where a merged one covers them, too: a few bytes can claim millions. */
export function requireCells(cells: number, what: 'sheet' | 'table') {
  if (cells > MOST_CELLS) throw new ConversionError('too_large', `a ${what} has more than ${MOST_CELLS} cells`, 'Split it.')
}

/** The limits of one conversion, and the time that is left of it. */
export class Budget {
  readonly #ends: number

  constructor(readonly limits: Limits) {
    this.#ends = performance.now() + limits.seconds * 1000
  }

  /** Milliseconds that are left. Long loops ask for them, because nothing else can interrupt them. */
  left(): number {
    const left = this.#ends - performance.now()
    if (left <= 0) throw new ConversionError('too_slow', `the conversion takes more than ${this.limits.seconds} seconds`, 'Split the file.')
    return left
  }
}
