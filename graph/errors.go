package graph

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	ent "canopy/ent/generated"
	"canopy/refusal"
	"canopy/store"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Codes that are graph's own; the others are package refusal's.
const (
	codeTooComplex = "QUERY_TOO_COMPLEX"
	codeInternal   = "INTERNAL_SERVER_ERROR"
)

// present is the one place where an error becomes what a client sees. A refusal shows what it says. Errors about the
// document itself keep their code. What the database cannot do right now, or not in time, is unavailable, and the log
// says why. Everything else is internal: the client sees an id, and the log has the error under that id.
func (r *resolver) present(ctx context.Context, err error) *gqlerror.Error {
	shown := &gqlerror.Error{Path: graphql.GetPath(ctx)}
	var of *gqlerror.Error
	if errors.As(err, &of) {
		shown.Locations = of.Locations
		if of.Path != nil {
			shown.Path = of.Path
		}
	}
	var refused *refusal.Refusal
	switch {
	case errors.As(err, &refused):
	case ent.IsNotFound(err):
		refused = refusal.NotFound("thing")
	case of != nil && aboutDocument(of):
		shown.Message, shown.Extensions = of.Message, of.Extensions
		if shown.Message == "operation  not found" { // gqlgen says so of the empty name
			shown.Message = "Name one operation of the document by operationName, or send a document with exactly one."
		}
		return shown
	case store.Unavailable(err), ctx.Err() != nil:
		refused = refusal.Unavailable()
		if len(shown.Path) > 1 && isMutation(ctx) {
			refused = refusal.Unanswered()
		}
	default:
		return r.internal(ctx, shown, err)
	}
	if refused.Code == refusal.UnavailableCode {
		r.log.LogAttrs(ctx, levelOf(ctx), "the database did not answer", slog.String("path", shown.Path.String()), slog.Any("error", err))
	}
	return explain(ctx, shown, refused)
}

// isMutation says whether the operation is a mutation. What its root fields return is loaded after they have changed what
// they change.
func isMutation(ctx context.Context) bool {
	return graphql.HasOperationContext(ctx) && graphql.GetOperationContext(ctx).Operation != nil &&
		graphql.GetOperationContext(ctx).Operation.Operation == ast.Mutation
}

// aboutDocument says whether the error is about the query as text: it does not parse, is not valid or is too complex.
func aboutDocument(err *gqlerror.Error) bool {
	switch err.Extensions["code"] {
	case errcode.ParseFailed, errcode.ValidationFailed, codeTooComplex:
		return true
	}
	return false
}

// explain puts a refusal into words and extensions.
func explain(ctx context.Context, shown *gqlerror.Error, refused *refusal.Refusal) *gqlerror.Error {
	field := refused.Field
	if at := graphql.GetPath(ctx); field == "" && len(shown.Path) > len(at) {
		// A scalar that could not be read knows nothing of its argument, but the path of the error leads to it.
		field = shown.Path[len(at):].String()
		shown.Path = at
	}
	shown.Message = refused.Message
	shown.Extensions = map[string]any{"code": string(refused.Code)}
	for name, value := range map[string]string{"reason": string(refused.Reason), "field": field,
		"permission": refused.Permission, "where": refused.Where, "remedy": refused.Remedy} {
		if value != "" {
			shown.Extensions[name] = value
		}
	}
	return shown
}

// internal hides the error behind an id.
func (r *resolver) internal(ctx context.Context, shown *gqlerror.Error, err error) *gqlerror.Error {
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails
	id := hex.EncodeToString(raw)
	attributes := []slog.Attr{slog.String("error_id", id), slog.String("path", shown.Path.String()), slog.Any("error", err)}
	var p *panicked
	if errors.As(err, &p) {
		attributes = append(attributes, slog.String("stack", string(p.stack)))
	}
	r.log.LogAttrs(ctx, slog.LevelError, "a request failed", attributes...)
	shown.Message = fmt.Sprintf("Something went wrong on our side. Try again; if it stays, report it with the id %s.", id)
	shown.Extensions = map[string]any{"code": codeInternal, "id": id}
	return shown
}

// levelOf is how much a failure matters: little when nobody waits for the answer any more.
func levelOf(ctx context.Context) slog.Level {
	if errors.Is(ctx.Err(), context.Canceled) {
		return slog.LevelInfo
	}
	return slog.LevelError
}

// panicked is what a resolver that panicked returns.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// recovered turns a panic into an error like any other.
func recovered(_ context.Context, value any) error {
	return &panicked{value: value, stack: debug.Stack()}
}

// inOrder sorts the errors of an answer by their paths, because fields are resolved side by side.
func inOrder(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil {
		slices.SortStableFunc(response.Errors, func(a, b *gqlerror.Error) int { return slices.CompareFunc(a.Path, b.Path, compareStep) })
	}
	return response
}

func compareStep(a, b ast.PathElement) int {
	i, isIndex := a.(ast.PathIndex)
	j, alsoIndex := b.(ast.PathIndex)
	if isIndex && alsoIndex {
		return cmp.Compare(i, j)
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

// tooComplex refuses a document for its size.
func tooComplex(format string, args ...any) *gqlerror.Error {
	return &gqlerror.Error{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": codeTooComplex}}
}

// invalid refuses a document for what is in it.
func invalid(at *ast.Position, format string, args ...any) *gqlerror.Error {
	err := gqlerror.ErrorPosf(at, format, args...)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}
