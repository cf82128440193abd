// The TypeScript compiler, for programs that the tests write.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
  return withFiles(files, compilerOptions, (folder) =>
    compileProject(folder).replace(/^(?:.*\/)?([\w.-]+)\((\d+),\d+\): .*$/gm, (error, name, line) =>
      files[name] ? `${error}\n    ${files[name].split('\n')[line - 1].slice(0, 1000)}` : error))
}

/** TypeScript as JavaScript. Its types are not checked. */
export function transpile(code) {
  return withFiles({ 'code.ts': code }, { noEmit: false, noCheck: true, noResolve: true, outDir: '.' }, (folder) => {
    compileProject(folder)
    return readFileSync(join(folder, 'code.js'), 'utf8')
  })
}

function withFiles(files, compilerOptions, use) {
  const folder = mkdtempSync(join(here, 'node_modules', '.types-'))
  try {
    const write = (name, text) => writeFileSync(join(folder, name), text)
    for (const [name, text] of Object.entries(files)) write(name, text.replaceAll(`'TYPES'`, `'../../../../supabase/types.ts'`))
    write('tsconfig.json', JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, files: Object.keys(files) }))
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
