package desk_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/timers"
)

// entries are those of the contact, the oldest first.
func (w *world) entries(c int64) []*ent.HistoryEntry {
	w.t.Helper()
	list, err := w.db.Read.HistoryEntry.Query().Where(historyentry.ContactID(c)).Order(historyentry.ByID()).All(all())
	ok(w.t, err)
	return list
}

// tale is the history of the contact in short: what, by whom, from whom or where, to whom or where.
func (w *world) tale(c int64) string {
	w.t.Helper()
	name := func(names map[string]int64, id *int64) string {
		for n, number := range names {
			if id != nil && number == *id {
				return n
			}
		}
		return "-"
	}
	var lines []string
	for _, e := range w.entries(c) {
		lines = append(lines, fmt.Sprintf("%s by %s: %s in %s to %s in %s", e.Kind, name(w.users, e.DoneByID), name(w.users, e.FromAgentID),
			name(w.groups, e.FromGroupID), name(w.users, e.ToAgentID), name(w.groups, e.ToGroupID)))
	}
	return strings.Join(lines, "\n")
}

func tells(t *testing.T, got string, want ...string) {
	t.Helper()
	if text := strings.Join(want, "\n"); got != text {
		t.Errorf("the history is\n%s\nand should be\n%s", got, text)
	}
}

func TestTheHistoryOfAContactTellsWhatMovedIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("Kim", "sales")
		_, err := w.desk.ClaimContact(w.as("ana"), desk.ClaimContact{ContactID: c})
		ok(t, err)
		_, err = w.desk.TransferContact(w.as("ana"), desk.TransferContact{ContactID: c, AgentID: w.id("bruno"), Reason: "Speaks French"})
		ok(t, err)
		_, err = w.desk.AssignContact(w.as("sue"), desk.AssignContact{ContactID: c, GroupID: w.at("south")})
		ok(t, err)
		w.assigned(c, "carla")
		w.closes(c)
		w.says("Kim", nil)
		_, err = w.leaves("carla", "adam", desk.HandOverToAgent, w.users["ana"])
		ok(t, err)
		tells(t, w.tale(c),
			"ARRIVED by -: - in - to - in sales",
			"OPENED by -: - in sales to - in sales",
			"CLAIMED by ana: - in sales to ana in north",
			"TRANSFERRED by ana: ana in north to bruno in north",
			"ASSIGNED by sue: bruno in north to - in south",
			"ASSIGNED by olga: - in south to carla in south",
			"CLOSED by olga: carla in south to carla in south",
			"OPENED by -: carla in south to carla in south",
			"HANDED_OVER by adam: carla in south to ana in north")
		conversations, list := w.conversations(c), w.entries(c)
		of := func(i int) (open, before int64) {
			if list[i].ConversationID != nil {
				open = *list[i].ConversationID
			}
			if list[i].PreviousConversationID != nil {
				before = *list[i].PreviousConversationID
			}
			return open, before
		}
		for i, want := range [][2]int{{-1, -1}, {0, -1}, {0, -1}, {1, 0}, {2, 1}, {2, -1}, {2, -1}, {3, -1}, {4, 3}} {
			open, before := of(i)
			number := func(n int) int64 {
				if n < 0 {
					return 0
				}
				return conversations[n].ID
			}
			if open != number(want[0]) || before != number(want[1]) {
				t.Errorf("entry %d, %s, names the conversations %d and %d; want the %dth and %dth of %d", i, list[i].Kind, open, before, want[0], want[1], len(conversations))
			}
		}
		if e := list[3]; e.Reason != "Speaks French" || e.Explanation == "" || e.AssignmentID == nil || *e.Method != historyentry.MethodTRANSFERRED {
			t.Errorf("the transfer is told as %v", e)
		}
		for _, a := range w.assignments(c) {
			n := 0
			for _, e := range list {
				if e.AssignmentID != nil && *e.AssignmentID == a.ID {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d entries say how the assignment %d began", n, a.ID)
			}
		}
	})
}

func TestHistoriesBeginWhereContactsDo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		tells(t, w.tale(w.arrives("Lee", "support")), "ARRIVED by olga: - in - to - in support", "QUEUED by -: - in support to - in support")
		s, err := w.desk.StartConversation(w.as("ana"), desk.StartConversation{Name: "Max", Phone: ptr("+5511912345678")})
		ok(t, err)
		tells(t, w.tale(s.Contact.ID), "ARRIVED by ana: - in - to - in north", "OPENED by ana: - in north to ana in north")
		_, err = w.desk.CloseConversation(w.as("ana"), desk.CloseConversation{ConversationID: s.Conversation.ID})
		ok(t, err)
		_, err = w.desk.OpenConversation(w.as("ana"), desk.OpenConversation{ContactID: s.Contact.ID})
		ok(t, err)
		tells(t, strings.Join(strings.Split(w.tale(s.Contact.ID), "\n")[2:], "\n"), "CLOSED by ana: ana in north to ana in north",
			"OPENED by ana: ana in north to ana in north")
	})
}

