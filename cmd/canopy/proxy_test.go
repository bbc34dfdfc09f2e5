package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// proxy spreads requests over the processes that say they are ready, each to the next, without looking at who asks. It
// keeps connections, and like other proxies it sends nothing twice that could have arrived.
type proxy struct {
	url string

	mu       sync.Mutex
	changed  sync.Cond // of a backend's readiness
	backends []*backend
	turn     int
}

type backend struct {
	url   *url.URL
	ready bool
}

type chosenKey struct{}

func newProxy(t *testing.T) *proxy {
	p := &proxy{}
	p.changed.L = &p.mu
	forward := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(r.In.Context().Value(chosenKey{}).(*url.URL))
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			t.Errorf("%v is lost between proxy and process: %v", r.Context().Value(chosenKey{}), err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := p.choose()
		if to == nil {
			t.Error("no process is ready")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), chosenKey{}, to)))
	}))
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// choose returns whose turn it is, or nil.
func (p *proxy) choose() *url.URL {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.backends {
		p.turn++
		if b := p.backends[p.turn%len(p.backends)]; b.ready {
			return b.url
		}
	}
	return nil
}

// add takes a process in and keeps asking it whether it is ready until the test ends.
func (p *proxy) add(t *testing.T, address string) *backend {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{url: u}
	p.mu.Lock()
	p.backends = append(p.backends, b)
	p.mu.Unlock()
	var asking sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	asking.Go(func() { p.watch(ctx, b) })
	t.Cleanup(func() { stop(); asking.Wait() })
	return b
}

// watch asks a process again and again, as often as is usual within one machine.
func (p *proxy) watch(ctx context.Context, b *backend) {
	often := time.NewTicker(20 * time.Millisecond)
	defer often.Stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		ready := isReady(ctx, client, b.url.String()+"/readyz")
		p.mu.Lock()
		if b.ready != ready {
			b.ready = ready
			p.changed.Broadcast()
		}
		p.mu.Unlock()
		select {
		case <-often.C:
		case <-ctx.Done():
		}
	}
}

func isReady(ctx context.Context, client *http.Client, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// await returns when the proxy knows that the process is ready, or that it is not.
func (p *proxy) await(b *backend, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for b.ready != ready {
		p.changed.Wait()
	}
}
