package rule_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/importrun"
	"canopy/ent/generated/message"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// company is a small world in which every rule has something to show and something to hide:
//
//	root ─┬─ north (MANUAL) ─┬─ city (Shared Inbox) ── shop (Shared Inbox off)
//	      │                  └─ vault (RESTRICTED) ── safe (Shared Inbox)
//	      └─ south ── shed (MANUAL)
//
// and a second account with a root and a group.
type company struct {
	t        *testing.T
	db       *store.DB
	accounts map[string]int64
	groups   map[string]int64
	users    map[string]int64
	roles    map[string]int64 // "account/key or name"
	cover    map[string]int64 // one of each account
	contacts int
}

// each runs a test over the company on every database.
func each(t *testing.T, test func(t *testing.T, c *company)) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		c := &company{t: t, db: db, accounts: map[string]int64{}, groups: map[string]int64{}, users: map[string]int64{}, roles: map[string]int64{}, cover: map[string]int64{}}
		err := db.Write(authz.Trusted(t.Context()), func(ctx context.Context, tx *ent.Tx) error {
			c.build(ctx, tx)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
	})
}

// must returns the value, or ends the test.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (c *company) build(ctx context.Context, tx *ent.Tx) {
	c.account(ctx, tx, "acme", map[string]string{"north": "root", "south": "root", "city": "north", "shop": "city",
		"vault": "north", "safe": "vault", "shed": "south"}, []string{"north", "south", "city", "shop", "vault", "safe", "shed"})
	c.account(ctx, tx, "rival", map[string]string{"branch": "rival root"}, []string{"branch"})
	c.set(tx.Group.UpdateOneID(c.groups["north"]).SetAssignmentMode(group.AssignmentModeMANUAL), ctx)
	c.set(tx.Group.UpdateOneID(c.groups["shed"]).SetAssignmentMode(group.AssignmentModeMANUAL), ctx)
	c.set(tx.Group.UpdateOneID(c.groups["rival root"]).SetAssignmentMode(group.AssignmentModeMANUAL), ctx)
	c.set(tx.Group.UpdateOneID(c.groups["city"]).SetSharedInbox(true), ctx)
	c.set(tx.Group.UpdateOneID(c.groups["shop"]).SetSharedInbox(false), ctx)
	c.set(tx.Group.UpdateOneID(c.groups["safe"]).SetSharedInbox(true), ctx)
	if err := tree.SetRestricted(ctx, tx, c.accounts["acme"], c.groups["vault"], true); err != nil {
		c.t.Fatal(err)
	}
	c.people(ctx, tx)
	c.covers(ctx, tx)
	c.service(ctx, tx)
	c.papers(ctx, tx)
}

// set saves a change of a group.
func (c *company) set(u *ent.GroupUpdateOne, ctx context.Context) {
	c.t.Helper()
	if err := u.Exec(ctx); err != nil {
		c.t.Fatal(err)
	}
}

// account makes an account with its groups and roles. The root of acme is "root".
func (c *company) account(ctx context.Context, tx *ent.Tx, name string, parents map[string]string, order []string) {
	a := must[*ent.Account](c.t)(tx.Account.Create().SetName(name).SetSlug(name).SetPlan(account.PlanPRO).SetCreatedAt(noon).Save(ctx))
	c.accounts[name] = a.ID
	root := "root"
	if name != "acme" {
		root = name + " root"
	}
	create := func(name string, parent *int64) {
		c.groups[name] = must[int64](c.t)(tree.Create(ctx, tx,
			tree.NewGroup{AccountID: a.ID, ParentID: parent, Name: name, NameKey: name, Now: noon}, 64))
	}
	create(root, nil)
	for _, child := range order {
		parent := c.groups[parents[child]]
		create(child, &parent)
	}
	for _, r := range authz.BuiltInRoles() {
		c.roles[name+"/"+r.Key] = must[*ent.Role](c.t)(tx.Role.Create().SetAccountID(a.ID).SetKey(r.Key).SetName(r.Name).
			SetNameKey(r.Key).SetCreatedAt(noon).Save(ctx)).ID
	}
	custom := func(role string, give []int64, pairs ...authz.Pair) {
		c.roles[name+"/"+role] = must[*ent.Role](c.t)(tx.Role.Create().SetAccountID(a.ID).SetName(role).SetNameKey(role).
			SetPairs(pairs).AddMayGiveIDs(give...).SetCreatedAt(noon).Save(ctx)).ID
	}
	custom("Helper", nil, authz.Pair{Permission: authz.ConversationsReply, Scope: authz.ScopeAssigned},
		authz.Pair{Permission: authz.ConversationsView, Scope: authz.ScopeAssigned})
	custom("Caretaker", []int64{c.roles[name+"/Helper"]}, authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeGroup},
		authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeGroup},
		authz.Pair{Permission: authz.GroupsCreate, Scope: authz.ScopeGroup}, authz.Pair{Permission: authz.QueueView, Scope: authz.ScopeTeam},
		authz.Pair{Permission: authz.RolesAssign, Scope: authz.ScopeSubtree})
}

