package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/refusal"
	"canopy/relay"
	"canopy/timers"
	"canopy/tree"
)

// What Canopy does with contacts when time passes.

// settings are those in force at a group of the account.
func (j *job) settings(ctx context.Context, groupID int64) (tree.Settings, error) {
	if s, known := j.inForce[groupID]; known {
		return s, nil
	}
	g, err := j.tx.Group.Query().Where(group.ID(groupID), group.AccountID(j.viewer.AccountID)).Only(authz.Trusted(ctx))
	if err != nil {
		return tree.Settings{}, fmt.Errorf("desk: loading group %d: %w", groupID, err)
	}
	found, err := tree.SettingsOf(ctx, j.tx, []*ent.Group{g})
	if err != nil {
		return tree.Settings{}, err
	}
	j.inForce[groupID] = found[groupID]
	return found[groupID], nil
}

// period is a setting in seconds as a duration; never, when it is not set.
func period(s tree.Setting[int]) (after time.Duration, set bool) {
	return time.Duration(s.Value) * time.Second, s.Value != tree.Never
}

// watch schedules what is to happen with a contact that stands elsewhere now. What was scheduled before and is not called
// for any more finds nothing to do.
func (j *job) watch(ctx context.Context, h *held, to stand) error {
	if opens := h.state() != tree.Open || h.GroupID != to.group; to.state == tree.Open && opens {
		s, err := j.settings(ctx, to.group)
		if err != nil {
			return err
		}
		if after, set := period(s.CloseAfter); set {
			j.schedule(timers.CloseSilent, h.ID, to.activity.Add(after))
		}
	}
	return nil
}

// closeSilent closes the conversation of a contact in which nobody has written for as long as its group says.
func closeSilent(ctx context.Context, j *job, contactID int64) error {
	h, err := j.lockIfThere(ctx, contactID)
	if err != nil || h == nil || h.state() != tree.Open {
		return err
	}
	s, err := j.settings(ctx, h.GroupID)
	if err != nil {
		return err
	}
	after, set := period(s.CloseAfter)
	if !set {
		return nil
	}
	if due := h.LastActivityAt.Add(after); due.After(j.now) {
		j.schedule(timers.CloseSilent, h.ID, due)
		return nil
	}
	c, err := j.openOf(ctx, h)
	if err != nil {
		return err
	}
	if c.SnoozedUntil != nil && c.SnoozedUntil.After(j.now) { // it is silent on purpose
		j.schedule(timers.CloseSilent, h.ID, c.SnoozedUntil.Add(after))
		return nil
	}
	silent := conversation.CloseReasonSILENT
	if err := j.end(ctx, c, &silent, ""); err != nil {
		return err
	}
	to := h.stand()
	to.state, to.activity = tree.Closed, j.now
	err = j.tell(ctx, h, told{kind: historyentry.KindCLOSED, how: how{explanation: "The conversation was closed because nobody had written for " + inWords(after) + "."},
		agent: to.agent, group: to.group, talk: talk{open: c.ID}})
	if err != nil {
		return err
	}
	if err := j.settle(ctx, h, to); err != nil {
		return err
	}
	return j.record(ctx, "CONVERSATION_CLOSED", relay.KindConversation, c.ID, audit.Fields{"open": true}, audit.Fields{"open": false, "closeReason": silent},
		fmt.Sprintf("Nobody had written for %s.", inWords(after)))
}

// lockIfThere is lock for a contact that may have been deleted: nil then.
func (j *job) lockIfThere(ctx context.Context, contactID int64) (*held, error) {
	h, err := j.lock(ctx, contactID)
	var r *refusal.Refusal
	if errors.As(err, &r) && r.Code == refusal.NotFoundCode {
		return nil, nil
	}
	return h, err
}

// inWords is a period as people say it, in the largest unit that divides it.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := d / unit.length; {
		case d%unit.length != 0:
		case n == 1:
			return "1 " + unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}
