package desk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/user"
	"canopy/refusal"
)

func (w *world) opens(who string, c int64) (*ent.Conversation, error) {
	w.t.Helper()
	return w.desk.OpenConversation(w.as(who), desk.OpenConversation{ContactID: c, Subject: " An  order "})
}

func TestOpeningByAnAgentMakesAnUnassignedContactTheirs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.arrives("kim", "north")
		got, err := w.opens("ana", c)
		ok(t, err)
		if got.Subject != "An order" || got.Number != 1 || *got.OpenedByID != w.users["ana"] {
			t.Errorf("the conversation is %v", got)
		}
		w.isServedBy(c, "ana")
		if a := w.assignments(c)[0]; a.Method != contactassignment.MethodOPENED || *a.TakenFromGroupID != w.groups["north"] {
			t.Errorf("the assignment is %v", a)
		}
		_, err = w.opens("ana", c)
		refused(t, err, refusal.ConflictCode, refusal.AlreadyOpen)
		// The owner serves too, at home in the root.
		c = w.arrives("lee", "north")
		_, err = w.opens("olga", c)
		ok(t, err)
		w.isServedBy(c, "olga")
		if w.row(c).GroupID != w.groups["root"] {
			t.Error("the contact did not move to the opener's home group")
		}
	})
}

func TestOpeningByWhoDoesNotServeLeavesTheContactWaiting(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.arrives("kim", "north")
		since := w.row(c).WaitingSince
		got, err := w.opens("sue", c)
		ok(t, err)
		w.waitsIn(c, "north")
		if got.AgentID != nil || !w.row(c).WaitingSince.Equal(*since) {
			t.Errorf("the conversation is %v, the contact waits since %v", got, w.row(c).WaitingSince)
		}
	})
}

func TestOpeningOnAnAssignedContactGoesToItsAgentWhoeverOpens(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.closes(c)
		w.isServedBy(c, "ana")
		got, err := w.opens("olga", c)
		ok(t, err)
		if *got.AgentID != w.users["ana"] || len(w.assignments(c)) != 1 {
			t.Errorf("the conversation is %v, the assignments %v", got, w.assignments(c))
		}
		w.isServedBy(c, "ana")
	})
}

func TestOpeningOnAContactWhoseAgentServesNoMoreIsLikeOnAnUnassignedOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, d := w.served("kim", "ana"), w.served("lee", "ana")
		w.closes(c)
		w.closes(d)
		w.changeUser("ana", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED) })
		_, err := w.opens("sue", c)
		ok(t, err)
		w.waitsIn(c, "north")
		_, err = w.opens("olga", d)
		ok(t, err)
		w.isServedBy(d, "olga")
	})
}

func TestWhoMayOpenAConversation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.arrives("kim", "sales")
		_, err := w.opens("ana", c) // in their queue, but CONVERSATIONS_OPEN reaches their group only
		lacks(t, err, authz.ConversationsOpen)
		for _, blind := range []string{"dora", "vera", "adam", "dev"} {
			_, err = w.opens(blind, c)
			refused(t, err, refusal.NotFoundCode, "")
		}
		_, err = w.desk.OpenConversation(w.as("sue"), desk.OpenConversation{ContactID: c, Subject: strings.Repeat("é", 201)})
		blames(t, err, "input.subject")
		_, err = w.desk.OpenConversation(w.as("sue"), desk.OpenConversation{ContactID: c, Subject: strings.Repeat("é", 200)})
		ok(t, err)
	})
}

func TestWhoOpensWithoutSeeingConversationsGetsNoneToSee(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.role("Greeter", authz.Pair{Permission: authz.ConversationsOpen, Scope: authz.ScopeSubtree},
			authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree})
		w.user("greta", "sales", "Greeter")
		c := w.arrives("kim", "north")
		got, err := w.opens("greta", c)
		ok(t, err)
		if got != nil || w.openOf(c) == nil {
			t.Errorf("greta got %v; the open conversation is %v", got, w.openOf(c))
		}
	})
}

func TestStartingAConversationCreatesTheContactInTheHomeGroup(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		phone, email := "+55 (11) 91234-1234", "kim@example.com"
		got, err := w.desk.StartConversation(w.as("ana"), desk.StartConversation{Name: "Kim", Phone: &phone})
		ok(t, err)
		w.isServedBy(got.Contact.ID, "ana")
		if got.Contact.GroupID != w.groups["north"] || *got.Contact.Phone != "+5511912341234" || *got.Conversation.AgentID != w.users["ana"] {
			t.Errorf("the answer is %v, %v", got.Contact, got.Conversation)
		}
		got, err = w.desk.StartConversation(w.as("sue"), desk.StartConversation{Name: "Lee", Email: &email})
		ok(t, err)
		w.waitsIn(got.Contact.ID, "sales")
		_, err = w.desk.StartConversation(w.as("ana"), desk.StartConversation{Name: "Kim"})
		blames(t, err, "input.phone")
		for _, without := range []string{"adam", "dev"} {
			_, err = w.desk.StartConversation(w.as(without), desk.StartConversation{Name: "Kim", Phone: &phone})
			lacks(t, err, authz.ConversationsOpen)
		}
	})
}

