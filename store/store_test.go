package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"

	"entgo.io/ent/dialect"
)

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is not a database.\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"", ":memory:", "file::memory:", "file:", "sqlite://", "mysql://localhost/canopy", "file:a.db?_fk=0", "file:%zz",
		"postgres://127.0.0.1:1/canopy?connect_timeout=5", "postgres://%zz", text, dir, filepath.Join(dir, "missing", "canopy.db"),
	} {
		db, err := store.Open(context.Background(), store.Options{URL: url})
		if err == nil {
			t.Errorf("%q was opened as %s", url, db.Dialect())
			db.Close()
		}
	}
	if _, err := store.Open(context.Background(), store.Options{URL: filepath.Join(dir, "a.db"), Synchronous: "SOMETIMES"}); err == nil {
		t.Error("synchronous may be SOMETIMES")
	}
}

// A password in the address does not get into logs by way of an error.
func TestErrorsKeepThePassword(t *testing.T) {
	for _, url := range []string{
		"postgres://canopy:s3cret@127.0.0.1:1/canopy?connect_timeout=5", "postgres://canopy:s3cret@%zz/", "mysql://canopy:s3cret@localhost/",
	} {
		_, err := store.Open(context.Background(), store.Options{URL: url})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("opening answers %v", err)
		}
	}
}

func TestOpenTakesAnyFileName(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := t.TempDir()
	for url, file := range map[string]string{
		"canopy.db":                            "canopy.db",
		"a b?c#d%20é.db":                       "a b?c#d%20é.db",
		"file:from-file.db":                    "from-file.db",
		"sqlite:with%20space.db":               "with space.db",
		"sqlite://" + filepath.Join(dir, "a"):  filepath.Join(dir, "a"),
		"file://" + filepath.Join(dir, "b"):    filepath.Join(dir, "b"),
		filepath.Join(dir, "odd:name", "c.db"): filepath.Join(dir, "odd:name", "c.db"),
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		db := open(t, url)
		if err := db.Migrate(context.Background()); err != nil {
			t.Errorf("%q: %v", url, err)
		}
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%q did not make %q: %v", url, file, err)
		}
	}
}

// The file and those that SQLite puts beside it hold personal data.
func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "canopy.db"))
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestSQLiteSettings(t *testing.T) {
	for given, want := range map[string]string{"": "2", "FULL": "2", "normal": "1", "OFF": "0", "EXTRA": "3"} {
		db, err := store.Open(context.Background(), store.Options{URL: filepath.Join(t.TempDir(), "canopy.db"), Synchronous: given})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			settings(t, tx, map[string]string{"synchronous": want, "journal_mode": "wal", "foreign_keys": "1", "query_only": "0"})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		settings(t, db.Read, map[string]string{"journal_mode": "wal", "query_only": "1", "mmap_size": "268435456"})
	}
}

// settings reads pragmas on one connection.
func settings(t *testing.T, c interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, want map[string]string) {
	t.Helper()
	for name, value := range want {
		rows, err := c.QueryContext(trusted(), "PRAGMA "+name)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var got string
		if !rows.Next() || rows.Scan(&got) != nil || rows.Err() != nil || got != value {
			t.Errorf("%s is %s, not %s, %v", name, got, value, rows.Err())
		}
	}
}

func TestReadClientRefusesToWrite(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := makeWorld(t, db, "one")
		before := contents(t, db)
		ctx, c := trusted(), db.Read
		attempts := map[string]func() error{
			"create": func() error {
				return c.Role.Create().SetAccountID(w.account).SetName("x").SetNameKey("x").SetCreatedAt(noon).Exec(ctx)
			},
			"bulk": func() error {
				return c.Role.CreateBulk(c.Role.Create().SetAccountID(w.account).SetName("x").SetNameKey("x").SetCreatedAt(noon)).Exec(ctx)
			},
			"update":     func() error { return c.Account.Update().SetName("x").Exec(ctx) },
			"update one": func() error { return c.Account.UpdateOneID(w.account).SetName("x").Exec(ctx) },
			"delete":     func() error { _, err := c.Message.Delete().Exec(ctx); return err },
			"delete one": func() error { return c.Group.DeleteOneID(w.child).Exec(ctx) },
			"raw":        func() error { _, err := c.ExecContext(ctx, "UPDATE accounts SET name = 'x'"); return err },
			"raw query": func() error {
				rows, err := c.QueryContext(ctx, "UPDATE accounts SET name = 'x' RETURNING id")
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
				}
				return rows.Err()
			},
			"transaction": func() error {
				tx, err := c.Tx(ctx)
				if err != nil {
					return err
				}
				defer tx.Rollback()
				if err := tx.Account.Update().SetName("x").Exec(ctx); err == nil {
					t.Error("the read client changes rows in a transaction")
				}
				_, err = tx.ExecContext(ctx, "UPDATE accounts SET name = 'x'")
				return err
			},
		}
		for name, attempt := range attempts {
			if err := attempt(); err == nil {
				t.Errorf("%s succeeded", name)
			}
		}
		for table, rows := range contents(t, db) {
			if before[table] != rows {
				t.Errorf("%s was\n%s and is\n%s", table, before[table], rows)
			}
		}
	})
}

