package graph

import (
	"context"
	"database/sql/driver"
	"log/slog"
	"testing"

	"canopy/refusal"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// TestWhatAMutationDidIsNotDenied: below the root field of a mutation the change has been made, whatever the database
// does afterwards.
func TestWhatAMutationDidIsNotDenied(t *testing.T) {
	r := &resolver{log: slog.New(slog.DiscardHandler)}
	root, below := ast.Path{ast.PathName("moveGroup")}, ast.Path{ast.PathName("moveGroup"), ast.PathName("group")}
	for _, c := range []struct {
		kind ast.Operation
		path ast.Path
		want refusal.Reason
	}{
		{ast.Mutation, root, ""}, {ast.Mutation, below, refusal.ChangeMade}, {ast.Query, below, ""},
	} {
		ctx := graphql.WithOperationContext(context.Background(), &graphql.OperationContext{Operation: &ast.OperationDefinition{Operation: c.kind}})
		shown := r.present(ctx, gqlerror.WrapPath(c.path, driver.ErrBadConn))
		reason, _ := shown.Extensions["reason"].(string)
		if shown.Extensions["code"] != "UNAVAILABLE" || refusal.Reason(reason) != c.want {
			t.Errorf("%s at %s is %v", c.kind, c.path, shown.Extensions)
		}
	}
}
