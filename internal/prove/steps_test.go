package prove

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	entgroup "canopy/ent/generated/group"
	"canopy/internal/optional"
	"canopy/refusal"
)

// step is something that a viewer asks for: what the naive evaluator expects of it, how Canopy does it, and what is true
// afterwards if it was done.
type step struct {
	name   string // of the operation
	what   string
	expect verdict
	do     func(ctx context.Context) error
	effect func(a *account)
	// gaining says that nobody may gain a permission over anything by doing it.
	gaining bool
}

// verdict is what is expected of a step.
type verdict struct {
	code   string // a code of a refusal, or one of the words below
	reason refusal.Reason
	lacks  string // the permission that is missing, with FORBIDDEN
	owner  bool   // an owner asks, in whose way no limit stands but those that the verdict names
}

const (
	done    = "DONE"    // nothing stands in its way
	limited = "LIMITED" // nothing but a limit on giving access may stand in its way
	allowed = "ALLOWED" // permission and sight do not stand in its way; a limit or the state of things may
	refused = "REFUSED" // it is refused, by whatever code
	either  = "EITHER"  // it is done or refused, and nothing is said about that
)

// judge builds a verdict: the first refusal in the order of their kinds wins.
type judge struct {
	w         *world
	viewer    int64
	hidden    bool
	missing   string
	limit     bool // a limit on giving access stands in the way
	forbidden refusal.Reason
	conflict  refusal.Reason
}

func (w *world) judge(viewer int64) *judge { return &judge{w: w, viewer: viewer} }

// sees refuses what the viewer does not see.
func (j *judge) sees(visible bool) *judge {
	j.hidden = j.hidden || !visible
	return j
}

func (j *judge) seesGroup(id int64) *judge {
	return j.sees(j.w.facts.seesGroup(j.viewer, id, j.w.now))
}

func (j *judge) seesUser(id int64) *judge { return j.sees(j.w.facts.seesUser(j.viewer, id, j.w.now)) }

func (j *judge) seesContact(id int64) *judge {
	return j.sees(j.w.facts.seesContact(j.viewer, id, j.w.now))
}

// needs refuses what the viewer lacks the permission for.
func (j *judge) needs(permission string, at ...target) *judge {
	for _, t := range at {
		if j.missing == "" && !j.w.facts.can(j.viewer, permission, t, j.w.now) {
			j.missing = permission
		}
	}
	return j
}

// forbids is a limit on giving access.
func (j *judge) forbids(applies bool, reason refusal.Reason) *judge {
	if applies && !j.limit {
		j.limit, j.forbidden = true, reason
	}
	return j
}

// conflicts is something in the state of things that stands in the way.
func (j *judge) conflicts(applies bool, reason refusal.Reason) *judge {
	if applies && j.conflict == "" {
		j.conflict = reason
	}
	return j
}

// otherwise is the verdict, which is the given one when nothing is in the way.
func (j *judge) otherwise(code string) verdict {
	switch {
	case j.hidden:
		return verdict{code: string(refusal.NotFoundCode)}
	case j.missing != "":
		return verdict{code: string(refusal.ForbiddenCode), lacks: j.missing}
	case j.limit:
		return verdict{code: string(refusal.ForbiddenCode), reason: j.forbidden}
	case j.conflict != "" && (code == done || code == limited && j.w.facts.owns(j.viewer, j.w.now)):
		return verdict{code: string(refusal.ConflictCode), reason: j.conflict}
	case j.conflict != "":
		return verdict{code: refused}
	}
	return verdict{code: code, owner: j.w.facts.owns(j.viewer, j.w.now)}
}

// meets says whether what Canopy did is what was expected.
func (v verdict) meets(err error) bool {
	var r *refusal.Refusal
	isRefusal := errors.As(err, &r)
	switch {
	case err != nil && !isRefusal:
		return false
	case v.code == either:
		return true
	case v.code == done, v.code == limited && v.owner:
		return err == nil
	case v.code == limited:
		return err == nil || r.Code == refusal.ForbiddenCode && r.Reason != ""
	case v.code == refused:
		return isRefusal
	case v.code == allowed:
		return err == nil || r.Code == refusal.ConflictCode || r.Code == refusal.BadUserInput ||
			r.Code == refusal.ForbiddenCode && r.Reason != "" && !v.owner
	case err == nil || string(r.Code) != v.code:
		return false
	case v.lacks != "" && r.Reason == "":
		return r.Permission == v.lacks
	case v.code == string(refusal.ConflictCode):
		return r.Reason == v.reason
	}
	return true
}

// run does the step as the viewer in the context, and compares what came of it with what was expected, and what is
// true then with what should be.
func (s *step) run(w *world, ctx context.Context) {
	w.t.Helper()
	viewer := authz.FromContext(ctx).UserID
	before := w.facts
	err := s.do(ctx)
	w.note("%s %s: %s", w.called(target{user: viewer}), s.what, outcome(err))
	if err == nil {
		w.tally.done[s.name]++
	} else {
		w.tally.refused[s.name]++
	}
	w.tally.decisions++
	if !s.expect.meets(err) {
		w.fail("%s %s: the naive evaluator expects %+v, Canopy says %s", w.called(target{user: viewer}), s.what, s.expect, outcome(err))
	}
	should := before.clone()
	if err == nil {
		s.effect(should)
	}
	w.read()
	if difference := should.differs(w.facts); difference != "" {
		w.fail("%s %s: %s.\nWhat should be true and what is: %s", w.called(target{user: viewer}), s.what, outcome(err), difference)
	}
	w.remember(before)
	if !w.facts.hasOwner(w.now) {
		w.fail("%s %s: the account has no primary owner any more who is an active owner", w.called(target{user: viewer}), s.what)
	}
	if s.gaining && err == nil {
		w.nothingGained(viewer, before, s.what)
	}
}

