package store

import (
	"errors"
	"slices"
	"strings"

	"canopy/ent/generated/migrate"

	"entgo.io/ent/dialect/sql/schema"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// The codes of PostgreSQL by which errors are told apart.
const (
	pgForeignKeyViolation  = "23503"
	pgUniqueViolation      = "23505"
	pgSerializationFailure = "40001"
	pgDeadlockDetected     = "40P01"
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
		return pg.Code == pgSerializationFailure || pg.Code == pgDeadlockDetected
	}
	var lite sqlite3.Error
	return errors.As(err, &lite) && (lite.Code == sqlite3.ErrBusy || lite.Code == sqlite3.ErrLocked)
}
