package graph_test

import (
	"context"
	"slices"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/relay"
)

// oracle says what a user sees and may do in a world, from the rows of the world and the words of the domain alone: no
// viewer, no reach, no rule and no directive takes part. What the built-in roles hold it takes from the chart, which has
// a test of its own in authz.
type oracle struct {
	accounts      map[int64]*ent.Account
	groups        map[int64]*ent.Group
	requests      map[int64]*ent.GroupRequest
	moves         map[int64]*ent.GroupMove
	users         map[int64]*ent.User
	sessions      map[int64]*ent.Session
	roles         map[int64]*ent.Role
	grants        map[int64]*ent.RoleGrant
	contacts      map[int64]*ent.Contact
	assignments   map[int64]*ent.ContactAssignment
	conversations map[int64]*ent.Conversation
	messages      map[int64]*ent.Message
	entries       map[int64]*ent.HistoryEntry
	notes         map[int64]*ent.Note
	tags          map[int64]*ent.Tag
	events        map[int64]*ent.AuditEvent
}

// oracle reads the world as it is now.
func (w *world) oracle() *oracle {
	w.t.Helper()
	ctx, c := authz.Trusted(context.Background()), w.db.Read
	return &oracle{
		accounts:      rowsByID(c.Account.Query().AllX(ctx), func(r *ent.Account) int64 { return r.ID }),
		groups:        rowsByID(c.Group.Query().AllX(ctx), func(r *ent.Group) int64 { return r.ID }),
		requests:      rowsByID(c.GroupRequest.Query().AllX(ctx), func(r *ent.GroupRequest) int64 { return r.ID }),
		moves:         rowsByID(c.GroupMove.Query().AllX(ctx), func(r *ent.GroupMove) int64 { return r.ID }),
		users:         rowsByID(c.User.Query().AllX(ctx), func(r *ent.User) int64 { return r.ID }),
		sessions:      rowsByID(c.Session.Query().AllX(ctx), func(r *ent.Session) int64 { return r.ID }),
		roles:         rowsByID(c.Role.Query().WithMayGive().AllX(ctx), func(r *ent.Role) int64 { return r.ID }),
		grants:        rowsByID(c.RoleGrant.Query().AllX(ctx), func(r *ent.RoleGrant) int64 { return r.ID }),
		contacts:      rowsByID(c.Contact.Query().AllX(ctx), func(r *ent.Contact) int64 { return r.ID }),
		assignments:   rowsByID(c.ContactAssignment.Query().AllX(ctx), func(r *ent.ContactAssignment) int64 { return r.ID }),
		conversations: rowsByID(c.Conversation.Query().AllX(ctx), func(r *ent.Conversation) int64 { return r.ID }),
		messages:      rowsByID(c.Message.Query().AllX(ctx), func(r *ent.Message) int64 { return r.ID }),
		entries:       rowsByID(c.HistoryEntry.Query().AllX(ctx), func(r *ent.HistoryEntry) int64 { return r.ID }),
		notes:         rowsByID(c.Note.Query().AllX(ctx), func(r *ent.Note) int64 { return r.ID }),
		tags:          rowsByID(c.Tag.Query().AllX(ctx), func(r *ent.Tag) int64 { return r.ID }),
		events:        rowsByID(c.AuditEvent.Query().AllX(ctx), func(r *ent.AuditEvent) int64 { return r.ID }),
	}
}

func rowsByID[T any](rows []T, id func(T) int64) map[int64]T {
	found := make(map[int64]T, len(rows))
	for _, r := range rows {
		found[id(r)] = r
	}
	return found
}

// ids are all things of the world, by kind and in order.
func (o *oracle) ids() []relay.ID {
	var all []relay.ID
	add := func(kind relay.Kind, n int64) { all = append(all, relay.NewID(kind, n)) }
	for id := range o.accounts {
		add(relay.KindAccount, id)
	}
	for id := range o.groups {
		add(relay.KindGroup, id)
	}
	for id := range o.requests {
		add(relay.KindGroupRequest, id)
	}
	for id := range o.moves {
		add(relay.KindGroupMove, id)
	}
	for id := range o.users {
		add(relay.KindUser, id)
		add(relay.KindAgent, id)
	}
	for id := range o.sessions {
		add(relay.KindSession, id)
	}
	for id := range o.roles {
		add(relay.KindRole, id)
	}
	for id := range o.grants {
		add(relay.KindRoleGrant, id)
	}
	for id := range o.contacts {
		add(relay.KindContact, id)
	}
	for id := range o.assignments {
		add(relay.KindContactAssignment, id)
	}
	for id := range o.conversations {
		add(relay.KindConversation, id)
	}
	for id := range o.messages {
		add(relay.KindMessage, id)
	}
	for id := range o.entries {
		add(relay.KindHistoryEntry, id)
	}
	for id := range o.notes {
		add(relay.KindNote, id)
	}
	for id := range o.tags {
		add(relay.KindTag, id)
	}
	for id := range o.events {
		add(relay.KindAuditEvent, id)
	}
	slices.SortFunc(all, func(a, b relay.ID) int {
		if a.Kind() != b.Kind() {
			return int(a.Kind()) - int(b.Kind())
		}
		return int(a.As(a.Kind()) - b.As(b.Kind()))
	})
	return all
}

