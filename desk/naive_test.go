package desk_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/rule"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

// fill puts contacts that wait into north, without use-cases.
func (w *world) fill(n int) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for i := range n {
			if err := w.place(ctx, tx, fmt.Sprint("c", i), w.groups["north"], tree.None, 0, int64(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// place inserts a contact as it stands. Sort keys are made to collide.
func (w *world) place(ctx context.Context, tx *ent.Tx, name string, at int64, state tree.State, agent, key int64) error {
	box := tree.BoxOf(state, agent != 0)
	now := w.clock.Now()
	create := tx.Contact.Create().SetAccountID(w.account).SetGroupID(at).SetArrivalGroupID(at).SetName(name).SetNameKey(name).
		SetBox(int(box)).SetSortKey(key).SetLastActivityAt(now).SetCreatedAt(now)
	if agent != 0 {
		create.SetAssignedUserID(agent)
	} else {
		create.SetWaitingSince(now)
	}
	c, err := create.Save(ctx)
	if err != nil {
		return err
	}
	return tree.AddContact(ctx, tx, c.ID)
}

// pick returns one of the list.
func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// chaos makes a random account: walls, settings, custom roles, grants anywhere, contacts in every state.
func (w *world) chaos(r *rand.Rand) (users []string) {
	groups := []string{"root"}
	for i := range 14 {
		name := fmt.Sprint("g", i)
		w.newGroup(name, pick(r, groups), r.IntN(4) == 0)
		groups = append(groups, name)
	}
	for _, name := range groups {
		w.set(name, func(u *ent.GroupUpdateOne) {
			switch r.IntN(4) {
			case 0:
				u.SetAssignmentMode(group.AssignmentModeMANUAL)
			case 1:
				u.SetAssignmentMode(group.AssignmentModeRADAR)
			}
			switch r.IntN(4) {
			case 0:
				u.SetSharedInbox(true)
			case 1:
				u.SetSharedInbox(false)
			}
		})
	}
	roles := []string{authz.RoleAgent, authz.RoleAgent, authz.RoleDashboardAdministrator}
	views := []authz.Permission{authz.ConversationsView, authz.ContactsView, authz.QueueView, authz.CustomerDataView, authz.GroupsView}
	for i := range 6 {
		var pairs []authz.Pair
		for range 1 + r.IntN(3) {
			pairs = append(pairs, authz.Pair{Permission: pick(r, views), Scope: pick(r, authz.Scopes())})
		}
		w.role(fmt.Sprint("role ", i), pairs...)
		roles = append(roles, fmt.Sprint("role ", i))
	}
	w.role("Mapper", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeAccount})
	w.role("Reader", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.CustomerDataView, Scope: authz.ScopeSubtree})
	w.role("Talker", authz.Pair{Permission: authz.ConversationsView, Scope: authz.ScopeSubtree})
	users = []string{"olga"}
	for i := range 10 {
		name := fmt.Sprint("user", i)
		w.user(name, pick(r, groups))
		if i%2 == 0 { // sees every group, and in it only what the other grants reach
			w.grant(name, "Mapper", "")
		}
		users = append(users, name)
		for range 1 + r.IntN(3) {
			w.grant(name, pick(r, roles), pick(r, append(groups, "")))
		}
		if i < 2 { // more places than are read and judged one by one, some below others
			for _, g := range groups[len(groups)/3:] {
				w.grant(name, pick(r, []string{"Reader", "Talker"}), g)
			}
		}
	}
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for i := range 160 {
			var agent int64
			if r.IntN(2) == 0 {
				agent = w.users[pick(r, users)]
			}
			err := w.place(ctx, tx, fmt.Sprint("c", i), w.groups[pick(r, groups)], tree.State(r.IntN(3)), agent, r.Int64N(30))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return users
}

// naive evaluates a box, or with an empty box the contact list, by asking for every contact.
func (w *world) naive(v *authz.Viewer, box desk.Box, under *ent.Group) []*ent.Contact {
	w.t.Helper()
	contacts, err := w.db.Read.Contact.Query().Where(contact.AccountID(w.account)).WithGroup().All(all())
	ok(w.t, err)
	contacts = slices.DeleteFunc(contacts, func(c *ent.Contact) bool {
		g := c.Edges.Group
		if under != nil && !strings.HasPrefix(g.Path, under.Path) {
			return true
		}
		agent := int64(0)
		if c.AssignedUserID != nil {
			agent = *c.AssignedUserID
		}
		can := func(p authz.Permission) bool {
			return v.Can(p, authz.AtContact(authz.Place{GroupID: g.ID, Path: g.Path, Wall: g.Wall}, agent))
		}
		visible := can(authz.ConversationsView) || can(authz.ContactsView) || agent == 0 && can(authz.QueueView)
		listed := visible
		switch state := tree.Box(c.Box).State(); box {
		case desk.BoxYou:
			listed = visible && state == tree.Open && agent == v.UserID
		case desk.BoxTeammates:
			listed = can(authz.ConversationsView) && state == tree.Open && agent != 0 && agent != v.UserID
		case desk.BoxClosed:
			listed = can(authz.ConversationsView) && state == tree.Closed
		case desk.BoxQueue:
			listed = agent == 0 && can(authz.QueueView)
		}
		return !listed
	})
	slices.SortFunc(contacts, func(a, b *ent.Contact) int {
		order := cmp.Or(cmp.Compare(a.SortKey, b.SortKey), cmp.Compare(a.ID, b.ID))
		if box != desk.BoxQueue {
			order = -order
		}
		return order
	})
	return contacts
}

// walk reads a list page by page.
func walk(t testing.TB, first int, page func(after *desk.Position) (*desk.Page, error)) (ids []int64) {
	t.Helper()
	var after *desk.Position
	for {
		p, err := page(after)
		ok(t, err)
		if len(p.Entries) > first {
			t.Fatalf("a page of %d has %d entries", first, len(p.Entries))
		}
		for _, e := range p.Entries {
			ids = append(ids, e.Contact.ID)
			after = &e.Position
		}
		if !p.More {
			return ids
		}
		if len(p.Entries) == 0 {
			t.Fatal("more follows an empty page")
		}
	}
}

func TestPagesAreWhatAskingForEveryContactGives(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		for seed := range uint64(3) {
			w := newWorldCalled(t, db, fmt.Sprint("account", seed))
			r := rand.New(rand.NewPCG(seed, 7))
			for _, name := range w.chaos(r) {
				w.compare(r, name)
			}
		}
	})
}

