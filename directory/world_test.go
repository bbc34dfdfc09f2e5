package directory_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/auditevent"
	"canopy/ent/generated/role"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// world is one account with a small tree and users of every kind:
//
//	root ─┬─ north ─┬─ harbour
//	      │         └─ station
//	      ├─ south
//	      └─ vault (RESTRICTED) ── safe
type world struct {
	t  testing.TB
	db *store.DB
	s  *directory.Service

	account                                                    *ent.Account
	root, north, harbour, station, south, vault, safe          *ent.Group
	owner, administrator, supervisor, beside, agent, colleague *ent.User
	handover                                                   *handover
	clock                                                      atomic.Int64 // microseconds since start
	start                                                      time.Time
}

// handover counts instead of handing anything over.
type handover struct {
	calls   int
	leavers []user.Status
	method  string
	agent   int64

	returned []int64
}

func (h *handover) HandOver(_ context.Context, _ *ent.Tx, leaver *ent.User, method string, agentID int64, tell func(int64, int64, int64)) error {
	h.calls++
	h.leavers = append(h.leavers, leaver.Status)
	h.method, h.agent = method, agentID
	for range 7 {
		tell(0, agentID, 0)
	}
	return nil
}

func (h *handover) Return(_ context.Context, _ *ent.Tx, userID int64) error {
	h.returned = append(h.returned, userID)
	return nil
}

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, handover: &handover{}, start: time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)}
	w.s = &directory.Service{DB: db, Now: w.now, Rand: rand.Reader, MaxDepth: 6, Handover: w.handover}
	created, err := w.s.CreateAccount(context.Background(), directory.CreateAccount{
		Name: "Acacia Outfitters", Slug: "acacia", OwnerName: "Olga Owner", OwnerEmail: "olga@acacia.example"})
	w.must(err)
	w.account, w.root, w.owner = created.Account, created.Root, created.Owner
	w.north, w.south = w.group("North", w.root), w.group("South", w.root)
	w.harbour, w.station = w.group("Harbour", w.north), w.group("Station", w.north)
	w.vault = w.wall(w.group("Vault", w.root))
	w.safe = w.group("Safe", w.vault)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.UpdateOneID(w.owner.ID).SetStatus(user.StatusACTIVE).SetPasswordHash("x").Exec(ctx)
	})
	w.administrator = w.user("Ada Administrator", w.root, authz.RoleAdministrator)
	w.supervisor = w.user("Sami Supervisor", w.north, authz.RoleDashboardAdministrator)
	w.beside = w.user("Bea Beside", w.south, authz.RoleDashboardAdministrator)
	w.agent = w.user("Ali Agent", w.harbour, authz.RoleAgent)
	w.colleague = w.user("Cleo Colleague", w.harbour, authz.RoleAgent)
	return w
}

// now ticks: no two moments of a world are the same.
func (w *world) now() time.Time { return w.start.Add(time.Duration(w.clock.Add(1)) * time.Microsecond) }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// write changes rows behind the back of the use-cases.
func (w *world) write(fn func(ctx context.Context, tx *ent.Tx) error) {
	w.t.Helper()
	w.must(w.db.Write(trusted(), fn))
}

func trusted() context.Context { return authz.Trusted(context.Background()) }

func (w *world) group(name string, parent *ent.Group) (g *ent.Group) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		id, err := tree.Create(ctx, tx, tree.NewGroup{AccountID: w.account.ID, ParentID: &parent.ID,
			Name: name, NameKey: fold.Key(name), Now: w.start}, w.s.MaxDepth)
		if err == nil {
			g, err = tx.Group.Get(ctx, id)
		}
		return err
	})
	return g
}

func (w *world) wall(g *ent.Group) *ent.Group {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tree.SetRestricted(ctx, tx, w.account.ID, g.ID, true)
	})
	return w.fresh(g)
}

// fresh is the group as it is now.
func (w *world) fresh(g *ent.Group) *ent.Group {
	w.t.Helper()
	g, err := w.db.Read.Group.Get(trusted(), g.ID)
	w.must(err)
	return g
}

// user inserts an active user who holds the roles at the home group.
func (w *world) user(name string, home *ent.Group, roles ...string) (u *ent.User) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		email := strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@acacia.example"
		u, err = tx.User.Create().SetAccountID(w.account.ID).SetHomeGroupID(home.ID).SetName(name).SetNameKey(fold.Key(name)).
			SetEmail(email).SetEmailKey(email).SetStatus(user.StatusACTIVE).SetPasswordHash("x").SetCreatedAt(w.start).Save(ctx)
		if err != nil {
			return err
		}
		return tree.AddUser(ctx, tx, home.ID)
	})
	for _, key := range roles {
		w.grant(u, w.role(key), nil)
	}
	return u
}

