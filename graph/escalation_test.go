package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

// TestEscalationPlays are the ways by which somebody with a little access tries to come by more. Each play is refused, and
// whatever it aimed at stays out of reach.
func TestEscalationPlays(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := branch(t, db)
		// max may move groups and users everywhere, and see the people of sales: who he moves there he would see.
		w.role("Mover", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeAccount}, authz.Pair{Permission: authz.GroupsMove, Scope: authz.ScopeAccount},
			authz.Pair{Permission: authz.GroupsEdit, Scope: authz.ScopeAccount}, authz.Pair{Permission: authz.GroupsDelete, Scope: authz.ScopeAccount})
		w.user("max", "root")
		w.grant("max", "Mover", "root")
		w.role("People", authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.UsersEdit, Scope: authz.ScopeSubtree},
			authz.Pair{Permission: authz.ConversationsView, Scope: authz.ScopeSubtree})
		w.grant("max", "People", "sales")
		group := func(name string) string { return w.id(relay.KindGroup, name) }
		user := func(name string) string { return w.id(relay.KindUser, name) }
		role := func(name string) string { return w.id(relay.KindRole, name) }

		for _, c := range []struct{ play, who, request, code, reason string }{
			{"re-parenting a group under one's own to gain its members", "max",
				`moveGroup(input: {groupId: "` + group("support") + `", parentId: "` + group("sales") + `"})`, "FORBIDDEN", "GAINS_ACCESS"},
			{"re-parenting one's own group under another to look up its queue", "max",
				`moveGroup(input: {groupId: "` + group("vault") + `", parentId: "` + group("north") + `"})`, "", ""}, // walled: nothing is gained
			{"opening a wall to look into it", "max",
				`updateGroup(input: {groupId: "` + group("vault") + `", visibility: INHERITED})`, "FORBIDDEN", "GAINS_ACCESS"},
			{"deleting a group so that its contacts fall to one's own", "max",
				`deleteGroup(input: {groupId: "` + group("support") + `", successorId: "` + group("sales") + `"})`, "FORBIDDEN", "GAINS_ACCESS"},
			{"joining a group that confers a right", "mia",
				`moveUser(input: {userId: "` + user("mia") + `", homeGroupId: "` + group("sales") + `"})`, "FORBIDDEN", ""}, // USERS_EDIT does not reach her own record
			{"joining a group that confers a right, as somebody who may move everybody", "adam",
				`moveUser(input: {userId: "` + user("adam") + `", homeGroupId: "` + group("sales") + `"})`, "FORBIDDEN", "OWN_ACCESS"},
			{"moving an accomplice whose roles one may not give", "max",
				`moveUser(input: {userId: "` + user("ana") + `", homeGroupId: "` + group("south") + `"})`, "FORBIDDEN", "RANK"},
			{"removing a right from somebody with more", "adam",
				`revokeRole(input: {grantId: "` + w.id(relay.KindRoleGrant, "olga OWNER") + `"})`, "FORBIDDEN", "RANK"},
			{"taking over somebody with more by the password", "adam",
				`resetPassword(input: {userId: "` + user("olga") + `"})`, "FORBIDDEN", "RANK"},
			{"the second of several roles unchecked", "mia",
				`inviteUser(input: {name: "X", email: "x@example.com", homeGroupId: "` + group("north") + `", roleIds: ["` + role(authz.RoleAgent) + `", "` + role(authz.RoleOwner) + `"]})`, "FORBIDDEN", "MAY_NOT_GIVE"},
			{"the second of several ids unchecked", "mia",
				`importRecords(input: {kind: USERS, format: JSON_LINES, data: "{\"name\":\"A\",\"email\":\"a1@example.com\",\"home\":[\"sales\"]}\n{\"name\":\"B\",\"email\":\"b1@example.com\",\"home\":[\"vault\"]}"})`, "rows", ""},
			{"giving oneself what one may give to others", "adam",
				`grantRole(input: {userId: "` + user("adam") + `", roleId: "` + role(authz.RoleBillingManager) + `"})`, "FORBIDDEN", "OWN_ACCESS"},
			{"giving more than one's role lists", "adam",
				`grantRole(input: {userId: "` + user("max") + `", roleId: "` + role(authz.RoleOwner) + `"})`, "FORBIDDEN", "MAY_NOT_GIVE"},
			{"making a role of more than one may give", "adam",
				`createRole(input: {name: "All", pairs: [{permission: BILLING_VIEW, scope: ACCOUNT}, {permission: ACCOUNT_DELETE, scope: ACCOUNT}]})`, "FORBIDDEN", "WIDER_THAN_AUTHOR"},
			{"cloning a role of more than one may give", "adam",
				`cloneRole(input: {roleId: "` + role(authz.RoleOwner) + `", name: "All"})`, "FORBIDDEN", "WIDER_THAN_AUTHOR"},
			{"changing what a built-in role holds", "olga",
				`updateRole(input: {roleId: "` + role(authz.RoleAgent) + `", name: "Mine"})`, "FORBIDDEN", "BUILT_IN_ROLE"},
		} {
			t.Run(c.play, func(t *testing.T) {
				if c.code == "rows" { // the row that is within reach is imported, the other one is not
					same(t, w.ask(c.who, "mutation { %s { created refused } }", c.request), `{"importRecords":{"created":1,"refused":1}}`)
					return
				}
				if c.code == "" {
					w.ask(c.who, "mutation { %s { __typename } }", c.request)
					return
				}
				got := w.refused(w.as(c.who), "mutation { "+c.request+" { __typename } }", nil)
				if reason, _ := got["reason"].(string); got["code"] != c.code || reason != c.reason {
					t.Errorf("got %v, want %s %s", got, c.code, c.reason)
				}
			})
		}
	})
}

