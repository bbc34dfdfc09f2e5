package authz

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Place is where a group stands in the tree of its account.
type Place struct {
	GroupID int64
	Path    string // labels from the root to the group, its own included; see package tree
	Wall    string // path of the nearest RESTRICTED group at or above it; empty when there is none
}

// IsZero says that the place is no group: the account itself.
func (p Place) IsZero() bool { return p.GroupID == 0 }

// under says whether the place is the other one or below it.
func (p Place) under(above Place) bool { return strings.HasPrefix(p.Path, above.Path) }

// openTo says that no wall stands between a grant at the other place and this place: the grant is at or below the
// nearest wall.
func (p Place) openTo(grant Place) bool { return strings.HasPrefix(grant.Path, p.Wall) }

// Target is what a permission is asked for. The zero target is the account itself.
type Target struct {
	Place Place
	// Contact says that the target is a contact or belongs to one; Assignee is the user who serves it, 0 for nobody.
	Contact  bool
	Assignee int64
	// Offered is the user who holds a current offer of the contact (ruling 20), 0 for nobody.
	Offered int64
	// Escalated is the group above in whose queue the contact waits too, 0 for none. SUBTREE looks down, at where the
	// contact is; what holds in that one group reaches it.
	Escalated int64
	// Subject is the user whose own record the target is, 0 for none.
	Subject int64
}

// AtGroup is the target of everything that belongs to a group as such.
func AtGroup(p Place) Target { return Target{Place: p} }

// AtContact is the target of a contact and of what belongs to it. Assignee is 0 while it waits.
func AtContact(p Place, assignee int64) Target {
	return Target{Place: p, Contact: true, Assignee: assignee}
}

// AtUser is the target of a user's record, at the home group.
func AtUser(home Place, user int64) Target { return Target{Place: home, Subject: user} }

// For returns what the permission is asked for where the target is: one that reaches unassigned contacts only (ruling 3)
// is asked for at a group for the contacts that wait in it.
func (t Target) For(p Permission) Target {
	t.Contact = t.Contact || queueOnly.Has(p) && t.isGroup()
	return t
}

func (t Target) isGroup() bool { return !t.Contact && t.Subject == 0 && !t.Place.IsZero() }

// Grant is a role grant that is in force, with what is needed to judge it.
type Grant struct {
	ID      int64
	RoleID  int64
	RoleKey string // key of the built-in role; empty for a custom role
	Place   Place  // the explicit group, or the home group that the grant follows
	Pairs   Pairs
	// SharedInbox says whether the Shared Inbox of the place is on, inherited settings resolved.
	SharedInbox bool
	// Queues lists the groups at and above the place in which assignment is MANUAL, inherited settings resolved.
	Queues []int64
}

// Way is how a grant reaches a target; NoWay when it does not.
type Way uint8

// The ways, in the order in which they are looked for.
const (
	NoWay         Way = iota
	ByAccount         // the permission is held on the whole account
	ByOwnRecord       // the target is the viewer's own record
	ByAssignment      // the contact is assigned to the viewer
	ByOffer           // the contact is offered to the viewer
	BySubtree         // the target is in the subtree of the grant's group, and no wall stands between
	ByGroup           // the target is in the grant's group
	BySharedInbox     // the target is in the grant's group, the Shared Inbox of which is on
	ByQueue           // the contact waits in the grant's group or above it, where assignment is MANUAL
)

var wayNames = [...]string{"", "ACCOUNT", "OWN_RECORD", "ASSIGNMENT", "OFFER", "SUBTREE", "GROUP", "SHARED_INBOX", "QUEUE"}

// String is the way as clients know it; NoWay has no name.
func (w Way) String() string { return wayNames[w] }

// reaches is the one definition of what the scopes mean (section 3 and rulings 2, 3 and 20 of the domain).
func (g *Grant) reaches(p Permission, t *Target, user int64) Way {
	pairs := &g.Pairs
	switch {
	case queueOnly.Has(p) && t.Contact && t.Assignee != 0:
		return NoWay
	case pairs[ScopeAccount].Has(p):
		return ByAccount
	case t.Subject != 0 && t.Subject == user && pairs[ScopeSelf].Has(p):
		return ByOwnRecord
	case t.Contact && t.Assignee != 0 && t.Assignee == user && (pairs[ScopeAssigned].Has(p) || pairs[ScopeTeam].Has(p)):
		return ByAssignment
	case t.Contact && t.Offered != 0 && t.Offered == user && offerable.Has(p) && pairs.offered().Has(p):
		return ByOffer
	case t.Place.IsZero():
		return NoWay
	case pairs[ScopeSubtree].Has(p) && t.Place.under(g.Place) && t.Place.openTo(g.Place):
		return BySubtree
	}
	way := g.reachesIn(p, t, t.Place.GroupID)
	if way == NoWay && queueOnly.Has(p) && t.Contact && t.Escalated != 0 {
		way = g.reachesIn(p, t, t.Escalated) // as if it waited there
	}
	return way
}