// people are the users: "name: home role@group, role". A role without a group follows the home group.
func (c *company) people(ctx context.Context, tx *ent.Tx) {
	type grants []ent.RoleGrant
	at := func(role, group string) ent.RoleGrant {
		g := ent.RoleGrant{RoleID: c.roles[role], ValidFrom: noon.Add(-time.Hour)}
		if id, ok := c.groups[group]; ok {
			g.GroupID = &id
		}
		return g
	}
	expired, coming, revoked := at("acme/AGENT", ""), at("acme/Caretaker", ""), at("acme/AGENT", "city")
	expired.ValidUntil, revoked.RevokedAt = &noon, &noon
	coming.ValidFrom = noon.Add(time.Microsecond)
	c.user(ctx, tx, "acme", "owner", "root", grants{at("acme/OWNER", "")})
	c.user(ctx, tx, "acme", "administrator", "root", grants{at("acme/ADMINISTRATOR", "")})
	c.user(ctx, tx, "acme", "supervisor", "north", grants{at("acme/DASHBOARD_ADMINISTRATOR", "")})
	c.user(ctx, tx, "acme", "warden", "vault", grants{at("acme/DASHBOARD_ADMINISTRATOR", "")})
	c.user(ctx, tx, "acme", "consul", "south", grants{at("acme/DASHBOARD_ADMINISTRATOR", "city"), at("acme/AGENT", "")})
	c.user(ctx, tx, "acme", "city agent", "city", grants{at("acme/AGENT", "")})
	c.user(ctx, tx, "acme", "shop agent", "shop", grants{at("acme/AGENT", "")})
	c.user(ctx, tx, "acme", "safe agent", "safe", grants{at("acme/AGENT", "")})
	c.user(ctx, tx, "acme", "shed agent", "shed", grants{at("acme/AGENT", "")})
	c.user(ctx, tx, "acme", "cashier", "south", grants{at("acme/BILLING_MANAGER", "")})
	c.user(ctx, tx, "acme", "developer", "south", grants{at("acme/DEVELOPER", "")})
	c.user(ctx, tx, "acme", "nobody", "south", grants{expired, coming, revoked})
	c.user(ctx, tx, "acme", "helper", "shop", grants{at("acme/Helper", "")})
	c.user(ctx, tx, "acme", "caretaker", "shed", grants{at("acme/Caretaker", "city"), at("acme/Caretaker", "")})
	c.user(ctx, tx, "acme", "gone", "shop", grants{at("acme/AGENT", "")})
	if err := tx.User.UpdateOneID(c.users["gone"]).SetStatus(user.StatusDEACTIVATED).Exec(ctx); err != nil {
		c.t.Fatal(err)
	}
	c.user(ctx, tx, "rival", "rival owner", "rival root", grants{at("rival/OWNER", "")})
	c.user(ctx, tx, "rival", "rival agent", "branch", grants{at("rival/AGENT", ""), at("rival/Caretaker", "")})
	for name, owner := range map[string]string{"acme": "owner", "rival": "rival owner"} {
		if err := tx.Account.UpdateOneID(c.accounts[name]).SetPrimaryOwnerID(c.users[owner]).Exec(ctx); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *company) user(ctx context.Context, tx *ent.Tx, account, name, home string, grants []ent.RoleGrant) {
	u := must[*ent.User](c.t)(tx.User.Create().SetAccountID(c.accounts[account]).SetHomeGroupID(c.groups[home]).SetName(name).SetNameKey(name).
		SetEmail(name + "@example.com").SetEmailKey(name + "@example.com").SetStatus(user.StatusACTIVE).SetCreatedAt(noon).Save(ctx))
	c.users[name] = u.ID
	for _, g := range grants {
		create := tx.RoleGrant.Create().SetAccountID(u.AccountID).SetUserID(u.ID).SetRoleID(g.RoleID).SetNillableGroupID(g.GroupID).
			SetValidFrom(g.ValidFrom).SetNillableValidUntil(g.ValidUntil).SetNillableRevokedAt(g.RevokedAt).SetGrantedByID(u.ID).SetCreatedAt(noon)
		if g.RevokedAt != nil {
			create.SetRevokedByID(u.ID)
		}
		must[*ent.RoleGrant](c.t)(create.Save(ctx))
	}
	must[*ent.ImportRun](c.t)(tx.ImportRun.Create().SetAccountID(u.AccountID).SetUserID(u.ID).SetKind(importrun.KindGROUPS).
		SetFingerprint(name).SetStartedAt(noon).SetFinishedAt(noon).Save(ctx))
	must[*ent.Session](c.t)(tx.Session.Create().SetAccountID(u.AccountID).SetUserID(u.ID).SetTokenHash(name).SetKind(session.KindTOKEN).
		SetCreatedAt(noon).SetExpiresAt(noon.Add(time.Hour)).Save(ctx))
}

// service are contacts of every kind at every group: waiting and served, in service and before, each with a
// conversation, messages and a history of assignments.
func (c *company) service(ctx context.Context, tx *ent.Tx) {
	for _, name := range []string{"root", "north", "city", "shop", "vault", "safe", "south", "shed"} {
		c.contact(ctx, tx, "acme", name, "", "city agent")
		c.contact(ctx, tx, "acme", name, "shop agent", "shed agent")
	}
	// On offer, formerly on offer, and waiting in the queue above too, each where nobody sees it otherwise.
	for _, name := range []string{"shop agent", "shed agent", "nobody"} {
		c.offer(ctx, tx, c.contact(ctx, tx, "acme", "south", "", "city agent"), name, noon.Add(time.Minute))
		c.offer(ctx, tx, c.contact(ctx, tx, "acme", "vault", "", "city agent"), name, noon.Add(time.Minute))
		c.offer(ctx, tx, c.contact(ctx, tx, "acme", "south", "", "city agent"), name, noon)
	}
	for below, above := range map[string]string{"north": "root", "city": "north", "shop": "city", "safe": "vault", "vault": "root", "shed": "south"} {
		id := c.contact(ctx, tx, "acme", below, "", "city agent")
		must[*ent.Contact](c.t)(tx.Contact.UpdateOneID(id).SetEscalatedToID(c.groups[above]).Save(ctx))
	}
	c.contact(ctx, tx, "acme", "safe", "city agent", "safe agent")
	c.contact(ctx, tx, "acme", "shed", "safe agent", "shed agent")
	c.contact(ctx, tx, "acme", "shed", "shed agent", "helper")
	c.contact(ctx, tx, "acme", "city", "helper", "gone")
	c.contact(ctx, tx, "acme", "shop", "gone", "gone")
	for _, name := range []string{"rival root", "branch"} {
		c.contact(ctx, tx, "rival", name, "", "rival agent")
		c.contact(ctx, tx, "rival", name, "rival agent", "rival agent")
	}
}

func (c *company) offer(ctx context.Context, tx *ent.Tx, contact int64, to string, until time.Time) {
	must[*ent.Contact](c.t)(tx.Contact.UpdateOneID(contact).SetOfferedToID(c.users[to]).SetOfferEndsAt(until).Save(ctx))
}

func (c *company) contact(ctx context.Context, tx *ent.Tx, account, groupName, agent, before string) int64 {
	c.contacts++
	at, owner := c.groups[groupName], c.accounts[account]
	create := tx.Contact.Create().SetAccountID(owner).SetGroupID(at).SetArrivalGroupID(at).SetName(fmt.Sprintf("contact %d", c.contacts)).
		SetNameKey("contact").SetPhone("+5511912345678").SetEmail("c@example.com").SetBox(0).SetSortKey(int64(c.contacts)).
		SetLastActivityAt(noon).SetCreatedAt(noon)
	if agent != "" {
		create.SetAssignedUserID(c.users[agent])
	}
	id := must[*ent.Contact](c.t)(create.Save(ctx)).ID
	assign := func(agent string, ended *time.Time) *ent.ContactAssignment {
		return must[*ent.ContactAssignment](c.t)(tx.ContactAssignment.Create().SetAccountID(owner).SetContactID(id).SetUserID(c.users[agent]).
			SetAssignedByID(c.users[before]).SetTakenFromGroupID(at).SetMethod(contactassignment.MethodCLAIM).SetExplanation("because").
			SetStartedAt(noon).SetNillableEndedAt(ended).Save(ctx))
	}
	first := assign(before, &noon)
	talk := tx.Conversation.Create().SetAccountID(owner).SetContactID(id).SetNumber(int64(c.contacts)).SetSubject("a case").SetOpenedAt(noon).
		SetOpenedByID(c.users[before])
	if agent != "" {
		assign(agent, nil)
		talk.SetAgentID(c.users[agent])
	} else {
		talk.SetAgentID(c.users[before]).SetClosedByID(c.users[before]).SetClosedAt(noon)
	}
	conversation := must[*ent.Conversation](c.t)(talk.Save(ctx))
	for _, reader := range []string{before, map[string]string{"acme": "owner", "rival": "rival owner"}[account]} {
		must[*ent.ReadMark](c.t)(tx.ReadMark.Create().SetAccountID(owner).SetConversationID(conversation.ID).SetUserID(c.users[reader]).
			SetSentAt(noon).SetMessageID(0).Save(ctx))
	}
	must[*ent.HistoryEntry](c.t)(tx.HistoryEntry.Create().SetAccountID(owner).SetContactID(id).SetKind(historyentry.KindCOVERED).SetAt(noon).
		SetConversationID(conversation.ID).SetPreviousConversationID(conversation.ID).SetAssignmentID(first.ID).SetCoverID(c.cover[account]).
		SetDoneByID(c.users[before]).SetToAgentID(c.users[before]).SetToGroupID(at).SetExplanation("because").Save(ctx))
	for i, direction := range []message.Direction{message.DirectionINBOUND, message.DirectionOUTBOUND} {
		say := tx.Message.Create().SetAccountID(owner).SetConversationID(conversation.ID).SetDirection(direction).SetText("hello").SetSentAt(noon)
		if i == 1 {
			say.SetAuthorID(c.users[before])
		}
		must[*ent.Message](c.t)(say.Save(ctx))
	}
	must[*ent.Note](c.t)(tx.Note.Create().SetAccountID(owner).SetConversationID(conversation.ID).SetAuthorID(c.users[before]).
		SetText("hm").SetWrittenAt(noon).Save(ctx))
	name := fmt.Sprintf("tag %d", c.contacts)
	tag := must[*ent.Tag](c.t)(tx.Tag.Create().SetAccountID(owner).SetName(name).SetNameKey(name).SetCreatedAt(noon).Save(ctx))
	must[*ent.ConversationTag](c.t)(tx.ConversationTag.Create().SetAccountID(owner).SetConversationID(conversation.ID).SetTagID(tag.ID).Save(ctx))
	return id
}

// covers are of users of every kind; all of them are over, so that there can be more.
func (c *company) covers(ctx context.Context, tx *ent.Tx) {
	for _, covered := range []string{"city agent", "shop agent", "safe agent", "shed agent", "helper", "consul", "gone", "nobody", "rival agent"} {
		account := "acme"
		if covered == "rival agent" {
			account = "rival"
		}
		c.cover[account] = must[*ent.Cover](c.t)(tx.Cover.Create().SetAccountID(c.accounts[account]).SetUserID(c.users[covered]).SetToID(c.users[covered]).
			SetStartedByID(c.users[covered]).SetStartedAt(noon).SetEndsAt(noon.Add(time.Hour)).
			SetEndedAt(noon).Save(ctx)).ID
	}
}

// papers are requests for groups, moves and audit events.
func (c *company) papers(ctx context.Context, tx *ent.Tx) {
	request := func(account, parent, by, made string) {
		must[*ent.GroupRequest](c.t)(tx.GroupRequest.Create().SetAccountID(c.accounts[account]).SetParentID(c.groups[parent]).SetName("wish").
			SetRequestedByID(c.users[by]).SetGroupID(c.groups[made]).SetCreatedAt(noon).Save(ctx))
		must[*ent.GroupMove](c.t)(tx.GroupMove.Create().SetAccountID(c.accounts[account]).SetGroupID(c.groups[made]).SetTotal(2).
			SetLastBox(6).SetLastSortKey(0).SetLastContactID(0).SetStartedAt(noon).Save(ctx))
		must[*ent.AuditEvent](c.t)(tx.AuditEvent.Create().SetAccountID(c.accounts[account]).SetUserID(c.users[by]).SetAction("GROUP_REQUESTED").
			SetTargetKind("G").SetTargetID(c.groups[parent]).SetAt(noon).Save(ctx))
	}
	request("acme", "north", "supervisor", "city")
	request("acme", "vault", "warden", "safe")
	request("acme", "city", "consul", "shop")
	request("acme", "south", "owner", "shed")
	request("rival", "rival root", "rival owner", "branch")
}

// viewer is the user with the grants that are in force at noon. It is put together here and not by directory, whose
// loader these rules have nothing to do with.
func (c *company) viewer(name string) *authz.Viewer {
	c.t.Helper()
	ctx := authz.Trusted(c.t.Context())
	u := must[*ent.User](c.t)(c.db.Read.User.Get(ctx, c.users[name]))
	v := &authz.Viewer{AccountID: u.AccountID, UserID: u.ID, Home: c.place(u.HomeGroupID), At: noon}
	for _, g := range must[[]*ent.RoleGrant](c.t)(c.db.Read.RoleGrant.Query().Where(rolegrant.UserID(u.ID)).WithRole().All(ctx)) {
		if g.RevokedAt != nil || g.ValidFrom.After(noon) || g.ValidUntil != nil && !g.ValidUntil.After(noon) {
			continue
		}
		grant := authz.Grant{ID: g.ID, RoleID: g.RoleID, Place: v.Home, Pairs: authz.PairsOf(g.Edges.Role.Pairs)}
		if g.Edges.Role.Key != nil {
			role, _ := authz.BuiltInRole(*g.Edges.Role.Key)
			grant.RoleKey, grant.Pairs = role.Key, role.Pairs
		}
		if g.GroupID != nil {
			grant.Place = c.place(*g.GroupID)
		}
		var chain []*ent.Group
		for _, id := range tree.IDs(grant.Place.Path) {
			chain = append(chain, must[*ent.Group](c.t)(c.db.Read.Group.Get(ctx, id)))
			settings := tree.Resolve(chain)
			grant.SharedInbox = settings.SharedInbox.Value
			if settings.AssignmentMode.Value == group.AssignmentModeMANUAL {
				grant.Queues = append(grant.Queues, id)
			}
		}
		v.Grants = append(v.Grants, grant)
	}
	return v
}

func (c *company) place(id int64) authz.Place {
	g := must[*ent.Group](c.t)(c.db.Read.Group.Get(authz.Trusted(c.t.Context()), id))
	return authz.Place{GroupID: g.ID, Path: g.Path, Wall: g.Wall}
}

// as is a context in which the user asks.
func (c *company) as(name string) context.Context {
	return authz.NewContext(c.t.Context(), c.viewer(name))
}
