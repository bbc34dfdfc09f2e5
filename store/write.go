package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/session"
	"canopy/refusal"

	"entgo.io/ent/dialect"
)

const (
	attempts = 4                     // how often a transaction is tried that loses against others
	pause    = 10 * time.Millisecond // before the second attempt; it doubles with each
)

type writingKey struct{}

// Ending is what a transaction does when its work is done.
type Ending interface {
	// Finish runs last in the transaction. An error rolls everything back.
	Finish(ctx context.Context, tx *ent.Tx) error
}

type endingKey struct{}

// AtEnd returns the ending of the transaction in which ctx is, made by begin when there is none yet; nil outside of one.
// A transaction that is run again begins without. When one that has an ending is committed, those who asked by OnPublish
// are called.
func AtEnd(ctx context.Context, begin func() Ending) Ending {
	ending, _ := ctx.Value(endingKey{}).(*Ending)
	if ending == nil {
		return nil
	}
	if *ending == nil {
		*ending = begin()
	}
	return *ending
}

// Write runs fn in one transaction and commits it. An error or a panic of fn rolls everything back; an error of the
// commit itself is returned, and nothing was written then, unless it is refusal.MaybeDone: the connection broke off
// before the database had answered, and the transaction may have been committed or not.
//
// On SQLite one transaction runs at a time. On PostgreSQL they run side by side at READ COMMITTED, and fn takes the
// locks that it needs. A transaction that the database gives up in favour of another one (deadlock, serialization
// failure, busy) is run again, so fn must not change anything outside of it but what it sets anew each time; after
// a few attempts the answer is a CONFLICT. Nothing else is run again, and never what may have been committed. A Write
// inside a Write is refused: it would wait for itself.
func (db *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *ent.Tx) error) error {
	if ctx.Value(writingKey{}) == db {
		return errors.New("store: a transaction cannot begin inside another one")
	}
	inner := context.WithValue(onPrimary(ctx), writingKey{}, db)
	wait := pause
	for attempt := 1; ; attempt++ {
		err := db.writeOnce(inner, fn)
		if err == nil || !worthRetrying(err) {
			return err
		}
		if attempt == attempts {
			return errors.Join(refusal.Conflict("", "Others are changing the same things right now. Try again."), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
}

func (db *DB) writeOnce(ctx context.Context, fn func(ctx context.Context, tx *ent.Tx) error) (err error) {
	tx, err := db.writer.BeginTx(ctx, db.isolation())
	if err != nil {
		return fmt.Errorf("store: beginning a transaction: %w", err)
	}
	committing := false
	defer func() {
		if committing {
			return
		}
		// Also on a panic, which goes on after this.
		if failed := tx.Rollback(); failed != nil && !errors.Is(failed, sql.ErrTxDone) && err != nil {
			err = errors.Join(err, fmt.Errorf("store: rolling back: %w", failed))
		}
	}()
	var ending Ending
	ctx = context.WithValue(ctx, endingKey{}, &ending)
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := db.countWrite(ctx, tx); err != nil {
		return err
	}
	if ending != nil {
		if err := ending.Finish(ctx, tx); err != nil {
			return err
		}
		defer db.publishing.published() // after the commit; one whose outcome is unknown may have been committed
	}
	// A context that ends from now on leaves the outcome open.
	if err := ctx.Err(); err != nil {
		return err
	}
	committing = true
	if err := tx.Commit(); err != nil {
		err = fmt.Errorf("store: committing: %w", err)
		if outcomeUnknown(err) {
			return errors.Join(refusal.MaybeDone(), err)
		}
		return err
	}
	return nil
}

// isolation asks PostgreSQL for READ COMMITTED by name, whatever the server's default is; SQLite has one level.
func (db *DB) isolation() *sql.TxOptions {
	if db.dialect == dialect.Postgres {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

// countWrite makes the transaction one more of the viewer's session, where there is a replica: what the replica has
// repeated of the session's writes can then be told from the number that it knows. It comes late, because it lets no
// other transaction of the session go on; only the ending, which stops the whole account, comes after it.
func (db *DB) countWrite(ctx context.Context, tx *ent.Tx) error {
	v := authz.FromContext(ctx)
	if db.replica == nil || v == nil || v.SessionID == 0 {
		return nil
	}
	if err := tx.Session.Update().Where(session.ID(v.SessionID)).AddWrites(1).Exec(authz.Trusted(ctx)); err != nil {
		return fmt.Errorf("store: counting a write of session %d: %w", v.SessionID, err)
	}
	return nil
}
