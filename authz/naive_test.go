package authz_test

import (
	"fmt"
	"slices"
	"testing"

	"canopy/authz"

	"pgregory.net/rapid"
)

// A second evaluator, written from the words of the domain alone: it walks parents, compares names and knows neither
// paths nor masks.

type naiveGroup struct {
	id         int64
	parent     *naiveGroup
	restricted bool
	shared     *bool
	mode       string // empty: inherited
	place      authz.Place
}

type naiveGrant struct {
	pairs []authz.Pair
	group *naiveGroup
}

type naiveTarget struct {
	group             *naiveGroup // nil: the account itself
	contact           bool
	assignee, offered int64
	escalated         bool // to the parent of its group
	subject           int64
}

type world struct {
	groups []*naiveGroup // the root first
	home   *naiveGroup
	grants []naiveGrant
}

func (g *naiveGroup) sharedInbox() bool {
	for at := g; at != nil; at = at.parent {
		if at.shared != nil {
			return *at.shared
		}
	}
	return false // the default
}

func (g *naiveGroup) manual() bool {
	for at := g; at != nil; at = at.parent {
		if at.mode != "" {
			return at.mode == "MANUAL"
		}
	}
	return false // the default is ROUND_ROBIN
}

// isIn says whether the group is the other one or below it, and whether a RESTRICTED edge was crossed on the way up.
func (g *naiveGroup) isIn(top *naiveGroup) (inside, walled bool) {
	for at := g; at != nil; at = at.parent {
		if at == top {
			return true, walled
		}
		walled = walled || at.restricted
	}
	return false, false
}

// may is section 3 with rulings 2, 3 and 20.
func (w *world) may(p authz.Permission, t naiveTarget) bool {
	isQueue := p.String() == "QUEUE_VIEW" || p.String() == "QUEUE_CLAIM"
	if isQueue && t.contact && t.assignee != 0 {
		return false
	}
	for _, grant := range w.grants {
		for _, pair := range grant.pairs {
			if pair.Permission != p {
				continue
			}
			scope := pair.Scope.String()
			if w.reaches(grant, scope, isQueue || p.String() == "CONVERSATIONS_VIEW" || p.String() == "CONVERSATIONS_REPLY", t) {
				return true
			}
			if isQueue && t.escalated && scope != "SUBTREE" && w.reaches(grant, scope, false, naiveTarget{group: t.group.parent, contact: true}) {
				return true
			}
		}
	}
	return false
}

func (w *world) reaches(grant naiveGrant, scope string, offersCount bool, t naiveTarget) bool {
	mine := t.contact && (t.assignee == viewerID)
	offered := t.contact && t.offered == viewerID && offersCount
	switch scope {
	case "ACCOUNT":
		return true
	case "SUBTREE":
		inside, walled := t.group.isIn(grant.group)
		return inside && !walled
	case "GROUP":
		return t.group == grant.group
	case "TEAM":
		return mine || offered || t.group == grant.group && grant.group.sharedInbox()
	case "QUEUE":
		if offered {
			return true
		}
		above, _ := grant.group.isIn(t.group)
		return t.contact && t.assignee == 0 && t.group != nil && above && t.group.manual()
	case "ASSIGNED":
		return mine || offered
	case "SELF":
		return t.subject == viewerID
	}
	panic(scope)
}

// place is where the group stands, as the loader would find it.
func (w *world) place(g *naiveGroup) authz.Place {
	if g == nil {
		return authz.Place{}
	}
	return g.place
}

// settle writes down where the group stands below its parent.
func (g *naiveGroup) settle() {
	g.place = authz.Place{GroupID: g.id, Path: fmt.Sprintf("%06d", g.id)}
	if g.parent != nil {
		g.place.Path, g.place.Wall = g.parent.place.Path+g.place.Path, g.parent.place.Wall
	}
	if g.restricted {
		g.place.Wall = g.place.Path
	}
}

