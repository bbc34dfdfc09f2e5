package directory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"

	"canopy/authz"
	"canopy/ent/rule"
	"canopy/tree"
)

// The comparison takes apart what would be users × groups. Users with the same grants at the same places are one class.
// Groups where something is special (a grant stands there, a queue is there, a wall, the borders of what the viewer
// sees) are nodes; all others are alike below the same nearest node. So there are two cells for each node: the group
// itself, and the rest of what is below it up to the next nodes. What a class holds at a cell it holds at each of its
// groups.

// cell is a number of groups at each of which everybody holds the same, before the change and after it.
type cell struct {
	before, after authz.Place
	groups, users int
	contacts      served // counted later, by countContacts

	shown  bool // whether the viewer sees the groups
	people bool // whether they see the users there
	totals bool // whether they may know how many contacts are there
}

// served are numbers of contacts: those that wait and those that are assigned to somebody.
type served struct{ waiting, assigned tally }

// tally are numbers of contacts and of those of them that have an open conversation.
type tally struct{ contacts, open int }

func (t tally) add(o tally, times int) tally {
	return tally{t.contacts + times*o.contacts, t.open + times*o.open}
}

// node is a group that is compared by itself. Its cells are 2i for itself and 2i+1 for the rest below it.
type node struct {
	id     int64
	outer  int   // the nearest node above it, after the change; -1 for the root
	inside []int // the nodes whose outer it is
}

// board is all cells, with ways to find them.
type board struct {
	nodes    []node // in the order of the paths after the change
	number   map[int64]int
	cells    []cell // two for each node, then the one of the mover, if there is one
	mover    int    // the cell of the mover as somebody over whom others hold permissions; -1: there is none
	byBefore []int  // the nodes in the order of the paths before the change
	byAfter  []int  // and after it

	// The permissions that mean something over users and over contacts, and those on the account itself, by which no
	// group is reached.
	overUsers, overContacts, accountOnly authz.Set
	around                               []change // see borders
}

// elsewhere is the number of no group: the place of a rest is below its node and nowhere in particular.
const elsewhere = -1

func rest(p authz.Place) authz.Place {
	p.GroupID = elsewhere
	return p
}

func (f *foresight) board() *board {
	b := &board{number: map[int64]int{}, mover: -1}
	for _, p := range authz.Permissions() {
		definition := p.Definition()
		if definition.AccountOnly {
			b.accountOnly |= authz.SetOf(p)
		}
		if definition.Module == authz.ModuleService || definition.Module == authz.ModuleContacts {
			b.overContacts |= authz.SetOf(p)
		}
	}
	b.overUsers = overUsers() &^ b.accountOnly
	for id, g := range f.after.groups {
		if g != nil && f.before.groups[id] != nil {
			b.nodes = append(b.nodes, node{id: id, outer: -1})
		}
	}
	slices.SortFunc(b.nodes, func(x, y node) int { return strings.Compare(f.after.groups[x.id].Path, f.after.groups[y.id].Path) })
	for i := range b.nodes {
		id := b.nodes[i].id
		b.number[id] = i
		before, after := rule.PlaceOf(f.before.groups[id]), rule.PlaceOf(f.after.groups[id])
		b.cells = append(b.cells, cell{before: before, after: after, groups: 1}, cell{before: rest(before), after: rest(after)})
		b.byBefore, b.byAfter = append(b.byBefore, i), append(b.byAfter, i)
		above := tree.IDs(after.Path)
		for k := len(above) - 2; k >= 0; k-- {
			if outer, isNode := b.number[above[k]]; isNode {
				b.nodes[i].outer, b.nodes[outer].inside = outer, append(b.nodes[outer].inside, i)
				break
			}
		}
	}
	slices.SortFunc(b.byBefore, func(x, y int) int { return strings.Compare(b.cells[2*x].before.Path, b.cells[2*y].before.Path) })
	if m := f.audience.mover; m != nil {
		b.mover = len(b.cells)
		b.cells = append(b.cells, cell{before: m.from, after: m.to, users: 1})
	}
	for i := range b.cells {
		c := &b.cells[i]
		sees := f.asker.Holding(c.before).All
		c.people = sees.Has(authz.UsersView)
		if i != b.mover {
			c.shown = sees.Has(authz.GroupsView) || c.before.GroupID == f.asker.Home.GroupID
			c.totals = c.shown && sees.Has(authz.DashboardsView)
		}
	}
	b.count(f)
	b.around = make([]change, len(b.cells))
	return b
}

