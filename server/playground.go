package server

import (
	"bytes"
	"encoding/json"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"canopy/web"
)

// PlaygroundConfig is what the playground's page is told. Whoever opens the page can read all of it.
type PlaygroundConfig struct {
	Endpoint string // path of the GraphQL endpoint on this host
	Demo     *Demo  // nil unless the server runs on demo data
}

// Demo offers the playground's reader the demo people to log in as.
type Demo struct {
	Password string      `json:"password"` // the same for all of them
	Logins   []DemoLogin `json:"logins"`
}

// DemoLogin is one demo person: Label and Description are for the reader, Account and Email for the login.
type DemoLogin struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Account     string `json:"account"`
	Email       string `json:"email"`
}

// NewPlayground returns the handler of the playground: the page at / and its files below /assets/. It finds nothing at
// any other path.
func NewPlayground(cfg PlaygroundConfig) http.Handler {
	if built, ok := web.Playground(); ok {
		return newBuiltPlayground(cfg, built)
	}
	return newCDNPlayground(cfg)
}

// newBuiltPlayground serves what the bundler made of package web.
func newBuiltPlayground(cfg PlaygroundConfig, built fs.FS) http.Handler {
	page, err := fs.ReadFile(built, "playground.html")
	if err != nil {
		panic(err) // embedded without its page, so no request could ever be answered
	}
	return playground{
		page:   withPlaygroundConfig(page, cfg, nil),
		policy: playgroundPolicy(nil, nil),
		files:  built,
		folder: "assets",
		// The bundler puts a hash of the content into every file's name.
		caching: "public, max-age=31536000, immutable",
	}.handler()
}

// newCDNPlayground serves those files of package web that need no build, around a GraphiQL from a public CDN.
func newCDNPlayground(cfg PlaygroundConfig) http.Handler {
	var page bytes.Buffer
	err := cdnPage.Execute(&page, map[string]any{"Scripts": cdnScripts, "Styles": cdnStyles})
	if err != nil {
		panic(err) // the template and its data are both constant
	}
	return playground{
		page:    withPlaygroundConfig(page.Bytes(), cfg, web.StarterTabs()),
		policy:  playgroundPolicy(cdnScripts, cdnStyles),
		files:   web.Plain(),
		folder:  ".",
		caching: "no-cache",
	}.handler()
}

// playground serves one page and the assets that lie in one folder of files.
type playground struct {
	page    []byte
	policy  string
	files   fs.FS
	folder  string
	caching string
}

func (p playground) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.servePage)
	mux.HandleFunc("GET /assets/{name}", p.serveAsset)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// On every answer, because a worker obeys the policy that its own script came with.
		w.Header().Set("Content-Security-Policy", p.policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
}

func (p playground) servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.page))
}

// assetTypes are the files that a page may consist of. The system's own table is not asked: on some machines it calls
// a script text/plain, which no browser then runs.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".ttf": "font/ttf",
}

func (p playground) serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	contentType, known := assetTypes[path.Ext(name)]
	if !known {
		http.NotFound(w, r)
		return
	}
	content, encoding := p.open(name, acceptsGzip(r))
	if content == nil {
		http.NotFound(w, r)
		return
	}
	defer content.Close()

	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", p.caching)
	w.Header().Set("Vary", "Accept-Encoding")
	if encoding != "" {
		w.Header().Set("Content-Encoding", encoding)
	}
	http.ServeContent(w, r, "", time.Time{}, content)
}

// open returns the asset, where allowed in the form that the bundler compressed beforehand, and the encoding that it
// is in; nil if there is no such asset.
func (p playground) open(name string, gzip bool) (io.ReadSeekCloser, string) {
	if gzip {
		if content := p.openFile(name + ".gz"); content != nil {
			return content, "gzip"
		}
	}
	return p.openFile(name), ""
}

func (p playground) openFile(name string) io.ReadSeekCloser {
	file, err := p.files.Open(path.Join(p.folder, name))
	if err != nil {
		return nil
	}
	return file.(io.ReadSeekCloser) // embedded files are
}

// acceptsGzip reports whether gzip is wanted without a weight. A client that weighs its encodings gets plain files.
func acceptsGzip(r *http.Request) bool {
	encodings := strings.Split(r.Header.Get("Accept-Encoding"), ",")
	return slices.ContainsFunc(encodings, func(e string) bool { return strings.TrimSpace(e) == "gzip" })
}

