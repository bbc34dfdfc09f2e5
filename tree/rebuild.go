package tree

import (
	"context"
	"errors"
	"fmt"
)

// ErrUnreachable says that the truth itself is damaged: parents lead in a circle.
var ErrUnreachable = errors.New("groups cannot be reached from the root")

// Mended says how many things of each kind were written anew: groups, contacts, scope rows, groups with counters.
type Mended map[FaultKind]int64

// Rebuild writes what Check would complain about anew, from the truth, and nothing else, and says how much it was. It
// keeps everybody else from changing the account until the transaction ends. It returns ErrUnreachable or
// ErrTooDeep when the truth itself is damaged.
func Rebuild(ctx context.Context, c Conn, accountID int64) (Mended, error) {
	if err := LockExclusive(ctx, c, accountID); err != nil {
		return nil, err
	}
	if err := lockAll(ctx, c, accountID); err != nil {
		return nil, err
	}
	if err := rebuildable(ctx, c, accountID); err != nil {
		return nil, fmt.Errorf("rebuilding account %d: %w", accountID, err)
	}
	mended := Mended{}
	for _, step := range rebuilding {
		n, err := exec(ctx, c, step.statement, accountID)
		if err != nil {
			return nil, fmt.Errorf("rebuilding account %d, %s: %w", accountID, step.kind, err)
		}
		mended[step.kind] = n
	}
	if err := carriedAll(ctx, c, accountID); err != nil {
		return nil, err
	}
	n, err := recount(ctx, c, accountID)
	if err != nil {
		return nil, fmt.Errorf("rebuilding account %d, %s: %w", accountID, WrongCount, err)
	}
	mended[WrongCount] = n
	return mended, nil
}

// rebuildable refuses a tree whose truth itself is damaged.
func rebuildable(ctx context.Context, c Conn, accountID int64) error {
	faults, err := wrongPlaces(ctx, c, accountID)
	if err != nil || len(faults) == 0 {
		return err
	}
	switch faults[0].Kind {
	case Unreachable:
		return fmt.Errorf("group %d: %w", faults[0].GroupID, ErrUnreachable)
	case TooDeep:
		return fmt.Errorf("group %d: %w", faults[0].GroupID, ErrTooDeep)
	}
	return nil
}

// lockAll waits for whoever is writing users or contacts or is carrying a branch, and keeps others from beginning to.
func lockAll(ctx context.Context, c Conn, accountID int64) error {
	var n int
	err := one(ctx, c, []any{&n}, "SELECT COUNT(*) FROM (SELECT 1 FROM group_moves WHERE account_id = $1 AND finished_at IS NULL ORDER BY id"+
		locking(c, "FOR UPDATE")+") AS moves", accountID)
	if err != nil {
		return fmt.Errorf("locking the moves of account %d: %w", accountID, err)
	}
	err = one(ctx, c, []any{&n}, "SELECT COUNT(*) FROM (SELECT 1 FROM groups WHERE account_id = $1 ORDER BY id"+
		locking(c, "FOR UPDATE")+") AS account_groups", accountID)
	if err != nil {
		return fmt.Errorf("locking the groups of account %d: %w", accountID, err)
	}
	return nil
}

// rebuilding are the statements that mend all but counters, in the order in which each relies on those before.
var rebuilding = []struct {
	kind      FaultKind
	statement string
}{
	{WrongPlace, withTree() + " UPDATE groups AS g SET path = t.path, depth = t.depth, wall = t.wall FROM tree AS t" +
		" WHERE g.account_id = $1 AND g.id = t.id AND " + placesDiffer},
	{WrongBox, "UPDATE contacts AS c SET box = " + trueBox + " WHERE c.account_id = $1 AND c.box <> " + trueBox},
	{ScopeSurplus, "DELETE FROM scopes WHERE (scope_id, box, sort_key, contact_id) IN (" + surplusScopes + ")"},
	{ScopeMissing, withLevels + " INSERT INTO scopes (scope_id, box, sort_key, contact_id)" + missingScopes},
}

// carriedAll notes that nothing is left to be carried.
func carriedAll(ctx context.Context, c Conn, accountID int64) error {
	for _, statement := range []string{
		"DELETE FROM detours WHERE account_id = $1",
		"UPDATE group_moves SET carried = total, finished_at = CURRENT_TIMESTAMP WHERE account_id = $1 AND finished_at IS NULL",
	} {
		if _, err := exec(ctx, c, statement, accountID); err != nil {
			return fmt.Errorf("finishing the moves of account %d: %w", accountID, err)
		}
	}
	return nil
}

// recountAtOnce is how many groups' counters are written by one statement.
const recountAtOnce = 1000

// recount writes counters that are wrong. They are found first and written then: a transaction has one connection.
func recount(ctx context.Context, c Conn, accountID int64) (written int64, err error) {
	var wrong []miscount
	if err := eachMiscount(ctx, c, accountID, func(m miscount) { wrong = append(wrong, m) }); err != nil {
		return 0, err
	}
	for len(wrong) > 0 {
		some := wrong[:min(recountAtOnce, len(wrong))]
		wrong = wrong[len(some):]
		n, err := setCounters(ctx, c, some)
		if err != nil {
			return 0, err
		}
		written += n
	}
	return written, nil
}

// Sweep removes what CheckStray finds, and says how many scope rows there were.
func Sweep(ctx context.Context, c Conn) (int64, error) {
	n, err := exec(ctx, c, "DELETE FROM scopes WHERE (scope_id, box, sort_key, contact_id) IN ("+strayScopes+")")
	if err != nil {
		return 0, fmt.Errorf("removing stray scope rows: %w", err)
	}
	return n, nil
}