// count fills in how many groups and users are in each cell. The mover is in one of their own.
func (b *board) count(f *foresight) {
	for i, n := range b.nodes {
		self, below := &b.cells[2*i], &b.cells[2*i+1]
		counters := f.counters[n.id]
		self.users = f.residents[n.id]
		below.groups, below.users = int(counters.Descendants), int(counters.Users)-self.users
		for _, k := range n.inside {
			inner := f.counters[b.nodes[k].id]
			below.groups -= 1 + int(inner.Descendants)
			below.users -= int(inner.Users)
		}
		if m := f.audience.mover; m != nil && n.id == m.to.GroupID {
			self.users--
		}
	}
}

// at returns the cell of the group with that path.
func (b *board) at(path string) int {
	ids := tree.IDs(path)
	for k := len(ids) - 1; k >= 0; k-- {
		if i, isNode := b.number[ids[k]]; isNode {
			if k == len(ids)-1 {
				return 2 * i
			}
			return 2*i + 1
		}
	}
	return -1
}

// class are users who hold the same at every group.
type class struct {
	users         []int64
	before, after *authz.Viewer // of one of them
	cells         []cellChange
	account       change // on the account itself
	assigned      change // over what is assigned to them, wherever it is
	own           change // over their own records
	home          int    // the cell of those records
	entries       []entry
	borders       []border
}

// change is what is gained and what is lost.
type change struct{ gained, lost authz.Set }

func (c change) any() authz.Set { return c.gained | c.lost }

// cellChange is what a class gains and loses at the groups of a cell: over everything there, and over what waits there.
type cellChange struct {
	cell         int
	all, waiting change
}

func (c cellChange) any() change { return c.all.with(c.waiting) }

// entry is what the users of a class gain or lose of one permission.
type entry struct {
	permission    authz.Permission
	gained        bool
	account       bool
	assigned      bool
	groups, users int
	tops          []int64 // where, seen from above, it begins: at the group or below it
	contacts      tally
}

func (e entry) of(c change) bool {
	if e.gained {
		return c.gained.Has(e.permission)
	}
	return c.lost.Has(e.permission)
}

// compare judges every class at every cell that can differ, and keeps what the viewer may be told.
func (f *foresight) compare(ctx context.Context, p proposal) (*AccessPreview, error) {
	b := f.board()
	classes, err := f.classes(b)
	if err != nil {
		return nil, err
	}
	shown := &AccessPreview{board: b, countsContacts: f.asker.Permissions().Has(authz.DashboardsView), accountID: f.asker.AccountID}
	seen := make([]int, len(b.cells))
	judged := 0
	for i, c := range classes {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("directory: comparing a preview: %w", err)
		}
		if c.users = slices.DeleteFunc(c.users, func(id int64) bool { return !f.tells(id) }); len(c.users) == 0 {
			continue
		}
		at := b.candidates(c, seen, i+1)
		if judged += len(at); judged > maxForeseenAnswers {
			return nil, tooBigToForesee()
		}
		for _, cell := range at {
			c.compareAt(cell, b)
		}
		c.compareApart(b)
		if c.enter(b); len(c.entries) > 0 {
			shown.classes = append(shown.classes, c)
		}
	}
	shown.sort()
	shown.Token, err = f.tokenOf(p, shown)
	return shown, err
}

// tells says whether the viewer sees the user, as they stand before the change.
func (f *foresight) tells(id int64) bool {
	home := rule.PlaceOf(f.before.groups[f.before.users[id].HomeGroupID])
	return id == f.asker.UserID || f.asker.Can(authz.UsersView, authz.AtUser(home, id))
}