// spot is what a permission is asked for; a spot without a group is the account itself.
type spot struct {
	group    int64
	contact  bool
	assignee int64 // of a contact
	offered  int64 // of a contact: to whom
	above    int64 // of a contact: in whose queue it waits too
	user     int64 // whose record it is
}

// line is the group with all that is above it, the root last.
func (o *oracle) line(id int64) []*ent.Group {
	var line []*ent.Group
	for g := o.groups[id]; g != nil; {
		line = append(line, g)
		if g.ParentID == nil {
			break
		}
		g = o.groups[*g.ParentID]
	}
	return line
}

// root is the root of the user's account.
func (o *oracle) root(user int64) int64 {
	line := o.line(o.users[user].HomeGroupID)
	return line[len(line)-1].ID
}

// below says whether the group is the other one or below it.
func (o *oracle) below(id, above int64) bool {
	return slices.ContainsFunc(o.line(id), func(g *ent.Group) bool { return g.ID == above })
}

// walled says whether a private branch begins below the upper group on the way down to the group.
func (o *oracle) walled(id, upper int64) bool {
	for _, g := range o.line(id) {
		if g.ID == upper {
			return false
		}
		if g.Visibility == group.VisibilityRESTRICTED {
			return true
		}
	}
	return false
}

func (o *oracle) sharedInbox(id int64) bool {
	for _, g := range o.line(id) {
		if g.SharedInbox != nil {
			return *g.SharedInbox
		}
	}
	return false
}

func (o *oracle) manual(id int64) bool {
	for _, g := range o.line(id) {
		if g.AssignmentMode != nil {
			return *g.AssignmentMode == group.AssignmentModeMANUAL
		}
	}
	return false
}

// inForce are the grants of the user that count.
func (o *oracle) inForce(user int64) []*ent.RoleGrant {
	var list []*ent.RoleGrant
	for _, g := range o.grants {
		if g.UserID == user && g.RevokedAt == nil && !g.ValidFrom.After(now) && (g.ValidUntil == nil || g.ValidUntil.After(now)) {
			list = append(list, g)
		}
	}
	return list
}

// mayGive says whether a role that the user holds lists the role, for who assigns roles anywhere.
func (o *oracle) mayGive(user, role int64) bool {
	assigns, listed := false, false
	for _, g := range o.inForce(user) {
		for _, p := range o.pairs(g) {
			assigns = assigns || p.Permission == authz.RolesAssign
		}
		for _, r := range o.roles[g.RoleID].Edges.MayGive {
			listed = listed || r.ID == role
		}
	}
	return assigns && listed
}

// pairs are what the role of a grant gives.
func (o *oracle) pairs(g *ent.RoleGrant) []authz.Pair {
	role := o.roles[g.RoleID]
	if role.Key != nil {
		built, _ := authz.BuiltInRole(*role.Key)
		return built.Pairs.List()
	}
	if !o.accounts[role.AccountID].CustomRolesEnabled {
		return nil
	}
	return role.Pairs
}

// place is where a grant stands.
func (o *oracle) place(g *ent.RoleGrant) int64 {
	if g.GroupID != nil {
		return *g.GroupID
	}
	return o.users[g.UserID].HomeGroupID
}

// holds says whether the user has the permission at the spot, which is one of their account.
func (o *oracle) holds(user int64, p authz.Permission, at spot) bool {
	queue := p == authz.QueueView || p == authz.QueueClaim
	if queue && at.contact && at.assignee != 0 {
		return false
	}
	for _, g := range o.inForce(user) {
		for _, pair := range o.pairs(g) {
			if pair.Permission == p && o.reached(user, pair.Scope, o.place(g), at) {
				return true
			}
			if pair.Permission == p && o.offeredOrEscalated(user, p, pair.Scope, o.place(g), at) {
				return true
			}
		}
	}
	return false
}

