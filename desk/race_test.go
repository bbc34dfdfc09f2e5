package desk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/user"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/tree"
)

// together runs n functions at the same time and returns their errors.
func together(n int, run func(i int) error) []error {
	errs, begin := make([]error, n), make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = run(i)
		})
	}
	close(begin)
	wg.Wait()
	return errs
}

func TestOfSixteenClaimsOfOneContactExactlyOneSucceedsAndTheOthersHearAlreadyAssigned(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		homes := []string{"north", "south", "sales", "root"}
		var claimers []context.Context
		for i := range 16 {
			name := fmt.Sprint("agent", i)
			w.user(name, homes[i%len(homes)], authz.RoleAgent)
			claimers = append(claimers, w.as(name))
		}
		c := w.writes("kim", "root")
		won := 0
		for _, err := range together(16, func(i int) error {
			_, err := w.desk.ClaimContact(claimers[i], desk.ClaimContact{ContactID: c})
			return err
		}) {
			if err == nil {
				won++
				continue
			}
			refused(t, err, refusal.ConflictCode, refusal.AlreadyAssigned)
		}
		if won != 1 || len(w.assignments(c)) != 1 || len(w.conversations(c)) != 1 {
			t.Errorf("%d claims succeeded; the assignments are %v", won, w.assignments(c))
		}
	})
}

func TestMessagesOfANewContactThatArriveAtOnceMakeOneContactAndOneConversation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dev := w.as("dev")
		duplicates := make([]bool, 12)
		for _, err := range together(12, func(i int) error {
			r, err := w.desk.ReceiveMessage(dev, desk.ReceiveMessage{Channel: "whatsapp", Address: "+5511912341234", Text: "Hello",
				ExternalID: fmt.Sprint("message ", i%6)})
			if err == nil {
				duplicates[i] = r.Duplicate
			}
			return err
		}) {
			ok(t, err)
		}
		c := w.only()
		if len(w.conversations(c.ID)) != 1 {
			t.Errorf("the conversations are %v", w.conversations(c.ID))
		}
		if n, err := w.db.Read.Message.Query().Count(all()); err != nil || n != 6 {
			t.Errorf("%d messages are stored, %v", n, err)
		}
		n := 0
		for _, duplicate := range duplicates {
			if duplicate {
				n++
			}
		}
		if n != 6 {
			t.Errorf("%d of 12 are duplicates", n)
		}
	})
}

func TestNobodyEndsUpServedByAnAgentWhoLeftMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana, olga, adam := w.as("ana"), w.as("olga"), w.as("adam")
		var contacts []int64
		for i := range 6 {
			contacts = append(contacts, w.writes(fmt.Sprint("kim ", i), "north"))
		}
		closed := w.served("lee", "ana")
		w.closes(closed)
		for _, err := range together(9, func(i int) error {
			switch {
			case i < 3:
				_, err := w.desk.ClaimContact(ana, desk.ClaimContact{ContactID: contacts[i]})
				return err
			case i < 6:
				_, err := w.desk.AssignContact(olga, desk.AssignContact{ContactID: contacts[i], AgentID: w.id("ana")})
				return err
			case i == 6:
				_, err := w.desk.ReceiveMessage(olga, desk.ReceiveMessage{Channel: "test", Address: "lee", Text: "Hello", ExternalID: "again"})
				return err
			case i == 7:
				_, err := w.desk.OpenConversation(olga, desk.OpenConversation{ContactID: closed})
				return err
			}
			return w.db.Write(adam, func(ctx context.Context, tx *ent.Tx) error {
				u, err := tx.User.UpdateOneID(w.users["ana"]).SetStatus(user.StatusDEACTIVATED).Save(authz.Trusted(ctx))
				if err != nil {
					return err
				}
				return w.desk.HandOver(ctx, tx, u, desk.HandOverToQueue, 0, func(int64, int64, int64) {})
			})
		}) {
			var r *refusal.Refusal
			if err != nil && !errors.As(err, &r) {
				t.Error(err)
			}
		}
		n, err := w.db.Read.Contact.Query().Where(contact.AssignedUserID(w.users["ana"]), contact.Box(int(tree.BoxOf(tree.Open, true)))).Count(all())
		if err != nil || n != 0 {
			t.Errorf("ana has left and serves %d open contacts, %v", n, err)
		}
	})
}

