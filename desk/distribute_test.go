package desk_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/internal/hours"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/timers"
	"canopy/tree"
)

func (w *world) available(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.changeUser(name, func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAVAILABLE) })
	}
}

func (w *world) away(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.changeUser(name, func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAWAY) })
	}
}

// due sets a timer for now.
func (w *world) due(kind timers.Kind, subject int64) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return timers.Set(ctx, tx, timers.Timer{Kind: kind, SubjectID: subject, AccountID: w.account, Due: w.clock.Now()})
	})
}

// served returns who serves the contact, "" while it waits.
func (w *world) servedBy(c int64) string {
	w.t.Helper()
	row := w.row(c)
	if row.AssignedUserID == nil {
		return ""
	}
	for name, id := range w.users {
		if id == *row.AssignedUserID {
			return name
		}
	}
	return "somebody"
}

func TestRoundRobinGivesAnArrivalToWhoHasWaitedLongest(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.available("dora", "emil")
		a, b, c := w.writes("a", "support"), w.arrives("b", "support"), w.writes("c", "support")
		if w.servedBy(a) == "" || w.servedBy(b) == "" || w.servedBy(a) == w.servedBy(b) || w.servedBy(c) != w.servedBy(a) {
			t.Errorf("they went to %s, %s, %s", w.servedBy(a), w.servedBy(b), w.servedBy(c))
		}
		w.isServedBy(a, w.servedBy(a))
		list := w.assignments(a)
		if x := list[0]; len(list) != 1 || x.Method != contactassignment.MethodROUND_ROBIN || x.AssignedByID != nil || x.TakenFromGroupID != nil || !strings.Contains(x.Explanation, "turn") {
			t.Errorf("the assignment is %v", list)
		}
		// By hand is a turn, too.
		other := map[string]string{"dora": "emil", "emil": "dora"}[w.servedBy(c)]
		w.assigned(w.writes("by hand", "root"), other)
		if d := w.writes("d", "support"); w.servedBy(d) != w.servedBy(c) {
			t.Errorf("after a contact by hand to %s the next one went to them too", other)
		}
	})
}

func TestNobodyGetsAContactWhoShallNot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("boss", "support", authz.RoleDashboardAdministrator) // does not serve
		w.available("dora", "boss")                                 // emil is away
		for name, c := range map[string]struct {
			change func(*ent.UserUpdateOne)
			back   func(*ent.UserUpdateOne)
			told   string // what the history tells of dora when the next contact goes to somebody else
		}{
			"away":        {func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAWAY) }, func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAVAILABLE) }, "UNAVAILABLE"},
			"paused":      {func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) }, func(u *ent.UserUpdateOne) { u.ClearAccessPausedAt() }, "PAUSED"},
			"deactivated": {func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED) }, func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusACTIVE) }, ""},
			"full":        {func(u *ent.UserUpdateOne) { u.SetCapacity(1) }, func(u *ent.UserUpdateOne) { u.ClearCapacity() }, "FULL"},
			"night": {func(u *ent.UserUpdateOne) {
				u.SetWorkingHours(&hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: time.Monday, Start: 0, End: 60}}})
			}, func(u *ent.UserUpdateOne) { u.ClearWorkingHours() }, "OUTSIDE_HOURS"},
		} {
			if name == "full" {
				w.assigned(w.writes("fills up", "root"), "dora")
			}
			w.changeUser("dora", c.change)
			waits := w.writes(name, "support")
			w.waitsIn(waits, "support")
			w.available("emil")
			goes := w.writes(name+" again", "support")
			w.isServedBy(goes, "emil")
			if told := w.during(goes); c.told != "" && !strings.Contains(told, "(dora "+c.told+")") {
				t.Errorf("%s: it says %q", name, told)
			}
			w.away("emil")
			w.changeUser("dora", c.back)
			w.after(0) // what waits goes out, at last
			w.isServedBy(waits, "dora")
		}
	})
}

