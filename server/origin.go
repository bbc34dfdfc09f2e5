package server

import (
	"fmt"
	"net/http"
	"slices"
)

// origins decides which pages may use the API from a browser: the server's own, and those of the allow-list.
//
// A browser adds the session cookie to a request whoever made it. SameSite keeps it from other sites, the JSON content
// type makes the browser ask first (which nobody but the allow-list is granted), and the check of where the request
// comes from stands on its own besides.
type origins struct {
	allowed    []string
	protection *http.CrossOriginProtection
}

func newOrigins(allowed []string) (origins, error) {
	o := origins{allowed: allowed, protection: http.NewCrossOriginProtection()}
	for _, origin := range allowed {
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			return origins{}, fmt.Errorf("%q is not an origin, which looks like https://app.example.com: %w", origin, err)
		}
	}
	return o, nil
}

// foreign says that a browser sent the request for a page that may not use the API. The method does not matter: what begins
// a stream is a GET, and tells whoever sent it more than any other GET does.
func (o *origins) foreign(r *http.Request) bool {
	asked := r.WithContext(r.Context())
	asked.Method = http.MethodPost
	return o.protection.Check(asked) != nil
}

// describe tells the browser what a page of another origin may do and see. It does nothing without an allow-list.
func (o *origins) describe(header http.Header, r *http.Request) {
	if len(o.allowed) == 0 {
		return
	}
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(o.allowed, origin) {
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	header.Set("Access-Control-Expose-Headers", requestIDHeader)
	if r.Method == http.MethodOptions {
		header.Set("Access-Control-Allow-Methods", http.MethodPost)
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+requestIDHeader)
		header.Set("Access-Control-Max-Age", "600")
	}
}
