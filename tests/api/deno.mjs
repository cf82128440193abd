// Runs the shipped TypeScript under Deno: the command matrice-worker, and the edge functions.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

const FUNCTIONS = fileURLToPath(new URL('../../supabase/functions/', import.meta.url))

function deno(file, args, env, flags = []) {
  if (!process.env.DENO) throw new Error('set DENO to the path of deno; scripts/test does')
  const options = ['run', '--quiet', '--config', `${FUNCTIONS}deno.json`, '--lock', `${FUNCTIONS}worker.lock`, '--frozen', '--allow-net', '--allow-env', '--allow-read']
  return spawn(process.env.DENO, [...options, ...flags, `${FUNCTIONS}${file}`, ...args], { env: { ...process.env, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Starts matrice-worker. `result` becomes {code, signal, stdout, stderr} when it ends. */
export function startWorker(args, env = {}) {
  const child = deno('_shared/cli.ts', args, env)
  const [stdout, stderr] = [[], []]
  child.stdout.on('data', (data) => stdout.push(data))
  child.stderr.on('data', (data) => stderr.push(data))
  const result = once(child, 'close').then(([code, signal]) => (
    { code, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }))
  return { child, result }
}

export const runWorker = (args, env) => startWorker(args, env).result

/** Starts an edge function, and returns its address. */
export async function startFunction(name, env) {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  // Hosted functions have 256 MB in all.
  const child = deno(`${name}/index.ts`, [], { ...env, DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` }, ['--v8-flags=--max-old-space-size=192'])
  const log = []
  child.stderr.on('data', (data) => log.push(data))
  for (let attempt = 0; attempt < 300; attempt++) {
    if (child.exitCode !== null) break
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'OPTIONS' }).catch(() => null)
    if (answer?.status === 204) {
      return { port, log, stop: async () => { if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit') } }
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`the function ${name} did not start:\n${log.join('')}`)
}
