// Package prove holds the proof that no answer about access is wrong: random accounts that the real use-cases make and
// change, and after each change what the checks, the lists, the counts and the changes themselves say, beside what a
// second evaluator says.
//
// The evaluator is this package without its tests. It is written from the rules alone, imports nothing of Canopy, and is
// deliberately naive: it walks from parent to parent and compares words, knows no paths, masks, indexes or SQL, and
// looks at everything one by one. Where it and Canopy disagree, one of them is wrong.
package prove

import (
	"slices"
	"strings"
	"time"
)

// account is the truth about an account, as far as access depends on it.
type account struct {
	groups       map[int64]group
	users        map[int64]user
	roles        map[int64]role
	grants       []grant
	contacts     map[int64]contact
	covers       map[int64]cover
	customRoles  bool
	primaryOwner int64
}

type group struct {
	parent      int64 // 0 for the root
	restricted  bool
	sharedInbox string // ON, OFF, or empty for inherited
	mode        string // MANUAL, ROUND_ROBIN, RADAR, or empty for inherited
	escalate    int    // minutes; never is an explicit never, 0 inherited
}

// never is a period that does not end.
const never = -1

type user struct {
	home      int64
	active    bool
	paused    bool
	available bool
}

type role struct {
	key     string              // of a built-in role
	scopes  map[string][]string // of a custom role, by permission
	mayGive []int64             // of a custom role
}

type grant struct {
	id, user, role int64
	group          int64 // 0: follows the home group
	from           time.Time
	until          time.Time // zero: no end
	revoked        bool
}

type contact struct {
	group, agent int64 // nobody serves it: 0
	open, had    bool  // whether it has an open conversation, and any

	// Of a contact that waits: to whom it is offered, the first moment without that, who was asked, from whom it
	// came and to whom it does not go back, and the group above in whose queue it is too, 0 for none.
	offered   int64
	until     time.Time
	asked     []int64
	from      int64
	escalated int64
}

// cover says that somebody serves, for a time, what comes to somebody else.
type cover struct {
	user, by int64
	until    time.Time
	ended    bool
}

// target is what a permission is asked for: the one thing that is not 0, or the account itself.
type target struct{ group, user, contact int64 }

// chart is the chart of functions and permissions, as it is printed in the rules. OWNER holds everything at ACCOUNT.
const chart = `
| module | permission | ADMINISTRATOR | DASHBOARD_ADMINISTRATOR | BILLING_MANAGER | AGENT | DEVELOPER |
| SERVICE | CONVERSATIONS_VIEW | | SUBTREE | | TEAM | |
| | CONVERSATIONS_OPEN | | SUBTREE | | GROUP | |
| | CONVERSATIONS_REPLY | | | | ASSIGNED | |
| | CONVERSATIONS_TRANSFER | | SUBTREE | | ASSIGNED | |
| | CONVERSATIONS_CLOSE | | SUBTREE | | ASSIGNED | |
| | CONVERSATIONS_ASSIGN | | SUBTREE | | | |
| | QUEUE_VIEW | | SUBTREE | | QUEUE | |
| | QUEUE_CLAIM | | | | QUEUE | |
| | CUSTOMER_DATA_VIEW | | SUBTREE | | ASSIGNED | |
| CONTACTS | CONTACTS_VIEW | | SUBTREE | | | |
| | CONTACTS_CREATE | | SUBTREE | | | |
| | CONTACTS_EDIT | | SUBTREE | | | |
| | CONTACTS_DELETE | | SUBTREE | | | |
| | CONTACTS_IMPORT, CONTACTS_EXPORT | | | | | |
| DASHBOARDS | DASHBOARDS_VIEW | ACCOUNT | SUBTREE | | | |
| | AGENT_PANEL_VIEW | ACCOUNT | SUBTREE | | | |
| | AGENT_SETTINGS_EDIT | ACCOUNT | SUBTREE | | | |
| | GROUPS_VIEW | ACCOUNT | SUBTREE | | | |
| | GROUPS_CREATE | ACCOUNT | SUBTREE | | | |
| | INBOX_SETTINGS_EDIT | ACCOUNT | SUBTREE | | | |
| ANALYTICS | ANALYTICS_VIEW | ACCOUNT | SUBTREE | | | |
| BROADCASTS | BROADCASTS_VIEW, BROADCASTS_MANAGE | | | | | |
| GROUPS_AND_USERS | GROUPS_EDIT, GROUPS_MOVE, GROUPS_DELETE | ACCOUNT | | | | |
| | USERS_VIEW, USERS_INVITE, USERS_EDIT, USERS_DEACTIVATE | ACCOUNT | | | | |
| | USERS_DELETE | | | | | |
| | ROLES_VIEW, ROLES_ASSIGN, ROLES_MANAGE | ACCOUNT | | | | |
| SETTINGS | SETTINGS_VIEW, SETTINGS_EDIT, ACCOUNT_STATUS_VIEW | ACCOUNT | | | | |
| | ACCOUNT_DELETE, OWNERSHIP_TRANSFER | | | | | |
| BILLING | BILLING_VIEW, BILLING_EDIT, SUBSCRIPTION_MANAGE, PAYMENTS_MANAGE, INVOICES_VIEW | | | ACCOUNT | | |
| DEVELOPERS | API_KEYS_MANAGE, WEBHOOKS_MANAGE | | | | | ACCOUNT |
| | INTEGRATIONS_MANAGE | ACCOUNT | | | | ACCOUNT |
| ACCOUNTABILITY | AUDIT_VIEW, AUDIT_EXPORT, ACCESS_EXPLAIN | ACCOUNT | | | | |
| | ACCESS_REVIEW_MANAGE | ACCOUNT | | | | |
| | ACCESS_REVIEW_DECIDE | ACCOUNT | SUBTREE | | | |`

