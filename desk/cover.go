package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/cover"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/relay"
	"canopy/timers"
	"canopy/tree"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// A cover lasts from its start until ends_at, or until it is ended before, and is judged when asked: the timer only
// brings back what was passed on. While it lasts the agent who covers gets, at once, the contacts with an open
// conversation, and later those that come back to the one who is covered; methods pass that one over. What somebody
// gives by hand goes to whom they name.
//
// Nobody covers who is covered at that moment, so covers make no cycle. One who covers may be covered later: then what
// would come goes on to the last of them.

// maxCover is how far ahead a cover may end, in years.
const maxCover = 1

// StartCover says who serves, for a time, what comes to an agent.
type StartCover struct {
	AgentID   int64 // who is covered
	ToAgentID int64 // who covers
	Until     time.Time
	Reason    string
}

// EndCover names the agent who is covered no longer.
type EndCover struct {
	AgentID int64
	Reason  string
}

// Covered is what the start or the end of a cover did.
type Covered struct {
	Agent *ent.User // who is covered; nil when the viewer does not see the card any more
	Moved int       // contacts that were passed on, or brought back
}

// StartCover passes the agent's open contacts on to the one who covers, and what comes later, until the cover ends. For
// oneself it needs CONVERSATIONS_TRANSFER at each of the contacts. For somebody else it needs AGENT_SETTINGS_EDIT at them,
// which reaches agents who are nothing else, and CONVERSATIONS_ASSIGN at their home group and at each of the contacts.
func (s *Service) StartCover(ctx context.Context, in StartCover) (*Covered, error) {
	in.Until = in.Until.UTC().Truncate(time.Microsecond) // as it is stored, and as timers know it
	for attempt := 1; ; attempt++ {
		for _, id := range []int64{in.AgentID, in.ToAgentID} {
			if err := s.endOver(ctx, id); err != nil {
				return nil, err
			}
		}
		out, err := s.tryCover(ctx, in)
		if !errors.Is(err, errOver) || attempt == attempts {
			return out, err
		}
	}
}

// errOver rolls back a cover of somebody, or by somebody, whose last one is over and has not been ended: that became so only
// just now.
var errOver = errors.New("desk: an earlier cover has to be ended first")

func (s *Service) tryCover(ctx context.Context, in StartCover) (*Covered, error) {
	var out *Covered
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		if err := j.lockUsers(ctx, in.AgentID, in.ToAgentID); err != nil {
			return err
		}
		agent, err := j.seeAgent(ctx, in.AgentID)
		if err != nil {
			return err
		}
		to, err := j.agentReceives(ctx, in.ToAgentID)
		if err != nil {
			return err
		}
		open, err := j.openWith(authz.Trusted(ctx), agent, to.group)
		if err != nil {
			return err
		}
		if err := j.checkCover(ctx, in, agent, to, open); err != nil {
			return err
		}
		out, err = j.startCover(ctx, in, agent, to, open)
		return err
	})
	return out, err
}

// endOver ends a cover of the agent that is over and whose timer is late, as the timer would: in a transaction of its own,
// because what brings contacts back locks no others afterwards, and by nobody.
func (s *Service) endOver(ctx context.Context, agentID int64) error {
	v := authz.FromContext(ctx)
	if v == nil {
		return refusal.NoViewer()
	}
	nobody := authz.NewContext(authz.Trusted(ctx), &authz.Viewer{AccountID: v.AccountID, At: s.now()})
	return s.write(nobody, func(ctx context.Context, j *job) error {
		return j.endCovers(ctx, true, cover.UserID(agentID), cover.EndsAtLTE(j.now))
	})
}

// checkCover refuses, in the order of ruling 16, a cover of an agent by a receiver who exist.
func (j *job) checkCover(ctx context.Context, in StartCover, agent *ent.User, to receiver, open []*ent.Contact) error {
	if err := j.mayCover(ctx, agent, open); err != nil {
		return err
	}
	if agent.ID == to.agent.ID {
		return refusal.BadInput("input.toAgentId", "Nobody covers for themselves. Name another agent.")
	}
	if !in.Until.After(j.now) || in.Until.After(j.now.AddDate(maxCover, 0, 0)) {
		return refusal.BadInput("input.until", "A cover ends later than now, and within a year. Give such a moment.")
	}
	if err := j.checkReason(ctx, in.Reason); err != nil {
		return err
	}
	serves, err := j.serves(ctx, agent.ID)
	switch {
	case err != nil:
		return err
	case !serves:
		return refusal.Conflict(refusal.NotServing, "This user does not serve contacts: there is nothing to cover.")
	case to.conflict != nil:
		return to.conflict
	}
	return j.coverable(ctx, agent, to.agent)
}

