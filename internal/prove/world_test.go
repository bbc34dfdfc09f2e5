package prove

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	entcontact "canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	entcover "canopy/ent/generated/cover"
	entgroup "canopy/ent/generated/group"
	entrole "canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/session"
	entuser "canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/store"
)

// world is a random account in a real database, what is true about it, and how it came to be so.
type world struct {
	t       *testing.T
	db      *store.DB
	dir     *directory.Service
	desk    *desk.Service
	r       *mathrand.Rand
	now     time.Time // goes on only when a step says so, so that grants begin and end at the very moment of asking
	id      int64
	owner   int64
	facts   *account
	rows    map[int64]*ent.Group // of the groups, for making targets
	talks   map[int64]int64      // contacts by their conversations
	open    map[int64]int64      // the latest conversation of each contact
	since   map[int64]time.Time  // since when contacts wait
	laid    map[int64][]int64    // the covers by which contacts are where they are, one over the other
	taken   int64                // the contact that somebody came to serve just now, nothing having changed since
	late    map[int64]bool       // who had that one in their queue until then
	phones  map[int64]string     // of contacts
	names   map[target]string
	history []string
	serial  int
	tally   *tally
}

// tally is what a run has compared and done.
type tally struct {
	decisions     int            // compared with the naive evaluator
	lawful        int            // answers compared with those before a change
	done, refused map[string]int // by operation
}

// maxDepth is low enough for moves to meet it.
const maxDepth = 6

var start = time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, db *store.DB, seed uint64, sum *tally) *world {
	w := &world{t: t, db: db, r: mathrand.New(mathrand.NewPCG(seed, 1)), now: start, names: map[target]string{}, phones: map[int64]string{}, laid: map[int64][]int64{}, tally: sum}
	clock := func() time.Time { return w.now }
	w.desk = &desk.Service{DB: db, Now: clock}
	w.dir = &directory.Service{DB: db, Now: clock, Rand: rand.Reader, MaxDepth: maxDepth, Handover: w.desk}
	created, err := w.dir.CreateAccount(context.Background(), directory.CreateAccount{Name: "Acacia Outfitters",
		Slug: fmt.Sprint("acacia-", seed), OwnerName: "Olga Owner", OwnerEmail: "olga@acacia.example"})
	w.must(err)
	w.id, w.owner = created.Account.ID, created.Owner.ID
	w.names[target{group: created.Root.ID}], w.names[target{user: w.owner}] = "root", "olga"
	w.activate(w.owner)
	w.read()
	w.build()
	w.read()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fail("cannot go on: %v", err)
	}
}

// fail stops the run with all that is needed to see how it came to it.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n\nAt %s:\n%s\nHistory:\n  %s", fmt.Sprintf(format, args...), w.at(w.now), w.describe(), strings.Join(w.history, "\n  "))
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%3d. %s", len(w.history)+1, fmt.Sprintf(format, args...)))
}

// activate lets a user in, without the tedium of setting a password and logging in.
func (w *world) activate(id int64) {
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.UpdateOneID(id).SetStatus(entuser.StatusACTIVE).SetPasswordHash("x").Exec(ctx)
	})
	w.session(id)
}

// session is a log-in. Those of a user who was deactivated are gone.
func (w *world) session(id int64) {
	sum := sha256.Sum256([]byte(token(id)))
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.Session.Create().SetAccountID(w.id).SetUserID(id).SetTokenHash(hex.EncodeToString(sum[:])).
			SetKind(session.KindTOKEN).SetCreatedAt(w.now).SetExpiresAt(start.AddDate(10, 0, 0)).Exec(ctx)
	})
}

func token(userID int64) string { return fmt.Sprint("token of user ", userID) }

func (w *world) write(fn func(ctx context.Context, tx *ent.Tx) error) {
	w.t.Helper()
	w.must(w.db.Write(trusted(), fn))
}

func trusted() context.Context { return authz.Trusted(context.Background()) }

// viewer is the user as a request finds them; nil when they are not let in.
func (w *world) viewer(id int64) (*authz.Viewer, error) {
	return w.dir.Authenticate(context.Background(), token(id))
}

func (w *world) as(id int64) context.Context {
	w.t.Helper()
	v, err := w.viewer(id)
	w.must(err)
	return authz.NewContext(context.Background(), v)
}

