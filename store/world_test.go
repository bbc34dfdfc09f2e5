package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/importrun"
	"canopy/ent/generated/message"
	"canopy/ent/generated/session"
	"canopy/internal/testdb"
	"canopy/store"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// trusted is the context of these tests: they ask what the database does, not what a viewer may.
func trusted() context.Context { return authz.Trusted(context.Background()) }

// world is an account with one row, or a few, in every table.
type world struct {
	account, root, child int64
}

// makeWorld writes a world. Two worlds in one database differ by their slugs only.
func makeWorld(t *testing.T, db *store.DB, slug string) world {
	t.Helper()
	var w world
	err := db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		b := builder{ctx: ctx, tx: tx, w: &w}
		b.tree(slug)
		b.people()
		return b.err
	})
	if err != nil {
		t.Fatalf("making a world: %v", err)
	}
	return w
}

// builder keeps the first error.
type builder struct {
	ctx context.Context
	tx  *ent.Tx
	w   *world
	err error
}

func save[T any](b *builder, c interface {
	Save(context.Context) (T, error)
}) T {
	var row T
	if b.err == nil {
		if row, b.err = c.Save(b.ctx); b.err != nil {
			b.err = fmt.Errorf("%T: %w", c, b.err)
		}
	}
	return row
}

func (b *builder) tree(slug string) {
	a := save(b, b.tx.Account.Create().SetName("Acme").SetSlug(slug).SetPlan(account.PlanPRO).SetCreatedAt(noon))
	if b.err != nil {
		return
	}
	root := save(b, b.tx.Group.Create().SetAccountID(a.ID).SetName("Acme").SetNameKey("acme").
		SetPath("a").SetDepth(0).SetCreatedAt(noon))
	if b.err != nil {
		return
	}
	child := save(b, b.tx.Group.Create().SetAccountID(a.ID).SetParentID(root.ID).SetName("Sales").SetNameKey("sales").
		SetPath("ab").SetDepth(1).SetCreatedAt(noon))
	if b.err != nil {
		return
	}
	*b.w = world{account: a.ID, root: root.ID, child: child.ID}
	for _, id := range []int64{root.ID, child.ID} {
		_, b.err = b.tx.ExecContext(b.ctx, "INSERT INTO group_counters (group_id, contacts) VALUES ($1, 1)", id)
		if b.err != nil {
			return
		}
	}
}

