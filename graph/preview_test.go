package graph_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/graph"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"
)

// previewed is what a preview answers.
type previewed struct {
	Token                     string
	UsersGaining, UsersLosing int
	Summary                   []struct {
		Permission, Direction          string
		Holders, Groups                int
		Users, Contacts, Conversations *int
	}
	Changes struct {
		TotalCount int
		PageInfo   struct {
			HasNextPage bool
			EndCursor   *string
		}
		Nodes []struct {
			User                           *struct{ Name string }
			Permission, Direction          string
			Account, Assigned              bool
			Groups                         int
			HighestGroups                  []struct{ Name string }
			Users, Contacts, Conversations *int
		}
	}
}

const previewFields = `token usersGaining usersLosing summary { permission direction holders groups users contacts conversations }
	changes(first: 200) { totalCount pageInfo { hasNextPage endCursor }
		nodes { user { name } permission direction account assigned groups highestGroups { name } users contacts conversations } }`

// preview asks for one as the viewer.
func (w *world) preview(viewer, field, input string) previewed {
	w.t.Helper()
	var answer map[string]previewed
	raw := w.ask(viewer, "{ %s(input: {%s}) { %s } }", field, input, previewFields)
	if err := json.Unmarshal([]byte(raw), &answer); err != nil {
		w.t.Fatal(err)
	}
	return answer[field]
}

// lines are the changes, one line each.
func (p previewed) lines() string {
	var lines []string
	count := func(n *int) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	for _, c := range p.Changes.Nodes {
		name := "nobody"
		if c.User != nil {
			name = c.User.Name
		}
		line := fmt.Sprintf("%s %s %s at %d over %s/%s/%s", name, c.Direction, c.Permission, c.Groups, count(c.Users), count(c.Contacts), count(c.Conversations))
		if c.Account {
			line += " account"
		}
		if c.Assigned {
			line += " assigned"
		}
		for _, g := range c.HighestGroups {
			line += " " + g.Name
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (w *world) group(name string) string { return w.id(relay.KindGroup, name) }
func (w *world) moving(name, to string) string {
	return fmt.Sprintf(`groupId: "%s", parentId: "%s"`, w.group(name), w.group(to))
}

func (w *world) movingUser(name, to string) string {
	return fmt.Sprintf(`userId: "%s", homeGroupId: "%s"`, w.id(relay.KindUser, name), w.group(to))
}

func (w *world) granting(name, role string) string {
	return fmt.Sprintf(`userId: "%s", roleId: "%s"`, w.id(relay.KindUser, name), w.id(relay.KindRole, role))
}

func withToken(input, token string) string { return input + fmt.Sprintf(`, previewToken: %q`, token) }

// TestAPreviewTellsWhatAMoveDoes: who supervised loses the branch, who supervises the new place gains it, agents lose the
// queue above and those in a group that comes to share its inbox see each other's contacts.
func TestAPreviewTellsWhatAMoveDoes(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.user("sam", "support", authz.RoleDashboardAdministrator)
		p := w.preview("adam", "previewMoveGroup", w.moving("north", "support"))
		lines := p.lines()
		for _, want := range []string{
			"sue LOST CONVERSATIONS_VIEW at 1 over -/2/2 north",
			"sue LOST QUEUE_VIEW at 1 over -/1/1 north",
			"sue LOST AGENT_PANEL_VIEW at 1 over 2/-/- north",
			"sam GAINED CONVERSATIONS_VIEW at 1 over -/2/2 north",
			"ana LOST QUEUE_CLAIM at 1 over -/0/0 sales",
			"ana GAINED QUEUE_CLAIM at 1 over -/0/0 support",
			"ana GAINED CONVERSATIONS_VIEW at 1 over -/1/1 north", // not her own contact, which she has seen before
			"bruno GAINED CONVERSATIONS_VIEW at 1 over -/2/2 north",
		} {
			if !strings.Contains(lines+"\n", want+"\n") {
				t.Errorf("no %q in\n%s", want, lines)
			}
		}
		if strings.Contains(lines, "olga") || strings.Contains(lines, "vera") || strings.Contains(lines, "dora") {
			t.Errorf("tells of somebody to whom nothing happens:\n%s", lines)
		}
		for _, s := range p.Summary {
			if s.Permission == "CONVERSATIONS_VIEW" && s.Direction == "GAINED" && (s.Holders != 3 || s.Groups != 1 || *s.Contacts != 2) {
				t.Errorf("summed up as %+v", s)
			}
		}
		if p.UsersGaining != 3 || p.UsersLosing != 3 {
			t.Errorf("%d gain and %d lose", p.UsersGaining, p.UsersLosing)
		}
		same(t, w.ask("adam", `mutation { moveGroup(input: {%s, reason: "tidying up"}) { group { parent { name } } } }`, withToken(w.moving("north", "support"), p.Token)),
			`{"moveGroup":{"group":{"parent":{"name":"support"}}}}`)
		if again := w.preview("adam", "previewMoveGroup", w.moving("north", "support")); again.Changes.TotalCount != 0 || len(again.Summary) != 0 || again.UsersGaining+again.UsersLosing != 0 {
			t.Errorf("moving it to where it is: %s", again.lines())
		}
	})
}

// TestPreviewsOfUsersRolesAndGrants goes from each preview to the change.
func TestPreviewsOfUsersRolesAndGrants(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.grant("carla", "Lister", "sales")
		for _, c := range []struct{ field, mutation, input, want, done string }{
			{"previewMoveUser", "moveUser", w.movingUser("dora", "north"), "sue GAINED AGENT_PANEL_VIEW at 0 over 1/-/-\n", "user { name }"},
			{"previewMoveUser", "moveUser", w.movingUser("carla", "vault"), "carla LOST QUEUE_VIEW at 2 over -/0/0 sales south\n", "user { name }"},
			{"previewRoleChange", "updateRole", fmt.Sprintf(`roleId: "%s", pairs: [{permission: CONTACTS_VIEW, scope: GROUP}]`, w.id(relay.KindRole, "Lister")),
				"carla LOST CONTACTS_VIEW at 2 over -/3/3 sales", "role { name }"},
			{"previewGrant", "grantRole", w.granting("dora", authz.RoleBillingManager), "dora GAINED INVOICES_VIEW at 0 over -/-/- account", "grant { id }"},
			{"previewGrant", "grantRole", w.granting("ana", authz.RoleOwner), "ana GAINED CONTACTS_EDIT at 7 over -/4/4 account assigned root\n", "grant { id }"},
		} {
			p := w.preview("olga", c.field, c.input)
			if !strings.Contains(p.lines()+"\n", c.want) {
				t.Errorf("%s: no %q in\n%s", c.field, c.want, p.lines())
			}
			w.ask("olga", `mutation { %s(input: {%s}) { %s } }`, c.mutation, withToken(c.input, p.Token), c.done)
		}
	})
}

