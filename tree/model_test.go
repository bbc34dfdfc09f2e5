package tree_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"canopy/tree"
)

// model is the tree as one would write it without a database: nothing is kept that can be computed.
type model struct {
	groups   map[int64]*modelGroup
	users    map[int64]int64 // home group, by user
	contacts map[int64]tree.Placement
}

type modelGroup struct {
	parent     int64
	name       string
	restricted bool
}

func newModel(w *world) *model {
	return &model{
		groups:   map[int64]*modelGroup{w.root: {name: "root"}},
		users:    map[int64]int64{w.server: w.root},
		contacts: map[int64]tree.Placement{},
	}
}

// chain returns the group and those above it, the root last.
func (m *model) chain(id int64) (chain []int64) {
	for ; id != 0; id = m.groups[id].parent {
		chain = append(chain, id)
	}
	return chain
}

func (m *model) depth(id int64) int { return len(m.chain(id)) - 1 }

func (m *model) isUnder(id, above int64) bool { return slices.Contains(m.chain(id), above) }

func (m *model) path(id int64) (path string) {
	for _, above := range m.chain(id) {
		path = tree.Label(above) + path
	}
	return path
}

func (m *model) wall(id int64) string {
	for _, above := range m.chain(id) {
		if m.groups[above].restricted {
			return m.path(above)
		}
	}
	return ""
}

func (m *model) children(id int64) (children []int64) {
	for child, g := range m.groups {
		if g.parent == id {
			children = append(children, child)
		}
	}
	return children
}

// height returns how many levels there are below the group.
func (m *model) height(id int64) int {
	height := 0
	for other := range m.groups {
		if m.isUnder(other, id) {
			height = max(height, m.depth(other)-m.depth(id))
		}
	}
	return height
}

func (m *model) taken(parent int64, name string, except ...int64) bool {
	for id, g := range m.groups {
		if g.parent == parent && g.name == name && !slices.Contains(except, id) {
			return true
		}
	}
	return false
}

func (m *model) isEmpty(id int64) bool {
	for _, home := range m.users {
		if home == id {
			return false
		}
	}
	for _, p := range m.contacts {
		if p.GroupID == id {
			return false
		}
	}
	return len(m.children(id)) == 0
}

func (m *model) dissolve(id, heir int64) {
	for _, child := range m.children(id) {
		g := m.groups[child]
		g.parent = heir
		g.restricted = g.restricted || m.groups[id].restricted
	}
	for user, home := range m.users {
		if home == id {
			m.users[user] = heir
		}
	}
	for contact, p := range m.contacts {
		if p.GroupID == id {
			p.GroupID = heir
			m.contacts[contact] = p
		}
	}
	delete(m.groups, id)
}

func (m *model) counters(id int64) tree.Counters {
	n := tree.Counters{Children: int64(len(m.children(id))), Descendants: -1}
	for other, g := range m.groups {
		if !m.isUnder(other, id) {
			continue
		}
		n.Descendants++
		if g.restricted && other != id {
			n.Restricted++
		}
	}
	for _, home := range m.users {
		if m.isUnder(home, id) {
			n.Users++
		}
	}
	for _, p := range m.contacts {
		if !m.isUnder(p.GroupID, id) {
			continue
		}
		n.Contacts++
		if p.Box.State() == tree.Open {
			n.Open++
		}
		if p.Box.State() == tree.Closed {
			n.Closed++
		}
		if !p.Box.Assigned() {
			n.Waiting++
		}
	}
	return n
}

// scopes returns the scopes of a contact in the group.
func (m *model) scopes(account, group int64) []int64 {
	scopes := []int64{-account}
	for _, id := range m.chain(group) {
		scopes = append(scopes, id)
		if m.groups[id].restricted {
			break
		}
	}
	return scopes
}

// stored returns what a database should keep.
func (m *model) stored(account int64) stored {
	s := stored{groups: map[int64]string{}, counters: map[int64]tree.Counters{}, contacts: map[int64]string{}}
	for id, g := range m.groups {
		visibility := "INHERITED"
		if g.restricted {
			visibility = "RESTRICTED"
		}
		s.groups[id] = fmt.Sprint(g.parent, m.path(id), int64(m.depth(id)), m.wall(id), visibility)
		s.counters[id] = m.counters(id)
	}
	for id, p := range m.contacts {
		s.contacts[id] = fmt.Sprint(p.GroupID, int64(p.Box), p.SortKey)
		for _, scope := range m.scopes(account, p.GroupID) {
			s.scopes = append(s.scopes, fmt.Sprint(scope, int64(p.Box), p.SortKey, id))
		}
	}
	sort.Strings(s.scopes)
	return s
}

// difference describes the first things in which what is stored is not what should be.
func (s stored) difference(want stored) string {
	var lines []string
	compare := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			lines = append(lines, fmt.Sprintf("%s:\n  got  %v\n  want %v", what, got, want))
		}
	}
	compare("groups", s.groups, want.groups)
	compare("contacts", s.contacts, want.contacts)
	compare("counters", s.counters, want.counters)
	compare("scopes", s.scopes, want.scopes)
	return strings.Join(lines, "\n")
}

func keys[V any](m map[int64]V) []int64 {
	ids := make([]int64, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
