package desk_test

import (
	"context"
	stdsql "database/sql"
	"testing"
	"time"

	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/internal/hours"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/timers"
	"canopy/tree"
)

// sideBySide runs the test in a new world on PostgreSQL; on SQLite one transaction writes at a time.
func sideBySide(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	w := newWorld(t, testdb.Postgres(t))
	w.build()
	test(t, w)
	w.intact()
}

// overlap lets the first do all that it does and hold all that it locks, begins the second, and lets the first commit when
// the second waits. Both publish something, which they do last: that is where the first is stopped.
func (w *world) overlap(first, second func() error) (ofFirst, ofSecond error) {
	w.t.Helper()
	one, two := make(chan error, 1), make(chan error, 1)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE event_counters SET last = last WHERE account_id = $1", w.account); err != nil {
			return err
		}
		go func() { one <- first() }()
		w.untilSoManyWait(1)
		go func() { two <- second() }()
		w.untilSoManyWait(2)
		return nil
	})
	return <-one, <-two
}

// overlaps is overlap of two that both succeed.
func (w *world) overlaps(first, second func() error) {
	w.t.Helper()
	one, two := w.overlap(first, second)
	if one != nil || two != nil {
		w.t.Fatalf("the first returns %v, the second %v", one, two)
	}
}

// message is a message of the contact as the channel delivers it.
func (w *world) message(name string, at *int64) func() error {
	dev := w.as("olga")
	return func() error {
		_, err := w.desk.ReceiveMessage(dev, desk.ReceiveMessage{Channel: "test", Address: name, Name: &name, Text: "Thank you",
			ExternalID: "overlapping", GroupID: at})
		return err
	}
}

// named is the contact that wrote.
func (w *world) named(name string) int64 {
	w.t.Helper()
	id, err := w.db.Read.Contact.Query().Where(contact.Address(name)).OnlyID(all())
	ok(w.t, err)
	return id
}

// dueAt is when a timer is due, the zero time when it is not set.
func (w *world) dueAt(kind timers.Kind, subject int64) (at time.Time) {
	w.t.Helper()
	ok(w.t, store.EachRow(context.Background(), w.db.Read, "SELECT due_at FROM timers WHERE kind = $1 AND subject_id = $2", []any{string(kind), subject},
		func(rows *stdsql.Rows) error {
			var due int64
			err := rows.Scan(&due)
			at = time.UnixMicro(due).UTC()
			return err
		}))
	return at
}

func TestWhoWritesWhileTheConversationIsClosedComesBackToTheirAgent(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		open := w.openOf(c).ID
		w.overlaps(func() error {
			_, err := w.desk.CloseConversation(w.as("ana"), desk.CloseConversation{ConversationID: open})
			return err
		}, w.message("kim", nil))
		w.isServedBy(c, "ana")
		if w.openOf(c) == nil {
			t.Error("no conversation was opened")
		}
	})
}

func TestWhoWritesWhileTheContactIsPassedOnComesToTheNewAgent(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.closes(c)
		w.overlaps(func() error {
			_, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: c, AgentID: w.id("carla")})
			return err
		}, w.message("kim", nil))
		w.isServedBy(c, "carla")
	})
}

func TestWhoWritesWhileTheContactIsDeletedIsANewContact(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.overlaps(func() error {
			return w.desk.DeleteContact(w.as("olga"), desk.DeleteContact{ContactID: c})
		}, w.message("kim", nil))
		if kim := w.only(); kim.ID == c || w.openOf(kim.ID) == nil {
			t.Errorf("the message is with %v", kim)
		}
	})
}

// TestWhoWritesWhileTheirGroupIsDeletedIsHeard: the group is gone between two statements of the use-case, before it locks
// anything.
func TestWhoWritesWhileTheirGroupIsDeletedIsHeard(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.closes(c)
		receives := w.message("kim", nil)
		testdb.Statements(w.db).After(`FROM "contacts"`, func() { w.dissolves("north", "south") })
		ok(t, receives())
		w.isServedBy(c, "ana")
		if row := w.row(c); row.GroupID != w.groups["south"] || w.openOf(c) == nil {
			t.Errorf("the contact is %v", row)
		}
	})
}

// dissolves deletes a group into another one.
func (w *world) dissolves(group, heir string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tree.Dissolve(ctx, tx, w.account, w.groups[group], w.groups[heir], 64)
	})
}

func TestNoMethodGivesAnythingToWhoIsBeingCovered(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		w.available("dora", "emil")
		w.arrives("somebody", "north") // an account in which something has happened
		cover := desk.StartCover{AgentID: w.users["dora"], ToAgentID: w.users["emil"], Until: w.until()}
		w.overlaps(func() error {
			_, err := w.desk.StartCover(w.as("dora"), cover)
			return err
		}, w.message("kim", w.at("support")))
		w.isServedBy(w.named("kim"), "emil")
	})
}

