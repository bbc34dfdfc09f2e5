package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/server"
	"canopy/store"

	"github.com/alexedwards/argon2id"
)

const (
	email    = "owner@acacia.example"
	password = "open sesame open"
)

// site is a server with one account and its owner.
type site struct {
	*httptest.Server
	server *server.Server
	people *directory.Service
	db     *store.DB
	lines  *lines
	clock  *clock
	tokens []string // sessions of the owner

	answered chan struct{} // a request is over, or what it became
}

// lines is a log that is written to from many goroutines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// log ends the server, because a request is logged after it is answered, and returns all that was logged.
func (s *site) log() string {
	s.Close()
	return s.lines.String()
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newSite(t *testing.T, change func(*server.Config)) *site {
	t.Helper()
	s := serve(t, testdb.SQLite(t), change)
	s.open(t)
	return s
}

// serve serves a database, as one process of several might.
func serve(t *testing.T, db *store.DB, change func(*server.Config)) *site {
	t.Helper()
	s := &site{db: db, lines: &lines{}, answered: make(chan struct{}, 1), clock: &clock{now: time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)}}
	service := &desk.Service{DB: db, Now: s.clock.Now}
	people := &directory.Service{DB: db, Now: s.clock.Now, Rand: rand.Reader, MaxDepth: 64, Handover: service,
		Argon2: argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16}}
	s.people = people
	cfg := server.Config{DB: db, Directory: people, Desk: service, Now: s.clock.Now, Introspection: true, Playground: true,
		Log: server.NewLogger(s.lines, false, slog.LevelDebug)}
	if change != nil {
		change(&cfg)
	}
	var err error
	if s.server, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			select {
			case s.answered <- struct{}{}:
			default: // it is told already
			}
		}()
		s.server.ServeHTTP(w, r)
	}))
	s.Config.ConnContext = server.KeepConn
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// open opens the account and sets its owner's password.
func (s *site) open(t *testing.T) {
	t.Helper()
	made, err := s.people.CreateAccount(t.Context(), directory.CreateAccount{
		Name: "Acacia", Slug: "acacia", OwnerName: "Olive Ashdown", OwnerEmail: email,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.people.SetPassword(t.Context(), directory.SetPassword{Token: made.SetupToken, Password: password}); err != nil {
		t.Fatal(err)
	}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
	Data   map[string]any
	Errors []struct {
		Message    string
		Extensions map[string]any
	}
}

// code returns that of the first error, or "".
func (r *reply) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	code, _ := r.Errors[0].Extensions["code"].(string)
	return code
}

// send sends a request with pairs of header names and values, and reads the reply.
func (s *site) send(t *testing.T, method, path, body string, headers ...string) *reply {
	t.Helper()
	return s.sendBy(t, http.DefaultClient, method, path, body, headers...)
}

func (s *site) sendBy(t *testing.T, client *http.Client, method, path, body string, headers ...string) *reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := &reply{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, r); err != nil {
			t.Fatalf("the body is not JSON: %v\n%s", err, text)
		}
	}
	return r
}

// ask sends an operation.
func (s *site) ask(t *testing.T, query string, headers ...string) *reply {
	t.Helper()
	return s.send(t, http.MethodPost, "/graphql", operation(query), append([]string{"Content-Type", "application/json"}, headers...)...)
}

