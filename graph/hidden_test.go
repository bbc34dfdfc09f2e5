package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/graph/generated"
	"canopy/internal/testdb"
	"canopy/relay"

	"github.com/vektah/gqlparser/v2/ast"
)

// idArgument is an argument of a root field by which a client names something.
type idArgument struct {
	operation string // query or mutation
	field     *ast.FieldDefinition
	path      []string
	list      bool
}

// idArguments walks the schema.
func idArguments(schema *ast.Schema) []idArgument {
	var found []idArgument
	for operation, def := range map[string]*ast.Definition{"query": schema.Query, "mutation": schema.Mutation} {
		for _, field := range def.Fields {
			for _, arg := range field.Arguments {
				a := idArgument{operation: operation, field: field}
				for _, path := range idPaths(schema, arg.Name, arg.Type) {
					a.path, a.list = path, leaf(schema, field, path).Elem != nil
					found = append(found, a)
				}
			}
		}
	}
	return found
}

func idPaths(schema *ast.Schema, name string, typ *ast.Type) [][]string {
	if typ.Name() == "ID" {
		return [][]string{{name}}
	}
	def := schema.Types[typ.Name()]
	if def.Kind != ast.InputObject {
		return nil
	}
	var paths [][]string
	for _, input := range def.Fields {
		for _, rest := range idPaths(schema, input.Name, input.Type) {
			paths = append(paths, append([]string{name}, rest...))
		}
	}
	return paths
}

func leaf(schema *ast.Schema, field *ast.FieldDefinition, path []string) *ast.Type {
	typ := field.Arguments.ForName(path[0]).Type
	for _, word := range path[1:] {
		typ = schema.Types[typ.Name()].Fields.ForName(word).Type
	}
	return typ
}

// kindOf says what an id argument names, by its name.
func kindOf(a idArgument) []relay.Kind {
	switch name := a.path[len(a.path)-1]; name {
	case "id":
		return map[string][]relay.Kind{
			"node": allKinds, "group": {relay.KindGroup}, "user": {relay.KindUser}, "agent": {relay.KindAgent}, "role": {relay.KindRole},
			"contact": {relay.KindContact}, "conversation": {relay.KindConversation},
		}[a.field.Name]
	case "ids", "targetId":
		return allKinds
	case "groupId", "parentId", "homeGroupId", "under":
		return []relay.Kind{relay.KindGroup}
	case "successorId":
		if a.field.Name == "deleteRole" {
			return []relay.Kind{relay.KindRole}
		}
		return []relay.Kind{relay.KindGroup}
	case "userId":
		return []relay.Kind{relay.KindUser}
	case "agentId", "handoverAgentId":
		return []relay.Kind{relay.KindAgent, relay.KindUser}
	case "roleId", "roleIds", "mayGive":
		return []relay.Kind{relay.KindRole}
	case "grantId":
		return []relay.Kind{relay.KindRoleGrant}
	case "contactId":
		return []relay.Kind{relay.KindContact}
	case "conversationId":
		return []relay.Kind{relay.KindConversation}
	}
	return nil
}

var allKinds = []relay.Kind{
	relay.KindAccount, relay.KindGroup, relay.KindUser, relay.KindAgent, relay.KindRole, relay.KindRoleGrant, relay.KindSession,
	relay.KindContact, relay.KindContactAssignment, relay.KindConversation, relay.KindMessage, relay.KindAuditEvent, relay.KindGroupRequest, relay.KindGroupMove,
}

