package tree

import (
	"context"
	"fmt"
)

// Dissolve deletes a group and gives its children, users and contacts to a successor. The children of a RESTRICTED
// group become RESTRICTED themselves, so that what was private stays so. It returns ErrRoot for the root, ErrCycle
// when the successor is the group itself or below it, ErrTooDeep and ErrUnderWay as Move does, and the violation of the index
// group_sibling_name when a child's name is taken at the successor. What remembers the group (where a contact arrived
// or waited, requests for groups under it) remembers the successor from then on. Grants fixed to the group have to be
// gone: their foreign key refuses it.
func Dissolve(ctx context.Context, c Conn, accountID, groupID, successorID int64, maxDepth int) error {
	if err := LockExclusive(ctx, c, accountID); err != nil {
		return err
	}
	nodes, err := loadIn(ctx, c, accountID, groupID, successorID)
	if err != nil {
		return err
	}
	n, heir := nodes[groupID], nodes[successorID]
	switch {
	case n.parent == 0:
		return ErrRoot
	case Under(heir.path, n.path):
		return ErrCycle
	}
	if err := settled(ctx, c, n); err != nil {
		return err
	}
	if err := lockUsers(ctx, c, n); err != nil {
		return err
	}
	deepest, err := lockBranch(ctx, c, n)
	if err != nil {
		return err
	}
	if deepest > n.depth && tooDeep(deepest, heir.depth-n.depth, maxDepth) {
		return ErrTooDeep
	}
	if err := dissolveScopes(ctx, c, n, heir); err != nil {
		return err
	}
	walled, err := adopt(ctx, c, n, heir)
	if err != nil {
		return err
	}
	// Where the contacts of the group go they have not waited long enough to show in the queue above.
	if _, err := exec(ctx, c, "UPDATE contacts SET escalated_to_id = NULL WHERE group_id = $1 AND escalated_to_id IS NOT NULL", n.id); err != nil {
		return fmt.Errorf("ending the escalations of group %d: %w", n.id, err)
	}
	if err := inherit(ctx, c, n, heir.id, belongings()); err != nil {
		return err
	}
	counters, err := CountersOf(ctx, c, []int64{n.id})
	if err != nil {
		return err
	}
	if err := deleteRow(ctx, c, n); err != nil {
		return err
	}
	return dissolveCounters(ctx, c, n, heir, counters[n.id], walled)
}

// LockContents keeps users and contacts from coming to a group and from leaving it until the transaction ends. Dissolve does
// so by itself; a use-case that decides by what is in the group does it before it looks. The caller holds the account's
// exclusive lock.
func LockContents(ctx context.Context, c Conn, accountID, groupID int64) error {
	nodes, err := loadIn(ctx, c, accountID, groupID)
	if err != nil {
		return err
	}
	if err := lockUsers(ctx, c, nodes[groupID]); err != nil {
		return err
	}
	return CloseDoor(ctx, c, accountID)
}

// lockUsers keeps the users at home in the group from being given anything. Users come before groups in the order of
// locks, and what goes to the successor is about to be changed.
func lockUsers(ctx context.Context, c Conn, n node) error {
	if !isPostgres(c) {
		return nil
	}
	_, err := exec(ctx, c, "SELECT 1 FROM users WHERE account_id = $1 AND home_group_id = $2 ORDER BY id FOR NO KEY UPDATE", n.account, n.id)
	if err != nil {
		return fmt.Errorf("locking the users of group %d: %w", n.id, err)
	}
	return nil
}

// dissolveScopes lists what the group had from the successor and above instead. Contacts of a RESTRICTED group's
// descendants stay behind a wall, only not this one.
func dissolveScopes(ctx context.Context, c Conn, n, heir node) error {
	moved := behind(n)
	if n.restricted {
		moved.from, moved.to = only(n.path)
	}
	if err := moved.change(ctx, c, outer(n), heir.scopes()); err != nil {
		return err
	}
	return deleteScope(ctx, c, n)
}

