package desk_test

import (
	"testing"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/user"
	"canopy/refusal"
)

func (w *world) assigns(who string, c int64, agent, group *int64) (*desk.Assigned, error) {
	w.t.Helper()
	return w.desk.AssignContact(w.as(who), desk.AssignContact{ContactID: c, AgentID: agent, GroupID: group})
}

func (w *world) transfers(who string, c int64, agent, group *int64) (*desk.Assigned, error) {
	w.t.Helper()
	return w.desk.TransferContact(w.as(who), desk.TransferContact{ContactID: c, AgentID: agent, GroupID: group})
}

func TestTheFirstAssignmentOfAWaitingContactContinuesItsOpenConversation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "sales")
		got, err := w.assigns("sue", c, w.id("ana"), nil)
		ok(t, err)
		w.isServedBy(c, "ana")
		a := got.Assignment
		if a == nil || a.Method != contactassignment.MethodASSIGNED || *a.TakenFromGroupID != w.groups["sales"] || *a.AssignedByID != w.users["sue"] {
			t.Errorf("the assignment is %v", a)
		}
		if n := len(w.conversations(c)); n != 1 {
			t.Errorf("there are %d conversations", n)
		}
		if row := w.row(c); row.GroupID != w.groups["north"] || row.ArrivalGroupID != w.groups["sales"] {
			t.Errorf("the contact is %v", row)
		}
	})
}

func TestALaterChangeOfAgentClosesTheConversationAndOpensTheNext(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		got, err := w.transfers("ana", c, w.id("bruno"), nil)
		ok(t, err)
		w.isServedBy(c, "bruno")
		if got.Contact != nil || got.Assignment != nil {
			t.Errorf("ana still sees %v, %v", got.Contact, got.Assignment)
		}
		list := w.conversations(c)
		if len(list) != 2 || list[0].ClosedAt == nil || *list[0].ClosedByID != w.users["ana"] || *list[0].AgentID != w.users["ana"] ||
			list[1].ClosedAt != nil || *list[1].AgentID != w.users["bruno"] || list[1].Number != list[0].Number+1 {
			t.Errorf("the conversations are %v", list)
		}
		a := w.assignments(c)
		if len(a) != 2 || a[0].EndedAt == nil || a[1].Method != contactassignment.MethodTRANSFERRED || a[1].TakenFromGroupID != nil {
			t.Errorf("the assignments are %v", a)
		}
	})
}

func TestSentToAGroupTheContactIsUnassignedThereAndWaits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		got, err := w.transfers("ana", c, nil, w.at("root"))
		ok(t, err)
		w.waitsIn(c, "root")
		if got.Contact == nil || got.Assignment != nil {
			t.Errorf("the answer is %v; root is in the queue of ana", got)
		}
		list := w.conversations(c)
		if len(list) != 2 || list[0].ClosedAt == nil || list[1].ClosedAt != nil || list[1].AgentID != nil {
			t.Errorf("the conversations are %v", list)
		}
		since := *w.row(c).WaitingSince
		_, err = w.assigns("olga", c, nil, w.at("south"))
		ok(t, err)
		w.waitsIn(c, "south")
		if len(w.conversations(c)) != 2 || !w.row(c).WaitingSince.Equal(since) {
			t.Error("sending a waiting contact to another queue began a new wait or conversation")
		}
	})
}

func TestWithoutAnOpenConversationATransferOpensNone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.closes(c)
		_, err := w.assigns("sue", c, w.id("carla"), nil)
		ok(t, err)
		w.isServedBy(c, "carla")
		_, err = w.assigns("sue", c, nil, w.at("sales"))
		ok(t, err)
		w.waitsIn(c, "sales")
		if list := w.conversations(c); len(list) != 1 || *list[0].AgentID != w.users["ana"] {
			t.Errorf("the conversations are %v", list)
		}
	})
}

func TestAssigningToTheAgentWhoServesAlreadyIsAConflict(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		_, err := w.assigns("sue", c, w.id("ana"), nil)
		refused(t, err, refusal.ConflictCode, refusal.AlreadyAssigned)
		if len(w.conversations(c)) != 1 || len(w.assignments(c)) != 1 {
			t.Error("it changed something")
		}
	})
}

func TestWhoMayAssignAndWhoMayTransfer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		for _, blind := range []string{"bruno", "carla", "dora", "vera", "adam", "dev"} {
			_, err := w.assigns(blind, c, w.id(blind), nil)
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.transfers(blind, c, w.id(blind), nil)
			refused(t, err, refusal.NotFoundCode, "")
		}
		_, err := w.assigns("ana", c, w.id("bruno"), nil)
		lacks(t, err, authz.ConversationsAssign)
		_, err = w.transfers("ana", c, w.id("bruno"), nil)
		ok(t, err)
		for i, allowed := range []string{"sue", "olga", "sue", "olga"} {
			to, act := w.id([]string{"ana", "bruno"}[i%2]), []func(string, int64, *int64, *int64) (*desk.Assigned, error){w.assigns, w.transfers}[i/2]
			_, err = act(allowed, c, to, nil)
			ok(t, err)
		}
		// Beside the supervised branch, and behind the wall.
		for _, agent := range []string{"dora", "vera"} {
			_, err = w.assigns("sue", w.served("of "+agent, agent), w.id("ana"), nil)
			refused(t, err, refusal.NotFoundCode, "")
		}
		// A teammate's contact is visible by the Shared Inbox, and still not theirs to pass on.
		_, err = w.transfers("emil", w.served("lee", "dora"), w.id("emil"), nil)
		lacks(t, err, authz.ConversationsTransfer)
		_, err = w.desk.AssignContact(t.Context(), desk.AssignContact{ContactID: c, AgentID: w.id("ana")})
		refused(t, err, refusal.Unauthenticated, "")
	})
}