// coverable refuses a second cover of the agent, and one by somebody who is covered themself.
func (j *job) coverable(ctx context.Context, agent, to *ent.User) error {
	for _, who := range []struct {
		id      int64
		covered string
	}{
		{agent.ID, "This agent is covered already. End that cover first."},
		{to.ID, "The agent who shall cover is covered by somebody else. Name an agent who is not."},
	} {
		last, err := j.tx.Cover.Query().Where(cover.AccountID(j.viewer.AccountID), cover.UserID(who.id), cover.EndedAtIsNil()).Only(authz.Trusted(ctx))
		switch {
		case err == nil && last.EndsAt.After(j.now):
			return refusal.Conflict(refusal.AlreadyCovered, "%s", who.covered)
		case err == nil:
			return errOver
		case !ent.IsNotFound(err):
			return err
		}
	}
	return nil
}

// mayCover refuses who may not have the agent covered.
func (j *job) mayCover(ctx context.Context, agent *ent.User, open []*ent.Contact) error {
	needed, each := authz.ConversationsTransfer, "at each contact that you serve"
	if agent.ID != j.viewer.UserID {
		needed, each = authz.ConversationsAssign, "at each contact that the agent serves"
		if err := j.maySupervise(ctx, agent); err != nil {
			return err
		}
	} else if !j.viewer.Permissions().Has(needed) {
		return refusal.Forbidden(needed, each)
	}
	for _, c := range open {
		at, err := j.place(ctx, c.GroupID)
		if err != nil {
			return err
		}
		if !j.viewer.Can(needed, authz.AtContact(at, agent.ID)) {
			return refusal.Forbidden(needed, each)
		}
	}
	return nil
}

// maySupervise refuses who may neither change the agent's settings nor decide about contacts where the agent is.
func (j *job) maySupervise(ctx context.Context, agent *ent.User) error {
	const where = "at the home group of this agent"
	home, err := j.place(ctx, agent.HomeGroupID)
	if err != nil {
		return err
	}
	if !j.viewer.Can(authz.AgentSettingsEdit, authz.AtUser(home, agent.ID)) {
		return refusal.Forbidden(authz.AgentSettingsEdit, where)
	}
	if !j.viewer.Can(authz.ConversationsAssign, authz.AtGroup(home)) {
		return refusal.Forbidden(authz.ConversationsAssign, where)
	}
	more, err := j.tx.RoleGrant.Query().Where(rolegrant.UserID(agent.ID), rolegrant.RevokedAtIsNil(),
		rolegrant.Or(rolegrant.ValidUntilIsNil(), rolegrant.ValidUntilGT(j.now)),
		rolegrant.HasRoleWith(role.Or(role.KeyIsNil(), role.KeyNEQ(authz.RoleAgent)))).Exist(authz.Trusted(ctx))
	if err != nil || !more {
		return err
	}
	return refusal.Limit("", authz.AgentSettingsEdit, "at an agent who is nothing else",
		"AGENT_SETTINGS_EDIT reaches only users who are agents and nothing else. This user holds, or will hold, another role.",
		"Ask the user to start or end the cover.")
}

