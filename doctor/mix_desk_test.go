package doctor_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"

	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/cover"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/internal/optional"
	"canopy/store"
	"canopy/tree"
)

// The part of the mix that distributes: methods, offers, escalation, covers, timers, and many things at once.

// processes is how many run what is due.
const processes = 3

// hurry is how much faster time goes by for the services: offers end and contacts escalate while the mix lasts.
const hurry = 1000

// hurried is a clock that starts at the moment.
func hurried() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(time.Since(start) * hurry) }
}

// runDue is a process that serves: it runs what is due, as others do at the same time.
func (m *mix) runDue(stop <-chan struct{}) {
	process := &desk.Service{DB: m.db, Now: m.desk.Now}
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
			n, err := process.RunDue(context.Background())
			if err != nil {
				m.t.Errorf("running what is due: %v", err)
			}
			m.ran.Add(int64(n))
		}
	}
}

func (m *mix) chooseMethod(r *rand.Rand) error {
	at, err := m.someGroup(r)
	if err != nil {
		return err
	}
	modes := []group.AssignmentMode{group.AssignmentModeMANUAL, group.AssignmentModeROUND_ROBIN, group.AssignmentModeROUND_ROBIN,
		group.AssignmentModeRADAR, group.AssignmentModeRADAR}
	in := directory.UpdateGroupSettings{GroupID: at, AssignmentMode: optional.To(modes[r.IntN(len(modes))]), RadarWindow: optional.To(5 + r.IntN(3000))}
	if r.IntN(2) == 0 {
		in.Capacity = optional.To(1 + r.IntN(5))
	}
	for _, after := range []*optional.Value[int]{&in.EscalateAfter, &in.CloseAfter, &in.ReassignAfter} {
		switch r.IntN(3) {
		case 0:
			*after = optional.To(60 + r.IntN(1000))
		case 1:
			*after = optional.To(tree.Never)
		}
	}
	_, err = m.dir.UpdateGroupSettings(m.as(m.owner), in)
	return err
}

// comeAndGo makes an agent available, or away, or pauses or resumes them.
func (m *mix) comeAndGo(r *rand.Rand) error {
	in := directory.UpdateAgentSettings{AgentID: m.agents[r.IntN(len(m.agents))]}
	paused, present := false, user.AvailabilityAVAILABLE
	switch r.IntN(6) {
	case 0:
		present = user.AvailabilityAWAY
	case 1:
		paused = true
	case 2:
		in.Capacity = optional.To(1 + r.IntN(6))
	}
	in.Availability, in.AccessPaused = &present, &paused
	_, err := m.dir.UpdateAgentSettings(m.as(m.owner), in)
	return err
}

// someOffer is a contact that was on offer a moment ago, and a request of whom it was for.
func (m *mix) someOffer(r *rand.Rand) (context.Context, *ent.Contact, error) {
	list, err := m.db.Read.Contact.Query().Where(contact.AccountID(m.account), contact.OfferedToIDNotNil()).Limit(200).All(trusted())
	if err != nil {
		return nil, nil, err
	}
	c, err := pick(r, list)
	if err != nil {
		return nil, nil, err
	}
	ctx, err := m.by(*c.OfferedToID)
	return ctx, c, err
}

func (m *mix) decline(r *rand.Rand) error {
	ctx, c, err := m.someOffer(r)
	if err != nil {
		return err
	}
	return m.desk.DeclineOffer(ctx, desk.DeclineOffer{ContactID: c.ID})
}

func (m *mix) accept(r *rand.Rand) error {
	ctx, c, err := m.someOffer(r)
	if err != nil {
		return err
	}
	_, err = m.desk.ClaimContact(ctx, desk.ClaimContact{ContactID: c.ID})
	return err
}

// answerOffer accepts an offer by answering it.
func (m *mix) answerOffer(r *rand.Rand) error {
	ctx, c, err := m.someOffer(r)
	if err != nil {
		return err
	}
	open, err := m.db.Read.Conversation.Query().Where(conversation.ContactID(c.ID), conversation.ClosedAtIsNil()).FirstID(trusted())
	if ent.IsNotFound(err) {
		return errNone
	}
	if err != nil {
		return err
	}
	_, err = m.desk.SendMessage(ctx, desk.SendMessage{ConversationID: open, Text: "I am here"})
	return err
}

func (m *mix) startCover(r *rand.Rand) error {
	in := desk.StartCover{AgentID: m.agents[r.IntN(len(m.agents))], ToAgentID: m.agents[r.IntN(len(m.agents))],
		Until: m.desk.Now().Add(time.Duration(1+r.IntN(600)) * time.Second)}
	_, err := m.desk.StartCover(m.as(m.owner), in)
	return err
}

func (m *mix) endCover(r *rand.Rand) error {
	covered, err := m.db.Read.Cover.Query().Where(cover.AccountID(m.account), cover.EndedAtIsNil()).All(trusted())
	if err != nil {
		return err
	}
	c, err := pick(r, covered)
	if err != nil {
		return err
	}
	_, err = m.desk.EndCover(m.as(m.owner), desk.EndCover{AgentID: c.UserID})
	return err
}