func TestAReceiverIsAnAgentWhoServesAndWhoseCardTheViewerSees(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		for _, hidden := range []string{"carla", "dora", "vera", "sue", "adam"} {
			_, err := w.transfers("ana", c, w.id(hidden), nil)
			refused(t, err, refusal.NotFoundCode, "")
		}
		nobody := int64(0)
		_, err := w.transfers("ana", c, &nobody, nil)
		refused(t, err, refusal.NotFoundCode, "")
		// Beside AGENT_PANEL_VIEW, serving a contact that the viewer sees shows a card.
		_, err = w.transfers("sue", c, w.id("carla"), nil)
		ok(t, err)
		w.isServedBy(c, "carla")
	})
}

func TestAVisibleUserWhoDoesNotServeIsNotServing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.user("ines", "north", authz.RoleAgent)
		w.changeUser("ines", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusINVITED) })
		w.user("dan", "north", authz.RoleAgent)
		w.changeUser("dan", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED) })
		w.changeUser("bruno", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) })
		for _, idle := range []string{"sue", "ines", "dan", "bruno", "adam"} { // the owner sees every user
			_, err := w.assigns("olga", c, w.id(idle), nil)
			refused(t, err, refusal.ConflictCode, refusal.NotServing)
		}
		// The supervisor sees cards and no users: only the paused agent has a card.
		_, err := w.assigns("sue", c, w.id("bruno"), nil)
		refused(t, err, refusal.ConflictCode, refusal.NotServing)
		_, err = w.assigns("sue", c, w.id("dan"), nil)
		refused(t, err, refusal.NotFoundCode, "")
		w.isServedBy(c, "ana")
	})
}

func TestAReceivingGroupIsOneThatTheViewerSeesOrThatIsAboveTheirHome(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i, at := range []string{"north", "sales", "root"} { // above their home, though they see only that
			_, err := w.transfers("ana", w.served("kim "+string(rune('a'+i)), "ana"), nil, w.at(at))
			ok(t, err)
		}
		c := w.served("kim", "ana")
		nowhere := int64(0)
		for _, id := range []*int64{w.at("south"), w.at("support"), w.at("vault"), &nowhere} {
			_, err := w.transfers("ana", c, nil, id)
			refused(t, err, refusal.NotFoundCode, "")
		}
		_, err := w.transfers("sue", c, nil, w.at("south"))
		ok(t, err)
		_, err = w.transfers("sue", c, nil, w.at("vault"))
		refused(t, err, refusal.NotFoundCode, "")
	})
}

func TestExactlyOneReceiverIsNamedAndRefusalsComeInTheirOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		nobody := int64(0)
		_, err := w.assigns("sue", c, nil, nil)
		blames(t, err, "input")
		_, err = w.assigns("sue", c, w.id("bruno"), w.at("north"))
		blames(t, err, "input")
		_, err = w.assigns("sue", c, w.id("bruno"), &nobody)
		refused(t, err, refusal.NotFoundCode, "")
		_, err = w.assigns("ana", c, &nobody, nil)
		refused(t, err, refusal.NotFoundCode, "")
		_, err = w.assigns("ana", c, nil, nil)
		lacks(t, err, authz.ConversationsAssign)
		w.changeUser("bruno", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) })
		_, err = w.desk.AssignContact(w.as("sue"), desk.AssignContact{ContactID: c, AgentID: w.id("bruno"), Reason: string(make([]byte, 2000))})
		blames(t, err, "input.reason")
	})
}

func TestAnAccountThatRequiresReasonsGetsThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.changeAccount(func(u *ent.AccountUpdateOne) { u.SetReasonRequired(true) })
		_, err := w.assigns("sue", c, w.id("carla"), nil)
		refused(t, err, refusal.BadUserInput, refusal.ReasonRequired)
		_, err = w.transfers("sue", c, w.id("carla"), nil)
		refused(t, err, refusal.BadUserInput, refusal.ReasonRequired)
		refused(t, w.desk.DeleteContact(w.as("sue"), desk.DeleteContact{ContactID: c, Reason: " "}), refusal.BadUserInput, refusal.ReasonRequired)
		_, err = w.desk.AssignContact(w.as("sue"), desk.AssignContact{ContactID: c, AgentID: w.id("carla"), Reason: "Speaks Czech"})
		ok(t, err)
		if e := w.lastEvent(); e.Reason != "Speaks Czech" || e.Action != "CONTACT_ASSIGNED" {
			t.Errorf("the audit event is %v", e)
		}
		if a := w.assignments(c); a[len(a)-1].Explanation != "Speaks Czech" {
			t.Errorf("the explanation is %q", a[len(a)-1].Explanation)
		}
	})
}
