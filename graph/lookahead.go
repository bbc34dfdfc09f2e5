package graph

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"time"

	"canopy/authz"
	"canopy/graph/bind"
	"canopy/relay"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// The look-ahead: when a root field has its result, everything that the query asks below it is loaded level by level,
// each field once for all objects of its level, so that the number of statements depends on the query and not on the
// data. The resolvers of those fields then find their answer; one that does not loads it the same way, for its one
// object and what is below it.

// loader loads one field of an object type for any number of parents at once.
type loader[P, V any] struct {
	// key tells parents apart; parents with the same key have the same answer.
	key func(P) int64
	// load returns the values by key. Parents that are missing in it have the zero value.
	load func(ctx context.Context, parents []P, a asked) (map[int64]V, error)
}

// anyLoader is a loader whose types are not known.
type anyLoader interface {
	// fetch loads the field for those parents that have no answer yet and returns the values of all of them.
	fetch(ctx context.Context, parents []any, a asked) (values []any)
}

// asked is what a query asks of a field: its arguments, and of a connection whether it wants the total.
type asked struct {
	field     *ast.Field
	variables map[string]any
	total     bool
}

// args are the arguments by name; those that were left out have their defaults.
func (a asked) args() map[string]any { return a.field.ArgumentMap(a.variables) }

// answer is what a field of one parent has, with the error that its resolver reports.
type answer struct {
	value any
	err   error
}

// answerKey names a field of one parent. The same field can be asked with and without its total, where a fragment is
// used twice.
type answerKey struct {
	field  *ast.Field
	parent int64
	total  bool
}

// answers holds what was loaded below one root field. Root fields do not share it: the second mutation of a request
// must not see what the first one found.
type answers struct {
	mu     sync.Mutex
	fields map[answerKey]answer
	places map[int64]authz.Place
	now    func() time.Time
}

var answersKey = &contextKey{"answers"}

func (r *resolver) withAnswers(ctx context.Context) context.Context {
	return context.WithValue(ctx, answersKey, &answers{fields: map[answerKey]answer{}, places: map[int64]authz.Place{}, now: r.now})
}

func answersFrom(ctx context.Context) *answers { return ctx.Value(answersKey).(*answers) }

func (s *answers) get(k answerKey) (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.fields[k]
	return a, ok
}

func (s *answers) put(k answerKey, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fields[k] = a
}

// forget drops what was loaded to judge a mutation: it may be true no more.
func (s *answers) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.fields)
	clear(s.places)
}

func (l loader[P, V]) fetch(ctx context.Context, parents []any, a asked) []any {
	have := answersFrom(ctx)
	var missing []P
	var keys []answerKey
	seen := make(map[int64]bool, len(parents))
	for _, p := range parents {
		parent := p.(P)
		key := l.key(parent)
		if seen[key] {
			continue
		}
		seen[key] = true
		k := answerKey{a.field, key, a.total}
		if _, ok := have.get(k); !ok {
			missing = append(missing, parent)
		}
		keys = append(keys, k)
	}
	if len(missing) > 0 {
		loaded, err := l.load(ctx, missing, a)
		for _, parent := range missing {
			key := l.key(parent)
			have.put(answerKey{a.field, key, a.total}, answer{loaded[key], err})
		}
	}
	values := make([]any, 0, len(keys))
	for _, k := range keys {
		if found, _ := have.get(k); found.err == nil {
			values = append(values, found.value)
		}
	}
	return values
}

// take is the resolver of every field that has a loader: it returns what was looked ahead, or loads it now.
func take[V, P any](ctx context.Context, r *resolver, parent P) (V, error) {
	fc := graphql.GetFieldContext(ctx)
	l := r.loaders[fc.Object][fc.Field.Name].(loader[P, V])
	a := r.askedOf(ctx, fc.Field)
	key := answerKey{a.field, l.key(parent), a.total}
	found, ok := answersFrom(ctx).get(key)
	if !ok {
		r.follow(ctx, l, []any{parent}, fc.Field)
		found, _ = answersFrom(ctx).get(key)
	}
	value, _ := found.value.(V)
	return value, found.err
}

func (r *resolver) askedOf(ctx context.Context, field graphql.CollectedField) asked {
	op := graphql.GetOperationContext(ctx)
	a := asked{field: field.Field, variables: op.Variables}
	if typ := field.Definition.Type.Name(); strings.HasSuffix(typ, "Connection") {
		for _, f := range graphql.CollectFields(op, field.Selections, r.satisfies[typ]) {
			a.total = a.total || f.Name == "totalCount"
		}
	}
	return a
}

