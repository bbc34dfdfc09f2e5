package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/message"
	"canopy/internal/fold"
	"canopy/internal/mask"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// ReceiveMessage is a message that arrived on a channel.
type ReceiveMessage struct {
	Channel    string
	Address    string
	Name       *string // as the channel knows it; for a new contact
	Text       string
	ExternalID string
	GroupID    *int64 // arrival group of a new contact; nil: the root
}

// Received is what became of a message that arrived.
type Received struct {
	Duplicate          bool // it had arrived before and changed nothing
	ConversationNumber int64
	Message            *ent.Message // nil when the viewer does not see the contact
}

// ReceiveMessage takes in a message of a contact: it finds the contact by its address, or by its phone number, or
// creates it, and continues or opens its conversation. The same ExternalID arrives once on its channel. It needs
// INTEGRATIONS_MANAGE on the account, and no sight of the contact.
func (s *Service) ReceiveMessage(ctx context.Context, in ReceiveMessage) (*Received, error) {
	var received *Received
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		at, err := j.arrivalGroup(ctx, in.GroupID)
		if err != nil {
			return err
		}
		if !j.viewer.CanAccount(authz.IntegrationsManage) {
			return refusal.Forbidden(authz.IntegrationsManage, "on the account")
		}
		from, err := in.check()
		if err != nil {
			return err
		}
		if received, err = j.arrivedBefore(ctx, *from.channel, in.ExternalID); err != nil || received != nil {
			return err
		}
		received, err = j.receive(ctx, in, from, at)
		return err
	})
	return received, err
}

// arrivalGroup is the group where a new contact arrives: one that the viewer sees, or the root, whether or not they
// see it.
func (j *job) arrivalGroup(ctx context.Context, id *int64) (int64, error) {
	if id != nil {
		at, err := j.seeGroup(ctx, *id)
		return at.GroupID, err
	}
	root, err := j.tx.Group.Query().Where(group.AccountID(j.viewer.AccountID), group.ParentIDIsNil()).OnlyID(authz.Trusted(ctx))
	if err != nil {
		return 0, fmt.Errorf("desk: finding the root: %w", err)
	}
	return root, nil
}

// The channels on which an address is a phone number, and the one on which it is an e-mail address.
var phoneChannels = []string{"phone", "sms", "whatsapp"}

const emailChannel = "email"

// check returns the sender as a new contact would be stored.
func (in ReceiveMessage) check() (person, error) {
	p, err := reachedAt(in.Channel, in.Address)
	if err != nil {
		return person{}, err
	}
	if err := p.nameAs(in.Name); err != nil {
		return person{}, err
	}
	if n := length(in.ExternalID); n < 1 || n > maxExternalID || !writable(in.ExternalID) {
		return person{}, refusal.BadInput("input.externalId", "An external id has 1 to %d characters, none of them NUL.", maxExternalID)
	}
	return p, checkText("input.text", in.Text)
}

// reachedAt returns what an address tells of whom it belongs to. Addresses that are phone numbers are compared as such,
// however the channel writes them.
func reachedAt(channel, address string) (person, error) {
	channel, address = strings.ToLower(strings.TrimSpace(channel)), strings.TrimSpace(address)
	if n := length(channel); n < 1 || n > maxChannel || !plain(channel) {
		return person{}, refusal.BadInput("input.channel", "A channel has 1 to %d characters on one line.", maxChannel)
	}
	if n := length(address); n < 1 || n > maxAddress || !plain(address) {
		return person{}, refusal.BadInput("input.address", "An address has 1 to %d characters on one line.", maxAddress)
	}
	p := person{channel: &channel, address: &address}
	if slices.Contains(phoneChannels, channel) {
		if phone, err := checkPhone("", "+"+strings.TrimPrefix(address, "+")); err == nil {
			p.phone, p.address = &phone, &phone
		}
	}
	if channel == emailChannel {
		address = strings.ToLower(address)
		if email, err := checkEmail("", address); err == nil {
			p.email = &email
		}
	}
	return p, nil
}

// nameAs sets the name. A sender whom the channel knows by address only is called by that, masked: names are shown
// also to those who may not see addresses.
func (p *person) nameAs(name *string) (err error) {
	switch {
	case name != nil && fold.Key(*name) != "":
		p.name, err = checkName("input.name", *name)
	case p.phone != nil:
		p.name = mask.Phone(*p.phone)
	case p.email != nil:
		p.name = mask.Email(*p.email)
	default:
		p.name = *p.channel
	}
	return err
}

// arrivedBefore returns what became of the message with that external id on the channel, nil if there is none.
func (j *job) arrivedBefore(ctx context.Context, channel, externalID string) (*Received, error) {
	m, err := j.tx.Message.Query().Where(message.AccountID(j.viewer.AccountID), message.Channel(channel), message.ExternalID(externalID)).
		Only(authz.Trusted(ctx))
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := j.tx.Conversation.Query().Where(conversation.ID(m.ConversationID)).Only(authz.Trusted(ctx))
	if err != nil {
		return nil, err
	}
	return j.received(ctx, m, c, true)
}