// Fairness: however agents come, go and fill up, of those who were there all along nobody is more than one behind.
func TestRoundRobinIsFair(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		arrivals := 10000
		if db.Dialect() != "sqlite3" || testing.Short() {
			arrivals = 600
		}
		w := newWorld(t, db)
		w.build()
		r := rand.New(rand.NewPCG(1, 2))
		w.away("dora", "emil")
		var steady, all []string
		for i := range 7 {
			name := fmt.Sprint("agent", i)
			w.user(name, "support", authz.RoleAgent)
			w.available(name)
			all = append(all, name)
			if i < 4 {
				steady = append(steady, name)
			}
		}
		got := map[int64]int{}
		stand, olga := w.clock.Now(), w.as("olga")
		w.desk.Now = func() time.Time { return stand } // a clock that stands still stays fair
		for i := range arrivals {
			if i%50 == 25 {
				name := pick(r, all[4:])
				w.changeUser(name, func(u *ent.UserUpdateOne) {
					switch r.IntN(4) {
					case 0:
						u.SetAvailability(user.AvailabilityAWAY)
					case 1:
						u.SetCapacity(1) // full for good
					default:
						u.SetAvailability(user.AvailabilityAVAILABLE).ClearCapacity()
					}
				})
			}
			c, err := w.desk.CreateContact(olga, desk.CreateContact{GroupID: w.groups["support"], Name: "x"})
			ok(t, err)
			if c.AssignedUserID == nil {
				t.Fatalf("arrival %d waits", i)
			}
			got[*c.AssignedUserID]++
			counts := []int{}
			for _, name := range steady {
				counts = append(counts, got[w.users[name]])
			}
			if slices.Max(counts)-slices.Min(counts) > 1 {
				t.Fatalf("after %d arrivals they have got %v", i+1, counts)
			}
		}
	})
}

func TestSimultaneousArrivalsNeverExceedCapacity(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetCapacity(3) })
		w.available("dora", "emil")
		dev := w.as("adam")
		for _, err := range together(16, func(i int) error {
			_, err := w.desk.ReceiveMessage(dev, desk.ReceiveMessage{Channel: "test", Address: fmt.Sprint("contact", i), Text: "Hello",
				ExternalID: fmt.Sprint("simultaneous ", i), GroupID: w.at("support")})
			return err
		}) {
			ok(t, err)
		}
		for _, name := range []string{"dora", "emil"} {
			n, err := w.db.Read.Contact.Query().Where(contact.AssignedUserID(w.users[name]), contact.Box(int(tree.BoxOf(tree.Open, true)))).Count(all())
			if err != nil || n != 3 {
				t.Errorf("%s has %d, %v", name, n, err)
			}
		}
		w.after(0)
		waiting, err := w.db.Read.Contact.Query().Where(contact.GroupID(w.groups["support"]), contact.AssignedUserIDIsNil()).Count(all())
		if err != nil || waiting != 10 {
			t.Errorf("%d wait, %v", waiting, err)
		}
	})
}

// What waits goes out, oldest first, as soon as somebody has room.
func TestWhatWaitsIsGivenOutWhenAnAgentGetsRoom(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetCapacity(1) })
		w.available("dora")
		first, second, third := w.writes("first", "support"), w.writes("second", "support"), w.writes("third", "support")
		w.after(0)
		w.isServedBy(first, "dora")
		w.waitsIn(second, "support")
		w.closes(first)
		w.after(0)
		w.isServedBy(second, "dora")
		w.waitsIn(third, "support")
		if a := w.assignments(second); a[0].TakenFromGroupID == nil || a[0].AssignedByID != nil {
			t.Errorf("the assignment is %v", a)
		}
		// What somebody sends away does not come back to them.
		_, err := w.desk.TransferContact(w.as("dora"), desk.TransferContact{ContactID: second, GroupID: w.at("support")})
		ok(t, err)
		w.after(0)
		w.waitsIn(second, "support")
		w.isServedBy(third, "dora")
	})
}

