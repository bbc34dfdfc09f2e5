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

// remembered is an account in which much points at one group that has nothing of its own: a contact that arrived and
// waited there and is at the root now, a request for a group under it, the request that made it, and a deleted user.
type remembered struct {
	*world
	group, heir       int64
	contact, user     int64
	pending, approved int64
}

func newRemembered(t *testing.T, db *store.DB) *remembered {
	r := &remembered{world: newWorld(t, db, &atomic.Int64{})}
	r.group = r.create(t, r.root, "group", false)
	r.heir = r.create(t, r.root, "heir", false)
	r.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
		if r.contact, err = r.addContact(ctx, tx, tree.Placement{GroupID: r.group}); err != nil {
			return err
		}
		if err := r.updateContact(ctx, tx, r.contact, tree.Placement{GroupID: r.root}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO contact_assignments
			(account_id, contact_id, user_id, method, explanation, taken_from_group_id, started_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, r.account, r.contact, r.server, "CLAIM", "", r.group, epoch); err != nil {
			return err
		}
		if r.user, err = r.addUser(ctx, tx, r.group); err != nil {
			return err
		}
		if err := r.deleteUser(ctx, tx, r.user, r.group); err != nil {
			return err
		}
		if r.pending, err = r.request(ctx, tx, r.group, nil); err != nil {
			return err
		}
		r.approved, err = r.request(ctx, tx, r.root, &r.group)
		return err
	})
	return r
}

func (r *remembered) request(ctx context.Context, tx *ent.Tx, parent int64, group *int64) (int64, error) {
	return insert(ctx, tx, `INSERT INTO group_requests (account_id, parent_id, name, requested_by_id, group_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`, r.account, parent, "wish", r.server, group, epoch)
}

// memory says which group is remembered where: as arrival, as queue, as the home of the deleted user, and as parents
// and results of the requests.
func (r *remembered) memory(t *testing.T) string {
	t.Helper()
	var memory []any
	for _, query := range []string{
		"SELECT arrival_group_id FROM contacts WHERE account_id = $1",
		"SELECT taken_from_group_id FROM contact_assignments WHERE account_id = $1",
		"SELECT home_group_id FROM users WHERE account_id = $1 AND status = 'DELETED'",
		"SELECT parent_id, COALESCE(group_id, 0) FROM group_requests WHERE account_id = $1 ORDER BY id",
	} {
		memory = append(memory, r.rows(t, query))
	}
	return fmt.Sprint(memory...)
}

func TestDeleteRemembersTheParent(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		r := newRemembered(t, db)
		r.must(t, func(ctx context.Context, tx *ent.Tx) error { return tree.Delete(ctx, tx, r.account, r.group) })
		root := r.root
		if got, want := r.memory(t), fmt.Sprintf("[[%d]] [[%d]] [[%d]] [[%d 0]]", root, root, root, root); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		r.mustBeSound(t)
	})
}

func TestDissolveRemembersTheSuccessor(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		r := newRemembered(t, db)
		r.must(t, func(ctx context.Context, tx *ent.Tx) error {
			return tree.Dissolve(ctx, tx, r.account, r.group, r.heir, maxDepth)
		})
		heir := r.heir
		if got, want := r.memory(t), fmt.Sprintf("[[%d]] [[%d]] [[%d]] [[%d 0] [%d 0]]", heir, heir, heir, heir, r.root); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		r.mustBeSound(t)
	})
}

// TestNameOfADissolvedGroupIsFree: its child of the same name takes its place.
func TestNameOfADissolvedGroupIsFree(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		outer := w.create(t, w.root, "Sales", false)
		inner := w.create(t, outer, "sales", false)
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			return tree.Dissolve(ctx, tx, w.account, outer, w.root, maxDepth)
		})
		if got, want := w.stored(t).groups[inner], fmt.Sprint(w.root, tree.Label(w.root)+tree.Label(inner), int64(1), "", "INHERITED"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.mustBeSound(t)
	})
}

