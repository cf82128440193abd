// matrice-worker: the worker as a command, for plain PostgreSQL or over PostgREST.

import { parseArgs } from 'node:util'
import { Converter } from './converter.ts'
import { EndpointError } from './endpoint.ts'
import { ingest } from './ingest.ts'
import { ConversionError, LIMITS } from './limits.ts'
import { contextFor, QuestionError } from './question.ts'
import { type Database, DatabaseError, overHttp, overPostgres } from './rpc.ts'
import { endpoint, number, queryPrefix, SettingsError, variable, workerSettings } from './settings.ts'
import { Worker, WorkerError } from './worker.ts'

const USAGE = `usage: matrice-worker embed [--once [--wait SECONDS]] [--jobs N] [--project ID] [--model NAME]
       matrice-worker ingest --project ID [--prefix KEY] FILE …
       matrice-worker sync --project ID [--prefix KEY] [--allow-removals] FOLDER
       matrice-worker convert FILE …
       matrice-worker context --project ID [--tokens N] [--insights N] QUESTION

embed    claims chunks, has them embedded and stores the embeddings, until SIGTERM; with --once until none is left.
         Chunks that failed wait to be tried again. --once waits for them as long as --wait says (300), and then ends with 1.
ingest   converts files and syncs them as sources; the key of a source is its prefix and the path as given.
sync     does so for all files of a folder, and deletes the sources whose files are gone; the key is the prefix, by default the
         folder's name and /, and the path in the folder. If more than half of these sources would be deleted, it changes nothing and
         ends with 1, unless you --allow-removals.
convert  prints a line of JSON for each file: text, format, spans, title, warnings; or error.
context  prints the best passages for a question as JSON: context, token_count, citations.

environment
  DATABASE_URL                             a connection string, or
  SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY  where PostgREST is, and a key
  EMBEDDINGS_URL, EMBEDDINGS_API_KEY       an OpenAI-compatible endpoint; by default OpenAI's, with OPENAI_API_KEY
  EMBEDDINGS_MAX_INPUTS, EMBEDDINGS_MAX_BATCH_TOKENS, EMBEDDINGS_MAX_INPUT_TOKENS   what it takes at once
  EMBEDDINGS_QUERY_PREFIX                  what the model wants before a question, such as "query: "
  EMBEDDINGS_TIMEOUT                       seconds for one request (60)
  EMBEDDINGS_USD_PER_MILLION               the price of a million tokens, if the catalogue does not have it
  MATRICE_LEASE_SECONDS                    how long a claim holds (300)
  MATRICE_CONVERSION_SECONDS               how long the conversion of a file may take (300)`

/** The part of a folder's sources that sync deletes unasked. More are gone where a disk is not mounted, or a path is wrong. */
const MOST_REMOVED = 0.5

class FolderError extends Error {}

type Values = ReturnType<typeof parse>['values']

function database(connections: number): Database {
  const url = Deno.env.get('DATABASE_URL')
  return url ? overPostgres(url, connections) : overHttp(variable('SUPABASE_URL'), variable('SUPABASE_SERVICE_ROLE_KEY'))
}

async function embed(values: Values): Promise<boolean> {
  const jobs = Number(values.jobs ?? 2)
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 64) throw new SettingsError('--jobs must be from 1 to 64')
  const waitSeconds = Number(values.wait ?? 300)
  if (!(waitSeconds >= 0 && waitSeconds <= 86_400)) throw new SettingsError('--wait must be from 0 to 86400')
  const connected = database(jobs + 1)
  const worker = new Worker(connected, endpoint(), {
    ...workerSettings(), jobs, once: values.once ?? false, waitSeconds, projectId: values.project, model: values.model, log: (line) => console.error(line),
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) Deno.addSignalListener(signal, () => worker.stop())
  try {
    const counts = await worker.run()
    console.log(JSON.stringify(counts))
    return counts.failed === 0 && counts.left === 0
  } finally {
    await connected.close()
  }
}

async function ingestFiles(connected: Database, project: string, prefix: string, files: string[], folder = ''): Promise<boolean> {
  return await eachFile(files, async (path, converter) => {
    const bytes = await Deno.readFile(folder + path)
    const file = { project_id: project, source_key: prefix + path, name: path, bytes }
    return await ingest(connected, file, {}, () => converter.convert(bytes, path))
  })
}

// A line for each file. Returns whether all of them went well.
async function eachFile(files: string[], work: (path: string, converter: Converter) => Promise<object>): Promise<boolean> {
  const seconds = number('MATRICE_CONVERSION_SECONDS') ?? LIMITS.seconds
  if (seconds === 0) throw new SettingsError('MATRICE_CONVERSION_SECONDS must be above 0')
  const converter = new Converter({ seconds })
  let isFine = true
  for (const path of files) {
    try {
      console.log(JSON.stringify({ file: path, ...await work(path, converter) }))
    } catch (error) {
      isFine = false
      console.log(JSON.stringify({ file: path, error: describe(error) }))
    }
  }
  converter.close()
  return isFine
}

