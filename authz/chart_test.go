package authz_test

import (
	"fmt"
	"strings"
	"testing"

	"canopy/authz"
)

// chart is the chart of section 3 of the domain, copied by hand. OWNER, which holds everything at ACCOUNT, is left out.
const chart = `
| module | permission | ADMINISTRATOR | DASHBOARD_ADMINISTRATOR | BILLING_MANAGER | AGENT | DEVELOPER |
| SERVICE | CONVERSATIONS_VIEW | | SUBTREE | | TEAM | |
| | CONVERSATIONS_OPEN | | SUBTREE | | GROUP | |
| | CONVERSATIONS_REPLY | | | | ASSIGNED | |
| | CONVERSATIONS_TRANSFER | | SUBTREE | | ASSIGNED | |
| | CONVERSATIONS_CLOSE | | SUBTREE | | ASSIGNED | |
| | CONVERSATIONS_ASSIGN | | SUBTREE | | | |
| | QUEUE_VIEW | | SUBTREE | | QUEUE | |
| | QUEUE_CLAIM | | | | QUEUE | |
| | CUSTOMER_DATA_VIEW | | SUBTREE | | ASSIGNED | |
| CONTACTS | CONTACTS_VIEW | | SUBTREE | | | |
| | CONTACTS_CREATE | | SUBTREE | | | |
| | CONTACTS_EDIT | | SUBTREE | | | |
| | CONTACTS_DELETE | | SUBTREE | | | |
| | CONTACTS_IMPORT, CONTACTS_EXPORT | | | | | |
| DASHBOARDS | DASHBOARDS_VIEW | ACCOUNT | SUBTREE | | | |
| | AGENT_PANEL_VIEW | ACCOUNT | SUBTREE | | | |
| | AGENT_SETTINGS_EDIT | ACCOUNT | SUBTREE | | | |
| | GROUPS_VIEW | ACCOUNT | SUBTREE | | | |
| | GROUPS_CREATE | ACCOUNT | SUBTREE | | | |
| | INBOX_SETTINGS_EDIT | ACCOUNT | SUBTREE | | | |
| ANALYTICS | ANALYTICS_VIEW | ACCOUNT | SUBTREE | | | |
| BROADCASTS | BROADCASTS_VIEW, BROADCASTS_MANAGE | | | | | |
| GROUPS_AND_USERS | GROUPS_EDIT, GROUPS_MOVE, GROUPS_DELETE | ACCOUNT | | | | |
| | USERS_VIEW, USERS_INVITE, USERS_EDIT, USERS_DEACTIVATE | ACCOUNT | | | | |
| | USERS_DELETE | | | | | |
| | ROLES_VIEW, ROLES_ASSIGN, ROLES_MANAGE | ACCOUNT | | | | |
| SETTINGS | SETTINGS_VIEW, SETTINGS_EDIT, ACCOUNT_STATUS_VIEW | ACCOUNT | | | | |
| | ACCOUNT_DELETE, OWNERSHIP_TRANSFER | | | | | |
| BILLING | BILLING_VIEW, BILLING_EDIT, SUBSCRIPTION_MANAGE, PAYMENTS_MANAGE, INVOICES_VIEW | | | ACCOUNT | | |
| DEVELOPERS | API_KEYS_MANAGE, WEBHOOKS_MANAGE | | | | | ACCOUNT |
| | INTEGRATIONS_MANAGE | ACCOUNT | | | | ACCOUNT |
| ACCOUNTABILITY | AUDIT_VIEW, AUDIT_EXPORT, ACCESS_EXPLAIN | ACCOUNT | | | | |
| | ACCESS_REVIEW_MANAGE | ACCOUNT | | | | |
| | ACCESS_REVIEW_DECIDE | ACCOUNT | SUBTREE | | | |
`

// row is one permission of the chart.
type row struct {
	module, permission string
	scopes             map[string]string // by role
}