func TestNothingComesToAnAgentWhoseDeactivationIsUnderWay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		waiting, closed := w.writes("kim", "north"), w.served("lee", "ana")
		w.closes(closed)
		ana, olga := w.as("ana"), w.as("olga")
		err := w.db.Write(w.as("adam"), func(ctx context.Context, tx *ent.Tx) error {
			u, err := tx.User.UpdateOneID(w.users["ana"]).SetStatus(user.StatusDEACTIVATED).Save(authz.Trusted(ctx))
			if err != nil {
				return err
			}
			if err := w.desk.HandOver(ctx, tx, u, desk.HandOverToQueue, 0, func(int64, int64, int64) {}); err != nil {
				return err
			}
			// These wait for the transaction, and give up before it ends.
			for i, err := range together(3, func(i int) (err error) {
				soon, cancel := context.WithTimeout([]context.Context{ana, olga, olga}[i], 200*time.Millisecond)
				defer cancel()
				switch i {
				case 0:
					_, err = w.desk.ClaimContact(soon, desk.ClaimContact{ContactID: waiting})
				case 1:
					_, err = w.desk.AssignContact(soon, desk.AssignContact{ContactID: waiting, AgentID: w.id("ana")})
				case 2:
					_, err = w.desk.ReceiveMessage(soon, desk.ReceiveMessage{Channel: "test", Address: "lee", Text: "Hello", ExternalID: "again"})
				}
				return err
			}) {
				if err == nil {
					t.Errorf("%d did not wait", i)
				}
			}
			return nil
		})
		ok(t, err)
		w.waitsIn(waiting, "north")
		w.says("lee", nil)
		w.waitsIn(closed, "north")
	})
}

// TestNumbersAreTakenBeforeCountersAndThoseOnce: of two that take locks in different orders one would be given up. A
// counter that is changed twice has its group locked.
func TestNumbersAreTakenBeforeCountersAndThoseOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		known, phone := w.writes("kim", "north"), "+5511912345678"
		for what, use := range map[string]func() error{
			"a message of somebody new": func() error {
				_, err := w.desk.ReceiveMessage(w.as("dev"), desk.ReceiveMessage{Channel: "test", Address: "lee", Text: "Hello", ExternalID: "first"})
				return err
			},
			"a conversation with somebody new": func() error {
				_, err := w.desk.StartConversation(w.as("ana"), desk.StartConversation{Name: "Max", Phone: &phone})
				return err
			},
			"a contact that changes hands": func() error {
				if _, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: known, AgentID: w.id("ana")}); err != nil {
					return err
				}
				testdb.Statements(w.db).Reset()
				_, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: known, AgentID: w.id("carla")})
				return err
			},
		} {
			testdb.Statements(w.db).Reset()
			ok(t, use())
			statements := testdb.Statements(w.db).List()
			first := func(part string) int {
				return slices.IndexFunc(statements, func(s string) bool { return strings.Contains(s, part) })
			}
			changes := 0
			for _, s := range statements {
				if strings.Contains(s, "UPDATE group_counters") {
					changes++
				}
			}
			if changes != 1 {
				t.Errorf("%s: counters are changed %d times", what, changes)
			}
			if number, counters := first("SET next_conversation_number"), first("group_counters"); number < 0 || counters < number {
				t.Errorf("%s: the number comes as statement %d, counters as %d", what, number, counters)
			}
		}
	})
}

