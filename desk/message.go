package desk

import (
	"context"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
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
		h, c, err := j.holdToAnswer(ctx, in.ConversationID)
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
		if h, err = j.accept(ctx, h); err != nil {
			return err
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

// holdToAnswer is holdConversation by somebody to whom the contact may be on offer.
func (j *job) holdToAnswer(ctx context.Context, conversationID int64) (*held, *ent.Conversation, error) {
	c, err := j.conversation(ctx, conversationID)
	if err != nil {
		return nil, nil, err
	}
	asked, err := j.tx.Contact.Query().Where(contact.ID(c.ContactID), contact.OfferedToID(j.viewer.UserID)).Exist(authz.Trusted(ctx))
	if err != nil || !asked {
		if err != nil {
			return nil, nil, err
		}
		return j.holdConversation(ctx, conversationID)
	}
	self, err := j.holdSelf(ctx)
	if err != nil {
		return nil, nil, err
	}
	return j.holdConversation(ctx, conversationID, self.HomeGroupID)
}

// accept makes the viewer serve a contact that is on offer to them, because they answer it. Others are returned as
// they are.
func (j *job) accept(ctx context.Context, h *held) (*held, error) {
	if h.agent() != 0 || h.offered(j.now) != j.viewer.UserID {
		return h, nil
	}
	if err := j.may(authz.QueueClaim, h); err != nil {
		return nil, err
	}
	self, err := j.holdSelf(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := j.give(ctx, h, self, j.taking(h)); err != nil {
		return nil, err
	}
	if err := j.recordPass(ctx, "CONTACT_CLAIMED", h, receiver{agent: self, group: self.HomeGroupID}, ""); err != nil {
		return nil, err
	}
	return j.lock(authz.Trusted(ctx), h.ID)
}

// touch notes that something was said.
func (j *job) touch(ctx context.Context, h *held) error {
	to := h.stand()
	to.activity = j.now
	return j.settle(ctx, h, to)
}