// TestTokensHoldWhileNothingIsDifferent changes what is beside the point.
func TestTokensHoldWhileNothingIsDifferent(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		token := w.preview("adam", "previewMoveGroup", w.moving("north", "support")).Token
		w.contact("Oda", "north", "")
		w.contact("Pit", "north", "bruno")
		w.user("nora", "vault", authz.RoleAgent)
		w.groups("vault", true, "crypt")
		w.rename("ana", "Anna")
		w.role("Unused", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.ask("olga", `mutation { grantRole(input: {%s}) { grant { id } } }`, w.granting("vera", authz.RoleBillingManager))
		w.ask("olga", `mutation { grantRole(input: {%s, groupId: "%s"}) { grant { id } } }`, w.granting("vera", authz.RoleDashboardAdministrator), w.group("south"))
		if now := w.preview("adam", "previewMoveGroup", w.moving("north", "support")).Token; now != token {
			t.Error("another token for the same change")
		}
		w.ask("adam", `mutation { moveGroup(input: {%s, reason: "another one"}) { group { id } } }`, withToken(w.moving("north", "support"), token))
	})
}

// TestOutdatedPreviewsChangeNothing lets somebody else be faster.
func TestOutdatedPreviewsChangeNothing(t *testing.T) {
	input := func(w *world) string { return w.moving("north", "support") }
	for name, between := range map[string]func(w *world){
		"a grant": func(w *world) {
			w.ask("olga", `mutation { grantRole(input: {%s}) { grant { id } } }`, w.granting("dora", authz.RoleDashboardAdministrator))
		},
		"a grant that ends": func(w *world) {
			w.ask("olga", `mutation { revokeRole(input: {grantId: "%s"}) { grant { id } } }`, w.id(relay.KindRoleGrant, "sue DASHBOARD_ADMINISTRATOR"))
		},
		"a move": func(w *world) {
			w.ask("olga", `mutation { moveGroup(input: {%s}) { group { id } } }`, w.moving("support", "vault"))
		},
		"a user who moves": func(w *world) {
			w.ask("olga", `mutation { moveUser(input: {%s}) { user { id } } }`, w.movingUser("sue", "vault"))
		},
		"a role": func(w *world) {
			w.ask("olga", `mutation { updateRole(input: {roleId: "%s", pairs: [{permission: CONTACTS_VIEW, scope: GROUP}]}) { role { id } } }`, w.id(relay.KindRole, "Lister"))
		},
		"a setting": func(w *world) {
			w.ask("olga", `mutation { updateGroupSettings(input: {groupId: "%s", sharedInbox: false}) { group { id } } }`, w.group("support"))
		},
		"a wall": func(w *world) {
			w.ask("olga", `mutation { updateGroup(input: {groupId: "%s", visibility: RESTRICTED}) { group { id } } }`, w.group("north"))
		},
		"one more group": func(w *world) {
			w.ask("olga", `mutation { createGroup(input: {parentId: "%s", name: "pier"}) { group { id } } }`, w.group("north"))
		},
		"time": func(w *world) { w.numbers = int64(2 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, db *store.DB) {
				var w *world
				clock := func() time.Time {
					if w != nil && w.numbers >= int64(time.Hour) {
						return now.Add(2 * time.Hour)
					}
					return now
				}
				w = company(t, db, func(c *graph.Config) {
					c.Now, c.Directory = clock, &directory.Service{DB: db, Now: clock, Rand: rand.Reader, MaxDepth: 64}
				})
				w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
				w.grant("vic", "Lister", "sales")
				w.write(func(ctx context.Context, tx *ent.Tx) error {
					return tx.RoleGrant.UpdateOneID(w.ids["sue DASHBOARD_ADMINISTRATOR"]).SetValidUntil(now.Add(time.Hour)).Exec(ctx)
				})
				token := w.preview("adam", "previewMoveGroup", input(w)).Token
				between(w)
				before := w.everything()
				got := w.refused(w.as("adam"), fmt.Sprintf(`mutation { moveGroup(input: {%s}) { group { id } } }`, withToken(input(w), token)), nil)
				if got["code"] != "CONFLICT" || got["reason"] != "PREVIEW_OUTDATED" || got["field"] != "input.previewToken" {
					t.Errorf("got %v", got)
				}
				if after := w.everything(); after != before {
					t.Errorf("something has changed:\n%s", changedLines(before, after))
				}
				w.ask("adam", `mutation { moveGroup(input: {%s}) { group { id } } }`, withToken(input(w), w.preview("adam", "previewMoveGroup", input(w)).Token))
			})
		})
	}
}