func TestWhoStartsWithoutSeeingContactsGetsNoneToSee(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.role("Greeter", authz.Pair{Permission: authz.ConversationsOpen, Scope: authz.ScopeGroup})
		w.user("greta", "north", "Greeter")
		phone := "+5511912341234"
		got, err := w.desk.StartConversation(w.as("greta"), desk.StartConversation{Name: "Kim", Phone: &phone})
		ok(t, err)
		if got.Contact != nil || got.Conversation != nil {
			t.Errorf("the answer is %v, %v", got.Contact, got.Conversation)
		}
	})
}

func TestClosingKeepsTheAssignment(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		v := w.openOf(c).ID
		closeAs := func(who string) error {
			_, err := w.desk.CloseConversation(w.as(who), desk.CloseConversation{ConversationID: v})
			return err
		}
		for _, blind := range []string{"bruno", "dora", "vera", "adam"} {
			refused(t, closeAs(blind), refusal.NotFoundCode, "")
		}
		ok(t, closeAs("ana"))
		w.isServedBy(c, "ana")
		list := w.conversations(c)
		if len(list) != 1 || list[0].ClosedAt == nil || *list[0].ClosedByID != w.users["ana"] || !w.row(c).LastActivityAt.Equal(*list[0].ClosedAt) {
			t.Errorf("the conversations are %v", list)
		}
		refused(t, closeAs("sue"), refusal.ConflictCode, refusal.NotOpen)
		// A teammate sees it by the Shared Inbox.
		v = w.openOf(w.served("lee", "dora")).ID
		lacks(t, closeAs("emil"), authz.ConversationsClose)
		// Waiting contacts stay in the queue.
		d := w.writes("max", "north")
		v = w.openOf(d).ID
		ok(t, closeAs("sue"))
		w.waitsIn(d, "north")
	})
}

func TestNumbersCountUpWithinTheAccount(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "north")
		w.writes("lee", "north")
		w.assigned(c, "ana")
		w.assigned(c, "bruno")
		mine := w.account
		groups, users, roles := w.groups, w.users, w.roles
		w.account, w.groups, w.users, w.roles = w.newAccount("birch")
		other := w.writes("kim", "root")
		if n := w.openOf(other).Number; n != 1 {
			t.Errorf("the first number of another account is %d", n)
		}
		w.account, w.groups, w.users, w.roles = mine, groups, users, roles
		if list := w.conversations(c); len(list) != 2 || list[0].Number != 1 || list[1].Number != 3 {
			t.Errorf("the conversations are %v", list)
		}
	})
}

// TestTheQueueIsSortedBySinceWhenWhatIsClosedWaits closes conversations of contacts that wait, or comes to.
func TestTheQueueIsSortedBySinceWhenWhatIsClosedWaits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		sorted := func(what string, want ...string) {
			t.Helper()
			page, err := w.desk.Inbox(w.as("olga"), desk.Query{Box: desk.BoxQueue, First: 10})
			ok(t, err)
			var got []string
			var last time.Time
			for _, e := range page.Entries {
				if e.Contact.WaitingSince.Before(last) {
					t.Errorf("%s: %s waits since %v, after one who waits since %v", what, e.Contact.Name, e.Contact.WaitingSince, last)
				}
				got, last = append(got, e.Contact.Name), *e.Contact.WaitingSince
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: the queue is %v", what, got)
			}
		}
		gone := w.served("gone", "ana")
		kim, _ := w.writes("kim", "root"), w.writes("lee", "root")
		sorted("at first", "kim", "lee")
		w.closes(kim)
		sorted("closed while it waits", "lee", "kim")
		w.closes(gone)
		w.arrives("new", "root")
		_, err := w.desk.TransferContact(w.as("olga"), desk.TransferContact{ContactID: gone, GroupID: ref(w.groups["root"])})
		ok(t, err)
		sorted("closed, and given back", "lee", "kim", "new", "gone")
		w.says("kim", nil)
		sorted("open again", "lee", "new", "gone", "kim")
	})
}
