package graph

import (
	"context"

	ent "canopy/ent/generated"
	"canopy/graph/bind"
	"canopy/refusal"
	"canopy/relay"
)

// maxNodes is how many things can be asked for by their ids at once.
const maxNodes = 100

func (r *queryResolver) Node(ctx context.Context, id relay.ID) (bind.Node, error) {
	found, err := r.things(ctx, []relay.ID{id})
	if err != nil {
		return nil, err
	}
	if found[id] == nil {
		return nil, refusal.NotFound("thing")
	}
	return found[id], nil
}

func (r *queryResolver) Nodes(ctx context.Context, ids []*relay.ID) ([]bind.Node, error) {
	if len(ids) > maxNodes {
		return nil, refusal.BadInput("ids", "These are %d ids; ask for at most %d at once.", len(ids), maxNodes)
	}
	wanted := make([]relay.ID, len(ids))
	for i, id := range ids {
		wanted[i] = *id
	}
	found, err := r.things(ctx, wanted)
	nodes := make([]bind.Node, len(ids))
	for i, id := range wanted {
		nodes[i] = found[id]
	}
	return nodes, err
}

// things loads whatever the ids name and the viewer sees, with one statement for each kind.
func (r *resolver) things(ctx context.Context, ids []relay.ID) (map[relay.ID]bind.Node, error) {
	byKind := map[relay.Kind][]int64{}
	for _, id := range ids {
		byKind[id.Kind()] = append(byKind[id.Kind()], id.As(id.Kind()))
	}
	found := make(map[relay.ID]bind.Node, len(ids))
	for kind, numbers := range byKind {
		load, known := r.kinds[kind]
		if !known {
			continue
		}
		nodes, err := load(ctx, numbers)
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			found[n.GlobalID()] = n
		}
	}
	return found, nil
}

// nodesFunc loads the visible things of one kind.
type nodesFunc func(ctx context.Context, ids []int64) ([]bind.Node, error)

// nodeKinds are all the kinds of things that have an id.
func nodeKinds(c *ent.Client) map[relay.Kind]nodesFunc {
	return map[relay.Kind]nodesFunc{
		relay.KindAccount:           nodesOf(c, accountRows),
		relay.KindGroup:             nodesOf(c, groupRows),
		relay.KindGroupRequest:      nodesOf(c, requestRows),
		relay.KindGroupMove:         nodesOf(c, moveRows),
		relay.KindUser:              nodesOf(c, userRows),
		relay.KindAgent:             nodesOf(c, agentRows),
		relay.KindSession:           nodesOf(c, sessionRows),
		relay.KindRole:              nodesOf(c, roleRows),
		relay.KindRoleGrant:         nodesOf(c, grantRows),
		relay.KindContact:           nodesOf(c, contactRows),
		relay.KindContactAssignment: nodesOf(c, assignmentRows),
		relay.KindConversation:      nodesOf(c, conversationRows),
		relay.KindHistoryEntry:      nodesOf(c, historyRows),
		relay.KindMessage:           nodesOf(c, messageRows),
		relay.KindTag:               nodesOf(c, tagRows),
		relay.KindNote:              nodesOf(c, noteRows),
		relay.KindAuditEvent:        nodesOf(c, eventRows),
	}
}

func nodesOf[T bind.Node](c *ent.Client, rows rowsFunc[T]) nodesFunc {
	return func(ctx context.Context, ids []int64) ([]bind.Node, error) {
		found, err := byID(ctx, c, rows, ids)
		nodes := make([]bind.Node, 0, len(found))
		for _, n := range found {
			nodes = append(nodes, n)
		}
		return nodes, err
	}
}
