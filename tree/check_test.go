package tree_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ent "canopy/ent/generated"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

// damaged is a small account whose stored structure is about to be spoilt: root > a (RESTRICTED) > b, and root > c,
// with one contact in b.
type damaged struct {
	*world
	a, b, c, contact int64
}

func newDamaged(t *testing.T, db *store.DB, serial *atomic.Int64) *damaged {
	d := &damaged{world: newWorld(t, db, serial)}
	d.a = d.create(t, d.root, "a", true)
	d.b = d.create(t, d.a, "b", false)
	d.c = d.create(t, d.root, "c", false)
	d.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
		d.contact, err = d.addContact(ctx, tx, tree.Placement{GroupID: d.b, Box: tree.BoxOf(tree.Open, false), SortKey: 7})
		return err
	})
	return d
}

// TestCheckFindsDamage spoils one thing at a time: Check names it, and Rebuild mends it.
func TestCheckFindsDamage(t *testing.T) {
	damages := map[string]struct {
		kind  tree.FaultKind
		where func(d *damaged) (group, contact int64)
		spoil func(d *damaged) string
	}{
		"path": {tree.WrongPlace, (*damaged).atB, func(d *damaged) string {
			return fmt.Sprintf("UPDATE groups SET path = '%s' WHERE id = %d", tree.Label(d.root)+tree.Label(d.b), d.b)
		}},
		"depth": {tree.WrongPlace, (*damaged).atB, func(d *damaged) string {
			return fmt.Sprintf("UPDATE groups SET depth = 5 WHERE id = %d", d.b)
		}},
		"wall that is missing": {tree.WrongPlace, (*damaged).atB, func(d *damaged) string {
			return fmt.Sprintf("UPDATE groups SET wall = '' WHERE id = %d", d.b)
		}},
		"wall that is none": {tree.WrongPlace, (*damaged).atC, func(d *damaged) string {
			return fmt.Sprintf("UPDATE groups SET wall = path WHERE id = %d", d.c)
		}},
		"scope of a group": {tree.ScopeMissing, (*damaged).contactAtA, func(d *damaged) string {
			return fmt.Sprintf("DELETE FROM scopes WHERE scope_id = %d", d.a)
		}},
		"scope of the account": {tree.ScopeMissing, (*damaged).contactAtAccount, func(d *damaged) string {
			return fmt.Sprintf("DELETE FROM scopes WHERE scope_id = %d", tree.AccountScope(d.account))
		}},
		"scope past a wall": {tree.ScopeSurplus, (*damaged).contactAtRoot, func(d *damaged) string {
			return fmt.Sprintf("INSERT INTO scopes VALUES (%d, %d, 7, %d)", d.root, tree.BoxOf(tree.Open, false), d.contact)
		}},
		"scope with an old sort key": {tree.ScopeSurplus, (*damaged).contactAtA, func(d *damaged) string {
			return fmt.Sprintf("UPDATE scopes SET sort_key = 6 WHERE scope_id = %d", d.a)
		}},
		"scope with an old box": {tree.ScopeMissing, (*damaged).contactAtA, func(d *damaged) string {
			return fmt.Sprintf("UPDATE scopes SET box = 5 WHERE scope_id = %d", d.a)
		}},
		"scope of a contact that is gone": {tree.ScopeSurplus, (*damaged).goneAtC, func(d *damaged) string {
			return fmt.Sprintf("INSERT INTO scopes VALUES (%d, 0, 7, %d)", d.c, gone)
		}},
		"box": {tree.WrongBox, (*damaged).contactAtB, func(d *damaged) string {
			return fmt.Sprintf("UPDATE contacts SET box = 4 WHERE id = %d", d.contact)
		}},
		"counters that are missing": {tree.WrongCount, (*damaged).atC, func(d *damaged) string {
			return fmt.Sprintf("DELETE FROM group_counters WHERE group_id = %d", d.c)
		}},
	}
	for _, column := range []string{"children", "descendants", "restricted", "users", "contacts", "open", "waiting", "closed"} {
		damages["counter of "+column] = struct {
			kind  tree.FaultKind
			where func(d *damaged) (group, contact int64)
			spoil func(d *damaged) string
		}{tree.WrongCount, (*damaged).atC, func(d *damaged) string {
			return fmt.Sprintf("UPDATE group_counters SET %[1]s = %[1]s + 1 WHERE group_id = %[2]d", column, d.c)
		}}
	}
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		serial := &atomic.Int64{}
		bystander := newBystander(t, db, serial)
		for name, damage := range damages {
			t.Run(name, func(t *testing.T) {
				d := newDamaged(t, db, serial)
				before := d.stored(t)
				d.spoil(t, damage.spoil(d))
				group, contact := damage.where(d)
				faults := d.check(t)
				if !slices.ContainsFunc(faults, func(f tree.Fault) bool { return f.Kind == damage.kind }) ||
					slices.ContainsFunc(faults, func(f tree.Fault) bool { return f.GroupID != group || f.ContactID != contact }) {
					t.Fatalf("Check finds %v; want %s at group %d, contact %d", faults, damage.kind, group, contact)
				}
				if faults := bystander.check(t); len(faults) > 0 {
					t.Errorf("Check of another account finds %v", faults)
				}
				d.rebuild(t)
				d.mustBeSound(t)
				if diff := d.stored(t).difference(before); diff != "" {
					t.Errorf("Rebuild leaves\n%s", diff)
				}
			})
		}
	})
}

