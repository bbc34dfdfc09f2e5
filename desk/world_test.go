package desk_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// clock goes on by a second whenever somebody looks at it.
type clock struct{ seconds atomic.Int64 }

func (c *clock) Now() time.Time {
	return time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC).Add(time.Duration(c.seconds.Add(1)) * time.Second)
}

// world is an account in a database of its own:
//
//	root            MANUAL; olga owns, adam administrates, dev develops
//	├ sales         sue supervises (DASHBOARD_ADMINISTRATOR)
//	│ ├ north       agents ana, bruno
//	│ └ south       agent carla
//	├ support       ROUND_ROBIN, Shared Inbox; agents dora, emil
//	└ vault         RESTRICTED; agent vera
//	  └ cellar      agent vic
type world struct {
	t       testing.TB
	db      *store.DB
	clock   *clock
	desk    *desk.Service
	account int64
	groups  map[string]int64
	users   map[string]int64
	roles   map[string]int64
}

// each runs the test in a new world on every database.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel() // most of a test is waiting for a PostgreSQL database to be made
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.build()
		test(t, w)
		w.intact()
	})
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	return newWorldCalled(t, db, "acacia")
}

func newWorldCalled(t testing.TB, db *store.DB, slug string) *world {
	t.Helper()
	c := &clock{}
	w := &world{t: t, db: db, clock: c, desk: &desk.Service{DB: db, Now: c.Now}}
	w.account, w.groups, w.users, w.roles = w.newAccount(slug)
	return w
}

// newAccount makes an account with a root and an owner.
func (w *world) newAccount(slug string) (id int64, groups, users, roles map[string]int64) {
	w.t.Helper()
	groups, users, roles = map[string]int64{}, map[string]int64{}, map[string]int64{}
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		a, err := tx.Account.Create().SetName(slug).SetSlug(slug).SetPlan(account.PlanPRO).SetCreatedAt(w.clock.Now()).Save(ctx)
		if err != nil {
			return err
		}
		id = a.ID
		for _, r := range authz.BuiltInRoles() {
			row, err := tx.Role.Create().SetAccountID(id).SetKey(r.Key).SetName(r.Name).SetNameKey(fold.Key(r.Name)).SetCreatedAt(w.clock.Now()).Save(ctx)
			if err != nil {
				return err
			}
			roles[r.Key] = row.ID
		}
		groups["root"], err = tree.Create(ctx, tx, tree.NewGroup{AccountID: id, Name: "root", NameKey: "root", Now: w.clock.Now()}, 64)
		return err
	})
	present := w.account
	w.account, w.groups, w.users, w.roles = id, groups, users, roles
	w.user("olga", "root", authz.RoleOwner)
	w.account = present
	return id, groups, users, roles
}

func (w *world) build() {
	w.set("root", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeMANUAL) })
	w.user("adam", "root", authz.RoleAdministrator)
	w.user("dev", "root", authz.RoleDeveloper)
	w.group("sales", "root")
	w.user("sue", "sales", authz.RoleDashboardAdministrator)
	w.group("north", "sales")
	w.user("ana", "north", authz.RoleAgent)
	w.user("bruno", "north", authz.RoleAgent)
	w.group("south", "sales")
	w.user("carla", "south", authz.RoleAgent)
	w.group("support", "root")
	w.set("support", func(u *ent.GroupUpdateOne) {
		u.SetAssignmentMode(group.AssignmentModeROUND_ROBIN).SetSharedInbox(true)
	})
	w.user("dora", "support", authz.RoleAgent)
	w.user("emil", "support", authz.RoleAgent)
	w.walled("vault", "root")
	w.user("vera", "vault", authz.RoleAgent)
	w.group("cellar", "vault")
	w.user("vic", "cellar", authz.RoleAgent)
}

// write changes the world itself, past all rules.
func (w *world) write(fn func(ctx context.Context, tx *ent.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(authz.Trusted(context.Background()), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) group(name, parent string) int64  { return w.newGroup(name, parent, false) }
func (w *world) walled(name, parent string) int64 { return w.newGroup(name, parent, true) }

func (w *world) newGroup(name, parent string, restricted bool) int64 {
	w.t.Helper()
	above := w.groups[parent]
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		w.groups[name], err = tree.Create(ctx, tx, tree.NewGroup{AccountID: w.account, ParentID: &above, Name: name, NameKey: name,
			Restricted: restricted, Now: w.clock.Now()}, 64)
		return err
	})
	return w.groups[name]
}

// set changes settings of a group.
func (w *world) set(name string, change func(*ent.GroupUpdateOne)) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u := tx.Group.UpdateOneID(w.groups[name])
		change(u)
		return u.Exec(ctx)
	})
}

