package directory_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/internal/fold"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

var (
	previewSeed  = flag.Uint64("preview.seed", 0, "the first world of TestPreviewsAgainstNaiveOnes; 0: one of its own each time")
	previewSteps = flag.Int("preview.worlds", 12, "how many worlds")
)

// TestPreviewsAgainstNaiveOnes compares previews with what the changes really do: for every user, permission, group,
// user and contact, what Can answers before the change and after it.
func TestPreviewsAgainstNaiveOnes(t *testing.T) {
	seed := *previewSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	t.Logf("repeat with -preview.seed=%d", seed)
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		for i := range *previewSteps {
			c := newChaos(t, db, seed+uint64(i))
			for range 8 {
				c.step()
			}
			if t.Failed() {
				t.Fatalf("in the world of seed %d", seed+uint64(i))
			}
		}
		if db.Dialect() == "sqlite3" {
			t.Logf("%d changes compared, %d entries", compared.changes, compared.entries)
		}
	})
	if compared.changes == 0 || compared.entries == 0 {
		t.Error("nothing was compared")
	}
}

var compared struct{ changes, entries int }

// chaos is a small random account.
type chaos struct {
	*world
	rand    *rand.Rand
	askers  []*ent.User
	users   []*ent.User
	groups  []*ent.Group
	roles   []*ent.Role
	numbers int
}

func newChaos(t *testing.T, db *store.DB, seed uint64) *chaos {
	t.Helper()
	w := &world{t: t, db: db, handover: &handover{}, start: time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)}
	w.s = &directory.Service{DB: db, Now: w.now, Rand: neverSame{}, MaxDepth: 8, Handover: w.handover}
	slug := fmt.Sprint("chaos-", seed)
	created, err := w.s.CreateAccount(context.Background(), directory.CreateAccount{Name: slug, Slug: slug, OwnerName: "Olga", OwnerEmail: "olga@acacia.example"})
	w.must(err)
	w.account, w.root, w.owner = created.Account, created.Root, created.Owner
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.UpdateOneID(w.owner.ID).SetStatus(user.StatusACTIVE).Exec(ctx)
	})
	c := &chaos{world: w, rand: rand.New(rand.NewPCG(seed, 1)), groups: []*ent.Group{created.Root}}
	for i := range 14 {
		g := w.group(fmt.Sprint("group ", i), pick(c, c.groups))
		if c.rand.IntN(5) == 0 {
			g = w.wall(g)
		}
		c.groups = append(c.groups, g)
	}
	c.settings()
	for i := range 4 {
		c.roles = append(c.roles, w.custom(fmt.Sprint("role ", i), nil, c.pairs()...))
	}
	c.roles = append(c.roles, w.role(authz.RoleAgent), w.role(authz.RoleDashboardAdministrator))
	explainer := w.custom("explainer", c.roles, c.explaining()...)
	for i := range 9 {
		u := w.user(fmt.Sprint("user ", i), pick(c, c.groups))
		c.users = append(c.users, u)
		for range 1 + c.rand.IntN(2) {
			w.grant(u, pick(c, c.roles), c.somewhere())
		}
	}
	asker := w.user("asker", pick(c, c.groups))
	w.grant(asker, explainer, nil)
	c.askers = []*ent.User{w.owner, asker}
	for range 30 {
		c.contact()
	}
	return c
}

// neverSame is randomness that needs none.
type neverSame struct{}

func (neverSame) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(rand.IntN(256))
	}
	return len(p), nil
}

func pick[T any](c *chaos, list []T) T { return list[c.rand.IntN(len(list))] }

// somewhere is a group to fix a grant to, or none.
func (c *chaos) somewhere() *ent.Group {
	if c.rand.IntN(2) == 0 {
		return nil
	}
	return pick(c, c.groups)
}

func (c *chaos) settings() {
	for _, g := range c.groups {
		c.write(func(ctx context.Context, tx *ent.Tx) error {
			u := tx.Group.UpdateOneID(g.ID).SetCapacity(3)
			if c.rand.IntN(3) == 0 {
				u.SetSharedInbox(c.rand.IntN(2) == 0)
			}
			if c.rand.IntN(3) == 0 {
				u.SetAssignmentMode(pick(c, []group.AssignmentMode{group.AssignmentModeMANUAL, group.AssignmentModeROUND_ROBIN}))
			}
			return u.Exec(ctx)
		})
	}
}

