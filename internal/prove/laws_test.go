package prove

import (
	"context"
	"fmt"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	entgroup "canopy/ent/generated/group"
	"canopy/ent/rule"
)

// answer is one yes of Canopy: to whom, to what, about what.
type answer struct {
	viewer int64
	what   string
	about  target
}

// answers are all that Canopy says to everybody: the checks, the lists and the counts. The naive evaluator has no part in
// it.
type answers struct {
	yes    map[answer]bool
	counts map[answer]int
}

func (w *world) answers() answers {
	w.t.Helper()
	all := answers{map[answer]bool{}, map[answer]int{}}
	for _, id := range w.userIDs() {
		v, err := w.viewer(id)
		if err != nil {
			continue
		}
		for _, t := range w.targets() {
			at := w.target(t)
			for _, p := range authz.Permissions() {
				if v.Can(p, at) {
					all.yes[answer{id, p.String(), t}] = true
				}
			}
		}
		w.listed(authz.NewContext(context.Background(), v), id, &all)
	}
	return all
}

func (w *world) listed(ctx context.Context, viewer int64, all *answers) {
	w.t.Helper()
	c := w.db.Read
	add := func(what string, ids []int64, err error, about func(id int64) target) {
		w.t.Helper()
		w.must(err)
		for _, id := range ids {
			all.yes[answer{viewer, what, about(id)}] = true
		}
	}
	group := func(id int64) target { return target{group: id} }
	user := func(id int64) target { return target{user: id} }
	contact := func(id int64) target { return target{contact: id} }
	ids, err := c.Group.Query().IDs(ctx)
	add("groups", ids, err, group)
	ids, err = c.User.Query().IDs(ctx)
	add("users", ids, err, user)
	ids, err = c.User.Query().IDs(rule.AsCards(ctx))
	add("cards", ids, err, user)
	ids, err = c.Contact.Query().IDs(ctx)
	add("contacts", ids, err, contact)
	ids, err = c.Conversation.Query().IDs(ctx)
	add("conversations", ids, err, func(id int64) target { return target{contact: id} })
	add("list", w.paged(func(after *desk.Position) (*desk.Page, error) {
		return w.desk.Contacts(ctx, desk.ContactsQuery{After: after, First: 50})
	}), nil, contact)
	n, err := w.desk.ContactsCount(ctx, desk.ContactsQuery{First: 1})
	w.must(err)
	all.counts[answer{viewer: viewer, what: "list"}] = n
	for _, box := range boxes {
		what := fmt.Sprint("box ", box)
		add(what, w.paged(func(after *desk.Position) (*desk.Page, error) {
			return w.desk.Inbox(ctx, desk.Query{Box: box, After: after, First: 50})
		}), nil, contact)
		n, err := w.desk.InboxCount(ctx, desk.Query{Box: box, First: 1})
		w.must(err)
		all.counts[answer{viewer: viewer, what: what}] = n
	}
}

// within fails unless every answer of the one is an answer of the other, and no count is bigger.
func (w *world) within(law string, some, all answers) {
	w.t.Helper()
	w.tally.lawful += len(some.yes) + len(some.counts)
	for a := range some.yes {
		if !all.yes[a] {
			w.fail("%s, but %s: %s of %s is an answer on one side only", law, w.called(target{user: a.viewer}), a.what, w.called(a.about))
		}
	}
	for a, n := range some.counts {
		if n > all.counts[a] {
			w.fail("%s, but %s: the count of %s is %d against %d", law, w.called(target{user: a.viewer}), a.what, n, all.counts[a])
		}
	}
}

// law is a change, how to take it back, and in which way it may change answers at all.
type law struct {
	name    string
	there   func(ctx context.Context) error
	back    func(ctx context.Context) error
	grows   bool // no answer gets smaller by it
	shrinks bool // no answer gets bigger by it
}

