package live_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/rule"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/live"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// TestSubscribersHearWhatTheirListsShow changes a small account at random. After each change every subscriber must have
// heard exactly the difference between what their list showed before and what it shows now, as the inbox and the row rules
// say, which know nothing of events; what they do not see must have reached them in no way, not even as an empty payload.
func TestSubscribersHearWhatTheirListsShow(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { newHistory(t, db, seed).run(40) })
			clean(t, db)
		}
	})
}

func clean(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Write(authz.Trusted(context.Background()), func(ctx context.Context, tx *ent.Tx) error {
		id := tx.Account.Query().OnlyIDX(ctx)
		return errors.Join(tree.DropAccount(ctx, tx, id), tx.Account.DeleteOneID(id).Exec(ctx))
	})
	if err != nil {
		t.Fatal(err)
	}
}

type history struct {
	*world
	r         *rand.Rand
	names     []string // of users
	contacts  []int64
	listeners []*watcher
	done      []string       // what was done, for the report
	settled   map[int64]bool // groups of which the settings may just have changed
}

// watcher is a subscriber with what their list shows.
type watcher struct {
	*listener
	name  string
	box   desk.Box // "" for the tree
	under string
	shown map[int64]bool
	print string // their grants
	ended bool   // they do not see what they subscribed to any more
}

func newHistory(t *testing.T, db *store.DB, seed uint64) *history {
	h := &history{world: newWorld(t, db), r: rand.New(rand.NewPCG(seed, 5))}
	for _, g := range [][2]string{{"sales", "root"}, {"north", "sales"}, {"south", "sales"}, {"vault", "root"}, {"cellar", "vault"}, {"spare", "south"}} {
		h.group(g[0], g[1])
	}
	restricted := group.VisibilityRESTRICTED
	if _, err := h.directory.UpdateGroup(h.as("olga"), directory.UpdateGroup{GroupID: h.groups["vault"], Visibility: &restricted}); err != nil {
		t.Fatal(err)
	}
	h.user("sue", "sales", authz.RoleDashboardAdministrator)
	h.user("ana", "north", authz.RoleAgent)
	h.user("bea", "south", authz.RoleAgent)
	h.user("vic", "cellar", authz.RoleAgent)
	h.user("vera", "vault", authz.RoleDashboardAdministrator, authz.RoleAgent)
	h.user("nora", "north")
	h.names = []string{"olga", "sue", "ana", "bea", "vic", "vera", "nora"}
	for _, name := range h.names {
		for _, b := range []desk.Box{desk.BoxYou, desk.BoxQueue, desk.BoxTeammates, desk.BoxClosed, ""} {
			h.watch(name, b, "")
		}
	}
	h.watch("olga", desk.BoxQueue, "sales")
	h.watch("sue", "", "south")
	h.watch("sue", desk.BoxTeammates, "north")
	return h
}

func (h *history) watch(name string, b desk.Box, under string) {
	var i live.Interest = live.Inbox{Holds: b.Holds, Under: h.groups[under]}
	if b == "" {
		i = live.Groups{Under: h.groups[under]}
	}
	h.listeners = append(h.listeners, &watcher{listener: h.listen(h.as(name), i, nil), name: name, box: b, under: under})
}

func (h *history) run(steps int) {
	for _, w := range h.listeners {
		w.changes() // where they begin
		w.shown, w.print = h.list(w), h.grantsOf(w.name)
	}
	for range steps {
		what, touched, branch := h.step()
		h.done = append(h.done, what)
		h.look()
		before := map[string]map[int64]bool{} // what the lists of each user had
		for _, w := range h.listeners {
			if before[w.name] == nil {
				before[w.name] = map[int64]bool{}
			}
			if w.box != "" {
				maps.Copy(before[w.name], w.shown)
			}
		}
		for _, w := range h.listeners {
			h.compare(w, touched, branch, before[w.name])
		}
		if h.t.Failed() {
			h.t.Fatalf("after %q", h.done)
		}
	}
}

// sees says whether any list of the user shows something of the branch, or the one list did.
func (h *history) sees(name string, branch, before map[int64]bool) bool {
	for _, w := range h.listeners {
		if w.name == name && !w.ended && w.box != "" && overlaps(branch, h.list(w)) {
			return true
		}
	}
	return overlaps(branch, before)
}