// TestRolesAreNoWayUp are the plays with roles themselves: what is refused as a grant is refused as an edit, as a successor,
// as a list of what may be given, and in an import.
func TestRolesAreNoWayUp(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := branch(t, db)
		role := func(name string) string { return w.id(relay.KindRole, name) }
		create := func(name, mayGive string) {
			var made struct {
				CreateRole struct{ Role struct{ ID string } }
			}
			w.decode(w.ask("olga", "%s", `mutation { createRole(input: {name: "`+name+`", mayGive: [`+mayGive+`], pairs: [
				{permission: USERS_VIEW, scope: ACCOUNT}, {permission: ROLES_ASSIGN, scope: ACCOUNT}]}) { role { id } } }`), &made)
			w.ids[name] = relay.ParseID(made.CreateRole.Role.ID).As(relay.KindRole)
		}
		create("Kingmaker", `"`+role(authz.RoleOwner)+`"`)
		create("Kingmaker's Maker", `"`+role("Kingmaker")+`"`)
		for _, name := range []string{"Mine", "Mine Tomorrow", "Olga's", "Plain"} {
			w.role(name, authz.Pair{Permission: authz.AnalyticsView, Scope: authz.ScopeAccount}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeAccount})
		}
		w.grant("adam", "Mine", "root")
		w.grant("olga", "Olga's", "root")
		w.grant("ana", "Plain", "root")
		w.ask("olga", `mutation { grantRole(input: {userId: "%s", roleId: "%s", validFrom: "2027-03-02T09:00:00Z"}) { grant { id } } }`,
			w.id(relay.KindUser, "adam"), role("Mine Tomorrow"))

		edit := func(name, change string) string {
			return `updateRole(input: {roleId: "` + role(name) + `", ` + change + `})`
		}
		wider := `pairs: [{permission: ANALYTICS_VIEW, scope: ACCOUNT}, {permission: GROUPS_VIEW, scope: ACCOUNT}, {permission: INVOICES_VIEW, scope: ACCOUNT}]`
		for _, c := range []struct{ play, request, reason string }{
			{"widening the role that one holds", edit("Mine", wider), "OWN_ACCESS"},
			{"widening the role that one is to hold", edit("Mine Tomorrow", wider), "OWN_ACCESS"},
			{"listing more in the role that one holds", edit("Mine", `mayGive: ["`+role(authz.RoleBillingManager)+`"]`), "OWN_ACCESS"},
			{"deleting one's role in favour of a better one", `deleteRole(input: {roleId: "` + role("Mine") + `", successorId: "` + role(authz.RoleBillingManager) + `"})`, "OWN_ACCESS"},
			{"deleting a role in favour of one that one may not give", `deleteRole(input: {roleId: "` + role("Plain") + `", successorId: "` + role(authz.RoleOwner) + `"})`, "MAY_NOT_GIVE"},
			{"emptying a role under somebody with more", edit("Olga's", `pairs: [{permission: ANALYTICS_VIEW, scope: ACCOUNT}]`), "RANK"},
			{"deleting a role under somebody with more", `deleteRole(input: {roleId: "` + role("Olga's") + `", successorId: "` + role(authz.RoleAgent) + `"})`, "RANK"},
			{"editing a role to more than one may give", edit("Plain", `pairs: [{permission: CONTACTS_EXPORT, scope: ACCOUNT}, {permission: CONTACTS_VIEW, scope: ACCOUNT}]`), "WIDER_THAN_AUTHOR"},
			{"listing a role that one may not give", edit("Plain", `mayGive: ["`+role(authz.RoleOwner)+`"]`), "MAY_NOT_GIVE"},
			{"listing a role that lists one that one may not give", edit("Plain", `mayGive: ["`+role("Kingmaker's Maker")+`"]`), "MAY_NOT_GIVE"},
			{"cloning a role that lists one that one may not give", `cloneRole(input: {roleId: "` + role("Kingmaker") + `", name: "K2"})`, "MAY_NOT_GIVE"},
			{"cloning the end of a chain that leads there", `cloneRole(input: {roleId: "` + role("Kingmaker's Maker") + `", name: "K3"})`, "MAY_NOT_GIVE"},
			{"giving an accomplice the end of that chain", `grantRole(input: {userId: "` + w.id(relay.KindUser, "dora") + `", roleId: "` + role("Kingmaker's Maker") + `"})`, "MAY_NOT_GIVE"},
		} {
			t.Run(c.play, func(t *testing.T) {
				if got := w.refused(w.as("adam"), "mutation { "+c.request+" { __typename } }", nil); got["code"] != "FORBIDDEN" || got["reason"] != c.reason {
					t.Errorf("got %v, want %s", got, c.reason)
				}
			})
		}

		// An import is as narrow as an invitation: each row for itself.
		records := func(viewer string, rows ...string) string {
			return w.run(w.as(viewer), `mutation ($data: String!) { importRecords(input: {kind: USERS, format: JSON_LINES, data: $data}) { created refused } }`,
				map[string]any{"data": strings.Join(rows, "\n")})
		}
		same(t, records("mia", `{"name":"A","email":"a1@example.com","home":["sales","north"],"grants":[{"role":"AGENT"}]}`,
			`{"name":"B","email":"b1@example.com","home":["sales","north"],"grants":[{"role":"AGENT"},{"role":"ADMINISTRATOR"}]}`,
			`{"name":"C","email":"c1@example.com","home":["sales","north"],"grants":[{"role":"AGENT","group":["support"]}]}`,
			`{"name":"D","email":"d1@example.com","home":["sales","north"],"grants":[{"role":"DASHBOARD_ADMINISTRATOR","group":[]}]}`,
			`{"name":"E","email":"e1@example.com","home":["sales","north"],"grants":[{"role":"Branch Manager"}]}`), `{"data":{"importRecords":{"created":1,"refused":4}}}`)
	})
}

