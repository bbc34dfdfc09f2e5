package directory_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/group"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"

	"github.com/alexedwards/argon2id"
)

// office is a database with a clock, for tests of who is asking. Groups: root ─ north ─ city, and south below the root.
type office struct {
	*directory.Service
	t      *testing.T
	clock  time.Time
	acme   int64
	groups map[string]int64
	users  map[string]int64
	roles  map[string]int64
}

var morning = time.Date(2027, 3, 1, 9, 30, 0, 123456000, time.UTC)

// quick is a cost of passwords for tests.
var quick = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func eachOffice(t *testing.T, test func(t *testing.T, o *office)) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		o := &office{t: t, clock: morning, groups: map[string]int64{}, users: map[string]int64{}, roles: map[string]int64{}}
		o.Service = &directory.Service{DB: db, Now: func() time.Time { return o.clock }, Rand: rand.Reader, MaxDepth: 64, Argon2: quick}
		o.acme = o.account("acme")
		for _, g := range [][2]string{{"root", ""}, {"north", "root"}, {"city", "north"}, {"south", "root"}} {
			o.group(g[0], g[1])
		}
		for _, r := range authz.BuiltInRoles() {
			o.role(r.Key, true)
		}
		test(t, o)
	})
}

// write runs fn in a trusted transaction.
func (o *office) write(fn func(ctx context.Context, tx *ent.Tx) error) {
	o.t.Helper()
	if err := o.DB.Write(authz.Trusted(o.t.Context()), fn); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) account(slug string) (id int64) {
	o.t.Helper()
	o.write(func(ctx context.Context, tx *ent.Tx) error {
		a, err := tx.Account.Create().SetName(slug).SetSlug(slug).SetPlan(account.PlanPRO).SetCreatedAt(morning).Save(ctx)
		id = a.ID
		return err
	})
	return id
}

func (o *office) group(name, parent string) {
	o.t.Helper()
	o.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		g := tree.NewGroup{AccountID: o.acme, Name: name, NameKey: name, Now: morning}
		if parent != "" {
			above := o.groups[parent]
			g.ParentID = &above
		}
		o.groups[name], err = tree.Create(ctx, tx, g, 64)
		return err
	})
}

func (o *office) role(name string, builtIn bool, pairs ...authz.Pair) {
	o.t.Helper()
	o.write(func(ctx context.Context, tx *ent.Tx) error {
		create := tx.Role.Create().SetAccountID(o.acme).SetName(name).SetNameKey(name).SetCreatedAt(morning)
		if builtIn {
			create.SetKey(name)
		} else {
			create.SetPairs(pairs)
		}
		r, err := create.Save(ctx)
		o.roles[name] = r.ID
		return err
	})
}

// user adds an active user and a session whose token is "cnp_" and the name.
func (o *office) user(name, home string) {
	o.t.Helper()
	o.write(func(ctx context.Context, tx *ent.Tx) error {
		u, err := tx.User.Create().SetAccountID(o.acme).SetHomeGroupID(o.groups[home]).SetName(name).SetNameKey(fold.Key(name)).
			SetEmail(name + "@example.com").SetEmailKey(fold.Key(name + "@example.com")).SetStatus(user.StatusACTIVE).SetCreatedAt(morning).Save(ctx)
		if err != nil {
			return err
		}
		o.users[name] = u.ID
		return tx.Session.Create().SetAccountID(o.acme).SetUserID(u.ID).SetTokenHash(sha256Hex("cnp_" + name)).
			SetKind(session.KindTOKEN).SetCreatedAt(morning).SetExpiresAt(morning.Add(24 * time.Hour)).Exec(ctx)
	})
}

// grant gives a role, at a group or following the home group.
func (o *office) grant(name, role, at string, shape ...func(*ent.RoleGrantCreate)) (id int64) {
	o.t.Helper()
	o.write(func(ctx context.Context, tx *ent.Tx) error {
		create := tx.RoleGrant.Create().SetAccountID(o.acme).SetUserID(o.users[name]).SetRoleID(o.roles[role]).
			SetValidFrom(morning.Add(-time.Hour)).SetCreatedAt(morning)
		if at != "" {
			create.SetGroupID(o.groups[at])
		}
		for _, s := range shape {
			s(create)
		}
		g, err := create.Save(ctx)
		id = g.ID
		return err
	})
	return id
}

func (o *office) changeGroup(name string, change func(*ent.GroupUpdateOne)) {
	o.t.Helper()
	o.write(func(ctx context.Context, tx *ent.Tx) error {
		update := tx.Group.UpdateOneID(o.groups[name])
		change(update)
		return update.Exec(ctx)
	})
}

