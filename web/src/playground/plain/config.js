// The files of this folder are plain JavaScript, because a server without the bundled page serves them as they stand.

/**
 * @typedef {{ query: string, variables?: string }} Tab
 * @typedef {{ label: string, description: string, account: string, email: string }} DemoLogin
 * @typedef {{ password: string, logins: DemoLogin[] }} Demo
 * @typedef {{ endpoint: string, demo?: Demo, tabs?: Tab[] }} Config
 */

/**
 * What the server wrote into the page; the defaults are for Vite's own server, which writes nothing.
 * @returns {Config}
 */
export function readConfig() {
  const text = document.getElementById('canopy-config')?.textContent?.trim()
  return { endpoint: '/graphql', ...(text ? JSON.parse(text) : {}) }
}
