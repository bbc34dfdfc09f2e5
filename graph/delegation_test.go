package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/graph"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

// branch is the company, with a branch manager made from the template by the administrator and granted at sales: mia,
// whose home is elsewhere, so that the grant is a fixed one.
func branch(t testing.TB, db *store.DB, change ...func(*graph.Config)) *world {
	t.Helper()
	w := company(t, db, change...)
	w.user("mia", "support")
	var made struct {
		CreateRole struct{ Role struct{ ID string } }
	}
	w.decode(w.ask("adam", `mutation { createRole(input: {name: "Branch Manager", template: BRANCH_MANAGER}) { role { id } } }`), &made)
	w.ask("adam", `mutation { grantRole(input: {userId: "%s", roleId: "%s", groupId: "%s", reason: "runs sales"}) { grant { inForce } } }`,
		w.id(relay.KindUser, "mia"), made.CreateRole.Role.ID, w.id(relay.KindGroup, "sales"))
	return w
}

// decode reads an answer.
func (w *world) decode(answer string, into any) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		w.t.Fatal(err)
	}
}

// TestABranchManagesItself: everything that its manager sees is cut to the branch, and what they do stays in it.
func TestABranchManagesItself(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := branch(t, db, func(c *graph.Config) { c.Directory.Handover = c.Desk })
		// Her own home group is support; the branch is what is at or below sales.
		for query, want := range map[string]string{
			`{ groups { totalCount nodes { name } } }`:                                      `{"groups":{"totalCount":4,"nodes":[{"name":"sales"},{"name":"north"},{"name":"south"},{"name":"support"}]}}`,
			`{ users { totalCount nodes { name } } }`:                                       `{"users":{"totalCount":5,"nodes":[{"name":"ana"},{"name":"bruno"},{"name":"carla"},{"name":"mia"},{"name":"sue"}]}}`,
			`{ users(search: "a@example") { totalCount } }`:                                 `{"users":{"totalCount":3}}`,
			`{ contacts { totalCount nodes { name } } }`:                                    `{"contacts":{"totalCount":3,"nodes":[{"name":"Max"},{"name":"Lee"},{"name":"Kim"}]}}`,
			`{ rootGroup { name } }`:                                                        `{"rootGroup":null}`,
			`{ contacts(search: "Nil") { totalCount } }`:                                    `{"contacts":{"totalCount":0}}`,
			`{ grantExpiries { totalCount } }`:                                              `{"grantExpiries":{"totalCount":0}}`,
			`{ users(search: "sue") { nodes { grants { role { key } group { name } } } } }`: `{"users":{"nodes":[{"grants":[{"role":{"key":"DASHBOARD_ADMINISTRATOR"},"group":{"name":"sales"}}]}]}}`,
		} {
			same(t, w.ask("mia", "%s", query), want)
		}

		// She invites, gives, takes and moves within the branch …
		invite := func(home, role string) string {
			return fmt.Sprintf(`mutation { inviteUser(input: {name: "New", email: "new.%s@example.com", homeGroupId: "%s", roleIds: ["%s"], reason: "grows"}) { user { name } } }`,
				home, w.id(relay.KindGroup, home), w.id(relay.KindRole, role))
		}
		same(t, w.ask("mia", "%s", invite("south", authz.RoleAgent)), `{"inviteUser":{"user":{"name":"New"}}}`)
		same(t, w.ask("mia", `mutation { grantRole(input: {userId: "%s", roleId: "%s", groupId: "%s"}) { grant { group { name } } } }`,
			w.id(relay.KindUser, "carla"), w.id(relay.KindRole, authz.RoleDashboardAdministrator), w.id(relay.KindGroup, "north")), `{"grantRole":{"grant":{"group":{"name":"north"}}}}`)
		same(t, w.ask("mia", `mutation { moveUser(input: {userId: "%s", homeGroupId: "%s"}) { user { homeGroup { name } } } }`,
			w.id(relay.KindUser, "ana"), w.id(relay.KindGroup, "south")), `{"moveUser":{"user":{"homeGroup":{"name":"south"}}}}`)
		same(t, w.ask("mia", `mutation { revokeRole(input: {grantId: "%s"}) { grant { inForce } } }`, w.id(relay.KindRoleGrant, "bruno AGENT")), `{"revokeRole":{"grant":{"inForce":false}}}`)
		same(t, w.ask("mia", `mutation { deactivateUser(input: {userId: "%s"}) { user { status } } }`, w.id(relay.KindUser, "bruno")), `{"deactivateUser":{"user":{"status":"DEACTIVATED"}}}`)

		// … and nowhere else, nor more than her role lists.
		for _, c := range []struct{ mutation, want string }{
			{invite("support", authz.RoleAgent), "FORBIDDEN USERS_INVITE"}, // her home group, which she sees and does not manage
			{invite("root", authz.RoleAgent), "NOT_FOUND"},
			{invite("north", authz.RoleAdministrator), "FORBIDDEN"},
			{`mutation { grantRole(input: {userId: "` + w.id(relay.KindUser, "dora") + `", roleId: "` + w.id(relay.KindRole, authz.RoleAgent) + `"}) { grant { id } } }`, "NOT_FOUND"},
			{`mutation { grantRole(input: {userId: "` + w.id(relay.KindUser, "ana") + `", roleId: "` + w.id(relay.KindRole, authz.RoleAgent) + `", groupId: "` + w.id(relay.KindGroup, "support") + `"}) { grant { id } } }`, "FORBIDDEN ROLES_ASSIGN"},
			{`mutation { grantRole(input: {userId: "` + w.id(relay.KindUser, "mia") + `", roleId: "` + w.id(relay.KindRole, authz.RoleAgent) + `", groupId: "` + w.id(relay.KindGroup, "sales") + `"}) { grant { id } } }`, "FORBIDDEN ROLES_ASSIGN"}, // her own record is in support
			{`mutation { moveUser(input: {userId: "` + w.id(relay.KindUser, "ana") + `", homeGroupId: "` + w.id(relay.KindGroup, "support") + `"}) { user { id } } }`, "FORBIDDEN USERS_EDIT"},
			{`mutation { revokeRole(input: {grantId: "` + w.id(relay.KindRoleGrant, "dora AGENT") + `"}) { grant { id } } }`, "NOT_FOUND"},
			{`mutation { moveGroup(input: {groupId: "` + w.id(relay.KindGroup, "north") + `", parentId: "` + w.id(relay.KindGroup, "south") + `"}) { group { id } } }`, "FORBIDDEN GROUPS_MOVE"},
			{`{ roleGrants { totalCount } }`, "FORBIDDEN ROLES_VIEW"},
			{`{ auditEvents { totalCount } }`, "FORBIDDEN AUDIT_VIEW"},
			{`mutation { createRole(input: {name: "Mine", template: AUDITOR}) { role { id } } }`, "FORBIDDEN ROLES_MANAGE"},
		} {
			code, permission, _ := strings.Cut(c.want, " ")
			if got := w.refused(w.as("mia"), c.mutation, nil); got["code"] != code || permission != "" && got["permission"] != permission {
				t.Errorf("%s: %v, want %s", c.mutation, got, c.want)
			}
		}

		// Behind a wall the branch ends.
		w.ask("adam", `mutation { updateGroup(input: {groupId: "%s", visibility: RESTRICTED}) { group { name } } }`, w.id(relay.KindGroup, "south"))
		same(t, w.ask("mia", "%s", `{ groups { nodes { name } } users(search: "carla") { totalCount } contacts(search: "Max") { totalCount } }`),
			`{"groups":{"nodes":[{"name":"sales"},{"name":"north"},{"name":"support"}]},"users":{"totalCount":0},"contacts":{"totalCount":0}}`)
	})
}