// TestWhatWaitsGoesToWhoComesToServe lets somebody who is available come to serve, in each way that there is.
func TestWhatWaitsGoesToWhoComesToServe(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		people := w.directory()
		people.Rand = crand.Reader
		sees := authz.Pair{Permission: authz.ConversationsView, Scope: authz.ScopeAssigned}
		serves := []authz.Pair{sees, {Permission: authz.ConversationsReply, Scope: authz.ScopeAssigned}}
		w.role("becomes", sees)
		w.role("goes", sees)
		w.role("is off", serves...)
		custom := func(on bool) error {
			_, err := people.UpdateAccount(w.as("olga"), directory.UpdateAccount{CustomRolesEnabled: &on})
			return err
		}
		grant := func(who string, from *time.Time) error {
			_, err := people.GrantRole(w.as("olga"), directory.GrantRole{UserID: w.users[who], RoleID: w.roles[authz.RoleAgent], ValidFrom: from})
			return err
		}
		token := ""
		for _, c := range []struct {
			name, role string
			before, by func() error // what makes them serve
			after      time.Duration
		}{
			{name: "granted", by: func() error { return grant("granted", nil) }},
			{name: "later", before: func() error { return grant("later", ptr(w.clock.Now().Add(time.Hour))) }, after: time.Hour},
			{name: "upgraded", before: func() error { // the grant is from before there were timers
				err := grant("upgraded", ptr(w.clock.Now().Add(time.Hour)))
				g, found := w.db.Read.RoleGrant.Query().Where(rolegrant.UserID(w.users["upgraded"])).OnlyID(all())
				if err := errors.Join(err, found); err != nil {
					return err
				}
				w.due(timers.GrantBegins, g)
				return nil
			}, after: time.Hour},
			{name: "role", role: "becomes", by: func() error {
				_, err := people.UpdateRole(w.as("olga"), directory.UpdateRole{RoleID: w.roles["becomes"], Pairs: serves})
				return err
			}},
			{name: "successor", role: "goes", by: func() error {
				return people.DeleteRole(w.as("olga"), directory.DeleteRole{RoleID: w.roles["goes"], SuccessorID: ptr(w.roles[authz.RoleAgent])})
			}},
			{name: "switched", role: "is off", before: func() error { return custom(false) }, by: func() error { return custom(true) }},
			{name: "invited", role: authz.RoleAgent, before: func() error {
				w.changeUser("invited", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusINVITED) })
				reset, err := people.ResetPassword(w.as("olga"), directory.ResetPassword{UserID: w.users["invited"]})
				if err == nil {
					token = reset.SetupToken
				}
				return err
			}, by: func() error {
				return people.SetPassword(context.Background(), directory.SetPassword{Token: token, Password: "a long one, of many words"})
			}},
		} {
			w.user(c.name, "support")
			w.available(c.name)
			if c.role != "" {
				w.grant(c.name, c.role, "")
			}
			if c.before != nil {
				ok(t, c.before())
			}
			kim := w.writes("kim "+c.name, "support")
			w.after(0)
			w.waitsIn(kim, "support")
			if c.by != nil {
				ok(t, c.by())
			}
			w.after(c.after)
			w.isServedBy(kim, c.name)
			w.away(c.name)
		}
	})
}

func TestWhatIsImportedArrives(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("north", func(u *ent.GroupUpdateOne) { u.SetEscalateAfter(600) })
		w.available("dora")
		olga := w.as("olga")
		var made []desk.Imported
		ok(t, w.db.Write(olga, func(ctx context.Context, tx *ent.Tx) (err error) {
			var rows []desk.ImportContact
			for _, at := range []string{"support", "support", "north"} {
				g, err := tx.Group.Get(ctx, w.groups[at])
				if err != nil {
					return err
				}
				rows = append(rows, desk.ImportContact{Name: "Kim", At: rule.PlaceOf(g)})
			}
			made, err = w.desk.ImportContacts(ctx, tx, rows, "", nil)
			return err
		}))
		w.after(0)
		w.isServedBy(made[0].ID, "dora")
		w.isServedBy(made[1].ID, "dora")
		w.after(10 * time.Minute)
		w.waitsIn(made[2].ID, "north")
		if w.row(made[2].ID).EscalatedToID == nil {
			t.Error("it does not escalate")
		}
	})
}

