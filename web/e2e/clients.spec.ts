// The clients that others use, against a server as it is shipped.

import { expect, test as base } from '@playwright/test'
import { createClient as createEventClient } from 'graphql-sse'
import { createClient as createSocketClient } from 'graphql-ws'
import WebSocket from 'ws'

import { startDemo, type DemoServer } from './server'

const test = base.extend<{}, { server: DemoServer }>({
  server: [
    async ({}, use) => {
      const server = await startDemo()
      await use(server)
      await server.stop()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})
test.slow() // a server is started in between

/** Sends an operation by POST. */
async function ask(server: DemoServer, query: string, token?: string): Promise<any> {
  const response = await fetch(`${server.url}graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query }),
  })
  return response.json()
}

/** Logs in as an agent and returns the token of the session. */
async function logIn(server: DemoServer): Promise<string> {
  const { data } = await ask(
    server,
    'mutation { logIn(input: {email: "agent@acacia.example", password: "canopy-demo-2027", session: TOKEN}) { token } }',
  )
  return data.logIn.token
}

const rename = (name: string) => `mutation { updateViewer(input: {name: "${name}"}) { viewer { user { name } } } }`
const query = 'subscription Me($since: String) { viewerChanged(since: $since) { change position viewer { user { name } } } }'

interface Heard {
  /** The next result, or how the subscription ended. */
  next(): Promise<any>
}

/** Collects what a subscription tells, until it ends. */
function collect(subscribe: (sink: { next(v: any): void; error(e: any): void; complete(): void }) => void): Heard {
  const heard: any[] = []
  let wake = () => {}
  const put = (what: any) => {
    heard.push(what)
    wake()
  }
  subscribe({
    next: (result) => put(result),
    error: (failure) => put({ failure }),
    complete: () => put('complete'),
  })
  return {
    async next() {
      while (!heard.length) await new Promise<void>((resolve) => (wake = resolve))
      return heard.shift()
    },
  }
}

/** Variables of a subscription: a client that comes again by itself reads the position anew. */
interface Variables {
  readonly since?: string
}

type Client = (server: DemoServer, token: string, closed: (code: number) => void, variables?: Variables) => Heard

const overSocket: Client = (server, token, closed, variables = {}) => {
  const client = createSocketClient({
    url: `${server.url.replace(/^http/, 'ws')}graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    // While there is no server a connection fails, which the client takes for final unless it is told otherwise.
    shouldRetry: () => true,
    retryAttempts: 1000,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    on: { closed: (event) => closed((event as CloseEvent).code) },
  })
  return collect((sink) => client.subscribe({ query, variables: variables as Record<string, unknown> }, sink))
}

const overEvents: Client = (server, token, _, variables = {}) => {
  const client = createEventClient({
    url: `${server.url}graphql`,
    headers: { authorization: `Bearer ${token}` },
    retryAttempts: 1000,
    retry: () => new Promise((resolve) => setTimeout(resolve, 50)),
  })
  return collect((sink) => client.subscribe({ query, variables: variables as Record<string, unknown> }, sink as any))
}

for (const [name, subscribe] of Object.entries({ 'graphql-ws': overSocket, 'graphql-sse': overEvents })) {
  test.describe(name, () => {
    test('hears what happens, and comes again when the server does', async ({ server }) => {
      const token = await logIn(server)
      const codes: number[] = []
      let position: string | undefined
      const variables = {
        get since() {
          return position
        },
      }
      const me = subscribe(server, token, (code) => codes.push(code), variables)
      const started = (await me.next()).data.viewerChanged
      expect(started.change).toBe('STARTED')
      await ask(server, rename('Agatha Fern'), token)
      const told = (await me.next()).data.viewerChanged
      expect(told).toEqual({ change: 'UPDATED', position: told.position, viewer: { user: { name: 'Agatha Fern' } } })

      position = started.position // as if the change had been missed
      await server.restart()
      expect((await me.next()).data.viewerChanged.change).toBe('STARTED')
      expect((await me.next()).data.viewerChanged.viewer.user.name).toBe('Agatha Fern')
      await ask(server, rename('Agatha Larkspur'), token)
      expect((await me.next()).data.viewerChanged.viewer.user.name).toBe('Agatha Larkspur')
      if (name === 'graphql-ws') expect(codes[0]).toBe(1001)
    })

    test('hears no more when it is logged out', async ({ server }) => {
      const token = await logIn(server)
      let left!: (code: number) => void
      const closed = new Promise<number>((resolve) => (left = resolve))
      const me = subscribe(server, token, left)
      expect((await me.next()).data.viewerChanged.change).toBe('STARTED')
      await ask(server, 'mutation { logOut { loggedOut } }', token)
      const last = await me.next()
      expect((last.errors ?? last.failure)[0].extensions.code).toBe('UNAUTHENTICATED')
      if (name === 'graphql-ws') expect(await closed).toBe(4401)
      else expect(await me.next()).toBe('complete')
    })

    test('hears why a subscription is none', async ({ server }) => {
      const refused = subscribe(server, 'invented', () => {})
      const answer = await refused.next()
      if (name === 'graphql-ws') expect(answer.failure.code).toBe(4401)
      else expect(answer.errors[0].extensions.code).toBe('UNAUTHENTICATED')
    })
  })
}
