package desk_test

import (
	"context"
	"testing"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/user"
	"canopy/refusal"
)

// leaves deactivates a user in the name of somebody and hands their contacts over, as directory does.
func (w *world) leaves(leaver, by, method string, agentID int64) (n int, err error) {
	w.t.Helper()
	err = w.db.Write(w.as(by), func(ctx context.Context, tx *ent.Tx) error {
		u, err := tx.User.UpdateOneID(w.users[leaver]).SetStatus(user.StatusDEACTIVATED).Save(authz.Trusted(ctx))
		if err != nil {
			return err
		}
		return w.desk.HandOver(ctx, tx, u, method, agentID, func(int64, int64, int64) { n++ })
	})
	return n, err
}

func TestOnlyContactsWithAnOpenConversationAreHandedOver(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two, closed, other := w.served("one", "ana"), w.served("two", "ana"), w.served("closed", "ana"), w.served("other", "bruno")
		w.closes(closed)
		n, err := w.leaves("ana", "adam", desk.HandOverToAgent, w.users["carla"]) // adam sees every card and no contact
		ok(t, err)
		if n != 2 {
			t.Errorf("%d contacts were handed over", n)
		}
		for _, c := range []int64{one, two} {
			w.isServedBy(c, "carla")
			a, list := w.assignments(c), w.conversations(c)
			if w.row(c).GroupID != w.groups["south"] || a[1].Method != contactassignment.MethodHANDED_OVER || *a[1].AssignedByID != w.users["adam"] ||
				len(list) != 2 || list[0].ClosedAt == nil || *list[1].AgentID != w.users["carla"] {
				t.Errorf("the assignments are %v, the conversations %v", a, list)
			}
		}
		w.isServedBy(closed, "ana")
		w.isServedBy(other, "bruno")
		if events, err := w.db.Read.AuditEvent.Query().All(all()); err != nil || events[len(events)-1].Action != "CONTACT_HANDED_OVER" {
			t.Errorf("the audit events are %v, %v", events, err)
		}
	})
}

func TestHandedToTheQueueContactsWaitInTheHomeGroupOfTheLeaver(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, method := range []string{desk.HandOverToQueue, desk.HandOverByMethod} {
			name := "agent " + method
			w.user(name, "north", authz.RoleAgent)
			c := w.served("kim "+method, name)
			n, err := w.leaves(name, "olga", method, 0)
			ok(t, err)
			if n != 1 || len(w.conversations(c)) != 2 {
				t.Errorf("%d contacts were handed over", n)
			}
			w.waitsIn(c, "north")
			_, err = w.claims("bruno", c)
			ok(t, err)
		}
	})
}

func TestAHandoverThatIsRefusedLeavesTheUserActive(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.changeUser("bruno", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) })
		for agent, code := range map[string]refusal.Code{"bruno": refusal.ConflictCode, "ana": refusal.ConflictCode, "sue": refusal.ConflictCode, "nobody": refusal.NotFoundCode} {
			_, err := w.leaves("ana", "olga", desk.HandOverToAgent, w.users[agent])
			reason := refusal.NotServing
			if code == refusal.NotFoundCode {
				reason = ""
			}
			refused(t, err, code, reason)
		}
		if _, err := w.leaves("ana", "olga", "SOMEHOW", 0); err == nil {
			t.Error("an unknown way of handing over is accepted")
		}
		w.isServedBy(c, "ana")
		if u, err := w.db.Read.User.Get(all(), w.users["ana"]); err != nil || u.Status != user.StatusACTIVE {
			t.Errorf("ana is %v, %v", u, err)
		}
	})
}

// TestWhomTheLeaverCoveredIsInLineAgain for what is handed over by the same deactivation, and so says its preview.
func TestWhomTheLeaverCoveredIsInLineAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "dora")
		w.covers("emil", "dora", "emil")
		w.available("emil") // past directory, which would end the cover
		leaves := directory.DeactivateUser{UserID: w.users["dora"], Handover: directory.HandoverByMethod}
		shown, err := w.directory().PreviewDeactivateUser(w.as("olga"), leaves)
		ok(t, err)
		if len(shown.Contacts) != 1 || shown.Contacts[0].AgentID != w.users["emil"] {
			t.Errorf("the preview shows %d contacts, the first one as %+v", len(shown.Contacts), shown.Contacts)
		}
		leaves.PreviewToken = &shown.Token
		_, err = w.directory().DeactivateUser(w.as("olga"), leaves)
		ok(t, err)
		w.isServedBy(c, "emil")
		w.runs()
		w.isServedBy(c, "emil")
	})
}