// builtIn are the scopes of the built-in roles but OWNER, by key and permission.
var builtIn = readChart()

// permissions are all that the chart names.
var permissions = func() (all []string) {
	for _, line := range strings.Split(strings.TrimSpace(chart), "\n")[1:] {
		all = append(all, strings.Split(cells(line)[1], ", ")...)
	}
	return all
}()

func readChart() map[string]map[string][]string {
	lines := strings.Split(strings.TrimSpace(chart), "\n")
	keys := cells(lines[0])[2:]
	roles := map[string]map[string][]string{}
	for _, key := range keys {
		roles[key] = map[string][]string{}
	}
	for _, line := range lines[1:] {
		row := cells(line)
		for _, permission := range strings.Split(row[1], ", ") {
			for i, scope := range row[2:] {
				if scope != "" {
					roles[keys[i]][permission] = []string{scope}
				}
			}
		}
	}
	return roles
}

func cells(line string) []string {
	row := strings.Split(strings.Trim(line, "|"), "|")
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	return row
}

var everything = []string{"ACCOUNT"}

// scopesOf are the scopes at which a role holds a permission.
func (a *account) scopesOf(roleID int64, permission string) []string {
	switch r := a.roles[roleID]; {
	case r.key == "OWNER":
		return everything
	case r.key != "":
		return builtIn[r.key][permission]
	case !a.customRoles:
		return nil
	default:
		return r.scopes[permission]
	}
}

// inForce: validFrom is the first moment of a grant, validUntil the first moment without it.
func (g grant) inForce(now time.Time) bool { return g.live(now) && !now.Before(g.from) }

// live says that the grant is in force or to come.
func (g grant) live(now time.Time) bool {
	return !g.revoked && (g.until.IsZero() || now.Before(g.until))
}

// can says whether the user holds the permission at the target: whether any grant in force gives it.
func (a *account) can(userID int64, permission string, t target, now time.Time) bool {
	for _, g := range a.grants {
		if g.user != userID || !g.inForce(now) {
			continue
		}
		at := g.group
		if at == 0 {
			at = a.users[userID].home
		}
		for _, scope := range a.scopesOf(g.role, permission) {
			if a.reaches(permission, scope, at, userID, t, now) {
				return true
			}
		}
	}
	return false
}

// holds says whether the user holds the permission at all, at any scope.
func (a *account) holds(userID int64, permission string, now time.Time) bool {
	return slices.ContainsFunc(a.grants, func(g grant) bool {
		return g.user == userID && g.inForce(now) && len(a.scopesOf(g.role, permission)) > 0
	})
}

