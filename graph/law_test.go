package graph_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/message"
	"canopy/ent/generated/user"
	"canopy/graph"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/tree"
)

// leads are the connections from each type of object to others: the field and the type of its nodes.
var leads = map[string][][2]string{
	"Query": {{"groups", "Group"}, {"users", "User"}, {"agents", "Agent"}, {"contacts", "Contact"}, {"roleGrants", "RoleGrant"},
		{"groupRequests", "GroupRequest"}, {"auditEvents", "AuditEvent"}},
	"Group":        {{"children", "Group"}, {"descendants", "Group"}, {"users", "User"}, {"agents", "Agent"}},
	"Contact":      {{"conversations", "Conversation"}, {"assignments", "ContactAssignment"}},
	"Conversation": {{"messages", "Message"}, {"notes", "Note"}},
}

// chain is a query along connections, each within the one before.
type chain struct {
	fields []string
	typ    string // of the innermost nodes
}

// chains are all of 1 to depth connections.
func chains(depth int) (all []chain) {
	level := []chain{{typ: "Query"}}
	for range depth {
		var next []chain
		for _, c := range level {
			for _, lead := range leads[c.typ] {
				next = append(next, chain{append(append([]string{}, c.fields...), lead[0]), lead[1]})
			}
		}
		all, level = append(all, next...), next
	}
	return all
}

// query asks for full pages of the outer connections and shorter ones within, with totals or without.
func (c chain) query(totals bool) string {
	total := ""
	if totals {
		total = "totalCount "
	}
	text := "id"
	for i := len(c.fields) - 1; i >= 0; i-- {
		text = fmt.Sprintf("%s(first: %d) { %snodes { %s } }", c.fields[i], []int{200, 50, 5, 2}[i], total, text)
	}
	return "{ " + text + " }"
}

// statements is the law: one for each connection on the way and one for each total that is asked for, however many rows
// there are.
func (c chain) statements(totals bool) int {
	n := len(c.fields)
	if totals {
		n *= 2
	}
	return n
}

// TestStatementsAreLevelsAndCounts holds the law for every way along one to four connections.
func TestStatementsAreLevelsAndCounts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db, func(c *graph.Config) { c.Limits.Complexity = 1 << 40 })
		have := 0
		for _, rows := range []int{1, 10, 200, 2000} {
			w.lengthen(rows - have)
			have = rows
			for _, c := range chains(4) {
				for _, totals := range []bool{false, true} {
					want := c.statements(totals)
					if n := w.statements("olga", c.query(totals)); n != want {
						t.Errorf("%d rows: %s takes %d statements, want %d:\n%s", rows, c.query(totals), n, want,
							strings.Join(testdb.Statements(db).List(), "\n"))
					}
				}
			}
			if t.Failed() {
				return
			}
		}
	})
}

// lengthen adds rows to every list: groups below sales, users and contacts in north, and what belongs to Kim.
func (w *world) lengthen(n int) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for range n {
			w.numbers++
			if err := w.one(ctx, tx, fmt.Sprint("more ", w.numbers)); err != nil {
				return err
			}
		}
		return nil
	})
}

// one adds one row to every list.
func (w *world) one(ctx context.Context, tx *ent.Tx, name string) error {
	parent := w.ids["sales"]
	if _, err := tree.Create(ctx, tx, tree.NewGroup{AccountID: w.account, ParentID: &parent, Name: name, NameKey: name, Now: now}, 64); err != nil {
		return err
	}
	u, err := tx.User.Create().SetAccountID(w.account).SetHomeGroupID(w.ids["north"]).SetName(name).SetNameKey(name).
		SetEmail(name).SetEmailKey(name).SetStatus(user.StatusACTIVE).SetCreatedAt(now).Save(ctx)
	if err != nil {
		return err
	}
	c, err := tx.Contact.Create().SetAccountID(w.account).SetGroupID(w.ids["north"]).SetArrivalGroupID(w.ids["north"]).SetName(name).
		SetNameKey(name).SetBox(int(tree.BoxOf(tree.None, false))).SetSortKey(now.UnixMicro() - w.numbers).SetLastActivityAt(now).
		SetWaitingSince(now).SetCreatedAt(now).Save(ctx)
	if err != nil {
		return err
	}
	v, err := tx.Conversation.Create().SetAccountID(w.account).SetContactID(w.ids["Kim"]).SetNumber(w.numbers + 1_000_000).SetOpenedAt(now).SetClosedAt(now).Save(ctx)
	if err != nil {
		return err
	}
	for _, row := range []interface{ Exec(context.Context) error }{
		tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(u.ID).SetRoleID(w.ids[authz.RoleAgent]).SetValidFrom(now).SetCreatedAt(now),
		tx.GroupRequest.Create().SetAccountID(w.account).SetParentID(w.ids["sales"]).SetName(name).SetRequestedByID(w.ids["sue"]).SetCreatedAt(now),
		tx.AuditEvent.Create().SetAccountID(w.account).SetAction("TESTED").SetTargetKind("A").SetTargetID(w.account).SetAt(now),
		tx.ContactAssignment.Create().SetAccountID(w.account).SetContactID(w.ids["Kim"]).SetUserID(w.ids["ana"]).
			SetMethod(contactassignment.MethodTRANSFERRED).SetExplanation("Passed on.").SetStartedAt(now).SetEndedAt(now),
		tx.Message.Create().SetAccountID(w.account).SetConversationID(w.ids["Kim conversation"]).SetDirection(message.DirectionINBOUND).
			SetText("Hello").SetSentAt(now),
		tx.Message.Create().SetAccountID(w.account).SetConversationID(v.ID).SetDirection(message.DirectionINBOUND).SetText("Hello").SetSentAt(now),
	} {
		if err := row.Exec(ctx); err != nil {
			return err
		}
	}
	if err := tree.AddUser(ctx, tx, w.ids["north"]); err != nil {
		return err
	}
	return tree.AddContact(ctx, tx, c.ID)
}
