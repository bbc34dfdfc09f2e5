package server

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"canopy/web"
)

func builtPages() fstest.MapFS {
	file := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	return fstest.MapFS{
		"playground.html":              file(`<html>` + configPlace + `</script></html>`),
		"assets/playground-1a2b.js":    file("plain script"),
		"assets/playground-1a2b.js.gz": file("compressed script"),
		"assets/icons-3c4d.ttf":        file("font"),
		"assets/notes.md":              file("not of a kind that a page consists of"),
	}
}

func bothPlaygrounds(cfg PlaygroundConfig) map[string]http.Handler {
	return map[string]http.Handler{
		"built": newBuiltPlayground(cfg, builtPages()),
		"CDN":   newCDNPlayground(cfg),
	}
}

func askPlayground(t *testing.T, h http.Handler, method, target string, header http.Header) (*http.Response, string) {
	t.Helper()
	request := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		request.Header[name] = values
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	body, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Result(), string(body)
}

func TestPlaygroundPage(t *testing.T) {
	for variant, handler := range bothPlaygrounds(PlaygroundConfig{Endpoint: "/graphql"}) {
		t.Run(variant, func(t *testing.T) {
			response, body := askPlayground(t, handler, http.MethodGet, "/", nil)
			if response.StatusCode != http.StatusOK {
				t.Fatalf("status %d", response.StatusCode)
			}
			for name, want := range map[string]string{
				"Content-Type":               "text/html; charset=utf-8",
				"Cache-Control":              "no-store",
				"X-Content-Type-Options":     "nosniff",
				"Referrer-Policy":            "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin",
			} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if !strings.HasPrefix(body, "<") {
				t.Errorf("not a page: %.40q", body)
			}
			if response, body := askPlayground(t, handler, http.MethodHead, "/", nil); response.StatusCode != http.StatusOK || body != "" {
				t.Errorf("HEAD: status %d, body %.40q", response.StatusCode, body)
			}
		})
	}
}

func TestPlaygroundPolicy(t *testing.T) {
	for variant, handler := range bothPlaygrounds(PlaygroundConfig{Endpoint: "/graphql"}) {
		t.Run(variant, func(t *testing.T) {
			response, _ := askPlayground(t, handler, http.MethodGet, "/", nil)
			policy := map[string][]string{}
			for directive := range strings.SplitSeq(response.Header.Get("Content-Security-Policy"), "; ") {
				words := strings.Fields(directive)
				policy[words[0]] = words[1:]
			}
			for directive, want := range map[string]string{
				"default-src": "'none'", "connect-src": "'self'", "worker-src": "'self'",
				"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
			} {
				if got := strings.Join(policy[directive], " "); got != want {
					t.Errorf("%s %s, want %s", directive, got, want)
				}
			}
			for _, unsafe := range []string{"'unsafe-inline'", "'unsafe-eval'", "data:", "blob:", "*", "https:"} {
				if slices.Contains(policy["script-src"], unsafe) {
					t.Errorf("script-src allows %s", unsafe)
				}
			}
			for directive, sources := range policy {
				for _, source := range sources {
					if strings.Contains(source, "//") && (variant == "built" || !strings.HasPrefix(source, "https://cdn.jsdelivr.net/npm/")) {
						t.Errorf("%s allows %s", directive, source)
					}
				}
			}
		})
	}
}

func TestPlaygroundFromCDNPinsWhatItLoads(t *testing.T) {
	response, body := askPlayground(t, newCDNPlayground(PlaygroundConfig{Endpoint: "/graphql"}), http.MethodGet, "/", nil)
	policy := response.Header.Get("Content-Security-Policy")
	exact := regexp.MustCompile(`"(https://cdn\.jsdelivr\.net/npm/[a-z-]+@\d+\.\d+\.\d+/[^"]+)"`)
	foreign := 0
	for _, tag := range regexp.MustCompile(`<(?:script|link)\b[^>]*>`).FindAllString(html.UnescapeString(body), -1) {
		if !strings.Contains(tag, "//") {
			continue
		}
		foreign++
		url := exact.FindStringSubmatch(tag)
		if url == nil {
			t.Errorf("not one file of an exact version: %s", tag)
			continue
		}
		if !strings.Contains(policy, " "+url[1]) {
			t.Errorf("the policy does not allow %s", url[1])
		}
		if !regexp.MustCompile(`integrity="sha384-[A-Za-z0-9+/]{64}"`).MatchString(tag) || !strings.Contains(tag, `crossorigin="anonymous"`) {
			t.Errorf("not pinned: %s", tag)
		}
	}
	if want := len(cdnScripts) + len(cdnStyles); foreign != want {
		t.Errorf("%d files from elsewhere, want %d", foreign, want)
	}
}

