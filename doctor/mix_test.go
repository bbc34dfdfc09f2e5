package doctor_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/groupmove"
	"canopy/ent/generated/tag"
	"canopy/ent/generated/user"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect"
)

const workers = 8

// mix is what happens to one account at the same time. Each worker has its own source of chance; what they do to each
// other by being faster or slower, no seed says.
type mix struct {
	*company
	agents      []int64
	supervisors []int64
	serial      atomic.Int64

	ran atomic.Int64 // timers

	mu    sync.Mutex
	tally map[string]*tally // by operation
	told  map[string]int    // by audit event: how many were told that they did it
}

type tally struct {
	done    int
	refused map[string]int // by code and reason
}

// operation is one thing that a client asks for. A nil error means that it was done.
type operation struct {
	name   string
	weight int    // how often it comes up among the others
	event  string // the audit event of each time that it was done
	run    func(m *mix, r *rand.Rand) error
}

var operations = []operation{
	{"create a group", 3, "GROUP_CREATED", (*mix).createGroup},
	{"move a group", 4, "GROUP_MOVED", (*mix).moveGroup},
	{"move a branch as a big one", 2, "", (*mix).moveBig},
	{"carry a batch", 6, "", (*mix).carry},
	{"delete a group with a successor", 2, "GROUP_DELETED", (*mix).deleteGroup},
	{"raise or open a wall", 2, "GROUP_UPDATED", (*mix).wall},
	{"move a user", 2, "USER_MOVED", (*mix).moveUser},
	{"deactivate a user", 1, "USER_DEACTIVATED", (*mix).deactivate},
	{"reactivate a user", 2, "USER_REACTIVATED", (*mix).reactivate},
	{"create a contact", 2, "", (*mix).createContact},
	{"delete a contact", 1, "CONTACT_DELETED", (*mix).deleteContact},
	{"receive a message", 6, "MESSAGE_RECEIVED", (*mix).receive},
	{"send a message", 6, "MESSAGE_SENT", (*mix).send},
	{"claim", 6, "CONTACT_CLAIMED", (*mix).claim},
	{"assign", 2, "CONTACT_ASSIGNED", (*mix).assign},
	{"transfer", 4, "CONTACT_TRANSFERRED", (*mix).transfer},
	{"open a conversation", 3, "CONVERSATION_OPENED", (*mix).open},
	{"close a conversation", 3, "CONVERSATION_CLOSED", (*mix).close},
	{"snooze a conversation", 3, "", (*mix).snooze},
	{"tag a conversation", 4, "", (*mix).tag},
	{"delete a tag", 1, "TAG_DELETED", (*mix).deleteTag},
	{"write a note", 3, "NOTE_ADDED", (*mix).note},
	{"mark as read or unread", 2, "", (*mix).unread},
	{"choose a method", 3, "GROUP_SETTINGS_UPDATED", (*mix).chooseMethod},
	{"come and go", 5, "AGENT_SETTINGS_UPDATED", (*mix).comeAndGo},
	{"decline an offer", 4, "OFFER_DECLINED", (*mix).decline},
	{"accept an offer", 4, "CONTACT_CLAIMED", (*mix).accept},
	{"answer an offer", 2, "MESSAGE_SENT", (*mix).answerOffer},
	{"start a cover", 3, "COVER_STARTED", (*mix).startCover},
	{"end a cover", 1, "", (*mix).endCover},
	{"assign several", 1, "", (*mix).assignMany},
	{"transfer several", 1, "", (*mix).transferMany},
	{"close several", 1, "", (*mix).closeMany},
}

// TestAMixOfEverythingLeavesNoFault lets 8 workers do everything to one account at the same time, while the doctor looks
// on. It does so for a few rounds, until each operation was done; CANOPY_SOAK is for how long instead (see make soak),
// CANOPY_SOAK_SEED repeats a run.
func TestAMixOfEverythingLeavesNoFault(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CANOPY_SOAK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CANOPY_SOAK_SEED is not a number: %v", err)
		}
	}
	soak := os.Getenv("CANOPY_SOAK")
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		t.Logf("seed %d", seed)
		m := newMix(t, db)
		goesOn := func(round int) bool { return round < fewRounds || round < manyRounds && len(m.undone()) > 0 }
		if soak != "" {
			duration, err := time.ParseDuration(soak)
			if err != nil {
				t.Fatalf("CANOPY_SOAK is not a duration: %v", err)
			}
			deadline := time.Now().Add(duration)
			goesOn = func(int) bool { return time.Now().Before(deadline) }
		}
		m.work(seed, goesOn)
		m.conclude()
	})
}

