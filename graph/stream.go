package graph

import (
	"context"

	"canopy/authz"
	"canopy/live"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// A subscription: its resolver checks what is subscribed to and begins a live.Stream. Whoever asks for the next response
// waits in fromStream for what the subscriber may hear of next, which is put into a context of its own, with the viewer as
// they stand at that moment and empty answers, and executed like the answer to a query.

// stream is what an operation has subscribed to.
type stream struct {
	*live.Stream
	field *graphql.FieldContext
	// offer hands the payload of a delivery to the executor and returns it; nil when there is nothing to tell.
	offer func(ctx context.Context, d *live.Delivery) (payload any, err error)
}

var streamKey = &contextKey{"stream"}

// asStream gives a subscription a place for its stream.
func (r *resolver) asStream(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Subscription {
		ctx = context.WithValue(ctx, streamKey, &stream{})
	}
	return next(ctx)
}

// subscribe begins a stream. Load makes the payload of a delivery under the viewer's eyes; nil when there is nothing to tell.
func subscribe[T any](ctx context.Context, r *resolver, i live.Interest, since *string,
	load func(ctx context.Context, s *live.Stream, d *live.Delivery) (*T, error)) (<-chan *T, error) {
	begun, err := r.live.Subscribe(ctx, i, since)
	if err != nil {
		return nil, err
	}
	payloads := make(chan *T, 1)
	s := ctx.Value(streamKey).(*stream)
	s.Stream, s.field = begun, graphql.GetFieldContext(ctx)
	s.offer = func(ctx context.Context, d *live.Delivery) (any, error) {
		p, err := load(ctx, begun, d)
		if p == nil || err != nil {
			return nil, err
		}
		payloads <- p
		return p, nil
	}
	return payloads, nil
}

// fromStream waits for the next payload of a subscription. An error ends the stream, and is its last response.
func (r *resolver) fromStream(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	s, _ := ctx.Value(streamKey).(*stream)
	if s == nil || s.Stream == nil {
		return next(ctx)
	}
	for {
		d, err := s.Next(ctx)
		if d == nil && err == nil {
			return nil
		}
		var response *graphql.Response
		if err == nil {
			response, err = r.tell(ctx, s, d, next)
		}
		if err != nil {
			s.Close()
			return &graphql.Response{Errors: gqlerror.List{r.present(graphql.WithFieldContext(ctx, s.field), err)}}
		}
		if response != nil {
			return response
		}
	}
}

// tell executes a delivery and returns its payload; nil when there is nothing to tell, and an error when it takes too long.
func (r *resolver) tell(ctx context.Context, s *stream, d *live.Delivery, next graphql.ResponseHandler) (*graphql.Response, error) {
	shown, cancel := context.WithTimeout(r.withAnswers(authz.NewContext(ctx, d.Viewer)), r.payloadTimeout)
	defer cancel()
	payload, err := s.offer(shown, d)
	if payload == nil || err != nil {
		return nil, err
	}
	r.descend(shown, s.field.Field.Definition.Type.Name(), []any{payload}, s.field.Field.Selections)
	response := next(shown)
	return response, shown.Err()
}

// oneStream refuses a subscription to anything but one field.
func oneStream(op *graphql.OperationContext) *gqlerror.Error {
	if op.Operation.Operation != ast.Subscription {
		return nil
	}
	fields := graphql.CollectFields(op, op.Operation.SelectionSet, []string{"Subscription"})
	if len(fields) == 1 && fields[0].Definition != nil && fields[0].Name != "__typename" {
		return nil
	}
	return invalid(op.Operation.Position, "Subscribe to exactly one field.")
}
