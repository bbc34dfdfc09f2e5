// What main.tsx is for the bundled page: GraphiQL 4 and React, which the page loaded from a CDN, are globals here.

import { readConfig } from './config.js'
import { createFetcher } from './fetcher.js'
import { mountSession } from './session.js'

const { React, ReactDOM, GraphiQL } = /** @type {any} */ (window)
const config = readConfig()
const fetcher = createFetcher(config.endpoint)
const place = /** @type {HTMLElement} */ (document.getElementById('playground'))

mountSession(/** @type {HTMLElement} */ (document.getElementById('session')), config, fetcher)
if (GraphiQL) {
  ReactDOM.createRoot(place).render(
    React.createElement(
      GraphiQL,
      { fetcher, defaultTabs: config.tabs, defaultEditorToolsVisibility: 'variables' },
      // The page's own header names it.
      React.createElement(GraphiQL.Logo, null, ' '),
    ),
  )
} else {
  const sorry = document.createElement('p')
  sorry.className = 'playground-failure'
  sorry.textContent =
    'GraphiQL could not be loaded: this server was built without the tag ui, so the page takes it from a public host, ' +
    `which this browser does not reach. Any other GraphQL client can use ${location.origin}${config.endpoint}.`
  place.append(sorry)
}