// gone is an id that nothing has.
const gone = 1 << 40

func (d *damaged) atB() (group, contact int64)              { return d.b, 0 }
func (d *damaged) atC() (group, contact int64)              { return d.c, 0 }
func (d *damaged) contactAtA() (group, contact int64)       { return d.a, d.contact }
func (d *damaged) contactAtB() (group, contact int64)       { return d.b, d.contact }
func (d *damaged) contactAtRoot() (group, contact int64)    { return d.root, d.contact }
func (d *damaged) contactAtAccount() (group, contact int64) { return 0, d.contact }
func (d *damaged) goneAtC() (group, contact int64)          { return d.c, gone }

func (d *damaged) spoil(t *testing.T, statement string) {
	t.Helper()
	d.must(t, func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	})
}

// TestRebuildFollowsTheTruth changes the truth itself behind the package's back: everything else has to follow.
func TestRebuildFollowsTheTruth(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		d := newDamaged(t, db, &atomic.Int64{})
		d.spoil(t, fmt.Sprintf("UPDATE groups SET parent_id = %d WHERE id = %d", d.c, d.a))
		d.spoil(t, fmt.Sprintf("UPDATE groups SET visibility = 'INHERITED' WHERE id = %d", d.a))
		if len(d.check(t)) == 0 {
			t.Fatal("Check finds nothing")
		}
		d.rebuild(t)
		d.mustBeSound(t)
		got := d.stored(t)
		path := tree.Label(d.root) + tree.Label(d.c) + tree.Label(d.a) + tree.Label(d.b)
		if want := fmt.Sprint(d.a, path, int64(3), "", "INHERITED"); got.groups[d.b] != want {
			t.Errorf("got %s, want %s", got.groups[d.b], want)
		}
		if n := got.counters[d.c]; n.Descendants != 2 || n.Waiting != 1 || len(got.scopes) != 5 {
			t.Errorf("got counters %+v and %d scope rows", n, len(got.scopes))
		}
	})
}

