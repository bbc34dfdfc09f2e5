package directory

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sort"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/store"
	"canopy/tree"
)

// AccessPreview is what a change would do to everybody's access, as far as the viewer sees the users and the groups.
type AccessPreview struct {
	// Token makes the change itself be refused when it would do anything else.
	Token string
	// UsersGaining and UsersLosing are how many users gain and lose anything.
	UsersGaining, UsersLosing int

	accountID      int64
	countsContacts bool
	board          *board
	classes        []*class
	rows           []row
	own            map[int64][]ownContacts // by user, of those for whom it matters
}

// row is an entry of one user.
type row struct {
	user  int64
	class *class
	entry int
}

// ownContacts are contacts in a cell that are assigned to the user.
type ownContacts struct {
	cell int
	tally
}

// Direction is what happens to a permission.
type Direction string

// The directions.
const (
	Gained Direction = "GAINED"
	Lost   Direction = "LOST"
)

func (e entry) direction() Direction {
	if e.gained {
		return Gained
	}
	return Lost
}

// PermissionChange is what a permission is gained or lost over by all users together.
type PermissionChange struct {
	Permission authz.Permission
	Direction  Direction
	Holders    int  // users who gain or lose it
	Groups     int  // groups at which anybody does
	Users      *int // users over whom anybody does; nil when the permission is not about users
	// Contacts are those over which anybody does, and Conversations how many of them are open; nil when the permission
	// is not about contacts or the viewer may not know totals.
	Contacts, Conversations *int
}

// AccessChange is what one user gains or loses of one permission. The numbers are those of PermissionChange.
type AccessChange struct {
	Number                  int // among those of the preview, from 0
	UserID                  int64
	Permission              authz.Permission
	Direction               Direction
	Account                 bool    // on the account itself, and so over all that is and comes to be in it
	Assigned                bool    // over whatever is assigned to the user, wherever it is
	Groups                  int     // at how many groups
	Tops                    []int64 // where, seen from above, that begins: at the group or below it; maxTops at most
	Users                   *int
	Contacts, Conversations *int
}

// sort puts the entries into the order in which they are listed: by user, then by the chart, what is gained first.
func (p *AccessPreview) sort() {
	gaining, losing := map[int64]bool{}, map[int64]bool{}
	for _, c := range p.classes {
		for _, id := range c.users {
			for i, e := range c.entries {
				p.rows = append(p.rows, row{id, c, i})
				if e.gained {
					gaining[id] = true
				} else {
					losing[id] = true
				}
			}
		}
	}
	slices.SortFunc(p.rows, func(x, y row) int { return cmp.Or(cmp.Compare(x.user, y.user), cmp.Compare(x.entry, y.entry)) })
	p.UsersGaining, p.UsersLosing = len(gaining), len(losing)
}

// digest spells all that is shown but for contacts, in the order of the users.
func (p *AccessPreview) digest() []byte {
	var spelled []byte
	digests := map[*class][]byte{}
	for _, r := range p.rows {
		if r.entry > 0 {
			continue
		}
		if digests[r.class] == nil {
			digests[r.class] = r.class.digest(p.board)
		}
		spelled = append(binary.AppendVarint(spelled, r.user), digests[r.class]...)
	}
	return spelled
}

// countContacts counts the contacts that the preview speaks of. They are counted after it, as they are by then: reading
// them takes longer than a writer should keep others waiting.
func (s *Service) countContacts(ctx context.Context, p *AccessPreview) error {
	if !p.countsContacts {
		return nil
	}
	wide, alone, users := p.counted()
	if err := p.countBelow(ctx, s.DB.Read, wide); err != nil {
		return fmt.Errorf("directory: counting contacts for a preview: %w", err)
	}
	if err := p.countIn(ctx, s.DB.Read, alone); err != nil {
		return fmt.Errorf("directory: counting contacts for a preview: %w", err)
	}
	if err := p.countOwn(ctx, s.DB.Read, users); err != nil {
		return fmt.Errorf("directory: counting assigned contacts for a preview: %w", err)
	}
	for _, c := range p.classes {
		for i := range c.entries {
			c.entries[i].contacts = c.contacts(p.board, c.entries[i])
		}
	}
	return nil
}

// counted says what has to be counted: the path under which whole stretches of groups change, if there are any; else
// the groups that change as such; and the users whose own contacts are to be told from the others.
func (p *AccessPreview) counted() (wide *string, alone, users []int64) {
	about := p.board.overContacts
	var paths []string
	groups := map[int64]bool{}
	for _, c := range p.classes {
		own := c.assigned.any() != 0
		for _, at := range c.cells {
			where := &p.board.cells[at.cell]
			if at.any().any()&about == 0 || !where.totals {
				continue
			}
			own = own || at.all.any()&about != 0
			if at.cell%2 == 0 {
				groups[where.before.GroupID] = true
			} else {
				paths = append(paths, where.before.Path)
			}
		}
		if own {
			users = append(users, c.users...)
		}
	}
	if len(paths) > 0 {
		common := commonPath(paths)
		wide = &common
	}
	return wide, slices.Sorted(maps.Keys(groups)), users
}