// TestDissolvedWallGoesAlong is ruling 18: the children of a RESTRICTED group that is deleted stay private.
func TestDissolvedWallGoesAlong(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		private := w.create(t, w.root, "private", true)
		child := w.create(t, private, "child", false)
		below := w.create(t, child, "below", false)
		var inside, outside int64
		w.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
			if inside, err = w.addContact(ctx, tx, tree.Placement{GroupID: below}); err != nil {
				return err
			}
			outside, err = w.addContact(ctx, tx, tree.Placement{GroupID: private})
			return err
		})
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			return tree.Dissolve(ctx, tx, w.account, private, w.root, maxDepth)
		})
		got := w.stored(t)
		wall := tree.Label(w.root) + tree.Label(child)
		for id, want := range map[int64]string{
			child: fmt.Sprint(w.root, wall, int64(1), wall, "RESTRICTED"),
			below: fmt.Sprint(child, wall+tree.Label(below), int64(2), wall, "INHERITED"),
		} {
			if got.groups[id] != want {
				t.Errorf("got %s, want %s", got.groups[id], want)
			}
		}
		lists := map[int64]string{}
		for _, row := range w.rows(t, "SELECT scope_id, contact_id FROM scopes WHERE contact_id IN (SELECT id FROM contacts WHERE account_id = $1) ORDER BY scope_id") {
			lists[row[1].(int64)] += fmt.Sprint(row[0], " ")
		}
		if want := fmt.Sprint(-w.account, " ", child, " ", below, " "); lists[inside] != want {
			t.Errorf("the contact inside is listed in %s, want %s", lists[inside], want)
		}
		if want := fmt.Sprint(-w.account, " ", w.root, " "); lists[outside] != want {
			t.Errorf("the contact of the group itself is listed in %s, want %s", lists[outside], want)
		}
		w.mustBeSound(t)
	})
}

// TestGrantsStandInTheWay: the package ends no access; the grants of a group have to be gone before it goes.
func TestGrantsStandInTheWay(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		group := w.create(t, w.root, "group", false)
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			role, err := insert(ctx, tx, "INSERT INTO roles (account_id, name, name_key, created_at) VALUES ($1, $2, $3, $4) RETURNING id",
				w.account, "Role", "role", epoch)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "INSERT INTO role_grants (account_id, user_id, role_id, group_id, valid_from, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
				w.account, w.server, role, group, epoch, epoch)
			return err
		})
		err := w.write(func(ctx context.Context, tx *ent.Tx) error { return tree.Delete(ctx, tx, w.account, group) })
		if !store.ForeignKeyViolation(err) {
			t.Errorf("got %v", err)
		}
	})
}