// pairs are some of what a custom role may hold.
func (c *chaos) pairs() []authz.Pair {
	scopes := []authz.Scope{authz.ScopeSubtree, authz.ScopeGroup, authz.ScopeTeam, authz.ScopeQueue, authz.ScopeAssigned, authz.ScopeSelf}
	if c.rand.IntN(4) == 0 {
		scopes = append(scopes, authz.ScopeAccount)
	}
	var pairs []authz.Pair
	for range 1 + c.rand.IntN(6) {
		p := pick(c, authz.Permissions())
		scope := pick(c, scopes)
		if p.Definition().AccountOnly {
			scope = authz.ScopeAccount
		}
		pairs = append(pairs, authz.Pair{Permission: p, Scope: scope})
		for _, required := range p.Definition().Requires {
			pairs = append(pairs, authz.Pair{Permission: required, Scope: scope})
		}
	}
	return authz.PairsOf(pairs).List()
}

// explaining are the pairs of somebody who may preview and sees more or less.
func (c *chaos) explaining() []authz.Pair {
	pairs := at(authz.ScopeAccount, authz.AccessExplain, authz.RolesView, authz.RolesManage)
	scope := func(more ...authz.Scope) authz.Scope {
		return pick(c, append(more, authz.ScopeAccount, authz.ScopeSubtree))
	}
	pairs = append(pairs, at(scope(), authz.GroupsMove, authz.UsersEdit, authz.RolesAssign)...)
	pairs = append(pairs, at(scope(authz.ScopeGroup), authz.GroupsView)...)
	pairs = append(pairs, at(scope(authz.ScopeGroup), authz.UsersView)...)
	if c.rand.IntN(2) == 0 {
		pairs = append(pairs, at(scope(authz.ScopeGroup), authz.DashboardsView)...)
	}
	return authz.PairsOf(pairs).List()
}

func (c *chaos) contact() {
	c.numbers++
	name := fmt.Sprint("contact ", c.numbers)
	at, assigned, open := pick(c, c.groups), c.rand.IntN(3) > 0, c.rand.IntN(2) == 0
	c.write(func(ctx context.Context, tx *ent.Tx) error {
		state := tree.None
		if open {
			state = tree.Open
		}
		create := tx.Contact.Create().SetAccountID(c.account.ID).SetGroupID(at.ID).SetArrivalGroupID(at.ID).SetName(name).SetNameKey(fold.Key(name)).
			SetBox(int(tree.BoxOf(state, assigned))).SetSortKey(int64(c.numbers)).SetLastActivityAt(c.start).SetCreatedAt(c.start)
		if assigned {
			create.SetAssignedUserID(pick(c, append(c.users, c.owner)).ID)
		} else {
			create.SetWaitingSince(c.start)
		}
		made, err := create.Save(ctx)
		if err != nil {
			return err
		}
		return tree.AddContact(ctx, tx, made.ID)
	})
}

// step previews a random change, makes it with the token of the preview and compares.
func (c *chaos) step() {
	asker := pick(c, c.askers)
	ctx := c.as(asker)
	preview, change := c.proposal(ctx)
	was := c.facts()
	shown, refused := preview()
	before := authz.FromContext(c.as(asker))
	token := "none"
	if shown != nil {
		token = shown.Token
	}
	err := change(&token)
	if refused != nil {
		var r *refusal.Refusal
		if !errors.As(refused, &r) {
			c.t.Errorf("the preview failed by %v", refused)
		} else if !errors.Is(err, r) {
			c.t.Errorf("the preview was refused by %v, the change by %v", refused, err)
		}
		return
	}
	if err != nil {
		c.t.Errorf("with the token of a preview a moment ago: %v", err)
		return
	}
	c.compare(before, was, c.facts(), shown)
}

// proposal is a random change, as its preview and as itself.
func (c *chaos) proposal(ctx context.Context) (preview func() (*directory.AccessPreview, error), change func(token *string) error) {
	u, r, g, to := pick(c, c.users), pick(c, c.roles), pick(c, c.groups), pick(c, c.groups)
	switch c.rand.IntN(4) {
	case 0:
		in := directory.MoveGroup{GroupID: g.ID, ParentID: to.ID}
		return func() (*directory.AccessPreview, error) { return c.s.PreviewMoveGroup(ctx, in) }, func(token *string) error {
			in.PreviewToken, in.Reason = token, "tidying up"
			_, err := c.s.MoveGroup(ctx, in)
			return err
		}
	case 1:
		in := directory.MoveUser{UserID: u.ID, HomeGroupID: to.ID}
		return func() (*directory.AccessPreview, error) { return c.s.PreviewMoveUser(ctx, in) }, func(token *string) error {
			in.PreviewToken = token
			_, err := c.s.MoveUser(ctx, in)
			return err
		}
	case 2:
		in := directory.UpdateRole{RoleID: r.ID, Pairs: c.pairs()}
		return func() (*directory.AccessPreview, error) { return c.s.PreviewUpdateRole(ctx, in) }, func(token *string) error {
			in.PreviewToken = token
			_, err := c.s.UpdateRole(ctx, in)
			return err
		}
	}
	in := directory.GrantRole{UserID: u.ID, RoleID: r.ID}
	if at := c.somewhere(); at != nil {
		in.GroupID = &at.ID
	}
	return func() (*directory.AccessPreview, error) { return c.s.PreviewGrantRole(ctx, in) }, func(token *string) error {
		in.PreviewToken = token
		_, err := c.s.GrantRole(ctx, in)
		return err
	}
}