func TestADeactivationByMethodGivesOutAtOnceAndOneToTheQueueDoesNot(t *testing.T) {
	for _, method := range []string{desk.HandOverByMethod, desk.HandOverToQueue} {
		t.Run(method, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.available("dora", "emil")
				w.away("dora")
				a, b := w.writes("a", "support"), w.writes("b", "support")
				w.isServedBy(a, "emil")
				w.available("dora")
				w.write(func(ctx context.Context, tx *ent.Tx) error {
					leaver, err := tx.User.UpdateOneID(w.users["emil"]).SetStatus(user.StatusDEACTIVATED).Save(ctx)
					if err != nil {
						return err
					}
					return w.desk.HandOver(authz.NewContext(ctx, w.viewer("olga")), tx, leaver, method, 0, func(_, to, _ int64) {
						if (to == w.users["dora"]) != (method == desk.HandOverByMethod) {
							t.Errorf("it is said to have gone to %d", to)
						}
					})
				})
				for _, c := range []int64{a, b} {
					if method == desk.HandOverToQueue {
						w.after(0)
						w.waitsIn(c, "support")
					} else {
						w.isServedBy(c, "dora")
					}
				}
			})
		})
	}
}

func TestWorkingHoursThatBeginGiveOutWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.available("dora")
		w.changeUser("dora", func(u *ent.UserUpdateOne) { // the world begins on a Monday, at nine
			u.SetWorkingHours(&hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: time.Monday, Start: 14 * 60, End: 15 * 60}}})
		})
		w.due(timers.HoursBegin, w.users["dora"])
		c := w.writes("kim", "support")
		w.after(4 * time.Hour)
		w.waitsIn(c, "support")
		w.after(time.Hour)
		w.isServedBy(c, "dora")
		w.away("dora")
		next := w.writes("lee", "support")
		w.available("dora")
		w.after(6 * 24 * time.Hour)
		w.waitsIn(next, "support")
		w.after(24 * time.Hour)
		w.isServedBy(next, "dora")
	})
}

func (w *world) radar() {
	w.t.Helper()
	w.set("support", func(u *ent.GroupUpdateOne) {
		u.SetAssignmentMode(group.AssignmentModeRADAR).SetRadarWindow(60).SetSharedInbox(false)
	})
	w.available("dora", "emil")
}

// offeredTo is who is asked, "" for nobody.
func (w *world) offeredTo(c int64) string {
	w.t.Helper()
	for name, id := range w.users {
		if to := w.row(c).OfferedToID; to != nil && *to == id {
			return name
		}
	}
	return ""
}

func (w *world) queueHas(who string, c int64) bool {
	w.t.Helper()
	page, err := w.desk.Inbox(w.as(who), desk.Query{Box: desk.BoxQueue, First: 100})
	ok(w.t, err)
	n, err := w.desk.InboxCount(w.as(who), desk.Query{Box: desk.BoxQueue})
	ok(w.t, err)
	if n != len(page.Entries) {
		w.t.Errorf("the queue of %s has %d entries and counts %d", who, len(page.Entries), n)
	}
	return slices.ContainsFunc(page.Entries, func(e desk.Entry) bool { return e.Contact.ID == c })
}

func TestRadarAsksOneAfterTheOtherAndThenItIsTheQueues(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		c := w.writes("kim", "support")
		first := w.offeredTo(c)
		other := map[string]string{"dora": "emil", "emil": "dora"}[first]
		w.waitsIn(c, "support")
		if first == "" || !w.queueHas(first, c) || w.queueHas(other, c) {
			t.Fatalf("%q is asked; they see it: %v, the other one does: %v", first, w.queueHas(first, c), w.queueHas(other, c))
		}
		if _, err := w.claims(other, c); err == nil {
			t.Fatal("somebody else took what is on offer")
		} else {
			refused(t, err, refusal.NotFoundCode, "")
		}
		w.after(40 * time.Second)
		if w.offeredTo(c) != first {
			t.Error("the offer ended early")
		}
		w.after(30 * time.Second)
		if w.offeredTo(c) != other || w.queueHas(first, c) || !w.queueHas(other, c) {
			t.Fatalf("after the window %q is asked", w.offeredTo(c))
		}
		refused(t, w.desk.DeclineOffer(w.as(first), desk.DeclineOffer{ContactID: c}), refusal.NotFoundCode, "")
		ok(t, w.desk.DeclineOffer(w.as(other), desk.DeclineOffer{ContactID: c}))
		if e := w.lastEvent(); e.Action != "OFFER_DECLINED" || *e.UserID != w.users[other] {
			t.Errorf("the event is %v", e)
		}
		w.after(time.Hour)
		if w.offeredTo(c) != "" || w.queueHas(first, c) || w.queueHas(other, c) || !w.queueHas("olga", c) {
			t.Error("after everybody was asked it is not the queue's")
		}
		w.user("fred", "support", authz.RoleAgent)
		w.available("fred")
		w.due(timers.Distribute, w.groups["support"])
		w.after(0)
		if w.offeredTo(c) != "fred" {
			t.Errorf("somebody new came and %q is asked", w.offeredTo(c))
		}
	})
}

