package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/server"

	"github.com/coder/websocket"
)

func TestASocketCarriesSubscriptions(t *testing.T) {
	s, st := newStreamSite(t, server.StreamLimits{}, nil)
	l := s.socket(t)
	l.subscribe("a", `subscription { ticks(n: 2) }`)
	for _, want := range []string{`{"data":{"ticks":1}}`, `{"data":{"ticks":2}}`} {
		if got := l.want("next", "a"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	l.want("complete", "a")

	l.send(`{"type":"ping","payload":{"n":12345678901234567890}}`)
	if got := l.want("pong", ""); got != `{"n":12345678901234567890}` {
		t.Errorf("the pong holds %s", got)
	}
	l.send(`{"type":"pong"}`)
	l.send(`{"type":"complete","id":"never heard of"}`)

	// Two at a time, the id of the first one again.
	l.subscribe("a", `subscription { feed }`)
	l.subscribe("b", `subscription { ticks(n: 1) }`)
	l.want("next", "b")
	l.want("complete", "b")
	<-st.begun
	st.feed <- "hello"
	if got := l.want("next", "a"); got != `{"data":{"feed":"hello"}}` {
		t.Errorf("got %s", got)
	}
	// A client that has enough is told no more.
	l.send(`{"type":"complete","id":"a"}`)
	<-st.ended
	l.subscribe("a", `subscription { ticks(n: 1) }`)
	l.want("next", "a")
	l.want("complete", "a")
	if err := l.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	s.eventually(t, `canopy_streams_ended_total{transport="socket",why="left"}`, "1")
	s.eventually(t, `canopy_subscriptions_open`, "0")
	if got := s.metric(`canopy_http_request_duration_seconds_count{route="/graphql"}`); got != "1" {
		t.Errorf("how long a socket lasts counts as the duration of a request: %s", got)
	}
}

func TestOperationsThatASocketRefuses(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{}, nil)
	l := s.socket(t)
	for query, code := range map[string]string{
		`{ hello }`:                     "BAD_USER_INPUT",
		`mutation { change }`:           "BAD_USER_INPUT",
		`subscription {`:                "GRAPHQL_PARSE_FAILED",
		`subscription { nothing }`:      "GRAPHQL_VALIDATION_FAILED",
		`subscription { failing }`:      "NOT_FOUND",
		`subscription { panicking }`:    "INTERNAL_SERVER_ERROR",
		`subscription { ticks(n: "") }`: "GRAPHQL_VALIDATION_FAILED",
	} {
		l.subscribe("x", query)
		got := l.want("error", "x")
		if !strings.HasPrefix(got, "[{") || !strings.Contains(got, `"code":"`+code+`"`) {
			t.Errorf("%s: %s", query, got)
		}
		if strings.Contains(got, "biscuits") {
			t.Errorf("the cause is shown: %s", got)
		}
	}
	if log := s.lines.String(); !strings.Contains(log, "no more biscuits") {
		t.Error("the log does not have the panic")
	}
	l.subscribe("x", `subscription { ticks(n: 0) }`)
	l.want("complete", "x")
}

func TestCloseCodes(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{}, nil)
	ready := `{"type":"connection_init","payload":{"authorization":"Bearer ` + s.tokens[0] + `"}}`
	const endless = `{"id":"a","type":"subscribe","payload":{"query":"subscription { feed }"}}`
	for name, tc := range map[string]struct {
		code     websocket.StatusCode
		messages []string
	}{
		"no JSON":                      {4400, []string{`hello`}},
		"nothing":                      {4400, []string{``}},
		"a list":                       {4400, []string{`[]`}},
		"two messages at once":         {4400, []string{`{"type":"ping"}{"type":"ping"}`}},
		"no type":                      {4400, []string{`{}`}},
		"an unknown type":              {4400, []string{`{"type":"start"}`}},
		"a type of the server":         {4400, []string{ready, `{"type":"next","id":"a"}`}},
		"init with a text":             {4400, []string{`{"type":"connection_init","payload":"Bearer x"}`}},
		"init with a list":             {4400, []string{`{"type":"connection_init","payload":[]}`}},
		"init with a number":           {4400, []string{`{"type":"connection_init","payload":1}`}},
		"a token that is no text":      {4400, []string{`{"type":"connection_init","payload":{"authorization":1}}`}},
		"ping with a text":             {4400, []string{`{"type":"ping","payload":"x"}`}},
		"subscribe without an id":      {4400, []string{ready, `{"type":"subscribe","payload":{"query":"subscription { feed }"}}`}},
		"subscribe with a long id":     {4400, []string{ready, `{"id":"` + strings.Repeat("x", 65) + `","type":"subscribe","payload":{"query":"subscription { feed }"}}`}},
		"subscribe without a payload":  {4400, []string{ready, `{"id":"a","type":"subscribe"}`}},
		"subscribe without a query":    {4400, []string{ready, `{"id":"a","type":"subscribe","payload":{}}`}},
		"a query of a number":          {4400, []string{ready, `{"id":"a","type":"subscribe","payload":{"query":1}}`}},
		"variables of text":            {4400, []string{ready, `{"id":"a","type":"subscribe","payload":{"query":"subscription { feed }","variables":"x"}}`}},
		"complete without an id":       {4400, []string{ready, `{"type":"complete"}`}},
		"too large":                    {1009, []string{`{"type":"ping","payload":{"x":"` + strings.Repeat("x", 64<<10) + `"}}`}},
		"subscribe before init":        {4401, []string{endless}},
		"nobody":                       {4401, []string{`{"type":"connection_init"}`}},
		"nobody, by null":              {4401, []string{`{"type":"connection_init","payload":null}`}},
		"an invented token":            {4401, []string{`{"type":"connection_init","payload":{"authorization":"Bearer x"}}`}},
		"no Bearer token":              {4401, []string{`{"type":"connection_init","payload":{"authorization":"` + s.tokens[0] + `"}}`}},
		"an id that is taken":          {4409, []string{ready, endless, endless}},
		"init twice":                   {4429, []string{ready, ready}},
		"init twice, the second a lie": {4429, []string{ready, `{"type":"connection_init","payload":{"authorization":"Bearer x"}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			l := s.open1(t)
			for _, m := range tc.messages {
				l.send(m)
			}
			l.wantClosed(tc.code)
		})
	}
	t.Run("binary", func(t *testing.T) {
		l := s.open1(t)
		if err := l.Write(t.Context(), websocket.MessageBinary, []byte(ready)); err != nil {
			t.Fatal(err)
		}
		l.wantClosed(4400)
	})
	for _, protocol := range []string{"", "graphql-ws"} {
		t.Run("it speaks "+protocol, func(t *testing.T) {
			l, _, err := s.dial(t, protocol)
			if err != nil {
				t.Fatal(err)
			}
			l.wantClosed(4406)
		})
	}
	s.eventually(t, named("socket"), "0")
	if got := s.metric(`canopy_subscriptions_open`); got != "0" {
		t.Errorf("%s subscriptions go on without their sockets", got)
	}
}

func TestASocketThatDoesNotInitialise(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{Arrival: 20 * time.Millisecond}, nil)
	s.open1(t).wantClosed(4408)
	l := s.open1(t)
	l.send(`{"type":"ping"}`)
	l.want("pong", "")
	l.wantClosed(4408)
}

func (s *site) pause(t *testing.T, paused bool) {
	t.Helper()
	err := s.db.Write(authz.Trusted(t.Context()), func(ctx context.Context, tx *ent.Tx) error {
		if paused {
			return tx.User.Update().SetAccessPausedAt(s.clock.Now()).Exec(ctx)
		}
		return tx.User.Update().ClearAccessPausedAt().Exec(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) logOut(t *testing.T) {
	t.Helper()
	err := s.db.Write(authz.Trusted(t.Context()), func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.Session.Delete().Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestASocketEndsWithItsSession judges the session again for each operation, and when a stream says that it is over.
func TestASocketEndsWithItsSession(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*site, *testing.T)
		code websocket.StatusCode
	}{
		"logged out": {(*site).logOut, 4401},
		"paused":     {func(s *site, t *testing.T) { s.pause(t, true) }, 4403},
		"expired":    {func(s *site, _ *testing.T) { s.clock.pass(31 * 24 * time.Hour) }, 4401},
	} {
		t.Run(name, func(t *testing.T) {
			s, st := newStreamSite(t, server.StreamLimits{}, nil)
			next, running := s.socket(t), s.socket(t)
			running.subscribe("a", `subscription { feed }`)
			<-st.begun
			// The session is good yet, whatever a stream says.
			running.subscribe("b", `subscription { loggedOut }`)
			running.want("error", "b")
			running.send(`{"type":"ping"}`)
			running.want("pong", "")

			tc.end(s, t)
			next.subscribe("a", `subscription { feed }`)
			next.wantClosed(tc.code)
			running.subscribe("b", `subscription { loggedOut }`)
			running.wantClosed(tc.code)
			<-st.ended
			late := s.open1(t)
			late.send(`{"type":"connection_init","payload":{"authorization":"Bearer ` + s.tokens[0] + `"}}`)
			late.wantClosed(tc.code)
			s.eventually(t, `canopy_streams_ended_total{transport="socket",why="session"}`, "3")
		})
	}
}

func TestHowASocketSaysForWhomItIs(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{}, nil)
	token := "Bearer " + s.tokens[0]
	cookie := "canopy_session=" + s.tokens[0]
	for name, tc := range map[string]struct {
		header []string
		init   string
		code   websocket.StatusCode // 0: it is taken
	}{
		"by cookie":                                 {[]string{"Cookie", cookie}, `{"type":"connection_init"}`, 0},
		"by header":                                 {[]string{"Authorization", token}, `{"type":"connection_init","payload":{}}`, 0},
		"by payload":                                {nil, `{"type":"connection_init","payload":{"Authorization":"` + token + `"}}`, 0},
		"a wrong header does not fall back":         {[]string{"Authorization", "Bearer x", "Cookie", cookie}, `{"type":"connection_init"}`, 4401},
		"a wrong payload does not fall back":        {[]string{"Cookie", cookie}, `{"type":"connection_init","payload":{"authorization":"Bearer x"}}`, 4401},
		"nor does an empty one":                     {[]string{"Cookie", cookie}, `{"type":"connection_init","payload":{"authorization":""}}`, 4401},
		"the payload comes before the wrong header": {[]string{"Authorization", "Bearer x"}, `{"type":"connection_init","payload":{"authorization":"` + token + `"}}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := s.open1(t, tc.header...)
			l.send(tc.init)
			if tc.code != 0 {
				l.wantClosed(tc.code)
				return
			}
			l.want("connection_ack", "")
			l.subscribe("a", `subscription { ticks(n: 1) }`)
			l.want("next", "a")
		})
	}
}