// everything is each row of each table.
func (w *world) everything() string {
	w.t.Helper()
	var b strings.Builder
	tables := "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
	if w.db.Dialect() == "postgres" {
		tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
	}
	var names []string
	err := store.EachRow(context.Background(), w.db.Read, tables, nil, func(rows *sql.Rows) error {
		var name string
		names = append(names, "")
		err := rows.Scan(&name)
		names[len(names)-1] = name
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		var lines []string
		err := store.EachRow(context.Background(), w.db.Read, "SELECT * FROM "+name, nil, func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			lines = append(lines, fmt.Sprintf("%s %q", name, fmt.Sprint(values...)))
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, "\n"))
		b.WriteByte('\n')
	}
	return b.String()
}

// TestPreviewsLeaveNoTrace compares all tables; of a refused one too.
func TestPreviewsLeaveNoTrace(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.grant("carla", "Lister", "sales")
		w.session("olga")
		before := w.everything()
		if !strings.Contains(before, "audit_events") && !strings.Contains(before, "role_grants") {
			t.Fatal("nothing is compared")
		}
		w.preview("olga", "previewMoveGroup", w.moving("north", "vault"))
		w.preview("olga", "previewMoveUser", w.movingUser("ana", "vault"))
		w.preview("olga", "previewRoleChange", fmt.Sprintf(`roleId: "%s", name: "x", mayGive: ["%s"]`, w.id(relay.KindRole, "Lister"), w.id(relay.KindRole, authz.RoleAgent)))
		w.preview("olga", "previewGrant", w.granting("ana", authz.RoleOwner))
		w.refused(w.as("olga"), fmt.Sprintf(`{ previewMoveGroup(input: {%s}) { token } }`, w.moving("sales", "north")), nil)
		if after := w.everything(); after != before {
			t.Errorf("something has changed:\n%s", changedLines(before, after))
		}
	})
}