func TestAnOfferIsAcceptedByClaimingOrByAnswering(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		c, d := w.writes("kim", "support"), w.writes("lee", "support")
		first, second := w.offeredTo(c), w.offeredTo(d)
		if first == "" || second == "" || first == second {
			t.Fatalf("%q and %q are asked", first, second)
		}
		got, err := w.claims(first, c)
		ok(t, err)
		if a := got.Assignment; a.Method != contactassignment.MethodRADAR || *a.AssignedByID != w.users[first] || *a.OfferedToID != w.users[first] {
			t.Errorf("the assignment is %v", a)
		}
		w.isServedBy(c, first)
		conversation := w.openOf(d).ID
		_, err = w.desk.SendMessage(w.as(first), desk.SendMessage{ConversationID: conversation, Text: "Hello"})
		refused(t, err, refusal.NotFoundCode, "")
		_, err = w.desk.SendMessage(w.as(second), desk.SendMessage{ConversationID: conversation, Text: "Hello"})
		ok(t, err)
		w.isServedBy(d, second)
		if list := w.assignments(d); list[0].Method != contactassignment.MethodRADAR || w.openOf(d).ID != conversation || w.row(d).OfferedToID != nil || w.row(d).Asked != nil {
			t.Errorf("the contact is %v, its assignments %v", w.row(d), list)
		}
		w.after(time.Hour) // the timers of the offers find nothing to do
		w.isServedBy(c, first)
		w.isServedBy(d, second)
	})
}

// TestAnOfferToSomebodyWhoIsShutOutIsPassedOn at once, and whatever ends an offer, the history says the truth.
func TestAnOfferToSomebodyWhoIsShutOutIsPassedOn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		w.away("dora", "emil")
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetRadarWindow(86400) })
		people, olga := w.directory(), w.as("olga")
		for _, c := range []struct {
			name  string
			do    func(id int64) error
			after time.Duration
			words string
		}{
			{"paused", func(id int64) error {
				_, err := people.UpdateAgentSettings(olga, directory.UpdateAgentSettings{AgentID: id, AccessPaused: ptr(true)})
				return err
			}, 0, "The agent who was asked can take nothing now."},
			{"deactivated", func(id int64) error {
				_, err := people.DeactivateUser(olga, directory.DeactivateUser{UserID: id, Handover: directory.HandoverToQueue})
				return err
			}, 0, "The agent who was asked can take nothing now."},
			{"revoked", func(id int64) error {
				_, err := people.RevokeRole(olga, directory.RevokeRole{GrantID: w.db.Read.RoleGrant.Query().Where(rolegrant.UserID(id)).OnlyIDX(all())})
				return err
			}, 24 * time.Hour, "The agent who was asked can take nothing now."},
			{"moved", func(id int64) error {
				_, err := people.MoveUser(olga, directory.MoveUser{UserID: id, HomeGroupID: w.groups["north"]})
				return err
			}, 24 * time.Hour, "The agent who was asked did not answer in time."},
		} {
			w.group(c.name, "support")
			first, second := c.name+" first", c.name+" second"
			w.user(first, c.name, authz.RoleAgent)
			w.user(second, c.name, authz.RoleAgent)
			w.available(first, second)
			kim := w.writes("kim "+c.name, c.name)
			if asked := w.offeredTo(kim); asked != first {
				t.Fatalf("%q is asked", asked)
			}
			events := w.events("CONTACT_OFFERED")
			ok(t, c.do(w.users[first]))
			if c.after != 0 {
				w.after(time.Hour)
				if w.offeredTo(kim) != first {
					t.Errorf("%s: the offer ended early", c.name)
				}
			}
			w.after(c.after)
			if asked := w.offeredTo(kim); asked != second || w.events("CONTACT_OFFERED") != events+1 {
				t.Errorf("%s: then %q is asked", c.name, asked)
			}
			list := w.entries(kim)
			if e := list[len(list)-2]; e.Kind != historyentry.KindOFFER_ENDED || e.Explanation != c.words {
				t.Errorf("%s: the history says %s, %q", c.name, e.Kind, e.Explanation)
			}
			w.after(0) // nobody comes back
			if w.offeredTo(kim) != second {
				t.Errorf("%s: it is passed on once more", c.name)
			}
		}
	})
}

