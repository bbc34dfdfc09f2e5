package live

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Roster is who serves in a group, and whether they are within their working hours.
type Roster map[int64]bool

// rosters are those of the groups to whose panels somebody listens. Time alone changes them, too, and then there is no event:
// so they are loaded and compared.
type rosters struct {
	of     map[int64]Roster // never changed once loaded
	prints map[int64]print
	until  time.Time // the first moment at which time changes any, the zero time if none does
}

// refresh loads the rosters of the groups anew, unless they are as they were.
func (h *Hub) refresh(ctx context.Context, f *feed, groups []int64, events []Event) error {
	if len(groups) == 0 {
		f.rosters = rosters{}
		return nil
	}
	known := !slices.ContainsFunc(groups, func(id int64) bool { return f.rosters.of[id] == nil })
	due := !f.rosters.until.IsZero() && !h.Now().Before(f.rosters.until)
	leapt := len(events) > 0 && events[0].sequence > f.read+1
	touched := slices.ContainsFunc(events, func(e Event) bool { return e.Kind == User || e.Kind == Access || e.Kind == Group })
	if known && !due && !leapt && !touched {
		return nil
	}
	of, until, err := h.People.Rosters(ctx, f.account, groups)
	if err != nil {
		return err
	}
	f.rosters = rosters{of: map[int64]Roster{}, prints: map[int64]print{}, until: until}
	for _, id := range groups {
		r := of[id]
		if r == nil {
			r = Roster{}
		}
		f.rosters.of[id], f.rosters.prints[id] = r, r.print()
	}
	return nil
}

func (r Roster) print() print {
	hash := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(hash, "%d %t|", id, r[id])
	}
	return print(hash.Sum(nil))
}

// since lists what has become of a roster, by the ids of the agents.
func (r Roster) since(was Roster) (list []found) {
	for id, at := range r {
		before, there := was[id]
		switch {
		case !there:
			list = append(list, found{Entered, id})
		case at != before:
			list = append(list, found{Updated, id})
		}
	}
	for id := range was {
		if _, there := r[id]; !there {
			list = append(list, found{Left, id})
		}
	}
	slices.SortFunc(list, func(a, b found) int { return cmp.Compare(a.agent, b.agent) })
	return list
}

// stays says whether somebody is in both rosters.
func (r Roster) stays(was Roster, agent int64) bool {
	_, before := was[agent]
	_, there := r[agent]
	return before && there
}

// Earlier is the earlier one of two moments, of which the zero time is none.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