// TestTokensOfOthersAreWorthNothing tries tokens of another viewer, another change, another input and none at all.
func TestTokensOfOthersAreWorthNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.user("otto", "root", authz.RoleOwner)
		own := w.preview("olga", "previewMoveGroup", w.moving("north", "support")).Token
		// Neither name changes anybody's access, and yet the one is not the other.
		w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		renaming := fmt.Sprintf(`roleId: "%s", name: `, w.id(relay.KindRole, "Lister"))
		x := w.preview("olga", "previewRoleChange", renaming+`"x"`).Token
		if got := w.refused(w.as("olga"), fmt.Sprintf(`mutation { updateRole(input: {%s}) { role { id } } }`, withToken(renaming+`"y"`, x)), nil); got["reason"] != "PREVIEW_OUTDATED" {
			t.Errorf("another name: %v", got)
		}
		for name, token := range map[string]string{
			"another viewer's": w.preview("otto", "previewMoveGroup", w.moving("north", "support")).Token,
			"another place":    w.preview("olga", "previewMoveGroup", w.moving("north", "vault")).Token,
			"another group":    w.preview("olga", "previewMoveGroup", w.moving("south", "support")).Token,
			"another change":   w.preview("olga", "previewMoveUser", w.movingUser("ana", "support")).Token,
			"empty":            "",
			"invented":         "p1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"cut off":          own[:len(own)-1],
			"of a later kind":  "p2" + own[2:],
		} {
			got := w.refused(w.as("olga"), fmt.Sprintf(`mutation { moveGroup(input: {%s}) { group { id } } }`, withToken(w.moving("north", "support"), token)), nil)
			if got["code"] != "CONFLICT" || got["reason"] != "PREVIEW_OUTDATED" {
				t.Errorf("%s: %v", name, got)
			}
		}
		w.ask("olga", `mutation { moveGroup(input: {%s}) { group { id } } }`, withToken(w.moving("north", "support"), own))
	})
}

