package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
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

// TestShutdownDrains stops a server while a request is under way and new ones come.
func TestShutdownDrains(t *testing.T) {
	var log bytes.Buffer
	entered, leave := make(chan struct{}), make(chan struct{})
	s := bare(&log, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = w.Write([]byte("done"))
	})
	mux.HandleFunc("GET /readyz", s.serveReadiness)
	s.handler = mux
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	draining, drained, served := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		served <- serve(ctx, l, s, s.cfg.Log, func() {
			s.draining.Store(true)
			close(draining)
			<-drained
		})
	}()
	slow := make(chan int, 1)
	go func() { slow <- statusOf(t, "http://"+l.Addr().String()+"/slow") }()
	<-entered
	stop()
	<-draining
	if got := statusOf(t, "http://"+l.Addr().String()+"/readyz"); got != 503 {
		t.Errorf("while draining /readyz answers %d", got)
	}
	close(drained)
	close(leave)
	if got := <-slow; got != 200 {
		t.Errorf("the request that was under way got %d", got)
	}
	if err := <-served; err != nil {
		t.Errorf("serving ended with %v", err)
	}
}

func statusOf(t *testing.T, url string) int {
	resp, err := http.Get(url)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
