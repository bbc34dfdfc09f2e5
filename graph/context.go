package graph

import (
	"context"
	"time"

	"canopy/refusal"
)

// SessionWriter carries a cookie session to the browser; server implements it over the HTTP response.
type SessionWriter interface {
	// SetSession stores the token in the browser until it expires.
	SetSession(token string, expires time.Time)
	// ClearSession removes it.
	ClearSession()
}

type contextKey struct{ name string }

var (
	refusalKey       = &contextKey{"refusal"}
	sessionWriterKey = &contextKey{"session writer"}
)

// WithRefusal returns a context in which whoever is asked to log in hears the refusal instead: what authentication
// found, such as paused access.
func WithRefusal(ctx context.Context, r *refusal.Refusal) context.Context {
	return context.WithValue(ctx, refusalKey, r)
}

// noViewer is the refusal for a request that nobody is logged in for.
func noViewer(ctx context.Context) *refusal.Refusal {
	if r, ok := ctx.Value(refusalKey).(*refusal.Refusal); ok && r != nil {
		return r
	}
	return refusal.NoViewer()
}

// WithSessionWriter returns a context in which logging in and out can reach the browser's cookie.
func WithSessionWriter(ctx context.Context, w SessionWriter) context.Context {
	return context.WithValue(ctx, sessionWriterKey, w)
}

// sessionWriter returns the writer of the request. Without one, cookie sessions have nowhere to go and it does nothing.
func sessionWriter(ctx context.Context) SessionWriter {
	if w, ok := ctx.Value(sessionWriterKey).(SessionWriter); ok {
		return w
	}
	return noSessionWriter{}
}

type noSessionWriter struct{}

func (noSessionWriter) SetSession(string, time.Time) {}
func (noSessionWriter) ClearSession()                {}
