package tree_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

// branch makes a group with n children, each with a contact and a child of its own.
func (w *world) branch(t *testing.T, name string, n int) (top int64) {
	t.Helper()
	w.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
		create := func(parent int64, name string) int64 {
			if err != nil {
				return 0
			}
			var id int64
			id, err = tree.Create(ctx, tx, w.newGroup(&parent, name, false), maxDepth)
			return id
		}
		top = create(w.root, name)
		for _, name := range names(n) {
			child := create(top, name)
			create(child, name)
			if err == nil {
				_, err = w.addContact(ctx, tx, tree.Placement{GroupID: child, Box: 2, SortKey: 1})
			}
		}
		return err
	})
	return top
}

// TestStatementsDoNotDependOnSize: a branch of any size takes the same number of statements, and not many.
func TestStatementsDoNotDependOnSize(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		statements := testdb.Statements(db)
		counts := map[string][]int{}
		for _, size := range []int{1, 150} {
			target := w.create(t, w.root, fmt.Sprint("target ", size), true)
			heir := w.create(t, w.root, fmt.Sprint("heir ", size), false)
			top := w.branch(t, "branch", size)
			measure := func(what string, fn func(ctx context.Context, tx *ent.Tx) error) {
				statements.Reset()
				w.must(t, fn)
				counts[what] = append(counts[what], statements.Count())
			}
			measure("Move", func(ctx context.Context, tx *ent.Tx) error {
				return moveAtOnce(ctx, tx, w.account, top, target)
			})
			measure("SetRestricted", func(ctx context.Context, tx *ent.Tx) error {
				return tree.SetRestricted(ctx, tx, w.account, top, true)
			})
			measure("Dissolve, walled", func(ctx context.Context, tx *ent.Tx) error {
				return tree.Dissolve(ctx, tx, w.account, top, target, maxDepth)
			})
			top = w.branch(t, "branch", size)
			measure("Dissolve", func(ctx context.Context, tx *ent.Tx) error {
				return tree.Dissolve(ctx, tx, w.account, top, heir, maxDepth)
			})
			w.mustBeSound(t)
		}
		for what, count := range counts {
			if count[0] != count[1] {
				t.Errorf("%s takes %d statements for a small branch and %d for a large one", what, count[0], count[1])
			}
			t.Logf("%s: %d statements", what, count[0])
		}
	})
}

// TestUsersAreLockedBeforeGroups: who gives contacts to an agent locks the agent first, and then groups.
func TestUsersAreLockedBeforeGroups(t *testing.T) {
	db := testdb.Postgres(t)
	w := newWorld(t, db, &atomic.Int64{})
	gone, heir := w.create(t, w.root, "gone", false), w.create(t, w.root, "heir", false)
	testdb.Statements(db).Reset()
	w.must(t, func(ctx context.Context, tx *ent.Tx) error {
		return tree.Dissolve(ctx, tx, w.account, gone, heir, maxDepth)
	})
	first := func(part string) int {
		return slices.IndexFunc(testdb.Statements(db).List(), func(s string) bool { return strings.Contains(s, part) })
	}
	if users, groups := first("FROM users"), first("FOR UPDATE"); users < 0 || groups < users {
		t.Errorf("users are locked by statement %d, groups by %d", users, groups)
	}
}
