package desk

import (
	"context"
	"fmt"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/refusal"
	"canopy/relay"
	"canopy/timers"
)

// SnoozeConversation puts a conversation aside until a moment, or, when that is nil, takes it up again.
type SnoozeConversation struct {
	ConversationID int64
	Until          *time.Time
}

// SnoozeConversation puts an open conversation aside that an agent serves: its contact stays in its box, where filters
// tell it from others, and comes back to the top at the moment, or when the contact writes before. Whoever takes the
// contact over finds it awake. It returns the conversation as it is then.
func (s *Service) SnoozeConversation(ctx context.Context, in SnoozeConversation) (*ent.Conversation, error) {
	var snoozed *ent.Conversation
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, c, err := j.holdConversation(ctx, in.ConversationID)
		if err != nil {
			return err
		}
		if err := j.mayWork(h); err != nil {
			return err
		}
		until, err := j.checkUntil(in.Until)
		if err != nil {
			return err
		}
		switch {
		case c.ClosedAt != nil:
			return errNotOpen()
		case h.agent() == 0 && until != nil:
			return refusal.Conflict(refusal.Waiting, "Nobody serves this contact, so it would wait unseen. Give it to an agent first.")
		case until == nil:
			err = j.wake(ctx, c, "")
		default:
			err = j.snooze(ctx, c, *until)
		}
		if err != nil {
			return err
		}
		if err := j.publish(ctx, h.ID, h.stand().shown(), h.stand().shown()); err != nil {
			return err
		}
		snoozed, err = j.conversation(ctx, c.ID)
		return err
	})
	return snoozed, err
}

// checkUntil returns the moment as it is stored, nil for none.
func (j *job) checkUntil(until *time.Time) (*time.Time, error) {
	if until == nil {
		return nil, nil
	}
	at := until.UTC().Truncate(time.Microsecond)
	if !at.After(j.now) || at.After(j.now.AddDate(1, 0, 0)) {
		return nil, refusal.BadInput("input.until", "A conversation is put aside until a moment to come, at most a year ahead. Leave it out to take the conversation up again.")
	}
	return &at, nil
}

func (j *job) snooze(ctx context.Context, c *ent.Conversation, until time.Time) error {
	if c.SnoozedUntil != nil && c.SnoozedUntil.Equal(until) {
		return nil
	}
	if err := c.Update().SetSnoozedUntil(until).Exec(ctx); err != nil {
		return fmt.Errorf("desk: snoozing conversation %d: %w", c.ID, err)
	}
	if err := j.publishConversation(ctx, c); err != nil {
		return err
	}
	j.schedule(timers.SnoozeEnds, c.ID, until)
	return j.record(ctx, "CONVERSATION_SNOOZED", relay.KindConversation, c.ID,
		audit.Fields{"snoozedUntil": c.SnoozedUntil}, audit.Fields{"snoozedUntil": until}, "")
}

// wake takes up a conversation that may have been put aside.
func (j *job) wake(ctx context.Context, c *ent.Conversation, why string) error {
	if c.SnoozedUntil == nil {
		return nil
	}
	if err := c.Update().ClearSnoozedUntil().Exec(authz.Trusted(ctx)); err != nil {
		return fmt.Errorf("desk: waking conversation %d: %w", c.ID, err)
	}
	if err := j.publishConversation(ctx, c); err != nil {
		return err
	}
	j.unschedule(timers.SnoozeEnds, c.ID)
	return j.record(ctx, "CONVERSATION_WOKEN", relay.KindConversation, c.ID,
		audit.Fields{"snoozedUntil": c.SnoozedUntil}, audit.Fields{"snoozedUntil": nil}, why)
}

// snoozeEnds brings a conversation back to the top of its box when its time has come. Whether it is snoozed is judged
// by the moment, with or without this.
func snoozeEnds(ctx context.Context, j *job, conversationID int64) error {
	h, c, err := j.holdConversation(ctx, conversationID)
	if isGone(err) {
		return nil // deleted meanwhile
	}
	if err != nil || c.SnoozedUntil == nil || c.SnoozedUntil.After(j.now) {
		return err
	}
	if err := j.wake(ctx, c, "The time until which it was put aside has come."); err != nil {
		return err
	}
	return j.touch(ctx, h)
}