func (o *office) changeUser(name string, change func(*ent.UserUpdateOne)) {
	o.t.Helper()
	o.write(func(ctx context.Context, tx *ent.Tx) error {
		update := tx.User.UpdateOneID(o.users[name])
		change(update)
		return update.Exec(ctx)
	})
}

// asking is the viewer who holds the token of the user.
func (o *office) asking(name string) *authz.Viewer {
	o.t.Helper()
	v, err := o.Authenticate(o.t.Context(), "cnp_"+name)
	if err != nil {
		o.t.Fatalf("%s is not let in: %v", name, err)
	}
	return v
}

func (o *office) place(name string) authz.Place {
	o.t.Helper()
	g, err := o.DB.Read.Group.Get(authz.Trusted(o.t.Context()), o.groups[name])
	if err != nil {
		o.t.Fatal(err)
	}
	return authz.Place{GroupID: g.ID, Path: g.Path, Wall: g.Wall}
}

func TestAuthenticateLoadsTheViewerInTwoStatements(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		custom := []authz.Pair{{Permission: authz.ContactsView, Scope: authz.ScopeSubtree}}
		o.role("Keeper", false, custom...)
		o.user("ada", "city")
		agent := o.grant("ada", "AGENT", "")
		keeper := o.grant("ada", "Keeper", "south")
		o.changeGroup("north", func(u *ent.GroupUpdateOne) { u.SetSharedInbox(true).SetAssignmentMode(group.AssignmentModeMANUAL) })
		o.write(func(ctx context.Context, tx *ent.Tx) error {
			return tree.SetRestricted(ctx, tx, o.acme, o.groups["north"], true)
		})

		statements := testdb.Statements(o.DB)
		statements.Reset()
		got := o.asking("ada")
		if n := statements.Count(); n > 2 {
			t.Errorf("loading a viewer takes %d statements: %q", n, statements.List())
		}
		sessions, err := o.DB.Read.Session.Query().Only(authz.Trusted(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		role, _ := authz.BuiltInRole("AGENT")
		want := &authz.Viewer{AccountID: o.acme, UserID: o.users["ada"], SessionID: sessions.ID, Home: o.place("city"), At: morning, Grants: []authz.Grant{
			{ID: agent, RoleID: o.roles["AGENT"], RoleKey: "AGENT", Place: o.place("city"), Pairs: role.Pairs, SharedInbox: true,
				Queues: []int64{o.groups["north"], o.groups["city"]}},
			{ID: keeper, RoleID: o.roles["Keeper"], Place: o.place("south"), Pairs: authz.PairsOf(custom)},
		}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the viewer is\n%+v and not\n%+v", got, want)
		}
		if got.Home.Wall != o.place("north").Path {
			t.Errorf("the wall of the home group is %q", got.Home.Wall)
		}
	})
}

func TestAViewerWithoutGrantsHasAHome(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		if v := o.asking("ada"); v.Home != o.place("city") || len(v.Grants) != 0 {
			t.Errorf("the viewer is %+v", v)
		}
	})
}

func TestGrantsBeginAndEndToTheMicrosecond(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		from, until := morning.Add(time.Hour), morning.Add(2*time.Hour+time.Microsecond)
		o.user("ada", "city")
		o.grant("ada", "AGENT", "", func(c *ent.RoleGrantCreate) { c.SetValidFrom(from).SetValidUntil(until) })
		for at, want := range map[time.Time]bool{
			from.Add(-time.Microsecond):  false,
			from.Add(-1):                 false,
			from:                         true, // the first moment of the grant
			from.Add(time.Microsecond):   true,
			until.Add(-time.Microsecond): true,
			until:                        false, // the first moment without it
			until.Add(time.Microsecond):  false,
		} {
			o.clock = at.In(time.FixedZone("elsewhere", -3*3600))
			if got := o.asking("ada").Permissions().Has(authz.ConversationsReply); got != want {
				t.Errorf("at %s the grant is in force: %t", at.Format(time.RFC3339Nano), got)
			}
		}
	})
}

func TestSessionsEndToTheMicrosecond(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		expires := morning.Add(24 * time.Hour)
		o.clock = expires.Add(-time.Microsecond)
		o.asking("ada")
		for _, at := range []time.Time{expires, expires.Add(time.Microsecond)} {
			o.clock = at
			if _, err := o.Authenticate(t.Context(), "cnp_ada"); !errors.Is(err, refusal.NoViewer()) {
				t.Errorf("at %s the answer is %v", at, err)
			}
		}
		for _, token := range []string{"", "cnp_", "cnp_eve", "ada", sha256Hex("cnp_ada")} {
			o.clock = morning
			if v, err := o.Authenticate(t.Context(), token); v != nil || !errors.Is(err, refusal.NoViewer()) {
				t.Errorf("the token %q is answered by %v, %v", token, v, err)
			}
		}
	})
}

