package graph

import (
	"context"
	stdsql "database/sql"
	"errors"
	"strings"
	"time"

	ent "canopy/ent/generated"
	"canopy/ent/rule"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/relay"
	"canopy/store"

	"entgo.io/ent/dialect/sql"
)

// list is one way of listing rows of a table: who sees them and in which order they come.
type list[T any] struct {
	table   string
	visible func(context.Context) rule.Predicate
	// rows runs an Ent query that shape has changed; the row rules are on it.
	rows func(ctx context.Context, c *ent.Client, shape func(*sql.Selector)) ([]T, error)
	// by are the columns of the order, the last of them unique, and newest says that they run backwards.
	by     []string
	newest bool
	order  relay.Order
	// position is where an entry stands, and behind turns that back into values of the columns.
	position func(T) relay.Position
	behind   func(ctx context.Context, c *ent.Client, p relay.Position) ([]any, error)
}

// The orderings, as they are named in cursors.
const (
	orderByName     relay.Order = 'n'
	orderByTime     relay.Order = 't'
	orderOfTree     relay.Order = 'p'
	orderOfContacts relay.Order = 'd'
	orderOfChanges  relay.Order = 'a'
	orderOfHistory  relay.Order = 'h'
)

// ordersOfBoxes are those of the inbox: what is a place in one box is none in another.
var ordersOfBoxes = map[model.InboxBox]relay.Order{
	model.InboxBoxYou: 'y', model.InboxBoxTeammates: 'm', model.InboxBoxQueue: 'q', model.InboxBoxClosed: 'c',
}

// parseCursor reads the cursor of a list in the given order.
func parseCursor(text string, order relay.Order) (relay.Position, error) {
	at, err := relay.ParseCursor(text, order)
	hasText := order == orderByName || order == orderOfChanges
	if err != nil || at.Text != "" && !hasText {
		return relay.Position{}, badCursor()
	}
	return at, nil
}

// behindName and behindTime read positions of lists by name and by time.
func behindName(_ context.Context, _ *ent.Client, p relay.Position) ([]any, error) {
	return []any{p.Text, p.ID}, nil
}

func behindTime(_ context.Context, _ *ent.Client, p relay.Position) ([]any, error) {
	return []any{time.UnixMicro(p.Number).UTC(), p.ID}, nil
}

func atName(name string, id int64) relay.Position {
	return relay.Position{Order: orderByName, Text: name, ID: id}
}

func atTime(t time.Time, id int64) relay.Position {
	return relay.Position{Order: orderByTime, Number: t.UnixMicro(), ID: id}
}

// after returns the condition for what follows the page's cursor, nil without one.
func (l *list[T]) after(ctx context.Context, c *ent.Client, p page) (func(*sql.Selector), error) {
	if p.after == nil {
		return nil, nil
	}
	at, err := parseCursor(*p.after, l.order)
	if err != nil {
		return nil, err
	}
	values, err := l.behind(ctx, c, at)
	if errors.Is(err, relay.ErrCursor) {
		return nil, badCursor()
	}
	if err != nil {
		return nil, err
	}
	operator := ") > ("
	if l.newest {
		operator = ") < ("
	}
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			b.WriteByte('(').WriteString(strings.Join(s.Columns(l.by...), ", ")).WriteString(operator).Args(values...).WriteByte(')')
		}))
	}, nil
}

// sort puts a select into the order of the list.
func (l *list[T]) sort(s *sql.Selector) {
	for _, column := range s.Columns(l.by...) {
		if l.newest {
			column = sql.Desc(column)
		}
		s.OrderBy(column)
	}
}

// page returns one page of the rows that fulfil the conditions.
func (l *list[T]) page(ctx context.Context, c *ent.Client, p page, conditions ...func(*sql.Selector)) (*relay.Connection[T], error) {
	after, err := l.after(ctx, c, p)
	if err != nil {
		return nil, err
	}
	rows, err := l.rows(ctx, c, func(s *sql.Selector) {
		for _, narrow := range conditions {
			narrow(s)
		}
		if after != nil {
			after(s)
		}
		l.sort(s)
		s.Limit(p.first + 1)
	})
	if err != nil {
		return nil, err
	}
	connection := l.connection(rows, p)
	if p.total {
		connection.TotalCount, err = l.count(ctx, c, conditions)
	}
	return connection, err
}

// connection makes a page of rows that were asked for one more than the page has.
func (l *list[T]) connection(rows []T, p page) *relay.Connection[T] {
	more := len(rows) > p.first
	if more {
		rows = rows[:p.first]
	}
	return relay.NewConnection(rows, more, p.after != nil, l.position)
}

// count counts the visible rows that fulfil the conditions, up to the cap.
func (l *list[T]) count(ctx context.Context, c *ent.Client, conditions []func(*sql.Selector)) (int, error) {
	some := sql.Dialect(c.Dialect()).Select("id").From(sql.Table(l.table)).Limit(countCap)
	l.visible(ctx)(some)
	for _, narrow := range conditions {
		narrow(some)
	}
	query, args := sql.Dialect(c.Dialect()).Select(sql.Count("*")).From(some.As("counted")).Query()
	var n int
	err := store.EachRow(ctx, c, query, args, func(rows *stdsql.Rows) error { return rows.Scan(&n) })
	return n, err
}

// The lists.

func groupsByName() *list[*ent.Group] {
	return &list[*ent.Group]{
		table: "groups", visible: rule.Groups, rows: groupRows, order: orderByName, by: []string{"name_key", "id"},
		position: func(g *ent.Group) relay.Position { return atName(g.NameKey, g.ID) }, behind: behindName,
	}
}

