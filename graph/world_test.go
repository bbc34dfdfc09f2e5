package graph_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/generated/historyentry"
	"canopy/ent/generated/message"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/graph"
	"canopy/internal/fold"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
)

// now is the moment of everything in these tests.
var now = time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)

// world is an account in a database of its own, with the API over it. Things have names and are found by them.
type world struct {
	t       testing.TB
	db      *store.DB
	exec    *executor.Executor
	log     *strings.Builder
	account int64
	ids     map[string]int64 // of groups, users, contacts, roles, …
	numbers int64
	knows   map[relay.Kind]relay.ID // by which arguments are filled in; nil: by name
}

func newWorld(t testing.TB, db *store.DB, change ...func(*graph.Config)) *world {
	t.Helper()
	w := &world{t: t, db: db, log: &strings.Builder{}, ids: map[string]int64{}}
	w.serve(change...)
	w.newAccount("acacia")
	return w
}

// serve puts the API over the world's database.
func (w *world) serve(change ...func(*graph.Config)) {
	w.t.Helper()
	clock := func() time.Time { return now }
	cfg := graph.Config{
		DB: w.db, Now: clock, Running: &sync.WaitGroup{}, Introspection: true,
		Directory: &directory.Service{DB: w.db, Now: clock, Rand: rand.Reader, MaxDepth: 64},
		Desk:      &desk.Service{DB: w.db, Now: clock},
		Log:       slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	exec, err := graph.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.exec = exec
}

// newAccount makes an account with its roles and a root called root; what is made next is made in it.
func (w *world) newAccount(slug string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		a, err := tx.Account.Create().SetName(slug).SetSlug(slug).SetPlan(account.PlanPRO).SetCreatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		w.account, w.ids[slug] = a.ID, a.ID
		for _, r := range authz.BuiltInRoles() {
			row, err := tx.Role.Create().SetAccountID(a.ID).SetKey(r.Key).SetName(r.Name).SetNameKey(fold.Key(r.Name)).SetCreatedAt(now).Save(ctx)
			if err != nil {
				return err
			}
			w.ids[r.Key] = row.ID
		}
		w.ids["root"], err = tree.Create(ctx, tx, tree.NewGroup{AccountID: a.ID, Name: "root", NameKey: "root", Now: now}, 64)
		return err
	})
}

// company is the account that most tests look at:
//
//	root            MANUAL; olga owns, adam administrates
//	├ sales         sue supervises (DASHBOARD_ADMINISTRATOR)
//	│ ├ north       agents ana, bruno; contacts of theirs and waiting ones
//	│ └ south       agent carla
//	├ support       Shared Inbox; agent dora
//	└ vault         RESTRICTED; agent vera
//	  └ cellar      agent vic
func company(t testing.TB, db *store.DB, change ...func(*graph.Config)) *world {
	t.Helper()
	w := newWorld(t, db, change...)
	w.set("root", func(u *ent.GroupUpdateOne) {
		u.SetAssignmentMode(group.AssignmentModeMANUAL).SetCapacity(7).SetCloseAfter(3600).SetSharedInbox(false)
	})
	w.user("olga", "root", authz.RoleOwner)
	w.user("adam", "root", authz.RoleAdministrator)
	w.groups("root", false, "sales", "support")
	w.groups("root", true, "vault")
	w.groups("sales", false, "north", "south")
	w.groups("vault", false, "cellar")
	w.set("support", func(u *ent.GroupUpdateOne) { u.SetSharedInbox(true) })
	w.user("sue", "sales", authz.RoleDashboardAdministrator)
	w.user("ana", "north", authz.RoleAgent)
	w.user("bruno", "north", authz.RoleAgent)
	w.user("carla", "south", authz.RoleAgent)
	w.user("dora", "support", authz.RoleAgent)
	w.user("vera", "vault", authz.RoleAgent)
	w.user("vic", "cellar", authz.RoleAgent)
	w.contact("Kim", "north", "ana")
	w.contact("Lee", "north", "")
	w.contact("Max", "south", "carla")
	w.contact("Nil", "vault", "vera")
	w.note("Kim note", "Kim conversation", "ana")
	w.note("Kim second note", "Kim conversation", "sue")
	w.note("Max note", "Max conversation", "olga")
	w.note("Nil note", "Nil conversation", "olga")
	return w
}

