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
)

func bare(log *bytes.Buffer, h http.HandlerFunc) *Server {
	s := &Server{cfg: Config{Log: NewLogger(log, true, slog.LevelInfo), Now: time.Now}, metrics: newMetrics()}
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
		})
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