// groupsOfTree come parents before children. A cursor names the group only, because a path would tell of groups above
// that the viewer may not see; where the group stands is looked up when the cursor comes back.
func groupsOfTree() *list[*ent.Group] {
	return &list[*ent.Group]{
		table: "groups", visible: rule.Groups, rows: groupRows, order: orderOfTree, by: []string{"path"},
		position: func(g *ent.Group) relay.Position { return relay.Position{Order: orderOfTree, ID: g.ID} },
		behind: func(ctx context.Context, c *ent.Client, p relay.Position) ([]any, error) {
			g, err := c.Group.Get(ctx, p.ID)
			if ent.IsNotFound(err) {
				return nil, relay.ErrCursor
			}
			if err != nil {
				return nil, err
			}
			return []any{g.Path}, nil
		},
	}
}

func usersByName() *list[*ent.User] {
	return &list[*ent.User]{
		table: "users", visible: rule.Users, rows: userRows, order: orderByName, by: []string{"name_key", "id"},
		position: func(u *ent.User) relay.Position { return atName(u.NameKey, u.ID) }, behind: behindName,
	}
}

func agentsByName() *list[*bind.Agent] {
	return &list[*bind.Agent]{
		table: "users", visible: func(ctx context.Context) rule.Predicate { return rule.Cards(judgedNow(ctx)) }, rows: agentRows, order: orderByName, by: []string{"name_key", "id"},
		position: func(a *bind.Agent) relay.Position { return atName(a.NameKey, a.ID) }, behind: behindName,
	}
}

func requestsNewestFirst() *list[*ent.GroupRequest] {
	return &list[*ent.GroupRequest]{
		table: "group_requests", visible: rule.GroupRequests, rows: requestRows, order: orderByTime, by: []string{"created_at", "id"}, newest: true,
		position: func(q *ent.GroupRequest) relay.Position { return atTime(q.CreatedAt, q.ID) }, behind: behindTime,
	}
}

func movesNewestFirst() *list[*ent.GroupMove] {
	return &list[*ent.GroupMove]{
		table: "group_moves", visible: rule.GroupMoves, rows: moveRows, order: orderByTime, by: []string{"started_at", "id"}, newest: true,
		position: func(m *ent.GroupMove) relay.Position { return atTime(m.StartedAt, m.ID) }, behind: behindTime,
	}
}

func grantsNewestFirst() *list[*ent.RoleGrant] {
	return &list[*ent.RoleGrant]{
		table: "role_grants", visible: rule.RoleGrants, rows: grantRows, order: orderByTime, by: []string{"created_at", "id"}, newest: true,
		position: func(g *ent.RoleGrant) relay.Position { return atTime(g.CreatedAt, g.ID) }, behind: behindTime,
	}
}

// grantsByEnd are those that have an end.
func grantsByEnd() *list[*ent.RoleGrant] {
	return &list[*ent.RoleGrant]{
		table: "role_grants", visible: rule.RoleGrants, rows: grantRows, order: orderByTime, by: []string{"valid_until", "id"},
		position: func(g *ent.RoleGrant) relay.Position { return atTime(*g.ValidUntil, g.ID) }, behind: behindTime,
	}
}

func assignmentsNewestFirst() *list[*ent.ContactAssignment] {
	return &list[*ent.ContactAssignment]{
		table: "contact_assignments", visible: rule.ContactAssignments, rows: assignmentRows, order: orderByTime, by: []string{"started_at", "id"}, newest: true,
		position: func(a *ent.ContactAssignment) relay.Position { return atTime(a.StartedAt, a.ID) }, behind: behindTime,
	}
}

func conversationsNewestFirst() *list[*ent.Conversation] {
	return &list[*ent.Conversation]{
		table: "conversations", visible: rule.Conversations, rows: conversationRows, order: orderByTime, by: []string{"opened_at", "id"}, newest: true,
		position: func(v *ent.Conversation) relay.Position { return atTime(v.OpenedAt, v.ID) }, behind: behindTime,
	}
}

// historyOldestFirst goes by the numbers of the entries: who writes one holds the contact.
func historyOldestFirst() *list[*ent.HistoryEntry] {
	return &list[*ent.HistoryEntry]{
		table: "history_entries", visible: rule.HistoryEntries, rows: historyRows, order: orderOfHistory, by: []string{"id"},
		position: func(e *ent.HistoryEntry) relay.Position { return relay.Position{Order: orderOfHistory, ID: e.ID} },
		behind:   func(_ context.Context, _ *ent.Client, p relay.Position) ([]any, error) { return []any{p.ID}, nil },
	}
}

func messagesNewestFirst() *list[*ent.Message] {
	return &list[*ent.Message]{
		table: "messages", visible: rule.Messages, rows: messageRows, order: orderByTime, by: []string{"sent_at", "id"}, newest: true,
		position: func(m *ent.Message) relay.Position { return atTime(m.SentAt, m.ID) }, behind: behindTime,
	}
}

func notesNewestFirst() *list[*ent.Note] {
	return &list[*ent.Note]{
		table: "notes", visible: rule.Notes, rows: noteRows, order: orderByTime, by: []string{"written_at", "id"}, newest: true,
		position: func(n *ent.Note) relay.Position { return atTime(n.WrittenAt, n.ID) }, behind: behindTime,
	}
}

func eventsNewestFirst() *list[*ent.AuditEvent] {
	return &list[*ent.AuditEvent]{
		table: "audit_events", visible: rule.AuditEvents, rows: eventRows, order: orderByTime, by: []string{"at", "id"}, newest: true,
		position: func(e *ent.AuditEvent) relay.Position { return atTime(e.At, e.ID) }, behind: behindTime,
	}
}
