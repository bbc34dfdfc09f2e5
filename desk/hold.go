package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/tree"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// On PostgreSQL a use-case locks users first, then the contact with its groups (tree.LockContact), and only then
// reads what it decides by. Conversation numbers come after that, and counters last.

// held is a contact that the transaction keeps others from changing, and where it stands.
type held struct {
	*ent.Contact
	place authz.Place
	// arriving is a contact that was inserted by this transaction and is neither listed nor counted yet. Counters are
	// changed once: when they are changed again PostgreSQL checks their foreign keys and locks the groups above.
	arriving bool
}

// agent is the user who serves the contact, 0 while it waits.
func (h *held) agent() int64 { return orNone(h.AssignedUserID) }

// orNone is the id, 0 for none.
func orNone(id *int64) int64 {
	if id == nil {
		return 0
	}
	return *id
}

func (h *held) state() tree.State { return tree.Box(h.Box).State() }

// target is the contact as something that permissions are asked for at the moment.
func (h *held) target(now time.Time) authz.Target {
	t := authz.AtContact(h.place, h.agent())
	if h.agent() == 0 {
		t.Offered, t.Escalated = h.offered(now), h.stand().escalatedTo
	}
	return t
}

// see returns the contact if the viewer sees it, as it stands before anything is locked.
func (j *job) see(ctx context.Context, contactID int64) (*ent.Contact, error) {
	c, err := j.tx.Contact.Query().Where(contact.ID(contactID), contact.AccountID(j.viewer.AccountID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, refusal.NotFound("contact")
	}
	return c, err
}

// hold locks a contact of the viewer's account together with its group and the given ones, and returns it as it
// stands from then on. What the viewer does not see is not found; in a trusted context they see all of the account.
func (j *job) hold(ctx context.Context, contactID int64, groupIDs ...int64) (*held, error) {
	if _, err := j.see(ctx, contactID); err != nil {
		return nil, err
	}
	return j.lock(ctx, contactID, groupIDs...)
}

// lock is hold for a contact that is known to be visible, or to have been a moment ago.
func (j *job) lock(ctx context.Context, contactID int64, groupIDs ...int64) (*held, error) {
	err := tree.LockContact(ctx, j.tx, contactID, groupIDs...)
	switch {
	case errors.Is(err, tree.ErrNoContact):
		return nil, refusal.NotFound("contact")
	case errors.Is(err, tree.ErrNoGroup):
		return nil, refusal.NotFound("group")
	case err != nil:
		return nil, err
	}
	j.now = j.desk.now()
	c, err := j.see(ctx, contactID)
	if err != nil {
		return nil, err
	}
	place, err := j.place(ctx, c.GroupID)
	return &held{Contact: c, place: place}, err
}

// lockAll locks contacts of the account with their groups and the given ones, and returns them as they stand from then
// on, in the order of their ids. Groups are locked in the order of their ids and then contacts in the order of theirs, so
// that of two who lock some of the same one waits. The groups above are among them: counters that are changed again lock
// those.
func (j *job) lockAll(ctx context.Context, groupIDs []int64, which ...predicate.Contact) ([]*ent.Contact, error) {
	query := j.tx.Contact.Query().Where(contact.AccountID(j.viewer.AccountID)).Where(which...).Order(contact.ByID())
	stay := func(a, b *ent.Contact) bool { return a.ID == b.ID && a.GroupID == b.GroupID }
	for attempt := 1; ; attempt++ {
		seen, err := query.Clone().All(ctx)
		if err != nil {
			return nil, fmt.Errorf("desk: loading contacts: %w", err)
		}
		if j.tx.Dialect() != dialect.Postgres || len(seen) == 0 {
			return seen, nil
		}
		err = j.lockGroupsOf(ctx, seen, groupIDs)
		if errors.Is(err, tree.ErrNoGroup) {
			if attempt < attempts {
				continue // it was deleted meanwhile, and its contacts are elsewhere
			}
			return nil, refusal.NotFound("group")
		}
		if err != nil {
			return nil, err
		}
		locked, err := query.Clone().ForUpdate().All(ctx)
		if err != nil {
			return nil, fmt.Errorf("desk: locking contacts: %w", err)
		}
		// Should one have gone elsewhere before it was locked, the next round settles it.
		if slices.EqualFunc(seen, locked, stay) {
			return locked, nil
		}
	}
}

// lockGroupsOf locks the groups of the contacts, those above, and the given ones.
func (j *job) lockGroupsOf(ctx context.Context, contacts []*ent.Contact, groupIDs []int64) error {
	groups := slices.Clone(groupIDs)
	for _, c := range contacts {
		groups = append(groups, c.GroupID, c.ArrivalGroupID)
	}
	paths, err := j.tx.Group.Query().Where(group.IDIn(groups...)).Select(group.FieldPath).Strings(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("desk: loading groups: %w", err)
	}
	for _, path := range paths {
		groups = append(groups, tree.IDs(path)...)
	}
	slices.Sort(groups)
	return tree.LockGroups(ctx, j.tx, slices.Compact(groups)...)
}

// holdConversation locks the contact of a conversation that the viewer sees, and the given groups, and returns both.
func (j *job) holdConversation(ctx context.Context, id int64, groupIDs ...int64) (*held, *ent.Conversation, error) {
	c, err := j.conversation(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	h, err := j.lock(ctx, c.ContactID, groupIDs...)
	if err != nil {
		return nil, nil, err
	}
	c, err = j.conversation(ctx, id)
	return h, c, err
}

func (j *job) conversation(ctx context.Context, id int64) (*ent.Conversation, error) {
	c, err := j.tx.Conversation.Query().Where(conversation.ID(id)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, refusal.NotFound("conversation")
	}
	return c, err
}

// seeGroup returns where a group stands that the viewer sees. It is not locked: who is about to lock the groups of a
// contact locks all of them together, in the order of their ids.
func (j *job) seeGroup(ctx context.Context, id int64) (authz.Place, error) {
	g, err := j.tx.Group.Query().Where(group.ID(id), group.AccountID(j.viewer.AccountID)).Only(ctx)
	if ent.IsNotFound(err) {
		return authz.Place{}, refusal.NotFound("group")
	}
	if err != nil {
		return authz.Place{}, err
	}
	return rule.PlaceOf(g), nil
}

// holdGroup keeps a group that the viewer sees where it is.
func (j *job) holdGroup(ctx context.Context, id int64) (authz.Place, error) {
	if _, err := j.seeGroup(ctx, id); err != nil {
		return authz.Place{}, err
	}
	err := tree.LockGroups(ctx, j.tx, id)
	if errors.Is(err, tree.ErrNoGroup) {
		return authz.Place{}, refusal.NotFound("group")
	}
	if err != nil {
		return authz.Place{}, err
	}
	return j.seeGroup(ctx, id)
}

// place is where a group of the account stands, whether the viewer sees it or not.
func (j *job) place(ctx context.Context, groupID int64) (authz.Place, error) {
	g, err := j.tx.Group.Query().Where(group.ID(groupID), group.AccountID(j.viewer.AccountID)).Only(authz.Trusted(ctx))
	if err != nil {
		return authz.Place{}, fmt.Errorf("desk: loading group %d: %w", groupID, err)
	}
	return rule.PlaceOf(g), nil
}

// holdUser returns a user of the account, nil if there is none, whether the viewer sees them or not, and keeps them
// from being deactivated or moved until the transaction ends: so nothing is given to somebody who is leaving.
func (j *job) holdUser(ctx context.Context, id int64) (*ent.User, error) {
	return j.lockUser(ctx, id, "FOR SHARE")
}

// holdReceiver is holdUser for somebody who is about to get a contact: they get one at a time, so that each is a turn.
func (j *job) holdReceiver(ctx context.Context, id int64) (*ent.User, error) {
	return j.lockUser(ctx, id, "FOR NO KEY UPDATE")
}

func (j *job) lockUser(ctx context.Context, id int64, lock string) (*ent.User, error) {
	q := j.tx.User.Query().Where(user.ID(id), user.AccountID(j.viewer.AccountID))
	if j.tx.Dialect() == dialect.Postgres {
		q.ForUpdate(sql.WithLockClause(lock))
	}
	u, err := q.Only(authz.Trusted(ctx))
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return u, err
}

// holdSelf returns the viewer's user, who may be about to get a contact. The request may have begun before they were
// deactivated or paused.
func (j *job) holdSelf(ctx context.Context) (*ent.User, error) {
	u, err := j.holdReceiver(ctx, j.viewer.UserID)
	switch {
	case err != nil:
		return nil, err
	case u == nil || u.Status != user.StatusACTIVE:
		return nil, refusal.NoViewer()
	case u.AccessPausedAt != nil:
		return nil, refusal.Paused()
	}
	return u, nil
}

// holdAgentOf keeps whoever serves the contact from leaving. To be called before the contact itself is locked.
func (j *job) holdAgentOf(ctx context.Context, contactID int64) error {
	c, err := j.see(ctx, contactID)
	if err != nil || c.AssignedUserID == nil {
		return err
	}
	return j.holdServing(ctx, *c.AssignedUserID)
}

// holdServing holds a user, and whoever stands in for them.
func (j *job) holdServing(ctx context.Context, userID int64) error {
	if _, err := j.holdUser(ctx, userID); err != nil {
		return err
	}
	_, _, err := j.standIn(ctx, userID)
	return err
}

// serves says whether the user is active and holds CONVERSATIONS_REPLY somewhere. It keeps them from leaving.
func (j *job) serves(ctx context.Context, userID int64) (bool, error) {
	if _, err := j.holdUser(ctx, userID); err != nil {
		return false, err
	}
	return j.tx.User.Query().Where(user.ID(userID), predicate.User(rule.Serving(j.now))).Exist(authz.Trusted(ctx))
}

// may refuses what the viewer lacks the permission for at the contact.
func (j *job) may(p authz.Permission, h *held) error {
	if !j.viewer.Can(p, h.target(j.now)) {
		return refusal.Forbidden(p, "at this contact")
	}
	return nil
}

// mayAt refuses what the viewer lacks the permission for at the group.
func (j *job) mayAt(p authz.Permission, at authz.Place) error {
	if !j.viewer.Can(p, authz.AtGroup(at)) {
		return refusal.Forbidden(p, "at this group")
	}
	return nil
}

// stand is where a contact stands: what lists, queues and counters are made of.
type stand struct {
	group    int64
	agent    int64 // 0: it waits
	state    tree.State
	activity time.Time
	waiting  time.Time // since when; zero while somebody serves it

	// Of a contact that waits: on offer to whom, until when, from whom it came, who was asked, and the group above in whose
	// queue it is too.
	offeredTo    int64
	offerEnds    time.Time
	passedOnFrom int64
	asked        []int64
	escalatedTo  int64
}

func (h *held) stand() stand {
	s := stand{group: h.GroupID, agent: h.agent(), state: h.state(), activity: h.LastActivityAt}
	if h.WaitingSince != nil {
		s.waiting = *h.WaitingSince
	}
	if h.OfferedToID != nil && h.OfferEndsAt != nil {
		s.offeredTo, s.offerEnds = *h.OfferedToID, *h.OfferEndsAt
	}
	s.escalatedTo, s.passedOnFrom, s.asked = orNone(h.EscalatedToID), orNone(h.PassedOnFromID), h.Asked
	return s
}

// waitingFrom is where a contact stands that waits since the moment. Without an open conversation it is the contact's last
// activity, too: queue and box CLOSED sort such a contact by one key.
func (s stand) waitingFrom(moment time.Time) stand {
	s.waiting = moment
	if s.state == tree.Closed {
		s.activity = moment
	}
	return s
}

// placement is how package tree lists the contact: by since when it waits while that is what matters about it.
func (s stand) placement() tree.Placement {
	p := tree.Placement{GroupID: s.group, Box: tree.BoxOf(s.state, s.agent != 0), SortKey: s.activity.UnixMicro()}
	if s.agent == 0 && s.state != tree.Closed {
		p.SortKey = s.waiting.UnixMicro()
	}
	return p
}

// writeWaiting writes what is known of a contact only while it waits.
func (s stand) writeWaiting(m *ent.ContactMutation) {
	if s.agent != 0 || s.state == tree.Closed {
		s.offeredTo, s.passedOnFrom, s.asked, s.escalatedTo = 0, 0, nil, 0
	}
	if s.offeredTo != 0 {
		m.SetOfferedToID(s.offeredTo)
		m.SetOfferEndsAt(s.offerEnds)
	} else {
		m.ClearOfferedToID()
		m.ClearOfferEndsAt()
	}
	if s.escalatedTo != 0 {
		m.SetEscalatedToID(s.escalatedTo)
	} else {
		m.ClearEscalatedToID()
	}
	if s.passedOnFrom != 0 {
		m.SetPassedOnFromID(s.passedOnFrom)
	} else {
		m.ClearPassedOnFromID()
	}
	if len(s.asked) > 0 {
		m.SetAsked(s.asked)
	} else {
		m.ClearAsked()
	}
}

// settle writes where the contact stands from now on, and tells subscribers. It comes last: it changes counters that are
// everybody's, and the viewer may not see the contact afterwards.
func (j *job) settle(ctx context.Context, h *held, to stand) error {
	if err := j.stayAt(ctx, h, to); err != nil {
		return err
	}
	was := h.stand().shown()
	if h.arriving {
		was = nil
	}
	if err := j.publish(ctx, h.ID, was, to.shown()); err != nil {
		return err
	}
	place := to.placement()
	change := j.tx.Contact.Update().Where(contact.ID(h.ID), contact.AccountID(h.AccountID)).SetLastActivityAt(to.activity)
	if h.arriving {
		change.SetGroupID(place.GroupID).SetBox(int(place.Box)).SetSortKey(place.SortKey)
	}
	if to.agent != 0 {
		change.SetAssignedUserID(to.agent).ClearWaitingSince()
	} else {
		change.ClearAssignedUserID().SetWaitingSince(to.waiting)
	}
	to.writeWaiting(change.Mutation())
	n, err := change.Save(ctx)
	if err != nil {
		return fmt.Errorf("desk: changing contact %d: %w", h.ID, err)
	}
	if n != 1 {
		return fmt.Errorf("desk: contact %d was out of sight when it had to be changed", h.ID)
	}
	if h.arriving {
		err = tree.AddContact(ctx, j.tx, h.ID)
	} else {
		err = tree.UpdateContact(ctx, j.tx, h.ID, place)
	}
	if err != nil {
		return err
	}
	return j.watch(ctx, h, to)
}