// TestEscalationDoesNotWaitForAnOfferThatEndedEarly although it had put itself off until the end of the offer.
func TestEscalationDoesNotWaitForAnOfferThatEndedEarly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		w.away("emil")
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetRadarWindow(86400).SetEscalateAfter(600) })
		c := w.writes("kim", "support")
		w.after(time.Hour)
		if w.offeredTo(c) != "dora" || w.row(c).EscalatedToID != nil {
			t.Errorf("the contact is %v", w.row(c))
		}
		ok(t, w.desk.DeclineOffer(w.as("dora"), desk.DeclineOffer{ContactID: c}))
		w.after(0)
		if w.row(c).EscalatedToID == nil {
			t.Error("it does not escalate")
		}
	})
}

func TestAnOfferThatIsOverReachesNothingBeforeItsTimerRuns(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		c := w.writes("kim", "support")
		first := w.offeredTo(c)
		w.clock.passes(2 * time.Minute)
		if w.queueHas(first, c) {
			t.Error("it is seen")
		}
		_, err := w.claims(first, c)
		refused(t, err, refusal.NotFoundCode, "")
		_, err = w.desk.SendMessage(w.as(first), desk.SendMessage{ConversationID: w.openOf(c).ID, Text: "Hello"})
		refused(t, err, refusal.NotFoundCode, "")
	})
}

func TestWhoLosesAnOfferHearsAlreadyAssigned(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		c := w.writes("kim", "support")
		first := w.offeredTo(c)
		other := map[string]string{"dora": "emil", "emil": "dora"}[first]
		w.assigned(c, other)
		_, err := w.claims(first, c)
		refused(t, err, refusal.ConflictCode, refusal.AlreadyAssigned)
	})
}

// A contact that nobody takes shows in the queue above, for those who may take contacts there.
func TestAContactEscalatesToTheQueueAbove(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("desk", "support")
		w.user("gina", "desk", authz.RoleAgent)
		w.user("hugo", "root", authz.RoleAgent)
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetEscalateAfter(600).SetSharedInbox(false) })
		c, below := w.writes("kim", "support"), w.writes("lee", "desk")
		w.after(9 * time.Minute)
		for _, who := range []string{"dora", "hugo", "ana"} {
			if w.queueHas(who, c) {
				t.Errorf("%s sees it too early", who)
			}
		}
		w.after(2 * time.Minute)
		// root is MANUAL, support is not: what waits in desk escalates to where nobody claims.
		for who, sees := range map[string]bool{"dora": true, "hugo": true, "ana": true, "vic": true, "gina": true, "olga": true} {
			if w.queueHas(who, c) != sees || w.queueHas(who, below) != (who == "olga") {
				t.Errorf("%s sees it: %v, and what is below: %v", who, w.queueHas(who, c), w.queueHas(who, below))
			}
		}
		if e, err := w.db.Read.AuditEvent.Query().Order(ent.Desc("id")).First(all()); err != nil || e.Action != "CONTACT_ESCALATED" || e.UserID != nil {
			t.Errorf("the event is %v, %v", e, err)
		}
		w.waitsIn(c, "support")
		_, err := w.claims("ana", c)
		ok(t, err)
		w.isServedBy(c, "ana")
		if w.row(c).EscalatedToID != nil {
			t.Error("it is escalated still")
		}
		for _, loser := range []string{"hugo", "dora"} {
			_, err = w.claims(loser, c)
			refused(t, err, refusal.ConflictCode, refusal.AlreadyAssigned)
		}
		_, err = w.claims("sue", c)
		refused(t, err, refusal.NotFoundCode, "")
	})
}

