package authz

import "slices"

// Given is a grant that gives a permission at a target, and how it reaches it.
type Given struct {
	Grant *Grant
	Way   Way
}

// Scope is the scope at which the grant holds the permission for reaching the target: the first of those that its way
// is made of.
func (g Given) Scope(p Permission) Scope {
	for _, s := range scopesOf[g.Way] {
		if g.Grant.Pairs[s].Has(p) {
			return s
		}
	}
	panic("authz: a grant reaches by a way at none of whose scopes it holds the permission")
}

// scopesOf are the scopes that reach by a way.
var scopesOf = [...][]Scope{
	ByAccount:     {ScopeAccount},
	ByOwnRecord:   {ScopeSelf},
	ByAssignment:  {ScopeAssigned, ScopeTeam},
	ByOffer:       {ScopeAssigned, ScopeTeam, ScopeQueue},
	BySubtree:     {ScopeSubtree},
	ByGroup:       {ScopeGroup},
	BySharedInbox: {ScopeTeam},
	ByQueue:       {ScopeQueue},
}

// Why lists the viewer's grants that give the permission at the target, by the same judgement as Can: the list is
// empty exactly when Can refuses.
func (v *Viewer) Why(p Permission, t Target) []Given {
	var given []Given
	if v == nil {
		return nil
	}
	for i := range v.Grants {
		if way := v.Grants[i].reaches(p, &t, v.UserID); way != NoWay {
			given = append(given, Given{&v.Grants[i], way})
		}
	}
	return given
}

// Obstacle is what keeps a grant that holds a permission from reaching a target: without it the grant would reach it.
type Obstacle uint8

// The obstacles, in the order in which they are looked for.
const (
	Elsewhere      Obstacle = iota // the target is in a group that the grant does not reach; there is nothing nearer
	Served                         // the permission reaches unassigned contacts only (ruling 3), and somebody serves the contact
	Walled                         // a RESTRICTED group stands between the grant and the target
	SharedInboxOff                 // the Shared Inbox of the grant's group is off
	NotManual                      // assignment in the contact's group is not MANUAL
	NotAssigned                    // it holds for contacts that are assigned to the viewer; this one is not, or the target is their group
)

var obstacleNames = [...]string{"ELSEWHERE", "SERVED", "WALLED", "SHARED_INBOX_OFF", "NOT_MANUAL", "NOT_ASSIGNED"}

// String is the obstacle as clients know it.
func (o Obstacle) String() string { return obstacleNames[o] }

// Missed is a grant that holds a permission and does not give it at a target, and why it does not.
type Missed struct {
	Grant    *Grant
	Obstacle Obstacle
}

// WhyNot lists the viewer's grants that hold the permission, at any scope, and do not give it at the target.
func (v *Viewer) WhyNot(p Permission, t Target) []Missed {
	var missed []Missed
	if v == nil {
		return nil
	}
	for i := range v.Grants {
		g := &v.Grants[i]
		if g.Pairs.Permissions().Has(p) && g.reaches(p, &t, v.UserID) == NoWay {
			missed = append(missed, Missed{g, g.obstacle(p, t, v.UserID)})
		}
	}
	return missed
}

// obstacle finds what stands in the way by taking one thing after another out of it and judging again.
func (g *Grant) obstacle(p Permission, t Target, user int64) Obstacle {
	waiting, open, mine := t, t, t
	waiting.Assignee = 0
	open.Place.Wall = ""
	mine.Contact, mine.Assignee = t.Contact || t.isGroup(), user
	shared, manual := *g, *g
	shared.SharedInbox = true
	if g.Place.under(t.Place) {
		manual.Queues = append(slices.Clone(g.Queues), t.Place.GroupID)
	}
	switch {
	case t.Assignee != 0 && g.reaches(p, &waiting, user) != NoWay:
		return Served
	case g.reaches(p, &open, user) != NoWay:
		return Walled
	case shared.reaches(p, &t, user) != NoWay:
		return SharedInboxOff
	case manual.reaches(p, &t, user) != NoWay:
		return NotManual
	case mine.Contact && g.reaches(p, &mine, user) != NoWay:
		return NotAssigned
	}
	return Elsewhere
}

// Held lists how the viewer's grants give the permission somewhere, whatever the target: for each grant each way that
// one of its scopes stands for. The list is empty exactly when the permission is not among Permissions.
func (v *Viewer) Held(p Permission) []Given {
	var held []Given
	if v == nil {
		return nil
	}
	for i := range v.Grants {
		g := &v.Grants[i]
		for _, way := range []Way{ByAccount, ByOwnRecord, ByAssignment, ByOffer, BySubtree, ByGroup, BySharedInbox, ByQueue} {
			gives := slices.ContainsFunc(scopesOf[way], func(s Scope) bool { return g.Pairs[s].Has(p) })
			if gives && (way != BySharedInbox || g.SharedInbox) && (way != ByOffer || offerable.Has(p)) {
				held = append(held, Given{g, way})
			}
		}
	}
	return held
}

// Possible says whether some grant could give the permission at the target: those for the queue give nothing at a
// contact that somebody serves (ruling 3).
func Possible(p Permission, t Target) bool { return !queueOnly.Has(p) || !t.Contact || t.Assignee == 0 }