// TestPreviewsAreRefusedAsTheChangesAre asks for both.
func TestPreviewsAreRefusedAsTheChangesAre(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.groupMove("south")
		w.groups("vault", false, "north 2")
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.Group.UpdateOneID(w.ids["north 2"]).SetName("north").SetNameKey("north").Exec(ctx)
		})
		w.role("Explainer", append(everywhere(authz.AccessExplain, authz.RolesView), authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree},
			authz.Pair{Permission: authz.UsersView, Scope: authz.ScopeSubtree})...)
		w.user("erik", "sales", "Explainer")
		hidden, invented := w.group("vault"), relay.NewID(relay.KindGroup, 1<<40).String()
		owner := w.id(relay.KindRole, authz.RoleOwner)
		for _, c := range []struct{ viewer, field, mutation, input string }{
			{"olga", "previewMoveGroup", "moveGroup", w.moving("sales", "north")},
			{"olga", "previewMoveGroup", "moveGroup", w.moving("root", "north")},
			{"olga", "previewMoveGroup", "moveGroup", w.moving("north", "vault")},
			{"olga", "previewMoveGroup", "moveGroup", w.moving("south", "vault")},
			{"olga", "previewMoveGroup", "moveGroup", w.moving("north", "support") + `, reason: "\u0000"`},
			{"erik", "previewMoveGroup", "moveGroup", w.moving("north", "south")},
			{"erik", "previewMoveGroup", "moveGroup", fmt.Sprintf(`groupId: "%s", parentId: "%s"`, hidden, w.group("north"))},
			{"erik", "previewMoveGroup", "moveGroup", fmt.Sprintf(`groupId: "%s", parentId: "%s"`, w.group("north"), invented)},
			{"erik", "previewMoveUser", "moveUser", w.movingUser("ana", "south")},
			{"erik", "previewMoveUser", "moveUser", w.movingUser("vera", "south")},
			{"adam", "previewMoveUser", "moveUser", w.movingUser("adam", "south")},
			{"adam", "previewMoveUser", "moveUser", w.movingUser("olga", "south")},
			{"adam", "previewGrant", "grantRole", w.granting("ana", authz.RoleOwner)},
			{"adam", "previewGrant", "grantRole", w.granting("ana", authz.RoleAgent)},
			{"adam", "previewGrant", "grantRole", w.granting("ana", authz.RoleAgent) + `, validUntil: "2020-01-01T00:00:00Z"`},
			{"erik", "previewGrant", "grantRole", w.granting("ana", authz.RoleAgent)},
			{"erik", "previewRoleChange", "updateRole", fmt.Sprintf(`roleId: "%s", name: "x"`, owner)},
			{"olga", "previewRoleChange", "updateRole", fmt.Sprintf(`roleId: "%s", name: "x"`, owner)},
		} {
			want := w.refused(w.as(c.viewer), fmt.Sprintf(`mutation { %s(input: {%s}) { __typename } }`, c.mutation, c.input), nil)
			got := w.refused(w.as(c.viewer), fmt.Sprintf(`{ %s(input: {%s}) { token } }`, c.field, c.input), nil)
			for _, answer := range []map[string]any{got, want} { // in whose words is no matter
				delete(answer, "where")
				delete(answer, "remedy")
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, %s(%s)\nthe preview %v\nthe change  %v", c.viewer, c.field, c.input, got, want)
			}
		}
		for _, viewer := range []string{"sue", "ana"} {
			got := w.refused(w.as(viewer), fmt.Sprintf(`{ previewMoveGroup(input: {%s}) { token } }`, `groupId: "`+w.group("north")+`", parentId: "`+w.group("north")+`"`), nil)
			if got["code"] != "FORBIDDEN" || got["permission"] != "ACCESS_EXPLAIN" {
				t.Errorf("%s: %v", viewer, got)
			}
		}
		if got := w.refused(context.Background(), fmt.Sprintf(`{ previewMoveGroup(input: {%s}) { token } }`, w.moving("north", "south")), nil); got["code"] != "UNAUTHENTICATED" {
			t.Errorf("nobody: %v", got)
		}
	})
}

func everywhere(permissions ...authz.Permission) (pairs []authz.Pair) {
	for _, p := range permissions {
		pairs = append(pairs, authz.Pair{Permission: p, Scope: authz.ScopeAccount})
	}
	return pairs
}

// TestPreviewsTellNothingHidden: who sees one branch is told of the users and groups of that branch, and their token is
// a matter of those.
func TestPreviewsTellNothingHidden(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		pairs := everywhere(authz.AccessExplain, authz.RolesView, authz.RolesManage)
		for _, p := range []authz.Permission{authz.GroupsView, authz.UsersView} {
			pairs = append(pairs, authz.Pair{Permission: p, Scope: authz.ScopeSubtree})
		}
		w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.role("Explainer", pairs...)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			owners := w.ids["Explainer"]
			w.ids["Lister may"] = w.ids["Lister"]
			return tx.Role.UpdateOneID(owners).AddMayGiveIDs(w.ids["Lister"], w.ids[authz.RoleAgent]).Exec(ctx)
		})
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.Role.UpdateOneID(w.ids["Explainer"]).SetPairs(append(pairs, everywhere(authz.RolesAssign)...)).Exec(ctx)
		})
		w.user("erik", "sales", "Explainer")
		w.grant("ana", "Lister", "root")
		w.grant("vera", "Lister", "sales")
		change := fmt.Sprintf(`roleId: "%s", pairs: [{permission: CONTACTS_VIEW, scope: GROUP}]`, w.id(relay.KindRole, "Lister"))
		p := w.preview("erik", "previewRoleChange", change)
		same(t, p.lines(), "ana LOST CONTACTS_VIEW at 3 over -/-/- sales")
		same(t, w.preview("olga", "previewRoleChange", change).lines(),
			"ana LOST CONTACTS_VIEW at 4 over -/3/3 root\nvera LOST CONTACTS_VIEW at 2 over -/3/3 sales")
		w.grant("dora", "Lister", "support") // hidden from erik
		w.groups("support", false, "desk")
		if again := w.preview("erik", "previewRoleChange", change); again.Token != p.Token {
			t.Errorf("what is hidden shows in the token: %s", again.lines())
		}
		w.ask("erik", `mutation { updateRole(input: {%s}) { role { id } } }`, withToken(change, p.Token))
	})
}

