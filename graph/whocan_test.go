package graph_test

import (
	"context"
	"encoding/json"
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
	"canopy/graph"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

// who lists the names of all who can, walking by pages of the size.
func (w *world) who(viewer, args string, size int) []string {
	w.t.Helper()
	return w.named(viewer, "{ list: whoCan(permission: "+args+"%s) { %s } }", size)
}

// named walks a list of users by pages; the query has a place for the page arguments and one for the fields.
func (w *world) named(viewer, query string, size int) []string {
	w.t.Helper()
	names := []string{}
	after := ""
	for {
		raw := w.ask(viewer, "%s", fmt.Sprintf(query, fmt.Sprintf(", first: %d%s", size, after), "totalCount nodes { user { name } } pageInfo { hasNextPage endCursor }"))
		raw = raw[strings.Index(raw, `"list":`)+len(`"list":`):]
		var page struct {
			TotalCount int
			Nodes      []struct{ User struct{ Name string } }
			PageInfo   struct {
				HasNextPage bool
				EndCursor   string
			}
		}
		if err := json.NewDecoder(strings.NewReader(raw)).Decode(&page); err != nil {
			w.t.Fatal(err, raw)
		}
		for _, n := range page.Nodes {
			names = append(names, n.User.Name)
		}
		if !page.PageInfo.HasNextPage {
			if page.TotalCount != len(names) {
				w.t.Errorf("%s counts %d, lists %v", query, page.TotalCount, names)
			}
			return names
		}
		if len(page.Nodes) != size {
			w.t.Errorf("%s: a page of %d has %d entries and another follows", query, size, len(page.Nodes))
		}
		after = fmt.Sprintf(", after: %q", page.PageInfo.EndCursor)
	}
}

// naive asks every user of the account, in the order of names.
func (w *world) naive(can func(*authz.Viewer) bool) []string {
	w.t.Helper()
	users, err := w.db.Read.User.Query().Where(user.AccountID(w.account)).Order(user.ByNameKey(), user.ByID()).All(authz.Trusted(context.Background()))
	if err != nil {
		w.t.Fatal(err)
	}
	service := &directory.Service{DB: w.db, Now: func() time.Time { return now }}
	names := []string{}
	for _, u := range users {
		v, err := service.LoadViewer(context.Background(), w.db.Read, u.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if u.Status == user.StatusACTIVE && u.AccessPausedAt == nil && can(v) {
			names = append(names, u.Name)
		}
	}
	return names
}

// shuffle makes a random world of the company: settings, roles, grants, users who are out.
func (w *world) shuffle(r *rand.Rand) {
	w.t.Helper()
	groups := []string{"root", "sales", "north", "south", "support", "vault", "cellar"}
	for i := range 3 {
		var pairs []authz.Pair
		for range 6 {
			p := authz.Permissions()[r.IntN(len(authz.Permissions()))]
			pairs = append(pairs, authz.Pair{Permission: p, Scope: authz.Scopes()[r.IntN(len(authz.Scopes()))]})
		}
		for _, p := range []authz.Permission{authz.QueueView, authz.ConversationsView, authz.GroupsView, authz.UsersEdit} {
			pairs = append(pairs, authz.Pair{Permission: p, Scope: authz.Scopes()[r.IntN(len(authz.Scopes()))]})
		}
		w.role(fmt.Sprint("custom ", i), pairs...)
	}
	roles := []string{authz.RoleAgent, authz.RoleDashboardAdministrator, authz.RoleBillingManager, "custom 0", "custom 1", "custom 2"}
	for i := range 12 {
		name := fmt.Sprint("person ", i)
		w.user(name, groups[r.IntN(len(groups))], roles[r.IntN(len(roles))])
		w.rename(name, fmt.Sprint("person ", i/2))
		if r.IntN(2) == 0 {
			w.grant(name, roles[r.IntN(len(roles))], groups[r.IntN(len(groups))])
		}
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			u := tx.User.UpdateOneID(w.ids[name])
			switch r.IntN(8) {
			case 0:
				u.SetStatus(user.StatusDEACTIVATED)
			case 1:
				u.SetAccessPausedAt(now)
			case 2:
				u.SetStatus(user.StatusINVITED)
			}
			return u.Exec(ctx)
		})
	}
	for _, name := range groups {
		w.set(name, func(u *ent.GroupUpdateOne) {
			if r.IntN(2) == 0 {
				u.SetSharedInbox(r.IntN(2) == 0)
			}
			if r.IntN(2) == 0 {
				u.SetAssignmentMode([]group.AssignmentMode{group.AssignmentModeMANUAL, group.AssignmentModeROUND_ROBIN}[r.IntN(2)])
			}
		})
	}
}

