package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/cover"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/relay"
	"canopy/timers"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// How contacts come to agents by the method of a group: at once, in the transaction of what brings the contact there
// (prepare, fallBack), and when an agent gets room (distribute).

// line is the agents whose home is the group, in the order in which contacts go to them: who waits longest comes first.
// While a transaction has it, no other one has a line of the group, so that nobody gets more than they have room for.
type line struct {
	group    int64
	settings tree.Settings
	agents   []*candidate
}

// candidate is an agent of a line.
type candidate struct {
	*ent.User
	load    int  // contacts with an open conversation that they serve, and offers that they have
	covered bool // somebody else serves, for a time, what comes to them
	held    bool // kept from changing until the transaction ends
}

// line loads the line of a group. To be called before anything else is locked.
func (j *job) line(ctx context.Context, groupID int64, s tree.Settings) (*line, error) {
	if err := tree.LockDistribution(ctx, j.tx, groupID); err != nil {
		return nil, err
	}
	users, err := j.tx.User.Query().Where(user.AccountID(j.viewer.AccountID), user.HomeGroupID(groupID),
		predicate.User(rule.Serving(j.now))).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("desk: loading the agents of group %d: %w", groupID, err)
	}
	l := &line{group: groupID, settings: s}
	for _, u := range users {
		l.agents = append(l.agents, &candidate{User: u})
	}
	l.sort()
	return l, j.markBusy(ctx, l, l.agents)
}

// markBusy notes of agents of the line how much takes up their room now, as far as that is limited, and whom somebody covers.
func (j *job) markBusy(ctx context.Context, l *line, agents []*candidate) error {
	if len(agents) == 0 {
		return nil
	}
	ids := make([]int64, len(agents))
	var limited []int64
	for i, c := range agents {
		ids[i] = c.ID
		if l.capacity(c) != tree.Unlimited {
			limited = append(limited, c.ID)
		}
	}
	loads, err := j.loads(ctx, limited)
	if err != nil {
		return err
	}
	away, err := j.tx.Cover.Query().Where(cover.AccountID(j.viewer.AccountID), cover.UserIDIn(ids...), cover.EndedAtIsNil(), cover.EndsAtGT(j.now)).
		All(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("desk: finding who is covered: %w", err)
	}
	for _, c := range agents {
		c.load = loads[c.ID]
		c.covered = slices.ContainsFunc(away, func(a *ent.Cover) bool { return a.UserID == c.ID })
	}
	return nil
}

func (l *line) sort() {
	slices.SortFunc(l.agents, func(a, b *candidate) int { return cmp.Or(cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.ID, b.ID)) })
}

// capacity is how much a method may give the agent: what is said of them, else of the group.
func (l *line) capacity(c *candidate) int { return capacityOf(c.User, l.settings) }

// capacityOf is how much a method of their home group may give a user, by the settings there.
func capacityOf(u *ent.User, home tree.Settings) int {
	if u.Capacity != nil {
		return *u.Capacity
	}
	return home.Capacity.Value
}

// loads counts what takes up room of agents: contacts with an open conversation, and offers that last.
func (j *job) loads(ctx context.Context, ids []int64) (map[int64]int, error) {
	loads := map[int64]int{}
	if len(ids) == 0 {
		return loads, nil
	}
	trusted := authz.Trusted(ctx)
	var served []struct {
		ID int64 `sql:"assigned_user_id"`
		N  int   `sql:"n"`
	}
	err := j.tx.Contact.Query().Where(contact.AssignedUserIDIn(ids...), contact.Box(int(tree.BoxOf(tree.Open, true)))).
		GroupBy(contact.FieldAssignedUserID).Aggregate(ent.As(ent.Count(), "n")).Scan(trusted, &served)
	if err != nil {
		return nil, fmt.Errorf("desk: counting what agents serve: %w", err)
	}
	for _, s := range served {
		loads[s.ID] = s.N
	}
	offered, err := j.tx.Contact.Query().Where(contact.OfferedToIDIn(ids...), contact.OfferEndsAtGT(j.now)).Select(contact.FieldOfferedToID).Ints(trusted)
	if err != nil {
		return nil, fmt.Errorf("desk: counting what agents are asked for: %w", err)
	}
	for _, id := range offered {
		loads[int64(id)]++
	}
	return loads, nil
}

// judge says why the agent gets nothing now, "" when they could.
func (l *line) judge(c *candidate, now time.Time) string {
	if c.Status != user.StatusACTIVE || c.HomeGroupID != l.group {
		return notServing
	}
	switch state := StateOf(c.User, Busy{Load: c.load, Covered: c.covered}, l.capacity(c), now); state {
	case StateAvailable:
		return ""
	case StateAway:
		return unavailable
	default: // outcomes have the names of the other states
		return string(state)
	}
}

