package desk

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/message"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/relay"
	"canopy/store"
	"canopy/timers"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// What Canopy does with contacts when time passes.

// settings are those in force at a group of the account, for who has locked a group: from then on they stay the same until
// the transaction ends (tree.CloseDoor).
func (j *job) settings(ctx context.Context, groupID int64) (tree.Settings, error) {
	if s, known := j.inForce[groupID]; known {
		return s, nil
	}
	s, err := j.settingsNow(ctx, groupID)
	if err == nil {
		j.inForce[groupID] = s
	}
	return s, err
}

// settingsNow are settings for who has locked no group yet: they may be others a moment later, and the group may be gone.
// It returns errOvertaken when it is gone already.
func (j *job) settingsNow(ctx context.Context, groupID int64) (tree.Settings, error) {
	g, err := j.tx.Group.Query().Where(group.ID(groupID), group.AccountID(j.viewer.AccountID)).Only(authz.Trusted(ctx))
	if ent.IsNotFound(err) {
		return tree.Settings{}, errOvertaken
	}
	if err != nil {
		return tree.Settings{}, fmt.Errorf("desk: loading group %d: %w", groupID, err)
	}
	found, err := tree.SettingsOf(ctx, j.tx, []*ent.Group{g})
	return found[groupID], err
}

// period is a setting in seconds as a duration; never, when it is not set.
func period(s tree.Setting[int]) (after time.Duration, set bool) {
	return time.Duration(s.Value) * time.Second, s.Value != tree.Never
}

// watch schedules what is to happen with a contact that stands elsewhere now. What was scheduled before and is not called
// for any more finds nothing to do.
func (j *job) watch(ctx context.Context, h *held, to stand) error {
	elsewhere := h.arriving || h.GroupID != to.group
	opens := to.state == tree.Open && (elsewhere || h.state() != tree.Open)
	queued := to.agent == 0 && to.state != tree.Closed
	waits := queued && (elsewhere || h.agent() != 0 || h.state() == tree.Closed)
	freed := queued && h.OfferedToID != nil && to.offeredTo == 0 && to.escalatedTo == 0 // escalating may have waited for the offer
	if opens || waits || freed {
		s, err := j.settings(ctx, to.group)
		if err != nil {
			return err
		}
		if after, set := period(s.CloseAfter); set && opens {
			j.schedule(timers.CloseSilent, h.ID, to.activity.Add(after))
		}
		if after, set := period(s.EscalateAfter); set && (waits || freed) {
			j.schedule(timers.Escalate, h.ID, to.waiting.Add(after))
		}
		// Somebody may have got room while this was decided.
		if waits && to.offeredTo == 0 && s.AssignmentMode.Value != group.AssignmentModeMANUAL && !j.queueOnly {
			j.schedule(timers.Distribute, to.group, j.now)
		}
	}
	return j.watchRoom(ctx, h, to)
}

// watchRoom lets what waits be given out when an agent has got room.
func (j *job) watchRoom(ctx context.Context, h *held, to stand) error {
	room := int64(0)
	switch {
	case h.agent() != 0 && h.state() == tree.Open && (to.agent != h.agent() || to.state != tree.Open):
		room = h.agent()
	case h.OfferedToID != nil && to.offeredTo != *h.OfferedToID && to.agent != *h.OfferedToID:
		room = *h.OfferedToID
	default:
		return nil
	}
	u, err := j.tx.User.Get(authz.Trusted(ctx), room)
	if err != nil || u.Status != user.StatusACTIVE {
		return err
	}
	s, err := j.settings(ctx, u.HomeGroupID)
	if err == nil && s.AssignmentMode.Value != group.AssignmentModeMANUAL {
		j.schedule(timers.Distribute, u.HomeGroupID, j.now)
	}
	return err
}

// escalate lets a contact show in the queue of the group above, too, when it has waited for as long as its group says.
func escalate(ctx context.Context, j *job, contactID int64) error {
	h, err := j.lockIfThere(ctx, contactID)
	if err != nil || h == nil || h.agent() != 0 || h.state() == tree.Closed || h.EscalatedToID != nil || h.WaitingSince == nil {
		return err
	}
	s, err := j.settings(ctx, h.GroupID)
	if err != nil {
		return err
	}
	after, set := period(s.EscalateAfter)
	above := tree.Parent(h.place.Path)
	if !set || above == 0 {
		return nil
	}
	due := h.WaitingSince.Add(after)
	if h.offered(j.now) != 0 && due.Before(*h.OfferEndsAt) {
		due = *h.OfferEndsAt // an offer is exclusive
	}
	if due.After(j.now) {
		j.schedule(timers.Escalate, h.ID, due)
		return nil
	}
	to := h.stand()
	to.escalatedTo = above
	words := fmt.Sprintf("Nobody had taken it for %s.", inWords(after))
	err = j.tell(ctx, h, told{kind: historyentry.KindESCALATED, group: to.group, how: how{explanation: words + " It shows in the queue of the group above, too."}})
	if err != nil {
		return err
	}
	if err := j.settle(ctx, h, to); err != nil {
		return err
	}
	return j.record(ctx, "CONTACT_ESCALATED", relay.KindContact, h.ID, nil, audit.Fields{"group": ref(relay.KindGroup, to.escalatedTo)},
		words)
}

