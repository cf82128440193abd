// README's examples, to be run as they stand there.

import { readFile } from 'node:fs/promises'

const AsyncFunction = (async () => {}).constructor

/** The first code block in this language that mentions a text. */
export async function example(language, mentions) {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```/gms)]
  const found = blocks.find(([, its, code]) => its === language && code.includes(mentions))
  if (!found) throw new Error(`README has no ${language} with ${mentions}`)
  return found[2]
}

/** Runs JavaScript in a world of names, which stand for its imports as well, and returns some of its constants. */
export async function run(code, world, ...names) {
  const body = `${code.replace(/^import .*$/gm, '')}\nreturn { ${names} }`
  return await new AsyncFunction(...Object.keys(world), body)(...Object.values(world))
}