// facts are all that decides about access.
type facts struct {
	users    []*ent.User
	viewers  map[int64]*authz.Viewer
	places   map[int64]authz.Place
	contacts []*ent.Contact
}

func (c *chaos) facts() facts {
	ctx := trusted()
	f := facts{places: map[int64]authz.Place{}, viewers: map[int64]*authz.Viewer{}}
	groups, err := c.db.Read.Group.Query().Where(group.AccountID(c.account.ID)).All(ctx)
	c.must(err)
	for _, g := range groups {
		f.places[g.ID] = rule.PlaceOf(g)
	}
	f.users, err = c.db.Read.User.Query().Where(user.AccountID(c.account.ID)).All(ctx)
	c.must(err)
	for _, u := range f.users {
		f.viewers[u.ID], err = c.s.LoadViewer(ctx, c.db.Read, u.ID)
		c.must(err)
	}
	all, err := c.db.Read.Contact.Query().All(ctx)
	c.must(err)
	for _, k := range all {
		if k.AccountID == c.account.ID {
			f.contacts = append(f.contacts, k)
		}
	}
	return f
}

// effect is what happens to one permission, of one user or of all of them.
type effect struct {
	account, assigned bool
	holders           map[int64]bool
	groups, users     map[int64]bool
	contacts, open    map[int64]bool
}

func newEffect() *effect {
	return &effect{holders: map[int64]bool{}, groups: map[int64]bool{}, users: map[int64]bool{}, contacts: map[int64]bool{}, open: map[int64]bool{}}
}

type effectKey struct {
	user       int64 // 0 for all
	permission authz.Permission
	direction  directory.Direction
}

const nobodyOfThese = -7

// naive finds out by asking for everything, one by one, what the asker is to be told.
func (c *chaos) naive(asker *authz.Viewer, was, is facts) map[effectKey]*effect {
	found := map[effectKey]*effect{}
	for _, u := range was.users {
		if u.ID != asker.UserID && !asker.Can(authz.UsersView, authz.AtUser(was.places[u.HomeGroupID], u.ID)) {
			continue
		}
		for _, p := range authz.Permissions() {
			for _, direction := range []directory.Direction{directory.Gained, directory.Lost} {
				e := c.effectOn(asker, was, is, u.ID, p, direction)
				if !e.account && !e.assigned && len(e.groups) == 0 && len(e.users) == 0 {
					continue
				}
				found[effectKey{u.ID, p, direction}] = e
				all := effectKey{0, p, direction}
				if found[all] == nil {
					found[all] = newEffect()
				}
				found[all].join(u.ID, e)
			}
		}
	}
	return found
}

func (e *effect) join(holder int64, o *effect) {
	e.holders[holder] = true
	for to, from := range map[*map[int64]bool]map[int64]bool{&e.groups: o.groups, &e.users: o.users, &e.contacts: o.contacts, &e.open: o.open} {
		for id := range from {
			(*to)[id] = true
		}
	}
}

func (c *chaos) effectOn(asker *authz.Viewer, was, is facts, userID int64, p authz.Permission, direction directory.Direction) *effect {
	e := newEffect()
	turns := func(before, after authz.Target) bool {
		had, has := was.viewers[userID].Can(p, before), is.viewers[userID].Can(p, after)
		return had != has && has == (direction == directory.Gained)
	}
	e.account = turns(authz.Target{}, authz.Target{})
	if p.Definition().AccountOnly {
		return e
	}
	module := p.Definition().Module
	overContacts := module == authz.ModuleService || module == authz.ModuleContacts
	overUsers := slices.Contains([]authz.Permission{authz.AgentPanelView, authz.AgentSettingsEdit, authz.UsersView, authz.UsersInvite, authz.UsersEdit,
		authz.UsersDeactivate, authz.UsersDelete, authz.RolesAssign, authz.AccessReviewDecide}, p)
	queueOnly := p == authz.QueueView || p == authz.QueueClaim
	if overContacts {
		mine := authz.Target{Contact: true, Assignee: userID}
		e.assigned = turns(mine, mine)
	}
	for id, before := range was.places {
		after := is.places[id]
		sees := asker.Can(authz.GroupsView, authz.AtGroup(before)) || asker.Home.GroupID == id
		if sees && (!queueOnly && turns(authz.AtGroup(before), authz.AtGroup(after)) ||
			turns(authz.AtContact(before, 0), authz.AtContact(after, 0)) ||
			turns(authz.AtContact(before, nobodyOfThese), authz.AtContact(after, nobodyOfThese))) {
			e.groups[id] = true
		}
		for _, k := range was.contacts {
			if k.GroupID != id || !sees || !overContacts || !asker.Can(authz.DashboardsView, authz.AtGroup(before)) {
				continue
			}
			assignee := int64(0)
			if k.AssignedUserID != nil {
				assignee = *k.AssignedUserID
			}
			if turns(authz.AtContact(before, assignee), authz.AtContact(after, assignee)) {
				e.contacts[k.ID] = true
				if tree.Box(k.Box).State() == tree.Open {
					e.open[k.ID] = true
				}
			}
		}
	}
	for i, o := range was.users {
		before, after := was.places[o.HomeGroupID], is.places[is.users[i].HomeGroupID]
		if overUsers && asker.Can(authz.UsersView, authz.AtGroup(before)) && turns(authz.AtUser(before, o.ID), authz.AtUser(after, o.ID)) {
			e.users[o.ID] = true
		}
	}
	return e
}