// remember keeps who had a contact in their queue that has just been taken out of it, until something else changes.
func (w *world) remember(before *account) {
	if before.differs(w.facts) != "" {
		w.taken = 0
	}
	for _, id := range w.contactIDs() {
		c := w.facts.contacts[id]
		was, there := before.contacts[id]
		if c.agent == 0 || there && was.agent == c.agent {
			continue
		}
		w.taken, w.late = id, map[int64]bool{}
		for u := range before.users {
			if there && was.agent == 0 && before.can(u, "QUEUE_CLAIM", target{contact: id}, w.now) {
				w.late[u] = true
			}
		}
	}
}

func outcome(err error) string {
	var r *refusal.Refusal
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &r):
		return fmt.Sprintf("%s %s %s", r.Code, r.Reason, r.Permission)
	}
	return err.Error()
}

// overUsers are the permissions that mean something over a user.
var overUsers = []string{"AGENT_PANEL_VIEW", "AGENT_SETTINGS_EDIT", "USERS_VIEW", "USERS_INVITE", "USERS_EDIT", "USERS_DEACTIVATE",
	"USERS_DELETE", "ROLES_ASSIGN", "ACCESS_REVIEW_DECIDE"}

// nothingGained: who moves things about holds no permission over anything afterwards that they did not hold before.
func (w *world) nothingGained(viewer int64, before *account, what string) {
	w.t.Helper()
	for _, t := range w.targets() {
		for _, p := range authz.Permissions() {
			if t.user != 0 && !slices.Contains(overUsers, p.String()) {
				continue
			}
			if w.facts.can(viewer, p.String(), t, w.now) && !before.can(viewer, p.String(), t, w.now) {
				w.fail("%s %s and gains %s over %s", w.called(target{user: viewer}), what, p, w.called(t))
			}
		}
	}
}

// clone copies what effects change.
func (a *account) clone() *account {
	c := *a
	c.groups, c.users, c.roles, c.contacts = maps.Clone(a.groups), maps.Clone(a.users), maps.Clone(a.roles), maps.Clone(a.contacts)
	c.grants, c.covers = slices.Clone(a.grants), maps.Clone(a.covers)
	return &c
}

// differs names the first thing that is not as it should be; nothing when all is.
func (a *account) differs(is *account) string {
	switch {
	case !reflect.DeepEqual(a.groups, is.groups):
		return fmt.Sprintf("groups\n%+v\n%+v", a.groups, is.groups)
	case !reflect.DeepEqual(a.users, is.users):
		return fmt.Sprintf("users\n%+v\n%+v", a.users, is.users)
	case !reflect.DeepEqual(a.roles, is.roles):
		return fmt.Sprintf("roles\n%+v\n%+v", a.roles, is.roles)
	case !slices.Equal(a.grants, is.grants):
		return fmt.Sprintf("grants\n%+v\n%+v", a.grants, is.grants)
	case !reflect.DeepEqual(a.contacts, is.contacts):
		return fmt.Sprintf("contacts\n%+v\n%+v", a.contacts, is.contacts)
	case !reflect.DeepEqual(a.covers, is.covers):
		return fmt.Sprintf("covers\n%+v\n%+v", a.covers, is.covers)
	case a.customRoles != is.customRoles || a.primaryOwner != is.primaryOwner:
		return "the account"
	}
	return ""
}

// change returns an effect on one entry of a map.
func change[T any](m map[int64]T, id int64, fn func(v *T)) {
	v := m[id]
	fn(&v)
	m[id] = v
}