// literal writes an argument of the type, with only what is required in it and, at the path, the text.
func (w *world) literal(schema *ast.Schema, name string, typ *ast.Type, path []string, text string) string {
	if len(path) == 1 && path[0] == name {
		return text
	}
	if typ.Elem != nil {
		return "[" + w.literal(schema, name, typ.Elem, nil, "") + "]"
	}
	def := schema.Types[typ.NamedType]
	switch def.Kind {
	case ast.InputObject:
		var fields []string
		for _, input := range def.Fields {
			at := len(path) > 1 && path[0] == name && path[1] == input.Name
			if at || input.Type.NonNull && input.DefaultValue == nil {
				var below []string
				if at {
					below = path[1:]
				}
				fields = append(fields, input.Name+": "+w.literal(schema, input.Name, input.Type, below, text))
			}
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case ast.Enum:
		return def.EnumValues[0].Name
	}
	switch typ.NamedType {
	case "ID":
		return `"` + w.known(name) + `"`
	case "Int":
		return "100"
	case "Boolean":
		return "true"
	case "Time":
		return `"2027-03-01T09:30:00Z"`
	}
	if name == "email" {
		return `"new@example.com"`
	}
	return `"A good enough text"`
}

// known is the id of something that the viewers of these tests see.
func (w *world) known(argument string) string {
	switch argument {
	case "groupId", "parentId", "homeGroupId":
		return w.id(relay.KindGroup, "north")
	case "userId":
		return w.id(relay.KindUser, "ana")
	case "agentId":
		return w.id(relay.KindAgent, "bruno")
	case "roleId", "roleIds":
		return w.id(relay.KindRole, authz.RoleAgent)
	case "grantId":
		return w.id(relay.KindRoleGrant, "ana AGENT")
	case "contactId":
		return w.id(relay.KindContact, "Kim")
	case "conversationId":
		return w.id(relay.KindConversation, "Kim conversation")
	}
	return "?"
}

func (w *world) document(schema *ast.Schema, a idArgument, text string) string {
	var args []string
	for _, arg := range a.field.Arguments {
		if arg.Name == a.path[0] || arg.Type.NonNull && arg.DefaultValue == nil {
			var path []string
			if arg.Name == a.path[0] {
				path = a.path
			}
			args = append(args, arg.Name+": "+w.literal(schema, arg.Name, arg.Type, path, text))
		}
	}
	return fmt.Sprintf("%s { %s(%s) { __typename } }", a.operation, a.field.Name, strings.Join(args, ", "))
}

// TestHiddenAndInventedIDsAreOneAnswer sends, for every argument that takes an id, the id of something that is there
// and hidden, and an id that nobody has: the answers are the same to the byte.
func TestHiddenAndInventedIDsAreOneAnswer(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	w.session("vera")
	w.role("hidden role")
	w.request("vault", "vera")
	w.groupMove("cellar")
	hidden := map[relay.Kind]string{
		relay.KindGroup: "cellar", relay.KindUser: "vic", relay.KindAgent: "vic", relay.KindRole: "hidden role", relay.KindRoleGrant: "vic AGENT",
		relay.KindSession: "vera session", relay.KindContact: "Nil", relay.KindContactAssignment: "Nil assignment",
		relay.KindConversation: "Nil conversation", relay.KindMessage: "Nil message", relay.KindGroupRequest: "request of vera",
		relay.KindGroupMove:  "move of cellar",
		relay.KindAuditEvent: "event", relay.KindAccount: "birch",
	}
	w.event("event")
	home := w.account
	foreign := w.another("birch")
	w.account = home
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	tried := 0
	for _, a := range idArguments(schema) {
		kinds := kindOf(a)
		if len(kinds) == 0 {
			t.Errorf("%s(%s): no kind", a.field.Name, strings.Join(a.path, "."))
		}
		for _, kind := range kinds {
			ids := []int64{w.ids[hidden[kind]]}
			if n := foreign[kind]; n != 0 {
				ids = append(ids, n)
			}
			for _, viewer := range []string{"ana", "sue"} {
				invented := w.answer(viewer, schema, a, relay.NewID(kind, 1<<40))
				for _, id := range ids {
					tried++
					if got := w.answer(viewer, schema, a, relay.NewID(kind, id)); got != invented {
						t.Errorf("%s, %s(%s), kind %c:\nhidden   %s\ninvented %s", viewer, a.field.Name, strings.Join(a.path, "."), kind, got, invented)
					}
				}
			}
			for _, id := range []int64{foreign[kind]} {
				invented := w.answer("olga", schema, a, relay.NewID(kind, 1<<40))
				if got := w.answer("olga", schema, a, relay.NewID(kind, id)); id != 0 && got != invented {
					t.Errorf("an owner, %s(%s), kind %c of another account:\nhidden   %s\ninvented %s", a.field.Name, strings.Join(a.path, "."), kind, got, invented)
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d ids were tried", tried)
	}
}

func (w *world) answer(viewer string, schema *ast.Schema, a idArgument, id relay.ID) string {
	text := `"` + id.String() + `"`
	if a.list {
		text = "[" + text + "]"
	}
	answer := w.run(w.as(viewer), w.document(schema, a, text), nil)
	if strings.Contains(answer, "INTERNAL_SERVER_ERROR") || strings.Contains(answer, "GRAPHQL_") {
		w.t.Errorf("%s: %s\n%s", w.document(schema, a, text), answer, w.log)
	}
	return answer
}
