// README's examples, to be run as they stand there.

import { readFile } from 'node:fs/promises'

const AsyncFunction = (async () => {}).constructor

/** The code blocks in these languages, with the line that each begins at. */
export async function examples(...languages) {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  return [...readme.matchAll(/^```(\w+)\n(.*?)^```/gms)].filter(([, language]) => languages.includes(language))
    .map(({ 2: code, index }) => ({ code, line: readme.slice(0, index).split('\n').length }))
}

/** The first code block in this language that mentions a text. */
export async function example(language, mentions) {
  const found = (await examples(language)).find(({ code }) => code.includes(mentions))
  if (!found) throw new Error(`README has no ${language} with ${mentions}`)
  return found.code
}

/** Runs JavaScript in a world of names, which stand for its imports as well, and returns some of its constants. */
export async function run(code, world, ...names) {
  const body = `${code.replace(/^import .*$/gm, '')}\nreturn { ${names} }`
  return await new AsyncFunction(...Object.keys(world), body)(...Object.values(world))
}
