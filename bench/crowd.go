package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// crowd tells everybody who is connected of every mutation, whatever they asked for and whoever they are, and leaves what else
// is asked to somebody who answers.
type crowd struct {
	answers http.Handler

	mu   sync.Mutex
	tell []func(text string) error
}

// What is told, as Canopy tells it.
const (
	firstTold = `{"data":{"inboxChanged":{"change":"STARTED","contactId":null,"contact":null}}}`
	laterTold = `{"data":{"inboxChanged":{"change":"UPDATED","contactId":"QwE","contact":{"id":"QwE","name":"Kim 1800000000000000000"}}}}`
)

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		c.socket(w, r)
		return
	case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		c.events(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !bytes.Contains(body, []byte("mutation")) {
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.answers.ServeHTTP(w, r)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tell := range c.tell {
		_ = tell(laterTold) // who has gone hears nothing
	}
	_, _ = io.WriteString(w, `{"data":{}}`)
}

func (c *crowd) join(tell func(text string) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell = append(c.tell, tell)
	return tell(firstTold)
}

func (c *crowd) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return // it was answered
	}
	err = c.join(func(text string) error {
		return conn.Write(r.Context(), websocket.MessageText, []byte(`{"id":"a","type":"next","payload":`+text+`}`))
	})
	for err == nil {
		_, _, err = conn.Read(r.Context())
	}
}

func (c *crowd) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	err := c.join(func(text string) error {
		_, err := io.WriteString(w, "event: next\ndata: "+text+"\n\n")
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		return err
	})
	if err == nil {
		<-r.Context().Done()
	}
}
