package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/session"
	"canopy/ent/generated/tag"
	"canopy/ent/generated/user"
	"canopy/internal/hours"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/live"
	"canopy/refusal"
	"canopy/store"
)

func each(t *testing.T, test func(t *testing.T, w *world)) {
	testdb.Each(t, func(t *testing.T, db *store.DB) { test(t, newWorld(t, db)) })
}

func (w *world) numbers() []int64 {
	w.t.Helper()
	rows, err := w.db.Read.QueryContext(context.Background(), "SELECT sequence FROM events WHERE account_id = $1 ORDER BY sequence", w.account)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var list []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// TestNumbersHaveNoHoles lets many publish at once, some of whom roll back.
func TestNumbersHaveNoHoles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := len(w.numbers())
		failed := errors.New("given up")
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 10 {
					err := w.db.Write(context.Background(), func(ctx context.Context, _ *ent.Tx) error {
						for range 1 + n%3 {
							if err := live.Publish(ctx, live.Event{AccountID: w.account, Kind: live.Access, UserID: int64(i), At: w.now}); err != nil {
								return err
							}
						}
						if n%2 == 1 {
							return failed
						}
						return nil
					})
					if (n%2 == 1) != errors.Is(err, failed) {
						t.Errorf("writing: %v", err)
					}
				}
			})
		}
		all.Wait()
		numbers := w.numbers()
		if want := before + 8*(1+3+2+1+3); len(numbers) != want {
			t.Errorf("%d events were written, not %d", len(numbers), want)
		}
		for i, n := range numbers {
			if n != int64(i+1) {
				t.Fatalf("the numbers are %v", numbers)
			}
		}
	})
}

func TestOneContactInOneTransactionIsOneEvent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root", authz.RoleAgent)
		queue, you := w.listen(w.as("olga"), box(desk.BoxQueue), nil), w.listen(w.as("ana"), box(desk.BoxYou), nil)
		// The contact arrives in the queue and is the opener's at once: nobody has seen it wait.
		if _, err := w.desk.StartConversation(w.as("ana"), desk.StartConversation{Name: "Kim", Phone: pointer("+5511912345678")}); err != nil {
			t.Fatal(err)
		}
		w.look()
		if got := queue.changes(); !slices.Equal(got, []live.Change{live.Started}) {
			t.Errorf("the queue hears %v", got)
		}
		if got := you.changes(); !slices.Equal(got, []live.Change{live.Started, live.Entered}) {
			t.Errorf("the opener hears %v", got)
		}
	})
}

func pointer[T any](v T) *T { return &v }

// TestSinceTellsAGapFromSilence comes back after nothing, after something, after too long, and with other rights.
func TestSinceTellsAGapFromSilence(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root", authz.RoleAgent)
		queue := box(desk.BoxQueue)
		first := w.listen(w.as("ana"), queue, nil)
		first.changes()
		again := func(what string, since string, want ...live.Change) *listener {
			t.Helper()
			l := w.listen(w.as("ana"), queue, &since)
			if got := l.changes(); !slices.Equal(got, want) {
				t.Errorf("after %s ana hears %v, not %v", what, got, want)
			}
			return l
		}
		again("silence", first.last, live.Started)
		w.contact("Kim", "root")
		again("an arrival", first.last, live.Started, live.Entered)
		w.look()
		first.changes()
		again("having heard of it", first.last, live.Started)

		for i := range live.MaxAhead + 1 {
			w.contact(fmt.Sprint("Lee", i), "root")
		}
		again("more than can wait", first.last, live.Gap, live.Entered)

		w.grant("ana", authz.RoleDashboardAdministrator, w.now, nil)
		again("a grant", first.last, live.Gap)

		later := w.listen(w.as("ana"), queue, nil)
		later.changes()
		w.contact("Nil", "root")
		w.now = w.now.Add(live.Kept + time.Hour)
		for range live.SweepEvery {
			w.contact("Max", "root")
		}
		if oldest := w.numbers()[0]; oldest == 1 {
			t.Fatal("nothing was swept")
		}
		again("too long", later.last, live.Gap)

		for _, since := range []string{"", "x", "AAAAAAAAAAAAAAAAAAAAAA", first.last[1:] + "A"} {
			if _, err := w.hub.Subscribe(w.as("ana"), queue, &since); !errors.Is(err, &refusal.Refusal{Code: refusal.BadUserInput}) {
				t.Errorf("%q as a position: %v", since, err)
			}
		}
	})
}

