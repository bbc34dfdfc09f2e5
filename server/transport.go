package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"canopy/audit"
	"canopy/refusal"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

const (
	maxBody          = 1 << 20          // bytes of a request
	executionTimeout = 30 * time.Second // for answering one operation
	maxOperationName = 100              // bytes of it in the log

	jsonType     = "application/json"
	responseType = "application/graphql-response+json"
)

// The codes of what is refused before or without an execution; refusal and graph have the others.
const (
	codeBadInput        = "BAD_USER_INPUT"
	codeForbidden       = "FORBIDDEN"
	codeInternal        = "INTERNAL_SERVER_ERROR"
	codeUnauthenticated = string(refusal.Unauthenticated)
)

// problem is an answer without an execution: a status and one GraphQL error. Its message is never made of what the
// client sent, which may hold a password.
type problem struct {
	status     int
	message    string
	extensions map[string]any
}

func bad(status int, message string) *problem {
	return &problem{status, message, map[string]any{"code": codeBadInput}}
}

func foreignOrigin() *problem {
	return &problem{http.StatusForbidden, "Pages of other origins may not use this server.", map[string]any{"code": codeForbidden}}
}

func tooMany(message string) *problem {
	return &problem{http.StatusTooManyRequests, message, map[string]any{"code": string(refusal.RateLimited)}}
}

// full says why there is no place for a stream.
func full(err error) *problem {
	if errors.Is(err, errUserFull) {
		return tooMany("Too many streams of this user are open. Close some.")
	}
	return unavailable()
}

func internal(ctx context.Context) *problem {
	return &problem{http.StatusInternalServerError, "Something went wrong on our side. Try again; if it stays, report it with this id.",
		map[string]any{"code": codeInternal, "id": audit.RequestID(ctx)}}
}

func unavailable() *problem {
	away := refusal.Unavailable()
	return &problem{http.StatusServiceUnavailable, away.Message, map[string]any{"code": string(away.Code)}}
}

// serveGraphQL answers one operation, sent by POST as a JSON object, or a handshake. What is executed is answered with 200,
// also when it was refused; what is not executed with the status that says why. A subscription is answered by events.
func (s *Server) serveGraphQL(w http.ResponseWriter, r *http.Request) {
	s.origins.describe(w.Header(), r)
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", "GET, OPTIONS, POST")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if isHandshake(r) {
		s.serveSocket(w, r)
		return
	}
	if p := s.acceptable(r); p != nil {
		s.refuse(w, r, p)
		return
	}
	read := readParams
	if r.Method == http.MethodGet {
		read = paramsOf
	}
	params, p := read(w, r)
	if p != nil {
		s.refuse(w, r, p)
		return
	}
	ctx, p := s.authenticate(w, r)
	if p != nil {
		s.refuse(w, r, p)
		return
	}
	s.execute(w, r.WithContext(ctx), params)
}

// acceptable looks at everything but the body.
func (s *Server) acceptable(r *http.Request) *problem {
	foreign := r.Header.Get("Authorization") == "" && s.origins.foreign(r)
	switch {
	case r.Method == http.MethodGet && wantsEvents(r) && foreign:
		return foreignOrigin()
	case r.Method == http.MethodGet && wantsEvents(r):
		return nil
	case r.Method != http.MethodPost:
		return bad(http.StatusMethodNotAllowed, "Send operations by POST.")
	}
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := parameters["charset"]
	switch {
	case err != nil || mediaType != jsonType || charset != "" && !strings.EqualFold(charset, "utf-8"):
		return bad(http.StatusUnsupportedMediaType, "Send the operation as application/json.")
	case r.Header.Get("Content-Encoding") != "":
		return bad(http.StatusUnsupportedMediaType, "Send the operation without a Content-Encoding.")
	case foreign:
		return foreignOrigin()
	}
	return nil
}

// readParams reads the body: one JSON object and nothing after it.
func readParams(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, *problem) {
	start := graphql.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, bad(http.StatusRequestEntityTooLarge, "The request is larger than 1 MiB.")
	case err != nil:
		return nil, bad(http.StatusBadRequest, "The request did not arrive whole.")
	}
	params, p := decodeParams(body)
	if p != nil {
		return nil, p
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return params, nil
}

