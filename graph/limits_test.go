package graph_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/graph"
	"canopy/internal/testdb"
)

func TestDocumentsThatAreTooLargeAreRefused(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	limits := graph.DefaultLimits()
	for name, refused := range map[string]struct{ query, code string }{
		"tokens":              {"{ " + strings.Repeat("viewer ", limits.Tokens) + "}", "GRAPHQL_PARSE_FAILED"},
		"fields":              {"{ viewer {" + strings.Repeat(" modules", limits.Fields) + " } }", "QUERY_TOO_COMPLEX"},
		"fields of fragments": {spreading(limits.Fragments / 3), "QUERY_TOO_COMPLEX"},
		"levels":              {"{ rootGroup " + strings.Repeat("{ parent ", limits.Depth) + "{ name }" + strings.Repeat(" }", limits.Depth) + " }", "QUERY_TOO_COMPLEX"},
		"levels of fragments": {deepening(limits.Depth), "QUERY_TOO_COMPLEX"},
		"aliases":             {"{ " + aliases(limits.Aliases+1) + "}", "QUERY_TOO_COMPLEX"},
		"directives":          {"{ viewer { modules " + strings.Repeat("@skip(if: false) ", limits.Directives+1) + "} }", "QUERY_TOO_COMPLEX"},
		"fragments":           {"{ viewer { ...a } } " + fragments(limits.Fragments), "QUERY_TOO_COMPLEX"},
		"spreads":             {"{ viewer { " + strings.Repeat("...a ", limits.Fragments) + "} } fragment a on Viewer { modules }", "QUERY_TOO_COMPLEX"},
		"circles":             {"{ viewer { ...a } } fragment a on Viewer { ...b } fragment b on Viewer { ...a }", "GRAPHQL_VALIDATION_FAILED"},
		"pages in pages":      {`{ groups(first: 200) { nodes { descendants(first: 200) { nodes { users(first: 200) { nodes { name } } } } } } }`, "QUERY_TOO_COMPLEX"},
		"pages without end":   {`{ groups(first: 200) ` + strings.Repeat(`{ nodes { children(first: 200) `, 9) + `{ totalCount }` + strings.Repeat(` } }`, 9) + ` }`, "QUERY_TOO_COMPLEX"},
		"pages by variables":  {`query($n: Int = 200) { groups(first: $n) { nodes { children(first: $n) { nodes { users(first: $n) { nodes { name } } } } } } }`, "QUERY_TOO_COMPLEX"},
		"lists in lists":      {`{ users(first: 200) { nodes { grants { role { mayGive { pairs { scope } } } } } } }`, "QUERY_TOO_COMPLEX"},
		"defer":               {`{ viewer { ... @defer { modules } } }`, "GRAPHQL_VALIDATION_FAILED"},
		"no operation":        {`fragment a on Viewer { modules }`, "GRAPHQL_VALIDATION_FAILED"},
		"nothing":             {``, "GRAPHQL_VALIDATION_FAILED"},
		"no such field":       {`{ nothing }`, "GRAPHQL_VALIDATION_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			answer := w.run(w.as("olga"), refused.query, nil)
			if !strings.Contains(answer, `"code":"`+refused.code+`"`) {
				t.Errorf("got %.400s, want %s", answer, refused.code)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("refusing took %v", took)
			}
		})
	}
}

// spreading doubles its fields with every fragment: measuring it must not take as long as executing it would.
func spreading(n int) string {
	var b strings.Builder
	b.WriteString("{ viewer { ...f0 } }")
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on Viewer { ...f%d ...f%d }", i, i+1, i+1)
	}
	fmt.Fprintf(&b, " fragment f%d on Viewer { modules }", n)
	return b.String()
}

func deepening(n int) string {
	var b strings.Builder
	b.WriteString("{ rootGroup { ...f0 } }")
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on Group { parent { ...f%d } }", i, i+1)
	}
	fmt.Fprintf(&b, " fragment f%d on Group { name }", n)
	return b.String()
}

func aliases(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d: viewer { modules } ", i)
	}
	return b.String()
}

func fragments(n int) string {
	var b strings.Builder
	b.WriteString("fragment a on Viewer { modules }")
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on Viewer { modules }", i)
	}
	return b.String()
}

// TestDocumentsWithinTheLimitsAreFast bounds the time of the worst documents that the limits let through: validation
// takes time that grows with the square of the fields.
func TestDocumentsWithinTheLimitsAreFast(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	limits := graph.DefaultLimits()
	var spread strings.Builder
	n := limits.Fragments/2 - 1
	for i := range n {
		fmt.Fprintf(&spread, " fragment f%d on Viewer { %s ...f%d }", i, strings.Repeat("modules ", limits.Fields/n-1), i+1)
	}
	fmt.Fprintf(&spread, " fragment f%d on Viewer { modules }", n)
	for name, query := range map[string]string{
		"one field many times": "{ viewer {" + strings.Repeat(" modules", limits.Fields-1) + " } }",
		"chained fragments":    "{ viewer { ...f0 } }" + spread.String(),
		"many ids":             "{ nodes(ids: [" + strings.Repeat(`"x" `, 100) + "]) { id } }",
	} {
		began := time.Now()
		answer := w.run(w.as("olga"), query, nil)
		took := time.Since(began)
		t.Logf("%s: %v", name, took)
		if took > 5*time.Second || !strings.HasPrefix(answer, `{"data"`) {
			t.Errorf("%s took %v: %.200s", name, took, answer)
		}
	}
}

func TestGraphiQLMayAskForTheSchema(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	if answer := w.run(context.Background(), introspection, nil); !strings.HasPrefix(answer, `{"data":{"__schema"`) {
		t.Errorf("got %.400s", answer)
	}
}

func TestIntrospectionSwitchedOff(t *testing.T) {
	w := company(t, testdb.SQLite(t), func(c *graph.Config) { c.Introspection = false })
	for _, query := range []string{`{ __schema { types { name } } }`, `{ __type(name: "User") { name } }`, introspection} {
		answer := w.run(w.as("olga"), query, nil)
		if !strings.Contains(answer, "Introspection is switched off") {
			t.Errorf("got %.400s", answer)
		}
	}
	for _, query := range []string{`{ viewe { user } }`, `{ viewer { use } }`, `{ viewer }`, `{ node(i: 1) { id } }`, `{ node(id: "x") { ... on Use { id } } }`, `{ inbox(box: YO) { totalCount } }`} {
		answer := w.run(w.as("olga"), query, nil)
		if strings.Contains(answer, "Did you mean") || !strings.Contains(answer, "GRAPHQL_VALIDATION_FAILED") {
			t.Errorf("%s tells: %s", query, answer)
		}
	}
	if got := w.ask("olga", `{ __typename viewer { __typename } }`); got != `{"__typename":"Query","viewer":{"__typename":"Viewer"}}` {
		t.Errorf("got %s", got)
	}
}

// introspection is what GraphiQL asks.
const introspection = `query IntrospectionQuery { __schema { queryType { name kind } mutationType { name kind } subscriptionType { name kind }
	types { ...FullType } directives { name description isRepeatable locations args { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL isOneOf
	fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
	inputFields { ...InputValue } interfaces { ...TypeRef }
	enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
	ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`
