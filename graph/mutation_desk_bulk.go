package graph

import (
	"context"
	"fmt"

	"canopy/desk"
	"canopy/graph/model"
	"canopy/refusal"
	"canopy/relay"
)

// AssignContacts decides who serves several contacts.
func (r *mutationResolver) AssignContacts(ctx context.Context, input model.AssignContactsInput) (*model.AssignContactsPayload, error) {
	passed, err := r.Desk.AssignContacts(ctx, desk.AssignContacts{ContactIDs: numbersOf(input.ContactIds, relay.KindContact),
		AgentID: numberOf(input.AgentID, relay.KindAgent, relay.KindUser), GroupID: numberOf(input.GroupID, relay.KindGroup),
		Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	items, refused := passedContacts(input.ContactIds, passed)
	return &model.AssignContactsPayload{Done: len(items) - refused, Refused: refused, Items: items}, nil
}

// TransferContacts passes several contacts on.
func (r *mutationResolver) TransferContacts(ctx context.Context, input model.TransferContactsInput) (*model.TransferContactsPayload, error) {
	passed, err := r.Desk.TransferContacts(ctx, desk.TransferContacts{ContactIDs: numbersOf(input.ContactIds, relay.KindContact),
		AgentID: numberOf(input.AgentID, relay.KindAgent, relay.KindUser), GroupID: numberOf(input.GroupID, relay.KindGroup),
		Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	items, refused := passedContacts(input.ContactIds, passed)
	return &model.TransferContactsPayload{Done: len(items) - refused, Refused: refused, Items: items}, nil
}

func passedContacts(ids []*relay.ID, passed []desk.PassedContact) (items []*model.PassedContact, refused int) {
	items = make([]*model.PassedContact, len(ids))
	for i, p := range passed {
		items[i] = &model.PassedContact{ContactID: *ids[i], Contact: p.Contact, Assignment: p.Assignment, Refusal: itemRefusal("contactIds", i, ids[i], p.Refused)}
		if p.Refused != nil {
			refused++
		}
	}
	return items, refused
}

// CloseConversations closes several conversations.
func (r *mutationResolver) CloseConversations(ctx context.Context, input model.CloseConversationsInput) (*model.CloseConversationsPayload, error) {
	closed, err := r.Desk.CloseConversations(ctx, desk.CloseConversations{
		ConversationIDs: numbersOf(input.ConversationIds, relay.KindConversation), Reason: input.CloseReason, Note: input.CloseNote})
	if err != nil {
		return nil, err
	}
	out := &model.CloseConversationsPayload{Items: make([]*model.ClosedConversation, len(closed))}
	for i, c := range closed {
		out.Items[i] = &model.ClosedConversation{ConversationID: *input.ConversationIds[i], Conversation: c.Conversation,
			Refusal: itemRefusal("conversationIds", i, input.ConversationIds[i], c.Refused)}
		if c.Refused != nil {
			out.Refused++
		} else {
			out.Done++
		}
	}
	return out, nil
}

// itemRefusal is why one of several was refused, nil when it was not. What is no id at all is named by its place in the list.
func itemRefusal(list string, i int, id *relay.ID, why *refusal.Refusal) *model.RowRefusal {
	if why != nil && id.Malformed() {
		why = refusal.BadInput(fmt.Sprintf("input.%s.%d", list, i), "This is no id. Give one that the API has answered.")
	}
	return rowRefusal(why)
}