func newMix(t *testing.T, db *store.DB) *mix {
	m := &mix{company: newCompany(t, db, "mix"), tally: map[string]*tally{}, told: map[string]int{}}
	for _, o := range operations {
		m.tally[o.name] = &tally{refused: map[string]int{}}
	}
	groups := []int64{m.root}
	for i := range 24 {
		groups = append(groups, m.group(groups[i/3], fmt.Sprint("group ", i)))
	}
	for i := range 12 {
		m.agents = append(m.agents, m.user(groups[2*i], fmt.Sprint("agent-", i), authz.RoleAgent))
	}
	for i := range 3 {
		m.supervisors = append(m.supervisors, m.user(groups[i], fmt.Sprint("supervisor-", i), authz.RoleDashboardAdministrator))
	}
	for i := range 20 {
		m.contact(groups[i], fmt.Sprint("contact ", i))
	}
	m.desk.Now = hurried()
	m.dir.Now = m.desk.Now
	return m
}

// A short run has few rounds, and goes on as long as chance has left out an operation.
const fewRounds, manyRounds = 3, 30

// work runs the workers, each for as many rounds as that says. In a round each operation comes up as often as its weight
// says, in an order of chance.
func (m *mix) work(seed uint64, goesOn func(round int) bool) {
	var at, beside sync.WaitGroup
	stop := make(chan struct{})
	beside.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				m.lookOn()
			}
		}
	})
	for range processes {
		beside.Go(func() { m.runDue(stop) })
	}
	for i := range workers {
		at.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for round := 0; goesOn(round); round++ {
				for _, o := range deck(r) {
					m.try(o, r)
				}
			}
		})
	}
	at.Wait()
	close(stop)
	beside.Wait()
}

func deck(r *rand.Rand) (cards []operation) {
	for _, o := range operations {
		for range o.weight {
			cards = append(cards, o)
		}
	}
	r.Shuffle(len(cards), func(i, j int) { cards[i], cards[j] = cards[j], cards[i] })
	return cards
}

// try runs an operation. It may be refused; anything else is a failure.
func (m *mix) try(o operation, r *rand.Rand) {
	err := o.run(m, r)
	var refused *refusal.Refusal
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.tally[o.name].done++
		m.told[o.event]++
	case errors.Is(err, errNone):
	case errors.As(err, &refused):
		m.tally[o.name].refused[fmt.Sprint(refused.Code, " ", refused.Reason)]++
	default:
		m.t.Errorf("%s: %v", o.name, err)
	}
}

// undone are the operations that nobody has done so far.
func (m *mix) undone() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range operations {
		if m.tally[o.name].done == 0 {
			names = append(names, o.name)
		}
	}
	return names
}

// lookOn examines the account as it is at some moment.
func (m *mix) lookOn() {
	for _, f := range examine(m.t, m.db, m.slug) {
		m.t.Errorf("meanwhile: %s", f)
	}
}

// conclude looks for faults, for operations that never were done, and for changes that nobody was told of or that are
// not there.
func (m *mix) conclude() {
	m.must(m.dir.CarryAll(context.Background()))
	m.happenedOnce()
	for _, f := range examine(m.t, m.db, "") {
		m.t.Errorf("at the end: %s", f)
	}
	for _, name := range m.undone() {
		m.t.Errorf("nobody did this: %s", name)
	}
	done := 0
	for _, o := range operations {
		n := m.tally[o.name]
		m.t.Logf("%-32s done %5d, refused %v", o.name, n.done, n.refused)
		done += n.done
		if o.event != "" {
			m.compareTold(o.event)
		}
	}
	m.t.Logf("%d operations were done", done)
	m.nobodyLockedOutOfOrder()
}

// nobodyLockedOutOfOrder asks PostgreSQL whether it gave up transactions that waited for each other. The use-cases ran
// them again, so nobody was told: it is told of in every run, and fails those that are made to find it.
func (m *mix) nobodyLockedOutOfOrder() {
	if m.db.Dialect() != dialect.Postgres {
		return
	}
	n := 0
	m.must(store.EachRow(context.Background(), m.db.Read, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", nil,
		func(rows *sql.Rows) error { return rows.Scan(&n) }))
	if n == 0 {
		return
	}
	told := m.t.Logf
	if os.Getenv("CANOPY_SOAK") != "" {
		told = m.t.Errorf
	}
	told("%d transactions waited for each other and one of each was given up: somebody locks out of order", n)
}