func TestAMethodAndACoverGiveNobodyMoreThanThereIsRoomFor(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		w.available("emil")
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetCapacity(1) })
		lee := w.served("lee", "ana")
		w.closes(lee)
		w.covers("ana", "emil", "olga")
		olga := w.as("olga")
		w.overlaps(func() error {
			_, err := w.desk.OpenConversation(olga, desk.OpenConversation{ContactID: lee})
			return err
		}, w.message("kim", w.at("support")))
		w.isServedBy(lee, "emil")
		w.waitsIn(w.named("kim"), "support")
	})
}

func TestWhatIsSentToAGroupDoesNotComeBackToWhoHasJustGotIt(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		w.available("dora", "emil")
		c := w.served("kim", "ana")
		pass := func(in desk.AssignContact) func() error {
			olga := w.as("olga")
			in.ContactID = c
			return func() error {
				_, err := w.desk.AssignContact(olga, in)
				return err
			}
		}
		w.overlaps(pass(desk.AssignContact{AgentID: w.id("dora")}), pass(desk.AssignContact{GroupID: w.at("support")}))
		w.isServedBy(c, "emil")
	})
}

// TestWhoWaitsForOtherSettingsGoesByThem: nobody else would set the timer. Those who are about to write in a group when its
// settings change are waited for: see package directory.
func TestWhoWaitsForOtherSettingsGoesByThem(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		w.arrives("somebody", "north") // an account in which something has happened
		w.overlaps(func() error {
			_, err := w.directory().UpdateGroupSettings(w.as("olga"), directory.UpdateGroupSettings{GroupID: w.groups["sales"], EscalateAfter: optional.To(600)})
			return err
		}, w.message("kim", w.at("north")))
		if w.dueAt(timers.Escalate, w.named("kim")).IsZero() {
			t.Error("the contact would wait for ever")
		}
	})
}

func TestAReviewDoesNotPutOffWhatIsPassedOnMeanwhile(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		w.set("north", func(u *ent.GroupUpdateOne) { u.SetEscalateAfter(36_000) })
		w.set("south", func(u *ent.GroupUpdateOne) { u.SetEscalateAfter(600) })
		c := w.writes("kim", "north")
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return timers.Set(ctx, tx, timers.Timer{Kind: timers.Review, SubjectID: w.groups["north"], AccountID: w.account, Due: w.clock.Now()})
		})
		w.overlaps(func() error {
			_, err := w.desk.TransferContact(w.as("olga"), desk.TransferContact{ContactID: c, GroupID: w.at("south")})
			return err
		}, func() error {
			_, err := w.desk.RunDue(context.Background())
			return err
		})
		if due := w.dueAt(timers.Escalate, c); due.After(w.row(c).WaitingSince.Add(10 * time.Minute)) {
			t.Errorf("it escalates at %s, and waits since %s", due, w.row(c).WaitingSince)
		}
	})
}

func TestWorkingHoursThatAreSetWhileTheyBeginCount(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		week := func(day time.Weekday) hours.Week {
			return hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: day, Start: 10 * 60, End: 12 * 60}}}
		}
		set := func(day time.Weekday) error {
			_, err := w.directory().UpdateViewer(w.as("dora"), directory.UpdateViewer{WorkingHours: optional.To(week(day))})
			return err
		}
		ok(t, set(time.Tuesday))
		w.after(48 * time.Hour)
		w.clock.passes(w.dueAt(timers.HoursBegin, w.users["dora"]).Sub(w.clock.Now()))
		w.overlaps(func() error { return set(time.Friday) }, func() error {
			_, err := w.desk.RunDue(context.Background())
			return err
		})
		if due := w.dueAt(timers.HoursBegin, w.users["dora"]); due.Weekday() != time.Friday {
			t.Errorf("the hours of Friday begin on %s", due.Weekday())
		}
	})
}

// TestWhoWorksInABranchThatMovesMayTryAgain: what they see they see by where the branch stood when the request began.
func TestWhoWorksInABranchThatMovesMayTryAgain(t *testing.T) {
	sideBySide(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		open := w.openOf(c).ID
		closes := func(sue context.Context) error {
			_, err := w.desk.CloseConversation(sue, desk.CloseConversation{ConversationID: open})
			return err
		}
		left := make(chan error, 1)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			sue := w.as("sue")
			_, err := tree.Move(ctx, tx, tree.Moving{AccountID: w.account, GroupID: w.groups["sales"], ParentID: w.groups["support"], MaxDepth: 64, AtOnce: tree.AtOnce})
			go func() { left <- closes(sue) }()
			w.untilSomebodyWaits()
			return err
		})
		refused(t, <-left, refusal.ConflictCode, "")
		ok(t, closes(w.as("sue")))
	})
}