// next makes a random step for the viewer. Half of the time it is about something that the viewer sees: the more is
// hidden from them, the less would come to pass otherwise.
func (w *world) next(viewer int64) *step {
	a := w.facts
	g := w.near(w.groupIDs(), func(id int64) bool { return a.seesGroup(viewer, id, w.now) })
	other := w.near(w.groupIDs(), func(id int64) bool { return a.seesGroup(viewer, id, w.now) })
	u := w.near(w.userIDs(), func(id int64) bool { return a.seesUser(viewer, id, w.now) })
	card := w.near(w.userIDs(), func(id int64) bool { return a.seesCard(viewer, id, w.now) })
	c := w.near(w.contactIDs(), func(id int64) bool { return a.seesContact(viewer, id, w.now) })
	if w.taken != 0 && w.chance(2) {
		return w.claim(viewer, w.taken)
	}
	waiting := w.near(w.contactIDs(), func(id int64) bool { return a.inBox("QUEUE", viewer, id, w.now) })
	switch w.r.IntN(40) {
	case 34:
		return w.availability(viewer, viewer)
	case 35:
		return w.availability(viewer, card)
	case 36:
		return w.decline(viewer, c)
	case 37:
		return w.answer(viewer, w.near(w.contactIDs(), func(id int64) bool { return a.contacts[id].open && a.contacts[id].agent == viewer }))
	case 38, 39:
		who := card
		if w.chance(2) {
			who = viewer
		}
		return w.startCover(viewer, who, w.near(w.userIDs(), func(id int64) bool { return a.seesCard(viewer, id, w.now) && a.coverOf(id, w.now) == 0 }))
	case 0, 1:
		return w.createGroup(viewer, g)
	case 2:
		return w.deleteGroup(viewer, g, other)
	case 3, 4, 5:
		return w.moveGroup(viewer, g, other)
	case 6, 7:
		return w.visibility(viewer, g, !a.groups[g].restricted)
	case 8, 9:
		return w.settings(viewer, g)
	case 10:
		return w.moveUser(viewer, u, g)
	case 11: // somebody like the viewer, to where the viewer runs users: only what the grants that travel along are is in the way
		like := w.near(w.userIDs(), func(id int64) bool { return id != viewer && w.shareRole(viewer, id) })
		return w.moveUser(viewer, like, w.near(w.groupIDs(), func(id int64) bool { return a.can(viewer, "USERS_EDIT", target{group: id}, w.now) }))
	case 12, 13, 14:
		return w.grantRole(viewer, u, w.roleFor(u))
	case 15:
		return w.revoke(viewer)
	case 16:
		return w.roleStep(viewer)
	case 17:
		return w.switchCustomRoles(viewer)
	case 18:
		return w.leave(viewer, w.near(w.userIDs(), func(id int64) bool { return !a.users[id].active }))
	case 19, 20:
		return w.pause(viewer, card)
	case 21, 22, 23:
		return w.claim(viewer, waiting)
	case 24:
		to := w.asking(g)
		return w.pass(viewer, c, "transfers", nil, &to)
	case 25:
		return w.pass(viewer, c, "transfers", &card, nil)
	case 26:
		to := w.asking(g)
		return w.pass(viewer, c, "assigns", nil, &to)
	case 27:
		return w.pass(viewer, c, "assigns", &card, nil)
	case 28, 29:
		if a.contacts[c].open {
			return w.closeConversation(viewer, c)
		}
		return w.openConversation(viewer, c)
	case 30:
		if len(a.users) < 15 {
			return w.invite(viewer, g, w.anyRole())
		}
		return w.leave(viewer, u)
	case 31:
		return w.roleStep(viewer)
	default:
		return w.contactStep(viewer, c, g)
	}
}

// shareRole says whether both hold one role, now or later.
func (w *world) shareRole(one, other int64) bool {
	held := map[int64]bool{}
	for _, g := range w.facts.grants {
		if g.user == one && g.live(w.now) {
			held[g.role] = true
		}
	}
	return slices.ContainsFunc(w.facts.grants, func(g grant) bool { return g.user == other && g.live(w.now) && held[g.role] })
}

func (w *world) roleStep(viewer int64) *step {
	switch w.r.IntN(3) {
	case 0:
		return w.createRole(viewer)
	case 1:
		return w.deleteRole(viewer, w.customRole(), w.anyRole())
	}
	return w.updateRole(viewer, w.customRole())
}

// near picks one of what is seen, or of everything.
func (w *world) near(all []int64, seen func(id int64) bool) int64 {
	if w.chance(2) {
		return w.pick(all)
	}
	some := slices.DeleteFunc(slices.Clone(all), func(id int64) bool { return !seen(id) })
	if len(some) == 0 {
		return w.pick(all)
	}
	return w.pick(some)
}

func (w *world) contactStep(viewer, c, g int64) *step {
	full := len(w.facts.contacts) > 34
	switch i := w.r.IntN(4); {
	case i == 0 && !full:
		return w.createContact(viewer, w.asking(g))
	case i == 1 && !full:
		return w.startConversation(viewer)
	case i == 2:
		return w.editContact(viewer, c)
	}
	return w.deleteContact(viewer, c)
}

func (w *world) createGroup(viewer, parent int64) *step {
	name, at := w.fresh("group"), target{group: parent}
	var id int64
	return &step{name: "create a group", what: fmt.Sprintf("creates %s under %s", name, w.called(at)),
		expect: w.judge(viewer).seesGroup(parent).needs("GROUPS_CREATE", at).
			conflicts(w.facts.depth(parent) >= maxDepth, refusal.GroupTooDeep).otherwise(done),
		do: func(ctx context.Context) error {
			made, err := w.dir.CreateGroup(ctx, directory.CreateGroup{ParentID: parent, Name: name})
			if err == nil {
				id = made.Group.ID
				w.names[target{group: id}] = name
			}
			return err
		},
		effect: func(a *account) { a.groups[id] = group{parent: parent} }}
}

