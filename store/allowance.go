package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	ent "canopy/ent/generated"

	"entgo.io/ent/dialect"
)

// Allowance lets Burst attempts pass at once, and regains one after each period of Every. All processes on a database
// spend from the same one.
type Allowance struct {
	Key   string // whose allowance it is; only its SHA-256 is stored
	Burst int
	Every time.Duration
}

// swept is how many rows that mean nothing any more go for each one that is written. More than one, so that the table
// shrinks to what counts, and few, so that nobody pays for a flood of others.
const swept = 2

// errSpent rolls back what was taken from other allowances.
var errSpent = errors.New("store: an allowance is used up")

// Spend takes one from each of the allowances, or nothing from any if one of them is used up, and says which. Whoever
// spends from several names them in the same order each time, by kind, because each is locked until the end.
//
// The moments are the caller's: processes whose clocks differ by less than Every count alike.
func (db *DB) Spend(ctx context.Context, now time.Time, from ...Allowance) (bool, error) {
	// A flood that is refused anyway is read and not written. What is read here may be old, but never too strict.
	if spent, err := db.spent(ctx, now, from); err != nil || spent {
		return false, err
	}
	err := db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		for _, a := range from {
			if err := spend(ctx, tx, now, a); err != nil {
				return err
			}
		}
		return sweep(ctx, tx, now, swept*len(from))
	})
	if errors.Is(err, errSpent) {
		return false, nil
	}
	return err == nil, err
}

// spent says whether one of the allowances has nothing left.
func (db *DB) spent(ctx context.Context, now time.Time, from []Allowance) (spent bool, err error) {
	limits, args, params := map[string]int64{}, make([]any, len(from)), make([]string, len(from))
	for i, a := range from {
		limits[string(a.hash())], args[i], params[i] = a.limit(now), a.hash(), "$"+strconv.Itoa(i+1)
	}
	query := "SELECT key, spent_until FROM allowances WHERE key IN (" + strings.Join(params, ", ") + ")"
	err = EachRow(ctx, db.Read, query, args, func(rows *sql.Rows) error {
		var key []byte
		var until int64
		err := rows.Scan(&key, &until)
		spent = spent || until > limits[string(key)]
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store: reading allowances: %w", err)
	}
	return spent, nil
}

// spend moves the moment at which the allowance is whole again by one period. The condition stands in the statement
// itself, so that it is judged by the row as it is once it is locked.
func spend(ctx context.Context, tx *ent.Tx, now time.Time, a Allowance) error {
	result, err := tx.ExecContext(ctx, `INSERT INTO allowances (key, spent_until) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET spent_until = $3 + CASE WHEN allowances.spent_until > $4 THEN allowances.spent_until ELSE $4 END
		WHERE allowances.spent_until <= $5`,
		a.hash(), now.Add(a.Every).UnixMicro(), a.Every.Microseconds(), now.UnixMicro(), a.limit(now))
	if err != nil {
		return fmt.Errorf("store: spending an allowance: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return errSpent
}

// sweep removes some rows that mean nothing any more, those that somebody is using right now left out: to wait for
// them here, holding others, could be to wait for each other.
func sweep(ctx context.Context, tx *ent.Tx, now time.Time, atMost int) error {
	skip := ""
	if tx.Dialect() == dialect.Postgres {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM allowances WHERE key IN (
		SELECT key FROM allowances WHERE spent_until <= $1 ORDER BY spent_until LIMIT $2`+skip+`)`, now.UnixMicro(), atMost)
	if err != nil {
		return fmt.Errorf("store: removing old allowances: %w", err)
	}
	return nil
}

func (a Allowance) hash() []byte {
	sum := sha256.Sum256([]byte(a.Key))
	return sum[:]
}

// limit is the latest moment until which the allowance may be spent and have one left, in microseconds since 1970.
func (a Allowance) limit(now time.Time) int64 {
	return now.Add(time.Duration(a.Burst-1) * a.Every).UnixMicro()
}
