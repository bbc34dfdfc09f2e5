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
	replica  *replica // where statements go whose context says so; nil: nowhere
	observer Observer
}

// begin returns where the context sends a statement, and what is to be told how it ended.
func (c *conn) begin(ctx context.Context, query string) (to sqlConn, ended func(error)) {
	to = c.sqlConn
	away := c.replica != nil && ctx.Value(replicaKey{}) == c.replica
	if away {
		to = c.replica.conn
	}
	began := time.Now()
	return to, func(err error) {
		if away && err != nil {
			c.replica.failed(err)
		}
		if c.observer != nil {
			c.observer.Statement(ctx, query, time.Since(began), err)
		}
	}
}

func (c *conn) Exec(ctx context.Context, query string, args, v any) error {
	to, ended := c.begin(ctx, query)
	err := to.Exec(ctx, query, normal(args), v)
	ended(err)
	return err
}

func (c *conn) Query(ctx context.Context, query string, args, v any) error {
	to, ended := c.begin(ctx, query)
	err := to.Query(ctx, query, normal(args), v)
	ended(err)
	return err
}

func (c *conn) ExecContext(ctx context.Context, query string, args ...any) (stdsql.Result, error) {
	to, ended := c.begin(ctx, query)
	result, err := to.ExecContext(ctx, query, normalAll(args)...)
	ended(err)
	return result, err
}

func (c *conn) QueryContext(ctx context.Context, query string, args ...any) (*stdsql.Rows, error) {
	to, ended := c.begin(ctx, query)
	rows, err := to.QueryContext(ctx, query, normalAll(args)...)
	ended(err)
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

func newDriver(name string, pool *stdsql.DB, r *replica, o Observer) *entDriver {
	d := entsql.OpenDB(name, pool)
	return &entDriver{conn: conn{sqlConn: d, replica: r, observer: o}, pool: d}
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
