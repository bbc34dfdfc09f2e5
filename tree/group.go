package tree

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Why the structure cannot be changed as asked. Nothing has been changed when one of them is returned.
var (
	ErrCycle     = errors.New("a group cannot go under itself or under a group below it")
	ErrTooDeep   = errors.New("the tree would become too deep")
	ErrNotEmpty  = errors.New("the group has children, users or contacts")
	ErrRoot      = errors.New("the root group can be neither moved nor deleted")
	ErrNoGroup   = errors.New("no such group in the account")
	ErrNoContact = errors.New("no such contact")
	ErrNoUser    = errors.New("no such user in the group")
)

// node is a group as far as structure is concerned.
type node struct {
	id, account int64
	parent      int64 // 0 for the root
	path, wall  string
	depth       int
	restricted  bool
}

// above returns the ids of the groups above it, the root's first.
func (n node) above() []int64 {
	chain := n.chain()
	return chain[:len(chain)-1]
}

// chain returns the ids of the groups above it and its own, the root's first.
func (n node) chain() []int64 { return IDs(n.path) }

// loadNodes reads the groups that the condition selects; each of ids has to be among them.
func loadNodes(ctx context.Context, c Conn, condition string, ids []int64, args ...any) (map[int64]node, error) {
	nodes := make(map[int64]node, len(ids))
	err := collect(ctx, c, func(rows *sql.Rows) error {
		var n node
		err := rows.Scan(&n.id, &n.account, &n.parent, &n.path, &n.wall, &n.depth, &n.restricted)
		nodes[n.id] = n
		return err
	}, `SELECT id, account_id, COALESCE(parent_id, 0), path, wall, depth, visibility = 'RESTRICTED'
		FROM groups WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("loading groups: %w", err)
	}
	for _, id := range ids {
		if _, ok := nodes[id]; !ok {
			return nil, fmt.Errorf("group %d: %w", id, ErrNoGroup)
		}
	}
	return nodes, nil
}

// loadIn reads groups of one account.
func loadIn(ctx context.Context, c Conn, accountID int64, ids ...int64) (map[int64]node, error) {
	return loadNodes(ctx, c, "account_id = $1 AND id IN "+idsOf(c, "$2"), ids, accountID, jsonOf(ids))
}

// NewGroup is a group to be created. Without a parent it is the account's root.
type NewGroup struct {
	ID         int64 // from ReserveGroupIDs; for CreateAll only
	AccountID  int64
	ParentID   *int64
	Name       string
	NameKey    string // fold.Key of the name
	Restricted bool
	Now        time.Time
}

// Create inserts a group with its counters and returns its id. It returns ErrNoGroup when the parent is not in the
// account, ErrTooDeep when the group would be deeper than maxDepth, and the violation of the index
// group_sibling_name or group_one_root when the name is taken or the account has a root.
func Create(ctx context.Context, c Conn, g NewGroup, maxDepth int) (int64, error) {
	if err := LockShared(ctx, c, g.AccountID); err != nil {
		return 0, err
	}
	ids, err := ReserveGroupIDs(ctx, c, 1)
	if err != nil {
		return 0, err
	}
	g.ID = ids[0]
	return g.ID, CreateAll(ctx, c, []NewGroup{g}, maxDepth)
}

// Delete removes a group that has no children, users or contacts; ErrNotEmpty when it has, ErrRoot for the root.
// What remembers the group (where a contact arrived or waited, deleted users) remembers its parent from then on, and
// requests for groups under it go with it. Grants fixed to the group have to be gone: their foreign key refuses it.
func Delete(ctx context.Context, c Conn, accountID, groupID int64) error {
	if err := LockExclusive(ctx, c, accountID); err != nil {
		return err
	}
	nodes, err := loadIn(ctx, c, accountID, groupID)
	if err != nil {
		return err
	}
	n := nodes[groupID]
	if n.parent == 0 {
		return ErrRoot
	}
	if _, err := lockBranch(ctx, c, n); err != nil {
		return err
	}
	empty, err := isEmpty(ctx, c, n)
	if err != nil {
		return err
	}
	if !empty {
		return ErrNotEmpty
	}
	if err := inherit(ctx, c, n, n.parent, memories()); err != nil {
		return err
	}
	if err := deleteScope(ctx, c, n); err != nil { // a branch that has just left may still be in its list
		return err
	}
	if err := deleteRow(ctx, c, n); err != nil {
		return err
	}
	change := tally{}
	change.add(-1, n.above(), Counters{Descendants: 1, Restricted: toInt(n.restricted)})
	change.add(-1, []int64{n.parent}, Counters{Children: 1})
	return change.apply(ctx, c)
}

func isEmpty(ctx context.Context, c Conn, n node) (bool, error) {
	var empty bool
	err := one(ctx, c, []any{&empty}, `SELECT
		NOT EXISTS (SELECT 1 FROM groups WHERE account_id = $1 AND parent_id = $2) AND
		NOT EXISTS (SELECT 1 FROM users WHERE +account_id = $1 AND home_group_id = $2 AND status <> 'DELETED') AND
		NOT EXISTS (SELECT 1 FROM contacts WHERE +account_id = $1 AND group_id = $2)`, n.account, n.id)
	if err != nil {
		return false, fmt.Errorf("looking into group %d: %w", n.id, err)
	}
	return empty, nil
}

// deleteRow removes the group and, by their foreign key, its counters.
func deleteRow(ctx context.Context, c Conn, n node) error {
	if _, err := exec(ctx, c, "DELETE FROM groups WHERE account_id = $1 AND id = $2", n.account, n.id); err != nil {
		return fmt.Errorf("deleting group %d: %w", n.id, err)
	}
	return nil
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
