package tree_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect"
)

// family is an account with a tree for two transactions to get into each other's way: root > a > b > c, and root > d,
// with a contact and a user at b.
type family struct {
	*world
	a, b, c, d    int64
	contact, user int64
}

func newFamily(t *testing.T, db *store.DB, serial *atomic.Int64) *family {
	f := &family{world: newWorld(t, db, serial)}
	f.a = f.create(t, f.root, "a", false)
	f.b = f.create(t, f.a, "b", false)
	f.c = f.create(t, f.b, "c", false)
	f.d = f.create(t, f.root, "d", false)
	f.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
		if f.contact, err = f.addContact(ctx, tx, tree.Placement{GroupID: f.b, SortKey: 1}); err != nil {
			return err
		}
		f.user, err = f.addUser(ctx, tx, f.b)
		return err
	})
	return f
}

type step = func(f *family, ctx context.Context, tx *ent.Tx) error

func (f *family) moveB(ctx context.Context, tx *ent.Tx) error {
	return moveAtOnce(ctx, tx, f.account, f.b, f.d)
}

func (f *family) wallB(ctx context.Context, tx *ent.Tx) error {
	return tree.SetRestricted(ctx, tx, f.account, f.b, true)
}

func (f *family) dissolveC(ctx context.Context, tx *ent.Tx) error {
	return tree.Dissolve(ctx, tx, f.account, f.c, f.d, maxDepth)
}

func (f *family) deleteC(ctx context.Context, tx *ent.Tx) error {
	return tree.Delete(ctx, tx, f.account, f.c)
}

func (f *family) contactAtC(ctx context.Context, tx *ent.Tx) error {
	_, err := f.addContact(ctx, tx, tree.Placement{GroupID: f.c, Box: 2, SortKey: 5})
	return err
}

func (f *family) contactToC(ctx context.Context, tx *ent.Tx) error {
	return f.updateContact(ctx, tx, f.contact, tree.Placement{GroupID: f.c, Box: 2, SortKey: 5})
}

func (f *family) contactToD(ctx context.Context, tx *ent.Tx) error {
	return f.updateContact(ctx, tx, f.contact, tree.Placement{GroupID: f.d, Box: 3, SortKey: 6})
}

func (f *family) contactGone(ctx context.Context, tx *ent.Tx) error {
	return f.removeContact(ctx, tx, f.contact)
}

func (f *family) userAtC(ctx context.Context, tx *ent.Tx) error {
	_, err := f.addUser(ctx, tx, f.c)
	return err
}

func (f *family) userToC(ctx context.Context, tx *ent.Tx) error {
	return tree.MoveUser(ctx, tx, f.user, f.b, f.c)
}

func (f *family) childAtC(ctx context.Context, tx *ent.Tx) error {
	_, err := tree.Create(ctx, tx, f.newGroup(&f.c, "new", false), maxDepth)
	return err
}

func (f *family) rebuildAll(ctx context.Context, tx *ent.Tx) error {
	_, err := tree.Rebuild(ctx, tx, f.account)
	return err
}

// TestOverlap lets a second transaction run into a first one that has not committed yet. Both go by what the other
// did, and what is stored is sound.
func TestOverlap(t *testing.T) {
	cases := map[string]struct {
		first, second step
		want          error // of the second
	}{
		"add a contact, move":            {(*family).contactAtC, (*family).moveB, nil},
		"add a contact, wall":            {(*family).contactAtC, (*family).wallB, nil},
		"add a contact, dissolve":        {(*family).contactAtC, (*family).dissolveC, nil},
		"add a contact, delete":          {(*family).contactAtC, (*family).deleteC, tree.ErrNotEmpty},
		"add a contact, rebuild":         {(*family).contactAtC, (*family).rebuildAll, nil},
		"move, add a contact":            {(*family).moveB, (*family).contactAtC, nil},
		"wall, add a contact":            {(*family).wallB, (*family).contactAtC, nil},
		"place a contact, move":          {(*family).contactToC, (*family).moveB, nil},
		"place a contact, dissolve":      {(*family).contactToC, (*family).dissolveC, nil},
		"move, place a contact":          {(*family).moveB, (*family).contactToC, nil},
		"move, remove a contact":         {(*family).moveB, (*family).contactGone, nil},
		"place a contact twice":          {(*family).contactToC, (*family).contactToD, nil},
		"place a contact, remove it":     {(*family).contactToC, (*family).contactGone, nil},
		"remove a contact, place it":     {(*family).contactGone, (*family).contactToC, tree.ErrNoContact},
		"remove a contact, remove it":    {(*family).contactGone, (*family).contactGone, tree.ErrNoContact},
		"dissolve, place a contact":      {(*family).dissolveC, (*family).contactToC, tree.ErrNoGroup},
		"add a user, move":               {(*family).userAtC, (*family).moveB, nil},
		"add a user, delete":             {(*family).userAtC, (*family).deleteC, tree.ErrNotEmpty},
		"move, move a user":              {(*family).moveB, (*family).userToC, nil},
		"move a user, move":              {(*family).userToC, (*family).moveB, nil},
		"delete, move a user":            {(*family).deleteC, (*family).userToC, tree.ErrNoGroup},
		"create, move":                   {(*family).childAtC, (*family).moveB, nil},
		"create, delete":                 {(*family).childAtC, (*family).deleteC, tree.ErrNotEmpty},
		"create, wall":                   {(*family).childAtC, (*family).wallB, nil},
		"move, create":                   {(*family).moveB, (*family).childAtC, nil},
		"wall, create":                   {(*family).wallB, (*family).childAtC, nil},
		"delete, create":                 {(*family).deleteC, (*family).childAtC, tree.ErrNoGroup},
		"move, wall":                     {(*family).moveB, (*family).wallB, nil},
		"wall, move":                     {(*family).wallB, (*family).moveB, nil},
		"dissolve, move":                 {(*family).dissolveC, (*family).moveB, nil},
		"move, dissolve":                 {(*family).moveB, (*family).dissolveC, nil},
		"dissolve, delete what is gone":  {(*family).dissolveC, (*family).deleteC, tree.ErrNoGroup},
		"place a contact, rebuild":       {(*family).contactToD, (*family).rebuildAll, nil},
		"rebuild, place a contact":       {(*family).rebuildAll, (*family).contactToD, nil},
		"add a user, move a user beside": {(*family).userAtC, (*family).userToC, nil},
	}
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		serial := &atomic.Int64{}
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				f := newFamily(t, db, serial)
				if err := f.overlap(t, c.first, c.second); !errors.Is(err, c.want) {
					t.Errorf("the second transaction returns %v, want %v", err, c.want)
				}
				if again := f.again.Load(); again > 0 {
					t.Errorf("%d transactions were given up and run again", again)
				}
				f.mustBeSound(t)
			})
		}
	})
}

