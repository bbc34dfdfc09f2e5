package tree_test

import (
	"context"
	"sync/atomic"
	"testing"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

func TestDefaultSettings(t *testing.T) {
	want := tree.Settings{
		AssignmentMode: tree.Setting[group.AssignmentMode]{Value: group.AssignmentModeROUND_ROBIN},
		Capacity:       tree.Setting[int]{Value: tree.Unlimited},
		RadarWindow:    tree.Setting[int]{Value: 120},
		EscalateAfter:  tree.Setting[int]{Value: tree.Never},
		ReassignAfter:  tree.Setting[int]{Value: tree.Never},
		CloseAfter:     tree.Setting[int]{Value: tree.Never},
	}
	if got := tree.Resolve([]*ent.Group{{ID: 1}, {ID: 2}}); got != want {
		t.Errorf("got %+v", got)
	}
}

// TestSettingsAreInherited: the nearest group that sets a setting decides it, also for the explicit "unlimited".
func TestSettingsAreInherited(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, &atomic.Int64{})
		a := w.create(t, w.root, "a", false)
		b := w.create(t, a, "b", true)
		c := w.create(t, b, "c", false)
		w.must(t, func(ctx context.Context, tx *ent.Tx) error {
			for id, set := range map[int64]string{
				w.root: "shared_inbox = true, assignment_mode = 'MANUAL', capacity = 5, close_after = 60",
				a:      "capacity = -1, radar_window = 30, escalate_after = 10, reassign_after = 20",
				b:      "shared_inbox = false, assignment_mode = 'RADAR'",
			} {
				if _, err := tx.ExecContext(ctx, "UPDATE groups SET "+set+" WHERE id = $1", id); err != nil {
					return err
				}
			}
			return nil
		})
		groups, err := db.Read.Group.Query().All(authz.Trusted(context.Background()))
		if err != nil {
			t.Fatal(err)
		}
		statements := testdb.Statements(db)
		statements.Reset()
		got, err := tree.SettingsOf(context.Background(), db.Read, groups)
		if err != nil {
			t.Fatal(err)
		}
		if statements.Count() != 1 {
			t.Errorf("%d groups take %d statements", len(groups), statements.Count())
		}
		want := tree.Settings{
			SharedInbox:    tree.Setting[bool]{Value: false, SetBy: b},
			AssignmentMode: tree.Setting[group.AssignmentMode]{Value: group.AssignmentModeRADAR, SetBy: b},
			Capacity:       tree.Setting[int]{Value: tree.Unlimited, SetBy: a},
			RadarWindow:    tree.Setting[int]{Value: 30, SetBy: a},
			EscalateAfter:  tree.Setting[int]{Value: 10, SetBy: a},
			ReassignAfter:  tree.Setting[int]{Value: 20, SetBy: a},
			CloseAfter:     tree.Setting[int]{Value: 60, SetBy: w.root},
		}
		if got[c] != want || got[b] != want {
			t.Errorf("got %+v and %+v, want %+v", got[c], got[b], want)
		}
		if atRoot := got[w.root]; atRoot.Capacity.Value != 5 || atRoot.Capacity.SetBy != w.root || !atRoot.SharedInbox.Value || atRoot.RadarWindow.SetBy != 0 {
			t.Errorf("at the root: %+v", atRoot)
		}
	})
}

func TestSettingsOfNothing(t *testing.T) {
	db := testdb.SQLite(t)
	got, err := tree.SettingsOf(context.Background(), db.Read, nil)
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}
