package server

import (
	"cmp"
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// StreamLimits are limits on streams for a test; what is 0 stays as it is.
type StreamLimits struct {
	Open, OfUser, Subscriptions int
	Arrival, Write, Alive       time.Duration
}

// Stage lets a test put other operations, unless they are nil, and other limits on streams, behind the transports. It comes before the first
// request.
func (s *Server) Stage(exec graphql.GraphExecutor, l StreamLimits) {
	d := &s.streams.limits
	d.open, d.ofUser, d.subscriptions = cmp.Or(l.Open, d.open), cmp.Or(l.OfUser, d.ofUser), cmp.Or(l.Subscriptions, d.subscriptions)
	d.arrival, d.write, d.alive = cmp.Or(l.Arrival, d.arrival), cmp.Or(l.Write, d.write), cmp.Or(l.Alive, d.alive)
	if exec != nil {
		s.exec = exec
	}
}

// KeepConn is what a server is told of its connections.
var KeepConn = keepConn

// EndStreams ends all streams as a server does that stops, and waits for them.
func (s *Server) EndStreams(ctx context.Context) error {
	s.streams.finish()
	return s.rest(ctx)
}