func operation(query string) string {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func logIn(address, password, session string) string {
	return `mutation { logIn(input: {email: "` + address + `", password: "` + password + `", session: ` + session + `}) { token expiresAt } }`
}

func (s *site) token(t *testing.T) string {
	t.Helper()
	r := s.ask(t, logIn(email, password, "TOKEN"))
	payload, _ := r.Data["logIn"].(map[string]any)
	token, _ := payload["token"].(string)
	if token == "" {
		t.Fatalf("no token in %s", r.body)
	}
	return token
}

const whoAmI = `{ viewer { user { name } } }`

func (r *reply) want(t *testing.T, status int, code string) {
	t.Helper()
	if r.status != status || r.code() != code {
		t.Errorf("got %d with code %q, want %d with %q\n%s", r.status, r.code(), status, code, r.body)
	}
}

func TestABearerTokenLogsIn(t *testing.T) {
	s := newSite(t, nil)
	token := s.token(t)
	r := s.ask(t, whoAmI, "Authorization", "Bearer "+token)
	r.want(t, 200, "")
	if want := `{"data":{"viewer":{"user":{"name":"Olive Ashdown"}}}}`; r.body != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
	s.ask(t, whoAmI, "Authorization", "bearer  "+token).want(t, 200, "")
	s.ask(t, whoAmI).want(t, 200, "UNAUTHENTICATED")
	for _, wrong := range []string{"Bearer " + token + "x", "Bearer", "Basic b3duZXI6cGFzc3dvcmQ=", token} {
		s.ask(t, whoAmI, "Authorization", wrong).want(t, 200, "UNAUTHENTICATED")
	}
}

func TestAnEndedSessionEndsAtOnce(t *testing.T) {
	s := newSite(t, nil)
	token := s.token(t)
	s.ask(t, `mutation { logOut { loggedOut } }`, "Authorization", "Bearer "+token).want(t, 200, "")
	s.ask(t, whoAmI, "Authorization", "Bearer "+token).want(t, 200, "UNAUTHENTICATED")

	token = s.token(t)
	s.clock.pass(31 * 24 * time.Hour)
	s.ask(t, whoAmI, "Authorization", "Bearer "+token).want(t, 200, "UNAUTHENTICATED")
}

// TestARefusedSessionSaysWhy pauses the viewer under their session: public fields are answered, and the others know why
// they are not.
func TestARefusedSessionSaysWhy(t *testing.T) {
	s := newSite(t, nil)
	token := s.token(t)
	err := s.db.Write(authz.Trusted(t.Context()), func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.Update().SetAccessPausedAt(s.clock.Now()).Exec(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	r := s.ask(t, whoAmI, "Authorization", "Bearer "+token)
	r.want(t, 200, "UNAUTHENTICATED")
	if r.Errors[0].Extensions["reason"] != "ACCESS_PAUSED" {
		t.Errorf("it does not say why: %s", r.body)
	}
	s.ask(t, `{ __typename }`, "Authorization", "Bearer "+token).want(t, 200, "")
}

func TestACookieLogsIn(t *testing.T) {
	s := newSite(t, nil)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	ask := func(query string, headers ...string) *reply {
		return s.sendBy(t, browser, http.MethodPost, "/graphql", operation(query), append([]string{"Content-Type", "application/json"}, headers...)...)
	}
	r := ask(logIn(email, password, "COOKIE"))
	r.want(t, 200, "")
	if payload := r.Data["logIn"].(map[string]any); payload["token"] != nil {
		t.Error("the token of a cookie session can be read by a script")
	}
	ask(whoAmI).want(t, 200, "")
	ask(whoAmI, "Authorization", "Bearer wrong").want(t, 200, "UNAUTHENTICATED")

	out := ask(`mutation { logOut { loggedOut } }`)
	out.want(t, 200, "")
	if c := out.header.Get("Set-Cookie"); !strings.HasPrefix(c, "canopy_session=; ") || !strings.Contains(c, "Max-Age=0") {
		t.Errorf("logging out leaves the cookie: %q", c)
	}
	ask(whoAmI).want(t, 200, "UNAUTHENTICATED")
}

func TestTheCookieIsForTheBrowserAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(*server.Config)
		headers []string
		secure  bool
	}{
		"http":                            {},
		"https in front":                  {change: func(c *server.Config) { c.SecureCookies = true }, secure: true},
		"a trusted proxy says https":      {change: func(c *server.Config) { c.TrustedProxy = true }, headers: []string{"X-Forwarded-Proto", "https"}, secure: true},
		"a trusted proxy says http":       {change: func(c *server.Config) { c.TrustedProxy = true }, headers: []string{"X-Forwarded-Proto", "http"}},
		"somebody not trusted says https": {headers: []string{"X-Forwarded-Proto", "https"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tc.change)
			r := s.ask(t, logIn(email, password, "COOKIE"), tc.headers...)
			cookies := (&http.Response{Header: r.header}).Cookies()
			if len(cookies) != 1 {
				t.Fatalf("%d cookies: %s", len(cookies), r.body)
			}
			c := cookies[0]
			if c.Name != "canopy_session" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("the cookie is %s", c)
			}
			if want := int((30 * 24 * time.Hour).Seconds()); c.MaxAge != want {
				t.Errorf("it lasts %d s, the session %d s", c.MaxAge, want)
			}
			if c.Secure != tc.secure {
				t.Errorf("Secure is %t", c.Secure)
			}
		})
	}
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	s := newSite(t, func(c *server.Config) { c.AllowedOrigins = []string{"https://app.example.com"} })
	session := cookieOf(t, s)
	for name, tc := range map[string]struct {
		headers []string
		status  int
	}{
		"no browser":                    {nil, 200},
		"the same origin":               {[]string{"Sec-Fetch-Site", "same-origin", "Origin", s.URL}, 200},
		"an old browser":                {[]string{"Origin", s.URL}, 200},
		"another site":                  {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"another host of the same site": {[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://other.localhost"}, 403},
		"another site, an old browser":  {[]string{"Origin", "https://evil.example"}, 403},
		"no origin at all":              {[]string{"Origin", "null"}, 403},
		"the allow-list":                {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.ask(t, whoAmI, append([]string{"Cookie", session}, tc.headers...)...)
			code := ""
			if tc.status == 403 {
				code = "FORBIDDEN"
			}
			r.want(t, tc.status, code)
			// Neither may they log somebody in.
			s.ask(t, logIn(email, password, "COOKIE"), tc.headers...).want(t, tc.status, code)
		})
	}
}

func cookieOf(t *testing.T, s *site) string {
	t.Helper()
	set := s.ask(t, logIn(email, password, "COOKIE")).header.Get("Set-Cookie")
	session, _, _ := strings.Cut(set, ";")
	return session
}

func TestABrowserLearnsWhichOriginsAreAllowed(t *testing.T) {
	s := newSite(t, func(c *server.Config) { c.AllowedOrigins = []string{"https://app.example.com"} })
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type", "Origin"}
	r := s.send(t, http.MethodOptions, "/graphql", "", append(preflight, "https://app.example.com")...)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Methods": "POST",
		"Access-Control-Allow-Credentials": "true", "Vary": "Origin",
	} {
		if got := r.header.Get(name); r.status != 204 || got != want {
			t.Errorf("%d, %s is %q, want %q", r.status, name, got, want)
		}
	}
	r = s.send(t, http.MethodOptions, "/graphql", "", append(preflight, "https://evil.example")...)
	if got := r.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("https://evil.example may see answers: %q", got)
	}
	r = newSite(t, nil).send(t, http.MethodOptions, "/graphql", "", append(preflight, "https://app.example.com")...)
	if got := r.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("without an allow-list %q is allowed", got)
	}
}

