// The thread of a Converter. It answers each file with what it converted, or why it could not.

import { ConversionError, convert } from './convert.ts'
import type { Answer, Request } from './converter.ts'

const thread = self as unknown as { onmessage: (event: MessageEvent<Request>) => void; postMessage: (answer: Answer) => void }

thread.onmessage = async ({ data: { bytes, name, contentType, limits } }) => {
  try {
    thread.postMessage({ converted: await convert(bytes, name, contentType, { limits }) })
  } catch (error) {
    const { code, message, hint } = error as ConversionError
    thread.postMessage(error instanceof ConversionError ? { refused: { code, message, hint } } : { failed: String(error) })
  }
}