// storm is what happens to a few contacts at the same time. Each returns a refusal or nil.
func (w *world) storm(r *rand.Rand, contacts []int64, as map[string]context.Context) error {
	c, agents, groups := pick(r, contacts), []string{"ana", "bruno", "carla", "dora"}, []string{"north", "south", "sales", "support", "root"}
	open := func() int64 { // 0, which names nothing, when it has none
		id, _ := w.db.Read.Conversation.Query().Where(conversation.ContactID(c), conversation.ClosedAtIsNil()).OnlyID(all())
		return id
	}
	switch r.IntN(9) {
	case 0:
		_, err := w.desk.ClaimContact(as[pick(r, agents)], desk.ClaimContact{ContactID: c})
		return err
	case 1:
		_, err := w.desk.AssignContact(as["olga"], desk.AssignContact{ContactID: c, AgentID: w.id(pick(r, agents))})
		return err
	case 2:
		_, err := w.desk.TransferContact(as["olga"], desk.TransferContact{ContactID: c, GroupID: w.at(pick(r, groups))})
		return err
	case 3:
		_, err := w.desk.CloseConversation(as["olga"], desk.CloseConversation{ConversationID: open()})
		return err
	case 4:
		_, err := w.desk.OpenConversation(as[pick(r, []string{"olga", "sue"})], desk.OpenConversation{ContactID: c})
		return err
	case 5:
		_, err := w.desk.SendMessage(as["olga"], desk.SendMessage{ConversationID: open(), Text: "Good morning"})
		return err
	case 6:
		_, err := w.desk.ReceiveMessage(as["dev"], desk.ReceiveMessage{Channel: "test", Address: fmt.Sprint("kim ", r.IntN(len(contacts))),
			Text: "Hello", ExternalID: fmt.Sprint("storm ", messages.Add(1))})
		return err
	case 7:
		return w.db.Write(as["olga"], func(ctx context.Context, tx *ent.Tx) error {
			_, err := tree.Move(ctx, tx, tree.Moving{AccountID: w.account, GroupID: w.groups["north"], ParentID: w.groups[pick(r, []string{"sales", "support", "root"})], MaxDepth: 64, AtOnce: tree.AtOnce})
			return err
		})
	}
	return w.db.Write(as["olga"], func(ctx context.Context, tx *ent.Tx) error {
		return tree.SetRestricted(ctx, tx, w.account, w.groups["sales"], r.IntN(2) == 0)
	})
}

func TestWhateverHappensAtTheSameTimeListsAndCountersStayRight(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var contacts []int64
		for i := range 4 {
			contacts = append(contacts, w.writes(fmt.Sprint("kim ", i), "north"))
		}
		as := map[string]context.Context{}
		for name := range w.users {
			as[name] = w.as(name)
		}
		for i, err := range together(8, func(i int) error {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for range 25 {
				err := w.storm(r, contacts, as)
				var refused *refusal.Refusal
				if err != nil && !errors.As(err, &refused) {
					return err
				}
			}
			return nil
		}) {
			if err != nil {
				t.Errorf("worker %d: %v", i, err)
			}
		}
		for _, c := range contacts {
			w.agrees(c)
		}
	})
}

// agrees checks that the rows of a contact say the same about who serves it and in which state it is.
func (w *world) agrees(c int64) {
	w.t.Helper()
	row, current, open := w.row(c), 0, w.openOf(c)
	for _, a := range w.assignments(c) {
		if a.EndedAt == nil {
			current++
			if row.AssignedUserID == nil || *row.AssignedUserID != a.UserID {
				w.t.Errorf("contact %v has the current assignment %v", row, a)
			}
		}
	}
	if (row.AssignedUserID != nil) != (current == 1) || (row.AssignedUserID == nil) != (row.WaitingSince != nil) {
		w.t.Errorf("contact %v has %d current assignments", row, current)
	}
	if box := tree.Box(row.Box); box.Assigned() != (row.AssignedUserID != nil) || (box.State() == tree.Open) != (open != nil) {
		w.t.Errorf("contact %v has the open conversation %v", row, open)
	}
	if open != nil && fmt.Sprint(show(open.AgentID)) != fmt.Sprint(show(row.AssignedUserID)) {
		w.t.Errorf("contact %v has a conversation of %v", row, show(open.AgentID))
	}
}
