package tree_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

// together runs the functions at the same time and returns their errors.
func together(run ...func() error) []error {
	errs := make([]error, len(run))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, fn := range run {
		all.Go(func() {
			<-start
			errs[i] = fn()
		})
	}
	close(start)
	all.Wait()
	return errs
}

// TestTwoMovesThatWouldCloseACycle: a goes under b while b goes under a. One wins, the other is refused.
func TestTwoMovesThatWouldCloseACycle(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		for round := range 20 {
			a := w.create(t, w.root, fmt.Sprint("a", round), false)
			b := w.create(t, w.root, fmt.Sprint("b", round), false)
			errs := together(
				func() error { return w.move(a, b) },
				func() error { return w.move(b, a) },
			)
			won, lost := errs[0], errs[1]
			if won != nil {
				won, lost = lost, won
			}
			if won != nil || !errors.Is(lost, tree.ErrCycle) {
				t.Fatalf("round %d: got %v; want one nil and one ErrCycle", round, errs)
			}
		}
		w.mustBeSound(t)
	})
}

// TestEverythingAtOnce runs writers of every kind side by side. Nobody fails for any other reason than the rules of
// the tree, and what is stored is sound afterwards.
func TestEverythingAtOnce(t *testing.T) {
	const writers, rounds = 8, 25
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		var groups []int64
		for i, name := range names(12) {
			parent := w.root
			if i%3 != 0 {
				parent = groups[i-1]
			}
			groups = append(groups, w.create(t, parent, name, i%5 == 1))
		}
		var contacts, users []int64
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			contacts, users = nil, nil
			for i := range 20 {
				id, err := w.addContact(ctx, tx, tree.Placement{GroupID: groups[i%len(groups)], SortKey: int64(i)})
				if err != nil {
					return err
				}
				contacts = append(contacts, id)
			}
			for range 4 {
				id, err := w.addUser(ctx, tx, w.root)
				if err != nil {
					return err
				}
				users = append(users, id)
			}
			return nil
		})
		var run []func() error
		for n := range writers {
			run = append(run, func() error {
				random := rand.New(rand.NewPCG(uint64(n), 1))
				for range rounds {
					if err := w.disturb(random, groups, contacts, users[n%len(users)]); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := errors.Join(together(run...)...); err != nil {
			t.Fatal(err)
		}
		if again := w.again.Load(); again > 0 {
			t.Errorf("%d transactions were given up and run again: somebody locks out of order", again)
		}
		w.mustBeSound(t)
	})
}

// disturb does one random thing.
func (w *world) disturb(random *rand.Rand, groups, contacts []int64, user int64) error {
	a, b := groups[random.IntN(len(groups))], groups[random.IntN(len(groups))]
	contact := contacts[random.IntN(len(contacts))]
	box, sortKey, restricted, dice := tree.Box(random.IntN(6)), random.Int64N(100), random.IntN(2) == 0, random.IntN(8)
	if dice == 3 {
		return passOver(w.createAndDissolve(a, b))
	}
	return passOver(w.write(func(ctx context.Context, tx *ent.Tx) error {
		switch dice {
		case 0, 1:
			return moveAtOnce(ctx, tx, w.account, a, b)
		case 2:
			return tree.SetRestricted(ctx, tx, w.account, a, restricted)
		case 4:
			_, err := w.addUser(ctx, tx, a)
			return err
		case 5:
			_, err := w.addContact(ctx, tx, tree.Placement{GroupID: a, Box: box, SortKey: sortKey})
			return err
		case 6:
			return w.rehome(ctx, tx, user, a)
		}
		return w.updateContact(ctx, tx, contact, tree.Placement{GroupID: a, Box: box, SortKey: sortKey})
	}))
}

// passOver forgets what the rules of the tree refuse.
func passOver(err error) error {
	for _, expected := range []error{tree.ErrCycle, tree.ErrTooDeep} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}

// createAndDissolve makes a group and dissolves it, in one transaction each: one that changes counters twice would lock
// them out of order.
func (w *world) createAndDissolve(parent, heir int64) error {
	var id int64
	if err := w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		id, err = tree.Create(ctx, tx, w.newGroup(&parent, fmt.Sprint("passing ", w.serial.Add(1)), false), maxDepth)
		return err
	}); err != nil {
		return err
	}
	if err := w.write(func(ctx context.Context, tx *ent.Tx) error {
		_, err := w.addContact(ctx, tx, tree.Placement{GroupID: id})
		return err
	}); err != nil {
		return err
	}
	return w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tree.Dissolve(ctx, tx, w.account, id, heir, maxDepth)
	})
}

// rehome moves a user from wherever they are. Two may try at once: who reads first may find the user gone.
func (w *world) rehome(ctx context.Context, tx *ent.Tx, user, to int64) error {
	var home int64
	err := store.EachRow(ctx, tx.Client(), "SELECT home_group_id FROM users WHERE id = $1", []any{user},
		func(rows *sql.Rows) error { return rows.Scan(&home) })
	if err != nil {
		return err
	}
	if err := tree.MoveUser(ctx, tx, user, home, to); !errors.Is(err, tree.ErrNoUser) {
		return err
	}
	return nil
}
