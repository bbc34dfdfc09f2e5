package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
)

func bare(log *bytes.Buffer, h http.HandlerFunc) *Server {
	s := &Server{cfg: Config{Log: NewLogger(log, true, slog.LevelInfo), Now: time.Now}, metrics: newMetrics(),
		streams: newStreams(defaultStreamLimits())}
	s.handler = s.withRequest(h)
	return s
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	var log bytes.Buffer
	s := bare(&log, func(http.ResponseWriter, *http.Request) { panic("no more biscuits") })
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/graphql", nil))
	if answer.Code != 500 || !strings.Contains(answer.Body.String(), `"code":"INTERNAL_SERVER_ERROR"`) {
		t.Errorf("answered %d %s", answer.Code, answer.Body)
	}
	if strings.Contains(answer.Body.String(), "biscuits") {
		t.Error("the cause is shown")
	}
	if !strings.Contains(log.String(), "no more biscuits") || !strings.Contains(log.String(), `"status":500`) {
		t.Errorf("the log lacks it:\n%s", &log)
	}
	if id := answer.Header().Get("X-Request-Id"); !strings.Contains(answer.Body.String(), id) || !strings.Contains(log.String(), id) {
		t.Errorf("answer and log do not share the id %s", id)
	}
}

func TestHalfAnAnswerIsBrokenOff(t *testing.T) {
	var log bytes.Buffer
	s := bare(&log, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":`))
		panic("no more biscuits")
	})
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Error("the connection is not broken off")
		}
		if !strings.Contains(log.String(), "no more biscuits") {
			t.Errorf("the log lacks it:\n%s", &log)
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/graphql", nil))
}

// drainable is a server that begins to drain when stop is called and has drained when drained is closed.
type drainable struct {
	url               string
	stop              func()
	draining, drained chan struct{}
	served            chan error
}

func newDrainable(t *testing.T, routes map[string]http.HandlerFunc) *drainable {
	t.Helper()
	s := bare(&bytes.Buffer{}, nil)
	mux := http.NewServeMux()
	for pattern, h := range routes {
		mux.HandleFunc(pattern, h)
	}
	mux.HandleFunc("GET /readyz", s.serveReadiness)
	s.handler = s.withRequest(mux)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	d := &drainable{url: "http://" + l.Addr().String(), stop: stop,
		draining: make(chan struct{}), drained: make(chan struct{}), served: make(chan error, 1)}
	go func() {
		d.served <- serve(ctx, l, s, s.cfg.Log, func() {
			s.draining.Store(true)
			close(d.draining)
			<-d.drained
			s.streams.finish()
		}, s.rest)
	}()
	return d
}

// TestShutdownDrains stops a server while a request is under way and new ones come.
func TestShutdownDrains(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	d := newDrainable(t, map[string]http.HandlerFunc{"GET /slow": func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = w.Write([]byte("done"))
	}})
	slow := make(chan int, 1)
	go func() { slow <- get(t, http.DefaultClient, d.url+"/slow").StatusCode }()
	<-entered
	d.stop()
	<-d.draining
	if got := get(t, http.DefaultClient, d.url+"/readyz").StatusCode; got != 503 {
		t.Errorf("while draining /readyz answers %d", got)
	}
	close(d.drained)
	close(leave)
	if got := <-slow; got != 200 {
		t.Errorf("the request that was under way got %d", got)
	}
	if err := <-d.served; err != nil {
		t.Errorf("serving ended with %v", err)
	}
}

// TestDrainingEndsConnectionsWithTheirNextAnswer has one connection that is idle when draining begins, and one with a
// request under way. Neither may be closed before an answer says so: the next request may have been sent already.
func TestDrainingEndsConnectionsWithTheirNextAnswer(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	d := newDrainable(t, map[string]http.HandlerFunc{
		"GET /quick": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("done")) },
		"GET /slow": func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-leave
			_, _ = w.Write([]byte("done"))
		},
	})
	idle, busy := &http.Client{Transport: &http.Transport{}}, &http.Client{Transport: &http.Transport{}}
	if get(t, idle, d.url+"/quick").Close {
		t.Error("a connection ends although nothing is draining")
	}
	slow := make(chan *http.Response, 1)
	go func() { slow <- get(t, busy, d.url+"/slow") }()
	<-entered
	d.stop()
	<-d.draining
	reused := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
	last := getWith(ctx, t, idle, d.url+"/quick")
	if !reused || !last.Close {
		t.Errorf("the idle connection: still open %t, ended by the answer %t", reused, last.Close)
	}
	close(leave)
	if !(<-slow).Close {
		t.Error("the answer of a request that was under way does not end its connection")
	}
	close(d.drained)
	if err := <-d.served; err != nil {
		t.Errorf("serving ended with %v", err)
	}
}

// TestStoppingAtOnceDoesNotWait would not come to its end within a test's time if it did.
func TestStoppingAtOnceDoesNotWait(t *testing.T) {
	s := bare(&bytes.Buffer{}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(ErrAtOnce)
	if err := s.Serve(ctx, l, 24*time.Hour); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, client *http.Client, url string) *http.Response {
	return getWith(context.WithoutCancel(t.Context()), t, client, url)
}

// getWith returns the answer, its body read.
func getWith(ctx context.Context, t *testing.T, client *http.Client, url string) *http.Response {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return &http.Response{}
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("%s: %v", url, err)
	}
	return resp
}

// TestStoppingEndsStreams has a socket and a stream of events open when a server is told to stop.
func TestStoppingEndsStreams(t *testing.T) {
	s := bare(&bytes.Buffer{}, nil)
	mux := http.NewServeMux()
	begun := make(chan struct{}, 2)
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		s.serveSocket(w, r)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		s.serveEvents(w, r, &graphql.OperationContext{})
	})
	s.handler, s.exec = s.withRequest(mux), endless{begun: begun}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.origins, err = newOrigins(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l, 24*time.Hour) }()

	url := "http://" + l.Addr().String()
	conn, _, err := websocket.Dial(t.Context(), url+"/socket", &websocket.DialOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	events, err := http.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	<-begun
	stop(ErrAtOnce)
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the socket ends with %v", err)
	}
	// It is not complete: the client comes again.
	if got, err := io.ReadAll(events.Body); err != nil || string(got) != ":\n\n" {
		t.Errorf("the events end with %q, %v", got, err)
	}
	if err := <-served; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	if _, err := s.streams.enter(func(error) {}); !errors.Is(err, errGoingAway) {
		t.Errorf("a stream begins on a server that has stopped: %v", err)
	}
}

// endless executes subscriptions in which nothing happens.
type endless struct {
	graphql.GraphExecutor
	begun chan struct{}
}

func (e endless) DispatchOperation(ctx context.Context, _ *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	e.begun <- struct{}{}
	return func(ctx context.Context) *graphql.Response {
		<-ctx.Done()
		return nil
	}, ctx
}
