// https://nodejs.org/api/single-executable-applications.html, with esbuild for the one file it wants.

import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

import { build } from 'esbuild'
import { inject } from 'postject'

const app = process.platform === 'win32' ? 'dist/app.exe' : 'dist/app'

await build({
  entryPoints: ['../main.mjs'],
  bundle: true,
  platform: 'node',
  external: ['@rootlock/*'],
  outfile: 'dist/main.cjs'
})
const config = {
  main: 'dist/main.cjs',
  output: 'dist/app.blob',
  disableExperimentalSEAWarning: true
}
writeFileSync('dist/sea.json', JSON.stringify(config))
execFileSync(process.execPath, ['--experimental-sea-config', 'dist/sea.json'])
copyFileSync(process.execPath, app)
await inject(app, 'NODE_SEA_BLOB', readFileSync(config.output), {
  sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
})
for (const file of ['dist/main.cjs', 'dist/app.blob', 'dist/sea.json']) rmSync(file)
execFileSync(process.execPath, ['../copy-binding.mjs', 'dist'])
