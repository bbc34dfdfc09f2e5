package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/99designs/gqlgen/graphql"
)

// The messages of graphql-transport-ws, by their types: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
const (
	messageInit      = "connection_init"
	messageAck       = "connection_ack"
	messagePing      = "ping"
	messagePong      = "pong"
	messageSubscribe = "subscribe"
	messageNext      = "next"
	messageError     = "error"
	messageComplete  = "complete"
)

// maxOperationID is how many bytes the id may have that a client gives an operation.
const maxOperationID = 64

// message is one that a client sends.
type message struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`

	params        *graphql.RawParams // of subscribe
	authorization string             // of connection_init; "" if it says none
}

// parseMessage reads a message that a client may send. What it says against one is never made of what was sent.
func parseMessage(data []byte) (*message, *closing) {
	m := &message{}
	if err := decodeObject(data, m); err != nil {
		return nil, invalid("A message is one JSON object with a type.")
	}
	if bytes.Equal(m.Payload, []byte("null")) {
		m.Payload = nil
	}
	if len(m.Payload) > 0 && m.Payload[0] != '{' {
		return nil, invalid("The payload of a message is an object.")
	}
	switch m.Type {
	case messagePing, messagePong:
		return m, nil
	case messageInit:
		return m, m.readInit()
	case messageSubscribe, messageComplete:
		return m, m.readOperation()
	}
	return nil, invalid("Clients send connection_init, ping, pong, subscribe and complete.")
}

func invalid(reason string) *closing { return &closing{closeInvalid, reason} }

// readInit reads what a browser, which cannot set the header Authorization of a socket, says instead.
func (m *message) readInit() *closing {
	var said struct {
		Authorization *string `json:"authorization"`
	}
	if m.Payload == nil {
		return nil
	}
	if err := json.Unmarshal(m.Payload, &said); err != nil {
		return invalid("The payload's authorization is a text.")
	}
	if said.Authorization != nil {
		m.authorization = bearer(*said.Authorization)
	}
	return nil
}

func (m *message) readOperation() *closing {
	if m.ID == "" || len(m.ID) > maxOperationID {
		return invalid("The id of an operation is a text of 1 to 64 bytes.")
	}
	if m.Type == messageComplete {
		return nil
	}
	params, p := decodeParams(m.Payload)
	if p != nil {
		return invalid(p.message)
	}
	m.params = params
	return nil
}

var (
	errNoObject = errors.New("no object")
	errMore     = errors.New("something follows the object")
)

// decodeObject reads one JSON object and nothing after it. Numbers in values of any type are kept as they are written.
func decodeObject(data []byte, into any) error {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errNoObject
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errMore
	}
	return nil
}

// messageOf writes a message. The payload is JSON already; "" for none.
func messageOf(kind, id string, payload []byte) []byte {
	body := make([]byte, 0, len(payload)+len(id)+48)
	body = append(body, `{"type":"`...)
	body = append(append(body, kind...), '"')
	if id != "" {
		quoted, _ := json.Marshal(id) // a text always succeeds
		body = append(append(body, `,"id":`...), quoted...)
	}
	if len(payload) > 0 {
		body = append(append(body, `,"payload":`...), payload...)
	}
	return append(body, '}')
}
