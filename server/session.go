package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"canopy/authz"
	"canopy/graph"
	"canopy/refusal"
	"canopy/store"
)

// CookieName is the name of the cookie that carries a browser's session.
const CookieName = "canopy_session"

// authenticate finds out who asks. A token that is not good makes the request an anonymous one that knows why, so that
// public fields are answered and the others can say what is wrong. When it cannot be found out nobody is served.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (context.Context, *problem) {
	ctx := graph.WithSessionWriter(r.Context(), &cookieWriter{w: w, secure: s.secure(r), now: s.cfg.Now})
	token := tokenOf(r)
	if token == "" {
		return ctx, nil
	}
	viewer, refused, p := s.viewerOf(ctx, token)
	switch {
	case p != nil:
		return nil, p
	case refused != nil:
		return graph.WithRefusal(ctx, refused), nil
	}
	noteOf(ctx).user = viewer.UserID
	return authz.NewContext(ctx, viewer), nil
}

// viewerOf returns whom a token stands for. A refusal says that it is not good, or not any more; a problem that it could not
// be found out.
func (s *Server) viewerOf(ctx context.Context, token string) (*authz.Viewer, *refusal.Refusal, *problem) {
	viewer, err := s.cfg.Directory.Authenticate(ctx, token)
	var refused *refusal.Refusal
	switch {
	case err == nil:
		return viewer, nil, nil
	case errors.As(err, &refused):
		return nil, refused, nil
	}
	s.cfg.Log.ErrorContext(ctx, "authenticating failed", "error", err)
	if store.Unavailable(err) || ctx.Err() != nil {
		return nil, nil, unavailable()
	}
	return nil, nil, internal(ctx)
}

// tokenOf returns the session token of a request, or "". A request that says who it is for never falls back to the
// cookie, which the browser adds by itself.
func tokenOf(r *http.Request) string {
	if header := r.Header.Get("Authorization"); header != "" {
		return bearer(header)
	}
	if cookie, err := r.Cookie(CookieName); err == nil {
		return cookie.Value
	}
	return ""
}

// noToken stands for a header that holds no Bearer token. It authenticates nobody, and unlike "" it is refused.
const noToken = "-"

func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return noToken
	}
	return token
}

// secure says whether the browser reached the server by https, as far as that can be known.
func (s *Server) secure(r *http.Request) bool {
	return s.cfg.SecureCookies || r.TLS != nil ||
		s.cfg.TrustedProxy && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// cookieWriter lets logIn and logOut set the session cookie of the answer.
type cookieWriter struct {
	w      http.ResponseWriter
	secure bool
	now    func() time.Time
}

// SetSession hands the browser the token of a new session.
func (c *cookieWriter) SetSession(token string, expires time.Time) {
	c.set(token, max(1, int(expires.Sub(c.now()).Round(time.Second).Seconds())))
}

// ClearSession makes the browser forget its token.
func (c *cookieWriter) ClearSession() { c.set("", -1) }

// set replaces what was set before in the same answer.
func (c *cookieWriter) set(token string, seconds int) {
	cookie := http.Cookie{
		Name: CookieName, Value: token, Path: "/", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.secure,
	}
	c.w.Header().Set("Set-Cookie", cookie.String())
}
