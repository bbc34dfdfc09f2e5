package graph_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/graph"
	"canopy/graph/generated"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/relay"

	"github.com/vektah/gqlparser/v2/ast"
)

// TestNobodyIsToldToLogIn asks every root field without a viewer: only the public ones answer anything else.
func TestNobodyIsToldToLogIn(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for operation, def := range roots(schema) {
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			answer := w.run(context.Background(), w.rootDocument(schema, operation, field), nil)
			public := field.Directives.ForName("public") != nil
			if strings.Contains(answer, `"code":"UNAUTHENTICATED"`) == public && field.Name != "logIn" {
				t.Errorf("%s (public: %t): %s", field.Name, public, answer)
			}
		}
	}
}

func (w *world) rootDocument(schema *ast.Schema, operation string, field *ast.FieldDefinition) string {
	var args []string
	for _, arg := range field.Arguments {
		if arg.Type.NonNull && arg.DefaultValue == nil {
			args = append(args, arg.Name+": "+w.literal(schema, arg.Name, arg.Type, nil, ""))
		}
	}
	text := field.Name
	if len(args) > 0 {
		text += "(" + strings.Join(args, ", ") + ")"
	}
	return fmt.Sprintf("%s { %s { __typename } }", operation, text)
}

func TestRefusalOfAuthenticationIsPassedOn(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	ctx := graph.WithRefusal(context.Background(), refusal.Paused())
	for _, query := range []string{`{ viewer { user { name } } }`, `{ users { nodes { name } } }`, `mutation { logOut { loggedOut } }`} {
		got := w.refused(ctx, query, nil)
		if got["code"] != "UNAUTHENTICATED" || got["reason"] != "ACCESS_PAUSED" {
			t.Errorf("%s: got %v", query, got)
		}
	}
}

// TestPermissionIsJudgedWhereTheArgumentsSay moves, deletes and grants at groups that the viewer may and may not.
func TestPermissionIsJudgedWhereTheArgumentsSay(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.role("mover", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeAccount}, authz.Pair{Permission: authz.GroupsMove, Scope: authz.ScopeSubtree},
		authz.Pair{Permission: authz.GroupsDelete, Scope: authz.ScopeSubtree})
	w.user("mona", "sales", "mover")
	group := func(name string) string { return w.id(relay.KindGroup, name) }
	for _, c := range []struct{ name, mutation, code string }{
		{"both ends in reach", `moveGroup(input: {groupId: "` + group("north") + `", parentId: "` + group("south") + `"})`, ""},
		{"one end out of reach", `moveGroup(input: {groupId: "` + group("south") + `", parentId: "` + group("support") + `"})`, "FORBIDDEN GROUPS_MOVE"},
		{"the other end out of reach", `moveGroup(input: {groupId: "` + group("support") + `", parentId: "` + group("south") + `"})`, "FORBIDDEN GROUPS_MOVE"},
		{"a wall between", `moveGroup(input: {groupId: "` + group("cellar") + `", parentId: "` + group("south") + `"})`, "FORBIDDEN GROUPS_MOVE"},
		{"not found before forbidden", `moveGroup(input: {groupId: "` + group("support") + `", parentId: "x"})`, "NOT_FOUND"},
		{"of another kind", `moveGroup(input: {groupId: "` + w.id(relay.KindUser, "mona") + `", parentId: "` + group("south") + `"})`, "NOT_FOUND"},
		{"an optional argument left out", `deleteGroup(input: {groupId: "` + group("support") + `"})`, "FORBIDDEN GROUPS_DELETE"},
		{"an optional argument as null", `deleteGroup(input: {groupId: "` + group("support") + `", successorId: null})`, "FORBIDDEN GROUPS_DELETE"},
		{"an optional argument out of reach", `deleteGroup(input: {groupId: "` + group("south") + `", successorId: "` + group("support") + `"})`, "FORBIDDEN GROUPS_DELETE"},
		{"an optional argument that is nothing", `deleteGroup(input: {groupId: "` + group("support") + `", successorId: "x"})`, "NOT_FOUND"},
		{"an id that is no place", `grantRole(input: {userId: "` + w.id(relay.KindUser, "mona") + `", roleId: "x"})`, "NOT_FOUND"},
		{"on the account", `updateAccount(input: {name: "x"})`, "FORBIDDEN SETTINGS_EDIT"},
		{"somewhere", `claimContact(input: {contactId: "x"})`, "NOT_FOUND"},
		{"at the own home group", `startConversation(input: {name: "x"})`, "FORBIDDEN CONVERSATIONS_OPEN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := w.as("mona")
			testdb.Statements(w.db).Reset()
			answer := w.run(ctx, "mutation { "+c.mutation+" { __typename } }", nil)
			code, permission, _ := strings.Cut(c.code, " ")
			// The use-case would refuse too; but the directive does it before any transaction begins, having looked up
			// no more than each id twice.
			if n, ids := testdb.Statements(w.db).Count(), strings.Count(c.mutation, "Id: "); code == "FORBIDDEN" && n > 2*ids {
				t.Errorf("%d statements for %d ids", n, ids)
			}
			switch {
			case c.code == "" && strings.Contains(answer, "errors"),
				c.code != "" && !strings.Contains(answer, `"code":"`+code+`"`),
				permission != "" && !strings.Contains(answer, `"permission":"`+permission+`"`):
				t.Errorf("got %s, want %s", answer, c.code)
			}
		})
	}
}

