package graph

import (
	"context"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/live"
	"canopy/refusal"
	"canopy/relay"
)

func (r *subscriptionResolver) InboxChanged(ctx context.Context, box model.InboxBox, under, tagID *relay.ID, priority *conversation.Priority, snoozed *bool, since *string) (<-chan *model.InboxChange, error) {
	if _, err := r.under(ctx, under); err != nil {
		return nil, err
	}
	filter := desk.Filter{TagID: numberOf(tagID, relay.KindTag), Priority: priority, Snoozed: snoozed}
	if err := r.Desk.CheckFilter(ctx, filter); err != nil {
		return nil, err
	}
	boxed := live.Inbox{Holds: desk.Box(box).Holds, Under: idOf(under)}
	return subscribe(ctx, r.resolver, boxed, since, func(ctx context.Context, _ *live.Stream, d *live.Delivery) (*model.InboxChange, error) {
		if err := r.Desk.CheckFilter(ctx, filter); err != nil {
			return nil, err
		}
		if filter != (desk.Filter{}) && d.Change != live.Left && d.Event.ContactID != 0 {
			fits, err := r.Desk.Fits(ctx, filter, d.Event.ContactID)
			if err != nil {
				return nil, err
			}
			if d = narrowed(d, fits); d == nil {
				return nil, nil
			}
		}
		found, err := present(ctx, r.DB.Read, contactRows, d, d.Event.ContactID)
		return &model.InboxChange{Change: model.LiveChange(d.Change), Position: d.Position,
			ContactID: idIf(relay.KindContact, d.Event.ContactID), Contact: found}, err
	})
}

// narrowed is what a change within a box is to somebody with a filter, which the contact fits now or does not: nil for
// nothing. Filters look at conversations, so it may have been otherwise before only when one has changed.
func narrowed(d *live.Delivery, fits bool) *live.Delivery {
	told, changed := *d, d.Event.Kind == live.Contact && d.Event.ConversationID != 0
	switch {
	case fits && changed:
		told.Change = live.Entered
	case !fits && changed && d.Change == live.Updated:
		told.Change = live.Left
	case !fits:
		return nil
	}
	return &told
}

func (r *subscriptionResolver) ConversationUpdated(ctx context.Context, id relay.ID, since *string) (<-chan *model.ConversationChange, error) {
	v, err := r.conversation(ctx, id)
	if err != nil {
		return nil, err
	}
	one := live.OneConversation{ContactID: v.ContactID, ConversationID: v.ID}
	return subscribe(ctx, r.resolver, one, since, func(ctx context.Context, s *live.Stream, d *live.Delivery) (*model.ConversationChange, error) {
		found, err := byID(ctx, r.DB.Read, conversationRows, []int64{v.ID})
		if err != nil || found[v.ID] != nil && d.Change == live.Look {
			return nil, err
		}
		p := &model.ConversationChange{Change: model.LiveChange(d.Change), Position: d.Position, Conversation: found[v.ID]}
		if p.Conversation == nil {
			p.Change = model.LiveChangeLeft
			s.Close()
		}
		return p, nil
	})
}

func (r *subscriptionResolver) MessageAdded(ctx context.Context, conversationID relay.ID, since *string) (<-chan *model.MessageChange, error) {
	v, err := r.conversation(ctx, conversationID)
	if err != nil {
		return nil, err
	}
	said := live.OneConversation{ContactID: v.ContactID, ConversationID: v.ID, Messages: true}
	return subscribe(ctx, r.resolver, said, since, func(ctx context.Context, s *live.Stream, d *live.Delivery) (*model.MessageChange, error) {
		found, err := byID(ctx, r.DB.Read, conversationRows, []int64{v.ID})
		if err != nil || found[v.ID] != nil && d.Change == live.Look {
			return nil, err
		}
		p := &model.MessageChange{Change: model.LiveChange(d.Change), Position: d.Position}
		if found[v.ID] == nil {
			p.Change = model.LiveChangeLeft
			s.Close()
			return p, nil
		}
		p.Message, err = present(ctx, r.DB.Read, messageRows, d, d.Event.MessageID)
		return p, err
	})
}

