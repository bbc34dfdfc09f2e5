package graph

import (
	"context"

	"canopy/desk"
	"canopy/graph/model"
	"canopy/relay"
)

// OpenConversation opens a conversation with a contact.
func (r *mutationResolver) OpenConversation(ctx context.Context, input model.OpenConversationInput) (*model.OpenConversationPayload, error) {
	opened, err := r.Desk.OpenConversation(ctx, desk.OpenConversation{
		ContactID: input.ContactID.As(relay.KindContact), Subject: input.Subject})
	if err != nil {
		return nil, err
	}
	return &model.OpenConversationPayload{Conversation: opened}, nil
}

// StartConversation creates a contact and opens a conversation with it.
func (r *mutationResolver) StartConversation(ctx context.Context, input model.StartConversationInput) (*model.StartConversationPayload, error) {
	started, err := r.Desk.StartConversation(ctx, desk.StartConversation{
		Name: input.Name, Phone: input.Phone, Email: input.Email, Subject: input.Subject})
	if err != nil {
		return nil, err
	}
	return &model.StartConversationPayload{Contact: started.Contact, Conversation: started.Conversation}, nil
}

// CloseConversation closes a conversation.
func (r *mutationResolver) CloseConversation(ctx context.Context, input model.CloseConversationInput) (*model.CloseConversationPayload, error) {
	closed, err := r.Desk.CloseConversation(ctx, desk.CloseConversation{
		ConversationID: input.ConversationID.As(relay.KindConversation), Reason: input.CloseReason, Note: input.CloseNote})
	if err != nil {
		return nil, err
	}
	return &model.CloseConversationPayload{Conversation: closed}, nil
}

// MarkRead sets the viewer's mark behind the last message.
func (r *mutationResolver) MarkRead(ctx context.Context, input model.MarkReadInput) (*model.MarkReadPayload, error) {
	marked, err := r.Desk.MarkRead(ctx, desk.MarkRead{ConversationID: input.ConversationID.As(relay.KindConversation)})
	if err != nil {
		return nil, err
	}
	return &model.MarkReadPayload{Conversation: marked}, nil
}

// MarkUnread sets the viewer's mark before the last message of somebody else.
func (r *mutationResolver) MarkUnread(ctx context.Context, input model.MarkUnreadInput) (*model.MarkUnreadPayload, error) {
	marked, err := r.Desk.MarkUnread(ctx, desk.MarkUnread{ConversationID: input.ConversationID.As(relay.KindConversation)})
	if err != nil {
		return nil, err
	}
	return &model.MarkUnreadPayload{Conversation: marked}, nil
}

// SendMessage answers a contact.
func (r *mutationResolver) SendMessage(ctx context.Context, input model.SendMessageInput) (*model.SendMessagePayload, error) {
	sent, err := r.Desk.SendMessage(ctx, desk.SendMessage{
		ConversationID: input.ConversationID.As(relay.KindConversation), Text: input.Text})
	if err != nil {
		return nil, err
	}
	return &model.SendMessagePayload{Message: sent}, nil
}

// ReceiveMessage takes in a message that arrived on a channel.
func (r *mutationResolver) ReceiveMessage(ctx context.Context, input model.ReceiveMessageInput) (*model.ReceiveMessagePayload, error) {
	received, err := r.Desk.ReceiveMessage(ctx, desk.ReceiveMessage{Channel: input.Channel, Address: input.Address,
		Name: input.Name, Text: input.Text, ExternalID: input.ExternalID, GroupID: numberOf(input.GroupID, relay.KindGroup)})
	if err != nil {
		return nil, err
	}
	return &model.ReceiveMessagePayload{Duplicate: received.Duplicate,
		ConversationNumber: int(received.ConversationNumber), Message: received.Message}, nil
}