// classes puts those together who hold the same roles at the same places, before the change and after it.
func (f *foresight) classes(b *board) ([]*class, error) {
	byKey := map[string]*class{}
	var classes []*class
	for _, id := range f.everybody() {
		key := f.before.key(id) + "|" + f.after.key(id)
		if m := f.audience.mover; m != nil && m.id == id {
			key = "mover"
		}
		c := byKey[key]
		if c == nil {
			c = &class{home: b.at(f.after.groups[f.after.users[id].HomeGroupID].Path)}
			if key == "mover" {
				c.home = b.mover
			}
			var err error
			if c.before, err = f.before.viewer(id); err != nil {
				return nil, err
			}
			if c.after, err = f.after.viewer(id); err != nil {
				return nil, err
			}
			byKey[key] = c
			classes = append(classes, c)
		}
		c.users = append(c.users, id)
	}
	return classes, nil
}

// key tells apart who holds what where. The home group counts only for who holds something over their own record.
func (st *standing) key(userID int64) string {
	var held []string
	for _, g := range st.grants[userID] {
		r := st.roles[g.RoleID]
		held = append(held, fmt.Sprint(r.ID, "@", st.place(g)))
		if st.pairs(r)[authz.ScopeSelf] != 0 {
			held = append(held, fmt.Sprint("home ", st.users[userID].HomeGroupID))
		}
	}
	slices.Sort(held)
	return strings.Join(slices.Compact(held), ",")
}

// candidates lists the cells at which the class can hold something else after the change: all of them when it holds
// something else on the account, otherwise those that a grant reaches; and only those that have moved when it holds the
// same grants at the same places.
func (b *board) candidates(c *class, seen []int, mark int) (list []int) {
	take := func(at int) {
		if seen[at] != mark {
			seen[at] = mark
			list = append(list, at)
		}
	}
	still := c.before.Same(c.after)
	if b.mover >= 0 {
		take(b.mover)
		if still {
			return list
		}
	}
	if onAccount(c.before) != onAccount(c.after) {
		for at := range b.cells {
			take(at)
		}
		return list
	}
	span := func(order []int, path func(i int) string, under string) {
		from, to := tree.Range(under)
		for k := sort.Search(len(order), func(k int) bool { return path(order[k]) >= from }); k < len(order) && path(order[k]) < to; k++ {
			if i := order[k]; !still || b.cells[2*i].before != b.cells[2*i].after {
				take(2 * i)
				take(2*i + 1)
			}
		}
	}
	for _, v := range []*authz.Viewer{c.before, c.after} {
		for _, g := range v.Grants {
			for _, id := range append(g.Queues, g.Place.GroupID) {
				take(2 * b.number[id])
			}
			if g.Pairs[authz.ScopeSubtree] != 0 {
				span(b.byBefore, func(i int) string { return b.cells[2*i].before.Path }, g.Place.Path)
				span(b.byAfter, func(i int) string { return b.cells[2*i].after.Path }, g.Place.Path)
			}
		}
	}
	return list
}

// onAccount is what the viewer holds on the whole account.
func onAccount(v *authz.Viewer) (set authz.Set) {
	for i := range v.Grants {
		set |= v.Grants[i].Pairs[authz.ScopeAccount]
	}
	return set
}

// compareAt judges the class at one cell.
func (c *class) compareAt(at int, b *board) {
	where := &b.cells[at]
	was, is := c.before.Holding(where.before), c.after.Holding(where.after)
	d := cellChange{cell: at, all: difference(was.All, is.All, b.accountOnly), waiting: difference(was.Waiting, is.Waiting, b.accountOnly)}
	if d.any().any() != 0 {
		c.cells = append(c.cells, d)
	}
}

func difference(was, is, without authz.Set) change {
	return change{is &^ was &^ without, was &^ is &^ without}
}

// compareApart judges what is bound to no group: the account, what is assigned to the users, their own records.
func (c *class) compareApart(b *board) {
	user := c.before.UserID
	home := b.cells[c.home]
	for p := range (c.before.Permissions() | c.after.Permissions()).All() {
		note := func(to *change, was, is authz.Target) {
			switch before, after := c.before.Can(p, was), c.after.Can(p, is); {
			case after && !before:
				to.gained |= authz.SetOf(p)
			case before && !after:
				to.lost |= authz.SetOf(p)
			}
		}
		note(&c.account, authz.Target{}, authz.Target{})
		assigned := authz.Target{Contact: true, Assignee: user}
		note(&c.assigned, assigned, assigned)
		note(&c.own, authz.AtUser(home.before, user), authz.AtUser(home.after, user))
	}
	c.assigned.gained &= b.overContacts
	c.assigned.lost &= b.overContacts
	c.own.gained &= b.overUsers
	c.own.lost &= b.overUsers
}