func TestAnAllowListOfNoOrigins(t *testing.T) {
	db := testdb.SQLite(t)
	for _, origin := range []string{"app.example.com", "https://app.example.com/path", "*"} {
		_, err := server.New(server.Config{DB: db, Directory: &directory.Service{}, Desk: &desk.Service{}, AllowedOrigins: []string{origin}})
		if err == nil {
			t.Errorf("%q passes for an origin", origin)
		}
	}
}

// TestRequestsThatCannotBeExecuted also proves that nothing of a body comes back.
func TestRequestsThatCannotBeExecuted(t *testing.T) {
	s := newSite(t, nil)
	const secret = "hunter2-hunter2"
	asJSON := []string{"Content-Type", "application/json"}
	for name, tc := range map[string]struct {
		method, body string
		headers      []string
		status       int
		code         string
	}{
		"GET":                   {"GET", "", nil, 405, "BAD_USER_INPUT"},
		"PUT":                   {"PUT", operation(whoAmI), asJSON, 405, "BAD_USER_INPUT"},
		"no content type":       {"POST", operation(whoAmI), nil, 415, "BAD_USER_INPUT"},
		"plain text":            {"POST", operation(whoAmI), []string{"Content-Type", "text/plain"}, 415, "BAD_USER_INPUT"},
		"a form":                {"POST", "query=" + secret, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "BAD_USER_INPUT"},
		"files":                 {"POST", secret, []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, "BAD_USER_INPUT"},
		"another charset":       {"POST", operation(whoAmI), []string{"Content-Type", "application/json; charset=latin1"}, 415, "BAD_USER_INPUT"},
		"compressed":            {"POST", secret, append(asJSON, "Content-Encoding", "gzip"), 415, "BAD_USER_INPUT"},
		"too large":             {"POST", `{"query":"` + strings.Repeat(" ", 1<<20) + secret + `"}`, asJSON, 413, "BAD_USER_INPUT"},
		"nothing":               {"POST", "", asJSON, 400, "BAD_USER_INPUT"},
		"no JSON":               {"POST", `{"query": ` + secret, asJSON, 400, "BAD_USER_INPUT"},
		"half of it":            {"POST", `{"query": "` + secret, asJSON, 400, "BAD_USER_INPUT"},
		"more than one":         {"POST", operation(whoAmI) + `{"x":"` + secret + `"}`, asJSON, 400, "BAD_USER_INPUT"},
		"a list":                {"POST", "[" + operation(whoAmI) + "]", asJSON, 400, "BAD_USER_INPUT"},
		"no query":              {"POST", `{"variables": {"x": "` + secret + `"}}`, asJSON, 400, "BAD_USER_INPUT"},
		"variables of text":     {"POST", `{"query": "{viewer{user{name}}}", "variables": "` + secret + `"}`, asJSON, 400, "BAD_USER_INPUT"},
		"a query of a number":   {"POST", `{"query": 42}`, asJSON, 400, "BAD_USER_INPUT"},
		"no GraphQL":            {"POST", operation(`{ viewer `), asJSON, 400, "GRAPHQL_PARSE_FAILED"},
		"an unknown field":      {"POST", operation(`{ nothingOfTheKind }`), asJSON, 400, "GRAPHQL_VALIDATION_FAILED"},
		"an unknown operation":  {"POST", `{"query": "query A {viewer{user{name}}}", "operationName": "B"}`, asJSON, 400, "GRAPHQL_VALIDATION_FAILED"},
		"a missing variable":    {"POST", operation(`query($id: ID!) { node(id: $id) { id } }`), asJSON, 400, "GRAPHQL_VALIDATION_FAILED"},
		"executed, but refused": {"POST", operation(whoAmI), asJSON, 200, "UNAUTHENTICATED"},
		"JSON with a charset":   {"POST", operation(`{ __typename }`), []string{"Content-Type", "application/json; charset=UTF-8"}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.send(t, tc.method, "/graphql", tc.body, tc.headers...)
			r.want(t, tc.status, tc.code)
			if strings.Contains(r.body, secret) {
				t.Error("what was sent comes back")
			}
			if got := r.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("it is answered as %q", got)
			}
			if r.status == 405 && r.header.Get("Allow") != "GET, OPTIONS, POST" {
				t.Errorf("allowed is %q", r.header.Get("Allow"))
			}
		})
	}
	if strings.Contains(s.log(), secret) {
		t.Error("what was sent stands in the log")
	}
}

