package graph

import (
	"context"
	stdsql "database/sql"

	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/user"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

type agentResolver struct{ *resolver }

func (r *queryResolver) Agent(ctx context.Context, id relay.ID) (*bind.Agent, error) {
	return one(ctx, r.DB.Read, agentRows, id.As(relay.KindAgent), "agent")
}

func (r *queryResolver) Agents(ctx context.Context, under *relay.ID, availability *user.Availability, first *int, after *string) (*relay.Connection[*bind.Agent], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	branch, err := r.under(ctx, under)
	if err != nil {
		return nil, err
	}
	return agentsByName().page(ctx, r.DB.Read, p, branch.homes, with(user.FieldAvailability, availability))
}

func (r *agentResolver) HomeGroup(ctx context.Context, a *bind.Agent) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, a)
}

func (r *agentResolver) Load(ctx context.Context, a *bind.Agent) (int, error) {
	return take[int](ctx, r.resolver, a)
}

func (r *agentResolver) Capacity(ctx context.Context, a *bind.Agent) (int, error) {
	capacity, err := take[bind.AgentCapacity](ctx, r.resolver, a)
	return capacity.Value, err
}

func (r *agentResolver) WorkingHours(_ context.Context, a *bind.Agent) (*model.WorkingHours, error) {
	return shownHours(a.WorkingHours), nil
}

func (r *resolver) agentLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"homeGroup": toOne(r, groupRows, to(func(a *bind.Agent) int64 { return a.HomeGroupID })),
		"load":      loader[*bind.Agent, int]{numberOfNode[*bind.Agent], r.agentLoads},
		"capacity":  loader[*bind.Agent, bind.AgentCapacity]{numberOfNode[*bind.Agent], r.agentCapacities},
		"cover":     loader[*bind.Agent, *ent.Cover]{numberOfNode[*bind.Agent], r.coversOf},
	}
}

// agentLoads counts the contacts with an open conversation that each agent serves, also those that the viewer does not
// see: the number is part of the card.
func (r *resolver) agentLoads(ctx context.Context, agents []*bind.Agent, _ asked) (map[int64]int, error) {
	c := sql.Table(contact.Table)
	query, args := sql.Dialect(r.DB.Dialect()).Select(c.C(contact.FieldAssignedUserID), sql.Count("*")).From(c).
		Where(sql.And(in(c.C(contact.FieldAssignedUserID), numbers(agents)), sql.EQ(c.C(contact.FieldBox), int(tree.BoxOf(tree.Open, true))))).
		GroupBy(c.C(contact.FieldAssignedUserID)).Query()
	loads := make(map[int64]int, len(agents))
	err := store.EachRow(ctx, r.DB.Read, query, args, func(rows *stdsql.Rows) error {
		var id int64
		var n int
		err := rows.Scan(&id, &n)
		loads[id] = n
		return err
	})
	return loads, err
}
