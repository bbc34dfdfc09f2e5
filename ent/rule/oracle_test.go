package rule_test

import (
	"context"
	"testing"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/user"
)

// oracle says which rows a viewer sees, by asking authz for every single row of a company.
type oracle struct {
	v        *authz.Viewer
	places   map[int64]authz.Place
	homes    map[int64]int64 // of users
	serving  map[int64]bool
	contacts map[int64]*ent.Contact
	talks    map[int64]int64 // contacts of conversations
	heldBy   map[int64]map[int64]bool
	lists    map[int64][]*ent.Role
}

// rowsOf are all rows of an entity by id, of all accounts.
type rowsOf map[string]map[int64]any

func collect[T any](t *testing.T, id func(T) int64) func([]T, error) map[int64]any {
	return func(list []T, err error) map[int64]any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		rows := map[int64]any{}
		for _, r := range list {
			rows[id(r)] = r
		}
		return rows
	}
}

// everything reads all rows. The crawl fails for an entity that is missing here.
func everything(t *testing.T, c *ent.Client) rowsOf {
	ctx := authz.Trusted(context.Background())
	return rowsOf{
		"Account": collect(t, func(r *ent.Account) int64 { return r.ID })(c.Account.Query().All(ctx)),
		"Group":   collect(t, func(r *ent.Group) int64 { return r.ID })(c.Group.Query().All(ctx)),
		"GroupRequest": collect(t, func(r *ent.GroupRequest) int64 { return r.ID })(
			c.GroupRequest.Query().All(ctx)),
		"GroupMove": collect(t, func(r *ent.GroupMove) int64 { return r.ID })(c.GroupMove.Query().All(ctx)),
		"User":      collect(t, func(r *ent.User) int64 { return r.ID })(c.User.Query().All(ctx)),
		"Session":   collect(t, func(r *ent.Session) int64 { return r.ID })(c.Session.Query().All(ctx)),
		"ImportRun": collect(t, func(r *ent.ImportRun) int64 { return r.ID })(c.ImportRun.Query().All(ctx)),
		"ReadMark":  collect(t, func(r *ent.ReadMark) int64 { return r.ID })(c.ReadMark.Query().All(ctx)),
		"Role":      collect(t, func(r *ent.Role) int64 { return r.ID })(c.Role.Query().WithMayGive().All(ctx)),
		"RoleGrant": collect(t, func(r *ent.RoleGrant) int64 { return r.ID })(c.RoleGrant.Query().All(ctx)),
		"Contact":   collect(t, func(r *ent.Contact) int64 { return r.ID })(c.Contact.Query().All(ctx)),
		"ContactAssignment": collect(t, func(r *ent.ContactAssignment) int64 { return r.ID })(
			c.ContactAssignment.Query().All(ctx)),
		"Conversation": collect(t, func(r *ent.Conversation) int64 { return r.ID })(
			c.Conversation.Query().All(ctx)),
		"Message": collect(t, func(r *ent.Message) int64 { return r.ID })(c.Message.Query().All(ctx)),
		"Note":    collect(t, func(r *ent.Note) int64 { return r.ID })(c.Note.Query().All(ctx)),
		"Tag":     collect(t, func(r *ent.Tag) int64 { return r.ID })(c.Tag.Query().All(ctx)),
		"ConversationTag": collect(t, func(r *ent.ConversationTag) int64 { return r.ID })(
			c.ConversationTag.Query().All(ctx)),
		"HistoryEntry": collect(t, func(r *ent.HistoryEntry) int64 { return r.ID })(
			c.HistoryEntry.Query().All(ctx)),
		"Cover":      collect(t, func(r *ent.Cover) int64 { return r.ID })(c.Cover.Query().All(ctx)),
		"AuditEvent": collect(t, func(r *ent.AuditEvent) int64 { return r.ID })(c.AuditEvent.Query().All(ctx)),
	}
}

func newOracle(v *authz.Viewer, all rowsOf) *oracle {
	o := &oracle{v: v, places: map[int64]authz.Place{}, homes: map[int64]int64{}, serving: map[int64]bool{}, contacts: map[int64]*ent.Contact{},
		talks: map[int64]int64{}, heldBy: map[int64]map[int64]bool{}, lists: map[int64][]*ent.Role{}}
	for id, r := range all["Group"] {
		g := r.(*ent.Group)
		o.places[id] = authz.Place{GroupID: id, Path: g.Path, Wall: g.Wall}
	}
	for id, r := range all["User"] {
		o.homes[id] = r.(*ent.User).HomeGroupID
	}
	for _, r := range all["RoleGrant"] {
		g, role := r.(*ent.RoleGrant), all["Role"][r.(*ent.RoleGrant).RoleID].(*ent.Role)
		pairs := authz.PairsOf(role.Pairs)
		if role.Key != nil {
			builtIn, _ := authz.BuiltInRole(*role.Key)
			pairs = builtIn.Pairs
		}
		active := all["User"][g.UserID].(*ent.User).Status == user.StatusACTIVE
		if active && pairs.Permissions().Has(authz.ConversationsReply) && g.RevokedAt == nil && !g.ValidFrom.After(v.At) &&
			(g.ValidUntil == nil || g.ValidUntil.After(v.At)) {
			o.serving[g.UserID] = true
		}
	}
	for id, r := range all["Contact"] {
		o.contacts[id] = r.(*ent.Contact)
	}
	for id, r := range all["Conversation"] {
		o.talks[id] = r.(*ent.Conversation).ContactID
	}
	for id, r := range all["Role"] {
		o.lists[id] = r.(*ent.Role).Edges.MayGive
	}
	for _, r := range all["RoleGrant"] {
		g := r.(*ent.RoleGrant)
		if o.heldBy[g.RoleID] == nil {
			o.heldBy[g.RoleID] = map[int64]bool{}
		}
		o.heldBy[g.RoleID][g.UserID] = true
	}
	return o
}

