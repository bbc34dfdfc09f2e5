package desk_test

import (
	"context"
	"testing"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/group"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/refusal"
)

func (w *world) claims(who string, c int64) (*desk.Assigned, error) {
	w.t.Helper()
	return w.desk.ClaimContact(w.as(who), desk.ClaimContact{ContactID: c})
}

func TestAClaimMovesTheContactToTheHomeGroupOfTheClaimerAndContinuesItsConversation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "root")
		opened := w.openOf(c)
		got, err := w.claims("ana", c)
		ok(t, err)
		if got.Contact == nil || got.Contact.GroupID != w.groups["north"] || got.Contact.ArrivalGroupID != w.groups["root"] {
			t.Errorf("the contact is %v", got.Contact)
		}
		a := got.Assignment
		if a == nil || a.Method != contactassignment.MethodCLAIM || *a.TakenFromGroupID != w.groups["root"] || *a.AssignedByID != w.users["ana"] || a.Explanation == "" {
			t.Errorf("the assignment is %v", a)
		}
		w.isServedBy(c, "ana")
		if now := w.openOf(c); now.ID != opened.ID || now.Number != opened.Number {
			t.Errorf("the first assignment changed the conversation %v to %v", opened, now)
		}
		if e := w.lastEvent(); e.Action != "CONTACT_CLAIMED" || *e.UserID != w.users["ana"] {
			t.Errorf("the audit event is %v", e)
		}
	})
}

func TestAClaimReachesTheOwnGroupAndThoseAboveAndNoOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, at := range []string{"north", "sales", "root"} {
			_, err := w.claims("ana", w.writes("in "+at, at))
			ok(t, err)
		}
		for _, at := range []string{"south", "support", "vault"} {
			_, err := w.claims("ana", w.writes("in "+at, at))
			refused(t, err, refusal.NotFoundCode, "")
		}
		_, err := w.claims("ana", 0)
		refused(t, err, refusal.NotFoundCode, "")
		// Walls do not stop what looks up.
		_, err = w.claims("vic", w.writes("above the wall", "root"))
		ok(t, err)
	})
}

func TestAVisibleContactOutsideTheQueueIsForbiddenToClaim(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		// Shared Inbox shows it, and assignment is not MANUAL.
		_, err := w.claims("dora", w.writes("kim", "support"))
		lacks(t, err, authz.QueueClaim)
		_, err = w.claims("sue", w.writes("lee", "north"))
		lacks(t, err, authz.QueueClaim)
	})
}

func TestTheLoserOfAClaimHearsAlreadyAssignedIfItWasInTheirQueueAndEverybodyElseNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("elsewhere", "root")
		w.user("eve", "elsewhere", authz.RoleAgent)
		w.user("mia", "sales", authz.RoleAgent)
		c := w.writes("kim", "sales")
		_, err := w.claims("ana", c)
		ok(t, err)
		before, events := w.row(c), w.lastEvent().ID
		for _, loser := range []string{"bruno", "carla", "mia", "ana"} {
			_, err = w.claims(loser, c)
			refused(t, err, refusal.ConflictCode, refusal.AlreadyAssigned)
		}
		for _, other := range []string{"eve", "dora", "vera", "sue", "adam", "dev"} {
			_, err = w.claims(other, c)
			refused(t, err, refusal.NotFoundCode, "")
		}
		if after := w.row(c); after.String() != before.String() || w.lastEvent().ID != events || len(w.assignments(c)) != 1 {
			t.Error("a lost claim changed something")
		}
	})
}

func TestWhoDidNotLoseTheClaimToTheCurrentAssignmentHearsNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "sales")
		_, err := w.claims("ana", c)
		ok(t, err)
		w.assigned(c, "bruno") // not out of a queue
		_, err = w.claims("carla", c)
		refused(t, err, refusal.NotFoundCode, "")
	})
}

func TestWhoGotTheQueueAfterTheClaimHearsNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "sales")
		_, err := w.claims("ana", c)
		ok(t, err)
		w.user("late", "sales", authz.RoleAgent)
		_, err = w.claims("late", c)
		refused(t, err, refusal.NotFoundCode, "")
	})
}

func TestWhoArrivesWithAnAgentWasInNobodysQueue(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		email := "new@customer.example"
		started, err := w.desk.StartConversation(w.as("ana"), desk.StartConversation{Name: "New", Email: &email})
		ok(t, err)
		_, err = w.desk.ClaimContact(w.as("bruno"), desk.ClaimContact{ContactID: started.Contact.ID})
		refused(t, err, refusal.NotFoundCode, "")
	})
}