func TestConsequence7_SwitchedSettingsExpiryRevocationAndDeactivationCountAtTheNextRequest(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		grant := o.grant("ada", "AGENT", "")
		others, waiting := authz.AtContact(o.place("city"), o.users["ada"]+1), authz.AtContact(o.place("root"), 0)
		expect := func(when string, p authz.Permission, target authz.Target, want bool) {
			t.Helper()
			if got := o.asking("ada").Can(p, target); got != want {
				t.Errorf("%s: %s is %t", when, p, got)
			}
		}
		expect("by default the inbox is not shared", authz.ConversationsView, others, false)
		o.changeGroup("root", func(u *ent.GroupUpdateOne) { u.SetSharedInbox(true) })
		expect("shared at the root", authz.ConversationsView, others, true)
		o.changeGroup("north", func(u *ent.GroupUpdateOne) { u.SetSharedInbox(false) })
		expect("not shared above", authz.ConversationsView, others, false)
		o.changeGroup("north", func(u *ent.GroupUpdateOne) { u.ClearSharedInbox() })
		expect("inherited again", authz.ConversationsView, others, true)

		expect("by default nothing is MANUAL", authz.QueueClaim, waiting, false)
		o.changeGroup("root", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeMANUAL) })
		expect("the root is MANUAL", authz.QueueClaim, waiting, true)
		o.changeGroup("root", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeRADAR) })
		expect("the root is RADAR", authz.QueueClaim, waiting, false)
		o.changeGroup("city", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(group.AssignmentModeMANUAL) })
		expect("MANUAL is judged at the contact's group", authz.QueueClaim, waiting, false)
		expect("the city is MANUAL", authz.QueueClaim, authz.AtContact(o.place("city"), 0), true)

		change := func(change func(*ent.RoleGrantUpdateOne)) {
			o.write(func(ctx context.Context, tx *ent.Tx) error {
				update := tx.RoleGrant.UpdateOneID(grant)
				change(update)
				return update.Exec(ctx)
			})
		}
		change(func(u *ent.RoleGrantUpdateOne) { u.SetValidUntil(morning) })
		expect("the grant has expired", authz.ConversationsView, others, false)
		change(func(u *ent.RoleGrantUpdateOne) { u.ClearValidUntil() })
		expect("the grant has no end", authz.ConversationsView, others, true)
		change(func(u *ent.RoleGrantUpdateOne) { u.SetRevokedAt(morning) })
		expect("the grant is revoked", authz.ConversationsView, others, false)

		for _, status := range []user.Status{user.StatusDEACTIVATED, user.StatusDELETED, user.StatusINVITED} {
			o.changeUser("ada", func(u *ent.UserUpdateOne) { u.SetStatus(status) })
			if _, err := o.Authenticate(t.Context(), "cnp_ada"); !errors.Is(err, refusal.NoViewer()) {
				t.Errorf("a user who is %s gets %v", status, err)
			}
		}
	})
}

func TestAPausedUserIsRefusedEverythingUntilResumed(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.changeUser("ada", func(u *ent.UserUpdateOne) { u.SetAccessPausedAt(morning) })
		if v, err := o.Authenticate(t.Context(), "cnp_ada"); v != nil || !errors.Is(err, refusal.Paused()) {
			t.Errorf("a paused user gets %v, %v", v, err)
		}
		o.changeUser("ada", func(u *ent.UserUpdateOne) { u.ClearAccessPausedAt() })
		o.asking("ada") // the session has stayed
	})
}

func TestCustomRolesGiveNothingWhileTheyAreOff(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.role("Keeper", false, authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeGroup})
		o.user("ada", "city")
		o.grant("ada", "Keeper", "")
		o.grant("ada", "BILLING_MANAGER", "")
		for _, enabled := range []bool{true, false, true} {
			o.write(func(ctx context.Context, tx *ent.Tx) error {
				return tx.Account.UpdateOneID(o.acme).SetCustomRolesEnabled(enabled).Exec(ctx)
			})
			v := o.asking("ada")
			if got := v.Permissions(); got.Has(authz.ContactsView) != enabled || !got.Has(authz.BillingView) || len(v.Grants) != 2 {
				t.Errorf("with custom roles %t the viewer holds %v by %d grants", enabled, slices.Collect(got.All()), len(v.Grants))
			}
		}
	})
}

