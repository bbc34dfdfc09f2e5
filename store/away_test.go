package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

func TestWhatIsUnavailable(t *testing.T) {
	_, missing := os.Open("no such file")
	for _, c := range []struct {
		err                      error
		unreachable, unavailable bool
	}{
		{nil, false, false},
		{errors.New("anything"), false, false},
		{context.Canceled, false, false},
		{sql.ErrNoRows, false, false},
		{missing, false, false}, // the error of a system call is not always one of the network
		{context.DeadlineExceeded, true, true},
		{driver.ErrBadConn, true, true},
		{io.ErrUnexpectedEOF, true, true},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true, true},
		{&net.DNSError{Err: "no such host"}, true, true},
		{&pgconn.PgError{Code: "57P03"}, true, true},  // starting
		{&pgconn.PgError{Code: "57P01"}, true, true},  // stopped by its administrator
		{&pgconn.PgError{Code: "57P02"}, true, true},  // crashed
		{&pgconn.PgError{Code: "53300"}, true, true},  // too many connections
		{&pgconn.PgError{Code: "08006"}, true, true},  // connection failure
		{&pgconn.PgError{Code: "25006"}, true, true},  // a standby now
		{&pgconn.PgError{Code: "53100"}, false, true}, // disk full
		{&pgconn.PgError{Code: "58030"}, false, true}, // disk fails
		{&pgconn.PgError{Code: "57014"}, false, true}, // statement timeout
		{&pgconn.PgError{Code: "40001"}, false, true}, // gave way to others; on a replica, to what it has to repeat
		{&pgconn.PgError{Code: "28P01"}, false, false},
		{&pgconn.PgError{Code: "3D000"}, false, false},
		{&pgconn.PgError{Code: "23505"}, false, false},
		{&pgconn.PgError{Code: "42P01"}, false, false},
		{sqlite3.Error{Code: sqlite3.ErrBusy}, false, true},
		{sqlite3.Error{Code: sqlite3.ErrFull}, false, true},
		{sqlite3.Error{Code: sqlite3.ErrIoErr}, false, true},
		{sqlite3.Error{Code: sqlite3.ErrCantOpen}, false, true},
		{sqlite3.Error{Code: sqlite3.ErrCorrupt}, false, false},
		{sqlite3.Error{Code: sqlite3.ErrConstraint}, false, false},
	} {
		wrapped := fmt.Errorf("tried: %w", c.err)
		if got := store.Unreachable(wrapped); got != c.unreachable {
			t.Errorf("%v: unreachable %t", c.err, got)
		}
		if got := store.Unavailable(wrapped); got != c.unavailable {
			t.Errorf("%v: unavailable %t", c.err, got)
		}
	}
}

// openCluster opens and migrates the database of a server of the test's own.
func openCluster(t *testing.T) (*testdb.Cluster, *store.DB) {
	t.Helper()
	cluster := testdb.NewCluster(t)
	db := open(t, cluster.URL("postgres"))
	if err := db.Migrate(trusted()); err != nil {
		t.Fatal(err)
	}
	return cluster, db
}

