package directory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
)

func (w *world) session(u *ent.User) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.Session.Create().SetAccountID(w.account.ID).SetUserID(u.ID).SetTokenHash(fmt.Sprint(w.now().UnixMicro())).
			SetKind(session.KindTOKEN).SetCreatedAt(w.start).SetExpiresAt(w.start.Add(day)).Exec(ctx)
	})
}

func (w *world) sessions(u *ent.User) int {
	w.t.Helper()
	return w.db.Read.Session.Query().Where(session.UserID(u.ID)).CountX(trusted())
}

func TestInviteUser(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		invite := func(email string, roles ...string) (*directory.UserWithToken, error) {
			in := directory.InviteUser{Name: " Nora  New ", Email: email, HomeGroupID: w.harbour.ID, Reason: "hired"}
			for _, key := range roles {
				in.RoleIDs = append(in.RoleIDs, w.role(key).ID)
			}
			return w.s.InviteUser(w.as(w.administrator), in)
		}
		got, err := invite("nora@acacia.example", authz.RoleAgent, authz.RoleDeveloper, authz.RoleAgent)
		w.must(err)
		u := w.reload(got.User)
		if u.Name != "Nora New" || u.Status != user.StatusINVITED || u.Availability != user.AvailabilityAWAY || u.HomeGroupID != w.harbour.ID {
			t.Errorf("invited %+v", u)
		}
		if len(got.SetupToken) < 40 || u.SetupTokenHash == nil || strings.Contains(*u.SetupTokenHash, got.SetupToken) || u.SetupExpiresAt == nil {
			t.Error("the one-time token is not what it should be")
		}
		grants := db.Read.RoleGrant.Query().Where(rolegrant.UserID(u.ID)).AllX(trusted())
		if len(grants) != 2 || grants[0].GroupID != nil || *grants[0].GrantedByID != w.administrator.ID || grants[0].Reason != "hired" {
			t.Errorf("granted %v", grants)
		}
		if e, _ := w.last(); e.Action != "ROLE_GRANTED" || *e.UserID != w.administrator.ID || e.Reason != "hired" {
			t.Errorf("recorded %+v", e)
		}

		_, err = invite("NORA@acacia.example")
		refuses(t, err, refusal.ConflictCode, refusal.EmailTaken)
		for _, email := range []string{"", "nora", "nora@", "@x", "Nora <nora@x.example>", "a b@x.example", "a@x.example\n b", strings.Repeat("a", 250) + "@x.example"} {
			_, err = invite(email)
			refuses(t, err, refusal.BadUserInput, "")
		}
		w.intact()
	})
}

func TestUpdateUserAndViewer(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		u, err := w.s.UpdateUser(w.as(w.administrator), directory.UpdateUser{UserID: w.agent.ID, Name: ptr("Alia"), Email: ptr("alia@acacia.example")})
		w.must(err)
		if u.Name != "Alia" || u.NameKey != "alia" || u.Email != "alia@acacia.example" {
			t.Errorf("the user is %+v", u)
		}
		_, err = w.s.UpdateUser(w.as(w.administrator), directory.UpdateUser{UserID: w.agent.ID, Email: ptr("Olga@acacia.example")})
		refuses(t, err, refusal.ConflictCode, refusal.EmailTaken)
		_, err = w.s.UpdateUser(w.as(w.administrator), directory.UpdateUser{UserID: w.agent.ID})
		refuses(t, err, refusal.BadUserInput, "")

		u, err = w.s.UpdateViewer(w.as(w.agent), directory.UpdateViewer{Name: ptr("Ali"), Availability: ptr(user.AvailabilityAVAILABLE)})
		w.must(err)
		if !slices.Equal(w.handover.returned, []int64{w.agent.ID}) {
			t.Errorf("of those who are available again, %v were told", w.handover.returned)
		}
		if u.Name != "Ali" || u.Availability != user.AvailabilityAVAILABLE {
			t.Errorf("the viewer is %+v", u)
		}
		_, err = w.s.UpdateViewer(w.as(w.agent), directory.UpdateViewer{})
		refuses(t, err, refusal.BadUserInput, "")
		_, err = w.s.UpdateViewer(context.Background(), directory.UpdateViewer{Name: ptr("Nobody")})
		refuses(t, err, refusal.Unauthenticated, "")
	})
}