// TestAGrantToComeIsPreviewedAtItsFirstMoment: by then another one has ended.
func TestAGrantToComeIsPreviewedAtItsFirstMoment(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.user("bill", "root", authz.RoleBillingManager)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.RoleGrant.UpdateOneID(w.ids["bill BILLING_MANAGER"]).SetValidUntil(now.Add(time.Hour)).Exec(ctx)
		})
		input := w.granting("bill", authz.RoleBillingManager)
		if p := w.preview("olga", "previewGrant", input); p.Changes.TotalCount != 0 {
			t.Errorf("now it adds\n%s", p.lines())
		}
		later := input + `, validFrom: "2027-03-01T10:00:00Z"`
		p := w.preview("olga", "previewGrant", later)
		if p.UsersGaining != 1 || !strings.Contains(p.lines(), "bill GAINED BILLING_EDIT at 0 over -/-/- account") {
			t.Errorf("later it adds\n%s", p.lines())
		}
		w.ask("olga", `mutation { grantRole(input: {%s}) { grant { id } } }`, withToken(later, p.Token))
	})
}

// TestChangesComeInPages walks them, one by one.
func TestChangesComeInPages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		whole := w.preview("olga", "previewMoveGroup", w.moving("north", "support"))
		query := `{ previewMoveGroup(input: {` + w.moving("north", "support") + `}) { changes(first: 7%s) { pageInfo { hasNextPage endCursor } nodes { user { name } permission direction } } } }`
		var names []string
		after := ""
		for {
			var answer struct{ PreviewMoveGroup previewed }
			if err := json.Unmarshal([]byte(w.ask("olga", query, after)), &answer); err != nil {
				t.Fatal(err)
			}
			page := answer.PreviewMoveGroup.Changes
			for _, n := range page.Nodes {
				names = append(names, n.User.Name+n.Permission+n.Direction)
			}
			if !page.PageInfo.HasNextPage || len(names) > 1000 {
				break
			}
			after = fmt.Sprintf(", after: %q", *page.PageInfo.EndCursor)
		}
		var want []string
		for _, n := range whole.Changes.Nodes {
			want = append(want, n.User.Name+n.Permission+n.Direction)
		}
		if len(want) < 8 || fmt.Sprint(names) != fmt.Sprint(want) || whole.Changes.TotalCount != len(want) {
			t.Errorf("got  %v\nwant %v", names, want)
		}
		for _, bad := range []string{"x", relay.Position{Order: 'n', Text: "a", ID: 1}.Cursor(), relay.Position{Order: 'a', Text: "NOTHING", ID: 1}.Cursor()} {
			if got := w.refused(w.as("olga"), fmt.Sprintf(query, fmt.Sprintf(", after: %q", bad)), nil); got["code"] != "BAD_USER_INPUT" || got["field"] != "after" {
				t.Errorf("after %q: %v", bad, got)
			}
		}
	})
}

// TestABigBranchIsPreviewedToo moves more contacts than a move carries at once, and then there is a move under way.
func TestABigBranchIsPreviewedToo(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			for i := range tree.AtOnce/2 + 1 {
				name := fmt.Sprint("many ", i)
				c, err := tx.Contact.Create().SetAccountID(w.account).SetGroupID(w.ids["north"]).SetArrivalGroupID(w.ids["north"]).SetName(name).SetNameKey(name).
					SetSortKey(int64(i)).SetLastActivityAt(now).SetWaitingSince(now).SetCreatedAt(now).Save(ctx)
				if err != nil {
					return err
				}
				if err := tree.AddContact(ctx, tx, c.ID); err != nil {
					return err
				}
			}
			return nil
		})
		p := w.preview("olga", "previewMoveGroup", w.moving("north", "support"))
		if want := fmt.Sprintf("sue LOST CONTACTS_VIEW at 1 over -/%d/2 north", tree.AtOnce/2+3); !strings.Contains(p.lines(), want) {
			t.Errorf("no %q in\n%s", want, p.lines())
		}
		same(t, w.ask("olga", `{ groupMoves { totalCount } }`), `{"groupMoves":{"totalCount":0}}`)
		w.ask("olga", `mutation { moveGroup(input: {%s}) { move { progress } } }`, withToken(w.moving("north", "support"), p.Token))
		got := w.refused(w.as("olga"), fmt.Sprintf(`{ previewMoveGroup(input: {%s}) { token } }`, w.moving("north", "sales")), nil)
		if got["reason"] != "MOVE_UNDER_WAY" {
			t.Errorf("got %v", got)
		}
	})
}