// enter works out the entries of the class: what of its changes the viewer may be told.
func (c *class) enter(b *board) {
	changed := c.account.any() | c.assigned.any() | c.own.any()
	for _, at := range c.cells {
		changed |= at.any().any()
	}
	for p := range changed.All() {
		for _, gained := range []bool{true, false} {
			e := entry{permission: p, gained: gained}
			e.account, e.assigned = e.of(c.account), e.of(c.assigned)
			ownCounted := false
			for _, at := range c.cells {
				where := &b.cells[at.cell]
				if where.shown && e.of(at.any()) {
					e.groups += where.groups
				}
				if where.people && b.overUsers.Has(p) && e.of(at.all) {
					e.users += where.users
					ownCounted = ownCounted || at.cell == c.home
				}
			}
			if own := e.of(c.own); b.cells[c.home].people && own && !ownCounted {
				e.users++
			} else if b.cells[c.home].people && !own && ownCounted {
				e.users--
			}
			if e.account || e.assigned || e.groups > 0 || e.users > 0 {
				c.entries = append(c.entries, e)
			}
		}
	}
	if len(c.entries) == 0 {
		return
	}
	c.borders = c.bordersOn(b)
	for i := range c.entries {
		c.entries[i].tops = c.entries[i].highest(b, c.borders)
	}
}

// border is a node at which something changes otherwise than around it, with what changes around it, at the group and
// below it, as far as it is shown. The borders say of all groups what changes there, whatever else is a node.
type border struct {
	node               int
	outside, at, below change
}

func (c *class) bordersOn(b *board) []border {
	changes := b.around // what changes at each cell; all zero but for these moments
	var touched []int
	for _, at := range c.cells {
		if at.cell == b.mover || !b.cells[at.cell].shown {
			continue
		}
		changes[at.cell] = at.any()
		touched = append(touched, at.cell/2)
		if at.cell%2 == 1 {
			touched = append(touched, b.nodes[at.cell/2].inside...)
		}
	}
	slices.Sort(touched)
	var list []border
	for _, i := range slices.Compact(touched) {
		n := border{node: i, at: changes[2*i], below: changes[2*i+1]}
		if outer := b.nodes[i].outer; outer >= 0 {
			n.outside = changes[2*outer+1]
		}
		if n.at != n.outside || n.below != n.outside {
			list = append(list, n)
		}
	}
	for _, at := range c.cells {
		changes[at.cell] = change{}
	}
	return list
}

// maxTops is how many groups an entry names.
const maxTops = 20

// highest lists the groups that are entered from outside, in the order of the tree.
func (e entry) highest(b *board, borders []border) (tops []int64) {
	for _, n := range borders {
		if !e.of(n.outside) && (e.of(n.at) || e.of(n.below)) && len(tops) < maxTops {
			tops = append(tops, b.nodes[n.node].id)
		}
	}
	return tops
}

// digest spells what a class is shown, the users left out.
func (c *class) digest(b *board) []byte {
	var spelled []byte
	number := func(n int64) { spelled = binary.AppendVarint(spelled, n) }
	for _, e := range c.entries {
		spelled = fmt.Appendf(spelled, "%s %t %t %t %d %d\n", e.permission, e.gained, e.account, e.assigned, e.groups, e.users)
	}
	borders := slices.Clone(c.borders)
	slices.SortFunc(borders, func(x, y border) int { return cmp.Compare(b.nodes[x.node].id, b.nodes[y.node].id) })
	for _, n := range borders {
		number(b.nodes[n.node].id)
		for _, set := range []authz.Set{n.at.gained, n.at.lost, n.below.gained, n.below.lost} {
			number(int64(set))
		}
	}
	sum := sha256.Sum256(spelled)
	return sum[:]
}