// before is how many events there were when the workers began.
func (m *mix) before(event string) int {
	return map[string]int{"GROUP_CREATED": 24, "GROUP_SETTINGS_UPDATED": 1}[event]
}

// errNone says that there is nothing to do the operation to.
var errNone = errors.New("there is none")

func trusted() context.Context { return authz.Trusted(context.Background()) }

// by is a request of the user, or errNone when they may not ask for anything right now.
func (m *mix) by(userID int64) (context.Context, error) {
	v, err := m.dir.LoadViewer(context.Background(), m.db.Read, userID)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errNone
	}
	return authz.NewContext(context.Background(), v), nil
}

func pick[T any](r *rand.Rand, list []T) (T, error) {
	if len(list) == 0 {
		var none T
		return none, errNone
	}
	return list[r.IntN(len(list))], nil
}

// someGroup is any group, the root included.
func (m *mix) someGroup(r *rand.Rand) (int64, error) {
	ids, err := m.db.Read.Group.Query().Where(group.AccountID(m.account)).IDs(trusted())
	if err != nil {
		return 0, err
	}
	return pick(r, ids)
}

func (m *mix) twoGroups(r *rand.Rand) (a, b int64, err error) {
	a, err = m.someGroup(r)
	if err == nil {
		b, err = m.someGroup(r)
	}
	return a, b, err
}

// someContact is one of those in the boxes.
func (m *mix) someContact(r *rand.Rand, boxes ...tree.Box) (*ent.Contact, error) {
	var in []int
	for _, b := range boxes {
		in = append(in, int(b))
	}
	list, err := m.db.Read.Contact.Query().Where(contact.AccountID(m.account), contact.BoxIn(in...)).Limit(200).All(trusted())
	if err != nil {
		return nil, err
	}
	return pick(r, list)
}

// someConversation is an open one that somebody serves.
func (m *mix) someConversation(r *rand.Rand) (*ent.Conversation, error) {
	list, err := m.db.Read.Conversation.Query().Where(conversation.AccountID(m.account), conversation.ClosedAtIsNil(),
		conversation.AgentIDNotNil()).Limit(200).All(trusted())
	if err != nil {
		return nil, err
	}
	return pick(r, list)
}

// someSupervisor is a request of somebody who supervises: half the time the owner, from whom nothing is hidden.
func (m *mix) someSupervisor(r *rand.Rand) (context.Context, error) {
	if r.IntN(2) == 0 {
		return m.by(m.owner)
	}
	return m.by(m.supervisors[r.IntN(len(m.supervisors))])
}

func (m *mix) createGroup(r *rand.Rand) error {
	parent, err := m.someGroup(r)
	if err != nil {
		return err
	}
	ctx, err := m.someSupervisor(r)
	if err != nil {
		return err
	}
	// Now and then two find the same name.
	_, err = m.dir.CreateGroup(ctx, directory.CreateGroup{ParentID: parent, Name: fmt.Sprint("made ", m.serial.Add(1)/2)})
	return err
}

func (m *mix) moveGroup(r *rand.Rand) error {
	a, b, err := m.twoGroups(r)
	if err != nil {
		return err
	}
	_, err = m.dir.MoveGroup(m.as(m.owner), directory.MoveGroup{GroupID: a, ParentID: b})
	return err
}

// moveBig moves a branch and leaves all of its scope rows to carry, as a move of very many contacts does.
func (m *mix) moveBig(r *rand.Rand) error {
	a, b, err := m.twoGroups(r)
	if err != nil {
		return err
	}
	err = m.db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		_, err := tree.Move(ctx, tx, tree.Moving{AccountID: m.account, GroupID: a, ParentID: b, MaxDepth: 64, AtOnce: -1, Now: m.desk.Now()})
		return err
	})
	for _, expected := range []error{tree.ErrRoot, tree.ErrCycle, tree.ErrTooDeep, tree.ErrUnderWay, tree.ErrNoGroup} {
		if errors.Is(err, expected) {
			return errNone
		}
	}
	if store.UniqueViolation(err, "group_sibling_name") {
		return errNone
	}
	return err
}