func (j *job) startCover(ctx context.Context, in StartCover, agent *ent.User, to receiver, open []*ent.Contact) (*Covered, error) {
	trusted := authz.Trusted(ctx)
	c, err := j.tx.Cover.Create().SetAccountID(j.viewer.AccountID).SetUserID(agent.ID).SetToID(to.agent.ID).SetReason(strings.TrimSpace(in.Reason)).
		SetStartedByID(j.viewer.UserID).SetStartedAt(j.now).SetEndsAt(in.Until).Save(trusted)
	if err != nil {
		return nil, fmt.Errorf("desk: starting a cover of user %d: %w", agent.ID, err)
	}
	j.schedule(timers.CoverEnds, c.ID, c.EndsAt)
	by := how{method: contactassignment.MethodCOVERED, cover: c.ID,
		explanation: "Its agent is covered for a time: whoever covers them serves it meanwhile."}.because(in.Reason)
	if err := j.readyToPass(trusted, open, to.group); err != nil {
		return nil, err
	}
	for _, contact := range open {
		if err := j.passAndRecord(trusted, contact.ID, to, "CONTACT_COVERED", by); err != nil {
			return nil, err
		}
	}
	if err := j.publishCard(ctx, agent); err != nil {
		return nil, err
	}
	err = j.record(ctx, "COVER_STARTED", relay.KindUser, agent.ID, nil,
		audit.Fields{"coveredBy": ref(relay.KindAgent, to.agent.ID), "until": c.EndsAt, "passedOn": len(open)}, in.Reason)
	if err != nil {
		return nil, err
	}
	return j.covered(ctx, agent.ID, len(open))
}

// passAndRecord locks a contact, gives it to the receiver and records that.
func (j *job) passAndRecord(ctx context.Context, contactID int64, to receiver, action string, by how) error {
	h, err := j.lock(ctx, contactID)
	if err != nil {
		return err
	}
	if _, err := j.passTo(ctx, h, to, by); err != nil {
		return err
	}
	return j.recordPass(ctx, action, h, to, by.reason)
}

func (j *job) covered(ctx context.Context, agentID int64, moved int) (*Covered, error) {
	card, err := j.tx.User.Query().Where(user.ID(agentID)).Only(rule.AsCards(ctx))
	if err != nil && !ent.IsNotFound(err) {
		return nil, err
	}
	return &Covered{Agent: card, Moved: moved}, nil
}

// EndCover ends the cover of the agent at once, and brings back what was passed on and is still open. Oneself may do it;
// for somebody else it needs what StartCover needs at the agent.
func (s *Service) EndCover(ctx context.Context, in EndCover) (*Covered, error) {
	var out *Covered
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		if err := j.lockUsers(ctx, in.AgentID); err != nil {
			return err
		}
		agent, err := j.seeAgent(ctx, in.AgentID)
		if err != nil {
			return err
		}
		if agent.ID != j.viewer.UserID {
			if err := j.maySupervise(ctx, agent); err != nil {
				return err
			}
		}
		if err := j.checkReason(ctx, in.Reason); err != nil {
			return err
		}
		present, err := j.coverOf(ctx, agent.ID)
		if err != nil {
			return err
		}
		if present == nil {
			return refusal.Conflict(refusal.NotCovered, "This agent is not covered.")
		}
		n, err := j.endCover(authz.Trusted(ctx), present, true, in.Reason)
		if err != nil {
			return err
		}
		out, err = j.covered(ctx, agent.ID, n)
		return err
	})
	return out, err
}

// Return ends the cover of a user who is back, within the transaction in which they say so.
func (s *Service) Return(ctx context.Context, tx *ent.Tx, userID int64) error {
	v := authz.FromContext(ctx)
	if v == nil {
		return refusal.NoViewer()
	}
	j := s.begins(tx, v)
	if err := j.endCovers(authz.Trusted(ctx), true, cover.UserID(userID)); err != nil {
		return err
	}
	return j.finish(ctx)
}

// coverEnds is due when the time of a cover is over.
func coverEnds(ctx context.Context, j *job, coverID int64) error {
	return j.endCovers(ctx, true, cover.ID(coverID), cover.EndsAtLTE(j.now))
}

// endCovers ends those of the covers that have not ended, and brings back what they passed on, if that shall be.
func (j *job) endCovers(ctx context.Context, bringBack bool, which ...predicate.Cover) error {
	list, err := j.tx.Cover.Query().Where(cover.AccountID(j.viewer.AccountID), cover.EndedAtIsNil()).Where(which...).Order(cover.ByID()).All(ctx)
	if err != nil {
		return fmt.Errorf("desk: finding covers: %w", err)
	}
	for _, c := range list {
		if err := j.lockUsers(ctx, c.UserID); err != nil {
			return err
		}
		ended, err := j.tx.Cover.Query().Where(cover.ID(c.ID), cover.EndedAtNotNil()).Exist(ctx) // while this one waited
		if err != nil {
			return err
		}
		if ended {
			continue
		}
		if _, err := j.endCover(ctx, c, bringBack, ""); err != nil {
			return err
		}
	}
	return nil
}

