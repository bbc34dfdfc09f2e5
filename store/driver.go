package store

import (
	"context"
	stdsql "database/sql"
	"slices"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
)

// Observer hears of every statement after it was sent, those of transactions included; BEGIN and COMMIT are not
// statements. For a query, took ends before its rows are read. It is called from many goroutines.
type Observer interface {
	Statement(ctx context.Context, query string, took time.Duration, err error)
}

// sqlConn is what a pool and a transaction have in common for Ent and for raw SQL.
type sqlConn interface {
	dialect.ExecQuerier
	ExecContext(ctx context.Context, query string, args ...any) (stdsql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*stdsql.Rows, error)
}

// conn passes statements on: times in UTC and whole microseconds, since SQLite keeps them as text and PostgreSQL
// keeps no more, and each told to the observer.
type conn struct {
	sqlConn
	observer Observer
}

func (c *conn) observe(ctx context.Context, query string, began time.Time, err error) {
	if c.observer != nil {
		c.observer.Statement(ctx, query, time.Since(began), err)
	}
}

func (c *conn) Exec(ctx context.Context, query string, args, v any) error {
	began := time.Now()
	err := c.sqlConn.Exec(ctx, query, normal(args), v)
	c.observe(ctx, query, began, err)
	return err
}

func (c *conn) Query(ctx context.Context, query string, args, v any) error {
	began := time.Now()
	err := c.sqlConn.Query(ctx, query, normal(args), v)
	c.observe(ctx, query, began, err)
	return err
}

func (c *conn) ExecContext(ctx context.Context, query string, args ...any) (stdsql.Result, error) {
	began := time.Now()
	result, err := c.sqlConn.ExecContext(ctx, query, normalAll(args)...)
	c.observe(ctx, query, began, err)
	return result, err
}

func (c *conn) QueryContext(ctx context.Context, query string, args ...any) (*stdsql.Rows, error) {
	began := time.Now()
	rows, err := c.sqlConn.QueryContext(ctx, query, normalAll(args)...)
	c.observe(ctx, query, began, err)
	return rows, err
}

// normal accepts what Ent hands to a driver: a slice of arguments, or something for the driver to complain about.
func normal(args any) any {
	if list, ok := args.([]any); ok {
		return normalAll(list)
	}
	return args
}

// normalAll leaves the caller's slice as it is.
func normalAll(args []any) []any {
	out, copied := args, false
	for i, a := range args {
		var t time.Time
		switch a := a.(type) {
		case time.Time:
			t = a
		case *time.Time:
			if a == nil {
				continue
			}
			t = *a
		default:
			continue
		}
		if !copied {
			out, copied = slices.Clone(args), true
		}
		out[i] = t.UTC().Truncate(time.Microsecond)
	}
	return out
}

// entDriver is Ent's driver over one pool.
type entDriver struct {
	conn
	pool *entsql.Driver
}

func newDriver(name string, pool *stdsql.DB, o Observer) *entDriver {
	d := entsql.OpenDB(name, pool)
	return &entDriver{conn: conn{sqlConn: d, observer: o}, pool: d}
}

func (d *entDriver) Dialect() string { return d.pool.Dialect() }
func (d *entDriver) Close() error    { return d.pool.Close() }

func (d *entDriver) Tx(ctx context.Context) (dialect.Tx, error) { return d.BeginTx(ctx, nil) }

// BeginTx is what Ent asks for by an interface of its own.
func (d *entDriver) BeginTx(ctx context.Context, o *stdsql.TxOptions) (dialect.Tx, error) {
	t, err := d.pool.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	raw := t.(*entsql.Tx)
	return &tx{conn: conn{sqlConn: raw, observer: d.observer}, raw: raw}, nil
}

type tx struct {
	conn
	raw *entsql.Tx
}

func (t *tx) Commit() error   { return t.raw.Commit() }
func (t *tx) Rollback() error { return t.raw.Rollback() }
