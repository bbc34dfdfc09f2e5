package directory_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// meanwhile runs the change while a transaction that has written, or is about to, is not committed, and returns what the
// change returns. It has to wait for that.
func (w *world) meanwhile(writes func(ctx context.Context, tx *ent.Tx) error, change func() error) error {
	w.t.Helper()
	left := make(chan error, 1)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		if err := writes(ctx, tx); err != nil {
			return err
		}
		go func() { left <- change() }()
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			select {
			case err := <-left:
				w.t.Error("it did not wait")
				left <- err
				return nil
			default:
			}
			waiting := 0
			err := store.EachRow(context.Background(), w.db.Read, `SELECT COUNT(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`, nil, func(rows *sql.Rows) error { return rows.Scan(&waiting) })
			if err != nil || waiting > 0 {
				return err
			}
		}
		w.t.Error("it neither waits nor ends")
		return nil
	})
	return <-left
}

// TestWhatArrivesWhileItsGroupIsDeletedIsGainedToo: an empty group may go to where the viewer sees more, but for what is about
// to arrive in it.
func TestWhatArrivesWhileItsGroupIsDeletedIsGainedToo(t *testing.T) {
	w := newWorld(t, testdb.Postgres(t))
	deleter := w.user("Del Deleter", w.north)
	w.grant(deleter, w.custom("Deleter", nil, at(authz.ScopeAccount, authz.GroupsView, authz.GroupsDelete)...), nil)
	w.grant(deleter, w.role(authz.RoleDashboardAdministrator), nil)
	empty, ctx := w.group("Empty", w.root), w.as(deleter)
	arrives := func(ctx context.Context, tx *ent.Tx) error {
		_, err := w.arrives(ctx, tx, "Wanda", empty)
		return err
	}
	refuses(t, w.meanwhile(arrives, func() error {
		_, err := w.s.DeleteGroup(ctx, directory.DeleteGroup{GroupID: empty.ID, SuccessorID: &w.north.ID})
		return err
	}), refusal.ForbiddenCode, refusal.GainsAccess)
	w.intact()
}

// TestWhoIsAboutToWriteIsWaitedFor: what these do by the old settings is seen by the review of the new ones, and what they let
// be given out at the old home of a user is seen by who looks at the new one.
func TestWhoIsAboutToWriteIsWaitedFor(t *testing.T) {
	w := newWorld(t, testdb.Postgres(t))
	ctx, locks := w.as(w.owner), func(ctx context.Context, tx *ent.Tx) error { return tree.LockGroups(ctx, tx, w.harbour.ID) }
	allows(t, w.meanwhile(locks, func() error {
		_, err := w.s.UpdateGroupSettings(ctx, directory.UpdateGroupSettings{GroupID: w.root.ID, EscalateAfter: optional.To(600)})
		return err
	}))
	allows(t, w.meanwhile(locks, func() error {
		_, err := w.s.MoveUser(ctx, directory.MoveUser{UserID: w.agent.ID, HomeGroupID: w.south.ID})
		return err
	}))
	w.intact()
}
