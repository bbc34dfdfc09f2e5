package desk_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/store"
	"canopy/timers"

	"entgo.io/ent/dialect"
)

// passes lets time go by.
func (c *clock) passes(d time.Duration) { c.seconds.Add(int64(d / time.Second)) }

// runs runs what is due and returns how many timers that were.
func (w *world) runs() int {
	w.t.Helper()
	n, err := w.desk.RunDue(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// after lets time go by and runs what is due then, until nothing is.
func (w *world) after(d time.Duration) {
	w.t.Helper()
	w.clock.passes(d)
	for range 20 {
		if w.runs() == 0 {
			return
		}
	}
	w.t.Error("the timers set each other off for ever")
}

// events counts the audit events of that name.
func (w *world) events(action string) int {
	w.t.Helper()
	n, err := w.db.Read.AuditEvent.Query().Where(auditevent.Action(action)).Count(all())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// answered makes a contact whom the agent serves and has answered.
func (w *world) answered(name, agent string) int64 {
	w.t.Helper()
	c := w.served(name, agent)
	_, err := w.answers(agent, w.openOf(c).ID)
	ok(w.t, err)
	return c
}

func TestWhatWaitsForAnAnswerIsNotSilent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("root", func(u *ent.GroupUpdateOne) { u.SetCloseAfter(3600) })
		queued, asks, asksAgain, passedOn := w.writes("queued", "north"), w.served("asks", "ana"), w.answered("again", "ana"), w.served("passed", "ana")
		silent, said := w.answered("silent", "ana"), w.answered("said", "ana")
		w.assigned(passedOn, "carla")
		w.assigned(said, "carla")
		w.says("again", nil)
		nothing := w.arrives("nothing", "north")
		w.assigned(nothing, "ana")
		_, err := w.desk.OpenConversation(w.as("ana"), desk.OpenConversation{ContactID: nothing})
		ok(t, err)
		w.after(3 * time.Hour)
		w.after(3 * time.Hour)
		for name, c := range map[string]int64{"in the queue": queued, "asks": asks, "asks again": asksAgain, "passed on": passedOn} {
			if w.openOf(c) == nil {
				t.Errorf("%s: it was closed", name)
			}
		}
		for name, c := range map[string]int64{"silent": silent, "passed on after an answer": said, "nothing said": nothing} {
			if w.openOf(c) != nil {
				t.Errorf("%s: it is open", name)
			}
		}
		_, err = w.answers("ana", w.openOf(asks).ID)
		ok(t, err)
		w.after(50 * time.Minute)
		if w.openOf(asks) == nil {
			t.Error("it was closed before the contact had the whole time to answer")
		}
		w.after(11 * time.Minute)
		if w.openOf(asks) != nil {
			t.Error("it is open although the contact has not answered")
		}
	})
}

func TestASilentConversationIsClosedByNobodyAndOneThatIsNotSilentIsNot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("root", func(u *ent.GroupUpdateOne) { u.SetCloseAfter(3600) })
		w.set("vault", func(u *ent.GroupUpdateOne) { u.SetCloseAfter(-1) })
		silent, lively, never := w.answered("kim", "ana"), w.answered("lee", "ana"), w.answered("max", "vera")
		w.after(50 * time.Minute)
		_, err := w.answers("ana", w.openOf(lively).ID)
		ok(t, err)
		w.after(15 * time.Minute)
		if w.openOf(silent) != nil || w.openOf(lively) == nil || w.openOf(never) == nil {
			t.Fatalf("open are %v, %v, %v", w.openOf(silent), w.openOf(lively), w.openOf(never))
		}
		e := w.lastEvent()
		if e.Action != "CONVERSATION_CLOSED" || e.UserID != nil || !strings.Contains(e.Reason, "1 hour") {
			t.Errorf("the event is %v", e)
		}
		closed := w.conversations(silent)
		if c := closed[len(closed)-1]; c.ClosedByID != nil {
			t.Errorf("it was closed by %d", *c.ClosedByID)
		}
		w.isServedBy(silent, "ana") // closing keeps the assignment
		w.after(time.Hour)
		if w.openOf(lively) != nil {
			t.Error("it fell silent later and is open still")
		}
	})
}

func TestATimerSurvivesItsProcess(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("root", func(u *ent.GroupUpdateOne) { u.SetCloseAfter(3600) })
		c := w.answered("kim", "ana")
		w.desk = &desk.Service{DB: w.db, Now: w.clock.Now}
		w.after(2 * time.Hour)
		if w.openOf(c) != nil {
			t.Error("the timer was lost")
		}
	})
}

func TestATimerHappensOnceWhateverTheNumberOfProcesses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("root", func(u *ent.GroupUpdateOne) { u.SetCloseAfter(3600) })
		const contacts = 30
		for i := range contacts {
			w.answered(fmt.Sprint("contact", i), "ana")
		}
		w.clock.passes(2 * time.Hour)
		ran := make([]int, 6)
		for _, err := range together(len(ran), func(i int) (err error) {
			process := &desk.Service{DB: w.db, Now: w.clock.Now}
			ran[i], err = process.RunDue(context.Background())
			return err
		}) {
			ok(t, err)
		}
		total := 0
		for _, n := range ran {
			total += n
		}
		total += w.runs() // what one had looked at while another one held it
		if n := w.events("CONVERSATION_CLOSED"); n != contacts {
			t.Errorf("%d conversations were closed; want %d", n, contacts)
		}
		if total < contacts {
			t.Errorf("%d timers ran; want at least %d", total, contacts)
		}
	})
}

