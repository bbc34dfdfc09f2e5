package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"canopy/audit"
)

const (
	requestIDHeader = "X-Request-Id"
	maxRequestID    = 64
)

// note is what the access log learns about a request while it is answered.
type note struct {
	client    netip.Addr
	user      int64  // number of the user who asks, 0 for nobody
	operation string // "query Inbox": kind and name
	errors    int    // GraphQL errors in the answer
	streamed  bool   // the answer is a socket or a stream of events: how long it lasts is not how long answering took
}

type noteKey struct{}

// noteOf returns the request's note. Outside of a request it returns one that nobody reads.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// clientOf returns the remote address of the request; it is invalid outside of one.
func clientOf(ctx context.Context) netip.Addr { return noteOf(ctx).client }

// withRequest does for every request what does not depend on its route: it gives it an id, survives a panic, counts
// and logs it. Neither the body nor a header of a request is ever logged.
func (s *Server) withRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := requestID(r.Header.Get(requestIDHeader))
		n := &note{client: s.client(r)}
		ctx := context.WithValue(audit.WithRequestID(r.Context(), id), noteKey{}, n)
		r = r.WithContext(ctx)
		answer := &answerWriter{ResponseWriter: w, last: &s.draining}
		answer.Header().Set(requestIDHeader, id)

		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		aborted := s.survive(next, answer, r)
		took := time.Since(began)
		s.metrics.answered(r.Pattern, answer.status, took, n.streamed)
		s.logRequest(r, n, answer, took)
		if aborted {
			panic(http.ErrAbortHandler)
		}
	})
}

// survive answers the request; after a panic it answers 500, unless an answer had begun, which is then broken off: half
// an answer must not look like a whole one. It says whether that is to be done.
func (s *Server) survive(next http.Handler, answer *answerWriter, r *http.Request) (aborted bool) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		broken, _ := cause.(error)
		meant := errors.Is(broken, http.ErrAbortHandler)
		if !meant {
			s.cfg.Log.ErrorContext(r.Context(), "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
		if aborted = meant || answer.status != 0; !aborted {
			s.refuse(answer, r, internal(r.Context()))
		}
	}()
	next.ServeHTTP(answer, r)
	return false
}

func (s *Server) logRequest(r *http.Request, n *note, answer *answerWriter, took time.Duration) {
	level := slog.LevelInfo
	if r.Pattern == "GET /healthz" || r.Pattern == "GET /readyz" {
		level = slog.LevelDebug
	}
	attributes := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", answer.status),
		slog.Int64("bytes", answer.bytes), slog.Duration("took", took), slog.String("client", n.client.String()),
	}
	if n.operation != "" {
		attributes = append(attributes, slog.String("operation", n.operation), slog.Int("errors", n.errors))
	}
	if n.user != 0 {
		attributes = append(attributes, slog.Int64("user", n.user))
	}
	s.cfg.Log.LogAttrs(r.Context(), level, "request", attributes...)
}

// requestID returns the id that the client gave if it is well-formed, else a new one.
func requestID(given string) string {
	if given == "" || len(given) > maxRequestID {
		return rand.Text()
	}
	for _, c := range []byte(given) {
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && c != '-' && c != '_' && c != '.' {
			return rand.Text()
		}
	}
	return given
}

// client returns the address that the request came from. A proxy adds the one that it saw at the end of the list;
// everything before was said by the client and may be a lie.
func (s *Server) client(r *http.Request) netip.Addr {
	if s.cfg.TrustedProxy {
		if list := r.Header.Values("X-Forwarded-For"); len(list) > 0 {
			seen := list[len(list)-1]
			seen = strings.TrimSpace(seen[strings.LastIndexByte(seen, ',')+1:])
			if address, err := netip.ParseAddr(seen); err == nil {
				return address
			}
		}
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return remote.Addr()
}

// answerWriter remembers what was answered, and ends the connection once last is true.
type answerWriter struct {
	http.ResponseWriter
	last   *atomic.Bool
	status int
	bytes  int64
}

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	if w.last.Load() && status != http.StatusSwitchingProtocols {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
