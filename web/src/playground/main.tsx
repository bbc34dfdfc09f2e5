import { GraphiQL } from 'graphiql'
import { createRoot } from 'react-dom/client'

import 'graphiql/setup-workers/vite'
// The four sheets that graphiql/style.css is made of, without its embedded fonts (400 kB) and its second copy of Monaco's.
import 'graphiql/graphiql.css'
import '@graphiql/react/style.css'
import '@graphiql/plugin-doc-explorer/style.css'
import '@graphiql/plugin-history/style.css'
import './plain/playground.css'

import { readConfig } from './plain/config.js'
import { createFetcher } from './plain/fetcher.js'
import { mountSession } from './plain/session.js'
import { withSubscriptions } from './subscriptions'
import { starterTabs } from './tabs'

const config = readConfig()
const fetcher = createFetcher(config.endpoint)

mountSession(document.getElementById('session')!, config, fetcher)
createRoot(document.getElementById('playground')!).render(
  <GraphiQL fetcher={withSubscriptions(config.endpoint, fetcher)} defaultTabs={starterTabs} defaultEditorToolsVisibility="variables">
    {/* The page's own header names it. */}
    <GraphiQL.Logo>{null}</GraphiQL.Logo>
  </GraphiQL>,
)