// lookAhead runs around every field. Below a root field it loads all that the query asks of the result.
func (r *resolver) lookAhead(ctx context.Context, next graphql.Resolver) (any, error) {
	fc := graphql.GetFieldContext(ctx)
	if !isRoot(fc.Object) {
		return next(ctx)
	}
	ctx = r.withAnswers(ctx)
	if fc.Object == "Subscription" {
		return next(ctx) // each payload is looked ahead when it comes
	}
	result, err := next(ctx)
	if fc.Object == "Mutation" {
		answersFrom(ctx).forget()
	}
	if err == nil && !strings.HasPrefix(fc.Field.Name, "__") {
		r.descend(ctx, fc.Field.Definition.Type.Name(), []any{result}, fc.Field.Selections)
	}
	return result, err
}

func isRoot(object string) bool {
	return object == "Query" || object == "Mutation" || object == "Subscription"
}

// follow loads a field for the parents, and what is asked below it.
func (r *resolver) follow(ctx context.Context, l anyLoader, parents []any, field graphql.CollectedField) {
	if len(parents) == 0 {
		return
	}
	values := l.fetch(ctx, parents, r.askedOf(ctx, field))
	if len(field.Selections) > 0 {
		r.descend(ctx, field.Definition.Type.Name(), values, field.Selections)
	}
}

// descend looks at the values of a field: objects or lists of objects, of the named type or of types that implement
// it.
func (r *resolver) descend(ctx context.Context, typ string, values []any, sel ast.SelectionSet) {
	objects := flatten(values)
	if typ != "Node" {
		r.ahead(ctx, typ, objects, sel)
		return
	}
	byType := map[string][]any{}
	for _, o := range objects {
		name := typeName(o.(bind.Node).GlobalID().Kind())
		byType[name] = append(byType[name], o)
	}
	for _, name := range r.nodeTypes {
		r.ahead(ctx, name, byType[name], sel)
	}
}

// ahead loads what the selection asks of objects of one type.
func (r *resolver) ahead(ctx context.Context, typ string, objects []any, sel ast.SelectionSet) {
	if len(objects) == 0 {
		return
	}
	for _, field := range graphql.CollectFields(graphql.GetOperationContext(ctx), sel, r.satisfies[typ]) {
		if l, ok := r.loaders[typ][field.Name]; ok {
			r.follow(ctx, l, r.permitted(ctx, objects, field.Definition), field)
		} else if len(field.Selections) > 0 {
			r.descend(ctx, field.Definition.Type.Name(), parts(objects, field.Name), field.Selections)
		}
	}
}

// flatten takes lists apart and leaves out what is null.
func flatten(values []any) []any {
	objects := make([]any, 0, len(values))
	for _, value := range values {
		v := reflect.ValueOf(value)
		switch {
		case !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil():
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				objects = append(objects, flatten([]any{v.Index(i).Interface()})...)
			}
		default:
			objects = append(objects, value)
		}
	}
	return objects
}

// parts returns the values of a field that is part of its object and needs no loading. An edge is represented by its
// connection.
func parts(objects []any, field string) []any {
	var values []any
	for _, o := range objects {
		if page, ok := o.(interface{ Each(func(any)) }); ok {
			switch field {
			case "edges":
				values = append(values, o)
			case "node", "nodes":
				page.Each(func(node any) { values = append(values, node) })
			}
			continue
		}
		v := reflect.Indirect(reflect.ValueOf(o))
		if v.Kind() != reflect.Struct {
			continue
		}
		part := v.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, field) })
		switch {
		case !part.IsValid():
		case part.Kind() == reflect.Struct && part.CanAddr():
			values = append(values, part.Addr().Interface())
		default:
			values = append(values, part.Interface())
		}
	}
	return values
}

// typeName returns the name that the schema has for things of that kind.
func typeName(kind relay.Kind) string {
	switch kind {
	case relay.KindAccount:
		return "Account"
	case relay.KindGroup:
		return "Group"
	case relay.KindUser:
		return "User"
	case relay.KindAgent:
		return "Agent"
	case relay.KindRole:
		return "Role"
	case relay.KindRoleGrant:
		return "RoleGrant"
	case relay.KindSession:
		return "Session"
	case relay.KindContact:
		return "Contact"
	case relay.KindContactAssignment:
		return "ContactAssignment"
	case relay.KindConversation:
		return "Conversation"
	case relay.KindHistoryEntry:
		return "HistoryEntry"
	case relay.KindMessage:
		return "Message"
	case relay.KindTag:
		return "Tag"
	case relay.KindNote:
		return "Note"
	case relay.KindAuditEvent:
		return "AuditEvent"
	case relay.KindGroupMove:
		return "GroupMove"
	case relay.KindGroupRequest:
		return "GroupRequest"
	}
	return ""
}
