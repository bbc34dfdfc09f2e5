package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"
)

const (
	busyTimeout    = "10000"   // milliseconds that a connection waits for a lock held by another process
	statementCache = "128"     // prepared statements that a connection keeps
	writerCache    = "-65536"  // kibibytes, negative: with SQLite's 2 MB a large transaction writes its pages out and reads them back
	mmapSize       = 256 << 20 // bytes of the file that a connection reads through the page cache of the system
)

// openSQLite opens one connection that writes and a pool that reads. More writers would only wait for each other, or
// fail when they began as readers.
func (db *DB) openSQLite() error {
	sync, err := synchronous(db.options.Synchronous)
	if err != nil {
		return err
	}
	if db.options.Existing {
		_, err = os.Stat(db.options.URL)
	} else {
		err = createPrivate(db.options.URL)
	}
	if err != nil {
		return fmt.Errorf("store: opening the database file: %w", err)
	}
	db.write = openSQLite(db.options.URL, url.Values{
		"_txlock": {"immediate"}, "_journal_mode": {"WAL"}, "_synchronous": {sync}, "_foreign_keys": {"on"},
		"_cache_size": {writerCache},
	})
	limit(db.write, 1)
	db.read = openSQLite(db.options.URL, url.Values{
		"_query_only": {"on"}, "_synchronous": {sync}, "_foreign_keys": {"on"},
	})
	readers := db.options.Readers
	if readers <= 0 {
		readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	limit(db.read, readers)
	db.keyed = db.read
	return nil
}

// limit keeps all connections of a pool open: each has its own cache of prepared statements.
func limit(pool *sql.DB, connections int) {
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
}

func synchronous(setting string) (string, error) {
	setting = strings.ToUpper(setting)
	if setting == "" {
		return "FULL", nil
	}
	if !slices.Contains([]string{"OFF", "NORMAL", "FULL", "EXTRA"}, setting) {
		return "", fmt.Errorf("store: synchronous is %q; it may be FULL, NORMAL, EXTRA or OFF", setting)
	}
	return setting, nil
}

// createPrivate makes the file before SQLite would: it holds personal data and password hashes, and the files that
// SQLite puts beside it take over its permissions.
func createPrivate(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func openSQLite(name string, settings url.Values) *sql.DB {
	settings.Set("_busy_timeout", busyTimeout)
	settings.Set("_stmt_cache_size", statementCache)
	// Opaque keeps a relative name relative.
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(name)}).EscapedPath(), RawQuery: settings.Encode()}
	return sql.OpenDB(&sqliteConnector{dsn: dsn.String(), driver: &sqlite3.SQLiteDriver{ConnectHook: mapMemory}})
}

func mapMemory(c *sqlite3.SQLiteConn) error {
	_, err := c.Exec(fmt.Sprintf("PRAGMA mmap_size = %d", mmapSize), nil)
	return err
}

// sqliteConnector opens connections without a driver registered under a global name.
type sqliteConnector struct {
	dsn    string
	driver *sqlite3.SQLiteDriver
}

func (c *sqliteConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c *sqliteConnector) Driver() driver.Driver                        { return c.driver }
