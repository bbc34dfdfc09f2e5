package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrUnreachable says that the truth itself is damaged: parents lead in a circle.
var ErrUnreachable = errors.New("groups cannot be reached from the root")

// Rebuild writes what Check would complain about anew, from the truth, and nothing else. It keeps everybody else from
// changing the account until the transaction ends. It returns ErrUnreachable when the truth itself is damaged.
func Rebuild(ctx context.Context, c Conn, accountID int64) error {
	if err := LockExclusive(ctx, c, accountID); err != nil {
		return err
	}
	if err := lockAll(ctx, c, accountID); err != nil {
		return err
	}
	lost, err := unreachable(ctx, c, accountID)
	if err != nil {
		return fmt.Errorf("rebuilding account %d: %w", accountID, err)
	}
	if len(lost) > 0 {
		return fmt.Errorf("group %d: %w", lost[0].GroupID, ErrUnreachable)
	}
	for _, statement := range rebuilding() {
		if _, err := exec(ctx, c, statement, accountID); err != nil {
			return fmt.Errorf("rebuilding account %d: %w", accountID, err)
		}
	}
	return nil
}

// lockAll waits for whoever is writing users or contacts, and keeps others from beginning to.
func lockAll(ctx context.Context, c Conn, accountID int64) error {
	var n int
	err := one(ctx, c, []any{&n}, "SELECT COUNT(*) FROM (SELECT 1 FROM groups WHERE account_id = $1 ORDER BY id"+
		locking(c, "FOR UPDATE")+") AS account_groups", accountID)
	if err != nil {
		return fmt.Errorf("locking the groups of account %d: %w", accountID, err)
	}
	return nil
}

func rebuilding() []string {
	sets := make([]string, len(counterColumns))
	for i, name := range counterColumns {
		sets[i] = name + " = t." + name
	}
	return []string{
		withTree() + " UPDATE groups AS g SET path = t.path, depth = t.depth, wall = t.wall FROM tree AS t" +
			" WHERE g.account_id = $1 AND g.id = t.id AND " + placesDiffer,
		"UPDATE contacts AS c SET box = " + trueBox + " WHERE c.account_id = $1 AND c.box <> " + trueBox,
		withScopes() + " DELETE FROM scopes WHERE (scope_id, box, sort_key, contact_id) IN (" + surplusScopes + ")",
		withScopes() + " INSERT INTO scopes (scope_id, box, sort_key, contact_id)" + missingScopes,
		`INSERT INTO group_counters (group_id) SELECT id FROM groups AS g
			WHERE account_id = $1 AND NOT EXISTS (SELECT 1 FROM group_counters AS n WHERE n.group_id = g.id)`,
		"DELETE FROM detours WHERE account_id = $1",
		"UPDATE group_moves SET carried = total, finished_at = CURRENT_TIMESTAMP WHERE account_id = $1 AND finished_at IS NULL",
		withTotals() + " UPDATE group_counters AS n SET " + strings.Join(sets, ", ") + " FROM total AS t WHERE n.group_id = t.group_id AND " + countersDiffer(),
	}
}
