package desk

import (
	"context"
	"fmt"
	"strings"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/historyentry"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// OpenConversation names the contact with which to open one.
type OpenConversation struct {
	ContactID int64
	Subject   string
}

// StartConversation is a new contact to open a conversation with: it needs a phone number or an e-mail address.
type StartConversation struct {
	Name    string
	Phone   *string
	Email   *string
	Subject string
}

// Started is what StartConversation made. Either is nil when the viewer does not see it.
type Started struct {
	Contact      *ent.Contact
	Conversation *ent.Conversation
}

// CloseConversation names the conversation to close, and says why, if at all.
type CloseConversation struct {
	ConversationID int64
	Reason         *conversation.CloseReason
	Note           string
}

// UpdateConversation is what to change of a conversation; what is nil stays.
type UpdateConversation struct {
	ConversationID int64
	Subject        *string
	Priority       *conversation.Priority
}

// OpenConversation opens a conversation with a contact that has none open (ruling 9). The answer is nil when the
// viewer does not see it.
func (s *Service) OpenConversation(ctx context.Context, in OpenConversation) (*ent.Conversation, error) {
	var opened *ent.Conversation
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		taker, err := j.prepareOpening(ctx, in.ContactID)
		if err != nil {
			return err
		}
		opener, err := j.holdSelf(ctx)
		if err != nil {
			return err
		}
		if err := j.holdAgentOf(ctx, in.ContactID); err != nil {
			return err
		}
		h, err := j.hold(ctx, in.ContactID, opener.HomeGroupID)
		if err != nil {
			return err
		}
		if err := j.may(authz.ConversationsOpen, h); err != nil {
			return err
		}
		subject, err := checkSubject("input.subject", in.Subject)
		if err != nil {
			return err
		}
		if h.state() == tree.Open {
			return refusal.Conflict(refusal.AlreadyOpen, "The contact has an open conversation already.")
		}
		opened, err = j.openAs(ctx, h, opener, subject, taker)
		return err
	})
	return opened, err
}

// prepareOpening prepares who takes a contact with which somebody who does not serve opens a conversation.
func (j *job) prepareOpening(ctx context.Context, contactID int64) (*prepared, error) {
	c, err := j.see(ctx, contactID)
	if err != nil || j.viewer.Permissions().Has(authz.ConversationsReply) {
		return nil, err
	}
	return j.prepare(ctx, c.GroupID, nil, 0)
}

// openAs opens a conversation for a user, records it, and returns it if the viewer sees it.
func (j *job) openAs(ctx context.Context, h *held, opener *ent.User, subject string, p *prepared) (*ent.Conversation, error) {
	c, err := j.open(ctx, h, opener, subject, p)
	if err != nil {
		return nil, err
	}
	err = j.record(ctx, "CONVERSATION_OPENED", relay.KindConversation, c.ID, nil, audit.Fields{
		"number": c.Number, "subject": c.Subject, "contact": ref(relay.KindContact, h.ID), "agent": ref(relay.KindAgent, orNone(c.AgentID))}, "")
	if err != nil {
		return nil, err
	}
	seen, err := j.tx.Conversation.Query().Where(conversation.ID(c.ID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return seen, err
}

// StartConversation creates a contact in the viewer's home group and opens a conversation with it.
func (s *Service) StartConversation(ctx context.Context, in StartConversation) (*Started, error) {
	var started *Started
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		taker, err := j.prepareStart(ctx)
		if err != nil {
			return err
		}
		opener, err := j.holdSelf(ctx)
		if err != nil {
			return err
		}
		if err := tree.LockGroups(ctx, j.tx, opener.HomeGroupID); err != nil {
			return err
		}
		home, err := j.place(ctx, opener.HomeGroupID)
		if err != nil {
			return err
		}
		if err := j.mayAt(authz.ConversationsOpen, home); err != nil {
			return err
		}
		p, subject, err := in.check()
		if err != nil {
			return err
		}
		started, err = j.start(ctx, home, p, opener, subject, taker)
		return err
	})
	return started, err
}

// check returns the input as it is stored.
func (in StartConversation) check() (person, string, error) {
	p, err := checkPerson(in.Name, in.Phone, in.Email)
	if err != nil {
		return person{}, "", err
	}
	if p.phone == nil && p.email == nil {
		return person{}, "", refusal.BadInput("input.phone", "Give a phone number or an e-mail address.")
	}
	subject, err := checkSubject("input.subject", in.Subject)
	return p, subject, err
}

// prepareStart prepares who takes a new contact of somebody who does not serve.
func (j *job) prepareStart(ctx context.Context) (*prepared, error) {
	if j.viewer.Permissions().Has(authz.ConversationsReply) {
		return nil, nil
	}
	return j.prepare(ctx, j.viewer.Home.GroupID, nil, 0)
}