// rows reads the chart, one row for each permission, and adds OWNER.
func rows(t *testing.T) []row {
	t.Helper()
	var header []string
	var module string
	var all []row
	for _, line := range strings.Split(strings.TrimSpace(chart), "\n") {
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 7 {
			t.Fatalf("the chart's line %q has %d cells", line, len(cells))
		}
		if header == nil {
			header = cells
			continue
		}
		if cells[0] != "" {
			module = cells[0]
		}
		for _, permission := range strings.Split(cells[1], ", ") {
			r := row{module, permission, map[string]string{"OWNER": "ACCOUNT"}}
			for i := 2; i < len(cells); i++ {
				if cells[i] != "" {
					r.scopes[header[i]] = cells[i]
				}
			}
			all = append(all, r)
		}
	}
	return all
}

func TestTheTableIsTheChart(t *testing.T) {
	want := rows(t)
	if got := authz.Permissions(); len(got) != len(want) {
		t.Fatalf("the table has %d permissions, the chart %d", len(got), len(want))
	}
	for i, p := range authz.Permissions() {
		d := p.Definition()
		if d.Name != want[i].permission || string(d.Module) != want[i].module {
			t.Errorf("permission %d is %s of %s, in the chart it is %s of %s", i, d.Name, d.Module, want[i].permission, want[i].module)
		}
		if d.Description == "" {
			t.Errorf("%s has no description", d.Name)
		}
	}
}

// TestEveryRolePermissionAndScope asks for each combination whether the role holds it.
func TestEveryRolePermissionAndScope(t *testing.T) {
	keys := []string{"OWNER", "ADMINISTRATOR", "DASHBOARD_ADMINISTRATOR", "BILLING_MANAGER", "AGENT", "DEVELOPER"}
	roles := authz.BuiltInRoles()
	if len(roles) != len(keys) {
		t.Fatalf("there are %d built-in roles", len(roles))
	}
	for i, role := range roles {
		if role.Key != keys[i] {
			t.Errorf("role %d is %s and not %s", i, role.Key, keys[i])
		}
		for _, r := range rows(t) {
			permission, err := authz.ParsePermission(r.permission)
			if err != nil {
				t.Fatal(err)
			}
			for _, scope := range authz.Scopes() {
				holds := role.Pairs[scope].Has(permission)
				if want := r.scopes[role.Key] == scope.String(); holds != want {
					t.Errorf("%s holds %s at %s: %t, the chart says %t", role.Key, r.permission, scope, holds, want)
				}
			}
		}
	}
}

// The places of the reach table. The grant is at middle, the viewer's home is beside, below walled a grant of scope
// SUBTREE at middle does not reach:
//
//	root ─┬─ middle ─┬─ below
//	      │          └─ walled (RESTRICTED) ── behind
//	      └─ beside
//
// Assignment is MANUAL at root, middle and beside.
var (
	root   = authz.Place{GroupID: 1, Path: "000001"}
	middle = authz.Place{GroupID: 2, Path: "000001000002"}
	below  = authz.Place{GroupID: 3, Path: "000001000002000003"}
	walled = authz.Place{GroupID: 4, Path: "000001000002000004", Wall: "000001000002000004"}
	behind = authz.Place{GroupID: 5, Path: "000001000002000004000005", Wall: "000001000002000004"}
	beside = authz.Place{GroupID: 6, Path: "000001000006"}
)

const viewerID, otherID = 10, 11

// targets are everything that the reach table has a column for.
var targets = []struct {
	name   string
	target authz.Target
}{
	{"account", authz.Target{}},
	{"root", authz.AtGroup(root)},
	{"middle", authz.AtGroup(middle)},
	{"below", authz.AtGroup(below)},
	{"walled", authz.AtGroup(walled)},
	{"behind", authz.AtGroup(behind)},
	{"beside", authz.AtGroup(beside)},
	{"self", authz.AtUser(beside, viewerID)},
	{"colleague", authz.AtUser(middle, otherID)},
	{"stranger", authz.AtUser(beside, otherID)},
	{"mine", authz.AtContact(beside, viewerID)},
	{"mine behind", authz.AtContact(behind, viewerID)},
	{"other's root", authz.AtContact(root, otherID)},
	{"other's middle", authz.AtContact(middle, otherID)},
	{"other's below", authz.AtContact(below, otherID)},
	{"other's behind", authz.AtContact(behind, otherID)},
	{"waits root", authz.AtContact(root, 0)},
	{"waits middle", authz.AtContact(middle, 0)},
	{"waits below", authz.AtContact(below, 0)},
	{"waits behind", authz.AtContact(behind, 0)},
	{"waits beside", authz.AtContact(beside, 0)},
	{"offered", authz.Target{Place: beside, Contact: true, Offered: viewerID}},
	{"other's offer", authz.Target{Place: beside, Contact: true, Offered: otherID}},
}

