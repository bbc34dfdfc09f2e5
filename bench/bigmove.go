package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"canopy/desk"
	"canopy/tree"

	"golang.org/x/sync/errgroup"
)

// A big branch has that many groups, where there are enough.
const bigBranch = 45_000

// The targets of a big move.
const (
	longestWait = 250 // milliseconds, of another writer
	slowdown    = 1.3 // of a page while it goes on
)

// lists are the lists that are read: their names, and the groups whose they are.
type lists []struct {
	name  string
	under *int64
}

// bigMove moves a big branch there and back while somebody else writes and reads: how long the writer waits at the most,
// and how much slower three lists are: of the root, and of the groups that the branch leaves and enters.
func (s measuring) bigMove(ctx context.Context, d *dataset) ([]row, error) {
	branch, to, err := d.movable(ctx, bigBranch)
	if err != nil {
		return nil, err
	}
	counters, err := tree.CountersOf(ctx, d.db.Read, []int64{branch.ID})
	if err != nil {
		return nil, err
	}
	toggles, err := d.toggles(ctx, 1)
	if err != nil {
		return nil, err
	}
	// With the branch and without it a list may be long or short; what is compared with is the slower of the two.
	watched := lists{{"the root", nil}, {"where it was", branch.ParentID}, {"where it goes", &to.ID}}
	idle, moving := map[string]time.Duration{}, map[string][]time.Duration{}
	var waits []time.Duration
	var carried time.Duration
	for _, parent := range []int64{to.ID, *branch.ParentID} {
		reads, _, err := d.beside(ctx, watched, toggles[0], func() error {
			<-time.After(s.watch.most)
			return nil
		})
		if err != nil {
			return nil, err
		}
		for name, times := range reads {
			idle[name] = max(idle[name], median(times))
		}
		began := time.Now()
		reads, writes, err := d.beside(ctx, watched, toggles[0], func() error { return d.move(ctx, branch.ID, parent) })
		if err != nil {
			return nil, err
		}
		carried += time.Since(began)
		waits = append(waits, writes...)
		for name, times := range reads {
			moving[name] = append(moving[name], times...)
		}
	}
	n := counters[branch.ID]
	name := fmt.Sprintf("move of %d groups with %d contacts", n.Descendants+1, n.Contacts)
	wait := percentile(waits, 100)
	rows := []row{{figure: name + ": longest wait of another writer", layer: "tree", size: d.name, real: short(wait),
		floor: "250 ms; carried in " + short(carried/2), found: float64(wait) / 1e6, target: longestWait}}
	for _, l := range watched {
		is := median(moving[l.name])
		rows = append(rows, row{figure: name + ": contacts page of " + l.name, layer: "desk", size: d.name,
			real: short(is), floor: short(idle[l.name]), found: float64(is) / float64(idle[l.name]), target: slowdown})
	}
	return rows, nil
}

// beside does something while one goroutine reads the lists, as somebody whose request has just begun, and another one
// writes. It returns how long each took.
func (d *dataset) beside(ctx context.Context, watched lists, t *toggle, do func() error) (reads map[string][]time.Duration, writes []time.Duration, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reads = map[string][]time.Duration{}
	var g errgroup.Group
	var begun sync.WaitGroup
	begun.Add(2)
	g.Go(func() error {
		for n := 0; n == 0 || ctx.Err() == nil; n++ {
			if err := d.readOnce(context.WithoutCancel(ctx), watched, reads); err != nil {
				return err
			}
			if n == 0 {
				begun.Done()
			}
		}
		return nil
	})
	g.Go(func() error {
		for n := 0; n == 0 || ctx.Err() == nil || n%2 == 1; n++ {
			began := time.Now()
			if err := t.once(ctx, d, n, counted); err != nil {
				return err
			}
			writes = append(writes, time.Since(began))
			if n == 0 {
				begun.Done()
			}
		}
		return nil
	})
	begun.Wait()
	err = do()
	stop()
	return reads, writes, errors.Join(err, g.Wait())
}

func (d *dataset) readOnce(ctx context.Context, watched lists, reads map[string][]time.Duration) error {
	viewing, err := d.as(ctx, atRoot)
	if err != nil {
		return err
	}
	for _, l := range watched {
		began := time.Now()
		if _, err := d.desk.Contacts(viewing, desk.ContactsQuery{Under: l.under, First: pageSize}); err != nil {
			return err
		}
		reads[l.name] = append(reads[l.name], time.Since(began))
	}
	return nil
}
