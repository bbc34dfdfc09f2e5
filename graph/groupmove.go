package graph

import (
	"context"

	ent "canopy/ent/generated"
	"canopy/relay"
)

type groupMoveResolver struct{ *resolver }

func (r *queryResolver) GroupMoves(ctx context.Context, first *int, after *string) (*relay.Connection[*ent.GroupMove], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	return movesNewestFirst().page(ctx, r.DB.Read, p)
}

func (r *groupMoveResolver) Group(ctx context.Context, m *ent.GroupMove) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, m)
}

// Progress is 1 for a finished move only: contacts that came meanwhile can make more of them than there were.
func (r *groupMoveResolver) Progress(_ context.Context, m *ent.GroupMove) (float64, error) {
	if m.FinishedAt != nil {
		return 1, nil
	}
	return min(0.99, float64(m.Carried)/float64(max(1, m.Total))), nil
}

func (r *resolver) groupMoveLoaders() map[string]anyLoader {
	return map[string]anyLoader{"group": toOne(r, groupRows, to(func(m *ent.GroupMove) int64 { return m.GroupID }))}
}
