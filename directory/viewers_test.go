package directory_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/user"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
)

// TestByKindOfViewer asks every use-case as everybody, on things in the group Harbour, which lies below the
// supervisor's group and beside that of another supervisor.
func TestByKindOfViewer(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		viewers := w.everybody()
		for _, c := range w.useCases() {
			t.Run(c.name, func(t *testing.T) {
				for _, v := range viewers {
					t.Run(v.kind, func(t *testing.T) {
						_, before := w.last()
						c.want[v.kind].check(t, c.run(v.ctx))
						e, after := w.last()
						if done := c.want[v.kind] == (answer{}); done != (after > before) {
							t.Errorf("%d events were recorded", after-before)
						} else if done && (e.UserID == nil || *e.UserID != authz.FromContext(v.ctx).UserID || !e.At.Equal(e.At.Truncate(time.Microsecond))) {
							t.Errorf("recorded %+v", e)
						}
					})
				}
			})
		}
		w.intact()
	})
}

type kindOfViewer struct {
	kind string
	ctx  context.Context
}

func (w *world) everybody() []kindOfViewer {
	w.t.Helper()
	other, err := w.s.CreateAccount(context.Background(), directory.CreateAccount{
		Name: "Birch Repairs", Slug: "birch", OwnerName: "Olga Owner", OwnerEmail: "olga@birch.example"})
	w.must(err)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		return tx.User.UpdateOneID(other.Owner.ID).SetStatus(user.StatusACTIVE).Exec(ctx)
	})
	reader := w.user("Rea Reader", w.root)
	w.grant(reader, w.custom("Reader", nil, at(authz.ScopeAccount, authz.GroupsView, authz.UsersView, authz.RolesView, authz.AgentPanelView)...), nil)
	return []kindOfViewer{
		{"anonymous", context.Background()},
		{"other account", w.as(other.Owner)},
		{"agent", w.as(w.agent)},
		{"beside", w.as(w.beside)},
		{"above", w.as(w.supervisor)},
		{"billing manager", w.as(w.user("Bill Billing", w.root, authz.RoleBillingManager))},
		{"reader", w.as(reader)}, // sees everything of the directory and may change nothing
		{"administrator", w.as(w.administrator)},
		{"owner", w.as(w.owner)},
	}
}

// answer is what a viewer gets; the zero answer is that it is done.
type answer struct {
	code    refusal.Code
	missing authz.Permission
}

func (a answer) check(t *testing.T, err error) {
	t.Helper()
	switch {
	case a.missing != 0:
		lacks(t, err, a.missing)
	case a.code != "":
		refuses(t, err, a.code, "")
	default:
		allows(t, err)
	}
}

type answers map[string]answer

// may are the answers where only those kinds are allowed to; those who see the thing lack the permission, and for
// everybody else it does not exist.
func may(p authz.Permission, allowed []string, seeing ...string) answers {
	a := answers{"anonymous": {code: refusal.Unauthenticated}}
	for _, kind := range []string{"other account", "agent", "beside", "above", "billing manager", "administrator", "owner"} {
		a[kind] = answer{code: refusal.NotFoundCode}
	}
	for _, kind := range append(seeing, "reader") {
		a[kind] = answer{missing: p}
	}
	for _, kind := range allowed {
		a[kind] = answer{}
	}
	return a
}

// onAccount are the answers for what is asked of the account itself; the owner of another account may do it to that.
func onAccount(p authz.Permission, allowed ...string) answers {
	return may(p, append(allowed, "owner", "other account"), "agent", "beside", "above", "billing manager", "administrator")
}

type useCase struct {
	name string
	run  func(ctx context.Context) error
	want answers
}

