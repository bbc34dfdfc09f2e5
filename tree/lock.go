package tree

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// On PostgreSQL locks are taken in this order, each by a statement of its own, so that what is read afterwards is
// read as it stands once the lock is held: the account's advisory lock; that of distribution in a group; users; the door
// of the account's groups, and groups, in the order of their ids; contacts; counters, in the order of their ids, last.
// SQLite admits one writing transaction at a time and needs none of it.

// LockShared keeps branches of the account from being moved, walled or deleted until the transaction ends. Create
// takes it by itself.
func LockShared(ctx context.Context, c Conn, accountID int64) error {
	return lock(ctx, c, "pg_advisory_xact_lock_shared", shape, accountID)
}

// LockExclusive makes the transaction the only one that changes the shape of the account's tree. Move, SetRestricted,
// Delete, Dissolve and Rebuild take it by themselves; a use-case that decides by what it read of the tree takes it
// before it reads.
func LockExclusive(ctx context.Context, c Conn, accountID int64) error {
	return lock(ctx, c, "pg_advisory_xact_lock", shape, accountID)
}

// LockDistribution makes the transaction the only one that gives out contacts to the agents of the group by its method,
// until it ends.
func LockDistribution(ctx context.Context, c Conn, groupID int64) error {
	return lock(ctx, c, "pg_advisory_xact_lock", "distribution", groupID)
}

// passDoor goes through the door of the groups' account. Those who lock groups to stay as they are pass it together, and
// who locks a branch to change it closes it behind itself (lockBranch). PostgreSQL lets whoever shares a row pass those
// who wait to have it alone, so that a branch in which somebody always writes could never be moved; before an advisory
// lock everybody waits for their turn. A transaction passes before it locks any group or contact.
func passDoor(ctx context.Context, c Conn, groupIDs []int64) error {
	if !isPostgres(c) {
		return nil
	}
	query := "SELECT pg_advisory_xact_lock_shared(" + key(door, "account_id") + `)
		FROM (SELECT DISTINCT account_id FROM groups WHERE id IN ` + idsOf(c, "$1") + ") AS accounts"
	if _, err := exec(ctx, c, query, jsonOf(groupIDs)); err != nil {
		return fmt.Errorf("waiting for branches that move: %w", err)
	}
	return nil
}

// CloseDoor waits for everybody who writes users or contacts in groups of the account, and lets nobody begin to until the
// transaction ends. Whoever has locked a group, by whatever function of this package, therefore reads the same places and
// settings of all groups from then on. The caller holds the account's exclusive lock, and users that it needs.
func CloseDoor(ctx context.Context, c Conn, accountID int64) error {
	return lock(ctx, c, "pg_advisory_xact_lock", door, accountID)
}

// The advisory locks of an account.
const (
	shape = "tree"   // the shape of the tree
	door  = "groups" // see passDoor
)

// key is the number of an advisory lock, in SQL. They are shared by the whole database: the schema's name keeps two
// installations in it apart.
func key(what, id string) string {
	return "hashtextextended('canopy." + what + ".' || current_schema(), " + id + ")"
}

// lock takes an advisory lock of an account, or of a group, until the transaction ends.
func lock(ctx context.Context, c Conn, function, what string, id int64) error {
	if !isPostgres(c) {
		return nil
	}
	if _, err := exec(ctx, c, "SELECT "+function+"("+key(what, "$1")+")", id); err != nil {
		return fmt.Errorf("locking the %s of %d: %w", what, id, err)
	}
	return nil
}

// LockGroups keeps the places of the groups, and with them the chains along which their users and contacts count, as
// they are until the transaction ends. What writes users and contacts takes it by itself; a transaction that writes
// several of them locks all groups first. It returns ErrNoGroup when one does not exist.
func LockGroups(ctx context.Context, c Conn, ids ...int64) error {
	_, err := lockGroups(ctx, c, ids...)
	return err
}

func lockGroups(ctx context.Context, c Conn, ids ...int64) (map[int64]node, error) {
	if err := passDoor(ctx, c, ids); err != nil {
		return nil, err
	}
	return loadNodes(ctx, c, "id IN "+idsOf(c, "$1")+" ORDER BY id"+locking(c, "FOR SHARE"), ids, jsonOf(ids))
}

// LockContact makes the transaction the only one that changes the contact, and keeps its groups and the given ones as
// they are, until it ends. Read the contact afterwards. UpdateContact and RemoveContact take it by themselves. It
// returns ErrNoContact when the contact does not exist, ErrNoGroup when a group does not.
func LockContact(ctx context.Context, c Conn, contactID int64, groupIDs ...int64) error {
	_, _, err := lockContact(ctx, c, contactID, groupIDs...)
	return err
}

func lockContact(ctx context.Context, c Conn, contactID int64, groupIDs ...int64) (contact, map[int64]node, error) {
	// Groups are locked before contacts, but which groups they are stands in the contact. Should the contact have gone
	// elsewhere meanwhile (its group may even be deleted by now), the second round settles it, because by then it is locked.
	// The arrival group is among them because PostgreSQL checks its foreign key again when a row is changed twice, and
	// locks it then, out of order.
	for {
		seen, err := loadContact(ctx, c, contactID, "")
		if err != nil {
			return contact{}, nil, err
		}
		nodes, err := lockGroups(ctx, c, append([]int64{seen.GroupID, seen.arrival}, groupIDs...)...)
		if err != nil && !errors.Is(err, ErrNoGroup) || !isPostgres(c) {
			return seen, nodes, err
		}
		locked, gone := loadContact(ctx, c, contactID, " FOR UPDATE")
		if gone != nil {
			return contact{}, nil, gone
		}
		if locked.GroupID == seen.GroupID && locked.arrival == seen.arrival {
			return locked, nodes, err // ErrNoGroup, if one of the given groups does not exist
		}
	}
}

// lockBranch keeps everybody else from writing groups, users and contacts of the branch, and returns the depth of its
// deepest group. The caller holds the account's exclusive lock. On PostgreSQL those who write elsewhere in the account
// wait too: see passDoor.
func lockBranch(ctx context.Context, c Conn, n node) (deepest int, err error) {
	if err := CloseDoor(ctx, c, n.account); err != nil {
		return 0, err
	}
	from, to := Range(n.path)
	err = one(ctx, c, []any{&deepest}, `SELECT MAX(depth) FROM (
		SELECT depth FROM groups WHERE account_id = $1 AND path >= $2 AND path < $3 ORDER BY id`+
		// Not the weaker FOR NO KEY UPDATE: whoever has just inserted a contact holds a foreign key's lock on its
		// group and is about to ask for a stronger one; each would wait for the other.
		locking(c, "FOR UPDATE")+`) AS branch`, n.account, from, to)
	if err != nil {
		return 0, fmt.Errorf("locking the branch of group %d: %w", n.id, err)
	}
	return deepest, nil
}

// loadContact reads where a contact stands.
func loadContact(ctx context.Context, c Conn, id int64, lock string) (contact, error) {
	k := contact{id: id}
	found := false
	err := collect(ctx, c, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&k.account, &k.arrival, &k.GroupID, &k.Box, &k.SortKey, &k.underWay)
	}, `SELECT account_id, arrival_group_id, group_id, box, sort_key,
		EXISTS (SELECT 1 FROM detours AS d WHERE d.account_id = contacts.account_id)
		FROM contacts WHERE id = $1`+lock, id)
	if err != nil {
		return contact{}, fmt.Errorf("loading contact %d: %w", id, err)
	}
	if !found {
		return contact{}, fmt.Errorf("contact %d: %w", id, ErrNoContact)
	}
	return k, nil
}
