package graph

import (
	"context"

	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/cover"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/relay"

	entsql "entgo.io/ent/dialect/sql"
)

type (
	coverResolver            struct{ *resolver }
	foreseenHandoverResolver struct{ *resolver }
)

// StartCover lets another agent serve what comes to an agent.
func (r *mutationResolver) StartCover(ctx context.Context, input model.StartCoverInput) (*model.StartCoverPayload, error) {
	started, err := r.Desk.StartCover(ctx, desk.StartCover{AgentID: input.AgentID.As(relay.KindAgent, relay.KindUser),
		ToAgentID: input.ToAgentID.As(relay.KindAgent, relay.KindUser), Until: input.Until, Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.StartCoverPayload{Agent: bind.NewAgent(started.Agent), PassedOn: started.Moved}, nil
}

// EndCover ends a cover before its time.
func (r *mutationResolver) EndCover(ctx context.Context, input model.EndCoverInput) (*model.EndCoverPayload, error) {
	ended, err := r.Desk.EndCover(ctx, desk.EndCover{AgentID: input.AgentID.As(relay.KindAgent, relay.KindUser), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.EndCoverPayload{Agent: bind.NewAgent(ended.Agent), BroughtBack: ended.Moved}, nil
}

func (r *queryResolver) PreviewDeactivateUser(ctx context.Context, input model.DeactivateUserInput) (*directory.DeactivationPreview, error) {
	return r.Directory.PreviewDeactivateUser(ctx, deactivateUser(input))
}

func (r *agentResolver) Cover(ctx context.Context, a *bind.Agent) (*ent.Cover, error) {
	return take[*ent.Cover](ctx, r.resolver, a)
}

func (r *coverResolver) To(ctx context.Context, c *ent.Cover) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, c)
}

func (r *foreseenHandoverResolver) Contact(ctx context.Context, h *directory.ForeseenHandover) (*ent.Contact, error) {
	return take[*ent.Contact](ctx, r.resolver, h)
}

func (r *foreseenHandoverResolver) Agent(ctx context.Context, h *directory.ForeseenHandover) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, h)
}

func (r *foreseenHandoverResolver) Group(ctx context.Context, h *directory.ForeseenHandover) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, h)
}

func (r *resolver) coverLoaders() map[string]anyLoader {
	return map[string]anyLoader{"to": toOne(r, agentRows, to(func(c *ent.Cover) int64 { return c.ToID }))}
}

func (r *resolver) foreseenHandoverLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"contact": toForeseen(r, contactRows, func(h *directory.ForeseenHandover) int64 { return h.ContactID }),
		"agent":   toForeseen(r, agentRows, func(h *directory.ForeseenHandover) int64 { return h.AgentID }),
		"group":   toForeseen(r, groupRows, func(h *directory.ForeseenHandover) int64 { return h.GroupID }),
	}
}

// toForeseen is toOne for what a preview foresees, which has no id of its own.
func toForeseen[V bind.Node](r *resolver, rows rowsFunc[V], column func(*directory.ForeseenHandover) int64) loader[*directory.ForeseenHandover, V] {
	key := func(h *directory.ForeseenHandover) int64 { return h.ContactID }
	return loader[*directory.ForeseenHandover, V]{key, func(ctx context.Context, list []*directory.ForeseenHandover, _ asked) (map[int64]V, error) {
		ids := make([]int64, len(list))
		for i, h := range list {
			ids[i] = column(h)
		}
		found, err := byID(ctx, r.DB.Read, rows, ids)
		values := make(map[int64]V, len(list))
		for _, h := range list {
			values[key(h)] = found[column(h)]
		}
		return values, err
	}}
}

// coversOf are the covers that last, by who is covered.
func (r *resolver) coversOf(ctx context.Context, agents []*bind.Agent, _ asked) (map[int64]*ent.Cover, error) {
	ctx = judgedNow(ctx)
	found, err := coverRows(ctx, r.DB.Read, func(s *entsql.Selector) {
		judgeLast(s)
		s.Where(entsql.And(in(s.C(cover.FieldUserID), numbers(agents)), entsql.IsNull(s.C(cover.FieldEndedAt)),
			entsql.GT(s.C(cover.FieldEndsAt), answersFrom(ctx).now())))
	})
	covers := make(map[int64]*ent.Cover, len(found))
	for _, c := range found {
		covers[c.UserID] = c
	}
	return covers, err
}