// obey makes the change as the owner, takes it back, and compares what everybody is told before, between and after. A
// change that is refused says nothing.
func (w *world) obey(l law) {
	w.t.Helper()
	w.taken = 0
	before := w.answers()
	if err := l.there(w.as(w.owner)); err != nil {
		w.note("law: %s: %s", l.name, outcome(err))
		return
	}
	w.note("law: %s, and back", l.name)
	w.read()
	between := w.answers()
	if l.grows {
		w.within(l.name+" makes no answer smaller", before, between)
	}
	if l.shrinks {
		w.within(l.name+" makes no answer bigger", between, before)
	}
	w.must(l.back(w.as(w.owner)))
	w.read()
	after := w.answers()
	w.within(l.name+" and back changes nothing", before, after)
	w.within(l.name+" and back changes nothing", after, before)
	w.tally.done["law: "+l.name]++
}

// laws are one of each, at random places.
func (w *world) laws() []law {
	return []law{w.lawOfGranting(), w.lawOfMovingGroups(), w.lawOfMovingUsers(), w.lawOfWalls(), w.lawOfSharedInboxes(), w.lawOfModes(), w.lawOfCustomRoles()}
}

func (w *world) lawOfGranting() law {
	in := directory.GrantRole{UserID: w.pick(w.userIDs()), RoleID: w.anyRole()}
	if w.chance(2) {
		at := w.anyGroup()
		in.GroupID = &at
	}
	var given int64
	return law{name: "granting a role", grows: true,
		there: func(ctx context.Context) error {
			g, err := w.dir.GrantRole(ctx, in)
			if err == nil {
				given = g.ID
			}
			return err
		},
		back: func(ctx context.Context) error {
			_, err := w.dir.RevokeRole(ctx, directory.RevokeRole{GrantID: given})
			return err
		}}
}

func (w *world) lawOfMovingGroups() law {
	id, to := w.anyGroup(), w.anyGroup()
	from := w.facts.groups[id].parent
	move := func(parent int64) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.dir.MoveGroup(ctx, directory.MoveGroup{GroupID: id, ParentID: parent})
			return err
		}
	}
	return law{name: "moving a group", there: move(to), back: move(from)}
}

func (w *world) lawOfMovingUsers() law {
	id, to := w.pick(w.userIDs()), w.anyGroup()
	move := func(home int64) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.dir.MoveUser(ctx, directory.MoveUser{UserID: id, HomeGroupID: home})
			return err
		}
	}
	return law{name: "moving a user", there: move(to), back: move(w.facts.users[id].home)}
}

func (w *world) lawOfWalls() law {
	id := w.anyGroup()
	make := func(v entgroup.Visibility) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.dir.UpdateGroup(ctx, directory.UpdateGroup{GroupID: id, Visibility: &v})
			return err
		}
	}
	if w.facts.groups[id].restricted {
		return law{name: "opening a group", grows: true, there: make(entgroup.VisibilityINHERITED), back: make(entgroup.VisibilityRESTRICTED)}
	}
	return law{name: "restricting a group", shrinks: true, there: make(entgroup.VisibilityRESTRICTED), back: make(entgroup.VisibilityINHERITED)}
}

func (w *world) lawOfSharedInboxes() law {
	id, on := w.anyGroup(), true
	set := func(to *bool) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			in := directory.UpdateGroupSettings{GroupID: id}
			in.SharedInbox.Set, in.SharedInbox.To = true, to
			_, err := w.dir.UpdateGroupSettings(ctx, in)
			return err
		}
	}
	return law{name: "turning a Shared Inbox on", grows: true, there: set(&on), back: set(w.rows[id].SharedInbox)}
}

func (w *world) lawOfModes() law {
	id, manual := w.anyGroup(), entgroup.AssignmentModeMANUAL
	set := func(to *entgroup.AssignmentMode) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			in := directory.UpdateGroupSettings{GroupID: id}
			in.AssignmentMode.Set, in.AssignmentMode.To = true, to
			_, err := w.dir.UpdateGroupSettings(ctx, in)
			return err
		}
	}
	return law{name: "turning MANUAL on", grows: true, there: set(&manual), back: set(w.rows[id].AssignmentMode)}
}

func (w *world) lawOfCustomRoles() law {
	on := w.facts.customRoles
	set := func(to bool) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.dir.UpdateAccount(ctx, directory.UpdateAccount{CustomRolesEnabled: &to})
			return err
		}
	}
	return law{name: "switching custom roles", shrinks: on, grows: !on, there: set(!on), back: set(on)}
}
