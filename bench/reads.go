package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/session"
	"canopy/tree"
)

// The figures of reading.
func reads() []figure {
	return []figure{
		{name: "subtree of 1,000 with depth", layer: "ent", sqlite: 1.9, postgres: 2.0, growth: 1.25, begin: subtree},
		{name: "ancestors", layer: "ent", sqlite: 1.3, postgres: 1.6, begin: ancestors},
		{name: "viewer, cold", layer: "directory", begin: viewerCold},
		{name: "inbox page of 50 at the root", layer: "desk", sqlite: 1.3, postgres: 1.3, growth: 1.2, begin: page(atRoot, inbox, 0)},
		{name: "inbox page of 50 at 1,000 groups", layer: "desk", sqlite: 1.3, postgres: 1.3, growth: 1.2, begin: page(atMiddle, inbox, 0)},
		{name: "inbox page of 50 in a cold branch", layer: "desk", sqlite: 1.3, postgres: 1.3, growth: 1.2, begin: page(atCold, inbox, 0)},
		{name: "inbox page of 50, the fifth", layer: "desk", sqlite: 1.3, postgres: 1.3, growth: 1.2, begin: page(atRoot, inbox, 4)},
		{name: "inbox page of 50, 20 scattered grants", layer: "desk", sqlite: 2.6, postgres: 1.7, growth: 1.2, begin: page(scattered, inbox, 0)},
		{name: "inbox page of 50 under a large branch", layer: "desk", growth: 1.2, begin: page(owner, underLargest, 0)},
		{name: "contacts page of 50 at the root", layer: "desk", sqlite: 1.3, postgres: 1.3, growth: 1.2, begin: page(atRoot, contacts, 0)},
		{name: "contacts page of 50, 20 scattered grants", layer: "desk", sqlite: 2.6, postgres: 1.7, growth: 1.2, begin: page(scattered, contacts, 0)},
		{name: "search without hits, owner", layer: "desk", begin: search(owner)},
		{name: "search without hits at the root", layer: "desk", begin: search(atRoot)},
		{name: "counts of the boxes at the root", layer: "desk", sqlite: 1, postgres: 1, growth: 1.2, begin: counts(atRoot)},
		{name: "counts of the boxes, 20 scattered grants", layer: "desk", sqlite: 1, postgres: 1, growth: 1.2, begin: counts(scattered)},
		{name: "dashboard of 100 children", layer: "tree", sqlite: 1.2, postgres: 1.2, growth: 1.2, begin: dashboard},
	}
}

// subtree reads number, parent, depth and name of 1,000 groups below one that has as many: through Ent, with the row
// rule, against the range of the covering index.
func subtree(ctx context.Context, d *dataset) (*bench, error) {
	middle, err := d.middle(ctx)
	if err != nil {
		return nil, err
	}
	ctx, err = d.as(ctx, atRoot)
	if err != nil {
		return nil, err
	}
	from, to := tree.Range(middle.Path)
	floor, err := d.plain.PrepareContext(ctx, `SELECT id, parent_id, depth, name FROM groups
		WHERE account_id = $1 AND path >= $2 AND path < $3 ORDER BY path LIMIT 1000`)
	if err != nil {
		return nil, err
	}
	type row struct {
		id, parent int64
		depth      int
		name       string
	}
	rows := 0
	return &bench{
		real: func() error {
			groups, err := d.db.Read.Group.Query().Where(group.AccountID(d.account.ID), group.PathGTE(from), group.PathLT(to)).
				Order(group.ByPath()).Limit(1000).Select(group.FieldID, group.FieldParentID, group.FieldDepth, group.FieldName).All(ctx)
			if len(groups) != rows && rows > 0 {
				return fmt.Errorf("%d groups, the floor read %d", len(groups), rows)
			}
			rows = len(groups)
			return err
		},
		floor: func() error {
			var list []*row
			err := each(ctx, floor, func(rows *sql.Rows) error {
				var r row
				var parent sql.NullInt64
				err := rows.Scan(&r.id, &parent, &r.depth, &r.name)
				r.parent = parent.Int64
				list = append(list, &r)
				return err
			}, d.account.ID, from, to)
			rows = len(list)
			return err
		},
		end: floor.Close,
	}, nil
}