// reaches says for each scope of a grant at middle what it reaches; "TEAM shared" is TEAM with the Shared Inbox on.
var reaches = map[string][]string{
	"SUBTREE":     {"middle", "below", "colleague", "other's middle", "other's below", "waits middle", "waits below"},
	"GROUP":       {"middle", "colleague", "other's middle", "waits middle"},
	"TEAM":        {"mine", "mine behind"},
	"TEAM shared": {"mine", "mine behind", "middle", "colleague", "other's middle", "waits middle"},
	"QUEUE":       {"waits root", "waits middle"},
	"ASSIGNED":    {"mine", "mine behind"},
	"SELF":        {"self"},
	"":            {},
}

// assigned are the targets that QUEUE_VIEW and QUEUE_CLAIM never reach (ruling 3).
var assigned = []string{"mine", "mine behind", "other's root", "other's middle", "other's below", "other's behind"}

// wantReached is whether a grant of that permission and scope reaches the target, read off the tables above.
func wantReached(permission, scope, target string, shared bool) bool {
	queue := permission == "QUEUE_VIEW" || permission == "QUEUE_CLAIM"
	if queue && has(assigned, target) {
		return false
	}
	// An offer reaches like ASSIGNED for seeing and for claiming (ruling 20).
	if target == "offered" && (queue || permission == "CONVERSATIONS_VIEW" || permission == "CONVERSATIONS_REPLY") && has([]string{"TEAM", "ASSIGNED", "QUEUE"}, scope) {
		return true
	}
	if scope == "TEAM" && shared {
		scope = "TEAM shared"
	}
	return scope == "ACCOUNT" || has(reaches[scope], target)
}

