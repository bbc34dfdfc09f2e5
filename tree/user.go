package tree

import (
	"context"
	"fmt"
)

// AddUser counts a user whose row has been inserted, or is back from being deleted, at the home group.
func AddUser(ctx context.Context, c Conn, groupID int64) error { return AddUsers(ctx, c, groupID) }

// AddUsers is AddUser for one user at each of the groups, which may repeat.
func AddUsers(ctx context.Context, c Conn, groupIDs ...int64) error {
	return countUsers(ctx, c, +1, groupIDs)
}

// RemoveUser ceases to count a user who has been deleted. Their row keeps its home group.
func RemoveUser(ctx context.Context, c Conn, groupID int64) error {
	return countUsers(ctx, c, -1, []int64{groupID})
}

func countUsers(ctx context.Context, c Conn, sign int64, groupIDs []int64) error {
	nodes, err := lockGroups(ctx, c, groupIDs...)
	if err != nil {
		return err
	}
	change := tally{}
	for _, id := range groupIDs {
		change.add(sign, nodes[id].chain(), Counters{Users: 1})
	}
	return change.apply(ctx, c)
}

// MoveUser gives a user, who is not deleted, another home group, in the row and in the counters. It returns ErrNoGroup
// when the groups are not of one account, and ErrNoUser when the user is not at home in from.
func MoveUser(ctx context.Context, c Conn, userID, from, to int64) error {
	nodes, err := lockGroups(ctx, c, from, to)
	if err != nil {
		return err
	}
	if nodes[from].account != nodes[to].account {
		return fmt.Errorf("group %d: %w", to, ErrNoGroup)
	}
	moved, err := exec(ctx, c, `UPDATE users SET home_group_id = $1
		WHERE account_id = $2 AND id = $3 AND home_group_id = $4 AND status <> 'DELETED'`, to, nodes[from].account, userID, from)
	if err != nil {
		return fmt.Errorf("moving user %d: %w", userID, err)
	}
	if moved == 0 {
		return fmt.Errorf("user %d: %w", userID, ErrNoUser)
	}
	change := tally{}
	change.add(-1, nodes[from].chain(), Counters{Users: 1})
	change.add(+1, nodes[to].chain(), Counters{Users: 1})
	return change.apply(ctx, c)
}
