package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/schema"
	"canopy/store"

	"github.com/alexedwards/argon2id"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mattn/go-sqlite3" // the floor's driver
)

// dataset is an open database with the company that is measured on, and the same database once more without Canopy.
type dataset struct {
	size
	address string
	db      *store.DB
	plain   *sql.DB
	counter *counter

	directory *directory.Service
	desk      *desk.Service
	account   *ent.Account
	largest   int64 // group below the root with the most contacts; 0 until it was looked for
}

func (d *dataset) postgres() bool { return d.db.Dialect() == postgres }

// counter counts statements.
type counter struct{ atomic.Int64 }

// Statement takes part in store.Observer.
func (c *counter) Statement(context.Context, string, time.Duration, error) { c.Add(1) }

// The dialects, as Ent calls them.
const (
	sqlite   = "sqlite3"
	postgres = "postgres"
)

// size is how large a company is.
type size struct {
	name             string
	groups, contacts int
}

func sizeOf(name string) (size, error) {
	for _, s := range []size{{"tiny", 120, 800}, {"1k", 1_000, 1_000}, {"100k", 100_000, 100_000}, {"1M", 1_000_000, 500_000}} {
		if s.name == name {
			return s, nil
		}
	}
	return size{}, fmt.Errorf("%q is no size; there are tiny, 1k, 100k and 1M", name)
}

// cellar is where the data sets lie.
type cellar struct {
	folder   string
	server   string // address of a PostgreSQL, empty for none
	progress io.Writer
}

// open opens a data set. If it is not there it is made first, under another name until it is complete.
func (c cellar) open(ctx context.Context, dialect string, s size) (*dataset, error) {
	shelf := shelf(file(filepath.Join(c.folder, "canopy-"+s.name+".db")))
	if dialect == postgres {
		shelf = database{c.server, "canopy_bench_" + strings.ToLower(s.name)} // names without quotes are of small letters
	}
	found, err := shelf.exists(ctx)
	if err != nil {
		return nil, err
	}
	if !found {
		fmt.Fprintf(c.progress, "Making the data set %s on %s …\n", s.name, dialect)
		began := time.Now()
		if err := shelf.make(ctx, func(address string) error { return fill(ctx, address, s) }); err != nil {
			return nil, fmt.Errorf("making the data set %s on %s: %w", s.name, dialect, err)
		}
		fmt.Fprintf(c.progress, "… made in %s.\n", time.Since(began).Round(time.Second))
	}
	return openDataset(ctx, shelf.address(), s)
}

// shelf is the place of one data set.
type shelf interface {
	address() string
	exists(ctx context.Context) (bool, error)
	make(ctx context.Context, fill func(address string) error) error
}

// file is a data set on SQLite.
type file string

func (f file) address() string { return string(f) }

func (f file) exists(context.Context) (bool, error) {
	_, err := os.Stat(string(f))
	return err == nil, ignore(err, os.ErrNotExist)
}

func (f file) make(_ context.Context, fill func(string) error) error {
	building := string(f) + ".building"
	for _, left := range []string{"", "-wal", "-shm"} {
		if err := ignore(os.Remove(building+left), os.ErrNotExist); err != nil {
			return err
		}
	}
	if err := fill(building); err != nil {
		return err
	}
	return os.Rename(building, string(f))
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// database is a data set on PostgreSQL.
type database struct{ server, name string }

func (d database) address() string { return d.at(d.name) }

func (d database) at(name string) string {
	u, _ := url.Parse(d.server) // it was connected to
	u.Path = "/" + name
	return u.String()
}

func (d database) exists(ctx context.Context) (found bool, err error) {
	err = d.ask(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", d.name).Scan(&found)
	})
	return found, err
}

func (d database) make(ctx context.Context, fill func(string) error) error {
	building := d.name + "_building"
	run := func(statements ...string) error {
		return d.ask(ctx, func(c *pgx.Conn) error {
			for _, s := range statements {
				if _, err := c.Exec(ctx, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := run("DROP DATABASE IF EXISTS "+building+" WITH (FORCE)", "CREATE DATABASE "+building+" TEMPLATE template0"); err != nil {
		return err
	}
	if err := fill(d.at(building)); err != nil {
		return err
	}
	return run("ALTER DATABASE " + building + " RENAME TO " + d.name)
}

func (d database) ask(ctx context.Context, fn func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return err
	}
	return errors.Join(fn(c), c.Close(ctx))
}

// openDataset opens what has been made, or is about to be.
func openDataset(ctx context.Context, address string, s size) (*dataset, error) {
	d := &dataset{size: s, address: address, counter: &counter{}}
	var err error
	if d.db, err = store.Open(ctx, store.Options{URL: address, Observer: d.counter}); err != nil {
		return nil, err
	}
	if err := d.db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	if d.plain, err = openPlain(d.db.Dialect(), address); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	d.desk = &desk.Service{DB: d.db, Now: time.Now}
	d.directory = &directory.Service{
		DB: d.db, Now: time.Now, Rand: rand.Reader, MaxDepth: schema.MaxDepth, Handover: d.desk,
		Argon2: argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16}, // passwords are not measured
	}
	d.account, err = d.db.Read.Account.Query().Where(account.Slug(slug)).Only(authz.Trusted(ctx))
	if err != nil && !ent.IsNotFound(err) {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *dataset) close() error { return errors.Join(d.plain.Close(), d.db.Close()) }

// openPlain opens the floor's database: the settings that Canopy opens it with, and nothing of Canopy.
func openPlain(dialect, address string) (*sql.DB, error) {
	if dialect == postgres {
		config, err := pgx.ParseConfig(address)
		if err != nil {
			return nil, err
		}
		config.RuntimeParams["jit"] = "off"
		return stdlib.OpenDB(*config), nil
	}
	settings := url.Values{
		"_txlock": {"immediate"}, "_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_foreign_keys": {"on"},
		"_busy_timeout": {"10000"}, "_stmt_cache_size": {"128"},
	}
	return sql.Open("sqlite3", "file:"+address+"?"+settings.Encode())
}