// write changes the world itself, past all rules.
func (w *world) write(fn func(ctx context.Context, tx *ent.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(authz.Trusted(context.Background()), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) groups(parent string, restricted bool, names ...string) {
	w.t.Helper()
	above := w.ids[parent]
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		for _, name := range names {
			w.ids[name], err = tree.Create(ctx, tx, tree.NewGroup{AccountID: w.account, ParentID: &above, Name: name,
				NameKey: fold.Key(name), Restricted: restricted, Now: now}, 64)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) set(name string, change func(*ent.GroupUpdateOne)) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u := tx.Group.UpdateOneID(w.ids[name])
		change(u)
		return u.Exec(ctx)
	})
}

// user makes an active user with roles that follow the home group.
func (w *world) user(name, home string, roles ...string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u, err := tx.User.Create().SetAccountID(w.account).SetHomeGroupID(w.ids[home]).SetName(name).SetNameKey(fold.Key(name)).
			SetEmail(name + "@example.com").SetEmailKey(name + "@example.com").SetStatus(user.StatusACTIVE).SetCreatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		w.ids[name] = u.ID
		for _, role := range roles {
			g, err := tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(u.ID).SetRoleID(w.ids[role]).
				SetValidFrom(now).SetCreatedAt(now).Save(ctx)
			if err != nil {
				return err
			}
			w.ids[name+" "+role] = g.ID
		}
		return tree.AddUser(ctx, tx, w.ids[home])
	})
}

// grant gives a role at a group.
func (w *world) grant(name, role, at string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		g, err := tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(w.ids[name]).SetRoleID(w.ids[role]).SetGroupID(w.ids[at]).
			SetValidFrom(now).SetCreatedAt(now).Save(ctx)
		if err == nil {
			w.ids[name+" "+role+" "+at] = g.ID
		}
		return err
	})
}

// changeContact changes a contact's row.
func (w *world) changeContact(name string, change func(*ent.ContactUpdateOne)) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u := tx.Contact.UpdateOneID(w.ids[name])
		change(u)
		return u.Exec(ctx)
	})
}