// TestWhoCanIsWhoeverCan compares, in random worlds, the lists with asking every user.
func TestWhoCanIsWhoeverCan(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		seed := uint64(time.Now().UnixNano())
		r := rand.New(rand.NewPCG(seed, 1))
		t.Logf("seed %d", seed)
		w := company(t, db)
		w.shuffle(r)
		w.waitingElsewhere()
		place := func(name string) authz.Place {
			g, err := db.Read.Group.Get(authz.Trusted(context.Background()), w.ids[name])
			if err != nil {
				t.Fatal(err)
			}
			return rule.PlaceOf(g)
		}
		targets := map[string]authz.Target{
			"": {}, w.id(relay.KindAccount, "acacia"): {},
			w.id(relay.KindUser, "carla"):                    authz.AtUser(place("south"), w.ids["carla"]),
			w.id(relay.KindAgent, "vic"):                     authz.AtUser(place("cellar"), w.ids["vic"]),
			w.id(relay.KindContact, "Kim"):                   authz.AtContact(place("north"), w.ids["ana"]),
			w.id(relay.KindContact, "Lee"):                   authz.AtContact(place("north"), 0),
			w.id(relay.KindConversation, "Nil conversation"): authz.AtContact(place("vault"), w.ids["vera"]),
			w.id(relay.KindContact, "on offer"):              {Place: place("south"), Contact: true, Offered: w.ids["dora"]},
			w.id(relay.KindContact, "not on offer now"):      authz.AtContact(place("south"), 0),
			w.id(relay.KindContact, "escalated"):             {Place: place("north"), Contact: true, Escalated: w.ids["sales"]},
			w.id(relay.KindContact, "escalated from within"): {Place: place("cellar"), Contact: true, Escalated: w.ids["vault"]},
		}
		for _, name := range []string{"root", "sales", "north", "vault", "cellar"} {
			targets[w.id(relay.KindGroup, name)] = authz.AtGroup(place(name))
		}
		permissions := []authz.Permission{authz.QueueView, authz.ConversationsView, authz.GroupsView, authz.UsersEdit, authz.QueueClaim, authz.BillingView}
		for id, target := range targets {
			for _, p := range permissions {
				args := p.String()
				if id != "" {
					args += fmt.Sprintf(", targetId: %q", id)
				}
				want := w.naive(func(v *authz.Viewer) bool { return v.Can(p, target.For(p)) })
				if got := w.who("olga", args, 1+r.IntN(4)); !slices.Equal(got, want) {
					t.Errorf("seed %d, %s at %+v: %v, want %v", seed, p, target, got, want)
				}
			}
		}
		for _, name := range []string{"root", "north", "cellar"} {
			at, id := authz.AtContact(place(name), 0), w.id(relay.KindGroup, name)
			query := `{ group(id: "` + id + `") { list: effectiveUsers(%s`
			all := w.naive(func(v *authz.Viewer) bool { return v.Holding(place(name)).Waiting != 0 })
			if got := w.named("olga", strings.Replace(query, "%s", "permission: null%s", 1)+") { %s } } }", 2); !slices.Equal(got, all) {
				t.Errorf("seed %d, anything at %s: %v, want %v", seed, name, got, all)
			}
			for _, p := range permissions {
				want := w.naive(func(v *authz.Viewer) bool { return v.Can(p, at) })
				if got := w.named("olga", strings.Replace(query, "%s", "permission: "+p.String()+"%s", 1)+") { %s } } }", 2); !slices.Equal(got, want) {
					t.Errorf("seed %d, %s at %s: %v, want %v", seed, p, name, got, want)
				}
			}
		}
	})
}