func (w *world) moveGroup(viewer, id, parent int64) *step {
	g, to := target{group: id}, target{group: parent}
	j := w.judge(viewer).seesGroup(id).seesGroup(parent).needs("GROUPS_MOVE", g)
	from := w.facts.groups[id].parent
	if from != 0 {
		j.needs("GROUPS_MOVE", target{group: from})
	}
	j.needs("GROUPS_MOVE", to).conflicts(from == 0, refusal.RootGroup).conflicts(w.facts.isAtOrAbove(id, parent), refusal.GroupCycle)
	j.conflicts(parent != from && w.facts.depth(parent)+1+w.facts.height(id) > maxDepth && w.facts.depth(parent) >= w.facts.depth(id), refusal.GroupTooDeep)
	return &step{name: "move a group", what: fmt.Sprintf("moves %s under %s", w.called(g), w.called(to)),
		expect: j.otherwise(limited), gaining: true,
		do: func(ctx context.Context) error {
			_, err := w.dir.MoveGroup(ctx, directory.MoveGroup{GroupID: id, ParentID: parent})
			return err
		},
		effect: func(a *account) {
			change(a.groups, id, func(g *group) { g.parent = parent })
			for c := range a.contacts { // they wait in the queue of what is above now
				change(a.contacts, c, func(c *contact) {
					if c.group == id && c.escalated != 0 {
						c.escalated = parent
					}
				})
			}
		}}
}

func (w *world) deleteGroup(viewer, id, successor int64) *step {
	g, heir := target{group: id}, target{group: successor}
	j := w.judge(viewer).seesGroup(id).seesGroup(successor).needs("GROUPS_DELETE", g, heir)
	j.conflicts(w.facts.groups[id].parent == 0 || id == successor, "")
	return &step{name: "delete a group", what: fmt.Sprintf("deletes %s in favour of %s", w.called(g), w.called(heir)),
		expect: j.otherwise(allowed), gaining: true,
		do: func(ctx context.Context) error {
			_, err := w.dir.DeleteGroup(ctx, directory.DeleteGroup{GroupID: id, SuccessorID: &successor})
			return err
		},
		effect: func(a *account) {
			restricted := a.groups[id].restricted
			delete(a.groups, id)
			for child := range a.groups {
				if a.groups[child].parent == id {
					change(a.groups, child, func(g *group) { g.parent, g.restricted = successor, g.restricted || restricted })
				}
			}
			for u := range a.users {
				if a.users[u].home == id {
					change(a.users, u, func(u *user) { u.home = successor })
				}
			}
			for c := range a.contacts {
				change(a.contacts, c, func(c *contact) {
					switch {
					case c.group == id:
						c.group, c.escalated = successor, 0 // it has not waited there for long
					case c.escalated == id:
						c.escalated = successor
					}
				})
			}
			a.grants = slices.DeleteFunc(a.grants, func(g grant) bool { return g.group == id })
		}}
}

func (w *world) visibility(viewer, id int64, restricted bool) *step {
	g := target{group: id}
	to := entgroup.VisibilityINHERITED
	if restricted {
		to = entgroup.VisibilityRESTRICTED
	}
	return &step{name: "restrict or open", what: fmt.Sprintf("makes %s %s", w.called(g), to),
		expect: w.judge(viewer).seesGroup(id).needs("GROUPS_EDIT", g).otherwise(limited), gaining: true,
		do: func(ctx context.Context) error {
			_, err := w.dir.UpdateGroup(ctx, directory.UpdateGroup{GroupID: id, Visibility: &to})
			return err
		},
		effect: func(a *account) { change(a.groups, id, func(g *group) { g.restricted = restricted }) }}
}

// settings sets one setting, or lets it be inherited again.
func (w *world) settings(viewer, id int64) *step {
	g, in := target{group: id}, directory.UpdateGroupSettings{GroupID: id}
	var inbox, mode string
	s := &step{name: "change settings",
		expect: w.judge(viewer).seesGroup(id).needs("INBOX_SETTINGS_EDIT", g).otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.dir.UpdateGroupSettings(ctx, in)
			return err
		}}
	if w.chance(3) {
		minutes := w.escalation(&in)
		s.what = fmt.Sprintf("lets contacts of %s escalate after %d minutes", w.called(g), minutes)
		s.effect = func(a *account) { change(a.groups, id, func(g *group) { g.escalate = minutes }) }
		return s
	}
	if w.chance(2) {
		in.SharedInbox.Set = true
		if !w.chance(3) {
			on := w.chance(2)
			in.SharedInbox.To, inbox = &on, onOff(on)
		}
		s.what = fmt.Sprintf("sets the Shared Inbox of %s to %q", w.called(g), inbox)
		s.effect = func(a *account) { change(a.groups, id, func(g *group) { g.sharedInbox = inbox }) }
		return s
	}
	in.AssignmentMode = optional.Value[entgroup.AssignmentMode]{Set: true}
	modes := []entgroup.AssignmentMode{entgroup.AssignmentModeMANUAL, entgroup.AssignmentModeMANUAL, entgroup.AssignmentModeROUND_ROBIN, entgroup.AssignmentModeRADAR, entgroup.AssignmentModeRADAR}
	if i := w.r.IntN(len(modes) + 1); i < len(modes) {
		in.AssignmentMode.To, mode = &modes[i], string(modes[i])
	}
	s.what = fmt.Sprintf("sets the mode of %s to %q", w.called(g), mode)
	s.effect = func(a *account) { change(a.groups, id, func(g *group) { g.mode = mode }) }
	return s
}