// TestCustomRolesOffAndOn: while they are off they give nothing and nobody makes or gives any; turning them on gives back
// what was there and no more, and takes SETTINGS_EDIT.
func TestCustomRolesOffAndOn(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := branch(t, db)
		turn := func(on bool) string {
			return fmt.Sprintf(`mutation { updateAccount(input: {customRolesEnabled: %t}) { __typename } }`, on)
		}
		before := w.ask("mia", "%s", `{ groups { totalCount } users { totalCount } contacts { totalCount } }`)
		if got := w.refused(w.as("mia"), turn(false), nil); got["permission"] != "SETTINGS_EDIT" {
			t.Errorf("mia turns custom roles off: %v", got)
		}
		w.ask("adam", "%s", turn(false))
		same(t, w.ask("mia", "%s", `{ groups { nodes { name } } viewer { permissions } }`), `{"groups":{"nodes":[{"name":"support"}]},"viewer":{"permissions":[]}}`)
		if got := w.refused(w.as("mia"), turn(true), nil); got["permission"] != "SETTINGS_EDIT" {
			t.Errorf("mia turns custom roles on: %v", got)
		}
		for _, request := range []string{
			`createRole(input: {name: "New", template: AUDITOR})`,
			`cloneRole(input: {roleId: "` + w.id(relay.KindRole, authz.RoleAgent) + `", name: "New"})`,
		} {
			if got := w.refused(w.as("olga"), "mutation { "+request+" { __typename } }", nil); got["reason"] != "CUSTOM_ROLES_OFF" {
				t.Errorf("%s: %v", request, got)
			}
		}
		w.ask("adam", "%s", turn(true))
		same(t, w.ask("mia", "%s", `{ groups { totalCount } users { totalCount } contacts { totalCount } }`), before)
	})
}