// A contact whose conversation is closed is on offer to nobody: nobody is asked, and nobody's turn is used up.
func TestNobodyIsAskedForAContactWhoseConversationIsClosed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.radar()
		turns := func() string {
			return fmt.Sprint(w.db.Read.User.GetX(all(), w.users["dora"]).Turn, w.db.Read.User.GetX(all(), w.users["emil"]).Turn)
		}
		before := turns()
		support := w.at("support")
		for name, send := range map[string]func(c int64) error{
			"assigned": func(c int64) error {
				_, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: c, GroupID: support})
				return err
			},
			"transferred": func(c int64) error {
				_, err := w.desk.TransferContact(w.as("olga"), desk.TransferContact{ContactID: c, GroupID: support})
				return err
			},
			"assigned in bulk": func(c int64) error {
				_, err := w.desk.AssignContacts(w.as("olga"), desk.AssignContacts{ContactIDs: []int64{c}, GroupID: support})
				return err
			},
		} {
			c := w.served(name, "ana")
			w.closes(c)
			ok(t, send(c))
			w.after(10 * time.Minute)
			list := w.entries(c)
			if e := list[len(list)-1]; w.offeredTo(c) != "" || turns() != before || e.Kind != historyentry.KindQUEUED || len(e.Considered) != 0 ||
				!strings.Contains(e.Explanation, "nobody is asked") {
				t.Errorf("%s: it is offered to %q, the last that is told is %s: %s", name, w.offeredTo(c), e.Kind, e.Explanation)
			}
			w.waitsIn(c, "support")
			w.says(name, nil)
			first := w.offeredTo(c)
			if first == "" {
				t.Fatalf("%s: nobody is asked when it writes", name)
			}
			w.closes(c)
			refused(t, w.desk.DeclineOffer(w.as(first), desk.DeclineOffer{ContactID: c}), refusal.NotFoundCode, "")
			before = turns()
			w.after(10 * time.Minute)
			if list = w.entries(c); list[len(list)-1].Kind != historyentry.KindCLOSED || turns() != before {
				t.Errorf("%s: what was closed on offer is told of as %s", name, list[len(list)-1].Kind)
			}
		}
	})
}

func TestSettingsThatChangeAreAppliedToWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "support")
		w.after(time.Hour)
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetEscalateAfter(600).SetCloseAfter(7200) })
		w.due(timers.Review, w.groups["support"])
		w.after(0)
		if to := w.row(c).EscalatedToID; to == nil || *to != w.groups["root"] {
			t.Error("it did not escalate")
		}
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetEscalateAfter(-1) })
		w.due(timers.Review, w.groups["support"])
		w.after(0)
		if w.row(c).EscalatedToID != nil {
			t.Error("it is escalated still")
		}
		tells(t, w.during(c), "OPENED (dora UNAVAILABLE) (emil UNAVAILABLE)", "ESCALATED", "TAKEN_BACK")
		if e := w.lastEvent(); e.Action != "CONTACT_TAKEN_BACK" || e.UserID != nil || e.TargetID != c {
			t.Errorf("the event is %v", e)
		}
		w.assigned(c, "emil")
		_, err := w.answers("emil", w.openOf(c).ID)
		ok(t, err)
		w.after(2 * time.Hour)
		if w.openOf(c) != nil {
			t.Error("it is open still")
		}
	})
}

func TestWhatWaitsIsGivenOutWhenThereIsRoomAgain(t *testing.T) {
	for name, makeRoom := range map[string]func(w *world, served int64){
		"a contact is deleted": func(w *world, served int64) {
			ok(w.t, w.desk.DeleteContact(w.as("olga"), desk.DeleteContact{ContactID: served}))
		},
		"a cover ends": func(w *world, served int64) {
			w.closes(served)
			w.covers("dora", "emil", "dora")
			w.runs()
			_, err := w.desk.EndCover(w.as("dora"), desk.EndCover{AgentID: w.users["dora"]})
			ok(w.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.available("dora")
				w.changeUser("dora", func(u *ent.UserUpdateOne) { u.SetCapacity(1) })
				served := w.writes("kim", "support")
				w.isServedBy(served, "dora")
				waiting := w.writes("lee", "support")
				w.after(time.Minute)
				w.waitsIn(waiting, "support")
				makeRoom(w, served)
				w.after(time.Minute)
				w.isServedBy(waiting, "dora")
			})
		})
	}
}