func (w *world) moveUser(viewer, id, home int64) *step {
	u, to := target{user: id}, target{group: home}
	j := w.judge(viewer).seesUser(id).seesGroup(home).needs("USERS_EDIT", u, to).forbids(id == viewer, refusal.OwnAccess)
	for _, g := range w.facts.grants {
		if g.user == id && g.group == 0 && g.live(w.now) {
			can := w.facts.can(viewer, "ROLES_ASSIGN", u, w.now) && w.facts.can(viewer, "ROLES_ASSIGN", to, w.now)
			j.forbids(!can || w.facts.mayNeverGive(viewer, g.role, w.now), refusal.MayNotGive)
		}
	}
	j.forbids(w.facts.outranks(id, viewer, w.now), refusal.Rank)
	return &step{name: "move a user", what: fmt.Sprintf("moves %s to %s", w.called(u), w.called(to)),
		expect: j.otherwise(limited), gaining: true,
		do: func(ctx context.Context) error {
			_, err := w.dir.MoveUser(ctx, directory.MoveUser{UserID: id, HomeGroupID: home})
			return err
		},
		effect: func(a *account) { change(a.users, id, func(u *user) { u.home = home }) }}
}

// grantRole gives a role for some minutes or for ever, at a group or wherever the user is at home.
func (w *world) grantRole(viewer, id, roleID int64) *step {
	u, in := target{user: id}, directory.GrantRole{UserID: id, RoleID: roleID}
	fact := grant{user: id, role: roleID, from: w.now}
	j := w.judge(viewer).seesUser(id).sees(w.facts.seesRole(viewer, roleID, w.now)).needs("ROLES_ASSIGN", u)
	if !w.chance(3) {
		fact.group = w.anyGroup()
		in.GroupID = &fact.group
		j.seesGroup(fact.group).needs("ROLES_ASSIGN", target{group: fact.group})
	}
	if w.chance(3) {
		fact.from = w.now.Add(time.Duration(1+w.r.IntN(4)) * time.Minute)
		in.ValidFrom = &fact.from
	}
	if w.chance(3) {
		fact.until = fact.from.Add(time.Duration(1+w.r.IntN(6)) * time.Minute)
		in.ValidUntil = &fact.until
	}
	j.forbids(id == viewer, refusal.OwnAccess).forbids(w.facts.mayNeverGive(viewer, roleID, w.now), refusal.MayNotGive)
	j.conflicts(w.facts.roles[roleID].key == "" && !w.facts.customRoles, refusal.CustomRolesOff)
	return &step{name: "grant a role", what: fmt.Sprintf("gives %s the role %d %s at %s from %s until %s", w.called(u), roleID,
		w.facts.roles[roleID].key, w.called(target{group: fact.group}), w.at(fact.from), w.at(fact.until)),
		expect: j.otherwise(allowed),
		do: func(ctx context.Context) error {
			given, err := w.dir.GrantRole(ctx, in)
			if err == nil {
				fact.id = given.ID
			}
			return err
		},
		effect: func(a *account) { a.grants = append(a.grants, fact) }}
}

func (w *world) revoke(viewer int64) *step {
	i := w.r.IntN(len(w.facts.grants))
	g := w.facts.grants[i]
	j := w.judge(viewer).sees(w.facts.seesGrant(viewer, g, w.now)).needs("ROLES_ASSIGN", target{user: g.user})
	if g.group != 0 {
		j.needs("ROLES_ASSIGN", target{group: g.group})
	}
	j.forbids(g.user == viewer, refusal.OwnAccess).forbids(w.facts.outranks(g.user, viewer, w.now), refusal.Rank)
	j.conflicts(!g.live(w.now), refusal.AlreadyRevoked)
	return &step{name: "revoke a role", what: fmt.Sprintf("revokes grant %d of %s", g.id, w.called(target{user: g.user})),
		expect: j.otherwise(allowed),
		do: func(ctx context.Context) error {
			_, err := w.dir.RevokeRole(ctx, directory.RevokeRole{GrantID: g.id})
			return err
		},
		effect: func(a *account) { a.grants[i].revoked = true }}
}

func (w *world) updateRole(viewer, id int64) *step {
	pairs := w.randomPairs()
	held := slices.ContainsFunc(w.facts.grants, func(g grant) bool { return g.user == viewer && g.role == id && g.live(w.now) })
	j := w.judge(viewer).sees(w.facts.seesRole(viewer, id, w.now)).needs("ROLES_MANAGE", target{})
	j.forbids(w.facts.roles[id].key != "", refusal.BuiltInRole).forbids(held, refusal.OwnAccess)
	is := role{scopes: scopesOf(pairs)}
	j.forbids(w.facts.widerThan(viewer, is, w.now), refusal.WiderThanAuthor).conflicts(!w.facts.customRoles, refusal.CustomRolesOff)
	for _, g := range w.facts.grants {
		if g.role == id && g.live(w.now) && w.facts.takes(id, is) {
			j.forbids(w.facts.outranks(g.user, viewer, w.now), refusal.Rank)
		}
	}
	return &step{name: "change a role", what: fmt.Sprintf("changes the role %d to %v", id, pairs),
		expect: j.otherwise(allowed),
		do: func(ctx context.Context) error {
			_, err := w.dir.UpdateRole(ctx, directory.UpdateRole{RoleID: id, Pairs: pairs})
			return err
		},
		effect: func(a *account) { change(a.roles, id, func(r *role) { r.scopes = is.scopes }) }}
}