// changedLines are the lines that are in one of the texts alone.
func changedLines(before, after string) string {
	old, new := strings.Split(before, "\n"), strings.Split(after, "\n")
	gone := slices.DeleteFunc(slices.Clone(old), func(line string) bool { return slices.Contains(new, line) })
	come := slices.DeleteFunc(slices.Clone(new), func(line string) bool { return slices.Contains(old, line) })
	return "- " + strings.Join(gone, "\n- ") + "\n+ " + strings.Join(come, "\n+ ")
}

// TestTooMuchToPreviewIsRefused gives a role to more users than are compared; the change itself does not mind.
func TestTooMuchToPreviewIsRefused(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		const numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50001) "
		_, err := tx.ExecContext(ctx, numbers+`INSERT INTO users (account_id, home_group_id, name, name_key, email, email_key, status, availability, created_at)
				SELECT $1, $2, 'many', 'many', 'many' || i, 'many' || i, 'ACTIVE', 'AWAY', $3 FROM n`, w.account, w.ids["north"], now)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO role_grants (account_id, user_id, role_id, valid_from, created_at, reason)
				SELECT account_id, id, $1, $2, $2, '' FROM users WHERE name_key = 'many'`, w.ids["Lister"], now)
		return err
	})
	input := fmt.Sprintf(`roleId: "%s", pairs: [{permission: CONTACTS_VIEW, scope: GROUP}]`, w.id(relay.KindRole, "Lister"))
	if got := w.refused(w.as("olga"), fmt.Sprintf(`{ previewRoleChange(input: {%s}) { token } }`, input), nil); got["code"] != "CONFLICT" || got["reason"] != "PREVIEW_TOO_BIG" {
		t.Errorf("got %v", got)
	}
	if got := w.refused(w.as("olga"), fmt.Sprintf(`{ previewRoleChange(input: {roleId: "%s", name: "x"}) { token } }`, w.id(relay.KindRole, authz.RoleOwner)), nil); got["reason"] != "BUILT_IN_ROLE" {
		t.Errorf("got %v", got)
	}
	w.ask("olga", `mutation { updateRole(input: {%s}) { role { id } } }`, input)
}

// TestTooManyUsersAtTooManyGroupsToPreviewAreRefused has few enough of both, but each of them to be judged at each.
func TestTooManyUsersAtTooManyGroupsToPreviewAreRefused(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.role("Lister", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
	const most = 1600
	names := make([]string, most)
	for i := range names {
		names[i] = fmt.Sprint("desk ", i)
	}
	w.groups("south", false, names...)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO users (account_id, home_group_id, name, name_key, email, email_key, status, availability, created_at)
				SELECT account_id, id, 'many', 'many', 'many' || id, 'many' || id, 'ACTIVE', 'AWAY', $1 FROM groups WHERE parent_id = $2`, now, w.ids["south"])
		for _, at := range []string{"NULL", fmt.Sprint(w.ids["root"])} {
			if err == nil {
				_, err = tx.ExecContext(ctx, `INSERT INTO role_grants (account_id, user_id, role_id, group_id, valid_from, created_at, reason)
					SELECT account_id, id, $1, `+at+`, $2, $2, '' FROM users WHERE name_key = 'many'`, w.ids["Lister"], now)
			}
		}
		return err
	})
	input := fmt.Sprintf(`roleId: "%s", pairs: [{permission: CONTACTS_VIEW, scope: GROUP}]`, w.id(relay.KindRole, "Lister"))
	if got := w.refused(w.as("olga"), fmt.Sprintf(`{ previewRoleChange(input: {%s}) { token } }`, input), nil); got["reason"] != "PREVIEW_TOO_BIG" {
		t.Errorf("got %v", got)
	}
}