// contact makes a contact with an open conversation of one message; without an agent it waits.
func (w *world) contact(name, at, agent string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		box := tree.BoxOf(tree.Open, agent != "")
		create := tx.Contact.Create().SetAccountID(w.account).SetGroupID(w.ids[at]).SetArrivalGroupID(w.ids[at]).SetName(name).
			SetNameKey(fold.Key(name)).SetPhone("+5511912345678").SetEmail(fold.Key(name) + "@customers.example").
			SetBox(int(box)).SetSortKey(now.UnixMicro() + w.numbers).SetLastActivityAt(now).SetCreatedAt(now)
		if agent != "" {
			create.SetAssignedUserID(w.ids[agent])
		} else {
			create.SetWaitingSince(now)
		}
		c, err := create.Save(ctx)
		if err != nil {
			return err
		}
		w.ids[name] = c.ID
		w.numbers++
		v := tx.Conversation.Create().SetAccountID(w.account).SetContactID(c.ID).SetNumber(w.numbers).SetSubject("About " + name).SetOpenedAt(now)
		if agent != "" {
			v.SetAgentID(w.ids[agent])
			a, err := tx.ContactAssignment.Create().SetAccountID(w.account).SetContactID(c.ID).SetUserID(w.ids[agent]).SetAssignedByID(w.ids[agent]).
				SetMethod(contactassignment.MethodCLAIM).SetExplanation("Claimed.").SetStartedAt(now).Save(ctx)
			if err != nil {
				return err
			}
			w.ids[name+" assignment"] = a.ID
		}
		opened, err := v.Save(ctx)
		if err != nil {
			return err
		}
		w.ids[name+" conversation"] = opened.ID
		m, err := tx.Message.Create().SetAccountID(w.account).SetConversationID(opened.ID).SetDirection(message.DirectionINBOUND).
			SetText("Hello").SetSentAt(now).Save(ctx)
		if err != nil {
			return err
		}
		w.ids[name+" message"] = m.ID
		e := tx.HistoryEntry.Create().SetAccountID(w.account).SetContactID(c.ID).SetConversationID(opened.ID).SetKind(historyentry.KindARRIVED).
			SetAt(now).SetExplanation("Arrived.").SetToGroupID(w.ids[at])
		if agent != "" {
			e.SetKind(historyentry.KindCLAIMED).SetDoneByID(w.ids[agent]).SetToAgentID(w.ids[agent]).SetFromGroupID(w.ids[at]).
				SetAssignmentID(w.ids[name+" assignment"]).SetMethod(historyentry.MethodCLAIM)
		}
		told, err := e.Save(ctx)
		if err != nil {
			return err
		}
		w.ids[name+" entry"] = told.ID
		tag, err := tx.Tag.Create().SetAccountID(w.account).SetName("Tag of " + name).SetNameKey("tag of " + fold.Key(name)).SetCreatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		w.ids[name+" tag"] = tag.ID
		if err := tx.ConversationTag.Create().SetAccountID(w.account).SetConversationID(opened.ID).SetTagID(tag.ID).Exec(ctx); err != nil {
			return err
		}
		return tree.AddContact(ctx, tx, c.ID)
	})
}

// tell adds an entry to the history of a contact and its conversation, which considered those people.
func (w *world) tell(name string, kind historyentry.Kind, considered ...string) {
	w.t.Helper()
	var list []desk.Candidate
	for _, who := range considered {
		list = append(list, desk.Candidate{UserID: w.ids[who], Outcome: "FULL"})
	}
	raw, err := json.Marshal(list)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.HistoryEntry.Create().SetAccountID(w.account).SetContactID(w.ids[name]).SetConversationID(w.ids[name+" conversation"]).
			SetKind(kind).SetAt(now).SetExplanation("Told.").SetConsidered(raw).Exec(ctx)
	})
}

// cover has somebody covered by another one, so many hours from now.
func (w *world) cover(who, by string, hours int) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.Cover.Create().SetAccountID(w.account).SetUserID(w.ids[who]).SetToID(w.ids[by]).SetStartedByID(w.ids[who]).
			SetStartedAt(now.Add(-24 * time.Hour)).SetEndsAt(now.Add(time.Duration(hours) * time.Hour)).Exec(ctx)
	})
}

// note makes an internal note.
func (w *world) note(name, conversation, author string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		n, err := tx.Note.Create().SetAccountID(w.account).SetConversationID(w.ids[conversation]).SetAuthorID(w.ids[author]).
			SetText("Call back").SetWrittenAt(now).Save(ctx)
		if err == nil {
			w.ids[name] = n.ID
		}
		return err
	})
}

// rename gives a user a name that others may have too.
func (w *world) rename(user, name string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.UpdateOneID(w.ids[user]).SetName(name).SetNameKey(fold.Key(name)).Exec(ctx)
	})
}

// again adds an ended assignment and a closed conversation, both of the moment of all the others.
func (w *world) again(contact, agent string) {
	w.t.Helper()
	w.numbers++
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		err := tx.ContactAssignment.Create().SetAccountID(w.account).SetContactID(w.ids[contact]).SetUserID(w.ids[agent]).
			SetMethod(contactassignment.MethodTRANSFERRED).SetExplanation("Passed on.").SetStartedAt(now).SetEndedAt(now).Exec(ctx)
		if err != nil {
			return err
		}
		return tx.Conversation.Create().SetAccountID(w.account).SetContactID(w.ids[contact]).SetNumber(w.numbers).SetOpenedAt(now).SetClosedAt(now).
			SetCloseReason(conversation.CloseReasonRESOLVED).SetCloseNote("Done.").Exec(ctx)
	})
}