// carry carries a few scope rows of a move that is under way.
func (m *mix) carry(r *rand.Rand) error {
	moves, err := m.db.Read.GroupMove.Query().Where(groupmove.FinishedAtIsNil()).IDs(trusted())
	if err != nil {
		return err
	}
	id, err := pick(r, moves)
	if err != nil {
		return err
	}
	return m.db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		_, err := tree.Carry(ctx, tx, id, 20, m.desk.Now())
		return err
	})
}

func (m *mix) deleteGroup(r *rand.Rand) error {
	a, b, err := m.twoGroups(r)
	if err != nil {
		return err
	}
	in := directory.DeleteGroup{GroupID: a, SuccessorID: &b}
	if r.IntN(4) == 0 {
		in.SuccessorID = nil
	}
	_, err = m.dir.DeleteGroup(m.as(m.owner), in)
	return err
}

func (m *mix) wall(r *rand.Rand) error {
	all, err := m.db.Read.Group.Query().Where(group.AccountID(m.account), group.ParentIDNotNil()).All(trusted())
	if err != nil {
		return err
	}
	g, err := pick(r, all)
	if err != nil {
		return err
	}
	to := group.VisibilityRESTRICTED
	if g.Visibility == to {
		to = group.VisibilityINHERITED
	}
	_, err = m.dir.UpdateGroup(m.as(m.owner), directory.UpdateGroup{GroupID: g.ID, Visibility: &to})
	return err
}

func (m *mix) moveUser(r *rand.Rand) error {
	to, err := m.someGroup(r)
	if err != nil {
		return err
	}
	_, err = m.dir.MoveUser(m.as(m.owner), directory.MoveUser{UserID: m.agents[r.IntN(len(m.agents))], HomeGroupID: to})
	return err
}

func (m *mix) deactivate(r *rand.Rand) error {
	in := directory.DeactivateUser{UserID: m.agents[r.IntN(len(m.agents))], Handover: directory.HandoverToQueue}
	switch r.IntN(3) {
	case 0:
		in.Handover, in.HandoverAgentID = directory.HandoverToAgent, &m.agents[r.IntN(len(m.agents))]
	case 1:
		in.Handover = directory.HandoverByMethod
	}
	_, err := m.dir.DeactivateUser(m.as(m.owner), in)
	return err
}

func (m *mix) reactivate(r *rand.Rand) error {
	gone, err := m.db.Read.User.Query().Where(user.AccountID(m.account), user.StatusEQ(user.StatusDEACTIVATED)).IDs(trusted())
	if err != nil {
		return err
	}
	id, err := pick(r, gone)
	if err != nil {
		return err
	}
	_, err = m.dir.ReactivateUser(m.as(m.owner), directory.ReactivateUser{UserID: id})
	return err
}

func (m *mix) createContact(r *rand.Rand) error {
	at, err := m.someGroup(r)
	if err != nil {
		return err
	}
	ctx, err := m.someSupervisor(r)
	if err != nil {
		return err
	}
	_, err = m.desk.CreateContact(ctx, desk.CreateContact{GroupID: at, Name: "Somebody"})
	return err
}

func (m *mix) deleteContact(r *rand.Rand) error {
	c, err := m.someContact(r, 0, 1, 2, 3, 4, 5)
	if err != nil {
		return err
	}
	return m.desk.DeleteContact(m.as(m.owner), desk.DeleteContact{ContactID: c.ID})
}

// receive has half of the messages come from a few people, at the same time, and some of them twice.
func (m *mix) receive(r *rand.Rand) error {
	in := desk.ReceiveMessage{Channel: "test", Address: fmt.Sprint("somebody ", r.IntN(16)), Text: "Hello",
		ExternalID: fmt.Sprint("message ", m.serial.Add(1))}
	if r.IntN(2) == 0 {
		in.Address = fmt.Sprint("somebody new ", in.ExternalID)
	}
	if r.IntN(3) == 0 {
		at, err := m.someGroup(r)
		if err != nil {
			return err
		}
		in.GroupID = &at
	}
	got, err := m.desk.ReceiveMessage(m.as(m.owner), in)
	if err == nil && got.Duplicate {
		return fmt.Errorf("%s never arrived before", in.ExternalID)
	}
	return err
}

