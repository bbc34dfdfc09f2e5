package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"

	"entgo.io/ent/dialect"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// rename changes the name of all accounts inside a transaction.
func rename(ctx context.Context, tx *ent.Tx, name string) error {
	return tx.Account.Update().SetName(name).Exec(ctx)
}

func nameOf(t *testing.T, db *store.DB) (name string) {
	t.Helper()
	scan(t, db, "SELECT name FROM accounts", &name)
	return name
}

func TestWriteCommits(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			if tx.Dialect() != db.Dialect() || db.Read.Dialect() != db.Dialect() {
				t.Errorf("the transaction speaks %s, the database %s", tx.Dialect(), db.Dialect())
			}
			return rename(ctx, tx, "New")
		})
		if err != nil || nameOf(t, db) != "New" {
			t.Errorf("the account is called %s, %v", nameOf(t, db), err)
		}
	})
}

func TestWriteRollsBackOnError(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		failure := errors.New("no")
		err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			return errors.Join(rename(ctx, tx, "New"), failure)
		})
		if !errors.Is(err, failure) || nameOf(t, db) != "Acme" {
			t.Errorf("the account is called %s, %v", nameOf(t, db), err)
		}
		mustExecute(t, db, "UPDATE accounts SET name = 'Next'")
	})
}

func TestWriteRollsBackOnPanic(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		func() {
			defer func() {
				if r := recover(); r != "no" {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
				if err := rename(ctx, tx, "New"); err != nil {
					t.Error(err)
				}
				panic("no")
			})
		}()
		if nameOf(t, db) != "Acme" {
			t.Errorf("the account is called %s", nameOf(t, db))
		}
		mustExecute(t, db, "UPDATE accounts SET name = 'Next'")
	})
}

// A constraint that is checked at the commit is refused by the commit.
func TestWriteReturnsTheErrorOfTheCommit(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		later := "PRAGMA defer_foreign_keys = ON"
		if db.Dialect() == dialect.Postgres {
			mustExecute(t, db, "ALTER TABLE sessions ALTER CONSTRAINT sessions_users_user DEFERRABLE")
			later = "SET CONSTRAINTS ALL DEFERRED"
		}
		inside := false
		err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			if _, err := tx.ExecContext(ctx, later); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE sessions SET user_id = 999"); err != nil {
				return err
			}
			inside = true
			return rename(ctx, tx, "New")
		})
		if !inside || !store.ForeignKeyViolation(err) {
			t.Errorf("the commit answered %v", err)
		}
		if nameOf(t, db) != "Acme" {
			t.Errorf("the account is called %s", nameOf(t, db))
		}
		mustExecute(t, db, "UPDATE accounts SET name = 'Next'")
	})
}

// PostgreSQL turns the commit of a transaction in which a statement failed into a rollback, and says so quietly.
func TestWriteOfAFailedTransactionIsNoSuccess(t *testing.T) {
	db := testdb.Postgres(t)
	makeWorld(t, db, "one")
	err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		if err := rename(ctx, tx, "New"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SELECT nothing FROM nowhere"); err == nil {
			t.Error("a wrong statement succeeded")
		}
		return nil
	})
	if err == nil || nameOf(t, db) != "Acme" {
		t.Errorf("the account is called %s, %v", nameOf(t, db), err)
	}
}

func TestWriteInsideAWriteIsRefused(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		err := db.Write(trusted(), func(ctx context.Context, _ *ent.Tx) error {
			return db.Write(ctx, func(context.Context, *ent.Tx) error { return nil })
		})
		if err == nil {
			t.Error("it was not refused")
		}
	})
}

func TestWriteEndsWithItsContext(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		ctx, cancel := context.WithCancel(trusted())
		err := db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
			if err := rename(ctx, tx, "New"); err != nil {
				return err
			}
			cancel()
			return nil
		})
		if err == nil || nameOf(t, db) != "Acme" {
			t.Errorf("the account is called %s, %v", nameOf(t, db), err)
		}
		mustExecute(t, db, "UPDATE accounts SET name = 'Next'")
	})
}

