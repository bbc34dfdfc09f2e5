package graph

import (
	"context"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/rule"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/relay"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

type agentPanelResolver struct{ *resolver }

func (r *queryResolver) AgentPanel(ctx context.Context, groupID relay.ID, below bool) (*bind.AgentPanel, error) {
	g, err := one(ctx, r.DB.Read, groupRows, groupID.As(relay.KindGroup), "group")
	if err != nil {
		return nil, err
	}
	return &bind.AgentPanel{Group: g, Below: below}, nil
}

func (r *agentPanelResolver) Agents(ctx context.Context, p *bind.AgentPanel, _ *int, _ *string) (*bind.AgentPanelConnection, error) {
	return take[*bind.AgentPanelConnection](ctx, r.resolver, p)
}

func (r *agentPanelResolver) Queue(ctx context.Context, p *bind.AgentPanel) (*model.AgentPanelQueue, error) {
	return take[*model.AgentPanelQueue](ctx, r.resolver, p)
}

func (r *agentPanelResolver) HeldByLeavers(ctx context.Context, p *bind.AgentPanel) (int, error) {
	return take[int](ctx, r.resolver, p)
}

func (r *resolver) agentPanelLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"agents":        ofPanels(r.panelPage),
		"queue":         ofPanels(r.panelQueue),
		"heldByLeavers": ofPanels(r.heldByLeavers),
	}
}

// ofPanels loads one panel after the other: a root field has one.
func ofPanels[V any](load func(context.Context, *bind.AgentPanel, asked) (V, error)) loader[*bind.AgentPanel, V] {
	group := func(p *bind.AgentPanel) int64 { return p.Group.ID }
	return loader[*bind.AgentPanel, V]{group, func(ctx context.Context, panels []*bind.AgentPanel, a asked) (map[int64]V, error) {
		values := make(map[int64]V, len(panels))
		for _, p := range panels {
			value, err := load(ctx, p, a)
			if err != nil {
				return nil, err
			}
			values[group(p)] = value
		}
		return values, nil
	}}
}

// panelQueue returns nil to whoever lacks DASHBOARDS_VIEW at the group.
func (r *resolver) panelQueue(ctx context.Context, p *bind.AgentPanel, _ asked) (*model.AgentPanelQueue, error) {
	if !authz.FromContext(ctx).Can(authz.DashboardsView, authz.AtGroup(rule.PlaceOf(p.Group))) {
		return nil, nil
	}
	q, err := r.Desk.QueuedIn(ctx, p.Group, p.Below)
	if err != nil {
		return nil, err
	}
	queue := &model.AgentPanelQueue{Waiting: q.Waiting}
	if !q.Oldest.IsZero() {
		queue.OldestSince = &q.Oldest
	}
	return queue, nil
}

func (r *resolver) heldByLeavers(ctx context.Context, p *bind.AgentPanel, _ asked) (int, error) {
	return r.Desk.HeldByLeavers(ctx, p.Group, p.Below)
}

func (r *resolver) panelPage(ctx context.Context, panel *bind.AgentPanel, a asked) (*bind.AgentPanelConnection, error) {
	p, err := a.page()
	if err != nil {
		return nil, err
	}
	at := branch{}
	home := func(s *sql.Selector) { s.Where(sql.EQ(s.C("home_group_id"), panel.Group.ID)) }
	if panel.Below {
		at = branch{panel.Group.AccountID, panel.Group.Path}
		home = func(s *sql.Selector) { reachedHomes(ctx, s) }
	}
	found, err := agentsByName().page(ctx, r.DB.Read, p, at.homes, home)
	if err != nil {
		return nil, err
	}
	agents := found.Nodes()
	busy, err := r.Desk.BusyAgents(ctx, numbers(agents))
	if err != nil {
		return nil, err
	}
	capacities, err := r.agentCapacities(ctx, agents, asked{})
	if err != nil {
		return nil, err
	}
	entries := make([]*bind.AgentPanelEntry, len(agents))
	for i, agent := range agents {
		b, capacity := busy[agent.ID], capacities[agent.ID]
		entries[i] = &bind.AgentPanelEntry{Agent: agent, Load: b.Load, Capacity: &capacity, State: desk.StateOf(agent.User, b, capacity.Value, r.now())}
		if !b.Last.IsZero() {
			entries[i].LastActivityAt = &b.Last
		}
	}
	connection := relay.NewConnection(entries, found.PageInfo.HasNextPage, p.after != nil,
		func(e *bind.AgentPanelEntry) relay.Position { return atName(e.Agent.NameKey, e.Agent.ID) })
	connection.TotalCount = found.TotalCount
	return connection, nil
}

// reachedHomes narrows a select of users to those whose home group AGENT_PANEL_VIEW reaches: the cards of others are seen
// for other reasons, and are in no panel.
func reachedHomes(ctx context.Context, s *sql.Selector) {
	groups := sql.Dialect(s.Dialect()).Select(group.FieldID).From(sql.Table(group.Table))
	rule.GroupsWith(ctx, authz.AgentPanelView)(groups)
	s.Where(sql.In(s.C("home_group_id"), groups))
}

// agentCapacities are the agents' own, or what their home groups say.
func (r *resolver) agentCapacities(ctx context.Context, agents []*bind.Agent, _ asked) (map[int64]bind.AgentCapacity, error) {
	var homes []int64
	for _, a := range agents {
		if a.Capacity == nil {
			homes = append(homes, a.HomeGroupID)
		}
	}
	places, err := r.places(ctx, homes)
	if err != nil {
		return nil, err
	}
	var groups []*ent.Group
	for id, p := range places {
		groups = append(groups, &ent.Group{ID: id, AccountID: agents[0].AccountID, Path: p.Path})
	}
	settings, err := tree.SettingsOf(ctx, r.DB.Read, groups)
	capacities := make(map[int64]bind.AgentCapacity, len(agents))
	for _, a := range agents {
		if a.Capacity != nil {
			capacities[a.ID] = bind.AgentCapacity{Value: *a.Capacity, Own: true}
		} else {
			set := settings[a.HomeGroupID].Capacity
			capacities[a.ID] = bind.AgentCapacity{Value: set.Value, SetByID: set.SetBy}
		}
	}
	return capacities, err
}
