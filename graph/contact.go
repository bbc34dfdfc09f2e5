package graph

import (
	"cmp"
	"context"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversation"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/internal/mask"
	"canopy/relay"
)

type (
	contactResolver           struct{ *resolver }
	contactAssignmentResolver struct{ *resolver }
	offerResolver             struct{ *resolver }
)

func (r *queryResolver) Contact(ctx context.Context, id relay.ID) (*ent.Contact, error) {
	return one(ctx, r.DB.Read, contactRows, id.As(relay.KindContact), "contact")
}

func (r *queryResolver) Contacts(ctx context.Context, under *relay.ID, search *string, first *int, after *string) (*relay.Connection[*ent.Contact], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	at, err := p.position(orderOfContacts)
	if err != nil {
		return nil, err
	}
	text, err := searchText(search)
	if err != nil {
		// A group that is not there comes before a text that nobody may search for.
		_, missing := r.under(ctx, under)
		return nil, cmp.Or(missing, err)
	}
	query := desk.ContactsQuery{Under: numberOf(under, relay.KindGroup), Search: text, After: at, First: p.first}
	found, err := r.Desk.Contacts(ctx, query)
	if err != nil {
		return nil, err
	}
	connection := contactPage(found, p, orderOfContacts)
	if p.total {
		connection.TotalCount, err = r.Desk.ContactsCount(ctx, query)
	}
	return connection, err
}

func (r *queryResolver) Inbox(ctx context.Context, box model.InboxBox, under, tagID *relay.ID, priority *conversation.Priority, snoozed *bool, first *int, after *string) (*relay.Connection[*ent.Contact], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	order := ordersOfBoxes[box]
	at, err := p.position(order)
	if err != nil {
		return nil, err
	}
	query := desk.Query{Box: desk.Box(box), Under: numberOf(under, relay.KindGroup), After: at, First: p.first,
		Filter: desk.Filter{TagID: numberOf(tagID, relay.KindTag), Priority: priority, Snoozed: snoozed}}
	found, err := r.Desk.Inbox(ctx, query)
	if err != nil {
		return nil, err
	}
	connection := contactPage(found, p, order)
	if p.total {
		connection.TotalCount, err = r.Desk.InboxCount(ctx, query)
	}
	return connection, err
}

func (r *queryResolver) InboxCounts(ctx context.Context, under *relay.ID) (*model.InboxCounts, error) {
	n, err := r.Desk.InboxCounts(ctx, numberOf(under, relay.KindGroup))
	if err != nil {
		return nil, err
	}
	of := func(c desk.Count) *model.BoxCount { return &model.BoxCount{Count: c.Contacts, More: c.More} }
	return &model.InboxCounts{You: of(n.You), Unread: of(n.Unread), Queue: of(n.Queue), Teammates: of(n.Teammates), Closed: of(n.Closed)}, nil
}

// position is the place after which a page of contacts begins, nil for the start.
func (p page) position(order relay.Order) (*desk.Position, error) {
	if p.after == nil {
		return nil, nil
	}
	at, err := parseCursor(*p.after, order)
	if err != nil {
		return nil, err
	}
	return &desk.Position{SortKey: at.Number, ContactID: at.ID}, nil
}

func contactPage(found *desk.Page, p page, order relay.Order) *relay.Connection[*ent.Contact] {
	contacts := make([]*ent.Contact, len(found.Entries))
	positions := make(map[int64]relay.Position, len(found.Entries))
	for i, e := range found.Entries {
		contacts[i] = e.Contact
		positions[e.Contact.ID] = relay.Position{Order: order, Number: e.Position.SortKey, ID: e.Position.ContactID}
	}
	return relay.NewConnection(contacts, found.More, p.after != nil, func(c *ent.Contact) relay.Position { return positions[c.ID] })
}

func (r *contactResolver) Phone(ctx context.Context, c *ent.Contact) (*string, error) {
	return r.shown(ctx, c, c.Phone, mask.Phone)
}

func (r *contactResolver) Email(ctx context.Context, c *ent.Contact) (*string, error) {
	return r.shown(ctx, c, c.Email, mask.Email)
}

func (r *contactResolver) Masked(ctx context.Context, c *ent.Contact) (bool, error) {
	return take[bool](ctx, r.resolver, c)
}

func (r *contactResolver) Group(ctx context.Context, c *ent.Contact) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, c)
}

func (r *contactResolver) ArrivalGroup(ctx context.Context, c *ent.Contact) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, c)
}

