package graph

import (
	"context"
	"strings"

	"canopy/graph/generated"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
)

// NewWithoutLookAhead returns an executor in which every field loads for its own object and what is below it.
func NewWithoutLookAhead(cfg Config) (*executor.Executor, error) {
	r, e, err := build(cfg)
	if err != nil {
		return nil, err
	}
	e.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		if object := graphql.GetFieldContext(ctx).Object; !isRoot(object) {
			return next(ctx)
		}
		return next(r.withAnswers(ctx))
	})
	return e, nil
}

// ObjectFields lists the fields of all objects that a query can ask for, payloads left out.
func ObjectFields() []string {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	var names []string
	for _, def := range schema.Types {
		if def.Kind != ast.Object || def.BuiltIn || strings.HasSuffix(def.Name, "Payload") || def == schema.Mutation || def == schema.Subscription {
			continue
		}
		for _, field := range def.Fields {
			if !strings.HasPrefix(field.Name, "__") {
				names = append(names, def.Name+"."+field.Name)
			}
		}
	}
	return names
}

// Updating says whether golden files are to be written anew.
func Updating() bool { return *update }

// Differences lists the lines that two texts do not share.
func Differences(want, got string) string { return differences(want, got) }

// Naming are the recorded fields whose values are ids.
func Naming() []string { return naming }
