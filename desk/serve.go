package desk

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/historyentry"
	"canopy/tree"
)

// The steps from which the use-cases are made that change who serves a contact. Assignments and conversations of a
// contact that the viewer was allowed to change are written whether or not the viewer sees them, hence Trusted.

// how says how an assignment comes about. The explanation is shown to whoever sees the contact, so it names nobody.
type how struct {
	method      contactassignment.Method
	explanation string
	reason      string       // that somebody gave; an assignment shows it in the place of the explanation
	considered  []considered // in order; nil when somebody chose by hand
	cover       int64        // by which it is passed on or brought back, or 0
}

// considered is what became of somebody who was looked at for a contact.
type considered struct {
	userID  int64
	outcome string
}

// The outcomes.
const (
	chosen       = "CHOSEN"
	asked        = "ASKED" // an offer was made
	servedBefore = "SERVED_BEFORE"
	unavailable  = "UNAVAILABLE"
	paused       = "PAUSED"
	full         = "FULL"
	outsideHours = "OUTSIDE_HOURS"
	covered      = "COVERED"
	notServing   = "NOT_SERVING"
	leftOut      = "LEFT_OUT" // somebody waited longer
)

// give makes the agent serve the contact, which moves to the agent's home group.
func (j *job) give(ctx context.Context, h *held, agent *ent.User, by how) (*ent.ContactAssignment, error) {
	to := h.stand()
	to.group, to.agent = agent.HomeGroupID, agent.ID
	talk, err := j.passOn(ctx, h, agent.ID, by.closing())
	if err != nil {
		return nil, err
	}
	if talk.ended != 0 {
		to.activity = j.now
	}
	a, err := j.assign(ctx, h, agent.ID, by)
	if err != nil {
		return nil, err
	}
	err = j.tell(ctx, h, told{kind: kinds[by.method], how: by, agent: agent.ID, group: to.group, talk: talk, assignment: a})
	if err != nil {
		return nil, err
	}
	return a, j.settle(ctx, h, to)
}

// release lets the contact fall back to the group, whose method decides. What was waiting before has waited since then.
func (j *job) release(ctx context.Context, h *held, groupID int64, p *prepared, by how) error {
	if p != nil && p.agent != nil && p.agent.ID == h.agent() { // it came to them after they were chosen
		return errOvertaken
	}
	to, next := h.stand(), int64(0)
	to.group = groupID
	if c := p.gives(groupID); c != nil {
		next = c.ID
	}
	talk, err := j.passOn(ctx, h, next, by.closing())
	if err != nil {
		return err
	}
	if talk.ended != 0 {
		to.activity = j.now
	}
	to, news, err := j.fallBack(ctx, h, to, p)
	if err != nil {
		return err
	}
	if from := h.agent(); from != 0 && to.agent == 0 {
		to.passedOnFrom = from
	}
	if err := j.tell(ctx, h, told{kind: kinds[by.method], how: by, group: groupID, talk: talk}); err != nil {
		return err
	}
	news.talk.open = talk.open
	if err := j.tellIf(ctx, h, news); err != nil {
		return err
	}
	return j.settle(ctx, h, to)
}

// passOn makes the open conversation, if there is one, that of the agent, 0 for nobody: a conversation that waits is
// continued, one that had an agent is closed for the reason and the next one opened (ruling 8), as urgent as it was and
// with its subject and tags. It says which is open, and which ended.
func (j *job) passOn(ctx context.Context, h *held, agent int64, why conversation.CloseReason) (talk, error) {
	if h.state() != tree.Open {
		return talk{}, nil
	}
	open, err := j.openOf(ctx, h)
	if err != nil {
		return talk{}, err
	}
	if h.agent() == 0 {
		if agent == 0 {
			return talk{open: open.ID}, nil
		}
		return talk{open: open.ID}, j.tx.Conversation.Update().Where(conversation.ID(open.ID), conversation.AccountID(h.AccountID)).
			SetAgentID(agent).Exec(authz.Trusted(ctx))
	}
	if err := j.end(ctx, open, &why, ""); err != nil {
		return talk{}, err
	}
	next, err := j.begin(ctx, h, agent, j.viewer.UserID, open.Subject)
	if err != nil {
		return talk{}, err
	}
	return talk{open: next.ID, ended: open.ID}, j.inherit(ctx, open, next)
}

// closing is why a conversation is closed when its contact is passed on in this way.
func (h how) closing() conversation.CloseReason {
	if h.method == contactassignment.MethodHANDED_OVER {
		return conversation.CloseReasonHANDED_OVER
	}
	return conversation.CloseReasonTRANSFERRED
}