// holdCandidates keeps agents of the line from leaving, moving, being covered and getting another contact until the
// transaction ends, one after the other. To be called before they are given anything.
func (j *job) holdCandidates(ctx context.Context, l *line, agents ...*candidate) error {
	var waitedFor []*candidate
	for _, c := range agents {
		if c.held {
			continue
		}
		u, err := j.holdReceiver(ctx, c.ID)
		if err != nil {
			return err
		}
		if u != nil {
			c.User = u
		}
		c.held = true
		waitedFor = append(waitedFor, c)
	}
	return j.markBusy(ctx, l, waitedFor) // they may have got something meanwhile, by a cover, too
}

// next returns whose turn it is for a contact, nil for nobody, and what became of whom. It does not go back to the user from
// whom it came, 0 for none, or to those who were asked.
func (j *job) next(ctx context.Context, l *line, from int64, before []int64) (*candidate, []considered, error) {
	var found *candidate
	var list []considered
	for _, c := range l.agents {
		outcome := l.judge(c, j.now)
		switch {
		case c.ID == from:
			outcome = servedBefore
		case slices.Contains(before, c.ID):
			outcome = asked
		case outcome != "":
		case found != nil:
			outcome = leftOut
		default:
			if err := j.holdCandidates(ctx, l, c); err != nil {
				return nil, nil, err
			}
			if outcome = l.judge(c, j.now); outcome == "" {
				found, outcome = c, chosen
			}
		}
		if len(list) < maxConsidered {
			list = append(list, considered{c.ID, outcome})
		}
	}
	return found, list, nil
}

// took notes that the agent has got something: they are the last in line now.
func (j *job) took(ctx context.Context, l *line, c *candidate, loads bool) error {
	turn, err := j.takesTurn(ctx, c.ID)
	if err != nil {
		return err
	}
	c.Turn = turn
	if loads {
		c.load++
	}
	l.sort()
	return nil
}

// takesTurn puts a user, who is held, at the end of the line of their group, and returns their place. It is the moment,
// but never before anybody else's: a clock may stand still, and go backwards.
func (j *job) takesTurn(ctx context.Context, userID int64) (int64, error) {
	trusted := authz.Trusted(ctx)
	u, err := j.tx.User.Get(trusted, userID)
	if err != nil {
		return 0, err
	}
	last, err := j.tx.User.Query().Where(user.HomeGroupID(u.HomeGroupID)).Order(user.ByTurn(sql.OrderDesc())).Limit(1).Select(user.FieldTurn).Int(trusted)
	if err != nil {
		return 0, fmt.Errorf("desk: finding the end of the line of group %d: %w", u.HomeGroupID, err)
	}
	turn := max(j.now.UnixMicro(), int64(last)+1)
	return turn, u.Update().SetTurn(turn).Exec(trusted)
}

// prepared is who takes a contact when it comes to a group, decided before the contact is locked.
type prepared struct {
	line       *line      // nil: nobody was looked for
	agent      *candidate // nil: nobody
	considered []considered
	back       int64 // the agent to whom a contact goes back that they served before; 0: none
}

// prepare decides who takes a contact that comes to the group, other than the user from whom it comes, 0 for none. The contact
// is nil for one that does not return. The answer is nil where it is going to wait.
func (j *job) prepare(ctx context.Context, groupID int64, returning *ent.Contact, from int64) (*prepared, error) {
	s, err := j.settingsNow(ctx, groupID)
	if err != nil {
		return nil, err
	}
	if returning != nil && returning.AssignedUserID != nil && s.ReassignAfter.SetBy == 0 {
		// Where nobody has said for how long, a contact stays with its agent as long as they serve.
		if serves, err := j.serves(ctx, *returning.AssignedUserID); err != nil || serves {
			return &prepared{back: *returning.AssignedUserID}, err
		}
	}
	back, err := j.servedBefore(ctx, s, returning)
	if err != nil {
		return nil, err
	}
	if s.AssignmentMode.Value == group.AssignmentModeMANUAL && back == 0 {
		return nil, nil
	}
	p := &prepared{}
	if p.line, err = j.line(ctx, groupID, s); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(p.line.agents, func(c *candidate) bool { return c.ID == back }); i >= 0 {
		c := p.line.agents[i]
		if err := j.holdCandidates(ctx, p.line, c); err != nil {
			return nil, err
		}
		if outcome := p.line.judge(c, j.now); outcome == "" || outcome == covered { // then it goes to whoever covers them
			p.back = back
			return p, nil
		}
	}
	if s.AssignmentMode.Value != group.AssignmentModeMANUAL {
		p.agent, p.considered, err = j.next(ctx, p.line, from, nil)
	}
	return p, err
}