// user makes an active user with the roles, which follow the home group.
func (w *world) user(name, home string, roles ...string) int64 {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u, err := tx.User.Create().SetAccountID(w.account).SetHomeGroupID(w.groups[home]).SetName(name).SetNameKey(name).
			SetEmail(name + "@example.com").SetEmailKey(name + "@example.com").SetStatus(user.StatusACTIVE).SetCreatedAt(w.clock.Now()).Save(ctx)
		if err != nil {
			return err
		}
		w.users[name] = u.ID
		return tree.AddUser(ctx, tx, w.groups[home])
	})
	for _, r := range roles {
		w.grant(name, r, "")
	}
	return w.users[name]
}

// grant gives a role from now on, at the group, or following the home group when that is empty.
func (w *world) grant(name, role, at string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		g := tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(w.users[name]).SetRoleID(w.roles[role]).
			SetValidFrom(w.clock.Now()).SetCreatedAt(w.clock.Now())
		if at != "" {
			g.SetGroupID(w.groups[at])
		}
		return g.Exec(ctx)
	})
}

// role makes a custom role.
func (w *world) role(name string, pairs ...authz.Pair) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		r, err := tx.Role.Create().SetAccountID(w.account).SetName(name).SetNameKey(fold.Key(name)).SetPairs(pairs).SetCreatedAt(w.clock.Now()).Save(ctx)
		if err == nil {
			w.roles[name] = r.ID
		}
		return err
	})
}

// changeUser changes a user's row.
func (w *world) changeUser(name string, change func(*ent.UserUpdateOne)) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u := tx.User.UpdateOneID(w.users[name])
		change(u)
		return u.Exec(ctx)
	})
}

// as is the context of a new request of the user.
func (w *world) as(name string) context.Context {
	w.t.Helper()
	return authz.NewContext(context.Background(), w.viewer(name))
}

func (w *world) viewer(name string) *authz.Viewer {
	w.t.Helper()
	v, err := (&directory.Service{DB: w.db, Now: w.clock.Now}).LoadViewer(context.Background(), w.db.Read, w.users[name])
	if err != nil || v == nil {
		w.t.Fatalf("loading %s: %v, %v", name, v, err)
	}
	return v
}

// all is a context that sees everything.
func all() context.Context { return authz.Trusted(context.Background()) }

