// One way to call a function of matrice, over PostgREST or over a connection to PostgreSQL.

import postgres from 'postgres'

export interface Database {
  /** Calls matrice.name. A function that returns a table gives an array of rows, any other its value. */
  rpc(name: string, args: Record<string, unknown>): Promise<unknown>
  /** The id of the row of a table that has these values, if there is one. */
  find(table: string, values: Record<string, string>): Promise<string | undefined>
  /** A column of all rows of a table. */
  column(table: string, column: string): Promise<string[]>
  insert(table: string, values: Record<string, unknown>): Promise<void>
  close(): Promise<void>
}

/** An error that the database itself answered. `code` is its SQLSTATE. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
  constructor(readonly code: string, message: string, readonly detail?: string | null, readonly hint?: string | null) {
    super([message, detail, hint].filter(Boolean).map((each, i) => i === 0 && (detail || hint) && /\w$/.test(each!) ? `${each}.` : each).join(' '))
  }

  /** Whether the same call may succeed later: connections, locks and resources, not arguments or rights. */
  get isPassing(): boolean {
    return /^(08|40|53|55|57|58|XX|PGRST00)/.test(this.code) || this.code === 'HTTP'
  }
}

const TIMEOUT = 60_000

/** Over PostgREST, with the key of a service or the token of a user. */
export function overHttp(url: string, key: string, token = key): Database {
  const headers = {
    apikey: key, authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-profile': 'matrice', 'accept-profile': 'matrice',
  }
  async function request(path: string, body?: unknown) {
    const answer = await fetch(`${url.replace(/\/$/, '')}/rest/v1/${path}`, {
      method: body === undefined ? 'GET' : 'POST', headers, signal: AbortSignal.timeout(TIMEOUT), ...body !== undefined && { body: JSON.stringify(body) },
    })
    const text = await answer.text()
    if (answer.ok) return text === '' ? null : JSON.parse(text)
    throw httpError(answer.status, text)
  }
  return {
    rpc: (name, args) => request(`rpc/${name}`, args),
    async find(table, values) {
      const filter = Object.entries(values).map(([column, each]) => `${column}=eq.${encodeURIComponent(each)}`)
      return (await request(`${table}?select=id&limit=1&${filter.join('&')}`))[0]?.id
    },
    async column(table, column) {
      return (await request(`${table}?select=${column}`)).map((row: Record<string, string>) => row[column])
    },
    insert: (table, values) => request(table, values),
    close: () => Promise.resolve(),
  }
}

function httpError(status: number, text: string): DatabaseError {
  try {
    const { code, message, details, hint } = JSON.parse(text)
    if (typeof code === 'string') return new DatabaseError(code, message, details, hint)
  } catch { /* A gateway answered, not PostgREST. */ }
  return new DatabaseError(status >= 500 || status === 429 ? 'HTTP' : String(status), `HTTP ${status} ${text.slice(0, 200)}`)
}

/** Over a connection string, as the role that it names. */
export function overPostgres(url: string, connections: number): Database {
  const sql = postgres(url, {
    max: connections, connect_timeout: 20, onnotice: () => {}, connection: { application_name: 'matrice-worker' },
    // Its query for the types of arrays ends the process where the connection ends meanwhile.
    fetch_types: false,
  })
  async function query(text: string, values: unknown[]) {
    try {
      return await sql.unsafe(text, values as postgres.ParameterOrJSON<never>[])
    } catch (error) {
      const { name, code, message, detail, hint } = error as { name: string; code: string; message: string; detail?: string; hint?: string }
      // Any other error is one of the connection, and EPIPE looks like an SQLSTATE.
      throw new DatabaseError(name === 'PostgresError' ? code : '08006', message, detail, hint)
    }
  }
  return {
    async rpc(name, args) {
      const list = Object.keys(args).map((argument, i) => `${quoted(argument)} => $${i + 1}`).join(', ')
      const values = Object.entries(args).map(([argument, each]) => /_(ids|keys)$/.test(argument) ? arrayOf(each as string[]) : each)
      const rows = await query(`select * from matrice.${quoted(name)}(${list})`, values)
      const isValue = rows.columns.length === 1 && rows.columns[0].name === name
      return isValue ? rows[0]?.[name] ?? null : [...rows]
    },
    async find(table, values) {
      const filter = Object.keys(values).map((column, i) => `${quoted(column)} = $${i + 1}`).join(' and ')
      return (await query(`select id from matrice.${quoted(table)} where ${filter} limit 1`, Object.values(values)))[0]?.id
    },
    async column(table, column) {
      return (await query(`select ${quoted(column)} from matrice.${quoted(table)}`, [])).map((row) => row[column])
    },
    async insert(table, values) {
      const [columns, places] = [Object.keys(values).map(quoted).join(', '), Object.keys(values).map((_, i) => `$${i + 1}`).join(', ')]
      await query(`insert into matrice.${quoted(table)} (${columns}) values (${places})`, Object.values(values))
    },
    close: () => sql.end({ timeout: 5 }),
  }
}

function arrayOf(texts: string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
