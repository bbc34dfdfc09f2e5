package graph

import (
	"context"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/rule"
	"canopy/graph/bind"
	"canopy/refusal"
	"canopy/relay"

	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"
)

// page reads the page arguments of a root field.
func (r *resolver) page(ctx context.Context, first *int, after *string) (page, error) {
	return newPage(first, after, r.askedOf(ctx, graphql.GetFieldContext(ctx).Field).total)
}

// one returns the visible row of that id. What is not there and what the viewer may not see are one answer.
func one[T bind.Node](ctx context.Context, c *ent.Client, rows rowsFunc[T], id int64, what string) (T, error) {
	found, err := byID(ctx, c, rows, []int64{id})
	if err != nil {
		var none T
		return none, err
	}
	row, ok := found[id]
	if !ok {
		return row, refusal.NotFound(what)
	}
	return row, nil
}

// toOne loads the row that a column of the parent names: null where the column is empty or the viewer may not see the
// row.
func toOne[P, V bind.Node](r *resolver, rows rowsFunc[V], column func(P) *int64) loader[P, V] {
	return loader[P, V]{numberOfNode[P], func(ctx context.Context, parents []P, _ asked) (map[int64]V, error) {
		var ids []int64
		for _, p := range parents {
			if id := column(p); id != nil {
				ids = append(ids, *id)
			}
		}
		found, err := byID(ctx, r.DB.Read, rows, ids)
		values := make(map[int64]V, len(parents))
		for _, p := range parents {
			if id := column(p); id != nil {
				values[number(p)] = found[*id]
			}
		}
		return values, err
	}}
}

// to makes a column that is never empty into one for toOne.
func to[P any](column func(P) int64) func(P) *int64 {
	return func(p P) *int64 {
		id := column(p)
		return &id
	}
}

// toMany loads pages of rows that hang on the parents; owner is the number of a row's parent.
func toMany[P bind.Node, V any](r *resolver, n nested[V], owner func(V) int64) loader[P, *relay.Connection[V]] {
	return loader[P, *relay.Connection[V]]{numberOfNode[P], func(ctx context.Context, parents []P, a asked) (map[int64]*relay.Connection[V], error) {
		return n.pages(ctx, r.DB.Read, numbers(parents), a, owner)
	}}
}

func numberOfNode[P bind.Node](p P) int64 { return number(p) }

// trusted lifts the row rules for rows to which something visible leads and that are shown only as part of it.
func trusted[T any](rows rowsFunc[T]) rowsFunc[T] {
	return func(ctx context.Context, c *ent.Client, shape func(*sql.Selector)) ([]T, error) {
		return rows(authz.Trusted(ctx), c, shape)
	}
}

// places returns where groups stand in the tree, whether the viewer sees them or not: it is needed to judge what is in
// them. A request looks each group up once.
func (r *resolver) places(ctx context.Context, ids []int64) (map[int64]authz.Place, error) {
	known := answersFrom(ctx)
	places, missing := known.placesOf(distinct(ids))
	if len(missing) == 0 {
		return places, nil
	}
	groups, err := byID(ctx, r.DB.Read, trusted(groupRows), missing)
	for id, g := range groups {
		places[id] = rule.PlaceOf(g)
	}
	known.addPlaces(places)
	return places, err
}

func (s *answers) placesOf(ids []int64) (places map[int64]authz.Place, missing []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	places = make(map[int64]authz.Place, len(ids))
	for _, id := range ids {
		if p, ok := s.places[id]; ok {
			places[id] = p
		} else {
			missing = append(missing, id)
		}
	}
	return places, missing
}

func (s *answers) addPlaces(places map[int64]authz.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range places {
		s.places[id] = p
	}
}
