package desk_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/cover"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/internal/hours"
	"canopy/refusal"
	"canopy/tree"
)

// until is a moment within what a cover may last.
func (w *world) until() time.Time { return w.clock.Now().Add(48 * time.Hour) }

// goesOn lets time pass, and whatever is due then happen.
func (w *world) goesOn(d time.Duration) {
	w.t.Helper()
	w.clock.seconds.Add(int64(d / time.Second))
	if _, err := w.desk.RunDue(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) cover(agent, to, by string) (*desk.Covered, error) {
	w.t.Helper()
	return w.desk.StartCover(w.as(by), desk.StartCover{AgentID: w.users[agent], ToAgentID: w.users[to], Until: w.until()})
}

func (w *world) covers(agent, to, by string) {
	w.t.Helper()
	_, err := w.cover(agent, to, by)
	ok(w.t, err)
}

// isCovered says whether a cover of the agent lasts.
func (w *world) isCovered(agent string) bool {
	w.t.Helper()
	is, err := w.db.Read.Cover.Query().Where(cover.UserID(w.users[agent]), cover.EndedAtIsNil()).Exist(all())
	ok(w.t, err)
	return is
}

func TestACoverPassesOnWhatIsOpenAndBringsItBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		stays, moves, closed, other := w.served("stays", "ana"), w.served("moves", "ana"), w.served("closed", "ana"), w.served("other", "bruno")
		ends := w.served("ends", "ana")
		w.closes(closed)
		first := w.openOf(stays)
		got, err := w.cover("ana", "bruno", "ana")
		ok(t, err)
		if got.Moved != 3 || got.Agent == nil || got.Agent.ID != w.users["ana"] {
			t.Errorf("starting passes on %d, of %v", got.Moved, got.Agent)
		}
		if e := w.lastEvent(); e.Action != "COVER_STARTED" || e.TargetID != w.users["ana"] {
			t.Errorf("the start is recorded as %v", e)
		}
		for _, c := range []int64{stays, moves, ends} {
			w.isServedBy(c, "bruno")
		}
		w.isServedBy(closed, "ana")
		if last := w.conversations(stays); len(last) != 2 || last[0].ID != first.ID || last[0].ClosedAt == nil || last[1].ClosedAt != nil {
			t.Errorf("the conversations are %v", last)
		}
		if a := w.assignments(stays); a[len(a)-1].Method != contactassignment.MethodCOVERED || a[len(a)-1].Explanation == "" {
			t.Errorf("the assignment is %v", a[len(a)-1])
		}
		w.assigned(moves, "carla")
		w.closes(ends)
		w.goesOn(49 * time.Hour)
		w.isServedBy(stays, "ana")
		w.isServedBy(moves, "carla")
		w.isServedBy(ends, "bruno")
		w.isServedBy(other, "bruno")
		if w.isCovered("ana") {
			t.Error("the cover has not ended")
		}
		if e := w.lastEvent(); e.Action != "COVER_ENDED" || e.UserID != nil {
			t.Errorf("the end is recorded as %v", e)
		}
		if last := w.conversations(stays); len(last) != 3 || last[1].ClosedAt == nil || last[2].ClosedByID != nil {
			t.Errorf("the conversations are %v", last)
		}
		if a := w.assignments(stays); a[len(a)-1].Method != contactassignment.MethodBROUGHT_BACK || a[len(a)-1].AssignedByID != nil {
			t.Errorf("the assignment is %v", a[len(a)-1])
		}
		w.goesOn(48 * time.Hour) // nothing more
		if n := len(w.assignments(stays)); n != 3 {
			t.Errorf("%d assignments", n)
		}
	})
}

