package desk

import (
	"context"
	"fmt"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/note"
	"canopy/refusal"
	"canopy/relay"
)

// AddNote is what to remember about a conversation.
type AddNote struct {
	ConversationID int64
	Text           string
}

// AddNote writes an internal note, also on a closed conversation. The contact never sees it, and it is no activity of
// the conversation. What it says is not in the audit trail, as it goes with the contact.
func (s *Service) AddNote(ctx context.Context, in AddNote) (*ent.Note, error) {
	var added *ent.Note
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, c, err := j.holdConversation(ctx, in.ConversationID)
		if err != nil {
			return err
		}
		if err := j.mayWork(h); err != nil {
			return err
		}
		if err := checkSaid("note", "input.text", in.Text); err != nil {
			return err
		}
		added, err = j.tx.Note.Create().SetAccountID(h.AccountID).SetConversationID(c.ID).SetAuthorID(j.viewer.UserID).
			SetText(in.Text).SetWrittenAt(j.now).Save(ctx)
		if err != nil {
			return fmt.Errorf("desk: writing a note: %w", err)
		}
		if err := j.publishConversation(ctx, c); err != nil {
			return err
		}
		return j.record(ctx, "NOTE_ADDED", relay.KindNote, added.ID, nil,
			audit.Fields{"conversation": ref(relay.KindConversation, c.ID)}, "")
	})
	return added, err
}

// DeleteNote deletes a note, of one's own or as a supervisor of the contact.
func (s *Service) DeleteNote(ctx context.Context, noteID int64) error {
	return s.write(ctx, func(ctx context.Context, j *job) error {
		n, err := j.note(ctx, noteID)
		if err != nil {
			return err
		}
		h, c, err := j.holdConversation(ctx, n.ConversationID)
		if err != nil {
			return err
		}
		if n.AuthorID != j.viewer.UserID {
			if err := j.may(authz.ConversationsAssign, h); err != nil {
				return err
			}
		}
		deleted, err := j.tx.Note.Delete().Where(note.ID(n.ID)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("desk: deleting note %d: %w", n.ID, err)
		}
		if deleted != 1 { // by somebody else, before the contact was locked
			return refusal.NotFound("note")
		}
		if err := j.publishConversation(ctx, c); err != nil {
			return err
		}
		return j.record(ctx, "NOTE_DELETED", relay.KindNote, n.ID, audit.Fields{
			"conversation": ref(relay.KindConversation, c.ID), "author": ref(relay.KindAgent, n.AuthorID)}, nil, "")
	})
}

func (j *job) note(ctx context.Context, id int64) (*ent.Note, error) {
	n, err := j.tx.Note.Query().Where(note.ID(id)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, refusal.NotFound("note")
	}
	return n, err
}
