// `npm run check -- windows`: builds for Windows, and runs the core's tests and the suite under Wine 10,
// in a Debian 13. What Wine can't show is in docs/platforms.md.

import { execFileSync } from 'node:child_process'
import { relative } from 'node:path'

import { cross, WINDOWS } from './cross.mjs'
import { nodeBinary } from './node-versions.mjs'
import { cargo, CONTRACT, fileAlone, report, run, tap, testFiles, type Count } from './tests.mjs'
import { inTrixie, trixie } from './trixie.mjs'

/** Of the core's: they put a file in the place of one that is open, as Windows can and Wine can't. */
const NOT_WINE = [
  'sleep::time_asleep_does_not_count_as_watched',
  'sleep::time_stopped_does_not_count_as_watched',
  'sleep::a_contender_watches_for_the_full_time_even_if_the_wall_clock_is_set',
  'sleep::a_file_time_in_the_future_does_not_change_when_a_lock_is_taken_over',
  'sleep::a_holder_that_was_preempted_while_asleep_is_notified'
]

trixie('wine64', 'wine', 'libwine')
// The races need Unix: their naive lock does not exist on Windows. Nor does a fork.
const programs = cross(WINDOWS).filter((program) => !/\/(races|fork)-/.test(program))
const node = relative('.', nodeBinary('22.23.3', 'win-x64'))

/** Runs a command under Wine, with a file for its output: Node can't write to a pipe from outside there. */
function wine(...command: string[]): string[] {
  const script = 'out=$(mktemp); "$@" >"$out" 2>&1 </dev/null; code=$?; cat "$out"; exit $code'
  const env = ['WINEDEBUG=-all', 'WINEARCH=win64', 'WINEPREFIX=/root/.wine']
  return inTrixie(...env, 'sh', '-c', script, 'sh', ...command)
}

function on(command: string[], read: typeof tap): Promise<Count> {
  return run(command[0]!, command.slice(1), read)
}

// Electron's executable is not called node.exe, so nothing may be imported from node.exe.
const imports = execFileSync('x86_64-w64-mingw32-objdump', ['-p', WINDOWS.binding], {
  encoding: 'utf8',
  maxBuffer: 2 ** 28
})
const libraries = [...imports.matchAll(/DLL Name: (.*)/g)].map(([, name]) => name!)
if (libraries.length === 0 || libraries.some((name) => /node|electron/i.test(name))) {
  throw new Error(`${WINDOWS.binding} is linked to ${libraries.join(', ')}`)
}

await on(wine('sh', '-c', 'wineboot -i; winecfg -v win10; wineserver -w'), () => {})

const counts: [string, Count][] = []
const skips = NOT_WINE.flatMap((name) => ['--skip', name])
for (const program of programs) {
  counts.push([program, await on(wine('wine', program, ...skips), cargo)])
}
counts.push(['the contract', await on(wine('wine', node, CONTRACT), tap)])

for (const file of testFiles(process.argv.slice(2))) {
  if (file.endsWith('contract.test.mjs')) continue
  console.log(`# ${file}`)
  counts.push([file, await on(wine('wine', node, ...fileAlone(file)), tap)])
}
report(counts)
