package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"entgo.io/ent/dialect"
	"github.com/pressly/goose/v3/database"
)

// history is the table in which a database remembers its migrations, for goose. It records in the transaction of the
// migration itself, which makes it the place for the last check before the commit.
type history struct {
	dialect string
	known   []Migration // the files
}

const historyTable = "schema_migrations"

func (h *history) Tablename() string { return historyTable }

func (h *history) TableExists(ctx context.Context, c database.DBTxConn) (bool, error) {
	query := "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1"
	if h.dialect == dialect.Postgres {
		query = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1"
	}
	var n int
	err := c.QueryRowContext(ctx, query, historyTable).Scan(&n)
	return n > 0, err
}

func (h *history) CreateVersionTable(ctx context.Context, c database.DBTxConn) error {
	moment := "TIMESTAMP"
	if h.dialect == dialect.Postgres {
		moment = "TIMESTAMPTZ"
	}
	_, err := c.ExecContext(ctx, "CREATE TABLE "+historyTable+" (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, "+
		"checksum TEXT NOT NULL, applied_at "+moment+" NOT NULL DEFAULT CURRENT_TIMESTAMP)")
	return err
}

// Insert remembers a migration as applied. Version 0 stands for the empty database.
func (h *history) Insert(ctx context.Context, c database.DBTxConn, r database.InsertRequest) error {
	var m Migration
	if i := slices.IndexFunc(h.known, func(m Migration) bool { return m.Version == r.Version }); i >= 0 {
		m = h.known[i]
	} else if r.Version != 0 {
		return fmt.Errorf("version %d is not among the files", r.Version)
	}
	if err := h.checkForeignKeys(ctx, c); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, "INSERT INTO "+historyTable+" (version, name, checksum) VALUES ($1, $2, $3)",
		r.Version, m.Name, m.checksum)
	return err
}

// checkForeignKeys finds on SQLite what was not enforced while the migration ran.
func (h *history) checkForeignKeys(ctx context.Context, c database.DBTxConn) error {
	if h.dialect != dialect.SQLite {
		return nil
	}
	var table, parent string
	var row sql.NullInt64
	var key int
	err := c.QueryRowContext(ctx, "PRAGMA foreign_key_check").Scan(&table, &row, &parent, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checking the foreign keys: %w", err)
	}
	return fmt.Errorf("row %d of %s would refer to a row of %s that does not exist", row.Int64, table, parent)
}

func (h *history) Delete(ctx context.Context, c database.DBTxConn, version int64) error {
	_, err := c.ExecContext(ctx, "DELETE FROM "+historyTable+" WHERE version = $1", version)
	return err
}

func (h *history) GetMigration(ctx context.Context, c database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	r := &database.GetMigrationResult{IsApplied: true}
	err := c.QueryRowContext(ctx, "SELECT applied_at FROM "+historyTable+" WHERE version = $1", version).Scan(&r.Timestamp)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, database.ErrVersionNotFound
	}
	return r, err
}

func (h *history) GetLatestVersion(ctx context.Context, c database.DBTxConn) (int64, error) {
	var version sql.NullInt64
	err := c.QueryRowContext(ctx, "SELECT max(version) FROM "+historyTable).Scan(&version)
	if err == nil && !version.Valid {
		err = database.ErrVersionNotFound
	}
	return version.Int64, err
}

func (h *history) ListMigrations(ctx context.Context, c database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	rows, err := c.QueryContext(ctx, "SELECT version FROM "+historyTable+" ORDER BY version DESC")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []*database.ListMigrationsResult
	for rows.Next() {
		r := &database.ListMigrationsResult{IsApplied: true}
		if err := rows.Scan(&r.Version); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// applied lists what was applied, and nothing for a database that was never migrated.
func (h *history) applied(ctx context.Context, c database.DBTxConn) ([]Migration, error) {
	exists, err := h.TableExists(ctx, c)
	if err != nil || !exists {
		return nil, err
	}
	rows, err := c.QueryContext(ctx, "SELECT version, name, checksum, applied_at FROM "+historyTable+" WHERE version > 0 ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Migration
	for rows.Next() {
		var m Migration
		if err := rows.Scan(&m.Version, &m.Name, &m.checksum, &m.AppliedAt); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, rows.Err()
}
