package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"canopy/authz"
	"canopy/refusal"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// subprotocol is the one that sockets speak.
const subprotocol = "graphql-transport-ws"

// The codes with which sockets are closed, besides those of WebSocket itself.
const (
	closeInvalid        = websocket.StatusCode(4400)
	closeUnauthorized   = websocket.StatusCode(4401)
	closeForbidden      = websocket.StatusCode(4403)
	closeNotSpoken      = websocket.StatusCode(4406)
	closeNotInitialised = websocket.StatusCode(4408)
	closeIDTaken        = websocket.StatusCode(4409)
	closeInitialised    = websocket.StatusCode(4429)
	closeInternal       = websocket.StatusCode(4500)
)

// closing is why the server closes a socket, as the client is told.
type closing struct {
	code   websocket.StatusCode
	reason string // at most 123 bytes
}

func (c *closing) Error() string { return c.reason }

// closingOf says that a token is not good. Who is paused may come again without logging in anew.
func closingOf(refused *refusal.Refusal) *closing {
	if refused.Reason == refusal.AccessPaused {
		return &closing{closeForbidden, refused.Message}
	}
	return &closing{closeUnauthorized, refused.Message}
}

// socket is a WebSocket that speaks graphql-transport-ws. One goroutine reads, one watches, and each operation has its
// own; all have ended when run returns. Whatever happens ends it by the first cause.
type socket struct {
	s     *Server
	conn  *websocket.Conn
	asked string // the token of the handshake, "" for none
	place *place
	end   context.CancelCauseFunc
	came  chan struct{} // closed when it has said for whom it is

	token       string // by which each operation is judged; set before the first one
	initialised bool   // of the reader alone, like the rest
	accepted    bool
	begun       int

	mu         sync.Mutex
	operations map[string]*running // by the ids that are taken
	running    int
	all        sync.WaitGroup
}

// running is an operation that has not ended.
type running struct{ cancel context.CancelFunc }

// isHandshake says that a request wants to become a socket.
func isHandshake(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveSocket answers a handshake and then speaks on the socket until it is closed. A browser adds the session cookie to a
// handshake whoever made it and asks nobody before, so the check of where it comes from is all that keeps other sites out.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" && s.origins.foreign(r) {
		s.refuse(w, r, foreignOrigin())
		return
	}
	ctx, end := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer end(nil)
	taken, err := s.streams.enter(end)
	if err != nil {
		s.refuse(w, r, full(err))
		return
	}
	defer taken.leave()
	narrow(r)
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // it was verified above, by the rule of all requests
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return // it was answered
	}
	conn.SetReadLimit(s.streams.limits.message)
	k := &socket{s: s, conn: conn, asked: tokenOf(r), place: taken, end: end,
		came: make(chan struct{}), operations: map[string]*running{}}
	defer s.metrics.streaming("socket")()
	noteOf(ctx).streamed = true
	k.run(ctx)
	s.metrics.streamEnded("socket", context.Cause(ctx))
}

func (k *socket) run(ctx context.Context) {
	k.all.Go(func() { k.watch(ctx) })
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		k.close(context.Cause(ctx))
		close(closed)
	})
	k.end(k.read(ctx))
	<-closed
	k.all.Wait()
}

// close tells the client why, unless it does not listen.
func (k *socket) close(cause error) {
	var told *closing
	switch {
	case errors.As(cause, &told):
	case errors.Is(cause, errGoingAway):
		told = &closing{websocket.StatusGoingAway, "The server is going away. Come again."}
	default:
		_ = k.conn.CloseNow()
		return
	}
	_ = k.conn.Close(told.code, told.reason) // it fails when the client has gone, too
}

// watch ends a socket that does not say in time for whom it is, or gives no sign of life.
func (k *socket) watch(ctx context.Context) {
	limits := k.s.streams.limits
	late := time.NewTimer(limits.arrival)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return
	case <-late.C:
		k.end(&closing{closeNotInitialised, "Connection initialisation timeout"})
		return
	case <-k.came:
	}
	ticker := time.NewTicker(limits.alive)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := k.ping(limits.write); err != nil {
				_ = k.lost(err)
				return
			}
		}
	}
}

func (k *socket) ping(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return k.conn.Ping(ctx)
}

// read receives messages until the socket ends, and returns why it does.
func (k *socket) read(ctx context.Context) error {
	if k.conn.Subprotocol() != subprotocol {
		return &closing{closeNotSpoken, "Subprotocol not acceptable: speak " + subprotocol}
	}
	for {
		kind, data, err := k.conn.Read(context.WithoutCancel(ctx)) // an ended context would cut off the closing
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return errLeft
		case kind != websocket.MessageText:
			return invalid("Messages are text.")
		}
		m, wrong := parseMessage(data)
		if wrong != nil {
			return wrong
		}
		if err := k.receive(ctx, m); err != nil {
			return err
		}
	}
}

func (k *socket) receive(ctx context.Context, m *message) error {
	switch m.Type {
	case messageInit:
		return k.initialise(ctx, m)
	case messagePing:
		return k.write(messageOf(messagePong, "", m.Payload))
	case messageSubscribe:
		return k.subscribe(ctx, m)
	case messageComplete:
		k.complete(m.ID)
	}
	return nil
}