func (r *subscriptionResolver) GroupTreeChanged(ctx context.Context, under *relay.ID, since *string) (<-chan *model.GroupTreeChange, error) {
	if _, err := r.under(ctx, under); err != nil {
		return nil, err
	}
	tree := live.Groups{Under: idOf(under)}
	return subscribe(ctx, r.resolver, tree, since, func(ctx context.Context, _ *live.Stream, d *live.Delivery) (p *model.GroupTreeChange, err error) {
		p = &model.GroupTreeChange{Change: model.LiveChange(d.Change), Position: d.Position, GroupID: idIf(relay.KindGroup, d.Event.GroupID)}
		p.Group, err = present(ctx, r.DB.Read, groupRows, d, d.Event.GroupID)
		return p, err
	})
}

func (r *subscriptionResolver) AgentPanelChanged(ctx context.Context, group relay.ID, since *string) (<-chan *model.AgentPanelChange, error) {
	id := group.As(relay.KindGroup)
	return subscribe(ctx, r.resolver, live.Panel{GroupID: id}, since, func(ctx context.Context, _ *live.Stream, d *live.Delivery) (*model.AgentPanelChange, error) {
		g, err := one(ctx, r.DB.Read, groupRows, id, "group")
		switch {
		case err != nil:
			return nil, err
		case !d.Viewer.Can(authz.AgentPanelView, authz.AtGroup(rule.PlaceOf(g))):
			return nil, refusal.Forbidden(authz.AgentPanelView, "at this group")
		case d.Change == live.Look:
			return nil, nil
		}
		p := &model.AgentPanelChange{Change: model.LiveChange(d.Change), Position: d.Position, AgentID: idIf(relay.KindAgent, d.AgentID)}
		p.Agent, err = present(ctx, r.DB.Read, agentRows, d, d.AgentID)
		if err != nil || d.AgentID == 0 || p.Agent != nil {
			return p, err
		}
		return r.withoutCard(ctx, d, p)
	})
}

// withoutCard tells of somebody whose card the viewer does not see. Of an agent who went elsewhere the panel knew; whoever
// does not serve is hidden, their id too: the viewer hears no more than that the panel may be another one.
func (r *resolver) withoutCard(ctx context.Context, d *live.Delivery, p *model.AgentPanelChange) (*model.AgentPanelChange, error) {
	if d.Event.Kind == live.Contact {
		return nil, nil // it is served by nobody in the panel
	}
	if d.Change == live.Left {
		serves, err := r.DB.Read.User.Query().Where(user.ID(d.AgentID), predicate.User(rule.Serving(d.Viewer.At))).Exist(authz.Trusted(ctx))
		if err != nil || serves {
			return p, err
		}
	}
	return &model.AgentPanelChange{Change: model.LiveChangeGap, Position: p.Position}, nil
}

func (r *subscriptionResolver) ViewerChanged(ctx context.Context, since *string) (<-chan *model.ViewerChange, error) {
	return subscribe(ctx, r.resolver, live.Oneself{}, since, func(_ context.Context, _ *live.Stream, d *live.Delivery) (*model.ViewerChange, error) {
		return &model.ViewerChange{Change: model.LiveChange(d.Change), Position: d.Position, Viewer: bind.NewViewer(d.Viewer)}, nil
	})
}

func (r *subscriptionResolver) conversation(ctx context.Context, id relay.ID) (*ent.Conversation, error) {
	return one(ctx, r.DB.Read, conversationRows, id.As(relay.KindConversation), "conversation")
}

// present returns the row that a delivery is about as it is now; none when it has left, or is not seen any more.
func present[T bind.Node](ctx context.Context, c *ent.Client, rows rowsFunc[T], d *live.Delivery, id int64) (T, error) {
	var none T
	if id == 0 || d.Change == live.Left {
		return none, nil
	}
	found, err := byID(ctx, c, rows, []int64{id})
	return found[id], err
}

func idIf(kind relay.Kind, n int64) *relay.ID {
	if n == 0 {
		return nil
	}
	id := relay.NewID(kind, n)
	return &id
}

// idOf is the number of a group, 0 for none.
func idOf(id *relay.ID) int64 {
	if id == nil {
		return 0
	}
	return id.As(relay.KindGroup)
}