// TestWhatIsKeptHasNoHole: who publishes first need not be who began first.
func TestWhatIsKeptHasNoHole(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		began := w.now
		w.now = began.Add(2 * time.Hour)
		w.contact("Ida", "root")
		w.now = began
		w.contact("Jon", "root")
		w.now = began.Add(live.Kept + time.Hour)
		for range 2 * live.SweepEvery {
			w.contact("Max", "root")
		}
		kept := w.numbers()
		if n := int64(len(kept)); kept[n-1]-kept[0]+1 != n {
			t.Errorf("from %d to %d there are only %d", kept[0], kept[n-1], n)
		}
	})
}

func (w *world) grant(name, key string, from time.Time, until *time.Time) {
	w.t.Helper()
	_, err := w.directory.GrantRole(w.as("olga"), directory.GrantRole{UserID: w.users[name], RoleID: w.roles[key], ValidFrom: &from, ValidUntil: until})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestStreamsEndAtOnce ends what makes somebody a viewer, in each way that there is.
func TestStreamsEndAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, ctx context.Context) error
		want *refusal.Refusal
	}{
		"deactivated": {func(w *world, _ context.Context) error {
			_, err := w.directory.DeactivateUser(w.as("olga"), directory.DeactivateUser{UserID: w.users["ana"], Handover: directory.HandoverToQueue})
			return err
		}, refusal.NoViewer()},
		"paused": {func(w *world, _ context.Context) error {
			_, err := w.directory.UpdateAgentSettings(w.as("olga"), directory.UpdateAgentSettings{AgentID: w.users["ana"], AccessPaused: pointer(true)})
			return err
		}, refusal.Paused()},
		"logged out":            {func(w *world, ctx context.Context) error { return w.directory.LogOut(ctx) }, refusal.NoViewer()},
		"logged out everywhere": {func(w *world, ctx context.Context) error { _, err := w.directory.LogOutEverywhere(ctx); return err }, refusal.NoViewer()},
		"expired":               {func(w *world, _ context.Context) error { w.now = w.now.Add(time.Hour); return nil }, refusal.NoViewer()},
		"account deleted": {func(w *world, _ context.Context) error {
			_, err := w.directory.DeleteAccount(w.as("olga"), directory.DeleteAccount{ConfirmName: "acacia"})
			return err
		}, refusal.NoViewer()},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.user("ana", "root", authz.RoleAgent)
				ctx := w.loggedIn("ana", w.now.Add(time.Hour))
				l := w.listen(ctx, box(desk.BoxQueue), nil)
				unread := w.listen(ctx, live.Oneself{}, nil)
				w.contact("Kim", "root")
				w.look()
				l.changes()
				if err := c.end(w, ctx); err != nil {
					t.Fatal(err)
				}
				w.look()
				for _, l := range []*listener{l, unread} {
					if got := l.over(); !errors.Is(got, c.want) {
						t.Errorf("the stream ends with %v", got)
					}
					if d, err := l.Next(context.Background()); d != nil || err != nil {
						t.Errorf("after its end: %v, %v", d, err)
					}
				}
			})
		})
	}
}