// initialise finds out for whom the socket is. It has to be for somebody, so that strangers hold none.
func (k *socket) initialise(ctx context.Context, m *message) error {
	if k.initialised {
		return &closing{closeInitialised, "Too many initialisation requests"}
	}
	k.initialised = true
	k.token = k.asked
	if m.authorization != "" {
		k.token = m.authorization
	}
	viewer, refused, p := k.s.viewerOf(ctx, k.token)
	switch {
	case refused != nil:
		return closingOf(refused)
	case p != nil && p.status == http.StatusServiceUnavailable:
		return &closing{websocket.StatusTryAgainLater, "Canopy is not available. Come again."}
	case p != nil:
		return &closing{closeInternal, "Something went wrong on our side."}
	}
	if err := k.place.claim(viewer.UserID); err != nil {
		return &closing{websocket.StatusTryAgainLater, "Too many sockets of this user are open. Close some."}
	}
	noteOf(ctx).user = viewer.UserID
	k.accepted = true
	close(k.came)
	return k.write(messageOf(messageAck, "", nil))
}

// subscribe begins an operation.
func (k *socket) subscribe(ctx context.Context, m *message) error {
	if !k.accepted {
		return &closing{closeUnauthorized, "Unauthorized"}
	}
	k.mu.Lock()
	_, taken := k.operations[m.ID]
	full := k.running >= k.s.streams.limits.subscriptions
	k.mu.Unlock()
	switch {
	case taken:
		return &closing{closeIDTaken, idTaken(m.ID)}
	case full:
		return k.fail(ctx, m.ID, tooMany("This socket carries as many subscriptions as it may. Complete some.").response())
	}
	k.begun++
	own, cancel := context.WithCancel(ofOperation(ctx, k.begun))
	o := &running{cancel}
	k.mu.Lock()
	k.operations[m.ID] = o
	k.running++
	k.mu.Unlock()
	k.all.Go(func() {
		defer func() {
			cancel()
			k.mu.Lock()
			k.running--
			k.mu.Unlock()
		}()
		k.operate(own, o, m)
	})
	return nil
}

func idTaken(id string) string { return "Subscriber for " + id + " already exists" }

// complete ends the operation whose id it is, if there is one: the client wants no more of it.
func (k *socket) complete(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o := k.operations[id]; o != nil {
		o.cancel()
		delete(k.operations, id)
	}
}

// release gives back the id of an operation and says whether it had it still.
func (k *socket) release(id string, o *running) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.operations[id] != o {
		return false
	}
	delete(k.operations, id)
	return true
}

// operate carries one operation from its beginning to its end. Ctx ends when the client wants no more of it.
func (k *socket) operate(ctx context.Context, o *running, m *message) {
	began, events := time.Now(), 0
	failed := k.perform(ctx, m.params, func(body []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		events++
		return k.write(messageOf(messageNext, m.ID, body))
	})
	defer func() { k.s.logSubscription(ctx, events, time.Since(began)) }()
	// The id is given back before the client hears of it, which may use it again then.
	if !k.release(m.ID, o) || ctx.Err() != nil {
		return
	}
	if failed == nil {
		_ = k.write(messageOf(messageComplete, m.ID, nil))
		return
	}
	if k.fail(ctx, m.ID, failed) != nil || !endsSession(failed) {
		return
	}
	// Nothing else may run on the socket once its session is over.
	if _, refused, _ := k.s.viewerOf(context.WithoutCancel(ctx), k.token); refused != nil {
		k.end(closingOf(refused))
	}
}

// perform executes an operation for whoever the token stands for by now.
func (k *socket) perform(ctx context.Context, params *graphql.RawParams, next func(body []byte) error) (failed *graphql.Response) {
	defer k.s.rescue(ctx, &failed)
	viewer, refused, p := k.s.viewerOf(ctx, k.token)
	switch {
	case refused != nil:
		k.end(closingOf(refused))
		return nil
	case p != nil:
		return p.response()
	}
	noteOf(ctx).user = viewer.UserID
	ctx = graphql.StartOperationTrace(authz.NewContext(ctx, viewer))
	operation, wrong := k.s.exec.CreateOperationContext(ctx, params)
	if wrong != nil {
		return k.s.exec.DispatchError(graphql.WithOperationContext(ctx, operation), wrong)
	}
	noteOf(ctx).operation = operationName(operation)
	if !isSubscription(operation) {
		return bad(http.StatusBadRequest, "A socket carries subscriptions. Send queries and mutations by POST.").response()
	}
	return k.s.follow(ctx, operation, next)
}

// fail tells that an operation is over because of errors.
func (k *socket) fail(ctx context.Context, id string, failed *graphql.Response) error {
	k.s.countErrors(ctx, failed)
	list := failed.Errors
	if list == nil {
		list = gqlerror.List{}
	}
	payload, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return k.write(messageOf(messageError, id, payload))
}

// write sends a message. A client that does not take it in time is not waited for any longer.
func (k *socket) write(message []byte) error {
	// That it is slow has to be said before anybody sees that the connection is gone.
	late := time.AfterFunc(k.s.streams.limits.write, func() { k.end(errSlow) })
	defer late.Stop()
	// Not the context of an operation: when that ends half a message would be sent, and the socket be lost.
	err := k.conn.Write(context.Background(), websocket.MessageText, message)
	if err != nil {
		return k.lost(err)
	}
	return nil
}

// lost ends the socket after something could not be sent, and returns why.
func (k *socket) lost(err error) error {
	cause := errLeft
	if errors.Is(err, context.DeadlineExceeded) {
		cause = errSlow
	}
	k.end(cause)
	return cause
}