// Every file that the page without a bundler names has to be there, and what those files import too.
func TestPlaygroundFromCDNServesItsOwnFiles(t *testing.T) {
	handler := newCDNPlayground(PlaygroundConfig{Endpoint: "/graphql"})
	_, page := askPlayground(t, handler, http.MethodGet, "/", nil)
	named := regexp.MustCompile(`(?:src|href)="/assets/([^"]+)"|from '\./([^']+)'|url\('\./([^']+)'\)`)

	seen := map[string]bool{}
	var visit func(text string)
	visit = func(text string) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			name := match[1] + match[2] + match[3]
			if seen[name] {
				continue
			}
			seen[name] = true
			response, body := askPlayground(t, handler, http.MethodGet, "/assets/"+name, nil)
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s: status %d", name, response.StatusCode)
			}
			if got := response.Header.Get("Cache-Control"); got != "no-cache" {
				t.Errorf("%s has no hash in its name and is cached %q", name, got)
			}
			visit(body)
		}
	}
	visit(page)
	for _, name := range []string{"cdn.js", "config.js", "fetcher.js", "session.js", "playground.css", "icon.svg"} {
		if !seen[name] {
			t.Errorf("%s is not used", name)
		}
	}
}

func TestPlaygroundAssets(t *testing.T) {
	handler := newBuiltPlayground(PlaygroundConfig{Endpoint: "/graphql"}, builtPages())
	accepts := func(encoding string) http.Header { return http.Header{"Accept-Encoding": {encoding}} }
	for _, test := range []struct {
		name, target string
		header       http.Header
		contentType  string
		encoding     string
		body         string
	}{
		{"plain", "/assets/playground-1a2b.js", nil, "text/javascript; charset=utf-8", "", "plain script"},
		{"compressed", "/assets/playground-1a2b.js", accepts("br, gzip"), "text/javascript; charset=utf-8", "gzip", "compressed script"},
		{"gzip refused", "/assets/playground-1a2b.js", accepts("gzip;q=0"), "text/javascript; charset=utf-8", "", "plain script"},
		{"never compressed", "/assets/icons-3c4d.ttf", accepts("gzip"), "font/ttf", "", "font"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, body := askPlayground(t, handler, http.MethodGet, test.target, test.header)
			if response.StatusCode != http.StatusOK || body != test.body {
				t.Errorf("status %d, body %q, want %q", response.StatusCode, body, test.body)
			}
			for name, want := range map[string]string{
				"Content-Type":           test.contentType,
				"Content-Encoding":       test.encoding,
				"Vary":                   "Accept-Encoding",
				"Cache-Control":          "public, max-age=31536000, immutable",
				"X-Content-Type-Options": "nosniff",
			} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if response.Header.Get("Content-Security-Policy") == "" {
				t.Error("a worker's script came without a policy")
			}
		})
	}
}

func TestPlaygroundServesNothingElse(t *testing.T) {
	for variant, handler := range bothPlaygrounds(PlaygroundConfig{Endpoint: "/graphql"}) {
		for _, target := range []string{
			"/nothing", "/assets/", "/assets/missing.js", "/assets/notes.md", "/playground.html", "/assets/..%2fplayground.html",
			"/assets/..%2f..%2fweb.go", "/assets/..%2f..%2fmissing.js", "/assets/playground-1a2b.js.gz",
		} {
			response, _ := askPlayground(t, handler, http.MethodGet, target, nil)
			if response.StatusCode != http.StatusNotFound {
				t.Errorf("%s, GET %s: status %d", variant, target, response.StatusCode)
			}
			if caching := response.Header.Get("Cache-Control"); strings.Contains(caching, "immutable") {
				t.Errorf("%s, GET %s: a missing file is cached for good", variant, target)
			}
		}
		if response, _ := askPlayground(t, handler, http.MethodPost, "/", nil); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s, POST /: status %d", variant, response.StatusCode)
		}
	}
}