func TestTheAnswerHasTheTypeThatIsAskedFor(t *testing.T) {
	s := newSite(t, nil)
	for accept, want := range map[string]string{
		"": "application/json; charset=utf-8", "*/*": "application/json; charset=utf-8",
		"application/graphql-response+json, application/json;q=0.9": "application/graphql-response+json; charset=utf-8",
	} {
		if got := s.ask(t, `{ __typename }`, "Accept", accept).header.Get("Content-Type"); got != want {
			t.Errorf("%q is answered as %q, want %q", accept, got, want)
		}
	}
}

func TestLoggingInIsLimited(t *testing.T) {
	s := newSite(t, func(c *server.Config) {
		c.TrustedProxy = true
		c.LogIns = server.LogInLimits{
			PerPair:    server.Allowance{Burst: 3, Every: time.Minute},
			PerEmail:   server.Allowance{Burst: 3, Every: time.Minute},
			PerAddress: server.Allowance{Burst: 4, Every: time.Minute},
		}
	})
	try := func(address, from, code string) {
		t.Helper()
		// What the client itself says about where it comes from does not count.
		s.ask(t, logIn(address, "wrong wrong wrong", "TOKEN"), "X-Forwarded-For", rand.Text()+", "+from).want(t, 200, code)
	}
	try(email, "192.0.2.1", "UNAUTHENTICATED")
	try("Owner@Acacia.example", "192.0.2.1", "UNAUTHENTICATED")
	try(email, "192.0.2.2", "UNAUTHENTICATED")
	try(email, "192.0.2.3", "RATE_LIMITED")
	try("nobody@acacia.example", "192.0.2.1", "UNAUTHENTICATED")
	try("somebody@acacia.example", "192.0.2.1", "UNAUTHENTICATED")
	try("anybody@acacia.example", "192.0.2.1", "RATE_LIMITED")
	s.clock.pass(time.Minute)
	try(email, "192.0.2.1", "UNAUTHENTICATED")
	try(email, "192.0.2.4", "RATE_LIMITED")

	for _, from := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"} {
		try(from+"@acacia.example", from, "UNAUTHENTICATED")
	}
	try("six@acacia.example", "2001:db8::5", "RATE_LIMITED")
	try("six@acacia.example", "2001:db8:1::5", "UNAUTHENTICATED")
}