// offeredOrEscalated is ruling 20, and the queue of the group above in which a contact waits too.
func (o *oracle) offeredOrEscalated(user int64, p authz.Permission, scope authz.Scope, place int64, at spot) bool {
	queue := p == authz.QueueView || p == authz.QueueClaim
	if at.offered == user && (queue || p == authz.ConversationsView || p == authz.ConversationsReply) &&
		(scope == authz.ScopeAssigned || scope == authz.ScopeTeam || scope == authz.ScopeQueue) {
		return true
	}
	return queue && at.above != 0 && scope != authz.ScopeSubtree && o.reached(user, scope, place, spot{group: at.above, contact: true})
}

// reached says what each scope means (section 3 of the domain).
func (o *oracle) reached(user int64, scope authz.Scope, place int64, at spot) bool {
	mine := at.contact && at.assignee == user
	switch scope {
	case authz.ScopeAccount:
		return true
	case authz.ScopeSubtree:
		return at.group != 0 && o.below(at.group, place) && !o.walled(at.group, place)
	case authz.ScopeGroup:
		return at.group == place
	case authz.ScopeTeam:
		return mine || at.group == place && o.sharedInbox(place)
	case authz.ScopeQueue:
		return at.contact && at.assignee == 0 && o.below(place, at.group) && o.manual(at.group)
	case authz.ScopeAssigned:
		return mine
	case authz.ScopeSelf:
		return at.user == user
	}
	return false
}

// somewhere says whether the user has the permission at all.
func (o *oracle) somewhere(user int64, p authz.Permission) bool {
	for _, g := range o.inForce(user) {
		for _, pair := range o.pairs(g) {
			if pair.Permission == p {
				return true
			}
		}
	}
	return false
}

func (o *oracle) atContact(id int64) spot {
	c := o.contacts[id]
	at := spot{group: c.GroupID, contact: true}
	if c.AssignedUserID != nil {
		at.assignee = *c.AssignedUserID
	}
	if c.OfferedToID != nil && c.OfferEndsAt.After(now) {
		at.offered = *c.OfferedToID
	}
	if c.EscalatedToID != nil {
		at.above = *c.EscalatedToID
	}
	return at
}

// spotOf is where a permission on a thing is needed.
func (o *oracle) spotOf(id relay.ID) spot {
	n := id.As(id.Kind())
	switch id.Kind() {
	case relay.KindGroup:
		return spot{group: n}
	case relay.KindUser, relay.KindAgent:
		return spot{group: o.users[n].HomeGroupID, user: n}
	case relay.KindRoleGrant:
		return spot{group: o.place(o.grants[n])}
	case relay.KindContact:
		return o.atContact(n)
	case relay.KindConversation:
		return o.atContact(o.conversations[n].ContactID)
	}
	return spot{}
}

// accountOf is whose a thing is.
func (o *oracle) accountOf(id relay.ID) int64 {
	n := id.As(id.Kind())
	switch id.Kind() {
	case relay.KindAccount:
		return n
	case relay.KindGroup:
		return o.groups[n].AccountID
	case relay.KindGroupRequest:
		return o.requests[n].AccountID
	case relay.KindGroupMove:
		return o.moves[n].AccountID
	case relay.KindUser, relay.KindAgent:
		return o.users[n].AccountID
	case relay.KindSession:
		return o.sessions[n].AccountID
	case relay.KindRole:
		return o.roles[n].AccountID
	case relay.KindRoleGrant:
		return o.grants[n].AccountID
	case relay.KindContact:
		return o.contacts[n].AccountID
	case relay.KindContactAssignment:
		return o.assignments[n].AccountID
	case relay.KindConversation:
		return o.conversations[n].AccountID
	case relay.KindMessage:
		return o.messages[n].AccountID
	case relay.KindHistoryEntry:
		return o.entries[n].AccountID
	case relay.KindNote:
		return o.notes[n].AccountID
	case relay.KindTag:
		return o.tags[n].AccountID
	case relay.KindAuditEvent:
		return o.events[n].AccountID
	}
	return 0
}

