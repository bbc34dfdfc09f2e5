import { defineConfig } from '@playwright/test'

export default defineConfig({
  testDir: 'e2e',
  forbidOnly: true,
  reporter: 'list',
  use: {
    browserName: 'chromium',
    launchOptions: {
      // An installed browser instead of one that Playwright would download.
      executablePath: process.env.CANOPY_CHROMIUM ?? '/usr/bin/chromium',
      // It runs in containers too, and by itself speaks with no other host.
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
})
