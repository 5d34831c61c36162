// Tests docs/files-in-your-tree.md with the lines to ignore from the page itself.

import { execFileSync } from 'node:child_process'
import { watch } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { openRoot, tryLock, withLock } from 'rootlock'

import { eventually } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing, notEmulated, notWine, tool } from '../helpers/needing.mjs'
import { openFiles } from '../helpers/open-files.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const FILES = ['.lock', '.lock.guard', '.lock.next']

const page = await readFile(new URL('../../../docs/files-in-your-tree.md', import.meta.url), 'utf8')

/** The blocks of a language. */
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm'))].map(
    ([, text]) => text!
  )

/** A tree with our files at the top and in a folder, and others with similar names. */
async function tree(t: ExecutionContext): Promise<string> {
  const root = await temporaryRoot(t)
  const store = join(root, 'dist', 'store')
  await mkdir(store, { recursive: true })
  for (const folder of [root, store]) {
    await withLock(folder, () => {})
    await writeFile(join(folder, '.lock.next'), '')
    for (const other of ['yarn.lock.json', '.locks.json']) await writeFile(join(folder, other), '')
  }
  return root
}

const ours = (folder: string) => FILES.map((name) => folder + name)
const others = (folder: string) => ['.locks.json', 'yarn.lock.json'].map((name) => folder + name)

needing(test, tool('git', '--version'))('git ignores our files, and nothing else', async (t) => {
  const root = await tree(t)
  execFileSync('git', ['init', '--quiet'], { cwd: root })
  const untracked = () => {
    const told = execFileSync('git', ['status', '--short', '-uall'], {
      cwd: root,
      encoding: 'utf8'
    })
    return [...told.matchAll(/^\?\? (.*)$/gm)].map(([, path]) => path).toSorted()
  }
  const all = [...others(''), ...others('dist/store/')]
  t.deepEqual(untracked(), [...all, ...ours(''), ...ours('dist/store/')].toSorted())
  await writeFile(join(root, '.gitignore'), blocks('gitignore')[0]!)
  t.deepEqual(untracked(), [...all, '.gitignore'].toSorted())
})

const npm = needing(test, tool('npm', '--version'), notWine, notEmulated)

function packed(root: string): string[] {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const told = execFileSync('npm', args, { cwd: root, encoding: 'utf8', shell: true })
  const [{ files }] = JSON.parse(told) as [{ files: { path: string }[] }]
  return files.map(({ path }) => path).toSorted()
}

npm('npm packs none of our files, with .gitignore and with files', async (t) => {
  const root = await tree(t)
  const manifest = { name: 'tree', version: '1.0.0' }
  const pack = async (more: object) => {
    await writeFile(join(root, 'package.json'), JSON.stringify({ ...manifest, ...more }))
    return packed(root)
  }
  const inDist = [...others('dist/store/'), 'package.json']
  t.deepEqual(await pack({ files: ['dist'] }), [...inDist, ...ours('dist/store/')].toSorted())
  t.deepEqual(await pack(JSON.parse(blocks('json')[0]!) as object), inDist.toSorted())
  for (const file of ['.npmignore', '.gitignore']) {
    await writeFile(join(root, file), blocks('gitignore')[0]!)
    t.deepEqual(await pack({}), [...others(''), ...inDist].toSorted(), file)
    await rm(join(root, file))
  }
})

test('the page names our three files for Docker and turbo too', (t) => {
  t.deepEqual(
    blocks('dockerignore')[0]!.trim().split('\n'),
    FILES.map((name) => `**/${name}`)
  )
  const { inputs, outputs } = (
    JSON.parse(blocks('json')[1]!) as {
      tasks: { build: { inputs: string[]; outputs: string[] } }
    }
  ).tasks.build
  t.deepEqual(
    inputs.slice(1),
    FILES.map((name) => `!**/${name}`)
  )
  t.deepEqual(
    outputs.slice(1),
    FILES.map((name) => `!dist/**/${name}`)
  )
})

test('the pattern for chokidar matches our files, and nothing else', (t) => {
  const source = /`ignored: \/(.*)\/`/.exec(page)![1]!.replaceAll(String.raw`\|`, '|')
  const pattern = new RegExp(source)
  for (const name of FILES) {
    for (const path of [name, `/store/${name}`, 'C:\\store\\' + name]) {
      t.regex(path, pattern)
    }
  }
  for (const path of ['yarn.lock', '/app/Cargo.lock', '.lock/file', '.locks', '.lock.guards']) {
    t.notRegex(path, pattern)
  }
})

needing(test, linux)('a watcher sees every beat', async (t) => {
  const root = await temporaryRoot(t)
  await withLock(root, () => {})
  let seen = 0
  const watcher = watch(root, (_event, name) => {
    if (name === '.lock') seen++
  })
  t.teardown(() => watcher.close())
  await hold(t, root, { heartbeatMs: 50, staleMs: 30_000 })
  await eventually('three beats are seen', () => seen > 3)
  t.pass()
})

needing(test, linux)('a held lock costs three descriptors, a further name two', async (t) => {
  const folder = await temporaryRoot(t)
  const open = () => openFiles().filter(([, path]) => path.startsWith(folder)).length
  for (const count of [1, 2, 3]) {
    const root = join(folder, String(count))
    await mkdir(root)
    await hold(t, root)
    t.is(open(), 3 * count)
  }
  const waiting = Array.from({ length: 20 }, () => waiter(t, join(folder, '1')))
  await mustBlock(waiting[0]!.lock)
  // The directory, requested so often at once, is cached for a moment.
  await eventually('waiters in the process cost none', () => open() === 9)
  const more = join(folder, 'more')
  await mkdir(more)
  const root = await openRoot(more)
  for (const count of [1, 2, 3]) {
    await hold(t, root, { fileName: `${count}.lock` }, tryLock)
    t.is(open(), 9 + 1 + 2 * count)
  }
  await root.close()
})