// TestVariablesNamePlacesToo gives the ids in variables, as clients do.
func TestVariablesNamePlacesToo(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	const move = `mutation($input: MoveGroupInput!) { moveGroup(input: $input) { group { name } } }`
	const apart = `mutation($group: ID!, $parent: ID!) { moveGroup(input: {groupId: $group, parentId: $parent}) { group { name } } }`
	north, support := w.id(relay.KindGroup, "north"), w.id(relay.KindGroup, "support")
	for _, c := range []struct {
		query     string
		variables map[string]any
	}{
		{move, map[string]any{"input": map[string]any{"groupId": north, "parentId": support}}},
		{apart, map[string]any{"group": north, "parent": support}},
	} {
		if got := w.refused(w.as("sue"), c.query, c.variables); got["code"] != "NOT_FOUND" {
			t.Errorf("got %v: support is hidden from sue", got)
		}
		if got := w.run(w.as("adam"), c.query, c.variables); got != `{"data":{"moveGroup":{"group":{"name":"north"}}}}` {
			t.Errorf("got %s", got)
		}
	}
}

// TestGuardedFieldsOfObjects asks at each object: what is refused is null with an error, and its object stays.
func TestGuardedFieldsOfObjects(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	const query = `{ groups { nodes { name users { nodes { name } } totals { users } settings { capacity { value } } } } }`
	answer := w.run(w.as("ana"), query, nil)
	if !strings.HasSuffix(answer, `"data":{"groups":{"nodes":[{"name":"north","users":null,"totals":null,"settings":null}]}}}`) || strings.Count(answer, "FORBIDDEN") != 3 {
		t.Errorf("ana: %s", answer)
	}
	answer = w.run(w.as("ana"), `{ viewer { account { name plan reasonRequired rootGroup { name } } } }`, nil)
	if !strings.HasSuffix(answer, `"data":{"viewer":{"account":{"name":"acacia","plan":null,"reasonRequired":null,"rootGroup":null}}}}`) {
		t.Errorf("ana: %s", answer)
	}
	same(t, w.ask("adam", `{ viewer { account { plan reasonRequired customRolesEnabled groupCreation rootGroup { name } } } }`),
		`{"viewer":{"account":{"plan":"PRO","reasonRequired":false,"customRolesEnabled":true,"groupCreation":"SELF_SERVICE","rootGroup":{"name":"root"}}}}`)
}

// TestFieldsAreGuardedOnEveryWayToThem reaches a guarded field through node, nodes, an interface and a payload.
func TestFieldsAreGuardedOnEveryWayToThem(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	north := w.id(relay.KindGroup, "north")
	for _, query := range []string{
		`{ node(id: "` + north + `") { ... on Group { totals { users } } } }`,
		`{ nodes(ids: ["` + north + `"]) { id ... on Group { totals { users } } } }`,
		`{ group(id: "` + north + `") { ...a } } fragment a on Group { ... on Node { ... on Group { totals { users } } } }`,
		`{ viewer { user { homeGroup { totals { users } } } } }`,
	} {
		if got := w.refused(w.as("ana"), query, nil); got["code"] != "FORBIDDEN" || got["permission"] != "DASHBOARDS_VIEW" {
			t.Errorf("%s: %v", query, got)
		}
	}
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	if _, err := graph.New(graph.Config{}); err == nil {
		t.Error("an API without a database is built")
	}
}
