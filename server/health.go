package server

import (
	"context"
	"io"
	"net/http"
	"time"
)

// pingTimeout is how long the database may take to answer before the server says that it is not ready.
const pingTimeout = 2 * time.Second

// serveHealth says that the process runs. It asks nobody else, so that a database that is away does not get the server
// restarted.
func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	answerHealth(w, http.StatusOK, "ok")
}

// serveReadiness says whether requests should be sent here.
func (s *Server) serveReadiness(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		answerHealth(w, http.StatusServiceUnavailable, "shutting down")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	if err := s.cfg.DB.Ping(ctx); err != nil {
		s.cfg.Log.ErrorContext(ctx, "the database does not answer", "error", err)
		answerHealth(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	answerHealth(w, http.StatusOK, "ready")
}

func answerHealth(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
