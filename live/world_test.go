package live_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/role"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/live"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// world is an account with a root whose assignment is MANUAL, and a hub that looks when it is told to.
type world struct {
	t         testing.TB
	db        *store.DB
	now       time.Time
	directory *directory.Service
	desk      *desk.Service
	hub       *live.Hub
	account   int64
	groups    map[string]int64
	users     map[string]int64
	roles     map[string]int64
}

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, now: time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC),
		groups: map[string]int64{}, users: map[string]int64{}, roles: map[string]int64{}}
	clock := func() time.Time { return w.now }
	w.desk = &desk.Service{DB: db, Now: clock}
	w.directory = &directory.Service{DB: db, Now: clock, Rand: rand.Reader, MaxDepth: 64, Handover: w.desk}
	w.hub = &live.Hub{DB: db, People: w.directory, Now: clock, Log: slog.New(slog.DiscardHandler), Running: &sync.WaitGroup{}}
	live.Quiet(w.hub)
	made, err := w.directory.CreateAccount(context.Background(), directory.CreateAccount{Name: "acacia", Slug: "acacia", OwnerName: "olga", OwnerEmail: "olga@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	w.account, w.groups["root"], w.users["olga"] = made.Account.ID, made.Root.ID, made.Owner.ID
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for _, r := range tx.Role.Query().Where(role.AccountID(w.account)).AllX(ctx) {
			w.roles[*r.Key] = r.ID
		}
		return errors.Join(
			tx.User.UpdateOneID(w.users["olga"]).SetStatus(user.StatusACTIVE).Exec(ctx),
			tx.Group.UpdateOneID(w.groups["root"]).SetAssignmentMode(group.AssignmentModeMANUAL).Exec(ctx))
	})
	return w
}

func (w *world) write(fn func(ctx context.Context, tx *ent.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(authz.Trusted(context.Background()), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) group(name, parent string) {
	w.t.Helper()
	made, err := w.directory.CreateGroup(w.as("olga"), directory.CreateGroup{ParentID: w.groups[parent], Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	w.groups[name] = made.Group.ID
}

// user makes an active user with a session and roles that follow the home group.
func (w *world) user(name, home string, roles ...string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u, err := tx.User.Create().SetAccountID(w.account).SetHomeGroupID(w.groups[home]).SetName(name).SetNameKey(name).
			SetEmail(name + "@example.com").SetEmailKey(name + "@example.com").SetStatus(user.StatusACTIVE).SetCreatedAt(w.now).Save(ctx)
		if err != nil {
			return err
		}
		w.users[name] = u.ID
		for _, key := range roles {
			err = errors.Join(err, tx.RoleGrant.Create().SetAccountID(w.account).SetUserID(u.ID).SetRoleID(w.roles[key]).
				SetValidFrom(w.now).SetCreatedAt(w.now).Exec(ctx))
		}
		return errors.Join(err, tree.AddUser(ctx, tx, w.groups[home]))
	})
}

// as is the context of a request of the user, without a session.
func (w *world) as(name string) context.Context {
	w.t.Helper()
	v, err := w.directory.LoadViewer(context.Background(), w.db.Read, w.users[name])
	if err != nil || v == nil {
		w.t.Fatalf("loading %s: %v", name, err)
	}
	return authz.NewContext(context.Background(), v)
}

// loggedIn is the context of a request of the user with a session that ends then.
func (w *world) loggedIn(name string, until time.Time) context.Context {
	w.t.Helper()
	ctx := w.as(name)
	w.write(func(c context.Context, tx *ent.Tx) error {
		s, err := tx.Session.Create().SetAccountID(w.account).SetUserID(w.users[name]).SetTokenHash(name + until.String()).
			SetKind(session.KindTOKEN).SetCreatedAt(w.now).SetExpiresAt(until).Save(c)
		if err == nil {
			authz.FromContext(ctx).SessionID = s.ID
		}
		return err
	})
	return ctx
}

func (w *world) contact(name, at string) int64 {
	w.t.Helper()
	c, err := w.desk.CreateContact(w.as("olga"), desk.CreateContact{GroupID: w.groups[at], Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ID
}

func (w *world) look() {
	w.t.Helper()
	if err := w.hub.Look(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// listener is somebody who has subscribed.
type listener struct {
	w *world
	*live.Stream
	last string // the last position
}

// listen subscribes, and hears where the stream begins.
func (w *world) listen(ctx context.Context, i live.Interest, since *string) *listener {
	w.t.Helper()
	s, err := w.hub.Subscribe(ctx, i, since)
	if err != nil {
		w.t.Fatal(err)
	}
	w.look()
	return &listener{w: w, Stream: s}
}

// heard takes all that waits, and why the stream ended, if it did.
func (l *listener) heard() (list []*live.Delivery, ended error) {
	l.w.t.Helper()
	for l.Waiting() > 0 {
		d, err := l.Next(context.Background())
		if err != nil {
			return list, err
		}
		if d == nil {
			return list, nil
		}
		l.last = d.Position
		list = append(list, d)
	}
	return list, nil
}

// changes are what was heard, in short.
func (l *listener) changes() (list []live.Change) {
	l.w.t.Helper()
	heard, err := l.heard()
	if err != nil {
		l.w.t.Fatal(err)
	}
	for _, d := range heard {
		list = append(list, d.Change)
	}
	return list
}

// over returns the refusal with which the stream ended; the test fails when it has not.
func (l *listener) over() *refusal.Refusal {
	l.w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stop() // it must not wait
	for {
		d, err := l.Next(ctx)
		var refused *refusal.Refusal
		switch {
		case errors.As(err, &refused):
			return refused
		case err != nil:
			l.w.t.Fatal(err)
		case d == nil:
			l.w.t.Fatal("the stream has not ended by itself")
		}
	}
}

func box(b desk.Box) live.Inbox { return live.Inbox{Holds: b.Holds} }
