export default {
  mode: 'production',
  target: 'node',
  entry: '../main.mjs',
  externals: [/^@rootlock\//],
  externalsType: 'commonjs',
  output: { path: `${import.meta.dirname}/dist`, filename: 'main.cjs' }
}