// received shows the message only to those who see its contact.
func (j *job) received(ctx context.Context, m *ent.Message, c *ent.Conversation, duplicate bool) (*Received, error) {
	r := &Received{Duplicate: duplicate, ConversationNumber: c.Number}
	visible, err := j.tx.Message.Query().Where(message.ID(m.ID)).Exist(ctx)
	if visible {
		r.Message = m
	}
	return r, err
}

func (j *job) receive(ctx context.Context, in ReceiveMessage, from person, groupID int64) (*Received, error) {
	trusted := authz.Trusted(ctx)
	j.hears = true
	h, taker, err := j.sender(trusted, from, groupID)
	if err != nil {
		return nil, err
	}
	c, err := j.hear(trusted, h, taker)
	if err != nil {
		return nil, err
	}
	m, err := j.say(trusted, h, j.tx.Message.Create().SetAccountID(h.AccountID).SetConversationID(c.ID).SetDirection(message.DirectionINBOUND).
		SetText(in.Text).SetChannel(*from.channel).SetExternalID(in.ExternalID).SetSentAt(j.now))
	if err != nil {
		return nil, err
	}
	if err := j.publishMessage(ctx, c, m); err != nil {
		return nil, err
	}
	err = j.record(ctx, "MESSAGE_RECEIVED", relay.KindMessage, m.ID, nil,
		audit.Fields{"conversation": ref(relay.KindConversation, c.ID), "channel": *from.channel}, "")
	if err != nil {
		return nil, err
	}
	return j.received(ctx, m, c, false)
}

// hear returns the conversation in which the contact's message belongs: the open one, else a new one.
func (j *job) hear(ctx context.Context, h *held, p *prepared) (*ent.Conversation, error) {
	if h.state() != tree.Open {
		return j.open(ctx, h, nil, "", p)
	}
	c, err := j.openOf(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := j.wake(ctx, c, "The contact wrote."); err != nil {
		return nil, err
	}
	return c, j.touch(ctx, h)
}

// sender returns the contact that wrote, locked: the one with that address on the channel, else the first one
// that came with that phone number, else a new one. With it comes who takes it, when its writing opens a conversation.
func (j *job) sender(ctx context.Context, from person, groupID int64) (*held, *prepared, error) {
	c, err := j.known(ctx, from)
	if err != nil {
		return nil, nil, err
	}
	var p *prepared
	switch {
	case c == nil:
		p, err = j.prepare(ctx, groupID, nil, 0)
	case tree.Box(c.Box).State() != tree.Open:
		p, err = j.prepare(ctx, c.GroupID, c, 0)
	}
	if err != nil {
		return nil, nil, err
	}
	h, err := j.holdSender(ctx, c, from, groupID)
	return h, p, err
}

// holdSender locks the contact that wrote, nil for one that arrives. One that was deleted, closed, or passed on meanwhile is
// looked up once more: who takes it was prepared for a contact that stood otherwise.
func (j *job) holdSender(ctx context.Context, c *ent.Contact, from person, groupID int64) (*held, error) {
	if c == nil {
		at, err := j.holdGroup(ctx, groupID)
		if err != nil {
			return nil, err
		}
		if err := j.reserveNumber(ctx); err != nil {
			return nil, err
		}
		return j.arrive(ctx, at, from)
	}
	if c.AssignedUserID != nil {
		if err := j.holdServing(ctx, *c.AssignedUserID); err != nil {
			return nil, err
		}
	}
	h, err := j.lock(ctx, c.ID)
	if isGone(err) || err == nil && h.state() != tree.Open && (h.Box != c.Box || h.GroupID != c.GroupID || h.agent() != orNone(c.AssignedUserID)) {
		return nil, errOvertaken
	}
	if err != nil || h.Channel != nil {
		return h, err
	}
	h.Contact, err = h.Update().SetChannel(*from.channel).SetAddress(*from.address).Save(ctx)
	return h, err
}

// known finds the contact that wrote, nil for nobody. Of several with the phone number it is the one that came first: who
// makes a contact of a number that they do not see elsewhere diverts nobody's messages.
func (j *job) known(ctx context.Context, from person) (*ent.Contact, error) {
	account := contact.AccountID(j.viewer.AccountID)
	c, err := j.tx.Contact.Query().Where(account, contact.Channel(*from.channel), contact.Address(*from.address)).Only(ctx)
	if err == nil || !ent.IsNotFound(err) {
		return c, err
	}
	if from.phone == nil {
		return nil, nil
	}
	c, err = j.tx.Contact.Query().Where(account, contact.Phone(*from.phone)).Order(contact.ByID()).First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return c, err
}
