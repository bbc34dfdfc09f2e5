package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"canopy/ent/generated/migrate"

	"entgo.io/ent/dialect/sql/schema"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// The codes of PostgreSQL by which errors are told apart.
const (
	pgForeignKeyViolation  = "23503"
	pgUniqueViolation      = "23505"
	pgSerializationFailure = "40001"
	pgDeadlockDetected     = "40P01"
	pgLockNotAvailable     = "55P03"
	pgQueryCanceled        = "57014"
)

// UniqueViolation says whether err is the database's refusal of a second row with the same values in the unique
// index of that name, as ent/schema gives it.
func UniqueViolation(err error, index string) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgUniqueViolation && pg.ConstraintName == index
	}
	var lite sqlite3.Error
	if !errors.As(err, &lite) || lite.ExtendedCode != sqlite3.ErrConstraintUnique {
		return false
	}
	columns := uniqueColumns(index)
	return columns != "" && strings.HasSuffix(lite.Error(), "UNIQUE constraint failed: "+columns)
}

// uniqueColumns returns how SQLite names a unique index, which is by its columns: "groups.account_id, groups.name".
func uniqueColumns(index string) string {
	for _, t := range migrate.Tables {
		if i := slices.IndexFunc(t.Indexes, func(x *schema.Index) bool { return x.Name == index && x.Unique }); i >= 0 {
			var names []string
			for _, c := range t.Indexes[i].Columns {
				names = append(names, t.Name+"."+c.Name)
			}
			return strings.Join(names, ", ")
		}
		for _, c := range t.Columns {
			if c.Unique && index == t.Name+"_"+c.Name+"_key" {
				return t.Name + "." + c.Name
			}
		}
	}
	return ""
}

// ForeignKeyViolation says whether err is the database's refusal of a row that refers to none, or of the removal of
// one that is referred to.
func ForeignKeyViolation(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgForeignKeyViolation
	}
	var lite sqlite3.Error
	return errors.As(err, &lite) && lite.ExtendedCode == sqlite3.ErrConstraintForeignKey
}

// worthRetrying says that the database gave a transaction up in favour of another one, and undid it.
func worthRetrying(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgSerializationFailure || pg.Code == pgDeadlockDetected || pg.Code == pgLockNotAvailable
	}
	var lite sqlite3.Error
	return errors.As(err, &lite) && (lite.Code == sqlite3.ErrBusy || lite.Code == sqlite3.ErrLocked)
}

// Unreachable says whether err means that the server of the database is not there, or is there and does not let anybody
// in for now: it starts, stops, or has no connection left. A wrong password and a database that does not exist are
// something else, because waiting does not mend them, and so is a caller who went away.
func Unreachable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "08") || slices.Contains(awayCodes, pg.Code)
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	var dialing *net.OpError
	var name *net.DNSError
	return errors.As(err, &dialing) || errors.As(err, &name) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// awayCodes are those of a server that ends connections, takes no more, or takes no writes: too many connections; ended by
// an administrator, a crash, or for having been idle; starting or stopping; a primary that became a standby.
var awayCodes = []string{"53300", "57P01", "57P02", "57P03", "57P05", "25006", "25P03"}

// Unavailable says whether err means that the database cannot do its work right now and may do it a moment later: it is
// not reached, it has no room, memory or time left, its disk fails, or it gave a statement up in favour of others.
func Unavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// The classes of what is short, and of what fails below the database; and a timeout of the server's own.
		short := strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "58") || pg.Code == pgQueryCanceled
		return short || worthRetrying(err) || Unreachable(err)
	}
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		switch lite.Code {
		case sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrCantOpen:
			return true
		}
		return worthRetrying(err)
	}
	return Unreachable(err)
}

// outcomeUnknown says of the error of a COMMIT that it does not tell whether the transaction was committed. PostgreSQL
// answers with an error that is not fatal when it rolled back; SQLite says so in every case but that of a disk that
// fails. What pgconn.SafeToRetry says does not count here: a connection that broke off under a COMMIT is for it one that
// was closed before.
func outcomeUnknown(err error) bool {
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		return lite.Code == sqlite3.ErrIoErr
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC"
	}
	return !errors.Is(err, sql.ErrTxDone) && !errors.Is(err, pgx.ErrTxCommitRollback)
}