// losses are what the databases say when they give up a transaction in favour of another one.
var losses = []error{
	&pgconn.PgError{Code: "40001"}, &pgconn.PgError{Code: "40P01"},
	sqlite3.Error{Code: sqlite3.ErrBusy}, sqlite3.Error{Code: sqlite3.ErrLocked},
}

func TestWriteIsTriedAgain(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		for _, loss := range losses {
			tries := 0
			err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
				if tries++; tries == 1 {
					return errors.Join(rename(ctx, tx, "Lost"), loss)
				}
				return rename(ctx, tx, "New")
			})
			if err != nil || tries != 2 || nameOf(t, db) != "New" {
				t.Errorf("%v: %d tries, %v", loss, tries, err)
			}
		}
	})
}

func TestWriteGivesUp(t *testing.T) {
	db := testdb.SQLite(t)
	tries := 0
	err := db.Write(trusted(), func(context.Context, *ent.Tx) error {
		tries++
		return losses[0]
	})
	var r *refusal.Refusal
	if !errors.As(err, &r) || r.Code != refusal.ConflictCode || tries < 2 {
		t.Errorf("after %d tries the answer is %v", tries, err)
	}
	ctx, cancel := context.WithCancel(trusted())
	err = db.Write(ctx, func(context.Context, *ent.Tx) error {
		cancel()
		return losses[0]
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("without anybody waiting the answer is %v", err)
	}
}

// Two transactions that each hold what the other one wants both get through.
func TestDeadlockIsSurvived(t *testing.T) {
	db := testdb.Postgres(t)
	one, two := makeWorld(t, db, "one"), makeWorld(t, db, "two")
	var both, done sync.WaitGroup
	both.Add(2)
	for _, order := range [][2]int64{{one.account, two.account}, {two.account, one.account}} {
		done.Go(func() {
			first := true
			err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
				for i, id := range order {
					if err := tx.Account.UpdateOneID(id).AddNextConversationNumber(1).Exec(ctx); err != nil {
						return err
					}
					if i == 0 && first {
						first = false
						both.Done()
						both.Wait()
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	var sum int
	if scan(t, db, "SELECT sum(next_conversation_number) FROM accounts", &sum); sum != 2+4 {
		t.Errorf("the numbers add up to %d", sum)
	}
}

// Nobody fails because of others, and no change is lost.
func TestWritersAndReadersSideBySide(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := makeWorld(t, db, "one")
		const writers, rounds = 8, 20
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range rounds {
					err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
						return tx.Account.UpdateOneID(w.account).AddNextConversationNumber(1).Exec(ctx)
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
			group.Go(func() {
				for range rounds {
					if _, err := db.Read.Account.Get(trusted(), w.account); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		a, err := db.Read.Account.Get(trusted(), w.account)
		if err != nil || a.NextConversationNumber != 1+writers*rounds {
			t.Errorf("the number is %v, %v", a, err)
		}
	})
}

// A read sees nothing of a transaction before it is committed, and does not wait for it.
func TestReadsDoNotWait(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			if err := rename(ctx, tx, "New"); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			a, err := db.Read.Account.Query().Only(ctx)
			if err == nil && a.Name != "Acme" {
				t.Errorf("a read sees %s", a.Name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A transaction sees what others have committed meanwhile, and only that, whatever the server takes for usual. On SQLite
// there are no others.
func TestIsolation(t *testing.T) {
	server := testdb.Server(t)
	address, drop, err := testdb.Database(trusted(), server, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	db := open(t, address+"&default_transaction_isolation=serializable")
	if err := db.Migrate(trusted()); err != nil {
		t.Fatal(err)
	}
	makeWorld(t, db, "one")
	err = db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		read := func() string { return tx.Account.Query().OnlyX(ctx).Name }
		if name := read(); name != "Acme" {
			t.Errorf("it is called %s", name)
		}
		err := db.Write(trusted(), func(ctx context.Context, other *ent.Tx) error {
			if err := rename(ctx, other, "New"); err != nil {
				return err
			}
			if name := read(); name != "Acme" {
				t.Errorf("before the commit it is called %s", name)
			}
			return nil
		})
		if name := read(); name != "New" {
			t.Errorf("after the commit it is called %s", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