// TestOtherSitesOpenNoSocket: a browser sends the cookie along and asks nobody.
func TestOtherSitesOpenNoSocket(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{}, func(c *server.Config) { c.AllowedOrigins = []string{"https://app.example.com"} })
	for name, tc := range map[string]struct {
		headers []string
		status  int
	}{
		"no browser":                    {nil, 101},
		"the same origin":               {[]string{"Sec-Fetch-Site", "same-origin", "Origin", s.URL}, 101},
		"an old browser":                {[]string{"Origin", s.URL}, 101},
		"the allow-list":                {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com"}, 101},
		"another site":                  {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"another host of the same site": {[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://other.localhost"}, 403},
		"another site, an old browser":  {[]string{"Origin", "https://evil.example"}, 403},
		"another port":                  {[]string{"Origin", "http://127.0.0.1:1"}, 403},
		"no origin at all":              {[]string{"Origin", "null"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			_, response, err := s.dial(t, "graphql-transport-ws", append([]string{"Cookie", "canopy_session=" + s.tokens[0]}, tc.headers...)...)
			if response.StatusCode != tc.status || (err == nil) != (tc.status == 101) {
				t.Errorf("%d, %v, want %d", response.StatusCode, err, tc.status)
			}
			e := s.request(t, http.MethodGet, "/graphql?query=subscription+%7Bticks(n:1)%7D", "",
				append([]string{"Accept", "text/event-stream", "Cookie", "canopy_session=" + s.tokens[0]}, tc.headers...)...)
			if want := map[int]int{101: 200, 403: 403}[tc.status]; e.StatusCode != want {
				t.Errorf("events are answered with %d, want %d", e.StatusCode, want)
			}
		})
	}
}

func TestCapsOnStreams(t *testing.T) {
	s, st := newStreamSite(t, server.StreamLimits{Open: 3, OfUser: 2, Subscriptions: 2}, nil)
	first := s.socket(t)
	first.subscribe("a", `subscription { feed }`)
	first.subscribe("b", `subscription { feed }`)
	<-st.begun
	<-st.begun
	first.subscribe("c", `subscription { feed }`)
	if got := first.want("error", "c"); !strings.Contains(got, "RATE_LIMITED") {
		t.Errorf("a third subscription gets %s", got)
	}
	first.send(`{"type":"complete","id":"a"}`)
	<-st.ended

	e := s.listen(t, `subscription { feed }`)
	<-st.begun
	third := s.open1(t)
	third.send(`{"type":"connection_init","payload":{"authorization":"Bearer ` + s.tokens[0] + `"}}`)
	third.wantClosed(websocket.StatusTryAgainLater)
	s.eventually(t, named("socket"), "1")
	if e := s.listen(t, `subscription { feed }`); e.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third stream of the user is answered with %d", e.StatusCode)
	}

	s.open1(t) // it does not say whose it is, and has a place
	if _, response, err := s.dial(t, "graphql-transport-ws"); err == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a fourth socket: %v", err)
	}
	e.leave()
	<-st.ended
	s.eventually(t, named("events"), "0")
	s.socket(t).subscribe("a", `subscription { feed }`)
	<-st.begun
}

// deaf opens a socket, subscribes to a flood and reads nothing: what it asks lies in the buffers of the connection.
func (s *site) deaf(t *testing.T, st *stage) net.Conn {
	t.Helper()
	c := s.raw(t, "GET /graphql HTTP/1.1\r\nHost: "+s.Listener.Addr().String()+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"+
		"Authorization: Bearer "+s.tokens[0]+"\r\n\r\n")
	for _, m := range []string{`{"type":"connection_init"}`, `{"id":"a","type":"subscribe","payload":{"query":"subscription { flood }"}}`} {
		if _, err := c.Write(masked(m)); err != nil {
			t.Fatal(err)
		}
	}
	<-st.begun
	return c
}

func (s *site) raw(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return c
}

// masked is a text frame with a mask of zeros.
func masked(text string) []byte {
	var b bytes.Buffer
	b.Write([]byte{0x81, 0x80 | 126})
	_ = binary.Write(&b, binary.BigEndian, uint16(len(text)))
	b.Write(make([]byte, 4))
	b.WriteString(text)
	return b.Bytes()
}

func (s *site) deafEvents(t *testing.T, st *stage) net.Conn {
	t.Helper()
	body := operation(`subscription { flood }`)
	c := s.raw(t, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"+
		"Authorization: Bearer "+s.tokens[0]+"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
	<-st.begun
	return c
}

// TestSlowReadersAreDropped has clients that stall, and clients that stall and vanish, while signs of life are due all the
// time. The others do not notice.
func TestSlowReadersAreDropped(t *testing.T) {
	for transport, open := range map[string]func(*site, *testing.T, *stage) net.Conn{"socket": (*site).deaf, "events": (*site).deafEvents} {
		t.Run(transport, func(t *testing.T) {
			s, st := newStreamSite(t, server.StreamLimits{Write: 100 * time.Millisecond, Alive: time.Millisecond}, nil)
			stalled := open(s, t, st)
			<-st.ended
			s.eventually(t, `canopy_streams_ended_total{transport="`+transport+`",why="slow"}`, "1")
			for range 10 {
				c := open(s, t, st)
				if err := c.(*net.TCPConn).SetLinger(0); err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
				<-st.ended
			}
			_ = stalled.Close()
			s.eventually(t, named(transport), "0")
			s.listen(t, `subscription { ticks(n: 1) }`).want("event: next\ndata: {\"data\":{\"ticks\":1}}\n")
		})
	}
}

// TestAClientWithoutASignOfLife takes whatever it is sent and answers no ping.
func TestAClientWithoutASignOfLife(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{Write: 50 * time.Millisecond, Alive: time.Millisecond}, nil)
	c := s.raw(t, "GET /graphql HTTP/1.1\r\nHost: "+s.Listener.Addr().String()+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"+
		"Authorization: Bearer "+s.tokens[0]+"\r\n\r\n")
	if _, err := c.Write(masked(`{"type":"connection_init"}`)); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	_, _ = got.ReadFrom(c)
	if !strings.Contains(got.String(), "connection_ack") || !strings.Contains(got.String(), "\x89") {
		t.Errorf("no ping was sent: %q", got.String())
	}
	s.eventually(t, `canopy_streams_ended_total{transport="socket",why="slow"}`, "1")
}

func TestOperationsOnASocketAreLoggedWithIDs(t *testing.T) {
	s, _ := newStreamSite(t, server.StreamLimits{}, nil)
	l := s.open1(t, "X-Request-Id", "tab-7", "Authorization", "Bearer "+s.tokens[0])
	l.send(`{"type":"connection_init"}`)
	l.want("connection_ack", "")
	l.subscribe("a", `subscription Clock { ticks(n: 1) }`)
	l.want("next", "a")
	l.want("complete", "a")
	_ = l.Close(websocket.StatusNormalClosure, "")
	s.eventually(t, named("socket"), "0")
	if err := s.server.EndStreams(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := s.log()
	for _, want := range []string{`msg=subscription operation="subscription Clock" events=1 errors=0`, "request_id=tab-7.1", "status=101", "user=1", "client=127.0.0.1"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, s.tokens[0]) {
		t.Error("the log holds the token")
	}
}
