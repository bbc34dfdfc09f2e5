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

// budgets are queries with the number of statements that they take, whatever the number of rows.
var budgets = []struct {
	name, query string
	statements  int
}{
	{"branch with users", `{ rootGroup { descendants(first: 200) { nodes { name depth users(first: 5) { nodes { name } } } } } }`, 3},
	{"edges as nodes", `{ rootGroup { children(first: 200) { edges { cursor node { users { edges { node { name homeGroup { name } } } } } } } } }`, 4},
	{"counts and totals", `{ groups(first: 200) { totalCount nodes { childCount descendantCount totals { users contacts open waiting closed } } } }`, 5},
	{"totals of connections", `{ groups(first: 200) { nodes { children { totalCount } descendants { totalCount } users { totalCount } agents { totalCount } } } }`, 9},
	{"settings", `{ groups(first: 200) { nodes { settings { sharedInbox { value own setBy { name } } capacity { setBy { name } } closeAfter { setBy { name } } } } } }`, 5},
	{"ancestors and parents", `{ groups(first: 200) { nodes { ancestors { name } parent { parent { name } } } } }`, 4},
	{"agents", `{ agents(first: 200) { nodes { name load capacity homeGroup { name viewerPermissions } } } }`, 5},
	{"users with access", `{ users(first: 200) { nodes { name roles { name } grants { role { name } group { name } grantedBy { name } } agent { load } } } }`, 10},
	{"roles", `{ roles { name pairs { permission scope } mayGive { name } } }`, 4},
	{"inbox", `{ contacts(first: 200) { nodes { name phone email masked group { name } agent { name } viewerPermissions conversation { number agent { name } } } } }`, 6},
	{"who can", `{ whoCan(permission: GROUPS_VIEW, first: 200) { nodes { user { name homeGroup { name } } paths { way grant { role { name } group { name } grantedBy { name } } } } } }`, 13},
	{"effective users", `{ rootGroup { effectiveUsers(first: 200) { nodes { user { name homeGroup { name } } permissions } } } }`, 12},
	{"effective permissions", `{ users(first: 5) { nodes { name effectivePermissions { permission paths { way grant { role { name } } } } } } }`, 9},
	{"panel", `{ agentPanel(groupId: "` + relay.NewID(relay.KindGroup, 1).String() + `", below: true) { queue { waiting } heldByLeavers
		agents(first: 200) { nodes { agent { name homeGroup { name } } state load capacity { value setBy { name } } lastActivityAt } } } }`, 10},
	{"report", `{ groupReport(groupId: "` + relay.NewID(relay.KindGroup, 1).String() + `", from: "2027-02-01T00:00:00Z", to: "2027-04-01T00:00:00Z") {
		total { open } groups { group { name } numbers { open } } agents { agent { name load } numbers { taken } } } }`, 9},
	{"contacts with service", `{ contacts(first: 200) { nodes { conversations { nodes { messages(first: 3) { nodes { text author { name } } } } } assignments { nodes { agent { name } } } } } }`, 5},
}

// TestStatementsDoNotGrowWithRows is the promise of the look-ahead.
func TestStatementsDoNotGrowWithRows(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		for _, more := range []int{0, 10, 200} {
			w.grow(more)
			w.stays()
			for _, b := range budgets {
				if n := w.statements("olga", b.query); n != b.statements {
					t.Errorf("%s, %d more: %d statements, want %d:\n%s", b.name, more, n, b.statements, strings.Join(testdb.Statements(db).List(), "\n"))
				}
			}
		}
	})
}

// TestStatementsOfSomebodyWhoSeesLess asks the same of a supervisor, for whom hidden groups end some ways.
func TestStatementsOfSomebodyWhoSeesLess(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.grow(200)
	for _, b := range budgets {
		if n := w.statements("sue", b.query); n > b.statements {
			t.Errorf("%s: %d statements, more than %d", b.name, n, b.statements)
		}
	}
}

// grow adds groups with a user, a contact and its conversation each.
func (w *world) grow(n int) {
	w.t.Helper()
	for i := range n {
		name := fmt.Sprintf("team %d of %d", i, n)
		w.groups("sales", false, name)
		w.user("agent of "+name, name, authz.RoleAgent)
		w.contact("contact of "+name, name, "agent of "+name)
	}
}