func TestAHistoryGoesWithItsContact(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		w.closes(c)
		w.says("Kim", nil)
		w.assigned(c, "bruno")
		ok(t, w.desk.DeleteContact(w.as("olga"), desk.DeleteContact{ContactID: c}))
		if n := w.db.Read.HistoryEntry.Query().CountX(all()); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		if n := w.db.Read.Contact.Query().Where(contact.ID(c)).CountX(all()); n != 0 {
			t.Error("the contact is left")
		}
	})
}

// What the histories say is shown to whoever sees the contact, so it names nobody and nothing.
func TestHistoriesNameNobody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		w.covers("ana", "bruno", "ana")
		_, err := w.desk.EndCover(w.as("ana"), desk.EndCover{AgentID: w.users["ana"]})
		ok(t, err)
		w.closes(c)
		for _, e := range w.entries(c) {
			for name := range w.users {
				if strings.Contains(strings.ToLower(e.Explanation), name+" ") {
					t.Errorf("%s names %s: %s", e.Kind, name, e.Explanation)
				}
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }

// during is the history of the contact's open conversation in short, with who was considered.
func (w *world) during(c int64) string {
	w.t.Helper()
	list, err := w.db.Read.HistoryEntry.Query().Where(historyentry.ConversationID(w.openOf(c).ID)).Order(historyentry.ByID()).All(all())
	ok(w.t, err)
	name := func(id int64) string {
		for n, number := range w.users {
			if number == id {
				return n
			}
		}
		return "-"
	}
	var lines []string
	for _, e := range list {
		line := string(e.Kind)
		if e.ToAgentID != nil {
			line += " to " + name(*e.ToAgentID)
		}
		candidates, err := desk.Candidates(e)
		ok(w.t, err)
		for _, one := range candidates {
			line += fmt.Sprintf(" (%s %s)", name(one.UserID), one.Outcome)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestAHistoryTellsOfOffersAndOfTheQueueAbove(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetEscalateAfter(300) })
		c := w.writes("kim", "support")
		first := w.offeredTo(c)
		w.after(61 * time.Second)
		second := w.offeredTo(c)
		ok(t, w.desk.DeclineOffer(w.as(second), desk.DeclineOffer{ContactID: c}))
		w.after(301 * time.Second)
		tells(t, w.during(c),
			"OPENED",
			fmt.Sprintf("OFFERED to %s (%s ASKED) (%s LEFT_OUT)", first, first, second),
			"OFFER_ENDED to "+first,
			fmt.Sprintf("OFFERED to %s (%s ASKED) (%s ASKED)", second, second, first),
			"OFFER_DECLINED to "+second,
			fmt.Sprintf("QUEUED (%s ASKED) (%s ASKED)", first, second),
			"ESCALATED")
	})
}

// TestAHistoryTellsOfEachBeginning lets a contact come back in each way: that its conversation began is an entry of its own,
// before what came of it.
func TestAHistoryTellsOfEachBeginning(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetReassignAfter(1) })
		w.available("dora")
		c := w.writes("kim", "support")
		w.closes(c)
		w.away("dora")
		w.available("emil")
		w.after(time.Minute)
		w.says("kim", nil)
		tells(t, w.tale(c),
			"ARRIVED by -: - in - to - in support",
			"OPENED by -: - in support to - in support",
			"DISTRIBUTED by -: - in support to dora in support",
			"CLOSED by olga: dora in support to dora in support",
			"OPENED by -: dora in support to - in support",
			"DISTRIBUTED by -: dora in support to emil in support")

		w.available("ana", "bruno")
		lee := w.served("lee", "ana")
		w.closes(lee)
		w.available("bruno")
		w.covers("ana", "bruno", "ana")
		w.says("lee", nil)
		_, err := w.desk.EndCover(w.as("ana"), desk.EndCover{AgentID: w.users["ana"]})
		ok(t, err)
		tells(t, strings.Join(strings.Split(w.tale(lee), "\n")[3:], "\n"),
			"CLOSED by olga: ana in north to ana in north",
			"OPENED by -: ana in north to ana in north",
			"COVERED by -: ana in north to bruno in north",
			"BROUGHT_BACK by ana: bruno in north to ana in north")
	})
}

func TestAHistorySaysWhyNobodyGotWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeROUND_ROBIN) })
		w.away("dora", "emil")
		c := w.writes("kim", "support")
		tells(t, w.during(c), "OPENED (dora UNAVAILABLE) (emil UNAVAILABLE)")
		w.assigned(c, "ana")
		_, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: c, GroupID: w.at("support")})
		ok(t, err)
		tells(t, w.during(c), "ASSIGNED", "QUEUED (dora UNAVAILABLE) (emil UNAVAILABLE)")

		w.assigned(c, "dora")
		w.available("dora")
		_, err = w.desk.TransferContact(w.as("dora"), desk.TransferContact{ContactID: c, GroupID: w.at("support")})
		ok(t, err)
		w.available("emil")
		w.due(timers.Distribute, w.groups["support"])
		w.after(0)
		tells(t, w.during(c), "TRANSFERRED", "QUEUED (emil UNAVAILABLE) (dora SERVED_BEFORE)", "DISTRIBUTED to emil (emil CHOSEN) (dora SERVED_BEFORE)")
	})
}