func (o *oracle) at(group int64, p authz.Permission) bool {
	return o.v.Can(p, authz.AtGroup(o.places[group]))
}

func (o *oracle) contact(id int64, permissions ...authz.Permission) bool {
	c := o.contacts[id]
	if c.AccountID != o.v.AccountID {
		return false
	}
	var assignee int64
	if c.AssignedUserID != nil {
		assignee = *c.AssignedUserID
	}
	for _, p := range permissions {
		at := authz.AtContact(o.places[c.GroupID], assignee)
		if c.OfferedToID != nil && c.OfferEndsAt.After(o.v.At) {
			at.Offered = *c.OfferedToID
		}
		if c.EscalatedToID != nil {
			at.Escalated = *c.EscalatedToID
		}
		if o.v.Can(p, at) {
			return true
		}
	}
	return false
}

// mayGive says whether a role that the viewer holds lists the role.
func (o *oracle) mayGive(role int64) bool {
	for _, g := range o.v.Grants {
		for _, listed := range o.lists[g.RoleID] {
			if listed.ID == role && o.v.Permissions().Has(authz.RolesAssign) {
				return true
			}
		}
	}
	return false
}

// card says whether the viewer sees the card of somebody (ruling 6).
func (o *oracle) card(agent int64) bool {
	if !o.serving[agent] {
		return false
	}
	if agent == o.v.UserID || o.homes[agent] == o.v.Home.GroupID || o.v.Can(authz.AgentPanelView, authz.AtUser(o.places[o.homes[agent]], agent)) {
		return true
	}
	for id, c := range o.contacts {
		if c.AssignedUserID != nil && *c.AssignedUserID == agent && o.contact(id, authz.ConversationsView, authz.QueueView, authz.ContactsView) {
			return true
		}
	}
	return false
}

// sees is the "Visible" of each entity in words of authz.
func (o *oracle) sees(row any) bool {
	v, service := o.v, []authz.Permission{authz.ConversationsView, authz.QueueView}
	mine := func(account int64) bool { return account == v.AccountID }
	switch r := row.(type) {
	case *ent.Account:
		return r.ID == v.AccountID
	case *ent.Group:
		return mine(r.AccountID) && (r.ID == v.Home.GroupID || o.at(r.ID, authz.GroupsView))
	case *ent.GroupRequest:
		return mine(r.AccountID) && (r.RequestedByID == v.UserID || o.at(r.ParentID, authz.GroupsCreate))
	case *ent.GroupMove:
		return mine(r.AccountID) && (r.GroupID == v.Home.GroupID || o.at(r.GroupID, authz.GroupsView))
	case *ent.User:
		return mine(r.AccountID) && (r.ID == v.UserID || v.Can(authz.UsersView, authz.AtUser(o.places[r.HomeGroupID], r.ID)))
	case *ent.Session:
		return r.UserID == v.UserID
	case *ent.ReadMark:
		return r.UserID == v.UserID
	case *ent.ImportRun:
		return r.UserID == v.UserID
	case *ent.Role:
		return mine(r.AccountID) && (r.Key != nil || v.CanAccount(authz.RolesView) || o.heldBy[r.ID][v.UserID] || o.mayGive(r.ID))
	case *ent.RoleGrant:
		place := o.homes[r.UserID]
		if r.GroupID != nil {
			place = *r.GroupID
		}
		return mine(r.AccountID) && (r.UserID == v.UserID || o.at(place, authz.RolesView) || o.at(place, authz.RolesAssign))
	case *ent.Contact:
		return o.contact(r.ID, append(service, authz.ContactsView)...)
	case *ent.ContactAssignment:
		return o.contact(r.ContactID, service...)
	case *ent.HistoryEntry:
		return o.contact(r.ContactID, service...)
	case *ent.Cover:
		return mine(r.AccountID) && o.card(r.UserID)
	case *ent.Conversation:
		return o.contact(r.ContactID, service...)
	case *ent.Message:
		return o.contact(o.talks[r.ConversationID], service...)
	case *ent.Note:
		return o.contact(o.talks[r.ConversationID], service...)
	case *ent.ConversationTag:
		return o.contact(o.talks[r.ConversationID], service...)
	case *ent.Tag:
		return mine(r.AccountID) && (v.Permissions().Has(authz.ConversationsView) || v.Permissions().Has(authz.QueueView) ||
			v.CanAccount(authz.InboxSettingsEdit))
	case *ent.AuditEvent:
		return mine(r.AccountID) && v.CanAccount(authz.AuditView)
	}
	panic("an entity without an answer")
}

// visible are the ids of each entity that the viewer sees.
func (o *oracle) visible(all rowsOf) map[string]map[int64]bool {
	seen := map[string]map[int64]bool{}
	for entity, rows := range all {
		seen[entity] = map[int64]bool{}
		for id, r := range rows {
			if o.sees(r) {
				seen[entity][id] = true
			}
		}
	}
	return seen
}