func TestResetPassword(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.session(w.agent)
		got, err := w.s.ResetPassword(w.as(w.administrator), directory.ResetPassword{UserID: w.agent.ID})
		w.must(err)
		if u := w.reload(w.agent); got.SetupToken == "" || u.PasswordHash != nil || u.SetupTokenHash == nil || u.Status != user.StatusACTIVE {
			t.Errorf("the user is %+v", u)
		}
		if w.sessions(w.agent) != 0 {
			t.Error("a session survived the reset")
		}
	})
}

func TestLeavingAndComingBack(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.session(w.agent)
		stale := w.as(w.agent)
		ctx := w.as(w.owner)
		deactivate := func(h directory.HandoverMethod, to *ent.User) (*directory.DeactivatedUser, error) {
			in := directory.DeactivateUser{UserID: w.agent.ID, Handover: h}
			if to != nil {
				in.HandoverAgentID = &to.ID
			}
			return w.s.DeactivateUser(ctx, in)
		}
		for _, c := range []struct {
			method directory.HandoverMethod
			to     *ent.User
		}{{"", nil}, {"ELSEWHERE", nil}, {directory.HandoverToAgent, nil}, {directory.HandoverToAgent, w.agent},
			{directory.HandoverToQueue, w.colleague}, {directory.HandoverByMethod, w.colleague}} {
			_, err := deactivate(c.method, c.to)
			refuses(t, err, refusal.BadUserInput, "")
		}
		_, err := w.s.ReactivateUser(ctx, directory.ReactivateUser{UserID: w.agent.ID})
		refuses(t, err, refusal.ConflictCode, refusal.NotDeactivated)
		refuses(t, w.s.DeleteUser(ctx, directory.DeleteUser{UserID: w.agent.ID}), refusal.ConflictCode, refusal.NotDeactivated)

		got, err := deactivate(directory.HandoverToAgent, w.colleague)
		w.must(err)
		if got.HandedOver != 7 || got.User.Status != user.StatusDEACTIVATED || got.User.DeactivatedAt == nil {
			t.Errorf("deactivated %+v", got)
		}
		h := w.handover
		if h.calls != 1 || h.leavers[0] != user.StatusDEACTIVATED || h.method != "TO_AGENT" || h.agent != w.colleague.ID {
			t.Errorf("handed over %+v", h)
		}
		if w.sessions(w.agent) != 0 {
			t.Error("a session survived the deactivation")
		}
		_, err = w.s.UpdateViewer(stale, directory.UpdateViewer{Name: ptr("Still here")})
		refuses(t, err, refusal.Unauthenticated, "")
		_, err = deactivate(directory.HandoverToQueue, nil)
		refuses(t, err, refusal.ConflictCode, refusal.AlreadyDeactivated)
		_, err = w.s.ResetPassword(ctx, directory.ResetPassword{UserID: w.agent.ID})
		refuses(t, err, refusal.ConflictCode, refusal.NotActive)

		back, err := w.s.ReactivateUser(ctx, directory.ReactivateUser{UserID: w.agent.ID})
		w.must(err)
		if back.Status != user.StatusACTIVE || back.DeactivatedAt != nil {
			t.Errorf("reactivated %+v", back)
		}
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.User.UpdateOneID(w.agent.ID).ClearPasswordHash().SetStatus(user.StatusDEACTIVATED).Exec(ctx)
		})
		back, err = w.s.ReactivateUser(ctx, directory.ReactivateUser{UserID: w.agent.ID})
		w.must(err)
		if back.Status != user.StatusINVITED {
			t.Errorf("who has no password is %s", back.Status)
		}
	})
}