func TestWhoComesBackGoesToWhoeverCovers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		back, outbound, own := w.served("back", "ana"), w.served("outbound", "ana"), w.served("own", "ana")
		for _, c := range []int64{back, outbound, own} {
			w.closes(c)
		}
		w.available("carla")
		w.covers("ana", "carla", "sue")
		w.says("back", nil)
		w.isServedBy(back, "carla")
		if row := w.row(back); row.GroupID != w.groups["south"] {
			t.Error("the contact is not where the one who covers is")
		}
		_, err := w.desk.OpenConversation(w.as("sue"), desk.OpenConversation{ContactID: outbound})
		ok(t, err)
		w.isServedBy(outbound, "carla")
		_, err = w.desk.OpenConversation(w.as("ana"), desk.OpenConversation{ContactID: own}) // who opens it herself is there
		ok(t, err)
		w.isServedBy(own, "ana")
		byHand := w.writes("by hand", "sales")
		w.assigned(byHand, "ana") // who is named gets it
		w.isServedBy(byHand, "ana")
		got, err := w.desk.EndCover(w.as("sue"), desk.EndCover{AgentID: w.users["ana"]})
		ok(t, err)
		if got.Moved != 2 {
			t.Errorf("%d were brought back", got.Moved)
		}
		for _, c := range []int64{back, outbound, own, byHand} {
			w.isServedBy(c, "ana")
		}
	})
}

// TestNobodyWhoCannotTakeAContactStandsIn lets contacts come back to ana. What waits then is for the method of her group.
func TestNobodyWhoCannotTakeAContactStandsIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		cases := []struct {
			name     string
			can      bool
			until    func(*ent.UserUpdateOne) // how bruno is meanwhile
			capacity int                      // of his group
		}{
			{"away", false, func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAWAY) }, tree.Unlimited},
			{"paused", false, func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) }, tree.Unlimited},
			{"at night", false, func(u *ent.UserUpdateOne) {
				u.SetWorkingHours(&hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: time.Monday, Start: 0, End: 60}}})
			}, tree.Unlimited},
			{"full", false, func(u *ent.UserUpdateOne) { u.SetCapacity(1) }, tree.Unlimited},
			{"full by his group", false, func(*ent.UserUpdateOne) {}, 1},
			{"able", true, func(u *ent.UserUpdateOne) { u.SetCapacity(2) }, 1},
		}
		for _, c := range cases {
			w.closes(w.served(c.name, "ana"))
		}
		saysWhy := func(c int64) {
			if list := w.entries(c); !strings.Contains(list[len(list)-1].Explanation, "whoever covers them can take nothing") {
				t.Errorf("%s: it says %q", w.row(c).Name, list[len(list)-1].Explanation)
			}
		}
		w.served("bruno's own", "bruno")
		w.covers("ana", "bruno", "ana")
		for _, c := range cases {
			w.available("bruno")
			w.changeUser("bruno", func(u *ent.UserUpdateOne) { u.ClearAccessPausedAt().ClearWorkingHours().ClearCapacity() })
			w.changeUser("bruno", c.until)
			w.set("north", func(u *ent.GroupUpdateOne) { u.SetCapacity(c.capacity) })
			w.says(c.name, nil)
			k := w.db.Read.Contact.Query().Where(contact.Address(c.name)).OnlyIDX(all())
			if c.can {
				w.isServedBy(k, "bruno")
				continue
			}
			w.waitsIn(k, "north")
			saysWhy(k)
		}
		w.user("fred", "north", authz.RoleAgent)
		w.available("fred")
		w.set("north", func(u *ent.GroupUpdateOne) {
			u.SetAssignmentMode(group.AssignmentModeROUND_ROBIN).SetReassignAfter(3600).SetCapacity(tree.Unlimited)
		})
		w.away("bruno")
		late := w.served("late", "carla")
		w.assigned(late, "ana")
		w.closes(late)
		w.says("late", nil)
		w.waitsIn(late, "north")
		saysWhy(late)
		w.goesOn(0)
		w.isServedBy(late, "fred")
	})
}

func TestWhoeverCoversMayBeCovered(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, late := w.served("Kim", "ana"), w.served("late", "ana")
		w.closes(late)
		w.covers("ana", "bruno", "ana")
		w.covers("bruno", "carla", "sue")
		w.isServedBy(c, "carla")
		w.available("carla")
		w.says("late", nil)
		w.isServedBy(late, "carla")
		_, err := w.cover("carla", "ana", "sue")
		refused(t, err, refusal.ConflictCode, refusal.AlreadyCovered) // it would be a cycle
	})
}

func TestCoversEndInAnyOrder(t *testing.T) {
	ends := func(w *world, agent string) {
		w.t.Helper()
		_, err := w.desk.EndCover(w.as("sue"), desk.EndCover{AgentID: w.users[agent]})
		ok(w.t, err)
	}
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		w.covers("ana", "bruno", "ana")
		w.covers("bruno", "carla", "sue")
		ends(w, "bruno")
		w.isServedBy(c, "bruno")
		ends(w, "ana")
		w.isServedBy(c, "ana")
		w.covers("ana", "bruno", "ana")
		w.covers("bruno", "carla", "sue")
		ends(w, "ana")
		w.isServedBy(c, "ana")
		ends(w, "bruno")
		w.isServedBy(c, "ana")
	})
}