// inherit gives the conversation that continues another one its priority and its tags. Snoozing was the choice of the
// agent who has it no more.
func (j *job) inherit(ctx context.Context, from, to *ent.Conversation) error {
	trusted := authz.Trusted(ctx)
	if from.Priority != to.Priority {
		if err := to.Update().SetPriority(from.Priority).Exec(trusted); err != nil {
			return err
		}
	}
	had, err := j.tagsOf(trusted, from.ID)
	if err != nil || len(had) == 0 {
		return err
	}
	tags, err := j.holdTags(trusted, had)
	if err != nil {
		return err
	}
	return j.attach(trusted, to, tags)
}

// openOf returns the open conversation of a contact that has one.
func (j *job) openOf(ctx context.Context, h *held) (*ent.Conversation, error) {
	c, err := j.tx.Conversation.Query().Where(conversation.ContactID(h.ID), conversation.ClosedAtIsNil()).Only(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("desk: loading the open conversation of contact %d: %w", h.ID, err)
	}
	return c, nil
}

// end closes a conversation, for a reason or for none.
func (j *job) end(ctx context.Context, c *ent.Conversation, why *conversation.CloseReason, note string) error {
	err := j.tx.Conversation.Update().Where(conversation.ID(c.ID), conversation.AccountID(c.AccountID)).
		SetClosedAt(j.now).SetNillableClosedByID(j.author()).SetNillableCloseReason(why).SetCloseNote(note).ClearSnoozedUntil().
		Exec(authz.Trusted(ctx))
	if err != nil {
		return err
	}
	if err := j.unmark(ctx, c.ID); err != nil {
		return err
	}
	return j.publishConversation(ctx, c)
}

// begin inserts the next conversation of the contact. The agent is 0 while it waits, the opener 0 when the contact
// itself wrote.
func (j *job) begin(ctx context.Context, h *held, agent, opener int64, subject string) (*ent.Conversation, error) {
	number, err := j.number(ctx)
	if err != nil {
		return nil, err
	}
	create := j.tx.Conversation.Create().SetAccountID(h.AccountID).SetContactID(h.ID).SetNumber(number).
		SetSubject(subject).SetOpenedAt(j.now)
	if agent != 0 {
		create.SetAgentID(agent)
	}
	if opener != 0 {
		create.SetOpenedByID(opener)
	}
	c, err := create.Save(authz.Trusted(ctx))
	if err != nil {
		return nil, err
	}
	return c, j.publishConversation(ctx, c)
}

// number takes the next conversation number of the account. Others wait for it until this transaction ends, so that
// no number is lost.
func (j *job) number(ctx context.Context) (int64, error) {
	err := j.reserveNumber(ctx)
	number := j.reserved
	j.reserved = 0
	return number, err
}

