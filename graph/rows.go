package graph

import (
	"context"
	"encoding/json"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/rule"
	"canopy/graph/bind"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
)

// The queries of each entity, shaped by whoever asks. The row rules are on all of them.

func accountRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Account, error) {
	q := c.Account.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func groupRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Group, error) {
	q := c.Group.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func requestRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.GroupRequest, error) {
	q := c.GroupRequest.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func moveRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.GroupMove, error) {
	q := c.GroupMove.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func userRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.User, error) {
	q := c.User.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func agentRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*bind.Agent, error) {
	users, err := userRows(rule.AsCards(judgedNow(ctx)), c, shape)
	agents := make([]*bind.Agent, len(users))
	for i, u := range users {
		agents[i] = bind.NewAgent(u)
	}
	return agents, err
}

// judgedNow returns a context in which whoever serves now has a card, also by a grant that is younger than the request.
func judgedNow(ctx context.Context) context.Context {
	v := authz.FromContext(ctx)
	if v == nil {
		return ctx
	}
	later := *v
	later.At = answersFrom(ctx).now()
	return authz.NewContext(ctx, &later)
}

func sessionRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Session, error) {
	q := c.Session.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func roleRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Role, error) {
	q := c.Role.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func grantRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.RoleGrant, error) {
	q := c.RoleGrant.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func contactRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Contact, error) {
	q := c.Contact.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func assignmentRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.ContactAssignment, error) {
	q := c.ContactAssignment.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func historyRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.HistoryEntry, error) {
	q := c.HistoryEntry.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func coverRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Cover, error) {
	q := c.Cover.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func conversationRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Conversation, error) {
	q := c.Conversation.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func messageRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Message, error) {
	q := c.Message.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func noteRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Note, error) {
	q := c.Note.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func tagRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.Tag, error) {
	q := c.Tag.Query()
	q.Modify(shape)
	return q.All(ctx)
}

func eventRows(ctx context.Context, c *ent.Client, shape func(*entsql.Selector)) ([]*ent.AuditEvent, error) {
	q := c.AuditEvent.Query()
	q.Modify(shape)
	return q.All(ctx)
}

// rowsFunc is one of the functions above.
type rowsFunc[T any] func(context.Context, *ent.Client, func(*entsql.Selector)) ([]T, error)

// byID loads the visible rows of these ids with one statement. Ids of 0 name nothing.
func byID[T bind.Node](ctx context.Context, c *ent.Client, rows rowsFunc[T], ids []int64) (map[int64]T, error) {
	found := make(map[int64]T, len(ids))
	ids = distinct(ids)
	if len(ids) == 0 {
		return found, nil
	}
	list, err := rows(ctx, c, func(s *entsql.Selector) {
		judgeLast(s)
		s.Where(in(s.C("id"), ids))
	})
	for _, row := range list {
		found[number(row)] = row
	}
	return found, err
}

// number is the number behind the id of a thing.
func number(n bind.Node) int64 {
	id := n.GlobalID()
	return id.As(id.Kind())
}

// distinct leaves out 0 and what is there twice.
func distinct(ids []int64) []int64 {
	seen := make(map[int64]bool, len(ids))
	var list []int64
	for _, id := range ids {
		if id != 0 && !seen[id] {
			seen[id] = true
			list = append(list, id)
		}
	}
	return list
}

// in is true when the column holds one of the ids. They are one parameter however many they are, which keeps clear of
// the databases' limits and gives one statement for any number.
func in(column string, ids []int64) *entsql.Predicate {
	return entsql.P(func(b *entsql.Builder) {
		b.WriteString(column).WriteString(" IN (SELECT CAST(")
		if b.Dialect() == dialect.Postgres {
			b.WriteString("v AS BIGINT) FROM jsonb_array_elements_text(CAST(").Arg(jsonOf(ids)).WriteString(" AS TEXT)::jsonb) AS v)")
		} else {
			b.WriteString("value AS BIGINT) FROM json_each(").Arg(jsonOf(ids)).WriteString("))")
		}
	})
}

// jsonOf returns numbers and texts as a JSON array.
func jsonOf(list any) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // numbers and texts only: it cannot fail
	}
	return string(text)
}
