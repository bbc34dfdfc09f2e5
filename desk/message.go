package desk

import (
	"context"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/message"
	"canopy/relay"
)

// SendMessage is an answer to a contact.
type SendMessage struct {
	ConversationID int64
	Text           string
}

// SendMessage answers a contact in its open conversation.
func (s *Service) SendMessage(ctx context.Context, in SendMessage) (*ent.Message, error) {
	var sent *ent.Message
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, c, err := j.holdConversation(ctx, in.ConversationID)
		if err != nil {
			return err
		}
		if err := j.may(authz.ConversationsReply, h); err != nil {
			return err
		}
		if err := checkText("input.text", in.Text); err != nil {
			return err
		}
		if c.ClosedAt != nil {
			return errNotOpen()
		}
		sent, err = j.say(ctx, h, j.tx.Message.Create().SetAccountID(h.AccountID).SetConversationID(c.ID).SetAuthorID(j.viewer.UserID).
			SetDirection(message.DirectionOUTBOUND).SetText(in.Text).SetSentAt(j.now))
		if err != nil {
			return err
		}
		if err := j.answered(ctx, h); err != nil {
			return err
		}
		if err := j.publishMessage(ctx, c, sent); err != nil {
			return err
		}
		if err := j.touch(ctx, h); err != nil {
			return err
		}
		return j.record(ctx, "MESSAGE_SENT", relay.KindMessage, sent.ID, nil,
			audit.Fields{"conversation": ref(relay.KindConversation, c.ID)}, "")
	})
	return sent, err
}

// touch notes that something was said.
func (j *job) touch(ctx context.Context, h *held) error {
	to := h.stand()
	to.activity = j.now
	return j.settle(ctx, h, to)
}
