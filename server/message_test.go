package server

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseMessage: whatever is sent, a message is one that the protocol has, or the socket can be closed with the reason,
// which holds nothing of what was sent.
func FuzzParseMessage(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"type":"ping"}`, `{"type":"ping","payload":{"a":[1,{}]}}`, `{"type":"pong","payload":null}`,
		`{"type":"connection_init","payload":{"authorization":"Bearer x"}}`, `{"type":"connection_init","payload":[]}`,
		`{"type":"connection_init","payload":{"authorization":null}}`, `{"TYPE":"complete","id":"a"}`, `{"type":"complete","id":"\ud800"}`,
		`{"type":"subscribe","id":"a","payload":{"query":"{a}","variables":{"n":1e400},"operationName":null}}`,
		`{"type":"subscribe","id":"a","payload":{"query":"{a}","variables":null,"extensions":{"x":[[[[]]]]}}}`,
		`{"type":"subscribe","id":"a","payload":"{a}"}`, `{"type":"ping"} x`, "{\"type\":\"ping\",\"payload\":\n{}}", "\xff{\"type\":\"ping\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, wrong := parseMessage(data)
		if wrong != nil {
			if wrong.code != closeInvalid || wrong.reason == "" || len(wrong.reason) > 123 {
				t.Errorf("closed with %d %q", wrong.code, wrong.reason)
			}
			return
		}
		switch m.Type {
		case messagePing, messagePong, messageInit:
		case messageSubscribe:
			if m.params == nil || m.params.Query == "" {
				t.Error("nothing to execute")
			}
			fallthrough
		case messageComplete:
			if m.ID == "" || len(m.ID) > maxOperationID || !utf8.ValidString(m.ID) {
				t.Errorf("an id %q", m.ID)
			}
		default:
			t.Errorf("a message of type %q", m.Type)
		}
		if m.Payload != nil && (!json.Valid(m.Payload) || !strings.HasPrefix(string(m.Payload), "{")) {
			t.Errorf("a payload %q", m.Payload)
		}
		for _, answer := range [][]byte{messageOf(messagePong, "", m.Payload), messageOf(messageComplete, m.ID, nil)} {
			if !json.Valid(answer) {
				t.Errorf("it is answered with %q", answer)
			}
		}
		if reason := (&closing{closeIDTaken, idTaken(m.ID)}).reason; len(m.ID) <= maxOperationID && len(reason) > 123 {
			t.Errorf("closed with %d bytes", len(reason))
		}
	})
}

func TestEventsOfSeveralLines(t *testing.T) {
	if got := string(eventText("next", []byte("{\"a\":[1,\n2\r\n]}\n"))); got != "event: next\ndata: {\"a\":[1,\ndata: 2\ndata: ]}\n\n" {
		t.Errorf("got %q", got)
	}
}