// TestOtherAccountsDoNotExist: for each function, a group of another account is no group, and nothing is changed.
func TestOtherAccountsDoNotExist(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		serial := &atomic.Int64{}
		w, other := newWorld(t, db, serial), newWorld(t, db, serial)
		mine, theirs := w.create(t, w.root, "mine", false), other.create(t, other.root, "theirs", false)
		var contact, user int64
		w.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
			if user, err = w.addUser(ctx, tx, mine); err != nil {
				return err
			}
			contact, err = w.addContact(ctx, tx, tree.Placement{GroupID: mine})
			return err
		})
		before, theirsBefore := w.stored(t), other.stored(t)
		for name, fn := range map[string]func(ctx context.Context, tx *ent.Tx) error{
			"Create": func(ctx context.Context, tx *ent.Tx) error {
				_, err := tree.Create(ctx, tx, w.newGroup(&theirs, "new", false), maxDepth)
				return err
			},
			"Move theirs": func(ctx context.Context, tx *ent.Tx) error {
				return moveAtOnce(ctx, tx, w.account, theirs, mine)
			},
			"Move there": func(ctx context.Context, tx *ent.Tx) error {
				return moveAtOnce(ctx, tx, w.account, mine, theirs)
			},
			"SetRestricted": func(ctx context.Context, tx *ent.Tx) error {
				return tree.SetRestricted(ctx, tx, w.account, theirs, true)
			},
			"Delete": func(ctx context.Context, tx *ent.Tx) error { return tree.Delete(ctx, tx, w.account, theirs) },
			"Dissolve theirs": func(ctx context.Context, tx *ent.Tx) error {
				return tree.Dissolve(ctx, tx, w.account, theirs, mine, maxDepth)
			},
			"Dissolve to there": func(ctx context.Context, tx *ent.Tx) error {
				return tree.Dissolve(ctx, tx, w.account, mine, theirs, maxDepth)
			},
			"AddUser":  func(ctx context.Context, tx *ent.Tx) error { return tree.AddUser(ctx, tx, gone) },
			"MoveUser": func(ctx context.Context, tx *ent.Tx) error { return tree.MoveUser(ctx, tx, user, mine, theirs) },
			"UpdateContact": func(ctx context.Context, tx *ent.Tx) error {
				return tree.UpdateContact(ctx, tx, contact, tree.Placement{GroupID: theirs})
			},
		} {
			if err := w.write(fn); !errors.Is(err, tree.ErrNoGroup) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if diff := w.stored(t).difference(before) + other.stored(t).difference(theirsBefore); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUsersAndContactsThatAreNotThere(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		a := w.create(t, w.root, "a", false)
		var deleted int64
		w.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
			if deleted, err = w.addUser(ctx, tx, w.root); err != nil {
				return err
			}
			return w.deleteUser(ctx, tx, deleted, w.root)
		})
		for name, c := range map[string]struct {
			want error
			fn   func(ctx context.Context, tx *ent.Tx) error
		}{
			"a user who is not at home": {tree.ErrNoUser, func(ctx context.Context, tx *ent.Tx) error { return tree.MoveUser(ctx, tx, w.server, a, w.root) }},
			"a deleted user":            {tree.ErrNoUser, func(ctx context.Context, tx *ent.Tx) error { return tree.MoveUser(ctx, tx, deleted, w.root, a) }},
			"no contact to add":         {tree.ErrNoContact, func(ctx context.Context, tx *ent.Tx) error { return tree.AddContact(ctx, tx, gone) }},
			"no contact to place": {tree.ErrNoContact, func(ctx context.Context, tx *ent.Tx) error {
				return tree.UpdateContact(ctx, tx, gone, tree.Placement{GroupID: a})
			}},
		} {
			if err := w.write(c.fn); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
		w.mustBeSound(t)
	})
}

// TestCreateRefuses: one root, and no two siblings of a name.
func TestCreateRefuses(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		w.create(t, w.root, "Straße", false)
		create := func(parent *int64, name string) error {
			return w.write(func(ctx context.Context, tx *ent.Tx) error {
				_, err := tree.Create(ctx, tx, w.newGroup(parent, name, false), maxDepth)
				return err
			})
		}
		if err := create(nil, "second root"); !store.UniqueViolation(err, "group_one_root") {
			t.Errorf("got %v", err)
		}
		if err := create(&w.root, "STRASSE"); !store.UniqueViolation(err, "group_sibling_name") {
			t.Errorf("got %v", err)
		}
		w.mustBeSound(t)
	})
}

func TestBoxes(t *testing.T) {
	for i, c := range []struct {
		state    tree.State
		assigned bool
	}{{tree.None, false}, {tree.None, true}, {tree.Open, false}, {tree.Open, true}, {tree.Closed, false}, {tree.Closed, true}} {
		box := tree.BoxOf(c.state, c.assigned)
		if int(box) != i || box.State() != c.state || box.Assigned() != c.assigned {
			t.Errorf("BoxOf(%d, %t) = %d, which is %d, %t", c.state, c.assigned, box, box.State(), box.Assigned())
		}
	}
}

// TestDropAccount: no list of the account is left, and nothing of another one is gone.
func TestDropAccount(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		serial := &atomic.Int64{}
		w, other := newBystander(t, db, serial), newBystander(t, db, serial)
		before := other.stored(t)
		w.must(t, func(ctx context.Context, tx *ent.Tx) error { return tree.DropAccount(ctx, tx, w.account) })
		if left := w.stored(t).scopes; len(left) > 0 {
			t.Errorf("%d scope rows are left", len(left))
		}
		if diff := other.stored(t).difference(before); diff != "" {
			t.Error(diff)
		}
	})
}