func (m *mix) send(r *rand.Rand) error {
	c, err := m.someConversation(r)
	if err != nil {
		return err
	}
	ctx, err := m.by(*c.AgentID)
	if err != nil {
		return err
	}
	_, err = m.desk.SendMessage(ctx, desk.SendMessage{ConversationID: c.ID, Text: "Good morning"})
	return err
}

func (m *mix) claim(r *rand.Rand) error {
	c, err := m.someContact(r, tree.BoxOf(tree.None, false), tree.BoxOf(tree.Open, false), tree.BoxOf(tree.Closed, false))
	if err != nil {
		return err
	}
	ctx, err := m.by(m.agents[r.IntN(len(m.agents))])
	if err != nil {
		return err
	}
	_, err = m.desk.ClaimContact(ctx, desk.ClaimContact{ContactID: c.ID})
	return err
}

func (m *mix) assign(r *rand.Rand) error {
	c, err := m.someContact(r, 0, 1, 2, 3, 4, 5)
	if err != nil {
		return err
	}
	_, err = m.desk.AssignContact(m.as(m.owner), desk.AssignContact{ContactID: c.ID, AgentID: &m.agents[r.IntN(len(m.agents))]})
	return err
}

// transfer passes an open contact on, by its agent or by somebody above, to an agent or into a group.
func (m *mix) transfer(r *rand.Rand) error {
	c, err := m.someConversation(r)
	if err != nil {
		return err
	}
	ctx, err := m.someSupervisor(r)
	if r.IntN(2) == 0 {
		ctx, err = m.by(*c.AgentID)
	}
	if err != nil {
		return err
	}
	in := desk.TransferContact{ContactID: c.ContactID, AgentID: &m.agents[r.IntN(len(m.agents))]}
	if r.IntN(2) == 0 {
		to, err := m.someGroup(r)
		if err != nil {
			return err
		}
		in.AgentID, in.GroupID = nil, &to
	}
	_, err = m.desk.TransferContact(ctx, in)
	return err
}

func (m *mix) open(r *rand.Rand) error {
	c, err := m.someContact(r, 0, 1, 4, 5)
	if err != nil {
		return err
	}
	ctx, err := m.someSupervisor(r)
	if err != nil {
		return err
	}
	_, err = m.desk.OpenConversation(ctx, desk.OpenConversation{ContactID: c.ID})
	return err
}

func (m *mix) snooze(r *rand.Rand) error {
	c, err := m.someConversation(r)
	if err != nil {
		return err
	}
	until := m.desk.Now().Add(time.Duration(1+r.IntN(100)) * time.Second)
	_, err = m.desk.SnoozeConversation(m.as(m.owner), desk.SnoozeConversation{ConversationID: c.ID, Until: &until})
	return err
}

// tag puts one of a few tags on, or takes it off; what has been deleted is made anew.
func (m *mix) tag(r *rand.Rand) error {
	c, err := m.someConversation(r)
	if err != nil {
		return err
	}
	id, err := m.someTag(r)
	if err != nil {
		_, err := m.desk.CreateTag(m.as(m.owner), desk.CreateTag{Name: fmt.Sprint("tag ", r.IntN(4)), Colour: tag.ColourGREY})
		return err
	}
	in := desk.TagConversation{ConversationID: c.ID, Add: []int64{id}}
	if r.IntN(3) == 0 {
		in.Add, in.Remove = nil, in.Add
	}
	_, err = m.desk.TagConversation(m.as(m.owner), in)
	return err
}

func (m *mix) deleteTag(r *rand.Rand) error {
	id, err := m.someTag(r)
	if err != nil {
		return err
	}
	return m.desk.DeleteTag(m.as(m.owner), id)
}

func (m *mix) someTag(r *rand.Rand) (int64, error) {
	ids, err := m.db.Read.Tag.Query().Where(tag.AccountID(m.account)).IDs(trusted())
	if err != nil {
		return 0, err
	}
	return pick(r, ids)
}

func (m *mix) note(r *rand.Rand) error {
	c, err := m.someConversation(r)
	if err != nil {
		return err
	}
	_, err = m.desk.AddNote(m.as(m.owner), desk.AddNote{ConversationID: c.ID, Text: "Call back"})
	return err
}

func (m *mix) close(r *rand.Rand) error {
	c, err := m.someConversation(r)
	if err != nil {
		return err
	}
	_, err = m.desk.CloseConversation(m.as(m.owner), desk.CloseConversation{ConversationID: c.ID})
	return err
}