// TestGrantsBeginAndEndForStreamsToo lets time alone change what somebody may do.
func TestGrantsBeginAndEndForStreamsToo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root")
		until := w.now.Add(2 * time.Hour)
		w.grant("ana", authz.RoleAgent, w.now.Add(time.Hour), &until)
		queue, self := w.listen(w.as("ana"), box(desk.BoxQueue), nil), w.listen(w.as("ana"), live.Oneself{}, nil)
		queue.changes()
		self.changes()
		step := func(what string, inQueue, ofSelf []live.Change) {
			t.Helper()
			w.look()
			if got := queue.changes(); !slices.Equal(got, inQueue) {
				t.Errorf("%s: the queue hears %v, not %v", what, got, inQueue)
			}
			if got := self.changes(); !slices.Equal(got, ofSelf) {
				t.Errorf("%s: viewerChanged hears %v, not %v", what, got, ofSelf)
			}
		}
		w.contact("Kim", "root")
		step("before the grant", nil, nil)
		w.now = w.now.Add(time.Hour)
		step("when it begins", []live.Change{live.Gap}, []live.Change{live.Updated})
		w.contact("Lee", "root")
		step("while it lasts", []live.Change{live.Entered}, nil)
		w.contact("Nil", "root")
		w.look()
		w.now = until
		// What waits was judged while the grant lasted, and the hub has not looked since: whoever reads now has no right to it.
		if got := queue.changes(); !slices.Equal(got, []live.Change{live.Gap}) {
			t.Errorf("at its end: the queue hears %v", got)
		}
		step("when it has ended", nil, []live.Change{live.Updated})
		w.contact("Max", "root")
		step("after it", nil, nil)
	})
}

// TestRightsAreThoseOfTheMomentOfDelivery takes a right away while something waits that was judged by it.
func TestRightsAreThoseOfTheMomentOfDelivery(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root", authz.RoleAgent)
		queue := w.listen(w.as("ana"), box(desk.BoxQueue), nil)
		queue.changes()
		w.contact("Kim", "root")
		w.look()
		grant := w.db.Read.RoleGrant.Query().Where(rolegrant.UserID(w.users["ana"])).OnlyIDX(authz.Trusted(context.Background()))
		if _, err := w.directory.RevokeRole(w.as("olga"), directory.RevokeRole{GrantID: grant}); err != nil {
			t.Fatal(err)
		}
		// The hub has not looked, but the reader comes now.
		if got := queue.changes(); !slices.Equal(got, []live.Change{live.Gap}) {
			t.Errorf("heard %v", got)
		}
		w.now = w.now.Add(time.Second)
		if _, err := w.directory.DeactivateUser(w.as("olga"), directory.DeactivateUser{UserID: w.users["ana"], Handover: directory.HandoverToQueue}); err != nil {
			t.Fatal(err)
		}
		w.look()
		if got := queue.over(); !errors.Is(got, refusal.NoViewer()) {
			t.Errorf("the stream ends with %v", got)
		}
	})
}

// TestWhoDoesNotReadIsDropped lets much happen in front of two who do not read: at once it is a gap, and in time the end.
func TestWhoDoesNotReadIsDropped(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root", authz.RoleAgent)
		burst := func() {
			for range live.MaxAhead + 10 {
				w.contact("Kim", "root")
			}
			w.look()
		}
		queue := w.listen(w.as("ana"), box(desk.BoxQueue), nil)
		burst()
		if n := queue.Waiting(); n > live.MaxAhead {
			t.Errorf("%d changes wait", n)
		}
		if got := queue.changes(); got[0] != live.Gap {
			t.Errorf("after a burst ana hears %v first", got[0])
		}
		w.contact("Lee", "root")
		w.look()
		w.now = w.now.Add(live.Patience)
		burst()
		if got := queue.over(); !errors.Is(got, refusal.SlowReader()) {
			t.Errorf("the stream ends with %v", got)
		}
	})
}

