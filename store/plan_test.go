package store_test

import (
	"context"
	"strings"
	"testing"

	"canopy/internal/testdb"
)

// Without statistics SQLite takes an index that begins with account_id for as good as any other, and reads a whole
// account where a few rows would do.
func TestSQLitePlansDoNotReadWholeAccounts(t *testing.T) {
	db := testdb.SQLite(t)
	texts := func(query string, column int) []string {
		t.Helper()
		rows, err := db.Read.QueryContext(context.Background(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for rows.Next() {
			row, to := make([]string, len(names)), make([]any, len(names))
			for i := range row {
				to[i] = &row[i]
			}
			if err := rows.Scan(to...); err != nil {
				t.Fatal(err)
			}
			found = append(found, row[column])
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return found
	}

	missing := texts(`SELECT m.name || '.' || i.name FROM sqlite_master m JOIN pragma_index_list(m.name) i
		WHERE m.type = 'table' AND i.origin <> 'pk' AND m.name <> 'schema_migrations'
		AND NOT EXISTS (SELECT 1 FROM sqlite_stat1 s WHERE s.tbl = m.name AND s.idx = i.name)`, 0)
	if len(missing) > 0 {
		t.Errorf("no statistics for %v: write them in the migration that makes the index", missing)
	}

	for query, index := range map[string]string{
		`SELECT * FROM contacts WHERE account_id = 1 AND group_id = 2`:                                                                                      "contact_group_id_box_sort_key",
		`SELECT * FROM conversations WHERE account_id = 1 AND contact_id = 2`:                                                                               "conversation_contact_id_opened_at",
		`SELECT * FROM contact_assignments WHERE account_id = 1 AND user_id = 2`:                                                                            "contactassignment_user_id_started_at",
		`SELECT * FROM users WHERE account_id = 1 AND home_group_id = 2`:                                                                                    "user_home_group_id_name_key",
		`SELECT * FROM role_grants WHERE account_id = 1 AND revoked_at IS NULL AND valid_until >= '2027' AND valid_until < '2028' ORDER BY valid_until, id`: "rolegrant_account_id_valid_until",
		`SELECT id FROM groups WHERE account_id = 1 AND path >= 'a' AND path < 'b'`:                                                                         "group_tree",
	} {
		if plan := strings.Join(texts("EXPLAIN QUERY PLAN "+query, 3), "; "); !strings.Contains(plan, index) {
			t.Errorf("%s\nis planned as %s, not over %s", query, plan, index)
		}
	}
}