// waitingElsewhere adds contacts that somebody is or was asked to take, and some that wait in the queue above too.
func (w *world) waitingElsewhere() {
	w.t.Helper()
	for _, c := range []struct {
		name, at, offered, above string
		until                    time.Time
	}{
		{name: "on offer", at: "south", offered: "dora", until: now.Add(time.Microsecond)},
		{name: "not on offer now", at: "south", offered: "dora", until: now},
		{name: "escalated", at: "north", above: "sales"},
		{name: "escalated from within", at: "cellar", above: "vault"},
	} {
		w.contact(c.name, c.at, "")
		w.changeContact(c.name, func(u *ent.ContactUpdateOne) {
			if c.offered != "" {
				u.SetOfferedToID(w.ids[c.offered]).SetOfferEndsAt(c.until)
			}
			if c.above != "" {
				u.SetEscalatedToID(w.ids[c.above])
			}
		})
	}
}

// TestWhoCanIsWhoIsLetThrough asks for contacts that wait, claims and answers them as everybody: whom a request lets through
// is in the list, is told so by explainAccess, and nobody else.
func TestWhoCanIsWhoIsLetThrough(t *testing.T) {
	var w *world
	fresh := testdb.Copies(t, func(db *store.DB) {
		w = heardCompany(t, db)
		w.set("vault", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeRADAR) })
		w.set("north", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeRADAR) })
		w.set("sales", func(u *ent.GroupUpdateOne) { u.SetSharedInbox(true) })
		w.waitingElsewhere()
		for scope, at := range map[authz.Scope]string{authz.ScopeGroup: "sales", authz.ScopeTeam: "sales", authz.ScopeSubtree: "root", authz.ScopeQueue: "sales", authz.ScopeAssigned: "root"} {
			name := "all at " + scope.String()
			w.role(name, authz.Pair{Permission: authz.QueueView, Scope: scope}, authz.Pair{Permission: authz.QueueClaim, Scope: scope},
				authz.Pair{Permission: authz.ConversationsView, Scope: scope}, authz.Pair{Permission: authz.ConversationsReply, Scope: scope})
			w.user(scope.String(), "support")
			w.grant(scope.String(), name, at)
		}
	})
	w = w.over(t, fresh(t))
	let := 0
	for _, name := range []string{"on offer", "not on offer now", "escalated", "escalated from within"} {
		contact, talk := w.id(relay.KindContact, name), w.id(relay.KindConversation, name+" conversation")
		for _, request := range []struct {
			by       string
			document string
		}{
			{"QUEUE_CLAIM", `mutation { claimContact(input: {contactId: "` + contact + `"}) { contact { id } } }`},
			{"CONVERSATIONS_REPLY", `mutation { sendMessage(input: {conversationId: "` + talk + `", text: "Hello"}) { message { id } } }`},
			{"QUEUE_VIEW, CONVERSATIONS_VIEW", `{ conversation(id: "` + talk + `") { id } }`},
		} {
			listed := map[string]bool{}
			for _, p := range strings.Split(request.by, ", ") {
				for _, who := range w.who("olga", fmt.Sprintf("%s, targetId: %q", p, contact), 100) {
					listed[who] = true
				}
			}
			for _, who := range []string{"olga", "adam", "sue", "ana", "bruno", "carla", "dora", "vera", "vic", "GROUP", "TEAM", "SUBTREE", "QUEUE", "ASSIGNED"} {
				at := w
				if strings.HasPrefix(request.document, "mutation") {
					at = w.over(t, fresh(t), served)
				}
				// What one sees of what one has just claimed or said may be nothing.
				through := !strings.Contains(at.run(at.as(who), request.document, nil), `"errors"`)
				explained := false
				for _, p := range strings.Split(request.by, ", ") {
					explained = explained || w.explain("olga", fmt.Sprintf("permission: %s, userId: %q, targetId: %q", p, w.id(relay.KindUser, who), contact)).Allowed
				}
				if through != listed[who] || through != explained {
					t.Errorf("%s, %s: let through %t, listed by whoCan %t, allowed by explainAccess %t", who, request.document, through, listed[who], explained)
				}
				if through {
					let++
				}
			}
		}
	}
	if let < 20 {
		t.Errorf("only %d requests were let through", let)
	}
}