// TestGrantExpiries lists by end, in the period, what the asker may see and revoke.
func TestGrantExpiries(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		moment := now
		later := func() time.Time { return moment }
		w := branch(t, db, func(c *graph.Config) { c.Now, c.Directory.Now, c.Desk.Now = later, later, later })
		ends := func(grant string, at time.Time) {
			w.write(func(ctx context.Context, tx *ent.Tx) error {
				return tx.RoleGrant.UpdateOneID(w.ids[grant]).SetValidUntil(at).Exec(ctx)
			})
		}
		day := 24 * time.Hour
		ends("ana AGENT", now.Add(day))
		ends("bruno AGENT", now.Add(30*day))                  // the first moment that is not in the period
		ends("carla AGENT", now.Add(30*day-time.Microsecond)) // the last one that is
		ends("dora AGENT", now.Add(2*day))                    // not mia's
		ends("sue DASHBOARD_ADMINISTRATOR", now.Add(3*day))   // and revoked
		w.ask("adam", `mutation { revokeRole(input: {grantId: "%s"}) { grant { id } } }`, w.id(relay.KindRoleGrant, "sue DASHBOARD_ADMINISTRATOR"))
		list := func(viewer, args string) string {
			return w.ask(viewer, "%s", `{ grantExpiries`+args+` { totalCount nodes { user { name } inForce } } }`)
		}
		same(t, list("adam", ""), `{"grantExpiries":{"totalCount":3,"nodes":[{"user":{"name":"ana"},"inForce":true},{"user":{"name":"dora"},"inForce":true},{"user":{"name":"carla"},"inForce":true}]}}`)
		same(t, list("mia", ""), `{"grantExpiries":{"totalCount":2,"nodes":[{"user":{"name":"ana"},"inForce":true},{"user":{"name":"carla"},"inForce":true}]}}`)
		moment = now.Add(8 * day)
		same(t, list("mia", ""), `{"grantExpiries":{"totalCount":3,"nodes":[{"user":{"name":"ana"},"inForce":false},{"user":{"name":"carla"},"inForce":true},{"user":{"name":"bruno"},"inForce":true}]}}`)
		moment = now.Add(8*day + time.Microsecond) // ana's ended a microsecond more than a week ago
		same(t, list("mia", "(first: 1)"), `{"grantExpiries":{"totalCount":2,"nodes":[{"user":{"name":"carla"},"inForce":true}]}}`)
		same(t, list("mia", `(from: "2027-03-02T09:00:00Z", until: "2027-03-02T09:00:00.000001Z")`), `{"grantExpiries":{"totalCount":1,"nodes":[{"user":{"name":"ana"},"inForce":false}]}}`)
		if got := w.refused(w.as("mia"), `{ grantExpiries(from: "2027-03-02T09:00:00Z", until: "2027-03-02T09:00:00Z") { totalCount } }`, nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "until" {
			t.Errorf("an empty period is answered by %v", got)
		}
		if got := w.refused(w.as("ana"), `{ grantExpiries { totalCount } }`, nil); got["permission"] != "ROLES_ASSIGN" {
			t.Errorf("ana hears %v", got)
		}

		// Somebody else extends a grant by giving the role anew; nobody extends their own.
		moment = now
		again := func(viewer string) map[string]any {
			return w.refused(w.as(viewer), fmt.Sprintf(`mutation { grantRole(input: {userId: "%s", roleId: "%s", reason: "stays on"}) { grant { validUntil } } }`,
				w.id(relay.KindUser, "ana"), w.id(relay.KindRole, authz.RoleAgent)), nil)
		}
		if got := again("ana"); got["code"] != "NOT_FOUND" && got["code"] != "FORBIDDEN" {
			t.Errorf("ana extends her own grant: %v", got)
		}
		same(t, w.ask("mia", `mutation { grantRole(input: {userId: "%s", roleId: "%s", reason: "stays on"}) { grant { validUntil inForce } } }`,
			w.id(relay.KindUser, "ana"), w.id(relay.KindRole, authz.RoleAgent)), `{"grantRole":{"grant":{"validUntil":null,"inForce":true}}}`)
		w.grant("adam", authz.RoleAdministrator, "root")
		ends("adam ADMINISTRATOR", now.Add(day))
		if got := w.refused(w.as("adam"), fmt.Sprintf(`mutation { grantRole(input: {userId: "%s", roleId: "%s"}) { grant { id } } }`,
			w.id(relay.KindUser, "adam"), w.id(relay.KindRole, authz.RoleAdministrator)), nil); got["reason"] != "OWN_ACCESS" {
			t.Errorf("adam extends his own grant: %v", got)
		}
	})
}