func TestOneAddressLocksNobodyOut(t *testing.T) {
	s := newSite(t, func(c *server.Config) { c.TrustedProxy = true })
	limited := false
	for range server.DefaultLogInLimits().PerPair.Burst + 1 {
		limited = s.ask(t, logIn(email, "wrong wrong wrong", "TOKEN"), "X-Forwarded-For", "192.0.2.1").code() == "RATE_LIMITED"
	}
	if !limited {
		t.Error("one address may try without end")
	}
	s.ask(t, logIn(email, password, "TOKEN"), "X-Forwarded-For", "192.0.2.2").want(t, 200, "")
}

func TestManyAttemptsInOneRequestCountEach(t *testing.T) {
	s := newSite(t, func(c *server.Config) {
		c.LogIns = server.LogInLimits{
			PerPair:    server.Allowance{Burst: 2, Every: time.Minute},
			PerEmail:   server.Allowance{Burst: 2, Every: time.Minute},
			PerAddress: server.Allowance{Burst: 100, Every: time.Minute},
		}
	})
	var query strings.Builder
	for _, alias := range []string{"a", "b", "c"} {
		query.WriteString(alias + strings.TrimSuffix(strings.TrimPrefix(strings.Replace(logIn(email, "wrong wrong wrong", "TOKEN"), " logIn", ":logIn", 1), "mutation {"), "}"))
	}
	r := s.ask(t, "mutation { "+query.String()+" }")
	var codes []string
	for _, e := range r.Errors {
		codes = append(codes, e.Extensions["code"].(string))
	}
	if got := strings.Join(codes, " "); got != "UNAUTHENTICATED UNAUTHENTICATED RATE_LIMITED" {
		t.Errorf("got %s\n%s", got, r.body)
	}
}

func TestWhoeverCannotBeAuthenticatedIsNotServed(t *testing.T) {
	s := newSite(t, nil)
	token := s.token(t)
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.ask(t, `{ __typename }`, "Authorization", "Bearer "+token, "X-Request-Id", "away")
	r.want(t, 500, "INTERNAL_SERVER_ERROR")
	if r.Errors[0].Extensions["id"] != "away" {
		t.Errorf("the error has no id: %s", r.body)
	}
	if log := s.log(); !strings.Contains(log, "authenticating failed") || !strings.Contains(log, "request_id=away") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	if strings.Contains(r.body, "sql") || strings.Contains(r.body, "database") {
		t.Errorf("too much is told: %s", r.body)
	}
}

