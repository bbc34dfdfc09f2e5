package desk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/refusal"
)

// outcomesOf writes what became of each: the name for what was done, the code and what is with it for what was refused.
func (w *world) outcomesOf(list []desk.PassedContact) string {
	var out []string
	for _, p := range list {
		switch {
		case p.Refused != nil:
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s%s", p.Refused.Code, p.Refused.Reason, p.Refused.Permission)))
		case p.Contact == nil:
			out = append(out, "gone")
		default:
			out = append(out, p.Contact.Name)
		}
	}
	return strings.Join(out, ", ")
}

// recorded counts the recorded changes with that action.
func (w *world) recorded(action string) int {
	w.t.Helper()
	n, err := w.db.Read.AuditEvent.Query().Where(auditevent.AccountID(w.account), auditevent.Action(action)).Count(all())
	ok(w.t, err)
	return n
}

func TestManyAreAssignedAndEachIsAnsweredInTheOrderOfTheCall(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		waits, theirs, elsewhere := w.writes("waits", "north"), w.served("theirs", "carla"), w.served("elsewhere", "dora")
		already := w.served("already", "ana")
		before := w.recorded("CONTACT_ASSIGNED")
		list, err := w.desk.AssignContacts(w.as("sue"), desk.AssignContacts{
			ContactIDs: []int64{theirs, 1 << 40, already, elsewhere, waits, 0}, AgentID: w.id("ana"), Reason: "She knows them."})
		ok(t, err)
		if got, want := w.outcomesOf(list), "theirs, NOT_FOUND, CONFLICT ALREADY_ASSIGNED, NOT_FOUND, waits, NOT_FOUND"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		w.isServedBy(waits, "ana")
		w.isServedBy(theirs, "ana")
		w.isServedBy(already, "ana")
		w.isServedBy(elsewhere, "dora")
		if n := w.recorded("CONTACT_ASSIGNED") - before; n != 2 {
			t.Errorf("%d changes were recorded", n)
		}
		if len(w.conversations(waits)) != 1 || len(w.conversations(theirs)) != 2 {
			t.Error("a waiting conversation goes on; a change of agent opens the next one")
		}
		if a := list[4].Assignment; a == nil || a.UserID != w.users["ana"] || a.Explanation != "She knows them." {
			t.Errorf("the assignment is %v", a)
		}
	})
}

// TestOneOfManyIsJudgedLikeOneAlone transfers contacts alone and together: what is refused whatever the contact is the
// same refusal, and then each is answered as alone.
func TestOneOfManyIsJudgedLikeOneAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		theirs, mates, waits := w.served("theirs", "ana"), w.served("mates", "bruno"), w.writes("waits", "north")
		hidden, shared := w.served("hidden", "vera"), w.served("shared", "emil")
		w.user("eve", "support", authz.RoleAgent)
		w.changeUser("carla", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) })
		ids := []int64{theirs, mates, waits, hidden, shared, 1 << 40}
		for _, who := range []string{"ana", "emil", "eve", "sue", "olga", "adam", "dev"} {
			for name, in := range map[string]desk.TransferContact{
				"nobody": {}, "an agent": {AgentID: w.id("dora")}, "themselves": {AgentID: w.id(who)}, "who is paused": {AgentID: w.id("carla")},
				"who does not serve": {AgentID: w.id("olga")}, "a group": {GroupID: w.at("south")}, "a hidden group": {GroupID: w.at("cellar")},
				"the root": {GroupID: w.at("root")}, "both": {AgentID: w.id("ana"), GroupID: w.at("north")},
			} {
				// The reason is too long, which is said last of what is said of everything.
				in.Reason = strings.Repeat("x", 1001)
				_, err := w.desk.TransferContacts(w.as(who), desk.TransferContacts{ContactIDs: ids, AgentID: in.AgentID, GroupID: in.GroupID, Reason: in.Reason})
				var whole, alone *refusal.Refusal
				if !errors.As(err, &whole) {
					t.Fatalf("%s to %s: %v", who, name, err)
				}
				for i, id := range ids {
					in.ContactID = id
					_, err := w.desk.TransferContact(w.as(who), in)
					if !errors.As(err, &alone) {
						t.Fatalf("%s to %s: %v", who, name, err)
					}
					if alone.Code != refusal.NotFoundCode && alone.Code != refusal.ForbiddenCode && *alone != *whole {
						t.Errorf("%s, item %d, to %s: %v alone, %v together", who, i, name, alone, whole)
					}
				}
			}
		}
		list, err := w.desk.TransferContacts(w.as("emil"), desk.TransferContacts{ContactIDs: ids, GroupID: w.at("support")})
		ok(t, err)
		if got, want := w.outcomesOf(list), "NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, shared, NOT_FOUND"; got != want {
			t.Errorf("emil: %s", got)
		}
		list, err = w.desk.TransferContacts(w.as("ana"), desk.TransferContacts{ContactIDs: ids, AgentID: w.id("bruno")})
		ok(t, err)
		if got, want := w.outcomesOf(list), "gone, NOT_FOUND, FORBIDDEN CONVERSATIONS_TRANSFER, NOT_FOUND, NOT_FOUND, NOT_FOUND"; got != want {
			t.Errorf("ana: %s", got)
		}
		w.isServedBy(theirs, "bruno")
	})
}