// TestNobodyIsWalledOutForGood: a branch that makes itself private is still seen by whoever holds the account, who can open it.
func TestNobodyIsWalledOutForGood(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := branch(t, db)
		w.role("Editor", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsEdit, Scope: authz.ScopeSubtree})
		w.grant("carla", "Editor", "north")
		visibility := func(to string) string {
			return `mutation { updateGroup(input: {groupId: "` + w.id(relay.KindGroup, "north") + `", visibility: ` + to + `}) { __typename } }`
		}
		w.ask("carla", "%s", visibility("RESTRICTED"))
		for viewer, want := range map[string]string{
			"mia": `{"contacts":{"totalCount":0}}`, "sue": `{"contacts":{"totalCount":0}}`, "olga": `{"contacts":{"totalCount":1}}`,
		} {
			same(t, w.ask(viewer, "%s", `{ contacts(search: "Kim") { totalCount } }`), want)
		}
		for _, viewer := range []string{"olga", "adam"} {
			same(t, w.ask(viewer, `{ group(id: "%s") { name } }`, w.id(relay.KindGroup, "north")), `{"group":{"name":"north"}}`)
			w.ask(viewer, "%s", visibility("INHERITED"))
			w.ask(viewer, "%s", visibility("RESTRICTED"))
		}
		if got := w.refused(w.as("mia"), visibility("INHERITED"), nil); got["code"] != "NOT_FOUND" {
			t.Errorf("mia opens a wall that she does not see behind: %v", got)
		}
	})
}

// TestReverseEdgesTellNoMore goes at hidden things backwards: from what everybody sees to what hangs on it.
func TestReverseEdgesTellNoMore(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := branch(t, db)
		// From the role to its holders: the role is visible to all, its holders are not.
		if got := w.refused(w.as("mia"), fmt.Sprintf(`{ users(roleId: "%s") { nodes { name } } }`, w.id(relay.KindRole, authz.RoleOwner)), nil); got["permission"] != "ROLES_VIEW" {
			t.Errorf("role → users: %v", got)
		}
		// From a visible group to grants that stand there, of a user in another branch.
		w.grant("dora", authz.RoleBillingManager, "north")
		same(t, w.ask("sue", `{ group(id: "%s") { agents { nodes { name } } } }`, w.id(relay.KindGroup, "north")), `{"group":{"agents":{"nodes":[{"name":"ana"},{"name":"bruno"}]}}}`)
		if got := w.refused(w.as("sue"), fmt.Sprintf(`{ roleGrants(groupId: "%s") { nodes { id } } }`, w.id(relay.KindGroup, "north")), nil); got["permission"] != "ROLES_VIEW" {
			t.Errorf("group → grants: %v", got)
		}
		// Who assigns roles there sees the grant, which is theirs to revoke, and not its holder.
		same(t, w.ask("mia", `{ node(id: "%s") { ... on RoleGrant { role { key } group { name } user { name } } } }`, w.id(relay.KindRoleGrant, "dora BILLING_MANAGER north")),
			`{"node":{"role":{"key":"BILLING_MANAGER"},"group":{"name":"north"},"user":null}}`)
		// From a colleague's card, and from a contact, to the group that is behind them.
		same(t, w.ask("ana", `{ contact(id: "%s") { group { name parent { name } } arrivalGroup { name } } }`, w.id(relay.KindContact, "Kim")),
			`{"contact":{"group":{"name":"north","parent":null},"arrivalGroup":{"name":"north"}}}`)
	})
}

// TestACursorOfSomebodyElseTellsNothing continues the list of one viewer as another one.
func TestACursorOfSomebodyElseTellsNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := branch(t, db)
		var page struct {
			Users, Groups struct{ Edges []struct{ Cursor string } }
		}
		w.decode(w.ask("olga", "%s", `{ users(first: 200) { edges { cursor } } groups(first: 200) { edges { cursor } } }`), &page)
		if len(page.Users.Edges) < 10 || len(page.Groups.Edges) != 7 {
			t.Fatalf("olga sees %+v", page)
		}
		seen := map[string]bool{}
		for _, e := range page.Users.Edges {
			seen[w.ask("mia", `{ users(first: 200, after: "%s") { nodes { name } } }`, e.Cursor)] = true
		}
		for answer := range seen {
			for _, hidden := range []string{"olga", "adam", "dora", "vera", "vic"} {
				if strings.Contains(answer, `"`+hidden+`"`) {
					t.Errorf("mia is shown %s: %s", hidden, answer)
				}
			}
		}
		// A place in the tree that one does not see is no place to continue from, whether or not there is a group.
		refusals := map[string]bool{}
		for _, e := range append(page.Groups.Edges, struct{ Cursor string }{"bm9uc2Vuc2U"}) {
			answer := w.run(w.as("ana"), fmt.Sprintf(`{ groups(after: "%s") { nodes { name } } }`, e.Cursor), nil)
			if strings.Contains(answer, "errors") {
				refusals[answer] = true
			} else {
				same(t, answer, `{"data":{"groups":{"nodes":[]}}}`)
			}
		}
		if len(refusals) != 1 {
			t.Errorf("foreign cursors are refused in %d ways: %v", len(refusals), refusals)
		}
	})
}