func TestDeletingAUserErasesThePerson(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := w.as(w.owner)
		got, err := w.s.InviteUser(ctx, directory.InviteUser{Name: "Vera Vanish", Email: "vera@acacia.example", HomeGroupID: w.harbour.ID,
			RoleIDs: []int64{w.role(authz.RoleAgent).ID}})
		w.must(err)
		id := got.User.ID
		_, err = w.s.UpdateUser(ctx, directory.UpdateUser{UserID: id, Name: ptr("Vera V."), Email: ptr("vera.v@acacia.example")})
		w.must(err)
		_, err = w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: id, Handover: directory.HandoverByMethod})
		w.must(err)
		w.must(w.s.DeleteUser(ctx, directory.DeleteUser{UserID: id}))

		u := w.reload(got.User)
		if u.Status != user.StatusDELETED || u.Name != fmt.Sprintf("Deleted user %d", id) || u.PasswordHash != nil || u.SetupTokenHash != nil {
			t.Errorf("the user is %+v", u)
		}
		if n := db.Read.RoleGrant.Query().Where(rolegrant.UserID(id), rolegrant.RevokedAtIsNil()).CountX(trusted()); n != 0 {
			t.Error("a deleted user holds something")
		}
		everything, err := json.Marshal([]any{db.Read.User.Query().AllX(trusted()), db.Read.AuditEvent.Query().AllX(trusted())})
		w.must(err)
		if strings.Contains(strings.ToLower(string(everything)), "vera") {
			t.Error("something still knows the name")
		}
		if !strings.Contains(string(everything), "USER_INVITED") || !strings.Contains(string(everything), "USER_DELETED") {
			t.Error("the audit trail is not kept")
		}
		_, err = w.s.UpdateUser(ctx, directory.UpdateUser{UserID: id, Name: ptr("Again")})
		refuses(t, err, refusal.NotFoundCode, "")
		// The address is free again, and the group can go.
		again, err := w.s.InviteUser(ctx, directory.InviteUser{Name: "Vera", Email: "vera.v@acacia.example", HomeGroupID: w.station.ID})
		w.must(err)
		if again.User.ID == id {
			t.Error("a user was used again for another person")
		}
		w.intact()
	})
}

func TestMoveUser(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		fixed := w.grant(w.agent, w.role(authz.RoleDeveloper), w.harbour)
		moved, err := w.s.MoveUser(w.as(w.administrator), directory.MoveUser{UserID: w.agent.ID, HomeGroupID: w.south.ID})
		w.must(err)
		if moved.HomeGroupID != w.south.ID {
			t.Errorf("the user is at %d", moved.HomeGroupID)
		}
		v := authz.FromContext(w.as(w.agent))
		for _, g := range v.Grants {
			want := w.south.ID
			if g.ID == fixed.ID {
				want = w.harbour.ID
			}
			if g.Place.GroupID != want {
				t.Errorf("%s holds at group %d, want %d", g.RoleKey, g.Place.GroupID, want)
			}
		}
		w.intact()
	})
}

func TestUpdateAgentSettings(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		update := func(in directory.UpdateAgentSettings) (*ent.User, error) {
			in.AgentID = w.agent.ID
			return w.s.UpdateAgentSettings(w.as(w.supervisor), in)
		}
		u, err := update(directory.UpdateAgentSettings{Availability: ptr(user.AvailabilityAVAILABLE), Capacity: optional.To(3)})
		w.must(err)
		if u.Availability != user.AvailabilityAVAILABLE || *u.Capacity != 3 || u.AccessPausedAt != nil {
			t.Errorf("the agent is %+v", u)
		}
		u, err = update(directory.UpdateAgentSettings{Capacity: optional.Cleared[int](), AccessPaused: ptr(true)})
		w.must(err)
		if u.Capacity != nil || u.AccessPausedAt == nil {
			t.Errorf("the agent is %+v", u)
		}
		since := *u.AccessPausedAt
		w.pass(time.Hour)
		if u, err = update(directory.UpdateAgentSettings{AccessPaused: ptr(true)}); err != nil || !u.AccessPausedAt.Equal(since) {
			t.Errorf("paused since %v, want %v: %v", u.AccessPausedAt, since, err)
		}
		for _, in := range []directory.UpdateAgentSettings{{}, {Capacity: optional.To(0)}, {Capacity: optional.To(10001)},
			{Availability: ptr(user.Availability("ASLEEP"))}} {
			_, err := update(in)
			refuses(t, err, refusal.BadUserInput, "")
		}
	})
}