// reachesIn is reaches for what is in one group, as such.
func (g *Grant) reachesIn(p Permission, t *Target, group int64) Way {
	pairs := &g.Pairs
	switch {
	case pairs[ScopeGroup].Has(p) && group == g.Place.GroupID:
		return ByGroup
	case pairs[ScopeTeam].Has(p) && g.SharedInbox && group == g.Place.GroupID:
		return BySharedInbox
	case pairs[ScopeQueue].Has(p) && t.Contact && t.Assignee == 0 && slices.Contains(g.Queues, group):
		return ByQueue
	}
	return NoWay
}

// offerable is what an offer reaches for: seeing the contact, claiming it (ruling 20), and answering it, which claims it
// too. Phone and e-mail stay masked until it is claimed.
var offerable = SetOf(ConversationsView, ConversationsReply, QueueView, QueueClaim)

// offered is what is held at a scope for which an offer counts: those of what is assigned to the viewer, and the
// queue's, because an offer is the queue of a group that is not MANUAL.
func (p Pairs) offered() Set { return p[ScopeAssigned] | p[ScopeTeam] | p[ScopeQueue] }

// Viewer is who asks: a user with the grants that were in force when the request began. It is read-only once loaded.
type Viewer struct {
	AccountID int64
	UserID    int64
	SessionID int64
	Writes    int64 // how many transactions the session had committed, where there is a replica to compare with
	Carrying  bool  // whether some branch of the account was on its way to the lists of its new place
	Home      Place
	At        time.Time // the moment at which the grants were judged
	Grants    []Grant
}

// Same says whether both are the same session, which had done as much, with the same grants at the same places.
func (v *Viewer) Same(other *Viewer) bool {
	if v == nil || other == nil {
		return v == other
	}
	o := *other
	o.At = v.At
	return reflect.DeepEqual(v, &o)
}

// queueOnly are the permissions that reach unassigned contacts only, whatever their scope (ruling 3).
var queueOnly = SetOf(QueueView, QueueClaim)

// Can says whether the viewer holds the permission at the target: the union over all grants. It runs no SQL and
// allocates nothing. A nil viewer can do nothing.
func (v *Viewer) Can(p Permission, t Target) bool {
	if v == nil {
		return false
	}
	for i := range v.Grants {
		if v.Grants[i].reaches(p, &t, v.UserID) != NoWay {
			return true
		}
	}
	return false
}

// CanAccount says whether the viewer holds the permission on the account itself.
func (v *Viewer) CanAccount(p Permission) bool { return v.Can(p, Target{}) }

// SeesGroupsUnder says whether the viewer, who may not see the group itself, sees one below it: their home, or where a grant
// shows groups.
func (v *Viewer) SeesGroupsUnder(above Place) bool {
	return v.Home.under(above) || slices.ContainsFunc(v.Grants, func(g Grant) bool {
		return g.Place.under(above) && g.Pairs.Permissions().Has(GroupsView)
	})
}

// SeesTags says whether the account's tags are there for the viewer: whoever sees conversations anywhere has them, and
// whoever manages tags.
func (v *Viewer) SeesTags() bool {
	held := v.Permissions()
	return held.Has(ConversationsView) || held.Has(QueueView) || v.CanAccount(InboxSettingsEdit)
}

// Permissions is the set of all that the viewer holds anywhere.
func (v *Viewer) Permissions() Set {
	var all Set
	if v == nil {
		return all
	}
	for i := range v.Grants {
		all |= v.Grants[i].Pairs.Permissions()
	}
	return all
}

// Reach is all that one permission reaches for a viewer, as the parts from which a list or a row rule is built. What
// it contains is exactly that for which Can answers true.
type Reach struct {
	Account  bool    // everything in the account; the other fields are then of no interest
	Subtrees []Place // these groups and what is below them, up to walls
	Groups   []int64 // these groups as such
	Queues   []int64 // the unassigned contacts of these groups
	Assigned bool    // contacts assigned to the viewer
	Offered  bool    // contacts offered to the viewer
	Self     bool    // the viewer's own record
	// Waiting cuts all of the above to unassigned contacts, and adds those that are escalated to one of the groups.
	Waiting bool
}

// Empty says that the permission reaches nothing.
func (r *Reach) Empty() bool {
	return !r.Account && len(r.Subtrees) == 0 && len(r.Groups) == 0 && len(r.Queues) == 0 &&
		!r.Assigned && !r.Offered && !r.Self
}