// reserveNumber takes the next number ahead. To be called before a contact is inserted with which a conversation begins:
// whoever holds counters and then waits for a number meets somebody who does it the other way round.
func (j *job) reserveNumber(ctx context.Context) (err error) {
	if j.reserved != 0 {
		return nil
	}
	rows, err := j.tx.QueryContext(ctx, `UPDATE accounts SET next_conversation_number = next_conversation_number + 1
		WHERE id = $1 RETURNING next_conversation_number - 1`, j.viewer.AccountID)
	if err != nil {
		return fmt.Errorf("desk: taking a conversation number: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return errors.Join(sql.ErrNoRows, rows.Err())
	}
	if err := rows.Scan(&j.reserved); err != nil {
		return err
	}
	for rows.Next() { // to the end: SQLite completes the statement there
		continue
	}
	return rows.Err()
}

// assign ends the present assignment and begins the next one.
func (j *job) assign(ctx context.Context, h *held, userID int64, by how) (*ent.ContactAssignment, error) {
	if err := j.unassign(ctx, h); err != nil {
		return nil, err
	}
	create := j.assignment(h.ID, userID, by)
	if h.agent() == 0 && !h.arriving { // who arrives with an agent has been in nobody's queue
		create.SetTakenFromGroupID(h.GroupID).SetNillableEscalatedToID(h.EscalatedToID)
		if to := h.offered(j.now); to != 0 {
			create.SetOfferedToID(to)
		}
	}
	a, err := create.Save(authz.Trusted(ctx))
	if err != nil || by.method == contactassignment.MethodROUND_ROBIN {
		return a, err
	}
	_, err = j.takesTurn(ctx, userID)
	return a, err
}

func (j *job) assignment(contactID, userID int64, by how) *ent.ContactAssignmentCreate {
	create := j.tx.ContactAssignment.Create().SetAccountID(j.viewer.AccountID).SetContactID(contactID).SetUserID(userID).
		SetMethod(by.method).SetExplanation(cmp.Or(by.reason, by.explanation)).SetStartedAt(j.now)
	if by.method != contactassignment.MethodROUND_ROBIN {
		create.SetNillableAssignedByID(j.author())
	}
	return create
}

// unassign ends the present assignment, if there is one.
func (j *job) unassign(ctx context.Context, h *held) error {
	if h.agent() == 0 {
		return nil
	}
	return j.tx.ContactAssignment.Update().Where(contactassignment.ContactID(h.ID), contactassignment.EndedAtIsNil()).
		SetEndedAt(j.now).Exec(authz.Trusted(ctx))
}

// open opens a conversation on a contact that has none open. When a user does, it goes to whoever serves the contact, as
// long as they do serve; else to the opener, if they serve. When the contact itself wrote (the opener is nil) it goes
// back to whoever serves it, if that was prepared. Instead of somebody who is covered it goes to whoever covers them,
// unless they open it themselves. In all other cases the method of its group decides.
func (j *job) open(ctx context.Context, h *held, opener *ent.User, subject string, p *prepared) (*ent.Conversation, error) {
	to, news, given, err := j.opening(ctx, h, opener, p)
	if err != nil {
		return nil, err
	}
	openedBy := int64(0)
	if opener != nil {
		openedBy = opener.ID
	}
	c, err := j.begin(ctx, h, to.agent, openedBy, subject)
	if err != nil {
		return nil, err
	}
	if given.kind == historyentry.KindQUEUED { // why it waits is said of the beginning
		news.how, given = given.how, told{}
		news.how.explanation = "A conversation began. " + news.how.explanation
	}
	news.talk, given.talk = talk{open: c.ID}, talk{open: c.ID}
	if err := j.tell(ctx, h, news); err != nil {
		return nil, err
	}
	if err := j.tellIf(ctx, h, given); err != nil {
		return nil, err
	}
	return c, j.settle(ctx, h, to)
}

// opening gives a contact to whom it goes when a conversation with it is opened. It returns where it stands then, what the
// history is to be told of the beginning, and what of the cover or the group's method, if one of them decided.
func (j *job) opening(ctx context.Context, h *held, opener *ent.User, p *prepared) (to stand, news, given told, err error) {
	to = h.stand()
	to.state, to.activity = tree.Open, j.now
	news = told{kind: historyentry.KindOPENED, agent: h.agent(), group: to.group}
	stays, err := j.staysWithAgent(ctx, h, opener, p)
	if err != nil {
		return to, news, given, err
	}
	var covering *ent.User
	var covered *ent.Cover
	if stays && (opener == nil || opener.ID != h.agent()) {
		if covering, covered, err = j.standIn(ctx, h.agent()); err != nil {
			return to, news, given, err
		}
		stays = covered == nil
	}
	switch {
	case stays:
		news.how = how{explanation: "A conversation began, and went to the agent who serves the contact already."}
	case covering != nil:
		to.group, to.agent = covering.HomeGroupID, covering.ID
		news.how = how{explanation: "A conversation began with a contact whose agent is covered for a time."}
		given = told{kind: historyentry.KindCOVERED, agent: to.agent, group: to.group, how: how{method: contactassignment.MethodCOVERED, cover: covered.ID,
			explanation: "The contact came back to an agent who is covered for a time: whoever covers them serves it."}}
		given.assignment, err = j.assign(ctx, h, covering.ID, given.how)
	case opener != nil && j.viewer.Permissions().Has(authz.ConversationsReply):
		to.group, to.agent = opener.HomeGroupID, opener.ID
		news.group, news.agent = to.group, to.agent
		news.how = how{method: contactassignment.MethodOPENED, explanation: "The agent opened a conversation with the contact, which nobody served."}
		news.assignment, err = j.assign(ctx, h, opener.ID, news.how)
	default:
		if to, given, err = j.fallBack(ctx, h, to, p); err != nil {
			return to, news, given, err
		}
		news.agent, news.how = 0, how{explanation: "A conversation began, and nobody serves the contact: it waits in its group."}
		switch {
		case given.kind != "":
			news.how.explanation = "A conversation began, and the method of the contact's group decides to whom it goes."
		case covered != nil:
			news.how.explanation = "A conversation began. The agent of the contact is covered, and whoever covers them can take nothing now: it waits in its group."
		}
	}
	return to, news, given, err
}

// staysWithAgent says whether the contact has an agent who goes on serving it.
func (j *job) staysWithAgent(ctx context.Context, h *held, opener *ent.User, p *prepared) (bool, error) {
	switch {
	case h.agent() == 0:
		return false, nil
	case opener == nil:
		return p != nil && p.back == h.agent(), nil
	}
	return j.serves(ctx, h.agent())
}
