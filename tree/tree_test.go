package tree_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"

	"pgregory.net/rapid"
)

var errTaken = errors.New("the name is taken")

// machine runs random operations on a database and on the model alike.
type machine struct {
	*world
	m        *model
	underWay map[int64]carrying // moves that are not carried to the end, by the group that was moved
}

type carrying struct {
	move    int64
	leaving []int64 // the groups whose lists the branch is leaving
}

// settled says whether no branch is being carried that holds the group, is held by its branch, or is leaving its list.
func (r *machine) settled(id int64) bool {
	for top, c := range r.underWay {
		if r.m.isUnder(top, id) || r.m.isUnder(id, top) || slices.Contains(c.leaving, id) {
			return false
		}
	}
	return true
}

// TestRandomOperations is the promise of the package: whatever is done in whatever order, what is stored equals what
// a plain tree says, Check finds nothing and Rebuild changes nothing, and other accounts are left alone.
func TestRandomOperations(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		serial := &atomic.Int64{}
		bystander := newBystander(t, db, serial)
		before := bystander.stored(t)
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t, db, serial)
			r := &machine{world: w, m: newModel(w), underWay: map[int64]carrying{}}
			t.Repeat(map[string]func(*rapid.T){
				"create":        r.create,
				"create more":   r.create,
				"move":          r.move,
				"move more":     r.move,
				"move later":    r.moveLater,
				"carry":         r.carry,
				"delete":        r.delete,
				"dissolve":      r.dissolve,
				"restrict":      r.restrict,
				"addUser":       r.addUser,
				"moveUser":      r.moveUser,
				"deleteUser":    r.deleteUser,
				"addContact":    r.addContact,
				"updateContact": r.updateContact,
				"removeContact": r.removeContact,
				"":              r.compare,
			})
			if faults := r.check(t); len(faults) > 0 {
				t.Fatalf("with %d moves under way Check finds %v", len(r.underWay), faults)
			}
			for _, c := range r.underWay {
				for r.world.carry(t, c.move) {
				}
			}
			r.mustBeSound(t)
		})
		if diff := bystander.stored(t).difference(before); diff != "" {
			t.Errorf("another account was changed:\n%s", diff)
		}
		bystander.mustBeSound(t)
	})
}

// newBystander makes an account with something of everything, to be left alone.
func newBystander(t *testing.T, db *store.DB, serial *atomic.Int64) *world {
	w := newWorld(t, db, serial)
	a := w.create(t, w.root, "a", true)
	b := w.create(t, a, "b", false)
	w.must(t, func(ctx context.Context, tx *ent.Tx) error {
		for box := range tree.Box(6) {
			if _, err := w.addContact(ctx, tx, tree.Placement{GroupID: b, Box: box, SortKey: 1}); err != nil {
				return err
			}
		}
		return nil
	})
	return w
}

func (r *machine) compare(t *rapid.T) {
	if diff := r.stored(t).difference(r.m.stored(r.account)); diff != "" {
		t.Fatalf("%s", diff)
	}
}

func (r *machine) group(t *rapid.T, label string) int64 {
	return rapid.SampledFrom(keys(r.m.groups)).Draw(t, label)
}

func pick[V any](t *rapid.T, from map[int64]V, label string) int64 {
	if len(from) == 0 {
		t.Skip("there is none")
	}
	return rapid.SampledFrom(keys(from)).Draw(t, label)
}

func (r *machine) placement(t *rapid.T) tree.Placement {
	return tree.Placement{
		GroupID: r.group(t, "group"),
		Box:     tree.BoxOf(rapid.SampledFrom([]tree.State{tree.None, tree.Open, tree.Closed}).Draw(t, "state"), rapid.Bool().Draw(t, "assigned")),
		SortKey: rapid.Int64Range(1, 3).Draw(t, "sort key"),
	}
}

// do runs one transaction and says whether it went through, which it has to exactly when the model has nothing
// against it.
func (r *machine) do(t *rapid.T, want error, fn func(ctx context.Context, tx *ent.Tx) error) bool {
	t.Helper()
	err := r.write(fn)
	switch {
	case errors.Is(want, errTaken) && store.UniqueViolation(err, "group_sibling_name"):
	case !errors.Is(err, want):
		t.Fatalf("got %v, want %v", err, want)
	}
	return want == nil
}

func (r *machine) create(t *rapid.T) {
	parent, restricted := r.group(t, "parent"), rapid.IntRange(0, 3).Draw(t, "restricted") == 0
	name := rapid.StringMatching("[a-f]").Draw(t, "name")
	var want error
	switch {
	case r.m.depth(parent)+1 > maxDepth:
		want = tree.ErrTooDeep
	case r.m.taken(parent, name):
		want = errTaken
	}
	var id int64
	if r.do(t, want, func(ctx context.Context, tx *ent.Tx) (err error) {
		id, err = tree.Create(ctx, tx, r.newGroup(&parent, name, restricted), maxDepth)
		return err
	}) {
		r.m.groups[id] = &modelGroup{parent: parent, name: name, restricted: restricted}
	}
}

func (r *machine) move(t *rapid.T) { r.moveBy(t, moveAtOnce) }