func (w *world) role(key string) *ent.Role {
	w.t.Helper()
	r, err := w.db.Read.Role.Query().Where(role.AccountID(w.account.ID), role.Key(key)).Only(trusted())
	w.must(err)
	return r
}

// custom inserts a custom role whose holders may give the others.
func (w *world) custom(name string, mayGive []*ent.Role, pairs ...authz.Pair) (r *ent.Role) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		r, err = tx.Role.Create().SetAccountID(w.account.ID).SetName(name).SetNameKey(fold.Key(name)).
			SetPairs(pairs).AddMayGive(mayGive...).SetCreatedAt(w.start).Save(ctx)
		return err
	})
	return r
}

// grant gives a role from the beginning on; fixed to a group, or following the home group.
func (w *world) grant(u *ent.User, r *ent.Role, at *ent.Group) *ent.RoleGrant {
	w.t.Helper()
	return w.grantUntil(u, r, at, time.Time{})
}

func (w *world) grantUntil(u *ent.User, r *ent.Role, at *ent.Group, until time.Time) (g *ent.RoleGrant) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		create := tx.RoleGrant.Create().SetAccountID(w.account.ID).SetUserID(u.ID).SetRoleID(r.ID).
			SetValidFrom(w.start).SetCreatedAt(w.start)
		if at != nil {
			create.SetGroupID(at.ID)
		}
		if !until.IsZero() {
			create.SetValidUntil(until)
		}
		g, err = create.Save(ctx)
		return err
	})
	return g
}

// grantOf is the one grant of a user.
func (w *world) grantOf(u *ent.User) *ent.RoleGrant {
	w.t.Helper()
	all, err := w.db.Read.RoleGrant.Query().All(trusted())
	w.must(err)
	for _, g := range all {
		if g.UserID == u.ID {
			return g
		}
	}
	w.t.Fatalf("%s holds nothing", u.Name)
	return nil
}

// as is a request of the user.
func (w *world) as(u *ent.User) context.Context {
	w.t.Helper()
	v, err := w.s.LoadViewer(context.Background(), w.db.Read, u.ID)
	w.must(err)
	return authz.NewContext(context.Background(), v)
}

// set changes the account behind the back of the use-cases.
func (w *world) set(change func(*ent.AccountUpdateOne)) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		update := tx.Account.UpdateOneID(w.account.ID)
		change(update)
		return update.Exec(ctx)
	})
}

func (w *world) reload(u *ent.User) *ent.User {
	w.t.Helper()
	u, err := w.db.Read.User.Get(trusted(), u.ID)
	w.must(err)
	return u
}

// intact fails the test when what follows from the tree does not follow.
func (w *world) intact() {
	w.t.Helper()
	faults, err := tree.Check(context.Background(), w.db.Read, w.account.ID)
	w.must(err)
	for _, f := range faults {
		w.t.Errorf("the tree is damaged: %v", f)
	}
}

// last is the latest audit event, and how many there are.
func (w *world) last() (*ent.AuditEvent, int) {
	w.t.Helper()
	all, err := w.db.Read.AuditEvent.Query().Order(auditevent.ByID()).All(trusted())
	w.must(err)
	return all[len(all)-1], len(all)
}

// refuses fails the test unless err is a refusal of that code, and of that reason if one is given.
func refuses(t testing.TB, err error, code refusal.Code, reason refusal.Reason) {
	t.Helper()
	var r *refusal.Refusal
	switch {
	case err == nil:
		t.Errorf("nothing was refused, want %s %s", code, reason)
	case !errors.As(err, &r):
		t.Errorf("failed by %v, want %s %s", err, code, reason)
	case r.Code == refusal.ForbiddenCode && (r.Permission == "" || r.Where == "" || r.Remedy == ""):
		t.Errorf("refused without permission, where or remedy: %+v", r)
	case r.Code != code || r.Reason != reason:
		t.Errorf("refused with %s %s (%s), want %s %s", r.Code, r.Reason, r.Message, code, reason)
	}
}

// lacks fails the test unless err is the refusal for want of a permission.
func lacks(t testing.TB, err error, p authz.Permission) {
	t.Helper()
	refuses(t, err, refusal.ForbiddenCode, "")
	var r *refusal.Refusal
	if errors.As(err, &r) && r.Permission != p.String() {
		t.Errorf("the refusal names %q, want %s", r.Permission, p)
	}
}

func allows(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

// plan puts the account on a plan.
func (w *world) plan(p account.Plan) { w.set(func(u *ent.AccountUpdateOne) { u.SetPlan(p) }) }
