package graph

import (
	"context"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversation"
	"canopy/graph/bind"
	"canopy/refusal"
	"canopy/relay"

	"entgo.io/ent/dialect/sql"
)

type (
	conversationResolver struct{ *resolver }
	messageResolver      struct{ *resolver }
	noteResolver         struct{ *resolver }
)

func (r *queryResolver) Conversation(ctx context.Context, id relay.ID) (*ent.Conversation, error) {
	return one(ctx, r.DB.Read, conversationRows, id.As(relay.KindConversation), "conversation")
}

func (r *queryResolver) ConversationByNumber(ctx context.Context, number int) (*ent.Conversation, error) {
	found, err := conversationRows(ctx, r.DB.Read, func(s *sql.Selector) {
		judgeLast(s)
		s.Where(sql.And(sql.EQ(s.C(conversation.FieldAccountID), authz.FromContext(ctx).AccountID), sql.EQ(s.C(conversation.FieldNumber), number)))
	})
	if err == nil && len(found) == 0 {
		err = refusal.NotFound("conversation")
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func (r *conversationResolver) Contact(ctx context.Context, v *ent.Conversation) (*ent.Contact, error) {
	return take[*ent.Contact](ctx, r.resolver, v)
}

func (r *conversationResolver) Agent(ctx context.Context, v *ent.Conversation) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, v)
}

func (r *conversationResolver) Open(_ context.Context, v *ent.Conversation) (bool, error) {
	return v.ClosedAt == nil, nil
}

func (r *conversationResolver) Unread(ctx context.Context, v *ent.Conversation) (bool, error) {
	return take[bool](ctx, r.resolver, v)
}

func (r *conversationResolver) UnreadCount(ctx context.Context, v *ent.Conversation) (int, error) {
	return take[int](ctx, r.resolver, v)
}

// SnoozedUntil is judged by the moment: nothing has to happen when a conversation is snoozed no more.
func (r *conversationResolver) SnoozedUntil(_ context.Context, v *ent.Conversation) (*time.Time, error) {
	if v.SnoozedUntil == nil || !v.SnoozedUntil.After(r.now()) {
		return nil, nil
	}
	return v.SnoozedUntil, nil
}

func (r *conversationResolver) Tags(ctx context.Context, v *ent.Conversation) ([]*ent.Tag, error) {
	return take[[]*ent.Tag](ctx, r.resolver, v)
}

func (r *conversationResolver) Notes(ctx context.Context, v *ent.Conversation, _ *int, _ *string) (*relay.Connection[*ent.Note], error) {
	return take[*relay.Connection[*ent.Note]](ctx, r.resolver, v)
}

func (r *conversationResolver) Messages(ctx context.Context, v *ent.Conversation, _ *int, _ *string) (*relay.Connection[*ent.Message], error) {
	return take[*relay.Connection[*ent.Message]](ctx, r.resolver, v)
}

func (r *messageResolver) Author(ctx context.Context, m *ent.Message) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, m)
}

func (r *messageResolver) Conversation(ctx context.Context, m *ent.Message) (*ent.Conversation, error) {
	return take[*ent.Conversation](ctx, r.resolver, m)
}

func (r *noteResolver) Author(ctx context.Context, n *ent.Note) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, n)
}

func (r *noteResolver) Conversation(ctx context.Context, n *ent.Note) (*ent.Conversation, error) {
	return take[*ent.Conversation](ctx, r.resolver, n)
}

func (r *resolver) conversationLoaders() map[string]anyLoader {
	messages := nested[*ent.Message]{list: messagesNewestFirst(), relation: inConversation}
	notes := nested[*ent.Note]{list: notesNewestFirst(), relation: inConversation}
	return map[string]anyLoader{
		"contact":     toOne(r, contactRows, to(func(v *ent.Conversation) int64 { return v.ContactID })),
		"agent":       toOne(r, agentRows, func(v *ent.Conversation) *int64 { return v.AgentID }),
		"history":     loader[*ent.Conversation, *relay.Connection[*ent.HistoryEntry]]{numberOfNode[*ent.Conversation], r.histories},
		"messages":    toMany[*ent.Conversation](r, messages, func(m *ent.Message) int64 { return m.ConversationID }),
		"unread":      unreadOf(r, func(u desk.Unread) bool { return u.Conversation }),
		"unreadCount": unreadOf(r, func(u desk.Unread) int { return u.Messages }),
		"notes":       toMany[*ent.Conversation](r, notes, func(n *ent.Note) int64 { return n.ConversationID }),
		"tags":        loader[*ent.Conversation, []*ent.Tag]{numberOfNode[*ent.Conversation], r.tagsOf},
	}
}

func (r *resolver) noteLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"author":       toOne(r, agentRows, to(func(n *ent.Note) int64 { return n.AuthorID })),
		"conversation": toOne(r, conversationRows, to(func(n *ent.Note) int64 { return n.ConversationID })),
	}
}

// unreadOf loads a part of what is new in conversations.
func unreadOf[V any](r *resolver, part func(desk.Unread) V) loader[*ent.Conversation, V] {
	return loader[*ent.Conversation, V]{numberOfNode[*ent.Conversation], func(ctx context.Context, conversations []*ent.Conversation, _ asked) (map[int64]V, error) {
		found, err := r.Desk.Unread(ctx, numbers(conversations))
		values := make(map[int64]V, len(found))
		for id, u := range found {
			values[id] = part(u)
		}
		return values, err
	}}
}

func (r *resolver) messageLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"author":       toOne(r, agentRows, func(m *ent.Message) *int64 { return m.AuthorID }),
		"conversation": toOne(r, conversationRows, to(func(m *ent.Message) int64 { return m.ConversationID })),
	}
}