// Reach gathers what the permission reaches; overlapping subtrees and repeated groups are folded.
func (v *Viewer) Reach(p Permission) Reach {
	r := Reach{Waiting: queueOnly.Has(p)}
	if v == nil {
		return r
	}
	for i := range v.Grants {
		g := &v.Grants[i]
		if g.Pairs[ScopeAccount].Has(p) {
			return Reach{Account: true, Waiting: r.Waiting}
		}
		if g.Pairs[ScopeSubtree].Has(p) {
			r.addSubtree(g.Place)
		}
		if g.Pairs[ScopeGroup].Has(p) || g.Pairs[ScopeTeam].Has(p) && g.SharedInbox {
			r.Groups = addOnce(r.Groups, g.Place.GroupID)
		}
		if g.Pairs[ScopeQueue].Has(p) {
			for _, q := range g.Queues {
				r.Queues = addOnce(r.Queues, q)
			}
		}
		r.Assigned = r.Assigned || g.Pairs[ScopeTeam].Has(p) || g.Pairs[ScopeAssigned].Has(p)
		r.Offered = r.Offered || offerable.Has(p) && g.Pairs.offered().Has(p)
		r.Self = r.Self || g.Pairs[ScopeSelf].Has(p)
	}
	return r
}

// addSubtree keeps the subtrees disjoint: a place that an earlier one reaches adds nothing, unless a wall stands
// between them.
func (r *Reach) addSubtree(p Place) {
	for _, have := range r.Subtrees {
		if p.under(have) && p.openTo(have) {
			return
		}
	}
	r.Subtrees = slices.DeleteFunc(r.Subtrees, func(have Place) bool { return have.under(p) && have.openTo(p) })
	r.Subtrees = append(r.Subtrees, p)
}

func addOnce(list []int64, id int64) []int64 {
	if slices.Contains(list, id) {
		return list
	}
	return append(list, id)
}

// Holding is what a viewer holds at a group: over everything in it, and over its unassigned contacts. Permissions that
// reach unassigned contacts only (ruling 3) are therefore never in All.
type Holding struct {
	All     Set
	Waiting Set // a superset of All
}

// Beyond is the permissions that are held here over something, and not there.
func (h Holding) Beyond(other Holding) Set {
	return h.All&^other.All | h.Waiting&^other.Waiting
}

// Holding returns what the viewer holds at the place by any grant. It is what must not grow by moving things about
// (ruling 18).
func (v *Viewer) Holding(at Place) Holding {
	var h Holding
	if v == nil {
		return h
	}
	for i := range v.Grants {
		g := &v.Grants[i]
		h.All |= g.Pairs[ScopeAccount]
		if at.under(g.Place) && at.openTo(g.Place) {
			h.All |= g.Pairs[ScopeSubtree]
		}
		if at.GroupID == g.Place.GroupID {
			h.All |= g.Pairs[ScopeGroup]
			if g.SharedInbox {
				h.All |= g.Pairs[ScopeTeam]
			}
		}
		if slices.Contains(g.Queues, at.GroupID) {
			h.Waiting |= g.Pairs[ScopeQueue]
		}
	}
	h.Waiting |= h.All
	h.All &^= queueOnly
	return h
}

// Covers says whether the viewer holds at least what the pair gives to whoever is granted it at the place. ASSIGNED and
// SELF are not bound to a group (ruling 2): for them it is enough to hold the permission anywhere.
func (v *Viewer) Covers(pair Pair, at Place) bool {
	for i := range v.Grants {
		if v.Grants[i].covers(pair, at) {
			return true
		}
	}
	return false
}

func (g *Grant) covers(pair Pair, at Place) bool {
	p := pair.Permission
	if g.Pairs[ScopeAccount].Has(p) {
		return true
	}
	below := g.Pairs[ScopeSubtree].Has(p) && at.under(g.Place) && at.openTo(g.Place)
	switch pair.Scope {
	case ScopeAccount:
		return false
	case ScopeSubtree:
		return below
	case ScopeAssigned, ScopeSelf:
		return g.Pairs.Permissions().Has(p)
	}
	return below || at.GroupID == g.Place.GroupID && g.Pairs.Cover(pair)
}

type contextKey struct{ name string }

var (
	viewerKey  = &contextKey{"viewer"}
	trustedKey = &contextKey{"trusted"}
)

// NewContext returns a context in which v is asking.
func NewContext(ctx context.Context, v *Viewer) context.Context {
	return context.WithValue(ctx, viewerKey, v)
}

// FromContext returns who is asking, or nil when nobody is logged in.
func FromContext(ctx context.Context) *Viewer {
	v, _ := ctx.Value(viewerKey).(*Viewer)
	return v
}

// Trusted returns a context in which the row rules let every row of every account pass. It is for what Canopy itself
// has to know or write whoever asks: logging in, counting owners, finding a name that is taken, writing the audit
// trail. Whoever uses it restricts the query to the account by hand and shows nothing of the result that the viewer
// may not see.
func Trusted(ctx context.Context) context.Context { return context.WithValue(ctx, trustedKey, true) }

// IsTrusted says whether the row rules are lifted.
func IsTrusted(ctx context.Context) bool {
	trusted, _ := ctx.Value(trustedKey).(bool)
	return trusted
}
