package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"canopy/audit"
	"canopy/authz"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// streamLimits bound what sockets and event streams may take of a process.
type streamLimits struct {
	open          int           // sockets and event streams
	arriving      int           // sockets that have not said yet for whom they are
	ofUser        int           // sockets and event streams of one user
	subscriptions int           // on one socket
	message       int64         // bytes of a message that a client sends
	arrival       time.Duration // until a socket says for whom it is
	write         time.Duration // for a client to take one message, or to answer a ping
	alive         time.Duration // between signs of life
}

// defaultStreamLimits leave room for several windows of a browser, each with all that a page shows. Proxies cut connections
// that are silent for a minute.
func defaultStreamLimits() streamLimits {
	return streamLimits{
		open: 10_000, arriving: 1000, ofUser: 50, subscriptions: 100, message: 64 << 10,
		arrival: 10 * time.Second, write: 10 * time.Second, alive: 20 * time.Second,
	}
}

// Why a stream ends. A client that lost its connection comes again.
var (
	errLeft      = errors.New("the client has left")
	errSlow      = errors.New("the client does not read")
	errGoingAway = errors.New("the server is going away")

	errFull     = errors.New("too many streams are open")
	errUserFull = errors.New("too many streams of one user are open")
)

// streams are the sockets and event streams that a server has open.
type streams struct {
	limits streamLimits

	mu       sync.Mutex
	open     map[*place]bool
	arriving int
	ofUser   map[int64]int
	ending   bool
	ended    chan struct{} // closed when none is open and none comes any more
}

func newStreams(limits streamLimits) *streams {
	return &streams{limits: limits, open: map[*place]bool{}, ofUser: map[int64]int{}, ended: make(chan struct{})}
}

// place is what one of the streams takes.
type place struct {
	of   *streams
	end  context.CancelCauseFunc
	user int64 // 0: it has not said yet for whom it is, or it is for nobody
	came bool
}

// enter takes a place for a stream, which is asked to end through end. It is given back by leave.
func (st *streams) enter(end context.CancelCauseFunc) (*place, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.ending:
		return nil, errGoingAway
	case len(st.open) >= st.limits.open, st.arriving >= st.limits.arriving:
		return nil, errFull
	}
	p := &place{of: st, end: end}
	st.open[p] = true
	st.arriving++
	return p, nil
}

// claim says for which user the stream is, 0 for nobody.
func (p *place) claim(user int64) error {
	st := p.of
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ofUser[user] >= st.limits.ofUser {
		return errUserFull
	}
	p.came, p.user = true, user
	st.arriving--
	st.ofUser[user]++
	return nil
}

func (p *place) leave() {
	st := p.of
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.open, p)
	if p.came {
		if st.ofUser[p.user]--; st.ofUser[p.user] == 0 {
			delete(st.ofUser, p.user)
		}
	} else {
		st.arriving--
	}
	st.settle()
}

// finish asks all streams to end and lets no other one begin.
func (st *streams) finish() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ending {
		return
	}
	st.ending = true
	for p := range st.open {
		p.end(errGoingAway)
	}
	st.settle()
}

func (st *streams) settle() {
	if st.ending && len(st.open) == 0 {
		close(st.ended)
	}
}

// wait returns nil when all streams have ended, after finish.
func (st *streams) wait(ctx context.Context) error {
	select {
	case <-st.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("server: streams were broken off: %w", ctx.Err())
	}
}

// follow executes a subscription and hands the body of each response to next, until the stream is over, next fails or ctx
// ends. It returns the response with which the stream failed, nil if it did not. How long a stream lasts is not limited,
// only how long it takes to begin; graph limits how long an event may take.
func (s *Server) follow(ctx context.Context, operation *graphql.OperationContext, next func(body []byte) error) (failed *graphql.Response) {
	defer s.rescue(ctx, &failed)
	s.metrics.subscriptions.Inc()
	defer s.metrics.subscriptions.Dec()
	outer := ctx
	ctx, end := context.WithCancel(ctx)
	defer end()
	late := time.AfterFunc(executionTimeout, end)
	responses, ctx := s.exec.DispatchOperation(ctx, operation)
	if !late.Stop() && outer.Err() == nil {
		return unavailable().response()
	}
	for {
		response := responses(ctx)
		if response == nil || ctx.Err() != nil {
			return nil
		}
		if response.Data == nil {
			return response
		}
		s.countErrors(ctx, response)
		body, err := encode(response)
		if err != nil {
			s.cfg.Log.ErrorContext(ctx, "encoding an event failed", "error", err)
			return internal(ctx).response()
		}
		if next(body) != nil {
			return nil
		}
	}
}

// rescue makes a panic the failure of one subscription. It has to be deferred itself.
func (s *Server) rescue(ctx context.Context, failed **graphql.Response) {
	if cause := recover(); cause != nil {
		s.cfg.Log.ErrorContext(ctx, "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		*failed = internal(ctx).response()
	}
}

// countErrors counts the errors that a client is told.
func (s *Server) countErrors(ctx context.Context, response *graphql.Response) {
	s.metrics.refused(response.Errors)
	noteOf(ctx).errors += len(response.Errors)
}

// isSubscription says what a stream may carry: queries and mutations have POST, where they may be repeated, read from the
// replica and set cookies.
func isSubscription(operation *graphql.OperationContext) bool {
	return operation.Operation.Operation == ast.Subscription
}

// endsSession says that a response refuses whoever is not logged in.
func endsSession(response *graphql.Response) bool {
	for _, e := range response.Errors {
		if e.Extensions["code"] == codeUnauthenticated {
			return true
		}
	}
	return false
}

func (p *problem) response() *graphql.Response {
	return &graphql.Response{Errors: gqlerror.List{{Message: p.message, Extensions: p.extensions}}}
}

// logSubscription logs one subscription when it is over.
func (s *Server) logSubscription(ctx context.Context, events int, took time.Duration) {
	n := noteOf(ctx)
	s.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "subscription", slog.String("operation", n.operation), slog.Int("events", events),
		slog.Int("errors", n.errors), slog.Duration("took", took), slog.String("client", n.client.String()), slog.Int64("user", n.user))
}

// ofOperation returns a context for the nth operation on a socket: it has an id and a note of its own.
func ofOperation(ctx context.Context, n int) context.Context {
	own := &note{client: clientOf(ctx)}
	return context.WithValue(audit.WithRequestID(ctx, fmt.Sprintf("%s.%d", audit.RequestID(ctx), n)), noteKey{}, own)
}

// userOf returns the number of the viewer of ctx, 0 for nobody.
func userOf(ctx context.Context) int64 {
	if v := authz.FromContext(ctx); v != nil {
		return v.UserID
	}
	return 0
}