// TestPreviewsPublishNothing looks at a change and makes it.
func TestPreviewsPublishNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("sales", "root")
		w.group("north", "sales")
		before := len(w.numbers())
		move := directory.MoveGroup{GroupID: w.groups["north"], ParentID: w.groups["root"]}
		if _, err := w.directory.PreviewMoveGroup(w.as("olga"), move); err != nil {
			t.Fatal(err)
		}
		if n := len(w.numbers()); n != before {
			t.Errorf("the preview published %d events", n-before)
		}
		if _, err := w.directory.MoveGroup(w.as("olga"), move); err != nil {
			t.Fatal(err)
		}
		if len(w.numbers()) == before {
			t.Error("the move published nothing")
		}
	})
}

// TestEscalationsThatAreTakenBackAreTold changes the setting by which a contact came into the queue above.
func TestEscalationsThatAreTakenBackAreTold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("sales", "root")
		w.user("ana", "root", authz.RoleAgent)
		w.contact("Kim", "sales")
		queue := w.listen(w.as("ana"), box(desk.BoxQueue), nil)
		for _, step := range []struct {
			after int // seconds
			want  live.Change
		}{{60, live.Entered}, {-1, live.Left}, {60, live.Entered}, {600, live.Left}} {
			queue.changes()
			in := directory.UpdateGroupSettings{GroupID: w.groups["sales"], EscalateAfter: optional.To(step.after)}
			if _, err := w.directory.UpdateGroupSettings(w.as("olga"), in); err != nil {
				t.Fatal(err)
			}
			for range 2 { // what the first sets for this moment runs with the second
				w.now = w.now.Add(time.Minute)
				if _, err := w.desk.RunDue(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			w.look()
			if got := queue.changes(); !slices.Equal(got, []live.Change{step.want}) {
				t.Errorf("after %d s: heard %v, not %s", step.after, got, step.want)
			}
		}
	})
}

// slowPeople take some time to load nobody, once they are told that nobody waits for it.
type slowPeople struct {
	asked chan struct{}
	done  atomic.Bool
}

func (p *slowPeople) Renew(context.Context, *authz.Viewer) (*authz.Viewer, error) {
	return nil, refusal.NoViewer()
}

func (p *slowPeople) RenewAll(ctx context.Context, _ int64, _ []*authz.Viewer) ([]live.Renewed, time.Time, error) {
	close(p.asked)
	<-ctx.Done()
	p.done.Store(true)
	return nil, time.Time{}, ctx.Err()
}

func (p *slowPeople) Rosters(context.Context, int64, []int64) (map[int64]live.Roster, time.Time, error) {
	return nil, time.Time{}, nil
}

// TestAHubThatRestsHasEnded ends the last stream while the hub looks.
func TestAHubThatRestsHasEnded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		people := &slowPeople{asked: make(chan struct{})}
		var running sync.WaitGroup
		hub := &live.Hub{DB: w.db, People: people, Now: time.Now, Log: slog.New(slog.DiscardHandler), Running: &running}
		ctx, end := context.WithCancel(w.as("olga"))
		if _, err := hub.Subscribe(ctx, live.Oneself{}, nil); err != nil {
			t.Fatal(err)
		}
		<-people.asked
		end()
		running.Wait()
		if !people.done.Load() {
			t.Error("it looks still")
		}
	})
}

