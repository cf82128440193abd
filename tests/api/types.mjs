// The client types, as the Supabase CLI generates them from a live database.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startStack } from './stack.mjs'

export const TYPES = fileURLToPath(new URL('../../supabase/database.types.ts', import.meta.url))
const SUPABASE = fileURLToPath(new URL('node_modules/@supabase/cli-linux-x64/bin/supabase', import.meta.url))

const READER = 'matrice_types_reader'

export async function generateTypes() {
  const stack = await startStack()
  try {
    // Types list what their reader may see, and PostgREST's login role sees nothing until it takes another one.
    const url = new URL(stack.databaseUrl)
    stack.sql(`drop role if exists ${READER};
      create role ${READER} login inherit password '${url.password}' in role authenticated`)
    url.username = READER
    url.search = 'sslmode=disable'
    return execFileSync(SUPABASE, ['gen', 'types', 'typescript', '--schema', 'matrice', `--remote=${url}`],
      { encoding: 'utf8', stdio: 'pipe', env: { ...process.env, DO_NOT_TRACK: '1' } })
  } finally {
    stack.sql(`drop role if exists ${READER}`)
    await stack.stop()
  }
}
