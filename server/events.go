package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// eventsType is the media type of Server-Sent Events.
const eventsType = "text/event-stream"

// wantsEvents says that a request is to be answered by events, or may be.
func wantsEvents(r *http.Request) bool { return accepts(r, eventsType) }

// wantsOnlyEvents says that nothing else would be understood.
func wantsOnlyEvents(r *http.Request) bool {
	return wantsEvents(r) && !accepts(r, jsonType) && !accepts(r, responseType) && !accepts(r, "*/*")
}

func accepts(r *http.Request, mediaType string) bool {
	for _, accepted := range r.Header.Values("Accept") {
		if strings.Contains(accepted, mediaType) {
			return true
		}
	}
	return false
}

// paramsOf reads a subscription from the address of a GET, which is all that a browser's EventSource can send. A session is
// never read from there: addresses are written down in too many places.
func paramsOf(_ http.ResponseWriter, r *http.Request) (*graphql.RawParams, *problem) {
	asked, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad(http.StatusBadRequest, "The address is not well-formed.")
	}
	whole := map[string]any{"query": asked.Get("query")}
	if name := asked.Get("operationName"); name != "" {
		whole["operationName"] = name
	}
	for _, name := range []string{"variables", "extensions"} {
		if value := asked.Get(name); value != "" {
			whole[name] = json.RawMessage(value)
		}
	}
	body, err := json.Marshal(whole)
	if err != nil {
		return nil, bad(http.StatusBadRequest, "The variables or extensions are not valid JSON.")
	}
	params, p := decodeParams(body)
	if p != nil {
		return nil, p
	}
	params.Headers = r.Header
	return params, nil
}

// serveEvents executes a subscription and answers with its events, as graphql-sse has it in distinct connections mode. The
// goroutine of the request alone writes; the one that executes hands it what there is, and has ended when it returns.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, operation *graphql.OperationContext) {
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	taken, err := s.streams.enter(end)
	if err != nil {
		s.refuse(w, r, full(err))
		return
	}
	defer taken.leave()
	if err := taken.claim(userOf(ctx)); err != nil {
		s.refuse(w, r, full(err))
		return
	}
	narrow(r)
	defer s.metrics.streaming("events")()
	noteOf(ctx).streamed = true

	bodies, over := make(chan []byte), make(chan struct{})
	var failed *graphql.Response
	began, events := time.Now(), 0
	go func() {
		defer close(over)
		failed = s.follow(ctx, operation, func(body []byte) error {
			select {
			case bodies <- body:
				events++
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	out := &eventWriter{w: w, control: http.NewResponseController(w), within: s.streams.limits.write}
	err = out.relay(ctx, bodies, over, s.streams.limits.alive)
	if err == nil {
		if failed != nil {
			s.countErrors(ctx, failed)
		}
		err = out.finish(failed)
	}
	end(err)
	<-over
	s.metrics.streamEnded("events", err)
	s.logSubscription(ctx, events, time.Since(began))
}

// answerEvents answers with one response, and that is all of the stream.
func (s *Server) answerEvents(w http.ResponseWriter, r *http.Request, response *graphql.Response) {
	s.countErrors(r.Context(), response)
	out := &eventWriter{w: w, control: http.NewResponseController(w), within: s.streams.limits.write}
	if out.begin() == nil {
		_ = out.finish(response) // there is nobody to tell when it fails
	}
}

// eventWriter writes events. Each write has to be taken in time; one goroutine calls it.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
}

// relay writes the bodies as they come, and signs of life between them. It returns nil when there are no more, and why the
// stream has to end otherwise.
func (o *eventWriter) relay(ctx context.Context, bodies <-chan []byte, over <-chan struct{}, alive time.Duration) error {
	ticker := time.NewTicker(alive)
	defer ticker.Stop()
	err := o.begin()
	for err == nil {
		select {
		case body := <-bodies:
			err = o.write(eventText("next", body))
		case <-ticker.C:
			err = o.write([]byte(":\n\n"))
		case <-over:
			return context.Cause(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// begin answers that events follow, before there is one, and asks proxies not to collect them.
func (o *eventWriter) begin() error {
	header := o.w.Header()
	header.Set("Content-Type", eventsType+"; charset=utf-8")
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no")
	header.Set("X-Content-Type-Options", "nosniff")
	// The limit on reading the request would end the stream: the connection is watched for the client's leaving.
	if err := o.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	o.w.WriteHeader(http.StatusOK)
	return o.write([]byte(":\n\n"))
}

// finish tells of the failure, if there is one, and that the stream is over.
func (o *eventWriter) finish(failed *graphql.Response) error {
	if failed != nil {
		body, err := encode(failed)
		if err != nil {
			return err
		}
		if err := o.write(eventText("next", body)); err != nil {
			return err
		}
	}
	// Without its data an EventSource would not tell of it.
	return o.write([]byte("event: complete\ndata: \n\n"))
}

// eventText is one event. Some scalars end with a new line, which would end the data.
func eventText(name string, body []byte) []byte {
	text := make([]byte, 0, len(body)+len(name)+32)
	text = append(append(text, "event: "...), name...)
	for line := range bytes.Lines(body) {
		text = append(append(text, "\ndata: "...), bytes.TrimRight(line, "\r\n")...)
	}
	return append(text, "\n\n"...)
}

func (o *eventWriter) write(text []byte) error {
	if err := o.control.SetWriteDeadline(time.Now().Add(o.within)); err != nil {
		return err
	}
	_, err := o.w.Write(text)
	if err == nil {
		err = o.control.Flush()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case err != nil:
		return errLeft
	}
	return nil
}
