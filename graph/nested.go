package graph

import (
	"context"
	stdsql "database/sql"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/relay"
	"canopy/store"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// relation is how rows hang on their parents, as SQL over the row c and the parent p. A parent is a list of values:
// its number, its account, and what else the relation takes.
type relation string

// The relations.
const (
	inParent       relation = "c.account_id = CAST(p.value->>1 AS BIGINT) AND c.parent_id = CAST(p.value->>0 AS BIGINT)"
	inHome         relation = "c.home_group_id = CAST(p.value->>0 AS BIGINT)"
	ofUser         relation = "c.user_id = CAST(p.value->>0 AS BIGINT)"
	ofContact      relation = "c.contact_id = CAST(p.value->>0 AS BIGINT)"
	inConversation relation = "c.conversation_id = CAST(p.value->>0 AS BIGINT)"
	// ofConversation is what happened to the contact during the conversation, the change of agent that ended it included.
	ofConversation relation = "(c.conversation_id = CAST(p.value->>0 AS BIGINT) OR c.previous_conversation_id = CAST(p.value->>0 AS BIGINT))"
	// inSubtree takes parents made by subtreeOf.
	inSubtree relation = "c.account_id = CAST(p.value->>1 AS BIGINT) AND c.path > p.value->>2 AND c.path < p.value->>3" +
		" AND c.depth <= CAST(p.value->>4 AS INTEGER)"
)

// parents are what the rows hang on, each a list of values.
type parents [][]any

// judgeLast keeps SQLite from looking for rows by the conditions so far, the row rule: it would go through all that the
// viewer sees, once for each parent or id, instead of looking up the few rows that are asked for and judging those.
// PostgreSQL knows how many rows to expect.
func judgeLast(s *sql.Selector) {
	rule := s.P()
	if rule == nil || s.Dialect() != dialect.SQLite {
		return
	}
	s.SetP(sql.P(func(b *sql.Builder) { b.WriteString("+(").Join(rule).WriteByte(')') }))
}

// parentsOf returns parents of the viewer's account by their numbers.
func parentsOf(ctx context.Context, ids []int64) parents {
	list := make(parents, len(ids))
	for i, id := range ids {
		list[i] = []any{id, authz.FromContext(ctx).AccountID}
	}
	return list
}

// source writes the parents as a table p with the one column value. All of them are one parameter.
func (ps parents) source(b *sql.Builder) {
	if b.Dialect() == dialect.Postgres {
		b.WriteString("jsonb_array_elements(CAST(").Arg(jsonOf(ps)).WriteString(" AS TEXT)::jsonb) AS p(value)")
	} else {
		b.WriteString("json_each(").Arg(jsonOf(ps)).WriteString(") AS p")
	}
}

// nested is a page of the same list below each of many parents.
type nested[T any] struct {
	list     *list[T]
	relation relation
	narrow   []func(*sql.Selector) // on the table c
}

// rows loads the beginnings of all the pages with one statement: for each parent at most one row more than the page
// has. What the viewer may see is decided inside the limit, so that hidden rows take no place on a page.
func (n nested[T]) rows(ctx context.Context, c *ent.Client, ps parents, p page) ([]T, error) {
	after, err := n.list.after(ctx, c, p)
	if err != nil {
		return nil, err
	}
	each := n.children(ctx, c.Dialect())
	if after != nil {
		after(each)
	}
	n.list.sort(each)
	each.Limit(p.first + 1)
	return n.list.rows(ctx, c, func(s *sql.Selector) {
		judgeLast(s)
		n.list.sort(s)
		s.FromExpr(sql.ExprFunc(func(b *sql.Builder) {
			ps.source(b)
			if b.Dialect() == dialect.Postgres {
				b.WriteString(" CROSS JOIN LATERAL (").Join(each.Select("c.*")).WriteString(") AS ").Ident(n.list.table)
			} else {
				// SQLite knows no LATERAL; CROSS JOIN keeps the order of the loops.
				b.WriteString(" CROSS JOIN ").Ident(n.list.table).WriteString(" ON ").Ident(n.list.table).
					WriteString(".id IN (").Join(each.Select(each.C("id"))).WriteByte(')')
			}
		}))
	})
}

// children selects the visible rows of one parent.
func (n nested[T]) children(ctx context.Context, dialect string) *sql.Selector {
	s := sql.Dialect(dialect).Select().From(sql.Table(n.list.table).As("c"))
	n.list.visible(ctx)(s)
	judgeLast(s)
	s.Where(sql.ExprP(string(n.relation)))
	for _, narrow := range n.narrow {
		narrow(s)
	}
	return s
}

// pages returns the page of each parent, also the empty ones, with one statement and one more for the totals if they
// are asked for. Key is the parent of a row.
func (n nested[T]) pages(ctx context.Context, c *ent.Client, ids []int64, a asked, key func(T) int64) (map[int64]*relay.Connection[T], error) {
	p, err := a.page()
	if err != nil {
		return nil, err
	}
	rows, err := n.rows(ctx, c, parentsOf(ctx, ids), p)
	if err != nil {
		return nil, err
	}
	byParent := map[int64][]T{}
	for _, row := range rows {
		byParent[key(row)] = append(byParent[key(row)], row)
	}
	return n.connect(ctx, c, parentsOf(ctx, ids), p, func(id int64) []T { return byParent[id] })
}

// connect makes the pages out of the rows of each parent, and adds the totals if they are asked for.
func (n nested[T]) connect(ctx context.Context, c *ent.Client, ps parents, p page, rows func(int64) []T) (map[int64]*relay.Connection[T], error) {
	pages := make(map[int64]*relay.Connection[T], len(ps))
	for _, parent := range ps {
		id := parent[0].(int64)
		pages[id] = n.list.connection(rows(id), p)
	}
	if !p.total {
		return pages, nil
	}
	totals, err := n.count(ctx, c, ps, countCap)
	for id, total := range totals {
		pages[id].TotalCount = total
	}
	return pages, err
}

// first returns at most so many rows of each parent, without a cursor.
func (n nested[T]) first(ctx context.Context, c *ent.Client, ids []int64, most int, key func(T) int64) (map[int64][]T, error) {
	rows, err := n.rows(ctx, c, parentsOf(ctx, ids), page{first: most})
	byParent := make(map[int64][]T, len(ids))
	for _, id := range ids {
		byParent[id] = []T{}
	}
	for _, row := range rows {
		if id := key(row); len(byParent[id]) < most {
			byParent[id] = append(byParent[id], row)
		}
	}
	return byParent, err
}

// count counts the visible rows of each parent with one statement, up to the cap; 0 is no cap.
func (n nested[T]) count(ctx context.Context, c *ent.Client, ps parents, limit int) (map[int64]int, error) {
	some := n.children(ctx, c.Dialect())
	some.Select(some.C("id"))
	if limit > 0 {
		some.Limit(limit)
	}
	query, args := sql.Dialect(c.Dialect()).SelectExpr(
		sql.Expr("CAST(p.value->>0 AS BIGINT)"),
		sql.ExprFunc(func(b *sql.Builder) {
			b.WriteString("(SELECT COUNT(*) FROM (").Join(some).WriteString(") AS counted)")
		})).FromExpr(sql.ExprFunc(ps.source)).Query()
	counts := make(map[int64]int, len(ps))
	err := store.EachRow(ctx, c, query, args, func(rows *stdsql.Rows) error {
		var id int64
		var n int
		err := rows.Scan(&id, &n)
		counts[id] = n
		return err
	})
	return counts, err
}