// TestEscalationsGoWithTheirGroup moves the groups from which and to which contacts escalated, and deletes them.
func TestEscalationsGoWithTheirGroup(t *testing.T) {
	heir := func(w *world, group, heir string) error {
		_, err := w.directory.DeleteGroup(w.as("olga"), directory.DeleteGroup{GroupID: w.groups[group], SuccessorID: pointer(w.groups[heir])})
		return err
	}
	for name, c := range map[string]struct {
		change      func(w *world) error
		left, heard string // the agents at home there are told; the others are not
	}{
		"moved": {func(w *world) error {
			_, err := w.directory.MoveGroup(w.as("olga"), directory.MoveGroup{GroupID: w.groups["shop"], ParentID: w.groups["other"]})
			return err
		}, "sales", "other"},
		"from a group that is gone": {func(w *world) error { return heir(w, "shop", "vault") }, "sales", ""},
		"to a group that is gone":   {func(w *world) error { return heir(w, "sales", "other") }, "sales", "other"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				listeners := map[string]*listener{}
				for _, g := range []string{"sales", "other", "vault"} {
					w.group(g, "root")
				}
				w.group("shop", "sales")
				w.contact("Kim", "shop")
				for _, g := range []string{"sales", "other", "vault"} {
					w.user("of "+g, g, authz.RoleAgent)
				}
				w.write(func(ctx context.Context, tx *ent.Tx) error { // it can be seen in the queue above alone
					return errors.Join(tx.Group.UpdateOneID(w.groups["vault"]).SetAssignmentMode(group.AssignmentModeROUND_ROBIN).Exec(ctx),
						tx.Contact.Update().SetEscalatedToID(w.groups["sales"]).Exec(ctx))
				})
				for _, g := range []string{"sales", "other", "vault"} {
					listeners[g] = w.listen(w.as("of "+g), box(desk.BoxQueue), nil)
					listeners[g].changes()
				}
				if err := c.change(w); err != nil {
					t.Fatal(err)
				}
				w.look()
				for g, l := range listeners {
					got, told := l.changes(), g == c.left || g == c.heard
					if told != (len(got) > 0) || told && got[0] != live.Gap {
						t.Errorf("the agents of %s hear %v", g, got)
					}
				}
			})
		})
	}
}

// TestPanel follows the agents of a group.
func TestPanel(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("sales", "root")
		w.group("other", "root")
		w.user("ana", "sales", authz.RoleAgent)
		w.user("bea", "other", authz.RoleAgent)
		panel := w.listen(w.as("olga"), live.Panel{GroupID: w.groups["sales"]}, nil)
		panel.changes()
		hear := func(what string, want ...string) {
			t.Helper()
			w.look()
			list, err := panel.heard()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range list {
				got = append(got, fmt.Sprint(d.Change, " ", d.AgentID))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: heard %v, not %v", what, got, want)
			}
		}
		ana := w.users["ana"]
		w.set("ana", user.AvailabilityAVAILABLE)
		hear("available", fmt.Sprint("UPDATED ", ana))
		w.set("bea", user.AvailabilityAVAILABLE)
		hear("somebody else")
		kim := w.contact("Kim", "sales")
		hear("an arrival", "UPDATED 0")
		if _, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: kim, AgentID: &ana}); err != nil {
			t.Fatal(err)
		}
		hear("assigned", "UPDATED 0", fmt.Sprint("UPDATED ", ana))
		if _, err := w.directory.MoveUser(w.as("olga"), directory.MoveUser{UserID: ana, HomeGroupID: w.groups["other"]}); err != nil {
			t.Fatal(err)
		}
		hear("moved away", fmt.Sprint("LEFT ", ana))
		if _, err := w.directory.UpdateGroupSettings(w.as("olga"), directory.UpdateGroupSettings{GroupID: w.groups["root"], Capacity: optional.To(3)}); err != nil {
			t.Fatal(err)
		}
		hear("another capacity", "GAP 0")
	})
}

