/**
 * @typedef {import('./config.js').Config} Config
 * @typedef {import('./config.js').DemoLogin} DemoLogin
 * @typedef {ReturnType<typeof import('./fetcher.js').createFetcher>} Fetcher
 * @typedef {{ name: string, email: string, account: { name: string, slug: string }, roles: string[] }} Person
 */

const VIEWER = `query Viewer {
  viewer { user { name email roles { name } } account { name slug } }
}`

const LOG_IN = `mutation LogIn($input: LogInInput!) {
  logIn(input: $input) { expiresAt }
}`

const LOG_OUT = `mutation LogOut {
  logOut { loggedOut }
}`

/**
 * Shows who is logged in, and lets the reader become somebody else: a demo person by one click, anybody by e-mail
 * address and password. A form and not a tab, because GraphiQL keeps its tabs on disk, and the password would be there.
 * @param {HTMLElement} header
 * @param {Config} config
 * @param {Fetcher} fetcher
 */
export function mountSession(header, config, fetcher) {
  const person = element('div', { className: 'session-person', role: 'status' })
  const choose = element('button', { type: 'button', className: 'session-choose' }, ['Log in'])
  const leave = element('button', { type: 'button', hidden: true }, ['Log out'])
  const refusal = element('p', { className: 'session-refusal', role: 'alert', hidden: true })
  const demo = config.demo && demoPeople(config.demo.logins, (login) => logIn(login, config.demo?.password ?? ''))
  const form = loginForm(demo ? 'Somebody else' : 'Log in', !demo, logIn)
  const panel = element('div', { id: 'session-panel', popover: 'auto' }, [refusal, ...(demo?.list ?? []), form])
  choose.popoverTargetElement = panel
  leave.addEventListener('click', () => change(LOG_OUT))
  header.append(
    element('strong', { className: 'session-brand' }, ['Canopy ', element('span', {}, ['playground'])]),
    person,
    choose,
    leave,
    panel,
  )
  void show().then((viewer) => {
    // In the demo everybody is nobody at first, and has to become somebody before anything else.
    if (demo && !viewer) panel.showPopover()
  })

  /**
   * @param {{ account?: string, email: string }} who
   * @param {string} password
   */
  function logIn({ account, email }, password) {
    return change(LOG_IN, { input: { account, email, password, session: 'COOKIE' } })
  }

  /**
   * @param {string} query
   * @param {object} [variables]
   */
  async function change(query, variables) {
    refusal.hidden = true
    try {
      const { errors } = await fetcher({ query, variables })
      if (errors?.[0]) throw new Error(errors[0].message)
      panel.hidePopover()
    } catch (failure) {
      refusal.textContent = messageOf(failure)
      refusal.hidden = false
      panel.showPopover()
      refusal.scrollIntoView({ block: 'nearest' })
    }
    await show()
  }

  async function show() {
    /** @type {Person | null} */
    let viewer = null
    try {
      viewer = await whoAmI(fetcher)
      person.replaceChildren(...(viewer ? portrait(viewer) : ['Nobody is logged in']))
    } catch (failure) {
      person.replaceChildren(messageOf(failure))
    }
    leave.hidden = !viewer
    choose.textContent = viewer ? 'Change person' : 'Log in'
    demo?.mark(viewer)
    return viewer
  }
}

/**
 * @param {DemoLogin[]} logins
 * @param {(login: DemoLogin) => void} logIn
 */
function demoPeople(logins, logIn) {
  const buttons = logins.map((login) => {
    const label = element('strong', {}, [login.label])
    const button = element('button', { type: 'button', className: 'session-demo' }, [
      label,
      element('span', {}, [login.description]),
    ])
    button.addEventListener('click', () => logIn(login))
    return { login, button }
  })
  const list = [
    element('h2', {}, ['Who do you want to be?']),
    element('p', {}, ['One click logs you in. Nothing here is real.']),
    ...[...new Set(logins.map((login) => login.account))].flatMap((account) => [
      element('h3', {}, [account]),
      ...buttons.filter(({ login }) => login.account === account).map(({ button }) => button),
    ]),
  ]
  /** @param {Person | null} viewer */
  function mark(viewer) {
    for (const { login, button } of buttons) {
      const current = login.email === viewer?.email && login.account === viewer.account.slug
      button.ariaCurrent = String(current)
    }
  }
  return { list, mark }
}

/**
 * @param {string} title
 * @param {boolean} open
 * @param {(who: { account?: string, email: string }, password: string) => void} logIn
 */
function loginForm(title, open, logIn) {
  const account = element('input', { placeholder: 'only if the e-mail address is in several', autocomplete: 'organization' })
  const email = element('input', { type: 'email', required: true, autocomplete: 'username' })
  const password = element('input', { type: 'password', required: true, autocomplete: 'current-password' })
  const form = element('form', {}, [
    element('label', {}, ['Account', account]),
    element('label', {}, ['E-mail', email]),
    element('label', {}, ['Password', password]),
    element('button', { className: 'session-choose' }, ['Log in']),
  ])
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    logIn({ account: account.value || undefined, email: email.value }, password.value)
    password.value = ''
  })
  return element('details', { open }, [element('summary', {}, [title]), form])
}

/** @param {Person} viewer */
function portrait(viewer) {
  return [
    element('strong', {}, [viewer.name]),
    ` · ${viewer.account.name} `,
    ...viewer.roles.map((role) => element('span', { className: 'session-role' }, [role])),
  ]
}

/**
 * @param {Fetcher} fetcher
 * @returns {Promise<Person | null>} null if nobody is logged in
 */
async function whoAmI(fetcher) {
  const { data, errors } = await fetcher({ query: VIEWER })
  if (data?.viewer) {
    const { user, account } = data.viewer
    /** @type {{ name: string }[]} */
    const roles = user.roles ?? []
    return { name: user.name, email: user.email, account, roles: roles.map((role) => role.name) }
  }
  // Without a reason it only says that nobody is logged in; a paused user has to hear of it.
  const refused = errors?.find(({ extensions }) => extensions?.code !== 'UNAUTHENTICATED' || extensions.reason)
  if (refused) throw new Error(refused.message)
  return null
}

/** @param {unknown} failure */
function messageOf(failure) {
  return failure instanceof Error ? failure.message : String(failure)
}

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, unknown>} properties
 * @param {(Node | string)[]} [children]
 */
function element(name, properties, children = []) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}