// build makes the account with its own use-cases: groups, roles, users, grants, contacts.
func (w *world) build() {
	owner := w.as(w.owner)
	for range 11 {
		parent := w.anyGroup()
		w.createGroup(w.owner, parent).run(w, owner)
		w.read()
	}
	for _, id := range w.groupIDs() {
		w.settings(w.owner, id).run(w, owner)
		if w.chance(4) {
			w.visibility(w.owner, id, !w.facts.groups[id].restricted).run(w, owner)
		}
		w.read()
	}
	for range 5 {
		pairs := w.randomPairs()
		made, err := w.dir.CreateRole(owner, directory.CreateRole{Name: w.fresh("role"), Pairs: pairs, MayGive: w.someRoles()})
		w.must(err)
		w.note("olga creates the role %s: %v", made.Name, pairs)
		w.read()
	}
	for range 9 {
		name := w.fresh("user")
		home := w.anyGroup()
		made, err := w.dir.InviteUser(owner, directory.InviteUser{Name: name, Email: fmt.Sprint(name, "@acacia.example"), HomeGroupID: home})
		w.must(err)
		w.names[target{user: made.User.ID}] = name
		w.note("olga invites %s at %s", name, w.called(target{group: home}))
		w.activate(made.User.ID)
		w.read()
		for range w.r.IntN(5) {
			w.grantRole(w.owner, made.User.ID, w.roleFor(made.User.ID)).run(w, owner)
			w.read()
		}
		if w.chance(2) {
			w.availability(made.User.ID, made.User.ID).run(w, w.as(made.User.ID))
		}
	}
	for range 3 {
		w.hireToAsk(w.pick(slices.DeleteFunc(w.userIDs(), func(id int64) bool { return id == w.owner })))
	}
	for range 30 {
		s := w.createContact(w.owner, w.asking(w.anyGroup()))
		s.run(w, owner)
		w.read()
		id := slices.Max(slices.Collect(maps.Keys(w.facts.contacts)))
		if w.chance(2) {
			opener := w.pick(w.userIDs())
			w.openConversation(opener, id).run(w, w.as(opener))
			w.read()
		}
		agent, to := w.pick(w.userIDs()), w.asking(w.anyGroup())
		switch w.r.IntN(4) {
		case 0:
			w.pass(w.owner, id, "assigns", nil, &to).run(w, owner)
		case 1, 2:
			w.pass(w.owner, id, "assigns", &agent, nil).run(w, owner)
		}
		w.read()
	}
}

// read takes the truth out of the database: only what is stored as such, nothing that Canopy derives from it.
func (w *world) read() {
	w.t.Helper()
	ctx, c := trusted(), w.db.Read
	a := &account{groups: map[int64]group{}, users: map[int64]user{}, roles: map[int64]role{}, contacts: map[int64]contact{}, covers: map[int64]cover{}}
	row, err := c.Account.Get(ctx, w.id)
	w.must(err)
	a.customRoles, a.primaryOwner = row.CustomRolesEnabled, *row.PrimaryOwnerID
	w.readGroups(ctx, a)
	users, err := c.User.Query().Where(entuser.AccountID(w.id)).All(ctx)
	w.must(err)
	for _, u := range users {
		a.users[u.ID] = user{home: u.HomeGroupID, active: u.Status == entuser.StatusACTIVE, paused: u.AccessPausedAt != nil,
			available: u.Availability == entuser.AvailabilityAVAILABLE}
	}
	roles, err := c.Role.Query().Where(entrole.AccountID(w.id)).WithMayGive().All(ctx)
	w.must(err)
	for _, r := range roles {
		a.roles[r.ID] = roleOf(r)
	}
	grants, err := c.RoleGrant.Query().Where(rolegrant.AccountID(w.id)).Order(rolegrant.ByID()).All(ctx)
	w.must(err)
	for _, g := range grants {
		a.grants = append(a.grants, grantOf(g))
	}
	w.readContacts(ctx, a)
	covers, err := c.Cover.Query().Where(entcover.AccountID(w.id)).All(ctx)
	w.must(err)
	for _, k := range covers {
		a.covers[k.ID] = cover{user: k.UserID, by: k.ToID, until: k.EndsAt.UTC(), ended: k.EndedAt != nil}
	}
	w.facts = a
}

func (w *world) readGroups(ctx context.Context, a *account) {
	groups, err := w.db.Read.Group.Query().Where(entgroup.AccountID(w.id)).All(ctx)
	w.must(err)
	w.rows = map[int64]*ent.Group{}
	for _, g := range groups {
		fact := group{restricted: g.Visibility == entgroup.VisibilityRESTRICTED}
		if g.ParentID != nil {
			fact.parent = *g.ParentID
		}
		if g.SharedInbox != nil {
			fact.sharedInbox = onOff(*g.SharedInbox)
		}
		if g.AssignmentMode != nil {
			fact.mode = string(*g.AssignmentMode)
		}
		if g.EscalateAfter != nil {
			if fact.escalate = *g.EscalateAfter; fact.escalate != never {
				fact.escalate /= 60
			}
		}
		a.groups[g.ID], w.rows[g.ID] = fact, g
	}
}

