package desk

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"slices"

	"canopy/authz"
	"canopy/ent/generated/contact"
	"canopy/ent/rule"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// Counts are how many contacts the boxes have for the viewer. Of YOU, the latest are looked at for what is unread, at
// least 1000: when there are more, so may Unread be.
type Counts struct {
	You, Unread, Queue, Teammates, Closed Count
}

// Count is exact, unless there are more.
type Count struct {
	Contacts int
	More     bool // there are more, or may be; Contacts is at most 1000
}

// InboxCounts returns how many contacts each box has for the viewer, and how many of YOU have something unread, all of
// the same moment. Where the counters of groups know the number it is exact, whatever its size. An Under that the viewer
// does not see is not found.
func (s *Service) InboxCounts(ctx context.Context, under *int64) (*Counts, error) {
	v, place, err := s.begin(ctx, under)
	if err != nil {
		return nil, err
	}
	b := builder(s.DB.Dialect())
	b.WriteString("SELECT own.contacts, own.new")
	for _, box := range []Box{BoxQueue, BoxTeammates, BoxClosed} {
		b.WriteString(", ")
		s.boxList(v, place, Query{Box: box}).total(b, box)
	}
	b.WriteString(" FROM (SELECT COUNT(*) AS contacts, COUNT(CASE WHEN new THEN 1 END) AS new FROM (")
	b.Join(s.ownStatement(ctx, v, place)).WriteString(") AS latest) AS own")
	query, args := b.Query()
	var n [5]int
	err = store.EachRow(ctx, s.DB.Keyed, query, args, func(rows *stdsql.Rows) error {
		return rows.Scan(&n[0], &n[1], &n[2], &n[3], &n[4])
	})
	if err != nil {
		return nil, fmt.Errorf("desk: counting the boxes: %w", err)
	}
	you := Count{min(n[0], MaxCount-1), n[0] == MaxCount}
	unread := Count{min(n[1], MaxCount-1), you.More}
	return &Counts{You: you, Unread: unread, Queue: countOf(n[2]), Teammates: countOf(n[3]), Closed: countOf(n[4])}, nil
}

// countOf reads what total writes: a number below 0 stands for more than so many.
func countOf(n int) Count {
	if n < 0 {
		return Count{-n, true}
	}
	return Count{n, false}
}

// upTo writes how many rows a statement has that is limited to MaxCount; below 0 when the limit was reached.
func upTo(b *sql.Builder, statement sql.Querier) {
	write(b, "(SELECT CASE WHEN COUNT(*) >= ? THEN ? ELSE COUNT(*) END FROM (", MaxCount, 1-MaxCount)
	b.Join(statement)
	b.WriteString(") AS counted)")
}

// ownStatement selects of the latest that the viewer serves in an open conversation, as far as they see it, whether
// something in it is unread: at most MaxCount, because each of them has to be looked at.
func (s *Service) ownStatement(ctx context.Context, v *authz.Viewer, under *authz.Place) *sql.Selector {
	q := sql.Dialect(s.DB.Dialect()).Select().From(sql.Table(contact.Table).As("c"))
	rule.Contacts(ctx)(q)
	q.Where(sql.P(func(b *sql.Builder) {
		write(b, "c.assigned_user_id = ? AND c.box = ?", v.UserID, int(tree.BoxOf(tree.Open, true)))
		if under != nil {
			from, to := tree.Range(under.Path)
			write(b, " AND EXISTS (SELECT 1 FROM groups AS g WHERE g.id = c.group_id AND g.path >= ? AND g.path < ?)", from, to)
		}
	}))
	return q.AppendSelectExprAs(sql.ExprFunc(func(b *sql.Builder) {
		b.WriteString("EXISTS (SELECT 1 FROM conversations AS v")
		joinMark(b, v.UserID)
		b.WriteString(" WHERE v.contact_id = c.id AND v.closed_at IS NULL AND ")
		unread(v.UserID)(b)
		b.WriteString(")")
	}), "new").OrderBy(sql.Desc(q.C(contact.FieldSortKey))).Limit(MaxCount)
}

// total writes the length of a box's list: from the counters of groups, if they say it, or else counted up to MaxCount.
func (l *list) total(b *sql.Builder, box Box) {
	statement := l.statement(b.Dialect(), start(l.oldestFirst), MaxCount)
	if statement == nil {
		b.WriteString("0")
		return
	}
	column, groups, whole := l.counters(box)
	if len(groups) == 0 {
		upTo(b, statement)
		return
	}
	sum := func(column string) {
		b.WriteString("(SELECT CAST(SUM(n." + column + ") AS BIGINT) FROM group_counters AS n WHERE n.group_id IN ")
		numbersIn(b, groups)
		b.WriteString(")")
	}
	if whole {
		sum(column)
		return
	}
	// Counters look through walls, and what the viewer reaches does not.
	b.WriteString("CASE WHEN ")
	sum("restricted")
	b.WriteString(" = 0 THEN ")
	sum(column)
	b.WriteString(" ELSE ")
	upTo(b, statement)
	b.WriteString(" END")
}

// counters returns the groups whose counters add up to the box's list, none when there are no such groups, and whether
// the viewer reaches what is behind walls too. Who serves is counted nowhere, nor what is somebody's own.
func (l *list) counters(box Box) (column string, groups []int64, whole bool) {
	var r authz.Reach
	switch box {
	case BoxQueue:
		column, r = "waiting", l.viewer.Reach(authz.QueueView)
	case BoxClosed:
		column, r = "closed", l.viewer.Reach(authz.ConversationsView)
	default:
		return "", nil, false
	}
	if r.Waiting && box != BoxQueue {
		return "", nil, false
	}
	if r.Account {
		if l.under != nil {
			return column, []int64{l.under.GroupID}, true
		}
		return column, tree.IDs(l.viewer.Home.Path)[:1], true
	}
	if len(l.groups)+len(l.own) > 0 {
		return "", nil, false
	}
	for _, s := range l.scopes {
		groups = append(groups, s[0])
	}
	slices.Sort(groups)
	return column, slices.Compact(groups), false
}
