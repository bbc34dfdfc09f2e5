package desk

import (
	"context"

	ent "canopy/ent/generated"
	"canopy/live"
	"canopy/tree"
)

// shown is where a contact stands, as subscribers' rights are judged by it.
func (s stand) shown() *live.Stand {
	at := &live.Stand{GroupID: s.group, AgentID: s.agent, State: s.state}
	if s.agent == 0 && s.state != tree.Closed {
		at.Offered, at.Escalated = s.offeredTo, s.escalatedTo
	}
	return at
}

// publish tells subscribers where a contact stood and stands: nil before it came to be, and when it is gone.
func (j *job) publish(ctx context.Context, contactID int64, was, now *live.Stand) error {
	return live.Publish(ctx, live.Event{AccountID: j.viewer.AccountID, Kind: live.Contact, ContactID: contactID, Was: was, Now: now, At: j.now})
}

// publishConversation tells subscribers that a conversation was opened, changed or closed.
func (j *job) publishConversation(ctx context.Context, c *ent.Conversation) error {
	return live.Publish(ctx, live.Event{AccountID: c.AccountID, Kind: live.Conversation, ContactID: c.ContactID, ConversationID: c.ID, At: j.now})
}

// publishWork tells subscribers that somebody worked on a conversation, whose contact stays where it stands: what boxes show
// of it, and by what they filter, is different.
func (j *job) publishWork(ctx context.Context, h *held, c *ent.Conversation) error {
	if err := j.publishConversation(ctx, c); err != nil {
		return err
	}
	return j.publish(ctx, h.ID, h.stand().shown(), h.stand().shown())
}

// publishMark tells the viewer's own subscriptions that something is read or unread.
func (j *job) publishMark(ctx context.Context, h *held, c *ent.Conversation) error {
	at := h.stand().shown()
	return live.Publish(ctx, live.Event{AccountID: c.AccountID, Kind: live.Mark, ContactID: c.ContactID, ConversationID: c.ID,
		UserID: j.viewer.UserID, Was: at, Now: at, At: j.now})
}

// publishTags tells subscribers, by one event, that a tag is another one on however many conversations.
func (j *job) publishTags(ctx context.Context) error {
	return live.Publish(ctx, live.Event{AccountID: j.viewer.AccountID, Kind: live.Tags, At: j.now})
}

// publishMessage tells subscribers that something was said.
func (j *job) publishMessage(ctx context.Context, c *ent.Conversation, m *ent.Message) error {
	return live.Publish(ctx, live.Event{AccountID: c.AccountID, Kind: live.Message, ContactID: c.ContactID, ConversationID: c.ID, MessageID: m.ID, At: j.now})
}

// publishArrivals tells subscribers in which groups many contacts have come to wait.
func (j *job) publishArrivals(ctx context.Context, arrivals []arrival) error {
	told := map[int64]bool{}
	for _, a := range arrivals {
		if a.agent != nil || told[a.at.GroupID] {
			continue
		}
		told[a.at.GroupID] = true
		at := live.At(a.at)
		at.Held = tree.Counters{Contacts: 1, Waiting: 1}
		err := live.Publish(ctx, live.Event{AccountID: j.viewer.AccountID, Kind: live.Branch, GroupID: a.at.GroupID, Now: at, At: j.now})
		if err != nil {
			return err
		}
	}
	return nil
}

// publishCard tells of the card of a user, which says who covers.
func (j *job) publishCard(ctx context.Context, u *ent.User) error {
	home, err := j.place(ctx, u.HomeGroupID)
	if err != nil {
		return err
	}
	at := live.At(home)
	return live.Publish(ctx, live.Event{AccountID: u.AccountID, Kind: live.User, UserID: u.ID, Was: at, Now: at, At: j.now})
}
