package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"

	"canopy/server"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// stage is a schema whose subscriptions do what a test says.
type stage struct {
	schema *ast.Schema
	begun  chan struct{} // one for each feed that has begun
	feed   chan string   // what feeds tell; closed: they are over
	ended  chan struct{} // one for each feed whose context has ended
}

const stageSchema = `
type Query { hello: String }
type Mutation { change: String }
type Subscription {
  ticks(n: Int!): Int
  feed: String
  flood: String
  loggedOut: String
  failing: String
  panicking: String
}`

func newStage() *stage {
	return &stage{schema: gqlparser.MustLoadSchema(&ast.Source{Input: stageSchema}),
		begun: make(chan struct{}, 1000), feed: make(chan string), ended: make(chan struct{}, 1000)}
}

func (s *stage) Schema() *ast.Schema { return s.schema }

func (s *stage) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

func said(field string, value any) *graphql.Response {
	data, err := json.Marshal(map[string]any{field: value})
	if err != nil {
		panic(err)
	}
	return &graphql.Response{Data: data}
}

func refusedAs(code string) *graphql.Response {
	return &graphql.Response{Errors: gqlerror.List{{Message: "No.", Extensions: map[string]any{"code": code}}}}
}

// Exec executes the one field of the operation.
func (s *stage) Exec(ctx context.Context) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	field := op.Operation.SelectionSet[0].(*ast.Field)
	switch field.Name {
	case "ticks":
		n, i := field.ArgumentMap(op.Variables)["n"].(int64), int64(0)
		return func(context.Context) *graphql.Response {
			if i++; i > n {
				return nil
			}
			return said("ticks", i)
		}
	case "feed":
		s.begin(ctx)
		return func(ctx context.Context) *graphql.Response {
			select {
			case text, more := <-s.feed:
				if !more {
					return nil
				}
				return said("feed", text)
			case <-ctx.Done():
				return nil
			}
		}
	case "flood":
		s.begin(ctx)
		return func(context.Context) *graphql.Response { return said("flood", strings.Repeat("x", 64<<10)) }
	case "loggedOut":
		return graphql.OneShot(refusedAs("UNAUTHENTICATED"))
	case "failing":
		return graphql.OneShot(refusedAs("NOT_FOUND"))
	case "panicking":
		return func(context.Context) *graphql.Response { panic("no more biscuits") }
	}
	return graphql.OneShot(said(field.Name, "done"))
}

func (s *stage) begin(ctx context.Context) {
	s.begun <- struct{}{}
	context.AfterFunc(ctx, func() { s.ended <- struct{}{} })
}

// newStreamSite is a site with a stage behind it. When the test is over nothing of its streams may be left.
func newStreamSite(t *testing.T, limits server.StreamLimits, change func(*server.Config)) (*site, *stage) {
	t.Helper()
	st := newStage()
	real := newSite(t, change)
	token := real.token(t)
	real.tokens = append(real.tokens, token)
	real.server.Stage(executor.New(st), limits)
	t.Cleanup(func() {
		if err := real.server.EndStreams(context.Background()); err != nil {
			t.Error(err)
		}
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
			if strings.Contains(stack, "server.(*socket)") || strings.Contains(stack, "server.(*Server).follow") {
				t.Errorf("something is left of a stream:\n%s", stack)
			}
		}
	})
	return real, st
}

// line is a socket as its client has it.
type line struct {
	t *testing.T
	*websocket.Conn
}

// frame is a message as it was sent.
type frame struct {
	Type, ID string
	Payload  json.RawMessage
}

func (s *site) dial(t *testing.T, protocol string, header ...string) (*line, *http.Response, error) {
	t.Helper()
	o := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if protocol != "" {
		o.Subprotocols = []string{protocol}
	}
	for i := 0; i < len(header); i += 2 {
		o.HTTPHeader.Set(header[i], header[i+1])
	}
	conn, response, err := websocket.Dial(t.Context(), s.URL+"/graphql", o)
	if err != nil {
		return nil, response, err
	}
	conn.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &line{t, conn}, response, nil
}

// socket opens one for the owner and initialises it.
func (s *site) socket(t *testing.T) *line {
	t.Helper()
	l := s.open1(t)
	l.send(`{"type":"connection_init","payload":{"authorization":"Bearer ` + s.tokens[0] + `"}}`)
	l.want("connection_ack", "")
	return l
}

// open1 opens a socket that has said nothing.
func (s *site) open1(t *testing.T, header ...string) *line {
	t.Helper()
	l, _, err := s.dial(t, "graphql-transport-ws", header...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *line) send(text string) {
	l.t.Helper()
	if err := l.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		l.t.Fatalf("sending %s: %v", text, err)
	}
}

func (l *line) subscribe(id, query string) {
	l.t.Helper()
	payload, _ := json.Marshal(map[string]any{"query": query})
	l.send(`{"id":"` + id + `","type":"subscribe","payload":` + string(payload) + `}`)
}

// want reads a message of the type and id and returns its payload.
func (l *line) want(kind, id string) string {
	l.t.Helper()
	_, data, err := l.Read(l.t.Context())
	if err != nil {
		l.t.Fatalf("instead of %s %s: %v", kind, id, err)
	}
	var f frame
	if err := json.Unmarshal(data, &f); err != nil {
		l.t.Fatalf("%v: %s", err, data)
	}
	if f.Type != kind || f.ID != id {
		l.t.Fatalf("got %s, want %s of %q", data, kind, id)
	}
	return string(f.Payload)
}

// wantClosed reads until the socket is closed and compares the code.
func (l *line) wantClosed(code websocket.StatusCode) {
	l.t.Helper()
	for {
		_, data, err := l.Read(l.t.Context())
		if err == nil {
			l.t.Logf("before it is closed: %s", data)
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			l.t.Errorf("closed with %d, want %d: %v", got, code, err)
		}
		return
	}
}

// events is a stream of events as its client has it.
type events struct {
	t *testing.T
	*http.Response
	lines *bufio.Reader
	leave context.CancelFunc
}

// listen sends a subscription by POST and returns what answers it.
func (s *site) listen(t *testing.T, query string, headers ...string) *events {
	t.Helper()
	return s.request(t, http.MethodPost, "/graphql", operation(query),
		append([]string{"Content-Type", "application/json", "Accept", "text/event-stream", "Authorization", "Bearer " + s.tokens[0]}, headers...)...)
}

func (s *site) request(t *testing.T, method, path, body string, headers ...string) *events {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	t.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &events{t, resp, bufio.NewReader(resp.Body), leave}
}

// next reads up to the next empty line, leaving out comments.
func (e *events) next() (string, error) {
	for {
		var text strings.Builder
		for {
			got, err := e.lines.ReadString('\n')
			if err != nil {
				return text.String() + got, err
			}
			if got == "\n" {
				break
			}
			text.WriteString(got)
		}
		if text.String() != ":\n" {
			return text.String(), nil
		}
	}
}

func (e *events) want(text string) {
	e.t.Helper()
	if got, err := e.next(); err != nil || got != text {
		e.t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

func (s *site) metric(name string) string {
	answer := httptest.NewRecorder()
	s.server.Metrics().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for got := range strings.Lines(answer.Body.String()) {
		if value, ok := strings.CutPrefix(got, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// eventually waits for the metric to have a value, which it gets when a request, or what it became, is over; the test's own
// limit ends it.
func (s *site) eventually(t *testing.T, name, value string) {
	t.Helper()
	for s.metric(name) != value {
		<-s.answered
	}
}

func named(transport string) string {
	return fmt.Sprintf(`canopy_streams_open{transport=%q}`, transport)
}
