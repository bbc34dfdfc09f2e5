package desk

import (
	"context"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/group"
	"canopy/refusal"
	"canopy/tree"

	"entgo.io/ent/dialect"
)

// The ways in which contacts are handed over.
const (
	HandOverToAgent  = "TO_AGENT"
	HandOverToQueue  = "TO_QUEUE"
	HandOverByMethod = "BY_METHOD"
)

// HandOver takes the contacts with an open conversation from a user who is leaving, within the transaction of their
// leaving, and returns how many there were: to the agent, into the queue of the leaver's home group, or to whom the
// method of that group gives them. Contacts without an open conversation stay with the leaver until they return
// (ruling 10).
//
// The caller has checked that the viewer in the context may do it, and has written the leaver's new status: that
// keeps contacts from coming to the leaver meanwhile.
func (s *Service) HandOver(ctx context.Context, tx *ent.Tx, leaver *ent.User, method string, agentID int64) (int, error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return 0, refusal.NoViewer()
	}
	j := s.begins(tx, v)
	to, err := j.successor(ctx, leaver, method, agentID)
	if err != nil {
		return 0, err
	}
	// Who deactivates users need not see what those serve.
	trusted := authz.Trusted(ctx)
	var line *line
	switch method {
	case HandOverByMethod:
		line, err = j.lineFor(trusted, leaver.HomeGroupID)
	case HandOverToQueue:
		j.queueOnly = true
	}
	if err != nil {
		return 0, err
	}
	contacts, err := j.openWith(trusted, leaver, to.group)
	if err != nil {
		return 0, err
	}
	for _, c := range contacts {
		if method == HandOverByMethod {
			if to.taker, err = j.taker(trusted, line); err != nil {
				return 0, err
			}
		}
		if err := j.handOver(trusted, c.ID, to); err != nil {
			return 0, err
		}
	}
	return len(contacts), j.finish(ctx)
}

// lineFor is the line of a group with all of its agents held, nil where everything waits.
func (j *job) lineFor(ctx context.Context, groupID int64) (*line, error) {
	s, err := j.settings(ctx, groupID)
	if err != nil || s.AssignmentMode.Value == group.AssignmentModeMANUAL {
		return nil, err
	}
	l, err := j.line(ctx, groupID, s)
	if err != nil {
		return nil, err
	}
	return l, j.holdAll(ctx, l)
}

// taker is who of the line takes the next contact.
func (j *job) taker(ctx context.Context, l *line) (*prepared, error) {
	if l == nil {
		return nil, nil
	}
	p := &prepared{line: l}
	var err error
	p.agent, p.considered, err = j.next(ctx, l, nil)
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

// openWith locks the contacts that the leaver serves in an open conversation, in the order of their ids, and returns
// them. No contact comes to be one of them once the leaver's row is written.
func (j *job) openWith(ctx context.Context, leaver *ent.User, groupID int64) ([]*ent.Contact, error) {
	theirs := j.tx.Contact.Query().Where(contact.AccountID(leaver.AccountID), contact.AssignedUserID(leaver.ID),
		contact.Box(int(tree.BoxOf(tree.Open, true)))).Order(contact.ByID())
	seen, err := theirs.Clone().All(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: finding what user %d serves: %w", leaver.ID, err)
	}
	groups := []int64{groupID}
	for _, c := range seen {
		groups = append(groups, c.GroupID, c.ArrivalGroupID)
	}
	if err := tree.LockGroups(ctx, j.tx, groups...); err != nil {
		return nil, err
	}
	if j.tx.Dialect() == dialect.Postgres {
		theirs.ForUpdate()
	}
	return theirs.All(ctx)
}

func (j *job) handOver(ctx context.Context, contactID int64, to receiver) error {
	h, err := j.lock(ctx, contactID)
	if err != nil {
		return err
	}
	_, err = j.passTo(ctx, h, to, how{method: contactassignment.MethodHANDED_OVER, explanation: "It was handed over because its agent left."})
	if err != nil {
		return err
	}
	return j.recordPass(ctx, "CONTACT_HANDED_OVER", h, to, "")
}
