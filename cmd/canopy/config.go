package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"canopy/desk"
	"canopy/directory"
	"canopy/ent/schema"
	"canopy/server"
	"canopy/store"
)

// databaseFlags say where the data is.
type databaseFlags struct {
	Database string `default:"canopy.db" help:"File of an SQLite database, made if it is not there, or a postgres:// address."`
}

// open opens the database and brings its schema up to date.
func open(ctx context.Context, o store.Options) (*store.DB, error) {
	db, err := store.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// The pauses between attempts to reach a database.
const (
	shortestWait = 250 * time.Millisecond
	longestWait  = 10 * time.Second
)

// await opens a database that may still have to start, for as long as it takes or until the context ends: a server is
// often started together with its database, and whoever started both gives up when they like. What waiting does not
// mend, such as a wrong password, is an error at once.
func await(ctx context.Context, log *slog.Logger, open func() (*store.DB, error)) (*store.DB, error) {
	for wait := shortestWait; ; wait = min(2*wait, longestWait) {
		db, err := open()
		if err == nil || ctx.Err() != nil || !store.Unreachable(err) {
			return db, err
		}
		log.Warn("waiting for the database", "error", oneLine(err), "again_in", wait)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// logFlags say how the log looks. It goes to the standard error.
type logFlags struct {
	LogFormat string     `default:"text" enum:"text,json" help:"Form of the lines of the log: text or json."`
	LogLevel  slog.Level `default:"info" help:"Least important lines to log: debug, info, warn or error."`
}

func (f logFlags) logger(std streams) *slog.Logger {
	return server.NewLogger(std.err, f.LogFormat == "json", f.LogLevel)
}

// services are the use-cases over a database, at their real costs and the real time.
type services struct {
	directory *directory.Service
	desk      *desk.Service
}

func newServices(db *store.DB, sessionLifetime time.Duration, maxDepth int) services {
	d := &desk.Service{DB: db, Now: time.Now}
	return services{
		desk: d,
		directory: &directory.Service{
			DB: db, Now: time.Now, Rand: rand.Reader, MaxDepth: maxDepth, Handover: d,
			CookieLifetime: sessionLifetime, TokenLifetime: sessionLifetime,
		},
	}
}

// operate opens the database for an operator's command and closes it after fn.
func (f databaseFlags) operate(ctx context.Context, fn func(*directory.Service) error) error {
	db, err := open(ctx, store.Options{URL: f.Database})
	if err != nil {
		return err
	}
	return errors.Join(fn(newServices(db, 0, schema.MaxDepth).directory), db.Close())
}

// The garbage collector of a server: an answer leaves much behind at once, so collecting seldom saves two fifths of the
// processor's time, and the soft limit keeps that from taking more memory than a small machine has.
const (
	collectAt  = 400     // percent of growth
	softMemory = 1 << 30 // bytes
)

// tuneMemory applies those, where GOGC and GOMEMLIMIT do not say otherwise.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}
