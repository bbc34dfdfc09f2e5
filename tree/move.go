package tree

import (
	"context"
	"fmt"
)

// Move puts a group with its whole subtree under another parent. It returns ErrRoot for the root, ErrCycle when the
// parent is the group itself or below it, ErrTooDeep when a group would come to lie deeper than maxDepth and deeper
// than before, and the violation of the index group_sibling_name when the name is taken there. Moving a group to
// where it is changes nothing.
func Move(ctx context.Context, c Conn, accountID, groupID, parentID int64, maxDepth int) error {
	if err := LockExclusive(ctx, c, accountID); err != nil {
		return err
	}
	nodes, err := loadIn(ctx, c, accountID, groupID, parentID)
	if err != nil {
		return err
	}
	n, parent := nodes[groupID], nodes[parentID]
	switch {
	case n.parent == 0:
		return ErrRoot
	case Under(parent.path, n.path):
		return ErrCycle
	case n.parent == parent.id:
		return nil
	}
	deepest, err := lockBranch(ctx, c, n)
	if err != nil {
		return err
	}
	down := parent.depth + 1 - n.depth
	if tooDeep(deepest, down, maxDepth) {
		return ErrTooDeep
	}
	if _, err := exec(ctx, c, "UPDATE groups SET parent_id = $1 WHERE account_id = $2 AND id = $3",
		parent.id, accountID, n.id); err != nil {
		return fmt.Errorf("moving group %d: %w", n.id, err)
	}
	if !n.restricted { // what is behind its own wall is seen from nowhere above it, here or there
		if err := behind(n).change(ctx, c, outer(n), parent.scopes()); err != nil {
			return err
		}
	}
	from, to := Range(n.path)
	r := relocation{from: from, to: to, oldPath: n.path, newPath: parent.path + Label(n.id), down: down,
		inner: len(parent.path) + LabelSize, outer: parent.wall}
	if err := r.apply(ctx, c, accountID); err != nil {
		return err
	}
	return moveCounters(ctx, c, n, parent)
}

func tooDeep(deepest, down, maxDepth int) bool { return down > 0 && deepest+down > maxDepth }

// moveCounters takes what the branch counts from the groups above the old place to those above the new one.
func moveCounters(ctx context.Context, c Conn, n, parent node) error {
	counters, err := CountersOf(ctx, c, []int64{n.id})
	if err != nil {
		return err
	}
	branch := counters[n.id]
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