func scopesOf(pairs []authz.Pair) map[string][]string {
	scopes := map[string][]string{}
	for _, p := range pairs {
		scopes[p.Permission.String()] = append(scopes[p.Permission.String()], p.Scope.String())
	}
	return scopes
}

// deleteRole hands the grants of a role over to a successor.
func (w *world) deleteRole(viewer, id, successor int64) *step {
	a := w.facts
	j := w.judge(viewer).sees(a.seesRole(viewer, id, w.now)).sees(a.seesRole(viewer, successor, w.now)).needs("ROLES_MANAGE", target{})
	j.forbids(a.roles[id].key != "", refusal.BuiltInRole)
	for _, g := range a.grants {
		if g.role == id && g.live(w.now) {
			j.forbids(g.user == viewer, refusal.OwnAccess).forbids(a.mayNeverGive(viewer, successor, w.now), refusal.MayNotGive)
			j.forbids(!a.can(viewer, "ROLES_ASSIGN", target{user: g.user}, w.now), refusal.MayNotGive)
		}
	}
	for _, g := range a.grants {
		if g.role == id && g.live(w.now) {
			j.forbids(a.outranks(g.user, viewer, w.now), refusal.Rank)
		}
	}
	j.conflicts(id == successor, "").conflicts(a.roles[successor].key == "" && !a.customRoles, refusal.CustomRolesOff)
	return &step{name: "delete a role", what: fmt.Sprintf("deletes the role %d in favour of %d %s", id, successor, a.roles[successor].key),
		expect: j.otherwise(allowed),
		do: func(ctx context.Context) error {
			return w.dir.DeleteRole(ctx, directory.DeleteRole{RoleID: id, SuccessorID: &successor})
		},
		effect: func(a *account) {
			delete(a.roles, id)
			for other := range a.roles {
				change(a.roles, other, func(r *role) {
					r.mayGive = slices.DeleteFunc(slices.Clone(r.mayGive), func(listed int64) bool { return listed == id })
				})
			}
			a.grants = slices.DeleteFunc(a.grants, func(g grant) bool { return g.role == id && !g.live(w.now) })
			for i := range a.grants {
				if a.grants[i].role == id {
					a.grants[i].role = successor
				}
			}
		}}
}

// createRole makes a role of what the viewer may perhaps give.
func (w *world) createRole(viewer int64) *step {
	pairs, listed, name := w.randomPairs(), w.someRoles(), w.fresh("role")
	is := role{scopes: scopesOf(pairs), mayGive: append([]int64{}, slices.Compact(slices.Sorted(slices.Values(listed)))...)}
	j := w.judge(viewer).needs("ROLES_MANAGE", target{}).forbids(w.facts.widerThan(viewer, is, w.now), refusal.WiderThanAuthor)
	for _, r := range is.mayGive {
		j.sees(w.facts.seesRole(viewer, r, w.now)).forbids(w.facts.mayNeverGive(viewer, r, w.now), refusal.MayNotGive)
	}
	j.conflicts(!w.facts.customRoles, refusal.CustomRolesOff)
	var id int64
	return &step{name: "create a role", what: fmt.Sprintf("creates %s: %v, may give %v", name, pairs, is.mayGive), expect: j.otherwise(limited),
		do: func(ctx context.Context) error {
			made, err := w.dir.CreateRole(ctx, directory.CreateRole{Name: name, Pairs: pairs, MayGive: listed})
			if err == nil {
				id = made.ID
			}
			return err
		},
		effect: func(a *account) { a.roles[id] = is }}
}

// invite invites a user with a role, who is let in at once.
func (w *world) invite(viewer, home, roleID int64) *step {
	name, at := w.fresh("user"), target{group: home}
	j := w.judge(viewer).seesGroup(home).sees(w.facts.seesRole(viewer, roleID, w.now)).needs("USERS_INVITE", at).needs("ROLES_ASSIGN", at)
	j.forbids(w.facts.mayNeverGive(viewer, roleID, w.now), refusal.MayNotGive)
	j.conflicts(w.facts.roles[roleID].key == "" && !w.facts.customRoles, refusal.CustomRolesOff)
	var id int64
	return &step{name: "invite a user", what: fmt.Sprintf("invites %s at %s with the role %d %s", name, w.called(at), roleID, w.facts.roles[roleID].key),
		expect: j.otherwise(limited),
		do: func(ctx context.Context) error {
			made, err := w.dir.InviteUser(ctx, directory.InviteUser{Name: name, Email: name + "@acacia.example", HomeGroupID: home, RoleIDs: []int64{roleID}})
			if err == nil {
				id = made.User.ID
				w.names[target{user: id}] = name
				w.activate(id)
			}
			return err
		},
		effect: func(a *account) {
			a.users[id] = user{home: home, active: true}
			a.grants = append(a.grants, grant{id: w.newGrant(), user: id, role: roleID, from: w.now})
		}}
}