// someContacts are a few of them, whatever their box.
func (m *mix) someContacts(r *rand.Rand) ([]int64, error) {
	ids, err := m.db.Read.Contact.Query().Where(contact.AccountID(m.account)).IDs(trusted())
	if err != nil {
		return nil, err
	}
	r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	if len(ids) == 0 {
		return nil, errNone
	}
	return ids[:min(len(ids), 2+r.IntN(6))], nil
}

func (m *mix) assignMany(r *rand.Rand) error {
	ids, err := m.someContacts(r)
	if err != nil {
		return err
	}
	in := desk.AssignContacts{ContactIDs: ids, AgentID: &m.agents[r.IntN(len(m.agents))]}
	done, err := m.desk.AssignContacts(m.as(m.owner), in)
	return m.tellMany("CONTACT_ASSIGNED", done, err)
}

func (m *mix) transferMany(r *rand.Rand) error {
	ids, err := m.someContacts(r)
	if err != nil {
		return err
	}
	to, err := m.someGroup(r)
	if err != nil {
		return err
	}
	done, err := m.desk.TransferContacts(m.as(m.owner), desk.TransferContacts{ContactIDs: ids, GroupID: &to})
	return m.tellMany("CONTACT_TRANSFERRED", done, err)
}

// tellMany counts those that were not refused.
func (m *mix) tellMany(event string, done []desk.PassedContact, err error) error {
	n := 0
	for _, d := range done {
		if d.Refused == nil {
			n++
		}
	}
	return m.tellN(event, n, err)
}

func (m *mix) tellN(event string, n int, err error) error {
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told[event] += n
	if n == 0 {
		return errNone
	}
	return nil
}

func (m *mix) closeMany(r *rand.Rand) error {
	ids, err := m.db.Read.Conversation.Query().Where(conversation.AccountID(m.account), conversation.ClosedAtIsNil()).Limit(50).IDs(trusted())
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return errNone
	}
	r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	done, err := m.desk.CloseConversations(m.as(m.owner), desk.CloseConversations{ConversationIDs: ids[:min(len(ids), 1+r.IntN(3))]})
	n := 0
	for _, d := range done {
		if d.Refused == nil {
			n++
		}
	}
	return m.tellN("CONVERSATION_CLOSED", n, err)
}

// unread marks a conversation as unread, or as read.
func (m *mix) unread(r *rand.Rand) error {
	c, err := m.someConversation(r)
	if err != nil {
		return err
	}
	ctx, err := m.by(*c.AgentID)
	if err != nil {
		return err
	}
	if r.IntN(2) == 0 {
		_, err = m.desk.MarkUnread(ctx, desk.MarkUnread{ConversationID: c.ID})
	} else {
		_, err = m.desk.MarkRead(ctx, desk.MarkRead{ConversationID: c.ID})
	}
	return err
}

// happenedOnce compares what only Canopy does with what is left of it: every cover that began has ended once or lasts, and
// no timer has failed or waits for its turn.
func (m *mix) happenedOnce() {
	for {
		n, err := m.desk.RunDue(context.Background())
		m.must(err)
		m.ran.Add(int64(n))
		if n == 0 {
			break
		}
	}
	m.t.Logf("%d timers were run; %d contacts were distributed, %d offered, %d escalated", m.ran.Load(),
		m.recorded("CONTACT_DISTRIBUTED"), m.recorded("CONTACT_OFFERED"), m.recorded("CONTACT_ESCALATED"))
	lasting, err := m.db.Read.Cover.Query().Where(cover.AccountID(m.account), cover.EndedAtIsNil()).Count(trusted())
	m.must(err)
	if started, ended := m.recorded("COVER_STARTED"), m.recorded("COVER_ENDED"); started != ended+lasting {
		m.t.Errorf("%d covers began, %d ended and %d last", started, ended, lasting)
	}
	failed := 0
	m.must(store.EachRow(context.Background(), m.db.Read, "SELECT COUNT(*) FROM timers WHERE failures > 0", nil,
		func(rows *sql.Rows) error { return rows.Scan(&failed) }))
	if failed > 0 {
		m.t.Errorf("%d timers have failed", failed)
	}
	if m.recorded("CONTACT_DISTRIBUTED") == 0 || m.recorded("CONTACT_OFFERED") == 0 {
		m.t.Error("no method gave anything to anybody")
	}
}

// recorded counts the audit events of the action.
func (m *mix) recorded(action string) int {
	n, err := m.db.Read.AuditEvent.Query().Where(auditevent.AccountID(m.account), auditevent.Action(action)).Count(trusted())
	m.must(err)
	return n
}

// compareTold compares what is recorded of an action of users with how many were told that they did it. Who answers a contact
// that is on offer to them claims it, and is told of the answer only.
func (m *mix) compareTold(action string) {
	recorded, err := m.db.Read.AuditEvent.Query().Where(auditevent.AccountID(m.account), auditevent.Action(action), auditevent.UserIDNotNil()).Count(trusted())
	m.must(err)
	least := m.told[action] + m.before(action)
	most := least
	if action == "CONTACT_CLAIMED" {
		most += m.told["MESSAGE_SENT"]
	}
	if recorded < least || recorded > most {
		m.t.Errorf("%d are recorded as %s, %d were told that they did it", recorded, action, least)
	}
}