// say adds a message.
func (w *world) say(conversation string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.Message.Create().SetAccountID(w.account).SetConversationID(w.ids[conversation]).SetDirection(message.DirectionINBOUND).
			SetText("Are you there?").SetSentAt(now).Exec(ctx)
	})
}

func (w *world) session(name string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		s, err := tx.Session.Create().SetAccountID(w.account).SetUserID(w.ids[name]).SetTokenHash("hash of " + name).
			SetKind(session.KindTOKEN).SetCreatedAt(now).SetExpiresAt(now.Add(time.Hour)).Save(ctx)
		if err == nil {
			w.ids[name+" session"] = s.ID
		}
		return err
	})
}

// role makes a custom role.
func (w *world) role(name string, pairs ...authz.Pair) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		r, err := tx.Role.Create().SetAccountID(w.account).SetName(name).SetNameKey(fold.Key(name)).SetPairs(pairs).SetCreatedAt(now).Save(ctx)
		if err == nil {
			w.ids[name] = r.ID
		}
		return err
	})
}

// request makes somebody's wish for a group.
func (w *world) request(below, by string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		q, err := tx.GroupRequest.Create().SetAccountID(w.account).SetParentID(w.ids[below]).SetName("new").SetRequestedByID(w.ids[by]).SetCreatedAt(now).Save(ctx)
		if err == nil {
			w.ids["request of "+by] = q.ID
		}
		return err
	})
}

// groupMove makes the move of a branch of which half is carried.
func (w *world) groupMove(name string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		m, err := tx.GroupMove.Create().SetAccountID(w.account).SetGroupID(w.ids[name]).SetTotal(4).SetCarried(2).
			SetLastBox(6).SetLastSortKey(0).SetLastContactID(0).SetStartedAt(now).Save(ctx)
		if err == nil {
			w.ids["move of "+name] = m.ID
		}
		return err
	})
}

// event records something about the account.
func (w *world) event(name string) {
	w.t.Helper()
	w.record(name, relay.KindAccount, w.account, nil, nil)
}

func (w *world) record(name string, kind relay.Kind, target int64, before, after map[string]any) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		create := tx.AuditEvent.Create().SetAccountID(w.account).SetAction("TESTED").SetTargetKind(string(kind)).SetTargetID(target).
			SetReason("reason of " + name).SetAt(now)
		for side, set := range map[*map[string]any]func(json.RawMessage) *ent.AuditEventCreate{&before: create.SetBefore, &after: create.SetAfter} {
			if *side == nil {
				continue
			}
			raw, err := json.Marshal(*side)
			if err != nil {
				return err
			}
			set(raw)
		}
		e, err := create.Save(ctx)
		if err == nil {
			w.ids[name] = e.ID
		}
		return err
	})
}

// another makes a second account with one of everything and returns their numbers.
func (w *world) another(slug string) map[relay.Kind]int64 {
	w.t.Helper()
	own := maps.Clone(w.ids)
	w.newAccount(slug)
	w.user("stranger", "root", authz.RoleOwner)
	w.session("stranger")
	w.contact("Stray", "root", "stranger")
	w.note("Stray note", "Stray conversation", "stranger")
	w.role("foreign role")
	w.request("root", "stranger")
	w.groupMove("root")
	w.event("foreign event")
	all := map[relay.Kind]int64{
		relay.KindAccount: w.ids[slug], relay.KindGroup: w.ids["root"], relay.KindUser: w.ids["stranger"], relay.KindAgent: w.ids["stranger"],
		relay.KindRole: w.ids["foreign role"], relay.KindRoleGrant: w.ids["stranger OWNER"], relay.KindSession: w.ids["stranger session"],
		relay.KindContact: w.ids["Stray"], relay.KindContactAssignment: w.ids["Stray assignment"], relay.KindConversation: w.ids["Stray conversation"],
		relay.KindMessage: w.ids["Stray message"], relay.KindAuditEvent: w.ids["foreign event"], relay.KindGroupRequest: w.ids["request of stranger"],
		relay.KindGroupMove: w.ids["move of root"], relay.KindHistoryEntry: w.ids["Stray entry"], relay.KindNote: w.ids["Stray note"], relay.KindTag: w.ids["Stray tag"],
	}
	maps.Copy(w.ids, own)
	return all
}