// TestPanelsFollowTheClock lets time alone change who serves in a group and who is at work, with somebody who listens and
// somebody who comes back.
func TestPanelsFollowTheClock(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("sales", "root")
		w.user("ana", "sales", authz.RoleAgent)
		w.user("bea", "sales")
		ana, bea := fmt.Sprint(w.users["ana"]), fmt.Sprint(w.users["bea"])
		began := w.now // a Monday, 09:00
		until := began.Add(4 * time.Hour)
		w.grant("bea", authz.RoleAgent, began.Add(2*time.Hour), &until)
		week := &hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: time.Monday, Start: 10 * 60, End: 12 * 60}}}
		if _, err := w.directory.UpdateAgentSettings(w.as("olga"), directory.UpdateAgentSettings{AgentID: w.users["ana"], WorkingHours: optional.To(*week)}); err != nil {
			t.Fatal(err)
		}
		panel := w.listen(w.as("olga"), live.Panel{GroupID: w.groups["sales"]}, nil)
		panel.changes()
		for _, step := range []struct {
			after time.Duration
			hears []string
		}{
			{59 * time.Minute, nil},
			{time.Hour, []string{"UPDATED " + ana}},     // her hours begin
			{2 * time.Hour, []string{"ENTERED " + bea}}, // the grant begins
			{3 * time.Hour, []string{"UPDATED " + ana}}, // her hours end
			{4 * time.Hour, []string{"LEFT " + bea}},    // the grant has ended
		} {
			since := panel.last
			w.now = began.Add(step.after)
			w.look()
			list, err := panel.heard()
			var got []string
			for _, d := range list {
				got = append(got, fmt.Sprint(d.Change, " ", d.AgentID))
			}
			if err != nil || !slices.Equal(got, step.hears) {
				t.Errorf("after %s: heard %v (%v), not %v", step.after, got, err, step.hears)
			}
			again := func(since string, want live.Change) {
				t.Helper()
				l := w.listen(w.as("olga"), live.Panel{GroupID: w.groups["sales"]}, &since)
				if got := l.changes(); !slices.Equal(got, []live.Change{want}) {
					t.Errorf("after %s, who comes back hears %v, not %s", step.after, got, want)
				}
				l.Close()
			}
			again(panel.last, live.Started)
			if step.hears != nil {
				again(since, live.Gap)
			}
		}
		// Who serves by a role that is given or taken comes and goes, too.
		w.grant("bea", authz.RoleAgent, w.now, nil)
		w.look()
		if got := panel.changes(); !slices.Equal(got, []live.Change{live.Entered}) {
			t.Errorf("with a new agent: %v", got)
		}
	})
}

// TestWhatIsToldAtOnceIsMissedAtOnce comes back after the first of two changes that one event made.
func TestWhatIsToldAtOnceIsMissedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root", authz.RoleAgent)
		kim := w.contact("Kim", "root")
		panel := w.listen(w.as("olga"), live.Panel{GroupID: w.groups["root"]}, nil)
		panel.changes()
		if _, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: kim, AgentID: pointer(w.users["ana"])}); err != nil {
			t.Fatal(err)
		}
		w.look()
		first, err := panel.Next(context.Background())
		if err != nil || panel.Waiting() != 1 {
			t.Fatalf("%d wait after the first (%v)", panel.Waiting(), err)
		}
		again := w.listen(w.as("olga"), live.Panel{GroupID: w.groups["root"]}, &first.Position)
		if got := again.changes(); !slices.Equal(got, []live.Change{live.Started, live.Updated, live.Updated}) {
			t.Errorf("who comes back hears %v", got)
		}
	})
}

