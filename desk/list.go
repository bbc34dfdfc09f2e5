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
	"canopy/ent/generated/contact"
	"canopy/ent/rule"
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
	others      bool               // leaves out what the viewer serves
	filter      func(*sql.Builder) // a condition on contacts AS c; nil for none

	scopes []stream
	groups []stream
	own    []stream
	// Contacts that wait elsewhere: those escalated to a group, and those on offer to the viewer.
	escalated []stream
	offered   []stream
	// whole are the boxes of which the viewer reaches everything; other streams of these add nothing.
	whole []tree.Box
	paths map[int64]string
	// places are where the scopes stand, of which none lists a contact that another one lists in the same box.
	places map[int64]authz.Place
}

// stream is one sorted part: a scope, a group or a user, and a box.
type stream [2]int64

func newList(v *authz.Viewer, under *authz.Place) *list {
	l := &list{viewer: v, under: under, paths: map[int64]string{}, places: map[int64]authz.Place{}}
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
			l.addScope(scope, box)
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
	if r.Waiting && !box.Assigned() {
		for _, id := range groups {
			l.escalated = append(l.escalated, stream{id, int64(box)})
		}
	}
	if r.Offered && !box.Assigned() {
		l.offered = append(l.offered, stream{l.viewer.UserID, int64(box)})
	}
	if r.Assigned && box.Assigned() {
		l.own = append(l.own, stream{l.viewer.UserID, int64(box)})
	}
}

// cut returns the scope that lists what a grant at the place reaches of the list's group and below. A scope lists its
// subtree up to walls, as a grant does; from above, a grant reaches the scope of a group if no wall is between.
func (l *list) cut(p authz.Place) (scope authz.Place, some bool) {
	switch {
	case l.under == nil || tree.Under(p.Path, l.under.Path):
		return p, true
	case tree.Under(l.under.Path, p.Path) && tree.Under(p.Path, l.under.Wall):
		return *l.under, true
	}
	return authz.Place{}, false
}

// addScope leaves out a scope whose contacts another one lists: that of a group above, with no wall between.
func (l *list) addScope(p authz.Place, box tree.Box) {
	lists := func(above, below authz.Place) bool {
		return tree.Under(below.Path, above.Path) && tree.Under(above.Path, below.Wall)
	}
	in := func(s stream) bool { return s[1] == int64(box) }
	if slices.ContainsFunc(l.scopes, func(s stream) bool { return in(s) && lists(l.places[s[0]], p) }) {
		return
	}
	l.scopes = slices.DeleteFunc(l.scopes, func(s stream) bool { return in(s) && lists(p, l.places[s[0]]) })
	l.scopes = append(l.scopes, stream{p.GroupID, int64(box)})
	l.places[p.GroupID] = p
}

