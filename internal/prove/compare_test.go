package prove

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"canopy/authz"
	"canopy/desk"
	"canopy/ent/generated/predicate"
	"canopy/ent/rule"
	"canopy/refusal"
)

// compare holds what Canopy says to the viewer against what the naive evaluator says: whether they are let in, the
// check at every thing for some permissions, and every list with its count.
func (w *world) compare(viewer int64) {
	w.t.Helper()
	v, err := w.viewer(viewer)
	w.tally.decisions++
	if letIn := err == nil; letIn != w.facts.mayAsk(viewer) {
		w.fail("%s is let in: %v (%v)", w.called(target{user: viewer}), letIn, err)
	}
	if err != nil {
		var r *refusal.Refusal
		pausedOnly := w.facts.users[viewer].active
		if !errors.As(err, &r) || r.Code != refusal.Unauthenticated || (r.Reason == refusal.AccessPaused) != pausedOnly {
			w.fail("%s is not let in by %v", w.called(target{user: viewer}), err)
		}
		return
	}
	ctx := authz.NewContext(context.Background(), v)
	for range 5 {
		w.comparePoints(v, authz.Permissions()[w.r.IntN(len(authz.Permissions()))])
	}
	w.comparePoints(v, inQueues[w.r.IntN(len(inQueues))])
	w.compareOther()
	w.compareHolders(authz.Permissions()[w.r.IntN(len(authz.Permissions()))])
	w.compareHolders(inQueues[w.r.IntN(len(inQueues))])
	for range 2 {
		w.compareReach(ctx, v, authz.Permissions()[w.r.IntN(len(authz.Permissions()))])
	}
	w.compareRows(ctx, viewer)
	w.compareDesk(ctx, viewer, nil)
	w.compareSearch(ctx, viewer)
	under := w.anyGroup()
	w.compareDesk(ctx, viewer, &under)
}

// compareOther is the check of somebody who is loaded together with everybody else, to be told about and not to ask.
func (w *world) compareOther() {
	w.t.Helper()
	all, err := w.dir.LoadViewers(context.Background(), w.db.Read, w.id, w.userIDs(), w.now)
	w.must(err)
	w.comparePoints(all[w.pick(w.userIDs())], authz.Permissions()[w.r.IntN(len(authz.Permissions()))])
}

// comparePoints is the check of one permission at everything.
func (w *world) comparePoints(v *authz.Viewer, p authz.Permission) {
	w.t.Helper()
	for _, t := range w.targets() {
		w.tally.decisions++
		at := w.target(t)
		should, is := w.facts.can(v.UserID, p.String(), t, w.now), v.Can(p, at)
		if should != is {
			w.fail("%s holds %s over %s: the naive evaluator says %v, the check says %v", w.called(target{user: v.UserID}), p, w.called(t), should, is)
		}
		if explained := len(v.Why(p, at)) > 0; explained != is {
			w.fail("%s holds %s over %s: %v, and the explanation says %v", w.called(target{user: v.UserID}), p, w.called(t), is, explained)
		}
	}
}

// inQueues are the permissions that offers and escalation are about, which deserve to be looked at more often than others.
var inQueues = []authz.Permission{authz.QueueView, authz.QueueClaim, authz.ConversationsView, authz.ConversationsReply}

// compareHolders is who is proposed as a holder of the permission at something: everybody who holds it and is let in.
func (w *world) compareHolders(p authz.Permission) {
	w.t.Helper()
	targets := w.targets()
	for range 3 {
		t := targets[w.r.IntN(len(targets))]
		if w.chance(2) {
			t = target{contact: w.pick(w.contactIDs())}
		}
		narrow, err := w.dir.MayHold(context.Background(), w.db.Read, w.id, authz.SetOf(p), w.target(t), w.now)
		w.must(err)
		proposed, err := w.db.Read.User.Query().Where(predicate.User(narrow)).IDs(trusted())
		w.must(err)
		for _, u := range w.userIDs() {
			w.tally.decisions++
			if w.facts.mayAsk(u) && w.facts.can(u, p.String(), t, w.now) && !slices.Contains(proposed, u) {
				w.fail("%s holds %s over %s, and is not among those who come into question", w.called(target{user: u}), p, w.called(t))
			}
		}
	}
}