func TestLeavingEndsCovers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		w.covers("ana", "bruno", "ana")
		n, err := w.leaves("bruno", "adam", desk.HandOverToAgent, w.users["carla"])
		ok(t, err)
		if n != 1 || w.isCovered("ana") {
			t.Errorf("%d were handed over; ana is covered: %t", n, w.isCovered("ana"))
		}
		w.isServedBy(c, "carla")
		w.goesOn(49 * time.Hour)
		w.isServedBy(c, "carla")
	})
}

func TestWhoLeavesIsCoveredNoLonger(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		w.covers("ana", "bruno", "ana")
		n, err := w.leaves("ana", "adam", desk.HandOverToQueue, 0)
		ok(t, err)
		if n != 0 || w.isCovered("ana") {
			t.Errorf("%d were handed over; ana is covered: %t", n, w.isCovered("ana"))
		}
		w.isServedBy(c, "bruno")
	})
}

func TestNothingIsBroughtBackToWhoGetsNothingNew(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		w.covers("ana", "bruno", "ana")
		w.changeUser("ana", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) })
		w.goesOn(49 * time.Hour)
		w.isServedBy(c, "bruno")
		if w.isCovered("ana") {
			t.Error("the cover has not ended")
		}
	})
}

func TestWhoIsAvailableAgainIsCoveredNoLonger(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		w.covers("ana", "bruno", "ana")
		s := *w.directory()
		_, err := s.UpdateViewer(w.as("ana"), available(user.AvailabilityAWAY))
		ok(t, err)
		w.isServedBy(c, "bruno")
		_, err = s.UpdateViewer(w.as("ana"), available(user.AvailabilityAVAILABLE))
		ok(t, err)
		w.isServedBy(c, "ana")
		if w.isCovered("ana") {
			t.Error("the cover has not ended")
		}
	})
}

func TestWhoMayStartACover(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.served("Kim", "ana")
		_, err := w.cover("ana", "bruno", "bruno") // a colleague
		lacks(t, err, authz.AgentSettingsEdit)
		_, err = w.cover("ana", "bruno", "adam") // decides about settings, and about no contact
		lacks(t, err, authz.ConversationsAssign)
		_, err = w.cover("ana", "bruno", "dora") // sees no card of them
		refused(t, err, refusal.NotFoundCode, "")
		_, err = w.cover("ana", "vera", "ana")
		refused(t, err, refusal.NotFoundCode, "")
		w.grant("ana", authz.RoleDeveloper, "")
		_, err = w.cover("ana", "bruno", "sue") // ana is more than an agent
		lacks(t, err, authz.AgentSettingsEdit)
		w.covers("ana", "bruno", "ana")
		_, err = w.desk.EndCover(w.as("bruno"), desk.EndCover{AgentID: w.users["ana"]})
		lacks(t, err, authz.AgentSettingsEdit)
		_, err = w.desk.EndCover(w.as("dora"), desk.EndCover{AgentID: w.users["ana"]})
		refused(t, err, refusal.NotFoundCode, "")
	})
}

func TestWhatACoverIsRefusedFor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		start := func(agent, to string, until time.Time) error {
			_, err := w.desk.StartCover(w.as("sue"), desk.StartCover{AgentID: w.users[agent], ToAgentID: w.users[to], Until: until})
			return err
		}
		blames(t, start("ana", "bruno", w.clock.Now().Add(-time.Second)), "input.until")
		blames(t, start("ana", "bruno", w.clock.Now().AddDate(1, 0, 1)), "input.until")
		blames(t, start("ana", "ana", w.until()), "input.toAgentId")
		w.changeUser("carla", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(w.clock.Now()) })
		refused(t, start("ana", "carla", w.until()), refusal.ConflictCode, refusal.NotServing)
		ok(t, start("ana", "bruno", w.until()))
		w.changeUser("carla", func(u *ent.UserUpdateOne) { u.ClearAccessPausedAt() })
		refused(t, start("ana", "carla", w.until()), refusal.ConflictCode, refusal.AlreadyCovered)
		refused(t, start("carla", "ana", w.until()), refusal.ConflictCode, refusal.AlreadyCovered)
		refused(t, start("bruno", "ana", w.until()), refusal.ConflictCode, refusal.AlreadyCovered)
		_, err := w.desk.EndCover(w.as("sue"), desk.EndCover{AgentID: w.users["carla"]})
		refused(t, err, refusal.ConflictCode, refusal.NotCovered)
		w.changeAccount(func(u *ent.AccountUpdateOne) { u.SetReasonRequired(true) })
		_, err = w.desk.EndCover(w.as("sue"), desk.EndCover{AgentID: w.users["ana"]})
		refused(t, err, refusal.BadUserInput, refusal.ReasonRequired)
	})
}