// TestWhoCanFollowsTimeAndState: grants to come and ended, people who are out, and custom roles that are off count for
// nothing.
func TestWhoCanFollowsTimeAndState(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.role("Biller", authz.Pair{Permission: authz.BillingView, Scope: authz.ScopeAccount})
		for _, name := range []string{"ended", "ending", "revoked", "gone", "paused", "starting"} {
			w.user(name, "north", "Biller")
		}
		w.user("coming", "north")
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			for name, change := range map[string]func(*ent.RoleGrantUpdateOne){
				"ended":   func(u *ent.RoleGrantUpdateOne) { u.SetValidUntil(now) },
				"ending":  func(u *ent.RoleGrantUpdateOne) { u.SetValidUntil(now.Add(time.Microsecond)) },
				"revoked": func(u *ent.RoleGrantUpdateOne) { u.SetRevokedAt(now) },
			} {
				u := tx.RoleGrant.UpdateOneID(w.ids[name+" Biller"])
				change(u)
				if err := u.Exec(ctx); err != nil {
					return err
				}
			}
			err := tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(w.ids["coming"]).SetRoleID(w.ids["Biller"]).
				SetValidFrom(now.Add(time.Microsecond)).SetCreatedAt(now).Exec(ctx)
			if err != nil {
				return err
			}
			if err := tx.User.UpdateOneID(w.ids["gone"]).SetStatus(user.StatusDEACTIVATED).Exec(ctx); err != nil {
				return err
			}
			return tx.User.UpdateOneID(w.ids["paused"]).SetAccessPausedAt(now).Exec(ctx)
		})
		if got, want := w.who("olga", "BILLING_VIEW", 1), []string{"ending", "olga", "starting"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.Account.UpdateOneID(w.account).SetCustomRolesEnabled(false).Exec(ctx)
		})
		if got, want := w.who("olga", "BILLING_VIEW", 1), []string{"olga"}; !slices.Equal(got, want) {
			t.Errorf("custom roles off: got %v, want %v", got, want)
		}
	})
}

