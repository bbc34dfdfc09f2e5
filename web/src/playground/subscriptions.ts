import type { Fetcher as GraphiQLFetcher } from '@graphiql/toolkit'
import { Kind, type DocumentNode, type ExecutionResult } from 'graphql'
import { createClient } from 'graphql-ws'

import type { createFetcher } from './plain/fetcher.js'

type Fetcher = ReturnType<typeof createFetcher>
type Request = Parameters<Fetcher>[0]

interface Options {
  headers?: Record<string, unknown>
  documentAST?: DocumentNode
}

interface Observer {
  next(result: ExecutionResult): void
  error(failure: unknown): void
  complete(): void
}

/** The function that GraphiQL sends everything by: subscriptions over a WebSocket, the rest by the fetcher. */
export function withSubscriptions(endpoint: string, fetcher: Fetcher): GraphiQLFetcher {
  return (request, options) =>
    isSubscription(request, options?.documentAST)
      ? subscription(endpoint, request, options)
      : (fetcher(request, options) as ReturnType<GraphiQLFetcher>)
}

function isSubscription({ operationName }: Request, document?: DocumentNode): boolean {
  return !!document?.definitions.some(
    (each) =>
      each.kind === Kind.OPERATION_DEFINITION &&
      each.operation === 'subscription' &&
      (!operationName || each.name?.value === operationName),
  )
}

/**
 * A socket for one subscription, so that it is for whoever is logged in when it begins: the handshake carries the session
 * cookie, and a token in the editor of headers goes with the first message, because no script can set a socket's headers.
 */
function subscription(endpoint: string, request: Request, options?: Options): ReturnType<GraphiQLFetcher> {
  const authorization = Object.entries(options?.headers ?? {}).find(([name]) => name.toLowerCase() === 'authorization')?.[1]
  return {
    subscribe(observer: Observer) {
      const client = createClient({
        url: new URL(endpoint, location.href.replace(/^http/, 'ws')).href,
        connectionParams: authorization ? { authorization } : undefined,
        shouldRetry: () => true,
      })
      const unsubscribe = client.subscribe(
        { query: request.query, operationName: request.operationName, variables: request.variables },
        {
          next: (result) => observer.next(result as ExecutionResult),
          error: (failure) => {
            // Shown like the errors of an answer.
            if (Array.isArray(failure)) {
              observer.next({ errors: failure })
              observer.complete()
            } else observer.error(closed(failure))
          },
          complete: () => observer.complete(),
        },
      )
      return { unsubscribe }
    },
  } as ReturnType<GraphiQLFetcher>
}

/** What closed the socket, in words: the event of a socket that is closed has a code and a reason, and is no error. */
function closed(failure: unknown): unknown {
  const { code, reason } = failure as Partial<CloseEvent>
  return code ? new Error(`${reason || 'The connection was lost.'} (The socket was closed with ${code}.)`) : failure
}