// sees says whether the thing is there for the user.
func (o *oracle) sees(user int64, id relay.ID) bool {
	if o.accountOf(id) != o.users[user].AccountID {
		return false
	}
	n, home := id.As(id.Kind()), o.users[user].HomeGroupID
	switch id.Kind() {
	case relay.KindAccount:
		return true
	case relay.KindGroup:
		return n == home || o.holds(user, authz.GroupsView, spot{group: n})
	case relay.KindGroupRequest:
		return o.requests[n].RequestedByID == user || o.holds(user, authz.GroupsCreate, spot{group: o.requests[n].ParentID})
	case relay.KindGroupMove:
		return o.sees(user, relay.NewID(relay.KindGroup, o.moves[n].GroupID))
	case relay.KindUser:
		return n == user || o.holds(user, authz.UsersView, o.spotOf(id))
	case relay.KindAgent:
		return o.seesCard(user, n)
	case relay.KindSession:
		return o.sessions[n].UserID == user
	case relay.KindRole:
		return o.roles[n].Key != nil || o.holds(user, authz.RolesView, spot{}) || o.everHeld(user, n) || o.mayGive(user, n)
	case relay.KindRoleGrant:
		return o.grants[n].UserID == user || o.holds(user, authz.RolesView, o.spotOf(id)) || o.holds(user, authz.RolesAssign, o.spotOf(id))
	case relay.KindContact:
		return o.seesTalk(user, n) || o.holds(user, authz.ContactsView, o.atContact(n))
	case relay.KindContactAssignment:
		return o.seesTalk(user, o.assignments[n].ContactID)
	case relay.KindConversation:
		return o.seesTalk(user, o.conversations[n].ContactID)
	case relay.KindMessage:
		return o.seesTalk(user, o.conversations[o.messages[n].ConversationID].ContactID)
	case relay.KindHistoryEntry:
		return o.seesTalk(user, o.entries[n].ContactID)
	case relay.KindNote:
		return o.seesTalk(user, o.conversations[o.notes[n].ConversationID].ContactID)
	case relay.KindTag:
		return o.seesTags(user)
	case relay.KindAuditEvent:
		return o.holds(user, authz.AuditView, spot{})
	}
	return false
}

// seesTags is for who sees conversations anywhere, and for who manages the account's tags.
func (o *oracle) seesTags(user int64) bool {
	return o.somewhere(user, authz.ConversationsView) || o.somewhere(user, authz.QueueView) || o.holds(user, authz.InboxSettingsEdit, spot{})
}

func (o *oracle) seesTalk(user, contact int64) bool {
	at := o.atContact(contact)
	return o.holds(user, authz.ConversationsView, at) || o.holds(user, authz.QueueView, at)
}

// everHeld is true for a role that the user holds, held or is to hold.
func (o *oracle) everHeld(user, role int64) bool {
	for _, g := range o.grants {
		if g.UserID == user && g.RoleID == role {
			return true
		}
	}
	return false
}

// seesCard is ruling 6: the own card, those of the home group, those of the agent panel, and whose contact one sees.
func (o *oracle) seesCard(viewer, agent int64) bool {
	u := o.users[agent]
	if u.Status != user.StatusACTIVE || !o.somewhere(agent, authz.ConversationsReply) {
		return false
	}
	if agent == viewer || u.HomeGroupID == o.users[viewer].HomeGroupID ||
		o.holds(viewer, authz.AgentPanelView, spot{group: u.HomeGroupID, user: agent}) {
		return true
	}
	for id, c := range o.contacts {
		if c.AssignedUserID != nil && *c.AssignedUserID == agent && o.sees(viewer, relay.NewID(relay.KindContact, id)) {
			return true
		}
	}
	return false
}

// seesKind says whether the user sees all things of the kind that the account has, those that are gone included.
func (o *oracle) seesKind(user int64, kind relay.Kind) bool {
	var any []authz.Permission
	switch kind {
	case relay.KindAccount:
		return true
	case relay.KindTag:
		return o.seesTags(user)
	case relay.KindGroup, relay.KindGroupRequest, relay.KindGroupMove:
		any = []authz.Permission{authz.GroupsView}
	case relay.KindUser, relay.KindSession:
		any = []authz.Permission{authz.UsersView}
	case relay.KindRole, relay.KindRoleGrant:
		any = []authz.Permission{authz.RolesView}
	case relay.KindContact, relay.KindContactAssignment, relay.KindConversation, relay.KindMessage, relay.KindHistoryEntry, relay.KindNote:
		any = []authz.Permission{authz.ConversationsView, authz.ContactsView}
	}
	return slices.ContainsFunc(any, func(p authz.Permission) bool { return o.holds(user, p, spot{}) })
}
