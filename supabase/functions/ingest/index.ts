// A file becomes a source of a project, as the user who calls: their token reads the file from Storage and writes the source,
// so the policies of both hold.
//
//   POST {"project_id": …, "storage_path": "bucket/folder/file.pdf", "source_key"?, "name"?, "metadata"?, "max_tokens"?, …}
//   POST the file itself, with ?project_id=…&name=file.pdf&source_key=…
//
// A large PDF is read in parts, each by a call of this function to itself, because a call has two seconds of a processor.

import { ConversionError, convert, type Converted, noTextLayer } from '../_shared/convert.ts'
import { answering, bearer, HttpError, readBytes, readObject } from '../_shared/http.ts'
import { type File, ingest } from '../_shared/ingest.ts'
import { EDGE_LIMITS } from '../_shared/limits.ts'
import { countCharacters } from '../_shared/markdown.ts'
import { type Database, overHttp } from '../_shared/rpc.ts'
import { number, variable } from '../_shared/settings.ts'

/** How long a call reads a PDF, of the two seconds of a processor that hosted functions have. */
const SECONDS_OF_A_PART = number('MATRICE_PART_SECONDS') ?? 0.8
const SECONDS = 120

type Asked = Omit<File, 'bytes'> & { first_page?: number }

Deno.serve((request) => answering(request, async () => {
  const token = bearer(request)
  const database = overHttp(variable('SUPABASE_URL'), variable('SUPABASE_ANON_KEY'), token)
  const { asked, bytes } = await read(request, database, token)
  if (asked.first_page !== undefined) return await convert(bytes, asked.name, asked.content_type, ofPart(asked.first_page))
  return await ingest(database, { ...asked, bytes }, {}, (file) => convertInParts(file, token))
}))

async function read(request: Request, database: Database, token: string): Promise<{ asked: Asked; bytes: Uint8Array }> {
  const isJson = /^application\/json/i.test(request.headers.get('content-type') ?? '') && !new URL(request.url).searchParams.has('project_id')
  const asked = isJson ? await readJson(request) : readQuery(request)
  if (typeof asked.project_id !== 'string') throw new HttpError(400, 'invalid', 'project_id is missing')
  if (!await database.find('projects', { id: asked.project_id })) throw new HttpError(404, 'PT404', 'project not found')
  const bytes = isJson ? await readStored(asked.storage_path!, token) : await readFile(request.body, 'the request')
  return { asked, bytes }
}

async function readJson(request: Request): Promise<Asked> {
  const given = await readObject(request)
  const { storage_path } = given
  // Steps such as '..' would lead out of the storage.
  if (typeof storage_path !== 'string' || !/^[^/]+\/./.test(storage_path) || storage_path.split('/').some((step) => /^\.*$/.test(step))) {
    throw new HttpError(400, 'invalid', 'storage_path must be a bucket and a path in it', 'Or send the file itself, with ?project_id=…&name=….')
  }
  const odd = ['name', 'source_key', 'format'].find((key) => given[key] !== undefined && typeof given[key] !== 'string')
  if (odd) throw new HttpError(400, 'invalid', `${odd} must be a text`)
  const name = typeof given.name === 'string' ? given.name : storage_path.split('/').pop()!
  const { first_page: _, ...rest } = given
  return { source_key: storage_path, ...rest, name, storage_path } as unknown as Asked
}

function readQuery(request: Request): Asked {
  const query = new URL(request.url).searchParams
  const name = query.get('name')
  if (!name) throw new HttpError(400, 'invalid', 'name is missing', 'Send the name of the file as ?name=….')
  const number = (key: string) => query.has(key) ? Number(query.get(key)) : undefined
  return {
    project_id: query.get('project_id')!, name, source_key: query.get('source_key') ?? name,
    content_type: request.headers.get('content-type') ?? '', format: query.get('format') ?? undefined,
    max_tokens: number('max_tokens'), overlap_tokens: number('overlap_tokens'), first_page: number('first_page'),
  }
}

async function readStored(path: string, token: string): Promise<Uint8Array> {
  const url = `${variable('SUPABASE_URL')}/storage/v1/object/authenticated/${path.split('/').map(encodeURIComponent).join('/')}`
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}`, apikey: variable('SUPABASE_ANON_KEY') } })
  if (answer.ok) return await readFile(answer.body, 'the file')
  await answer.body?.cancel()
  throw new HttpError(answer.status >= 500 ? 502 : 404, 'storage', `the file ${path} cannot be read (HTTP ${answer.status})`,
    'The caller needs a policy of Storage that lets them read it.')
}

const readFile = (body: Body['body'], what: string) => readBytes(body, what, EDGE_LIMITS.bytes, 'Use matrice-worker ingest for larger files.')

const ofPart = (first: number) => ({ limits: EDGE_LIMITS, pages: { first, seconds: SECONDS_OF_A_PART } })

async function convertInParts(file: File, token: string): Promise<Converted> {
  const ends = performance.now() + SECONDS * 1000
  const whole = await convert(file.bytes, file.name, file.content_type, ofPart(1))
  const texts = [whole.text]
  let start = countCharacters(whole.text)
  for (let next = whole.next_page; next !== undefined;) {
    if (performance.now() > ends) {
      throw new ConversionError('too_slow', `page ${next} was not reached within ${SECONDS} seconds`, 'Use matrice-worker ingest for larger files.')
    }
    const part = await convertElsewhere(file, next, token)
    if (part.text) {
      const separator = start > 0 ? '\n\n' : ''
      for (const span of part.spans) whole.spans.push({ ...span, start_char: start + separator.length + span.start_char })
      texts.push(separator + part.text)
      start += separator.length + countCharacters(part.text)
    }
    next = part.next_page
  }
  if (start === 0) throw noTextLayer()
  return { ...whole, text: texts.join('') }
}

async function convertElsewhere({ project_id, name, bytes }: File, first: number, token: string): Promise<Converted> {
  const url = new URL(`${variable('SUPABASE_URL')}/functions/v1/ingest`)
  url.search = new URLSearchParams({ project_id, name, first_page: String(first) }).toString()
  const headers = { authorization: `Bearer ${token}`, apikey: variable('SUPABASE_ANON_KEY'), 'content-type': 'application/pdf' }
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(url, { method: 'POST', headers, body: bytes as BodyInit })
    if (answer.ok) return await answer.json()
    const { code, message, hint } = await answer.json().catch(() => ({}))
    if (answer.status === 422 || answer.status === 413) throw new ConversionError(code, message, hint)
    // A part is the same however often it is read.
    if (attempt === 3) throw new HttpError(502, 'worker', `pages from ${first} on could not be read (HTTP ${answer.status})`)
  }
}
