package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
)

// NewWithoutLookAhead returns an executor in which every field loads for its own object.
func NewWithoutLookAhead(cfg Config) (*executor.Executor, error) {
	_, e, err := build(cfg)
	if err != nil {
		return nil, err
	}
	e.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		if graphql.GetFieldContext(ctx).Parent.Object != "" {
			return next(ctx)
		}
		return next(withAnswers(ctx))
	})
	return e, nil
}
