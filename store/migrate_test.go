package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"canopy/ent/generated/migrate"
	"canopy/ent/migrations"
	"canopy/internal/testdb"
	"canopy/store"

	"entgo.io/ent/dialect"
)

// ofTree are the tables that Ent does not know, and the memory of the migrations.
var ofTree = []string{"allowances", "contact_words", "detours", "event_counters", "events", "group_counters", "schema_migrations", "scopes", "stays", "timers"}

// tables lists the tables of the database.
func tables(t *testing.T, db *store.DB) []string {
	t.Helper()
	query := "SELECT group_concat(name) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if db.Dialect() == dialect.Postgres {
		query = "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = current_schema()"
	}
	var names string
	scan(t, db, query, &names)
	list := strings.Split(names, ",")
	slices.Sort(list)
	return list
}

func TestMigrationsAreTheSchema(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		statements, err := db.Drift(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			t.Errorf("the migrations lack: %s", s)
		}
		want := slices.Clone(ofTree)
		for _, table := range migrate.Tables {
			want = append(want, table.Name)
		}
		slices.Sort(want)
		if got := tables(t, db); !slices.Equal(got, want) {
			t.Errorf("the migrations make the tables %v, not %v", got, want)
		}
	})
}

// TestDriftSeesWhatIsWrong keeps the test above honest: whatever kind of thing is missing is found.
func TestDriftSeesWhatIsWrong(t *testing.T) {
	both := map[string]string{
		"index":        `DROP INDEX group_tree`,
		"column":       `ALTER TABLE messages DROP COLUMN text`,
		"extra column": `ALTER TABLE users ADD COLUMN mood TEXT`,
		"extra index":  `CREATE INDEX extra ON conversations (subject)`,
	}
	postgres := map[string]string{
		"foreign key":         `ALTER TABLE contacts DROP CONSTRAINT contacts_groups_group`,
		"foreign key's width": `ALTER TABLE sessions DROP CONSTRAINT sessions_users_user, ADD CONSTRAINT sessions_users_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE`,
		"foreign key's end":   `ALTER TABLE sessions DROP CONSTRAINT sessions_users_user, ADD CONSTRAINT sessions_users_user FOREIGN KEY (account_id, user_id) REFERENCES users (account_id, id)`,
		"check":               `ALTER TABLE groups DROP CONSTRAINT group_depth`,
		"order":               `ALTER TABLE groups ALTER COLUMN path TYPE varchar COLLATE "default"`,
		"null":                `ALTER TABLE groups ALTER COLUMN path DROP NOT NULL`,
		"default":             `ALTER TABLE groups ALTER COLUMN wall DROP DEFAULT`,
		"type":                `ALTER TABLE groups ALTER COLUMN depth TYPE integer`,
		"index's condition":   `DROP INDEX group_one_root; CREATE UNIQUE INDEX group_one_root ON groups (account_id) WHERE parent_id IS NOT NULL`,
		"index's uniqueness":  `DROP INDEX group_sibling_name; CREATE INDEX group_sibling_name ON groups (account_id, parent_id, name_key)`,
	}
	sqlite := map[string]string{
		"index's condition":  `DROP INDEX group_one_root; CREATE UNIQUE INDEX group_one_root ON groups (account_id) WHERE parent_id IS NOT NULL`,
		"index's uniqueness": `DROP INDEX group_sibling_name; CREATE INDEX group_sibling_name ON groups (account_id, parent_id, name_key)`,
		"foreign key": `DROP TABLE sessions; CREATE TABLE sessions (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, token_hash text NOT NULL,
			kind text NOT NULL, created_at datetime NOT NULL, expires_at datetime NOT NULL, account_id integer NOT NULL, user_id integer NOT NULL)`,
	}
	see := func(t *testing.T, db *store.DB, name, statement string) {
		mustExecute(t, db, statement)
		drift, err := db.Drift(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if len(drift) == 0 {
			t.Errorf("nothing was seen of a missing or wrong %s", name)
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		maps.Copy(sqlite, both)
		for name, statement := range sqlite {
			see(t, testdb.SQLite(t), name, statement)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		maps.Copy(postgres, both)
		for name, statement := range postgres {
			see(t, testdb.Postgres(t), name, statement)
		}
	})
}

// files returns the real migrations of a dialect and, if it is not empty, one more.
func files(t *testing.T, db *store.DB, more string) fstest.MapFS {
	t.Helper()
	folder := strings.TrimSuffix(db.Dialect(), "3")
	out := fstest.MapFS{}
	err := fs.WalkDir(migrations.Files, folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.Files, name)
		out[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if more != "" {
		out[folder+"/9999_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + more)}
	}
	return out
}

// contents returns all rows of all tables but the memory of the migrations, as text.
func contents(t *testing.T, db *store.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, table := range tables(t, db) {
		if table == "schema_migrations" {
			continue
		}
		rows, err := db.Read.QueryContext(trusted(), "SELECT * FROM "+quote(table)+" ORDER BY 1, 2")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			out[table] += fmt.Sprintln(values...)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestUpgradeOfAPopulatedDatabaseLosesNothing(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		db := open(t, url)
		if err := db.Migrate(trusted()); err != nil {
			t.Fatal(err)
		}
		makeWorld(t, db, "one")
		makeWorld(t, db, "two")
		before := contents(t, db)

		upgraded := files(t, db, rebuild(t, db, "accounts")+rebuild(t, db, "groups")+rebuild(t, db, "contacts"))
		if err := db.MigrateFrom(trusted(), upgraded); err != nil {
			t.Fatal(err)
		}
		after := contents(t, db)
		for table, rows := range before {
			if after[table] != rows {
				t.Errorf("%s was\n%s and is\n%s", table, rows, after[table])
			}
		}
		if drift, err := db.Drift(trusted()); err != nil || len(drift) > 0 {
			t.Errorf("after the upgrade the schema lacks %q, %v", drift, err)
		}
		// What refers to the tables still does.
		if err := execute(db, "UPDATE sessions SET account_id = 999"); !store.ForeignKeyViolation(err) {
			t.Errorf("after the upgrade a session may be of any account: %v", err)
		}
		mustExecute(t, db, "UPDATE accounts SET primary_owner_id = NULL")
		mustExecute(t, db, "DELETE FROM accounts")
		var n int
		if scan(t, db, "SELECT count(*) FROM messages", &n); n != 0 {
			t.Errorf("after the upgrade %d messages outlive their account", n)
		}
	})
}

// rebuild returns a migration that changes a table as Atlas does it: SQLite has to copy the table, drop it and give
// its name to the copy; PostgreSQL writes it anew under its name.
func rebuild(t *testing.T, db *store.DB, table string) string {
	t.Helper()
	if db.Dialect() == dialect.Postgres {
		return "ALTER TABLE " + quote(table) + " ALTER COLUMN created_at TYPE timestamptz USING created_at + interval '0';\n"
	}
	var create string
	scan(t, db, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '"+table+"'", &create)
	out := strings.Replace(create, "`"+table+"`", "`new_"+table+"`", 1) + ";\n"
	out += fmt.Sprintf("INSERT INTO new_%s SELECT * FROM %s;\nDROP TABLE %s;\nALTER TABLE new_%s RENAME TO %s;\n", table, table, table, table, table)
	rows, err := db.Read.QueryContext(trusted(), "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = '"+table+"'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var index string
		if err := rows.Scan(&index); err != nil {
			t.Fatal(err)
		}
		out += index + ";\n"
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFailedMigrationLeavesEverythingAsItWas(t *testing.T) {
	broken := map[string]string{
		"syntax":  "CREATE TABLE extra (id bigint); CREATE TABLE;",
		"orphans": "CREATE TABLE extra (id bigint); DELETE FROM users;",
	}
	for name, more := range broken {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, db *store.DB) {
				makeWorld(t, db, "one")
				before := contents(t, db)
				if err := db.MigrateFrom(trusted(), files(t, db, more)); err == nil {
					t.Fatal("a broken migration succeeded")
				}
				after := contents(t, db)
				if fmt.Sprint(before) != fmt.Sprint(after) {
					t.Errorf("%v\nbecame\n%v", before, after)
				}
				list, err := db.StatusFrom(trusted(), files(t, db, more))
				if err != nil || list[len(list)-1].State != store.MigrationPending {
					t.Errorf("the broken migration counts as applied: %v, %v", list, err)
				}
			})
		})
	}
}

func TestMigrationStatus(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		db := open(t, url)
		states := func(from fs.FS) string {
			t.Helper()
			list, err := db.StatusFrom(trusted(), from)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, m := range list {
				out = append(out, string(m.State))
				if (m.State == store.MigrationPending) != m.AppliedAt.IsZero() {
					t.Errorf("%s is %s since %v", m.Name, m.State, m.AppliedAt)
				}
			}
			return strings.Join(out, " ")
		}
		one, two := files(t, db, ""), files(t, db, "CREATE TABLE extra (id bigint);")
		pending := strings.TrimSpace(strings.Repeat("pending ", len(one)))
		applied := strings.ReplaceAll(pending, "pending", "applied")

		if got := states(one); got != pending {
			t.Errorf("a new database is %s", got)
		}
		if names := countTables(t, db); names != 0 {
			t.Errorf("asking made %d tables", names)
		}
		for range 2 {
			if err := db.Migrate(trusted()); err != nil {
				t.Fatal(err)
			}
		}
		if got := states(two); got != applied+" pending" {
			t.Errorf("with one more file it is %s", got)
		}
		if err := db.MigrateFrom(trusted(), two); err != nil {
			t.Fatal(err)
		}
		if got := states(one); got != applied+" unknown" {
			t.Errorf("with one file less it is %s", got)
		}
		if err := db.MigrateFrom(trusted(), one); err == nil || !strings.Contains(err.Error(), "9999_more.sql") {
			t.Errorf("an older program migrated a newer database: %v", err)
		}
		altered := files(t, db, "CREATE TABLE other (id bigint);")
		if got := states(altered); got != applied+" altered" {
			t.Errorf("with an altered file it is %s", got)
		}
		if err := db.MigrateFrom(trusted(), altered); err == nil || !strings.Contains(err.Error(), "9999_more.sql") {
			t.Errorf("an altered migration was accepted: %v", err)
		}
		crlf := files(t, db, "CREATE TABLE extra (id bigint);")
		for _, f := range crlf {
			f.Data = []byte(strings.ReplaceAll(string(f.Data), "\n", "\r\n"))
		}
		if got := states(crlf); got != applied+" applied" {
			t.Errorf("with other line ends it is %s", got)
		}
	})
}

// countTables counts the tables of a database that may have none.
func countTables(t *testing.T, db *store.DB) int {
	query := "SELECT count(*) FROM sqlite_master"
	if db.Dialect() == dialect.Postgres {
		query = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
	}
	var n int
	scan(t, db, query, &n)
	return n
}

func TestManyProgramsMigrateAtOnce(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		var group sync.WaitGroup
		for range 4 {
			db := open(t, url)
			group.Go(func() {
				if err := db.Migrate(trusted()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		db := open(t, url)
		var n int
		scan(t, db, "SELECT count(*) FROM schema_migrations WHERE version > 0", &n)
		if want := len(files(t, db, "")); n != want {
			t.Errorf("%d migrations were applied %d times", want, n)
		}
	})
}

// Without a transaction a migration that fails would leave half of itself.
func TestMigrationsRunInTransactions(t *testing.T) {
	without := regexp.MustCompile(`(?i)\+goose\s+NO\s+TRANSACTION`)
	err := fs.WalkDir(migrations.Files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.Files, name)
		if without.Match(text) {
			t.Errorf("%s does not run in a transaction", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Both dialects take the same steps.
func TestMigrationsHaveTheSameNames(t *testing.T) {
	names := map[string][]string{}
	for _, folder := range []string{"sqlite", "postgres"} {
		list, err := fs.Glob(migrations.Files, folder+"/*.sql")
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %d files, %v", folder, len(list), err)
		}
		for _, name := range list {
			names[folder] = append(names[folder], strings.TrimPrefix(name, folder+"/"))
		}
	}
	if !slices.Equal(names["sqlite"], names["postgres"]) {
		t.Errorf("SQLite has %v, PostgreSQL %v", names["sqlite"], names["postgres"])
	}
}
