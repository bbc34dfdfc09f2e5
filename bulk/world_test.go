package bulk_test

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/bulk"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/group"
	"canopy/ent/generated/role"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

var start = time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)

// world is an account with a root and its owner, olga.
type world struct {
	t       testing.TB
	db      *store.DB
	bulk    *bulk.Service
	account *ent.Account
	owner   *ent.User
	clock   *atomic.Int64
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "acacia")
		test(t, w)
		w.intact()
	})
}

func newWorld(t testing.TB, db *store.DB, slug string) *world {
	t.Helper()
	return newWorldOf(t, db, slug, "olga@"+slug+".example")
}

func newWorldOf(t testing.TB, db *store.DB, slug, owner string) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: &atomic.Int64{}}
	now := func() time.Time { return start.Add(time.Duration(w.clock.Add(1)) * time.Millisecond) }
	d := &directory.Service{DB: db, Now: now, Rand: rand.Reader, MaxDepth: 12}
	w.bulk = &bulk.Service{DB: db, Now: now, Directory: d, Desk: &desk.Service{DB: db, Now: now}}
	made, err := d.CreateAccount(t.Context(), directory.CreateAccount{Name: "Acacia", Slug: slug, Plan: account.PlanPRO,
		OwnerName: "Olga", OwnerEmail: owner})
	w.must(err)
	w.account, w.owner = made.Account, made.Owner
	w.activate(w.owner)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// write changes the world itself, past all rules.
func (w *world) write(fn func(ctx context.Context, tx *ent.Tx) error) {
	w.t.Helper()
	w.must(w.db.Write(authz.Trusted(context.Background()), fn))
}

func (w *world) activate(users ...*ent.User) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for _, u := range users {
			if err := tx.User.UpdateOneID(u.ID).SetStatus(user.StatusACTIVE).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// as is a context in which the user asks.
func (w *world) as(u *ent.User) context.Context {
	w.t.Helper()
	v, err := w.bulk.Directory.LoadViewer(w.t.Context(), w.db.Read, u.ID)
	w.must(err)
	return authz.NewContext(w.t.Context(), v)
}

// user makes an active user at the group of that name with the roles, by their names.
func (w *world) user(name, home string, roles ...string) *ent.User {
	w.t.Helper()
	var u *ent.User
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		at, err := tx.Group.Query().Where(group.AccountID(w.account.ID), group.Name(home)).OnlyID(ctx)
		if err != nil {
			return err
		}
		email := name + "@acacia.example"
		u, err = tx.User.Create().SetAccountID(w.account.ID).SetHomeGroupID(at).SetName(name).SetNameKey(fold.Key(name)).
			SetEmail(email).SetEmailKey(email).SetStatus(user.StatusACTIVE).SetCreatedAt(start).Save(ctx)
		if err != nil {
			return err
		}
		for _, r := range roles {
			id, err := tx.Role.Query().Where(role.AccountID(w.account.ID), role.Or(role.Key(r), role.Name(r))).OnlyID(ctx)
			if err != nil {
				return err
			}
			if err := tx.RoleGrant.Create().SetAccountID(w.account.ID).SetUserID(u.ID).SetRoleID(id).SetValidFrom(start).
				SetCreatedAt(start).Exec(ctx); err != nil {
				return err
			}
		}
		return tree.AddUser(ctx, tx, at)
	})
	return u
}

// role makes a custom role.
func (w *world) role(name string, pairs ...authz.Pair) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.Role.Create().SetAccountID(w.account.ID).SetName(name).SetNameKey(fold.Key(name)).SetPairs(pairs).
			SetCreatedAt(start).Exec(ctx)
	})
}

func (w *world) intact() {
	w.t.Helper()
	faults, err := tree.Check(context.Background(), w.db.Read, w.account.ID)
	w.must(err)
	for _, f := range faults {
		w.t.Error(f)
	}
}

// stream numbers the records as a file would.
func stream(records ...bulk.Record) iter.Seq2[bulk.Record, error] {
	return func(yield func(bulk.Record, error) bool) {
		for i, r := range records {
			r.Line = i + 1
			if !yield(r, nil) {
				return
			}
		}
	}
}

// take imports the records and returns what became of each.
func (w *world) take(u *ent.User, in bulk.Import, records ...bulk.Record) []bulk.Row {
	w.t.Helper()
	var rows []bulk.Row
	in.Done = func(r bulk.Row) error {
		rows = append(rows, r)
		return nil
	}
	_, err := w.bulk.Import(w.as(u), in, stream(records...))
	w.must(err)
	return rows
}

// want compares statuses, and for refused rows the refusal: its reason, or its code where it has none.
func (w *world) want(rows []bulk.Row, want ...string) {
	w.t.Helper()
	if len(rows) != len(want) {
		w.t.Fatalf("%d rows, not %d", len(rows), len(want))
	}
	for i, r := range rows {
		got := string(r.Status)
		if r.Status == bulk.Refused {
			got = string(r.Refusal.Reason)
			if got == "" {
				got = string(r.Refusal.Code)
			}
			got += " " + r.Refusal.Field
		}
		if got != want[i] {
			w.t.Errorf("row %d is %s, not %s (%v)", i+1, got, want[i], r.Refusal)
		}
	}
}

func groupAt(path ...string) bulk.Record { return bulk.Record{Group: &bulk.Group{Path: path}} }

func isRefusal(err error, reason refusal.Reason) bool {
	var r *refusal.Refusal
	return errors.As(err, &r) && r.Reason == reason
}