// offerable is what an offer reaches for: seeing the contact, claiming it, and answering it, which claims it.
var offerable = []string{"CONVERSATIONS_VIEW", "QUEUE_VIEW", "QUEUE_CLAIM", "CONVERSATIONS_REPLY"}

func (a *account) reaches(permission, scope string, at, viewer int64, t target, now time.Time) bool {
	c := a.contacts[t.contact]
	waiting := t.contact != 0 && c.agent == 0
	mine := t.contact != 0 && c.agent == viewer
	queue := permission == "QUEUE_VIEW" || permission == "QUEUE_CLAIM"
	if t.contact != 0 && !waiting && queue {
		return false
	}
	if waiting && c.isOfferedTo(viewer, now) && slices.Contains(offerable, permission) &&
		(scope == "ASSIGNED" || scope == "TEAM" || scope == "QUEUE") {
		return true
	}
	in := a.groupOf(t)
	switch scope {
	case "ACCOUNT":
		return true
	case "SUBTREE":
		return in != 0 && a.isOpenBelow(at, in)
	case "ASSIGNED":
		return mine
	case "SELF":
		return t.user != 0 && t.user == viewer
	}
	return scope == "TEAM" && mine || a.reachesIn(scope, at, in, waiting) ||
		queue && waiting && a.reachesIn(scope, at, c.escalated, waiting)
}

// reachesIn is for the scopes that mean one group, and for the queue, which may be that of a group above.
func (a *account) reachesIn(scope string, at, in int64, waiting bool) bool {
	switch {
	case in == 0:
		return false
	case scope == "GROUP":
		return in == at
	case scope == "TEAM":
		return in == at && a.sharedInbox(at) == "ON"
	case scope == "QUEUE":
		return waiting && a.isAtOrAbove(in, at) && a.mode(in) == "MANUAL"
	}
	panic("unknown scope " + scope)
}

// isOfferedTo says whether the user is asked at the moment whether they take the contact.
func (c contact) isOfferedTo(user int64, now time.Time) bool {
	return c.offered != 0 && c.offered == user && now.Before(c.until)
}

// waits says whether the contact is looked after by methods: one whose conversation is closed is not.
func (c contact) waits() bool { return c.agent == 0 && (c.open || !c.had) }

// nobody is the contact as it begins to wait.
func (c contact) nobody() contact { return contact{group: c.group, open: c.open, had: c.had} }

// served is the contact with its agent, in the agent's group.
func (a *account) served(c contact, agent int64) contact {
	c = c.nobody()
	c.agent, c.group = agent, a.users[agent].home
	return c
}

// coverOf is who covers the user at the moment, 0 for nobody.
func (a *account) coverOf(userID int64, now time.Time) int64 {
	for _, c := range a.covers {
		if c.user == userID && !c.ended && now.Before(c.until) {
			return c.by
		}
	}
	return 0
}

// mayTake says whether a method of the group may give something to the user.
func (a *account) mayTake(userID, group int64, now time.Time) bool {
	u := a.users[userID]
	return u.home == group && u.available && !u.paused && a.serves(userID, now) && a.coverOf(userID, now) == 0
}

// escalates is after how many minutes contacts of the group show in the queue above; never if they do not.
func (a *account) escalates(id int64) int {
	for ; id != 0; id = a.groups[id].parent {
		if set := a.groups[id].escalate; set != 0 {
			return set
		}
	}
	return never
}

// groupOf is the group in which the target is, 0 for the account.
func (a *account) groupOf(t target) int64 {
	switch {
	case t.contact != 0:
		return a.contacts[t.contact].group
	case t.user != 0:
		return a.users[t.user].home
	}
	return t.group
}

// isOpenBelow says whether the group is in the subtree and no edge of a RESTRICTED group is crossed on the way.
func (a *account) isOpenBelow(top, id int64) bool {
	for id != 0 && id != top {
		if a.groups[id].restricted {
			return false
		}
		id = a.groups[id].parent
	}
	return id == top
}

// isAtOrAbove says whether the first group is the second one or one of its ancestors. Walls do not matter.
func (a *account) isAtOrAbove(above, id int64) bool {
	for id != 0 && id != above {
		id = a.groups[id].parent
	}
	return id == above
}