func (r *contactResolver) Agent(ctx context.Context, c *ent.Contact) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, c)
}

func (r *contactResolver) Conversation(ctx context.Context, c *ent.Contact) (*ent.Conversation, error) {
	return take[*ent.Conversation](ctx, r.resolver, c)
}

func (r *contactResolver) Conversations(ctx context.Context, c *ent.Contact, _ *int, _ *string) (*relay.Connection[*ent.Conversation], error) {
	return take[*relay.Connection[*ent.Conversation]](ctx, r.resolver, c)
}

func (r *contactResolver) Assignments(ctx context.Context, c *ent.Contact, _ *int, _ *string) (*relay.Connection[*ent.ContactAssignment], error) {
	return take[*relay.Connection[*ent.ContactAssignment]](ctx, r.resolver, c)
}

func (r *contactResolver) Offer(ctx context.Context, c *ent.Contact) (*bind.Offer, error) {
	return take[*bind.Offer](ctx, r.resolver, c)
}

func (r *contactResolver) EscalatedTo(ctx context.Context, c *ent.Contact) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, c)
}

func (r *offerResolver) Agent(ctx context.Context, o *bind.Offer) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, o)
}

func (r *contactResolver) ViewerPermissions(ctx context.Context, c *ent.Contact) ([]authz.Permission, error) {
	return take[[]authz.Permission](ctx, r.resolver, c)
}

func (r *contactAssignmentResolver) Contact(ctx context.Context, a *ent.ContactAssignment) (*ent.Contact, error) {
	return take[*ent.Contact](ctx, r.resolver, a)
}

func (r *contactAssignmentResolver) Agent(ctx context.Context, a *ent.ContactAssignment) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, a)
}

func (r *contactAssignmentResolver) AssignedBy(ctx context.Context, a *ent.ContactAssignment) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, a)
}

func (r *resolver) contactLoaders() map[string]anyLoader {
	conversations := nested[*ent.Conversation]{list: conversationsNewestFirst(), relation: ofContact}
	assignments := nested[*ent.ContactAssignment]{list: assignmentsNewestFirst(), relation: ofContact}
	hidden := loader[*ent.Contact, bool]{numberOfNode[*ent.Contact], r.hiddenAddresses}
	return map[string]anyLoader{
		"phone":             hidden,
		"email":             hidden,
		"masked":            hidden,
		"group":             toOne(r, groupRows, to(func(c *ent.Contact) int64 { return c.GroupID })),
		"arrivalGroup":      toOne(r, groupRows, to(func(c *ent.Contact) int64 { return c.ArrivalGroupID })),
		"agent":             toOne(r, agentRows, func(c *ent.Contact) *int64 { return c.AssignedUserID }),
		"conversation":      loader[*ent.Contact, *ent.Conversation]{numberOfNode[*ent.Contact], r.lastConversations},
		"conversations":     toMany[*ent.Contact](r, conversations, func(v *ent.Conversation) int64 { return v.ContactID }),
		"assignments":       toMany[*ent.Contact](r, assignments, func(a *ent.ContactAssignment) int64 { return a.ContactID }),
		"history":           toMany[*ent.Contact](r, nested[*ent.HistoryEntry]{list: historyOldestFirst(), relation: ofContact}, func(e *ent.HistoryEntry) int64 { return e.ContactID }),
		"offer":             loader[*ent.Contact, *bind.Offer]{numberOfNode[*ent.Contact], r.offers},
		"escalatedTo":       toOne(r, groupRows, func(c *ent.Contact) *int64 { return c.EscalatedToID }),
		"viewerPermissions": loader[*ent.Contact, []authz.Permission]{numberOfNode[*ent.Contact], r.contactPermissions},
	}
}

func (r *resolver) contactAssignmentLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"contact":    toOne(r, contactRows, to(func(a *ent.ContactAssignment) int64 { return a.ContactID })),
		"agent":      toOne(r, agentRows, to(func(a *ent.ContactAssignment) int64 { return a.UserID })),
		"assignedBy": toOne(r, agentRows, func(a *ent.ContactAssignment) *int64 { return a.AssignedByID }),
		"origin":     loader[*ent.ContactAssignment, *ent.HistoryEntry]{numberOfNode[*ent.ContactAssignment], r.origins},
	}
}

