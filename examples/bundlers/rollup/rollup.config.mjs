import commonjs from '@rollup/plugin-commonjs'
import { nodeResolve } from '@rollup/plugin-node-resolve'

export default {
  input: '../main.mjs',
  external: [/^@rootlock\//],
  plugins: [nodeResolve(), commonjs()],
  output: { file: 'dist/main.mjs', format: 'es' }
}
