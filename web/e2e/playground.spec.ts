import { readdirSync, readFileSync } from 'node:fs'

import { expect, test as base, type Page } from '@playwright/test'
import { Kind, parse } from 'graphql'

import { startDemo, type DemoServer } from './server'

interface Complaints {
  foreign: string[]
  violations: string[]
  errors: string[]
}

/** A server for all tests, and for each a page of which everything is noted that may not happen. */
const test = base.extend<{ complaints: Complaints }, { server: DemoServer }>({
  server: [
    async ({}, use) => {
      const server = await startDemo()
      await use(server)
      await server.stop()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  baseURL: ({ server }, use) => use(server.url),
  complaints: [
    async ({ page, server }, use) => {
      const complaints: Complaints = { foreign: [], violations: [], errors: [] }
      page.on('request', (request) => {
        if (!request.url().startsWith(server.url)) complaints.foreign.push(request.url())
      })
      page.on('pageerror', (error) => complaints.errors.push(error.message))
      await page.exposeFunction('noteViolation', (violation: string) => complaints.violations.push(violation))
      await page.addInitScript(() => {
        addEventListener('securitypolicyviolation', (event) => {
          ;(window as any).noteViolation(`${event.effectiveDirective} ${event.blockedURI} in ${event.sourceFile}`)
        })
      })
      await use(complaints)
      expect(complaints).toEqual({ foreign: [], violations: [], errors: [] })
    },
    { auto: true },
  ],
})

const session = (page: Page) => page.locator('#session').getByRole('status')
const answer = (page: Page) => page.locator('.graphiql-response')

/** Logs in as the first of the demo people who are offered, and returns the name of who that is. */
async function becomeSomebody(page: Page) {
  await expect(session(page)).toHaveText('Nobody is logged in')
  await page.locator('#session-panel button').first().click()
  await expect(page.getByRole('button', { name: 'Log out' })).toBeVisible()
  return session(page).locator('strong').innerText()
}

async function openTab(page: Page, name: string) {
  await page.getByRole('tab').getByText(name, { exact: true }).click()
  await expect(page.getByRole('tab', { selected: true })).toContainText(name)
}

/** Runs the tab's operation; of several the named one, which the button's menu then offers. */
async function run(page: Page, operation?: string) {
  const play = page.getByRole('button', { name: /execute query/i })
  if (!operation) {
    await expect(play).not.toHaveAttribute('aria-haspopup', 'menu')
    await play.click()
    return
  }
  await expect(play).toHaveAttribute('aria-haspopup', 'menu')
  await play.click()
  await page.getByRole('menuitem', { name: operation, exact: true }).click()
}

test('one step makes the reader somebody, who is asked for by the first tab', async ({ page }) => {
  await page.goto('/')
  const name = await becomeSomebody(page)
  await run(page)
  await expect(answer(page)).toContainText('"viewer"')
  await expect(answer(page)).toContainText(`"${name}"`)
})

test('the session outlives a reload, and ends by logging out', async ({ page }) => {
  await page.goto('/')
  const name = await becomeSomebody(page)
  await page.reload()
  await expect(session(page)).toContainText(name)

  await page.getByRole('button', { name: 'Log out' }).click()
  await expect(session(page)).toHaveText('Nobody is logged in')
  await run(page)
  await expect(answer(page)).toContainText('UNAUTHENTICATED')
})

/** Runs the subscription of the last tab, until it has begun. */
async function listen(page: Page) {
  await openTab(page, 'Live')
  // For a moment after a change of tabs GraphiQL still asks for the last tab's operation.
  await expect(async () => {
    await run(page, 'Live')
    await expect(answer(page)).toContainText('"STARTED"', { timeout: 5_000 })
  }).toPass()
}

test('a subscription tells what happens until it is stopped', async ({ page }) => {
  await page.goto('/')
  await becomeSomebody(page)
  await listen(page)

  // Somebody else's answer to the same person's change.
  await page.evaluate(() =>
    fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: 'mutation { updateViewer(input: {name: "Robin Newname"}) { viewer { user { name } } } }' }),
    }),
  )
  await expect(answer(page)).toContainText('"Robin Newname"')
  await page.getByRole('button', { name: /stop query/i }).click()
  await expect(page.getByRole('button', { name: /execute query/i })).toBeVisible()
})

test('a subscription ends with the session', async ({ page }) => {
  await page.goto('/')
  await becomeSomebody(page)
  await listen(page)
  await page.getByRole('button', { name: 'Log out' }).click()
  await expect(answer(page)).toContainText('UNAUTHENTICATED')
})

test('a wrong password is refused where it was typed', async ({ page }) => {
  await page.goto('/')
  await page.getByText('Somebody else', { exact: true }).click()
  await page.getByLabel('E-mail').fill('nobody@example.com')
  await page.getByLabel('Password').fill('not the password')
  await page.getByLabel('Password').press('Enter')
  await expect(page.locator('#session').getByRole('alert')).not.toBeEmpty()
  await expect(session(page)).toHaveText('Nobody is logged in')
})

// The first operation of each tab needs nothing that the reader would have to look up.
test('every starter tab answers without an error', async ({ page }) => {
  test.slow()
  await page.goto('/')
  await becomeSomebody(page)
  for (const operations of starterTabs()) {
    const [first] = operations
    await test.step(first!, async () => {
      await openTab(page, first!)
      // For a moment after a change of tabs GraphiQL still asks for the last tab's operation.
      await expect(async () => {
        await run(page, operations.length > 1 ? first : undefined)
        await expect(answer(page)).toContainText('"data"', { timeout: 2_000 })
      }).toPass()
      await expect(answer(page)).not.toContainText('"errors"')
    })
  }
})

/** The names of each tab's operations; GraphiQL titles the tab with the first. */
function starterTabs(): string[][] {
  const folder = new URL('../src/playground/tabs/', import.meta.url)
  return readdirSync(folder)
    .filter((file) => file.endsWith('.graphql'))
    .map((file) => {
      const { definitions } = parse(readFileSync(new URL(file, folder), 'utf8'))
      return definitions.flatMap((each) => (each.kind === Kind.OPERATION_DEFINITION ? [each.name!.value] : []))
    })
}