// countBelow counts all contacts under the path into their cells.
func (p *AccessPreview) countBelow(ctx context.Context, q store.Querier, under *string) error {
	if under == nil {
		return nil
	}
	from, to := tree.Range(*under)
	return store.EachRow(ctx, q, `SELECT g.path, c.box, COUNT(*) FROM groups AS g CROSS JOIN contacts AS c
		WHERE c.group_id = g.id AND g.account_id = $1 AND g.path >= $2 AND g.path < $3 GROUP BY g.path, c.box`,
		[]any{p.accountID, from, to}, func(rows *sql.Rows) error {
			var path string
			var box tree.Box
			var n int
			if err := rows.Scan(&path, &box, &n); err != nil {
				return err
			}
			p.board.put(p.board.at(path), box, n)
			return nil
		})
}

// countIn counts the contacts of single groups, unless they are counted already.
func (p *AccessPreview) countIn(ctx context.Context, q *ent.Client, groups []int64) error {
	groups = slices.DeleteFunc(groups, func(id int64) bool { return p.board.cells[2*p.board.number[id]].contacts != served{} })
	for part := range slices.Chunk(groups, valuesAtOnce) {
		var rows []struct {
			GroupID int64    `json:"group_id"`
			Box     tree.Box `json:"box"`
			Count   int      `json:"count"`
		}
		err := q.Contact.Query().Where(contact.GroupIDIn(part...)).GroupBy(contact.FieldGroupID, contact.FieldBox).
			Aggregate(ent.Count()).Scan(authz.Trusted(ctx), &rows)
		if err != nil {
			return err
		}
		for _, r := range rows {
			p.board.put(2*p.board.number[r.GroupID], r.Box, r.Count)
		}
	}
	return nil
}