func TestManyConversationsAreClosed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two, hidden, done := w.served("one", "ana"), w.served("two", "carla"), w.served("hidden", "vera"), w.served("done", "ana")
		queued := w.writes("queued", "root")
		past := w.openOf(done).ID
		w.closes(done)
		before := w.recorded("CONVERSATION_CLOSED")
		ids := []int64{w.openOf(two).ID, past, w.openOf(hidden).ID, w.openOf(queued).ID, w.openOf(one).ID}
		list, err := w.desk.CloseConversations(w.as("ana"), desk.CloseConversations{ConversationIDs: ids})
		ok(t, err)
		var codes []string
		for _, c := range list {
			if c.Refused != nil {
				codes = append(codes, string(c.Refused.Code)+string(c.Refused.Reason)+c.Refused.Permission)
			} else if c.Conversation.ClosedAt == nil {
				t.Errorf("%v was answered as closed", c.Conversation)
			} else {
				codes = append(codes, "closed")
			}
		}
		if want := []string{"NOT_FOUND", "CONFLICTNOT_OPEN", "NOT_FOUND", "FORBIDDENCONVERSATIONS_CLOSE", "closed"}; !slices.Equal(codes, want) {
			t.Errorf("got %v; want %v", codes, want)
		}
		if w.openOf(one) != nil || w.openOf(two) == nil || w.recorded("CONVERSATION_CLOSED")-before != 1 {
			t.Error("what was answered is not what was done")
		}
		w.isServedBy(one, "ana")
	})
}

func TestWhatIsWrongWithACallForManyRefusesAllOfIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "north")
		call := func(who string, in desk.AssignContacts) error {
			_, err := w.desk.AssignContacts(w.as(who), in)
			return err
		}
		blames(t, call("sue", desk.AssignContacts{ContactIDs: []int64{c, c}, AgentID: w.id("ana")}), "input.contactIds")
		blames(t, call("sue", desk.AssignContacts{AgentID: w.id("ana")}), "input.contactIds")
		blames(t, call("sue", desk.AssignContacts{ContactIDs: make([]int64, desk.MaxBulk+1), AgentID: w.id("ana")}), "input.contactIds")
		blames(t, call("sue", desk.AssignContacts{ContactIDs: []int64{c}}), "input")
		refused(t, call("sue", desk.AssignContacts{ContactIDs: []int64{c}, AgentID: w.id("vera")}), refusal.NotFoundCode, "")
		refused(t, call("sue", desk.AssignContacts{ContactIDs: []int64{c}, GroupID: w.at("vault")}), refusal.NotFoundCode, "")
		w.changeAccount(func(u *ent.AccountUpdateOne) { u.SetReasonRequired(true) })
		refused(t, call("sue", desk.AssignContacts{ContactIDs: []int64{c}, AgentID: w.id("ana")}), refusal.BadUserInput, refusal.ReasonRequired)
		_, err := w.desk.CloseConversations(w.as("sue"), desk.CloseConversations{ConversationIDs: []int64{5, 5}})
		blames(t, err, "input.conversationIds")
		w.waitsIn(c, "north")
	})
}

// TestManyAtOnceByMany lets several people pass on the same contacts, in different orders, while others work on them.
func TestManyAtOnceByMany(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var ids []int64
		for i := range 12 {
			ids = append(ids, w.served(fmt.Sprint("kim ", i), []string{"ana", "bruno", "carla"}[i%3]))
		}
		sue, olga, ana := w.as("sue"), w.as("olga"), w.as("ana")
		backwards := slices.Clone(ids)
		slices.Reverse(backwards)
		for _, err := range together(8, func(i int) (err error) {
			switch i {
			case 0, 1:
				_, err = w.desk.AssignContacts(sue, desk.AssignContacts{ContactIDs: ids, AgentID: w.id("ana")})
			case 2, 3:
				_, err = w.desk.AssignContacts(olga, desk.AssignContacts{ContactIDs: backwards, AgentID: w.id("dora")})
			case 4:
				_, err = w.desk.TransferContacts(sue, desk.TransferContacts{ContactIDs: backwards, GroupID: w.at("south")})
			case 5:
				_, err = w.desk.TransferContacts(ana, desk.TransferContacts{ContactIDs: ids, GroupID: w.at("root")})
			default:
				_, err = w.desk.ReceiveMessage(olga, desk.ReceiveMessage{Channel: "test", Address: fmt.Sprint("kim ", i), Text: "Hello", ExternalID: fmt.Sprint("many ", i)})
			}
			return err
		}) {
			ok(t, err)
		}
		numbers := map[int64]bool{}
		for _, id := range ids {
			for _, c := range w.conversations(id) {
				if numbers[c.Number] {
					t.Errorf("the number %d was given twice", c.Number)
				}
				numbers[c.Number] = true
			}
			if open := w.openOf(id); open == nil {
				t.Errorf("contact %d lost its conversation", id)
			}
		}
	})
}
