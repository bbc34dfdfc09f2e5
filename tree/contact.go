package tree

import (
	"context"
	"fmt"
	"slices"
)

// State is how far a contact's service has come.
type State int

// The states.
const (
	None   State = iota // never had a conversation
	Open                // has an open one
	Closed              // had conversations, all of them closed
)

// Box is a contact's state and whether somebody serves it, as one number: the first thing by which lists of contacts
// are sorted.
type Box int

// BoxOf returns the box of a contact.
func BoxOf(s State, assigned bool) Box { return Box(2*int(s) + int(toInt(assigned))) }

// State returns the state of the contacts in the box.
func (b Box) State() State { return State(b / 2) }

// Assigned says whether the contacts in the box are served by somebody.
func (b Box) Assigned() bool { return b%2 == 1 }

// counters returns what one contact in the box counts.
func (b Box) counters() Counters {
	return Counters{
		Contacts: 1,
		Open:     toInt(b.State() == Open),
		Waiting:  toInt(!b.Assigned()),
		Closed:   toInt(b.State() == Closed),
	}
}

// Placement is where lists show a contact.
type Placement struct {
	GroupID int64
	Box     Box
	// SortKey is in microseconds since 1970: since when the contact waits, while nobody serves it and its conversation
	// is open or it never had one; its last activity otherwise.
	SortKey int64
}

// contact is a contact's row as far as structure is concerned.
type contact struct {
	id, account, arrival int64
	underWay             bool // some branch of the account is being carried
	Placement
}

// AddContact lists and counts a contact whose row has been inserted, with its group, box and sort key.
func AddContact(ctx context.Context, c Conn, contactID int64) error {
	return enter(ctx, c, contactID, +1)
}

// RemoveContact ceases to list and count a contact whose row is about to be deleted.
func RemoveContact(ctx context.Context, c Conn, contactID int64) error {
	return enter(ctx, c, contactID, -1)
}

func enter(ctx context.Context, c Conn, contactID, sign int64) error {
	k, nodes, err := lockContact(ctx, c, contactID)
	if err != nil {
		return err
	}
	group := nodes[k.GroupID]
	if sign > 0 {
		err = k.insertScopes(ctx, c, k.scopes(group))
	} else {
		err = k.leave(ctx, c, group)
	}
	if err != nil {
		return err
	}
	change := tally{}
	change.add(sign, group.chain(), k.Box.counters())
	return change.apply(ctx, c)
}

// UpdateContact moves a contact from where it is to where it should be: group, box and sort key in its row, its scope
// rows, and the counters. It returns ErrNoContact, or ErrNoGroup when the group is not of the contact's account.
func UpdateContact(ctx context.Context, c Conn, contactID int64, to Placement) error {
	was, nodes, err := lockContact(ctx, c, contactID, to.GroupID)
	if err != nil {
		return err
	}
	if nodes[to.GroupID].account != was.account {
		return fmt.Errorf("group %d: %w", to.GroupID, ErrNoGroup)
	}
	is := was
	is.Placement = to
	if is == was {
		return nil
	}
	if _, err := exec(ctx, c, "UPDATE contacts SET group_id = $1, box = $2, sort_key = $3 WHERE account_id = $4 AND id = $5",
		to.GroupID, int(to.Box), to.SortKey, was.account, contactID); err != nil {
		return fmt.Errorf("placing contact %d: %w", contactID, err)
	}
	if err := changeScopes(ctx, c, was, is, nodes); err != nil {
		return err
	}
	change := tally{}
	change.add(-1, nodes[was.GroupID].chain(), was.Box.counters())
	change.add(+1, nodes[is.GroupID].chain(), is.Box.counters())
	return change.apply(ctx, c)
}

// scopes returns the scopes that list the contact when it is in the group.
func (k contact) scopes(group node) []int64 { return append(group.scopes(), AccountScope(k.account)) }

// changeScopes makes the scope rows of a contact follow it. A message changes one thing only, the sort key, and takes
// one statement.
func changeScopes(ctx context.Context, c Conn, was, is contact, nodes map[int64]node) error {
	old, now := was.scopes(nodes[was.GroupID]), is.scopes(nodes[is.GroupID])
	if was.underWay {
		if err := was.leave(ctx, c, nodes[was.GroupID]); err != nil {
			return err
		}
		return is.insertScopes(ctx, c, now)
	}
	if slices.Equal(old, now) {
		_, err := exec(ctx, c, `UPDATE scopes SET box = $1, sort_key = $2
			WHERE scope_id IN `+idsOf(c, "$3")+` AND box = $4 AND sort_key = $5 AND contact_id = $6`,
			int(is.Box), is.SortKey, jsonOf(now), int(was.Box), was.SortKey, is.id)
		if err != nil {
			return fmt.Errorf("changing the scope rows of contact %d: %w", is.id, err)
		}
		return nil
	}
	drop, add := old, now
	if was.Box == is.Box && was.SortKey == is.SortKey {
		drop, add = without(old, now), without(now, old)
	}
	if err := was.deleteScopes(ctx, c, drop); err != nil {
		return err
	}
	return is.insertScopes(ctx, c, add)
}

// leave deletes all scope rows of the contact, those included that a move under way has left behind.
func (k contact) leave(ctx context.Context, c Conn, group node) error {
	scopes := k.scopes(group)
	if k.underWay {
		d, err := detourOf(ctx, c, group)
		if err != nil {
			return err
		}
		scopes = append(scopes, d.leaving...)
	}
	return k.deleteScopes(ctx, c, scopes)
}

func (k contact) insertScopes(ctx context.Context, c Conn, scopes []int64) error {
	if len(scopes) == 0 {
		return nil
	}
	_, err := exec(ctx, c, `INSERT INTO scopes (scope_id, box, sort_key, contact_id)
		SELECT s.id, CAST($1 AS INTEGER), CAST($2 AS BIGINT), CAST($3 AS BIGINT) FROM `+idsOf(c, "$4")+` AS s`,
		int(k.Box), k.SortKey, k.id, jsonOf(scopes))
	if err != nil {
		return fmt.Errorf("inserting the scope rows of contact %d: %w", k.id, err)
	}
	return nil
}

func (k contact) deleteScopes(ctx context.Context, c Conn, scopes []int64) error {
	if len(scopes) == 0 {
		return nil
	}
	_, err := exec(ctx, c, "DELETE FROM scopes WHERE scope_id IN "+idsOf(c, "$1")+" AND box = $2 AND sort_key = $3 AND contact_id = $4",
		jsonOf(scopes), int(k.Box), k.SortKey, k.id)
	if err != nil {
		return fmt.Errorf("deleting the scope rows of contact %d: %w", k.id, err)
	}
	return nil
}