// useCases each bring along what they change, made anew for every call.
func (w *world) useCases() []useCase {
	n := 0
	name := func() string { n++; return fmt.Sprintf("New %d", n) }
	agent := func() *ent.User { return w.user(name(), w.harbour, authz.RoleAgent) }
	gone := func() *ent.User {
		u := agent()
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.User.UpdateOneID(u.ID).SetStatus(user.StatusDEACTIVATED).Exec(ctx)
		})
		return u
	}
	reports := func() *ent.Role { return w.custom(name(), nil, at(authz.ScopeAccount, authz.AnalyticsView)...) }
	high := []string{"owner", "administrator"}
	return []useCase{
		{"createGroup", func(ctx context.Context) error {
			_, err := w.s.CreateGroup(ctx, directory.CreateGroup{ParentID: w.harbour.ID, Name: name()})
			return err
		}, may(authz.GroupsCreate, append(high, "above"), "agent")},
		{"updateGroup", func(ctx context.Context) error {
			_, err := w.s.UpdateGroup(ctx, directory.UpdateGroup{GroupID: w.harbour.ID, Name: ptr(name())})
			return err
		}, may(authz.GroupsEdit, high, "above", "agent")},
		{"moveGroup", func(ctx context.Context) error {
			_, err := w.s.MoveGroup(ctx, directory.MoveGroup{GroupID: w.group(name(), w.harbour).ID, ParentID: w.station.ID})
			return err
		}, may(authz.GroupsMove, high, "above")},
		{"deleteGroup", func(ctx context.Context) error {
			_, err := w.s.DeleteGroup(ctx, directory.DeleteGroup{GroupID: w.group(name(), w.harbour).ID})
			return err
		}, may(authz.GroupsDelete, high, "above")},
		{"updateGroupSettings", func(ctx context.Context) error {
			_, err := w.s.UpdateGroupSettings(ctx, directory.UpdateGroupSettings{GroupID: w.harbour.ID, SharedInbox: optional.To(true)})
			return err
		}, may(authz.InboxSettingsEdit, append(high, "above"), "agent")},
		{"inviteUser", func(ctx context.Context) error {
			_, err := w.s.InviteUser(ctx, directory.InviteUser{Name: "New", Email: fmt.Sprintf("%d@acacia.example", w.now().UnixMicro()),
				HomeGroupID: w.harbour.ID, RoleIDs: []int64{}})
			return err
		}, may(authz.UsersInvite, high, "above", "agent")},
		{"updateUser", func(ctx context.Context) error {
			_, err := w.s.UpdateUser(ctx, directory.UpdateUser{UserID: agent().ID, Name: ptr("Renamed")})
			return err
		}, may(authz.UsersEdit, high)},
		{"resetPassword", func(ctx context.Context) error {
			_, err := w.s.ResetPassword(ctx, directory.ResetPassword{UserID: agent().ID})
			return err
		}, may(authz.UsersEdit, high)},
		{"moveUser", func(ctx context.Context) error {
			_, err := w.s.MoveUser(ctx, directory.MoveUser{UserID: agent().ID, HomeGroupID: w.station.ID})
			return err
		}, may(authz.UsersEdit, high)},
		{"deactivateUser", func(ctx context.Context) error {
			_, err := w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: agent().ID, Handover: directory.HandoverToQueue})
			return err
		}, may(authz.UsersDeactivate, high)},
		{"reactivateUser", func(ctx context.Context) error {
			_, err := w.s.ReactivateUser(ctx, directory.ReactivateUser{UserID: gone().ID})
			return err
		}, may(authz.UsersDeactivate, high)},
		{"deleteUser", func(ctx context.Context) error {
			return w.s.DeleteUser(ctx, directory.DeleteUser{UserID: gone().ID})
		}, may(authz.UsersDelete, []string{"owner"}, "administrator")},
		{"updateAgentSettings", func(ctx context.Context) error {
			_, err := w.s.UpdateAgentSettings(ctx, directory.UpdateAgentSettings{AgentID: agent().ID, Capacity: optional.To(5)})
			return err
		}, may(authz.AgentSettingsEdit, append(high, "above"), "agent")},
		{"grantRole", func(ctx context.Context) error {
			_, err := w.s.GrantRole(ctx, directory.GrantRole{UserID: agent().ID, RoleID: w.role(authz.RoleDeveloper).ID})
			return err
		}, may(authz.RolesAssign, high)},
		{"revokeRole", func(ctx context.Context) error {
			_, err := w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(agent()).ID})
			return err
		}, may(authz.RolesAssign, high)},
		{"createRole", func(ctx context.Context) error {
			_, err := w.s.CreateRole(ctx, directory.CreateRole{Name: name(), Pairs: at(authz.ScopeAccount, authz.AnalyticsView)})
			return err
		}, onAccount(authz.RolesManage, "administrator")},
		{"cloneRole", func(ctx context.Context) error {
			_, err := w.s.CloneRole(ctx, directory.CloneRole{RoleID: reports().ID, Name: name()})
			return err
		}, may(authz.RolesManage, high)},
		{"updateRole", func(ctx context.Context) error {
			_, err := w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: reports().ID, Description: ptr("Numbers")})
			return err
		}, may(authz.RolesManage, high)},
		{"deleteRole", func(ctx context.Context) error {
			return w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: reports().ID})
		}, may(authz.RolesManage, high)},
		{"updateAccount", func(ctx context.Context) error {
			_, err := w.s.UpdateAccount(ctx, directory.UpdateAccount{ReasonRequired: ptr(false)})
			return err
		}, onAccount(authz.SettingsEdit, "administrator")},
		{"changePlan", func(ctx context.Context) error {
			_, err := w.s.ChangePlan(ctx, directory.ChangePlan{Plan: account.PlanPRO})
			return err
		}, onAccount(authz.SubscriptionManage, "billing manager")},
	}
}

// TestWhatIsNotThere gives ids that name nothing to every input that takes one.
func TestWhatIsNotThere(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx, nothing := w.as(w.owner), ptr(int64(0))
		for name, err := range map[string]error{
			"parent":      errOf(w.s.CreateGroup(ctx, directory.CreateGroup{Name: "A"})),
			"new parent":  errOf(w.s.MoveGroup(ctx, directory.MoveGroup{GroupID: w.harbour.ID})),
			"successor":   errOf(w.s.DeleteGroup(ctx, directory.DeleteGroup{GroupID: w.harbour.ID, SuccessorID: nothing})),
			"new home":    errOf(w.s.MoveUser(ctx, directory.MoveUser{UserID: w.agent.ID})),
			"agent":       errOf(w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: w.agent.ID, Handover: directory.HandoverToAgent, HandoverAgentID: nothing})),
			"role":        errOf(w.s.GrantRole(ctx, directory.GrantRole{UserID: w.agent.ID})),
			"grant group": errOf(w.s.GrantRole(ctx, directory.GrantRole{UserID: w.agent.ID, RoleID: w.role(authz.RoleAgent).ID, GroupID: nothing})),
			"listed role": errOf(w.s.CreateRole(ctx, directory.CreateRole{Name: "A", Pairs: at(authz.ScopeAccount, authz.AnalyticsView), MayGive: []int64{0}})),
			"next role":   w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: w.custom("A", nil, at(authz.ScopeAccount, authz.AnalyticsView)...).ID, SuccessorID: nothing}),
			"next owner":  errOf(w.s.TransferOwnership(ctx, directory.TransferOwnership{})),
			"invitation":  errOf(w.s.InviteUser(ctx, directory.InviteUser{Name: "A", Email: "a@x.example", HomeGroupID: w.root.ID, RoleIDs: []int64{0}})),
		} {
			t.Run(name, func(t *testing.T) { refuses(t, err, refusal.NotFoundCode, "") })
		}
	})
}

func errOf[T any](_ T, err error) error { return err }