// TestStrayScopes: what is listed for nothing that exists belongs to no account, and is swept.
func TestStrayScopes(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		d := newDamaged(t, db, &atomic.Int64{})
		before := d.stored(t)
		d.spoil(t, fmt.Sprintf("INSERT INTO scopes VALUES (%d, 0, 7, %d), (%d, 0, 7, %d), (%d, 2, 7, %d)",
			gone, gone, gone, d.contact, tree.AccountScope(gone), d.contact))
		if faults := d.check(t); len(faults) > 0 {
			t.Errorf("Check finds %v", faults)
		}
		faults, err := tree.CheckStray(context.Background(), db.Read)
		if err != nil || len(faults) != 3 || faults[0].Kind != tree.ScopeStray || faults[2].GroupID != gone || faults[2].ContactID != gone {
			t.Fatalf("CheckStray finds %v, %v", faults, err)
		}
		d.must(t, func(ctx context.Context, tx *ent.Tx) error {
			n, err := tree.Sweep(ctx, tx)
			if n != 3 {
				t.Errorf("Sweep removes %d rows", n)
			}
			return err
		})
		if diff := d.stored(t).difference(before); diff != "" {
			t.Errorf("Sweep leaves\n%s", diff)
		}
	})
}

// TestAForeignContactIsNotListed: a row of a group with a contact of another account is found where the group is.
func TestAForeignContactIsNotListed(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		serial := &atomic.Int64{}
		d, other := newDamaged(t, db, serial), newDamaged(t, db, serial)
		d.spoil(t, fmt.Sprintf("INSERT INTO scopes VALUES (%d, 2, 7, %d), (%d, 2, 7, %d)", d.c, other.contact, tree.AccountScope(d.account), other.contact))
		faults := d.check(t)
		if len(faults) != 2 || faults[0].Kind != tree.ScopeSurplus || faults[0].ContactID != other.contact || faults[1].GroupID != d.c {
			t.Errorf("Check finds %v", faults)
		}
		other.mustBeSound(t)
		d.rebuild(t)
		d.mustBeSound(t)
	})
}

func TestTooDeep(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		d := newDamaged(t, db, &atomic.Int64{})
		// The last of 63 groups under c is at depth 64, and one too deep when c goes under a.
		under := d.c
		d.must(t, func(ctx context.Context, tx *ent.Tx) (err error) {
			for range 63 {
				if under, err = tree.Create(ctx, tx, d.newGroup(&under, "down", false), 64); err != nil {
					return err
				}
			}
			return nil
		})
		d.spoil(t, fmt.Sprintf("UPDATE groups SET parent_id = %d WHERE id = %d", d.a, d.c))
		faults := d.check(t)
		if len(faults) != 1 || faults[0].Kind != tree.TooDeep || faults[0].GroupID != under {
			t.Errorf("Check finds %v", faults)
		}
		err := d.write(func(ctx context.Context, tx *ent.Tx) error {
			_, err := tree.Rebuild(ctx, tx, d.account)
			return err
		})
		if !errors.Is(err, tree.ErrTooDeep) {
			t.Errorf("Rebuild returns %v", err)
		}
	})
}

func TestCircle(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		d := newDamaged(t, db, &atomic.Int64{})
		d.spoil(t, fmt.Sprintf("UPDATE groups SET parent_id = %d WHERE id = %d", d.b, d.a))
		faults := d.check(t)
		if len(faults) != 2 || faults[0].Kind != tree.Unreachable || faults[0].GroupID != d.a || faults[1].GroupID != d.b {
			t.Errorf("Check finds %v", faults)
		}
		err := d.write(func(ctx context.Context, tx *ent.Tx) error {
			_, err := tree.Rebuild(ctx, tx, d.account)
			return err
		})
		if !errors.Is(err, tree.ErrUnreachable) {
			t.Errorf("Rebuild returns %v", err)
		}
	})
}

func TestFaultReadsWell(t *testing.T) {
	f := tree.Fault{Kind: tree.WrongBox, GroupID: 3, ContactID: 4, Detail: "box 1, should be 2"}
	if got := f.String(); got != "wrong box, group 3, contact 4: box 1, should be 2" {
		t.Error(got)
	}
	if got := (tree.Fault{Kind: tree.ScopeMissing, Detail: "x"}).String(); strings.Contains(got, "0") {
		t.Error(got)
	}
}
