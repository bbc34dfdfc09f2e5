package authz_test

import (
	"os"
	"testing"

	"canopy/authz"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// TestSchemaEnumsAreTheTable: the enums of schema.graphql have the values of the table, in its order, and say of a
// permission what the table says.
func TestSchemaEnumsAreTheTable(t *testing.T) {
	text, err := os.ReadFile("../schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parser.ParseSchema(&ast.Source{Name: "schema.graphql", Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	descriptions := map[string]string{}
	for _, p := range authz.Permissions() {
		want["Permission"] = append(want["Permission"], p.String())
		descriptions[p.String()] = p.Definition().Description
	}
	for _, s := range authz.Scopes() {
		want["Scope"] = append(want["Scope"], s.String())
	}
	for _, m := range authz.AllPermissions.Modules() {
		want["Module"] = append(want["Module"], string(m))
	}
	for name, values := range want {
		enum := doc.Definitions.ForName(name)
		if enum == nil || len(enum.EnumValues) != len(values) {
			t.Errorf("the enum %s of the schema does not have %d values", name, len(values))
			continue
		}
		for i, v := range enum.EnumValues {
			if v.Name != values[i] {
				t.Errorf("value %d of %s is %s and not %s", i, name, v.Name, values[i])
			}
			if d, ok := descriptions[v.Name]; ok && name == "Permission" && d != v.Description {
				t.Errorf("the schema says of %s: %q, the table: %q", v.Name, v.Description, d)
			}
		}
	}
}