// endCover ends a cover whose agent is locked.
func (j *job) endCover(ctx context.Context, c *ent.Cover, bringBack bool, reason string) (n int, err error) {
	if bringBack {
		if n, err = j.bringBack(ctx, c); err != nil {
			return 0, err
		}
	}
	err = j.tx.Cover.Update().Where(cover.ID(c.ID), cover.AccountID(c.AccountID)).SetEndedAt(j.now).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("desk: ending cover %d: %w", c.ID, err)
	}
	agent, err := j.tx.User.Get(ctx, c.UserID)
	if err != nil {
		return 0, err
	}
	if err := j.publishCard(ctx, agent); err != nil {
		return 0, err
	}
	if j.running == nil { // a timer that runs takes itself away
		j.unschedule(timers.CoverEnds, c.ID)
	}
	j.schedule(timers.Distribute, agent.HomeGroupID, j.now) // methods pass them over no more
	return n, j.record(ctx, "COVER_ENDED", relay.KindUser, c.UserID, audit.Fields{"coveredBy": ref(relay.KindAgent, c.ToID), "until": c.EndsAt},
		audit.Fields{"broughtBack": n}, reason)
}

// bringBack gives the contacts that the cover passed on back to the agent, as far as they are open and nothing but covers
// has moved them since. An agent to whom nothing new may come gets nothing back.
func (j *job) bringBack(ctx context.Context, c *ent.Cover) (int, error) {
	agent, err := j.fit(ctx, c.UserID)
	if err != nil || agent == nil {
		return 0, err
	}
	passed := historyentry.And(historyentry.CoverID(c.ID), historyentry.KindEQ(historyentry.KindCOVERED))
	var ids []int64
	err = j.tx.HistoryEntry.Query().Where(historyentry.AccountID(c.AccountID), passed).Unique(true).Select(historyentry.FieldContactID).Scan(ctx, &ids)
	if err != nil {
		return 0, fmt.Errorf("desk: finding what cover %d passed on: %w", c.ID, err)
	}
	slices.Sort(ids)
	var back []*ent.Contact
	for part := range slices.Chunk(ids, contactsAtOnce) {
		open, err := j.openAmong(ctx, agent.HomeGroupID, contact.IDIn(part...))
		if err != nil {
			return 0, err
		}
		for _, k := range open {
			history, err := j.tx.HistoryEntry.Query().Where(historyentry.ContactID(k.ID), historyentry.AccountID(c.AccountID)).
				Order(historyentry.ByID()).All(ctx)
			if err != nil {
				return 0, fmt.Errorf("desk: reading the history of contact %d: %w", k.ID, err)
			}
			if passedOnBy(history, c.ID) {
				back = append(back, k)
			}
		}
	}
	if err := j.readyToPass(ctx, back, agent.HomeGroupID); err != nil {
		return 0, err
	}
	by := how{method: contactassignment.MethodBROUGHT_BACK, cover: c.ID, explanation: "The cover of its agent is over, so it went back to them."}
	for _, k := range back {
		if err := j.passAndRecord(ctx, k.ID, receiver{agent: agent, group: agent.HomeGroupID}, "CONTACT_BROUGHT_BACK", by); err != nil {
			return 0, err
		}
	}
	return len(back), nil
}

// contactsAtOnce is how many contacts one statement asks for: a statement takes only so many parameters.
const contactsAtOnce = 1000

// passedOnBy says whether a contact is where it is because of the cover: covers are laid one over the other, each ends
// with all that lie over it, and whoever moves the contact by hand ends all of them.
func passedOnBy(history []*ent.HistoryEntry, coverID int64) bool {
	var laid []int64
	for _, e := range history {
		switch {
		case e.Kind == historyentry.KindCOVERED:
			laid = append(laid, *e.CoverID)
		case e.Kind == historyentry.KindBROUGHT_BACK:
			if i := slices.Index(laid, *e.CoverID); i >= 0 {
				laid = laid[:i]
			}
		case e.AssignmentID != nil || e.ToAgentID == nil || e.Kind == historyentry.KindOFFERED:
			laid = nil
		}
	}
	return slices.Contains(laid, coverID)
}

