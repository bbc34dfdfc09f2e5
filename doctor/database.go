package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"canopy/relay"
	"canopy/store"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
)

// storage asks the database whether it is sound itself.
func (e *examination) storage(ctx context.Context) error {
	query := `SELECT 'index ' || c.relname || ' is not valid' FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		JOIN pg_namespace AS s ON s.oid = c.relnamespace WHERE s.nspname = current_schema() AND NOT i.indisvalid
		UNION ALL
		SELECT 'constraint ' || k.conname || ' is not validated' FROM pg_constraint AS k
		JOIN pg_namespace AS s ON s.oid = k.connamespace WHERE s.nspname = current_schema() AND NOT k.convalidated`
	if e.db.Dialect() == dialect.SQLite {
		query = fmt.Sprintf("PRAGMA quick_check(%d)", MaxFaults)
	}
	err := store.EachRow(ctx, e.c, query, nil, func(rows *sql.Rows) error {
		f := Fault{Kind: Storage}
		err := rows.Scan(&f.Detail)
		if f.Detail != "ok" {
			e.report(f)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("asking the database about itself: %w", err)
	}
	return nil
}

// schema compares the tables with what the program takes them for: a unique index that somebody dropped guards no more.
func (e *examination) schema(ctx context.Context) error {
	statements, err := e.db.Drift(ctx)
	for _, s := range statements {
		e.report(Fault{Kind: WrongSchema, Detail: "it takes this to be as it should: " + s})
	}
	return err
}

// tables are the kinds of things, by where they are stored.
var tables = map[string]relay.Kind{
	"accounts": relay.KindAccount, "groups": relay.KindGroup, "users": relay.KindUser, "roles": relay.KindRole,
	"role_grants": relay.KindRoleGrant, "sessions": relay.KindSession, "contacts": relay.KindContact,
	"contact_assignments": relay.KindContactAssignment, "conversations": relay.KindConversation, "messages": relay.KindMessage,
	"audit_events": relay.KindAuditEvent, "group_requests": relay.KindGroupRequest,
	"group_moves": relay.KindGroupMove, "history_entries": relay.KindHistoryEntry, "covers": relay.KindCover,
	"notes": relay.KindNote, "tags": relay.KindTag,
}

// references follows every foreign key, in one account or, for 0, in all. The databases enforce them, but for those who
// have it switched off.
func (e *examination) references(ctx context.Context, accountID int64) error {
	for _, t := range store.Tables(e.db.Dialect()) {
		for _, key := range t.ForeignKeys {
			if err := e.reference(ctx, accountID, t, key); err != nil {
				return fmt.Errorf("following %s: %w", key.Symbol, err)
			}
		}
	}
	for _, k := range plain {
		if err := e.plainReference(ctx, accountID, k); err != nil {
			return fmt.Errorf("following %s of %s: %w", k.column, k.table, err)
		}
	}
	return nil
}

// plainKey is a foreign key of a table that no client sees, and that is no entity.
type plainKey struct {
	table, column string
	own           string // its account; 0 where that is not written
	to            string
}

var plain = []plainKey{
	{"timers", "account_id", "c.account_id", "accounts"},
	{"event_counters", "account_id", "c.account_id", "accounts"},
	{"events", "account_id", "c.account_id", "accounts"},
	{"stays", "conversation_id", "c.account_id", "conversations"},
	{"stays", "group_id", "c.account_id", "groups"},
	{"contact_words", "contact_id", "0", "contacts"},
}

// plainReference reports each row that is not there once, however many refer to it.
func (e *examination) plainReference(ctx context.Context, accountID int64, k plainKey) error {
	same := "p.id = c." + k.column
	if k.to != "accounts" && k.own != "0" {
		same += " AND p.account_id = " + k.own
	}
	query := fmt.Sprintf(`SELECT DISTINCT CAST(%s AS BIGINT), c.%s FROM %s AS c WHERE (CAST($1 AS BIGINT) = 0 OR %[1]s = CAST($1 AS BIGINT))
		AND NOT EXISTS (SELECT 1 FROM %[4]s AS p WHERE %[5]s) ORDER BY 2 LIMIT $2`, k.own, k.column, k.table, k.to, same)
	return store.EachRow(ctx, e.c, query, []any{accountID, MaxFaults}, func(rows *sql.Rows) error {
		var of, to int64
		err := rows.Scan(&of, &to)
		e.report(Fault{Kind: Dangling, Account: e.slugs[of], Detail: fmt.Sprintf("rows of %s: %s is %d, which is no row of %s in their account",
			k.table, k.column, to, k.to)})
		return err
	})
}

func (e *examination) reference(ctx context.Context, accountID int64, t *schema.Table, key *schema.ForeignKey) error {
	id, own := "c.id", "c.account_id"
	switch {
	case t.Name == "accounts":
		own = "c.id"
	case !t.HasColumn("id"): // a table between two others
		id = "c." + t.PrimaryKey[0].Name
		own = "(SELECT account_id FROM " + t.ForeignKeys[0].RefTable.Name + " AS o WHERE o.id = " + id + ")"
	}
	var same, set []string
	for i, column := range key.Columns {
		same = append(same, "p."+key.RefColumns[i].Name+" = c."+column.Name)
		set = append(set, "c."+column.Name+" IS NOT NULL")
	}
	last := key.Columns[len(key.Columns)-1].Name
	query := fmt.Sprintf(`SELECT COALESCE(%s, 0), %s, c.%s FROM %s AS c
		WHERE %s AND (CAST($1 AS BIGINT) = 0 OR %s = CAST($1 AS BIGINT)) AND NOT EXISTS (SELECT 1 FROM %s AS p WHERE %s) ORDER BY 2 LIMIT $2`,
		own, id, last, t.Name, strings.Join(set, " AND "), own, key.RefTable.Name, strings.Join(same, " AND "))
	return store.EachRow(ctx, e.c, query, []any{accountID, MaxFaults}, func(rows *sql.Rows) error {
		f := Fault{Kind: Dangling, Of: tables[t.Name]}
		var of, to int64
		err := rows.Scan(&of, &f.Number, &to)
		f.Account = e.slugs[of]
		f.Detail = fmt.Sprintf("%s is %d, which is no row of %s", last, to, key.RefTable.Name)
		if slices.ContainsFunc(key.Columns, func(c *schema.Column) bool { return c.Name == "account_id" }) && last != "account_id" {
			f.Detail += " in its account"
		}
		if f.Of == 0 {
			f.Detail = fmt.Sprintf("a row of %s: %s", t.Name, f.Detail)
		}
		e.report(f)
		return err
	})
}
