package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"canopy/server"

	"github.com/coder/websocket"
)

// told is a payload of inboxChanged.
type told struct {
	Change, Position string
	ContactID        string
}

// inbox subscribes to the queue, with payloads of some kilobytes, over a connection of its own. It returns what reads the next
// payload; what is not asked for is not read.
func (s *site) inbox(t *testing.T, transport, since string) func() told {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10) // of a client that buffers little
		}
		return c, err
	}}}
	var fields strings.Builder
	for i := range 30 {
		fmt.Fprintf(&fields, " n%d: name", i)
	}
	if since != "" {
		since = `, since: "` + since + `"`
	}
	query := `subscription { inboxChanged(box: QUEUE` + since + `) { change position contactId contact {` + fields.String() + ` } } }`
	var next func() []byte
	if transport == "socket" {
		conn, _, err := websocket.Dial(t.Context(), s.URL+"/graphql", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"graphql-transport-ws"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		l := &line{t, conn}
		l.send(`{"type":"connection_init","payload":{"authorization":"Bearer ` + s.tokens[0] + `"}}`)
		l.want("connection_ack", "")
		l.subscribe("a", query)
		next = func() []byte { return []byte(l.want("next", "a")) }
	} else {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/graphql", strings.NewReader(operation(query)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Bearer " + s.tokens[0]}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		e := &events{t, resp, bufio.NewReader(resp.Body), nil}
		next = func() []byte {
			text, err := e.next()
			body, is := strings.CutPrefix(text, "event: next\ndata: ")
			if err != nil || !is {
				t.Fatalf("got %q, %v", text, err)
			}
			return []byte(body)
		}
	}
	return func() told {
		t.Helper()
		var p struct {
			Data   struct{ InboxChanged *told }
			Errors json.RawMessage
		}
		if body := next(); json.Unmarshal(body, &p) != nil || p.Data.InboxChanged == nil || p.Errors != nil {
			t.Fatalf("got %.300s", body)
		}
		return *p.Data.InboxChanged
	}
}

// asOwner asks what has to be answered.
func (s *site) asOwner(t *testing.T, query string) map[string]any {
	t.Helper()
	r := s.ask(t, query, "Authorization", "Bearer "+s.tokens[0])
	if r.Data == nil || r.Errors != nil {
		t.Fatalf("%s is answered with %s", query, r.body)
	}
	return r.Data
}

// TestWhoStallsIsCutOffAndComesBack has a subscriber who stops reading, over TCP, beside one who does not. All that happens
// meanwhile is less than the kernel would hold for a connection by itself.
func TestWhoStallsIsCutOffAndComesBack(t *testing.T) {
	for _, transport := range []string{"socket", "events"} {
		t.Run(transport, func(t *testing.T) {
			s := newSite(t, nil)
			s.tokens = append(s.tokens, s.token(t))
			s.server.Stage(nil, server.StreamLimits{Write: time.Second, Alive: time.Hour}) // no pings: who does not read answers none
			root := s.asOwner(t, `{ rootGroup { id } }`)["rootGroup"].(map[string]any)["id"]
			stalled, other := s.inbox(t, transport, ""), s.inbox(t, transport, "")
			began := stalled()
			if got := other(); began.Change != "STARTED" || got.Change != "STARTED" {
				t.Fatalf("they begin with %v and %v", began, got)
			}
			var arrived []string
			arrive := func() {
				made := s.asOwner(t, fmt.Sprintf(`mutation { createContact(input: {groupId: %q, name: %q}) { contact { id } } }`, root, strings.Repeat("界", 60)))
				arrived = append(arrived, made["createContact"].(map[string]any)["contact"].(map[string]any)["id"].(string))
			}
			hears := func(who string, next func() told, ids []string) {
				t.Helper()
				for _, id := range ids {
					if got := next(); got.Change != "ENTERED" || got.ContactID != id {
						t.Fatalf("%s hears %v, not of %s", who, got, id)
					}
				}
			}
			for i := range 120 { // some 700 kB
				arrive()
				hears("the other one", other, arrived[i:])
			}
			s.eventually(t, `canopy_streams_ended_total{transport="`+transport+`",why="slow"}`, "1")
			s.eventually(t, named(transport), "1")

			again := s.inbox(t, transport, began.Position)
			if got := again(); got.Change != "STARTED" {
				t.Fatalf("who comes back hears %v", got)
			}
			hears("who comes back", again, arrived)
			arrive()
			for who, next := range map[string]func() told{"the other one": other, "who came back": again} {
				hears(who, next, arrived[len(arrived)-1:])
			}
		})
	}
}
