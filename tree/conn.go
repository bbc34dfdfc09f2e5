package tree

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"entgo.io/ent/dialect"
)

// An account may be the whole table, and SQLite has nothing but the statistics of the migrations to know it by: left to
// itself it can take any index for good that begins with account_id. Two things in the statements of this package do
// not leave it to that, and mean nothing to PostgreSQL: +account_id, which no index serves, and CROSS JOIN, which is
// done in the order in which it is written.

// Conn is what the package needs of a database: *ent.Tx for what changes something, *ent.Client or *ent.Tx for what
// only reads.
type Conn interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	Dialect() string
}

func isPostgres(c Conn) bool { return c.Dialect() == dialect.Postgres }

// locking returns the clause on PostgreSQL and nothing on SQLite, where a transaction that writes is alone.
func locking(c Conn, clause string) string {
	if isPostgres(c) {
		return " " + clause
	}
	return ""
}

// idsOf returns a parenthesised query with one column, id, over a parameter that was made by jsonOf from ids. It can
// stand after IN and, with an alias, in FROM. One parameter for any number of ids keeps clear of the databases'
// limits and of a new statement for each number.
func idsOf(c Conn, param string) string {
	if isPostgres(c) {
		return "(SELECT CAST(v AS BIGINT) AS id FROM jsonb_array_elements_text(CAST(" + param + " AS TEXT)::jsonb) AS v)"
	}
	return "(SELECT value AS id FROM json_each(" + param + "))"
}

// jsonOf returns a list of numbers, or of lists of numbers and texts, as the text of a JSON array.
func jsonOf(list any) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return string(text)
}

// exec runs one statement and returns the number of rows that it changed.
func exec(ctx context.Context, c Conn, query string, args ...any) (int64, error) {
	result, err := c.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// collect runs one query and hands each row to scan.
func collect(ctx context.Context, c Conn, scan func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("reading a row: %w", err)
		}
	}
	return rows.Err()
}

// one runs a query of one row.
func one(ctx context.Context, c Conn, dest []any, query string, args ...any) error {
	return collect(ctx, c, func(rows *sql.Rows) error { return rows.Scan(dest...) }, query, args...)
}
