package tree

import (
	"context"
	"fmt"
	"time"
)

// Moving is a group to put under another parent.
type Moving struct {
	AccountID, GroupID, ParentID int64
	MaxDepth                     int
	// AtOnce is how many scope rows the transaction itself may rewrite, AtOnce the constant but for tests. When there
	// are more, Carry carries them afterwards.
	AtOnce int
	Now    time.Time
}

// AtOnce is as many scope rows as a transaction may rewrite and still be short.
const AtOnce = 5000

// Move puts a group with its whole subtree under another parent. It returns ErrRoot for the root, ErrCycle when the
// parent is the group itself or below it, ErrTooDeep when a group would come to lie deeper than MaxDepth and deeper
// than before, ErrUnderWay when an earlier move of the branch, or of one above or within it, is still being carried, and
// the violation of the index group_sibling_name when the name is taken there. Moving a group to where it is changes
// nothing. The number is that of the move to carry, 0 when nothing is left to do.
func Move(ctx context.Context, c Conn, m Moving) (moveID int64, err error) {
	if err := LockExclusive(ctx, c, m.AccountID); err != nil {
		return 0, err
	}
	nodes, err := loadIn(ctx, c, m.AccountID, m.GroupID, m.ParentID)
	if err != nil {
		return 0, err
	}
	n, parent := nodes[m.GroupID], nodes[m.ParentID]
	switch {
	case n.parent == 0:
		return 0, ErrRoot
	case Under(parent.path, n.path):
		return 0, ErrCycle
	case n.parent == parent.id:
		return 0, nil
	}
	if err := settled(ctx, c, n); err != nil {
		return 0, err
	}
	deepest, err := lockBranch(ctx, c, n)
	if err != nil {
		return 0, err
	}
	down := parent.depth + 1 - n.depth
	if tooDeep(deepest, down, m.MaxDepth) {
		return 0, ErrTooDeep
	}
	if _, err := exec(ctx, c, "UPDATE groups SET parent_id = $1 WHERE account_id = $2 AND id = $3",
		parent.id, m.AccountID, n.id); err != nil {
		return 0, fmt.Errorf("moving group %d: %w", n.id, err)
	}
	// What waits in the queue above, too, waits in the one that is above now.
	if _, err := exec(ctx, c, "UPDATE contacts SET escalated_to_id = $1 WHERE group_id = $2 AND escalated_to_id IS NOT NULL",
		parent.id, n.id); err != nil {
		return 0, fmt.Errorf("moving the escalations of group %d: %w", n.id, err)
	}
	counters, err := CountersOf(ctx, c, []int64{n.id})
	if err != nil {
		return 0, err
	}
	if moveID, err = moveScopes(ctx, c, n, parent, m, counters[n.id].Contacts); err != nil {
		return 0, err
	}
	from, to := Range(n.path)
	r := relocation{from: from, to: to, oldPath: n.path, newPath: parent.path + Label(n.id), down: down,
		inner: len(parent.path) + LabelSize, outer: parent.wall}
	if err := r.apply(ctx, c, m.AccountID); err != nil {
		return 0, err
	}
	return moveID, moveCounters(ctx, c, n, parent, counters[n.id])
}

// moveScopes lists the contacts of the branch from above its new place instead of from above its old one, or records
// that it is to be done. It is called while the paths are the old ones.
func moveScopes(ctx context.Context, c Conn, n, parent node, m Moving, contacts int64) (moveID int64, err error) {
	if n.restricted { // what is behind its own wall is seen from nowhere above it, here or there
		return 0, nil
	}
	d := detour{leaving: without(outer(n), parent.scopes()), entering: without(parent.scopes(), outer(n))}
	if int(contacts)*d.size() > m.AtOnce {
		return d.begin(ctx, c, n, m.Now)
	}
	return 0, behind(n).change(ctx, c, outer(n), parent.scopes())
}

func tooDeep(deepest, down, maxDepth int) bool { return down > 0 && deepest+down > maxDepth }

// moveCounters takes what the branch counts from the groups above the old place to those above the new one.
func moveCounters(ctx context.Context, c Conn, n, parent node, branch Counters) error {
	branch.Children = 0
	branch.Descendants++
	branch.Restricted += toInt(n.restricted)
	change := tally{}
	change.add(-1, n.above(), branch)
	change.add(+1, parent.chain(), branch)
	change.add(-1, []int64{n.parent}, Counters{Children: 1})
	change.add(+1, []int64{parent.id}, Counters{Children: 1})
	return change.apply(ctx, c)
}

// relocation rewrites path, depth and wall of the groups in a range of paths. Walls within the branch go along; a wall
// that was the old path itself falls to the first group under the new parent; walls above the branch give way to the
// one that stands above the new place.
type relocation struct {
	from, to         string // bounds of the paths as they were
	oldPath, newPath string // the prefix to replace, and by what
	down             int    // how much deeper, in levels
	inner            int    // length of the path of the first group under the new parent
	outer            string // the wall that stands above the new place
}

func (r relocation) apply(ctx context.Context, c Conn, accountID int64) error {
	_, err := exec(ctx, c, `UPDATE groups SET
		path = CAST($1 AS TEXT) || substr(path, $2),
		depth = depth + $3,
		wall = CASE
			WHEN wall = $4 THEN substr(CAST($1 AS TEXT) || substr(path, $2), 1, $5)
			WHEN substr(wall, 1, $6) = $4 THEN CAST($1 AS TEXT) || substr(wall, $2)
			ELSE $7 END
		WHERE account_id = $8 AND path >= $9 AND path < $10`,
		r.newPath, len(r.oldPath)+1, r.down, r.oldPath, r.inner, len(r.oldPath), r.outer, accountID, r.from, r.to)
	if err != nil {
		return fmt.Errorf("relocating a branch: %w", err)
	}
	return nil
}
