package graph

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/graph/generated"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

var update = flag.Bool("update", false, "write golden files anew")

func schemaOf() *ast.Schema {
	return generated.NewExecutableSchema(generated.Config{Resolvers: &resolver{}}).Schema()
}

// ours are the types of the schema that are not GraphQL's own, in order.
func ours(schema *ast.Schema) []*ast.Definition {
	var defs []*ast.Definition
	for _, def := range schema.Types {
		if !def.BuiltIn {
			defs = append(defs, def)
		}
	}
	slices.SortFunc(defs, func(a, b *ast.Definition) int { return strings.Compare(a.Name, b.Name) })
	return defs
}

func TestEveryFieldSaysWhoMayAskForIt(t *testing.T) {
	if err := (&resolver{}).checkSchema(schemaOf()); err != nil {
		t.Error(err)
	}
}

// TestSchemaWithAGapIsRefused takes the guard's guard: New asks checkSchema before anything can be executed.
func TestSchemaWithAGapIsRefused(t *testing.T) {
	const head = `
		directive @public on FIELD_DEFINITION
		directive @authenticated on FIELD_DEFINITION
		directive @hasPermission(permission: String!, at: [String!], anywhere: Boolean) repeatable on FIELD_DEFINITION
	`
	for name, fault := range map[string]struct{ sdl, says string }{
		"a field without directive":         {`type Query { a: Int }`, "Query.a: has 0 access directives"},
		"an interface field without":        {`interface I { a: Int } type Query { a: Int @public }`, "I.a: has 0"},
		"two directives":                    {`type Query { a: Int @public @authenticated }`, "Query.a: has 2"},
		"the same directive twice":          {`type Query { a: Int @hasPermission(permission: "A") @hasPermission(permission: "B") }`, "Query.a: has 2"},
		"a nested type without":             {`type Query { a: T @public } type T { b: Int }`, "T.b: has 0"},
		"a guarded field that is needed":    {`type Query { a: Int! @hasPermission(permission: "A") }`, "cannot be null"},
		"a place that is no argument":       {`type Query { a(b: ID!): Int @hasPermission(permission: "A", at: ["groupId"]) }`, `has no argument "groupId"`},
		"a place that is no id":             {`type Query { a(groupId: Int!): Int @hasPermission(permission: "A", at: ["groupId"]) }`, "names no place"},
		"a place that cannot be located":    {`type Query { a(roleId: ID!): Int @hasPermission(permission: "A", at: ["roleId"]) }`, "names no place"},
		"a nested place that is not there":  {`input In { b: ID } type Query { a(in: In!): Int @hasPermission(permission: "A", at: ["in.groupId"]) }`, `has no argument "in.groupId"`},
		"a place on an object":              {`type Query { a: Group @public } type Group { b: Int @hasPermission(permission: "A", at: ["groupId"]) }`, "no place"},
		"a guard on an object that is none": {`type Query { a: T @public } type T { b: Int @hasPermission(permission: "A") }`, "no place"},
	} {
		t.Run(name, func(t *testing.T) {
			schema, err := gqlparser.LoadSchema(&ast.Source{Input: head + fault.sdl})
			if err != nil {
				t.Fatal(err)
			}
			if err := (&resolver{}).checkSchema(schema); err == nil || !strings.Contains(err.Error(), fault.says) {
				t.Errorf("got %v, want %q", err, fault.says)
			}
		})
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	schema := schemaOf()
	for _, def := range ours(schema) {
		describe(t, def.Name, def.Description)
		for _, value := range def.EnumValues {
			describe(t, def.Name+"."+value.Name, value.Description)
		}
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			describe(t, def.Name+"."+field.Name, field.Description)
			for _, arg := range field.Arguments {
				describe(t, fmt.Sprintf("%s.%s(%s)", def.Name, field.Name, arg.Name), arg.Description)
			}
		}
	}
	for name, directive := range schema.Directives {
		describe(t, "@"+name, directive.Description)
		for _, arg := range directive.Arguments {
			describe(t, "@"+name+"("+arg.Name+")", arg.Description)
		}
	}
}

func describe(t *testing.T, name, description string) {
	t.Helper()
	builtIn := []string{"@defer", "@defer(if)", "@defer(label)", "@oneOf"}
	if strings.TrimSpace(description) == "" && !slices.Contains(builtIn, name) {
		t.Errorf("%s is not described", name)
	}
}