func TestHealth(t *testing.T) {
	s := newSite(t, nil)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if r := s.send(t, "GET", path, ""); r.status != 200 || r.body != want {
			t.Errorf("%s: %d %q", path, r.status, r.body)
		}
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if r := s.send(t, "GET", "/readyz", ""); r.status != 503 {
		t.Errorf("ready without a database: %d %q", r.status, r.body)
	}
	if r := s.send(t, "GET", "/healthz", ""); r.status != 200 {
		t.Errorf("restarted because the database is away: %d %q", r.status, r.body)
	}
}

func TestARequestHasOneID(t *testing.T) {
	s := newSite(t, nil)
	var ids []string
	for given, kept := range map[string]bool{
		"abc-123_X.y": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, `a"b`: false, "ä": false,
	} {
		r := s.ask(t, `{ __typename }`, "X-Request-Id", given)
		got := r.header.Get("X-Request-Id")
		if got == "" || (got == given) != kept {
			t.Errorf("%q is answered with %q", given, got)
		}
		ids = append(ids, got)
	}
	log := s.log()
	for _, id := range ids {
		if !strings.Contains(log, "request_id="+id) {
			t.Errorf("%q is not in the log", id)
		}
	}
}

func TestTheAuditTrailHasTheIDOfTheRequest(t *testing.T) {
	s := newSite(t, nil)
	token := s.token(t)
	s.ask(t, `mutation { updateViewer(input: {name: "Olive"}) { viewer { user { name } } } }`,
		"Authorization", "Bearer "+token, "X-Request-Id", "renaming-1").want(t, 200, "")
	r := s.ask(t, `{ auditEvents(first: 1) { nodes { requestId } } }`, "Authorization", "Bearer "+token)
	if want := `{"data":{"auditEvents":{"nodes":[{"requestId":"renaming-1"}]}}}`; r.body != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
}

func TestTheLogSaysWhoAskedWhatAndHoldsNoSecret(t *testing.T) {
	s := newSite(t, nil)
	token := s.token(t)
	s.ask(t, `query Mine { viewer { user { name } } }`, "Authorization", "Bearer "+token, "Cookie", "canopy_session=secret")
	log := s.log()
	for _, want := range []string{"operation=mutation", `operation="query Mine"`, "user=1", "status=200", "client=127.0.0.1", "path=/graphql"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	for _, secret := range []string{token, password, "secret", "Authorization"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestMetricsAreNotAmongTheRoutes(t *testing.T) {
	s := newSite(t, nil)
	if r := s.send(t, "GET", "/metrics", ""); r.status != 404 {
		t.Errorf("everybody sees the metrics: %d", r.status)
	}
	s.ask(t, whoAmI)
	answer := httptest.NewRecorder()
	s.server.Metrics().ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), "GET", "/metrics", nil))
	for _, want := range []string{
		`canopy_http_requests_total{route="/graphql",status="200"} 1`, `canopy_graphql_errors_total{code="UNAUTHENTICATED"} 1`,
		`canopy_http_request_duration_seconds_count{route="/graphql"} 1`, "go_goroutines",
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestIntrospectionAndPlaygroundCanBeSwitchedOff(t *testing.T) {
	on, off := newSite(t, nil), newSite(t, func(c *server.Config) { c.Introspection, c.Playground = false, false })
	const schema = `{ __schema { queryType { name } } }`
	on.ask(t, schema).want(t, 200, "")
	if r := off.ask(t, schema); r.code() == "" {
		t.Errorf("the schema is shown: %s", r.body)
	}
	if r := on.send(t, "GET", "/", ""); r.status != 200 || !strings.Contains(r.body, "canopy-config") {
		t.Errorf("there is no playground: %d", r.status)
	}
	if r := off.send(t, "GET", "/", ""); r.status != 404 {
		t.Errorf("there is a playground: %d", r.status)
	}
}
