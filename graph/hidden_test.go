package graph_test

import (
	"context"
	"fmt"
	"slices"
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
	for operation, def := range roots(schema) {
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
			"contact": {relay.KindContact}, "conversation": {relay.KindConversation}, "conversationUpdated": {relay.KindConversation},
		}[a.field.Name]
	case "ids", "targetId":
		return allKinds
	case "group", "groupId", "parentId", "homeGroupId", "under":
		return []relay.Kind{relay.KindGroup}
	case "successorId":
		if a.field.Name == "deleteRole" {
			return []relay.Kind{relay.KindRole}
		}
		return []relay.Kind{relay.KindGroup}
	case "userId":
		return []relay.Kind{relay.KindUser}
	case "agentId", "toAgentId", "handoverAgentId":
		return []relay.Kind{relay.KindAgent, relay.KindUser}
	case "roleId", "roleIds", "mayGive":
		return []relay.Kind{relay.KindRole}
	case "grantId":
		return []relay.Kind{relay.KindRoleGrant}
	case "contactId", "contactIds":
		return []relay.Kind{relay.KindContact}
	case "conversationId", "conversationIds":
		return []relay.Kind{relay.KindConversation}
	case "noteId":
		return []relay.Kind{relay.KindNote}
	case "tagId", "addTagIds", "removeTagIds":
		return []relay.Kind{relay.KindTag}
	}
	return nil
}

var allKinds = []relay.Kind{
	relay.KindAccount, relay.KindGroup, relay.KindUser, relay.KindAgent, relay.KindRole, relay.KindRoleGrant, relay.KindSession,
	relay.KindContact, relay.KindContactAssignment, relay.KindConversation, relay.KindMessage, relay.KindAuditEvent, relay.KindGroupRequest, relay.KindGroupMove,
	relay.KindHistoryEntry,
	relay.KindNote, relay.KindTag,
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
		if name == "to" { // of what begins at the moment below
			return `"2027-03-02T09:30:00Z"`
		}
		return `"2027-03-01T09:30:00Z"`
	}
	if name == "email" {
		return `"new@example.com"`
	}
	return `"A good enough text"`
}

// known is the id of something that fits the argument: of what the world's viewer knows, if one is set, or else of what
// the people of sales see.
func (w *world) known(argument string) string {
	if w.knows != nil {
		kinds := kindOf(idArgument{field: &ast.FieldDefinition{}, path: []string{argument}})
		if len(kinds) == 0 {
			return "?"
		}
		return w.knows[kinds[0]].String()
	}
	switch argument {
	case "groupId", "parentId", "homeGroupId":
		return w.id(relay.KindGroup, "north")
	case "userId":
		return w.id(relay.KindUser, "ana")
	case "agentId":
		return w.id(relay.KindAgent, "bruno")
	case "toAgentId":
		return w.id(relay.KindAgent, "ana")
	case "roleId", "roleIds":
		return w.id(relay.KindRole, authz.RoleAgent)
	case "grantId":
		return w.id(relay.KindRoleGrant, "ana AGENT")
	case "contactId", "contactIds":
		return w.id(relay.KindContact, "Kim")
	case "conversationId", "conversationIds":
		return w.id(relay.KindConversation, "Kim conversation")
	case "noteId":
		return w.id(relay.KindNote, "Kim note")
	case "tagId", "addTagIds", "removeTagIds":
		return w.id(relay.KindTag, "Kim tag")
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
	selection := "{ __typename }"
	if isBulk(a.field.Name) {
		selection = "{ done refused items { refusal { field code reason permission where remedy message } } }"
	}
	return fmt.Sprintf("%s { %s(%s) %s }", a.operation, a.field.Name, strings.Join(args, ", "), selection)
}

// acquaint sets what the viewer knows: the last thing of each kind that they see, or what is not there.
func (w *world) acquaint(o *oracle, user int64) {
	w.knows = map[relay.Kind]relay.ID{}
	for _, kind := range allKinds {
		w.knows[kind] = relay.NewID(kind, 1<<40)
	}
	for _, id := range o.ids() {
		if o.sees(user, id) {
			w.knows[id.Kind()] = id
		}
	}
}

// TestHiddenAndInventedIDsAreOneAnswer sends, as every kind of user and for every argument that takes an id, the ids of
// all things that are there and hidden, those of another account among them, and ids that nobody has: the answers are
// the same to the byte. In a list the second id counts like the first.
func TestHiddenAndInventedIDsAreOneAnswer(t *testing.T) {
	w := maze(t, testdb.SQLite(t))
	o, schema := w.oracle(), generated.NewExecutableSchema(generated.Config{}).Schema()
	all, tried := o.ids(), map[string]int{}
	for _, viewer := range crawlers {
		ctx, user := w.as(viewer), w.ids[viewer]
		w.acquaint(o, user)
		for _, a := range idArguments(schema) {
			kinds, name := kindOf(a), a.field.Name+"("+strings.Join(a.path, ".")+")"
			if len(kinds) == 0 {
				t.Fatalf("%s: say in kindOf what it names", name)
			}
			for _, kind := range kinds {
				invented := w.answer(ctx, schema, a, relay.NewID(kind, 1<<40))
				for _, id := range all {
					if id.Kind() != kind || o.sees(user, id) || o.isKnown(user, a, id) {
						continue
					}
					tried[viewer]++
					if got := w.answer(ctx, schema, a, id); got != invented {
						t.Errorf("%s, %s, %c %d:\nhidden   %s\ninvented %s", viewer, name, kind, id.As(kind), got, invented)
					}
				}
			}
		}
	}
	for _, viewer := range crawlers {
		if tried[viewer] < 100 {
			t.Errorf("as %s only %d ids were tried", viewer, tried[viewer])
		}
	}
}

// isKnown is ruling 8: a contact can be passed to a group above one's own, which one need not see; and who sees a user
// hears by the id of the card that there is none, as an agent is named by the user too.
func (o *oracle) isKnown(user int64, a idArgument, id relay.ID) bool {
	n := id.As(id.Kind())
	switch id.Kind() {
	case relay.KindGroup:
		passes := []string{"assignContact", "transferContact", "assignContacts", "transferContacts"}
		return slices.Contains(passes, a.field.Name) && o.below(o.users[user].HomeGroupID, n)
	case relay.KindAgent:
		return o.sees(user, relay.NewID(relay.KindUser, n))
	case relay.KindUser:
		return slices.Contains(kindOf(a), relay.KindAgent) && len(kindOf(a)) == 2 && o.sees(user, relay.NewID(relay.KindAgent, n))
	}
	return false
}

// answer asks with the id at the argument; in a list it follows one that the viewer knows, or, where each is answered by
// itself, one that nobody has.
func (w *world) answer(ctx context.Context, schema *ast.Schema, a idArgument, id relay.ID) string {
	text := `"` + id.String() + `"`
	switch {
	case a.list && isBulk(a.field.Name): // which would be changed
		text = `["` + relay.NewID(id.Kind(), 1<<41).String() + `", ` + text + `]`
	case a.list:
		text = `["` + w.knows[id.Kind()].String() + `", ` + text + `]`
	}
	answer := w.run(ctx, w.document(schema, a, text), nil)
	if strings.Contains(answer, "INTERNAL_SERVER_ERROR") || strings.Contains(answer, "GRAPHQL_") {
		w.t.Errorf("%s: %s\n%s", w.document(schema, a, text), answer, w.log)
	}
	return answer
}
