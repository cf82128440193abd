// A file becomes a source: converted, then synced by its key. What is wrong with the file stands on the source.

import { ConversionError, convert, type Converted, type Options } from './convert.ts'
import { type Database, DatabaseError } from './rpc.ts'

export interface File {
  project_id: string
  /** The same key is the same document. */
  source_key: string
  name: string
  bytes: Uint8Array
  content_type?: string
  storage_path?: string
  metadata?: Record<string, unknown>
  format?: string
  max_tokens?: number
  overlap_tokens?: number
}

export interface Ingested {
  source_id: string
  action: string
  total: number
  added: number
  kept: number
  removed: number
  title?: string
  warnings: string[]
}

/** Converts and stores a file. `convertFile` does the first, if it is to be done elsewhere. */
export async function ingest(
  database: Database, file: File, options: Options = {}, convertFile: (file: File) => Promise<Converted> =
    ({ bytes, name, content_type }) => convert(bytes, name, content_type, options),
): Promise<Ingested> {
  const { project_id, source_key, name, storage_path, metadata, max_tokens, overlap_tokens } = file
  let converted: Converted
  try {
    converted = await convertFile(file)
  } catch (error) {
    if (error instanceof ConversionError) await tell(database, file, error)
    throw error
  }
  const { text, format, spans, title, warnings } = converted
  const [synced] = await database.rpc('sync_source', {
    project_id, source_key, content: text, name, type: 'file', format: file.format ?? format,
    max_tokens: max_tokens ?? null, overlap_tokens: overlap_tokens ?? null, storage_path: storage_path ?? null,
    metadata: metadata ?? null, spans: spans.length > 0 ? spans : null,
  }) as Ingested[]
  return { ...synced, ...title && { title }, warnings }
}

// A file that could not be read has a source too, so that its user sees why.
async function tell(database: Database, { project_id, source_key, name, storage_path }: File, { code, message, hint }: ConversionError) {
  const key = { project_id, source_key }
  let source_id = await database.find('context_sources', key)
  if (!source_id) {
    try {
      await database.insert('context_sources', { ...key, name, type: 'file', ...storage_path && { storage_path } })
    } catch (error) {
      // Somebody else added it meanwhile.
      if (!(error instanceof DatabaseError && error.code === '23505')) throw error
    }
    source_id = await database.find('context_sources', key)
  }
  await database.rpc('set_source_error', { source_id, error: [`${code}: ${message}.`, hint].filter(Boolean).join(' ') })
}