// compare holds the preview against what happened.
func (c *chaos) compare(asker *authz.Viewer, was, is facts, shown *directory.AccessPreview) {
	c.t.Helper()
	slices.SortFunc(was.users, func(x, y *ent.User) int { return int(x.ID - y.ID) })
	slices.SortFunc(is.users, func(x, y *ent.User) int { return int(x.ID - y.ID) })
	want := c.naive(asker, was, is)
	compared.changes++
	counts := asker.Permissions().Has(authz.DashboardsView)
	var got, wanted []string
	spell := func(who int64, p authz.Permission, direction directory.Direction, account, assigned bool, groups, holders int, users, contacts, open string) string {
		return fmt.Sprintf("%d %s %s account %t assigned %t groups %d holders %d users %s contacts %s open %s", who, p, direction, account, assigned, groups, holders, users, contacts, open)
	}
	number := func(n *int) string {
		if n == nil {
			return "null"
		}
		return fmt.Sprint(*n)
	}
	gaining, losing := map[int64]bool{}, map[int64]bool{}
	for i := range shown.Len() {
		a := shown.Change(i)
		got = append(got, spell(a.UserID, a.Permission, a.Direction, a.Account, a.Assigned, a.Groups, 0, number(a.Users), number(a.Contacts), number(a.Conversations)))
		if e := want[effectKey{a.UserID, a.Permission, a.Direction}]; e != nil {
			c.tops(a, e, was, is)
		}
	}
	for _, s := range shown.Summary() {
		got = append(got, spell(0, s.Permission, s.Direction, false, false, s.Groups, s.Holders, number(s.Users), number(s.Contacts), number(s.Conversations)))
	}
	for key, e := range want {
		users, contacts, open := "null", "null", "null"
		module := key.permission.Definition().Module
		if counts && (module == authz.ModuleService || module == authz.ModuleContacts) {
			contacts, open = fmt.Sprint(len(e.contacts)), fmt.Sprint(len(e.open))
		}
		if slices.Contains([]authz.Permission{authz.AgentPanelView, authz.AgentSettingsEdit, authz.UsersView, authz.UsersInvite, authz.UsersEdit,
			authz.UsersDeactivate, authz.UsersDelete, authz.RolesAssign, authz.AccessReviewDecide}, key.permission) {
			users = fmt.Sprint(len(e.users))
		}
		wanted = append(wanted, spell(key.user, key.permission, key.direction, e.account, e.assigned, len(e.groups), len(e.holders), users, contacts, open))
		switch {
		case key.user == 0:
		case key.direction == directory.Gained:
			gaining[key.user] = true
		default:
			losing[key.user] = true
		}
	}
	compared.entries += len(wanted)
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		c.t.Errorf("asked by %d\nshown\n%s\nhappened\n%s", asker.UserID, missingFrom(got, wanted), missingFrom(wanted, got))
	}
	if shown.UsersGaining != len(gaining) || shown.UsersLosing != len(losing) {
		c.t.Errorf("%d users are said to gain and %d to lose, and %d and %d do", shown.UsersGaining, shown.UsersLosing, len(gaining), len(losing))
	}
}

// tops wants each of the groups at or below one of the highest, and those to be seen by whoever asks.
func (c *chaos) tops(a directory.AccessChange, e *effect, was, is facts) {
	for id := range e.groups {
		if !slices.ContainsFunc(a.Tops, func(top int64) bool { return tree.Under(is.places[id].Path, is.places[top].Path) }) {
			c.t.Errorf("%s %s: group %d is not below any of %v", a.Permission, a.Direction, id, a.Tops)
		}
	}
	if len(e.groups) == 0 && len(a.Tops) > 0 {
		c.t.Errorf("%s %s: no group, and yet %v", a.Permission, a.Direction, a.Tops)
	}
}

// missingFrom lists what is in the one list alone.
func missingFrom(list, other []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) }), "\n")
}