func has(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

func viewerWith(pairs authz.Pairs, shared bool) *authz.Viewer {
	return &authz.Viewer{AccountID: 1, UserID: viewerID, Home: beside, Grants: []authz.Grant{
		{Place: middle, Pairs: pairs, SharedInbox: shared, Queues: []int64{root.GroupID, middle.GroupID}}}}
}

// TestEveryPermissionAtEveryScopeReachesItsTargets holds one pair at a time.
func TestEveryPermissionAtEveryScopeReachesItsTargets(t *testing.T) {
	for _, permission := range authz.Permissions() {
		for _, scope := range authz.Scopes() {
			for _, shared := range []bool{false, true} {
				v := viewerWith(authz.PairsOf([]authz.Pair{{Permission: permission, Scope: scope}}), shared)
				for _, at := range targets {
					for _, asked := range authz.Permissions() {
						want := asked == permission && wantReached(permission.String(), scope.String(), at.name, shared)
						if got := v.Can(asked, at.target); got != want {
							t.Fatalf("%s at %s, shared inbox %t: %s for %s is %t", permission, scope, shared, asked, at.name, got)
						}
					}
				}
			}
		}
	}
}

// TestEveryBuiltInRoleReachesWhatTheChartSays is the chart and the reach table together: role × permission × target.
func TestEveryBuiltInRoleReachesWhatTheChartSays(t *testing.T) {
	for _, role := range authz.BuiltInRoles() {
		for _, shared := range []bool{false, true} {
			v := viewerWith(role.Pairs, shared)
			for _, r := range rows(t) {
				permission, _ := authz.ParsePermission(r.permission)
				for _, at := range targets {
					want := wantReached(r.permission, r.scopes[role.Key], at.name, shared)
					if got := v.Can(permission, at.target); got != want {
						t.Errorf("%s, shared inbox %t: %s for %s is %t", role.Key, shared, permission, at.name, got)
					}
				}
			}
		}
	}
}

func TestScopesCoverEachOther(t *testing.T) {
	covers := map[string]string{ // ruling 2: wider, then what it is wider than
		"ACCOUNT": "ACCOUNT SUBTREE GROUP TEAM QUEUE ASSIGNED SELF",
		"SUBTREE": "SUBTREE GROUP", "GROUP": "GROUP", "TEAM": "TEAM ASSIGNED", "QUEUE": "QUEUE", "ASSIGNED": "ASSIGNED", "SELF": "SELF",
	}
	for _, wide := range authz.Scopes() {
		for _, narrow := range authz.Scopes() {
			want := has(strings.Fields(covers[wide.String()]), narrow.String())
			if got := wide.Covers(narrow); got != want {
				t.Errorf("%s covers %s: %t", wide, narrow, got)
			}
			pair := authz.Pair{Permission: authz.ContactsView, Scope: narrow}
			held := authz.PairsOf([]authz.Pair{{Permission: authz.ContactsView, Scope: wide}})
			if got := held.Cover(pair); got != want {
				t.Errorf("pairs at %s cover %s: %t", wide, narrow, got)
			}
			if held.Cover(authz.Pair{Permission: authz.ContactsEdit, Scope: narrow}) {
				t.Errorf("one permission at %s covers another", wide)
			}
		}
	}
}

func TestNobodyCanDoNothing(t *testing.T) {
	var nobody *authz.Viewer
	for _, p := range authz.Permissions() {
		for _, at := range targets {
			if nobody.Can(p, at.target) || (&authz.Viewer{}).Can(p, at.target) {
				t.Errorf("nobody has %s for %s", p, at.name)
			}
		}
		if r := nobody.Reach(p); !r.Empty() {
			t.Errorf("nobody reaches %+v by %s", r, p)
		}
	}
	if nobody.Permissions() != 0 || nobody.Holding(root) != (authz.Holding{}) || nobody.CanAccount(authz.GroupsView) {
		t.Error("nobody holds something")
	}
}

// A viewer that is no user (an API key) has nothing assigned; what nobody serves is not its own.
func TestAViewerWithoutUserServesNothing(t *testing.T) {
	v := viewerWith(authz.PairsOf([]authz.Pair{{Permission: authz.ConversationsView, Scope: authz.ScopeAssigned}}), false)
	v.UserID = 0
	if v.Can(authz.ConversationsView, authz.AtContact(middle, 0)) {
		t.Error("an unassigned contact counts as assigned to a viewer without user")
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for _, p := range authz.Permissions() {
		text, err := p.MarshalText()
		var back authz.Permission
		if err != nil || back.UnmarshalText(text) != nil || back != p || back.UnmarshalGQL(p.String()) != nil {
			t.Errorf("%s does not survive as text", p)
		}
		var out strings.Builder
		if p.MarshalGQL(&out); out.String() != fmt.Sprintf("%q", p.String()) {
			t.Errorf("%s is %s in GraphQL", p, &out)
		}
	}
	for _, s := range authz.Scopes() {
		text, err := s.MarshalText()
		var back authz.Scope
		if err != nil || back.UnmarshalText(text) != nil || back != s || back.UnmarshalGQL(s.String()) != nil {
			t.Errorf("%s does not survive as text", s)
		}
	}
	var p authz.Permission
	var s authz.Scope
	for _, err := range []error{p.UnmarshalText([]byte("GROUPS_MOV")), p.UnmarshalGQL(3), s.UnmarshalText([]byte("")), s.UnmarshalGQL(nil)} {
		if err == nil {
			t.Error("a name that is none was accepted")
		}
	}
	if _, err := authz.Permission(0).MarshalText(); err == nil {
		t.Error("no permission has a name")
	}
	if _, err := authz.Permission(200).MarshalText(); err == nil {
		t.Error("permission 200 has a name")
	}
	if _, err := authz.Scope(200).MarshalText(); err == nil {
		t.Error("scope 200 has a name")
	}
}
