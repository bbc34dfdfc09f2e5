package desk

import (
	"context"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/cover"
	"canopy/ent/generated/group"
	"canopy/refusal"
)

// The ways in which contacts are handed over.
const (
	HandOverToAgent  = "TO_AGENT"
	HandOverToQueue  = "TO_QUEUE"
	HandOverByMethod = "BY_METHOD"
)

// Told is told of a contact that it went to an agent, or with 0 to the queue of the group.
type Told = func(contactID, agentID, groupID int64)

// HandOver takes the contacts with an open conversation from a user who is leaving, within the transaction of their
// leaving, and tells of each where it went, in the order of their ids: to the agent, into the queue of the leaver's home
// group, or to whom the method of that group gives it. Contacts without an open conversation stay with the leaver until they return
// (ruling 10). What is on offer to the leaver is passed on right after.
//
// The caller has checked that the viewer in the context may do it, and has written the leaver's new status: that
// keeps contacts from coming to the leaver meanwhile.
func (s *Service) HandOver(ctx context.Context, tx *ent.Tx, leaver *ent.User, method string, agentID int64, tell Told) error {
	v := authz.FromContext(ctx)
	if v == nil {
		return refusal.NoViewer()
	}
	j := s.begins(tx, v)
	to, err := j.successor(ctx, leaver, method, agentID)
	if err != nil {
		return err
	}
	// Who deactivates users need not see what those serve.
	trusted := authz.Trusted(ctx)
	j.queueOnly = method == HandOverToQueue
	// Who leaves is neither covered nor covers any more; what they serve for somebody else is handed over with the rest. Whom
	// they covered is in line again.
	if err := j.endCovers(trusted, false, cover.Or(cover.UserID(leaver.ID), cover.ToID(leaver.ID))); err != nil {
		return err
	}
	var line *line
	if method == HandOverByMethod {
		if line, err = j.lineFor(trusted, leaver.HomeGroupID); err != nil {
			return err
		}
	}
	contacts, err := j.openWith(trusted, leaver, to.group)
	if err != nil {
		return err
	}
	if err := j.readyToPass(trusted, contacts, to.group); err != nil {
		return err
	}
	for _, c := range contacts {
		if method == HandOverByMethod {
			if to.taker, err = j.taker(trusted, line, leaver.ID); err != nil {
				return err
			}
		}
		if err := j.handOver(trusted, c.ID, to, tell); err != nil {
			return err
		}
	}
	if err := j.withdrawOffers(trusted, leaver.ID); err != nil {
		return err
	}
	return j.finish(ctx)
}

// lineFor is the line of a group with all of its agents held, nil where everything waits.
func (j *job) lineFor(ctx context.Context, groupID int64) (*line, error) {
	s, err := j.settingsNow(ctx, groupID)
	if err != nil || s.AssignmentMode.Value == group.AssignmentModeMANUAL {
		return nil, err
	}
	l, err := j.line(ctx, groupID, s)
	if err != nil {
		return nil, err
	}
	return l, j.holdLine(ctx, l)
}

// taker is who of the line takes the next contact, other than the user from whom it comes.
func (j *job) taker(ctx context.Context, l *line, from int64) (*prepared, error) {
	if l == nil {
		return nil, nil
	}
	p := &prepared{line: l}
	var err error
	p.agent, p.considered, err = j.next(ctx, l, from, nil)
	return p, err
}

// successor is who takes over.
func (j *job) successor(ctx context.Context, leaver *ent.User, method string, agentID int64) (receiver, error) {
	switch method {
	case HandOverToQueue, HandOverByMethod:
		return receiver{group: leaver.HomeGroupID}, nil
	case HandOverToAgent:
	default:
		return receiver{}, fmt.Errorf("desk: %q is no way to hand over", method)
	}
	to, err := j.agentReceives(ctx, agentID)
	if err != nil {
		return receiver{}, err
	}
	return to, to.conflict // the leaver too serves no more
}

// openWith locks the contacts that the user serves in an open conversation, in the order of their ids, and returns them.
// No contact comes to be one of them once the user's row is written or locked.
func (j *job) openWith(ctx context.Context, u *ent.User, groupID int64) ([]*ent.Contact, error) {
	return j.openAmong(ctx, groupID, contact.AssignedUserID(u.ID))
}

// readyToPass is readyForMany for contacts with an open conversation that somebody serves.
func (j *job) readyToPass(ctx context.Context, contacts []*ent.Contact, groupID int64) error {
	groups := []int64{groupID}
	for _, c := range contacts {
		groups = append(groups, c.GroupID)
	}
	return j.readyForMany(ctx, len(contacts) > 0, groups)
}

func (j *job) handOver(ctx context.Context, contactID int64, to receiver, tell Told) error {
	by := how{method: contactassignment.MethodHANDED_OVER, explanation: "It was handed over because its agent left."}
	if err := j.passAndRecord(ctx, contactID, to, "CONTACT_HANDED_OVER", by); err != nil {
		return err
	}
	agent := int64(0)
	if to.agent != nil {
		agent = to.agent.ID
	} else if c := to.taker.gives(to.group); c != nil {
		agent = c.ID
	}
	tell(contactID, agent, to.group)
	return nil
}
