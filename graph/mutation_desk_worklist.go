package graph

import (
	"context"

	"canopy/desk"
	"canopy/graph/model"
	"canopy/relay"
)

// UpdateConversation changes subject or priority.
func (r *mutationResolver) UpdateConversation(ctx context.Context, input model.UpdateConversationInput) (*model.UpdateConversationPayload, error) {
	changed, err := r.Desk.UpdateConversation(ctx, desk.UpdateConversation{
		ConversationID: input.ConversationID.As(relay.KindConversation), Subject: input.Subject, Priority: input.Priority})
	if err != nil {
		return nil, err
	}
	return &model.UpdateConversationPayload{Conversation: changed}, nil
}

// TagConversation adds tags and takes some away.
func (r *mutationResolver) TagConversation(ctx context.Context, input model.TagConversationInput) (*model.TagConversationPayload, error) {
	tagged, err := r.Desk.TagConversation(ctx, desk.TagConversation{ConversationID: input.ConversationID.As(relay.KindConversation),
		Add: numbersOf(input.AddTagIds, relay.KindTag), Remove: numbersOf(input.RemoveTagIds, relay.KindTag)})
	if err != nil {
		return nil, err
	}
	return &model.TagConversationPayload{Conversation: tagged}, nil
}

// SnoozeConversation puts a conversation aside, or takes it up again.
func (r *mutationResolver) SnoozeConversation(ctx context.Context, input model.SnoozeConversationInput) (*model.SnoozeConversationPayload, error) {
	snoozed, err := r.Desk.SnoozeConversation(ctx, desk.SnoozeConversation{
		ConversationID: input.ConversationID.As(relay.KindConversation), Until: input.Until})
	if err != nil {
		return nil, err
	}
	return &model.SnoozeConversationPayload{Conversation: snoozed}, nil
}

// AddNote writes an internal note.
func (r *mutationResolver) AddNote(ctx context.Context, input model.AddNoteInput) (*model.AddNotePayload, error) {
	added, err := r.Desk.AddNote(ctx, desk.AddNote{ConversationID: input.ConversationID.As(relay.KindConversation), Text: input.Text})
	if err != nil {
		return nil, err
	}
	return &model.AddNotePayload{Note: added}, nil
}

// DeleteNote deletes an internal note.
func (r *mutationResolver) DeleteNote(ctx context.Context, input model.DeleteNoteInput) (*model.DeleteNotePayload, error) {
	if err := r.Desk.DeleteNote(ctx, input.NoteID.As(relay.KindNote)); err != nil {
		return nil, err
	}
	return &model.DeleteNotePayload{DeletedNoteID: input.NoteID}, nil
}

// CreateTag adds a tag to the account's list.
func (r *mutationResolver) CreateTag(ctx context.Context, input model.CreateTagInput) (*model.CreateTagPayload, error) {
	created, err := r.Desk.CreateTag(ctx, desk.CreateTag{Name: input.Name, Colour: input.Colour})
	if err != nil {
		return nil, err
	}
	return &model.CreateTagPayload{Tag: created}, nil
}

// UpdateTag changes name or colour of a tag.
func (r *mutationResolver) UpdateTag(ctx context.Context, input model.UpdateTagInput) (*model.UpdateTagPayload, error) {
	changed, err := r.Desk.UpdateTag(ctx, desk.UpdateTag{TagID: input.TagID.As(relay.KindTag), Name: input.Name, Colour: input.Colour})
	if err != nil {
		return nil, err
	}
	return &model.UpdateTagPayload{Tag: changed}, nil
}

// DeleteTag deletes a tag.
func (r *mutationResolver) DeleteTag(ctx context.Context, input model.DeleteTagInput) (*model.DeleteTagPayload, error) {
	if err := r.Desk.DeleteTag(ctx, input.TagID.As(relay.KindTag)); err != nil {
		return nil, err
	}
	return &model.DeleteTagPayload{DeletedTagID: input.TagID}, nil
}
