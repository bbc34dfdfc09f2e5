package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The limits on how long a connection may take; executionTimeout bounds the answer in between.
const (
	headerTimeout   = 10 * time.Second
	readTimeout     = 30 * time.Second
	writeTimeout    = executionTimeout + 30*time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = executionTimeout
	maxHeader       = 64 << 10 // bytes
)

// ErrAtOnce is the cause to end a context with when somebody sits in front of the server and waits: Serve leaves out
// the delay then.
var ErrAtOnce = errors.New("server: asked to stop at once")

// Serve answers on the listener until the context ends. Then /readyz says 503 and requests are still taken for as long
// as drain, so that whoever spreads the load can notice, each connection being closed after its next answer; then no
// more, those under way are finished, and streams are ended, so that their clients come to another process. It returns nil
// after that, and an error if it could not serve or had to break something off.
//
// The connections are closed by their answers and not by the server of its own accord, because a proxy may have sent
// the next request on an idle one already: it would be lost, and a proxy does not dare to send a mutation twice. When
// drain is over, idle are only those on which nothing came all the while.
func (s *Server) Serve(ctx context.Context, l net.Listener, drain time.Duration) error {
	return serve(ctx, l, s, s.cfg.Log, func() {
		s.draining.Store(true)
		if !errors.Is(context.Cause(ctx), ErrAtOnce) {
			wait(drain)
		}
		s.streams.finish()
	}, s.rest)
}

// rest returns when all streams have ended, and with them what went on for them.
func (s *Server) rest(ctx context.Context) error {
	err := s.streams.wait(ctx)
	if err == nil {
		s.running.Wait()
	}
	return err
}

// ServeMetrics answers /metrics on a listener of its own until the context ends.
func (s *Server) ServeMetrics(ctx context.Context, l net.Listener) error {
	return serve(ctx, l, s.Metrics(), s.cfg.Log, func() {}, func(context.Context) error { return nil })
}

// serve calls before when the context has ended, then shuts down, and then calls after, which waits for what net/http does
// not know: connections that are sockets by now.
func serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger, before func(), after func(context.Context) error) error {
	hs := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ConnContext:    keepConn,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	before()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := errors.Join(hs.Shutdown(grace), after(grace))
	if err != nil {
		err = errors.Join(err, hs.Close())
	}
	if closed := <-failed; !errors.Is(closed, http.ErrServerClosed) {
		err = errors.Join(err, closed)
	}
	return err
}

func wait(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}
