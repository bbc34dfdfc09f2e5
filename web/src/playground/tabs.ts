import type { Tab } from './plain/config.js'

const queries = import.meta.glob<string>('./tabs/*.graphql', { eager: true, query: '?raw', import: 'default' })
const variables = import.meta.glob<string>('./tabs/*.json', { eager: true, query: '?raw', import: 'default' })

/** One tab per file in ./tabs, in the order of the file names; a .json beside it holds the tab's variables. */
export const starterTabs: Tab[] = Object.keys(queries)
  .sort()
  .map((file) => ({
    query: queries[file]!,
    variables: variables[file.replace(/\.graphql$/, '.json')]?.trim(),
  }))