func (w *world) compare(r *rand.Rand, name string) {
	w.t.Helper()
	v := w.viewer(name)
	ctx := authz.NewContext(context.Background(), v)
	groups, err := w.db.Read.Group.Query().All(ctx) // those that the viewer sees
	ok(w.t, err)
	for _, under := range append([]*ent.Group{nil}, groups...) {
		var id *int64
		if under != nil {
			id = &under.ID
		}
		w.compareCounts(ctx, v, under)
		for _, box := range []desk.Box{desk.BoxYou, desk.BoxQueue, desk.BoxTeammates, desk.BoxClosed, ""} {
			var want []int64
			for _, c := range w.naive(v, box, under) {
				want = append(want, c.ID)
			}
			first := pick(r, []int{1, 2, 7, 50, 200})
			if first == 1 && len(want) > 12 {
				first = 5
			}
			got := walk(w.t, first, func(after *desk.Position) (*desk.Page, error) {
				if box == "" {
					return w.desk.Contacts(ctx, desk.ContactsQuery{Under: id, After: after, First: first})
				}
				return w.desk.Inbox(ctx, desk.Query{Box: box, Under: id, After: after, First: first})
			})
			if !slices.Equal(got, want) {
				w.t.Errorf("%s, box %q, under %v, %d a page:\n got %v\nwant %v\ngrants %+v", name, box, under, first, got, want, v.Grants)
			}
			w.compareCount(ctx, box, id, len(want))
		}
	}
	w.compareRows(ctx, v)
}

// compareCounts holds the counts of all boxes against what asking for every contact gives.
func (w *world) compareCounts(ctx context.Context, v *authz.Viewer, under *ent.Group) {
	w.t.Helper()
	var id *int64
	if under != nil {
		id = &under.ID
	}
	n, err := w.desk.InboxCounts(ctx, id)
	ok(w.t, err)
	for box, got := range map[desk.Box]desk.Count{desk.BoxYou: n.You, desk.BoxQueue: n.Queue, desk.BoxTeammates: n.Teammates, desk.BoxClosed: n.Closed} {
		if want := (desk.Count{Contacts: len(w.naive(v, box, under))}); got != want {
			w.t.Errorf("box %q under %v counts %v; want %v\ngrants %+v", box, under, got, want, v.Grants)
		}
	}
}

func (w *world) compareCount(ctx context.Context, box desk.Box, under *int64, want int) {
	w.t.Helper()
	n, err := 0, error(nil)
	if box == "" {
		n, err = w.desk.ContactsCount(ctx, desk.ContactsQuery{Under: under})
	} else {
		n, err = w.desk.InboxCount(ctx, desk.Query{Box: box, Under: under})
	}
	ok(w.t, err)
	if n != want {
		w.t.Errorf("box %q counts %d; want %d", box, n, want)
	}
}

