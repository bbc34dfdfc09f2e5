package graph

import (
	"context"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/rule"
	"canopy/refusal"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// authenticated is the directive of fields for whoever is logged in.
func (r *resolver) authenticated(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
	if authz.FromContext(ctx) == nil {
		return nil, noViewer(ctx)
	}
	return next(ctx)
}

// hasPermission is the directive of fields that need a permission. Everything is found before anything is judged:
// NOT_FOUND comes before FORBIDDEN.
func (r *resolver) hasPermission(ctx context.Context, obj any, next graphql.Resolver, p authz.Permission, at []string, anywhere *bool) (any, error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return nil, noViewer(ctx)
	}
	if anywhere != nil && *anywhere {
		if !v.Permissions().Has(p) {
			return nil, r.forbidden(ctx, obj, p, "somewhere")
		}
		return next(ctx)
	}
	places, err := r.placesNamed(ctx, obj, at)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		if !v.Can(p, place.target) {
			return nil, r.forbidden(ctx, obj, p, place.words)
		}
	}
	return next(ctx)
}

// forbidden refuses for the missing permission, unless the arguments of a root field name something that is not there
// for the viewer.
func (r *resolver) forbidden(ctx context.Context, obj any, p authz.Permission, where string) error {
	if obj == nil {
		if err := r.missing(ctx, p); err != nil {
			return err
		}
	}
	return refusal.Forbidden(p, where)
}

// place is where a permission is needed, with words for who lacks it.
type place struct {
	target authz.Target
	words  string
}

// placesNamed returns the places that a directive names: the object whose field it is on, or on a root field what the
// arguments name, or the account.
func (r *resolver) placesNamed(ctx context.Context, obj any, at []string) ([]place, error) {
	if obj != nil {
		p, err := placeOfObject(obj)
		return []place{p}, err
	}
	if len(at) == 0 {
		return []place{{authz.Target{}, "on the account"}}, nil
	}
	return r.locate(ctx, at)
}

// placeOfObject is where a permission on a field of the object is needed.
func placeOfObject(obj any) (place, error) {
	switch o := obj.(type) {
	case *ent.Group:
		return place{authz.AtGroup(rule.PlaceOf(o)), "at this group"}, nil
	case *ent.Account:
		return place{authz.Target{}, "on the account"}, nil
	}
	return place{}, fmt.Errorf("graph: @hasPermission on a field of %T, which is no place", obj)
}

// permitted returns the objects whose field the viewer may ask for, so that nothing is looked ahead for the others.
func (r *resolver) permitted(ctx context.Context, objects []any, field *ast.FieldDefinition) []any {
	directive := field.Directives.ForName("hasPermission")
	if directive == nil {
		return objects
	}
	p, err := authz.ParsePermission(directive.Arguments.ForName("permission").Value.Raw)
	if err != nil {
		return nil
	}
	var may []any
	for _, o := range objects {
		if at, err := placeOfObject(o); err == nil && authz.FromContext(ctx).Can(p, at.target) {
			may = append(may, o)
		}
	}
	return may
}
