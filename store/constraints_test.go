package store_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"canopy/ent/generated/migrate"
	"canopy/internal/testdb"
	"canopy/store"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
)

// copyOf returns the statement that copies the rows of a table that meet the condition, without their ids, with some
// columns set to something else.
func copyOf(table, where string, set map[string]string) string {
	var names, values []string
	for _, t := range migrate.Tables {
		if t.Name != table {
			continue
		}
		for _, c := range t.Columns {
			if c.Name == "id" {
				continue
			}
			value, changed := set[c.Name]
			if !changed {
				value = quote(c.Name)
			}
			names, values = append(names, quote(c.Name)), append(values, value)
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s",
		quote(table), strings.Join(names, ", "), strings.Join(values, ", "), quote(table), where)
}

type none = map[string]string

// twice breaks each unique index of the schema, and no other one.
var twice = map[string]string{
	"accounts_slug_key":       copyOf("accounts", "true", none{"primary_owner_id": "NULL"}),
	"contact_address":         copyOf("contacts", "true", nil),
	"assignment_one_current":  copyOf("contact_assignments", "true", nil),
	"cover_one_current":       copyOf("covers", "true", nil),
	"conversation_one_open":   copyOf("conversations", "true", none{"number": "number + 1"}),
	"conversation_number":     copyOf("conversations", "true", none{"closed_at": "opened_at"}),
	"group_sibling_name":      copyOf("groups", "parent_id IS NOT NULL", none{"name": "'SALES'"}),
	"group_one_root":          copyOf("groups", "parent_id IS NULL", none{"name_key": "'other'"}),
	"message_external_id":     copyOf("messages", "true", nil),
	"read_mark":               copyOf("read_marks", "true", nil),
	"role_name":               copyOf("roles", "true", none{"key": "'OTHER'"}),
	"role_key":                copyOf("roles", "true", none{"name_key": "'other'"}),
	"import_one_open":         copyOf("import_runs", "true", nil),
	"sessions_token_hash_key": copyOf("sessions", "true", nil),
	"tag_name":                copyOf("tags", "true", none{"name": "'vip'"}),
	"conversation_tag":        copyOf("conversation_tags", "true", nil),
	"user_email":              copyOf("users", "true", none{"setup_token_hash": "NULL"}),
	"user_setup_token_hash":   copyOf("users", "true", none{"email_key": "'other'"}),
}

// uniqueIndexes lists the unique indexes of the schema but those on (account_id, id), which the ids keep unique.
func uniqueIndexes() []string {
	var names []string
	for _, t := range migrate.Tables {
		for _, c := range t.Columns {
			if c.Unique {
				names = append(names, t.Name+"_"+c.Name+"_key")
			}
		}
		for _, x := range t.Indexes {
			if x.Unique && !strings.HasSuffix(x.Name, "_account_id_id") {
				names = append(names, x.Name)
			}
		}
	}
	return names
}

func TestUniqueViolationTellsEachIndex(t *testing.T) {
	all := uniqueIndexes()
	for name := range twice {
		if !slices.Contains(all, name) {
			t.Errorf("%s is no unique index of the schema", name)
		}
	}
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		for _, index := range all {
			err := execute(db, twice[index])
			if err == nil || twice[index] == "" {
				t.Errorf("nothing refuses a second row in %s", index)
				continue
			}
			for _, other := range all {
				if store.UniqueViolation(err, other) != (other == index) {
					t.Errorf("%v is taken for a violation of %s", err, other)
				}
			}
			if store.ForeignKeyViolation(err) {
				t.Errorf("%v is taken for a violation of a foreign key", err)
			}
		}
	})
}

func TestUniqueViolationIsOfTheSchemaOnly(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := makeWorld(t, db, "one")
		again := execute(db, "INSERT INTO group_counters (group_id) VALUES ($1)", w.root)
		for _, err := range []error{nil, again, execute(db, "SELECT nothing FROM nowhere")} {
			for _, index := range append(uniqueIndexes(), "", "nothing") {
				if store.UniqueViolation(err, index) {
					t.Errorf("%v is taken for a violation of %q", err, index)
				}
			}
		}
	})
}

// What ended, closed or left leaves room for the next.
func TestUniqueIndexesLeaveRoom(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		for _, statement := range []string{
			copyOf("contact_assignments", "true", none{"ended_at": "started_at"}),
			copyOf("conversations", "true", none{"number": "number + 1", "closed_at": "opened_at"}),
			copyOf("contacts", "true", none{"channel": "NULL", "address": "NULL"}),
			copyOf("contacts", "channel IS NULL", nil),
			copyOf("messages", "true", none{"external_id": "NULL"}),
			copyOf("messages", "external_id IS NULL", nil),
			copyOf("users", "true", none{"setup_token_hash": "NULL", "email_key": "'other'"}),
		} {
			mustExecute(t, db, statement)
		}
	})
}

// A row refers to rows of its own account only, whatever the program believes.
func TestForeignKeysStayWithinTheAccount(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		makeWorld(t, db, "two")
		mustExecute(t, db, "UPDATE contact_assignments SET ended_at = started_at")
		mustExecute(t, db, "UPDATE conversations SET closed_at = opened_at")
		mustExecute(t, db, "UPDATE covers SET ended_at = started_at")
		tried := 0
		for _, table := range store.Tables(db.Dialect()) {
			for _, key := range table.ForeignKeys {
				if len(key.Columns) != 2 {
					continue
				}
				tried++
				own, column, ref := key.Columns[0].Name, key.Columns[1].Name, key.RefTable.Name
				foreign := fmt.Sprintf("(SELECT min(id) FROM %s AS f WHERE f.account_id <> %s.%s)", quote(ref), quote(table.Name), own)
				err := execute(db, fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s IS NOT NULL", quote(table.Name), column, foreign, column))
				if !store.ForeignKeyViolation(err) {
					t.Errorf("%s.%s may refer to %s of another account: %v", table.Name, column, ref, err)
				}
			}
		}
		if tried < 25 {
			t.Errorf("only %d foreign keys include the account", tried)
		}
	})
}