// moveLater moves and leaves the scope rows to carry.
func (r *machine) moveLater(t *rapid.T) {
	before := map[int64][]int64{}
	for id := range r.m.groups {
		before[id] = r.m.scopes(r.account, id)
	}
	var moveID int64
	id := r.moveBy(t, func(ctx context.Context, tx *ent.Tx, account, group, parent int64) (err error) {
		moveID, err = moveLater(ctx, tx, account, group, parent)
		return err
	})
	if moveID != 0 {
		after := r.m.scopes(r.account, id)
		leaving := slices.DeleteFunc(before[id], func(scope int64) bool { return slices.Contains(after, scope) })
		r.underWay[id] = carrying{moveID, leaving}
	}
}

func (r *machine) carry(t *rapid.T) {
	id := pick(t, r.underWay, "under way")
	if !r.world.carry(t, r.underWay[id].move) {
		delete(r.underWay, id)
	}
}

func (r *machine) moveBy(t *rapid.T, move func(ctx context.Context, tx *ent.Tx, account, group, parent int64) error) (id int64) {
	id, parent := r.group(t, "group"), r.group(t, "to")
	g := r.m.groups[id]
	down := r.m.depth(parent) + 1 - r.m.depth(id)
	var want error
	switch {
	case id == r.root:
		want = tree.ErrRoot
	case r.m.isUnder(parent, id):
		want = tree.ErrCycle
	case g.parent == parent:
	case !r.settled(id):
		want = tree.ErrUnderWay
	case down > 0 && r.m.depth(id)+r.m.height(id)+down > maxDepth:
		want = tree.ErrTooDeep
	case r.m.taken(parent, g.name):
		want = errTaken
	}
	if r.do(t, want, func(ctx context.Context, tx *ent.Tx) error { return move(ctx, tx, r.account, id, parent) }) {
		g.parent = parent
	}
	return id
}

func (r *machine) delete(t *rapid.T) {
	id := r.group(t, "group")
	var want error
	switch {
	case id == r.root:
		want = tree.ErrRoot
	case !r.m.isEmpty(id):
		want = tree.ErrNotEmpty
	}
	if r.do(t, want, func(ctx context.Context, tx *ent.Tx) error { return tree.Delete(ctx, tx, r.account, id) }) {
		delete(r.m.groups, id)
		delete(r.underWay, id)
	}
}

func (r *machine) dissolve(t *rapid.T) {
	id, heir := r.group(t, "group"), r.group(t, "successor")
	var want error
	switch {
	case id == r.root:
		want = tree.ErrRoot
	case r.m.isUnder(heir, id):
		want = tree.ErrCycle
	case !r.settled(id):
		want = tree.ErrUnderWay
	case r.m.height(id) > 0 && r.m.depth(heir) > r.m.depth(id) && r.m.depth(heir)+r.m.height(id) > maxDepth:
		want = tree.ErrTooDeep
	default:
		for _, child := range r.m.children(id) {
			if r.m.taken(heir, r.m.groups[child].name, id) {
				want = errTaken
			}
		}
	}
	if r.do(t, want, func(ctx context.Context, tx *ent.Tx) error {
		return tree.Dissolve(ctx, tx, r.account, id, heir, maxDepth)
	}) {
		r.m.dissolve(id, heir)
	}
}

func (r *machine) restrict(t *rapid.T) {
	id, restricted := r.group(t, "group"), rapid.Bool().Draw(t, "restricted")
	var want error
	if restricted != r.m.groups[id].restricted && !r.settled(id) {
		want = tree.ErrUnderWay
	}
	if r.do(t, want, func(ctx context.Context, tx *ent.Tx) error {
		return tree.SetRestricted(ctx, tx, r.account, id, restricted)
	}) {
		r.m.groups[id].restricted = restricted
	}
}

func (r *machine) addUser(t *rapid.T) {
	home := r.group(t, "group")
	var id int64
	r.do(t, nil, func(ctx context.Context, tx *ent.Tx) (err error) {
		id, err = r.world.addUser(ctx, tx, home)
		return err
	})
	r.m.users[id] = home
}

func (r *machine) moveUser(t *rapid.T) {
	id, to := pick(t, r.m.users, "user"), r.group(t, "to")
	r.do(t, nil, func(ctx context.Context, tx *ent.Tx) error { return tree.MoveUser(ctx, tx, id, r.m.users[id], to) })
	r.m.users[id] = to
}

func (r *machine) deleteUser(t *rapid.T) {
	id := pick(t, r.m.users, "user")
	if id == r.server {
		t.Skip("serves the contacts")
	}
	r.do(t, nil, func(ctx context.Context, tx *ent.Tx) error { return r.world.deleteUser(ctx, tx, id, r.m.users[id]) })
	delete(r.m.users, id)
}

func (r *machine) addContact(t *rapid.T) {
	p := r.placement(t)
	var id int64
	r.do(t, nil, func(ctx context.Context, tx *ent.Tx) (err error) {
		id, err = r.world.addContact(ctx, tx, p)
		return err
	})
	r.m.contacts[id] = p
}

func (r *machine) updateContact(t *rapid.T) {
	id, p := pick(t, r.m.contacts, "contact"), r.placement(t)
	if rapid.Bool().Draw(t, "stays") {
		p.GroupID = r.m.contacts[id].GroupID
	}
	r.do(t, nil, func(ctx context.Context, tx *ent.Tx) error { return r.world.updateContact(ctx, tx, id, p) })
	r.m.contacts[id] = p
}

func (r *machine) removeContact(t *rapid.T) {
	id := pick(t, r.m.contacts, "contact")
	r.do(t, nil, func(ctx context.Context, tx *ent.Tx) error { return r.world.removeContact(ctx, tx, id) })
	delete(r.m.contacts, id)
}