// offers are those that last, for whoever is asked and for those who decide who serves the contact.
func (r *resolver) offers(ctx context.Context, contacts []*ent.Contact, _ asked) (map[int64]*bind.Offer, error) {
	places, err := r.places(ctx, groupsOf(contacts))
	v, offers := authz.FromContext(ctx), map[int64]*bind.Offer{}
	for _, c := range contacts {
		if !isOffered(v, c) || c.AssignedUserID != nil {
			continue
		}
		if *c.OfferedToID == v.UserID || v.Can(authz.ConversationsAssign, contactTarget(v, c, places)) {
			offers[c.ID] = &bind.Offer{ContactID: c.ID, AgentID: *c.OfferedToID, ExpiresAt: *c.OfferEndsAt}
		}
	}
	return offers, err
}

// offerAgents loads who is asked.
func (r *resolver) offerAgents() loader[*bind.Offer, *bind.Agent] {
	return loader[*bind.Offer, *bind.Agent]{
		key: func(o *bind.Offer) int64 { return o.AgentID },
		load: func(ctx context.Context, offers []*bind.Offer, _ asked) (map[int64]*bind.Agent, error) {
			ids := make([]int64, len(offers))
			for i, o := range offers {
				ids[i] = o.AgentID
			}
			return byID(ctx, r.DB.Read, agentRows, ids)
		},
	}
}

// shown returns an address as the viewer may see it.
func (r *resolver) shown(ctx context.Context, c *ent.Contact, address *string, masked func(string) string) (*string, error) {
	hidden, err := take[bool](ctx, r, c)
	if err != nil || address == nil || !hidden {
		return address, err
	}
	text := masked(*address)
	return &text, nil
}

// contactTarget is the contact as something that permissions are asked for.
func contactTarget(v *authz.Viewer, c *ent.Contact, places map[int64]authz.Place) authz.Target {
	if c.AssignedUserID != nil {
		return authz.AtContact(places[c.GroupID], *c.AssignedUserID)
	}
	t := authz.AtContact(places[c.GroupID], 0)
	if c.EscalatedToID != nil {
		t.Escalated = *c.EscalatedToID
	}
	if isOffered(v, c) {
		t.Offered = *c.OfferedToID
	}
	return t
}

// isOffered says whether somebody was asked, when the request began, whether they take the contact.
func isOffered(v *authz.Viewer, c *ent.Contact) bool {
	return c.OfferedToID != nil && c.OfferEndsAt != nil && v.At.Before(*c.OfferEndsAt)
}

func groupsOf(contacts []*ent.Contact) []int64 {
	ids := make([]int64, len(contacts))
	for i, c := range contacts {
		ids[i] = c.GroupID
	}
	return ids
}

// hiddenAddresses says of which contacts the viewer sees phone and e-mail masked.
func (r *resolver) hiddenAddresses(ctx context.Context, contacts []*ent.Contact, _ asked) (map[int64]bool, error) {
	places, err := r.places(ctx, groupsOf(contacts))
	hidden := make(map[int64]bool, len(contacts))
	for _, c := range contacts {
		hidden[c.ID] = !authz.FromContext(ctx).Can(authz.CustomerDataView, contactTarget(authz.FromContext(ctx), c, places))
	}
	return hidden, err
}

// contactPermissions lists what the viewer holds at each contact, of the permissions that are about contacts.
func (r *resolver) contactPermissions(ctx context.Context, contacts []*ent.Contact, _ asked) (map[int64][]authz.Permission, error) {
	places, err := r.places(ctx, groupsOf(contacts))
	permissions := make(map[int64][]authz.Permission, len(contacts))
	for _, c := range contacts {
		held := []authz.Permission{}
		for _, p := range authz.Permissions() {
			module := p.Definition().Module
			about := module == authz.ModuleService || module == authz.ModuleContacts
			if about && authz.FromContext(ctx).Can(p, contactTarget(authz.FromContext(ctx), c, places)) {
				held = append(held, p)
			}
		}
		permissions[c.ID] = held
	}
	return permissions, err
}

// lastConversations are the newest conversations of contacts. An open one is always the newest.
func (r *resolver) lastConversations(ctx context.Context, contacts []*ent.Contact, _ asked) (map[int64]*ent.Conversation, error) {
	newest := nested[*ent.Conversation]{list: conversationsNewestFirst(), relation: ofContact}
	found, err := newest.first(ctx, r.DB.Read, numbers(contacts), 1, func(v *ent.Conversation) int64 { return v.ContactID })
	last := make(map[int64]*ent.Conversation, len(contacts))
	for id, list := range found {
		if len(list) > 0 {
			last[id] = list[0]
		}
	}
	return last, err
}
