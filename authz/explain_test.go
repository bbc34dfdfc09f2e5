package authz_test

import (
	"slices"
	"testing"

	"canopy/authz"

	"pgregory.net/rapid"
)

// TestWhyIsWhatCanAnswers: there is a grant that gives a permission exactly where Can allows it, each of them allows it by
// itself, at the scope that is named, and all the others that hold it are said not to.
func TestWhyIsWhatCanAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		v := w.viewer()
		for _, p := range authz.Permissions() {
			for _, target := range w.targets() {
				at := w.authz(target)
				given, missed := v.Why(p, at), v.WhyNot(p, at)
				if (len(given) > 0) != w.may(p, target) {
					t.Fatalf("%s for %+v is given by %v", p, target, given)
				}
				holding := 0
				for i := range v.Grants {
					if v.Grants[i].Pairs.Permissions().Has(p) {
						holding++
					}
				}
				if len(given)+len(missed) != holding {
					t.Fatalf("%s for %+v: %d grants give it and %d do not, of %d", p, target, len(given), len(missed), holding)
				}
				for _, g := range given {
					only := authz.PairsOf([]authz.Pair{{Permission: p, Scope: g.Scope(p)}})
					if alone := alone(g.Grant, func(g *authz.Grant) { g.Pairs = only }).Why(p, at); len(alone) != 1 || alone[0].Way != g.Way {
						t.Fatalf("%s for %+v: %s at %s alone is %v", p, target, g.Way, g.Scope(p), alone)
					}
				}
			}
		}
	})
}

// alone is a viewer who has nothing but the grant, changed.
func alone(g *authz.Grant, change func(*authz.Grant)) *authz.Viewer {
	one := *g
	one.Queues = slices.Clone(g.Queues)
	change(&one)
	return &authz.Viewer{UserID: viewerID, Grants: []authz.Grant{one}}
}

// TestTakingTheObstacleAwayReaches does in the world, as the naive evaluator sees it, what the obstacle says, and asks
// that evaluator again: what is named as standing in the way does stand there, and nothing else.
func TestTakingTheObstacleAwayReaches(t *testing.T) {
	seen := map[authz.Obstacle]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		v := w.viewer()
		for _, p := range authz.Permissions() {
			for _, target := range w.targets() {
				for _, m := range v.WhyNot(p, w.authz(target)) {
					i := slices.IndexFunc(v.Grants, func(g authz.Grant) bool { return sameGrant(&g, m.Grant) })
					seen[m.Obstacle]++
					if may := w.without(m.Obstacle, w.grants[i], p, target); may != (m.Obstacle != authz.Elsewhere) {
						t.Fatalf("%s for %+v: without %s it is %t", p, target, m.Obstacle, may)
					}
				}
			}
		}
	})
	for o := authz.Elsewhere; o <= authz.NotAssigned; o++ {
		if seen[o] == 0 {
			t.Errorf("%s was never in the way", o)
		}
	}
}

func sameGrant(a, b *authz.Grant) bool {
	return a.Place == b.Place && a.Pairs == b.Pairs
}

// without asks whether the grant alone would give it if the obstacle were not there.
func (w *world) without(o authz.Obstacle, grant naiveGrant, p authz.Permission, t naiveTarget) bool {
	only := &world{home: w.home, grants: []naiveGrant{grant}}
	switch o {
	case authz.Served:
		t.assignee = 0
	case authz.Walled:
		defer restore(w.groups)()
		for _, g := range w.groups {
			g.restricted = false
		}
	case authz.SharedInboxOff:
		defer restore(w.groups)()
		grant.group.shared = new(true)
	case authz.NotManual:
		defer restore(w.groups)()
		t.group.mode = "MANUAL"
	case authz.NotAssigned:
		t.contact, t.assignee = true, viewerID
	}
	return only.may(p, t)
}

// restore puts the groups back as they are now.
func restore(groups []*naiveGroup) func() {
	var were []naiveGroup
	for _, g := range groups {
		were = append(were, *g)
	}
	return func() {
		for i, g := range groups {
			*g = were[i]
		}
	}
}

// TestHeldByOffer: an offer is a way to what it is offered for, at the scopes for which an offer counts.
func TestHeldByOffer(t *testing.T) {
	for _, c := range []struct {
		p     authz.Permission
		scope authz.Scope
		held  bool
	}{
		{authz.ConversationsView, authz.ScopeTeam, true}, {authz.ConversationsReply, authz.ScopeAssigned, true}, {authz.QueueClaim, authz.ScopeQueue, true},
		{authz.ConversationsTransfer, authz.ScopeAssigned, false}, {authz.ConversationsView, authz.ScopeSubtree, false},
	} {
		v := &authz.Viewer{Grants: []authz.Grant{{Pairs: authz.PairsOf([]authz.Pair{{c.p, c.scope}})}}}
		held := slices.ContainsFunc(v.Held(c.p), func(g authz.Given) bool { return g.Way == authz.ByOffer })
		if held != c.held {
			t.Errorf("%s at %s is held by an offer: %t", c.p, c.scope, held)
		}
	}
}
