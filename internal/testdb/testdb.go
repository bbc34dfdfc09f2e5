// Package testdb gives tests their databases: every test its own, migrated with the real files, on SQLite and on
// PostgreSQL. One suite for both is how Canopy keeps its promise to run the same on either.
//
// PostgreSQL is used where CANOPY_TEST_POSTGRES holds the address of a server on which databases may be created and
// dropped (scripts/postgres.sh starts one). Without it those tests are skipped, but in CI they fail.
package testdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"canopy/store"
)

// Each runs test once per kind of database, in subtests "sqlite" and "postgres", each time with an empty, migrated
// database that nobody else uses. It is closed and removed when the subtest ends.
func Each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// SQLite returns an empty, migrated SQLite database in a file of its own.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	template, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("migrating the template: %v", err)
	}
	name := filepath.Join(t.TempDir(), "canopy.db")
	if err := os.WriteFile(name, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, sqliteOptions(name))
}

// Copies fills a SQLite database once and returns what opens copies of it, as many as wanted and each alone: for tests
// that need the same world many times. A copy is closed and removed when the test that took it ends.
func Copies(t testing.TB, fill func(db *store.DB)) func(t testing.TB) *store.DB {
	t.Helper()
	name := filepath.Join(t.TempDir(), "filled.db")
	template, err := sqliteTemplate()
	if err == nil {
		err = os.WriteFile(name, template, 0o600)
	}
	if err != nil {
		t.Fatalf("making the database to copy: %v", err)
	}
	o := sqliteOptions(name)
	o.Observer = &Counter{}
	db, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatalf("opening the database: %v", err)
	}
	fill(db)
	if err := db.Close(); err != nil {
		t.Fatalf("closing the database: %v", err)
	}
	filled, err := os.ReadFile(name) // all of it: closing the last connection empties the log beside the file
	if err != nil {
		t.Fatal(err)
	}
	return func(t testing.TB) *store.DB {
		t.Helper()
		name := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(name, filled, 0o600); err != nil {
			t.Fatal(err)
		}
		return open(t, sqliteOptions(name))
	}
}

// Postgres returns an empty, migrated PostgreSQL database, or skips the test where there is no server.
func Postgres(t testing.TB) *store.DB {
	t.Helper()
	server := Server(t)
	template, err := postgresTemplate(server)
	if err != nil {
		t.Fatalf("migrating the template: %v", err)
	}
	return open(t, postgresOptions(database(t, server, template)))
}

// Server returns the address of the PostgreSQL server for tests, or skips the test where there is none.
func Server(t testing.TB) string {
	t.Helper()
	server := os.Getenv("CANOPY_TEST_POSTGRES")
	if server == "" && os.Getenv("CI") == "true" {
		t.Fatal("CANOPY_TEST_POSTGRES is not set; in CI every test runs on PostgreSQL too")
	}
	if server == "" {
		t.Skip("CANOPY_TEST_POSTGRES is not set")
	}
	return server
}

// EachURL is Each for tests that open the database themselves: it is empty and not migrated.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "canopy.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, database(t, Server(t), "")) })
}

// open opens a database that counts its statements.
func open(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	o.Observer = &Counter{}
	db, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatalf("opening the database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return db
}

// sqliteOptions save the waiting for a disk: a test's database need not survive a power cut.
func sqliteOptions(name string) store.Options { return store.Options{URL: name, Synchronous: "OFF"} }

// postgresOptions leave connections to the tests that run at the same time.
func postgresOptions(url string) store.Options {
	return store.Options{URL: url, Readers: 6, Writers: 10}
}

// sqliteTemplate is the migrated file, made once per process.
var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "canopy-template")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "template.db")
	if err := migrate(sqliteOptions(name)); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
})

// migrate opens, migrates and closes a database. Closing the last connection moves all of it into the one file.
func migrate(o store.Options) error {
	ctx := context.Background()
	db, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	return db.Close()
}