func (w *world) authz(t naiveTarget) authz.Target {
	target := authz.Target{Place: w.place(t.group), Contact: t.contact, Assignee: t.assignee, Offered: t.offered, Subject: t.subject}
	if t.escalated {
		target.Escalated = t.group.parent.id
	}
	return target
}

func (w *world) viewer() *authz.Viewer {
	v := &authz.Viewer{AccountID: 1, UserID: viewerID, Home: w.place(w.home)}
	for _, grant := range w.grants {
		g := authz.Grant{Place: w.place(grant.group), Pairs: authz.PairsOf(grant.pairs), SharedInbox: grant.group.sharedInbox()}
		for at := grant.group; at != nil; at = at.parent {
			if at.manual() {
				g.Queues = append(g.Queues, at.id)
			}
		}
		v.Grants = append(v.Grants, g)
	}
	return v
}

// targets are all kinds of targets at all groups.
func (w *world) targets() []naiveTarget {
	list := []naiveTarget{{}}
	for _, g := range w.groups {
		list = append(list, naiveTarget{group: g},
			naiveTarget{group: g, subject: viewerID}, naiveTarget{group: g, subject: otherID},
			naiveTarget{group: g, contact: true}, naiveTarget{group: g, contact: true, offered: viewerID},
			naiveTarget{group: g, contact: true, offered: otherID},
			naiveTarget{group: g, contact: true, assignee: viewerID}, naiveTarget{group: g, contact: true, assignee: otherID})
		if g.parent != nil {
			list = append(list, naiveTarget{group: g, contact: true, escalated: true})
		}
	}
	return list
}

func drawWorld(t *rapid.T) *world {
	w := &world{}
	for i := range rapid.IntRange(1, 10).Draw(t, "groups") {
		g := &naiveGroup{id: int64(i + 1), restricted: rapid.IntRange(0, 4).Draw(t, "restricted") == 0,
			mode: rapid.SampledFrom([]string{"", "", "MANUAL", "ROUND_ROBIN", "RADAR"}).Draw(t, "mode"), shared: drawSetting(t)}
		if i > 0 {
			g.parent = w.groups[rapid.IntRange(max(0, i-3), i-1).Draw(t, "parent")]
		}
		g.settle()
		w.groups = append(w.groups, g)
	}
	w.home = rapid.SampledFrom(w.groups).Draw(t, "home")
	for range rapid.IntRange(0, 4).Draw(t, "grants") {
		w.grants = append(w.grants, w.drawGrant(t, "grant"))
	}
	return w
}

func drawSetting(t *rapid.T) *bool {
	return rapid.SampledFrom([]*bool{nil, nil, new(false), new(true)}).Draw(t, "shared")
}

// drawGrant draws a grant of a built-in role or of a custom one, of few permissions so that they meet.
func (w *world) drawGrant(t *rapid.T, label string) naiveGrant {
	g := naiveGrant{group: rapid.SampledFrom(w.groups).Draw(t, label)}
	if rapid.Bool().Draw(t, "built in") {
		g.pairs = rapid.SampledFrom(authz.BuiltInRoles()[1:]).Draw(t, "role").Pairs.List()
		return g
	}
	few := []authz.Permission{authz.ConversationsView, authz.ConversationsReply, authz.QueueView, authz.QueueClaim, authz.ContactsView, authz.GroupsView}
	for range rapid.IntRange(0, 4).Draw(t, "pairs") {
		g.pairs = append(g.pairs, authz.Pair{
			Permission: rapid.SampledFrom(few).Draw(t, "permission"), Scope: rapid.SampledFrom(authz.Scopes()).Draw(t, "scope")})
	}
	return g
}

func TestCanAgreesWithTheNaiveEvaluator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		v := w.viewer()
		for _, p := range authz.Permissions() {
			for _, target := range w.targets() {
				if got, want := v.Can(p, w.authz(target)), w.may(p, target); got != want {
					t.Fatalf("%s for %+v is %t and not %t", p, target, got, want)
				}
			}
		}
	})
}

