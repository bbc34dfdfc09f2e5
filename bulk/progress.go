package bulk

import (
	"context"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/importrun"
	"canopy/refusal"
)

// open finds how far an earlier run of the same input came, or begins to keep it.
func (r *run) open(ctx context.Context) error {
	if r.in.DryRun || r.in.Fingerprint == "" {
		return nil
	}
	v := authz.FromContext(ctx)
	return r.s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		same, err := tx.ImportRun.Query().Where(importrun.AccountID(v.AccountID), importrun.UserID(v.UserID),
			importrun.KindEQ(importrun.Kind(r.in.Kind)), importrun.Fingerprint(r.in.Fingerprint)).
			Order(importrun.ByID()).All(ctx)
		if err != nil {
			return fmt.Errorf("bulk: looking for an earlier run: %w", err)
		}
		for _, earlier := range same {
			if earlier.FinishedAt == nil {
				r.id = earlier.ID
				r.sum = Summary{Rows: earlier.RowsDone, Created: earlier.Created, Existed: earlier.Existed,
					Refused: earlier.Refused, Resumed: earlier.RowsDone}
				return nil
			}
		}
		if len(same) > 0 && !r.in.Again {
			return refusal.Conflict(refusal.AlreadyImported,
				"This file was imported on %s already. Run it again only if you mean to: contacts without an address would be created twice.",
				same[len(same)-1].FinishedAt.Format("2006-01-02 15:04 MST"))
		}
		began, err := tx.ImportRun.Create().SetAccountID(v.AccountID).SetUserID(v.UserID).SetKind(importrun.Kind(r.in.Kind)).
			SetFingerprint(r.in.Fingerprint).SetStartedAt(r.s.Now().UTC()).Save(ctx)
		if err != nil {
			return fmt.Errorf("bulk: beginning to keep the progress: %w", err)
		}
		r.id = began.ID
		return nil
	})
}

// keep writes the progress in the transaction of the batch that makes it. It refuses when somebody else runs the same
// import and has come further meanwhile: none of the batch is kept then.
func (r *run) keep(ctx context.Context, tx *ent.Tx, sum Summary) error {
	if r.id == 0 {
		return nil
	}
	n, err := tx.ImportRun.Update().Where(importrun.ID(r.id), importrun.RowsDone(r.sum.Rows), importrun.FinishedAtIsNil()).
		SetRowsDone(sum.Rows).SetCreated(sum.Created).SetExisted(sum.Existed).SetRefused(sum.Refused).Save(ctx)
	if err != nil {
		return fmt.Errorf("bulk: keeping the progress: %w", err)
	}
	if n == 0 {
		return refusal.Conflict("", "Another run imports this file at the same time. Let it finish.")
	}
	return nil
}

// close says that the import is complete.
func (r *run) close(ctx context.Context) error {
	if r.id == 0 {
		return nil
	}
	return r.s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		err := tx.ImportRun.Update().Where(importrun.ID(r.id)).SetFinishedAt(r.s.Now().UTC()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("bulk: finishing: %w", err)
		}
		return nil
	})
}
