package graph

import (
	"context"

	ent "canopy/ent/generated"
	"canopy/ent/generated/grouprequest"
	"canopy/relay"
)

type groupRequestResolver struct{ *resolver }

func (r *queryResolver) GroupRequests(ctx context.Context, status *grouprequest.Status, first *int, after *string) (*relay.Connection[*ent.GroupRequest], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	return requestsNewestFirst().page(ctx, r.DB.Read, p, with(grouprequest.FieldStatus, status))
}

func (r *groupRequestResolver) Parent(ctx context.Context, q *ent.GroupRequest) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, q)
}

func (r *groupRequestResolver) RequestedBy(ctx context.Context, q *ent.GroupRequest) (*ent.User, error) {
	return take[*ent.User](ctx, r.resolver, q)
}

func (r *groupRequestResolver) Group(ctx context.Context, q *ent.GroupRequest) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, q)
}

func (r *resolver) groupRequestLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"parent":      toOne(r, groupRows, to(func(q *ent.GroupRequest) int64 { return q.ParentID })),
		"requestedBy": toOne(r, userRows, to(func(q *ent.GroupRequest) int64 { return q.RequestedByID })),
		"group":       toOne(r, groupRows, func(q *ent.GroupRequest) *int64 { return q.GroupID }),
	}
}