async function syncFolder(connected: Database, project: string, folder: string, { prefix, 'allow-removals': isAllowed = false }: Values): Promise<boolean> {
  const root = `${await reading(folder, Deno.realPath(folder))}/`
  const start = prefix ?? `${root.split('/').at(-2)}/`
  const files = (await reading(folder, Array.fromAsync(filesIn(root)))).sort()
  if (files.length === 0) throw new FolderError(`${folder} has no files. Nothing was changed. To delete its sources, delete rows of matrice.context_sources.`)
  // A file that cannot be read or converted is not gone: its key is listed.
  const remove = (dry_run: boolean) => connected.rpc('sync_sources', {
    project_id: project, source_keys: files.map((path) => start + path), prefix: start, max_share: isAllowed ? 1 : MOST_REMOVED, dry_run,
  }) as Promise<{ source_key: string }[]>
  await remove(true)
  // Sources are deleted last: a file that was moved takes the embeddings of its old source.
  const isFine = await ingestFiles(connected, project, start, files, root)
  for (const { source_key } of await remove(false)) console.log(JSON.stringify({ file: source_key.slice(start.length), action: 'removed' }))
  return isFine
}

// A part of a folder that cannot be read must not look as if it were gone.
async function reading<T>(folder: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw new FolderError(`${folder} cannot be read. Nothing was changed. ${(error as Error).message}`)
  }
}

// Hidden files are those of programs. A link could lead out of the folder.
async function* filesIn(root: string, below = ''): AsyncGenerator<string> {
  for await (const { name, isFile, isDirectory } of Deno.readDir(root + below)) {
    if (name.startsWith('.')) continue
    if (isFile) yield below + name
    if (isDirectory) yield* filesIn(root, `${below}${name}/`)
  }
}

async function withDatabase(project: string | undefined, work: (connected: Database, project: string) => Promise<boolean>): Promise<boolean> {
  if (!project) throw new SettingsError('--project is missing')
  const connected = database(1)
  try {
    return await work(connected, project)
  } finally {
    await connected.close()
  }
}

async function convertFiles(files: string[]): Promise<boolean> {
  return await eachFile(files, async (path, converter) => await converter.convert(await Deno.readFile(path), path))
}

async function printContext(connected: Database, project_id: string, question: string, { tokens, insights }: Values): Promise<boolean> {
  const options = {
    ...tokens !== undefined && { token_budget: whole('--tokens', tokens) },
    ...insights !== undefined && { insights: whole('--insights', insights) },
  }
  console.log(JSON.stringify(await contextFor(connected, endpoint(), { project_id, question, options }, queryPrefix())))
  return true
}

function whole(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new SettingsError(`${name} must be a whole number`)
  return Number(text)
}

function describe(error: unknown) {
  const { code, message, hint } = error as { code?: string; message: string; hint?: string }
  return { ...code && { code }, message, ...hint && { hint } }
}

async function main(): Promise<number> {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse()
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  const { values, positionals: [command, ...files] } = parsed
  try {
    if (command === 'embed' && files.length === 0) return await embed(values) ? 0 : 1
    if (command === 'ingest' && files.length > 0) {
      return await withDatabase(values.project, (connected, project) => ingestFiles(connected, project, values.prefix ?? '', files)) ? 0 : 1
    }
    if (command === 'sync' && files.length === 1) {
      return await withDatabase(values.project, (connected, project) => syncFolder(connected, project, files[0], values)) ? 0 : 1
    }
    if (command === 'context' && files.length === 1) {
      return await withDatabase(values.project, (connected, project) => printContext(connected, project, files[0], values)) ? 0 : 1
    }
    if (command === 'convert' && files.length > 0) return await convertFiles(files) ? 0 : 1
    console.error(USAGE)
    return 2
  } catch (error) {
    const kinds = [SettingsError, WorkerError, DatabaseError, ConversionError, EndpointError, QuestionError, FolderError]
    const isExpected = kinds.some((kind) => error instanceof kind)
    console.error(isExpected ? `error: ${(error as Error).message}` : error)
    return error instanceof SettingsError ? 2 : 1
  }
}

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      once: { type: 'boolean' }, wait: { type: 'string' }, jobs: { type: 'string' }, model: { type: 'string' },
      project: { type: 'string' }, prefix: { type: 'string' }, 'allow-removals': { type: 'boolean' },
      tokens: { type: 'string' }, insights: { type: 'string' },
    },
  })
}

Deno.exit(await main())
