package prove

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

const (
	shortRun      = 40_000    // decisions, in every run of the tests; CANOPY_PROVE wants another number
	longRun       = 2_000_000 // every operation comes up so often in one that it is done and refused
	stepsPerWorld = 120
	stepsPerLaws  = 30
	lawsAtOnce    = 2
)

// TestNoAnswerIsWrong makes accounts and changes them, step by step, and compares after each step. CANOPY_PROVE is how
// many decisions to compare on each database; CANOPY_PROVE_SEED begins with the account of that seed, which the log and
// a failure name.
func TestNoAnswerIsWrong(t *testing.T) {
	wanted := number(t, "CANOPY_PROVE", shortRun)
	seed := number(t, "CANOPY_PROVE_SEED", rand.Uint64N(1_000_000_000))
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		sum := &tally{done: map[string]int{}, refused: map[string]int{}}
		begun := time.Now()
		accounts := 0
		for ; uint64(sum.decisions) < wanted; accounts++ {
			prove(t, db, seed+uint64(accounts), sum)
		}
		t.Logf("%d decisions compared, and %d answers by the laws, in %d accounts in %v, from CANOPY_PROVE_SEED=%d on\n%s", sum.decisions, sum.lawful, accounts, time.Since(begun).Round(time.Second), seed, sum)
		if wanted >= longRun {
			sum.checkEverythingHappened(t)
		}
	})
}

// prove is the life of one account.
func prove(t *testing.T, db *store.DB, seed uint64, sum *tally) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("repeat it: CANOPY_PROVE_SEED=%d CANOPY_PROVE=1 go test ./internal/prove -run '%s'", seed, t.Name())
		}
	}()
	w := newWorld(t, db, seed, sum)
	for i := range stepsPerWorld {
		w.live()
		w.compare(w.pick(w.userIDs()))
		if i%stepsPerLaws == stepsPerLaws-1 {
			for range lawsAtOnce {
				w.obey(w.laws()[w.r.IntN(len(w.laws()))])
			}
		}
	}
	faults, err := tree.Check(context.Background(), db.Read, w.id)
	w.must(err)
	if len(faults) > 0 {
		w.fail("the tree is damaged: %v", faults)
	}
}

// live lets somebody do something, or time pass.
func (w *world) live() {
	w.t.Helper()
	if w.chance(4) {
		minutes := 1 + w.r.IntN(3)
		w.now = w.now.Add(time.Duration(minutes) * time.Minute)
		w.taken = 0
		w.note("%d minutes pass: it is %s", minutes, w.at(w.now))
		if w.chance(2) { // else they are late, and nobody may take what is over for what lasts
			w.runTimers()
		}
	}
	viewer := w.owner
	if !w.chance(4) {
		viewer = w.near(w.userIDs(), func(id int64) bool {
			return id != w.owner && w.facts.mayAsk(id) && w.facts.holds(id, runners[w.r.IntN(len(runners))], w.now)
		})
	}
	s := w.next(viewer)
	if asked, about := w.askedFor(); about != nil && w.chance(3) {
		viewer, s = asked, about
	}
	if covered := w.near(w.userIDs(), func(id int64) bool { return w.facts.coverOf(id, w.now) != 0 }); w.facts.coverOf(covered, w.now) != 0 && w.chance(4) {
		if w.chance(2) {
			viewer = covered
		}
		s = w.endCover(viewer, covered)
	}
	if w.facts.mayAsk(viewer) {
		s.run(w, w.as(viewer))
	}
}

// runners is what those hold who run groups and users: much of what they ask for is done or refused for subtler reasons
// than want of a permission.
var runners = []string{"GROUPS_MOVE", "GROUPS_DELETE", "USERS_EDIT", "ROLES_ASSIGN"}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}

// String lists how often each operation was done and refused.
func (s *tally) String() string {
	var lines []string
	names := maps.Clone(s.done)
	maps.Copy(names, s.refused)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		lines = append(lines, fmt.Sprintf("%7d done %7d refused  %s", s.done[name], s.refused[name], name))
	}
	return strings.Join(lines, "\n")
}

// checkEverythingHappened fails a long run in which some operation was never done or never refused: it would have proved
// nothing about it.
func (s *tally) checkEverythingHappened(t *testing.T) {
	for name, n := range s.done {
		if s.refused[name] == 0 && !strings.HasPrefix(name, "law: ") && !strings.HasPrefix(name, "seen: ") {
			t.Errorf("%q was done %d times and never refused", name, n)
		}
	}
	for _, name := range []string{seenOffer, seenEscalation, seenLate} {
		if s.done[name] == 0 {
			t.Errorf("never %s", name)
		}
	}
	for name, n := range s.refused {
		if s.done[name] == 0 {
			t.Errorf("%q was refused %d times and never done", name, n)
		}
	}
}