// compareReach is what a permission reaches as the row rules say it.
func (w *world) compareReach(ctx context.Context, v *authz.Viewer, p authz.Permission) {
	w.t.Helper()
	now, name := w.now, p.String()
	groups, err := w.db.Read.Group.Query().Where(predicate.Group(rule.GroupsWith(ctx, p))).IDs(trusted())
	w.must(err)
	w.same(v.UserID, "groups reached by "+name, groups, w.groupIDs(), func(id int64) bool { return w.facts.can(v.UserID, name, target{group: id}, now) })
	contacts, err := w.db.Read.Contact.Query().Where(predicate.Contact(rule.ContactsReached(ctx, p))).IDs(trusted())
	w.must(err)
	w.same(v.UserID, "contacts reached by "+name, contacts, w.contactIDs(), func(id int64) bool { return w.facts.can(v.UserID, name, target{contact: id}, now) })
}

// compareRows is what plain queries find for the viewer, and how many they count.
func (w *world) compareRows(ctx context.Context, viewer int64) {
	w.t.Helper()
	c, a, now := w.db.Read, w.facts, w.now
	both := func(what string, ids func(context.Context) ([]int64, error), count func(context.Context) (int, error), ctx context.Context, all []int64, is func(id int64) bool) {
		w.t.Helper()
		found, err := ids(ctx)
		w.must(err)
		w.same(viewer, what, found, all, is)
		n, err := count(ctx)
		w.must(err)
		w.counts(viewer, what, n, len(found))
	}
	both("groups", c.Group.Query().IDs, c.Group.Query().Count, ctx, w.groupIDs(), func(id int64) bool { return a.seesGroup(viewer, id, now) })
	both("users", c.User.Query().IDs, c.User.Query().Count, ctx, w.userIDs(), func(id int64) bool { return a.seesUser(viewer, id, now) })
	both("cards", c.User.Query().IDs, c.User.Query().Count, rule.AsCards(ctx), w.userIDs(), func(id int64) bool { return a.seesCard(viewer, id, now) })
	both("contacts", c.Contact.Query().IDs, c.Contact.Query().Count, ctx, w.contactIDs(), func(id int64) bool { return a.seesContact(viewer, id, now) })
	both("conversations", c.Conversation.Query().IDs, c.Conversation.Query().Count, ctx, slices.Collect(maps.Keys(w.talks)),
		func(id int64) bool { return a.seesConversations(viewer, w.talks[id], now) })
	both("roles", c.Role.Query().IDs, c.Role.Query().Count, ctx, w.roleIDs(), func(id int64) bool { return a.seesRole(viewer, id, now) })
	grants := map[int64]grant{}
	for _, g := range a.grants {
		grants[g.id] = g
	}
	both("grants", c.RoleGrant.Query().IDs, c.RoleGrant.Query().Count, ctx, slices.Collect(maps.Keys(grants)),
		func(id int64) bool { return a.seesGrant(viewer, grants[id], now) })
	audited, err := c.AuditEvent.Query().Exist(ctx)
	w.must(err)
	w.tally.decisions++
	if audited != a.can(viewer, "AUDIT_VIEW", target{}, now) {
		w.fail("%s sees the audit trail: %v", w.called(target{user: viewer}), audited)
	}
}

