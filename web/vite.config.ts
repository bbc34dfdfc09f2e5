import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { defineConfig, type Plugin } from 'vite'

/** Writes name.gz beside each script, sheet and font: the server sends those to whoever accepts them. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    writeBundle({ dir }) {
      const assets = join(dir!, 'assets')
      for (const name of readdirSync(assets)) {
        const path = join(assets, name)
        if (/\.(js|css|ttf|svg)$/.test(name)) writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }))
      }
    },
  }
}

export default defineConfig({
  plugins: [precompress()],
  // `npm run dev` beside a running server, whose address may be given.
  server: { proxy: { '/graphql': { target: process.env.CANOPY_URL ?? 'http://127.0.0.1:8080', ws: true } } },
  build: {
    target: 'es2022',
    // Inlined files would be data: addresses, which the pages' Content-Security-Policy has no reason to allow.
    assetsInlineLimit: 0,
    // Monaco is one chunk of 2.8 MB, loaded after the page has been drawn.
    chunkSizeWarningLimit: 3000,
    rolldownOptions: {
      // A page each, so that the console can come beside the playground.
      input: ['playground.html'],
      // "use client" in a dependency means something to React's server only.
      checks: { moduleLevelDirective: false },
    },
  },
})