// servedBefore is the agent of a contact whose last conversation ended so short a time ago that it goes back to them.
func (j *job) servedBefore(ctx context.Context, s tree.Settings, returning *ent.Contact) (int64, error) {
	within, set := period(s.ReassignAfter)
	if !set || returning == nil || returning.AssignedUserID == nil {
		return 0, nil
	}
	last, err := j.tx.Conversation.Query().Where(conversation.ContactID(returning.ID), conversation.ClosedAtNotNil()).
		Order(conversation.ByClosedAt(sql.OrderDesc())).First(authz.Trusted(ctx))
	if ent.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("desk: loading the last conversation of contact %d: %w", returning.ID, err)
	}
	if last.ClosedAt.Add(within).Before(j.now) {
		return 0, nil
	}
	return *returning.AssignedUserID, nil
}

// gives is the agent to whom the method gives a contact that comes to the group, nil when it is offered or waits.
func (p *prepared) gives(groupID int64) *candidate {
	if p == nil || p.line == nil || p.line.group != groupID || p.line.settings.AssignmentMode.Value != group.AssignmentModeROUND_ROBIN {
		return nil
	}
	return p.agent
}

// looked says whether the method of the group has looked for somebody.
func (p *prepared) looked(groupID int64) bool {
	return p != nil && p.back == 0 && p.line != nil && p.line.group == groupID && p.line.settings.AssignmentMode.Value != group.AssignmentModeMANUAL
}

// nobody is how a contact comes to wait for which somebody was looked for in vain.
func (p *prepared) nobody() how {
	return how{considered: p.considered, explanation: "Nobody could take it: it waits in the queue."}
}

// fallBack lets nobody serve the contact any more who does: it goes to whom the method gives it, is on offer, or waits. Nobody
// is asked for one whose conversation is closed.
// What was prepared for another group is of no use. It returns where the contact stands then,
// and what the history is to be told of it, if anything.
func (j *job) fallBack(ctx context.Context, h *held, to stand, p *prepared) (stand, told, error) {
	to = to.waitingAnew(j.now, h.agent() != 0 || h.state() == tree.Closed && to.state == tree.Open)
	if c := p.gives(to.group); c != nil {
		return j.giveByTurn(ctx, h, to, p.line, c, p.considered)
	}
	if err := j.unassign(ctx, h); err != nil || !p.looked(to.group) {
		return to, told{}, err
	}
	queued := told{kind: historyentry.KindQUEUED, group: to.group, how: p.nobody()}
	if to.state == tree.Closed && p.line.settings.AssignmentMode.Value == group.AssignmentModeRADAR {
		queued.how = how{explanation: "Its conversation is closed, so nobody is asked: it waits in the queue."}
		return to, queued, nil
	}
	if p.agent == nil {
		return to, queued, nil
	}
	return j.offer(ctx, h, to, p.line, p.agent, p.considered)
}

// waitingAnew is where a contact stands that waits from now on, or else goes on waiting as before.
func (s stand) waitingAnew(now time.Time, anew bool) stand {
	if anew || s.waiting.IsZero() {
		s = s.waitingFrom(now)
	}
	s.agent, s.offeredTo, s.offerEnds, s.passedOnFrom, s.asked, s.escalatedTo = 0, 0, time.Time{}, 0, nil, 0
	return s
}

// giveByTurn assigns the contact to the agent whose turn it is.
func (j *job) giveByTurn(ctx context.Context, h *held, to stand, l *line, c *candidate, list []considered) (stand, told, error) {
	by := how{method: contactassignment.MethodROUND_ROBIN, considered: list,
		explanation: "It was the agent's turn: of those who could take it, nobody had waited longer for a new contact."}
	a, err := j.assign(ctx, h, c.ID, by)
	if err != nil {
		return stand{}, told{}, err
	}
	to.agent = c.ID
	if err := j.took(ctx, l, c, to.state == tree.Open); err != nil {
		return stand{}, told{}, err
	}
	news := told{kind: historyentry.KindDISTRIBUTED, how: by, agent: c.ID, group: to.group, assignment: a}
	return to, news, j.recordMethod(ctx, "CONTACT_DISTRIBUTED", h, to, c.ID)
}

// tellIf is tell, when there is something to tell.
func (j *job) tellIf(ctx context.Context, h *held, news told) error {
	if news.kind == "" {
		return nil
	}
	return j.tell(ctx, h, news)
}

// recordMethod writes what a method did: nobody is its author.
func (j *job) recordMethod(ctx context.Context, action string, h *held, to stand, agent int64) error {
	e := j.event(action, relay.KindContact, h.ID,
		audit.Fields{"agent": ref(relay.KindAgent, h.agent()), "group": ref(relay.KindGroup, h.GroupID)},
		audit.Fields{"agent": ref(relay.KindAgent, agent), "group": ref(relay.KindGroup, to.group)}, "")
	e.AccountID = j.viewer.AccountID
	return audit.Record(ctx, j.tx, e)
}