// compareDesk is the list of contacts and the boxes of the inbox, of a branch or of everything, page by page.
func (w *world) compareDesk(ctx context.Context, viewer int64, under *int64) {
	w.t.Helper()
	a, now := w.facts, w.now
	if under != nil && !a.seesGroup(viewer, *under, now) {
		_, err := w.desk.Contacts(ctx, desk.ContactsQuery{Under: under, First: 10})
		w.tally.decisions++
		if !errors.Is(err, refusal.NotFound("group")) {
			w.fail("%s lists the contacts under %s, which they do not see: %v", w.called(target{user: viewer}), w.called(target{group: *under}), err)
		}
		return
	}
	within := func(id int64) bool { return under == nil || a.isAtOrAbove(*under, a.contacts[id].group) }
	where := ""
	if under != nil {
		where = " under " + w.called(target{group: *under})
	}
	ids := w.paged(func(after *desk.Position) (*desk.Page, error) {
		return w.desk.Contacts(ctx, desk.ContactsQuery{Under: under, After: after, First: 9})
	})
	w.same(viewer, "the list of contacts"+where, ids, w.contactIDs(), func(id int64) bool { return within(id) && a.seesContact(viewer, id, now) })
	n, err := w.desk.ContactsCount(ctx, desk.ContactsQuery{Under: under, First: 1})
	w.must(err)
	w.counts(viewer, "the list of contacts"+where, n, len(ids))
	for _, box := range boxes {
		ids := w.paged(func(after *desk.Position) (*desk.Page, error) {
			return w.desk.Inbox(ctx, desk.Query{Box: box, Under: under, After: after, First: 9})
		})
		w.same(viewer, fmt.Sprint("the box ", box, where), ids, w.contactIDs(), func(id int64) bool { return within(id) && a.inBox(string(box), viewer, id, now) })
		n, err := w.desk.InboxCount(ctx, desk.Query{Box: box, Under: under, First: 1})
		w.must(err)
		w.counts(viewer, fmt.Sprint("the box ", box, where), n, len(ids))
	}
}

// compareSearch: a phone number finds its contact for those who see the contact and the number.
func (w *world) compareSearch(ctx context.Context, viewer int64) {
	w.t.Helper()
	id := w.near(w.contactIDs(), func(id int64) bool { return w.facts.seesContact(viewer, id, w.now) })
	if w.phones[id] == "" {
		return
	}
	found, err := w.desk.Contacts(ctx, desk.ContactsQuery{Search: w.phones[id], First: 5})
	w.must(err)
	w.tally.decisions++
	should := w.facts.seesContact(viewer, id, w.now) && w.facts.can(viewer, "CUSTOMER_DATA_VIEW", target{contact: id}, w.now)
	if is := len(found.Entries) == 1 && found.Entries[0].Contact.ID == id; is != should {
		w.fail("%s finds contact %d by its phone number: %v, and the naive evaluator says %v", w.called(target{user: viewer}), id, is, should)
	}
}

var boxes = []desk.Box{desk.BoxYou, desk.BoxTeammates, desk.BoxQueue, desk.BoxClosed}

// paged reads a list to its end.
func (w *world) paged(page func(after *desk.Position) (*desk.Page, error)) (ids []int64) {
	w.t.Helper()
	var after *desk.Position
	for {
		p, err := page(after)
		w.must(err)
		for _, e := range p.Entries {
			ids = append(ids, e.Contact.ID)
			after = &e.Position
		}
		if !p.More {
			return ids
		}
	}
}

// same compares a list with what should be in it, out of all that there is.
func (w *world) same(viewer int64, what string, ids, all []int64, should func(id int64) bool) {
	w.t.Helper()
	listed := map[int64]bool{}
	for _, id := range ids {
		if listed[id] || !slices.Contains(all, id) {
			w.fail("%s, %s: %d is there twice, or not of this account", w.called(target{user: viewer}), what, id)
		}
		listed[id] = true
	}
	for _, id := range all {
		w.tally.decisions++
		if should(id) != listed[id] {
			w.fail("%s, %s: %d is listed: %v, and the naive evaluator says %v", w.called(target{user: viewer}), what, id, listed[id], should(id))
		}
	}
}

func (w *world) counts(viewer int64, what string, counted, listed int) {
	w.t.Helper()
	w.tally.decisions++
	if counted != listed {
		w.fail("%s, %s: %d are counted and %d listed", w.called(target{user: viewer}), what, counted, listed)
	}
}