// list is what the watcher's list shows; nil when they do not see the group to which it is cut.
func (h *history) list(w *watcher) map[int64]bool {
	h.t.Helper()
	ctx, shown := h.as(w.name), map[int64]bool{}
	if w.box == "" {
		q := h.db.Read.Group.Query()
		if w.under != "" {
			at, err := h.db.Read.Group.Get(ctx, h.groups[w.under])
			if err != nil {
				return nil
			}
			from, to := tree.Range(at.Path)
			q.Where(group.PathGTE(from), group.PathLT(to))
		}
		for _, id := range q.IDsX(ctx) {
			shown[id] = true
		}
		return shown
	}
	query := desk.Query{Box: w.box, First: 1000}
	if w.under != "" {
		query.Under = pointer(h.groups[w.under])
	}
	page, err := h.desk.Inbox(ctx, query)
	if errors.Is(err, refusal.NotFound("group")) {
		return nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range page.Entries {
		shown[e.Contact.ID] = true
	}
	return shown
}

func (h *history) grantsOf(name string) string {
	v := authz.FromContext(h.as(name))
	return fmt.Sprint(v.Home, v.Grants)
}

// compare holds what a watcher heard against what their list shows. A gap is right when their access changed, or when a
// branch was moved of which their lists show something, or settings changed that groups in the tree inherit; a silence is right when the list is the same and nothing in it was
// touched.
func (h *history) compare(w *watcher, touched, branch, had map[int64]bool) {
	h.t.Helper()
	before, printed := w.shown, w.print
	w.print = h.grantsOf(w.name)
	if w.ended {
		return
	}
	if w.shown = h.list(w); w.shown == nil {
		if got := w.over(); !errors.Is(got, refusal.NotFound("group")) || got.Field != "under" {
			h.t.Errorf("%s, %s under %q, which they do not see any more: the stream ended with %v", w.name, w.box, w.under, got)
		}
		w.ended = true
		return
	}
	heard, err := w.heard()
	if err != nil {
		h.t.Errorf("%s, %s under %q: the stream ended: %v", w.name, w.box, w.under, err)
		return
	}
	got, gap := map[string]bool{}, false
	for _, d := range heard {
		id := d.Event.ContactID
		if w.box == "" {
			id = d.Event.GroupID
		}
		gap = gap || d.Change == live.Gap
		if d.Change != live.Gap {
			got[fmt.Sprint(d.Change, " ", id)] = true
		}
	}
	switched := w.print != printed
	if gap {
		settled := w.box == "" && overlaps(h.settled, w.shown)
		if !switched && !settled && !h.sees(w.name, branch, had) {
			h.t.Errorf("%s, %s under %q: was told of a gap without a reason", w.name, w.box, w.under)
		}
		return
	}
	want := map[string]bool{}
	for id := range w.shown {
		switch {
		case !before[id]:
			want[fmt.Sprint(live.Entered, " ", id)] = true
		case touched[h.touchKey(w, id)]:
			want[fmt.Sprint(live.Updated, " ", id)] = true
		}
	}
	for id := range before {
		if !w.shown[id] {
			want[fmt.Sprint(live.Left, " ", id)] = true
		}
	}
	if w.box == "" {
		// What is below a group comes and goes with it; told is the group alone.
		maps.DeleteFunc(want, func(key string, _ bool) bool { return !got[key] && len(got) > 0 })
	}
	if !maps.Equal(got, want) {
		h.t.Errorf("%s, %s under %q: heard %v, wanted %v", w.name, w.box, w.under, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// touchKey tells groups from contacts among what was touched.
func (h *history) touchKey(w *watcher, id int64) int64 {
	if w.box == "" {
		return -id
	}
	return id
}

func overlaps(a, b map[int64]bool) bool {
	for id := range a {
		if b[id] {
			return true
		}
	}
	return false
}

// step does something, most of the time as somebody who may. It returns which contacts or groups it touched, and, of a
// branch that moved, which contacts are in it.
func (h *history) step() (what string, touched, branch map[int64]bool) {
	h.now, h.settled = h.now.Add(time.Second), nil
	names := []string{"sales", "north", "south", "vault", "cellar", "spare"}
	somewhere := names[h.r.IntN(len(names))]
	who := h.names[h.r.IntN(len(h.names))]
	if h.r.IntN(2) == 0 {
		who = "olga"
	}
	ctx := h.as(who)
	touched, branch = map[int64]bool{}, map[int64]bool{}
	touch := func(id int64, err error) {
		if err == nil {
			touched[id] = true
		}
	}
	var err error
	some := int64(0)
	if len(h.contacts) > 0 {
		some = h.contacts[h.r.IntN(len(h.contacts))]
	}
	switch n := h.r.IntN(16); {
	case n < 3 || some == 0:
		what = "create a contact in " + somewhere
		var c *ent.Contact
		if c, err = h.desk.CreateContact(ctx, desk.CreateContact{GroupID: h.groups[somewhere], Name: fmt.Sprint("Kim", len(h.contacts))}); err == nil {
			h.contacts = append(h.contacts, c.ID)
			some = c.ID
		}
		touch(some, err)
	case n < 5:
		what = fmt.Sprint("claim ", some)
		_, err = h.desk.ClaimContact(ctx, desk.ClaimContact{ContactID: some})
		touch(some, err)
	case n < 6:
		what = fmt.Sprint("open ", some)
		_, err = h.desk.OpenConversation(ctx, desk.OpenConversation{ContactID: some})
		touch(some, err)
	case n < 7:
		what = fmt.Sprint("close ", some)
		if c, _ := h.db.Read.Conversation.Query().Where().All(authz.Trusted(ctx)); len(c) > 0 {
			v := c[h.r.IntN(len(c))]
			_, err = h.desk.CloseConversation(ctx, desk.CloseConversation{ConversationID: v.ID})
			touch(v.ContactID, err)
		}
	case n < 8:
		what = "say something"
		if c, _ := h.db.Read.Conversation.Query().All(authz.Trusted(ctx)); len(c) > 0 {
			v := c[h.r.IntN(len(c))]
			_, err = h.desk.SendMessage(ctx, desk.SendMessage{ConversationID: v.ID, Text: "Hello"})
			touch(v.ContactID, err)
		}
	case n < 9:
		what = fmt.Sprint("assign ", some)
		_, err = h.desk.AssignContact(ctx, desk.AssignContact{ContactID: some, AgentID: pointer(h.users[h.names[h.r.IntN(len(h.names))]])})
		touch(some, err)
	case n < 10:
		what = fmt.Sprint("transfer ", some, " to ", somewhere)
		_, err = h.desk.TransferContact(ctx, desk.TransferContact{ContactID: some, GroupID: pointer(h.groups[somewhere])})
		touch(some, err)
	case n < 11:
		what = fmt.Sprint("rename ", some)
		_, err = h.desk.UpdateContact(ctx, desk.UpdateContact{ContactID: some, Name: pointer("Lee")})
		touch(some, err)
	case n < 12:
		what = fmt.Sprint("delete ", some)
		if err = h.desk.DeleteContact(h.as("olga"), desk.DeleteContact{ContactID: some}); err == nil {
			h.contacts = slices.DeleteFunc(h.contacts, func(id int64) bool { return id == some })
		}
	case n < 13:
		to := names[h.r.IntN(len(names))]
		what = fmt.Sprint("move ", somewhere, " to ", to)
		branch = h.inBranch(somewhere)
		_, err = h.directory.MoveGroup(ctx, directory.MoveGroup{GroupID: h.groups[somewhere], ParentID: h.groups[to]})
		touch(-h.groups[somewhere], err)
	case n < 14:
		visibility := []group.Visibility{group.VisibilityRESTRICTED, group.VisibilityINHERITED}[h.r.IntN(2)]
		what = fmt.Sprint("make ", somewhere, " ", visibility)
		branch = h.inBranch(somewhere)
		_, err = h.directory.UpdateGroup(ctx, directory.UpdateGroup{GroupID: h.groups[somewhere], Visibility: &visibility})
		touch(-h.groups[somewhere], err)
	case n < 15:
		what = "share or open the queue of " + somewhere
		in := directory.UpdateGroupSettings{GroupID: h.groups[somewhere]}
		if h.r.IntN(2) == 0 {
			in.SharedInbox = optional.To(h.r.IntN(2) == 0)
		} else {
			in.AssignmentMode = optional.To([]group.AssignmentMode{group.AssignmentModeMANUAL, group.AssignmentModeRADAR}[h.r.IntN(2)])
		}
		_, err = h.directory.UpdateGroupSettings(ctx, in)
		touch(-h.groups[somewhere], err)
		h.settled = h.groupsIn(somewhere)
	default:
		what = "grant or revoke something of " + who
		err = h.switchGrant(who)
	}
	var refused *refusal.Refusal
	if errors.As(err, &refused) {
		what += " (refused)"
		err = nil
	}
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	return who + ": " + what, touched, branch
}

// switchGrant gives a supervisor's role somewhere, or takes it.
func (h *history) switchGrant(name string) error {
	ctx := authz.Trusted(context.Background())
	given, err := h.db.Read.RoleGrant.Query().Where(rolegrant.UserID(h.users[name]), rolegrant.RoleID(h.roles[authz.RoleDashboardAdministrator]),
		rolegrant.GroupIDNotNil(), rolegrant.RevokedAtIsNil()).All(ctx)
	if err != nil {
		return err
	}
	if len(given) > 0 {
		_, err = h.directory.RevokeRole(h.as("olga"), directory.RevokeRole{GrantID: given[0].ID})
		return err
	}
	at := h.groups[[]string{"sales", "south", "vault"}[h.r.IntN(3)]]
	_, err = h.directory.GrantRole(h.as("olga"), directory.GrantRole{UserID: h.users[name], RoleID: h.roles[authz.RoleDashboardAdministrator], GroupID: &at})
	return err
}

// groupsIn are a group and those below it.
func (h *history) groupsIn(name string) map[int64]bool {
	ctx := authz.Trusted(context.Background())
	from, to := tree.Range(rule.PlaceOf(h.db.Read.Group.GetX(ctx, h.groups[name])).Path)
	in := map[int64]bool{}
	for _, id := range h.db.Read.Group.Query().Where(group.PathGTE(from), group.PathLT(to)).IDsX(ctx) {
		in[id] = true
	}
	return in
}

// inBranch are the contacts of a group and of those below it.
func (h *history) inBranch(name string) map[int64]bool {
	ctx := authz.Trusted(context.Background())
	from, to := tree.Range(rule.PlaceOf(h.db.Read.Group.GetX(ctx, h.groups[name])).Path)
	in := map[int64]bool{}
	for _, id := range h.db.Read.Contact.Query().Where(contact.HasGroupWith(group.PathGTE(from), group.PathLT(to))).IDsX(ctx) {
		in[id] = true
	}
	return in
}
