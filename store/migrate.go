package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"canopy/ent/migrations"

	"entgo.io/ent/dialect"
	"github.com/pressly/goose/v3"
)

// MigrationState says where a migration stands.
type MigrationState string

// The states of a migration.
const (
	MigrationPending MigrationState = "pending" // to be applied by Migrate
	MigrationApplied MigrationState = "applied"
	MigrationAltered MigrationState = "altered" // applied from a file that says something else now
	MigrationUnknown MigrationState = "unknown" // applied by another version of Canopy, which has the file
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string // of the file
	State     MigrationState
	AppliedAt time.Time // zero while pending

	checksum string
}

// Migrate brings the schema to what this program needs. Each migration is a transaction; one that fails leaves the
// database as the one before it did. Nothing is done if an applied migration was altered or is unknown. Several
// programs may migrate the same database at the same time.
func (db *DB) Migrate(ctx context.Context) error { return db.migrate(ctx, migrations.Files) }

// MigrationStatus lists the migrations in the order of their versions, and changes nothing.
func (db *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	return db.status(ctx, migrations.Files)
}

func (db *DB) migrate(ctx context.Context, files fs.FS) (err error) {
	pool, err := db.openMigrating()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	for {
		before, err := db.status(ctx, files)
		if err != nil {
			return err
		}
		if err := acceptable(before); err != nil {
			return err
		}
		if !slices.ContainsFunc(before, func(m Migration) bool { return m.State == MigrationPending }) {
			return nil // without the lock, so that a start waits for nobody
		}
		err = db.up(ctx, pool, files, before)
		if err == nil {
			return nil
		}
		// SQLite has no lock that outlasts a transaction: another program may have applied the same migration first.
		after, statusErr := db.status(ctx, files)
		if statusErr != nil || slices.Equal(before, after) {
			return fmt.Errorf("store: migrating: %w", errors.Join(err, statusErr))
		}
	}
}

// openMigrating opens a pool of its own. On SQLite its connections do not enforce foreign keys: a table is rebuilt by
// dropping it, and that would empty the tables that refer to it with ON DELETE CASCADE.
func (db *DB) openMigrating() (*sql.DB, error) {
	if db.dialect == dialect.Postgres {
		return openPostgres(db.options.URL, nil)
	}
	sync, err := synchronous(db.options.Synchronous)
	if err != nil {
		return nil, err
	}
	return openSQLite(db.options.URL, url.Values{
		"_txlock": {"immediate"}, "_synchronous": {sync}, "_foreign_keys": {"off"},
	}), nil
}

func acceptable(list []Migration) error {
	for _, m := range list {
		switch m.State {
		case MigrationAltered:
			return fmt.Errorf("store: migration %s was applied to this database from a file that said something else; "+
				"restore the file as it was and write a new migration", m.Name)
		case MigrationUnknown:
			return fmt.Errorf("store: this database has migration %s, which this version of Canopy does not know; "+
				"use the newer version", m.Name)
		}
	}
	return nil
}

func (db *DB) up(ctx context.Context, pool *sql.DB, files fs.FS, known []Migration) error {
	folder, err := fs.Sub(files, folderOf(db.dialect))
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{
		goose.WithStore(&history{dialect: db.dialect, known: known}), goose.WithDisableGlobalRegistry(true),
	}
	if db.dialect == dialect.Postgres {
		options = append(options, goose.WithSessionLocker(advisoryLock{}))
	}
	provider, err := goose.NewProvider(goose.DialectCustom, pool, folder, options...)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// status compares the files with what the database remembers.
func (db *DB) status(ctx context.Context, files fs.FS) ([]Migration, error) {
	list, err := readMigrations(files, folderOf(db.dialect))
	if err != nil {
		return nil, err
	}
	applied, err := (&history{dialect: db.dialect}).applied(ctx, db.write)
	if err != nil {
		return nil, fmt.Errorf("store: reading the applied migrations: %w", err)
	}
	for _, a := range applied {
		i := slices.IndexFunc(list, func(m Migration) bool { return m.Version == a.Version })
		switch {
		case i < 0:
			a.State = MigrationUnknown
			list = append(list, a)
		case list[i].checksum != a.checksum:
			list[i].State, list[i].AppliedAt = MigrationAltered, a.AppliedAt
		default:
			list[i].State, list[i].AppliedAt = MigrationApplied, a.AppliedAt
		}
	}
	slices.SortFunc(list, func(a, b Migration) int { return int(a.Version - b.Version) })
	return list, nil
}

func folderOf(name string) string {
	if name == dialect.SQLite {
		return "sqlite"
	}
	return name
}

// readMigrations lists the files of a folder as pending migrations.
func readMigrations(files fs.FS, folder string) ([]Migration, error) {
	names, err := fs.Glob(files, folder+"/*.sql")
	if err != nil {
		return nil, err
	}
	var list []Migration
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("store: migration %s: %w", name, err)
		}
		list = append(list, Migration{Version: version, Name: path.Base(name), State: MigrationPending, checksum: checksum(text)})
	}
	return list, nil
}

// checksum does not depend on how a checkout ends its lines.
func checksum(text []byte) string {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(string(text), "\r\n", "\n")))
	return hex.EncodeToString(sum[:])
}

// advisoryLock lets one program at a time migrate a PostgreSQL schema.
type advisoryLock struct{}

const lockKey = "hashtextextended('canopy migrations ' || current_schema(), 0)"

func (advisoryLock) SessionLock(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, "SELECT pg_advisory_lock("+lockKey+")")
	return err
}

func (advisoryLock) SessionUnlock(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, "SELECT pg_advisory_unlock("+lockKey+")")
	return err
}
