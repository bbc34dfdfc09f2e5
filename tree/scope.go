package tree

import (
	"context"
	"fmt"
	"slices"
)

// AccountScope is the scope_id of the account's own scope rows, which list all of its contacts. The scope_id of a
// group's rows is the group's id.
func AccountScope(accountID int64) int64 { return -accountID }

// scopes returns the groups from which the contacts of the group are listed: itself and those above it, up to the
// nearest wall.
func (n node) scopes() []int64 {
	chain := n.chain()
	if n.wall == "" {
		return chain
	}
	return chain[len(n.wall)/LabelSize-1:]
}

// outer returns the scopes that lie above the group. Only for a group that is not RESTRICTED do they list contacts of
// the group.
func outer(n node) []int64 { return without(n.scopes(), []int64{n.id}) }

func without(list, drop []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(list), func(id int64) bool { return slices.Contains(drop, id) })
}

// region selects the contacts of the groups in a range of paths that have the same nearest wall.
type region struct {
	account        int64
	from, to, wall string
}

// behind returns the part of the branch that shares the wall of its top group: what is not behind an inner wall.
func behind(n node) region {
	from, to := Range(n.path)
	return region{account: n.account, from: from, to: to, wall: n.wall}
}

// change replaces scopes of the region's contacts: those that are in was only are deleted, those in is only inserted.
func (r region) change(ctx context.Context, c Conn, was, is []int64) error {
	rows := `SELECT s.id, c.box, c.sort_key, c.id
		FROM groups AS g CROSS JOIN contacts AS c CROSS JOIN ` + idsOf(c, "$1") + ` AS s
		WHERE c.group_id = g.id AND g.account_id = $2 AND +c.account_id = $2
		AND g.path >= $3 AND g.path < $4 AND g.wall = $5`
	if drop := without(was, is); len(drop) > 0 {
		query := "DELETE FROM scopes WHERE (scope_id, box, sort_key, contact_id) IN (" + rows + ")"
		if _, err := exec(ctx, c, query, jsonOf(drop), r.account, r.from, r.to, r.wall); err != nil {
			return fmt.Errorf("deleting scope rows: %w", err)
		}
	}
	if add := without(is, was); len(add) > 0 {
		query := "INSERT INTO scopes (scope_id, box, sort_key, contact_id) " + rows
		if _, err := exec(ctx, c, query, jsonOf(add), r.account, r.from, r.to, r.wall); err != nil {
			return fmt.Errorf("inserting scope rows: %w", err)
		}
	}
	return nil
}