func (b *builder) people() {
	if b.err != nil {
		return
	}
	w := b.w
	u := save(b, b.tx.User.Create().SetAccountID(w.account).SetHomeGroupID(w.root).SetName("Ada").SetNameKey("ada").
		SetEmail("ada@example.com").SetEmailKey("ada@example.com").SetSetupTokenHash(fmt.Sprint("setup ", w.account)).SetCreatedAt(noon))
	r := save(b, b.tx.Role.Create().SetAccountID(w.account).SetKey("OWNER").SetName("Owner").SetNameKey("owner").
		SetPairs([]authz.Pair{}).SetCreatedAt(noon))
	c := save(b, b.tx.Contact.Create().SetAccountID(w.account).SetGroupID(w.child).SetArrivalGroupID(w.root).
		SetName("Bob").SetNameKey("bob").SetChannel("mail").SetAddress("bob@example.com").SetSortKey(1).
		SetLastActivityAt(noon).SetCreatedAt(noon))
	if b.err != nil {
		return
	}
	b.tx.Account.UpdateOneID(w.account).SetPrimaryOwnerID(u.ID).ExecX(b.ctx)
	b.tx.Role.UpdateOneID(r.ID).AddMayGiveIDs(r.ID).ExecX(b.ctx)
	b.tx.Contact.UpdateOneID(c.ID).SetAssignedUserID(u.ID).ExecX(b.ctx)
	save(b, b.tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(u.ID).SetRoleID(r.ID).SetGroupID(w.child).
		SetGrantedByID(u.ID).SetRevokedByID(u.ID).SetValidFrom(noon).SetCreatedAt(noon))
	save(b, b.tx.ImportRun.Create().SetAccountID(w.account).SetUserID(u.ID).SetKind(importrun.KindGROUPS).SetFingerprint("f").SetStartedAt(noon))
	save(b, b.tx.Session.Create().SetAccountID(w.account).SetUserID(u.ID).SetTokenHash(fmt.Sprint("token ", w.account)).
		SetKind(session.KindCOOKIE).SetCreatedAt(noon).SetExpiresAt(noon.Add(time.Hour)))
	a := save(b, b.tx.ContactAssignment.Create().SetAccountID(w.account).SetContactID(c.ID).SetUserID(u.ID).SetAssignedByID(u.ID).
		SetTakenFromGroupID(w.child).SetMethod(contactassignment.MethodCLAIM).SetExplanation("first").SetStartedAt(noon))
	v := save(b, b.tx.Conversation.Create().SetAccountID(w.account).SetContactID(c.ID).SetNumber(1).SetAgentID(u.ID).
		SetOpenedByID(u.ID).SetClosedByID(u.ID).SetOpenedAt(noon))
	k := save(b, b.tx.Cover.Create().SetAccountID(w.account).SetUserID(u.ID).SetToID(u.ID).SetStartedByID(u.ID).SetStartedAt(noon).SetEndsAt(noon))
	if b.err == nil {
		save(b, b.tx.HistoryEntry.Create().SetAccountID(w.account).SetContactID(c.ID).SetConversationID(v.ID).SetPreviousConversationID(v.ID).
			SetKind(historyentry.KindCOVERED).SetAt(noon).SetDoneByID(u.ID).SetToAgentID(u.ID).SetAssignmentID(a.ID).SetCoverID(k.ID).SetExplanation("first"))
	}
	save(b, b.tx.GroupRequest.Create().SetAccountID(w.account).SetParentID(w.root).SetGroupID(w.child).
		SetName("Sales").SetRequestedByID(u.ID).SetCreatedAt(noon))
	save(b, b.tx.AuditEvent.Create().SetAccountID(w.account).SetUserID(u.ID).SetAt(noon).SetAction("GROUP_CREATED").
		SetTargetKind("g").SetTargetID(w.child).SetAfter([]byte(`{"name":"Sales"}`)))
	m := save(b, b.tx.GroupMove.Create().SetAccountID(w.account).SetGroupID(w.child).SetTotal(1).
		SetLastBox(6).SetLastSortKey(0).SetLastContactID(0).SetStartedAt(noon))
	if b.err != nil {
		return
	}
	save(b, b.tx.ReadMark.Create().SetAccountID(w.account).SetConversationID(v.ID).SetUserID(u.ID).SetSentAt(noon).SetMessageID(0))
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, "INSERT INTO contact_words (contact_id, word) VALUES ($1, 'hello')", c.ID)
	}
	save(b, b.tx.Message.Create().SetAccountID(w.account).SetConversationID(v.ID).SetAuthorID(u.ID).
		SetDirection(message.DirectionOUTBOUND).SetText("Hello").SetChannel("test").SetExternalID("x1").SetSentAt(noon))
	save(b, b.tx.Note.Create().SetAccountID(w.account).SetConversationID(v.ID).SetAuthorID(u.ID).SetText("Call back").SetWrittenAt(noon))
	tag := save(b, b.tx.Tag.Create().SetAccountID(w.account).SetName("VIP").SetNameKey("vip").SetCreatedAt(noon))
	if b.err == nil {
		save(b, b.tx.ConversationTag.Create().SetAccountID(w.account).SetConversationID(v.ID).SetTagID(tag.ID))
	}
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, "INSERT INTO scopes (scope_id, box, sort_key, contact_id) VALUES ($1, 3, 1, $2)", w.child, c.ID)
	}
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, "INSERT INTO detours (scope_id, move_id, account_id, group_id, entering) VALUES ($1, $2, $3, $4, TRUE)",
			w.root, m.ID, w.account, w.child)
	}
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, `INSERT INTO stays (account_id, contact_id, conversation_id, group_id, started_at, entered, begun_at, unanswered)
			VALUES ($1, $2, $3, $4, 1, 1, 1, TRUE)`, w.account, c.ID, v.ID, w.child)
	}
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, "INSERT INTO allowances (key, spent_until) VALUES ($1, 1)", []byte(fmt.Sprint("log-in ", w.account)))
	}
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, "INSERT INTO timers (kind, subject_id, account_id, due_at) VALUES ('DISTRIBUTE', $1, $2, 1)", w.child, w.account)
	}
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, "INSERT INTO event_counters (account_id, last, secret) VALUES ($1, 1, $2)", w.account, make([]byte, 16))
	}
	if b.err == nil {
		_, b.err = b.tx.ExecContext(b.ctx, `INSERT INTO events (account_id, sequence, at, kind, contact_id, conversation_id, message_id, group_id, user_id)
			VALUES ($1, 1, $2, 'CONTACT', $3, 0, 0, 0, 0)`, w.account, noon, c.ID)
	}
}

// execute runs one statement in a transaction of its own.
func execute(db *store.DB, statement string, args ...any) error {
	return db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
}

func mustExecute(t *testing.T, db *store.DB, statement string, args ...any) {
	t.Helper()
	if err := execute(db, statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// scan reads one row.
func scan(t *testing.T, db *store.DB, query string, into ...any) {
	t.Helper()
	rows, err := db.Read.QueryContext(trusted(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatalf("%s: no row, %v", query, rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// open opens the database at the address with the options of the tests.
func open(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: url, Synchronous: "OFF", Readers: 4, Writers: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestWorldsFitSideBySide(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		makeWorld(t, db, "one")
		makeWorld(t, db, "two")
		for _, table := range tables(t, db) {
			var n int
			scan(t, db, "SELECT count(*) FROM "+quote(table), &n)
			if n < 2 && table != "schema_migrations" {
				t.Errorf("%s has %d rows", table, n)
			}
		}
	})
}

// quote is the same on both databases.
func quote(name string) string { return `"` + name + `"` }
