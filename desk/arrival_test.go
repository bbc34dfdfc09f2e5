package desk_test

import (
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/message"
	"canopy/ent/generated/user"
	"canopy/refusal"
)

func (w *world) receives(who string, change func(*desk.ReceiveMessage)) (*desk.Received, error) {
	w.t.Helper()
	in := desk.ReceiveMessage{Channel: "WhatsApp", Address: "55 11 91234-1234", Text: "Hello", ExternalID: "first"}
	change(&in)
	return w.desk.ReceiveMessage(w.as(who), in)
}

func same(*desk.ReceiveMessage) {}

func (w *world) only() *ent.Contact {
	w.t.Helper()
	c, err := w.db.Read.Contact.Query().Only(all())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestTheFirstMessageOfAnAddressCreatesTheContactInTheArrivalGroup(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		got, err := w.receives("dev", same)
		ok(t, err)
		if got.Duplicate || got.ConversationNumber != 1 || got.Message != nil {
			t.Errorf("the answer to a developer, who sees no contacts, is %v", got)
		}
		c := w.only()
		w.waitsIn(c.ID, "root")
		if *c.Phone != "+5511912341234" || *c.Address != "+5511912341234" || *c.Channel != "whatsapp" || c.Name != "+55 •••• 1234" {
			t.Errorf("the contact is %v", c)
		}
		if v := w.openOf(c.ID); v.OpenedByID != nil || v.AgentID != nil {
			t.Errorf("the conversation is %v", v)
		}
		got, err = w.receives("olga", func(in *desk.ReceiveMessage) {
			name := " Lee  Low "
			in.Channel, in.Address, in.Name, in.ExternalID, in.GroupID = "telegram", "lee", &name, "second", w.at("north")
		})
		ok(t, err)
		if got.Message == nil || got.Message.Direction != message.DirectionINBOUND || got.Message.AuthorID != nil || got.ConversationNumber != 2 {
			t.Errorf("the answer is %v", got)
		}
		page, err := w.desk.Inbox(w.as("ana"), desk.Query{Box: desk.BoxQueue, First: 10})
		ok(t, err)
		if len(page.Entries) != 2 || page.Entries[1].Contact.Name != "Lee Low" || page.Entries[1].Contact.GroupID != w.groups["north"] {
			t.Errorf("the queue is %v", page.Entries)
		}
	})
}

func TestAMessageWithTheSameExternalIDArrivesOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, err := w.receives("dev", same)
		ok(t, err)
		events, row := w.lastEvent().ID, w.only().String()
		got, err := w.receives("olga", func(in *desk.ReceiveMessage) { in.Text = "Hello again" })
		ok(t, err)
		if !got.Duplicate || got.ConversationNumber != 1 || got.Message.Text != "Hello" {
			t.Errorf("the answer is %v", got)
		}
		if w.lastEvent().ID != events || w.only().String() != row {
			t.Error("a duplicate changed something")
		}
		for _, duplicate := range []bool{false, true} { // the same id on another channel
			got, err := w.receives("olga", func(in *desk.ReceiveMessage) { in.Channel, in.Address = "telegram", "lee" })
			ok(t, err)
			if got.Duplicate != duplicate || got.ConversationNumber != 2 {
				t.Errorf("the answer is %+v", got)
			}
		}
	})
}

func TestAKnownPhoneNumberIsLinkedToTheAddressOfTheFirstContactThatHasIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		phone := "+5511912341234"
		c, err := w.desk.CreateContact(w.as("sue"), desk.CreateContact{GroupID: w.groups["north"], Name: "Kim", Phone: &phone})
		ok(t, err)
		_, err = w.receives("dev", same)
		ok(t, err)
		linked := w.only()
		if linked.ID != c.ID || *linked.Address != phone || linked.GroupID != w.groups["north"] || linked.Name != "Kim" {
			t.Errorf("the contact is %v", linked)
		}
		// It stays linked to the one channel and is known by its number on another.
		_, err = w.receives("dev", func(in *desk.ReceiveMessage) { in.Channel, in.ExternalID = "sms", "second" })
		ok(t, err)
		if linked = w.only(); *linked.Channel != "whatsapp" {
			t.Errorf("the contact is %v", linked)
		}
		// Whoever makes another one of that number, and cannot see the first, diverts no messages.
		copied, err := w.desk.CreateContact(w.as("sue"), desk.CreateContact{GroupID: w.groups["north"], Name: "Lee", Phone: &phone})
		ok(t, err)
		_, err = w.receives("dev", func(in *desk.ReceiveMessage) { in.Channel, in.ExternalID = "sms", "third" })
		ok(t, err)
		if n, err := w.db.Read.Contact.Query().Count(all()); err != nil || n != 2 {
			t.Errorf("there are %d contacts, %v", n, err)
		}
		if n, err := w.db.Read.Conversation.Query().Where(conversation.ContactID(copied.ID)).Count(all()); err != nil || n != 0 {
			t.Errorf("the copy has %d conversations, %v", n, err)
		}
		// The address on a channel that is no phone's is not compared with numbers.
		_, err = w.receives("dev", func(in *desk.ReceiveMessage) { in.Channel, in.Address, in.ExternalID = "game", phone, "fourth" })
		ok(t, err)
		if n, err := w.db.Read.Contact.Query().Count(all()); err != nil || n != 3 {
			t.Errorf("there are %d contacts, %v", n, err)
		}
	})
}