// Without a viewer and without trust the row rules let nothing through, on both clients.
func TestClientsHaveTheRowRules(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		nobody := context.Background()
		if n, _ := db.Read.Account.Query().Count(nobody); n != 0 {
			t.Errorf("nobody reads %d accounts", n)
		}
		_ = db.Write(nobody, func(ctx context.Context, tx *ent.Tx) error {
			if n, _ := tx.Account.Query().Count(ctx); n != 0 {
				t.Errorf("nobody reads %d accounts in a transaction", n)
			}
			if n, _ := tx.Account.Update().SetName("x").Save(ctx); n != 0 {
				t.Errorf("nobody changed %d accounts", n)
			}
			return nil
		})
	})
}

// A time comes back as the same moment, in UTC, in whole microseconds, wherever it came from and the program runs.
func TestTimes(t *testing.T) {
	here := time.FixedZone("here", -3*60*60)
	was := time.Local
	time.Local = here
	t.Cleanup(func() { time.Local = was })
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := makeWorld(t, db, "one")
		given := time.Date(2026, 3, 4, 23, 59, 59, 123456789, here)
		want := time.Date(2026, 3, 5, 2, 59, 59, 123456000, time.UTC)
		err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			return tx.User.Update().SetDeactivatedAt(given).Exec(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
		u := db.Read.User.Query().OnlyX(trusted())
		if u.DeactivatedAt == nil || *u.DeactivatedAt != want {
			t.Errorf("Ent read %v", u.DeactivatedAt)
		}
		mustExecute(t, db, "UPDATE users SET access_paused_at = $1, deactivated_at = $2 WHERE account_id = $3", given, &given, w.account)
		var raw time.Time
		if scan(t, db, "SELECT access_paused_at FROM users WHERE access_paused_at = deactivated_at", &raw); raw != want {
			t.Errorf("raw SQL read %v", raw)
		}
	})
}

type tally struct{ statements, failures atomic.Int64 }

func (o *tally) Statement(_ context.Context, query string, took time.Duration, err error) {
	if query == "" || took < 0 {
		panic("not a statement")
	}
	o.statements.Add(1)
	if err != nil {
		o.failures.Add(1)
	}
}

func TestObserverHearsEveryStatement(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		o := &tally{}
		db, err := store.Open(context.Background(), store.Options{URL: url, Observer: o, Readers: 2, Writers: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Migrate(trusted()); err != nil {
			t.Fatal(err)
		}
		makeWorld(t, db, "one")
		if db.Observer() != o {
			t.Error("the observer is another one")
		}
		before := o.statements.Load()
		db.Read.Account.Query().OnlyX(trusted())
		var n int
		scan(t, db, "SELECT count(*) FROM accounts", &n)
		mustExecute(t, db, "UPDATE accounts SET name = 'x'")
		err = db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
			rows, err := tx.QueryContext(ctx, "SELECT 1")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := o.statements.Load() - before; got != 4 {
			t.Errorf("4 statements were heard as %d", got)
		}
		if execute(db, "SELECT nothing FROM nowhere") == nil || o.failures.Load() != 1 {
			t.Errorf("%d failures were heard", o.failures.Load())
		}
	})
}

func TestPing(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(context.Background(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(trusted()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Ping(trusted()); err == nil {
			t.Error("a closed database answers")
		}
	})
}

func TestPostgresSession(t *testing.T) {
	db := testdb.Postgres(t)
	if db.Dialect() != dialect.Postgres {
		t.Fatal(db.Dialect())
	}
	for query, want := range map[string]string{
		"SHOW timezone": "UTC", "SHOW default_transaction_read_only": "on", "SHOW application_name": "canopy",
	} {
		var got string
		if scan(t, db, query, &got); got != want {
			t.Errorf("%s says %s", query, got)
		}
	}
}