func TestForeignKeyViolation(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		for _, statement := range []string{
			"DELETE FROM users", "DELETE FROM roles", "DELETE FROM groups", "UPDATE contacts SET group_id = 999",
			"UPDATE groups SET parent_id = 999 WHERE parent_id IS NOT NULL", "INSERT INTO group_counters (group_id) VALUES (999)",
		} {
			if err := execute(db, statement); !store.ForeignKeyViolation(err) {
				t.Errorf("%s: %v", statement, err)
			}
		}
		if err := execute(db, "SELECT nothing FROM nowhere"); store.ForeignKeyViolation(err) || store.ForeignKeyViolation(nil) {
			t.Errorf("%v is taken for a violation of a foreign key", err)
		}
	})
}

func TestChecks(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		for _, statement := range []string{
			"UPDATE groups SET depth = 65 WHERE parent_id IS NOT NULL",
			"UPDATE groups SET depth = -1 WHERE parent_id IS NOT NULL",
			"UPDATE groups SET depth = 0 WHERE parent_id IS NOT NULL",
			"UPDATE groups SET depth = 1 WHERE parent_id IS NULL",
			"UPDATE groups SET parent_id = NULL WHERE parent_id IS NOT NULL",
		} {
			if err := execute(db, statement); err == nil {
				t.Errorf("%s was accepted", statement)
			}
		}
		mustExecute(t, db, "UPDATE groups SET depth = 64 WHERE parent_id IS NOT NULL")
	})
}

func TestAccountTakesAllOfItsRowsAlong(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		gone, stays := makeWorld(t, db, "gone"), makeWorld(t, db, "stays")
		mustExecute(t, db, "DELETE FROM accounts WHERE id = $1", gone.account)
		for _, table := range migrate.Tables {
			if !slices.ContainsFunc(table.Columns, func(c *schema.Column) bool { return c.Name == "account_id" }) {
				continue
			}
			var left, kept int
			scan(t, db, fmt.Sprintf("SELECT count(*) FROM %s WHERE account_id = %d", quote(table.Name), gone.account), &left)
			scan(t, db, fmt.Sprintf("SELECT count(*) FROM %s WHERE account_id = %d", quote(table.Name), stays.account), &kept)
			if left != 0 || kept == 0 {
				t.Errorf("%s has %d rows of the account that is gone, %d of the other", table.Name, left, kept)
			}
		}
		var counters int
		if scan(t, db, "SELECT count(*) FROM group_counters", &counters); counters != 2 {
			t.Errorf("%d counters are left, not 2", counters)
		}
	})
}

// Paths and folded names sort byte by byte on every database, so that a subtree is a range.
func TestOrderOfBytes(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		for _, label := range []string{"-", "0", "A", "B", "Z", "_", "a", "b", "z", "~", "é"} {
			mustExecute(t, db, copyOf("groups", "parent_id IS NOT NULL AND name_key = 'sales'",
				none{"path": "'x" + label + "'", "name_key": "'x" + label + "'", "wall": "'x" + label + "'"}))
		}
		join := "group_concat(%[1]s, '')"
		if db.Dialect() == dialect.Postgres {
			join = "string_agg(%[1]s, '')"
		}
		for _, column := range []string{"path", "name_key", "wall"} {
			var got string
			scan(t, db, fmt.Sprintf("SELECT "+join+" FROM (SELECT %[1]s FROM groups WHERE %[1]s LIKE 'x%%' ORDER BY %[1]s) AS o", column), &got)
			if want := "x-x0xAxBxZx_xaxbxzx~xé"; got != want {
				t.Errorf("%s sorts as %s, not %s", column, got, want)
			}
		}
	})
}

// What is compared byte by byte says so itself, wherever it is: the database around it sorts for English speakers.
func TestKeysOfNamesSortByBytes(t *testing.T) {
	db := testdb.Postgres(t)
	var keys, others int
	scan(t, db, `SELECT count(*), count(*) FILTER (WHERE collation_name IS DISTINCT FROM 'C') FROM information_schema.columns
		WHERE table_schema = current_schema() AND data_type <> 'bigint' AND (column_name LIKE '%\_key' OR column_name IN ('path', 'wall'))`, &keys, &others)
	if keys < 7 || others != 0 {
		t.Errorf("of %d columns %d sort by the language of the database", keys, others)
	}
}

// What is not there equals nothing, also not what else is not there. The databases sort it to different ends, which is
// why no list of Canopy sorts by a column that may be empty.
func TestNulls(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		mustExecute(t, db, copyOf("contacts", "true", none{"channel": "NULL", "address": "NULL"}))
		var equal int
		if scan(t, db, "SELECT count(*) FROM contacts AS a JOIN contacts AS b ON a.address = b.address", &equal); equal != 1 {
			t.Errorf("%d pairs of addresses are equal", equal)
		}
		var first sql.NullString
		scan(t, db, "SELECT address FROM contacts ORDER BY address LIMIT 1", &first)
		if first.Valid != (db.Dialect() == dialect.Postgres) {
			t.Errorf("the first address is %v", first)
		}
	})
}
