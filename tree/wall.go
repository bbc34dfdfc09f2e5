package tree

import (
	"context"
	"fmt"
)

// SetRestricted raises or opens the wall at a group: it sets the group's visibility, and the walls and scope rows of
// its subtree up to inner walls. It returns ErrUnderWay as Move does.
func SetRestricted(ctx context.Context, c Conn, accountID, groupID int64, restricted bool) error {
	if err := LockExclusive(ctx, c, accountID); err != nil {
		return err
	}
	nodes, err := loadIn(ctx, c, accountID, groupID)
	if err != nil {
		return err
	}
	was := nodes[groupID]
	if was.restricted == restricted {
		return nil
	}
	if err := settled(ctx, c, was); err != nil {
		return err
	}
	if _, err := lockBranch(ctx, c, was); err != nil {
		return err
	}
	is, visibility, sign := was, "RESTRICTED", int64(+1)
	is.wall = was.path
	if !restricted {
		visibility, sign = "INHERITED", -1
		if is.wall, err = wallAbove(ctx, c, was); err != nil {
			return err
		}
	}
	if err := behind(was).change(ctx, c, was.scopes(), is.scopes()); err != nil {
		return err
	}
	if err := setWall(ctx, c, was, is.wall, visibility); err != nil {
		return err
	}
	change := tally{}
	change.add(sign, was.above(), Counters{Restricted: 1})
	return change.apply(ctx, c)
}

// wallAbove returns the wall that the group inherits.
func wallAbove(ctx context.Context, c Conn, n node) (string, error) {
	if n.parent == 0 {
		return "", nil
	}
	nodes, err := loadIn(ctx, c, n.account, n.parent)
	return nodes[n.parent].wall, err
}

func setWall(ctx context.Context, c Conn, n node, wall, visibility string) error {
	if _, err := exec(ctx, c, "UPDATE groups SET visibility = $1 WHERE account_id = $2 AND id = $3",
		visibility, n.account, n.id); err != nil {
		return fmt.Errorf("setting the visibility of group %d: %w", n.id, err)
	}
	from, to := Range(n.path)
	if _, err := exec(ctx, c, "UPDATE groups SET wall = $1 WHERE account_id = $2 AND path >= $3 AND path < $4 AND wall = $5",
		wall, n.account, from, to, n.wall); err != nil {
		return fmt.Errorf("setting the wall of group %d: %w", n.id, err)
	}
	return nil
}