func TestAnAssignmentBySomebodyElseBeatsAClaimToo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "sales")
		w.assigned(c, "carla")
		_, err := w.claims("ana", c)
		refused(t, err, refusal.ConflictCode, refusal.AlreadyAssigned)
	})
}

func TestNoContactOfAnotherAccountIsFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		waiting := w.writes("lee", "root")
		conversation := w.openOf(c).ID
		mine := w.account
		w.account, w.groups, w.users, w.roles = w.newAccount("birch")
		olga := w.as("olga")
		for _, id := range []int64{c, waiting} {
			_, err := w.desk.ClaimContact(olga, desk.ClaimContact{ContactID: id})
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.desk.AssignContact(olga, desk.AssignContact{ContactID: id, AgentID: w.id("olga")})
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.desk.OpenConversation(olga, desk.OpenConversation{ContactID: id})
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.desk.UpdateContact(olga, desk.UpdateContact{ContactID: id})
			refused(t, err, refusal.NotFoundCode, "")
			refused(t, w.desk.DeleteContact(olga, desk.DeleteContact{ContactID: id}), refusal.NotFoundCode, "")
		}
		_, err := w.desk.SendMessage(olga, desk.SendMessage{ConversationID: conversation, Text: "Hello"})
		refused(t, err, refusal.NotFoundCode, "")
		_, err = w.desk.CloseConversation(olga, desk.CloseConversation{ConversationID: conversation})
		refused(t, err, refusal.NotFoundCode, "")
		page, err := w.desk.Contacts(olga, desk.ContactsQuery{First: 10})
		ok(t, err)
		if len(page.Entries) != 0 {
			t.Errorf("the list has %v of another account", page.Entries)
		}
		w.account = mine
	})
}

func TestNobodyLoggedInGetsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		nobody := t.Context()
		_, err := w.desk.ClaimContact(nobody, desk.ClaimContact{ContactID: w.writes("kim", "root")})
		refused(t, err, refusal.Unauthenticated, "")
		_, err = w.desk.Inbox(nobody, desk.Query{Box: desk.BoxQueue, First: 1})
		refused(t, err, refusal.Unauthenticated, "")
		_, err = w.desk.ContactsCount(nobody, desk.ContactsQuery{})
		refused(t, err, refusal.Unauthenticated, "")
	})
}

func TestWhoIsDeactivatedOrPausedWhileTheRequestRunsTakesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "root")
		ana, bruno := w.as("ana"), w.as("bruno")
		w.changeUser("ana", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED) })
		w.changeUser("bruno", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) })
		_, err := w.desk.ClaimContact(ana, desk.ClaimContact{ContactID: c})
		refused(t, err, refusal.Unauthenticated, "")
		_, err = w.desk.ClaimContact(bruno, desk.ClaimContact{ContactID: c})
		refused(t, err, refusal.Unauthenticated, refusal.AccessPaused)
		w.waitsIn(c, "root")
	})
}

func TestWhoServesAContactHearsSoOnlyWhileTheySeeIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		_, err := w.claims("ana", c)
		refused(t, err, refusal.ConflictCode, refusal.AlreadyAssigned)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.RoleGrant.Update().Where(rolegrant.UserID(w.users["ana"])).SetRevokedAt(w.clock.Now()).Exec(ctx)
		})
		_, err = w.claims("ana", c)
		refused(t, err, refusal.NotFoundCode, "")
	})
}

// Consequence 7 of section 3 of the domain.
func TestTurningManualOffTakesEffectOnTheNextRequest(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "sales")
		page, err := w.desk.Inbox(w.as("ana"), desk.Query{Box: desk.BoxQueue, First: 10})
		ok(t, err)
		if len(page.Entries) != 1 {
			t.Fatalf("the queue has %d contacts", len(page.Entries))
		}
		w.set("sales", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeROUND_ROBIN) })
		page, err = w.desk.Inbox(w.as("ana"), desk.Query{Box: desk.BoxQueue, First: 10})
		ok(t, err)
		if len(page.Entries) != 0 {
			t.Errorf("the queue still has %d contacts", len(page.Entries))
		}
		_, err = w.claims("ana", c)
		refused(t, err, refusal.NotFoundCode, "")
		w.set("sales", func(u *ent.GroupUpdateOne) { u.ClearAssignmentMode() })
		_, err = w.claims("ana", c)
		ok(t, err)
	})
}
