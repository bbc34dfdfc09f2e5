package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"canopy/server"
	"canopy/store"

	"golang.org/x/sync/errgroup"
)

type serveCommand struct {
	Listen string `default:"127.0.0.1:8080" help:"Address to serve on; port 0 takes a free one."`
	databaseFlags
	DatabaseReplica string `placeholder:"ADDRESS" help:"postgres:// address of a streaming replica of the database, which answers queries as far as they may be a moment old."`
	Synchronous     string `default:"FULL" enum:"FULL,NORMAL,EXTRA" help:"SQLite only. FULL keeps every acknowledged change through a power cut; NORMAL is faster and may lose the last ones."`
	logFlags

	MetricsListen   string        `placeholder:"HOST:PORT" help:"Address to serve /metrics on, for Prometheus; without it there are none."`
	Introspection   bool          `default:"true" negatable:"" help:"Answer questions about the schema."`
	Playground      bool          `default:"true" negatable:"" help:"Serve the playground at /."`
	MaxDepth        int           `default:"64" help:"Greatest depth of a group, 1 to 64; the root has 0."`
	SessionLifetime time.Duration `default:"720h" help:"How long a session lasts after logging in."`
	AllowedOrigin   []string      `placeholder:"ORIGIN" help:"Origin of a page on another host that may use the API, such as https://app.example.com; can be repeated."`
	SecureCookies   bool          `help:"Browsers reach the server by https only: mark the session cookie as Secure."`
	TrustedProxy    bool          `help:"Every request comes through one reverse proxy: believe its X-Forwarded-For and X-Forwarded-Proto."`
	DrainDelay      time.Duration `default:"5s" help:"How long to go on taking requests after SIGTERM, while /readyz answers 503, for a load balancer to notice; Ctrl-C does not wait."`
}

// Validate refuses what the flags' types let through.
func (c *serveCommand) Validate() error {
	switch {
	case c.MaxDepth < 1 || c.MaxDepth > 64:
		return errors.New("--max-depth is 1 to 64")
	case c.SessionLifetime < time.Minute:
		return errors.New("--session-lifetime is at least one minute")
	case c.DrainDelay < 0:
		return errors.New("--drain-delay cannot be negative")
	}
	return nil
}

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context, std streams) (err error) {
	tuneMemory()
	log := c.logger(std)
	db, err := await(ctx, log, func() (*store.DB, error) {
		return open(ctx, store.Options{URL: c.Database, Replica: c.DatabaseReplica, Synchronous: c.Synchronous, Log: log})
	})
	switch {
	case err != nil && ctx.Err() != nil: // it was asked to stop while it waited
		return nil
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	services := newServices(db, c.SessionLifetime, c.MaxDepth)
	return host{
		listen: c.Listen, metricsListen: c.MetricsListen, drain: c.DrainDelay, log: log,
		config: server.Config{
			DB: db, Directory: services.directory, Desk: services.desk, Log: log,
			Introspection: c.Introspection, Playground: c.Playground,
			SecureCookies: c.SecureCookies, TrustedProxy: c.TrustedProxy, AllowedOrigins: c.AllowedOrigin,
		},
		greet: func(w io.Writer, address string) { greet(w, address, c.Database, db) },
	}.run(ctx, std)
}

func greet(w io.Writer, address, database string, db *store.DB) {
	if db.Dialect() == "postgres" {
		database = "PostgreSQL" // its address holds a password
	}
	fmt.Fprintf(w, "Canopy serves %s at %s\n", database, address)
}

// host runs a server on its listeners.
type host struct {
	config        server.Config
	listen        string
	metricsListen string
	drain         time.Duration
	log           *slog.Logger
	greet         func(w io.Writer, address string) // tells the reader that the server answers
}

func (h host) run(ctx context.Context, std streams) error {
	s, err := server.New(h.config)
	if err != nil {
		return err
	}
	listener, err := listen(h.listen)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if h.metricsListen != "" {
		metrics, err := listen(h.metricsListen)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		fmt.Fprintf(std.out, "Metrics are at http://%s/metrics\n", metrics.Addr())
		group.Go(func() error { return s.ServeMetrics(ctx, metrics) })
	}
	group.Go(func() error { return s.Serve(ctx, listener, h.drain) })
	group.Go(func() error {
		h.config.Directory.CarryMoves(ctx, func(err error) {
			h.log.Error("a big branch could not be carried to its new place; trying again", "error", err)
		})
		return nil
	})
	group.Go(func() error {
		h.config.Desk.RunTimers(ctx, func(err error) {
			h.log.Error("something that was due failed; trying again later", "error", err)
		})
		return nil
	})
	h.greet(std.out, "http://"+listener.Addr().String()+"/")
	return group.Wait()
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the server cannot listen: %w", err)
	}
	return l, nil
}