// sharedInbox is ON or OFF: what the nearest group says, beginning with the group itself.
func (a *account) sharedInbox(id int64) string {
	for ; id != 0; id = a.groups[id].parent {
		if set := a.groups[id].sharedInbox; set != "" {
			return set
		}
	}
	return "OFF"
}

func (a *account) mode(id int64) string {
	for ; id != 0; id = a.groups[id].parent {
		if set := a.groups[id].mode; set != "" {
			return set
		}
	}
	return "ROUND_ROBIN"
}

// mayAsk says whether the user is let in at all.
func (a *account) mayAsk(userID int64) bool { return a.users[userID].active && !a.users[userID].paused }

func (a *account) seesGroup(viewer, id int64, now time.Time) bool {
	return id == a.users[viewer].home || a.can(viewer, "GROUPS_VIEW", target{group: id}, now)
}

func (a *account) seesUser(viewer, id int64, now time.Time) bool {
	return id == viewer || a.can(viewer, "USERS_VIEW", target{user: id}, now)
}

func (a *account) seesContact(viewer, id int64, now time.Time) bool {
	return a.seesConversations(viewer, id, now) || a.can(viewer, "CONTACTS_VIEW", target{contact: id}, now)
}

// seesConversations says whether the viewer sees the conversations and messages of the contact.
func (a *account) seesConversations(viewer, id int64, now time.Time) bool {
	return a.can(viewer, "CONVERSATIONS_VIEW", target{contact: id}, now) || a.can(viewer, "QUEUE_VIEW", target{contact: id}, now)
}

// serves says whether the user has an agent card.
func (a *account) serves(id int64, now time.Time) bool {
	return a.users[id].active && a.holds(id, "CONVERSATIONS_REPLY", now)
}

func (a *account) seesCard(viewer, id int64, now time.Time) bool {
	switch {
	case !a.serves(id, now):
		return false
	case id == viewer, a.users[id].home == a.users[viewer].home:
		return true
	case a.can(viewer, "AGENT_PANEL_VIEW", target{user: id}, now):
		return true
	}
	for contactID, c := range a.contacts {
		if c.agent == id && a.seesContact(viewer, contactID, now) {
			return true
		}
	}
	return false
}

// seesRole: everybody knows the built-in roles, those that they themselves hold, held or are to hold, and those that they
// may give because a role of theirs lists them.
func (a *account) seesRole(viewer, id int64, now time.Time) bool {
	if a.roles[id].key != "" || a.can(viewer, "ROLES_VIEW", target{}, now) {
		return true
	}
	assigns := a.holds(viewer, "ROLES_ASSIGN", now)
	return slices.ContainsFunc(a.grants, func(g grant) bool {
		listed := a.customRoles && slices.Contains(a.roles[g.role].mayGive, id)
		return g.user == viewer && (g.role == id || assigns && g.inForce(now) && listed)
	})
}

// seesGrant: everybody sees their own grants, and whoever may assign roles where a grant stands sees it.
func (a *account) seesGrant(viewer int64, g grant, now time.Time) bool {
	at := g.group
	if at == 0 {
		at = a.users[g.user].home
	}
	return g.user == viewer || a.can(viewer, "ROLES_VIEW", target{}, now) || a.can(viewer, "ROLES_ASSIGN", target{group: at}, now)
}

// inBox says whether the contact is in the box of the viewer's inbox.
func (a *account) inBox(box string, viewer, id int64, now time.Time) bool {
	c := a.contacts[id]
	views := a.can(viewer, "CONVERSATIONS_VIEW", target{contact: id}, now)
	switch box {
	case "YOU":
		return c.open && c.agent == viewer && a.seesContact(viewer, id, now)
	case "TEAMMATES":
		return c.open && c.agent != 0 && c.agent != viewer && views
	case "QUEUE":
		return c.agent == 0 && a.can(viewer, "QUEUE_VIEW", target{contact: id}, now)
	case "CLOSED":
		return !c.open && c.had && views
	}
	panic("unknown box " + box)
}

