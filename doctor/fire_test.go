package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/message"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
)

const claimers = 16

// fire is one queue and all who reach for it at the same time:
//
//	root     MANUAL; the owner
//	├ east
//	│ └ hall     where contacts arrive
//	│   ├ floor 1 … 4   four agents each
//	└ west
type fire struct {
	*mix
	hall     int64
	sides    []int64    // where the hall is moved to and fro
	arriving sync.Mutex // one at a time; guards senders
	arrived  atomic.Int64
	senders  map[string]bool // who has written
	claimed  sync.Map        // assignment to the agent who was told that the contact is theirs

	won, lost, passed, left atomic.Int64
}

// TestSixteenAgentsClaimTheSameQueue while contacts arrive, a supervisor passes contacts on, agents are deactivated and
// the group moves. No contact is lost or given twice, and the doctor finds nothing. It lasts until some 150 contacts
// have arrived, or for CANOPY_SOAK (see make soak).
func TestSixteenAgentsClaimTheSameQueue(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		f := newFire(t, db)
		deadline := time.Time{}
		if soak := os.Getenv("CANOPY_SOAK"); soak != "" {
			duration, err := time.ParseDuration(soak)
			if err != nil {
				t.Fatalf("CANOPY_SOAK is not a duration: %v", err)
			}
			deadline = time.Now().Add(duration)
		}
		f.burn(deadline)
		f.quench()
		f.conclude()
	})
}

func newFire(t *testing.T, db *store.DB) *fire {
	f := &fire{mix: &mix{company: newCompany(t, db, "fire")}, senders: map[string]bool{}}
	f.sides = []int64{f.group(f.root, "East"), f.group(f.root, "West")}
	f.hall = f.group(f.sides[0], "Hall")
	var floors []int64
	for i := range 4 {
		floors = append(floors, f.group(f.hall, fmt.Sprint("Floor ", i+1)))
	}
	for i := range claimers {
		f.agents = append(f.agents, f.user(floors[i%len(floors)], fmt.Sprint("agent-", i), authz.RoleAgent))
	}
	f.supervisors = []int64{f.user(f.root, "supervisor", authz.RoleDashboardAdministrator)}
	return f
}

// burn lets everybody do their work until the deadline or, without one, until enough has arrived.
func (f *fire) burn(deadline time.Time) {
	const enough = 150
	over := func() bool {
		if deadline.IsZero() {
			return f.arrived.Load() >= enough && f.left.Load() > 0 && f.passed.Load() > 0 && f.lost.Load() > 0
		}
		return time.Now().After(deadline)
	}
	var all sync.WaitGroup
	for i, agent := range f.agents {
		all.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			for !over() {
				f.expect(f.work(r, agent))
			}
		})
	}
	all.Wait()
}

// work is what the agent does next, and now and then what others do meanwhile: so nobody has to wait for anybody.
func (f *fire) work(r *rand.Rand, agent int64) error {
	switch n := r.IntN(64); {
	case n < 1:
		return f.leave(r)
	case n < 2:
		return f.shift(r)
	case n < 4:
		return f.passOn(r)
	case n < 12:
		return f.arrive(r)
	}
	return f.serve(r, agent)
}

// expect lets refusals pass: they are what losing a race looks like.
func (f *fire) expect(err error) {
	var refused *refusal.Refusal
	if err != nil && !errors.Is(err, errNone) && !errors.As(err, &refused) {
		f.t.Error(err)
	}
}

// arrive has a new contact write, or one that has written before. The queue is kept short, so that all reach for the
// same contacts.
func (f *fire) arrive(r *rand.Rand) error {
	if !f.arriving.TryLock() { // somebody does
		return errNone
	}
	defer f.arriving.Unlock()
	waiting, err := f.db.Read.Contact.Query().Where(contact.AccountID(f.account), contact.AssignedUserIDIsNil()).Count(trusted())
	if err != nil || waiting > claimers/2 {
		return err
	}
	n := f.arrived.Load() + 1
	from := n
	if r.IntN(4) == 0 {
		from = 1 + r.Int64N(n)
	}
	in := desk.ReceiveMessage{Channel: "test", Address: fmt.Sprint("contact ", from), Text: "Hello", ExternalID: fmt.Sprint("message ", n), GroupID: &f.hall}
	if _, err := f.desk.ReceiveMessage(f.as(f.owner), in); err != nil {
		return err
	}
	f.arrived.Store(n)
	f.senders[in.Address] = true
	return nil
}

// serve claims what has waited longest, as every other agent does, and now and then closes what it has.
func (f *fire) serve(r *rand.Rand, agent int64) error {
	ctx, err := f.by(agent)
	if err != nil { // deactivated
		return err
	}
	page, err := f.desk.Inbox(ctx, desk.Query{Box: desk.BoxQueue, First: 1})
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 {
		return f.close(r, ctx, agent)
	}
	got, err := f.desk.ClaimContact(ctx, desk.ClaimContact{ContactID: page.Entries[0].Contact.ID})
	if err != nil {
		f.lost.Add(1)
		return err
	}
	f.won.Add(1)
	if got.Assignment == nil {
		return errors.New("a claim that succeeded shows its agent no assignment")
	}
	if other, twice := f.claimed.LoadOrStore(got.Assignment.ID, agent); twice {
		return fmt.Errorf("assignment %d was given to %d and to %d", got.Assignment.ID, agent, other)
	}
	return nil
}

