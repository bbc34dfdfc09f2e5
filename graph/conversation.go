package graph

import (
	"context"

	ent "canopy/ent/generated"
	"canopy/graph/bind"
	"canopy/relay"
)

type (
	conversationResolver struct{ *resolver }
	messageResolver      struct{ *resolver }
)

func (r *queryResolver) Conversation(ctx context.Context, id relay.ID) (*ent.Conversation, error) {
	return one(ctx, r.DB.Read, conversationRows, id.As(relay.KindConversation), "conversation")
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

func (r *conversationResolver) Messages(ctx context.Context, v *ent.Conversation, _ *int, _ *string) (*relay.Connection[*ent.Message], error) {
	return take[*relay.Connection[*ent.Message]](ctx, r.resolver, v)
}

func (r *messageResolver) Author(ctx context.Context, m *ent.Message) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, m)
}

func (r *messageResolver) Conversation(ctx context.Context, m *ent.Message) (*ent.Conversation, error) {
	return take[*ent.Conversation](ctx, r.resolver, m)
}

func (r *resolver) conversationLoaders() map[string]anyLoader {
	messages := nested[*ent.Message]{list: messagesNewestFirst(), relation: inConversation}
	return map[string]anyLoader{
		"contact":  toOne(r, contactRows, to(func(v *ent.Conversation) int64 { return v.ContactID })),
		"agent":    toOne(r, agentRows, func(v *ent.Conversation) *int64 { return v.AgentID }),
		"history":  loader[*ent.Conversation, *relay.Connection[*ent.HistoryEntry]]{numberOfNode[*ent.Conversation], r.histories},
		"messages": toMany[*ent.Conversation](r, messages, func(m *ent.Message) int64 { return m.ConversationID }),
	}
}

func (r *resolver) messageLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"author":       toOne(r, agentRows, func(m *ent.Message) *int64 { return m.AuthorID }),
		"conversation": toOne(r, conversationRows, to(func(m *ent.Message) int64 { return m.ConversationID })),
	}
}