// How much of a queue one transaction looks at, and gives out.
const (
	maxLooked = 500
	maxGiven  = 50
)

// distribute gives out what waits in a group, oldest first, to its agents who have room.
func distribute(ctx context.Context, j *job, groupID int64) error {
	there, err := j.tx.Group.Query().Where(group.ID(groupID), group.AccountID(j.viewer.AccountID)).Exist(ctx)
	if err != nil || !there {
		return err
	}
	s, err := j.settingsNow(ctx, groupID)
	if err != nil || s.AssignmentMode.Value == group.AssignmentModeMANUAL {
		return err
	}
	l, err := j.line(ctx, groupID, s)
	if err != nil || !slices.ContainsFunc(l.agents, func(c *candidate) bool { return l.judge(c, j.now) == "" }) {
		return err
	}
	waiting, err := j.waitingIn(ctx, groupID)
	if err != nil || len(waiting) == 0 {
		return err
	}
	if err := j.holdLine(ctx, l); err != nil {
		return err
	}
	return j.giveOut(ctx, l, waiting)
}

// waitingIn returns what waits in a group and is not on offer, oldest first.
func (j *job) waitingIn(ctx context.Context, groupID int64) (waiting []*ent.Contact, err error) {
	for _, state := range []tree.State{tree.None, tree.Open} {
		part, err := j.tx.Contact.Query().Where(contact.AccountID(j.viewer.AccountID), contact.GroupID(groupID),
			contact.Box(int(tree.BoxOf(state, false))), contact.Or(contact.OfferEndsAtIsNil(), contact.OfferEndsAtLTE(j.now))).
			Order(contact.BySortKey(), contact.ByID()).Limit(maxLooked).All(authz.Trusted(ctx))
		if err != nil {
			return nil, fmt.Errorf("desk: finding what waits in group %d: %w", groupID, err)
		}
		waiting = append(waiting, part...)
	}
	slices.SortFunc(waiting, func(a, b *ent.Contact) int { return cmp.Or(cmp.Compare(a.SortKey, b.SortKey), cmp.Compare(a.ID, b.ID)) })
	return waiting, nil
}

// isGone says that something was not found which was there a moment ago.
func isGone(err error) bool { return errors.Is(err, &refusal.Refusal{Code: refusal.NotFoundCode}) }

// holdLine holds those of the line who could take something, in the order of their ids.
func (j *job) holdLine(ctx context.Context, l *line) error {
	agents := slices.DeleteFunc(slices.Clone(l.agents), func(c *candidate) bool { return l.judge(c, j.now) != "" })
	slices.SortFunc(agents, func(a, b *candidate) int { return cmp.Compare(a.ID, b.ID) })
	return j.holdCandidates(ctx, l, agents...)
}

// giveOut gives contacts that wait to the line, whose agents are held. All of the contacts are held before one is changed.
func (j *job) giveOut(ctx context.Context, l *line, waiting []*ent.Contact) error {
	if len(waiting) > maxGiven {
		waiting = waiting[:maxGiven]
		j.schedule(timers.Distribute, l.group, j.now)
	}
	ids := make([]int64, len(waiting))
	for i, c := range waiting {
		ids[i] = c.ID
	}
	found, err := j.holdAll(ctx, ids, l.group)
	if isGone(err) { // a group was deleted meanwhile: look again
		j.schedule(timers.Distribute, l.group, j.now)
		return nil
	}
	if err != nil {
		return err
	}
	contacts := make([]*held, 0, len(found))
	for _, h := range found {
		if h.GroupID == l.group && h.agent() == 0 && h.state() != tree.Closed && h.offered(j.now) == 0 {
			contacts = append(contacts, h)
		}
	}
	slices.SortFunc(contacts, func(a, b *held) int { return cmp.Or(cmp.Compare(a.SortKey, b.SortKey), cmp.Compare(a.ID, b.ID)) })
	for _, h := range contacts {
		if err := j.giveOutOne(ctx, l, h); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) giveOutOne(ctx context.Context, l *line, h *held) error {
	c, list, err := j.next(ctx, l, h.stand().passedOnFrom, h.Asked)
	if err != nil || c == nil {
		return err
	}
	var talk talk
	var news told
	to := h.stand()
	if l.settings.AssignmentMode.Value == group.AssignmentModeRADAR {
		to, news, err = j.offer(ctx, h, to, l, c, list)
	} else {
		if talk, err = j.passOn(ctx, h, c.ID, conversation.CloseReasonTRANSFERRED); err != nil {
			return err
		}
		to, news, err = j.giveByTurn(ctx, h, to, l, c, list)
	}
	if err != nil {
		return err
	}
	news.talk = talk
	if err := j.tell(ctx, h, news); err != nil {
		return err
	}
	return j.settle(ctx, h, to)
}