func TestPlaygroundConfigReachesThePage(t *testing.T) {
	cfg := PlaygroundConfig{Endpoint: "/graphql", Demo: &Demo{
		Password: `"</script><script>alert(1)</script>`,
		Logins:   []DemoLogin{{Label: "Olga <Owner> & more", Description: "<!--<script>\u2028", Account: "acme", Email: "olga@acme.example"}},
	}}
	for variant, handler := range bothPlaygrounds(cfg) {
		t.Run(variant, func(t *testing.T) {
			_, page := askPlayground(t, handler, http.MethodGet, "/", nil)
			_, rest, _ := strings.Cut(page, configPlace)
			text, _, _ := strings.Cut(rest, "</script>")
			if strings.ContainsAny(text, "<>&\u2028") {
				t.Errorf("not escaped: %s", text)
			}
			var got struct {
				Endpoint string
				Demo     *Demo
				Tabs     []web.Tab
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			if got.Endpoint != cfg.Endpoint || got.Demo == nil || got.Demo.Password != cfg.Demo.Password || !slices.Equal(got.Demo.Logins, cfg.Demo.Logins) {
				t.Errorf("got %+v", got)
			}
			if fromCDN := variant == "CDN"; fromCDN != (len(got.Tabs) > 0) {
				t.Errorf("%d tabs: the built page has its own, the other one has none", len(got.Tabs))
			}
		})
	}
}

func TestPlaygroundWithoutDemoOffersNobody(t *testing.T) {
	for variant, handler := range bothPlaygrounds(PlaygroundConfig{Endpoint: "/graphql"}) {
		if _, page := askPlayground(t, handler, http.MethodGet, "/", nil); strings.Contains(page, `"demo"`) {
			t.Errorf("%s: %s", variant, page)
		}
	}
}

func playgroundSchema(t *testing.T) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// The tabs are the first thing that anybody runs, so each has to be valid, its variables included.
func TestStarterTabsFitTheSchema(t *testing.T) {
	schema := playgroundSchema(t)
	tabs := web.StarterTabs()
	if len(tabs) < 10 {
		t.Errorf("only %d tabs", len(tabs))
	}
	for _, tab := range tabs {
		document, errs := gqlparser.LoadQueryWithRules(schema, tab.Query, rules.NewDefaultRules())
		if errs != nil {
			t.Errorf("%s\n%s", errs, tab.Query)
			continue
		}
		variables := map[string]any{}
		if tab.Variables != "" {
			if err := json.Unmarshal([]byte(tab.Variables), &variables); err != nil {
				t.Errorf("%s: %s", err, tab.Variables)
			}
		}
		declared := map[string]bool{}
		for _, operation := range document.Operations {
			if _, err := validator.VariableValues(schema, operation, variables); err != nil {
				t.Errorf("%s: %s", operation.Name, err)
			}
			for _, variable := range operation.VariableDefinitions {
				declared[variable.Variable] = true
			}
		}
		for name := range variables {
			if !declared[name] {
				t.Errorf("%s: no operation has a variable $%s", document.Operations[0].Name, name)
			}
		}
	}
}

// What the page itself asks stands in a script, where no compiler looks at it.
func TestPlaygroundOperationsFitTheSchema(t *testing.T) {
	schema := playgroundSchema(t)
	_, script := askPlayground(t, newCDNPlayground(PlaygroundConfig{}), http.MethodGet, "/assets/session.js", nil)
	operations := regexp.MustCompile("= `((?:query|mutation) [^`]+)`").FindAllStringSubmatch(script, -1)
	if len(operations) != 3 {
		t.Fatalf("found %d operations, want those to look, to log in and to log out", len(operations))
	}
	for _, operation := range operations {
		if _, errs := gqlparser.LoadQueryWithRules(schema, operation[1], rules.NewDefaultRules()); errs != nil {
			t.Errorf("%s\n%s", errs, operation[1])
		}
	}
}