// close ends one of the agent's conversations, so that its contact may return.
func (f *fire) close(r *rand.Rand, ctx context.Context, agent int64) error {
	if r.IntN(8) > 0 {
		return nil
	}
	open, err := f.db.Read.Conversation.Query().Where(conversation.AgentID(agent), conversation.ClosedAtIsNil()).FirstID(trusted())
	if err != nil {
		return errNone
	}
	_, err = f.desk.CloseConversation(ctx, desk.CloseConversation{ConversationID: open})
	return err
}

// passOn puts a contact that somebody serves back into the queue, or gives it to another agent.
func (f *fire) passOn(r *rand.Rand) error {
	c, err := f.someConversation(r)
	if err != nil {
		return err
	}
	ctx, err := f.by(f.supervisors[0])
	if err != nil {
		return err
	}
	in := desk.TransferContact{ContactID: c.ContactID, GroupID: &f.hall}
	if r.IntN(2) == 0 {
		in.GroupID, in.AgentID = nil, &f.agents[r.IntN(len(f.agents))]
	}
	if _, err = f.desk.TransferContact(ctx, in); err == nil {
		f.passed.Add(1)
	}
	return err
}

// leave deactivates an agent, whose conversations go back into a queue or to a colleague, and activates another one.
func (f *fire) leave(r *rand.Rand) error {
	in := directory.DeactivateUser{UserID: f.agents[r.IntN(len(f.agents))], Handover: directory.HandoverToQueue}
	if r.IntN(2) == 0 {
		in.Handover, in.HandoverAgentID = directory.HandoverToAgent, &f.agents[r.IntN(len(f.agents))]
	}
	if _, err := f.dir.DeactivateUser(f.as(f.owner), in); err == nil {
		f.left.Add(1)
	} else if r.IntN(2) == 0 {
		return err
	}
	return f.reactivate(r)
}

// shift moves the hall with everybody in it to the other side.
func (f *fire) shift(r *rand.Rand) error {
	to := f.sides[r.IntN(len(f.sides))]
	_, err := f.dir.MoveGroup(f.as(f.owner), directory.MoveGroup{GroupID: f.hall, ParentID: to})
	return err
}

// quench has everybody come back and empty the queue: whatever still waits can be claimed.
func (f *fire) quench() {
	f.must(f.dir.CarryAll(context.Background()))
	for err := error(nil); !errors.Is(err, errNone); {
		err = f.reactivate(rand.New(rand.NewPCG(7, 7)))
	}
	for _, agent := range f.agents {
		ctx := f.as(agent)
		page, err := f.desk.Inbox(ctx, desk.Query{Box: desk.BoxQueue, First: 10_000})
		f.must(err)
		for _, waits := range page.Entries {
			got, err := f.desk.ClaimContact(ctx, desk.ClaimContact{ContactID: waits.Contact.ID})
			f.must(err)
			f.claimed.Store(got.Assignment.ID, agent)
		}
	}
}

// conclude compares what is stored with what everybody was told.
func (f *fire) conclude() {
	for _, fault := range examine(f.t, f.db, "") {
		f.t.Errorf("at the end: %s", fault)
	}
	f.t.Logf("%d messages arrived; %d claims won, %d lost; %d passed on; %d agents left", f.arrived.Load(), f.won.Load(),
		f.lost.Load(), f.passed.Load(), f.left.Load())
	stored, err := f.db.Read.Message.Query().Where(message.AccountID(f.account)).Count(trusted())
	f.must(err)
	if int64(stored) != f.arrived.Load() {
		f.t.Errorf("%d messages are stored", stored)
	}
	claims, err := f.db.Read.ContactAssignment.Query().Where(contactassignment.AccountID(f.account),
		contactassignment.MethodEQ(contactassignment.MethodCLAIM)).All(trusted())
	f.must(err)
	told := 0
	f.claimed.Range(func(any, any) bool { told++; return true })
	if told != len(claims) {
		f.t.Errorf("%d claims are stored, %d agents were told that theirs succeeded", len(claims), told)
	}
	for _, a := range claims {
		if agent, ok := f.claimed.Load(a.ID); !ok || agent != a.UserID {
			f.t.Errorf("the claim %v was told to %v", a, agent)
		}
	}
	f.everyContactIsSomebodys()
	f.nobodyLockedOutOfOrder()
}

// everyContactIsSomebodys: after the queue was emptied each contact that wrote has one current assignment.
func (f *fire) everyContactIsSomebodys() {
	contacts, err := f.db.Read.Contact.Query().Where(contact.AccountID(f.account)).All(trusted())
	f.must(err)
	if len(contacts) != len(f.senders) {
		f.t.Errorf("%d contacts are stored, %d have written", len(contacts), len(f.senders))
	}
	for _, c := range contacts {
		current, err := f.db.Read.ContactAssignment.Query().
			Where(contactassignment.ContactID(c.ID), contactassignment.EndedAtIsNil()).All(trusted())
		f.must(err)
		if len(current) != 1 {
			f.t.Errorf("contact %v has %d current assignments", c, len(current))
		}
	}
}