// review applies settings of a group that may have changed to what is in it.
func review(ctx context.Context, j *job, groupID int64) error {
	there, err := j.tx.Group.Query().Where(group.ID(groupID), group.AccountID(j.viewer.AccountID)).Exist(ctx)
	if err != nil || !there {
		return err
	}
	s, err := j.settingsNow(ctx, groupID)
	if err != nil {
		return err
	}
	if more, err := j.takeBack(ctx, groupID, s); err != nil || more {
		j.schedule(timers.Review, groupID, j.now)
		return err
	}
	box := func(s tree.State, assigned bool) int { return int(tree.BoxOf(s, assigned)) }
	after, escalates := period(s.EscalateAfter)
	// Timers come last, in the order of their kinds.
	if silence, set := period(s.CloseAfter); set {
		boxes := [2]int{box(tree.Open, false), box(tree.Open, true)}
		if err := timers.SetForContacts(ctx, j.tx, timers.CloseSilent, groupID, silence, boxes); err != nil {
			return err
		}
	}
	err = timers.Set(ctx, j.tx, timers.Timer{Kind: timers.Distribute, SubjectID: groupID, AccountID: j.viewer.AccountID, Due: j.now})
	if err != nil || !escalates {
		return err
	}
	boxes := [2]int{box(tree.None, false), box(tree.Open, false)}
	return timers.SetForContacts(ctx, j.tx, timers.Escalate, groupID, after, boxes)
}

// takeBack takes contacts of the group out of the queue above that would not have come there by these settings, and says
// whether there may be more of them.
func (j *job) takeBack(ctx context.Context, groupID int64, s tree.Settings) (more bool, err error) {
	escalated := j.tx.Contact.Query().Where(contact.AccountID(j.viewer.AccountID), contact.GroupID(groupID), contact.EscalatedToIDNotNil())
	if after, set := period(s.EscalateAfter); set {
		escalated.Where(contact.SortKeyGT(j.now.Add(-after).UnixMicro()))
	}
	ids, err := escalated.Order(contact.ByID()).Limit(maxGiven).IDs(ctx)
	if err != nil {
		return false, fmt.Errorf("desk: finding what escalated from group %d: %w", groupID, err)
	}
	contacts, err := j.holdAll(ctx, ids)
	if isGone(err) { // a group was deleted meanwhile: look again
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		h := contacts[id]
		if h == nil || h.GroupID != groupID || h.EscalatedToID == nil {
			continue
		}
		if err := j.takeBackOne(ctx, h); err != nil {
			return false, err
		}
	}
	return len(ids) == maxGiven, nil
}

func (j *job) takeBackOne(ctx context.Context, h *held) error {
	const words = "By the settings of its group, which are others now, the queue above does not show it."
	to := h.stand()
	above := to.escalatedTo
	to.escalatedTo = 0
	err := j.tell(ctx, h, told{kind: historyentry.KindTAKEN_BACK, group: to.group, how: how{explanation: words}})
	if err != nil {
		return err
	}
	if err := j.settle(ctx, h, to); err != nil {
		return err
	}
	return j.record(ctx, "CONTACT_TAKEN_BACK", relay.KindContact, h.ID, audit.Fields{"group": ref(relay.KindGroup, above)}, nil, words)
}

// hoursBegin gives out what waits when the working hours of an agent begin, and waits for the next time. The agent is held:
// whoever sets other hours sets this timer, too.
func hoursBegin(ctx context.Context, j *job, userID int64) error {
	u, err := j.holdUser(ctx, userID)
	if err != nil || u == nil || u.Status == user.StatusDELETED {
		return err
	}
	if next, some := u.WorkingHours.Next(j.now); some {
		j.schedule(timers.HoursBegin, u.ID, next)
	}
	j.schedule(timers.Distribute, u.HomeGroupID, j.now)
	return nil
}

// grantBegins gives out what waits where somebody is at home who may serve from now on.
func grantBegins(ctx context.Context, j *job, grantID int64) error {
	g, err := j.tx.RoleGrant.Query().Where(rolegrant.ID(grantID), rolegrant.AccountID(j.viewer.AccountID)).WithUser().Only(ctx)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if g.ValidFrom.After(j.now) { // so it is with grants that were made before there were timers
		j.schedule(timers.GrantBegins, g.ID, g.ValidFrom)
		return nil
	}
	if u := g.Edges.User; u.Status == user.StatusACTIVE {
		j.schedule(timers.Distribute, u.HomeGroupID, j.now)
	}
	return nil
}

// closeSilent closes the conversation of a contact in which nobody has written for as long as its group says. One that waits
// for an agent, or for an agent's answer, stays open: it is not the contact who is silent.
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
	waits, err := j.waitsForUs(ctx, h)
	if err != nil {
		return err
	}
	if waits { // whoever answers in the meantime gives the contact the whole time from then on
		j.schedule(timers.CloseSilent, h.ID, j.now.Add(after))
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

// waitsForUs says whether nobody serves the contact, or it had the last word since its conversation, or the first of those
// that were passed on to it, was opened.
func (j *job) waitsForUs(ctx context.Context, h *held) (bool, error) {
	if h.agent() == 0 {
		return true, nil
	}
	var begun int64
	err := store.EachRow(ctx, j.tx, "SELECT begun_at FROM stays WHERE contact_id = $1 AND ended_at = "+forever, []any{h.ID},
		func(rows *stdsql.Rows) error { return rows.Scan(&begun) })
	if err != nil {
		return false, fmt.Errorf("desk: finding since when contact %d is served: %w", h.ID, err)
	}
	last, err := j.tx.Message.Query().Where(message.HasConversationWith(conversation.ContactID(h.ID)), message.SentAtGTE(moment(begun))).
		Order(message.BySentAt(sql.OrderDesc()), message.ByID(sql.OrderDesc())).First(ctx)
	if ent.IsNotFound(err) {
		return false, nil
	}
	return err == nil && last.Direction == message.DirectionINBOUND, err
}

// lockIfThere is lock for a contact that may have been deleted: nil then.
func (j *job) lockIfThere(ctx context.Context, contactID int64) (*held, error) {
	h, err := j.lock(ctx, contactID)
	if isGone(err) {
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
