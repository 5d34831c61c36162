import { defineConfig } from 'vite'

export default defineConfig({
  build: { ssr: '../main.mjs', rolldownOptions: { external: [/^@rootlock\//] } },
  // All of node_modules goes into the bundle, else it is not bundled at all.
  ssr: { noExternal: true }
})
