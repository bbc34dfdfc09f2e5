package server_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"canopy/server"
)

const (
	completed = "event: complete\ndata: \n"
	onlySSE   = "text/event-stream"
)

func TestEventsCarryASubscription(t *testing.T) {
	s, st := newStreamSite(t, server.StreamLimits{}, nil)
	e := s.listen(t, `subscription { ticks(n: 2) }`)
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store, no-transform",
		"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff",
	} {
		if got := e.Header.Get(name); e.StatusCode != http.StatusOK || got != want {
			t.Errorf("%d, %s is %q, want %q", e.StatusCode, name, got, want)
		}
	}
	e.want("event: next\ndata: {\"data\":{\"ticks\":1}}\n")
	e.want("event: next\ndata: {\"data\":{\"ticks\":2}}\n")
	e.want(completed)
	if _, err := e.next(); !errors.Is(err, io.EOF) {
		t.Errorf("something follows: %v", err)
	}

	e = s.listen(t, `subscription { feed }`)
	<-st.begun // the stream has begun before there is anything to tell
	st.feed <- "hello"
	e.want("event: next\ndata: {\"data\":{\"feed\":\"hello\"}}\n")
	e.leave()
	<-st.ended
	s.eventually(t, `canopy_streams_ended_total{transport="events",why="left"}`, "1")
	s.eventually(t, `canopy_streams_ended_total{transport="events",why="complete"}`, "1")
}

func TestASilentStreamGivesSignsOfLife(t *testing.T) {
	s, st := newStreamSite(t, server.StreamLimits{Alive: time.Millisecond}, nil)
	e := s.listen(t, `subscription { feed }`)
	<-st.begun
	for range 5 {
		for _, want := range []string{":\n", "\n"} {
			if got, err := e.lines.ReadString('\n'); err != nil || got != want {
				t.Fatalf("got %q, %v", got, err)
			}
		}
	}
}

// TestHowOperationsAreAnswered has each kind of operation, sent in each way, for each kind of answer.
func TestHowOperationsAreAnswered(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{}, nil)
	const (
		query, mutation, invalid = `{ hello }`, `mutation { change }`, `subscription { nothing }`
		subscription, both       = `subscription { ticks(n: 0) }`, "application/json, text/event-stream"
	)
	for name, tc := range map[string]struct {
		method, accept, query string
		status                int
		text                  string // in the body
	}{
		"a subscription for JSON":          {"POST", "application/json", subscription, 406, "accept text/event-stream"},
		"a subscription for anything":      {"POST", "*/*", subscription, 406, "BAD_USER_INPUT"},
		"a subscription for events":        {"POST", onlySSE, subscription, 200, completed},
		"a subscription for either":        {"POST", both, subscription, 200, completed},
		"a query for either":               {"POST", both, query, 200, `{"data":{"hello":"done"}}`},
		"a query for events":               {"POST", onlySSE, query, 406, "BAD_USER_INPUT"},
		"a mutation for events":            {"POST", onlySSE, mutation, 406, "BAD_USER_INPUT"},
		"an invalid one for either":        {"POST", both, invalid, 400, `{"errors":`},
		"an invalid one for events":        {"POST", onlySSE, invalid, 200, "event: next\ndata: {\"errors\":"},
		"one that is refused":              {"POST", onlySSE, `subscription { failing }`, 200, "event: next\ndata: {\"errors\":[{\"message\":\"No.\""},
		"one that panics":                  {"POST", onlySSE, `subscription { panicking }`, 200, "INTERNAL_SERVER_ERROR"},
		"a subscription by GET":            {"GET", onlySSE, subscription, 200, completed},
		"a subscription by GET for JSON":   {"GET", "application/json", subscription, 405, "by POST"},
		"a subscription by GET for a page": {"GET", "text/html", subscription, 405, "by POST"},
		"a query by GET":                   {"GET", both, query, 405, "by POST"},
		"a mutation by GET":                {"GET", onlySSE, mutation, 405, "by POST"},
		"an invalid one by GET":            {"GET", onlySSE, invalid, 200, "GRAPHQL_VALIDATION_FAILED"},
		"nothing by GET":                   {"GET", onlySSE, "", 400, "no query"},
	} {
		t.Run(name, func(t *testing.T) {
			path, body := "/graphql", operation(tc.query)
			if tc.method == http.MethodGet {
				path, body = "/graphql?"+url.Values{"query": {tc.query}}.Encode(), ""
			}
			e := s.request(t, tc.method, path, body, "Content-Type", "application/json", "Accept", tc.accept, "Authorization", "Bearer "+s.tokens[0])
			got, err := io.ReadAll(e.lines)
			if err != nil || e.StatusCode != tc.status || !strings.Contains(string(got), tc.text) {
				t.Errorf("%d %q, %v, want %d with %q", e.StatusCode, got, err, tc.status, tc.text)
			}
			if strings.Contains(string(got), "event: ") && !strings.HasSuffix(string(got), completed+"\n") {
				t.Errorf("it does not complete: %q", got)
			}
		})
	}
}

func TestVariablesOfAGET(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{}, nil)
	ask := func(variables string) *events {
		q := url.Values{"query": {`subscription A($n: Int!) { ticks(n: $n) } subscription B { ticks(n: 2) }`}, "operationName": {"A"}, "variables": {variables}}
		return s.request(t, http.MethodGet, "/graphql?"+q.Encode(), "", "Accept", onlySSE, "Cookie", "canopy_session="+s.tokens[0])
	}
	e := ask(`{"n": 1}`)
	e.want("event: next\ndata: {\"data\":{\"ticks\":1}}\n")
	e.want(completed)
	for _, wrong := range []string{`{"n": `, `[1]`, `1`, `"n"`} {
		if e := ask(wrong); e.StatusCode != http.StatusBadRequest {
			t.Errorf("%s is answered with %d", wrong, e.StatusCode)
		}
	}
	// A session in the address is none.
	e = s.request(t, http.MethodGet, "/graphql?query=subscription+%7Bticks(n:1)%7D&token="+s.tokens[0], "", "Accept", onlySSE)
	_, _ = io.ReadAll(e.Body)
	if err := s.server.EndStreams(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := s.log()
	if strings.Contains(log, "ticks") || strings.Contains(log, s.tokens[0]) {
		t.Errorf("the address is logged:\n%s", log)
	}
}