func (j *job) start(ctx context.Context, home authz.Place, p person, opener *ent.User, subject string, taker *prepared) (*Started, error) {
	if err := j.reserveNumber(ctx); err != nil {
		return nil, err
	}
	h, err := j.arrive(ctx, home, p)
	if err != nil {
		return nil, err
	}
	// Who may open a conversation need not see contacts that wait.
	opened, err := j.openAs(authz.Trusted(ctx), h, opener, subject, taker)
	if err != nil {
		return nil, err
	}
	c, err := j.tx.Contact.Query().Where(contact.ID(h.ID)).Only(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return nil, err
	}
	visible, err := j.tx.Conversation.Query().Where(conversation.ID(opened.ID)).Exist(ctx)
	if err != nil || !visible {
		opened = nil
	}
	return &Started{Contact: c, Conversation: opened}, err
}

// CloseConversation closes a conversation. The contact stays with its agent.
func (s *Service) CloseConversation(ctx context.Context, in CloseConversation) (*ent.Conversation, error) {
	var closed *ent.Conversation
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, c, err := j.holdConversation(ctx, in.ConversationID)
		if err != nil {
			return err
		}
		if err := j.may(authz.ConversationsClose, h); err != nil {
			return err
		}
		note, err := in.check()
		if err != nil {
			return err
		}
		if c.ClosedAt != nil {
			return errNotOpen()
		}
		closed, err = j.close(ctx, h, c, in.Reason, note)
		return err
	})
	return closed, err
}

// close closes the open conversation of the contact, and records it.
func (j *job) close(ctx context.Context, h *held, c *ent.Conversation, why *conversation.CloseReason, note string) (*ent.Conversation, error) {
	if err := j.end(ctx, c, why, note); err != nil {
		return nil, err
	}
	closed, err := j.conversation(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	to, words := h.stand(), "The conversation was closed. Its agent keeps the contact."
	to.state, to.activity = tree.Closed, j.now
	if to.agent == 0 {
		to, words = to.waitingFrom(j.now), "The conversation was closed. The contact stays in the queue."
	}
	if err := j.tell(ctx, h, told{kind: historyentry.KindCLOSED, how: how{explanation: words},
		agent: to.agent, group: to.group, talk: talk{open: c.ID}}); err != nil {
		return nil, err
	}
	if err := j.settle(ctx, h, to); err != nil {
		return nil, err
	}
	after := audit.Fields{"open": false}
	if why != nil { // what the note says is about a person, and goes with the conversation
		after["closeReason"] = *why
	}
	return closed, j.record(ctx, "CONVERSATION_CLOSED", relay.KindConversation, c.ID, audit.Fields{"open": true}, after, "")
}

// check refuses the reasons that are Canopy's own, and returns the note as it is stored.
func (in CloseConversation) check() (string, error) {
	if in.Reason != nil && (*in.Reason == conversation.CloseReasonSILENT || *in.Reason == conversation.CloseReasonTRANSFERRED ||
		*in.Reason == conversation.CloseReasonHANDED_OVER) {
		return "", refusal.BadInput("input.closeReason",
			"%s says that Canopy closed the conversation. Choose RESOLVED, NO_REPLY, SPAM, DUPLICATE or OTHER.", *in.Reason)
	}
	note := strings.TrimSpace(in.Note)
	if length(note) > maxCloseNote || !writable(note) {
		return "", refusal.BadInput("input.closeNote", "A note on closing has at most %d characters, none of them NUL.", maxCloseNote)
	}
	return note, nil
}

// UpdateConversation changes subject or priority, also of a closed conversation. When nothing changes nothing is
// recorded.
func (s *Service) UpdateConversation(ctx context.Context, in UpdateConversation) (*ent.Conversation, error) {
	var updated *ent.Conversation
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, c, err := j.holdConversation(ctx, in.ConversationID)
		if err != nil {
			return err
		}
		if err := j.mayWork(h); err != nil {
			return err
		}
		before, after, change := audit.Fields{}, audit.Fields{}, c.Update()
		if in.Subject != nil {
			subject, err := checkSubject("input.subject", *in.Subject)
			if err != nil {
				return err
			}
			if subject != c.Subject {
				change.SetSubject(subject)
				before["subject"], after["subject"] = c.Subject, subject
			}
		}
		if in.Priority != nil && *in.Priority != c.Priority {
			change.SetPriority(*in.Priority)
			before["priority"], after["priority"] = c.Priority, *in.Priority
		}
		updated = c
		if len(after) == 0 {
			return nil
		}
		if updated, err = change.Save(ctx); err != nil {
			return fmt.Errorf("desk: changing conversation %d: %w", c.ID, err)
		}
		if err := j.publishWork(ctx, h, c); err != nil {
			return err
		}
		return j.record(ctx, "CONVERSATION_UPDATED", relay.KindConversation, c.ID, before, after, "")
	})
	return updated, err
}

// mayWork lets those work on a contact's conversations who serve it, and those who supervise who does. Either of two
// permissions is enough, so no directive can ask for it.
func (j *job) mayWork(h *held) error {
	if j.viewer.Can(authz.ConversationsAssign, h.target(j.now)) {
		return nil
	}
	return j.may(authz.ConversationsReply, h)
}

func errNotOpen() *refusal.Refusal {
	return refusal.Conflict(refusal.NotOpen, "The conversation is closed. Open a new one with the contact.")
}