func (w *world) readContacts(ctx context.Context, a *account) {
	contacts, err := w.db.Read.Contact.Query().Where(entcontact.AccountID(w.id)).All(ctx)
	w.must(err)
	conversations, err := w.db.Read.Conversation.Query().Where(conversation.AccountID(w.id)).Order(conversation.ByID()).All(ctx)
	w.must(err)
	w.since = map[int64]time.Time{}
	for _, c := range contacts {
		a.contacts[c.ID] = contactOf(c)
		if c.WaitingSince != nil {
			w.since[c.ID] = c.WaitingSince.UTC()
		}
	}
	w.talks, w.open = map[int64]int64{}, map[int64]int64{}
	for _, c := range conversations {
		fact := a.contacts[c.ContactID]
		fact.had, fact.open = true, fact.open || c.ClosedAt == nil
		a.contacts[c.ContactID] = fact
		w.talks[c.ID], w.open[c.ContactID] = c.ContactID, c.ID
	}
}

func contactOf(c *ent.Contact) contact {
	fact := contact{group: c.GroupID, asked: c.Asked}
	if c.AssignedUserID != nil {
		fact.agent = *c.AssignedUserID
	}
	if c.PassedOnFromID != nil {
		fact.from = *c.PassedOnFromID
	}
	if c.OfferedToID != nil {
		fact.offered, fact.until = *c.OfferedToID, c.OfferEndsAt.UTC()
	}
	if c.EscalatedToID != nil {
		fact.escalated = *c.EscalatedToID
	}
	return fact
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

func roleOf(r *ent.Role) role {
	fact := role{scopes: map[string][]string{}, mayGive: []int64{}}
	if r.Key != nil {
		fact.key = *r.Key
	}
	for _, p := range r.Pairs {
		name := p.Permission.String()
		fact.scopes[name] = append(fact.scopes[name], p.Scope.String())
	}
	for _, g := range r.Edges.MayGive {
		fact.mayGive = append(fact.mayGive, g.ID)
	}
	slices.Sort(fact.mayGive)
	return fact
}

func grantOf(g *ent.RoleGrant) grant {
	fact := grant{id: g.ID, user: g.UserID, role: g.RoleID, from: g.ValidFrom.UTC(), revoked: g.RevokedAt != nil}
	if g.GroupID != nil {
		fact.group = *g.GroupID
	}
	if g.ValidUntil != nil {
		fact.until = g.ValidUntil.UTC()
	}
	return fact
}

// target is the thing as Canopy's check wants it.
func (w *world) target(t target) authz.Target {
	at := authz.Place{}
	if id := w.facts.groupOf(t); id != 0 {
		at = rule.PlaceOf(w.rows[id])
	}
	switch {
	case t.contact != 0:
		c := w.facts.contacts[t.contact]
		to := authz.AtContact(at, c.agent)
		if to.Escalated = c.escalated; w.now.Before(c.until) {
			to.Offered = c.offered
		}
		return to
	case t.user != 0:
		return authz.AtUser(at, t.user)
	}
	return authz.AtGroup(at)
}

// targets are all things of the account, and the account itself.
func (w *world) targets() []target {
	all := []target{{}}
	for _, id := range w.groupIDs() {
		all = append(all, target{group: id})
	}
	for _, id := range w.userIDs() {
		all = append(all, target{user: id})
	}
	for _, id := range w.contactIDs() {
		all = append(all, target{contact: id})
	}
	return all
}

func (w *world) groupIDs() []int64   { return slices.Sorted(maps.Keys(w.facts.groups)) }
func (w *world) userIDs() []int64    { return slices.Sorted(maps.Keys(w.facts.users)) }
func (w *world) contactIDs() []int64 { return slices.Sorted(maps.Keys(w.facts.contacts)) }
func (w *world) roleIDs() []int64    { return slices.Sorted(maps.Keys(w.facts.roles)) }

func (w *world) pick(ids []int64) int64 { return ids[w.r.IntN(len(ids))] }
func (w *world) anyGroup() int64        { return w.pick(w.groupIDs()) }

// anyRole is AGENT more often than others: some rules are about users who are agents and nothing else.
func (w *world) anyRole() int64 {
	for id, r := range w.facts.roles {
		if r.key == "AGENT" && w.chance(3) {
			return id
		}
	}
	return w.pick(w.roleIDs())
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.r.IntN(n) == 0 }

func (w *world) fresh(kind string) string {
	w.serial++
	return fmt.Sprint(kind, w.serial)
}

// called is the name of a thing in the history.
func (w *world) called(t target) string {
	if name, ok := w.names[t]; ok {
		return name
	}
	return fmt.Sprintf("%+v", t)
}

func (w *world) at(moment time.Time) string {
	if moment.IsZero() {
		return "ever"
	}
	return fmt.Sprintf("minute %d", int(moment.Sub(start).Minutes()))
}

// someRoles are up to three that a custom role lists.
func (w *world) someRoles() []int64 {
	ids := []int64{}
	for range w.r.IntN(4) {
		ids = append(ids, w.anyRole())
	}
	return ids
}

// roleFor is often one that the user holds already: the same role at several places is what most rules about folding
// and gaining are about.
func (w *world) roleFor(userID int64) int64 {
	if held := slices.DeleteFunc(slices.Clone(w.facts.grants), func(g grant) bool { return g.user != userID || !g.live(w.now) }); len(held) > 0 && w.chance(2) {
		return held[w.r.IntN(len(held))].role
	}
	return w.anyRole()
}

// customRole is one of those that are not built in, or any role when there are none.
func (w *world) customRole() int64 {
	ids := slices.DeleteFunc(w.roleIDs(), func(id int64) bool { return w.facts.roles[id].key != "" })
	if len(ids) == 0 || w.chance(4) {
		return w.pick(w.roleIDs())
	}
	return w.pick(ids)
}

// randomPairs are what a custom role may hold: permissions together with what they require, those on the account itself
// at ACCOUNT. What gives a view of things comes more often than the rest.
func (w *world) randomPairs() []authz.Pair {
	views := []authz.Permission{authz.ConversationsView, authz.QueueView, authz.QueueClaim, authz.ContactsView, authz.GroupsView,
		authz.UsersView, authz.ConversationsReply, authz.AgentPanelView, authz.GroupsMove, authz.GroupsEdit, authz.GroupsDelete,
		authz.UsersEdit, authz.RolesAssign, authz.InboxSettingsEdit, authz.CustomerDataView}
	var pairs authz.Pairs
	var add func(p authz.Permission, scope authz.Scope)
	add = func(p authz.Permission, scope authz.Scope) {
		if p.Definition().AccountOnly {
			scope = authz.ScopeAccount
		}
		pairs[scope] |= authz.SetOf(p)
		for _, required := range p.Definition().Requires {
			add(required, scope)
		}
	}
	if w.chance(2) { // somebody who runs groups, which takes many permissions at once
		scope := []authz.Scope{authz.ScopeSubtree, authz.ScopeSubtree, authz.ScopeGroup, authz.ScopeTeam}[w.r.IntN(4)]
		for _, p := range []authz.Permission{authz.GroupsMove, authz.GroupsDelete, authz.GroupsEdit, authz.GroupsCreate, authz.UsersEdit,
			authz.UsersInvite, authz.UsersDeactivate, authz.RolesAssign, authz.ContactsCreate, authz.ContactsDelete} {
			if !w.chance(5) {
				add(p, scope)
			}
		}
	}
	for range 1 + w.r.IntN(4) {
		p := views[w.r.IntN(len(views))]
		if w.chance(3) {
			p = authz.Permissions()[w.r.IntN(len(authz.Permissions()))]
		}
		scope := authz.Scopes()[w.r.IntN(len(authz.Scopes()))]
		add(p, scope)
	}
	return pairs.List()
}

// describe prints the truth, for whoever has to find out which of the two is wrong.
func (w *world) describe() string {
	var b strings.Builder
	a := w.facts
	fmt.Fprintf(&b, "  custom roles: %v\n", a.customRoles)
	for _, id := range w.groupIDs() {
		g := a.groups[id]
		fmt.Fprintf(&b, "  %s under %s, restricted %v, sharedInbox %q, mode %q, escalates after %d\n", w.called(target{group: id}), w.called(target{group: g.parent}), g.restricted, g.sharedInbox, g.mode, g.escalate)
	}
	for _, id := range w.userIDs() {
		u := a.users[id]
		fmt.Fprintf(&b, "  %s at %s, active %v, paused %v, available %v\n", w.called(target{user: id}), w.called(target{group: u.home}), u.active, u.paused, u.available)
		for _, g := range a.grants {
			if g.user == id {
				r := a.roles[g.role]
				fmt.Fprintf(&b, "    role %d %s%v at %s from %s until %s, revoked %v\n", g.role, r.key, r.scopes, w.called(target{group: g.group}), w.at(g.from), w.at(g.until), g.revoked)
			}
		}
	}
	for _, id := range w.contactIDs() {
		c := a.contacts[id]
		fmt.Fprintf(&b, "  contact %d in %s, served by %s, open %v, had %v, offered to %s until %s, escalated to %s\n", id, w.called(target{group: c.group}),
			w.called(target{user: c.agent}), c.open, c.had, w.called(target{user: c.offered}), w.at(c.until), w.called(target{group: c.escalated}))
	}
	return b.String()
}