// arrives makes a contact that waits in the group, without a conversation.
func (w *world) arrives(name, at string) int64 {
	w.t.Helper()
	c, err := w.desk.CreateContact(w.as("olga"), desk.CreateContact{GroupID: w.groups[at], Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ID
}

var messages atomic.Int64

// writes makes a contact that waits in the group with an open conversation, because it has written.
func (w *world) writes(name, at string) int64 {
	w.t.Helper()
	id := w.groups[at]
	w.says(name, &id)
	c, err := w.db.Read.Contact.Query().Where(contact.AccountID(w.account), contact.Address(name)).Only(all())
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ID
}

// says is a message of the contact, which the test channel knows by its name.
func (w *world) says(name string, at *int64) *desk.Received {
	w.t.Helper()
	r, err := w.desk.ReceiveMessage(w.as("olga"), desk.ReceiveMessage{Channel: "test", Address: name, Name: &name, Text: "Hello",
		ExternalID: fmt.Sprint("message ", messages.Add(1)), GroupID: at})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// served makes a contact with an open conversation that the agent serves.
func (w *world) served(name, agent string) int64 {
	w.t.Helper()
	c := w.writes(name, "root")
	w.assigned(c, agent)
	return c
}

func (w *world) assigned(c int64, agent string) *ent.ContactAssignment {
	w.t.Helper()
	a, err := w.desk.AssignContact(w.as("olga"), desk.AssignContact{ContactID: c, AgentID: w.id(agent)})
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Assignment
}

// closes ends the open conversation of a contact.
func (w *world) closes(c int64) {
	w.t.Helper()
	if _, err := w.desk.CloseConversation(w.as("olga"), desk.CloseConversation{ConversationID: w.openOf(c).ID}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) id(user string) *int64 {
	id := w.users[user]
	return &id
}

func (w *world) at(group string) *int64 {
	id := w.groups[group]
	return &id
}

func (w *world) row(c int64) *ent.Contact {
	w.t.Helper()
	row, err := w.db.Read.Contact.Get(all(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return row
}

// conversations are those of the contact, the oldest first.
func (w *world) conversations(c int64) []*ent.Conversation {
	w.t.Helper()
	list, err := w.db.Read.Conversation.Query().Where(conversation.ContactID(c)).Order(conversation.ByNumber()).All(all())
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// openOf is the open conversation of the contact, nil when there is none.
func (w *world) openOf(c int64) *ent.Conversation {
	w.t.Helper()
	open, err := w.db.Read.Conversation.Query().Where(conversation.ContactID(c), conversation.ClosedAtIsNil()).Only(all())
	if err != nil && !ent.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return open
}

// assignments are those of the contact, the oldest first.
func (w *world) assignments(c int64) []*ent.ContactAssignment {
	w.t.Helper()
	list, err := w.db.Read.ContactAssignment.Query().Where(contactassignment.ContactID(c)).Order(contactassignment.ByID()).All(all())
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// isServedBy checks that the contact, its current assignment and its open conversation agree on who serves it.
func (w *world) isServedBy(c int64, agent string) {
	w.t.Helper()
	row, id := w.row(c), w.users[agent]
	if row.AssignedUserID == nil || *row.AssignedUserID != id || row.WaitingSince != nil {
		w.t.Errorf("%s is served by %v, waiting since %v; want %s, %d", row.Name, show(row.AssignedUserID), row.WaitingSince, agent, id)
	}
	list := w.assignments(c)
	if len(list) == 0 || list[len(list)-1].UserID != id || list[len(list)-1].EndedAt != nil {
		w.t.Errorf("the last assignment is not a current one of %s: %v", agent, list)
	}
	if open := w.openOf(c); open != nil && (open.AgentID == nil || *open.AgentID != id) {
		w.t.Errorf("the agent of the open conversation is %v; want %s", show(open.AgentID), agent)
	}
}

// waitsIn checks that nobody serves the contact, and where it waits.
func (w *world) waitsIn(c int64, group string) {
	w.t.Helper()
	row := w.row(c)
	if row.AssignedUserID != nil || row.WaitingSince == nil || row.GroupID != w.groups[group] {
		w.t.Errorf("%s is in group %d, served by %v, waiting since %v; want it to wait in %s, %d", row.Name, row.GroupID,
			show(row.AssignedUserID), row.WaitingSince, group, w.groups[group])
	}
	for _, a := range w.assignments(c) {
		if a.EndedAt == nil {
			w.t.Errorf("%s waits and has the current assignment %v", row.Name, a)
		}
	}
	if open := w.openOf(c); open != nil && open.AgentID != nil {
		w.t.Errorf("%s waits and its conversation has agent %d", row.Name, *open.AgentID)
	}
}

func show(id *int64) any {
	if id == nil {
		return "nobody"
	}
	return *id
}

// intact checks that scope rows and counters are what follows from the rows.
func (w *world) intact() {
	w.t.Helper()
	faults, err := tree.Check(context.Background(), w.db.Read, w.account)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range faults {
		w.t.Errorf("fault: %+v", f)
	}
	w.stands()
}

// stands checks that every open conversation has one stay that lasts, where its contact is and with its agent, and that no
// other stay lasts.
func (w *world) stands() {
	w.t.Helper()
	err := store.EachRow(context.Background(), w.db.Read, `SELECT COALESCE(v.id, s.conversation_id) FROM
		(SELECT v.id, k.group_id, k.assigned_user_id FROM conversations AS v JOIN contacts AS k ON k.id = v.contact_id WHERE v.closed_at IS NULL) AS v
		FULL JOIN (SELECT * FROM stays WHERE ended_at = 9223372036854775807) AS s ON s.conversation_id = v.id
		WHERE v.id IS NULL OR s.conversation_id IS NULL OR s.group_id <> v.group_id OR COALESCE(s.agent_id, 0) <> COALESCE(v.assigned_user_id, 0)`,
		nil, func(rows *stdsql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			w.t.Errorf("conversation %d stands elsewhere than its last stay says", id)
			return err
		})
	ok(w.t, err)
}

// lastEvent returns the newest audit event.
func (w *world) lastEvent() *ent.AuditEvent {
	w.t.Helper()
	e, err := w.db.Read.AuditEvent.Query().Order(ent.Desc("id")).First(all())
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// refused checks that an error is the refusal with that code and reason.
func refused(t testing.TB, err error, code refusal.Code, reason refusal.Reason) {
	t.Helper()
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		t.Errorf("got %v; want the refusal %s %s", err, code, reason)
		return
	}
	if r.Code != code || r.Reason != reason {
		t.Errorf("got %s %s (%s); want %s %s", r.Code, r.Reason, r.Message, code, reason)
	}
}

// lacks checks that an error is FORBIDDEN for want of the permission.
func lacks(t testing.TB, err error, p authz.Permission) {
	t.Helper()
	var r *refusal.Refusal
	if !errors.As(err, &r) || r.Code != refusal.ForbiddenCode || r.Permission != p.String() {
		t.Errorf("got %v; want FORBIDDEN for want of %s", err, p)
	}
}

// blames checks that an error is BAD_USER_INPUT at the field.
func blames(t testing.TB, err error, field string) {
	t.Helper()
	var r *refusal.Refusal
	if !errors.As(err, &r) || r.Code != refusal.BadUserInput || r.Field != field {
		t.Errorf("got %v; want BAD_USER_INPUT at %s", err, field)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) changeAccount(change func(*ent.AccountUpdateOne)) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u := tx.Account.UpdateOneID(w.account)
		change(u)
		return u.Exec(ctx)
	})
}
