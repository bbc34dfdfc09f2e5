package testdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/ent/migrations"

	"github.com/jackc/pgx/v5"
)

// postgresTemplate returns the name of a migrated database on the server. It is made once for each state of the
// migration files and stays there for the processes to come.
func postgresTemplate(server string) (string, error) {
	made, _ := templates.LoadOrStore(server, sync.OnceValues(func() (string, error) { return makeTemplate(server) }))
	return made.(func() (string, error))()
}

var templates sync.Map // of func() (string, error), by server

func makeTemplate(server string) (string, error) {
	ctx := context.Background()
	sum, err := fingerprint(migrations.Files, "postgres")
	if err != nil {
		return "", err
	}
	name := "canopy_template_" + sum
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	// Held until the connection closes: one process makes the template, the others wait for it.
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", err
	}
	var exists bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return name, err
	}
	building := name + "_building"
	if _, err := c.Exec(ctx, "DROP DATABASE IF EXISTS "+building); err != nil {
		return "", err
	}
	if err := create(ctx, c, building, emptyDatabase); err != nil {
		return "", err
	}
	address, err := withDatabase(server, building)
	if err != nil {
		return "", err
	}
	if err := migrate(postgresOptions(address)); err != nil {
		return "", err
	}
	return name, rename(ctx, c, building, name)
}

// rename waits for the last connections to be gone: the server may notice later that they were closed.
func rename(ctx context.Context, c *pgx.Conn, from, to string) error {
	if _, err := c.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", from); err != nil {
		return err
	}
	_, err := c.Exec(ctx, "ALTER DATABASE "+from+" RENAME TO "+to)
	return err
}

func fingerprint(files fs.FS, folder string) (string, error) {
	names, err := fs.Glob(files, folder+"/*.sql")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// database makes a database for one test, out of the template, and drops it after the test.
func database(t testing.TB, server, template string) string {
	t.Helper()
	address, drop, err := Database(context.Background(), server, template)
	if err != nil {
		t.Fatalf("making a database: %v", err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Errorf("dropping the database: %v", err)
		}
	})
	return address
}

// emptyDatabase is the template of a database without tables.
const emptyDatabase = "template0"

// create makes a database. An empty one sorts text as English speakers expect, which is what most servers do: a
// column that needs the order of bytes has to say so itself.
func create(ctx context.Context, c *pgx.Conn, name, template string) error {
	statement := "CREATE DATABASE " + name + " TEMPLATE " + template
	if template == emptyDatabase {
		statement += " LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
	}
	_, err := c.Exec(ctx, statement)
	return err
}

// Database makes a database on the server out of a template (empty: without tables) and returns its address, and a
// function that drops it with everything that is still connected to it.
func Database(ctx context.Context, server, template string) (address string, drop func() error, err error) {
	name := "canopy_test_" + strings.ToLower(rand.Text())
	if address, err = withDatabase(server, name); err != nil {
		return "", nil, err
	}
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", nil, err
	}
	defer c.Close(ctx)
	if err := create(ctx, c, name, cmp.Or(template, emptyDatabase)); err != nil {
		return "", nil, err
	}
	return address, func() error { return remove(server, name) }, nil
}

func remove(server, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	return err
}

func withDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("CANOPY_TEST_POSTGRES is not a postgres:// address: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}
