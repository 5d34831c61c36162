import { build } from 'esbuild'

await build({
  entryPoints: ['../main.mjs'],
  bundle: true,
  platform: 'node',
  format: 'esm',
  outfile: 'dist/main.mjs',
  loader: { '.node': 'copy' },
  // As for every CommonJS package in an ES module made by esbuild.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)"
  }
})
