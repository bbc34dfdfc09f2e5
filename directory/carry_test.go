package directory_test

import (
	"context"
	"fmt"
	"testing"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// crowd puts so many contacts into the group.
func (w *world) crowd(g *ent.Group, n int) {
	w.t.Helper()
	w.must(w.s.DB.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		for i := range n {
			name := fmt.Sprint("contact ", i)
			c, err := tx.Contact.Create().SetAccountID(g.AccountID).SetGroupID(g.ID).SetArrivalGroupID(g.ID).SetName(name).SetNameKey(name).
				SetSortKey(int64(i)).SetLastActivityAt(w.start).SetWaitingSince(w.start).SetCreatedAt(w.start).Save(ctx)
			if err != nil {
				return err
			}
			if err := tree.AddContact(ctx, tx, c.ID); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestABigBranchIsCarriedAfterItsMove: the move itself is short, what overlaps it is refused until it is carried, and
// carrying ends with everything as if it had been moved at once.
func TestABigBranchIsCarriedAfterItsMove(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		owner := w.as(w.owner)
		w.crowd(w.harbour, tree.AtOnce/2+1) // each leaves one list and enters another
		moved, err := w.s.MoveGroup(owner, directory.MoveGroup{GroupID: w.harbour.ID, ParentID: w.south.ID})
		w.must(err)
		if moved.Carrying == nil || moved.Carrying.FinishedAt != nil || moved.Carrying.GroupID != w.harbour.ID {
			t.Fatalf("the move is carried as %+v", moved.Carrying)
		}
		if *moved.Group.ParentID != w.south.ID || !tree.Under(moved.Group.Path, w.south.Path) {
			t.Errorf("the group is at %+v", moved.Group)
		}
		for what, err := range map[string]error{
			"move it back":      errOf(w.s.MoveGroup(owner, directory.MoveGroup{GroupID: w.harbour.ID, ParentID: w.north.ID})),
			"wall it off":       errOf(w.s.UpdateGroup(owner, directory.UpdateGroup{GroupID: w.harbour.ID, Visibility: ptr(group.VisibilityRESTRICTED)})),
			"move the parent":   errOf(w.s.MoveGroup(owner, directory.MoveGroup{GroupID: w.south.ID, ParentID: w.north.ID})),
			"dissolve it":       errOf(w.s.DeleteGroup(owner, directory.DeleteGroup{GroupID: w.harbour.ID, SuccessorID: &w.south.ID})),
			"move whom it left": errOf(w.s.MoveGroup(owner, directory.MoveGroup{GroupID: w.north.ID, ParentID: w.south.ID})),
		} {
			t.Run(what, func(t *testing.T) { refuses(t, err, refusal.ConflictCode, refusal.MoveUnderWay) })
		}
		w.must(w.s.CarryAll(t.Context()))
		done, err := db.Read.GroupMove.Get(authz.Trusted(t.Context()), moved.Carrying.ID)
		w.must(err)
		if done.FinishedAt == nil || done.Carried != done.Total || done.Total != tree.AtOnce/2+1 {
			t.Errorf("carried %d of %d, finished at %v", done.Carried, done.Total, done.FinishedAt)
		}
		w.intact()
		_, err = w.s.MoveGroup(owner, directory.MoveGroup{GroupID: w.harbour.ID, ParentID: w.north.ID})
		allows(t, err)
		w.must(w.s.CarryAll(t.Context()))
		w.intact()
	})
}