func TestGrantAndRevoke(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := w.as(w.administrator)
		grant := func(from, until time.Duration) (*ent.RoleGrant, error) {
			in := directory.GrantRole{UserID: w.agent.ID, RoleID: w.role(authz.RoleDashboardAdministrator).ID, GroupID: &w.south.ID}
			if from != 0 {
				in.ValidFrom = ptr(w.start.Add(from))
			}
			if until != 0 {
				in.ValidUntil = ptr(w.start.Add(until))
			}
			return w.s.GrantRole(ctx, in)
		}
		holds := func() bool {
			return authz.FromContext(w.as(w.agent)).Can(authz.GroupsCreate, authz.AtGroup(authz.Place{GroupID: w.south.ID, Path: w.south.Path}))
		}
		for _, c := range [][2]time.Duration{{0, -day}, {2 * day, day}, {day, day}} {
			_, err := grant(c[0], c[1])
			refuses(t, err, refusal.BadUserInput, "")
		}
		g, err := grant(day, 2*day)
		w.must(err)
		if holds() {
			t.Error("a grant counts before its time")
		}
		_, err = grant(day+time.Hour, 2*day)
		refuses(t, err, refusal.ConflictCode, refusal.AlreadyGranted)
		_, err = grant(0, 3*day) // longer: that adds something
		w.must(err)
		if !holds() {
			t.Error("a grant does not count in its time")
		}
		w.pass(3 * day)
		if holds() {
			t.Error("a grant counts after its time")
		}
		_, err = w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: g.ID})
		refuses(t, err, refusal.ConflictCode, refusal.AlreadyRevoked)

		g, err = grant(0, 0)
		w.must(err)
		revoked, err := w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: g.ID, Reason: "enough"})
		w.must(err)
		if revoked.RevokedAt == nil || *revoked.RevokedByID != w.administrator.ID || holds() {
			t.Errorf("revoked %+v", revoked)
		}
		_, err = w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: g.ID})
		refuses(t, err, refusal.ConflictCode, refusal.AlreadyRevoked)
	})
}

func TestRoles(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := w.as(w.owner)
		agent := w.role(authz.RoleAgent).ID
		r, err := w.s.CreateRole(ctx, directory.CreateRole{Name: "Reports", Description: "Numbers.\nAll of them.",
			Pairs: append(at(authz.ScopeAccount, authz.AnalyticsView, authz.AnalyticsView), at(authz.ScopeSubtree, authz.ContactsView)...), MayGive: []int64{agent, agent}})
		w.must(err)
		if len(r.Pairs) != 2 || r.Key != nil || r.Description != "Numbers.\nAll of them." {
			t.Errorf("made %+v", r)
		}
		if n := r.Unwrap().QueryMayGive().CountX(trusted()); n != 1 {
			t.Errorf("it lists %d roles", n)
		}
		_, err = w.s.CreateRole(ctx, directory.CreateRole{Name: "REPORTS", Pairs: at(authz.ScopeAccount, authz.AnalyticsView)})
		refuses(t, err, refusal.ConflictCode, refusal.NameTaken)
		_, err = w.s.CreateRole(ctx, directory.CreateRole{Name: "agent", Pairs: at(authz.ScopeAccount, authz.AnalyticsView)})
		refuses(t, err, refusal.ConflictCode, refusal.NameTaken)

		changed, err := w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: r.ID, Name: ptr("Numbers"), MayGive: []int64{}})
		w.must(err)
		if changed.Name != "Numbers" || len(changed.Pairs) != 2 || changed.Description != r.Description {
			t.Errorf("changed to %+v", changed)
		}
		if n := changed.Unwrap().QueryMayGive().CountX(trusted()); n != 0 {
			t.Errorf("it lists %d roles", n)
		}
		_, err = w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: r.ID, Pairs: []authz.Pair{}})
		refuses(t, err, refusal.BadUserInput, "")

		// Held now or later it is in use.
		w.grantUntil(w.agent, r, nil, w.start.Add(time.Minute))
		coming, err := w.s.GrantRole(ctx, directory.GrantRole{UserID: w.colleague.ID, RoleID: r.ID, ValidFrom: ptr(w.start.Add(day))})
		w.must(err)
		w.pass(time.Hour)
		refuses(t, w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: r.ID}), refusal.ConflictCode, refusal.RoleInUse)
		refuses(t, w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: r.ID, SuccessorID: &r.ID}), refusal.BadUserInput, "")
		refuses(t, w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: agent}), refusal.ForbiddenCode, refusal.BuiltInRole)
		refuses(t, w.s.DeleteRole(w.as(w.administrator), directory.DeleteRole{RoleID: w.custom("Plain", nil, at(authz.ScopeSubtree, authz.ContactsView)...).ID,
			SuccessorID: ptr(w.role(authz.RoleOwner).ID)}), refusal.ForbiddenCode, refusal.MayNotGive)
		allows(t, w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: r.ID, SuccessorID: &agent}))
		if g := db.Read.RoleGrant.GetX(trusted(), coming.ID); g.RoleID != agent || g.RevokedAt != nil {
			t.Errorf("the grant is %+v", g)
		}
	})
}

