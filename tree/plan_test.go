package tree_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/tree"
)

// TestPlans: nothing but Check and Rebuild ever reads a whole table, or all of an account.
func TestPlans(t *testing.T) {
	db := testdb.SQLite(t)
	f := newFamily(t, db, &atomic.Int64{})
	statements := testdb.Statements(db)
	statements.Reset()
	for _, step := range []step{
		(*family).contactToC, (*family).contactToD, (*family).contactGone, (*family).contactAtC,
		(*family).userAtC, (*family).userToC, (*family).childAtC,
		(*family).wallB, (*family).moveB, (*family).dissolveC,
	} {
		f.must(t, func(ctx context.Context, tx *ent.Tx) error { return step(f, ctx, tx) })
	}
	empty := f.create(t, f.root, "empty", false)
	f.must(t, func(ctx context.Context, tx *ent.Tx) error { return tree.Delete(ctx, tx, f.account, empty) })
	if _, err := tree.SettingsOf(context.Background(), db.Read, []*ent.Group{{ID: f.root, AccountID: f.account, Path: tree.Label(f.root)}}); err != nil {
		t.Fatal(err)
	}
	queries := statements.List()
	slices.Sort(queries)
	for _, query := range slices.Compact(queries) {
		if foreignKeys.MatchString(query) {
			continue
		}
		for _, line := range f.plan(t, query) {
			if whole.MatchString(line) && !strings.Contains(line, "VIRTUAL TABLE") && !few.MatchString(line) {
				t.Errorf("%s\nis planned as\n%s", query, strings.Join(f.plan(t, query), "\n"))
				break
			}
		}
	}
}

var (
	// foreignKeys matches the statements whose plans show what SQLite does about foreign keys, which is not decided here.
	foreignKeys = regexp.MustCompile(`^(INSERT INTO|DELETE FROM) (groups|users|contacts)\b`)
	// whole matches the lines of a plan that read all of a table or of an account.
	whole = regexp.MustCompile(`^SCAN (groups|users|contacts|scopes|group_counters|[gucns])\b|\(account_id=\?\)$`)
	// few matches the indexes over the moves of an account that are under way.
	few = regexp.MustCompile(`\b(detour_account|groupmove_under_way)\b`)
)

var parameter = regexp.MustCompile(`\$\d+`)

func (w *world) plan(t *testing.T, query string) (lines []string) {
	t.Helper()
	names := parameter.FindAllString(query, -1)
	slices.Sort(names)
	args := make([]any, len(slices.Compact(names)))
	for i := range args {
		args[i] = "[1]"
	}
	rows, err := w.db.Read.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
