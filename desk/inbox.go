package desk

import (
	"context"
	"fmt"
	"math"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/rule"
	"canopy/live"
	"canopy/refusal"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// Box is one of the boxes of the inbox, by the name that the API gives it (ruling 4).
type Box string

// The boxes.
const (
	BoxYou       Box = "YOU"       // open and assigned to the viewer; newest first
	BoxQueue     Box = "QUEUE"     // unassigned and reached by QUEUE_VIEW; oldest first
	BoxTeammates Box = "TEAMMATES" // open, assigned to somebody else, reached by CONVERSATIONS_VIEW; newest first
	BoxClosed    Box = "CLOSED"    // no open conversation but an earlier one, reached by CONVERSATIONS_VIEW; newest first
)

// Query asks for a page of a box.
type Query struct {
	Box   Box
	Under *int64 // only this group and what is below it; 0 names nothing
	Filter
	After *Position
	First int // at least 1
}

// ContactsQuery asks for a page of the contact list.
type ContactsQuery struct {
	Under  *int64 // only this group and what is below it; 0 names nothing
	Search string // what the name has in it, or the phone number or e-mail address where the viewer sees those
	After  *Position
	First  int // at least 1
}

// Position is the place of a contact in a list: package tree's sort key, in microseconds since 1970, and the contact.
type Position struct {
	SortKey   int64
	ContactID int64
}

// Entry is a contact in a list.
type Entry struct {
	Contact  *ent.Contact
	Position Position
}

// Page is a page of a list, in its order.
type Page struct {
	Entries []Entry
	More    bool // something follows
}

// MaxCount is where counting ends: it stands for "more than 1000".
const MaxCount = 1001

// Inbox returns a page of a box, as the viewer's permissions reach it. An Under that the viewer does not see is not
// found.
func (s *Service) Inbox(ctx context.Context, q Query) (*Page, error) {
	v, under, err := s.beginBox(ctx, q)
	if err != nil {
		return nil, err
	}
	if q.Box == BoxYou {
		return s.own(ctx, v, under, q)
	}
	return s.page(ctx, s.boxList(v, under, q), q.After, q.First)
}

// InboxCount returns how many contacts the whole box has for the viewer, at most MaxCount.
func (s *Service) InboxCount(ctx context.Context, q Query) (int, error) {
	v, under, err := s.beginBox(ctx, q)
	if err != nil {
		return 0, err
	}
	if q.Box != BoxYou {
		return s.count(ctx, s.boxList(v, under, q))
	}
	ids, err := s.ownQuery(v, under, q).Limit(MaxCount).IDs(ctx)
	return len(ids), err
}

// beginBox is begin for a box, whose filter may name a tag.
func (s *Service) beginBox(ctx context.Context, q Query) (*authz.Viewer, *authz.Place, error) {
	v, under, err := s.begin(ctx, q.Under)
	if err == nil {
		err = s.CheckFilter(ctx, q.Filter)
	}
	return v, under, err
}

// Contacts returns a page of all contacts that the viewer sees, latest movement first: the moment since when a
// contact waits, or its last activity.
func (s *Service) Contacts(ctx context.Context, q ContactsQuery) (*Page, error) {
	l, err := s.contactList(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.page(ctx, l, q.After, q.First)
}

// ContactsCount returns how many contacts the whole list has for the viewer, at most MaxCount.
func (s *Service) ContactsCount(ctx context.Context, q ContactsQuery) (int, error) {
	l, err := s.contactList(ctx, q)
	if err != nil {
		return 0, err
	}
	return s.count(ctx, l)
}

// begin returns the viewer, and the group to which a list is cut, nil for everywhere.
func (s *Service) begin(ctx context.Context, under *int64) (*authz.Viewer, *authz.Place, error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return nil, nil, refusal.NoViewer()
	}
	if under == nil {
		return v, nil, nil
	}
	place, err := s.seen(ctx, v, *under)
	return v, place, refusal.Blame(err, "under")
}

// seen returns where a group stands that the viewer sees.
func (s *Service) seen(ctx context.Context, v *authz.Viewer, id int64) (*authz.Place, error) {
	g, err := s.DB.Read.Group.Query().Where(group.ID(id), group.AccountID(v.AccountID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, refusal.NotFound("group")
	}
	if err != nil {
		return nil, err
	}
	place := rule.PlaceOf(g)
	return &place, nil
}

// boxList is what makes up a box other than YOU.
func (s *Service) boxList(v *authz.Viewer, under *authz.Place, q Query) *list {
	l := newList(v, under)
	l.filter = q.on("c.id", s.now())
	switch q.Box {
	case BoxQueue:
		l.oldestFirst = true
		l.add(authz.QueueView, allBoxes()...)
	case BoxTeammates:
		l.add(authz.ConversationsView, tree.BoxOf(tree.Open, true))
		l.others = true
	case BoxClosed:
		l.add(authz.ConversationsView, tree.BoxOf(tree.Closed, false), tree.BoxOf(tree.Closed, true))
	}
	return l
}

func (s *Service) contactList(ctx context.Context, q ContactsQuery) (*list, error) {
	v, under, err := s.begin(ctx, q.Under)
	if err != nil {
		return nil, err
	}
	if length(q.Search) > maxSearch || !writable(q.Search) {
		return nil, refusal.BadInput("search", "Search for at most %d characters.", maxSearch)
	}
	l := newList(v, under)
	for _, p := range []authz.Permission{authz.ConversationsView, authz.ContactsView, authz.QueueView} {
		l.add(p, allBoxes()...)
	}
	l.filter = s.matches(ctx, q.Search)
	return l, nil
}

func allBoxes() []tree.Box {
	var boxes []tree.Box
	for _, state := range []tree.State{tree.None, tree.Open, tree.Closed} {
		boxes = append(boxes, tree.BoxOf(state, false), tree.BoxOf(state, true))
	}
	return boxes
}

func (s *Service) page(ctx context.Context, l *list, after *Position, first int) (*Page, error) {
	contacts, err := l.read(ctx, s.DB.Keyed, after, first+1)
	if err != nil {
		return nil, fmt.Errorf("desk: loading a page of contacts: %w", err)
	}
	return pageOf(contacts, first), nil
}

// pageOf makes a page of contacts that were asked for one more than the page has.
func pageOf(contacts []*ent.Contact, first int) *Page {
	page := &Page{More: len(contacts) > first}
	for _, c := range contacts[:min(len(contacts), first)] {
		page.Entries = append(page.Entries, Entry{c, Position{c.SortKey, c.ID}})
	}
	return page
}

func (s *Service) count(ctx context.Context, l *list) (int, error) {
	return l.count(ctx, s.DB.Keyed, MaxCount)
}

// ownQuery finds what the viewer serves in an open conversation, as far as they see it.
func (s *Service) ownQuery(v *authz.Viewer, under *authz.Place, asked Query) *ent.ContactQuery {
	q := s.DB.Read.Contact.Query().Where(contact.AccountID(v.AccountID), contact.AssignedUserID(v.UserID),
		contact.Box(int(tree.BoxOf(tree.Open, true))))
	if under != nil {
		from, to := tree.Range(under.Path)
		q.Where(contact.HasGroupWith(group.PathGTE(from), group.PathLT(to)))
	}
	if filter := asked.on(contact.Table+".id", s.now()); filter != nil {
		q.Where(func(s *sql.Selector) { s.Where(sql.P(filter)) })
	}
	return q
}

// own is a page of the box YOU.
func (s *Service) own(ctx context.Context, v *authz.Viewer, under *authz.Place, q Query) (*Page, error) {
	query := s.ownQuery(v, under, q)
	if q.After != nil {
		query.Where(contact.Or(contact.SortKeyLT(q.After.SortKey),
			contact.And(contact.SortKey(q.After.SortKey), contact.IDLT(q.After.ContactID))))
	}
	contacts, err := query.Order(contact.BySortKey(sql.OrderDesc()), contact.ByID(sql.OrderDesc())).Limit(q.First + 1).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: loading what the viewer serves: %w", err)
	}
	return pageOf(contacts, q.First), nil
}

// start is the position before the first one of a list.
func start(oldestFirst bool) Position {
	if oldestFirst {
		return Position{math.MinInt64, math.MinInt64}
	}
	return Position{math.MaxInt64, math.MaxInt64}
}

// Holds says whether the box has, for the viewer, a contact that stands so at the target.
func (b Box) Holds(v *authz.Viewer, at live.Stand, t authz.Target) bool {
	open, sees := at.State == tree.Open, v.Can(authz.ConversationsView, t)
	switch b {
	case BoxYou:
		return open && at.AgentID == v.UserID && (sees || v.Can(authz.ContactsView, t))
	case BoxQueue:
		return at.AgentID == 0 && v.Can(authz.QueueView, t)
	case BoxTeammates:
		return open && at.AgentID != 0 && at.AgentID != v.UserID && sees
	case BoxClosed:
		return at.State == tree.Closed && sees
	}
	return false
}
