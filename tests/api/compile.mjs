// The TypeScript compiler, for programs that the tests write.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Compiles the files of a project of this folder; returns the errors. */
export function compileProject(project) {
  const { status, stdout, stderr } = spawnSync('node_modules/.bin/tsc', ['--project', project], { cwd: here, encoding: 'utf8' })
  return status === 0 ? '' : stdout + stderr
}

/**
 * Compiles files, given by their names; returns the errors, each with its line. The files stand where packages are found;
 * `TYPES` in them stands for supabase/types.ts.
 */
export function compile(files, compilerOptions = {}) {
  const folder = mkdtempSync(join(here, 'node_modules', '.types-'))
  try {
    const write = (name, text) => writeFileSync(join(folder, name), text)
    for (const [name, text] of Object.entries(files)) write(name, text.replaceAll(`'TYPES'`, `'../../../../supabase/types.ts'`))
    write('tsconfig.json', JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, files: Object.keys(files) }))
    return compileProject(folder).replace(/^(?:.*\/)?([\w.-]+)\((\d+),\d+\): .*$/gm, (error, name, line) =>
      files[name] ? `${error}\n    ${files[name].split('\n')[line - 1].slice(0, 1000)}` : error)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