// each runs a prepared statement and scans its rows.
func each(ctx context.Context, s *sql.Stmt, scan func(*sql.Rows) error, args ...any) error {
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ancestors reads the groups above a deep one, whole rows by number, as the field of that name does, against the same
// rows by number.
func ancestors(ctx context.Context, d *dataset) (*bench, error) {
	ctx, err := d.as(ctx, atRoot)
	if err != nil {
		return nil, err
	}
	deep, err := d.db.Read.Group.Query().Where(group.AccountID(d.account.ID), group.Depth(8)).Order(group.ByID()).First(ctx)
	if err != nil {
		return nil, err
	}
	above := tree.IDs(deep.Path)[:8]
	floor, err := d.plain.PrepareContext(ctx, "SELECT "+strings.Join(group.Columns, ", ")+" FROM groups WHERE id IN ("+marks(len(above))+")")
	if err != nil {
		return nil, err
	}
	args := make([]any, len(above))
	for i, id := range above {
		args[i] = id
	}
	return &bench{
		real: func() error {
			groups, err := d.db.Read.Group.Query().Where(group.IDIn(tree.IDs(deep.Path)[:8]...)).All(ctx)
			return expect(len(groups), 8, err)
		},
		floor: func() error {
			var groups []*ent.Group
			err := each(ctx, floor, func(rows *sql.Rows) error {
				g, err := scanGroup(rows)
				groups = append(groups, g)
				return err
			}, args...)
			return expect(len(groups), 8, err)
		},
		end: floor.Close,
	}, nil
}

func expect(n, wanted int, err error) error {
	if err == nil && n != wanted {
		return fmt.Errorf("%d rows, wanted %d", n, wanted)
	}
	return err
}

// marks writes $1, $2 and so on.
func marks(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(list, ", ")
}

// viewerCold loads who asks by the token of a session, against its two statements by hand.
func viewerCold(ctx context.Context, d *dataset) (*bench, error) {
	in, err := d.directory.LogIn(ctx, directory.LogIn{Account: slug, Email: scattered, Password: password, Kind: session.KindTOKEN})
	if err != nil {
		return nil, err
	}
	d.counter.Store(0)
	viewer, err := d.directory.Authenticate(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	if n := d.counter.Load(); n > 2 {
		return nil, fmt.Errorf("loading a viewer takes %d statements", n)
	}
	who, err := d.plain.PrepareContext(ctx, `SELECT u.account_id, u.id, u.home_group_id, u.status FROM sessions s
		JOIN users u ON u.id = s.user_id JOIN accounts a ON a.id = u.account_id WHERE s.token_hash = $1 AND s.expires_at > $2`)
	if err != nil {
		return nil, err
	}
	grants, err := d.plain.PrepareContext(ctx, `SELECT r.id, r.role_id, g.id, g.path, g.wall FROM role_grants r
		JOIN groups g ON g.id = r.group_id WHERE r.user_id = $1 AND r.revoked_at IS NULL`)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(in.Token))
	hash := hex.EncodeToString(sum[:])
	return &bench{
		real: func() error {
			_, err := d.directory.Authenticate(ctx, in.Token)
			return err
		},
		floor: func() error {
			var accountID, userID, homeID, n int64
			var status string
			if err := who.QueryRowContext(ctx, hash, time.Now()).Scan(&accountID, &userID, &homeID, &status); err != nil {
				return err
			}
			err := each(ctx, grants, func(rows *sql.Rows) error {
				var id, role, g int64
				var path, wall string
				n++
				return rows.Scan(&id, &role, &g, &path, &wall)
			}, userID)
			return expect(int(n), len(viewer.Grants)-1, err) // one follows the home group
		},
		end: func() error { return errors.Join(who.Close(), grants.Close()) },
	}, nil
}

// page reads a page of the inbox or of the list of contacts, against the same contacts by their numbers.
func page(email string, list func(ctx context.Context, d *dataset, after *desk.Position) (*desk.Page, error), skip int) func(ctx context.Context, d *dataset) (*bench, error) {
	return func(ctx context.Context, d *dataset) (*bench, error) {
		ctx, err := d.as(ctx, email)
		if err != nil {
			return nil, err
		}
		var after *desk.Position
		var first *desk.Page
		for range skip + 1 {
			if first != nil {
				after = &first.Entries[len(first.Entries)-1].Position
			}
			if first, err = list(ctx, d, after); err != nil {
				return nil, err
			}
		}
		ids := make([]any, len(first.Entries))
		for i, e := range first.Entries {
			ids[i] = e.Contact.ID
		}
		if len(ids) == 0 {
			return nil, fmt.Errorf("%s sees no contacts", email)
		}
		floor, err := d.plain.PrepareContext(ctx, "SELECT "+strings.Join(contact.Columns, ", ")+" FROM contacts WHERE id IN ("+marks(len(ids))+")")
		if err != nil {
			return nil, err
		}
		return &bench{
			real: func() error {
				page, err := list(ctx, d, after)
				return expect(len(page.Entries), len(ids), err)
			},
			floor: func() error {
				contacts := make([]*ent.Contact, 0, len(ids))
				err := each(ctx, floor, func(rows *sql.Rows) error {
					c, err := scanContact(rows)
					contacts = append(contacts, c)
					return err
				}, ids...)
				return expect(len(contacts), len(ids), err)
			},
			end: floor.Close,
		}, nil
	}
}

// pageSize is how many contacts a page has.
const pageSize = 50

func inbox(ctx context.Context, d *dataset, after *desk.Position) (*desk.Page, error) {
	return d.desk.Inbox(ctx, desk.Query{Box: desk.BoxTeammates, After: after, First: pageSize})
}

// underLargest is the inbox of somebody who sees everything, cut to the branch below the root that has most.
func underLargest(ctx context.Context, d *dataset, after *desk.Position) (*desk.Page, error) {
	if d.largest == 0 {
		err := d.plain.QueryRowContext(ctx, `SELECT g.id FROM groups AS g JOIN group_counters AS n ON n.group_id = g.id
			WHERE g.account_id = $1 AND g.depth = 1 ORDER BY n.contacts DESC LIMIT 1`, d.account.ID).Scan(&d.largest)
		if err != nil {
			return nil, err
		}
	}
	return d.desk.Inbox(ctx, desk.Query{Box: desk.BoxTeammates, Under: &d.largest, After: after, First: pageSize})
}

func contacts(ctx context.Context, d *dataset, after *desk.Position) (*desk.Page, error) {
	return d.desk.Contacts(ctx, desk.ContactsQuery{After: after, First: pageSize})
}

// search looks for what no contact has, against reading the name, phone number and e-mail address of all contacts by their
// numbers, in the order of the list of the account.
func search(email string) func(ctx context.Context, d *dataset) (*bench, error) {
	return func(ctx context.Context, d *dataset) (*bench, error) {
		ctx, err := d.as(ctx, email)
		if err != nil {
			return nil, err
		}
		join := "JOIN"
		if !d.postgres() {
			join = "CROSS JOIN"
		}
		floor, err := d.plain.PrepareContext(ctx, `SELECT COUNT(*) FROM (SELECT c.name_key, c.phone, c.email FROM scopes AS s `+join+` contacts AS c
			ON c.id = s.contact_id WHERE s.scope_id = $1 AND s.box BETWEEN 0 AND 5 ORDER BY s.scope_id, s.box, s.sort_key LIMIT 1000000000) AS found
			WHERE found.name_key > '' AND COALESCE(found.phone, '') || COALESCE(found.email, '') <> '?'`)
		if err != nil {
			return nil, err
		}
		return &bench{
			real: func() error {
				page, err := d.desk.Contacts(ctx, desk.ContactsQuery{Search: "zzqqy", First: pageSize})
				return expect(len(page.Entries), 0, err)
			},
			floor: func() error {
				n := 0
				err := each(ctx, floor, func(rows *sql.Rows) error { return rows.Scan(&n) }, tree.AccountScope(d.account.ID))
				return expect(n, d.contacts, err)
			},
			end: floor.Close,
		}, nil
	}
}

// counts asks how many contacts the boxes have, all at once, against asking for the boxes' totals one by one.
func counts(email string) func(ctx context.Context, d *dataset) (*bench, error) {
	return func(ctx context.Context, d *dataset) (*bench, error) {
		ctx, err := d.as(ctx, email)
		if err != nil {
			return nil, err
		}
		return &bench{
			real: func() error {
				_, err := d.desk.InboxCounts(ctx, nil)
				return err
			},
			floor: func() error {
				for _, box := range []desk.Box{desk.BoxYou, desk.BoxQueue, desk.BoxTeammates, desk.BoxClosed} {
					if _, err := d.desk.InboxCount(ctx, desk.Query{Box: box}); err != nil {
						return err
					}
				}
				return nil
			},
		}, nil
	}
}

// dashboard reads the counters of 100 children, against the same rows by number.
func dashboard(ctx context.Context, d *dataset) (*bench, error) {
	ctx, err := d.as(ctx, owner)
	if err != nil {
		return nil, err
	}
	wide, err := d.db.Read.Group.Query().Where(group.Name(wideName)).Only(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := d.db.Read.Group.Query().Where(group.AccountID(d.account.ID), group.ParentID(wide.ID)).IDs(ctx)
	if err != nil {
		return nil, err
	}
	floor, err := d.plain.PrepareContext(ctx, `SELECT group_id, children, descendants, restricted, users, contacts, open, waiting, closed
		FROM group_counters WHERE group_id IN (`+marks(len(ids))+")")
	if err != nil {
		return nil, err
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return &bench{
		real: func() error {
			counters, err := tree.CountersOf(ctx, d.db.Keyed, ids)
			return expect(len(counters), len(ids), err)
		},
		floor: func() error {
			counters := make(map[int64]tree.Counters, len(ids))
			err := each(ctx, floor, func(rows *sql.Rows) error {
				var id int64
				var n tree.Counters
				err := rows.Scan(&id, &n.Children, &n.Descendants, &n.Restricted, &n.Users, &n.Contacts, &n.Open, &n.Waiting, &n.Closed)
				counters[id] = n
				return err
			}, args...)
			return expect(len(counters), len(ids), err)
		},
		end: floor.Close,
	}, nil
}

func scanGroup(rows *sql.Rows) (*ent.Group, error) {
	g := &ent.Group{}
	return g, rows.Scan(&g.ID, &g.AccountID, &g.ParentID, &g.Name, &g.NameKey, &g.Path, &g.Depth, &g.Wall, &g.Visibility, &g.SharedInbox,
		&g.AssignmentMode, &g.Capacity, &g.RadarWindow, &g.EscalateAfter, &g.ReassignAfter, &g.CloseAfter, &g.CreatedAt)
}

func scanContact(rows *sql.Rows) (*ent.Contact, error) {
	c := &ent.Contact{}
	return c, rows.Scan(&c.ID, &c.AccountID, &c.GroupID, &c.ArrivalGroupID, &c.AssignedUserID, &c.Name, &c.NameKey, &c.Phone, &c.Email,
		&c.Channel, &c.Address, &c.Box, &c.SortKey, &c.LastActivityAt, &c.WaitingSince,
		&c.OfferedToID, &c.OfferEndsAt, new(sql.RawBytes), &c.EscalatedToID, &c.CreatedAt)
}