// overlap begins the second transaction when the first has done its work, and lets the first commit when the second
// waits for it or is done. It returns the error of the second.
func (f *family) overlap(t *testing.T, first, second step) error {
	t.Helper()
	worked, commit := make(chan struct{}), make(chan struct{})
	var once sync.Once
	firstErr, secondErr := make(chan error, 1), make(chan error, 1)
	go func() {
		firstErr <- f.write(func(ctx context.Context, tx *ent.Tx) error {
			err := first(f, ctx, tx)
			once.Do(func() { close(worked) })
			<-commit
			return err
		})
	}()
	<-worked
	go func() {
		secondErr <- f.write(func(ctx context.Context, tx *ent.Tx) error { return second(f, ctx, tx) })
	}()
	var err error
	done := f.untilWaiting(t, secondErr, &err)
	close(commit)
	if err := <-firstErr; err != nil {
		t.Fatalf("the first transaction returns %v", err)
	}
	if !done {
		err = <-secondErr
	}
	return err
}

// untilWaiting returns when a transaction waits for another one, or when the second is done, and says which.
func (f *family) untilWaiting(t *testing.T, second <-chan error, err *error) (done bool) {
	t.Helper()
	if f.db.Dialect() != dialect.Postgres {
		return false
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		select {
		case *err = <-second:
			return true
		default:
		}
		waiting := f.rows(t, `SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1 > 0`)
		if len(waiting) > 0 {
			return false
		}
	}
	t.Fatal("the second transaction neither waits nor ends")
	return false
}

// TestWhoWritesInABranchDoesNotPassWhoWaitsToMoveIt: of a branch in which somebody always writes, each writer sharing its
// rows with the one before, nobody could move anything otherwise. On SQLite one transaction runs at a time anyway.
func TestWhoWritesInABranchDoesNotPassWhoWaitsToMoveIt(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		if db.Dialect() != dialect.Postgres {
			return
		}
		w := newWorld(t, db, &atomic.Int64{})
		branch, heights := w.create(t, w.root, "branch", false), w.create(t, w.root, "heights", false)
		writes, moved, wrote := make(chan struct{}), make(chan error, 1), make(chan error, 1)
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			if err := tree.LockGroups(ctx, tx, branch); err != nil {
				return err
			}
			go func() { moved <- w.move(branch, heights) }()
			w.untilSoManyWait(t, 1, writes)
			go func() {
				defer close(writes)
				wrote <- w.write(func(ctx context.Context, tx *ent.Tx) error { return tree.LockGroups(ctx, tx, branch) })
			}()
			w.untilSoManyWait(t, 2, writes)
			return nil
		})
		if err := errors.Join(<-moved, <-wrote); err != nil {
			t.Fatal(err)
		}
		w.mustBeSound(t)
	})
}

// TestAContactIsLockedWhoseGroupIsDeletedMeanwhile: it exists as before, in the successor.
func TestAContactIsLockedWhoseGroupIsDeletedMeanwhile(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		if db.Dialect() != dialect.Postgres {
			return // one transaction writes at a time
		}
		f := newFamily(t, db, &atomic.Int64{})
		locked, found := make(chan struct{}), make(chan error, 1)
		f.must(t, func(ctx context.Context, tx *ent.Tx) error {
			if err := tree.Dissolve(ctx, tx, f.account, f.b, f.d, maxDepth); err != nil {
				return err
			}
			go func() {
				defer close(locked)
				found <- f.write(func(ctx context.Context, tx *ent.Tx) error { return tree.LockContact(ctx, tx, f.contact) })
			}()
			f.untilSoManyWait(t, 1, locked)
			return nil
		})
		if err := <-found; err != nil {
			t.Errorf("a contact that has gone to the successor: %v", err)
		}
		err := f.write(func(ctx context.Context, tx *ent.Tx) error { return tree.LockContact(ctx, tx, f.contact, f.b) })
		if !errors.Is(err, tree.ErrNoGroup) {
			t.Errorf("a contact, and a group that does not exist: %v", err)
		}
	})
}

// untilSoManyWait returns when so many transactions wait for others. Nobody is to be done meanwhile.
func (w *world) untilSoManyWait(t *testing.T, want int, done <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		select {
		case <-done:
			t.Error("it passed")
			return
		default:
		}
		waiting := 0
		err := store.EachRow(context.Background(), w.db.Read, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`, nil, func(rows *sql.Rows) error { return rows.Scan(&waiting) })
		if err != nil {
			t.Fatal(err)
		}
		if waiting >= want {
			return
		}
	}
	t.Errorf("there are never %d that wait", want)
}
