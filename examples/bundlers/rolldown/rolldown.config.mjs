export default {
  input: '../main.mjs',
  platform: 'node',
  external: [/^@rootlock\//],
  output: { file: 'dist/main.mjs', format: 'es' }
}