// deleteScope deletes the list of a group that is about to go.
func deleteScope(ctx context.Context, c Conn, n node) error {
	if _, err := exec(ctx, c, "DELETE FROM scopes WHERE scope_id = $1", n.id); err != nil {
		return fmt.Errorf("deleting the scope of group %d: %w", n.id, err)
	}
	return nil
}

// adopt puts the children under the successor and returns how many of them became RESTRICTED.
func adopt(ctx context.Context, c Conn, n, heir node) (walled int64, err error) {
	if n.restricted {
		walled, err = exec(ctx, c, `UPDATE groups SET visibility = 'RESTRICTED'
			WHERE account_id = $1 AND parent_id = $2 AND visibility <> 'RESTRICTED'`, n.account, n.id)
		if err != nil {
			return 0, fmt.Errorf("walling the children of group %d: %w", n.id, err)
		}
	}
	// The group is about to go: its name does not stand in the way of a child that goes to its parent.
	if _, err := exec(ctx, c, "UPDATE groups SET name_key = '' WHERE account_id = $1 AND id = $2", n.account, n.id); err != nil {
		return 0, fmt.Errorf("freeing the name of group %d: %w", n.id, err)
	}
	if _, err := exec(ctx, c, "UPDATE groups SET parent_id = $1 WHERE account_id = $2 AND parent_id = $3",
		heir.id, n.account, n.id); err != nil {
		return 0, fmt.Errorf("moving the children of group %d: %w", n.id, err)
	}
	from, to := below(n.path)
	r := relocation{from: from, to: to, oldPath: n.path, newPath: heir.path, down: heir.depth - n.depth,
		inner: len(heir.path) + LabelSize, outer: heir.wall}
	return walled, r.apply(ctx, c, n.account)
}

// dissolveCounters takes all that the group counted, itself included, from the groups above it, and gives all but
// itself to the successor and those above that.
func dissolveCounters(ctx context.Context, c Conn, n, heir node, held Counters, walled int64) error {
	children := Counters{Children: held.Children}
	held.Children = 0
	lost, gained := held, held
	lost.Descendants++
	lost.Restricted += toInt(n.restricted)
	gained.Restricted += walled
	change := tally{}
	change.add(-1, n.above(), lost)
	change.add(-1, []int64{n.parent}, Counters{Children: 1})
	change.add(+1, heir.chain(), gained)
	change.add(+1, []int64{heir.id}, children)
	return change.apply(ctx, c)
}

// reference is a column that names a group.
type reference struct{ table, column string }

// belongings are what a successor gets.
func belongings() []reference {
	return append([]reference{{"contacts", "group_id"}, {"contacts", "escalated_to_id"}, {"group_requests", "parent_id"}}, memories()...)
}

// memories are the references that outlive a group in any case. When it is empty, only deleted users are at home in it.
func memories() []reference {
	return []reference{
		{"users", "home_group_id"},
		{"contacts", "arrival_group_id"},
		{"contact_assignments", "taken_from_group_id"},
		{"stays", "group_id"},
		{"contact_assignments", "escalated_to_id"},
	}
}

// inherit makes the references to the group name the heir, and lets requests forget that they made the group.
func inherit(ctx context.Context, c Conn, n node, heir int64, references []reference) error {
	for _, r := range references {
		query := fmt.Sprintf("UPDATE %[1]s SET %[2]s = $1 WHERE +account_id = $2 AND %[2]s = $3", r.table, r.column)
		if _, err := exec(ctx, c, query, heir, n.account, n.id); err != nil {
			return fmt.Errorf("moving %s of group %d to group %d: %w", r.table, n.id, heir, err)
		}
	}
	if _, err := exec(ctx, c, "UPDATE group_requests SET group_id = NULL WHERE +account_id = $1 AND group_id = $2",
		n.account, n.id); err != nil {
		return fmt.Errorf("forgetting the request for group %d: %w", n.id, err)
	}
	return nil
}