// countOwn counts what is assigned to the users.
func (p *AccessPreview) countOwn(ctx context.Context, q store.Querier, users []int64) error {
	p.own = map[int64][]ownContacts{}
	for part := range slices.Chunk(users, valuesAtOnce) {
		list, args := "", []any{p.accountID}
		for i, id := range part {
			list += fmt.Sprintf(", $%d", i+2)
			args = append(args, id)
		}
		err := store.EachRow(ctx, q, `SELECT c.assigned_user_id, g.path, COUNT(*), SUM(CASE WHEN c.box / 2 = 1 THEN 1 ELSE 0 END)
			FROM contacts c JOIN groups g ON g.id = c.group_id
			WHERE g.account_id = $1 AND c.assigned_user_id IN (`+list[2:]+`) GROUP BY c.assigned_user_id, g.path`, args, func(rows *sql.Rows) error {
			var id int64
			var path string
			var n tally
			err := rows.Scan(&id, &path, &n.contacts, &n.open)
			if at := p.board.at(path); at >= 0 && p.board.cells[at].totals {
				p.own[id] = append(p.own[id], ownContacts{at, n})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put adds contacts to a cell.
func (b *board) put(at int, box tree.Box, n int) {
	if at < 0 {
		return
	}
	counted := tally{contacts: n}
	if box.State() == tree.Open {
		counted.open = n
	}
	where := &b.cells[at].contacts
	if box.Assigned() {
		where.assigned = where.assigned.add(counted, 1)
	} else {
		where.waiting = where.waiting.add(counted, 1)
	}
}

// contacts are those over which the entry's permission changes for the class, as if nothing were assigned to its users.
func (c *class) contacts(b *board, e entry) (sum tally) {
	for _, at := range c.cells {
		if where := &b.cells[at.cell]; where.totals {
			sum = sum.add(where.contacts.of(e.of(at.waiting), e.of(at.all)), 1)
		}
	}
	return sum
}

func (s served) of(waiting, assigned bool) (sum tally) {
	if waiting {
		sum = sum.add(s.waiting, 1)
	}
	if assigned {
		sum = sum.add(s.assigned, 1)
	}
	return sum
}

// somebodyElse stands for whoever a contact is assigned to and is not the user who is judged.
const somebodyElse = -1

// overOthers and overOwn say whether the entry holds at contacts in the cell that are assigned to others, and to the
// user.
func (c *class) overOthers(e entry, where *cell) bool { return c.overAssigned(e, where, somebodyElse) }
func (c *class) overOwn(e entry, where *cell) bool    { return c.overAssigned(e, where, c.before.UserID) }

func (c *class) overAssigned(e entry, where *cell, to int64) bool {
	was, is := c.before.Can(e.permission, authz.AtContact(where.before, to)), c.after.Can(e.permission, authz.AtContact(where.after, to))
	return was != is && is == e.gained
}

// Len is how many changes there are.
func (p *AccessPreview) Len() int { return len(p.rows) }

// Behind returns the number of the first change that comes after such a one, whether or not there is such a one.
func (p *AccessPreview) Behind(userID int64, permission authz.Permission, direction Direction) int {
	return sort.Search(len(p.rows), func(i int) bool {
		r := p.rows[i]
		e := r.class.entries[r.entry]
		order := cmp.Or(cmp.Compare(r.user, userID), cmp.Compare(e.permission, permission), cmp.Compare(e.direction(), direction))
		return order > 0
	})
}

// Change returns one of them, in the order of the users' numbers, then of the chart, what is gained first.
func (p *AccessPreview) Change(i int) AccessChange {
	r := p.rows[i]
	e := r.class.entries[r.entry]
	a := AccessChange{Number: i, UserID: r.user, Permission: e.permission, Direction: e.direction(), Account: e.account, Assigned: e.assigned,
		Groups: e.groups, Tops: e.tops}
	if p.board.overUsers.Has(e.permission) {
		a.Users = &e.users
	}
	if p.tellsContacts(e.permission) {
		sum := e.contacts
		for _, own := range p.own[r.user] {
			where := &p.board.cells[own.cell]
			if r.class.overOthers(e, where) {
				sum = sum.add(own.tally, -1)
			}
			if r.class.overOwn(e, where) {
				sum = sum.add(own.tally, +1)
			}
		}
		a.Contacts, a.Conversations = &sum.contacts, &sum.open
	}
	return a
}

func (p *AccessPreview) tellsContacts(permission authz.Permission) bool {
	return p.countsContacts && p.board.overContacts.Has(permission)
}

// union is what any user at all gains or loses at a cell: over everything by one user, and by more than one.
type union struct{ any, waiting, once, twice change }

func (c change) and(o change) change  { return change{c.gained & o.gained, c.lost & o.lost} }
func (c change) with(o change) change { return change{c.gained | o.gained, c.lost | o.lost} }

// Summary adds up the changes by permission, in the order of the chart, what is gained first. What several users gain or
// lose counts once.
func (p *AccessPreview) Summary() []PermissionChange {
	unions := make([]union, len(p.board.cells))
	for _, c := range p.classes {
		for _, at := range c.cells {
			u := &unions[at.cell]
			u.twice = u.twice.with(u.once.and(at.all))
			if len(c.users) > 1 {
				u.twice = u.twice.with(at.all)
			}
			u.once = u.once.with(at.all)
			u.waiting = u.waiting.with(at.waiting)
			u.any = u.any.with(at.any())
		}
	}
	holders := map[entryKey]int{}
	for _, c := range p.classes {
		for _, e := range c.entries {
			holders[e.key()] += len(c.users)
		}
	}
	var list []PermissionChange
	for _, permission := range authz.Permissions() {
		for _, gained := range []bool{true, false} {
			e := entry{permission: permission, gained: gained}
			if n := holders[e.key()]; n > 0 {
				list = append(list, p.total(e, n, unions))
			}
		}
	}
	return list
}

type entryKey struct {
	permission authz.Permission
	gained     bool
}

func (e entry) key() entryKey { return entryKey{e.permission, e.gained} }

func (p *AccessPreview) total(e entry, holders int, unions []union) PermissionChange {
	t := PermissionChange{Permission: e.permission, Direction: e.direction(), Holders: holders}
	var users int
	var contacts tally
	for i := range unions {
		where, u := &p.board.cells[i], &unions[i]
		if where.shown && e.of(u.any) {
			t.Groups += where.groups
		}
		if where.people && e.of(u.once) {
			users += where.users
		}
		if where.totals {
			contacts = contacts.add(where.contacts.of(e.of(u.waiting), e.of(u.once)), 1)
		}
	}
	for _, c := range p.classes {
		if p.board.cells[c.home].people {
			users += len(c.users) * e.correction(&unions[c.home], c.changesAt(c.home, e), e.of(c.own))
		}
		for _, id := range c.users {
			for _, own := range p.own[id] {
				where := &p.board.cells[own.cell]
				contacts = contacts.add(own.tally, e.correction(&unions[own.cell], c.overOthers(e, where), c.overOwn(e, where)))
			}
		}
	}
	if p.board.overUsers.Has(e.permission) {
		t.Users = &users
	}
	if p.tellsContacts(e.permission) {
		t.Contacts, t.Conversations = &contacts.contacts, &contacts.open
	}
	return t
}

// changesAt says whether the entry holds over everything at the cell.
func (c *class) changesAt(cell int, e entry) bool {
	return slices.ContainsFunc(c.cells, func(at cellChange) bool { return at.cell == cell && e.of(at.all) })
}

// correction is how often what is a user's own has to be added: it is counted once where anybody gains or loses over
// everything, and that may be nobody but the user, to whom what is their own may be another matter.
func (e entry) correction(u *union, overOthers, overOwn bool) int {
	switch {
	case e.of(u.twice):
		return 0
	case e.of(u.once) && overOthers && !overOwn:
		return -1
	case !e.of(u.once) && overOwn:
		return +1
	}
	return 0
}