// finish folds the streams. It returns the boxes of which all RESTRICTED groups below the list's group are scopes
// too: a scope ends at walls, and the account's reach does not.
func (l *list) finish() (walled []tree.Box) {
	slices.Sort(l.whole)
	l.whole = slices.Compact(l.whole)
	for _, streams := range []*[]stream{&l.scopes, &l.groups, &l.own, &l.escalated, &l.offered} {
		*streams = l.fold(*streams)
	}
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

// read returns the contacts that follow the position, nil for the beginning, as far as the row rules let them pass. It
// is one statement, so what the streams say and what the rules say is from the same moment.
func (l *list) read(ctx context.Context, c *ent.Client, after *Position, limit int) ([]*ent.Contact, error) {
	if after == nil {
		first := start(l.oldestFirst)
		after = &first
	}
	merged := l.statement(c.Dialect(), *after, limit)
	if merged == nil {
		return nil, nil
	}
	query := sql.Dialect(c.Dialect()).Select().From(sql.Table(contact.Table))
	query.Select(query.Columns(contact.Columns...)...)
	rule.Contacts(ctx)(query)
	query.FromExpr(sql.ExprFunc(func(b *sql.Builder) {
		b.WriteByte('(').Join(merged).WriteString(") AS merged " + crossJoin(b.Dialect()) + " contacts ON contacts.id = merged.contact_id")
	}))
	text, args := query.Query()
	contacts := make([]*ent.Contact, 0, limit)
	err := store.EachRow(ctx, c, text, args, func(rows *stdsql.Rows) error {
		contact, err := scan(rows)
		contacts = append(contacts, contact)
		return err
	})
	slices.SortFunc(contacts, l.compare)
	return contacts, err
}

// scan reads a row of all columns, in half the time that Ent takes for it.
func scan(rows *stdsql.Rows) (*ent.Contact, error) {
	c := &ent.Contact{}
	return c, rows.Scan(&c.ID, &c.AccountID, &c.GroupID, &c.ArrivalGroupID, &c.AssignedUserID, &c.Name, &c.NameKey, &c.Phone, &c.Email,
		&c.Channel, &c.Address, &c.Box, &c.SortKey, &c.LastActivityAt, &c.WaitingSince,
		// From whom it came and who was asked is nobody's to see.
		&c.OfferedToID, &c.OfferEndsAt, new(stdsql.RawBytes), new(stdsql.RawBytes), &c.EscalatedToID, &c.CreatedAt)
}

// crossJoin is done by SQLite in the order in which it is written. PostgreSQL decides for itself.
func crossJoin(name string) string {
	if name == dialect.Postgres {
		return "JOIN"
	}
	return "CROSS JOIN"
}

func (l *list) compare(a, b *ent.Contact) int {
	order := cmp.Or(cmp.Compare(a.SortKey, b.SortKey), cmp.Compare(a.ID, b.ID))
	if l.oldestFirst {
		return order
	}
	return -order
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
func (l *list) statement(name string, after Position, limit int) sql.Querier {
	p := part{list: l, walled: l.finish(), after: after, limit: limit}
	arms := slices.Concat(
		p.arms(name, fromScopes(), l.scopes, l.filter),
		p.arms(name, fromContacts("group_id"), l.groups, l.filter),
		p.arms(name, fromContacts("assigned_user_id"), l.own, l.elsewhere()),
		p.arms(name, fromContacts("escalated_to_id"), l.escalated, l.elsewhere()),
		p.arms(name, fromContacts("offered_to_id"), l.offered, l.lasting()))
	if len(arms) == 0 {
		return nil
	}
	return sql.ExprFunc(func(b *sql.Builder) {
		for i, arm := range arms {
			if i > 0 {
				b.WriteString(" UNION ")
			}
			arm(b)
		}
		write(b, " ORDER BY sort_key"+l.direction()+", contact_id"+l.direction()+" LIMIT ?", limit)
	})
}

func (l *list) direction() string {
	if l.oldestFirst {
		return " ASC"
	}
	return " DESC"
}

// lasting is elsewhere for offers that are not over.
func (l *list) lasting() func(*sql.Builder) {
	filter := l.elsewhere()
	return func(b *sql.Builder) {
		write(b, "c.offer_ends_at > ?", l.viewer.At)
		if filter != nil {
			b.WriteString(" AND ")
			filter(b)
		}
	}
}

// elsewhere cuts contacts that can be anywhere to the list's group.
func (l *list) elsewhere() func(*sql.Builder) {
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

// scopesTable is package tree's; it has one row per contact and scope that reaches it.
const scopesTable = "scopes"

// kind is where streams of one kind are: a table whose index has the columns place, box, sort key and contact.
// Its columns are spelled with the alias under which a stream is read.
type kind struct{ table, alias, place, box, sortKey, contact string }

func fromScopes() kind {
	return kind{scopesTable, "s", "s.scope_id", "s.box", "s.sort_key", "s.contact_id"}
}

func fromContacts(place string) kind {
	return kind{"contacts", "c", "c." + place, "c.box", "c.sort_key", "c.id"}
}

// part writes the streams as arms of one statement: of each, no more rows are read than the page needs.
type part struct {
	list   *list
	walled []tree.Box
	after  Position
	limit  int
}

// fewStreams is up to how many streams SQLite merges with an arm for each; above, a queue is faster, and its text is
// the same for any number.
const fewStreams = 6

// arms writes the streams of one kind. Each is sorted by an index. While branches of the account are being carried to
// the places that they were moved to, package tree says how scopes are to be read: one that a branch is entering together
// with the list of its top group, and one that it is leaving without what is in that list. When nothing was being carried
// as the request began nobody asks, which halves the price of a page.
func (p part) arms(name string, k kind, streams []stream, filter func(*sql.Builder)) (arms []func(*sql.Builder)) {
	if len(streams) == 0 {
		return nil
	}
	s := source{part: p, kind: k, filter: filter}
	merged, each := s.queue, s.through
	if name == dialect.Postgres {
		merged, each = s.lateral, s.lateral
	}
	isScope := k.table == scopesTable
	carrying := isScope && p.list.viewer.Carrying
	if name == dialect.Postgres || len(streams) > fewStreams || isScope && len(p.walled) > 0 {
		arms = append(arms, merged(func(b *sql.Builder) { s.keys(b, streams) }))
	} else {
		for _, one := range streams {
			arms = append(arms, func(b *sql.Builder) { s.alone(b, one) })
		}
	}
	if carrying {
		// One of these lists may have some of another one already, so none may be cut short because of the others.
		arms = append(arms, each(func(b *sql.Builder) { s.entering(b, streams) }))
	}
	return arms
}

// source is streams of one kind, cut to what the filter lets pass.
type source struct {
	part
	kind
	filter func(*sql.Builder)
}

// alone writes one stream. SQLite merges such arms as it reads them.
func (s source) alone(b *sql.Builder, one stream) {
	s.rows(b, streamKey{place: "?", box: "?", leaving: leaving("?"), values: one[:]}, s.start)
}

// lateral writes a limited select for each of the streams.
func (s source) lateral(keys func(*sql.Builder)) func(*sql.Builder) {
	return func(b *sql.Builder) {
		b.WriteString("SELECT r.sort_key, r.contact_id FROM (")
		keys(b)
		b.WriteString(") AS k CROSS JOIN LATERAL (")
		s.rows(b, keyOfRow(), s.start)
		s.first(b, s.limit)
		b.WriteString(") AS r")
	}
}

// through is lateral for SQLite, which has no such thing: the rows travel through a JSON array.
func (s source) through(keys func(*sql.Builder)) func(*sql.Builder) {
	return func(b *sql.Builder) {
		b.WriteString("SELECT r.value->>0 AS sort_key, r.value->>1 AS contact_id FROM (")
		keys(b)
		b.WriteString(") AS k, json_each((SELECT json_group_array(json_array(sort_key, contact_id)) FROM (")
		s.rows(b, keyOfRow(), s.start)
		s.first(b, s.limit)
		b.WriteString("))) AS r")
	}
}

// queue merges streams of which none has a row of another one, as one would by hand: the first row of each is
// laid out, and when one is taken the next of its stream comes in.
func (s source) queue(keys func(*sql.Builder)) func(*sql.Builder) {
	return func(b *sql.Builder) {
		b.WriteString("SELECT sort_key, contact_id FROM (WITH RECURSIVE queue(place, box, leaving, sort_key, contact_id) AS (")
		s.next(b, func() { b.WriteByte('('); keys(b); b.WriteByte(')') }, s.start)
		b.WriteString(" UNION ALL ")
		s.next(b, func() { b.WriteString("queue") }, func(b *sql.Builder) { b.WriteString("(k.sort_key, k.contact_id)") })
		write(b, " ORDER BY 4"+s.list.direction()+", 5"+s.list.direction()+" LIMIT ?", s.limit)
		b.WriteString(") SELECT sort_key, contact_id FROM queue)")
	}
}

// next selects of each key the one row that comes after a position.
func (s source) next(b *sql.Builder, keys func(), after func(*sql.Builder)) {
	r := func(column string) string { return "r" + strings.TrimPrefix(column, s.alias) }
	b.WriteString("SELECT k.place, k.box, k.leaving, " + r(s.sortKey) + ", " + r(s.contact) + " FROM ")
	keys()
	b.WriteString(" AS k CROSS JOIN " + s.table + " AS r WHERE " + r(s.place) + " = k.place AND " + r(s.box) + " = k.box" +
		" AND (" + r(s.sortKey) + ", " + r(s.contact) + ") = (")
	s.rows(b, keyOfRow(), after)
	s.first(b, 1)
	b.WriteString(")")
}

// streamKey is what one stream is, as SQL: values, or columns of a table of streams.
type streamKey struct {
	place, box string
	leaving    string  // whether some branch is leaving the scope
	values     []int64 // place and box, where they are parameters
}

// write writes SQL in which a parameter is one of the values, by its number.
func (k streamKey) write(b *sql.Builder, format string, which ...int) {
	var args []any
	for _, i := range which {
		if k.values != nil {
			args = append(args, k.values[i])
		}
	}
	write(b, format, args...)
}

// keyOfRow is the stream in a row k of a table of streams.
func keyOfRow() streamKey { return streamKey{place: "k.place", box: "k.box", leaving: "k.leaving"} }

func (s source) start(b *sql.Builder) { write(b, "(?, ?)", s.after.SortKey, s.after.ContactID) }

// rows selects the rows of a stream that come after a position and that the filter lets pass.
func (s source) rows(b *sql.Builder, k streamKey, after func(*sql.Builder)) {
	b.WriteString("SELECT " + s.sortKey + " AS sort_key, " + s.contact + " AS contact_id FROM " + s.table + " AS " + s.alias + " WHERE ")
	k.write(b, s.place+" = "+k.place+" AND "+s.box+" = "+k.box, 0, 1)
	comparison := ") < "
	if s.list.oldestFirst {
		comparison = ") > "
	}
	b.WriteString(" AND (" + s.sortKey + ", " + s.contact + comparison)
	after(b)
	if s.table == scopesTable && s.list.viewer.Carrying {
		k.write(b, " AND (NOT "+k.leaving+" OR NOT EXISTS (SELECT 1 FROM detours AS d JOIN scopes AS top"+
			" ON top.scope_id = d.group_id AND top.box = s.box AND top.sort_key = s.sort_key AND top.contact_id = s.contact_id"+
			" WHERE d.scope_id = "+k.place+" AND NOT d.entering))", 0, 0)
	}
	if s.list.others {
		// Few are one's own: they are looked up once, and not each row for whose it is. What was closed is no teammate's.
		write(b, " AND "+s.contact+" NOT IN (SELECT own.id FROM contacts AS own WHERE own.assigned_user_id = ? AND own.box = ?)",
			s.list.viewer.UserID, int(tree.BoxOf(tree.Open, true)))
	}
	switch {
	case s.filter == nil:
	case s.table == contact.Table:
		b.WriteString(" AND ")
		s.filter(b)
	default:
		b.WriteString(" AND EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = " + s.contact + " AND ")
		s.filter(b)
		b.WriteString(")")
	}
}

// first cuts the rows of a stream to so many.
func (s source) first(b *sql.Builder, n int) {
	d := s.list.direction()
	write(b, " ORDER BY "+s.sortKey+d+", "+s.contact+d+" LIMIT ?", n)
}

// leaving says whether some branch is leaving a scope: rows of it are still there, and stand in the list of its top
// group as well.
func leaving(scope string) string {
	return "EXISTS (SELECT 1 FROM detours AS d WHERE d.scope_id = " + scope + " AND NOT d.entering)"
}

// keys selects the streams as (place, box, leaving).
func (s source) keys(b *sql.Builder, streams []stream) {
	if s.table != scopesTable || !s.list.viewer.Carrying {
		b.WriteString("SELECT place, box, FALSE AS leaving FROM (")
	} else {
		b.WriteString("SELECT place, box, " + leaving("place") + " AS leaving FROM (")
	}
	s.streams(b, streams)
	b.WriteString(") AS own")
}

// entering selects the lists that complete scopes: those of the top groups of branches that are entering.
func (s source) entering(b *sql.Builder, streams []stream) {
	b.WriteString("SELECT d.group_id AS place, own.box, FALSE AS leaving FROM (")
	s.streams(b, streams)
	b.WriteString(") AS own JOIN detours AS d ON d.scope_id = own.place WHERE d.entering")
}

// streams selects the streams as (place, box).
func (s source) streams(b *sql.Builder, streams []stream) {
	pairs, numbers, number := "SELECT value->>0 AS place, value->>1 AS box FROM json_each(?)", "json_each(?)", "w.value"
	if b.Dialect() == dialect.Postgres {
		pairs = "SELECT CAST(v->>0 AS BIGINT) AS place, CAST(v->>1 AS INTEGER) AS box FROM jsonb_array_elements(CAST(? AS TEXT)::jsonb) AS v"
		numbers, number = "jsonb_array_elements_text(CAST(? AS TEXT)::jsonb)", "CAST(w.value AS INTEGER)"
	}
	write(b, pairs, jsonOf(streams))
	if s.table == scopesTable && len(s.walled) > 0 {
		_, to := tree.Range(s.list.under.Path)
		// Few branches have private ones in them; the counter spares a walk through the others.
		write(b, " UNION ALL SELECT g.id, "+number+" FROM group_counters AS n CROSS JOIN groups AS g CROSS JOIN "+numbers+" AS w"+
			" WHERE n.group_id = ? AND n.restricted > 0 AND g.account_id = ? AND g.path > ? AND g.path < ? AND g.wall = g.path",
			jsonOf(s.walled), s.list.under.GroupID, s.list.viewer.AccountID, s.list.under.Path, to)
	}
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