func TestAccounts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		operator := context.Background()
		in := directory.CreateAccount{Name: "Birch Repairs", Slug: "birch", Plan: account.PlanSTARTER, OwnerName: "Olga", OwnerEmail: "olga@acacia.example"}
		other, err := w.s.CreateAccount(operator, in)
		w.must(err)
		if other.Account.Plan != account.PlanSTARTER || *other.Account.PrimaryOwnerID != other.Owner.ID || other.Root.Depth != 0 || other.SetupToken == "" {
			t.Errorf("made %+v", other)
		}
		_, err = w.s.CreateAccount(operator, in)
		refuses(t, err, refusal.ConflictCode, refusal.NameTaken)
		for _, slug := range []string{"", "Birch", "-b", "b-", "b--c", "b c", "bé", strings.Repeat("b", 41)} {
			bad := in
			bad.Slug = slug
			_, err = w.s.CreateAccount(operator, bad)
			refuses(t, err, refusal.BadUserInput, "")
		}
		_, err = w.s.SetAccount(operator, directory.SetAccount{Slug: "nowhere", Plan: ptr(account.PlanPRO)})
		refuses(t, err, refusal.NotFoundCode, "")
		set, err := w.s.SetAccount(operator, directory.SetAccount{Slug: "birch", Plan: ptr(account.PlanPRO)})
		w.must(err)
		if e, _ := w.last(); set.Plan != account.PlanPRO || e.Action != "ACCOUNT_SET" || e.UserID != nil || e.AccountID != set.ID {
			t.Errorf("set %+v, recorded %+v", set, e)
		}

		_, err = w.s.DeleteAccount(w.as(w.owner), directory.DeleteAccount{ConfirmName: "Acacia"})
		refuses(t, err, refusal.BadUserInput, "")
		w.contact("Carla", w.harbour)
		id, err := w.s.DeleteAccount(w.as(w.owner), directory.DeleteAccount{ConfirmName: "Acacia Outfitters"})
		w.must(err)
		if id != w.account.ID || db.Read.Account.Query().CountX(trusted()) != 1 || db.Read.User.Query().CountX(trusted()) != 1 {
			t.Error("the account is not gone, or more than it")
		}
		rows, err := db.Read.QueryContext(operator, "SELECT COUNT(*) FROM scopes")
		w.must(err)
		defer rows.Close()
		var n int
		if !rows.Next() || rows.Scan(&n) != nil || n != 0 {
			t.Errorf("%d scope rows are left", n)
		}
		w.must(rows.Err())
	})
}
