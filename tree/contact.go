package tree

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
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
	return AddContacts(ctx, c, []int64{contactID})
}

// AddContacts is AddContact for any number of contacts, by the same number of statements. It returns ErrNoContact when
// one does not exist.
func AddContacts(ctx context.Context, c Conn, contactIDs []int64) error {
	contacts, err := loadContacts(ctx, c, contactIDs)
	if err != nil {
		return err
	}
	groups := map[int64]bool{}
	for _, k := range contacts {
		groups[k.GroupID] = true
	}
	// Nobody else sees the rows yet, so they need no lock of their own.
	nodes, err := lockGroups(ctx, c, slices.Sorted(maps.Keys(groups))...)
	if err != nil {
		return err
	}
	rows, change := make([][]int64, 0, 8*len(contacts)), tally{}
	for _, k := range contacts {
		group := nodes[k.GroupID]
		for _, scope := range k.scopes(group) {
			rows = append(rows, []int64{scope, int64(k.Box), k.SortKey, k.id})
		}
		change.add(+1, group.chain(), k.Box.counters())
	}
	if err := insertScopeRows(ctx, c, rows); err != nil {
		return err
	}
	return change.apply(ctx, c)
}

// RemoveContact ceases to list and count a contact whose row is about to be deleted.
func RemoveContact(ctx context.Context, c Conn, contactID int64) error {
	k, nodes, err := lockContact(ctx, c, contactID)
	if err != nil {
		return err
	}
	group := nodes[k.GroupID]
	if err := k.leave(ctx, c, group); err != nil {
		return err
	}
	change := tally{}
	change.add(-1, group.chain(), k.Box.counters())
	return change.apply(ctx, c)
}

// loadContacts reads where contacts stand that the transaction has inserted.
func loadContacts(ctx context.Context, c Conn, ids []int64) ([]contact, error) {
	contacts := make([]contact, 0, len(ids))
	err := collect(ctx, c, func(rows *sql.Rows) error {
		var k contact
		err := rows.Scan(&k.id, &k.account, &k.arrival, &k.GroupID, &k.Box, &k.SortKey)
		contacts = append(contacts, k)
		return err
	}, "SELECT id, account_id, arrival_group_id, group_id, box, sort_key FROM contacts WHERE id IN "+idsOf(c, "$1"), jsonOf(ids))
	if err != nil {
		return nil, fmt.Errorf("loading contacts: %w", err)
	}
	if len(contacts) != len(ids) {
		return nil, fmt.Errorf("%d of %d contacts: %w", len(ids)-len(contacts), len(ids), ErrNoContact)
	}
	return contacts, nil
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
	rows := make([][]int64, len(scopes))
	for i, scope := range scopes {
		rows[i] = []int64{scope, int64(k.Box), k.SortKey, k.id}
	}
	return insertScopeRows(ctx, c, rows)
}

// insertScopeRows inserts rows of (scope, box, sort key, contact).
func insertScopeRows(ctx context.Context, c Conn, rows [][]int64) error {
	if len(rows) == 0 {
		return nil
	}
	columns := "value->>0, value->>1, value->>2, value->>3 FROM json_each($1)"
	if isPostgres(c) {
		columns = `CAST(v->>0 AS BIGINT), CAST(v->>1 AS INTEGER), CAST(v->>2 AS BIGINT), CAST(v->>3 AS BIGINT)
			FROM jsonb_array_elements(CAST($1 AS TEXT)::jsonb) AS v`
	}
	if _, err := exec(ctx, c, "INSERT INTO scopes (scope_id, box, sort_key, contact_id) SELECT "+columns, jsonOf(rows)); err != nil {
		return fmt.Errorf("inserting scope rows: %w", err)
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