// TestMarksAndTags follows what conversations show besides what happens to them: what a user has read, which is for that user
// alone, and the account's tags, for who sees them.
func TestMarksAndTags(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root", authz.RoleAgent)
		w.user("bill", "root", authz.RoleBillingManager)
		olga, ana := w.as("olga"), w.as("ana")
		_, err := w.desk.ReceiveMessage(olga, desk.ReceiveMessage{Channel: "test", Address: "kim", Text: "Hello", ExternalID: "first"})
		fatal(t, err)
		kim := w.db.Read.Contact.Query().OnlyX(authz.Trusted(context.Background()))
		_, err = w.desk.AssignContact(olga, desk.AssignContact{ContactID: kim.ID, AgentID: pointer(w.users["ana"])})
		fatal(t, err)
		c := w.db.Read.Conversation.Query().OnlyX(authz.Trusted(context.Background()))
		vip, err := w.desk.CreateTag(olga, desk.CreateTag{Name: "VIP", Colour: tag.ColourRED})
		fatal(t, err)
		one := live.OneConversation{ContactID: kim.ID, ConversationID: c.ID}
		listeners := map[string]*listener{
			"ana's box": w.listen(ana, box(desk.BoxYou), nil), "ana's conversation": w.listen(ana, one, nil),
			"olga's box": w.listen(olga, box(desk.BoxTeammates), nil), "olga's conversation": w.listen(olga, one, nil),
			"bill's box": w.listen(w.as("bill"), box(desk.BoxYou), nil),
		}
		hear := func(what string, do func() error, want map[string]live.Change) {
			t.Helper()
			fatal(t, do())
			w.look()
			for name, l := range listeners {
				var expected []live.Change
				if c, some := want[name]; some {
					expected = []live.Change{c}
				}
				if got := l.changes(); !slices.Equal(got, expected) {
					t.Errorf("%s: %s hears %v, not %v", what, name, got, expected)
				}
			}
		}
		read := func() error { _, err := w.desk.MarkRead(ana, desk.MarkRead{ConversationID: c.ID}); return err }
		hear("beginning", func() error { return nil }, map[string]live.Change{"ana's box": live.Started, "ana's conversation": live.Started,
			"olga's box": live.Started, "olga's conversation": live.Started, "bill's box": live.Started})
		own := map[string]live.Change{"ana's box": live.Updated, "ana's conversation": live.Updated}
		hear("read", read, own)
		hear("read again", read, nil)
		hear("unread", func() error { _, err := w.desk.MarkUnread(ana, desk.MarkUnread{ConversationID: c.ID}); return err }, own)
		tags := map[string]live.Change{"ana's box": live.Gap, "ana's conversation": live.Updated,
			"olga's box": live.Gap, "olga's conversation": live.Updated}
		rename := func() error {
			_, err := w.desk.UpdateTag(olga, desk.UpdateTag{TagID: vip.ID, Name: pointer("Important")})
			return err
		}
		hear("a new name", rename, tags)
		hear("the same name", rename, nil)
		hear("deleted", func() error { return w.desk.DeleteTag(olga, vip.ID) }, tags)
	})
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) set(name string, a user.Availability) {
	w.t.Helper()
	if _, err := w.directory.UpdateAgentSettings(w.as("olga"), directory.UpdateAgentSettings{AgentID: w.users[name], Availability: &a}); err != nil {
		w.t.Fatal(err)
	}
}

// TestABranchThatTakesWhatIsSeenOtherwiseIsAGap moves a branch of whose contacts the viewer goes on seeing only what has
// escalated, by the queue above.
func TestABranchThatTakesWhatIsSeenOtherwiseIsAGap(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("region", "root")
		w.group("home", "region")
		w.group("shop", "home")
		w.user("lea", "home", authz.RoleAgent, authz.RoleDashboardAdministrator)
		old := w.contact("Old", "shop")
		w.contact("Fresh", "shop")
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.Contact.UpdateOneID(old).SetEscalatedToID(w.groups["home"]).Exec(ctx)
		})
		l := w.listen(w.as("lea"), box(desk.BoxQueue), nil)
		l.changes()
		_, err := w.directory.MoveGroup(w.as("olga"), directory.MoveGroup{GroupID: w.groups["shop"], ParentID: w.groups["region"]})
		fatal(t, err)
		w.look()
		if got := l.changes(); !slices.Equal(got, []live.Change{live.Gap}) {
			t.Errorf("lea hears %v", got)
		}
		page, err := w.desk.Inbox(w.as("lea"), desk.Query{Box: desk.BoxQueue, First: 10})
		fatal(t, err)
		if len(page.Entries) != 1 || page.Entries[0].Contact.ID != old {
			t.Errorf("her queue has %d contacts", len(page.Entries))
		}
	})
}

