package desk

import (
	"cmp"
	"context"
	stdsql "database/sql"
	"encoding/json"
	"slices"
	"strings"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// list is a sorted list of contacts, merged from streams that are sorted each: the scope rows of a group or of the
// account, the contacts of one group, the contacts of the viewer. Of every stream no more is read than the page
// needs, so the price of a page depends on what the viewer reaches and not on how much is there.
type list struct {
	viewer      *authz.Viewer
	under       *authz.Place // nil: everywhere
	oldestFirst bool
	filter      func(*sql.Builder) // a condition on contacts AS c; nil for none

	scopes []stream
	groups []stream
	own    []stream
	// whole are the boxes of which the viewer reaches everything; other streams of these add nothing.
	whole []tree.Box
	paths map[int64]string
}

// stream is one sorted part: a scope, a group or a user, and a box.
type stream [2]int64

func newList(v *authz.Viewer, under *authz.Place) *list {
	l := &list{viewer: v, under: under, paths: map[int64]string{}}
	for i := range v.Grants {
		path := v.Grants[i].Place.Path
		for depth, id := range tree.IDs(path) {
			l.paths[id] = path[:(depth+1)*tree.LabelSize]
		}
	}
	return l
}

// add puts in what the permission reaches of these boxes. What it puts in is exactly that for which Viewer.Can is
// true, cut to the group that the list is under.
func (l *list) add(p authz.Permission, boxes ...tree.Box) {
	r := l.viewer.Reach(p)
	for _, box := range boxes {
		switch {
		case r.Waiting && box.Assigned():
		case r.Account:
			l.whole = append(l.whole, box)
		default:
			l.addBox(r, box)
		}
	}
}

func (l *list) addBox(r authz.Reach, box tree.Box) {
	for _, p := range r.Subtrees {
		if scope, some := l.cut(p); some {
			l.scopes = append(l.scopes, stream{scope, int64(box)})
		}
	}
	groups := r.Groups
	if !box.Assigned() {
		groups = slices.Concat(groups, r.Queues)
	}
	for _, id := range groups {
		if l.under == nil || tree.Under(l.paths[id], l.under.Path) {
			l.groups = append(l.groups, stream{id, int64(box)})
		}
	}
	if r.Assigned && box.Assigned() {
		l.own = append(l.own, stream{l.viewer.UserID, int64(box)})
	}
}

// cut returns the scope that lists what a grant at the place reaches of the list's group and below. A scope lists its
// subtree up to walls, as a grant does; from above, a grant reaches the scope of a group if no wall is between.
func (l *list) cut(p authz.Place) (scope int64, some bool) {
	switch {
	case l.under == nil || tree.Under(p.Path, l.under.Path):
		return p.GroupID, true
	case tree.Under(l.under.Path, p.Path) && tree.Under(p.Path, l.under.Wall):
		return l.under.GroupID, true
	}
	return 0, false
}

// finish folds the streams. It returns the boxes of which all RESTRICTED groups below the list's group are scopes
// too: a scope ends at walls, and the account's reach does not.
func (l *list) finish() (walled []tree.Box) {
	slices.Sort(l.whole)
	l.whole = slices.Compact(l.whole)
	l.scopes, l.groups, l.own = l.fold(l.scopes), l.fold(l.groups), l.fold(l.own)
	for _, box := range l.whole {
		if l.under == nil || len(l.under.Path) == tree.LabelSize { // the root
			l.scopes = append(l.scopes, stream{tree.AccountScope(l.viewer.AccountID), int64(box)})
			continue
		}
		l.scopes = append(l.scopes, stream{l.under.GroupID, int64(box)})
		walled = append(walled, box)
	}
	return walled
}

// fold drops repeated streams and those of which the list has everything already.
func (l *list) fold(streams []stream) []stream {
	streams = slices.DeleteFunc(streams, func(s stream) bool { return slices.Contains(l.whole, tree.Box(s[1])) })
	slices.SortFunc(streams, func(a, b stream) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return slices.Compact(streams)
}

// read returns the first positions after the given one, nil for the beginning, by one statement.
func (l *list) read(ctx context.Context, c *ent.Client, after *Position, limit int) (positions []Position, err error) {
	if after == nil {
		first := start(l.oldestFirst)
		after = &first
	}
	b := l.statement(c.Dialect(), *after, limit)
	if b == nil {
		return nil, nil
	}
	query, args := b.Query()
	err = store.EachRow(ctx, c, query, args, func(rows *stdsql.Rows) error {
		var p Position
		err := rows.Scan(&p.SortKey, &p.ContactID)
		positions = append(positions, p)
		return err
	})
	return positions, err
}

// count returns the length of the list, at most the limit.
func (l *list) count(ctx context.Context, c *ent.Client, limit int) (n int, err error) {
	inner := l.statement(c.Dialect(), start(l.oldestFirst), limit)
	if inner == nil {
		return 0, nil
	}
	b := builder(c.Dialect())
	b.WriteString("SELECT COUNT(*) FROM (").Join(inner).WriteString(") AS counted")
	query, args := b.Query()
	err = store.EachRow(ctx, c, query, args, func(rows *stdsql.Rows) error { return rows.Scan(&n) })
	return n, err
}

// statement merges the streams; nil when there are none. A contact that is in several is taken once.
func (l *list) statement(dialect string, after Position, limit int) *sql.Builder {
	walled := l.finish()
	var arms []func(*sql.Builder)
	p := part{list: l, after: after, limit: limit}
	if len(l.scopes) > 0 {
		arms = append(arms, p.ofScopes(walled))
	}
	if len(l.groups) > 0 {
		arms = append(arms, p.ofContacts("group_id", l.groups, l.filter))
	}
	if len(l.own) > 0 {
		arms = append(arms, p.ofContacts("assigned_user_id", l.own, l.ownFilter()))
	}
	if len(arms) == 0 {
		return nil
	}
	b := builder(dialect)
	b.WriteString("SELECT DISTINCT sort_key, contact_id FROM (")
	for i, arm := range arms {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		arm(b)
	}
	write(b, ") AS merged ORDER BY sort_key"+l.direction()+", contact_id"+l.direction()+" LIMIT ?", limit)
	return b
}

func (l *list) direction() string {
	if l.oldestFirst {
		return " ASC"
	}
	return " DESC"
}

// ownFilter cuts the viewer's own contacts, wherever they are, to the list's group.
func (l *list) ownFilter() func(*sql.Builder) {
	if l.under == nil {
		return l.filter
	}
	from, to := tree.Range(l.under.Path)
	return func(b *sql.Builder) {
		write(b, "EXISTS (SELECT 1 FROM groups AS g WHERE g.id = c.group_id AND g.path >= ? AND g.path < ?)", from, to)
		if l.filter != nil {
			b.WriteString(" AND ")
			l.filter(b)
		}
	}
}

// part writes the streams of one kind: of each as many rows as the page may need.
type part struct {
	list  *list
	after Position
	limit int
}

func (p part) ofScopes(walled []tree.Box) func(*sql.Builder) {
	return func(b *sql.Builder) {
		p.write(b, func() { p.scopes(b, walled) }, func() {
			write(b, "SELECT s.sort_key, s.contact_id FROM scopes AS s WHERE s.scope_id = k.place AND s.box = k.box AND ")
			p.beyond(b, "s.sort_key", "s.contact_id")
			b.WriteString(notLeaving)
			if p.list.filter != nil {
				b.WriteString(" AND EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = s.contact_id AND ")
				p.list.filter(b)
				b.WriteString(")")
			}
			p.first(b, "s.sort_key", "s.contact_id")
		})
	}
}

func (p part) ofContacts(column string, streams []stream, filter func(*sql.Builder)) func(*sql.Builder) {
	return func(b *sql.Builder) {
		p.write(b, func() { p.streams(b, streams) }, func() {
			write(b, "SELECT c.sort_key, c.id AS contact_id FROM contacts AS c WHERE c."+column+" = k.place AND c.box = k.box AND ")
			p.beyond(b, "c.sort_key", "c.id")
			if filter != nil {
				b.WriteString(" AND ")
				filter(b)
			}
			p.first(b, "c.sort_key", "c.id")
		})
	}
}

// write runs a limited select for each of the streams k. PostgreSQL has LATERAL for that; on SQLite the rows travel
// through a JSON array.
func (p part) write(b *sql.Builder, streams, limited func()) {
	if b.Dialect() == dialect.Postgres {
		b.WriteString("SELECT r.sort_key, r.contact_id FROM (")
		streams()
		b.WriteString(") AS k CROSS JOIN LATERAL (")
		limited()
		b.WriteString(") AS r")
		return
	}
	b.WriteString("SELECT r.value->>0 AS sort_key, r.value->>1 AS contact_id FROM (")
	streams()
	b.WriteString(") AS k, json_each((SELECT json_group_array(json_array(sort_key, contact_id)) FROM (")
	limited()
	b.WriteString("))) AS r")
}

// streams selects the streams as (place, box).
func (p part) streams(b *sql.Builder, streams []stream) {
	if b.Dialect() == dialect.Postgres {
		write(b, "SELECT CAST(v->>0 AS BIGINT) AS place, CAST(v->>1 AS INTEGER) AS box FROM jsonb_array_elements(CAST(? AS TEXT)::jsonb) AS v", jsonOf(streams))
	} else {
		write(b, "SELECT value->>0 AS place, value->>1 AS box FROM json_each(?)", jsonOf(streams))
	}
}

// scopes selects the streams that are scopes as (place, box, leaving). While a branch is being carried to the place that
// it was moved to, the list of its top group completes a scope that it is entering, and a scope that it is leaving still
// has rows of it: package tree says how such scopes are to be read.
func (p part) scopes(b *sql.Builder, walled []tree.Box) {
	b.WriteString("SELECT k.place, k.box, EXISTS (SELECT 1 FROM detours AS d WHERE d.scope_id = k.place AND NOT d.entering) AS leaving FROM (")
	p.ownScopes(b, walled)
	b.WriteString(") AS k UNION ALL SELECT d.group_id, k.box, FALSE FROM (")
	p.ownScopes(b, walled)
	b.WriteString(") AS k JOIN detours AS d ON d.scope_id = k.place WHERE d.entering")
}

// notLeaving continues a condition on a row s of a scope k.
const notLeaving = ` AND (NOT k.leaving OR NOT EXISTS (
	SELECT 1 FROM detours AS d JOIN scopes AS top
	ON top.scope_id = d.group_id AND top.box = s.box AND top.sort_key = s.sort_key AND top.contact_id = s.contact_id
	WHERE d.scope_id = k.place AND NOT d.entering))`

func (p part) ownScopes(b *sql.Builder, walled []tree.Box) {
	p.streams(b, p.list.scopes)
	if len(walled) == 0 {
		return
	}
	numbers, number := "json_each(?)", "w.value"
	if b.Dialect() == dialect.Postgres {
		numbers, number = "jsonb_array_elements_text(CAST(? AS TEXT)::jsonb)", "CAST(w.value AS INTEGER)"
	}
	_, to := tree.Range(p.list.under.Path)
	write(b, " UNION ALL SELECT g.id, "+number+" FROM groups AS g, "+numbers+" AS w"+
		" WHERE g.account_id = ? AND g.path > ? AND g.path < ? AND g.visibility = 'RESTRICTED'",
		jsonOf(walled), p.list.viewer.AccountID, p.list.under.Path, to)
}

func (p part) beyond(b *sql.Builder, sortKey, id string) {
	comparison := ") < (?, ?)"
	if p.list.oldestFirst {
		comparison = ") > (?, ?)"
	}
	write(b, "("+sortKey+", "+id+comparison, p.after.SortKey, p.after.ContactID)
}

func (p part) first(b *sql.Builder, sortKey, id string) {
	d := p.list.direction()
	write(b, " ORDER BY "+sortKey+d+", "+id+d+" LIMIT ?", p.limit)
}

func builder(dialect string) *sql.Builder {
	b := &sql.Builder{}
	b.SetDialect(dialect)
	return b
}

// write writes SQL in which each ? stands for a parameter.
func write(b *sql.Builder, format string, args ...any) {
	parts := strings.Split(format, "?")
	for i, part := range parts {
		b.WriteString(part)
		if i < len(args) {
			b.Arg(args[i])
		}
	}
}

// jsonOf returns numbers as the text of a JSON array: one parameter for any number of them.
func jsonOf(list any) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // numbers only: it cannot fail
	}
	return string(text)
}