// configPlace is where both pages wait for their configuration.
const configPlace = `<script type="application/json" id="canopy-config">`

// withPlaygroundConfig writes the configuration into the page. The tabs are for the page that has none of its own.
func withPlaygroundConfig(page []byte, cfg PlaygroundConfig, tabs []web.Tab) []byte {
	before, after, found := bytes.Cut(page, []byte(configPlace))
	if !found {
		panic("server: the playground's page has no place for its configuration")
	}
	// Marshal escapes <, > and &, so that no value can end the element that it stands in.
	config, err := json.Marshal(struct {
		Endpoint string    `json:"endpoint"`
		Demo     *Demo     `json:"demo,omitempty"`
		Tabs     []web.Tab `json:"tabs,omitempty"`
	}{cfg.Endpoint, cfg.Demo, tabs})
	if err != nil {
		panic(err) // strings only
	}
	return slices.Concat(before, []byte(configPlace), config, after)
}

// playgroundPolicy returns a Content-Security-Policy that lets a page speak with its own host alone, and load besides
// exactly the given files.
func playgroundPolicy(scripts, styles []cdnFile) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'" + sources(scripts),
		// Monaco positions each line by a style attribute in the HTML that it writes, and writes its themes into style
		// elements, as do GraphiQL's dialogs. What a style could leak to is closed by the other directives.
		"style-src 'self' 'unsafe-inline'" + sources(styles),
		// Some icons, and the fonts of GraphiQL's CDN build, are embedded in the style sheets.
		"img-src 'self' data:",
		"font-src 'self' data:",
		"connect-src 'self'",
		"worker-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

func sources(files []cdnFile) string {
	var list strings.Builder
	for _, file := range files {
		list.WriteString(" " + file.URL)
	}
	return list.String()
}

// A cdnFile is one file of one exact version of an npm package, as the CDN serves it: unchanged.
type cdnFile struct {
	URL       string
	Integrity string // of the file in the package: openssl dgst -sha384 -binary FILE | base64
}

// GraphiQL 5 comes as modules for bundlers only, so this is the newest 4, with the newest React that has browser builds.
var (
	cdnScripts = []cdnFile{
		{
			URL:       "https://cdn.jsdelivr.net/npm/react@18.3.1/umd/react.production.min.js",
			Integrity: "sha384-DGyLxAyjq0f9SPpVevD6IgztCFlnMF6oW/XQGmfe+IsZ8TqEiDrcHkMLKI6fiB/Z",
		},
		{
			URL:       "https://cdn.jsdelivr.net/npm/react-dom@18.3.1/umd/react-dom.production.min.js",
			Integrity: "sha384-gTGxhz21lVGYNMcdJOyq01Edg0jhn/c22nsx0kyqP0TxaV5WVdsSH1fSDUf5YJj1",
		},
		{
			URL:       "https://cdn.jsdelivr.net/npm/graphiql@4.1.2/graphiql.min.js",
			Integrity: "sha384-9XdHu7ajgGJziD4J1zNBKQ842Q/+zZfDv+ib1eMhZWBH6hPAs806x+Jbcf0yNO6B",
		},
	}
	cdnStyles = []cdnFile{
		{
			URL:       "https://cdn.jsdelivr.net/npm/graphiql@4.1.2/graphiql.min.css",
			Integrity: "sha384-1el1QShFBnnXTx9x/Cprg82hZWKt0ry29OAYIXt05swbi0KcZDFoj0CWguMpopJr",
		},
	}
)

// cdnPage is the sibling of web/playground.html. Deferred scripts and modules run in the order in which they stand.
var cdnPage = template.Must(template.New("playground").Parse(`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Canopy playground</title>
    <link rel="icon" type="image/svg+xml" href="/assets/icon.svg">
    {{range .Styles}}<link rel="stylesheet" href="{{.URL}}" integrity="{{.Integrity}}" crossorigin="anonymous">
    {{end}}<link rel="stylesheet" href="/assets/playground.css">
    <script type="application/json" id="canopy-config"></script>
    {{range .Scripts}}<script defer src="{{.URL}}" integrity="{{.Integrity}}" crossorigin="anonymous"></script>
    {{end}}<script type="module" src="/assets/cdn.js"></script>
  </head>
  <body>
    <header id="session"></header>
    <main id="playground"></main>
  </body>
</html>
`))