// compareRows checks that the row rule shows what the naive list has, and that what a search may look at is where
// CUSTOMER_DATA_VIEW reaches.
func (w *world) compareRows(ctx context.Context, v *authz.Viewer) {
	w.t.Helper()
	contacts, err := w.db.Read.Contact.Query().Where(contact.AccountID(w.account)).WithGroup().All(all())
	ok(w.t, err)
	seen, err := w.db.Read.Contact.Query().IDs(ctx)
	ok(w.t, err)
	if want := len(w.naive(v, "", nil)); len(seen) != want {
		w.t.Errorf("the row rule shows %d contacts; want %d", len(seen), want)
	}
	unmasked, err := w.db.Read.Contact.Query().Where(contact.AccountID(w.account), rule.ContactsReached(ctx, authz.CustomerDataView)).IDs(all())
	ok(w.t, err)
	for _, c := range contacts {
		g, agent := c.Edges.Group, int64(0)
		if c.AssignedUserID != nil {
			agent = *c.AssignedUserID
		}
		can := v.Can(authz.CustomerDataView, authz.AtContact(authz.Place{GroupID: g.ID, Path: g.Path, Wall: g.Wall}, agent))
		if can != slices.Contains(unmasked, c.ID) {
			w.t.Errorf("contact %d: unmasked is %v; want %v", c.ID, !can, can)
		}
	}
}

// TestPagesAreRightWhileBranchesAreCarried moves branches as if each were a big one, changes some contacts meanwhile, and
// compares before a batch is carried, after some, and at the end.
func TestPagesAreRightWhileBranchesAreCarried(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		for seed := range uint64(3) {
			w := newWorldCalled(t, db, fmt.Sprint("account", seed))
			r := rand.New(rand.NewPCG(seed, 12))
			users := w.chaos(r)
			moves := w.moveLater(r, 4)
			for _, name := range users {
				w.compare(r, name)
			}
			for range 2 {
				w.disturb(r, 10)
				for _, id := range moves {
					w.carry(id, 20)
				}
				w.disturb(r, 10)
				w.compare(r, pick(r, users))
				w.compare(r, pick(r, users))
			}
			for _, id := range moves {
				for w.carry(id, 1000) {
				}
			}
			faults, err := tree.Check(context.Background(), w.db.Read, w.account)
			ok(t, err)
			faults = slices.DeleteFunc(faults, func(f tree.Fault) bool { return f.Kind == tree.WrongBox }) // these contacts have no conversations
			if len(faults) > 0 {
				t.Errorf("seed %d: afterwards there are %d faults, the first: %v", seed, len(faults), faults[0])
			}
			w.compare(r, pick(r, users))
		}
	})
}

// moveLater moves so many random branches, with all of their scope rows left to carry.
func (w *world) moveLater(r *rand.Rand, n int) (moves []int64) {
	w.t.Helper()
	for attempt := 0; len(moves) < n && attempt < 200; attempt++ {
		id, to := w.groups[fmt.Sprint("g", r.IntN(14))], w.groups[fmt.Sprint("g", r.IntN(14))]
		var move int64
		err := w.db.Write(all(), func(ctx context.Context, tx *ent.Tx) (err error) {
			move, err = tree.Move(ctx, tx, tree.Moving{AccountID: w.account, GroupID: id, ParentID: to, MaxDepth: 64, AtOnce: -1, Now: w.clock.Now()})
			return err
		})
		if err == nil && move != 0 {
			moves = append(moves, move)
		}
	}
	if len(moves) < n {
		w.t.Fatalf("only %d branches could be moved", len(moves))
	}
	return moves
}

func (w *world) carry(moveID int64, rows int) (more bool) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		more, err = tree.Carry(ctx, tx, moveID, rows, w.clock.Now())
		return err
	})
	return more
}

// disturb moves some contacts about, and changes where others stand in lists.
func (w *world) disturb(r *rand.Rand, n int) {
	w.t.Helper()
	contacts, err := w.db.Read.Contact.Query().Where(contact.AccountID(w.account)).Order(contact.ByID()).All(all())
	ok(w.t, err)
	for range n {
		c := pick(r, contacts)
		to := tree.Placement{GroupID: w.groups[fmt.Sprint("g", r.IntN(14))], Box: tree.Box(c.Box), SortKey: r.Int64N(30)}
		w.write(func(ctx context.Context, tx *ent.Tx) error { return tree.UpdateContact(ctx, tx, c.ID, to) })
	}
}