// contains says whether a reach holds the target, by the words of its fields.
func (w *world) contains(r authz.Reach, t naiveTarget) bool {
	if r.Waiting && t.contact && t.assignee != 0 {
		return false
	}
	if r.Account || r.Self && t.subject == viewerID || r.Assigned && t.contact && t.assignee == viewerID || r.Offered && t.contact && t.offered == viewerID {
		return true
	}
	if t.group == nil {
		return false
	}
	for _, top := range r.Subtrees {
		i := slices.IndexFunc(w.groups, func(g *naiveGroup) bool { return g.id == top.GroupID })
		if inside, walled := t.group.isIn(w.groups[i]); inside && !walled {
			return true
		}
	}
	if t.escalated && r.Waiting && slices.Contains(slices.Concat(r.Groups, r.Queues), t.group.parent.id) {
		return true
	}
	return slices.Contains(r.Groups, t.group.id) ||
		t.contact && t.assignee == 0 && slices.Contains(r.Queues, t.group.id)
}

func TestReachIsWhatCanAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		v := w.viewer()
		for _, p := range authz.Permissions() {
			r := v.Reach(p)
			empty := true
			for _, target := range w.targets() {
				can := v.Can(p, w.authz(target))
				if got := w.contains(r, target); got != can {
					t.Fatalf("%s: the reach %+v holds %+v: %t, Can says %t", p, r, target, got, can)
				}
				empty = empty && !can
			}
			if r.Empty() && !empty {
				t.Fatalf("%s: the reach is empty", p)
			}
			if r.Account != v.CanAccount(p) {
				t.Fatalf("%s: account %t", p, r.Account)
			}
			for i, one := range r.Subtrees {
				for _, other := range r.Subtrees[:i] {
					if one == other {
						t.Fatalf("%s: the subtree of %d is there twice", p, one.GroupID)
					}
				}
			}
		}
	})
}

// TestHoldingIsWhatCanAnswers: what is held at a group is what can be done there with a contact that has nothing to
// do with the viewer.
func TestHoldingIsWhatCanAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		v := w.viewer()
		for _, g := range w.groups {
			h := v.Holding(w.place(g))
			for _, p := range authz.Permissions() {
				served := w.may(p, naiveTarget{group: g, contact: true, assignee: otherID})
				waiting := w.may(p, naiveTarget{group: g, contact: true})
				if h.All.Has(p) != served || h.Waiting.Has(p) != waiting {
					t.Fatalf("%s at %d: held %t and %t, can %t and %t", p, g.id, h.All.Has(p), h.Waiting.Has(p), served, waiting)
				}
			}
			if !h.All.Within(h.Waiting) || h.Beyond(h) != 0 {
				t.Fatal("a holding is not within itself")
			}
		}
	})
}

// TestOverlappingSubtreesAreFolded: a subtree within another one adds nothing, in whatever order they come, unless a
// wall stands between them.
func TestOverlappingSubtreesAreFolded(t *testing.T) {
	subtree := authz.PairsOf([]authz.Pair{{Permission: authz.GroupsView, Scope: authz.ScopeSubtree}})
	for _, c := range []struct{ grants, want []authz.Place }{
		{[]authz.Place{middle, below}, []authz.Place{middle}},
		{[]authz.Place{below, middle}, []authz.Place{middle}},
		{[]authz.Place{middle, middle}, []authz.Place{middle}},
		{[]authz.Place{middle, beside}, []authz.Place{middle, beside}},
		{[]authz.Place{middle, behind}, []authz.Place{middle, behind}},
		{[]authz.Place{behind, middle}, []authz.Place{behind, middle}},
		{[]authz.Place{walled, behind}, []authz.Place{walled}},
		{[]authz.Place{behind, below, walled, root}, []authz.Place{walled, root}},
	} {
		v := &authz.Viewer{UserID: viewerID}
		for _, p := range c.grants {
			v.Grants = append(v.Grants, authz.Grant{Place: p, Pairs: subtree})
		}
		if got := v.Reach(authz.GroupsView).Subtrees; !slices.Equal(got, c.want) {
			t.Errorf("grants at %v reach the subtrees %v and not %v", c.grants, got, c.want)
		}
	}
}
