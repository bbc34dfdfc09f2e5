// Package graph answers GraphQL: resolvers of a few lines, the access directives, the one mapping of errors, the
// limits on what a query may cost, and the look-ahead that loads a query level by level.
//
// Reads shape Ent queries, which ent/rule narrows to what the viewer may see; every change is a use-case of directory
// or desk. The package knows nothing of HTTP: server carries operations to the executor that New returns, with the
// viewer in the context. What gqlgen writes is in graph/generated and graph/model, what it binds to in graph/bind.
package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"canopy/desk"
	"canopy/directory"
	"canopy/graph/generated"
	"canopy/live"
	"canopy/store"

	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
)

// Config is what the API needs. DB, Directory, Desk, Now and Running must be set.
type Config struct {
	DB        *store.DB
	Directory *directory.Service
	Desk      *desk.Service
	Now       func() time.Time
	// Running is what goes on beside operations: it has ended soon after the last subscription has.
	Running *sync.WaitGroup
	// Log gets internal errors; nil is slog.Default().
	Log *slog.Logger
	// LogIns bounds how often somebody may try to log in; nil sets no bound.
	LogIns LogInLimiter
	// Introspection lets clients ask for the schema.
	Introspection bool
	// Limits bounds what a query may cost. Fields that are 0 have the value of DefaultLimits.
	Limits Limits
}

// LogInLimiter bounds attempts to log in.
type LogInLimiter interface {
	// Allow says whether one more attempt for the address may be made now, and counts it. When that cannot be found out
	// it returns an error, and no attempt is made.
	Allow(ctx context.Context, email string) (bool, error)
}

// cachedQueries is how many parsed documents are kept.
const cachedQueries = 1000

// New returns what executes operations. It fails when the schema has a field that does not say who may ask for it.
func New(cfg Config) (*executor.Executor, error) {
	r, e, err := build(cfg)
	if err != nil {
		return nil, err
	}
	e.AroundFields(r.lookAhead)
	return e, nil
}

// build makes everything but the look-ahead.
func build(cfg Config) (*resolver, *executor.Executor, error) {
	if cfg.DB == nil || cfg.Directory == nil || cfg.Desk == nil || cfg.Now == nil || cfg.Running == nil {
		return nil, nil, errors.New("graph: DB, Directory, Desk, Now and Running must be set")
	}
	r := &resolver{DB: cfg.DB, Directory: cfg.Directory, Desk: cfg.Desk, Now: cfg.Now,
		logIns: cfg.LogIns, log: cmp.Or(cfg.Log, slog.Default()), payloadTimeout: cfg.Limits.orDefault().Payload}
	r.live = &live.Hub{DB: cfg.DB, People: cfg.Directory, Now: cfg.Now, Log: r.log, Running: cfg.Running}
	r.loaders = r.allLoaders()
	r.kinds = nodeKinds(cfg.DB.Read)
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: r, Directives: generated.DirectiveRoot{
		Authenticated: r.authenticated, HasPermission: r.hasPermission,
	}})
	r.learn(schema.Schema())
	if err := r.checkSchema(schema.Schema()); err != nil {
		return nil, nil, fmt.Errorf("graph: the schema does not say who may ask for what: %w", err)
	}
	e := executor.New(schema)
	documents := lru.New[*ast.QueryDocument](cachedQueries)
	e.SetQueryCache(documents)
	e.SetErrorPresenter(r.present)
	e.SetRecoverFunc(recovered)
	g := &guard{limits: cfg.Limits.orDefault(), schema: weighted{schema}, documents: documents, introspection: cfg.Introspection}
	e.SetParserTokenLimit(g.limits.Tokens)
	e.SetDefaultRulesFn(g.validation)
	e.SetDisableSuggestion(!cfg.Introspection)
	e.Use(g)
	e.AroundOperations(r.asStream)
	e.AroundResponses(inOrder)
	e.AroundResponses(r.fromStream)
	return r, e, nil
}

// learn reads from the schema what the look-ahead and the directives need to know of it.
func (r *resolver) learn(schema *ast.Schema) {
	r.satisfies, r.inputs = map[string][]string{}, map[string]ast.FieldList{}
	for name, def := range schema.Types {
		switch def.Kind {
		case ast.Object:
			r.satisfies[name] = append([]string{name}, def.Interfaces...)
		case ast.InputObject:
			r.inputs[name] = def.Fields
		}
	}
	for _, def := range schema.PossibleTypes["Node"] {
		r.nodeTypes = append(r.nodeTypes, def.Name)
	}
	slices.Sort(r.nodeTypes)
}