func TestAReturningContactGoesToItsAgentWithinTheTimeAndAsLongAsTheyAreAvailable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("sales", func(u *ent.GroupUpdateOne) { u.SetReassignAfter(3600) })
		w.available("ana")
		c := w.served("kim", "ana")
		w.says("kim", nil)
		if len(w.conversations(c)) != 1 {
			t.Error("a message did not continue the open conversation")
		}
		w.closes(c)
		w.says("kim", nil)
		w.isServedBy(c, "ana")
		if list := w.conversations(c); len(list) != 2 || len(w.assignments(c)) != 1 || list[1].OpenedByID != nil {
			t.Errorf("the conversations are %v", list)
		}
		for why, passes := range map[string]func(){
			"it is too late":        func() { w.clock.passes(2 * time.Hour) },
			"the agent is away":     func() { w.changeUser("ana", func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAWAY) }) },
			"the agent is paused":   func() { w.changeUser("ana", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) }) },
			"there is no such time": func() { w.set("sales", func(u *ent.GroupUpdateOne) { u.SetReassignAfter(-1) }) },
		} {
			w.closes(c)
			passes()
			w.says("kim", nil)
			w.waitsIn(c, "north") // by MANUAL
			w.changeUser("ana", func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAVAILABLE).ClearAccessPausedAt() })
			w.set("sales", func(u *ent.GroupUpdateOne) { u.SetReassignAfter(3600) })
			if w.assigned(c, "ana"); t.Failed() {
				t.Fatal(why)
			}
		}
		w.set("sales", func(u *ent.GroupUpdateOne) { u.ClearReassignAfter() })
		w.closes(c)
		w.away("ana")
		w.says("kim", nil)
		w.isServedBy(c, "ana") // where nobody has said for how long
		w.closes(c)
		w.changeUser("ana", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED) })
		w.says("kim", nil)
		w.waitsIn(c, "north")
	})
}

func TestWhoMayHandInMessages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, without := range []string{"sue", "ana"} {
			_, err := w.receives(without, same)
			lacks(t, err, authz.IntegrationsManage)
			_, err = w.receives(without, func(in *desk.ReceiveMessage) { in.GroupID = w.at("vault") })
			refused(t, err, refusal.NotFoundCode, "")
		}
		for _, hidden := range []string{"north", "vault"} { // a developer sees their home group only
			_, err := w.receives("dev", func(in *desk.ReceiveMessage) { in.GroupID = w.at(hidden) })
			refused(t, err, refusal.NotFoundCode, "")
		}
		for _, with := range []string{"adam", "dev", "olga"} {
			_, err := w.receives(with, func(in *desk.ReceiveMessage) { in.ExternalID = with })
			ok(t, err)
		}
	})
}

func TestWhatArrivesHasLimits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		long := strings.Repeat("é", 4097)
		for field, change := range map[string]func(*desk.ReceiveMessage){
			"input.channel":    func(in *desk.ReceiveMessage) { in.Channel = " " },
			"input.address":    func(in *desk.ReceiveMessage) { in.Address = long },
			"input.name":       func(in *desk.ReceiveMessage) { in.Name = &long },
			"input.text":       func(in *desk.ReceiveMessage) { in.Text = long },
			"input.externalId": func(in *desk.ReceiveMessage) { in.ExternalID = "" },
		} {
			_, err := w.receives("dev", change)
			blames(t, err, field)
		}
		_, err := w.receives("dev", func(in *desk.ReceiveMessage) { in.Channel, in.Address = "Email", "Kim@Example.com" })
		ok(t, err)
		if c := w.only(); *c.Email != "kim@example.com" || c.Name != "k•••@example.com" {
			t.Errorf("the contact is %v", c)
		}
		_, err = w.receives("dev", func(in *desk.ReceiveMessage) { in.Channel, in.Address, in.ExternalID = "game", "7", "second" })
		ok(t, err)
	})
}