// coverOf returns the cover that lasts of a user, nil when they are not covered.
func (j *job) coverOf(ctx context.Context, userID int64) (*ent.Cover, error) {
	c, err := j.tx.Cover.Query().Where(cover.AccountID(j.viewer.AccountID), cover.UserID(userID), cover.EndedAtIsNil(), cover.EndsAtGT(j.now)).
		Only(authz.Trusted(ctx))
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return c, err
}

// standIn returns who serves what comes to a user who is covered: the last of those who cover each other, nil when a method
// would pass that one over. The cover is that of the user, nil when they are not covered.
func (j *job) standIn(ctx context.Context, userID int64) (*ent.User, *ent.Cover, error) {
	first, err := j.coverOf(ctx, userID)
	if err != nil || first == nil {
		return nil, nil, err
	}
	for last := first; ; {
		next, err := j.coverOf(ctx, last.ToID)
		if err != nil {
			return nil, nil, err
		}
		if next == nil {
			u, err := j.takesNew(ctx, last.ToID)
			return u, first, err
		}
		last = next
	}
}

// takesNew is fit, and nil also for somebody who is away, outside their hours, or full: what comes by a cover is new to them.
func (j *job) takesNew(ctx context.Context, userID int64) (*ent.User, error) {
	u, err := j.fit(ctx, userID)
	if err != nil || u == nil {
		return nil, err
	}
	home, err := j.settingsNow(ctx, u.HomeGroupID)
	if err != nil {
		return nil, err
	}
	loads, err := j.loads(ctx, []int64{u.ID})
	if err != nil || StateOf(u, Busy{Load: loads[u.ID]}, capacityOf(u, home), j.now) != StateAvailable {
		return nil, err
	}
	return u, nil
}

// fit returns and holds a user to whom new contacts may come: who serves, and whose access is not paused. It is nil for
// anybody else.
func (j *job) fit(ctx context.Context, userID int64) (*ent.User, error) {
	u, err := j.holdReceiver(ctx, userID)
	if err != nil || u == nil || u.AccessPausedAt != nil {
		return nil, err
	}
	serves, err := j.serves(ctx, userID)
	if err != nil || !serves {
		return nil, err
	}
	return u, nil
}

// seeAgent returns a user whose card or record the viewer sees.
func (j *job) seeAgent(ctx context.Context, id int64) (*ent.User, error) {
	u, err := j.tx.User.Query().Where(user.ID(id)).Only(rule.AsCards(ctx))
	if ent.IsNotFound(err) {
		u, err = j.tx.User.Query().Where(user.ID(id), user.StatusNEQ(user.StatusDELETED)).Only(ctx)
	}
	if ent.IsNotFound(err) {
		return nil, refusal.NotFound("agent")
	}
	return u, err
}

// lockUsers keeps users of the account from being changed, and contacts from coming to them. Those who lock several do
// it in the order of their ids.
func (j *job) lockUsers(ctx context.Context, ids ...int64) error {
	if j.tx.Dialect() != dialect.Postgres {
		return nil
	}
	_, err := j.tx.User.Query().Where(user.IDIn(ids...), user.AccountID(j.viewer.AccountID)).Order(user.ByID()).
		ForUpdate(sql.WithLockClause("FOR NO KEY UPDATE")).IDs(authz.Trusted(ctx)) // what only names them goes on
	if err != nil {
		return fmt.Errorf("desk: locking users: %w", err)
	}
	j.now = j.desk.now()
	return nil
}

// openAmong locks those of the contacts that somebody serves in an open conversation, together with where they are and
// the given group, and returns them in the order of their ids.
func (j *job) openAmong(ctx context.Context, groupID int64, which ...predicate.Contact) ([]*ent.Contact, error) {
	return j.lockAll(ctx, []int64{groupID}, append(which, contact.Box(int(tree.BoxOf(tree.Open, true))))...)
}
