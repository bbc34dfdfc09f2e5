package server

import (
	"context"
	"time"

	"canopy/authz"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// replicaTimeout is how long the replica may take for a query before the primary is asked instead.
const replicaTimeout = 5 * time.Second

// run executes the operation: a query on the replica where that may be, and everything else on the primary. Only an
// answer without errors is the replica's. What it refuses may be there by now, and what it fails at may succeed, so the
// primary has the last word.
func (s *Server) run(ctx context.Context, token string, params *graphql.RawParams, operation *graphql.OperationContext) *graphql.Response {
	if onReplica, may := s.mayBeOld(ctx, token, operation); may {
		onReplica, cancel := context.WithTimeout(onReplica, replicaTimeout)
		defer cancel()
		if response := s.dispatch(onReplica, operation); len(response.Errors) == 0 {
			s.metrics.replica.WithLabelValues("answered").Inc()
			return response
		}
		s.metrics.replica.WithLabelValues("failed").Inc()
		operation, _ = s.exec.CreateOperationContext(ctx, params) // it was made from the same before
	}
	return s.dispatch(ctx, operation)
}

func (s *Server) dispatch(ctx context.Context, operation *graphql.OperationContext) *graphql.Response {
	next, ctx := s.exec.DispatchOperation(ctx, operation)
	return next(ctx)
}

// mayBeOld returns a context that reads from the replica, if the operation is a query and the replica knows of who asks
// exactly what the primary has just said: the session, how often it wrote, and every grant with its place. So it has
// repeated whatever this session wrote; no access that ended counts any more; and no access counts for rows as they were
// before it was given.
func (s *Server) mayBeOld(ctx context.Context, token string, operation *graphql.OperationContext) (context.Context, bool) {
	viewer := authz.FromContext(ctx)
	if viewer == nil || operation.Operation.Operation != ast.Query {
		return ctx, false
	}
	onReplica, may := s.cfg.DB.OnReplica(ctx)
	if !may {
		return ctx, false
	}
	limited, cancel := context.WithTimeout(onReplica, replicaTimeout)
	defer cancel()
	known, err := s.cfg.Directory.Authenticate(limited, token)
	if err != nil || !known.Same(viewer) {
		s.metrics.replica.WithLabelValues("behind").Inc()
		return ctx, false
	}
	return onReplica, true
}
