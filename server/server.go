// Package server puts Canopy on HTTP: the GraphQL endpoint with its own transports (POST, subscriptions over WebSocket and
// over Server-Sent Events), sessions by Bearer token and by cookie, the limit on log-ins, health, metrics, the playground,
// and a shutdown that drains.
//
// It knows nothing about groups, users or contacts: it reads a request, finds out with directory who asks, and hands
// the operation to the executor of graph, which decides and answers everything else.
package server

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"canopy/desk"
	"canopy/directory"
	"canopy/graph"
	"canopy/store"

	"github.com/99designs/gqlgen/graphql"
)

// Config is what a server is made of. DB, Directory and Desk are needed; everything else may be left out.
type Config struct {
	DB        *store.DB
	Directory *directory.Service
	Desk      *desk.Service

	Log *slog.Logger     // left out: nothing is logged
	Now func() time.Time // left out: the real time

	Introspection bool  // answers questions about the schema itself
	Playground    bool  // shows GraphiQL at /
	Demo          *Demo // the people that the playground offers to log in as

	// SecureCookies says that browsers reach the server by https only, through something that ends TLS in front of it.
	SecureCookies bool
	// TrustedProxy says that every request comes through one reverse proxy, whose X-Forwarded-For and X-Forwarded-Proto
	// are believed.
	TrustedProxy bool
	// AllowedOrigins are the origins ("https://app.example.com") of pages on other hosts that may use the API from a
	// browser.
	AllowedOrigins []string
	// LogIns limits attempts to log in; left out: DefaultLogInLimits.
	LogIns LogInLimits
}

// Server answers HTTP requests; it is safe for concurrent use.
type Server struct {
	cfg      Config
	exec     graphql.GraphExecutor
	origins  origins
	metrics  *metrics
	streams  *streams
	running  sync.WaitGroup // what the API does beside operations
	handler  http.Handler
	draining atomic.Bool
}

// New returns a server over an open, migrated database. It fails for an origin that is none.
func New(cfg Config) (*Server, error) {
	if cfg.DB == nil || cfg.Directory == nil || cfg.Desk == nil {
		return nil, errors.New("server: a database, the directory and the desk are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.LogIns == (LogInLimits{}) {
		cfg.LogIns = DefaultLogInLimits()
	}
	allowed, err := newOrigins(cfg.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, origins: allowed, metrics: newMetrics(), streams: newStreams(defaultStreamLimits())}
	s.exec, err = graph.New(graph.Config{
		DB: cfg.DB, Directory: cfg.Directory, Desk: cfg.Desk, Now: cfg.Now, Running: &s.running, Log: cfg.Log,
		Introspection: cfg.Introspection, LogIns: &logInLimiter{db: cfg.DB, limits: cfg.LogIns, now: cfg.Now},
	})
	if err != nil {
		return nil, err
	}
	s.handler = s.withRequest(s.routes())
	return s, nil
}

// ServeHTTP answers a request to any of the routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Metrics returns the handler of /metrics. It is not among the routes, because not everybody who may send a query
// shall know how much the company has to do: it is for a listener of its own.
func (s *Server) Metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler())
	return mux
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/graphql", s.serveGraphQL)
	mux.HandleFunc("GET /healthz", s.serveHealth)
	mux.HandleFunc("GET /readyz", s.serveReadiness)
	if s.cfg.Playground {
		mux.Handle("/", NewPlayground(PlaygroundConfig{Endpoint: "/graphql", Demo: s.cfg.Demo}))
	}
	return mux
}