// mayNeverGive says that none of the user's roles lists the role, however far their ROLES_ASSIGN reaches. Where it is
// false a limit may still stand in the way.
func (a *account) mayNeverGive(userID, roleID int64, now time.Time) bool {
	if !a.holds(userID, "ROLES_ASSIGN", now) {
		return true
	}
	var administers bool
	givable := map[int64]bool{}
	for _, g := range a.grants {
		if g.user != userID || !g.inForce(now) {
			continue
		}
		held := a.roles[g.role]
		administers = administers || held.key == "ADMINISTRATOR"
		for id, r := range a.roles {
			switch {
			case held.key == "OWNER",
				held.key == "ADMINISTRATOR" && r.key != "" && r.key != "OWNER",
				held.key == "" && a.customRoles && slices.Contains(held.mayGive, id):
				givable[id] = true
			}
		}
	}
	if r := a.roles[roleID]; !givable[roleID] && administers && r.key == "" {
		return !a.lieWithin(r, givable)
	}
	return !givable[roleID]
}

// lieWithin says whether every pair of the custom role is in one of the others, at the same or a wider scope.
func (a *account) lieWithin(r role, others map[int64]bool) bool {
	for permission, scopes := range r.scopes {
		for _, scope := range scopes {
			covered := false
			for id := range others {
				for _, has := range a.stored(id, permission) {
					covered = covered || isAtLeast(has, scope)
				}
			}
			if !covered {
				return false
			}
		}
	}
	return true
}

// stored is scopesOf whether or not custom roles are switched on.
func (a *account) stored(roleID int64, permission string) []string {
	if r := a.roles[roleID]; r.key == "" {
		return r.scopes[permission]
	}
	return a.scopesOf(roleID, permission)
}

// isAtLeast compares scopes (ACCOUNT is wider than every other, SUBTREE than GROUP, TEAM than ASSIGNED).
func isAtLeast(has, scope string) bool {
	return has == scope || has == "ACCOUNT" || has == "SUBTREE" && scope == "GROUP" || has == "TEAM" && scope == "ASSIGNED"
}

// widerThan says that the role would hold something that is in no role that the user may give, or at a wider scope.
func (a *account) widerThan(userID int64, r role, now time.Time) bool {
	return !a.lieWithin(r, a.perhapsGivable(userID, now))
}

// takes says that the role would hold less than it does.
func (a *account) takes(id int64, is role) bool {
	for permission, scopes := range a.roles[id].scopes {
		for _, scope := range scopes {
			if !slices.ContainsFunc(is.scopes[permission], func(has string) bool { return isAtLeast(has, scope) }) {
				return true
			}
		}
	}
	return false
}

// outranks says that somebody holds a permission that the user neither holds nor may give, wherever: a user whom they
// must not touch.
func (a *account) outranks(somebody, userID int64, now time.Time) bool {
	givable := a.perhapsGivable(userID, now)
	for _, permission := range permissions {
		if !a.holds(somebody, permission, now) || a.holds(userID, permission, now) {
			continue
		}
		given := false
		for id := range givable {
			given = given || len(a.stored(id, permission)) > 0
		}
		if !given {
			return true
		}
	}
	return false
}

// perhapsGivable are the roles of which mayNeverGive is not true.
func (a *account) perhapsGivable(userID int64, now time.Time) map[int64]bool {
	roles := map[int64]bool{}
	for id := range a.roles {
		if !a.mayNeverGive(userID, id, now) {
			roles[id] = true
		}
	}
	return roles
}

// owns says whether the user holds OWNER: no limit on giving access stands in the way of one.
func (a *account) owns(userID int64, now time.Time) bool {
	return slices.ContainsFunc(a.grants, func(g grant) bool {
		return g.user == userID && g.inForce(now) && a.roles[g.role].key == "OWNER"
	})
}

// depth of a group; the root has 0.
func (a *account) depth(id int64) (n int) {
	for ; a.groups[id].parent != 0; id = a.groups[id].parent {
		n++
	}
	return n
}

// height is how many levels there are below the group.
func (a *account) height(id int64) (n int) {
	for below := range a.groups {
		if a.isAtOrAbove(id, below) {
			n = max(n, a.depth(below)-a.depth(id))
		}
	}
	return n
}

// hasOwner says whether somebody active holds OWNER now and without an end, and the primary owner is one of them.
func (a *account) hasOwner(now time.Time) bool {
	return slices.ContainsFunc(a.grants, func(g grant) bool {
		return g.user == a.primaryOwner && a.users[g.user].active && g.inForce(now) && g.until.IsZero() && a.roles[g.role].key == "OWNER"
	})
}
