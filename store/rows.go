package store

import (
	"context"
	"database/sql"
	"errors"
)

// Querier runs SQL that Ent does not write: *ent.Client and *ent.Tx do. The row rules do not apply to it.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	Dialect() string
}

// EachRow runs the query and fn for every row of its answer, and stops at the first error.
func EachRow(ctx context.Context, q Querier, query string, args []any, fn func(*sql.Rows) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