// id is the id of something as clients see it.
func (w *world) id(kind relay.Kind, name string) string {
	w.t.Helper()
	n, ok := w.ids[name]
	if !ok {
		w.t.Fatalf("nothing is called %q", name)
	}
	return relay.NewID(kind, n).String()
}

// as is the context of a new request of the user; "" is nobody.
func (w *world) as(name string) context.Context {
	w.t.Helper()
	if name == "" {
		return context.Background()
	}
	v, err := (&directory.Service{DB: w.db, Now: func() time.Time { return now }}).LoadViewer(context.Background(), w.db.Read, w.ids[name])
	if err != nil || v == nil {
		w.t.Fatalf("loading %s: %v, %v", name, v, err)
	}
	return authz.NewContext(context.Background(), v)
}

// run sends a query and returns the whole answer as a client gets it.
func (w *world) run(ctx context.Context, query string, variables map[string]any) string {
	w.t.Helper()
	ctx, stop := context.WithCancel(graphql.StartOperationTrace(ctx))
	defer stop() // of a subscription only the first payload counts
	op, errs := w.exec.CreateOperationContext(ctx, &graphql.RawParams{Query: query, Variables: variables})
	var response *graphql.Response
	if errs != nil {
		response = w.exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
	} else {
		answer, ctx := w.exec.DispatchOperation(ctx, op)
		response = answer(ctx)
	}
	raw, err := json.Marshal(response)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range response.Errors {
		if e.Extensions["code"] == "FORBIDDEN" && (e.Extensions["permission"] == nil || e.Extensions["where"] == nil || e.Extensions["remedy"] == nil) {
			w.t.Errorf("%s\nis refused without permission, where or remedy: %s", query, raw)
		}
	}
	return string(raw)
}

// ask runs a query that has to succeed as the user and returns its data.
func (w *world) ask(name, query string, args ...any) string {
	w.t.Helper()
	answer := w.run(w.as(name), fmt.Sprintf(query, args...), nil)
	data, ok := strings.CutPrefix(answer, `{"data":`)
	if !ok {
		w.t.Fatalf("%s asks %s\nand hears %s\n%s", name, query, answer, w.log)
	}
	return strings.TrimSuffix(data, "}")
}

// refused runs a query that has to be refused and returns the extensions of its one error.
func (w *world) refused(ctx context.Context, query string, variables map[string]any) map[string]any {
	w.t.Helper()
	answer := w.run(ctx, query, variables)
	var response struct {
		Errors []struct {
			Message    string
			Extensions map[string]any
		}
	}
	if err := json.Unmarshal([]byte(answer), &response); err != nil || len(response.Errors) != 1 {
		w.t.Fatalf("%s\nis not refused once: %s\n%s", query, answer, w.log)
	}
	return response.Errors[0].Extensions
}

// statements counts what a query takes, the loading of the viewer left out.
func (w *world) statements(name, query string) int {
	w.t.Helper()
	ctx := w.as(name)
	counter := testdb.Statements(w.db)
	counter.Reset()
	answer := w.run(ctx, query, nil)
	if strings.Contains(answer, "INTERNAL_SERVER_ERROR") || !strings.Contains(answer, `"data":{`) {
		w.t.Fatalf("%s asks %s\nand hears %s\n%s", name, query, answer, w.log)
	}
	return counter.Count()
}

// same fails the test unless got is want.
func same(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