// TestAgentsAreNamedByTheirCardsOrAsUsers wants every input that takes an agent to say so.
func TestAgentsAreNamedByTheirCardsOrAsUsers(t *testing.T) {
	for _, def := range ours(schemaOf()) {
		if def.Kind != ast.InputObject {
			continue
		}
		for _, field := range def.Fields {
			if name := strings.ToLower(field.Name); strings.HasSuffix(name, "agentid") && !strings.Contains(field.Description, "card or of the user will do") {
				t.Errorf("%s.%s: %s", def.Name, field.Name, field.Description)
			}
		}
	}
}

// TestPermissionsOfTheSchemaAreTheTable compares the enum with the one table of permissions.
func TestPermissionsOfTheSchemaAreTheTable(t *testing.T) {
	var got, want []string
	for _, value := range schemaOf().Types["Permission"].EnumValues {
		got = append(got, value.Name+": "+value.Description)
	}
	for _, p := range authz.Permissions() {
		want = append(want, p.String()+": "+p.Definition().Description)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the schema has\n%s\nthe table has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestContract shows every change of the API in one file, without the descriptions.
func TestContract(t *testing.T) {
	var b strings.Builder
	for _, def := range ours(schemaOf()) {
		fmt.Fprintf(&b, "%s %s", strings.ToLower(string(def.Kind)), def.Name)
		if len(def.Interfaces) > 0 {
			fmt.Fprintf(&b, " implements %s", strings.Join(def.Interfaces, " & "))
		}
		b.WriteByte('\n')
		for _, value := range def.EnumValues {
			fmt.Fprintf(&b, "  %s\n", value.Name)
		}
		for _, field := range def.Fields {
			if !strings.HasPrefix(field.Name, "__") {
				fmt.Fprintf(&b, "  %s\n", signature(field))
			}
		}
	}
	golden := filepath.Join("testdata", "contract.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the contract has changed; look at it and run `go test ./graph -run TestContract -update`:\n%s", differences(string(want), b.String()))
	}
}

func signature(field *ast.FieldDefinition) string {
	text := field.Name
	if len(field.Arguments) > 0 {
		var args []string
		for _, arg := range field.Arguments {
			args = append(args, arg.Name+": "+arg.Type.String()+defaultOf(arg.DefaultValue))
		}
		text += "(" + strings.Join(args, ", ") + ")"
	}
	text += ": " + field.Type.String() + defaultOf(field.DefaultValue)
	for _, d := range field.Directives {
		text += " @" + d.Name
		var args []string
		for _, arg := range d.Arguments {
			args = append(args, arg.Name+": "+arg.Value.String())
		}
		if len(args) > 0 {
			text += "(" + strings.Join(args, ", ") + ")"
		}
	}
	return text
}

func defaultOf(value *ast.Value) string {
	if value == nil {
		return ""
	}
	return " = " + value.String()
}

func differences(want, got string) string {
	var b strings.Builder
	old, new := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range old {
		if !slices.Contains(new, line) {
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	for _, line := range new {
		if !slices.Contains(old, line) {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	return b.String()
}

// TestEveryResolverHasALoader wants every field of an object that needs a statement to be looked ahead: what is not in
// the list of loaders computes its answer from the object alone.
func TestEveryResolverHasALoader(t *testing.T) {
	computed := []string{
		"Agent.workingHours", "Conversation.open", "Conversation.snoozedUntil", "Group.viewerPermissions", "GroupMove.progress", "HistoryEntry.method", "Role.builtIn", "Role.pairs", "RoleGrant.followsHomeGroup",
		"RoleGrant.inForce", "Session.current",
	}
	loaders := (&resolver{}).allLoaders()
	for _, name := range resolvedFields(schemaOf()) {
		typ, field, _ := strings.Cut(name, ".")
		if _, ok := loaders[typ][field]; !ok && !slices.Contains(computed, name) {
			t.Errorf("%s is resolved one by one", name)
		}
	}
}

// resolvedFields lists the fields of objects that have a resolver, as the schema spells them.
func resolvedFields(schema *ast.Schema) []string {
	var names []string
	root := reflect.TypeFor[generated.ResolverRoot]()
	for i := range root.NumMethod() {
		typ := root.Method(i)
		if isRoot(typ.Name) {
			continue
		}
		resolver := typ.Type.Out(0)
		for j := range resolver.NumMethod() {
			for _, field := range schema.Types[typ.Name].Fields {
				if strings.EqualFold(field.Name, resolver.Method(j).Name) {
					names = append(names, typ.Name+"."+field.Name)
				}
			}
		}
	}
	return names
}