// TestAPermissionThatIsNoMoreGivesNothing: what an older version stored does not lock its holder out.
func TestAPermissionThatIsNoMoreGivesNothing(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.role("Keeper", false, authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeGroup})
		o.user("ada", "city")
		o.grant("ada", "Keeper", "")
		o.write(func(ctx context.Context, tx *ent.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE roles SET pairs = '[{"permission":"PIGEONS_FEED","scope":"ACCOUNT"},`+
				`{"permission":"GROUPS_VIEW","scope":"GROUP"}]' WHERE key IS NULL`)
			return err
		})
		if got := o.asking("ada").Permissions(); got != authz.SetOf(authz.GroupsView) {
			t.Errorf("the viewer holds %v", slices.Collect(got.All()))
		}
	})
}

func TestAGrantWithoutGroupFollowsTheHomeGroupAndOneWithGroupStays(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		o.grant("ada", "AGENT", "")
		o.grant("ada", "DASHBOARD_ADMINISTRATOR", "north")
		at := func() []authz.Place {
			v := o.asking("ada")
			return []authz.Place{v.Home, v.Grants[0].Place, v.Grants[1].Place}
		}
		if got, want := at(), []authz.Place{o.place("city"), o.place("city"), o.place("north")}; !slices.Equal(got, want) {
			t.Errorf("home and grants stand at %v", got)
		}
		o.changeUser("ada", func(u *ent.UserUpdateOne) { u.SetHomeGroupID(o.groups["south"]) })
		if got, want := at(), []authz.Place{o.place("south"), o.place("south"), o.place("north")}; !slices.Equal(got, want) {
			t.Errorf("after the user moved home and grants stand at %v", got)
		}
		o.write(func(ctx context.Context, tx *ent.Tx) error {
			_, err := tree.Move(ctx, tx, tree.Moving{AccountID: o.acme, GroupID: o.groups["north"], ParentID: o.groups["south"], MaxDepth: 64, AtOnce: tree.AtOnce})
			return err
		})
		if got := at()[2]; got != o.place("north") || !tree.Under(got.Path, o.place("south").Path) {
			t.Errorf("after the group moved the fixed grant stands at %v", got)
		}
	})
}

func TestLoadViewerSeesWhatItsTransactionChanged(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ada", "city")
		grant := o.grant("ada", "AGENT", "")
		o.write(func(ctx context.Context, tx *ent.Tx) error {
			if err := tx.RoleGrant.UpdateOneID(grant).SetRevokedAt(morning).Exec(ctx); err != nil {
				return err
			}
			inside, err := o.LoadViewer(ctx, tx, o.users["ada"])
			if err != nil || len(inside.Grants) != 0 || inside.UserID != o.users["ada"] || inside.SessionID != 0 {
				t.Errorf("inside the transaction the viewer is %+v, %v", inside, err)
			}
			return err
		})
		outside, err := o.LoadViewer(t.Context(), o.DB.Read, o.users["ada"])
		if err != nil || len(outside.Grants) != 0 {
			t.Errorf("outside the viewer is %+v, %v", outside, err)
		}
		if v, err := o.LoadViewer(t.Context(), o.DB.Read, 1<<40); v != nil || err != nil {
			t.Errorf("nobody is %+v, %v", v, err)
		}
	})
}

// interrupted does something between the first query and the second one.
type interrupted struct {
	store.Querier
	queries int
	do      func()
}

func (q *interrupted) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if q.queries++; q.queries == 2 {
		q.do()
	}
	return q.Querier.QueryContext(ctx, query, args...)
}

func TestAViewerIsOfOneMoment(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.user("ana", "city")
		o.grant("ana", authz.RoleAgent, "")
		v, err := o.LoadViewer(t.Context(), &interrupted{Querier: o.DB.Read, do: func() {
			o.write(func(ctx context.Context, tx *ent.Tx) error {
				if err := tx.User.UpdateOneID(o.users["ana"]).SetHomeGroupID(o.groups["south"]).Exec(ctx); err != nil {
					return err
				}
				return tx.Group.DeleteOneID(o.groups["city"]).Exec(ctx)
			})
		}}, o.users["ana"])
		if err != nil || v.Home.GroupID != o.groups["south"] || len(v.Grants) != 1 || v.Grants[0].Place != v.Home {
			t.Errorf("got %+v, %v", v, err)
		}
		v, err = o.LoadViewer(t.Context(), &interrupted{Querier: o.DB.Read, do: func() {
			o.write(func(ctx context.Context, tx *ent.Tx) error { return tx.Account.DeleteOneID(o.acme).Exec(ctx) })
		}}, o.users["ana"])
		if v != nil || err != nil {
			t.Errorf("of an account that was deleted: got %+v, %v", v, err)
		}
	})
}
