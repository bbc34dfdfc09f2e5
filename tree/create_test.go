package tree_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

// createAll creates groups below each other in one go: each name below the one before, the first below parent; those
// that begin with ! are RESTRICTED.
func (w *world) createAll(parent int64, names ...string) (ids []int64, err error) {
	err = w.write(func(ctx context.Context, tx *ent.Tx) error {
		if err := tree.LockShared(ctx, tx, w.account); err != nil {
			return err
		}
		if ids, err = tree.ReserveGroupIDs(ctx, tx, len(names)); err != nil {
			return err
		}
		groups := make([]tree.NewGroup, len(names))
		above := parent
		for i, name := range names {
			at := above
			groups[i] = w.newGroup(&at, name, name[0] == '!')
			groups[i].ID = ids[i]
			above = ids[i]
		}
		return tree.CreateAll(ctx, tx, groups, maxDepth)
	})
	return ids, err
}

func TestGroupsAreCreatedTogether(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		ids, err := w.createAll(w.root, "a", "!b", "c")
		if err != nil {
			t.Fatal(err)
		}
		if single := w.create(t, ids[2], "d", false); single <= ids[2] {
			t.Errorf("after %v comes group %d", ids, single)
		}
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			found, err := tree.FindChildren(ctx, tx, w.account, []tree.Child{{ParentID: w.root, NameKey: "a"}, {ParentID: ids[1], NameKey: "c"},
				{ParentID: w.root, NameKey: "c"}, {ParentID: ids[0], NameKey: "B"}})
			if len(found) != 2 || found[tree.Child{ParentID: w.root, NameKey: "a"}].ID != ids[0] ||
				found[tree.Child{ParentID: ids[1], NameKey: "c"}].Depth != 3 {
				t.Errorf("found %v", found)
			}
			elsewhere, other := tree.FindChildren(ctx, tx, w.account+1, []tree.Child{{ParentID: w.root, NameKey: "a"}})
			if len(elsewhere) != 0 {
				t.Error("another account's group was found")
			}
			return errors.Join(err, other)
		})
		if _, err := w.createAll(ids[2], "x", "y", "z"); !errors.Is(err, tree.ErrTooDeep) {
			t.Errorf("too deep: %v", err)
		}
		if _, err := w.createAll(999999, "x"); !errors.Is(err, tree.ErrNoGroup) {
			t.Errorf("below nothing: %v", err)
		}
		if _, err := w.createAll(w.root, "x", "a", "y"); err != nil {
			t.Errorf("a name of elsewhere: %v", err)
		}
		if _, err := w.createAll(w.root, "a"); !store.UniqueViolation(err, "group_sibling_name") {
			t.Errorf("a name that is taken: %v", err)
		}
		w.mustBeSound(t)
	})
}

// TestManyTakeAsManyStatementsAsOne: creating groups, listing contacts and counting users.
func TestManyTakeAsManyStatementsAsOne(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		statements := testdb.Statements(db)
		count := map[string][]int{}
		for _, n := range []int{1, 300} {
			w.must(t, func(ctx context.Context, tx *ent.Tx) error {
				contacts, homes := make([]int64, n), make([]int64, n)
				for i := range n {
					var err error
					contacts[i], err = insert(ctx, tx, `INSERT INTO contacts (account_id, group_id, arrival_group_id, name, name_key, box, sort_key,
						last_activity_at, created_at) VALUES ($1, $2, $2, 'x', 'x', 0, $3, $4, $4) RETURNING id`, w.account, w.root, i, epoch)
					if err != nil {
						return err
					}
					mail := fmt.Sprintf("many-%d@example.com", w.serial.Add(1))
					if _, err := insert(ctx, tx, `INSERT INTO users (account_id, home_group_id, name, name_key, email, email_key, created_at)
						VALUES ($1, $2, 'x', 'x', $3, $3, $4) RETURNING id`, w.account, w.root, mail, epoch); err != nil {
						return err
					}
					homes[i] = w.root
				}
				ids, err := tree.ReserveGroupIDs(ctx, tx, n)
				if err != nil {
					return err
				}
				groups := make([]tree.NewGroup, n)
				for i, id := range ids {
					groups[i] = w.newGroup(&w.root, fmt.Sprint("of ", n, " ", i), false)
					groups[i].ID = id
				}
				for what, do := range map[string]func() error{
					"groups":   func() error { return tree.CreateAll(ctx, tx, groups, maxDepth) },
					"contacts": func() error { return tree.AddContacts(ctx, tx, contacts) },
					"users":    func() error { return tree.AddUsers(ctx, tx, homes...) },
				} {
					statements.Reset()
					if err := do(); err != nil {
						return err
					}
					count[what] = append(count[what], statements.Count())
				}
				return nil
			})
		}
		for what, n := range count {
			if n[0] != n[1] || n[0] > 5 {
				t.Errorf("%s take %d statements for one and %d for many", what, n[0], n[1])
			}
		}
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			if err := tree.AddContacts(ctx, tx, []int64{999999}); !errors.Is(err, tree.ErrNoContact) {
				t.Errorf("a contact that is not there: %v", err)
			}
			return nil
		})
		w.mustBeSound(t)
	})
}