// newGrant is the grant that was given last.
func (w *world) newGrant() int64 {
	ids, err := w.db.Read.RoleGrant.Query().IDs(trusted())
	w.must(err)
	return slices.Max(ids)
}

func (w *world) switchCustomRoles(viewer int64) *step {
	on := !w.facts.customRoles
	return &step{name: "switch custom roles", what: fmt.Sprintf("switches custom roles to %v", on),
		expect: w.judge(viewer).needs("SETTINGS_EDIT", target{}).otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.dir.UpdateAccount(ctx, directory.UpdateAccount{CustomRolesEnabled: &on})
			return err
		},
		effect: func(a *account) { a.customRoles = on }}
}

// leave deactivates the user, whose open conversations go into the queue of the home group, or brings them back.
func (w *world) leave(viewer, id int64) *step {
	u := target{user: id}
	j := w.judge(viewer).seesUser(id).needs("USERS_DEACTIVATE", u)
	outranked := id != viewer && w.facts.outranks(id, viewer, w.now)
	j.forbids(outranked, refusal.Rank)
	if !w.facts.users[id].active {
		return &step{name: "reactivate a user", what: "reactivates " + w.called(u), expect: j.otherwise(limited),
			do: func(ctx context.Context) error {
				_, err := w.dir.ReactivateUser(ctx, directory.ReactivateUser{UserID: id})
				if err == nil {
					w.session(id)
				}
				return err
			},
			effect: func(a *account) { change(a.users, id, func(u *user) { u.active = true }) }}
	}
	j.forbids(id == viewer, refusal.OwnAccess).conflicts(id == w.facts.primaryOwner, refusal.PrimaryOwner)
	return &step{name: "deactivate a user", what: "deactivates " + w.called(u), expect: j.otherwise(allowed),
		do: func(ctx context.Context) error {
			_, err := w.dir.DeactivateUser(ctx, directory.DeactivateUser{UserID: id, Handover: directory.HandoverToQueue})
			return err
		},
		effect: func(a *account) {
			change(a.users, id, func(u *user) { u.active = false })
			for cover, c := range a.covers {
				if !c.ended && (c.user == id || c.by == id) {
					w.endsCover(a, cover, false)
				}
			}
			for c := range a.contacts {
				if a.contacts[c].agent == id && a.contacts[c].open {
					w.releases(a, c, a.users[id].home, false)
				}
			}
		}}
}

// pause pauses the access of an agent, or lets it go on.
func (w *world) pause(viewer, id int64) *step {
	paused, u := !w.facts.users[id].paused, target{user: id}
	return &step{name: "pause or resume", what: fmt.Sprintf("sets the pause of %s to %v", w.called(u), paused), expect: w.mayRun(viewer, id).otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.dir.UpdateAgentSettings(ctx, directory.UpdateAgentSettings{AgentID: id, AccessPaused: &paused})
			return err
		},
		effect: func(a *account) { change(a.users, id, func(u *user) { u.paused = paused }) }}
}

// claim: who comes too late hears so if the contact was in their queue until the assignment that beat them began; for
// everybody else it does not exist. Once other things have changed it does not matter who hears it of those.
func (w *world) claim(viewer, id int64) *step {
	expect := w.judge(viewer).seesContact(id).needs("QUEUE_CLAIM", target{contact: id}).otherwise(done)
	if w.facts.contacts[id].agent != 0 {
		switch {
		case w.facts.contacts[id].agent == viewer && w.facts.seesContact(viewer, id, w.now):
			expect = verdict{code: string(refusal.ConflictCode), reason: refusal.AlreadyAssigned}
		case id != w.taken:
			expect = verdict{code: refused}
		case w.late[viewer]:
			expect = verdict{code: string(refusal.ConflictCode), reason: refusal.AlreadyAssigned}
		default:
			expect = verdict{code: string(refusal.NotFoundCode)}
		}
	}
	return &step{name: "claim a contact", what: fmt.Sprintf("claims contact %d", id), expect: expect,
		do: func(ctx context.Context) error {
			_, err := w.desk.ClaimContact(ctx, desk.ClaimContact{ContactID: id})
			return err
		},
		effect: func(a *account) { w.gives(a, id, viewer) }}
}

// pass assigns or transfers a contact to an agent or to a group.
func (w *world) pass(viewer, id int64, verb string, agent, to *int64) *step {
	permission := map[string]string{"assigns": "CONVERSATIONS_ASSIGN", "transfers": "CONVERSATIONS_TRANSFER"}[verb]
	j, a := w.judge(viewer).seesContact(id).needs(permission, target{contact: id}), w.facts
	var whom target
	effect := func(a *account) { w.releases(a, id, *to, true) }
	if agent != nil {
		whom = target{user: *agent}
		card := a.seesCard(viewer, *agent, w.now)
		j.sees(card || a.seesUser(viewer, *agent, w.now)).conflicts(!card || a.users[*agent].paused, refusal.NotServing)
		j.conflicts(a.contacts[id].agent == *agent, refusal.AlreadyAssigned)
		effect = func(a *account) { w.gives(a, id, *agent) }
	} else {
		whom = target{group: *to}
		j.sees(a.seesGroup(viewer, *to, w.now) || a.isAtOrAbove(*to, a.users[viewer].home))
	}
	return &step{name: "assign or transfer", what: fmt.Sprintf("%s contact %d to %s", verb, id, w.called(whom)), expect: j.otherwise(done),
		do: func(ctx context.Context) (err error) {
			in := desk.AssignContact{ContactID: id, AgentID: agent, GroupID: to}
			if verb == "assigns" {
				_, err = w.desk.AssignContact(ctx, in)
			} else {
				_, err = w.desk.TransferContact(ctx, desk.TransferContact(in))
			}
			return err
		},
		effect: effect}
}

