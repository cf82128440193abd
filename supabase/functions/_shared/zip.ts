// The parts of a zip archive. Their number and inflated size are bounded before anything is inflated.

import { unzipSync } from 'fflate'
import { type Budget, ConversionError } from './limits.ts'

export class Archive {
  readonly #bytes: Uint8Array
  readonly #budget: Budget
  readonly #sizes = new Map<string, number>()
  #inflated = 0

  constructor(bytes: Uint8Array, budget: Budget) {
    this.#bytes = bytes
    this.#budget = budget
    this.#unzip(({ name, originalSize }) => {
      if (this.#sizes.size >= budget.limits.parts) {
        throw new ConversionError('too_large', `the file has more than ${budget.limits.parts} parts`)
      }
      this.#sizes.set(name, originalSize)
      return false
    })
  }

  has(name: string): boolean {
    return this.#sizes.has(name)
  }

  names(): string[] {
    return [...this.#sizes.keys()]
  }

  /** The text of a part, or undefined where there is none. */
  text(name: string): string | undefined {
    const size = this.#sizes.get(name)
    if (size === undefined) return undefined
    // fflate inflates into an array of the size that the archive names, whatever the data would become.
    this.#inflated += size
    const most = this.#budget.limits.inflatedBytes
    if (this.#inflated > most) {
      throw new ConversionError('too_large', `the file inflates to more than ${most} bytes`, 'Split it.')
    }
    this.#budget.left()
    const part = this.#unzip((file) => file.name === name)[name]
    const encoding = part[0] === 0xff && part[1] === 0xfe ? 'utf-16le' : part[0] === 0xfe && part[1] === 0xff ? 'utf-16be' : 'utf-8'
    return new TextDecoder(encoding).decode(part)
  }

  required(name: string): string {
    const text = this.text(name)
    if (text === undefined) throw new ConversionError('damaged', `the file is damaged: it lacks ${name}`)
    return text
  }

  #unzip(filter: (file: { name: string; originalSize: number }) => boolean) {
    try {
      return unzipSync(this.#bytes, { filter })
    } catch (error) {
      if (error instanceof ConversionError) throw error
      throw new ConversionError('damaged', `the file is damaged: ${(error as Error).message}`)
    }
  }
}

/** A part that another part names: 'word/document.xml' and 'media/a.png' are 'word/media/a.png'. */
export function resolve(base: string, target: string): string {
  const path = target.startsWith('/') ? [] : base.split('/').slice(0, -1)
  for (const step of target.split('/')) {
    if (step === '..') path.pop()
    else if (step !== '' && step !== '.') path.push(step)
  }
  return path.join('/')
}
