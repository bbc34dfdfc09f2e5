package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/groupmove"
	"canopy/tree"
)

// lookForMoves is how often CarryMoves looks for moves that another process has begun, or left behind.
const lookForMoves = 2 * time.Second

// CarryMoves carries the contacts of big branches that were moved to the lists of the groups above their new places,
// batch by batch, until the context ends. Any number of processes may do it: each move is carried by one of them at a
// time, and by another one if that ends. Errors are reported and the work is tried again.
func (s *Service) CarryMoves(ctx context.Context, report func(error)) {
	look := time.NewTicker(lookForMoves)
	defer look.Stop()
	for {
		if err := s.CarryAll(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// CarryAll carries what is to be carried now, in all accounts, and returns when nothing is left that nobody else carries.
func (s *Service) CarryAll(ctx context.Context) error {
	ctx = authz.Trusted(ctx)
	ids, err := s.DB.Read.GroupMove.Query().Where(groupmove.FinishedAtIsNil()).Order(groupmove.ByID()).IDs(ctx)
	if err != nil {
		return fmt.Errorf("directory: looking for moves to carry: %w", err)
	}
	var failed error
	for _, id := range ids {
		failed = errors.Join(failed, s.carry(ctx, id))
	}
	return failed
}

func (s *Service) carry(ctx context.Context, moveID int64) error {
	for more := true; more; {
		err := s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
			more, err = tree.Carry(ctx, tx, moveID, tree.BatchRows, s.now())
			return err
		})
		if err != nil {
			return fmt.Errorf("directory: carrying move %d: %w", moveID, err)
		}
	}
	return nil
}