func TestATimerThatFailsIsPutOffAndKeepsNoOtherFromRunning(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("root", func(u *ent.GroupUpdateOne) { u.SetCloseAfter(3600) })
		c := w.answered("kim", "ana")
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return timers.Set(ctx, tx, timers.Timer{Kind: "OF_A_NEWER_VERSION", SubjectID: 1, AccountID: w.account, Due: w.clock.Now()})
		})
		w.clock.passes(2 * time.Hour)
		_, err := w.desk.RunDue(context.Background())
		if err == nil || !strings.Contains(err.Error(), "OF_A_NEWER_VERSION") {
			t.Errorf("the error is %v", err)
		}
		if w.openOf(c) != nil {
			t.Error("another timer did not run")
		}
		// It comes again each time later: after 1, 2, 4 … seconds; the clock goes on by itself.
		failures := 0
		for range 100 {
			if _, err := w.desk.RunDue(context.Background()); err != nil {
				failures++
			}
		}
		if failures == 0 || failures > 20 {
			t.Errorf("it failed %d times in 100 looks", failures)
		}
	})
}

// A timer that is set anew while it runs runs once more, and one that is cleared while it runs did nothing.
func TestWhatHappensToATimerWhileItRuns(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		setting := timers.Timer{Kind: timers.Distribute, SubjectID: 7, AccountID: w.account, Due: w.clock.Now()}
		set := func(ctx context.Context, tx *ent.Tx) error { return timers.Set(ctx, tx, setting) }
		find := func() timers.Pending {
			t.Helper()
			due, err := timers.Due(context.Background(), w.db.Read, w.clock.Now(), 10)
			ok(t, err)
			if len(due) != 1 {
				t.Fatalf("due are %v", due)
			}
			return due[0]
		}
		finish := func(p timers.Pending) (there bool) {
			t.Helper()
			w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
				there, err = timers.Finish(ctx, tx, p)
				return err
			})
			return there
		}
		w.write(set)
		first := find()
		w.write(set)
		if !finish(first) {
			t.Error("what was set anew counts as cleared")
		}
		second := find()
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			if taken, err := timers.Take(ctx, tx, first); err != nil || taken {
				return errors.Join(err, errors.New("a timer was taken as it was not any more"))
			}
			return timers.Clear(ctx, tx, second.Kind, second.SubjectID)
		})
		if finish(second) {
			t.Error("what was cleared counts as there")
		}
		setting.Due = setting.Due.Add(time.Hour) // and set after that, for later
		w.write(set)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			if taken, err := timers.Take(ctx, tx, first); err != nil || taken {
				return errors.Join(err, errors.New("a timer was taken before it was due"))
			}
			return nil
		})
		if !finish(first) || !finish(second) {
			t.Error("what was set after it was cleared went with what was found before")
		}
	})
}

// TestTimersAreTakenInOneOrder: of two that take some of the same timers in different orders one would be given up.
func TestTimersAreTakenInOneOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if w.db.Dialect() != dialect.Postgres {
			return // one transaction writes at a time
		}
		const covered = 12
		for i := range covered {
			name := fmt.Sprint("agent", i)
			w.user(name, "north", authz.RoleAgent)
			w.covers(name, "ana", name)
		}
		lock := func(tx *ent.Tx, which string) (locked int) {
			ok(t, store.EachRow(t.Context(), tx, "SELECT 1 FROM timers WHERE kind = 'COVER_ENDS' "+which, nil,
				func(*sql.Rows) error { locked++; return nil }))
			return locked
		}
		var left chan error
		w.write(func(_ context.Context, tx *ent.Tx) error {
			lock(tx, "ORDER BY subject_id LIMIT 1 FOR UPDATE")
			left = make(chan error, 1)
			go func() {
				_, err := w.leaves("ana", "adam", desk.HandOverToQueue, 0)
				left <- err
			}()
			w.untilSomebodyWaits()
			if free := lock(tx, "FOR UPDATE SKIP LOCKED"); free != covered {
				t.Errorf("%d of %d timers are held by somebody who waits for the first of them", covered-free, covered)
			}
			return nil
		})
		ok(t, <-left)
	})
}

// untilSomebodyWaits returns when a transaction waits for another one.
func (w *world) untilSomebodyWaits() {
	w.t.Helper()
	w.untilSoManyWait(1)
}

// untilSoManyWait returns when so many transactions wait for others.
func (w *world) untilSoManyWait(want int) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		waiting := 0
		ok(w.t, store.EachRow(context.Background(), w.db.Read, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`, nil, func(rows *sql.Rows) error { return rows.Scan(&waiting) }))
		if waiting >= want {
			return
		}
	}
	w.t.Errorf("there are never %d that wait", want)
}