// TestWhoCanSaysByWhatWay shows each path: a wall ends inherited reach, the queue looks up, the Shared Inbox shares.
func TestWhoCanSaysByWhatWay(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.user("rita", "root", authz.RoleDashboardAdministrator)
		w.contact("Pat", "support", "")
		w.contact("Root guest", "root", "")
		for args, want := range map[string]string{
			`CONVERSATIONS_VIEW, targetId: "` + w.id(relay.KindContact, "Kim") + `"`: "ana ASSIGNMENT TEAM AGENT, olga ACCOUNT ACCOUNT OWNER, rita SUBTREE SUBTREE DASHBOARD_ADMINISTRATOR, sue SUBTREE SUBTREE DASHBOARD_ADMINISTRATOR",
			`CONVERSATIONS_VIEW, targetId: "` + w.id(relay.KindContact, "Nil") + `"`: "olga ACCOUNT ACCOUNT OWNER, vera ASSIGNMENT TEAM AGENT",
			`CONVERSATIONS_VIEW, targetId: "` + w.id(relay.KindContact, "Pat") + `"`: "dora SHARED_INBOX TEAM AGENT, olga ACCOUNT ACCOUNT OWNER, rita SUBTREE SUBTREE DASHBOARD_ADMINISTRATOR",
			`CONVERSATIONS_OPEN, targetId: "` + w.id(relay.KindGroup, "south") + `"`: "carla GROUP GROUP AGENT, olga ACCOUNT ACCOUNT OWNER, rita SUBTREE SUBTREE DASHBOARD_ADMINISTRATOR, sue SUBTREE SUBTREE DASHBOARD_ADMINISTRATOR",
			`QUEUE_CLAIM, targetId: "` + w.id(relay.KindContact, "Root guest") + `"`: "ana QUEUE QUEUE AGENT, bruno QUEUE QUEUE AGENT, carla QUEUE QUEUE AGENT, dora QUEUE QUEUE AGENT, olga ACCOUNT ACCOUNT OWNER, vera QUEUE QUEUE AGENT, vic QUEUE QUEUE AGENT",
			`QUEUE_CLAIM, targetId: "` + w.id(relay.KindContact, "Kim") + `"`:        "",
		} {
			raw := w.ask("olga", "%s", "{ whoCan(permission: "+args+") { nodes { user { name } paths { way scope grant { role { key } } } } } }")
			var answer struct {
				WhoCan struct {
					Nodes []struct {
						User  struct{ Name string }
						Paths []struct {
							Way, Scope string
							Grant      struct{ Role struct{ Key string } }
						}
					}
				}
			}
			if err := json.Unmarshal([]byte(raw), &answer); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range answer.WhoCan.Nodes {
				for _, p := range n.Paths {
					got = append(got, n.User.Name+" "+p.Way+" "+p.Scope+" "+p.Grant.Role.Key)
				}
			}
			same(t, strings.Join(got, ", "), want)
		}
	})
}

// TestWhoCanTellsNothingHidden: whoever may explain access and sees one branch is told of its users only, sees no grant
// that they may not see, and hears of hidden targets what they hear of invented ones.
func TestWhoCanTellsNothingHidden(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.role("Explainer", authz.Pair{Permission: authz.AccessExplain, Scope: authz.ScopeAccount}, authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeSubtree})
		w.user("eve", "sales", "Explainer")
		if got, want := w.who("eve", "CONVERSATIONS_OPEN, targetId: \""+w.id(relay.KindGroup, "sales")+"\"", 1), []string{"sue"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		same(t, w.ask("eve", `{ whoCan(permission: ACCESS_EXPLAIN) { totalCount nodes { user { name } paths { way grant { id } } } } }`),
			`{"whoCan":{"totalCount":1,"nodes":[{"user":{"name":"eve"},"paths":[{"way":"ACCOUNT","grant":{"id":"`+w.id(relay.KindRoleGrant, "eve Explainer")+`"}}]}]}}`)
		same(t, w.ask("eve", "%s", `{ whoCan(permission: CONVERSATIONS_OPEN, targetId: "`+w.id(relay.KindGroup, "sales")+`") { nodes { paths { way grant { id } } } } }`),
			`{"whoCan":{"nodes":[{"paths":[{"way":"SUBTREE","grant":null}]}]}}`)
		for _, kind := range []relay.Kind{relay.KindGroup, relay.KindUser, relay.KindAgent, relay.KindContact, relay.KindConversation} {
			name := map[relay.Kind]string{relay.KindGroup: "vault", relay.KindUser: "vera", relay.KindAgent: "vera", relay.KindContact: "Nil", relay.KindConversation: "Nil conversation"}[kind]
			for _, query := range []string{`{ whoCan(permission: GROUPS_VIEW, targetId: %q) { totalCount } }`, `{ viewer { user { effectivePermissions(at: %q) { permission } } } }`} {
				hidden := w.run(w.as("eve"), fmt.Sprintf(query, w.id(kind, name)), nil)
				invented := w.run(w.as("eve"), fmt.Sprintf(query, relay.NewID(kind, 1<<40)), nil)
				if hidden != invented || !strings.Contains(hidden, "NOT_FOUND") {
					t.Errorf("hidden   %s\ninvented %s", hidden, invented)
				}
			}
		}
		for _, cursor := range []string{"", "x", relay.Position{Order: 't', Number: 1, ID: 1}.Cursor()} {
			if got := w.refused(w.as("eve"), fmt.Sprintf(`{ whoCan(permission: QUEUE_VIEW, targetId: %q, after: %q) { totalCount } }`, w.id(relay.KindGroup, "sales"), cursor), nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "after" {
				t.Errorf("after %q: %v", cursor, got)
			}
		}
		if got := w.refused(w.as("sue"), `{ whoCan(permission: GROUPS_VIEW) { totalCount } }`, nil); got["code"] != "FORBIDDEN" || got["permission"] != "ACCESS_EXPLAIN" {
			t.Errorf("without ACCESS_EXPLAIN: %v", got)
		}
	})
}

