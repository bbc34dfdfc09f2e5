// Package store is where Canopy meets its database: it opens SQLite and PostgreSQL, keeps the pools, runs
// transactions, applies the migrations, tells the errors of the drivers apart, and counts what somebody may do only so
// often.
//
// It is the only package that builds an ent.Client, so every client carries the row rules of ent/rule. It knows
// nothing about what is stored: tables come from ent/schema, use-cases live in directory and desk, the statements
// under the tree in package tree.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	ent "canopy/ent/generated"
	"canopy/ent/rule"

	"entgo.io/ent/dialect"
)

// Options say which database to open, and how. Only URL has no default.
type Options struct {
	// URL is a file name, or a sqlite: or file: address, for SQLite; a postgres:// address for PostgreSQL.
	URL string
	// Synchronous is SQLite's setting of that name: FULL (the default) keeps an acknowledged write through a power
	// cut, NORMAL may lose the last ones, OFF may lose the database.
	Synchronous string
	// Existing refuses an SQLite file that is not there, instead of creating it.
	Existing bool
	// Readers is the greatest number of connections that read at the same time. The default suits the machine.
	Readers int
	// Writers is the greatest number of connections that write at the same time, on PostgreSQL. SQLite has one.
	Writers int
	// Replica is the postgres:// address of one streaming replica that OnReplica may read from; empty: there is none.
	Replica string
	// MaxStaleness is how far behind the replica may be to be read from; 5 seconds unless it is set.
	MaxStaleness time.Duration
	// Log hears when the replica begins and ceases to be read from; nil: nobody does.
	Log *slog.Logger
	// Observer hears of every statement, if it is set.
	Observer Observer
}

// DB is an open database.
type DB struct {
	// Read is the client for reading. It refuses every mutation, and so do its connections for raw SQL. It reads from
	// the primary, unless the context is one of OnReplica.
	Read *ent.Client
	// Keyed is Read for statements that find all of their rows by keys, whatever the values are: PostgreSQL plans them
	// once and not each time, which takes longer than many of them do.
	Keyed *ent.Client

	dialect  string
	options  Options
	observer Observer
	read     *sql.DB
	keyed    *sql.DB // on SQLite the same as read
	write    *sql.DB
	replica  *replica // nil: there is none
	writer   *ent.Client

	publishing publishing
}

// Open connects to the database and does not migrate it: the schema may be older than the program, or not be there.
// An SQLite file that does not exist is created, readable by its owner only.
func Open(ctx context.Context, o Options) (*DB, error) {
	name, target, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	o.URL = target
	db := &DB{dialect: name, options: o, observer: o.Observer}
	if name == dialect.SQLite {
		err = db.openSQLite()
	} else {
		err = db.openPostgres()
	}
	if err != nil {
		return nil, err
	}
	if o.Replica != "" {
		err = db.openReplica()
	}
	if err == nil {
		err = db.Ping(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if db.replica != nil {
		db.replica.start()
	}
	db.startPublishing()
	db.Read = db.client(db.read, db.replica)
	db.Read.Use(readOnly)
	db.Keyed = db.client(db.keyed, db.replica)
	db.Keyed.Use(readOnly)
	db.writer = db.client(db.write, nil)
	return db, nil
}

// client builds a client over the pool, with the row rules on it.
func (db *DB) client(pool *sql.DB, r *replica) *ent.Client {
	c := ent.NewClient(ent.Driver(newDriver(db.dialect, pool, r, db.observer)))
	rule.Install(c)
	return c
}

// errReadOnly is what a mutation on DB.Read fails with.
var errReadOnly = errors.New("store: the read client does not write; use DB.Write")

func readOnly(ent.Mutator) ent.Mutator {
	return ent.MutateFunc(func(context.Context, ent.Mutation) (ent.Value, error) { return nil, errReadOnly })
}

// Dialect returns "sqlite3" or "postgres", as in entgo.io/ent/dialect.
func (db *DB) Dialect() string { return db.dialect }

// Observer returns what hears of every statement, or nil.
func (db *DB) Observer() Observer { return db.observer }

// Ping says whether the database can be read from and written to right now. It does not ask the replica, without which
// everything goes on.
func (db *DB) Ping(ctx context.Context) error {
	for _, pool := range []*sql.DB{db.write, db.read, db.keyed} {
		if err := pool.PingContext(ctx); err != nil {
			return fmt.Errorf("store: reaching the database: %w", err)
		}
	}
	return nil
}

// Close waits for statements that are under way and closes all connections.
func (db *DB) Close() error {
	var err error
	db.stopPublishing()
	if db.replica != nil {
		err = db.replica.close()
	}
	return errors.Join(err, db.read.Close(), db.keyed.Close(), db.write.Close())
}

// parseURL returns the dialect that the address asks for, and the file name or the address itself.
func parseURL(address string) (name, target string, err error) {
	scheme, rest, found := strings.Cut(address, ":")
	switch {
	case address == "":
		return "", "", errors.New("store: no database is named; give a file name or a postgres:// address")
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return dialect.Postgres, address, nil
	case found && (scheme == "sqlite" || scheme == "sqlite3" || scheme == "file"):
		if strings.Contains(rest, "?") {
			return "", "", errors.New("store: the address of an SQLite file takes no settings; write a question mark as %3F")
		}
		if rest, err = url.PathUnescape(strings.TrimPrefix(rest, "//")); err != nil {
			return "", "", fmt.Errorf("store: the database address cannot be read: %w", err)
		}
		return sqliteFile(rest)
	case strings.Contains(address, "://"):
		return "", "", fmt.Errorf("store: a database of the kind %q is not supported; use SQLite or PostgreSQL", scheme)
	}
	return sqliteFile(address)
}

func sqliteFile(name string) (string, string, error) {
	if name == "" || strings.HasPrefix(name, ":memory:") || strings.ContainsRune(name, 0) {
		return "", "", fmt.Errorf("store: %q is not the name of a database file", name)
	}
	return dialect.SQLite, name, nil
}
