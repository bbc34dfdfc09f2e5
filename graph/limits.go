package graph

import (
	"cmp"
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// Limits bounds what a query may cost, before anything of it is executed.
type Limits struct {
	Tokens     int // words and signs of the document
	Depth      int // fields within fields
	Fields     int // fields, those of fragments counted wherever they are spread
	Aliases    int // fields under another name
	Directives int
	Fragments  int // fragments, and places where one is spread
	Complexity int // fields of the answer, each list at its full length

	Payload time.Duration // for one payload of a subscription, from when it can be told
}

// DefaultLimits are far above what a page of a browser asks for, and above what GraphiQL does.
func DefaultLimits() Limits {
	return Limits{Tokens: 6000, Depth: 20, Fields: 1000, Aliases: 100, Directives: 100, Fragments: 100, Complexity: 300_000,
		Payload: 30 * time.Second}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	return Limits{
		Tokens: cmp.Or(l.Tokens, d.Tokens), Depth: cmp.Or(l.Depth, d.Depth), Fields: cmp.Or(l.Fields, d.Fields),
		Aliases: cmp.Or(l.Aliases, d.Aliases), Directives: cmp.Or(l.Directives, d.Directives),
		Fragments: cmp.Or(l.Fragments, d.Fragments), Complexity: cmp.Or(l.Complexity, d.Complexity), Payload: cmp.Or(l.Payload, d.Payload),
	}
}

// guard lets documents in. What is counted is counted before validation, which takes time that grows with the square
// of a document's size; complexity is counted after, because it depends on arguments.
type guard struct {
	limits        Limits
	schema        weighted
	documents     graphql.Cache[*ast.QueryDocument]
	introspection bool
}

// ExtensionName and Validate are what gqlgen wants of an extension.

func (g *guard) ExtensionName() string                     { return "Limits" }
func (g *guard) Validate(_ graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters counts what is in a document that is not known yet. One that does not parse is left to the
// executor, which says so.
func (g *guard) MutateOperationParameters(ctx context.Context, request *graphql.RawParams) *gqlerror.Error {
	if _, known := g.documents.Get(ctx, request.Query); known {
		return nil
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: request.Query}, g.limits.Tokens)
	if err != nil {
		return nil
	}
	return g.measure(doc)
}

// validation returns the rules of validation. Without introspection they suggest no names.
func (g *guard) validation() *rules.Rules {
	chosen := rules.NewDefaultRules()
	if g.introspection {
		return chosen
	}
	for _, r := range []struct{ loud, quiet core.Rule }{
		{rules.KnownArgumentNamesRule, rules.KnownArgumentNamesRuleWithoutSuggestions},
		{rules.KnownTypeNamesRule, rules.KnownTypeNamesRuleWithoutSuggestions},
		{rules.ValuesOfCorrectTypeRule, rules.ValuesOfCorrectTypeRuleWithoutSuggestions},
	} {
		chosen.RemoveRule(r.loud.Name)
		chosen.AddRule(r.quiet.Name, r.quiet.RuleFunc)
	}
	return chosen // the executor changes the other two
}

// MutateOperationContext counts what the operation would cost with its variables.
func (g *guard) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	op.DisableIntrospection = !g.introspection
	if err := oneStream(op); err != nil {
		return err
	}
	return g.weigh(ctx, op)
}

// measure refuses a document that is larger than the limits. It needs no schema and takes time in proportion to the
// document, whatever its fragments do.
func (g *guard) measure(doc *ast.QueryDocument) *gqlerror.Error {
	m := &measuring{guard: g, doc: doc, fragments: map[string]size{}, open: map[string]bool{}}
	m.count.Fragments = len(doc.Fragments)
	for _, f := range doc.Fragments {
		m.fragment(f.Name)
	}
	var whole size
	for _, op := range doc.Operations {
		m.directives(op.Directives)
		s := m.selections(op.SelectionSet)
		whole.fields += s.fields
		whole.depth = max(whole.depth, s.depth)
	}
	m.count.Fields, m.count.Depth = whole.fields, whole.depth
	if m.refused != nil {
		return m.refused
	}
	return m.count.within(g.limits)
}

// within names the first limit that is passed.
func (l Limits) within(limits Limits) *gqlerror.Error {
	for _, c := range []struct {
		what      string
		n, limit  int
		otherwise string
	}{
		{"directives", l.Directives, limits.Directives, "Use fewer."},
		{"fragments and spreads of fragments", l.Fragments, limits.Fragments, "Use fewer."},
		{"fields under other names", l.Aliases, limits.Aliases, "Send several requests, or ask for lists."},
		{"levels", l.Depth, limits.Depth, "Ask for the lower ones by their ids in another request."},
		{"fields", l.Fields, limits.Fields, "Send several requests."},
	} {
		if c.n > c.limit {
			return tooComplex("This query has %d %s; at most %d are allowed. %s", c.n, c.what, c.limit, c.otherwise)
		}
	}
	return nil
}

// size is how large a selection is with all its fragments in place.
type size struct{ fields, depth int }

// measuring counts through one document.
type measuring struct {
	guard     *guard
	doc       *ast.QueryDocument
	count     Limits
	fragments map[string]size // of those measured so far
	open      map[string]bool // of those that are being measured: a circle, which validation refuses
	refused   *gqlerror.Error
}

// enough keeps sums of sums from overflowing.
const enough = 1 << 30

func (m *measuring) selections(set ast.SelectionSet) size {
	var whole size
	for _, selection := range set {
		var s size
		switch sel := selection.(type) {
		case *ast.Field:
			s = m.field(sel)
		case *ast.InlineFragment:
			m.directives(sel.Directives)
			s = m.selections(sel.SelectionSet)
		case *ast.FragmentSpread:
			m.directives(sel.Directives)
			m.count.Fragments++
			s = m.fragment(sel.Name)
		}
		whole.fields = min(whole.fields+s.fields, enough)
		whole.depth = max(whole.depth, s.depth)
	}
	return whole
}

func (m *measuring) field(f *ast.Field) size {
	m.directives(f.Directives)
	if f.Alias != f.Name {
		m.count.Aliases++
	}
	if !m.guard.introspection && (f.Name == "__schema" || f.Name == "__type") {
		m.refuse(invalid(f.Position, "Introspection is switched off. The schema is part of the documentation."))
	}
	s := m.selections(f.SelectionSet)
	return size{fields: min(s.fields+1, enough), depth: s.depth + 1}
}

// fragment measures each fragment once, however often it is spread.
func (m *measuring) fragment(name string) size {
	f := m.doc.Fragments.ForName(name)
	if s, done := m.fragments[name]; done || f == nil || m.open[name] {
		return s
	}
	m.open[name] = true
	m.directives(f.Directives)
	s := m.selections(f.SelectionSet)
	m.open[name] = false
	m.fragments[name] = s
	return s
}

func (m *measuring) directives(list ast.DirectiveList) {
	m.count.Directives += len(list)
	for _, d := range list {
		if d.Name == "defer" {
			m.refuse(invalid(d.Position, "@defer is not supported; ask for the fields in another request."))
		}
	}
}

// refuse keeps the first fault.
func (m *measuring) refuse(err *gqlerror.Error) { m.refused = cmp.Or(m.refused, err) }