// TestEffectivePermissions: about oneself nothing is needed, about others ACCESS_EXPLAIN; anywhere it is all that the
// viewer may do, and at a target what a check there lets pass.
func TestEffectivePermissions(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		for _, name := range []string{"olga", "sue", "ana", "dora"} {
			var answer struct {
				Viewer struct {
					Permissions []string
					User        struct{ Anywhere, There []struct{ Permission string } }
				}
			}
			there := ` there: effectivePermissions(at: "` + w.id(relay.KindGroup, "north") + `") { permission }`
			if name == "dora" {
				there = "" // hidden from her
			}
			raw := w.ask(name, "%s", `{ viewer { permissions user { anywhere: effectivePermissions { permission }`+there+` } } }`)
			if err := json.Unmarshal([]byte(raw), &answer); err != nil {
				t.Fatal(err)
			}
			var anywhere, at, want []string
			for _, p := range answer.Viewer.User.Anywhere {
				anywhere = append(anywhere, p.Permission)
			}
			if !slices.Equal(anywhere, answer.Viewer.Permissions) {
				t.Errorf("%s anywhere: %v, want %v", name, anywhere, answer.Viewer.Permissions)
			}
			if name == "dora" {
				continue
			}
			g, err := db.Read.Group.Get(authz.Trusted(context.Background()), w.ids["north"])
			if err != nil {
				t.Fatal(err)
			}
			v := authz.FromContext(w.as(name))
			for _, p := range authz.Permissions() {
				if v.Can(p, authz.AtGroup(rule.PlaceOf(g)).For(p)) {
					want = append(want, p.String())
				}
			}
			for _, p := range answer.Viewer.User.There {
				at = append(at, p.Permission)
			}
			if !slices.Equal(at, want) {
				t.Errorf("%s at north: %v, want %v", name, at, want)
			}
		}
		w.role("Looker", authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeAccount})
		w.user("lou", "root", "Looker")
		query := `{ user(id: "` + w.id(relay.KindUser, "ana") + `") { effectivePermissions { permission } } }`
		if got := w.refused(w.as("lou"), query, nil); got["code"] != "FORBIDDEN" || got["permission"] != "ACCESS_EXPLAIN" {
			t.Errorf("about others without ACCESS_EXPLAIN: %v", got)
		}
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.User.UpdateOneID(w.ids["ana"]).SetAccessPausedAt(now).Exec(ctx)
		})
		same(t, w.ask("olga", "%s", query), `{"user":{"effectivePermissions":[]}}`)
	})
}

// TestJudgingUsersIsForAFewGroups: what is judged group by group is refused in a list of groups, before anything of it
// is executed.
func TestJudgingUsersIsForAFewGroups(t *testing.T) {
	w := company(t, testdb.SQLite(t), func(c *graph.Config) { c.Limits = graph.DefaultLimits() })
	if got := w.refused(w.as("olga"), `{ groups(first: 25) { nodes { effectiveUsers { nodes { user { name } } } } } }`, nil); got["code"] != "QUERY_TOO_COMPLEX" {
		t.Errorf("got %v", got)
	}
	w.ask("olga", `{ groups(first: 5) { nodes { effectiveUsers { nodes { user { name } permissions } } } } }`)
}