// A cover is over at its end, also before its timer has run.
func TestACoverThatIsOverCountsNoMore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		open, closed := w.served("open", "ana"), w.served("closed", "ana")
		w.closes(closed)
		w.covers("ana", "bruno", "ana")
		w.clock.seconds.Add(49 * 3600)
		w.says("closed", nil)
		w.isServedBy(closed, "ana")
		w.isServedBy(open, "bruno")
		w.covers("ana", "carla", "sue")
		w.isServedBy(open, "carla") // it came back, and was passed on again
		lines := strings.Split(w.tale(open), "\n")
		tells(t, strings.Join(lines[len(lines)-3:], "\n"), "COVERED by ana: ana in north to bruno in north",
			"BROUGHT_BACK by -: bruno in north to ana in north", "COVERED by sue: ana in north to carla in south")
		if n := w.db.Read.Cover.Query().Where(cover.EndedAtIsNil()).CountX(all()); n != 1 {
			t.Errorf("%d covers have not ended", n)
		}
	})
}

func TestOfCoversThatStartAtOnceOneDoes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("Kim", "ana")
		attempts := [][2]string{{"ana", "bruno"}, {"ana", "carla"}, {"bruno", "ana"}, {"ana", "bruno"}, {"carla", "ana"}, {"bruno", "carla"}, {"carla", "bruno"}}
		errs := make([]error, len(attempts))
		var all sync.WaitGroup
		for i, a := range attempts {
			ctx := w.as("sue")
			all.Go(func() {
				_, errs[i] = w.desk.StartCover(ctx, desk.StartCover{AgentID: w.users[a[0]], ToAgentID: w.users[a[1]], Until: w.until()})
			})
		}
		all.Wait()
		covered := map[string]string{}
		for i, a := range attempts {
			if errs[i] == nil {
				if covered[a[0]] != "" {
					t.Errorf("%s is covered twice", a[0])
				}
				covered[a[0]] = a[1]
				continue
			}
			refused(t, errs[i], refusal.ConflictCode, refusal.AlreadyCovered)
		}
		if len(covered) == 0 {
			t.Error("nobody is covered")
		}
		for agent := range covered {
			for next, hops := agent, 0; covered[next] != ""; next, hops = covered[next], hops+1 {
				if hops > len(attempts) {
					t.Fatalf("%v is a cycle", covered)
				}
			}
		}
		end := "ana"
		for covered[end] != "" {
			end = covered[end]
		}
		w.isServedBy(c, end)
	})
}

// directory are the use-cases of package directory, which tell desk who is back.
func (w *world) directory() *directory.Service {
	return &directory.Service{DB: w.db, Now: w.clock.Now, Handover: w.desk}
}

func available(a user.Availability) directory.UpdateViewer {
	return directory.UpdateViewer{Availability: &a}
}

// TestWhoseOwnCoverIsOverMayCover although nobody has noticed that it is: what it passed on is theirs again before they get
// more, and only that goes back in the end.
func TestWhoseOwnCoverIsOverMayCover(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		anas, brunos := w.served("ana's", "ana"), w.served("bruno's", "bruno")
		w.covers("ana", "bruno", "ana")
		w.isServedBy(anas, "bruno")
		w.clock.passes(49 * time.Hour)
		w.covers("bruno", "ana", "bruno")
		w.isServedBy(anas, "ana")
		w.isServedBy(brunos, "ana")
		w.runs()
		w.goesOn(49 * time.Hour)
		w.isServedBy(anas, "ana")
		w.isServedBy(brunos, "bruno")
	})
}
