/**
 * @typedef {{ query: string, operationName?: string | null, variables?: any }} Request
 * @typedef {{ data?: any, errors?: { message: string, extensions?: Record<string, any> }[] }} Answer
 */

/**
 * The function that sends everything that the page asks. The session is a cookie that no script can read, so nothing is
 * added to a request.
 * @param {string} endpoint
 */
export function createFetcher(endpoint) {
  /**
   * @param {Request} request
   * @param {{ headers?: Record<string, unknown> }} [options] GraphiQL's, with what is in its editor of headers
   * @returns {Promise<Answer>}
   */
  return async (request, options) => {
    const response = await fetch(endpoint, {
      method: 'POST',
      credentials: 'same-origin',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        .../** @type {Record<string, string>} */ (options?.headers),
      },
      body: JSON.stringify(request),
    })
    const text = await response.text()
    try {
      return JSON.parse(text)
    } catch {
      // A proxy's error page, for example: its status says more than a parser's complaint.
      throw new Error(`The server answered ${response.status} ${response.statusText} and no JSON.`)
    }
  }
}