func (w *world) openConversation(viewer, id int64) *step {
	j := w.judge(viewer).seesContact(id).needs("CONVERSATIONS_OPEN", target{contact: id})
	j.conflicts(w.facts.contacts[id].open, refusal.AlreadyOpen)
	return &step{name: "open a conversation", what: fmt.Sprintf("opens a conversation with contact %d", id), expect: j.otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.desk.OpenConversation(ctx, desk.OpenConversation{ContactID: id})
			return err
		},
		effect: func(a *account) {
			change(a.contacts, id, func(c *contact) { c.open, c.had = true, true })
			agent := a.contacts[id].agent
			by, cover := w.standIn(a, agent)
			stays := agent != 0 && a.serves(agent, w.now)
			switch {
			case stays && (cover == 0 || agent == viewer):
			case stays && by != 0:
				w.laysCover(a, id, by, cover)
			case a.holds(viewer, "CONVERSATIONS_REPLY", w.now):
				w.gives(a, id, viewer)
			default:
				w.comes(a, id)
			}
		}}
}

func (w *world) closeConversation(viewer, id int64) *step {
	j := w.judge(viewer).sees(w.facts.seesConversations(viewer, id, w.now)).needs("CONVERSATIONS_CLOSE", target{contact: id})
	return &step{name: "close a conversation", what: fmt.Sprintf("closes the conversation of contact %d", id), expect: j.otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.desk.CloseConversation(ctx, desk.CloseConversation{ConversationID: w.open[id]})
			return err
		},
		effect: func(a *account) {
			change(a.contacts, id, func(c *contact) {
				if c.open = false; c.agent == 0 {
					*c = c.nobody() // nobody is asked, and it is in no queue above
				}
			})
		}}
}

func (w *world) createContact(viewer, at int64) *step {
	name, g := w.fresh("contact"), target{group: at}
	phone := fmt.Sprintf("+55119%07d", w.serial)
	var id int64
	return &step{name: "create a contact", what: fmt.Sprintf("creates %s in %s", name, w.called(g)),
		expect: w.judge(viewer).seesGroup(at).needs("CONTACTS_CREATE", g).otherwise(done),
		do: func(ctx context.Context) error {
			made, err := w.desk.CreateContact(ctx, desk.CreateContact{GroupID: at, Name: name, Phone: &phone})
			if err == nil {
				id = made.ID
				w.phones[id] = phone
			}
			return err
		},
		effect: func(a *account) {
			a.contacts[id] = contact{group: at}
			w.comes(a, id)
		}}
}

func (w *world) startConversation(viewer int64) *step {
	home := w.facts.users[viewer].home
	name := w.fresh("contact")
	email := name + "@customer.example"
	return &step{name: "start a conversation", what: "starts a conversation with a new contact",
		expect: w.judge(viewer).needs("CONVERSATIONS_OPEN", target{group: home}).otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.desk.StartConversation(ctx, desk.StartConversation{Name: name, Email: &email})
			return err
		},
		effect: func(a *account) {
			id := w.newContact()
			if a.contacts[id] = (contact{group: home, open: true, had: true}); a.holds(viewer, "CONVERSATIONS_REPLY", w.now) {
				w.gives(a, id, viewer)
			} else {
				w.comes(a, id)
			}
		}}
}

// newContact is the contact that was created last; who made it need not see it.
func (w *world) newContact() int64 {
	ids, err := w.db.Read.Contact.Query().IDs(trusted())
	w.must(err)
	return slices.Max(ids)
}

func (w *world) editContact(viewer, id int64) *step {
	name := w.fresh("renamed")
	return &step{name: "edit a contact", what: fmt.Sprintf("renames contact %d", id),
		expect: w.judge(viewer).seesContact(id).needs("CONTACTS_EDIT", target{contact: id}).otherwise(done),
		do: func(ctx context.Context) error {
			_, err := w.desk.UpdateContact(ctx, desk.UpdateContact{ContactID: id, Name: &name})
			return err
		},
		effect: func(*account) {}}
}

func (w *world) deleteContact(viewer, id int64) *step {
	return &step{name: "delete a contact", what: fmt.Sprintf("deletes contact %d", id),
		expect: w.judge(viewer).seesContact(id).needs("CONTACTS_DELETE", target{contact: id}).otherwise(done),
		do: func(ctx context.Context) error {
			return w.desk.DeleteContact(ctx, desk.DeleteContact{ContactID: id})
		},
		effect: func(a *account) { delete(a.contacts, id) }}
}