// TestAConversationTellsWhatIsUnread lets the other side of a conversation speak, and rights change.
func TestAConversationTellsWhatIsUnread(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana", "root", authz.RoleAgent)
		kim := w.contact("Kim", "root")
		c, err := w.desk.OpenConversation(w.as("ana"), desk.OpenConversation{ContactID: kim})
		fatal(t, err)
		l := w.listen(w.as("olga"), live.OneConversation{ContactID: kim, ConversationID: c.ID}, nil)
		said := w.listen(w.as("olga"), live.OneConversation{ContactID: kim, ConversationID: c.ID, Messages: true}, nil)
		hear := func(what string, of *listener, want live.Change) {
			t.Helper()
			w.look()
			if got := slices.DeleteFunc(of.changes(), func(c live.Change) bool { return c == live.Look }); !slices.Equal(got, []live.Change{want}) {
				t.Errorf("%s: heard %v", what, got)
			}
		}
		hear("beginning", l, live.Started)
		hear("beginning", said, live.Started)
		_, err = w.desk.SendMessage(w.as("ana"), desk.SendMessage{ConversationID: c.ID, Text: "Hello"})
		fatal(t, err)
		hear("an answer", l, live.Updated)
		hear("an answer", said, live.Entered)
		agent := w.roles[authz.RoleAgent]
		w.user("owen", "root", authz.RoleOwner)
		_, err = w.directory.GrantRole(w.as("owen"), directory.GrantRole{UserID: w.users["olga"], RoleID: agent})
		fatal(t, err)
		hear("other rights", l, live.Updated)
	})
}

// TestOneselfAndTheTree tells viewers of the account, their home and their sessions, and the tree of settings.
func TestOneselfAndTheTree(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("sales", "root")
		w.group("north", "sales")
		w.group("other", "root")
		w.user("ana", "north", authz.RoleAgent)
		hash, err := w.directory.HashPassword(context.Background(), "correct horse battery")
		fatal(t, err)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.User.UpdateOneID(w.users["ana"]).SetPasswordHash(hash).Exec(ctx)
		})
		self, tree := w.listen(w.as("ana"), live.Oneself{}, nil), w.listen(w.as("ana"), live.Groups{}, nil)
		self.changes()
		tree.changes()
		olga := w.as("olga")
		settings := func(group string) func() error {
			return func() error {
				_, err := w.directory.UpdateGroupSettings(olga, directory.UpdateGroupSettings{GroupID: w.groups[group], Capacity: optional.To(7)})
				return err
			}
		}
		rename := func(group string) func() error {
			return func() error {
				_, err := w.directory.UpdateGroup(olga, directory.UpdateGroup{GroupID: w.groups[group], Name: pointer(group + " anew")})
				return err
			}
		}
		updated, gap := []live.Change{live.Updated}, []live.Change{live.Gap}
		for _, c := range []struct {
			what       string
			do         func() error
			self, tree []live.Change
		}{
			{"a log-in", func() error {
				_, err := w.directory.LogIn(context.Background(), directory.LogIn{Email: "ana@example.com", Password: "correct horse battery", Kind: session.KindTOKEN})
				return err
			}, updated, nil},
			{"the account's name", func() error {
				_, err := w.directory.UpdateAccount(olga, directory.UpdateAccount{Name: pointer("Acacia anew")})
				return err
			}, updated, nil},
			{"the home's name", rename("north"), updated, updated},
			{"the name of a hidden group", rename("sales"), nil, nil},
			{"settings of a hidden group above", settings("sales"), nil, gap},
			{"settings of another hidden group", settings("other"), nil, nil},
		} {
			fatal(t, c.do())
			w.look()
			if got := self.changes(); !slices.Equal(got, c.self) {
				t.Errorf("%s: ana hears of herself %v", c.what, got)
			}
			if got := tree.changes(); !slices.Equal(got, c.tree) {
				t.Errorf("%s: ana hears of the tree %v", c.what, got)
			}
		}
	})
}