// decodeParams reads what an operation consists of, wherever it stood.
func decodeParams(body []byte) (*graphql.RawParams, *problem) {
	params := &graphql.RawParams{}
	switch err := decodeObject(body, params); {
	case errors.Is(err, errNoObject):
		return nil, bad(http.StatusBadRequest, "Send one operation as a JSON object; lists of operations are not supported.")
	case errors.Is(err, errMore):
		return nil, bad(http.StatusBadRequest, "Send one JSON object and nothing after it.")
	case err != nil:
		return nil, bad(http.StatusBadRequest,
			"The request is not valid JSON, or its query, operationName, variables or extensions are of the wrong kind.")
	case params.Query == "":
		return nil, bad(http.StatusBadRequest, "The request has no query.")
	}
	return params, nil
}

// execute runs the operation and answers with its result.
func (s *Server) execute(w http.ResponseWriter, r *http.Request, params *graphql.RawParams) {
	ctx := graphql.StartOperationTrace(r.Context())
	operation, wrong := s.exec.CreateOperationContext(ctx, params)
	if operation != nil && operation.Operation != nil {
		noteOf(ctx).operation = operationName(operation)
	}
	if wrong != nil {
		response := s.exec.DispatchError(graphql.WithOperationContext(ctx, operation), wrong)
		if wantsOnlyEvents(r) {
			s.answerEvents(w, r, response)
			return
		}
		s.answer(w, r, http.StatusBadRequest, response)
		return
	}
	if p := fits(r, operation); p != nil {
		s.refuse(w, r, p)
		return
	}
	if isSubscription(operation) {
		s.serveEvents(w, r.WithContext(ctx), operation)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, executionTimeout)
	defer cancel()
	s.answer(w, r, http.StatusOK, s.run(ctx, tokenOf(r), params, operation))
}

// fits refuses an operation that cannot be answered in the way in which it was asked.
func fits(r *http.Request, operation *graphql.OperationContext) *problem {
	switch {
	case isSubscription(operation) && !wantsEvents(r):
		return bad(http.StatusNotAcceptable,
			"A subscription is answered by events: accept text/event-stream, or subscribe over a WebSocket that speaks "+subprotocol+".")
	case !isSubscription(operation) && r.Method == http.MethodGet:
		return bad(http.StatusMethodNotAllowed, "Send queries and mutations by POST.")
	case !isSubscription(operation) && wantsOnlyEvents(r):
		return bad(http.StatusNotAcceptable, "Queries and mutations are answered as application/json: accept that. Events are for subscriptions.")
	}
	return nil
}

func operationName(operation *graphql.OperationContext) string {
	kind, name := string(operation.Operation.Operation), operation.Operation.Name
	if name == "" {
		return kind
	}
	return kind + " " + name[:min(len(name), maxOperationName)]
}

// refuse answers with a problem.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p *problem) {
	switch p.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", "GET, OPTIONS, POST")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	s.answer(w, r, p.status, &graphql.Response{
		Errors: gqlerror.List{{Message: p.message, Extensions: p.extensions}},
	})
}

// answer writes the response as JSON.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, status int, response *graphql.Response) {
	s.metrics.refused(response.Errors)
	noteOf(r.Context()).errors = len(response.Errors)
	body, err := encode(response)
	if err != nil {
		s.cfg.Log.ErrorContext(r.Context(), "encoding the answer failed", "error", err)
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"The answer could not be written.",`+
			`"extensions":{"code":"`+codeInternal+`"}}]}`)
	}
	header := w.Header()
	header.Set("Content-Type", answerType(r)+"; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// encode writes a response. The data is JSON already; encoding/json would read all of it once more.
func encode(response *graphql.Response) ([]byte, error) {
	body := bytes.NewBuffer(make([]byte, 0, len(response.Data)+64))
	if err := encodeMember(body, '{', "errors", response.Errors, len(response.Errors)); err != nil {
		return nil, err
	}
	if response.Data != nil {
		body.WriteByte(separator(body))
		body.WriteString(`"data":`)
		body.Write(response.Data)
	}
	if err := encodeMember(body, separator(body), "extensions", response.Extensions, len(response.Extensions)); err != nil {
		return nil, err
	}
	if body.Len() == 0 {
		body.WriteByte('{')
	}
	body.WriteByte('}')
	return body.Bytes(), nil
}

func separator(body *bytes.Buffer) byte {
	if body.Len() == 0 {
		return '{'
	}
	return ','
}

func encodeMember(body *bytes.Buffer, before byte, name string, value any, size int) error {
	if size == 0 {
		return nil
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	body.WriteByte(before)
	body.WriteString(strconv.Quote(name))
	body.WriteByte(':')
	body.Write(encoded)
	return nil
}

// answerType is the media type that the client asks for: the one of GraphQL over HTTP if it says so, else plain JSON.
func answerType(r *http.Request) string {
	if accepts(r, responseType) {
		return responseType
	}
	return jsonType
}