// waitFor asks the server until it answers so.
func waitFor(t *testing.T, c *testdb.Cluster, query, answer string) {
	t.Helper()
	for deadline := time.After(2 * time.Minute); c.Query(query) != answer; {
		select {
		case <-deadline:
			t.Fatalf("%s never answers %s", query, answer)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A server that crashes between committing and answering leaves its client in the dark: the transaction is there, was
// not run a second time, and nobody is told that it failed.
func TestCommitWithoutAnAnswerMayBeDone(t *testing.T) {
	cluster, db := openCluster(t)
	makeWorld(t, db, "one")
	// From now on a commit is answered when a replica has it, of which there is none.
	cluster.Query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	cluster.Query("SELECT pg_reload_conf()")
	waitFor(t, cluster, "SHOW synchronous_standby_names", "nobody")
	runs, answer := 0, make(chan error, 1)
	go func() {
		// The server begins to wait some time after it shows the setting; until then commits are answered.
		var err error
		for err == nil {
			runs = 0
			err = db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
				runs++
				return rename(ctx, tx, "New")
			})
		}
		answer <- err
	}()
	waitFor(t, cluster, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'", "1")
	cluster.Kill()
	err := <-answer
	if !errors.Is(err, refusal.MaybeDone()) || !store.Unavailable(err) || runs != 1 {
		t.Errorf("after %d runs the answer is %v", runs, err)
	}
	cluster.Start()
	if nameOf(t, db) != "New" {
		t.Error("the server did not commit")
	}
}

// What breaks off before the commit was not done, and is said to be so.
func TestBrokenOffBeforeTheCommitIsNotDone(t *testing.T) {
	cluster, db := openCluster(t)
	makeWorld(t, db, "one")
	for name, after := range map[string]func(context.Context, *ent.Tx) error{
		"in a statement": func(ctx context.Context, tx *ent.Tx) error { return rename(ctx, tx, "Newer") },
		"in the commit":  func(context.Context, *ent.Tx) error { return nil },
	} {
		runs := 0
		err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			runs++
			if err := rename(ctx, tx, "New"); err != nil {
				return err
			}
			cluster.Kill()
			return after(ctx, tx)
		})
		if !store.Unavailable(err) || runs != 1 {
			t.Errorf("%s: after %d runs the answer is %v", name, runs, err)
		}
		if name == "in a statement" && errors.Is(err, refusal.MaybeDone()) {
			t.Errorf("%s: nobody is told that nothing was done: %v", name, err)
		}
		if err := db.Write(trusted(), func(context.Context, *ent.Tx) error { return nil }); !store.Unavailable(err) || errors.Is(err, refusal.MaybeDone()) {
			t.Errorf("%s: while the server is away the answer is %v", name, err)
		}
		cluster.Start()
		if nameOf(t, db) != "Acme" {
			t.Errorf("%s: it was done", name)
		}
		mustExecute(t, db, "UPDATE accounts SET name = 'Acme'")
	}
}

func TestReplicaOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "canopy.db")
	for _, o := range []store.Options{
		{URL: file, Replica: "postgres://localhost/canopy"}, // of SQLite
		{URL: "postgres://localhost/canopy", Replica: file},
		{URL: "postgres://localhost/canopy", Replica: "postgres://one,two/canopy"},
		{URL: "postgres://localhost/canopy", Replica: "postgres://%zz"},
	} {
		db, err := store.Open(trusted(), o)
		if err == nil || !strings.Contains(err.Error(), "replica") {
			t.Errorf("%s with the replica %s: %v", o.URL, o.Replica, err)
		}
		if err == nil {
			db.Close()
		}
	}
}

// Without a replica nothing is read from one.
func TestWithoutAReplica(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		ctx := trusted()
		if got, may := db.OnReplica(ctx); may || got != ctx {
			t.Error("there is a replica")
		}
	})
}

// A transaction reads from the primary, whatever it was begun for.
func TestATransactionDoesNotReadFromTheReplica(t *testing.T) {
	cluster, _ := openCluster(t)
	replica := cluster.Replica()
	db, err := store.Open(trusted(), store.Options{
		URL: cluster.URL("postgres"), Replica: replica.URL("postgres"), MaxStaleness: time.Hour, Readers: 2, Writers: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	waitFor(t, cluster, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "1")
	ctx, may := db.OnReplica(trusted())
	for deadline := time.After(2 * time.Minute); !may; ctx, may = db.OnReplica(trusted()) {
		select {
		case <-deadline:
			t.Fatal("the replica is never fresh")
		case <-time.After(10 * time.Millisecond):
		}
	}
	standby := func(ctx context.Context, q store.Querier) (is bool) {
		err := store.EachRow(ctx, q, "SELECT pg_is_in_recovery()", nil, func(rows *sql.Rows) error { return rows.Scan(&is) })
		if err != nil {
			t.Error(err)
		}
		return is
	}
	if !standby(ctx, db.Read) || standby(trusted(), db.Read) {
		t.Error("the context does not decide")
	}
	err = db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if standby(ctx, tx) || standby(ctx, db.Read) {
			t.Error("a transaction reads from the replica")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
